/*
 * graph.c
 *		Workflows and executions as pictures: the text that Graphviz and Mermaid draw.
 *
 * What is drawn is what runs: the version with its overlays.  Nodes are called
 * by their numbers, so that names, which are anybody's text, stand in labels only.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "base/db.h"
#include "base/json.h"
#include "engine/control.h"
#include "engine/definitions.h"
#include "engine/graph.h"
#include "engine/hook.h"
#include "engine/states.h"
#include "engine/store.h"
#include "errcodes.h"

/* What happened to a task in an execution: its last run, and how many there were. */
typedef struct TaskRuns
{
	State		state;
	int			n;
} TaskRuns;

typedef struct Graph
{
	StringInfoData text;
	GraphFormat format;
	const Jsonb *overlays;		/* {task: overlay}; NULL: none */
	const TaskRuns *runs;		/* by task; NULL: no execution */
} Graph;

static const char *const format_names[] = {"dot", "mermaid"};

static const char *const command_names[] = {
	[COMMAND_TASK] = "", [COMMAND_FAIL] = "fail", [COMMAND_SUCCEED] = "succeed", [COMMAND_PAUSE] = "pause", [COMMAND_NOOP] = "noop"
};

static const char *const colors[STATE_COUNT] = {
	[STATE_IDLE] = "#eeeeee", [STATE_WAITING] = "#fff3bf", [STATE_RUNNING] = "#a5d8ff", [STATE_DELAYED] = "#fff3bf",
	[STATE_PAUSED] = "#ffd8a8", [STATE_SUCCESS] = "#b2f2bb", [STATE_CANCELLED] = "#ced4da", [STATE_ERROR] = "#ffc9c9",
	[STATE_SKIPPED] = "#eeeeee"
};

static char *draw(const Definition *definition, const TaskRuns *runs, GraphFormat format);
static const Jsonb *read_overlays(const pg_uuid_t *id);
static void add_task(Graph *graph, const TaskSpec *task);
static void add_command(Graph *graph, EngineCommand command);
static void add_edges(Graph *graph, const TaskSpec *task, bool *commands);
static void add_edge(Graph *graph, int from, const char *to_kind, int to, const char *label, bool conditional);
static void add_line(Graph *graph, bool first, const char *text);

GraphFormat
graph_format(const char *name)
{
	for (int i = 0; i < lengthof(format_names); i++)
	{
		if (strcmp(format_names[i], name) == 0)
			return (GraphFormat) i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" does not exist", name),
			 errhint("The formats are dot and mermaid.")));
}

char *
graph_workflow(const char *name, const char *namespace_, GraphFormat format, Oid role)
{
	const Definition *definition = definition_find(SPEC_WORKFLOW, name, namespace_, false, NULL, role);

	/* Who may insert tasks sees where. */
	if (definition == NULL)
		definition = hook_look_up_workflow(name, namespace_, HOOK_INSERT, role);
	if (definition == NULL)
		control_raise_undefined_workflow(name, namespace_);
	return draw(definition, NULL, format);
}

char *
graph_execution(const pg_uuid_t *id, GraphFormat format, Oid role)
{
	pg_uuid_t	root_id;
	Execution  *execution;
	const Definition *definition;
	TaskRuns   *runs;

	control_find_execution(id, role, &root_id);
	execution = tree_find_execution(store_read_tree(&root_id), id);
	if (execution == NULL)
		control_raise_undefined(id);	/* deleted meanwhile */
	definition = definition_by_id(&execution->definition_id);
	if (definition == NULL || definition->workflow == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("the definition of workflow \"%s\" is not there any more", execution->name)));
	runs = palloc0(mul_size(Max(definition->workflow->ntasks, 1), sizeof(TaskRuns)));
	for (int i = 0; i < execution->ntasks; i++)
	{
		const Task *task = execution->tasks[i];
		int			spec = task ? spec_task_index(definition->workflow, task->name) : -1;

		CHECK_FOR_INTERRUPTS();
		if (spec < 0)
			continue;
		runs[spec].state = task->state;
		runs[spec].n++;
	}
	return draw(definition, runs, format);
}

/* ---------------------------------------------------------------- the whole */

static char *
draw(const Definition *definition, const TaskRuns *runs, GraphFormat format)
{
	const WorkflowSpec *workflow = definition->workflow;
	bool		commands[lengthof(command_names)] = {false};
	Graph		graph = {.format = format, .runs = runs};

	graph.overlays = read_overlays(&definition->id);
	initStringInfo(&graph.text);
	if (format == GRAPH_DOT)
	{
		appendStringInfoString(&graph.text, "digraph \"");
		add_line(&graph, true, definition->name);
		appendStringInfoString(&graph.text, "\" {\n  node [shape=box, style=\"filled\", fillcolor=white];\n");
	}
	else
		appendStringInfoString(&graph.text, "flowchart TD\n");
	for (int i = 0; i < workflow->ntasks; i++)
		add_task(&graph, &workflow->tasks[i]);
	for (int i = 0; i < workflow->ntasks; i++)
		add_edges(&graph, &workflow->tasks[i], commands);
	for (int i = 0; i < lengthof(commands); i++)
	{
		if (commands[i])
			add_command(&graph, (EngineCommand) i);
	}
	if (format == GRAPH_DOT)
		appendStringInfoString(&graph.text, "}\n");
	return graph.text.data;
}

