/*
 * recorder.h
 *		From a performer's result to a message: what executors that send things
 *		out have in common.
 *
 * An action is in one place at a time: a row of dispatch (nobody has it), a row
 * of attempt (a process has it, or one that died had it), a message (it has
 * ended).  A recorder holds the attempts whose results are there:
 *
 *		waiting -> recorded -> gone
 *		   ^           |
 *		   +- deferred-+   (the row was locked, or the commit failed)
 *
 *		lost -> gone	(who had them under way has died: they are settled)
 */
#ifndef MISTRAL_RECORDER_H
#define MISTRAL_RECORDER_H

#include "postgres.h"

#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* An attempt that took its performer with it this often is not repeated. */
#define MAX_ATTEMPTS 3

/* Which attempt of which action something is; begins the performer's own struct. */
typedef struct Attempt
{
	dlist_node	node;			/* of its recorder's lists */
	pg_uuid_t	action_id;
	pg_uuid_t	root_id;
	int			number;
	ItemPointerData place;		/* of its row; invalid: not known */
	bool		safe_rerun;		/* may be sent more than once */
	int			record_failures;
	TimestampTz record_after;	/* a record that could not be made is tried again later */
} Attempt;

typedef struct Recorder
{
	const char *performer;		/* of its rows */
	const char *program;		/* who may die with attempts under way: "the program mistral_io" */

	/* In a transaction: what its message says (message_action_result); NULL: there is to be none. */
	Jsonb	   *(*result) (Attempt *attempt);

	/* The message could not be stored: put an error instead. */
	void		(*spoil) (Attempt *attempt, int sqlstate);

	/* It is recorded, or nobody wants it any more. */
	void		(*forget) (Attempt *attempt);

	dlist_head	waiting;
	dlist_head	recorded;
	dlist_head	deferred;
	dlist_head	lost;
	int			count;			/* in all of them */
	int			nlost;
	bool		settling;		/* lost ones are settled by the transaction that is open */
	bool		again;			/* they are in dispatch again */
} Recorder;

/* Once, before anything else. */
extern void recorder_init(Recorder *recorder);

/* Takes a finished attempt over. */
extern void recorder_add(Recorder *recorder, Attempt *attempt);

/* Takes an attempt over of which nobody knows what has become. */
extern void recorder_lose(Recorder *recorder, Attempt *attempt);

/* True once after lost ones have been settled: some may wait to be claimed again. */
extern bool recorder_relieved(Recorder *recorder);

/* How many can be recorded now. */
extern int	recorder_ready(Recorder *recorder, TimestampTz now);

/* When there will be more of the deferred ones, or `other` if that is sooner; 0: no such time.  Changes with each record. */
extern TimestampTz recorder_next(const Recorder *recorder, TimestampTz other);

/*
 * In a transaction: settles the lost ones, and for at most `max` attempts deletes the row and puts the message.  One whose row is gone (cancelled,
 * deleted) is dropped.  Returns how many were taken, lost ones too.  When the transaction has ended, recorder_recorded says how.
 */
extern int	recorder_record(Recorder *recorder, int max);
extern void recorder_recorded(Recorder *recorder, bool committed);

/* Forgets all: the rows stay, for a successor to settle. */
extern void recorder_clear(Recorder *recorder);

/*
 * In a transaction, between db_enter and db_leave: settles attempts whose performer died, all of this kind or those of a List of
 * pg_uuid_t *.  One with safe-rerun goes back to dispatch with the next number; any other ends its action in ERROR, for nobody
 * knows whether it took effect.  `who` died: "the executor".  Returns how many there were.
 */
extern int	attempts_settle(const char *performer, List *only, const char *who);

/*
 * Puts an error that is the executor's own verdict: it competes with no completion, and waits for nobody that holds one back.  An
 * action that has ended by then takes no notice.
 */
extern void attempt_put_error(const pg_uuid_t *root_id, const pg_uuid_t *action_id, int number, const char *text);

#endif							/* MISTRAL_RECORDER_H */
