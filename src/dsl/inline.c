/*
 * inline.c
 *		The small languages inside the texts of a definition: a command with
 *		parameters, a retry policy in one line, an item's list, a clause's
 *		targets.
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"

#include "dsl/check.h"

/* A longer text is not searched for parameters; the caller reports it. */
#define MAX_COMMAND_LENGTH 32768

static bool split_command(const YamlNode *node, PatternId parameter, char **name, YamlNode **params);
static YamlNode *parse_parameters(const YamlNode *node, PatternId parameter);
static YamlNode *parameter_value(const YamlNode *node, int start, int end);
static ClauseTarget *parse_target(const YamlNode *item, bool keep_guard);

bool
parse_command(const YamlNode *node, char **name, YamlNode **params)
{
	return split_command(node, PATTERN_PARAMETER, name, params);
}

/*
 * Only a text with a space is looked into; another one is the name as it is,
 * even when it holds a parameter.
 */
static bool
split_command(const YamlNode *node, PatternId parameter, char **name, YamlNode **params)
{
	PatternMatch match;

	*params = NULL;
	if (strchr(node->text, ' ') == NULL)
	{
		*name = pstrdup(node->text);
		return true;
	}
	if (node->len > MAX_COMMAND_LENGTH || !pattern_search(PATTERN_COMMAND, node->text, node->len, 0, &match))
		return false;
	*name = pnstrdup(node->text, match.end[0]);
	*params = parse_parameters(node, parameter);
	if ((*params)->nitems == 0)
		*params = NULL;
	return true;
}

/* Every k=v of the text, wherever it stands; what is none is passed over. */
static YamlNode *
parse_parameters(const YamlNode *node, PatternId parameter)
{
	YamlNode   *params = yaml_make(YAML_DICT, node);
	PatternMatch match;
	int			from = 0;

	while (from < node->len && pattern_search(parameter, node->text, node->len, from, &match))
	{
		CHECK_FOR_INTERRUPTS();
		yaml_set(params,
				 yaml_make_part(node, match.start[1], match.end[1] - match.start[1]),
				 parameter_value(node, match.start[2], match.end[2]));
		from = match.end[0];
	}
	return params;
}

/* In quotes: the text between them; else JSON, or the text itself when it is none. */
static YamlNode *
parameter_value(const YamlNode *node, int start, int end)
{
	const char *text = node->text;
	YamlNode   *value;

	while (end > start && isspace((unsigned char) text[end - 1]))
		end--;
	if (text[start] == '"' || text[start] == '\'')
		return yaml_make_part(node, start + 1, end - start - 2);
	value = json_read(text + start, end - start, node);
	return value ? value : yaml_make_part(node, start, end - start);
}

YamlNode *
parse_retry(const YamlNode *node)
{
	char	   *name;
	YamlNode   *params;

	if (node->kind == YAML_DICT)
		return unconstify(YamlNode *, node);
	if (node->kind != YAML_STRING || !split_command(node, PATTERN_RETRY_PARAMETER, &name, &params))
		return NULL;
	return params ? params : yaml_make(YAML_DICT, node);
}

const char *
parse_with_item(const YamlNode *node, char **var, YamlNode **list)
{
	PatternMatch match;
	int			start;
	int			len;

	if (node->kind != YAML_STRING || !pattern_search(PATTERN_WITH_ITEMS, node->text, node->len, 0, &match))
		return "expected the form \"variable in <% $.list %>\" or \"variable in [1, 2]\"";
	start = match.start[2];
	len = match.end[2] - start;
	*var = pnstrdup(node->text + match.start[1], match.end[1] - match.start[1]);
	if (node->text[start] != '[')
	{
		*list = yaml_make_part(node, start, len);
		return NULL;
	}
	*list = json_read(node->text + start, len, node);
	return *list ? NULL : "expected a list that is JSON";
}

/* ---------------------------------------------------------------- clauses */

/*
 * A dict is the {publish, next} form, also when it holds other keys: a lone
 * {target: guard} outside a list names nothing.  In `next` a dict gives its
 * keys and loses its guards.
 */
List *
parse_clause(const YamlNode *clause)
{
	List	   *targets = NIL;
	int			i;

	if (clause == NULL)
		return NIL;
	if (clause->kind == YAML_DICT)
	{
		const YamlNode *next = yaml_get(clause, "next", NULL);

		if (next == NULL || next->kind != YAML_DICT)
			return next && next->kind != YAML_NULL ? parse_clause(next) : NIL;
		for (i = 0; i < next->nitems; i++)
		{
			ClauseTarget *target = parse_target(next->keys[i], false);

			if (target != NULL)
				targets = lappend(targets, target);
		}
		return targets;
	}
	if (clause->kind != YAML_LIST)
	{
		ClauseTarget *target = parse_target(clause, true);

		return target ? list_make1(target) : NIL;
	}
	for (i = 0; i < clause->nitems; i++)
	{
		ClauseTarget *target = parse_target(clause->items[i], true);

		CHECK_FOR_INTERRUPTS();
		if (target != NULL)
			targets = lappend(targets, target);
	}
	return targets;
}

/* A text, or a dict whose first entry is the target and its guard; NULL when it is neither. */
static ClauseTarget *
parse_target(const YamlNode *item, bool keep_guard)
{
	ClauseTarget *target;
	const YamlNode *text = item;
	const YamlNode *guard = NULL;
	YamlNode   *params;
	char	   *name;

	if (item->kind == YAML_DICT && item->nitems > 0)
	{
		text = item->keys[0];
		guard = keep_guard ? item->items[0] : NULL;
	}
	if (text->kind != YAML_STRING || text->len == 0 || !parse_command(text, &name, &params))
		return NULL;
	target = palloc0(sizeof(ClauseTarget));
	target->name = name;
	target->params = params;
	target->guard = guard;
	target->at = text;
	return target;
}

const YamlNode *
clause_publish(const YamlNode *clause)
{
	const YamlNode *publish = yaml_get(clause, "publish", NULL);

	return publish && publish->kind == YAML_DICT ? publish : NULL;
}
