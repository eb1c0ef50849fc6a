/*
 * step.c
 *		One step: take a batch of trees, run each in memory, write all.
 *
 * The order within the step is what makes it right: the root rows are locked
 * first, then the messages are read with a newer snapshot, so that nobody else
 * can consume them; messages are deleted in the transaction that records their
 * consequence.  Each tree runs in a subtransaction, so that one bad execution
 * stops nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/guard.h"
#include "engine/lone_action.h"
#include "engine/notify.h"
#include "engine/run.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/workflow.h"
#include "queue/inbox.h"
#include "queue/message.h"

/* Messages looked at in one step. */
#define MAX_MESSAGES 10000

/* A tree of the batch and what is to act on it. */
typedef struct BatchRoot
{
	pg_uuid_t	id;				/* hash key */
	bool		locked;
	int			seen;			/* order of first mention, for the limit */
} BatchRoot;

typedef struct Batch
{
	MessageHint *hints;
	int			nhints;
	InboxMessage *timers;
	int			ntimers;
	HTAB	   *roots;
	pg_uuid_t  *ids;			/* in order of mention */
	int			nids;
	InboxMessage *messages;
	int			nmessages;
	List	   *trees;
	EngineStepResult *result;
} Batch;

typedef struct TreeStep
{
	Tree	   *tree;
	const InboxMessage *messages;	/* of this tree, in order */
	int			nmessages;
	bool		more;
} TreeStep;

static void collect(Batch *batch, const MessageHint *hints, int nhints, bool full_look, int limit);
static void mention(Batch *batch, const pg_uuid_t *root_id, int limit);
static void lock(Batch *batch, LockedRoot **locked, int *nlocked);
static void note_skipped(Batch *batch);
static void read_messages(Batch *batch);
static int	compare_by_root(const void *a, const void *b);
static int	priority(const InboxMessage *message);
static void step_trees(Batch *batch);
static Tree *step_one(Batch *batch, Tree *tree, const InboxMessage *messages, int nmessages);
static void run_tree(void *arg);
static Tree *fail_tree(Tree *tree, const char *error);

void
engine_step(const MessageHint *hints, int nhints, bool full_look, int limit, EngineStepResult *result)
{
	DbSession	session;
	Batch		batch = {0};
	LockedRoot *locked;
	int			nlocked;
	ListCell   *lc;
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "mistral step", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);

	memset(result, 0, sizeof(*result));
	batch.result = result;
	db_enter(&session);
	MemoryContextSwitchTo(cxt);
	PushActiveSnapshot(GetTransactionSnapshot());
	cache_check_tables();
	collect(&batch, hints, nhints, full_look, limit);
	if (batch.nids > 0)
	{
		lock(&batch, &locked, &nlocked);
		batch.trees = store_get_trees(locked, nlocked);
		read_messages(&batch);
		step_trees(&batch);

		/* Before the flush, which deletes a task's other timers with it. */
		inbox_delete(batch.messages, batch.nmessages);
		if (batch.trees != NIL)
			store_flush(batch.trees);
		foreach(lc, batch.trees)
		{
			Tree	   *tree = lfirst(lc);

			notify_send(tree);
			result->nfinished += tree->nfinished;
			tree->nfinished = 0;
		}
		MemoryContextSwitchTo(caller);
		note_skipped(&batch);
		MemoryContextSwitchTo(cxt);
		result->executions = list_length(batch.trees);
		result->messages = batch.nmessages;
		CommandCounterIncrement();
	}
	PopActiveSnapshot();
	db_leave(&session);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(cxt);
}

TimestampTz
engine_next_timer(void)
{
	DbSession	session;
	TimestampTz due;

	db_enter(&session);
	due = inbox_next_timer();
	db_leave(&session);
	return due;
}

void
engine_park(const MessageHint *hint, const char *error)
{
	DbSession	session;

	db_enter(&session);
	inbox_park(hint, error);
	db_leave(&session);
}

/* ---------------------------------------------------------------- taking */

