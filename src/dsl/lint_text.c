/*
 * lint_text.c
 *		Rules for single values: what YAML makes of them, and what expressions
 *		do that pass the check.
 */
#include "postgres.h"

#include <ctype.h>

#include "dsl/lint.h"
#include "expr/expr.h"

/* ---------------------------------------------------------------- YAML */

/* The last value of a key counts. */
void
lint_duplicate_key(Lint *lint, const YamlNode *value)
{
	if (value->kind != YAML_DICT)
		return;
	for (int i = 0; i < value->nitems; i++)
	{
		const YamlNode *key = value->keys[i];
		int			mark;

		if (key->again == NULL)
			continue;
		mark = check_enter(lint->check, yaml_key_text(key));
		lint_warn(lint, key->again, psprintf("It stands in line %d already.", key->line),
				  "the key %s is given again, and only its last value counts", yaml_describe(key));
		check_leave(lint->check, mark);
	}
}

static bool
reads_as_boolean(const YamlNode *node)
{
	return node->kind == YAML_BOOL && node->text != NULL && node->style == YAML_STYLE_PLAIN &&
		pg_strcasecmp(node->text, "true") != 0 && pg_strcasecmp(node->text, "false") != 0;
}

/* yes, no, on and off are booleans, unless a boolean is asked for. */
void
lint_yaml_boolean(Lint *lint, const YamlNode *value)
{
	static const char *const policies[] = {"pause-before", "fail-on", "keep-result", "safe-rerun", "jitter"};

	for (int i = 0; i < value->nitems; i++)
	{
		const YamlNode *item = value->items[i];
		bool		wanted = false;

		if (value->kind == YAML_DICT && reads_as_boolean(value->keys[i]))
			lint_warn(lint, value->keys[i], "Quote it when it is meant as text.",
					  "the key %s is the boolean %s", value->keys[i]->text, value->keys[i]->boolean ? "true" : "false");
		for (int k = 0; value->kind == YAML_DICT && k < lengthof(policies); k++)
			wanted = wanted || yaml_is(value->keys[i], policies[k]);
		if (!wanted && reads_as_boolean(item))
			lint_info(lint, item, "Quote it when it is meant as text.",
					  "%s is the boolean %s", item->text, item->boolean ? "true" : "false");
	}
}

/* 010 is eight, 1:30 is ninety. */
void
lint_yaml_number(Lint *lint, const YamlNode *value)
{
	const char *text = value->text;

	if ((value->kind != YAML_INT && value->kind != YAML_FLOAT) || text == NULL || value->style != YAML_STYLE_PLAIN)
		return;
	text += *text == '-' || *text == '+';
	if (strchr(text, ':') != NULL || (value->kind == YAML_INT && text[0] == '0' && isdigit((unsigned char) text[1])))
		lint_warn(lint, value, "Quote it when it is meant as text.",
				  "%s is the number %s", value->text, yaml_describe(value));
}

/* ---------------------------------------------------------------- delimiters */

/* From an opening delimiter on: where it stands when none closes it on its line, else -1. */
static int
unclosed(const YamlNode *text, const char *open, const char *close, bool *closed_later)
{
	const char *p = text->text;

	while ((p = strstr(p, open)) != NULL)
	{
		const char *end = strstr(p + 2, close);
		const char *line_end = strchr(p, '\n');

		*closed_later = end != NULL;
		if (end == NULL || (line_end != NULL && line_end < end))
			return p - text->text;
		p = end + 2;
	}
	return -1;
}

