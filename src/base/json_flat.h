/*
 * json_flat.h
 *		Building small jsonb values of a known shape in one pass.
 *
 * A JsonBuilder keeps every value until the whole is converted.  Here each goes
 * where it will stay, for which the caller says how many a container has, gives
 * the keys of an object in jsonb's order, each once, and then their values.
 */
#ifndef MISTRAL_JSON_FLAT_H
#define MISTRAL_JSON_FLAT_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

/* Containers within one another. */
#define JSON_FLAT_DEPTH 3

typedef struct JsonFlat
{
	StringInfoData buf;
	int			depth;
	struct
	{
		int			start;		/* where its padding begins */
		int			entries;	/* where the entries of its children are */
		int			data;		/* where the values are */
		int			next;		/* the child that comes next */
		int			nchildren;	/* keys and values */
	}			open[JSON_FLAT_DEPTH];
} JsonFlat;

/* `size`: about the bytes that the whole will take. */
extern void json_flat_begin(JsonFlat *f, int size);
extern void json_flat_open_array(JsonFlat *f, int nelements);
extern void json_flat_open_object(JsonFlat *f, int npairs);
extern void json_flat_close(JsonFlat *f);
extern void json_flat_string(JsonFlat *f, const char *s, int len);	/* also a key */
extern void json_flat_int(JsonFlat *f, int i);
extern void json_flat_numeric(JsonFlat *f, Numeric number);
extern void json_flat_jsonb(JsonFlat *f, const Jsonb *value);	/* as it is; NULL: null */

/* The value, in the memory context of json_flat_begin, when all is closed. */
extern Jsonb *json_flat_finish(JsonFlat *f);

/* Compares two keys in jsonb's order. */
extern int	json_compare_keys(const char *a, int alen, const char *b, int blen);

#endif							/* MISTRAL_JSON_FLAT_H */
