/*
 * event_trigger.c
 *		Events, and the workflows that start by them.
 *
 * A trigger hears the events of its owner, of roles whose rights its owner has and of those that have its owner's; a public
 * one hears everybody's.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/owned.h"
#include "engine/guard.h"
#include "engine/state_event.h"
#include "mistral.h"
#include "queue/event_trigger.h"
#include "queue/event_wait.h"
#include "queue/trigger_start.h"

/* An event's key is remembered for so long. */
#define KEYS_KEPT USECS_PER_DAY

/* A trigger that an event may start, and what it started. */
typedef struct Candidate
{
	EventTrigger trigger;
	const Event *event;
	const Jsonb *context;
	bool		started;
} Candidate;

static void check_state_trigger(const EventTrigger *trigger);
static bool use_key(const char *key, Oid role);
static int	candidates(const Event *event, Oid role, Candidate **found);
static Jsonb *event_context(const Event *event);
static void try_start(void *arg);
static void to_start(const EventTrigger *trigger, TriggerStart *start);

void
event_trigger_create(EventTrigger *trigger)
{
	static DbStatement insert = {
		"INSERT INTO mistral.event_trigger (id, name, owner, event, exchange, topic, workflow, namespace, filter, scope,"
		" created_at, updated_at, input, params) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13)"
		" ON CONFLICT (name, owner) DO NOTHING",
		13, {UUIDOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		TIMESTAMPTZOID, JSONBOID, JSONBOID}
	};
	char		nulls[13];
	Datum		values[13];
	const char *texts[] = {trigger->event, trigger->exchange, trigger->topic, trigger->workflow, trigger->namespace_, trigger->filter};

	if (IS_STATE_EVENT(trigger->event))
		check_state_trigger(trigger);
	id_new(&trigger->id);
	trigger_check_filter(trigger->filter);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(&trigger->id);
	values[1] = CStringGetTextDatum(trigger->name);
	values[2] = ObjectIdGetDatum(trigger->owner);
	for (int i = 0; i < lengthof(texts); i++)
	{
		values[3 + i] = texts[i] ? CStringGetTextDatum(texts[i]) : (Datum) 0;
		nulls[3 + i] = texts[i] ? ' ' : 'n';
	}
	values[9] = CStringGetTextDatum(trigger->public_ ? "public" : "private");
	values[10] = TimestampTzGetDatum(clock_now());
	values[11] = JsonbPGetDatum(trigger->input);
	values[12] = JsonbPGetDatum(trigger->params);
	if (db_execute(&insert, values, nulls, false, 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("event trigger \"%s\" exists already", trigger->name)));
	trigger_check_workflow(trigger->workflow, trigger->namespace_, trigger->owner);
}

void
event_trigger_delete(const char *name, Oid role)
{
	static DbStatement find = {
		"SELECT id, owner FROM mistral.event_trigger WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	static DbStatement delete = {
		"DELETE FROM mistral.event_trigger WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	int			row = owned_choose(db_execute(&find, values, NULL, false, 0), role, OWNED_MANAGE, "event trigger", name);
	pg_uuid_t	id;
	bool		isnull;

	if (row < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("event trigger \"%s\" does not exist", name)));
	id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	values[0] = UUIDPGetDatum(&id);
	db_execute(&delete, values, NULL, false, 0);
}

void
event_check_name(const char *name)
{
	if (IS_STATE_EVENT(name))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("event name \"%s\" is reserved", name),
				 errdetail("Events whose names begin with \"%s\" are those of states, and nobody else publishes such.", STATE_EVENT_PREFIX)));
}

int
event_publish(const Event *event, Oid role)
{
	Candidate  *found;
	const Jsonb *context;
	int			n;
	int			nstarted = 0;

	event_check_name(event->name);
	if (event->dedup_key && !use_key(event->dedup_key, role))
		return 0;
	event_keep(event, role);
	n = candidates(event, role, &found);
	if (n == 0)
		return 0;
	context = event_context(event);
	for (int i = 0; i < n; i++)
	{
		char	   *error;

		CHECK_FOR_INTERRUPTS();
		found[i].context = context;
		error = guard_isolated(try_start, &found[i]);
		if (error)
			ereport(WARNING,
					(errmsg("event trigger \"%s\" could not start its workflow", found[i].trigger.name),
					 errdetail("%s", error)));
		else
			nstarted += found[i].started;
	}
	return nstarted;
}

/* The events of states have no exchange and no topic, and whom they concern is a matter of rights. */
static void
check_state_trigger(const EventTrigger *trigger)
{
	state_event_check_pattern(trigger->event);
	if (trigger->exchange || trigger->topic || trigger->public_)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a trigger on \"%s\" can have no exchange and no topic, and cannot be public", trigger->event),
				 errdetail("It hears of the executions of roles whose rights its owner has.")));
}

