/*
 * roots.c
 *		Locking root rows; of executions that nobody has taken up, reading them with it.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "base/db.h"
#include "base/ids.h"
#include "engine/definitions.h"
#include "engine/execution_row.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/workflow.h"
#include "queue/message.h"

static bool take_root(TupleTableSlot *slot, LockedRoot *locked);
static int	compare_ids(const void *a, const void *b);

int
store_lock_roots(const pg_uuid_t *ids, int nids, bool wait, LockedRoot *locked)
{
	static DbStatement skip = {
		"SELECT id, stamp FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND root_id OPERATOR(pg_catalog.=) id "
		"ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
		1, {UUIDARRAYOID}
	};
	static DbStatement block = {
		"SELECT id, stamp FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND root_id OPERATOR(pg_catalog.=) id "
		"ORDER BY id FOR NO KEY UPDATE",
		1, {UUIDARRAYOID}
	};
	List	   *list = NIL;
	Datum		values[1];
	uint64		n;
	uint64		i;

	for (i = 0; i < (uint64) nids; i++)
		list = lappend(list, unconstify(pg_uuid_t *, &ids[i]));
	values[0] = id_array(list);
	n = db_execute(wait ? &block : &skip, values, NULL, false, 0);
	for (i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		stamp = db_datum(i, 2, &isnull);

		locked[i].stamp = isnull ? InvalidFullTransactionId : DatumGetFullTransactionId(stamp);
		locked[i].id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		locked[i].tree = NULL;
		if (root_locked_hook)
			root_locked_hook(&locked[i].id);
	}
	return (int) n;
}

/*
 * By the index, one after the other: new executions are a batch's largest part,
 * and a statement for them costs three times as much.
 */
int
store_take_roots(const pg_uuid_t *ids, int nids, LockedRoot *locked)
{
	pg_uuid_t  *sorted = palloc(sizeof(pg_uuid_t) * Max(nids, 1));
	DbLookup	lookup;
	int			n = 0;
	int			i;

	memcpy(sorted, ids, sizeof(pg_uuid_t) * nids);
	qsort(sorted, nids, sizeof(pg_uuid_t), compare_ids);
	db_lock_begin(&lookup, "execution", "execution_pkey");
	for (i = 0; i < nids; i++)
	{
		TupleTableSlot *slot = db_lock_row(&lookup, &sorted[i]);

		if (slot == NULL || !take_root(slot, &locked[n]))
			continue;
		if (root_locked_hook)
			root_locked_hook(&locked[n].id);
		n++;
	}
	db_lookup_end(&lookup);
	/* Compiling a definition may execute statements of its own. */
	for (i = 0; i < n; i++)
	{
		Tree	   *tree = locked[i].tree;

		if (tree == NULL)
			continue;
		execution_attach(tree->root, definition_by_id(&tree->root->definition_id));
		execution_link(tree->root);
	}
	pfree(sorted);
	return n;
}

/* Of a row that is locked; false when it is no root's. */
static bool
take_root(TupleTableSlot *slot, LockedRoot *locked)
{
	Datum	   *columns = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;

	slot_getallattrs(slot);
	locked->id = *DatumGetUUIDP(columns[EXECUTION_ID]);
	if (!id_equal(&locked->id, DatumGetUUIDP(columns[EXECUTION_ROOT_ID])))
		return false;
	locked->stamp = nulls[EXECUTION_STAMP] ? InvalidFullTransactionId : DatumGetFullTransactionId(columns[EXECUTION_STAMP]);
	locked->tree = NULL;
	if (execution_read_state(columns[EXECUTION_STATE]) == STATE_IDLE && cache_find(&locked->id) == NULL)
	{
		Tree	   *tree = store_new_tree(&locked->id);

		tree->has_timers = true;
		tree->fresh = true;
		tree->root = execution_read(tree, columns, nulls, &slot->tts_tid);
		tree->stamp = locked->stamp;
		locked->tree = tree;
	}
	return true;
}

Tree *
store_new_tree(const pg_uuid_t *root_id)
{
	Tree	   *tree = tree_new(TopMemoryContext, root_id);

	cache_add(tree);
	tree->uncommitted = true;
	return tree;
}

static int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, UUID_LEN);
}
