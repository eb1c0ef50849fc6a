/*
 * amqp_module.c
 *		The module mistral_amqp: std.amqp publishes a message and ends when the
 *		broker has confirmed it; sources are queues that are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain_json.h"
#include "io/mistral_action.h"
#include "modules/amqp_link.h"
#include "modules/amqp_source.h"

#define MAX_HEADERS 100
#define MAX_SHORT 255			/* bytes of AMQP's short strings */
#define DEFAULT_TIMEOUT_S 60

static const MistralHost *host;

static bool init(const MistralHost *given, char *error, size_t size);
static void submit(const MistralRequest *request);
static int	pollfds(struct pollfd *fds, int max);
static void drive(int64_t now);
static bool build(AmqpJob *job, const MistralRequest *request, PlainJson input);
static char *member(PlainJson input, const char *key, const char *missing, size_t longest, bool *wrong);
static bool add_headers(AmqpJob *job, PlainJson headers);
static bool add_header(AmqpJob *job, PlainJson key, PlainJson value);
static void finish(AmqpJob *job);

static const MistralAction actions[] = {
	{"std.amqp",
		"url exchange=\"\" routing_key=\"\" body=null headers=null content_type=null persistent=true mandatory=true "
		"reply_to=null correlation_id=null ca_filename=null certificate_filename=null",
	"Publishes a message through RabbitMQ, and ends when the broker has confirmed it.", MISTRAL_SIGNAL_RESULT},
	{NULL}
};

static const MistralModule module = {
	.abi = MISTRAL_ACTION_ABI,
	.name = "mistral_amqp",
	.actions = actions,
	.init = init,
	.submit = submit,
	.pollfds = pollfds,
	.drive = drive,
	.stop = amqp_links_stop,
	.configure = amqp_sources_configure,
	.delivered = amqp_sources_delivered
};

const MistralModule *
mistral_module(void)
{
	return &module;
}

static bool
init(const MistralHost *given, char *error, size_t size)
{
	host = given;
	amqp_brokers_start(given);
	if (amqp_links_start() && amqp_sources_start(given))
		return true;
	snprintf(error, size, "it could not make a descriptor");
	return false;
}

static void
submit(const MistralRequest *request)
{
	AmqpJob    *job = calloc(1, sizeof(AmqpJob));
	PlainJson	input;
	AmqpBroker *broker;

	if (job == NULL || (job->id = strdup(request->id)) == NULL || !plain_json_check(request->input, strlen(request->input), &input))
	{
		if (job)
			free(job->id);
		free(job);
		host->finish(request->id, false, "\"out of memory\"");
		return;
	}
	broker = amqp_broker_new(input, job->error);
	if (broker && !build(job, request, input))
	{
		amqp_broker_free(broker);
		broker = NULL;
	}
	if (broker == NULL || !amqp_link_send(broker, job))
		finish(job);
}

static int
pollfds(struct pollfd *fds, int max)
{
	if (max < 2)
		return 0;
	fds[0].fd = amqp_links_fd();
	fds[0].events = POLLIN;
	fds[1].fd = amqp_sources_fd();
	fds[1].events = POLLIN;
	return 2;
}

static void
drive(int64_t now)
{
	AmqpJob    *job;

	(void) now;
	while ((job = amqp_links_take()) != NULL)
		finish(job);
	amqp_sources_drive();
}

/* Fills in what is to be published; false, and the job's error. */
static bool
build(AmqpJob *job, const MistralRequest *request, PlainJson input)
{
	PlainJson	body = plain_json_get(input, "body");
	bool		wrong = false;

	job->owner = request->owner;
	job->safe_rerun = request->safe_rerun;
	job->deadline = amqp_now() + (request->timeout > 0 ? request->timeout : DEFAULT_TIMEOUT_S) * INT64_C(1000);
	job->persistent = plain_json_get_bool(input, "persistent", true);
	job->mandatory = plain_json_get_bool(input, "mandatory", true);
	job->exchange = member(input, "exchange", "", MAX_SHORT, &wrong);
	job->routing_key = member(input, "routing_key", "", MAX_SHORT, &wrong);
	job->correlation_id = member(input, "correlation_id", request->id, MAX_SHORT, &wrong);
	job->reply_to = member(input, "reply_to", NULL, MAX_SHORT, &wrong);
	job->content_type = member(input, "content_type", plain_json_kind(body) == '"' ? "text/plain" : "application/json", MAX_SHORT, &wrong);
	if (wrong)
	{
		snprintf(job->error, sizeof(job->error),
				 "exchange, routing_key, correlation_id, reply_to and content_type must be texts of at most %d bytes", MAX_SHORT);
		return false;
	}
	if (plain_json_kind(body) == '"')
		job->body = plain_json_string(body);
	else
		job->body = strndup(body.text && plain_json_kind(body) != 'n' ? body.text : "", plain_json_kind(body) != 'n' ? body.len : 0);
	if (job->exchange == NULL || job->routing_key == NULL || job->correlation_id == NULL || job->content_type == NULL || job->body == NULL)
	{
		snprintf(job->error, sizeof(job->error), "out of memory");
		return false;
	}
	return add_headers(job, plain_json_get(input, "headers"));
}

