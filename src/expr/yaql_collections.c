/*
 * yaql_collections.c
 *		YAQL's functions on dicts, lists and sets.
 */
#include "postgres.h"

#include "expr/yaql_lib.h"

Lazy *
yaql_lazy(YaqlCall *call, bool (*next) (Iterator *, Value *))
{
	Lazy	   *it = palloc0(sizeof(Lazy));

	it->base.next = next;
	it->base.ev = call->ev;
	it->frame = call->frame;
	return it;
}

Value
yaql_list_literal(YaqlCall *call)
{
	return value_list_of(call->args, call->nargs);
}

Value
yaql_dict_pairs(YaqlCall *call)
{
	Value		dict = value_dict_new();

	for (int i = 0; i < call->nargs; i++)
	{
		Value	   *pair = ARG(i)->u.object;

		value_dict_put(&dict, pair[0], pair[1]);
	}
	return dict;
}

/* Characters of a text as Python iterates it; other things as they are walked. */
Iterator *
yaql_iterate_anything(const Value *value)
{
	Value		list;
	const char *s;
	const char *end;

	if (value->kind != VALUE_STRING)
		return value_iterate(value);
	list = value_list_new();
	s = value->u.string.data;
	end = s + value->u.string.len;
	while (s < end)
	{
		int			n = char_length(s, end);

		value_push(&list, value_string(s, n));
		s += n;
	}
	return value_iterate(&list);
}

Value
yaql_dict_items(YaqlCall *call)
{
	Value		dict = value_dict_new();
	Iterator   *it = value_iterate(ARG(0));
	Value		item;

	while (iterator_next(it, &item))
	{
		Iterator   *pair = yaql_iterate_anything(&item);
		Value		key;
		Value		value;

		if (!iterator_next(pair, &key) || !iterator_next(pair, &value))
			expr_fail("dict() takes a list of pairs");
		value_dict_put(&dict, key, value);
	}
	return dict;
}

Value
yaql_index_list(YaqlCall *call)
{
	int64		index = yaql_int_arg(call, 1);
	int			n = value_list_length(ARG(0));

	if (index < -(int64) n || index >= n)
	{
		call->ev->no_match = true;
		expr_fail("the index is beyond the end of the list");
	}
	return value_list_item(ARG(0), index < 0 ? index + n : index);
}

Value
yaql_index_dict(YaqlCall *call)
{
	Value		item;

	if (value_dict_find(ARG(0), ARG(1), &item))
		return item;
	if (GIVEN(2))
		return *ARG(2);
	expr_fail("the dict does not have the key");
}

Value
yaql_get(YaqlCall *call)
{
	Value		item;

	return value_dict_find(ARG(0), ARG(1), &item) ? item : *ARG(2);
}

Value
yaql_len_dict(YaqlCall *call)
{
	return value_int(value_dict_length(ARG(0)));
}

Value
yaql_len_list(YaqlCall *call)
{
	return value_int(value_list_length(ARG(0)));
}

/* Iterators among the arguments are walked, other collections are elements. */
static void
push_walked(Value *list, const Value *value)
{
	Iterator   *it;
	Value		item;

	expr_check_depth();
	if (value->kind != VALUE_ITERATOR)
	{
		value_push(list, *value);
		return;
	}
	it = value_iterate(value);
	while (iterator_next(it, &item))
		push_walked(list, &item);
}

Value
yaql_list(YaqlCall *call)
{
	Value		list = value_list_new();

	for (int i = 0; i < call->nargs; i++)
		push_walked(&list, ARG(i));
	return list;
}

Value
yaql_set(YaqlCall *call)
{
	Value		list = yaql_list(call);

	return yaql_set_from(&list);
}

Value
yaql_keys(YaqlCall *call)
{
	return value_view_of(ARG(0), VALUE_F_KEYS);
}

Value
yaql_values(YaqlCall *call)
{
	return value_view_of(ARG(0), 0);
}

Value
yaql_items(YaqlCall *call)
{
	return value_view_of(ARG(0), VALUE_F_ITEMS);
}

