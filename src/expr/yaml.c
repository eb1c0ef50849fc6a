/*
 * yaml.c
 *		yaml_parse() and yaml_dump(): PyYAML's safe load and dump, by libyaml.
 *
 * libyaml allocates with malloc; a callback of the memory context frees what an
 * error leaves behind.  Nothing of ours raises while libyaml is on the stack.
 */
#include "postgres.h"

#include <math.h>
#include <yaml.h>

#include "base/yaml_plain.h"
#include "base/yaml_scalar.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "expr/value_internal.h"

/* The emitter folds lines here, as PyYAML does. */
#define LINE_WIDTH 80

typedef struct Reader
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool		has_parser;
	bool		has_event;
	YamlHidden	hidden;
	MemoryContextCallback callback;
} Reader;

static Value read_node(Reader *r);

static void
reader_free(void *arg)
{
	Reader	   *r = arg;

	if (r->has_event)
		yaml_event_delete(&r->event);
	if (r->has_parser)
		yaml_parser_delete(&r->parser);
	r->has_event = r->has_parser = false;
}

static void
next_event(Reader *r)
{
	expr_tick();
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = false;
	if (!yaml_parser_parse(&r->parser, &r->event))
		expr_fail("the text is not YAML: %s at line %d",
				  r->parser.problem ? r->parser.problem : "it cannot be read",
				  (int) r->parser.problem_mark.line + 1);
	r->has_event = true;
}

static Value
copy_text(const char *s, size_t len)
{
	char	   *copy = pg_any_to_server(pnstrdup(s, len), len, PG_UTF8);

	return value_string(copy, strlen(copy));
}

static Value
plain_value(const char *s, size_t len)
{
	YamlScalar	scalar;
	Value		dt;

	yaml_scalar_resolve(s, len, &scalar);
	switch (scalar.kind)
	{
		case YAML_SCALAR_NULL:
			return value_null();
		case YAML_SCALAR_BOOL:
			return value_bool(scalar.boolean);
		case YAML_SCALAR_INT:
			return value_int(scalar.integer);
		case YAML_SCALAR_BIGINT:
			return value_from_digits(scalar.digits);
		case YAML_SCALAR_FLOAT:
			return value_float(scalar.real);
		case YAML_SCALAR_DATE:
			dt = datetime_build(scalar.year, scalar.month, scalar.day, 0, 0, 0, 0, 0);
			dt.flags |= VALUE_F_DATE | VALUE_F_NAIVE;
			return dt;
		case YAML_SCALAR_TIMESTAMP:
			dt = datetime_build(scalar.year, scalar.month, scalar.day, scalar.hour, scalar.minute, scalar.second,
								scalar.microsecond, scalar.zone_seconds);
			if (!scalar.has_zone)
				dt.flags |= VALUE_F_NAIVE;
			return dt;
		case YAML_SCALAR_MERGE:
		case YAML_SCALAR_DEFAULT:
		case YAML_SCALAR_INDICATOR:
			expr_fail("the YAML has \"%.*s\" where a value is expected", (int) len, s);
		case YAML_SCALAR_STR:
			break;
	}
	return copy_text(s, len);
}

static bool
has_tag(const yaml_char_t *tag, const char *name)
{
	return strcmp((const char *) tag, name) == 0;
}

/*
 * A scalar by its tag or its looks.  The characters of anchors are plain text,
 * so that no alias can make a small text large.
 */