/* A member that is a text, or absent or null; *wrong becomes true when it is something else, or too long. */
static char *
member(PlainJson input, const char *key, const char *missing, size_t longest, bool *wrong)
{
	PlainJson	value = plain_json_get(input, key);
	char	   *text;

	if (value.text == NULL || plain_json_kind(value) == 'n')
		return missing ? strdup(missing) : NULL;
	text = plain_json_string(value);
	if (text == NULL || strlen(text) > longest)
		*wrong = true;
	return text;
}

static bool
add_headers(AmqpJob *job, PlainJson headers)
{
	PlainJson	key;
	PlainJson	value;
	size_t		cursor = 0;

	if (headers.text == NULL || plain_json_kind(headers) == 'n')
		return true;
	if (plain_json_kind(headers) != '{')
	{
		snprintf(job->error, sizeof(job->error), "\"headers\" must be an object");
		return false;
	}
	job->headers = calloc(MAX_HEADERS, sizeof(amqp_table_entry_t));
	job->texts = calloc(2 * MAX_HEADERS, sizeof(char *));
	while (job->headers && job->texts && plain_json_next(headers, &cursor, &key, &value))
	{
		if (job->nheaders == MAX_HEADERS || key.len > 128)
		{
			snprintf(job->error, sizeof(job->error), "there may be at most %d headers, with names of at most 126 bytes", MAX_HEADERS);
			return false;
		}
		if (!add_header(job, key, value))
			break;
	}
	if (job->headers && job->texts && !plain_json_next(headers, &cursor, &key, &value))
		return true;
	snprintf(job->error, sizeof(job->error), "out of memory");
	return false;
}

/* Texts, whole numbers and booleans as themselves, anything else as JSON text. */
static bool
add_header(AmqpJob *job, PlainJson key, PlainJson value)
{
	amqp_table_entry_t *entry = &job->headers[job->nheaders];
	char	   *name = plain_json_string(key);
	char	   *text = plain_json_kind(value) == '"' ? plain_json_string(value) : strndup(value.text, value.len);
	char	   *end;

	job->texts[2 * job->nheaders] = name;
	job->texts[2 * job->nheaders + 1] = text;
	job->nheaders++;
	if (name == NULL || text == NULL)
		return false;
	entry->key = amqp_cstring_bytes(name);
	entry->value.kind = AMQP_FIELD_KIND_UTF8;
	entry->value.value.bytes = amqp_cstring_bytes(text);
	if (plain_json_kind(value) == 't' || plain_json_kind(value) == 'f')
	{
		entry->value.kind = AMQP_FIELD_KIND_BOOLEAN;
		entry->value.value.boolean = plain_json_kind(value) == 't';
	}
	else if (plain_json_kind(value) != '"' && value.len < 19)
	{
		long long	number = strtoll(text, &end, 10);

		if (end != text && *end == '\0')
		{
			entry->value.kind = AMQP_FIELD_KIND_I64;
			entry->value.value.i64 = number;
		}
	}
	return true;
}

/* Tells the host, and frees the job. */
static void
finish(AmqpJob *job)
{
	PlainBuffer json = {0};

	if (job->success)
	{
		plain_append_text(&json, "{\"message_id\":");
		plain_append_string(&json, job->id, strlen(job->id));
		plain_append_text(&json, ",\"exchange\":");
		plain_append_string(&json, job->exchange, strlen(job->exchange));
		plain_append_text(&json, ",\"routing_key\":");
		plain_append_string(&json, job->routing_key, strlen(job->routing_key));
		plain_append_text(&json, "}");
	}
	else
		plain_append_string(&json, job->error, strlen(job->error));
	host->finish(job->id, job->success, json.failed ? "null" : json.data);
	plain_reset(&json);
	amqp_job_free(job);
}
