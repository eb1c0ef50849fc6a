/*
 * yaql_queries.c
 *		YAQL's lazy functions on collections: each gives an iterator.
 */
#include "postgres.h"

#include "common/int.h"

#include "expr/yaql_lib.h"

static Lazy *
over(YaqlCall *call, bool (*next) (Iterator *, Value *))
{
	Lazy	   *it = yaql_lazy(call, next);

	it->source = value_iterate(ARG(0));
	if (call->nargs > 1)
		it->function = *ARG(1);
	return it;
}

static bool
holds(Lazy *it, const Value *item)
{
	Value		result = yaql_call1(it->base.ev, &it->function, *item);

	return value_truth(&result);
}

static bool
where_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	while (iterator_next(it->source, item))
		if (holds(it, item))
			return true;
	return false;
}

Value
yaql_where(YaqlCall *call)
{
	return iterator_value(&over(call, where_next)->base);
}

static bool
select_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	if (!iterator_next(it->source, item))
		return false;
	*item = yaql_call1(base->ev, &it->function, *item);
	return true;
}

Value
yaql_select(YaqlCall *call)
{
	return iterator_value(&over(call, select_next)->base);
}

static bool
skip_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	for (; it->count > 0; it->count--)
		if (!iterator_next(it->source, item))
			return false;
	return iterator_next(it->source, item);
}

static bool
limit_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	return it->count-- > 0 && iterator_next(it->source, item);
}

static Value
counted(YaqlCall *call, bool (*next) (Iterator *, Value *))
{
	Lazy	   *it = over(call, next);

	it->count = yaql_int_arg(call, 1);
	if (it->count < 0)
		expr_fail("%s() takes a number that is not negative", call->function->name);
	return iterator_value(&it->base);
}

Value
yaql_skip(YaqlCall *call)
{
	return counted(call, skip_next);
}

Value
yaql_limit(YaqlCall *call)
{
	return counted(call, limit_next);
}

static bool
chain_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	while (it->at < it->n)
	{
		if (it->source == NULL)
			it->source = value_iterate(&it->values[it->at]);
		if (iterator_next(it->source, item))
			return true;
		it->source = NULL;
		it->at++;
	}
	return false;
}

static Value
chain(YaqlCall *call, const Value *values, int n)
{
	Lazy	   *it = yaql_lazy(call, chain_next);

	it->n = n;
	it->values = palloc(sizeof(Value) * Max(n, 1));
	memcpy(it->values, values, sizeof(Value) * n);
	return iterator_value(&it->base);
}

Value
yaql_concat(YaqlCall *call)
{
	return chain(call, call->args, call->nargs);
}

Value
yaql_concat_two(YaqlCall *call, const Value *a, const Value *b)
{
	Value		both[2] = {*a, *b};

	return chain(call, both, 2);
}

Value
yaql_append(YaqlCall *call)
{
	Value		rest = value_list_of(call->args + 1, call->nargs - 1);

	return yaql_concat_two(call, ARG(0), &rest);
}

static bool
distinct_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	while (iterator_next(it->source, item))
	{
		Value		key = it->function.kind == VALUE_NULL ? *item : yaql_call1(base->ev, &it->function, *item);

		if (!value_set_has(&it->seen, &key))
		{
			dict_object_put(it->seen.u.object, key, value_null());
			return true;
		}
	}
	return false;
}

Value
yaql_distinct(YaqlCall *call)
{
	Lazy	   *it = over(call, distinct_next);

	it->seen = value_set_new();
	return iterator_value(&it->base);
}

static bool
enumerate_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	Value		row[2];

	if (!iterator_next(it->source, item))
		return false;
	row[0] = value_int(it->at++);
	row[1] = *item;
	*item = value_list_of(row, 2);
	item->flags |= VALUE_F_MUTABLE;
	return true;
}

Value
yaql_enumerate(YaqlCall *call)
{
	Lazy	   *it = over(call, enumerate_next);

	if (!HAS(1))
		expr_fail("enumerate() takes an integer to start with");
	it->at = yaql_int_arg(call, 1);
	return iterator_value(&it->base);
}

static bool
select_many_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	for (;;)
	{
		if (it->other)
		{
			if (iterator_next(it->other, item))
				return true;
			it->other = NULL;
		}
		if (!iterator_next(it->source, item))
			return false;
		*item = yaql_call1(base->ev, &it->function, *item);
		if (!value_is_iterable(item))
			return true;
		it->other = value_iterate(item);
	}
}

Value
yaql_select_many(YaqlCall *call)
{
	return iterator_value(&over(call, select_many_next)->base);
}

static bool
take_while_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	if (it->done || !iterator_next(it->source, item))
		return false;
	it->done = !holds(it, item);
	return !it->done;
}

static bool
skip_while_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	while (iterator_next(it->source, item))
	{
		it->started = it->started || !holds(it, item);
		if (it->started)
			return true;
	}
	return false;
}

Value
yaql_take_while(YaqlCall *call)
{
	return iterator_value(&over(call, take_while_next)->base);
}

Value
yaql_skip_while(YaqlCall *call)
{
	return iterator_value(&over(call, skip_while_next)->base);
}

