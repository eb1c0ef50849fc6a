/*
 * claim.h
 *		From mistral.dispatch to mistral.attempt: how an executor takes actions,
 *		by their places and without a statement.
 */
#ifndef MISTRAL_CLAIM_H
#define MISTRAL_CLAIM_H

#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* An action that this transaction has taken; in the caller's memory context. */
typedef struct ClaimedAction
{
	pg_uuid_t	root_id;
	pg_uuid_t	action_id;
	int			attempt;
	Oid			owner;
	const char *action;
	bool		safe_rerun;
	int			timeout;		/* seconds; 0: none */
	Jsonb	   *headers;		/* may be NULL */
	Jsonb	   *input;			/* may be NULL */
	bool		allowed;		/* false: there is no attempt of it */
	ItemPointerData place;		/* of its row of attempt */
} ClaimedAction;

/* Whether the owner may use the action now. */
typedef bool (*ClaimAllowed) (Oid owner, const char *action);

/*
 * In a transaction, between db_enter and db_leave: takes at most `max` actions of a
 * performer, from page *from of dispatch on, and passes over those that somebody
 * has locked.  *from is then the page from which on something may be left;
 * InvalidBlockNumber: nothing is.  Returns how many were taken.
 */
extern int	claim_from(const char *performer, ClaimAllowed allowed, int max, BlockNumber *from, ClaimedAction **actions);

/* The same of those at these places, which this transaction has locked. */
extern int	claim_places(const char *performer, ClaimAllowed allowed, const ItemPointerData *places, int nplaces,
						 ClaimedAction **actions);

#endif							/* MISTRAL_CLAIM_H */
