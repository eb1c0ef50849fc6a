/*
 * http_executor.h
 *		The executor: HTTP actions in flight, from mistral.dispatch to a message.
 *
 * The doors for the process that runs it (a background worker).  The order of
 * one round:
 *
 *		transaction:	n = executor_claim(max)
 *		committed:		executor_submit()		(aborted: executor_forget_claimed())
 *		no transaction:	wait on executor_poll_fd(); n = executor_drive()
 *		transaction:	executor_record(max)
 *		afterwards:		executor_recorded(committed)
 *
 * No transaction is ever open while bytes travel.  Everything between a claim
 * and a record is kept in malloc'd memory, because libcurl's callbacks must not
 * raise errors.  State is of this process only: one executor in a process.
 *
 * Not executor.h: "executor/executor.h" is a header of PostgreSQL's own, which
 * funcapi.h includes, and src/ comes first in the search path.
 */
#ifndef MISTRAL_HTTP_EXECUTOR_H
#define MISTRAL_HTTP_EXECUTOR_H

#include "postgres.h"

/*
 * Once per process, outside a transaction, never in the postmaster: libcurl's
 * global state, the multi handle, the epoll descriptor and its timer.  Raises
 * when one of them cannot be made.
 */
extern void executor_start(void);

/*
 * In a transaction, once after executor_start and before the first claim:
 * settles what a dead predecessor left.  An attempt with safe-rerun goes back
 * to dispatch with the next number; any other ends its action in ERROR, for
 * nobody knows whether the request took effect.  Returns how many there were.
 */
extern int	executor_recover(void);

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
 * room now, or had to rest.  True once; the descriptor is readable then.
 */
extern bool executor_relieved(void);

/*
 * One descriptor that becomes readable when libcurl wants to work: all of its
 * sockets and its timer.  Valid from executor_start to executor_shutdown.
 */
extern int	executor_poll_fd(void);

/*
 * Outside any transaction: lets libcurl work, without waiting.  Returns how
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
