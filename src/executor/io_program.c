/*
 * io_program.c
 *		A program as this process's child.
 *
 * The socket is non-blocking and in an epoll set of its own, which stays when
 * the program is replaced.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "executor/io_program.h"
#include "guc.h"

/* Frames that one call of the kernel takes. */
#define SEND_FRAMES 64

/* For a program that ends by itself. */
#define END_MS 200

#define FIRST_BACKOFF_MS 100
#define LONGEST_BACKOFF_MS 30000
#define STABLE_MS 60000			/* a program that ran so long is started again at once */
#define HELLO_MS 30000			/* for its first words */

static pid_t spawn(const char *path, int fd, int *failure);
static bool take_frame(void *arg, const char *body, size_t len);
static bool hangs(IoProgram *program, TimestampTz now, char *why, size_t size);
static void retire(IoProgram *program, TimestampTz now, const char *why);
static bool send_frames(IoProgram *program);
static void sent(IoProgram *program, size_t n);
static void watch(IoProgram *program);
static bool await_end(IoProgram *program, int *status);
static void describe_end(int status, char *why, size_t size);
static void clean_up(IoProgram *program);

bool
io_program_start(IoProgram *program, TimestampTz now)
{
	struct epoll_event event = {.events = EPOLLIN};
	char		path[MAXPGPATH];
	int			fds[2];
	int			failure;

	(void) io_program_poll_fd(program);
	program->started_at = now;
	snprintf(path, sizeof(path), "%s/%s", pkglib_path, program->name);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
	{
		ereport(LOG,
				(errcode_for_socket_access(),
				 errmsg("could not make a pair of sockets: %m")));
		retire(program, now, NULL);
		return false;
	}
	program->pid = spawn(path, fds[1], &failure);
	close(fds[1]);
	if (program->pid == 0)
	{
		close(fds[0]);
		errno = failure;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not start the program \"%s\": %m", path)));
		retire(program, now, NULL);
		return false;
	}
	program->channel_fd = fds[0];
	program->reads = true;
	program->writes = false;
	program->paused = false;
	program->first_sent = 0;
	if (epoll_ctl(program->epoll_fd, EPOLL_CTL_ADD, program->channel_fd, &event) != 0)
	{
		ereport(LOG,
				(errcode_for_socket_access(),
				 errmsg("%s() failed: %m", "epoll_ctl")));
		clean_up(program);
		retire(program, now, NULL);
		return false;
	}
	return true;
}

bool
io_program_runs(const IoProgram *program)
{
	return program->pid != 0;
}

void
io_program_ready(IoProgram *program)
{
	program->ready = true;
}

int
io_program_poll_fd(IoProgram *program)
{
	if (program->epoll_fd < 0)
		program->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (program->epoll_fd < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("%s() failed: %m", "epoll_create1")));
	return program->epoll_fd;
}

TimestampTz
io_program_next(const IoProgram *program)
{
	if (program->pid == 0)
		return 0;
	if (!program->ready)
		return program->started_at + HELLO_MS * INT64CONST(1000);
	if (program->asked_at != 0)
		return program->asked_at + guc_io_hang_timeout * USECS_PER_SEC;
	return program->heard_at + guc_io_hang_timeout * USECS_PER_SEC / 2;
}

void
io_program_send(IoProgram *program, IoFrame *frame)
{
	frame->begun = false;
	frame->queued = true;
	dlist_push_tail(&program->queue, &frame->node);
	program->queued_bytes += frame->text.len;
}

void
io_program_unsend(IoProgram *program, IoFrame *frame)
{
	Assert(frame->queued && !frame->begun);
	dlist_delete(&frame->node);
	frame->queued = false;
	program->queued_bytes -= frame->text.len;
}

size_t
io_program_queued(const IoProgram *program)
{
	return program->queued_bytes;
}

void
io_program_pause(IoProgram *program, bool paused)
{
	program->paused = paused;
}

