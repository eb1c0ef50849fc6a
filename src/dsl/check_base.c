/*
 * check_base.c
 *		Problems, paths, tables of keys.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "dsl/check.h"

/* Words longer than this are never compared. */
#define MAX_SUGGEST 64

static char *keys_hint(const KeyRule *rules, int nrules, const char *what, int leave_out);
static bool check_unknown_key(Check *check, const YamlNode *key, const KeyRule *rules, int nrules,
							  const char *what, int leave_out);

bool
check_problem(Check *check, const YamlNode *at, const char *hint, const char *format,...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&message, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	return check_problem_at(check, at->line, at->col, message.data, hint);
}

bool
check_problem_at(Check *check, int line, int col, char *message, const char *hint)
{
	SpecProblem *problem;

	if (list_length(check->document->problems) >= MAX_PROBLEMS)
		return false;
	problem = palloc0(sizeof(SpecProblem));
	problem->line = line;
	problem->col = col;
	problem->path = pstrdup(check->path.data);
	problem->message = message;
	problem->hint = hint ? pstrdup(hint) : NULL;
	check->document->problems = lappend(check->document->problems, problem);
	return false;
}

int
check_enter(Check *check, const char *key)
{
	int			mark = check->path.len;

	if (mark > 0)
		appendStringInfoChar(&check->path, '.');
	appendStringInfoString(&check->path, key);
	return mark;
}

int
check_enter_index(Check *check, int index)
{
	int			mark = check->path.len;

	appendStringInfo(&check->path, "[%d]", index);
	return mark;
}

void
check_leave(Check *check, int mark)
{
	check->path.len = mark;
	check->path.data[mark] = '\0';
}

/* ---------------------------------------------------------------- suggestions */

/* Edit distance with transpositions, in bytes; texts of at most MAX_SUGGEST. */
static int
distance(const char *a, const char *b)
{
	int			rows[3][MAX_SUGGEST + 1];
	int			na = strlen(a);
	int			nb = strlen(b);
	int			i;
	int			j;

	for (j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (i = 1; i <= na; i++)
	{
		int		   *row = rows[i % 3];
		int		   *above = rows[(i + 2) % 3];
		int		   *higher = rows[(i + 1) % 3];

		row[0] = i;
		for (j = 1; j <= nb; j++)
		{
			char		x = a[i - 1] == '_' ? '-' : pg_ascii_tolower(a[i - 1]);
			char		y = b[j - 1] == '_' ? '-' : pg_ascii_tolower(b[j - 1]);

			row[j] = Min(Min(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x != y && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = Min(row[j], higher[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

char *
suggest(const char *word, const char *const *candidates, int ncandidates)
{
	const char *best = NULL;
	int			best_distance = 0;
	int			i;

	if (strlen(word) > MAX_SUGGEST)
		return NULL;
	for (i = 0; i < ncandidates; i++)
	{
		int			len = strlen(candidates[i]);
		int			d;

		CHECK_FOR_INTERRUPTS();
		if (len > MAX_SUGGEST)
			continue;
		d = distance(word, candidates[i]);
		if (d <= Max(1, len / 3) && d < len && (best == NULL || d < best_distance))
		{
			best = candidates[i];
			best_distance = d;
		}
	}
	return best ? psprintf("Did you mean \"%s\"?", best) : NULL;
}

/* ---------------------------------------------------------------- tables */

bool
check_table(Check *check, const YamlNode *dict, const KeyRule *rules, int nrules,
			const char *what, bool strict, int leave_out)
{
	bool		sound = true;
	int			i;
	int			k;

	for (i = 0; i < dict->nitems; i++)
	{
		const YamlNode *key = dict->keys[i];
		int			mark;

		CHECK_FOR_INTERRUPTS();
		for (k = 0; k < nrules; k++)
		{
			if (!(rules[k].flags & leave_out) && yaml_is(key, rules[k].key))
				break;
		}
		if (k == nrules)
		{
			if (strict)
				sound = check_unknown_key(check, key, rules, nrules, what, leave_out);
			continue;
		}
		if (rules[k].rule == NULL)
			continue;
		mark = check_enter(check, rules[k].key);
		if (!rules[k].rule(check, dict->items[i]))
			sound = false;
		check_leave(check, mark);
	}
	for (k = 0; k < nrules; k++)
	{
		if ((rules[k].flags & KEY_REQUIRED) && yaml_get(dict, rules[k].key, NULL) == NULL)
			sound = check_problem(check, dict, NULL, "expected the key \"%s\" in %s, found none", rules[k].key, what);
	}
	return sound;
}

static bool
check_unknown_key(Check *check, const YamlNode *key, const KeyRule *rules, int nrules,
				  const char *what, int leave_out)
{
	const char **candidates = palloc(nrules * sizeof(char *));
	int			n = 0;
	char	   *hint = NULL;
	int			mark;
	int			k;

	for (k = 0; k < nrules; k++)
	{
		if ((rules[k].flags & leave_out) && yaml_is(key, rules[k].key))
			hint = psprintf("The key is for workflows of type \"%s\".",
							rules[k].flags & KEY_DIRECT ? "direct" : "reverse");
		if (!(rules[k].flags & (leave_out | KEY_INJECTED)))
			candidates[n++] = rules[k].key;
	}
	if (hint == NULL && key->kind == YAML_STRING)
		hint = suggest(key->text, candidates, n);
	if (hint == NULL)
		hint = keys_hint(rules, nrules, what, leave_out);
	mark = check_enter(check, yaml_key_text(key));
	check_problem(check, key, hint, "expected a key of %s, found %s", what, yaml_describe(key));
	check_leave(check, mark);
	return false;
}

static char *
keys_hint(const KeyRule *rules, int nrules, const char *what, int leave_out)
{
	StringInfoData hint;
	bool		first = true;
	int			k;

	initStringInfo(&hint);
	appendStringInfo(&hint, "The keys of %s are: ", what);
	for (k = 0; k < nrules; k++)
	{
		if (rules[k].flags & (leave_out | KEY_INJECTED))
			continue;
		appendStringInfo(&hint, "%s%s", first ? "" : ", ", rules[k].key);
		first = false;
	}
	appendStringInfoChar(&hint, '.');
	return hint.data;
}
