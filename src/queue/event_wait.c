/*
 * event_wait.c
 *		Events that are kept, and actions that wait for one.
 *
 * Neither of two transactions that publish and begin to wait at the same time
 * sees the other.  So each leaves a row in event_news, and one process at a
 * time looks: a new wait at all events that are kept, a new event at all waits.
 * Whichever of the two committed last is new to a look that sees both.
 *
 * The waits for one event may be many, each for a payload of its own.  A wait
 * is found by two hashes: the shape, of the places in `match`, and the key, of
 * those that hold a scalar with what they hold.  For an event there is one
 * search per shape that is waited for, with the key that its payload has in
 * these places; whether the rest matches is asked of what that finds.  A payload
 * that lacks a place matches no wait of the shape.  Both are looked for per
 * owner, so that nobody's hashes can hide another's.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "actions/std_wait_event.h"
#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/guard.h"
#include "guc.h"
#include "queue/event_wait.h"
#include "queue/message.h"

/* Events that are forgotten at once. */
#define FORGET_LIMIT 1000

/* Waits that hear one event at once. */
#define HEAR_LIMIT 1000

/* What a result has besides the payload takes no more: three names, a time, the keys. */
#define RESULT_ROOM 8192

/* From so many events of a name on, the payload is searched for by its index. */
#define MANY_EVENTS 1000

/* An event as it is kept. */
typedef struct KeptEvent
{
	pg_uuid_t	id;
	TimestampTz published_at;
	Oid			owner;
	char	   *name;
	char	   *exchange;		/* NULL: none */
	char	   *topic;			/* NULL: none */
	Jsonb	   *payload;
} KeptEvent;

/* A wait that may hear it. */
typedef struct Listener
{
	pg_uuid_t	action_id;
	pg_uuid_t	root_id;
	int			attempt;
	pg_uuid_t	execution_id;
	char	   *task;
	bool		ended;			/* the action has ended otherwise */
} Listener;

/* The waits for one name that have the same owner and shape. */
typedef struct Shape
{
	Oid			owner;
	int64		shape;
	Jsonb	   *match;			/* of one of them */
} Shape;

/* New waits and events that are looked at together. */
typedef struct Look
{
	List	   *waits;
	List	   *events;
	const pg_uuid_t *id;		/* the one whose turn it is */
	bool		more;			/* some are left over */
} Look;

static void look_at_all(void *arg);
static void look_alone(Look *look, const pg_uuid_t *id, bool is_wait);
static void look_as_wait(void *arg);
static void look_as_event(void *arg);
static bool try_lock(void);
static List *take_news(bool waits, int limit);
static List *read_ids(uint64 n);
static List *with_candidates(List *waits);
static void look_for_event(const pg_uuid_t *action_id);
static bool many_candidates(Datum *values);
static int	look_for_waits(const pg_uuid_t *event_id);
static List *awaited_names(const char *name);
static bool next_shape(const char *name, Shape *shape);
static int	find_waits(const KeptEvent *event, const char *name, const Shape *shape, int64 key, Listener *found);
static int	hear(const Listener *listeners, int n, const KeptEvent *event);
static void read_event(uint64 row, KeptEvent *event);
static Jsonb *event_message(const KeptEvent *event);
static void put_news(const pg_uuid_t *id, bool is_wait);
static Datum name_or_null(const char *name, char *null);
static bool hash_match(const Jsonb *match, const Jsonb *payload, int64 *shape, int64 *key);
static bool hash_places(JsonbContainer *match, JsonbContainer *payload, uint64 path, uint64 *shape, uint64 *key);

events_changed_hook_type events_changed_hook = NULL;

void
event_keep(const Event *event, Oid role)
{
	static DbStatement insert = {
		"INSERT INTO mistral.event (id, published_at, owner, event, exchange, topic, payload) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7, {UUIDOID, TIMESTAMPTZOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}
	};
	char		nulls[7];
	pg_uuid_t	id;
	Datum		values[7];

	id_new(&id);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(&id);
	values[1] = TimestampTzGetDatum(clock_now());
	values[2] = ObjectIdGetDatum(role);
	values[3] = CStringGetTextDatum(event->name);
	values[4] = name_or_null(event->exchange, &nulls[4]);
	values[5] = name_or_null(event->topic, &nulls[5]);
	values[6] = JsonbPGetDatum(event->payload);
	db_execute(&insert, values, nulls, false, 0);
	put_news(&id, false);
}

