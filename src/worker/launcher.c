/*
 * launcher.c
 *		The process that starts and restarts the workers of every database.
 *
 * It is connected to no database, reads pg_database every ten seconds, and
 * starts one engine in each database that may have the extension.  That engine
 * is the probe: it leaves when the extension is not there, and it is not sent
 * again before something has changed (CREATE EXTENSION says so at its commit)
 * or a time has passed that grows to five minutes.  Where it stays, the other
 * workers follow.  Who fails is started again after a second, two, four ... up
 * to five minutes.
 *
 * The truth about workers is in shared memory, so that a launcher that was
 * terminated finds them all.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "compat.h"
#include "guc.h"
#include "worker/launcher.h"
#include "worker/loop.h"
#include "worker/shmem.h"

#define SCAN_MS				10000	/* between two looks at pg_database */
#define FIRST_BACKOFF_MS	1000
#define FIRST_PROBE_MS		10000
#define LONGEST_BACKOFF_MS	300000
#define FOLLOWER_MS			200
#define STABLE_MS			60000	/* who ran so long starts anew with its backoff */

/* What the launcher knows of one place in a database slot, beyond shared memory. */
typedef struct Place
{
	BackgroundWorkerHandle *handle;
	TimestampTz retry_at;
	int			backoff;		/* ms */
	bool		settled;		/* its last ending has been dealt with */
} Place;

typedef struct KnownDatabase
{
	char		name[NAMEDATALEN];
	bool		exists;
	bool		wanted;
	Place		places[WORKER_PLACES];
} KnownDatabase;

typedef struct ScannedDatabase
{
	Oid			oid;
	char		name[NAMEDATALEN];
	bool		wanted;
} ScannedDatabase;

static KnownDatabase known[MAX_DATABASES];	/* parallel to shared->databases */
static TimestampTz next_action;
static TimestampTz start_not_before;
static bool warned_of_slots = false;
static bool warned_of_databases = false;

static int	crash_delay(void);
static void take_over(void);
static void give_up(int code, Datum arg);
static void scan_databases(void);
static List *read_databases(void);
static void manage_database(int index, TimestampTz now);
static bool is_needed(DatabaseSlot *db, int place, int engines);
static void manage_place(int index, int place, TimestampTz now);
static void settle(DatabaseSlot *db, WorkerSlot *worker, Place *info, TimestampTz now);
static void start_worker(int index, int place, TimestampTz now);
static void act_at(TimestampTz when);

void
launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "mistral", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "mistral_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "mistral launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "mistral launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

void
mistral_launcher_main(Datum arg)
{
	TimestampTz next_scan = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	MemoryContextSwitchTo(TopMemoryContext);
	take_over();
	start_not_before = TimestampTzPlusMilliseconds(clock_steady(), crash_delay());

	for (;;)
	{
		TimestampTz now = clock_steady();
		bool		changed;
		long		delay;
		int			i;

		LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
		changed = shared->probe_all;
		shared->probe_all = false;
		shared->launcher_last_loop = GetCurrentTimestamp();
		LWLockRelease(registry_lock());

		if (changed || now >= next_scan)
		{
			scan_databases();
			next_scan = TimestampTzPlusMilliseconds(now, SCAN_MS);
		}
		next_action = next_scan;
		for (i = 0; i < MAX_DATABASES; i++)
			manage_database(i, now);

		delay = TimestampDifferenceMilliseconds(clock_steady(), next_action);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Max(delay, 1), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		worker_interrupts();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			next_scan = 0;
		}
	}
}

/*
 * How long to wait with the first workers, in ms.  A crash may be anybody's; but
 * when many follow each other, workers may be the cause, and must leave the
 * server time to be repaired.
 */
static int
crash_delay(void)
{
	int			crashes = shared->crashes;

	if (crashes < PATIENT_CRASHES)
		return 0;
	ereport(WARNING,
			(errmsg("the server has crashed %d times in a row, mistral's workers start later", crashes),
			 errhint("If they are the cause, set mistral.enabled to off and reload.")));
	return Min(FIRST_BACKOFF_MS << Min(crashes - PATIENT_CRASHES, 16), LONGEST_BACKOFF_MS);
}

/* Becomes the launcher; starts that a predecessor asked for are void. */
static void
take_over(void)
{
	int			i;
	int			place;

	before_shmem_exit(give_up, (Datum) 0);
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	shared->launcher = MyProc;
	shared->launcher_pid = MyProcPid;
	shared->launcher_started_at = GetCurrentTimestamp();
	for (i = 0; i < MAX_DATABASES; i++)
	{
		for (place = 0; place < WORKER_PLACES; place++)
		{
			WorkerSlot *worker = &shared->databases[i].workers[place];

			if (worker->state != WORKER_STARTING)
				continue;
			worker->generation++;
			worker->state = WORKER_GONE;
			worker->ending = ENDING_ASKED;
		}
	}
	LWLockRelease(registry_lock());
}

