/*
 * jinja_format.c
 *		Python's format() of a value, and "..." % x.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "expr/jinja.h"

#define MAX_WIDTH 1000000

/* How one value is to be shown. */
typedef struct Spec
{
	const char *fill;			/* one character */
	int			fill_len;
	char		align;			/* < > ^ =, 0: as the type has it */
	char		sign;			/* + - or blank */
	bool		alternate;
	bool		no_minus_zero;	/* what rounds to zero has no sign */
	char		grouping;		/* , _ or 0 */
	int			width;
	int			precision;		/* -1: none */
	char		type;			/* 0: none */
} Spec;

void
jinja_put(StringInfo out, const char *s, int len)
{
	expr_reserve((Size) out->len + len);
	if (out->len > EVAL_MAX_LENGTH - len)
		expr_limit("a text grows too long");
	appendBinaryStringInfo(out, s, len);
}

/* Puts sign, prefix and body in the width; default_align where the spec has none. */
static void
put_padded(StringInfo out, const Spec *spec, const char *prefix, const char *body, int len, char default_align)
{
	int64		missing = spec->width - (int64) strlen(prefix) - text_length(body, len);
	char		align = spec->align ? spec->align : default_align;
	int64		before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;

	if (align == '=')
		jinja_put(out, prefix, strlen(prefix));
	for (int64 i = 0; i < before; i++)
	{
		expr_tick();
		jinja_put(out, spec->fill, spec->fill_len);
	}
	if (align != '=')
		jinja_put(out, prefix, strlen(prefix));
	jinja_put(out, body, len);
	for (int64 i = Max(before, 0); i < missing; i++)
	{
		expr_tick();
		jinja_put(out, spec->fill, spec->fill_len);
	}
}

/* The digits of |value| in a base. */
static char *
digits_of(const Value *value, int base)
{
	Value		zero = value_int(0);
	Value		n = *value;
	Value		divisor = value_int(base);
	StringInfoData out;
	StringInfoData text;

	initStringInfo(&out);
	if (n.kind == VALUE_BOOL)
		n = value_int(n.u.boolean);
	if (number_compare(&n, &zero) < 0)
		n = number_negate(&n);
	if (base == 10)
	{
		value_repr(&out, &n);
		return out.data;
	}
	if (base == 16)
		return number_hex(&n) + 2;
	do
	{
		Value		digit = number_modulo(&n, &divisor);

		expr_tick();
		appendStringInfoChar(&out, '0' + digit.u.integer);
		n = number_floor_divide(&n, &divisor);
	} while (number_compare(&n, &zero) > 0);
	initStringInfo(&text);
	for (int i = out.len - 1; i >= 0; i--)
		appendStringInfoChar(&text, out.data[i]);
	return text.data;
}

/*
 * Separators between the digits before the point; zeros that fill the width,
 * of which `taken` characters stand before the digits, are digits like others.
 */
static char *
group_digits(const char *digits, const Spec *spec, int size, int taken)
{
	int			whole = spec->type == 'x' || spec->type == 'X' ? strspn(digits, "0123456789abcdefABCDEF") :
		strspn(digits, "0123456789");
	int			n = Max(whole, 1);
	StringInfoData out;

	if (spec->align == '=' && spec->fill_len == 1 && *spec->fill == '0')
	{
		int			wanted = spec->width - taken - (int) strlen(digits + whole);

		while (n + (n - 1) / size < wanted)
			n++;
	}
	initStringInfo(&out);
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && (n - i) % size == 0)
			appendStringInfoChar(&out, spec->grouping);
		appendStringInfoChar(&out, i < n - whole ? '0' : digits[i - (n - whole)]);
	}
	appendStringInfoString(&out, digits + whole);
	return out.data;
}

static const char *
sign_of(bool negative, const Spec *spec)
{
	return negative ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
}

static bool
is_negative(const Value *value)
{
	Value		zero = value_int(0);

	if (value->kind == VALUE_FLOAT)
		return signbit(value->u.real) && !isnan(value->u.real);
	return number_compare(value, &zero) < 0;
}

