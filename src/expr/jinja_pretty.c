/*
 * jinja_pretty.c
 *		Python's pprint.pformat, and json.dumps with sorted keys.
 */
#include "postgres.h"

#include <math.h>

#include "expr/jinja.h"

#define PRINT_WIDTH 80

typedef struct Printer
{
	StringInfo	out;
} Printer;

/* Counts a step, so that long values are looked at for time and memory. */
static void
tick(void)
{
	Eval	   *ev = eval_current();

	if (ev)
		eval_tick(ev);
}

static void format(Printer *p, const Value *value, int indent, int allowance);

/* The entries by key; unlike keys by the name of their kind, as pprint does. */
static DictEntry *
sorted_entries(const Value *dict, bool strict)
{
	DictObject *object = value_dict_object(dict);
	Value	   *keys = palloc(Max(object->n, 1) * sizeof(Value));
	Value	   *places = palloc(Max(object->n, 1) * sizeof(Value));
	DictEntry  *entries = palloc(Max(object->n, 1) * sizeof(DictEntry));
	bool		same = true;

	for (int i = 0; i < object->n; i++)
	{
		keys[i] = object->entries[i].key;
		places[i] = value_int(i);
		same &= keys[i].kind == keys[0].kind || (value_is_number(&keys[i]) && value_is_number(&keys[0]));
	}
	if (!same && !strict)
		for (int i = 0; i < object->n; i++)
		{
			Value		pair[2] = {value_cstring(value_is_number(&keys[i]) ? "int" : keys[i].kind == VALUE_STRING ? "str" :
										 keys[i].kind == VALUE_LIST ? "tuple" : "NoneType"), keys[i]};

			keys[i] = value_list_of(pair, 2);
		}
	jinja_sort(places, keys, object->n, false);
	for (int i = 0; i < object->n; i++)
		entries[i] = object->entries[places[i].u.integer];
	return entries;
}

/* repr() with the keys of dicts sorted. */
static void
sorted_repr(StringInfo out, const Value *value)
{
	expr_check_depth();
	expr_reserve(out->len);
	tick();
	if (value->kind == VALUE_DICT)
	{
		DictEntry  *entries = sorted_entries(value, false);
		int			n = value_dict_length(value);

		appendStringInfoChar(out, '{');
		for (int i = 0; i < n; i++)
		{
			appendStringInfoString(out, i > 0 ? ", " : "");
			sorted_repr(out, &entries[i].key);
			appendStringInfoString(out, ": ");
			sorted_repr(out, &entries[i].item);
		}
		appendStringInfoChar(out, '}');
	}
	else if (value->kind == VALUE_LIST)
	{
		ListObject *list = value_list_object(value);
		bool		tuple = !(value->flags & VALUE_F_MUTABLE);

		appendStringInfoChar(out, tuple ? '(' : '[');
		for (int i = 0; i < list->n; i++)
		{
			appendStringInfoString(out, i > 0 ? ", " : "");
			sorted_repr(out, &list->items[i]);
		}
		appendStringInfoString(out, tuple ? (list->n == 1 ? ",)" : ")") : "]");
	}
	else
		value_repr(out, value);
}

static void
line(Printer *p, int indent)
{
	appendStringInfoString(p->out, ",\n");
	appendStringInfoSpaces(p->out, indent);
}

static void
format_dict(Printer *p, const Value *value, int indent, int allowance)
{
	DictEntry  *entries = sorted_entries(value, false);
	int			n = value_dict_length(value);

	appendStringInfoChar(p->out, '{');
	for (int i = 0; i < n; i++)
	{
		StringInfoData key;

		if (i > 0)
			line(p, indent + 1);
		initStringInfo(&key);
		sorted_repr(&key, &entries[i].key);
		appendStringInfo(p->out, "%s: ", key.data);
		format(p, &entries[i].item, indent + 1 + text_length(key.data, key.len) + 2, i == n - 1 ? allowance + 1 : 1);
	}
	appendStringInfoChar(p->out, '}');
}

static void
format_list(Printer *p, const Value *value, int indent, int allowance)
{
	ListObject *list = value_list_object(value);
	bool		tuple = !(value->flags & VALUE_F_MUTABLE);
	const char *end = tuple ? (list->n == 1 ? ",)" : ")") : "]";

	appendStringInfoChar(p->out, tuple ? '(' : '[');
	for (int i = 0; i < list->n; i++)
	{
		if (i > 0)
			line(p, indent + 1);
		format(p, &list->items[i], indent + 1, i == list->n - 1 ? allowance + (int) strlen(end) : 1);
	}
	appendStringInfoString(p->out, end);
}

