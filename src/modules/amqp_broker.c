/*
 * amqp_broker.c
 *		Brokers: how they are named, and connections to them.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "modules/amqp_broker.h"
#include "modules/amqp_tls.h"
#include "modules/file_name.h"

#define CONNECT_MS 10000
#define HEARTBEAT_S 30
#define PIECE_MS 10000			/* of a message, and the whole of it */
#define MESSAGE_MS 300000

static const MistralHost *host;

static const char *fill(AmqpBroker *broker, PlainJson object);
static const char *take_file(PlainJson object, const char *key, const char *folder, char **name, char **path);
static bool same_text(const char *a, const char *b);
static bool next_frame(amqp_connection_state_t connection, int64_t deadline, amqp_frame_t *frame, char *error);

void
amqp_brokers_start(const MistralHost *given)
{
	host = given;
	amqp_tls_init();
}

AmqpBroker *
amqp_broker_new(PlainJson object, char *error)
{
	AmqpBroker *broker = calloc(1, sizeof(AmqpBroker));
	const char *why = broker ? fill(broker, object) : "out of memory";

	if (why == NULL)
		return broker;
	snprintf(error, AMQP_ERROR_SIZE, "%s", why);
	if (broker)
		amqp_broker_free(broker);
	return NULL;
}

/* What is wrong with it, or NULL. */
static const char *
fill(AmqpBroker *broker, PlainJson object)
{
	const char *error;

	broker->url = plain_json_get_string(object, "url");
	if (broker->url == NULL)
		return "\"url\" must be a text";
	broker->parts = strdup(broker->url);
	if (broker->parts == NULL)
		return "out of memory";
	if (amqp_parse_url(broker->parts, &broker->info) != AMQP_STATUS_OK)
		return "the URL is not of the form amqp://user:password@host:port/vhost, or amqps://...";
	error = take_file(object, "ca_filename", "ca", &broker->ca_filename, &broker->ca);
	if (error == NULL)
		error = take_file(object, "certificate_filename", "certificates", &broker->certificate_filename, &broker->certificate);
	if (error == NULL && !broker->info.ssl && (broker->ca || broker->certificate))
		error = "ca_filename and certificate_filename are for amqps";
	return error;
}

/* A file in the administrator's directory, by its name; what is wrong, or NULL. */
static const char *
take_file(PlainJson object, const char *key, const char *folder, char **name, char **path)
{
	PlainJson	value = plain_json_get(object, key);

	if (value.text == NULL || plain_json_kind(value) == 'n')
		return NULL;
	*name = plain_json_string(value);
	if (*name == NULL || !file_name_is_safe(*name))
		return "ca_filename and certificate_filename must be names of files, of letters, digits and \"_.-\"";
	if (host->directory[0] == '\0')
		return "mistral.io_directory is not set: it holds amqp/ca, and amqp/certificates";
	if (asprintf(path, "%s/amqp/%s/%s", host->directory, folder, *name) < 0)
	{
		*path = NULL;
		return "out of memory";
	}
	return NULL;
}

bool
amqp_broker_equal(const AmqpBroker *a, const AmqpBroker *b)
{
	return same_text(a->url, b->url) && same_text(a->ca_filename, b->ca_filename) &&
		same_text(a->certificate_filename, b->certificate_filename);
}

static bool
same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void
amqp_broker_free(AmqpBroker *broker)
{
	free(broker->url);
	free(broker->ca_filename);
	free(broker->certificate_filename);
	free(broker->ca);
	free(broker->certificate);
	free(broker->parts);
	free(broker);
}

