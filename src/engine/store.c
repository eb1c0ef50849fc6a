/*
 * store.c
 *		Loading trees, a batch in a few statements.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/context.h"
#include "engine/definitions.h"
#include "engine/execution_row.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/workflow.h"

/* Objects of the batch being loaded, by id. */
typedef struct LoadEntry
{
	pg_uuid_t	id;
	void	   *object;
} LoadEntry;

typedef struct Load
{
	bool		whole;			/* with all items that have ended */
	HTAB	   *trees;
	HTAB	   *executions;
	HTAB	   *tasks;
	List	   *all;			/* of Execution * */
	List	   *parents;		/* of pg_uuid_t *, beside `all`: the parent task, or NULL */
	List	   *unresolved;		/* of Task *: other rows have a part of its variables */
} Load;

static void load_trees(List *trees, bool whole);
static void load_executions(Load *load, List *trees);
static void link_executions(Load *load);
static void load_tasks(Load *load);
static void load_task_row(Load *load, uint64 row);
static void load_actions(Load *load);
static void add_folded_action(Task *task, uint64 row);
static void load_triggered_by(Task *task, const Jsonb *stored);
static void load_next_tasks(Task *task, const Jsonb *stored);
static void load_runtime(Task *task, const Jsonb *stored);
static Bitmapset *load_tasks_set(const Jsonb *stored);
static HTAB *id_table(const char *name);
static void id_put(HTAB *table, const pg_uuid_t *id, void *object);
static void *id_get(HTAB *table, const pg_uuid_t *id);
static pg_uuid_t get_id(uint64 row, int col, bool *isnull);
static char *get_text(uint64 row, int col);
static JsonRef get_json(uint64 row, int col);
static State get_state(uint64 row, int col);
static TimestampTz get_time(uint64 row, int col);
static bool get_bool(uint64 row, int col);
static int	get_int(uint64 row, int col);
static ItemPointerData get_place(uint64 row, int col);

List *
store_get_trees(const LockedRoot *locked, int nlocked)
{
	List	   *trees = NIL;
	List	   *missing = NIL;
	int			i;

	for (i = 0; i < nlocked; i++)
	{
		Tree	   *tree = locked[i].tree ? locked[i].tree : cache_find(&locked[i].id);

		if (tree == NULL || (locked[i].tree == NULL && !FullTransactionIdEquals(tree->stamp, locked[i].stamp)))
		{
			tree = store_new_tree(&locked[i].id);
			/* Where its turn does not come in this step, the copy counts in the next one. */
			tree->stamp = locked[i].stamp;
			missing = lappend(missing, tree);
		}
		tree->uncommitted = true;
		trees = lappend(trees, tree);
	}
	if (missing != NIL)
		load_trees(missing, false);
	return trees;
}

Tree *
store_read_tree(const pg_uuid_t *root_id)
{
	Tree	   *tree = tree_new(CurrentMemoryContext, root_id);

	load_trees(list_make1(tree), true);
	return tree;
}

/* ---------------------------------------------------------------- loading */

static void
load_trees(List *trees, bool whole)
{
	Load		load = {.whole = whole};
	ListCell   *lc;

	load.trees = id_table("mistral load: trees");
	load.executions = id_table("mistral load: executions");
	load.tasks = id_table("mistral load: tasks");
	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		id_put(load.trees, &tree->root_id, tree);
		tree->has_timers = true;
		tree->fresh = true;
	}
	load_executions(&load, trees);
	foreach(lc, load.all)
	{
		Execution  *execution = lfirst(lc);

		execution_attach(execution, definition_by_id(&execution->definition_id));
	}
	load_tasks(&load);
	foreach(lc, load.unresolved)
		scope_resolve(lfirst(lc));
	load_actions(&load);
	link_executions(&load);
	hash_destroy(load.trees);
	hash_destroy(load.executions);
	hash_destroy(load.tasks);
}

static void
load_executions(Load *load, List *trees)
{
	static DbStatement select = {
		"SELECT " EXECUTION_COLUMNS " FROM mistral.execution WHERE root_id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY root_id, ordinal, id",
		1, {UUIDARRAYOID}
	};
	List	   *ids = NIL;
	Datum		values[1];
	ListCell   *lc;
	uint64		n;
	uint64		i;

	foreach(lc, trees)
		ids = lappend(ids, &((Tree *) lfirst(lc))->root_id);
	values[0] = id_array(ids);
	n = db_execute(&select, values, NULL, false, 0);
	for (i = 0; i < n; i++)
	{
		Datum		columns[EXECUTION_NCOLUMNS];
		bool		nulls[EXECUTION_NCOLUMNS];
		Execution  *execution;
		Tree	   *tree;
		pg_uuid_t  *parent_copy = NULL;

		db_row(i, columns, nulls);
		tree = id_get(load->trees, DatumGetUUIDP(columns[EXECUTION_ROOT_ID]));
		execution = execution_read(tree, columns, nulls, (ItemPointer) DatumGetPointer(columns[EXECUTION_CTID]));
		if (nulls[EXECUTION_PARENT])
			tree->root = execution;
		else
		{
			parent_copy = MemoryContextAlloc(execution->cxt, sizeof(pg_uuid_t));
			*parent_copy = *DatumGetUUIDP(columns[EXECUTION_PARENT]);
		}
		load->all = lappend(load->all, execution);
		load->parents = lappend(load->parents, parent_copy);
		id_put(load->executions, &execution->id, execution);
	}
}

