/*
 * scope.c
 *		The variables of a branch: where the value of each is.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "base/json_flat.h"
#include "engine/scope.h"

static Scope *new_scope(Tree *tree, int room);
static int	compare_entries(const void *a, const void *b);
static bool may_hold(const Task *task);
static const ScopeEntry **all_entries(const Scope *scope, int *n);
static const ScopeEntry **own_entries(const Scope *scope);
static void store_entries(JsonFlat *f, const ScopeEntry **entries, int n);
static int	stored_size(const ScopeEntry **entries, int n);
static int	compare_stored(const void *a, const void *b);
static Scope *load_entries(Tree *tree, const Jsonb *stored);
static Scope *load_array(Tree *tree, const Jsonb *stored);
static int	stored_int(const JsonbValue *v);
static void complete(Task *task);
static void missing(const Task *task, int holder) pg_attribute_noreturn();

void
scope_give(Task *task, const Scope *scope)
{
	task->scope = scope;
	if (scope->holder < 0 && !SCOPE_IS_EMPTY(scope) && may_hold(task))
		unconstify(Scope *, scope)->holder = task->ordinal;
}

/* Whoever holds a scope keeps it: a join gets another one when it runs. */
static bool
may_hold(const Task *task)
{
	return task->spec >= 0 && task->execution->workflow && task_spec(task)->join == JOIN_NONE;
}

const Scope *
scope_with(Tree *tree, const Scope *before, ScopeEntry *new, int nnew)
{
	/* What no row has for others is added once more. */
	bool		held = before->holder >= 0;
	int			nbefore = !held && before->over >= 0 ? before->n : 0;
	Scope	   *scope = new_scope(tree, nbefore + nnew);
	int			i = 0;
	int			k = 0;

	qsort(new, nnew, sizeof(ScopeEntry), compare_entries);
	while (i < nbefore || k < nnew)
	{
		int			cmp = i >= nbefore ? 1 : k >= nnew ? -1 : scope_compare(&before->entries[i], &new[k]);

		scope->entries[scope->n++] = cmp < 0 ? before->entries[i] : new[k];
		i += cmp <= 0;
		k += cmp >= 0;
	}
	scope->variables = scope_tree_with(tree->cxt, before->variables, scope->entries, scope->n);
	/* One that has little else is stored as a whole. */
	if (2 * scope->n < scope->variables->n)
		scope->over = held ? before->holder : before->over;
	return scope;
}

static Scope *
new_scope(Tree *tree, int room)
{
	Scope	   *scope = MemoryContextAllocHuge(tree->cxt, offsetof(Scope, entries) + sizeof(ScopeEntry) * room);

	scope->variables = NULL;
	scope->holder = scope->over = -1;
	scope->base = NULL;
	scope->n = 0;
	return scope;
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
	bool		elsewhere = scope->holder >= 0 && scope->holder != task->ordinal;
	const ScopeEntry **entries;
	const ScopeEntry **base;
	int			n;
	int			nbase;
	JsonFlat	f;

	if (SCOPE_IS_EMPTY(scope))
		return NULL;
	/* Of a single variable the whole is smaller. */
	elsewhere = elsewhere && scope->variables->n > 1;
	if (elsewhere || scope->over >= 0)
	{
		n = elsewhere ? 0 : scope->n;
		entries = own_entries(scope);
		json_flat_begin(&f, stored_size(entries, n) + 32);
		json_flat_open_array(&f, 2);
		store_entries(&f, entries, n);
		json_flat_int(&f, elsewhere ? scope->holder : scope->over);
		json_flat_close(&f);
	}
	else if (scope->base)
	{
		/* Others name the base. */
		base = all_entries(scope->base, &nbase);
		entries = own_entries(scope);
		json_flat_begin(&f, stored_size(base, nbase) + stored_size(entries, scope->n) + 32);
		json_flat_open_array(&f, 2);
		store_entries(&f, base, nbase);
		store_entries(&f, entries, scope->n);
		json_flat_close(&f);
	}
	else
	{
		entries = all_entries(scope, &n);
		json_flat_begin(&f, stored_size(entries, n));
		store_entries(&f, entries, n);
	}
	return json_flat_finish(&f);
}

static const ScopeEntry **
all_entries(const Scope *scope, int *n)
{
	const ScopeEntry **entries = palloc_extended(sizeof(ScopeEntry *) * scope->variables->n, MCXT_ALLOC_HUGE);
	const ScopeEntry *entry;
	ScopeWalk	walk;

	*n = 0;
	scope_tree_walk(&walk, scope->variables);
	while ((entry = scope_next(&walk)) != NULL)
		entries[(*n)++] = entry;
	return entries;
}

static const ScopeEntry **
own_entries(const Scope *scope)
{
	const ScopeEntry **entries = palloc_extended(sizeof(ScopeEntry *) * Max(scope->n, 1), MCXT_ALLOC_HUGE);
	int			i;

	for (i = 0; i < scope->n; i++)
		entries[i] = &scope->entries[i];
	return entries;
}

