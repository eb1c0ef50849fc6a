/*
 * arguments.h
 *		SQL functions in C: making them visible, and their arguments, checked.
 */
#ifndef MISTRAL_ARGUMENTS_H
#define MISTRAL_ARGUMENTS_H

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

/* A text argument that may not be null; `what` names it in the error. */
extern char *arg_text(FunctionCallInfo fcinfo, int argno, const char *what);

/* The same with a limit of MAX_NAME_LENGTH characters; `empty`: whether '' is one. */
extern char *arg_name(FunctionCallInfo fcinfo, int argno, const char *what, bool empty);

/*
 * The argument `scope`: true for public.  Raises for another word, and when
 * the caller may not publish.
 */
extern bool arg_scope(FunctionCallInfo fcinfo, int argno);

/* An identifier that may not be null. */
extern pg_uuid_t arg_id(FunctionCallInfo fcinfo, int argno, const char *what);

/* NULL for NULL. */
extern char *arg_text_or_null(FunctionCallInfo fcinfo, int argno);
extern Jsonb *arg_json_or_null(FunctionCallInfo fcinfo, int argno);

/* A JSON object; NULL counts as the empty one. */
extern Jsonb *arg_object(FunctionCallInfo fcinfo, int argno, const char *what);

#endif							/* MISTRAL_ARGUMENTS_H */
