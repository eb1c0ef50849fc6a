/*
 * jinja_methods_text.c
 *		Python's methods of strings.
 *
 * On markup the arguments are escaped and results are markup again, as
 * MarkupSafe does it.
 */
#include "postgres.h"

#include "expr/jinja.h"
#include "expr/regex.h"

/* A string argument, escaped when the receiver is markup. */
static Value
text_arg(JinjaCall *call, int i)
{
	Value		text = jinja_text_of(ARG(i), "an argument");

	return jinja_is_markup(&call->self) ? jinja_escape(&text) : text;
}

static Value
give(JinjaCall *call, Value text)
{
	return jinja_as(&call->self, text);
}

Value
jinja_m_capitalize(JinjaCall *call)
{
	return jinja_capitalize(&call->self);
}

/* Small letters; what has a longer folded form gets that. */
Value
jinja_m_casefold(JinjaCall *call)
{
	Value		upper = text_upper(call->self.u.string.data, call->self.u.string.len);

	return give(call, text_lower(upper.u.string.data, upper.u.string.len));
}

Value
jinja_m_lower(JinjaCall *call)
{
	return give(call, text_lower(call->self.u.string.data, call->self.u.string.len));
}

Value
jinja_m_upper(JinjaCall *call)
{
	return give(call, text_upper(call->self.u.string.data, call->self.u.string.len));
}

static Value
pad(JinjaCall *call, int side)
{
	Value		fill = GIVEN(1) ? text_arg(call, 1) : value_cstring(" ");

	return jinja_pad(&call->self, jinja_int(ARG(0), "a width"), &fill, side);
}

Value
jinja_m_center(JinjaCall *call)
{
	return pad(call, 0);
}

Value
jinja_m_ljust(JinjaCall *call)
{
	return pad(call, -1);
}

Value
jinja_m_rjust(JinjaCall *call)
{
	return pad(call, 1);
}

/* Zeros after the sign. */
Value
jinja_m_zfill(JinjaCall *call)
{
	Value		zero = value_cstring("0");
	Value		rest = call->self;
	bool		sign = rest.u.string.len > 0 && (rest.u.string.data[0] == '-' || rest.u.string.data[0] == '+');
	int64		width = jinja_int(ARG(0), "a width");
	Value		padded;

	if (!sign)
		return jinja_pad(&call->self, width, &zero, 1);
	rest.u.string.data++;
	rest.u.string.len--;
	padded = jinja_pad(&rest, width - 1, &zero, 1);
	return give(call, value_cstring(psprintf("%c%.*s", call->self.u.string.data[0], padded.u.string.len,
											 padded.u.string.data)));
}

/* The bytes between start and end, which are counted in characters; false when nothing can be there. */
static bool
range_of(JinjaCall *call, int first, int64 *from, int64 *to)
{
	const char *s = call->self.u.string.data;
	int			len = call->self.u.string.len;
	int64		n = text_length(s, len);
	int64		start = GIVEN(first) && ARG(first)->kind != VALUE_NULL ? jinja_int_arg(call, first, 0) : 0;
	int64		end = GIVEN(first + 1) && ARG(first + 1)->kind != VALUE_NULL ? jinja_int_arg(call, first + 1, n) : n;

	if (start < 0)
		start = Max(start + n, 0);
	if (end < 0)
		end = Max(end + n, 0);
	end = Min(end, n);
	if (start > end)
		return false;
	*from = text_offset(s, len, start);
	*to = text_offset(s, len, end);
	return true;
}

static Value
find(JinjaCall *call, bool last, bool must)
{
	Value		part = jinja_text_of(ARG(0), "what is looked for");
	int64		from;
	int64		to;
	int64		at = -1;

	if (range_of(call, 1, &from, &to))
		at = jinja_find(&call->self, &part, from, to, last);
	if (at < 0 && must)
		expr_fail("the string does not hold what index() looks for");
	return value_int(at < 0 ? -1 : text_length(call->self.u.string.data, at));
}

Value
jinja_m_find(JinjaCall *call)
{
	return find(call, false, false);
}

Value
jinja_m_rfind(JinjaCall *call)
{
	return find(call, true, false);
}

Value
jinja_m_index_text(JinjaCall *call)
{
	return find(call, false, true);
}

Value
jinja_m_rindex(JinjaCall *call)
{
	return find(call, true, true);
}

Value
jinja_m_count_text(JinjaCall *call)
{
	Value		part = jinja_text_of(ARG(0), "what is counted");
	int64		from;
	int64		to;
	int64		n = 0;

	if (!range_of(call, 1, &from, &to))
		return value_int(0);
	if (part.u.string.len == 0)
		return value_int(text_length(call->self.u.string.data + from, to - from) + 1);
	while ((from = jinja_find(&call->self, &part, from, to, false)) >= 0)
	{
		eval_tick(&call->j->ev);
		from += part.u.string.len;
		n++;
	}
	return value_int(n);
}

