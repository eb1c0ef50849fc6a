/*
 * jinja_ops.c
 *		Python's operators, as strict as they are.
 */
#include "postgres.h"

#include "common/int.h"

#include "compat.h"
#include "expr/jinja.h"

static const char *const op_names[] = {
	"+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"
};

static void unfit(JinjaOp op, const Value *a, const Value *b) pg_attribute_noreturn();

static void
unfit(JinjaOp op, const Value *a, const Value *b)
{
	const char *left = jinja_kind_name(a);

	expr_fail("\"%s\" does not work on %s and %s", op_names[op], left, jinja_kind_name(b));
}

static Value
add_strings(const Value *a, const Value *b)
{
	bool		markup = jinja_is_markup(a) || jinja_is_markup(b);
	Value		left = markup ? jinja_escape(a) : *a;
	Value		right = markup ? jinja_escape(b) : *b;
	StringInfoData out;

	if (left.u.string.len > EVAL_MAX_LENGTH - right.u.string.len)
		expr_limit("a text grows too long");
	expr_reserve((Size) left.u.string.len + right.u.string.len);
	initStringInfo(&out);
	appendBinaryStringInfo(&out, left.u.string.data, left.u.string.len);
	appendBinaryStringInfo(&out, right.u.string.data, right.u.string.len);
	return markup ? jinja_markup(value_text(&out)) : value_text(&out);
}

static Value
add_lists(const Value *a, const Value *b)
{
	ListObject *left = value_list_object(a);
	ListObject *right = value_list_object(b);
	Value		list;

	if (left->n > EVAL_MAX_LENGTH / (int) sizeof(Value) - right->n)
		expr_limit("a list grows too long");
	list = value_list_sized(left->n + right->n);
	for (int i = 0; i < left->n; i++)
		value_push(&list, left->items[i]);
	for (int i = 0; i < right->n; i++)
		value_push(&list, right->items[i]);
	list.flags = a->flags & VALUE_F_MUTABLE;
	return list;
}

static bool
is_mutable(const Value *value)
{
	return (value->flags & VALUE_F_MUTABLE) != 0;
}

static Value
add(const Value *a, const Value *b)
{
	if (value_is_number(a) && value_is_number(b))
		return number_add(a, b);
	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
		return add_strings(a, b);
	if (a->kind == VALUE_LIST && b->kind == VALUE_LIST && is_mutable(a) == is_mutable(b))
		return add_lists(a, b);
	unfit(JINJA_ADD, a, b);
}

static Value
repeat(const Value *a, const Value *count)
{
	int64		times = jinja_int(count, "a number of repetitions");
	int64		unit = a->kind == VALUE_STRING ? a->u.string.len : value_list_length(a);
	int64		size;

	times = unit == 0 ? 0 : Max(times, 0);
	if (a->kind == VALUE_STRING)
	{
		char	   *out;

		if (pg_mul_s64_overflow(times, unit, &size) || size > EVAL_MAX_LENGTH)
			expr_limit("a text grows too long");
		expr_reserve(size);
		out = palloc(size + 1);
		for (int64 i = 0; i < times; i++)
			memcpy(out + i * unit, a->u.string.data, unit);
		out[size] = '\0';
		return jinja_as(a, value_string(out, size));
	}
	if (pg_mul_s64_overflow(times, unit, &size) || size > EVAL_MAX_LENGTH / (int64) sizeof(Value))
		expr_limit("a list grows too long");
	{
		ListObject *list = value_list_object(a);
		Value		result = value_list_sized(size);

		for (int64 i = 0; i < times; i++)
		{
			expr_tick();
			for (int k = 0; k < list->n; k++)
				value_push(&result, list->items[k]);
		}
		result.flags = a->flags & VALUE_F_MUTABLE;
		return result;
	}
}

static Value
multiply(const Value *a, const Value *b)
{
	if (value_is_number(a) && value_is_number(b))
		return number_multiply(a, b);
	if ((a->kind == VALUE_STRING || a->kind == VALUE_LIST) && value_is_integer(b))
		return repeat(a, b);
	if ((b->kind == VALUE_STRING || b->kind == VALUE_LIST) && value_is_integer(a))
		return repeat(b, a);
	unfit(JINJA_MUL, a, b);
}

static bool
is_setlike(const Value *value)
{
	return value->kind == VALUE_SET ||
		(value->kind == VALUE_DICT_VIEW && (value->flags & (VALUE_F_KEYS | VALUE_F_ITEMS)));
}

