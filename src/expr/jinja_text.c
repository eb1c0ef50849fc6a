/*
 * jinja_text.c
 *		What Python's string methods and Jinja2's filters do with strings alike.
 *
 * Every result is markup where the string worked on is.
 */
#include "postgres.h"

#include "expr/jinja.h"

/* The byte where part begins in text[from, to), or -1. */
int64
jinja_find(const Value *text, const Value *part, int64 from, int64 to, bool last)
{
	const char *s = text->u.string.data;
	int			n = part->u.string.len;

	if (to - from < n)
		return -1;
	for (int64 i = last ? to - n : from; last ? i >= from : i <= to - n; i += last ? -1 : 1)
	{
		expr_tick();
		if (n == 0 || (s[i] == part->u.string.data[0] && memcmp(s + i, part->u.string.data, n) == 0))
			return i;
	}
	return -1;
}

/* Characters from..to, both within the string or beyond its end. */
Value
jinja_substring(const Value *text, int64 from, int64 to)
{
	const char *s = text->u.string.data;
	int			start = text_offset(s, text->u.string.len, from);
	int			end = to <= from ? start : start + text_offset(s + start, text->u.string.len - start, to - from);

	return jinja_as(text, value_string(s + start, end - start));
}

static bool
among(const char *s, int n, const Value *chars)
{
	const char *p;
	const char *end;

	if (chars == NULL || chars->kind != VALUE_STRING)
		return char_is_space(s, n);
	p = chars->u.string.data;
	end = p + chars->u.string.len;
	for (; p < end; p += char_length(p, end))
	{
		expr_tick();
		if (char_length(p, end) == n && memcmp(p, s, n) == 0)
			return true;
	}
	return false;
}

/* Without the characters (NULL: blanks) at its ends. */
Value
jinja_strip(const Value *text, const Value *chars, bool left, bool right)
{
	const char *s = text->u.string.data;
	const char *end = s + text->u.string.len;
	const char *last = s;

	while (left && s < end && among(s, char_length(s, end), chars))
	{
		expr_tick();
		s += char_length(s, end);
	}
	if (right)
	{
		last = s;
		for (const char *p = s; p < end;)
		{
			int			n = char_length(p, end);

			expr_tick();
			if (!among(p, n, chars))
				last = p + n;
			p += n;
		}
		end = last;
	}
	return jinja_as(text, value_string(s, end - s));
}

static void
push_part(Value *list, const Value *text, const char *from, const char *to)
{
	value_push(list, jinja_as(text, value_string(from, to - from)));
}

static Value
split_blanks(const Value *text, int64 most)
{
	Value		list = value_list_new();
	const char *s = text->u.string.data;
	const char *end = s + text->u.string.len;

	for (;;)
	{
		const char *from;

		while (s < end && char_is_space(s, char_length(s, end)))
			s += char_length(s, end);
		if (s >= end)
			break;
		expr_tick();
		if (most == 0)
		{
			push_part(&list, text, s, end);
			break;
		}
		most--;
		for (from = s; s < end && !char_is_space(s, char_length(s, end)); s += char_length(s, end))
			;
		push_part(&list, text, from, s);
	}
	return jinja_mutable(list);
}

static const char *
before(const char *start, const char *s)
{
	for (s--; s > start && (*s & 0xc0) == 0x80; s--)
		;
	return s;
}

static void
reverse(Value *list)
{
	ListObject *object = list->u.object;

	for (int i = 0; i < object->n / 2; i++)
	{
		Value		item = object->items[i];

		object->items[i] = object->items[object->n - 1 - i];
		object->items[object->n - 1 - i] = item;
	}
}

