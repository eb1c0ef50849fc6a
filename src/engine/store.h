/*
 * store.h
 *		Trees and their rows: locking, loading, writing, and the cache between
 *		steps.  All between db_enter() and db_leave().
 */
#ifndef MISTRAL_STORE_H
#define MISTRAL_STORE_H

#include "engine/tree.h"

/* A root row that this transaction has locked. */
typedef struct LockedRoot
{
	pg_uuid_t	id;
	FullTransactionId stamp;
	Tree	   *tree;			/* read with the lock; NULL: it was not */
} LockedRoot;

/*
 * Locks the root rows of these executions, in order of id; with `wait` false
 * those that somebody else holds are left out.  Ids that are no root are left
 * out, too.
 */
extern int	store_lock_roots(const pg_uuid_t *ids, int nids, bool wait, LockedRoot *locked);

/*
 * The same without waiting, for who wants the trees as well: those that nobody
 * has taken up yet, which are a root and nothing else, come with their locks.
 */
extern int	store_take_roots(const pg_uuid_t *ids, int nids, LockedRoot *locked);

/*
 * The trees of locked roots: those read with the lock, else from the cache where
 * its copy has the root's stamp, else from the tables; List of Tree *.  Every tree is marked as used by
 * this transaction, whose end decides about the copies.
 */
extern List *store_get_trees(const LockedRoot *locked, int nlocked);

/* An empty tree in the cache, used by this transaction. */
extern Tree *store_new_tree(const pg_uuid_t *root_id);

/* A copy to look at, in the current memory context: not locked, not cached, never to be written. */
extern Tree *store_read_tree(const pg_uuid_t *root_id);

/* Writes what changed in these trees, set-wise, and stamps their roots. */
extern void store_flush(List *trees);

/* Forgets a tree, whose copy in memory is of no use any more. */
extern void cache_drop(Tree *tree);

/*
 * While a tree is run in a subtransaction of the step's own, that one's abort
 * does not drop the batch's trees: the step itself replaces the tree.
 */
extern void cache_protect(bool on);

/* Drops everything when the tables have been rewritten or replaced. */
extern void cache_check_tables(void);

extern Tree *cache_find(const pg_uuid_t *root_id);
extern void cache_add(Tree *tree);

/* Bytes of the committed copies. */
extern Size cache_used(void);

#endif							/* MISTRAL_STORE_H */
