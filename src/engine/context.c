/*
 * context.c
 *		The data flow: which variables a task sees and where their values are.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "base/json_flat.h"
#include "engine/context.h"

/* The ordinal of values that belong to no task: a final context being merged. */
#define OWNER_NONE (-1)

typedef struct ScopeFill
{
	Scope	   *scope;
	int			ordinal;
	const Scope *before;
} ScopeFill;

typedef struct MergeItem
{
	ScopeEntry	entry;
	Jsonb	   *value;			/* merged value, NULL while one entry stands for it */
} MergeItem;

static int	compare_keys(const char *a, int alen, const char *b, int blen);
static int	compare_entries(const void *a, const void *b);
static int	compare_stored(const void *a, const void *b);
static void fill_published(void *arg, const char *key, int len, const JsonbValue *value);
static void merge_entry(Execution *execution, MergeItem *item, const ScopeEntry *entry);
static bool same_place(const ScopeEntry *a, const ScopeEntry *b);

const Scope *
scope_outbound(Task *task)
{
	Tree	   *tree = task->execution->tree;
	Jsonb	   *published = json_ref_get(task->cxt, &task->published);
	const Scope *before = task->scope;
	ScopeFill	fill;
	ScopeEntry *new;
	int			nnew;
	int			i;
	int			k;

	if (!json_is_object(published) || json_count(published) == 0)
		return before;

	/* Whatever follows from the task has the same one: many may. */
	if (task->outbound != NULL && task->outbound_published == published && task->outbound_scope == before)
		return task->outbound;

	/* What is published anew, in order, and what it does not hide. */
	fill.scope = MemoryContextAlloc(tree->cxt, offsetof(Scope, entries) +
									sizeof(ScopeEntry) * (before->n + json_count(published)));
	fill.scope->n = 0;
	fill.ordinal = task->ordinal;
	fill.before = before;
	json_members(published, fill_published, &fill);
	nnew = fill.scope->n;
	new = palloc(sizeof(ScopeEntry) * nnew);
	memcpy(new, fill.scope->entries, sizeof(ScopeEntry) * nnew);
	qsort(new, nnew, sizeof(ScopeEntry), compare_entries);
	for (i = 0, k = 0, fill.scope->n = 0; i < before->n || k < nnew;)
	{
		int			cmp = i >= before->n ? 1 : k >= nnew ? -1 : compare_entries(&before->entries[i], &new[k]);

		fill.scope->entries[fill.scope->n++] = cmp < 0 ? before->entries[i] : new[k];
		i += cmp <= 0;
		k += cmp >= 0;
	}
	pfree(new);
	task->outbound = fill.scope;
	task->outbound_published = published;
	task->outbound_scope = before;
	return fill.scope;
}

const Scope *
scope_merge(Execution *execution, Task **tasks, int ntasks, int owner, Jsonb **merged)
{
	MergeItem  *items = NULL;
	int			nitems = 0;
	JsonBuilder b = {0};
	bool		any = false;
	Scope	   *result;
	int			t;
	int			i;

	*merged = NULL;
	if (ntasks == 0)
		return &empty_scope;
	if (ntasks == 1)
		return scope_outbound(tasks[0]);

	for (t = 0; t < ntasks; t++)
	{
		const Scope *scope = scope_outbound(tasks[t]);
		MergeItem  *out;
		int			n = 0;
		int			j = 0;

		CHECK_FOR_INTERRUPTS();
		/* Both lists are ordered by key: one pass. */
		out = palloc(sizeof(MergeItem) * (nitems + scope->n + 1));
		for (i = 0; i < nitems || j < scope->n;)
		{
			int			cmp;

			if (i >= nitems)
				cmp = 1;
			else if (j >= scope->n)
				cmp = -1;
			else
				cmp = compare_keys(items[i].entry.key, items[i].entry.len,
								   scope->entries[j].key, scope->entries[j].len);
			if (cmp < 0)
				out[n++] = items[i++];
			else if (cmp > 0)
			{
				out[n].entry = scope->entries[j++];
				out[n++].value = NULL;
			}
			else
			{
				out[n] = items[i++];
				merge_entry(execution, &out[n++], &scope->entries[j++]);
			}
		}
		if (items)
			pfree(items);
		items = out;
		nitems = n;
	}

	result = MemoryContextAlloc(execution->tree->cxt, offsetof(Scope, entries) + sizeof(ScopeEntry) * nitems);
	result->n = nitems;
	json_begin_object(&b);
	for (i = 0; i < nitems; i++)
	{
		result->entries[i] = items[i].entry;
		if (items[i].value == NULL)
			continue;
		any = true;
		result->entries[i].ordinal = owner;
		result->entries[i].merged = true;
		json_add_key(&b, pnstrdup(items[i].entry.key, items[i].entry.len));
		json_add_jsonb(&b, items[i].value);
	}
	json_end_object(&b);
	if (any)
	{
		MemoryContext old = MemoryContextSwitchTo(execution->tree->cxt);

		*merged = json_finish(&b);
		MemoryContextSwitchTo(old);
	}
	return result;
}

