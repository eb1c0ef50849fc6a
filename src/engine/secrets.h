/*
 * secrets.h
 *		Values that only a request on its way out sees.
 *
 * Everything else (contexts, inputs, results, the tables) holds a reference in
 * their place, which works in one execution tree only.  All between db_enter()
 * and db_leave().
 */
#ifndef MISTRAL_SECRETS_H
#define MISTRAL_SECRETS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define SECRET_NAME_MAX		64
#define SECRET_VALUE_MAX	65536

/* Whether a name may be a secret's: letters, digits, "_", "-", "." */
extern bool secret_name_valid(const char *name);

/* Creates or replaces a role's secret. */
extern void secret_store(const char *name, const char *value, Oid owner);

/* False when the role has no such secret. */
extern bool secret_delete(const char *name, Oid owner);

/* Seals every secret under the first key; how many. */
extern int64 secrets_rotate(void);

/* The value, palloc'd; NULL: there is none, or no key opens it, and `error` says so. */
extern char *secret_value(const char *name, Oid owner, char **error);

/*
 * What stands for a secret in the tree of that root: a text that the owner's
 * requests of that tree exchange for the value.  NULL with `error`.
 */
extern char *secret_reference(const char *name, const pg_uuid_t *root_id, Oid owner, char **error);

/*
 * The input with the values in place of references; `values` are those that
 * were put in (List of char *).  References of other trees, or that somebody
 * has made up, stay text.  NULL with `error` when a secret is not there any more.
 */
extern Jsonb *secrets_resolve(Jsonb *input, const pg_uuid_t *root_id, Oid owner, List **values, char **error);

#endif							/* MISTRAL_SECRETS_H */
