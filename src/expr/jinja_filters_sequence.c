/*
 * jinja_filters_sequence.c
 *		Filters over sequences.
 *
 * Where Jinja2 has a generator there is an iterator here: nothing happens, and
 * nothing fails, before the elements are asked for.
 */
#include "postgres.h"

#include <ctype.h>

#include "expr/jinja.h"

static bool
is_given(JinjaCall *call, int i)
{
	return GIVEN(i) && ARG(i)->kind != VALUE_NULL;
}

/* One step of a path: digits are an index. */
static Value
step_into(const Value *object, const char *s, int len)
{
	Value		key = value_string(s, len);
	bool		number = len > 0 && len < 18;

	for (int i = 0; i < len; i++)
		number &= isdigit((unsigned char) s[i]) != 0;
	if (number)
		key = value_int(strtoll(pnstrdup(s, len), NULL, 10));
	return jinja_getitem(object, &key);
}

/* What an attribute like "a.b.0" names; `otherwise` (NULL: none) replaces what is undefined on the way. */
Value
jinja_path(const Value *object, const Value *path, const Value *otherwise)
{
	Value		value = *object;
	const char *s = path->u.string.data;
	const char *end = s + path->u.string.len;

	if (path->kind == VALUE_NULL || path->kind == VALUE_UNDEFINED)
		return value;
	if (path->kind != VALUE_STRING)
		return jinja_getitem(object, path);
	for (;;)
	{
		const char *dot = memchr(s, '.', end - s);

		value = step_into(&value, s, (dot ? dot : end) - s);
		if (value.kind == VALUE_UNDEFINED && otherwise)
			value = *otherwise;
		if (dot == NULL)
			return value;
		s = dot + 1;
	}
}

/* Strings in small letters, other values as they are. */
static Value
folded(Value value, bool case_sensitive)
{
	if (case_sensitive || value.kind != VALUE_STRING)
		return value;
	return text_lower(value.u.string.data, value.u.string.len);
}

Value
jinja_length_filter(JinjaCall *call)
{
	return value_int(jinja_length(ARG(0)));
}

Value
jinja_list(JinjaCall *call)
{
	return jinja_collect(ARG(0));
}

Value
jinja_first(JinjaCall *call)
{
	Iterator   *it = jinja_iterate(ARG(0));
	Value		item;

	return iterator_next(it, &item) ? item : jinja_undefined_because("there is no first element");
}

/* What Python's reversed() takes, as a list; raises for the rest. */
static Value
reversible(const Value *value)
{
	if (value->kind == VALUE_ITERATOR || value->kind == VALUE_SET || !jinja_is_iterable(value))
		expr_fail("%s has no last element", jinja_kind_name(value));
	return jinja_collect(value);
}

Value
jinja_last(JinjaCall *call)
{
	Value		list = reversible(ARG(0));
	ListObject *object = list.u.object;

	return object->n ? object->items[object->n - 1] : jinja_undefined_because("there is no last element");
}

Value
jinja_random(JinjaCall *call)
{
	int64		n = jinja_length(ARG(0));

	if (ARG(0)->kind != VALUE_STRING && ARG(0)->kind != VALUE_LIST && !jinja_object(ARG(0), JINJA_OBJECT_RANGE))
		expr_fail("%s has no elements to choose from", jinja_kind_name(ARG(0)));
	if (n == 0)
		return jinja_undefined_because("there is no element to choose");
	return jinja_item_at(ARG(0), jinja_random_below(n));
}

/* A list's elements from behind, as an iterator. */
static Value
iterator_over(Value list)
{
	return iterator_value(value_iterate(&list));
}

Value
jinja_reverse(JinjaCall *call)
{
	bool		lazy = ARG(0)->kind != VALUE_ITERATOR && ARG(0)->kind != VALUE_SET;
	Value		none = value_null();
	Value		back = value_int(-1);
	Value		list;

	if (ARG(0)->kind == VALUE_STRING)
		return jinja_slice(ARG(0), &none, &none, &back);
	list = jinja_collect(ARG(0));
	call->self = list;
	(void) jinja_m_reverse(call);
	return lazy ? iterator_over(list) : list;
}

