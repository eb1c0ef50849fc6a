/*
 * jinja_methods.c
 *		Python's methods of lists, dicts and numbers, and those of Jinja2's objects.
 */
#include "postgres.h"

#include <math.h>

#include "expr/jinja.h"

static ListObject *
self_list(JinjaCall *call)
{
	return value_list_object(&call->self);
}

Value
jinja_m_append(JinjaCall *call)
{
	Value		list = value_object(VALUE_LIST, VALUE_F_MUTABLE, self_list(call));

	value_push(&list, *ARG(0));
	return value_null();
}

Value
jinja_m_clear_list(JinjaCall *call)
{
	self_list(call)->n = 0;
	return value_null();
}

Value
jinja_m_copy_list(JinjaCall *call)
{
	ListObject *list = self_list(call);

	return jinja_mutable(value_list_of(list->items, list->n));
}

Value
jinja_m_count(JinjaCall *call)
{
	Iterator   *it = jinja_iterate(&call->self);
	Value		item;
	int64		n = 0;

	while (iterator_next(it, &item))
		n += jinja_equal(&item, ARG(0)) ? 1 : 0;
	return value_int(n);
}

Value
jinja_m_extend(JinjaCall *call)
{
	Value		list = value_object(VALUE_LIST, VALUE_F_MUTABLE, self_list(call));
	Value		more = jinja_collect(ARG(0));
	ListObject *object = more.u.object;

	for (int i = 0; i < object->n; i++)
		value_push(&list, object->items[i]);
	return value_null();
}

Value
jinja_m_index(JinjaCall *call)
{
	int64		n = jinja_length(&call->self);
	int64		from = jinja_int_arg(call, 1, 0);
	int64		to = jinja_int_arg(call, 2, n);

	if (from < 0)
		from = Max(from + n, 0);
	if (to < 0)
		to += n;
	for (int64 i = from; i < Min(to, n); i++)
	{
		Value		item = jinja_item_at(&call->self, i);

		eval_tick(&call->j->ev);
		if (jinja_equal(&item, ARG(0)))
			return value_int(i);
	}
	expr_fail("the list does not hold what index() looks for");
}

Value
jinja_m_insert(JinjaCall *call)
{
	ListObject *list = self_list(call);
	Value		value = value_object(VALUE_LIST, VALUE_F_MUTABLE, list);
	int64		at = jinja_int(ARG(0), "the index of insert()");

	if (at < 0)
		at = Max(at + list->n, 0);
	at = Min(at, list->n);
	value_push(&value, value_null());
	memmove(&list->items[at + 1], &list->items[at], (list->n - 1 - at) * sizeof(Value));
	list->items[at] = *ARG(1);
	return value_null();
}

static Value
take_item(ListObject *list, int64 at)
{
	Value		item = list->items[at];

	list->n--;
	memmove(&list->items[at], &list->items[at + 1], (list->n - at) * sizeof(Value));
	return item;
}

Value
jinja_m_pop_list(JinjaCall *call)
{
	ListObject *list = self_list(call);
	int64		at = jinja_int_arg(call, 0, -1);

	if (at < 0)
		at += list->n;
	if (at < 0 || at >= list->n)
		expr_fail("pop() finds no element there");
	return take_item(list, at);
}

Value
jinja_m_remove(JinjaCall *call)
{
	ListObject *list = self_list(call);

	for (int i = 0; i < list->n; i++)
	{
		eval_tick(&call->j->ev);
		if (jinja_equal(&list->items[i], ARG(0)))
		{
			(void) take_item(list, i);
			return value_null();
		}
	}
	expr_fail("the list does not hold what remove() looks for");
}

Value
jinja_m_reverse(JinjaCall *call)
{
	ListObject *list = self_list(call);

	for (int i = 0; i < list->n / 2; i++)
	{
		Value		item = list->items[i];

		list->items[i] = list->items[list->n - 1 - i];
		list->items[list->n - 1 - i] = item;
	}
	return value_null();
}

Value
jinja_m_sort(JinjaCall *call)
{
	ListObject *list = self_list(call);
	int			n = list->n;
	Value	   *keys = list->items;

	if (GIVEN(0) && ARG(0)->kind != VALUE_NULL)
	{
		/* What is called may change the list under our feet. */
		Value		before = value_list_of(list->items, n);
		Value	   *items = ((ListObject *) before.u.object)->items;

		keys = palloc(Max(n, 1) * sizeof(Value));
		for (int i = 0; i < n; i++)
		{
			JinjaCall	inner = {.nargs = 1,.args = &items[i]};

			keys[i] = jinja_call_value(call->j, ARG(0), &inner);
		}
		if (list->n != n)
			expr_fail("the list changes while it is sorted");
	}
	jinja_sort(list->items, keys, n, jinja_descending_arg(call, 1));
	return value_null();
}

Value
jinja_m_clear_dict(JinjaCall *call)
{
	Value		empty = value_dict_new();

	*value_dict_object(&call->self) = *(DictObject *) empty.u.object;
	return value_null();
}

Value
jinja_m_copy_dict(JinjaCall *call)
{
	return jinja_mutable(value_dict_copy(&call->self));
}

Value
jinja_m_fromkeys(JinjaCall *call)
{
	Iterator   *it = jinja_iterate(ARG(0));
	Value		dict = value_dict_new();
	Value		key;

	while (iterator_next(it, &key))
		value_dict_put(&dict, key, GIVEN(1) ? *ARG(1) : value_null());
	return jinja_mutable(dict);
}

