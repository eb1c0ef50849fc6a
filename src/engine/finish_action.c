/*
 * finish_action.c
 *		Ending actions from outside: their results, and answers to what they ask.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/approval.h"
#include "engine/control.h"
#include "engine/history.h"
#include "engine/states.h"
#include "engine/store.h"
#include "guc.h"
#include "queue/message.h"
#include "queue/pull.h"
#include "queue/token.h"

/* Columns of action_execution, from 1. */
#define ACTION_ROOT_ID 4
#define ACTION_OWNER 7
#define ACTION_NAME 8
#define ACTION_STATE 9
#define ACTION_ATTEMPT 11
#define ACTION_CREATED_AT 12
#define ACTION_RUNTIME 16
#define ACTION_INPUT 17
#define ACTION_RESULT 18

typedef struct FoundAction
{
	pg_uuid_t	root_id;
	State		state;
	int			attempt;
	bool		pulled;			/* it is for pull workers */
	bool		taken;			/* its lease, or offer, was taken away */
	Jsonb	   *outcome;		/* what ended it, as it was sent; NULL while it runs */
	Oid			owner;
	ItemPointerData place;		/* of the version of its row that was seen */
	TimestampTz created_at;
	const Jsonb *question;		/* the input of std.approve; NULL: another action */
	bool		late;			/* an answer that nobody waits for any more */
} FoundAction;

static void finish_all(FinishAction *finishes, int n, State state, Oid role, bool answer);
static void raise_refusal(const FinishAction *finish);
static int	compare_finishes(const void *a, const void *b);
static bool still_runs(const FinishAction *finish, const FoundAction *found);
static void look(FinishAction *finishes, FoundAction *found, const char *state, int n, Oid role, bool again);
static void look_at(FinishAction *finish, TupleTableSlot *slot, Oid role, const char *state, FoundAction *found);
static void check_token(FinishAction *finish, const TokenKey *key);
static void refuse(FinishAction *finish, int code, const char *message, const char *detail, const char *hint);
static void end_leases(FinishAction *finishes, FoundAction *found, int n);
static void put_completions(FinishAction *finishes, FoundAction *found, const char *state, int n, Oid role);
static void check_asked(const pg_uuid_t *id, const FoundAction *found, Oid role);
static State read_state(TupleTableSlot *slot);
static bool read_action(TupleTableSlot *slot, Oid role, FoundAction *found);
static bool may_see(TupleTableSlot *slot, const Jsonb *runtime, Oid role, FoundAction *found);
static Jsonb *json_column(TupleTableSlot *slot, int attnum);
static Jsonb *pending_outcome(const pg_uuid_t *id, int attempt);
static void check_same(FinishAction *finish, const FoundAction *found, const Jsonb *before, const char *state);

void
control_finish_actions(FinishAction *finishes, int n, State state, Oid role)
{
	finish_all(finishes, n, state, role, false);
}

void
control_finish_action(FinishAction *finish, State state, Oid role)
{
	finish_all(finish, 1, state, role, false);
	raise_refusal(finish);
}

/*
 * Under the lock of the tree: what is accepted here is taken before the task
 * times out or the workflow is stopped, whatever was first to be asked for.
 */
void
control_answer(const pg_uuid_t *id, bool approved, const char *comment, Oid role)
{
	FinishAction finish = {.id = *id, .result = approval_answer(approved, role, comment)};
	FoundAction found;
	LockedRoot	locked;

	look(&finish, &found, NULL, 1, role, false);
	raise_refusal(&finish);
	check_asked(id, &found, role);
	(void) store_lock_roots(&found.root_id, 1, true, &locked);
	finish_all(&finish, 1, approved ? STATE_SUCCESS : STATE_ERROR, role, true);
	raise_refusal(&finish);
}

/*
 * Leases are taken first: who is refused there puts no completion, and whoever
 * takes back leases that run out passes over them.  Then the completions are
 * put, under the key that lets only one in, and the actions are read again with
 * a newer snapshot: whichever way this and a step of the engine overlap, one of
 * the two looks sees the other.
 */
