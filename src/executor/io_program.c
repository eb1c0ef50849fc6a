/*
 * io_program.c
 *		The program mistral_io as this process's child.
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

#include "executor/io_program.h"
#include "guc.h"

/* Frames that one call of the kernel takes. */
#define SEND_FRAMES 64

/* For a program that ends by itself. */
#define END_MS 200

static int	epoll_fd = -1;
static int	channel_fd = -1;
static pid_t program_pid = 0;
static bool wants_write = false;
static PlainBuffer in;
static dlist_head queue = DLIST_STATIC_INIT(queue);
static size_t first_sent = 0;	/* of the first frame */
static size_t queued_bytes = 0;

static pid_t spawn(const char *path, int fd, int *failure);
static bool send_frames(void);
static void sent(size_t n);
static void watch(bool write);
static bool await_end(int *status);
static void describe_end(int status, char *why, size_t size);
static void clean_up(void);

bool
io_program_start(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	char		path[MAXPGPATH];
	int			fds[2];
	int			failure;

	(void) io_program_poll_fd();
	snprintf(path, sizeof(path), "%s/mistral_io", pkglib_path);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
	{
		ereport(LOG,
				(errcode_for_socket_access(),
				 errmsg("could not make a pair of sockets: %m")));
		return false;
	}
	program_pid = spawn(path, fds[1], &failure);
	close(fds[1]);
	if (program_pid == 0)
	{
		close(fds[0]);
		errno = failure;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not start the program \"%s\": %m", path)));
		return false;
	}
	channel_fd = fds[0];
	wants_write = false;
	first_sent = 0;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, channel_fd, &event) != 0)
	{
		ereport(LOG,
				(errcode_for_socket_access(),
				 errmsg("%s() failed: %m", "epoll_ctl")));
		io_program_stop();
		return false;
	}
	return true;
}

bool
io_program_runs(void)
{
	return program_pid != 0;
}

int
io_program_poll_fd(void)
{
	if (epoll_fd < 0)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("%s() failed: %m", "epoll_create1")));
	return epoll_fd;
}

void
io_program_send(IoFrame *frame)
{
	frame->begun = false;
	frame->queued = true;
	dlist_push_tail(&queue, &frame->node);
	queued_bytes += frame->text.len;
}

void
io_program_unsend(IoFrame *frame)
{
	Assert(frame->queued && !frame->begun);
	dlist_delete(&frame->node);
	frame->queued = false;
	queued_bytes -= frame->text.len;
}

size_t
io_program_queued(void)
{
	return queued_bytes;
}

bool
io_program_drive(void (*handle) (PlainJson frame), char *why, size_t size)
{
	const char *reason = NULL;
	int			status = 0;

	if (program_pid == 0)
		return true;
	/* What it said before its end counts, so reading comes last. */
	(void) send_frames();
	if (channel_read(channel_fd, &in, handle, &reason))
	{
		watch(!dlist_is_empty(&queue));
		return true;
	}
	if (reason == NULL && await_end(&status))
		describe_end(status, why, size);
	else
		snprintf(why, size, "%s", reason ? reason : "it closed its connection");
	clean_up();
	return false;
}

void
io_program_stop(void)
{
	int			status;

	/* It ends when its socket does. */
	if (channel_fd >= 0)
		close(channel_fd);
	channel_fd = -1;
	(void) await_end(&status);
	clean_up();
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
send_frames(void)
{
	while (!dlist_is_empty(&queue))
	{
		struct iovec parts[SEND_FRAMES];
		struct msghdr message = {.msg_iov = parts};
		dlist_iter	iter;
		size_t		skip = first_sent;
		ssize_t		n;

		dlist_foreach(iter, &queue)
		{
			IoFrame    *frame = dlist_container(IoFrame, node, iter.cur);

			parts[message.msg_iovlen].iov_base = frame->text.data + skip;
			parts[message.msg_iovlen].iov_len = frame->text.len - skip;
			skip = 0;
			if (++message.msg_iovlen == SEND_FRAMES)
				break;
		}
		n = sendmsg(channel_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		sent(n);
	}
	return true;
}

/* So many bytes have left. */
static void
sent(size_t n)
{
	while (n > 0)
	{
		IoFrame    *frame = dlist_head_element(IoFrame, node, &queue);
		size_t		left = frame->text.len - first_sent;

		frame->begun = true;
		if (n < left)
		{
			first_sent += n;
			return;
		}
		n -= left;
		first_sent = 0;
		dlist_pop_head_node(&queue);
		frame->queued = false;
		queued_bytes -= frame->text.len;
		if (frame->owner == NULL)
			io_frame_free(frame);
		else
			plain_reset(&frame->text);
	}
}

static void
watch(bool write)
{
	struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0)};

	if (write == wants_write)
		return;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, channel_fd, &event) == 0)
		wants_write = write;
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
await_end(int *status)
{
	for (int i = 0; i < END_MS && program_pid != 0; i++)
	{
		if (waitpid(program_pid, status, WNOHANG) == program_pid)
		{
			program_pid = 0;
			return true;
		}
		pg_usleep(1000);
	}
	return false;
}

/* Ends the program and forgets what was to be sent to it. */
static void
clean_up(void)
{
	if (channel_fd >= 0)
		close(channel_fd);
	channel_fd = -1;
	if (program_pid != 0)
	{
		kill(program_pid, SIGKILL);
		while (waitpid(program_pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	program_pid = 0;
	plain_reset(&in);
	while (!dlist_is_empty(&queue))
	{
		IoFrame    *frame = dlist_container(IoFrame, node, dlist_pop_head_node(&queue));

		frame->queued = false;
		if (frame->owner == NULL)
			io_frame_free(frame);
	}
	queued_bytes = 0;
	first_sent = 0;
}
