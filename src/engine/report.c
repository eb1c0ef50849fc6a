/*
 * report.c
 *		What became of an execution, for people: errors first, bounded.
 *
 * Reads only; the tree is loaded without being locked.  What is shown is bounded
 * by a number of entries that is spent depth first, and what leads to an error
 * is looked at first: however large the tree, its failing part is in.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/numeric.h"

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/control.h"
#include "engine/report.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/why.h"

/* Executions, tasks and actions in a report. */
#define MAX_ENTRIES 1000

/* Steps of the failing path, reasons to wait. */
#define MAX_PATH	100
#define MAX_REASONS 100

/* Longest text of an error, in bytes. */
#define MAX_TEXT	2000

typedef struct Report
{
	JsonBuilder b;
	TimestampTz now;
	int			left;			/* entries that may still be shown */
	int			executions[STATE_COUNT];
	int			tasks[STATE_COUNT];
} Report;

static void count(Report *report, const Execution *execution);
static void add_counts(Report *report, const char *key, const int *counts);
static void add_path(Report *report, Execution *execution);
static Task *failing_task(const Execution *execution);
static Execution *failing_sub(const Task *task);
static ActionExecution *failing_action(const Task *task);
static const char *action_error(ActionExecution *action);
static void add_step(JsonBuilder *b, const char *kind, const pg_uuid_t *id, const char *name, State state, const char *info);
static void add_reasons(Report *report, const pg_uuid_t *id, Oid role);
static void add_execution(Report *report, Execution *execution);
static void add_task(Report *report, Task *task);
static void add_action(Report *report, ActionExecution *action);
static void add_head(Report *report, const pg_uuid_t *id, const char *name, State state, const char *info,
					 TimestampTz from, TimestampTz to);
static void add_omitted(Report *report, int omitted);
static int	rank(State state, bool handled);
static int	compare_executions(const ListCell *a, const ListCell *b);
static int	compare_tasks(const ListCell *a, const ListCell *b);
static int	compare_actions(const ListCell *a, const ListCell *b);
static void add_text(JsonBuilder *b, const char *key, const char *text);

Jsonb *
report_execution(const pg_uuid_t *id, Oid role)
{
	Report		report = {0};
	pg_uuid_t	root_id;
	Execution  *execution;

	control_find_execution(id, role, &root_id);
	execution = tree_find_execution(store_read_tree(&root_id), id);
	if (execution == NULL)
		control_raise_undefined(id);	/* deleted meanwhile */
	report.now = clock_now();
	report.left = MAX_ENTRIES;
	json_begin_object(&report.b);
	add_path(&report, execution);
	if (!state_is_final(execution->state))
		add_reasons(&report, id, role);
	count(&report, execution);
	json_add_key(&report.b, "statistics");
	json_begin_object(&report.b);
	add_counts(&report, "executions", report.executions);
	add_counts(&report, "tasks", report.tasks);
	json_end_object(&report.b);
	json_add_key(&report.b, "execution");
	add_execution(&report, execution);
	json_end_object(&report.b);
	return json_finish(&report.b);
}

static void
count(Report *report, const Execution *execution)
{
	int			i;

	check_stack_depth();
	report->executions[execution->state]++;
	for (i = 0; i < execution->ntasks; i++)
	{
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		if (execution->tasks[i] == NULL)
			continue;
		report->tasks[execution->tasks[i]->state]++;
		foreach(lc, execution->tasks[i]->subs)
			count(report, lfirst(lc));
	}
}

static void
add_counts(Report *report, const char *key, const int *counts)
{
	int			total = 0;
	int			i;

	json_add_key(&report->b, key);
	json_begin_object(&report->b);
	for (i = 0; i < STATE_COUNT; i++)
	{
		total += counts[i];
		if (counts[i] == 0)
			continue;
		json_add_key(&report->b, state_name((State) i));
		json_add_int(&report->b, counts[i]);
	}
	json_add_key(&report->b, "total");
	json_add_int(&report->b, total);
	json_end_object(&report->b);
}

/* ---------------------------------------------------------------- the failing path */

typedef struct PathStep
{
	const char *kind;
	const pg_uuid_t *id;
	const char *name;
	State		state;
	const char *info;
} PathStep;

static List *
append_step(List *path, const char *kind, const pg_uuid_t *id, const char *name, State state, const char *info)
{
	PathStep   *step = palloc(sizeof(PathStep));

	step->kind = kind;
	step->id = id;
	step->name = name;
	step->state = state;
	step->info = info;
	return lappend(path, step);
}