static bool
contains(const Value *collection, const Value *value)
{
	Iterator   *it;
	Value		item;

	if (collection->kind == VALUE_SET)
		return value_set_has(collection, value);
	if (collection->kind == VALUE_DICT_VIEW && (collection->flags & VALUE_F_KEYS))
		return value_dict_find(value_view_dict(collection), value, &item);
	it = value_iterate(collection);
	while (iterator_next(it, &item))
		if (value_equal(&item, value))
			return true;
	return false;
}

Value
yaql_contains(YaqlCall *call)
{
	return value_bool(contains(ARG(0), ARG(1)));
}

Value
yaql_in(YaqlCall *call)
{
	return value_bool(contains(ARG(1), ARG(0)));
}

Value
yaql_contains_key(YaqlCall *call)
{
	Value		item;

	return value_bool(value_dict_find(ARG(0), ARG(1), &item));
}

Value
yaql_contains_value(YaqlCall *call)
{
	DictObject *dict = value_dict_object(ARG(0));

	for (int i = 0; i < dict->n; i++)
	{
		eval_tick(call->ev);
		if (value_equal(&dict->entries[i].item, ARG(1)))
			return value_bool(true);
	}
	return value_bool(false);
}

Value
yaql_set_from(const Value *iterable)
{
	Iterator   *it = value_iterate(iterable);
	Value		set = value_set_new();
	Value		item;

	while (iterator_next(it, &item))
		dict_object_put(set.u.object, item, value_null());
	return set;
}

Value
yaql_to_set(YaqlCall *call)
{
	return yaql_set_from(ARG(0));
}

Value
yaql_to_list(YaqlCall *call)
{
	if (ARG(0)->kind == VALUE_LIST && !(ARG(0)->flags & VALUE_F_MUTABLE))
		return *ARG(0);
	if (ARG(0)->kind == VALUE_LIST)
	{
		ListObject *list = value_list_object(ARG(0));

		return value_list_of(list->items, list->n);
	}
	return value_collect(ARG(0));
}

Value
yaql_to_dict(YaqlCall *call)
{
	Value		dict = value_dict_new();
	Iterator   *it = value_iterate(ARG(0));
	Value		item;

	while (iterator_next(it, &item))
	{
		Value		key = yaql_call1(call->ev, ARG(1), item);
		Value		value = HAS(2) ? yaql_call1(call->ev, ARG(2), item) : item;

		value_dict_put(&dict, key, value);
	}
	dict.flags |= VALUE_F_MUTABLE;
	return dict;
}

/* Keeps the iterators that it is in as a stack. */
static bool
flatten_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	while (it->n > 0)
	{
		if (!iterator_next(it->sources[it->n - 1], item))
		{
			it->n--;
			continue;
		}
		if (!value_is_iterable(item))
			return true;
		if (it->n == it->count)
		{
			it->count *= 2;
			expr_reserve(it->count * sizeof(Iterator *));
			it->sources = repalloc(it->sources, it->count * sizeof(Iterator *));
		}
		it->sources[it->n++] = value_iterate(item);
	}
	return false;
}

Value
yaql_flatten(YaqlCall *call)
{
	Lazy	   *it = yaql_lazy(call, flatten_next);

	it->count = 8;
	it->sources = palloc(it->count * sizeof(Iterator *));
	it->sources[it->n++] = value_iterate(ARG(0));
	return iterator_value(&it->base);
}

/* Python's list.insert: negative positions count from the end. */
Value
yaql_insert_list(YaqlCall *call)
{
	ListObject *list = value_list_object(ARG(0));
	int64		position = yaql_int_arg(call, 1);
	Value		result = value_list_sized(list->n + 1);

	if (position < 0)
		position = Max(position + list->n, 0);
	position = Min(position, list->n);
	for (int i = 0; i <= list->n; i++)
	{
		if (i == position)
			value_push(&result, *ARG(2));
		if (i < list->n)
			value_push(&result, list->items[i]);
	}
	result.flags |= VALUE_F_MUTABLE;
	return result;
}

/*
 * Elements with others before position `from`, or after the end when it lies
 * beyond.  `started`: the others are being given; `n`: an element waits.
 */
