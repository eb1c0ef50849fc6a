/*
 * secret_mask.h
 *		Takes secrets out of what came back.
 */
#ifndef MISTRAL_SECRET_MASK_H
#define MISTRAL_SECRET_MASK_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Secret texts that a request holds while it is under way; malloc'd.  Begin with {0}. */
typedef struct SecretMask
{
	int			n;
	char	  **texts;			/* in the server's encoding */
} SecretMask;

/*
 * Notes the values (List of char *) in every form in which they go out: as they are,
 * escaped for a URL, quoted for JSON; `user` and `password` (NULL: none) as basic authentication puts them
 * together.  Wipes `values`.
 */
extern void secret_mask_set(SecretMask *mask, List *values, const char *user, const char *password);
extern void secret_mask_free(SecretMask *mask);

/* Whether one is in these bytes. */
extern bool secret_mask_finds(const SecretMask *mask, const char *bytes, size_t len);

/* The value with *** in place of each secret, in the current memory context. */
extern Jsonb *secret_mask_apply(const SecretMask *mask, Jsonb *value);

#endif							/* MISTRAL_SECRET_MASK_H */