static void
put_int(StringInfo out, const Value *value, const Spec *spec, bool digits_precision)
{
	int			base = spec->type == 'x' || spec->type == 'X' ? 16 : spec->type == 'o' ? 8 : spec->type == 'b' ? 2 : 10;
	char	   *digits = digits_of(value, base);
	const char *prefix = "";

	if (digits_precision && spec->precision > (int) strlen(digits))
	{
		char	   *zeros = palloc(spec->precision + 1);

		memset(zeros, '0', spec->precision);
		strcpy(zeros + spec->precision - strlen(digits), digits);
		digits = zeros;
	}
	if (spec->alternate && base != 10)
		prefix = spec->type == 'x' ? "0x" : spec->type == 'X' ? "0X" : spec->type == 'o' ? "0o" : "0b";
	if (spec->type == 'X')
		for (char *p = digits; *p; p++)
			*p = pg_ascii_toupper((unsigned char) *p);
	prefix = psprintf("%s%s", sign_of(is_negative(value), spec), prefix);
	if (spec->grouping)
		digits = group_digits(digits, spec, base == 10 ? 3 : 4, strlen(prefix));
	put_padded(out, spec, prefix, digits, strlen(digits), '>');
}

/* The number with a point, before the exponent or at its end. */
static char *
with_point(const char *body)
{
	int			mantissa = strcspn(body, "e");

	return strchr(body, '.') ? pstrdup(body) : psprintf("%.*s.%s", mantissa, body, body + mantissa);
}

/* A double in general form: as many digits as needed, or as the precision says. */
static char *
general(double d, int precision, bool alternate, bool keep_point)
{
	char	   *buf;
	int			exponent;
	int			mantissa;
	int			kept;

	if (precision < 0)
		return float_repr(d);
	precision = Max(precision, 1);
	buf = psprintf("%.*e", precision - 1, d);
	exponent = atoi(strchr(buf, 'e') + 1);
	/* Without a type there is always a digit behind the point, or an exponent. */
	if (exponent >= -4 && exponent < precision - (keep_point ? 1 : 0))
		return alternate ? psprintf("%.*f", precision - 1 - exponent, d) : psprintf("%.*g", precision, d);
	mantissa = kept = strcspn(buf, "e");
	while (!alternate && kept > 1 && memchr(buf, '.', kept) != NULL && strchr("0.", buf[kept - 1]) != NULL)
		kept--;
	return psprintf("%.*s%s", kept, buf, buf + mantissa);
}

static void
put_float(StringInfo out, const Value *value, const Spec *spec)
{
	double		d = fabs(value_to_double(value));
	int			precision = spec->precision < 0 ? 6 : spec->precision;
	char		lower = pg_ascii_tolower((unsigned char) spec->type);
	bool		negative = is_negative(value);
	const char *sign;
	char	   *body;

	if (precision > MAX_WIDTH / 10)
		expr_limit("a precision is too large");
	if (isnan(d) || isinf(d))
		body = pstrdup(isnan(d) ? "nan" : "inf");
	else if (lower == 'f')
		body = psprintf("%.*f", precision, d);
	else if (lower == 'e')
		body = psprintf("%.*e", precision, d);
	else if (lower == 'g' || lower == 'n')
		body = general(d, precision, spec->alternate, false);
	else if (lower == '%')
		body = psprintf("%.*f", precision, d * 100);
	else
		body = general(d, spec->precision, spec->alternate, true);
	if (spec->alternate && !isnan(d) && !isinf(d))
		body = with_point(body);
	else if (spec->type == 0 && strpbrk(body, ".en") == NULL)
		body = psprintf("%s.0", body);
	if (spec->no_minus_zero && body[strcspn(body, "123456789in")] == '\0')
		negative = false;
	if (lower == '%')
		body = psprintf("%s%%", body);
	if (isupper((unsigned char) spec->type))
		for (char *p = body; *p; p++)
			*p = pg_ascii_toupper((unsigned char) *p);
	sign = sign_of(negative, spec);
	if (spec->grouping && isdigit((unsigned char) *body))
		body = group_digits(body, spec, 3, strlen(sign));
	put_padded(out, spec, sign, body, strlen(body), '>');
}

