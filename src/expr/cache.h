/*
 * cache.h
 *		What this process has compiled lately, by its text.
 */
#ifndef MISTRAL_EXPR_CACHE_H
#define MISTRAL_EXPR_CACHE_H

#include "postgres.h"

/*
 * Compiles into the current memory context; may refer to the bytes.  *keep is
 * true, and set to false when another try could come out differently.
 */
typedef void *(*ExprCompile) (const char *bytes, int len, bool *keep);

/*
 * What `compile` makes of the bytes, kept for the next call with the same
 * bytes and the same function.  It is good until the next call; what is too
 * large to be kept belongs to the current memory context.
 */
extern void *expr_cache_get(ExprCompile compile, const char *bytes, int len);

#endif							/* MISTRAL_EXPR_CACHE_H */