static Value
split_blanks_right(const Value *text, int64 most)
{
	Value		list = value_list_new();
	const char *start = text->u.string.data;
	const char *s = start + text->u.string.len;
	const char *end = s;

	for (;;)
	{
		while (s > start && char_is_space(before(start, s), s - before(start, s)))
			s = before(start, s);
		if (s == start)
			break;
		expr_tick();
		end = s;
		if (most == 0)
		{
			push_part(&list, text, start, end);
			break;
		}
		most--;
		while (s > start && !char_is_space(before(start, s), s - before(start, s)))
			s = before(start, s);
		push_part(&list, text, s, end);
	}
	reverse(&list);
	return jinja_mutable(list);
}

/* Python's split: a null separator means blanks, most < 0 no limit. */
Value
jinja_split(const Value *text, const Value *separator, int64 most, bool from_right)
{
	Value		list;
	int64		from = 0;
	int64		to = text->u.string.len;
	const char *s = text->u.string.data;

	if (separator == NULL || separator->kind == VALUE_NULL)
		return from_right && most >= 0 ? split_blanks_right(text, most) : split_blanks(text, most);
	(void) jinja_text_of(separator, "a separator");
	if (separator->u.string.len == 0)
		expr_fail("a separator is empty");
	list = value_list_new();
	while (most != 0)
	{
		int64		at = jinja_find(text, separator, from, to, from_right);

		expr_tick();
		if (at < 0)
			break;
		most--;
		if (from_right)
		{
			push_part(&list, text, s + at + separator->u.string.len, s + to);
			to = at;
		}
		else
		{
			push_part(&list, text, s + from, s + at);
			from = at + separator->u.string.len;
		}
	}
	push_part(&list, text, s + from, s + to);
	if (from_right)
		reverse(&list);
	return jinja_mutable(list);
}

/* How long the line end is that begins here, 0 for none. */
static int
line_end(const char *s, const char *end)
{
	uint32		code = char_code(s);

	if (*s == '\r' && s + 1 < end && s[1] == '\n')
		return 2;
	if ((code >= 10 && code <= 13) || (code >= 0x1c && code <= 0x1e) || code == 0x85 || code == 0x2028 || code == 0x2029)
		return char_length(s, end);
	return 0;
}

Value
jinja_split_lines(const Value *text, bool keep_ends)
{
	Value		list = value_list_new();
	const char *s = text->u.string.data;
	const char *end = s + text->u.string.len;
	const char *from = s;

	while (s < end)
	{
		int			n = line_end(s, end);

		expr_tick();
		if (n > 0)
		{
			push_part(&list, text, from, s + (keep_ends ? n : 0));
			from = s + n;
		}
		s += n > 0 ? n : char_length(s, end);
	}
	if (from < end)
		push_part(&list, text, from, end);
	return jinja_mutable(list);
}

/* At most `most` times, when it is not negative. */
Value
jinja_replace(const Value *text, const Value *old, const Value *new, int64 most)
{
	StringInfoData out;
	const char *s = text->u.string.data;
	int64		from = 0;
	int64		len = text->u.string.len;

	initStringInfo(&out);
	while (most != 0)
	{
		int64		at = old->u.string.len ? jinja_find(text, old, from, len, false) : from;

		expr_tick();
		if (at < 0 || at > len)
			break;
		most--;
		expr_reserve((Size) out.len + (at - from) + new->u.string.len);
		if (out.len > EVAL_MAX_LENGTH - new->u.string.len - (at - from))
			expr_limit("a text grows too long");
		appendBinaryStringInfo(&out, s + from, at - from);
		appendBinaryStringInfo(&out, new->u.string.data, new->u.string.len);
		from = at + old->u.string.len;
		if (old->u.string.len == 0)
		{
			int			n = at < len ? char_length(s + at, s + len) : 1;

			if (at < len)
				appendBinaryStringInfo(&out, s + at, n);
			from = at + n;
		}
	}
	if (from < len)
		appendBinaryStringInfo(&out, s + from, len - from);
	return jinja_as(text, value_text(&out));
}

