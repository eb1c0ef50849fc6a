/*
 * scope.h
 *		The variables of a branch: where the value of each is.
 *
 * A scope is the one before it and what has been published since, in memory (a
 * tree that shares, scope_tree.h) as in the rows: what a task costs does not
 * grow with what the tasks before it have published.
 */
#ifndef MISTRAL_SCOPE_H
#define MISTRAL_SCOPE_H

#include "engine/scope_tree.h"

#define SCOPE_IS_EMPTY(scope) ((scope)->variables == NULL)

/* The task's scope from now on.  Whoever is given one first holds it, but a join: that one gets another when it runs. */
extern void scope_give(Task *task, const Scope *scope);

/* The entry of a variable; NULL when there is none. */
static inline const ScopeEntry *
scope_find(const Scope *scope, const char *key, int len)
{
	return scope_tree_find(scope->variables, key, len);
}

/* The scope with these entries (`new` is put in order) in place of its own, or beside them. */
extern const Scope *scope_with(Tree *tree, const Scope *before, ScopeEntry *new, int nnew);

/*
 * The stored form, NULL for an empty one.  As a whole: {"var": [ordinal,
 * version]}, or the ordinal alone for version 1; the ordinal -1 - n for a merged
 * value.  Otherwise [{"var": ...}, n], which is the scope of task n with these
 * added.
 *
 * Rows of before may have [n, {"var": ...}], too, and task n [base, {"var":
 * ...}]: then these are added to the base that task n has.
 */
extern Jsonb *scope_store(const Task *task);

/*
 * Reads it.  One that is open has a part in other rows: scope_resolve completes
 * it when all tasks are there.
 */
extern const Scope *scope_load(Task *task, const Jsonb *stored);
extern bool scope_is_open(const Scope *scope);
extern void scope_resolve(Task *task);

#endif							/* MISTRAL_SCOPE_H */
