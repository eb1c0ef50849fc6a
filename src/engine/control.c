/*
 * control.c
 *		What sessions do to executions: start, pause, resume, stop, delete.
 *
 * Each locks the root row (and waits for a step that holds it), changes the
 * tree in memory with the engine's own functions, writes it, and leaves a
 * message for what the engine is to do.  Sessions never NOTIFY.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "compat.h"
#include "engine/control.h"
#include "engine/definitions.h"
#include "engine/environments.h"
#include "engine/forget.h"
#include "engine/guard.h"
#include "engine/history.h"
#include "engine/run.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/workflow.h"
#include "guc.h"
#include "queue/message.h"

/* Longest description of an execution, in bytes: it is written with every step. */
#define MAX_DESCRIPTION 8192

static bool find_execution(const pg_uuid_t *id, Oid role, pg_uuid_t *root_id);
static Tree *prepare_start(const StartRequest *request, const pg_uuid_t *id, Oid role);
static bool claim_id(const pg_uuid_t *id, Oid role);
static Jsonb *start_params(const StartRequest *request, Oid role);
static Jsonb *environment(const Jsonb *params, Oid role);
static Execution *open_execution(const pg_uuid_t *id, Oid role);
static Task *open_task(const pg_uuid_t *id, Oid role);
static void close_task(Task *task, const char *message, bool reset, Oid role);
static void refuse_task(const Task *task, State wanted, const char *hint) pg_attribute_noreturn();
static void merge_env(Execution *execution, const Jsonb *env);
static void close_execution(Execution *execution, const char *message);
static void write_back(Tree *tree);
static void check_size(const char *what, const Jsonb *value);
static void refuse(const Execution *execution, State wanted, const char *hint) pg_attribute_noreturn();

pg_uuid_t
control_start(const StartRequest *request, Oid role)
{
	pg_uuid_t	id = request->id;
	Tree	   *tree;

	if (request->has_id && claim_id(&id, role))
		return id;
	if (!request->has_id)
		id_new(&id);
	tree = prepare_start(request, &id, role);
	store_flush(list_make1(tree));
	(void) message_put(&id, MESSAGE_START, NULL, 0, NULL);
	MemoryContextDelete(tree->cxt);
	return id;
}

void
control_check_start(const StartRequest *request, Oid role)
{
	pg_uuid_t	id;

	id_new(&id);
	MemoryContextDelete(prepare_start(request, &id, role)->cxt);
}

/* The tree of a new execution, in the current memory context, not yet written. */
static Tree *
prepare_start(const StartRequest *request, const pg_uuid_t *id, Oid role)
{
	const Definition *definition;
	ExecutionStart start = {0};
	Tree	   *tree;
	char	   *error;

	definition = definition_find_start(request->workflow, request->namespace_, role);
	if (definition == NULL)
		control_raise_undefined_workflow(request->workflow, request->namespace_);
	check_size("input", request->input);
	check_size("params", request->params);
	if (strlen(request->description) > MAX_DESCRIPTION)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_TOO_LARGE),
				 errmsg("the description is longer than %d bytes", MAX_DESCRIPTION)));

	start.input = request->input;
	start.params = start_params(request, role);
	start.description = request->description;
	start.namespace_ = request->namespace_;
	start.owner = role;
	tree = tree_new(CurrentMemoryContext, id);

	/* execution_create reads env from the root's params, which it sets first. */
	if (execution_create(tree, NULL, definition, &start, &error) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_INPUT),
				 errmsg("cannot start workflow \"%s\"", definition->name),
				 errdetail("%s.", error),
				 definition->refused ?
				 errhint("It starts when the overlay fits, or when the overlay's owner or the workflow's has removed it.") : 0));
	return tree;
}

void
control_pause(const pg_uuid_t *id, Oid role)
{
	Execution  *execution = open_execution(id, role);

	if (execution->state == STATE_PAUSED)
		return;
	if (execution->state != STATE_RUNNING && execution->state != STATE_IDLE)
		refuse(execution, STATE_PAUSED, NULL);
	history_session(execution->tree, "pause", role);
	execution_pause(execution, NULL);
	close_execution(execution, MESSAGE_STOPPED);
}

void
control_resume(const pg_uuid_t *id, const Jsonb *env, Oid role)
{
	Execution  *execution = open_execution(id, role);

	if (execution->state != STATE_PAUSED)
		refuse(execution, STATE_RUNNING, "Only a paused execution can be resumed.");
	merge_env(execution, env);
	history_session(execution->tree, "resume", role);
	execution_resume(execution);
	close_execution(execution, MESSAGE_RESUME);
}

