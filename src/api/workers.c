/*
 * workers.c
 *		SQL functions about the processes that do the work: which there are,
 *		stop, restart, adopt.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/wait_event.h"

#include "api/args.h"
#include "base/clock.h"
#include "base/db.h"
#include "errcodes.h"
#include "guc.h"
#include "queue/retention.h"
#include "worker/instance.h"
#include "worker/shmem.h"
#include "worker/wake.h"

#define WORKER_COLUMNS	11
#define STOP_WAIT_MS	10000

SQL_FUNCTION(mistral_worker_status);
SQL_FUNCTION(mistral_stop_worker);
SQL_FUNCTION(mistral_restart_worker);
SQL_FUNCTION(mistral_adopt);
SQL_FUNCTION(mistral_run_retention);
SQL_FUNCTION(mistral_instance_matches);

/* By WorkerKind. */
static const char *const kind_names[] = {"engine", "executor", "sql worker"};

static bool rules_workers(void);
static void require_rule(const char *action);
static DatabaseSlot *require_slot(void);
static void put_database(Tuplestorestate *store, TupleDesc desc, const DatabaseSlot *db, bool see_all);
static void put_worker(Tuplestorestate *store, TupleDesc desc, const DatabaseSlot *db, int place,
					   const char *name, bool see_all);
static void put_launcher(Tuplestorestate *store, TupleDesc desc);
static const char *state_text(const DatabaseSlot *db, const WorkerSlot *worker);

/*
 * The workers of this server; those of other databases and the texts of errors
 * are for who may read all statistics, or rules the extension here.
 */
Datum
mistral_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		see_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) || rules_workers();
	MemoryContext previous;
	DatabaseSlot *copy;
	TupleDesc	desc;
	Tuplestorestate *store;
	int			i;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) || (rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	previous = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != WORKER_COLUMNS)
		elog(ERROR, "unexpected row type of mistral.worker_status");
	store = tuplestore_begin_heap(false, false, work_mem);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = store;
	rsinfo->setDesc = desc;
	MemoryContextSwitchTo(previous);
	if (shared == NULL)
		return (Datum) 0;

	put_launcher(store, desc);
	copy = palloc(sizeof(DatabaseSlot));
	for (i = 0; i < MAX_DATABASES; i++)
	{
		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(registry_lock(), LW_SHARED);
		memcpy(copy, &shared->databases[i], sizeof(DatabaseSlot));
		LWLockRelease(registry_lock());
		if (OidIsValid(copy->database) && (see_all || copy->database == MyDatabaseId))
			put_database(store, desc, copy, see_all);
	}
	return (Datum) 0;
}

/* Sends this database's workers away until restart_worker() or a restart of the server. */
Datum
mistral_stop_worker(PG_FUNCTION_ARGS)
{
	TimestampTz start = clock_steady();
	DatabaseSlot *db;
	int			workers;

	require_rule("stop");
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	db = require_slot();
	db->stopped = true;
	shmem_send_away(db);
	LWLockRelease(registry_lock());
	for (;;)
	{
		LWLockAcquire(registry_lock(), LW_SHARED);
		workers = shmem_count_workers(db);
		LWLockRelease(registry_lock());
		if (workers == 0)
			break;
		if (TimestampDifferenceExceeds(start, clock_steady(), STOP_WAIT_MS))
		{
			ereport(WARNING,
					(errmsg("mistral workers of this database are still busy"),
					 errdetail("They leave after what they are doing now.")));
			break;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_VOID();
}

/* Starts this database's workers anew, without waiting out a backoff. */
Datum
mistral_restart_worker(PG_FUNCTION_ARGS)
{
	DatabaseSlot *db;

	require_rule("restart");
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	db = require_slot();
	db->stopped = false;
	db->probe = true;
	shmem_send_away(db);
	shmem_wake_launcher();
	LWLockRelease(registry_lock());
	PG_RETURN_VOID();
}

/* Makes the state in this database its own: workers carry on with it. */
Datum
mistral_adopt(PG_FUNCTION_ARGS)
{
	if (!rules_workers())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to adopt the workflows of this database"),
				 errdetail("Only the owner of the extension and superusers may do so.")));
	instance_adopt();
	wake_launcher_at_commit();
	PG_RETURN_VOID();
}

Datum
mistral_instance_matches(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(instance_matches());
}

static bool
rules_workers(void)
{
	return has_privs_of_role(GetUserId(), db_extension_owner());
}

/* Raises unless the caller may steer workers, and there can be some. */
static void
require_rule(const char *action)
{
	if (!rules_workers())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s the workers of this database", action),
				 errdetail("Only the owner of the extension and superusers may do so.")));
	if (shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_NO_WORKERS),
				 errmsg("no mistral workers run on this server"),
				 errhint("Add mistral to shared_preload_libraries and restart the server.")));
}

