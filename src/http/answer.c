/*
 * answer.c
 *		What comes back.
 */
#include <string.h>

#include "http/answer.h"

/* Of all heads of a request together, redirects and 1xx answers included. */
#define MAX_HEAD		(256 * 1024)
#define MAX_LINES		2000

/* A body is sure of this much room, however much others hold. */
#define SURE_BODY	(64 * 1024)

/* What all bodies may hold together: in multiples of mistral.max_result_size, and at least. */
#define BODIES_FACTOR 16
#define BODIES_MIN (64 * 1024 * 1024)

/* Roles are told apart by their number modulo this. */
#define SHARES 64

static size_t limit = 16 * 1024 * 1024;
static size_t bodies_held = 0;

void
answer_set_limit(size_t bytes)
{
	limit = bytes;
}

size_t
answer_on_header(char *data, size_t size, size_t nitems, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = size * nitems;

	transfer->head_seen += len;
	transfer->lines_seen++;
	if (transfer->head_seen > MAX_HEAD || transfer->lines_seen > MAX_LINES)
	{
		transfer_fail(transfer, "response has more than %d lines or %d kB of headers", MAX_LINES, MAX_HEAD / 1024);
		return 0;
	}
	/* A status line begins a new answer: one after 100 Continue, for instance. */
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
		transfer->head.len = 0;
	plain_append(&transfer->head, data, len);
	if (transfer->head.failed)
	{
		transfer_fail(transfer, "out of memory");
		return 0;
	}
	return len;
}

size_t
answer_on_body(char *data, size_t size, size_t nitems, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = size * nitems;
	size_t		before = transfer->content.capacity;

	if (len > limit || transfer->content.len > limit - len)
	{
		transfer_fail(transfer, "response is larger than mistral.max_result_size (%zu kB)", limit / 1024);
		return 0;
	}
	plain_append(&transfer->content, data, len);
	bodies_held += transfer->content.capacity - before;
	if (transfer->content.failed)
	{
		transfer_fail(transfer, "out of memory");
		return 0;
	}
	return len;
}

/* Answers without an end shall not be the end of ordinary ones, nor one role's of another's: it is one of the role that has most. */
Transfer *
answer_largest(Transfer *running)
{
	size_t		room = BODIES_FACTOR * limit > BODIES_MIN ? BODIES_FACTOR * limit : BODIES_MIN;
	size_t		held[SHARES] = {0};
	uint32_t	most = 0;
	Transfer   *largest = NULL;

	if (bodies_held <= room)
		return NULL;
	for (Transfer *t = running; t; t = t->next)
	{
		uint32_t	share = t->owner % SHARES;

		if (t->content.capacity > SURE_BODY)
			held[share] += t->content.capacity;
		if (held[share] > held[most])
			most = share;
	}
	for (Transfer *t = running; t; t = t->next)
		if (t->owner % SHARES == most && t->content.capacity > SURE_BODY &&
			(largest == NULL || t->content.capacity > largest->content.capacity))
			largest = t;
	if (largest)
		transfer_fail(largest, "responses under way hold more than %d times mistral.max_result_size, and this is the largest of the role that has most",
					  BODIES_FACTOR);
	return largest;
}

void
answer_clear(Transfer *transfer)
{
	bodies_held -= transfer->content.capacity;
	plain_reset(&transfer->content);
	plain_reset(&transfer->head);
}

bool
answer_write(Transfer *transfer, bool *content)
{
	PlainBuffer *out = &transfer->answer;

	*content = !transfer->failed && transfer->content.len > 0;
	wire_begin(out, WIRE_ANSWER);
	wire_add_int(out, WIRE_ID, transfer->id);
	if (transfer->failed)
		wire_add_text(out, WIRE_FAILURE, transfer->failure);
	else
	{
		wire_add_int(out, WIRE_STATUS, transfer->status);
		wire_add_int(out, WIRE_ELAPSED, transfer->elapsed);
		wire_add_text(out, WIRE_URL, transfer->url);
		for (int i = 0; i < transfer->nhops; i++)
		{
			wire_add_int(out, WIRE_HOP, transfer->hops[i].status);
			wire_add_text(out, WIRE_HOP_URL, transfer->hops[i].url);
		}
		if (transfer->jar.len > 0)
			wire_add(out, WIRE_JAR, transfer->jar.data, transfer->jar.len);
		if (transfer->head.len > 0)
			wire_add(out, WIRE_HEAD, transfer->head.data, transfer->head.len);
		if (*content)
			wire_head(out, WIRE_CONTENT, transfer->content.len);
	}
	wire_end(out, 0, *content ? transfer->content.len + 1 : 0);
	return !out->failed && !transfer->jar.failed;
}
