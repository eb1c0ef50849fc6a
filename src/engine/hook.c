/*
 * hook.c
 *		Hooks and who may put one where: their tables.
 *
 * The right to put a hook on a workflow is its owner's to give, and is looked at each time that the hook would start
 * something: what has been taken back counts at once.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/owned.h"
#include "compat.h"
#include "engine/definitions.h"
#include "engine/hook.h"
#include "engine/states.h"
#include "queue/trigger_start.h"

static const char *const access_names[] = {"attach", "results", "insert"};

static bool find_owner(const char *workflow, const char *namespace_, Oid role, Oid *owner);
static uint64 find_live(const char *workflow, const char *namespace_);
static const Definition *find_workflow(const char *workflow, const char *namespace_, HookAccess access, Oid role, bool *visible);
static void raise_undefined(const char *workflow) pg_attribute_noreturn();
static void grant_values(Oid owner, const char *workflow, const char *namespace_, Oid grantee, HookAccess access, Datum *values);

bool
hook_access_parse(const char *name, HookAccess *access)
{
	for (int i = 0; i < lengthof(access_names); i++)
	{
		if (strcmp(access_names[i], name) == 0)
		{
			*access = i;
			return true;
		}
	}
	return false;
}

/* ---------------------------------------------------------------- hooks */

void
hook_create(Hook *hook)
{
	static DbStatement insert = {
		"INSERT INTO mistral.hook (id, name, owner, workflow_owner, workflow, namespace, task, state, hook_workflow,"
		" hook_namespace, filter, created_at, input, params)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (name, owner) DO NOTHING",
		14, {UUIDOID, TEXTOID, OIDOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		TIMESTAMPTZOID, JSONBOID, JSONBOID}
	};
	const Definition *target = hook_find_workflow(hook->workflow, hook->namespace_, HOOK_ATTACH, hook->owner);
	char		nulls[14];
	Datum		values[14];

	if (hook->task && spec_task_index(target->workflow, hook->task) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("workflow \"%s\" has no task \"%s\"", hook->workflow, hook->task)));
	trigger_check_filter(hook->filter);
	trigger_check_workflow(hook->hook_workflow, hook->hook_namespace, hook->owner);
	id_new(&hook->id);
	hook->workflow_owner = target->owner;
	memset(nulls, ' ', sizeof(nulls));
	nulls[6] = hook->task ? ' ' : 'n';
	nulls[10] = hook->filter ? ' ' : 'n';
	values[0] = UUIDPGetDatum(&hook->id);
	values[1] = CStringGetTextDatum(hook->name);
	values[2] = ObjectIdGetDatum(hook->owner);
	values[3] = ObjectIdGetDatum(hook->workflow_owner);
	values[4] = CStringGetTextDatum(hook->workflow);
	values[5] = CStringGetTextDatum(hook->namespace_);
	values[6] = hook->task ? CStringGetTextDatum(hook->task) : (Datum) 0;
	values[7] = CStringGetTextDatum(state_name(hook->state));
	values[8] = CStringGetTextDatum(hook->hook_workflow);
	values[9] = CStringGetTextDatum(hook->hook_namespace);
	values[10] = hook->filter ? CStringGetTextDatum(hook->filter) : (Datum) 0;
	values[11] = TimestampTzGetDatum(clock_now());
	values[12] = JsonbPGetDatum(hook->input);
	values[13] = JsonbPGetDatum(hook->params);
	if (db_execute(&insert, values, nulls, false, 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("hook \"%s\" exists already", hook->name)));
}

void
hook_delete(const char *name, Oid owner, Oid role)
{
	static DbStatement find = {
		"SELECT id, owner FROM mistral.hook WHERE name OPERATOR(pg_catalog.=) $1 "
		"AND ($2 OPERATOR(pg_catalog.=) 0 OR owner OPERATOR(pg_catalog.=) $2)", 2, {TEXTOID, OIDOID}
	};
	static DbStatement find_on = {
		"SELECT id, workflow_owner FROM mistral.hook WHERE name OPERATOR(pg_catalog.=) $1 "
		"AND ($2 OPERATOR(pg_catalog.=) 0 OR owner OPERATOR(pg_catalog.=) $2)", 2, {TEXTOID, OIDOID}
	};
	static DbStatement delete = {"DELETE FROM mistral.hook WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}};
	Datum		values[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(owner)};
	int			row = owned_choose(db_execute(&find, values, NULL, false, 0), role, OWNED_MANAGE, "hook", name);
	pg_uuid_t	id;
	bool		isnull;

	if (row < 0)
		row = owned_choose(db_execute(&find_on, values, NULL, false, 0), role, OWNED_MANAGE, "hook", name);
	if (row < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("hook \"%s\" does not exist", name)));
	id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	values[0] = UUIDPGetDatum(&id);
	db_execute(&delete, values, NULL, false, 0);
}

