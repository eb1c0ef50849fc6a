/*
 * plain_json.h
 *		JSON text without PostgreSQL: for the I/O program, its modules, and who
 *		talks to it.
 *
 * Nothing is built: a value is a slice of the text.  A text is checked once
 * with plain_json_check(); everything else takes slices of a checked text.
 * Memory is malloc's; a buffer that could not grow says so in `failed`, so
 * that it is enough to ask once, at the end.
 */
#ifndef MISTRAL_PLAIN_JSON_H
#define MISTRAL_PLAIN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAIN_JSON_MAX_DEPTH 500

typedef struct PlainJson
{
	const char *text;			/* NULL: there is no such value */
	size_t		len;
} PlainJson;

typedef struct PlainBuffer
{
	char	   *data;			/* NUL-terminated unless empty */
	size_t		len;
	size_t		capacity;
	bool		failed;			/* there was no memory */
	bool		secret;			/* nothing of it is left in memory that is given back */
} PlainBuffer;

/* Whether the text is one JSON value, in UTF-8, not nested too deep, and without NUL characters; *value is it, without blanks around it. */
extern bool plain_json_check(const char *text, size_t len, PlainJson *value);

/* The first character says what a value is: { [ " t f n, or a number. */
extern char plain_json_kind(PlainJson value);

/* A member of an object; none when it is not an object or has no such key (of ASCII characters). */
extern PlainJson plain_json_get(PlainJson object, const char *key);

/*
 * The members of an object or the elements of an array, one after the other:
 * start with *cursor = 0.  False at the end.  `key` may be NULL; it is a string.
 */
extern bool plain_json_next(PlainJson container, size_t *cursor, PlainJson *key, PlainJson *value);

/* A string's characters, malloc'd; NULL when the value is no string, or without memory. */
extern char *plain_json_string(PlainJson value);

/* The string of a member, as plain_json_string has it. */
extern char *plain_json_get_string(PlainJson object, const char *key);

/* A member that is a whole number within int64, or true or false; else what is given for `missing`. */
extern int64_t plain_json_get_int(PlainJson object, const char *key, int64_t missing);
extern bool plain_json_get_bool(PlainJson object, const char *key, bool missing);

/* Whether a value is this string of ASCII characters. */
extern bool plain_json_is(PlainJson value, const char *string);

extern void plain_append(PlainBuffer *buffer, const char *data, size_t len);
extern void plain_append_text(PlainBuffer *buffer, const char *text);
extern void plain_append_int(PlainBuffer *buffer, int64_t number);

/* As a JSON string; bytes that are not UTF-8, and NUL characters, become U+FFFD. */
extern void plain_append_string(PlainBuffer *buffer, const char *data, size_t len);

/* Frees what it holds. */
extern void plain_reset(PlainBuffer *buffer);

#endif							/* MISTRAL_PLAIN_JSON_H */