JsonbValue *
scope_value(Execution *execution, const ScopeEntry *entry, const Jsonb *merged)
{
	const Jsonb *object = merged;

	if (entry->ordinal != OWNER_NONE)
	{
		Task	   *task = execution->tasks[entry->ordinal];

		object = json_ref_get(task->cxt, entry->merged ? &task->merged : &task->published);
	}
	return json_get(object, entry->key, entry->len);
}

const ScopeEntry *
scope_find(const Scope *scope, const char *key, int len)
{
	int			low = 0;
	int			high = scope->n - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;
		int			cmp = compare_keys(key, len, scope->entries[mid].key, scope->entries[mid].len);

		if (cmp == 0)
			return &scope->entries[mid];
		if (cmp < 0)
			high = mid - 1;
		else
			low = mid + 1;
	}
	return NULL;
}

Jsonb *
scope_to_jsonb(Execution *execution, const Scope *scope, const Jsonb *merged)
{
	JsonBuilder b = {0};
	int			i;

	json_begin_object(&b);
	for (i = 0; i < scope->n; i++)
	{
		JsonbValue *value = scope_value(execution, &scope->entries[i], merged);

		if (value == NULL)
			continue;
		json_add_key(&b, pnstrdup(scope->entries[i].key, scope->entries[i].len));
		json_add_value(&b, value);
	}
	json_end_object(&b);
	return json_finish(&b);
}

Jsonb *
scope_store(const Scope *scope)
{
	const ScopeEntry **entries;
	JsonFlat	f;
	int			size = 0;
	int			i;

	if (scope->n == 0)
		return NULL;
	entries = palloc(sizeof(ScopeEntry *) * scope->n);
	for (i = 0; i < scope->n; i++)
	{
		entries[i] = &scope->entries[i];
		size += entries[i]->len;
	}
	qsort(entries, scope->n, sizeof(ScopeEntry *), compare_stored);
	/* Besides the key: its entry, its value's, and the number with its padding. */
	json_flat_begin(&f, size + scope->n * 20 + sizeof(uint32));
	json_flat_open_object(&f, scope->n);
	for (i = 0; i < scope->n; i++)
		json_flat_string(&f, entries[i]->key, entries[i]->len);
	for (i = 0; i < scope->n; i++)
	{
		int			ordinal = entries[i]->merged ? -1 - entries[i]->ordinal : entries[i]->ordinal;

		if (entries[i]->version == 1)
		{
			json_flat_int(&f, ordinal);
			continue;
		}
		json_flat_open_array(&f, 2);
		json_flat_int(&f, ordinal);
		json_flat_int(&f, entries[i]->version);
		json_flat_close(&f);
	}
	json_flat_close(&f);
	pfree(entries);
	return json_flat_finish(&f);
}

