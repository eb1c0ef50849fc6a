/*
 * yaml_text.c
 *		The way back from a tree to the text it was read from: lines, columns,
 *		and a definition's own part of a document.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "dsl/yaml.h"

static int	line_break_length(const char *p, const char *end);
static int	offset_of(const YamlSource *source, int line, int col);
static char *write_entry(const YamlNode *key, const YamlNode *item);
static bool reads_back(const char *text, const YamlNode *key, const YamlNode *item);
static bool locate_by_line(const YamlSource *source, const YamlNode *scalar, int offset, int *line, int *col);
static bool locate_by_expression(const YamlSource *source, const YamlNode *scalar, int offset, int *line, int *col);

YamlSource *
yaml_source(const char *text, int len)
{
	YamlSource *source = palloc0(sizeof(YamlSource));
	const char *utf8 = pg_server_to_any(text, len, PG_UTF8);
	int			allocated = 64;
	const char *p;
	const char *end;

	source->text = utf8;
	source->len = utf8 == text ? len : strlen(utf8);
	source->starts = palloc(allocated * sizeof(int));
	source->starts[source->nlines++] = 0;
	end = source->text + source->len;
	for (p = source->text; p < end;)
	{
		int			length = line_break_length(p, end);

		if (length == 0)
		{
			p++;
			continue;
		}
		p += length;
		CHECK_FOR_INTERRUPTS();
		if (source->nlines == allocated)
		{
			allocated *= 2;
			source->starts = repalloc_huge(source->starts, mul_size(allocated, sizeof(int)));
		}
		source->starts[source->nlines++] = p - source->text;
	}
	return source;
}

/* Length of the line break at p by YAML 1.1's rules, or 0. */
static int
line_break_length(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *) p;

	if (u[0] == '\r')
		return p + 1 < end && u[1] == '\n' ? 2 : 1;
	if (u[0] == '\n')
		return 1;
	if (u[0] == 0xC2 && p + 1 < end && u[1] == 0x85)
		return 2;
	if (u[0] == 0xE2 && p + 2 < end && u[1] == 0x80 && (u[2] == 0xA8 || u[2] == 0xA9))
		return 3;
	return 0;
}

/* Byte offset of a place, at most the text's length. */
static int
offset_of(const YamlSource *source, int line, int col)
{
	int			offset;

	if (line > source->nlines)
		return source->len;
	offset = source->starts[line - 1];
	while (--col > 0 && offset < source->len)
	{
		offset++;
		while (offset < source->len && ((unsigned char) source->text[offset] & 0xC0) == 0x80)
			offset++;
	}
	return offset;
}

/* ---------------------------------------------------------------- cutting */

char *
yaml_cut_entry(const YamlSource *source, const YamlNode *key, const YamlNode *item)
{
	int			line_start = source->starts[key->line - 1];
	int			start = offset_of(source, key->line, key->col);
	int			end = offset_of(source, item->end_line, item->end_col);
	int			margin = start - line_start;
	StringInfoData out;
	char	   *text;
	int			i;

	for (i = line_start; i < start; i++)
	{
		if (source->text[i] != ' ')
			return write_entry(key, item);
	}
	if (end < start)
		return write_entry(key, item);
	/* What follows on the last line can only be a comment, or it does not read back. */
	while (end < source->len && end > source->starts[0] && line_break_length(source->text + end, source->text + source->len) == 0 &&
		   !(item->end_col == 1 && item->end_line > key->line))
		end++;

	initStringInfo(&out);
	for (i = key->line - 1; i < source->nlines && source->starts[i] < end; i++)
	{
		int			from = source->starts[i];
		int			to = i + 1 < source->nlines ? source->starts[i + 1] : source->len;
		int			skip = 0;

		CHECK_FOR_INTERRUPTS();
		to = Min(to, end);
		while (skip < margin && from < to && source->text[from] == ' ')
		{
			from++;
			skip++;
		}
		appendBinaryStringInfo(&out, source->text + from, to - from);
	}
	if (out.len > 0 && out.data[out.len - 1] != '\n')
		appendStringInfoChar(&out, '\n');
	text = pg_any_to_server(out.data, out.len, PG_UTF8);
	return reads_back(text, key, item) ? text : write_entry(key, item);
}

