/*
 * yaml_read.c
 *		From libyaml's events to a tree.
 *
 * libyaml's memory is its own; a callback of the memory context frees it when
 * an error leaves this file by longjmp, which can only happen between two
 * calls of the library.
 */
#include "postgres.h"

#include <math.h>
#include <yaml.h>

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/yaml_plain.h"
#include "base/yaml_scalar.h"
#include "dsl/yaml.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

typedef struct Reader
{
	yaml_parser_t parser;
	bool		parser_live;
	yaml_event_t event;
	bool		event_live;
	YamlHidden	hidden;
	YamlError  *error;
	int			nnodes;
	int			depth;
	YamlNode   *stack[YAML_MAX_DEPTH];
	YamlNode   *pending_key[YAML_MAX_DEPTH];
	YamlNode   *root;
} Reader;

static void release_reader(void *arg);
static bool read_events(Reader *reader);
static bool handle_event(Reader *reader, bool *done);
static bool add_node(Reader *reader, YamlNode *node);
static bool open_container(Reader *reader, YamlKind kind);
static bool close_container(Reader *reader);
static YamlNode *new_node(Reader *reader, YamlKind kind);
static YamlNode *read_scalar(Reader *reader);
static bool resolve_scalar(Reader *reader, YamlNode *node, const char *tag);
static char *restore_text(Reader *reader, const char *text, int len, int *out_len);
static bool finish_dict(Reader *reader, YamlNode *dict);
static bool merge_keys(Reader *reader, YamlNode *dict);
static void drop_duplicates(YamlNode *dict, bool note);
static bool fail(Reader *reader, int line, int col, const char *message, const char *hint);
static bool fail_parser(Reader *reader);

YamlNode *
yaml_read(const char *text, int len, YamlError *error)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work;
	MemoryContextCallback *callback;
	Reader	   *reader;
	YamlNode   *root;
	const char *utf8;
	int			utf8_len;

	memset(error, 0, sizeof(*error));
	work = AllocSetContextCreate(caller, "mistral yaml reader", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work);
	reader = palloc0(sizeof(Reader));
	reader->error = error;
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = release_reader;
	callback->arg = reader;
	MemoryContextRegisterResetCallback(work, callback);
	MemoryContextSwitchTo(caller);

	utf8 = pg_server_to_any(text, len, PG_UTF8);
	utf8_len = utf8 == text ? len : strlen(utf8);
	if (yaml_has_many_directives(utf8, utf8_len))
	{
		fail(reader, 1, 1, psprintf("more than %d directives in one document", YAML_MAX_DIRECTIVES), NULL);
		utf8 = NULL;
	}
	else
	{
		utf8 = yaml_hide(&reader->hidden, utf8, utf8_len, &utf8_len);
		if (utf8 == NULL)
			fail(reader, 1, 1, "the document holds every character of the private use area", NULL);
	}
	if (utf8 != NULL)
	{
		if (!yaml_parser_initialize(&reader->parser))
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		reader->parser_live = true;
		yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&reader->parser, (const unsigned char *) utf8, utf8_len);
		(void) read_events(reader);
	}
	root = error->line > 0 ? NULL : reader->root;
	MemoryContextDelete(work);
	return root;
}

static void
release_reader(void *arg)
{
	Reader	   *reader = arg;

	if (reader->event_live)
		yaml_event_delete(&reader->event);
	reader->event_live = false;
	if (reader->parser_live)
		yaml_parser_delete(&reader->parser);
	reader->parser_live = false;
}

static bool
read_events(Reader *reader)
{
	bool		done = false;

	while (!done)
	{
		CHECK_FOR_INTERRUPTS();
		if (!yaml_parser_parse(&reader->parser, &reader->event))
			return fail_parser(reader);
		reader->event_live = true;
		if (!handle_event(reader, &done))
			return false;
		yaml_event_delete(&reader->event);
		reader->event_live = false;
	}
	return true;
}

static bool
handle_event(Reader *reader, bool *done)
{
	yaml_event_t *event = &reader->event;
	int			line = event->start_mark.line + 1;
	int			col = event->start_mark.column + 1;

	switch (event->type)
	{
		case YAML_STREAM_END_EVENT:
			*done = true;
			return true;
		case YAML_DOCUMENT_START_EVENT:
			if (reader->root != NULL)
				return fail(reader, line, col, "expected a single document, found another one", NULL);
			return true;
		case YAML_SCALAR_EVENT:
			{
				YamlNode   *node = read_scalar(reader);

				return node != NULL && add_node(reader, node);
			}
		case YAML_SEQUENCE_START_EVENT:
			return open_container(reader, YAML_LIST);
		case YAML_MAPPING_START_EVENT:
			return open_container(reader, YAML_DICT);
		case YAML_SEQUENCE_END_EVENT:
		case YAML_MAPPING_END_EVENT:
			return close_container(reader);
		default:
			return true;
	}
}

