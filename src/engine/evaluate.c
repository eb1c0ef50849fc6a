/*
 * evaluate.c
 *		Expressions within a workflow: what they see, and errors as data.
 *
 * The root ($) is a view over layers, the first that has a key gives it: the
 * current task and the environment, the branch's variables, the execution's
 * globals, its input.  Nothing is copied to build it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/ids.h"
#include "base/json.h"
#include "engine/context.h"
#include "engine/evaluate.h"
#include "engine/guard.h"
#include "engine/host.h"
#include "engine/items.h"
#include "engine/states.h"

#define MAX_SOURCES 6

/* One evaluation: the environment and what its sources point to. */
typedef struct Evaluation
{
	EvalPlace	place;
	ExprEnv		env;
	ValueSource sources[MAX_SOURCES];
	int			nsources;

	const ExprData *data;
	const ExprTemplate *tmpl;
	bool		want_truth;
	bool		truth;
	Jsonb	   *result;
} Evaluation;

static void evaluation_begin(Evaluation *e, const EvalPlace *place);
static bool evaluation_run(Evaluation *e, char **error);
static void run_guarded(void *arg);
static bool system_get(void *arg, const char *key, int len, Value *value);
static void system_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg);
static bool scope_get(void *arg, const char *key, int len, Value *value);
static void scope_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg);

bool
evaluate_data(const EvalPlace *place, const ExprData *data, Jsonb **result, char **error)
{
	const Jsonb *constant = expr_data_constant(data);
	Evaluation	e;

	if (constant)
	{
		*result = json_copy(constant);
		return true;
	}
	evaluation_begin(&e, place);
	e.data = data;
	if (!evaluation_run(&e, error))
		return false;
	*result = e.result;
	return true;
}

bool
evaluate_template(const EvalPlace *place, const ExprTemplate *tmpl, Jsonb **result, char **error)
{
	const Jsonb *constant = expr_template_constant(tmpl);
	Evaluation	e;

	if (constant)
	{
		*result = json_copy(constant);
		return true;
	}
	evaluation_begin(&e, place);
	e.tmpl = tmpl;
	if (!evaluation_run(&e, error))
		return false;
	*result = e.result;
	return true;
}

bool
evaluate_guard(const EvalPlace *place, const ExprTemplate *guard, bool *result, char **error)
{
	Evaluation	e;

	evaluation_begin(&e, place);
	e.tmpl = guard;
	e.want_truth = true;
	if (!evaluation_run(&e, error))
		return false;
	*result = e.truth;
	return true;
}

bool
evaluate_truth(const EvalPlace *place, const ExprData *data, bool *result, char **error)
{
	Evaluation	e;

	evaluation_begin(&e, place);
	e.data = data;
	e.want_truth = true;
	if (!evaluation_run(&e, error))
		return false;
	*result = e.truth;
	return true;
}

bool
evaluate_output(const EvalPlace *place, const ActionSpec *action, const Jsonb *root, Jsonb **result, char **error)
{
	Evaluation	e;

	evaluation_begin(&e, place);
	e.env.root = root ? value_from_jsonb(root) : value_null();
	/* As in the original, nothing is evaluated without anything to look at. */
	if (!value_truth(&e.env.root))
	{
		*result = json_copy(action->output_as_written);
		return true;
	}
	e.data = action->output;
	if (!evaluation_run(&e, error))
		return false;
	*result = e.result;
	return true;
}

/*
 * One accepted result is the result; none or several are a list, and so are
 * those of with-items, in the order of the items.
 */
Jsonb *
task_result(Task *task)
{
	JsonBuilder b = {0};
	ListCell   *lc;
	MemoryContext old;
	Jsonb	   *result = NULL;
	int			n = 0;

	if (task->spec >= 0 && task->execution->workflow && task_spec(task)->nwith_items > 0)
		return items_results(task);
	json_begin_array(&b);
	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (!action->accepted)
			continue;
		result = json_ref_get(action->cxt, &action->result);
		json_add_jsonb(&b, result);
		n++;
	}
	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);

		if (sub->ordinal < task->subs_from || !state_is_final(sub->state))
			continue;
		result = json_ref_get(sub->cxt, &sub->output);
		json_add_jsonb(&b, result);
		n++;
	}
	json_end_array(&b);
	if (n == 1)
		return result;
	old = MemoryContextSwitchTo(task->cxt);
	result = json_finish(&b);
	MemoryContextSwitchTo(old);
	return result;
}

