/*
 * host.c
 *		What the engine offers to expressions: task(), tasks(), execution(),
 *		executions(), env(), global(), secret().
 *
 * The execution's own tree is looked at in memory, where it may be ahead of the
 * tables; others are read from the tables, as far as the execution's owner may
 * see them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/host.h"
#include "engine/secrets.h"
#include "engine/states.h"
#include "engine/store.h"

/* Executions that one call of tasks() or executions() gives at most. */
#define MAX_EXECUTIONS 1000

/* What tasks() is asked for. */
typedef struct TaskFilter
{
	bool		recursive;
	bool		flat;
	bool		any_state;
	State		state;
	Value		list;
} TaskFilter;

static Value env_value(Execution *execution);
static Value id_and_name(const pg_uuid_t *id, const char *name);
static Value time_value(TimestampTz t);
static Value text_value(const char *s);
static Value json_value(const Jsonb *json);
static Value task_member(Task *task, int member);
static bool task_get(void *arg, const char *key, int len, Value *value);
static void task_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg);
static Value task_view(Task *task);
static Value task_value(Task *task);
static Value execution_value(Execution *execution);
static Value host_task(void *arg, const char *name);
static Value host_tasks(void *arg, const char *execution_id, bool recursive, const char *state, bool flat);
static Value host_execution(void *arg);
static Value host_executions(void *arg, const char *id, const char *root_id, const char *state,
							 const char *from_time, const char *to_time);
static Value host_env(void *arg);
static Value host_global(void *arg, const char *name);
static Value host_secret(void *arg, const char *name);
static Value host_variable_of(void *arg, ExprVariable variable);
static void add_tasks(TaskFilter *filter, Execution *execution);
static bool has_sub_in_state(const Task *task);
static pg_uuid_t parse_id(const char *text);
static bool find_root(const pg_uuid_t *id, Oid owner, pg_uuid_t *root_id);
static Execution *find_anywhere(Tree *own, const char *id, Oid owner);
static int	list_executions(const EvalPlace *place, const char *id, const char *root_id, const char *state,
							const char *from_time, const char *to_time, pg_uuid_t **ids);
static Datum time_datum(const char *text);

const ExprHost engine_host = {
	.task = host_task,
	.tasks = host_tasks,
	.execution = host_execution,
	.executions = host_executions,
	.env = host_env,
	.global = host_global,
	.secret = host_secret,
	.variable = host_variable_of,
};

/* ---------------------------------------------------------------- values */
Value
host_variable(const EvalPlace *place, ExprVariable variable)
{
	switch (variable)
	{
		case EXPR_ENV:
			return env_value(place->execution);
		case EXPR_EXECUTION:
			return id_and_name(&place->execution->id, NULL);
		case EXPR_TASK_EXECUTION:
			if (place->task)
				return id_and_name(&place->task->id, place->task->name);
	}
	return value_null();
}

static Value
env_value(Execution *execution)
{
	JsonbValue *env = json_get(json_ref_get(execution->tree->root->cxt, &execution->tree->root->params), "env", 3);

	return env ? value_from_jsonb_value(env) : value_dict_new();
}

/* {"id", "name"}; no name: only the id. */
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

/* What task() knows of a task, in the order in which it is listed. */
static const char *const task_members[] = {
	"id", "name", "spec", "state", "state_info", "result", "published", "type", "workflow_execution_id", "created_at",
	"updated_at"
};

static Value
task_member(Task *task, int member)
{
	Execution  *execution = task->execution;

	switch (member)
	{
		case 0:
			return text_value(id_cstring(&task->id));
		case 1:
			return text_value(task->name);
		case 2:
			return task->spec >= 0 && execution->workflow ? json_value(task_spec(task)->spec) : value_null();
		case 3:
			return text_value(state_name(task->state));
		case 4:
			return text_value(task->state_info);
		case 5:
			return json_value(task_result(task));
		case 6:
			return JSON_REF_IS_NULL(&task->published) ? value_dict_new()
				: json_value(json_ref_get(task->cxt, &task->published));
		case 7:
			return text_value(task->is_workflow ? "WORKFLOW" : "ACTION");
		case 8:
			return text_value(id_cstring(&execution->id));
		case 9:
			return time_value(task->created_at);
		default:
			return time_value(task->updated_at);
	}
}

static bool
task_get(void *arg, const char *key, int len, Value *value)
{
	int			i;

	for (i = 0; i < lengthof(task_members); i++)
	{
		if (strlen(task_members[i]) == len && memcmp(task_members[i], key, len) == 0)
		{
			*value = task_member(arg, i);
			return true;
		}
	}
	return false;
}

static void
task_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg)
{
	int			i;

	for (i = 0; i < lengthof(task_members); i++)
		emit(emit_arg, task_members[i], strlen(task_members[i]));
}

/* Of a task of our own tree: most expressions ask for its result and nothing else. */
static Value
task_view(Task *task)
{
	ValueSource source = {task_get, task_keys, task};

	return value_view(1, &source);
}

