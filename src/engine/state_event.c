/*
 * state_event.c
 *		Events of states: who listens, and what starts by them.
 *
 * Who listens is read once and kept until one of the two tables changes, which an invalidation of the relation cache
 * tells every process.  So neither a task nor a transaction pays for listeners that are not there.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/definitions.h"
#include "engine/evaluate.h"
#include "engine/guard.h"
#include "engine/hook.h"
#include "engine/state_event.h"
#include "engine/states.h"
#include "engine/store.h"
#include "queue/trigger_start.h"

/* What one starts may start the next, so many times. */
#define MAX_CHAIN 10

typedef enum Subject
{
	SUBJECT_TASK,
	SUBJECT_WORKFLOW
} Subject;

static const char *const subject_names[] = {"task", "workflow"};

/* Who listens to what: a hook, or an event trigger. */
typedef struct Listener
{
	Hook		hook;			/* of a trigger: its id, name, owner, and what it starts */
	bool		is_trigger;
	const char *pattern;		/* of a trigger: the event's name, or its beginning with * behind it */
} Listener;

/* A change, as it is kept with the tree. */
typedef struct Change
{
	Execution  *execution;
	Task	   *task;			/* NULL: of the execution */
	State		state;
} Change;

/* An event and who it concerns. */
typedef struct StateEvent
{
	const char *name;
	Oid			execution_owner;
	pg_uuid_t	root_id;
	pg_uuid_t	execution_id;
	pg_uuid_t	task_id;
	bool		has_task;
	const Listener *listener;
	const Jsonb *about;
	Datum		chain;			/* uuid[]: the listeners that led to it, this one last */
	int			nchain;
} StateEvent;

static MemoryContext listeners_cxt = NULL;
static Listener *listeners;
static int	nlisteners;
static bool listeners_known = false;
static uint64 nforgotten = 0;
static Oid	listeners_table = InvalidOid;
static uint32 wanted[2];		/* by subject: a bit for each state that somebody listens to */

static void keep(Execution *execution, Task *task, State state);
static void load_listeners(void);
static void add_listener(Listener *listener, uint64 row);
static void add_wanted(const Listener *listener);
static bool pattern_matches(const char *pattern, const char *event);
static void forget_listeners(Datum arg, Oid relation);
static const char *event_name(Subject subject, State state);
static List *events_of(const Change *change, List *events);
static bool concerns(const Listener *listener, const Change *change, const Definition *definition, const char *name);
static bool may_see(const Listener *listener, const Change *change, const Definition *definition);
static Jsonb *describe(const Change *change, const Definition *definition, const char *name, bool results);
static int	chain_of(const pg_uuid_t *root_id, Datum **ids);
static bool is_in_chain(const pg_uuid_t *id, const Datum *ids, int nids);
static void start(void *arg);
static void note_run(const StateEvent *event, const pg_uuid_t *execution_id);

void
state_event_execution(Execution *execution)
{
	if (!listeners_known)
		load_listeners();
	if (wanted[SUBJECT_WORKFLOW] & (1U << execution->state))
		keep(execution, NULL, execution->state);
}

void
state_event_task(Task *task)
{
	if (!listeners_known)
		load_listeners();
	if (wanted[SUBJECT_TASK] & (1U << task->state))
		keep(task->execution, task, task->state);
}

static void
keep(Execution *execution, Task *task, State state)
{
	Tree	   *tree = execution->tree;
	MemoryContext old = MemoryContextSwitchTo(tree->step_cxt);
	Change	   *change = palloc(sizeof(Change));
	ListCell   *lc;

	/* A task that tries again ends once, however often it has failed between two writes. */
	foreach(lc, task && state_is_final(state) ? tree->changes : NIL)
	{
		Change	   *before = lfirst(lc);

		if (before->task == task && state_is_final(before->state))
			tree->changes = foreach_delete_current(tree->changes, lc);
	}
	change->execution = execution;
	change->task = task;
	change->state = state;
	tree->changes = lappend(tree->changes, change);
	MemoryContextSwitchTo(old);
}

void
state_events_changed(void)
{
	CacheInvalidateRelcacheByRelid(db_table("hook"));
}

void
state_event_check_pattern(const char *pattern)
{
	for (int subject = 0; subject < lengthof(subject_names); subject++)
	{
		for (int state = 0; state < STATE_COUNT; state++)
		{
			if (pattern_matches(pattern, event_name(subject, state)))
				return;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no event \"%s\"", pattern),
			 errhint("Events of states are called like %s and %s.",
					 event_name(SUBJECT_TASK, STATE_SUCCESS), event_name(SUBJECT_WORKFLOW, STATE_ERROR))));
}

/* ---------------------------------------------------------------- who listens */

/*
 * Sees what this process's transaction has done, and what others have committed: also where its snapshot is older, for
 * what is read here is kept beyond it.
 */
