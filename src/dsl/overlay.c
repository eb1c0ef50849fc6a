/*
 * overlay.c
 *		Overlays: tasks that are put before or after tasks of a workflow, whose text stays as its author wrote it.
 *
 * The tree of the workflow is copied where it changes, and what comes out is checked as any workflow.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/check.h"
#include "guc.h"

typedef struct Overlay
{
	Check		check;			/* its places are those of the overlay's text */
	SpecOverlay *result;
	YamlNode   *tasks;			/* of the workflow, a copy to be changed */
	const YamlNode *defaults;	/* NULL: none */
	bool		reverse;
} Overlay;

/* One task to insert. */
typedef struct Insertion
{
	YamlNode   *key;
	YamlNode   *task;			/* without its anchor, a copy to be changed */
	YamlNode   *anchor;			/* names the task that it is put before or after */
	bool		before;
} Insertion;

/* What the place of a task decides: what it says of that itself is refused. */
static const char *const decided_keys[] = {"on-success", "on-complete", "on-skip", "join", "requires"};

static const YamlNode *read_tasks(Overlay *overlay, const char *text, int len);
static bool read_insertion(Overlay *overlay, const YamlNode *key, const YamlNode *item, Insertion *insertion);
static bool insert(Overlay *overlay, Insertion *insertion);
static bool insert_before(Overlay *overlay, Insertion *insertion, YamlNode *anchor);
static bool insert_after(Overlay *overlay, Insertion *insertion, YamlNode *anchor);
static bool require_before(Overlay *overlay, Insertion *insertion, YamlNode *anchor);
static bool require_after(Overlay *overlay, Insertion *insertion);
static bool leads_to(List *targets, const char *name);
static YamlNode *target_list(List *targets, const char *from, const YamlNode *to);
static void set_targets(YamlNode *task, ClauseKind kind, YamlNode *list);
static bool speaks_of_its_task(List *targets);
static bool names(const YamlNode *required, const char *name);
static YamlNode *change_task(Overlay *overlay, int index);
static YamlNode *text_node(const char *text, const YamlNode *at);
static bool refuse(Overlay *overlay, const Insertion *insertion, char *message);
static void check_result(Overlay *overlay, const YamlNode *key, const YamlNode *workflow);

SpecOverlay *
spec_overlay(const char *workflow_text, int len, const char *overlay_text, int overlay_len)
{
	Overlay		overlay = {0};
	SpecDocument *document = palloc0(sizeof(SpecDocument));
	YamlError	error;
	YamlNode   *root = yaml_read(workflow_text, len, &error);
	YamlNode   *workflow;
	const YamlNode *tasks;
	Insertion  *insertions;
	int			n = 0;
	bool		sound = true;

	if (root == NULL || root->kind != YAML_DICT || root->nitems != 1 || root->items[0]->kind != YAML_DICT)
		elog(ERROR, "stored definition is damaged: no single entry");
	overlay.result = palloc0(sizeof(SpecOverlay));
	overlay.check.document = document;
	document->kind = SPEC_WORKFLOW;
	initStringInfo(&overlay.check.path);
	workflow = yaml_shallow_copy(root->items[0]);
	overlay.tasks = yaml_shallow_copy(yaml_get(workflow, "tasks", NULL));
	overlay.defaults = yaml_get(workflow, "task-defaults", NULL);
	overlay.reverse = yaml_is(yaml_get(workflow, "type", NULL), "reverse");
	yaml_set(workflow, text_node("tasks", overlay.tasks), overlay.tasks);

	tasks = read_tasks(&overlay, overlay_text, overlay_len);
	insertions = palloc0(mul_size(tasks ? Max(tasks->nitems, 1) : 1, sizeof(Insertion)));
	for (int i = 0; tasks && i < tasks->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sound &= read_insertion(&overlay, tasks->keys[i], tasks->items[i], &insertions[n++]);
	}
	/* Of several at one task the first stands first: those after it are put there from the last on. */
	for (int i = 0; sound && i < n; i++)
	{
		if (insertions[i].before)
			sound = insert(&overlay, &insertions[i]);
	}
	for (int i = n - 1; sound && i >= 0; i--)
	{
		if (!insertions[i].before)
			sound = insert(&overlay, &insertions[i]);
	}
	for (int i = 0; i < n; i++)
		overlay.result->tasks = lappend(overlay.result->tasks, yaml_key_text(insertions[i].key));
	if (document->problems == NIL)
		check_result(&overlay, root->keys[0], workflow);
	spec_sort_problems(document);
	overlay.result->problems = document->problems;
	return overlay.result;
}

