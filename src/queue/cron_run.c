/*
 * cron_run.c
 *		Letting due triggers fire.
 *
 * Each trigger has its turn in a subtransaction: an error is the trigger's, and
 * stops no other.  Nothing is waited for: a trigger, or an execution that is to
 * be stopped, which somebody else has locked has its turn a second later.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "engine/control.h"
#include "engine/guard.h"
#include "engine/store.h"
#include "queue/cron_trigger.h"

/* A slot is missed when it is seen so much later. */
#define TOLERANCE		(INT64CONST(60) * USECS_PER_SEC)

/* A clock that has gone back so far has been set. */
#define CLOCK_SET_BACK	(INT64CONST(60) * USECS_PER_SEC)

/* Whoever is locked is tried again after so long, and what cannot even be read (its time zone has gone) after this. */
#define LOCKED_RETRY	USECS_PER_SEC
#define BROKEN_RETRY	(INT64CONST(60) * USECS_PER_SEC)

/* Slots are remembered for so long, so that a clock set back repeats none. */
#define SLOTS_KEPT		(INT64CONST(3) * USECS_PER_DAY)

/* A due row, and what became of it. */
typedef struct Due
{
	pg_uuid_t	trigger_id;
	TimestampTz due_at;
	TimestampTz slot;
	TimestampTz now;
	bool		waiting;		/* a slot that has waited for an execution to end */
	bool		postponed;		/* locked, or its earlier execution still runs */
	int			nslots;
	char	   *error;			/* why it could not fire */
} Due;

/* When this process last looked; the first look plans anew, since the clock may have been set while nobody was there. */
static TimestampTz last_look = DT_NOEND;

static void plan_anew(TimestampTz now);
static int	take_due(TimestampTz now, int limit, Due **due);
static int	take_waiting(TimestampTz now, int limit, Due **due);
static void fire(Due *due);
static void fire_body(void *arg);
static void fire_waiting_body(void *arg);
static void fail_body(void *arg);
static void plan_anew_body(void *arg);
static TimestampTz slot_to_fire(const CronTrigger *trigger, const Due *due);
static TimestampTz last_slot(const CronTrigger *trigger, TimestampTz slot, TimestampTz now);
static bool fire_slot(CronTrigger *trigger, TimestampTz slot, Due *due);
static int	others_running(const CronTrigger *trigger, pg_uuid_t **ids);
static bool stop_others(const CronTrigger *trigger, pg_uuid_t *ids, int n);
static int	count_waiting(const CronTrigger *trigger);
static void change_waiting(const CronTrigger *trigger, TimestampTz slot, bool waits);
static void start(CronTrigger *trigger, TimestampTz slot);
static void note_fired(CronTrigger *trigger, TimestampTz slot, const char *error);
static void postpone(const Due *due, int64 delay);
static void forget_slots(TimestampTz now);
static TimestampTz next_due(void);

void
cron_run(int limit, CronRun *result)
{
	TimestampTz now = clock_now();
	Due		   *due;
	int			n;

	memset(result, 0, sizeof(*result));
	if (last_look == DT_NOEND || now < last_look - CLOCK_SET_BACK)
		plan_anew(now);
	last_look = now;

	n = take_due(now, limit, &due);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		fire(&due[i]);
		result->nslots += due[i].nslots;
	}
	n = take_waiting(now, limit, &due);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		fire(&due[i]);
		result->nslots += due[i].nslots;
		result->waiting = true;
		result->progress |= !due[i].postponed;
	}
	if (result->nslots > 0)
		forget_slots(now);
	result->next = next_due();
}

/*
 * The clock may have been set back: what is planned for later than the next
 * slot that has not been used up is planned anew.
 */
