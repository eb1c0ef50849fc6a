/*
 * request.c
 *		What is asked: read from a frame, and as redirects change it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/plain_url.h"
#include "http/answer.h"
#include "http/request.h"

static bool read_fields(Transfer *transfer, size_t len);
static bool read_field(Transfer *transfer, const WireField *field);
static bool add_header(Transfer *transfer, const char *name);
static void drop_header(Transfer *transfer, const char *name);
static void drop_secret_headers(Transfer *transfer);

Transfer *
transfer_new(const char *body, size_t len)
{
	Transfer   *transfer = calloc(1, sizeof(Transfer));

	if (transfer == NULL || (transfer->frame = malloc(len + 1)) == NULL)
	{
		free(transfer);
		return NULL;
	}
	memcpy(transfer->frame, body, len);
	transfer->frame_len = len;
	if (!read_fields(transfer, len) || transfer->url == NULL ||
		(transfer->mail_from == NULL && (transfer->method == NULL || transfer->origin == NULL)))
	{
		transfer_free(transfer);
		return NULL;
	}
	return transfer;
}

void
transfer_free(Transfer *transfer)
{
	transfer_release(transfer);
	answer_clear(transfer);
	curl_slist_free_all(transfer->recipients);
	for (int i = 0; i < transfer->nhops; i++)
		free(transfer->hops[i].url);
	plain_reset(&transfer->jar);
	plain_reset(&transfer->answer);
	free(transfer->url);
	free(transfer->origin);
	/* Whoever asked knows whether it held secrets. */
	if (transfer->frame)
		explicit_bzero(transfer->frame, transfer->frame_len);
	free(transfer->frame);
	free(transfer->headers);
	free(transfer);
}

bool
request_redirect(Transfer *transfer, const char *url)
{
	PlainUrl	parts;
	Hop		   *hop = &transfer->hops[transfer->nhops];
	const char *error = plain_url_parse(url, NULL, &parts);
	long		status = transfer->status;
	bool		elsewhere;

	if (error)
	{
		transfer_fail(transfer, "redirect to another place than an http or https URL is not allowed: %s", error);
		return false;
	}
	hop->status = status;
	hop->url = transfer->url;
	transfer->nhops++;
	transfer->url = parts.url;
	parts.url = NULL;

	elsewhere = strcmp(transfer->origin, parts.origin) != 0;
	if (elsewhere)
	{
		drop_header(transfer, "Authorization");
		drop_header(transfer, "Cookie");
		drop_header(transfer, "Host");
		drop_header(transfer, "Mistral-Token");
		drop_secret_headers(transfer);
		transfer->user = transfer->password = transfer->cookies = NULL;
	}
	free(transfer->origin);
	transfer->origin = parts.origin;
	parts.origin = NULL;
	plain_url_free(&parts);

	if (strcmp(transfer->method, "HEAD") != 0 &&
		(status == 302 || status == 303 || (status == 301 && strcmp(transfer->method, "POST") == 0)))
		transfer->method = "GET";
	if (status != 307 && status != 308)
	{
		transfer->body = NULL;
		transfer->body_len = 0;
		drop_header(transfer, "Content-Type");
	}
	else if (elsewhere && transfer->body_secret)
	{
		transfer_fail(transfer, "redirect to another origin of a body that holds a secret is not allowed");
		return false;
	}
	return true;
}

const char *
request_proxy(const Transfer *transfer)
{
	int			which = strncmp(transfer->url, "https:", 6) == 0 ? 1 : 0;
	const char *proxy = transfer->proxies[which] ? transfer->proxies[which] : transfer->proxies[2];

	return proxy ? proxy : "";
}

const Header *
request_find_header(const Transfer *transfer, const char *name)
{
	for (int i = 0; i < transfer->nheaders; i++)
		if (strcasecmp(transfer->headers[i].name, name) == 0)
			return &transfer->headers[i];
	return NULL;
}

static void
drop_header(Transfer *transfer, const char *name)
{
	const Header *header = request_find_header(transfer, name);

	if (header)
		transfer->headers[header - transfer->headers] = transfer->headers[--transfer->nheaders];
}

