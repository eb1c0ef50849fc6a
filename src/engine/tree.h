/*
 * tree.h
 *		A tree in memory: a root execution, its sub-executions, their tasks and
 *		action executions, and what a step wants written besides.
 *
 * Everything of a tree lives in its memory context.  A tree is kept in the
 * process's cache between steps and is good as long as its stamp is the one in
 * the root's row; the step works on it, store.c loads it and flush.c writes
 * what is marked.
 */
#ifndef MISTRAL_TREE_H
#define MISTRAL_TREE_H

#include "postgres.h"

#include "access/transam.h"
#include "lib/ilist.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "actions/registry.h"
#include "dsl/spec.h"
#include "mistral.h"

typedef struct Tree Tree;
typedef struct Execution Execution;
typedef struct Task Task;
typedef struct ActionExecution ActionExecution;

/*
 * A jsonb column's value: as stored (perhaps compressed or out of line) until
 * somebody asks (json_ref_get), so that what is only carried costs nothing.
 */
typedef struct JsonRef
{
	struct varlena *stored;		/* NULL: SQL NULL, unless plain is set */
	Jsonb	   *plain;
} JsonRef;

/* Where a visible variable's value is. */
typedef struct ScopeEntry
{
	const char *key;
	int			len;
	int			ordinal;		/* the task that published it */
	bool		merged;			/* in that task's `merged`, not `published` */
	int			version;		/* times it was published along the branch */
} ScopeEntry;

typedef struct ScopeNode ScopeNode;

/* A branch's variables; shared between tasks, and nothing but its holder ever changes. */
typedef struct Scope Scope;
struct Scope
{
	const ScopeNode *variables; /* all of them: scope_tree.h */
	int			holder;			/* the task whose row has it, for other rows to name; -1: none yet */
	int			over;			/* the task whose scope this one adds `entries` to; -1: stored as a whole */
	const Scope *base;			/* in rows of before: the part of it that others name; NULL: none */
	int			n;
	ScopeEntry	entries[FLEXIBLE_ARRAY_MEMBER];
};

/* What happened to a row since it was last written. */
typedef enum RowChange
{
	ROW_CLEAN,
	ROW_NEW,
	ROW_CHANGED
} RowChange;

struct ActionExecution
{
	pg_uuid_t	id;
	MemoryContext cxt;			/* the task's, or for an item's action its own */
	Task	   *task;
	int			ordinal;
	const ActionType *type;		/* NULL: no longer known */
	char	   *name;			/* as resolved: ad-hoc or built-in */
	State		state;
	bool		accepted;
	int			attempt;
	int			item;			/* index of its item, -1: the task has none */
	bool		separate;		/* has a row of its own */
	bool		queued;			/* WORK_ACTION is in the queue */
	RowChange	change;
	ItemPointerData tid;
	TimestampTz created_at;
	TimestampTz updated_at;
	TimestampTz finished_at;
	JsonRef		input;
	JsonRef		result;
	JsonRef		runtime;		/* see action_run.c */
};

typedef struct TriggeredBy
{
	int			ordinal;		/* of the task, within the execution */
	const char *event;			/* "on-success" ... (static text) */
} TriggeredBy;

typedef struct NextTask
{
	int			spec;			/* index into the workflow's tasks */
	const char *event;
} NextTask;

struct Task
{
	pg_uuid_t	id;
	MemoryContext cxt;			/* all that is the task's own */
	Execution  *execution;
	int			ordinal;
	int			spec;			/* index into the workflow's tasks; -1: not in it any more */
	int			previous;		/* ordinal of that task's run before this one, -1: none */
	char	   *name;
	bool		is_workflow;	/* type WORKFLOW */
	State		state;
	bool		processed;
	bool		error_handled;
	bool		has_next_tasks;
	char	   *state_info;
	TimestampTz created_at;
	TimestampTz updated_at;
	TimestampTz started_at;
	TimestampTz finished_at;
	JsonRef		published;
	JsonRef		merged;
	JsonRef		items;			/* with-items: {"var": [values]}, evaluated when the task starts */
	const Scope *scope;			/* inbound; never NULL */
	const Scope *outbound;		/* made from these two; NULL: not made yet */
	const Jsonb *outbound_published;
	const Scope *outbound_scope;
	int			ntriggered_by;
	TriggeredBy *triggered_by;
	int			nnext_tasks;
	NextTask   *next_tasks;
	List	   *actions;		/* of ActionExecution *, in order of ordinal: those in memory */
	List	   *subs;			/* of Execution *, likewise */
	int			nactions;		/* how many there have been */
	int			nsubs;
	int			subs_from;		/* sub-executions before this one belong to earlier tries */

