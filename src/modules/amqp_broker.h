/*
 * amqp_broker.h
 *		Brokers: how they are named, and connections to them.
 */
#ifndef MISTRAL_AMQP_BROKER_H
#define MISTRAL_AMQP_BROKER_H

#include <stdint.h>

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

#include "base/plain_json.h"
#include "io/mistral_action.h"

#define AMQP_ERROR_SIZE 512
#define AMQP_MAX_CHANNELS 64

/*
 * The library decodes tables within tables by recursion: each six bytes of a
 * frame may take some 200 of the stack, so what is allowed of a frame, and the
 * stack of every thread that reads them, belong together.
 */
#define AMQP_FRAME_SIZE 65536
#define AMQP_STACK_SIZE (4 * 1024 * 1024)

/* Frames that are read before anything else is looked at. */
#define AMQP_FRAMES_AT_ONCE 1000

/* malloc'd with all that it points to. */
typedef struct AmqpBroker
{
	char	   *url;
	char	   *ca_filename;	/* NULL: none */
	char	   *certificate_filename;	/* NULL: none */
	char	   *ca;				/* the files' paths */
	char	   *certificate;
	char	   *parts;			/* what info points to */
	struct amqp_connection_info info;
} AmqpBroker;

/* Whom to ask for connections. */
extern void amqp_brokers_start(const MistralHost *host);

/* Takes it from the object's url, ca_filename and certificate_filename; NULL, and why not. */
extern AmqpBroker *amqp_broker_new(PlainJson object, char *error);
extern bool amqp_broker_equal(const AmqpBroker *a, const AmqpBroker *b);
extern void amqp_broker_free(AmqpBroker *broker);

/*
 * Connects and logs in; NULL and the reason, *refused when another attempt would find the same.  Waits: only from a thread.
 */
extern amqp_connection_state_t amqp_broker_open(const AmqpBroker *broker, char *error, bool *refused);

/* Who reads a message that a method frame has begun. */
typedef struct AmqpReader
{
	/* Is given its properties, which vanish when this returns, as does what the method frame held. */
	void		(*properties) (void *arg, const amqp_basic_properties_t *properties);

	/* Is given a frame of another channel that came in between; false: there is no connection any more. */
	bool		(*other) (void *arg, amqp_frame_t *frame);
	void	   *arg;
} AmqpReader;

typedef struct AmqpContent
{
	uint64_t	size;
	PlainBuffer body;			/* no more than was asked for */
} AmqpContent;

/*
 * Reads it, waiting no longer than for a broker that goes on sending it, and
 * keeps up to `keep` bytes of the body.  False and the reason, when the
 * connection is to be given up; with an empty reason `other` has done so.
 */
extern bool amqp_read_content(amqp_connection_state_t connection, int channel, size_t keep, AmqpContent *content,
							  const AmqpReader *reader, char *error);
extern void amqp_describe_reply(amqp_rpc_reply_t reply, char *error);

extern int64_t amqp_now(void);

#endif							/* MISTRAL_AMQP_BROKER_H */
