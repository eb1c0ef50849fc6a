/*
 * value_number.c
 *		Python's numbers: integers of any size, doubles, exact comparison.
 *
 * Integers are 64 bits wide and become PostgreSQL's numeric where that does not
 * do.  Very long ones are refused: Python itself prints no more than 4300 digits.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "common/hashfn.h"
#include "common/int.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "expr/value_internal.h"

/* Digits that a result may have. */
#define MAX_DIGITS 40000

/* Bytes of two operands from which on each operation looks at the limits. */
#define LONG_NUMERIC 512

#define TWO_63 9223372036854775808.0

static Numeric
numeric_of(int64 i)
{
	return int64_to_numeric(i);
}

static Numeric
call_numeric(PGFunction function, Numeric a, Numeric b)
{
	/* Of thousands of digits one operation takes as long as thousands of steps. */
	if (VARSIZE(a) + VARSIZE(b) > LONG_NUMERIC)
		expr_check();
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

static int
numeric_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

/* More digits than a numeric holds, at most. */
static int64
numeric_digits(Numeric n)
{
	return VARSIZE(n) * 2;
}

/* An integral numeric as the narrowest value. */
Value
value_from_numeric(Numeric n)
{
	static Numeric least = NULL;
	static Numeric most = NULL;
	bool		overflow = false;
	int32		small = numeric_int4_opt_error(n, &overflow);

	if (!overflow)
		return value_int(small);
	if (least == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		Numeric		low = numeric_of(PG_INT64_MIN);

		most = numeric_of(PG_INT64_MAX);
		least = low;
		MemoryContextSwitchTo(old);
	}
	if (numeric_compare(n, least) >= 0 && numeric_compare(n, most) <= 0)
		return value_int(DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(n))));
	return value_bigint(n);
}

Value
value_from_digits(const char *digits)
{
	Datum		n;

	if (strlen(digits) > MAX_DIGITS)
		expr_limit("an integer has more than %d digits", MAX_DIGITS);
	n = DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return value_from_numeric(DatumGetNumeric(n));
}

Numeric
value_to_numeric(const Value *value)
{
	if (value->kind == VALUE_BIGINT)
		return value->u.bigint;
	return numeric_of(value->kind == VALUE_BOOL ? (int64) value->u.boolean : value->u.integer);
}

bool
value_is_integer(const Value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_BIGINT || value->kind == VALUE_BOOL;
}

bool
value_is_number(const Value *value)
{
	return value->kind == VALUE_FLOAT || value_is_integer(value);
}

static int64
small_int(const Value *value)
{
	return value->kind == VALUE_BOOL ? (int64) value->u.boolean : value->u.integer;
}

static bool
both_small(const Value *a, const Value *b)
{
	return (a->kind == VALUE_INT || a->kind == VALUE_BOOL) && (b->kind == VALUE_INT || b->kind == VALUE_BOOL);
}

double
value_to_double(const Value *value)
{
	if (value->kind == VALUE_FLOAT)
		return value->u.real;
	if (value->kind == VALUE_BIGINT)
	{
		double		d = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
														   NumericGetDatum(value->u.bigint)));

		if (isinf(d))
			expr_fail("an integer is too large to become a float");
		return d;
	}
	return (double) small_int(value);
}

/* The exact integral value of a double beyond 64 bits, or within. */
Value
number_from_double(double d)
{
	char		buf[400];

	if (isnan(d) || isinf(d))
		expr_fail("a float that is not finite has no integer value");
	if (d >= -TWO_63 && d < TWO_63)
		return value_int((int64) d);
	snprintf(buf, sizeof(buf), "%.0f", trunc(d));
	return value_from_digits(buf);
}

static int
compare_int_double(const Value *i, double d)
{
	Value		whole;
	int			c;

	if (isnan(d))
		return 2;
	if (isinf(d))
		return d > 0 ? -1 : 1;
	whole = number_from_double(d);
	c = number_compare(i, &whole);
	if (c != 0)
		return c;
	return trunc(d) == d ? 0 : (d > 0 ? -1 : 1);
}

