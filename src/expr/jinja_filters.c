/*
 * jinja_filters.c
 *		Filters over numbers and values of every kind.
 */
#include "postgres.h"

#include <math.h>

#include "expr/jinja.h"

static bool
is_given(JinjaCall *call, int i)
{
	return GIVEN(i) && ARG(i)->kind != VALUE_NULL;
}

Value
jinja_default(JinjaCall *call)
{
	if (ARG(0)->kind == VALUE_UNDEFINED || (jinja_flag_arg(call, 2, false) && !jinja_truth(ARG(0))))
		return GIVEN(1) ? *ARG(1) : value_cstring("");
	return *ARG(0);
}

Value
jinja_attr(JinjaCall *call)
{
	Value		name = jinja_text_of(ARG(1), "the name of an attribute");
	Value		value;

	if (jinja_attribute(ARG(0), name.u.string.data, name.u.string.len, &value))
		return value;
	return jinja_undefined(NULL);
}

Value
jinja_abs(JinjaCall *call)
{
	Value		zero = value_int(0);

	if (!value_is_number(ARG(0)))
		expr_fail("abs takes a number, not %s", jinja_kind_name(ARG(0)));
	if (ARG(0)->kind == VALUE_FLOAT)
		return value_float(fabs(ARG(0)->u.real));
	return number_compare(ARG(0), &zero) < 0 ? number_negate(ARG(0)) : jinja_unary(JINJA_ADD, ARG(0));
}

/* int(text, base): a prefix that fits the base may stand before the digits. */
static bool
parse_in_base(const Value *text, int64 base, Value *result)
{
	Value		plain = jinja_strip(text, NULL, true, true);
	const char *s = plain.u.string.data;
	const char *end = s + plain.u.string.len;
	bool		negative = s < end && *s == '-';
	Value		factor;
	bool		after_digit = false;
	char		letter;

	if (base != 0 && (base < 2 || base > 36))
		return false;
	if (s < end && (*s == '-' || *s == '+'))
		s++;
	letter = end - s > 2 && *s == '0' ? s[1] | 0x20 : 0;
	if ((letter == 'x' && (base == 16 || base == 0)) || (letter == 'o' && (base == 8 || base == 0)) ||
		(letter == 'b' && (base == 2 || base == 0)))
	{
		base = letter == 'x' ? 16 : letter == 'o' ? 8 : 2;
		s += 2;
		after_digit = *s == '_';
	}
	else if (base == 0)
		base = 10;
	if (end - s > 10000)
		expr_limit("a text is too long for an integer");
	*result = value_int(0);
	factor = value_int(base);
	for (; s < end; s++)
	{
		int			c = pg_ascii_tolower((unsigned char) *s);
		Value		digit = value_int(c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99);

		if (c == '_' && after_digit)
		{
			after_digit = false;
			continue;
		}
		if (digit.u.integer >= base)
			return false;
		after_digit = true;
		*result = number_multiply(result, &factor);
		*result = number_add(result, &digit);
	}
	if (negative)
		*result = number_negate(result);
	return after_digit;
}

Value
jinja_int_filter(JinjaCall *call)
{
	const Value *value = ARG(0);
	Value		otherwise = GIVEN(1) ? *ARG(1) : value_int(0);
	Value		result;
	double		d;

	if (value->kind == VALUE_UNDEFINED)
		jinja_use(value);
	if (value->kind == VALUE_STRING)
	{
		int64		base;

		if (GIVEN(2) && !value_is_integer(ARG(2)))
			return otherwise;
		base = jinja_int_arg(call, 2, 10);
		if (base == 10 ? number_parse_int(value->u.string.data, value->u.string.len, &result) :
			parse_in_base(value, base, &result))
			return result;
		if (!number_parse_float(value->u.string.data, value->u.string.len, &d) || isnan(d))
			return otherwise;
		return number_from_double(d);
	}
	if (value->kind == VALUE_FLOAT)
		return isnan(value->u.real) ? otherwise : number_from_double(value->u.real);
	return value_is_number(value) ? jinja_unary(JINJA_ADD, value) : otherwise;
}

Value
jinja_float(JinjaCall *call)
{
	const Value *value = ARG(0);
	double		d;

	if (value->kind == VALUE_UNDEFINED)
		jinja_use(value);
	if (value_is_number(value))
		return value_float(value_to_double(value));
	if (value->kind == VALUE_STRING && number_parse_float(value->u.string.data, value->u.string.len, &d))
		return value_float(d);
	return GIVEN(1) ? *ARG(1) : value_float(0);
}

Value
jinja_round(JinjaCall *call)
{
	int64		precision = jinja_int_arg(call, 1, 0);
	Value		method = GIVEN(2) ? jinja_text_of(ARG(2), "the method of round") : value_cstring("common");
	char	   *name = pnstrdup(method.u.string.data, method.u.string.len);
	Value		ten = value_int(10);
	Value		power = value_int(precision);
	Value		scaled;
	double		d;

	if (strcmp(name, "common") != 0 && strcmp(name, "ceil") != 0 && strcmp(name, "floor") != 0)
		expr_fail("the method of round is \"common\", \"ceil\" or \"floor\"");
	if (!value_is_number(ARG(0)))
		expr_fail("round takes a number, not %s", jinja_kind_name(ARG(0)));
	if (*name == 'c' && name[1] == 'o')
	{
		if (ARG(0)->kind == VALUE_FLOAT && !isfinite(ARG(0)->u.real) && !GIVEN(1))
			return *ARG(0);
		return number_round(ARG(0), precision);
	}
	ten = number_power(&ten, &power);
	scaled = number_multiply(ARG(0), &ten);
	if (scaled.kind == VALUE_FLOAT)
	{
		d = scaled.u.real;
		scaled = number_from_double(*name == 'c' ? ceil(d) : floor(d));
	}
	return number_divide(&scaled, &ten);
}

Value
jinja_pprint(JinjaCall *call)
{
	StringInfoData out;

	initStringInfo(&out);
	jinja_pformat(&out, ARG(0));
	return value_text(&out);
}

/* JSON that may stand in HTML. */
Value
jinja_tojson(JinjaCall *call)
{
	StringInfoData json;
	StringInfoData out;
	char	   *indent = NULL;

	if (is_given(call, 1))
	{
		bool		text = ARG(1)->kind == VALUE_STRING;
		int64		width = text ? ARG(1)->u.string.len : Max(jinja_int_arg(call, 1, 0), 0);

		if (width > 1000)
			expr_limit("an indentation is too wide");
		indent = palloc0(width + 1);
		if (text)
			memcpy(indent, ARG(1)->u.string.data, width);
		else
			memset(indent, ' ', width);
	}
	initStringInfo(&json);
	jinja_json(&json, ARG(0), indent);
	initStringInfo(&out);
	for (int i = 0; i < json.len; i++)
	{
		if (strchr("<>&'", json.data[i]) != NULL)
			appendStringInfo(&out, "\\u%04x", json.data[i]);
		else
			appendStringInfoChar(&out, json.data[i]);
	}
	return jinja_markup(value_text(&out));
}
