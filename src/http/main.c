/*
 * main.c
 *		mistral_http: sends the requests of HTTP actions, webhooks and mails,
 *		apart from the server.
 *
 *		mistral_http PARENT MEMORY
 *
 * A worker of the server starts it and talks to it over the socket at descriptor
 * 3 (http_wire.h).  It has no connection to the database and no part of the
 * shared memory, it ends when its parent does, and it may use MEMORY kB.  Which
 * request is sent when is the worker's business: here each begins as it comes.
 */
#define _GNU_SOURCE			/* pthread_setattr_default_np */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/channel.h"
#include "http/answer.h"
#include "http/pool.h"
#include "io/confine.h"

/* The resolver's threads need little, and all of them together have a limit. */
#define THREAD_STACK (256 * 1024)

#define EVENTS 64
#define ROUNDS 16

/* Answers that one call of the kernel takes. */
#define SEND_ANSWERS 32

static int	epoll_fd = -1;
static bool writes = false;
static Transfer *sending = NULL;	/* what waits to be sent; something of the first may have left */
static Transfer *last_sending = NULL;
static size_t sent = 0;			/* of the first */

static bool say_hello(void);
static bool say(PlainBuffer *frame);
static void enqueue(Transfer *transfer);
static bool handle(void *arg, const char *body, size_t len);
static bool set_rules(const char *body, size_t len);
static void allow_files(int64_t connections);
static bool collect(void);
static bool flush(void);
static int	next_parts(struct iovec *parts);
static void drop_sent(size_t n);
static void watch(void);

int
main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = CHANNEL_FD};
	pthread_attr_t attributes;
	PlainBuffer in = {.secret = true};

	confine(argc, argv, 0);
	if (pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0)
		(void) pthread_setattr_default_np(&attributes);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, CHANNEL_FD, &event) != 0 || !pool_start(epoll_fd) || !say_hello())
		return 1;
	for (;;)
	{
		int			timeout;

		if (!collect() || !flush())
			return 0;
		watch();
		timeout = pool_timeout();
		/* What comes meanwhile is answered together. */
		for (int round = 0; round < ROUNDS; round++)
		{
			struct epoll_event events[EVENTS];
			int			n = epoll_wait(epoll_fd, events, EVENTS, round == 0 ? timeout : 0);

			if (n < 0 && errno != EINTR)
				return 1;
			for (int i = 0; i < n; i++)
			{
				const char *why;

				if (events[i].data.fd != CHANNEL_FD)
					pool_ready(events[i].data.fd, events[i].events);
				else if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !channel_read(CHANNEL_FD, &in, handle, NULL, &why))
					return 0;	/* the worker has gone: what is under way is for its successor to settle */
			}
			pool_turn();
			if (n <= 0)
				break;
		}
	}
}

static bool
say_hello(void)
{
	curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
	PlainBuffer frame = {0};

	wire_begin(&frame, WIRE_HELLO);
	if ((version->features & CURL_VERSION_ASYNCHDNS) == 0)
		wire_add_text(&frame, WIRE_FAILURE, "libcurl looks up host names without a thread of its own, so that a slow name server holds up every request");
	wire_end(&frame, 0, 0);
	return say(&frame);
}

/* A frame that is no answer takes its turn among them; false without memory. */
static bool
say(PlainBuffer *frame)
{
	Transfer   *empty = calloc(1, sizeof(Transfer));

	if (empty == NULL || frame->failed)
	{
		free(empty);
		plain_reset(frame);
		return false;
	}
	empty->answer = *frame;
	enqueue(empty);
	return true;
}

static void
enqueue(Transfer *transfer)
{
	transfer->next = NULL;
	if (last_sending)
		last_sending->next = transfer;
	else
		sending = transfer;
	last_sending = transfer;
}

static bool
handle(void *arg, const char *body, size_t len)
{
	Transfer   *transfer;

	if (len == 0)
	{
		PlainBuffer empty = {0};

		channel_add_empty(&empty);
		return say(&empty);
	}
	if (body[0] == WIRE_RULES)
		return set_rules(body, len);
	if (body[0] != WIRE_REQUEST || (transfer = transfer_new(body, len)) == NULL)
		return false;
	pool_add(transfer);
	return true;
}

static bool
set_rules(const char *body, size_t len)
{
	const char *allow = "";
	const char *deny = NULL;
	int			own_port = 0;
	size_t		cursor = 1;
	WireField	field;

	while (wire_next(body, len, &cursor, &field))
	{
		if (field.tag == WIRE_ALLOW)
			allow = field.data;
		else if (field.tag == WIRE_DENY)
			deny = field.data;
		else if (field.tag == WIRE_OWN_PORT)
			own_port = wire_int(&field);
		else if (field.tag == WIRE_MAX_RESULT)
			answer_set_limit(wire_int(&field));
		else if (field.tag == WIRE_CONNECTIONS)
			allow_files(wire_int(&field));
	}
	return cursor == len && deny != NULL && transfer_set_rules(allow, deny, own_port);
}

/* Each request needs a descriptor; what is usual is made for files. */
static void
allow_files(int64_t connections)
{
	struct rlimit files;
	rlim_t		wanted = connections + HTTP_IDLE_LIMIT + HTTP_SPARE_FDS;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted)
		return;
	files.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
	(void) setrlimit(RLIMIT_NOFILE, &files);
}

/* What has ended is made ready to be sent; false without memory. */
static bool
collect(void)
{
	Transfer   *transfer;

	while ((transfer = pool_take()) != NULL)
	{
		bool		content;

		if (!answer_write(transfer, &content))
			return false;
		if (!content)
			answer_clear(transfer);
		enqueue(transfer);
	}
	return true;
}

/* Sends what can be sent now; false when the worker has gone. */
static bool
flush(void)
{
	for (;;)
	{
		struct iovec parts[2 * SEND_ANSWERS + 1];
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = next_parts(parts)};
		ssize_t		n;

		if (message.msg_iovlen == 0)
			return true;
		n = sendmsg(CHANNEL_FD, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		drop_sent(n);
	}
}

/* What waits to be sent, without what has left of the first; how many parts. */
static int
next_parts(struct iovec *parts)
{
	size_t		skip = sent;
	int			n = 0;

	for (Transfer *t = sending; t && n < 2 * SEND_ANSWERS; t = t->next)
	{
		/* A content is followed by the NUL that its buffer has. */
		size_t		content = t->content.len > 0 ? t->content.len + 1 : 0;

		if (skip < t->answer.len)
		{
			parts[n].iov_base = t->answer.data + skip;
			parts[n++].iov_len = t->answer.len - skip;
			skip = 0;
		}
		else
			skip -= t->answer.len;
		if (skip < content)
		{
			parts[n].iov_base = t->content.data + skip;
			parts[n++].iov_len = content - skip;
		}
		skip = 0;
	}
	return n;
}

/* So many bytes have left. */
static void
drop_sent(size_t n)
{
	sent += n;
	while (sending)
	{
		Transfer   *t = sending;
		size_t		len = t->answer.len + (t->content.len > 0 ? t->content.len + 1 : 0);

		if (sent < len)
			return;
		sent -= len;
		sending = t->next;
		transfer_free(t);
	}
	last_sending = NULL;
}

static void
watch(void)
{
	struct epoll_event event = {.events = EPOLLIN | (sending ? EPOLLOUT : 0), .data.fd = CHANNEL_FD};

	if (writes != (sending != NULL) && epoll_ctl(epoll_fd, EPOLL_CTL_MOD, CHANNEL_FD, &event) == 0)
		writes = sending != NULL;
}
