/*
 * sources.c
 *		SQL functions on sources: what modules read from outside.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/uuid.h"

#include "api/args.h"
#include "api/scope.h"
#include "base/db.h"
#include "engine/source.h"

SQL_FUNCTION(mistral_add_source);
SQL_FUNCTION(mistral_delete_source);

/* add_source(name, module, kind, config) */
Datum
mistral_add_source(PG_FUNCTION_ARGS)
{
	char	   *name = arg_name(fcinfo, 0, "name", false);
	char	   *module = arg_name(fcinfo, 1, "module", false);
	char	   *kind = arg_text(fcinfo, 2, "kind");
	Jsonb	   *config = arg_object(fcinfo, 3, "config");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.add_source()");
	db_enter(&session);
	source_store(name, module, kind, config, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* delete_source(name) */
Datum
mistral_delete_source(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.delete_source()");
	db_enter(&session);
	source_delete(name, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}
