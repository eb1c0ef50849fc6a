/*
 * spec.h
 *		The checked, compiled form of definitions.  Built once by spec_compile*,
 *		read-only afterwards, all in one memory context.
 *
 * Semantics: the language's documents and attributes as the original checks
 * them (see docs/language.md).  Pure: no SPI.
 */
#ifndef MISTRAL_SPEC_H
#define MISTRAL_SPEC_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "expr/expr.h"

/* ---------------------------------------------------------------- problems */

typedef enum SpecSeverity
{
	SPEC_ERROR,					/* refused */
	SPEC_WARNING,				/* legal, and hardly what its author wants */
	SPEC_INFO					/* legal, and good to know */
} SpecSeverity;

/* One thing to say about a definition. */
typedef struct SpecProblem
{
	SpecSeverity severity;
	int			line;			/* from 1 */
	int			col;			/* from 1, in characters */
	char	   *path;			/* e.g. workflows.pay.tasks.send.retry.count */
	char	   *message;		/* lower case, no final period; says what was expected */
	char	   *hint;			/* full sentence, or NULL */
} SpecProblem;

/* ---------------------------------------------------------------- pieces */

typedef struct SpecParam
{
	char	   *name;
	Jsonb	   *default_value;	/* never evaluated; NULL: the parameter is required */
} SpecParam;

typedef enum EngineCommand
{
	COMMAND_TASK,				/* not a command: runs a task */
	COMMAND_FAIL,
	COMMAND_SUCCEED,
	COMMAND_PAUSE,
	COMMAND_NOOP
} EngineCommand;

/* One target of an on-* clause. */
typedef struct SpecTransition
{
	EngineCommand command;		/* wins over a task of the same name */
	char	   *name;			/* as written: task or command */
	int			task;			/* index into WorkflowSpec.tasks, or -1 */
	ExprTemplate *guard;		/* NULL: always */
	ExprData   *params;			/* inline parameters (msg=...), NULL: none */
} SpecTransition;

/* What a task publishes in one final state, from all clauses that publish then. */
typedef struct SpecPublish
{
	bool		present;		/* some clause does, be it `atomic`, which publishes nothing, as in the original */
	ExprData   *branch;			/* NULL: nothing */
	ExprData   *global;
} SpecPublish;

typedef struct SpecOnClause
{
	bool		present;		/* written, even when it names nothing */
	int			ntransitions;
	SpecTransition *transitions;
} SpecOnClause;

/* A policy's value: a literal, or an expression evaluated when it applies. */
typedef struct SpecPolicy
{
	ExprData   *value;			/* NULL: absent (or false-like in the task: see the original's defaults rule) */
} SpecPolicy;

typedef struct SpecRetry
{
	bool		present;
	ExprData   *count;
	ExprData   *delay;
	ExprTemplate *break_on;
	ExprTemplate *continue_on;
	ExprData   *backoff;		/* these three: NULL when absent */
	ExprData   *max_delay;
	ExprData   *jitter;
} SpecRetry;

/* Policies after merging task-defaults (the task's own value when it is truthy). */
typedef struct SpecPolicies
{
	SpecPolicy	pause_before;
	SpecPolicy	wait_before;
	SpecPolicy	wait_after;
	SpecPolicy	fail_on;
	SpecRetry	retry;
	SpecPolicy	timeout;
	SpecPolicy	concurrency;
} SpecPolicies;

typedef enum SpecJoinKind
{
	JOIN_NONE,
	JOIN_ALL,
	JOIN_COUNT					/* `one` is a count of 1 */
} SpecJoinKind;

typedef struct SpecWithItem
{
	char	   *var;
	ExprData   *items;			/* must yield something iterable */
} SpecWithItem;

typedef struct TaskSpec
{
	char	   *name;
	int			index;			/* in WorkflowSpec.tasks */
	Jsonb	   *spec;			/* the task's own text as JSON: task().spec */

	ExprTemplate *action;		/* the action's name; NULL for a sub-workflow */
	ExprTemplate *workflow;		/* the sub-workflow's name; NULL for an action */
	ExprData   *input;			/* dict, or an expression that yields one; NULL: none. Parameters in
								 * the action's line (std.echo output=1) are merged in and win */

	SpecPublish publish;		/* in SUCCESS */
	SpecPublish publish_on_error;
	SpecPublish publish_on_skip;
	SpecOnClause on_success;
	SpecOnClause on_error;
	SpecOnClause on_complete;
	SpecOnClause on_skip;

	SpecPolicies policies;
	bool		keep_result;	/* raw truth, never evaluated */
	bool		safe_rerun;
	bool		safe_rerun_given;	/* written in the task or its defaults */
	ExprTemplate *target;

	SpecJoinKind join;
	int			join_count;
	int			ninbound;		/* tasks that name this one in any on-* clause, once each */
	int		   *inbound;		/* their indexes, ascending */

	int			nwith_items;
	SpecWithItem *with_items;

	int			nrequires;		/* reverse workflows */
	int		   *requires;
} TaskSpec;