/* The elements of a that b does not hold: one of them is a view of a dict, or both are sets. */
static Value
subtract_sets(const Value *a, const Value *b)
{
	Iterator   *it = jinja_iterate(b);
	Value		without = value_set_new();
	Value		result = value_set_new();
	Value		item;

	while (iterator_next(it, &item))
		dict_object_put(without.u.object, item, value_null());
	it = jinja_iterate(a);
	while (iterator_next(it, &item))
		if (!value_set_has(&without, &item))
			dict_object_put(result.u.object, item, value_null());
	return jinja_mutable(result);
}

Value
jinja_binary(JinjaOp op, const Value *a, const Value *b)
{
	jinja_use(a);
	if (op == JINJA_ADD)
		return add(a, b);
	if (op == JINJA_MUL)
		return multiply(a, b);
	if (op == JINJA_MOD && a->kind == VALUE_STRING)
		return jinja_percent(a, b);
	if (op == JINJA_SUB && is_setlike(a) && (a->kind == VALUE_DICT_VIEW || is_setlike(b)) && jinja_is_iterable(b))
		return subtract_sets(a, b);
	if (op == JINJA_SUB && b->kind == VALUE_DICT_VIEW && is_setlike(b) && jinja_is_iterable(a))
		return subtract_sets(a, b);
	if (!value_is_number(a) || !value_is_number(b))
		unfit(op, a, b);
	switch (op)
	{
		case JINJA_SUB:
			return number_subtract(a, b);
		case JINJA_DIV:
			return number_divide(a, b);
		case JINJA_FLOORDIV:
			return number_floor_divide(a, b);
		case JINJA_MOD:
			return number_modulo(a, b);
		case JINJA_POW:
			return number_power(a, b);
		default:
			elog(ERROR, "unexpected Jinja2 operator %d", (int) op);
	}
}

Value
jinja_unary(JinjaOp op, const Value *a)
{
	if (!value_is_number(a))
		expr_fail("\"%s\" does not work on %s", op_names[op], jinja_kind_name(a));
	if (op == JINJA_SUB)
		return number_negate(a);
	return a->kind == VALUE_BOOL ? value_int(a->u.boolean) : *a;
}

bool
jinja_equal(const Value *a, const Value *b)
{
	JinjaRange *x = (JinjaRange *) jinja_object(a, JINJA_OBJECT_RANGE);
	JinjaRange *y = (JinjaRange *) jinja_object(b, JINJA_OBJECT_RANGE);

	if (a->kind == VALUE_UNDEFINED && (a->flags & VALUE_F_STRICT))
		jinja_use(a);
	if (b->kind == VALUE_UNDEFINED && (b->flags & VALUE_F_STRICT))
		jinja_use(b);
	if (a->kind == VALUE_UNDEFINED && b->kind == VALUE_UNDEFINED)
		return true;
	if (x && y)
		return x->length == y->length && (x->length == 0 || x->start == y->start) &&
			(x->length <= 1 || x->step == y->step);
	return value_equal(a, b);
}

static bool
is_less(JinjaOp op, int c)
{
	switch (op)
	{
		case JINJA_LT:
			return c < 0;
		case JINJA_LE:
			return c <= 0;
		case JINJA_GT:
			return c > 0;
		default:
			return c >= 0;
	}
}

/* Lists are compared by their first elements that differ. */
static bool
compare_lists(JinjaOp op, const Value *a, const Value *b)
{
	ListObject *left = value_list_object(a);
	ListObject *right = value_list_object(b);

	expr_check_depth();
	for (int i = 0; i < Min(left->n, right->n); i++)
	{
		expr_tick();
		if (!jinja_equal(&left->items[i], &right->items[i]))
			return jinja_compare(op, &left->items[i], &right->items[i]);
	}
	return is_less(op, left->n - right->n);
}

static bool
compare_sets(JinjaOp op, const Value *a, const Value *b)
{
	if (op == JINJA_GT || op == JINJA_GE)
		return compare_sets(op == JINJA_GT ? JINJA_LT : JINJA_LE, b, a);
	return value_is_subset(a, b) && (op == JINJA_LE || !value_is_subset(b, a));
}

