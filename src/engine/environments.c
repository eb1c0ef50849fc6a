/*
 * environments.c
 *		Named sets of variables.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/owned.h"
#include "engine/environments.h"
#include "mistral.h"

/* Finds the row; leaves the result set in place for its columns. -1: none. */
static int
find_row(const char *name, Oid role, OwnedPurpose purpose)
{
	static DbStatement statement = {
		"SELECT id, owner, scope = 'public', variables FROM mistral.environment WHERE name = $1",
		1, {TEXTOID}
	};
	Datum		values[] = {CStringGetTextDatum(name)};

	return owned_choose(db_execute(&statement, values, NULL, false, 0), role, purpose, "environment", name);
}

Jsonb *
environment_find(const char *name, Oid role)
{
	int			row = find_row(name, role, OWNED_USE_PUBLIC);
	bool		isnull;

	return row < 0 ? NULL : DatumGetJsonbPCopy(db_datum(row, 4, &isnull));
}

/* A public name is one for all. */
static void
check_public_name(const char *name, Oid owner)
{
	static DbStatement statement = {
		"SELECT 1 FROM mistral.environment WHERE name = $1 AND scope = 'public' AND owner <> $2",
		2, {TEXTOID, OIDOID}
	};
	Datum		values[] = {CStringGetTextDatum(name), ObjectIdGetDatum(owner)};

	if (db_execute(&statement, values, NULL, false, 1) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("public environment \"%s\" exists already", name),
				 errdetail("Public names are unique, and another role owns this one.")));
}

void
environment_store(const char *name, const Jsonb *variables, const char *description, bool public_, Oid owner)
{
	static DbStatement statement = {
		"INSERT INTO mistral.environment AS e (id, name, owner, scope, description, variables, created_at, updated_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (name, owner) DO UPDATE"
		" SET scope = excluded.scope, description = excluded.description, variables = excluded.variables,"
		" updated_at = excluded.updated_at",
		7, {UUIDOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID}
	};
	Datum		values[7];
	pg_uuid_t	id;

	if (public_)
		check_public_name(name, owner);
	id_new(&id);
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(name);
	values[2] = ObjectIdGetDatum(owner);
	values[3] = CStringGetTextDatum(public_ ? "public" : "private");
	values[4] = CStringGetTextDatum(description);
	values[5] = JsonbPGetDatum(variables);
	values[6] = TimestampTzGetDatum(clock_now());
	db_execute(&statement, values, NULL, false, 0);
}

bool
environment_delete(const char *name, Oid role)
{
	static DbStatement statement = {"DELETE FROM mistral.environment WHERE id = $1", 1, {UUIDOID}};
	int			row = find_row(name, role, OWNED_MANAGE);
	pg_uuid_t	id;
	Datum		values[1];
	bool		isnull;

	if (row < 0)
		return false;
	id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	values[0] = UUIDPGetDatum(&id);
	return db_execute(&statement, values, NULL, false, 0) > 0;
}
