/*
 * source.c
 *		Sources, as they are stored.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "engine/source.h"
#include "mistral.h"
#include "queue/message.h"

static const char *const kinds[] = {"events", "oslo", "answers"};

static void told(void);

void
source_store(const char *name, const char *module, const char *kind, const Jsonb *config, Oid role)
{
	static DbStatement store = {
		"INSERT INTO mistral.source AS known (name, module, kind, owner, config, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (name) DO UPDATE SET module = EXCLUDED.module, kind = EXCLUDED.kind, config = EXCLUDED.config"
		" WHERE known.owner OPERATOR(pg_catalog.=) EXCLUDED.owner",
		6, {TEXTOID, TEXTOID, TEXTOID, OIDOID, JSONBOID, TIMESTAMPTZOID}
	};
	Datum		values[6];
	bool		known = false;

	for (int i = 0; i < lengthof(kinds); i++)
		known = known || strcmp(kind, kinds[i]) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a source is of kind \"events\", \"oslo\" or \"answers\", not \"%s\"", kind)));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(module);
	values[2] = CStringGetTextDatum(kind);
	values[3] = ObjectIdGetDatum(role);
	values[4] = PointerGetDatum(config);
	values[5] = TimestampTzGetDatum(clock_now());
	if (db_execute(&store, values, NULL, false, 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("source \"%s\" belongs to another role", name)));
	told();
}

void
source_delete(const char *name, Oid role)
{
	static DbStatement find = {
		"SELECT owner FROM mistral.source WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	static DbStatement delete = {
		"DELETE FROM mistral.source WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	bool		isnull;

	if (db_execute(&find, values, NULL, false, 1) == 0 || !has_privs_of_role(role, DatumGetObjectId(db_datum(0, 1, &isnull))))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source \"%s\" does not exist", name)));
	db_execute(&delete, values, NULL, false, 0);
	told();
}

/* The executor looks when this transaction commits. */
static void
told(void)
{
	if (work_dispatched_hook)
		work_dispatched_hook("io", 0);
}
