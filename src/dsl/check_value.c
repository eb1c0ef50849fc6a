/*
 * check_value.c
 *		Rules for single values, and for the expressions in them.
 *
 * What is accepted is what Mistral's JSON schemas accept: 1.0 is an integer,
 * true is no number, a date is no text, and below the first level of a value
 * everything passes.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "dsl/check.h"
#include "expr/expr.h"

#define EXPRESSION_FORM "an expression like \"<% $.x %>\""

static bool check_expression(Check *check, const YamlNode *node);
static bool rule_expression(Check *check, const YamlNode *node);
static bool rule_expression_or_integer(Check *check, const YamlNode *node);
static bool rule_expression_or_boolean(Check *check, const YamlNode *node);
static bool rule_parameters(Check *check, const YamlNode *node);

#define TEXT "{'type': 'string', 'minLength': 1}"
#define DICT "{'type': 'object', 'minProperties': 1}"
#define EXPRESSION "{'$ref': '#/definitions/expression'}"

const ValueType type_any = {"anything", NULL, "{}"};
const ValueType type_text = {"text", rule_text, TEXT};
const ValueType type_unique_texts = {
	"texts", rule_unique_texts,
	"{'type': 'array', 'minItems': 1, 'uniqueItems': true, 'items': " TEXT "}"
};
const ValueType type_text_or_texts = {
	"text-or-texts", rule_text_or_texts,
	"{'anyOf': [" TEXT ", {'$ref': '#/definitions/texts'}]}"
};
const ValueType type_version = {
	"version", rule_version,
	"{'anyOf': [" TEXT ", {'type': 'number', 'minimum': 0}]}"
};
const ValueType type_workbook_version = {"workbook-version", rule_workbook_version, "{'enum': ['2.0', 2.0]}"};
const ValueType type_expression = {
	"expression", rule_expression, "{'type': 'string', 'anyOf': [@patterns]}", NULL, 2, {PATTERN_YAQL, PATTERN_JINJA}
};
const ValueType type_expression_or_integer = {
	"expression-or-integer", rule_expression_or_integer,
	"{'anyOf': [{'type': 'integer', 'minimum': 0}, " EXPRESSION "]}"
};
const ValueType type_expression_or_boolean = {
	"expression-or-boolean", rule_expression_or_boolean,
	"{'anyOf': [{'type': 'boolean'}, " EXPRESSION "]}"
};
const ValueType type_dict = {"dictionary", rule_dict, DICT};
const ValueType type_expressions = {"values", rule_expressions, DICT};
const ValueType type_parameters = {
	"parameters", rule_parameters,
	"{'type': 'array', 'minItems': 1, 'uniqueItems': true, 'items': {'anyOf': ["
	TEXT ", {'type': 'object', 'minProperties': 1, 'maxProperties': 1}]}}"
};

/* ---------------------------------------------------------------- kinds */

bool
is_integer(const YamlNode *node)
{
	return node->kind == YAML_INT || node->kind == YAML_BIGINT ||
		(node->kind == YAML_FLOAT && floor(node->real) == node->real);
}

bool
is_natural(const YamlNode *node)
{
	return is_integer(node) && node->real >= 0;
}

bool
is_expression(const YamlNode *node)
{
	return node->kind == YAML_STRING &&
		(pattern_search(PATTERN_YAQL, node->text, node->len, 0, NULL) ||
		 pattern_search(PATTERN_JINJA, node->text, node->len, 0, NULL));
}

/* ---------------------------------------------------------------- expressions */

bool
check_expressions(Check *check, const YamlNode *node)
{
	bool		sound = true;
	int			i;

	if (node->kind == YAML_STRING)
		return check_expression(check, node);
	if (node->kind != YAML_LIST && node->kind != YAML_DICT)
		return true;
	for (i = 0; i < node->nitems; i++)
	{
		int			mark;

		CHECK_FOR_INTERRUPTS();
		if (node->items[i]->kind != YAML_STRING)
			continue;
		mark = node->kind == YAML_DICT ? check_enter(check, yaml_key_text(node->keys[i])) : check_enter_index(check, i);
		if (!check_expression(check, node->items[i]))
			sound = false;
		check_leave(check, mark);
	}
	return sound;
}

