/*
 * adhoc.h
 *		Ad-hoc actions: from a name and an input down to a built-in action.
 */
#ifndef MISTRAL_ADHOC_H
#define MISTRAL_ADHOC_H

#include "engine/evaluate.h"

/* The links found, outermost first; in the current memory context. */
typedef struct AdhocChain
{
	const ActionType *type;		/* of the action at the bottom, which is built in or registered */
	char	   *name;			/* the full name of what was asked for */
	Jsonb	   *given;			/* the input of what was asked for, with its defaults */
	Jsonb	   *input;			/* of the built-in action */
	List	   *links;			/* of const Definition * */
	char	   *base;			/* the name of the action at the bottom */
	char	   *target;			/* whose pull workers perform it, NULL: nobody's */
} AdhocChain;

/*
 * Resolves an action's name for the place's execution, checks the input of each
 * link and evaluates it down to the built-in action.  False and *error when it
 * cannot; *forced tells whether on-error is passed over (an unknown action or
 * wrong input) or applies (a link below cannot be made).
 */
extern bool adhoc_resolve(const EvalPlace *place, const char *name, const Jsonb *input,
						  AdhocChain *chain, char **error, bool *forced);

/*
 * The chain's target is `target` (NULL: none, or a registered action's own),
 * unless the engine computes the action itself or people answer it.  False and *error when it is no
 * name of a target.
 */
extern bool adhoc_set_target(AdhocChain *chain, const char *target, char **error);

/* The runtime to keep with the action execution; NULL for a plain built-in action. */
extern Jsonb *adhoc_runtime(const AdhocChain *chain);

/* Applies the outputs of the links that `runtime` names, innermost first. */
extern bool adhoc_apply_outputs(const EvalPlace *place, const Jsonb *runtime, Jsonb **result, char **error);

/* Checks given input against declared parameters: NULL, or what is wrong. */
extern char *check_params(const char *what, const char *name, const SpecParam *params, int nparams, const Jsonb *input);

/* The input with the defaults of what is missing. */
extern Jsonb *add_param_defaults(const SpecParam *params, int nparams, const Jsonb *input);

#endif							/* MISTRAL_ADHOC_H */
