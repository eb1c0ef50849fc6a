/*
 * host.h
 *		What the engine offers to expressions: task(), tasks(), execution(),
 *		executions(), env(), global(), secret().
 */
#ifndef MISTRAL_HOST_H
#define MISTRAL_HOST_H

#include "engine/evaluate.h"
#include "expr/expr.h"

/* The callbacks; their argument is an EvalPlace. */
extern const ExprHost engine_host;

/* A variable, as a value; null where the place has none. */
extern Value host_variable(const EvalPlace *place, ExprVariable variable);

#endif							/* MISTRAL_HOST_H */
