/*
 * instance.h
 *		Whether the state in this database was made here, or came with a copy.
 *
 * mistral.instance names the cluster and the database that the state belongs
 * to.  Workers run only where every row says: here.  The table is dumped, so a
 * restored copy names its origin too; a copy made by the server (TEMPLATE,
 * pg_upgrade) names only its origin.
 */
#ifndef MISTRAL_INSTANCE_H
#define MISTRAL_INSTANCE_H

#include "postgres.h"

/* In a transaction, by anybody: db_enter is done inside. */
extern bool instance_matches(void);

/* Makes the state belong to this database, from this transaction's commit on. */
extern void instance_adopt(void);

#endif							/* MISTRAL_INSTANCE_H */
