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
#include "miscadmin.h"
#include "portability/instr_time.h"
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
#include "engine/history.h"
#include "engine/lone_action.h"
#include "engine/notify.h"
#include "engine/run.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/webhook.h"
#include "engine/workflow.h"
#include "guc.h"
#include "queue/inbox.h"
#include "queue/message.h"
#include "queue/pull.h"

/* Messages looked at in one step. */
#define MAX_MESSAGES 10000

/* A step's time for running trees, in milliseconds: the rest of the batch waits for the next. */
#define STEP_MS 50.0

/* A tree of the batch and what is to act on it. */
typedef struct BatchRoot
{
	pg_uuid_t	id;				/* hash key */
	bool		locked;
	int			first;			/* its messages, once they are sorted */
	int			nmessages;
	Tree	   *tree;			/* NULL: a webhook, an action without a workflow, or gone */
} BatchRoot;

typedef struct Batch
{
	MessageHint *hints;
	int			nhints;
	InboxMessage *timers;
	int			ntimers;
	int			nfound;			/* hints that a full look has found */
	HTAB	   *roots;
	pg_uuid_t  *ids;			/* in order of mention */
	int			nids;
	int			maxids;
	int			limit;			/* trees to take */
	int			ntried;			/* of ids: whether they can be locked is known */
	int			ntaken;			/* of those: locked */
	LockedRoot *locked;			/* those that are executions */
	int			nlocked;
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
	bool		alone;			/* in the batch */
	bool		more;
} TreeStep;

static void collect(Batch *batch, const MessageHint *hints, int nhints, bool full_look, const EngineShare *share);
static void take_timers(Batch *batch);
static void take_hints(Batch *batch);
static void mention(Batch *batch, const pg_uuid_t *root_id);
static BatchRoot *find_root(Batch *batch, const pg_uuid_t *root_id);
static void lock(Batch *batch);
static void note_skipped(Batch *batch);
static void read_messages(Batch *batch);
static int	compare_by_root(const void *a, const void *b);
static int	priority(const InboxMessage *message);
static void index_messages(Batch *batch);
static void step_trees(Batch *batch);
static bool must_wait(const Tree *tree);
static Tree *step_one(Batch *batch, Tree *tree, const InboxMessage *messages, int nmessages);
static void run_tree(void *arg);
static Tree *fail_tree(Tree *tree, const char *error);

