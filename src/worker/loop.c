/*
 * loop.c
 *		What every worker does: attach, connect, transactions, waiting, leaving.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/async.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/db.h"
#include "compat.h"
#include "guc.h"
#include "worker/instance.h"
#include "worker/loop.h"

/* The same error is logged again after this long. */
#define REPEAT_LOG_MS 60000
/* While a copied database waits for adopt(), nothing else is looked at. */
#define ADOPTION_LOOK_MS 300000
/* An idle worker sends its statistics after this long. */
#define STATISTICS_MS 1000

DatabaseSlot *my_database = NULL;
WorkerSlot *my_worker = NULL;
WorkerError worker_error;
MemoryContext worker_context = NULL;

static WorkerOrder my_order;
static const char *my_kind = "worker";
static Oid	my_extension = InvalidOid;
static ErrorContextCallback context_callback;

static bool statistics_pending = false;

static bool wait_once(long timeout, int fd);
static void attach(void);
static void detach(int code, Datum arg);
static void tell_remaining_engine(void);
static void pin_settings(void);
static bool begin_transaction(void);
static void commit_transaction(void);
static void handle_error(void);
static void note_error(const ErrorData *edata);
static void describe_worker(void *arg);
static void check_instance(void *arg);

void
worker_start(const WorkerOrder *order, const char *kind)
{
	my_order = *order;
	my_kind = kind;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/*
	 * Before connecting: exit callbacks run in reverse order, so that the
	 * place is given up only when this process counts no longer as one that
	 * uses the database.
	 */
	on_shmem_exit(detach, (Datum) 0);
	attach();

	context_callback.callback = describe_worker;
	context_callback.previous = error_context_stack;
	error_context_stack = &context_callback;

	BackgroundWorkerInitializeConnectionByOid(my_order.database, InvalidOid, 0);
	pin_settings();
	worker_context = AllocSetContextCreate(TopMemoryContext, "mistral worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(worker_context);
	pgstat_report_activity(STATE_IDLE, NULL);
}

RunResult
worker_run(void (*body) (void *arg), void *arg)
{
	MemoryContextReset(worker_context);
	return worker_run_next(body, arg);
}

RunResult
worker_run_next(void (*body) (void *arg), void *arg)
{
	volatile RunResult result = RUN_FAILED;

	PG_TRY();
	{
		if (begin_transaction())
		{
			MemoryContextSwitchTo(worker_context);
			body(arg);
			commit_transaction();
			result = RUN_COMMITTED;
		}
		else
			result = RUN_NO_EXTENSION;
	}
	PG_CATCH();
	{
		handle_error();
		result = RUN_FAILED;
	}
	PG_END_TRY();

	MemoryContextSwitchTo(worker_context);
	if (result == RUN_COMMITTED)
	{
		pgstat_report_stat(false);
		statistics_pending = true;
	}
	return result;
}

void
worker_need_not_flush(void)
{
	set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

bool
worker_error_is_general(void)
{
	switch (ERRCODE_TO_CATEGORY(worker_error.sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			break;
	}
	return worker_error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		worker_error.sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		worker_error.sqlerrcode == ERRCODE_INDEX_CORRUPTED ||
		worker_error.sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION;
}

void
worker_wait(WorkerState state, long timeout, int fd)
{
	if (timeout != 0)
		my_worker->state = state;

	/*
	 * Counts of the last transactions must not be kept back for as long as
	 * this sleeps, nor be sent after each of many.
	 */
	if (statistics_pending && (timeout < 0 || timeout > STATISTICS_MS))
	{
		if (!wait_once(STATISTICS_MS, fd))
		{
			pgstat_report_stat(true);
			statistics_pending = false;
			wait_once(timeout < 0 ? -1 : timeout - STATISTICS_MS, fd);
		}
	}
	else
		wait_once(timeout, fd);

	worker_interrupts();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	my_worker->state = WORKER_RUNNING;
	my_worker->last_loop = GetCurrentTimestamp();
}

void
worker_interrupts(void)
{
	/* Told to end while nothing is under way: no reason for a message in the log. */
	if (ProcDiePending)
		proc_exit(1);
	/* A request to cancel concerns a statement, and there is none. */
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}

/* False when only time has passed. */
static bool
wait_once(long timeout, int fd)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	int			happened;
#ifdef HAVE_NAMED_WAITS
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = WaitEventExtensionNew("MistralWorkerMain");
#else
	uint32		wait_event = PG_WAIT_EXTENSION;
#endif

	if (timeout >= 0)
		events |= WL_TIMEOUT;
	if (fd >= 0)
		events |= WL_SOCKET_READABLE;
	happened = WaitLatchOrSocket(MyLatch, events, fd >= 0 ? fd : PGINVALID_SOCKET, timeout, wait_event);
	if (happened & WL_LATCH_SET)
		ResetLatch(MyLatch);
	return (happened & (WL_LATCH_SET | WL_SOCKET_READABLE)) != 0;
}

bool
worker_must_leave(void)
{
	return my_worker->leave || my_worker->generation != my_order.generation || !guc_enabled;
}

void
worker_leave(WorkerEnding ending)
{
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	if (my_worker->generation == my_order.generation)
		my_worker->ending = ending;
	LWLockRelease(registry_lock());
	proc_exit(0);
}

bool
worker_take_recheck(void)
{
	return pg_atomic_exchange_u32(&my_worker->recheck, 0) != 0;
}

void
worker_wait_adoption(void)
{
	bool		matches = false;
	bool		told = false;

	for (;;)
	{
		RunResult	result = worker_run(check_instance, &matches);

		if (result == RUN_NO_EXTENSION)
			worker_leave(ENDING_NO_EXTENSION);
		if (result == RUN_COMMITTED && matches)
			break;
		if (result == RUN_COMMITTED && !told)
		{
			LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
			strlcpy(my_worker->last_error,
					"the workflows in this database came from another one and wait for SELECT mistral.adopt()",
					ERROR_TEXT_SIZE);
			my_worker->last_error_at = GetCurrentTimestamp();
			LWLockRelease(registry_lock());
			if (my_order.place == 0)
				ereport(LOG,
						(errmsg("mistral: the workflows in this database came from another one, and nothing is run"),
						 errhint("If this database is to carry them on, run SELECT mistral.adopt().")));
			told = true;
		}
		do
		{
			if (worker_must_leave())
				worker_leave(ENDING_ASKED);
			worker_wait(result == RUN_COMMITTED ? WORKER_UNADOPTED : WORKER_BACKOFF,
						result == RUN_COMMITTED ? ADOPTION_LOOK_MS : 1000, -1);
		} while (result == RUN_COMMITTED && !worker_take_recheck() && !worker_must_leave());
	}
	if (told)
	{
		LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
		my_worker->last_error[0] = '\0';
		my_worker->last_error_at = 0;
		LWLockRelease(registry_lock());
	}
}

static void
check_instance(void *arg)
{
	*(bool *) arg = instance_matches();
}

/* Takes the place in shared memory, unless the order is out of date. */
static void
attach(void)
{
	DatabaseSlot *db = &shared->databases[my_order.database_index];
	WorkerSlot *worker = &db->workers[my_order.place];
	bool		current;

	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	current = db->database == my_order.database &&
		worker->generation == my_order.generation &&
		worker->state == WORKER_STARTING;
	if (current && (worker->leave || db->stopped || shmem_is_held(db->database)))
	{
		worker->state = WORKER_GONE;
		worker->ending = ENDING_ASKED;
		shmem_wake_launcher();
		current = false;
	}
	if (current)
	{
		worker->proc = MyProc;
		worker->pid = MyProcPid;
		worker->state = WORKER_RUNNING;
		worker->ending = ENDING_FAILED;
		worker->started_at = GetCurrentTimestamp();
		worker->last_loop = worker->started_at;
		pg_atomic_write_u32(&worker->look, LOOK_ALL);
		pg_atomic_write_u32(&worker->recheck, 0);
		pg_atomic_write_u32(&worker->skipping, 0);
		pg_atomic_write_u64(&worker->lease_due, 0);
		worker->ring = -1;
		if (worker_kind(my_order.place) == WORKER_ENGINE)
			shmem_take_ring(db, my_order.place);
		my_database = db;
		my_worker = worker;
	}
	LWLockRelease(registry_lock());
	if (!current)
		proc_exit(0);
}

/* on_shmem_exit callback */
static void
detach(int code, Datum arg)
{
	if (my_worker == NULL)
		return;
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	if (my_worker->generation == my_order.generation && my_worker->proc == MyProc)
	{
		shmem_release_ring(my_worker);
		my_worker->proc = NULL;
		my_worker->pid = 0;
		my_worker->state = WORKER_GONE;
		shmem_wake_launcher();
		if (worker_kind(my_order.place) == WORKER_ENGINE)
			tell_remaining_engine();
	}
	LWLockRelease(registry_lock());
	my_worker = NULL;
}

/*
 * What lay in this engine's ring, and what others gave it of theirs, is found by
 * one that stays.  Without any, those that come look at the table themselves.
 */
static void
tell_remaining_engine(void)
{
	int			i;

	for (i = 0; i < MAX_ENGINES; i++)
	{
		WorkerSlot *engine = &my_database->workers[i];

		if (engine->proc == NULL)
			continue;
		pg_atomic_fetch_or_u32(&engine->look, LOOK_ALL | LOOK_OTHERS);
		shmem_wake(engine);
		return;
	}
}

/* What ALTER SYSTEM, DATABASE or ROLE may have set must not steer a worker. */
static void
pin_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			pinned[] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
#ifdef HAVE_TRANSACTION_TIMEOUT
		{"transaction_timeout", "0"},
#endif
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"TimeZone", "UTC"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"row_security", "on"},
		{"jit", "off"},
	};
	int			i;

	for (i = 0; i < lengthof(pinned); i++)
		SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Starts a transaction and locks the extension against DROP; without it, there
 * is no transaction either and the answer is false.
 */