static void
finish_all(FinishAction *finishes, int n, State state, Oid role, bool answer)
{
	FoundAction *found = palloc0(sizeof(FoundAction) * n);
	bool	   *late = palloc(sizeof(bool) * n);
	TokenKey	key;
	bool		have_key = false;

	qsort(finishes, n, sizeof(FinishAction), compare_finishes);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0 && id_equal(&finishes[i].id, &finishes[i - 1].id))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("action execution %s is given twice", id_cstring(&finishes[i].id))));
	}
	look(finishes, found, state_name(state), n, role, false);
	for (int i = 0; i < n; i++)
	{
		if (finishes[i].token)
		{
			if (!have_key)
				token_key_read(&key);
			have_key = true;
			check_token(&finishes[i], &key);
		}
		/* Whoever could send any result could say that somebody else has approved; only the owner gives a question up. */
		if (found[i].question && !answer && !(state == STATE_CANCELLED && has_privs_of_role(role, found[i].owner)))
			refuse(&finishes[i], ERRCODE_INSUFFICIENT_PRIVILEGE,
				   psprintf("action execution %s waits for an answer", id_cstring(&finishes[i].id)), NULL,
				   "Those who are asked call mistral.approve or mistral.reject.");
	}
	end_leases(finishes, found, n);
	put_completions(finishes, found, state_name(state), n, role);
	for (int i = 0; i < n; i++)
		late[i] = found[i].late && state != STATE_CANCELLED;
	look(finishes, found, state_name(state), n, role, true);
	for (int i = 0; i < n; i++)
	{
		if (late[i] && still_runs(&finishes[i], &found[i]))
			refuse(&finishes[i], ERRCODE_MISTRAL_ACTION_FINISHED,
				   psprintf("the answer to action execution %s comes too late", id_cstring(&finishes[i].id)),
				   "Its task or its workflow has ended without it.", NULL);
	}
}

static void
raise_refusal(const FinishAction *finish)
{
	if (finish->refused)
		ereport(ERROR,
				(errcode(finish->refused),
				 errmsg("%s", finish->message),
				 finish->detail ? errdetail("%s", finish->detail) : 0,
				 finish->hint ? errhint("%s", finish->hint) : 0));
}

static int
compare_finishes(const void *a, const void *b)
{
	return memcmp(&((const FinishAction *) a)->id, &((const FinishAction *) b)->id, UUID_LEN);
}

static bool
still_runs(const FinishAction *finish, const FoundAction *found)
{
	return finish->refused == 0 && !state_is_final(found->state);
}

/* What there is of the actions now (again: of those that ran), and whether it refuses their outcomes with this state (NULL: none are given yet). */
static void
look(FinishAction *finishes, FoundAction *found, const char *state, int n, Oid role, bool again)
{
	DbLookup	lookup;

	db_lookup_latest(&lookup, "action_execution", "action_execution_pkey", NULL);
	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *slot;

		CHECK_FOR_INTERRUPTS();
		/* A row that is as it was needs no search. */
		if (again && (!still_runs(&finishes[i], &found[i]) || db_lookup_same(&lookup, &found[i].place)))
			continue;
		db_lookup_again(&lookup, &finishes[i].id);
		slot = db_lookup_next(&lookup);
		/* What runs is as it was. */
		if (!again || slot == NULL || state_is_final(read_state(slot)))
			look_at(&finishes[i], slot, role, state, &found[i]);
	}
	db_lookup_end(&lookup);
}

/* The same of one; without a slot it is not there. */
static void
look_at(FinishAction *finish, TupleTableSlot *slot, Oid role, const char *state, FoundAction *found)
{
	if (finish->result && VARSIZE(finish->result) > (Size) guc_max_result_size * 1024)
		refuse(finish, ERRCODE_MISTRAL_TOO_LARGE,
			   psprintf("the result is larger than mistral.max_result_size (%d kB)", guc_max_result_size),
			   psprintf("The action execution %s goes on waiting.", id_cstring(&finish->id)), NULL);
	else if (slot == NULL || !read_action(slot, role, found))
		refuse(finish, ERRCODE_MISTRAL_UNDEFINED_ACTION,
			   psprintf("action execution %s does not exist, or nobody has to complete it", id_cstring(&finish->id)), NULL,
			   "The view mistral.action_executions lists those you may see; RUNNING ones can be completed.");
	else if (state_is_final(found->state) && state)
		check_same(finish, found, found->outcome, state);
}