static void
plan_anew(TimestampTz now)
{
	static DbStatement find = {
		"SELECT trigger_id, slot FROM mistral.cron_due WHERE due_at OPERATOR(pg_catalog.>) $1", 1, {TIMESTAMPTZOID}
	};
	Datum		values[1] = {TimestampTzGetDatum(now)};
	uint64		n = db_execute(&find, values, NULL, false, 0);
	Due		   *due = palloc0(sizeof(Due) * Max(n, 1));
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
	{
		due[i].trigger_id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		due[i].slot = DatumGetTimestampTz(db_datum(i, 2, &isnull));
	}
	for (uint64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		due[i].now = now;
		/* An error is told when the trigger is due. */
		(void) guard_isolated(plan_anew_body, &due[i]);
	}
}

static void
plan_anew_body(void *arg)
{
	const Due  *due = arg;
	CronTrigger *trigger = cron_trigger_load(&due->trigger_id, false, NULL);
	TimestampTz from;

	if (trigger == NULL || trigger->paused || trigger->pattern == NULL || due->slot == trigger->first_time)
		return;
	from = cron_plan_from(trigger, due->now);
	if (cron_trigger_next(trigger, from) < due->slot)
		cron_plan(trigger, from);
}

/* ---------------------------------------------------------------- taking */

static int
take_due(TimestampTz now, int limit, Due **due)
{
	static DbStatement select = {
		"SELECT due_at, trigger_id, slot FROM mistral.cron_due WHERE due_at OPERATOR(pg_catalog.<=) $1"
		" ORDER BY due_at, trigger_id LIMIT $2 FOR UPDATE SKIP LOCKED",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2] = {TimestampTzGetDatum(now), Int64GetDatum(limit)};
	uint64		n = db_execute(&select, values, NULL, false, 0);
	bool		isnull;

	*due = palloc0(sizeof(Due) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		(*due)[i].due_at = DatumGetTimestampTz(db_datum(i, 1, &isnull));
		(*due)[i].trigger_id = *DatumGetUUIDP(db_datum(i, 2, &isnull));
		(*due)[i].slot = DatumGetTimestampTz(db_datum(i, 3, &isnull));
		(*due)[i].now = now;
	}
	return (int) n;
}

/* The first waiting slot of each trigger that has some. */
static int
take_waiting(TimestampTz now, int limit, Due **due)
{
	static DbStatement select = {
		"SELECT DISTINCT ON (trigger_id) trigger_id, slot FROM mistral.cron_waiting ORDER BY trigger_id, slot LIMIT $1",
		1, {INT8OID}
	};
	Datum		values[1] = {Int64GetDatum(limit)};
	uint64		n = db_execute(&select, values, NULL, false, 0);
	bool		isnull;

	*due = palloc0(sizeof(Due) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		(*due)[i].trigger_id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		(*due)[i].slot = DatumGetTimestampTz(db_datum(i, 2, &isnull));
		(*due)[i].now = now;
		(*due)[i].waiting = true;
	}
	return (int) n;
}

/* ---------------------------------------------------------------- firing */

static void
fire(Due *due)
{
	due->error = guard_isolated(due->waiting ? fire_waiting_body : fire_body, due);
	if (due->error && guard_isolated(fail_body, due) != NULL)
	{
		due->nslots = 0;
		due->postponed = true;
		if (!due->waiting)
			postpone(due, BROKEN_RETRY);
	}
	else if (due->postponed && !due->waiting)
		postpone(due, LOCKED_RETRY);
}

static void
fire_body(void *arg)
{
	Due		   *due = arg;
	CronTrigger *trigger = cron_trigger_load(&due->trigger_id, false, &due->postponed);
	TimestampTz slot;

	if (trigger == NULL)
		return;
	slot = slot_to_fire(trigger, due);
	if (slot != DT_NOEND && !fire_slot(trigger, slot, due))
		return;
	if (trigger->remaining != 0)
		cron_plan(trigger, slot == DT_NOEND ? due->now : slot);
	else if (count_waiting(trigger) == 0)
		cron_trigger_remove(trigger);
	else
		cron_unplan(trigger);
}

