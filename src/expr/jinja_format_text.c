/*
 * jinja_format_text.c
 *		Python's "...".format(x).
 */
#include "postgres.h"

#include <ctype.h>

#include "expr/jinja.h"

/* The state of a .format() at work. */
typedef struct Fields
{
	JinjaCall  *call;
	int			next;			/* of automatic numbers, -1 when numbers are given */
	int			depth;
	bool		markup;
} Fields;

static bool
all_digits(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if (!isdigit((unsigned char) s[i]))
			return false;
	return len > 0 && len < 9;
}

static Value
first_of_field(Fields *f, const char *s, int len)
{
	int			n;

	if (len == 0 || all_digits(s, len))
	{
		if (len == 0 ? f->next < 0 : f->next > 0)
			expr_fail("a format mixes numbered and unnumbered places");
		if (len)
			f->next = -1;
		n = len ? atoi(pnstrdup(s, len)) : f->next++;
		if (n >= f->call->nrest)
			expr_fail("there are too few values for the format");
		return f->call->rest[n];
	}
	for (int i = 0; i < f->call->nkeywords; i++)
		if (strncmp(f->call->names[i], s, len) == 0 && f->call->names[i][len] == '\0')
			return f->call->values[i];
	expr_fail("a name in a format has no value");
}

/* name.attribute[item]..., by the rules of the sandbox. */
static Value
field_value(Fields *f, const char *s, int len)
{
	int			at = 0;
	Value		value;

	while (at < len && s[at] != '.' && s[at] != '[')
		at++;
	value = first_of_field(f, s, at);
	while (at < len)
	{
		int			from = ++at;

		if (s[from - 1] == '.')
		{
			while (at < len && s[at] != '.' && s[at] != '[')
				at++;
			value = jinja_getattr(&value, pnstrdup(s + from, at - from), at - from);
		}
		else if (s[from - 1] == '[')
		{
			Value		key;

			while (at < len && s[at] != ']')
				at++;
			if (at >= len || at == from)
				expr_fail("an index in a format is malformed");
			key = all_digits(s + from, at - from) ? value_int(atoi(pnstrdup(s + from, at - from))) :
				value_string(s + from, at - from);
			value = jinja_getitem(&value, &key);
			at++;
		}
		else
			expr_fail("a name in a format is malformed");
	}
	return value;
}

static void format_text(Fields *f, StringInfo out, const char *s, int len);

static void
format_field(Fields *f, StringInfo out, const char *s, int len)
{
	int			at = 0;
	int			name;
	char		conversion = 0;
	Value		value;
	StringInfoData spec;
	StringInfoData shown;

	while (at < len && s[at] != '!' && s[at] != ':')
	{
		if (s[at] == '[')
			while (at < len && s[at] != ']')
				at++;
		if (at < len)
			at++;
	}
	name = at;
	if (at < len && s[at] == '!')
	{
		if (at + 1 >= len || strchr("rsa", s[at + 1]) == NULL || (at + 2 < len && s[at + 2] != ':'))
			expr_fail("a conversion in a format is malformed");
		conversion = s[at + 1];
		at += 2;
	}
	value = field_value(f, s, name);
	if (conversion == 's')
		value = jinja_str(&value);
	else if (conversion)
		value = jinja_repr_of(&value, conversion == 'a');
	initStringInfo(&spec);
	if (at < len)
		format_text(f, &spec, s + at + 1, len - at - 1);
	initStringInfo(&shown);
	if (f->markup && jinja_is_markup(&value) && spec.len == 0)
		jinja_put(&shown, value.u.string.data, value.u.string.len);
	else
	{
		jinja_format_value(&shown, &value, spec.data, spec.len);
		if (f->markup)
		{
			Value		text = value_text(&shown);

			text = jinja_escape(&text);
			jinja_put(out, text.u.string.data, text.u.string.len);
			return;
		}
	}
	jinja_put(out, shown.data, shown.len);
}

/* Text with places in braces; in a place's format too, one level deep. */
static void
format_text(Fields *f, StringInfo out, const char *s, int len)
{
	if (++f->depth > 2)
		expr_fail("a format is nested too deeply");
	for (int at = 0; at < len;)
	{
		int			from = at;
		int			depth = 1;

		eval_tick(&f->call->j->ev);
		while (at < len && s[at] != '{' && s[at] != '}')
			at++;
		jinja_put(out, s + from, at - from);
		if (at >= len)
			break;
		if (at + 1 < len && s[at + 1] == s[at] && f->depth == 1)
		{
			jinja_put(out, s + at, 1);
			at += 2;
			continue;
		}
		if (s[at] == '}')
			expr_fail("a format has a brace that closes nothing");
		from = ++at;
		for (; at < len && depth > 0; at++)
			depth += s[at] == '{' ? 1 : s[at] == '}' ? -1 : 0;
		if (depth > 0)
			expr_fail("a format has a brace that is not closed");
		format_field(f, out, s + from, at - 1 - from);
	}
	f->depth--;
}

/* Python's str.format(); the arguments are those of the call. */
Value
jinja_format(JinjaCall *call, const Value *format)
{
	Fields		f = {.call = call,.markup = jinja_is_markup(format)};
	StringInfoData out;

	initStringInfo(&out);
	format_text(&f, &out, format->u.string.data, format->u.string.len);
	return value_text(&out);
}
