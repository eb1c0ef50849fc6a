/*
 * value_iter.c
 *		Lazy sequences: everything that can be walked, walked the same way.
 */
#include "postgres.h"

#include "expr/value_internal.h"

typedef struct ListIterator
{
	Iterator	base;
	ListObject *list;
	int			at;
} ListIterator;

typedef struct DictIterator
{
	Iterator	base;
	DictObject *dict;
	uint32		flags;
	int			at;
} DictIterator;

typedef struct OrderedIterator
{
	Iterator	base;
	OrderedObject *ordered;
	Iterator   *items;			/* NULL: not sorted yet */
} OrderedIterator;

/* What a memorized iterator and its walks share. */
typedef struct Memory
{
	Iterator   *source;
	Value		yielded;
} Memory;

typedef struct MemoryIterator
{
	Iterator	base;
	Memory	   *memory;
	int			at;
} MemoryIterator;

typedef struct LimitIterator
{
	Iterator	base;
	Iterator   *source;
	int			limit;
	int			yielded;
} LimitIterator;

Value
iterator_value(Iterator *it)
{
	if (it->ev == NULL)
		it->ev = eval_current();
	return value_object(VALUE_ITERATOR, 0, it);
}

bool
value_is_iterable(const Value *value)
{
	return value->kind == VALUE_LIST || value->kind == VALUE_SET || value->kind == VALUE_ITERATOR ||
		value->kind == VALUE_ORDERED || value->kind == VALUE_DICT_VIEW ||
		(value->kind == VALUE_CALLABLE && ((CallableObject *) value->u.object)->iterate != NULL);
}

bool
iterator_next(Iterator *it, Value *item)
{
	Eval	   *ev = it->ev;

	/* Iterators stand on iterators, as many as an expression piles up. */
	expr_check_depth();
	if (ev)
	{
		eval_tick(ev);
		if (unlikely(++ev->elements > EVAL_MAX_ELEMENTS))
			expr_limit("its iterators yield more than " INT64_FORMAT " elements", EVAL_MAX_ELEMENTS);
	}
	return it->next(it, item);
}

static bool
array_next(Iterator *base, Value *item)
{
	ListIterator *it = (ListIterator *) base;

	if (it->at >= it->list->n)
		return false;
	*item = it->list->items[it->at++];
	return true;
}

static Value
entry_pair(DictEntry *entry)
{
	Value		pair[2] = {entry->key, entry->item};

	return value_list_of(pair, 2);
}

static bool
dict_next(Iterator *base, Value *item)
{
	DictIterator *it = (DictIterator *) base;
	DictEntry  *entry;

	if (it->at >= it->dict->n)
		return false;
	entry = &it->dict->entries[it->at++];
	if (it->flags & VALUE_F_KEYS)
		*item = entry->key;
	else if (it->flags & VALUE_F_ITEMS)
		*item = entry_pair(entry);
	else
		*item = entry->item;
	return true;
}

static bool
memory_next(Iterator *base, Value *item)
{
	MemoryIterator *it = (MemoryIterator *) base;
	Memory	   *memory = it->memory;

	if (it->at < value_list_length(&memory->yielded))
	{
		*item = value_list_item(&memory->yielded, it->at++);
		return true;
	}
	if (!iterator_next(memory->source, item))
		return false;
	value_push(&memory->yielded, *item);
	it->at++;
	return true;
}

static bool
limit_next(Iterator *base, Value *item)
{
	LimitIterator *it = (LimitIterator *) base;

	if (!iterator_next(it->source, item))
		return false;
	if (it->yielded++ >= it->limit)
		expr_limit("a collection has more elements than mistral.yaql_limit_iterators allows (%d)", it->limit);
	return true;
}

static void *
new_iterator(Size size, bool (*next) (Iterator *, Value *))
{
	Iterator   *it = palloc0(size);

	it->next = next;
	it->ev = eval_current();
	return it;
}

static Iterator *
iterate_list(ListObject *list)
{
	ListIterator *it = new_iterator(sizeof(ListIterator), array_next);

	it->list = list;
	return &it->base;
}

/* Sorted when the first is asked for, once for all walks. */
static bool
ordered_next(Iterator *base, Value *item)
{
	OrderedIterator *it = (OrderedIterator *) base;
	OrderedObject *ordered = it->ordered;

	if (it->items == NULL)
	{
		if (ordered->sorted == NULL)
		{
			Value		sorted = ordered->sort(ordered);

			ordered->sorted = palloc(sizeof(Value));
			*ordered->sorted = sorted;
		}
		it->items = iterate_list(ordered->sorted->u.object);
	}
	return iterator_next(it->items, item);
}