void
control_stop(const pg_uuid_t *id, State state, const char *message, Oid role)
{
	Execution  *execution = open_execution(id, role);
	char	   *error;

	/* As in the original: a paused execution can only be cancelled. */
	if (state_is_final(execution->state) ||
		(execution->state == STATE_PAUSED && state != STATE_CANCELLED))
	{
		if (execution->state == state)
			return;
		refuse(execution, state, execution->state == STATE_PAUSED ? "Resume it first, or cancel it." : NULL);
	}
	history_session(execution->tree, "stop", role);
	if (state != STATE_SUCCESS)
		execution_stop(execution, state, message);
	else if (!execution_succeed(execution, message, &error))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_EXPRESSION),
				 errmsg("the output of execution %s cannot be evaluated", id_cstring(id)),
				 errdetail("%s.", error),
				 errhint("It goes on as it was; it can be stopped with ERROR or CANCELLED.")));
	close_execution(execution, MESSAGE_STOPPED);
}

void
control_rerun(const pg_uuid_t *task_id, bool reset, const Jsonb *env, Oid role)
{
	Task	   *task = open_task(task_id, role);

	if (task->state != STATE_ERROR && task->state != STATE_CANCELLED)
		refuse_task(task, STATE_RUNNING, "Only a task in ERROR or CANCELLED can be run again.");
	if (!reset && task_spec(task)->nwith_items == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task \"%s\" has no items, and can only be run again with reset", task->name)));
	merge_env(task->execution, env);
	close_task(task, MESSAGE_RERUN, reset, role);
}

void
control_skip(const pg_uuid_t *task_id, Oid role)
{
	Task	   *task = open_task(task_id, role);

	if (task->state != STATE_ERROR)
		refuse_task(task, STATE_SKIPPED, "Only a task in ERROR can be skipped.");
	close_task(task, MESSAGE_SKIP, true, role);
}

void
control_delete(const pg_uuid_t *id, Oid role)
{
	Execution  *execution = open_execution(id, role);

	if (execution->parent_task)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_TRANSITION),
				 errmsg("execution %s is a sub-workflow", id_cstring(id)),
				 errhint("Delete its root, %s.", id_cstring(&execution->tree->root_id))));
	if (!state_is_final(execution->state))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_TRANSITION),
				 errmsg("execution %s is %s", id_cstring(id), state_name(execution->state)),
				 errhint("Only a finished execution can be deleted; cancel it first.")));
	forget_trees(id, 1);
}

/* ---------------------------------------------------------------- finding */

void
control_find_execution(const pg_uuid_t *id, Oid role, pg_uuid_t *root_id)
{
	if (!find_execution(id, role, root_id))
		control_raise_undefined(id);
}

/* False when there is no such execution for this role; *root_id is its root. */
static bool
find_execution(const pg_uuid_t *id, Oid role, pg_uuid_t *root_id)
{
	static DbStatement select = {
		"SELECT owner, root_id FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return false;
	*root_id = *DatumGetUUIDP(db_datum(0, 2, &isnull));
	return has_privs_of_role(role, DatumGetObjectId(db_datum(0, 1, &isnull)));
}

/*
 * Two starts with the same id meet here: the second waits for the first and
 * finds its execution.  True when it is there already.
 */
static bool
claim_id(const pg_uuid_t *id, Oid role)
{
	static DbStatement lock = {
		"SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", 1, {TEXTOID}
	};
	static DbStatement exists = {
		"SELECT owner FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1];
	bool		isnull;

	values[0] = CStringGetTextDatum(psprintf("mistral %s", id_cstring(id)));
	db_execute(&lock, values, NULL, false, 0);
	values[0] = UUIDPGetDatum(id);
	if (db_read_latest(&exists, values, 1) == 0)
		return false;
	if (!has_privs_of_role(role, DatumGetObjectId(db_datum(0, 1, &isnull))))
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("execution %s belongs to another role", id_cstring(id))));
	return true;
}

/* Locks the execution's tree and brings it into memory. */
static Execution *
open_execution(const pg_uuid_t *id, Oid role)
{
	LockedRoot	locked;
	pg_uuid_t	root_id;
	Execution  *execution = NULL;

	cache_check_tables();
	if (find_execution(id, role, &root_id) && store_lock_roots(&root_id, 1, true, &locked) == 1)
	{
		Tree	   *tree = linitial(store_get_trees(&locked, 1));

		tree_attach(tree);
		execution = tree_find_execution(tree, id);
	}
	if (execution == NULL)
		control_raise_undefined(id);
	return execution;
}

void
control_raise_undefined_workflow(const char *name, const char *namespace_)
{
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_UNDEFINED),
			 errmsg("workflow \"%s\" does not exist", name),
			 namespace_[0] ? errdetail("It was looked for in namespace \"%s\".", namespace_) : 0,
			 errhint("The view mistral.workflows lists the workflows you may start.")));
}

void
control_raise_undefined(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_UNDEFINED_EXECUTION),
			 errmsg("execution %s does not exist", id_cstring(id)),
			 errhint("The view mistral.executions lists the executions you may see.")));
}

