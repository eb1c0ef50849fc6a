/*
 * channel.c
 *		Frames over the socket pair between the worker and the program.
 *
 * Plain C: both sides use it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"

#define READ_SIZE (64 * 1024)

/* So much is read at a time before others have their turn. */
#define READ_MAX (4 * 1024 * 1024)

void
channel_begin(PlainBuffer *buffer, const char *op)
{
	plain_append(buffer, "\0\0\0\0{\"op\":\"", 11);
	plain_append_text(buffer, op);
	plain_append(buffer, "\"", 1);
}

void
channel_end(PlainBuffer *buffer, size_t begin)
{
	uint32_t	len;

	plain_append(buffer, "}", 1);
	if (buffer->failed)
		return;
	len = buffer->len - begin - sizeof(len);
	memcpy(buffer->data + begin, &len, sizeof(len));
}

void
channel_add_string(PlainBuffer *buffer, const char *key, const char *text)
{
	plain_append(buffer, ",\"", 2);
	plain_append_text(buffer, key);
	plain_append(buffer, "\":", 2);
	plain_append_string(buffer, text, strlen(text));
}

void
channel_add_raw(PlainBuffer *buffer, const char *key, const char *json, size_t len)
{
	plain_append(buffer, ",\"", 2);
	plain_append_text(buffer, key);
	plain_append(buffer, "\":", 2);
	plain_append(buffer, json, len);
}

void
channel_add_empty(PlainBuffer *buffer)
{
	plain_append(buffer, "\0\0\0\0", 4);
}

bool
channel_read(int fd, PlainBuffer *in, bool (*handle) (void *arg, const char *body, size_t len), void *arg, const char **why)
{
	size_t		total = 0;
	size_t		done = 0;
	bool		gone = false;

	*why = NULL;
	while (total < READ_MAX)
	{
		ssize_t		n;

		/* Room first, then the bytes where they belong. */
		plain_append(in, "", 0);
		if (!in->failed && in->capacity - in->len < READ_SIZE)
		{
			size_t		len = in->len;
			static const char none[READ_SIZE];

			plain_append(in, none, READ_SIZE);
			in->len = len;
		}
		if (in->failed)
		{
			*why = "out of memory";
			return false;
		}
		n = recv(fd, in->data + in->len, in->capacity - in->len - 1, MSG_DONTWAIT);
		if (n > 0)
		{
			in->len += n;
			total += n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		gone = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
		break;
	}
	while (in->len - done >= sizeof(uint32_t))
	{
		uint32_t	len;

		memcpy(&len, in->data + done, sizeof(len));
		if (len > CHANNEL_MAX_FRAME)
		{
			*why = "a frame is too long";
			return false;
		}
		if (in->len - done - sizeof(len) < len)
			break;
		if (!handle(arg, in->data + done + sizeof(len), len))
		{
			*why = "it said what cannot be understood";
			return false;
		}
		done += sizeof(len) + len;
	}
	if (done > 0)
	{
		memmove(in->data, in->data + done, in->len - done);
		in->len -= done;
		if (in->secret)
			explicit_bzero(in->data + in->len, done);
	}
	/* A large frame's room is not kept. */
	if (in->len == 0 && in->capacity > READ_MAX)
		plain_reset(in);
	return !gone;
}

bool
channel_object(const char *body, size_t len, PlainJson *object)
{
	return plain_json_check(body, len, object) && plain_json_kind(*object) == '{';
}