/* The keys to sort or compare by, one for each element; several attributes make a list. */
static Value *
keys_of(ListObject *list, const Value *attribute, bool case_sensitive, bool many)
{
	Value	   *keys = MemoryContextAllocHuge(CurrentMemoryContext, Max(list->n, 1) * sizeof(Value));
	Value		comma = value_cstring(",");
	Value		paths = value_null();

	if (many && attribute && attribute->kind == VALUE_STRING)
		paths = jinja_split(attribute, &comma, -1, false);
	for (int i = 0; i < list->n; i++)
	{
		expr_tick();
		if (paths.kind == VALUE_LIST)
		{
			ListObject *names = paths.u.object;

			keys[i] = jinja_mutable(value_list_sized(names->n));
			for (int k = 0; k < names->n; k++)
				value_push(&keys[i], folded(jinja_path(&list->items[i], &names->items[k], NULL), case_sensitive));
		}
		else
			keys[i] = folded(attribute ? jinja_path(&list->items[i], attribute, NULL) : list->items[i], case_sensitive);
	}
	return keys;
}

Value
jinja_sort_filter(JinjaCall *call)
{
	Value		list = jinja_collect(ARG(0));
	ListObject *object = list.u.object;
	Value	   *keys = keys_of(object, is_given(call, 3) ? ARG(3) : NULL, jinja_flag_arg(call, 2, false), true);

	/* Python compares lists of keys, and a comparison of undefined ones fails even alone. */
	jinja_sort(object->items, keys, object->n, jinja_descending_arg(call, 1));
	return list;
}

static Value
extreme(JinjaCall *call, JinjaOp op)
{
	Value		list = jinja_collect(ARG(0));
	ListObject *object = list.u.object;
	Value	   *keys;
	int			best = 0;

	if (object->n == 0)
		return jinja_undefined_because("there is no element to choose");
	keys = keys_of(object, is_given(call, 2) ? ARG(2) : NULL, jinja_flag_arg(call, 1, false), false);
	for (int i = 1; i < object->n; i++)
		if (jinja_compare(op, &keys[i], &keys[best]))
			best = i;
	return object->items[best];
}

Value
jinja_max(JinjaCall *call)
{
	return extreme(call, JINJA_GT);
}

Value
jinja_min(JinjaCall *call)
{
	return extreme(call, JINJA_LT);
}

Value
jinja_groupby(JinjaCall *call)
{
	Value		list = jinja_collect(ARG(0));
	ListObject *object = list.u.object;
	const Value *otherwise = is_given(call, 2) ? ARG(2) : NULL;
	bool		case_sensitive = jinja_flag_arg(call, 3, false);
	Value		groups = value_list_new();
	Value	   *keys = MemoryContextAllocHuge(CurrentMemoryContext, Max(object->n, 1) * sizeof(Value));
	Value		key = value_null();
	Value		members = value_null();

	for (int i = 0; i < object->n; i++)
		keys[i] = folded(jinja_path(&object->items[i], ARG(1), otherwise), case_sensitive);
	jinja_sort(object->items, keys, object->n, false);
	for (int i = 0; i < object->n; i++)
	{
		Value		real = jinja_path(&object->items[i], ARG(1), otherwise);
		Value		next = folded(real, case_sensitive);

		if (i == 0 || !jinja_equal(&key, &next))
		{
			Value		pair[2];
			Value		group;

			key = next;
			members = jinja_mutable(value_list_new());
			pair[0] = real;
			pair[1] = members;
			group = value_list_of(pair, 2);
			group.flags |= VALUE_F_GROUP;
			value_push(&groups, group);
		}
		value_push(&members, object->items[i]);
	}
	return jinja_mutable(groups);
}

