/*
 * yaql_math.c
 *		YAQL's functions on numbers.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "expr/yaql_lib.h"

Value
yaql_int(YaqlCall *call)
{
	Value	   *v = ARG(0);
	Value		result;

	switch (v->kind)
	{
		case VALUE_NULL:
			return value_int(0);
		case VALUE_BOOL:
			return value_int(v->u.boolean);
		case VALUE_INT:
		case VALUE_BIGINT:
			return *v;
		case VALUE_FLOAT:
			return number_from_double(v->u.real);
		case VALUE_STRING:
			if (!number_parse_int(v->u.string.data, v->u.string.len, &result))
				expr_fail("the text of int() is no integer");
			return result;
		default:
			expr_fail("int() does not take %s", value_kind_name(v));
	}
}

Value
yaql_float(YaqlCall *call)
{
	Value	   *v = ARG(0);
	double		result;

	if (v->kind == VALUE_NULL)
		return value_float(0);
	if (value_is_number(v))
		return value_float(value_to_double(v));
	if (v->kind != VALUE_STRING)
		expr_fail("float() does not take %s", value_kind_name(v));
	if (!number_parse_float(v->u.string.data, v->u.string.len, &result))
		expr_fail("the text of float() is no number");
	return value_float(result);
}

Value
yaql_is_integer(YaqlCall *call)
{
	return value_bool(value_is_integer(ARG(0)) && ARG(0)->kind != VALUE_BOOL);
}

Value
yaql_is_number(YaqlCall *call)
{
	return value_bool(value_is_number(ARG(0)) && ARG(0)->kind != VALUE_BOOL);
}

static int
sign_of(const Value *v)
{
	Value		zero = value_int(0);
	int			c = number_compare(v, &zero);

	return c == 2 ? 0 : c;
}

Value
yaql_abs(YaqlCall *call)
{
	if (ARG(0)->kind == VALUE_FLOAT)
		return value_float(fabs(ARG(0)->u.real));
	return sign_of(ARG(0)) < 0 ? number_negate(ARG(0)) : *ARG(0);
}

Value
yaql_sign(YaqlCall *call)
{
	return value_int(sign_of(ARG(0)));
}

Value
yaql_round(YaqlCall *call)
{
	return number_round(ARG(0), yaql_int_arg(call, 1));
}

Value
yaql_pow(YaqlCall *call)
{
	return HAS(2) ? number_power_modulo(ARG(0), ARG(1), ARG(2)) : number_power(ARG(0), ARG(1));
}

static double
random_fraction(void)
{
	return DatumGetFloat8(DirectFunctionCall1(drandom, (Datum) 0));
}

Value
yaql_random(YaqlCall *call)
{
	return value_float(random_fraction());
}

Value
yaql_random_between(YaqlCall *call)
{
	Value		one = value_int(1);
	Value		span;
	Value		offset;

	if (!value_is_integer(ARG(0)) || !value_is_integer(ARG(1)))
		expr_fail("random() takes integers");
	if (number_compare(ARG(0), ARG(1)) > 0)
		expr_fail("the range of random() is empty");
	span = number_subtract(ARG(1), ARG(0));
	span = number_add(&span, &one);
	offset = number_from_double(floor(random_fraction() * value_to_double(&span)));
	return number_add(ARG(0), &offset);
}

Value
yaql_hex(YaqlCall *call)
{
	if (ARG(0)->kind != VALUE_INT && ARG(0)->kind != VALUE_BIGINT)
		expr_fail("hex() takes an integer, not %s", value_kind_name(ARG(0)));
	return value_cstring(number_hex(ARG(0)));
}

Value
yaql_bitwise_and(YaqlCall *call)
{
	return number_bitwise('&', ARG(0), ARG(1));
}

Value
yaql_bitwise_or(YaqlCall *call)
{
	return number_bitwise('|', ARG(0), ARG(1));
}

Value
yaql_bitwise_xor(YaqlCall *call)
{
	return number_bitwise('^', ARG(0), ARG(1));
}

Value
yaql_bitwise_not(YaqlCall *call)
{
	Value		minus_one = value_int(-1);

	return number_subtract(&minus_one, ARG(0));
}

Value
yaql_shift_left(YaqlCall *call)
{
	return number_shift(ARG(0), ARG(1), true);
}

Value
yaql_shift_right(YaqlCall *call)
{
	return number_shift(ARG(0), ARG(1), false);
}
