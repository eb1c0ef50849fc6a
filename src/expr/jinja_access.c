/*
 * jinja_access.c
 *		Attributes, items and slices.
 *
 * a.b is Python's attribute first and the item second, a[b] the other way
 * round.  What starts with two underscores is no attribute here: the sandbox
 * would give it out as undefined anyway.
 */
#include "postgres.h"

#include "expr/jinja.h"

#define JINJA_METHOD(types, name, implementation, signature) {name, implementation, signature, types},
static const JinjaFunction methods[] = {
#include "expr/jinja_method_list.h"
};
#undef JINJA_METHOD

static uint32
type_of(const Value *value)
{
	switch (value->kind)
	{
		case VALUE_STRING:
			return JINJA_TYPE_STRING;
		case VALUE_LIST:
			return value->flags & VALUE_F_MUTABLE ? JINJA_TYPE_LIST : JINJA_TYPE_TUPLE;
		case VALUE_DICT:
			return JINJA_TYPE_DICT;
		case VALUE_BOOL:
		case VALUE_INT:
		case VALUE_BIGINT:
			return JINJA_TYPE_INT;
		case VALUE_FLOAT:
			return JINJA_TYPE_FLOAT;
		case VALUE_SET:
			return JINJA_TYPE_SET;
		case VALUE_CALLABLE:
			if (jinja_object(value, JINJA_OBJECT_RANGE))
				return JINJA_TYPE_RANGE;
			if (jinja_object(value, JINJA_OBJECT_CYCLER))
				return JINJA_TYPE_CYCLER;
			return jinja_object(value, JINJA_OBJECT_LOOP) ? JINJA_TYPE_LOOP : 0;
		default:
			return 0;
	}
}

static const JinjaFunction *
find_method(uint32 types, const char *name, int len)
{
	for (int i = 0; i < lengthof(methods); i++)
		if ((methods[i].types & types) && methods[i].name[0] == name[0] &&
			strncmp(methods[i].name, name, len) == 0 && methods[i].name[len] == '\0')
			return &methods[i];
	return NULL;
}

bool
jinja_is_dict_method(const char *name)
{
	return find_method(JINJA_TYPE_DICT, name, strlen(name)) != NULL;
}

static bool
is(const char *name, int len, const char *word)
{
	return strlen(word) == len && memcmp(name, word, len) == 0;
}

static Iterator *
peek(JinjaLoop *loop)
{
	if (!loop->has_after && !loop->ended)
	{
		loop->has_after = iterator_next(loop->it, &loop->after);
		loop->ended = !loop->has_after;
	}
	return loop->it;
}

/* How many elements the loop walks over; takes all of them where that is not known. */
int64
jinja_loop_length(JinjaLoop *loop)
{
	if (loop->length >= 0)
		return loop->length;
	if (jinja_has_length(&loop->iterable))
		loop->length = jinja_length(&loop->iterable);
	else
	{
		Value		rest = iterator_to_list(loop->it);

		loop->it = value_iterate(&rest);
		loop->length = value_list_length(&rest) + loop->index0 + 1 + (loop->has_after ? 1 : 0);
	}
	return loop->length;
}

static bool
loop_attribute(JinjaLoop *loop, const char *name, int len, Value *value)
{
	if (is(name, len, "index"))
		*value = value_int(loop->index0 + 1);
	else if (is(name, len, "index0"))
		*value = value_int(loop->index0);
	else if (is(name, len, "revindex"))
		*value = value_int(jinja_loop_length(loop) - loop->index0);
	else if (is(name, len, "revindex0"))
		*value = value_int(jinja_loop_length(loop) - loop->index0 - 1);
	else if (is(name, len, "length"))
		*value = value_int(jinja_loop_length(loop));
	else if (is(name, len, "first"))
		*value = value_bool(loop->index0 == 0);
	else if (is(name, len, "depth"))
		*value = value_int(loop->depth0 + 1);
	else if (is(name, len, "depth0"))
		*value = value_int(loop->depth0);
	else if (is(name, len, "previtem"))
		*value = loop->index0 == 0 ? jinja_undefined_because("there is no previous item") : loop->before;
	else if (is(name, len, "last") || is(name, len, "nextitem"))
	{
		(void) peek(loop);
		if (name[0] == 'l')
			*value = value_bool(!loop->has_after);
		else
			*value = loop->has_after ? loop->after : jinja_undefined_because("there is no next item");
	}
	else
		return false;
	return true;
}