	/* with-items: how many there are, were started, have ended in this try, of those in ERROR */
	int			nitems;
	int			nstarted;
	int			nended;
	int			nfailed;
	bool		partial;		/* some items are run again, the others stay */
	Bitmapset  *taken;			/* then: the items that stay or have been started; NULL: not looked up yet */
	int			next_item;		/* then: all before this one are in `taken` */
	bool		items_queued;	/* WORK_ITEMS is in the queue */

	/* a join, see join.c */
	int			join_decided;	/* tasks from this ordinal on came after its last run began */
	Bitmapset  *join_anew;		/* the branches (tasks of the spec) that have arrived anew since */

	/* the policies' memory, stored in `runtime` */
	int			concurrency;	/* of with-items, 0: no limit */
	int			retry_no;
	bool		waited_before;
	bool		waited_after;
	State		end_state;		/* while wait-after delays */
	char	   *end_info;

	bool		queued;			/* a join that is in the tree's `joins` */
	RowChange	change;
	ItemPointerData tid;
};

/*
 * Results of a task's actions that do not count any more, or are not kept: of
 * those that have left memory, too.
 */
typedef struct RevokedResults
{
	Task	   *task;
	bool		failed_only;	/* those that ended in ERROR or CANCELLED */
	bool		forget;			/* the results go, the actions stay accepted */
} RevokedResults;

/* A change of state, until it is written to the history. */
typedef struct Transition
{
	Task	   *task;			/* NULL: the execution's */
	ActionExecution *action;	/* NULL: the task's */
	State		state;
	TimestampTz at;
	const char *info;
	const char *role;			/* who sent the message that did it; NULL: nobody, or see session_role */
} Transition;

/* A command that a pause kept back, or that is to be carried out. */
typedef struct Command
{
	EngineCommand kind;
	int			spec;			/* of the task to run */
	int			from;			/* ordinal of the task that led here, -1: none */
	const char *event;
	char	   *message;		/* of fail, succeed, pause */
} Command;

struct Execution
{
	pg_uuid_t	id;
	MemoryContext cxt;			/* all of it, its tasks included */
	Tree	   *tree;
	Task	   *parent_task;	/* NULL: the root */
	int			ordinal;
	pg_uuid_t	definition_id;
	Oid			owner;
	char	   *name;
	char	   *namespace_;
	char	   *workbook;		/* of its definition, or NULL; known while stepping */
	State		state;
	char	   *state_info;
	char	   *description;
	JsonRef		input;
	JsonRef		params;
	JsonRef		globals;
	JsonRef		output;
	int			timeout;		/* seconds, of the time that runs; 0: none */
	bool		told;			/* has ended, and its task knows */
	List	   *backlog;		/* of Command * */
	Jsonb	   *pending_runtime;	/* while loading: stored `timeout` and `backlog` */
	int			nwaiting;		/* tasks in state WAITING */
	List	   *new_rounds;		/* of Task *: joins with `join_anew`, and some that have it no more */
	List	   *transitions;	/* of Transition *: for the history */
	TimestampTz created_at;
	TimestampTz updated_at;
	TimestampTz finished_at;

	int			ntasks;
	int			maxtasks;
	Task	  **tasks;			/* by ordinal */
	int			nincomplete;	/* tasks not in a final state */
	int			nunhandled;		/* tasks in ERROR whose error nothing handles */
	int			ncancelled;
	int			nlast;
	int		   *last;			/* per task of the spec: ordinal of its last execution, -1: none */

	bool		notify_known;	/* whether `notify` has been looked up */
	const Jsonb *notify;		/* who is told of changes: params.notify; NULL: nobody */

	const WorkflowSpec *workflow;	/* while stepping; NULL: its definition is gone */
	RowChange	change;
	ItemPointerData tid;
};

/* What the executor or a pull worker is to do. */
typedef struct DispatchRow
{
	ActionExecution *action;
	Jsonb	   *headers;
	Jsonb	   *input;
	const char *base;			/* the name of the action at the bottom */
	char	   *target;			/* whose pull workers, without a performer; NULL: people are asked */
	const char *performer;		/* action_performer(), who needs what is below; NULL: the action is offered */
	bool		waits;			/* instead of all this: an event ends it */
	bool		safe_rerun;
	int			timeout;		/* seconds, 0: none */
} DispatchRow;

typedef struct TimerRow
{
	TimestampTz due_at;
	pg_uuid_t	id;
	const char *kind;
	pg_uuid_t	target_id;
} TimerRow;

