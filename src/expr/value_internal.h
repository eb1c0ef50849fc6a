/*
 * value_internal.h
 *		What is behind a Value, for the two languages; not for other layers.
 *
 * Functions that build anything allocate in the current memory context.  They
 * raise with expr_fail() and expr_limit() (eval.h).
 */
#ifndef MISTRAL_VALUE_INTERNAL_H
#define MISTRAL_VALUE_INTERNAL_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "expr/eval.h"
#include "expr/value.h"

/* Python's list, dict or set, as opposed to tuple, FrozenDict or frozenset. */
#define VALUE_F_MUTABLE 0x01
/* So are all containers in it, found when they are reached. */
#define VALUE_F_DEEP 0x02
/* A list or dict still in its jsonb (u.jsonb). */
#define VALUE_F_JSONB 0x04
/* A dict made of layers (u.object is a DictView). */
#define VALUE_F_VIEW 0x08
/* A datetime without a zone, or a date without a time. */
#define VALUE_F_NAIVE 0x10
#define VALUE_F_DATE 0x20
/* A dict view of keys or of items; neither: of values. */
#define VALUE_F_KEYS 0x10
#define VALUE_F_ITEMS 0x20
/* A string that is safe HTML, for Jinja2. */
#define VALUE_F_SAFE_TEXT 0x40
/* An undefined value that must not be looked at. */
#define VALUE_F_FAILS 0x10
/* An iterator that remembers what it yielded: every loop starts anew. */
#define VALUE_F_MEMO 0x10

typedef struct ListObject
{
	int			n;
	int			size;
	bool		deepened;		/* VALUE_F_DEEP has reached the items */
	Value	   *items;
} ListObject;

typedef struct DictEntry
{
	Value		key;
	Value		item;
	uint32		hash;
} DictEntry;

/* Also what is behind a set, whose items are not used. */
typedef struct DictObject
{
	int			n;
	int			size;
	bool		deepened;
	DictEntry  *entries;		/* in order of insertion */
	int32	   *index;			/* open addressing over entries, NULL while small */
	uint32		index_mask;
} DictObject;

typedef struct DictView
{
	DictObject *whole;			/* once something walked it */
	int			nsources;
	ValueSource sources[FLEXIBLE_ARRAY_MEMBER];
} DictView;

/* A lazy sequence; the kinds extend it. */
typedef struct Iterator Iterator;
struct Iterator
{
	bool		(*next) (Iterator *it, Value *item);
	Eval	   *ev;
};

/* What every VALUE_CALLABLE begins with. */
typedef struct CallableObject
{
	void		(*repr) (StringInfo out, const Value *value);
	Iterator   *(*iterate) (const Value *value);	/* NULL: it has no elements */
} CallableObject;

/* value.c */
extern Value value_object(ValueKind kind, uint32 flags, void *object);
extern Value value_bigint(Numeric n);
extern Value value_text(StringInfo buf);
extern Value value_list_sized(int n);
extern Value value_list_of(const Value *items, int n);	/* copies the array */
extern int	value_list_length(const Value *list);
extern Value value_list_item(const Value *list, int i);
extern ListObject *value_list_object(const Value *list);
extern Value value_child(const Value *parent, Value child);
extern void value_push(Value *list, Value item);	/* without the size checks of the public one */
extern Value value_copy(const Value *value);	/* into the current context, nothing shared but jsonb */
extern const char *value_kind_name(const Value *value);

/* value_dict.c */
extern Value value_set_new(void);
extern DictObject *value_dict_object(const Value *dict);	/* dict, set */
extern int	value_dict_length(const Value *dict);
extern void dict_object_put(DictObject *dict, Value key, Value item);
extern DictEntry *dict_object_find(DictObject *dict, const Value *key);
extern bool value_dict_find(const Value *dict, const Value *key, Value *item);
extern void value_dict_put(Value *dict, Value key, Value item);
extern Value value_dict_copy(const Value *dict);
extern Value value_set_of(const Value *items, int n);
extern bool value_set_has(const Value *set, const Value *item);
extern int	value_set_length(const Value *set);

/* value_compare.c */
extern bool value_equal(const Value *a, const Value *b);
extern uint32 value_hash(const Value *value);	/* raises what Python cannot hash */
extern bool value_is_subset(const Value *a, const Value *b);
extern int	value_string_compare(const Value *a, const Value *b);

