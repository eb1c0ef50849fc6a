/*
 * json_read.c
 *		JSON inside a definition's strings (`i in [1, "a"]`, inline
 *		parameters), read into the same tree as everything else.
 *
 * The server's own parser raises; here a text that is no JSON is an answer.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/yaml_scalar.h"
#include "dsl/yaml.h"

typedef struct JsonCursor
{
	const char *at;
	const char *end;
	const YamlNode *place;
	int			depth;
} JsonCursor;

static YamlNode *read_value(JsonCursor *cursor);
static YamlNode *read_word(JsonCursor *cursor);
static YamlNode *read_number(JsonCursor *cursor);
static YamlNode *read_string(JsonCursor *cursor);
static YamlNode *read_container(JsonCursor *cursor);
static bool read_escape(JsonCursor *cursor, StringInfo out);

YamlNode *
json_read(const char *text, int len, const YamlNode *at)
{
	JsonCursor	cursor = {text, text + len, at, 0};
	YamlNode   *node = read_value(&cursor);

	return node != NULL && cursor.at == cursor.end ? node : NULL;
}

static void
skip_space(JsonCursor *cursor)
{
	while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) != NULL && *cursor->at != '\0')
		cursor->at++;
}

/* A value and the space around it; NULL when there is none. */
static YamlNode *
read_value(JsonCursor *cursor)
{
	YamlNode   *node;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	skip_space(cursor);
	if (cursor->at >= cursor->end)
		return NULL;
	switch (*cursor->at)
	{
		case '"':
			node = read_string(cursor);
			break;
		case '[':
		case '{':
			node = read_container(cursor);
			break;
		case 't':
		case 'f':
		case 'n':
			node = read_word(cursor);
			break;
		default:
			node = read_number(cursor);
			break;
	}
	if (node != NULL)
		skip_space(cursor);
	return node;
}

static YamlNode *
read_word(JsonCursor *cursor)
{
	static const char *const words[] = {"true", "false", "null"};

	for (int i = 0; i < lengthof(words); i++)
	{
		int			len = strlen(words[i]);
		YamlNode   *node;

		if (cursor->end - cursor->at < len || memcmp(cursor->at, words[i], len) != 0)
			continue;
		cursor->at += len;
		node = yaml_make(i == 2 ? YAML_NULL : YAML_BOOL, cursor->place);
		node->boolean = i == 0;
		return node;
	}
	return NULL;
}

static bool
skip_digits(JsonCursor *cursor)
{
	const char *start = cursor->at;

	while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
		cursor->at++;
	return cursor->at > start;
}

static YamlNode *
read_number(JsonCursor *cursor)
{
	const char *start = cursor->at;
	bool		integer = true;
	YamlNode   *node;

	if (*cursor->at == '-')
		cursor->at++;
	if (cursor->at < cursor->end && *cursor->at == '0')
		cursor->at++;
	else if (!skip_digits(cursor))
		return NULL;
	if (cursor->at < cursor->end && *cursor->at == '.')
	{
		integer = false;
		cursor->at++;
		if (!skip_digits(cursor))
			return NULL;
	}
	if (cursor->at < cursor->end && (*cursor->at == 'e' || *cursor->at == 'E'))
	{
		integer = false;
		cursor->at++;
		if (cursor->at < cursor->end && (*cursor->at == '+' || *cursor->at == '-'))
			cursor->at++;
		if (!skip_digits(cursor))
			return NULL;
	}
	if (integer)
	{
		YamlScalar	scalar;

		/* Without a leading zero both languages read the same integer. */
		yaml_scalar_resolve(start, cursor->at - start, &scalar);
		if (scalar.kind != YAML_SCALAR_INT && scalar.kind != YAML_SCALAR_BIGINT)
			return NULL;
		node = yaml_make(scalar.kind == YAML_SCALAR_INT ? YAML_INT : YAML_BIGINT, cursor->place);
		node->integer = scalar.integer;
		node->text = scalar.kind == YAML_SCALAR_INT ? NULL : scalar.digits;
		node->len = node->text ? strlen(node->text) : 0;
		node->real = node->text ? strtod(node->text, NULL) : (double) node->integer;
		return node;
	}
	node = yaml_make(YAML_FLOAT, cursor->place);
	node->real = strtod(pnstrdup(start, cursor->at - start), NULL);
	return isfinite(node->real) ? node : NULL;
}