typedef enum WorkKind
{
	WORK_ACTION,				/* an inline action is to run */
	WORK_ITEMS,					/* more of a task's items are to start */
	WORK_SUB_START,				/* a sub-execution is to start */
	WORK_SUB_DONE				/* a sub-execution has ended: tell its task */
} WorkKind;

/* One piece of work, first in, first out. */
typedef struct Work
{
	WorkKind	kind;
	void	   *object;
} Work;

struct Tree
{
	pg_uuid_t	root_id;
	MemoryContext cxt;
	MemoryContext step_cxt;		/* what is of use until the tree has been written */
	Execution  *root;
	FullTransactionId stamp;	/* of the transaction that last wrote it */
	List	   *executions;		/* of Execution *, root first */
	List	   *work;			/* of Work *, the queue */
	int			next_work;		/* the first of them still to do */
	List	   *joins;			/* of Task *: joins to look at when the queue is empty */
	bool		fresh;			/* just loaded: its queue is to be told from the rows */
	bool		uncommitted;	/* changed by the transaction that is still open */

	/* to be written */
	List	   *touched;		/* of Task *: new or changed */
	bool		has_timers;		/* timers may be in the table */
	List	   *timers;			/* of TimerRow * */
	List	   *cancelled;		/* of pg_uuid_t *: targets whose timers go */
	List	   *undelayed;		/* of pg_uuid_t *: tasks whose timers but the timeout go */
	List	   *revoked;		/* of RevokedResults *, see flush.c */
	List	   *dispatches;		/* of DispatchRow * */
	List	   *withdrawn;		/* of pg_uuid_t *: offered actions that nobody is to do any more */
	List	   *held;			/* of pg_uuid_t *: those of executions that have ended */
	List	   *released;		/* of pg_uuid_t *: those of executions that run again */
	List	   *messages;		/* of char *: the kinds of messages consumed, for the history */
	char	   *acting;			/* the role whose message is being applied, or NULL */
	pg_uuid_t	acting_on;		/* and the object it is about, */
	Task	   *acting_task;	/* and its task, once that is known */
	char	   *session_role;	/* the role whose session changes the tree; NULL: the engine does */
	List	   *notices;		/* notify.c keeps and sends them */
	List	   *webhooks;		/* webhook.c keeps and writes them */
	List	   *changes;		/* state_event.c keeps what somebody listens to */
	uint64		ended;			/* ENDED_BIT of its executions that have ended since it was taken */

	dlist_node	lru;
	Size		cached_bytes;	/* what the cache has counted for it */
};

/* The value, kept in `cxt` (its owner's) from then on. */
extern Jsonb *json_ref_get(MemoryContext cxt, JsonRef *ref);
extern void json_ref_set(JsonRef *ref, Jsonb *plain);
#define JSON_REF_IS_NULL(ref) ((ref)->stored == NULL && (ref)->plain == NULL)

/* A copy of the value in the context of what owns it. */
extern Jsonb *json_keep(MemoryContext cxt, const Jsonb *value);

extern const Scope empty_scope;

extern Tree *tree_new(MemoryContext parent, const pg_uuid_t *root_id);
/* Empty ones, for whoever fills them. */
extern Execution *execution_alloc(Tree *tree, bool is_root);
extern Task *task_alloc(Execution *execution);

extern Execution *tree_add_execution(Tree *tree, Task *parent);
extern Task *execution_add_task(Execution *execution, int spec);
extern ActionExecution *task_add_action(Task *task, int item);
extern void execution_place_task(Execution *execution, Task *task);

extern Execution *tree_find_execution(Tree *tree, const pg_uuid_t *id);
extern Task *tree_find_task(Tree *tree, const pg_uuid_t *id);
extern ActionExecution *tree_find_action(Tree *tree, const pg_uuid_t *id);

/* The item that a sub-execution is for, -1: none. */
extern int	execution_item(Execution *sub);

extern void tree_queue(Tree *tree, WorkKind kind, void *object);
extern void tree_queue_join(Tree *tree, Task *join);

/* Notes what is to be written to those of the task's actions that have left memory. */
extern void tree_revoke(Task *task, bool failed_only, bool forget);

/* The task's row, or one of its actions, has changed. */
extern void task_touch(Task *task);

static inline TaskSpec *
task_spec(const Task *task)
{
	return &task->execution->workflow->tasks[task->spec];
}

static inline void
row_touch(RowChange *change)
{
	if (*change == ROW_CLEAN)
		*change = ROW_CHANGED;
}

#endif							/* MISTRAL_TREE_H */
