/*
 * ssh_run.c
 *		One command on one host over SSH, perhaps over a gateway.
 *
 * Over a gateway there are two sessions: one to the gateway, and one to the host,
 * whose bytes go through a channel of the first instead of a socket.  Only the
 * host itself can read the second, and each has to show its own key.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
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

/* Of a session: the library keeps what the other side sends unasked, also before anybody knows who that is. */
#define MAX_MEMORY (8 * 1024 * 1024)

/* A session to a gateway, and the channel over it that is the inner session's socket. */
typedef struct Tunnel
{
	LIBSSH2_SESSION *session;
	LIBSSH2_CHANNEL *channel;
	int			fd;
} Tunnel;

/* What the library gives back to our functions; it has to outlive its session. */
typedef struct Context
{
	Tunnel	   *tunnel;			/* NULL: the session goes over a socket */
	size_t		memory;			/* bytes that it has */
} Context;

/* In front of what the library is given. */
typedef union Chunk
{
	size_t		size;
	max_align_t align;
} Chunk;

/* A host that a session is with. */
typedef struct Target
{
	char		address[256];
	int			port;
	const char *username;
} Target;

static bool split_host(const char *name, Target *target);
static bool set_fd(SshHandle *handle, int fd);
static bool run_over_gateway(int fd, const Target *gateway, const Target *target, const SshLogin *login, const char *command,
							 int64_t deadline, int *status, PlainBuffer *output, char *error);
static LIBSSH2_SESSION *begin_session(int fd, Context *context, const Target *target, const SshLogin *login, int64_t deadline, char *error);
static void end_session(LIBSSH2_SESSION *session);
static LIBSSH2_ALLOC_FUNC(allocate);
static LIBSSH2_REALLOC_FUNC(reallocate);
static LIBSSH2_FREE_FUNC(release);
static void use_tunnel(LIBSSH2_SESSION *session);
static LIBSSH2_RECV_FUNC(tunnel_receive);
static LIBSSH2_SEND_FUNC(tunnel_send);
static ssize_t tunnel_result(Tunnel *tunnel, ssize_t rc);
static bool tunnel_wait(Tunnel *tunnel, int directions);
static bool log_in(LIBSSH2_SESSION *session, const char *username, const SshLogin *login);
static bool is_listed(const Target *target, const SshLogin *login, char *error);
static bool check_host(LIBSSH2_SESSION *session, const Target *target, const SshLogin *login, char *error);
static int	look_up(LIBSSH2_SESSION *session, const Target *target, const char *key, size_t len, int encoding, const SshLogin *login);
static bool explain_known(int rc, char *error);
static bool execute(LIBSSH2_SESSION *session, int fd, const char *command, int64_t deadline, int *status, PlainBuffer *output, char *error);
static bool read_all(LIBSSH2_SESSION *session, LIBSSH2_CHANNEL *channel, int fd, int64_t deadline, PlainBuffer *output, char *error);
static void explain(LIBSSH2_SESSION *session, const char *what, char *error);

