/*
 * archive.h
 *		Keeping what is about to be deleted, as documents in mistral.archive.
 */
#ifndef MISTRAL_ARCHIVE_H
#define MISTRAL_ARCHIVE_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * Writes the trees of these roots, which have ended and are locked, to the archive:
 * in the transaction that deletes them, so that each is always in one place.
 * Between db_enter and db_leave.
 */
extern void archive_trees(const pg_uuid_t *roots, int nroots);

/* The same for action executions that belong to no workflow. */
extern void archive_lone_actions(const pg_uuid_t *ids, int nids);

#endif							/* MISTRAL_ARCHIVE_H */