void
lint_open_expression(Lint *lint, const YamlNode *text, const LintPlace *place)
{
	bool		closed_later = false;
	int			at = unclosed(text, "<%", "%>", &closed_later);

	/* Statements of Jinja2 may hold anything. */
	if (at < 0 && !(expr_language(text->text, text->len) & EXPR_JINJA))
		at = unclosed(text, "{{", "}}", &closed_later);
	if (at < 0)
		return;
	if (closed_later)
		lint_warn(lint, yaml_make_part(text, at, 2), "Write it on one line, or fold the lines with \">\".",
				  "an expression with a line end between its delimiters is plain text");
	else
		lint_warn(lint, yaml_make_part(text, at, 2), "In braces and brackets a comma ends the value: quote it.",
				  "an expression that is not closed is plain text");
}

/* Keys are never evaluated. */
void
lint_expression_key(Lint *lint, const YamlNode *key)
{
	if (expr_language(key->text, key->len) != EXPR_PLAIN)
		lint_warn(lint, key, "Only values are evaluated.", "the expression in a key is plain text");
}

/* ---------------------------------------------------------------- expressions */

/* Below the first level nothing is checked, and an error shows when the task runs. */
void
lint_broken_expression(Lint *lint, const YamlNode *text, const LintPlace *place)
{
	ExprError	error = {0};

	if (place->checked || expr_validate_text(text->text, text->len, &error))
		return;
	lint_warn(lint, yaml_make_part(text, Min(error.offset, text->len), 0),
			  error.expected ? psprintf("Expected %s.", error.expected) : NULL,
			  "an expression that is not checked when it is loaded: %s", error.message);
}

void
lint_blocks_only(Lint *lint, const YamlNode *text, const LintPlace *place)
{
	int			from;
	int			to;

	if (expr_language(text->text, text->len) == EXPR_JINJA &&
		!expr_find_delimited(text->text, text->len, 0, "{{", "}}", &from, &to))
		lint_warn(lint, text, "Add {{ \"\" }}.", "a text with Jinja2 statements and without {{ }} fails when it is evaluated");
}

typedef struct TextInspection
{
	Lint	   *lint;
	const YamlNode *text;
	const LintPlace *place;
} TextInspection;

static void
say_unknown(void *arg, const char *kind, const char *name, int offset, const char *const *known, int nknown)
{
	TextInspection *inspection = arg;

	lint_warn(inspection->lint, yaml_make_part(inspection->text, Min(offset, inspection->text->len), 0),
			  suggest(name, known, nknown), "there is no %s \"%s\"", kind, name);
}

static void
say_variable(void *arg, const char *name, int offset)
{
	TextInspection *inspection = arg;
	Lint	   *lint = inspection->lint;
	const LintPlace *place = inspection->place;
	char	   *hint;

	/* A hint that nobody would see costs a comparison with a thousand names. */
	if (list_length(lint->check->document->problems) >= MAX_PROBLEMS)
		return;
	if (!place->variables || lint_has_variable(lint, name) ||
		(place->items && place->task != NULL && lint_has_item(place->task->node, name)))
		return;
	if (place->task != NULL && lint_has_item(place->task->node, name))
		hint = "The variables of with-items are seen in the parameters of the action only.";
	else
		hint = suggest(name, lint->variables, lint->nvariables);
	lint_warn(lint, yaml_make_part(inspection->text, Min(offset, inspection->text->len), 0), hint,
			  "nothing in the workflow gives the variable \"%s\"", name);
}

static void
say_nothing_of_names(void *arg, const char *kind, const char *name, int offset, const char *const *known, int nknown)
{
}

static void
say_nothing_of_variables(void *arg, const char *name, int offset)
{
}

void
lint_unknown_function(Lint *lint, const YamlNode *text, const LintPlace *place)
{
	TextInspection inspection = {lint, text, place};
	ExprInspector inspector = {say_unknown, say_nothing_of_variables, &inspection};

	expr_inspect_text(text->text, text->len, &inspector);
}

void
lint_unknown_variable(Lint *lint, const YamlNode *text, const LintPlace *place)
{
	TextInspection inspection = {lint, text, place};
	ExprInspector inspector = {say_nothing_of_names, say_variable, &inspection};

	expr_inspect_text(text->text, text->len, &inspector);
}