bool
ssh_run(const MistralHost *host, SshHandle *handle, const char *name, const SshLogin *login, const char *command,
		int64_t deadline, int *status, PlainBuffer *output, char *error)
{
	Target		target = {.username = login->username};
	Target		gateway = {.username = login->gateway_username ? login->gateway_username : login->username};
	const Target *first = login->gateway ? &gateway : &target;
	LIBSSH2_SESSION *session;
	Context		context = {0};
	int			fd;
	bool		done = false;
	int64_t		left = deadline - ssh_now();

	if (!split_host(name, &target) || (login->gateway && !split_host(login->gateway, &gateway)))
	{
		snprintf(error, SSH_ERROR_SIZE, "it, or its gateway, is not of the form host or host:port");
		return false;
	}
	if (left <= 0)
	{
		snprintf(error, SSH_ERROR_SIZE, "no time is left");
		return false;
	}
	/* The gateway must not knock at doors for us that nobody has listed: it looks the name up, and no rule for addresses reaches there. */
	if (login->gateway && !is_listed(&target, login, error))
		return false;
	fd = host->connect_to(first->address, first->port, left < CONNECT_MS ? (int) left : CONNECT_MS, error, SSH_ERROR_SIZE);
	if (fd < 0)
		return false;
	if (!set_fd(handle, fd))
		snprintf(error, SSH_ERROR_SIZE, "it was cancelled");
	else if (login->gateway)
		done = run_over_gateway(fd, &gateway, &target, login, command, deadline, status, output, error);
	else if ((session = begin_session(fd, &context, &target, login, deadline, error)) != NULL)
	{
		done = execute(session, fd, command, deadline, status, output, error);
		end_session(session);
	}
	(void) set_fd(handle, -1);
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
split_host(const char *name, Target *target)
{
	const char *begin = name[0] == '[' ? name + 1 : name;
	const char *end = name[0] == '[' ? strchr(name, ']') : strchr(name, ':');
	const char *rest;
	char	   *behind;

	target->port = PORT;
	if (name[0] != '[' && end && strchr(end + 1, ':'))
		end = NULL;				/* an IPv6 address without a port */
	if (end == NULL)
		end = begin + strlen(begin);
	if (end == begin || (size_t) (end - begin) >= sizeof(target->address))
		return false;
	memcpy(target->address, begin, end - begin);
	target->address[end - begin] = '\0';
	rest = *end == ']' ? end + 1 : end;
	if (*rest == '\0')
		return name[0] != '[' || *end == ']';
	target->port = strtol(rest + 1, &behind, 10);
	return *rest == ':' && behind != rest + 1 && *behind == '\0' && target->port > 0 && target->port < 65536;
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

/* ---------------------------------------------------------------- sessions */

static bool
run_over_gateway(int fd, const Target *gateway, const Target *target, const SshLogin *login, const char *command,
				 int64_t deadline, int *status, PlainBuffer *output, char *error)
{
	Tunnel		tunnel = {.fd = fd};
	Context		outer = {0};
	Context		inner = {.tunnel = &tunnel};
	LIBSSH2_SESSION *session;
	char		why[SSH_ERROR_SIZE];
	bool		done = false;

	tunnel.session = begin_session(fd, &outer, gateway, login, deadline, why);
	if (tunnel.session == NULL)
	{
		snprintf(error, SSH_ERROR_SIZE, "gateway %.200s: %.280s", login->gateway, why);
		return false;
	}
	tunnel.channel = libssh2_channel_direct_tcpip_ex(tunnel.session, target->address, target->port, "127.0.0.1", PORT);
	if (tunnel.channel == NULL)
		explain(tunnel.session, "its gateway does not reach it", error);
	else
	{
		libssh2_session_set_blocking(tunnel.session, 0);
		session = begin_session(fd, &inner, target, login, deadline, error);
		if (session)
		{
			done = execute(session, fd, command, deadline, status, output, error);
			end_session(session);
		}
		libssh2_session_set_blocking(tunnel.session, 1);
		libssh2_session_set_timeout(tunnel.session, 1000);
		libssh2_channel_free(tunnel.channel);
	}
	end_session(tunnel.session);
	return done;
}

/* The user is logged in, at a host whose key is known; NULL, and why not.  It goes over `fd`, or the context's tunnel. */
static LIBSSH2_SESSION *
begin_session(int fd, Context *context, const Target *target, const SshLogin *login, int64_t deadline, char *error)
{
	LIBSSH2_SESSION *session = libssh2_session_init_ex(allocate, release, reallocate, context);
	int64_t		left = deadline - ssh_now();

	if (session == NULL)
	{
		snprintf(error, SSH_ERROR_SIZE, "out of memory");
		return NULL;
	}
	if (context->tunnel)
		use_tunnel(session);
	libssh2_session_set_timeout(session, left > 0 ? left : 1);
	if (libssh2_session_handshake(session, fd) != 0)
		explain(session, "no SSH connection", error);
	else if (check_host(session, target, login, error))
	{
		if (log_in(session, target->username, login))
			return session;
		explain(session, "it does not let the user in", error);
	}
	end_session(session);
	return NULL;
}

static void
end_session(LIBSSH2_SESSION *session)
{
	libssh2_session_set_timeout(session, 1000);
	libssh2_session_disconnect(session, "done");
	libssh2_session_free(session);
}

static
LIBSSH2_ALLOC_FUNC(allocate)
{
	Context    *context = *abstract;
	Chunk	   *chunk;

	if (count > MAX_MEMORY - context->memory || (chunk = malloc(sizeof(Chunk) + count)) == NULL)
		return NULL;
	chunk->size = count;
	context->memory += count;
	return chunk + 1;
}

static
LIBSSH2_REALLOC_FUNC(reallocate)
{
	Context    *context = *abstract;
	Chunk	   *chunk = ptr ? (Chunk *) ptr - 1 : NULL;
	size_t		before = chunk ? chunk->size : 0;

	if (count > MAX_MEMORY - (context->memory - before) || (chunk = realloc(chunk, sizeof(Chunk) + count)) == NULL)
		return NULL;
	chunk->size = count;
	context->memory += count - before;
	return chunk + 1;
}

static
LIBSSH2_FREE_FUNC(release)
{
	Context    *context = *abstract;

	if (ptr == NULL)
		return;
	context->memory -= ((Chunk *) ptr - 1)->size;
	free((Chunk *) ptr - 1);
}

/* ---------------------------------------------------------------- a session over another one's channel */

static void
use_tunnel(LIBSSH2_SESSION *session)
{
#if LIBSSH2_VERSION_NUM >= 0x010b01
	libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_RECV, (libssh2_cb_generic *) tunnel_receive);
	libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_SEND, (libssh2_cb_generic *) tunnel_send);
#else
	libssh2_session_callback_set(session, LIBSSH2_CALLBACK_RECV, (void *) tunnel_receive);
	libssh2_session_callback_set(session, LIBSSH2_CALLBACK_SEND, (void *) tunnel_send);
#endif
}

