/*
 * why.c
 *		What an execution is waiting for: the timer, the action, the join, the
 *		lock.  Reads only; the tree is loaded without being locked.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/approval.h"
#include "engine/control.h"
#include "engine/join.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/why.h"
#include "engine/workflow.h"
#include "guc.h"
#include "queue/event_wait.h"
#include "queue/message.h"

static bool only_joins(const List *reasons);
static WaitReason *add_reason(List **reasons, const char *kind, const pg_uuid_t *id, const char *name,
							  const char *state, const char *detail);
static void add_lock(List **reasons, const pg_uuid_t *root_id);
static void add_queue(List **reasons, const pg_uuid_t *root_id, MemoryContext cxt);
static const char *not_taken(const char *kind);
static void add_execution(List **reasons, Execution *execution);
static void add_task(List **reasons, Task *task);
static void add_timer(List **reasons, const pg_uuid_t *target, const char *name, State state, TimestampTz since);
static void add_action(List **reasons, ActionExecution *action);
static const char *dispatch_kind(const char *performer);
static bool add_pulled(List **reasons, ActionExecution *action);

List *
why_waiting(const pg_uuid_t *id, Oid role)
{
	List	   *reasons = NIL;
	pg_uuid_t	root_id;
	Tree	   *tree;
	ListCell   *lc;

	control_find_execution(id, role, &root_id);
	tree = store_read_tree(&root_id);
	/* Whoever holds a finished execution keeps nobody waiting. */
	if (!state_is_final(tree->root->state))
		add_lock(&reasons, &root_id);
	add_queue(&reasons, &root_id, CurrentMemoryContext);
	foreach(lc, tree->executions)
		add_execution(&reasons, lfirst(lc));
	if (only_joins(reasons) && !state_is_final(tree->root->state))
		add_reason(&reasons, "nothing", &root_id, tree->root->name, state_name(tree->root->state),
				   "no message, timer or action is left that could move it; cancel_workflow or stop_workflow ends it");
	return reasons;
}

/* A join waits for other tasks: it alone is no reason. */
static bool
only_joins(const List *reasons)
{
	ListCell   *lc;

	foreach(lc, reasons)
	{
		if (strcmp(((const WaitReason *) lfirst(lc))->kind, "join") != 0)
			return false;
	}
	return true;
}

static WaitReason *
add_reason(List **reasons, const char *kind, const pg_uuid_t *id, const char *name,
		   const char *state, const char *detail)
{
	WaitReason *reason = palloc0(sizeof(WaitReason));

	reason->kind = kind;
	reason->object_id = *id;
	reason->name = name ? pstrdup(name) : NULL;
	reason->state = state ? pstrdup(state) : NULL;
	reason->detail = pstrdup(detail);
	reason->since = reason->due_at = DT_NOBEGIN;
	*reasons = lappend(*reasons, reason);
	return reason;
}

/* A session that has changed the execution and not committed yet holds everything up. */
static void
add_lock(List **reasons, const pg_uuid_t *root_id)
{
	static DbStatement holder = {
		"SELECT r.xmax::pg_catalog.text FROM mistral.execution r WHERE r.id OPERATOR(pg_catalog.=) $1 AND "
		"EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype OPERATOR(pg_catalog.=) 'transactionid' AND l.granted "
		"AND l.transactionid OPERATOR(pg_catalog.=) r.xmax AND l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid())",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(root_id)};
	bool		isnull;

	if (db_execute(&holder, values, NULL, false, 1) == 1)
		add_reason(reasons, "lock", root_id, NULL, NULL,
				   psprintf("transaction %s holds the execution", TextDatumGetCString(db_datum(0, 1, &isnull))));
}

static void
add_queue(List **reasons, const pg_uuid_t *root_id, MemoryContext cxt)
{
	static DbStatement queued = {
		"SELECT id, kind, created_at, NULL::pg_catalog.text FROM mistral.message WHERE root_id OPERATOR(pg_catalog.=) $1 "
		"UNION ALL SELECT id, kind, parked_at, error FROM mistral.parked_message WHERE root_id OPERATOR(pg_catalog.=) $1 "
		"ORDER BY 1",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(root_id)};
	uint64		n = db_execute(&queued, values, NULL, false, 0);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		bool		isnull;
		bool		no_error;
		pg_uuid_t	id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		char	   *kind = TextDatumGetCString(db_datum(i, 2, &isnull));
		Datum		error = db_datum(i, 4, &no_error);
		WaitReason *reason = add_reason(reasons, "message", &id, kind, NULL,
										no_error ? not_taken(kind)
										: psprintf("it failed and was put aside: %s", TextDatumGetCString(error)));

		reason->since = DatumGetTimestampTz(db_datum(i, 3, &isnull));
	}
}

static const char *
not_taken(const char *kind)
{
	if (guc_maintenance && strcmp(kind, MESSAGE_START) == 0)
		return "mistral.maintenance is on: nothing begins";
	return "the engine has not taken it yet";
}

static void
add_execution(List **reasons, Execution *execution)
{
	int			i;

	if (state_is_final(execution->state))
		return;
	if (execution->state == STATE_PAUSED)
		add_reason(reasons, "execution", &execution->id, execution->name, state_name(execution->state),
				   "somebody has to call resume_workflow")->since = execution->updated_at;
	if (execution->timeout > 0)
		add_timer(reasons, &execution->id, execution->name, execution->state, execution->created_at);
	for (i = 0; i < execution->ntasks; i++)
	{
		if (execution->tasks[i] && !state_is_final(execution->tasks[i]->state))
			add_task(reasons, execution->tasks[i]);
	}
}

