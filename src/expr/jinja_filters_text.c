/*
 * jinja_filters_text.c
 *		Filters that give strings.
 */
#include "postgres.h"

#include <math.h>

#include "expr/jinja.h"
#include "expr/regex.h"

static bool
is_given(JinjaCall *call, int i)
{
	return GIVEN(i) && ARG(i)->kind != VALUE_NULL;
}

Value
jinja_string(JinjaCall *call)
{
	return jinja_soft_str(ARG(0));
}

Value
jinja_safe(JinjaCall *call)
{
	return jinja_markup(jinja_str(ARG(0)));
}

Value
jinja_escape_filter(JinjaCall *call)
{
	return jinja_escape(ARG(0));
}

Value
jinja_forceescape(JinjaCall *call)
{
	Value		text = jinja_str(ARG(0));

	return jinja_escape(&text);
}

Value
jinja_upper(JinjaCall *call)
{
	call->self = jinja_soft_str(ARG(0));
	return jinja_m_upper(call);
}

Value
jinja_lower(JinjaCall *call)
{
	call->self = jinja_soft_str(ARG(0));
	return jinja_m_lower(call);
}

Value
jinja_capitalize_filter(JinjaCall *call)
{
	Value		text = jinja_soft_str(ARG(0));

	return jinja_capitalize(&text);
}

Value
jinja_trim(JinjaCall *call)
{
	Value		text = jinja_soft_str(ARG(0));
	Value		chars;

	if (!is_given(call, 1))
		return jinja_strip(&text, NULL, true, true);
	chars = jinja_text_of(ARG(1), "what is trimmed");
	if (jinja_is_markup(&text))
		chars = jinja_escape(&chars);
	return jinja_strip(&text, &chars, true, true);
}

Value
jinja_center(JinjaCall *call)
{
	Value		text = jinja_soft_str(ARG(0));
	Value		blank = value_cstring(" ");

	return jinja_pad(&text, jinja_int_arg(call, 1, 80), &blank, 0);
}

/* Words begin after blanks, hyphens and opening brackets. */
Value
jinja_title(JinjaCall *call)
{
	Value		text = jinja_soft_str(ARG(0));
	const char *s = text.u.string.data;
	const char *end = s + text.u.string.len;
	bool		starts = true;
	StringInfoData out;

	initStringInfo(&out);
	while (s < end)
	{
		int			n = char_length(s, end);
		bool		between = char_is_space(s, n) || (*s != '\0' && strchr("-({[<", *s) != NULL);
		const char *word = s;
		Value		part;

		if (!between && !starts)
			while (s < end && !char_is_space(s, char_length(s, end)) && strchr("-({[<", *s) == NULL)
				s += char_length(s, end);
		else
			s += n;
		part = between ? value_string(word, s - word) :
			starts ? text_upper(word, s - word) : text_lower(word, s - word);
		starts = between;
		appendBinaryStringInfo(&out, part.u.string.data, part.u.string.len);
	}
	return jinja_as(&text, value_text(&out));
}

Value
jinja_replace_filter(JinjaCall *call)
{
	Value		text = jinja_soft_str(ARG(0));
	Value		old = jinja_soft_str(ARG(1));
	Value		new = jinja_soft_str(ARG(2));
	int64		most = is_given(call, 3) ? jinja_int_arg(call, 3, -1) : -1;

	if (!call->j->autoescape)
	{
		text = jinja_str(&text);
		return jinja_replace(&text, &old, &new, most);
	}
	if (jinja_is_markup(&old) || (jinja_is_markup(&new) && !jinja_is_markup(&text)))
		text = jinja_escape(&text);
	if (jinja_is_markup(&text))
	{
		old = jinja_escape(&old);
		new = jinja_escape(&new);
	}
	return jinja_replace(&text, &old, &new, most);
}

