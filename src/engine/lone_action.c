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
#include "engine/lone_action.h"
#include "engine/notify.h"
#include "queue/message.h"
#include "queue/pull.h"

static void finish(const InboxMessage *message, const char *state, Jsonb *result);

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
}
