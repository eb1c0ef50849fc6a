/*
 * actions.c
 *		SQL functions on action executions, and the list of built-in actions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "actions/registry.h"
#include "api/args.h"
#include "base/db.h"
#include "base/json.h"
#include "engine/approval.h"
#include "engine/control.h"
#include "worker/shmem.h"

SQL_FUNCTION(mistral_complete_action);
SQL_FUNCTION(mistral_fail_action);
SQL_FUNCTION(mistral_cancel_action);
SQL_FUNCTION(mistral_approve);
SQL_FUNCTION(mistral_reject);
SQL_FUNCTION(mistral_may_answer);
SQL_FUNCTION(mistral_run_action);
SQL_FUNCTION(mistral_builtin_actions);

static void finish(FunctionCallInfo fcinfo, State state, const Jsonb *result, int attempt);
static void answer(FunctionCallInfo fcinfo, bool approved);
static int	arg_attempt(FunctionCallInfo fcinfo, int n);

/* complete_action(id, result, attempt) */
Datum
mistral_complete_action(PG_FUNCTION_ARGS)
{
	finish(fcinfo, STATE_SUCCESS, arg_json_or_null(fcinfo, 1), arg_attempt(fcinfo, 2));
	PG_RETURN_VOID();
}

/* fail_action(id, error, attempt); an error that says nothing reads "Unknown error" */
Datum
mistral_fail_action(PG_FUNCTION_ARGS)
{
	Jsonb	   *error = arg_json_or_null(fcinfo, 1);
	bool		empty = json_is_null(error) ||
		(!JB_ROOT_IS_SCALAR(error) && JB_ROOT_COUNT(error) == 0) ||
		(JB_ROOT_IS_SCALAR(error) && json_to_text(error)[0] == '\0');

	finish(fcinfo, STATE_ERROR, empty ? json_from_string("Unknown error") : error, arg_attempt(fcinfo, 2));
	PG_RETURN_VOID();
}

/* cancel_action(id) */
Datum
mistral_cancel_action(PG_FUNCTION_ARGS)
{
	finish(fcinfo, STATE_CANCELLED, NULL, 0);
	PG_RETURN_VOID();
}

/* approve(id, comment) */
Datum
mistral_approve(PG_FUNCTION_ARGS)
{
	answer(fcinfo, true);
	PG_RETURN_VOID();
}

/* reject(id, comment) */
Datum
mistral_reject(PG_FUNCTION_ARGS)
{
	answer(fcinfo, false);
	PG_RETURN_VOID();
}

/* may_answer(request, owner, asked_at): strict, and about nothing but its arguments and the current role */
Datum
mistral_may_answer(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(approval_may_answer(PG_GETARG_JSONB_P(0), PG_GETARG_OID(1), PG_GETARG_TIMESTAMPTZ(2), GetUserId()));
}

/* run_action(action, input, namespace, target) returns uuid */
Datum
mistral_run_action(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "action");
	Jsonb	   *input = arg_object(fcinfo, 1, "input");
	char	   *namespace_ = PG_ARGISNULL(2) ? pstrdup("") : arg_text(fcinfo, 2, "namespace");
	char	   *target = arg_text_or_null(fcinfo, 3);
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	DbSession	session;

	if (target && target[0] == '\0')
		target = NULL;
	db_enter(&session);
	*result = control_run_action(name, input, namespace_, target, session.caller);
	db_leave(&session);
	PG_RETURN_UUID_P(result);
}

/* builtin_actions() returns table(name, input, description) */
Datum
mistral_builtin_actions(PG_FUNCTION_ARGS)
{
	FuncCallContext *fctx;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		fctx = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(fctx->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &fctx->tuple_desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		fctx->tuple_desc = BlessTupleDesc(fctx->tuple_desc);
		fctx->max_calls = action_type_count;
		MemoryContextSwitchTo(old);
	}
	fctx = SRF_PERCALL_SETUP();
	if (fctx->call_cntr < fctx->max_calls)
	{
		const ActionType *type = &action_types[fctx->call_cntr];
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(type->name);
		values[1] = CStringGetTextDatum(type->params);
		values[2] = CStringGetTextDatum(type->description);
		SRF_RETURN_NEXT(fctx, HeapTupleGetDatum(heap_form_tuple(fctx->tuple_desc, values, nulls)));
	}
	SRF_RETURN_DONE(fctx);
}

static void
finish(FunctionCallInfo fcinfo, State state, const Jsonb *result, int attempt)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	DbSession	session;

	db_enter(&session);
	control_finish_action(&id, state, result, attempt, session.caller);
	db_leave(&session);
	workers_check_running();
}

static void
answer(FunctionCallInfo fcinfo, bool approved)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	char	   *comment = arg_text_or_null(fcinfo, 1);
	DbSession	session;

	db_enter(&session);
	control_answer(&id, approved, comment, session.caller);
	db_leave(&session);
	workers_check_running();
}

static int
arg_attempt(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return 0;
	if (PG_GETARG_INT32(n) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attempt must be at least 1")));
	return PG_GETARG_INT32(n);
}
