/*
 * sql_call.h
 *		Calling a function of the database, or a statement, with somebody's rights.
 */
#ifndef MISTRAL_SQL_CALL_H
#define MISTRAL_SQL_CALL_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct SqlCall
{
	const char *name;			/* of the action */
	Oid			owner;			/* with whose rights */
	const Jsonb *input;
	int			timeout_ms;		/* 0: none */
	Oid			function;		/* filled in: InvalidOid for std.sql */
	bool		failed;
	Jsonb	   *result;			/* of a call that failed: {"sqlstate", "message", ...} */
} SqlCall;

/* Finds out what is to be called.  False, and *error, when the owner may call nothing of that name (any more). */
extern bool sql_call_prepare(SqlCall *call, char **error);

/*
 * Calls it in a subtransaction: what it does stays or, with its error as the result, goes.  Errors that are not the call's own (shutdown,
 * lost races, lack of resources) are raised.  Between db_enter and db_leave; the results are in the current memory context.
 */
extern void sql_call(SqlCall *call);

#endif							/* MISTRAL_SQL_CALL_H */