/* About the bytes that store_entries adds. */
static int
stored_size(const ScopeEntry **entries, int n)
{
	int			size = 2 * sizeof(uint32);

	/* Besides the key: its entry, its value's, and the number with its padding. */
	for (int i = 0; i < n; i++)
		size += entries[i]->len + 20;
	return size;
}

/* Built in one pass: every task's row has one.  Puts them in another order. */
static void
store_entries(JsonFlat *f, const ScopeEntry **entries, int n)
{
	int			i;

	qsort(entries, n, sizeof(ScopeEntry *), compare_stored);
	json_flat_open_object(f, n);
	for (i = 0; i < n; i++)
		json_flat_string(f, entries[i]->key, entries[i]->len);
	for (i = 0; i < n; i++)
	{
		int			ordinal = entries[i]->merged ? -1 - entries[i]->ordinal : entries[i]->ordinal;

		if (entries[i]->version == 1)
		{
			json_flat_int(f, ordinal);
			continue;
		}
		json_flat_open_array(f, 2);
		json_flat_int(f, ordinal);
		json_flat_int(f, entries[i]->version);
		json_flat_close(f);
	}
	json_flat_close(f);
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
scope_load(Task *task, const Jsonb *stored)
{
	Tree	   *tree = task->execution->tree;
	Scope	   *scope;

	if (stored && JB_ROOT_IS_ARRAY(stored) && JB_ROOT_COUNT(stored) == 2)
		scope = load_array(tree, stored);
	else if (json_is_object(stored) && json_count(stored) > 0)
	{
		scope = load_entries(tree, stored);
		scope->variables = scope_tree_with(tree->cxt, NULL, scope->entries, scope->n);
	}
	else
		return &empty_scope;
	if (may_hold(task))
		scope->holder = task->ordinal;
	return scope;
}

static Scope *
load_array(Tree *tree, const Jsonb *stored)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	JsonbValue *first = getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, 0);
	JsonbValue *second = getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, 1);
	Scope	   *base;
	Scope	   *scope;

	if (second->type == jbvNumeric)
	{
		scope = load_entries(tree, json_from_value(first));
		scope->over = stored_int(second);
	}
	else
	{
		scope = load_entries(tree, json_from_value(second));
		if (first->type == jbvNumeric)
		{
			scope->over = stored_int(first);
			scope->base = &empty_scope;
		}
		else
		{
			base = load_entries(tree, json_from_value(first));
			base->variables = scope_tree_with(tree->cxt, NULL, base->entries, base->n);
			scope->base = base;
			scope->variables = scope_tree_with(tree->cxt, base->variables, scope->entries, scope->n);
		}
	}
	MemoryContextSwitchTo(old);
	return scope;
}

bool
scope_is_open(const Scope *scope)
{
	return scope->variables == NULL && scope != &empty_scope;
}

/* Along a chain of scopes, each of which needs the next; usually all but the first are complete. */
void
scope_resolve(Task *task)
{
	Execution  *execution = task->execution;
	List	   *chain = NIL;

	while (scope_is_open(task->scope))
	{
		int			over = task->scope->over;

		CHECK_FOR_INTERRUPTS();
		if (over < 0 || over >= execution->ntasks || execution->tasks[over] == NULL || list_length(chain) >= execution->ntasks)
			missing(task, over);
		chain = lappend(chain, task);
		task = execution->tasks[over];
	}
	while (chain != NIL)
	{
		complete(llast(chain));
		chain = list_delete_last(chain);
	}
}

/* The one that it is over is complete. */
static void
complete(Task *task)
{
	Scope	   *scope = unconstify(Scope *, task->scope);
	const Scope *found = task->execution->tasks[scope->over]->scope;

	if (scope->base)
		found = found->base;
	if (found == NULL || SCOPE_IS_EMPTY(found))
		missing(task, scope->over);
	if (scope->base)
	{
		/* Next time it is stored as a whole. */
		scope->over = -1;
		scope->base = NULL;
	}
	else if (scope->n == 0)
	{
		task->scope = found;
		return;
	}
	scope->variables = scope_tree_with(task->execution->tree->cxt, found->variables, scope->entries, scope->n);
}

static void
missing(const Task *task, int holder)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the variables of task \"%s\" are missing: task %d of its execution does not hold them",
					task->name, holder)));
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

static Scope *
load_entries(Tree *tree, const Jsonb *stored)
{
	Scope	   *scope = new_scope(tree, json_is_object(stored) ? json_count(stored) : 0);
	EntryFill	fill = {scope->entries, 0};

	if (json_is_object(stored))
		json_members(stored, load_entry, &fill);
	scope->n = fill.n;
	qsort(scope->entries, scope->n, sizeof(ScopeEntry), compare_entries);
	return scope;
}
