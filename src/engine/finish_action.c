/*
 * finish_action.c
 *		Actions from outside: ending one, and running one without a workflow.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/adhoc.h"
#include "engine/approval.h"
#include "engine/control.h"
#include "engine/lone_action.h"
#include "engine/states.h"
#include "engine/workflow.h"
#include "guc.h"
#include "queue/message.h"
#include "queue/pull.h"

/* Columns of action_execution, from 1. */
#define ACTION_TASK_ID 2
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
	bool		has_task;
	pg_uuid_t	task_id;
	Oid			owner;
	TimestampTz created_at;
	const Jsonb *question;		/* the input of std.approve; NULL: another action */
} FoundAction;

static void check_size(const pg_uuid_t *id, const Jsonb *result);
static void put_outcome(const pg_uuid_t *id, State state, const Jsonb *result, int attempt, Oid role, FoundAction *found);
static void check_asked(const pg_uuid_t *id, const FoundAction *found, Oid role);
static bool nobody_waits(const FoundAction *found);
static Jsonb *without_time(const Jsonb *outcome);

static void find_action(const pg_uuid_t *id, Oid role, FoundAction *found);
static bool may_see(TupleTableSlot *slot, Oid role, FoundAction *found);
static Jsonb *json_column(TupleTableSlot *slot, int attnum);
static Jsonb *pending_outcome(const pg_uuid_t *id, int attempt);
static void check_same(const pg_uuid_t *id, const FoundAction *found, const Jsonb *before, const Jsonb *now);
static void insert_action(const pg_uuid_t *id, const AdhocChain *chain, const Jsonb *input, Oid role,
						  State state, const Jsonb *result);
static void insert_dispatch(const pg_uuid_t *id, const AdhocChain *chain, Oid role);

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

void
control_answer(const pg_uuid_t *id, bool approved, const char *comment, Oid role)
{
	FoundAction found;
	JsonBuilder b = {0};
	Jsonb	   *result;

	find_action(id, role, &found);
	check_asked(id, &found, role);
	json_begin_object(&b);
	json_add_key(&b, "approved");
	json_add_bool(&b, approved);
	json_add_key(&b, "by");
	json_add_string(&b, GetUserNameFromId(role, false));
	json_add_key(&b, "at");
	json_add_time(&b, clock_now());
	json_add_key(&b, "comment");
	json_add_string(&b, comment);
	json_end_object(&b);
	result = json_finish(&b);
	check_size(id, result);
	put_outcome(id, approved ? STATE_SUCCESS : STATE_ERROR, result, 0, role, &found);
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

	if (!state_is_final(found->state))
	{
		if (!message_put(&found->root_id, MESSAGE_ACTION, id, found->attempt, payload))
			check_same(id, found, pending_outcome(id, found->attempt), payload);
		else if (found->pulled)
			pull_end(id, attempt);
		find_action(id, role, found);
	}
	if (state_is_final(found->state))
		check_same(id, found, found->outcome, payload);
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

/* That the action asks, asks this role, and that its task still wants to know. */
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
	if (!state_is_final(found->state) && nobody_waits(found))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_ACTION_FINISHED),
				 errmsg("the answer to action execution %s comes too late", id_cstring(id)),
				 errdetail("Its task or its workflow has ended without it.")));
}

/* A task that timed out, and a workflow that was stopped, leave their actions as they are. */
static bool
nobody_waits(const FoundAction *found)
{
	static DbStatement select = {
		"SELECT FROM mistral.task t JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) t.execution_id "
		"WHERE t.id OPERATOR(pg_catalog.=) $1 AND (t.finished_at IS NOT NULL OR e.finished_at IS NOT NULL)",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&found->task_id)};

	return found->has_task && db_read_latest(&select, values, 1) > 0;
}

