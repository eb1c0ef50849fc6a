/*
 * yaql_aggregates.c
 *		YAQL's functions on collections that walk them at once; ordering and
 *		grouping.
 */
#include "postgres.h"

#include "expr/yaql_lib.h"

Value
yaql_any(YaqlCall *call)
{
	Iterator   *it = value_iterate(ARG(0));
	Value		item;

	while (iterator_next(it, &item))
	{
		Value		result;

		if (!HAS(1))
			return value_bool(true);
		result = yaql_call1(call->ev, ARG(1), item);
		if (value_truth(&result))
			return value_bool(true);
	}
	return value_bool(false);
}

Value
yaql_all(YaqlCall *call)
{
	Iterator   *it = value_iterate(ARG(0));
	Value		item;

	while (iterator_next(it, &item))
	{
		Value		result = HAS(1) ? yaql_call1(call->ev, ARG(1), item) : item;

		if (!value_truth(&result))
			return value_bool(false);
	}
	return value_bool(true);
}

Value
yaql_count(YaqlCall *call)
{
	Iterator   *it;
	Value		item;
	int64		n = 0;

	if (ARG(0)->kind == VALUE_LIST)
		return value_int(value_list_length(ARG(0)));
	it = value_iterate(ARG(0));
	while (iterator_next(it, &item))
		n++;
	return value_int(n);
}

Value
yaql_memorize(YaqlCall *call)
{
	return value_memorize(ARG(0));
}

Value
yaql_first(YaqlCall *call)
{
	Iterator   *it = value_iterate(ARG(0));
	Value		item;

	if (iterator_next(it, &item))
		return item;
	if (GIVEN(1))
		return *ARG(1);
	expr_fail("first() of an empty collection");
}

Value
yaql_single(YaqlCall *call)
{
	Iterator   *it = value_iterate(ARG(0));
	Value		item;
	Value		other;

	if (!iterator_next(it, &item))
		expr_fail("single() of an empty collection");
	if (iterator_next(it, &other))
		expr_fail("single() of a collection with more than one element");
	return item;
}

Value
yaql_last(YaqlCall *call)
{
	Iterator   *it;
	Value		item;
	Value		last = *ARG(1);

	if (ARG(0)->kind == VALUE_LIST && value_list_length(ARG(0)) > 0)
		return value_list_item(ARG(0), value_list_length(ARG(0)) - 1);
	it = value_iterate(ARG(0));
	while (iterator_next(it, &item))
		last = item;
	if (last.kind == VALUE_UNDEFINED)
		expr_fail("last() of an empty collection");
	return last;
}

typedef Value (*Fold) (YaqlCall *call, const Value *total, const Value *item);

static Value
fold(YaqlCall *call, const Value *initial, Fold step)
{
	Iterator   *it = value_iterate(ARG(0));
	Value		total = *initial;
	Value		item;

	if (total.kind == VALUE_UNDEFINED && !iterator_next(it, &total))
		expr_fail("%s() of an empty collection needs an initial value", call->function->name);
	while (iterator_next(it, &item))
		total = step(call, &total, &item);
	return total;
}

static Value
fold_lambda(YaqlCall *call, const Value *total, const Value *item)
{
	Value		pair[2] = {*total, *item};

	return yaql_call_lambda(call->ev, ARG(1), pair, 2);
}

static Value
fold_sum(YaqlCall *call, const Value *total, const Value *item)
{
	return yaql_add(call->ev, call->frame, total, item);
}

static Value
fold_max(YaqlCall *call, const Value *total, const Value *item)
{
	return yaql_greater(call->ev, call->frame, item, total) ? *item : *total;
}

static Value
fold_min(YaqlCall *call, const Value *total, const Value *item)
{
	return yaql_greater(call->ev, call->frame, item, total) ? *total : *item;
}

Value
yaql_aggregate(YaqlCall *call)
{
	return fold(call, ARG(2), fold_lambda);
}

Value
yaql_sum(YaqlCall *call)
{
	return fold(call, ARG(1), fold_sum);
}

