/*
 * lone_action.c
 *		Actions run without a workflow: their own row is their root.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/adhoc.h"
#include "engine/control.h"
#include "engine/lone_action.h"
#include "engine/notify.h"
#include "engine/states.h"
#include "queue/event_wait.h"
#include "queue/message.h"
#include "queue/pull.h"

static void insert_action(const pg_uuid_t *id, const AdhocChain *chain, const Jsonb *input, Oid role,
						  State state, const Jsonb *result);
static void insert_dispatch(const pg_uuid_t *id, const AdhocChain *chain, Oid role);
static void finish(const InboxMessage *message, const char *state, Jsonb *result);

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
	if (chain.type->mode == ACTION_ANSWER)
		pull_offer(&id, NULL, chain.base, role);
	else if (chain.type->mode == ACTION_EVENT)
	{
		EventWait	wait = {
			.action_id = id, .root_id = id, .execution_id = id, .task = "", .attempt = 1, .owner = role,
			.started_at = clock_now(), .input = chain.input
		};

		event_wait_begin(&wait);
	}
	else if (chain.target)
	{
		pull_offer(&id, chain.target, chain.base, role);
		/* The engine tells whoever listens: sessions do not notify. */
		(void) message_put(&id, MESSAGE_CONTINUE, NULL, 0, NULL);
	}
	else if (chain.type->mode != ACTION_INLINE && chain.type->mode != ACTION_WAIT)
		insert_dispatch(&id, &chain, role);
	return id;
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
		work_dispatched_hook(action_performer(chain->type), 0);
}

void
lone_actions_lock(const pg_uuid_t *ids, int nids, HTAB *roots, Size flag_offset)
{
	static DbStatement lock = {
		"SELECT id FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND task_id IS NULL "
		"ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
		1, {UUIDARRAYOID}
	};
	static DbStatement present = {
		"SELECT id FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) UNION ALL "
		"SELECT id FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND task_id IS NULL UNION ALL "
		"SELECT id FROM mistral.webhook WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
		1, {UUIDARRAYOID}
	};
	Datum	   *elements = palloc(sizeof(Datum) * nids);
	int			n = 0;
	Datum		values[1];
	uint64		found;
	uint64		i;
	bool		isnull;
	HTAB	   *exist;
	HASHCTL		ctl = {0};
	int			k;

	for (k = 0; k < nids; k++)
	{
		char	   *entry = hash_search(roots, &ids[k], HASH_FIND, NULL);

		if (!*(bool *) (entry + flag_offset))
			elements[n++] = UUIDPGetDatum(&ids[k]);
	}
	values[0] = PointerGetDatum(construct_array(elements, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	found = db_execute(&lock, values, NULL, false, 0);
	for (i = 0; i < found; i++)
	{
		char	   *entry = hash_search(roots, DatumGetUUIDP(db_datum(i, 1, &isnull)), HASH_FIND, NULL);

		*(bool *) (entry + flag_offset) = true;
	}

	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(pg_uuid_t);
	ctl.hcxt = CurrentMemoryContext;
	exist = hash_create("mistral present", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	found = db_execute(&present, values, NULL, false, 0);
	for (i = 0; i < found; i++)
		hash_search(exist, DatumGetUUIDP(db_datum(i, 1, &isnull)), HASH_ENTER, NULL);
	for (k = 0; k < n; k++)
	{
		char	   *entry = hash_search(roots, DatumGetUUIDP(elements[k]), HASH_FIND, NULL);

		if (hash_search(exist, DatumGetUUIDP(elements[k]), HASH_FIND, NULL) == NULL)
			*(bool *) (entry + flag_offset) = true;
	}
	hash_destroy(exist);
}

Execution *
lone_execution(Tree *tree, const char *namespace_, Oid owner)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	Execution  *execution = tree_add_execution(tree, NULL);

	execution->owner = owner;
	execution->name = "";
	execution->namespace_ = pstrdup(namespace_);
	json_ref_set(&execution->input, json_empty());
	json_ref_set(&execution->params, json_empty());
	MemoryContextSwitchTo(old);
	return execution;
}

/* The first message that tells an outcome counts; one that tells none says that the action is on offer. */
void
lone_action_apply(const InboxMessage *messages, int nmessages)
{
	int			i;

	for (i = 0; i < nmessages; i++)
	{
		char	   *state = json_get_string(messages[i].payload, "state");

		if (strcmp(messages[i].kind, MESSAGE_CONTINUE) == 0)
		{
			char	   *target = pull_offered_to(&messages[i].root_id);

			if (target)
				notify_target_now(target);
		}
		else if (state != NULL && messages[i].has_target)
			finish(&messages[i], state, json_get_jsonb(messages[i].payload, "result"));
	}
}

static void
finish(const InboxMessage *message, const char *state, Jsonb *result)
{
	static DbStatement select = {
		"SELECT owner, runtime FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.=) $1 "
		"AND task_id IS NULL AND finished_at IS NULL",
		1, {UUIDOID}
	};
	static DbStatement update = {
		"UPDATE mistral.action_execution SET state = $2, result = $3, accepted = true, updated_at = $4, finished_at = $4, "
		"runtime = $5 WHERE id OPERATOR(pg_catalog.=) $1",
		5, {UUIDOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, JSONBOID}
	};
	Datum		values[5] = {UUIDPGetDatum(&message->target)};
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};
	Jsonb	   *runtime = NULL;
	Datum		datum;
	bool		isnull;
	Oid			owner;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return;
	owner = DatumGetObjectId(db_datum(0, 1, &isnull));
	datum = db_datum(0, 2, &isnull);
	if (!isnull)
	{
		/* As in a workflow: a repeated completion is known by what was sent. */
		runtime = DatumGetJsonbPCopy(datum);
		runtime = json_merge(runtime, json_pair("sent", message_action_result(state, result)));
	}
	if (runtime && strcmp(state, "SUCCESS") == 0)
	{
		Tree	   *tree = tree_new(CurrentMemoryContext, &message->target);
		EvalPlace	place = {.execution = lone_execution(tree, "", owner)};
		char	   *error;

		if (!adhoc_apply_outputs(&place, runtime, &result, &error))
		{
			state = "ERROR";
			result = json_from_string(error);
		}
	}
	values[1] = CStringGetTextDatum(state);
	values[2] = PointerGetDatum(result);
	nulls[2] = result ? ' ' : 'n';
	values[3] = TimestampTzGetDatum(clock_now());
	values[4] = PointerGetDatum(runtime);
	nulls[4] = runtime ? ' ' : 'n';
	db_execute(&update, values, nulls, false, 0);
	event_wait_end(id_array(list_make1(unconstify(pg_uuid_t *, &message->target))));
}
