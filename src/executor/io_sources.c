/*
 * io_sources.c
 *		Sources: what modules read from outside, and what is done with it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/secret_key.h"
#include "engine/control.h"
#include "engine/guard.h"
#include "engine/secrets.h"
#include "executor/io_program.h"
#include "executor/io_sources.h"
#include "mistral.h"
#include "queue/event_trigger.h"

/* Longer keys do not go into an index. */
#define MAX_KEY 1000

/* A delivery; malloc'd, with all that it points to. */
typedef struct Delivery
{
	dlist_node	node;
	int64		number;
	char	   *source;
	char	   *key;			/* NULL: none */
	char	   *payload;		/* JSON in UTF-8 */
	size_t		payload_len;
	bool		failed;
} Delivery;

/* What one delivery is handled with, in a transaction. */
typedef struct Handling
{
	Delivery   *delivery;
	char	   *kind;
	Oid			owner;
	Jsonb	   *config;
	Jsonb	   *payload;
} Handling;

static dlist_head arrived = DLIST_STATIC_INIT(arrived);
static dlist_head handled = DLIST_STATIC_INIT(handled);
static int	narrived = 0;
static char *told = NULL;		/* what the program knows; malloc'd, NULL: nothing */
static char *to_tell = NULL;	/* what it is to know when this transaction has committed */

static void forget(char **text);
static void add_source(PlainBuffer *list, uint64 row);
static void handle_one(Delivery *delivery);
static void handle_body(void *arg);
static void handle_event(const Handling *handling);
static void handle_notification(const Handling *handling);
static void handle_answer(const Handling *handling);
static void publish(const Handling *handling, const char *name, const Jsonb *payload, const char *key);
static void free_delivery(Delivery *delivery);

void
io_sources_read(void)
{
	static DbStatement all = {
		"SELECT module, name, owner, config FROM mistral.source ORDER BY name", 0
	};
	PlainBuffer list = {.secret = true};

	if (told == NULL && db_table_is_empty("source"))
		return;
	plain_append_text(&list, "[");
	db_execute(&all, NULL, NULL, false, 0);
	{
		SPITupleTable *rows = SPI_tuptable;
		uint64		n = SPI_processed;

		for (uint64 i = 0; i < n; i++)
		{
			SPI_tuptable = rows;	/* a secret's statement has set its own */
			SPI_processed = n;
			add_source(&list, i);
		}
	}
	plain_append_text(&list, "]");
	forget(&to_tell);
	if (!list.failed && (told == NULL || strcmp(told, list.data) != 0))
		to_tell = list.data;
	else
		plain_reset(&list);
}

void
io_sources_tell(IoProgram *program, bool committed)
{
	IoFrame    *frame;

	if (committed && to_tell && (frame = io_frame_new("configure")) != NULL)
	{
		frame->text.secret = true;
		channel_add_raw(&frame->text, "sources", to_tell, strlen(to_tell));
		if (io_frame_end(frame))
		{
			io_program_send(program, frame);
			forget(&told);
			told = to_tell;
			to_tell = NULL;
		}
	}
	forget(&to_tell);
}

void
io_sources_forget(void)
{
	forget(&told);
	while (!dlist_is_empty(&arrived))
		free_delivery(dlist_container(Delivery, node, dlist_pop_head_node(&arrived)));
	narrived = 0;
}

void
io_sources_take(PlainJson frame)
{
	Delivery   *delivery = calloc(1, sizeof(Delivery));
	PlainJson	payload = plain_json_get(frame, "payload");

	if (delivery == NULL)
		return;
	delivery->number = plain_json_get_int(frame, "number", 0);
	delivery->source = plain_json_get_string(frame, "source");
	delivery->key = plain_json_get_string(frame, "key");
	delivery->payload = payload.text ? strndup(payload.text, payload.len) : NULL;
	delivery->payload_len = payload.len;
	if (delivery->source == NULL || delivery->payload == NULL)
	{
		free_delivery(delivery);
		return;
	}
	dlist_push_tail(&arrived, &delivery->node);
	narrived++;
}