static bool
check_expression(Check *check, const YamlNode *node)
{
	ExprError	error = {0};
	int			line;
	int			col;

	if (expr_validate_text(node->text, node->len, &error))
		return true;
	yaml_locate(check->source, node, error.offset, &line, &col);
	return check_problem_at(check, line, col, error.message,
							error.expected ? psprintf("Expected %s.", error.expected) : NULL);
}

static bool
rule_expression(Check *check, const YamlNode *node)
{
	if (!is_expression(node))
		return check_problem(check, node, NULL, "expected %s, found %s", EXPRESSION_FORM, yaml_describe(node));
	return check_expressions(check, node);
}

static bool
rule_expression_or_integer(Check *check, const YamlNode *node)
{
	if (is_natural(node))
		return true;
	if (!is_expression(node))
		return check_problem(check, node, NULL, "expected an integer from 0 or %s, found %s",
							 EXPRESSION_FORM, yaml_describe(node));
	return check_expressions(check, node);
}

bool
rule_expression_or_number(Check *check, const YamlNode *node, double lowest, double highest, const char *what)
{
	bool		number = node->kind == YAML_INT || node->kind == YAML_BIGINT || node->kind == YAML_FLOAT;

	if (number && node->real >= lowest && node->real <= highest)
		return true;
	if (!is_expression(node))
		return check_problem(check, node, NULL, "expected %s or %s, found %s", what, EXPRESSION_FORM, yaml_describe(node));
	return check_expressions(check, node);
}

static bool
rule_expression_or_boolean(Check *check, const YamlNode *node)
{
	if (node->kind == YAML_BOOL)
		return true;
	if (!is_expression(node))
		return check_problem(check, node, NULL, "expected true, false or %s, found %s",
							 EXPRESSION_FORM, yaml_describe(node));
	return check_expressions(check, node);
}

/* ---------------------------------------------------------------- texts and lists */

bool
rule_text(Check *check, const YamlNode *node)
{
	const char *hint = node->kind == YAML_BOOL || node->kind == YAML_INT || node->kind == YAML_FLOAT ||
		node->kind == YAML_TIME ? "Quote it when it is meant as text." : NULL;

	if (node->kind != YAML_STRING || node->len == 0)
		return check_problem(check, node, hint, "expected a text, found %s", yaml_describe(node));
	return true;
}

bool
rule_unique_texts(Check *check, const YamlNode *node)
{
	bool		sound = true;
	int			i;

	if (node->kind != YAML_LIST || node->nitems == 0)
		return check_problem(check, node, NULL, "expected a list of texts, found %s", yaml_describe(node));
	for (i = 0; i < node->nitems; i++)
	{
		int			mark = check_enter_index(check, i);

		if (!rule_text(check, node->items[i]))
			sound = false;
		check_leave(check, mark);
	}
	return check_unique(check, node) && sound;
}

bool
rule_text_or_texts(Check *check, const YamlNode *node)
{
	if (node->kind == YAML_LIST)
		return rule_unique_texts(check, node);
	if (node->kind != YAML_STRING || node->len == 0)
		return check_problem(check, node, NULL, "expected a text or a list of texts, found %s", yaml_describe(node));
	return true;
}

typedef struct HashedItem
{
	uint32		hash;
	int			index;
} HashedItem;

static int
compare_hashed(const void *a, const void *b)
{
	const HashedItem *x = a;
	const HashedItem *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->index - y->index;
}