static Value
read_scalar(Reader *r)
{
	int			len;
	const char *s = yaml_show(&r->hidden, (const char *) r->event.data.scalar.value, r->event.data.scalar.length, &len);
	const yaml_char_t *tag = r->event.data.scalar.tag;
	bool		plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	Value		value;

	if (memchr(s, '\0', len) != NULL)
		expr_fail("the YAML has a null character");
	if (tag == NULL || has_tag(tag, "!"))
		return plain && tag == NULL ? plain_value(s, len) : copy_text(s, len);
	if (has_tag(tag, YAML_STR_TAG))
		return copy_text(s, len);
	value = plain_value(s, len);
	if ((has_tag(tag, YAML_INT_TAG) && value_is_integer(&value) && value.kind != VALUE_BOOL) ||
		(has_tag(tag, YAML_BOOL_TAG) && value.kind == VALUE_BOOL) ||
		(has_tag(tag, YAML_FLOAT_TAG) && value.kind == VALUE_FLOAT) ||
		(has_tag(tag, YAML_TIMESTAMP_TAG) && value.kind == VALUE_DATETIME))
		return value;
	if (has_tag(tag, YAML_NULL_TAG))
		return value_null();
	if (has_tag(tag, YAML_FLOAT_TAG) && value.kind == VALUE_INT)
		return value_float((double) value.u.integer);
	expr_fail("the YAML has a tag that is not supported");
}

static Value
read_sequence(Reader *r)
{
	Value		list = value_list_new();

	list.flags |= VALUE_F_MUTABLE;
	for (next_event(r); r->event.type != YAML_SEQUENCE_END_EVENT; next_event(r))
		value_push(&list, read_node(r));
	return list;
}

/* Entries of a merged mapping do not override those that are there. */
static void
merge(Value *dict, const Value *from)
{
	DictObject *object;

	if (from->kind == VALUE_LIST)
	{
		ListObject *list = value_list_object(from);

		for (int i = 0; i < list->n; i++)
		{
			if (list->items[i].kind != VALUE_DICT)
				expr_fail("the YAML merges something that is not a mapping");
			merge(dict, &list->items[i]);
		}
		return;
	}
	if (from->kind != VALUE_DICT)
		expr_fail("the YAML merges something that is not a mapping");
	object = value_dict_object(from);
	for (int i = 0; i < object->n; i++)
		if (dict_object_find(dict->u.object, &object->entries[i].key) == NULL)
			value_dict_put(dict, object->entries[i].key, object->entries[i].item);
}

static Value
read_mapping(Reader *r)
{
	Value		own = value_dict_new();
	Value		merged = value_dict_new();
	DictObject *object = own.u.object;

	for (next_event(r); r->event.type != YAML_MAPPING_END_EVENT; next_event(r))
	{
		bool		is_merge = r->event.type == YAML_SCALAR_EVENT &&
			r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && r->event.data.scalar.length == 2 &&
			memcmp(r->event.data.scalar.value, "<<", 2) == 0;
		Value		key = is_merge ? value_null() : read_node(r);
		Value		item;

		next_event(r);
		item = read_node(r);
		if (is_merge)
			merge(&merged, &item);
		else
			value_dict_put(&own, key, item);
	}
	/* What was merged comes first, and gives way. */
	for (int i = 0; i < object->n; i++)
		value_dict_put(&merged, object->entries[i].key, object->entries[i].item);
	merged.flags |= VALUE_F_MUTABLE;
	return merged;
}

static Value
read_node(Reader *r)
{
	expr_check_depth();
	expr_reserve_large(0);
	switch (r->event.type)
	{
		case YAML_SCALAR_EVENT:
			return read_scalar(r);
		case YAML_SEQUENCE_START_EVENT:
			return read_sequence(r);
		case YAML_MAPPING_START_EVENT:
			return read_mapping(r);
		default:
			expr_fail("the YAML has no value where one is expected");
	}
}

