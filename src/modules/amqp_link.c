/*
 * amqp_link.c
 *		Connections to brokers, each with a thread of its own.
 *
 * A job is in one list at a time: incoming (of its link, under its lock), waiting
 * and unconfirmed (the thread's own), ended (of all links, under ended_lock).
 *
 * Each exchange has a channel of its own: the broker closes a channel for one
 * message that it does not like, and the others must not suffer from it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "modules/amqp_link.h"

#define MAX_LINKS 32
#define MAX_OF_OWNER 16			/* of them, that actions of one role have made */
#define MAX_UNCONFIRMED 1000	/* messages on their way at once */
#define LOOK_MS 5000			/* heartbeats and deadlines are looked at at least so often */
#define IDLE_MS 60000			/* then a connection is given up */
#define FIRST_RETRY_MS 100
#define LONGEST_RETRY_MS 3000

typedef struct JobList
{
	AmqpJob    *first;
	AmqpJob   **end;
} JobList;

struct AmqpLink
{
	struct AmqpLink *next;
	AmqpBroker *broker;
	uint32_t	owner;			/* whose action made it */
	pthread_t	thread;
	int			wake_fd;
	pthread_mutex_t lock;		/* for the next four */
	JobList		incoming;
	int			njobs;			/* that it has in any of its lists */
	bool		rests;			/* the thread waits for nothing but to be woken, and then looks at `stop` */
	bool		stop;

	/* Of the thread alone. */
	amqp_connection_state_t connection; /* NULL: none */
	JobList		waiting;
	JobList		unconfirmed;
	int			nunconfirmed;
	struct
	{
		char	   *exchange;	/* NULL: not open; its number is the index and 1 */
		uint64_t	tag;		/* of the last message */
	}			channels[AMQP_MAX_CHANNELS];
	int64_t		retry_at;
	int64_t		retry_ms;
	int64_t		used_at;
	char		error[AMQP_ERROR_SIZE]; /* of the last attempt to connect */
};

/* A message that is coming back. */
typedef struct Returned
{
	AmqpLink   *link;
	int			channel;
} Returned;

static AmqpLink *links = NULL;
static int	nlinks = 0;
static pthread_mutex_t ended_lock = PTHREAD_MUTEX_INITIALIZER;
static JobList ended;
static int	ended_fd = -1;

static AmqpLink *find_link(AmqpBroker *broker, uint32_t owner, char *error);
static AmqpLink *new_link(AmqpBroker *broker, uint32_t owner, char *error);
static bool drop_idle_link(const uint32_t *owner);
static void free_link(AmqpLink *link);
static void *run_link(void *arg);
static void take_incoming(AmqpLink *link);
static void drop_late(AmqpLink *link, JobList *list, int64_t now);
static void wait_for_events(AmqpLink *link, int64_t now);
static void set_rests(AmqpLink *link, bool rests);
static bool open_connection(AmqpLink *link);
static void lose_connection(AmqpLink *link, const char *why);
static void close_connection(AmqpLink *link);
static int	channel_for(AmqpLink *link, const char *exchange);
static void publish(AmqpLink *link);
static int	send_message(AmqpLink *link, AmqpJob *job);
static void read_frames(AmqpLink *link);
static bool handle_frame(AmqpLink *link, amqp_frame_t *frame);
static void handle_return(AmqpLink *link, int channel);
static void note_return(void *arg, const amqp_basic_properties_t *properties);
static bool handle_between(void *arg, amqp_frame_t *frame);
static void settle(AmqpLink *link, int channel, uint64_t tag, bool multiple, const char *error);
static void end_job(AmqpLink *link, AmqpJob *job, bool success, const char *error);
static void list_init(JobList *list);
static void list_append(JobList *list, AmqpJob *job);
static AmqpJob *list_pop(JobList *list);

bool
amqp_links_start(void)
{
	list_init(&ended);
	ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return ended_fd >= 0;
}

