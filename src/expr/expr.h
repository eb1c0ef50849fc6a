/*
 * expr.h
 *		Expressions: text in, compiled form, value out.  Pure: knows nothing of
 *		SPI, tables or workflows; what needs the engine is asked through
 *		ExprHost.
 *
 * A *template* is one string of a definition: plain text, one expression that
 * fills the string (its value keeps its type), or text with expressions in it
 * (the result is text, in Python's text form).  *Data* is a JSON value with
 * templates anywhere in its values; keys are never evaluated.
 */
#ifndef MISTRAL_EXPR_H
#define MISTRAL_EXPR_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "expr/value.h"

typedef struct ExprTemplate ExprTemplate;
typedef struct ExprData ExprData;

/* What is wrong with an expression, and where: message in the caller's context. */
typedef struct ExprError
{
	char	   *message;		/* lower case, no final period; NULL when there is no error */
	char	   *expected;		/* what would have been right, or NULL */
	int			offset;			/* bytes from the start of the template's text */
	bool		limit;			/* not wrong, but nested too deeply */
} ExprError;

/* The variables that an environment has besides its root. */
typedef enum ExprVariable
{
	EXPR_ENV,
	EXPR_EXECUTION,
	EXPR_TASK_EXECUTION
} ExprVariable;

/*
 * What the engine offers to expressions.  A callback builds its result with the
 * functions of value.h in the current memory context and returns it; absent
 * things are value_null().  A NULL callback makes the function an error ("is
 * not available here").
 */
typedef struct ExprHost
{
	Value		(*task) (void *arg, const char *name);	/* name NULL: the current task */
	Value		(*tasks) (void *arg, const char *execution_id, bool recursive, const char *state, bool flat);
	Value		(*execution) (void *arg);
	Value		(*executions) (void *arg, const char *id, const char *root_id, const char *state,
							   const char *from_time, const char *to_time);
	Value		(*env) (void *arg);
	Value		(*global) (void *arg, const char *name);
	Value		(*secret) (void *arg, const char *name);
	Value		(*variable) (void *arg, ExprVariable variable);
} ExprHost;

/*
 * What one evaluation sees; a variable that is VALUE_UNDEFINED is what the host
 * says when an expression names it, or, without a host that does, the root's key of that name.
 */
typedef struct ExprEnv
{
	Value		root;			/* `$` in YAQL, `_` in Jinja2: usually value_view() */
	Value		var_env;		/* $__env */
	Value		var_execution;	/* $__execution */
	Value		var_task_execution; /* $__task_execution */
	const ExprHost *host;
	void	   *host_arg;
} ExprEnv;

/* An environment that is a context alone: its variables are keys of it. */
extern void expr_env_init(ExprEnv *env, const Jsonb *context);	/* NULL: nothing */

/*
 * Compiles a string of a definition into the current memory context.  Returns
 * NULL and fills *error when an expression in it does not parse.  With `lazy`
 * a parse error is not an error here but at evaluation, as the original does
 * below the first level of a value.
 */
extern ExprTemplate *expr_template_compile(const char *text, int len, bool lazy, ExprError *error);

/* Whether the template is plain text, without any expression. */
extern bool expr_template_is_text(const ExprTemplate *tmpl);

/* The value of one that is, else NULL. */
extern const Jsonb *expr_template_constant(const ExprTemplate *tmpl);

/* Whether the string is one expression that fills it (its value keeps its type). */
extern bool expr_template_is_lone(const ExprTemplate *tmpl);

/*
 * Compiles a JSON value into the current memory context.  What does not parse
 * is an error of the evaluation: not everything in a definition is checked when
 * it is loaded.  Keeps no reference to `data`.
 */
extern ExprData *expr_data_compile(const Jsonb *data);


/* The value when it holds no expression at all, else NULL. */
extern const Jsonb *expr_data_constant(const ExprData *data);

/*
 * Evaluate.  The value lives in the current memory context and may refer to
 * the environment's values.  Errors are raised: ERRCODE_MISTRAL_EXPRESSION,
 * _SYNTAX or _LIMIT, naming the expression and never the context's data.
 */
extern Value expr_template_eval(const ExprTemplate *tmpl, const ExprEnv *env);
extern Value expr_data_eval(const ExprData *data, const ExprEnv *env);

/*
 * The stored form of a value: what jsonb keeps, as the original persists it
 * (sets and iterators become lists, keys text, times text).  Raises what
 * cannot be stored (NaN, NUL characters, timespans).
 */
extern Jsonb *value_to_jsonb(const Value *value);

/* Python's truth of a value: null, false, 0, '', empty containers are false. */
extern bool value_truth(const Value *value);

/*
 * The evaluations behind mistral.evaluate: `language` NULL finds the delimiters
 * in the text; "yaql" or "jinja" takes the whole text as a bare expression.
 * What was compiled is kept by its text.  The value is good until the next call.
 */
extern Value expr_eval_text(const char *text, int len, const char *language, const ExprEnv *env);

/* The evaluation behind mistral.evaluate_data, likewise; errors at any depth are raised. */
extern Value expr_eval_jsonb(const Jsonb *data, const ExprEnv *env);

/* The languages are checked without evaluating: false and *error when it does not parse. */
extern bool expr_validate_text(const char *text, int len, ExprError *error);

/* ---------------------------------------------------------------- looking into texts */

typedef enum ExprLanguage
{
	EXPR_PLAIN = 0,				/* no expression */
	EXPR_YAQL = 1,
	EXPR_JINJA = 2,
	EXPR_MIXED = EXPR_YAQL | EXPR_JINJA
} ExprLanguage;

/* The languages of the expressions in a text, by their delimiters. */
extern ExprLanguage expr_language(const char *text, int len);

/*
 * The first open...close from `at` on with no line end inside; false when there
 * is none.  The shortest match, as the original's patterns find it.
 */
extern bool expr_find_delimited(const char *s, int len, int at, const char *open, const char *close, int *from, int *to);

/*
 * What expr_inspect_text tells: a function, filter, test or name that does not
 * exist, with those that do; a variable without which the evaluation is certain
 * to fail.  Offsets are bytes of the text.
 */
typedef struct ExprInspector
{
	void		(*unknown) (void *arg, const char *kind, const char *name, int offset,
							const char *const *known, int nknown);
	void		(*variable) (void *arg, const char *name, int offset);
	void	   *arg;
} ExprInspector;

extern void expr_inspect_text(const char *text, int len, const ExprInspector *inspector);

#endif							/* MISTRAL_EXPR_H */
