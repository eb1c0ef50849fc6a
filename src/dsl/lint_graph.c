/*
 * lint_graph.c
 *		How the tasks of a workflow hang together, and what variables there are.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/lint.h"

static void build_edges(Lint *lint);
static void build_reached(Lint *lint);
static void build_variables(Lint *lint);
static void visit_from(List *const *edges, int task, bool after, bool *seen);

/* What every context holds. */
static const char *const always_there[] = {"__env", "__execution", "__task_execution", "openstack"};

void
lint_graph_build(Lint *lint)
{
	build_edges(lint);
	build_reached(lint);
	build_variables(lint);
}

/* ---------------------------------------------------------------- edges */

static void
build_edges(Lint *lint)
{
	int			ntasks = lint->table.ntasks;

	lint->out = palloc0(mul_size(Max(ntasks, 1), sizeof(List *)));
	lint->in = palloc0(mul_size(Max(ntasks, 1), sizeof(List *)));
	for (int i = 0; i < ntasks && !lint->reverse; i++)
	{
		const TaskEntry *task = &lint->table.tasks[i];

		for (int kind = 0; kind < CLAUSE_COUNT; kind++)
		{
			bool		own = parse_clause(yaml_get(task->node, clause_keys[kind], NULL)) != NIL;
			ListCell   *lc;

			foreach(lc, task_targets(task->node, task->name, lint->defaults, kind))
			{
				const ClauseTarget *target = lfirst(lc);
				int			to = is_engine_command(target->name, NULL) ? -1 : task_table_find(&lint->table, target->name);
				LintEdge   *edge;

				CHECK_FOR_INTERRUPTS();
				if (to < 0)
					continue;
				edge = palloc(sizeof(LintEdge));
				*edge = (LintEdge)
				{
					i, to, kind, target, own, lint_is_false(target->guard)
				};
				lint->out[i] = lappend(lint->out[i], edge);
				lint->in[to] = lappend(lint->in[to], edge);
			}
		}
	}
}

bool
lint_is_false(const YamlNode *guard)
{
	static const char *const words[] = {"false", "False", "null", "none", "None", "0"};
	const char *p;
	int			len;

	if (guard == NULL || guard->kind != YAML_STRING || guard->len < 4)
		return false;
	p = guard->text + 2;
	len = strcspn(p, "%}");
	while (len > 0 && p[len - 1] == ' ')
		len--;
	while (len > 0 && *p == ' ')
	{
		p++;
		len--;
	}
	for (int i = 0; i < lengthof(words); i++)
	{
		if (len == strlen(words[i]) && memcmp(p, words[i], len) == 0)
			return true;
	}
	return false;
}

/* Marks what can come after a task, or before it; the task itself only where it is in a cycle. */
static void
visit_from(List *const *edges, int task, bool after, bool *seen)
{
	List	   *open = list_make1_int(task);

	while (open != NIL)
	{
		int			at = llast_int(open);
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		open = list_delete_last(open);
		foreach(lc, edges[at])
		{
			const LintEdge *edge = lfirst(lc);
			int			next = after ? edge->to : edge->from;

			if (edge->never || seen[next])
				continue;
			seen[next] = true;
			open = lappend_int(open, next);
		}
	}
}

bool *
lint_leaders(const Lint *lint, int task)
{
	bool	   *seen = palloc0(lint->table.ntasks);

	visit_from(lint->in, task, false, seen);
	return seen;
}

static void
build_reached(Lint *lint)
{
	lint->reached = palloc0(Max(lint->table.ntasks, 1));
	for (int i = 0; i < lint->table.ntasks; i++)
	{
		if (lint->in[i] != NIL || lint->reached[i])
			continue;
		lint->reached[i] = true;
		visit_from(lint->out, i, true, lint->reached);
	}
}

/* ---------------------------------------------------------------- variables */

static void
add_variable(Lint *lint, int *allocated, const YamlNode *name)
{
	if (name->kind != YAML_STRING)
		return;
	if (lint->nvariables == *allocated)
	{
		*allocated *= 2;
		lint->variables = repalloc(lint->variables, mul_size(*allocated, sizeof(char *)));
	}
	lint->variables[lint->nvariables++] = name->text;
}

static void
add_keys(Lint *lint, int *allocated, const YamlNode *dict)
{
	for (int i = 0; dict != NULL && dict->kind == YAML_DICT && i < dict->nitems; i++)
		add_variable(lint, allocated, dict->keys[i]);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
build_variables(Lint *lint)
{
	static const char *const publishes[] = {"publish", "publish-on-error", "publish-on-skip"};
	const YamlNode *input = yaml_get(lint->definition, "input", NULL);
	int			allocated = 64;

	lint->nvariables = 0;
	lint->variables = palloc(allocated * sizeof(char *));
	for (int i = 0; input != NULL && i < input->nitems; i++)
	{
		if (input->items[i]->kind == YAML_DICT)
			add_keys(lint, &allocated, input->items[i]);
		else
			add_variable(lint, &allocated, input->items[i]);
	}
	add_keys(lint, &allocated, yaml_get(lint->definition, "vars", NULL));
	for (int i = 0; i < lint->table.ntasks; i++)
	{
		const YamlNode *task = lint->table.tasks[i].node;

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < lengthof(publishes); k++)
			add_keys(lint, &allocated, yaml_get(task, publishes[k], NULL));
		for (int kind = 0; kind < CLAUSE_COUNT; kind++)
		{
			const YamlNode *publish = clause_publish(yaml_get(task, clause_keys[kind], NULL));

			add_keys(lint, &allocated, yaml_get(publish, "branch", NULL));
			add_keys(lint, &allocated, yaml_get(publish, "global", NULL));
		}
	}
	qsort(lint->variables, lint->nvariables, sizeof(char *), compare_names);
}

bool
lint_has_variable(const Lint *lint, const char *name)
{
	for (int i = 0; i < lengthof(always_there); i++)
	{
		if (strcmp(always_there[i], name) == 0)
			return true;
	}
	return lint->nvariables > 0 &&
		bsearch(&name, lint->variables, lint->nvariables, sizeof(char *), compare_names) != NULL;
}

List *
lint_items(const YamlNode *task)
{
	const YamlNode *node = yaml_get(task, "with-items", NULL);
	int			nitems = node == NULL ? 0 : node->kind == YAML_LIST ? node->nitems : 1;
	List	   *names = NIL;

	for (int i = 0; i < nitems; i++)
	{
		char	   *name;
		YamlNode   *list;

		if (parse_with_item(node->kind == YAML_LIST ? node->items[i] : node, &name, &list) == NULL)
			names = lappend(names, name);
	}
	return names;
}

bool
lint_has_item(const YamlNode *task, const char *name)
{
	ListCell   *lc;

	foreach(lc, lint_items(task))
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}
