/*
 * mistral_functions.h
 *		The functions that Mistral adds to both languages, as either calls them.
 */
#ifndef MISTRAL_MISTRAL_FUNCTIONS_H
#define MISTRAL_MISTRAL_FUNCTIONS_H

#include "postgres.h"

#include "expr/value_internal.h"

/* The most parameters that one of them has. */
#define MISTRAL_MAX_PARAMETERS 5

typedef struct MistralCall
{
	Eval	   *ev;
	const char *name;
	Value		context;		/* what json_pp() shows when it is given nothing */
	Value		args[MISTRAL_MAX_PARAMETERS];	/* null: not given */
} MistralCall;

typedef struct MistralFunction
{
	const char *name;
	Value		(*function) (MistralCall *call);
	bool		asks_engine;
} MistralFunction;

/* The function of that name, or NULL. */
extern const MistralFunction *mistral_function(const char *name);

#define MISTRAL(name, function, asks_engine, yaql, jinja) extern Value function(MistralCall *call);
#include "expr/mistral_func_list.h"
#undef MISTRAL

#endif							/* MISTRAL_MISTRAL_FUNCTIONS_H */
