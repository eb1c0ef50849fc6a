/*
 * value_json.c
 *		The stored form of values.
 *
 * What the original writes to its database: sets and iterators as lists, keys
 * as text, times as text without their zone.
 */
#include "postgres.h"

#include <math.h>

#include "base/json.h"
#include "expr/value_internal.h"
#include "guc.h"

/* What a value of jsonb takes in pieces, for each byte that it has in one. */
#define BINARY_FACTOR 3

/* A value on its way; no evaluation need be under way that would count. */
typedef struct Put
{
	JsonbParseState *state;
	JsonbValue *result;
	Size		size;			/* memory that the pieces take, roughly */
} Put;

static void put_value(Put *put, JsonbIteratorToken token, const Value *value);

/* A small value may name a large one of the context a million times. */
static void
put_size(Put *put, Size size)
{
	put->size += sizeof(JsonbValue) + size;
	if (put->size / 1024 > guc_expression_memory)
		expr_limit("its value needs more memory than mistral.expression_memory allows (%d kB)", guc_expression_memory);
}

static Numeric
numeric_of_double(double d)
{
	if (!isfinite(d))
		expr_fail("a number that is not finite cannot be stored as JSON");
	return json_float(float_repr(d));
}

static void
put_string(JsonbValue *jv, const char *s, int len)
{
	if (memchr(s, '\0', len) != NULL)
		expr_fail("a text with a null character cannot be stored as JSON");
	jv->type = jbvString;
	jv->val.string.val = unconstify(char *, s);
	jv->val.string.len = len;
}

static bool
put_scalar(JsonbValue *jv, const Value *value)
{
	StringInfoData out;

	switch (value->kind)
	{
		case VALUE_NULL:
			jv->type = jbvNull;
			return true;
		case VALUE_BOOL:
			jv->type = jbvBool;
			jv->val.boolean = value->u.boolean;
			return true;
		case VALUE_INT:
		case VALUE_BIGINT:
			jv->type = jbvNumeric;
			jv->val.numeric = value_to_numeric(value);
			return true;
		case VALUE_FLOAT:
			jv->type = jbvNumeric;
			jv->val.numeric = numeric_of_double(value->u.real);
			return true;
		case VALUE_STRING:
			put_string(jv, value->u.string.data, value->u.string.len);
			return true;
		case VALUE_DATETIME:
			initStringInfo(&out);
			datetime_stored(&out, value);
			put_string(jv, out.data, out.len);
			return true;
		default:
			return false;
	}
}

static void
put_key(JsonbValue *jv, const Value *key)
{
	StringInfoData out;

	if (key->kind == VALUE_STRING)
	{
		put_string(jv, key->u.string.data, key->u.string.len);
		return;
	}
	initStringInfo(&out);
	if (key->kind == VALUE_NULL)
		appendStringInfoString(&out, "null");
	else if (key->kind == VALUE_BOOL)
		appendStringInfoString(&out, key->u.boolean ? "true" : "false");
	else if (value_is_number(key))
		value_repr(&out, key);
	else if (key->kind == VALUE_DATETIME)
		datetime_stored(&out, key);
	else
		expr_fail("%s cannot be stored as a key of JSON", value_kind_name(key));
	put_string(jv, out.data, out.len);
}

static void
put_dict(Put *put, const Value *value)
{
	DictObject *dict = value_dict_object(value);

	pushJsonbValue(&put->state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < dict->n; i++)
	{
		JsonbValue	key;

		expr_tick();
		put_key(&key, &dict->entries[i].key);
		put_size(put, key.val.string.len);
		pushJsonbValue(&put->state, WJB_KEY, &key);
		put_value(put, WJB_VALUE, &dict->entries[i].item);
	}
	put->result = pushJsonbValue(&put->state, WJB_END_OBJECT, NULL);
}

static void
put_list(Put *put, const Value *value)
{
	Iterator   *it = value_iterate(value);
	Value		item;

	pushJsonbValue(&put->state, WJB_BEGIN_ARRAY, NULL);
	while (iterator_next(it, &item))
	{
		expr_tick();
		put_value(put, WJB_ELEM, &item);
	}
	put->result = pushJsonbValue(&put->state, WJB_END_ARRAY, NULL);
}

/* What is jsonb already goes as it is. */
static bool
put_binary(JsonbValue *jv, const Value *value)
{
	if (!(value->flags & VALUE_F_JSONB) || (value->kind != VALUE_LIST && value->kind != VALUE_DICT))
		return false;
	jv->type = jbvBinary;
	jv->val.binary.data = value->u.jsonb.container;
	jv->val.binary.len = value->u.jsonb.len;
	return true;
}

static void
put_container(Put *put, const Value *value)
{
	if (value->kind == VALUE_DICT)
		put_dict(put, value);
	else if (value_is_iterable(value))
		put_list(put, value);
	else
		expr_fail("%s cannot be stored as JSON", value_kind_name(value));
}

static void
put_value(Put *put, JsonbIteratorToken token, const Value *value)
{
	JsonbValue	jv;

	expr_check_depth();
	if (put_scalar(&jv, value))
	{
		put_size(put, jv.type == jbvString ? jv.val.string.len : 0);
		pushJsonbValue(&put->state, token, &jv);
	}
	else if (put_binary(&jv, value))
	{
		put_size(put, (Size) jv.val.binary.len * BINARY_FACTOR);
		pushJsonbValue(&put->state, token, &jv);
	}
	else
		put_container(put, value);
}

Jsonb *
value_to_jsonb(const Value *value)
{
	Put			put = {0};
	JsonbValue	jv;

	if (put_scalar(&jv, value) || put_binary(&jv, value))
		return JsonbValueToJsonb(&jv);
	put_container(&put, value);
	return JsonbValueToJsonb(put.result);
}
