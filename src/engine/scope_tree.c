/*
 * scope_tree.c
 *		Variables by name: trees that share what they have in common.
 *
 * Balanced by height, as Adelson-Velsky and Landis did.  What is added is split
 * at the root and goes to the left and to the right of it; the two that come
 * back are joined over the root (Adams: Functional pearls, efficient sets).
 * Nothing recurses deeper than a tree is high.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/scope_tree.h"

/* What is left of a tree on its way from the first key to the last: the last part comes first. */
typedef struct Rest
{
	int			n;
	struct
	{
		const ScopeNode *node;
		bool		alone;		/* without what is left and right of it */
	}			parts[2 * SCOPE_TREE_HEIGHT];
} Rest;

static void rest_push(Rest *rest, const ScopeNode *node, bool alone);
static void rest_open(Rest *rest);
static const ScopeNode *build(MemoryContext cxt, const ScopeEntry *entries, int n);
static const ScopeNode *join(MemoryContext cxt, const ScopeNode *left, const ScopeEntry *entry, const ScopeNode *right);
static const ScopeNode *balance(MemoryContext cxt, const ScopeNode *left, const ScopeEntry *entry, const ScopeNode *right);
static const ScopeNode *node(MemoryContext cxt, const ScopeNode *left, const ScopeEntry *entry, const ScopeNode *right);
static int	entries_before(const ScopeEntry *entries, int n, const ScopeEntry *entry, bool *same);
static int	compare_keys(const char *a, int alen, const char *b, int blen);

static inline int
height(const ScopeNode *tree)
{
	return tree ? tree->height : 0;
}

const ScopeNode *
scope_tree_with(MemoryContext cxt, const ScopeNode *tree, const ScopeEntry *entries, int n)
{
	const ScopeNode *left;
	const ScopeNode *right;
	bool		same;
	int			before;
	int			after;

	if (n == 0)
		return tree;
	if (tree == NULL)
		return build(cxt, entries, n);
	before = entries_before(entries, n, tree->entry, &same);
	after = same ? before + 1 : before;
	left = scope_tree_with(cxt, tree->left, entries, before);
	right = scope_tree_with(cxt, tree->right, entries + after, n - after);
	return join(cxt, left, same ? &entries[before] : tree->entry, right);
}

static const ScopeNode *
build(MemoryContext cxt, const ScopeEntry *entries, int n)
{
	int			middle = n / 2;

	if (n == 0)
		return NULL;
	return node(cxt, build(cxt, entries, middle), &entries[middle], build(cxt, entries + middle + 1, n - middle - 1));
}

/* All of `left` is before the entry, all of `right` behind it; either may be much higher than the other. */
static const ScopeNode *
join(MemoryContext cxt, const ScopeNode *left, const ScopeEntry *entry, const ScopeNode *right)
{
	if (height(left) > height(right) + 1)
		return balance(cxt, left->left, left->entry, join(cxt, left->right, entry, right));
	if (height(right) > height(left) + 1)
		return balance(cxt, join(cxt, left, entry, right->left), right->entry, right->right);
	return node(cxt, left, entry, right);
}

/* As join, where one is higher by two at most. */
static const ScopeNode *
balance(MemoryContext cxt, const ScopeNode *left, const ScopeEntry *entry, const ScopeNode *right)
{
	const ScopeNode *inner;

	if (height(left) > height(right) + 1)
	{
		if (height(left->left) >= height(left->right))
			return node(cxt, left->left, left->entry, node(cxt, left->right, entry, right));
		inner = left->right;
		return node(cxt, node(cxt, left->left, left->entry, inner->left), inner->entry, node(cxt, inner->right, entry, right));
	}
	if (height(right) > height(left) + 1)
	{
		if (height(right->right) >= height(right->left))
			return node(cxt, node(cxt, left, entry, right->left), right->entry, right->right);
		inner = right->left;
		return node(cxt, node(cxt, left, entry, inner->left), inner->entry, node(cxt, inner->right, right->entry, right->right));
	}
	return node(cxt, left, entry, right);
}

