/*
 * sql_worker.c
 *		The process that runs SQL actions: claim, commit, call, commit.
 *
 * It is started when there is something to do and leaves when there has been
 * nothing for a while; one that finds more than it can take asks for another.
 */
#include "postgres.h"

#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "executor/sql_actions.h"
#include "guc.h"
#include "worker/launcher.h"
#include "worker/loop.h"

#define CLAIM_SIZE			50
#define STAY_MS				10000	/* without work */
#define SHORTEST_BACKOFF_MS 10
#define LONGEST_BACKOFF_MS	10000

static struct
{
	int			place;			/* among the SQL workers */
	bool		look;			/* there may be something to claim */
	bool		recover;		/* the dead may have left something */
	TimestampTz idle_since;
	int			backoff;		/* ms, after an error */
	int			nclaimed;		/* by the last claim */
	int			nperformed;
}			sql;

static bool claim(void);
static void claim_body(void *arg);
static bool perform(void);
static void perform_body(void *arg);
static bool is_last(void);
static void find_dead(bool *dead);
static bool run(void (*body) (void *arg));

void
mistral_sql_main(Datum arg)
{
	WorkerOrder order;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	worker_start(&order, "sql worker");
	memset(&sql, 0, sizeof(sql));
	sql.place = order.place - SQL_PLACE;
	sql.recover = true;
	worker_wait_adoption();
	sql.idle_since = clock_steady();

	for (;;)
	{
		if (worker_must_leave())
			worker_leave(ENDING_ASKED);
		if (worker_take_recheck())
			worker_wait_adoption();
		if (pg_atomic_exchange_u32(&my_worker->look, 0) != 0)
			sql.look = true;
		if (sql.backoff > 0)
			worker_wait(WORKER_BACKOFF, sql.backoff, -1);
		if (claim() | perform())
		{
			sql.idle_since = clock_steady();
			worker_wait(WORKER_RUNNING, 0, -1);
			continue;
		}
		if (sql.backoff == 0 && TimestampDifferenceExceeds(sql.idle_since, clock_steady(), STAY_MS))
		{
			sql.look = true;
			if (is_last())
			{
				if (!claim())
					worker_leave(ENDING_ASKED);
				shmem_ask_sql_worker(my_database, sql.place + 1);
			}
			sql.idle_since = clock_steady();
			continue;
		}
		worker_wait(WORKER_IDLE, STAY_MS + 1, -1);
		/* A worker of another place may have died meanwhile. */
		sql.look = sql.recover = true;
	}
}

/* False when there was nothing, or it failed. */
static bool
claim(void)
{
	if (!sql.look || sql_actions_held() > 0)
		return false;
	if (!run(claim_body))
	{
		sql_actions_claimed(false);
		return false;
	}
	sql_actions_claimed(true);
	sql.look = sql.recover || sql.nclaimed == CLAIM_SIZE;
	if (sql.look)
		shmem_ask_sql_worker(my_database, sql.place + 2);
	pg_atomic_fetch_add_u64(&my_worker->executions, sql.nclaimed);
	return sql.nclaimed > 0;
}

static void
claim_body(void *arg)
{
	bool		dead[MAX_SQL_WORKERS];

	find_dead(dead);
	sql.nclaimed = sql_actions_claim(sql.place, sql.recover ? dead : NULL, MAX_SQL_WORKERS, CLAIM_SIZE, &sql.recover);
}

static bool
perform(void)
{
	if (sql_actions_held() == 0)
		return false;
	if (!run(perform_body))
	{
		sql_actions_performed(false);
		return false;
	}
	sql_actions_performed(true);
	pg_atomic_fetch_add_u64(&my_worker->messages, sql.nperformed);
	pg_atomic_fetch_add_u64(&my_worker->steps, 1);
	return true;
}

static void
perform_body(void *arg)
{
	sql.nperformed = sql_actions_perform();
}

/*
 * Whether no worker of a later place is there.  Then this one is wanted no longer: whoever
 * dispatches from now on asks for a worker again, and what came just before is
 * still to be seen.
 */
static bool
is_last(void)
{
	bool		last = true;

	LWLockAcquire(registry_lock(), LW_SHARED);
	for (int i = sql.place + 1; i < MAX_SQL_WORKERS; i++)
		last = last && my_database->workers[SQL_PLACE + i].proc == NULL;
	if (last)
		pg_atomic_write_u32(&my_database->sql_demand, sql.place);
	LWLockRelease(registry_lock());
	return last;
}

/* Places without a process, and this one: what it has claimed is in its own memory, the rest is its predecessor's. */
static void
find_dead(bool *dead)
{
	LWLockAcquire(registry_lock(), LW_SHARED);
	for (int i = 0; i < MAX_SQL_WORKERS; i++)
		dead[i] = i == sql.place || my_database->workers[SQL_PLACE + i].proc == NULL;
	LWLockRelease(registry_lock());
}

static bool
run(void (*body) (void *arg))
{
	switch (worker_run(body, NULL))
	{
		case RUN_NO_EXTENSION:
			worker_leave(ENDING_NO_EXTENSION);
		case RUN_FAILED:
			sql.backoff = Min(Max(sql.backoff * 2, SHORTEST_BACKOFF_MS), LONGEST_BACKOFF_MS);
			return false;
		case RUN_COMMITTED:
			break;
	}
	sql.backoff = 0;
	return true;
}