static void
drop_secret_headers(Transfer *transfer)
{
	int			kept = 0;

	for (int i = 0; i < transfer->nheaders; i++)
		if (!transfer->headers[i].secret)
			transfer->headers[kept++] = transfer->headers[i];
	transfer->nheaders = kept;
}

static bool
read_fields(Transfer *transfer, size_t len)
{
	size_t		cursor = 1;
	WireField	field;

	while (wire_next(transfer->frame, len, &cursor, &field))
		if (!read_field(transfer, &field))
			return false;
	if (cursor != len || transfer->url == NULL)
		return false;
	if (transfer->mail_from == NULL)
	{
		PlainUrl	parts;

		if (plain_url_parse(transfer->url, NULL, &parts) != NULL)
			return false;
		transfer->origin = parts.origin;
		parts.origin = NULL;
		plain_url_free(&parts);
	}
	return true;
}

static bool
read_field(Transfer *transfer, const WireField *field)
{
	struct curl_slist *list;

	switch (field->tag)
	{
		case WIRE_ID:
			transfer->id = wire_int(field);
			break;
		case WIRE_OWNER:
			transfer->owner = (uint32_t) wire_int(field);
			break;
		case WIRE_URL:
			free(transfer->url);
			transfer->url = strdup(field->data);
			break;
		case WIRE_METHOD:
			transfer->method = field->data;
			break;
		case WIRE_BODY:
			transfer->body = field->data;
			transfer->body_len = field->len;
			break;
		case WIRE_HEADER:
			return add_header(transfer, field->data);
		case WIRE_HEADER_VALUE:
			if (transfer->nheaders == 0)
				return false;
			transfer->headers[transfer->nheaders - 1].value = field->data;
			break;
		case WIRE_SECRET_HEADER:
			if (transfer->nheaders == 0)
				return false;
			transfer->headers[transfer->nheaders - 1].secret = wire_int(field) != 0;
			break;
		case WIRE_SECRET_BODY:
			transfer->body_secret = wire_int(field) != 0;
			break;
		case WIRE_USER:
			transfer->user = field->data;
			break;
		case WIRE_PASSWORD:
			transfer->password = field->data;
			break;
		case WIRE_DIGEST:
			transfer->digest = wire_int(field) != 0;
			break;
		case WIRE_COOKIES:
			transfer->cookies = field->data;
			break;
		case WIRE_PROXY_HTTP:
		case WIRE_PROXY_HTTPS:
		case WIRE_PROXY_ALL:
			transfer->proxies[field->tag - WIRE_PROXY_HTTP] = field->data;
			break;
		case WIRE_CA:
			transfer->ca = field->data;
			break;
		case WIRE_VERIFY:
			transfer->verify = wire_int(field) != 0;
			break;
		case WIRE_FOLLOW:
			transfer->follow = wire_int(field) != 0;
			break;
		case WIRE_REPEATABLE:
			transfer->repeatable = wire_int(field) != 0;
			break;
		case WIRE_TIMEOUT:
			transfer->timeout_ms = (int) wire_int(field);
			break;
		case WIRE_CONNECT_TIMEOUT:
			transfer->connect_timeout_ms = (int) wire_int(field);
			break;
		case WIRE_MAIL_FROM:
			transfer->mail_from = field->data;
			break;
		case WIRE_RECIPIENT:
			list = curl_slist_append(transfer->recipients, field->data);
			if (list == NULL)
				return false;
			transfer->recipients = list;
			break;
		default:
			return false;
	}
	return true;
}

/* Its value comes with the next field, if it has one. */
static bool
add_header(Transfer *transfer, const char *name)
{
	if (transfer->nheaders == HTTP_MAX_REQUEST_HEADERS)
		return false;
	if (transfer->nheaders == transfer->maxheaders)
	{
		int			size = transfer->maxheaders == 0 ? 8 : 2 * transfer->maxheaders;
		Header	   *headers = realloc(transfer->headers, size * sizeof(Header));

		if (headers == NULL)
			return false;
		transfer->headers = headers;
		transfer->maxheaders = size;
	}
	transfer->headers[transfer->nheaders++] = (Header) {name};
	return true;
}