/* From the execution down to the action that failed first of all; where it is long, its end. */
static void
add_path(Report *report, Execution *execution)
{
	List	   *path = NIL;
	int			i;

	while (execution && execution->state == STATE_ERROR)
	{
		Task	   *task = failing_task(execution);
		ActionExecution *action = task ? failing_action(task) : NULL;

		path = append_step(path, "execution", &execution->id, execution->name, execution->state, execution->state_info);
		execution = NULL;
		if (task == NULL)
			break;
		path = append_step(path, "task", &task->id, task->name, task->state, task->state_info);
		execution = failing_sub(task);
		if (action)
			path = append_step(path, "action", &action->id, action->name, action->state, action_error(action));
	}
	json_add_key(&report->b, "failing_path");
	json_begin_array(&report->b);
	for (i = Max(list_length(path) - MAX_PATH, 0); i < list_length(path); i++)
	{
		PathStep   *step = list_nth(path, i);

		add_step(&report->b, step->kind, step->id, step->name, step->state, step->info);
	}
	json_end_array(&report->b);
}

/* The first whose error nothing handled, else the first in ERROR. */
static Task *
failing_task(const Execution *execution)
{
	Task	   *found = NULL;
	int			i;

	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];

		if (task == NULL || task->state != STATE_ERROR)
			continue;
		if (!task->error_handled)
			return task;
		if (found == NULL)
			found = task;
	}
	return found;
}

/* Of the last try. */
static Execution *
failing_sub(const Task *task)
{
	int			i;

	for (i = list_length(task->subs) - 1; i >= 0; i--)
	{
		Execution  *sub = list_nth(task->subs, i);

		if (sub->state == STATE_ERROR)
			return sub;
	}
	return NULL;
}

static ActionExecution *
failing_action(const Task *task)
{
	int			i;

	for (i = list_length(task->actions) - 1; i >= 0; i--)
	{
		ActionExecution *action = list_nth(task->actions, i);

		if (action->state == STATE_ERROR)
			return action;
	}
	return NULL;
}

/* A failed action's result is what it has to say. */
static const char *
action_error(ActionExecution *action)
{
	Jsonb	   *result = action->state == STATE_ERROR ? json_ref_get(action->cxt, &action->result) : NULL;

	return json_is_null(result) ? NULL : json_to_text(result);
}

static void
add_step(JsonBuilder *b, const char *kind, const pg_uuid_t *id, const char *name, State state, const char *info)
{
	json_begin_object(b);
	json_add_key(b, "kind");
	json_add_string(b, kind);
	json_add_key(b, "id");
	json_add_id(b, id);
	json_add_key(b, "name");
	json_add_string(b, name);
	json_add_key(b, "state");
	json_add_string(b, state_name(state));
	add_text(b, "state_info", info);
	json_end_object(b);
}

static void
add_reasons(Report *report, const pg_uuid_t *id, Oid role)
{
	JsonBuilder *b = &report->b;
	List	   *reasons = why_waiting(id, role);
	int			i;

	json_add_key(b, "waits_for");
	json_begin_array(b);
	for (i = 0; i < Min(list_length(reasons), MAX_REASONS); i++)
	{
		WaitReason *reason = list_nth(reasons, i);

		json_begin_object(b);
		json_add_key(b, "kind");
		json_add_string(b, reason->kind);
		json_add_key(b, "id");
		json_add_id(b, &reason->object_id);
		json_add_key(b, "name");
		json_add_string(b, reason->name);
		add_text(b, "detail", reason->detail);
		json_add_key(b, "since");
		json_add_time(b, reason->since);
		json_add_key(b, "due_at");
		json_add_time(b, reason->due_at);
		json_end_object(b);
	}
	json_end_array(b);
}

/* ---------------------------------------------------------------- the tree */

static void
add_execution(Report *report, Execution *execution)
{
	List	   *tasks = NIL;
	ListCell   *lc;
	int			omitted = 0;
	int			i;

	check_stack_depth();
	report->left--;
	json_begin_object(&report->b);
	add_head(report, &execution->id, execution->name, execution->state, execution->state_info,
			 execution->created_at, execution->finished_at);
	for (i = 0; i < execution->ntasks; i++)
	{
		if (execution->tasks[i])
			tasks = lappend(tasks, execution->tasks[i]);
	}
	list_sort(tasks, compare_tasks);
	json_add_key(&report->b, "tasks");
	json_begin_array(&report->b);
	foreach(lc, tasks)
	{
		if (report->left > 0)
			add_task(report, lfirst(lc));
		else
			omitted++;
	}
	json_end_array(&report->b);
	add_omitted(report, omitted);
	json_end_object(&report->b);
}

