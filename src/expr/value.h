/*
 * value.h
 *		The values of both expression languages.
 *
 * A Value is small and passed by value; what it points to lives in the memory
 * context of the evaluation, or in a jsonb that outlives it.  Containers that
 * come from jsonb are wrapped, not unfolded: $.a.b on a large context touches
 * two keys.
 */
#ifndef MISTRAL_VALUE_H
#define MISTRAL_VALUE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"

typedef enum ValueKind
{
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,					/* fits in 64 bits */
	VALUE_BIGINT,				/* Numeric without a fraction, beyond 64 bits */
	VALUE_FLOAT,
	VALUE_STRING,				/* UTF-8 or the database's encoding, no NUL */
	VALUE_LIST,					/* Python's list or tuple (flag) */
	VALUE_DICT,					/* insertion order */
	VALUE_SET,
	VALUE_ITERATOR,				/* lazy, one pass */
	VALUE_ORDERED,				/* result of orderBy */
	VALUE_DICT_VIEW,			/* keys(), values(), items() */
	VALUE_REGEX,
	VALUE_DATETIME,
	VALUE_TIMESPAN,
	VALUE_CONTEXT,				/* let, with, def */
	VALUE_LAMBDA,
	VALUE_UNDEFINED,			/* Jinja2's StrictUndefined; YAQL's "not given" */
	VALUE_CALLABLE,				/* Jinja2's bound methods, macros, globals */
	VALUE_PAIR					/* YAQL's a => b, on its way into a dict */
} ValueKind;

typedef struct Value
{
	ValueKind	kind;
	uint32		flags;			/* VALUE_F_* */
	union
	{
		bool		boolean;
		int64		integer;
		Numeric		bigint;
		double		real;
		struct
		{
			const char *data;
			int			len;	/* bytes */
		}			string;
		struct
		{
			JsonbContainer *container;
			int			len;	/* bytes */
		}			jsonb;		/* list or dict with VALUE_F_JSONB */
		struct
		{
			int64		local;	/* microseconds since 1970-01-01, of the local clock */
			int32		offset; /* of that clock, seconds east of Greenwich */
		}			datetime;
		int64		timespan;	/* microseconds */
		void	   *object;		/* kind-specific, see value_internal.h */
	}			u;
} Value;

/* The current layer of a view: asked for a key, and for all keys. */
typedef struct ValueSource
{
	/* Fills *value and returns true when the key is there. */
	bool		(*get) (void *arg, const char *key, int len, Value *value);
	/* Calls emit for each key, in order. */
	void		(*keys) (void *arg, void (*emit) (void *emit_arg, const char *key, int len), void *emit_arg);
	void	   *arg;
} ValueSource;

extern Value value_null(void);
extern Value value_bool(bool b);
extern Value value_int(int64 i);
extern Value value_float(double d);
extern Value value_string(const char *data, int len);	/* no copy */
extern Value value_cstring(const char *s);	/* no copy */

/* Wraps a jsonb without copying it; it must outlive the value. */
extern Value value_from_jsonb(const Jsonb *jsonb);
extern Value value_from_jsonb_value(const JsonbValue *jv);

/* New empty containers in the current memory context. */
extern Value value_dict_new(void);
extern void value_dict_set(Value *dict, const char *key, Value item);	/* copies the key */
extern bool value_dict_get(const Value *dict, const char *key, int len, Value *item);
extern Value value_list_new(void);
extern void value_list_append(Value *list, Value item);

/*
 * A dict made of layers, the first that has a key gives it; nothing is copied
 * until something walks the whole.  Sources and their args must outlive it.
 */
extern Value value_view(int nsources, const ValueSource *sources);

/* A source over the top-level keys of a jsonb object (NULL jsonb: no keys). */
extern ValueSource value_jsonb_source(const Jsonb *object);

#endif							/* MISTRAL_VALUE_H */
