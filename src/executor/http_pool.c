/*
 * http_pool.c
 *		The requests under way: those that the program mistral_http has, those
 *		that wait for it, and the limit in all.
 *
 * What may not start yet waits in http_queue.c.  What the program has been given
 * or is about to be given is running; its frame says whether the first byte of it
 * has left.  Without that it had no effect when the program dies, and goes to the
 * next one.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "lib/ilist.h"
#include "postmaster/postmaster.h"
#include "utils/hsearch.h"

#include "base/clock.h"
#include "executor/http_pool.h"
#include "executor/http_queue.h"
#include "executor/io_catalog.h"
#include "guc.h"

/*
 * What answers may hold here until they are recorded, in multiples of
 * mistral.max_result_size, and at least: the program keeps the others, and has a
 * limit of its own.
 */
#define ANSWERS_FACTOR 4
#define ANSWERS_MIN (64 * 1024 * 1024)

typedef struct RunningEntry
{
	int64		id;				/* the key */
	HttpRequest *request;
} RunningEntry;

static bool handle_frame(const char *body, size_t len);

static IoProgram program = IO_PROGRAM(program, .name = "mistral_http", .does = "sends requests and mails", .handle = handle_frame);

static HTAB *by_id = NULL;		/* the running ones */
static dlist_head running = DLIST_STATIC_INIT(running);
static dlist_head finished = DLIST_STATIC_INIT(finished);
static dlist_head lost = DLIST_STATIC_INIT(lost);
static int	nrunning = 0;
static int	nfinished = 0;
static int	nlost = 0;
static int	limit = 1;			/* what http_pool_limit() gave last */

/* The settings that the program has. */
static struct
{
	char	   *allow;			/* NULL: none yet */
	char	   *deny;
	int			max_result;
	int			connections;
}			given;

static void send_rules(void);
static void start_program(TimestampTz now);
static void program_died(void);
static bool handle_answer(const char *body, size_t len);
static int64 queue_now(void);
static bool start(HttpRequest *request);
static void finish(HttpRequest *request);
static HttpRequest *take(dlist_head *list, int *count);
static void free_all(dlist_head *list, int *count);

void
http_pool_start(void)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(RunningEntry)};

	by_id = hash_create("mistral http requests", 256, &ctl, HASH_ELEM | HASH_BLOBS);
	(void) io_program_poll_fd(&program);
	http_queue_start();
}

void
http_pool_shutdown(void)
{
	/* First, for it forgets the frames. */
	io_program_stop(&program);
	free_all(&running, &nrunning);
	free_all(&finished, &nfinished);
	free_all(&lost, &nlost);
	http_queue_shutdown();
	if (by_id)
		hash_destroy(by_id);
	by_id = NULL;
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
	if (nrunning >= limit || !http_queue_may_start(request, queue_now()))
		http_queue_add(request);
	else
		(void) start(request);
}

int
http_pool_fd(void)
{
	return io_program_poll_fd(&program);
}

TimestampTz
http_pool_next(void)
{
	TimestampTz next = io_program_runs(&program) ? io_program_next(&program) : nrunning > 0 ? program.start_at : 0;

	if (http_queue_next() >= 0)
	{
		TimestampTz due = http_queue_next() / 1000 + 1;

		next = next == 0 ? due : Min(next, due);
	}
	return next;
}

void
http_pool_drive(TimestampTz now)
{
	if (io_program_runs(&program))
		send_rules();
	else if (nrunning > 0 && now >= program.start_at)
		start_program(now);
	io_program_pause(&program, http_request_answers_held() >
					 Max(ANSWERS_FACTOR * (size_t) guc_max_result_size * 1024, (size_t) ANSWERS_MIN));
	if (!io_program_drive(&program, now))
		program_died();
	if (nrunning < http_pool_limit())
	{
		int			before = nrunning;

		http_queue_drain(queue_now(), start);
		/* What has just become free is used without another turn. */
		if (nrunning > before && !io_program_drive(&program, now))
			program_died();
	}
}

HttpRequest *
http_pool_take(void)
{
	return take(&finished, &nfinished);
}

HttpRequest *
http_pool_take_lost(void)
{
	return take(&lost, &nlost);
}

int
http_pool_held(void)
{
	return nrunning + http_queue_waiting() + nfinished + nlost;
}

