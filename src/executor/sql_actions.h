/*
 * sql_actions.h
 *		Actions that are functions of the database, and std.sql: claiming and performing them.
 *
 * The order of one round of an SQL worker:
 *
 *		transaction:	sql_actions_claim(place, ...)
 *		afterwards:		sql_actions_claimed(committed)
 *		transaction:	sql_actions_perform()
 *		afterwards:		sql_actions_performed(committed)
 *
 * A claim counts an attempt before the call, in a transaction of its own: a function that takes its process with it does so three
 * times at most.  The call, its effects, its result and the end of the claim are one transaction: all of it is there, or none.
 * State is of this process only.
 */
#ifndef MISTRAL_SQL_ACTIONS_H
#define MISTRAL_SQL_ACTIONS_H

#include "postgres.h"

/* What waits for a performer of this kind. */
#define SQL_PERFORMER "sql"

/* In a transaction: whether there are any, claimed or not. */
extern bool sql_actions_waiting(void);

/*
 * In a transaction: takes over one action that workers of the places that `dead` marks (nplaces flags; NULL: nobody) have left
 * (*taken_over: there may be more), or else at most `max` of what waits, for the worker of this place.  Returns how many; what has
 * been tried too often ends in ERROR here.
 */
extern int	sql_actions_claim(int place, const bool *dead, int nplaces, int max, bool *taken_over);
extern void sql_actions_claimed(bool committed);

/* How many are claimed and not performed. */
extern int	sql_actions_held(void);

/*
 * In a transaction: performs claimed actions, one after the other until some time has passed.  An action's own error is its
 * result.  Returns how many.
 */
extern int	sql_actions_perform(void);

/* Without a commit they are tried again, one by one; what fails alone several times ends in ERROR. */
extern void sql_actions_performed(bool committed);

#endif							/* MISTRAL_SQL_ACTIONS_H */
