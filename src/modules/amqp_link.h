/*
 * amqp_link.h
 *		Connections to brokers, each with a thread of its own, because the
 *		library waits.
 */
#ifndef MISTRAL_AMQP_LINK_H
#define MISTRAL_AMQP_LINK_H

#include <pthread.h>

/* Releases of the library from 0.12 on have their headers in a directory, and warn about the others. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif

#include "io/mistral_action.h"

#define AMQP_ERROR_SIZE 512

/* A message to be published, from its action to its outcome; malloc'd with all that it points to. */
typedef struct AmqpJob
{
	struct AmqpJob *next;
	char	   *id;				/* of the action, and the message */
	char	   *exchange;
	char	   *routing_key;
	char	   *body;
	char	   *content_type;
	char	   *correlation_id;
	char	   *reply_to;		/* NULL: none */
	amqp_table_entry_t *headers;
	int			nheaders;
	char	  **texts;			/* what the headers point to, two of each */
	bool		persistent;
	bool		mandatory;		/* an error when no queue takes it */
	bool		safe_rerun;		/* may be sent again when nobody knows whether it arrived */
	int64_t		deadline;		/* monotonic ms */

	/* Once it is published. */
	int			channel;
	uint64_t	tag;
	bool		returned;		/* no queue has taken it */

	/* Once it has ended. */
	bool		success;
	char		error[AMQP_ERROR_SIZE];
} AmqpJob;

typedef struct AmqpLink AmqpLink;

/* Whom to ask for connections; a descriptor that is readable when a job has ended.  False without descriptors. */
extern bool amqp_links_start(const MistralHost *host);
extern int	amqp_links_fd(void);

/* Ends all threads. */
extern void amqp_links_stop(void);

/* Hands a job to the connection with that URL; false, and the job's error, when there can be no such connection. */
extern bool amqp_link_send(const char *url, AmqpJob *job);

/* A job that has ended, or NULL; the caller's from then on. */
extern AmqpJob *amqp_links_take(void);

/*
 * Connects and logs in; NULL and the reason, *refused when another attempt would find the same.  Waits: only from a thread.
 */
extern amqp_connection_state_t amqp_open(const struct amqp_connection_info *info, char *error, bool *refused);
extern void amqp_describe_reply(amqp_rpc_reply_t reply, char *error);

/* Takes an amqp URL apart; `parts` is a copy of it that the result points into.  False, and why not. */
extern bool amqp_take_apart(char *parts, struct amqp_connection_info *info, char *error);

extern void amqp_job_free(AmqpJob *job);
extern int64_t amqp_now(void);

#endif							/* MISTRAL_AMQP_LINK_H */
