/*
 * registered.c
 *		Actions that pull workers perform, registered by name and target.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "dsl/spec.h"
#include "engine/registered.h"
#include "mistral.h"
#include "queue/pull.h"

static bool find(const char *name, Oid role, pg_uuid_t *id, char **target);
static void check_name(const char *name);

void
registered_store(const char *name, const char *target, const char *description, Oid role)
{
	static DbStatement insert = {
		"INSERT INTO mistral.registered_action (id, name, owner, target, description, created_at, updated_at) "
		"VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (name, owner) DO UPDATE "
		"SET target = EXCLUDED.target, description = EXCLUDED.description, updated_at = EXCLUDED.updated_at",
		6, {UUIDOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
	};
	pg_uuid_t	id;
	Datum		values[6];

	check_name(name);
	if (target[0] == '\0' || strlen(target) > MAX_TARGET)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a target has 1 to %d bytes", MAX_TARGET)));
	id_new(&id);
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(name);
	values[2] = ObjectIdGetDatum(role);
	values[3] = CStringGetTextDatum(target);
	values[4] = CStringGetTextDatum(description);
	values[5] = TimestampTzGetDatum(clock_now());
	db_execute(&insert, values, NULL, false, 0);
}

char *
registered_find(const char *name, Oid role)
{
	pg_uuid_t	id;
	char	   *target;

	return find(name, role, &id, &target) ? target : NULL;
}

bool
registered_delete(const char *name, Oid role)
{
	static DbStatement statement = {
		"DELETE FROM mistral.registered_action WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	pg_uuid_t	id;
	char	   *target;
	Datum		values[1];

	if (!find(name, role, &id, &target))
		return false;
	values[0] = UUIDPGetDatum(&id);
	return db_execute(&statement, values, NULL, false, 0) > 0;
}

static bool
find(const char *name, Oid role, pg_uuid_t *id, char **target)
{
	static DbStatement statement = {
		"SELECT id, owner, target FROM mistral.registered_action WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	uint64		n = db_execute(&statement, values, NULL, false, 0);
	int			others = 0;
	uint64		i;

	for (i = 0; i < n; i++)
	{
		bool		isnull;
		Oid			owner = DatumGetObjectId(db_datum(i, 2, &isnull));

		if (!has_privs_of_role(role, owner))
			continue;
		*id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		*target = TextDatumGetCString(db_datum(i, 3, &isnull));
		if (owner == role)
			return true;
		others++;
	}
	if (others > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("action name \"%s\" is ambiguous", name),
				 errdetail("Several roles whose rights you have have registered an action of that name."),
				 errhint("Use SET ROLE to say whose you mean.")));
	return others == 1;
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