static YamlNode *
read_string(JsonCursor *cursor)
{
	StringInfoData out;
	YamlNode   *node;

	initStringInfo(&out);
	cursor->at++;
	while (cursor->at < cursor->end && *cursor->at != '"')
	{
		if ((unsigned char) *cursor->at < ' ')
			return NULL;
		if (*cursor->at != '\\')
			appendStringInfoChar(&out, *cursor->at++);
		else if (!read_escape(cursor, &out))
			return NULL;
	}
	if (cursor->at >= cursor->end)
		return NULL;
	cursor->at++;
	node = yaml_make(YAML_STRING, cursor->place);
	node->style = YAML_STYLE_QUOTED;
	node->text = out.data;
	node->len = out.len;
	return node;
}

static bool
read_hex(JsonCursor *cursor, pg_wchar *out)
{
	*out = 0;
	if (cursor->end - cursor->at < 6 || cursor->at[0] != '\\' || cursor->at[1] != 'u')
		return false;
	for (int i = 2; i < 6; i++)
	{
		char		c = pg_ascii_tolower(cursor->at[i]);

		if (c >= '0' && c <= '9')
			*out = *out * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			*out = *out * 16 + (c - 'a' + 10);
		else
			return false;
	}
	cursor->at += 6;
	return true;
}

/* What a backslash announces; false when JSON (or the database) has no such character. */
static bool
read_escape(JsonCursor *cursor, StringInfo out)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	pg_wchar	c;
	pg_wchar	low;
	unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1];

	if (cursor->end - cursor->at < 2)
		return false;
	letter = cursor->at[1] == '\0' ? NULL : strchr(letters, cursor->at[1]);
	if (letter != NULL)
	{
		appendStringInfoChar(out, meanings[letter - letters]);
		cursor->at += 2;
		return true;
	}
	if (!read_hex(cursor, &c) || c == 0)
		return false;
	if (is_utf16_surrogate_first(c))
	{
		if (!read_hex(cursor, &low) || !is_utf16_surrogate_second(low))
			return false;
		c = surrogate_pair_to_codepoint(c, low);
	}
	else if (is_utf16_surrogate_second(c))
		return false;
	if (c < 0x80)
		appendStringInfoChar(out, (char) c);
	else if (GetDatabaseEncoding() == PG_UTF8)
	{
		unicode_to_utf8(c, utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	}
	else
		return false;
	return true;
}

static YamlNode *
read_container(JsonCursor *cursor)
{
	bool		is_dict = *cursor->at == '{';
	char		close = is_dict ? '}' : ']';
	YamlNode   *node = yaml_make(is_dict ? YAML_DICT : YAML_LIST, cursor->place);

	if (++cursor->depth > YAML_MAX_DEPTH)
		return NULL;
	cursor->at++;
	skip_space(cursor);
	while (cursor->at < cursor->end && (*cursor->at != close || node->nitems > 0))
	{
		YamlNode   *key = NULL;
		YamlNode   *item;

		if (is_dict)
		{
			skip_space(cursor);
			if (cursor->at >= cursor->end || *cursor->at != '"' || (key = read_string(cursor)) == NULL)
				return NULL;
			skip_space(cursor);
			if (cursor->at >= cursor->end || *cursor->at++ != ':')
				return NULL;
		}
		item = read_value(cursor);
		if (item == NULL || cursor->at >= cursor->end)
			return NULL;
		if (is_dict)
			yaml_set(node, key, item);
		else
			yaml_append(node, NULL, item);
		if (*cursor->at == close)
			break;
		if (*cursor->at++ != ',')
			return NULL;
	}
	if (cursor->at >= cursor->end)
		return NULL;
	cursor->at++;
	cursor->depth--;
	return node;
}
