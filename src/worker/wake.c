/*
 * wake.c
 *		Passing on, when a transaction ends, what it did that others wait for.
 *
 * The callbacks are registered once in a process and return at once when the
 * transaction did nothing of ours.  At the commit event the transaction is
 * visible to new snapshots already, so that whoever wakes finds what it wrote.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/ids.h"
#include "queue/cron_trigger.h"
#include "queue/event_wait.h"
#include "queue/message.h"
#include "queue/pull.h"
#include "worker/shmem.h"
#include "worker/wake.h"

/* Above this many messages in a transaction, engines look at the table instead. */
#define MAX_PENDING_HINTS 4096

/* What the current transaction owes; all zero when it owes nothing. */
static struct
{
	bool		armed;
	bool		too_many;		/* more messages than are remembered */
	bool		unlocks;		/* it locked a tree's root row */
	uint32		dispatched;		/* the executor has new work: LOOK_HTTP, LOOK_IO */
	BlockNumber dispatched_from;	/* HTTP: on this page or behind it */
	bool		dispatched_sql; /* SQL workers have */
	bool		planned;		/* a cron trigger has a new slot */
	bool		events;			/* an event was published, or somebody waits for one */
	TimestampTz lease_due;		/* the first lease given runs out then; 0: none was given */
	bool		probe;			/* the extension came, went, or was adopted */
	int			nhints;
	int			max_hints;
	MessageHint *hints;			/* in TopTransactionContext */
}			pending;

static void note_message(ItemPointer tid, const pg_uuid_t *id, const pg_uuid_t *root_id);
static void note_root_lock(const pg_uuid_t *root_id);
static void note_dispatch(const char *performer, BlockNumber from);
static void note_planned(void);
static void note_events(void);
static void note_lease(TimestampTz until);
static void arm(void);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg);
static bool is_engine(const DatabaseSlot *db);
static void tell(bool committed);
static void tell_engines(DatabaseSlot *db, bool committed);

void
wake_install(void)
{
	message_put_hook = note_message;
	root_locked_hook = note_root_lock;
	work_dispatched_hook = note_dispatch;
	cron_planned_hook = note_planned;
	lease_given_hook = note_lease;
	events_changed_hook = note_events;
}

void
wake_launcher_at_commit(void)
{
	if (shared == NULL)
		return;
	arm();
	pending.probe = true;
}

void
wake_waiting(uint64 groups)
{
	DatabaseSlot *db;

	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	LWLockRelease(registry_lock());
	for (int group = 0; db != NULL && group < ENDED_GROUPS; group++)
		if (groups & (UINT64CONST(1) << group))
			ConditionVariableBroadcast(&db->ended[group]);
}

void
wake_everything(void)
{
	DatabaseSlot *db;
	int			place;

	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	for (place = 0; db != NULL && place < WORKER_PLACES; place++)
	{
		pg_atomic_write_u32(&db->workers[place].look, LOOK_ALL);
		shmem_wake(&db->workers[place]);
	}
	LWLockRelease(registry_lock());
}

/* message_put_hook */
static void
note_message(ItemPointer tid, const pg_uuid_t *id, const pg_uuid_t *root_id)
{
	MessageHint *hint;

	arm();
	if (pending.too_many)
		return;
	if (pending.nhints == pending.max_hints)
	{
		int			max_hints = pending.max_hints == 0 ? 16 : pending.max_hints * 2;

		if (max_hints > MAX_PENDING_HINTS)
		{
			pending.too_many = true;
			return;
		}
		if (pending.hints == NULL)
			pending.hints = MemoryContextAlloc(TopTransactionContext, max_hints * sizeof(MessageHint));
		else
			pending.hints = repalloc(pending.hints, max_hints * sizeof(MessageHint));
		pending.max_hints = max_hints;
	}
	hint = &pending.hints[pending.nhints++];
	hint->tid = *tid;
	hint->id = *id;
	hint->root_id = *root_id;
}

/* root_locked_hook */
static void
note_root_lock(const pg_uuid_t *root_id)
{
	arm();
	pending.unlocks = true;
}

/* work_dispatched_hook */
static void
note_dispatch(const char *performer, BlockNumber from)
{
	arm();
	if (strcmp(performer, "sql") == 0)
		pending.dispatched_sql = true;
	else if (strcmp(performer, "io") == 0)
		pending.dispatched |= LOOK_IO;
	else
	{
		pending.dispatched_from = (pending.dispatched & LOOK_HTTP) ? Min(pending.dispatched_from, from) : from;
		pending.dispatched |= LOOK_HTTP;
	}
}