int
amqp_links_fd(void)
{
	return ended_fd;
}

void
amqp_links_stop(void)
{
	/* The process ends with its threads; brokers see the connections end. */
	for (AmqpLink *link = links; link; link = link->next)
	{
		pthread_mutex_lock(&link->lock);
		link->stop = true;
		pthread_mutex_unlock(&link->lock);
		(void) eventfd_write(link->wake_fd, 1);
	}
}

bool
amqp_link_send(AmqpBroker *broker, AmqpJob *job)
{
	AmqpLink   *link = find_link(broker, job->owner, job->error);

	if (link == NULL)
		return false;
	pthread_mutex_lock(&link->lock);
	list_append(&link->incoming, job);
	link->njobs++;
	pthread_mutex_unlock(&link->lock);
	(void) eventfd_write(link->wake_fd, 1);
	return true;
}

AmqpJob *
amqp_links_take(void)
{
	AmqpJob    *job;
	eventfd_t	count;

	pthread_mutex_lock(&ended_lock);
	job = list_pop(&ended);
	if (job == NULL)
		(void) eventfd_read(ended_fd, &count);
	pthread_mutex_unlock(&ended_lock);
	return job;
}

void
amqp_job_free(AmqpJob *job)
{
	for (int i = 0; i < 2 * job->nheaders; i++)
		free(job->texts[i]);
	free(job->texts);
	free(job->headers);
	free(job->id);
	free(job->exchange);
	free(job->routing_key);
	free(job->body);
	free(job->content_type);
	free(job->correlation_id);
	free(job->reply_to);
	free(job);
}

/* ---------------------------------------------------------------- links */

/* Its broker is the link's from then on, or freed; NULL, and why. */
static AmqpLink *
find_link(AmqpBroker *broker, uint32_t owner, char *error)
{
	int			nowned = 0;

	for (AmqpLink *link = links; link; link = link->next)
	{
		nowned += link->owner == owner;
		if (!amqp_broker_equal(link->broker, broker))
			continue;
		amqp_broker_free(broker);
		return link;
	}
	if (nowned >= MAX_OF_OWNER ? !drop_idle_link(&owner) : nlinks >= MAX_LINKS && !drop_idle_link(NULL))
	{
		snprintf(error, AMQP_ERROR_SIZE, nowned >= MAX_OF_OWNER ? "this role has connections to %d brokers already" :
				 "there are connections to %d brokers already", nowned >= MAX_OF_OWNER ? MAX_OF_OWNER : MAX_LINKS);
		amqp_broker_free(broker);
		return NULL;
	}
	return new_link(broker, owner, error);
}

