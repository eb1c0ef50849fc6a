/*
 * engine.h
 *		The engine's doors: one step as an ordinary function, called by the
 *		engine worker, by tests in their own session, and by nothing else.
 *
 * A step runs in the caller's transaction, under the extension owner's rights,
 * and leaves to the caller to commit, and to have its notices sent.
 */
#ifndef MISTRAL_ENGINE_H
#define MISTRAL_ENGINE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Where a message was put: a hint that the table confirms or not. */
typedef struct MessageHint
{
	ItemPointerData tid;
	pg_uuid_t	id;
	pg_uuid_t	root_id;
} MessageHint;

/*
 * Whoever waits for an execution is told when one of its group has ended: of
 * many who wait, few look in vain, and no memory is needed for each.
 */
#define ENDED_GROUPS	64
#define ENDED_GROUP(id) id_share(id, ENDED_GROUPS)
#define ENDED_BIT(id)	(UINT64CONST(1) << ENDED_GROUP(id))

typedef struct EngineStepResult
{
	int			executions;		/* trees stepped */
	int			messages;		/* messages and timers consumed */
	int			skipped;		/* trees locked by others: their hints are in skipped_hints */
	MessageHint *skipped_hints;	/* in the caller's memory context */
	uint64		ended;			/* the groups of executions that reached a final state: ENDED_BIT of each */
	bool		dispatched;		/* the executor has new work */
	bool		more;			/* there is surely more to do now */
	List	   *notices;		/* what listeners are to be told, in the caller's memory context */
} EngineStepResult;

/* The trees that fall to one of several engines: a full look is at these alone, or they would all meet the same locks. */
typedef struct EngineShare
{
	int			number;			/* of this engine, from 0 */
	int			count;
} EngineShare;

/* Whether there is other work than the step's own; unset: there always may be. */
typedef bool (*others_wait_hook_type) (void);
extern others_wait_hook_type others_wait_hook;

/*
 * Advances the trees that the hints name (no hints: what a full look at the
 * message table finds of the share) and those with due timers, at
 * most `limit` trees.
 */
extern void engine_step(const MessageHint *hints, int nhints, bool full_look, const EngineShare *share, int limit,
						EngineStepResult *result);

/* Sends a step's notices when this transaction commits: the step's own, or one that follows it. */
extern void engine_notify(List *notices);

/*
 * Moves a message that no step can handle to mistral.parked_message, with the
 * error, and lets its execution say so; in a transaction of its own.  Does
 * nothing when the message is gone.
 */
extern void engine_park(const MessageHint *hint, const char *error);

/*
 * Takes back the leases of pull workers that have run out; *next is when the
 * next one does (DT_NOEND: none is held).  Returns how many had.
 */
extern int	engine_sweep_leases(TimestampTz *next);

/* When the next timer is due, or DT_NOEND. */
extern TimestampTz engine_next_timer(void);

#endif							/* MISTRAL_ENGINE_H */
