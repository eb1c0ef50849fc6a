/*
 * wait_workflow.c
 *		mistral.wait_workflow: sleeps until an execution has ended.
 *
 * Each look takes a snapshot of its own, also in a REPEATABLE READ transaction
 * whose snapshot would never see the end.  Between looks the session sleeps on
 * a condition variable that engines broadcast after their commits.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

#include "api/args.h"
#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "errcodes.h"
#include "worker/shmem.h"

/* Also unasked, for an end that nobody announced. */
#define LONGEST_SLEEP_MS 5000

SQL_FUNCTION(mistral_wait_workflow);

static char *look(const pg_uuid_t *id, bool *ended);
static bool row_is_ours(uint64 row, int xmin);
static void sleep_until(TimestampTz deadline);

Datum
mistral_wait_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	TimestampTz deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
																   TimestampTzGetDatum(clock_steady()),
																   PG_GETARG_DATUM(1)));
	bool		checked = false;
	char	   *state;
	bool		ended;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot wait for an execution on a standby"),
				 errhint("Ask the primary server.")));
	for (;;)
	{
		state = look(id, &ended);
		if (ended || clock_steady() >= deadline)
			break;
		if (!checked && shared == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_MISTRAL_NO_WORKERS),
					 errmsg("no mistral workers run on this server"),
					 errdetail("The execution would never advance."),
					 errhint("Add mistral to shared_preload_libraries and restart the server.")));
		if (!checked)
			workers_check_running();
		checked = true;
		pfree(state);
		sleep_until(deadline);
	}
	ConditionVariableCancelSleep();
	PG_RETURN_TEXT_P(cstring_to_text(state));
}

/* The execution's state now, in the current context; raises when the caller may not see it. */
static char *
look(const pg_uuid_t *id, bool *ended)
{
	static DbStatement find = {
		"SELECT state, owner, root_id, xmin, finished_at IS NOT NULL FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) $1",
		1, {UUIDOID}
	};
	MemoryContext context = CurrentMemoryContext;
	Datum		argument = UUIDPGetDatum(id);
	DbSession	session;
	char	   *state = NULL;
	bool		own_change = false;
	bool		isnull;

	PushActiveSnapshot(GetLatestSnapshot());
	db_enter(&session);
	if (db_execute(&find, &argument, NULL, true, 1) == 1 &&
		has_privs_of_role(session.caller, DatumGetObjectId(db_datum(0, 2, &isnull))))
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		state = TextDatumGetCString(db_datum(0, 1, &isnull));
		MemoryContextSwitchTo(spi);
		*ended = DatumGetBool(db_datum(0, 5, &isnull));
		if (!*ended)
		{
			pg_uuid_t	root_id = *DatumGetUUIDP(db_datum(0, 3, &isnull));

			/* What a session does to a sub-workflow it may have left in the root's row only. */
			own_change = row_is_ours(0, 4);
			argument = UUIDPGetDatum(&root_id);
			if (!own_change && !id_equal(&root_id, id))
				own_change = db_execute(&find, &argument, NULL, true, 1) == 1 && row_is_ours(0, 4);
		}
	}
	db_leave(&session);
	PopActiveSnapshot();
	if (state == NULL)
	{
		char		text[UUID_TEXT_LEN + 1];

		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED_EXECUTION),
				 errmsg("execution %s does not exist", id_text(id, text))));
	}
	if (own_change && !*ended)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot wait for an execution in the transaction that started or changed it"),
				 errdetail("Nobody else sees the execution before the transaction commits."),
				 errhint("Commit first, and wait in the next transaction.")));
	return state;
}

/* Whether this transaction has written the row of the last result, whose xmin is that column. */
static bool
row_is_ours(uint64 row, int xmin)
{
	bool		isnull;

	return TransactionIdIsCurrentTransactionId(DatumGetTransactionId(db_datum(row, xmin, &isnull)));
}

/* Sleeps until some execution of this database ended, at most until the deadline. */
static void
sleep_until(TimestampTz deadline)
{
	long		timeout = TimestampDifferenceMilliseconds(clock_steady(), deadline);
	DatabaseSlot *db;

	timeout = Min(Max(timeout, 1), LONGEST_SLEEP_MS);
	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	LWLockRelease(registry_lock());
	if (db != NULL)
	{
		/* The first sleep only enters the queue: the look after it cannot miss an end. */
		(void) ConditionVariableTimedSleep(&db->finished, timeout, PG_WAIT_EXTENSION);
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(timeout, 1000), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
