/*
 * source.h
 *		Sources, as they are stored.  All between db_enter and db_leave.
 */
#ifndef MISTRAL_SOURCE_H
#define MISTRAL_SOURCE_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Creates or replaces the role's source; raises an error when the name is somebody else's, or the kind is none. */
extern void source_store(const char *name, const char *module, const char *kind, const Jsonb *config, Oid role);

/* Raises an error when the role has no such source. */
extern void source_delete(const char *name, Oid role);

#endif							/* MISTRAL_SOURCE_H */
