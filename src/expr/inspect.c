/*
 * inspect.c
 *		What the text of an expression tells without running it: functions,
 *		filters and tests that do not exist, and the variables that it must find.
 *
 * Where a variable is looked for may depend on data: behind `and`, in what a
 * function evaluates itself, in a test.  Those are not reported.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "expr/jinja.h"
#include "expr/yaql.h"

typedef struct Inspection
{
	const ExprInspector *inspector;
	int			base;			/* where the expression starts in the text */
	bool		defines;		/* functions or names of its own */
} Inspection;

static void inspect_yaql(Inspection *inspection, const YaqlNode *node, bool certain);
static void inspect_yaql_call(Inspection *inspection, const YaqlNode *node, bool certain);
static bool yaql_defines(const YaqlNode *node);
static void inspect_jinja(Inspection *inspection, const JinjaNode *node, bool certain);
static void inspect_jinja_args(Inspection *inspection, const JinjaArgs *args, bool certain);
static bool jinja_defines(const JinjaNode *node);

static const char *const yaql_names[] = {
#define YAQL(name, flags, implementation, signature) name,
#include "expr/yaql_func_list.h"
#undef YAQL
};

static const char *const jinja_names[] = {
#define JINJA(name, implementation, signature) name,
#include "expr/jinja_global_list.h"
#define MISTRAL(name, function, asks_engine, yaql, jinja) JINJA(name, jinja_mistral, jinja)
#include "expr/mistral_func_list.h"
#undef MISTRAL
};

static const char *const jinja_filters[] = {
#include "expr/jinja_filter_list.h"
#define MISTRAL(name, function, asks_engine, yaql, jinja) JINJA(name, jinja_mistral, jinja)
#include "expr/mistral_func_list.h"
#undef MISTRAL
};

static const char *const jinja_tests[] = {
#include "expr/jinja_test_list.h"
#undef JINJA
};

void
expr_inspect_text(const char *text, int len, const ExprInspector *inspector)
{
	Inspection	inspection = {inspector};
	ExprLanguage language = expr_language(text, len);
	ExprError	error;
	int			at = 0;
	int			from;
	int			to;

	if (language == EXPR_JINJA || language == EXPR_MIXED)
	{
		JinjaTemplate *template = jinja_parse(text, len, false, &error);

		if (template == NULL)
			return;
		inspection.defines = jinja_defines(template->root);
		inspect_jinja(&inspection, template->root, true);
		return;
	}
	while (expr_find_delimited(text, len, at, "<%", "%>", &from, &to))
	{
		const char *source = text + from + 2;
		YaqlNode   *node = yaql_parse(source, to - from - 4, &error);

		at = to;
		if (node == NULL)
			continue;
		inspection.base = from + 2;
		inspection.defines = yaql_defines(node);
		inspect_yaql(&inspection, node, true);
	}
}

static void
report_unknown(Inspection *inspection, const char *kind, const char *name, int position,
			   const char *const *known, int nknown)
{
	inspection->inspector->unknown(inspection->inspector->arg, kind, name, inspection->base + position, known, nknown);
}

static void
report_variable(Inspection *inspection, const char *name, int position)
{
	inspection->inspector->variable(inspection->inspector->arg, name, inspection->base + position);
}

/* ---------------------------------------------------------------- YAQL */

/* Whether the expression names functions itself: def(). */
static bool
yaql_defines(const YaqlNode *node)
{
	check_stack_depth();
	if (node->type == NODE_CALL && node->name != NULL && strcmp(node->name, "def") == 0)
		return true;
	for (int i = 0; i < node->nargs; i++)
	{
		if (yaql_defines(node->args[i]))
			return true;
	}
	return false;
}

/* Whether an overload may evaluate arguments itself, where `$` is something else. */
static bool
evaluates_itself(const YaqlGroup *group)
{
	for (int i = 0; group != NULL && i < group->n; i++)
	{
		const YaqlFunction *function = group->functions[i];

		for (int k = 0; k < function->nparameters; k++)
		{
			if (function->parameters[k].type & TYPE_LAZY)
				return true;
		}
		if ((function->rest && (function->rest->type & TYPE_LAZY)) ||
			(function->keywords && (function->keywords->type & TYPE_LAZY)))
			return true;
	}
	return false;
}

static void
inspect_yaql(Inspection *inspection, const YaqlNode *node, bool certain)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (node->type == NODE_CALL)
	{
		inspect_yaql_call(inspection, node, certain);
		return;
	}
	for (int i = 0; i < node->nargs; i++)
		inspect_yaql(inspection, node->args[i], certain);
}

