/*
 * amqp_source.c
 *		Queues that are read.
 *
 * Each has a connection and a thread.  The thread passes messages on (arrived)
 * and gets back what became of them (verdicts).  A message that no verdict has
 * come for when the connection breaks is sent again by the broker; the database
 * knows it by its message id.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/plain_json.h"
#include "modules/amqp_broker.h"
#include "modules/amqp_source.h"

#define CHANNEL 1
#define LOOK_MS 5000			/* heartbeats */
#define FULL_MS 50				/* until it is looked whether there is room again */
#define FIRST_RETRY_MS 200
#define LONGEST_RETRY_MS 10000
#define DEFAULT_PREFETCH 100
#define MAX_PREFETCH 1000
#define MAX_MESSAGE (16 * 1024 * 1024)
#define MAX_ARRIVED (64 * 1024 * 1024)	/* bytes; with more no queue is read */

/* What became of a message. */
typedef struct Verdict
{
	struct Verdict *next;
	uint64_t	tag;
	int			connection;		/* tags are a connection's */
	bool		committed;
} Verdict;

typedef struct AmqpSource
{
	struct AmqpSource *next;
	char	   *name;
	char	   *config;			/* its JSON, to see whether it has changed */
	char	   *queue;
	AmqpBroker *broker;
	char	   *password;
	int			prefetch;
	int			wake_fd;
	pthread_mutex_t lock;		/* for the next two */
	Verdict    *verdicts;
	bool		stop;			/* the thread frees it all, and ends */
	int			connection_number;	/* of all sources' together; of the thread, as is what follows */
	amqp_connection_state_t connection;
	int64_t		retry_at;
	int64_t		retry_ms;
	char		error[AMQP_ERROR_SIZE];
} AmqpSource;

/* A message, or a line for the log. */
typedef struct Message
{
	struct Message *next;
	int64_t		number;
	char	   *source;
	char	   *key;			/* NULL: none */
	char	   *json;			/* NULL: a line for the log, in key */
	size_t		size;			/* of the JSON */
	uint64_t	tag;
	int			connection;
} Message;

/* A message that is being read. */
typedef struct Incoming
{
	AmqpSource *source;
	PlainBuffer json;
	char	   *key;			/* NULL: none */
} Incoming;

static const MistralHost *host;
static AmqpSource *sources = NULL;
static pthread_mutex_t arrived_lock = PTHREAD_MUTEX_INITIALIZER;
static Message *arrived = NULL;
static Message **arrived_end = &arrived;
static size_t arrived_bytes = 0;	/* of what waits there */
static int	arrived_fd = -1;
static Message *delivered = NULL;	/* and no verdict yet */
static int64_t last_number = 0;
static int	last_connection = 0;

static AmqpSource *new_source(PlainJson source);
static void stop_source(AmqpSource *source);
static void free_source(AmqpSource *source);
static AmqpSource *find_source(const char *name);
static void *run_source(void *arg);
static bool consume(AmqpSource *source);
static void lose(AmqpSource *source, const char *why);
static void tell_broker(AmqpSource *source);
static void read_messages(AmqpSource *source);
static bool is_full(void);
static void take_message(AmqpSource *source, amqp_basic_deliver_t *deliver);
static void take_properties(void *arg, const amqp_basic_properties_t *properties);
static bool handle_between(void *arg, amqp_frame_t *frame);
static void append_bytes(PlainBuffer *json, const char *key, amqp_bytes_t bytes);
static void append_headers(PlainBuffer *json, const amqp_table_t *headers);
static void pass_on(AmqpSource *source, char *key, char *json, uint64_t tag);
static void free_message(Message *message);

bool
amqp_sources_start(const MistralHost *given)
{
	host = given;
	arrived_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return arrived_fd >= 0;
}

int
amqp_sources_fd(void)
{
	return arrived_fd;
}

