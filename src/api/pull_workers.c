/*
 * pull_workers.c
 *		SQL functions of pull workers: claim_actions, heartbeat_actions; and
 *		register_action.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "api/args.h"
#include "base/clock.h"
#include "base/db.h"
#include "compat.h"
#include "engine/registered.h"
#include "mistral.h"
#include "queue/pull.h"
#include "queue/token.h"

SQL_FUNCTION(mistral_claim_actions);
SQL_FUNCTION(mistral_heartbeat_actions);
SQL_FUNCTION(mistral_register_action);

/* Most actions claimed by one call. */
#define MAX_CLAIM 10000

/* Longest name of a worker, in bytes. */
#define MAX_WORKER 255

static void put_claimed(void *arg, Datum *values, bool *nulls);
static Datum attempts_of(FunctionCallInfo fcinfo);
static TimestampTz arg_lease(FunctionCallInfo fcinfo, int n);
static char *arg_worker(FunctionCallInfo fcinfo, int n);

/* claim_actions(target, worker, max, lease) returns table(...) */
Datum
mistral_claim_actions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PullClaim	claim = {0};
	DbSession	session;

	claim.target = arg_text_or_null(fcinfo, 0);
	claim.worker = arg_worker(fcinfo, 1);
	claim.max = PG_ARGISNULL(2) ? 1 : PG_GETARG_INT32(2);
	claim.lease_until = arg_lease(fcinfo, 3);
	if (claim.max < 1 || claim.max > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max must be between 1 and %d", MAX_CLAIM)));
	PreventCommandIfReadOnly("mistral.claim_actions()");
	compat_init_materialized_srf(fcinfo);
	db_enter(&session);
	claim.role = session.caller;
	pull_claim(&claim, put_claimed, rsinfo);
	db_leave(&session);
	return (Datum) 0;
}

static void
put_claimed(void *arg, Datum *values, bool *nulls)
{
	ReturnSetInfo *rsinfo = arg;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* heartbeat_actions(ids, lease, worker, tokens) returns int */
Datum
mistral_heartbeat_actions(PG_FUNCTION_ARGS)
{
	TimestampTz lease_until = arg_lease(fcinfo, 1);
	char	   *worker = arg_worker(fcinfo, 2);
	DbSession	session;
	int			n;

	if (PG_ARGISNULL(0))
		PG_RETURN_INT32(0);
	PreventCommandIfReadOnly("mistral.heartbeat_actions()");
	db_enter(&session);
	n = pull_heartbeat(PG_GETARG_DATUM(0), attempts_of(fcinfo), worker, lease_until, session.caller);
	db_leave(&session);
	PG_RETURN_INT32(n);
}

/* The attempts that the tokens of heartbeat_actions stand for, 0 where one is none; 0 when none are given. */
static Datum
attempts_of(FunctionCallInfo fcinfo)
{
	TokenKey	key;
	Datum	   *ids;
	Datum	   *tokens;
	bool	   *null_ids;
	bool	   *null_tokens;
	int			n;
	int			ntokens;

	if (PG_ARGISNULL(3))
		return (Datum) 0;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, &null_ids, &n);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT, &tokens, &null_tokens, &ntokens);
	if (n != ntokens)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be as many tokens as ids")));
	token_key_read(&key);
	for (int i = 0; i < n; i++)
		tokens[i] = Int32GetDatum(null_ids[i] || null_tokens[i] ? 0 :
								  token_attempt(&key, DatumGetUUIDP(ids[i]), TextDatumGetCString(tokens[i])));
	return PointerGetDatum(construct_array(tokens, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* register_action(name, function, target, description) */
Datum
mistral_register_action(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	Oid			function = PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1);
	char	   *target = arg_text_or_null(fcinfo, 2);
	char	   *description = arg_text_or_null(fcinfo, 3);
	DbSession	session;

	PreventCommandIfReadOnly("mistral.register_action()");
	db_enter(&session);
	registered_store(name, target, function, description ? description : "", session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* A lease of this length, from now on. */
static TimestampTz
arg_lease(FunctionCallInfo fcinfo, int n)
{
	TimestampTz now = clock_timers();
	TimestampTz until = now;

	if (!PG_ARGISNULL(n))
		until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now),
														IntervalPGetDatum(PG_GETARG_INTERVAL_P(n))));
	if (until <= now || TIMESTAMP_NOT_FINITE(until))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lease must be a length of time above zero")));
	return until;
}

static char *
arg_worker(FunctionCallInfo fcinfo, int n)
{
	char	   *worker = arg_text_or_null(fcinfo, n);

	if (worker && strlen(worker) > MAX_WORKER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a worker's name has at most %d bytes", MAX_WORKER)));
	return worker;
}