static int
compare_stored(const void *a, const void *b)
{
	const ScopeEntry *x = *(const ScopeEntry *const *) a;
	const ScopeEntry *y = *(const ScopeEntry *const *) b;

	return json_compare_keys(x->key, x->len, y->key, y->len);
}

static int
stored_int(const JsonbValue *v)
{
	return v && v->type == jbvNumeric
		? DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(v->val.numeric))) : 0;
}

static void
load_entry(void *arg, const char *key, int len, const JsonbValue *value)
{
	Scope	   *scope = arg;
	ScopeEntry *entry = &scope->entries[scope->n++];
	bool		pair = value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
	int			ordinal = stored_int(pair ? getIthJsonbValueFromContainer(value->val.binary.data, 0) : value);

	entry->key = key;
	entry->len = len;
	entry->merged = ordinal < 0;
	entry->ordinal = ordinal < 0 ? -1 - ordinal : ordinal;
	entry->version = pair ? stored_int(getIthJsonbValueFromContainer(value->val.binary.data, 1)) : 1;
}

/* Keys point into `stored`, which must be in the tree's context. */
const Scope *
scope_load(Tree *tree, const Jsonb *stored)
{
	Scope	   *scope;

	if (!json_is_object(stored) || json_count(stored) == 0)
		return &empty_scope;
	scope = MemoryContextAlloc(tree->cxt, offsetof(Scope, entries) + sizeof(ScopeEntry) * json_count(stored));
	scope->n = 0;
	json_members(stored, load_entry, scope);
	qsort(scope->entries, scope->n, sizeof(ScopeEntry), compare_entries);
	return scope;
}

static int
compare_keys(const char *a, int alen, const char *b, int blen)
{
	int			cmp = memcmp(a, b, Min(alen, blen));

	return cmp != 0 ? cmp : alen - blen;
}

static int
compare_entries(const void *a, const void *b)
{
	const ScopeEntry *x = a;
	const ScopeEntry *y = b;

	return compare_keys(x->key, x->len, y->key, y->len);
}

static void
fill_published(void *arg, const char *key, int len, const JsonbValue *value)
{
	ScopeFill  *fill = arg;
	const ScopeEntry *before = scope_find(fill->before, key, len);
	ScopeEntry *entry = &fill->scope->entries[fill->scope->n++];

	entry->key = key;
	entry->len = len;
	entry->ordinal = fill->ordinal;
	entry->merged = false;
	entry->version = before ? before->version + 1 : 1;
}

/* Merges one more branch's entry into what the branches before it gave. */
static void
merge_entry(Execution *execution, MergeItem *item, const ScopeEntry *entry)
{
	MemoryContext work;
	MemoryContext caller;
	JsonbValue *value;
	Jsonb	   *older;
	Jsonb	   *newer;
	Jsonb	   *both = NULL;
	bool		new_wins = entry->version >= item->entry.version;

	if (item->value == NULL && same_place(&item->entry, entry))
		return;

	/* With many branches, what each merge leaves behind would add up. */
	work = AllocSetContextCreate(CurrentMemoryContext, "mistral merge", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(work);
	value = scope_value(execution, entry, NULL);
	newer = value ? json_from_value(value) : NULL;
	older = item->value;
	if (older == NULL && (value = scope_value(execution, &item->entry, NULL)) != NULL)
		older = json_from_value(value);
	if (json_is_object(older) && json_is_object(newer))
		both = new_wins ? json_merge_deep(older, newer) : json_merge_deep(newer, older);
	MemoryContextSwitchTo(caller);

	if (both)
	{
		both = json_copy(both);
		if (item->value)
			pfree(item->value);
		item->value = both;
		item->entry.version = Max(item->entry.version, entry->version);
	}
	else if (new_wins)
	{
		if (item->value)
			pfree(item->value);
		item->entry = *entry;
		item->value = NULL;
	}
	MemoryContextDelete(work);
}

static bool
same_place(const ScopeEntry *a, const ScopeEntry *b)
{
	return a->ordinal == b->ordinal && a->merged == b->merged;
}