Value
yaql_max_of(YaqlCall *call)
{
	return fold(call, ARG(1), fold_max);
}

Value
yaql_min_of(YaqlCall *call)
{
	return fold(call, ARG(1), fold_min);
}

Value
yaql_max(YaqlCall *call)
{
	return fold_max(call, ARG(0), ARG(1));
}

Value
yaql_min(YaqlCall *call)
{
	return fold_min(call, ARG(0), ARG(1));
}

/* The first or last position of an element that is `item`, or for which it holds. */
static Value
position_of(YaqlCall *call, bool predicate, bool last)
{
	Iterator   *it = value_iterate(ARG(0));
	Value		item;
	int64		at = 0;
	int64		found = -1;

	for (; iterator_next(it, &item); at++)
	{
		Value		result;
		bool		match;

		if (predicate)
		{
			result = yaql_call1(call->ev, ARG(1), item);
			match = value_truth(&result);
		}
		else
			match = value_equal(&item, ARG(1));
		if (match)
		{
			found = at;
			if (!last)
				break;
		}
	}
	return value_int(found);
}

Value
yaql_index_of(YaqlCall *call)
{
	return position_of(call, false, false);
}

Value
yaql_last_index_of(YaqlCall *call)
{
	return position_of(call, false, true);
}

Value
yaql_index_where(YaqlCall *call)
{
	return position_of(call, true, false);
}

Value
yaql_last_index_where(YaqlCall *call)
{
	return position_of(call, true, true);
}

Value
yaql_split_at(YaqlCall *call)
{
	Value		list = value_collect(ARG(0));
	int64		at = yaql_int_arg(call, 1);
	Value		parts[2];

	parts[0] = value_list_slice(&list, 0, at);
	parts[1] = value_list_slice(&list, at, PG_INT64_MAX);
	list = value_list_of(parts, 2);
	list.flags |= VALUE_F_MUTABLE;
	return list;
}

Value
yaql_default_if_empty(YaqlCall *call)
{
	Value		memory;
	Value		item;

	if (ARG(0)->kind == VALUE_LIST)
		return value_list_length(ARG(0)) ? *ARG(0) : *ARG(1);
	memory = value_memorize(ARG(0));
	return iterator_next(value_iterate(&memory), &item) ? memory : *ARG(1);
}

/* Ordering */

typedef struct OrderField
{
	Value		selector;
	bool		descending;
} OrderField;

#define MAX_ORDER_FIELDS 64

typedef struct Ordered
{
	OrderedObject base;
	Eval	   *ev;
	Frame	   *frame;
	int			n;
	OrderField	fields[MAX_ORDER_FIELDS];
} Ordered;

/* A row's key, which the selector gives when it is first compared. */
static void
need_key(Ordered *o, Value *row, int i)
{
	if (row[i].kind == VALUE_UNDEFINED)
		row[i] = yaql_call1(o->ev, &o->fields[i].selector, row[o->n]);
}

static int
compare_rows(Ordered *o, Value *a, Value *b)
{
	for (int i = 0; i < o->n; i++)
	{
		int			sign = o->fields[i].descending ? -1 : 1;

		need_key(o, a, i);
		need_key(o, b, i);
		if (yaql_less(o->ev, o->frame, &a[i], &b[i]))
			return -sign;
		if (yaql_greater(o->ev, o->frame, &a[i], &b[i]))
			return sign;
	}
	return 0;
}

/* Stable: merges rows[from, to) through `spare`. */
static void
merge_sort(Ordered *o, Value **rows, Value **spare, int from, int to)
{
	int			middle = from + (to - from) / 2;
	int			left = from;
	int			right = middle;

	if (to - from < 2)
		return;
	merge_sort(o, rows, spare, from, middle);
	merge_sort(o, rows, spare, middle, to);
	for (int i = from; i < to; i++)
	{
		eval_tick(o->ev);
		if (right >= to || (left < middle && compare_rows(o, rows[right], rows[left]) >= 0))
			spare[i] = rows[left++];
		else
			spare[i] = rows[right++];
	}
	memcpy(rows + from, spare + from, (to - from) * sizeof(Value *));
}

