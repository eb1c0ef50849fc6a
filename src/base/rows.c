/*
 * rows.c
 *		Writing rows of our own tables without going through a plan.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/db.h"
#include "base/rows.h"
#include "compat.h"

/* Rows collected before they are written. */
#define MAX_ROWS 1000

static void open_table(RowWriter *writer);

void
rows_open(RowWriter *writer, const char *table)
{
	memset(writer, 0, sizeof(*writer));
	writer->table = table;
}

/* The first row opens the table: many a writer has none. */
static void
open_table(RowWriter *writer)
{
	writer->rel = table_open(db_table(writer->table), RowExclusiveLock);
	writer->natts = RelationGetDescr(writer->rel)->natts;
	writer->desc = CreateTupleDescCopy(RelationGetDescr(writer->rel));
	writer->estate = CreateExecutorState();
	writer->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->rri, writer->rel, 1, NULL, 0);
	ExecOpenIndices(writer->rri, false);
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
	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, writer->natts * sizeof(bool));
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
		if (writer->rri->ri_NumIndices > 0)
			list_free(compat_insert_index_tuples(writer->rri, writer->slots[i], writer->estate));
		if (writer->places[i])
			*writer->places[i] = writer->slots[i]->tts_tid;
		ResetPerTupleExprContext(writer->estate);
	}
	writer->nslots = 0;
}

TupleTableSlot *
rows_update_slot(RowWriter *writer)
{
	if (writer->rel == NULL)
		open_table(writer);
	if (writer->update_slot == NULL)
		writer->update_slot = MakeSingleTupleTableSlot(writer->desc, table_slot_callbacks(writer->rel));
	ExecClearTuple(writer->update_slot);
	memset(writer->update_slot->tts_isnull, false, writer->natts * sizeof(bool));
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
	if (writer->rri->ri_NumIndices > 0 && COMPAT_NEEDS_INDEXES(update_indexes))
		list_free(compat_insert_index_tuples(writer->rri, writer->update_slot, writer->estate));
	*place = writer->update_slot->tts_tid;
	ResetPerTupleExprContext(writer->estate);
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
	ExecCloseIndices(writer->rri);
	FreeExecutorState(writer->estate);
	table_close(writer->rel, NoLock);
}
