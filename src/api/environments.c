/*
 * environments.c
 *		SQL functions for environments.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/args.h"
#include "api/scope.h"
#include "base/db.h"
#include "engine/environments.h"
#include "guc.h"
#include "mistral.h"

SQL_FUNCTION(mistral_set_environment);
SQL_FUNCTION(mistral_delete_environment);

Datum
mistral_set_environment(PG_FUNCTION_ARGS)
{
	char	   *name = arg_name(fcinfo, 0, "name", false);
	char	   *description = arg_text(fcinfo, 2, "description");
	bool		public_ = arg_scope(fcinfo, 3);
	Jsonb	   *variables;
	DbSession	session;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("variables must not be null")));
	variables = PG_GETARG_JSONB_P(1);
	if (!JB_ROOT_IS_OBJECT(variables))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("variables must be a JSON object")));
	if (VARSIZE(variables) > (int64) guc_max_result_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_TOO_LARGE),
				 errmsg("variables are larger than mistral.max_result_size"),
				 errdetail("They take %d kB; the limit is %d kB.", (int) (VARSIZE(variables) / 1024) + 1, guc_max_result_size)));
	db_enter(&session);
	environment_store(name, variables, description, public_, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

Datum
mistral_delete_environment(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;
	bool		found;

	db_enter(&session);
	found = environment_delete(name, session.caller);
	db_leave(&session);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("environment \"%s\" does not exist", name),
				 errhint("Only environments of roles whose rights you have can be deleted.")));
	PG_RETURN_VOID();
}