/* cron_planned_hook */
static void
note_planned(void)
{
	arm();
	pending.planned = true;
}

/* events_changed_hook */
static void
note_events(void)
{
	arm();
	pending.events = true;
}

/* lease_given_hook */
static void
note_lease(TimestampTz until)
{
	arm();
	pending.lease_due = pending.lease_due == 0 ? until : Min(until, pending.lease_due);
}

static void
arm(void)
{
	static bool registered = false;

	if (pending.armed)
		return;
	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	memset(&pending, 0, sizeof(pending));
	pending.armed = true;
}

/* Runs after the transaction's fate is sealed: must not raise anything. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (!pending.armed)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			tell(true);
			break;
		case XACT_EVENT_ABORT:
			tell(false);
			break;
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	/* The hints themselves go with TopTransactionContext. */
	memset(&pending, 0, sizeof(pending));
}

/* A tree that a subtransaction locked is free when that is rolled back. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	DatabaseSlot *db;

	if (event != SUBXACT_EVENT_ABORT_SUB || !pending.armed || !pending.unlocks)
		return;
	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	if (db != NULL)
		tell_engines(db, false);
	LWLockRelease(registry_lock());
}

static void
tell(bool committed)
{
	DatabaseSlot *db;
	bool		engine = false;

	if (committed && pending.probe)
		shmem_request_probe(MyDatabaseId);
	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	if (db != NULL)
	{
		engine = is_engine(db);
		if (pending.unlocks || (committed && (pending.nhints > 0 || pending.too_many)))
			tell_engines(db, committed);
		if (committed && pending.planned && db->workers[0].proc != MyProc)
		{
			/* Any engine will do. */
			pg_atomic_write_u32(&db->workers[0].schedules, 1);
			shmem_wake(&db->workers[0]);
		}
		if (committed && pending.events)
		{
			pg_atomic_write_u32(&db->workers[0].events, 1);
			shmem_wake(&db->workers[0]);
		}
		if (committed && pending.dispatched)
		{
			if (pending.dispatched & LOOK_HTTP)
				shmem_look_from(&db->workers[EXECUTOR_PLACE], pending.dispatched_from);
			pg_atomic_fetch_or_u32(&db->workers[EXECUTOR_PLACE].look, pending.dispatched);
			shmem_wake(&db->workers[EXECUTOR_PLACE]);
		}
		if (committed && pending.lease_due != 0 && shmem_lease_due(&db->workers[0], pending.lease_due))
			shmem_wake(&db->workers[0]);
	}
	LWLockRelease(registry_lock());
	if (db != NULL && committed && pending.dispatched_sql)
		shmem_ask_sql_worker(db, 1);
	/* A session may have ended executions itself (stop_workflow); of its own an engine knows which. */
	if (db != NULL && committed && pending.unlocks && !engine)
		wake_waiting(PG_UINT64_MAX);
}

/* Whether this process is one of the database's engines.  The registry lock is held. */
static bool
is_engine(const DatabaseSlot *db)
{
	for (int number = 0; number < MAX_ENGINES; number++)
		if (db->workers[number].proc == MyProc)
			return true;
	return false;
}

/* Gives each engine the hints of its trees.  The registry lock is held. */
static void
tell_engines(DatabaseSlot *db, bool committed)
{
	int			engines = Max(db->engines, 1);
	int			number;
	int			i;

	for (number = 0; number < engines; number++)
	{
		WorkerSlot *engine = &db->workers[number];
		bool		wake = false;

		if (engine->proc == NULL)
			continue;			/* it looks at the table when it starts */
		if (pending.unlocks && engine->proc != MyProc)
		{
			/* Which trees is not worth remembering: engines know what they skipped. */
			pg_atomic_fetch_add_u32(&engine->unlocked, 1);
			wake = pg_atomic_read_u32(&engine->skipping) != 0;
		}
		if (committed && pending.too_many)
		{
			pg_atomic_fetch_or_u32(&engine->look, LOOK_ALL);
			wake = true;
		}
		else if (committed && engines == 1 && pending.nhints > 0)
		{
			ring_push(engine, pending.hints, pending.nhints);
			wake = true;
		}
		else if (committed)
		{
			for (i = 0; i < pending.nhints; i++)
			{
				if (id_share(&pending.hints[i].root_id, engines) != number)
					continue;
				ring_push(engine, &pending.hints[i], 1);
				wake = true;
			}
		}
		if (wake)
			shmem_wake(engine);
	}
}
