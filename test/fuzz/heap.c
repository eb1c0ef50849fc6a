/*
 * heap.c
 *		Memory contexts whose every chunk is malloc's own.
 *
 * PostgreSQL's contexts cut chunks from large blocks, in which an address
 * sanitizer sees no borders.  The fuzzed sources are compiled with
 * AllocSetContextCreateInternal renamed to heap_alloc_set, and so get these.
 * A context's kind is a table of functions up to version 15; from 16 on it is
 * a number that extensions cannot add to, and PostgreSQL's own are used.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "heap.h"

size_t		heap_used = 0;
size_t		heap_peak = 0;

extern MemoryContext heap_alloc_set(MemoryContext parent, const char *name, Size min_size, Size init_size, Size max_size);

#if PG_VERSION_NUM < 160000

/* In front of each chunk; what the server looks for stands last. */
typedef struct HeapChunk
{
	struct HeapChunk *next;
	struct HeapChunk *previous;
	Size		size;
	MemoryContext context;
} HeapChunk;

typedef struct HeapContext
{
	MemoryContextData header;
	HeapChunk	chunks;			/* the ring's head */
} HeapContext;

static HeapChunk *
chunk_of(void *pointer)
{
	return (HeapChunk *) pointer - 1;
}

static void
count(MemoryContext context, Size grown, Size shrunk)
{
	context->mem_allocated += grown;
	context->mem_allocated -= shrunk;
	heap_used += grown;
	heap_used -= shrunk;
	heap_peak = Max(heap_peak, heap_used);
}

static void
chunk_link(HeapContext *heap, HeapChunk *chunk)
{
	chunk->next = heap->chunks.next;
	chunk->previous = &heap->chunks;
	chunk->next->previous = chunk;
	heap->chunks.next = chunk;
}

static void
chunk_unlink(HeapChunk *chunk)
{
	chunk->next->previous = chunk->previous;
	chunk->previous->next = chunk->next;
}

static void *
heap_alloc(MemoryContext context, Size size)
{
	HeapChunk  *chunk = malloc(sizeof(HeapChunk) + size);

	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->context = context;
	chunk_link((HeapContext *) context, chunk);
	count(context, size, 0);
	return chunk + 1;
}

static void
heap_free(MemoryContext context, void *pointer)
{
	HeapChunk  *chunk = chunk_of(pointer);

	chunk_unlink(chunk);
	count(context, 0, chunk->size);
	free(chunk);
}

/* Always moves: what kept the old address is found. */
static void *
heap_realloc(MemoryContext context, void *pointer, Size size)
{
	void	   *moved = heap_alloc(context, size);

	if (moved == NULL)
		return NULL;
	memcpy(moved, pointer, Min(size, chunk_of(pointer)->size));
	heap_free(context, pointer);
	return moved;
}

static void
heap_reset(MemoryContext context)
{
	HeapContext *heap = (HeapContext *) context;

	while (heap->chunks.next != &heap->chunks)
		heap_free(context, heap->chunks.next + 1);
}

static void
heap_delete(MemoryContext context)
{
	heap_reset(context);
	free(context);
}

static Size
heap_chunk_space(MemoryContext context, void *pointer)
{
	return chunk_of(pointer)->size + sizeof(HeapChunk);
}

static bool
heap_is_empty(MemoryContext context)
{
	return ((HeapContext *) context)->chunks.next == &((HeapContext *) context)->chunks;
}

static void
heap_stats(MemoryContext context, MemoryStatsPrintFunc print, void *passthru, MemoryContextCounters *totals,
		   bool print_to_stderr)
{
}

#ifdef MEMORY_CONTEXT_CHECKING
static void
heap_check(MemoryContext context)
{
}
#endif

static const MemoryContextMethods heap_methods = {
	.alloc = heap_alloc,
	.free_p = heap_free,
	.realloc = heap_realloc,
	.reset = heap_reset,
	.delete_context = heap_delete,
	.get_chunk_space = heap_chunk_space,
	.is_empty = heap_is_empty,
	.stats = heap_stats,
#ifdef MEMORY_CONTEXT_CHECKING
	.check = heap_check
#endif
};

MemoryContext
heap_context_create(MemoryContext parent, const char *name)
{
	HeapContext *heap = malloc(sizeof(HeapContext));

	if (heap == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	heap->chunks.next = heap->chunks.previous = &heap->chunks;
	MemoryContextCreate(&heap->header, T_AllocSetContext, &heap_methods, parent, name);
	return &heap->header;
}

#else

#undef AllocSetContextCreateInternal
extern MemoryContext AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min_size,
												   Size init_size, Size max_size);

MemoryContext
heap_context_create(MemoryContext parent, const char *name)
{
	return AllocSetContextCreateInternal(parent, name, ALLOCSET_DEFAULT_SIZES);
}

#endif

MemoryContext
heap_alloc_set(MemoryContext parent, const char *name, Size min_size, Size init_size, Size max_size)
{
	return heap_context_create(parent, name);
}
