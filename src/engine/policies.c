/*
 * policies.c
 *		Policies, in the original's order: pause-before, wait-before, wait-after,
 *		fail-on, retry, timeout, concurrency.
 *
 * To add one: its function here, a line in the list it belongs to, a test.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "engine/context.h"
#include "engine/states.h"
#include "engine/workflow.h"

/* A policy applied before the first start; *delayed: not to start now. */
typedef bool (*BeforePolicy) (Task *task, bool *delayed, char **error);

/* A policy applied when a final state is reached; it may change the state. */
typedef bool (*AfterPolicy) (Task *task, char **error);

static bool check_values(Task *task, bool *delayed, char **error);
static bool pause_before(Task *task, bool *delayed, char **error);
static bool wait_before(Task *task, bool *delayed, char **error);
static bool start_timeout(Task *task, bool *delayed, char **error);
static bool wait_after(Task *task, char **error);
static bool fail_on(Task *task, char **error);
static bool retry(Task *task, char **error);
static bool retry_delay(Task *task, int tries, int64 *delay_ms, char **error);
static bool retry_conditions(Task *task, bool *again, char **error);
static bool get_boolean(Task *task, const char *policy, const ExprData *value, bool *result, char **error);
static bool get_integer(Task *task, const char *policy, const ExprData *value, int *result, char **error);
static bool get_condition(Task *task, const ExprTemplate *condition, bool *result, char **error);
static bool get_number(Task *task, const char *policy, const ExprData *value, double lowest, double highest, double *result, char **error);
static bool number_from(Jsonb *json, double *result);
static void delay_task(Task *task, const char *policy, const char *timer, int64 delay_ms);
static char *delay_info(const char *policy, int64 delay_ms);

static const BeforePolicy before_policies[] = {check_values, pause_before, wait_before, start_timeout};
static const AfterPolicy after_policies[] = {wait_after, fail_on, retry};

/* The longest delay, in seconds: what fits a timestamp for centuries. */
#define MAX_DELAY 1000000000

bool
policies_before(Task *task, bool *delayed, char **error)
{
	int			i;

	*delayed = false;
	for (i = 0; i < lengthof(before_policies); i++)
	{
		if (!before_policies[i] (task, delayed, error))
			return false;
	}
	return true;
}

bool
policies_after(Task *task, char **error)
{
	int			i;

	for (i = 0; i < lengthof(after_policies); i++)
	{
		if (!after_policies[i] (task, error))
			return false;
	}
	return true;
}

bool
policies_timeout(Task *task, int *seconds, char **error)
{
	return get_integer(task, "timeout", task_spec(task)->policies.timeout.value, seconds, error);
}

/* A wrong value is found before the task starts, not when the policy applies. */
static bool
check_values(Task *task, bool *delayed, char **error)
{
	const SpecPolicies *policies = &task_spec(task)->policies;
	int			ignored;
	int64		ignored_ms;

	return get_integer(task, "concurrency", policies->concurrency.value, &task->concurrency, error) &&
		get_integer(task, "wait-after", policies->wait_after.value, &ignored, error) &&
		get_integer(task, "retry: count", policies->retry.count, &ignored, error) &&
		retry_delay(task, 0, &ignored_ms, error);
}

/* The task waits, IDLE, for whoever resumes its workflow. */
static bool
pause_before(Task *task, bool *delayed, char **error)
{
	bool		pause = false;

	if (!get_boolean(task, "pause-before", task_spec(task)->policies.pause_before.value, &pause, error))
		return false;
	if (pause)
	{
		*delayed = true;
		task_set_state(task, STATE_IDLE, "Set by 'pause-before' policy");
		execution_pause(task->execution, NULL);
	}
	return true;
}

static bool
wait_before(Task *task, bool *delayed, char **error)
{
	int			seconds;

	if (!get_integer(task, "wait-before", task_spec(task)->policies.wait_before.value, &seconds, error))
		return false;
	if (seconds == 0 || task->waited_before || task->state == STATE_IDLE)
		return true;
	task->waited_before = true;
	*delayed = true;
	delay_task(task, "wait-before", TIMER_WAIT_BEFORE, (int64) seconds * 1000);
	return true;
}

