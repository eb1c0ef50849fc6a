/*
 * evaluate.h
 *		Expressions within a workflow: what they see, and errors as data.
 */
#ifndef MISTRAL_EVALUATE_H
#define MISTRAL_EVALUATE_H

#include "engine/tree.h"
#include "expr/expr.h"

/* Where an expression stands; every field but `execution` may be NULL. */
typedef struct EvalPlace
{
	Execution  *execution;
	Task	   *task;			/* the current task */
	const Scope *scope;			/* branch variables */
	const Jsonb *merged;		/* values of a final context's merged entries */
	const Jsonb *first;			/* looked at before everything (an ad-hoc action's input) */
	const Jsonb *items;			/* with-items variables: below what the branch published */
} EvalPlace;

/*
 * Each evaluates and returns the stored form, in the current memory context.
 * When the expression fails they return false and *error says why (in the
 * current context); errors that are not the expression's own are raised.
 */
extern bool evaluate_data(const EvalPlace *place, const ExprData *data, Jsonb **result, char **error);
extern bool evaluate_template(const EvalPlace *place, const ExprTemplate *tmpl, Jsonb **result, char **error);
extern bool evaluate_guard(const EvalPlace *place, const ExprTemplate *guard, bool *result, char **error);
extern bool evaluate_truth(const EvalPlace *place, const ExprData *data, bool *result, char **error);

/* An ad-hoc action's output: `$` is the result itself. */
extern bool evaluate_output(const EvalPlace *place, const ActionSpec *action, const Jsonb *root, Jsonb **result, char **error);

/* The result of a task as expressions see it: NULL for null. In the tree's context. */
extern Jsonb *task_result(Task *task);

/* The environment: params.env of the root execution; NULL when there is none. */
extern Jsonb *execution_env(Execution *execution);

#endif							/* MISTRAL_EVALUATE_H */
