/*
 * guard.c
 *		Errors as data: the only place with PG_TRY.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "engine/guard.h"
#include "errcodes.h"

static bool is_expression_error(int sqlstate);
static bool says_nothing_about_the_work(int sqlstate);

char *
guard_expression(void (*fn) (void *arg), void *arg, int *sqlstate)
{
	MemoryContext cxt = CurrentMemoryContext;
	char	   *volatile message = NULL;

	PG_TRY();
	{
		fn(arg);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (!is_expression_error(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		message = error->detail ? psprintf("%s: %s", error->message, error->detail) : pstrdup(error->message);
		if (sqlstate)
			*sqlstate = error->sqlerrcode;
		FreeErrorData(error);
	}
	PG_END_TRY();
	return message;
}

char *
guard_isolated(void (*fn) (void *arg), void *arg)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile message = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		fn(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;
		bool		rethrow = says_nothing_about_the_work(geterrcode());

		/* The subtransaction ends here in any case: whoever catches the error expects to be in its own. */
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (rethrow)
		{
			MemoryContextSwitchTo(cxt);
			CurrentResourceOwner = owner;
			ReThrowError(error);
		}
		message = error->detail ? psprintf("%s: %s", error->message, error->detail) : pstrdup(error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return message;
}

static bool
is_expression_error(int sqlstate)
{
	return sqlstate == ERRCODE_MISTRAL_EXPRESSION ||
		sqlstate == ERRCODE_MISTRAL_EXPRESSION_SYNTAX ||
		sqlstate == ERRCODE_MISTRAL_EXPRESSION_LIMIT ||
		sqlstate == ERRCODE_MISTRAL_NOT_BUILT ||
	/* What PostgreSQL's own numbers and texts refuse, and limits of size and depth. */
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_DATA_EXCEPTION ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

static bool
says_nothing_about_the_work(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):
			return true;
		default:
			return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
				sqlstate == ERRCODE_DATA_CORRUPTED ||
				sqlstate == ERRCODE_INDEX_CORRUPTED;
	}
}
