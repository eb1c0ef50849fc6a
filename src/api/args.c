/*
 * args.c
 *		Arguments of SQL functions, as the layers below take them.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "api/args.h"
#include "base/json.h"
#include "errcodes.h"

static void
check_given(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

char *
arg_text(FunctionCallInfo fcinfo, int n, const char *name)
{
	check_given(fcinfo, n, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

pg_uuid_t
arg_id(FunctionCallInfo fcinfo, int n, const char *name)
{
	check_given(fcinfo, n, name);
	return *PG_GETARG_UUID_P(n);
}

char *
arg_text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

Jsonb *
arg_json_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

Jsonb *
arg_object(FunctionCallInfo fcinfo, int n, const char *name)
{
	Jsonb	   *value = arg_json_or_null(fcinfo, n);

	if (value == NULL)
		return json_empty();
	if (!json_is_object(value))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_INPUT),
				 errmsg("%s must be a JSON object", name)));
	return value;
}
