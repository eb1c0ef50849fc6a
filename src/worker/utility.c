/*
 * utility.c
 *		Commands that workers must make way for, or hear of.
 *
 * DROP, RENAME and SET TABLESPACE of a database, and CREATE DATABASE from it,
 * need it empty: its workers are sent away before, kept away meanwhile, and
 * come back afterwards.  Only who may run the command can cause that.
 *
 * Workers notice DROP EXTENSION by their extension lock; they are woken so
 * that they leave at once.  COMMIT PREPARED publishes messages that no commit
 * callback sees: engines look at the table then.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "compat.h"
#include "worker/shmem.h"
#include "worker/utility.h"
#include "worker/wake.h"

#define LONGEST_WAIT_MS 5000	/* as long as the server waits for others to leave */
#define PATIENCE_MS		3500	/* then workers are terminated */

static ProcessUtility_hook_type previous_utility_hook = NULL;
static object_access_hook_type previous_access_hook = NULL;

/* The database that this backend's current command needs empty, or NULL. */
static Hold *my_hold = NULL;

static void process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc);
static void object_access(ObjectAccessType access, Oid class_oid, Oid object_oid, int sub_id, void *arg);
static Oid	database_needed_empty(Node *statement);
static const char *database_option(List *options, const char *name);
static bool hold_database(Oid database);
static void wait_until_empty(Oid database);
static void terminate_workers(Oid database);
static void release_database(XactEvent event, void *arg);

void
utility_install(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_access_hook = object_access_hook;
	object_access_hook = object_access;
}

/* ProcessUtility_hook */
static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *statement = pstmt->utilityStmt;
	bool		second_phase = IsA(statement, TransactionStmt) &&
		(((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED ||
		 ((TransactionStmt *) statement)->kind == TRANS_STMT_ROLLBACK_PREPARED);
	Oid			database = database_needed_empty(statement);

	if (OidIsValid(database) && hold_database(database))
		wait_until_empty(database);
	if (previous_utility_hook)
		previous_utility_hook(pstmt, query, read_only_tree, context, params, environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
	if (second_phase)
		wake_everything();
}

/* object_access_hook */
static void
object_access(ObjectAccessType access, Oid class_oid, Oid object_oid, int sub_id, void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, class_oid, object_oid, sub_id, arg);
	if (access == OAT_DROP && class_oid == ExtensionRelationId &&
		object_oid == get_extension_oid("mistral", true))
		wake_launcher_at_commit();
}

/*
 * The database that the statement needs without other sessions, when the
 * caller may run it; else InvalidOid.  Errors are left to the statement.
 */
static Oid
database_needed_empty(Node *statement)
{
	const char *name = NULL;
	Oid			database;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) statement)->dbname;
			break;
		case T_CreatedbStmt:
			name = database_option(((CreatedbStmt *) statement)->options, "template");
			break;
		case T_AlterDatabaseStmt:
			if (database_option(((AlterDatabaseStmt *) statement)->options, "tablespace") != NULL)
				name = ((AlterDatabaseStmt *) statement)->dbname;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) statement)->subname;
			break;
		default:
			break;
	}
	if (name == NULL)
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database) || database == MyDatabaseId || !database_is_owned(database, GetUserId()))
		return InvalidOid;
	return database;
}

/* The text of an option of a database statement, or NULL. */
static const char *
database_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * Keeps workers out of a database until the transaction ends, and asks those
 * inside to go.  False when too many commands do so already.
 */
static bool
hold_database(Oid database)
{
	static bool registered = false;
	DatabaseSlot *db;
	int			i;

	if (my_hold != NULL)
		return false;
	if (!registered)
	{
		RegisterXactCallback(release_database, NULL);
		registered = true;
	}
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	for (i = 0; i < MAX_HOLDS && my_hold == NULL; i++)
	{
		/* Asking also forgets the holds of backends that died. */
		if (!OidIsValid(shared->holds[i].database) || !shmem_is_held(shared->holds[i].database))
			my_hold = &shared->holds[i];
	}
	if (my_hold != NULL)
	{
		my_hold->database = database;
		my_hold->pid = MyProcPid;
		db = shmem_find_database(database);
		if (db != NULL)
			shmem_send_away(db);
	}
	LWLockRelease(registry_lock());
	return my_hold != NULL;
}

/* Waits until no worker uses the database, or it takes too long: the statement then says so. */
static void
wait_until_empty(Oid database)
{
	TimestampTz start = clock_steady();
	bool		terminated = false;

	for (;;)
	{
		DatabaseSlot *db;
		int			workers;
		TimestampTz now = clock_steady();

		LWLockAcquire(registry_lock(), LW_SHARED);
		db = shmem_find_database(database);
		workers = db == NULL ? 0 : shmem_count_workers(db);
		LWLockRelease(registry_lock());
		if (workers == 0 || TimestampDifferenceExceeds(start, now, LONGEST_WAIT_MS))
			return;
		if (!terminated && TimestampDifferenceExceeds(start, now, PATIENCE_MS))
		{
			terminate_workers(database);
			terminated = true;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 5, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
terminate_workers(Oid database)
{
	DatabaseSlot *db;
	int			place;

	LWLockAcquire(registry_lock(), LW_SHARED);
	db = shmem_find_database(database);
	for (place = 0; db != NULL && place < WORKER_PLACES; place++)
		if (db->workers[place].proc != NULL)
			kill(db->workers[place].pid, SIGTERM);
	LWLockRelease(registry_lock());
}

/*
 * Transaction callback: not before, lest a worker starts in a database whose
 * DROP is about to commit.
 */
static void
release_database(XactEvent event, void *arg)
{
	if (my_hold == NULL || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	LWLockAcquire(registry_lock(), LW_EXCLUSIVE);
	my_hold->database = InvalidOid;
	my_hold->pid = 0;
	shared->probe_all = true;
	shmem_wake_launcher();
	LWLockRelease(registry_lock());
	my_hold = NULL;
}