/* As recv(), but with what went wrong as a negative errno: what libssh2 asks for. */
static ssize_t
tunnel_receive(libssh2_socket_t fd, void *buffer, size_t len, int flags, void **abstract)
{
	Tunnel	   *tunnel = ((Context *) *abstract)->tunnel;
	ssize_t		rc;

	(void) fd;
	(void) flags;
	/* Without room to ask for more there may be something to read all the same, of which the descriptor tells nobody. */
	rc = libssh2_channel_read(tunnel->channel, buffer, len);
	if (rc == LIBSSH2_ERROR_EAGAIN && tunnel_wait(tunnel, LIBSSH2_SESSION_BLOCK_OUTBOUND))
		rc = libssh2_channel_read(tunnel->channel, buffer, len);
	return tunnel_result(tunnel, rc);
}

/* As send().  Waits itself for a moment: the inner session would wait for the descriptor to be writable, which it is when only the channel is full. */
static ssize_t
tunnel_send(libssh2_socket_t fd, const void *buffer, size_t len, int flags, void **abstract)
{
	Tunnel	   *tunnel = ((Context *) *abstract)->tunnel;
	ssize_t		rc;

	(void) fd;
	(void) flags;
	rc = libssh2_channel_write(tunnel->channel, buffer, len);
	if (rc == LIBSSH2_ERROR_EAGAIN)
		(void) tunnel_wait(tunnel, LIBSSH2_SESSION_BLOCK_OUTBOUND | LIBSSH2_SESSION_BLOCK_INBOUND);
	return tunnel_result(tunnel, rc);
}

static ssize_t
tunnel_result(Tunnel *tunnel, ssize_t rc)
{
	if (rc == LIBSSH2_ERROR_EAGAIN || (rc == 0 && !libssh2_channel_eof(tunnel->channel)))
		return -EAGAIN;
	return rc < 0 ? -ECONNRESET : rc;
}

