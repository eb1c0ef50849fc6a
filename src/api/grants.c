/*
 * grants.c
 *		grant_access and revoke_access: kinds of users in plain GRANTs.
 *
 * One table says which kind may call which function.  What is granted shows in
 * \df+ and \dp, and nothing else remembers it: a kind is taken to be held when
 * the role has been granted every function of it that no other kind has.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "base/db.h"
#include "mistral.h"

SQL_FUNCTION(mistral_grant_access);
SQL_FUNCTION(mistral_revoke_access);

#define AUTHOR		0x01
#define OPERATOR	0x02
#define WORKER		0x04
#define VIEWER		0x08
#define PUBLISHER	0x10
#define APPROVER	0x20

#define READERS		(AUTHOR | OPERATOR | VIEWER)

/* The only view that is of use to who is nothing but an approver. */
#define APPROVER_VIEW "mistral.approvals"

static const struct
{
	const char *name;
	int			kind;
}			kinds[] = {
	{"author", AUTHOR}, {"operator", OPERATOR}, {"worker", WORKER}, {"viewer", VIEWER}, {"publisher", PUBLISHER},
	{"approver", APPROVER}
};

/* Functions, all overloads; those that this version lacks are passed over. */
static const struct
{
	const char *name;
	int			kinds;
}			functions[] = {
	{"add_hook", OPERATOR},
	{"add_overlay", AUTHOR},
	{"approve", APPROVER},
	{"archived_execution", READERS},
	{"backfill_cron_trigger", OPERATOR},
	{"builtin_actions", READERS},
	{"cancel_action", WORKER},
	{"cancel_workflow", OPERATOR},
	{"claim_actions", WORKER},
	{"complete_action", WORKER},
	{"complete_actions", WORKER},
	{"create_cron_trigger", OPERATOR},
	{"create_event_trigger", OPERATOR},
	{"delete_action", AUTHOR},
	{"delete_cron_trigger", OPERATOR},
	{"delete_environment", AUTHOR},
	{"delete_event_trigger", OPERATOR},
	{"delete_execution", OPERATOR},
	{"delete_secret", AUTHOR | OPERATOR},
	{"delete_workbook", AUTHOR},
	{"delete_workflow", AUTHOR},
	{"evaluate", AUTHOR},
	{"evaluate_data", AUTHOR},
	{"execution_graph", READERS},
	{"execution_report", READERS},
	{"fail_action", WORKER},
	{"fail_actions", WORKER},
	{"grant_hook", AUTHOR},
	{"heartbeat_actions", WORKER},
	{"history_since", READERS},
	{"json_schema", READERS},
	{"lint", AUTHOR},
	{"load_action", AUTHOR},
	{"load_workbook", AUTHOR},
	{"load_workflow", AUTHOR},
	{"may_answer", READERS | APPROVER},
	{"next_runs", READERS},
	{"now", READERS},
	{"pause_cron_trigger", OPERATOR},
	{"pause_workflow", OPERATOR},
	{"publish_changes", OPERATOR},
	{"publish_definition", PUBLISHER},
	{"publish_event", OPERATOR},
	{"register_action", AUTHOR},
	{"reject", APPROVER},
	{"remove_hook", OPERATOR},
	{"remove_overlay", AUTHOR},
	{"rerun_task", OPERATOR},
	{"resume_cron_trigger", OPERATOR},
	{"resume_workflow", OPERATOR},
	{"retry_webhook", OPERATOR},
	{"revoke_hook", AUTHOR},
	{"row_changed", OPERATOR},
	{"run_action", OPERATOR},
	{"set_environment", AUTHOR},
	{"set_secret", AUTHOR | OPERATOR},
	{"skip_task", OPERATOR},
	{"start_workflow", OPERATOR},
	{"stop_workflow", OPERATOR},
	{"unwatch_table", OPERATOR},
	{"validate", AUTHOR},
	{"validate_expression", AUTHOR},
	{"wait_workflow", OPERATOR},
	{"watch_table", OPERATOR},
	{"why", READERS},
	{"worker_status", READERS},
	{"workflow_graph", READERS}
};

static int	arg_kind(FunctionCallInfo fcinfo, int argno);
static char *arg_role(FunctionCallInfo fcinfo, int argno);
static void change_access(FunctionCallInfo fcinfo, bool grant);
static int	function_kinds(const char *name);
static int	other_kinds_held(Oid role, int kind);
static bool function_granted(const char *name, Oid role, bool *exists);
static void change_functions(const char *role, int kind, int kept, bool grant);
static void change_views(const char *role, int kind, int kept, bool grant);
static void execute(const char *command);

Datum
mistral_grant_access(PG_FUNCTION_ARGS)
{
	change_access(fcinfo, true);
	PG_RETURN_VOID();
}

Datum
mistral_revoke_access(PG_FUNCTION_ARGS)
{
	change_access(fcinfo, false);
	PG_RETURN_VOID();
}

static void
change_access(FunctionCallInfo fcinfo, bool grant)
{
	char	   *role = arg_role(fcinfo, 0);
	int			kind = arg_kind(fcinfo, 1);
	int			kept = 0;
	DbSession	session;

	if (!has_privs_of_role(GetUserId(), db_extension_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change access"),
				 errdetail("Only the owner of the extension \"mistral\" may grant and revoke access.")));
	db_enter(&session);
	if (!grant)
		kept = other_kinds_held(PG_GETARG_OID(0), kind);
	if (grant)
		execute(psprintf("GRANT USAGE ON SCHEMA mistral TO %s", role));
	else if (kept == 0)
		execute(psprintf("REVOKE USAGE ON SCHEMA mistral FROM %s", role));
	change_functions(role, kind, kept, grant);
	change_views(role, kind, kept, grant);
	db_leave(&session);
}