/* Sub-executions find their task; the root comes first, then the others by age. */
static void
link_executions(Load *load)
{
	ListCell   *lc;
	ListCell   *lp;

	forboth(lc, load->all, lp, load->parents)
	{
		Execution  *execution = lfirst(lc);
		pg_uuid_t  *parent = lfirst(lp);
		Task	   *task = parent ? id_get(load->tasks, parent) : NULL;

		execution->parent_task = task;
		if (task)
		{
			MemoryContext old = MemoryContextSwitchTo(task->cxt);

			task->subs = lappend(task->subs, execution);
			task->nsubs = Max(task->nsubs, execution->ordinal + 1);
			MemoryContextSwitchTo(old);
		}
		execution_link(execution);
	}
}

static void
load_tasks(Load *load)
{
	static DbStatement select = {
		"SELECT ctid, id, execution_id, ordinal, name, type, state, processed, error_handled, has_next_tasks, "
		"created_at, updated_at, started_at, finished_at, action_id, action_name, action_state, state_info, "
		"input, result, published, scope, merged, triggered_by, next_tasks, runtime, items "
		"FROM mistral.task WHERE execution_id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY execution_id, ordinal",
		1, {UUIDARRAYOID}
	};
	List	   *ids = NIL;
	Datum		values[1];
	ListCell   *lc;
	uint64		n;
	uint64		i;

	foreach(lc, load->all)
	{
		Execution  *execution = lfirst(lc);

		/* One that nobody has taken up has none. */
		if (execution->state != STATE_IDLE)
			ids = lappend(ids, &execution->id);
	}
	if (ids == NIL)
		return;
	values[0] = id_array(ids);
	n = db_execute(&select, values, NULL, false, 0);
	for (i = 0; i < n; i++)
		load_task_row(load, i);
}

static void
load_task_row(Load *load, uint64 row)
{
	bool		isnull;
	pg_uuid_t	execution_id = get_id(row, 3, &isnull);
	Execution  *execution = id_get(load->executions, &execution_id);
	Tree	   *tree = execution->tree;
	Task	   *task = task_alloc(execution);
	MemoryContext old = MemoryContextSwitchTo(task->cxt);
	JsonRef		ref;

	task->tid = get_place(row, 1);
	task->id = get_id(row, 2, &isnull);
	task->ordinal = get_int(row, 4);
	task->name = get_text(row, 5);
	task->spec = execution->workflow ? spec_task_index(execution->workflow, task->name) : -1;
	task->is_workflow = strcmp(get_text(row, 6), "WORKFLOW") == 0;
	task->state = get_state(row, 7);
	task->processed = get_bool(row, 8);
	task->error_handled = get_bool(row, 9);
	task->has_next_tasks = get_bool(row, 10);
	task->created_at = get_time(row, 11);
	task->updated_at = get_time(row, 12);
	task->started_at = get_time(row, 13);
	task->finished_at = get_time(row, 14);
	task->state_info = get_text(row, 18);
	task->published = get_json(row, 21);
	ref = get_json(row, 22);
	task->scope = scope_load(task, json_ref_get(tree->cxt, &ref));
	task->merged = get_json(row, 23);
	ref = get_json(row, 24);
	load_triggered_by(task, json_ref_get(task->cxt, &ref));
	ref = get_json(row, 25);
	load_next_tasks(task, json_ref_get(task->cxt, &ref));
	ref = get_json(row, 26);
	load_runtime(task, json_ref_get(task->cxt, &ref));
	task->items = get_json(row, 27);
	execution_place_task(execution, task);
	if (task->join_anew)
	{
		MemoryContextSwitchTo(execution->cxt);
		execution->new_rounds = lappend(execution->new_rounds, task);
		MemoryContextSwitchTo(task->cxt);
	}
	add_folded_action(task, row);
	MemoryContextSwitchTo(old);
	if (scope_is_open(task->scope))
		load->unresolved = lappend(load->unresolved, task);
	id_put(load->tasks, &task->id, task);
}

