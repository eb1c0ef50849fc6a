/*
 * check_clause.c
 *		Rules for the clauses of tasks: on-*, publish, retry, with-items, join,
 *		input, action.
 *
 * The original's schema says "exactly one of" for on-* clauses, and its forms
 * overlap: fail(msg="x") without a space inside is two of them and refused,
 * {t2: <% ... %>} outside a list is accepted and names nothing.  Both are kept.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "dsl/check.h"

static int	target_forms(const char *text, int len);
static bool is_target(const YamlNode *node);
static bool is_guarded_target(const YamlNode *node);
static bool is_target_list(const YamlNode *node);
static bool is_publish(const YamlNode *node);
static bool is_advanced(const YamlNode *node);
static bool explain_target(Check *check, const YamlNode *node);
static bool explain_target_list(Check *check, const YamlNode *node);
static bool explain_advanced(Check *check, const YamlNode *node);
static bool check_publish(Check *check, const YamlNode *publish);
static bool check_targets(Check *check, const YamlNode *clause);
static bool rule_next(Check *check, const YamlNode *node);
static bool rule_on_clause(Check *check, const YamlNode *node);
static bool rule_retry(Check *check, const YamlNode *node);
static bool rule_with_items(Check *check, const YamlNode *node);
static bool rule_join(Check *check, const YamlNode *node);
static bool rule_task_input(Check *check, const YamlNode *node);
static bool rule_command(Check *check, const YamlNode *node);
static bool rule_backoff(Check *check, const YamlNode *node);
static bool rule_seconds(Check *check, const YamlNode *node);
static bool rule_jitter(Check *check, const YamlNode *node);

static const KeyRule publish_rules[] = {
	{"branch", &type_expressions, 0, "Variables for the tasks behind this one."},
	{"global", &type_expressions, 0, "Variables for the whole execution, at once."},
	{"atomic", &type_expressions, 0, "Accepted, and publishes nothing."},
	{"name", &type_text, KEY_INJECTED, "Has no effect."},
	{"version", &type_version, KEY_INJECTED, "Has no effect."},
	{"description", &type_text, KEY_INJECTED, "Has no effect."},
	{"tags", &type_unique_texts, KEY_INJECTED, "Has no effect."}
};

static const KeyRule advanced_rules[] = {
	{"publish", &type_publish, 0, "What the transition publishes: branch, global."},
	{"next", &type_next, 0, "The tasks and commands that come next."}
};

static const KeyRule retry_rules[] = {
	{"count", &type_expression_or_integer, KEY_REQUIRED, "How often the task is tried again after its first run."},
	{"delay", &type_expression_or_integer, KEY_REQUIRED, "Seconds between two tries."},
	{"break-on", &type_expression, 0, "No more tries when it is true after an error."},
	{"continue-on", &type_expression, 0, "After a success: another try while it is true. After an error: no more tries when it is false."},
	{"backoff", &type_backoff, 0, "What each delay is multiplied by for the next one."},
	{"max-delay", &type_seconds, 0, "The longest delay, in seconds."},
	{"jitter", &type_jitter, 0, "The share of each delay that chance may take away, from 0 to 1; true is 1."}
};

static const KeyTable publish_keys = {"publish", publish_rules, lengthof(publish_rules), true};
static const KeyTable advanced_keys = {"a clause", advanced_rules, lengthof(advanced_rules), true};
static const KeyTable retry_keys = {"retry", retry_rules, lengthof(retry_rules), true};

#define REF(name) "{'$ref': '#/definitions/" name "'}"

const ValueType type_target = {
	"target", NULL, "{'type': 'string', 'oneOf': [@patterns]}",
	NULL, 3, {PATTERN_TARGET, PATTERN_TARGET_PARAMETER, PATTERN_TARGET_CALL}
};
const ValueType type_condition = {
	"condition", NULL,
	"{'type': 'object', 'minProperties': 1, 'maxProperties': 1, 'additionalProperties': " REF("expression") "}"
};
const ValueType type_target_list = {
	"target-list", NULL,
	"{'type': 'array', 'minItems': 1, 'uniqueItems': true, 'items': {'anyOf': [" REF("target") ", " REF("condition") "]}}"
};
const ValueType type_next = {
	"next", rule_next, "{'anyOf': [" REF("target") ", " REF("target-list") ", " REF("condition") "]}"
};
const ValueType type_publish = {
	"publish", check_publish,
	"{'allOf': [@keys], 'anyOf': [{'required': ['branch']}, {'required': ['global']}, {'required': ['atomic']}]}",
	&publish_keys
};
const ValueType type_clause = {
	"clause", rule_on_clause,
	"{'anyOf': [" REF("target") ", " REF("target-list") ", @keys, " REF("condition") "]}", &advanced_keys
};
const ValueType type_backoff = {"backoff", rule_backoff, "{'anyOf': [{'type': 'number', 'minimum': 1}, " REF("expression") "]}"};
const ValueType type_seconds = {"seconds", rule_seconds, "{'anyOf': [{'type': 'number', 'minimum': 0}, " REF("expression") "]}"};
const ValueType type_jitter = {
	"jitter", rule_jitter,
	"{'anyOf': [{'type': 'boolean'}, {'type': 'number', 'minimum': 0, 'maximum': 1}, " REF("expression") "]}"
};
const ValueType type_retry = {"retry", rule_retry, "{'anyOf': [" REF("text") ", @keys]}", &retry_keys};
const ValueType type_with_item = {
	"with-item", NULL, "{'type': 'string', 'anyOf': [@patterns]}", NULL, 1, {PATTERN_WITH_ITEMS}
};
const ValueType type_with_items = {
	"with-items", rule_with_items,
	"{'anyOf': [" REF("with-item") ", {'type': 'array', 'minItems': 1, 'uniqueItems': true, 'items': " REF("with-item") "}]}"
};
const ValueType type_join = {
	"join", rule_join, "{'anyOf': [{'enum': ['all', 'one']}, {'type': 'integer', 'minimum': 0}]}"
};
const ValueType type_task_input = {"task-input", rule_task_input, "{'anyOf': [" REF("text") ", " REF("dictionary") "]}"};
const ValueType type_command = {"command", rule_command, REF("text")};

/* ---------------------------------------------------------------- on-* */

