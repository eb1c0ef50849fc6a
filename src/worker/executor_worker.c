/*
 * executor_worker.c
 *		The process that runs HTTP actions, with the program mistral_http, and
 *		those of modules, with mistral_io: claim, commit, send, record, commit
 *		(and claim more with that).
 *
 * No transaction is open while bytes travel.  Asked to go, it claims nothing
 * more and stays a moment for what is under way; what it leaves behind has an
 * unknown outcome, which its successor settles.
 */
#include "postgres.h"

#include <sys/epoll.h>

#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "compat.h"
#include "executor/http_executor.h"
#include "executor/io_executor.h"
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

/* What a part does in one transaction. */
typedef struct Batch
{
	int			max;
	bool		http;			/* which of the two have something to do */
	bool		io;
	int			nhttp;			/* and what they have done */
	int			nio;
} Batch;

typedef struct Round
{
	Batch		claim;
	Batch		record;
	int			room;
} Round;

static struct
{
	bool		look;			/* there may be something to claim for HTTP */
	bool		look_io;		/* and for modules */
	TimestampTz look_at;		/* then it is time to look, also unasked */
	int			unrecorded;		/* finished requests */
	int			unrecorded_io;	/* and what io_record has to do */
	int			poll_fd;		/* both their descriptors in one */
	TimestampTz leave_at;		/* 0: stays */
	Part		claiming;
	Part		recording;
} executor;

static int	join_descriptors(void);
static void recover(void);
static void recover_body(void *arg);
static void drive(void);
static void move(TimestampTz now);
static bool run(Round *round);
static void round_body(void *arg);
static void claimed(const Round *round);
static void recorded(const Round *round);
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
	io_start();
	executor.poll_fd = join_descriptors();
	recover();

	for (;;)
	{
		TimestampTz now = clock_steady();
		uint32		look;

		check_leaving(now);
		if (worker_take_recheck())
			worker_wait_adoption();
		look = pg_atomic_exchange_u32(&my_worker->look, 0);
		if (now >= executor.look_at)
		{
			look = LOOK_ALL;
			executor.look_at = TimestampTzPlusMilliseconds(now, LOOK_MS);
		}
		if (look & LOOK_HTTP)
			executor_look((look & LOOK_WHOLE) ? 0 : pg_atomic_exchange_u32(&my_worker->look_from, InvalidBlockNumber));
		if ((look & LOOK_HTTP) || executor_relieved())
			executor.look = true;
		if ((look & LOOK_IO) || io_relieved())
			executor.look_io = true;
		drive();
		move(now);
		worker_wait(executor_in_flight() + io_in_flight() > 0 ? WORKER_RUNNING : WORKER_IDLE,
					sleep_time(clock_steady()), executor.poll_fd);
	}
}

/* One descriptor to wait for instead of two. */
static int
join_descriptors(void)
{
	int			fds[] = {executor_poll_fd(), io_poll_fd()};
	int			joined = epoll_create1(EPOLL_CLOEXEC);

	for (int i = 0; i < lengthof(fds); i++)
	{
		struct epoll_event event = {.events = EPOLLIN};

		if (joined < 0 || epoll_ctl(joined, EPOLL_CTL_ADD, fds[i], &event) != 0)
			ereport(ERROR,
					(errcode_for_socket_access(),
					 errmsg("could not make a set of descriptors: %m")));
	}
	return joined;
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
	io_recover();
}

static void
drive(void)
{
	executor.unrecorded = executor_drive();
	executor.unrecorded_io = io_drive();
}

/*
 * Records what has ended and claims what is new: in one transaction, for what a
 * commit costs is much of what both cost.  After an error each is on its own.
 */
