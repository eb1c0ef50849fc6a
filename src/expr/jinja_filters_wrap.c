/*
 * jinja_filters_wrap.c
 *		Filters that look at words: wordwrap and urlize.
 */
#include "postgres.h"

#include "expr/jinja.h"
#include "expr/regex.h"

/* Where Python's textwrap may break a line. */
#define BLANKS "\\t\\n\\x0b\\x0c\\r "
#define BREAKS_WITH_HYPHENS \
	"[" BLANKS "]+" \
	"|(?<=[\\w!\"'&.,?])-{2,}(?=\\w)" \
	"|[^" BLANKS "]+?(?:" \
	"-(?:(?<=[^\\d\\W]{2}-)|(?<=[^\\d\\W]-[^\\d\\W]-))(?=[^\\d\\W]-?[^\\d\\W])" \
	"|(?=[" BLANKS "]|\\Z)" \
	"|(?<=[\\w!\"'&.,?])(?=-{2,}\\w))"
#define BREAKS "[" BLANKS "]+|[^" BLANKS "]+"

typedef struct Wrapper
{
	Regex	   *breaks;
	int64		width;
	bool		break_long;
	bool		break_hyphens;
	Value		chunks;			/* those that wait, the next one last */
	Value		lines;
} Wrapper;

static bool
is_blank(const Value *text)
{
	Value		rest = jinja_strip(text, NULL, true, true);

	return rest.u.string.len == 0;
}

static int64
length(const Value *text)
{
	return text_length(text->u.string.data, text->u.string.len);
}

/* The pieces of a line, in reverse. */
static void
split_chunks(Wrapper *w, const Value *line)
{
	Value		forward = value_list_new();
	ListObject *list = forward.u.object;
	RegexMatch	match;
	int			at = 0;
	const char *s = line->u.string.data;

	while (at < line->u.string.len && regex_search(w->breaks, s, line->u.string.len, at, false, &match))
	{
		if (match.offsets[0] > at)
			value_push(&forward, value_string(s + at, match.offsets[0] - at));
		if (match.offsets[1] == match.offsets[0])
			break;
		value_push(&forward, value_string(s + match.offsets[0], match.offsets[1] - match.offsets[0]));
		at = match.offsets[1];
	}
	if (at < line->u.string.len)
		value_push(&forward, value_string(s + at, line->u.string.len - at));
	w->chunks = value_list_new();
	for (int i = list->n - 1; i >= 0; i--)
		value_push(&w->chunks, list->items[i]);
}

/* A chunk too long for any line: its beginning goes on this one, or it has a line of its own. */
static void
long_chunk(Wrapper *w, Value *current, int64 room)
{
	ListObject *chunks = w->chunks.u.object;
	Value	   *chunk = &chunks->items[chunks->n - 1];
	int64		take = w->width < 1 ? 1 : room;

	if (!w->break_long)
	{
		if (((ListObject *) current->u.object)->n == 0)
		{
			value_push(current, *chunk);
			chunks->n--;
		}
		return;
	}
	if (w->break_hyphens && length(chunk) > take)
	{
		Value		head = jinja_substring(chunk, 0, take);
		Value		hyphen = value_cstring("-");
		int64		at = jinja_find(&head, &hyphen, 0, head.u.string.len, true);

		for (int64 i = 0; at > 0 && i < at; i++)
		{
			if (head.u.string.data[i] != '-')
			{
				take = length(&head) - text_length(head.u.string.data + at + 1, head.u.string.len - at - 1);
				break;
			}
		}
	}
	value_push(current, jinja_substring(chunk, 0, take));
	*chunk = jinja_substring(chunk, take, length(chunk));
}

static void
wrap_line(Wrapper *w, const Value *line)
{
	ListObject *chunks;
	Value		empty = value_cstring("");
	int64		before = value_list_length(&w->lines);

	split_chunks(w, line);
	chunks = w->chunks.u.object;
	while (chunks->n)
	{
		Value		current = value_list_new();
		ListObject *words = current.u.object;
		int64		used = 0;

		expr_tick();
		if (value_list_length(&w->lines) > before && is_blank(&chunks->items[chunks->n - 1]))
			chunks->n--;
		while (chunks->n && used + length(&chunks->items[chunks->n - 1]) <= w->width)
		{
			used += length(&chunks->items[chunks->n - 1]);
			value_push(&current, chunks->items[--chunks->n]);
		}
		if (chunks->n && length(&chunks->items[chunks->n - 1]) > w->width)
			long_chunk(w, &current, w->width - used);
		if (words->n && is_blank(&words->items[words->n - 1]))
			words->n--;
		if (words->n)
			value_push(&w->lines, jinja_join(&empty, &current, false));
	}
}