/* Each row is the keys and, last, the element. */
static Value
sort_ordered(OrderedObject *base)
{
	Ordered    *o = (Ordered *) base;
	Value		list = value_collect(&base->collection);
	ListObject *object = list.u.object;
	Value		result = value_list_sized(object->n);
	Value	  **rows = (Value **) MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Value *) * (object->n + 1) * 2);

	for (int i = 0; i < object->n; i++)
	{
		eval_tick(o->ev);
		rows[i] = palloc(sizeof(Value) * (o->n + 1));
		for (int j = 0; j < o->n; j++)
			rows[i][j].kind = VALUE_UNDEFINED;
		rows[i][o->n] = object->items[i];
	}
	merge_sort(o, rows, rows + object->n + 1, 0, object->n);
	for (int i = 0; i < object->n; i++)
		value_push(&result, rows[i][o->n]);
	return result;
}

static void
add_field(Ordered *o, const Value *selector, bool descending)
{
	if (o->n == MAX_ORDER_FIELDS)
		expr_limit("a collection is ordered by more than %d fields", MAX_ORDER_FIELDS);
	o->fields[o->n++] = (OrderField)
	{
		*selector, descending
	};
}

static Value
order_by(YaqlCall *call, bool descending)
{
	Ordered    *o = palloc0(sizeof(Ordered));

	o->base.collection = *ARG(0);
	o->base.sort = sort_ordered;
	o->ev = call->ev;
	o->frame = call->frame;
	add_field(o, ARG(1), descending);
	return value_object(VALUE_ORDERED, 0, o);
}

Value
yaql_order_by(YaqlCall *call)
{
	return order_by(call, false);
}

Value
yaql_order_by_descending(YaqlCall *call)
{
	return order_by(call, true);
}

Value
yaql_then_by(YaqlCall *call)
{
	add_field(ARG(0)->u.object, ARG(1), false);
	return *ARG(0);
}

Value
yaql_then_by_descending(YaqlCall *call)
{
	add_field(ARG(0)->u.object, ARG(1), true);
	return *ARG(0);
}

/* Grouping */

/*
 * The aggregator gets the group's values; older expressions expect the row of
 * key and values, and give a row.  Which of both it is shows when the first
 * way fails in a way that a wrong kind of argument explains.
 */
typedef struct Groups
{
	Iterator	base;
	DictObject *groups;
	int			at;
	Value		aggregator;
	bool		old_style;
	bool		may_fall_back;
} Groups;

