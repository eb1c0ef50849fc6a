/*
 * wake.h
 *		Passing on, when a transaction ends, what it did that others wait for.
 *
 * Nothing is told before the commit, nothing at all after a rollback (except
 * that a tree's lock is free again), and a prepared transaction tells nothing:
 * COMMIT PREPARED does (utility.c).
 */
#ifndef MISTRAL_WAKE_H
#define MISTRAL_WAKE_H

#include "postgres.h"

/* From _PG_init while libraries are preloaded: sets the hooks of queue/message.h. */
extern void wake_install(void);

/* When this transaction commits, the launcher looks again for the extension in this database. */
extern void wake_launcher_at_commit(void);

/*
 * Wakes who waits for an execution (wait_workflow) of these groups (ENDED_BIT):
 * after a commit in which some ended.  Raises nothing.
 */
extern void wake_waiting(uint64 groups);

/* Makes every engine and executor of this database look at its tables, now. */
extern void wake_everything(void);

#endif							/* MISTRAL_WAKE_H */