/* Locks the tree of a task and brings it into memory. */
static Task *
open_task(const pg_uuid_t *id, Oid role)
{
	static DbStatement select = {
		"SELECT execution_id FROM mistral.task WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};
	pg_uuid_t	execution_id;
	Task	   *task = NULL;
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 1)
	{
		execution_id = *DatumGetUUIDP(db_datum(0, 1, &isnull));
		if (find_execution(&execution_id, role, &execution_id))
			task = tree_find_task(open_execution(&execution_id, role)->tree, id);
	}
	if (task == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED_EXECUTION),
				 errmsg("task %s does not exist", id_cstring(id)),
				 errhint("The view mistral.tasks lists the tasks you may see.")));
	if (task->execution->state == STATE_PAUSED)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_TRANSITION),
				 errmsg("task %s is %s in an execution that is %s", id_cstring(id), state_name(task->state),
						state_name(task->execution->state)),
				 errhint("Resume the execution first.")));
	return task;
}

/* It runs again, or is skipped, as the message says: what it belongs to goes on. */
static void
close_task(Task *task, const char *message, bool reset, Oid role)
{
	Tree	   *tree = task->execution->tree;
	pg_uuid_t	root_id = tree->root_id;
	pg_uuid_t	id = task->id;
	const char *sender = history_sender(role);
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "reset");
	json_add_bool(&b, reset);
	if (sender)
	{
		json_add_key(&b, MESSAGE_SENDER);
		json_add_string(&b, sender);
	}
	json_end_object(&b);
	history_session(tree, message, role);
	task_reopen(task);
	write_back(tree);
	(void) message_put(&root_id, message, &id, 0, json_finish(&b));
}

static void
refuse_task(const Task *task, State wanted, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_INVALID_TRANSITION),
			 errmsg("cannot change the state of task %s from %s to %s",
					id_cstring(&task->id), state_name(task->state), state_name(wanted)),
			 errhint("%s", hint)));
}

/* What a resume or rerun adds to the environment. */
static void
merge_env(Execution *execution, const Jsonb *env)
{
	Jsonb	   *params = json_ref_get(execution->cxt, &execution->params);

	if (env == NULL)
		return;
	if (!json_is_object(env))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("env must be an object")));
	params = json_merge(params, json_pair("env", json_merge_deep(json_get_jsonb(params, "env"), env)));
	check_size("params", params);
	json_ref_set(&execution->params, json_keep(execution->cxt, params));
	row_touch(&execution->change);
}

static void
close_execution(Execution *execution, const char *message)
{
	pg_uuid_t	root_id = execution->tree->root_id;
	pg_uuid_t	id = execution->id;

	write_back(execution->tree);
	(void) message_put(&root_id, message, &id, 0, NULL);
}

static void
write_back(Tree *tree)
{
	tree->notices = NIL;
	tree->ended = 0;

	/*
	 * What the change has queued is found again from the rows, by the engine.
	 * The tasks' own rows say so, hence this copy has done its duty.
	 */
	store_flush(list_make1(tree));
	cache_drop(tree);
}

static void
refuse(const Execution *execution, State wanted, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_INVALID_TRANSITION),
			 errmsg("cannot change the state of execution %s from %s to %s",
					id_cstring(&execution->id), state_name(execution->state), state_name(wanted)),
			 hint ? errhint("%s", hint) : 0));
}

/* ---------------------------------------------------------------- starting */

static Jsonb *
start_params(const StartRequest *request, Oid role)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "env");
	json_add_jsonb(&b, environment(request->params, role));
	json_add_key(&b, "namespace");
	json_add_string(&b, request->namespace_);
	json_end_object(&b);
	return json_merge(request->params, json_finish(&b));
}

typedef struct EnvEvaluation
{
	const ExprData *data;
	ExprEnv		env;
	Jsonb	   *result;
} EnvEvaluation;

static void
evaluate_env(void *arg)
{
	EnvEvaluation *e = arg;
	Value		value = expr_data_eval(e->data, &e->env);

	e->result = value_to_jsonb(&value);
}

/* params.env: an object, or the name of a stored environment; its values may be expressions of env() itself. */
static Jsonb *
environment(const Jsonb *params, Oid role)
{
	Jsonb	   *env = json_get_jsonb(params, "env");
	EnvEvaluation e = {0};
	int			sqlstate = ERRCODE_MISTRAL_EXPRESSION;
	char	   *error;

	if (json_is_null(env))
		return json_empty();
	if (!json_is_object(env))
	{
		char	   *name = json_get_string(params, "env");

		env = name ? environment_find(name, role) : NULL;
		if (env == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_MISTRAL_UNDEFINED),
					 name ? errmsg("environment \"%s\" does not exist", name)
					 : errmsg("params.env must be an object or the name of an environment")));
	}
	if (!json_get_bool(params, "evaluate_env", true))
		return env;
	e.data = expr_data_compile(env);
	e.env.var_env = value_from_jsonb(env);
	e.env.root = value_from_jsonb(json_pair("__env", env));
	error = guard_expression(evaluate_env, &e, &sqlstate);
	if (error)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("the environment cannot be evaluated"),
				 errdetail("%s.", error)));
	return e.result;
}

static void
check_size(const char *what, const Jsonb *value)
{
	if (VARSIZE(value) > (Size) guc_max_result_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_TOO_LARGE),
				 errmsg("%s is larger than mistral.max_result_size (%d kB)", what, guc_max_result_size)));
}