Value
jinja_m_get(JinjaCall *call)
{
	Value		value;

	if (value_dict_find(&call->self, ARG(0), &value))
		return value;
	return GIVEN(1) ? *ARG(1) : value_null();
}

Value
jinja_m_items(JinjaCall *call)
{
	return value_view_of(&call->self, VALUE_F_ITEMS);
}

Value
jinja_m_keys(JinjaCall *call)
{
	return value_view_of(&call->self, VALUE_F_KEYS);
}

Value
jinja_m_values(JinjaCall *call)
{
	return value_view_of(&call->self, 0);
}

/* Takes an entry out: the others are put into a new dict, which takes the old one's place. */
static void
take_entry(DictObject *dict, const DictEntry *entry)
{
	Value		rest = value_dict_new();

	for (int i = 0; i < dict->n; i++)
		if (&dict->entries[i] != entry)
			value_dict_put(&rest, dict->entries[i].key, dict->entries[i].item);
	*dict = *(DictObject *) rest.u.object;
}

Value
jinja_m_pop_dict(JinjaCall *call)
{
	DictObject *dict = value_dict_object(&call->self);
	DictEntry  *entry = dict_object_find(dict, ARG(0));
	Value		item;

	if (entry == NULL && !GIVEN(1))
		expr_fail("pop() finds no such key");
	if (entry == NULL)
		return *ARG(1);
	item = entry->item;
	take_entry(dict, entry);
	return item;
}

Value
jinja_m_popitem(JinjaCall *call)
{
	DictObject *dict = value_dict_object(&call->self);
	Value		pair[2];

	if (dict->n == 0)
		expr_fail("popitem() finds the dict empty");
	pair[0] = dict->entries[dict->n - 1].key;
	pair[1] = dict->entries[dict->n - 1].item;
	take_entry(dict, &dict->entries[dict->n - 1]);
	return value_list_of(pair, 2);
}

Value
jinja_m_setdefault(JinjaCall *call)
{
	DictObject *dict = value_dict_object(&call->self);
	DictEntry  *entry = dict_object_find(dict, ARG(0));
	Value		item = GIVEN(1) ? *ARG(1) : value_null();

	if (entry)
		return entry->item;
	dict_object_put(dict, *ARG(0), item);
	return item;
}

Value
jinja_m_update(JinjaCall *call)
{
	DictObject *dict = value_dict_object(&call->self);

	if (GIVEN(0) && ARG(0)->kind == VALUE_DICT)
	{
		DictObject *from = value_dict_object(ARG(0));

		for (int i = 0; i < from->n; i++)
			dict_object_put(dict, from->entries[i].key, from->entries[i].item);
	}
	else if (GIVEN(0))
	{
		Iterator   *it = jinja_iterate(ARG(0));
		Value		item;

		while (iterator_next(it, &item))
		{
			Value		pair = jinja_collect(&item);
			ListObject *list = pair.u.object;

			if (list->n != 2)
				expr_fail("update() takes pairs of a key and a value");
			dict_object_put(dict, list->items[0], list->items[1]);
		}
	}
	for (int i = 0; i < call->nkeywords; i++)
		dict_object_put(dict, value_cstring(call->names[i]), call->values[i]);
	return value_null();
}

static Value
bits(JinjaCall *call, bool count)
{
	Value		n = call->self;
	Value		two = value_int(2);
	Value		zero = value_int(0);
	int64		result = 0;

	if (number_compare(&n, &zero) < 0)
		n = number_negate(&n);
	while (number_compare(&n, &zero) > 0)
	{
		Value		bit = number_modulo(&n, &two);

		eval_tick(&call->j->ev);
		result += count ? bit.u.integer : 1;
		n = number_floor_divide(&n, &two);
	}
	return value_int(result);
}

Value
jinja_m_bit_length(JinjaCall *call)
{
	return bits(call, false);
}

Value
jinja_m_bit_count(JinjaCall *call)
{
	return bits(call, true);
}

Value
jinja_m_conjugate(JinjaCall *call)
{
	return jinja_unary(JINJA_ADD, &call->self);
}

Value
jinja_m_is_integer(JinjaCall *call)
{
	return value_bool(isfinite(call->self.u.real) && floor(call->self.u.real) == call->self.u.real);
}

Value
jinja_m_cycler_next(JinjaCall *call)
{
	JinjaCycler *cycler = call->self.u.object;
	Value		item = value_list_item(&cycler->items, cycler->at);

	cycler->at = (cycler->at + 1) % value_list_length(&cycler->items);
	return item;
}

Value
jinja_m_cycler_reset(JinjaCall *call)
{
	((JinjaCycler *) call->self.u.object)->at = 0;
	return value_null();
}

Value
jinja_m_loop_cycle(JinjaCall *call)
{
	JinjaLoop  *loop = call->self.u.object;

	if (call->nrest == 0)
		expr_fail("cycle() has nothing to choose from");
	return call->rest[loop->index0 % call->nrest];
}

Value
jinja_m_loop_changed(JinjaCall *call)
{
	JinjaLoop  *loop = call->self.u.object;
	Value		now = value_list_of(call->rest, call->nrest);
	bool		changed = !loop->has_changed || !jinja_equal(&loop->changed, &now);

	loop->has_changed = true;
	loop->changed = now;
	return value_bool(changed);
}
