/*
 * why.c
 *		mistral.why(id): what an execution is waiting for; execution_report(id):
 *		what became of it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/args.h"
#include "base/db.h"
#include "base/json.h"
#include "compat.h"
#include "engine/report.h"
#include "engine/why.h"

SQL_FUNCTION(mistral_why);
SQL_FUNCTION(mistral_execution_report);

static void put_text(Datum *values, bool *nulls, int col, const char *s);
static void put_time(Datum *values, bool *nulls, int col, TimestampTz t);

/* why(id) returns table(kind, object_id, name, state, detail, since, due_at) */
Datum
mistral_why(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	List	   *reasons;
	DbSession	session;
	ListCell   *lc;

	compat_init_materialized_srf(fcinfo);
	db_enter(&session);
	reasons = why_waiting(&id, session.caller);
	foreach(lc, reasons)
	{
		WaitReason *reason = lfirst(lc);
		Datum		values[7];
		bool		nulls[7] = {false};

		put_text(values, nulls, 0, reason->kind);
		values[1] = UUIDPGetDatum(&reason->object_id);
		put_text(values, nulls, 2, reason->name);
		put_text(values, nulls, 3, reason->state);
		put_text(values, nulls, 4, reason->detail);
		put_time(values, nulls, 5, reason->since);
		put_time(values, nulls, 6, reason->due_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	/* The reasons end with the session: statements leave their caller in SPI's memory. */
	db_leave(&session);
	return (Datum) 0;
}

/* execution_report(id) returns jsonb */
Datum
mistral_execution_report(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	MemoryContext cxt = CurrentMemoryContext;
	Jsonb	   *report;
	DbSession	session;

	db_enter(&session);
	report = report_execution(&id, session.caller);
	/* Every statement on the way has gone back to SPI's memory, which ends with the session. */
	MemoryContextSwitchTo(cxt);
	report = json_copy(report);
	db_leave(&session);
	PG_RETURN_JSONB_P(report);
}

static void
put_text(Datum *values, bool *nulls, int col, const char *s)
{
	nulls[col] = s == NULL;
	values[col] = s ? CStringGetTextDatum(s) : (Datum) 0;
}

static void
put_time(Datum *values, bool *nulls, int col, TimestampTz t)
{
	nulls[col] = TIMESTAMP_NOT_FINITE(t);
	values[col] = TimestampTzGetDatum(t);
}