amqp_connection_state_t
amqp_broker_open(const AmqpBroker *broker, char *error, bool *refused)
{
	const struct amqp_connection_info *info = &broker->info;
	struct timeval timeout = {.tv_sec = CONNECT_MS / 1000};
	int			fd = host->connect_to(info->host, info->port, CONNECT_MS, error, AMQP_ERROR_SIZE);
	amqp_connection_state_t connection;
	amqp_socket_t *socket;
	amqp_rpc_reply_t reply;

	*refused = fd < 0 && errno == EACCES;
	if (fd >= 0 && info->ssl)
	{
		AmqpTls		tls = {.host = info->host, .ca = broker->ca, .certificate = broker->certificate};

		fd = amqp_tls_start(fd, &tls, CONNECT_MS, error, refused);
	}
	if (fd < 0)
		return NULL;
	connection = amqp_new_connection();
	socket = connection ? amqp_tcp_socket_new(connection) : NULL;
	if (socket == NULL)
	{
		close(fd);
		snprintf(error, AMQP_ERROR_SIZE, "out of memory");
	}
	else
	{
		amqp_tcp_socket_set_sockfd(socket, fd);
		amqp_set_handshake_timeout(connection, &timeout);
		amqp_set_rpc_timeout(connection, &timeout);
		reply = amqp_login(connection, info->vhost, AMQP_MAX_CHANNELS, AMQP_FRAME_SIZE, HEARTBEAT_S,
						   AMQP_SASL_METHOD_PLAIN, info->user, info->password);
		if (reply.reply_type == AMQP_RESPONSE_NORMAL)
			return connection;
		amqp_describe_reply(reply, error);
		*refused = reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD &&
			((amqp_connection_close_t *) reply.reply.decoded)->reply_code == AMQP_ACCESS_REFUSED;
	}
	if (connection)
		amqp_destroy_connection(connection);
	return NULL;
}

bool
amqp_read_content(amqp_connection_state_t connection, int channel, size_t keep, AmqpContent *content, const AmqpReader *reader,
				  char *error)
{
	int64_t		deadline = amqp_now() + MESSAGE_MS;
	uint64_t	received = 0;
	bool		begun = false;

	memset(content, 0, sizeof(*content));
	while (!begun || received < content->size)
	{
		amqp_frame_t frame;
		amqp_bytes_t piece;

		/* Else all frames of the message would be kept, however large it is. */
		amqp_maybe_release_buffers(connection);
		/* Heartbeats are no pieces, and do not come here. */
		if (!next_frame(connection, deadline, &frame, error))
			break;
		if (frame.channel != channel)
		{
			error[0] = '\0';
			if (!reader->other(reader->arg, &frame))
				break;
		}
		/* Other classes have properties of other types. */
		else if (!begun && frame.frame_type == AMQP_FRAME_HEADER && frame.payload.properties.class_id == AMQP_BASIC_CLASS)
		{
			reader->properties(reader->arg, frame.payload.properties.decoded);
			content->size = frame.payload.properties.body_size;
			begun = true;
		}
		else if (begun && frame.frame_type == AMQP_FRAME_BODY && frame.payload.body_fragment.len > 0)
		{
			piece = frame.payload.body_fragment;
			received += piece.len;
			if (piece.len > keep - content->body.len)
				piece.len = keep - content->body.len;
			if (piece.len > 0)
				plain_append(&content->body, piece.bytes, piece.len);
		}
		else
		{
			snprintf(error, AMQP_ERROR_SIZE, "the broker did not go on with a message that it began");
			break;
		}
	}
	if (begun && received >= content->size && !content->body.failed)
		return true;
	if (content->body.failed)
		snprintf(error, AMQP_ERROR_SIZE, "out of memory");
	plain_reset(&content->body);
	return false;
}

static bool
next_frame(amqp_connection_state_t connection, int64_t deadline, amqp_frame_t *frame, char *error)
{
	int64_t		left = deadline - amqp_now();
	struct timeval timeout;
	int			rc;

	left = left < 0 ? 0 : left > PIECE_MS ? PIECE_MS : left;
	timeout.tv_sec = left / 1000;
	timeout.tv_usec = left % 1000 * 1000;
	rc = amqp_simple_wait_frame_noblock(connection, frame, &timeout);
	if (rc == AMQP_STATUS_TIMEOUT)
		snprintf(error, AMQP_ERROR_SIZE, "the broker began a message, and did not end it in time");
	else if (rc != AMQP_STATUS_OK)
		snprintf(error, AMQP_ERROR_SIZE, "%s", amqp_error_string2(rc));
	return rc == AMQP_STATUS_OK;
}

void
amqp_describe_reply(amqp_rpc_reply_t reply, char *error)
{
	amqp_bytes_t text = {0};

	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		snprintf(error, AMQP_ERROR_SIZE, "%s", amqp_error_string2(reply.library_error));
	else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
	{
		if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
			text = ((amqp_connection_close_t *) reply.reply.decoded)->reply_text;
		else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
			text = ((amqp_channel_close_t *) reply.reply.decoded)->reply_text;
		snprintf(error, AMQP_ERROR_SIZE, "the broker says: %.*s", (int) (text.len < 400 ? text.len : 400), text.bytes ? (char *) text.bytes : "");
	}
	else
		snprintf(error, AMQP_ERROR_SIZE, "out of memory");
}

int64_t
amqp_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
