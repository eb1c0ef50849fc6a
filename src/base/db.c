/*
 * db.c
 *		The way to our tables: whose rights, which names, kept plans.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "parser/parse_func.h"
#include "nodes/value.h"
#include "catalog/pg_type.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/cost.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/db.h"
#include "compat.h"

static Oid	extension_id = InvalidOid;
static Oid	extension_owner = InvalidOid;
static Oid	extension_schema = InvalidOid;
static bool callback_registered = false;

/* Rows that db_each has in memory at a time. */
#define ROWS_AT_ONCE 1000

#define SEARCH_PATH "pg_catalog, pg_temp"

static void prepare(DbStatement *statement);
static void pin_setting(const char *name, const char *value);
static void require_extension(void);
static void load_extension(void);
static void open_lookup(DbLookup *lookup, const char *table, const char *index);
static bool lock_free(DbLookup *lookup, ItemPointer place);
static void begin_lookup(DbLookup *lookup, Snapshot snapshot, int nkeys);

void
db_enter(DbSession *session)
{
	Oid			owner = db_extension_owner();

	GetUserIdAndSecContext(&session->caller, &session->sec_context);
	SetUserIdAndSecContext(owner, session->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	session->guc_nest_level = NewGUCNestLevel();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
db_leave(DbSession *session)
{
	SPI_finish();
	AtEOXact_GUC(false, session->guc_nest_level);
	SetUserIdAndSecContext(session->caller, session->sec_context);
}

/*
 * Looks at what is there instead of remembering what it has done: the end of a
 * subtransaction, or an error, takes settings back.
 */
void
db_pin_settings(void)
{
	if (namespace_search_path == NULL || strcmp(namespace_search_path, SEARCH_PATH) != 0)
		pin_setting("search_path", SEARCH_PATH);

	/*
	 * Kept plans are often made while a table is small or empty; they must
	 * not go on scanning it when it has grown.
	 */
	if (enable_seqscan)
		pin_setting("enable_seqscan", "off");
	/* Where a scan is the only way, the cost that this makes up would have it compiled. */
	if (jit_enabled)
		pin_setting("jit", "off");
}

void
db_use_indexes(void)
{
	db_pin_settings();
	pin_setting("enable_hashjoin", "off");
	pin_setting("enable_mergejoin", "off");
	pin_setting("enable_seqscan", "off");
}

Oid
db_extension(void)
{
	if (!OidIsValid(extension_id))
		load_extension();
	return extension_id;
}

Oid
db_extension_owner(void)
{
	require_extension();
	return extension_owner;
}

Oid
db_schema(void)
{
	require_extension();
	return extension_schema;
}

bool
db_may_execute(Oid role, Oid function)
{
	return DatumGetBool(DirectFunctionCall3(has_function_privilege_id_id, ObjectIdGetDatum(role),
											ObjectIdGetDatum(function), CStringGetTextDatum("EXECUTE")));
}

bool
db_may_use_action(Oid role, const char *guard)
{
	Oid			types[1] = {JSONBOID};
	List	   *name = list_make2(makeString(get_namespace_name(db_schema())), makeString(pstrdup(guard)));

	return db_may_execute(role, LookupFuncName(name, 1, types, false));
}

Oid
db_table(const char *name)
{
	Oid			oid = get_relname_relid(name, db_schema());

	if (!OidIsValid(oid))
		elog(ERROR, "table mistral.%s is missing", name);
	return oid;
}

bool
db_table_is_empty(const char *name)
{
	Relation	rel = table_open(db_table(name), AccessShareLock);
	bool		empty = RelationGetNumberOfBlocks(rel) == 0;

	table_close(rel, AccessShareLock);
	return empty;
}

uint64
db_execute(DbStatement *statement, Datum *values, const char *nulls, bool read_only, long limit)
{
	int			rc;

	prepare(statement);
	rc = SPI_execute_plan(statement->plan, values, nulls, read_only, limit);
	if (rc < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->text, SPI_result_code_string(rc));
	return SPI_processed;
}

void
db_each(DbStatement *statement, Datum *values, const char *nulls, DbRow row, void *arg)
{
	Portal		portal;

	prepare(statement);
	portal = SPI_cursor_open(NULL, statement->plan, values, nulls, false);
	for (;;)
	{
		SPITupleTable *rows;
		uint64		n;
		uint64		i;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, ROWS_AT_ONCE);
		rows = SPI_tuptable;
		n = SPI_processed;
		for (i = 0; i < n; i++)
		{
			/* What the one before has executed has put its own result there. */
			SPI_tuptable = rows;
			SPI_processed = n;
			row(arg, i);
		}
		SPI_freetuptable(rows);
		if (n < ROWS_AT_ONCE)
			break;
	}
	SPI_cursor_close(portal);
}

static void
prepare(DbStatement *statement)
{
	SPIPlanPtr	plan;

	db_pin_settings();
	if (statement->plan != NULL)
		return;
	plan = SPI_prepare_cursor(statement->text, statement->nparams, statement->types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement->text, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
}

uint64
db_read_latest(DbStatement *statement, Datum *values, long limit)
{
	uint64		n;

	PushActiveSnapshot(GetLatestSnapshot());
	n = db_execute(statement, values, NULL, true, limit);
	PopActiveSnapshot();
	return n;
}

void
db_lookup_begin(DbLookup *lookup, const char *table, const char *index, const char *const *texts, int ntexts)
{
	db_lookup_begin_after(lookup, table, index, texts, ntexts, NULL);
}

void
db_lookup_begin_after(DbLookup *lookup, const char *table, const char *index, const char *const *texts, int ntexts,
					  const pg_uuid_t *after)
{
	ScanKeyData keys[DB_LOOKUP_KEYS + 1];
	int			nkeys = ntexts;
	int			i;

	Assert(ntexts <= DB_LOOKUP_KEYS);
	open_lookup(lookup, table, index);
	for (i = 0; i < ntexts; i++)
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid, lookup->index->rd_indcollation[i],
							   F_TEXTEQ, CStringGetTextDatum(texts[i]));
	if (after)
		ScanKeyInit(&keys[nkeys++], ntexts + 1, BTGreaterStrategyNumber, F_UUID_GT, UUIDPGetDatum(after));

	/* What this transaction has just written is seen, too. */
	CommandCounterIncrement();
	begin_lookup(lookup, GetTransactionSnapshot(), nkeys);
	index_rescan(lookup->scan, keys, nkeys, NULL, 0);
}

void
db_lookup_latest(DbLookup *lookup, const char *table, const char *index, const pg_uuid_t *id)
{
	open_lookup(lookup, table, index);
	CommandCounterIncrement();
	begin_lookup(lookup, GetLatestSnapshot(), 1);
	if (id)
		db_lookup_again(lookup, id);
}

void
db_lookup_again(DbLookup *lookup, const pg_uuid_t *id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	index_rescan(lookup->scan, &key, 1, NULL, 0);
}

static void
open_lookup(DbLookup *lookup, const char *table, const char *index)
{
	lookup->rel = table_open(db_table(table), AccessShareLock);
	lookup->index = index_open(db_table(index), AccessShareLock);
}

static void
begin_lookup(DbLookup *lookup, Snapshot snapshot, int nkeys)
{
	lookup->snapshot = RegisterSnapshot(snapshot);
	lookup->slot = table_slot_create(lookup->rel, NULL);
	lookup->scan = compat_index_beginscan(lookup->rel, lookup->index, lookup->snapshot, nkeys);
}

TupleTableSlot *
db_lookup_next(DbLookup *lookup)
{
	return index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->slot) ? lookup->slot : NULL;
}