static bool
rule_on_clause(Check *check, const YamlNode *node)
{
	bool		sound;
	int			forms = is_target(node) + is_guarded_target(node) + is_target_list(node) + is_advanced(node);

	if (forms == 1)
		sound = check_targets(check, node);
	else if (forms > 1)
		sound = check_problem(check, node, "Write the target as an item of a list.",
							  "expected one form of a clause, found one that can be read in two ways");
	else if (node->kind == YAML_STRING)
		sound = explain_target(check, node);
	else if (node->kind == YAML_LIST && node->nitems > 0)
	{
		sound = explain_target_list(check, node);
		(void) check_targets(check, node);
	}
	else if (node->kind == YAML_DICT && node->nitems > 0)
		return explain_advanced(check, node);
	else
		sound = check_problem(check, node, NULL, "expected a task, a list of tasks or {publish, next}, found %s",
							  yaml_describe(node));
	if (node->kind == YAML_DICT)
	{
		const YamlNode *publish = yaml_get(node, "publish", NULL);
		int			mark = check_enter(check, "publish");

		if (publish != NULL && publish->kind != YAML_NULL && !check_publish(check, publish))
			sound = false;
		check_leave(check, mark);
	}
	return sound;
}

static int
target_forms(const char *text, int len)
{
	return pattern_search(PATTERN_TARGET, text, len, 0, NULL) +
		pattern_search(PATTERN_TARGET_PARAMETER, text, len, 0, NULL) +
		pattern_search(PATTERN_TARGET_CALL, text, len, 0, NULL);
}

static bool
is_target(const YamlNode *node)
{
	return node->kind == YAML_STRING && target_forms(node->text, node->len) == 1;
}

/* {target: guard}: the guard of a key that is no target may be anything. */
static bool
is_guarded_target(const YamlNode *node)
{
	const YamlNode *key;

	if (node->kind != YAML_DICT || node->nitems != 1)
		return false;
	key = node->keys[0];
	return key->kind == YAML_STRING && (target_forms(key->text, key->len) == 0 || is_expression(node->items[0]));
}

