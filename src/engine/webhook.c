/*
 * webhook.c
 *		Requests that tell somebody of what happened: params.notify.
 *
 * Names of events, and which change of state is which, are Mistral's
 * (notification_events.py), as are the members of what is sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/states.h"
#include "engine/webhook.h"
#include "queue/message.h"

/* Pauses double from a second to an hour: twenty attempts take some nine hours. */
#define MAX_ATTEMPTS		20
#define SHORTEST_PAUSE_S	1
#define LONGEST_PAUSE_S		3600
#define TIMEOUT_S			30

/* One that is to be written; in the tree's step context. */
typedef struct WebhookRow
{
	Execution  *execution;
	const char *event;
	Jsonb	   *request;
} WebhookRow;

typedef Jsonb *(*Describe) (void *object, const char *event);

static const Jsonb *publishers(Execution *execution);
static const char *execution_event(State from, State to);
static const char *task_event(State from, State to);
static void tell(Execution *execution, const char *event, Describe describe, void *object);
static bool wants(const Jsonb *publisher, const char *event);
static Jsonb *request_of(const Jsonb *publisher, const Jsonb *data);
static Jsonb *describe_execution(void *object, const char *event);
static Jsonb *describe_task(void *object, const char *event);
static void add_id(JsonBuilder *b, const char *key, const pg_uuid_t *id);
static void add_string(JsonBuilder *b, const char *key, const char *text);
static void add_time(JsonBuilder *b, const char *key, TimestampTz time);
static void send_requests(const pg_uuid_t *ids, int nids);
static void again_later(const pg_uuid_t *id, int attempt, const char *error);
static void drop_orphan(const pg_uuid_t *id);
static char *failure(const Jsonb *payload);

void
webhook_execution_changed(Execution *execution, State from)
{
	if (publishers(execution))
		tell(execution, execution_event(from, execution->state), describe_execution, execution);
}

void
webhook_task_changed(Task *task, State from)
{
	if (publishers(task->execution))
		tell(task->execution, task_event(from, task->state), describe_task, task);
}

void
webhooks_write(List *trees)
{
	static DbStatement insert = {
		"INSERT INTO mistral.webhook (id, root_id, execution_id, owner, event, attempt, failed, created_at, request) "
		"VALUES ($1, $2, $3, $4, $5, 1, false, $6, $7)",
		7, {UUIDOID, UUIDOID, UUIDOID, OIDOID, TEXTOID, TIMESTAMPTZOID, JSONBOID}
	};
	ListCell   *lc;
	ListCell   *lw;

	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);
		pg_uuid_t  *ids;
		int			n = 0;

		if (tree->webhooks == NIL)
			continue;
		ids = palloc(sizeof(pg_uuid_t) * list_length(tree->webhooks));
		foreach(lw, tree->webhooks)
		{
			WebhookRow *row = lfirst(lw);
			Datum		values[7];

			id_new(&ids[n]);
			values[0] = UUIDPGetDatum(&ids[n++]);
			values[1] = UUIDPGetDatum(&tree->root_id);
			values[2] = UUIDPGetDatum(&row->execution->id);
			values[3] = ObjectIdGetDatum(row->execution->owner);
			values[4] = CStringGetTextDatum(row->event);
			values[5] = TimestampTzGetDatum(clock_now());
			values[6] = JsonbPGetDatum(row->request);
			db_execute(&insert, values, NULL, false, 0);
		}
		tree->webhooks = NIL;
		send_requests(ids, n);
	}
}

