/*
 * value_compare.c
 *		Python's equality and hashes.
 *
 * 1, 1.0 and true are equal; a list never equals a tuple; iterators are equal
 * to themselves only.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "expr/regex.h"
#include "expr/value_internal.h"

static bool
list_equal(const Value *a, const Value *b)
{
	ListObject *la;
	ListObject *lb;

	if ((a->flags ^ b->flags) & VALUE_F_MUTABLE)
		return false;
	if (value_list_length(a) != value_list_length(b))
		return false;
	la = value_list_object(a);
	lb = value_list_object(b);
	for (int i = 0; i < la->n; i++)
	{
		expr_tick();
		if (!value_equal(&la->items[i], &lb->items[i]))
			return false;
	}
	return true;
}

static bool
dict_equal(const Value *a, const Value *b)
{
	DictObject *da;

	if (value_dict_length(a) != value_dict_length(b))
		return false;
	da = value_dict_object(a);
	for (int i = 0; i < da->n; i++)
	{
		Value		other;

		expr_tick();
		if (!value_dict_find(b, &da->entries[i].key, &other) || !value_equal(&da->entries[i].item, &other))
			return false;
	}
	return true;
}

/* A set, or a view of keys or items as one. */
static Value
as_set(const Value *value)
{
	Value		list;
	ListObject *object;

	if (value->kind == VALUE_SET)
		return *value;
	list = value_collect(value);
	object = value_list_object(&list);
	return value_set_of(object->items, object->n);
}

static bool
is_setlike(const Value *value)
{
	return value->kind == VALUE_SET ||
		(value->kind == VALUE_DICT_VIEW && (value->flags & (VALUE_F_KEYS | VALUE_F_ITEMS)));
}

bool
value_is_subset(const Value *a, const Value *b)
{
	Value		sa = as_set(a);
	Value		sb = as_set(b);
	DictObject *object = sa.u.object;

	if (object->n > value_set_length(&sb))
		return false;
	for (int i = 0; i < object->n; i++)
	{
		expr_tick();
		if (!value_set_has(&sb, &object->entries[i].key))
			return false;
	}
	return true;
}

static bool
datetime_equal(const Value *a, const Value *b)
{
	if ((a->flags ^ b->flags) & (VALUE_F_NAIVE | VALUE_F_DATE))
		return false;
	return datetime_utc(a) == datetime_utc(b);
}

/* An undefined value of Jinja2 must not even be compared. */
static void
refuse_undefined(const Value *value)
{
	if (value->kind == VALUE_UNDEFINED && (value->flags & VALUE_F_FAILS))
		expr_fail("an undefined value is compared");
}

bool
value_equal(const Value *a, const Value *b)
{
	refuse_undefined(a);
	refuse_undefined(b);
	if (value_is_number(a) && value_is_number(b))
		return number_compare(a, b) == 0;
	if (is_setlike(a) && is_setlike(b))
	{
		Value		sa = as_set(a);
		Value		sb = as_set(b);

		return value_set_length(&sa) == value_set_length(&sb) && value_is_subset(&sa, &sb);
	}
	if (a->kind != b->kind)
		return false;
	expr_check_depth();
	switch (a->kind)
	{
		case VALUE_NULL:
			return true;
		case VALUE_STRING:
			return a->u.string.len == b->u.string.len &&
				memcmp(a->u.string.data, b->u.string.data, a->u.string.len) == 0;
		case VALUE_LIST:
			return list_equal(a, b);
		case VALUE_DICT:
			return dict_equal(a, b);
		case VALUE_DATETIME:
			return datetime_equal(a, b);
		case VALUE_TIMESPAN:
			return a->u.timespan == b->u.timespan;
		case VALUE_REGEX:
			return regex_equal(a->u.object, b->u.object);
		default:
			return a->u.object == b->u.object;
	}
}

static void
unhashable(const Value *value)
{
	expr_fail("%s cannot be a key of a dict or an element of a set", value_kind_name(value));
}

static uint32
list_hash(const Value *value)
{
	ListObject *object;
	uint32		hash = 0x345678;

	if (value->flags & VALUE_F_MUTABLE)
		unhashable(value);
	object = value_list_object(value);
	for (int i = 0; i < object->n; i++)
	{
		expr_tick();
		hash = hash_combine(hash, value_hash(&object->items[i]));
	}
	return hash;
}

static uint32
dict_hash(const Value *value)
{
	DictObject *object;
	uint32		hash = 0;

	if (value->flags & VALUE_F_MUTABLE)
		unhashable(value);
	object = value_dict_object(value);
	for (int i = 0; i < object->n; i++)
	{
		uint32		key = object->entries[i].hash;

		expr_tick();
		hash ^= value->kind == VALUE_SET ? murmurhash32(key) : hash_combine(key, value_hash(&object->entries[i].item));
	}
	return hash;
}

uint32
value_hash(const Value *value)
{
	expr_check_depth();
	switch (value->kind)
	{
		case VALUE_STRING:
			return hash_bytes((const unsigned char *) value->u.string.data, value->u.string.len);
		case VALUE_BOOL:
		case VALUE_INT:
		case VALUE_BIGINT:
		case VALUE_FLOAT:
			return number_hash(value);
		case VALUE_NULL:
			return 0x9e3779b9;
		case VALUE_LIST:
			return list_hash(value);
		case VALUE_DICT:
		case VALUE_SET:
			return dict_hash(value);
		case VALUE_DICT_VIEW:
			if (value->flags & (VALUE_F_KEYS | VALUE_F_ITEMS))
				unhashable(value);
			return murmurhash32((uint32) (uintptr_t) value->u.object);
		case VALUE_DATETIME:
			{
				int64		utc = datetime_utc(value);

				return hash_bytes((unsigned char *) &utc, sizeof(utc));
			}
		case VALUE_TIMESPAN:
			return hash_bytes((const unsigned char *) &value->u.timespan, sizeof(int64));
		case VALUE_REGEX:
			return regex_hash(value->u.object);
		default:
			refuse_undefined(value);
			return murmurhash32((uint32) (uintptr_t) value->u.object);
	}
}

/* Order of code points: bytes, in every encoding that keeps it. */
int
value_string_compare(const Value *a, const Value *b)
{
	int			len = Min(a->u.string.len, b->u.string.len);
	int			c = memcmp(a->u.string.data, b->u.string.data, len);

	return c != 0 ? c : a->u.string.len - b->u.string.len;
}
