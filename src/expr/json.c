/*
 * json.c
 *		Python's json.loads and json.dumps, on values.
 *
 * Unlike jsonb, a dict keeps its order, and NaN and Infinity are numbers.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "compat.h"
#include "expr/value_internal.h"

typedef struct JsonReader
{
	const char *start;
	const char *at;
	const char *end;
} JsonReader;

static Value read_value(JsonReader *r);

static void bad(JsonReader *r, const char *what) pg_attribute_noreturn();

static void
bad(JsonReader *r, const char *what)
{
	expr_fail("the text is not JSON: %s at byte %d", what, (int) (r->at - r->start) + 1);
}

static void
skip_blanks(JsonReader *r)
{
	while (r->at < r->end && *r->at != '\0' && strchr(" \t\n\r", *r->at) != NULL)
		r->at++;
}

static bool
take_word(JsonReader *r, const char *word)
{
	int			len = strlen(word);

	if (r->end - r->at < len || memcmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

static uint32
read_hex4(JsonReader *r)
{
	uint32		code = 0;

	for (int i = 0; i < 4; i++)
	{
		int			c = r->at < r->end ? (unsigned char) *r->at : 0;

		if (!isxdigit(c))
			bad(r, "a wrong \\u escape");
		code = code * 16 + (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
		r->at++;
	}
	return code;
}

static void
read_escape(JsonReader *r, StringInfo out)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meaning[] = "\"\\/\b\f\n\r\t";
	const char *letter;

	if (r->at == r->end || *r->at == '\0')
		bad(r, "a text that does not end");
	if (*r->at == 'u')
	{
		uint32		code;

		r->at++;
		code = read_hex4(r);
		if (code >= 0xd800 && code <= 0xdbff && take_word(r, "\\u"))
		{
			uint32		low = read_hex4(r);

			if (low < 0xdc00 || low > 0xdfff)
				bad(r, "half of a character");
			code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		}
		append_code_point(out, code);
		return;
	}
	letter = strchr(letters, *r->at);
	if (letter == NULL)
		bad(r, "an unknown escape");
	appendStringInfoChar(out, meaning[letter - letters]);
	r->at++;
}

static Value
read_string(JsonReader *r)
{
	StringInfoData out;

	initStringInfo(&out);
	for (r->at++; r->at < r->end && *r->at != '"';)
	{
		expr_tick();
		if ((unsigned char) *r->at < 0x20)
			bad(r, "a control character in a text");
		if (*r->at == '\\')
		{
			r->at++;
			read_escape(r, &out);
		}
		else
			appendStringInfoChar(&out, *r->at++);
	}
	if (r->at == r->end)
		bad(r, "a text that does not end");
	r->at++;
	return value_text(&out);
}

static Value
read_number(JsonReader *r)
{
	const char *s = r->at;
	bool		real = false;

	if (*r->at == '-')
		r->at++;
	if (r->at == r->end || !isdigit((unsigned char) *r->at))
		bad(r, "a wrong number");
	if (*r->at == '0')
		r->at++;
	else
		while (r->at < r->end && isdigit((unsigned char) *r->at))
			r->at++;
	if (r->at + 1 < r->end && *r->at == '.' && isdigit((unsigned char) r->at[1]))
	{
		real = true;
		for (r->at++; r->at < r->end && isdigit((unsigned char) *r->at); r->at++)
			;
	}
	if (r->at < r->end && (*r->at | 0x20) == 'e')
	{
		const char *p = r->at + 1;

		if (p < r->end && (*p == '+' || *p == '-'))
			p++;
		if (p < r->end && isdigit((unsigned char) *p))
		{
			real = true;
			while (p < r->end && isdigit((unsigned char) *p))
				p++;
			r->at = p;
		}
	}
	if (real)
		return value_float(strtod(pnstrdup(s, r->at - s), NULL));
	return value_from_digits(pnstrdup(s, r->at - s));
}

static Value
read_list(JsonReader *r)
{
	Value		list = value_list_new();

	list.flags |= VALUE_F_MUTABLE;
	r->at++;
	skip_blanks(r);
	if (take_word(r, "]"))
		return list;
	for (;;)
	{
		value_push(&list, read_value(r));
		skip_blanks(r);
		if (take_word(r, "]"))
			return list;
		if (!take_word(r, ","))
			bad(r, "\",\" or \"]\" is expected");
	}
}

static Value
read_dict(JsonReader *r)
{
	Value		dict = value_dict_new();

	dict.flags |= VALUE_F_MUTABLE;
	r->at++;
	skip_blanks(r);
	if (take_word(r, "}"))
		return dict;
	for (;;)
	{
		Value		key;

		skip_blanks(r);
		if (r->at == r->end || *r->at != '"')
			bad(r, "a key in quotes is expected");
		key = read_string(r);
		skip_blanks(r);
		if (!take_word(r, ":"))
			bad(r, "\":\" is expected");
		value_dict_put(&dict, key, read_value(r));
		skip_blanks(r);
		if (take_word(r, "}"))
			return dict;
		if (!take_word(r, ","))
			bad(r, "\",\" or \"}\" is expected");
	}
}

static Value
read_value(JsonReader *r)
{
	expr_check_depth();
	expr_tick();
	skip_blanks(r);
	if (r->at == r->end)
		bad(r, "a value is expected");
	if (*r->at == '{')
		return read_dict(r);
	if (*r->at == '[')
		return read_list(r);
	if (*r->at == '"')
		return read_string(r);
	if (take_word(r, "null"))
		return value_null();
	if (take_word(r, "true"))
		return value_bool(true);
	if (take_word(r, "false"))
		return value_bool(false);
	if (take_word(r, "NaN"))
		return value_float(NAN);
	if (take_word(r, "Infinity"))
		return value_float(INFINITY);
	if (take_word(r, "-Infinity"))
		return value_float(-INFINITY);
	if (*r->at == '-' || isdigit((unsigned char) *r->at))
		return read_number(r);
	bad(r, "a value is expected");
}

/* The value of a JSON text, as Python reads it: lists and dicts are mutable. */
Value
json_parse(const char *s, int len)
{
	JsonReader	r = {s, s, s + len};
	Value		value = read_value(&r);

	skip_blanks(&r);
	if (r.at < r.end)
		bad(&r, "more text follows the value");
	return value;
}

