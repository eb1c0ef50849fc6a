/*
 * owned.h
 *		Which of several things of one name a role means.
 */
#ifndef MISTRAL_OWNED_H
#define MISTRAL_OWNED_H

#include "postgres.h"

/*
 * Among the rows of the last result, whose second column is the owner's oid and third whether the thing
 * is public: the role's own, else one of a role whose rights it has, else (with_public) a public one.
 * Returns the row's number, -1 when there is none; two of the best rank are an error that
 * calls them "<what> name".
 */
extern int	owned_choose(uint64 nrows, Oid role, bool with_public, const char *what, const char *name);

#endif							/* MISTRAL_OWNED_H */
