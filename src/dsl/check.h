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

/* The hint where a key has nothing below it. */
#define DEEPER "What belongs to a key is indented deeper than the key."

/* More problems than anybody reads. */
#define MAX_PROBLEMS 1000

typedef struct Check
{
	const YamlSource *source;
	SpecDocument *document;
	StringInfoData path;		/* of what is being looked at */
	SpecSeverity severity;		/* of the problems that are noted */
} Check;

/* Notes a problem at a node; hint may be NULL. Returns false, for the caller to return. */
extern bool check_problem(Check *check, const YamlNode *at, const char *hint, const char *format,...)
			pg_attribute_printf(4, 5);
extern bool check_problem_at(Check *check, int line, int col, char *message, const char *hint);

/* Goes one key (or list index) down in the path; the result goes to check_leave. */
extern int	check_enter(Check *check, const char *key);
extern int	check_enter_index(Check *check, int index);
extern void check_leave(Check *check, int mark);

/* So many names are compared for a "Did you mean ...?". */
#define MAX_CANDIDATES 1000

/* "Did you mean ...?" or NULL: the nearest of the first MAX_CANDIDATES within a third of its length. */
extern char *suggest(const char *word, const char *const *candidates, int ncandidates);

/* A rule looks at one value and reports what is wrong; true when nothing is. */
typedef bool (*CheckRule) (Check *check, const YamlNode *node);

typedef struct KeyTable KeyTable;

/*
 * What a value may be: the rule that checks it, and the same in the words of
 * JSON Schema, with ' for ".  In the schema, @keys stands for a dictionary with
 * the keys of the table, @patterns for texts of one of the patterns.
 */
typedef struct ValueType
{
	const char *name;			/* among the schema's definitions */
	CheckRule	rule;			/* NULL: whoever checks the dict looks at it itself */
	const char *schema;
	const KeyTable *keys;
	int			npatterns;
	PatternId	patterns[3];
} ValueType;

#define KEY_REQUIRED	0x01
#define KEY_DIRECT		0x02	/* only in tasks of direct workflows */
#define KEY_REVERSE		0x04	/* only in tasks of reverse workflows */
#define KEY_INJECTED	0x08	/* accepted and overwritten, not worth suggesting */

typedef struct KeyRule
{
	const char *key;
	const ValueType *type;
	int			flags;
	const char *description;	/* a sentence for editors */
} KeyRule;

/* The keys of one kind of dict. */
struct KeyTable
{
	const char *what;			/* in messages: "a task" */
	const KeyRule *rules;
	int			nrules;
	bool		strict;			/* unknown keys are problems */
	int			leave_out;		/* KEY_DIRECT or KEY_REVERSE: keys that count as unknown */
};

/* Checks a dict against a table. */
extern bool check_table(Check *check, const YamlNode *dict, const KeyTable *table);

/* "Did you mean ...?" for a key that the table lacks, or NULL. */
extern char *suggest_key(const KeyTable *table, const YamlNode *key);

/* Where a key is missing: the unknown one that may be meant, as a hint, or NULL. */
extern char *misspelt_key(const KeyTable *table, const YamlNode *dict, const char *wanted);

extern const KeyTable workbook_keys;
extern const KeyTable workflow_keys;
extern const KeyTable defaults_keys;
extern const KeyTable direct_task_keys;
extern const KeyTable reverse_task_keys;
extern const KeyTable action_keys;

/* ---- types of values, by the file that has their rules; a line in schema.c each */

/* check_value.c */
extern const ValueType type_any;
extern const ValueType type_text;
extern const ValueType type_unique_texts;
extern const ValueType type_text_or_texts;
extern const ValueType type_version;
extern const ValueType type_workbook_version;
extern const ValueType type_expression;
extern const ValueType type_expression_or_integer;
extern const ValueType type_expression_or_boolean;
extern const ValueType type_dict;
extern const ValueType type_expressions;
extern const ValueType type_parameters;

/* check_clause.c */
extern const ValueType type_target;
extern const ValueType type_condition;
extern const ValueType type_target_list;
extern const ValueType type_next;
extern const ValueType type_publish;
extern const ValueType type_clause;
extern const ValueType type_backoff;
extern const ValueType type_seconds;
extern const ValueType type_jitter;
extern const ValueType type_retry;
extern const ValueType type_with_item;
extern const ValueType type_with_items;
extern const ValueType type_join;
extern const ValueType type_task_input;
extern const ValueType type_command;

/* check_workflow.c */
extern const ValueType type_workflow_type;
extern const ValueType type_defaults;
extern const ValueType type_tasks;
extern const ValueType type_direct_tasks;
extern const ValueType type_reverse_tasks;
extern const ValueType type_task;
extern const ValueType type_reverse_task;
extern const ValueType type_workflow;
extern const ValueType type_any_value;
extern const ValueType type_action;

/* spec_document.c */
extern const ValueType type_workflows;
extern const ValueType type_actions;
extern const ValueType type_workbook;
extern const ValueType type_list;

/* ---- rules that several files use (check_value.c) */
extern bool rule_text(Check *check, const YamlNode *node);
extern bool rule_unique_texts(Check *check, const YamlNode *node);
extern bool rule_text_or_texts(Check *check, const YamlNode *node);
extern bool rule_version(Check *check, const YamlNode *node);
extern bool rule_workbook_version(Check *check, const YamlNode *node);
extern bool rule_expression_or_number(Check *check, const YamlNode *node, double lowest, double highest,
									  const char *what);	/* what: the values that are right, for the message */
extern bool rule_dict(Check *check, const YamlNode *node);	/* not empty */
extern bool rule_expressions(Check *check, const YamlNode *node);	/* and its expressions parse */

extern bool is_integer(const YamlNode *node);	/* also 1.0 */
extern bool is_natural(const YamlNode *node);	/* an integer from 0 */
extern bool is_expression(const YamlNode *node);	/* a text that is one expression */

/* Whether the expressions of a text, or directly in a list or dict, parse. */
extern bool check_expressions(Check *check, const YamlNode *node);

/* Whether all items differ; reports the first that does not. */
extern bool check_unique(Check *check, const YamlNode *list);

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

/*
 * Reads and checks a document; its definitions are collected when it has no
 * problems.  NULL when there is no tree.
 */
extern YamlNode *check_document(Check *check, SpecDocument *document, const char *text, int len, SpecKind kind);

extern void check_workflow(Check *check, const YamlNode *key, const YamlNode *workflow);
extern void check_workflow_links(Check *check, const YamlNode *key, const YamlNode *workflow, bool sound);
extern void check_action(Check *check, const YamlNode *key, const YamlNode *action);

extern void spec_sort_problems(SpecDocument *document);

/* Texts for the catalog. */
extern char *yaml_key_text(const YamlNode *key);
extern char *parameters_line(const YamlNode *input);

/* A workflow's start form (spec.h), of its checked definition; NULL when it evaluates something at its start. */
extern Jsonb *start_form(const YamlNode *definition);
extern List *tags_list(const YamlNode *tags);

#endif							/* MISTRAL_CHECK_H */