/* The action that the task's row holds. */
static void
add_folded_action(Task *task, uint64 row)
{
	ActionExecution *action;
	bool		isnull;
	pg_uuid_t	id = get_id(row, 15, &isnull);

	if (isnull)
		return;
	action = task_add_action(task, -1);
	action->id = id;
	action->name = get_text(row, 16);
	action->type = action_type_find(action->name);
	action->state = get_state(row, 17);
	action->accepted = state_is_final(action->state);
	action->change = ROW_CLEAN;
	action->created_at = task->created_at;
	action->updated_at = task->updated_at;
	action->finished_at = task->finished_at;
	action->input = get_json(row, 19);
	action->result = get_json(row, 20);
}

static void
load_actions(Load *load)
{
	static DbStatement select = {
		"SELECT ctid, id, task_id, ordinal, name, state, accepted, attempt, created_at, updated_at, finished_at, "
		"runtime, input, result, item FROM mistral.action_execution "
		"WHERE task_id OPERATOR(pg_catalog.=) ANY ($1) AND ($2 OR item IS NULL OR finished_at IS NULL) ORDER BY task_id, ordinal",
		2, {UUIDARRAYOID, BOOLOID}
	};
	List	   *ids = NIL;
	HASH_SEQ_STATUS seq;
	LoadEntry  *entry;
	Datum		values[2];
	uint64		n;
	uint64		i;

	hash_seq_init(&seq, load->tasks);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		Task	   *task = entry->object;

		if (!task->is_workflow && task->actions == NIL)
			ids = lappend(ids, &task->id);
	}
	if (ids == NIL)
		return;
	values[0] = id_array(ids);
	/* Of items that have ended only who looks at everything wants to know. */
	values[1] = BoolGetDatum(load->whole);
	n = db_execute(&select, values, NULL, false, 0);
	for (i = 0; i < n; i++)
	{
		bool		isnull;
		pg_uuid_t	task_id = get_id(i, 3, &isnull);
		Task	   *task = id_get(load->tasks, &task_id);
		int			item = (db_datum(i, 15, &isnull), isnull) ? -1 : get_int(i, 15);
		int			nactions = task->nactions;
		ActionExecution *action = task_add_action(task, item);
		MemoryContext old = MemoryContextSwitchTo(action->cxt);
		char	   *type;

		action->tid = get_place(i, 1);
		action->id = get_id(i, 2, &isnull);
		action->ordinal = get_int(i, 4);
		task->nactions = Max(nactions, action->ordinal + 1);
		action->name = get_text(i, 5);
		action->state = get_state(i, 6);
		action->accepted = get_bool(i, 7);
		action->attempt = get_int(i, 8);
		action->separate = true;
		action->change = ROW_CLEAN;
		action->created_at = get_time(i, 9);
		action->updated_at = get_time(i, 10);
		action->finished_at = get_time(i, 11);
		action->runtime = get_json(i, 12);
		action->input = get_json(i, 13);
		action->result = get_json(i, 14);
		type = json_get_string(json_ref_get(action->cxt, &action->runtime), "type");
		action->type = action_type_find(type ? type : action->name);
		if (action->type == NULL && json_get(json_ref_get(action->cxt, &action->runtime), "target", strlen("target")))
			action->type = &action_type_registered;
		MemoryContextSwitchTo(old);
	}
}

/* ---------------------------------------------------------------- stored forms */

/* [[ordinal, event], ...] */
static void
load_triggered_by(Task *task, const Jsonb *stored)
{
	int			n = stored && JB_ROOT_IS_ARRAY(stored) ? JB_ROOT_COUNT(stored) : 0;
	int			i;

	task->triggered_by = palloc0(sizeof(TriggeredBy) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		JsonbValue *pair = getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, i);
		JsonbValue *ordinal = getIthJsonbValueFromContainer(pair->val.binary.data, 0);
		JsonbValue *event = getIthJsonbValueFromContainer(pair->val.binary.data, 1);

		task->triggered_by[i].ordinal = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(ordinal->val.numeric)));
		task->triggered_by[i].event = stored_event(event);
	}
	task->ntriggered_by = n;
}

/* [[name, event], ...] */
static void
load_next_tasks(Task *task, const Jsonb *stored)
{
	int			n = stored && JB_ROOT_IS_ARRAY(stored) ? JB_ROOT_COUNT(stored) : 0;
	int			i;

	task->next_tasks = palloc0(sizeof(NextTask) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		JsonbValue *pair = getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, i);
		JsonbValue *name = getIthJsonbValueFromContainer(pair->val.binary.data, 0);
		JsonbValue *event = getIthJsonbValueFromContainer(pair->val.binary.data, 1);

		task->next_tasks[i].spec = task->execution->workflow
			? spec_task_index(task->execution->workflow, json_value_cstring(name)) : -1;
		task->next_tasks[i].event = stored_event(event);
	}
	task->nnext_tasks = n;
}

