/*
 * forget.h
 *		Deleting whole trees, a batch at a time.
 */
#ifndef MISTRAL_FORGET_H
#define MISTRAL_FORGET_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * Deletes the trees of these roots with everything that belongs to them, and their copies in the cache.  The
 * caller has locked the roots and knows that they have ended.  Between db_enter and db_leave.
 */
extern void forget_trees(const pg_uuid_t *roots, int nroots);

/* The same for action executions that belong to no workflow. */
extern void forget_lone_actions(const pg_uuid_t *ids, int nids);

#endif							/* MISTRAL_FORGET_H */
