/*
 * pull.h
 *		Actions for pull workers: offers, leases, and how they end.
 *
 * An offer is an action that waits for a worker of its target; claiming it makes
 * it a lease.  The engine inserts offers and takes what is locked by nobody;
 * sessions claim with SKIP LOCKED.  So neither waits for the other.  An offer
 * without a target is a question to people: no worker claims it.
 */
#ifndef MISTRAL_PULL_H
#define MISTRAL_PULL_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Longest name of a target, in bytes: it is indexed. */
#define MAX_TARGET 255

/* What a worker asks for. */
typedef struct PullClaim
{
	const char *target;			/* NULL: any */
	const char *worker;			/* NULL: no name */
	int			max;
	TimestampTz lease_until;
	Oid			role;			/* sees the actions of owners whose rights it has */
} PullClaim;

/* Columns of claim_actions. */
#define PULL_CLAIM_COLUMNS 9
typedef void (*PullClaimed) (void *arg, Datum *values, bool *nulls);

/* Makes leases of the oldest offers, and gives what is to be done to `row`, one after the other. */
extern void pull_claim(const PullClaim *claim, PullClaimed row, void *arg);

/*
 * Prolongs leases; returns how many are still held and matter to somebody.
 * `attempts` is 0, or an array of as many as there are ids: only a lease of that
 * attempt of the action is meant.
 */
extern int	pull_heartbeat(Datum ids, Datum attempts, const char *worker, TimestampTz lease_until, Oid role);

/* An action that is being ended, and what pull_end finds. */
typedef struct PullEnd
{
	pg_uuid_t	action_id;		/* comes first */
	int			attempt;		/* under which its result comes; 0: none given */
	int			current;		/* the later attempt that a worker has, and keeps; 0: none */
	bool		found;
} PullEnd;

/*
 * Takes the actions' offers and leases away, but for leases of a later attempt
 * than the given one.  Waits for whoever is moving them; `ends` is in the order
 * of ids, so that two who end the same do not wait for each other.
 */
extern void pull_end(PullEnd *ends, int n);

/*
 * The action, which asks people, is being answered: takes its offer away.  False
 * when nobody waits for the answer (any more).
 */
extern bool pull_answer(const pg_uuid_t *action_id);

/* Offers an action that was run without a workflow; `target` NULL: to people. */
extern void pull_offer(const pg_uuid_t *action_id, const char *target, const char *action, Oid owner);

/* The target of an action that is on offer to pull workers, or NULL. */
extern char *pull_offered_to(const pg_uuid_t *action_id);

/* By arrays of action ids; those that somebody has locked are passed over. */
extern void pull_withdraw(Datum ids);	/* nobody waits for them any more */
extern void pull_hold(Datum ids, bool held);	/* their execution has ended, or runs again */

/*
 * Takes back the leases that have run out: offers the actions again, or ends
 * them where that is not safe.  *next is when the next one runs out (DT_NOEND:
 * none is held).  `told` is called for each target that has work again.
 * Returns how many leases had run out.
 */
extern int	pull_sweep(void (*told) (const char *target), TimestampTz *next);

/* Told when a lease has been given; set by the worker layer when the library is preloaded. */
typedef void (*lease_given_hook_type) (TimestampTz until);
extern lease_given_hook_type lease_given_hook;

#endif							/* MISTRAL_PULL_H */
