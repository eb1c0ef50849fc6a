/*
 * scope.c
 *		The variables of a branch: where the value of each is.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "base/json_flat.h"
#include "engine/scope.h"

/* A scope has no base up to this many variables, and at least as many of its own before it gets a new one. */
#define OWN_VARIABLES 32

static int	compare_keys(const char *a, int alen, const char *b, int blen);
static int	compare_entries(const void *a, const void *b);
static const ScopeEntry *search(const ScopeEntry *entries, int n, const char *key, int len);
static Scope *new_scope(Tree *tree, ScopeBase *base, int room);
static const Scope *with_new_base(Tree *tree, const Scope *scope);
static void store_entries(JsonFlat *f, const ScopeEntry *entries, int n);
static int	stored_size(const ScopeEntry *entries, int n);
static int	compare_stored(const void *a, const void *b);
static bool may_hold(const Task *task);
static ScopeBase *load_base(Task *task, const Jsonb *stored);
static int	load_entries(ScopeEntry *entries, const Jsonb *stored);

const ScopeEntry *
scope_find(const Scope *scope, const char *key, int len)
{
	const ScopeEntry *own = search(scope->entries, scope->n, key, len);

	if (own || scope->base == NULL)
		return own;
	return search(scope->base->entries, scope->base->n, key, len);
}

const ScopeEntry *
scope_next(ScopeWalk *walk)
{
	const Scope *scope = walk->scope;
	int			nbase = scope->base ? scope->base->n : 0;
	int			cmp;

	if (walk->own >= scope->n && walk->base >= nbase)
		return NULL;
	cmp = walk->own >= scope->n ? 1 : walk->base >= nbase ? -1
		: scope_compare(&scope->entries[walk->own], &scope->base->entries[walk->base]);
	/* Its own one hides the base's. */
	if (cmp == 0)
		walk->base++;
	return cmp <= 0 ? &scope->entries[walk->own++] : &scope->base->entries[walk->base++];
}

const Scope *
scope_with(Tree *tree, const Scope *before, ScopeEntry *new, int nnew)
{
	Scope	   *scope = new_scope(tree, before->base, before->n + nnew);
	int			limit = OWN_VARIABLES;
	int			i = 0;
	int			k = 0;

	qsort(new, nnew, sizeof(ScopeEntry), compare_entries);
	while (i < before->n || k < nnew)
	{
		int			cmp = i >= before->n ? 1 : k >= nnew ? -1 : scope_compare(&before->entries[i], &new[k]);

		scope->entries[scope->n++] = cmp < 0 ? before->entries[i] : new[k];
		i += cmp <= 0;
		k += cmp >= 0;
	}
	/* What each task adds to memory and rows, and what a new base adds now and then, are of one order. */
	if (scope->base)
		limit = Max(limit, (int) sqrt(scope->base->n));
	return scope->n > limit ? with_new_base(tree, scope) : scope;
}

const Scope *
scope_make(Tree *tree, const ScopeEntry *entries, int n)
{
	Scope	   *scope = new_scope(tree, NULL, n);

	memcpy(scope->entries, entries, sizeof(ScopeEntry) * n);
	scope->n = n;
	return n > OWN_VARIABLES ? with_new_base(tree, scope) : scope;
}

int
scope_compare(const ScopeEntry *a, const ScopeEntry *b)
{
	return compare_keys(a->key, a->len, b->key, b->len);
}

static Scope *
new_scope(Tree *tree, ScopeBase *base, int room)
{
	Scope	   *scope = MemoryContextAllocHuge(tree->cxt, offsetof(Scope, entries) + sizeof(ScopeEntry) * room);

	scope->base = base;
	scope->n = 0;
	return scope;
}

/* All that the scope has as a base, with nothing of its own. */
static const Scope *
with_new_base(Tree *tree, const Scope *scope)
{
	int			room = scope->n + (scope->base ? scope->base->n : 0);
	ScopeBase  *base = MemoryContextAllocHuge(tree->cxt, offsetof(ScopeBase, entries) + sizeof(ScopeEntry) * room);
	ScopeWalk	walk = {scope};
	const ScopeEntry *entry;

	base->holder = -1;
	base->n = 0;
	while ((entry = scope_next(&walk)) != NULL)
		base->entries[base->n++] = *entry;
	return new_scope(tree, base, 0);
}

static const ScopeEntry *
search(const ScopeEntry *entries, int n, const char *key, int len)
{
	int			low = 0;
	int			high = n - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;
		int			cmp = compare_keys(key, len, entries[mid].key, entries[mid].len);

		if (cmp == 0)
			return &entries[mid];
		if (cmp < 0)
			high = mid - 1;
		else
			low = mid + 1;
	}
	return NULL;
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
	return scope_compare(a, b);
}

/* ---------------------------------------------------------------- stored forms */