typedef struct WorkflowSpec
{
	char	   *name;			/* without the workbook's name */
	bool		reverse;
	int			nparams;
	SpecParam  *params;
	ExprData   *vars;
	ExprData   *output;
	ExprData   *output_on_error;
	ExprData   *timeout;		/* NULL: none */
	List	   *tags;			/* of char * */
	int			ntasks;
	TaskSpec   *tasks;			/* in the document's order */
	int			nstart;			/* tasks that nothing leads to */
	int		   *start;
	int		   *by_name;		/* indexes of tasks, sorted by name (strcmp) */
	Jsonb	   *spec;			/* the workflow's own text as JSON: execution().spec */
} WorkflowSpec;

/* The task's index, or -1. */
extern int	spec_task_index(const WorkflowSpec *workflow, const char *name);

typedef struct ActionSpec		/* ad-hoc action */
{
	char	   *name;
	char	   *base;			/* name of the action below it */
	ExprData   *base_input;		/* with the parameters in the line of `base`, which win */
	int			nparams;
	SpecParam  *params;
	ExprData   *output;			/* NULL: the base's result as it is */
	Jsonb	   *output_as_written;	/* what it is where there is nothing to evaluate it on */
	List	   *tags;
} ActionSpec;

/* ---------------------------------------------------------------- documents */

typedef enum SpecKind
{
	SPEC_UNKNOWN,				/* find out from the document */
	SPEC_WORKBOOK,
	SPEC_WORKFLOW,
	SPEC_ACTION
} SpecKind;

/* One definition that a document makes; its own text can be compiled alone. */
typedef struct SpecDefinition
{
	SpecKind	kind;			/* SPEC_WORKFLOW or SPEC_ACTION */
	char	   *name;			/* qualified: <workbook>.<name> in a workbook */
	char	   *text;			/* its part of the document, as the author wrote it: `<name>: {...}` */
	List	   *tags;			/* of char * */
	char	   *input;			/* its parameters in one line, as the original lists them: "a, b=1" */
	Jsonb	   *start;			/* its start form; NULL: an action, or a start reads all of it */
	int			line;			/* where its name stands in the document */
	int			col;
	char	   *path;
} SpecDefinition;

typedef struct SpecDocument
{
	SpecKind	kind;
	char	   *workbook;		/* name of the workbook, or NULL */
	List	   *tags;			/* of the workbook */
	List	   *definitions;	/* of SpecDefinition *, in the document's order */
	List	   *problems;		/* of SpecProblem *, in the document's order */
	List	   *load_problems;	/* of SpecProblem *: what the language allows and loading refuses */
	bool		too_large;		/* the problem is mistral.max_definition_size */
} SpecDocument;

/*
 * Parses and checks a document.  Never raises for a bad document: problems are
 * in the result (and no definitions then).  Text must be valid in the server's
 * encoding.  Raises only cancellation and lack of memory.
 */
extern SpecDocument *spec_parse(const char *text, int len, SpecKind kind);

/*
 * Adds what only loading refuses, when the document has no other problems:
 * names that cannot be stored.
 */
extern void spec_check_load(SpecDocument *document);

/* A workflow with an overlay over it. */
typedef struct SpecOverlay
{
	List	   *problems;		/* of SpecProblem *, with their places in the overlay's text */
	List	   *tasks;			/* of char *: those that it inserts */
	char	   *text;			/* what is to be compiled in place of the workflow's own text; NULL with problems */
} SpecOverlay;

/*
 * Puts the tasks of an overlay (`tasks`, each with `before` or `after` and a
 * task of the workflow) into a workflow's own text, which may have come of
 * another overlay, and checks what comes out.
 */
extern SpecOverlay *spec_overlay(const char *workflow_text, int len, const char *overlay_text, int overlay_len);

/*
 * Compiles one definition's own text (SpecDefinition.text, checked before)
 * into the current memory context.
 */
extern WorkflowSpec *spec_compile_workflow(const char *text, int len);
extern ActionSpec *spec_compile_action(const char *text, int len);

/*
 * The start form says all that a start has to know of a workflow that evaluates
 * nothing when it starts: its parameters.  It is read back, into the current
 * memory context, as a workflow that has parameters and nothing else; NULL when
 * it is not of this form.
 */
extern WorkflowSpec *spec_read_start_form(const Jsonb *form);

/* Raises the document's first problem as an error; the others go to the detail. */
extern void spec_raise(const SpecDocument *document) pg_attribute_noreturn();

/* What lint needs to know of the built-in actions. */
typedef struct SpecActions
{
	const char *const *names;
	int			nnames;
	/* The parameters of an action, to be read by next_parameter; NULL: there is no such action. */
	const char *(*parameters) (const char *name);
	bool		(*next_parameter) (const char **parameters, const char **name, int *len, bool *required);
} SpecActions;

/*
 * Parses and checks a document as spec_parse does, adds what only loading
 * refuses, and what is legal and surprising: warnings and advice are among the
 * problems.
 */
extern SpecDocument *spec_lint(const char *text, int len, SpecKind kind, const SpecActions *actions);

/* The JSON Schema of every document, from the tables that the check uses, as a JSON text. */
extern char *spec_json_schema(void);

#endif							/* MISTRAL_SPEC_H */
