/*
 * registered.h
 *		Actions that pull workers perform, registered by name and target.
 */
#ifndef MISTRAL_REGISTERED_H
#define MISTRAL_REGISTERED_H

#include "postgres.h"

/* Creates or replaces the role's action of that name. */
extern void registered_store(const char *name, const char *target, const char *description, Oid role);

/*
 * The target of the action that the name means for `role`: its own first, then
 * those of roles whose rights it has; NULL when there is none.  Raises
 * ERRCODE_AMBIGUOUS_FUNCTION when several match equally well.
 */
extern char *registered_find(const char *name, Oid role);

/* Deletes the one that the name means; false when there is none. */
extern bool registered_delete(const char *name, Oid role);

#endif							/* MISTRAL_REGISTERED_H */