static void
add_task(Report *report, Task *task)
{
	List	   *actions = list_copy(task->actions);
	List	   *subs = list_copy(task->subs);
	ListCell   *lc;
	int			omitted = 0;

	CHECK_FOR_INTERRUPTS();
	report->left--;
	json_begin_object(&report->b);
	add_head(report, &task->id, task->name, task->state, task->state_info,
			 TIMESTAMP_NOT_FINITE(task->started_at) ? task->created_at : task->started_at, task->finished_at);
	if (task->state == STATE_ERROR)
	{
		json_add_key(&report->b, "error_handled");
		json_add_bool(&report->b, task->error_handled);
	}
	list_sort(actions, compare_actions);
	list_sort(subs, compare_executions);
	json_add_key(&report->b, "actions");
	json_begin_array(&report->b);
	foreach(lc, actions)
	{
		if (report->left > 0)
			add_action(report, lfirst(lc));
		else
			omitted++;
	}
	json_end_array(&report->b);
	json_add_key(&report->b, "executions");
	json_begin_array(&report->b);
	foreach(lc, subs)
	{
		if (report->left > 0)
			add_execution(report, lfirst(lc));
		else
			omitted++;
	}
	json_end_array(&report->b);
	add_omitted(report, omitted);
	json_end_object(&report->b);
}

static void
add_action(Report *report, ActionExecution *action)
{
	report->left--;
	json_begin_object(&report->b);
	add_head(report, &action->id, action->name, action->state, action_error(action),
			 action->created_at, action->finished_at);
	json_add_key(&report->b, "accepted");
	json_add_bool(&report->b, action->accepted);
	json_end_object(&report->b);
}

static void
add_head(Report *report, const pg_uuid_t *id, const char *name, State state, const char *info,
		 TimestampTz from, TimestampTz to)
{
	JsonBuilder *b = &report->b;
	JsonbValue	seconds;

	json_add_key(b, "id");
	json_add_id(b, id);
	json_add_key(b, "name");
	json_add_string(b, name);
	json_add_key(b, "state");
	json_add_string(b, state_name(state));
	add_text(b, "state_info", info);
	json_add_key(b, "started_at");
	json_add_time(b, from);
	json_add_key(b, "finished_at");
	json_add_time(b, to);
	/* Until now, where it has not ended. */
	seconds.type = jbvNumeric;
	seconds.val.numeric = int64_div_fast_to_numeric((TIMESTAMP_NOT_FINITE(to) ? report->now : to) - from, 6);
	json_add_key(b, "seconds");
	json_add_value(b, &seconds);
}

static void
add_omitted(Report *report, int omitted)
{
	if (omitted == 0)
		return;
	json_add_key(&report->b, "omitted");
	json_add_int(&report->b, omitted);
}

/* ---------------------------------------------------------------- order */

static int
rank(State state, bool handled)
{
	switch (state)
	{
		case STATE_ERROR:
			return handled ? 1 : 0;
		case STATE_CANCELLED:
			return 2;
		case STATE_SUCCESS:
		case STATE_SKIPPED:
			return 4;
		default:
			return 3;
	}
}

static int
compare_executions(const ListCell *a, const ListCell *b)
{
	const Execution *x = lfirst(a);
	const Execution *y = lfirst(b);
	int			cmp = rank(x->state, false) - rank(y->state, false);

	return cmp ? cmp : x->ordinal - y->ordinal;
}

static int
compare_tasks(const ListCell *a, const ListCell *b)
{
	const Task *x = lfirst(a);
	const Task *y = lfirst(b);
	int			cmp = rank(x->state, x->error_handled) - rank(y->state, y->error_handled);

	return cmp ? cmp : x->ordinal - y->ordinal;
}

static int
compare_actions(const ListCell *a, const ListCell *b)
{
	const ActionExecution *x = lfirst(a);
	const ActionExecution *y = lfirst(b);
	int			cmp = rank(x->state, !x->accepted) - rank(y->state, !y->accepted);

	return cmp ? cmp : x->ordinal - y->ordinal;
}

/* Cut where it is long. */
static void
add_text(JsonBuilder *b, const char *key, const char *text)
{
	int			len = text ? strlen(text) : 0;

	json_add_key(b, key);
	if (len > MAX_TEXT)
		text = psprintf("%s...", pnstrdup(text, pg_mbcliplen(text, len, MAX_TEXT)));
	json_add_string(b, text);
}