Value
jinja_wordwrap(JinjaCall *call)
{
	Value		text = jinja_text_of(ARG(0), "what is wrapped");
	Value		separator = GIVEN(3) && ARG(3)->kind != VALUE_NULL ? jinja_text_of(ARG(3), "the end of a line") :
		value_cstring("\n");
	Value		lines = jinja_split_lines(&text, false);
	ListObject *list = lines.u.object;
	Wrapper		w = {.width = jinja_int_arg(call, 1, 79)};
	const char *pattern;
	Value		paragraphs = value_list_new();

	w.break_long = jinja_flag_arg(call, 2, true);
	w.break_hyphens = jinja_flag_arg(call, 4, true);
	pattern = w.break_hyphens ? BREAKS_WITH_HYPHENS : BREAKS;
	w.breaks = regex_compile(pattern, strlen(pattern), 0);
	if (w.width <= 0 && list->n > 0)
		expr_fail("the width of wordwrap must be positive");
	for (int i = 0; i < list->n; i++)
	{
		w.lines = value_list_new();
		wrap_line(&w, &list->items[i]);
		value_push(&paragraphs, jinja_join(&separator, &w.lines, false));
	}
	return jinja_join(&separator, &paragraphs, false);
}

#define HTTP_PATTERN \
	"^((https?://|www\\.)(([\\w%-]+\\.)+)?(" \
	"[a-z]{2,63}|xn--[\\w%]{2,59})" \
	"|([\\w%-]{2,63}\\.)+(com|net|int|edu|gov|org|info|mil)" \
	"|(https?://)((([\\d]{1,3})(\\.[\\d]{1,3}){3})|(\\[([\\da-f]{0,4}:){2}([\\da-f]{0,4}:?){1,6}])))" \
	"(?::[\\d]{1,5})?(?:[/?#]\\S*)?\\Z"
#define EMAIL_PATTERN "^\\S+@\\w[\\w.-]*\\.\\w+$"

typedef struct Urlizer
{
	Regex	   *http;
	Regex	   *email;
	Regex	   *head;
	Regex	   *tail;
	int64		limit;			/* -1: none */
	Value		attributes;
	Value		schemes;		/* list, or null */
} Urlizer;

static Regex *
compile(const char *pattern, int flags)
{
	return regex_compile(pattern, strlen(pattern), flags);
}

static bool
starts(const Value *text, const char *with)
{
	int			n = strlen(with);

	return text->u.string.len >= n && memcmp(text->u.string.data, with, n) == 0;
}

static bool
ends(const Value *text, const char *with)
{
	int			n = strlen(with);

	return text->u.string.len >= n && memcmp(text->u.string.data + text->u.string.len - n, with, n) == 0;
}

static int
occurrences(const Value *text, const char *part)
{
	Value		sub = value_cstring(part);
	int64		at = 0;
	int			n = 0;

	while ((at = jinja_find(text, &sub, at, text->u.string.len, false)) >= 0)
	{
		at += sub.u.string.len;
		n++;
	}
	return n;
}

/* A bracket that the address itself opened belongs to it. */
static void
balance(Value *middle, Value *tail, const char *open, const char *close)
{
	int			opened = occurrences(middle, open);
	Value		closing = value_cstring(close);

	if (opened <= occurrences(middle, close))
		return;
	for (int i = Min(opened, occurrences(tail, close)); i > 0; i--)
	{
		int64		at = jinja_find(tail, &closing, 0, tail->u.string.len, false) + closing.u.string.len;

		/* They stand side by side in the text. */
		middle->u.string.len += at;
		tail->u.string.data += at;
		tail->u.string.len -= at;
	}
}

static void
put(StringInfo out, const Value *text)
{
	appendBinaryStringInfo(out, text->u.string.data, text->u.string.len);
}

static void
put_link(StringInfo out, const Urlizer *u, const char *prefix, const Value *address, bool attributes, bool trimmed)
{
	Value		shown = *address;

	appendStringInfo(out, "<a href=\"%s", prefix);
	put(out, address);
	appendStringInfoChar(out, '"');
	if (attributes)
		put(out, &u->attributes);
	appendStringInfoChar(out, '>');
	if (trimmed && u->limit >= 0 && length(address) > u->limit)
		shown = jinja_substring(address, 0, u->limit);
	put(out, &shown);
	appendStringInfoString(out, shown.u.string.len < address->u.string.len ? "...</a>" : "</a>");
}

static void
urlize_address(StringInfo out, Urlizer *u, const Value *middle)
{
	const char *s = middle->u.string.data;
	int			len = middle->u.string.len;

	if (regex_matches(u->http, s, len))
	{
		put_link(out, u, starts(middle, "https://") || starts(middle, "http://") ? "" : "https://", middle, true, true);
		return;
	}
	if (starts(middle, "mailto:") && regex_matches(u->email, s + 7, len - 7))
	{
		Value		address = value_string(s + 7, len - 7);

		put_link(out, u, "mailto:", &address, false, false);
		return;
	}
	if (memchr(s, '@', len) && !starts(middle, "www.") && !memchr(s, ':', len) && regex_matches(u->email, s, len))
	{
		put_link(out, u, "mailto:", middle, false, false);
		return;
	}
	if (u->schemes.kind == VALUE_LIST)
	{
		ListObject *list = value_list_object(&u->schemes);

		for (int i = 0; i < list->n; i++)
		{
			char	   *scheme = pnstrdup(list->items[i].u.string.data, list->items[i].u.string.len);

			if (starts(middle, scheme) && len != strlen(scheme))
			{
				put_link(out, u, "", middle, true, false);
				return;
			}
		}
	}
	put(out, middle);
}

