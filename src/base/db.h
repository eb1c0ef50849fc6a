/*
 * db.h
 *		The way to our tables: whose rights, which names, kept plans.
 *
 * SQL functions of the extension are SECURITY INVOKER: they note the caller's
 * role and switch to the extension's owner inside (SECURITY DEFINER would lose
 * the caller).  An error restores both by itself, through the abort of the
 * (sub)transaction.
 */
#ifndef MISTRAL_DB_H
#define MISTRAL_DB_H

#include "postgres.h"

#include "access/genam.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "utils/uuid.h"

typedef struct DbSession
{
	Oid			caller;			/* the role that called */
	int			sec_context;
	int			guc_nest_level;
} DbSession;

/*
 * Connects SPI and switches to the extension's owner.  Every db_enter has its
 * db_leave, which also takes back what settings were pinned between; they nest.
 */
extern void db_enter(DbSession *session);
extern void db_leave(DbSession *session);

/*
 * Pins search_path to pg_catalog, and what a planner must not do, until db_leave.
 * The functions below that execute a statement do it themselves, so that who
 * needs none does not pay: setting and taking back is a tenth of a start.
 */
extern void db_pin_settings(void);

/*
 * Plans are kept, perhaps from a time when the tables were small: until db_leave
 * they are made to go by the indexes, whatever the statistics say.
 */
extern void db_use_indexes(void);

/* The extension, or InvalidOid; kept until a table changes, as it does where the extension is dropped or made. */
extern Oid	db_extension(void);

/* The extension's owner and schema; an error when the extension is not installed here. */
extern Oid	db_extension_owner(void);
extern Oid	db_schema(void);

/* Whether a role may execute a function; and the guard function of an action, mistral.<name>(jsonb). */
extern bool db_may_execute(Oid role, Oid function);
extern bool db_may_use_action(Oid role, const char *guard);

/* Oid of one of our tables, by name; cached until the extension goes. */
extern Oid	db_table(const char *name);

/*
 * Whether the table has no page, as one that nobody uses, or that vacuum has
 * emptied.  Much cheaper than a statement that finds no row; true says that no
 * committed row is there, false says nothing.
 */
extern bool db_table_is_empty(const char *name);

/*
 * A statement whose plan is kept for the life of the process.  Declare one
 * static per statement:
 *
 *		static DbStatement find = {"SELECT ... $1", 1, {UUIDOID}};
 *
 * Names in the text are qualified, values are parameters, always.
 */
#define DB_MAX_PARAMS 24
typedef struct DbStatement
{
	const char *text;
	int			nparams;
	Oid			types[DB_MAX_PARAMS];
	SPIPlanPtr	plan;			/* NULL until first used */
} DbStatement;

/*
 * Runs it; `nulls` as in SPI_execute_plan (NULL: none).  Returns the number of
 * rows processed; rows are in SPI_tuptable until db_leave.  With `read_only`
 * the caller's snapshot is used, else a new one.
 */
extern uint64 db_execute(DbStatement *statement, Datum *values, const char *nulls, bool read_only, long limit);

/*
 * Reads many rows, a part of them at a time: `row` is called for each, and
 * reads its columns with db_datum before it executes anything else.
 */
typedef void (*DbRow) (void *arg, uint64 row);
extern void db_each(DbStatement *statement, Datum *values, const char *nulls, DbRow row, void *arg);

/*
 * Reads with the newest snapshot, also in a REPEATABLE READ transaction: sees
 * what others have committed since it began.
 */
extern uint64 db_read_latest(DbStatement *statement, Datum *values, long limit);

/*
 * The rows of a table whose first columns in an index of it, all of type text,
 * have these values, as a statement would see them now: without the statement,
 * which costs several times as much.
 *
 *		db_lookup_begin(&lookup, "table", "index", texts, ntexts);
 *		while ((slot = db_lookup_next(&lookup)) != NULL)
 *			...
 *		db_lookup_end(&lookup);
 */
#define DB_LOOKUP_KEYS 4
typedef struct DbLookup
{
	Relation	rel;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;
} DbLookup;

extern void db_lookup_begin(DbLookup *lookup, const char *table, const char *index, const char *const *texts, int ntexts);

/* Of those rows the ones whose next column of the index, an id, is greater than `after`. */
extern void db_lookup_begin_after(DbLookup *lookup, const char *table, const char *index, const char *const *texts, int ntexts,
								  const pg_uuid_t *after);

/*
 * The same by the first column of a primary key, an id (NULL: which one, db_lookup_again says), with the newest snapshot, as
 * db_read_latest.
 */
extern void db_lookup_latest(DbLookup *lookup, const char *table, const char *index, const pg_uuid_t *id);

/* Looks for another id in the same table, with the same snapshot. */
extern void db_lookup_again(DbLookup *lookup, const pg_uuid_t *id);
extern TupleTableSlot *db_lookup_next(DbLookup *lookup);

/* Whether the version of a row at this place, which was seen before, is the one that the lookup's snapshot sees. */
extern bool db_lookup_same(DbLookup *lookup, ItemPointer place);

/*
 * Deletes the row that db_lookup_next gave last, of a table as rows.h has them.  Where somebody is changing or locking it: waits for
 * the end of that, or leaves it.  False when the row is left, or no longer there as it was seen, which says nothing about a newer version.
 */
extern bool db_lookup_delete(DbLookup *lookup, bool wait);
extern void db_lookup_end(DbLookup *lookup);

/*
 * All columns of a row, which outlive its slot, in the current memory context; as
 * many as the table has, to which somebody may have added some.
 */
extern void db_copy_row(TupleTableSlot *slot, Datum **values, bool **nulls);

/*
 * A moment lasts until the transaction writes something, or a subtransaction
 * begins or ends: as long, what was just found may be found again without a look.
 */
typedef struct DbMoment
{
	TimestampTz transaction;	/* 0: none */
	SubTransactionId part;
	CommandId	command;
} DbMoment;

extern DbMoment db_moment(void);
extern bool db_same_moment(const DbMoment *moment);

/*
 * Rows of a table by its primary key, an id, one after the other, as SELECT ... FOR NO KEY UPDATE SKIP LOCKED has them:
 *
 *		db_lock_begin(&lookup, "table", "index");
 *		slot = db_lock_row(&lookup, &id);
 *		db_lookup_end(&lookup);
 *
 * A row comes in its newest version; NULL where there is none, or somebody else holds it.
 */
extern void db_lock_begin(DbLookup *lookup, const char *table, const char *index);
extern TupleTableSlot *db_lock_row(DbLookup *lookup, const pg_uuid_t *id);

/* Column `attnum` (from 1) of row `row` (from 0) of the last result. */
extern Datum db_datum(uint64 row, int attnum, bool *isnull);

/* All columns of such a row at once, which is less work than one after the other. */
extern void db_row(uint64 row, Datum *values, bool *nulls);

#endif							/* MISTRAL_DB_H */