int
number_compare(const Value *a, const Value *b)
{
	if (both_small(a, b))
	{
		int64		x = small_int(a);
		int64		y = small_int(b);

		return x < y ? -1 : x > y;
	}
	if (a->kind == VALUE_FLOAT && b->kind == VALUE_FLOAT)
	{
		if (isnan(a->u.real) || isnan(b->u.real))
			return 2;
		return a->u.real < b->u.real ? -1 : a->u.real > b->u.real;
	}
	if (b->kind == VALUE_FLOAT)
		return compare_int_double(a, b->u.real);
	if (a->kind == VALUE_FLOAT)
	{
		int			c = compare_int_double(b, a->u.real);

		return c == 2 ? 2 : -c;
	}
	return numeric_compare(value_to_numeric(a), value_to_numeric(b));
}

uint32
number_hash(const Value *value)
{
	double		d;

	if (value->kind == VALUE_INT || value->kind == VALUE_BOOL)
	{
		int64		i = small_int(value);

		return hash_bytes((unsigned char *) &i, sizeof(i));
	}
	if (value->kind == VALUE_FLOAT)
	{
		d = value->u.real;
		if (trunc(d) == d && d >= -TWO_63 && d < TWO_63)
		{
			int64		i = (int64) d;

			return hash_bytes((unsigned char *) &i, sizeof(i));
		}
	}
	else
		d = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->u.bigint)));
	return hash_bytes((unsigned char *) &d, sizeof(d));
}

static bool
any_float(const Value *a, const Value *b)
{
	return a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT;
}

Value
number_add(const Value *a, const Value *b)
{
	int64		r;

	if (any_float(a, b))
		return value_float(value_to_double(a) + value_to_double(b));
	if (both_small(a, b) && !pg_add_s64_overflow(small_int(a), small_int(b), &r))
		return value_int(r);
	return value_from_numeric(call_numeric(numeric_add, value_to_numeric(a), value_to_numeric(b)));
}

Value
number_subtract(const Value *a, const Value *b)
{
	int64		r;

	if (any_float(a, b))
		return value_float(value_to_double(a) - value_to_double(b));
	if (both_small(a, b) && !pg_sub_s64_overflow(small_int(a), small_int(b), &r))
		return value_int(r);
	return value_from_numeric(call_numeric(numeric_sub, value_to_numeric(a), value_to_numeric(b)));
}

Value
number_multiply(const Value *a, const Value *b)
{
	int64		r;
	Numeric		x;
	Numeric		y;

	if (any_float(a, b))
		return value_float(value_to_double(a) * value_to_double(b));
	if (both_small(a, b) && !pg_mul_s64_overflow(small_int(a), small_int(b), &r))
		return value_int(r);
	x = value_to_numeric(a);
	y = value_to_numeric(b);
	if (numeric_digits(x) + numeric_digits(y) > MAX_DIGITS * 2)
		expr_limit("an integer has more than %d digits", MAX_DIGITS);
	return value_from_numeric(call_numeric(numeric_mul, x, y));
}

static bool
is_zero(const Value *value)
{
	return value->kind == VALUE_FLOAT ? value->u.real == 0 : (value->kind != VALUE_BIGINT && small_int(value) == 0);
}

Value
number_divide(const Value *a, const Value *b)
{
	if (is_zero(b))
		expr_fail("division by zero");
	return value_float(value_to_double(a) / value_to_double(b));
}