static void
move(TimestampTz now)
{
	Round		both = {{0}};
	Round		one = {{0}};

	both.room = executor_room();
	if (executor.leave_at == 0 && now >= executor.claiming.resume_at)
	{
		/* When requests end, there is room again. */
		both.claim.http = executor.look && both.room > 0;
		both.claim.io = executor.look_io && io_room() > 0;
		both.claim.max = executor.claiming.size;
	}
	if (now >= executor.recording.resume_at)
	{
		both.record.http = executor.unrecorded > 0;
		both.record.io = executor.unrecorded_io > 0;
		both.record.max = executor.recording.size;
	}
	if (executor.claiming.backoff > 0 || executor.recording.backoff > 0)
	{
		one.record = both.record;
		(void) run(&one);
		both.record = (Batch) {0};
	}
	/* What was claimed is sent at once. */
	if (run(&both))
		drive();
}

/* True when it has claimed something. */
static bool
run(Round *round)
{
	bool		claims = round->claim.http || round->claim.io;
	bool		records = round->record.http || round->record.io;

	if (!claims && !records)
		return false;
	switch (worker_run(round_body, round))
	{
		case RUN_NO_EXTENSION:
			leave(ENDING_NO_EXTENSION);
		case RUN_FAILED:
			if (claims)
			{
				executor_forget_claimed();
				io_claimed(false);
			}
			/* What is to be claimed need not suffer for what cannot be recorded. */
			if (claims && !records)
				part_failed(&executor.claiming);
			if (records)
			{
				executor_recorded(false);
				io_recorded(false);
				part_failed(&executor.recording);
			}
			return false;
		case RUN_COMMITTED:
			break;
	}
	if (records)
		recorded(round);
	if (claims)
		claimed(round);
	return claims;
}

static void
round_body(void *arg)
{
	Round	   *round = arg;
	Batch	   *batch = &round->record;

	batch->nhttp = batch->http ? executor_record(batch->max) : 0;
	batch->nio = batch->io ? io_record(batch->max) : 0;
	batch = &round->claim;
	batch->nhttp = batch->http ? executor_claim(batch->max) : 0;
	batch->nio = batch->io ? io_claim(batch->max) : 0;
}

static void
claimed(const Round *round)
{
	const Batch *batch = &round->claim;

	executor_submit();
	io_claimed(true);
	part_done(&executor.claiming, CLAIM_SIZE);
	/* All of them are taken, and whatever comes after this look says so itself. */
	if (batch->http)
		executor.look = batch->nhttp >= Min(batch->max, round->room);
	if (batch->io)
		executor.look_io = batch->nio > 0;
	pg_atomic_fetch_add_u64(&my_worker->steps, 1);
	pg_atomic_fetch_add_u64(&my_worker->executions, batch->nhttp + batch->nio);
}

static void
recorded(const Round *round)
{
	const Batch *batch = &round->record;

	executor_recorded(true);
	io_recorded(true);
	part_done(&executor.recording, RECORD_SIZE);
	executor.unrecorded -= Min(batch->nhttp, executor.unrecorded);
	executor.unrecorded_io -= Min(Max(batch->nio, 1), executor.unrecorded_io);
	pg_atomic_fetch_add_u64(&my_worker->messages, batch->nhttp + batch->nio);
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
	if (executor_in_flight() + io_in_flight() == 0 || now >= executor.leave_at)
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

/* Until something is due by itself. */
static long
sleep_time(TimestampTz now)
{
	TimestampTz until = executor.look_at;

	if (executor.leave_at != 0)
		until = Min(until, executor.leave_at);
	if (executor.unrecorded > 0 || executor.unrecorded_io > 0)
		until = Min(until, executor.recording.resume_at);
	if (((executor.look && executor_room() > 0) || (executor.look_io && io_room() > 0)) && executor.leave_at == 0)
		until = Min(until, executor.claiming.resume_at);
	if (executor_next() != 0)
		until = Min(until, executor_next());
	if (io_next() != 0)
		until = Min(until, io_next());
	return Min(TimestampDifferenceMilliseconds(now, until), LOOK_MS);
}

static void
leave(WorkerEnding ending)
{
	executor_shutdown();
	io_shutdown();
	worker_leave(ending);
}
