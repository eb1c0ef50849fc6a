/*
 * io_catalog.c
 *		Which actions the loaded modules have.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "actions/registry.h"
#include "base/db.h"
#include "executor/io_catalog.h"
#include "mistral.h"

#define MAX_ACTIONS 1000
#define MAX_TEXT 8192			/* of parameters and description */

typedef struct Entry
{
	char	   *name;
	char	   *module;			/* as mistral.io_modules names it */
	char	   *params;
	char	   *description;
	bool		answered;
} Entry;

static MemoryContext context = NULL;
static Entry *entries = NULL;
static int	nentries = 0;
static bool is_new = false;
static bool storing = false;

static void take_module(PlainJson module);
static void take_action(const char *module, PlainJson action);
static bool name_is_free(const char *module, const char *name);
static char *take_text(PlainJson object, const char *key);
static Datum column(Size offset);

List *
io_catalog_paths(const char *setting)
{
	List	   *paths = NIL;
	char	   *list = pstrdup(setting);
	char	   *rest = list;
	char	   *element;

	while ((element = strsep(&rest, ",")) != NULL)
	{
		element += strspn(element, " \t");
		element[strcspn(element, " \t")] = '\0';
		if (element[0] == '\0')
			continue;
		if (strchr(element, '/') == NULL)
			element = psprintf("%s/%s", pkglib_path, element);
		if (strlen(element) < 3 || strcmp(element + strlen(element) - 3, ".so") != 0)
			element = psprintf("%s.so", element);
		paths = lappend(paths, element);
	}
	return paths;
}

void
io_catalog_take(PlainJson hello)
{
	PlainJson	modules = plain_json_get(hello, "modules");
	PlainJson	module;
	size_t		cursor = 0;
	MemoryContext old;

	io_catalog_clear();
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "mistral io catalog", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	entries = palloc0(sizeof(Entry) * MAX_ACTIONS);
	while (plain_json_next(modules, &cursor, NULL, &module))
		take_module(module);
	MemoryContextSwitchTo(old);
	is_new = true;
}

void
io_catalog_clear(void)
{
	if (context)
		MemoryContextReset(context);
	entries = NULL;
	nentries = 0;
	is_new = false;
}

bool
io_catalog_answered(const char *action)
{
	for (int i = 0; i < nentries; i++)
	{
		if (strcmp(entries[i].name, action) == 0)
			return entries[i].answered;
	}
	return false;
}

Datum
io_catalog_names(void)
{
	return column(offsetof(Entry, name));
}

bool
io_catalog_is_new(void)
{
	return is_new;
}

/* What modules that are not loaded any more had stays, so that its absence can be explained. */
void
io_catalog_store(void)
{
	static DbStatement store = {
		"INSERT INTO mistral.module_action AS known (name, module, input, description) "
		"SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4)) "
		"ON CONFLICT (name) DO UPDATE SET module = EXCLUDED.module, input = EXCLUDED.input, description = EXCLUDED.description "
		"WHERE (known.module, known.input, known.description) IS DISTINCT FROM (EXCLUDED.module, EXCLUDED.input, EXCLUDED.description)",
		4, {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
	};
	Datum		values[4];

	values[0] = column(offsetof(Entry, name));
	values[1] = column(offsetof(Entry, module));
	values[2] = column(offsetof(Entry, params));
	values[3] = column(offsetof(Entry, description));
	db_execute(&store, values, NULL, false, 0);
	storing = true;
}

void
io_catalog_stored(bool committed)
{
	if (storing && committed)
		is_new = false;
	storing = false;
}

char *
io_catalog_ascii(char *text)
{
	for (char *p = text; *p; p++)
	{
		if (*p < 0x20 || *p > 0x7E)
			*p = '?';
	}
	return text;
}

static void
take_module(PlainJson module)
{
	char	   *file = take_text(module, "file");
	char	   *error = take_text(module, "error");
	char	   *name = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	PlainJson	actions = plain_json_get(module, "actions");
	PlainJson	action;
	size_t		cursor = 0;
	int			before = nentries;

	if (error[0] != '\0')
	{
		ereport(WARNING,
				(errmsg("could not load module \"%s\" (mistral.io_modules): %s", file, error)));
		return;
	}
	name = action_module_name(name, strlen(name));
	while (plain_json_next(actions, &cursor, NULL, &action))
		take_action(name, action);
	ereport(LOG,
			(errmsg("mistral_io has loaded module \"%s\" with %d actions", name, nentries - before)));
}

static void
take_action(const char *module, PlainJson action)
{
	Entry		entry;

	entry.name = take_text(action, "name");
	entry.module = pstrdup(module);
	entry.params = take_text(action, "params");
	entry.description = take_text(action, "description");
	entry.answered = plain_json_get_bool(action, "answered", false);
	if (nentries < MAX_ACTIONS && name_is_free(module, entry.name))
		entries[nentries++] = entry;
	else
		ereport(WARNING,
				(errmsg("action \"%s\" of module \"%s\" is left out", entry.name, module),
				 errdetail("A name has letters, digits and \"_.-\", belongs to one module, and does not start with \"std.\".")));
}

/* Built-in names are for the modules that they are meant for. */
static bool
name_is_free(const char *module, const char *name)
{
	const ActionType *type = action_type_find(name);

	if (name[0] == '\0' || strlen(name) > MAX_NAME_LENGTH ||
		name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] != '\0')
		return false;
	for (int i = 0; i < nentries; i++)
	{
		if (strcmp(entries[i].name, name) == 0)
			return false;
	}
	if (type)
		return type->module != NULL && strcmp(type->module, module) == 0;
	return strncmp(name, "std.", strlen("std.")) != 0;
}

/* A member that is a string, printable and not too long; "" without. */
static char *
take_text(PlainJson object, const char *key)
{
	char	   *text = plain_json_get_string(object, key);
	char	   *copy = text ? pnstrdup(text, MAX_TEXT) : pstrdup("");

	free(text);
	return io_catalog_ascii(copy);
}

/* One member of all entries, as a text[]. */
static Datum
column(Size offset)
{
	Datum	   *texts = palloc(sizeof(Datum) * Max(nentries, 1));

	for (int i = 0; i < nentries; i++)
		texts[i] = CStringGetTextDatum(*(char **) ((char *) &entries[i] + offset));
	return PointerGetDatum(construct_array(texts, nentries, TEXTOID, -1, false, TYPALIGN_INT));
}
