/*
 * engine_worker.c
 *		The process that advances executions: hints in, engine_step, commit.
 *
 * It sleeps until a hint arrives, a timer is due or a tree that it had to skip
 * may be free, and opens no transaction to find out that there is nothing.  It
 * looks at the whole message table when it starts, when hints were lost, and
 * once a minute.
 *
 * One bad message stops nothing: a batch that fails is halved down to one; who
 * fails alone is tried again apart from the others and parked the third time.
 * Errors that say nothing about a message (see worker_error_is_general) only
 * make the engine wait.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "engine/engine.h"
#include "guc.h"
#include "worker/chores.h"
#include "worker/launcher.h"
#include "worker/loop.h"
#include "worker/wake.h"

#define FULL_LOOK_MS		60000	/* the table is looked at at least so often */
#define SKIP_RETRY_MS		1000	/* who is locked is tried again, also unasked */
#define SUSPECT_RETRY_MS	200
#define SHORTEST_BACKOFF_MS 100
#define LONGEST_BACKOFF_MS	30000
#define MAX_SUSPECTS		64
#define MAX_ATTEMPTS		3
#define MAX_HINTS			RING_SIZE	/* remembered here, waiting or skipped */

/* First in, first out. */
typedef struct HintList
{
	MessageHint *hints;
	int			first;
	int			n;
	int			max;
} HintList;

/* A message that failed alone. */
typedef struct Suspect
{
	MessageHint hint;
	int			failures;
	TimestampTz retry_at;
	char		error[ERROR_TEXT_SIZE];
} Suspect;

/* One call of engine_step. */
typedef struct Step
{
	const MessageHint *hints;
	int			nhints;
	bool		full_look;
	int			limit;
	EngineStepResult result;
	TimestampTz next_timer;
} Step;

static struct
{
	HintList	waiting;		/* to be done */
	HintList	skipped;		/* their trees were locked by others */
	TimestampTz skipped_at;
	uint32		unlocked_seen;
	bool		full;			/* a look at the whole table is due */
	bool		checked;		/* for this look: the state is this database's own */
	bool		whole;			/* it is not for this engine's share alone */
	int			in_step;		/* of waiting: being done */
	bool		maintenance;	/* the setting, at the last look: starts were left in the table */
	TimestampTz full_at;		/* when it will be due */
	bool		more;			/* timers are left over */
	TimestampTz next_timer;
	TimestampTz timers_retry_at;	/* due timers wait for locked trees; 0: none do */
	int			limit;			/* trees in a batch now */
	int			backoff;		/* ms, after an error; 0: none */
	TimestampTz resume_at;
	int			nsuspects;
	Suspect		suspects[MAX_SUSPECTS];
}			engine;

static void initialize(void);
static void collect(TimestampTz now);
static bool work(TimestampTz now);
static bool step(const MessageHint *hints, int nhints, bool full_look, int limit, EngineStepResult *result);
static void notify_body(void *arg);
static void step_body(void *arg);
static EngineShare own_share(void);
static bool others_wait(void);
static void share_out(int nhints);
static WorkerSlot *idle_engine(void);
static void after_step(const EngineStepResult *result, bool full_look);
static void remember_skipped(const EngineStepResult *result, bool full_look);
static void handle_failed_batch(int nhints, bool full_look);
static void accuse(const MessageHint *hint);
static bool try_suspect(TimestampTz now);
static void park_body(void *arg);
static void tell_parked(const Suspect *suspect);
static void read_hints_body(void *arg);
static bool is_suspect(const pg_uuid_t *id);
static void back_off(void);
static long sleep_time(TimestampTz now);
static bool add_hint(HintList *list, const MessageHint *hint);
static void drop_hints(HintList *list, int n);

void
mistral_engine_main(Datum arg)
{
	WorkerOrder order;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	worker_start(&order, "engine");
	initialize();
	worker_wait_adoption();

	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	my_database->extension = true;
	shmem_wake_launcher();
	LWLockRelease(registry_lock());

	for (;;)
	{
		TimestampTz now;

		if (worker_must_leave())
			worker_leave(ENDING_ASKED);
		if (worker_take_recheck() || (engine.full && !engine.checked))
			worker_wait_adoption();
		engine.checked = engine.full;
		now = clock_steady();
		if (engine.backoff > 0 && now < engine.resume_at)
		{
			worker_wait(WORKER_BACKOFF, TimestampDifferenceMilliseconds(now, engine.resume_at) + 1, -1);
			continue;
		}
		collect(now);
		/* Both: neither holds up the other. */
		if (chores_run() | work(now))
		{
			/* Interrupts, settings, requests to leave: without sleeping. */
			worker_wait(WORKER_RUNNING, 0, -1);
			continue;
		}
		worker_wait(WORKER_IDLE, sleep_time(clock_steady()), -1);
	}
}