/* One of the affixes (a string, or a tuple of them). */
static Value
has_affix(JinjaCall *call, bool end)
{
	Value		one = *ARG(0);
	ListObject *list;
	int64		from;
	int64		to;

	if (one.kind == VALUE_STRING)
		one = value_list_of(ARG(0), 1);
	else if (one.kind != VALUE_LIST || (one.flags & VALUE_F_MUTABLE))
		expr_fail("startswith() and endswith() take a string or a tuple of strings, not %s", jinja_kind_name(ARG(0)));
	list = value_list_object(&one);
	if (!range_of(call, 1, &from, &to))
		return value_bool(false);
	for (int i = 0; i < list->n; i++)
	{
		Value		affix = jinja_text_of(&list->items[i], "an affix");
		int			n = affix.u.string.len;

		if (n <= to - from &&
			memcmp(call->self.u.string.data + (end ? to - n : from), affix.u.string.data, n) == 0)
			return value_bool(true);
	}
	return value_bool(false);
}

Value
jinja_m_startswith(JinjaCall *call)
{
	return has_affix(call, false);
}

Value
jinja_m_endswith(JinjaCall *call)
{
	return has_affix(call, true);
}

static Value
without_affix(JinjaCall *call, bool end)
{
	Value		affix = text_arg(call, 0);
	Value		text = call->self;
	int			n = affix.u.string.len;

	if (n > text.u.string.len ||
		memcmp(text.u.string.data + (end ? text.u.string.len - n : 0), affix.u.string.data, n) != 0)
		return text;
	text.u.string.len -= n;
	if (!end)
		text.u.string.data += n;
	return text;
}

Value
jinja_m_removeprefix(JinjaCall *call)
{
	return without_affix(call, false);
}

Value
jinja_m_removesuffix(JinjaCall *call)
{
	return without_affix(call, true);
}

/* There are no byte strings here: what would be stored of one is its text. */
Value
jinja_m_encode(JinjaCall *call)
{
	for (int i = 0; i < 2; i++)
		if (GIVEN(i))
			(void) jinja_text_of(ARG(i), "an argument of encode()");
	return jinja_str(&call->self);
}

/* Each character by its number: another number, a text, null for nothing; what is not in the table stays. */
Value
jinja_m_translate(JinjaCall *call)
{
	const char *s = call->self.u.string.data;
	const char *end = s + call->self.u.string.len;
	StringInfoData out;

	if (ARG(0)->kind != VALUE_DICT && ARG(0)->kind != VALUE_LIST && ARG(0)->kind != VALUE_STRING)
		expr_fail("translate() takes a dict, a list or a string, not %s", jinja_kind_name(ARG(0)));
	initStringInfo(&out);
	for (; s < end; s += char_length(s, end))
	{
		Value		key = value_int(char_code(s));
		Value		to = jinja_getitem(ARG(0), &key);

		CHECK_FOR_INTERRUPTS();
		expr_reserve(out.len);
		if (to.kind == VALUE_UNDEFINED)
			appendBinaryStringInfo(&out, s, char_length(s, end));
		else if (to.kind == VALUE_STRING)
			appendBinaryStringInfo(&out, to.u.string.data, to.u.string.len);
		else if (to.kind != VALUE_NULL)
			append_code_point(&out, (uint32) jinja_int(&to, "the number of a character"));
		if (out.len > EVAL_MAX_LENGTH)
			expr_limit("a text grows too long");
	}
	return value_text(&out);
}

Value
jinja_m_expandtabs(JinjaCall *call)
{
	int64		size = jinja_int_arg(call, 0, 8);
	const char *s = call->self.u.string.data;
	const char *end = s + call->self.u.string.len;
	int64		column = 0;
	StringInfoData out;

	initStringInfo(&out);
	for (; s < end; s += char_length(s, end))
	{
		int			n = char_length(s, end);

		if (*s != '\t')
		{
			appendBinaryStringInfo(&out, s, n);
			column = *s == '\n' || *s == '\r' ? 0 : column + 1;
		}
		else if (size > 0)
		{
			int64		spaces = size - column % size;

			if (spaces > EVAL_MAX_LENGTH - out.len)
				expr_limit("a text grows too long");
			expr_reserve((Size) out.len + spaces);
			appendStringInfoSpaces(&out, spaces);
			column += spaces;
		}
	}
	return give(call, value_text(&out));
}

Value
jinja_m_format(JinjaCall *call)
{
	return give(call, jinja_format(call, &call->self));
}