/* The elements with the separator between; strings only, unless they are to be converted. */
Value
jinja_join(const Value *separator, const Value *items, bool convert)
{
	Iterator   *it = jinja_iterate(items);
	bool		markup = jinja_is_markup(separator);
	StringInfoData out;
	Value		item;
	bool		first = true;

	initStringInfo(&out);
	while (iterator_next(it, &item))
	{
		if (!convert)
			(void) jinja_text_of(&item, "what is joined");
		item = markup ? jinja_escape(&item) : jinja_str(&item);
		expr_reserve((Size) out.len + item.u.string.len + separator->u.string.len);
		if (out.len > EVAL_MAX_LENGTH - item.u.string.len - separator->u.string.len)
			expr_limit("a text grows too long");
		if (!first)
			appendBinaryStringInfo(&out, separator->u.string.data, separator->u.string.len);
		appendBinaryStringInfo(&out, item.u.string.data, item.u.string.len);
		first = false;
	}
	return jinja_as(separator, value_text(&out));
}

static void
append_fill(StringInfo out, const Value *fill, int64 times)
{
	for (int64 i = 0; i < times; i++)
		appendBinaryStringInfo(out, fill->u.string.data, fill->u.string.len);
}

/* As wide as asked for: side < 0 with the text left, > 0 right, 0 in the middle. */
Value
jinja_pad(const Value *text, int64 width, const Value *fill, int side)
{
	int64		missing = width - text_length(text->u.string.data, text->u.string.len);
	int64		left;
	StringInfoData out;

	if (text_length(fill->u.string.data, fill->u.string.len) != 1)
		expr_fail("a fill must be one character");
	if (missing <= 0)
		return *text;
	if (missing > EVAL_MAX_LENGTH / 4)
		expr_limit("a text grows too long");
	expr_reserve(missing * fill->u.string.len);
	left = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & width & 1);
	initStringInfo(&out);
	append_fill(&out, fill, left);
	appendBinaryStringInfo(&out, text->u.string.data, text->u.string.len);
	append_fill(&out, fill, missing - left);
	return jinja_as(text, value_text(&out));
}

/* A letter as it begins a word: of a capital that is two letters only the first is one. */
Value
jinja_first_letter(const char *s, int len)
{
	static const uint32 digraphs[] = {0x1c4, 0x1c7, 0x1ca, 0x1f1};
	Value		upper = text_upper(s, len);
	int			n = text_offset(upper.u.string.data, upper.u.string.len, 1);
	Value		small = text_lower(upper.u.string.data, n);
	Value		rest;
	StringInfoData out;

	for (int i = 0; len == 2 && i < lengthof(digraphs); i++)
	{
		if (char_code(s) >= digraphs[i] && char_code(s) < digraphs[i] + 3)
		{
			initStringInfo(&out);
			append_code_point(&out, digraphs[i] + 1);
			return value_text(&out);
		}
	}
	if (n == upper.u.string.len || (small.u.string.len == n && memcmp(small.u.string.data, upper.u.string.data, n) == 0))
		return upper;
	rest = text_lower(upper.u.string.data + n, upper.u.string.len - n);
	initStringInfo(&out);
	appendBinaryStringInfo(&out, upper.u.string.data, n);
	appendBinaryStringInfo(&out, rest.u.string.data, rest.u.string.len);
	return value_text(&out);
}

Value
jinja_capitalize(const Value *text)
{
	const char *s = text->u.string.data;
	int			n = text->u.string.len ? char_length(s, s + text->u.string.len) : 0;
	Value		head = jinja_first_letter(s, n);
	Value		lower = text_lower(s, text->u.string.len);
	StringInfoData out;

	initStringInfo(&out);
	appendBinaryStringInfo(&out, head.u.string.data, head.u.string.len);
	/* The first letter may be more than one in lower case. */
	n = text_lower(s, n).u.string.len;
	appendBinaryStringInfo(&out, lower.u.string.data + n, lower.u.string.len - n);
	return jinja_as(text, value_text(&out));
}
