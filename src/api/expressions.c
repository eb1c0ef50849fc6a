/*
 * expressions.c
 *		Expressions from SQL: to try them out, and to check them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/args.h"
#include "expr/expr.h"

SQL_FUNCTION(mistral_evaluate);
SQL_FUNCTION(mistral_evaluate_data);
SQL_FUNCTION(mistral_validate_expression);

/* What an expression gives. */
Datum
mistral_evaluate(PG_FUNCTION_ARGS)
{
	text	   *expression;
	char	   *language = NULL;
	ExprEnv		env;
	Value		value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	expression = PG_GETARG_TEXT_PP(0);
	expr_env_init(&env, PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1));
	if (!PG_ARGISNULL(2))
		language = text_to_cstring(PG_GETARG_TEXT_PP(2));
	value = expr_eval_text(VARDATA_ANY(expression), VARSIZE_ANY_EXHDR(expression), language, &env);
	PG_RETURN_JSONB_P(value_to_jsonb(&value));
}

/* Every expression inside a JSON value. */
Datum
mistral_evaluate_data(PG_FUNCTION_ARGS)
{
	Jsonb	   *data;
	Jsonb	   *context;
	ExprEnv		env;
	Value		value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	data = PG_GETARG_JSONB_P(0);
	context = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	expr_env_init(&env, context);
	/* As in the original, nothing is evaluated without anything to look at. */
	if (!value_truth(&env.root))
		PG_RETURN_JSONB_P(data);
	value = expr_eval_jsonb(data, &env);
	PG_RETURN_JSONB_P(value_to_jsonb(&value));
}

/* NULL when every expression in the string parses, else what is wrong and where. */
Datum
mistral_validate_expression(PG_FUNCTION_ARGS)
{
	text	   *expression;
	const char *s;
	int			len;
	ExprError	error;
	StringInfoData out;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	expression = PG_GETARG_TEXT_PP(0);
	s = VARDATA_ANY(expression);
	len = VARSIZE_ANY_EXHDR(expression);
	if (expr_validate_text(s, len, &error))
		PG_RETURN_NULL();
	initStringInfo(&out);
	appendStringInfo(&out, "%s at character %d", error.message, pg_mbstrlen_with_len(s, Min(error.offset, len)) + 1);
	if (error.expected)
		appendStringInfo(&out, ", expected is %s", error.expected);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
