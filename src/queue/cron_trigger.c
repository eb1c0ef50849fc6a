/*
 * cron_trigger.c
 *		Cron triggers: storing them, planning their slots, starting what they name.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/owned.h"
#include "mistral.h"
#include "queue/cron_trigger.h"
#include "queue/trigger_start.h"

/* Slots that one backfill may start. */
#define MAX_BACKFILL 10000

cron_planned_hook_type cron_planned_hook = NULL;

static const char *const overlap_names[] = {
	"allow_all", "skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other"
};
static const char *const catchup_names[] = {"one", "all", "none"};

static void check_new(const CronTrigger *trigger);
static void check_same(const CronTrigger *trigger);
static void insert_trigger(const CronTrigger *trigger);
static CronTrigger *find_trigger(const char *name, Oid role);
static void to_start(const CronTrigger *trigger, TriggerStart *start);
static Interval *as_interval(int64 microseconds);

bool
cron_overlap_parse(const char *word, CronOverlap *overlap)
{
	for (int i = 0; i < lengthof(overlap_names); i++)
	{
		*overlap = (CronOverlap) i;
		if (strcmp(word, overlap_names[i]) == 0)
			return true;
	}
	return false;
}

bool
cron_catchup_parse(const char *word, CronCatchup *catchup)
{
	for (int i = 0; i < lengthof(catchup_names); i++)
	{
		*catchup = (CronCatchup) i;
		if (strcmp(word, catchup_names[i]) == 0)
			return true;
	}
	return false;
}

pg_tz *
cron_zone(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", name),
				 errhint("The view pg_timezone_names lists time zones.")));
	return zone;
}

void
cron_pattern(const char *text, CronPattern *pattern)
{
	char	   *error;

	if (!cron_parse(text, pattern, &error))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cron pattern \"%s\"", text),
				 errdetail("%s.", error),
				 errhint("The fields are minute, hour, day of the month, month, day of the week and, if there are six, second.")));
}

/* ---------------------------------------------------------------- sessions */

void
cron_trigger_create(CronTrigger *trigger)
{
	TimestampTz first;

	id_new(&trigger->id);
	trigger->zone = cron_zone(trigger->timezone);
	if (trigger->pattern)
		cron_pattern(trigger->pattern, &trigger->cron);
	else if (trigger->remaining < 0)
		trigger->remaining = 1;
	check_new(trigger);
	check_same(trigger);
	insert_trigger(trigger);
	first = trigger->first_time;
	if (first == DT_NOBEGIN)
		first = cron_trigger_next(trigger, clock_now());
	if (first == DT_NOEND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron pattern \"%s\" has no slot within 50 years", trigger->pattern)));
	cron_plan_slot(trigger, first);
}

static void
check_new(const CronTrigger *trigger)
{
	TriggerStart start;

	if (trigger->pattern == NULL && trigger->first_time == DT_NOBEGIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a cron trigger needs a pattern, a first time, or both")));
	if (trigger->pattern == NULL && trigger->remaining != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a cron trigger without a pattern starts one execution")));
	if (trigger->remaining == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("remaining must be at least 1")));
	if (TIMESTAMP_NOT_FINITE(trigger->first_time) ? trigger->first_time != DT_NOBEGIN :
		trigger->first_time < clock_now() - INT64CONST(60) * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("first_time must not be in the past")));
	to_start(trigger, &start);
	trigger_check_start(&start);
}

/* As in the original, two triggers that do the same are one too many. */
static void
check_same(const CronTrigger *trigger)
{
	static DbStatement find = {
		"SELECT name FROM mistral.cron_trigger WHERE owner OPERATOR(pg_catalog.=) $1 AND workflow OPERATOR(pg_catalog.=) $2"
		" AND namespace OPERATOR(pg_catalog.=) $3 AND pattern IS NOT DISTINCT FROM $4 AND timezone OPERATOR(pg_catalog.=) $5"
		" AND first_time IS NOT DISTINCT FROM $6 AND remaining IS NOT DISTINCT FROM $7"
		" AND input OPERATOR(pg_catalog.=) $8 AND params OPERATOR(pg_catalog.=) $9",
		9, {OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, JSONBOID, JSONBOID}
	};
	char		nulls[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	Datum		values[9];
	bool		isnull;

	values[0] = ObjectIdGetDatum(trigger->owner);
	values[1] = CStringGetTextDatum(trigger->workflow);
	values[2] = CStringGetTextDatum(trigger->namespace_);
	values[3] = trigger->pattern ? CStringGetTextDatum(trigger->pattern) : (Datum) 0;
	nulls[3] = trigger->pattern ? ' ' : 'n';
	values[4] = CStringGetTextDatum(trigger->timezone);
	values[5] = TimestampTzGetDatum(trigger->first_time);
	nulls[5] = trigger->first_time == DT_NOBEGIN ? 'n' : ' ';
	values[6] = Int32GetDatum(trigger->remaining);
	nulls[6] = trigger->remaining < 0 ? 'n' : ' ';
	values[7] = JsonbPGetDatum(trigger->input);
	values[8] = JsonbPGetDatum(trigger->params);
	if (db_execute(&find, values, nulls, false, 1) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("cron trigger \"%s\" does the same already",
						TextDatumGetCString(db_datum(0, 1, &isnull)))));
}