static void
urlize_word(StringInfo out, Urlizer *u, Value word)
{
	RegexMatch	match;
	Value		tail = value_string(word.u.string.data + word.u.string.len, 0);
	static const char *const closers[] = {")", ">", ".", ",", "\n", "&gt;"};

	if (regex_search(u->head, word.u.string.data, word.u.string.len, 0, false, &match))
	{
		appendBinaryStringInfo(out, word.u.string.data, match.offsets[1]);
		word.u.string.data += match.offsets[1];
		word.u.string.len -= match.offsets[1];
	}
	for (int i = 0; i < lengthof(closers); i++)
	{
		if (ends(&word, closers[i]))
		{
			if (regex_search(u->tail, word.u.string.data, word.u.string.len, 0, false, &match))
			{
				tail = value_string(word.u.string.data + match.offsets[0], word.u.string.len - match.offsets[0]);
				word.u.string.len = match.offsets[0];
			}
			break;
		}
	}
	balance(&word, &tail, "(", ")");
	balance(&word, &tail, "<", ">");
	balance(&word, &tail, "&lt;", "&gt;");
	urlize_address(out, u, &word);
	put(out, &tail);
}

/* rel and target, as they stand in every link. */
static Value
link_attributes(JinjaCall *call)
{
	StringInfoData out;
	Value		words = value_list_new();
	Value		unique = value_set_new();
	Value		blank = value_cstring(" ");
	DictObject *set = unique.u.object;

	initStringInfo(&out);
	if (GIVEN(4) && ARG(4)->kind != VALUE_NULL)
	{
		Value		rel = jinja_text_of(ARG(4), "rel");

		words = jinja_split(&rel, NULL, -1, false);
	}
	if (jinja_flag_arg(call, 2, false))
		value_push(&words, value_cstring("nofollow"));
	value_push(&words, value_cstring("noopener"));
	for (int i = 0; i < value_list_length(&words); i++)
		dict_object_put(set, value_list_item(&words, i), value_null());
	words = value_collect(&unique);
	jinja_sort(((ListObject *) words.u.object)->items, ((ListObject *) words.u.object)->items, set->n, false);
	words = jinja_join(&blank, &words, false);
	words = jinja_escape(&words);
	appendStringInfoString(&out, " rel=\"");
	put(&out, &words);
	appendStringInfoChar(&out, '"');
	if (GIVEN(3) && ARG(3)->kind != VALUE_NULL)
	{
		Value		target = jinja_escape(ARG(3));

		appendStringInfoString(&out, " target=\"");
		put(&out, &target);
		appendStringInfoChar(&out, '"');
	}
	return value_text(&out);
}

Value
jinja_urlize(JinjaCall *call)
{
	Value		text = jinja_escape(ARG(0));
	const char *s = text.u.string.data;
	const char *end = s + text.u.string.len;
	Urlizer		u = {.limit = -1};
	StringInfoData out;

	u.http = compile(HTTP_PATTERN, REGEX_IGNORE_CASE);
	u.email = compile(EMAIL_PATTERN, 0);
	u.head = compile("\\A([(<]|&lt;)+", 0);
	u.tail = compile("([)>.,\\n]|&gt;)+$", 0);
	u.attributes = link_attributes(call);
	u.schemes = value_null();
	if (GIVEN(1) && ARG(1)->kind != VALUE_NULL)
		u.limit = Max(jinja_int_arg(call, 1, 0), 0);
	if (GIVEN(5) && ARG(5)->kind != VALUE_NULL)
	{
		Regex	   *scheme = compile("^([\\w.+-]{2,}:(/){0,2})\\Z", 0);
		ListObject *list;

		u.schemes = jinja_collect(ARG(5));
		list = u.schemes.u.object;
		for (int i = 0; i < list->n; i++)
		{
			Value		name = jinja_text_of(&list->items[i], "a scheme");

			if (!regex_matches(scheme, name.u.string.data, name.u.string.len))
				expr_fail("a scheme for urlize is malformed");
		}
	}
	initStringInfo(&out);
	while (s < end)
	{
		const char *from = s;
		bool		blank = char_is_space(s, char_length(s, end));

		eval_tick(&call->j->ev);
		expr_reserve(out.len);
		while (s < end && char_is_space(s, char_length(s, end)) == blank)
			s += char_length(s, end);
		if (blank)
			appendBinaryStringInfo(&out, from, s - from);
		else
			urlize_word(&out, &u, value_string(from, s - from));
	}
	text = value_text(&out);
	return call->j->autoescape ? jinja_markup(text) : text;
}
