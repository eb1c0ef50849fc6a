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
#include "engine/states.h"

#define MAX_SOURCES 5

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
static Value env_value(Execution *execution);
static Value id_and_name(const pg_uuid_t *id, const char *name);
static Value time_value(TimestampTz t);
static Value text_value(const char *s);
static Value json_value(const Jsonb *json);
static Value host_task(void *arg, const char *name);
static Value host_execution(void *arg);
static Value host_env(void *arg);
static Value host_global(void *arg, const char *name);

static const ExprHost host = {
	.task = host_task,
	.execution = host_execution,
	.env = host_env,
	.global = host_global,
};

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
	Evaluation	e;

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
evaluate_output(const EvalPlace *place, const ExprData *data, const Jsonb *root, Jsonb **result, char **error)
{
	Evaluation	e;

	evaluation_begin(&e, place);
	e.env.root = json_value(root);
	e.data = data;
	if (!evaluation_run(&e, error))
		return false;
	*result = e.result;
	return true;
}

Jsonb *
task_result(Task *task)
{
	Tree	   *tree = task->execution->tree;
	JsonBuilder b = {0};
	Jsonb	   *only = NULL;
	int			accepted = 0;
	ListCell   *lc;
	MemoryContext old;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (action->accepted)
		{
			only = json_ref_get(tree, &action->result);
			accepted++;
		}
	}
	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);

		if (state_is_final(sub->state) && list_tail(task->subs) == lc)
		{
			only = json_ref_get(tree, &sub->output);
			accepted++;
		}
	}
	if (accepted == 1)
		return only;
	old = MemoryContextSwitchTo(tree->cxt);
	json_begin_array(&b);
	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (action->accepted)
			json_add_jsonb(&b, json_ref_get(tree, &action->result));
	}
	json_end_array(&b);
	only = json_finish(&b);
	MemoryContextSwitchTo(old);
	return only;
}

Jsonb *
execution_env(Execution *execution)
{
	return json_get_jsonb(json_ref_get(execution->tree, &execution->tree->root->params), "env");
}

/* ---------------------------------------------------------------- running */

static void
evaluation_begin(Evaluation *e, const EvalPlace *place)
{
	Execution  *execution = place->execution;
	Tree	   *tree = execution->tree;

	memset(e, 0, sizeof(*e));
	e->place = *place;
	if (place->first)
		e->sources[e->nsources++] = value_jsonb_source(place->first);
	e->sources[e->nsources++] = (ValueSource)
	{
		system_get, system_keys, &e->place
	};
	if (place->scope && place->scope->n > 0)
		e->sources[e->nsources++] = (ValueSource)
	{
		scope_get, scope_keys, &e->place
	};
	if (!JSON_REF_IS_NULL(&execution->globals))
		e->sources[e->nsources++] = value_jsonb_source(json_ref_get(tree, &execution->globals));
	/* An ad-hoc action sees its own input in place of the workflow's. */
	if (!place->first)
		e->sources[e->nsources++] = value_jsonb_source(json_ref_get(tree, &execution->input));
	e->env.root = value_view(e->nsources, e->sources);
	e->env.var_env = env_value(execution);
	e->env.var_execution = id_and_name(&execution->id, NULL);
	e->env.var_task_execution = place->task ? id_and_name(&place->task->id, place->task->name) : value_null();
	e->env.host = &host;
	e->env.host_arg = &e->place;
}

static bool
evaluation_run(Evaluation *e, char **error)
{
	*error = guard_expression(run_guarded, e);
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
		*value = env_value(place->execution);
	else if (is_key(key, len, "__execution"))
		*value = id_and_name(&place->execution->id, NULL);
	else if (place->task && is_key(key, len, "__task_execution"))
		*value = id_and_name(&place->task->id, place->task->name);
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
	int			i;

	for (i = 0; i < place->scope->n; i++)
		emit(emit_arg, place->scope->entries[i].key, place->scope->entries[i].len);
}

