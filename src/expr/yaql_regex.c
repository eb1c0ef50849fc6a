/*
 * yaql_regex.c
 *		YAQL's regular expressions.
 */
#include "postgres.h"

#include "expr/regex.h"
#include "expr/yaql_lib.h"

static Value
regex_value(Regex *re)
{
	return value_object(VALUE_REGEX, 0, re);
}

/* A pattern given as text; the last one is kept, since it is often the same. */
static Regex *
pattern(Eval *ev, const Value *v)
{
	Regex	   *last = ev->regex;

	if (v->kind == VALUE_REGEX)
		return v->u.object;
	if (last == NULL || last->given != 0 || last->len != v->u.string.len ||
		memcmp(last->pattern, v->u.string.data, last->len) != 0)
		last = ev->regex = regex_compile(v->u.string.data, v->u.string.len, 0);
	return last;
}

Value
yaql_regex(YaqlCall *call)
{
	int			flags = REGEX_UNICODE;

	if (value_truth(ARG(1)))
		flags |= REGEX_IGNORE_CASE;
	if (value_truth(ARG(2)))
		flags |= REGEX_MULTI_LINE;
	if (value_truth(ARG(3)))
		flags |= REGEX_DOT_ALL;
	return regex_value(regex_compile(ARG(0)->u.string.data, ARG(0)->u.string.len, flags));
}

Value
yaql_match_operator(YaqlCall *call)
{
	return value_bool(regex_matches(pattern(call->ev, ARG(1)), ARG(0)->u.string.data, ARG(0)->u.string.len));
}

Value
yaql_no_match_operator(YaqlCall *call)
{
	return value_bool(!regex_matches(pattern(call->ev, ARG(1)), ARG(0)->u.string.data, ARG(0)->u.string.len));
}

Value
yaql_matches_regex(YaqlCall *call)
{
	return value_bool(regex_matches(ARG(0)->u.object, ARG(1)->u.string.data, ARG(1)->u.string.len));
}

Value
yaql_is_regex(YaqlCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_REGEX);
}

Value
yaql_escape_regex(YaqlCall *call)
{
	StringInfoData out;

	initStringInfo(&out);
	regex_escape(&out, ARG(0)->u.string.data, ARG(0)->u.string.len);
	return value_text(&out);
}

/* {value, start, end} of a group; positions in characters. */
static Value
match_record(const Value *text, const RegexMatch *match, int group)
{
	const char *s = text->u.string.data;
	int			from = match->offsets[group * 2];
	int			to = match->offsets[group * 2 + 1];
	Value		record = value_dict_new();

	value_dict_put(&record, value_cstring("value"), from < 0 ? value_null() : value_string(s + from, to - from));
	value_dict_put(&record, value_cstring("start"), value_int(from < 0 ? -1 : text_length(s, from)));
	value_dict_put(&record, value_cstring("end"), value_int(from < 0 ? -1 : text_length(s, to)));
	record.flags |= VALUE_F_MUTABLE;
	return record;
}

/* The selector's value for a match: $ is the whole match, $2 and so on the groups. */
static Value
select_match(Eval *ev, Frame *parent, Regex *re, const Value *text, const RegexMatch *match, const Value *selector)
{
	Frame	   *frame = yaql_frame(parent);

	if (re->named)
		expr_fail("a selector cannot be used with named groups");
	for (int i = 0; i < match->n; i++)
		yaql_set_argument(frame, i + 1, match_record(text, match, i));
	return yaql_call_lambda_in(ev, selector, frame);
}

static Value
whole_match(const Value *text, const RegexMatch *match)
{
	return value_string(text->u.string.data + match->offsets[0], match->offsets[1] - match->offsets[0]);
}

Value
yaql_search(YaqlCall *call)
{
	Regex	   *re = ARG(0)->u.object;
	RegexMatch	match;

	if (!regex_search(re, ARG(1)->u.string.data, ARG(1)->u.string.len, 0, false, &match))
		return value_null();
	if (!HAS(2))
		return whole_match(ARG(1), &match);
	return select_match(call->ev, call->frame, re, ARG(1), &match, ARG(2));
}

