/*
 * yaql_strings.c
 *		YAQL's functions on texts; positions and lengths are in characters.
 */
#include "postgres.h"

#include "common/int.h"

#include "expr/yaql_lib.h"

#define DATA(i) (call->args[i].u.string.data)
#define LENGTH(i) (call->args[i].u.string.len)

Value
yaql_len_string(YaqlCall *call)
{
	return value_int(text_length(DATA(0), LENGTH(0)));
}

/* The text of a value: null, true and false in YAQL's words, all else in Python's. */
Value
yaql_str_value(const Value *value)
{
	if (value->kind == VALUE_NULL)
		return value_cstring("null");
	if (value->kind == VALUE_BOOL)
		return value_cstring(value->u.boolean ? "true" : "false");
	return value_to_string(value);
}

Value
yaql_str(YaqlCall *call)
{
	return yaql_str_value(ARG(0));
}

Value
yaql_concat_strings(YaqlCall *call)
{
	Size		size = 0;
	char	   *out;
	int			at = 0;

	for (int i = 0; i < call->nargs; i++)
		size = add_size(size, LENGTH(i));
	if (size > EVAL_MAX_LENGTH)
		expr_limit("a text grows too long");
	expr_reserve(size);
	out = palloc(size + 1);
	for (int i = 0; i < call->nargs; i++)
	{
		memcpy(out + at, DATA(i), LENGTH(i));
		at += LENGTH(i);
	}
	out[at] = '\0';
	return value_string(out, at);
}

Value
yaql_string_join(Iterator *it, const Value *separator)
{
	StringInfoData out;
	Value		item;
	bool		first = true;

	initStringInfo(&out);
	while (iterator_next(it, &item))
	{
		Value		text = yaql_str_value(&item);

		if ((Size) out.len + text.u.string.len + separator->u.string.len > EVAL_MAX_LENGTH)
			expr_limit("a text grows too long");
		expr_reserve((Size) text.u.string.len + separator->u.string.len);
		if (!first)
			appendBinaryStringInfo(&out, separator->u.string.data, separator->u.string.len);
		appendBinaryStringInfo(&out, text.u.string.data, text.u.string.len);
		first = false;
	}
	return value_text(&out);
}

Value
yaql_join(YaqlCall *call)
{
	return yaql_string_join(value_iterate(ARG(0)), ARG(1));
}

Value
yaql_join_by(YaqlCall *call)
{
	return yaql_string_join(value_iterate(ARG(1)), ARG(0));
}

Value
yaql_to_upper(YaqlCall *call)
{
	return text_upper(DATA(0), LENGTH(0));
}

Value
yaql_to_lower(YaqlCall *call)
{
	return text_lower(DATA(0), LENGTH(0));
}

/* Position in bytes of `sub` in s[from, to), or -1; the last one with `last`. */
static int
find(const char *s, int from, int to, const Value *sub, bool last)
{
	const char *needle = sub->u.string.data;
	int			n = sub->u.string.len;

	if (to - from < n)
		return -1;
	if (n == 0)
		return last ? to : from;
	if (!last)
	{
		char	   *p = memmem(s + from, to - from, needle, n);

		return p ? p - s : -1;
	}
	for (int i = to - n; i >= from; i--)
		if (s[i] == *needle && memcmp(s + i, needle, n) == 0)
			return i;
	return -1;
}

/* Python's find and rfind over characters start up to stop. */
static Value
find_between(YaqlCall *call, int64 start, int64 stop, bool last)
{
	const char *s = DATA(0);
	int			len = text_length(s, LENGTH(0));
	int			from;
	int			at;

	if (start < 0)
		start = Max(start + len, 0);
	if (stop < 0)
		stop = Max(stop + len, 0);
	stop = Min(stop, len);
	if (start > stop)
		return value_int(-1);
	from = text_offset(s, LENGTH(0), start);
	at = find(s, from, text_offset(s, LENGTH(0), stop), ARG(1), last);
	return value_int(at < 0 ? -1 : text_length(s, at));
}

Value
yaql_find(YaqlCall *call)
{
	return find_between(call, yaql_int_arg(call, 2), PG_INT64_MAX, false);
}

Value
yaql_find_last(YaqlCall *call)
{
	return find_between(call, yaql_int_arg(call, 2), PG_INT64_MAX, true);
}

static Value
find_within(YaqlCall *call, bool last)
{
	int64		start = yaql_int_arg(call, 2);
	int64		length = yaql_int_arg(call, 3);
	int			len = text_length(DATA(0), LENGTH(0));
	int64		stop;

	if (start < 0)
		start += len;
	if (length < 0)
		length = len - start;
	if (pg_add_s64_overflow(start, length, &stop))
		stop = PG_INT64_MAX;
	return find_between(call, start, stop, last);
}

Value
yaql_find_within(YaqlCall *call)
{
	return find_within(call, false);
}

Value
yaql_find_last_within(YaqlCall *call)
{
	return find_within(call, true);
}

