/*
 * json.h
 *		Building and reading jsonb without ceremony.
 */
#ifndef MISTRAL_JSON_H
#define MISTRAL_JSON_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* A value under construction; everything is in the current memory context. */
typedef struct JsonBuilder
{
	JsonbParseState *state;
	JsonbValue *result;
} JsonBuilder;

extern void json_begin_object(JsonBuilder *b);
extern void json_end_object(JsonBuilder *b);
extern void json_begin_array(JsonBuilder *b);
extern void json_end_array(JsonBuilder *b);
extern void json_add_key(JsonBuilder *b, const char *key);
extern void json_add_string(JsonBuilder *b, const char *s); /* NULL: null */
extern void json_add_int(JsonBuilder *b, int64 i);
extern void json_add_bool(JsonBuilder *b, bool value);
extern void json_add_null(JsonBuilder *b);
extern void json_add_id(JsonBuilder *b, const pg_uuid_t *id);
extern void json_add_time(JsonBuilder *b, TimestampTz t);	/* DT_NOBEGIN: null */
extern void json_add_jsonb(JsonBuilder *b, const Jsonb *value); /* NULL: null */
extern void json_add_value(JsonBuilder *b, const JsonbValue *value);
extern Jsonb *json_finish(JsonBuilder *b);

/* The number that a text of a float stands for, with a decimal at least: jsonb tells floats from integers by it. */
extern Numeric json_float(const char *digits);

/* The empty object. */
extern Jsonb *json_empty(void);

/* A scalar or container as a jsonb of its own. */
extern Jsonb *json_from_string(const char *s);
extern Jsonb *json_from_value(const JsonbValue *value);

/* A row as an object, by the output functions of its types: with the current user's rights. */
extern Jsonb *json_from_row(HeapTuple row, TupleDesc desc);

/* A member of an object; NULL when it is not an object or has no such key. */
extern JsonbValue *json_get(const Jsonb *object, const char *key, int len);
extern Jsonb *json_get_jsonb(const Jsonb *object, const char *key);
extern char *json_get_string(const Jsonb *object, const char *key); /* NULL: absent or no string */
extern bool json_get_int(const Jsonb *object, const char *key, int64 *value);
extern bool json_get_bool(const Jsonb *object, const char *key, bool missing);

extern bool json_is_object(const Jsonb *value);
extern bool json_is_null(const Jsonb *value);	/* SQL NULL or JSON null */
extern int	json_count(const Jsonb *container);
extern bool json_equal(const Jsonb *a, const Jsonb *b);

/* The object `a` with the members of `b` added; b's win. Either may be NULL. */
extern Jsonb *json_merge(const Jsonb *a, const Jsonb *b);

/* The same, objects within objects merged too. */
extern Jsonb *json_merge_deep(const Jsonb *a, const Jsonb *b);

/* {key: value} */
extern Jsonb *json_pair(const char *key, const Jsonb *value);

/* The object without one key. */
extern Jsonb *json_without(const Jsonb *object, const char *key);

/* Text: a string's own characters, anything else as JSON. */
extern char *json_to_text(const Jsonb *value);

/* A copy in the current memory context. */
extern Jsonb *json_copy(const Jsonb *value);

/* Calls `member` for each member of an object, in jsonb's order. */
extern void json_members(const Jsonb *object, void (*member) (void *arg, const char *key, int len, const JsonbValue *value), void *arg);

/*
 * The value with its strings, keys too, as `map` gives them back: palloc'd, or NULL for one that stays.
 * Members whose keys become the same are one member then.
 */
extern Jsonb *json_map_strings(const Jsonb *value, char *(*map) (void *arg, const char *text, int len), void *arg);

/* A string from a jsonb value of type string. */
extern char *json_value_cstring(const JsonbValue *value);

/*
 * The item of a key of an object, as getKeyJsonValueFromContainer finds it, but
 * without its detours where the keys are few.  False when there is none.
 */
extern bool json_find(JsonbContainer *object, const char *key, int len, JsonbValue *item);

#endif							/* MISTRAL_JSON_H */