static bool
is_target_list(const YamlNode *node)
{
	Check		silent = {0};
	SpecDocument ignored = {0};
	int			i;

	if (node->kind != YAML_LIST || node->nitems == 0)
		return false;
	for (i = 0; i < node->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_target(node->items[i]) && !is_guarded_target(node->items[i]))
			return false;
	}
	silent.document = &ignored;
	initStringInfo(&silent.path);
	return check_unique(&silent, node);
}

static bool
is_publish(const YamlNode *node)
{
	int			i;

	if (node->kind != YAML_DICT)
		return false;
	for (i = 0; i < node->nitems; i++)
	{
		int			k;

		for (k = 0; k < lengthof(publish_rules) && !yaml_is(node->keys[i], publish_rules[k].key); k++)
			;
		if (k == lengthof(publish_rules))
			return false;
		if (publish_rules[k].type == &type_expressions &&
			(node->items[i]->kind != YAML_DICT || node->items[i]->nitems == 0))
			return false;
	}
	return true;
}

static bool
is_advanced(const YamlNode *node)
{
	int			i;

	if (node->kind != YAML_DICT || node->nitems == 0)
		return false;
	for (i = 0; i < node->nitems; i++)
	{
		const YamlNode *item = node->items[i];

		if (yaml_is(node->keys[i], "publish"))
		{
			if (!is_publish(item))
				return false;
		}
		else if (!yaml_is(node->keys[i], "next") ||
				 is_target(item) + is_guarded_target(item) + is_target_list(item) != 1)
			return false;
	}
	return true;
}

/* ---- what is wrong with a clause that has no form */

static bool
explain_target(Check *check, const YamlNode *node)
{
	if (pattern_search(PATTERN_TARGET_CALL, node->text, node->len, 0, NULL))
		return check_problem(check, node, "Write a space before the parameter: fail msg=\"...\".",
							 "expected a task or a command, found %s, which can be read in two ways", yaml_describe(node));
	return check_problem(check, node, "The forms are: task, task k=v, task(k=v).",
						 "expected a task or a command, found %s", yaml_describe(node));
}

static bool
explain_target_list(Check *check, const YamlNode *node)
{
	bool		sound = true;
	int			i;

	for (i = 0; i < node->nitems; i++)
	{
		const YamlNode *item = node->items[i];
		int			mark = check_enter_index(check, i);

		CHECK_FOR_INTERRUPTS();
		if (is_target(item) || is_guarded_target(item))
			 /* nothing to say */ ;
		else if (item->kind == YAML_STRING)
			sound = explain_target(check, item);
		else if (item->kind != YAML_DICT)
			sound = check_problem(check, item, NULL, "expected a task or {task: condition}, found %s", yaml_describe(item));
		else if (item->nitems != 1)
			sound = check_problem(check, item, "Write each target as an item of its own.",
								  "expected one task with its condition, found %d", item->nitems);
		else if (item->keys[0]->kind != YAML_STRING)
			sound = check_problem(check, item->keys[0], "Quote it.", "expected a text as key, found %s",
								  yaml_describe(item->keys[0]));
		else
			sound = check_problem(check, item->items[0], NULL,
								  "expected a condition like \"<%% $.x > 1 %%>\", found %s", yaml_describe(item->items[0]));
		check_leave(check, mark);
	}
	return check_unique(check, node) && sound;
}

static bool
explain_advanced(Check *check, const YamlNode *node)
{
	if (yaml_get(node, "publish", NULL) == NULL && yaml_get(node, "next", NULL) == NULL && node->nitems == 1)
		return check_problem(check, node->items[0], "Write targets with conditions as a list: - task: <% condition %>.",
							 "expected {publish, next} or a list of tasks, found %s", yaml_describe(node));
	if (!check_table(check, node, &advanced_keys))
		return false;
	return check_problem(check, node, NULL, "expected {publish, next} or a list of tasks, found %s", yaml_describe(node));
}

static bool
rule_next(Check *check, const YamlNode *node)
{
	if (is_target(node) || is_guarded_target(node) || is_target_list(node))
		return true;
	if (node->kind == YAML_STRING)
		return explain_target(check, node);
	if (node->kind == YAML_LIST && node->nitems > 0)
		return explain_target_list(check, node);
	return check_problem(check, node, NULL, "expected a task or a list of tasks, found %s", yaml_describe(node));
}