Value
jinja_format_filter(JinjaCall *call)
{
	Value		format = jinja_soft_str(ARG(0));
	Value		args;

	if (call->nrest && call->nkeywords)
		expr_fail("format takes arguments by position or by name, not both");
	if (call->nkeywords)
	{
		args = value_dict_new();
		for (int i = 0; i < call->nkeywords; i++)
			value_dict_put(&args, value_cstring(call->names[i]), call->values[i]);
	}
	else
		args = value_list_of(call->rest, call->nrest);
	return jinja_percent(&format, &args);
}

static void
append(StringInfo out, const Value *text)
{
	expr_reserve((Size) out->len + text->u.string.len);
	if (out->len > EVAL_MAX_LENGTH - text->u.string.len)
		expr_limit("a text grows too long");
	appendBinaryStringInfo(out, text->u.string.data, text->u.string.len);
}

Value
jinja_indent(JinjaCall *call)
{
	Value		text = jinja_text_of(ARG(0), "what is indented");
	Value		newline = value_cstring("\n");
	Value		indention;
	Value		blank = value_cstring(" ");
	Value		lines;
	ListObject *object;
	StringInfoData out;
	bool		blanks = jinja_flag_arg(call, 3, false);

	if (GIVEN(1) && ARG(1)->kind == VALUE_STRING)
		indention = *ARG(1);
	else
	{
		Value		width = value_int(jinja_int_arg(call, 1, 4));

		indention = jinja_binary(JINJA_MUL, &blank, &width);
	}
	if (jinja_is_markup(&text))
		indention = jinja_markup(indention);
	text = jinja_binary(JINJA_ADD, &text, &newline);
	lines = jinja_split_lines(&text, false);
	object = lines.u.object;
	initStringInfo(&out);
	for (int i = 0; i < object->n; i++)
	{
		if (i > 0)
			append(&out, &newline);
		if (i == 0 ? jinja_flag_arg(call, 2, false) : (blanks || object->items[i].u.string.len > 0))
			append(&out, &indention);
		append(&out, &object->items[i]);
	}
	return jinja_as(&text, value_text(&out));
}

Value
jinja_truncate(JinjaCall *call)
{
	Value		text = *ARG(0);
	int64		length = jinja_int_arg(call, 1, 255);
	Value		end = GIVEN(3) ? jinja_text_of(ARG(3), "the end of truncate") : value_cstring("...");
	int64		leeway = is_given(call, 4) ? jinja_int_arg(call, 4, 5) : 5;
	int64		keep;

	if (length < jinja_length(&end))
		expr_fail("the length of truncate is shorter than what it ends with");
	if (leeway < 0)
		expr_fail("the leeway of truncate is negative");
	if (jinja_length(&text) - length <= leeway)
		return text;
	(void) jinja_text_of(&text, "what is truncated");
	keep = length - jinja_length(&end);
	text = jinja_substring(&text, 0, keep);
	if (!jinja_flag_arg(call, 2, false))
	{
		Value		blank = value_cstring(" ");
		int64		at = jinja_find(&text, &blank, 0, text.u.string.len, true);

		if (at >= 0)
			text.u.string.len = at;
	}
	return jinja_binary(JINJA_ADD, &text, &end);
}

Value
jinja_wordcount(JinjaCall *call)
{
	Value		text = jinja_soft_str(ARG(0));
	const char *s = text.u.string.data;
	const char *end = s + text.u.string.len;
	bool		inside = false;
	int64		n = 0;

	for (; s < end; s += char_length(s, end))
	{
		bool		word = IS_HIGHBIT_SET(*s) ? regex_word(s, char_length(s, end)) :
			(*s >= '0' && *s <= '9') || ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z') || *s == '_';

		eval_tick(&call->j->ev);
		n += word && !inside ? 1 : 0;
		inside = word;
	}
	return value_int(n);
}