Jsonb *
execution_env(Execution *execution)
{
	return json_get_jsonb(json_ref_get(execution->tree->root->cxt, &execution->tree->root->params), "env");
}

/* ---------------------------------------------------------------- running */

static void
evaluation_begin(Evaluation *e, const EvalPlace *place)
{
	static const Value asked = {.kind = VALUE_UNDEFINED};
	Execution  *execution = place->execution;

	memset(e, 0, sizeof(*e));
	e->place = *place;
	if (place->first)
		e->sources[e->nsources++] = value_jsonb_source(place->first);
	e->sources[e->nsources++] = (ValueSource)
	{
		system_get, system_keys, &e->place
	};
	if (place->scope && !SCOPE_IS_EMPTY(place->scope))
		e->sources[e->nsources++] = (ValueSource)
	{
		scope_get, scope_keys, &e->place
	};
	if (place->items)
		e->sources[e->nsources++] = value_jsonb_source(place->items);
	if (!JSON_REF_IS_NULL(&execution->globals))
		e->sources[e->nsources++] = value_jsonb_source(json_ref_get(execution->cxt, &execution->globals));
	/* An ad-hoc action sees its own input in place of the workflow's. */
	if (!place->first)
		e->sources[e->nsources++] = value_jsonb_source(json_ref_get(execution->cxt, &execution->input));
	e->env.root = value_view(e->nsources, e->sources);
	e->env.var_env = e->env.var_execution = e->env.var_task_execution = asked;
	e->env.host = &engine_host;
	e->env.host_arg = &e->place;
}

static bool
evaluation_run(Evaluation *e, char **error)
{
	*error = guard_expression(run_guarded, e, NULL);
	return *error == NULL;
}

static void
run_guarded(void *arg)
{
	Evaluation *e = arg;
	Value		value = e->tmpl ? expr_template_eval(e->tmpl, &e->env) : expr_data_eval(e->data, &e->env);

	if (e->want_truth)
		e->truth = value_truth(&value);
	else
		e->result = value_to_jsonb(&value);
}

/* ---------------------------------------------------------------- layers */

static bool
is_key(const char *key, int len, const char *name)
{
	return len == (int) strlen(name) && memcmp(key, name, len) == 0;
}

static bool
system_get(void *arg, const char *key, int len, Value *value)
{
	EvalPlace  *place = arg;

	if (len < 5 || key[0] != '_' || key[1] != '_')
		return false;
	if (is_key(key, len, "__env"))
		*value = host_variable(place, EXPR_ENV);
	else if (is_key(key, len, "__execution"))
		*value = host_variable(place, EXPR_EXECUTION);
	else if (place->task && is_key(key, len, "__task_execution"))
		*value = host_variable(place, EXPR_TASK_EXECUTION);
	else
		return false;
	return true;
}

static void
system_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg)
{
	EvalPlace  *place = arg;

	if (place->task)
		emit(emit_arg, "__task_execution", strlen("__task_execution"));
	emit(emit_arg, "__env", strlen("__env"));
	emit(emit_arg, "__execution", strlen("__execution"));
}

static bool
scope_get(void *arg, const char *key, int len, Value *value)
{
	EvalPlace  *place = arg;
	const ScopeEntry *entry = scope_find(place->scope, key, len);
	JsonbValue *found;

	if (entry == NULL)
		return false;
	found = scope_value(place->execution, entry, place->merged);
	if (found == NULL)
		return false;
	*value = value_from_jsonb_value(found);
	return true;
}

static void
scope_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg)
{
	EvalPlace  *place = arg;
	ScopeWalk	walk;
	const ScopeEntry *entry;

	scope_tree_walk(&walk, place->scope->variables);
	while ((entry = scope_next(&walk)) != NULL)
		emit(emit_arg, entry->key, entry->len);
}
