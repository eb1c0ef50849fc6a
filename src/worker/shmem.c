/*
 * shmem.c
 *		What the launcher, the workers and the sessions share.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/clock.h"
#include "compat.h"
#include "errcodes.h"
#include "guc.h"
#include "worker/shmem.h"

#define TRANCHE_NAME "mistral"

/* Crashes further apart than this have nothing to do with each other. */
#define CRASH_WINDOW_MS 60000
/* After many, workers wait up to five minutes before they start. */
#define LONG_CRASH_WINDOW_MS 600000

SharedState *shared = NULL;

static shmem_startup_hook_type previous_startup_hook = NULL;
#ifdef HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type previous_request_hook = NULL;
#endif

static void request_memory(void);
static void set_up_memory(void);
static int	count_crashes(void);
static void initialize_state(SharedState *state);
static bool is_unserved(void);

void
shmem_install(void)
{
#ifdef HAVE_SHMEM_REQUEST_HOOK
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
#else
	request_memory();
#endif
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}

static void
request_memory(void)
{
#ifdef HAVE_SHMEM_REQUEST_HOOK
	if (previous_request_hook)
		previous_request_hook();
#endif
	RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
	RequestNamedLWLockTranche(TRANCHE_NAME, 1 + RING_COUNT);
}

static void
set_up_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("mistral", sizeof(SharedState), &found);
	if (!found)
		initialize_state(shared);
	LWLockRelease(AddinShmemInitLock);
}

/*
 * How often in a row the server crashed soon after this memory was set up.  The
 * memory is set up anew after a crash, but the postmaster, which does it, goes
 * on: what it remembers keeps a crash of ours from becoming an endless one.
 */
static int
count_crashes(void)
{
	static TimestampTz set_up_at = 0;
	static int	crashes = 0;
	TimestampTz now = clock_steady();
	int			window = crashes < PATIENT_CRASHES ? CRASH_WINDOW_MS : LONG_CRASH_WINDOW_MS;

	if (set_up_at != 0)
		crashes = TimestampDifferenceExceeds(set_up_at, now, window) ? 1 : crashes + 1;
	set_up_at = now;
	return crashes;
}

static void
initialize_state(SharedState *state)
{
	int			i;
	int			place;

	/* The rings' entries are left untouched: pages that nobody uses cost nothing. */
	memset(state, 0, offsetof(SharedState, rings));
	state->locks = GetNamedLWLockTranche(TRANCHE_NAME);
	state->crashes = count_crashes();
	for (i = 0; i < RING_COUNT; i++)
	{
		state->ring_users[i] = -1;
		state->rings[i].head = 0;
		state->rings[i].tail = 0;
	}
	for (i = 0; i < MAX_DATABASES; i++)
	{
		DatabaseSlot *db = &state->databases[i];

		for (int group = 0; group < ENDED_GROUPS; group++)
			ConditionVariableInit(&db->ended[group]);
		pg_atomic_init_u32(&db->sql_demand, 0);
		for (place = 0; place < WORKER_PLACES; place++)
		{
			WorkerSlot *worker = &db->workers[place];

			worker->ring = -1;
			pg_atomic_init_u32(&worker->look, 0);
			pg_atomic_init_u32(&worker->look_from, InvalidBlockNumber);
			pg_atomic_init_u32(&worker->recheck, 0);
			pg_atomic_init_u32(&worker->unlocked, 0);
			pg_atomic_init_u32(&worker->skipping, 0);
			pg_atomic_init_u32(&worker->schedules, 0);
			pg_atomic_init_u32(&worker->events, 0);
			pg_atomic_init_u64(&worker->lease_due, 0);
			pg_atomic_init_u64(&worker->steps, 0);
			pg_atomic_init_u64(&worker->executions, 0);
			pg_atomic_init_u64(&worker->messages, 0);
		}
	}
}

DatabaseSlot *
shmem_find_database(Oid database)
{
	static int	remembered = 0;
	int			i;

	/* A process mostly asks for one database. */
	if (shared->databases[remembered].database == database)
		return &shared->databases[remembered];
	for (i = 0; i < MAX_DATABASES; i++)
	{
		if (shared->databases[i].database == database)
		{
			remembered = i;
			return &shared->databases[i];
		}
	}
	return NULL;
}