static bool
macro_attribute(JinjaMacro *macro, const char *name, int len, Value *value)
{
	const JinjaSignature *s = macro->signature;

	if (is(name, len, "name"))
		*value = value_cstring(macro->node->name);
	else if (is(name, len, "arguments"))
	{
		*value = value_list_new();
		for (int i = 0; i < s->n; i++)
			value_push(value, value_cstring(s->names[i]));
	}
	else if (is(name, len, "catch_kwargs"))
		*value = value_bool(s->uses_kwargs);
	else if (is(name, len, "catch_varargs"))
		*value = value_bool(s->uses_varargs);
	else if (is(name, len, "caller"))
		*value = value_bool(s->uses_caller);
	else
		return false;
	return true;
}

static bool
object_attribute(const Value *object, const char *name, int len, Value *value)
{
	JinjaObject *o = object->u.object;
	Value		key = value_string(name, len);

	switch (o->type)
	{
		case JINJA_OBJECT_LOOP:
			return loop_attribute((JinjaLoop *) o, name, len, value);
		case JINJA_OBJECT_MACRO:
			return macro_attribute((JinjaMacro *) o, name, len, value);
		case JINJA_OBJECT_NAMESPACE:
			return value_dict_find(&((JinjaNamespace *) o)->attributes, &key, value);
		case JINJA_OBJECT_RANGE:
			if (!is(name, len, "start") && !is(name, len, "stop") && !is(name, len, "step"))
				return false;
			*value = value_int(name[2] == 'a' ? ((JinjaRange *) o)->start :
							   name[2] == 'o' ? ((JinjaRange *) o)->stop : ((JinjaRange *) o)->step);
			return true;
		case JINJA_OBJECT_CYCLER:
			if (is(name, len, "current"))
				*value = value_list_item(&((JinjaCycler *) o)->items, ((JinjaCycler *) o)->at);
			else if (is(name, len, "pos"))
				*value = value_int(((JinjaCycler *) o)->at);
			else if (is(name, len, "items"))
				*value = ((JinjaCycler *) o)->items;
			else
				return false;
			return true;
		case JINJA_OBJECT_JOINER:
			if (is(name, len, "sep"))
				*value = ((JinjaJoiner *) o)->separator;
			else if (is(name, len, "used"))
				*value = value_bool(((JinjaJoiner *) o)->used);
			else
				return false;
			return true;
		default:
			return false;
	}
}

static bool
date_attribute(const Value *date, const char *name, int len, Value *value)
{
	DateParts	parts;

	datetime_parts(date, &parts);
	if (is(name, len, "year"))
		*value = value_int(parts.year);
	else if (is(name, len, "month"))
		*value = value_int(parts.month);
	else if (is(name, len, "day"))
		*value = value_int(parts.day);
	else if (date->flags & VALUE_F_DATE)
		return false;
	else if (is(name, len, "hour"))
		*value = value_int(parts.hour);
	else if (is(name, len, "minute"))
		*value = value_int(parts.minute);
	else if (is(name, len, "second"))
		*value = value_int(parts.second);
	else if (is(name, len, "microsecond"))
		*value = value_int(parts.microsecond);
	else
		return false;
	return true;
}

static bool
number_attribute(const Value *number, const char *name, int len, Value *value)
{
	bool		real = number->kind == VALUE_FLOAT;

	if (is(name, len, "real") || (!real && is(name, len, "numerator")))
		*value = number->kind == VALUE_BOOL ? value_int(number->u.boolean) : *number;
	else if (is(name, len, "imag"))
		*value = real ? value_float(0) : value_int(0);
	else if (!real && is(name, len, "denominator"))
		*value = value_int(1);
	else
		return false;
	return true;
}

/* Python's getattr; false when there is no such attribute. */
bool
jinja_attribute(const Value *object, const char *name, int len, Value *value)
{
	const JinjaFunction *method;

	jinja_use(object);
	if (object->kind == VALUE_CALLABLE && object_attribute(object, name, len, value))
		return true;
	if (len == 0 || name[0] == '_')
		return false;
	if (value_is_number(object) && number_attribute(object, name, len, value))
		return true;
	if (object->kind == VALUE_LIST && (object->flags & VALUE_F_GROUP) &&
		(is(name, len, "grouper") || is(name, len, "list")))
	{
		*value = value_list_item(object, name[0] == 'g' ? 0 : 1);
		return true;
	}
	if (object->kind == VALUE_DATETIME)
		return date_attribute(object, name, len, value);
	method = find_method(type_of(object), name, len);
	if (method)
		*value = jinja_bound(method, object);
	return method != NULL;
}

static Value
block_ref(const char *name, int len)
{
	const Jinja *j = (const Jinja *) eval_current();

	for (int i = 0; i < j->template->nblocks; i++)
	{
		if (is(name, len, j->template->blocks[i]->name))
		{
			JinjaBlockRef *ref = palloc0(sizeof(JinjaBlockRef));

			ref->block = j->template->blocks[i];
			return jinja_new_object(&ref->base, JINJA_OBJECT_BLOCK);
		}
	}
	return jinja_undefined(NULL);
}