void
event_wait_begin(const EventWait *wait)
{
	static DbStatement insert = {
		"INSERT INTO mistral.event_wait (action_id, root_id, execution_id, owner, attempt, shape, key, since, created_at,"
		" event, exchange, topic, task, match) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		14, {UUIDOID, UUIDOID, UUIDOID, OIDOID, INT4OID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}
	};
	TimestampTz now = clock_now();
	double		lookback = wait_event_lookback(wait->input);
	Jsonb	   *match = json_get_jsonb(wait->input, "match");
	int64		shape;
	int64		key;
	char		nulls[14];
	Datum		values[14];

	if (json_is_null(match))
		match = json_empty();
	(void) hash_match(match, match, &shape, &key);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(&wait->action_id);
	values[1] = UUIDPGetDatum(&wait->root_id);
	values[2] = UUIDPGetDatum(&wait->execution_id);
	values[3] = ObjectIdGetDatum(wait->owner);
	values[4] = Int32GetDatum(wait->attempt);
	values[5] = Int64GetDatum(shape);
	values[6] = Int64GetDatum(key);
	values[7] = TimestampTzGetDatum(lookback < 0 ? wait->started_at : now - (TimestampTz) (lookback * USECS_PER_SEC));
	values[8] = TimestampTzGetDatum(now);
	values[9] = CStringGetTextDatum(json_get_string(wait->input, "event"));
	values[10] = name_or_null(json_get_string(wait->input, "exchange"), &nulls[10]);
	values[11] = name_or_null(json_get_string(wait->input, "topic"), &nulls[11]);
	values[12] = CStringGetTextDatum(wait->task);
	values[13] = JsonbPGetDatum(match);
	db_execute(&insert, values, nulls, false, 0);
	put_news(&wait->action_id, true);
}

void
event_wait_end(Datum ids)
{
	static DbStatement delete = {
		"DELETE FROM mistral.event_wait WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT w.ctid FROM mistral.event_wait w"
		" WHERE w.action_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE SKIP LOCKED))",
		1, {UUIDARRAYOID}
	};
	Datum		values[1] = {ids};

	if (!db_table_is_empty("event_wait"))
		db_execute(&delete, values, NULL, false, 0);
}

/* ---------------------------------------------------------------- bringing them together */

EventLook
event_wait_match(int limit)
{
	Look		look = {0};
	ListCell   *lc;

	if (db_table_is_empty("event_news"))
		return EVENTS_SEEN;
	if (!try_lock())
		return EVENTS_BUSY;
	/* A wait looks at the new events too, before they look at it, so that it hears the oldest. */
	look.waits = take_news(true, limit);
	look.events = list_length(look.waits) < limit ? take_news(false, limit) : NIL;
	look.more = list_length(look.waits) == limit || list_length(look.events) == limit;
	if (guard_isolated(look_at_all, &look) != NULL)
	{
		/* One that cannot be compared, or told, must not hold up the others: each by itself. */
		foreach(lc, look.waits)
			look_alone(&look, lfirst(lc), true);
		foreach(lc, look.events)
			look_alone(&look, lfirst(lc), false);
	}
	return look.more ? EVENTS_MORE : EVENTS_SEEN;
}

static void
look_at_all(void *arg)
{
	Look	   *look = arg;
	ListCell   *lc;

	foreach(lc, with_candidates(look->waits))
	{
		look->id = lfirst(lc);
		look_as_wait(look);
	}
	foreach(lc, look->events)
	{
		if (db_table_is_empty("event_wait"))
			break;
		look->id = lfirst(lc);
		look_as_event(look);
	}
}

/* What fails is passed over, and the log told. */
static void
look_alone(Look *look, const pg_uuid_t *id, bool is_wait)
{
	char	   *error;

	CHECK_FOR_INTERRUPTS();
	look->id = id;
	error = guard_isolated(is_wait ? look_as_wait : look_as_event, look);
	if (error == NULL)
		return;
	ereport(LOG_SERVER_ONLY,
			(is_wait ?
			 errmsg("could not compare the kept events with what action execution %s waits for", id_cstring(id)) :
			 errmsg("could not tell those who wait of event %s", id_cstring(id)),
			 errdetail_internal("%s", error)));
}