/* As CPython does it: by the remainder, as the quotient itself may be rounded up to the next integer. */
static double
floor_divide(double a, double b)
{
	double		remainder = fmod(a, b);
	double		quotient = (a - remainder) / b;
	double		whole;

	if (remainder != 0 && (b < 0) != (remainder < 0))
		quotient -= 1;
	if (quotient == 0)
		return copysign(0.0, a / b);
	whole = floor(quotient);
	return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value
number_floor_divide(const Value *a, const Value *b)
{
	Numeric		x;
	Numeric		y;
	Numeric		q;

	if (is_zero(b))
		expr_fail("division by zero");
	if (any_float(a, b))
		return value_float(floor_divide(value_to_double(a), value_to_double(b)));
	if (both_small(a, b) && !(small_int(a) == PG_INT64_MIN && small_int(b) == -1))
	{
		int64		i = small_int(a);
		int64		j = small_int(b);
		int64		r = i / j;

		return value_int(i % j != 0 && ((i < 0) != (j < 0)) ? r - 1 : r);
	}
	x = value_to_numeric(a);
	y = value_to_numeric(b);
	q = call_numeric(numeric_div_trunc, x, y);
	if (numeric_compare(call_numeric(numeric_mul, q, y), x) != 0 &&
		(numeric_compare(x, numeric_of(0)) < 0) != (numeric_compare(y, numeric_of(0)) < 0))
		q = call_numeric(numeric_sub, q, numeric_of(1));
	return value_from_numeric(q);
}

Value
number_modulo(const Value *a, const Value *b)
{
	if (is_zero(b))
		expr_fail("division by zero");
	if (any_float(a, b))
	{
		double		d = value_to_double(b);
		double		r = fmod(value_to_double(a), d);

		if (r != 0 && (r < 0) != (d < 0))
			r += d;
		else if (r == 0)
			r = copysign(0.0, d);
		return value_float(r);
	}
	if (both_small(a, b))
	{
		int64		j = small_int(b);
		int64		r = j == -1 ? 0 : small_int(a) % j;

		return value_int(r != 0 && (r < 0) != (j < 0) ? r + j : r);
	}
	{
		Numeric		y = value_to_numeric(b);
		Numeric		r = call_numeric(numeric_mod, value_to_numeric(a), y);
		int			sign = numeric_compare(r, numeric_of(0));

		if (sign != 0 && (sign < 0) != (numeric_compare(y, numeric_of(0)) < 0))
			r = call_numeric(numeric_add, r, y);
		return value_from_numeric(r);
	}
}

Value
number_negate(const Value *a)
{
	Value		zero = value_int(0);

	if (a->kind == VALUE_FLOAT)
		return value_float(-a->u.real);
	return number_subtract(&zero, a);
}

static Value
float_power(double a, double b)
{
	double		r;

	if (a == 0 && b < 0)
		expr_fail("zero cannot be raised to a negative power");
	if (a < 0 && isfinite(a) && isfinite(b) && floor(b) != b)
		expr_fail("a negative number raised to a fraction is not a real number");
	r = pow(a, b);
	if (isinf(r) && isfinite(a) && isfinite(b))
		expr_fail("the power is too large for a float");
	return value_float(r);
}

Value
number_power(const Value *a, const Value *b)
{
	Value		result = value_int(1);
	Value		base = *a;
	Value		zero = value_int(0);
	int64		exponent;

	if (any_float(a, b) || number_compare(b, &zero) < 0)
		return float_power(value_to_double(a), value_to_double(b));
	if (a->kind != VALUE_BIGINT && small_int(a) >= -1 && small_int(a) <= 1)
	{
		Value		two = value_int(2);
		Value		odd = number_modulo(b, &two);

		if (number_compare(b, &zero) == 0)
			return value_int(1);
		return value_int(odd.u.integer ? small_int(a) : small_int(a) * small_int(a));
	}
	if (b->kind == VALUE_BIGINT || small_int(b) > MAX_DIGITS * 4 ||
		log10(fabs(value_to_double(a))) * (double) small_int(b) > MAX_DIGITS)
		expr_limit("an integer has more than %d digits", MAX_DIGITS);
	for (exponent = small_int(b); exponent > 0; exponent /= 2)
	{
		expr_tick();
		if (exponent % 2)
			result = number_multiply(&result, &base);
		if (exponent > 1)
			base = number_multiply(&base, &base);
	}
	return result;
}

/* x with a * x = 1 modulo m, by Euclid. */
static Value
modular_inverse(const Value *a, const Value *m)
{
	Value		r0 = *m;
	Value		r1 = number_modulo(a, m);
	Value		t0 = value_int(0);
	Value		t1 = value_int(1);
	Value		one = value_int(1);

	while (!is_zero(&r1))
	{
		Value		q = number_floor_divide(&r0, &r1);
		Value		p = number_multiply(&q, &r1);
		Value		r2 = number_subtract(&r0, &p);
		Value		t2;

		p = number_multiply(&q, &t1);
		t2 = number_subtract(&t0, &p);
		r0 = r1;
		r1 = r2;
		t0 = t1;
		t1 = t2;
	}
	if (number_compare(&r0, &one) != 0)
		expr_fail("the base has no inverse for this modulus");
	return number_modulo(&t0, m);
}

Value
number_power_modulo(const Value *a, const Value *b, const Value *m)
{
	Value		result = value_int(1);
	Value		base;
	Value		exponent = *b;
	Value		zero = value_int(0);
	Value		two = value_int(2);
	bool		negative;
	Value		modulus = *m;

	if (a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT || m->kind == VALUE_FLOAT)
		expr_fail("pow() with a modulus takes integers only");
	if (is_zero(m))
		expr_fail("the modulus of pow() is zero");
	negative = number_compare(m, &zero) < 0;
	if (negative)
		modulus = number_negate(m);
	base = number_modulo(a, &modulus);
	if (number_compare(b, &zero) < 0)
	{
		base = modular_inverse(&base, &modulus);
		exponent = number_negate(b);
	}
	result = number_modulo(&result, &modulus);
	while (!is_zero(&exponent))
	{
		Value		odd = number_modulo(&exponent, &two);

		expr_tick();
		if (!is_zero(&odd))
		{
			result = number_multiply(&result, &base);
			result = number_modulo(&result, &modulus);
		}
		base = number_multiply(&base, &base);
		base = number_modulo(&base, &modulus);
		exponent = number_floor_divide(&exponent, &two);
	}
	return negative ? number_modulo(&result, m) : result;
}

/* Half to even, on the exact value of the double. */
static double
round_double(double d, int64 digits)
{
	char		buf[800];
	int			exponent;

	if (!isfinite(d) || d == 0 || digits > 330)
		return d;
	if (digits < -310)
		return copysign(0.0, d);
	if (digits >= 0)
	{
		snprintf(buf, sizeof(buf), "%.*f", (int) digits, d);
		return strtod(buf, NULL);
	}
	snprintf(buf, sizeof(buf), "%.17e", d);
	exponent = atoi(strchr(buf, 'e') + 1);
	if (exponent + digits < -1)
		return copysign(0.0, d);
	if (exponent + digits == -1)
	{
		double		unit = pow(10, (double) -digits);

		return fabs(d) > unit / 2 ? copysign(unit, d) : copysign(0.0, d);
	}
	snprintf(buf, sizeof(buf), "%.*e", (int) (exponent + digits), d);
	return strtod(buf, NULL);
}

Value
number_round(const Value *a, int64 digits)
{
	Value		ten = value_int(10);
	Value		places;
	Value		unit;
	Value		quotient;
	Value		rest;
	Value		twice;
	Value		two = value_int(2);
	Value		one = value_int(1);
	int			c;

	if (a->kind == VALUE_FLOAT)
	{
		double		r = round_double(a->u.real, digits);

		if (isinf(r) && !isinf(a->u.real))
			expr_fail("the rounded value is too large for a float");
		return value_float(r);
	}
	if (digits >= 0)
		return a->kind == VALUE_BOOL ? value_int(small_int(a)) : *a;
	if (digits < -MAX_DIGITS)
		return value_int(0);
	places = value_int(-digits);
	unit = number_power(&ten, &places);
	quotient = number_floor_divide(a, &unit);
	rest = number_modulo(a, &unit);
	twice = number_add(&rest, &rest);
	c = number_compare(&twice, &unit);
	rest = number_modulo(&quotient, &two);
	if (c > 0 || (c == 0 && !is_zero(&rest)))
		quotient = number_add(&quotient, &one);
	return number_multiply(&quotient, &unit);
}

/*
 * Shortest digits that give the double back, in Python's layout: a point
 * always, an exponent below 1e-4 and from 1e16 on.
 */
/*
 * Ryu's shortest text lies strictly between the neighbours' halves; to Python
 * a half itself will do, where reading it gives the number: 1e23 is 1e+23, and
 * not 9.999999999999999e+22.  Only texts of 16 digits or more can have one.
 */
static void
shortest_decimal(double d, char *text)
{
	char	   *e;
	char		shorter[32];
	int			digits = 0;

	text[double_to_shortest_decimal_buf(d, text)] = '\0';
	e = strchr(text, 'e');
	for (char *p = text; *p && p != e; p++)
	{
		if (isdigit((unsigned char) *p) && (digits > 0 || *p != '0'))
			digits++;
	}
	if (digits < 16)
		return;
	snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, d);
	if (strtod(shorter, NULL) == d)
		strcpy(text, shorter);
}