bool
io_program_drive(IoProgram *program, TimestampTz now)
{
	const char *reason = NULL;
	char		why[128];
	int			status = 0;
	bool		alive = true;

	if (program->pid == 0)
		return true;
	/* What it said before its end counts, so reading comes last. */
	(void) send_frames(program);
	program->driven_at = now;
	if (program->paused)
	{
		program->heard_at = now;
		program->asked_at = 0;
	}
	else
		alive = channel_read(program->channel_fd, &program->in, take_frame, program, &reason);
	if (alive && !hangs(program, now, why, sizeof(why)))
	{
		watch(program);
		return true;
	}
	if (!alive && reason == NULL && await_end(program, &status))
		describe_end(status, why, sizeof(why));
	else if (!alive)
		snprintf(why, sizeof(why), "%s", reason ? reason : "it closed its connection");
	clean_up(program);
	retire(program, now, why);
	return false;
}

void
io_program_stop(IoProgram *program)
{
	int			status;

	/* It ends when its socket does. */
	if (program->channel_fd >= 0)
		close(program->channel_fd);
	program->channel_fd = -1;
	(void) await_end(program, &status);
	clean_up(program);
	program->start_at = 0;
}

IoFrame *
io_frame_new(const char *op)
{
	IoFrame    *frame = calloc(1, sizeof(IoFrame));

	if (frame)
		channel_begin(&frame->text, op);
	return frame;
}

bool
io_frame_end(IoFrame *frame)
{
	channel_end(&frame->text, 0);
	if (!frame->text.failed)
		return true;
	io_frame_free(frame);
	return false;
}

void
io_frame_free(IoFrame *frame)
{
	plain_reset(&frame->text);
	free(frame);
}

void
io_keep_text(char **kept, const char *text)
{
	if (*kept)
		pfree(*kept);
	*kept = text ? MemoryContextStrdup(TopMemoryContext, text) : NULL;
}

/* Starts it with its socket at CHANNEL_FD; 0 and an errno when that fails. */
static pid_t
spawn(const char *path, int fd, int *failure)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t	none;
	sigset_t	all;
	char		parent[16];
	char		memory[16];
	char	   *arguments[] = {unconstify(char *, path), parent, memory, NULL};
	char	   *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL};
	pid_t		pid = 0;

	snprintf(parent, sizeof(parent), "%d", (int) getpid());
	snprintf(memory, sizeof(memory), "%d", guc_io_memory);
	sigemptyset(&none);
	sigfillset(&all);
	*failure = ENOMEM;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return 0;
	if (posix_spawnattr_init(&attributes) == 0)
	{
		if (posix_spawn_file_actions_adddup2(&actions, fd, CHANNEL_FD) == 0 &&
			posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
			posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
			posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0 &&
			posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
			posix_spawnattr_setsigdefault(&attributes, &all) == 0)
			*failure = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return *failure == 0 ? pid : 0;
}