static void
add_task(List **reasons, Task *task)
{
	ListCell   *lc;

	add_timer(reasons, &task->id, task->name, task->state, task->updated_at);
	if (task->state == STATE_WAITING && task->spec >= 0)
		add_reason(reasons, "join", &task->id, task->name, state_name(task->state),
				   join_blocked_by(task))->since = task->updated_at;
	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (!state_is_final(action->state))
			add_action(reasons, action);
	}
}

static void
add_timer(List **reasons, const pg_uuid_t *target, const char *name, State state, TimestampTz since)
{
	static DbStatement timers = {
		"SELECT kind, due_at FROM mistral.timer WHERE target_id OPERATOR(pg_catalog.=) $1 "
		"OR target_id OPERATOR(pg_catalog.=) ANY ("
		"SELECT a.id FROM mistral.action_execution a WHERE a.task_id OPERATOR(pg_catalog.=) $1) ORDER BY 2",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(target)};
	uint64		n = db_execute(&timers, values, NULL, false, 0);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		bool		isnull;
		char	   *kind = TextDatumGetCString(db_datum(i, 1, &isnull));
		WaitReason *reason = add_reason(reasons, "timer", target, name, state_name(state),
										strcmp(kind, TIMER_ACTION) == 0 ? "its action ends when its time has passed" :
										psprintf("the timer of %s has not run out", kind));

		reason->since = since;
		reason->due_at = DatumGetTimestampTz(db_datum(i, 2, &isnull));
	}
}

static void
add_action(List **reasons, ActionExecution *action)
{
	static DbStatement attempt = {
		"SELECT started_at, performer FROM mistral.attempt WHERE action_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	static DbStatement dispatched = {
		"SELECT created_at, performer FROM mistral.dispatch WHERE action_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&action->id)};
	WaitReason *reason;
	const char *kind = "action";
	const char *event;
	const char *detail = "somebody has to call complete_action or fail_action";
	const Jsonb *runtime = json_ref_get(action->cxt, &action->runtime);
	TimestampTz since = action->created_at;
	bool		isnull;

	if (action->type && !ACTION_IS_ASYNC(action->type))
	{
		if (json_get_bool(runtime, "delayed", false))
			return;				/* its timer is listed */
		detail = "the engine has not run it yet";
	}
	else if (approval_asks(action->name, runtime))
		detail = psprintf("%s has to call approve or reject",
						  approval_who(approval_request(runtime, json_ref_get(action->cxt, &action->input)),
									   action->task->execution->owner, action->created_at));
	else if (db_execute(&attempt, values, NULL, false, 1) == 1)
	{
		const char *performer = TextDatumGetCString(db_datum(0, 2, &isnull));

		kind = dispatch_kind(performer);
		detail = strcmp(kind, "function") == 0 ? "an SQL worker runs it" :
			strcmp(kind, "module") == 0 ? "its module has begun with it" : "the request is under way";
		since = DatumGetTimestampTz(db_datum(0, 1, &isnull));
	}
	else if (db_execute(&dispatched, values, NULL, false, 1) == 1)
	{
		const char *performer = TextDatumGetCString(db_datum(0, 2, &isnull));

		kind = dispatch_kind(performer);
		detail = strcmp(kind, "function") == 0 ? "no SQL worker has begun with it yet" :
			strcmp(kind, "module") == 0 ? "its module has not been given it yet" : "the executor has not sent it yet";
		since = DatumGetTimestampTz(db_datum(0, 1, &isnull));
	}
	else if (add_pulled(reasons, action))
		return;
	else if ((event = event_wait_awaited(&action->id, &since)) != NULL)
	{
		kind = "event";
		detail = psprintf("waits for an event %s", event);
	}
	reason = add_reason(reasons, kind, &action->id, action->name, state_name(action->state),
						psprintf("%s (task \"%s\")", detail, action->task->name));
	reason->since = since;
}

/* How the two tables' performers are called here. */
static const char *
dispatch_kind(const char *performer)
{
	if (strcmp(performer, "sql") == 0)
		return "function";
	return strcmp(performer, "io") == 0 ? "module" : "request";
}

/* An action that a pull worker has, or is to have. */
static bool
add_pulled(List **reasons, ActionExecution *action)
{
	static DbStatement select = {
		"SELECT target, NULL::pg_catalog.text, created_at, NULL::pg_catalog.timestamptz FROM mistral.offer WHERE action_id OPERATOR(pg_catalog.=) $1 "
		"UNION ALL SELECT target, COALESCE(worker, ''), leased_at, lease_until FROM mistral.lease WHERE action_id OPERATOR(pg_catalog.=) $1",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&action->id)};
	WaitReason *reason;
	char	   *target;
	char	   *worker;
	bool		offered;
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return false;
	target = TextDatumGetCString(db_datum(0, 1, &isnull));
	(void) db_datum(0, 2, &offered);
	worker = offered ? NULL : TextDatumGetCString(db_datum(0, 2, &isnull));
	reason = add_reason(reasons, offered ? "offer" : "lease", &action->id, action->name, state_name(action->state),
						offered ? psprintf("no pull worker of target \"%s\" has claimed it yet (task \"%s\")", target, action->task->name)
						: psprintf("pull worker \"%s\" of target \"%s\" has it (task \"%s\")", worker, target, action->task->name));
	reason->since = DatumGetTimestampTz(db_datum(0, 3, &isnull));
	if (!offered)
		reason->due_at = DatumGetTimestampTz(db_datum(0, 4, &isnull));
	return true;
}