static char *
write_entry(const YamlNode *key, const YamlNode *item)
{
	YamlNode   *dict = yaml_make(YAML_DICT, key);
	StringInfoData out;

	yaml_append(dict, unconstify(YamlNode *, key), unconstify(YamlNode *, item));
	initStringInfo(&out);
	yaml_write(&out, dict);
	appendStringInfoChar(&out, '\n');
	return out.data;
}

static bool
reads_back(const char *text, const YamlNode *key, const YamlNode *item)
{
	YamlError	error;
	YamlNode   *root = yaml_read(text, strlen(text), &error);

	return root != NULL && root->kind == YAML_DICT && root->nitems == 1 &&
		yaml_equal(root->keys[0], key) && yaml_equal(root->items[0], item);
}

/* ---------------------------------------------------------------- places */

void
yaml_locate(const YamlSource *source, const YamlNode *scalar, int offset, int *line, int *col)
{
	if (scalar->whole != NULL)
	{
		yaml_locate(source, scalar->whole, scalar->start + offset, line, col);
		return;
	}
	*line = scalar->line;
	*col = scalar->col;
	if (scalar->kind != YAML_STRING || offset < 0 || offset > scalar->len || GetDatabaseEncoding() != PG_UTF8)
		return;
	if (!locate_by_line(source, scalar, offset, line, col))
		(void) locate_by_expression(source, scalar, offset, line, col);
}

/* Where the document has the value's line as it is. */
static bool
locate_by_line(const YamlSource *source, const YamlNode *scalar, int offset, int *line, int *col)
{
	const char *value = scalar->text;
	int			in_line = 0;
	int			lines = 0;
	int			start;
	int			indent = 0;
	int			length = 0;

	if (scalar->style == YAML_STYLE_PLAIN || scalar->style == YAML_STYLE_QUOTED)
	{
		int			quote = scalar->style == YAML_STYLE_QUOTED ? 1 : 0;

		start = offset_of(source, scalar->line, scalar->col) + quote;
		if (start + scalar->len > source->len || memcmp(source->text + start, value, scalar->len) != 0)
			return false;
		*col = scalar->col + quote + pg_mbstrlen_with_len(value, offset);
		return true;
	}
	for (int i = 0; i < offset; i++)
	{
		if (value[i] == '\n')
		{
			lines++;
			in_line = i + 1;
		}
	}
	if (scalar->style != YAML_STYLE_LITERAL || scalar->line + lines >= source->nlines)
		return false;
	start = source->starts[scalar->line + lines];
	while (in_line + length < scalar->len && value[in_line + length] != '\n')
		length++;
	while (start + indent < source->len && source->text[start + indent] == ' ')
		indent++;
	while (length > 0 && indent > 0 && value[in_line] == ' ')
	{
		indent--;
		in_line++;
		length--;
	}
	if (start + indent + length > source->len || memcmp(source->text + start + indent, value + in_line, length) != 0)
		return false;
	*line = scalar->line + 1 + lines;
	*col = indent + 1 + pg_mbstrlen_with_len(value + in_line, Max(offset - in_line, 0));
	return true;
}

static bool
opens_expression(const char *p)
{
	return (p[0] == '<' && p[1] == '%') || (p[0] == '{' && (p[1] == '{' || p[1] == '%'));
}

/* Folded or escaped: where the document has the expression around the byte as it is, and once. */
static bool
locate_by_expression(const YamlSource *source, const YamlNode *scalar, int offset, int *line, int *col)
{
	int			first = offset_of(source, scalar->line, scalar->col);
	int			last = offset_of(source, scalar->end_line, scalar->end_col);
	int			from = Min(offset, scalar->len - 2);
	int			to = offset;
	int			found = -1;
	int			length;
	int			nline;

	while (from >= 0 && !opens_expression(scalar->text + from))
		from--;
	if (from < 0)
		return false;
	while (to < scalar->len && scalar->text[to] != '\n' && scalar->text[to] != '%' && scalar->text[to] != '}')
		to++;
	length = Max(to - from, 2);
	for (int i = first; i + length <= last; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (memcmp(source->text + i, scalar->text + from, length) != 0)
			continue;
		if (found >= 0)
			return false;
		found = i;
	}
	if (found < 0)
		return false;
	nline = scalar->line;
	while (nline < source->nlines && source->starts[nline] <= found)
		nline++;
	*line = nline;
	*col = pg_mbstrlen_with_len(source->text + source->starts[nline - 1], found - source->starts[nline - 1]) + 1 +
		pg_mbstrlen_with_len(scalar->text + from, offset - from);
	return true;
}
