/*
 * cron.c
 *		SQL functions for cron triggers.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/args.h"
#include "api/scope.h"
#include "base/clock.h"
#include "base/cron.h"
#include "base/db.h"
#include "queue/cron_trigger.h"
#include "worker/shmem.h"

SQL_FUNCTION(mistral_create_cron_trigger);
SQL_FUNCTION(mistral_delete_cron_trigger);
SQL_FUNCTION(mistral_pause_cron_trigger);
SQL_FUNCTION(mistral_resume_cron_trigger);
SQL_FUNCTION(mistral_backfill_cron_trigger);
SQL_FUNCTION(mistral_next_runs);
SQL_FUNCTION(mistral_run_schedules);

/* Between two slots of next_runs. */
typedef struct NextRuns
{
	CronPattern pattern;
	pg_tz	   *zone;
	TimestampTz slot;
} NextRuns;

static int64 arg_span(FunctionCallInfo fcinfo, int n, const char *name);
static void change_paused(FunctionCallInfo fcinfo, bool paused);

/* create_cron_trigger(name, workflow, pattern, input, params, namespace, first_time, remaining, timezone, overlap, catchup, catchup_window, jitter) */
Datum
mistral_create_cron_trigger(PG_FUNCTION_ARGS)
{
	CronTrigger trigger = {0};
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	DbSession	session;
	char	   *overlap = arg_text(fcinfo, 9, "overlap");
	char	   *catchup = arg_text(fcinfo, 10, "catchup");

	trigger.name = arg_name(fcinfo, 0, "name", false);
	trigger.workflow = arg_text(fcinfo, 1, "workflow");
	trigger.pattern = arg_text_or_null(fcinfo, 2);
	trigger.input = arg_object(fcinfo, 3, "input");
	trigger.params = arg_object(fcinfo, 4, "params");
	trigger.namespace_ = arg_name(fcinfo, 5, "namespace", true);
	trigger.first_time = PG_ARGISNULL(6) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(6);
	trigger.remaining = PG_ARGISNULL(7) ? -1 : Max(PG_GETARG_INT32(7), 0);
	trigger.timezone = arg_text(fcinfo, 8, "timezone");
	if (!cron_overlap_parse(overlap, &trigger.overlap))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("overlap policy \"%s\" does not exist", overlap),
				 errhint("Use allow_all, skip, buffer_one, buffer_all, cancel_other or terminate_other.")));
	if (!cron_catchup_parse(catchup, &trigger.catchup))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("catch-up policy \"%s\" does not exist", catchup),
				 errhint("Use one, all or none.")));
	trigger.window = arg_span(fcinfo, 11, "catchup_window");
	trigger.jitter = arg_span(fcinfo, 12, "jitter");

	PreventCommandIfReadOnly("mistral.create_cron_trigger()");
	db_enter(&session);
	trigger.owner = session.caller;
	cron_trigger_create(&trigger);
	*result = trigger.id;
	db_leave(&session);
	workers_check_running();
	PG_RETURN_UUID_P(result);
}

/* delete_cron_trigger(name) */
Datum
mistral_delete_cron_trigger(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.delete_cron_trigger()");
	db_enter(&session);
	cron_trigger_delete(name, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* pause_cron_trigger(name) */
Datum
mistral_pause_cron_trigger(PG_FUNCTION_ARGS)
{
	change_paused(fcinfo, true);
	PG_RETURN_VOID();
}

/* resume_cron_trigger(name) */
Datum
mistral_resume_cron_trigger(PG_FUNCTION_ARGS)
{
	change_paused(fcinfo, false);
	PG_RETURN_VOID();
}

static void
change_paused(FunctionCallInfo fcinfo, bool paused)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly(paused ? "mistral.pause_cron_trigger()" : "mistral.resume_cron_trigger()");
	db_enter(&session);
	cron_trigger_pause(name, paused, session.caller);
	db_leave(&session);
}

/* backfill_cron_trigger(name, from_time, to_time) returns int */
Datum
mistral_backfill_cron_trigger(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	TimestampTz from = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz to = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2);
	DbSession	session;
	int			n;

	PreventCommandIfReadOnly("mistral.backfill_cron_trigger()");
	db_enter(&session);
	n = cron_trigger_backfill(name, from, to, session.caller);
	db_leave(&session);
	PG_RETURN_INT32(n);
}

/* next_runs(pattern, timezone, n, after) returns setof timestamptz */
Datum
mistral_next_runs(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	NextRuns   *runs;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		runs = palloc0(sizeof(NextRuns));
		cron_pattern(arg_text(fcinfo, 0, "pattern"), &runs->pattern);
		runs->zone = cron_zone(arg_text(fcinfo, 1, "timezone"));
		call->max_calls = PG_ARGISNULL(2) ? 0 : Max(PG_GETARG_INT32(2), 0);
		runs->slot = PG_ARGISNULL(3) ? clock_now() : PG_GETARG_TIMESTAMPTZ(3);
		call->user_fctx = runs;
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	runs = call->user_fctx;
	if (call->call_cntr < call->max_calls)
		runs->slot = cron_next(&runs->pattern, runs->zone, runs->slot);
	if (call->call_cntr >= call->max_calls || runs->slot == DT_NOEND)
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, TimestampTzGetDatum(runs->slot));
}

/* run_schedules(triggers int) returns int: how many slots were used up */
Datum
mistral_run_schedules(PG_FUNCTION_ARGS)
{
	int			limit = PG_GETARG_INT32(0);
	DbSession	session;
	CronRun		result;

	if (limit < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of triggers must be at least 1")));
	PreventCommandIfReadOnly("mistral.run_schedules()");
	db_enter(&session);
	cron_run(limit, &result);
	db_leave(&session);
	PG_RETURN_INT32(result.nslots);
}

/* An interval of 0 or more, in microseconds; a month has 30 days. */
static int64
arg_span(FunctionCallInfo fcinfo, int n, const char *name)
{
	Interval   *span;
	int64		days;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	span = PG_GETARG_INTERVAL_P(n);
	days = (int64) span->month * DAYS_PER_MONTH + span->day;
	if (days < 0 || days > 36500 || span->time < 0 || span->time > INT64CONST(36500) * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be from 0 to 100 years", name)));
	return days * USECS_PER_DAY + span->time;
}
