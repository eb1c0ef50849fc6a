/*
 * http_pool.c
 *		The requests under way: libcurl's multi handle, one descriptor to wait
 *		for, and the limit in all.
 *
 * libcurl says which sockets it waits for and when it wants to be called; both
 * go into one epoll descriptor (the time as a timerfd), so that the process
 * waits for it, its latch and the postmaster's death in one call.
 *
 * What may not start yet waits in http_queue.c.
 *
 * libcurl's callbacks (on_socket, on_timer) neither raise nor palloc.
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/ilist.h"

#include "base/clock.h"
#include "executor/http_egress.h"
#include "executor/http_pool.h"
#include "executor/http_queue.h"
#include "executor/http_response.h"
#include "executor/http_transfer.h"
#include "guc.h"

#define HTTP_IDLE_LIMIT		256 /* connections kept for later requests */
#define HTTP_SPARE_FDS		128 /* of the process, for everything but requests */
#define HTTP_DRIVE_EVENTS	64
#define HTTP_DRIVE_ROUNDS	16

static CURLM *multi = NULL;
static int	epoll_fd = -1;
static int	timer_fd = -1;
static int64 curl_due = -1;		/* monotonic nanoseconds at which libcurl wants to be called; -1: not */
static int64 wake_due = -1;		/* the same for http_pool_wake_at */
static int64 armed = -1;		/* what the timerfd is set to; -1: it is not */
static int	limit = 1;			/* what http_pool_limit() gave last */
static int	nrunning = 0;
static int	nfinished = 0;
static dlist_head running = DLIST_STATIC_INIT(running);
static dlist_head finished = DLIST_STATIC_INIT(finished);

static int	on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg);
static int	on_timer(CURLM *handle, long timeout_ms, void *arg);
static int64 monotonic_now(void);
static void wake_at(int64 due);
static void arm_timer(void);
static bool start(HttpRequest *request);
static void finish(HttpRequest *request);
static void drop_given_up(void);
static void leave(HttpRequest *request);
static void start_waiting(void);
static void reap(void);
static void dispatch_event(const struct epoll_event *event);
static void run_due(void);

void
http_pool_start(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct rlimit files;
	CurlSignals saved;
	bool		ok;

	/* The postmaster's limit is made for files; each request needs one more. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		rlim_t		wanted = (rlim_t) guc_http_max_connections + HTTP_IDLE_LIMIT + HTTP_SPARE_FDS;

		if (files.rlim_cur < wanted)
		{
			files.rlim_cur = Min(wanted, files.rlim_max);
			(void) setrlimit(RLIMIT_NOFILE, &files);
		}
	}

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.fd = timer_fd;
	if (epoll_fd < 0 || timer_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not make the descriptors of the HTTP executor: %m")));
	http_queue_start();

	curl_signals_block(&saved);
	multi = curl_multi_init();
	ok = multi != NULL &&
		curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) HTTP_IDLE_LIMIT) == CURLM_OK;
	curl_signals_restore(&saved);
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libcurl")));
}

void
http_pool_shutdown(void)
{
	CurlSignals saved;
	HttpRequest *request;

	curl_signals_block(&saved);
	while (!dlist_is_empty(&running))
	{
		request = dlist_container(HttpRequest, node, dlist_pop_head_node(&running));
		curl_multi_remove_handle(multi, request->easy);
		http_transfer_free(request);
		http_response_clear(request);
		http_request_free(request);
	}
	nrunning = 0;
	while ((request = http_pool_take()) != NULL)
	{
		http_response_clear(request);
		http_request_free(request);
	}
	if (multi != NULL)
		curl_multi_cleanup(multi);
	curl_signals_restore(&saved);

	multi = NULL;
	http_queue_shutdown();
	if (epoll_fd >= 0)
		close(epoll_fd);
	if (timer_fd >= 0)
		close(timer_fd);
	epoll_fd = timer_fd = -1;
	curl_due = wake_due = armed = -1;
}

void
http_pool_add(HttpRequest *request)
{
	if (request->failed)
	{
		finish(request);
		return;
	}
	http_queue_place(request);
	if (nrunning >= limit || !http_queue_may_start(request, monotonic_now()))
	{
		http_queue_add(request);
		return;
	}
	(void) start(request);
}

int
http_pool_fd(void)
{
	return epoll_fd;
}

void
http_pool_drive(void)
{
	struct epoll_event events[HTTP_DRIVE_EVENTS];
	CurlSignals saved;
	int			round;
	int			n;
	int			i;

	http_egress_refresh();
	curl_signals_block(&saved);
	/* What has just been added is sent without a turn through the timerfd. */
	run_due();
	for (round = 0; round < HTTP_DRIVE_ROUNDS; round++)
	{
		n = epoll_wait(epoll_fd, events, HTTP_DRIVE_EVENTS, 0);
		for (i = 0; i < n; i++)
			dispatch_event(&events[i]);
		reap();
		if (http_response_gave_up())
			drop_given_up();
		/* What has come meanwhile is recorded together with the others. */
		if (n <= 0)
			break;
	}
	start_waiting();
	arm_timer();
	curl_signals_restore(&saved);
}

