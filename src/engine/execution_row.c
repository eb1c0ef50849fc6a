/*
 * execution_row.c
 *		What a row of mistral.execution holds, read back into an execution.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/json.h"
#include "engine/context.h"
#include "engine/execution_row.h"
#include "engine/states.h"
#include "engine/workflow.h"

/* A row that is being read. */
typedef struct Reader
{
	const Datum *columns;
	const bool *nulls;
} Reader;

static char *read_text(const Reader *r, ExecutionColumn column);
static JsonRef read_json(const Reader *r, ExecutionColumn column);
static TimestampTz read_time(const Reader *r, ExecutionColumn column);
static void read_runtime(Execution *execution, const Jsonb *stored);

Execution *
execution_read(Tree *tree, const Datum *columns, const bool *nulls, const ItemPointerData *place)
{
	Reader		r = {columns, nulls};
	Execution  *execution = execution_alloc(tree, nulls[EXECUTION_PARENT]);
	MemoryContext old = MemoryContextSwitchTo(execution->cxt);
	JsonRef		runtime;

	execution->tid = *place;
	execution->id = *DatumGetUUIDP(columns[EXECUTION_ID]);
	execution->ordinal = DatumGetInt32(columns[EXECUTION_ORDINAL]);
	execution->definition_id = *DatumGetUUIDP(columns[EXECUTION_DEFINITION]);
	execution->owner = DatumGetObjectId(columns[EXECUTION_OWNER]);
	execution->name = read_text(&r, EXECUTION_NAME);
	execution->namespace_ = read_text(&r, EXECUTION_NAMESPACE);
	execution->state = execution_read_state(columns[EXECUTION_STATE]);
	execution->state_info = read_text(&r, EXECUTION_STATE_INFO);
	execution->description = read_text(&r, EXECUTION_DESCRIPTION);
	execution->input = read_json(&r, EXECUTION_INPUT);
	execution->params = read_json(&r, EXECUTION_PARAMS);
	execution->globals = read_json(&r, EXECUTION_GLOBALS);
	execution->output = read_json(&r, EXECUTION_OUTPUT);
	/* The backlog names tasks by their definition. */
	runtime = read_json(&r, EXECUTION_RUNTIME);
	execution->pending_runtime = json_ref_get(execution->cxt, &runtime);
	execution->created_at = read_time(&r, EXECUTION_CREATED_AT);
	execution->updated_at = read_time(&r, EXECUTION_UPDATED_AT);
	execution->finished_at = read_time(&r, EXECUTION_FINISHED_AT);
	MemoryContextSwitchTo(old);
	return execution;
}

State
execution_read_state(Datum column)
{
	State		state = STATE_ERROR;
	char	   *name = TextDatumGetCString(column);

	if (!state_parse(name, &state))
		elog(ERROR, "unexpected state \"%s\"", name);
	pfree(name);
	return state;
}

void
execution_link(Execution *execution)
{
	Tree	   *tree = execution->tree;
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);

	if (execution == tree->root)
		tree->executions = lcons(execution, tree->executions);
	else
		tree->executions = lappend(tree->executions, execution);
	read_runtime(execution, execution->pending_runtime);
	execution->pending_runtime = NULL;
	MemoryContextSwitchTo(old);
}

static void
read_runtime(Execution *execution, const Jsonb *stored)
{
	Jsonb	   *list = json_get_jsonb(stored, "backlog");
	int			n = list && JB_ROOT_IS_ARRAY(list) ? JB_ROOT_COUNT(list) : 0;
	int64		seconds = 0;
	int			i;

	(void) json_get_int(stored, "timeout", &seconds);
	execution->timeout = (int) seconds;
	execution->told = state_is_final(execution->state) && !json_get_bool(stored, "untold", false);
	for (i = 0; i < n; i++)
	{
		Jsonb	   *item = json_from_value(getIthJsonbValueFromContainer(&list->root, i));
		Command    *command = palloc0(sizeof(Command));
		char	   *name = json_get_string(item, "task");
		JsonbValue *event = json_get(item, "event", strlen("event"));
		int64		number = 0;

		(void) json_get_int(item, "kind", &number);
		command->kind = (EngineCommand) number;
		number = -1;
		(void) json_get_int(item, "from", &number);
		command->from = (int) number;
		command->spec = name && execution->workflow ? spec_task_index(execution->workflow, name) : -1;
		command->event = event ? stored_event(event) : NULL;
		command->message = json_get_string(item, "message");
		if (command->kind != COMMAND_TASK || command->spec >= 0)
			execution->backlog = lappend(execution->backlog, command);
	}
}

const char *
stored_event(const JsonbValue *name)
{
	static const char *const events[] = {"on-success", "on-error", "on-complete", "on-skip"};
	int			i;

	for (i = 0; i < lengthof(events); i++)
	{
		if (name->type == jbvString && name->val.string.len == (int) strlen(events[i]) &&
			memcmp(name->val.string.val, events[i], name->val.string.len) == 0)
			return events[i];
	}
	return "";
}

/* ---------------------------------------------------------------- columns */

/* Text, in the current memory context; NULL for NULL. */
static char *
read_text(const Reader *r, ExecutionColumn column)
{
	return r->nulls[column] ? NULL : TextDatumGetCString(r->columns[column]);
}

/* The value as it is stored, copied into the current memory context. */
static JsonRef
read_json(const Reader *r, ExecutionColumn column)
{
	JsonRef		ref = {NULL, NULL};

	if (!r->nulls[column])
		ref.stored = (struct varlena *) DatumGetPointer(datumCopy(r->columns[column], false, -1));
	return ref;
}

static TimestampTz
read_time(const Reader *r, ExecutionColumn column)
{
	return r->nulls[column] ? DT_NOBEGIN : DatumGetTimestampTz(r->columns[column]);
}
