/*
 * secrets.c
 *		SQL functions for secrets.
 */
#include "postgres.h"

#include "fmgr.h"
#include "pgstat.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "base/db.h"
#include "base/secret_key.h"
#include "engine/secrets.h"
#include "errcodes.h"

SQL_FUNCTION(mistral_set_secret);
SQL_FUNCTION(mistral_delete_secret);
SQL_FUNCTION(mistral_rotate_secrets);

Datum
mistral_set_secret(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *value;
	size_t		len;
	DbSession	session;

	/* Whoever wrote the value into the statement: at least it does not stay where others look. */
	pgstat_report_activity(STATE_RUNNING, "SELECT mistral.set_secret(...)");
	name = arg_text(fcinfo, 0, "name");
	value = arg_text(fcinfo, 1, "value");
	len = strlen(value);
	if (!secret_name_valid(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a secret must be 1 to %d letters, digits, \"_\", \"-\" or \".\"", SECRET_NAME_MAX)));
	if (len == 0 || len > SECRET_VALUE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a secret must be 1 to %d bytes long", SECRET_VALUE_MAX)));
	db_enter(&session);
	secret_store(name, value, session.caller);
	db_leave(&session);
	secret_wipe(value, len);
	PG_RETURN_VOID();
}

Datum
mistral_delete_secret(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;
	bool		found;

	db_enter(&session);
	found = secret_delete(name, session.caller);
	db_leave(&session);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("secret \"%s\" does not exist", name),
				 errhint("Only secrets of the current role can be deleted; SET ROLE says whose you mean.")));
	PG_RETURN_VOID();
}

Datum
mistral_rotate_secrets(PG_FUNCTION_ARGS)
{
	DbSession	session;
	int64		n;

	db_enter(&session);
	n = secrets_rotate();
	db_leave(&session);
	PG_RETURN_INT64(n);
}
