/*
 * message.h
 *		Putting messages into the queue, and who is told.
 */
#ifndef MISTRAL_MESSAGE_H
#define MISTRAL_MESSAGE_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define MESSAGE_START		"start"
#define MESSAGE_ACTION		"action"	/* target: action execution; payload: see message_action_result */
#define MESSAGE_CONTINUE	"continue"
#define MESSAGE_RESUME		"resume"
#define MESSAGE_RERUN		"rerun"		/* target: task; payload: {"reset": bool} */
#define MESSAGE_SKIP		"skip"		/* target: task */
#define MESSAGE_STOPPED		"stopped"	/* target: execution that a session stopped */

/* In a payload: the role that sent the message. */
#define MESSAGE_SENDER		"role"

/*
 * Told of each message put by this transaction, when a tree's root row was
 * locked, and when there are new rows of dispatch, on that page or behind it;
 * set by the worker layer when the library is preloaded, else NULL.  The receiver
 * passes the hint on when the transaction commits.
 */
typedef void (*message_put_hook_type) (ItemPointer tid, const pg_uuid_t *id, const pg_uuid_t *root_id);
typedef void (*root_locked_hook_type) (const pg_uuid_t *root_id);
typedef void (*work_dispatched_hook_type) (const char *performer, BlockNumber from);

extern message_put_hook_type message_put_hook;
extern root_locked_hook_type root_locked_hook;
extern work_dispatched_hook_type work_dispatched_hook;

/*
 * Inserts one message, in the caller's transaction; between db_enter and
 * db_leave.  `attempt` 0 means none; a negative one is a
 * verdict of the executor itself, which competes with nobody.  Returns false when a completion for the same
 * action and attempt is there already (waits for a transaction that is putting
 * one).
 */
extern bool message_put(const pg_uuid_t *root_id, const char *kind, const pg_uuid_t *target_id,
						int attempt, const Jsonb *payload);

/* The completion of one action among many. */
typedef struct MessageCompletion
{
	pg_uuid_t	root_id;
	pg_uuid_t	action_id;
	int			attempt;		/* at least 1 */
	const Jsonb *payload;
	bool		sole;			/* nobody else can be putting the same one as a sole one, see below */
	bool		put;			/* set: false when another one is there already */
} MessageCompletion;

/*
 * The same for MESSAGE_ACTION of many actions, each another one: of those that
 * are sole without a statement, of the others in their order with one.
 *
 * A sole one is written first, row and index entry, and only then is it known
 * whether the index has another entry of its kind.  Two that did so at once could
 * each find the other's and wait for it in a circle.  Therefore a completion is
 * sole only where the transaction has deleted the row that an action under way
 * has once, and that everybody must have deleted who calls the completion sole:
 * its lease (whoever deletes it, too, waits), or its attempt (an executor passes
 * over one that it cannot delete).  An action has the one or the other, never both.
 *
 * Whoever completes the same attempt besides, with complete_action for
 * instance, does so by a statement, which puts its entry speculatively.  Entries
 * are put and looked for under the lock of the same page of the index, so that
 * only the later of two sees the other.  If that is ours, it is taken back and
 * left to the statement, which waits for that transaction; if it is the statement's,
 * it withdraws its entry before it waits for us.  So one of them waits, not both.
 * In a circle with completions of several actions two transactions can wait
 * as before, whichever way they put them: an executor gives up after 20 ms, and a session
 * is told of the deadlock.
 */
extern void message_put_completions(MessageCompletion *completions, int n);

/*
 * The payload of MESSAGE_ACTION: {"state": SUCCESS|ERROR|CANCELLED, "result": ...},
 * and with MESSAGE_SENDER the name of the role that sends it (NULL: it does not say).
 */
extern Jsonb *message_action_result(const char *state, const Jsonb *result);
extern Jsonb *message_action_result_from(const char *state, const Jsonb *result, const char *sender);

#endif							/* MISTRAL_MESSAGE_H */