/* Runs from before the first start, over delays and tries. */
static bool
start_timeout(Task *task, bool *delayed, char **error)
{
	int			seconds;

	if (!policies_timeout(task, &seconds, error))
		return false;
	if (seconds > 0)
		tree_add_timer(task->execution->tree, TIMER_TIMEOUT, &task->id, (int64) seconds * 1000);
	return true;
}

static bool
wait_after(Task *task, char **error)
{
	int			seconds;

	if (!get_integer(task, "wait-after", task_spec(task)->policies.wait_after.value, &seconds, error))
		return false;
	if (seconds == 0 || task->waited_after)
		return true;
	task->waited_after = true;
	task->end_state = task->state;
	task->end_info = task->state_info;
	delay_task(task, "wait-after", TIMER_WAIT_AFTER, (int64) seconds * 1000);
	return true;
}

static bool
fail_on(Task *task, char **error)
{
	const ExprData *value = task_spec(task)->policies.fail_on.value;
	EvalPlace	place;
	bool		fail;

	if (value == NULL)
		return true;
	/* Of all policies the only one whose type nobody looks at. */
	task_place(&place, task);
	if (!evaluate_truth(&place, value, &fail, error))
		return false;
	if (fail && task->state == STATE_SUCCESS)
		task_set_state(task, STATE_ERROR, "Failed by 'fail-on' policy");
	return true;
}

static bool
retry(Task *task, char **error)
{
	const SpecRetry *policy = &task_spec(task)->policies.retry;
	int			count;
	int64		delay_ms;
	bool		again;
	int			tries = task->retry_no;

	if (!policy->present)
		return true;
	if (!get_integer(task, "retry: count", policy->count, &count, error) ||
		!retry_delay(task, tries, &delay_ms, error))
		return false;
	if (count == 0)
		return true;
	if (!retry_conditions(task, &again, error))
		return false;
	if (task->state != STATE_SUCCESS && task->state != STATE_ERROR)
		return true;

	task->retry_no = 0;
	if (tries >= count || !again)
		return true;
	task->retry_no = tries + 1;
	task_collect_offered(task, &task->execution->tree->withdrawn);
	task_revoke_results(task, false);
	task->subs_from = task->nsubs;
	if (task_spec(task)->join != JOIN_NONE)
	{
		task_set_state(task, STATE_WAITING, delay_info("retry", delay_ms));
		tree_add_timer(task->execution->tree, TIMER_JOIN, &task->id, delay_ms);
	}
	else
		delay_task(task, "retry", TIMER_RETRY, delay_ms);
	return true;
}

/*
 * How long to wait after `tries` repetitions: delay * backoff^tries, no more
 * than max-delay, and of that between all and (1 - jitter).  Where in between is
 * told by the task's id and the try, so that a repeated step says the same.
 */
static bool
retry_delay(Task *task, int tries, int64 *delay_ms, char **error)
{
	const SpecRetry *policy = &task_spec(task)->policies.retry;
	int			delay;
	double		backoff = 1;
	double		longest = MAX_DELAY;
	double		jitter = 0;
	double		seconds;
	uint64		hash;

	if (!get_integer(task, "retry: delay", policy->delay, &delay, error) ||
		!get_number(task, "retry: backoff", policy->backoff, 1, HUGE_VAL, &backoff, error) ||
		!get_number(task, "retry: max-delay", policy->max_delay, 0, HUGE_VAL, &longest, error) ||
		!get_number(task, "retry: jitter", policy->jitter, 0, 1, &jitter, error))
		return false;
	seconds = delay == 0 ? 0 : Min(delay * pow(backoff, tries), Min(longest, MAX_DELAY));
	hash = hash_bytes_extended(task->id.data, UUID_LEN, tries);
	seconds *= 1 - jitter * ((double) (hash >> 11) / (UINT64CONST(1) << 53));
	*delay_ms = (int64) rint(seconds * 1000);
	return true;
}

/*
 * Another try after an error unless break-on says no, or continue-on is there
 * and says no; after a success only if continue-on says yes.  Both conditions
 * see what this try has published, and are evaluated whatever the state is.
 */