bool
check_unique(Check *check, const YamlNode *list)
{
	HashedItem *items;
	int			i;
	int			j;

	if (list->nitems < 2)
		return true;
	items = palloc(mul_size(list->nitems, sizeof(HashedItem)));
	for (i = 0; i < list->nitems; i++)
	{
		items[i].hash = yaml_hash(list->items[i]);
		items[i].index = i;
	}
	qsort(items, list->nitems, sizeof(HashedItem), compare_hashed);
	for (i = 0; i < list->nitems; i++)
	{
		for (j = i + 1; j < list->nitems && items[j].hash == items[i].hash; j++)
		{
			const YamlNode *second = list->items[items[j].index];
			int			mark;

			if (!yaml_equal(list->items[items[i].index], second))
				continue;
			mark = check_enter_index(check, items[j].index);
			check_problem(check, second, NULL, "expected items that differ, found %s twice", yaml_describe(second));
			check_leave(check, mark);
			return false;
		}
	}
	return true;
}

bool
rule_version(Check *check, const YamlNode *node)
{
	bool		number = node->kind == YAML_INT || node->kind == YAML_BIGINT || node->kind == YAML_FLOAT;

	if ((number && node->real >= 0) || (node->kind == YAML_STRING && node->len > 0))
		return true;
	return check_problem(check, node, NULL, "expected the version \"2.0\", found %s", yaml_describe(node));
}

bool
rule_workbook_version(Check *check, const YamlNode *node)
{
	if (((node->kind == YAML_INT || node->kind == YAML_FLOAT) && node->real == 2.0) || yaml_is(node, "2.0"))
		return true;
	return check_problem(check, node, NULL, "expected the version \"2.0\", found %s", yaml_describe(node));
}

/* ---------------------------------------------------------------- dicts */

bool
rule_dict(Check *check, const YamlNode *node)
{
	bool		sound = true;
	int			i;

	if (node->kind != YAML_DICT || node->nitems == 0)
		return check_problem(check, node, node->kind == YAML_NULL ? DEEPER : NULL,
							 "expected a dictionary with at least one key, found %s", yaml_describe(node));
	for (i = 0; i < node->nitems; i++)
	{
		const YamlNode *key = node->keys[i];
		int			mark = check_enter(check, yaml_key_text(key));

		if (key->kind != YAML_STRING)
			sound = check_problem(check, key, "Quote it.", "expected a text as key, found %s", yaml_describe(key));
		else if (node->items[i]->kind == YAML_TIME && pattern_search(PATTERN_WORD, key->text, key->len, 0, NULL))
			sound = check_problem(check, node->items[i], "Quote it when it is meant as text.",
								  "expected a value that JSON has, found %s", yaml_describe(node->items[i]));
		check_leave(check, mark);
	}
	return sound;
}

bool
rule_expressions(Check *check, const YamlNode *node)
{
	bool		sound = rule_dict(check, node);

	return check_expressions(check, node) && sound;
}

static bool
rule_parameters(Check *check, const YamlNode *node)
{
	bool		sound = true;
	int			i;

	if (node->kind != YAML_LIST || node->nitems == 0)
		return check_problem(check, node, node->kind == YAML_DICT ? "Write a list: - name, or - name: default." : NULL,
							 "expected a list of parameters, found %s", yaml_describe(node));
	for (i = 0; i < node->nitems; i++)
	{
		const YamlNode *item = node->items[i];
		int			mark = check_enter_index(check, i);

		if (item->kind == YAML_DICT)
		{
			if (item->nitems != 1)
				sound = check_problem(check, item, "Write each parameter as an item of its own.",
									  "expected one parameter with its default, found %d", item->nitems);
			else if (!rule_dict(check, item))
				sound = false;
		}
		else if (item->kind != YAML_STRING || item->len == 0)
			sound = check_problem(check, item, NULL, "expected a parameter's name or {name: default}, found %s", yaml_describe(item));
		check_leave(check, mark);
	}
	return check_unique(check, node) && sound;
}