static bool
try_aggregator(Groups *g, const Value *values, Value *result)
{
	MemoryContext old = CurrentMemoryContext;
	volatile bool ok = true;
	Eval	   *ev = g->base.ev;
	int			position = ev->position;

	ev->no_match = false;
	PG_TRY();
	{
		*result = yaql_call1(ev, &g->aggregator, *values);
	}
	PG_CATCH();
	{
		/* Only our own complaints about arguments, which touch nothing outside. */
		if (!g->may_fall_back || !ev->no_match || geterrcode() != ERRCODE_MISTRAL_EXPRESSION)
			PG_RE_THROW();
		MemoryContextSwitchTo(old);
		FlushErrorState();
		ev->position = position;
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

static bool
looks_like_row(const Value *result, const Value *values)
{
	Value		first;
	Value		value;

	if (value_list_length(values) != 2 || result->kind != VALUE_LIST || value_list_length(result) != 2)
		return false;
	first = value_list_item(result, 0);
	value = value_list_item(values, 0);
	return value_equal(&first, &value);
}

static bool
groups_next(Iterator *base, Value *item)
{
	Groups	   *g = (Groups *) base;
	Value		row[2];
	Value		result;

	if (g->at >= g->groups->n)
		return false;
	row[0] = g->groups->entries[g->at].key;
	row[1] = g->groups->entries[g->at++].item;
	if (g->aggregator.kind == VALUE_NULL)
	{
		*item = value_list_of(row, 2);
		return true;
	}
	if (!g->old_style)
	{
		if (try_aggregator(g, &row[1], &result))
		{
			if (!looks_like_row(&result, &row[1]))
				g->may_fall_back = false;
			row[1] = result;
			*item = value_list_of(row, 2);
			return true;
		}
		g->old_style = true;
	}
	result = yaql_call1(base->ev, &g->aggregator, value_list_of(row, 2));
	if (result.kind != VALUE_LIST || value_list_length(&result) != 2)
		expr_fail("the aggregator of groupBy() fits neither the group's values nor its row");
	*item = result;
	return true;
}

Value
yaql_group_by(YaqlCall *call)
{
	Groups	   *g = palloc0(sizeof(Groups));
	Iterator   *it = value_iterate(ARG(0));
	Value		groups = value_dict_new();
	Value		item;

	while (iterator_next(it, &item))
	{
		Value		value = HAS(2) ? yaql_call1(call->ev, ARG(2), item) : item;
		Value		key = yaql_call1(call->ev, ARG(1), item);
		DictEntry  *entry = dict_object_find(groups.u.object, &key);

		if (entry == NULL)
		{
			Value		list = value_list_new();

			list.flags |= VALUE_F_MUTABLE;
			value_push(&list, value);
			value_dict_put(&groups, key, list);
		}
		else
			value_push(&entry->item, value);
	}
	g->base.next = groups_next;
	g->base.ev = call->ev;
	g->groups = groups.u.object;
	g->aggregator = *ARG(3);
	g->may_fall_back = true;
	return iterator_value(&g->base);
}

/* Merging */

static Value
merge_lists(YaqlCall *call, const Value *a, const Value *b)
{
	Value		both[2] = {*a, *b};
	ListObject *lists[2] = {value_list_object(a), value_list_object(b)};
	Value		seen = value_set_new();
	Value		result = value_list_new();

	if (HAS(2))
		return yaql_call_lambda(call->ev, ARG(2), both, 2);
	if ((a->flags ^ b->flags) & VALUE_F_MUTABLE)
		expr_fail("a list and a tuple cannot be merged; use toList()");
	for (int i = 0; i < 2; i++)
	{
		for (int j = 0; j < lists[i]->n; j++)
		{
			eval_tick(call->ev);
			if (!value_set_has(&seen, &lists[i]->items[j]))
			{
				dict_object_put(seen.u.object, lists[i]->items[j], value_null());
				value_push(&result, lists[i]->items[j]);
			}
		}
	}
	return result;
}

static Value
merge_dicts(YaqlCall *call, const Value *a, const Value *b, int64 levels)
{
	Value		result = value_dict_copy(a);
	DictObject *left = result.u.object;
	DictObject *right = value_dict_object(b);

	expr_check_depth();
	for (int i = 0; i < right->n; i++)
	{
		DictEntry  *entry = dict_object_find(left, &right->entries[i].key);
		Value		item = right->entries[i].item;

		eval_tick(call->ev);
		if (entry == NULL)
			;
		else if (levels != 1 && (item.kind == VALUE_DICT || item.kind == VALUE_LIST))
		{
			if (entry->item.kind != item.kind)
				expr_fail("%s and %s cannot be merged", value_kind_name(&entry->item), value_kind_name(&item));
			if (item.kind == VALUE_LIST)
				item = merge_lists(call, &entry->item, &item);
			else
				item = merge_dicts(call, &entry->item, &item, levels == 0 ? 0 : levels - 1);
		}
		else if (HAS(3))
		{
			Value		both[2] = {entry->item, item};

			item = yaql_call_lambda(call->ev, ARG(3), both, 2);
		}
		dict_object_put(left, right->entries[i].key, item);
	}
	result.flags |= VALUE_F_MUTABLE;
	return result;
}

Value
yaql_merge_with(YaqlCall *call)
{
	return merge_dicts(call, ARG(0), ARG(1), yaql_int_arg(call, 4));
}
