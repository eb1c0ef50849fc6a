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
static bool rule_publish_scope(Check *check, const YamlNode *node);
static bool rule_next(Check *check, const YamlNode *node);
static bool rule_backoff(Check *check, const YamlNode *node);
static bool rule_seconds(Check *check, const YamlNode *node);
static bool rule_jitter(Check *check, const YamlNode *node);

static const KeyRule publish_rules[] = {
	{"branch", rule_publish_scope},
	{"global", rule_publish_scope},
	{"atomic", rule_publish_scope},
	{"name", rule_text, KEY_INJECTED},
	{"version", rule_version, KEY_INJECTED},
	{"description", rule_text, KEY_INJECTED},
	{"tags", rule_unique_texts, KEY_INJECTED}
};

static const KeyRule advanced_rules[] = {
	{"publish", check_publish},
	{"next", rule_next}
};

static const KeyRule retry_rules[] = {
	{"count", rule_expression_or_integer, KEY_REQUIRED},
	{"delay", rule_expression_or_integer, KEY_REQUIRED},
	{"break-on", rule_expression},
	{"continue-on", rule_expression},
	{"backoff", rule_backoff},
	{"max-delay", rule_seconds},
	{"jitter", rule_jitter}
};

/* ---------------------------------------------------------------- on-* */

bool
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
		sound = explain_target_list(check, node);
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
		if (publish_rules[k].rule == rule_publish_scope &&
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
	if (!check_table(check, node, advanced_rules, lengthof(advanced_rules), "a clause", true, 0))
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
	if (!check_table(check, publish, publish_rules, lengthof(publish_rules), "publish", true, 0))
		return false;
	for (i = 0; i < 3; i++)
	{
		if (yaml_get(publish, publish_rules[i].key, NULL) != NULL)
			return true;
	}
	return check_problem(check, publish, NULL, "expected one of the keys \"branch\", \"global\" and \"atomic\", found none");
}

static bool
rule_publish_scope(Check *check, const YamlNode *node)
{
	return rule_expressions(check, node);
}

/* ---------------------------------------------------------------- other clauses */

bool
rule_retry(Check *check, const YamlNode *node)
{
	YamlNode   *retry;

	if ((node->kind != YAML_STRING || node->len == 0) && node->kind != YAML_DICT)
		return check_problem(check, node, NULL, "expected {count, delay} or \"count=3 delay=1\", found %s", yaml_describe(node));
	retry = parse_retry(node);
	if (retry == NULL)
		return check_problem(check, node, NULL, "expected \"count=3 delay=1\", found %s", yaml_describe(node));
	return check_table(check, retry, retry_rules, lengthof(retry_rules), "retry", true, 0);
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

bool
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

bool
rule_join(Check *check, const YamlNode *node)
{
	if (yaml_is(node, "all") || yaml_is(node, "one") || is_natural(node))
		return true;
	return check_problem(check, node, NULL, "expected \"all\", \"one\" or an integer from 0, found %s", yaml_describe(node));
}

bool
rule_task_input(Check *check, const YamlNode *node)
{
	if (node->kind == YAML_STRING && node->len > 0)
		return check_expressions(check, node);
	if (node->kind == YAML_DICT && node->nitems > 0)
		return rule_expressions(check, node);
	return check_problem(check, node, NULL, "expected a dictionary or an expression that gives one, found %s",
						 yaml_describe(node));
}

bool
rule_command(Check *check, const YamlNode *node)
{
	char	   *name;
	YamlNode   *params;

	if (!rule_text(check, node))
		return false;
	if (!parse_command(node, &name, &params))
		return check_problem(check, node, NULL, "expected a name, then parameters like k=\"v\", found %s", yaml_describe(node));
	return params == NULL || check_expressions(check, params);
}