static bool
compare_order(JinjaOp op, const Value *a, const Value *b)
{
	jinja_use(a);
	if (value_is_number(a) && value_is_number(b))
	{
		int			c = number_compare(a, b);

		return c != 2 && is_less(op, c);
	}
	if (a->kind == VALUE_STRING && b->kind == VALUE_STRING)
		return is_less(op, value_string_compare(a, b));
	if (a->kind == VALUE_LIST && b->kind == VALUE_LIST && is_mutable(a) == is_mutable(b))
		return compare_lists(op, a, b);
	if (is_setlike(a) && is_setlike(b))
		return compare_sets(op, a, b);
	if (a->kind == VALUE_DATETIME && b->kind == VALUE_DATETIME &&
		!((a->flags ^ b->flags) & (VALUE_F_NAIVE | VALUE_F_DATE)))
	{
		int64		x = datetime_utc(a);
		int64		y = datetime_utc(b);

		return is_less(op, x < y ? -1 : x > y);
	}
	unfit(op, a, b);
}

static bool
range_contains(const JinjaRange *range, const Value *item)
{
	Value		whole = *item;
	int64		i;

	if (item->kind == VALUE_FLOAT && value_is_number(item))
	{
		whole = item->u.real == item->u.real && item->u.real - item->u.real == 0 ? number_from_double(item->u.real) :
			value_null();
		if (whole.kind == VALUE_NULL || number_compare(&whole, item) != 0)
			return false;
	}
	if (whole.kind != VALUE_INT && whole.kind != VALUE_BOOL)
		return false;
	i = jinja_int(&whole, "a number");
	if (range->step > 0 ? i < range->start || i >= range->stop : i > range->start || i <= range->stop)
		return false;
	return (i - range->start) % range->step == 0;
}

bool
jinja_contains(const Value *container, const Value *item)
{
	JinjaRange *range = (JinjaRange *) jinja_object(container, JINJA_OBJECT_RANGE);
	Iterator   *it;
	Value		other;

	if (container->kind == VALUE_STRING)
	{
		jinja_use(item);
		if (item->kind != VALUE_STRING)
			expr_fail("a string holds strings only, not %s", jinja_kind_name(item));
		return jinja_find(container, item, 0, container->u.string.len, false) >= 0;
	}
	if (container->kind == VALUE_DICT)
		return value_dict_find(container, item, &other);
	if (container->kind == VALUE_SET)
		return value_set_has(container, item);
	if (container->kind == VALUE_DICT_VIEW && (container->flags & VALUE_F_KEYS))
		return value_dict_find(value_view_dict(container), item, &other);
	if (range && item->kind != VALUE_UNDEFINED)
		return range_contains(range, item);
	if (!jinja_is_iterable(container))
		expr_fail("%s holds no elements", jinja_kind_name(container));
	it = jinja_iterate(container);
	while (iterator_next(it, &other))
		if (jinja_equal(&other, item))
			return true;
	return false;
}

bool
jinja_compare(JinjaOp op, const Value *a, const Value *b)
{
	switch (op)
	{
		case JINJA_EQ:
			return jinja_equal(a, b);
		case JINJA_NE:
			return !jinja_equal(a, b);
		case JINJA_IN:
			return jinja_contains(b, a);
		case JINJA_NOT_IN:
			return !jinja_contains(b, a);
		default:
			return compare_order(op, a, b);
	}
}

/* Merges two sorted runs of places; equal elements keep their order. */
static void
merge(const Value *keys, const int *from, int *to, int start, int middle, int end, bool reverse)
{
	int			left = start;
	int			right = middle;

	for (int i = start; i < end; i++)
	{
		expr_tick();
		if (left < middle &&
			(right >= end ||
			 !(reverse ? jinja_compare(JINJA_LT, &keys[from[left]], &keys[from[right]]) :
			   jinja_compare(JINJA_LT, &keys[from[right]], &keys[from[left]]))))
			to[i] = from[left++];
		else
			to[i] = from[right++];
	}
}

/* Sorts items by their keys, as stable as Python's sort is, in reverse too. */
void
jinja_sort(Value *items, const Value *keys, int n, bool reverse)
{
	int		   *order;
	int		   *other;
	Value	   *sorted;

	if (n < 2)
		return;
	expr_reserve(mul_size(n, 2 * sizeof(int) + sizeof(Value)));
	order = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(int));
	other = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(int));
	sorted = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(Value));
	for (int i = 0; i < n; i++)
		order[i] = i;
	for (int64 width = 1; width < n; width *= 2)
	{
		int		   *swap = order;

		for (int64 start = 0; start < n; start += 2 * width)
			merge(keys, order, other, start, Min(start + width, n), Min(start + 2 * width, n), reverse);
		order = other;
		other = swap;
	}
	for (int i = 0; i < n; i++)
		sorted[i] = items[order[i]];
	memcpy(items, sorted, n * sizeof(Value));
}