/* Integers from `at` by `count` (the step), up to `from` (the end) unless endless. */
static bool
range_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	if (it->done || (it->n && (it->count > 0 ? it->at >= it->from : it->at <= it->from)))
		return false;
	*item = value_int(it->at);
	it->done = pg_add_s64_overflow(it->at, it->count, &it->at);
	return true;
}

static Value
make_range(YaqlCall *call, int64 start, int64 stop, int64 step, bool endless)
{
	Lazy	   *it = yaql_lazy(call, range_next);

	it->at = start;
	it->from = stop;
	it->count = step;
	it->n = endless ? 0 : 1;
	return iterator_value(&it->base);
}

Value
yaql_range_to(YaqlCall *call)
{
	return make_range(call, 0, yaql_int_arg(call, 0), 1, false);
}

Value
yaql_range(YaqlCall *call)
{
	if (yaql_int_arg(call, 2) == 0)
		expr_fail("the step of range() is zero");
	return make_range(call, yaql_int_arg(call, 0), yaql_int_arg(call, 1), yaql_int_arg(call, 2), false);
}

Value
yaql_sequence(YaqlCall *call)
{
	return make_range(call, yaql_int_arg(call, 0), 0, yaql_int_arg(call, 1), true);
}

/* Rows of one element of each; with `started` to the end of the longest. */
static bool
zip_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	Value		row;
	bool		any = false;

	if (it->done || it->n == 0)
		return false;
	row = value_list_sized(it->n);
	for (int i = 0; i < it->n; i++)
	{
		if (it->sources[i] && !iterator_next(it->sources[i], item))
			it->sources[i] = NULL;
		if (it->sources[i] == NULL && !it->started)
		{
			it->done = true;
			return false;
		}
		any |= it->sources[i] != NULL;
		value_push(&row, it->sources[i] ? *item : it->value);
	}
	it->done = !any;
	*item = row;
	return any;
}

static Lazy *
zip(YaqlCall *call)
{
	Lazy	   *it = yaql_lazy(call, zip_next);

	it->n = call->nargs;
	it->sources = palloc(sizeof(Iterator *) * Max(it->n, 1));
	for (int i = 0; i < it->n; i++)
		it->sources[i] = value_iterate(ARG(i));
	return it;
}

Value
yaql_zip(YaqlCall *call)
{
	return iterator_value(&zip(call)->base);
}

Value
yaql_zip_longest(YaqlCall *call)
{
	Lazy	   *it = zip(call);

	it->started = true;
	it->value = value_null();
	for (int i = 0; i < call->nkeywords; i++)
		if (strcmp(call->keyword_names[i].u.string.data, "default") == 0)
			it->value = call->keyword_values[i];
	return iterator_value(&it->base);
}

/* Pairs of both collections for which the predicate holds. */
static bool
join_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	Value		pair[2];

	for (;;)
	{
		if (it->other == NULL)
		{
			if (!iterator_next(it->source, &it->value))
				return false;
			it->other = value_iterate(&it->list);
		}
		pair[0] = it->value;
		while (iterator_next(it->other, &pair[1]))
		{
			Value		match = yaql_call_lambda(base->ev, &it->function, pair, 2);

			if (value_truth(&match))
			{
				*item = yaql_call_lambda(base->ev, &it->selector, pair, 2);
				return true;
			}
		}
		it->other = NULL;
	}
}

Value
yaql_join_collections(YaqlCall *call)
{
	Lazy	   *it = over(call, join_next);

	it->list = value_memorize(ARG(1));
	it->function = *ARG(2);
	it->selector = *ARG(3);
	return iterator_value(&it->base);
}

static bool
repeat_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	if (it->count == 0)
		return false;
	if (it->count > 0)
		it->count--;
	*item = it->value;
	return true;
}

Value
yaql_repeat(YaqlCall *call)
{
	Lazy	   *it = yaql_lazy(call, repeat_next);

	it->value = *ARG(0);
	it->count = Max(yaql_int_arg(call, 1), -1);
	return iterator_value(&it->base);
}

static bool
cycle_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	int			n;

	if (!it->done)
	{
		if (iterator_next(it->source, item))
		{
			value_push(&it->list, *item);
			return true;
		}
		it->done = true;
	}
	n = value_list_length(&it->list);
	if (n == 0)
		return false;
	*item = value_list_item(&it->list, it->at++ % n);
	return true;
}

Value
yaql_cycle(YaqlCall *call)
{
	Lazy	   *it = over(call, cycle_next);

	it->list = value_list_new();
	return iterator_value(&it->base);
}

static bool
slice_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	Value		chunk = value_list_new();

	if (it->count < 0)
		expr_fail("the length of a slice is negative");
	while (value_list_length(&chunk) < it->count && iterator_next(it->source, item))
		value_push(&chunk, *item);
	*item = chunk;
	return value_list_length(&chunk) > 0;
}

Value
yaql_slice(YaqlCall *call)
{
	Lazy	   *it = over(call, slice_next);

	it->count = yaql_int_arg(call, 1);
	return iterator_value(&it->base);
}