/* The row is left alone while another engine writes it: this is a hint for people, and nobody waits for it. */
void
hook_failed(const pg_uuid_t *id, const char *error)
{
	static DbStatement update = {
		"UPDATE mistral.hook SET failed_at = $2, error = $3 WHERE id IN"
		" (SELECT id FROM mistral.hook WHERE id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE SKIP LOCKED)",
		3, {UUIDOID, TIMESTAMPTZOID, TEXTOID}
	};
	Datum		values[] = {UUIDPGetDatum(id), TimestampTzGetDatum(clock_now()), CStringGetTextDatum(error)};

	db_execute(&update, values, NULL, false, 0);
}

/* ---------------------------------------------------------------- rights */

bool
hook_allowed(Oid workflow_owner, const char *workflow, const char *namespace_, HookAccess access, Oid role)
{
	static DbStatement select = {
		"SELECT grantee FROM mistral.hook_grant WHERE workflow_owner OPERATOR(pg_catalog.=) $1"
		" AND workflow OPERATOR(pg_catalog.=) $2 AND namespace OPERATOR(pg_catalog.=) $3"
		" AND (access OPERATOR(pg_catalog.=) $4 OR ($4 OPERATOR(pg_catalog.=) 'attach' AND access OPERATOR(pg_catalog.=) 'results'))",
		4, {OIDOID, TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		values[4];
	uint64		n;
	bool		isnull;

	if (has_privs_of_role(role, workflow_owner))
		return true;
	values[0] = ObjectIdGetDatum(workflow_owner);
	values[1] = CStringGetTextDatum(workflow);
	values[2] = CStringGetTextDatum(namespace_);
	values[3] = CStringGetTextDatum(access_names[access]);
	n = db_execute(&select, values, NULL, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		if (has_privs_of_role(role, DatumGetObjectId(db_datum(i, 1, &isnull))))
			return true;
	}
	return false;
}

void
hook_grant(const char *workflow, const char *namespace_, Oid grantee, HookAccess access, Oid role)
{
	static DbStatement insert = {
		"INSERT INTO mistral.hook_grant (workflow_owner, workflow, namespace, grantee, access, created_at)"
		" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
		6, {OIDOID, TEXTOID, TEXTOID, OIDOID, TEXTOID, TIMESTAMPTZOID}
	};
	Datum		values[6];
	Oid			owner;

	if (!find_owner(workflow, namespace_, role, &owner))
		raise_undefined(workflow);
	grant_values(owner, workflow, namespace_, grantee, access, values);
	values[5] = TimestampTzGetDatum(clock_now());
	db_execute(&insert, values, NULL, false, 0);
}

void
hook_revoke(const char *workflow, const char *namespace_, Oid grantee, HookAccess access, Oid role)
{
	static DbStatement delete = {
		"DELETE FROM mistral.hook_grant WHERE workflow_owner OPERATOR(pg_catalog.=) $1 AND workflow OPERATOR(pg_catalog.=) $2"
		" AND namespace OPERATOR(pg_catalog.=) $3 AND grantee OPERATOR(pg_catalog.=) $4 AND access OPERATOR(pg_catalog.=) $5",
		5, {OIDOID, TEXTOID, TEXTOID, OIDOID, TEXTOID}
	};
	Datum		values[5];
	Oid			owner = role;

	/* Of a workflow that has been deleted, too. */
	(void) find_owner(workflow, namespace_, role, &owner);
	grant_values(owner, workflow, namespace_, grantee, access, values);
	if (access == HOOK_INSERT)
		definition_lock(workflow, namespace_, owner);
	if (db_execute(&delete, values, NULL, false, 0) > 0 && access == HOOK_INSERT)
		definition_renew(workflow, namespace_, owner, true);
}

static void
grant_values(Oid owner, const char *workflow, const char *namespace_, Oid grantee, HookAccess access, Datum *values)
{
	values[0] = ObjectIdGetDatum(owner);
	values[1] = CStringGetTextDatum(workflow);
	values[2] = CStringGetTextDatum(namespace_);
	values[3] = ObjectIdGetDatum(grantee);
	values[4] = CStringGetTextDatum(access_names[access]);
}

/* ---------------------------------------------------------------- finding */

const Definition *
hook_find_workflow(const char *workflow, const char *namespace_, HookAccess access, Oid role)
{
	bool		visible;
	const Definition *definition = find_workflow(workflow, namespace_, access, role, &visible);

	if (definition != NULL)
		return definition;
	if (!visible)
		raise_undefined(workflow);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 access == HOOK_INSERT ?
			 errmsg("permission denied to insert tasks into workflow \"%s\"", workflow) :
			 errmsg("permission denied to put a hook on workflow \"%s\"", workflow),
			 errhint("Its owner may grant it with mistral.grant_hook().")));
}

