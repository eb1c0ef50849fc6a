/*
 * json.c
 *		Building and reading jsonb without ceremony.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/ids.h"
#include "base/json.h"

static void add_scalar(JsonBuilder *b, JsonbValue *value);

void
json_begin_object(JsonBuilder *b)
{
	b->result = pushJsonbValue(&b->state, WJB_BEGIN_OBJECT, NULL);
}

void
json_end_object(JsonBuilder *b)
{
	b->result = pushJsonbValue(&b->state, WJB_END_OBJECT, NULL);
}

void
json_begin_array(JsonBuilder *b)
{
	b->result = pushJsonbValue(&b->state, WJB_BEGIN_ARRAY, NULL);
}

void
json_end_array(JsonBuilder *b)
{
	b->result = pushJsonbValue(&b->state, WJB_END_ARRAY, NULL);
}

void
json_add_key(JsonBuilder *b, const char *key)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = pstrdup(key);
	v.val.string.len = strlen(key);
	b->result = pushJsonbValue(&b->state, WJB_KEY, &v);
}

void
json_add_string(JsonBuilder *b, const char *s)
{
	JsonbValue	v;

	if (s == NULL)
	{
		json_add_null(b);
		return;
	}
	v.type = jbvString;
	v.val.string.val = pstrdup(s);
	v.val.string.len = strlen(s);
	add_scalar(b, &v);
}

void
json_add_int(JsonBuilder *b, int64 i)
{
	JsonbValue	v;

	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(i);
	add_scalar(b, &v);
}

void
json_add_bool(JsonBuilder *b, bool value)
{
	JsonbValue	v;

	v.type = jbvBool;
	v.val.boolean = value;
	add_scalar(b, &v);
}

void
json_add_null(JsonBuilder *b)
{
	JsonbValue	v;

	v.type = jbvNull;
	add_scalar(b, &v);
}

void
json_add_id(JsonBuilder *b, const pg_uuid_t *id)
{
	char		buf[UUID_TEXT_LEN + 1];

	json_add_string(b, id_text(id, buf));
}

/* As the original writes times: "YYYY-MM-DD HH:MM:SS[.ffffff]", in UTC. */
void
json_add_time(JsonBuilder *b, TimestampTz t)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		buf[64];

	if (TIMESTAMP_NOT_FINITE(t) || timestamp2tm(t, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		json_add_null(b);
		return;
	}
	if (fsec != 0)
		snprintf(buf, sizeof(buf), "%04d-%02d-%02d %02d:%02d:%02d.%06d",
				 tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
	else
		snprintf(buf, sizeof(buf), "%04d-%02d-%02d %02d:%02d:%02d",
				 tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	json_add_string(b, buf);
}

void
json_add_jsonb(JsonBuilder *b, const Jsonb *value)
{
	JsonbValue	v;

	if (value == NULL)
	{
		json_add_null(b);
		return;
	}
	if (JB_ROOT_IS_SCALAR(value))
	{
		JsonbExtractScalar((JsonbContainer *) &value->root, &v);
		add_scalar(b, &v);
		return;
	}
	v.type = jbvBinary;
	v.val.binary.data = (JsonbContainer *) &value->root;
	v.val.binary.len = VARSIZE_ANY_EXHDR(value);
	add_scalar(b, &v);
}

void
json_add_value(JsonBuilder *b, const JsonbValue *value)
{
	JsonbValue	v = *value;

	add_scalar(b, &v);
}

Jsonb *
json_finish(JsonBuilder *b)
{
	return JsonbValueToJsonb(b->result);
}

Numeric
json_float(const char *digits)
{
	Datum		n = DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	if (DatumGetInt32(DirectFunctionCall1(numeric_scale, n)) == 0)
	{
		char	   *whole = DatumGetCString(DirectFunctionCall1(numeric_out, n));

		n = DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("%s.0", whole)), ObjectIdGetDatum(InvalidOid),
								Int32GetDatum(-1));
	}
	return DatumGetNumeric(n);
}

Jsonb *
json_empty(void)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_end_object(&b);
	return json_finish(&b);
}

Jsonb *
json_from_string(const char *s)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, s);
	v.val.string.len = strlen(s);
	return JsonbValueToJsonb(&v);
}

Jsonb *
json_from_value(const JsonbValue *value)
{
	return JsonbValueToJsonb(unconstify(JsonbValue *, value));
}

Jsonb *
json_from_row(HeapTuple row, TupleDesc desc)
{
	Datum		json = DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(row, desc));

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json))));
}