Value
jinja_dictsort(JinjaCall *call)
{
	bool		by_value = false;
	bool		case_sensitive = jinja_flag_arg(call, 1, false);
	DictObject *dict;
	Value		list = value_list_new();
	Value	   *keys;

	if (GIVEN(2))
	{
		Value		by = jinja_text_of(ARG(2), "what dictsort sorts by");

		by_value = by.u.string.len == 5 && memcmp(by.u.string.data, "value", 5) == 0;
		if (!by_value && (by.u.string.len != 3 || memcmp(by.u.string.data, "key", 3) != 0))
			expr_fail("dictsort sorts by \"key\" or by \"value\"");
	}
	if (ARG(0)->kind != VALUE_DICT)
		expr_fail("dictsort takes a dict, not %s", jinja_kind_name(ARG(0)));
	dict = value_dict_object(ARG(0));
	keys = MemoryContextAllocHuge(CurrentMemoryContext, Max(dict->n, 1) * sizeof(Value));
	for (int i = 0; i < dict->n; i++)
	{
		Value		pair[2] = {dict->entries[i].key, dict->entries[i].item};

		keys[i] = folded(pair[by_value ? 1 : 0], case_sensitive);
		value_push(&list, value_list_of(pair, 2));
	}
	jinja_sort(((ListObject *) list.u.object)->items, keys, dict->n, jinja_descending_arg(call, 3));
	return jinja_mutable(list);
}

Value
jinja_sum(JinjaCall *call)
{
	Iterator   *it = jinja_iterate(ARG(0));
	Value		sum = GIVEN(2) ? *ARG(2) : value_int(0);
	Value		item;

	if (sum.kind == VALUE_STRING)
		expr_fail("sum does not add strings");
	while (iterator_next(it, &item))
	{
		if (is_given(call, 1))
			item = jinja_path(&item, ARG(1), NULL);
		sum = jinja_binary(JINJA_ADD, &sum, &item);
	}
	return sum;
}

Value
jinja_join_filter(JinjaCall *call)
{
	Value		separator = GIVEN(1) ? *ARG(1) : value_cstring("");
	Value		items = *ARG(0);

	if (is_given(call, 2))
	{
		Value		list = jinja_collect(&items);
		ListObject *object = list.u.object;

		for (int i = 0; i < object->n; i++)
			object->items[i] = jinja_path(&object->items[i], ARG(2), NULL);
		items = list;
	}
	if (!call->j->autoescape)
		separator = jinja_str(&separator);
	else if (!jinja_is_markup(&separator))
	{
		ListObject *object;

		items = jinja_collect(&items);
		object = items.u.object;
		separator = jinja_str(&separator);
		for (int i = 0; i < object->n; i++)
			if (jinja_is_markup(&object->items[i]))
				separator = jinja_escape(&separator);
	}
	return jinja_join(&separator, &items, true);
}

Value
jinja_items(JinjaCall *call)
{
	Value		view;

	if (ARG(0)->kind == VALUE_UNDEFINED)
		return iterator_over(value_list_new());
	if (ARG(0)->kind != VALUE_DICT)
		expr_fail("items takes a dict, not %s", jinja_kind_name(ARG(0)));
	view = value_view_of(ARG(0), VALUE_F_ITEMS);
	return iterator_over(value_collect(&view));
}

/* What map, select and their kin need while they go on. */
typedef struct FilterIterator
{
	Iterator	base;
	Jinja	   *j;
	Value		source;
	Iterator   *it;				/* once it has begun */
	const JinjaFunction *function;	/* NULL: the attribute, or the element's truth */
	Value		path;
	bool		has_default;
	Value		otherwise;
	bool		negated;
	JinjaCall	call;
	const char *problem;		/* raised when the first element is asked for */
} FilterIterator;

static bool
begin(FilterIterator *it)
{
	if (it->it)
		return true;
	if (!jinja_truth(&it->source))
		return false;
	if (it->problem)
		expr_fail("%s", it->problem);
	it->it = jinja_iterate(&it->source);
	return true;
}