/* object.name; the name stands in the expression. */
Value
jinja_getattr(const Value *object, const char *name, int len)
{
	Value		value;

	if (jinja_attribute(object, name, len, &value))
		return value;
	if (object->kind == VALUE_DICT && value_dict_get(object, name, len, &value))
		return value;
	if (jinja_object(object, JINJA_OBJECT_SELF))
		return block_ref(name, len);
	return jinja_undefined(name);
}

static bool
is_hashable(const Value *key)
{
	return !((key->kind == VALUE_LIST || key->kind == VALUE_DICT || key->kind == VALUE_SET) &&
			 (key->flags & VALUE_F_MUTABLE));
}

static bool
has_positions(const Value *value)
{
	return value->kind == VALUE_STRING || value->kind == VALUE_LIST || jinja_object(value, JINJA_OBJECT_RANGE);
}

/* object[key] */
Value
jinja_getitem(const Value *object, const Value *key)
{
	Value		value;

	jinja_use(object);
	if (object->kind == VALUE_DICT)
	{
		if (is_hashable(key) && value_dict_find(object, key, &value))
			return value;
	}
	else if (has_positions(object) && (key->kind == VALUE_INT || key->kind == VALUE_BOOL))
	{
		int64		n = jinja_length(object);
		int64		i = jinja_int(key, "an index");

		if (i < 0)
			i += n;
		if (i >= 0 && i < n)
			return jinja_item_at(object, i);
	}
	if (key->kind != VALUE_STRING)
		return jinja_undefined(NULL);
	if (jinja_object(object, JINJA_OBJECT_SELF))
		return block_ref(key->u.string.data, key->u.string.len);
	if (jinja_attribute(object, key->u.string.data, key->u.string.len, &value))
		return value;
	return jinja_undefined(NULL);
}

static int64
slice_place(const Value *place, int64 n, int64 step, bool start)
{
	int64		i;

	if (place->kind == VALUE_NULL)
		return start == (step > 0) ? (step > 0 ? 0 : -1) : (step > 0 ? n : n - 1);
	if (place->kind == VALUE_BIGINT)
	{
		Value		zero = value_int(0);

		i = number_compare(place, &zero) < 0 ? -n - 1 : n;
	}
	else
		i = jinja_int(place, "a place in a slice");
	if (i < 0)
	{
		i += n;
		return i < 0 ? (step > 0 ? 0 : -1) : i;
	}
	return i >= n ? (step > 0 ? n : n - 1) : i;
}

/* Of a range a slice is a range, too. */
static Value
slice_range(const JinjaRange *range, int64 from, int64 to, int64 by)
{
	JinjaRange *slice = palloc0(sizeof(JinjaRange));
	int64		span = by > 0 ? to - from : from - to;

	slice->start = range->start + from * range->step;
	slice->stop = range->start + to * range->step;
	slice->step = range->step * by;
	slice->length = span > 0 ? (span - 1) / (by > 0 ? by : -by) + 1 : 0;
	return jinja_new_object(&slice->base, JINJA_OBJECT_RANGE);
}

/* object[start:stop:step], any of them null. */
Value
jinja_slice(const Value *object, const Value *start, const Value *stop, const Value *step)
{
	int64		by = step->kind == VALUE_NULL ? 1 : jinja_int(step, "the step of a slice");
	int64		from;
	int64		to;
	int64		n;
	Value		result;
	StringInfoData out;

	if (!has_positions(object))
		expr_fail("%s cannot be sliced", jinja_kind_name(object));
	jinja_use(start);
	jinja_use(stop);
	if (by == 0)
		expr_fail("the step of a slice is zero");
	n = jinja_length(object);
	by = Max(Min(by, n + 1), -n - 1);
	if (start->kind == VALUE_NULL)
		from = by > 0 ? 0 : n - 1;
	else
		from = slice_place(start, n, by, true);
	if (stop->kind == VALUE_NULL)
		to = by > 0 ? n : -1;
	else
		to = slice_place(stop, n, by, false);
	if (object->kind == VALUE_CALLABLE)
		return slice_range(object->u.object, from, to, by);
	if (object->kind == VALUE_STRING)
	{
		Value		characters;
		ListObject *list;

		if (by == 1)
			return jinja_substring(object, from, to);
		characters = jinja_collect(object);
		list = characters.u.object;
		initStringInfo(&out);
		for (int64 i = from; by > 0 ? i < to : i > to; i += by)
			appendBinaryStringInfo(&out, list->items[i].u.string.data, list->items[i].u.string.len);
		return jinja_as(object, value_text(&out));
	}
	result = value_list_new();
	for (int64 i = from; by > 0 ? i < to : i > to; i += by)
		value_push(&result, jinja_item_at(object, i));
	result.flags = object->flags & VALUE_F_MUTABLE;
	return result;
}