/* The slot of this database.  The registry lock is held. */
static DatabaseSlot *
require_slot(void)
{
	DatabaseSlot *db = shmem_find_database(MyDatabaseId);

	if (db == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_NO_WORKERS),
				 errmsg("no mistral worker serves this database"),
				 errhint("See the settings mistral.enabled and mistral.databases.")));
	return db;
}

static void
put_database(Tuplestorestate *store, TupleDesc desc, const DatabaseSlot *db, bool see_all)
{
	char	   *name = get_database_name(db->database);
	int			place;

	if (name == NULL)
		return;
	for (place = 0; place < WORKER_PLACES; place++)
		if (state_text(db, &db->workers[place]) != NULL)
			put_worker(store, desc, db, place, name, see_all);
}

/* The name that a state has in mistral.workers; NULL: not shown. */
static const char *
state_text(const DatabaseSlot *db, const WorkerSlot *worker)
{
	switch (worker->state)
	{
		case WORKER_NONE:
			return NULL;
		case WORKER_STARTING:
			return "starting";
		case WORKER_RUNNING:
			return "running";
		case WORKER_IDLE:
			return "idle";
		case WORKER_BACKOFF:
			return "backoff";
		case WORKER_UNADOPTED:
			return "unadopted";
		case WORKER_GONE:
			break;
	}
	if (db->stopped)
		return "stopped";
	if (worker->ending == ENDING_FAILED)
		return "failed";
	return NULL;
}

static void
put_worker(Tuplestorestate *store, TupleDesc desc, const DatabaseSlot *db, int place,
		   const char *name, bool see_all)
{
	const WorkerSlot *worker = &db->workers[place];
	uint64		executions = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &worker->executions));
	uint64		messages = pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &worker->messages));
	Datum		values[WORKER_COLUMNS];
	bool		nulls[WORKER_COLUMNS];

	memset(nulls, false, sizeof(nulls));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(kind_names[worker_kind(place)]);
	values[2] = Int32GetDatum(worker->pid);
	nulls[2] = worker->pid == 0;
	values[3] = CStringGetTextDatum(state_text(db, worker));
	values[4] = TimestampTzGetDatum(worker->started_at);
	nulls[4] = worker->started_at == 0;
	values[5] = TimestampTzGetDatum(worker->last_loop);
	nulls[5] = worker->last_loop == 0;
	nulls[6] = !see_all || worker->last_error[0] == '\0';
	values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(worker->last_error);
	values[7] = TimestampTzGetDatum(worker->last_error_at);
	nulls[7] = worker->last_error_at == 0;
	values[8] = Int32GetDatum(ring_depth(worker));
	nulls[8] = worker_kind(place) != WORKER_ENGINE;
	values[9] = Int64GetDatum((int64) executions);
	values[10] = Int64GetDatum((int64) messages);
	tuplestore_putvalues(store, desc, values, nulls);
}

static void
put_launcher(Tuplestorestate *store, TupleDesc desc)
{
	Datum		values[WORKER_COLUMNS];
	bool		nulls[WORKER_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	LWLockAcquire(registry_lock(), LW_SHARED);
	if (shared->launcher != NULL)
	{
		values[2] = Int32GetDatum(shared->launcher_pid);
		values[4] = TimestampTzGetDatum(shared->launcher_started_at);
		values[5] = TimestampTzGetDatum(shared->launcher_last_loop);
		nulls[2] = nulls[4] = nulls[5] = false;
	}
	LWLockRelease(registry_lock());
	if (nulls[2])
		return;
	values[1] = CStringGetTextDatum("launcher");
	values[3] = CStringGetTextDatum("running");
	nulls[1] = nulls[3] = false;
	tuplestore_putvalues(store, desc, values, nulls);
}

/* run_retention() returns int */
Datum
mistral_run_retention(PG_FUNCTION_ARGS)
{
	RetentionPass pass = {0};
	int			total = 0;
	DbSession	session;

	PreventCommandIfReadOnly("mistral.run_retention()");
	if (!retention_wanted())
		PG_RETURN_INT32(0);
	/* A limit on their number needs to know it: a pass counts them, the next deletes. */
	for (int i = guc_retention_max_executions > 0 ? 0 : 1; i < 2; i++)
	{
		bool		over = false;

		while (!over)
		{
			RetentionBatch batch;

			CHECK_FOR_INTERRUPTS();
			db_enter(&session);
			over = retention_run(&pass, RETENTION_MAX_BATCH, &batch);
			db_leave(&session);
			total += batch.ndeleted;
		}
	}
	PG_RETURN_INT32(total);
}
