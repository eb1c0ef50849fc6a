/*
 * sql_actions.c
 *		Claiming SQL actions and performing them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/guard.h"
#include "engine/states.h"
#include "executor/sql_actions.h"
#include "executor/sql_call.h"
#include "guc.h"
#include "mistral.h"
#include "queue/message.h"

/* An action that took its worker with it this often is not tried again. */
#define MAX_TRIES 3

/* One that failed alone this often, for reasons that may not be its own, ends in ERROR. */
#define MAX_FAILURES 3

/* Actions are performed in one transaction until so much time has passed. */
#define PERFORM_MS 10.0

/* Columns, from 1. */
#define ATTEMPT_ATTEMPT 2
#define ACTION_EXECUTION_ID 3
#define ACTION_FINISHED_AT 14
#define EXECUTION_FINISHED_AT 13

typedef struct SqlAction
{
	dlist_node	node;
	pg_uuid_t	action_id;
	pg_uuid_t	root_id;
	int			attempt;
	int			tries;
	int			timeout;		/* seconds, 0: none */
	Oid			owner;
	char	   *name;
	Jsonb	   *input;
	int			failures;		/* transactions of its own that failed */
	char	   *error;			/* the last one's */
} SqlAction;

/* Claimed by the transaction that is open, waiting, performed by the transaction that is open. */
static dlist_head claimed = DLIST_STATIC_INIT(claimed);
static dlist_head waiting = DLIST_STATIC_INIT(waiting);
static dlist_head performed = DLIST_STATIC_INIT(performed);
static int	nheld = 0;
static bool alone = false;		/* the last transaction failed: one at a time */

static int	take_over(int place, const bool *dead, int nplaces);
static int	take_new(int place, int max);
static int	keep_rows(void);
static void give_up(const SqlAction *action, const char *why);
static bool end_attempt(const SqlAction *action);
static bool still_wanted(const SqlAction *action);
static void perform(SqlAction *action);
static void put_outcome(const SqlAction *action, State state, const Jsonb *result);
static void forget(SqlAction *action);
static void move_all(dlist_head *from, dlist_head *to);

bool
sql_actions_waiting(void)
{
	static DbStatement statement = {
		"SELECT 1 FROM mistral.attempt WHERE performer OPERATOR(pg_catalog.=) '" SQL_PERFORMER "' "
		"UNION ALL SELECT 1 FROM mistral.dispatch WHERE performer OPERATOR(pg_catalog.=) '" SQL_PERFORMER "' LIMIT 1",
		0
	};
	DbSession	session;
	bool		found;

	db_enter(&session);
	found = db_execute(&statement, NULL, NULL, false, 1) > 0;
	db_leave(&session);
	return found;
}

int
sql_actions_claim(int place, const bool *dead, int nplaces, int max, bool *taken_over)
{
	DbSession	session;
	int			n = 0;

	*taken_over = false;
	db_enter(&session);
	if (dead)
		n = take_over(place, dead, nplaces);
	if (n > 0)
		*taken_over = true;
	else
		n = take_new(place, max);
	db_leave(&session);
	return n;
}

void
sql_actions_claimed(bool committed)
{
	if (committed)
		move_all(&claimed, &waiting);
	while (!dlist_is_empty(&claimed))
		forget(dlist_container(SqlAction, node, dlist_pop_head_node(&claimed)));
}

int
sql_actions_held(void)
{
	return nheld;
}

int
sql_actions_perform(void)
{
	DbSession	session;
	instr_time	start;
	instr_time	now;
	int			n = 0;

	db_enter(&session);
	/* Every call finds the same settings, whichever is first. */
	db_pin_settings();
	INSTR_TIME_SET_CURRENT(start);
	while (!dlist_is_empty(&waiting))
	{
		SqlAction  *action = dlist_container(SqlAction, node, dlist_pop_head_node(&waiting));

		CHECK_FOR_INTERRUPTS();
		/* In a list that the end of the transaction knows, whatever happens. */
		dlist_push_tail(&performed, &action->node);
		n++;
		perform(action);
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		if (alone || INSTR_TIME_GET_MILLISEC(now) > PERFORM_MS)
			break;
	}
	db_leave(&session);
	return n;
}