/* A finished node goes into the container that is open. */
static bool
add_node(Reader *reader, YamlNode *node)
{
	YamlNode   *parent;

	if (reader->depth == 0)
	{
		reader->root = node;
		return true;
	}
	parent = reader->stack[reader->depth - 1];
	if (parent->kind == YAML_DICT && reader->pending_key[reader->depth - 1] == NULL)
	{
		if (node->kind == YAML_LIST || node->kind == YAML_DICT)
			return fail(reader, node->line, node->col, "expected a text as key, found a list or a dictionary",
						"Quote a value that starts with a brace, for instance \"{{ _.x }}\".");
		reader->pending_key[reader->depth - 1] = node;
		return true;
	}
	yaml_append(parent, reader->pending_key[reader->depth - 1], node);
	reader->pending_key[reader->depth - 1] = NULL;
	return true;
}

static bool
open_container(Reader *reader, YamlKind kind)
{
	yaml_event_t *event = &reader->event;
	const char *tag;
	bool		flow;
	YamlNode   *node = new_node(reader, kind);

	if (node == NULL)
		return false;
	if (kind == YAML_LIST)
	{
		tag = (const char *) event->data.sequence_start.tag;
		flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
	}
	else
	{
		tag = (const char *) event->data.mapping_start.tag;
		flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
	}
	node->style = flow ? YAML_STYLE_FLOW : YAML_STYLE_BLOCK;
	if (tag != NULL && strcmp(tag, "!") != 0 &&
		strcmp(tag, kind == YAML_LIST ? TAG_PREFIX "seq" : TAG_PREFIX "map") != 0)
		return fail(reader, node->line, node->col,
					psprintf("expected a value without a tag, found the tag \"%s\"", tag), NULL);
	if (reader->depth >= YAML_MAX_DEPTH)
		return fail(reader, node->line, node->col,
					psprintf("nested deeper than %d levels", YAML_MAX_DEPTH), NULL);
	reader->stack[reader->depth] = node;
	reader->pending_key[reader->depth] = NULL;
	reader->depth++;
	return true;
}

static bool
close_container(Reader *reader)
{
	yaml_event_t *event = &reader->event;
	YamlNode   *node = reader->stack[--reader->depth];

	if (node->style == YAML_STYLE_FLOW || node->nitems == 0)
	{
		node->end_line = event->end_mark.line + 1;
		node->end_col = event->end_mark.column + 1;
	}
	else
	{
		/* A block ends where the next token starts; its last item ends it for us. */
		node->end_line = node->items[node->nitems - 1]->end_line;
		node->end_col = node->items[node->nitems - 1]->end_col;
	}
	if (node->kind == YAML_DICT && !finish_dict(reader, node))
		return false;
	return add_node(reader, node);
}

static YamlNode *
new_node(Reader *reader, YamlKind kind)
{
	yaml_event_t *event = &reader->event;
	YamlNode   *node;

	if (++reader->nnodes > YAML_MAX_NODES)
	{
		fail(reader, event->start_mark.line + 1, event->start_mark.column + 1,
			 psprintf("more than %d values in one document", YAML_MAX_NODES), NULL);
		return NULL;
	}
	node = palloc0(sizeof(YamlNode));
	node->kind = kind;
	node->line = event->start_mark.line + 1;
	node->col = event->start_mark.column + 1;
	node->end_line = event->end_mark.line + 1;
	node->end_col = event->end_mark.column + 1;
	return node;
}

