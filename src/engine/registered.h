/*
 * registered.h
 *		Actions that are not built in: those that were registered, and those of modules.
 */
#ifndef MISTRAL_REGISTERED_H
#define MISTRAL_REGISTERED_H

#include "postgres.h"

#include "utils/uuid.h"

#include "base/owned.h"

/* What performs a registered action: the pull workers of a target, or a function of the database. */
typedef struct RegisteredAction
{
	pg_uuid_t	id;
	char	   *target;			/* NULL: a function */
	Oid			function;		/* InvalidOid: a target, or a function that has gone */
} RegisteredAction;

/*
 * Creates or replaces the role's action of that name, with a target (NULL: none) or a function (InvalidOid: none): one of
 * both.  A function takes one jsonb, gives jsonb or nothing, and the role may execute it.
 */
extern void registered_store(const char *name, const char *target, Oid function, const char *description, Oid role);

/*
 * The action that the name means for `role`: its own first, then those of roles whose rights it has; false when there is
 * none (owned.h).  Raises ERRCODE_AMBIGUOUS_FUNCTION when several match equally well.
 */
extern bool registered_find(const char *name, Oid role, OwnedPurpose purpose, RegisteredAction *action);

/* An action that a module has brought along, loaded now or not (actions/registry.h); false when no module has one of that name. */
extern bool module_action_find(const char *name, char **module, char **params);

/* Deletes the one that the name means; false when there is none. */
extern bool registered_delete(const char *name, Oid role);

#endif							/* MISTRAL_REGISTERED_H */
