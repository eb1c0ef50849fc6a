/*
 * value_dict.c
 *		Dicts and sets: in order of insertion, keys by Python's equality.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "base/json.h"
#include "expr/value_internal.h"

/* Up to this many entries are searched one by one. */
#define SMALL_DICT 8

static DictObject *
dict_object_new(int size)
{
	DictObject *dict = palloc0(sizeof(DictObject));

	dict->size = Max(size, 4);
	expr_reserve(mul_size(dict->size, sizeof(DictEntry)));
	dict->entries = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DictEntry) * (Size) dict->size);
	return dict;
}

Value
value_dict_new(void)
{
	return value_object(VALUE_DICT, 0, dict_object_new(4));
}

Value
value_set_new(void)
{
	return value_object(VALUE_SET, 0, dict_object_new(4));
}

static void
dict_object_reindex(DictObject *dict)
{
	uint32		size = 32;

	while (size < (uint32) dict->size * 2)
		size *= 2;
	if (dict->index)
		pfree(dict->index);
	expr_reserve(mul_size(size, sizeof(int32)));
	dict->index = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * (Size) size);
	memset(dict->index, 0xff, sizeof(int32) * (Size) size);
	dict->index_mask = size - 1;
	for (int i = 0; i < dict->n; i++)
	{
		uint32		at = dict->entries[i].hash & dict->index_mask;

		while (dict->index[at] >= 0)
			at = (at + 1) & dict->index_mask;
		dict->index[at] = i;
	}
}

static bool
same_key(const DictEntry *entry, const Value *key, uint32 hash)
{
	if (entry->hash != hash)
		return false;
	if (entry->key.kind == VALUE_STRING && key->kind == VALUE_STRING)
		return entry->key.u.string.len == key->u.string.len &&
			memcmp(entry->key.u.string.data, key->u.string.data, key->u.string.len) == 0;
	return value_equal(&entry->key, key);
}

static DictEntry *
dict_object_search(DictObject *dict, const Value *key, uint32 hash)
{
	if (dict->index == NULL)
	{
		for (int i = 0; i < dict->n; i++)
			if (same_key(&dict->entries[i], key, hash))
				return &dict->entries[i];
		return NULL;
	}
	for (uint32 at = hash & dict->index_mask; dict->index[at] >= 0; at = (at + 1) & dict->index_mask)
		if (same_key(&dict->entries[dict->index[at]], key, hash))
			return &dict->entries[dict->index[at]];
	return NULL;
}

DictEntry *
dict_object_find(DictObject *dict, const Value *key)
{
	return dict_object_search(dict, key, value_hash(key));
}

/* A key that is there keeps its place, and its first form (1 stays 1 when 1.0 is put). */
void
dict_object_put(DictObject *dict, Value key, Value item)
{
	uint32		hash = value_hash(&key);
	DictEntry  *entry = dict_object_search(dict, &key, hash);

	if (entry != NULL)
	{
		entry->item = item;
		return;
	}
	if (dict->n == dict->size)
	{
		if (dict->size > EVAL_MAX_LENGTH / 2)
			expr_limit("a dict grows too large");
		expr_reserve(sizeof(DictEntry) * (Size) dict->size * 2);
		dict->size *= 2;
		dict->entries = repalloc_huge(dict->entries, sizeof(DictEntry) * (Size) dict->size);
		if (dict->index)
			dict_object_reindex(dict);
	}
	dict->entries[dict->n++] = (DictEntry)
	{
		key, item, hash
	};
	if (dict->index)
	{
		uint32		at = hash & dict->index_mask;

		while (dict->index[at] >= 0)
			at = (at + 1) & dict->index_mask;
		dict->index[at] = dict->n - 1;
	}
	else if (dict->n > SMALL_DICT)
		dict_object_reindex(dict);
}

typedef struct ViewWalk
{
	DictView   *view;
	int			source;
	const Value *dict;
} ViewWalk;

static void
view_emit(void *arg, const char *key, int len)
{
	ViewWalk   *walk = arg;
	ValueSource *source = &walk->view->sources[walk->source];
	Value		name = value_string(key, len);
	Value		item;

	if (dict_object_find(walk->view->whole, &name) == NULL && source->get(source->arg, key, len, &item))
	{
		name = value_string(pnstrdup(key, len), len);
		dict_object_put(walk->view->whole, name, value_child(walk->dict, item));
	}
}

