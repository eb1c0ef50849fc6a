/*
 * chores.c
 *		What an engine does besides advancing executions.
 *
 * Each chore says when it is due next, and one that fails waits longer each
 * time.  Schedules go by the wall clock, and are compared with it every few
 * seconds, for somebody may set it; the others by elapsed time.  Leases are
 * looked at when the earliest may have run out.
 *
 * Retention takes a tenth of this process's time, and the more the later it is,
 * up to a half: what it takes, the engine does not end, so that under a load
 * that lasts it comes to the share with which it follows.  Its batches are
 * small and do not wait for the disk, for what the engine has to do waits for
 * the one under way.  Looking at all that is left must not cost more than deleting, or next to nothing.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/db.h"
#include "engine/engine.h"
#include "executor/sql_actions.h"
#include "guc.h"
#include "queue/cron_trigger.h"
#include "queue/event_wait.h"
#include "queue/retention.h"
#include "worker/chores.h"
#include "worker/loop.h"

#define SHORTEST_BACKOFF_MS 1000
#define LONGEST_BACKOFF_MS	60000
#define CLOCK_LOOK_MS		2000	/* the wall clock is looked at at least so often where there are schedules */
#define WAITING_SLOTS_MS	1000	/* slots that wait for an execution are looked at at least so often */

#define SWEEP_PAUSE_MS		1000	/* leases are looked at no more often */

#define EVENTS_LOOK_MS		60000	/* events and waits are looked at at least so often */
#define EVENTS_BUSY_MS		100		/* another session is looking */

#define SQL_LOOK_MS			60000	/* SQL actions that nobody has are looked for at least so often */

#define RETENTION_LEAST		0.1		/* share of the time that retention takes when it is in time */
#define RETENTION_MOST		0.5		/* and when it is far behind */
#define RETENTION_BATCH_MS	2		/* a batch should take so long */
#define RETENTION_REST_MS	1000	/* rest between two passes, while there is something to delete */
#define RETENTION_IDLE_MS	60000	/* and at most */
#define RETENTION_LOOK_MS	60000	/* rest between two looks at all that is left, at least */
#define RETENTION_LOOK_REST 200		/* and in multiples of the time that it took beyond that of deleting */

typedef struct Chore
{
	TimestampTz due_at;
	int			backoff;		/* ms, after an error */
} Chore;

static struct
{
	Chore		schedules;		/* due_at by clock_now() */
	CronRun		cron;			/* what the last look at the cron triggers found */
	TimestampTz last_look;
	Chore		leases;			/* due_at: no look before */
	TimestampTz next_lease;		/* what the last look found: the next one that runs out, by clock_timers() */
	Chore		events;			/* due_at: the next look that nobody asks for, which forgets old events too */
	bool		events_sweep;
	EventLook	events_left;
	bool		events_old;		/* there are more to forget */
	Chore		sql;
	bool		sql_waits;
	Chore		retention;
	RetentionPass pass;
	RetentionBatch batch;
	int			batch_size;
	bool		pass_over;
	double		batch_ms;		/* its time, but for that of its commit */
	bool		deleted;		/* this pass has found something */
	double		look_ms;		/* time that it has taken to look, */
	double		delete_ms;		/* and to delete */
	int			rest;			/* ms, after a pass */
	TimestampTz look_at;		/* when a pass is to look at all again */
}			chores;

static bool run_schedules(void);
static void schedules_body(void *arg);
static bool run_leases(void);
static void leases_body(void *arg);
static bool run_events(void);
static void events_body(void *arg);
static bool run_sql(void);
static void sql_body(void *arg);
static bool run_retention(void);
static void retention_body(void *arg);
static void adapt_batch_size(void);
static double rest_between_passes(void);
static bool run(Chore *chore, void (*body) (void *arg), TimestampTz now);

void
chores_start(void)
{
	memset(&chores, 0, sizeof(chores));
	chores.schedules.due_at = DT_NOBEGIN;
	chores.leases.due_at = DT_NOBEGIN;
	chores.events.due_at = DT_NOBEGIN;
	chores.sql.due_at = DT_NOBEGIN;
	chores.retention.due_at = DT_NOBEGIN;
	chores.last_look = DT_NOBEGIN;
	chores.batch_size = RETENTION_MAX_BATCH;
}