static void
initialize(void)
{
	MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

	memset(&engine, 0, sizeof(engine));
	engine.waiting.hints = palloc(64 * sizeof(MessageHint));
	engine.waiting.max = 64;
	engine.skipped.hints = palloc(64 * sizeof(MessageHint));
	engine.skipped.max = 64;
	engine.full = true;
	engine.full_at = DT_NOEND;
	engine.next_timer = DT_NOBEGIN;
	chores_start();
	engine.limit = guc_batch_size;
	others_wait_hook = others_wait;
	MemoryContextSwitchTo(previous);
}

/* Gathers what there may be to do; reads shared memory only. */
static void
collect(TimestampTz now)
{
	uint32		unlocked = pg_atomic_read_u32(&my_worker->unlocked);
	MessageHint hints[64];
	bool		unasked = now >= engine.full_at || (engine.maintenance && !guc_maintenance);
	uint32		look = pg_atomic_exchange_u32(&my_worker->look, 0);
	int			n;
	int			i;

	if (look != 0 || unasked)
	{
		/* What the ring holds is committed, and the look will find it. */
		ring_clear(my_worker);
		drop_hints(&engine.waiting, engine.waiting.n);
		engine.full = true;
		engine.whole |= unasked || (look & LOOK_OTHERS) != 0;
	}
	engine.maintenance = guc_maintenance;

	/* While a look goes on, new hints stay in the ring, lest they put it off for ever. */
	while (!engine.full && engine.waiting.n < engine.limit)
	{
		n = ring_pop(my_worker, hints, Min(lengthof(hints), engine.limit - engine.waiting.n));
		for (i = 0; i < n; i++)
			add_hint(&engine.waiting, &hints[i]);
		if (n == 0)
			break;
	}
	if (engine.skipped.n > 0 &&
		(unlocked != engine.unlocked_seen || TimestampDifferenceExceeds(engine.skipped_at, now, SKIP_RETRY_MS)))
	{
		for (i = 0; i < engine.skipped.n; i++)
			if (!add_hint(&engine.waiting, &engine.skipped.hints[engine.skipped.first + i]))
				engine.full_at = now;
		drop_hints(&engine.skipped, engine.skipped.n);
	}
	if (unlocked != engine.unlocked_seen)
		engine.timers_retry_at = 0;
	engine.unlocked_seen = unlocked;
}

/* Does one batch; false when there was nothing to do. */
static bool
work(TimestampTz now)
{
	EngineStepResult result;
	int			nhints = 0;
	bool		full_look = engine.full && engine.waiting.n == 0;
	bool		progress;

	if (try_suspect(now))
		return true;
	if (!full_look)
		nhints = Min(engine.waiting.n, engine.limit);
	if (!full_look && nhints == 0 && !engine.more &&
		(clock_timers() < engine.next_timer || now < engine.timers_retry_at))
	{
		pg_atomic_write_u32(&my_worker->skipping, engine.skipped.n > 0 || engine.timers_retry_at != 0);
		return false;
	}

	/* From here on whoever lets a tree go must say so: this step may skip it. */
	pg_atomic_write_u32(&my_worker->skipping, 1);
	share_out(nhints);
	if (!step(engine.waiting.hints + engine.waiting.first, nhints, full_look, engine.limit, &result))
	{
		handle_failed_batch(nhints, full_look);
		return true;
	}
	drop_hints(&engine.waiting, nhints);
	/* Without progress, more of the same would only meet the same locks. */
	progress = result.messages > 0;
	engine.more = result.more && progress && !full_look;
	if (full_look)
	{
		engine.full = result.more && progress;
		engine.whole &= engine.full;
		engine.full_at = TimestampTzPlusMilliseconds(clock_steady(),
													 result.more && !progress ? SKIP_RETRY_MS : FULL_LOOK_MS);
	}
	/* A due timer that was not consumed concerns a tree that somebody has locked. */
	engine.timers_retry_at = 0;
	if (!progress && engine.next_timer <= clock_timers())
		engine.timers_retry_at = TimestampTzPlusMilliseconds(clock_steady(), SKIP_RETRY_MS);
	engine.limit = Min(engine.limit * 2, guc_batch_size);
	engine.backoff = 0;
	return true;
}