/* All of it now: the tree may be another one, which is not kept. */
static Value
task_value(Task *task)
{
	Value		dict = value_dict_new();
	int			i;

	for (i = 0; i < lengthof(task_members); i++)
		value_dict_set(&dict, task_members[i], task_member(task, i));
	return dict;
}

static Value
execution_value(Execution *execution)
{
	Tree	   *tree = execution->tree;
	Value		dict = value_dict_new();

	value_dict_set(&dict, "id", text_value(id_cstring(&execution->id)));
	value_dict_set(&dict, "name", text_value(execution->name));
	value_dict_set(&dict, "spec", json_value(execution->workflow ? execution->workflow->spec : NULL));
	value_dict_set(&dict, "input", json_value(json_ref_get(execution->cxt, &execution->input)));
	value_dict_set(&dict, "params", json_value(json_ref_get(execution->cxt, &execution->params)));
	value_dict_set(&dict, "created_at", time_value(execution->created_at));
	value_dict_set(&dict, "updated_at", time_value(execution->updated_at));
	value_dict_set(&dict, "root_execution_id",
				   execution->parent_task ? text_value(id_cstring(&tree->root_id)) : value_null());
	return dict;
}

/* ---------------------------------------------------------------- functions */

static Value
host_task(void *arg, const char *name)
{
	EvalPlace  *place = arg;
	Execution  *execution = place->execution;
	Task	   *task = place->task;

	/* An action run alone has no workflow around it. */
	if (execution->workflow == NULL)
		return value_null();
	if (name != NULL && (task == NULL || strcmp(name, task->name) != 0))
	{
		int			spec = spec_task_index(execution->workflow, name);

		task = spec >= 0 && execution->last[spec] >= 0 ? execution->tasks[execution->last[spec]] : NULL;
	}
	return task ? task_view(task) : value_null();
}

/* Without an execution: the tasks of every execution that the owner may see. */
static Value
host_tasks(void *arg, const char *execution_id, bool recursive, const char *state, bool flat)
{
	EvalPlace  *place = arg;
	TaskFilter	filter = {recursive && execution_id, flat, state == NULL, STATE_IDLE, value_list_new()};

	if (state && !state_parse(state, &filter.state))
		return filter.list;
	if (execution_id)
	{
		Execution  *execution = find_anywhere(place->execution->tree, execution_id, place->execution->owner);

		if (execution)
			add_tasks(&filter, execution);
	}
	else
	{
		pg_uuid_t  *ids;
		int			n = list_executions(place, NULL, NULL, NULL, NULL, NULL, &ids);
		int			i;

		for (i = 0; i < n; i++)
		{
			Execution  *execution = find_anywhere(place->execution->tree, id_cstring(&ids[i]), place->execution->owner);

			if (execution)
				add_tasks(&filter, execution);
		}
	}
	return filter.list;
}

static Value
host_execution(void *arg)
{
	EvalPlace  *place = arg;

	return execution_value(place->execution);
}

/* The times are lower bound (included) and upper bound (not included) of created_at. */
static Value
host_executions(void *arg, const char *id, const char *root_id, const char *state,
				const char *from_time, const char *to_time)
{
	EvalPlace  *place = arg;
	Value		list = value_list_new();
	pg_uuid_t  *ids;
	int			n = list_executions(place, id, root_id, state, from_time, to_time, &ids);
	int			i;

	for (i = 0; i < n; i++)
	{
		Execution  *execution = find_anywhere(place->execution->tree, id_cstring(&ids[i]), place->execution->owner);

		if (execution)
			value_list_append(&list, execution_value(execution));
	}
	return list;
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
	JsonbValue *value = json_get(json_ref_get(place->execution->cxt, &place->execution->globals), name, strlen(name));

	return value ? value_from_jsonb_value(value) : value_null();
}

/* What stands for the secret until a request goes out. */
static Value
host_secret(void *arg, const char *name)
{
	EvalPlace  *place = arg;
	char	   *error;
	char	   *reference = secret_reference(name, &place->execution->tree->root_id, place->execution->owner, &error);

	if (reference == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_EXPRESSION),
				 errmsg("%s", error)));
	return text_value(reference);
}

static Value
host_variable_of(void *arg, ExprVariable variable)
{
	return host_variable(arg, variable);
}

/* ---------------------------------------------------------------- finding */

static void
add_tasks(TaskFilter *filter, Execution *execution)
{
	int			i;

	check_stack_depth();
	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		if (task == NULL)
			continue;
		if ((filter->any_state || task->state == filter->state) && !(filter->flat && has_sub_in_state(task)))
			value_list_append(&filter->list, task_value(task));
		if (!filter->recursive)
			continue;
		foreach(lc, task->subs)
			add_tasks(filter, lfirst(lc));
	}
}

/* A flat list leaves out a task whose sub-workflow says the same. */
static bool
has_sub_in_state(const Task *task)
{
	ListCell   *lc;

	foreach(lc, task->subs)
	{
		if (((Execution *) lfirst(lc))->state == task->state)
			return true;
	}
	return false;
}