JsonbValue *
json_get(const Jsonb *object, const char *key, int len)
{
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	return getKeyJsonValueFromContainer((JsonbContainer *) &object->root, key, len, NULL);
}

Jsonb *
json_get_jsonb(const Jsonb *object, const char *key)
{
	JsonbValue *v = json_get(object, key, strlen(key));

	return v ? JsonbValueToJsonb(v) : NULL;
}

char *
json_get_string(const Jsonb *object, const char *key)
{
	JsonbValue *v = json_get(object, key, strlen(key));

	return v && v->type == jbvString ? json_value_cstring(v) : NULL;
}

bool
json_get_int(const Jsonb *object, const char *key, int64 *value)
{
	JsonbValue *v = json_get(object, key, strlen(key));

	if (v == NULL || v->type != jbvNumeric)
		return false;
	*value = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(v->val.numeric)));
	return true;
}

bool
json_get_bool(const Jsonb *object, const char *key, bool missing)
{
	JsonbValue *v = json_get(object, key, strlen(key));

	return v && v->type == jbvBool ? v->val.boolean : missing;
}

bool
json_is_object(const Jsonb *value)
{
	return value != NULL && JB_ROOT_IS_OBJECT(value);
}

bool
json_is_null(const Jsonb *value)
{
	JsonbValue	v;

	if (value == NULL)
		return true;
	if (!JB_ROOT_IS_SCALAR(value))
		return false;
	JsonbExtractScalar((JsonbContainer *) &value->root, &v);
	return v.type == jbvNull;
}

int
json_count(const Jsonb *container)
{
	return container == NULL ? 0 : JB_ROOT_COUNT(container);
}

bool
json_equal(const Jsonb *a, const Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return compareJsonbContainers((JsonbContainer *) &a->root, (JsonbContainer *) &b->root) == 0;
}

static void
copy_members(JsonBuilder *b, const Jsonb *object, const char *except)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;

	if (!json_is_object(object))
		return;
	it = JsonbIteratorInit((JsonbContainer *) &object->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			bool		skip = except != NULL && v.val.string.len == (int) strlen(except) &&
				memcmp(v.val.string.val, except, v.val.string.len) == 0;

			if (!skip)
				b->result = pushJsonbValue(&b->state, WJB_KEY, &v);
			(void) JsonbIteratorNext(&it, &v, true);
			if (!skip)
				b->result = pushJsonbValue(&b->state, WJB_VALUE, &v);
		}
	}
}

Jsonb *
json_merge(const Jsonb *a, const Jsonb *b)
{
	JsonBuilder out = {0};

	if (!json_is_object(a) || json_count(a) == 0)
		return json_is_object(b) ? json_copy(b) : json_empty();
	if (!json_is_object(b) || json_count(b) == 0)
		return json_copy(a);
	/* The last of two members with the same key wins when the object is built. */
	json_begin_object(&out);
	copy_members(&out, a, NULL);
	copy_members(&out, b, NULL);
	json_end_object(&out);
	return json_finish(&out);
}

Jsonb *
json_merge_deep(const Jsonb *a, const Jsonb *b)
{
	JsonBuilder out = {0};
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;

	check_stack_depth();
	if (!json_is_object(a) || !json_is_object(b))
		return json_copy(b ? b : a);
	json_begin_object(&out);
	copy_members(&out, a, NULL);
	it = JsonbIteratorInit((JsonbContainer *) &b->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		JsonbValue	key = v;
		JsonbValue *old;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &v, true);
		old = json_get(a, key.val.string.val, key.val.string.len);
		out.result = pushJsonbValue(&out.state, WJB_KEY, &key);
		if (old != NULL && old->type == jbvBinary && v.type == jbvBinary &&
			JsonContainerIsObject(old->val.binary.data) && JsonContainerIsObject(v.val.binary.data))
			json_add_jsonb(&out, json_merge_deep(JsonbValueToJsonb(old), JsonbValueToJsonb(&v)));
		else
			out.result = pushJsonbValue(&out.state, WJB_VALUE, &v);
	}
	json_end_object(&out);
	return json_finish(&out);
}

Jsonb *
json_pair(const char *key, const Jsonb *value)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, key);
	json_add_jsonb(&b, value);
	json_end_object(&b);
	return json_finish(&b);
}

Jsonb *
json_without(const Jsonb *object, const char *key)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	copy_members(&b, object, key);
	json_end_object(&b);
	return json_finish(&b);
}

