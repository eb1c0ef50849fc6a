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

static const KeyRule *find_rule(const KeyTable *table, const YamlNode *key);
static char *keys_hint(const KeyTable *table);
static bool check_unknown_key(Check *check, const YamlNode *key, const KeyTable *table);

bool
check_problem(Check *check, const YamlNode *at, const char *hint, const char *format,...)
{
	StringInfoData message;
	int			line;
	int			col;

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
	line = at->line;
	col = at->col;
	if (at->whole != NULL && check->source != NULL)
		yaml_locate(check->source, at, 0, &line, &col);
	return check_problem_at(check, line, col, message.data, hint);
}

bool
check_problem_at(Check *check, int line, int col, char *message, const char *hint)
{
	SpecProblem *problem;

	if (list_length(check->document->problems) >= MAX_PROBLEMS)
		return false;
	problem = palloc0(sizeof(SpecProblem));
	problem->severity = check->severity;
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
	for (i = 0; i < Min(ncandidates, MAX_CANDIDATES); i++)
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
check_table(Check *check, const YamlNode *dict, const KeyTable *table)
{
	bool		sound = true;
	int			i;
	int			k;

	for (i = 0; i < dict->nitems; i++)
	{
		const KeyRule *rule = find_rule(table, dict->keys[i]);
		int			mark;

		CHECK_FOR_INTERRUPTS();
		if (rule == NULL && table->strict)
			sound = check_unknown_key(check, dict->keys[i], table);
		if (rule == NULL || rule->type->rule == NULL)
			continue;
		mark = check_enter(check, rule->key);
		if (!rule->type->rule(check, dict->items[i]))
			sound = false;
		check_leave(check, mark);
	}
	for (k = 0; k < table->nrules; k++)
	{
		const char *key = table->rules[k].key;

		if ((table->rules[k].flags & KEY_REQUIRED) && yaml_get(dict, key, NULL) == NULL)
			sound = check_problem(check, dict, misspelt_key(table, dict, key), "expected the key \"%s\" in %s, found none", key, table->what);
	}
	return sound;
}

static const KeyRule *
find_rule(const KeyTable *table, const YamlNode *key)
{
	for (int k = 0; k < table->nrules; k++)
	{
		if (!(table->rules[k].flags & table->leave_out) && yaml_is(key, table->rules[k].key))
			return &table->rules[k];
	}
	return NULL;
}

char *
misspelt_key(const KeyTable *table, const YamlNode *dict, const char *wanted)
{
	for (int i = 0; i < dict->nitems; i++)
	{
		const YamlNode *key = dict->keys[i];

		if (key->kind == YAML_STRING && find_rule(table, key) == NULL && suggest(key->text, &wanted, 1) != NULL)
			return psprintf("Is it the key \"%s\" in line %d?", key->text, key->line);
	}
	return NULL;
}

char *
suggest_key(const KeyTable *table, const YamlNode *key)
{
	const char **candidates = palloc(table->nrules * sizeof(char *));
	int			n = 0;

	for (int k = 0; k < table->nrules; k++)
	{
		if (!(table->rules[k].flags & (table->leave_out | KEY_INJECTED)))
			candidates[n++] = table->rules[k].key;
	}
	return key->kind == YAML_STRING ? suggest(key->text, candidates, n) : NULL;
}

static bool
check_unknown_key(Check *check, const YamlNode *key, const KeyTable *table)
{
	char	   *hint = NULL;
	int			mark;

	for (int k = 0; k < table->nrules; k++)
	{
		if ((table->rules[k].flags & table->leave_out) && yaml_is(key, table->rules[k].key))
			hint = psprintf("The key is for workflows of type \"%s\".",
							table->rules[k].flags & KEY_DIRECT ? "direct" : "reverse");
	}
	if (hint == NULL)
		hint = suggest_key(table, key);
	if (hint == NULL)
		hint = keys_hint(table);
	mark = check_enter(check, yaml_key_text(key));
	check_problem(check, key, hint, "expected a key of %s, found %s", table->what, yaml_describe(key));
	check_leave(check, mark);
	return false;
}

static char *
keys_hint(const KeyTable *table)
{
	StringInfoData hint;
	bool		first = true;

	initStringInfo(&hint);
	appendStringInfo(&hint, "The keys of %s are: ", table->what);
	for (int k = 0; k < table->nrules; k++)
	{
		if (table->rules[k].flags & (table->leave_out | KEY_INJECTED))
			continue;
		appendStringInfo(&hint, "%s%s", first ? "" : ", ", table->rules[k].key);
		first = false;
	}
	appendStringInfoChar(&hint, '.');
	return hint.data;
}
