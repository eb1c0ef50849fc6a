/*
 * args.h
 *		SQL functions in C: making them visible, and their arguments as the
 *		layers below take them.
 */
#ifndef MISTRAL_ARGS_H
#define MISTRAL_ARGS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * Makes a C function callable from SQL: PG_FUNCTION_INFO_V1, and visible also
 * where (before 16) that leaves the function itself hidden.
 */
#define SQL_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/* Each raises "X must not be null" when the argument is NULL. */
extern char *arg_text(FunctionCallInfo fcinfo, int n, const char *name);
extern pg_uuid_t arg_id(FunctionCallInfo fcinfo, int n, const char *name);

/* NULL for NULL. */
extern char *arg_text_or_null(FunctionCallInfo fcinfo, int n);
extern Jsonb *arg_json_or_null(FunctionCallInfo fcinfo, int n);

/* An object; NULL counts as the empty one. */
extern Jsonb *arg_object(FunctionCallInfo fcinfo, int n, const char *name);

#endif							/* MISTRAL_ARGS_H */