/* The value of a YAML 1.1 text: lists and dicts are mutable. */
Value
yaml_parse(const char *s, int len)
{
	Reader	   *r = palloc0(sizeof(Reader));
	const char *utf8 = pg_server_to_any(s, len, PG_UTF8);
	int			utf8_len = utf8 == s ? len : strlen(utf8);
	Value		value = value_null();

	if (yaml_has_many_directives(utf8, utf8_len))
		expr_limit("the YAML has more than %d directives", YAML_MAX_DIRECTIVES);
	expr_reserve((Size) utf8_len * 3);
	utf8 = yaml_hide(&r->hidden, utf8, utf8_len, &utf8_len);
	if (utf8 == NULL)
		expr_fail("the YAML holds every character of the private use area");
	r->callback.func = reader_free;
	r->callback.arg = r;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &r->callback);
	if (!yaml_parser_initialize(&r->parser))
		expr_limit("out of memory for YAML");
	r->has_parser = true;
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *) utf8, utf8_len);
	next_event(r);
	next_event(r);
	if (r->event.type == YAML_DOCUMENT_START_EVENT)
	{
		next_event(r);
		value = read_node(r);
		next_event(r);
		next_event(r);
	}
	if (r->event.type != YAML_STREAM_END_EVENT)
		expr_fail("the YAML has more than one document");
	reader_free(r);
	return value;
}

typedef struct Writer
{
	yaml_emitter_t emitter;
	bool		has_emitter;
	char	   *data;
	size_t		len;
	size_t		size;
	MemoryContext context;
	MemoryContextCallback callback;
} Writer;

static void
writer_free(void *arg)
{
	Writer	   *w = arg;

	if (w->has_emitter)
		yaml_emitter_delete(&w->emitter);
	w->has_emitter = false;
}

/* Called by libyaml: must not raise. */
static int
write_handler(void *arg, unsigned char *buffer, size_t size)
{
	Writer	   *w = arg;

	if (w->len + size > w->size)
	{
		size_t		wanted = Max(w->size * 2, w->len + size);
		char	   *grown = MemoryContextAllocExtended(w->context, wanted, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);

		if (grown == NULL || wanted > EVAL_MAX_LENGTH)
			return 0;
		memcpy(grown, w->data, w->len);
		pfree(w->data);
		w->data = grown;
		w->size = wanted;
	}
	memcpy(w->data + w->len, buffer, size);
	w->len += size;
	return 1;
}

static void
emit(Writer *w, yaml_event_t *event, int initialized)
{
	if (!initialized)
		expr_limit("out of memory for YAML");
	if (!yaml_emitter_emit(&w->emitter, event))
		expr_fail("the value cannot be written as YAML: %s",
				  w->emitter.problem ? w->emitter.problem : "it is too long");
}

static void
emit_scalar(Writer *w, const char *s, int len, bool plain)
{
	yaml_event_t event;
	char	   *utf8 = pg_server_to_any(s, len, PG_UTF8);

	/* libyaml 0.2.2 reads it only, but does not say so. */
	emit(w, &event, yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *) utf8,
												 utf8 == s ? len : strlen(utf8), plain, 1, YAML_ANY_SCALAR_STYLE));
}

static void
emit_float(Writer *w, double d)
{
	char	   *s = float_repr(d);
	char	   *e = strchr(s, 'e');

	if (isnan(d))
		s = ".nan";
	else if (isinf(d))
		s = d > 0 ? ".inf" : "-.inf";
	else if (e && strchr(s, '.') == NULL)
		s = psprintf("%.*s.0%s", (int) (e - s), s, e);
	emit_scalar(w, s, strlen(s), true);
}

static int
compare_entries(const void *a, const void *b)
{
	const Value *x = &((const DictEntry *) a)->key;
	const Value *y = &((const DictEntry *) b)->key;

	if (x->kind == VALUE_STRING)
		return value_string_compare(x, y);
	return number_compare(x, y);
}

/* Sorted by key where all are texts or all are numbers, else as they are. */
static DictEntry *
sorted_entries(DictObject *dict)
{
	DictEntry  *entries = palloc(sizeof(DictEntry) * Max(dict->n, 1));
	int			strings = 0;
	int			numbers = 0;

	memcpy(entries, dict->entries, sizeof(DictEntry) * dict->n);
	for (int i = 0; i < dict->n; i++)
	{
		strings += entries[i].key.kind == VALUE_STRING;
		numbers += value_is_number(&entries[i].key);
	}
	if (strings == dict->n || numbers == dict->n)
		qsort(entries, dict->n, sizeof(DictEntry), compare_entries);
	return entries;
}

