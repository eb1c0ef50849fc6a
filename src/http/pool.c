/*
 * pool.c
 *		The requests under way: libcurl's multi handle.
 *
 * libcurl says which sockets it waits for and when it wants to be called.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "http/answer.h"
#include "http/pool.h"

/*
 * libcurl is to end what does not end in time.  Where it has only just been
 * called for that, it may take the time as not quite over and want no other
 * call: what is late by so much is ended here.
 */
#define OVERDUE_MS 200

static CURLM *multi = NULL;
static int	epoll_fd = -1;
static int64_t curl_due = -1;	/* monotonic ms at which libcurl wants to be called; -1: not */
static int64_t overdue_at = INT64_MAX;	/* monotonic ms before which nothing is overdue */
static Transfer *running = NULL;
static int	ndoubtful = 0;		/* of them */
static Transfer *finished = NULL;
static Transfer *last_finished = NULL;

static int	on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg);
static int	on_timer(CURLM *handle, long timeout_ms, void *arg);
static CURLMcode add(Transfer *transfer);
static void reap(void);
static void end_overdue(void);
static void hop_ended(Transfer *transfer, CURLcode code);
static void avoid_connection(const Transfer *transfer);
static bool same_server(const Transfer *one, const Transfer *other);
static void leave(Transfer *transfer);
static void finish(Transfer *transfer);

bool
pool_start(int epoll)
{
	epoll_fd = epoll;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	multi = curl_multi_init();
	return multi != NULL &&
		curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) HTTP_IDLE_LIMIT) == CURLM_OK;
}

void
pool_add(Transfer *transfer)
{
	transfer->deadline = monotonic_ms() + transfer->timeout_ms;
	if (!transfer_prepare(transfer) || add(transfer) != CURLM_OK)
	{
		transfer_fail(transfer, "libcurl could not take the request");
		finish(transfer);
		return;
	}
	transfer->previous = NULL;
	transfer->next = running;
	if (running)
		running->previous = transfer;
	running = transfer;
	overdue_at = MIN(overdue_at, transfer->deadline + OVERDUE_MS);
}

int
pool_timeout(void)
{
	int64_t		due = running ? overdue_at : INT64_MAX;
	int64_t		left;

	if (curl_due >= 0)
		due = MIN(due, curl_due);
	if (due == INT64_MAX)
		return -1;
	left = due - monotonic_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int) left;
}

void
pool_ready(int fd, unsigned int events)
{
	int			flags = 0;
	int			still_running;

	if (events & EPOLLIN)
		flags |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		flags |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		flags |= CURL_CSELECT_ERR;
	curl_multi_socket_action(multi, fd, flags, &still_running);
}

void
pool_turn(void)
{
	Transfer   *largest;
	int			still_running;

	if (curl_due >= 0 && curl_due <= monotonic_ms())
	{
		curl_due = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &still_running);
	}
	reap();
	if (running && overdue_at <= monotonic_ms())
		end_overdue();
	/* Their servers may say nothing more, so libcurl would not end them. */
	while ((largest = answer_largest(running)) != NULL)
	{
		curl_multi_remove_handle(multi, largest->easy);
		leave(largest);
	}
}

Transfer *
pool_take(void)
{
	Transfer   *transfer = finished;

	if (transfer)
		finished = transfer->next;
	if (finished == NULL)
		last_finished = NULL;
	return transfer;
}

/* libcurl tells which socket it waits for, and for what. */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct epoll_event event = {0};

	if (what == CURL_POLL_REMOVE)
	{
		/* A closed descriptor has left epoll by itself. */
		(void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.data.fd = fd;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	/* libcurl keeps the mark as long as it waits for the socket. */
	if (socket_arg == NULL)
	{
		curl_multi_assign(multi, fd, &epoll_fd);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -1;
}

/* libcurl tells when it wants to be called though no socket is ready. */
static int
on_timer(CURLM *handle, long timeout_ms, void *arg)
{
	curl_due = timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
	return 0;
}

/* Not to a connection that may be stuck. */
static CURLMcode
add(Transfer *transfer)
{
	const Transfer *other;

	for (other = ndoubtful > 0 ? running : NULL; other; other = other->next)
		if (other->doubtful && same_server(transfer, other))
		{
			curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
			break;
		}
	return curl_multi_add_handle(multi, transfer->easy);
}

/* Collects the hops that have ended: a redirected request goes on, any other is finished. */
static void
reap(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		Transfer   *transfer = NULL;
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer);
		hop_ended(transfer, code);
	}
}

static void
end_overdue(void)
{
	int64_t		now = monotonic_ms();
	Transfer   *next;

	overdue_at = INT64_MAX;
	for (Transfer *transfer = running; transfer; transfer = next)
	{
		next = transfer->next;
		if (transfer->deadline + OVERDUE_MS <= now)
			hop_ended(transfer, CURLE_OPERATION_TIMEDOUT);
		else
			overdue_at = MIN(overdue_at, transfer->deadline + OVERDUE_MS);
	}
}

static void
hop_ended(Transfer *transfer, CURLcode code)
{
	if (code == CURLE_OPERATION_TIMEDOUT)
		avoid_connection(transfer);
	curl_multi_remove_handle(multi, transfer->easy);
	if (transfer_ended(transfer, code))
	{
		if (add(transfer) == CURLM_OK)
			return;
		transfer_fail(transfer, "libcurl could not take the request");
	}
	leave(transfer);
}

/*
 * Of HTTP/2 libcurl ends only the stream whose answer did not come in time, and
 * keeps the connection, on which the next answer may not come either.  One that
 * nobody uses is shut, so that libcurl finds it dead; libcurl tells the socket of
 * no other.  One that others use as well may be good for them: until they have
 * ended, requests to that server get connections of their own, and when they do
 * not end in time either, the last of them comes here.
 */
static void
avoid_connection(const Transfer *transfer)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	Transfer   *other;

	if (curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
	{
		(void) shutdown(fd, SHUT_RDWR);
		return;
	}
	for (other = running; other; other = other->next)
		if (other != transfer && !other->doubtful && same_server(transfer, other))
		{
			other->doubtful = true;
			ndoubtful++;
		}
}

static bool
same_server(const Transfer *one, const Transfer *other)
{
	return one->origin && other->origin && strcmp(one->origin, other->origin) == 0;
}

/* Out of the running ones. */
static void
leave(Transfer *transfer)
{
	if (transfer->previous)
		transfer->previous->next = transfer->next;
	else
		running = transfer->next;
	if (transfer->next)
		transfer->next->previous = transfer->previous;
	if (transfer->doubtful)
		ndoubtful--;
	finish(transfer);
}

static void
finish(Transfer *transfer)
{
	transfer_release(transfer);
	/* What came of a failed one would take the room of good ones. */
	if (transfer->failed)
		answer_clear(transfer);
	transfer->next = NULL;
	if (last_finished)
		last_finished->next = transfer;
	else
		finished = transfer;
	last_finished = transfer;
}
