/*
 * value.c
 *		Values: making them, wrapping jsonb, lists.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/json.h"
#include "expr/regex.h"
#include "expr/value_internal.h"

Value
value_null(void)
{
	return (Value) {.kind = VALUE_NULL};
}

Value
value_bool(bool b)
{
	return (Value) {.kind = VALUE_BOOL,.u.boolean = b};
}

Value
value_int(int64 i)
{
	return (Value) {.kind = VALUE_INT,.u.integer = i};
}

Value
value_float(double d)
{
	return (Value) {.kind = VALUE_FLOAT,.u.real = d};
}

Value
value_bigint(Numeric n)
{
	return (Value) {.kind = VALUE_BIGINT,.u.bigint = n};
}

Value
value_string(const char *data, int len)
{
	return (Value) {.kind = VALUE_STRING,.u.string = {data, len}};
}

Value
value_cstring(const char *s)
{
	return value_string(s, strlen(s));
}

Value
value_object(ValueKind kind, uint32 flags, void *object)
{
	return (Value) {.kind = kind,.flags = flags,.u.object = object};
}

/* A string value of what was collected; gives a large buffer back when little is in it. */
Value
value_text(StringInfo buf)
{
	if (buf->maxlen > 2 * buf->len + 64)
	{
		char	   *exact = pnstrdup(buf->data, buf->len);

		pfree(buf->data);
		buf->data = exact;
		buf->maxlen = buf->len + 1;
	}
	return value_string(buf->data, buf->len);
}

/* A list or dict still in its jsonb. */
static Value
wrapped(JsonbContainer *c, int len)
{
	return (Value) {
		.kind = JsonContainerIsArray(c) ? VALUE_LIST : VALUE_DICT,
		.flags = VALUE_F_JSONB,
		.u.jsonb = {c, len}
	};
}

Value
value_from_jsonb_value(const JsonbValue *jv)
{
	switch (jv->type)
	{
		case jbvNull:
			return value_null();
		case jbvBool:
			return value_bool(jv->val.boolean);
		case jbvString:
			return value_string(jv->val.string.val, jv->val.string.len);
		case jbvNumeric:
			{
				Datum		scale = DirectFunctionCall1(numeric_scale, NumericGetDatum(jv->val.numeric));

				if (DatumGetInt32(scale) > 0)
					return value_float(DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
																		  NumericGetDatum(jv->val.numeric))));
				return value_from_numeric(jv->val.numeric);
			}
		case jbvBinary:
			return wrapped(jv->val.binary.data, jv->val.binary.len);
		default:
			elog(ERROR, "unexpected jsonb value of type %d", (int) jv->type);
	}
}

Value
value_from_jsonb(const Jsonb *jsonb)
{
	JsonbValue	jv;

	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		if (!JsonbExtractScalar((JsonbContainer *) &jsonb->root, &jv))
			elog(ERROR, "jsonb scalar has no value");
		return value_from_jsonb_value(&jv);
	}
	return wrapped((JsonbContainer *) &jsonb->root, VARSIZE(jsonb) - VARHDRSZ);
}

/* What a container gives out: a deep one passes its nature on. */
Value
value_child(const Value *parent, Value child)
{
	if ((parent->flags & VALUE_F_DEEP) && (child.kind == VALUE_LIST || child.kind == VALUE_DICT))
		child.flags |= VALUE_F_MUTABLE | VALUE_F_DEEP;
	return child;
}

Value
value_list_sized(int n)
{
	ListObject *list = palloc(sizeof(ListObject));

	expr_reserve(mul_size(n, sizeof(Value)));
	list->n = 0;
	list->size = Max(n, 4);
	list->deepened = false;
	list->items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Value) * (Size) list->size);
	return value_object(VALUE_LIST, 0, list);
}

Value
value_list_new(void)
{
	return value_list_sized(4);
}

Value
value_list_of(const Value *items, int n)
{
	Value		list = value_list_sized(n);
	ListObject *object = list.u.object;

	if (n > 0)
		memcpy(object->items, items, n * sizeof(Value));
	object->n = n;
	return list;
}

void
value_push(Value *list, Value item)
{
	ListObject *object = list->u.object;

	if (object->n == object->size)
	{
		if (object->size > EVAL_MAX_LENGTH / 2)
			expr_limit("a list grows too long");
		expr_reserve(sizeof(Value) * (Size) object->size * 2);
		object->size *= 2;
		object->items = repalloc_huge(object->items, sizeof(Value) * (Size) object->size);
	}
	object->items[object->n++] = item;
}

void
value_list_append(Value *list, Value item)
{
	value_push(list, item);
}

int
value_list_length(const Value *list)
{
	if (list->flags & VALUE_F_JSONB)
		return JsonContainerSize(list->u.jsonb.container);
	return ((ListObject *) list->u.object)->n;
}

Value
value_list_item(const Value *list, int i)
{
	if (list->flags & VALUE_F_JSONB)
	{
		JsonbValue *jv = getIthJsonbValueFromContainer(list->u.jsonb.container, i);
		Value		item = value_from_jsonb_value(jv);

		pfree(jv);
		return value_child(list, item);
	}
	return value_child(list, ((ListObject *) list->u.object)->items[i]);
}

