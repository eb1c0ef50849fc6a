/*
 * rows.c
 *		Writing rows of our own tables without going through a plan.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "nodes/primnodes.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/db.h"
#include "base/rows.h"
#include "compat.h"

/* Rows collected before they are written. */
#define MAX_ROWS 1000

/* Our columns, which come first; dropped ones count. */
static const struct
{
	const char *table;
	int			ncolumns;
}			tables[] = {
	{"execution", 20},
	{"task", 26},
	{"action_execution", 18},
	{"message", 7},
	{"timer", 5},
	{"dispatch", 12},
	{"attempt", 13},
	{"offer", 9},
	{"lease", 11},
	{"history", 11},
};

/* A plain index. */
typedef struct RowIndex
{
	Relation	rel;
	IndexInfo  *info;
	AttrNumber	tested;			/* it has only rows in which this column is NULL, or is not; 0: all */
	bool		wants_null;
} RowIndex;

static void open_table(RowWriter *writer);
static int	our_columns(const char *table);
static void clear_slot(RowWriter *writer, TupleTableSlot *slot);
static void open_indexes(RowWriter *writer);
static bool index_is_plain(RowIndex *index);
static bool predicate_is_plain(RowIndex *index);
static void open_executor(RowWriter *writer);
static void close_indexes(RowWriter *writer);
static bool insert_index_entries(RowWriter *writer, TupleTableSlot *slot);
static void take_back(RowWriter *writer, TupleTableSlot *slot);

void
rows_open(RowWriter *writer, const char *table)
{
	memset(writer, 0, sizeof(*writer));
	writer->table = table;
	writer->lowest = InvalidBlockNumber;
}

/* The first row opens the table: many a writer has none. */
static void
open_table(RowWriter *writer)
{
	writer->rel = table_open(db_table(writer->table), RowExclusiveLock);
	writer->natts = RelationGetDescr(writer->rel)->natts;
	writer->ncolumns = our_columns(writer->table);
	if (writer->natts < writer->ncolumns)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table mistral.%s has %d columns, and %d are needed", writer->table, writer->natts, writer->ncolumns),
				 errhint("Run ALTER EXTENSION mistral UPDATE.")));
	writer->desc = CreateTupleDescCopy(RelationGetDescr(writer->rel));
	open_indexes(writer);
}

static int
our_columns(const char *table)
{
	for (int i = 0; i < lengthof(tables); i++)
		if (strcmp(tables[i].table, table) == 0)
			return tables[i].ncolumns;
	elog(ERROR, "the columns of mistral.%s are not known", table);
	return 0;
}

/* Columns that somebody has added, also if they are dropped again, are NULL; ours are what the caller says. */
static void
clear_slot(RowWriter *writer, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, writer->ncolumns * sizeof(bool));
	for (int i = writer->ncolumns; i < writer->natts; i++)
	{
		slot->tts_values[i] = (Datum) 0;
		slot->tts_isnull[i] = true;
	}
}

/*
 * Our own indexes are plain: their entries need nothing of the executor, whose
 * state costs more than they do where one row is written.  When somebody has
 * added an index that is not, all entries go the executor's way.
 */
static void
open_indexes(RowWriter *writer)
{
	List	   *oids = RelationGetIndexList(writer->rel);
	ListCell   *lc;
	bool		plain = true;

	writer->indexes = palloc(sizeof(RowIndex) * Max(list_length(oids), 1));
	foreach(lc, oids)
	{
		RowIndex   *index = &writer->indexes[writer->nindexes++];

		index->rel = index_open(lfirst_oid(lc), RowExclusiveLock);
		index->info = BuildIndexInfo(index->rel);
		plain = index_is_plain(index) && plain;
	}
	list_free(oids);
	if (plain)
		return;
	close_indexes(writer);
	open_executor(writer);
}

static bool
index_is_plain(RowIndex *index)
{
	const IndexInfo *info = index->info;

	return index->rel->rd_rel->relam == BTREE_AM_OID && index->rel->rd_index->indimmediate && info->ii_ReadyForInserts &&
		info->ii_Expressions == NIL && info->ii_ExclusionOps == NULL && predicate_is_plain(index);
}

/* None, or that one column is NULL, or is not. */
static bool
predicate_is_plain(RowIndex *index)
{
	List	   *predicate = index->info->ii_Predicate;
	NullTest   *test;

	index->tested = 0;
	if (predicate == NIL)
		return true;
	test = linitial(predicate);
	if (list_length(predicate) > 1 || !IsA(test, NullTest) || test->argisrow || !IsA(test->arg, Var) ||
		((Var *) test->arg)->varattno <= 0)
		return false;
	index->tested = ((Var *) test->arg)->varattno;
	index->wants_null = test->nulltesttype == IS_NULL;
	return true;
}

static void
open_executor(RowWriter *writer)
{
	writer->estate = CreateExecutorState();
	writer->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->rri, writer->rel, 1, NULL, 0);
	ExecOpenIndices(writer->rri, false);
}

/* As with the table, locks stay: the next writer of the transaction has them already. */
static void
close_indexes(RowWriter *writer)
{
	int			i;

	for (i = 0; i < writer->nindexes; i++)
	{
		index_close(writer->indexes[i].rel, NoLock);
		pfree(writer->indexes[i].info);
	}
	writer->nindexes = 0;
}

