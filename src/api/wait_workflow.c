/*
 * wait_workflow.c
 *		mistral.wait_workflow: sleeps until an execution has ended.
 *
 * Each look takes a snapshot of its own, also in a REPEATABLE READ transaction
 * whose snapshot would never see the end.  Between looks the session sleeps on
 * a condition variable that engines broadcast after commits in which executions of its group ended.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
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
#include "engine/engine.h"
#include "engine/execution_row.h"
#include "errcodes.h"
#include "worker/shmem.h"

/* Also unasked, for an end that nobody announced. */
#define LONGEST_SLEEP_MS 5000

SQL_FUNCTION(mistral_wait_workflow);

static char *look(const pg_uuid_t *id, bool *ended);
static ConditionVariable *watch(const pg_uuid_t *id);
static Datum column(TupleTableSlot *slot, ExecutionColumn which);
static bool row_is_ours(TupleTableSlot *slot);
static void sleep_until(ConditionVariable *ended, TimestampTz deadline);

Datum
mistral_wait_workflow(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	TimestampTz deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
																   TimestampTzGetDatum(clock_steady()),
																   PG_GETARG_DATUM(1)));
	ConditionVariable *watched;
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
		watched = watch(id);
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
		sleep_until(watched, deadline);
	}
	ConditionVariableCancelSleep();
	PG_RETURN_TEXT_P(cstring_to_text(state));
}

/*
 * From here on an end wakes this session, also one that comes before it sleeps.
 * NULL: there are no workers in this database.
 */
static ConditionVariable *
watch(const pg_uuid_t *id)
{
	ConditionVariable *ended;
	DatabaseSlot *db;

	if (shared == NULL)
		return NULL;
	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	LWLockRelease(registry_lock());
	if (db == NULL)
		return NULL;
	ended = &db->ended[ENDED_GROUP(id)];
	ConditionVariablePrepareToSleep(ended);
	return ended;
}

/* The execution's state now, in the current context; raises when the caller may not see it. */
static char *
look(const pg_uuid_t *id, bool *ended)
{
	DbLookup	lookup;
	TupleTableSlot *slot;
	char	   *state = NULL;
	bool		own_change = false;

	db_lookup_latest(&lookup, "execution", "execution_pkey", id);
	slot = db_lookup_next(&lookup);
	if (slot && has_privs_of_role(GetUserId(), DatumGetObjectId(column(slot, EXECUTION_OWNER))))
	{
		state = TextDatumGetCString(column(slot, EXECUTION_STATE));
		*ended = !slot_attisnull(slot, EXECUTION_FINISHED_AT + 1);
		if (!*ended)
		{
			pg_uuid_t	root_id = *DatumGetUUIDP(column(slot, EXECUTION_ROOT_ID));

			/* What a session does to a sub-workflow it may have left in the root's row only. */
			own_change = row_is_ours(slot);
			if (!own_change && !id_equal(&root_id, id))
			{
				db_lookup_again(&lookup, &root_id);
				slot = db_lookup_next(&lookup);
				own_change = slot && row_is_ours(slot);
			}
		}
	}
	db_lookup_end(&lookup);
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

/* A column that is never null. */
static Datum
column(TupleTableSlot *slot, ExecutionColumn which)
{
	bool		isnull;

	return slot_getattr(slot, which + 1, &isnull);
}

/* Whether this transaction has written the row. */
static bool
row_is_ours(TupleTableSlot *slot)
{
	bool		isnull;

	return TransactionIdIsCurrentTransactionId(DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull)));
}

/* Sleeps until an execution of the group ended, at most until the deadline. */
static void
sleep_until(ConditionVariable *ended, TimestampTz deadline)
{
	long		timeout = TimestampDifferenceMilliseconds(clock_steady(), deadline);

	timeout = Min(Max(timeout, 1), LONGEST_SLEEP_MS);
	if (ended != NULL)
	{
		(void) ConditionVariableTimedSleep(ended, timeout, PG_WAIT_EXTENSION);
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(timeout, 1000), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