/* An earlier execution has ended, perhaps: then the slot has its turn. */
static void
fire_waiting_body(void *arg)
{
	Due		   *due = arg;
	CronTrigger *trigger = cron_trigger_load(&due->trigger_id, false, &due->postponed);
	pg_uuid_t  *ids;

	if (trigger == NULL)
		return;
	due->postponed = others_running(trigger, &ids) > 0;
	if (due->postponed)
		return;
	change_waiting(trigger, due->slot, false);
	start(trigger, due->slot);
	due->nslots++;
	if (trigger->remaining == 0 && count_waiting(trigger) == 0)
		cron_trigger_remove(trigger);
}

/*
 * The slot is used up, and the trigger goes on with the next; one that has only
 * this slot is paused, to be tried again when somebody resumes it.
 */
static void
fail_body(void *arg)
{
	Due		   *due = arg;
	CronTrigger *trigger;
	TimestampTz slot = due->slot;

	due->nslots = 0;
	due->postponed = false;
	trigger = cron_trigger_load(&due->trigger_id, false, &due->postponed);
	if (trigger == NULL)
		return;
	if (due->waiting)
		change_waiting(trigger, slot, false);
	else if (trigger->pattern == NULL)
	{
		trigger->paused = true;
		cron_unplan(trigger);
	}
	else
	{
		slot = slot_to_fire(trigger, due);
		(void) cron_use_slot(trigger, slot, NULL, "error");
		cron_plan(trigger, slot);
	}
	note_fired(trigger, slot, due->error);
}

/* Which of the slots that have passed is to fire now; DT_NOEND: none. */
static TimestampTz
slot_to_fire(const CronTrigger *trigger, const Due *due)
{
	int64		patience = trigger->catchup == CATCHUP_NONE ? TOLERANCE : Max(trigger->window, TOLERANCE);
	TimestampTz slot = due->slot;

	if (trigger->pattern == NULL)
		return slot;
	patience += trigger->jitter;
	if (trigger->catchup != CATCHUP_ALL)
		slot = last_slot(trigger, slot, due->now);
	else if (slot < due->now - patience)
		slot = cron_trigger_next(trigger, due->now - patience);
	return slot < due->now - patience || slot > due->now ? DT_NOEND : slot;
}

/* The last slot that is due, not before the one given: looked for backwards, since there may be millions. */
static TimestampTz
last_slot(const CronTrigger *trigger, TimestampTz slot, TimestampTz now)
{
	for (int64 span = 2 * SECS_PER_MINUTE * USECS_PER_SEC; now - span > slot; span *= 8)
	{
		TimestampTz later = cron_trigger_next(trigger, now - span);

		if (cron_slot_due(trigger, later) <= now)
		{
			slot = later;
			break;
		}
	}
	for (;;)
	{
		TimestampTz next = cron_trigger_next(trigger, slot);

		if (next > now || cron_slot_due(trigger, next) > now)
			return slot;
		CHECK_FOR_INTERRUPTS();
		slot = next;
	}
}

/* What the overlap policy says; false when it is too early to tell. */
static bool
fire_slot(CronTrigger *trigger, TimestampTz slot, Due *due)
{
	pg_uuid_t  *others;
	int			running = trigger->overlap == OVERLAP_ALLOW_ALL ? 0 : others_running(trigger, &others);
	const char *outcome = "started";

	if (trigger->overlap == OVERLAP_BUFFER_ONE || trigger->overlap == OVERLAP_BUFFER_ALL)
		running += count_waiting(trigger);
	if (running > 0)
	{
		switch (trigger->overlap)
		{
			case OVERLAP_ALLOW_ALL:
				break;
			case OVERLAP_SKIP:
				outcome = "skipped";
				break;
			case OVERLAP_BUFFER_ONE:
				outcome = count_waiting(trigger) > 0 ? "skipped" : "waiting";
				break;
			case OVERLAP_BUFFER_ALL:
				outcome = "waiting";
				break;
			case OVERLAP_CANCEL_OTHER:
			case OVERLAP_TERMINATE_OTHER:
				if (!stop_others(trigger, others, running))
				{
					due->postponed = true;
					return false;
				}
				break;
		}
	}
	if (!cron_use_slot(trigger, slot, NULL, outcome))
		return true;
	due->nslots++;
	if (strcmp(outcome, "skipped") == 0)
		return true;
	if (trigger->remaining > 0)
		trigger->remaining--;
	if (strcmp(outcome, "waiting") == 0)
	{
		change_waiting(trigger, slot, true);
		note_fired(trigger, slot, NULL);
	}
	else
		start(trigger, slot);
	return true;
}