/* The pieces of a string that pprint puts on lines of their own. */
static void
format_string(Printer *p, const Value *value, int indent, int allowance, bool top)
{
	Value		lines = jinja_split_lines(value, true);
	ListObject *list = lines.u.object;
	StringInfoData chunk;
	int			n = 0;

	if (top)
	{
		indent++;
		allowance++;
		appendStringInfoChar(p->out, '(');
	}
	for (int i = 0; i < list->n; i++)
	{
		const char *s = list->items[i].u.string.data;
		const char *end = s + list->items[i].u.string.len;
		int			room = PRINT_WIDTH - indent - (i == list->n - 1 ? allowance : 0);

		while (s < end)
		{
			const char *taken = s;
			StringInfoData shown;

			/* As many words, with the blanks behind them, as fit. */
			initStringInfo(&chunk);
			for (const char *next = s; next < end;)
			{
				Value		piece;

				expr_tick();
				while (next < end && !char_is_space(next, char_length(next, end)))
					next += char_length(next, end);
				while (next < end && char_is_space(next, char_length(next, end)))
					next += char_length(next, end);
				piece = value_string(s, next - s);
				initStringInfo(&shown);
				value_repr(&shown, &piece);
				if (text_length(shown.data, shown.len) > room && taken > s)
					break;
				chunk = shown;
				taken = next;
			}
			if (n++ > 0)
			{
				appendStringInfoChar(p->out, '\n');
				appendStringInfoSpaces(p->out, indent);
			}
			appendStringInfoString(p->out, chunk.data);
			s = taken;
		}
	}
	if (top)
		appendStringInfoChar(p->out, ')');
}

static void
format(Printer *p, const Value *value, int indent, int allowance)
{
	StringInfoData repr;
	bool		top = p->out->len == 0;

	expr_check_depth();
	expr_reserve(p->out->len);
	initStringInfo(&repr);
	sorted_repr(&repr, value);
	if (text_length(repr.data, repr.len) > PRINT_WIDTH - indent - allowance)
	{
		if (value->kind == VALUE_DICT)
		{
			format_dict(p, value, indent, allowance);
			return;
		}
		if (value->kind == VALUE_LIST)
		{
			format_list(p, value, indent, allowance);
			return;
		}
		if (value->kind == VALUE_STRING && !jinja_is_markup(value) && strpbrk(repr.data, " \\") != NULL)
		{
			format_string(p, value, indent, allowance, top);
			return;
		}
	}
	appendBinaryStringInfo(p->out, repr.data, repr.len);
}

void
jinja_pformat(StringInfo out, const Value *value)
{
	Printer		p = {out};

	format(&p, value, 0, 0);
}

static void
new_line(StringInfo out, const char *indent, int depth)
{
	if (indent == NULL)
		return;
	appendStringInfoChar(out, '\n');
	for (int i = 0; i < depth; i++)
		appendStringInfoString(out, indent);
}

static void
dump_key(StringInfo out, const Value *key)
{
	StringInfoData text;
	Value		string;

	if (key->kind == VALUE_STRING)
	{
		json_dump(out, key, 0);
		return;
	}
	if (key->kind != VALUE_NULL && !value_is_number(key))
		expr_fail("%s cannot be a key of JSON", jinja_kind_name(key));
	initStringInfo(&text);
	json_dump(&text, key, 0);
	string = value_text(&text);
	json_dump(out, &string, 0);
}

static void
dump(StringInfo out, const Value *value, const char *indent, int depth)
{
	const char *separator = indent == NULL ? ", " : ",";

	expr_check_depth();
	expr_reserve(out->len);
	tick();
	if (out->len > EVAL_MAX_LENGTH)
		expr_limit("a text grows too long");
	if (value->kind == VALUE_DICT)
	{
		DictEntry  *entries = sorted_entries(value, true);
		int			n = value_dict_length(value);

		appendStringInfoChar(out, '{');
		for (int i = 0; i < n; i++)
		{
			appendStringInfoString(out, i > 0 ? separator : "");
			new_line(out, indent, depth + 1);
			dump_key(out, &entries[i].key);
			appendStringInfoString(out, ": ");
			dump(out, &entries[i].item, indent, depth + 1);
		}
		if (n)
			new_line(out, indent, depth);
		appendStringInfoChar(out, '}');
	}
	else if (value->kind == VALUE_LIST)
	{
		ListObject *list = value_list_object(value);

		appendStringInfoChar(out, '[');
		for (int i = 0; i < list->n; i++)
		{
			expr_tick();
			appendStringInfoString(out, i > 0 ? separator : "");
			new_line(out, indent, depth + 1);
			dump(out, &list->items[i], indent, depth + 1);
		}
		if (list->n)
			new_line(out, indent, depth);
		appendStringInfoChar(out, ']');
	}
	else if (value->kind == VALUE_NULL || value->kind == VALUE_STRING || value_is_number(value))
		json_dump(out, value, 0);
	else
		expr_fail("%s cannot be written as JSON", jinja_kind_name(value));
}

/* Python's json.dumps(value, sort_keys=True), on one line where indent is NULL. */
void
jinja_json(StringInfo out, const Value *value, const char *indent)
{
	dump(out, value, indent, 0);
}
