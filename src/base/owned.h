/*
 * owned.h
 *		Which of several things of one name a role means.
 */
#ifndef MISTRAL_OWNED_H
#define MISTRAL_OWNED_H

#include "postgres.h"

/* What the thing is wanted for. */
typedef enum OwnedPurpose
{
	OWNED_MANAGE,				/* to change or delete it */
	OWNED_USE,					/* to have it run or read with the role's rights */
	OWNED_USE_PUBLIC			/* the same, public ones too */
} OwnedPurpose;

/* A choice under way; begin with {0}. */
typedef struct OwnedChoice
{
	int			best;			/* rank of the best so far */
	int			count;			/* how many have it; 0: none yet */
} OwnedChoice;

/*
 * Offers one of the things, with its owner and whether it is public; true when it is
 * better than all before (or the first of the best), so that the caller keeps it.
 * To a superuser everything belongs, and a name that it uses must not mean what
 * anybody has put there: there only the roles count that it is a member of.
 */
extern bool owned_offer(OwnedChoice *choice, Oid owner, bool public_, Oid role, OwnedPurpose purpose);

/* After the last: raises the error that owned_choose speaks of. */
extern void owned_check(const OwnedChoice *choice, const char *what, const char *name);

/*
 * Among the rows of the last result, whose second column is the owner's oid and third whether the thing
 * is public: the role's own, else one of a role whose rights it has, else (OWNED_USE_PUBLIC) a public one.
 * Returns the row's number, -1 when there is none; two of the best rank are an error that
 * calls them "<what> name".
 */
extern int	owned_choose(uint64 nrows, Oid role, OwnedPurpose purpose, const char *what, const char *name);

#endif							/* MISTRAL_OWNED_H */