/* Sends what the socket takes; false when the other side has gone. */
static bool
send_frames(IoProgram *program)
{
	while (!dlist_is_empty(&program->queue))
	{
		struct iovec parts[SEND_FRAMES];
		struct msghdr message = {.msg_iov = parts};
		dlist_iter	iter;
		size_t		skip = program->first_sent;
		ssize_t		n;

		dlist_foreach(iter, &program->queue)
		{
			IoFrame    *frame = dlist_container(IoFrame, node, iter.cur);

			parts[message.msg_iovlen].iov_base = frame->text.data + skip;
			parts[message.msg_iovlen].iov_len = frame->text.len - skip;
			skip = 0;
			if (++message.msg_iovlen == SEND_FRAMES)
				break;
		}
		n = sendmsg(program->channel_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		sent(program, n);
	}
	return true;
}

/* So many bytes have left. */
static void
sent(IoProgram *program, size_t n)
{
	while (n > 0)
	{
		IoFrame    *frame = dlist_head_element(IoFrame, node, &program->queue);
		size_t		left = frame->text.len - program->first_sent;

		frame->begun = true;
		if (n < left)
		{
			program->first_sent += n;
			return;
		}
		n -= left;
		program->first_sent = 0;
		dlist_pop_head_node(&program->queue);
		frame->queued = false;
		program->queued_bytes -= frame->text.len;
		if (frame->owner == NULL)
			io_frame_free(frame);
		else
			plain_reset(&frame->text);
	}
}

static void
watch(IoProgram *program)
{
	bool		write = !dlist_is_empty(&program->queue);
	struct epoll_event event = {.events = (program->paused ? 0 : EPOLLIN) | (write ? EPOLLOUT : 0)};

	if (write == program->writes && program->paused != program->reads)
		return;
	if (epoll_ctl(program->epoll_fd, EPOLL_CTL_MOD, program->channel_fd, &event) != 0)
		return;
	program->writes = write;
	program->reads = !program->paused;
}

/* An empty frame only says that the program lives, which every other one says as well. */
static bool
take_frame(void *arg, const char *body, size_t len)
{
	IoProgram  *program = arg;

	program->asked_at = 0;
	program->heard_at = program->driven_at;
	return len == 0 || program->handle(body, len);
}

/*
 * Whether it has been busy with one thing for too long.  What it says is read
 * before this is asked, so that a pause of our own does not count.
 */
static bool
hangs(IoProgram *program, TimestampTz now, char *why, size_t size)
{
	if (!program->ready)
	{
		snprintf(why, size, "it took longer than %d s to begin", HELLO_MS / 1000);
		return TimestampDifferenceExceeds(program->started_at, now, HELLO_MS);
	}
	if (program->asked_at != 0)
	{
		snprintf(why, size, "it did not answer for %d s (mistral.io_hang_timeout)", guc_io_hang_timeout);
		return TimestampDifferenceExceeds(program->asked_at, now, guc_io_hang_timeout * 1000);
	}
	if (TimestampDifferenceExceeds(program->heard_at, now, guc_io_hang_timeout * 500))
	{
		IoFrame    *frame = calloc(1, sizeof(IoFrame));

		if (frame == NULL)
			return false;
		channel_add_empty(&frame->text);
		if (frame->text.failed)
			io_frame_free(frame);
		else
			io_program_send(program, frame);
		program->asked_at = now;
		(void) send_frames(program);
	}
	return false;
}

/* It does not run, or not any more (`why`): when it may be started again. */
static void
retire(IoProgram *program, TimestampTz now, const char *why)
{
	if (why)
		ereport(WARNING,
				(errmsg("%s, which %s, is gone: %s", program->name, program->does, why)));
	if (why && TimestampDifferenceExceeds(program->started_at, now, STABLE_MS))
		program->backoff = 0;
	program->backoff = Min(Max(program->backoff * 2, FIRST_BACKOFF_MS), LONGEST_BACKOFF_MS);
	program->start_at = now + program->backoff * INT64CONST(1000);
}

static void
describe_end(int status, char *why, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(why, size, "it was terminated by signal %d: %s", WTERMSIG(status), pg_strsignal(WTERMSIG(status)));
	else
		snprintf(why, size, "it ended with exit code %d", WEXITSTATUS(status));
}

/* A moment for it to end by itself; false when it has not. */
static bool
await_end(IoProgram *program, int *status)
{
	for (int i = 0; i < END_MS && program->pid != 0; i++)
	{
		if (waitpid(program->pid, status, WNOHANG) == program->pid)
		{
			program->pid = 0;
			return true;
		}
		pg_usleep(1000);
	}
	return false;
}

/* Ends the program and forgets what was to be sent to it. */
static void
clean_up(IoProgram *program)
{
	if (program->channel_fd >= 0)
		close(program->channel_fd);
	program->channel_fd = -1;
	if (program->pid != 0)
	{
		kill(program->pid, SIGKILL);
		while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	program->pid = 0;
	plain_reset(&program->in);
	while (!dlist_is_empty(&program->queue))
	{
		IoFrame    *frame = dlist_container(IoFrame, node, dlist_pop_head_node(&program->queue));

		frame->queued = false;
		if (frame->owner == NULL)
			io_frame_free(frame);
	}
	program->queued_bytes = 0;
	program->first_sent = 0;
	program->ready = false;
	program->asked_at = program->heard_at = 0;
}
