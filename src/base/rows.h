/*
 * rows.h
 *		Writing rows of our own tables without going through a plan: whole
 *		batches of inserts, and updates and deletes by place.
 *
 * Our state tables have no triggers, constraints to check, generated columns
 * or row security, which is what makes this right.  A column that somebody adds
 * is NULL in each row that is written or changed here.
 */
#ifndef MISTRAL_ROWS_H
#define MISTRAL_ROWS_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

typedef struct RowWriter
{
	const char *table;
	Relation	rel;			/* NULL until there is a row */
	struct RowIndex *indexes;	/* plain ones */
	int			nindexes;
	EState	   *estate;			/* NULL when all indexes are plain; else it and rri have them */
	ResultRelInfo *rri;
	int			natts;
	int			ncolumns;		/* those of them that are ours */
	TupleDesc	desc;			/* a copy, so that a thousand slots need not pin the relation's */
	TupleTableSlot **slots;		/* rows collected for the next insert */
	ItemPointer *places;		/* where each of them wants its TID */
	int			nslots;
	int			maxslots;
	TupleTableSlot *update_slot;
	bool		lenient;		/* set after rows_open: a row with a key that is there already, or may be, is taken back */
	BlockNumber lowest;			/* page that has an inserted row, none before it has; stays when it is closed */
} RowWriter;

/* Prepares for writing to a table, by its name in our schema; the name must live until rows_close. */
extern void rows_open(RowWriter *writer, const char *table);

/*
 * Collects a row: fill values and nulls of the slot returned, then nothing
 * more.  The values must live until rows_flush.  `place` (may be NULL) receives
 * the row's TID when it is written, an invalid one when it was taken back.
 */
extern TupleTableSlot *rows_add(RowWriter *writer, ItemPointer place);

/* Writes what was collected: the whole table, then its indexes. */
extern void rows_flush(RowWriter *writer);

/* A slot to fill for an update of the row at `place`, then rows_update, which moves `place`. */
extern TupleTableSlot *rows_update_slot(RowWriter *writer);
extern void rows_update(RowWriter *writer, ItemPointer place);

/*
 * Where a written row keeps a column's value out of line, if it does: its
 * pointer, in the current memory context, else NULL.  An update with the pointer
 * leaves the value where it is.
 */
extern struct varlena *rows_out_of_line(RowWriter *writer, ItemPointer place, int attnum);

/* Flushes and closes; locks stay until the transaction ends. */
extern void rows_close(RowWriter *writer);

#endif							/* MISTRAL_ROWS_H */