/* ---------------------------------------------------------------- the overlay's document */

/* Its tasks, or NULL with a problem noted. */
static const YamlNode *
read_tasks(Overlay *overlay, const char *text, int len)
{
	static const char *const keys[] = {"version", "description", "tasks"};
	Check	   *check = &overlay->check;
	YamlError	error;
	YamlNode   *root;
	const YamlNode *tasks;

	if (len > (int64) guc_max_definition_size * 1024)
	{
		check_problem_at(check, 1, 1, psprintf("expected a document of at most %d kB, found %d kB",
											   guc_max_definition_size, len / 1024 + 1),
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
	if (root == NULL || root->kind != YAML_DICT)
	{
		check_problem_at(check, 1, 1, pstrdup("expected a dictionary with the key \"tasks\""), NULL);
		return NULL;
	}
	for (int i = 0; i < root->nitems; i++)
	{
		bool		known = false;

		for (int k = 0; k < lengthof(keys); k++)
			known |= yaml_is(root->keys[i], keys[k]);
		if (!known)
			check_problem(check, root->keys[i], "An overlay has version, description and tasks.",
						  "unexpected key %s", yaml_describe(root->keys[i]));
	}
	if (yaml_get(root, "version", NULL) != NULL)
		rule_version(check, yaml_get(root, "version", NULL));
	tasks = yaml_get(root, "tasks", NULL);
	if (tasks == NULL || tasks->kind != YAML_DICT || tasks->nitems == 0)
	{
		check_problem(check, tasks ? tasks : root, NULL, "expected a dictionary of tasks under \"tasks\"");
		return NULL;
	}
	return tasks;
}

static bool
read_insertion(Overlay *overlay, const YamlNode *key, const YamlNode *item, Insertion *insertion)
{
	static const char *const places[] = {"before", "after"};
	Check	   *check = &overlay->check;
	int			mark = check_enter(check, "tasks");
	bool		sound = true;

	insertion->key = unconstify(YamlNode *, key);
	check_enter(check, yaml_key_text(key));
	if (key->kind != YAML_STRING || item->kind != YAML_DICT)
		sound = check_problem(check, key, NULL, "expected a task, found %s", yaml_describe(item));
	else
	{
		insertion->task = yaml_make(YAML_DICT, item);
		for (int i = 0; i < item->nitems; i++)
		{
			bool		is_place = false;

			for (int p = 0; p < lengthof(places); p++)
			{
				if (!yaml_is(item->keys[i], places[p]))
					continue;
				is_place = true;
				if (insertion->anchor != NULL)
					sound = check_problem(check, item->keys[i], NULL, "expected either \"before\" or \"after\", found both");
				insertion->anchor = item->items[i];
				insertion->before = p == 0;
			}
			for (int d = 0; d < lengthof(decided_keys); d++)
			{
				if (yaml_is(item->keys[i], decided_keys[d]))
					sound = check_problem(check, item->keys[i], "What comes next follows from \"before\" or \"after\".",
										  "unexpected key \"%s\" in a task of an overlay", decided_keys[d]);
			}
			if (!is_place)
				yaml_append(insertion->task, item->keys[i], item->items[i]);
		}
		if (insertion->anchor == NULL)
			sound = check_problem(check, key, NULL, "expected \"before\" or \"after\" and the name of a task");
		else if (insertion->anchor->kind != YAML_STRING)
			sound = check_problem(check, insertion->anchor, NULL, "expected the name of a task, found %s", yaml_describe(insertion->anchor));
	}
	check_leave(check, mark);
	return sound;
}

/* ---------------------------------------------------------------- inserting */

static bool
insert(Overlay *overlay, Insertion *insertion)
{
	const char *name = insertion->anchor->text;
	int			found = -1;
	YamlNode   *anchor;
	bool		done;

	for (int i = 0; i < overlay->tasks->nitems; i++)
	{
		if (yaml_equal(overlay->tasks->keys[i], insertion->key))
			return refuse(overlay, insertion, psprintf("the workflow has a task \"%s\" already", insertion->key->text));
		if (yaml_is(overlay->tasks->keys[i], name) && overlay->tasks->items[i]->kind == YAML_DICT)
			found = i;
	}
	if (found < 0)
		return refuse(overlay, insertion, psprintf("the workflow has no task \"%s\"", name));
	if (is_engine_command(name, NULL) || is_engine_command(insertion->key->text, NULL))
		return refuse(overlay, insertion, psprintf("\"%s\" is a command of the engine", is_engine_command(name, NULL) ? name : insertion->key->text));
	anchor = change_task(overlay, found);
	if (overlay->reverse)
		done = insertion->before ? require_before(overlay, insertion, anchor) : require_after(overlay, insertion);
	else
		done = insertion->before ? insert_before(overlay, insertion, anchor) : insert_after(overlay, insertion, anchor);
	yaml_append(overlay->tasks, insertion->key, insertion->task);
	return done;
}

/* Whoever led to the anchor leads to the task instead, which waits in its place, and leads to it. */
static bool
insert_before(Overlay *overlay, Insertion *insertion, YamlNode *anchor)
{
	const char *name = insertion->anchor->text;
	YamlNode   *next = yaml_make(YAML_LIST, insertion->anchor);
	YamlNode   *waiting = yaml_make(YAML_DICT, anchor);

	if (leads_to(parse_clause(yaml_get(overlay->defaults, clause_keys[ON_COMPLETE], NULL)), name))
		return refuse(overlay, insertion, psprintf("\"on-complete\" of task-defaults leads to \"%s\" from every task", name));
	/* A join that fails fails in the task that has it. */
	for (int kind = ON_ERROR; kind <= ON_COMPLETE && yaml_truth(yaml_get(anchor, "join", NULL)); kind++)
	{
		if (parse_clause(yaml_get(anchor, clause_keys[kind], NULL)) != NIL && yaml_get(insertion->task, clause_keys[ON_ERROR], NULL) == NULL)
			return refuse(overlay, insertion,
						  psprintf("when the join \"%s\" fails its \"%s\" counts, in place of which the task needs an \"on-error\" of its own",
								   name, clause_keys[kind]));
	}
	for (int i = 0; i < overlay->tasks->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (overlay->tasks->items[i]->kind != YAML_DICT)
			continue;
		for (int kind = 0; kind < CLAUSE_COUNT; kind++)
		{
			List	   *targets = task_targets(overlay->tasks->items[i], overlay->tasks->keys[i]->text, overlay->defaults, kind);

			if (leads_to(targets, name))
				set_targets(change_task(overlay, i), kind, target_list(targets, name, insertion->key));
		}
	}
	yaml_append(next, NULL, text_node(name, insertion->anchor));
	set_targets(insertion->task, ON_SUCCESS, next);
	set_targets(insertion->task, ON_SKIP, next);
	/* The anchor has been copied again when it leads to itself. */
	for (int i = 0; i < overlay->tasks->nitems; i++)
	{
		if (!yaml_is(overlay->tasks->keys[i], name))
			continue;
		anchor = overlay->tasks->items[i];
		for (int k = 0; k < anchor->nitems; k++)
		{
			if (yaml_is(anchor->keys[k], "join"))
				yaml_set(insertion->task, anchor->keys[k], anchor->items[k]);
			else
				yaml_append(waiting, anchor->keys[k], anchor->items[k]);
		}
		if (waiting->nitems == 0)
			yaml_append(waiting, text_node("action", anchor), text_node("std.noop", anchor));
		overlay->tasks->items[i] = waiting;
		break;
	}
	return true;
}

/* What followed the anchor's success follows the task's. */
static bool
insert_after(Overlay *overlay, Insertion *insertion, YamlNode *anchor)
{
	const char *name = insertion->anchor->text;
	List	   *targets = task_targets(anchor, name, overlay->defaults, ON_SUCCESS);
	YamlNode   *next = yaml_make(YAML_LIST, insertion->anchor);
	ListCell   *lc;

	if (targets == NIL && yaml_get(overlay->defaults, clause_keys[ON_SUCCESS], NULL) != NULL)
		return refuse(overlay, insertion, psprintf("\"on-success\" of task-defaults leads to \"%s\" from every task", name));
	if (speaks_of_its_task(targets))
		return refuse(overlay, insertion, psprintf("the conditions in \"on-success\" of \"%s\" ask for task(), which would be another", name));
	foreach(lc, targets)
	{
		ClauseTarget *target = lfirst(lc);

		for (int i = 0; i < overlay->tasks->nitems; i++)
		{
			if (!yaml_is(overlay->tasks->keys[i], target->name) || yaml_get(overlay->tasks->items[i], "join", NULL) == NULL)
				continue;
			for (int kind = ON_ERROR; kind < CLAUSE_COUNT; kind++)
			{
				if (leads_to(task_targets(anchor, name, overlay->defaults, kind), target->name))
					return refuse(overlay, insertion, psprintf("\"%s\" leads to the join \"%s\" by \"%s\", too, and would count twice there",
															   name, target->name, clause_keys[kind]));
			}
		}
	}
	if (targets != NIL)
	{
		set_targets(insertion->task, ON_SUCCESS, target_list(targets, NULL, NULL));
		set_targets(insertion->task, ON_SKIP, target_list(targets, NULL, NULL));
	}
	yaml_append(next, NULL, insertion->key);
	set_targets(anchor, ON_SUCCESS, next);
	return true;
}

/* Reverse workflows: the anchor requires the task as well, and the task what the anchor requires. */
static bool
require_before(Overlay *overlay, Insertion *insertion, YamlNode *anchor)
{
	const YamlNode *required = yaml_get(anchor, "requires", NULL);
	YamlNode   *list = required == NULL ? yaml_make(YAML_LIST, anchor) :
		required->kind == YAML_LIST ? yaml_shallow_copy(required) : yaml_make(YAML_LIST, required);

	if (names(yaml_get(overlay->defaults, "requires", NULL), insertion->anchor->text))
		return refuse(overlay, insertion, psprintf("task-defaults require \"%s\" of every task", insertion->anchor->text));
	if (required != NULL && required->kind != YAML_LIST)
		yaml_append(list, NULL, unconstify(YamlNode *, required));
	if (required != NULL)
		yaml_set(insertion->task, text_node("requires", insertion->anchor), yaml_shallow_copy(list));
	yaml_append(list, NULL, insertion->key);
	yaml_set(anchor, text_node("requires", anchor), list);
	return true;
}

/* Whoever requires the anchor requires the task, which requires the anchor. */
static bool
require_after(Overlay *overlay, Insertion *insertion)
{
	const char *name = insertion->anchor->text;
	YamlNode   *own = yaml_make(YAML_LIST, insertion->anchor);
	int			nchanged = 0;

	if (names(yaml_get(overlay->defaults, "requires", NULL), name))
		return refuse(overlay, insertion, psprintf("task-defaults require \"%s\" of every task", name));
	for (int i = 0; i < overlay->tasks->nitems; i++)
	{
		const YamlNode *required = yaml_get(overlay->tasks->items[i], "requires", NULL);
		YamlNode   *list;

		if (!names(required, name))
			continue;
		list = yaml_make(YAML_LIST, required);
		for (int k = 0; k < (required->kind == YAML_LIST ? required->nitems : 1); k++)
		{
			YamlNode   *item = required->kind == YAML_LIST ? required->items[k] : unconstify(YamlNode *, required);

			yaml_append(list, NULL, yaml_is(item, name) ? insertion->key : item);
		}
		yaml_set(change_task(overlay, i), text_node("requires", required), list);
		nchanged++;
	}
	if (nchanged == 0)
		return refuse(overlay, insertion, psprintf("no task requires \"%s\", so that nothing would require what is after it", name));
	yaml_append(own, NULL, text_node(name, insertion->anchor));
	yaml_set(insertion->task, text_node("requires", insertion->anchor), own);
	return true;
}

/* ---------------------------------------------------------------- clauses */

static bool
leads_to(List *targets, const char *name)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		if (strcmp(((ClauseTarget *) lfirst(lc))->name, name) == 0)
			return true;
	}
	return false;
}

