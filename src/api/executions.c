/*
 * executions.c
 *		SQL functions on executions: start, pause, resume, stop, delete; and the
 *		step as a function, for tests.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "api/args.h"
#include "base/clock.h"
#include "base/db.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "engine/states.h"
#include "queue/event_wait.h"
#include "worker/shmem.h"

SQL_FUNCTION(mistral_start_workflow);
SQL_FUNCTION(mistral_pause_workflow);
SQL_FUNCTION(mistral_resume_workflow);
SQL_FUNCTION(mistral_stop_workflow);
SQL_FUNCTION(mistral_cancel_workflow);
SQL_FUNCTION(mistral_rerun_task);
SQL_FUNCTION(mistral_skip_task);
SQL_FUNCTION(mistral_delete_execution);
SQL_FUNCTION(mistral_step);
SQL_FUNCTION(mistral_now);

/* start_workflow(workflow, input, params, namespace, description, execution_id) returns uuid */
Datum
mistral_start_workflow(PG_FUNCTION_ARGS)
{
	StartRequest request = {0};
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	DbSession	session;

	request.workflow = arg_text(fcinfo, 0, "workflow");
	request.input = arg_object(fcinfo, 1, "input");
	request.params = arg_object(fcinfo, 2, "params");
	request.namespace_ = PG_ARGISNULL(3) ? "" : arg_text(fcinfo, 3, "namespace");
	request.description = PG_ARGISNULL(4) ? "" : arg_text(fcinfo, 4, "description");
	request.has_id = !PG_ARGISNULL(5);
	if (request.has_id)
		request.id = arg_id(fcinfo, 5, "execution_id");

	PreventCommandIfReadOnly("mistral.start_workflow()");
	db_enter(&session);
	*result = control_start(&request, session.caller);
	db_leave(&session);
	workers_check_running();
	PG_RETURN_UUID_P(result);
}

/* pause_workflow(id) */
Datum
mistral_pause_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.pause_workflow()");
	db_enter(&session);
	control_pause(&id, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* resume_workflow(id, env) */
Datum
mistral_resume_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	Jsonb	   *env = arg_json_or_null(fcinfo, 1);
	DbSession	session;

	PreventCommandIfReadOnly("mistral.resume_workflow()");
	db_enter(&session);
	control_resume(&id, env, session.caller);
	db_leave(&session);
	workers_check_running();
	PG_RETURN_VOID();
}

/* stop_workflow(id, state, message) */
Datum
mistral_stop_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	char	   *name = arg_text(fcinfo, 1, "state");
	char	   *message = arg_text_or_null(fcinfo, 2);
	State		state;
	DbSession	session;

	if (!state_parse(name, &state) || (state != STATE_SUCCESS && state != STATE_ERROR && state != STATE_CANCELLED))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an execution cannot be stopped as \"%s\"", name),
				 errhint("Use SUCCESS, ERROR or CANCELLED.")));
	PreventCommandIfReadOnly("mistral.stop_workflow()");
	db_enter(&session);
	control_stop(&id, state, message, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* cancel_workflow(id, message) */
Datum
mistral_cancel_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	char	   *message = arg_text_or_null(fcinfo, 1);
	DbSession	session;

	PreventCommandIfReadOnly("mistral.cancel_workflow()");
	db_enter(&session);
	control_stop(&id, STATE_CANCELLED, message, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* rerun_task(task_id, reset, env) */
Datum
mistral_rerun_task(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "task_id");
	bool		reset = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	Jsonb	   *env = arg_json_or_null(fcinfo, 2);
	DbSession	session;

	PreventCommandIfReadOnly("mistral.rerun_task()");
	db_enter(&session);
	control_rerun(&id, reset, env, session.caller);
	db_leave(&session);
	workers_check_running();
	PG_RETURN_VOID();
}

/* skip_task(task_id) */
Datum
mistral_skip_task(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "task_id");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.skip_task()");
	db_enter(&session);
	control_skip(&id, session.caller);
	db_leave(&session);
	workers_check_running();
	PG_RETURN_VOID();
}

/* delete_execution(id) */
Datum
mistral_delete_execution(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.delete_execution()");
	db_enter(&session);
	control_delete(&id, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* step(executions int) returns int: what one step of the engine consumed */
Datum
mistral_step(PG_FUNCTION_ARGS)
{
	int			limit = PG_GETARG_INT32(0);
	EngineShare all = {0, 1};
	EngineStepResult result;
	DbSession	session;
	TimestampTz next;

	if (limit < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of executions must be at least 1")));
	PreventCommandIfReadOnly("mistral.step()");
	db_enter(&session);
	while (event_wait_match(limit) == EVENTS_MORE)
		CHECK_FOR_INTERRUPTS();
	while (event_forget_old())
		CHECK_FOR_INTERRUPTS();
	db_leave(&session);
	engine_step(NULL, 0, true, &all, limit, &result);
	engine_notify(result.notices);
	PG_RETURN_INT32(result.messages + engine_sweep_leases(&next));
}

/* now() returns timestamptz */
Datum
mistral_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(clock_now());
}
