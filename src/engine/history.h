/*
 * history.h
 *		The append-only history: what each step, or session, did to an execution.
 *
 * Transitions are noted in memory as they happen (by states.c) and written with
 * the tree, one row for each execution that has some (mistral.history says which).
 */
#ifndef MISTRAL_HISTORY_H
#define MISTRAL_HISTORY_H

#include "engine/tree.h"

/* Values of mistral.history; each includes those before it. */
typedef enum HistoryLevel
{
	HISTORY_OFF,
	HISTORY_ROLES,				/* what somebody did, sessions and messages of theirs */
	HISTORY_EXECUTIONS,
	HISTORY_TASKS,
	HISTORY_ACTIONS
} HistoryLevel;

/* The object has got the state that it is in now; an execution had `from` before. */
extern void history_execution(Execution *execution, State from);
extern void history_task(Task *task);
extern void history_action(ActionExecution *action);

/*
 * What moves the tree from now on: a message.  What it does to its target, and to
 * the target's task, is the doing of `role` (NULL: of the engine itself).
 */
extern void history_message(Tree *tree, const char *kind, const char *role, const pg_uuid_t *target);

/* A session of this role does `what` to the tree, which it writes in the same call. */
extern void history_session(Tree *tree, const char *what, Oid role);

/*
 * The role's name as a message is to say who has sent it (NULL: no history is
 * kept); and who a message's payload says it was (NULL: it does not).
 */
extern const char *history_sender(Oid role);
extern char *history_signer(const Jsonb *payload);

/* Writes the rows of what was noted; part of store_flush. */
extern void history_write(List *trees);

/*
 * The rows of another cluster, restored into this one, keep their order and come
 * before all that is written here.  Between db_enter and db_leave.
 */
extern void history_adopt(void);

#endif							/* MISTRAL_HISTORY_H */