Jsonb *
json_map_strings(const Jsonb *value, char *(*map) (void *arg, const char *text, int len), void *arg)
{
	JsonbIterator *it = JsonbIteratorInit((JsonbContainer *) &value->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	item;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		bool		scalar = token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM;

		CHECK_FOR_INTERRUPTS();
		if (scalar && item.type == jbvString)
		{
			char	   *mapped = map(arg, item.val.string.val, item.val.string.len);

			if (mapped)
			{
				item.val.string.val = mapped;
				item.val.string.len = strlen(mapped);
			}
		}
		/* A scalar by itself is an array that says so in the token that begins it. */
		result = pushJsonbValue(&state, token, scalar || (token == WJB_BEGIN_ARRAY && item.val.array.rawScalar) ? &item : NULL);
	}
	return JsonbValueToJsonb(result);
}

char *
json_to_text(const Jsonb *value)
{
	JsonbValue	v;

	if (value == NULL)
		return NULL;
	if (JB_ROOT_IS_SCALAR(value) && JsonbExtractScalar((JsonbContainer *) &value->root, &v) && v.type == jbvString)
		return json_value_cstring(&v);
	return JsonbToCString(NULL, (JsonbContainer *) &value->root, VARSIZE_ANY_EXHDR(value));
}

Jsonb *
json_copy(const Jsonb *value)
{
	Size		size;
	Jsonb	   *copy;

	if (value == NULL)
		return NULL;
	size = VARSIZE_ANY(value);
	copy = palloc(size);
	memcpy(copy, value, size);
	return copy;
}

void
json_members(const Jsonb *object, void (*member) (void *arg, const char *key, int len, const JsonbValue *value), void *arg)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	v;
	JsonbIteratorToken token;

	if (!json_is_object(object))
		return;
	it = JsonbIteratorInit((JsonbContainer *) &object->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &v, true);
		member(arg, key.val.string.val, key.val.string.len, &v);
	}
}

char *
json_value_cstring(const JsonbValue *value)
{
	Assert(value->type == jbvString);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Adds a value where the builder stands: as an element, a member or the whole. */
static void
add_scalar(JsonBuilder *b, JsonbValue *value)
{
	if (b->state == NULL)
	{
		/* The whole value is a scalar (or an existing container). */
		b->result = palloc(sizeof(JsonbValue));
		*b->result = *value;
	}
	else if (b->state->contVal.type == jbvArray)
		b->result = pushJsonbValue(&b->state, WJB_ELEM, value);
	else
		b->result = pushJsonbValue(&b->state, WJB_VALUE, value);
}

/* What the entry of a container says: what getIthJsonbValueFromContainer gives, without its copy. */
static void
entry_value(JsonbContainer *container, int index, char *base, JsonbValue *value)
{
	JEntry		entry = container->children[index];
	uint32		offset = getJsonbOffset(container, index);

	if (JBE_ISSTRING(entry))
	{
		value->type = jbvString;
		value->val.string.val = base + offset;
		value->val.string.len = getJsonbLength(container, index);
	}
	else if (JBE_ISNUMERIC(entry))
	{
		value->type = jbvNumeric;
		value->val.numeric = (Numeric) (base + INTALIGN(offset));
	}
	else if (JBE_ISCONTAINER(entry))
	{
		value->type = jbvBinary;
		value->val.binary.data = (JsonbContainer *) (base + INTALIGN(offset));
		value->val.binary.len = getJsonbLength(container, index) - (INTALIGN(offset) - offset);
	}
	else if (JBE_ISNULL(entry))
		value->type = jbvNull;
	else
	{
		value->type = jbvBool;
		value->val.boolean = JBE_ISBOOL_TRUE(entry);
	}
}

bool
json_find(JsonbContainer *object, const char *key, int len, JsonbValue *item)
{
	int			n = JsonContainerSize(object);
	char	   *base = (char *) &object->children[2 * n];
	uint32		begin = 0;

	if (n > JB_OFFSET_STRIDE)
		return getKeyJsonValueFromContainer(object, key, len, item) != NULL;
	/* Keys are sorted by length first. */
	for (int i = 0; i < n; i++)
	{
		uint32		end = begin;

		JBE_ADVANCE_OFFSET(end, object->children[i]);
		if (end - begin > len)
			return false;
		if (end - begin == len && memcmp(base + begin, key, len) == 0)
		{
			entry_value(object, n + i, base, item);
			return true;
		}
		begin = end;
	}
	return false;
}