/* before_shmem_exit callback */
static void
give_up(int code, Datum arg)
{
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	shared->launcher = NULL;
	shared->launcher_pid = 0;
	LWLockRelease(registry_lock());
}

/* Brings the slots up to date with pg_database and the settings. */
static void
scan_databases(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "mistral databases", ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(context);
	List	   *databases = read_databases();
	bool		full = false;
	ListCell   *cell;
	int			i;

	for (i = 0; i < MAX_DATABASES; i++)
		known[i].exists = known[i].wanted = false;

	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	foreach(cell, databases)
	{
		ScannedDatabase *scanned = lfirst(cell);
		DatabaseSlot *db = shmem_find_database(scanned->oid);
		KnownDatabase *info;

		if (db == NULL)
		{
			if (!scanned->wanted)
				continue;
			db = shmem_take_database(scanned->oid);
			if (db == NULL)
			{
				full = true;
				continue;
			}
			memset(&known[db - shared->databases], 0, sizeof(KnownDatabase));
		}
		info = &known[db - shared->databases];
		strlcpy(info->name, scanned->name, NAMEDATALEN);
		info->exists = true;
		info->wanted = scanned->wanted;
	}
	LWLockRelease(registry_lock());

	if (full && !warned_of_databases)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("mistral serves at most %d databases of a server", MAX_DATABASES),
				 errhint("Name those that need workers in mistral.databases.")));
	warned_of_databases = full;
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
}

/* All databases, as a list of ScannedDatabase in the current context. */
static List *
read_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *databases = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext transaction = MemoryContextSwitchTo(context);
		ScannedDatabase *database = palloc(sizeof(ScannedDatabase));

		CHECK_FOR_INTERRUPTS();
		database->oid = form->oid;
		strlcpy(database->name, NameStr(form->datname), NAMEDATALEN);

		/* A negative limit below -1 marks a database whose DROP was interrupted. */
		database->wanted = form->datallowconn && !form->datistemplate &&
			form->datconnlimit >= -1 && workers_are_wanted(database->name);
		databases = lappend(databases, database);
		MemoryContextSwitchTo(transaction);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return databases;
}

/* Starts and sends away, as one database needs it now. */
static void
manage_database(int index, TimestampTz now)
{
	DatabaseSlot *db = &shared->databases[index];
	KnownDatabase *info = &known[index];
	int			engines;
	int			place;

	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	if (!OidIsValid(db->database))
	{
		LWLockRelease(registry_lock());
		return;
	}
	if (!info->wanted)
	{
		shmem_send_away(db);
		for (place = 0; place < WORKER_PLACES; place++)
			if (db->workers[place].state == WORKER_STARTING)
				manage_place(index, place, now);
		if (!info->exists && shmem_count_workers(db) == 0)
			db->database = InvalidOid;
		LWLockRelease(registry_lock());
		return;
	}
	if (db->probe && db->workers[0].proc == NULL)
	{
		db->probe = false;
		for (place = 0; place < WORKER_PLACES; place++)
		{
			if (db->workers[place].state == WORKER_GONE)
				info->places[place].settled = true;
			info->places[place].retry_at = 0;
			info->places[place].backoff = 0;
		}
	}
	engines = db->extension ? guc_engine_workers : 1;
	db->engines = engines;
	for (place = 0; place < WORKER_PLACES; place++)
	{
		WorkerSlot *worker = &db->workers[place];

		if (is_needed(db, place, engines))
			manage_place(index, place, now);
		else if (worker->proc != NULL &&
				 (worker_kind(place) == WORKER_ENGINE || place >= SQL_PLACE + guc_sql_workers))
		{
			worker->leave = true;
			shmem_wake(worker);
		}
	}
	LWLockRelease(registry_lock());
}

/* Whether a worker is to be in that place now; SQL workers that are there stay until they have nothing to do. */
static bool
is_needed(DatabaseSlot *db, int place, int engines)
{
	switch (worker_kind(place))
	{
		case WORKER_ENGINE:
			return place < engines;
		case WORKER_EXECUTOR:
			return db->extension;
		case WORKER_SQL:
			return db->extension &&
				place - SQL_PLACE < Min((int) pg_atomic_read_u32(&db->sql_demand), guc_sql_workers);
	}
	return false;
}