/* One transaction of the engine; false when it failed. */
static bool
step(const MessageHint *hints, int nhints, bool full_look, int limit, EngineStepResult *result)
{
	Step		arguments = {hints, nhints, full_look, limit};

	engine.in_step = nhints;
	switch (worker_run(step_body, &arguments))
	{
		case RUN_NO_EXTENSION:
			worker_leave(ENDING_NO_EXTENSION);
		case RUN_FAILED:
			return false;
		case RUN_COMMITTED:
			break;
	}
	engine.next_timer = arguments.next_timer;
	*result = arguments.result;
	after_step(result, full_look);
	if (result->notices != NIL && worker_run_next(notify_body, result->notices) == RUN_NO_EXTENSION)
		worker_leave(ENDING_NO_EXTENSION);
	return true;
}

/*
 * Of several engines, which send their notices apart: PostgreSQL lets one
 * transaction that notifies commit at a time, and holds the others up until its
 * WAL is on disk.  This one has nothing that must be.
 */
static void
notify_body(void *arg)
{
	worker_need_not_flush();
	engine_notify(arg);
}

static void
step_body(void *arg)
{
	Step	   *arguments = arg;
	EngineShare share = own_share();

	engine_step(arguments->hints, arguments->nhints, arguments->full_look, &share, arguments->limit, &arguments->result);
	if (my_database->engines < 2)
	{
		engine_notify(arguments->result.notices);
		arguments->result.notices = NIL;
	}
	arguments->next_timer = engine_next_timer();
}

/* Of a look at the table.  What falls to an engine that is not there would wait for it: then it is everything. */
static EngineShare
own_share(void)
{
	EngineShare share = {0, 1};
	int			engines;
	int			i;

	LWLockAcquire(registry_lock(), LW_SHARED);
	engines = my_database->engines;
	for (i = 0; i < engines && my_database->workers[i].proc != NULL; i++)
		;
	if (!engine.whole && i == engines && my_worker < my_database->workers + engines)
	{
		share.number = (int) (my_worker - my_database->workers);
		share.count = engines;
	}
	LWLockRelease(registry_lock());
	return share;
}

/* others_wait_hook: whether this process has something to do besides the step that it is in. */
static bool
others_wait(void)
{
	return engine.waiting.n > engine.in_step || engine.skipped.n > 0 || engine.nsuspects > 0 || ring_depth(my_worker) > 0 ||
		pg_atomic_read_u32(&my_worker->look) != 0 || worker_must_leave() || clock_timers() >= engine.next_timer;
}

/*
 * Trees fall to engines by their ids, which is fair in number but not in time:
 * who has nothing left gets half of what this one has beyond the next batch.
 * Two batches at least, as a tree moves from one engine's memory to the other's.
 */
static void
share_out(int nhints)
{
	MessageHint hints[64];
	WorkerSlot *idle;
	int			left;
	int			n;

	left = engine.waiting.n - nhints;
	if (my_database->engines < 2 || left + ring_depth(my_worker) < 2 * engine.limit)
		return;
	LWLockAcquire(registry_lock(), LW_SHARED);
	idle = idle_engine();
	if (idle != NULL)
	{
		int			share = (left + ring_depth(my_worker)) / 2;

		n = Min(left, share);
		engine.waiting.n -= n;
		ring_push(idle, engine.waiting.hints + engine.waiting.first + engine.waiting.n, n);
		for (share -= n; share > 0; share -= n)
		{
			n = ring_pop(my_worker, hints, Min(lengthof(hints), share));
			if (n == 0)
				break;
			ring_push(idle, hints, n);
		}
		shmem_wake(idle);
	}
	LWLockRelease(registry_lock());
}

/* Another engine of this database that sleeps and has nothing in its ring, or NULL.  The registry lock is held. */
static WorkerSlot *
idle_engine(void)
{
	int			i;

	for (i = 0; i < my_database->engines; i++)
	{
		WorkerSlot *engine_slot = &my_database->workers[i];

		if (engine_slot != my_worker && engine_slot->proc != NULL && engine_slot->state == WORKER_IDLE &&
			ring_depth(engine_slot) == 0)
			return engine_slot;
	}
	return NULL;
}