static YamlNode *
read_scalar(Reader *reader)
{
	yaml_event_t *event = &reader->event;
	YamlNode   *node = new_node(reader, YAML_STRING);
	const char *tag = (const char *) event->data.scalar.tag;

	if (node == NULL)
		return NULL;
	switch (event->data.scalar.style)
	{
		case YAML_LITERAL_SCALAR_STYLE:
			node->style = YAML_STYLE_LITERAL;
			break;
		case YAML_FOLDED_SCALAR_STYLE:
			node->style = YAML_STYLE_FOLDED;
			break;
		case YAML_SINGLE_QUOTED_SCALAR_STYLE:
		case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
			node->style = YAML_STYLE_QUOTED;
			break;
		default:
			node->style = YAML_STYLE_PLAIN;
			break;
	}
	if (event->data.scalar.length > MaxAllocSize / 4)
	{
		fail(reader, node->line, node->col, "the text is too long", NULL);
		return NULL;
	}
	node->text = restore_text(reader, (const char *) event->data.scalar.value,
							  event->data.scalar.length, &node->len);
	if (node->text == NULL)
	{
		fail(reader, node->line, node->col, "the text cannot be written in the database's encoding", NULL);
		return NULL;
	}
	if (memchr(node->text, '\0', node->len) != NULL)
	{
		fail(reader, node->line, node->col, "expected text without the character NUL", NULL);
		return NULL;
	}
	if (tag != NULL && strcmp(tag, "!") == 0)
		tag = NULL;
	if (tag == NULL && node->style != YAML_STYLE_PLAIN)
		return node;
	return resolve_scalar(reader, node, tag) ? node : NULL;
}

/* Stand-ins back to indicators, UTF-8 back to the server's encoding; NULL when that cannot be. */
static char *
restore_text(Reader *reader, const char *text, int len, int *out_len)
{
	int			n;
	char	   *out = yaml_show(&reader->hidden, text, len, &n);

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII && n > 0)
	{
		Oid			proc = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
		int			size = n * MAX_CONVERSION_GROWTH + 1;
		char	   *converted = palloc(size);

		if (!OidIsValid(proc) ||
			pg_do_encoding_conversion_buf(proc, PG_UTF8, GetDatabaseEncoding(), (unsigned char *) out, n,
										  (unsigned char *) converted, size, true) != n)
			out = NULL;
		else
		{
			out = converted;
			n = strlen(converted);
		}
	}
	*out_len = n;
	return out;
}

static bool
valid_time(const YamlScalar *scalar)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (scalar->year % 4 == 0 && scalar->year % 100 != 0) || scalar->year % 400 == 0;

	return scalar->year >= 1 && scalar->month >= 1 && scalar->month <= 12 && scalar->day >= 1 &&
		scalar->day <= days[scalar->month - 1] && (scalar->month != 2 || scalar->day < 29 || leap) &&
		scalar->hour < 24 && scalar->minute < 60 && scalar->second < 60;
}

/* What a plain or tagged scalar means. */
static bool
resolve_scalar(Reader *reader, YamlNode *node, const char *tag)
{
	YamlScalar	scalar;
	const char *wanted = "";
	bool		is_key = reader->depth > 0 && reader->stack[reader->depth - 1]->kind == YAML_DICT &&
		reader->pending_key[reader->depth - 1] == NULL;

	if (tag != NULL)
	{
		if (strncmp(tag, TAG_PREFIX, strlen(TAG_PREFIX)) == 0)
			wanted = tag + strlen(TAG_PREFIX);
		if (strcmp(wanted, "str") == 0)
			return true;
		if (strcmp(wanted, "null") != 0 && strcmp(wanted, "bool") != 0 && strcmp(wanted, "int") != 0 &&
			strcmp(wanted, "float") != 0 && strcmp(wanted, "timestamp") != 0)
			return fail(reader, node->line, node->col,
						psprintf("expected a value without a tag, found the tag \"%s\"", tag), NULL);
	}
	yaml_scalar_resolve(node->text, node->len, &scalar);
	switch (scalar.kind)
	{
		case YAML_SCALAR_STR:
			break;
		case YAML_SCALAR_NULL:
			node->kind = YAML_NULL;
			break;
		case YAML_SCALAR_BOOL:
			node->kind = YAML_BOOL;
			node->boolean = scalar.boolean;
			break;
		case YAML_SCALAR_INT:
			node->kind = YAML_INT;
			node->integer = scalar.integer;
			node->real = scalar.integer;
			break;
		case YAML_SCALAR_BIGINT:
			node->kind = YAML_BIGINT;
			node->text = scalar.digits;
			node->len = strlen(scalar.digits);
			node->real = strtod(scalar.digits, NULL);
			break;
		case YAML_SCALAR_FLOAT:
			node->kind = YAML_FLOAT;
			node->real = scalar.real;
			if (!isfinite(scalar.real))
				return fail(reader, node->line, node->col,
							psprintf("expected a number that JSON can hold, found %s", node->text),
							"Quote it when it is meant as text.");
			break;
		case YAML_SCALAR_DATE:
		case YAML_SCALAR_TIMESTAMP:
			if (!valid_time(&scalar))
				return fail(reader, node->line, node->col,
							psprintf("expected a date that exists, found %s", node->text),
							"Quote it when it is meant as text.");
			node->kind = YAML_TIME;
			node->text = scalar.kind == YAML_SCALAR_DATE ?
				psprintf("%04d-%02d-%02d", scalar.year, scalar.month, scalar.day) :
				psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06d", scalar.year, scalar.month, scalar.day,
						 scalar.hour, scalar.minute, scalar.second, scalar.microsecond);
			node->len = strlen(node->text);
			break;
		case YAML_SCALAR_INDICATOR:
			return fail(reader, node->line, node->col, psprintf("expected a value, found \"%s\"", node->text),
						"Quote it when it is meant as text.");
		case YAML_SCALAR_MERGE:
		case YAML_SCALAR_DEFAULT:
			if (!is_key)
				return fail(reader, node->line, node->col,
							psprintf("expected a value, found the YAML 1.1 key \"%s\"", node->text),
							"Quote it when it is meant as text.");
			break;
	}
	if (strcmp(wanted, "float") == 0 && (node->kind == YAML_INT || node->kind == YAML_BIGINT))
		node->kind = YAML_FLOAT;
	if (wanted[0] != '\0' &&
		node->kind != (wanted[0] == 'n' ? YAML_NULL : wanted[0] == 'b' ? YAML_BOOL : wanted[0] == 'f' ? YAML_FLOAT :
					   wanted[0] == 't' ? YAML_TIME : node->kind == YAML_BIGINT ? YAML_BIGINT : YAML_INT))
		return fail(reader, node->line, node->col,
					psprintf("expected a value of type \"%s\" after its tag", wanted), NULL);
	return true;
}

