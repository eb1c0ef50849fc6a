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

#include "errcodes.h"
#include "expr/expr.h"

/* Elements that all iterators of one evaluation may yield together. */
#define EVAL_MAX_ELEMENTS INT64CONST(10000000)

/* The longest string or list that one operation may build, before memory is asked. */
#define EVAL_MAX_LENGTH (256 * 1024 * 1024)

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
	uint32		ticks;
	int64		elements;		/* yielded by iterators so far */
	int64		started;		/* microseconds; 0 until the first look at the clock */
	void	   *regex;			/* the last pattern that was compiled for this evaluation */
	bool		no_match;		/* the error at hand: no overload fits, or an index is out of range */
	bool		defines;		/* def() was called: names may mean something else */
	int			iterator_limit; /* mistral.yaql_limit_iterators */
	ErrorContextCallback callback;
} Eval;

/*
 * Begins and ends an evaluation; they nest.  In between the current memory
 * context is one of its own, so that what it takes can be counted and dropped;
 * the result is copied out, except what is jsonb, which stays where it is.
 */
extern void eval_enter(Eval *ev, const char *text, int len, const ExprEnv *env);
extern Value eval_leave(Eval *ev, const Value *result);

/* The variables that an environment has besides its root. */
typedef enum ExprVariable
{
	EXPR_ENV,
	EXPR_EXECUTION,
	EXPR_TASK_EXECUTION
} ExprVariable;

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

/* One step of an evaluation: cheap, looks at the clock now and then. */
static inline void
eval_tick(Eval *ev)
{
	if (unlikely(++ev->ticks % EVAL_TICKS == 0))
		eval_check(ev);
}

/* The same for loops of the value library, in or out of an evaluation. */
static inline void
expr_tick(uint32 *counter)
{
	if (unlikely(++*counter % EVAL_TICKS == 0))
	{
		Eval	   *ev = eval_current();

		if (ev)
			eval_check(ev);
		else
			CHECK_FOR_INTERRUPTS();
	}
}

#endif							/* MISTRAL_EVAL_H */