/* The registry lock is held. */
static void
manage_place(int index, int place, TimestampTz now)
{
	DatabaseSlot *db = &shared->databases[index];
	WorkerSlot *worker = &db->workers[place];
	Place	   *info = &known[index].places[place];
	pid_t		pid;

	if (worker->proc != NULL)
	{
		if (info->backoff > 0 && TimestampDifferenceExceeds(worker->started_at, GetCurrentTimestamp(), STABLE_MS))
			info->backoff = 0;
		info->settled = false;
		return;
	}
	if (worker->state == WORKER_STARTING)
	{
		if (info->handle != NULL && GetBackgroundWorkerPid(info->handle, &pid) != BGWH_STOPPED)
			return;
		/* It ended before it could attach. */
		worker->generation++;
		worker->state = WORKER_GONE;
		worker->ending = ENDING_FAILED;
		info->settled = false;
	}
	if (worker->state == WORKER_GONE && !info->settled)
		settle(db, worker, info, now);
	if (!known[index].wanted || db->stopped || shmem_is_held(db->database))
		return;
	if (place > 0 && !db->extension)
		return;
	if (now < Max(info->retry_at, start_not_before))
		act_at(Max(info->retry_at, start_not_before));
	else
		start_worker(index, place, now);
}

/* Decides when a place is filled again after its worker has ended. */
static void
settle(DatabaseSlot *db, WorkerSlot *worker, Place *info, TimestampTz now)
{
	switch (worker->ending)
	{
		case ENDING_ASKED:
			info->backoff = 0;
			break;
		case ENDING_NO_EXTENSION:
			if (worker != &db->workers[0])
			{
				/* The first engine decides: it goes too, or has found a new extension. */
				info->backoff = FOLLOWER_MS;
				break;
			}
			db->extension = false;
			info->backoff = Min(Max(info->backoff * 2, FIRST_PROBE_MS), LONGEST_BACKOFF_MS);
			break;
		case ENDING_FAILED:
			info->backoff = Min(Max(info->backoff * 2, FIRST_BACKOFF_MS), LONGEST_BACKOFF_MS);
			break;
	}
	info->retry_at = TimestampTzPlusMilliseconds(now, info->backoff);
	info->settled = true;
	if (info->handle != NULL)
		pfree(info->handle);
	info->handle = NULL;
}

/* The registry lock is held. */
static void
start_worker(int index, int place, TimestampTz now)
{
	DatabaseSlot *db = &shared->databases[index];
	WorkerSlot *worker = &db->workers[place];
	Place	   *info = &known[index].places[place];
	BackgroundWorker order;
	WorkerOrder details;
	bool		registered;

	memset(&order, 0, sizeof(order));
	order.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	order.bgw_start_time = BgWorkerStart_RecoveryFinished;
	order.bgw_restart_time = BGW_NEVER_RESTART;
	order.bgw_notify_pid = MyProcPid;
	strlcpy(order.bgw_library_name, "mistral", sizeof(order.bgw_library_name));
	if (worker_kind(place) == WORKER_SQL)
	{
		strlcpy(order.bgw_function_name, "mistral_sql_main", sizeof(order.bgw_function_name));
		strlcpy(order.bgw_type, "mistral sql worker", BGW_MAXLEN);
		snprintf(order.bgw_name, BGW_MAXLEN, "mistral sql worker %d in %s", place - SQL_PLACE, known[index].name);
	}
	else if (worker_kind(place) == WORKER_EXECUTOR)
	{
		strlcpy(order.bgw_function_name, "mistral_executor_main", sizeof(order.bgw_function_name));
		strlcpy(order.bgw_type, "mistral executor", BGW_MAXLEN);
		snprintf(order.bgw_name, BGW_MAXLEN, "mistral executor in %s", known[index].name);
	}
	else
	{
		strlcpy(order.bgw_function_name, "mistral_engine_main", sizeof(order.bgw_function_name));
		strlcpy(order.bgw_type, "mistral engine", BGW_MAXLEN);
		snprintf(order.bgw_name, BGW_MAXLEN, "mistral engine %d in %s", place, known[index].name);
	}
	worker->generation++;
	details.database = db->database;
	details.database_index = index;
	details.place = place;
	details.generation = worker->generation;
	StaticAssertStmt(sizeof(WorkerOrder) <= BGW_EXTRALEN, "a worker's order must fit into bgw_extra");
	memcpy(order.bgw_extra, &details, sizeof(details));

	worker->leave = false;
	worker->state = WORKER_STARTING;
	if (info->handle != NULL)
		pfree(info->handle);
	info->handle = NULL;
	registered = RegisterDynamicBackgroundWorker(&order, &info->handle);
	if (registered)
	{
		info->settled = false;
		warned_of_slots = false;
		return;
	}
	worker->state = WORKER_NONE;
	info->retry_at = TimestampTzPlusMilliseconds(now, SCAN_MS);
	if (!warned_of_slots)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("mistral found no free slot for a background worker"),
				 errdetail("Database \"%s\" waits for its %s.", known[index].name, order.bgw_type),
				 errhint("Increase max_worker_processes; mistral needs one, and two for each database.")));
	warned_of_slots = true;
}

static void
act_at(TimestampTz when)
{
	if (when < next_action)
		next_action = when;
}
