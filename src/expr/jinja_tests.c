/*
 * jinja_tests.c
 *		Jinja2's tests: x is something.
 */
#include "postgres.h"

#include "expr/jinja.h"

/* Whether value % num == rest. */
static Value
has_rest(const Value *value, const Value *num, int64 rest)
{
	Value		modulo = jinja_binary(JINJA_MOD, value, num);
	Value		wanted = value_int(rest);

	return value_bool(jinja_equal(&modulo, &wanted));
}

Value
jinja_t_odd(JinjaCall *call)
{
	Value		two = value_int(2);

	return has_rest(ARG(0), &two, 1);
}

Value
jinja_t_even(JinjaCall *call)
{
	Value		two = value_int(2);

	return has_rest(ARG(0), &two, 0);
}

Value
jinja_t_divisibleby(JinjaCall *call)
{
	return has_rest(ARG(0), ARG(1), 0);
}

Value
jinja_t_defined(JinjaCall *call)
{
	return value_bool(ARG(0)->kind != VALUE_UNDEFINED);
}

Value
jinja_t_undefined(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_UNDEFINED);
}

static Value
is_name(const Value *value, const JinjaFunction *(*find) (const char *name, int len))
{
	if (value->kind != VALUE_STRING)
	{
		(void) value_hash(value);
		return value_bool(false);
	}
	return value_bool(value->u.string.len > 0 && find(value->u.string.data, value->u.string.len) != NULL);
}

Value
jinja_t_filter(JinjaCall *call)
{
	return is_name(ARG(0), jinja_filter);
}

Value
jinja_t_test(JinjaCall *call)
{
	return is_name(ARG(0), jinja_test);
}

Value
jinja_t_none(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_NULL);
}

Value
jinja_t_boolean(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_BOOL);
}

Value
jinja_t_false(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_BOOL && !ARG(0)->u.boolean);
}

Value
jinja_t_true(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_BOOL && ARG(0)->u.boolean);
}

Value
jinja_t_integer(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_INT || ARG(0)->kind == VALUE_BIGINT);
}

Value
jinja_t_float(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_FLOAT);
}

Value
jinja_t_lower(JinjaCall *call)
{
	call->self = jinja_str(ARG(0));
	return jinja_m_islower(call);
}

Value
jinja_t_upper(JinjaCall *call)
{
	call->self = jinja_str(ARG(0));
	return jinja_m_isupper(call);
}

Value
jinja_t_string(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_STRING);
}

Value
jinja_t_mapping(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_DICT);
}

Value
jinja_t_number(JinjaCall *call)
{
	return value_bool(value_is_number(ARG(0)));
}

Value
jinja_t_sequence(JinjaCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_STRING || ARG(0)->kind == VALUE_LIST || ARG(0)->kind == VALUE_DICT ||
					  jinja_object(ARG(0), JINJA_OBJECT_RANGE));
}

Value
jinja_t_iterable(JinjaCall *call)
{
	if (ARG(0)->kind == VALUE_UNDEFINED && (ARG(0)->flags & VALUE_F_STRICT))
		jinja_use(ARG(0));
	return value_bool(jinja_is_iterable(ARG(0)) || jinja_object(ARG(0), JINJA_OBJECT_LOOP));
}

Value
jinja_t_callable(JinjaCall *call)
{
	JinjaObject *object = ARG(0)->u.object;

	if (ARG(0)->kind == VALUE_UNDEFINED)
		return value_bool(true);
	return value_bool(ARG(0)->kind == VALUE_CALLABLE && object->type != JINJA_OBJECT_RANGE &&
					  object->type != JINJA_OBJECT_CYCLER && object->type != JINJA_OBJECT_NAMESPACE &&
					  object->type != JINJA_OBJECT_SELF);
}

/* Python's "is", as far as values here have an identity. */
Value
jinja_t_sameas(JinjaCall *call)
{
	const Value *a = ARG(0);
	const Value *b = ARG(1);

	if (a->kind != b->kind)
		return value_bool(false);
	switch (a->kind)
	{
		case VALUE_NULL:
			return value_bool(true);
		case VALUE_BOOL:
			return value_bool(a->u.boolean == b->u.boolean);
		case VALUE_INT:
			return value_bool(a->u.integer == b->u.integer);
		case VALUE_FLOAT:
			return value_bool(memcmp(&a->u.real, &b->u.real, sizeof(double)) == 0);
		case VALUE_STRING:
			return value_bool(a->u.string.len == b->u.string.len &&
							  (a->u.string.data == b->u.string.data ||
							   (a->u.string.len <= 1 && jinja_equal(a, b))));
		case VALUE_LIST:
		case VALUE_DICT:
			if ((a->flags ^ b->flags) & VALUE_F_JSONB)
				return value_bool(false);
			if (a->flags & VALUE_F_JSONB)
				return value_bool(a->u.jsonb.container == b->u.jsonb.container);
			return value_bool(a->u.object == b->u.object);
		default:
			return value_bool(a->u.object == b->u.object);
	}
}

Value
jinja_t_escaped(JinjaCall *call)
{
	return value_bool(jinja_is_markup(ARG(0)));
}

Value
jinja_t_in(JinjaCall *call)
{
	return value_bool(jinja_contains(ARG(1), ARG(0)));
}

Value
jinja_t_eq(JinjaCall *call)
{
	return value_bool(jinja_compare(JINJA_EQ, ARG(0), ARG(1)));
}

Value
jinja_t_ne(JinjaCall *call)
{
	return value_bool(jinja_compare(JINJA_NE, ARG(0), ARG(1)));
}

Value
jinja_t_gt(JinjaCall *call)
{
	return value_bool(jinja_compare(JINJA_GT, ARG(0), ARG(1)));
}

Value
jinja_t_ge(JinjaCall *call)
{
	return value_bool(jinja_compare(JINJA_GE, ARG(0), ARG(1)));
}

Value
jinja_t_lt(JinjaCall *call)
{
	return value_bool(jinja_compare(JINJA_LT, ARG(0), ARG(1)));
}

Value
jinja_t_le(JinjaCall *call)
{
	return value_bool(jinja_compare(JINJA_LE, ARG(0), ARG(1)));
}