/* A token says which attempt it is, and shows that the action was given out under it. */
static void
check_token(FinishAction *finish, const TokenKey *key)
{
	int			attempt = token_attempt(key, &finish->id, finish->token);

	if (attempt == 0 || (finish->attempt > 0 && finish->attempt != attempt))
		refuse(finish, ERRCODE_MISTRAL_TOKEN,
			   psprintf("the token was not given with %s of action execution %s",
						finish->attempt > 0 ? psprintf("attempt %d", finish->attempt) : "any attempt", id_cstring(&finish->id)),
			   NULL, "After mistral.adopt() no token that was given before is one any more.");
	finish->attempt = attempt;
}

/* The first reason counts. */
static void
refuse(FinishAction *finish, int code, const char *message, const char *detail, const char *hint)
{
	if (finish->refused)
		return;
	finish->refused = code;
	finish->message = message;
	finish->detail = detail;
	finish->hint = hint;
}

/* Of those that run and are for pull workers. */
static void
end_leases(FinishAction *finishes, FoundAction *found, int n)
{
	PullEnd    *ends = palloc(sizeof(PullEnd) * n);
	int		   *of = palloc(sizeof(int) * n);
	int			nends = 0;

	for (int i = 0; i < n; i++)
		if (still_runs(&finishes[i], &found[i]) && found[i].pulled && !found[i].question)
		{
			ends[nends].action_id = finishes[i].id;
			ends[nends].attempt = finishes[i].attempt;
			of[nends++] = i;
		}
	if (nends > 0)
		pull_end(ends, nends);
	for (int i = 0; i < nends; i++)
	{
		FinishAction *finish = &finishes[of[i]];

		found[of[i]].taken = ends[i].found && ends[i].current == 0;
		if (ends[i].current > 0)
			refuse(finish, ERRCODE_MISTRAL_LEASE_LOST,
				   psprintf("the lease on action execution %s has run out, and attempt %d of it is under way",
							id_cstring(&finish->id), ends[i].current),
				   psprintf("This is the result of attempt %d.", finish->attempt),
				   "Prolong leases with heartbeat_actions; undo what the lost attempt did, or leave it to the one under way.");
	}
}

/* Of those that run; where another completion is there already, that one counts. */
static void
put_completions(FinishAction *finishes, FoundAction *found, const char *state, int n, Oid role)
{
	MessageCompletion *completions = palloc(sizeof(MessageCompletion) * n);
	int		   *of = palloc(sizeof(int) * n);
	const char *sender = history_sender(role);
	int			nputs = 0;

	for (int i = 0; i < n; i++)
		if (still_runs(&finishes[i], &found[i]))
		{
			completions[nputs].root_id = found[i].root_id;
			completions[nputs].action_id = finishes[i].id;
			completions[nputs].attempt = found[i].attempt;
			completions[nputs].payload = message_action_result_from(state, finishes[i].result, sender);
			completions[nputs].sole = found[i].taken;
			of[nputs++] = i;
		}
	if (nputs == 1)
		completions->put = message_put(&completions->root_id, MESSAGE_ACTION, &completions->action_id,
									   completions->attempt, completions->payload);
	else
		message_put_completions(completions, nputs);
	for (int i = 0; i < nputs; i++)
	{
		FoundAction *action = &found[of[i]];

		if (!completions[i].put)
			check_same(&finishes[of[i]], action, pending_outcome(&completions[i].action_id, completions[i].attempt), state);
		else if (action->question)
			action->late = !pull_answer(&completions[i].action_id);
	}
}

/* That the action asks, and asks this role. */
static void
check_asked(const pg_uuid_t *id, const FoundAction *found, Oid role)
{
	if (found->question == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED_ACTION),
				 errmsg("action execution %s asks nobody", id_cstring(id)),
				 errhint("The view mistral.approvals lists what waits for an answer.")));
	if (!approval_may_answer(found->question, found->owner, found->created_at, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not answer action execution %s", GetUserNameFromId(role, false), id_cstring(id)),
				 errdetail("It waits for %s.", approval_who(found->question, found->owner, found->created_at))));
}