/* The list as an array, unfolded one level when it is jsonb. */
ListObject *
value_list_object(const Value *list)
{
	ListObject *object = list->u.object;

	if (list->flags & VALUE_F_JSONB)
	{
		JsonbContainer *c = list->u.jsonb.container;
		Value		copy = value_list_sized(JsonContainerSize(c));
		JsonbIterator *it = JsonbIteratorInit(c);
		JsonbIteratorToken token;
		JsonbValue	jv;

		while ((token = JsonbIteratorNext(&it, &jv, true)) != WJB_DONE)
		{
			expr_tick();
			if (token == WJB_ELEM)
				value_push(&copy, value_child(list, value_from_jsonb_value(&jv)));
		}
		return copy.u.object;
	}
	if ((list->flags & VALUE_F_DEEP) && !object->deepened)
	{
		for (int i = 0; i < object->n; i++)
			object->items[i] = value_child(list, object->items[i]);
		object->deepened = true;
	}
	return object;
}

Value
value_view(int nsources, const ValueSource *sources)
{
	DictView   *view = palloc(offsetof(DictView, sources) + nsources * sizeof(ValueSource));

	view->whole = NULL;
	view->nsources = nsources;
	memcpy(view->sources, sources, nsources * sizeof(ValueSource));
	return value_object(VALUE_DICT, VALUE_F_VIEW, view);
}

static bool
jsonb_source_get(void *arg, const char *key, int len, Value *value)
{
	JsonbContainer *c = arg;
	JsonbValue	jv;

	if (c == NULL || !json_find(c, key, len, &jv))
		return false;
	*value = value_from_jsonb_value(&jv);
	return true;
}

static void
jsonb_source_keys(void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	jv;

	if (arg == NULL)
		return;
	it = JsonbIteratorInit((JsonbContainer *) arg);
	while ((token = JsonbIteratorNext(&it, &jv, true)) != WJB_DONE)
	{
		expr_tick();
		if (token == WJB_KEY)
			emit(emit_arg, jv.val.string.val, jv.val.string.len);
	}
}

ValueSource
value_jsonb_source(const Jsonb *object)
{
	ValueSource source = {jsonb_source_get, jsonb_source_keys, NULL};

	if (object != NULL && JB_ROOT_IS_OBJECT(object))
		source.arg = (void *) &object->root;
	return source;
}

bool
value_truth(const Value *value)
{
	switch (value->kind)
	{
		case VALUE_NULL:
		case VALUE_UNDEFINED:
			return false;
		case VALUE_BOOL:
			return value->u.boolean;
		case VALUE_INT:
			return value->u.integer != 0;
		case VALUE_FLOAT:
			return value->u.real != 0;
		case VALUE_STRING:
			return value->u.string.len > 0;
		case VALUE_LIST:
			return value_list_length(value) > 0;
		case VALUE_DICT:
			return value_dict_length(value) > 0;
		case VALUE_SET:
			return value_set_length(value) > 0;
		case VALUE_DICT_VIEW:
			return value_dict_length(value_view_dict(value)) > 0;
		case VALUE_TIMESPAN:
			return value->u.timespan != 0;
		default:
			return true;
	}
}

/* How messages call a value; its content is never named. */
const char *
value_kind_name(const Value *value)
{
	switch (value->kind)
	{
		case VALUE_NULL:
			return "null";
		case VALUE_BOOL:
			return "a boolean";
		case VALUE_INT:
		case VALUE_BIGINT:
			return "an integer";
		case VALUE_FLOAT:
			return "a float";
		case VALUE_STRING:
			return "a string";
		case VALUE_LIST:
			return "a list";
		case VALUE_DICT:
			return "a dict";
		case VALUE_SET:
			return "a set";
		case VALUE_ITERATOR:
		case VALUE_ORDERED:
			return "an iterator";
		case VALUE_DICT_VIEW:
			return "a view of a dict";
		case VALUE_REGEX:
			return "a regular expression";
		case VALUE_DATETIME:
			return "a datetime";
		case VALUE_TIMESPAN:
			return "a timespan";
		case VALUE_CONTEXT:
			return "a context";
		case VALUE_LAMBDA:
			return "an expression";
		case VALUE_UNDEFINED:
			return "undefined";
		case VALUE_CALLABLE:
			return "a function";
		case VALUE_PAIR:
			return "a pair";
	}
	return "a value";
}

Value
value_copy(const Value *value)
{
	expr_check_depth();
	switch (value->kind)
	{
		case VALUE_STRING:
			expr_reserve(value->u.string.len);
			return value_string(pnstrdup(value->u.string.data, value->u.string.len), value->u.string.len);
		case VALUE_BIGINT:
			{
				Numeric		n = palloc(VARSIZE(value->u.bigint));

				memcpy(n, value->u.bigint, VARSIZE(value->u.bigint));
				return value_bigint(n);
			}
		case VALUE_LIST:
			if (!(value->flags & VALUE_F_JSONB))
			{
				ListObject *object = value->u.object;
				Value		copy = value_list_sized(object->n);

				for (int i = 0; i < object->n; i++)
				{
					expr_tick();
					value_push(&copy, value_copy(&object->items[i]));
				}
				copy.flags = value->flags;
				return copy;
			}
			return *value;
		case VALUE_DICT:
			if (value->flags & (VALUE_F_JSONB | VALUE_F_VIEW))
				return *value;
			/* FALLTHROUGH */
		case VALUE_SET:
			{
				DictObject *object = value->u.object;
				Value		copy = value->kind == VALUE_SET ? value_set_new() : value_dict_new();

				for (int i = 0; i < object->n; i++)
				{
					expr_tick();
					dict_object_put(copy.u.object, value_copy(&object->entries[i].key),
									value_copy(&object->entries[i].item));
				}
				copy.flags = value->flags;
				return copy;
			}
		case VALUE_REGEX:
			return value_object(VALUE_REGEX, value->flags, regex_copy_pattern(value->u.object));
		default:
			return *value;
	}
}