/* What each look reads is given back at once. */
static void
look_as_wait(void *arg)
{
	Look	   *look = arg;
	DbSession	session;

	db_enter(&session);
	db_use_indexes();
	look_for_event(look->id);
	db_leave(&session);
}

static void
look_as_event(void *arg)
{
	Look	   *look = arg;
	DbSession	session;

	db_enter(&session);
	db_use_indexes();
	/* Those who are left have their turn with the next look. */
	if (look_for_waits(look->id) >= HEAR_LIMIT)
	{
		put_news(look->id, false);
		look->more = true;
	}
	db_leave(&session);
}

/*
 * Who looks is alone until its transaction ends: else two could give an event
 * to the same task.  Nobody else locks this object, which is none.
 */
static bool
try_lock(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, db_table("event_news"), 1);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Takes so many ids of waits, or of events, and gives them in the order of time. */
static List *
take_news(bool waits, int limit)
{
	static DbStatement take = {
		"WITH taken AS (DELETE FROM mistral.event_news WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"  SELECT n.ctid FROM mistral.event_news n WHERE n.is_wait OPERATOR(pg_catalog.=) $1 LIMIT $2)) RETURNING id)"
		" SELECT t.id FROM taken t ORDER BY t.id",
		2, {BOOLOID, INT8OID}
	};
	Datum		values[2] = {BoolGetDatum(waits), Int64GetDatum(limit)};

	return read_ids(db_execute(&take, values, NULL, false, 0));
}

/* The first column of the last result. */
static List *
read_ids(uint64 n)
{
	List	   *ids = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
		bool		isnull;

		*id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		ids = lappend(ids, id);
	}
	return ids;
}

/* ---------------------------------------------------------------- a new wait */

#define EVENT_COLUMNS "e.id, e.published_at, e.owner, e.event, e.exchange, e.topic, e.payload"

/* Roles hear each other as with event triggers. */
#define ROLES_HEAR(a, b) \
	" AND (pg_catalog.pg_has_role(" a ", " b ", 'USAGE') OR pg_catalog.pg_has_role(" b ", " a ", 'USAGE'))"

#define NOT_TAKEN(event, execution, task) \
	" AND NOT EXISTS (SELECT FROM mistral.event_taken t WHERE t.event_id OPERATOR(pg_catalog.=) " event \
	" AND t.execution_id OPERATOR(pg_catalog.=) " execution " AND t.task OPERATOR(pg_catalog.=) " task ")"

#define EVENT_MATCHES \
	" AND e.published_at OPERATOR(pg_catalog.>=) $2" \
	" AND ($4 IS NULL OR e.exchange OPERATOR(pg_catalog.=) $4) AND ($5 IS NULL OR e.topic OPERATOR(pg_catalog.=) $5)" \
	ROLES_HEAR("$6", "e.owner") NOT_TAKEN("e.id", "$7", "$8")

/* Nothing to match matches a payload that is no object, too. */
#define PAYLOAD_MATCHES(payload, match) \
	" AND (" payload " OPERATOR(pg_catalog.@>) " match " OR " match " OPERATOR(pg_catalog.=) '{}')"

#define WAIT_PARAMS 8, {TEXTOID, TIMESTAMPTZOID, JSONBOID, TEXTOID, TEXTOID, OIDOID, UUIDOID, TEXTOID}

/* Most wait for what has not been published yet: those for whose name there is an event that counts, and all with a *. */
static List *
with_candidates(List *waits)
{
	static DbStatement select = {
		"SELECT w.action_id FROM mistral.event_wait w WHERE w.action_id OPERATOR(pg_catalog.=) ANY ($1)"
		" AND (pg_catalog.right(w.event, 1) OPERATOR(pg_catalog.=) '*' OR EXISTS (SELECT FROM mistral.event e"
		"  WHERE e.event OPERATOR(pg_catalog.=) w.event AND e.published_at OPERATOR(pg_catalog.>=) w.since))"
		" ORDER BY w.action_id",
		1, {UUIDARRAYOID}
	};
	Datum		values[1];

	if (waits == NIL || db_table_is_empty("event"))
		return NIL;
	values[0] = id_array(waits);
	return read_ids(db_execute(&select, values, NULL, false, 0));
}