/* value_number.c */
extern Value value_from_numeric(Numeric n);
extern Value value_from_digits(const char *digits); /* decimal, of any length */
extern Numeric value_to_numeric(const Value *value);	/* int or bigint */
extern double value_to_double(const Value *value);
extern bool value_is_integer(const Value *value);	/* int, bigint or bool */
extern bool value_is_number(const Value *value);	/* or float */
extern int	number_compare(const Value *a, const Value *b); /* -1, 0, 1; 2 for NaN */
extern Value number_add(const Value *a, const Value *b);
extern Value number_subtract(const Value *a, const Value *b);
extern Value number_multiply(const Value *a, const Value *b);
extern Value number_divide(const Value *a, const Value *b); /* a float */
extern Value number_floor_divide(const Value *a, const Value *b);
extern Value number_modulo(const Value *a, const Value *b);
extern Value number_negate(const Value *a);
extern Value number_power(const Value *a, const Value *b);
extern Value number_power_modulo(const Value *a, const Value *b, const Value *m);
extern Value number_round(const Value *a, int64 digits);
extern Value number_from_double(double d);	/* truncates to an int */
extern Value number_bitwise(char op, const Value *a, const Value *b);	/* & | ^ */
extern Value number_shift(const Value *a, const Value *bits, bool left);
extern char *number_hex(const Value *a);
extern bool number_parse_int(const char *s, int len, Value *value);
extern bool number_parse_float(const char *s, int len, double *value);
extern char *float_repr(double d);
extern uint32 number_hash(const Value *value);

/* value_text.c */
extern void value_repr(StringInfo out, const Value *value);
extern void value_str(StringInfo out, const Value *value);
extern Value value_to_string(const Value *value);

/* value_iter.c */
extern Value iterator_value(Iterator *it);
extern bool value_is_iterable(const Value *value);	/* not strings, not dicts */
extern Iterator *value_iterate(const Value *iterable);
extern bool iterator_next(Iterator *it, Value *item);
extern Value iterator_to_list(Iterator *it);
extern Value value_collect(const Value *iterable);	/* a list of its elements */
extern Value value_memorize(const Value *iterable);
extern Value value_limited(const Value *iterable, int limit);
extern Value value_view_of(const Value *dict, uint32 flags);
extern const Value *value_view_dict(const Value *view);
extern Value value_list_slice(const Value *list, int64 from, int64 to);

/* The ways in which orderBy's results are iterated belong to YAQL. */
typedef struct OrderedObject
{
	Value		collection;
	Value	   *sorted;			/* a list, once sorted */
	Value		(*sort) (struct OrderedObject *ordered);
} OrderedObject;

/* value_json.c, json.c */
extern Value json_parse(const char *s, int len);
extern void json_dump(StringInfo out, const Value *value, int indent);

/* yaml.c */
extern Value yaml_parse(const char *s, int len);
extern void yaml_dump(StringInfo out, const Value *value);

/* unicode.c */
extern int	char_length(const char *s, const char *end);
extern int	text_length(const char *s, int len);	/* in characters */
extern int	text_offset(const char *s, int len, int64 chars);	/* bytes */
extern bool char_is_space(const char *s, int len);
extern bool text_printable(const char *s, int len);
extern Value text_upper(const char *s, int len);
extern Value text_lower(const char *s, int len);
extern Value text_lower_at(const char *text, const char *s, const char *end);
extern void append_code_point(StringInfo out, uint32 code);
extern uint32 char_code(const char *s);
extern int	char_digit(const char *s, const char *end); /* -1 when it is no digit */

/* datetime.c */
extern Value datetime_build(int year, int month, int day, int hour, int minute, int second,
							int microsecond, int offset);
extern Value datetime_now(int offset);
extern Value datetime_from_timestamp(double seconds, int offset);
extern void datetime_str(StringInfo out, const Value *dt);
extern void datetime_repr(StringInfo out, const Value *dt);
extern void timespan_str(StringInfo out, const Value *ts);
extern void timespan_repr(StringInfo out, const Value *ts);
extern void datetime_stored(StringInfo out, const Value *dt);
extern int64 datetime_utc(const Value *dt); /* microseconds since 1970 */
extern Value datetime_shift(const Value *dt, int64 microseconds);
extern Value datetime_format(const Value *dt, const char *format, int len);
extern Value datetime_parse(const char *s, int len, const char *format, int format_len);
extern Value datetime_parse_any(const char *s, int len);

typedef struct DateParts
{
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				microsecond,
				weekday;		/* Monday is 0 */
} DateParts;
extern void datetime_parts(const Value *dt, DateParts *parts);
extern int64 days_from_civil(int year, int month, int day);

/* What the engine gives counts as Python's mutable data, at every depth. */
static inline Value
value_raw(Value value)
{
	if (value.kind == VALUE_LIST || value.kind == VALUE_DICT)
		value.flags |= VALUE_F_MUTABLE | VALUE_F_DEEP;
	return value;
}

/* Wide enough for a list, short to write. */
static inline bool
value_is(const Value *value, ValueKind kind)
{
	return value->kind == kind;
}

#endif							/* MISTRAL_VALUE_INTERNAL_H */
