/*
 * lint_flow.c
 *		Rules for how the tasks of a workflow follow each other.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/lint.h"

/* How a task can end, as flags. */
#define ENDS_SUCCESS	0x01
#define ENDS_ERROR		0x02
#define ENDS_SKIPPED	0x04

/* So far up is looked for a task that branches have in common. */
#define MAX_CHAIN 100

static const int clause_ends[CLAUSE_COUNT] = {
	[ON_SUCCESS] = ENDS_SUCCESS | ENDS_SKIPPED,
	[ON_ERROR] = ENDS_ERROR,
	[ON_COMPLETE] = ENDS_SUCCESS | ENDS_ERROR,
	[ON_SKIP] = ENDS_SKIPPED
};

static bool is_join(const Lint *lint, int task);
static int	only_parent(const Lint *lint, int task, int *ends, int *nedges);
static bool runs_once(const Lint *lint, int task);
static bool leads_to(const Lint *lint, int from, int to);
static int	excluding_ancestor(const Lint *lint, int join, int *ends, int *stamp);

static void
say_at_task(Lint *lint, int task, const YamlNode *at, const char *key, const char *hint, char *message)
{
	int			mark = check_enter(lint->check, "tasks");

	(void) check_enter(lint->check, lint->table.tasks[task].name);
	if (key != NULL)
		(void) check_enter(lint->check, key);
	lint_warn(lint, at, hint, "%s", message);
	check_leave(lint->check, mark);
}

static bool
is_join(const Lint *lint, int task)
{
	return yaml_truth(yaml_get(lint->table.tasks[task].node, "join", NULL));
}

/* A task that only a cycle leads to, or only conditions that are always false. */
void
lint_unreached(Lint *lint)
{
	for (int i = 0; i < lint->table.ntasks; i++)
	{
		bool		never = true;
		ListCell   *lc;

		if (lint->reached[i])
			continue;
		foreach(lc, lint->in[i])
			never = never && ((LintEdge *) lfirst(lc))->never;
		say_at_task(lint, i, lint->table.tasks[i].key, NULL,
					never ? NULL : "Only tasks that no other task leads to are started.",
					never ? "the task never runs: what leads to it is always false" :
					"the task never runs: no task that is started leads to it");
	}
}

/* on-success and on-complete both fire. */
void
lint_twice(Lint *lint)
{
	for (int i = 0; i < lint->table.ntasks; i++)
	{
		ListCell   *lc;

		foreach(lc, lint->out[i])
		{
			const LintEdge *edge = lfirst(lc);
			ListCell   *other;

			CHECK_FOR_INTERRUPTS();
			if (edge->kind != ON_COMPLETE || !edge->own || edge->target->guard != NULL || is_join(lint, edge->to))
				continue;
			foreach(other, lint->out[i])
			{
				const LintEdge *second = lfirst(other);

				if (second->to != edge->to || !second->own || second->target->guard != NULL ||
					(second->kind != ON_SUCCESS && second->kind != ON_ERROR))
					continue;
				say_at_task(lint, i, edge->target->at, clause_keys[ON_COMPLETE], NULL,
							psprintf("\"%s\" runs twice: \"%s\" names it, too", edge->target->name, clause_keys[second->kind]));
				break;
			}
		}
	}
}

/*
 * Two tasks that surely run side by side lead to a task without join.  Tasks
 * start together when nothing leads to them, or one clause of one task alone.
 */