const Definition *
hook_look_up_workflow(const char *workflow, const char *namespace_, HookAccess access, Oid role)
{
	bool		visible;

	return find_workflow(workflow, namespace_, access, role, &visible);
}

/*
 * NULL: there is none on which the role has the right; `visible` then says
 * whether there is one that it knows of, public or by another right.
 */
static const Definition *
find_workflow(const char *workflow, const char *namespace_, HookAccess access, Oid role, bool *visible)
{
	uint64		n = find_live(workflow, namespace_);
	int			row = owned_choose(n, role, OWNED_MANAGE, "workflow", workflow);
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));
	Oid		   *owners = palloc(sizeof(Oid) * Max(n, 1));
	int			nallowed = 0;
	bool		isnull;

	*visible = false;
	for (uint64 i = 0; i < n; i++)
	{
		ids[i] = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		owners[i] = DatumGetObjectId(db_datum(i, 2, &isnull));
		*visible |= DatumGetBool(db_datum(i, 3, &isnull));
	}
	for (uint64 i = 0; row < 0 && i < n; i++)
	{
		if (!hook_allowed(owners[i], workflow, namespace_, access, role))
		{
			*visible = *visible || hook_allowed(owners[i], workflow, namespace_, HOOK_ATTACH, role) ||
				hook_allowed(owners[i], workflow, namespace_, HOOK_INSERT, role);
			continue;
		}
		if (nallowed++ == 0)
			ids[0] = ids[i];
	}
	if (nallowed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("workflow name \"%s\" is ambiguous", workflow),
				 errdetail("Several roles have granted you a right on a workflow of that name.")));
	return row >= 0 || nallowed > 0 ? definition_by_id(&ids[Max(row, 0)]) : NULL;
}

/* Whose workflow of that name the role means, of those that are its to manage. */
static bool
find_owner(const char *workflow, const char *namespace_, Oid role, Oid *owner)
{
	int			row = owned_choose(find_live(workflow, namespace_), role, OWNED_MANAGE, "workflow", workflow);
	bool		isnull;

	if (row >= 0)
		*owner = DatumGetObjectId(db_datum(row, 2, &isnull));
	return row >= 0;
}

/* Rows of id, owner, and whether it is public. */
static uint64
find_live(const char *workflow, const char *namespace_)
{
	static DbStatement select = {
		"SELECT id, owner, scope OPERATOR(pg_catalog.=) 'public' FROM mistral.definition WHERE kind OPERATOR(pg_catalog.=) 'workflow'"
		" AND name OPERATOR(pg_catalog.=) $1 AND namespace OPERATOR(pg_catalog.=) $2 AND live",
		2, {TEXTOID, TEXTOID}
	};
	Datum		values[] = {CStringGetTextDatum(workflow), CStringGetTextDatum(namespace_)};

	return db_execute(&select, values, NULL, false, 0);
}

static void
raise_undefined(const char *workflow)
{
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_UNDEFINED),
			 errmsg("workflow \"%s\" does not exist", workflow),
			 errhint("The view mistral.workflows lists workflows of yours and public ones; mistral.hook_grants, those on which others let you.")));
}