static const ScopeNode *
node(MemoryContext cxt, const ScopeNode *left, const ScopeEntry *entry, const ScopeNode *right)
{
	ScopeNode  *new = MemoryContextAlloc(cxt, sizeof(ScopeNode));

	new->left = left;
	new->right = right;
	new->entry = entry;
	new->height = Max(height(left), height(right)) + 1;
	new->n = scope_tree_count(left) + 1 + scope_tree_count(right);
	return new;
}

/* How many are before this one, and whether one of the same key comes next. */
static int
entries_before(const ScopeEntry *entries, int n, const ScopeEntry *entry, bool *same)
{
	int			low = 0;
	int			high = n;

	*same = false;
	while (low < high)
	{
		int			mid = (low + high) / 2;
		int			cmp = scope_compare(&entries[mid], entry);

		if (cmp == 0)
		{
			*same = true;
			return mid;
		}
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const ScopeEntry *
scope_tree_find(const ScopeNode *tree, const char *key, int len)
{
	while (tree)
	{
		int			cmp = compare_keys(key, len, tree->entry->key, tree->entry->len);

		if (cmp == 0)
			return tree->entry;
		tree = cmp < 0 ? tree->left : tree->right;
	}
	return NULL;
}

void
scope_tree_walk(ScopeWalk *walk, const ScopeNode *tree)
{
	walk->depth = 0;
	for (; tree; tree = tree->left)
		walk->path[walk->depth++] = tree;
}

const ScopeEntry *
scope_next(ScopeWalk *walk)
{
	const ScopeNode *here;

	if (walk->depth == 0)
		return NULL;
	here = walk->path[--walk->depth];
	for (const ScopeNode *next = here->right; next; next = next->left)
		walk->path[walk->depth++] = next;
	return here->entry;
}

void
scope_tree_compare(const ScopeNode *before, const ScopeNode *tree,
				   void (*visit) (void *arg, const ScopeEntry *before, const ScopeEntry *entry), void *arg)
{
	Rest		a = {0};
	Rest		b = {0};

	rest_push(&a, before, false);
	rest_push(&b, tree, false);
	while (b.n > 0)
	{
		const ScopeNode *x = a.n > 0 ? a.parts[a.n - 1].node : NULL;
		const ScopeNode *y = b.parts[b.n - 1].node;
		bool		whole_x = x && !a.parts[a.n - 1].alone;
		bool		whole_y = !b.parts[b.n - 1].alone;
		int			cmp;

		CHECK_FOR_INTERRUPTS();
		if (whole_x && whole_y && x == y)
		{
			a.n--;
			b.n--;
			continue;
		}
		if (whole_x || whole_y)
		{
			/* The higher one, so that what they share is met as a whole. */
			if (whole_x && (!whole_y || x->height >= y->height))
				rest_open(&a);
			if (whole_y && (!whole_x || y->height >= x->height))
				rest_open(&b);
			continue;
		}
		cmp = x ? scope_compare(x->entry, y->entry) : 1;
		if (cmp >= 0 && (cmp > 0 || x->entry != y->entry))
			visit(arg, cmp == 0 ? x->entry : NULL, y->entry);
		a.n -= cmp <= 0;
		b.n -= cmp >= 0;
	}
}

static void
rest_push(Rest *rest, const ScopeNode *node, bool alone)
{
	if (node == NULL)
		return;
	rest->parts[rest->n].node = node;
	rest->parts[rest->n++].alone = alone;
}

/* Its first part in three. */
static void
rest_open(Rest *rest)
{
	const ScopeNode *node = rest->parts[--rest->n].node;

	rest_push(rest, node->right, false);
	rest_push(rest, node, true);
	rest_push(rest, node->left, false);
}

int
scope_compare(const ScopeEntry *a, const ScopeEntry *b)
{
	return compare_keys(a->key, a->len, b->key, b->len);
}

static int
compare_keys(const char *a, int alen, const char *b, int blen)
{
	int			cmp = memcmp(a, b, Min(alen, blen));

	return cmp != 0 ? cmp : alen - blen;
}
