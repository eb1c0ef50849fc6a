/*
 * spec_document.c
 *		Documents: workbooks, lists of workflows, lists of actions.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "dsl/check.h"
#include "guc.h"
#include "mistral.h"

static SpecKind find_kind(const YamlNode *root);
static void check_workbook(Check *check, const YamlNode *root);
static void check_list(Check *check, const YamlNode *root, SpecKind kind);
static void check_name(Check *check, const YamlNode *at, const char *name);
static void check_item(Check *check, const YamlNode *key, const YamlNode *item, SpecKind kind);
static bool rule_workflows(Check *check, const YamlNode *node);
static bool rule_actions(Check *check, const YamlNode *node);
static void collect_definitions(Check *check, const YamlNode *root);
static void collect_section(Check *check, const YamlNode *section, SpecKind kind);

static const KeyRule workbook_rules[] = {
	{"version", &type_workbook_version, KEY_REQUIRED, "The version of the language: '2.0'."},
	{"name", &type_text, KEY_REQUIRED, "The first part of the names of its workflows and actions."},
	{"description", &type_text, 0, "For readers."},
	{"tags", &type_unique_texts, 0, "Words for readers."},
	{"actions", &type_actions, 0, "Ad-hoc actions, by name."},
	{"workflows", &type_workflows, 0, "Workflows, by name."}
};

const KeyTable workbook_keys = {"a workbook", workbook_rules, lengthof(workbook_rules), true};

#define REF(name) "{'$ref': '#/definitions/" name "'}"
#define SECTION(item) \
	"{'type': 'object', 'minProperties': 1, 'properties': {'version': " REF("workbook-version") "}," \
	" 'propertyNames': {'anyOf': [{'const': 'version'}, @patterns]}, 'additionalProperties': " REF(item) "}"

const ValueType type_workflows = {"workflows", rule_workflows, SECTION("workflow"), NULL, 1, {PATTERN_WORKBOOK_ITEM}};
const ValueType type_actions = {"actions", rule_actions, SECTION("action"), NULL, 1, {PATTERN_WORKBOOK_ITEM}};
const ValueType type_workbook = {"workbook", NULL, "@keys", &workbook_keys};
const ValueType type_list = {
	"list", NULL,
	"{'type': 'object', 'minProperties': 2, 'required': ['version'], 'properties': {'version': " REF("version") "},"
	" 'additionalProperties': {'if': {'required': ['base'], 'not': {'required': ['tasks']}},"
	" 'then': " REF("action") ", 'else': " REF("workflow") "}}"
};

SpecDocument *
spec_parse(const char *text, int len, SpecKind kind)
{
	SpecDocument *document = palloc0(sizeof(SpecDocument));
	Check		check = {0};

	(void) check_document(&check, document, text, len, kind);
	spec_sort_problems(document);
	return document;
}

YamlNode *
check_document(Check *check, SpecDocument *document, const char *text, int len, SpecKind kind)
{
	YamlError	error;
	YamlNode   *root;

	document->kind = kind;
	check->document = document;
	initStringInfo(&check->path);
	if (len > (int64) guc_max_definition_size * 1024)
	{
		document->too_large = true;
		check_problem_at(check, 1, 1,
						 psprintf("expected a document of at most %d kB, found %d kB", guc_max_definition_size, len / 1024 + 1),
						 "The setting mistral.max_definition_size is the limit.");
		return NULL;
	}
	check->source = yaml_source(text, len);
	root = yaml_read(text, len, &error);
	if (error.line > 0)
	{
		check_problem_at(check, error.line, error.col, error.message, error.hint);
		return NULL;
	}
	/* As in the original, whatever is empty is an empty document. */
	if (!yaml_truth(root))
	{
		YamlNode	start = {.line = 1, .col = 1, .end_line = 1, .end_col = 1};

		root = yaml_make(YAML_DICT, &start);
	}
	if (kind == SPEC_UNKNOWN)
		document->kind = kind = find_kind(root);
	if (root->kind != YAML_DICT)
		check_problem(check, root, NULL, "expected a dictionary, found %s", yaml_describe(root));
	else if (kind == SPEC_WORKBOOK)
		check_workbook(check, root);
	else
		check_list(check, root, kind);
	if (document->problems == NIL)
		collect_definitions(check, root);
	return root;
}

