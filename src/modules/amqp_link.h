/*
 * amqp_link.h
 *		Connections to brokers, each with a thread of its own, because the
 *		library waits.
 */
#ifndef MISTRAL_AMQP_LINK_H
#define MISTRAL_AMQP_LINK_H

#include <pthread.h>

#include "modules/amqp_broker.h"

/* A message to be published, from its action to its outcome; malloc'd with all that it points to. */
typedef struct AmqpJob
{
	struct AmqpJob *next;
	char	   *id;				/* of the action, and the message */
	uint32_t	owner;			/* whose action it is */
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

/* A descriptor that is readable when a job has ended.  False without descriptors. */
extern bool amqp_links_start(void);
extern int	amqp_links_fd(void);

/* Ends all threads. */
extern void amqp_links_stop(void);

/*
 * Hands a job to the connection with that broker, which is the connection's from
 * then on; false, and the job's error, when there can be no such connection.
 */
extern bool amqp_link_send(AmqpBroker *broker, AmqpJob *job);

/* A job that has ended, or NULL; the caller's from then on. */
extern AmqpJob *amqp_links_take(void);

extern void amqp_job_free(AmqpJob *job);

#endif							/* MISTRAL_AMQP_LINK_H */