static bool
insert_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	for (;;)
	{
		if (it->started)
		{
			if (iterator_next(it->other, item))
				return true;
			it->started = false;
			it->other = NULL;
			if (it->n)
			{
				it->n = 0;
				*item = it->value;
				return true;
			}
		}
		if (it->done || !iterator_next(it->source, item))
		{
			if (it->done || it->other == NULL || it->from < it->at)
				return false;
			it->done = true;
			it->started = true;
			continue;
		}
		if (it->at++ != it->from || it->other == NULL)
			return true;
		it->value = *item;
		it->n = 1;
		it->started = true;
	}
}

static Value
insert_lazily(YaqlCall *call, const Value *values, bool at_start)
{
	Lazy	   *it = yaql_lazy(call, insert_next);

	it->source = value_iterate(ARG(0));
	it->other = value_iterate(values);
	it->from = yaql_int_arg(call, 1);
	it->started = at_start && it->from < 0;
	if (!at_start && it->from < 0)
		it->other = NULL;
	return iterator_value(&it->base);
}

Value
yaql_insert(YaqlCall *call)
{
	Value		values = value_list_of(ARG(2), 1);

	return insert_lazily(call, &values, false);
}

Value
yaql_insert_many(YaqlCall *call)
{
	return insert_lazily(call, ARG(2), true);
}

static bool
in_range(Lazy *it, int64 at)
{
	if (it->count < 0)
		return at >= it->from;
	/* A place so far before the first that the difference is none of 64 bits is before the range's end. */
	return at >= it->from && (uint64) at - (uint64) it->from < (uint64) it->count;
}

/* Leaves out a range; `other`, if there is one, comes in its place. */
static bool
replace_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;

	for (;;)
	{
		if (it->started && it->other)
		{
			if (iterator_next(it->other, item))
				return true;
			it->other = NULL;
		}
		if (!iterator_next(it->source, item))
			return false;
		if (!in_range(it, it->at++))
			return true;
		it->started = true;
	}
}

static Value
replace_lazily(YaqlCall *call, const Value *values, int count)
{
	Lazy	   *it = yaql_lazy(call, replace_next);

	it->source = value_iterate(ARG(0));
	it->other = values ? value_iterate(values) : NULL;
	it->from = yaql_int_arg(call, 1);
	it->count = yaql_int_arg(call, count);
	return iterator_value(&it->base);
}

Value
yaql_delete(YaqlCall *call)
{
	return replace_lazily(call, NULL, 2);
}

Value
yaql_replace(YaqlCall *call)
{
	Value		values = value_list_of(ARG(2), 1);

	return replace_lazily(call, &values, 3);
}

Value
yaql_replace_many(YaqlCall *call)
{
	return replace_lazily(call, ARG(2), 3);
}

/* Entries of the dict whose keys are not in the set. */
static Value
without_keys(YaqlCall *call, const Value *keys)
{
	DictObject *dict = value_dict_object(ARG(0));
	Value		result = value_dict_new();

	for (int i = 0; i < dict->n; i++)
	{
		eval_tick(call->ev);
		if (!value_set_has(keys, &dict->entries[i].key))
			value_dict_put(&result, dict->entries[i].key, dict->entries[i].item);
	}
	result.flags |= VALUE_F_MUTABLE;
	return result;
}

Value
yaql_delete_keys(YaqlCall *call)
{
	Value		keys = value_set_of(call->args + 1, call->nargs - 1);

	return without_keys(call, &keys);
}

Value
yaql_delete_all(YaqlCall *call)
{
	Value		keys = yaql_set_from(ARG(1));

	return without_keys(call, &keys);
}

Value
yaql_dict_set(YaqlCall *call)
{
	Value		result = value_dict_copy(ARG(0));

	value_dict_put(&result, *ARG(1), *ARG(2));
	return result;
}

static void
put_all(Value *dict, const Value *from)
{
	DictObject *other = value_dict_object(from);

	for (int i = 0; i < other->n; i++)
		value_dict_put(dict, other->entries[i].key, other->entries[i].item);
}

Value
yaql_add_dicts(YaqlCall *call)
{
	Value		result = value_dict_copy(ARG(0));

	put_all(&result, ARG(1));
	return result;
}