static Value
apply(FilterIterator *it, const Value *item)
{
	JinjaCall	call = it->call;

	/* The call takes its keywords apart. */
	if (call.nkeywords)
	{
		call.names = palloc(call.nkeywords * sizeof(char *));
		call.values = palloc(call.nkeywords * sizeof(Value));
		memcpy(call.names, it->call.names, call.nkeywords * sizeof(char *));
		memcpy(call.values, it->call.values, call.nkeywords * sizeof(Value));
	}
	return jinja_call_filter(it->j, it->function, item, &call);
}

static bool
map_next(Iterator *base, Value *item)
{
	FilterIterator *it = (FilterIterator *) base;

	if (!begin(it) || !iterator_next(it->it, item))
		return false;
	*item = it->function ? apply(it, item) : jinja_path(item, &it->path, it->has_default ? &it->otherwise : NULL);
	return true;
}

static bool
select_next(Iterator *base, Value *item)
{
	FilterIterator *it = (FilterIterator *) base;

	if (!begin(it))
		return false;
	while (iterator_next(it->it, item))
	{
		Value		tested = jinja_path(item, &it->path, NULL);

		if (it->function)
			tested = apply(it, &tested);
		if (jinja_truth(&tested) != it->negated)
			return true;
	}
	return false;
}

static FilterIterator *
new_filter(JinjaCall *call, bool (*next) (Iterator *, Value *))
{
	FilterIterator *it = palloc0(sizeof(FilterIterator));

	it->base.next = next;
	it->base.ev = &call->j->ev;
	it->j = call->j;
	it->source = *ARG(0);
	it->path = value_null();
	return it;
}

/* The function named by argument `at` of the rest, which gets the arguments behind it. */
static void
name_function(FilterIterator *it, JinjaCall *call, int at, bool filter)
{
	const Value *name = &call->rest[at];

	if (name->kind == VALUE_STRING)
		it->function = (filter ? jinja_filter : jinja_test) (name->u.string.data, name->u.string.len);
	if (it->function == NULL)
		it->problem = filter ? "map names a filter that does not exist" : "a test that does not exist is named";
	it->call.nargs = call->nrest - at - 1;
	it->call.args = call->rest + at + 1;
	it->call.nkeywords = call->nkeywords;
	it->call.names = call->names;
	it->call.values = call->values;
}

Value
jinja_map(JinjaCall *call)
{
	FilterIterator *it = new_filter(call, map_next);
	bool		attribute = false;

	if (call->nrest)
	{
		name_function(it, call, 0, true);
		return iterator_value(&it->base);
	}
	for (int i = 0; i < call->nkeywords; i++)
	{
		if (strcmp(call->names[i], "attribute") == 0)
		{
			attribute = true;
			it->path = call->values[i];
		}
		else if (strcmp(call->names[i], "default") == 0)
		{
			it->has_default = call->values[i].kind != VALUE_NULL;
			it->otherwise = call->values[i];
		}
		else
			it->problem = "map got an argument that it does not take";
	}
	if (!attribute)
		it->problem = "map needs a filter or an attribute";
	return iterator_value(&it->base);
}

static Value
select_or_reject(JinjaCall *call, bool attribute, bool negated)
{
	FilterIterator *it = new_filter(call, select_next);
	int			at = attribute ? 1 : 0;

	it->negated = negated;
	if (attribute && call->nrest == 0)
		it->problem = "the name of an attribute is missing";
	else if (attribute)
		it->path = call->rest[0];
	if (call->nrest > at)
		name_function(it, call, at, false);
	return iterator_value(&it->base);
}

Value
jinja_select(JinjaCall *call)
{
	return select_or_reject(call, false, false);
}

Value
jinja_reject(JinjaCall *call)
{
	return select_or_reject(call, false, true);
}

Value
jinja_selectattr(JinjaCall *call)
{
	return select_or_reject(call, true, false);
}

Value
jinja_rejectattr(JinjaCall *call)
{
	return select_or_reject(call, true, true);
}

