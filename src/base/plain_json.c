/*
 * plain_json.c
 *		JSON text without PostgreSQL: slices of a checked text, and a buffer to
 *		write to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain_json.h"

static size_t blanks(const char *p, const char *end);
static const char *scan_value(const char *p, const char *end);
static const char *scan_scalar(const char *p, const char *end);
static const char *scan_string(const char *p, const char *end);
static const char *scan_number(const char *p, const char *end);
static size_t utf8_length(const char *p, const char *end);
static const char *skip_value(const char *p, const char *end);
static const char *skip_string(const char *p, const char *end);
static unsigned hex4(const char *p);
static size_t put_utf8(char *to, unsigned c);

bool
plain_json_check(const char *text, size_t len, PlainJson *value)
{
	const char *end = text + len;
	const char *begin = text + blanks(text, end);
	const char *behind = scan_value(begin, end);

	value->text = NULL;
	value->len = 0;
	if (behind == NULL || behind + blanks(behind, end) != end)
		return false;
	value->text = begin;
	value->len = behind - begin;
	return true;
}

char
plain_json_kind(PlainJson value)
{
	return value.len > 0 ? value.text[0] : '\0';
}

PlainJson
plain_json_get(PlainJson object, const char *key)
{
	PlainJson	found = {NULL, 0};
	PlainJson	name;
	PlainJson	value;
	size_t		cursor = 0;

	if (plain_json_kind(object) != '{')
		return found;
	while (plain_json_next(object, &cursor, &name, &value))
	{
		if (plain_json_is(name, key))
			return value;
	}
	return found;
}

bool
plain_json_next(PlainJson container, size_t *cursor, PlainJson *key, PlainJson *value)
{
	const char *end = container.text + container.len;
	const char *p;

	if (plain_json_kind(container) != '{' && plain_json_kind(container) != '[')
		return false;
	p = container.text + (*cursor == 0 ? 1 : *cursor);
	p += blanks(p, end);
	if (*p == ',')
		p++;
	p += blanks(p, end);
	if (*p == '}' || *p == ']')
		return false;
	if (container.text[0] == '{')
	{
		const char *behind = skip_string(p, end);

		if (key)
		{
			key->text = p;
			key->len = behind - p;
		}
		p = behind + blanks(behind, end) + 1;	/* the colon */
		p += blanks(p, end);
	}
	value->text = p;
	p = skip_value(p, end);
	value->len = p - value->text;
	*cursor = p - container.text;
	return true;
}

char *
plain_json_string(PlainJson value)
{
	const char *end;
	char	   *text;
	char	   *to;

	if (plain_json_kind(value) != '"' || (text = malloc(value.len)) == NULL)
		return NULL;
	to = text;
	end = value.text + value.len - 1;
	for (const char *p = value.text + 1; p < end; p++)
	{
		if (*p != '\\')
		{
			*to++ = *p;
			continue;
		}
		switch (*++p)
		{
			case 'b':
				*to++ = '\b';
				break;
			case 'f':
				*to++ = '\f';
				break;
			case 'n':
				*to++ = '\n';
				break;
			case 'r':
				*to++ = '\r';
				break;
			case 't':
				*to++ = '\t';
				break;
			case 'u':
				{
					unsigned	c = hex4(p + 1);

					p += 4;
					if (c >= 0xD800 && c < 0xDC00)
					{
						c = 0x10000 + ((c - 0xD800) << 10) + (hex4(p + 3) - 0xDC00);
						p += 6;
					}
					to += put_utf8(to, c);
					break;
				}
			default:
				*to++ = *p;
		}
	}
	*to = '\0';
	return text;
}

char *
plain_json_get_string(PlainJson object, const char *key)
{
	return plain_json_string(plain_json_get(object, key));
}

int64_t
plain_json_get_int(PlainJson object, const char *key, int64_t missing)
{
	PlainJson	value = plain_json_get(object, key);
	char		digits[24];
	char	   *end;
	long long	number;

	if (value.len == 0 || value.len >= sizeof(digits))
		return missing;
	memcpy(digits, value.text, value.len);
	digits[value.len] = '\0';
	errno = 0;
	number = strtoll(digits, &end, 10);
	return errno == 0 && end != digits && *end == '\0' ? number : missing;
}

bool
plain_json_get_bool(PlainJson object, const char *key, bool missing)
{
	PlainJson	value = plain_json_get(object, key);

	if (plain_json_kind(value) == 't')
		return true;
	return plain_json_kind(value) == 'f' ? false : missing;
}

