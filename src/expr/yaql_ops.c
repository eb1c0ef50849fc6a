/*
 * yaql_ops.c
 *		YAQL's operators, logic and branching.
 */
#include "postgres.h"

#include "common/int.h"

#include "expr/yaql_lib.h"

int64
yaql_int_arg(YaqlCall *call, int i)
{
	Value	   *arg = ARG(i);

	if (arg->kind == VALUE_BOOL)
		return arg->u.boolean;
	if (arg->kind != VALUE_INT)
		expr_fail("an argument is too large");
	return arg->u.integer;
}

static const YaqlGroup *
group_of(const YaqlGroup **kept, const char *name)
{
	if (*kept == NULL)
		*kept = yaql_group(name, strlen(name));
	return *kept;
}

Value
yaql_add(Eval *ev, Frame *frame, const Value *a, const Value *b)
{
	static const YaqlGroup *group = NULL;
	Value		args[2] = {*a, *b};

	if (a->kind == VALUE_INT && b->kind == VALUE_INT)
		return number_add(a, b);
	return yaql_call_values(ev, frame, group_of(&group, "#operator_+"), args, 2);
}

bool
yaql_less(Eval *ev, Frame *frame, const Value *a, const Value *b)
{
	static const YaqlGroup *group = NULL;
	Value		args[2] = {*a, *b};
	Value		result;

	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
		return value_string_compare(a, b) < 0;
	result = yaql_call_values(ev, frame, group_of(&group, "#operator_<"), args, 2);
	return value_truth(&result);
}

bool
yaql_greater(Eval *ev, Frame *frame, const Value *a, const Value *b)
{
	static const YaqlGroup *group = NULL;
	Value		args[2] = {*a, *b};
	Value		result;

	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
		return value_string_compare(a, b) > 0;
	result = yaql_call_values(ev, frame, group_of(&group, "#operator_>"), args, 2);
	return value_truth(&result);
}

/* -1, 0, 1; 2 where nothing holds.  Null is below everything but itself. */
static int
compare(const Value *a, const Value *b)
{
	if (a->kind == VALUE_NULL || b->kind == VALUE_NULL)
		return a->kind == b->kind ? 0 : a->kind == VALUE_NULL ? -1 : 1;
	if (value_is_number(a))
		return number_compare(a, b);
	if (a->kind == VALUE_STRING)
	{
		int			c = value_string_compare(a, b);

		return c < 0 ? -1 : c > 0;
	}
	if (a->kind == VALUE_TIMESPAN)
		return a->u.timespan < b->u.timespan ? -1 : a->u.timespan > b->u.timespan;
	if (a->kind == VALUE_DATETIME)
	{
		int64		x = datetime_utc(a);
		int64		y = datetime_utc(b);

		return x < y ? -1 : x > y;
	}
	if (value_is_subset(a, b))
		return value_is_subset(b, a) ? 0 : -1;
	return value_is_subset(b, a) ? 1 : 2;
}

Value
yaql_lt(YaqlCall *call)
{
	return value_bool(compare(ARG(0), ARG(1)) == -1);
}

Value
yaql_le(YaqlCall *call)
{
	int			c = compare(ARG(0), ARG(1));

	return value_bool(c == -1 || c == 0);
}

Value
yaql_gt(YaqlCall *call)
{
	return value_bool(compare(ARG(0), ARG(1)) == 1);
}

Value
yaql_ge(YaqlCall *call)
{
	int			c = compare(ARG(0), ARG(1));

	return value_bool(c == 1 || c == 0);
}

Value
yaql_equal(YaqlCall *call)
{
	return value_bool(value_equal(ARG(0), ARG(1)));
}

Value
yaql_not_equal(YaqlCall *call)
{
	return value_bool(!value_equal(ARG(0), ARG(1)));
}

Value
yaql_and(YaqlCall *call)
{
	Value		left = yaql_call_lambda(call->ev, ARG(0), NULL, 0);

	return value_truth(&left) ? yaql_call_lambda(call->ev, ARG(1), NULL, 0) : left;
}

Value
yaql_or(YaqlCall *call)
{
	Value		left = yaql_call_lambda(call->ev, ARG(0), NULL, 0);

	return value_truth(&left) ? left : yaql_call_lambda(call->ev, ARG(1), NULL, 0);
}

Value
yaql_not(YaqlCall *call)
{
	return value_bool(!value_truth(ARG(0)));
}

Value
yaql_bool(YaqlCall *call)
{
	return value_bool(value_truth(ARG(0)));
}

Value
yaql_is_boolean(YaqlCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_BOOL);
}

Value
yaql_add_numbers(YaqlCall *call)
{
	return number_add(ARG(0), ARG(1));
}

Value
yaql_subtract(YaqlCall *call)
{
	return number_subtract(ARG(0), ARG(1));
}