int
io_sources_waiting(void)
{
	return narrived;
}

int
io_sources_handle(int max)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "mistral deliveries", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			n = 0;

	while (n < max && !dlist_is_empty(&arrived))
	{
		Delivery   *delivery = dlist_container(Delivery, node, dlist_pop_head_node(&arrived));

		CHECK_FOR_INTERRUPTS();
		dlist_push_tail(&handled, &delivery->node);
		narrived--;
		n++;
		handle_one(delivery);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return n;
}

void
io_sources_handled(IoProgram *program, bool committed)
{
	while (!dlist_is_empty(&handled))
	{
		Delivery   *delivery;
		IoFrame    *frame;

		/* In their order again, when they are handled again. */
		if (!committed)
		{
			dlist_node *last = dlist_tail_node(&handled);

			dlist_delete(last);
			dlist_push_head(&arrived, last);
			narrived++;
			continue;
		}
		delivery = dlist_container(Delivery, node, dlist_pop_head_node(&handled));
		frame = io_frame_new("delivered");
		if (frame)
		{
			channel_add_string(&frame->text, "source", delivery->source);
			plain_append_text(&frame->text, ",\"number\":");
			plain_append_int(&frame->text, delivery->number);
			plain_append_text(&frame->text, delivery->failed ? ",\"committed\":false" : ",\"committed\":true");
			plain_append_text(&frame->text, ",\"size\":");
			plain_append_int(&frame->text, delivery->payload_len);
			if (io_frame_end(frame) && io_program_runs(program))
				io_program_send(program, frame);
		}
		free_delivery(delivery);
	}
}

/* It may hold passwords. */
static void
forget(char **text)
{
	if (*text)
		secret_wipe(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

/* One source as the program is told of it, with the secret that its configuration names as "password_secret". */
static void
add_source(PlainBuffer *list, uint64 row)
{
	bool		isnull;
	char	   *module = TextDatumGetCString(db_datum(row, 1, &isnull));
	char	   *name = TextDatumGetCString(db_datum(row, 2, &isnull));
	Oid			owner = DatumGetObjectId(db_datum(row, 3, &isnull));
	Jsonb	   *config = DatumGetJsonbPCopy(db_datum(row, 4, &isnull));
	char	   *secret = json_get_string(config, "password_secret");
	char	   *error = NULL;
	char	   *text;

	if (secret)
	{
		char	   *value = secret_value(secret, owner, &error);

		if (value)
			config = json_merge(json_without(config, "password_secret"), json_pair("password", json_from_string(value)));
		else
		{
			ereport(WARNING,
					(errmsg("source \"%s\" cannot be read: %s", name, error)));
			return;
		}
	}
	plain_append_text(list, list->len > 1 ? ",{\"module\":" : "{\"module\":");
	text = pg_server_to_any(module, strlen(module), PG_UTF8);
	plain_append_string(list, text, strlen(text));
	text = pg_server_to_any(name, strlen(name), PG_UTF8);
	channel_add_string(list, "name", text);
	text = JsonbToCString(NULL, &config->root, VARSIZE(config));
	text = pg_server_to_any(text, strlen(text), PG_UTF8);
	channel_add_raw(list, "config", text, strlen(text));
	secret_wipe(text, strlen(text));
	plain_append_text(list, "}");
}

static void
handle_one(Delivery *delivery)
{
	static DbStatement find = {
		"SELECT kind, owner, config FROM mistral.source WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	Handling	handling = {delivery};
	Datum		values[1];
	char	   *error;
	bool		isnull;

	values[0] = CStringGetTextDatum(pg_any_to_server(delivery->source, strlen(delivery->source), PG_UTF8));
	if (db_execute(&find, values, NULL, false, 1) == 0)
	{
		/* It was deleted meanwhile. */
		delivery->failed = true;
		return;
	}
	handling.kind = TextDatumGetCString(db_datum(0, 1, &isnull));
	handling.owner = DatumGetObjectId(db_datum(0, 2, &isnull));
	handling.config = DatumGetJsonbPCopy(db_datum(0, 3, &isnull));
	error = guard_isolated(handle_body, &handling);
	delivery->failed = error != NULL;
	if (error)
		ereport(WARNING,
				(errmsg("a delivery of source \"%s\" was refused: %s", delivery->source, error)));
}

static void
handle_body(void *arg)
{
	Handling   *handling = arg;
	Delivery   *delivery = handling->delivery;

	handling->payload = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														   CStringGetDatum(pg_any_to_server(delivery->payload, delivery->payload_len, PG_UTF8))));
	if (strcmp(handling->kind, "answers") == 0)
		handle_answer(handling);
	else if (strcmp(handling->kind, "oslo") == 0)
		handle_notification(handling);
	else
		handle_event(handling);
}

/* A message is an event: by the name that the configuration gives, else by its routing key. */
static void
handle_event(const Handling *handling)
{
	char	   *name = json_get_string(handling->config, "event");
	Jsonb	   *body = json_get_jsonb(handling->payload, "body");

	if (name == NULL)
		name = json_get_string(handling->payload, "routing_key");
	publish(handling, name, body, handling->delivery->key ? handling->delivery->key : NULL);
}

/* What oslo.messaging sends: the notification, or an envelope with its text. */
static void
handle_notification(const Handling *handling)
{
	Jsonb	   *body = json_get_jsonb(handling->payload, "body");
	char	   *inner = json_is_object(body) ? json_get_string(body, "oslo.message") : NULL;
	char	   *name;
	char	   *key;

	if (inner)
		body = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(inner)));
	name = json_is_object(body) ? json_get_string(body, "event_type") : NULL;
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("it is no notification: it has no \"event_type\"")));
	key = json_get_string(body, "message_id");
	publish(handling, name, json_get_jsonb(body, "payload"), key ? key : handling->delivery->key);
}