HttpRequest *
http_pool_take(void)
{
	if (dlist_is_empty(&finished))
		return NULL;
	nfinished--;
	return dlist_container(HttpRequest, node, dlist_pop_head_node(&finished));
}

void
http_pool_wake_at(TimestampTz when)
{
	wake_at(monotonic_now() + Max(when - clock_steady(), 0) * 1000);
}

static void
wake_at(int64 due)
{
	if (wake_due < 0 || due < wake_due)
		wake_due = due;
	arm_timer();
}

int
http_pool_held(void)
{
	return nrunning + http_queue_waiting() + nfinished;
}

int
http_pool_limit(void)
{
	struct rlimit files;
	int64		room = guc_http_max_connections;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		room = Min(room, (int64) files.rlim_cur - HTTP_SPARE_FDS);
	limit = (int) Max(room, 1);
	return limit;
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

/*
 * libcurl tells when it wants to be called though no socket is ready.  It does
 * so several times for each request; the timerfd is set when the turn ends.
 */
static int
on_timer(CURLM *handle, long timeout_ms, void *arg)
{
	curl_due = timeout_ms < 0 ? -1 : monotonic_now() + (int64) timeout_ms * 1000000;
	return 0;
}

static int64
monotonic_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A timer that is set for too early stays: it is set anew when it has rung. */
static void
arm_timer(void)
{
	struct itimerspec spec = {0};
	int64		due = curl_due;

	if (wake_due >= 0 && (due < 0 || wake_due < due))
		due = wake_due;
	if (due < 0 || (armed >= 0 && armed <= due))
		return;
	due = Max(due, 1);			/* zero would disarm it */
	spec.it_value.tv_sec = due / 1000000000;
	spec.it_value.tv_nsec = due % 1000000000;
	if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
		armed = due;
}

static void
dispatch_event(const struct epoll_event *event)
{
	int			flags = 0;
	int			still_running;
	uint64		expirations;

	if (event->data.fd != timer_fd)
	{
		if (event->events & EPOLLIN)
			flags |= CURL_CSELECT_IN;
		if (event->events & EPOLLOUT)
			flags |= CURL_CSELECT_OUT;
		if (event->events & (EPOLLERR | EPOLLHUP))
			flags |= CURL_CSELECT_ERR;
		curl_multi_socket_action(multi, event->data.fd, flags, &still_running);
		return;
	}

	if (read(timer_fd, &expirations, sizeof(expirations)) < 0)
		return;					/* rearmed meanwhile */
	armed = -1;
	run_due();
}

/* Calls libcurl when it wants to be called, whatever has woken us. */
static void
run_due(void)
{
	int64		now = monotonic_now();
	int			still_running;

	if (wake_due >= 0 && wake_due <= now)
		wake_due = -1;
	if (curl_due >= 0 && curl_due <= now)
	{
		curl_due = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &still_running);
	}
}

/* Begins the first hop; the clock of its timeout starts here.  False: no more may be started. */
static bool
start(HttpRequest *request)
{
	request->deadline = clock_steady() + (int64) request->timeout_ms * 1000;
	if (http_transfer_prepare(request) && curl_multi_add_handle(multi, request->easy) == CURLM_OK)
	{
		http_queue_started(request, monotonic_now());
		nrunning++;
		dlist_push_tail(&running, &request->node);
	}
	else
	{
		http_request_fail(request, "libcurl could not take the request");
		finish(request);
	}
	return nrunning < limit;
}

static void
finish(HttpRequest *request)
{
	http_transfer_free(request);
	http_response_ended(request);
	dlist_push_tail(&finished, &request->node);
	nfinished++;
}

/* Collects the hops that have ended: a redirected request goes on, any other is finished. */
static void
reap(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		HttpRequest *request = NULL;
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &request);
		curl_multi_remove_handle(multi, easy);
		if (http_transfer_ended(request, code))
		{
			if (curl_multi_add_handle(multi, request->easy) == CURLM_OK)
				continue;
			http_request_fail(request, "libcurl could not take the request");
		}
		leave(request);
	}
}

/* Ends what has failed for the sake of others, which libcurl does not know: its server may say nothing more. */
static void
drop_given_up(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &running)
	{
		HttpRequest *request = dlist_container(HttpRequest, node, iter.cur);

		if (!request->failed)
			continue;
		curl_multi_remove_handle(multi, request->easy);
		leave(request);
	}
}

/* Out of the running ones. */
static void
leave(HttpRequest *request)
{
	dlist_delete(&request->node);
	http_queue_ended(request);
	nrunning--;
	finish(request);
}

/* Starts what waited for its host, its owner, a rate, or for room. */
static void
start_waiting(void)
{
	int64		next;

	if (nrunning < http_pool_limit())
		http_queue_drain(monotonic_now(), start);
	next = http_queue_next();
	if (next >= 0)
		wake_at(next);
}
