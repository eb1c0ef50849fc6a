/*
 * connect.c
 *		Connections that the egress rules allow.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/egress.h"
#include "io/connect.h"

static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;
static Egress rules;
static bool have_rules = false;

static int	connect_one(const struct addrinfo *address, int timeout_ms, char *error, size_t size);
static int64_t now_ms(void);

bool
connect_set_rules(const char *allow, const char *deny, int own_port)
{
	pthread_mutex_lock(&rules_lock);
	have_rules = egress_set(&rules, allow, deny, own_port);
	pthread_mutex_unlock(&rules_lock);
	return have_rules;
}

bool
connect_address_allowed(const struct sockaddr *address)
{
	bool		allowed;

	pthread_mutex_lock(&rules_lock);
	allowed = have_rules && egress_allowed(&rules, address);
	pthread_mutex_unlock(&rules_lock);
	return allowed;
}

int
connect_to(const char *host, int port, int timeout_ms, char *error, size_t size)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *addresses;
	struct addrinfo *a;
	int64_t		end = now_ms() + timeout_ms;
	char		service[16];
	bool		refused = false;
	int			fd = -1;
	int			rc;

	snprintf(service, sizeof(service), "%d", port);
	rc = getaddrinfo(host, service, &hints, &addresses);
	if (rc != 0)
	{
		errno = ENOENT;
		snprintf(error, size, "could not find host \"%s\": %s", host, gai_strerror(rc));
		return -1;
	}
	snprintf(error, size, "host \"%s\" has no address", host);
	for (a = addresses; a != NULL && fd < 0; a = a->ai_next)
	{
		int64_t		left = end - now_ms();

		if (!connect_address_allowed(a->ai_addr))
		{
			char		text[INET6_ADDRSTRLEN] = "";

			getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
			snprintf(error, size, "address %s is not allowed (mistral.http_deny)", text);
			refused = true;
			continue;
		}
		refused = false;
		if (left <= 0)
			snprintf(error, size, "no connection to \"%s\" in time", host);
		else
			fd = connect_one(a, left, error, size);
	}
	freeaddrinfo(addresses);
	errno = refused ? EACCES : ETIMEDOUT;
	return fd;
}

static int
connect_one(const struct addrinfo *address, int timeout_ms, char *error, size_t size)
{
	int			fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int			on = 1;
	int			failure = 0;
	socklen_t	len = sizeof(failure);

	if (fd < 0)
	{
		snprintf(error, size, "could not make a socket: %s", strerror(errno));
		return -1;
	}
	if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
	{
		struct pollfd waited = {.fd = fd, .events = POLLOUT};
		int			rc;

		failure = errno;
		if (failure == EINPROGRESS)
		{
			while ((rc = poll(&waited, 1, timeout_ms)) < 0 && errno == EINTR)
				;
			if (rc == 0)
				failure = ETIMEDOUT;
			else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
				failure = errno;
		}
	}
	if (failure != 0)
	{
		snprintf(error, size, "could not connect: %s", strerror(failure));
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
