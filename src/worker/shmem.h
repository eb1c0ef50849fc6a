/*
 * shmem.h
 *		What the launcher, the workers and the sessions share.
 *
 * Per database a slot: who works there, how it fares, and how to wake it.
 * Sessions leave hints (where a new message lies) in an engine's ring; the
 * table is the truth, and a ring that is full or missing only makes the engine
 * look at the table.
 *
 * Locks: registry_lock() protects the directory (which slot is whose, pids,
 * processes, requests, error texts); one lock for each ring protects its
 * entries.  The registry's is taken first.  Counters and times are written by
 * their worker alone, without a lock.
 */
#ifndef MISTRAL_SHMEM_H
#define MISTRAL_SHMEM_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/block.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "engine/engine.h"
#include "guc.h"

#define MAX_DATABASES	64		/* databases with workers in one server */
#define MAX_ENGINES		16		/* upper bound of mistral.engine_workers */
#define MAX_HOLDS		16		/* commands at a time that need a database empty */
#define RING_COUNT		16		/* engines with a ring; others look at the table */
#define RING_SIZE		16384	/* hints in a ring */
#define ERROR_TEXT_SIZE 256
#define PATIENT_CRASHES 20		/* of the server in a row, before workers wait with their start */

typedef enum WorkerKind
{
	WORKER_ENGINE,
	WORKER_EXECUTOR,
	WORKER_SQL
} WorkerKind;

/* What an executor is to look for. */
#define LOOK_HTTP		1
#define LOOK_IO			2
#define LOOK_WHOLE		4		/* and from the table's first page, whatever `look_from` says */
#define LOOK_OTHERS		8		/* engines: and at what falls to others, of whom one has gone */
#define LOOK_ALL		(LOOK_HTTP | LOOK_IO | LOOK_WHOLE)

/* An executor has the place after the engines', SQL workers have those after it. */
#define EXECUTOR_PLACE	MAX_ENGINES
#define SQL_PLACE		(MAX_ENGINES + 1)
#define WORKER_PLACES	(SQL_PLACE + MAX_SQL_WORKERS)

static inline WorkerKind
worker_kind(int place)
{
	return place < EXECUTOR_PLACE ? WORKER_ENGINE : place == EXECUTOR_PLACE ? WORKER_EXECUTOR : WORKER_SQL;
}

typedef enum WorkerState
{
	WORKER_NONE,				/* never started */
	WORKER_STARTING,			/* asked for; the process has not attached yet */
	WORKER_RUNNING,
	WORKER_IDLE,				/* sleeps until it is woken */
	WORKER_BACKOFF,				/* waits after an error */
	WORKER_UNADOPTED,			/* waits for mistral.adopt() */
	WORKER_GONE					/* the process has ended; see `ending` */
} WorkerState;

typedef enum WorkerEnding
{
	ENDING_FAILED,				/* an error, a signal: start again, later each time */
	ENDING_ASKED,				/* was sent away */
	ENDING_NO_EXTENSION			/* there is nothing to do in this database */
} WorkerEnding;

typedef struct WorkerSlot
{
	PGPROC	   *proc;			/* NULL: no process */
	int			pid;
	uint32		generation;		/* of the latest start; an older process leaves */
	WorkerState state;
	WorkerEnding ending;
	bool		leave;			/* asked to go */
	int			ring;			/* index, or -1 */
	TimestampTz started_at;
	TimestampTz last_loop;
	TimestampTz last_error_at;
	char		last_error[ERROR_TEXT_SIZE];
	pg_atomic_uint32 look;		/* hints were lost: look at the tables; LOOK_ALL, or for an executor one of its two */
	pg_atomic_uint32 look_from; /* executor only: dispatch has something new for it on this page or behind it */
	pg_atomic_uint32 schedules; /* a cron trigger has been planned */
	pg_atomic_uint32 events;	/* first engine only: an event was published, or somebody waits for one */
	pg_atomic_uint32 recheck;	/* the extension may have gone, or been adopted */
	pg_atomic_uint32 unlocked;	/* counts transactions of others that let a tree go */
	pg_atomic_uint32 skipping;	/* it waits for such a transaction */
	pg_atomic_uint64 lease_due; /* first engine only: a TimestampTz, no lease runs out before */
	pg_atomic_uint64 steps;
	pg_atomic_uint64 executions;
	pg_atomic_uint64 messages;
} WorkerSlot;

