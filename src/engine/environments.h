/*
 * environments.h
 *		Named sets of variables.
 *
 * As with definitions, call between db_enter() and db_leave().
 */
#ifndef MISTRAL_ENVIRONMENTS_H
#define MISTRAL_ENVIRONMENTS_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * The variables of the environment that the name means for `role` (its own
 * first, then those of roles that it has the rights of, then public ones), in
 * the current memory context; NULL when there is none.  Raises 42725 when
 * several match equally well.
 */
extern Jsonb *environment_find(const char *name, Oid role);

/* Creates or replaces the owner's environment of that name. */
extern void environment_store(const char *name, const Jsonb *variables, const char *description, bool public_, Oid owner);

/* Deletes what the name means for `role`, public ones of others apart; false when there is none. */
extern bool environment_delete(const char *name, Oid role);

#endif							/* MISTRAL_ENVIRONMENTS_H */