static void
start(CronTrigger *trigger, TimestampTz slot)
{
	static DbStatement started = {
		"UPDATE mistral.cron_slot SET execution_id = $3, outcome = 'started'"
		" WHERE trigger_id OPERATOR(pg_catalog.=) $1 AND slot OPERATOR(pg_catalog.=) $2",
		3, {UUIDOID, TIMESTAMPTZOID, UUIDOID}
	};
	static DbStatement running = {
		"INSERT INTO mistral.cron_running (trigger_id, execution_id) VALUES ($1, $2)", 2, {UUIDOID, UUIDOID}
	};
	pg_uuid_t	id;
	Datum		values[3];

	id_new(&id);
	cron_start(trigger, slot, &id);
	values[0] = UUIDPGetDatum(&trigger->id);
	values[1] = TimestampTzGetDatum(slot);
	values[2] = UUIDPGetDatum(&id);
	db_execute(&started, values, NULL, false, 0);
	if (trigger->overlap != OVERLAP_ALLOW_ALL)
	{
		values[1] = UUIDPGetDatum(&id);
		db_execute(&running, values, NULL, false, 0);
	}
	note_fired(trigger, slot, NULL);
}

/* ---------------------------------------------------------------- rows */

/* The trigger's executions that still run; those that do not are forgotten. */
static int
others_running(const CronTrigger *trigger, pg_uuid_t **ids)
{
	static DbStatement forget = {
		"DELETE FROM mistral.cron_running r WHERE r.trigger_id OPERATOR(pg_catalog.=) $1 AND NOT EXISTS"
		" (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) r.execution_id AND e.finished_at IS NULL)",
		1, {UUIDOID}
	};
	static DbStatement select = {
		"SELECT execution_id FROM mistral.cron_running WHERE trigger_id OPERATOR(pg_catalog.=) $1 ORDER BY execution_id",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&trigger->id)};
	uint64		n;
	bool		isnull;

	db_execute(&forget, values, NULL, false, 0);
	n = db_execute(&select, values, NULL, false, 0);
	*ids = palloc(sizeof(pg_uuid_t) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
		(*ids)[i] = *DatumGetUUIDP(db_datum(i, 1, &isnull));
	return (int) n;
}

/* False when one of them is locked by somebody else. */
static bool
stop_others(const CronTrigger *trigger, pg_uuid_t *ids, int n)
{
	bool		cancel = trigger->overlap == OVERLAP_CANCEL_OTHER;
	LockedRoot *locked = palloc(sizeof(LockedRoot) * n);

	if (store_lock_roots(ids, n, false, locked) < n)
		return false;
	/* Those that still run now that nobody can change it. */
	n = others_running(trigger, &ids);
	for (int i = 0; i < n; i++)
		control_stop(&ids[i], cancel ? STATE_CANCELLED : STATE_ERROR,
					 psprintf("cron trigger \"%s\" starts the next one", trigger->name), trigger->owner);
	return true;
}

