/*
 * value_json.c
 *		The stored form of values.
 *
 * What the original writes to its database: sets and iterators as lists, keys
 * as text, times as text without their zone.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "expr/value_internal.h"

static void put_value(JsonbParseState **state, JsonbIteratorToken token, const Value *value, JsonbValue **result);

/* A double keeps at least one decimal, so that it comes back as a double. */
static Numeric
numeric_of_double(double d)
{
	char	   *text;
	Datum		n;

	if (!isfinite(d))
		expr_fail("a number that is not finite cannot be stored as JSON");
	text = float_repr(d);
	n = DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	if (DatumGetInt32(DirectFunctionCall1(numeric_scale, n)) == 0)
	{
		char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, n));

		n = DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("%s.0", digits)),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	return DatumGetNumeric(n);
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
put_dict(JsonbParseState **state, const Value *value, JsonbValue **result)
{
	DictObject *dict = value_dict_object(value);
	uint32		steps = 0;

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < dict->n; i++)
	{
		JsonbValue	key;

		expr_tick(&steps);
		put_key(&key, &dict->entries[i].key);
		pushJsonbValue(state, WJB_KEY, &key);
		put_value(state, WJB_VALUE, &dict->entries[i].item, result);
	}
	*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static void
put_list(JsonbParseState **state, const Value *value, JsonbValue **result)
{
	Iterator   *it = value_iterate(value);
	Value		item;
	uint32		steps = 0;

	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	while (iterator_next(it, &item))
	{
		expr_tick(&steps);
		put_value(state, WJB_ELEM, &item, result);
	}
	*result = pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

static void
put_value(JsonbParseState **state, JsonbIteratorToken token, const Value *value, JsonbValue **result)
{
	JsonbValue	jv;

	expr_check_depth();
	if (put_scalar(&jv, value))
		pushJsonbValue(state, token, &jv);
	else if (value->flags & VALUE_F_JSONB && (value->kind == VALUE_LIST || value->kind == VALUE_DICT))
	{
		jv.type = jbvBinary;
		jv.val.binary.data = value->u.jsonb.container;
		jv.val.binary.len = value->u.jsonb.len;
		pushJsonbValue(state, token, &jv);
	}
	else if (value->kind == VALUE_DICT)
		put_dict(state, value, result);
	else if (value_is_iterable(value))
		put_list(state, value, result);
	else
		expr_fail("%s cannot be stored as JSON", value_kind_name(value));
}

Jsonb *
value_to_jsonb(const Value *value)
{
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	jv;

	if (put_scalar(&jv, value))
		return JsonbValueToJsonb(&jv);
	if (value->flags & VALUE_F_JSONB && (value->kind == VALUE_LIST || value->kind == VALUE_DICT))
	{
		jv.type = jbvBinary;
		jv.val.binary.data = value->u.jsonb.container;
		jv.val.binary.len = value->u.jsonb.len;
		return JsonbValueToJsonb(&jv);
	}
	if (value->kind == VALUE_DICT)
		put_dict(&state, value, &result);
	else if (value_is_iterable(value))
		put_list(&state, value, &result);
	else
		expr_fail("%s cannot be stored as JSON", value_kind_name(value));
	return JsonbValueToJsonb(result);
}