Value
jinja_filesizeformat(JinjaCall *call)
{
	static const char *const prefixes[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
	bool		binary = jinja_flag_arg(call, 1, false);
	double		base = binary ? 1024 : 1000;
	double		unit = base;
	double		bytes;

	if (value_is_number(ARG(0)))
		bytes = value_to_double(ARG(0));
	else if (ARG(0)->kind != VALUE_STRING ||
			 !number_parse_float(ARG(0)->u.string.data, ARG(0)->u.string.len, &bytes))
		expr_fail("filesizeformat takes a number, not %s", jinja_kind_name(ARG(0)));
	if (bytes == 1)
		return value_cstring("1 Byte");
	if (isnan(bytes) || bytes == -INFINITY)
		expr_fail("filesizeformat takes a finite number");
	if (bytes < base)
	{
		Value		whole = number_from_double(bytes);

		whole = value_to_string(&whole);
		return value_cstring(psprintf("%.*s Bytes", whole.u.string.len, whole.u.string.data));
	}
	for (int i = 0; i < lengthof(prefixes); i++)
	{
		unit *= base;
		if (bytes < unit || i == lengthof(prefixes) - 1)
			return value_cstring(psprintf("%.1f %s%sB", base * bytes / unit,
										  binary && i == 0 ? "K" : prefixes[i], binary ? "i" : ""));
	}
	pg_unreachable();
}

/* Everything but letters, digits, "_.-~" and, outside of queries, "/" as %XX. */
static void
append_quoted(StringInfo out, const Value *value, bool query)
{
	Value		text = jinja_str(value);

	for (int i = 0; i < text.u.string.len; i++)
	{
		unsigned char c = text.u.string.data[i];

		expr_tick();
		if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c != 0 && strchr("_.-~", c)) ||
			(c == '/' && !query))
			appendStringInfoChar(out, c);
		else if (c == ' ' && query)
			appendStringInfoChar(out, '+');
		else
			appendStringInfo(out, "%%%02X", c);
	}
}

Value
jinja_urlencode(JinjaCall *call)
{
	Value		pairs = *ARG(0);
	Iterator   *it;
	Value		item;
	StringInfoData out;
	bool		first = true;

	initStringInfo(&out);
	if (pairs.kind == VALUE_STRING || (!jinja_is_iterable(&pairs) && pairs.kind != VALUE_UNDEFINED))
	{
		append_quoted(&out, &pairs, false);
		return value_text(&out);
	}
	if (pairs.kind == VALUE_DICT)
		pairs = value_view_of(ARG(0), VALUE_F_ITEMS);
	it = jinja_iterate(&pairs);
	while (iterator_next(it, &item))
	{
		Value		pair = jinja_collect(&item);
		ListObject *object = pair.u.object;

		if (object->n != 2)
			expr_fail("urlencode takes pairs of a key and a value");
		if (!first)
			appendStringInfoChar(&out, '&');
		first = false;
		append_quoted(&out, &object->items[0], true);
		appendStringInfoChar(&out, '=');
		append_quoted(&out, &object->items[1], true);
	}
	return value_text(&out);
}

Value
jinja_xmlattr(JinjaCall *call)
{
	DictObject *dict;
	StringInfoData out;
	Value		text;

	if (ARG(0)->kind != VALUE_DICT)
		expr_fail("xmlattr takes a dict, not %s", jinja_kind_name(ARG(0)));
	dict = value_dict_object(ARG(0));
	initStringInfo(&out);
	for (int i = 0; i < dict->n; i++)
	{
		Value		key = dict->entries[i].key;
		Value		item = dict->entries[i].item;

		if (item.kind == VALUE_NULL || item.kind == VALUE_UNDEFINED)
			continue;
		(void) jinja_text_of(&key, "the name of an attribute");
		for (int k = 0; k < key.u.string.len; k++)
			if (key.u.string.data[k] != '\0' && strchr(" \t\n\r\f\v/>=", key.u.string.data[k]))
				expr_fail("the name of an attribute holds a character that it must not");
		key = jinja_escape(&key);
		item = jinja_escape(&item);
		if (out.len > 0 || jinja_flag_arg(call, 1, true))
			appendStringInfoChar(&out, ' ');
		append(&out, &key);
		appendStringInfoString(&out, "=\"");
		append(&out, &item);
		appendStringInfoChar(&out, '"');
	}
	text = value_text(&out);
	return call->j->autoescape ? jinja_markup(text) : text;
}

