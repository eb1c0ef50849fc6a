/*
 * actions.c
 *		SQL functions on action executions, and the list of built-in actions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "actions/registry.h"
#include "api/args.h"
#include "base/db.h"
#include "base/json.h"
#include "compat.h"
#include "engine/approval.h"
#include "engine/control.h"
#include "worker/shmem.h"

SQL_FUNCTION(mistral_complete_action);
SQL_FUNCTION(mistral_fail_action);
SQL_FUNCTION(mistral_complete_actions);
SQL_FUNCTION(mistral_fail_actions);
SQL_FUNCTION(mistral_cancel_action);
SQL_FUNCTION(mistral_approve);
SQL_FUNCTION(mistral_reject);
SQL_FUNCTION(mistral_may_answer);
SQL_FUNCTION(mistral_run_action);
SQL_FUNCTION(mistral_builtin_actions);

/* Most actions ended by one call. */
#define MAX_FINISH 10000

static void finish(FunctionCallInfo fcinfo, State state, FinishAction *end);
static void finish_with_attempt(FunctionCallInfo fcinfo, State state, const Jsonb *result);
static void answer(FunctionCallInfo fcinfo, bool approved);
static void finish_many(FunctionCallInfo fcinfo, State state);
static Datum *arg_elements(FunctionCallInfo fcinfo, int n, const char *name, int *count, bool **nulls);
static const Jsonb *error_or_unknown(const Jsonb *error);
static int	check_attempt(int attempt);

/* complete_action(id, result, attempt, token) */
Datum
mistral_complete_action(PG_FUNCTION_ARGS)
{
	finish_with_attempt(fcinfo, STATE_SUCCESS, arg_json_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/* fail_action(id, error, attempt, token) */
Datum
mistral_fail_action(PG_FUNCTION_ARGS)
{
	finish_with_attempt(fcinfo, STATE_ERROR, error_or_unknown(arg_json_or_null(fcinfo, 1)));
	PG_RETURN_VOID();
}

/* complete_actions(ids, results, attempts, tokens) returns table(action_execution_id, error_code, error) */
Datum
mistral_complete_actions(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("mistral.complete_actions()");
	finish_many(fcinfo, STATE_SUCCESS);
	return (Datum) 0;
}

/* fail_actions(ids, errors, attempts, tokens) returns table(action_execution_id, error_code, error) */
Datum
mistral_fail_actions(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("mistral.fail_actions()");
	finish_many(fcinfo, STATE_ERROR);
	return (Datum) 0;
}

/* cancel_action(id) */
Datum
mistral_cancel_action(PG_FUNCTION_ARGS)
{
	FinishAction cancel = {0};

	finish(fcinfo, STATE_CANCELLED, &cancel);
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

/* builtin_actions() returns table(name, input, description, module) */
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
		Datum		values[4] = {0};
		bool		nulls[4] = {false, false, false, type->module == NULL};

		values[0] = CStringGetTextDatum(type->name);
		values[1] = CStringGetTextDatum(type->params);
		values[2] = CStringGetTextDatum(type->description);
		if (type->module)
			values[3] = CStringGetTextDatum(type->module);
		SRF_RETURN_NEXT(fctx, HeapTupleGetDatum(heap_form_tuple(fctx->tuple_desc, values, nulls)));
	}
	SRF_RETURN_DONE(fctx);
}

static void
finish_with_attempt(FunctionCallInfo fcinfo, State state, const Jsonb *result)
{
	FinishAction end = {.result = result};

	if (!PG_ARGISNULL(2))
		end.attempt = check_attempt(PG_GETARG_INT32(2));
	end.token = arg_text_or_null(fcinfo, 3);
	finish(fcinfo, state, &end);
}

/* Of the action that the first argument names. */
static void
finish(FunctionCallInfo fcinfo, State state, FinishAction *end)
{
	DbSession	session;

	end->id = arg_id(fcinfo, 0, "id");
	db_enter(&session);
	control_finish_action(end, state, session.caller);
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

/* A row for each one that is refused. */
static void
finish_many(FunctionCallInfo fcinfo, State state)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			n = -1;
	bool	   *null_ids;
	bool	   *null_results;
	bool	   *null_attempts;
	bool	   *null_tokens;
	Datum	   *ids = arg_elements(fcinfo, 0, "ids", &n, &null_ids);
	Datum	   *results = arg_elements(fcinfo, 1, state == STATE_ERROR ? "errors" : "results", &n, &null_results);
	Datum	   *attempts = arg_elements(fcinfo, 2, "attempts", &n, &null_attempts);
	Datum	   *tokens = arg_elements(fcinfo, 3, "tokens", &n, &null_tokens);
	FinishAction *finishes;
	DbSession	session;

	compat_init_materialized_srf(fcinfo);
	if (ids == NULL)
		return;
	finishes = palloc0(sizeof(FinishAction) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (null_ids[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("ids must not be null")));
		finishes[i].id = *DatumGetUUIDP(ids[i]);
		if (results && !null_results[i])
			finishes[i].result = DatumGetJsonbP(results[i]);
		if (state == STATE_ERROR)
			finishes[i].result = error_or_unknown(finishes[i].result);
		if (attempts && !null_attempts[i])
			finishes[i].attempt = check_attempt(DatumGetInt32(attempts[i]));
		if (tokens && !null_tokens[i])
			finishes[i].token = TextDatumGetCString(tokens[i]);
	}
	db_enter(&session);
	control_finish_actions(finishes, n, state, session.caller);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		if (finishes[i].refused == 0)
			continue;
		values[0] = UUIDPGetDatum(&finishes[i].id);
		values[1] = CStringGetTextDatum(unpack_sql_state(finishes[i].refused));
		values[2] = CStringGetTextDatum(finishes[i].message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	db_leave(&session);
	workers_check_running();
}

/* What an array holds, NULL when there is none; all that are given have as many elements (*count, -1: not yet known). */
static Datum *
arg_elements(FunctionCallInfo fcinfo, int n, const char *name, int *count, bool **nulls)
{
	ArrayType  *array;
	Datum	   *elements;
	int16		len;
	bool		by_value;
	char		align;
	int			found;

	if (PG_ARGISNULL(n))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(n);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), len, by_value, align, &elements, nulls, &found);
	if (ARR_NDIM(array) > 1 || (*count >= 0 && found != *count) || found > MAX_FINISH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a list of at most %d, as long as that of the ids", name, MAX_FINISH)));
	*count = found;
	return elements;
}

/* An error that says nothing reads "Unknown error". */
static const Jsonb *
error_or_unknown(const Jsonb *error)
{
	bool		empty = json_is_null(error) ||
		(!JB_ROOT_IS_SCALAR(error) && JB_ROOT_COUNT(error) == 0) ||
		(JB_ROOT_IS_SCALAR(error) && json_to_text(error)[0] == '\0');

	return empty ? json_from_string("Unknown error") : error;
}

static int
check_attempt(int attempt)
{
	if (attempt < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attempt must be at least 1")));
	return attempt;
}