DatabaseSlot *
shmem_take_database(Oid database)
{
	DatabaseSlot *db = shmem_find_database(database);
	int			place;

	if (db != NULL)
		return db;
	db = shmem_find_database(InvalidOid);
	if (db == NULL)
		return NULL;
	db->database = database;
	db->engines = 1;
	db->extension = false;
	db->probe = false;
	db->stopped = false;
	for (place = 0; place < WORKER_PLACES; place++)
	{
		WorkerSlot *worker = &db->workers[place];

		Assert(worker->proc == NULL);
		worker->state = WORKER_NONE;
		worker->last_error_at = 0;
		worker->last_error[0] = '\0';
		pg_atomic_write_u64(&worker->steps, 0);
		pg_atomic_write_u64(&worker->executions, 0);
		pg_atomic_write_u64(&worker->messages, 0);
	}
	return db;
}

bool
shmem_is_held(Oid database)
{
	bool		held = false;
	int			i;

	for (i = 0; i < MAX_HOLDS; i++)
	{
		Hold	   *hold = &shared->holds[i];

		if (hold->database != database || !OidIsValid(database))
			continue;
		if (BackendPidGetProc(hold->pid) == NULL)
			hold->database = InvalidOid;
		else
			held = true;
	}
	return held;
}

void
shmem_send_away(DatabaseSlot *db)
{
	int			place;

	for (place = 0; place < WORKER_PLACES; place++)
	{
		WorkerSlot *worker = &db->workers[place];

		if (worker->proc == NULL && worker->state != WORKER_STARTING)
			continue;
		worker->leave = true;
		shmem_wake(worker);
	}
}

int
shmem_count_workers(const DatabaseSlot *db)
{
	int			count = 0;
	int			place;

	for (place = 0; place < WORKER_PLACES; place++)
		if (db->workers[place].proc != NULL)
			count++;
	return count;
}

void
shmem_wake(WorkerSlot *worker)
{
	if (worker->proc != NULL)
		SetLatch(&worker->proc->procLatch);
}

void
shmem_wake_launcher(void)
{
	if (shared->launcher != NULL)
		SetLatch(&shared->launcher->procLatch);
}

void
shmem_request_probe(Oid database)
{
	DatabaseSlot *db;
	int			place;

	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	db = shmem_find_database(database);
	if (db == NULL)
		shared->probe_all = true;
	else
	{
		db->probe = true;
		for (place = 0; place < WORKER_PLACES; place++)
		{
			pg_atomic_write_u32(&db->workers[place].recheck, 1);
			shmem_wake(&db->workers[place]);
		}
	}
	shmem_wake_launcher();
	LWLockRelease(registry_lock());
}

void
shmem_ask_sql_worker(DatabaseSlot *db, uint32 wanted)
{
	int			there = 0;

	wanted = Min(wanted, (uint32) guc_sql_workers);
	LWLockAcquire(registry_lock(), LW_SHARED);
	for (int i = 0; i < MAX_SQL_WORKERS; i++)
	{
		WorkerSlot *worker = &db->workers[SQL_PLACE + i];

		if (worker->proc == NULL)
			continue;
		there++;
		pg_atomic_write_u32(&worker->look, LOOK_ALL);
		shmem_wake(worker);
	}
	if (pg_atomic_read_u32(&db->sql_demand) < wanted)
		pg_atomic_write_u32(&db->sql_demand, wanted);
	if (there < (int) wanted)
		shmem_wake_launcher();
	LWLockRelease(registry_lock());
}

bool
shmem_lease_due(WorkerSlot *engine, TimestampTz due)
{
	uint64		old = pg_atomic_read_u64(&engine->lease_due);

	while (due < (TimestampTz) old)
	{
		if (pg_atomic_compare_exchange_u64(&engine->lease_due, &old, (uint64) due))
			return true;
	}
	return false;
}

void
shmem_look_from(WorkerSlot *executor, BlockNumber from)
{
	uint32		old = pg_atomic_read_u32(&executor->look_from);

	while (from < old && !pg_atomic_compare_exchange_u32(&executor->look_from, &old, from))
		;
}

void
shmem_take_ring(DatabaseSlot *db, int place)
{
	WorkerSlot *worker = &db->workers[place];
	int			i;

	worker->ring = -1;
	for (i = 0; i < RING_COUNT; i++)
	{
		if (shared->ring_users[i] >= 0)
			continue;
		shared->ring_users[i] = (int) (db - shared->databases) * WORKER_PLACES + place;
		worker->ring = i;
		ring_clear(worker);
		return;
	}
}