/* False when the key has been used; old ones are forgotten a few at a time. */
static bool
use_key(const char *key, Oid role)
{
	static DbStatement forget = {
		"DELETE FROM mistral.event_seen s WHERE s.ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		" SELECT o.ctid FROM mistral.event_seen o WHERE o.created_at OPERATOR(pg_catalog.<) $1"
		" ORDER BY o.created_at LIMIT 10 FOR UPDATE SKIP LOCKED))",
		1, {TIMESTAMPTZOID}
	};
	static DbStatement insert = {
		"INSERT INTO mistral.event_seen (owner, dedup_key, created_at) VALUES ($1, $2, $3) ON CONFLICT (owner, dedup_key) DO NOTHING",
		3, {OIDOID, TEXTOID, TIMESTAMPTZOID}
	};
	TimestampTz now = clock_now();
	Datum		values[3];

	values[0] = TimestampTzGetDatum(now - KEYS_KEPT);
	db_execute(&forget, values, NULL, false, 0);
	values[0] = ObjectIdGetDatum(role);
	values[1] = CStringGetTextDatum(key);
	values[2] = TimestampTzGetDatum(now);
	return db_execute(&insert, values, NULL, false, 0) == 1;
}

static int
candidates(const Event *event, Oid role, Candidate **found)
{
	static DbStatement select = {
		"SELECT id, owner, scope OPERATOR(pg_catalog.=) 'public', name, workflow, namespace, filter, input, params"
		" FROM mistral.event_trigger"
		" WHERE (event OPERATOR(pg_catalog.=) $1 OR (pg_catalog.right(event, 1) OPERATOR(pg_catalog.=) '*'"
		"   AND pg_catalog.starts_with($1, pg_catalog.left(event, -1))))"
		" AND (exchange IS NULL OR exchange OPERATOR(pg_catalog.=) $2) AND (topic IS NULL OR topic OPERATOR(pg_catalog.=) $3)"
		" ORDER BY created_at, id",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	char		nulls[3] = {' ', event->exchange ? ' ' : 'n', event->topic ? ' ' : 'n'};
	Datum		values[3];
	uint64		nrows;
	int			n = 0;

	values[0] = CStringGetTextDatum(event->name);
	values[1] = event->exchange ? CStringGetTextDatum(event->exchange) : (Datum) 0;
	values[2] = event->topic ? CStringGetTextDatum(event->topic) : (Datum) 0;
	nrows = db_execute(&select, values, nulls, false, 0);
	*found = palloc0(sizeof(Candidate) * Max(nrows, 1));
	for (uint64 i = 0; i < nrows; i++)
	{
		EventTrigger *trigger = &(*found)[n].trigger;
		Datum		filter;
		bool		isnull;

		trigger->owner = DatumGetObjectId(db_datum(i, 2, &isnull));
		if (!DatumGetBool(db_datum(i, 3, &isnull)) &&
			!has_privs_of_role(trigger->owner, role) && !has_privs_of_role(role, trigger->owner))
			continue;
		trigger->id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		trigger->name = TextDatumGetCString(db_datum(i, 4, &isnull));
		trigger->workflow = TextDatumGetCString(db_datum(i, 5, &isnull));
		trigger->namespace_ = TextDatumGetCString(db_datum(i, 6, &isnull));
		filter = db_datum(i, 7, &isnull);
		trigger->filter = isnull ? NULL : TextDatumGetCString(filter);
		trigger->input = DatumGetJsonbPCopy(db_datum(i, 8, &isnull));
		trigger->params = DatumGetJsonbPCopy(db_datum(i, 9, &isnull));
		(*found)[n++].event = event;
	}
	return n;
}

/* What filters and inputs see. */
static Jsonb *
event_context(const Event *event)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "event");
	json_add_string(&b, event->name);
	json_add_key(&b, "exchange");
	json_add_string(&b, event->exchange);
	json_add_key(&b, "topic");
	json_add_string(&b, event->topic);
	json_add_key(&b, "payload");
	json_add_jsonb(&b, event->payload);
	json_end_object(&b);
	return json_finish(&b);
}

static void
try_start(void *arg)
{
	Candidate  *candidate = arg;
	TriggerStart start;

	if (!trigger_filter(candidate->trigger.filter, candidate->context))
		return;
	to_start(&candidate->trigger, &start);
	start.input = trigger_input(start.input, candidate->context);
	start.about_key = "event_params";
	start.about = candidate->event->payload;
	(void) trigger_start(&start, NULL);
	candidate->started = true;
}

static void
to_start(const EventTrigger *trigger, TriggerStart *start)
{
	memset(start, 0, sizeof(*start));
	start->kind = "event_trigger";
	start->id = trigger->id;
	start->name = trigger->name;
	start->owner = trigger->owner;
	start->workflow = trigger->workflow;
	start->namespace_ = trigger->namespace_;
	start->input = trigger->input;
	start->params = trigger->params;
}
