/*
 * yaql_lib.h
 *		What the files of YAQL's functions share.
 */
#ifndef MISTRAL_YAQL_LIB_H
#define MISTRAL_YAQL_LIB_H

#include "expr/yaql.h"

/* Argument i of the call, after the conversion its parameter asks for. */
#define ARG(i) (&call->args[i])
#define GIVEN(i) (call->args[i].kind != VALUE_UNDEFINED)
#define HAS(i) (call->args[i].kind != VALUE_NULL)

/* An int* argument; raises what does not fit in 64 bits. */
extern int64 yaql_int_arg(YaqlCall *call, int i);

/* An iterator with what most need; the functions say which fields they use. */
typedef struct Lazy
{
	Iterator	base;
	Iterator   *source;
	Iterator   *other;
	Value		function;
	Value		selector;
	Value		value;			/* state */
	Value		seen;			/* set of what was yielded */
	Value		list;
	Frame	   *frame;
	int64		at;
	int64		from;
	int64		count;
	bool		started;
	bool		done;
	int			n;
	Value	   *values;
	Iterator  **sources;
} Lazy;

extern Lazy *yaql_lazy(YaqlCall *call, bool (*next) (Iterator *, Value *));
extern Value yaql_concat_two(YaqlCall *call, const Value *a, const Value *b);
extern Iterator *yaql_iterate_anything(const Value *value);	/* also the characters of a text */
extern Value yaql_set_from(const Value *iterable);
extern Value yaql_string_join(Iterator *it, const Value *separator);

#endif							/* MISTRAL_YAQL_LIB_H */