Jsonb *
scope_store(const Task *task)
{
	const Scope *scope = task->scope;
	ScopeBase  *base = scope->base;
	bool		elsewhere;
	JsonFlat	f;

	if (SCOPE_IS_EMPTY(scope))
		return NULL;
	if (base == NULL)
	{
		json_flat_begin(&f, stored_size(scope->entries, scope->n));
		store_entries(&f, scope->entries, scope->n);
		return json_flat_finish(&f);
	}
	if (base->holder < 0 && may_hold(task))
		base->holder = task->ordinal;
	elsewhere = base->holder >= 0 && base->holder != task->ordinal;
	json_flat_begin(&f, stored_size(scope->entries, scope->n) + (elsewhere ? 32 : stored_size(base->entries, base->n)));
	json_flat_open_array(&f, 2);
	if (elsewhere)
		json_flat_int(&f, base->holder);
	else
		store_entries(&f, base->entries, base->n);
	store_entries(&f, scope->entries, scope->n);
	json_flat_close(&f);
	return json_flat_finish(&f);
}

/* Whoever holds a base keeps its scope: a join gets another one when it runs. */
static bool
may_hold(const Task *task)
{
	return task->spec >= 0 && task->execution->workflow && task_spec(task)->join == JOIN_NONE;
}

/* About the bytes that store_entries adds. */
static int
stored_size(const ScopeEntry *entries, int n)
{
	int			size = 2 * sizeof(uint32);

	/* Besides the key: its entry, its value's, and the number with its padding. */
	for (int i = 0; i < n; i++)
		size += entries[i].len + 20;
	return size;
}

/* Built in one pass: every task's row has one. */
static void
store_entries(JsonFlat *f, const ScopeEntry *entries, int n)
{
	const ScopeEntry **sorted = palloc(sizeof(ScopeEntry *) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
		sorted[i] = &entries[i];
	qsort(sorted, n, sizeof(ScopeEntry *), compare_stored);
	json_flat_open_object(f, n);
	for (i = 0; i < n; i++)
		json_flat_string(f, sorted[i]->key, sorted[i]->len);
	for (i = 0; i < n; i++)
	{
		int			ordinal = sorted[i]->merged ? -1 - sorted[i]->ordinal : sorted[i]->ordinal;

		if (sorted[i]->version == 1)
		{
			json_flat_int(f, ordinal);
			continue;
		}
		json_flat_open_array(f, 2);
		json_flat_int(f, ordinal);
		json_flat_int(f, sorted[i]->version);
		json_flat_close(f);
	}
	json_flat_close(f);
	pfree(sorted);
}

static int
compare_stored(const void *a, const void *b)
{
	const ScopeEntry *x = *(const ScopeEntry *const *) a;
	const ScopeEntry *y = *(const ScopeEntry *const *) b;

	return json_compare_keys(x->key, x->len, y->key, y->len);
}

/* Keys point into `stored`, which must be in the tree's context. */
const Scope *
scope_load(Task *task, const Jsonb *stored, int *holder)
{
	Tree	   *tree = task->execution->tree;
	ScopeBase  *base = NULL;
	Scope	   *scope;

	*holder = -1;
	if (stored && JB_ROOT_IS_ARRAY(stored) && JB_ROOT_COUNT(stored) == 2)
	{
		MemoryContext old = MemoryContextSwitchTo(tree->cxt);
		JsonbValue *first = getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, 0);

		if (first->type == jbvNumeric)
			*holder = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(first->val.numeric)));
		else
			base = load_base(task, json_from_value(first));
		stored = json_from_value(getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, 1));
		MemoryContextSwitchTo(old);
	}
	if (!json_is_object(stored) || (json_count(stored) == 0 && base == NULL && *holder < 0))
		return &empty_scope;
	scope = new_scope(tree, base, json_count(stored));
	scope->n = load_entries(scope->entries, stored);
	return scope;
}

void
scope_resolve(Task *task, int holder)
{
	Execution  *execution = task->execution;
	Task	   *found = holder >= 0 && holder < execution->ntasks ? execution->tasks[holder] : NULL;

	if (found == NULL || found->scope->base == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the variables of task \"%s\" are missing: task %d of its execution does not hold them",
						task->name, holder)));
	unconstify(Scope *, task->scope)->base = found->scope->base;
}

static ScopeBase *
load_base(Task *task, const Jsonb *stored)
{
	ScopeBase  *base = palloc_extended(offsetof(ScopeBase, entries) + sizeof(ScopeEntry) * json_count(stored), MCXT_ALLOC_HUGE);

	base->n = load_entries(base->entries, stored);
	base->holder = may_hold(task) ? task->ordinal : -1;
	return base;
}

static int
stored_int(const JsonbValue *v)
{
	return v && v->type == jbvNumeric
		? DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(v->val.numeric))) : 0;
}

typedef struct EntryFill
{
	ScopeEntry *entries;
	int			n;
} EntryFill;

static void
load_entry(void *arg, const char *key, int len, const JsonbValue *value)
{
	EntryFill  *fill = arg;
	ScopeEntry *entry = &fill->entries[fill->n++];
	bool		pair = value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
	int			ordinal = stored_int(pair ? getIthJsonbValueFromContainer(value->val.binary.data, 0) : value);

	entry->key = key;
	entry->len = len;
	entry->merged = ordinal < 0;
	entry->ordinal = ordinal < 0 ? -1 - ordinal : ordinal;
	entry->version = pair ? stored_int(getIthJsonbValueFromContainer(value->val.binary.data, 1)) : 1;
}

static int
load_entries(ScopeEntry *entries, const Jsonb *stored)
{
	EntryFill	fill = {entries, 0};

	json_members(stored, load_entry, &fill);
	qsort(entries, fill.n, sizeof(ScopeEntry), compare_entries);
	return fill.n;
}