void
sql_actions_performed(bool committed)
{
	/* The session is everybody's, and so would be the advisory locks that a call has left in it. */
	LockReleaseSession(USER_LOCKMETHOD);
	if (committed)
	{
		while (!dlist_is_empty(&performed))
			forget(dlist_container(SqlAction, node, dlist_pop_head_node(&performed)));
		alone = alone && !dlist_is_empty(&waiting);
		return;
	}
	/* The culprit was the last: it waits behind the others. */
	if (!dlist_is_empty(&performed))
		dlist_tail_element(SqlAction, node, &performed)->failures += alone ? 1 : 0;
	move_all(&performed, &waiting);
	alone = true;
}

/* ---------------------------------------------------------------- claiming */

/*
 * One of what the dead have left; who was tried too often ends here.  No more
 * than one, for those that were only claimed with the one that kills must not
 * be counted as tried with it again.
 */
static int
take_over(int place, const bool *dead, int nplaces)
{
	static DbStatement statement = {
		"UPDATE mistral.attempt SET place = $1, tries = tries OPERATOR(pg_catalog.+) 1 WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT ctid FROM mistral.attempt WHERE performer OPERATOR(pg_catalog.=) '" SQL_PERFORMER "' "
		"AND place OPERATOR(pg_catalog.=) ANY ($2) LIMIT 1 FOR UPDATE SKIP LOCKED)) "
		"RETURNING action_id, root_id, attempt, tries, timeout, owner, action, input",
		2, {INT4OID, INT4ARRAYOID}
	};
	Datum	   *places = palloc(sizeof(Datum) * Max(nplaces, 1));
	Datum		values[2];
	int			n = 0;

	for (int i = 0; i < nplaces; i++)
	{
		if (dead[i])
			places[n++] = Int32GetDatum(i);
	}
	if (n == 0)
		return 0;
	values[0] = Int32GetDatum(place);
	values[1] = PointerGetDatum(construct_array(places, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	db_execute(&statement, values, NULL, false, 0);
	return keep_rows();
}

static int
take_new(int place, int max)
{
	static DbStatement statement = {
		"WITH taken AS (DELETE FROM mistral.dispatch WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT ctid FROM mistral.dispatch WHERE performer OPERATOR(pg_catalog.=) '" SQL_PERFORMER "' LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING *) "
		"INSERT INTO mistral.attempt (action_id, attempt, root_id, performer, owner, action, safe_rerun, timeout, started_at, headers, input, place, tries) "
		"SELECT action_id, attempt, root_id, performer, owner, action, safe_rerun, timeout, $3, headers, input, $1, 1 FROM taken "
		"RETURNING action_id, root_id, attempt, tries, timeout, owner, action, input",
		3, {INT4OID, INT8OID, TIMESTAMPTZOID}
	};
	Datum		values[3];

	values[0] = Int32GetDatum(place);
	values[1] = Int64GetDatum(max);
	values[2] = TimestampTzGetDatum(clock_now());
	db_execute(&statement, values, NULL, false, 0);
	return keep_rows();
}

/* The rows of the last result, kept in this process; those tried too often end in ERROR. */
static int
keep_rows(void)
{
	uint64		n = SPI_processed;
	SPITupleTable *rows = SPI_tuptable;
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		SqlAction  *action = palloc0(sizeof(SqlAction));

		dlist_push_tail(&claimed, &action->node);
		nheld++;
		/* A message's insert has set its own. */
		SPI_tuptable = rows;
		SPI_processed = n;
		action->action_id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		action->root_id = *DatumGetUUIDP(db_datum(i, 2, &isnull));
		action->attempt = DatumGetInt32(db_datum(i, 3, &isnull));
		action->tries = DatumGetInt32(db_datum(i, 4, &isnull));
		action->timeout = DatumGetInt32(db_datum(i, 5, &isnull));
		if (isnull)
			action->timeout = 0;
		action->owner = DatumGetObjectId(db_datum(i, 6, &isnull));
		action->name = TextDatumGetCString(db_datum(i, 7, &isnull));
		action->input = DatumGetJsonbPCopy(db_datum(i, 8, &isnull));
		MemoryContextSwitchTo(old);
		if (action->tries > MAX_TRIES)
		{
			if (end_attempt(action) && still_wanted(action))
				give_up(action, psprintf("the process that ran it died %d times", MAX_TRIES));
			dlist_delete(&action->node);
			forget(action);
		}
	}
	return (int) n;
}

/* ---------------------------------------------------------------- performing */

/*
 * The claim is ended first, which locks it: who cancels the action meanwhile
 * waits.  An action that somebody has ended is not performed, and what one did
 * that somebody ended meanwhile is undone.
 */
static void
perform(SqlAction *action)
{
	SqlCall		call = {0};
	char	   *error;

	if (!end_attempt(action) || !still_wanted(action))
		return;
	if (action->failures >= MAX_FAILURES)
	{
		give_up(action, "its transaction failed again and again");
		return;
	}
	call.name = action->name;
	call.owner = action->owner;
	call.input = action->input;
	call.timeout_ms = guc_sql_timeout;
	if (action->timeout > 0 && (call.timeout_ms == 0 || action->timeout < call.timeout_ms / 1000))
		call.timeout_ms = Min(action->timeout, INT_MAX / 1000) * 1000;
	if (!sql_call_prepare(&call, &error))
	{
		put_outcome(action, STATE_ERROR, json_from_string(error));
		return;
	}
	sql_call(&call);
	if (call.result && VARSIZE(call.result) > (Size) guc_max_result_size * 1024)
	{
		call.failed = true;
		call.result = json_from_string(psprintf("the result is larger than mistral.max_result_size (%d kB)", guc_max_result_size));
	}
	put_outcome(action, call.failed ? STATE_ERROR : STATE_SUCCESS, call.result);
}

static void
give_up(const SqlAction *action, const char *why)
{
	put_outcome(action, STATE_ERROR, json_from_string(psprintf("action %s was given up: %s", action->name, why)));
}

/* False when the claim is gone: the action was cancelled or deleted. */
static bool
end_attempt(const SqlAction *action)
{
	for (;;)
	{
		DbLookup	lookup;
		TupleTableSlot *slot;
		bool		isnull;
		bool		ended;

		CHECK_FOR_INTERRUPTS();
		db_lookup_latest(&lookup, "attempt", "attempt_pkey", &action->action_id);
		while ((slot = db_lookup_next(&lookup)) != NULL &&
			   DatumGetInt32(slot_getattr(slot, ATTEMPT_ATTEMPT, &isnull)) != action->attempt);
		ended = slot != NULL && db_lookup_delete(&lookup, true);
		db_lookup_end(&lookup);
		/* Where somebody else has changed or deleted it, the next look tells which. */
		if (slot == NULL || ended)
			return ended;
	}
}

/* Whether the action runs, and its execution. */
static bool
still_wanted(const SqlAction *action)
{
	DbLookup	lookup;
	TupleTableSlot *slot;
	pg_uuid_t	execution;
	bool		wanted;
	bool		inside;
	bool		isnull;

	db_lookup_latest(&lookup, "action_execution", "action_execution_pkey", &action->action_id);
	slot = db_lookup_next(&lookup);
	wanted = slot != NULL && slot_attisnull(slot, ACTION_FINISHED_AT);
	inside = wanted && !slot_attisnull(slot, ACTION_EXECUTION_ID);
	if (inside)
		execution = *DatumGetUUIDP(slot_getattr(slot, ACTION_EXECUTION_ID, &isnull));
	db_lookup_end(&lookup);
	if (!inside)
		return wanted;
	db_lookup_latest(&lookup, "execution", "execution_pkey", &execution);
	slot = db_lookup_next(&lookup);
	wanted = slot == NULL || slot_attisnull(slot, EXECUTION_FINISHED_AT);
	db_lookup_end(&lookup);
	return wanted;
}

/*
 * First come, first served: where somebody has completed the action already, this
 * transaction has nothing to say, and what the call did must not stay.
 */
static void
put_outcome(const SqlAction *action, State state, const Jsonb *result)
{
	if (!message_put(&action->root_id, MESSAGE_ACTION, &action->action_id, action->attempt,
					 message_action_result(state_name(state), result)) ||
		!still_wanted(action))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("action execution %s was ended by somebody else", id_cstring(&action->action_id))));
}

static void
forget(SqlAction *action)
{
	pfree(action->name);
	pfree(action->input);
	pfree(action);
	nheld--;
}

static void
move_all(dlist_head *from, dlist_head *to)
{
	while (!dlist_is_empty(from))
		dlist_push_tail(to, dlist_pop_head_node(from));
}