/* ---------------------------------------------------------------- keys */

static bool
finish_dict(Reader *reader, YamlNode *dict)
{
	YamlNode  **written = dict->keys;

	if (!merge_keys(reader, dict))
		return false;
	/* Keys that come from elsewhere are there to be given anew. */
	if (dict->keys != written)
	{
		drop_duplicates(dict, false);
		return true;
	}
	drop_duplicates(dict, true);
	return true;
}

static bool
is_merge_key(const YamlNode *key)
{
	return key->style == YAML_STYLE_PLAIN && yaml_is(key, "<<");
}

/* `<<: {...}` and `<<: [{...}, ...]`: their entries come first, so that the dict's own win. */
static bool
merge_keys(Reader *reader, YamlNode *dict)
{
	YamlNode   *merged;
	int			i;
	int			j;
	int			k;

	for (i = 0; i < dict->nitems && !is_merge_key(dict->keys[i]); i++)
		;
	if (i == dict->nitems)
		return true;
	merged = palloc0(sizeof(YamlNode));
	for (i = 0; i < dict->nitems; i++)
	{
		YamlNode   *from = dict->items[i];
		int			nparts = from->kind == YAML_LIST ? from->nitems : 1;

		if (!is_merge_key(dict->keys[i]))
			continue;
		for (j = nparts - 1; j >= 0; j--)
		{
			YamlNode   *part = from->kind == YAML_LIST ? from->items[j] : from;

			if (part->kind != YAML_DICT)
				return fail(reader, part->line, part->col,
							psprintf("expected a dictionary to merge, found %s", yaml_describe(part)), NULL);
			for (k = 0; k < part->nitems; k++)
			{
				CHECK_FOR_INTERRUPTS();
				if (++reader->nnodes > YAML_MAX_NODES)
					return fail(reader, part->line, part->col,
								psprintf("more than %d values in one document", YAML_MAX_NODES), NULL);
				yaml_append(merged, part->keys[k], part->items[k]);
			}
		}
	}
	for (i = 0; i < dict->nitems; i++)
	{
		if (!is_merge_key(dict->keys[i]))
			yaml_append(merged, dict->keys[i], dict->items[i]);
	}
	dict->keys = merged->keys;
	dict->items = merged->items;
	dict->nitems = merged->nitems;
	dict->allocated = merged->allocated;
	return true;
}

typedef struct KeyPlace
{
	uint32		hash;
	int			index;
} KeyPlace;

static int
compare_places(const void *a, const void *b)
{
	const KeyPlace *x = a;
	const KeyPlace *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->index - y->index;
}

/* Equal keys have equal hashes: numbers and booleans by their value. */
static uint32
key_hash(const YamlNode *key)
{
	double		value;

	if (key->kind != YAML_BOOL && key->kind != YAML_INT && key->kind != YAML_FLOAT)
		return yaml_hash(key);
	value = key->kind == YAML_BOOL ? (key->boolean ? 1.0 : 0.0) : key->real + 0.0;
	return DatumGetUInt32(hash_any((unsigned char *) &value, sizeof(value)));
}