Value
yaql_dict_set_many(YaqlCall *call)
{
	return yaql_add_dicts(call);
}

Value
yaql_dict_set_pairs(YaqlCall *call)
{
	Value		result = value_dict_copy(ARG(0));

	for (int i = 1; i < call->nargs; i++)
	{
		Value	   *pair = ARG(i)->u.object;

		value_dict_put(&result, pair[0], pair[1]);
	}
	return result;
}

/* The set's own methods: a view of keys or items does not have them. */
static void
need_set(const Value *value)
{
	if (value->kind != VALUE_SET)
		expr_fail("a view of a dict is no set here; use toSet()");
}

static Value
as_set(const Value *value)
{
	return value->kind == VALUE_SET ? *value : yaql_set_from(value);
}

/* Adds the elements of `from` that are (`with`) or are not in `other`. */
static void
add_elements(YaqlCall *call, Value *to, const Value *from, const Value *other, bool with)
{
	DictObject *object = from->u.object;

	for (int i = 0; i < object->n; i++)
	{
		eval_tick(call->ev);
		if (other == NULL || value_set_has(other, &object->entries[i].key) == with)
			dict_object_put(to->u.object, object->entries[i].key, value_null());
	}
}

Value
yaql_union(YaqlCall *call)
{
	Value		result = value_set_new();
	Value		right = as_set(ARG(1));

	need_set(ARG(0));
	add_elements(call, &result, ARG(0), NULL, true);
	add_elements(call, &result, &right, NULL, true);
	return result;
}

Value
yaql_intersect(YaqlCall *call)
{
	Value		result = value_set_new();
	Value		right = as_set(ARG(1));

	need_set(ARG(0));
	add_elements(call, &result, ARG(0), &right, true);
	return result;
}

Value
yaql_difference(YaqlCall *call)
{
	Value		result = value_set_new();
	Value		right = as_set(ARG(1));

	need_set(ARG(0));
	add_elements(call, &result, ARG(0), &right, false);
	return result;
}

Value
yaql_symmetric_difference(YaqlCall *call)
{
	Value		result = value_set_new();
	Value		right = as_set(ARG(1));

	need_set(ARG(0));
	add_elements(call, &result, ARG(0), &right, false);
	add_elements(call, &result, &right, ARG(0), false);
	return result;
}

Value
yaql_set_add(YaqlCall *call)
{
	Value		result = value_set_new();
	Value		values = value_set_of(call->args + 1, call->nargs - 1);

	need_set(ARG(0));
	add_elements(call, &result, ARG(0), NULL, true);
	add_elements(call, &result, &values, NULL, true);
	return result;
}

Value
yaql_set_remove(YaqlCall *call)
{
	Value		result = value_set_new();
	Value		values = value_set_of(call->args + 1, call->nargs - 1);

	need_set(ARG(0));
	add_elements(call, &result, ARG(0), &values, false);
	return result;
}

Value
yaql_add_collections(YaqlCall *call)
{
	const Value *a = ARG(0);
	const Value *b = ARG(1);

	if (a->kind == VALUE_LIST && b->kind == VALUE_LIST && !((a->flags | b->flags) & VALUE_F_MUTABLE))
	{
		ListObject *x = value_list_object(a);
		ListObject *y = value_list_object(b);
		Value		result = value_list_sized(x->n + y->n);

		for (int i = 0; i < x->n; i++)
			value_push(&result, x->items[i]);
		for (int i = 0; i < y->n; i++)
			value_push(&result, y->items[i]);
		return result;
	}
	if (a->kind == VALUE_SET && b->kind == VALUE_SET)
		return yaql_union(call);
	return yaql_concat_two(call, a, b);
}

Value
yaql_is_dict(YaqlCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_DICT);
}

Value
yaql_is_list(YaqlCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_LIST);
}

Value
yaql_is_set(YaqlCall *call)
{
	return value_bool(yaql_type(ARG(0)) == TYPE_SET);
}

Value
yaql_is_iterable(YaqlCall *call)
{
	return value_bool(value_is_iterable(ARG(0)));
}