bool
chores_run(void)
{
	bool		done = run_schedules();

	/* One engine of a database is enough for these. */
	if (my_worker == &my_database->workers[0])
	{
		done |= run_leases();
		done |= run_events();
		done |= run_sql();
		done |= run_retention();
	}
	return done;
}

void
chores_executions_ended(void)
{
	if (chores.cron.waiting)
		chores.schedules.due_at = DT_NOBEGIN;
}

long
chores_sleep(void)
{
	long		sleep = LONG_MAX;

	if (!TIMESTAMP_NOT_FINITE(chores.schedules.due_at))
		sleep = Min(TimestampDifferenceMilliseconds(clock_now(), chores.schedules.due_at) + 1, CLOCK_LOOK_MS);
	if (my_worker == &my_database->workers[0])
	{
		TimestampTz lease = (TimestampTz) pg_atomic_read_u64(&my_worker->lease_due);

		if (!TIMESTAMP_NOT_FINITE(lease))
			sleep = Min(sleep, Max(TimestampDifferenceMilliseconds(clock_timers(), lease),
								   TimestampDifferenceMilliseconds(clock_steady(), chores.leases.due_at)) + 1);
		sleep = Min(sleep, TimestampDifferenceMilliseconds(clock_steady(), chores.events.due_at) + 1);
		sleep = Min(sleep, TimestampDifferenceMilliseconds(clock_steady(), chores.sql.due_at) + 1);
		if (retention_wanted())
			sleep = Min(sleep, TimestampDifferenceMilliseconds(clock_steady(), chores.retention.due_at) + 1);
	}
	return sleep;
}

/*
 * When the time has come, somebody has planned a trigger, or the clock was set back.
 */
static bool
run_schedules(void)
{
	TimestampTz now = clock_now();

	if (pg_atomic_exchange_u32(&my_worker->schedules, 0) == 0 && now < chores.schedules.due_at && now >= chores.last_look)
		return false;
	chores.last_look = now;
	if (!run(&chores.schedules, schedules_body, now))
		return false;
	chores.schedules.due_at = chores.cron.next;
	if (chores.cron.progress)
		chores.schedules.due_at = DT_NOBEGIN;
	else if (chores.cron.waiting)
		chores.schedules.due_at = Min(chores.cron.next, TimestampTzPlusMilliseconds(now, WAITING_SLOTS_MS));
	return chores.cron.nslots > 0;
}

static void
schedules_body(void *arg)
{
	DbSession	session;

	db_enter(&session);
	cron_run(guc_batch_size, &chores.cron);
	db_leave(&session);
}

static bool
run_leases(void)
{
	TimestampTz now = clock_steady();
	bool		done;

	if (now < chores.leases.due_at || clock_timers() < (TimestampTz) pg_atomic_read_u64(&my_worker->lease_due))
		return false;
	/* Forgotten before the look: a lease that this does not see says so itself, at its commit. */
	pg_atomic_write_u64(&my_worker->lease_due, (uint64) DT_NOEND);
	chores.next_lease = clock_timers();
	chores.leases.due_at = TimestampTzPlusMilliseconds(now, SWEEP_PAUSE_MS);
	done = run(&chores.leases, leases_body, now);
	(void) shmem_lease_due(my_worker, chores.next_lease);
	return done;
}

static void
leases_body(void *arg)
{
	(void) engine_sweep_leases(&chores.next_lease);
}

/* When somebody has published or begun to wait, and now and then all the same. */
static bool
run_events(void)
{
	TimestampTz now = clock_steady();

	chores.events_sweep = now >= chores.events.due_at;
	/* Forgotten before the look: who commits after it says so again. */
	if (pg_atomic_exchange_u32(&my_worker->events, 0) == 0 && !chores.events_sweep)
		return false;
	if (!run(&chores.events, events_body, now))
		return false;
	if (chores.events_left == EVENTS_BUSY)
		chores.events.due_at = TimestampTzPlusMilliseconds(now, EVENTS_BUSY_MS);
	else if (chores.events_sweep)
		chores.events.due_at = TimestampTzPlusMilliseconds(now, chores.events_old ? 0 : EVENTS_LOOK_MS);
	if (chores.events_left == EVENTS_MORE)
		pg_atomic_write_u32(&my_worker->events, 1);
	return chores.events_left == EVENTS_MORE || chores.events_old;
}

static void
events_body(void *arg)
{
	DbSession	session;

	db_enter(&session);
	chores.events_left = event_wait_match(guc_batch_size);
	chores.events_old = chores.events_sweep && event_forget_old();
	db_leave(&session);
}

