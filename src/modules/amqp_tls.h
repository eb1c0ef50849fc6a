/*
 * amqp_tls.h
 *		TLS for connections to brokers.
 */
#ifndef MISTRAL_AMQP_TLS_H
#define MISTRAL_AMQP_TLS_H

#include <stdbool.h>

/* What a connection is to be protected with. */
typedef struct AmqpTls
{
	const char *host;			/* that the certificate must be for */
	const char *ca;				/* path of the certificates to be trusted, NULL: the system's */
	const char *certificate;	/* path of our own and its key, NULL: none */
} AmqpTls;

/* Once, before anything else of this file. */
extern void amqp_tls_init(void);

/*
 * Takes over a connected socket, and gives another one: what is written to it
 * arrives through TLS, and so back.  -1, and the reason, when there is no
 * connection that can be trusted; *refused when another attempt would find the
 * same.  Waits: only from a thread.
 */
extern int	amqp_tls_start(int fd, const AmqpTls *tls, int timeout_ms, char *error, bool *refused);

#endif							/* MISTRAL_AMQP_TLS_H */