/* The targets as a list in YAML, `to` in place of the one called `from` (NULL: none). */
static YamlNode *
target_list(List *targets, const char *from, const YamlNode *to)
{
	const ClauseTarget *first = linitial(targets);
	YamlNode   *list = yaml_make(YAML_LIST, first->at);
	ListCell   *lc;

	foreach(lc, targets)
	{
		const ClauseTarget *target = lfirst(lc);
		const YamlNode *text = from && strcmp(target->name, from) == 0 ? to : target->at;
		YamlNode   *item = unconstify(YamlNode *, text);

		if (target->guard)
		{
			item = yaml_make(YAML_DICT, text);
			yaml_append(item, unconstify(YamlNode *, text), unconstify(YamlNode *, target->guard));
		}
		yaml_append(list, NULL, item);
	}
	return list;
}

/* What the clause publishes stays. */
static void
set_targets(YamlNode *task, ClauseKind kind, YamlNode *list)
{
	const YamlNode *own = yaml_get(task, clause_keys[kind], NULL);
	YamlNode   *clause = list;

	if (own != NULL && own->kind == YAML_DICT && yaml_get(own, "publish", NULL) != NULL)
	{
		clause = yaml_shallow_copy(own);
		yaml_set(clause, text_node("next", list), list);
	}
	yaml_set(task, text_node(clause_keys[kind], list), clause);
}