void
amqp_sources_drive(void)
{
	for (;;)
	{
		Message    *message;
		eventfd_t	count;

		pthread_mutex_lock(&arrived_lock);
		message = arrived;
		if (message)
		{
			arrived = message->next;
			if (arrived == NULL)
				arrived_end = &arrived;
			arrived_bytes -= message->size;
		}
		else
			(void) eventfd_read(arrived_fd, &count);
		pthread_mutex_unlock(&arrived_lock);
		if (message == NULL)
			return;
		if (message->json == NULL)
		{
			host->log(MISTRAL_LOG_WARNING, message->key);
			free_message(message);
			continue;
		}
		message->number = ++last_number;
		if (!host->deliver(message->source, message->number, message->key, message->json))
		{
			/* Back to the head; the next verdict is followed by another look. */
			pthread_mutex_lock(&arrived_lock);
			message->next = arrived;
			arrived = message;
			if (message->next == NULL)
				arrived_end = &message->next;
			arrived_bytes += message->size;
			(void) eventfd_read(arrived_fd, &count);
			pthread_mutex_unlock(&arrived_lock);
			return;
		}
		free(message->json);
		message->json = NULL;
		message->next = delivered;
		delivered = message;
	}
}

void
amqp_sources_configure(const char *json)
{
	AmqpSource *old = sources;
	PlainJson	list;
	PlainJson	source;
	size_t		cursor = 0;

	sources = NULL;
	if (!plain_json_check(json, strlen(json), &list))
		return;
	while (plain_json_next(list, &cursor, NULL, &source))
	{
		AmqpSource **place = &old;
		AmqpSource *kept;

		/* One that is as it was goes on. */
		while (*place && (strlen((*place)->config) != source.len || memcmp((*place)->config, source.text, source.len) != 0))
			place = &(*place)->next;
		kept = *place;
		if (kept)
			*place = kept->next;
		else
			kept = new_source(source);
		if (kept)
		{
			kept->next = sources;
			sources = kept;
		}
	}
	while (old)
	{
		AmqpSource *next = old->next;

		stop_source(old);
		old = next;
	}
}

void
amqp_sources_delivered(const char *name, int64_t number, bool committed)
{
	Message   **place = &delivered;
	Message    *message;
	AmqpSource *source = find_source(name);
	Verdict    *verdict = malloc(sizeof(Verdict));

	while (*place && (*place)->number != number)
		place = &(*place)->next;
	message = *place;
	if (message)
		*place = message->next;
	if (message && source && verdict)
	{
		verdict->tag = message->tag;
		verdict->connection = message->connection;
		verdict->committed = committed;
		pthread_mutex_lock(&source->lock);
		verdict->next = source->verdicts;
		source->verdicts = verdict;
		pthread_mutex_unlock(&source->lock);
		(void) eventfd_write(source->wake_fd, 1);
	}
	else
		free(verdict);
	if (message)
		free_message(message);
	(void) eventfd_write(arrived_fd, 1);
}

/* ---------------------------------------------------------------- sources */

/* NULL, and a line in the log, when it cannot be. */
static AmqpSource *
new_source(PlainJson given)
{
	AmqpSource *source = calloc(1, sizeof(AmqpSource));
	PlainJson	config = plain_json_get(given, "config");
	pthread_attr_t attributes;
	char		line[AMQP_ERROR_SIZE + 100];
	int			rc = -1;

	if (source == NULL)
		return NULL;
	source->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	source->name = plain_json_get_string(given, "name");
	source->config = strndup(given.text, given.len);
	source->queue = plain_json_get_string(config, "queue");
	source->password = plain_json_get_string(config, "password");
	source->prefetch = plain_json_get_int(config, "prefetch", DEFAULT_PREFETCH);
	if (source->prefetch < 1 || source->prefetch > MAX_PREFETCH)
		source->prefetch = DEFAULT_PREFETCH;
	if (source->wake_fd < 0 || source->name == NULL || source->config == NULL)
		snprintf(source->error, sizeof(source->error), "out of memory or descriptors");
	else if (plain_json_get(config, "url").text == NULL || source->queue == NULL)
		snprintf(source->error, sizeof(source->error), "its configuration has \"url\" and \"queue\", both texts");
	else if ((source->broker = amqp_broker_new(config, source->error)) != NULL)
	{
		if (source->password)
			source->broker->info.password = source->password;
		pthread_mutex_init(&source->lock, NULL);
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, AMQP_STACK_SIZE);
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		rc = pthread_create(&(pthread_t) {0}, &attributes, run_source, source);
		pthread_attr_destroy(&attributes);
		if (rc != 0)
			snprintf(source->error, sizeof(source->error), "could not start a thread: %s", strerror(rc));
	}
	if (rc == 0)
		return source;
	snprintf(line, sizeof(line), "source \"%.80s\" cannot be read: %s", source->name ? source->name : "", source->error);
	host->log(MISTRAL_LOG_WARNING, line);
	free_source(source);
	return NULL;
}