Value
yaql_in_string(YaqlCall *call)
{
	return value_bool(find(DATA(1), 0, LENGTH(1), ARG(0), false) >= 0);
}

Value
yaql_substring(YaqlCall *call)
{
	const char *s = DATA(0);
	int64		start = yaql_int_arg(call, 1);
	int64		length = yaql_int_arg(call, 2);
	int			len = text_length(s, LENGTH(0));
	int64		stop;
	int			from;

	if (length < 0)
		length = len;
	if (start < 0)
		start += len;
	if (pg_add_s64_overflow(start, length, &stop))
		stop = PG_INT64_MAX;
	/* What is still negative counts from the end again, as in Python's slices. */
	if (start < 0)
		start = Max(start + len, 0);
	if (stop < 0)
		stop = Max(stop + len, 0);
	stop = Min(stop, len);
	if (start >= stop)
		return value_cstring("");
	from = text_offset(s, LENGTH(0), start);
	return value_string(s + from, text_offset(s + from, LENGTH(0) - from, stop - start));
}

static bool
in_chars(const char *s, int n, const Value *chars)
{
	const char *p = chars->u.string.data;
	const char *end = p + chars->u.string.len;

	if (chars->kind == VALUE_NULL)
		return char_is_space(s, n);
	while (p < end)
	{
		int			m = char_length(p, end);

		expr_tick();
		if (m == n && memcmp(p, s, n) == 0)
			return true;
		p += m;
	}
	return false;
}

static Value
trim(const Value *text, const Value *chars, bool left, bool right)
{
	const char *s = text->u.string.data;
	const char *end = s + text->u.string.len;
	const char *last = s;		/* after the last character that stays */

	while (left && s < end && in_chars(s, char_length(s, end), chars))
	{
		expr_tick();
		s += char_length(s, end);
	}
	if (!right)
		return value_string(s, end - s);
	for (const char *p = last = s; p < end;)
	{
		int			n = char_length(p, end);

		expr_tick();
		if (!in_chars(p, n, chars))
			last = p + n;
		p += n;
	}
	return value_string(s, last - s);
}

Value
yaql_trim(YaqlCall *call)
{
	return trim(ARG(0), ARG(1), true, true);
}

Value
yaql_trim_left(YaqlCall *call)
{
	return trim(ARG(0), ARG(1), true, false);
}

Value
yaql_trim_right(YaqlCall *call)
{
	return trim(ARG(0), ARG(1), false, true);
}

Value
yaql_norm(YaqlCall *call)
{
	Value		text;

	if (!HAS(0))
		return value_null();
	text = trim(ARG(0), ARG(1), true, true);
	return text.u.string.len ? text : value_null();
}

Value
yaql_is_empty(YaqlCall *call)
{
	Value		text = *ARG(0);

	if (!HAS(0))
		return value_bool(true);
	if (value_truth(ARG(1)))
		text = trim(ARG(0), ARG(2), true, true);
	return value_bool(text.u.string.len == 0);
}

Value
yaql_is_string(YaqlCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_STRING);
}

static bool
has_affix(YaqlCall *call, bool end)
{
	for (int i = 1; i < call->nargs; i++)
		if (LENGTH(i) <= LENGTH(0) &&
			memcmp(DATA(0) + (end ? LENGTH(0) - LENGTH(i) : 0), DATA(i), LENGTH(i)) == 0)
			return true;
	return false;
}

Value
yaql_starts_with(YaqlCall *call)
{
	return value_bool(has_affix(call, false));
}

Value
yaql_ends_with(YaqlCall *call)
{
	return value_bool(has_affix(call, true));
}

static Value
mutable(Value list)
{
	list.flags |= VALUE_F_MUTABLE;
	return list;
}

static Value
split_by(YaqlCall *call, int64 most)
{
	Value		list = value_list_new();
	int			at = 0;
	int			next;

	if (LENGTH(1) == 0)
		expr_fail("the separator is empty");
	while (most != 0 && (next = find(DATA(0), at, LENGTH(0), ARG(1), false)) >= 0)
	{
		eval_tick(call->ev);
		value_push(&list, value_string(DATA(0) + at, next - at));
		at = next + LENGTH(1);
		most--;
	}
	value_push(&list, value_string(DATA(0) + at, LENGTH(0) - at));
	return mutable(list);
}

/* At runs of blanks; the last part keeps its inner ones. */
static Value
split_blanks(YaqlCall *call, int64 most)
{
	Value		list = value_list_new();
	Value		blanks = value_null();
	Value		rest = trim(ARG(0), &blanks, true, false);
	const char *s = rest.u.string.data;
	const char *end = s + rest.u.string.len;

	while (s < end)
	{
		const char *p = s;

		eval_tick(call->ev);
		if (most-- == 0)
		{
			rest = value_string(s, end - s);
			value_push(&list, trim(&rest, &blanks, false, true));
			break;
		}
		while (p < end && !char_is_space(p, 1))
			p += char_length(p, end);
		value_push(&list, value_string(s, p - s));
		while (p < end && char_is_space(p, 1))
			p += char_length(p, end);
		s = p;
	}
	return mutable(list);
}