/* Whether a condition may ask for task(), the task that has just ended. */
static bool
speaks_of_its_task(List *targets)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		const YamlNode *guard = ((ClauseTarget *) lfirst(lc))->guard;
		const char *p = guard && guard->kind == YAML_STRING ? strstr(guard->text, "task") : NULL;

		for (; p != NULL; p = strstr(p, "task"))
		{
			p += strlen("task");
			p += strspn(p, " \t\n");
			if (*p != '(')
				continue;
			p++;
			p += strspn(p, " \t\n");
			if (*p == ')')
				return true;
		}
	}
	return false;
}

static bool
names(const YamlNode *required, const char *name)
{
	if (required == NULL)
		return false;
	if (required->kind != YAML_LIST)
		return yaml_is(required, name);
	for (int i = 0; i < required->nitems; i++)
	{
		if (yaml_is(required->items[i], name))
			return true;
	}
	return false;
}

/* The task as a copy that can be changed, in its place. */
static YamlNode *
change_task(Overlay *overlay, int index)
{
	overlay->tasks->items[index] = yaml_shallow_copy(overlay->tasks->items[index]);
	return overlay->tasks->items[index];
}

static YamlNode *
text_node(const char *text, const YamlNode *at)
{
	return yaml_make_string(text, strlen(text), at);
}