static Iterator *
iterate_dict(DictObject *dict, uint32 flags)
{
	DictIterator *it = new_iterator(sizeof(DictIterator), dict_next);

	it->dict = dict;
	it->flags = flags;
	return &it->base;
}

/* A walk from the start; of an iterator, from where it is. */
Iterator *
value_iterate(const Value *iterable)
{
	switch (iterable->kind)
	{
		case VALUE_LIST:
			return iterate_list(value_list_object(iterable));
		case VALUE_SET:
			return iterate_dict(iterable->u.object, VALUE_F_KEYS);
		case VALUE_DICT_VIEW:
			return iterate_dict(value_dict_object(value_view_dict(iterable)), iterable->flags);
		case VALUE_DICT:
			return iterate_dict(value_dict_object(iterable), VALUE_F_KEYS);
		case VALUE_ORDERED:
			{
				OrderedIterator *it = new_iterator(sizeof(OrderedIterator), ordered_next);

				it->ordered = iterable->u.object;
				return &it->base;
			}
		case VALUE_ITERATOR:
			if (iterable->flags & VALUE_F_MEMO)
			{
				MemoryIterator *it = new_iterator(sizeof(MemoryIterator), memory_next);

				it->memory = iterable->u.object;
				return &it->base;
			}
			return iterable->u.object;
		case VALUE_CALLABLE:
			if (((CallableObject *) iterable->u.object)->iterate != NULL)
				return ((CallableObject *) iterable->u.object)->iterate(iterable);
			/* FALLTHROUGH */
		default:
			expr_fail("%s is not iterable", value_kind_name(iterable));
	}
}

Value
iterator_to_list(Iterator *it)
{
	Value		list = value_list_new();
	Value		item;

	while (iterator_next(it, &item))
		value_push(&list, item);
	return list;
}

Value
value_collect(const Value *iterable)
{
	if (iterable->kind == VALUE_LIST)
	{
		Value		list = value_object(VALUE_LIST, 0, value_list_object(iterable));

		return list;
	}
	return iterator_to_list(value_iterate(iterable));
}

/* An iterator that may be walked again and again; other collections as they are. */
Value
value_memorize(const Value *iterable)
{
	Memory	   *memory;

	if (iterable->kind != VALUE_ITERATOR || (iterable->flags & VALUE_F_MEMO))
		return *iterable;
	memory = palloc(sizeof(Memory));
	memory->source = iterable->u.object;
	memory->yielded = value_list_new();
	return value_object(VALUE_ITERATOR, VALUE_F_MEMO, memory);
}

/* The same elements, but an error when there are more than `limit`. */
Value
value_limited(const Value *iterable, int limit)
{
	LimitIterator *it;
	int			n = -1;

	if (limit < 0)
		return *iterable;
	if (iterable->kind == VALUE_LIST)
		n = value_list_length(iterable);
	else if (iterable->kind == VALUE_SET)
		n = value_set_length(iterable);
	else if (iterable->kind == VALUE_DICT)
		n = value_dict_length(iterable);
	else if (iterable->kind == VALUE_DICT_VIEW)
		n = value_dict_length(value_view_dict(iterable));
	if (n > limit)
		expr_limit("a collection has more elements than mistral.yaql_limit_iterators allows (%d)", limit);
	if (n >= 0)
		return *iterable;
	it = new_iterator(sizeof(LimitIterator), limit_next);
	it->source = value_iterate(iterable);
	it->limit = limit;
	return iterator_value(&it->base);
}

Value
value_view_of(const Value *dict, uint32 flags)
{
	Value	   *kept = palloc(sizeof(Value));

	*kept = *dict;
	return value_object(VALUE_DICT_VIEW, flags, kept);
}

const Value *
value_view_dict(const Value *view)
{
	return view->u.object;
}

/* Python's list[from:to], negative positions counted from the end. */
Value
value_list_slice(const Value *list, int64 from, int64 to)
{
	ListObject *object = value_list_object(list);

	if (from < 0)
		from = Max(from + object->n, 0);
	if (to < 0)
		to = Max(to + object->n, 0);
	from = Min(from, object->n);
	to = Min(to, object->n);
	if (from >= to)
		return value_list_new();
	return value_list_of(object->items + from, to - from);
}