typedef struct DatabaseSlot
{
	Oid			database;		/* InvalidOid: free */
	int			engines;		/* hints are spread over so many */
	bool		extension;		/* an engine has found the extension here */
	bool		probe;			/* look again: something changed */
	bool		stopped;		/* mistral.stop_worker() was called */
	ConditionVariable ended[ENDED_GROUPS];	/* an execution of the group ended */
	pg_atomic_uint32 sql_demand;	/* so many SQL workers are wanted */
	WorkerSlot	workers[WORKER_PLACES];
} DatabaseSlot;

typedef struct HintRing
{
	uint32		head;			/* next to read */
	uint32		tail;			/* next to write */
	MessageHint entries[RING_SIZE];
} HintRing;

typedef struct Hold
{
	Oid			database;		/* InvalidOid: free */
	int			pid;			/* the backend that needs the database empty */
} Hold;

typedef struct SharedState
{
	LWLockPadded *locks;		/* the registry's, then the rings' */
	PGPROC	   *launcher;
	int			launcher_pid;
	TimestampTz launcher_started_at;
	TimestampTz launcher_last_loop;
	bool		probe_all;		/* a database without a slot may have changed */
	int			crashes;		/* of the server, in a row, since it was started */
	Hold		holds[MAX_HOLDS];
	DatabaseSlot databases[MAX_DATABASES];
	int			ring_users[RING_COUNT]; /* database index * WORKER_PLACES + place, or -1 */
	HintRing	rings[RING_COUNT];
} SharedState;

/* NULL unless the library was preloaded. */
extern SharedState *shared;

/* From _PG_init while libraries are preloaded: asks for the memory and sets it up. */
extern void shmem_install(void);

static inline LWLock *
registry_lock(void)
{
	return &shared->locks[0].lock;
}

static inline LWLock *
ring_lock(int ring)
{
	return &shared->locks[1 + ring].lock;
}

/* The database's slot, or NULL.  The caller holds the registry lock. */
extern DatabaseSlot *shmem_find_database(Oid database);

/* Takes the slot of `database` or a free one; NULL when there is none.  Exclusive lock held. */
extern DatabaseSlot *shmem_take_database(Oid database);

/* Whether somebody needs the database empty now; forgets holders that have ended.  Exclusive lock held. */
extern bool shmem_is_held(Oid database);

/* Asks every worker of a database to go, and wakes it.  Exclusive lock held. */
extern void shmem_send_away(DatabaseSlot *db);

/* Number of processes that are attached to the slot.  The caller holds the registry lock. */
extern int	shmem_count_workers(const DatabaseSlot *db);

/* Wakes a worker, or the launcher; harmless when there is none.  The caller holds the registry lock. */
extern void shmem_wake(WorkerSlot *worker);
extern void shmem_wake_launcher(void);

/* Tells the launcher (and the workers that are there) that a database changed.  Takes the lock. */
extern void shmem_request_probe(Oid database);

/* There is work for at least so many SQL workers: wakes those there are, and the launcher where some are missing.  The caller holds no lock. */
extern void shmem_ask_sql_worker(DatabaseSlot *db, uint32 wanted);

/* Whoever looks after leases is to look at this time at the latest; tells whether that is sooner than before. */
extern bool shmem_lease_due(WorkerSlot *engine, TimestampTz due);

/* The executor is to read dispatch from this page on, when it looks next. */
extern void shmem_look_from(WorkerSlot *executor, BlockNumber from);

/* Gives a ring to a worker, empty, or none.  Exclusive lock held. */
extern void shmem_take_ring(DatabaseSlot *db, int place);
extern void shmem_release_ring(WorkerSlot *worker);

/* Puts hints; what does not fit sets `look`.  The caller holds the registry lock. */
extern void ring_push(WorkerSlot *worker, const MessageHint *hints, int nhints);

/* Takes at most `max` hints; returns how many.  Takes the ring's lock. */
extern int	ring_pop(WorkerSlot *worker, MessageHint *hints, int max);

/* Forgets every hint: before a look at the whole table. */
extern void ring_clear(WorkerSlot *worker);

/* Hints that wait.  Takes the ring's lock. */
extern int	ring_depth(const WorkerSlot *worker);

/* Whether mistral.enabled and mistral.databases let workers run in a database of this name. */
extern bool workers_are_wanted(const char *database_name);

/*
 * Once in a session: a warning with a hint when nothing serves this database,
 * so that a start does not wait in silence.
 */
extern void workers_check_running(void);

#endif							/* MISTRAL_SHMEM_H */
