/*
 * with_items.c
 *		Tasks that run once for each item of one or more lists.
 *
 * The lists are evaluated once, when the task starts, and kept with it; at most
 * `concurrency` items are under way at a time.  Items are started a few at a
 * time, between which whatever else is ready has its turn: of a million inline
 * items no more than these few exist at once.  An item that has ended is counted,
 * written, and leaves memory; results are read from the rows, in the order of
 * the items, when an expression asks for them.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/json.h"
#include "engine/items.h"
#include "engine/states.h"
#include "engine/workflow.h"

/* Items started in one piece of work. */
#define ITEMS_AT_ONCE 100

static bool start_items(Task *task, char **error, bool *forced);
static void start_more(Task *task);
static int	next_item(Task *task);
static bool evaluate_items(Task *task, char **error);
static Jsonb *to_list(const Jsonb *value);
static void add_characters(JsonBuilder *b, const char *s, int len);
static void add_key(void *arg, const char *key, int len, const JsonbValue *value);
static Jsonb *item_variables(Task *task, int item);

/* Starts the first items; the task ends at once when there are none. */
bool
with_items_schedule(Task *task, char **error, bool *forced)
{
	*forced = true;
	if (JSON_REF_IS_NULL(&task->items) && !evaluate_items(task, error))
		return false;
	if (task->nitems == 0)
	{
		task_complete(task, STATE_SUCCESS, NULL);
		return true;
	}
	return start_items(task, error, forced);
}

/* Queues the start of more items, if any are to start. */
void
with_items_requeue(Task *task)
{
	if (task->nitems > task->nstarted && !task->items_queued && !state_is_final(task->state) &&
		(task->concurrency == 0 || task->nstarted - task->nended < task->concurrency))
	{
		task->items_queued = true;
		tree_queue(task->execution->tree, WORK_ITEMS, task);
	}
}

/* Starts more items, when their turn comes; a pause keeps them back. */
void
with_items_continue(Task *task)
{
	task->items_queued = false;
	if (task->state == STATE_RUNNING && task->execution->state != STATE_PAUSED)
		start_more(task);
}

/* One of the items has ended. */
void
with_items_ended(Task *task, State state)
{
	task->nended++;
	task->nfailed += state == STATE_ERROR;
	task_touch(task);
	if (state_is_final(task->state))
		return;
	if (state == STATE_CANCELLED)
		task_complete(task, STATE_CANCELLED, "One or more actions was cancelled.");
	else if (task->nended >= task->nitems)
	{
		if (task->nfailed > 0)
			task_complete(task, STATE_ERROR, "One or more actions had failed.");
		else
			task_complete(task, STATE_SUCCESS, NULL);
	}
	else if (task->concurrency > 0 && task->nstarted < task->nitems)
		start_more(task);
}

/* Everything anew: the lists, too. */
void
with_items_reset(Task *task)
{
	json_ref_set(&task->items, NULL);
	task->nitems = task->nstarted = task->nended = task->nfailed = 0;
	task->partial = false;
	task->subs_from = task->nsubs;
	task_touch(task);
}

/* Only what has not succeeded is to run again: what has, or is under way, counts as started. */
void
with_items_reset_failed(Task *task)
{
	ListCell   *lc;

	task->partial = true;
	task->next_item = 0;
	task->taken = items_taken(task, true);
	task->nstarted = task->nended = bms_num_members(task->taken);
	task->nfailed = 0;
	foreach(lc, task->actions)
		task->nended -= !state_is_final(((ActionExecution *) lfirst(lc))->state);
	foreach(lc, task->subs)
		task->nended -= !state_is_final(((Execution *) lfirst(lc))->state);
	task_touch(task);
}

/* As many as may run, but not all at once: none of them when one has no input. */
static bool
start_items(Task *task, char **error, bool *forced)
{
	int			room = task->concurrency > 0 ? task->concurrency - (task->nstarted - task->nended) : task->nitems;
	int			items[ITEMS_AT_ONCE];
	Jsonb	   *variables[ITEMS_AT_ONCE];
	Jsonb	   *inputs[ITEMS_AT_ONCE];
	int			n;

	task_touch(task);
	for (n = 0; n < Min(room, ITEMS_AT_ONCE) && task->nstarted < task->nitems; n++)
	{
		CHECK_FOR_INTERRUPTS();
		items[n] = next_item(task);
		if (items[n] < 0)
			break;
		variables[n] = item_variables(task, items[n]);
		task->nstarted++;
		*forced = true;
		if (!action_input(task, variables[n], &inputs[n], error))
			return false;
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (task->is_workflow ? !subworkflow_schedule(task, inputs[i], items[i], error, forced)
			: !action_schedule(task, inputs[i], variables[i], items[i], error, forced))
			return false;
	}
	with_items_requeue(task);
	return true;
}

