/*
 * states.c
 *		States, allowed transitions, and the only writers of state columns.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/clock.h"
#include "base/ids.h"
#include "engine/engine.h"
#include "engine/history.h"
#include "engine/notify.h"
#include "engine/state_event.h"
#include "engine/states.h"
#include "engine/webhook.h"

static const char *const names[STATE_COUNT] = {
	[STATE_IDLE] = "IDLE",
	[STATE_WAITING] = "WAITING",
	[STATE_RUNNING] = "RUNNING",
	[STATE_DELAYED] = "DELAYED",
	[STATE_PAUSED] = "PAUSED",
	[STATE_SUCCESS] = "SUCCESS",
	[STATE_CANCELLED] = "CANCELLED",
	[STATE_ERROR] = "ERROR",
	[STATE_SKIPPED] = "SKIPPED",
};

#define TO(state) (1 << (state))

static const int allowed[STATE_COUNT] = {
	/* PAUSED is ours: a session may pause what the engine has not taken up yet. */
	[STATE_IDLE] = TO(STATE_RUNNING) | TO(STATE_PAUSED) | TO(STATE_ERROR) | TO(STATE_CANCELLED),
	[STATE_WAITING] = TO(STATE_RUNNING),
	[STATE_RUNNING] = TO(STATE_PAUSED) | TO(STATE_DELAYED) | TO(STATE_SUCCESS) | TO(STATE_ERROR) | TO(STATE_CANCELLED),
	[STATE_DELAYED] = TO(STATE_RUNNING) | TO(STATE_ERROR) | TO(STATE_CANCELLED),
	[STATE_PAUSED] = TO(STATE_RUNNING) | TO(STATE_ERROR) | TO(STATE_CANCELLED),
	[STATE_SUCCESS] = 0,
	[STATE_CANCELLED] = TO(STATE_RUNNING),
	[STATE_ERROR] = TO(STATE_RUNNING) | TO(STATE_SKIPPED),
	[STATE_SKIPPED] = 0,
};

static char *copy_info(MemoryContext cxt, const char *info);
static void count_task(Task *task, int sign);

const char *
state_name(State state)
{
	return names[state];
}

bool
state_parse(const char *name, State *state)
{
	int			i;

	for (i = 0; i < STATE_COUNT; i++)
	{
		if (strcmp(name, names[i]) == 0)
		{
			*state = (State) i;
			return true;
		}
	}
	return false;
}

bool
state_is_final(State state)
{
	return state >= STATE_SUCCESS;
}

bool
state_can_change(State from, State to)
{
	return from == to || (allowed[from] & TO(to)) != 0;
}

void
execution_set_state(Execution *execution, State state, const char *info)
{
	State		from = execution->state;

	if (!state_can_change(execution->state, state))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_TRANSITION),
				 errmsg("cannot change the state of execution %s from %s to %s",
						id_cstring(&execution->id), state_name(execution->state), state_name(state))));
	execution->state = state;
	execution->state_info = copy_info(execution->cxt, info);
	execution->updated_at = clock_now();
	if (state_is_final(state))
	{
		execution->finished_at = execution->updated_at;
		execution->tree->ended |= ENDED_BIT(&execution->id);
	}
	else
		execution->finished_at = DT_NOBEGIN;
	row_touch(&execution->change);
	history_execution(execution, from);
	notify_execution(execution);
	if (from != state)
	{
		webhook_execution_changed(execution, from);
		state_event_execution(execution);
	}
}

void
task_set_state(Task *task, State state, const char *info)
{
	State		from = task->state;

	count_task(task, -1);
	task->state = state;
	count_task(task, 1);
	task->state_info = copy_info(task->cxt, info);
	task->updated_at = clock_now();
	if (state == STATE_RUNNING && (from == STATE_IDLE || from == STATE_WAITING))
		task->started_at = task->updated_at;
	task->finished_at = state_is_final(state) ? task->updated_at : DT_NOBEGIN;
	task_touch(task);
	if (from != state)
	{
		history_task(task);
		notify_task(task);
		webhook_task_changed(task, from);
		state_event_task(task);
	}
}

void
action_set_state(ActionExecution *action, State state)
{
	action->state = state;
	action->updated_at = clock_now();
	action->finished_at = state_is_final(state) ? action->updated_at : DT_NOBEGIN;
	row_touch(&action->change);
	task_touch(action->task);
	history_action(action);
}

void
task_set_error_handled(Task *task, bool handled)
{
	count_task(task, -1);
	task->error_handled = handled;
	count_task(task, 1);
	task_touch(task);
}

/* The execution's counters follow its tasks. */
static void
count_task(Task *task, int sign)
{
	Execution  *execution = task->execution;

	if (!state_is_final(task->state))
	{
		execution->nincomplete += sign;
		if (task->state == STATE_WAITING)
			execution->nwaiting += sign;
	}
	else if (task->state == STATE_CANCELLED)
		execution->ncancelled += sign;
	else if (task->state == STATE_ERROR && !task->error_handled)
		execution->nunhandled += sign;
}

static char *
copy_info(MemoryContext cxt, const char *info)
{
	int			len;

	if (info == NULL)
		return NULL;
	len = strlen(info);
	if (len > MAX_STATE_INFO)
		len = pg_mbcliplen(info, len, MAX_STATE_INFO);
	return MemoryContextStrdup(cxt, len == (int) strlen(info) ? info : pnstrdup(info, len));
}