pg_uuid_t
control_run_action(const char *name, const Jsonb *input, const char *namespace_, const char *target, Oid role)
{
	Tree	   *tree;
	EvalPlace	place = {0};
	AdhocChain	chain;
	ActionOutcome outcome = {0};
	Jsonb	   *result = NULL;
	State		state = STATE_RUNNING;
	char	   *error;
	bool		forced;
	pg_uuid_t	id;

	id_new(&id);
	tree = tree_new(CurrentMemoryContext, &id);
	place.execution = lone_execution(tree, namespace_, role);
	if (!json_is_object(input))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_INPUT),
				 errmsg("the input of an action must be an object")));
	if (!adhoc_resolve(&place, name, input, &chain, &error, &forced) || !adhoc_set_target(&chain, target, &error))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_INPUT),
				 errmsg("cannot run action \"%s\"", name),
				 errdetail("%s.", error)));
	if (chain.type->mode == ACTION_INLINE)
	{
		chain.type->run(chain.input, &outcome);
		if (outcome.delay_ms > 0)
			ereport(ERROR,
					(errcode(ERRCODE_MISTRAL_INVALID_INPUT),
					 errmsg("an action with a delay needs a workflow")));
		state = outcome.failed ? STATE_ERROR : STATE_SUCCESS;
		result = outcome.result ? json_copy(outcome.result) : NULL;
		if (!outcome.failed && !adhoc_apply_outputs(&place, adhoc_runtime(&chain), &result, &error))
		{
			state = STATE_ERROR;
			result = json_from_string(error);
		}
	}
	insert_action(&id, &chain, chain.given, role, state, result);
	if (chain.target)
	{
		pull_offer(&id, chain.target, chain.base, role);
		/* The engine tells whoever listens: sessions do not notify. */
		(void) message_put(&id, MESSAGE_CONTINUE, NULL, 0, NULL);
	}
	else if (chain.type->mode != ACTION_INLINE && !ACTION_ONLY_WAITS(chain.type))
		insert_dispatch(&id, &chain, role);
	return id;
}

/* Twice for each completion, which is why it does without a statement. */
static void
find_action(const pg_uuid_t *id, Oid role, FoundAction *found)
{
	DbLookup	lookup;
	TupleTableSlot *slot;
	Jsonb	   *runtime;
	Datum		task_id;
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
	task_id = slot_getattr(slot, ACTION_TASK_ID, &isnull);
	found->has_task = !isnull;
	if (!isnull)
		found->task_id = *DatumGetUUIDP(task_id);
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
		(found->question && json_equal(without_time(before), without_time(now))))
		return;
	by = found->question ? json_get_string(json_get_jsonb(before, "result"), "by") : NULL;
	ereport(ERROR,
			(errcode(ERRCODE_MISTRAL_ACTION_FINISHED),
			 errmsg("action execution %s has ended already, as %s", id_cstring(id), json_get_string(before, "state")),
			 by ? errdetail("Role \"%s\" has answered. The first answer counts; this one says something else.", by)
			 : errdetail("The first completion counts; this one says something else.")));
}

/* An answer but for when it was given: the same role's same answer is a repetition. */
static Jsonb *
without_time(const Jsonb *outcome)
{
	Jsonb	   *result = json_get_jsonb(outcome, "result");

	return json_is_object(result) ? json_merge(outcome, json_pair("result", json_without(result, "at"))) : json_copy(outcome);
}

static void
insert_action(const pg_uuid_t *id, const AdhocChain *chain, const Jsonb *input, Oid role,
			  State state, const Jsonb *result)
{
	static DbStatement insert = {
		"INSERT INTO mistral.action_execution (id, root_id, owner, name, state, accepted, created_at, updated_at, "
		"finished_at, runtime, input, result) VALUES ($1, $1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10)",
		10, {UUIDOID, OIDOID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, JSONBOID, JSONBOID, JSONBOID}
	};
	Jsonb	   *runtime = adhoc_runtime(chain);
	bool		final = state_is_final(state);
	Datum		values[10];
	char		nulls[10];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(id);
	values[1] = ObjectIdGetDatum(role);
	values[2] = CStringGetTextDatum(chain->name);
	values[3] = CStringGetTextDatum(state_name(state));
	values[4] = BoolGetDatum(final);
	values[5] = values[6] = TimestampTzGetDatum(clock_now());
	nulls[6] = final ? ' ' : 'n';
	values[7] = PointerGetDatum(runtime);
	nulls[7] = runtime ? ' ' : 'n';
	values[8] = PointerGetDatum(input);
	values[9] = PointerGetDatum(result);
	nulls[9] = result ? ' ' : 'n';
	db_execute(&insert, values, nulls, false, 0);
}

static void
insert_dispatch(const pg_uuid_t *id, const AdhocChain *chain, Oid role)
{
	static DbStatement insert = {
		"INSERT INTO mistral.dispatch (id, root_id, action_id, attempt, performer, owner, action, safe_rerun, created_at, headers, input) "
		"VALUES ($1, $1, $1, 1, $6, $2, $3, false, $4, '{}', $5)",
		6, {UUIDOID, OIDOID, TEXTOID, TIMESTAMPTZOID, JSONBOID, TEXTOID}
	};
	Datum		values[6];

	values[0] = UUIDPGetDatum(id);
	values[1] = ObjectIdGetDatum(role);
	values[2] = CStringGetTextDatum(chain->base);
	values[3] = TimestampTzGetDatum(clock_now());
	values[4] = PointerGetDatum(chain->input);
	values[5] = CStringGetTextDatum(action_performer(chain->type));
	db_execute(&insert, values, NULL, false, 0);
	if (work_dispatched_hook)
		work_dispatched_hook(action_performer(chain->type));
}