/* One character of an entity, appended; where the entity ends, or NULL when it is none. */
static const char *
decode_entity(StringInfo out, const char *s, const char *end)
{
	static const struct
	{
		const char *name;
		uint32		code;
	}			names[] = {
		{"apos;", '\''}, {"ndash;", 0x2013}, {"mdash;", 0x2014}, {"lsquo;", 0x2018}, {"rsquo;", 0x2019},
		{"ldquo;", 0x201c}, {"rdquo;", 0x201d}, {"bull;", 0x2022}, {"hellip;", 0x2026}, {"euro;", 0x20ac},
		{"trade;", 0x2122}, {"larr;", 0x2190}, {"uarr;", 0x2191}, {"rarr;", 0x2192}, {"darr;", 0x2193},
		{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}
	};
	/* From 0xa0 on; these and the last four above may lack their semicolon. */
	static const char *const latin[] = {
		"nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf",
		"laquo", "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para",
		"middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave",
		"Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc",
		"Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc",
		"Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN",
		"szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave",
		"eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve",
		"oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml",
		"yacute", "thorn", "yuml"
	};
	char	   *tail;

	if (s < end && *s == '#')
	{
		bool		hex = s + 1 < end && (s[1] | 0x20) == 'x';
		const char *digits = s + (hex ? 2 : 1);
		char	   *copy = pnstrdup(digits, Min(end - digits, 10));
		unsigned long code;

		if (strspn(copy, hex ? "0123456789abcdefABCDEF" : "0123456789") == 0)
			return NULL;
		code = strtoul(copy, &tail, hex ? 16 : 10);
		append_code_point(out, code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0xfffd : code);
		digits += tail - copy;
		return digits < end && *digits == ';' ? digits + 1 : digits;
	}
	for (int i = 0; i < lengthof(names); i++)
	{
		int			n = strlen(names[i].name);

		if (end - s >= n && memcmp(s, names[i].name, n) == 0)
		{
			append_code_point(out, names[i].code);
			return s + n + (s + n < end && s[n] == ';' ? 1 : 0);
		}
	}
	for (int i = 0; i < lengthof(latin); i++)
	{
		int			n = strlen(latin[i]);

		if (end - s >= n && memcmp(s, latin[i], n) == 0)
		{
			append_code_point(out, 0xa0 + i);
			return s + n + (s + n < end && s[n] == ';' ? 1 : 0);
		}
	}
	return NULL;
}

/* Without comments, tags and runs of blanks; entities become characters. */
Value
jinja_striptags(JinjaCall *call)
{
	Value		text = jinja_str(ARG(0));
	Value		blank = value_cstring(" ");
	Value		words;
	Value		empty = value_cstring("");
	Regex	   *comments = regex_compile("<!--.*?-->|<.*?>", strlen("<!--.*?-->|<.*?>"), REGEX_DOT_ALL);
	StringInfoData out;
	RegexMatch	match;
	int			at = 0;
	const char *s = text.u.string.data;
	const char *end;

	initStringInfo(&out);
	while (regex_search(comments, s, text.u.string.len, at, false, &match))
	{
		appendBinaryStringInfo(&out, s + at, match.offsets[0] - at);
		at = match.offsets[1];
	}
	appendBinaryStringInfo(&out, s + at, text.u.string.len - at);
	text = value_text(&out);
	words = jinja_split(&text, NULL, -1, false);
	text = jinja_join(&blank, &words, false);
	initStringInfo(&out);
	end = text.u.string.data + text.u.string.len;
	for (s = text.u.string.data; s < end;)
	{
		const char *after = *s == '&' ? decode_entity(&out, s + 1, end) : NULL;

		if (after == NULL)
			appendStringInfoChar(&out, *s);
		s = after ? after : s + 1;
	}
	text = value_text(&out);
	return text.u.string.len ? text : empty;
}