static void
dump_string(StringInfo out, const char *s, int len)
{
	static const char letters[] = "\"\\\b\f\n\r\t";
	static const char escapes[] = "\"\\bfnrt";
	const char *end = s + len;

	expr_reserve(len);
	appendStringInfoChar(out, '"');
	while (s < end)
	{
		int			n = char_length(s, end);
		uint32		code = char_code(s);
		const char *letter = n == 1 && *s ? strchr(letters, *s) : NULL;

		if (letter)
			appendStringInfo(out, "\\%c", escapes[letter - letters]);
		else if (code >= 0x20 && code < 0x7f)
			appendStringInfoChar(out, *s);
		else if (code >= 0x10000)
			appendStringInfo(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
		else if (code == 0x7f)
			appendStringInfoChar(out, *s);
		else
			appendStringInfo(out, "\\u%04x", code);
		s += n;
	}
	appendStringInfoChar(out, '"');
}

static void
new_line(StringInfo out, int indent, int depth)
{
	appendStringInfoChar(out, '\n');
	appendStringInfoSpaces(out, indent * depth);
}

static void
dump_key(StringInfo out, const Value *key)
{
	if (key->kind == VALUE_STRING)
		dump_string(out, key->u.string.data, key->u.string.len);
	else if (key->kind == VALUE_NULL)
		appendStringInfoString(out, "\"null\"");
	else if (key->kind == VALUE_BOOL)
		appendStringInfoString(out, key->u.boolean ? "\"true\"" : "\"false\"");
	else if (value_is_number(key))
	{
		appendStringInfoChar(out, '"');
		value_repr(out, key);
		appendStringInfoChar(out, '"');
	}
	else
		expr_fail("%s cannot be a key of JSON", value_kind_name(key));
}

static void
dump_value(StringInfo out, const Value *value, int indent, int depth)
{
	Iterator   *it;
	Value		item;
	bool		first = true;

	expr_check_depth();
	if (out->len > EVAL_MAX_LENGTH)
		expr_limit("a text grows too long");
	switch (value->kind)
	{
		case VALUE_NULL:
			appendStringInfoString(out, "null");
			return;
		case VALUE_BOOL:
			appendStringInfoString(out, value->u.boolean ? "true" : "false");
			return;
		case VALUE_FLOAT:
			if (isnan(value->u.real))
				appendStringInfoString(out, "NaN");
			else if (isinf(value->u.real))
				appendStringInfoString(out, value->u.real > 0 ? "Infinity" : "-Infinity");
			else
				value_repr(out, value);
			return;
		case VALUE_INT:
		case VALUE_BIGINT:
			value_repr(out, value);
			return;
		case VALUE_STRING:
			dump_string(out, value->u.string.data, value->u.string.len);
			return;
		case VALUE_DATETIME:
			appendStringInfoChar(out, '"');
			datetime_stored(out, value);
			appendStringInfoChar(out, '"');
			return;
		case VALUE_DICT:
			{
				DictObject *dict = value_dict_object(value);

				appendStringInfoChar(out, '{');
				for (int i = 0; i < dict->n; i++)
				{
					if (i > 0)
						appendStringInfoChar(out, ',');
					new_line(out, indent, depth + 1);
					dump_key(out, &dict->entries[i].key);
					appendStringInfoString(out, ": ");
					dump_value(out, &dict->entries[i].item, indent, depth + 1);
				}
				if (dict->n)
					new_line(out, indent, depth);
				appendStringInfoChar(out, '}');
				return;
			}
		default:
			break;
	}
	if (!value_is_iterable(value))
		expr_fail("%s cannot be written as JSON", value_kind_name(value));
	it = value_iterate(value);
	appendStringInfoChar(out, '[');
	while (iterator_next(it, &item))
	{
		if (!first)
			appendStringInfoChar(out, ',');
		new_line(out, indent, depth + 1);
		dump_value(out, &item, indent, depth + 1);
		first = false;
	}
	if (!first)
		new_line(out, indent, depth);
	appendStringInfoChar(out, ']');
}

/* Appends Python's json.dumps(value, indent=...): ASCII only. */
void
json_dump(StringInfo out, const Value *value, int indent)
{
	dump_value(out, value, indent, 0);
}