static int
count_waiting(const CronTrigger *trigger)
{
	static DbStatement select = {
		"SELECT 1 FROM mistral.cron_waiting WHERE trigger_id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(&trigger->id)};

	return (int) db_execute(&select, values, NULL, false, 0);
}

static void
change_waiting(const CronTrigger *trigger, TimestampTz slot, bool waits)
{
	static DbStatement insert = {
		"INSERT INTO mistral.cron_waiting (trigger_id, slot) VALUES ($1, $2)", 2, {UUIDOID, TIMESTAMPTZOID}
	};
	static DbStatement delete = {
		"DELETE FROM mistral.cron_waiting WHERE trigger_id OPERATOR(pg_catalog.=) $1 AND slot OPERATOR(pg_catalog.=) $2",
		2, {UUIDOID, TIMESTAMPTZOID}
	};
	Datum		values[2] = {UUIDPGetDatum(&trigger->id), TimestampTzGetDatum(slot)};

	db_execute(waits ? &insert : &delete, values, NULL, false, 0);
}

static void
note_fired(CronTrigger *trigger, TimestampTz slot, const char *error)
{
	static DbStatement update = {
		"UPDATE mistral.cron_trigger SET last_slot = $2, last_error = $3, remaining = $4, paused = $5, updated_at = $6"
		" WHERE id OPERATOR(pg_catalog.=) $1",
		6, {UUIDOID, TIMESTAMPTZOID, TEXTOID, INT4OID, BOOLOID, TIMESTAMPTZOID}
	};
	char		nulls[6] = {' ', ' ', error ? ' ' : 'n', trigger->remaining < 0 ? 'n' : ' ', ' ', ' '};
	Datum		values[6];

	values[0] = UUIDPGetDatum(&trigger->id);
	values[1] = TimestampTzGetDatum(slot);
	values[2] = error ? CStringGetTextDatum(error) : (Datum) 0;
	values[3] = Int32GetDatum(trigger->remaining);
	values[4] = BoolGetDatum(trigger->paused);
	values[5] = TimestampTzGetDatum(clock_now());
	db_execute(&update, values, nulls, false, 0);
}

/* The trigger, or who is to be stopped, is locked, or it cannot be read: later. */
static void
postpone(const Due *due, int64 delay)
{
	static DbStatement update = {
		"UPDATE mistral.cron_due SET due_at = $3 WHERE trigger_id OPERATOR(pg_catalog.=) $1 AND due_at OPERATOR(pg_catalog.=) $2",
		3, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		values[3];

	values[0] = UUIDPGetDatum(&due->trigger_id);
	values[1] = TimestampTzGetDatum(due->due_at);
	values[2] = TimestampTzGetDatum(due->now + delay);
	db_execute(&update, values, NULL, false, 0);
}

/* Old slots, a few at a time; those whose executions run are kept for the overlap policies' view. */
static void
forget_slots(TimestampTz now)
{
	static DbStatement delete = {
		"DELETE FROM mistral.cron_slot s WHERE s.ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		" SELECT o.ctid FROM mistral.cron_slot o WHERE o.created_at OPERATOR(pg_catalog.<) $1 AND NOT EXISTS"
		" (SELECT FROM mistral.cron_waiting w WHERE w.trigger_id OPERATOR(pg_catalog.=) o.trigger_id"
		" AND w.slot OPERATOR(pg_catalog.=) o.slot) ORDER BY o.created_at LIMIT 1000 FOR UPDATE SKIP LOCKED))",
		1, {TIMESTAMPTZOID}
	};
	Datum		values[1] = {TimestampTzGetDatum(now - SLOTS_KEPT)};

	db_execute(&delete, values, NULL, false, 0);
}

static TimestampTz
next_due(void)
{
	static DbStatement select = {
		"SELECT due_at FROM mistral.cron_due ORDER BY due_at, trigger_id LIMIT 1", 0, {0}
	};
	bool		isnull;

	if (db_execute(&select, NULL, NULL, false, 1) == 0)
		return DT_NOEND;
	return DatumGetTimestampTz(db_datum(0, 1, &isnull));
}