/* ---------------------------------------------------------------- values */

static Value
env_value(Execution *execution)
{
	JsonbValue *env = json_get(json_ref_get(execution->tree, &execution->tree->root->params), "env", 3);

	return env ? value_from_jsonb_value(env) : value_dict_new();
}

static Value
id_and_name(const pg_uuid_t *id, const char *name)
{
	Value		dict = value_dict_new();

	value_dict_set(&dict, "id", text_value(id_cstring(id)));
	if (name)
		value_dict_set(&dict, "name", text_value(name));
	return dict;
}

static Value
time_value(TimestampTz t)
{
	JsonBuilder b = {0};

	json_add_time(&b, t);
	return value_from_jsonb_value(b.result);
}

static Value
text_value(const char *s)
{
	return s ? value_cstring(s) : value_null();
}

static Value
json_value(const Jsonb *json)
{
	return json ? value_from_jsonb(json) : value_null();
}

/* ---------------------------------------------------------------- functions */

static Value
host_task(void *arg, const char *name)
{
	EvalPlace  *place = arg;
	Execution  *execution = place->execution;
	Task	   *task = place->task;
	Value		dict;

	/* An action run alone has no workflow around it. */
	if (execution->workflow == NULL)
		return value_null();
	if (name != NULL && (task == NULL || strcmp(name, task->name) != 0))
	{
		int			spec = spec_task_index(execution->workflow, name);

		task = spec >= 0 && execution->last[spec] >= 0 ? execution->tasks[execution->last[spec]] : NULL;
	}
	if (task == NULL)
		return value_null();

	dict = value_dict_new();
	value_dict_set(&dict, "id", text_value(id_cstring(&task->id)));
	value_dict_set(&dict, "name", text_value(task->name));
	value_dict_set(&dict, "spec", json_value(task_spec(task)->spec));
	value_dict_set(&dict, "state", text_value(state_name(task->state)));
	value_dict_set(&dict, "state_info", text_value(task->state_info));
	value_dict_set(&dict, "result", json_value(task_result(task)));
	value_dict_set(&dict, "published", JSON_REF_IS_NULL(&task->published) ? value_dict_new()
				   : json_value(json_ref_get(execution->tree, &task->published)));
	value_dict_set(&dict, "type", text_value(task->is_workflow ? "WORKFLOW" : "ACTION"));
	value_dict_set(&dict, "workflow_execution_id", text_value(id_cstring(&execution->id)));
	value_dict_set(&dict, "created_at", time_value(task->created_at));
	value_dict_set(&dict, "updated_at", time_value(task->updated_at));
	return dict;
}

static Value
host_execution(void *arg)
{
	EvalPlace  *place = arg;
	Execution  *execution = place->execution;
	Tree	   *tree = execution->tree;
	Value		dict = value_dict_new();

	value_dict_set(&dict, "id", text_value(id_cstring(&execution->id)));
	value_dict_set(&dict, "name", text_value(execution->name));
	value_dict_set(&dict, "spec", json_value(execution->workflow ? execution->workflow->spec : NULL));
	value_dict_set(&dict, "input", json_value(json_ref_get(tree, &execution->input)));
	value_dict_set(&dict, "params", json_value(json_ref_get(tree, &execution->params)));
	value_dict_set(&dict, "created_at", time_value(execution->created_at));
	value_dict_set(&dict, "updated_at", time_value(execution->updated_at));
	value_dict_set(&dict, "root_execution_id",
				   execution->parent_task ? text_value(id_cstring(&tree->root_id)) : value_null());
	return dict;
}

static Value
host_env(void *arg)
{
	EvalPlace  *place = arg;

	return env_value(place->execution);
}

static Value
host_global(void *arg, const char *name)
{
	EvalPlace  *place = arg;
	JsonbValue *value = json_get(json_ref_get(place->execution->tree, &place->execution->globals), name, strlen(name));

	return value ? value_from_jsonb_value(value) : value_null();
}