static bool
refuse(Overlay *overlay, const Insertion *insertion, char *message)
{
	Check	   *check = &overlay->check;
	int			mark = check_enter(check, "tasks");

	check_enter(check, insertion->key->text);
	check_enter(check, insertion->before ? "before" : "after");
	check_problem(check, insertion->anchor, NULL, "%s", message);
	check_leave(check, mark);
	return false;
}

/* ---------------------------------------------------------------- what comes out */

/* Problems of the author's part, which was sound alone, come of the overlay as a whole. */
static void
check_result(Overlay *overlay, const YamlNode *key, const YamlNode *workflow)
{
	SpecDocument *document = overlay->check.document;
	StringInfoData text;
	YamlNode   *root;
	YamlError	error;
	ListCell   *lc;

	check_workflow(&overlay->check, key, workflow);
	foreach(lc, document->problems)
	{
		SpecProblem *problem = lfirst(lc);
		bool		inserted = false;
		ListCell   *lt;

		foreach(lt, overlay->result->tasks)
		{
			char	   *path = psprintf("tasks.%s", (char *) lfirst(lt));
			int			length = strlen(path);

			inserted |= strncmp(problem->path, path, length) == 0 && (problem->path[length] == '.' || problem->path[length] == '\0');
		}
		if (!inserted)
			problem->line = problem->col = 1;
	}
	root = yaml_make(YAML_DICT, key);
	yaml_append(root, unconstify(YamlNode *, key), unconstify(YamlNode *, workflow));
	initStringInfo(&text);
	yaml_write(&text, root);
	if (text.len > (int64) guc_max_definition_size * 1024 || yaml_read(text.data, text.len, &error) == NULL)
		check_problem_at(&overlay->check, 1, 1, pstrdup("the workflow with the overlay is too large"), NULL);
	overlay->result->text = text.data;
}