static bool
begin_transaction(void)
{
	Oid			extension;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	extension = db_extension();
	if (OidIsValid(extension))
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		/* Whoever dropped it may have held the lock until now. */
		if (db_extension() != extension)
			extension = InvalidOid;
	}
	/* What this process remembers (plans, oids) does not fit another one of its name. */
	if (OidIsValid(my_extension) && extension != my_extension)
		extension = InvalidOid;
	if (!OidIsValid(extension))
	{
		CommitTransactionCommand();
		return false;
	}
	my_extension = extension;
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, my_kind);
	return true;
}

static void
commit_transaction(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	signal_listeners();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* In a PG_CATCH block: keeps the error, ends the transaction. */
static void
handle_error(void)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(worker_context);
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	edata = CopyErrorData();
	note_error(edata);
	AbortCurrentTransaction();
	LWLockReleaseAll();
	MemoryContextSwitchTo(worker_context);
	FlushErrorState();
	FreeErrorData(edata);
	pgstat_report_activity(STATE_IDLE, NULL);
	RESUME_INTERRUPTS();
}

/* Logs an error unless it was logged just now, and keeps it for mistral.workers. */
static void
note_error(const ErrorData *edata)
{
	static TimestampTz logged_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	const char *message = edata->message ? edata->message : "unknown error";
	int			length = pg_mbcliplen(message, strlen(message), ERROR_TEXT_SIZE - 1);

	if (worker_error.sqlerrcode != edata->sqlerrcode ||
		strncmp(worker_error.message, message, length) != 0 ||
		TimestampDifferenceExceeds(logged_at, now, REPEAT_LOG_MS))
	{
		EmitErrorReport();
		logged_at = now;
	}
	worker_error.sqlerrcode = edata->sqlerrcode;
	memcpy(worker_error.message, message, length);
	worker_error.message[length] = '\0';

	/* Nothing below waits for a lock that an aborted statement may hold. */
	LWLockReleaseAll();
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	strlcpy(my_worker->last_error, worker_error.message, ERROR_TEXT_SIZE);
	my_worker->last_error_at = now;
	LWLockRelease(registry_lock());
}

/* Error context callback */
static void
describe_worker(void *arg)
{
	errcontext("mistral %s in database %u", my_kind, my_order.database);
}