/* The transaction has committed. */
static void
after_step(const EngineStepResult *result, bool full_look)
{
	pg_atomic_fetch_add_u64(&my_worker->steps, 1);
	pg_atomic_fetch_add_u64(&my_worker->executions, result->executions);
	pg_atomic_fetch_add_u64(&my_worker->messages, result->messages);
	if (result->ended != 0)
	{
		wake_waiting(result->ended);
		chores_executions_ended();
	}
	remember_skipped(result, full_look);
}

/*
 * A step gives back what is locked and what exceeded its limit.  The latter is
 * likely after a look, and when timers took the place of hints: then it is to
 * be done next.  A step that consumed nothing met locks only.
 */
static void
remember_skipped(const EngineStepResult *result, bool full_look)
{
	bool		next = result->more && (full_look || result->messages > 0);
	HintList   *list = next ? &engine.waiting : &engine.skipped;
	int			i;

	if (result->skipped == 0)
		return;
	if (engine.skipped.n == 0)
		engine.skipped_at = clock_steady();
	for (i = 0; i < result->skipped; i++)
	{
		if (add_hint(list, &result->skipped_hints[i]))
			continue;
		/* Too many to remember: the table knows them. */
		engine.full_at = Min(engine.full_at, TimestampTzPlusMilliseconds(clock_steady(), SKIP_RETRY_MS));
		return;
	}
}

/* Finds the culprit by halves, unless the error has nothing to do with the batch. */
static void
handle_failed_batch(int nhints, bool full_look)
{
	MessageHint hint;
	EngineStepResult result;

	if (worker_error_is_general())
	{
		back_off();
		return;
	}
	if (full_look)
	{
		/* The look chose the messages itself: choose them here, to halve them. */
		if (worker_run(read_hints_body, NULL) != RUN_COMMITTED)
		{
			back_off();
			return;
		}
		engine.full = false;
		engine.full_at = TimestampTzPlusMilliseconds(clock_steady(), FULL_LOOK_MS);
		engine.limit = Max(engine.limit / 2, 1);
		return;
	}
	if (nhints > 1)
	{
		engine.limit = Max(nhints / 2, 1);
		return;
	}
	if (nhints == 0)
	{
		engine.limit = Max(engine.limit / 2, 1);
		back_off();
		return;
	}

	/* Without the message, due timers alone may fail as well: then it is innocent. */
	hint = engine.waiting.hints[engine.waiting.first];
	if (step(NULL, 0, false, engine.limit, &result))
	{
		drop_hints(&engine.waiting, 1);
		accuse(&hint);
	}
	else
		back_off();
}

/* A message failed alone: it is tried again by itself, later. */
static void
accuse(const MessageHint *hint)
{
	Suspect    *suspect;

	if (engine.nsuspects == MAX_SUSPECTS)
	{
		/* Its turn comes with the next look at the table. */
		engine.full_at = Min(engine.full_at, TimestampTzPlusMilliseconds(clock_steady(), SKIP_RETRY_MS));
		return;
	}
	suspect = &engine.suspects[engine.nsuspects++];
	suspect->hint = *hint;
	suspect->failures = 1;
	suspect->retry_at = TimestampTzPlusMilliseconds(clock_steady(), SUSPECT_RETRY_MS);
	strlcpy(suspect->error, worker_error.message, ERROR_TEXT_SIZE);
}

/* Tries, or parks, the first suspect whose time has come; false when there is none. */
static bool
try_suspect(TimestampTz now)
{
	EngineStepResult result;
	Suspect    *suspect = NULL;
	bool		done = false;
	int			i;

	for (i = 0; i < engine.nsuspects && suspect == NULL; i++)
		if (now >= engine.suspects[i].retry_at)
			suspect = &engine.suspects[i];
	if (suspect == NULL)
		return false;

	suspect->retry_at = TimestampTzPlusMilliseconds(now, SUSPECT_RETRY_MS);
	if (suspect->failures >= MAX_ATTEMPTS)
	{
		switch (worker_run(park_body, suspect))
		{
			case RUN_NO_EXTENSION:
				worker_leave(ENDING_NO_EXTENSION);
			case RUN_FAILED:
				back_off();
				break;
			case RUN_COMMITTED:
				tell_parked(suspect);
				done = true;
				break;
		}
	}
	else if (step(&suspect->hint, 1, false, 1, &result))
		done = true;
	else if (worker_error_is_general())
		back_off();
	else
	{
		suspect->failures++;
		strlcpy(suspect->error, worker_error.message, ERROR_TEXT_SIZE);
	}
	if (done)
		*suspect = engine.suspects[--engine.nsuspects];
	return true;
}