/* False when the writer is lenient, and a key is there already, or may be. */
static bool
insert_index_entries(RowWriter *writer, TupleTableSlot *slot)
{
	IndexUniqueCheck check = writer->lenient ? UNIQUE_CHECK_PARTIAL : UNIQUE_CHECK_YES;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	bool		sure = true;
	List	   *doubtful = NIL;
	int			i;

	for (i = 0; i < writer->nindexes; i++)
	{
		RowIndex   *index = &writer->indexes[i];
		bool		unique = index->rel->rd_index->indisunique;

		if (index->tested != 0 && slot_attisnull(slot, index->tested) != index->wants_null)
			continue;
		FormIndexDatum(index->info, slot, NULL, values, isnull);
		if (!index_insert(index->rel, values, isnull, &slot->tts_tid, writer->rel, unique ? check : UNIQUE_CHECK_NO, false,
						  index->info) && unique && writer->lenient)
			sure = false;
	}
	if (writer->estate == NULL)
		return sure;
	if (writer->rri->ri_NumIndices > 0)
		doubtful = compat_insert_index_tuples(writer->rri, slot, writer->estate, writer->lenient);
	sure = doubtful == NIL;
	list_free(doubtful);
	ResetPerTupleExprContext(writer->estate);
	return sure;
}

TupleTableSlot *
rows_add(RowWriter *writer, ItemPointer place)
{
	TupleTableSlot *slot;

	if (writer->rel == NULL)
		open_table(writer);
	if (writer->nslots >= MAX_ROWS)
		rows_flush(writer);
	if (writer->nslots >= writer->maxslots)
	{
		int			size = writer->maxslots == 0 ? 16 : writer->maxslots * 2;

		if (writer->slots == NULL)
		{
			writer->slots = palloc0(size * sizeof(TupleTableSlot *));
			writer->places = palloc0(size * sizeof(ItemPointer));
		}
		else
		{
			writer->slots = repalloc(writer->slots, size * sizeof(TupleTableSlot *));
			writer->places = repalloc(writer->places, size * sizeof(ItemPointer));
			memset(writer->slots + writer->maxslots, 0, (size - writer->maxslots) * sizeof(TupleTableSlot *));
		}
		writer->maxslots = size;
	}
	if (writer->slots[writer->nslots] == NULL)
		writer->slots[writer->nslots] = MakeSingleTupleTableSlot(writer->desc, table_slot_callbacks(writer->rel));
	slot = writer->slots[writer->nslots];
	clear_slot(writer, slot);
	writer->places[writer->nslots] = place;
	writer->nslots++;
	return slot;
}

void
rows_flush(RowWriter *writer)
{
	int			i;

	if (writer->nslots == 0)
		return;
	for (i = 0; i < writer->nslots; i++)
		ExecStoreVirtualTuple(writer->slots[i]);
	table_multi_insert(writer->rel, writer->slots, writer->nslots, GetCurrentCommandId(true), 0, NULL);
	for (i = 0; i < writer->nslots; i++)
	{
		if (!insert_index_entries(writer, writer->slots[i]))
			take_back(writer, writer->slots[i]);
		writer->lowest = Min(writer->lowest, ItemPointerGetBlockNumber(&writer->slots[i]->tts_tid));
		if (writer->places[i])
			*writer->places[i] = writer->slots[i]->tts_tid;
	}
	writer->nslots = 0;
}

/* Its index entries stay, as those of any row that was deleted. */
static void
take_back(RowWriter *writer, TupleTableSlot *slot)
{
	CommandCounterIncrement();
	simple_table_tuple_delete(writer->rel, &slot->tts_tid, GetActiveSnapshot());
	ItemPointerSetInvalid(&slot->tts_tid);
}

TupleTableSlot *
rows_update_slot(RowWriter *writer)
{
	if (writer->rel == NULL)
		open_table(writer);
	if (writer->update_slot == NULL)
		writer->update_slot = MakeSingleTupleTableSlot(writer->desc, table_slot_callbacks(writer->rel));
	clear_slot(writer, writer->update_slot);
	return writer->update_slot;
}

/* Raises an error when somebody else has changed the row: our locks forbid that. */
void
rows_update(RowWriter *writer, ItemPointer place)
{
	CompatUpdateIndexes update_indexes;
	ItemPointerData old = *place;

	ExecStoreVirtualTuple(writer->update_slot);
	simple_table_tuple_update(writer->rel, &old, writer->update_slot, GetActiveSnapshot(), &update_indexes);
	if (COMPAT_NEEDS_INDEXES(update_indexes))
		(void) insert_index_entries(writer, writer->update_slot);
	*place = writer->update_slot->tts_tid;
}

struct varlena *
rows_out_of_line(RowWriter *writer, ItemPointer place, int attnum)
{
	TupleTableSlot *slot;
	struct varlena *pointer = NULL;
	Datum		value;
	bool		isnull;

	if (writer->rel == NULL)
		open_table(writer);
	slot = table_slot_create(writer->rel, NULL);
	if (!table_tuple_fetch_row_version(writer->rel, place, SnapshotAny, slot))
		elog(ERROR, "a row just written is not there");
	value = slot_getattr(slot, attnum, &isnull);
	if (!isnull && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
		pointer = (struct varlena *) DatumGetPointer(datumCopy(value, false, -1));
	ExecDropSingleTupleTableSlot(slot);
	return pointer;
}

void
rows_close(RowWriter *writer)
{
	int			i;

	if (writer->rel == NULL)
		return;
	rows_flush(writer);
	for (i = 0; i < writer->maxslots; i++)
	{
		if (writer->slots[i])
			ExecDropSingleTupleTableSlot(writer->slots[i]);
	}
	if (writer->update_slot)
		ExecDropSingleTupleTableSlot(writer->update_slot);
	close_indexes(writer);
	if (writer->estate)
	{
		ExecCloseIndices(writer->rri);
		FreeExecutorState(writer->estate);
	}
	table_close(writer->rel, NoLock);
}
