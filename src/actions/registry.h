/*
 * registry.h
 *		The built-in actions: what they are called, what they take, how they end.
 *
 * To add one: a line in action_list.h, its function in a std_*.c file, a test,
 * and a section in docs/actions.md.
 */
#ifndef MISTRAL_REGISTRY_H
#define MISTRAL_REGISTRY_H

#include "postgres.h"

#include "utils/jsonb.h"

/* How an action comes to its end. */
typedef enum ActionMode
{
	ACTION_INLINE,				/* runs within the engine's step: total, bounded, no side effect */
	ACTION_WAIT,				/* somebody calls complete_action */
	ACTION_ANSWER,				/* somebody who is asked calls approve or reject */
	ACTION_EVENT,				/* an event that is published, or kept, completes it */
	ACTION_HTTP,				/* the executor performs it and records the result */
	ACTION_HTTP_WAIT,			/* the executor sends it; somebody calls complete_action */
	ACTION_PULL,				/* a pull worker claims it and calls complete_action */
	ACTION_SQL,					/* an SQL worker runs it; its effects and its result are one transaction */
	ACTION_MODULE				/* a module does it, in the program mistral_io; the executor records the result */
} ActionMode;

/* What an inline action gives: in the caller's memory context. */
typedef struct ActionOutcome
{
	bool		failed;
	const Jsonb *result;		/* NULL: null */
	int64		delay_ms;		/* the result counts only after this time */
} ActionOutcome;

typedef struct ActionType
{
	const char *name;
	ActionMode	mode;
	const char *params;			/* "a b=1": names, required unless they have a default (JSON); NULL: anything */
	void		(*run) (const Jsonb *input, ActionOutcome *outcome);	/* inline actions only */
	const char *description;
	const char *module;			/* which has to be loaded for it, or NULL */
} ActionType;

extern const ActionType action_types[];
extern const int action_type_count;

/* What stands for every registered action: no parameters are known, but a target, or a function. */
extern const ActionType action_type_registered;
extern const ActionType action_type_function;

/* What stands for every action that a module has brought along. */
extern const ActionType action_type_module;

/* The built-in action of that name, or NULL. */
extern const ActionType *action_type_find(const char *name);

/* The parameters of the built-in action of that name, or NULL. */
extern const char *action_parameters(const char *name);

/* Reads the next of them: false at the end. */
extern bool action_next_parameter(const char **params, const char **name, int *len, bool *required);

/*
 * Checks an input against an action's parameters.  Returns NULL when it fits,
 * else what is missing or unexpected, in the current memory context.
 */
extern char *action_check_input(const ActionType *type, const Jsonb *input);

/* Who performs an action that is dispatched: a constant of its own for HTTP, SQL, and modules. */
extern const char *action_performer(const ActionType *type);

/* Whether mistral.io_modules names the module. */
extern bool action_module_listed(const char *module);

/* The name of a module by its file as mistral.io_modules may give it: without directory and ending. */
extern char *action_module_name(const char *file, int len);

/* Whether pull workers may perform the action. */
#define ACTION_TAKES_TARGET(type) \
	((type)->mode != ACTION_INLINE && (type)->mode != ACTION_ANSWER && (type)->mode != ACTION_EVENT)

/* Whether the action ends outside the engine's step. */
#define ACTION_IS_ASYNC(type) ((type)->mode != ACTION_INLINE)

#endif							/* MISTRAL_REGISTRY_H */