static void
put_text(StringInfo out, const Value *text, const Spec *spec, char default_align)
{
	Value		shown = *text;

	if (spec->precision >= 0)
		shown = jinja_substring(text, 0, spec->precision);
	put_padded(out, spec, "", shown.u.string.data, shown.u.string.len, default_align);
}

/* The number at hand, or `otherwise` when there is none. */
static int
read_number(const char *s, int len, int *at, int otherwise)
{
	int64		n = -1;

	while (*at < len && isdigit((unsigned char) s[*at]))
	{
		n = Max(n, 0) * 10 + (s[(*at)++] - '0');
		if (n > MAX_WIDTH)
			expr_limit("a width is too large");
	}
	return n < 0 ? otherwise : n;
}

static void
read_spec(const char *s, int len, Spec *spec)
{
	int			at = 0;
	int			first = len ? char_length(s, s + len) : 0;

	*spec = (Spec)
	{
		.fill = " ",.fill_len = 1,.precision = -1
	};
	if (len > first && s[first] != '\0' && strchr("<>=^", s[first]))
	{
		spec->fill = s;
		spec->fill_len = first;
		spec->align = s[first];
		at = first + 1;
	}
	else if (len && *s != '\0' && strchr("<>=^", *s))
		spec->align = s[at++];
	if (at < len && s[at] != '\0' && strchr("+- ", s[at]))
		spec->sign = s[at++];
	if (at < len && s[at] == 'z')
	{
		spec->no_minus_zero = true;
		at++;
	}
	if (at < len && s[at] == '#')
	{
		spec->alternate = true;
		at++;
	}
	if (at < len && s[at] == '0' && spec->fill != s)
	{
		spec->fill = "0";
		if (spec->align == 0)
			spec->align = '=';
		at++;
	}
	spec->width = read_number(s, len, &at, 0);
	if (at < len && (s[at] == ',' || s[at] == '_'))
		spec->grouping = s[at++];
	if (at < len && s[at] == '.')
	{
		at++;
		spec->precision = read_number(s, len, &at, -1);
		if (spec->precision < 0)
			expr_fail("a format lacks its precision");
	}
	if (at < len)
		spec->type = s[at++];
	if (at < len)
		expr_fail("a format has more than it should");
}

/* Separators stand between digits that are in groups. */
static void
check_grouping(const Spec *spec)
{
	if (spec->grouping && spec->type && strchr(spec->grouping == '_' ? "deEfFgG%boxX" : "deEfFgG%", spec->type) == NULL)
		expr_fail("a format has \"%c\" with \"%c\"", spec->grouping, spec->type);
}

/* Python's format(value, spec). */
void
jinja_format_value(StringInfo out, const Value *value, const char *s, int len)
{
	Spec		spec;

	read_spec(s, len, &spec);
	check_grouping(&spec);
	if (len == 0)
	{
		Value		text = jinja_str(value);

		jinja_put(out, text.u.string.data, text.u.string.len);
	}
	else if (value->kind == VALUE_STRING)
	{
		if ((spec.type && spec.type != 's') || spec.sign || spec.alternate || spec.no_minus_zero || spec.grouping ||
			(spec.align == '=' && spec.fill[0] != '0'))
			expr_fail("a format does not fit a string");
		if (spec.align == '=')
			spec.align = '<';
		put_text(out, value, &spec, '<');
	}
	else if (value_is_number(value))
	{
		if (value->kind == VALUE_FLOAT || (spec.type && strchr("eEfFgG%", spec.type)))
		{
			if (spec.type && strchr("eEfFgGn%", spec.type) == NULL)
				expr_fail("a format does not fit a float");
			put_float(out, value, &spec);
		}
		else if (spec.no_minus_zero || (spec.type == 'c' && (spec.sign || spec.precision >= 0)))
			expr_fail("a format does not fit an integer");
		else if (spec.type == 'c')
		{
			StringInfoData text;
			Value		letter;

			initStringInfo(&text);
			append_code_point(&text, (uint32) jinja_int(value, "the number of a character"));
			letter = value_text(&text);
			put_text(out, &letter, &spec, '>');
		}
		else if (spec.precision >= 0 || (spec.type && strchr("bdnoxX", spec.type) == NULL))
			expr_fail("a format does not fit an integer");
		else
			put_int(out, value, &spec, false);
	}
	else
		expr_fail("a format does not fit %s", jinja_kind_name(value));
}