int
http_pool_limit(void)
{
	struct rlimit files;
	int64		room = guc_http_max_connections;

	/* The program inherits what may be asked for at most. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY)
		room = Min(room, (int64) files.rlim_max - HTTP_SPARE_FDS);
	limit = (int) Max(room, 1);
	return limit;
}

/* ---------------------------------------------------------------- the program */

static void
start_program(TimestampTz now)
{
	dlist_iter	iter;

	io_keep_text(&given.allow, NULL);
	if (!io_program_start(&program, now))
		return;
	send_rules();
	/* What the last one was never given. */
	dlist_foreach(iter, &running)
		io_program_send(&program, dlist_container(HttpRequest, node, iter.cur)->frame);
}

/* Tells the program of settings that it does not have yet; what is sent later is under them. */
static void
send_rules(void)
{
	IoFrame    *frame;

	if (given.allow && strcmp(given.allow, guc_http_allow) == 0 && strcmp(given.deny, guc_http_deny) == 0 &&
		given.max_result == guc_max_result_size && given.connections == guc_http_max_connections)
		return;
	io_keep_text(&given.allow, guc_http_allow);
	io_keep_text(&given.deny, guc_http_deny);
	given.max_result = guc_max_result_size;
	given.connections = guc_http_max_connections;
	frame = calloc(1, sizeof(IoFrame));
	if (frame)
	{
		wire_begin(&frame->text, WIRE_RULES);
		wire_add_text(&frame->text, WIRE_ALLOW, given.allow);
		wire_add_text(&frame->text, WIRE_DENY, given.deny);
		wire_add_int(&frame->text, WIRE_OWN_PORT, PostPortNumber);
		wire_add_int(&frame->text, WIRE_MAX_RESULT, (int64) given.max_result * 1024);
		wire_add_int(&frame->text, WIRE_CONNECTIONS, given.connections);
		wire_end(&frame->text, 0, 0);
	}
	/* Under rules that it does not have nothing may be sent. */
	if (frame == NULL || frame->text.failed)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	io_program_send(&program, frame);
}

/* What had begun to leave is lost, what had not is kept for the next program. */
static void
program_died(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &running)
	{
		HttpRequest *request = dlist_container(HttpRequest, node, iter.cur);

		if (!request->frame->begun)
			continue;
		dlist_delete(&request->node);
		(void) hash_search(by_id, &request->id, HASH_REMOVE, NULL);
		nrunning--;
		http_queue_ended(request);
		dlist_push_tail(&lost, &request->node);
		nlost++;
	}
}

static bool
handle_frame(const char *body, size_t len)
{
	size_t		cursor = 1;
	WireField	field;

	if (body[0] == WIRE_ANSWER)
		return handle_answer(body, len);
	if (body[0] != WIRE_HELLO)
		return false;
	while (wire_next(body, len, &cursor, &field))
		if (field.tag == WIRE_FAILURE)
			ereport(WARNING,
					(errmsg("%s: %s", program.name, io_catalog_ascii(unconstify(char *, field.data)))));
	io_program_ready(&program);
	return true;
}

static bool
handle_answer(const char *body, size_t len)
{
	size_t		cursor = 1;
	WireField	field;
	RunningEntry *entry;
	HttpRequest *request;
	int64		id;

	if (!wire_next(body, len, &cursor, &field) || field.tag != WIRE_ID)
		return false;
	id = wire_int(&field);
	entry = hash_search(by_id, &id, HASH_FIND, NULL);
	if (entry == NULL || entry->request->frame->queued)
		return false;
	request = entry->request;
	if (!http_request_answer(request, body, len))
	{
		http_request_clear(request);
		return false;
	}
	(void) hash_search(by_id, &id, HASH_REMOVE, NULL);
	dlist_delete(&request->node);
	nrunning--;
	http_queue_ended(request);
	finish(request);
	return true;
}

/* ---------------------------------------------------------------- requests */

/* The clock of http_queue.c, in nanoseconds. */
static int64
queue_now(void)
{
	return clock_steady() * 1000;
}

/* False: no more may be started. */
static bool
start(HttpRequest *request)
{
	RunningEntry *entry = hash_search(by_id, &request->id, HASH_ENTER, NULL);

	entry->request = request;
	http_queue_started(request, queue_now());
	nrunning++;
	dlist_push_tail(&running, &request->node);
	/* Without a program it waits for the next one. */
	if (io_program_runs(&program))
	{
		send_rules();
		io_program_send(&program, request->frame);
	}
	return nrunning < limit;
}

static void
finish(HttpRequest *request)
{
	dlist_push_tail(&finished, &request->node);
	nfinished++;
}

static HttpRequest *
take(dlist_head *list, int *count)
{
	if (dlist_is_empty(list))
		return NULL;
	(*count)--;
	return dlist_container(HttpRequest, node, dlist_pop_head_node(list));
}

static void
free_all(dlist_head *list, int *count)
{
	HttpRequest *request;

	while ((request = take(list, count)) != NULL)
		http_request_free(request);
}
