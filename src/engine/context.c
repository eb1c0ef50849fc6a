/*
 * context.c
 *		The data flow: which variables a task sees and where their values are.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/json.h"
#include "engine/context.h"

/* The ordinal of values that belong to no task: a final context being merged. */
#define OWNER_NONE (-1)

typedef struct ScopeFill
{
	ScopeEntry *entries;
	int			n;
	int			ordinal;
	const Scope *before;
} ScopeFill;

typedef struct MergeItem
{
	ScopeEntry	entry;
	Jsonb	   *value;			/* merged value, NULL while one entry stands for it */
} MergeItem;

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

	if (!json_is_object(published) || json_count(published) == 0)
		return before;

	/* Whatever follows from the task has the same one: many may. */
	if (task->outbound != NULL && task->outbound_published == published && task->outbound_scope == before)
		return task->outbound;

	fill.entries = palloc(sizeof(ScopeEntry) * json_count(published));
	fill.n = 0;
	fill.ordinal = task->ordinal;
	fill.before = before;
	json_members(published, fill_published, &fill);
	task->outbound = scope_with(tree, before, fill.entries, fill.n);
	task->outbound_published = published;
	task->outbound_scope = before;
	pfree(fill.entries);
	return task->outbound;
}

const Scope *
scope_merge(Execution *execution, Task **tasks, int ntasks, int owner, Jsonb **merged)
{
	MergeItem  *items = NULL;
	int			nitems = 0;
	JsonBuilder b = {0};
	bool		any = false;
	ScopeEntry *entries;
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
		ScopeWalk	walk = {scope};
		const ScopeEntry *next = scope_next(&walk);
		MergeItem  *out;
		int			n = 0;

		CHECK_FOR_INTERRUPTS();
		/* Both lists are ordered by key: one pass. */
		out = palloc_extended(sizeof(MergeItem) * (nitems + scope->n + (scope->base ? scope->base->n : 0) + 1), MCXT_ALLOC_HUGE);
		for (i = 0; i < nitems || next;)
		{
			int			cmp;

			if (i >= nitems)
				cmp = 1;
			else if (next == NULL)
				cmp = -1;
			else
				cmp = scope_compare(&items[i].entry, next);
			if (cmp < 0)
				out[n++] = items[i++];
			else if (cmp > 0)
			{
				out[n].entry = *next;
				out[n++].value = NULL;
				next = scope_next(&walk);
			}
			else
			{
				out[n] = items[i++];
				merge_entry(execution, &out[n++], next);
				next = scope_next(&walk);
			}
		}
		if (items)
			pfree(items);
		items = out;
		nitems = n;
	}

	entries = palloc(sizeof(ScopeEntry) * (nitems + 1));
	json_begin_object(&b);
	for (i = 0; i < nitems; i++)
	{
		entries[i] = items[i].entry;
		if (items[i].value == NULL)
			continue;
		any = true;
		entries[i].ordinal = owner;
		entries[i].merged = true;
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
	return scope_make(execution->tree, entries, nitems);
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

Jsonb *
scope_to_jsonb(Execution *execution, const Scope *scope, const Jsonb *merged)
{
	JsonBuilder b = {0};
	ScopeWalk	walk = {scope};
	const ScopeEntry *entry;

	json_begin_object(&b);
	while ((entry = scope_next(&walk)) != NULL)
	{
		JsonbValue *value = scope_value(execution, entry, merged);

		if (value == NULL)
			continue;
		json_add_key(&b, pnstrdup(entry->key, entry->len));
		json_add_value(&b, value);
	}
	json_end_object(&b);
	return json_finish(&b);
}

static void
fill_published(void *arg, const char *key, int len, const JsonbValue *value)
{
	ScopeFill  *fill = arg;
	const ScopeEntry *before = scope_find(fill->before, key, len);
	ScopeEntry *entry = &fill->entries[fill->n++];

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