/* repr(), with every character beyond ASCII escaped when asked for. */
Value
jinja_repr_of(const Value *value, bool ascii)
{
	StringInfoData out;
	StringInfoData plain;

	initStringInfo(&out);
	value_repr(&out, value);
	if (!ascii)
		return value_text(&out);
	initStringInfo(&plain);
	for (const char *s = out.data; *s; s += char_length(s, out.data + out.len))
	{
		uint32		code = char_code(s);

		if (code < 0x80)
			appendStringInfoChar(&plain, *s);
		else
			appendStringInfo(&plain, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
	}
	return value_text(&plain);
}

/* The state of a "%" at work. */
typedef struct Percent
{
	const char *s;
	int			len;
	int			at;
	const Value *args;
	ListObject *tuple;			/* NULL: one value */
	int			used;
	bool		named;
	bool		markup;
} Percent;

static Value
next_argument(Percent *p)
{
	int			n = p->tuple ? p->tuple->n : 1;

	if (p->used >= n)
		expr_fail("there are too few values for the format");
	return p->tuple ? p->tuple->items[p->used++] : (p->used++, *p->args);
}

static Value
named_argument(Percent *p)
{
	int			depth = 1;
	int			from = ++p->at;
	Value		key;
	Value		value;

	while (p->at < p->len && depth > 0)
	{
		depth += p->s[p->at] == '(' ? 1 : p->s[p->at] == ')' ? -1 : 0;
		p->at++;
	}
	if (depth > 0)
		expr_fail("a name in a format does not end");
	if (p->args->kind != VALUE_DICT)
		expr_fail("a format with names needs a dict, not %s", jinja_kind_name(p->args));
	key = value_string(pnstrdup(p->s + from, p->at - 1 - from), p->at - 1 - from);
	if (!value_dict_find(p->args, &key, &value))
		expr_fail("the dict lacks a name of the format");
	p->named = true;
	return value;
}

static void
percent_flags(Percent *p, Spec *spec)
{
	bool		zero = false;

	for (; p->at < p->len && p->s[p->at] != '\0' && strchr("-+ #0", p->s[p->at]); p->at++)
	{
		switch (p->s[p->at])
		{
			case '-':
				spec->align = '<';
				break;
			case '+':
				spec->sign = '+';
				break;
			case ' ':
				if (spec->sign != '+')
					spec->sign = ' ';
				break;
			case '#':
				spec->alternate = true;
				break;
			default:
				zero = true;
				break;
		}
	}
	if (zero && spec->align != '<')
		spec->align = '=';
}

static int
percent_size(Percent *p, bool width, Spec *spec)
{
	Value		size;
	int64		n;

	if (p->at >= p->len || p->s[p->at] != '*')
		return read_number(p->s, p->len, &p->at, 0);
	p->at++;
	size = next_argument(p);
	n = jinja_int(&size, "a width");
	if (n > MAX_WIDTH || n < -MAX_WIDTH)
		expr_limit("a width is too large");
	if (width && n < 0)
	{
		spec->align = '<';
		n = -n;
	}
	return Max(n, 0);
}

static void
percent_number(StringInfo out, const Value *value, Spec *spec)
{
	Value		number = *value;
	bool		whole = strchr("diuxXo", spec->type) != NULL;

	if (!value_is_number(value))
		expr_fail("\"%%%c\" needs a number, not %s", spec->type, jinja_kind_name(value));
	if (spec->align == '=')
		spec->fill = "0";
	if (!whole)
	{
		put_float(out, &number, spec);
		return;
	}
	if (value->kind == VALUE_FLOAT)
	{
		if (strchr("diu", spec->type) == NULL)
			expr_fail("\"%%%c\" needs an integer, not a float", spec->type);
		number = number_from_double(value->u.real);
	}
	if (strchr("diu", spec->type))
		spec->type = 'd';
	put_int(out, &number, spec, true);
}

static void
percent_one(Percent *p, StringInfo out)
{
	Spec		spec = {.fill = " ",.fill_len = 1,.precision = -1};
	Value		value = value_null();
	bool		named = p->at < p->len && p->s[p->at] == '(';

	if (p->at < p->len && p->s[p->at] == '%')
	{
		p->at++;
		jinja_put(out, "%", 1);
		return;
	}
	if (named)
	{
		/* The dict is taken then, as a whole it shows no more. */
		value = named_argument(p);
		p->used = 1;
	}
	percent_flags(p, &spec);
	spec.width = percent_size(p, true, &spec);
	if (p->at < p->len && p->s[p->at] == '.')
	{
		p->at++;
		spec.precision = percent_size(p, false, &spec);
	}
	while (p->at < p->len && p->s[p->at] != '\0' && strchr("hlL", p->s[p->at]))
		p->at++;
	if (p->at >= p->len)
		expr_fail("a format ends too early");
	spec.type = p->s[p->at++];
	if (spec.type == '\0' || strchr("diuxXoeEfFgGcrsa", spec.type) == NULL)
		expr_fail("a format has a letter that means nothing");
	if (!named)
		value = next_argument(p);
	if (spec.type == 's' || spec.type == 'r' || spec.type == 'a')
	{
		Value		text = spec.type == 's' ? jinja_soft_str(&value) : jinja_repr_of(&value, spec.type == 'a');

		if (p->markup)
			text = jinja_escape(&text);
		if (spec.align == '=')
			spec.align = 0;
		put_text(out, &text, &spec, '>');
	}
	else if (spec.type == 'c')
	{
		StringInfoData letter;

		initStringInfo(&letter);
		if (value.kind == VALUE_STRING && jinja_length(&value) == 1)
			appendBinaryStringInfo(&letter, value.u.string.data, value.u.string.len);
		else
			append_code_point(&letter, (uint32) jinja_int(&value, "what \"%c\" shows"));
		value = value_text(&letter);
		spec.precision = -1;
		put_text(out, &value, &spec, '>');
	}
	else
		percent_number(out, &value, &spec);
}

/* format % args: a tuple gives several values, a dict named ones. */
Value
jinja_percent(const Value *format, const Value *args)
{
	Percent		p = {.s = format->u.string.data,.len = format->u.string.len,.args = args};
	StringInfoData out;

	p.markup = jinja_is_markup(format);
	if (args->kind == VALUE_LIST && !(args->flags & VALUE_F_MUTABLE))
		p.tuple = value_list_object(args);
	initStringInfo(&out);
	while (p.at < p.len)
	{
		int			from = p.at;

		expr_tick();
		while (p.at < p.len && p.s[p.at] != '%')
			p.at++;
		jinja_put(&out, p.s + from, p.at - from);
		if (p.at < p.len)
		{
			p.at++;
			percent_one(&p, &out);
		}
	}
	/* Python asks whether a value can be subscripted, and then does not count it. */
	if (p.used < (p.tuple ? p.tuple->n : 1) && (p.tuple || (args->kind != VALUE_DICT && args->kind != VALUE_LIST &&
															args->kind != VALUE_UNDEFINED && !jinja_object(args, JINJA_OBJECT_RANGE))))
		expr_fail("there are more values than the format shows");
	return jinja_as(format, value_text(&out));
}
