/*
 * schema.c
 *		The JSON Schema (draft 7) of definitions, for editors: written from the
 *		tables of keys and types that the check uses.
 *
 * A schema says what one value may be; how tasks hang together, and whether
 * expressions parse, is for validate() and lint().
 */
#include "postgres.h"

#include "utils/json.h"

#include "dsl/check.h"

static const ValueType *const types[] = {
	&type_any, &type_text, &type_unique_texts, &type_text_or_texts, &type_version, &type_workbook_version,
	&type_expression, &type_expression_or_integer, &type_expression_or_boolean, &type_dict, &type_expressions,
	&type_parameters,
	&type_target, &type_condition, &type_target_list, &type_next, &type_publish, &type_clause,
	&type_backoff, &type_seconds, &type_jitter, &type_retry,
	&type_with_item, &type_with_items, &type_join, &type_task_input, &type_command,
	&type_workflow_type, &type_defaults, &type_tasks, &type_direct_tasks, &type_reverse_tasks, &type_task,
	&type_reverse_task, &type_workflow, &type_any_value, &type_action,
	&type_workflows, &type_actions, &type_workbook, &type_list
};

static void write_type(StringInfo out, const ValueType *type);
static void write_keys(StringInfo out, const KeyTable *table);
static void write_patterns(StringInfo out, const ValueType *type);

char *
spec_json_schema(void)
{
	StringInfoData out;

	initStringInfo(&out);
	/* Whatever has a text as name is a workbook, as validate() finds it out. */
	appendStringInfoString(&out,
						   "{\"$schema\": \"http://json-schema.org/draft-07/schema#\","
						   " \"title\": \"Mistral workflow language, version 2\","
						   " \"if\": {\"type\": \"object\", \"required\": [\"name\"], \"properties\": {\"name\": {\"type\": \"string\"}}},"
						   " \"then\": {\"$ref\": \"#/definitions/workbook\"},"
						   " \"else\": {\"$ref\": \"#/definitions/list\"},"
						   " \"definitions\": {");
	for (int i = 0; i < lengthof(types); i++)
	{
		appendStringInfo(&out, "%s\"%s\": ", i > 0 ? ", " : "", types[i]->name);
		write_type(&out, types[i]);
	}
	appendStringInfoString(&out, "}}");
	return out.data;
}

static void
write_type(StringInfo out, const ValueType *type)
{
	static const char keys[] = "@keys";
	static const char patterns[] = "@patterns";

	for (const char *p = type->schema; *p != '\0';)
	{
		if (strncmp(p, keys, strlen(keys)) == 0)
		{
			write_keys(out, type->keys);
			p += strlen(keys);
		}
		else if (strncmp(p, patterns, strlen(patterns)) == 0)
		{
			write_patterns(out, type);
			p += strlen(patterns);
		}
		else
		{
			appendStringInfoChar(out, *p == '\'' ? '"' : *p);
			p++;
		}
	}
}

static void
write_keys(StringInfo out, const KeyTable *table)
{
	bool		first = true;

	appendStringInfoString(out, "{\"type\": \"object\", \"minProperties\": 1, \"properties\": {");
	for (int i = 0; i < table->nrules; i++)
	{
		const KeyRule *rule = &table->rules[i];

		if (rule->flags & table->leave_out)
			continue;
		appendStringInfo(out, "%s\"%s\": {\"description\": ", first ? "" : ", ", rule->key);
		escape_json(out, rule->description);
		/* Beside a reference, draft 7 reads nothing. */
		appendStringInfo(out, ", \"allOf\": [{\"$ref\": \"#/definitions/%s\"}]}", rule->type->name);
		first = false;
	}
	appendStringInfoString(out, "}, \"required\": [");
	first = true;
	for (int i = 0; i < table->nrules; i++)
	{
		if (!(table->rules[i].flags & KEY_REQUIRED))
			continue;
		appendStringInfo(out, "%s\"%s\"", first ? "" : ", ", table->rules[i].key);
		first = false;
	}
	appendStringInfo(out, "]%s}", table->strict ? ", \"additionalProperties\": false" : "");
}

static void
write_patterns(StringInfo out, const ValueType *type)
{
	for (int i = 0; i < type->npatterns; i++)
	{
		appendStringInfoString(out, i > 0 ? ", {\"pattern\": " : "{\"pattern\": ");
		escape_json(out, pattern_text(type->patterns[i]));
		appendStringInfoChar(out, '}');
	}
}