static void
start_more(Task *task)
{
	char	   *error;
	bool		forced = true;

	/* What is under way when the workflow ends still ends; nothing more begins. */
	if (state_is_final(task->execution->state) || start_items(task, &error, &forced))
		return;
	if (forced)
		task_force_fail(task, error);
	else
		task_complete(task, STATE_ERROR, error);
}

/* The next one to start, -1: none.  After a rerun of some items, those that stay are scattered. */
static int
next_item(Task *task)
{
	MemoryContext old;

	if (!task->partial)
		return task->nstarted;
	old = MemoryContextSwitchTo(task->cxt);
	if (task->taken == NULL)
		task->taken = items_taken(task, false);
	while (task->next_item < task->nitems && bms_is_member(task->next_item, task->taken))
		task->next_item++;
	if (task->next_item < task->nitems)
		task->taken = bms_add_member(task->taken, task->next_item);
	MemoryContextSwitchTo(old);
	return task->next_item < task->nitems ? task->next_item : -1;
}

/* ---------------------------------------------------------------- lists */

static bool
evaluate_items(Task *task, char **error)
{
	const TaskSpec *spec = task_spec(task);
	JsonBuilder b = {0};
	EvalPlace	place;
	int			count = -1;
	int			i;

	task_place(&place, task);
	json_begin_object(&b);
	for (i = 0; i < spec->nwith_items; i++)
	{
		Jsonb	   *value;
		Jsonb	   *list;

		if (!evaluate_data(&place, spec->with_items[i].items, &value, error))
			return false;
		list = to_list(value);
		if (list == NULL)
		{
			*error = psprintf("the items of \"%s\" in task \"%s\" must be a list, not %s",
							  spec->with_items[i].var, task->name, json_to_text(value));
			return false;
		}
		if (count >= 0 && json_count(list) != count)
		{
			*error = psprintf("all lists of with-items in task \"%s\" must have the same length", task->name);
			return false;
		}
		count = json_count(list);
		json_add_key(&b, spec->with_items[i].var);
		json_add_jsonb(&b, list);
	}
	json_end_object(&b);
	json_ref_set(&task->items, json_keep(task->cxt, json_finish(&b)));
	task->nitems = Max(count, 0);
	task->nstarted = task->nended = task->nfailed = 0;
	task_touch(task);
	return true;
}

/* What Python would iterate over: a text's characters, an object's keys; NULL for what is no list. */
static Jsonb *
to_list(const Jsonb *value)
{
	JsonBuilder b = {0};
	JsonbValue	v;

	if (!JB_ROOT_IS_SCALAR(value) && JB_ROOT_IS_ARRAY(value))
		return unconstify(Jsonb *, value);
	json_begin_array(&b);
	if (json_is_object(value))
		json_members(value, add_key, &b);
	else if (JsonbExtractScalar((JsonbContainer *) &value->root, &v) && v.type == jbvString)
		add_characters(&b, v.val.string.val, v.val.string.len);
	else
		return NULL;
	json_end_array(&b);
	return json_finish(&b);
}

static void
add_characters(JsonBuilder *b, const char *s, int len)
{
	while (len > 0)
	{
		int			n = pg_mblen(s);

		json_add_string(b, pnstrdup(s, n));
		s += n;
		len -= n;
	}
}

static void
add_key(void *arg, const char *key, int len, const JsonbValue *value)
{
	json_add_string(arg, pnstrdup(key, len));
}

/* {"var": item} for one item. */
static Jsonb *
item_variables(Task *task, int item)
{
	const TaskSpec *spec = task_spec(task);
	Jsonb	   *lists = json_ref_get(task->cxt, &task->items);
	JsonBuilder b = {0};
	int			i;

	json_begin_object(&b);
	for (i = 0; i < spec->nwith_items; i++)
	{
		JsonbValue *list = json_get(lists, spec->with_items[i].var, strlen(spec->with_items[i].var));

		json_add_key(&b, spec->with_items[i].var);
		json_add_value(&b, getIthJsonbValueFromContainer(list->val.binary.data, item));
	}
	json_end_object(&b);
	return json_finish(&b);
}
