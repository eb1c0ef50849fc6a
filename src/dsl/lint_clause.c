/*
 * lint_clause.c
 *		Rules for on-* clauses.
 */
#include "postgres.h"

#include "dsl/lint.h"

/* The list of targets of a clause as it is written, in either form; NULL when it is none. */
static const YamlNode *
written_targets(const YamlNode *clause)
{
	const YamlNode *targets = clause->kind == YAML_DICT ? yaml_get(clause, "next", NULL) : clause;

	return targets != NULL && targets->kind == YAML_LIST ? targets : NULL;
}

/* {t: condition} outside of a list names nothing; in `next` it loses its condition. */
void
lint_lost_condition(Lint *lint, const YamlNode *clause, ClauseKind kind)
{
	const YamlNode *next = yaml_get(clause, "next", NULL);

	if (clause->kind == YAML_DICT && next == NULL && yaml_get(clause, "publish", NULL) == NULL && clause->nitems > 0)
		lint_warn(lint, clause->keys[0], "Write a list: - task: <% condition %>.",
				  "a clause that names no task: a dictionary is read as {publish, next}");
	if (next != NULL && next->kind == YAML_DICT && next->nitems > 0)
		lint_warn(lint, next->keys[0], "Write a list: - task: <% condition %>.",
				  "the condition is not looked at where \"next\" is a dictionary");
}

void
lint_constant_condition(Lint *lint, const YamlNode *clause, ClauseKind kind)
{
	ListCell   *lc;

	foreach(lc, parse_clause(clause))
	{
		const ClauseTarget *target = lfirst(lc);

		if (lint_is_false(target->guard))
			lint_warn(lint, target->guard, NULL, "\"%s\" never follows: the condition is always false", target->name);
	}
}

/* What follows fail or succeed in a list is dropped. */
void
lint_after_end(Lint *lint, const YamlNode *clause, ClauseKind kind)
{
	const ClauseTarget *end = NULL;
	ListCell   *lc;

	if (written_targets(clause) == NULL)
		return;
	foreach(lc, parse_clause(clause))
	{
		const ClauseTarget *target = lfirst(lc);
		EngineCommand command;

		if (end != NULL)
		{
			lint_warn(lint, target->at, NULL, "\"%s\" never follows: \"%s\" before it ends the workflow", target->name, end->name);
			return;
		}
		if (target->guard == NULL && is_engine_command(target->name, &command) &&
			(command == COMMAND_FAIL || command == COMMAND_SUCCEED))
			end = target;
	}
}

/* Commands take msg; tasks take nothing. */
void
lint_target_parameter(Lint *lint, const YamlNode *clause, ClauseKind kind)
{
	ListCell   *lc;

	foreach(lc, parse_clause(clause))
	{
		const ClauseTarget *target = lfirst(lc);
		bool		is_command = is_engine_command(target->name, NULL);

		lint_leftover(lint, target->at);
		for (int i = 0; target->params != NULL && i < target->params->nitems; i++)
		{
			if (!is_command)
				lint_warn(lint, target->params->keys[i], "A task sees what was published before it.",
						  "a parameter of a task that follows has no effect");
			else if (!yaml_is(target->params->keys[i], "msg"))
				lint_warn(lint, target->params->keys[i], "The parameter of commands is msg.",
						  "\"%s\" has no parameter \"%s\"", target->name, yaml_key_text(target->params->keys[i]));
		}
	}
}

void
lint_atomic(Lint *lint, const YamlNode *clause, ClauseKind kind)
{
	YamlNode   *key;

	if (yaml_get(clause_publish(clause), "atomic", &key) != NULL)
		lint_warn(lint, key, "Publish with branch or global.", "\"atomic\" publishes nothing");
}
