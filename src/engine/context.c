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

/* Entries that branch after branch changes in what the branches before it gave. */
typedef struct Merge
{
	Execution  *execution;
	ScopeEntry *entries;		/* of this branch, in the order of the keys */
	int			n;
	int			room;
	Jsonb	  **values;			/* merged ones, see IS_MERGED */
	int			nvalues;
	int			maxvalues;
} Merge;

/* While merging, the value of an entry that no task has as it is: its ordinal is -2, -3 ... */
#define MERGED_ORDINAL(i) (-2 - (i))
#define IS_MERGED(entry) ((entry)->ordinal <= MERGED_ORDINAL(0))
#define MERGED_VALUE(merge, entry) ((merge)->values[-2 - (entry)->ordinal])

/* What merging leaves behind is cleared away after so many entries. */
#define MERGE_ENTRIES 100000

static void fill_published(void *arg, const char *key, int len, const JsonbValue *value);
static const ScopeNode *merge_branches(Merge *merge, Task **tasks, int ntasks);
static const ScopeNode *copy_variables(const ScopeNode *variables);
static const ScopeEntry *copy_entries(const Merge *merge);
static void merge_entry(void *arg, const ScopeEntry *before, const ScopeEntry *entry);
static void keep_value(Merge *merge, ScopeEntry *entry, Jsonb *value);
static void add_entry(void *arg, const ScopeEntry *before, const ScopeEntry *entry);
static Jsonb *entry_value(Merge *merge, const ScopeEntry *entry);
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
	Merge		merge = {.execution = execution};
	JsonBuilder b = {0};
	bool		any = false;
	const Scope *first;
	const Scope *scope;
	MemoryContext work;
	MemoryContext caller;

	*merged = NULL;
	if (ntasks == 0)
		return &empty_scope;
	first = scope_outbound(tasks[0]);
	if (ntasks == 1)
		return first;

	work = AllocSetContextCreate(CurrentMemoryContext, "mistral merge", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(work);
	scope_tree_compare(first->variables, merge_branches(&merge, tasks, ntasks), add_entry, &merge);
	json_begin_object(&b);
	for (int i = 0; i < merge.n; i++)
	{
		ScopeEntry *entry = &merge.entries[i];

		if (!IS_MERGED(entry))
			continue;
		any = true;
		json_add_key(&b, pnstrdup(entry->key, entry->len));
		json_add_jsonb(&b, MERGED_VALUE(&merge, entry));
		entry->ordinal = owner;
		entry->merged = true;
	}
	json_end_object(&b);
	if (any)
		*merged = json_keep(execution->tree->cxt, json_finish(&b));
	scope = merge.n > 0 ? scope_with(execution->tree, first, merge.entries, merge.n) : first;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	return scope;
}

/* All variables of the branches; what is made for that is in a context of its own. */
static const ScopeNode *
merge_branches(Merge *merge, Task **tasks, int ntasks)
{
	const ScopeNode *all = scope_outbound(tasks[0])->variables;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "mistral merge", ALLOCSET_DEFAULT_SIZES);
	int64		made = 0;
	int			t;

	for (t = 1; t < ntasks; t++)
	{
		const ScopeNode *variables = scope_outbound(tasks[t])->variables;

		CHECK_FOR_INTERRUPTS();
		scope_tree_compare(all, variables, merge_entry, merge);
		if (merge->n == 0)
			continue;
		MemoryContextSwitchTo(work);
		all = scope_tree_with(work, all, copy_entries(merge), merge->n);
		made += merge->n;
		merge->n = 0;
		if (made > MERGE_ENTRIES && made > 2 * scope_tree_count(all))
		{
			MemoryContext old = work;

			work = AllocSetContextCreate(caller, "mistral merge", ALLOCSET_DEFAULT_SIZES);
			MemoryContextSwitchTo(work);
			all = copy_variables(all);
			MemoryContextDelete(old);
			made = 0;
		}
		MemoryContextSwitchTo(caller);
	}
	return all;
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
	ScopeWalk	walk;
	const ScopeEntry *entry;

	scope_tree_walk(&walk, scope->variables);
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