bool
db_lookup_same(DbLookup *lookup, ItemPointer place)
{
	bool		same = table_tuple_fetch_row_version(lookup->rel, place, lookup->snapshot, lookup->slot);

	ExecClearTuple(lookup->slot);
	return same;
}

bool
db_lookup_delete(DbLookup *lookup, bool wait)
{
	ItemPointerData place = lookup->slot->tts_tid;
	TM_FailureData failure;
	TM_Result	result;

	LockRelationOid(RelationGetRelid(lookup->rel), RowExclusiveLock);
	result = table_tuple_delete(lookup->rel, &place, GetCurrentCommandId(true), lookup->snapshot,
								InvalidSnapshot, wait, &failure, false);
	/* That may be a lock of this transaction's own. */
	if (result == TM_BeingModified && !wait && lock_free(lookup, &place))
		result = table_tuple_delete(lookup->rel, &place, GetCurrentCommandId(true), lookup->snapshot,
									InvalidSnapshot, true, &failure, false);
	if (result != TM_Ok && result != TM_Updated && result != TM_Deleted && (wait || result != TM_BeingModified))
		elog(ERROR, "unexpected result of a delete: %d", result);
	return result == TM_Ok;
}

/* Locks a row, if nobody else has. */
static bool
lock_free(DbLookup *lookup, ItemPointer place)
{
	TupleTableSlot *slot = table_slot_create(lookup->rel, NULL);
	TM_FailureData failure;
	TM_Result	result = table_tuple_lock(lookup->rel, place, lookup->snapshot, slot, GetCurrentCommandId(true),
										  LockTupleExclusive, LockWaitSkip, 0, &failure);

	ExecDropSingleTupleTableSlot(slot);
	return result == TM_Ok;
}

