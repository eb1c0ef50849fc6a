/*
 * main.c
 *		mistral_io: does the I/O of modules, apart from the server.
 *
 *		mistral_io PARENT MEMORY
 *
 * A worker of the server starts it and talks to it over the socket at descriptor
 * 3 (channel.h).  It has no connection to the database and no part of the shared
 * memory, it ends when its parent does, and it may use MEMORY kB.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "io/confine.h"
#include "io/connect.h"
#include "io/modules.h"

#define MAX_FDS 4096
#define MAX_FILES 4096

static bool started = false;

static bool handle(void *arg, const char *body, size_t len);
static void set_rules(PlainJson frame);
static bool flush(void);

int
main(int argc, char **argv)
{
	static struct pollfd fds[MAX_FDS];
	PlainBuffer in = {.secret = true};

	confine(argc, argv, MAX_FILES);
	for (;;)
	{
		int64_t		now = io_now();
		int			n = modules_pollfds(fds + 1, MAX_FDS - 1);
		int64_t		timeout = modules_timeout(now);
		const char *why;

		fds[0].fd = CHANNEL_FD;
		fds[0].events = POLLIN | (io_out.len > 0 ? POLLOUT : 0);
		if (poll(fds, n + 1, timeout < 0 ? -1 : timeout > 60000 ? 60000 : (int) timeout) < 0 && errno != EINTR)
			return 1;
		if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) && !channel_read(CHANNEL_FD, &in, handle, NULL, &why))
			break;
		modules_drive(io_now());
		if (!flush())
			break;
	}
	/* The worker has gone: what is under way is for its successor to settle. */
	modules_stop();
	return 0;
}

static bool
handle(void *arg, const char *body, size_t len)
{
	PlainJson	frame;
	PlainJson	op;

	if (len == 0)
	{
		channel_add_empty(&io_out);
		return true;
	}
	if (!channel_object(body, len, &frame))
		return false;
	op = plain_json_get(frame, "op");
	if (plain_json_is(op, "submit"))
		modules_submit(frame);
	else if (plain_json_is(op, "cancel"))
		modules_cancel(frame);
	else if (plain_json_is(op, "delivered"))
		modules_delivered(frame);
	else if (plain_json_is(op, "configure"))
		modules_configure(frame);
	else if (plain_json_is(op, "egress"))
		set_rules(frame);
	else if (plain_json_is(op, "start") && !started)
	{
		started = true;
		modules_load(frame);
	}
	return true;
}

static void
set_rules(PlainJson frame)
{
	char	   *allow = plain_json_get_string(frame, "allow");
	char	   *deny = plain_json_get_string(frame, "deny");

	if (allow == NULL || deny == NULL || !connect_set_rules(allow, deny, (int) plain_json_get_int(frame, "own_port", 0)))
		exit(1);
	free(allow);
	free(deny);
}

/* Sends what can be sent now. */
static bool
flush(void)
{
	size_t		sent = 0;

	if (io_out.failed)
		return false;
	while (sent < io_out.len)
	{
		ssize_t		n = send(CHANNEL_FD, io_out.data + sent, io_out.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += n;
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		else
			return false;
	}
	if (sent == io_out.len)
		io_out.len = 0;
	else if (sent > 0)
	{
		memmove(io_out.data, io_out.data + sent, io_out.len - sent);
		io_out.len -= sent;
	}
	return true;
}