/* Python's equality of keys: also true and 1, which JSON tells apart. */
static bool
same_key(const YamlNode *a, const YamlNode *b)
{
	double		x = a->kind == YAML_BOOL ? a->boolean : a->real;
	double		y = b->kind == YAML_BOOL ? b->boolean : b->real;
	bool		numeric_a = a->kind == YAML_BOOL || a->kind == YAML_INT || a->kind == YAML_FLOAT;
	bool		numeric_b = b->kind == YAML_BOOL || b->kind == YAML_INT || b->kind == YAML_FLOAT;

	if (numeric_a && numeric_b)
		return x == y;
	return yaml_equal(a, b);
}

/* A key given twice: the last value, in the place of the first. */
static void
drop_duplicates(YamlNode *dict, bool note)
{
	KeyPlace   *places;
	bool	   *dropped;
	bool		any = false;
	int			i;
	int			j;
	int			n = 0;

	if (dict->nitems < 2)
		return;
	places = palloc(mul_size(dict->nitems, sizeof(KeyPlace)));
	dropped = palloc0(dict->nitems * sizeof(bool));
	for (i = 0; i < dict->nitems; i++)
	{
		places[i].hash = key_hash(dict->keys[i]);
		places[i].index = i;
	}
	qsort(places, dict->nitems, sizeof(KeyPlace), compare_places);
	for (i = 0; i < dict->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (dropped[places[i].index])
			continue;
		for (j = i + 1; j < dict->nitems && places[j].hash == places[i].hash; j++)
		{
			CHECK_FOR_INTERRUPTS();
			if (dropped[places[j].index] || !same_key(dict->keys[places[i].index], dict->keys[places[j].index]))
				continue;
			dict->items[places[i].index] = dict->items[places[j].index];
			if (note)
				dict->keys[places[i].index]->again = dict->keys[places[j].index];
			dropped[places[j].index] = true;
			any = true;
		}
	}
	for (i = 0; any && i < dict->nitems; i++)
	{
		if (dropped[i])
			continue;
		dict->keys[n] = dict->keys[i];
		dict->items[n++] = dict->items[i];
	}
	if (any)
		dict->nitems = n;
	pfree(places);
	pfree(dropped);
}

/* ---------------------------------------------------------------- errors */

/* Notes the error and returns false. */
static bool
fail(Reader *reader, int line, int col, const char *message, const char *hint)
{
	reader->error->line = line;
	reader->error->col = col;
	reader->error->message = pstrdup(message);
	reader->error->hint = hint ? pstrdup(hint) : NULL;
	return false;
}

static bool
fail_parser(Reader *reader)
{
	yaml_parser_t *parser = &reader->parser;
	const char *problem = parser->problem ? parser->problem : "the text is not YAML";
	const char *hint = NULL;
	int			line = parser->problem_mark.line + 1;
	int			col = parser->problem_mark.column + 1;

	if (parser->error == YAML_MEMORY_ERROR)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (parser->error == YAML_READER_ERROR)
	{
		/* The reader knows an offset only: the last place that was read. */
		line = parser->mark.line + 1;
		col = parser->mark.column + 1;
	}
	if (strstr(problem, "mapping values are not allowed") != NULL)
		hint = "Quote a text that holds a colon followed by a space.";
	else if (strstr(problem, "found character that cannot start any token") != NULL)
		hint = "Indent with spaces, and quote a text that starts with a tab, a percent sign or a grave accent.";
	else if (strstr(problem, "could not find expected ':'") != NULL)
		hint = "Each key is followed by a colon and a space.";
	else if (strstr(problem, "did not find expected key") != NULL)
		hint = "The keys of a dictionary start in the same column.";
	else if (strstr(problem, "did not find expected '-' indicator") != NULL)
		hint = "The items of a list start in the same column, each with a hyphen.";
	else if (strstr(problem, "did not find expected ',' or") != NULL)
		hint = psprintf("The bracket in line %d, column %d is not closed, or a comma is missing.",
						(int) parser->context_mark.line + 1, (int) parser->context_mark.column + 1);
	else if (parser->context != NULL && strstr(parser->context, "quoted scalar") != NULL)
		hint = psprintf("The quote in line %d, column %d is not closed.",
						(int) parser->context_mark.line + 1, (int) parser->context_mark.column + 1);
	if (parser->context != NULL)
		return fail(reader, line, col, psprintf("not YAML: %s, %s", parser->context, problem), hint);
	return fail(reader, line, col, psprintf("not YAML: %s", problem), hint);
}