Value
yaql_multiply(YaqlCall *call)
{
	return number_multiply(ARG(0), ARG(1));
}

Value
yaql_divide(YaqlCall *call)
{
	if (value_is_integer(ARG(0)) && value_is_integer(ARG(1)))
		return number_floor_divide(ARG(0), ARG(1));
	return number_divide(ARG(0), ARG(1));
}

Value
yaql_modulo(YaqlCall *call)
{
	return number_modulo(ARG(0), ARG(1));
}

Value
yaql_plus(YaqlCall *call)
{
	return *ARG(0);
}

Value
yaql_minus(YaqlCall *call)
{
	return number_negate(ARG(0));
}

/* The text and the number in the order in which they came. */
static int64
repetitions(YaqlCall *call, int *text)
{
	int			number = value_is_integer(ARG(0)) ? 0 : 1;

	*text = 1 - number;
	if (ARG(number)->kind == VALUE_BIGINT)
		expr_fail("a number of repetitions is too large");
	return Max(yaql_int_arg(call, number), 0);
}

Value
yaql_repeat_string(YaqlCall *call)
{
	int			text;
	int64		times = repetitions(call, &text);
	int64		size;
	char	   *out;
	Value	   *s = ARG(text);

	if (s->u.string.len == 0)
		return *s;
	if (pg_mul_s64_overflow(times, s->u.string.len, &size) || size > EVAL_MAX_LENGTH)
		expr_limit("a text grows too long");
	expr_reserve(size);
	out = palloc(size + 1);
	for (int64 i = 0; i < times; i++)
		memcpy(out + i * s->u.string.len, s->u.string.data, s->u.string.len);
	out[size] = '\0';
	return value_string(out, size);
}

Value
yaql_repeat_list(YaqlCall *call)
{
	int			which;
	int64		times = repetitions(call, &which);
	ListObject *list = value_list_object(ARG(which));
	int64		size;
	Value		result;

	if (list->n == 0)
		times = 0;
	if (pg_mul_s64_overflow(times, list->n, &size) || size > EVAL_MAX_LENGTH / (int64) sizeof(Value))
		expr_limit("a list grows too long");
	result = value_list_sized(size);
	for (int64 i = 0; i < times; i++)
	{
		eval_tick(call->ev);
		for (int j = 0; j < list->n; j++)
			value_push(&result, list->items[j]);
	}
	result.flags |= ARG(which)->flags & VALUE_F_MUTABLE;
	return result;
}

Value
yaql_switch(YaqlCall *call)
{
	for (int i = 0; i < call->nargs; i++)
	{
		Lambda	   *pair = ARG(i)->u.object;
		Value		condition = yaql_eval(call->ev, pair->node->args[0], pair->frame);

		if (value_truth(&condition))
			return yaql_eval(call->ev, pair->node->args[1], pair->frame);
	}
	return value_null();
}

Value
yaql_coalesce(YaqlCall *call)
{
	for (int i = 0; i < call->nargs; i++)
	{
		Value		value = yaql_call_lambda(call->ev, ARG(i), NULL, 0);

		if (value.kind != VALUE_NULL)
			return value;
	}
	return value_null();
}

Value
yaql_select_case(YaqlCall *call)
{
	for (int i = 0; i < call->nargs; i++)
	{
		Value		value = yaql_call_lambda(call->ev, ARG(i), NULL, 0);

		if (value_truth(&value))
			return value_int(i);
	}
	return value_int(call->nargs);
}

static bool
cases_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	while (it->at < it->n)
	{
		Value		value = yaql_call_lambda(base->ev, &it->values[it->at], NULL, 0);
		bool		truth = value_truth(&value);

		it->at++;
		if (!it->started || truth)
		{
			*item = it->started ? value_int(it->at - 1) : value_bool(truth);
			return true;
		}
	}
	return false;
}

static Value
cases(YaqlCall *call, bool only_true)
{
	Lazy	   *it = yaql_lazy(call, cases_next);

	it->n = call->nargs;
	it->values = palloc(sizeof(Value) * Max(call->nargs, 1));
	memcpy(it->values, call->args, sizeof(Value) * call->nargs);
	it->started = only_true;
	return iterator_value(&it->base);
}

Value
yaql_select_all_cases(YaqlCall *call)
{
	return cases(call, true);
}

Value
yaql_examine(YaqlCall *call)
{
	return cases(call, false);
}

Value
yaql_switch_case(YaqlCall *call)
{
	int64		n = call->nargs - 1;
	int64		which = ARG(0)->kind == VALUE_BIGINT ? -1 : yaql_int_arg(call, 0);

	if (n == 0)
		return value_null();
	if (which < 0 || which >= n)
		which = n - 1;
	return yaql_call_lambda(call->ev, ARG(1 + which), NULL, 0);
}