/* What there is to do, and the roots it concerns: at most `limit` of them. */
static void
collect(Batch *batch, const MessageHint *hints, int nhints, bool full_look, int limit)
{
	HASHCTL		ctl = {0};
	MessageHint *found = NULL;
	int			nfound = 0;
	int			i;

	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(BatchRoot);
	ctl.hcxt = CurrentMemoryContext;
	batch->roots = hash_create("mistral batch", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	if (full_look)
		nfound = inbox_look(MAX_MESSAGES, &found);
	batch->hints = palloc(sizeof(MessageHint) * Max(nhints + nfound, 1));
	if (nhints > 0)
		memcpy(batch->hints, hints, sizeof(MessageHint) * nhints);
	if (nfound > 0)
		memcpy(batch->hints + nhints, found, sizeof(MessageHint) * nfound);
	batch->nhints = nhints + nfound;
	batch->ntimers = inbox_due_timers(clock_now(), limit, &batch->timers);

	batch->ids = palloc(sizeof(pg_uuid_t) * Max(batch->nhints + batch->ntimers, 1));
	for (i = 0; i < batch->ntimers; i++)
		mention(batch, &batch->timers[i].root_id, limit);
	for (i = 0; i < batch->nhints; i++)
		mention(batch, &batch->hints[i].root_id, limit);
	batch->result->more |= nfound >= MAX_MESSAGES || batch->ntimers >= limit;
}

static void
mention(Batch *batch, const pg_uuid_t *root_id, int limit)
{
	BatchRoot  *root;
	bool		found;

	(void) hash_search(batch->roots, root_id, HASH_FIND, &found);
	if (found)
		return;
	if (batch->nids >= limit)
	{
		batch->result->more = true;
		return;
	}
	root = hash_search(batch->roots, root_id, HASH_ENTER, NULL);
	root->locked = false;
	root->seen = batch->nids;
	batch->ids[batch->nids++] = *root_id;
}

static void
lock(Batch *batch, LockedRoot **locked, int *nlocked)
{
	int			i;

	*locked = palloc(sizeof(LockedRoot) * batch->nids);
	*nlocked = store_lock_roots(batch->ids, batch->nids, false, *locked);
	for (i = 0; i < *nlocked; i++)
	{
		BatchRoot  *root = hash_search(batch->roots, &(*locked)[i].id, HASH_FIND, NULL);

		root->locked = true;
	}
	if (*nlocked < batch->nids)
		lone_actions_lock(batch->ids, batch->nids, batch->roots, offsetof(BatchRoot, locked));
}

/*
 * Hints whose tree is locked by somebody else, or beyond the limit, are given
 * back; those whose tree does not exist are dropped with their messages.
 */
static void
note_skipped(Batch *batch)
{
	EngineStepResult *result = batch->result;
	int			i;

	result->skipped_hints = palloc(sizeof(MessageHint) * Max(batch->nhints, 1));
	for (i = 0; i < batch->nhints; i++)
	{
		BatchRoot  *root = hash_search(batch->roots, &batch->hints[i].root_id, HASH_FIND, NULL);

		if (root == NULL || !root->locked)
			result->skipped_hints[result->skipped++] = batch->hints[i];
	}
}

/* All messages and timers of locked trees, tree by tree, in the order to act. */
static void
read_messages(Batch *batch)
{
	MessageHint *wanted = palloc(sizeof(MessageHint) * Max(batch->nhints, 1));
	int			nwanted = 0;
	int			i;

	for (i = 0; i < batch->nhints; i++)
	{
		BatchRoot  *root = hash_search(batch->roots, &batch->hints[i].root_id, HASH_FIND, NULL);

		if (root && root->locked)
			wanted[nwanted++] = batch->hints[i];
	}
	batch->messages = palloc(sizeof(InboxMessage) * Max(nwanted + batch->ntimers, 1));
	batch->nmessages = inbox_read(wanted, nwanted, batch->messages);
	for (i = 0; i < batch->ntimers; i++)
	{
		BatchRoot  *root = hash_search(batch->roots, &batch->timers[i].root_id, HASH_FIND, NULL);

		if (root && root->locked)
			batch->messages[batch->nmessages++] = batch->timers[i];
	}
	qsort(batch->messages, batch->nmessages, sizeof(InboxMessage), compare_by_root);
}

/*
 * Results come before timers: whoever sent one has been told that it was taken,
 * and a timeout that the engine sees late must not undo that.  Starts are last.
 */
static int
priority(const InboxMessage *message)
{
	if (message->is_timer)
		return 1;
	return strcmp(message->kind, MESSAGE_ACTION) == 0 ? 0 : 2;
}

static int
compare_by_root(const void *a, const void *b)
{
	const InboxMessage *x = a;
	const InboxMessage *y = b;
	int			cmp = memcmp(x->root_id.data, y->root_id.data, UUID_LEN);

	if (cmp == 0)
		cmp = priority(x) - priority(y);
	if (cmp == 0)
		cmp = memcmp(x->id.data, y->id.data, UUID_LEN);
	return cmp;
}

/* ---------------------------------------------------------------- running */

static void
step_trees(Batch *batch)
{
	List	   *stepped = NIL;
	HTAB	   *trees;
	HASHCTL		ctl = {0};
	ListCell   *lc;
	int			i = 0;

	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(pg_uuid_t) + sizeof(Tree *);
	ctl.hcxt = CurrentMemoryContext;
	trees = hash_create("mistral batch trees", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, batch->trees)
	{
		Tree	   *tree = lfirst(lc);
		char	   *entry = hash_search(trees, &tree->root_id, HASH_ENTER, NULL);

		memcpy(entry + sizeof(pg_uuid_t), &tree, sizeof(Tree *));
	}
	while (i < batch->nmessages)
	{
		const pg_uuid_t *root_id = &batch->messages[i].root_id;
		char	   *entry = hash_search(trees, root_id, HASH_FIND, NULL);
		int			n = 1;

		while (i + n < batch->nmessages && id_equal(&batch->messages[i + n].root_id, root_id))
			n++;
		if (entry)
		{
			Tree	   *tree;

			memcpy(&tree, entry + sizeof(pg_uuid_t), sizeof(Tree *));
			stepped = lappend(stepped, step_one(batch, tree, &batch->messages[i], n));
		}
		else
			lone_action_apply(&batch->messages[i], n);
		i += n;
	}
	batch->trees = stepped;
}

/* Returns the tree to write: another copy when the step failed. */
static Tree *
step_one(Batch *batch, Tree *tree, const InboxMessage *messages, int nmessages)
{
	TreeStep	step = {tree, messages, nmessages, false};
	char	   *error;

	cache_protect(true);
	error = guard_isolated(run_tree, &step);
	cache_protect(false);
	if (error)
		return fail_tree(tree, error);
	if (step.more)
	{
		(void) message_put(&tree->root_id, MESSAGE_CONTINUE, NULL, 0, NULL);
		batch->result->more = true;
	}
	return tree;
}

static void
run_tree(void *arg)
{
	TreeStep   *step = arg;
	int			i;

	tree_attach(step->tree);
	if (step->tree->fresh)
		tree_requeue(step->tree);
	step->tree->fresh = false;
	for (i = 0; i < step->nmessages; i++)
	{
		const InboxMessage *message = &step->messages[i];
		TreeEvent	event;

		event.kind = message->kind;
		event.has_target = message->has_target;
		event.target = message->target;
		event.payload = message->payload;
		tree_apply(step->tree, &event);
	}
	step->more = tree_run(step->tree);
}

/* What the failed step did in memory is thrown away; the execution says why. */
static Tree *
fail_tree(Tree *tree, const char *error)
{
	LockedRoot	locked;
	List	   *trees;

	locked.id = tree->root_id;
	locked.stamp = InvalidFullTransactionId;
	cache_drop(tree);
	trees = store_get_trees(&locked, 1);
	tree = linitial(trees);
	if (!state_is_final(tree->root->state))
	{
		execution_set_state(tree->root, STATE_ERROR, error);
		json_ref_set(&tree->root->output, tree_keep(tree, json_pair("result", json_from_string(tree->root->state_info))));
	}
	return tree;
}