static void
load_runtime(Task *task, const Jsonb *stored)
{
	int64		retry_no = 0;
	int64		number = 0;
	char	   *end_state = json_get_string(stored, "end_state");

	(void) json_get_int(stored, "retry_no", &retry_no);
	task->retry_no = (int) retry_no;
	(void) json_get_int(stored, "concurrency", &number);
	task->concurrency = (int) number;
	number = 0;
	(void) json_get_int(stored, "items", &number);
	task->nitems = (int) number;
	number = 0;
	(void) json_get_int(stored, "started", &number);
	task->nstarted = (int) number;
	number = 0;
	(void) json_get_int(stored, "ended", &number);
	task->nended = (int) number;
	number = 0;
	(void) json_get_int(stored, "failed", &number);
	task->nfailed = (int) number;
	number = 0;
	(void) json_get_int(stored, "actions", &number);
	task->nactions = (int) number;
	number = 0;
	(void) json_get_int(stored, "subs", &number);
	task->nsubs = (int) number;
	number = 0;
	(void) json_get_int(stored, "subs_from", &number);
	task->subs_from = (int) number;
	task->partial = json_get_bool(stored, "partial", false);
	number = 0;
	(void) json_get_int(stored, "join_decided", &number);
	task->join_decided = (int) number;
	task->join_anew = load_tasks_set(json_get_jsonb(stored, "join_anew"));
	task->waited_before = json_get_bool(stored, "waited_before", false);
	task->waited_after = json_get_bool(stored, "waited_after", false);
	if (end_state)
		(void) state_parse(end_state, &task->end_state);
	task->end_info = json_get_string(stored, "end_info");
}

static Bitmapset *
load_tasks_set(const Jsonb *stored)
{
	Bitmapset  *set = NULL;
	int			n = stored && JB_ROOT_IS_ARRAY(stored) ? JB_ROOT_COUNT(stored) : 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		JsonbValue *member = getIthJsonbValueFromContainer((JsonbContainer *) &stored->root, i);

		set = bms_add_member(set, DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(member->val.numeric))));
	}
	return set;
}

/* ---------------------------------------------------------------- columns */

static HTAB *
id_table(const char *name)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(LoadEntry);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
id_put(HTAB *table, const pg_uuid_t *id, void *object)
{
	LoadEntry  *entry = hash_search(table, id, HASH_ENTER, NULL);

	entry->object = object;
}

static void *
id_get(HTAB *table, const pg_uuid_t *id)
{
	LoadEntry  *entry = hash_search(table, id, HASH_FIND, NULL);

	return entry ? entry->object : NULL;
}

static pg_uuid_t
get_id(uint64 row, int col, bool *isnull)
{
	Datum		datum = db_datum(row, col, isnull);
	pg_uuid_t	id = {{0}};

	if (!*isnull)
		id = *DatumGetUUIDP(datum);
	return id;
}

/* Text, in the current memory context; NULL for NULL. */
static char *
get_text(uint64 row, int col)
{
	bool		isnull;
	Datum		datum = db_datum(row, col, &isnull);

	return isnull ? NULL : TextDatumGetCString(datum);
}

/* The value as it is stored, copied into the current memory context. */
static JsonRef
get_json(uint64 row, int col)
{
	bool		isnull;
	Datum		datum = db_datum(row, col, &isnull);
	JsonRef		ref = {NULL, NULL};

	if (!isnull)
		ref.stored = (struct varlena *) DatumGetPointer(datumCopy(datum, false, -1));
	return ref;
}

static State
get_state(uint64 row, int col)
{
	State		state = STATE_ERROR;
	char	   *name = get_text(row, col);

	if (name == NULL || !state_parse(name, &state))
		elog(ERROR, "unexpected state \"%s\"", name ? name : "(null)");
	pfree(name);
	return state;
}

static TimestampTz
get_time(uint64 row, int col)
{
	bool		isnull;
	Datum		datum = db_datum(row, col, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(datum);
}

static bool
get_bool(uint64 row, int col)
{
	bool		isnull;

	return DatumGetBool(db_datum(row, col, &isnull));
}

static int
get_int(uint64 row, int col)
{
	bool		isnull;

	return DatumGetInt32(db_datum(row, col, &isnull));
}

static ItemPointerData
get_place(uint64 row, int col)
{
	bool		isnull;

	return *(ItemPointer) DatumGetPointer(db_datum(row, col, &isnull));
}
