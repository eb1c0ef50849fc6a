/*
 * hooks.c
 *		SQL functions for hooks, overlays and the right to them.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "api/scope.h"
#include "base/db.h"
#include "engine/hook.h"
#include "engine/overlay.h"
#include "engine/state_event.h"
#include "engine/states.h"

SQL_FUNCTION(mistral_add_hook);
SQL_FUNCTION(mistral_remove_hook);
SQL_FUNCTION(mistral_add_overlay);
SQL_FUNCTION(mistral_remove_overlay);
SQL_FUNCTION(mistral_grant_hook);
SQL_FUNCTION(mistral_revoke_hook);
SQL_FUNCTION(mistral_listeners_changed);

static State arg_state(FunctionCallInfo fcinfo, int n);
static void change_grant(FunctionCallInfo fcinfo, bool grant);

/* add_hook(name, workflow, hook_workflow, task, state, input, filter, params, namespace, hook_namespace) returns uuid */
Datum
mistral_add_hook(PG_FUNCTION_ARGS)
{
	Hook		hook = {0};
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	DbSession	session;

	hook.name = arg_name(fcinfo, 0, "name", false);
	hook.workflow = arg_text(fcinfo, 1, "workflow");
	hook.hook_workflow = arg_text(fcinfo, 2, "hook_workflow");
	hook.task = arg_text_or_null(fcinfo, 3);
	hook.state = arg_state(fcinfo, 4);
	hook.input = arg_object(fcinfo, 5, "input");
	hook.filter = arg_text_or_null(fcinfo, 6);
	hook.params = arg_object(fcinfo, 7, "params");
	hook.namespace_ = arg_name(fcinfo, 8, "namespace", true);
	hook.hook_namespace = arg_name(fcinfo, 9, "hook_namespace", true);

	PreventCommandIfReadOnly("mistral.add_hook()");
	db_enter(&session);
	hook.owner = session.caller;
	hook_create(&hook);
	*result = hook.id;
	db_leave(&session);
	PG_RETURN_UUID_P(result);
}

/* remove_hook(name, owner) */
Datum
mistral_remove_hook(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.remove_hook()");
	db_enter(&session);
	hook_delete(name, PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1), session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* add_overlay(workflow, name, definition, required, namespace) returns uuid */
Datum
mistral_add_overlay(PG_FUNCTION_ARGS)
{
	Overlay		overlay = {0};
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	DbSession	session;

	overlay.workflow = arg_text(fcinfo, 0, "workflow");
	overlay.name = arg_name(fcinfo, 1, "name", false);
	overlay.text = arg_text(fcinfo, 2, "definition");
	overlay.required = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	overlay.namespace_ = arg_name(fcinfo, 4, "namespace", true);

	PreventCommandIfReadOnly("mistral.add_overlay()");
	db_enter(&session);
	overlay.owner = session.caller;
	overlay_create(&overlay);
	*result = overlay.id;
	db_leave(&session);
	PG_RETURN_UUID_P(result);
}

/* remove_overlay(name, owner) */
Datum
mistral_remove_overlay(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.remove_overlay()");
	db_enter(&session);
	overlay_delete(name, PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1), session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* grant_hook(role, workflow, access, namespace) */
Datum
mistral_grant_hook(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("mistral.grant_hook()");
	change_grant(fcinfo, true);
	PG_RETURN_VOID();
}

/* revoke_hook(role, workflow, access, namespace) */
Datum
mistral_revoke_hook(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("mistral.revoke_hook()");
	change_grant(fcinfo, false);
	PG_RETURN_VOID();
}

/* The trigger on the tables of those who listen to events of states. */
Datum
mistral_listeners_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("mistral.listeners_changed() is a trigger function")));
	state_events_changed();
	return PointerGetDatum(NULL);
}

static void
change_grant(FunctionCallInfo fcinfo, bool grant)
{
	char	   *workflow = arg_text(fcinfo, 1, "workflow");
	char	   *access_name = arg_text(fcinfo, 2, "access");
	char	   *namespace_ = arg_name(fcinfo, 3, "namespace", true);
	HookAccess	access;
	DbSession	session;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("role must not be null")));
	if (!hook_access_parse(access_name, &access))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("access \"%s\" does not exist", access_name),
				 errhint("Use attach, results or insert.")));
	if (grant)
		(void) GetUserNameFromId(PG_GETARG_OID(0), false);
	db_enter(&session);
	if (grant)
		hook_grant(workflow, namespace_, PG_GETARG_OID(0), access, session.caller);
	else
		hook_revoke(workflow, namespace_, PG_GETARG_OID(0), access, session.caller);
	db_leave(&session);
}

/* One that is reached: nothing becomes IDLE. */
static State
arg_state(FunctionCallInfo fcinfo, int n)
{
	char	   *name = arg_text(fcinfo, n, "state");
	State		state;

	if (!state_parse(name, &state) || state == STATE_IDLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("state \"%s\" cannot be reached", name),
				 errhint("Use RUNNING, SUCCESS, ERROR, CANCELLED, SKIPPED, PAUSED, WAITING or DELAYED.")));
	return state;
}
