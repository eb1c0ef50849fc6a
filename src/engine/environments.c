/*
 * environments.c
 *		Stored environments, found by name under a role's rights.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/db.h"
#include "engine/environments.h"

Jsonb *
environment_find(const char *name, Oid role)
{
	static DbStatement select = {
		"SELECT owner, scope OPERATOR(pg_catalog.=) 'public', variables FROM mistral.environment "
		"WHERE name OPERATOR(pg_catalog.=) $1 ORDER BY created_at, id",
		1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	uint64		n = db_execute(&select, values, NULL, false, 0);
	Jsonb	   *best = NULL;
	int			best_rank = 0;
	uint64		i;

	for (i = 0; i < n; i++)
	{
		bool		isnull;
		Oid			owner = DatumGetObjectId(db_datum(i, 1, &isnull));
		bool		public_ = DatumGetBool(db_datum(i, 2, &isnull));
		int			rank = owner == role ? 3 : has_privs_of_role(role, owner) ? 2 : public_ ? 1 : 0;

		if (rank > best_rank)
		{
			best = DatumGetJsonbPCopy(db_datum(i, 3, &isnull));
			best_rank = rank;
		}
	}
	return best;
}