static bool
retry_conditions(Task *task, bool *again, char **error)
{
	const SpecRetry *policy = &task_spec(task)->policies.retry;
	bool		go_on = false;
	bool		stop = false;

	if (!get_condition(task, policy->continue_on, &go_on, error) ||
		!get_condition(task, policy->break_on, &stop, error))
		return false;
	if (policy->continue_on && !go_on)
		*again = false;
	else if (task->state == STATE_SUCCESS)
		*again = policy->continue_on != NULL;
	else
		*again = !stop;
	return true;
}

static bool
get_condition(Task *task, const ExprTemplate *condition, bool *result, char **error)
{
	EvalPlace	place;

	if (condition == NULL)
		return true;
	task_place(&place, task);
	place.scope = scope_outbound(task);
	return evaluate_guard(&place, condition, result, error);
}

/* A policy's value: true or false; absent counts as false. */
static bool
get_boolean(Task *task, const char *policy, const ExprData *value, bool *result, char **error)
{
	EvalPlace	place;
	Jsonb	   *json;
	JsonbValue	v;

	if (value == NULL)
		return true;
	task_place(&place, task);
	if (!evaluate_data(&place, value, &json, error))
		return false;
	if (JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &v) && v.type == jbvBool)
	{
		*result = v.val.boolean;
		return true;
	}
	*error = psprintf("the policy \"%s\" of task \"%s\" must be true or false, not %s",
					  policy, task->name, json_to_text(json));
	return false;
}

/* A policy's value: a number of 0 or more; absent counts as 0. */
static bool
get_integer(Task *task, const char *policy, const ExprData *value, int *result, char **error)
{
	EvalPlace	place;

	*result = 0;
	if (value == NULL)
		return true;
	task_place(&place, task);
	return policies_seconds(&place, psprintf("policy \"%s\" of task \"%s\"", policy, task->name), value, result, error);
}

bool
policies_seconds(const EvalPlace *place, const char *what, const ExprData *value, int *result, char **error)
{
	Jsonb	   *json;
	double		d;

	if (!evaluate_data(place, value, &json, error))
		return false;
	if (number_from(json, &d) && d >= 0 && floor(d) == d)
	{
		*result = (int) Min(d, MAX_DELAY);
		return true;
	}
	*error = psprintf("the %s must be an integer of 0 or more, not %s", what, json_to_text(json));
	return false;
}

/* A policy's value: a number within bounds, true for 1 and false for 0 where those are bounds; absent: *result stays. */
static bool
get_number(Task *task, const char *policy, const ExprData *value, double lowest, double highest, double *result, char **error)
{
	EvalPlace	place;
	Jsonb	   *json;
	JsonbValue	v;
	double		d;

	if (value == NULL)
		return true;
	task_place(&place, task);
	if (!evaluate_data(&place, value, &json, error))
		return false;
	if (number_from(json, &d) && d >= lowest && d <= highest)
	{
		*result = d;
		return true;
	}
	if (highest == 1 && JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &v) && v.type == jbvBool)
	{
		*result = v.val.boolean ? 1 : 0;
		return true;
	}
	*error = psprintf("the policy \"%s\" of task \"%s\" must be a number %s, not %s", policy, task->name,
					  highest == 1 ? "from 0 to 1" : psprintf("of %g or more", lowest), json_to_text(json));
	return false;
}

/* False when it is no number.  What a double cannot hold is infinite. */
static bool
number_from(Jsonb *json, double *result)
{
	JsonbValue	v;

	if (!JB_ROOT_IS_SCALAR(json) || !JsonbExtractScalar(&json->root, &v) || v.type != jbvNumeric)
		return false;
	*result = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v.val.numeric)));
	return true;
}

static void
delay_task(Task *task, const char *policy, const char *timer, int64 delay_ms)
{
	task_set_state(task, STATE_DELAYED, delay_info(policy, delay_ms));
	tree_add_timer(task->execution->tree, timer, &task->id, delay_ms);
}

static char *
delay_info(const char *policy, int64 delay_ms)
{
	char	   *part = delay_ms % 1000 ? psprintf(".%03d", (int) (delay_ms % 1000)) : "";

	return psprintf("Delayed by '%s' policy [delay=" INT64_FORMAT "%s]", policy, delay_ms / 1000, part);
}
