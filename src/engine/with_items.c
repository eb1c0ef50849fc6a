/*
 * with_items.c
 *		Tasks that run once for each item of one or more lists.
 *
 * The lists are evaluated once, when the task starts, and kept with it; at most
 * `concurrency` items are under way at a time.  Results keep the order of the
 * items, whatever order they end in.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/json.h"
#include "engine/states.h"
#include "engine/workflow.h"

static bool evaluate_items(Task *task, char **error);
static Jsonb *to_list(const Jsonb *value);
static void add_characters(JsonBuilder *b, const char *s, int len);
static void add_key(void *arg, const char *key, int len, const JsonbValue *value);
static Jsonb *item_variables(Task *task, int item);
static bool *items_taken(Task *task);
static State final_state(Task *task);
static void look(Task *task, bool cancelled);

/* Starts as many items as may run; the task ends at once when there are none. */
bool
with_items_schedule(Task *task, char **error, bool *forced)
{
	bool	   *taken = NULL;
	int			item = task->nstarted;
	int			room;

	*forced = true;
	if (JSON_REF_IS_NULL(&task->items) && !evaluate_items(task, error))
		return false;
	if (task->nitems == 0)
	{
		task_complete(task, STATE_SUCCESS, NULL);
		return true;
	}
	/* After a rerun of some items, those that stay are scattered. */
	if (task->partial)
	{
		taken = items_taken(task);
		item = 0;
	}
	room = task->concurrency > 0 ? task->concurrency - (task->nstarted - task->nended) : task->nitems;
	for (; item < task->nitems && room > 0; item++)
	{
		Jsonb	   *variables;

		CHECK_FOR_INTERRUPTS();
		if (taken && taken[item])
			continue;
		variables = item_variables(task, item);
		task->nstarted++;
		room--;
		if (task->is_workflow ? !subworkflow_schedule(task, variables, item, error, forced)
			: !action_schedule(task, variables, item, error, forced))
			return false;
	}
	task_touch(task);
	return true;
}

/* One of the items has ended. */
void
with_items_ended(Task *task, State state)
{
	task->nended++;
	task_touch(task);
	look(task, state == STATE_CANCELLED);
}

/* Loading has counted what has ended, told or not: whatever follows from it, follows now. */
void
with_items_loaded(Task *task)
{
	bool		cancelled = false;
	ListCell   *lc;

	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);

		if (sub->ordinal >= task->subs_from && sub->state == STATE_CANCELLED &&
			sub == execution_of_item(task, execution_item(sub)))
			cancelled = true;
	}
	look(task, cancelled);
}

/* Ends the task, or starts more items. */
static void
look(Task *task, bool cancelled)
{
	char	   *error;
	bool		forced;

	if (state_is_final(task->state))
		return;
	if (cancelled)
		task_complete(task, STATE_CANCELLED, "One or more actions was cancelled.");
	else if (task->nended >= task->nitems)
	{
		State		end = final_state(task);

		task_complete(task, end, end == STATE_ERROR ? "One or more actions had failed." : NULL);
	}
	else if (task->concurrency > 0 && task->nstarted < task->nitems &&
			 !with_items_schedule(task, &error, &forced))
	{
		if (forced)
			task_force_fail(task, error);
		else
			task_complete(task, STATE_ERROR, error);
	}
}

/* Everything anew: the lists, too. */
void
with_items_reset(Task *task)
{
	json_ref_set(&task->items, NULL);
	task->nitems = task->nstarted = task->nended = 0;
	task->partial = false;
	task->subs_from = list_length(task->subs);
	task_touch(task);
}

/* Only what has not succeeded is to run again. */
void
with_items_reset_failed(Task *task)
{
	task->partial = true;
	with_items_recount(task);
	task_touch(task);
}

/*
 * The counters of a task of which only some items run again, from its actions
 * and sub-executions: what is under way counts as started.
 */
void
with_items_recount(Task *task)
{
	bool	   *taken = items_taken(task);
	ListCell   *lc;
	int			i;

	task->nstarted = 0;
	for (i = 0; i < task->nitems; i++)
		task->nstarted += taken[i];
	task->nended = task->nstarted;
	foreach(lc, task->actions)
		task->nended -= !state_is_final(((ActionExecution *) lfirst(lc))->state);
	foreach(lc, task->subs)
		task->nended -= !state_is_final(((Execution *) lfirst(lc))->state);
}

/* Which items of this try have a result that stays, or are under way. */
static bool *
items_taken(Task *task)
{
	bool	   *taken = palloc0(sizeof(bool) * Max(task->nitems, 1));
	ListCell   *lc;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (action->item >= 0 && action->item < task->nitems && (action->accepted || !state_is_final(action->state)))
			taken[action->item] = true;
	}
	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);
		int			item = execution_item(sub);

		if (sub->ordinal >= task->subs_from && item >= 0 && item < task->nitems)
			taken[item] = !state_is_final(sub->state) || sub->state == STATE_SUCCESS;
	}
	return taken;
}

static State
final_state(Task *task)
{
	ListCell   *lc;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (action->accepted && action->state == STATE_ERROR)
			return STATE_ERROR;
	}
	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);

		if (sub->ordinal >= task->subs_from && sub->state == STATE_ERROR && sub == execution_of_item(task, execution_item(sub)))
			return STATE_ERROR;
	}
	return STATE_SUCCESS;
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
	json_ref_set(&task->items, tree_keep(task->execution->tree, json_finish(&b)));
	task->nitems = Max(count, 0);
	task->nstarted = task->nended = 0;
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
	Jsonb	   *lists = json_ref_get(task->execution->tree, &task->items);
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