/* Gives the wait the oldest event that matches, if there is one. */
static void
look_for_event(const pg_uuid_t *action_id)
{
	static DbStatement select = {
		"SELECT w.event, w.since, w.match, w.exchange, w.topic, w.owner, w.execution_id, w.task, w.root_id, w.attempt,"
		" a.id IS NULL OR a.finished_at IS NOT NULL"
		" FROM mistral.event_wait w LEFT JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) w.action_id"
		" WHERE w.action_id OPERATOR(pg_catalog.=) $1",
		1, {UUIDOID}
	};
	static DbStatement by_name = {
		"SELECT " EVENT_COLUMNS " FROM mistral.event e WHERE e.event OPERATOR(pg_catalog.=) $1" EVENT_MATCHES
		PAYLOAD_MATCHES("e.payload", "$3") " ORDER BY e.published_at, e.id LIMIT 1",
		WAIT_PARAMS
	};
	static DbStatement by_prefix = {
		"SELECT " EVENT_COLUMNS " FROM mistral.event e WHERE pg_catalog.starts_with(e.event, pg_catalog.left($1, -1))" EVENT_MATCHES
		PAYLOAD_MATCHES("e.payload", "$3") " ORDER BY e.published_at, e.id LIMIT 1",
		WAIT_PARAMS
	};
	static DbStatement by_payload = {
		"WITH found AS MATERIALIZED (SELECT e.id, e.published_at FROM mistral.event e"
		"  WHERE e.event OPERATOR(pg_catalog.=) $1 AND e.payload OPERATOR(pg_catalog.@>) $3" EVENT_MATCHES ")"
		" SELECT " EVENT_COLUMNS " FROM mistral.event e"
		" WHERE e.id OPERATOR(pg_catalog.=) (SELECT f.id FROM found f ORDER BY f.published_at, f.id LIMIT 1)",
		WAIT_PARAMS
	};
	DbStatement *find = &by_name;
	Datum		values[8] = {UUIDPGetDatum(action_id)};
	char		nulls[8];
	Listener	listener;
	KeptEvent	event;
	char	   *name;
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return;
	for (int i = 0; i < lengthof(values); i++)
	{
		values[i] = db_datum(0, i + 1, &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
	listener.action_id = *action_id;
	listener.execution_id = *DatumGetUUIDP(values[6]);
	listener.task = TextDatumGetCString(values[7]);
	listener.root_id = *DatumGetUUIDP(db_datum(0, 9, &isnull));
	listener.attempt = DatumGetInt32(db_datum(0, 10, &isnull));
	listener.ended = DatumGetBool(db_datum(0, 11, &isnull));

	name = TextDatumGetCString(values[0]);
	if (name[strlen(name) - 1] == '*')
		find = &by_prefix;
	else if (json_count(DatumGetJsonbP(values[2])) > 0 && many_candidates(values))
		find = &by_payload;
	if (!listener.ended)
	{
		if (db_execute(find, values, nulls, false, 0) == 0)
			return;
		read_event(0, &event);
	}
	(void) hear(&listener, 1, &event);
}

/* Whether so many events of the name count that the index of their payloads is the better way. */
static bool
many_candidates(Datum *values)
{
	static DbStatement select = {
		"SELECT FROM mistral.event e WHERE e.event OPERATOR(pg_catalog.=) $1 AND e.published_at OPERATOR(pg_catalog.>=) $2"
		" ORDER BY e.published_at OFFSET $3 LIMIT 1",
		3, {TEXTOID, TIMESTAMPTZOID, INT8OID}
	};
	Datum		about[3] = {values[0], values[1], Int64GetDatum(MANY_EVENTS)};

	return db_execute(&select, about, NULL, false, 1) > 0;
}

/* ---------------------------------------------------------------- a new event */

/* Returns how many waits it has looked at in the end, at most HEAR_LIMIT for one shape. */
static int
look_for_waits(const pg_uuid_t *event_id)
{
	static DbStatement select = {
		"SELECT " EVENT_COLUMNS " FROM mistral.event e WHERE e.id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(event_id)};
	Listener   *found = palloc(sizeof(Listener) * HEAR_LIMIT);
	KeptEvent	event;
	ListCell   *lc;
	int			nheard = 0;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return 0;
	read_event(0, &event);
	foreach(lc, awaited_names(event.name))
	{
		Shape		shape = {0};

		while (nheard < HEAR_LIMIT && next_shape(lfirst(lc), &shape))
		{
			int64		ignored;
			int64		key;

			CHECK_FOR_INTERRUPTS();
			if ((has_privs_of_role(shape.owner, event.owner) || has_privs_of_role(event.owner, shape.owner)) &&
				hash_match(shape.match, event.payload, &ignored, &key))
				nheard += hear(found, find_waits(&event, lfirst(lc), &shape, key, found), &event);
		}
	}
	return nheard;
}

/* What somebody waits for and the event is: its name, or a beginning of it with * behind it. */
static List *
awaited_names(const char *name)
{
	static DbStatement select = {
		"SELECT n.name FROM pg_catalog.unnest($1) AS n (name)"
		" WHERE EXISTS (SELECT FROM mistral.event_wait w WHERE w.event OPERATOR(pg_catalog.=) n.name)",
		1, {TEXTARRAYOID}
	};
	int			len = strlen(name);
	Datum	   *names = palloc(sizeof(Datum) * (len + 2));
	Datum		values[1];
	List	   *found = NIL;
	uint64		nfound;
	int			n = 0;
	bool		isnull;

	names[n++] = CStringGetTextDatum(name);
	for (int i = 0; i <= len; i += i < len ? pg_mblen(name + i) : 1)
		names[n++] = CStringGetTextDatum(psprintf("%.*s*", i, name));
	values[0] = PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
	nfound = db_execute(&select, values, NULL, false, 0);
	for (uint64 i = 0; i < nfound; i++)
		found = lappend(found, TextDatumGetCString(db_datum(i, 1, &isnull)));
	return found;
}

/* The next one after this; zero is before the first. */
static bool
next_shape(const char *name, Shape *shape)
{
	static DbStatement select = {
		"SELECT w.owner, w.shape, w.match FROM mistral.event_wait w"
		" WHERE w.event OPERATOR(pg_catalog.=) $1 AND (w.owner, w.shape) OPERATOR(pg_catalog.>) ($2, $3)"
		" ORDER BY w.owner, w.shape LIMIT 1",
		3, {TEXTOID, OIDOID, INT8OID}
	};
	Datum		values[3] = {CStringGetTextDatum(name), ObjectIdGetDatum(shape->owner), Int64GetDatum(shape->shape)};
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return false;
	shape->owner = DatumGetObjectId(db_datum(0, 1, &isnull));
	shape->shape = DatumGetInt64(db_datum(0, 2, &isnull));
	shape->match = DatumGetJsonbPCopy(db_datum(0, 3, &isnull));
	return true;
}

static int
find_waits(const KeptEvent *event, const char *name, const Shape *shape, int64 key, Listener *found)
{
	static DbStatement select = {
		"SELECT w.action_id, w.root_id, w.attempt, w.execution_id, w.task, a.id IS NULL OR a.finished_at IS NOT NULL"
		" FROM mistral.event_wait w LEFT JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) w.action_id"
		" WHERE w.event OPERATOR(pg_catalog.=) $1 AND w.owner OPERATOR(pg_catalog.=) $2"
		" AND w.shape OPERATOR(pg_catalog.=) $3 AND w.key OPERATOR(pg_catalog.=) $4"
		" AND w.since OPERATOR(pg_catalog.<=) $5" PAYLOAD_MATCHES("$6", "w.match")
		" AND (w.exchange IS NULL OR w.exchange OPERATOR(pg_catalog.=) $7) AND (w.topic IS NULL OR w.topic OPERATOR(pg_catalog.=) $8)"
		NOT_TAKEN("$9", "w.execution_id", "w.task")
		" ORDER BY w.action_id LIMIT $10",
		10, {TEXTOID, OIDOID, INT8OID, INT8OID, TIMESTAMPTZOID, JSONBOID, TEXTOID, TEXTOID, UUIDOID, INT8OID}
	};
	char		nulls[10];
	Datum		values[10];
	uint64		n;
	bool		isnull;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(shape->owner);
	values[2] = Int64GetDatum(shape->shape);
	values[3] = Int64GetDatum(key);
	values[4] = TimestampTzGetDatum(event->published_at);
	values[5] = JsonbPGetDatum(event->payload);
	values[6] = name_or_null(event->exchange, &nulls[6]);
	values[7] = name_or_null(event->topic, &nulls[7]);
	values[8] = UUIDPGetDatum(&event->id);
	values[9] = Int64GetDatum(HEAR_LIMIT);
	n = db_execute(&select, values, nulls, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		found[i].action_id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		found[i].root_id = *DatumGetUUIDP(db_datum(i, 2, &isnull));
		found[i].attempt = DatumGetInt32(db_datum(i, 3, &isnull));
		found[i].execution_id = *DatumGetUUIDP(db_datum(i, 4, &isnull));
		found[i].task = TextDatumGetCString(db_datum(i, 5, &isnull));
		found[i].ended = DatumGetBool(db_datum(i, 6, &isnull));
	}
	return (int) n;
}

/* ---------------------------------------------------------------- hearing it */

/* Each task of an execution hears the event once; returns how many waits have come to their end. */
static int
hear(const Listener *listeners, int n, const KeptEvent *event)
{
	static DbStatement take = {
		"INSERT INTO mistral.event_taken (event_id, execution_id, task) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		3, {UUIDOID, UUIDOID, TEXTOID}
	};
	Jsonb	   *message = NULL;
	List	   *over = NIL;

	for (int i = 0; i < n; i++)
	{
		const Listener *listener = &listeners[i];
		Datum		values[3];

		CHECK_FOR_INTERRUPTS();
		if (!listener->ended)
		{
			values[0] = UUIDPGetDatum(&event->id);
			values[1] = UUIDPGetDatum(&listener->execution_id);
			values[2] = CStringGetTextDatum(listener->task);
			if (db_execute(&take, values, NULL, false, 0) == 0)
				continue;
			if (message == NULL)
				message = event_message(event);
			/* Without a place in the competition of completions: a session that is completing the action is not waited for. */
			(void) message_put(&listener->root_id, MESSAGE_ACTION, &listener->action_id, -listener->attempt, message);
		}
		over = lappend(over, unconstify(pg_uuid_t *, &listener->action_id));
	}
	if (over != NIL)
		event_wait_end(id_array(over));
	return list_length(over);
}

static void
read_event(uint64 row, KeptEvent *event)
{
	Datum		datum;
	bool		isnull;

	event->id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	event->published_at = DatumGetTimestampTz(db_datum(row, 2, &isnull));
	event->owner = DatumGetObjectId(db_datum(row, 3, &isnull));
	event->name = TextDatumGetCString(db_datum(row, 4, &isnull));
	datum = db_datum(row, 5, &isnull);
	event->exchange = isnull ? NULL : TextDatumGetCString(datum);
	datum = db_datum(row, 6, &isnull);
	event->topic = isnull ? NULL : TextDatumGetCString(datum);
	event->payload = DatumGetJsonbPCopy(db_datum(row, 7, &isnull));
}

/*
 * What completes an action with the event.  One that is too large is refused
 * here: that its result cannot even be built must not stop those behind it.
 */
static Jsonb *
event_message(const KeptEvent *event)
{
	JsonBuilder b = {0};

	if (VARSIZE(event->payload) + RESULT_ROOM > (Size) guc_max_result_size * 1024)
		return message_action_result("ERROR",
									 json_from_string(psprintf("the event is larger than mistral.max_result_size (%d kB)", guc_max_result_size)));
	json_begin_object(&b);
	json_add_key(&b, "event");
	json_add_string(&b, event->name);
	json_add_key(&b, "exchange");
	json_add_string(&b, event->exchange);
	json_add_key(&b, "topic");
	json_add_string(&b, event->topic);
	json_add_key(&b, "payload");
	json_add_jsonb(&b, event->payload);
	json_add_key(&b, "published_at");
	json_add_time(&b, event->published_at);
	json_end_object(&b);
	return message_action_result("SUCCESS", json_finish(&b));
}

/* ---------------------------------------------------------------- what there is */

bool
event_forget_old(void)
{
	static DbStatement forget = {
		"WITH gone AS (DELETE FROM mistral.event WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"  SELECT e.ctid FROM mistral.event e WHERE e.published_at OPERATOR(pg_catalog.<) $1"
		"  AND NOT EXISTS (SELECT FROM mistral.event_news n WHERE n.id OPERATOR(pg_catalog.=) e.id)"
		"  ORDER BY e.published_at LIMIT $2)) RETURNING id),"
		" forgotten AS (DELETE FROM mistral.event_taken t USING gone g WHERE t.event_id OPERATOR(pg_catalog.=) g.id)"
		" SELECT pg_catalog.count(*) FROM gone",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2];
	bool		isnull;

	if (db_table_is_empty("event"))
		return false;
	db_use_indexes();
	values[0] = TimestampTzGetDatum(clock_now() - (int64) guc_event_retention * USECS_PER_SEC);
	values[1] = Int64GetDatum(FORGET_LIMIT);
	db_execute(&forget, values, NULL, false, 0);
	return DatumGetInt64(db_datum(0, 1, &isnull)) == FORGET_LIMIT;
}

char *
event_wait_awaited(const pg_uuid_t *action_id, TimestampTz *since)
{
	static DbStatement select = {
		"SELECT pg_catalog.concat('\"', event, '\"', CASE WHEN match OPERATOR(pg_catalog.<>) '{}'"
		"   THEN pg_catalog.concat(' whose payload has ', pg_catalog.\"left\"(match::pg_catalog.text, 200)) END), created_at"
		"  FROM mistral.event_wait WHERE action_id OPERATOR(pg_catalog.=) $1",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(action_id)};
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return NULL;
	*since = DatumGetTimestampTz(db_datum(0, 2, &isnull));
	return TextDatumGetCString(db_datum(0, 1, &isnull));
}

static void
put_news(const pg_uuid_t *id, bool is_wait)
{
	static DbStatement insert = {
		"INSERT INTO mistral.event_news (id, is_wait) VALUES ($1, $2)", 2, {UUIDOID, BOOLOID}
	};
	Datum		values[2] = {UUIDPGetDatum(id), BoolGetDatum(is_wait)};

	db_execute(&insert, values, NULL, false, 0);
	if (events_changed_hook)
		events_changed_hook();
}

static Datum
name_or_null(const char *name, char *null)
{
	*null = name ? ' ' : 'n';
	return name ? CStringGetTextDatum(name) : (Datum) 0;
}

/* ---------------------------------------------------------------- hashes */

/*
 * The hashes of the places in `match`, and of those that hold a scalar with what
 * `payload` holds there.  False when it lacks one of them: it does not match.
 */
static bool
hash_match(const Jsonb *match, const Jsonb *payload, int64 *shape, int64 *key)
{
	uint64		places = 0;
	uint64		values = 0;

	if (!json_is_object(payload) && json_count(match) > 0)
		return false;
	if (json_count(match) > 0 &&
		!hash_places(&unconstify(Jsonb *, match)->root, &unconstify(Jsonb *, payload)->root, 0, &places, &values))
		return false;
	*shape = (int64) places;
	*key = (int64) values;
	return true;
}

/* Sums, for the order of the members does not matter. */
static bool
hash_places(JsonbContainer *match, JsonbContainer *payload, uint64 path, uint64 *shape, uint64 *key)
{
	JsonbIterator *it = JsonbIteratorInit(match);
	JsonbIteratorToken token;
	JsonbValue	v;
	JsonbValue	there;
	uint64		place = path;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			place = hash_bytes_extended((const unsigned char *) v.val.string.val, v.val.string.len, path + 1);
			if (!json_find(payload, v.val.string.val, v.val.string.len, &there))
				return false;
		}
		else if (token == WJB_VALUE && v.type != jbvBinary)
		{
			uint64		value = place;

			if (there.type == jbvBinary)
				return false;
			JsonbHashScalarValueExtended(&there, &value, place);
			*shape += place;
			*key += value;
		}
		else if (token == WJB_VALUE)
		{
			bool		object = JsonContainerIsObject(v.val.binary.data);

			/* With the kind, for what is in an array is not looked at. */
			*shape += hash_bytes_extended((const unsigned char *) &object, sizeof(object), place);
			if (object && (there.type != jbvBinary || !JsonContainerIsObject(there.val.binary.data) ||
						   !hash_places(v.val.binary.data, there.val.binary.data, place, shape, key)))
				return false;
		}
	}
	return true;
}
