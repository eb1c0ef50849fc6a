/*
 * scope_tree.h
 *		Variables by name: trees that share what they have in common.
 *
 * A tree never changes.  One that differs from another in a few variables has
 * new nodes on the way to these, and all the others of that one, so that
 * neither time nor memory grows by more than the logarithm of their number.
 */
#ifndef MISTRAL_SCOPE_TREE_H
#define MISTRAL_SCOPE_TREE_H

#include "engine/tree.h"

/* More than any tree is high: of two branches neither is higher than the other by more than one. */
#define SCOPE_TREE_HEIGHT 64

/* NULL: no variables. */
struct ScopeNode
{
	const ScopeNode *left;
	const ScopeNode *right;
	const ScopeEntry *entry;
	int			height;
	int			n;				/* variables here and below */
};

/* The tree with these entries (ordered by key, each key once) in place of its own, or beside them; they stay where they are. */
extern const ScopeNode *scope_tree_with(MemoryContext cxt, const ScopeNode *tree, const ScopeEntry *entries, int n);

extern const ScopeEntry *scope_tree_find(const ScopeNode *tree, const char *key, int len);

extern int	scope_compare(const ScopeEntry *a, const ScopeEntry *b);

/* Entry after entry, in the order of the keys; NULL at the end. */
typedef struct ScopeWalk
{
	int			depth;
	const ScopeNode *path[SCOPE_TREE_HEIGHT];	/* those to come: each is before what is right of it and before the ones above */
} ScopeWalk;

extern void scope_tree_walk(ScopeWalk *walk, const ScopeNode *tree);
extern const ScopeEntry *scope_next(ScopeWalk *walk);

/*
 * Calls `visit` for each entry of `tree` that `before` has not, or has another
 * one of, in the order of the keys.  What both share is not looked at.
 */
extern void scope_tree_compare(const ScopeNode *before, const ScopeNode *tree,
							   void (*visit) (void *arg, const ScopeEntry *before, const ScopeEntry *entry), void *arg);

static inline int
scope_tree_count(const ScopeNode *tree)
{
	return tree ? tree->n : 0;
}

#endif							/* MISTRAL_SCOPE_TREE_H */