/* The tasks of this version that overlays have inserted. */
static const Jsonb *
read_overlays(const pg_uuid_t *id)
{
	static DbStatement select = {
		"SELECT overlays FROM mistral.definition WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[] = {UUIDPGetDatum(id)};
	bool		isnull = true;
	Datum		overlays = (Datum) 0;

	if (db_execute(&select, values, NULL, false, 1) != 0)
		overlays = db_datum(0, 1, &isnull);
	return isnull ? NULL : DatumGetJsonbP(overlays);
}

/* ---------------------------------------------------------------- nodes */

/* A join is a hexagon, a sub-workflow has a double border, and what an overlay has inserted a dashed one. */
static void
add_task(Graph *graph, const TaskSpec *task)
{
	StringInfo	text = &graph->text;
	bool		join = task->join != JOIN_NONE;
	bool		sub = task->workflow != NULL;
	const TaskRuns *runs = graph->runs && graph->runs[task->index].n > 0 ? &graph->runs[task->index] : NULL;
	const char *overlay = graph->overlays ? json_get_string(graph->overlays, task->name) : NULL;

	CHECK_FOR_INTERRUPTS();
	appendStringInfo(text, "  t%d%s\"", task->index, graph->format == GRAPH_DOT ? " [label=" : join ? "{{" : sub ? "[[" : "[");
	add_line(graph, true, task->name);
	if (overlay)
		add_line(graph, false, psprintf("overlay %s", overlay));
	if (runs)
		add_line(graph, false, runs->n == 1 ? state_name(runs->state) : psprintf("%s (%d runs)", state_name(runs->state), runs->n));
	if (graph->format == GRAPH_DOT)
	{
		appendStringInfo(text, "\"%s%s%s", join ? ", shape=hexagon" : "", sub ? ", peripheries=2" : "",
						 overlay ? ", style=\"filled,dashed\"" : "");
		if (runs)
			appendStringInfo(text, ", fillcolor=\"%s\"", colors[runs->state]);
		appendStringInfoString(text, "];\n");
		return;
	}
	appendStringInfo(text, "\"%s\n", join ? "}}" : sub ? "]]" : "]");
	if (runs || overlay)
		appendStringInfo(text, "  style t%d %s%s%s\n", task->index, runs ? psprintf("fill:%s", colors[runs->state]) : "",
						 runs && overlay ? "," : "", overlay ? "stroke-dasharray:5 5" : "");
}

static void
add_command(Graph *graph, EngineCommand command)
{
	appendStringInfo(&graph->text, graph->format == GRAPH_DOT ? "  c%d [label=\"%s\", shape=oval];\n" : "  c%d([\"%s\"])\n",
					 command, command_names[command]);
}

/* ---------------------------------------------------------------- edges */

static void
add_edges(Graph *graph, const TaskSpec *task, bool *commands)
{
	const SpecOnClause *clauses[] = {&task->on_success, &task->on_error, &task->on_complete, &task->on_skip};
	static const char *const labels[] = {"", "on-error", "on-complete", "on-skip"};

	for (int i = 0; i < task->nrequires; i++)
		add_edge(graph, task->requires[i], "t", task->index, "", false);
	for (int c = 0; c < lengthof(clauses); c++)
	{
		for (int i = 0; i < clauses[c]->ntransitions; i++)
		{
			const SpecTransition *transition = &clauses[c]->transitions[i];
			bool		is_task = transition->command == COMMAND_TASK;

			if (is_task && transition->task < 0)
				continue;
			if (!is_task)
				commands[transition->command] = true;
			add_edge(graph, task->index, is_task ? "t" : "c", is_task ? transition->task : (int) transition->command,
					 labels[c], transition->guard != NULL);
		}
	}
}

/* One with a condition is dashed. */
static void
add_edge(Graph *graph, int from, const char *to_kind, int to, const char *label, bool conditional)
{
	StringInfo	text = &graph->text;

	CHECK_FOR_INTERRUPTS();
	if (graph->format == GRAPH_DOT)
		appendStringInfo(text, "  t%d -> %s%d [label=\"%s\"%s];\n", from, to_kind, to, label, conditional ? ", style=dashed" : "");
	else
		appendStringInfo(text, "  t%d %s%s%s%s %s%d\n", from, conditional ? "-.->" : "-->",
						 label[0] ? "|" : "", label, label[0] ? "|" : "", to_kind, to);
}

/* ---------------------------------------------------------------- text */

/* A line of a label between double quotes, whose text says nothing to who draws it. */
static void
add_line(Graph *graph, bool first, const char *line)
{
	StringInfo	text = &graph->text;
	bool		dot = graph->format == GRAPH_DOT;

	if (!first)
		appendStringInfoString(text, dot ? "\\n" : "<br/>");
	for (const char *p = line; *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ')
			appendStringInfoChar(text, ' ');
		else if (dot && (*p == '"' || *p == '\\'))
			appendStringInfo(text, "\\%c", *p);
		else if (!dot && strchr("\"#<>&`\\", *p) != NULL)
			appendStringInfo(text, "#%d;", *p);
		else
			appendStringInfoChar(text, *p);
	}
}