static void
load_listeners(void)
{
	static DbStatement hooks = {
		"SELECT id, name, owner, hook_workflow, hook_namespace, filter, input, params, false, '', workflow_owner, workflow, namespace, task, state"
		" FROM mistral.hook ORDER BY created_at, id", 0
	};
	static DbStatement triggers = {
		"SELECT id, name, owner, workflow, namespace, filter, input, params, true, event, 0::pg_catalog.oid, '', '', NULL, ''"
		" FROM mistral.event_trigger WHERE pg_catalog.starts_with(event, '" STATE_EVENT_PREFIX "')"
		" AND exchange IS NULL AND topic IS NULL ORDER BY created_at, id", 0
	};
	static bool registered = false;
	MemoryContext old = CurrentMemoryContext;
	uint64		before;

	if (!registered)
		CacheRegisterRelcacheCallback(forget_listeners, (Datum) 0);
	registered = true;
	if (listeners_cxt == NULL)
		listeners_cxt = AllocSetContextCreate(TopMemoryContext, "mistral listeners", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(listeners_cxt);
	listeners = NULL;
	nlisteners = 0;
	wanted[SUBJECT_TASK] = wanted[SUBJECT_WORKFLOW] = 0;
	listeners_table = db_table("hook");
	before = nforgotten;
	CommandCounterIncrement();
	for (int pass = 0; pass < 2; pass++)
	{
		uint64		n = db_read_latest(pass == 0 ? &hooks : &triggers, NULL, 0);

		/* A statement leaves its own context behind. */
		MemoryContextSwitchTo(listeners_cxt);
		if (n == 0)
			continue;
		listeners = listeners ? repalloc_huge(listeners, sizeof(Listener) * (nlisteners + n)) : palloc(sizeof(Listener) * n);
		for (uint64 i = 0; i < n; i++)
			add_listener(&listeners[nlisteners++], i);
	}
	MemoryContextSwitchTo(old);
	listeners_known = nforgotten == before;
}

static void
add_listener(Listener *listener, uint64 row)
{
	Hook	   *hook = &listener->hook;
	Datum		datum;
	bool		isnull;

	memset(listener, 0, sizeof(*listener));
	hook->id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	hook->name = TextDatumGetCString(db_datum(row, 2, &isnull));
	hook->owner = DatumGetObjectId(db_datum(row, 3, &isnull));
	hook->hook_workflow = TextDatumGetCString(db_datum(row, 4, &isnull));
	hook->hook_namespace = TextDatumGetCString(db_datum(row, 5, &isnull));
	datum = db_datum(row, 6, &isnull);
	hook->filter = isnull ? NULL : TextDatumGetCString(datum);
	hook->input = DatumGetJsonbPCopy(db_datum(row, 7, &isnull));
	hook->params = DatumGetJsonbPCopy(db_datum(row, 8, &isnull));
	listener->is_trigger = DatumGetBool(db_datum(row, 9, &isnull));
	listener->pattern = TextDatumGetCString(db_datum(row, 10, &isnull));
	hook->workflow_owner = DatumGetObjectId(db_datum(row, 11, &isnull));
	hook->workflow = TextDatumGetCString(db_datum(row, 12, &isnull));
	hook->namespace_ = TextDatumGetCString(db_datum(row, 13, &isnull));
	datum = db_datum(row, 14, &isnull);
	hook->task = isnull ? NULL : TextDatumGetCString(datum);
	if (!listener->is_trigger && !state_parse(TextDatumGetCString(db_datum(row, 15, &isnull)), &hook->state))
		elog(ERROR, "hook \"%s\" has no state", hook->name);
	add_wanted(listener);
}

static void
add_wanted(const Listener *listener)
{
	if (!listener->is_trigger)
	{
		wanted[listener->hook.task ? SUBJECT_TASK : SUBJECT_WORKFLOW] |= 1U << listener->hook.state;
		return;
	}
	for (int subject = 0; subject < lengthof(subject_names); subject++)
	{
		for (int state = 0; state < STATE_COUNT; state++)
		{
			if (pattern_matches(listener->pattern, event_name(subject, state)))
				wanted[subject] |= 1U << state;
		}
	}
}

static bool
pattern_matches(const char *pattern, const char *event)
{
	int			len = strlen(pattern);

	return len > 0 && pattern[len - 1] == '*' ? strncmp(pattern, event, len - 1) == 0 : strcmp(pattern, event) == 0;
}

static void
forget_listeners(Datum arg, Oid relation)
{
	if (relation != InvalidOid && relation != listeners_table)
		return;
	listeners_known = false;
	nforgotten++;
}

static const char *
event_name(Subject subject, State state)
{
	return psprintf(STATE_EVENT_PREFIX "%s.%s", subject_names[subject], state_name(state));
}

/* ---------------------------------------------------------------- what happened */

List *
state_events_take(List *trees)
{
	List	   *events = NIL;
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		foreach(lk, tree->changes)
		{
			const Change *change = lfirst(lk);

			/* Where a policy has taken the end back, nobody has ever seen it. */
			if (change->task == NULL || !state_is_final(change->state) || change->task->state == change->state)
				events = events_of(change, events);
		}
		tree->changes = NIL;
	}
	return events;
}

