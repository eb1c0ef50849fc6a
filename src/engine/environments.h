/*
 * environments.h
 *		Stored environments, found by name under a role's rights.
 */
#ifndef MISTRAL_ENVIRONMENTS_H
#define MISTRAL_ENVIRONMENTS_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * The variables of the environment that the name means for the role: its own
 * first, then those of roles it is a member of, then public ones.  NULL: none.
 */
extern Jsonb *environment_find(const char *name, Oid role);

#endif							/* MISTRAL_ENVIRONMENTS_H */
