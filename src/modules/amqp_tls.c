/*
 * amqp_tls.c
 *		TLS for connections to brokers.
 *
 * librabbitmq has TLS itself, but only on connections that it makes itself, to
 * addresses that it looks up itself: the rules for addresses could be evaded by
 * a name that changes between the look and the connection.  It also waits on a
 * descriptor for what OpenSSL has read already.  So TLS is spoken here, on the
 * socket that the host has connected, by a thread that passes the bytes on
 * through a pair of sockets; to librabbitmq its end is a plain connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "modules/amqp_broker.h"
#include "modules/amqp_tls.h"

#define STACK_SIZE (512 * 1024)
#define BUFFER_SIZE 16384

/* Bytes on their way in one direction. */
typedef struct Bytes
{
	char		data[BUFFER_SIZE];
	int			begin;
	int			end;
} Bytes;

typedef struct Relay
{
	SSL		   *ssl;
	int			tls_fd;
	int			plain_fd;
	Bytes		out;			/* to the broker */
	Bytes		in;
	short		waits_for;		/* poll events of tls_fd, that TLS needs to go on */
	bool		ended;			/* one of the two sides has */
} Relay;

static SSL *new_session(const AmqpTls *tls, char *error);
static bool load_files(SSL_CTX *context, const AmqpTls *tls, char *error);
static int	no_passphrase(char *buffer, int size, int writing, void *arg);
static bool set_host(SSL *ssl, const char *host);
static bool handshake(SSL *ssl, int fd, int timeout_ms, char *error, bool *refused);
static short poll_events(SSL *ssl, int rc);
static int	start_relay(SSL *ssl, int fd, char *error);
static void *run_relay(void *arg);
static bool pass_out(Relay *relay);
static bool pass_in(Relay *relay);
static void wait_for_either(Relay *relay);
static void free_relay(Relay *relay);

void
amqp_tls_init(void)
{
	/* Its threads are not waited for when the program ends, so nothing may be taken from under them. */
	(void) OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
}

int
amqp_tls_start(int fd, const AmqpTls *tls, int timeout_ms, char *error, bool *refused)
{
	SSL		   *ssl = new_session(tls, error);
	int			plain_fd = -1;

	*refused = ssl == NULL;
	if (ssl && !SSL_set_fd(ssl, fd))
		snprintf(error, AMQP_ERROR_SIZE, "out of memory");
	else if (ssl && handshake(ssl, fd, timeout_ms, error, refused))
		plain_fd = start_relay(ssl, fd, error);
	if (plain_fd < 0)
	{
		SSL_free(ssl);
		close(fd);
	}
	return plain_fd;
}

/* ---------------------------------------------------------------- who the broker is */

/* NULL, and why not. */
static SSL *
new_session(const AmqpTls *tls, char *error)
{
	SSL_CTX    *context = SSL_CTX_new(TLS_client_method());
	SSL		   *ssl = NULL;

	snprintf(error, AMQP_ERROR_SIZE, "out of memory");
	if (context && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) && load_files(context, tls, error))
	{
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		ssl = SSL_new(context);
		if (ssl && !set_host(ssl, tls->host))
		{
			SSL_free(ssl);
			ssl = NULL;
		}
	}
	SSL_CTX_free(context);
	ERR_clear_error();
	return ssl;
}

/* What cannot be read is named by what it is for: its path is nobody's business but the administrator's. */
static bool
load_files(SSL_CTX *context, const AmqpTls *tls, char *error)
{
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	if (!(tls->ca ? SSL_CTX_load_verify_locations(context, tls->ca, NULL) : SSL_CTX_set_default_verify_paths(context)))
		snprintf(error, AMQP_ERROR_SIZE, "the certificates to be trusted (ca_filename) cannot be read");
	else if (tls->certificate &&
			 (SSL_CTX_use_certificate_chain_file(context, tls->certificate) != 1 ||
			  SSL_CTX_use_PrivateKey_file(context, tls->certificate, SSL_FILETYPE_PEM) != 1 ||
			  SSL_CTX_check_private_key(context) != 1))
		snprintf(error, AMQP_ERROR_SIZE, "the certificate and its key (certificate_filename) cannot be read, or do not belong together");
	else
		return true;
	return false;
}

/* There is nobody at a terminal to be asked. */
static int
no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void) buffer;
	(void) size;
	(void) writing;
	(void) arg;
	return 0;
}

static bool
set_host(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
}

