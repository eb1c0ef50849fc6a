/*
 * time_expression.c
 *		The benchmark's clock: what one evaluation takes in C, without the SQL
 *		call around it.
 *
 * A library of its own, made of the extension's objects: its settings have
 * their defaults, whatever the session's are.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "expr/expr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(time_expression);
extern PGDLLEXPORT Datum time_expression(PG_FUNCTION_ARGS);

static double
seconds_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_DOUBLE(now);
}

static void
evaluate(const ExprTemplate *tmpl, const Jsonb *context, bool stored)
{
	ExprEnv		env;
	Value		value;

	expr_env_init(&env, context);
	value = expr_template_eval(tmpl, &env);
	if (stored)
		(void) value_to_jsonb(&value);
}

/*
 * time_expression(expression text, context jsonb, stored boolean, seconds float8)
 * returns the nanoseconds of one evaluation, measured for that long: compiled
 * once, the result converted to jsonb if `stored`.
 */
Datum
time_expression(PG_FUNCTION_ARGS)
{
	text	   *expression = PG_GETARG_TEXT_PP(0);
	Jsonb	   *context = PG_GETARG_JSONB_P(1);
	bool		stored = PG_GETARG_BOOL(2);
	double		seconds = PG_GETARG_FLOAT8(3);
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "one evaluation", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ExprError	error;
	ExprTemplate *tmpl = expr_template_compile(VARDATA_ANY(expression), VARSIZE_ANY_EXHDR(expression), true, &error);
	instr_time	start;
	double		taken;
	int64		n = 0;

	old = MemoryContextSwitchTo(each);
	INSTR_TIME_SET_CURRENT(start);
	do
	{
		/* The clock itself must not count. */
		for (int64 i = Max(n / 4, 1); i > 0; i--)
		{
			evaluate(tmpl, context, stored);
			MemoryContextReset(each);
			n++;
		}
		CHECK_FOR_INTERRUPTS();
		taken = seconds_since(start);
	} while (taken < seconds);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(each);
	PG_RETURN_FLOAT8(taken / n * 1e9);
}
