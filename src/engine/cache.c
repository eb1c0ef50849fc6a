/*
 * cache.c
 *		Trees kept between steps.
 *
 * A copy that a step has changed counts only after that step's commit, and a
 * copy counts at all only while its stamp is the root row's: each writing
 * transaction stamps the root with its own id, which no other ever repeats.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "base/db.h"
#include "engine/states.h"
#include "engine/store.h"
#include "guc.h"

typedef struct CacheEntry
{
	pg_uuid_t	root_id;
	Tree	   *tree;
} CacheEntry;

static HTAB *cache = NULL;
static dlist_head lru = DLIST_STATIC_INIT(lru);
static Size cache_bytes = 0;	/* of the committed copies */
static Oid	table_files[3];

/* Subtransactions from this level on do not touch the copies; 0: all do. */
static int	protected_level = 0;

static void register_callbacks(void);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);
static void committed(void);
static void aborted(void);
static void forget(Tree *tree);
static void count_bytes(Tree *tree);
static void shrink(void);

Tree *
cache_find(const pg_uuid_t *root_id)
{
	CacheEntry *entry;

	if (cache == NULL)
		return NULL;
	entry = hash_search(cache, root_id, HASH_FIND, NULL);
	if (entry == NULL)
		return NULL;
	dlist_move_head(&lru, &entry->tree->lru);
	return entry->tree;
}

void
cache_add(Tree *tree)
{
	CacheEntry *entry;
	bool		found;

	if (cache == NULL)
	{
		HASHCTL		ctl = {0};

		register_callbacks();
		ctl.keysize = sizeof(pg_uuid_t);
		ctl.entrysize = sizeof(CacheEntry);
		ctl.hcxt = TopMemoryContext;
		cache = hash_create("mistral trees", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(cache, &tree->root_id, HASH_ENTER, &found);
	if (found)
		forget(entry->tree);
	entry->tree = tree;
	dlist_push_head(&lru, &tree->lru);
}

void
cache_drop(Tree *tree)
{
	hash_search(cache, &tree->root_id, HASH_REMOVE, NULL);
	forget(tree);
}

static void
forget(Tree *tree)
{
	cache_bytes -= tree->cached_bytes;
	dlist_delete(&tree->lru);
	MemoryContextDelete(tree->cxt);
}

void
cache_protect(bool on)
{
	protected_level = on ? GetCurrentTransactionNestLevel() + 1 : 0;
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	registered = true;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		committed();
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		aborted();
}

/* The tables are back where they were, under the same stamp. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (protected_level == 0 || GetCurrentTransactionNestLevel() < protected_level)
		aborted();
}

static void
committed(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lru)
	{
		Tree	   *tree = dlist_container(Tree, lru, iter.cur);

		/* Those of this transaction stand in front. */
		if (!tree->uncommitted)
			break;
		tree->uncommitted = false;
		if (tree->root == NULL || state_is_final(tree->root->state))
			cache_drop(tree);
		else
			count_bytes(tree);
	}
	shrink();
}

static void
aborted(void)
{
	dlist_mutable_iter iter;

	protected_level = 0;
	dlist_foreach_modify(iter, &lru)
	{
		Tree	   *tree = dlist_container(Tree, lru, iter.cur);

		if (tree->uncommitted)
			cache_drop(tree);
	}
}

/* TRUNCATE, VACUUM FULL, DROP EXTENSION: places of rows mean nothing any more. */
void
cache_check_tables(void)
{
	static const char *const names[] = {"execution", "task", "action_execution"};
	bool		changed = false;
	int			i;

	for (i = 0; i < lengthof(names); i++)
	{
		Relation	rel = table_open(db_table(names[i]), RowExclusiveLock);
		Oid			file = rel->rd_rel->relfilenode;

		changed |= file != table_files[i];
		table_files[i] = file;
		table_close(rel, NoLock);
	}
	while (changed && !dlist_is_empty(&lru))
		cache_drop(dlist_container(Tree, lru, dlist_head_node(&lru)));
}

Size
cache_used(void)
{
	return cache_bytes;
}

/* Counts the tree as large as it is now. */
static void
count_bytes(Tree *tree)
{
	cache_bytes -= tree->cached_bytes;
	tree->cached_bytes = MemoryContextMemAllocated(tree->cxt, true);
	cache_bytes += tree->cached_bytes;
}

/*
 * Drops the trees that were used longest ago, until the rest fits.  The last one
 * used stays, however large: it would be loaded again for each of its slices.
 */
static void
shrink(void)
{
	Size		limit = (Size) guc_cache_size * 1024;

	while (cache_bytes > limit && dlist_has_next(&lru, dlist_head_node(&lru)))
		cache_drop(dlist_container(Tree, lru, dlist_tail_node(&lru)));
}