void
db_lookup_end(DbLookup *lookup)
{
	index_endscan(lookup->scan);
	ExecDropSingleTupleTableSlot(lookup->slot);
	UnregisterSnapshot(lookup->snapshot);
	/* The locks stay, as a statement's would: the transaction's next look has them already. */
	index_close(lookup->index, NoLock);
	table_close(lookup->rel, NoLock);
}

DbMoment
db_moment(void)
{
	DbMoment	now = {GetCurrentTransactionStartTimestamp(), GetCurrentSubTransactionId(), GetCurrentCommandId(false)};

	return now;
}

bool
db_same_moment(const DbMoment *moment)
{
	DbMoment	now = db_moment();

	return moment->transaction == now.transaction && moment->part == now.part && moment->command == now.command;
}

void
db_lock_begin(DbLookup *lookup, const char *table, const char *index)
{
	open_lookup(lookup, table, index);
	/* Kept, as the row locks are, until the transaction ends. */
	LockRelationOid(RelationGetRelid(lookup->rel), RowShareLock);
	CommandCounterIncrement();
	begin_lookup(lookup, GetTransactionSnapshot(), 1);
}

/* Does with the row what a plan's LockRows does, which the errors are those of. */
TupleTableSlot *
db_lock_row(DbLookup *lookup, const pg_uuid_t *id)
{
	uint8		flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;
	ItemPointerData place;

	db_lookup_again(lookup, id);
	if (db_lookup_next(lookup) == NULL)
		return NULL;
	place = lookup->slot->tts_tid;
	ExecClearTuple(lookup->slot);
	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	switch (table_tuple_lock(lookup->rel, &place, lookup->snapshot, lookup->slot, GetCurrentCommandId(true),
							 LockTupleNoKeyExclusive, LockWaitSkip, flags, &failure))
	{
		case TM_Ok:
			return lookup->slot;
		case TM_WouldBlock:
		case TM_SelfModified:
			return NULL;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update")));
			return NULL;
		default:
			elog(ERROR, "unexpected result of locking a row");
	}
	return NULL;
}

Datum
db_datum(uint64 row, int attnum, bool *isnull)
{
	Assert(row < SPI_processed);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, attnum, isnull);
}

void
db_copy_row(TupleTableSlot *slot, Datum **values, bool **nulls)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;

	*values = palloc(desc->natts * sizeof(Datum));
	*nulls = palloc(desc->natts * sizeof(bool));
	heap_deform_tuple(ExecCopySlotHeapTuple(slot), desc, *values, *nulls);
}

void
db_row(uint64 row, Datum *values, bool *nulls)
{
	Assert(row < SPI_processed);
	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
}

static void
pin_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static void
forget_extension(Datum arg, Oid relid)
{
	extension_id = InvalidOid;
	extension_owner = InvalidOid;
	extension_schema = InvalidOid;
}

static void
require_extension(void)
{
	if (!OidIsValid(db_extension()))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"mistral\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION mistral.")));
}

/* Looks the extension up; what is found is kept until a table changes. */
static void
load_extension(void)
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (!callback_registered)
	{
		/* Whatever drops or makes the extension drops or makes its tables. */
		CacheRegisterRelcacheCallback(forget_extension, (Datum) 0);
		callback_registered = true;
	}
	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("mistral"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		extension_id = form->oid;
		extension_owner = form->extowner;
		extension_schema = form->extnamespace;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}
