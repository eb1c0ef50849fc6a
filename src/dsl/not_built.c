/*
 * not_built.c
 *		Language that is right and that this version does not run yet.
 *
 * validate() says what the language says; loading refuses what is in the table
 * below.  Everything here is parsed, checked and compiled all the same: a row
 * that goes is all that stands in the way.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/check.h"

typedef bool (*NotBuiltTest) (const YamlNode *value);

static bool is_present(const YamlNode *value);

#define IN_WORKFLOW	0x01
#define IN_TASK		0x02
#define IN_DEFAULTS	0x04

static const struct
{
	const char *key;
	int			where;
	NotBuiltTest test;
	const char *feature;
}			not_built_list[] = {
	{"target", IN_TASK, is_present, "\"target\""},
};

typedef struct Finder
{
	Check	   *check;
	List	   *found;
} Finder;

static void find_in_dict(Finder *finder, const YamlNode *dict, int where);
static void add_not_built(Finder *finder, const YamlNode *at, const char *feature);

List *
collect_not_built(Check *check, const YamlNode *definition, SpecKind kind)
{
	Finder		finder = {check, NIL};
	const YamlNode *tasks;
	int			mark;

	if (kind == SPEC_WORKFLOW)
	{
		find_in_dict(&finder, definition, IN_WORKFLOW);
		mark = check_enter(check, "task-defaults");
		find_in_dict(&finder, yaml_get(definition, "task-defaults", NULL), IN_DEFAULTS);
		check_leave(check, mark);
		tasks = yaml_get(definition, "tasks", NULL);
		for (int i = 0; tasks != NULL && i < tasks->nitems; i++)
		{
			CHECK_FOR_INTERRUPTS();
			mark = check_enter(check, psprintf("tasks.%s", yaml_key_text(tasks->keys[i])));
			find_in_dict(&finder, tasks->items[i], IN_TASK);
			check_leave(check, mark);
		}
	}
	return finder.found;
}

static void
find_in_dict(Finder *finder, const YamlNode *dict, int where)
{
	for (int i = 0; i < lengthof(not_built_list); i++)
	{
		YamlNode   *key;
		const YamlNode *value = yaml_get(dict, not_built_list[i].key, &key);
		int			mark;

		if (value == NULL || !(not_built_list[i].where & where) || !not_built_list[i].test(value))
			continue;
		mark = check_enter(finder->check, not_built_list[i].key);
		add_not_built(finder, key, not_built_list[i].feature);
		check_leave(finder->check, mark);
	}
}

static void
add_not_built(Finder *finder, const YamlNode *at, const char *feature)
{
	SpecProblem *problem = palloc0(sizeof(SpecProblem));

	if (list_length(finder->found) >= MAX_PROBLEMS)
		return;
	problem->line = at->line;
	problem->col = at->col;
	problem->path = pstrdup(finder->check->path.data);
	problem->message = psprintf("%s cannot be run by this version", feature);
	problem->hint = "The definition is valid; a later version will run it.";
	problem->not_built = true;
	finder->found = lappend(finder->found, problem);
}

/* ---------------------------------------------------------------- tests */

static bool
is_present(const YamlNode *value)
{
	return true;
}