/* A workbook has sections; an action has a base; everything else are workflows. */
static SpecKind
find_kind(const YamlNode *root)
{
	const YamlNode *name = yaml_get(root, "name", NULL);
	int			i;

	if (root->kind != YAML_DICT)
		return SPEC_WORKFLOW;
	if ((name != NULL && name->kind != YAML_DICT) ||
		(yaml_get(yaml_get(root, "workflows", NULL), "tasks", NULL) == NULL && yaml_get(root, "workflows", NULL) != NULL))
		return SPEC_WORKBOOK;
	for (i = 0; i < root->nitems; i++)
	{
		if (yaml_get(root->items[i], "base", NULL) != NULL && yaml_get(root->items[i], "tasks", NULL) == NULL)
			return SPEC_ACTION;
	}
	return SPEC_WORKFLOW;
}

/* ---------------------------------------------------------------- workbooks */

static void
check_workbook(Check *check, const YamlNode *root)
{
	const YamlNode *name = yaml_get(root, "name", NULL);

	if (name != NULL && name->kind == YAML_STRING && name->len > 0)
	{
		int			mark = check_enter(check, "name");

		check_name(check, name, name->text);
		check->document->workbook = name->text;
		check_leave(check, mark);
	}
	check_table(check, root, &workbook_keys);
}

static bool
check_section(Check *check, const YamlNode *section, SpecKind kind)
{
	int			i;

	if (section->kind != YAML_DICT || section->nitems == 0)
		return check_problem(check, section, NULL, "expected a dictionary of %s, found %s",
							 kind == SPEC_WORKFLOW ? "workflows" : "actions", yaml_describe(section));
	for (i = 0; i < section->nitems; i++)
	{
		const YamlNode *key = section->keys[i];
		int			mark = check_enter(check, yaml_key_text(key));

		CHECK_FOR_INTERRUPTS();
		if (yaml_is(key, "version"))
			rule_workbook_version(check, section->items[i]);
		else if (key->kind != YAML_STRING || !pattern_search(PATTERN_WORKBOOK_ITEM, key->text, key->len, 0, NULL))
			check_problem(check, key, "Letters, digits, underscores and hyphens make a name.",
						  "expected the name of %s, found %s", kind == SPEC_WORKFLOW ? "a workflow" : "an action",
						  yaml_describe(key));
		else
			check_item(check, key, section->items[i], kind);
		check_leave(check, mark);
	}
	return true;
}

static bool
rule_workflows(Check *check, const YamlNode *node)
{
	return check_section(check, node, SPEC_WORKFLOW);
}

static bool
rule_actions(Check *check, const YamlNode *node)
{
	return check_section(check, node, SPEC_ACTION);
}

/*
 * What the original, too, refuses only when it stores the definition: the
 * language allows it, and so does validate.
 */
static void
check_name(Check *check, const YamlNode *at, const char *name)
{
	SpecDocument *document = check->document;
	List	   *problems = document->problems;
	int			length = pg_mbstrlen(name);

	document->problems = document->load_problems;
	if (strchr(name, ' ') != NULL)
		check_problem(check, at, "Write a hyphen or an underscore.",
					  "expected a name without spaces, found \"%s\"", name);
	else if (length == 0 || length > MAX_NAME_LENGTH)
		check_problem(check, at, NULL, "expected a name of 1 to %d characters, found %d", MAX_NAME_LENGTH, length);
	document->load_problems = document->problems;
	document->problems = problems;
}

/* As the catalog has it. */
static char *
qualified_name(const SpecDocument *document, const YamlNode *key)
{
	return document->workbook ? psprintf("%s.%s", document->workbook, yaml_key_text(key)) : pstrdup(yaml_key_text(key));
}

static void
check_item(Check *check, const YamlNode *key, const YamlNode *item, SpecKind kind)
{
	check_name(check, key, qualified_name(check->document, key));
	if (kind == SPEC_WORKFLOW)
		check_workflow(check, key, item);
	else
		check_action(check, key, item);
}