static const ScopeEntry *
copy_entries(const Merge *merge)
{
	ScopeEntry *entries = palloc_extended(sizeof(ScopeEntry) * merge->n, MCXT_ALLOC_HUGE);

	memcpy(entries, merge->entries, sizeof(ScopeEntry) * merge->n);
	return entries;
}

static const ScopeNode *
copy_variables(const ScopeNode *variables)
{
	Merge		copy = {0};

	scope_tree_compare(NULL, variables, add_entry, &copy);
	return scope_tree_with(CurrentMemoryContext, NULL, copy.entries, copy.n);
}

/* Merges one more branch's entry into what the branches before it gave. */
static void
merge_entry(void *arg, const ScopeEntry *before, const ScopeEntry *entry)
{
	Merge	   *merge = arg;
	MemoryContext work;
	MemoryContext caller;
	Jsonb	   *older;
	Jsonb	   *newer;
	Jsonb	   *both = NULL;
	bool		new_wins;
	ScopeEntry	result;

	if (before == NULL)
	{
		add_entry(merge, NULL, entry);
		return;
	}
	if (same_place(before, entry))
		return;
	new_wins = entry->version >= before->version;

	/* With many branches, what each merge leaves behind would add up. */
	work = AllocSetContextCreate(CurrentMemoryContext, "mistral merge", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(work);
	newer = entry_value(merge, entry);
	older = entry_value(merge, before);
	if (json_is_object(older) && json_is_object(newer))
		both = new_wins ? json_merge_deep(older, newer) : json_merge_deep(newer, older);
	MemoryContextSwitchTo(caller);

	if (both)
	{
		result = *before;
		result.version = Max(before->version, entry->version);
		keep_value(merge, &result, json_copy(both));
		add_entry(merge, NULL, &result);
	}
	else if (new_wins)
		add_entry(merge, NULL, entry);
	MemoryContextDelete(work);
}

/* The value of the entry from now on. */
static void
keep_value(Merge *merge, ScopeEntry *entry, Jsonb *value)
{
	if (IS_MERGED(entry))
	{
		pfree(MERGED_VALUE(merge, entry));
		MERGED_VALUE(merge, entry) = value;
		return;
	}
	if (merge->nvalues == merge->maxvalues)
	{
		merge->maxvalues = Max(2 * merge->maxvalues, 16);
		merge->values = merge->values ? repalloc_huge(merge->values, sizeof(Jsonb *) * merge->maxvalues)
			: palloc(sizeof(Jsonb *) * merge->maxvalues);
	}
	entry->ordinal = MERGED_ORDINAL(merge->nvalues);
	merge->values[merge->nvalues++] = value;
}

static void
add_entry(void *arg, const ScopeEntry *before, const ScopeEntry *entry)
{
	Merge	   *merge = arg;

	if (before && same_place(before, entry) && before->version == entry->version)
		return;
	if (merge->n == merge->room)
	{
		merge->room = Max(2 * merge->room, 16);
		merge->entries = merge->entries ? repalloc_huge(merge->entries, sizeof(ScopeEntry) * merge->room)
			: palloc(sizeof(ScopeEntry) * merge->room);
	}
	merge->entries[merge->n++] = *entry;
}

static Jsonb *
entry_value(Merge *merge, const ScopeEntry *entry)
{
	JsonbValue *value;

	if (IS_MERGED(entry))
		return MERGED_VALUE(merge, entry);
	value = scope_value(merge->execution, entry, NULL);
	return value ? json_from_value(value) : NULL;
}

static bool
same_place(const ScopeEntry *a, const ScopeEntry *b)
{
	return a->ordinal == b->ordinal && a->merged == b->merged;
}