char *
float_repr(double d)
{
	char		shortest[Max(DOUBLE_SHORTEST_DECIMAL_LEN, 32)];
	char		digits[Max(DOUBLE_SHORTEST_DECIMAL_LEN, 32)];
	StringInfoData out;
	int			n = 0;
	int			exponent = 0;
	int			point = -1;
	int			skipped = 0;
	char	   *p = shortest;

	initStringInfo(&out);
	if (isnan(d) || isinf(d))
	{
		appendStringInfoString(&out, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
		return out.data;
	}
	shortest_decimal(d, shortest);
	if (*p == '-')
	{
		appendStringInfoChar(&out, '-');
		p++;
	}
	for (; *p && *p != 'e'; p++)
	{
		if (*p == '.')
			point = n + skipped;
		else if (n == 0 && *p == '0')
			skipped++;
		else
			digits[n++] = *p;
	}
	if (point < 0)
		point = n + skipped;
	if (*p == 'e')
		exponent = atoi(p + 1);
	point = point - skipped + exponent; /* the value is 0.DIGITS * 10^point */
	while (n > 0 && digits[n - 1] == '0')
		n--;
	digits[n] = '\0';
	if (n == 0)
		appendStringInfoString(&out, "0.0");
	else if (point < -3 || point > 16)
	{
		appendStringInfoChar(&out, digits[0]);
		if (n > 1)
			appendStringInfo(&out, ".%s", digits + 1);
		appendStringInfo(&out, "e%c%02d", point - 1 < 0 ? '-' : '+', abs(point - 1));
	}
	else if (point <= 0)
	{
		appendStringInfoString(&out, "0.");
		appendStringInfoSpaces(&out, 0);
		for (int i = point; i < 0; i++)
			appendStringInfoChar(&out, '0');
		appendStringInfoString(&out, digits);
	}
	else
	{
		for (int i = 0; i < Max(n, point); i++)
		{
			if (i == point)
				appendStringInfoChar(&out, '.');
			appendStringInfoChar(&out, i < n ? digits[i] : '0');
		}
		if (point >= n)
			appendStringInfoString(&out, ".0");
	}
	return out.data;
}

/* Python's int(text): blanks around, a sign, digits of any script, '_' between. */
bool
number_parse_int(const char *s, int len, Value *value)
{
	char	   *digits;
	int			n = 0;
	bool		after_digit = false;
	const char *end = s + len;

	if (len > MAX_DIGITS)
		expr_limit("a text is too long for an integer");
	while (s < end && char_is_space(s, char_length(s, end)))
		s += char_length(s, end);
	digits = palloc(len + 2);
	if (s < end && (*s == '-' || *s == '+'))
		digits[n++] = *s++;
	while (s < end)
	{
		int			digit = char_digit(s, end);

		if (digit >= 0)
			digits[n++] = '0' + digit;
		else if (*s != '_' || !after_digit)
			break;
		after_digit = digit >= 0;
		s += char_length(s, end);
	}
	if (!after_digit)
		return false;
	while (s < end && char_is_space(s, char_length(s, end)))
		s += char_length(s, end);
	if (s < end)
		return false;
	digits[n] = '\0';
	*value = value_from_digits(digits);
	return true;
}

/* Python's float(text). */
bool
number_parse_float(const char *s, int len, double *value)
{
	char	   *buf;
	char	   *tail;
	int			n = 0;
	const char *end = s + len;
	const char *p;

	while (s < end && char_is_space(s, char_length(s, end)))
		s += char_length(s, end);
	while (s < end && char_is_space(end - 1, 1))
		end--;
	if (s == end || end - s > MAX_DIGITS)
		return false;
	buf = palloc(end - s + 1);
	for (p = s; p < end; p++)
	{
		if (*p == '_')
		{
			if (p == s || p + 1 == end || !isdigit((unsigned char) p[-1]) || !isdigit((unsigned char) p[1]))
				return false;
			continue;
		}
		if (*p == 'x' || *p == 'X' || *p == '(' || *p == '\0')
			return false;
		buf[n++] = *p;
	}
	buf[n] = '\0';
	*value = strtod(buf, &tail);
	return *tail == '\0' && !isspace((unsigned char) buf[0]);
}