static State
read_state(TupleTableSlot *slot)
{
	State		state;
	bool		isnull;

	(void) state_parse(TextDatumGetCString(slot_getattr(slot, ACTION_STATE, &isnull)), &state);
	return state;
}

/* False when the role does not see it. */
static bool
read_action(TupleTableSlot *slot, Oid role, FoundAction *found)
{
	Jsonb	   *runtime = json_column(slot, ACTION_RUNTIME);
	bool		isnull;

	memset(found, 0, sizeof(*found));
	if (!may_see(slot, runtime, role, found))
		return false;
	found->place = slot->tts_tid;
	found->root_id = *DatumGetUUIDP(slot_getattr(slot, ACTION_ROOT_ID, &isnull));
	found->state = read_state(slot);
	found->attempt = DatumGetInt32(slot_getattr(slot, ACTION_ATTEMPT, &isnull));
	found->pulled = json_get(runtime, "target", strlen("target")) != NULL;
	found->outcome = json_get_jsonb(runtime, "sent");
	/* What has not ended has no other outcome that somebody asks for. */
	if (found->outcome == NULL && state_is_final(found->state))
		found->outcome = message_action_result(state_name(found->state), json_column(slot, ACTION_RESULT));
	return true;
}

/* The owner's rights, or being asked; fills what the second depends on. */
static bool
may_see(TupleTableSlot *slot, const Jsonb *runtime, Oid role, FoundAction *found)
{
	bool		isnull;
	char	   *name = TextDatumGetCString(slot_getattr(slot, ACTION_NAME, &isnull));

	found->owner = DatumGetObjectId(slot_getattr(slot, ACTION_OWNER, &isnull));
	found->created_at = DatumGetTimestampTz(slot_getattr(slot, ACTION_CREATED_AT, &isnull));
	if (approval_asks(name, runtime))
		found->question = approval_request(runtime, json_column(slot, ACTION_INPUT));
	return has_privs_of_role(role, found->owner) ||
		(found->question && approval_may_answer(found->question, found->owner, found->created_at, role));
}

static Jsonb *
json_column(TupleTableSlot *slot, int attnum)
{
	bool		isnull;
	Datum		datum = slot_getattr(slot, attnum, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(datum);
}

/* What another completion of this attempt says, which no step has taken yet. */
static Jsonb *
pending_outcome(const pg_uuid_t *id, int attempt)
{
	static DbStatement select = {
		"SELECT payload FROM mistral.message WHERE target_id OPERATOR(pg_catalog.=) $1 AND attempt OPERATOR(pg_catalog.=) $2 "
		"AND attempt IS NOT NULL",
		2, {UUIDOID, INT4OID}
	};
	Datum		values[2] = {UUIDPGetDatum(id), Int32GetDatum(attempt)};
	Jsonb	   *sent;
	bool		isnull;

	if (db_read_latest(&select, values, 1) == 0)
		return NULL;			/* taken meanwhile: the action itself tells */
	sent = DatumGetJsonbP(db_datum(0, 1, &isnull));
	/* Whoever sent it: only what it says counts. */
	return message_action_result(json_get_string(sent, "state"), json_get_jsonb(sent, "result"));
}

/* Refuses the outcome when there is another one. */
static void
check_same(FinishAction *finish, const FoundAction *found, const Jsonb *before, const char *state)
{
	const Jsonb *now = before ? message_action_result(state, finish->result) : NULL;
	char	   *by;

	if (before == NULL || json_equal(before, now) ||
		(found->question && approval_same(before, now)))
		return;
	by = found->question ? json_get_string(json_get_jsonb(before, "result"), "by") : NULL;
	refuse(finish, ERRCODE_MISTRAL_ACTION_FINISHED,
		   psprintf("action execution %s has ended already, as %s", id_cstring(&finish->id), json_get_string(before, "state")),
		   by ? psprintf("Role \"%s\" has answered. The first answer counts; this one says something else.", by)
		   : "The first completion counts; this one says something else.", NULL);
}