Value
yaql_split(YaqlCall *call)
{
	int64		most = yaql_int_arg(call, 2);

	return HAS(1) ? split_by(call, most) : split_blanks(call, most);
}

static Value
reversed(const Value *list)
{
	ListObject *object = list->u.object;
	Value		result = value_list_sized(object->n);

	for (int i = object->n - 1; i >= 0; i--)
		value_push(&result, object->items[i]);
	return mutable(result);
}

/* The same from the end. */
Value
yaql_right_split(YaqlCall *call)
{
	int64		most = yaql_int_arg(call, 2);
	Value		list = value_list_new();
	int			end = LENGTH(0);
	int			at;

	if (!HAS(1))
	{
		Value		blanks = value_null();
		Value		parts = split_blanks(call, -1);
		ListObject *all = parts.u.object;
		int64		n = most < 0 ? all->n : Min(most, all->n);
		Value		head;

		if (n == all->n)
			return parts;
		for (int i = all->n - 1; i >= all->n - n; i--)
			value_push(&list, all->items[i]);
		/* What is left of them, from the first part up to the end of the last that stays together. */
		head = value_string(DATA(0), all->items[all->n - n - 1].u.string.data +
							all->items[all->n - n - 1].u.string.len - DATA(0));
		value_push(&list, trim(&head, &blanks, false, true));
		return reversed(&list);
	}
	if (LENGTH(1) == 0)
		expr_fail("the separator is empty");
	while (most != 0 && (at = find(DATA(0), 0, end, ARG(1), true)) >= 0)
	{
		eval_tick(call->ev);
		value_push(&list, value_string(DATA(0) + at + LENGTH(1), end - at - LENGTH(1)));
		end = at;
		most--;
	}
	value_push(&list, value_string(DATA(0), end));
	return reversed(&list);
}

/* Python's str.replace: an empty `old` is found before every character and at the end. */
static Value
replace(Eval *ev, const Value *text, const Value *old, const Value *new, int64 most)
{
	StringInfoData out;
	const char *s = text->u.string.data;
	int			len = text->u.string.len;
	int			at = 0;

	initStringInfo(&out);
	while (most != 0)
	{
		int			next = find(s, at, len, old, false);

		if (next < 0)
			break;
		eval_tick(ev);
		if ((Size) out.len + new->u.string.len + len > EVAL_MAX_LENGTH)
			expr_limit("a text grows too long");
		expr_reserve((Size) new->u.string.len + next - at);
		appendBinaryStringInfo(&out, s + at, next - at);
		appendBinaryStringInfo(&out, new->u.string.data, new->u.string.len);
		at = next + old->u.string.len;
		most--;
		if (old->u.string.len == 0)
		{
			int			n;

			if (at >= len)
				break;
			n = char_length(s + at, s + len);
			appendBinaryStringInfo(&out, s + at, n);
			at += n;
		}
	}
	appendBinaryStringInfo(&out, s + at, len - at);
	return value_text(&out);
}

Value
yaql_replace_string(YaqlCall *call)
{
	return replace(call->ev, ARG(0), ARG(1), ARG(2), yaql_int_arg(call, 3));
}

/* One replacement after the other, in the dict's order. */
Value
yaql_replace_by_dict(YaqlCall *call)
{
	DictObject *dict = value_dict_object(ARG(1));
	Value		text = *ARG(0);

	for (int i = 0; i < dict->n; i++)
	{
		Value		old = yaql_str_value(&dict->entries[i].key);
		Value		new = yaql_str_value(&dict->entries[i].item);

		text = replace(call->ev, &text, &old, &new, yaql_int_arg(call, 2));
	}
	return text;
}

static void
push_characters(Value *list, const char *s, int len)
{
	const char *end = s + len;

	while (s < end)
	{
		int			n = char_length(s, end);

		expr_tick();
		value_push(list, value_string(s, n));
		s += n;
	}
}

Value
yaql_to_char_array(YaqlCall *call)
{
	Value		list = value_list_new();

	push_characters(&list, DATA(0), LENGTH(0));
	return list;
}

Value
yaql_characters(YaqlCall *call)
{
	static const char *const sets[] = {
		"0123456789", "0123456789abcdefABCDEF", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", NULL, "01234567",
		"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\n\r\v\f",
		NULL, NULL, " \t\n\r\v\f"
	};
	Value		list = value_list_new();
	Value		distinct;
	Value		result = value_list_new();
	DictObject *set;

	for (int i = 0; i < lengthof(sets); i++)
	{
		if (!value_truth(ARG(i)))
			continue;
		if (sets[i] == NULL)
			expr_fail("characters() has no set of that name any more; use asciiLetters, asciiLowercase or asciiUppercase");
		push_characters(&list, sets[i], strlen(sets[i]));
	}
	distinct = yaql_set_from(&list);
	set = distinct.u.object;
	for (int i = 0; i < set->n; i++)
		value_push(&result, set->entries[i].key);
	return result;
}
