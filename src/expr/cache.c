/*
 * cache.c
 *		What this process has compiled lately, by its text.
 *
 * For expressions that arrive as text with each call (SQL); what belongs to a
 * definition is compiled and kept with it.  The cache has a limit in memory;
 * what was not used for longest goes first.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "expr/cache.h"

/* Memory of all that is kept, and of one thing. */
#define CACHE_SIZE (4 * 1024 * 1024)
#define CACHE_ENTRY_SIZE (CACHE_SIZE / 16)

typedef struct CacheKey
{
	ExprCompile compile;
	const char *bytes;
	int			len;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;			/* first; the bytes are in `context` */
	dlist_node	node;			/* of `recent` */
	MemoryContext context;
	Size		size;
	void	   *compiled;
} CacheEntry;

static HTAB *cache = NULL;
static MemoryContext cache_context = NULL;
static Size cache_used = 0;
static dlist_head recent = DLIST_STATIC_INIT(recent);	/* the last used first */

static uint32
key_hash(const void *key, Size size)
{
	const CacheKey *k = key;

	return hash_bytes((const unsigned char *) k->bytes, k->len);
}

static int
key_compare(const void *a, const void *b, Size size)
{
	const CacheKey *x = a;
	const CacheKey *y = b;

	return x->compile != y->compile || x->len != y->len || memcmp(x->bytes, y->bytes, x->len) != 0;
}

static void
create_cache(void)
{
	HASHCTL		ctl = {
		.keysize = sizeof(CacheKey),
		.entrysize = sizeof(CacheEntry),
		.hash = key_hash,
		.match = key_compare
	};

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext, "mistral compiled expressions", ALLOCSET_DEFAULT_SIZES);
	ctl.hcxt = cache_context;
	cache = hash_create("mistral compiled expressions", 256, &ctl, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static void
forget(CacheEntry *entry)
{
	MemoryContext context = entry->context;

	cache_used -= entry->size;
	dlist_delete(&entry->node);
	(void) hash_search(cache, &entry->key, HASH_REMOVE, NULL);
	MemoryContextDelete(context);
}

static CacheEntry *
find(const CacheKey *key)
{
	CacheEntry *entry;

	/* A statement over many rows asks for the same thing again and again. */
	if (!dlist_is_empty(&recent))
	{
		entry = dlist_head_element(CacheEntry, node, &recent);
		if (key_compare(&entry->key, key, sizeof(CacheKey)) == 0)
			return entry;
	}
	entry = hash_search(cache, key, HASH_FIND, NULL);
	if (entry)
		dlist_move_head(&recent, &entry->node);
	return entry;
}

/* Keeps what has been compiled in `context`, whose parent becomes the cache. */
static void
keep(CacheKey key, void *compiled, MemoryContext context, Size size)
{
	CacheEntry *entry;

	while (cache_used + size > CACHE_SIZE)
		forget(dlist_tail_element(CacheEntry, node, &recent));
	entry = hash_search(cache, &key, HASH_ENTER, NULL);
	entry->compiled = compiled;
	entry->context = context;
	entry->size = size;
	MemoryContextSetParent(context, cache_context);
	dlist_push_head(&recent, &entry->node);
	cache_used += size;
}

void *
expr_cache_get(ExprCompile compile, const char *bytes, int len)
{
	CacheKey	key = {compile, bytes, len};
	CacheEntry *entry;
	MemoryContext context;
	MemoryContext old;
	void	   *compiled;
	char	   *copy;
	Size		size;
	bool		wanted = true;

	if (cache == NULL)
		create_cache();
	entry = find(&key);
	if (entry)
		return entry->compiled;
	if (len > CACHE_ENTRY_SIZE)
		return compile(bytes, len, &wanted);
	/* The caller's until it is whole. */
	context = AllocSetContextCreate(CurrentMemoryContext, "mistral compiled expression", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	copy = palloc(len + 1);
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	compiled = compile(copy, len, &wanted);
	MemoryContextSwitchTo(old);
	size = MemoryContextMemAllocated(context, true);
	if (wanted && size <= CACHE_ENTRY_SIZE)
	{
		key.bytes = copy;
		keep(key, compiled, context, size);
	}
	return compiled;
}
