/*
 * ssh_run.c
 *		One command on one host over SSH.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libssh2.h>

#include "modules/ssh_run.h"

#define PORT 22
#define CONNECT_MS 10000
#define MAX_OUTPUT (16 * 1024 * 1024)

static bool split_host(const char *name, char *host, size_t size, int *port);
static bool set_fd(SshHandle *handle, int fd);
static bool log_in(LIBSSH2_SESSION *session, const SshLogin *login);
static bool check_host(LIBSSH2_SESSION *session, const char *host, int port, const SshLogin *login, char *error);
static bool execute(LIBSSH2_SESSION *session, int fd, const char *command, int64_t deadline, int *status, PlainBuffer *output, char *error);
static bool read_all(LIBSSH2_SESSION *session, LIBSSH2_CHANNEL *channel, int fd, int64_t deadline, PlainBuffer *output, char *error);
static void explain(LIBSSH2_SESSION *session, const char *what, char *error);

bool
ssh_run(const MistralHost *host, SshHandle *handle, const char *name, const SshLogin *login, const char *command,
		int64_t deadline, int *status, PlainBuffer *output, char *error)
{
	LIBSSH2_SESSION *session;
	char		address[256];
	int			port;
	int			fd;
	bool		done = false;
	int64_t		left = deadline - ssh_now();

	if (!split_host(name, address, sizeof(address), &port))
	{
		snprintf(error, SSH_ERROR_SIZE, "it is not of the form host or host:port");
		return false;
	}
	if (left <= 0)
	{
		snprintf(error, SSH_ERROR_SIZE, "no time is left");
		return false;
	}
	fd = host->connect_to(address, port, left < CONNECT_MS ? (int) left : CONNECT_MS, error, SSH_ERROR_SIZE);
	if (fd < 0)
		return false;
	session = libssh2_session_init();
	if (session == NULL || !set_fd(handle, fd))
		snprintf(error, SSH_ERROR_SIZE, session ? "it was cancelled" : "out of memory");
	else
	{
		left = deadline - ssh_now();
		libssh2_session_set_timeout(session, left > 0 ? left : 1);
		if (libssh2_session_handshake(session, fd) != 0)
			explain(session, "no SSH connection", error);
		else if (check_host(session, address, port, login, error))
		{
			if (!log_in(session, login))
				explain(session, "it does not let the user in", error);
			else
				done = execute(session, fd, command, deadline, status, output, error);
		}
		libssh2_session_set_timeout(session, 1000);
		libssh2_session_disconnect(session, "done");
	}
	(void) set_fd(handle, -1);
	if (session)
		libssh2_session_free(session);
	close(fd);
	return done;
}

void
ssh_cancel(SshHandle *handle)
{
	pthread_mutex_lock(&handle->lock);
	handle->cancelled = true;
	if (handle->fd >= 0)
		shutdown(handle->fd, SHUT_RDWR);
	pthread_mutex_unlock(&handle->lock);
}

int64_t
ssh_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "host", "host:port", "[::1]:port", "::1" */
static bool
split_host(const char *name, char *host, size_t size, int *port)
{
	const char *begin = name[0] == '[' ? name + 1 : name;
	const char *end = name[0] == '[' ? strchr(name, ']') : strchr(name, ':');
	const char *rest;
	char	   *behind;

	*port = PORT;
	if (name[0] != '[' && end && strchr(end + 1, ':'))
		end = NULL;				/* an IPv6 address without a port */
	if (end == NULL)
		end = begin + strlen(begin);
	if (end == begin || (size_t) (end - begin) >= size)
		return false;
	memcpy(host, begin, end - begin);
	host[end - begin] = '\0';
	rest = *end == ']' ? end + 1 : end;
	if (*rest == '\0')
		return name[0] != '[' || *end == ']';
	*port = strtol(rest + 1, &behind, 10);
	return *rest == ':' && behind != rest + 1 && *behind == '\0' && *port > 0 && *port < 65536;
}

/* False: it was cancelled. */
static bool
set_fd(SshHandle *handle, int fd)
{
	bool		cancelled;

	pthread_mutex_lock(&handle->lock);
	handle->fd = fd;
	cancelled = handle->cancelled;
	pthread_mutex_unlock(&handle->lock);
	return !cancelled;
}

