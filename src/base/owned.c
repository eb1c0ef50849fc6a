/*
 * owned.c
 *		Which of several things of one name a role means.
 */
#include "postgres.h"

#include "utils/acl.h"

#include "base/db.h"
#include "base/owned.h"

enum
{
	RANK_OWN,
	RANK_MEMBER,
	RANK_PUBLIC,
	RANK_NONE
};

int
owned_choose(uint64 nrows, Oid role, bool with_public, const char *what, const char *name)
{
	int			best = RANK_NONE;
	int			count = 0;
	int			row = -1;

	for (uint64 i = 0; i < nrows; i++)
	{
		bool		isnull;
		Oid			owner = DatumGetObjectId(db_datum(i, 2, &isnull));
		bool		public_ = with_public && DatumGetBool(db_datum(i, 3, &isnull));
		int			rank = owner == role ? RANK_OWN : has_privs_of_role(role, owner) ? RANK_MEMBER : public_ ? RANK_PUBLIC : RANK_NONE;

		if (rank == RANK_NONE || rank > best)
			continue;
		count = rank < best ? 1 : count + 1;
		best = rank;
		row = (int) i;
	}
	if (count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("%s name \"%s\" is ambiguous", what, name),
				 errdetail("Several roles whose rights you have own a %s of that name.", what),
				 errhint("Use SET ROLE to say whose you mean.")));
	return row;
}
