/*
 * instance.c
 *		Whether the state in this database was made here, or came with a copy.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "base/db.h"
#include "engine/history.h"
#include "queue/token.h"
#include "worker/instance.h"

bool
instance_matches(void)
{
	static DbStatement find = {
		"SELECT pg_catalog.bool_and(system_identifier OPERATOR(pg_catalog.=) $1 "
		"AND database_oid OPERATOR(pg_catalog.=) $2) FROM mistral.instance",
		2, {INT8OID, OIDOID}
	};
	Datum		values[2] = {Int64GetDatum((int64) GetSystemIdentifier()), ObjectIdGetDatum(MyDatabaseId)};
	DbSession	session;
	bool		isnull;
	Datum		matches;

	db_enter(&session);
	db_execute(&find, values, NULL, false, 0);
	matches = db_datum(0, 1, &isnull);
	db_leave(&session);
	return !isnull && DatumGetBool(matches);
}

void
instance_adopt(void)
{
	static DbStatement forget = {"DELETE FROM mistral.instance", 0};
	static DbStatement insert = {
		"INSERT INTO mistral.instance (system_identifier, database_oid) VALUES ($1, $2)",
		2, {INT8OID, OIDOID}
	};
	Datum		values[2] = {Int64GetDatum((int64) GetSystemIdentifier()), ObjectIdGetDatum(MyDatabaseId)};
	DbSession	session;

	db_enter(&session);
	db_execute(&forget, NULL, NULL, false, 0);
	db_execute(&insert, values, NULL, false, 0);
	/* Who was told an attempt by the origin is answered there. */
	token_key_draw();
	history_adopt();
	db_leave(&session);
}