/* The mapping's entries as keyword arguments. */
Value
jinja_m_format_map(JinjaCall *call)
{
	JinjaCall	inner = {.j = call->j,.self = call->self};
	DictObject *dict;

	if (ARG(0)->kind != VALUE_DICT)
		expr_fail("format_map() takes a dict, not %s", jinja_kind_name(ARG(0)));
	dict = value_dict_object(ARG(0));
	inner.names = palloc(Max(dict->n, 1) * sizeof(char *));
	inner.values = palloc(Max(dict->n, 1) * sizeof(Value));
	for (int i = 0; i < dict->n; i++)
	{
		const Value *key = &dict->entries[i].key;

		if (key->kind != VALUE_STRING)
			continue;
		inner.names[inner.nkeywords] = pnstrdup(key->u.string.data, key->u.string.len);
		inner.values[inner.nkeywords++] = dict->entries[i].item;
	}
	return give(call, jinja_format(&inner, &call->self));
}

/* What a character is, as bits. */
#define CHAR_WORD 1
#define CHAR_DIGIT 2
#define CHAR_SPACE 4
#define CHAR_UPPER 8
#define CHAR_LOWER 16
#define CHAR_ASCII 32
#define CHAR_PRINTABLE 64
#define CHAR_UNDERSCORE 128
#define CHAR_TITLE 256

static bool
is_text(Value value, const char *s, int len)
{
	return value.u.string.len == len && memcmp(value.u.string.data, s, len) == 0;
}

static int
classify(const char *s, const char *end)
{
	int			n = char_length(s, end);
	bool		has_upper;
	bool		has_lower;
	int			class = 0;

	if (*s == '_')
		return CHAR_UNDERSCORE | CHAR_ASCII | CHAR_PRINTABLE;
	has_upper = !is_text(text_upper(s, n), s, n);
	has_lower = !is_text(text_lower(s, n), s, n);
	if (has_upper || has_lower)
		class |= !has_lower ? CHAR_LOWER : !has_upper ? CHAR_UPPER : CHAR_TITLE;
	if (char_digit(s, end) >= 0)
		class |= CHAR_DIGIT;
	if (char_is_space(s, n))
		class |= CHAR_SPACE;
	if (IS_HIGHBIT_SET(*s) ? regex_word(s, n) : (class != 0 && class != CHAR_SPACE))
		class |= CHAR_WORD;
	if (!IS_HIGHBIT_SET(*s))
		class |= CHAR_ASCII;
	if (text_printable(s, n))
		class |= CHAR_PRINTABLE;
	return class;
}

/* Whether every character has one of the bits and none of the others; an empty string fails. */
static Value
all(JinjaCall *call, int some, int none, bool empty)
{
	const char *s = call->self.u.string.data;
	const char *end = s + call->self.u.string.len;

	if (s == end)
		return value_bool(empty);
	for (; s < end; s += char_length(s, end))
	{
		int			class = classify(s, end);

		eval_tick(&call->j->ev);
		if (!(class & some) || (class & none))
			return value_bool(false);
	}
	return value_bool(true);
}

Value
jinja_m_isalnum(JinjaCall *call)
{
	return all(call, CHAR_WORD, 0, false);
}

Value
jinja_m_isalpha(JinjaCall *call)
{
	return all(call, CHAR_WORD, CHAR_DIGIT, false);
}

Value
jinja_m_isascii(JinjaCall *call)
{
	return all(call, CHAR_ASCII, 0, true);
}

Value
jinja_m_isdigit(JinjaCall *call)
{
	return all(call, CHAR_DIGIT, 0, false);
}

Value
jinja_m_isspace(JinjaCall *call)
{
	return all(call, CHAR_SPACE, 0, false);
}

Value
jinja_m_isprintable(JinjaCall *call)
{
	return all(call, CHAR_PRINTABLE, 0, true);
}

Value
jinja_m_isidentifier(JinjaCall *call)
{
	const char *s = call->self.u.string.data;

	if (call->self.u.string.len == 0 || char_digit(s, s + call->self.u.string.len) >= 0)
		return value_bool(false);
	return all(call, CHAR_WORD | CHAR_UNDERSCORE, 0, false);
}

/* At least one letter with a case, and none of the other case. */
static Value
is_case(JinjaCall *call, int wanted, int other)
{
	const char *s = call->self.u.string.data;
	const char *end = s + call->self.u.string.len;
	bool		found = false;

	for (; s < end; s += char_length(s, end))
	{
		int			class = classify(s, end);

		eval_tick(&call->j->ev);
		if (class & other)
			return value_bool(false);
		found |= (class & wanted) != 0;
	}
	return value_bool(found);
}

Value
jinja_m_islower(JinjaCall *call)
{
	return is_case(call, CHAR_LOWER, CHAR_UPPER | CHAR_TITLE);
}

