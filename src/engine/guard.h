/*
 * guard.h
 *		Errors as data: the only place with PG_TRY.
 */
#ifndef MISTRAL_GUARD_H
#define MISTRAL_GUARD_H

#include "postgres.h"

/*
 * Calls fn(arg).  Returns NULL when it returned; when it raised an error of an
 * expression (class MS, 010 to 012), its message in the caller's memory
 * context, and its code in *sqlstate (may be NULL).  fn must not have touched anything transactional before such an
 * error; every other error is raised again.
 */
extern char *guard_expression(void (*fn) (void *arg), void *arg, int *sqlstate);

/*
 * Calls fn(arg) in a subtransaction.  Returns NULL when it committed; else its
 * error's message, in the caller's memory context.  Errors that say nothing
 * about the work itself are raised again: cancel and shutdown (class 57),
 * rollback (40), resources (53), lock not available, I/O and corruption.
 */
extern char *guard_isolated(void (*fn) (void *arg), void *arg);

/*
 * Calls fn(arg) in a subtransaction.  Returns NULL when it committed; else its error, whatever it is, in the
 * caller's memory context: the caller raises those again that are not for it to keep.
 */
extern ErrorData *guard_any(void (*fn) (void *arg), void *arg);

/* Whether an error of this code says nothing about the work itself. */
extern bool guard_says_nothing(int sqlstate);

#endif							/* MISTRAL_GUARD_H */
