/*
 * heap.h
 *		Memory contexts whose every chunk is malloc's own, so that the address
 *		sanitizer sees one byte too many.
 */
#ifndef MISTRAL_FUZZ_HEAP_H
#define MISTRAL_FUZZ_HEAP_H

#include "postgres.h"

/* Bytes in all such contexts: now, and at most since it was last set. */
extern size_t heap_used;
extern size_t heap_peak;

extern MemoryContext heap_context_create(MemoryContext parent, const char *name);

#endif							/* MISTRAL_FUZZ_HEAP_H */