void
lint_once_per_parent(Lint *lint)
{
	int			ntasks = lint->table.ntasks;
	int		   *first = palloc(mul_size(ntasks + 1, sizeof(int)));	/* the parent by its origin */
	int		   *stamp = palloc0(mul_size(ntasks + 1, sizeof(int)));

	for (int i = 0; i < ntasks; i++)
	{
		ListCell   *lc;

		if (is_join(lint, i))
			continue;
		foreach(lc, lint->in[i])
		{
			const LintEdge *edge = lfirst(lc);
			const LintEdge *above = list_length(lint->in[edge->from]) == 1 ? linitial(lint->in[edge->from]) : NULL;
			int			origin = ntasks;

			CHECK_FOR_INTERRUPTS();
			if (edge->target->guard != NULL || edge->kind != ON_SUCCESS)
				continue;
			if (above != NULL && above->kind == ON_SUCCESS && above->target->guard == NULL && above->from != i)
				origin = above->from;
			else if (lint->in[edge->from] != NIL)
				continue;
			if (stamp[origin] != i + 1)
			{
				stamp[origin] = i + 1;
				first[origin] = edge->from;
			}
			else if (first[origin] != edge->from)
			{
				say_at_task(lint, i, lint->table.tasks[i].key, NULL, "With join: all it runs once, after them.",
							psprintf("the task runs once after \"%s\" and once after \"%s\"",
									 lint->table.tasks[first[origin]].name, lint->table.tasks[edge->from].name));
				break;
			}
		}
	}
}

/* ---------------------------------------------------------------- joins */

/* The one task that leads to this one, and how it ends then; -1: none, or several. */
static int
only_parent(const Lint *lint, int task, int *ends, int *nedges)
{
	int			parent = -1;
	ListCell   *lc;

	*ends = *nedges = 0;
	foreach(lc, lint->in[task])
	{
		const LintEdge *edge = lfirst(lc);

		if (parent >= 0 && parent != edge->from)
			return -1;
		parent = edge->from;
		if (!edge->never)
			*ends |= clause_ends[edge->kind];
		(*nedges)++;
	}
	return parent;
}

static bool
runs_once(const Lint *lint, int task)
{
	for (int i = 0; i < MAX_CHAIN; i++)
	{
		int			ends;
		int			nedges;

		if (lint->in[task] == NIL)
			return true;
		task = only_parent(lint, task, &ends, &nedges);
		if (task < 0 || nedges > 1)
			return false;
	}
	return false;
}

/*
 * The task whose end would have to be several at once for all branches of a
 * join to come, or -1.  `ends` is what is left of a task's ends by the branches
 * above which it stands.
 */
static int
excluding_ancestor(const Lint *lint, int join, int *ends, int *stamp)
{
	const List *edges = lint->in[join];

	for (int k = 0; k < list_length(edges);)
	{
		int			task = ((LintEdge *) list_nth(edges, k))->from;
		int			task_ends = 0;
		int			nedges;

		/* The edges of one task stand together. */
		for (; k < list_length(edges) && ((LintEdge *) list_nth(edges, k))->from == task; k++)
		{
			const LintEdge *edge = list_nth(edges, k);

			if (!edge->never)
				task_ends |= clause_ends[edge->kind];
		}
		for (int i = 0; i < MAX_CHAIN && task >= 0 && task != join; i++)
		{
			int			above;
			int			above_ends;

			CHECK_FOR_INTERRUPTS();
			if (stamp[task] != join + 1)
			{
				stamp[task] = join + 1;
				ends[task] = ENDS_SUCCESS | ENDS_ERROR | ENDS_SKIPPED;
			}
			ends[task] &= task_ends;
			if (ends[task] == 0 && runs_once(lint, task))
				return task;
			above = only_parent(lint, task, &above_ends, &nedges);
			task = above;
			task_ends = above_ends;
		}
	}
	return -1;
}

/* Whether a task can run and go on to another. */
static bool
leads_to(const Lint *lint, int from, int to)
{
	ListCell   *lc;

	foreach(lc, lint->out[from])
	{
		const LintEdge *edge = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (edge->to == to && !edge->never)
			return lint->reached[from];
	}
	return false;
}