/*
 * Who dispatches SQL actions asks for a worker; those that were there when the
 * server started, or whose worker died, have nobody who asks.
 */
static bool
run_sql(void)
{
	TimestampTz now = clock_steady();

	if (now < chores.sql.due_at || !run(&chores.sql, sql_body, now))
		return false;
	chores.sql.due_at = TimestampTzPlusMilliseconds(now, SQL_LOOK_MS);
	if (chores.sql_waits)
		shmem_ask_sql_worker(my_database, 1);
	return false;
}

static void
sql_body(void *arg)
{
	chores.sql_waits = sql_actions_waiting();
}

static bool
run_retention(void)
{
	TimestampTz now = clock_steady();
	instr_time	start;
	double		ms;
	double		share;
	double		rest;

	if (!retention_wanted() || now < chores.retention.due_at)
		return false;
	INSTR_TIME_SET_CURRENT(start);
	if (!run(&chores.retention, retention_body, now))
		return false;
	ms = clock_ms_since(start);
	if (chores.batch.ndeleted == 0 && chores.batch.nhistory == 0)
		chores.batch.look_ms = ms;
	else
		chores.deleted = true;
	chores.look_ms += chores.batch.look_ms;
	chores.delete_ms += ms - chores.batch.look_ms;
	adapt_batch_size();
	share = RETENTION_LEAST + (RETENTION_MOST - RETENTION_LEAST) * chores.batch.behind;
	rest = ms * (1 / share - 1);
	if (chores.pass_over)
		rest = Max(rest, rest_between_passes());
	chores.retention.due_at = TimestampTzPlusMilliseconds(clock_steady(), (int64) rest);
	return true;
}

static void
retention_body(void *arg)
{
	RetentionPass pass = chores.pass;
	DbSession	session;
	instr_time	start;

	worker_need_not_flush();
	INSTR_TIME_SET_CURRENT(start);
	db_enter(&session);
	chores.pass_over = retention_run(&pass, chores.batch_size, &chores.batch);
	db_leave(&session);
	chores.pass = pass;
	chores.batch_ms = clock_ms_since(start);
}

/* By what deleting a tree has cost in this one: trees differ, and archiving them is dear.  One long wait is no reason. */
static void
adapt_batch_size(void)
{
	double		fitting = chores.batch.ndeleted * RETENTION_BATCH_MS / Max(chores.batch_ms, 0.01);
	int			least = Max(chores.batch_size / 2, 1);
	int			most = Min(chores.batch_size * 2, RETENTION_MAX_BATCH);

	if (chores.batch.ndeleted > 0)
		chores.batch_size = (int) Max(Min(fitting, most), least);
}

/* A pass is over: which is the next, and ms until then. */
static double
rest_between_passes(void)
{
	TimestampTz now = clock_steady();

	if (!chores.pass.follows)
	{
		double		ms = Max((chores.look_ms - chores.delete_ms) * RETENTION_LOOK_REST, RETENTION_LOOK_MS);

		chores.look_at = TimestampTzPlusMilliseconds(now, (int64) Min(ms, USECS_PER_DAY / 1000));
	}
	chores.rest = chores.deleted ? RETENTION_REST_MS : Max(Min(chores.rest * 2, RETENTION_IDLE_MS), RETENTION_REST_MS);
	chores.look_ms = chores.delete_ms = 0;
	chores.deleted = false;
	chores.pass.follows = TimestampTzPlusMilliseconds(now, chores.rest) < chores.look_at;
	return chores.pass.follows ? chores.rest : Max(TimestampDifferenceMilliseconds(now, chores.look_at), RETENTION_REST_MS);
}

/* One transaction; false when it failed. */
static bool
run(Chore *chore, void (*body) (void *arg), TimestampTz now)
{
	switch (worker_run(body, NULL))
	{
		case RUN_NO_EXTENSION:
			worker_leave(ENDING_NO_EXTENSION);
		case RUN_FAILED:
			chore->backoff = Min(Max(chore->backoff * 2, SHORTEST_BACKOFF_MS), LONGEST_BACKOFF_MS);
			chore->due_at = TimestampTzPlusMilliseconds(now, chore->backoff);
			return false;
		case RUN_COMMITTED:
			break;
	}
	chore->backoff = 0;
	return true;
}
