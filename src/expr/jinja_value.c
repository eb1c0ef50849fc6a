/*
 * jinja_value.c
 *		Python's protocols as Jinja2 meets them: truth, text, length, iteration.
 */
#include "postgres.h"

#include "expr/jinja.h"

typedef struct TextIterator
{
	Iterator	base;
	const char *at;
	const char *end;
} TextIterator;

/* Raises what is undefined and must not be used. */
void
jinja_use(const Value *value)
{
	const char *what = value->u.object;

	if (value->kind != VALUE_UNDEFINED)
		return;
	if (value->flags & VALUE_F_MESSAGE)
		expr_fail("%s", what);
	if (what)
		expr_fail("\"%s\" is undefined", what);
	expr_fail("there is no such element");
}

/* The same where a value that is not strict stands for nothing. */
static void
use_strict(const Value *value)
{
	if (value->kind == VALUE_UNDEFINED && (value->flags & VALUE_F_STRICT))
		jinja_use(value);
}

const char *
jinja_kind_name(const Value *value)
{
	jinja_use(value);
	if (value->kind == VALUE_LIST && !(value->flags & VALUE_F_MUTABLE))
		return "a tuple";
	return value_kind_name(value);
}

Value
jinja_mutable(Value list)
{
	list.flags |= VALUE_F_MUTABLE;
	return list;
}

Value
jinja_tuple(Value list)
{
	list.flags &= ~(VALUE_F_MUTABLE | VALUE_F_DEEP);
	return list;
}

Value
jinja_markup(Value string)
{
	string.flags |= VALUE_F_MARKUP;
	return string;
}

bool
jinja_is_markup(const Value *value)
{
	return value->kind == VALUE_STRING && (value->flags & VALUE_F_MARKUP);
}

/* A text that is markup where `like` is. */
Value
jinja_as(const Value *like, Value text)
{
	return jinja_is_markup(like) ? jinja_markup(text) : text;
}

bool
jinja_truth(const Value *value)
{
	JinjaRange *range;

	use_strict(value);
	if (value->kind != VALUE_CALLABLE)
		return value_truth(value);
	range = (JinjaRange *) jinja_object(value, JINJA_OBJECT_RANGE);
	return range == NULL || range->length > 0;
}

Value
jinja_str(const Value *value)
{
	Value		text;

	if (value->kind == VALUE_UNDEFINED)
	{
		use_strict(value);
		return value_cstring("");
	}
	text = value_to_string(value);
	text.flags &= ~VALUE_F_MARKUP;
	return text;
}

Value
jinja_soft_str(const Value *value)
{
	return value->kind == VALUE_STRING ? *value : jinja_str(value);
}

Value
jinja_escape(const Value *value)
{
	Value		text = jinja_soft_str(value);
	StringInfoData out;

	if (jinja_is_markup(&text))
		return text;
	initStringInfo(&out);
	for (int i = 0; i < text.u.string.len; i++)
	{
		char		c = text.u.string.data[i];

		if (c == '&')
			appendStringInfoString(&out, "&amp;");
		else if (c == '<')
			appendStringInfoString(&out, "&lt;");
		else if (c == '>')
			appendStringInfoString(&out, "&gt;");
		else if (c == '"')
			appendStringInfoString(&out, "&#34;");
		else if (c == '\'')
			appendStringInfoString(&out, "&#39;");
		else
			appendStringInfoChar(&out, c);
	}
	return jinja_markup(value_text(&out));
}

bool
jinja_has_length(const Value *value)
{
	return value->kind == VALUE_STRING || value->kind == VALUE_LIST || value->kind == VALUE_DICT ||
		value->kind == VALUE_SET || value->kind == VALUE_DICT_VIEW ||
		(value->kind == VALUE_UNDEFINED && !(value->flags & VALUE_F_STRICT)) ||
		jinja_object(value, JINJA_OBJECT_RANGE);
}

