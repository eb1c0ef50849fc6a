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

/* The environment, and {"id", "name"} (no name: only the id), as values. */
extern Value host_env_value(Execution *execution);
extern Value host_id_and_name(const pg_uuid_t *id, const char *name);

#endif							/* MISTRAL_HOST_H */