static bool
handshake(SSL *ssl, int fd, int timeout_ms, char *error, bool *refused)
{
	int64_t		end = amqp_now() + timeout_ms;
	unsigned long code;

	for (;;)
	{
		struct pollfd waited = {.fd = fd};
		int64_t		left = end - amqp_now();
		int			rc;

		ERR_clear_error();
		rc = SSL_connect(ssl);
		if (rc == 1)
			return true;
		waited.events = poll_events(ssl, rc);
		if (waited.events == 0)
			break;
		if (left <= 0 || poll(&waited, 1, (int) left) == 0)
		{
			snprintf(error, AMQP_ERROR_SIZE, "no TLS connection in time");
			return false;
		}
	}
	code = ERR_get_error();
	/* Who closes it may be starting; who answers with something else than TLS will do so again. */
	*refused = code != 0 && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING;
	if (SSL_get_verify_result(ssl) != X509_V_OK)
		snprintf(error, AMQP_ERROR_SIZE, "the broker's certificate is not trusted: %s",
				 X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
	else
		snprintf(error, AMQP_ERROR_SIZE, "no TLS connection: %s",
				 code && ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "the broker has closed it");
	return false;
}

/* What the descriptor is to be ready for; 0: it cannot go on. */
static short
poll_events(SSL *ssl, int rc)
{
	int			code = SSL_get_error(ssl, rc);

	return code == SSL_ERROR_WANT_READ ? POLLIN : code == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

/* ---------------------------------------------------------------- the thread */

/* The relay has both from then on; -1, and why not: it has neither. */
static int
start_relay(SSL *ssl, int fd, char *error)
{
	Relay	   *relay = calloc(1, sizeof(Relay));
	pthread_attr_t attributes;
	int			pair[2];
	int			rc;

	if (relay == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
	{
		snprintf(error, AMQP_ERROR_SIZE, "could not make a pair of sockets: %s", strerror(errno));
		free(relay);
		return -1;
	}
	relay->ssl = ssl;
	relay->tls_fd = fd;
	relay->plain_fd = pair[1];
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&(pthread_t) {0}, &attributes, run_relay, relay);
	pthread_attr_destroy(&attributes);
	if (rc == 0)
		return pair[0];
	snprintf(error, AMQP_ERROR_SIZE, "could not start a thread: %s", strerror(rc));
	close(pair[0]);
	close(pair[1]);
	free(relay);
	return -1;
}

/* Until one of the two sides closes; then the other one sees the same. */
static void *
run_relay(void *arg)
{
	Relay	   *relay = arg;

	while (!relay->ended)
	{
		bool		moved;

		relay->waits_for = 0;
		moved = pass_out(relay);
		if (!relay->ended)
			moved |= pass_in(relay);
		if (!relay->ended && !moved)
			wait_for_either(relay);
	}
	free_relay(relay);
	return NULL;
}

/* True: something moved. */
static bool
pass_out(Relay *relay)
{
	Bytes	   *bytes = &relay->out;
	int			rc;
	short		events;

	if (bytes->begin == bytes->end)
	{
		rc = recv(relay->plain_fd, bytes->data, sizeof(bytes->data), 0);
		if (rc <= 0)
		{
			relay->ended = rc == 0 || (errno != EAGAIN && errno != EINTR);
			return false;
		}
		bytes->begin = 0;
		bytes->end = rc;
	}
	ERR_clear_error();
	rc = SSL_write(relay->ssl, bytes->data + bytes->begin, bytes->end - bytes->begin);
	if (rc > 0)
	{
		bytes->begin += rc;
		return true;
	}
	events = poll_events(relay->ssl, rc);
	relay->waits_for |= events;
	relay->ended = events == 0;
	return false;
}

static bool
pass_in(Relay *relay)
{
	Bytes	   *bytes = &relay->in;
	int			rc;
	short		events;

	if (bytes->begin == bytes->end)
	{
		ERR_clear_error();
		rc = SSL_read(relay->ssl, bytes->data, sizeof(bytes->data));
		if (rc <= 0)
		{
			events = poll_events(relay->ssl, rc);
			relay->waits_for |= events;
			relay->ended = events == 0;
			return false;
		}
		bytes->begin = 0;
		bytes->end = rc;
	}
	rc = send(relay->plain_fd, bytes->data + bytes->begin, bytes->end - bytes->begin, MSG_NOSIGNAL);
	if (rc > 0)
		bytes->begin += rc;
	else
		relay->ended = errno != EAGAIN && errno != EINTR;
	return rc > 0;
}

static void
wait_for_either(Relay *relay)
{
	struct pollfd fds[2] = {{.fd = relay->plain_fd}, {.fd = relay->tls_fd, .events = relay->waits_for}};
	bool		may_read = relay->out.begin == relay->out.end;

	if (may_read)
		fds[0].events |= POLLIN;
	if (relay->in.begin < relay->in.end)
		fds[0].events |= POLLOUT;
	if (poll(fds, 2, -1) < 0 && errno != EINTR)
		relay->ended = true;
	/* Nobody is there any more for whom the rest would be sent; where there is something to read, reading finds the end. */
	if (!may_read && (fds[0].revents & (POLLHUP | POLLERR)))
		relay->ended = true;
}

static void
free_relay(Relay *relay)
{
	ERR_clear_error();
	/* Says goodbye, if it can without waiting. */
	(void) SSL_shutdown(relay->ssl);
	SSL_free(relay->ssl);
	close(relay->tls_fd);
	close(relay->plain_fd);
	free(relay);
}