void
webhooks_lock(const pg_uuid_t *ids, int nids, HTAB *roots, Size flag_offset)
{
	static DbStatement lock = {
		"SELECT id FROM mistral.webhook WHERE id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED",
		1, {UUIDARRAYOID}
	};
	Datum	   *elements;
	Datum		values[1];
	uint64		found;
	uint64		i;
	int			k;

	if (db_table_is_empty("webhook"))
		return;
	elements = palloc(sizeof(Datum) * nids);
	for (k = 0; k < nids; k++)
		elements[k] = UUIDPGetDatum(&ids[k]);
	values[0] = PointerGetDatum(construct_array(elements, nids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	found = db_execute(&lock, values, NULL, false, 0);
	for (i = 0; i < found; i++)
	{
		bool		isnull;
		char	   *entry = hash_search(roots, DatumGetUUIDP(db_datum(i, 1, &isnull)), HASH_FIND, NULL);

		*(bool *) (entry + flag_offset) = true;
	}
}

bool
webhook_apply(const InboxMessage *messages, int nmessages)
{
	static DbStatement find = {
		"SELECT attempt, failed FROM mistral.webhook WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	static DbStatement delete = {"DELETE FROM mistral.webhook WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}};
	const pg_uuid_t *id = &messages[0].root_id;
	Datum		values[1] = {UUIDPGetDatum(id)};
	bool		isnull;
	int			attempt;

	if (db_table_is_empty("webhook") || db_execute(&find, values, NULL, false, 1) == 0)
		return false;
	attempt = DatumGetInt32(db_datum(0, 1, &isnull));
	/* Of several messages one is an answer; a timer finds nothing under way. */
	for (int i = 0; i < nmessages; i++)
	{
		char	   *error;

		if (messages[i].is_timer)
		{
			send_requests(id, 1);
			continue;
		}
		error = failure(messages[i].payload);
		if (error)
			again_later(id, attempt, error);
		else
			db_execute(&delete, values, NULL, false, 0);
		break;
	}
	return true;
}

bool
webhook_retry(const pg_uuid_t *id, Oid role)
{
	static DbStatement find = {
		"SELECT owner FROM mistral.webhook WHERE id OPERATOR(pg_catalog.=) $1 AND failed FOR UPDATE", 1, {UUIDOID}
	};
	static DbStatement renew = {
		"UPDATE mistral.webhook SET attempt = 1, failed = false WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};
	bool		isnull;

	if (db_execute(&find, values, NULL, false, 1) == 0 ||
		!has_privs_of_role(role, DatumGetObjectId(db_datum(0, 1, &isnull))))
		return false;
	db_execute(&renew, values, NULL, false, 0);
	send_requests(id, 1);
	return true;
}

/* ---------------------------------------------------------------- what is told */

/* params.notify where it lists something; looked up once for each copy in memory. */
static const Jsonb *
publishers(Execution *execution)
{
	if (!execution->notify_known)
	{
		const Jsonb *notify = json_get_jsonb(json_ref_get(execution->cxt, &execution->params), "notify");

		execution->notify_known = true;
		if (notify && JB_ROOT_IS_ARRAY(notify) && !JB_ROOT_IS_SCALAR(notify) && JB_ROOT_COUNT(notify) > 0)
			execution->notify = json_keep(execution->cxt, notify);
	}
	return execution->notify;
}

static const char *
execution_event(State from, State to)
{
	switch (to)
	{
		case STATE_RUNNING:
			return from == STATE_PAUSED ? "WORKFLOW_RESUMED" : from == STATE_ERROR ? "WORKFLOW_RERUN" : "WORKFLOW_LAUNCHED";
		case STATE_SUCCESS:
			return "WORKFLOW_SUCCEEDED";
		case STATE_ERROR:
			return "WORKFLOW_FAILED";
		case STATE_CANCELLED:
			return "WORKFLOW_CANCELLED";
		case STATE_PAUSED:
			return "WORKFLOW_PAUSED";
		default:
			return NULL;
	}
}

static const char *
task_event(State from, State to)
{
	switch (to)
	{
		case STATE_RUNNING:
			return from == STATE_PAUSED || from == STATE_WAITING ? "TASK_RESUMED" :
				from == STATE_ERROR ? "TASK_RERUN" : "TASK_LAUNCHED";
		case STATE_SUCCESS:
			return "TASK_SUCCEEDED";
		case STATE_ERROR:
			return "TASK_FAILED";
		case STATE_CANCELLED:
			return "TASK_CANCELLED";
		case STATE_PAUSED:
			return "TASK_PAUSED";
		case STATE_SKIPPED:
			return "TASK_SKIPPED";
		default:
			return NULL;
	}
}

/* What is no webhook, or names no URL, is passed over, as in Mistral. */
static void
tell(Execution *execution, const char *event, Describe describe, void *object)
{
	Tree	   *tree = execution->tree;
	MemoryContext old;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	Jsonb	   *data = NULL;

	if (event == NULL)
		return;
	old = MemoryContextSwitchTo(tree->step_cxt);
	it = JsonbIteratorInit((JsonbContainer *) &execution->notify->root);
	(void) JsonbIteratorNext(&it, &item, true);
	while ((token = JsonbIteratorNext(&it, &item, true)) == WJB_ELEM)
	{
		Jsonb	   *publisher = json_from_value(&item);
		WebhookRow *row;

		if (!wants(publisher, event))
			continue;
		if (data == NULL)
			data = describe(object, event);
		row = palloc(sizeof(WebhookRow));
		row->execution = execution;
		row->event = event;
		row->request = request_of(publisher, data);
		tree->webhooks = lappend(tree->webhooks, row);
	}
	MemoryContextSwitchTo(old);
}

static bool
wants(const Jsonb *publisher, const char *event)
{
	char	   *type = json_get_string(publisher, "type");
	Jsonb	   *events = json_get_jsonb(publisher, "event_types");
	JsonbValue	wanted;

	if (type == NULL || strcmp(type, "webhook") != 0 || json_get_string(publisher, "url") == NULL)
		return false;
	if (json_is_null(events) || json_count(events) == 0)
		return true;
	if (!JB_ROOT_IS_ARRAY(events))
		return false;
	wanted.type = jbvString;
	wanted.val.string.val = (char *) event;
	wanted.val.string.len = strlen(event);
	return findJsonbValueFromContainer(&events->root, JB_FARRAY, &wanted) != NULL;
}

/* As std.http takes it; `secret` is for the executor, which signs. */
static Jsonb *
request_of(const Jsonb *publisher, const Jsonb *data)
{
	JsonBuilder b = {0};
	Jsonb	   *headers = json_pair("Content-Type", json_from_string("application/json"));
	Jsonb	   *own = json_get_jsonb(publisher, "headers");
	char	   *secret = json_get_string(publisher, "secret");

	json_begin_object(&b);
	add_string(&b, "url", json_get_string(publisher, "url"));
	add_string(&b, "method", "POST");
	json_add_key(&b, "headers");
	json_add_jsonb(&b, own && json_is_object(own) ? json_merge(headers, own) : headers);
	add_string(&b, "body", json_to_text(data));
	if (secret)
		add_string(&b, "secret", secret);
	json_end_object(&b);
	return json_finish(&b);
}

static Jsonb *
describe_execution(void *object, const char *event)
{
	Execution  *execution = object;
	JsonBuilder b = {0};

	json_begin_object(&b);
	add_string(&b, "event", event);
	add_id(&b, "id", &execution->id);
	add_string(&b, "name", execution->name);
	add_string(&b, "workflow_name", execution->name);
	add_string(&b, "workflow_namespace", execution->namespace_);
	add_id(&b, "workflow_id", &execution->definition_id);
	add_string(&b, "state", state_name(execution->state));
	add_string(&b, "state_info", execution->state_info);
	add_string(&b, "project_id", GetUserNameFromId(execution->owner, true));
	add_id(&b, "task_execution_id", execution->parent_task ? &execution->parent_task->id : NULL);
	add_id(&b, "root_execution_id", execution->parent_task ? &execution->tree->root_id : NULL);
	add_time(&b, "created_at", execution->created_at);
	add_time(&b, "updated_at", execution->updated_at);
	json_end_object(&b);
	return json_finish(&b);
}

static Jsonb *
describe_task(void *object, const char *event)
{
	Task	   *task = object;
	Execution  *execution = task->execution;
	JsonBuilder b = {0};

	json_begin_object(&b);
	add_string(&b, "event", event);
	add_id(&b, "id", &task->id);
	add_string(&b, "name", task->name);
	add_id(&b, "workflow_execution_id", &execution->id);
	add_string(&b, "workflow_name", execution->name);
	add_string(&b, "workflow_namespace", execution->namespace_);
	add_id(&b, "workflow_id", &execution->definition_id);
	add_string(&b, "state", state_name(task->state));
	add_string(&b, "state_info", task->state_info);
	add_string(&b, "type", task->is_workflow ? "WORKFLOW" : "ACTION");
	add_string(&b, "project_id", GetUserNameFromId(execution->owner, true));
	add_time(&b, "created_at", task->created_at);
	add_time(&b, "updated_at", task->updated_at);
	add_time(&b, "started_at", task->started_at);
	add_time(&b, "finished_at", task->finished_at);
	json_end_object(&b);
	return json_finish(&b);
}

static void
add_id(JsonBuilder *b, const char *key, const pg_uuid_t *id)
{
	json_add_key(b, key);
	if (id)
		json_add_id(b, id);
	else
		json_add_null(b);
}

static void
add_string(JsonBuilder *b, const char *key, const char *text)
{
	json_add_key(b, key);
	json_add_string(b, text);
}

static void
add_time(JsonBuilder *b, const char *key, TimestampTz time)
{
	json_add_key(b, key);
	json_add_time(b, time);
}

/* ---------------------------------------------------------------- sending */

/* Gives them to the executor, in this transaction. */
static void
send_requests(const pg_uuid_t *ids, int nids)
{
	static DbStatement dispatch = {
		"INSERT INTO mistral.dispatch (id, root_id, action_id, attempt, performer, owner, action, safe_rerun, timeout, created_at, headers, input) "
		"SELECT pg_catalog.gen_random_uuid(), id, id, attempt, 'http', owner, 'webhook', true, $2, $3, "
		"pg_catalog.jsonb_build_object('Mistral-Event', event), request "
		"FROM mistral.webhook WHERE id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY id",
		3, {UUIDARRAYOID, INT4OID, TIMESTAMPTZOID}
	};
	static DbStatement sending = {
		"UPDATE mistral.webhook SET next_at = NULL WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND next_at IS NOT NULL",
		1, {UUIDARRAYOID}
	};
	Datum	   *elements = palloc(sizeof(Datum) * nids);
	Datum		values[3];

	for (int i = 0; i < nids; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	values[0] = PointerGetDatum(construct_array(elements, nids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[1] = Int32GetDatum(TIMEOUT_S);
	values[2] = TimestampTzGetDatum(clock_now());
	db_execute(&dispatch, values, NULL, false, 0);
	db_execute(&sending, values, NULL, false, 0);
	if (work_dispatched_hook)
		work_dispatched_hook("http", 0);
}

static void
again_later(const pg_uuid_t *id, int attempt, const char *error)
{
	static DbStatement update = {
		"UPDATE mistral.webhook SET attempt = $2, failed = $3, next_at = $4, error = $5 WHERE id OPERATOR(pg_catalog.=) $1",
		5, {UUIDOID, INT4OID, BOOLOID, TIMESTAMPTZOID, TEXTOID}
	};
	static DbStatement timer = {
		"INSERT INTO mistral.timer (due_at, id, root_id, kind, target_id) VALUES ($1, $2, $3, $4, $3)",
		4, {TIMESTAMPTZOID, UUIDOID, UUIDOID, TEXTOID}
	};
	bool		failed = attempt >= MAX_ATTEMPTS;
	int64		pause_s = Min((int64) SHORTEST_PAUSE_S << (attempt - 1), LONGEST_PAUSE_S);
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', failed ? 'n' : ' ', ' '};

	values[0] = UUIDPGetDatum(id);
	values[1] = Int32GetDatum(failed ? attempt : attempt + 1);
	values[2] = BoolGetDatum(failed);
	values[3] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(clock_now(), pause_s * 1000));
	values[4] = CStringGetTextDatum(error);
	db_execute(&update, values, nulls, false, 0);
	if (failed)
		drop_orphan(id);
	else
	{
		pg_uuid_t	timer_id;

		id_new(&timer_id);
		values[0] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(clock_timers(), pause_s * 1000));
		values[1] = UUIDPGetDatum(&timer_id);
		values[2] = UUIDPGetDatum(id);
		values[3] = CStringGetTextDatum(TIMER_WEBHOOK);
		db_execute(&timer, values, NULL, false, 0);
	}
}

/* What has failed stays as long as its execution, which may be gone. */
static void
drop_orphan(const pg_uuid_t *id)
{
	static DbStatement delete = {
		"DELETE FROM mistral.webhook w WHERE w.id OPERATOR(pg_catalog.=) $1"
		" AND NOT EXISTS (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) w.execution_id)",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};

	db_execute(&delete, values, NULL, false, 0);
}

/* Why it is not delivered; NULL: it is. */
static char *
failure(const Jsonb *payload)
{
	Jsonb	   *result = json_get_jsonb(payload, "result");
	int64		status;

	if (result && json_get_int(result, "status", &status))
		return status >= 200 && status <= 299 ? NULL : psprintf("the server answered %d", (int) status);
	return result ? json_to_text(result) : pstrdup("no answer");
}