/*
 * Parts of a list: between elements for which the predicate holds (they go),
 * or with `started` wherever the predicate's value changes.
 */
static bool
parts_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	ListObject *list;

	if (it->list.kind == VALUE_NULL)
		it->list = iterator_to_list(it->source);
	list = it->list.u.object;
	while (it->at < list->n)
	{
		int64		at = it->at++;
		Value		result = yaql_call1(base->ev, &it->function, list->items[at]);
		bool		cut;

		if (it->started)
			cut = it->value.kind != VALUE_UNDEFINED && !value_equal(&result, &it->value);
		else
			cut = value_truth(&result);
		it->value = result;
		if (cut)
		{
			*item = value_list_of(list->items + it->from, at - it->from);
			it->from = it->started ? at : at + 1;
			return true;
		}
	}
	if (it->from == list->n)
		return false;
	*item = value_list_of(list->items + it->from, list->n - it->from);
	it->from = list->n;
	return true;
}

Value
yaql_split_where(YaqlCall *call)
{
	return iterator_value(&over(call, parts_next)->base);
}

Value
yaql_slice_where(YaqlCall *call)
{
	Lazy	   *it = over(call, parts_next);

	it->started = true;
	it->value.kind = VALUE_UNDEFINED;
	return iterator_value(&it->base);
}

static bool
accumulate_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	Value		pair[2];

	if (!it->started)
	{
		it->started = true;
		if (it->value.kind == VALUE_UNDEFINED && !iterator_next(it->source, &it->value))
			expr_fail("accumulate() of an empty collection needs an initial value");
	}
	else
	{
		if (!iterator_next(it->source, item))
			return false;
		pair[0] = it->value;
		pair[1] = *item;
		it->value = yaql_call_lambda(base->ev, &it->function, pair, 2);
	}
	*item = it->value;
	return true;
}

Value
yaql_accumulate(YaqlCall *call)
{
	Lazy	   *it = over(call, accumulate_next);

	it->value = *ARG(2);
	return iterator_value(&it->base);
}

/* A value that was met before ends it, when cycles are to be broken. */
static bool
already_seen(Lazy *it, const Value *value)
{
	if (it->seen.kind != VALUE_SET)
		return false;
	if (value_set_has(&it->seen, value))
		return true;
	dict_object_put(it->seen.u.object, *value, value_null());
	return false;
}

static bool
generate_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	if (it->done)
		return false;
	if (it->started)
		it->value = yaql_call1(base->ev, &it->values[1], it->value);
	it->started = true;
	if (!holds(it, &it->value) || already_seen(it, &it->value))
	{
		it->done = true;
		return false;
	}
	*item = it->values[2].kind == VALUE_NULL ? it->value : yaql_call1(base->ev, &it->values[2], it->value);
	return true;
}

Value
yaql_generate(YaqlCall *call)
{
	Lazy	   *it = yaql_lazy(call, generate_next);

	it->value = *ARG(0);
	it->function = *ARG(1);
	it->values = palloc(3 * sizeof(Value));
	memcpy(it->values, call->args + 1, 3 * sizeof(Value));
	if (value_truth(ARG(4)))
		it->seen = value_set_new();
	return iterator_value(&it->base);
}

/* The queue is a list of which `at` were taken; depth first puts what is new in front. */
static bool
generate_many_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	for (;;)
	{
		ListObject *queue = it->list.u.object;
		Value		current;
		Value		produced;
		Iterator   *more;

		if (it->started)
		{
			it->started = false;
			produced = yaql_call1(base->ev, &it->function, it->value);
			more = yaql_iterate_anything(&produced);
			if (it->n)
			{
				Value		front = iterator_to_list(more);

				for (int i = it->at; i < queue->n; i++)
					value_push(&front, queue->items[i]);
				it->list = front;
				it->at = 0;
				queue = front.u.object;
			}
			else
				while (iterator_next(more, item))
					value_push(&it->list, *item);
		}
		if (it->at >= queue->n)
			return false;
		current = queue->items[it->at++];
		if (already_seen(it, &current))
			continue;
		it->value = current;
		it->started = true;
		*item = it->selector.kind == VALUE_NULL ? current : yaql_call1(base->ev, &it->selector, current);
		return true;
	}
}

Value
yaql_generate_many(YaqlCall *call)
{
	Lazy	   *it = yaql_lazy(call, generate_many_next);

	it->list = value_list_of(ARG(0), 1);
	it->function = *ARG(1);
	it->selector = *ARG(2);
	if (value_truth(ARG(3)))
		it->seen = value_set_new();
	it->n = value_truth(ARG(4)) ? 1 : 0;
	return iterator_value(&it->base);
}

Value
yaql_reverse(YaqlCall *call)
{
	Value		list = value_collect(ARG(0));
	ListObject *object = list.u.object;
	Value		reversed = value_list_sized(object->n);
	Lazy	   *it;

	for (int i = object->n - 1; i >= 0; i--)
		value_push(&reversed, object->items[i]);
	it = yaql_lazy(call, chain_next);
	it->n = 1;
	it->values = palloc(sizeof(Value));
	it->values[0] = reversed;
	return iterator_value(&it->base);
}
