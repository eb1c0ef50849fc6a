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
#include "engine/states.h"
#include "engine/store.h"
#include "guc.h"
#include "queue/message.h"
#include "queue/pull.h"

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
	Jsonb	   *outcome;		/* what ended it, as it was sent; NULL while it runs */
	Oid			owner;
	TimestampTz created_at;
	const Jsonb *question;		/* the input of std.approve; NULL: another action */
} FoundAction;

static void check_size(const pg_uuid_t *id, const Jsonb *result);
static void put_outcome(const pg_uuid_t *id, State state, const Jsonb *result, int attempt, Oid role, FoundAction *found);
static void check_asked(const pg_uuid_t *id, const FoundAction *found, Oid role);
static void find_action(const pg_uuid_t *id, Oid role, FoundAction *found);
static bool may_see(TupleTableSlot *slot, Oid role, FoundAction *found);
static Jsonb *json_column(TupleTableSlot *slot, int attnum);
static Jsonb *pending_outcome(const pg_uuid_t *id, int attempt);
static void check_same(const pg_uuid_t *id, const FoundAction *found, const Jsonb *before, const Jsonb *now);

void
control_finish_action(const pg_uuid_t *id, State state, const Jsonb *result, int attempt, Oid role)
{
	FoundAction found;

	check_size(id, result);
	find_action(id, role, &found);
	/* Whoever could send any result could say that somebody else has approved. */
	if (found.question && state != STATE_CANCELLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("action execution %s waits for an answer", id_cstring(id)),
				 errhint("Those who are asked call mistral.approve or mistral.reject.")));
	put_outcome(id, state, result, attempt, role, &found);
}

/*
 * Under the lock of the tree: what is accepted here is taken before the task
 * times out or the workflow is stopped, whatever was first to be asked for.
 */
void
control_answer(const pg_uuid_t *id, bool approved, const char *comment, Oid role)
{
	FoundAction found;
	LockedRoot	locked;
	Jsonb	   *answer = approval_answer(approved, role, comment);

	check_size(id, answer);
	find_action(id, role, &found);
	check_asked(id, &found, role);
	if (store_lock_roots(&found.root_id, 1, true, &locked) == 1)
		find_action(id, role, &found);
	put_outcome(id, approved ? STATE_SUCCESS : STATE_ERROR, answer, 0, role, &found);
}

/*
 * The completion is put first, under the key that lets only one in, and the
 * action is read afterwards with a newer snapshot: whichever way this and a
 * step of the engine overlap, one of the two looks sees the other.
 */
static void
put_outcome(const pg_uuid_t *id, State state, const Jsonb *result, int attempt, Oid role, FoundAction *found)
{
	Jsonb	   *payload = message_action_result(state_name(state), result);

	bool		awaited = true;

	if (!state_is_final(found->state))
	{
		if (!message_put(&found->root_id, MESSAGE_ACTION, id, found->attempt, payload))
			check_same(id, found, pending_outcome(id, found->attempt), payload);
		else if (found->question)
			awaited = pull_answer(id) || state == STATE_CANCELLED;
		else if (found->pulled)
			pull_end(id, attempt);
		find_action(id, role, found);
	}
	if (state_is_final(found->state))
		check_same(id, found, found->outcome, payload);
	else if (!awaited)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_ACTION_FINISHED),
				 errmsg("the answer to action execution %s comes too late", id_cstring(id)),
				 errdetail("Its task or its workflow has ended without it.")));
}

static void
check_size(const pg_uuid_t *id, const Jsonb *result)
{
	if (result && VARSIZE(result) > (Size) guc_max_result_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_TOO_LARGE),
				 errmsg("the result is larger than mistral.max_result_size (%d kB)", guc_max_result_size),
				 errdetail("The action execution %s goes on waiting.", id_cstring(id))));
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

/* Twice for each completion, which is why it does without a statement. */
static void
find_action(const pg_uuid_t *id, Oid role, FoundAction *found)
{
	DbLookup	lookup;
	TupleTableSlot *slot;
	Jsonb	   *runtime;
	bool		isnull;

	db_lookup_latest(&lookup, "action_execution", "action_execution_pkey", id);
	slot = db_lookup_next(&lookup);
	memset(found, 0, sizeof(*found));
	if (slot == NULL || !may_see(slot, role, found))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED_ACTION),
				 errmsg("action execution %s does not exist, or nobody has to complete it", id_cstring(id)),
				 errhint("The view mistral.action_executions lists those you may see; RUNNING ones can be completed.")));
	found->root_id = *DatumGetUUIDP(slot_getattr(slot, ACTION_ROOT_ID, &isnull));
	(void) state_parse(TextDatumGetCString(slot_getattr(slot, ACTION_STATE, &isnull)), &found->state);
	found->attempt = DatumGetInt32(slot_getattr(slot, ACTION_ATTEMPT, &isnull));
	runtime = json_column(slot, ACTION_RUNTIME);
	found->pulled = json_get(runtime, "target", strlen("target")) != NULL;
	found->outcome = json_get_jsonb(runtime, "sent");
	/* What has not ended has no other outcome that somebody asks for. */
	if (found->outcome == NULL && state_is_final(found->state))
		found->outcome = message_action_result(state_name(found->state), json_column(slot, ACTION_RESULT));
	db_lookup_end(&lookup);
}

/* The owner's rights, or being asked; fills what the second depends on. */
static bool
may_see(TupleTableSlot *slot, Oid role, FoundAction *found)
{
	bool		isnull;
	char	   *name = TextDatumGetCString(slot_getattr(slot, ACTION_NAME, &isnull));
	Jsonb	   *runtime = json_column(slot, ACTION_RUNTIME);

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
	bool		isnull;

	if (db_read_latest(&select, values, 1) == 0)
		return NULL;			/* taken meanwhile: the action itself tells */
	return DatumGetJsonbPCopy(db_datum(0, 1, &isnull));
}

static void
check_same(const pg_uuid_t *id, const FoundAction *found, const Jsonb *before, const Jsonb *now)
{
	char	   *by;

	if (before == NULL || json_equal(before, now) ||
		(found->question && approval_same(before, now)))
		return;
	by = found->question ? json_get_string(json_get_jsonb(before, "result"), "by") : NULL;
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_ACTION_FINISHED),
			 errmsg("action execution %s has ended already, as %s", id_cstring(id), json_get_string(before, "state")),
			 by ? errdetail("Role \"%s\" has answered. The first answer counts; this one says something else.", by)
			 : errdetail("The first completion counts; this one says something else.")));
}
