/*
 * check.h
 *		What the files that check and compile definitions share.
 *
 * Checking walks the tree of YAML values with tables of keys and rules, and
 * notes every problem with its place; compiling walks a tree that was checked.
 */
#ifndef MISTRAL_CHECK_H
#define MISTRAL_CHECK_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "dsl/pattern.h"
#include "dsl/spec.h"
#include "dsl/yaml.h"

/* More problems than anybody reads. */
#define MAX_PROBLEMS 1000

typedef struct Check
{
	const YamlSource *source;
	SpecDocument *document;
	StringInfoData path;		/* of what is being looked at */
} Check;

/* Notes a problem at a node; hint may be NULL. Returns false, for the caller to return. */
extern bool check_problem(Check *check, const YamlNode *at, const char *hint, const char *format,...)
			pg_attribute_printf(4, 5);
extern bool check_problem_at(Check *check, int line, int col, char *message, const char *hint);

/* Goes one key (or list index) down in the path; the result goes to check_leave. */
extern int	check_enter(Check *check, const char *key);
extern int	check_enter_index(Check *check, int index);
extern void check_leave(Check *check, int mark);

/* "Did you mean ...?" or NULL: the nearest candidate within a third of its length. */
extern char *suggest(const char *word, const char *const *candidates, int ncandidates);

/* A rule looks at one value and reports what is wrong; true when nothing is. */
typedef bool (*CheckRule) (Check *check, const YamlNode *node);

#define KEY_REQUIRED	0x01
#define KEY_DIRECT		0x02	/* only in tasks of direct workflows */
#define KEY_REVERSE		0x04	/* only in tasks of reverse workflows */
#define KEY_INJECTED	0x08	/* accepted and overwritten, not worth suggesting */

typedef struct KeyRule
{
	const char *key;
	CheckRule	rule;			/* NULL: anything */
	int			flags;
} KeyRule;

/*
 * Checks a dict against a table.  `what` names it in messages ("a task").
 * `strict`: unknown keys are problems.  `leave_out`: KEY_DIRECT or KEY_REVERSE
 * keys that count as unknown here.
 */
extern bool check_table(Check *check, const YamlNode *dict, const KeyRule *rules, int nrules,
						const char *what, bool strict, int leave_out);

/* ---- rules for values (check_value.c) */
extern bool rule_text(Check *check, const YamlNode *node);
extern bool rule_unique_texts(Check *check, const YamlNode *node);
extern bool rule_text_or_texts(Check *check, const YamlNode *node);
extern bool rule_version(Check *check, const YamlNode *node);
extern bool rule_workbook_version(Check *check, const YamlNode *node);
extern bool rule_expression(Check *check, const YamlNode *node);
extern bool rule_expression_or_integer(Check *check, const YamlNode *node);
extern bool rule_expression_or_number(Check *check, const YamlNode *node, double lowest, double highest,
									  const char *what);	/* what: the values that are right, for the message */
extern bool rule_expression_or_boolean(Check *check, const YamlNode *node);
extern bool rule_dict(Check *check, const YamlNode *node);	/* not empty */
extern bool rule_expressions(Check *check, const YamlNode *node);	/* and its expressions parse */
extern bool rule_parameters(Check *check, const YamlNode *node);	/* input of a workflow or an action */

extern bool is_integer(const YamlNode *node);	/* also 1.0 */
extern bool is_natural(const YamlNode *node);	/* an integer from 0 */
extern bool is_expression(const YamlNode *node);	/* a text that is one expression */

/* Whether the expressions of a text, or directly in a list or dict, parse. */
extern bool check_expressions(Check *check, const YamlNode *node);

/* Whether all items differ; reports the first that does not. */
extern bool check_unique(Check *check, const YamlNode *list);

/* ---- clauses of tasks (check_clause.c) */
extern bool rule_on_clause(Check *check, const YamlNode *node);
extern bool rule_retry(Check *check, const YamlNode *node);
extern bool rule_with_items(Check *check, const YamlNode *node);
extern bool rule_join(Check *check, const YamlNode *node);
extern bool rule_task_input(Check *check, const YamlNode *node);
extern bool rule_command(Check *check, const YamlNode *node);	/* action, workflow, base */

/* ---- small languages inside texts (inline.c) */

/* `name k=v ...`: the name, and a dict of parameters (NULL: none). False: no name at the start. */
extern bool parse_command(const YamlNode *node, char **name, YamlNode **params);

/* `retry` as a dict, also when written in one line; NULL when it cannot be read. */
extern YamlNode *parse_retry(const YamlNode *node);

/* `var in list`: list is a text with an expression, or a list. Returns what is wrong, or NULL. */
extern const char *parse_with_item(const YamlNode *node, char **var, YamlNode **list);

/* One target of an on-* clause, as written. */
typedef struct ClauseTarget
{
	char	   *name;
	const YamlNode *guard;		/* NULL: none */
	const YamlNode *params;		/* dict, NULL: none */
	const YamlNode *at;
} ClauseTarget;

/* The targets of a clause (NULL: absent), as a List of ClauseTarget. */
extern List *parse_clause(const YamlNode *clause);

/* The `publish` part of a clause in the {publish, next} form, or NULL. */
extern const YamlNode *clause_publish(const YamlNode *clause);

/* ---- whole definitions */
typedef enum ClauseKind
{
	ON_SUCCESS,
	ON_ERROR,
	ON_COMPLETE,
	ON_SKIP
} ClauseKind;

#define CLAUSE_COUNT (ON_SKIP + 1)

extern const char *const clause_keys[CLAUSE_COUNT];

extern bool is_engine_command(const char *name, EngineCommand *command);

/* The targets that count for a task: its own clause's, else those of the defaults but itself. */
extern List *task_targets(const YamlNode *task, const char *task_name, const YamlNode *defaults, ClauseKind kind);

/* Tasks of a workflow by name. */
typedef struct TaskEntry
{
	const char *name;
	const YamlNode *key;
	const YamlNode *node;
	int			index;			/* in the document's order */
} TaskEntry;

typedef struct TaskTable
{
	int			ntasks;
	TaskEntry  *tasks;			/* in the document's order */
	TaskEntry  *by_name;		/* sorted */
} TaskTable;

extern void task_table_build(TaskTable *table, const YamlNode *tasks);
extern int	task_table_find(const TaskTable *table, const char *name);

extern void check_workflow(Check *check, const YamlNode *key, const YamlNode *workflow);
extern void check_workflow_links(Check *check, const YamlNode *key, const YamlNode *workflow, bool sound);
extern void check_action(Check *check, const YamlNode *key, const YamlNode *action);

/* What this version does not run yet (not_built.c). */
extern List *collect_not_built(Check *check, const YamlNode *definition, SpecKind kind);

extern void spec_sort_problems(SpecDocument *document);

/* Texts for the catalog. */
extern char *yaml_key_text(const YamlNode *key);
extern char *parameters_line(const YamlNode *input);
extern List *tags_list(const YamlNode *tags);

#endif							/* MISTRAL_CHECK_H */