static void
insert_trigger(const CronTrigger *trigger)
{
	static DbStatement insert = {
		"INSERT INTO mistral.cron_trigger (id, name, owner, workflow, namespace, pattern, timezone, first_time, remaining,"
		" overlap, catchup, catchup_window, jitter, created_at, updated_at, input, params)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15, $16)"
		" ON CONFLICT (name, owner) DO NOTHING",
		16, {UUIDOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID,
		TEXTOID, TEXTOID, INTERVALOID, INTERVALOID, TIMESTAMPTZOID, JSONBOID, JSONBOID}
	};
	char		nulls[16];
	Datum		values[16];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(&trigger->id);
	values[1] = CStringGetTextDatum(trigger->name);
	values[2] = ObjectIdGetDatum(trigger->owner);
	values[3] = CStringGetTextDatum(trigger->workflow);
	values[4] = CStringGetTextDatum(trigger->namespace_);
	values[5] = trigger->pattern ? CStringGetTextDatum(trigger->pattern) : (Datum) 0;
	nulls[5] = trigger->pattern ? ' ' : 'n';
	values[6] = CStringGetTextDatum(trigger->timezone);
	values[7] = TimestampTzGetDatum(trigger->first_time);
	nulls[7] = trigger->first_time == DT_NOBEGIN ? 'n' : ' ';
	values[8] = Int32GetDatum(trigger->remaining);
	nulls[8] = trigger->remaining < 0 ? 'n' : ' ';
	values[9] = CStringGetTextDatum(overlap_names[trigger->overlap]);
	values[10] = CStringGetTextDatum(catchup_names[trigger->catchup]);
	values[11] = IntervalPGetDatum(as_interval(trigger->window));
	values[12] = IntervalPGetDatum(as_interval(trigger->jitter));
	values[13] = TimestampTzGetDatum(clock_now());
	values[14] = JsonbPGetDatum(trigger->input);
	values[15] = JsonbPGetDatum(trigger->params);
	if (db_execute(&insert, values, nulls, false, 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("cron trigger \"%s\" exists already", trigger->name)));
}

void
cron_trigger_delete(const char *name, Oid role)
{
	cron_trigger_remove(find_trigger(name, role));
}

void
cron_trigger_pause(const char *name, bool paused, Oid role)
{
	static DbStatement update = {
		"UPDATE mistral.cron_trigger SET paused = $2, updated_at = $3 WHERE id OPERATOR(pg_catalog.=) $1",
		3, {UUIDOID, BOOLOID, TIMESTAMPTZOID}
	};
	CronTrigger *trigger = find_trigger(name, role);
	TimestampTz now = clock_now();
	Datum		values[3] = {UUIDPGetDatum(&trigger->id), BoolGetDatum(paused), TimestampTzGetDatum(now)};

	if (trigger->paused == paused)
		return;
	db_execute(&update, values, NULL, false, 0);
	trigger->paused = paused;
	if (paused)
		cron_unplan(trigger);
	else if (trigger->pattern == NULL)
		cron_plan_slot(trigger, trigger->first_time);
	else
		cron_plan(trigger, cron_plan_from(trigger, now));
}

int
cron_trigger_backfill(const char *name, TimestampTz from, TimestampTz to, Oid role)
{
	CronTrigger *trigger = find_trigger(name, role);
	TimestampTz slot;
	int			n = 0;

	if (trigger->pattern == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron trigger \"%s\" has no pattern", trigger->name)));
	if (TIMESTAMP_NOT_FINITE(from) || TIMESTAMP_NOT_FINITE(to) || to > clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the interval must be finite and lie in the past")));
	for (slot = cron_trigger_next(trigger, from - 1); slot <= to; slot = cron_trigger_next(trigger, slot))
	{
		pg_uuid_t	id;

		if (n >= MAX_BACKFILL)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the interval has more than %d slots", MAX_BACKFILL),
					 errhint("Choose shorter intervals, one after the other.")));
		id_new(&id);
		if (!cron_use_slot(trigger, slot, &id, "started"))
			continue;
		cron_start(trigger, slot, &id);
		n++;
	}
	return n;
}