static void
park_body(void *arg)
{
	const Suspect *suspect = arg;

	engine_park(&suspect->hint, suspect->error);
}

static void
tell_parked(const Suspect *suspect)
{
	char		id[UUID_TEXT_LEN + 1];

	ereport(WARNING,
			(errmsg("mistral parked message %s, which failed %d times", id_text(&suspect->hint.id, id), MAX_ATTEMPTS),
			 errdetail("The last error was: %s", suspect->error),
			 errhint("It is kept in mistral.parked_message.")));
}

/* Fills the list of waiting hints from the table, without the suspects. */
static void
read_hints_body(void *arg)
{
	static DbStatement find = {"SELECT ctid, id, root_id FROM mistral.message LIMIT $1", 1, {INT8OID}};
	Datum		limit = Int64GetDatum(MAX_HINTS);
	DbSession	session;
	uint64		n;
	uint64		i;

	db_enter(&session);
	n = db_execute(&find, &limit, NULL, false, 0);
	drop_hints(&engine.waiting, engine.waiting.n);
	for (i = 0; i < n; i++)
	{
		MessageHint hint;
		bool		isnull;

		hint.tid = *(ItemPointer) DatumGetPointer(db_datum(i, 1, &isnull));
		hint.id = *DatumGetUUIDP(db_datum(i, 2, &isnull));
		hint.root_id = *DatumGetUUIDP(db_datum(i, 3, &isnull));
		if (!is_suspect(&hint.id))
			add_hint(&engine.waiting, &hint);
	}
	db_leave(&session);
}

static bool
is_suspect(const pg_uuid_t *id)
{
	int			i;

	for (i = 0; i < engine.nsuspects; i++)
		if (id_equal(&engine.suspects[i].hint.id, id))
			return true;
	return false;
}

static void
back_off(void)
{
	engine.backoff = Min(Max(engine.backoff * 2, SHORTEST_BACKOFF_MS), LONGEST_BACKOFF_MS);
	engine.resume_at = TimestampTzPlusMilliseconds(clock_steady(), engine.backoff);
}

/* Until something is due by itself. */
static long
sleep_time(TimestampTz now)
{
	TimestampTz until = engine.full_at;
	long		sleep;
	int			i;

	if (engine.skipped.n > 0)
		until = Min(until, TimestampTzPlusMilliseconds(engine.skipped_at, SKIP_RETRY_MS));
	for (i = 0; i < engine.nsuspects; i++)
		until = Min(until, engine.suspects[i].retry_at);
	sleep = TimestampDifferenceMilliseconds(now, until) + 1;

	sleep = Min(sleep, chores_sleep());
	/* Timers go by the clock that they were set by. */
	if (engine.timers_retry_at != 0)
		sleep = Min(sleep, TimestampDifferenceMilliseconds(now, engine.timers_retry_at) + 1);
	else if (!TIMESTAMP_NOT_FINITE(engine.next_timer))
		sleep = Min(sleep, TimestampDifferenceMilliseconds(clock_timers(), engine.next_timer) + 1);
	return Min(sleep, FULL_LOOK_MS);
}

/* False when the list is full. */
static bool
add_hint(HintList *list, const MessageHint *hint)
{
	if (list->first + list->n == list->max)
	{
		if (list->first > 0)
		{
			memmove(list->hints, list->hints + list->first, list->n * sizeof(MessageHint));
			list->first = 0;
		}
		else if (list->max >= MAX_HINTS)
			return false;
		else
		{
			list->max = Min(list->max * 2, MAX_HINTS);
			list->hints = repalloc(list->hints, list->max * sizeof(MessageHint));
		}
	}
	list->hints[list->first + list->n++] = *hint;
	return true;
}

static void
drop_hints(HintList *list, int n)
{
	list->n -= n;
	list->first = list->n == 0 ? 0 : list->first + n;
}