int64
jinja_length(const Value *value)
{
	JinjaRange *range = (JinjaRange *) jinja_object(value, JINJA_OBJECT_RANGE);

	use_strict(value);
	switch (value->kind)
	{
		case VALUE_STRING:
			return text_length(value->u.string.data, value->u.string.len);
		case VALUE_LIST:
			return value_list_length(value);
		case VALUE_DICT:
			return value_dict_length(value);
		case VALUE_SET:
			return value_set_length(value);
		case VALUE_DICT_VIEW:
			return value_dict_length(value_view_dict(value));
		case VALUE_UNDEFINED:
			return 0;
		default:
			if (range)
				return range->length;
			expr_fail("%s has no length", jinja_kind_name(value));
	}
}

static bool
text_next(Iterator *base, Value *item)
{
	TextIterator *it = (TextIterator *) base;
	int			n;

	if (it->at >= it->end)
		return false;
	n = char_length(it->at, it->end);
	*item = value_string(it->at, n);
	it->at += n;
	return true;
}

bool
jinja_is_iterable(const Value *value)
{
	return value->kind == VALUE_STRING || value->kind == VALUE_DICT || value_is_iterable(value) ||
		(value->kind == VALUE_UNDEFINED && !(value->flags & VALUE_F_STRICT));
}

/* A walk over the elements of anything that has some: of a string its characters, of a dict its keys. */
Iterator *
jinja_iterate(const Value *value)
{
	if (value->kind == VALUE_STRING || value->kind == VALUE_UNDEFINED)
	{
		TextIterator *it = palloc0(sizeof(TextIterator));

		use_strict(value);
		it->base.next = text_next;
		it->base.ev = eval_current();
		if (value->kind == VALUE_STRING)
		{
			it->at = value->u.string.data;
			it->end = it->at + value->u.string.len;
		}
		return &it->base;
	}
	if (!jinja_is_iterable(value))
		expr_fail("%s cannot be iterated over", jinja_kind_name(value));
	return value_iterate(value);
}

Value
jinja_collect(const Value *value)
{
	return jinja_mutable(iterator_to_list(jinja_iterate(value)));
}

/* Element i of what has a length and an order; i is in range. */
Value
jinja_item_at(const Value *sequence, int64 i)
{
	JinjaRange *range = (JinjaRange *) jinja_object(sequence, JINJA_OBJECT_RANGE);

	if (range)
		return value_int(range->start + i * range->step);
	if (sequence->kind == VALUE_STRING)
		return jinja_substring(sequence, i, i + 1);
	return value_list_item(sequence, i);
}

static Value
finalize_dict(Jinja *j, const Value *value)
{
	DictObject *dict = value_dict_object(value);
	Value		result = value_dict_new();

	for (int i = 0; i < dict->n; i++)
	{
		Value		key = jinja_finalize(j, &dict->entries[i].key);

		/* A tuple becomes a list, and JSON has neither as a key. */
		if (key.kind == VALUE_LIST || key.kind == VALUE_DICT)
			expr_fail("%s cannot be stored as a key of JSON", value_kind_name(&key));
		eval_tick(&j->ev);
		value_dict_put(&result, key, jinja_finalize(j, &dict->entries[i].item));
	}
	return jinja_mutable(result);
}

/* The result as the outside sees it: lists for all that has elements, and nothing lazy. */
Value
jinja_finalize(Jinja *j, const Value *value)
{
	Value		result = *value;

	expr_check_depth();
	jinja_use(value);
	if ((value->flags & VALUE_F_JSONB) && (value->kind == VALUE_LIST || value->kind == VALUE_DICT))
	{
		result.flags |= VALUE_F_MUTABLE | VALUE_F_DEEP;
		return result;
	}
	if (value->kind == VALUE_STRING)
	{
		result.flags &= ~VALUE_F_MARKUP;
		return result;
	}
	if (value->kind == VALUE_DICT)
		return finalize_dict(j, value);
	if (value_is_iterable(value))
	{
		Iterator   *it = value_iterate(value);
		Value		item;

		result = value_list_new();
		while (iterator_next(it, &item))
			value_push(&result, jinja_finalize(j, &item));
		return jinja_mutable(result);
	}
	if (value->kind == VALUE_CALLABLE)
		expr_fail("%s is no value that can be kept", value_kind_name(value));
	return result;
}
