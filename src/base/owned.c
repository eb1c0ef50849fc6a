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
	RANK_PUBLIC
};

bool
owned_offer(OwnedChoice *choice, Oid owner, bool public_, Oid role, OwnedPurpose purpose)
{
	int			rank;

	if (owner == role)
		rank = RANK_OWN;
	else if (has_privs_of_role(role, owner) &&
			 (purpose == OWNED_MANAGE || is_member_of_role_nosuper(role, owner)))
		rank = RANK_MEMBER;
	else if (public_ && purpose == OWNED_USE_PUBLIC)
		rank = RANK_PUBLIC;
	else
		return false;
	if (choice->count > 0 && rank >= choice->best)
	{
		choice->count += rank == choice->best;
		return false;
	}
	choice->best = rank;
	choice->count = 1;
	return true;
}

void
owned_check(const OwnedChoice *choice, const char *what, const char *name)
{
	if (choice->count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("%s name \"%s\" is ambiguous", what, name),
				 errdetail("Several roles whose rights you have own a %s of that name.", what),
				 errhint("Use SET ROLE to say whose you mean.")));
}

int
owned_choose(uint64 nrows, Oid role, OwnedPurpose purpose, const char *what, const char *name)
{
	OwnedChoice choice = {0};
	int			row = -1;

	for (uint64 i = 0; i < nrows; i++)
	{
		bool		isnull;
		Oid			owner = DatumGetObjectId(db_datum(i, 2, &isnull));

		if (owned_offer(&choice, owner, purpose == OWNED_USE_PUBLIC && DatumGetBool(db_datum(i, 3, &isnull)), role, purpose))
			row = (int) i;
	}
	owned_check(&choice, what, name);
	return row;
}