void
engine_step(const MessageHint *hints, int nhints, bool full_look, const EngineShare *share, int limit,
			EngineStepResult *result)
{
	DbSession	session;
	Batch		batch = {0};
	ListCell   *lc;
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "mistral step", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);

	memset(result, 0, sizeof(*result));
	batch.result = result;
	db_enter(&session);
	MemoryContextSwitchTo(cxt);
	PushActiveSnapshot(GetTransactionSnapshot());
	cache_check_tables();
	batch.limit = limit;
	collect(&batch, hints, nhints, full_look, share);
	take_timers(&batch);
	take_hints(&batch);
	if (batch.nids > 0)
	{
		batch.trees = store_get_trees(batch.locked, batch.nlocked);
		read_messages(&batch);
		step_trees(&batch);

		/* Before the flush, which deletes a task's other timers with it. */
		inbox_delete(batch.messages, batch.nmessages);
		if (batch.trees != NIL)
			store_flush(batch.trees);
		MemoryContextSwitchTo(caller);
		foreach(lc, batch.trees)
		{
			Tree	   *tree = lfirst(lc);

			result->notices = notify_take(tree, result->notices);
			result->ended |= tree->ended;
			tree->ended = 0;
		}
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

void
engine_notify(List *notices)
{
	notify_send(notices);
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

int
engine_sweep_leases(TimestampTz *next)
{
	DbSession	session;
	int			n;

	db_enter(&session);
	n = pull_sweep(notify_target_now, next);
	db_leave(&session);
	return n;
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

/* What there is to do. */
static void
collect(Batch *batch, const MessageHint *hints, int nhints, bool full_look, const EngineShare *share)
{
	HASHCTL		ctl = {0};
	MessageHint *found = NULL;

	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(BatchRoot);
	ctl.hcxt = CurrentMemoryContext;
	batch->roots = hash_create("mistral batch", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	batch->maxids = 64;
	batch->ids = palloc(sizeof(pg_uuid_t) * batch->maxids);
	batch->locked = palloc(sizeof(LockedRoot) * batch->maxids);

	if (full_look)
		batch->nfound = inbox_look(MAX_MESSAGES, !guc_maintenance, share->number, share->count, &found);
	batch->hints = palloc(sizeof(MessageHint) * Max(nhints + batch->nfound, 1));
	if (nhints > 0)
		memcpy(batch->hints, hints, sizeof(MessageHint) * nhints);
	if (batch->nfound > 0)
		memcpy(batch->hints + nhints, found, sizeof(MessageHint) * batch->nfound);
	batch->nhints = nhints + batch->nfound;
}

/*
 * Due timers, and the locks of their trees.  Where others hold the trees of the
 * first ones, however many, those behind them have their turn all the same.
 */
static void
take_timers(Batch *batch)
{
	TimestampTz now = clock_timers();
	int			wanted = batch->limit;
	int			ready;
	int			i;

	for (;;)
	{
		batch->ntimers = inbox_due_timers(now, wanted, &batch->timers);
		for (i = 0; i < batch->ntimers; i++)
			mention(batch, &batch->timers[i].root_id);
		lock(batch);
		ready = 0;
		for (i = 0; i < batch->ntimers; i++)
			ready += find_root(batch, &batch->timers[i].root_id)->locked;
		if (batch->ntimers < wanted || batch->ntaken >= batch->limit || ready >= (batch->limit + 1) / 2 || wanted > MAX_MESSAGES * 100)
			break;
		wanted *= 4;
	}
	batch->result->more |= batch->ntimers >= wanted && ready > 0;
}

static void
take_hints(Batch *batch)
{
	int			i;

	for (i = 0; i < batch->nhints; i++)
		mention(batch, &batch->hints[i].root_id);
	lock(batch);
	batch->result->more |= batch->ntried < batch->nids || (batch->nfound >= MAX_MESSAGES && batch->ntaken > 0);
}

static void
mention(Batch *batch, const pg_uuid_t *root_id)
{
	BatchRoot  *root;
	bool		found;

	root = hash_search(batch->roots, root_id, HASH_ENTER, &found);
	if (found)
		return;
	root->locked = false;
	root->first = root->nmessages = 0;
	root->tree = NULL;
	if (batch->nids >= batch->maxids)
	{
		batch->maxids *= 2;
		batch->ids = repalloc_huge(batch->ids, sizeof(pg_uuid_t) * batch->maxids);
		batch->locked = repalloc_huge(batch->locked, sizeof(LockedRoot) * batch->maxids);
	}
	batch->ids[batch->nids++] = *root_id;
}

static BatchRoot *
find_root(Batch *batch, const pg_uuid_t *root_id)
{
	return hash_search(batch->roots, root_id, HASH_FIND, NULL);
}

/* Locks what has been mentioned, as far as nobody else has and the limit allows. */
static void
lock(Batch *batch)
{
	while (batch->ntried < batch->nids && batch->ntaken < batch->limit)
	{
		const pg_uuid_t *ids = batch->ids + batch->ntried;
		int			n = Min(batch->limit - batch->ntaken, batch->nids - batch->ntried);
		int			nlocked = store_take_roots(ids, n, batch->locked + batch->nlocked);
		int			i;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < nlocked; i++)
			find_root(batch, &batch->locked[batch->nlocked + i].id)->locked = true;
		batch->nlocked += nlocked;
		if (nlocked < n)
		{
			webhooks_lock(ids, n, batch->roots, offsetof(BatchRoot, locked));
			lone_actions_lock(ids, n, batch->roots, offsetof(BatchRoot, locked));
		}
		for (i = 0; i < n; i++)
			batch->ntaken += find_root(batch, &ids[i])->locked;
		batch->ntried += n;
	}
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
		if (!find_root(batch, &batch->hints[i].root_id)->locked)
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
		if (find_root(batch, &batch->hints[i].root_id)->locked)
			wanted[nwanted++] = batch->hints[i];
	}
	batch->messages = palloc(sizeof(InboxMessage) * Max(nwanted + batch->ntimers, 1));
	batch->nmessages = inbox_read(wanted, nwanted, batch->messages);
	for (i = 0; i < batch->ntimers; i++)
	{
		if (find_root(batch, &batch->timers[i].root_id)->locked)
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

/* Tells each root its tree and its messages. */
static void
index_messages(Batch *batch)
{
	ListCell   *lc;
	int			i;

	foreach(lc, batch->trees)
	{
		Tree	   *tree = lfirst(lc);

		find_root(batch, &tree->root_id)->tree = tree;
	}
	for (i = 0; i < batch->nmessages; i++)
	{
		BatchRoot  *root = find_root(batch, &batch->messages[i].root_id);

		if (root->nmessages++ == 0)
			root->first = i;
	}
}

/*
 * In the order in which the trees were mentioned, which is that of the queue:
 * when the time is over, those that had their turn stand behind the others.
 */
static void
step_trees(Batch *batch)
{
	InboxMessage *consumed = palloc(sizeof(InboxMessage) * Max(batch->nmessages, 1));
	List	   *stepped = NIL;
	instr_time	start;
	instr_time	now;
	int			n = 0;
	int			i;

	index_messages(batch);
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < batch->ntried; i++)
	{
		BatchRoot  *root = find_root(batch, &batch->ids[i]);
		const InboxMessage *messages = batch->messages + root->first;

		if (root->nmessages == 0 || (root->tree && must_wait(root->tree)))
			continue;
		if (n > 0)
		{
			INSTR_TIME_SET_CURRENT(now);
			INSTR_TIME_SUBTRACT(now, start);
			if (INSTR_TIME_GET_MILLISEC(now) > STEP_MS)
			{
				/* Given back with what others have locked. */
				root->locked = false;
				batch->result->more = true;
				continue;
			}
		}
		if (root->tree)
			stepped = lappend(stepped, step_one(batch, root->tree, messages, root->nmessages));
		else if (!webhook_apply(messages, root->nmessages))
			lone_action_apply(messages, root->nmessages);
		memcpy(consumed + n, messages, sizeof(InboxMessage) * root->nmessages);
		n += root->nmessages;
	}
	batch->trees = stepped;
	batch->messages = consumed;
	batch->nmessages = n;
}

/* In maintenance what has not begun keeps its messages, whatever they are: they count when it may begin. */
static bool
must_wait(const Tree *tree)
{
	return guc_maintenance && tree->root->ntasks == 0 && !state_is_final(tree->root->state);
}

/* Returns the tree to write: another copy when the step failed. */
static Tree *
step_one(Batch *batch, Tree *tree, const InboxMessage *messages, int nmessages)
{
	TreeStep	step = {tree, messages, nmessages, batch->nids == 1, false};
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
		history_message(step->tree, event.kind, event.has_target ? history_signer(event.payload) : NULL, &event.target);
		tree_apply(step->tree, &event);
	}
	step->more = tree_run(step->tree, step->alone);
}

/* What the failed step did in memory is thrown away; the execution says why. */
static Tree *
fail_tree(Tree *tree, const char *error)
{
	LockedRoot	locked;
	List	   *trees;

	locked.id = tree->root_id;
	locked.stamp = InvalidFullTransactionId;
	locked.tree = NULL;
	cache_drop(tree);
	trees = store_get_trees(&locked, 1);
	tree = linitial(trees);
	if (!state_is_final(tree->root->state))
	{
		execution_set_state(tree->root, STATE_ERROR, error);
		json_ref_set(&tree->root->output, json_keep(tree->root->cxt, json_pair("result", json_from_string(tree->root->state_info))));
	}
	return tree;
}
