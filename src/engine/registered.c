/*
 * registered.c
 *		Actions that are not built in: those that were registered, and those of modules.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/owned.h"
#include "dsl/spec.h"
#include "engine/registered.h"
#include "mistral.h"
#include "queue/pull.h"

/* Columns of registered_action, from 1. */
#define COL_ID 1
#define COL_OWNER 3
#define COL_TARGET 4
#define COL_FUNCTION 5

/* What was found last, and when: the items of a list go by it. */
static struct
{
	char	   *name;			/* NULL: nothing yet */
	Oid			role;
	OwnedPurpose purpose;
	DbMoment	moment;
	RegisteredAction action;
	char		target[MAX_TARGET + 1];
}			last;

static bool find(const char *name, Oid role, OwnedPurpose purpose, RegisteredAction *action);
static Oid	function_oid(Datum text);
static void remember(const char *name, Oid role, OwnedPurpose purpose, const RegisteredAction *action);
static void check_name(const char *name);
static char *function_text(Oid function, Oid role);

void
registered_store(const char *name, const char *target, Oid function, const char *description, Oid role)
{
	static DbStatement insert = {
		"INSERT INTO mistral.registered_action (id, name, owner, target, function, description, created_at, updated_at) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (name, owner) DO UPDATE "
		"SET target = EXCLUDED.target, function = EXCLUDED.function, description = EXCLUDED.description, updated_at = EXCLUDED.updated_at",
		7, {UUIDOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
	};
	char		nulls[7] = {' ', ' ', ' ', target ? ' ' : 'n', target ? 'n' : ' ', ' ', ' '};
	pg_uuid_t	id;
	Datum		values[7];

	check_name(name);
	if ((target == NULL) == (function == InvalidOid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an action has a function or a target"),
				 errhint("Give one of them: a function runs in the database, a target's pull workers outside of it.")));
	if (target && (target[0] == '\0' || strlen(target) > MAX_TARGET))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a target has 1 to %d bytes", MAX_TARGET)));
	id_new(&id);
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(name);
	values[2] = ObjectIdGetDatum(role);
	values[3] = target ? CStringGetTextDatum(target) : (Datum) 0;
	values[4] = target ? (Datum) 0 : CStringGetTextDatum(function_text(function, role));
	values[5] = CStringGetTextDatum(description);
	values[6] = TimestampTzGetDatum(clock_now());
	db_execute(&insert, values, nulls, false, 0);
}

bool
registered_find(const char *name, Oid role, OwnedPurpose purpose, RegisteredAction *action)
{
	if (last.name && last.role == role && last.purpose == purpose && db_same_moment(&last.moment) &&
		strcmp(last.name, name) == 0)
	{
		*action = last.action;
		action->target = action->target ? pstrdup(action->target) : NULL;
		return true;
	}
	if (!find(name, role, purpose, action))
		return false;
	remember(name, role, purpose, action);
	return true;
}

static bool
find(const char *name, Oid role, OwnedPurpose purpose, RegisteredAction *action)
{
	const char *texts[] = {name};
	DbLookup	lookup;
	OwnedChoice choice = {0};
	TupleTableSlot *slot;
	Datum		function = (Datum) 0;

	db_lookup_begin(&lookup, "registered_action", "registered_action_name_owner_key", texts, lengthof(texts));
	while ((slot = db_lookup_next(&lookup)) != NULL)
	{
		bool		isnull;
		Datum		datum;

		if (!owned_offer(&choice, DatumGetObjectId(slot_getattr(slot, COL_OWNER, &isnull)), false, role, purpose))
			continue;
		action->id = *DatumGetUUIDP(slot_getattr(slot, COL_ID, &isnull));
		datum = slot_getattr(slot, COL_TARGET, &isnull);
		action->target = isnull ? NULL : TextDatumGetCString(datum);
		datum = slot_getattr(slot, COL_FUNCTION, &isnull);
		function = isnull ? (Datum) 0 : PointerGetDatum(DatumGetTextPCopy(datum));
	}
	db_lookup_end(&lookup);
	owned_check(&choice, "action", name);
	if (choice.count == 0)
		return false;
	action->function = function == (Datum) 0 ? InvalidOid : function_oid(function);
	return true;
}

/* InvalidOid when there is no function of that name and argument any more. */
static Oid
function_oid(Datum text)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		oid;

	/* The type in it goes by search_path. */
	db_pin_settings();
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = text;
	fcinfo->args[0].isnull = false;
	oid = to_regprocedure(fcinfo);
	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(oid);
}

/* A target has at most MAX_TARGET bytes, whoever has registered it. */
static void
remember(const char *name, Oid role, OwnedPurpose purpose, const RegisteredAction *action)
{
	if (last.name)
		pfree(last.name);
	last.name = NULL;
	if (action->target && strlen(action->target) > MAX_TARGET)
		return;
	last.action = *action;
	if (action->target)
	{
		strcpy(last.target, action->target);
		last.action.target = last.target;
	}
	last.role = role;
	last.purpose = purpose;
	last.moment = db_moment();
	last.name = MemoryContextStrdup(TopMemoryContext, name);
}

bool
module_action_find(const char *name, char **module, char **params)
{
	static DbStatement statement = {
		"SELECT module, input FROM mistral.module_action WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	bool		isnull;

	if (db_table_is_empty("module_action") || db_execute(&statement, values, NULL, false, 1) == 0)
		return false;
	*module = TextDatumGetCString(db_datum(0, 1, &isnull));
	*params = TextDatumGetCString(db_datum(0, 2, &isnull));
	return true;
}

bool
registered_delete(const char *name, Oid role)
{
	static DbStatement statement = {
		"DELETE FROM mistral.registered_action WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	RegisteredAction action;
	Datum		values[1];

	if (!registered_find(name, role, OWNED_MANAGE, &action))
		return false;
	values[0] = UUIDPGetDatum(&action.id);
	return db_execute(&statement, values, NULL, false, 0) > 0;
}

/* Checks a function, and gives the name that finds it again, also after a dump and restore. */
static char *
function_text(Oid function, Oid role)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	form = (Form_pg_proc) GETSTRUCT(tuple);
	if (form->prokind != PROKIND_FUNCTION || form->proretset || form->pronargs != 1 ||
		form->proargtypes.values[0] != JSONBOID || (form->prorettype != JSONBOID && form->prorettype != VOIDOID))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("function %s cannot be an action", format_procedure_qualified(function)),
				 errdetail("An action's function takes one argument of type jsonb and returns jsonb or void.")));
	ReleaseSysCache(tuple);
	if (!db_may_execute(role, function))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", format_procedure_qualified(function))));
	return format_procedure_qualified(function);
}

static void
check_name(const char *name)
{
	int			length = pg_mbstrlen(name);

	if (length == 0 || length > MAX_NAME_LENGTH || strchr(name, ' ') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an action's name has 1 to %d characters and no spaces", MAX_NAME_LENGTH)));
	if (strncmp(name, "std.", strlen("std.")) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("names that start with \"std.\" belong to built-in actions")));
}