typedef struct UniqueIterator
{
	Iterator	base;
	Value		source;
	Iterator   *it;
	Value		seen;
	Value		path;
	bool		case_sensitive;
} UniqueIterator;

static bool
unique_next(Iterator *base, Value *item)
{
	UniqueIterator *it = (UniqueIterator *) base;

	if (it->it == NULL)
		it->it = jinja_iterate(&it->source);
	while (iterator_next(it->it, item))
	{
		Value		key = folded(jinja_path(item, &it->path, NULL), it->case_sensitive);

		if (!value_set_has(&it->seen, &key))
		{
			dict_object_put(it->seen.u.object, key, value_null());
			return true;
		}
	}
	return false;
}

Value
jinja_unique(JinjaCall *call)
{
	UniqueIterator *it = palloc0(sizeof(UniqueIterator));

	it->base.next = unique_next;
	it->source = *ARG(0);
	it->seen = value_set_new();
	it->path = is_given(call, 2) ? *ARG(2) : value_null();
	it->case_sensitive = jinja_flag_arg(call, 1, false);
	return iterator_value(&it->base);
}

/* The parts that batch and slice cut a sequence into. */
typedef struct PartIterator
{
	Iterator	base;
	Value		source;
	Iterator   *it;
	ListObject *list;			/* of slice */
	Value		count;
	bool		has_fill;
	Value		fill;
	int64		at;
	int64		offset;
	bool		has_item;
	Value		item;
} PartIterator;

static bool
batch_next(Iterator *base, Value *item)
{
	PartIterator *it = (PartIterator *) base;
	int64		count;
	Value		part;
	ListObject *list;

	if (it->it == NULL)
	{
		it->it = jinja_iterate(&it->source);
		it->has_item = iterator_next(it->it, &it->item);
	}
	if (!it->has_item)
		return false;
	part = value_list_new();
	list = part.u.object;
	/* As in Jinja2, a size that is no integer never equals a number of elements. */
	count = it->count.kind == VALUE_INT ? it->count.u.integer : -1;
	do
	{
		value_push(&part, it->item);
		it->has_item = iterator_next(it->it, &it->item);
	} while (it->has_item && list->n != count);
	if (!it->has_item && it->has_fill)
	{
		if (count > EVAL_MAX_LENGTH / (int64) sizeof(Value))
			expr_limit("a list grows too long");
		while (list->n < count)
			value_push(&part, it->fill);
	}
	*item = jinja_mutable(part);
	return true;
}

static bool
slice_next(Iterator *base, Value *item)
{
	PartIterator *it = (PartIterator *) base;
	int64		count = jinja_int(&it->count, "the number of slices");
	int64		size;
	int64		extra;
	int64		start;
	int64		end;

	if (it->list == NULL)
	{
		Value		list = jinja_collect(&it->source);

		it->list = list.u.object;
	}
	if (count == 0)
		expr_fail("division by zero");
	if (it->at >= count)
		return false;
	size = it->list->n / count;
	extra = it->list->n % count;
	start = it->offset + it->at * size;
	if (it->at < extra)
		it->offset++;
	end = it->offset + (it->at + 1) * size;
	*item = jinja_mutable(value_list_of(it->list->items + Min(start, it->list->n), Max(end - start, 0)));
	if (it->has_fill && it->at >= extra)
		value_push(item, it->fill);
	it->at++;
	return true;
}

static Value
parts(JinjaCall *call, bool (*next) (Iterator *, Value *))
{
	PartIterator *it = palloc0(sizeof(PartIterator));

	it->base.next = next;
	it->source = *ARG(0);
	it->count = *ARG(1);
	it->has_fill = is_given(call, 2);
	if (it->has_fill)
		it->fill = *ARG(2);
	return iterator_value(&it->base);
}

Value
jinja_batch(JinjaCall *call)
{
	return parts(call, batch_next);
}

Value
jinja_slice_filter(JinjaCall *call)
{
	return parts(call, slice_next);
}
