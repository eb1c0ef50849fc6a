/*
 * value_text.c
 *		Python's str() and repr() of values: what mixed text and str() show.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"

#include "expr/regex.h"
#include "expr/value_internal.h"

static void
repr_string(StringInfo out, const char *s, int len)
{
	bool		single = memchr(s, '\'', len) != NULL;
	char		quote = single && memchr(s, '"', len) == NULL ? '"' : '\'';
	const char *end = s + len;

	appendStringInfoChar(out, quote);
	while (s < end)
	{
		int			n = char_length(s, end);

		if (*s == quote || *s == '\\')
			appendStringInfo(out, "\\%c", *s);
		else if (*s == '\n')
			appendStringInfoString(out, "\\n");
		else if (*s == '\r')
			appendStringInfoString(out, "\\r");
		else if (*s == '\t')
			appendStringInfoString(out, "\\t");
		else if (text_printable(s, n))
			appendBinaryStringInfo(out, s, n);
		else
		{
			uint32		code = char_code(s);

			appendStringInfo(out, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
		}
		s += n;
	}
	appendStringInfoChar(out, quote);
}

static void
repr_list(StringInfo out, const Value *value)
{
	ListObject *list = value_list_object(value);
	bool		tuple = !(value->flags & VALUE_F_MUTABLE);

	appendStringInfoChar(out, tuple ? '(' : '[');
	for (int i = 0; i < list->n; i++)
	{
		expr_tick();
		if (i > 0)
			appendStringInfoString(out, ", ");
		value_repr(out, &list->items[i]);
	}
	if (tuple && list->n == 1)
		appendStringInfoChar(out, ',');
	appendStringInfoChar(out, tuple ? ')' : ']');
}

static void
repr_dict(StringInfo out, const Value *value)
{
	DictObject *dict = value_dict_object(value);

	appendStringInfoChar(out, '{');
	for (int i = 0; i < dict->n; i++)
	{
		expr_tick();
		if (i > 0)
			appendStringInfoString(out, ", ");
		value_repr(out, &dict->entries[i].key);
		appendStringInfoString(out, ": ");
		value_repr(out, &dict->entries[i].item);
	}
	appendStringInfoChar(out, '}');
}

static void
repr_set(StringInfo out, const Value *value)
{
	DictObject *set = value->u.object;
	bool		frozen = !(value->flags & VALUE_F_MUTABLE);

	if (set->n == 0)
	{
		appendStringInfoString(out, frozen ? "frozenset()" : "set()");
		return;
	}
	appendStringInfoString(out, frozen ? "frozenset({" : "{");
	for (int i = 0; i < set->n; i++)
	{
		if (i > 0)
			appendStringInfoString(out, ", ");
		value_repr(out, &set->entries[i].key);
	}
	appendStringInfoString(out, frozen ? "})" : "}");
}

/* dict_keys(['a']), or KeysView({'a': 1}) of an immutable dict. */
static void
repr_view(StringInfo out, const Value *value)
{
	const Value *dict = value_view_dict(value);
	bool		keys = (value->flags & VALUE_F_KEYS) != 0;
	bool		items = (value->flags & VALUE_F_ITEMS) != 0;

	if (dict->flags & VALUE_F_MUTABLE)
	{
		Value		list = value_collect(value);

		list.flags = VALUE_F_MUTABLE;
		appendStringInfo(out, "dict_%s(", keys ? "keys" : items ? "items" : "values");
		repr_list(out, &list);
	}
	else
	{
		appendStringInfo(out, "%sView(", keys ? "Keys" : items ? "Items" : "Values");
		repr_dict(out, dict);
	}
	appendStringInfoChar(out, ')');
}

static void
repr_regex(StringInfo out, const Value *value)
{
	static const struct
	{
		int			flag;
		const char *name;
	}			names[] = {
		{REGEX_IGNORE_CASE, "IGNORECASE"}, {REGEX_MULTI_LINE, "MULTILINE"}, {REGEX_DOT_ALL, "DOTALL"},
		{REGEX_VERBOSE, "VERBOSE"}
	};
	Regex	   *re = value->u.object;
	const char *before = ", ";

	appendStringInfoString(out, "re.compile(");
	repr_string(out, re->pattern, re->len);
	for (int i = 0; i < lengthof(names); i++)
	{
		if (re->flags & names[i].flag)
		{
			appendStringInfo(out, "%sre.%s", before, names[i].name);
			before = "|";
		}
	}
	appendStringInfoChar(out, ')');
}

void
value_repr(StringInfo out, const Value *value)
{
	expr_check_depth();
	expr_reserve(out->len);
	switch (value->kind)
	{
		case VALUE_NULL:
			appendStringInfoString(out, "None");
			break;
		case VALUE_BOOL:
			appendStringInfoString(out, value->u.boolean ? "True" : "False");
			break;
		case VALUE_INT:
			appendStringInfo(out, INT64_FORMAT, value->u.integer);
			break;
		case VALUE_BIGINT:
			appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out,
																			NumericGetDatum(value->u.bigint))));
			break;
		case VALUE_FLOAT:
			appendStringInfoString(out, float_repr(value->u.real));
			break;
		case VALUE_STRING:
			if (value->flags & VALUE_F_SAFE_TEXT)
				appendStringInfoString(out, "Markup(");
			repr_string(out, value->u.string.data, value->u.string.len);
			if (value->flags & VALUE_F_SAFE_TEXT)
				appendStringInfoChar(out, ')');
			break;
		case VALUE_CALLABLE:
			((CallableObject *) value->u.object)->repr(out, value);
			break;
		case VALUE_UNDEFINED:
			appendStringInfoString(out, "Undefined");
			break;
		case VALUE_LIST:
			repr_list(out, value);
			break;
		case VALUE_DICT:
			repr_dict(out, value);
			break;
		case VALUE_SET:
			repr_set(out, value);
			break;
		case VALUE_DICT_VIEW:
			repr_view(out, value);
			break;
		case VALUE_REGEX:
			repr_regex(out, value);
			break;
		case VALUE_DATETIME:
			datetime_repr(out, value);
			break;
		case VALUE_TIMESPAN:
			timespan_repr(out, value);
			break;
		case VALUE_ITERATOR:
		case VALUE_ORDERED:
			appendStringInfoString(out, "<generator object>");
			break;
		default:
			appendStringInfo(out, "<%s>", value_kind_name(value));
			break;
	}
}

void
value_str(StringInfo out, const Value *value)
{
	if (value->kind == VALUE_STRING)
	{
		expr_reserve((Size) out->len + value->u.string.len);
		appendBinaryStringInfo(out, value->u.string.data, value->u.string.len);
	}
	else if (value->kind == VALUE_DATETIME)
		datetime_str(out, value);
	else if (value->kind == VALUE_TIMESPAN)
		timespan_str(out, value);
	else
		value_repr(out, value);
}

Value
value_to_string(const Value *value)
{
	StringInfoData out;

	if (value->kind == VALUE_STRING)
		return *value;
	if (value->kind == VALUE_INT)
		return value_cstring(psprintf(INT64_FORMAT, value->u.integer));
	initStringInfo(&out);
	value_str(&out, value);
	return value_text(&out);
}
