/*
 * http_request.c
 *		A request's life, apart from what it is made of (http_build.c) and what
 *		it does (http_transfer.c): memory, failure, redirects.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "executor/http_request.h"

HttpRequest *
http_request_new(void)
{
	return calloc(1, sizeof(HttpRequest));
}

void
http_request_free(HttpRequest *request)
{
	int			i;

	Assert(request->easy == NULL);
	curl_slist_free_all(request->header_list);
	curl_slist_free_all(request->recipients);
	free(request->mail_from);
	free(request->method);
	free(request->url);
	free(request->origin);
	free(request->place);
	free(request->user);
	free(request->password);
	free(request->cookies);
	free(request->ca);
	free(request->body);
	for (i = 0; i < request->nheaders; i++)
	{
		free(request->headers[i].name);
		free(request->headers[i].value);
	}
	free(request->headers);
	for (i = 0; i < (int) lengthof(request->proxies); i++)
		free(request->proxies[i]);
	for (i = 0; i < request->nhops; i++)
		free(request->hops[i].url);
	http_buffer_reset(&request->head);
	http_buffer_reset(&request->content);
	http_buffer_reset(&request->jar);
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

bool
http_request_redirect(HttpRequest *request, const char *url)
{
	HttpUrl		parts;
	HttpHop    *hop = &request->hops[request->nhops];
	const char *error = http_url_parse(url, NULL, &parts);
	long		status = request->status;

	if (error)
	{
		http_request_fail(request, "redirect to another place than an http or https URL is not allowed: %s", error);
		return false;
	}
	hop->status = status;
	hop->url = request->url;
	request->nhops++;
	request->url = parts.url;
	parts.url = NULL;

	if (strcmp(request->origin, parts.origin) != 0)
	{
		http_request_drop_header(request, "Authorization");
		http_request_drop_header(request, "Cookie");
		http_request_drop_header(request, "Host");
		free(request->user);
		free(request->password);
		free(request->cookies);
		request->user = request->password = request->cookies = NULL;
	}
	free(request->origin);
	request->origin = parts.origin;
	parts.origin = NULL;
	http_url_free(&parts);

	if (strcmp(request->method, "HEAD") != 0 &&
		(status == 302 || status == 303 || (status == 301 && strcmp(request->method, "POST") == 0)))
		strcpy(request->method, "GET"); /* build_method leaves room */
	if (status != 307 && status != 308)
	{
		free(request->body);
		request->body = NULL;
		request->body_len = 0;
		http_request_drop_header(request, "Content-Type");
	}
	return true;
}

const char *
http_request_proxy(const HttpRequest *request)
{
	int			which = strncmp(request->url, "https:", 6) == 0 ? 1 : 0;
	const char *proxy = request->proxies[which] ? request->proxies[which] : request->proxies[2];

	return proxy ? proxy : "";
}

size_t
http_request_size(const HttpRequest *request)
{
	return sizeof(HttpRequest) + request->body_len + request->head.capacity + request->content.capacity;
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

bool
http_buffer_append(HttpBuffer *buffer, const char *data, size_t len)
{
	if (len >= MaxAllocHugeSize - buffer->len)
		return false;
	if (buffer->len + len + 1 > buffer->capacity)
	{
		size_t		capacity = Max(buffer->capacity, 128);
		char	   *grown;

		while (capacity < buffer->len + len + 1)
			capacity *= 2;
		grown = realloc(buffer->data, capacity);
		if (grown == NULL)
			return false;
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
	return true;
}

void
http_buffer_reset(HttpBuffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}