/* The role's own, or one of a role whose rights it has; locked. */
static CronTrigger *
find_trigger(const char *name, Oid role)
{
	static DbStatement find = {
		"SELECT id, owner FROM mistral.cron_trigger WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	int			row = owned_choose(db_execute(&find, values, NULL, false, 0), role, OWNED_MANAGE, "cron trigger", name);
	CronTrigger *trigger = NULL;
	pg_uuid_t	id;
	bool		isnull;

	if (row >= 0)
	{
		id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
		trigger = cron_trigger_load(&id, true, NULL);
	}
	if (trigger == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("cron trigger \"%s\" does not exist", name)));
	return trigger;
}

/* ---------------------------------------------------------------- rows */

CronTrigger *
cron_trigger_load(const pg_uuid_t *id, bool wait, bool *locked)
{
#define TRIGGER_COLUMNS "name, owner, workflow, namespace, pattern, timezone, first_time, remaining, overlap, catchup," \
		" (EXTRACT(epoch FROM catchup_window) * 1000000)::bigint, (EXTRACT(epoch FROM jitter) * 1000000)::bigint," \
		" paused, input, params FROM mistral.cron_trigger WHERE id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE"
	static DbStatement select_wait = {"SELECT " TRIGGER_COLUMNS, 1, {UUIDOID}};
	static DbStatement select_skip = {"SELECT " TRIGGER_COLUMNS " SKIP LOCKED", 1, {UUIDOID}};
	static DbStatement exists = {
		"SELECT 1 FROM mistral.cron_trigger WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};
	CronTrigger *t;
	bool		isnull;
	Datum		datum;

	if (db_execute(wait ? &select_wait : &select_skip, values, NULL, false, 0) == 0)
	{
		if (locked)
			*locked = db_execute(&exists, values, NULL, false, 0) > 0;
		return NULL;
	}
	t = palloc0(sizeof(CronTrigger));
	t->id = *id;
	t->name = TextDatumGetCString(db_datum(0, 1, &isnull));
	t->owner = DatumGetObjectId(db_datum(0, 2, &isnull));
	t->workflow = TextDatumGetCString(db_datum(0, 3, &isnull));
	t->namespace_ = TextDatumGetCString(db_datum(0, 4, &isnull));
	datum = db_datum(0, 5, &isnull);
	t->pattern = isnull ? NULL : TextDatumGetCString(datum);
	t->timezone = TextDatumGetCString(db_datum(0, 6, &isnull));
	datum = db_datum(0, 7, &isnull);
	t->first_time = isnull ? DT_NOBEGIN : DatumGetTimestampTz(datum);
	datum = db_datum(0, 8, &isnull);
	t->remaining = isnull ? -1 : DatumGetInt32(datum);
	(void) cron_overlap_parse(TextDatumGetCString(db_datum(0, 9, &isnull)), &t->overlap);
	(void) cron_catchup_parse(TextDatumGetCString(db_datum(0, 10, &isnull)), &t->catchup);
	t->window = DatumGetInt64(db_datum(0, 11, &isnull));
	t->jitter = DatumGetInt64(db_datum(0, 12, &isnull));
	t->paused = DatumGetBool(db_datum(0, 13, &isnull));
	t->input = DatumGetJsonbPCopy(db_datum(0, 14, &isnull));
	t->params = DatumGetJsonbPCopy(db_datum(0, 15, &isnull));
	t->zone = cron_zone(t->timezone);
	if (t->pattern)
		cron_pattern(t->pattern, &t->cron);
	return t;
}

void
cron_trigger_remove(const CronTrigger *trigger)
{
	static DbStatement delete[] = {
		{"DELETE FROM mistral.cron_waiting WHERE trigger_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}},
		{"DELETE FROM mistral.cron_running WHERE trigger_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}},
		{"DELETE FROM mistral.cron_slot WHERE trigger_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}},
		{"DELETE FROM mistral.cron_trigger WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}}
	};
	Datum		values[1] = {UUIDPGetDatum(&trigger->id)};

	cron_unplan(trigger);
	for (int i = 0; i < lengthof(delete); i++)
		db_execute(&delete[i], values, NULL, false, 0);
}

void
cron_unplan(const CronTrigger *trigger)
{
	static DbStatement delete = {
		"DELETE FROM mistral.cron_due WHERE trigger_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&trigger->id)};

	db_execute(&delete, values, NULL, false, 0);
}

bool
cron_use_slot(const CronTrigger *trigger, TimestampTz slot, const pg_uuid_t *execution_id, const char *outcome)
{
	static DbStatement insert = {
		"INSERT INTO mistral.cron_slot (trigger_id, slot, execution_id, outcome, created_at) VALUES ($1, $2, $3, $4, $5)"
		" ON CONFLICT (trigger_id, slot) DO NOTHING",
		5, {UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID, TIMESTAMPTZOID}
	};
	Datum		values[5];

	values[0] = UUIDPGetDatum(&trigger->id);
	values[1] = TimestampTzGetDatum(slot);
	values[2] = UUIDPGetDatum(execution_id);
	values[3] = CStringGetTextDatum(outcome);
	values[4] = TimestampTzGetDatum(clock_now());
	return db_execute(&insert, values, execution_id ? NULL : "  n  ", false, 0) == 1;
}

/* ---------------------------------------------------------------- planning */

TimestampTz
cron_trigger_next(const CronTrigger *trigger, TimestampTz after)
{
	return trigger->pattern ? cron_next(&trigger->cron, trigger->zone, after) : DT_NOEND;
}

void
cron_plan(const CronTrigger *trigger, TimestampTz after)
{
	static DbStatement used = {
		"SELECT slot FROM mistral.cron_slot WHERE trigger_id OPERATOR(pg_catalog.=) $1 AND slot OPERATOR(pg_catalog.>) $2"
		" ORDER BY slot",
		2, {UUIDOID, TIMESTAMPTZOID}
	};
	TimestampTz slot = cron_trigger_next(trigger, after);
	Datum		values[2] = {UUIDPGetDatum(&trigger->id), TimestampTzGetDatum(after)};
	uint64		n = db_execute(&used, values, NULL, false, 0);
	bool		isnull;

	/* Slots are used up ahead of time only where the clock has gone back. */
	for (uint64 i = 0; i < n && slot != DT_NOEND; i++)
	{
		TimestampTz taken = DatumGetTimestampTz(db_datum(i, 1, &isnull));

		if (taken > slot)
			break;
		if (taken == slot)
			slot = cron_trigger_next(trigger, slot);
	}
	if (slot != DT_NOEND)
		cron_plan_slot(trigger, slot);
	else
		cron_unplan(trigger);
}

void
cron_plan_slot(const CronTrigger *trigger, TimestampTz slot)
{
	static DbStatement insert = {
		"INSERT INTO mistral.cron_due (due_at, trigger_id, slot) VALUES ($1, $2, $3)",
		3, {TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID}
	};
	Datum		values[3];

	cron_unplan(trigger);
	values[0] = TimestampTzGetDatum(cron_slot_due(trigger, slot));
	values[1] = UUIDPGetDatum(&trigger->id);
	values[2] = TimestampTzGetDatum(slot);
	db_execute(&insert, values, NULL, false, 0);
	if (cron_planned_hook)
		cron_planned_hook();
}

TimestampTz
cron_plan_from(const CronTrigger *trigger, TimestampTz now)
{
	return TIMESTAMP_NOT_FINITE(trigger->first_time) ? now : Max(now, trigger->first_time - 1);
}

/* The same for a slot whoever asks, and whenever. */
TimestampTz
cron_slot_due(const CronTrigger *trigger, TimestampTz slot)
{
	uint64		hash;

	if (trigger->jitter <= 0 || TIMESTAMP_NOT_FINITE(slot))
		return slot;
	hash = hash_bytes_extended(trigger->id.data, UUID_LEN, (uint64) slot);
	return slot + (int64) (hash % (uint64) trigger->jitter);
}

/* ---------------------------------------------------------------- starting */

void
cron_start(const CronTrigger *trigger, TimestampTz slot, const pg_uuid_t *execution_id)
{
	TriggerStart start;
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "name");
	json_add_string(&b, trigger->name);
	json_add_key(&b, "slot");
	json_add_time(&b, slot);
	json_end_object(&b);
	to_start(trigger, &start);
	start.about_key = "cron_trigger";
	start.about = json_finish(&b);
	trigger_start(&start, execution_id);
}

static void
to_start(const CronTrigger *trigger, TriggerStart *start)
{
	memset(start, 0, sizeof(*start));
	start->kind = "cron_trigger";
	start->id = trigger->id;
	start->name = trigger->name;
	start->owner = trigger->owner;
	start->workflow = trigger->workflow;
	start->namespace_ = trigger->namespace_;
	start->input = trigger->input;
	start->params = trigger->params;
}

static Interval *
as_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return interval;
}