/* ---------------------------------------------------------------- lists */

static void
check_list(Check *check, const YamlNode *root, SpecKind kind)
{
	const YamlNode *version = yaml_get(root, "version", NULL);
	int			mark;
	int			i;

	if (version == NULL)
	{
		const KeyRule rule = {"version", &type_version, KEY_REQUIRED};
		const KeyTable table = {"the document", &rule, 1};
		const char *hint = misspelt_key(&table, root, "version");

		check_problem(check, root, hint ? hint : "Start the document with version: \"2.0\".",
					  "expected the key \"version\", found none");
	}
	else
	{
		mark = check_enter(check, "version");
		rule_version(check, version);
		check_leave(check, mark);
	}
	if (root->nitems == (version != NULL))
		check_problem(check, root, NULL, "expected at least one %s, found none",
					  kind == SPEC_WORKFLOW ? "workflow" : "action");
	for (i = 0; i < root->nitems; i++)
	{
		if (yaml_is(root->keys[i], "version"))
			continue;
		CHECK_FOR_INTERRUPTS();
		mark = check_enter(check, yaml_key_text(root->keys[i]));
		if (rule_dict(check, root->items[i]))
			check_item(check, root->keys[i], root->items[i], kind);
		check_leave(check, mark);
	}
}

/* ---------------------------------------------------------------- what the document makes */

static void
collect_definitions(Check *check, const YamlNode *root)
{
	SpecDocument *document = check->document;

	if (document->kind != SPEC_WORKBOOK)
	{
		collect_section(check, root, document->kind);
		return;
	}
	document->tags = tags_list(yaml_get(root, "tags", NULL));
	for (int i = 0; i < root->nitems; i++)
	{
		int			mark = check_enter(check, yaml_key_text(root->keys[i]));

		if (yaml_is(root->keys[i], "workflows"))
			collect_section(check, root->items[i], SPEC_WORKFLOW);
		else if (yaml_is(root->keys[i], "actions"))
			collect_section(check, root->items[i], SPEC_ACTION);
		check_leave(check, mark);
	}
}

static void
collect_section(Check *check, const YamlNode *section, SpecKind kind)
{
	SpecDocument *document = check->document;

	for (int i = 0; i < section->nitems; i++)
	{
		const YamlNode *key = section->keys[i];
		const YamlNode *item = section->items[i];
		SpecDefinition *definition;
		int			mark;

		if (yaml_is(key, "version"))
			continue;
		CHECK_FOR_INTERRUPTS();
		definition = palloc0(sizeof(SpecDefinition));
		definition->kind = kind;
		definition->name = qualified_name(document, key);
		definition->line = key->line;
		definition->col = key->col;
		definition->text = yaml_cut_entry(check->source, key, item);
		definition->tags = tags_list(yaml_get(item, "tags", NULL));
		definition->input = parameters_line(yaml_get(item, "input", NULL));
		if (kind == SPEC_WORKFLOW)
			definition->start = start_form(item);
		mark = check_enter(check, yaml_key_text(key));
		definition->path = pstrdup(check->path.data);
		check_leave(check, mark);
		document->definitions = lappend(document->definitions, definition);
	}
}

char *
yaml_key_text(const YamlNode *key)
{
	StringInfoData out;

	if (key->kind == YAML_STRING)
		return key->text;
	initStringInfo(&out);
	yaml_write(&out, key);
	return out.data;
}

List *
tags_list(const YamlNode *tags)
{
	List	   *list = NIL;

	for (int i = 0; tags != NULL && tags->kind == YAML_LIST && i < tags->nitems; i++)
		list = lappend(list, pstrdup(tags->items[i]->text));
	return list;
}

char *
parameters_line(const YamlNode *input)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; input != NULL && input->kind == YAML_LIST && i < input->nitems; i++)
	{
		const YamlNode *item = input->items[i];

		if (i > 0)
			appendStringInfoString(&out, ", ");
		if (item->kind == YAML_DICT)
		{
			appendStringInfo(&out, "%s=", item->keys[0]->text);
			yaml_write(&out, item->items[0]);
		}
		else
			appendStringInfoString(&out, item->text);
	}
	return out.data;
}
