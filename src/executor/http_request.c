/*
 * http_request.c
 *		A request's life, apart from what it is made of (http_build.c):
 *		memory, failure, what the program is sent and what it sends back.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/secret_key.h"
#include "executor/http_request.h"

static size_t answers_held = 0;

static void drop_text(const HttpRequest *request, char *text, size_t len);
static void drop_asked(HttpRequest *request);
static void out_of_memory(void) pg_attribute_noreturn();

HttpRequest *
http_request_new(void)
{
	HttpRequest *request = calloc(1, sizeof(HttpRequest));

	if (request == NULL)
		out_of_memory();
	return request;
}

void
http_request_free(HttpRequest *request)
{
	drop_asked(request);
	free(request->origin);
	free(request->place);
	http_request_clear(request);
	if (request->frame)
		io_frame_free(request->frame);
	secret_mask_free(&request->mask);
	free(request);
}

void
http_request_fail(HttpRequest *request, const char *format,...)
{
	va_list		args;
	unsigned char *p;

	if (request->failed)
		return;
	request->failed = true;
	va_start(args, format);
	vsnprintf(request->failure, sizeof(request->failure), format, args);
	va_end(args);
	for (p = (unsigned char *) request->failure; *p; p++)
		if (*p >= 0x7F || *p < ' ')
			*p = '?';
}

void
http_request_pack(HttpRequest *request)
{
	static const char proxy_tags[] = {WIRE_PROXY_HTTP, WIRE_PROXY_HTTPS, WIRE_PROXY_ALL};
	static int64 last_id = 0;
	PlainBuffer *out;

	if (request->failed)
	{
		drop_asked(request);
		return;
	}
	request->frame = calloc(1, sizeof(IoFrame));
	if (request->frame == NULL)
		out_of_memory();
	request->frame->owner = request;
	request->id = ++last_id;
	out = &request->frame->text;
	out->secret = request->mask.texts != NULL;
	wire_begin(out, WIRE_REQUEST);
	wire_add_int(out, WIRE_ID, request->id);
	wire_add_int(out, WIRE_OWNER, request->owner);
	wire_add_text(out, WIRE_URL, request->url);
	wire_add_text(out, WIRE_METHOD, request->method);
	wire_add_text(out, WIRE_USER, request->user);
	wire_add_text(out, WIRE_PASSWORD, request->password);
	wire_add_text(out, WIRE_COOKIES, request->cookies);
	wire_add_text(out, WIRE_CA, request->ca);
	wire_add_text(out, WIRE_MAIL_FROM, request->mail_from);
	for (int i = 0; i < request->nrecipients; i++)
		wire_add_text(out, WIRE_RECIPIENT, request->recipients[i]);
	for (int i = 0; i < lengthof(request->proxies); i++)
		wire_add_text(out, proxy_tags[i], request->proxies[i]);
	for (int i = 0; i < request->nheaders; i++)
	{
		const char *value = request->headers[i].value;

		wire_add_text(out, WIRE_HEADER, request->headers[i].name);
		wire_add_text(out, WIRE_HEADER_VALUE, value);
		if (request->follow && value && secret_mask_finds(&request->mask, value, strlen(value)))
			wire_add_int(out, WIRE_SECRET_HEADER, 1);
	}
	wire_add_int(out, WIRE_DIGEST, request->digest);
	wire_add_int(out, WIRE_VERIFY, request->verify);
	wire_add_int(out, WIRE_FOLLOW, request->follow);
	wire_add_int(out, WIRE_REPEATABLE, request->attempt.safe_rerun);
	wire_add_int(out, WIRE_TIMEOUT, request->timeout_ms);
	wire_add_int(out, WIRE_CONNECT_TIMEOUT, request->connect_timeout_ms);
	if (request->body)
	{
		wire_add(out, WIRE_BODY, request->body, request->body_len);
		if (request->follow && secret_mask_finds(&request->mask, request->body, request->body_len))
			wire_add_int(out, WIRE_SECRET_BODY, 1);
	}
	wire_end(out, 0, 0);
	if (out->failed)
		out_of_memory();
	drop_asked(request);
	if (out->len > CHANNEL_MAX_FRAME)
	{
		io_frame_free(request->frame);
		request->frame = NULL;
		http_request_fail(request, "the request has more than %d bytes", CHANNEL_MAX_FRAME);
	}
}

bool
http_request_answer(HttpRequest *request, const char *body, size_t len)
{
	size_t		cursor = 1;
	WireField	field;

	request->answer = malloc(len);
	if (request->answer == NULL)
	{
		http_request_fail(request, "out of memory");
		return true;
	}
	memcpy(request->answer, body, len);
	request->answer_len = len;
	answers_held += len;
	while (wire_next(request->answer, len, &cursor, &field))
	{
		HttpBytes	bytes = {field.data, field.len};

		switch (field.tag)
		{
			case WIRE_ID:
				break;
			case WIRE_FAILURE:
				http_request_fail(request, "%s", field.data);
				break;
			case WIRE_STATUS:
				request->status = wire_int(&field);
				break;
			case WIRE_ELAPSED:
				request->elapsed = wire_int(&field);
				break;
			case WIRE_URL:
				request->final_url = field.data;
				break;
			case WIRE_HOP:
				if (request->nhops == HTTP_MAX_REDIRECTS)
					return false;
				request->hops[request->nhops].url = "";
				request->hops[request->nhops++].status = wire_int(&field);
				break;
			case WIRE_HOP_URL:
				if (request->nhops == 0)
					return false;
				request->hops[request->nhops - 1].url = field.data;
				break;
			case WIRE_JAR:
				request->jar = bytes;
				break;
			case WIRE_HEAD:
				request->head = bytes;
				break;
			case WIRE_CONTENT:
				request->content = bytes;
				break;
			default:
				return false;
		}
	}
	return cursor == len && (request->failed || request->final_url != NULL);
}

size_t
http_request_answers_held(void)
{
	return answers_held;
}

void
http_request_clear(HttpRequest *request)
{
	free(request->answer);
	answers_held -= request->answer_len;
	request->answer = NULL;
	request->answer_len = 0;
	request->head = request->content = request->jar = (HttpBytes) {0};
	request->final_url = NULL;
	request->nhops = 0;
}

HttpHeader *
http_request_find_header(const HttpRequest *request, const char *name)
{
	int			i;

	for (i = 0; i < request->nheaders; i++)
		if (pg_strcasecmp(request->headers[i].name, name) == 0)
			return &request->headers[i];
	return NULL;
}

void
http_request_drop_header(HttpRequest *request, const char *name)
{
	HttpHeader *header = http_request_find_header(request, name);

	if (header == NULL)
		return;
	free(header->name);
	free(header->value);
	request->nheaders--;
	if (header != &request->headers[request->nheaders])
		*header = request->headers[request->nheaders];
}

/* But for what http_queue.c counts it by. */
/* A text of what is asked. */
static void
drop_text(const HttpRequest *request, char *text, size_t len)
{
	if (text && request->mask.texts)
		secret_wipe(text, len);
	free(text);
}

static void
drop_asked(HttpRequest *request)
{
	char	  **texts[] = {&request->method, &request->url, &request->user, &request->password, &request->cookies, &request->ca,
	&request->mail_from, &request->proxies[0], &request->proxies[1], &request->proxies[2]};

	for (int i = 0; i < lengthof(texts); i++)
	{
		drop_text(request, *texts[i], *texts[i] ? strlen(*texts[i]) : 0);
		*texts[i] = NULL;
	}
	drop_text(request, request->body, request->body_len);
	request->body = NULL;
	for (int i = 0; i < request->nheaders; i++)
	{
		free(request->headers[i].name);
		drop_text(request, request->headers[i].value, request->headers[i].value ? strlen(request->headers[i].value) : 0);
	}
	free(request->headers);
	for (int i = 0; i < request->nrecipients; i++)
		free(request->recipients[i]);
	free(request->recipients);
	request->headers = NULL;
	request->recipients = NULL;
	request->nheaders = request->nrecipients = 0;
}

static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory")));
}
