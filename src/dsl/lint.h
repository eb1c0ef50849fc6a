/*
 * lint.h
 *		What the rules of lint share.
 *
 * A rule looks at one thing and says what is legal and surprising about it.  To
 * add one: a function in a lint_*.c, a line in lint_list.h, a bad and a good
 * example in test/pgtap/lint.sql, a row in docs/validation.md.
 */
#ifndef MISTRAL_LINT_H
#define MISTRAL_LINT_H

#include "postgres.h"

#include "dsl/check.h"

/* One way from a task to a task, as the engine goes it. */
typedef struct LintEdge
{
	int			from;
	int			to;
	ClauseKind	kind;
	const ClauseTarget *target;
	bool		own;			/* of the task itself, not of task-defaults */
	bool		never;			/* its condition is constantly false */
} LintEdge;

typedef struct Lint
{
	Check	   *check;
	const SpecActions *actions;
	const YamlNode *root;
	/* the definition that is looked at */
	const YamlNode *key;
	const YamlNode *definition;
	/* of a workflow */
	bool		reverse;
	const YamlNode *defaults;	/* or NULL */
	TaskTable	table;
	List	  **out;			/* of LintEdge *, by task */
	List	  **in;
	bool	   *reached;		/* by task: from a task that is started */
	int			nvariables;
	const char **variables;		/* that anything in the workflow gives, sorted */
} Lint;

/* Where a text is evaluated. */
typedef struct LintPlace
{
	const TaskEntry *task;		/* NULL: outside of tasks */
	bool		items;			/* the variables of with-items are there */
	bool		checked;		/* expressions were checked */
	bool		variables;		/* what variables there are is known */
} LintPlace;

typedef void (*LintValueRule) (Lint *lint, const YamlNode *value);
typedef void (*LintTextRule) (Lint *lint, const YamlNode *text, const LintPlace *place);
typedef void (*LintTaskRule) (Lint *lint, const TaskEntry *task);
typedef void (*LintClauseRule) (Lint *lint, const YamlNode *clause, ClauseKind kind);
typedef void (*LintRule) (Lint *lint);

#define LINT_VALUE(function) extern void function(Lint *lint, const YamlNode *value);
#define LINT_TEXT(function) extern void function(Lint *lint, const YamlNode *text, const LintPlace *place);
#define LINT_KEY(function) extern void function(Lint *lint, const YamlNode *key);
#define LINT_TASK(function) extern void function(Lint *lint, const TaskEntry *task);
#define LINT_CLAUSE(function) extern void function(Lint *lint, const YamlNode *clause, ClauseKind kind);
#define LINT_WORKFLOW(function) extern void function(Lint *lint);
#define LINT_ACTION(function) extern void function(Lint *lint);
#include "dsl/lint_list.h"

/* Say something about a node, with the arguments of check_problem: node, hint or NULL, message. */
#define lint_warn(lint, ...) ((void) check_problem((lint)->check, __VA_ARGS__))
#define lint_info(lint, ...) \
	((lint)->check->severity = SPEC_INFO, \
	 (void) check_problem((lint)->check, __VA_ARGS__), \
	 (lint)->check->severity = SPEC_WARNING)

/* A key of a dict and its value, one level down in the path; NULL, and no level, when it is not there. */
extern const YamlNode *lint_enter(Lint *lint, const YamlNode *dict, const char *key, int *mark);

/* ---- lint_graph.c: what the rules ask about tasks and variables */

/* Fills the edges, what is reached, and the variables. */
extern void lint_graph_build(Lint *lint);

/* Whether a condition is the constant false. */
extern bool lint_is_false(const YamlNode *guard);

/* The tasks that this one can run after, as flags by task. */
extern bool *lint_leaders(const Lint *lint, int task);

extern bool lint_has_variable(const Lint *lint, const char *name);

/* The variables that with-items gives, as a List of char *. */
extern List *lint_items(const YamlNode *task);
extern bool lint_has_item(const YamlNode *task, const char *name);

/* ---- lint_walk.c */

/* Calls the rules for texts and keys on whatever is evaluated of the definition. */
extern void lint_evaluated(Lint *lint, SpecKind kind);

/* ---- lint_task.c */

/* Compares the parameters given to a built-in action with those that it has. */
extern void lint_parameters(Lint *lint, const YamlNode *command, const YamlNode *input, const char *input_key);

/* Says what of a command's line is no parameter. */
extern void lint_leftover(Lint *lint, const YamlNode *command);

#endif							/* MISTRAL_LINT_H */
