/*
 * scope.c
 *		Arguments that name a thing and say who may use it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/args.h"
#include "api/scope.h"
#include "base/db.h"
#include "mistral.h"

char *
arg_name(FunctionCallInfo fcinfo, int argno, const char *what, bool empty)
{
	char	   *name = arg_text(fcinfo, argno, what);
	int			length = pg_mbstrlen(name);

	if (length > MAX_NAME_LENGTH || (length == 0 && !empty))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have %d to %d characters", what, empty ? 0 : 1, MAX_NAME_LENGTH)));
	return name;
}

/* The right to publish is EXECUTE on a function of that name. */
static bool
may_publish(void)
{
	List	   *name = list_make2(makeString(get_namespace_name(db_schema())), makeString("publish_definition"));
	Oid			function = LookupFuncName(name, 0, NULL, false);

	return db_may_execute(GetUserId(), function);
}

bool
arg_scope(FunctionCallInfo fcinfo, int argno)
{
	char	   *scope = arg_text(fcinfo, argno, "scope");

	if (strcmp(scope, "private") == 0)
		return false;
	if (strcmp(scope, "public") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scope must be \"private\" or \"public\", not \"%s\"", scope)));
	if (!may_publish())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to publish"),
				 errhint("mistral.grant_access(role, 'publisher') gives the right.")));
	return true;
}
