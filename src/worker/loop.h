/*
 * loop.h
 *		What every worker does: attach, connect, transactions, waiting, leaving.
 *
 * Nobody else starts a transaction in a worker, and nobody else waits.
 */
#ifndef MISTRAL_LOOP_H
#define MISTRAL_LOOP_H

#include "postgres.h"

#include "compat.h"
#include "worker/shmem.h"

/* What the launcher tells a worker it starts (in bgw_extra). */
typedef struct WorkerOrder
{
	Oid			database;
	int			database_index;
	int			place;
	uint32		generation;
} WorkerOrder;

typedef enum RunResult
{
	RUN_COMMITTED,
	RUN_NO_EXTENSION,			/* the extension has gone: nothing was run */
	RUN_FAILED					/* rolled back; worker_error says why */
} RunResult;

/* The last error that worker_run caught. */
typedef struct WorkerError
{
	int			sqlerrcode;
	char		message[ERROR_TEXT_SIZE];
} WorkerError;

extern DatabaseSlot *my_database;
extern WorkerSlot *my_worker;
extern WorkerError worker_error;

/* Current outside transactions and in worker_run's bodies; worker_run empties it first. */
extern MemoryContext worker_context;

/*
 * The beginning of every worker's main function: takes the place in shared
 * memory that the order names, sets signal handlers, connects and pins the
 * settings that would steer it.  Does not return when the order is out of date.
 */
extern void worker_start(const WorkerOrder *order, const char *kind);

/*
 * Runs `body` in a transaction of its own with a snapshot set, under a lock that
 * keeps DROP EXTENSION out, and commits.  An error is caught, rolled back, logged
 * (the same one at most once a minute) and kept in worker_error and in the
 * worker's slot.  `body` runs in worker_context.
 */
extern RunResult worker_run(void (*body) (void *arg), void *arg);

/* The same, with what the last one has left in worker_context. */
extern RunResult worker_run_next(void (*body) (void *arg), void *arg);

/*
 * In such a body: nothing in this transaction has to be on disk when it commits, because what a crash
 * takes back is done again.
 */
extern void worker_need_not_flush(void);

/*
 * Whether the last error says nothing about what was being worked on: a
 * cancelled statement, a lack of resources, a lost race, a damaged disk.
 */
extern bool worker_error_is_general(void);

/*
 * The only place that waits: until the latch is set, `fd` (or -1) is readable or
 * `timeout` milliseconds (-1: no limit) have passed.  Also reloads settings and
 * handles interrupts; does not return when the process is told to end.
 */
extern void worker_wait(WorkerState state, long timeout, int fd);

/* Handles interrupts between transactions: ends quietly when told to, ignores requests to cancel. */
extern void worker_interrupts(void);

/* Whether it is time to go: asked to, switched off, or replaced. */
extern bool worker_must_leave(void);

/* Ends the process in good order. */
extern void worker_leave(WorkerEnding ending) pg_attribute_noreturn();

/* True once after CREATE, DROP EXTENSION or adopt() in this database. */
extern bool worker_take_recheck(void);

/*
 * Waits until this database's state belongs to it (see instance.h), leaving
 * when asked to or when the extension goes.  Does nothing when it does already.
 */
extern void worker_wait_adoption(void);

#endif							/* MISTRAL_LOOP_H */