static AmqpLink *
new_link(AmqpBroker *broker, uint32_t owner, char *error)
{
	AmqpLink   *link = calloc(1, sizeof(AmqpLink));
	pthread_attr_t attributes;
	int			rc = ENOMEM;

	if (link == NULL)
	{
		snprintf(error, AMQP_ERROR_SIZE, "out of memory");
		amqp_broker_free(broker);
		return NULL;
	}
	link->broker = broker;
	link->owner = owner;
	if ((link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		snprintf(error, AMQP_ERROR_SIZE, "could not make a descriptor: %s", strerror(errno));
	else
	{
		list_init(&link->incoming);
		list_init(&link->waiting);
		list_init(&link->unconfirmed);
		link->used_at = amqp_now();
		pthread_mutex_init(&link->lock, NULL);
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, AMQP_STACK_SIZE);
		rc = pthread_create(&link->thread, &attributes, run_link, link);
		pthread_attr_destroy(&attributes);
		if (rc != 0)
			snprintf(error, AMQP_ERROR_SIZE, "could not start a thread: %s", strerror(rc));
	}
	if (rc != 0)
	{
		free_link(link);
		return NULL;
	}
	link->next = links;
	links = link;
	nlinks++;
	return link;
}

/* Makes room for another one, by one of the owner's (NULL: of anybody's); false when all are at work. */
static bool
drop_idle_link(const uint32_t *owner)
{
	for (AmqpLink **place = &links; *place; place = &(*place)->next)
	{
		AmqpLink   *link = *place;
		bool		idle;

		if (owner && link->owner != *owner)
			continue;
		pthread_mutex_lock(&link->lock);
		idle = link->njobs == 0 && link->rests;
		link->stop = idle;
		pthread_mutex_unlock(&link->lock);
		if (!idle)
			continue;
		*place = link->next;
		nlinks--;
		(void) eventfd_write(link->wake_fd, 1);
		/* It has nothing to do, and so waits for nothing but this. */
		pthread_join(link->thread, NULL);
		free_link(link);
		return true;
	}
	return false;
}

static void
free_link(AmqpLink *link)
{
	if (link->wake_fd >= 0)
		close(link->wake_fd);
	amqp_broker_free(link->broker);
	free(link);
}

/* ---------------------------------------------------------------- the thread */

static void *
run_link(void *arg)
{
	AmqpLink   *link = arg;

	for (;;)
	{
		int64_t		now;
		bool		stop;

		pthread_mutex_lock(&link->lock);
		stop = link->stop;
		pthread_mutex_unlock(&link->lock);
		if (stop)
			break;
		take_incoming(link);
		now = amqp_now();
		drop_late(link, &link->waiting, now);
		drop_late(link, &link->unconfirmed, now);
		if (link->waiting.first || link->unconfirmed.first)
			link->used_at = now;
		if (link->connection == NULL && link->waiting.first && now >= link->retry_at)
			(void) open_connection(link);
		if (link->connection)
			publish(link);
		if (link->connection)
			read_frames(link);
		if (link->connection && amqp_now() - link->used_at > IDLE_MS)
			close_connection(link);
		wait_for_events(link, amqp_now());
	}
	close_connection(link);
	return NULL;
}

static void
take_incoming(AmqpLink *link)
{
	AmqpJob    *job;
	eventfd_t	count;

	(void) eventfd_read(link->wake_fd, &count);
	pthread_mutex_lock(&link->lock);
	while ((job = list_pop(&link->incoming)) != NULL)
		list_append(&link->waiting, job);
	pthread_mutex_unlock(&link->lock);
}

static void
drop_late(AmqpLink *link, JobList *list, int64_t now)
{
	JobList		kept;
	AmqpJob    *job;

	list_init(&kept);
	while ((job = list_pop(list)) != NULL)
	{
		char		error[AMQP_ERROR_SIZE];

		if (job->deadline > now)
		{
			list_append(&kept, job);
			continue;
		}
		if (list == &link->unconfirmed)
		{
			link->nunconfirmed--;
			snprintf(error, sizeof(error), "outcome unknown: the broker did not confirm the message in time");
		}
		else
			snprintf(error, sizeof(error), "the message was not sent in time%s%.400s", link->error[0] ? ": " : "", link->error);
		end_job(link, job, false, error);
	}
	list->first = kept.first;
	list->end = kept.first ? kept.end : &list->first;
}

static void
wait_for_events(AmqpLink *link, int64_t now)
{
	struct pollfd fds[2] = {{.fd = link->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	int64_t		timeout = LOOK_MS;

	if (link->connection)
	{
		if (amqp_frames_enqueued(link->connection) || amqp_data_in_buffer(link->connection) ||
			(link->waiting.first && link->nunconfirmed < MAX_UNCONFIRMED))
			return;
		fds[1].fd = amqp_get_sockfd(link->connection);
	}
	else if (link->waiting.first)
		timeout = link->retry_at > now ? link->retry_at - now : 0;
	if (link->waiting.first || link->unconfirmed.first)
		timeout = timeout < 200 ? timeout : 200;
	set_rests(link, true);
	(void) poll(fds, 2, (int) timeout);
	set_rests(link, false);
}

static void
set_rests(AmqpLink *link, bool rests)
{
	pthread_mutex_lock(&link->lock);
	link->rests = rests;
	pthread_mutex_unlock(&link->lock);
}

static bool
open_connection(AmqpLink *link)
{
	bool		refused;

	link->connection = amqp_broker_open(link->broker, link->error, &refused);
	if (link->connection)
	{
		link->error[0] = '\0';
		link->retry_ms = 0;
		return true;
	}
	while (refused && link->waiting.first)
		end_job(link, list_pop(&link->waiting), false, link->error);
	link->retry_ms = link->retry_ms * 2 < FIRST_RETRY_MS ? FIRST_RETRY_MS : link->retry_ms * 2;
	if (link->retry_ms > LONGEST_RETRY_MS)
		link->retry_ms = LONGEST_RETRY_MS;
	link->retry_at = amqp_now() + link->retry_ms;
	return false;
}

/* What was not confirmed may have arrived: it is sent again where that is safe. */
static void
lose_connection(AmqpLink *link, const char *why)
{
	JobList		again;
	AmqpJob    *job;
	char		error[AMQP_ERROR_SIZE];

	snprintf(link->error, sizeof(link->error), "%s", why);
	snprintf(error, sizeof(error), "outcome unknown: the connection was lost before the broker had confirmed the message (%.300s); "
			 "it is sent again only with safe-rerun: true", why);
	list_init(&again);
	while ((job = list_pop(&link->unconfirmed)) != NULL)
	{
		if (job->safe_rerun)
			list_append(&again, job);
		else
			end_job(link, job, false, error);
	}
	while ((job = list_pop(&link->waiting)) != NULL)
		list_append(&again, job);
	while ((job = list_pop(&again)) != NULL)
		list_append(&link->waiting, job);
	link->nunconfirmed = 0;
	close_connection(link);
	link->retry_at = amqp_now() + FIRST_RETRY_MS;
}

static void
close_connection(AmqpLink *link)
{
	for (int i = 0; i < AMQP_MAX_CHANNELS; i++)
	{
		free(link->channels[i].exchange);
		link->channels[i].exchange = NULL;
	}
	if (link->connection)
		amqp_destroy_connection(link->connection);
	link->connection = NULL;
}

/* ---------------------------------------------------------------- publishing */

/* The exchange's channel, in confirm mode; 0 when there is none (then link->error says why, or all are in use), -1 without connection. */
static int
channel_for(AmqpLink *link, const char *exchange)
{
	int			unused = 0;
	amqp_rpc_reply_t reply;

	for (int i = 1; i < AMQP_MAX_CHANNELS; i++)
	{
		if (link->channels[i].exchange && strcmp(link->channels[i].exchange, exchange) == 0)
			return i;
		if (link->channels[i].exchange == NULL && unused == 0)
			unused = i;
	}
	if (unused == 0)
		return 0;
	amqp_channel_open(link->connection, unused);
	reply = amqp_get_rpc_reply(link->connection);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
	{
		amqp_confirm_select(link->connection, unused);
		reply = amqp_get_rpc_reply(link->connection);
	}
	if (reply.reply_type != AMQP_RESPONSE_NORMAL || (link->channels[unused].exchange = strdup(exchange)) == NULL)
	{
		char		error[AMQP_ERROR_SIZE];

		amqp_describe_reply(reply, error);
		lose_connection(link, error);
		return -1;
	}
	link->channels[unused].tag = 0;
	return unused;
}

static void
publish(AmqpLink *link)
{
	while (link->waiting.first && link->nunconfirmed < MAX_UNCONFIRMED)
	{
		AmqpJob    *job = link->waiting.first;
		int			channel = channel_for(link, job->exchange);
		int			rc;

		if (channel < 0)
			return;
		if (channel == 0)
		{
			/* When all is confirmed, a new connection has all channels free. */
			if (link->nunconfirmed == 0)
				lose_connection(link, "too many exchanges");
			return;
		}
		(void) list_pop(&link->waiting);
		job->channel = channel;
		job->tag = ++link->channels[channel].tag;
		job->returned = false;
		list_append(&link->unconfirmed, job);
		link->nunconfirmed++;
		rc = send_message(link, job);
		if (rc == AMQP_STATUS_TABLE_TOO_BIG)
		{
			/* It has not left, so the broker counts on without it. */
			link->channels[channel].tag--;
			settle(link, channel, job->tag, false, "the headers are too large");
		}
		else if (rc != AMQP_STATUS_OK)
		{
			lose_connection(link, amqp_error_string2(rc));
			return;
		}
	}
}

static int
send_message(AmqpLink *link, AmqpJob *job)
{
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
		AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG,
		.content_type = amqp_cstring_bytes(job->content_type),
		.delivery_mode = job->persistent ? 2 : 1,
		.message_id = amqp_cstring_bytes(job->id),
		.correlation_id = amqp_cstring_bytes(job->correlation_id),
		.timestamp = (uint64_t) time(NULL)
	};

	if (job->reply_to)
	{
		properties._flags |= AMQP_BASIC_REPLY_TO_FLAG;
		properties.reply_to = amqp_cstring_bytes(job->reply_to);
	}
	if (job->nheaders > 0)
	{
		properties._flags |= AMQP_BASIC_HEADERS_FLAG;
		properties.headers.num_entries = job->nheaders;
		properties.headers.entries = job->headers;
	}
	return amqp_basic_publish(link->connection, job->channel, amqp_cstring_bytes(job->exchange), amqp_cstring_bytes(job->routing_key),
							  job->mandatory, false, &properties, amqp_cstring_bytes(job->body));
}

/* ---------------------------------------------------------------- what the broker says */

static void
read_frames(AmqpLink *link)
{
	struct timeval none = {0};

	for (int n = 0; link->connection && n < AMQP_FRAMES_AT_ONCE; n++)
	{
		amqp_frame_t frame;
		int			rc = amqp_simple_wait_frame_noblock(link->connection, &frame, &none);

		if (rc == AMQP_STATUS_TIMEOUT)
			break;
		if (rc != AMQP_STATUS_OK)
			lose_connection(link, amqp_error_string2(rc));
		else if (!handle_frame(link, &frame))
			return;
		else
			amqp_maybe_release_buffers(link->connection);
	}
}

/* False: there is no connection any more. */
static bool
handle_frame(AmqpLink *link, amqp_frame_t *frame)
{
	char		error[AMQP_ERROR_SIZE];

	/* The library keeps a buffer for each channel that it hears of. */
	if (frame->channel >= AMQP_MAX_CHANNELS)
	{
		lose_connection(link, "the broker speaks on a channel that is not open");
		return false;
	}
	if (frame->frame_type != AMQP_FRAME_METHOD)
		return true;
	switch (frame->payload.method.id)
	{
		case AMQP_BASIC_ACK_METHOD:
			{
				amqp_basic_ack_t *ack = frame->payload.method.decoded;

				settle(link, frame->channel, ack->delivery_tag, ack->multiple, NULL);
				break;
			}
		case AMQP_BASIC_NACK_METHOD:
			{
				amqp_basic_nack_t *nack = frame->payload.method.decoded;

				settle(link, frame->channel, nack->delivery_tag, nack->multiple, "the broker could not take the message");
				break;
			}
		case AMQP_BASIC_RETURN_METHOD:
			handle_return(link, frame->channel);
			break;
		case AMQP_CHANNEL_CLOSE_METHOD:
			{
				amqp_channel_close_t *closed = frame->payload.method.decoded;
				amqp_channel_close_ok_t answer = {0};

				snprintf(error, sizeof(error), "%.*s", (int) (closed->reply_text.len < 400 ? closed->reply_text.len : 400),
						 (char *) closed->reply_text.bytes);
				(void) amqp_send_method(link->connection, frame->channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer);
				free(link->channels[frame->channel].exchange);
				link->channels[frame->channel].exchange = NULL;
				settle(link, frame->channel, 0, true, error);
				break;
			}
		case AMQP_CONNECTION_CLOSE_METHOD:
			{
				amqp_connection_close_t *closed = frame->payload.method.decoded;

				snprintf(error, sizeof(error), "%.*s", (int) (closed->reply_text.len < 400 ? closed->reply_text.len : 400),
						 (char *) closed->reply_text.bytes);
				lose_connection(link, error);
				break;
			}
		default:
			break;
	}
	return link->connection != NULL;
}

/* A message that no queue has taken comes back, before it is confirmed. */
static void
handle_return(AmqpLink *link, int channel)
{
	Returned	returned = {link, channel};
	AmqpReader	reader = {note_return, handle_between, &returned};
	AmqpContent message;
	char		error[AMQP_ERROR_SIZE];

	if (!amqp_read_content(link->connection, channel, 0, &message, &reader, error) && error[0])
		lose_connection(link, error);
}

static void
note_return(void *arg, const amqp_basic_properties_t *properties)
{
	Returned   *returned = arg;
	amqp_bytes_t id = properties->message_id;

	if (!(properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG))
		return;
	for (AmqpJob *job = returned->link->unconfirmed.first; job; job = job->next)
	{
		if (job->channel == returned->channel && strlen(job->id) == id.len && memcmp(job->id, id.bytes, id.len) == 0)
			job->returned = true;
	}
}

/* What another channel says before a returned message is whole, but for one more such message: one is read at a time. */
static bool
handle_between(void *arg, amqp_frame_t *frame)
{
	AmqpLink   *link = ((Returned *) arg)->link;

	if (frame->frame_type != AMQP_FRAME_METHOD || frame->payload.method.id != AMQP_BASIC_RETURN_METHOD)
		return handle_frame(link, frame);
	lose_connection(link, "the broker began a message within another one");
	return false;
}

/* Ends what a confirm is about: the message with that tag, all up to it, or (tag 0) all of the channel. */
static void
settle(AmqpLink *link, int channel, uint64_t tag, bool multiple, const char *error)
{
	JobList		kept;
	AmqpJob    *job;

	list_init(&kept);
	while ((job = list_pop(&link->unconfirmed)) != NULL)
	{
		if (job->channel != channel || !(job->tag == tag || (multiple && (tag == 0 || job->tag < tag))))
		{
			list_append(&kept, job);
			continue;
		}
		link->nunconfirmed--;
		if (error)
			end_job(link, job, false, error);
		else if (job->returned)
			end_job(link, job, false, "no queue takes messages of this exchange and routing key");
		else
			end_job(link, job, true, NULL);
	}
	link->unconfirmed.first = kept.first;
	link->unconfirmed.end = kept.first ? kept.end : &link->unconfirmed.first;
}

static void
end_job(AmqpLink *link, AmqpJob *job, bool success, const char *error)
{
	job->success = success;
	if (error)
		snprintf(job->error, sizeof(job->error), "%s", error);
	pthread_mutex_lock(&link->lock);
	link->njobs--;
	pthread_mutex_unlock(&link->lock);
	pthread_mutex_lock(&ended_lock);
	list_append(&ended, job);
	pthread_mutex_unlock(&ended_lock);
	(void) eventfd_write(ended_fd, 1);
}

/* ---------------------------------------------------------------- lists */

static void
list_init(JobList *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void
list_append(JobList *list, AmqpJob *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
}

static AmqpJob *
list_pop(JobList *list)
{
	AmqpJob    *job = list->first;

	if (job)
	{
		list->first = job->next;
		if (list->first == NULL)
			list->end = &list->first;
	}
	return job;
}
