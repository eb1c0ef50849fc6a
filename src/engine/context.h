/*
 * context.h
 *		The data flow: which variables a task sees and where their values are.
 *
 * A scope maps each variable to the task that published it; nothing is copied
 * along a branch.  Where branches meet, the variable that was published more
 * often along its branch wins (the original's context versioning), the last
 * branch at a tie, and objects are merged member by member; only such merged
 * values are stored with the join.
 */
#ifndef MISTRAL_CONTEXT_H
#define MISTRAL_CONTEXT_H

#include "engine/scope.h"

/* The scope after the task: inbound plus what it published. In the tree's context. */
extern const Scope *scope_outbound(Task *task);

/*
 * The scopes after several tasks of one execution (in order) merged into one.
 * Values that had to be merged are returned as an object in *merged (NULL:
 * none), to be kept in the `merged` of the task with ordinal `owner`.
 */
extern const Scope *scope_merge(Execution *execution, Task **tasks, int ntasks, int owner, Jsonb **merged);

/* The value of an entry. */
extern JsonbValue *scope_value(Execution *execution, const ScopeEntry *entry, const Jsonb *merged);

/* The whole as one object; `merged` holds the values of entries with a negative ordinal. */
extern Jsonb *scope_to_jsonb(Execution *execution, const Scope *scope, const Jsonb *merged);

#endif							/* MISTRAL_CONTEXT_H */
