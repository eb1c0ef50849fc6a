/*
 * guards.c
 *		The guards of the actions that reach out.
 *
 * Their privileges are what counts: whoever may EXECUTE one may use the action
 * of its name in workflows.  Who performs it asks for the execution's owner each
 * time.
 */
#include "postgres.h"

#include "fmgr.h"

#include "api/args.h"
#include "compat.h"

SQL_FUNCTION(mistral_std_http);
SQL_FUNCTION(mistral_std_mistral_http);
SQL_FUNCTION(mistral_std_email);
SQL_FUNCTION(mistral_std_sql);
SQL_FUNCTION(mistral_std_amqp);
SQL_FUNCTION(mistral_std_ssh);
SQL_FUNCTION(mistral_std_ssh_proxied);
SQL_FUNCTION(mistral_module_action);

static void refuse_call(const char *action) pg_attribute_noreturn();

/* mistral.std_http(jsonb): always raises. */
Datum
mistral_std_http(PG_FUNCTION_ARGS)
{
	refuse_call("std.http");
}

/* mistral.std_mistral_http(jsonb): always raises. */
Datum
mistral_std_mistral_http(PG_FUNCTION_ARGS)
{
	refuse_call("std.mistral_http");
}

/* mistral.std_email(jsonb): always raises. */
Datum
mistral_std_email(PG_FUNCTION_ARGS)
{
	refuse_call("std.email");
}

/* mistral.std_sql(jsonb): always raises. */
Datum
mistral_std_sql(PG_FUNCTION_ARGS)
{
	refuse_call("std.sql");
}

/* mistral.std_amqp(jsonb): always raises. */
Datum
mistral_std_amqp(PG_FUNCTION_ARGS)
{
	refuse_call("std.amqp");
}

/* mistral.std_ssh(jsonb): always raises. */
Datum
mistral_std_ssh(PG_FUNCTION_ARGS)
{
	refuse_call("std.ssh");
}

/* mistral.std_ssh_proxied(jsonb): always raises. */
Datum
mistral_std_ssh_proxied(PG_FUNCTION_ARGS)
{
	refuse_call("std.ssh_proxied");
}

/* mistral.module_action(jsonb): always raises. */
Datum
mistral_module_action(PG_FUNCTION_ARGS)
{
	refuse_call("of a module");
}

static void
refuse_call(const char *action)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("action %s cannot be called as a function", action),
			 errdetail("This function's privileges say who may use the action in workflows."),
			 errhint("Call it through a workflow, or with SELECT mistral.run_action(name, input).")));
}