/* ---------------------------------------------------------------- arguments */

static int
arg_kind(FunctionCallInfo fcinfo, int argno)
{
	char	   *name = arg_text(fcinfo, argno, "kind");

	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("kind of access \"%s\" does not exist", name),
			 errhint("The kinds are author, operator, worker, viewer, publisher and approver.")));
}

/* The role's name, quoted for a command. */
static char *
arg_role(FunctionCallInfo fcinfo, int argno)
{
	char	   *name;

	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("role must not be null")));
	name = GetUserNameFromId(PG_GETARG_OID(argno), true);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", PG_GETARG_OID(argno))));
	return (char *) quote_identifier(name);
}

static int
function_kinds(const char *name)
{
	for (int i = 0; i < lengthof(functions); i++)
	{
		if (strcmp(functions[i].name, name) == 0)
			return functions[i].kinds;
	}
	return 0;
}

/* ---------------------------------------------------------------- what is held */

/*
 * The other kinds that the role holds.  A viewer's rights are part of an
 * author's and an operator's and cannot be told from them: when one of those
 * goes, being a viewer goes with it.
 */
static int
other_kinds_held(Oid role, int kind)
{
	int			held = 0;

	for (int k = 0; k < lengthof(kinds); k++)
	{
		int			own = kinds[k].kind == VIEWER ? READERS : kinds[k].kind;
		int			present = 0;
		bool		complete = true;

		if (kinds[k].kind == kind || (own & kind))
			continue;
		for (int i = 0; complete && i < lengthof(functions); i++)
		{
			bool		exists;
			bool		granted;

			if (functions[i].kinds != own)
				continue;
			granted = function_granted(functions[i].name, role, &exists);
			if (!exists)
				continue;
			present++;
			complete = granted;
		}
		if (complete && present > 0)
			held |= kinds[k].kind;
	}
	return held;
}

static bool
function_granted(const char *name, Oid role, bool *exists)
{
	static DbStatement statement = {
		"SELECT EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) a WHERE a.grantee = $2 AND a.privilege_type = 'EXECUTE')"
		" FROM pg_catalog.pg_proc p WHERE p.proname = $1 AND p.pronamespace = 'mistral'::pg_catalog.regnamespace",
		2, {NAMEOID, OIDOID}
	};
	NameData	function;
	Datum		values[2];
	uint64		nrows;
	bool		all = true;
	bool		isnull;

	namestrcpy(&function, name);
	values[0] = NameGetDatum(&function);
	values[1] = ObjectIdGetDatum(role);
	nrows = db_execute(&statement, values, NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
		all = all && DatumGetBool(db_datum(i, 1, &isnull));
	*exists = nrows > 0;
	return all;
}

/* ---------------------------------------------------------------- changing */

/* The names come from the catalog in quoted form (regprocedure, regclass) and from quote_identifier. */
static void
change_functions(const char *role, int kind, int kept, bool grant)
{
	static DbStatement statement = {
		"SELECT p.proname::text, p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p"
		" WHERE p.pronamespace = 'mistral'::pg_catalog.regnamespace AND p.prokind = 'f' ORDER BY 2",
		0
	};
	uint64		nrows = db_execute(&statement, NULL, NULL, false, 0);
	char	  **commands = palloc0(Max(nrows, 1) * sizeof(char *));
	bool		isnull;

	for (uint64 i = 0; i < nrows; i++)
	{
		int			of = function_kinds(TextDatumGetCString(db_datum(i, 1, &isnull)));

		if ((of & kind) && !(of & kept))
			commands[i] = psprintf("%s EXECUTE ON FUNCTION %s %s %s", grant ? "GRANT" : "REVOKE",
								   TextDatumGetCString(db_datum(i, 2, &isnull)), grant ? "TO" : "FROM", role);
	}
	for (uint64 i = 0; i < nrows; i++)
	{
		if (commands[i] != NULL)
			execute(commands[i]);
	}
}

static void
change_views(const char *role, int kind, int kept, bool grant)
{
	static DbStatement statement = {
		"SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c"
		" WHERE c.relnamespace = 'mistral'::pg_catalog.regnamespace AND c.relkind = 'v' ORDER BY 1",
		0
	};
	uint64		nrows = db_execute(&statement, NULL, NULL, false, 0);
	char	  **views = palloc(Max(nrows, 1) * sizeof(char *));
	bool		isnull;

	for (uint64 i = 0; i < nrows; i++)
		views[i] = TextDatumGetCString(db_datum(i, 1, &isnull));
	for (uint64 i = 0; i < nrows; i++)
	{
		int			of = READERS | (strcmp(views[i], APPROVER_VIEW) == 0 ? APPROVER : 0);

		if ((of & kind) && !(of & kept))
			execute(psprintf("%s SELECT ON %s %s %s", grant ? "GRANT" : "REVOKE", views[i], grant ? "TO" : "FROM", role));
	}
}

static void
execute(const char *command)
{
	int			rc;

	db_pin_settings();
	rc = SPI_execute(command, false, 0);
	if (rc != SPI_OK_UTILITY)
		elog(ERROR, "could not execute \"%s\": %s", command, SPI_result_code_string(rc));
}