static DictObject *
view_object(const Value *dict)
{
	DictView   *view = dict->u.object;
	ViewWalk	walk = {view, 0, dict};

	if (view->whole == NULL)
	{
		/* The view outlives an evaluation, and so must what it remembers. */
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(view));

		view->whole = dict_object_new(16);
		for (; walk.source < view->nsources; walk.source++)
			view->sources[walk.source].keys(view->sources[walk.source].arg, view_emit, &walk);
		MemoryContextSwitchTo(old);
	}
	return view->whole;
}

/* The dict with all its entries at hand, unfolded one level when it is jsonb. */
DictObject *
value_dict_object(const Value *dict)
{
	DictObject *object = dict->u.object;

	if (dict->flags & VALUE_F_VIEW)
		return view_object(dict);
	if (dict->flags & VALUE_F_JSONB)
	{
		JsonbContainer *c = dict->u.jsonb.container;
		JsonbIterator *it = JsonbIteratorInit(c);
		JsonbIteratorToken token;
		JsonbValue	jv;
		Value		key = value_null();

		object = dict_object_new(JsonContainerSize(c));
		while ((token = JsonbIteratorNext(&it, &jv, true)) != WJB_DONE)
		{
			expr_tick();
			if (token == WJB_KEY)
				key = value_from_jsonb_value(&jv);
			else if (token == WJB_VALUE)
				dict_object_put(object, key, value_child(dict, value_from_jsonb_value(&jv)));
		}
		return object;
	}
	if ((dict->flags & VALUE_F_DEEP) && !object->deepened)
	{
		for (int i = 0; i < object->n; i++)
			object->entries[i].item = value_child(dict, object->entries[i].item);
		object->deepened = true;
	}
	return object;
}

int
value_dict_length(const Value *dict)
{
	if (dict->flags & VALUE_F_JSONB)
		return JsonContainerSize(dict->u.jsonb.container);
	return value_dict_object(dict)->n;
}

int
value_set_length(const Value *set)
{
	return ((DictObject *) set->u.object)->n;
}

bool
value_dict_get(const Value *dict, const char *key, int len, Value *item)
{
	if (dict->flags & VALUE_F_JSONB)
	{
		JsonbValue	jv;

		if (!json_find(dict->u.jsonb.container, key, len, &jv))
			return false;
		*item = value_child(dict, value_from_jsonb_value(&jv));
		return true;
	}
	if ((dict->flags & VALUE_F_VIEW) && ((DictView *) dict->u.object)->whole == NULL)
	{
		DictView   *view = dict->u.object;
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(view));
		bool		found = false;

		for (int i = 0; i < view->nsources && !found; i++)
			found = view->sources[i].get(view->sources[i].arg, key, len, item);
		MemoryContextSwitchTo(old);
		if (found)
			*item = value_child(dict, *item);
		return found;
	}
	{
		Value		name = value_string(key, len);
		DictEntry  *entry = dict_object_find(value_dict_object(dict), &name);

		if (entry)
			*item = value_child(dict, entry->item);
		return entry != NULL;
	}
}

/* By any key; raises when the key cannot be one. */
bool
value_dict_find(const Value *dict, const Value *key, Value *item)
{
	DictEntry  *entry;

	if (key->kind == VALUE_STRING)
		return value_dict_get(dict, key->u.string.data, key->u.string.len, item);
	entry = dict_object_find(value_dict_object(dict), key);
	if (entry)
		*item = value_child(dict, entry->item);
	return entry != NULL;
}

void
value_dict_put(Value *dict, Value key, Value item)
{
	dict_object_put(dict->u.object, key, item);
}

void
value_dict_set(Value *dict, const char *key, Value item)
{
	value_dict_put(dict, value_cstring(pstrdup(key)), item);
}

/* A new dict with the same entries. */
Value
value_dict_copy(const Value *dict)
{
	DictObject *from = value_dict_object(dict);
	DictObject *to = dict_object_new(from->n + 1);

	memcpy(to->entries, from->entries, from->n * sizeof(DictEntry));
	to->n = from->n;
	if (to->n > SMALL_DICT)
		dict_object_reindex(to);
	return value_object(VALUE_DICT, 0, to);
}

Value
value_set_of(const Value *items, int n)
{
	Value		set = value_set_new();

	for (int i = 0; i < n; i++)
		dict_object_put(set.u.object, items[i], value_null());
	return set;
}

bool
value_set_has(const Value *set, const Value *item)
{
	return dict_object_find(set->u.object, item) != NULL;
}