Value
jinja_m_isupper(JinjaCall *call)
{
	return is_case(call, CHAR_UPPER, CHAR_LOWER | CHAR_TITLE);
}

Value
jinja_m_istitle(JinjaCall *call)
{
	const char *s = call->self.u.string.data;
	const char *end = s + call->self.u.string.len;
	bool		found = false;
	bool		inside = false;

	for (; s < end; s += char_length(s, end))
	{
		int			class = classify(s, end);

		eval_tick(&call->j->ev);
		if ((class & (CHAR_UPPER | CHAR_TITLE) && inside) || (class & CHAR_LOWER && !inside))
			return value_bool(false);
		inside = (class & (CHAR_UPPER | CHAR_LOWER | CHAR_TITLE)) != 0;
		found |= inside;
	}
	return value_bool(found);
}

/* Each letter in the case that a title has there, or in its other case. */
static Value
recase(JinjaCall *call, bool title)
{
	const char *text = call->self.u.string.data;
	const char *s = text;
	const char *end = s + call->self.u.string.len;
	bool		inside = false;
	StringInfoData out;

	initStringInfo(&out);
	for (; s < end; s += char_length(s, end))
	{
		int			class = classify(s, end);
		int			n = char_length(s, end);
		Value		letter = value_string(s, n);

		eval_tick(&call->j->ev);
		if (title)
			letter = inside ? text_lower_at(text, s, end) : jinja_first_letter(s, n);
		else if (class & (CHAR_UPPER | CHAR_LOWER))
			letter = class & CHAR_LOWER ? text_upper(s, n) : text_lower_at(text, s, end);
		appendBinaryStringInfo(&out, letter.u.string.data, letter.u.string.len);
		inside = (class & (CHAR_UPPER | CHAR_LOWER | CHAR_TITLE)) != 0;
	}
	return give(call, value_text(&out));
}

Value
jinja_m_title(JinjaCall *call)
{
	return recase(call, true);
}

Value
jinja_m_swapcase(JinjaCall *call)
{
	return recase(call, false);
}

Value
jinja_m_join(JinjaCall *call)
{
	return jinja_join(&call->self, ARG(0), jinja_is_markup(&call->self));
}

static Value
strip(JinjaCall *call, bool left, bool right)
{
	Value		chars;

	if (!GIVEN(0) || ARG(0)->kind == VALUE_NULL)
		return jinja_strip(&call->self, NULL, left, right);
	chars = text_arg(call, 0);
	return jinja_strip(&call->self, &chars, left, right);
}

Value
jinja_m_strip(JinjaCall *call)
{
	return strip(call, true, true);
}

Value
jinja_m_lstrip(JinjaCall *call)
{
	return strip(call, true, false);
}

Value
jinja_m_rstrip(JinjaCall *call)
{
	return strip(call, false, true);
}

static Value
partition(JinjaCall *call, bool last)
{
	Value		separator = text_arg(call, 0);
	Value		parts[3];
	const char *s = call->self.u.string.data;
	int64		at;

	if (separator.u.string.len == 0)
		expr_fail("a separator is empty");
	at = jinja_find(&call->self, &separator, 0, call->self.u.string.len, last);
	if (at < 0)
	{
		parts[last ? 2 : 0] = call->self;
		parts[1] = parts[last ? 0 : 2] = give(call, value_cstring(""));
		return value_list_of(parts, 3);
	}
	parts[0] = give(call, value_string(s, at));
	parts[1] = separator;
	parts[2] = give(call, value_string(s + at + separator.u.string.len,
									   call->self.u.string.len - at - separator.u.string.len));
	return value_list_of(parts, 3);
}

Value
jinja_m_partition(JinjaCall *call)
{
	return partition(call, false);
}

Value
jinja_m_rpartition(JinjaCall *call)
{
	return partition(call, true);
}

Value
jinja_m_replace(JinjaCall *call)
{
	Value		old = text_arg(call, 0);
	Value		new = text_arg(call, 1);

	return jinja_replace(&call->self, &old, &new, jinja_int_arg(call, 2, -1));
}

Value
jinja_m_split(JinjaCall *call)
{
	return jinja_split(&call->self, GIVEN(0) ? ARG(0) : NULL, jinja_int_arg(call, 1, -1), false);
}

Value
jinja_m_rsplit(JinjaCall *call)
{
	return jinja_split(&call->self, GIVEN(0) ? ARG(0) : NULL, jinja_int_arg(call, 1, -1), true);
}

Value
jinja_m_splitlines(JinjaCall *call)
{
	if (GIVEN(0) && !value_is_integer(ARG(0)))
		expr_fail("splitlines() takes true or false, not %s", jinja_kind_name(ARG(0)));
	return jinja_split_lines(&call->self, jinja_flag_arg(call, 0, false));
}
