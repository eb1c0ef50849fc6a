/*
 * http_wire.c
 *		What the worker and the program mistral_http say to each other.
 */
#include <string.h>

#include "base/http_wire.h"

#define FIELD_HEAD (1 + sizeof(uint32_t))

void
wire_begin(PlainBuffer *buffer, char kind)
{
	plain_append(buffer, "\0\0\0\0", sizeof(uint32_t));
	plain_append(buffer, &kind, 1);
}

void
wire_head(PlainBuffer *buffer, char tag, size_t len)
{
	char		head[FIELD_HEAD] = {tag};
	uint32_t	n = len;

	memcpy(head + 1, &n, sizeof(n));
	plain_append(buffer, head, sizeof(head));
}

void
wire_add(PlainBuffer *buffer, char tag, const char *data, size_t len)
{
	wire_head(buffer, tag, len);
	plain_append(buffer, data, len);
	plain_append(buffer, "", 1);
}

void
wire_add_text(PlainBuffer *buffer, char tag, const char *text)
{
	if (text)
		wire_add(buffer, tag, text, strlen(text));
}

void
wire_add_int(PlainBuffer *buffer, char tag, int64_t number)
{
	wire_add(buffer, tag, (const char *) &number, sizeof(number));
}

void
wire_end(PlainBuffer *buffer, size_t begin, size_t more)
{
	uint32_t	len;

	if (buffer->failed)
		return;
	len = buffer->len - begin - sizeof(len) + more;
	memcpy(buffer->data + begin, &len, sizeof(len));
}

bool
wire_next(const char *body, size_t len, size_t *cursor, WireField *field)
{
	uint32_t	n;

	if (*cursor > len || len - *cursor < FIELD_HEAD + 1)
		return false;
	memcpy(&n, body + *cursor + 1, sizeof(n));
	if (n > len - *cursor - FIELD_HEAD - 1 || body[*cursor + FIELD_HEAD + n] != '\0')
		return false;
	field->tag = body[*cursor];
	field->data = body + *cursor + FIELD_HEAD;
	field->len = n;
	*cursor += FIELD_HEAD + n + 1;
	return true;
}

int64_t
wire_int(const WireField *field)
{
	int64_t		number = 0;

	if (field->len == sizeof(number))
		memcpy(&number, field->data, sizeof(number));
	return number;
}
