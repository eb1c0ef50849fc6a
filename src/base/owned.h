/*
 * owned.h
 *		Which of several things of one name a role means.
 */
#ifndef MISTRAL_OWNED_H
#define MISTRAL_OWNED_H

#include "postgres.h"

/* A choice under way; begin with {0}. */
typedef struct OwnedChoice
{
	int			best;			/* rank of the best so far */
	int			count;			/* how many have it; 0: none yet */
} OwnedChoice;

/*
 * Offers one of the things, with its owner and whether it is public; true when it is
 * better than all before (or the first of the best), so that the caller keeps it.
 */
extern bool owned_offer(OwnedChoice *choice, Oid owner, bool public_, Oid role);

/* After the last: raises the error that owned_choose speaks of. */
extern void owned_check(const OwnedChoice *choice, const char *what, const char *name);

/*
 * Among the rows of the last result, whose second column is the owner's oid and third whether the thing
 * is public: the role's own, else one of a role whose rights it has, else (with_public) a public one.
 * Returns the row's number, -1 when there is none; two of the best rank are an error that
 * calls them "<what> name".
 */
extern int	owned_choose(uint64 nrows, Oid role, bool with_public, const char *what, const char *name);

#endif							/* MISTRAL_OWNED_H */