/* The next match from `at`; an empty one does not follow an empty one at the same place. */
static bool
next_match(Regex *re, const Value *text, int64 *at, bool *empty, RegexMatch *match)
{
	if (!regex_search(re, text->u.string.data, text->u.string.len, *at, *empty, match))
		return false;
	*at = match->offsets[1];
	*empty = match->offsets[0] == match->offsets[1];
	return true;
}

static bool
search_all_next(Iterator *base, Value *item)
{
	Lazy	   *it = (Lazy *) base;
	Regex	   *re = it->value.u.object;
	RegexMatch	match;

	if (!next_match(re, &it->list, &it->at, &it->started, &match))
		return false;
	if (it->selector.kind == VALUE_NULL)
		*item = whole_match(&it->list, &match);
	else
		*item = select_match(base->ev, it->frame, re, &it->list, &match, &it->selector);
	return true;
}

Value
yaql_search_all(YaqlCall *call)
{
	Lazy	   *it = yaql_lazy(call, search_all_next);

	it->value = *ARG(0);
	it->list = *ARG(1);
	it->selector = *ARG(2);
	return iterator_value(&it->base);
}

/* Regular expression and text in either order. */
static void
regex_and_text(YaqlCall *call, Regex **re, const Value **text)
{
	int			which = ARG(0)->kind == VALUE_REGEX ? 0 : 1;

	*re = ARG(which)->u.object;
	*text = ARG(1 - which);
}

/* The parts between matches, with what groups matched. */
Value
yaql_split_regex(YaqlCall *call)
{
	Regex	   *re;
	const Value *text;
	int64		most = yaql_int_arg(call, 2);
	Value		list = value_list_new();
	int64		at = 0;
	int			from = 0;
	bool		empty = false;
	RegexMatch	match;

	regex_and_text(call, &re, &text);
	for (int64 n = 0; (most == 0 || n < most) && next_match(re, text, &at, &empty, &match); n++)
	{
		const char *s = text->u.string.data;

		eval_tick(call->ev);
		value_push(&list, value_string(s + from, match.offsets[0] - from));
		for (int i = 1; i < match.n; i++)
			value_push(&list, match.offsets[i * 2] < 0 ? value_null() :
					   value_string(s + match.offsets[i * 2], match.offsets[i * 2 + 1] - match.offsets[i * 2]));
		from = match.offsets[1];
	}
	value_push(&list, value_string(text->u.string.data + from, text->u.string.len - from));
	list.flags |= VALUE_F_MUTABLE;
	return list;
}

/* Replaces matches by a template, or by what a selector gives. */
static Value
substitute(YaqlCall *call, bool by)
{
	Regex	   *re;
	const Value *text;
	int64		most = yaql_int_arg(call, 3);
	StringInfoData out;
	int64		at = 0;
	int			from = 0;
	bool		empty = false;
	RegexMatch	match;

	regex_and_text(call, &re, &text);
	if (!by)
		regex_check_template(re, ARG(2)->u.string.data, ARG(2)->u.string.len);
	initStringInfo(&out);
	for (int64 n = 0; (most == 0 || n < most) && next_match(re, text, &at, &empty, &match); n++)
	{
		const char *s = text->u.string.data;

		eval_tick(call->ev);
		if (out.len > EVAL_MAX_LENGTH)
			expr_limit("a text grows too long");
		appendBinaryStringInfo(&out, s + from, match.offsets[0] - from);
		if (by)
		{
			Value		value = select_match(call->ev, call->frame, re, text, &match, ARG(2));

			if (value.kind != VALUE_STRING && value.kind != VALUE_NULL)
				expr_fail("replaceBy() replaces by strings, not by %s", value_kind_name(&value));
			if (value.kind == VALUE_STRING)
			{
				expr_reserve(value.u.string.len);
				appendBinaryStringInfo(&out, value.u.string.data, value.u.string.len);
			}
		}
		else
			regex_expand(re, &out, ARG(2)->u.string.data, ARG(2)->u.string.len, s, &match);
		from = match.offsets[1];
	}
	appendBinaryStringInfo(&out, text->u.string.data + from, text->u.string.len - from);
	return value_text(&out);
}

Value
yaql_replace_regex(YaqlCall *call)
{
	return substitute(call, false);
}

Value
yaql_replace_by(YaqlCall *call)
{
	return substitute(call, true);
}