bool
plain_json_is(PlainJson value, const char *string)
{
	size_t		len = strlen(string);
	char	   *text;
	bool		same;

	if (plain_json_kind(value) != '"')
		return false;
	if (value.len == len + 2 && memcmp(value.text + 1, string, len) == 0)
		return true;
	if (memchr(value.text, '\\', value.len) == NULL)
		return false;
	text = plain_json_string(value);
	same = text != NULL && strcmp(text, string) == 0;
	free(text);
	return same;
}

void
plain_append(PlainBuffer *buffer, const char *data, size_t len)
{
	if (buffer->failed)
		return;
	if (buffer->len + len + 1 > buffer->capacity)
	{
		size_t		capacity = buffer->capacity ? buffer->capacity : 256;
		char	   *grown;

		while (capacity < buffer->len + len + 1)
			capacity *= 2;
		grown = buffer->secret ? malloc(capacity) : realloc(buffer->data, capacity);
		if (grown == NULL)
		{
			buffer->failed = true;
			return;
		}
		if (buffer->secret && buffer->data)
		{
			memcpy(grown, buffer->data, buffer->len);
			explicit_bzero(buffer->data, buffer->capacity);
			free(buffer->data);
		}
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
}

void
plain_append_text(PlainBuffer *buffer, const char *text)
{
	plain_append(buffer, text, strlen(text));
}

void
plain_append_int(PlainBuffer *buffer, int64_t number)
{
	char		digits[24];

	plain_append(buffer, digits, snprintf(digits, sizeof(digits), "%lld", (long long) number));
}

void
plain_append_string(PlainBuffer *buffer, const char *data, size_t len)
{
	const char *end = data + len;
	const char *p = data;

	plain_append(buffer, "\"", 1);
	while (p < end)
	{
		const char *begin = p;
		size_t		n;

		/* What stays as it is, in one piece. */
		while (p < end && *p != '"' && *p != '\\' && (unsigned char) *p >= 0x20 && (n = utf8_length(p, end)) > 0)
			p += n;
		plain_append(buffer, begin, p - begin);
		if (p == end)
			break;
		if (*p == '"' || *p == '\\')
		{
			plain_append(buffer, "\\", 1);
			plain_append(buffer, p, 1);
		}
		else if (*p == '\n')
			plain_append(buffer, "\\n", 2);
		else if ((unsigned char) *p < 0x20 && *p != '\0')
		{
			char		escape[8];

			plain_append(buffer, escape, snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char) *p));
		}
		else
			plain_append(buffer, "\xEF\xBF\xBD", 3);
		p++;
	}
	plain_append(buffer, "\"", 1);
}

void
plain_reset(PlainBuffer *buffer)
{
	if (buffer->secret && buffer->data)
		explicit_bzero(buffer->data, buffer->capacity);
	free(buffer->data);
	*buffer = (PlainBuffer) {.secret = buffer->secret};
}

/* ---------------------------------------------------------------- checking */

static size_t
blanks(const char *p, const char *end)
{
	const char *begin = p;

	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p - begin;
}

/* Behind the value that begins at p, or NULL.  Without recursion: `open` has what is to be closed. */
static const char *
scan_value(const char *p, const char *end)
{
	char		open[PLAIN_JSON_MAX_DEPTH];
	int			depth = 0;

	for (;;)
	{
		/* A value begins here, or an empty container ends. */
		p += blanks(p, end);
		if (p == end)
			return NULL;
		if (*p == '{' || *p == '[')
		{
			if (depth == PLAIN_JSON_MAX_DEPTH)
				return NULL;
			open[depth++] = *p == '{' ? '}' : ']';
			p++;
			p += blanks(p, end);
			if (p == end)
				return NULL;
			if (*p != open[depth - 1])
			{
				if (open[depth - 1] == ']')
					continue;
				goto key;
			}
		}
		else if ((p = scan_scalar(p, end)) == NULL)
			return NULL;
		else if (depth == 0)
			return p;

		/* A value has ended, or a container is about to. */
		for (;;)
		{
			p += blanks(p, end);
			if (p == end)
				return NULL;
			if (*p == ',')
			{
				p++;
				break;
			}
			if (*p != open[depth - 1])
				return NULL;
			p++;
			if (--depth == 0)
				return p;
		}
		if (open[depth - 1] == ']')
			continue;
key:
		p += blanks(p, end);
		if (p == end || *p != '"' || (p = scan_string(p, end)) == NULL)
			return NULL;
		p += blanks(p, end);
		if (p == end || *p != ':')
			return NULL;
		p++;
	}
}