/* For 100 ms at most, if the gateway's session waits for one of these; true: it need not wait any more. */
static bool
tunnel_wait(Tunnel *tunnel, int directions)
{
	struct pollfd waited = {.fd = tunnel->fd};

	directions &= libssh2_session_block_directions(tunnel->session);
	if (directions & LIBSSH2_SESSION_BLOCK_INBOUND)
		waited.events |= POLLIN;
	if (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND)
		waited.events |= POLLOUT;
	return directions != 0 && poll(&waited, 1, 100) > 0 && !(waited.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* ---------------------------------------------------------------- who it is, on both sides */

/* Whether known_hosts names the host at all, with its port: to libssh2 an entry without one is for every port. */
static bool
is_listed(const Target *target, const SshLogin *login, char *error)
{
	LIBSSH2_SESSION *session = libssh2_session_init();
	Target		named = *target;
	int			rc = LIBSSH2_KNOWNHOST_CHECK_FAILURE;

	if (target->port != PORT)
	{
		named.port = -1;
		if (snprintf(named.address, sizeof(named.address), "[%s]:%d", target->address, target->port) >= (int) sizeof(named.address))
			return explain_known(LIBSSH2_KNOWNHOST_CHECK_NOTFOUND, error);
	}
	/* A key that is none, of no kind: what is there is found as another one. */
	if (session)
	{
		rc = look_up(session, &named, "", 0, LIBSSH2_KNOWNHOST_KEYENC_BASE64, login);
		libssh2_session_free(session);
	}
	return rc == LIBSSH2_KNOWNHOST_CHECK_MISMATCH || explain_known(rc, error);
}

/* The host's key must be in the file of known hosts. */
static bool
check_host(LIBSSH2_SESSION *session, const Target *target, const SshLogin *login, char *error)
{
	size_t		len;
	int			type;
	const char *key = libssh2_session_hostkey(session, &len, &type);

	return explain_known(key ? look_up(session, target, key, len, LIBSSH2_KNOWNHOST_KEYENC_RAW, login) :
						 LIBSSH2_KNOWNHOST_CHECK_FAILURE, error);
}

/* What libssh2 finds in known_hosts. */
static int
look_up(LIBSSH2_SESSION *session, const Target *target, const char *key, size_t len, int encoding, const SshLogin *login)
{
	LIBSSH2_KNOWNHOSTS *known = libssh2_knownhost_init(session);
	struct libssh2_knownhost *found;
	int			rc = LIBSSH2_KNOWNHOST_CHECK_FAILURE;

	if (known && libssh2_knownhost_readfile(known, login->known_hosts, LIBSSH2_KNOWNHOST_FILE_OPENSSH) >= 0)
		rc = libssh2_knownhost_checkp(known, target->address, target->port, key, len, LIBSSH2_KNOWNHOST_TYPE_PLAIN | encoding, &found);
	if (known)
		libssh2_knownhost_free(known);
	return rc;
}

static bool
explain_known(int rc, char *error)
{
	if (rc == LIBSSH2_KNOWNHOST_CHECK_MATCH)
		return true;
	snprintf(error, SSH_ERROR_SIZE, "%s",
			 rc == LIBSSH2_KNOWNHOST_CHECK_MISMATCH ? "its key is another one than in known_hosts" :
			 rc == LIBSSH2_KNOWNHOST_CHECK_NOTFOUND ? "it is not in known_hosts" : "known_hosts cannot be read");
	return false;
}

static bool
log_in(LIBSSH2_SESSION *session, const char *username, const SshLogin *login)
{
	unsigned	user_len = strlen(username);

	if (login->key)
		return libssh2_userauth_publickey_frommemory(session, username, user_len, NULL, 0, login->key, strlen(login->key),
													 login->password) == 0;
	if (login->key_path)
		return libssh2_userauth_publickey_fromfile_ex(session, username, user_len, NULL, login->key_path, login->password) == 0;
	return libssh2_userauth_password_ex(session, username, user_len, login->password ? login->password : "",
										login->password ? strlen(login->password) : 0, NULL) == 0;
}

/* ---------------------------------------------------------------- the command */

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
