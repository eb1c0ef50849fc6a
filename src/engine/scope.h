/*
 * scope.h
 *		The variables of a branch: where the value of each is.
 *
 * What a few tasks publish is copied from one scope to the next.  Where there
 * are many variables, scopes share a base and have only what was published since
 * of their own, so that neither memory nor rows grow with each task by all of
 * them.
 */
#ifndef MISTRAL_SCOPE_H
#define MISTRAL_SCOPE_H

#include "engine/tree.h"

#define SCOPE_IS_EMPTY(scope) ((scope)->n == 0 && (scope)->base == NULL)

/* The entry of a variable; NULL when there is none. */
extern const ScopeEntry *scope_find(const Scope *scope, const char *key, int len);

/* Entry after entry, in the order of the keys: start with {scope}; NULL at the end. */
typedef struct ScopeWalk
{
	const Scope *scope;
	int			own;
	int			base;
} ScopeWalk;

extern const ScopeEntry *scope_next(ScopeWalk *walk);

/* The scope with these entries (`new` is put in order) in place of its own, or beside them. */
extern const Scope *scope_with(Tree *tree, const Scope *before, ScopeEntry *new, int nnew);

/* A scope of these entries, in order. */
extern const Scope *scope_make(Tree *tree, const ScopeEntry *entries, int n);

extern int	scope_compare(const ScopeEntry *a, const ScopeEntry *b);

/*
 * The stored form, NULL for an empty one: {"var": [ordinal, version]}, or the
 * ordinal alone for version 1; the ordinal -1 - n for a merged value.  With a base: [base, {"var": ...}], where the base is such an
 * object in the row of its holder, and the holder's ordinal everywhere else.
 */
extern Jsonb *scope_store(const Task *task);

/*
 * Reads it.  A base that another row holds is found by scope_resolve, which the
 * loader calls for every task when all are there.
 */
extern const Scope *scope_load(Task *task, const Jsonb *stored, int *holder);
extern void scope_resolve(Task *task, int holder);

#endif							/* MISTRAL_SCOPE_H */