static const char *
scan_scalar(const char *p, const char *end)
{
	static const char *const words[] = {"true", "false", "null"};

	if (*p == '"')
		return scan_string(p, end);
	for (int i = 0; i < 3; i++)
	{
		size_t		len = strlen(words[i]);

		if ((size_t) (end - p) >= len && memcmp(p, words[i], len) == 0)
			return p + len;
	}
	return scan_number(p, end);
}

static const char *
scan_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"';)
	{
		if (*p == '\\')
		{
			if (end - p < 3)
				return NULL;
			p++;
			if (*p == 'u')
			{
				unsigned	c;

				if (end - p < 6 || (c = hex4(p + 1)) == 0 || c > 0xFFFF || (c >= 0xDC00 && c < 0xE000))
					return NULL;
				p += 5;
				if (c < 0xD800 || c >= 0xE000)
					continue;
				if (end - p < 7 || p[0] != '\\' || p[1] != 'u' || (c = hex4(p + 2)) < 0xDC00 || c > 0xDFFF)
					return NULL;
				p += 6;
				continue;
			}
			if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
				return NULL;
			p++;
		}
		else
		{
			size_t		n = (unsigned char) *p < 0x20 ? 0 : utf8_length(p, end);

			if (n == 0)
				return NULL;
			p += n;
		}
	}
	return p < end ? p + 1 : NULL;
}

static const char *
scan_number(const char *p, const char *end)
{
	const char *digits;

	if (p < end && *p == '-')
		p++;
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++)
		;
	if (p == digits || (*digits == '0' && p > digits + 1))
		return NULL;
	if (p < end && *p == '.')
	{
		for (digits = ++p; p < end && *p >= '0' && *p <= '9'; p++)
			;
		if (p == digits)
			return NULL;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		for (digits = p; p < end && *p >= '0' && *p <= '9'; p++)
			;
		/* An exponent of more digits would fill pages as a numeric. */
		if (p == digits || p > digits + 3)
			return NULL;
	}
	return p;
}

/* How many bytes the character at p has; 0: it is NUL or no UTF-8. */
static size_t
utf8_length(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *) p;
	size_t		left = end - p;
	size_t		len = u[0] < 0x80 ? 1 : u[0] < 0xC2 ? 0 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : u[0] < 0xF5 ? 4 : 0;

	if (len == 0 || len > left || u[0] == 0)
		return 0;
	for (size_t i = 1; i < len; i++)
	{
		if ((u[i] & 0xC0) != 0x80)
			return 0;
	}
	if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F) ||
		(u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F))
		return 0;
	return len;
}

/* ---------------------------------------------------------------- in a checked text */

static const char *
skip_value(const char *p, const char *end)
{
	int			depth = 0;

	for (; p < end; p++)
	{
		if (*p == '"')
		{
			p = skip_string(p, end);
			if (depth == 0)
				return p;
			p--;
		}
		else if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
		{
			if (depth == 0)
				return p;
			if (--depth == 0)
				return p + 1;
		}
		else if (depth == 0 && (*p == ',' || blanks(p, end) > 0))
			return p;
	}
	return p;
}

static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
	{
		if (*p == '\\')
			p++;
	}
	return p + 1;
}

/* The number that four hexadecimal digits make; above 0xFFFF when they are none. */
static unsigned
hex4(const char *p)
{
	unsigned	c = 0;

	for (int i = 0; i < 4; i++)
	{
		char		d = p[i];

		if (d >= '0' && d <= '9')
			c = c * 16 + (d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			c = c * 16 + ((d | 0x20) - 'a' + 10);
		else
			return 0x10000;
	}
	return c;
}

static size_t
put_utf8(char *to, unsigned c)
{
	if (c < 0x80)
	{
		to[0] = c;
		return 1;
	}
	if (c < 0x800)
	{
		to[0] = 0xC0 | (c >> 6);
		to[1] = 0x80 | (c & 0x3F);
		return 2;
	}
	if (c < 0x10000)
	{
		to[0] = 0xE0 | (c >> 12);
		to[1] = 0x80 | ((c >> 6) & 0x3F);
		to[2] = 0x80 | (c & 0x3F);
		return 3;
	}
	to[0] = 0xF0 | (c >> 18);
	to[1] = 0x80 | ((c >> 12) & 0x3F);
	to[2] = 0x80 | ((c >> 6) & 0x3F);
	to[3] = 0x80 | (c & 0x3F);
	return 4;
}
