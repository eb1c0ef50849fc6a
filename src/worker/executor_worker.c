/*
 * executor_worker.c
 *		The process that runs HTTP actions: claim, commit, send, record, commit.
 *
 * No transaction is open while bytes travel.  Asked to go, it claims nothing
 * more and stays a moment for what is under way; what it leaves behind has an
 * unknown outcome, which its successor settles.
 */
#include "postgres.h"

#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "executor/http_executor.h"
#include "worker/launcher.h"
#include "worker/loop.h"

#define LOOK_MS				60000	/* the table is looked at at least so often */
#define LINGER_MS			3000	/* when asked to go */
#define SHORTEST_BACKOFF_MS 100
#define LONGEST_BACKOFF_MS	30000
#define CLAIM_SIZE			500
#define RECORD_SIZE			500

/* One part of the round: when it may run, and how it fares. */
typedef struct Part
{
	int			size;			/* of a transaction; smaller after an error */
	int			backoff;		/* ms */
	TimestampTz resume_at;
} Part;

typedef struct Batch
{
	int			max;
	int			n;
} Batch;

static struct
{
	bool		look;			/* there may be something to claim */
	TimestampTz look_at;		/* then it is time to look, also unasked */
	int			unrecorded;		/* finished requests */
	TimestampTz leave_at;		/* 0: stays */
	Part		claiming;
	Part		recording;
} executor;

static void recover(void);
static void recover_body(void *arg);
static void claim(TimestampTz now);
static void claim_body(void *arg);
static void record(TimestampTz now);
static void record_body(void *arg);
static void check_leaving(TimestampTz now);
static void part_failed(Part *part);
static void part_done(Part *part, int size);
static long sleep_time(TimestampTz now);
static void leave(WorkerEnding ending) pg_attribute_noreturn();

void
mistral_executor_main(Datum arg)
{
	WorkerOrder order;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	worker_start(&order, "executor");
	memset(&executor, 0, sizeof(executor));
	executor.claiming.size = CLAIM_SIZE;
	executor.recording.size = RECORD_SIZE;
	executor.look = true;
	worker_wait_adoption();
	executor_start();
	recover();

	for (;;)
	{
		TimestampTz now = clock_steady();

		check_leaving(now);
		if (worker_take_recheck())
			worker_wait_adoption();
		if (pg_atomic_exchange_u32(&my_worker->look, 0) != 0 || now >= executor.look_at)
			executor.look = true;
		if (executor_relieved())
			executor.look = true;
		claim(now);
		executor.unrecorded = executor_drive();
		record(now);
		worker_wait(executor_in_flight() > 0 ? WORKER_RUNNING : WORKER_IDLE,
					sleep_time(clock_steady()), executor_poll_fd());
	}
}

/* Settles what a predecessor left, however long it takes. */
static void
recover(void)
{
	int			delay = SHORTEST_BACKOFF_MS;

	for (;;)
	{
		RunResult	result = worker_run(recover_body, NULL);

		if (result == RUN_COMMITTED)
			return;
		if (result == RUN_NO_EXTENSION)
			leave(ENDING_NO_EXTENSION);
		worker_wait(WORKER_BACKOFF, delay, -1);
		if (worker_must_leave())
			leave(ENDING_ASKED);
		delay = Min(delay * 2, LONGEST_BACKOFF_MS);
	}
}

static void
recover_body(void *arg)
{
	executor_recover();
}

static void
claim(TimestampTz now)
{
	Batch		batch;

	if (!executor.look || executor.leave_at != 0 || now < executor.claiming.resume_at)
		return;
	batch.max = Min(executor.claiming.size, executor_room());
	if (batch.max <= 0)
		return;					/* when requests end, there is room again */
	switch (worker_run(claim_body, &batch))
	{
		case RUN_NO_EXTENSION:
			leave(ENDING_NO_EXTENSION);
		case RUN_FAILED:
			executor_forget_claimed();
			part_failed(&executor.claiming);
			return;
		case RUN_COMMITTED:
			break;
	}
	executor_submit();
	part_done(&executor.claiming, CLAIM_SIZE);
	executor.look = batch.n > 0;
	executor.look_at = TimestampTzPlusMilliseconds(clock_steady(), LOOK_MS);
	pg_atomic_fetch_add_u64(&my_worker->steps, 1);
	pg_atomic_fetch_add_u64(&my_worker->executions, batch.n);
}

static void
claim_body(void *arg)
{
	Batch	   *batch = arg;

	batch->n = executor_claim(batch->max);
}

static void
record(TimestampTz now)
{
	Batch		batch;

	if (executor.unrecorded == 0 || now < executor.recording.resume_at)
		return;
	batch.max = executor.recording.size;
	switch (worker_run(record_body, &batch))
	{
		case RUN_NO_EXTENSION:
			leave(ENDING_NO_EXTENSION);
		case RUN_FAILED:
			executor_recorded(false);
			part_failed(&executor.recording);
			return;
		case RUN_COMMITTED:
			break;
	}
	executor_recorded(true);
	part_done(&executor.recording, RECORD_SIZE);
	executor.unrecorded -= Min(batch.n, executor.unrecorded);
	pg_atomic_fetch_add_u64(&my_worker->messages, batch.n);
}

static void
record_body(void *arg)
{
	Batch	   *batch = arg;

	batch->n = executor_record(batch->max);
}

/* Does not return when it is time to go and nothing, or no time, is left. */
static void
check_leaving(TimestampTz now)
{
	if (!worker_must_leave())
	{
		executor.leave_at = 0;
		return;
	}
	if (executor.leave_at == 0)
		executor.leave_at = TimestampTzPlusMilliseconds(now, LINGER_MS);
	if (executor_in_flight() == 0 || now >= executor.leave_at)
		leave(ENDING_ASKED);
}

static void
part_failed(Part *part)
{
	part->size = Max(part->size / 2, 1);
	part->backoff = Min(Max(part->backoff * 2, SHORTEST_BACKOFF_MS), LONGEST_BACKOFF_MS);
	part->resume_at = TimestampTzPlusMilliseconds(clock_steady(), part->backoff);
}

static void
part_done(Part *part, int size)
{
	part->size = Min(part->size * 2, size);
	part->backoff = 0;
	part->resume_at = 0;
}

/* Until something is due by itself; libcurl's own timer is in the descriptor. */
static long
sleep_time(TimestampTz now)
{
	TimestampTz until = executor.look_at;

	if (executor.leave_at != 0)
		until = Min(until, executor.leave_at);
	if (executor.unrecorded > 0)
		until = Min(until, executor.recording.resume_at);
	if (executor.look && executor_room() > 0 && executor.leave_at == 0)
		until = Min(until, executor.claiming.resume_at);
	return Min(TimestampDifferenceMilliseconds(now, until), LOOK_MS);
}

static void
leave(WorkerEnding ending)
{
	executor_shutdown();
	worker_leave(ending);
}
