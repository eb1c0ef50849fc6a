/*
 * compat.h
 *		Every difference between PostgreSQL 14 and 18, and the only place
 *		that looks at PG_VERSION_NUM.
 */
#ifndef MISTRAL_COMPAT_H
#define MISTRAL_COMPAT_H

#include "postgres.h"

#include "access/tableam.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

/* 16 took the layout of variable-length values out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 140000
#error "mistral needs PostgreSQL 14 or later"
#endif

/*
 * Before 15 a node of the parser was called Value, as ours is (expr/value.h).
 * Ours gets another name once the headers that speak of that node are read.
 */
#if PG_VERSION_NUM < 150000
#include "parser/parse_node.h"
#define Value MistralValue
#endif

/* 15 asks for shared memory in a hook of its own. */
#if PG_VERSION_NUM >= 150000
#define HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* 15 reserves a prefix of settings; before that it only warned. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 15 (from its first minor on) has a function for set-returning functions that materialize. */
#if PG_VERSION_NUM >= 160000
#define compat_init_materialized_srf(fcinfo) InitMaterializedSRF(fcinfo, 0)
#elif PG_VERSION_NUM >= 150000
#define compat_init_materialized_srf(fcinfo) SetSingleFuncCall(fcinfo, 0)
#else
static inline void
compat_init_materialized_srf(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	TupleDesc	desc;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) || !(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = tuplestore_begin_heap(false, false, work_mem);
	rsinfo->setDesc = desc;
	MemoryContextSwitchTo(old);
}
#endif

/* 18 has another word for it, which stands first. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/*
 * With `lenient`, a key that is there already, or may be, is no error: the indexes where it is so are returned.
 * 16 can leave summarizing indexes alone, and tells which indexes an update needs.
 */
#if PG_VERSION_NUM >= 160000
#define compat_insert_index_tuples(rri, slot, estate, lenient) \
	ExecInsertIndexTuples(rri, slot, estate, false, lenient, NULL, NIL, false)
typedef TU_UpdateIndexes CompatUpdateIndexes;
#define COMPAT_NEEDS_INDEXES(u) ((u) != TU_None)
#else
#define compat_insert_index_tuples(rri, slot, estate, lenient) \
	ExecInsertIndexTuples(rri, slot, estate, false, lenient, NULL, NIL)
typedef bool CompatUpdateIndexes;
#define COMPAT_NEEDS_INDEXES(u) (u)
#endif

/* 18 counts what an index scan does. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#else
#define compat_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, nkeys, 0)
#endif

/* 16 replaced the ownership checks of each kind of object by one. */
#if PG_VERSION_NUM >= 160000
#define database_is_owned(database_oid, role) object_ownercheck(DatabaseRelationId, database_oid, role)
#else
#define database_is_owned(database_oid, role) pg_database_ownercheck(database_oid, role)
#endif

/* 15 signals listeners within the commit; before that, a worker asks for it. */
#if PG_VERSION_NUM >= 150000
#define signal_listeners() ((void) 0)
#else
#define signal_listeners() ProcessCompletedNotifies()
#endif

/* 17 names an extension's waits. */
#if PG_VERSION_NUM >= 170000
#define HAVE_NAMED_WAITS 1
#endif

/* 17 limits whole transactions. */
#if PG_VERSION_NUM >= 170000
#define HAVE_TRANSACTION_TIMEOUT 1
#endif

/* 15 renamed what lets the parser find out the types of parameters. */
#if PG_VERSION_NUM >= 150000
#define compat_setup_parse_variable_parameters(state, types, n) setup_parse_variable_parameters(state, types, n)
#else
#define compat_setup_parse_variable_parameters(state, types, n) parse_variable_parameters(state, types, n)
#endif

#endif							/* MISTRAL_COMPAT_H */