/* The expressions of names and guards. */
static bool
check_targets(Check *check, const YamlNode *clause)
{
	bool		sound = true;
	ListCell   *lc;

	foreach(lc, parse_clause(clause))
	{
		ClauseTarget *target = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (target->guard != NULL && target->guard->kind == YAML_STRING && !check_expressions(check, target->guard))
			sound = false;
	}
	return sound;
}

/* ---------------------------------------------------------------- publish */

static bool
check_publish(Check *check, const YamlNode *publish)
{
	int			i;

	if (publish->kind != YAML_DICT)
		return check_problem(check, publish, NULL, "expected a dictionary, found %s", yaml_describe(publish));
	if (!check_table(check, publish, &publish_keys))
		return false;
	for (i = 0; i < 3; i++)
	{
		if (yaml_get(publish, publish_rules[i].key, NULL) != NULL)
			return true;
	}
	return check_problem(check, publish, NULL, "expected one of the keys \"branch\", \"global\" and \"atomic\", found none");
}

/* ---------------------------------------------------------------- other clauses */

static bool
rule_retry(Check *check, const YamlNode *node)
{
	YamlNode   *retry;

	if ((node->kind != YAML_STRING || node->len == 0) && node->kind != YAML_DICT)
		return check_problem(check, node, NULL, "expected {count, delay} or \"count=3 delay=1\", found %s", yaml_describe(node));
	retry = parse_retry(node);
	if (retry == NULL)
		return check_problem(check, node, NULL, "expected \"count=3 delay=1\", found %s", yaml_describe(node));
	return check_table(check, retry, &retry_keys);
}

static bool
rule_backoff(Check *check, const YamlNode *node)
{
	return rule_expression_or_number(check, node, 1, HUGE_VAL, "a number from 1");
}

static bool
rule_seconds(Check *check, const YamlNode *node)
{
	return rule_expression_or_number(check, node, 0, HUGE_VAL, "a number from 0");
}

static bool
rule_jitter(Check *check, const YamlNode *node)
{
	return node->kind == YAML_BOOL ||
		rule_expression_or_number(check, node, 0, 1, "true, false, a number from 0 to 1");
}

static bool
rule_with_items(Check *check, const YamlNode *node)
{
	bool		sound;
	int			nitems = node->kind == YAML_LIST ? node->nitems : 1;
	int			i;

	sound = rule_text_or_texts(check, node);
	for (i = 0; sound && i < nitems; i++)
	{
		const YamlNode *item = node->kind == YAML_LIST ? node->items[i] : node;
		int			mark = node->kind == YAML_LIST ? check_enter_index(check, i) : check->path.len;
		char	   *var;
		YamlNode   *list;
		const char *problem = parse_with_item(item, &var, &list);

		if (problem != NULL)
			sound = check_problem(check, item, NULL, "%s, found %s", problem, yaml_describe(item));
		else if (list->kind == YAML_STRING && !check_expressions(check, list))
			sound = false;
		check_leave(check, mark);
	}
	return sound;
}

static bool
rule_join(Check *check, const YamlNode *node)
{
	if (yaml_is(node, "all") || yaml_is(node, "one") || is_natural(node))
		return true;
	return check_problem(check, node, NULL, "expected \"all\", \"one\" or an integer from 0, found %s", yaml_describe(node));
}

static bool
rule_task_input(Check *check, const YamlNode *node)
{
	if (node->kind == YAML_STRING && node->len > 0)
		return check_expressions(check, node);
	if (node->kind == YAML_DICT && node->nitems > 0)
		return rule_expressions(check, node);
	return check_problem(check, node, NULL, "expected a dictionary or an expression that gives one, found %s",
						 yaml_describe(node));
}

static bool
rule_command(Check *check, const YamlNode *node)
{
	char	   *name;
	YamlNode   *params;

	if (!rule_text(check, node))
		return false;
	if (!parse_command(node, &name, &params))
		return check_problem(check, node, NULL, "expected a name, then parameters like k=\"v\", found %s", yaml_describe(node));
	if (strcmp(name, "std.javascript") == 0 || strcmp(name, "std.js") == 0)
		return check_problem(check, node, "Let a pull worker do it, or register a function of the database (mistral.register_action).",
							 "%s is not offered: the server runs no code that definitions bring along", name);
	return params == NULL || check_expressions(check, params);
}