static void
stop_source(AmqpSource *source)
{
	int			wake_fd = source->wake_fd;

	/* The lock is held while it is woken, for then it may vanish. */
	pthread_mutex_lock(&source->lock);
	source->stop = true;
	(void) eventfd_write(wake_fd, 1);
	pthread_mutex_unlock(&source->lock);
}

static void
free_source(AmqpSource *source)
{
	while (source->verdicts)
	{
		Verdict    *next = source->verdicts->next;

		free(source->verdicts);
		source->verdicts = next;
	}
	if (source->wake_fd >= 0)
		close(source->wake_fd);
	free(source->name);
	free(source->config);
	free(source->queue);
	if (source->broker)
		amqp_broker_free(source->broker);
	free(source->password);
	free(source);
}

static AmqpSource *
find_source(const char *name)
{
	for (AmqpSource *source = sources; source; source = source->next)
	{
		if (strcmp(source->name, name) == 0)
			return source;
	}
	return NULL;
}

/* ---------------------------------------------------------------- the thread */

static void *
run_source(void *arg)
{
	AmqpSource *source = arg;

	for (;;)
	{
		struct pollfd fds[2] = {{.fd = source->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
		int64_t		timeout = LOOK_MS;
		eventfd_t	count;
		bool		stop;

		(void) eventfd_read(source->wake_fd, &count);
		pthread_mutex_lock(&source->lock);
		stop = source->stop;
		pthread_mutex_unlock(&source->lock);
		if (stop)
		{
			/* What is committed by now shall not come again. */
			tell_broker(source);
			break;
		}
		if (source->connection == NULL && amqp_now() >= source->retry_at && !consume(source))
			lose(source, source->error);
		tell_broker(source);
		read_messages(source);
		if (source->connection && is_full())
			timeout = FULL_MS;
		else if (source->connection)
		{
			if (amqp_frames_enqueued(source->connection) || amqp_data_in_buffer(source->connection))
				continue;
			fds[1].fd = amqp_get_sockfd(source->connection);
		}
		else
			timeout = source->retry_at > amqp_now() ? source->retry_at - amqp_now() : 0;
		(void) poll(fds, 2, (int) timeout);
	}
	if (source->connection)
		amqp_destroy_connection(source->connection);
	free_source(source);
	return NULL;
}

static bool
consume(AmqpSource *source)
{
	amqp_rpc_reply_t reply;
	bool		refused;

	source->connection = amqp_broker_open(source->broker, source->error, &refused);
	if (source->connection == NULL)
		return false;
	/* Never the number of another source of the same name, before a change: its verdicts are no concern of this connection's. */
	source->connection_number = __atomic_add_fetch(&last_connection, 1, __ATOMIC_RELAXED);
	amqp_channel_open(source->connection, CHANNEL);
	reply = amqp_get_rpc_reply(source->connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
	{
		amqp_basic_qos(source->connection, CHANNEL, 0, source->prefetch, false);
		reply = amqp_get_rpc_reply(source->connection);
	}
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
	{
		amqp_basic_consume(source->connection, CHANNEL, amqp_cstring_bytes(source->queue), amqp_empty_bytes, false, false, false,
						   amqp_empty_table);
		reply = amqp_get_rpc_reply(source->connection);
	}
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
	{
		amqp_describe_reply(reply, source->error);
		return false;
	}
	source->retry_ms = 0;
	return true;
}

/* Logged when the first attempt after a good time fails. */
static void
lose(AmqpSource *source, const char *why)
{
	char		line[AMQP_ERROR_SIZE + 100];

	if (source->retry_ms == 0)
	{
		snprintf(line, sizeof(line), "source \"%.80s\" has no connection, and tries again: %s", source->name, why);
		pass_on(source, strdup(line), NULL, 0);
	}
	if (source->connection)
		amqp_destroy_connection(source->connection);
	source->connection = NULL;
	source->retry_ms = source->retry_ms * 2 < FIRST_RETRY_MS ? FIRST_RETRY_MS : source->retry_ms * 2;
	if (source->retry_ms > LONGEST_RETRY_MS)
		source->retry_ms = LONGEST_RETRY_MS;
	source->retry_at = amqp_now() + source->retry_ms;
}

/* What is committed is acknowledged; what can never be taken goes where the broker puts such messages. */
static void
tell_broker(AmqpSource *source)
{
	Verdict    *verdict;

	pthread_mutex_lock(&source->lock);
	verdict = source->verdicts;
	source->verdicts = NULL;
	pthread_mutex_unlock(&source->lock);
	while (verdict)
	{
		Verdict    *next = verdict->next;
		int			rc = AMQP_STATUS_OK;

		if (source->connection && verdict->connection == source->connection_number)
			rc = verdict->committed ? amqp_basic_ack(source->connection, CHANNEL, verdict->tag, false) :
				amqp_basic_reject(source->connection, CHANNEL, verdict->tag, false);
		if (rc != AMQP_STATUS_OK)
			lose(source, amqp_error_string2(rc));
		free(verdict);
		verdict = next;
	}
}

static void
read_messages(AmqpSource *source)
{
	struct timeval none = {0};

	for (int n = 0; source->connection && n < AMQP_FRAMES_AT_ONCE && !is_full(); n++)
	{
		amqp_frame_t frame;
		int			rc = amqp_simple_wait_frame_noblock(source->connection, &frame, &none);

		if (rc == AMQP_STATUS_TIMEOUT)
			break;
		if (rc != AMQP_STATUS_OK)
			lose(source, amqp_error_string2(rc));
		else if (frame.channel > CHANNEL)
			lose(source, "the broker speaks on a channel that is not open");
		else if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD)
			take_message(source, frame.payload.method.decoded);
		else if (frame.frame_type == AMQP_FRAME_METHOD &&
				 (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD || frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD ||
				  frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD))
			lose(source, "the broker has ended it");
		if (source->connection)
			amqp_maybe_release_buffers(source->connection);
	}
}

/* Whether more has come than the host takes now: what is not read waits at the broker. */
static bool
is_full(void)
{
	bool		full;

	pthread_mutex_lock(&arrived_lock);
	full = arrived_bytes > MAX_ARRIVED;
	pthread_mutex_unlock(&arrived_lock);
	return full;
}

static void
take_message(AmqpSource *source, amqp_basic_deliver_t *deliver)
{
	Incoming	incoming = {source};
	AmqpReader	reader = {take_properties, handle_between, &incoming};
	AmqpContent message;
	PlainBuffer *json = &incoming.json;
	PlainJson	body;
	uint64_t	tag = deliver->delivery_tag;
	char		error[AMQP_ERROR_SIZE];

	plain_append_text(json, deliver->redelivered ? "{\"redelivered\":true" : "{\"redelivered\":false");
	append_bytes(json, "exchange", deliver->exchange);
	append_bytes(json, "routing_key", deliver->routing_key);
	if (!amqp_read_content(source->connection, CHANNEL, MAX_MESSAGE, &message, &reader, error))
	{
		free(incoming.key);
		plain_reset(json);
		if (error[0])
			lose(source, error);
		return;
	}
	if (message.size > MAX_MESSAGE)
		plain_append_text(json, ",\"body\":null");
	else if (plain_json_check(message.body.data ? message.body.data : "", message.body.len, &body))
	{
		plain_append_text(json, ",\"body\":");
		plain_append(json, body.text, body.len);
	}
	else
		append_bytes(json, "body", (amqp_bytes_t) {message.body.len, message.body.data});
	plain_append_text(json, "}");
	plain_reset(&message.body);
	if (json->failed)
	{
		free(incoming.key);
		plain_reset(json);
		lose(source, "out of memory");
		return;
	}
	pass_on(source, incoming.key, json->data, tag);
}

static void
take_properties(void *arg, const amqp_basic_properties_t *properties)
{
	Incoming   *incoming = arg;
	PlainBuffer *json = &incoming->json;

	if (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
	{
		append_bytes(json, "message_id", properties->message_id);
		incoming->key = strndup(properties->message_id.bytes, properties->message_id.len);
	}
	if (properties->_flags & AMQP_BASIC_CORRELATION_ID_FLAG)
		append_bytes(json, "correlation_id", properties->correlation_id);
	if (properties->_flags & AMQP_BASIC_TYPE_FLAG)
		append_bytes(json, "type", properties->type);
	if (properties->_flags & AMQP_BASIC_HEADERS_FLAG)
		append_headers(json, &properties->headers);
}

/* Only the connection itself says anything besides. */
static bool
handle_between(void *arg, amqp_frame_t *frame)
{
	Incoming   *incoming = arg;

	if (frame->frame_type != AMQP_FRAME_METHOD || frame->payload.method.id != AMQP_CONNECTION_CLOSE_METHOD)
		return true;
	lose(incoming->source, "the broker has ended it");
	return false;
}

static void
append_bytes(PlainBuffer *json, const char *key, amqp_bytes_t bytes)
{
	plain_append_text(json, ",\"");
	plain_append_text(json, key);
	plain_append_text(json, "\":");
	plain_append_string(json, bytes.bytes ? bytes.bytes : "", bytes.len);
}

/* Texts, whole numbers and booleans; others are left out. */
static void
append_headers(PlainBuffer *json, const amqp_table_t *headers)
{
	bool		first = true;

	plain_append_text(json, ",\"headers\":{");
	for (int i = 0; i < headers->num_entries; i++)
	{
		const amqp_table_entry_t *entry = &headers->entries[i];
		const amqp_field_value_t *value = &entry->value;

		if (value->kind != AMQP_FIELD_KIND_UTF8 && value->kind != AMQP_FIELD_KIND_BOOLEAN && value->kind != AMQP_FIELD_KIND_I64 &&
			value->kind != AMQP_FIELD_KIND_I32)
			continue;
		if (!first)
			plain_append_text(json, ",");
		first = false;
		plain_append_string(json, entry->key.bytes, entry->key.len);
		plain_append_text(json, ":");
		if (value->kind == AMQP_FIELD_KIND_UTF8)
			plain_append_string(json, value->value.bytes.bytes, value->value.bytes.len);
		else if (value->kind == AMQP_FIELD_KIND_BOOLEAN)
			plain_append_text(json, value->value.boolean ? "true" : "false");
		else
			plain_append_int(json, value->kind == AMQP_FIELD_KIND_I64 ? value->value.i64 : value->value.i32);
	}
	plain_append_text(json, "}");
}

/* To the host's thread; key and json are the message's from then on. */
static void
pass_on(AmqpSource *source, char *key, char *json, uint64_t tag)
{
	Message    *message = calloc(1, sizeof(Message));

	if (message == NULL || (message->source = strdup(source->name)) == NULL || (json == NULL && key == NULL))
	{
		free(message);
		free(key);
		free(json);
		return;
	}
	message->key = key;
	message->json = json;
	message->size = json ? strlen(json) : 0;
	message->tag = tag;
	message->connection = source->connection_number;
	pthread_mutex_lock(&arrived_lock);
	*arrived_end = message;
	arrived_end = &message->next;
	arrived_bytes += message->size;
	pthread_mutex_unlock(&arrived_lock);
	(void) eventfd_write(arrived_fd, 1);
}

static void
free_message(Message *message)
{
	free(message->source);
	free(message->key);
	free(message->json);
	free(message);
}