void
shmem_release_ring(WorkerSlot *worker)
{
	if (worker->ring >= 0)
		shared->ring_users[worker->ring] = -1;
	worker->ring = -1;
}

void
ring_push(WorkerSlot *worker, const MessageHint *hints, int nhints)
{
	HintRing   *ring;
	int			i;

	if (worker->ring < 0)
	{
		pg_atomic_fetch_or_u32(&worker->look, LOOK_ALL);
		return;
	}
	ring = &shared->rings[worker->ring];
	LWLockAcquire(ring_lock(worker->ring), LW_EXCLUSIVE);
	for (i = 0; i < nhints; i++)
	{
		if (ring->tail - ring->head >= RING_SIZE)
		{
			pg_atomic_fetch_or_u32(&worker->look, LOOK_ALL);
			break;
		}
		ring->entries[ring->tail % RING_SIZE] = hints[i];
		ring->tail++;
	}
	LWLockRelease(ring_lock(worker->ring));
}

int
ring_pop(WorkerSlot *worker, MessageHint *hints, int max)
{
	HintRing   *ring;
	int			n = 0;

	if (worker->ring < 0 || max <= 0)
		return 0;
	ring = &shared->rings[worker->ring];
	LWLockAcquire(ring_lock(worker->ring), LW_EXCLUSIVE);
	while (n < max && ring->head != ring->tail)
	{
		hints[n++] = ring->entries[ring->head % RING_SIZE];
		ring->head++;
	}
	LWLockRelease(ring_lock(worker->ring));
	return n;
}

void
ring_clear(WorkerSlot *worker)
{
	HintRing   *ring;

	if (worker->ring < 0)
		return;
	ring = &shared->rings[worker->ring];
	LWLockAcquire(ring_lock(worker->ring), LW_EXCLUSIVE);
	ring->head = ring->tail;
	LWLockRelease(ring_lock(worker->ring));
}

int
ring_depth(const WorkerSlot *worker)
{
	int			depth;

	if (worker->ring < 0)
		return 0;
	LWLockAcquire(ring_lock(worker->ring), LW_SHARED);
	depth = (int) (shared->rings[worker->ring].tail - shared->rings[worker->ring].head);
	LWLockRelease(ring_lock(worker->ring));
	return depth;
}

bool
workers_are_wanted(const char *database_name)
{
	List	   *names;
	ListCell   *cell;
	bool		wanted = false;

	if (!guc_enabled)
		return false;
	if (guc_databases == NULL || guc_databases[0] == '\0')
		return true;
	if (!SplitIdentifierString(pstrdup(guc_databases), ',', &names))
		return false;
	foreach(cell, names)
		wanted |= strcmp(lfirst(cell), database_name) == 0;
	list_free(names);
	return wanted;
}

/* Whether it is known that nothing will serve this database soon. */
static bool
is_unserved(void)
{
	char	   *name = get_database_name(MyDatabaseId);
	DatabaseSlot *db;
	bool		unserved = false;

	if (name == NULL || !workers_are_wanted(name))
		return true;
	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(MyDatabaseId);
	if (db != NULL)
	{
		WorkerSlot *engine = &db->workers[0];

		/* A worker that is yet to start, or to find the extension, is no reason to warn. */
		unserved = db->stopped ||
			engine->state == WORKER_UNADOPTED ||
			engine->state == WORKER_BACKOFF ||
			(engine->state == WORKER_GONE && engine->ending == ENDING_FAILED);
	}
	LWLockRelease(registry_lock());
	return unserved;
}

void
workers_check_running(void)
{
	static bool warned = false;

	if (warned)
		return;
	if (shared == NULL)
	{
		warned = true;
		ereport(WARNING,
				(errcode(ERRCODE_MISTRAL_NO_WORKERS),
				 errmsg("no mistral workers run on this server"),
				 errdetail("What was asked for is recorded, and advances once workers run."),
				 errhint("Add mistral to shared_preload_libraries and restart the server.")));
	}
	else if (is_unserved())
	{
		warned = true;
		ereport(WARNING,
				(errcode(ERRCODE_MISTRAL_NO_WORKERS),
				 errmsg("no mistral worker serves this database now"),
				 errdetail("What was asked for is recorded, and advances once a worker runs."),
				 errhint("See the view mistral.workers, the settings mistral.enabled and mistral.databases, and the server's log.")));
	}
}