/* One for each listener that it concerns: what each may see is its own. */
static List *
events_of(const Change *change, List *events)
{
	const Execution *execution = change->execution;
	const Definition *definition = definition_by_id(&execution->definition_id);
	const char *name = event_name(change->task ? SUBJECT_TASK : SUBJECT_WORKFLOW, change->state);
	Datum	   *chain = NULL;
	int			nchain = -1;

	for (int i = 0; i < nlisteners; i++)
	{
		const Listener *listener = &listeners[i];
		StateEvent *event;

		CHECK_FOR_INTERRUPTS();
		if (!concerns(listener, change, definition, name))
			continue;
		if (nchain < 0)
			nchain = chain_of(&execution->tree->root_id, &chain);
		/* What a listener has started itself does not start it again, over others neither. */
		if (is_in_chain(&listener->hook.id, chain, nchain))
			continue;
		event = palloc0(sizeof(StateEvent));
		event->name = name;
		event->execution_owner = execution->owner;
		event->root_id = execution->tree->root_id;
		event->execution_id = execution->id;
		event->has_task = change->task != NULL;
		if (event->has_task)
			event->task_id = change->task->id;
		event->listener = listener;
		event->about = describe(change, definition, name, may_see(listener, change, definition));
		chain[nchain] = UUIDPGetDatum(&listener->hook.id);
		event->nchain = nchain + 1;
		event->chain = PointerGetDatum(construct_array(chain, event->nchain, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
		events = lappend(events, event);
	}
	return events;
}

/* A trigger hears what its owner has the rights of; a hook, what is on its workflow, of whoever started it. */
static bool
concerns(const Listener *listener, const Change *change, const Definition *definition, const char *name)
{
	const Hook *hook = &listener->hook;

	if (listener->is_trigger)
		return pattern_matches(listener->pattern, name) && has_privs_of_role(hook->owner, change->execution->owner);
	return definition != NULL && hook->state == change->state && (hook->task != NULL) == (change->task != NULL) &&
		(hook->task == NULL || strcmp(hook->task, change->task->name) == 0) &&
		hook->workflow_owner == definition->owner && strcmp(hook->workflow, definition->name) == 0 &&
		strcmp(hook->namespace_, definition->namespace_) == 0 &&
		hook_allowed(hook->workflow_owner, hook->workflow, hook->namespace_, HOOK_ATTACH, hook->owner);
}

static bool
may_see(const Listener *listener, const Change *change, const Definition *definition)
{
	const Hook *hook = &listener->hook;

	return has_privs_of_role(hook->owner, change->execution->owner) ||
		(!listener->is_trigger && hook_allowed(hook->workflow_owner, hook->workflow, hook->namespace_, HOOK_RESULTS, hook->owner));
}

/* What filters and inputs see; `results`: with what was computed, not only where it happened. */
static Jsonb *
describe(const Change *change, const Definition *definition, const char *name, bool results)
{
	Execution  *execution = change->execution;
	Task	   *task = change->task;
	const char *info = task ? task->state_info : execution->state_info;
	JsonBuilder b = {0};

	results &= state_is_final(change->state);
	json_begin_object(&b);
	json_add_key(&b, "event");
	json_add_string(&b, name);
	json_add_key(&b, "state");
	json_add_string(&b, state_name(change->state));
	json_add_key(&b, "workflow");
	json_add_string(&b, definition ? definition->name : execution->name);
	json_add_key(&b, "namespace");
	json_add_string(&b, execution->namespace_);
	json_add_key(&b, "owner");
	json_add_string(&b, GetUserNameFromId(execution->owner, true));
	json_add_key(&b, "execution_id");
	json_add_id(&b, &execution->id);
	json_add_key(&b, "root_execution_id");
	json_add_id(&b, &execution->tree->root_id);
	if (task)
	{
		json_add_key(&b, "task");
		json_add_string(&b, task->name);
		json_add_key(&b, "task_execution_id");
		json_add_id(&b, &task->id);
		json_add_key(&b, "published");
		json_add_jsonb(&b, results ? json_ref_get(task->cxt, &task->published) : NULL);
	}
	json_add_key(&b, "state_info");
	json_add_string(&b, results ? info : NULL);
	json_add_key(&b, "result");
	json_add_jsonb(&b, !results ? NULL : task ? task_result(task) : json_ref_get(execution->cxt, &execution->output));
	json_end_object(&b);
	return json_finish(&b);
}

/* The listeners that led to the execution, with room for one more. */
static int
chain_of(const pg_uuid_t *root_id, Datum **ids)
{
	static DbStatement select = {"SELECT chain FROM mistral.hook_run WHERE execution_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}};
	Datum		values[1] = {UUIDPGetDatum(root_id)};
	ArrayType  *chain = NULL;
	Datum	   *found = NULL;
	bool		isnull;
	int			n = 0;

	if (db_execute(&select, values, NULL, false, 1) > 0)
	{
		chain = DatumGetArrayTypePCopy(db_datum(0, 1, &isnull));
		deconstruct_array(chain, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &found, NULL, &n);
	}
	*ids = palloc(sizeof(Datum) * (n + 1));
	if (n > 0)
		memcpy(*ids, found, sizeof(Datum) * n);
	return n;
}

static bool
is_in_chain(const pg_uuid_t *id, const Datum *ids, int nids)
{
	for (int i = 0; i < nids; i++)
	{
		if (id_equal(DatumGetUUIDP(ids[i]), id))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- starting */

/*
 * Each in a subtransaction, so that the workflow of somebody else goes on whatever a hook does.  The log alone is told:
 * a session that stops an execution is not to read what is wrong with another's hook.
 */
void
state_events_fire(List *events)
{
	ListCell   *lc;

	foreach(lc, events)
	{
		StateEvent *event = lfirst(lc);
		const Listener *listener = event->listener;
		char	   *error;

		CHECK_FOR_INTERRUPTS();
		cache_protect(true);
		error = guard_isolated(start, event);
		cache_protect(false);
		if (error == NULL)
			continue;
		ereport(LOG_SERVER_ONLY,
				(errmsg("%s \"%s\" could not start its workflow", listener->is_trigger ? "event trigger" : "hook", listener->hook.name),
				 errdetail("%s", error)));
		if (!listener->is_trigger)
			hook_failed(&listener->hook.id, error);
	}
}

static void
start(void *arg)
{
	const StateEvent *event = arg;
	const Listener *listener = event->listener;
	const Hook *hook = &listener->hook;
	const Jsonb *context = event->about;
	TriggerStart request = {0};
	pg_uuid_t	id;

	if (listener->is_trigger)
	{
		JsonBuilder b = {0};

		json_begin_object(&b);
		json_add_key(&b, "event");
		json_add_string(&b, event->name);
		json_add_key(&b, "exchange");
		json_add_null(&b);
		json_add_key(&b, "topic");
		json_add_null(&b);
		json_add_key(&b, "payload");
		json_add_jsonb(&b, event->about);
		json_end_object(&b);
		context = json_finish(&b);
	}
	if (!trigger_filter(hook->filter, context))
		return;
	if (event->nchain > MAX_CHAIN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a chain of more than %d executions that began with each other's changes of state", MAX_CHAIN)));
	request.kind = listener->is_trigger ? "event_trigger" : "hook";
	request.id = hook->id;
	request.name = hook->name;
	request.owner = hook->owner;
	request.workflow = hook->hook_workflow;
	request.namespace_ = hook->hook_namespace;
	request.input = trigger_input(hook->input, context);
	request.params = hook->params;
	request.about_key = listener->is_trigger ? "event_params" : "hook";
	request.about = event->about;
	id = trigger_start(&request, NULL);
	note_run(event, &id);
}

static void
note_run(const StateEvent *event, const pg_uuid_t *execution_id)
{
	static DbStatement insert = {
		"INSERT INTO mistral.hook_run (execution_id, kind, trigger_id, event, source_root_id, source_execution_id, source_task_id,"
		" chain, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		9, {UUIDOID, TEXTOID, UUIDOID, TEXTOID, UUIDOID, UUIDOID, UUIDOID, UUIDARRAYOID, TIMESTAMPTZOID}
	};
	char		nulls[] = {' ', ' ', ' ', ' ', ' ', ' ', event->has_task ? ' ' : 'n', ' ', ' '};
	Datum		values[9];

	values[0] = UUIDPGetDatum(execution_id);
	values[1] = CStringGetTextDatum(event->listener->is_trigger ? "event_trigger" : "hook");
	values[2] = UUIDPGetDatum(&event->listener->hook.id);
	values[3] = CStringGetTextDatum(event->name);
	values[4] = UUIDPGetDatum(&event->root_id);
	values[5] = UUIDPGetDatum(&event->execution_id);
	values[6] = UUIDPGetDatum(&event->task_id);
	values[7] = event->chain;
	values[8] = TimestampTzGetDatum(clock_now());
	db_execute(&insert, values, nulls, false, 0);
}