/* The action is named by "id" or by the message's correlation id; "error" ends it in ERROR, "result" in SUCCESS, and what has neither is the result. */
static void
handle_answer(const Handling *handling)
{
	Jsonb	   *body = json_get_jsonb(handling->payload, "body");
	char	   *text = json_is_object(body) ? json_get_string(body, "id") : NULL;
	Jsonb	   *error = json_is_object(body) ? json_get_jsonb(body, "error") : NULL;
	Jsonb	   *result = json_is_object(body) ? json_get_jsonb(body, "result") : NULL;
	FinishAction end = {0};

	if (text == NULL)
		text = json_get_string(handling->payload, "correlation_id");
	if (text == NULL || !id_parse(text, &end.id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("it names no action: neither its \"id\" nor its correlation id is one")));
	if (error && !json_is_null(error))
	{
		end.result = error;
		control_finish_action(&end, STATE_ERROR, handling->owner);
	}
	else
	{
		end.result = result ? result : body;
		control_finish_action(&end, STATE_SUCCESS, handling->owner);
	}
}

static void
publish(const Handling *handling, const char *name, const Jsonb *payload, const char *key)
{
	Event		event = {
		.name = name ? name : "",
		.exchange = json_get_string(handling->payload, "exchange"),
		.topic = json_get_string(handling->payload, "routing_key"),
		.payload = payload ? payload : json_empty()
	};

	if (event.name[0] == '\0' || strlen(event.name) > MAX_NAME_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an event has a name of 1 to %d bytes", MAX_NAME_LENGTH)));
	if (event.exchange && event.exchange[0] == '\0')
		event.exchange = NULL;
	if (event.topic && event.topic[0] == '\0')
		event.topic = NULL;
	if (key)
		event.dedup_key = psprintf("%s/%s", handling->delivery->source, key);
	if (event.dedup_key && strlen(event.dedup_key) > MAX_KEY)
		event.dedup_key = NULL;
	(void) event_publish(&event, handling->owner);
}

static void
free_delivery(Delivery *delivery)
{
	free(delivery->source);
	free(delivery->key);
	free(delivery->payload);
	free(delivery);
}