static void emit_value(Writer *w, const Value *value);

static void
emit_dict(Writer *w, const Value *value)
{
	DictObject *dict = value_dict_object(value);
	DictEntry  *entries = sorted_entries(dict);
	yaml_event_t event;

	emit(w, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
	for (int i = 0; i < dict->n; i++)
	{
		emit_value(w, &entries[i].key);
		emit_value(w, &entries[i].item);
	}
	emit(w, &event, yaml_mapping_end_event_initialize(&event));
}

static void
emit_list(Writer *w, const Value *value)
{
	ListObject *list = value_list_object(value);
	yaml_event_t event;

	emit(w, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
	for (int i = 0; i < list->n; i++)
		emit_value(w, &list->items[i]);
	emit(w, &event, yaml_sequence_end_event_initialize(&event));
}

static void
emit_value(Writer *w, const Value *value)
{
	StringInfoData text;
	YamlScalar	scalar;

	expr_check_depth();
	expr_reserve_large(0);
	expr_tick();
	initStringInfo(&text);
	switch (value->kind)
	{
		case VALUE_NULL:
			emit_scalar(w, "null", 4, true);
			break;
		case VALUE_BOOL:
			emit_scalar(w, value->u.boolean ? "true" : "false", value->u.boolean ? 4 : 5, true);
			break;
		case VALUE_INT:
		case VALUE_BIGINT:
			value_repr(&text, value);
			emit_scalar(w, text.data, text.len, true);
			break;
		case VALUE_FLOAT:
			emit_float(w, value->u.real);
			break;
		case VALUE_STRING:
			yaml_scalar_resolve(value->u.string.data, value->u.string.len, &scalar);
			emit_scalar(w, value->u.string.data, value->u.string.len, scalar.kind == YAML_SCALAR_STR);
			break;
		case VALUE_DATETIME:
			datetime_str(&text, value);
			emit_scalar(w, text.data, text.len, true);
			break;
		case VALUE_LIST:
			emit_list(w, value);
			break;
		case VALUE_DICT:
			emit_dict(w, value);
			break;
		default:
			expr_fail("%s cannot be written as YAML", value_kind_name(value));
	}
}

/* Appends PyYAML's safe_dump(value, default_flow_style=False): ASCII only. */
void
yaml_dump(StringInfo out, const Value *value)
{
	Writer	   *w = palloc0(sizeof(Writer));
	yaml_event_t event;

	w->context = CurrentMemoryContext;
	w->size = 1024;
	w->data = palloc(w->size);
	w->callback.func = writer_free;
	w->callback.arg = w;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &w->callback);
	if (!yaml_emitter_initialize(&w->emitter))
		expr_limit("out of memory for YAML");
	w->has_emitter = true;
	yaml_emitter_set_output(&w->emitter, write_handler, w);
	yaml_emitter_set_unicode(&w->emitter, 0);
	yaml_emitter_set_width(&w->emitter, LINE_WIDTH);
	emit(w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	emit(w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	emit_value(w, value);
	emit(w, &event, yaml_document_end_event_initialize(&event, 1));
	emit(w, &event, yaml_stream_end_event_initialize(&event));
	writer_free(w);
	expr_reserve(w->len);
	appendBinaryStringInfo(out, w->data, w->len);
	/* PyYAML ends a document that is one plain scalar. */
	if (value->kind != VALUE_LIST && value->kind != VALUE_DICT && w->len > 0 &&
		w->data[0] != '\'' && w->data[0] != '"' && w->data[w->len - 1] == '\n' &&
		!(w->len > 4 && memcmp(w->data + w->len - 4, "...\n", 4) == 0))
		appendStringInfoString(out, "...\n");
}