/* The host's key must be in the file of known hosts. */
static bool
check_host(LIBSSH2_SESSION *session, const char *host, int port, const SshLogin *login, char *error)
{
	LIBSSH2_KNOWNHOSTS *known = libssh2_knownhost_init(session);
	struct libssh2_knownhost *found;
	size_t		len;
	int			type;
	const char *key = libssh2_session_hostkey(session, &len, &type);
	int			rc = LIBSSH2_KNOWNHOST_CHECK_FAILURE;

	if (known && key && libssh2_knownhost_readfile(known, login->known_hosts, LIBSSH2_KNOWNHOST_FILE_OPENSSH) >= 0)
		rc = libssh2_knownhost_checkp(known, host, port, key, len, LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW, &found);
	if (known)
		libssh2_knownhost_free(known);
	if (rc == LIBSSH2_KNOWNHOST_CHECK_MATCH)
		return true;
	snprintf(error, SSH_ERROR_SIZE, "%s",
			 rc == LIBSSH2_KNOWNHOST_CHECK_MISMATCH ? "its key is another one than in known_hosts" :
			 rc == LIBSSH2_KNOWNHOST_CHECK_NOTFOUND ? "it is not in known_hosts" : "known_hosts cannot be read");
	return false;
}

static bool
log_in(LIBSSH2_SESSION *session, const SshLogin *login)
{
	unsigned	user_len = strlen(login->username);

	if (login->key)
		return libssh2_userauth_publickey_frommemory(session, login->username, user_len, NULL, 0, login->key, strlen(login->key),
													 login->password) == 0;
	if (login->key_path)
		return libssh2_userauth_publickey_fromfile_ex(session, login->username, user_len, NULL, login->key_path, login->password) == 0;
	return libssh2_userauth_password_ex(session, login->username, user_len, login->password ? login->password : "",
										login->password ? strlen(login->password) : 0, NULL) == 0;
}

static bool
execute(LIBSSH2_SESSION *session, int fd, const char *command, int64_t deadline, int *status, PlainBuffer *output, char *error)
{
	LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(session);
	char	   *signal = NULL;
	size_t		len = 0;
	bool		done = false;

	if (channel == NULL || libssh2_channel_exec(channel, command) != 0)
		explain(session, "the command was not begun", error);
	else if (read_all(session, channel, fd, deadline, output, error))
	{
		libssh2_session_set_blocking(session, 1);
		(void) libssh2_channel_close(channel);
		(void) libssh2_channel_wait_closed(channel);
		*status = libssh2_channel_get_exit_status(channel);
		(void) libssh2_channel_get_exit_signal(channel, &signal, &len, NULL, NULL, NULL, NULL);
		done = signal == NULL;
		if (signal)
			snprintf(error, SSH_ERROR_SIZE, "the command was ended by signal %.32s", signal);
		if (signal)
			libssh2_free(session, signal);
	}
	libssh2_session_set_blocking(session, 1);
	libssh2_session_set_timeout(session, 1000);
	if (channel)
		libssh2_channel_free(channel);
	return done;
}

/* Until the command has closed both its streams; what it writes to the second is read, so that it does not wait, and left out. */
static bool
read_all(LIBSSH2_SESSION *session, LIBSSH2_CHANNEL *channel, int fd, int64_t deadline, PlainBuffer *output, char *error)
{
	char		bytes[16384];

	libssh2_session_set_blocking(session, 0);
	for (;;)
	{
		ssize_t		n = libssh2_channel_read(channel, bytes, sizeof(bytes));
		ssize_t		m = libssh2_channel_read_stderr(channel, bytes + (n > 0 ? n : 0), sizeof(bytes) - (n > 0 ? n : 0));
		struct pollfd waited = {.fd = fd, .events = POLLIN};
		int64_t		left = deadline - ssh_now();

		if (n > 0)
			plain_append(output, bytes, n);
		if (output->failed || output->len > MAX_OUTPUT)
		{
			snprintf(error, SSH_ERROR_SIZE, "its output is larger than %d bytes", MAX_OUTPUT);
			return false;
		}
		if ((n < 0 && n != LIBSSH2_ERROR_EAGAIN) || (m < 0 && m != LIBSSH2_ERROR_EAGAIN))
		{
			explain(session, "the connection broke", error);
			return false;
		}
		if (n > 0 || m > 0)
			continue;
		if (libssh2_channel_eof(channel))
			return true;
		if (left <= 0)
		{
			snprintf(error, SSH_ERROR_SIZE, "it took too long");
			return false;
		}
		if (libssh2_session_block_directions(session) & LIBSSH2_SESSION_BLOCK_OUTBOUND)
			waited.events |= POLLOUT;
		(void) poll(&waited, 1, left < 1000 ? (int) left : 1000);
	}
}

static void
explain(LIBSSH2_SESSION *session, const char *what, char *error)
{
	char	   *text = NULL;

	libssh2_session_last_error(session, &text, NULL, 0);
	snprintf(error, SSH_ERROR_SIZE, "%s: %.400s", what, text ? text : "");
}