static void
inspect_yaql_call(Inspection *inspection, const YaqlNode *node, bool certain)
{
	bool		inside = certain;

	if (node->op == OP_DOT && certain && node->args[0]->type == NODE_VARIABLE && node->args[0]->index == 1 &&
		node->args[1]->type == NODE_KEYWORD)
		report_variable(inspection, node->args[1]->value.u.string.data, node->args[1]->position);
	if (node->op == OP_NONE && node->group == NULL && !inspection->defines && node->name != NULL)
		report_unknown(inspection, "function", node->name, node->position, yaql_names, lengthof(yaql_names));
	if (node->op == OP_NONE && evaluates_itself(node->group))
		inside = false;
	for (int i = 0; i < node->nargs; i++)
	{
		bool		second = i > 0 && (node->op == OP_AND || node->op == OP_OR || node->op == OP_SEND || node->op == OP_SAFE_DOT);

		inspect_yaql(inspection, node->args[i], inside && !second);
	}
}

/* ---------------------------------------------------------------- Jinja2 */

/* Whether the template gives names to things itself. */
static bool
jinja_defines(const JinjaNode *node)
{
	if (node == NULL)
		return false;
	check_stack_depth();
	switch (node->type)
	{
		case JINJA_FOR:
		case JINJA_SET:
		case JINJA_SET_BLOCK:
		case JINJA_MACRO:
		case JINJA_CALL_BLOCK:
		case JINJA_WITH:
		case JINJA_BLOCK:
		case JINJA_NO_LOADER:
			return true;
		default:
			break;
	}
	for (int i = 0; i < node->n; i++)
	{
		if (jinja_defines(node->items[i]))
			return true;
	}
	return jinja_defines(node->left) || jinja_defines(node->right) || jinja_defines(node->body) || jinja_defines(node->other);
}

static bool
is_jinja_name(const char *name)
{
	if (strcmp(name, "_") == 0)
		return true;
	for (int i = 0; i < lengthof(jinja_names); i++)
	{
		if (strcmp(jinja_names[i], name) == 0)
			return true;
	}
	return false;
}

static void
inspect_jinja(Inspection *inspection, const JinjaNode *node, bool certain)
{
	bool		left = certain;
	bool		rest = certain;

	if (node == NULL)
		return;
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	switch (node->type)
	{
		case JINJA_NAME:
			if (certain && !inspection->defines && !is_jinja_name(node->name))
				report_unknown(inspection, "name", node->name, node->position, jinja_names, lengthof(jinja_names));
			return;
		case JINJA_GETATTR:
			if (certain && !inspection->defines && !node->is_method && node->left->type == JINJA_NAME &&
				strcmp(node->left->name, "_") == 0)
				report_variable(inspection, node->name, node->position);
			break;
		case JINJA_FILTER:
			if (certain && node->function == NULL)
				report_unknown(inspection, "filter", node->name, node->position, jinja_filters, lengthof(jinja_filters));
			if (strcmp(node->name, "default") == 0 || strcmp(node->name, "d") == 0)
				left = false;
			break;
		case JINJA_TEST:
			if (certain && node->function == NULL)
				report_unknown(inspection, "test", node->name, node->position, jinja_tests, lengthof(jinja_tests));
			left = false;
			break;
		case JINJA_AND:
		case JINJA_OR:
			rest = false;
			break;
		case JINJA_COND:
			left = rest = false;
			break;
		case JINJA_IF:
		case JINJA_FOR:
		case JINJA_MACRO:
		case JINJA_CALL_BLOCK:
			left = rest = false;
			break;
		default:
			break;
	}
	inspect_jinja(inspection, node->left, left);
	inspect_jinja(inspection, node->right, rest);
	inspect_jinja(inspection, node->test, certain && node->type == JINJA_IF);
	inspect_jinja(inspection, node->body, rest);
	inspect_jinja(inspection, node->other, rest);
	for (int i = 0; i < node->n; i++)
		inspect_jinja(inspection, node->items[i], rest);
	if (node->args != NULL)
		inspect_jinja_args(inspection, node->args, rest);
}

static void
inspect_jinja_args(Inspection *inspection, const JinjaArgs *args, bool certain)
{
	for (int i = 0; i < args->n; i++)
		inspect_jinja(inspection, args->items[i], certain);
	for (int i = 0; i < args->nkeywords; i++)
		inspect_jinja(inspection, args->values[i], certain);
}