/* A join that needs all of its branches, some of which never come, or never together. */
void
lint_join_never(Lint *lint)
{
	int			ntasks = lint->table.ntasks;
	int		   *ends = palloc(mul_size(Max(ntasks, 1), sizeof(int)));
	int		   *stamp = palloc0(mul_size(Max(ntasks, 1), sizeof(int)));

	for (int i = 0; i < ntasks; i++)
	{
		const YamlNode *join = yaml_get(lint->table.tasks[i].node, "join", NULL);
		int			parents = 0;
		int			coming = 0;
		int			needed;
		int			absent = -1;
		int			parent = -1;
		int			ancestor;
		ListCell   *lc;

		if (!is_join(lint, i) || !lint->reached[i])
			continue;
		/* The edges of one task stand together. */
		foreach(lc, lint->in[i])
		{
			const LintEdge *edge = lfirst(lc);

			if (edge->from != parent)
				parents++;
			if (edge->from != parent && !leads_to(lint, edge->from, i))
				absent = edge->from;
			else if (edge->from != parent)
				coming++;
			parent = edge->from;
		}
		needed = yaml_is(join, "all") ? parents : yaml_is(join, "one") ? 1 : (int) join->real;
		if (coming < needed)
			say_at_task(lint, i, join, "join", NULL,
						psprintf("the join never fires: task \"%s\" never leads to it", lint->table.tasks[absent].name));
		else if (needed == parents && parents > 1 && (ancestor = excluding_ancestor(lint, i, ends, stamp)) >= 0)
			say_at_task(lint, i, join, "join", "join: one goes on with the branch that comes.",
						psprintf("the join never fires: its branches follow different ends of task \"%s\"",
								 lint->table.tasks[ancestor].name));
	}
}

/* ---------------------------------------------------------------- reverse workflows */

/* The tasks that a task requires, by itself and by the defaults, once each. */
static List *
required_tasks(const Lint *lint, int task)
{
	List	   *found = NIL;

	for (int which = 0; which < 2; which++)
	{
		const YamlNode *node = yaml_get(which == 0 ? lint->table.tasks[task].node : lint->defaults, "requires", NULL);
		int			nitems = node == NULL ? 0 : node->kind == YAML_LIST ? node->nitems : 1;

		for (int i = 0; i < nitems; i++)
		{
			const YamlNode *item = node->kind == YAML_LIST ? node->items[i] : node;
			int			other = item->kind == YAML_STRING ? task_table_find(&lint->table, item->text) : -1;

			if (other >= 0 && other != task)
				found = list_append_unique_int(found, other);
		}
	}
	return found;
}

/* Takes away tasks that require nothing that is left; what stays requires itself. */
void
lint_requires_cycle(Lint *lint)
{
	int			ntasks = lint->table.ntasks;
	List	  **required;
	List	  **dependants;
	int		   *missing;
	List	   *ready = NIL;
	int			left = ntasks;

	if (!lint->reverse)
		return;
	required = palloc0(mul_size(Max(ntasks, 1), sizeof(List *)));
	dependants = palloc0(mul_size(Max(ntasks, 1), sizeof(List *)));
	missing = palloc0(mul_size(Max(ntasks, 1), sizeof(int)));
	for (int i = 0; i < ntasks; i++)
	{
		ListCell   *lc;

		required[i] = required_tasks(lint, i);
		missing[i] = list_length(required[i]);
		if (missing[i] == 0)
			ready = lappend_int(ready, i);
		foreach(lc, required[i])
			dependants[lfirst_int(lc)] = lappend_int(dependants[lfirst_int(lc)], i);
	}
	while (ready != NIL)
	{
		int			task = llast_int(ready);
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		ready = list_delete_last(ready);
		left--;
		foreach(lc, dependants[task])
		{
			if (--missing[lfirst_int(lc)] == 0)
				ready = lappend_int(ready, lfirst_int(lc));
		}
	}
	for (int i = 0; i < ntasks && left > 0; i++)
	{
		int			task = i;

		if (missing[i] == 0)
			continue;
		/* Whoever goes down what is left long enough is in the cycle. */
		for (int step = 0; step < ntasks; step++)
		{
			ListCell   *lc;

			CHECK_FOR_INTERRUPTS();
			foreach(lc, required[task])
			{
				if (missing[lfirst_int(lc)] > 0)
					break;
			}
			task = lfirst_int(lc);
		}
		say_at_task(lint, task, lint->table.tasks[task].key, "requires", "A start that needs it ends at once, and runs nothing.",
					"the task requires itself through others");
		return;
	}
}
