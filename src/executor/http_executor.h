/*
 * http_executor.h
 *		The executor: HTTP actions in flight, from mistral.dispatch to a message.
 *
 * The doors for the process that runs it (a background worker).  The order of
 * one round:
 *
 *		transaction:	n = executor_claim(max)
 *		committed:		executor_submit()		(aborted: executor_forget_claimed())
 *		no transaction:	wait on executor_poll_fd() and until executor_next(); n = executor_drive()
 *		transaction:	executor_record(max)
 *		afterwards:		executor_recorded(committed)
 *
 * No transaction is ever open while bytes travel.  libcurl is in a program of its
 * own (http_pool.h), so that neither it nor what it uses can take the server with
 * it.  State is of this process only: one executor in a process.
 *
 * Not executor.h: "executor/executor.h" is a header of PostgreSQL's own, which
 * funcapi.h includes, and src/ comes first in the search path.
 */
#ifndef MISTRAL_HTTP_EXECUTOR_H
#define MISTRAL_HTTP_EXECUTOR_H

#include "postgres.h"

#include "storage/block.h"
#include "utils/timestamp.h"

/* Once per process, outside a transaction, never in the postmaster.  Raises when it cannot. */
extern void executor_start(void);

/*
 * In a transaction, once after executor_start and before the first claim:
 * settles what a dead predecessor left.  An attempt with safe-rerun goes back
 * to dispatch with the next number; any other ends its action in ERROR, for
 * nobody knows whether the request took effect.  Returns how many there were.
 */
extern int	executor_recover(void);

/*
 * Something has been put into dispatch, on this page or behind it; 0: it may be
 * anywhere.  At first it may be.
 */
extern void executor_look(BlockNumber from);

/*
 * In a transaction: moves at most `max` waiting actions from dispatch to
 * attempt, skipping locked ones and never beyond the room that
 * mistral.http_max_connections leaves.  Returns how many were taken from dispatch (also those
 * refused at once, because their owner may not use the action: their messages
 * are put here).  0 means that there is nothing to claim now.
 */
extern int	executor_claim(int max);

/* Outside any transaction, after the claiming one committed: starts the requests. */
extern void executor_submit(void);

/* After the claiming transaction aborted. */
extern void executor_forget_claimed(void);

/* How many more requests executor_claim would take now. */
extern int	executor_room(void);

/*
 * Whether it is worth claiming again although the last claim found nothing: it
 * had left out actions for a host with too many requests waiting, which has
 * room now, or had to rest.  True once.
 */
extern bool executor_relieved(void);

/* A descriptor that becomes readable when executor_drive has something to do.  Valid from executor_start to executor_shutdown. */
extern int	executor_poll_fd(void);

/* When executor_drive is to be called at the latest; 0: when the descriptor is readable. */
extern TimestampTz executor_next(void);

/*
 * Outside any transaction: does what can be done without waiting.  Returns how
 * many finished requests wait to be recorded.
 */
extern int	executor_drive(void);

/*
 * In a transaction: for at most `max` finished requests, puts the result as a
 * message and deletes the attempt.  One whose attempt is gone (cancelled,
 * deleted) is dropped.  Returns how many were taken.
 */
extern int	executor_record(int max);

/* After executor_record's transaction ended; without a commit they are recorded again. */
extern void executor_recorded(bool committed);

/*
 * Requests claimed and not yet recorded.  0: the process may leave without
 * losing anything.
 */
extern int	executor_in_flight(void);

/*
 * Drops every request under way and frees what executor_start made.  Attempts
 * stay in the table: the successor's executor_recover settles them.
 */
extern void executor_shutdown(void);

#endif							/* MISTRAL_HTTP_EXECUTOR_H */
