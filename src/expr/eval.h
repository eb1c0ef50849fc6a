/*
 * eval.h
 *		What one evaluation may use, and how it fails: shared by both languages.
 *
 * The current evaluation is found through the error context stack, which
 * PostgreSQL itself restores after an error; so nothing here needs PG_TRY and
 * no pointer is left dangling.
 */
#ifndef MISTRAL_EVAL_H
#define MISTRAL_EVAL_H

#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "errcodes.h"
#include "expr/expr.h"

/* Elements that all iterators of one evaluation may yield together. */
#define EVAL_MAX_ELEMENTS INT64CONST(10000000)

/* The longest string or list that one operation may build, before memory is asked. */
#define EVAL_MAX_LENGTH (256 * 1024 * 1024)

/* Tokens of one expression or template: what is made of them takes far more memory than the text. */
#define EVAL_MAX_TOKENS 200000

/* Steps between two looks at the clock and at the memory taken. */
#define EVAL_TICKS 256

typedef struct Eval
{
	const char *text;			/* the bare expression */
	int			len;
	int			position;		/* byte offset of the node at work, -1 unknown */
	const ExprEnv *env;
	MemoryContext context;		/* what the evaluation allocates */
	MemoryContext outer;		/* the caller's */
	int64		elements;		/* yielded by iterators so far */
	struct Eval *whole;			/* the outermost under way: what is limited is all of it */
	int64		started;		/* of the whole: microseconds; 0 until the first look at the clock */
	int64		cpu_started;	/* the same, of the processor's time */
	Size		outer_size;		/* of the whole: what the caller's context took before */
	bool		spare_taken;	/* one around it has the spare context */
	void	   *regex;			/* the last pattern that was compiled for this evaluation */
	bool		no_match;		/* the error at hand: no overload fits, or an index is out of range */
	bool		defines;		/* def() was called: names may mean something else */
	int			iterator_limit; /* mistral.yaql_limit_iterators */
	ErrorContextCallback callback;
} Eval;

/*
 * Begins and ends an evaluation; they nest, and share the time and the memory
 * of the outermost.  In between the current memory context is one of its own,
 * so that what it takes can be counted and dropped; the result is copied out,
 * except what is jsonb, which stays where it is.
 */
extern void eval_enter(Eval *ev, const char *text, int len, const ExprEnv *env);
extern Value eval_leave(Eval *ev, const Value *result);

/*
 * The same for what only holds evaluations together, in the caller's memory:
 * they are limited as one.  Without a text it is named in no message.
 */
extern void eval_hold(Eval *ev, const char *text, int len, const ExprEnv *env);
extern void eval_release(Eval *ev);

extern Value expr_variable(const ExprEnv *env, ExprVariable variable);	/* null when it has none */
extern bool expr_find_variable(const ExprEnv *env, const char *name, int len, Value *value);

/* The innermost evaluation under way, or NULL. */
extern Eval *eval_current(void);

/* Raises ERRCODE_MISTRAL_EXPRESSION: "cannot evaluate expression ...: reason". */
extern void expr_fail(const char *format,...) pg_attribute_printf(1, 2) pg_attribute_noreturn();

/* Raises ERRCODE_MISTRAL_EXPRESSION_LIMIT. */
extern void expr_limit(const char *format,...) pg_attribute_printf(1, 2) pg_attribute_noreturn();

/* Raises a limit when the stack is deep; before recursing over what users wrote. */
extern void expr_check_depth(void);

/* Raises a limit when `size` bytes more would pass mistral.expression_memory. */
extern void expr_reserve_large(Size size);

/* The same; small sizes are left to the regular look at the memory taken. */
static inline void
expr_reserve(Size size)
{
	if (size > 8192)
		expr_reserve_large(size);
}

/* Looks at the interrupts, the clock and the memory now. */
extern void eval_check(Eval *ev);

/* The same, in or out of an evaluation: around what takes long at once. */
extern void expr_check(void);

/* Whether expr_check() would raise or do something: for code that must not be left by an error. */
extern bool expr_check_is_due(void);

/* Steps of all evaluations of this process: those of short ones add up. */
extern uint32 eval_ticks;

/* One step of an evaluation: cheap, looks at the clock now and then. */
static inline void
eval_tick(Eval *ev)
{
	if (unlikely(++eval_ticks % EVAL_TICKS == 0))
		eval_check(ev);
}

/* The same for loops of the value library, in or out of an evaluation. */
static inline void
expr_tick(void)
{
	if (unlikely(++eval_ticks % EVAL_TICKS == 0))
		expr_check();
}

#endif							/* MISTRAL_EVAL_H */
