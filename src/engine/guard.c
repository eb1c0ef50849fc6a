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
	ErrorData  *error = guard_any(fn, arg);
	char	   *message;

	if (error == NULL)
		return NULL;
	if (guard_says_nothing(error->sqlerrcode))
		ReThrowError(error);
	message = error->detail ? psprintf("%s: %s", error->message, error->detail) : pstrdup(error->message);
	FreeErrorData(error);
	return message;
}

ErrorData *
guard_any(void (*fn) (void *arg), void *arg)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		fn(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		/* The subtransaction ends here in any case: whoever raises the error again expects to be in its own. */
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return error;
}

static bool
is_expression_error(int sqlstate)
{
	return sqlstate == ERRCODE_MISTRAL_EXPRESSION ||
		sqlstate == ERRCODE_MISTRAL_EXPRESSION_SYNTAX ||
		sqlstate == ERRCODE_MISTRAL_EXPRESSION_LIMIT ||
	/* What PostgreSQL's own numbers and texts refuse, and limits of size and depth. */
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_DATA_EXCEPTION ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

bool
guard_says_nothing(int sqlstate)
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