static pg_uuid_t
parse_id(const char *text)
{
	pg_uuid_t	id;

	if (!id_parse(text, &id))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_EXPRESSION),
				 errmsg("\"%s\" is not the id of an execution", text)));
	return id;
}

static bool
find_root(const pg_uuid_t *id, Oid owner, pg_uuid_t *root_id)
{
	static DbStatement select = {
		"SELECT owner, root_id FROM mistral.execution WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return false;
	*root_id = *DatumGetUUIDP(db_datum(0, 2, &isnull));
	return has_privs_of_role(owner, DatumGetObjectId(db_datum(0, 1, &isnull)));
}

/* NULL when there is none that the owner may see. */
static Execution *
find_anywhere(Tree *own, const char *id, Oid owner)
{
	pg_uuid_t	wanted = parse_id(id);
	Execution  *execution = tree_find_execution(own, &wanted);
	pg_uuid_t	root_id;

	if (execution || !find_root(&wanted, owner, &root_id))
		return execution;
	return tree_find_execution(store_read_tree(&root_id), &wanted);
}

/*
 * The ids of executions that fit, oldest first and those of the own tree last;
 * an error when there are too many.
 */
static int
list_executions(const EvalPlace *place, const char *id, const char *root_id, const char *state,
				const char *from_time, const char *to_time, pg_uuid_t **ids)
{
	static DbStatement select = {
		"SELECT id, owner FROM mistral.execution WHERE ($1 IS NULL OR id OPERATOR(pg_catalog.=) $1) "
		"AND ($2 IS NULL OR (root_id OPERATOR(pg_catalog.=) $2 AND root_id OPERATOR(pg_catalog.<>) id)) "
		"AND ($3 IS NULL OR state OPERATOR(pg_catalog.=) $3) "
		"AND ($4 IS NULL OR created_at OPERATOR(pg_catalog.>=) $4) "
		"AND ($5 IS NULL OR created_at OPERATOR(pg_catalog.<) $5) "
		"AND root_id OPERATOR(pg_catalog.<>) $6 ORDER BY id",
		6, {UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID}
	};
	Oid			owner = place->execution->owner;
	pg_uuid_t	id_value;
	pg_uuid_t	root_value;
	Datum		values[6] = {0};
	char		nulls[6];
	uint64		found;
	ListCell   *lc;
	uint64		i;
	int			n = 0;

	memset(nulls, 'n', sizeof(nulls));
	if (id)
	{
		id_value = parse_id(id);
		values[0] = UUIDPGetDatum(&id_value);
		nulls[0] = ' ';
	}
	if (root_id)
	{
		root_value = parse_id(root_id);
		values[1] = UUIDPGetDatum(&root_value);
		nulls[1] = ' ';
	}
	if (state)
	{
		values[2] = CStringGetTextDatum(state);
		nulls[2] = ' ';
	}
	if (from_time)
	{
		values[3] = time_datum(from_time);
		nulls[3] = ' ';
	}
	if (to_time)
	{
		values[4] = time_datum(to_time);
		nulls[4] = ' ';
	}
	values[5] = UUIDPGetDatum(&place->execution->tree->root_id);
	nulls[5] = ' ';
	found = db_execute(&select, values, nulls, false, 0);
	*ids = palloc(sizeof(pg_uuid_t) * (MAX_EXECUTIONS + list_length(place->execution->tree->executions)));
	for (i = 0; i < found; i++)
	{
		bool		isnull;

		if (!has_privs_of_role(owner, DatumGetObjectId(db_datum(i, 2, &isnull))))
			continue;
		if (n == MAX_EXECUTIONS)
			ereport(ERROR,
					(errcode(ERRCODE_MISTRAL_EXPRESSION_LIMIT),
					 errmsg("more than %d executions fit; ask for fewer", MAX_EXECUTIONS)));
		(*ids)[n++] = *DatumGetUUIDP(db_datum(i, 1, &isnull));
	}
	foreach(lc, place->execution->tree->executions)
	{
		Execution  *own = lfirst(lc);

		if ((id && !id_equal(&own->id, &id_value)) ||
			(root_id && (own->parent_task == NULL || !id_equal(&own->tree->root_id, &root_value))) ||
			(state && strcmp(state_name(own->state), state) != 0) ||
			(from_time && own->created_at < DatumGetTimestampTz(values[3])) ||
			(to_time && own->created_at >= DatumGetTimestampTz(values[4])))
			continue;
		(*ids)[n++] = own->id;
	}
	return n;
}

/* "YYYY-MM-DD" or "YYYY-MM-DD HH:MM:SS", as created_at is given: in UTC. */
static Datum
time_datum(const char *text)
{
	struct pg_tm tm = {0};
	int			zone = 0;
	int			n;
	char		separator;
	char		rest;
	TimestampTz result;

	n = sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &separator,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &rest);
	if ((n != 3 && n != 7) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
		tm2timestamp(&tm, 0, &zone, &result) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_EXPRESSION),
				 errmsg("\"%s\" is not a time like 2026-01-31 12:00:00", text)));
	return TimestampTzGetDatum(result);
}
