/*
 * plain_url.c
 *		URLs as Python's requests takes them: spaces and other unsafe characters
 *		are escaped, parameters are added to the query, userinfo becomes
 *		credentials and leaves the URL.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/plain_url.h"

#define MAX_HOST 255

static void append_escaped(PlainBuffer *buffer, const char *text, size_t len);
static void append_url(PlainBuffer *buffer, const char *text, const char *query);
static const char *take_apart(const char *text, PlainUrl *parts);
static bool take_userinfo(const char *text, size_t len, PlainUrl *parts);
static char *decode(const char *text, size_t len);
static bool read_place(const char *text, size_t len, char *host, long *port);
static bool read_name(const char *text, size_t len, char *host);
static int	hex_value(char c);

static const char hex_digits[] = "0123456789ABCDEF";

const char *
plain_url_parse(const char *text, const char *query, PlainUrl *parts)
{
	PlainBuffer escaped = {0};
	const char *error;

	memset(parts, 0, sizeof(*parts));
	while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')
		text++;
	if (*text == '\0')
		return "the URL is empty";
	if (strstr(text, "://") == NULL)
		return "the URL has no scheme; it begins with http:// or https://";

	append_url(&escaped, text, query);
	error = escaped.failed ? "out of memory" : take_apart(escaped.data, parts);
	plain_reset(&escaped);
	if (error)
		plain_url_free(parts);
	return error;
}

void
plain_url_free(PlainUrl *parts)
{
	free(parts->url);
	free(parts->origin);
	free(parts->user);
	free(parts->password);
	memset(parts, 0, sizeof(*parts));
}

bool
plain_url_mail(const char *text, PlainUrl *parts)
{
	const char *scheme = "smtp";
	char		host[MAX_HOST + 1];
	const char *begin = text;
	long		port = -1;
	size_t		len;
	char		number[24] = "";

	memset(parts, 0, sizeof(*parts));
	if (strncasecmp(text, "smtp://", 7) == 0)
		begin += 7;
	else if (strncasecmp(text, "smtps://", 8) == 0)
	{
		scheme = "smtps";
		begin += 8;
	}
	len = strcspn(begin, "/");
	if ((begin[len] != '\0' && begin[len + 1] != '\0') || !read_place(begin, len, host, &port))
		return false;
	if (port >= 0)
		snprintf(number, sizeof(number), ":%ld", port);
	parts->url = malloc(strlen(scheme) + strlen(host) + strlen(number) + 5);
	if (parts->url)
	{
		sprintf(parts->url, "%s://%s%s/", scheme, host, number);
		parts->origin = strdup(parts->url);
	}
	if (parts->origin == NULL)
	{
		plain_url_free(parts);
		return false;
	}
	parts->origin[strlen(parts->origin) - 1] = '\0';
	return true;
}

void
plain_url_append_pair(PlainBuffer *form, const char *name, const char *value)
{
	const char *texts[2] = {name, value};

	if (form->len > 0)
		plain_append(form, "&", 1);
	for (int i = 0; i < 2; i++)
	{
		if (i == 1)
			plain_append(form, "=", 1);
		for (const unsigned char *p = (const unsigned char *) texts[i]; *p; p++)
		{
			char		out[3] = {'%', hex_digits[*p >> 4], hex_digits[*p & 0x0F]};
			bool		plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				(*p >= '0' && *p <= '9') || strchr("_.-~", *p) != NULL;

			if (plain)
				plain_append(form, (const char *) p, 1);
			else if (*p == ' ')
				plain_append(form, "+", 1);
			else
				plain_append(form, out, 3);
		}
	}
}

/* Text with everything escaped that no URL may hold as it is. */
static void
append_escaped(PlainBuffer *buffer, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len;

	for (; p < end; p++)
	{
		char		out[3] = {'%', hex_digits[*p >> 4], hex_digits[*p & 0x0F]};
		bool		unsafe = *p <= ' ' || *p >= 0x7F || strchr("\"<>\\^`{|}", *p) != NULL;

		plain_append(buffer, unsafe ? out : (const char *) p, unsafe ? 3 : 1);
	}
}

/* The URL with `query` behind its own query and before its fragment. */
static void
append_url(PlainBuffer *buffer, const char *text, const char *query)
{
	size_t		len = strcspn(text, "#");

	append_escaped(buffer, text, len);
	if (query != NULL && query[0] != '\0')
	{
		const char *mark = memchr(text, '?', len);

		if (mark == NULL)
			plain_append(buffer, "?", 1);
		else if (mark + 1 < text + len)
			plain_append(buffer, "&", 1);
		append_escaped(buffer, query, strlen(query));
	}
	append_escaped(buffer, text + len, strlen(text + len));
}

static const char *
take_apart(const char *text, PlainUrl *parts)
{
	const char *scheme = NULL;
	char		host[MAX_HOST + 1];
	const char *place;
	const char *rest;
	long		port = -1;

	if (strncasecmp(text, "http://", 7) == 0)
		scheme = "http";
	else if (strncasecmp(text, "https://", 8) == 0)
		scheme = "https";
	else
		return "only http and https URLs are allowed";
	place = strstr(text, "://") + 3;
	rest = place + strcspn(place, "/?#");
	for (const char *p = rest; p > place; p--)
	{
		if (p[-1] != '@')
			continue;
		if (!take_userinfo(place, p - 1 - place, parts))
			return "the URL is malformed";
		place = p;
		break;
	}
	if (rest == place || *place == ':')
		return "the URL has no host";
	if (!read_place(place, rest - place, host, &port))
		return "the URL is malformed";

	parts->url = malloc(strlen(scheme) + strlen(place) + 5);
	parts->origin = malloc(strlen(scheme) + strlen(host) + 12);
	if (parts->url == NULL || parts->origin == NULL)
		return "out of memory";
	sprintf(parts->url, "%s://%.*s%s%s", scheme, (int) (rest - place), place, *rest == '/' ? "" : "/", rest);
	sprintf(parts->origin, "%s://%s:%ld", scheme, host, port >= 0 ? port : scheme[4] ? 443L : 80L);
	return NULL;
}

/* user, or user:password; false without memory, or where it holds a NUL. */
static bool
take_userinfo(const char *text, size_t len, PlainUrl *parts)
{
	const char *colon = memchr(text, ':', len);

	if (len == 0)
		return true;
	parts->user = decode(text, colon ? (size_t) (colon - text) : len);
	if (colon)
		parts->password = decode(colon + 1, text + len - colon - 1);
	return parts->user && (parts->password || colon == NULL);
}

/* Without the escapes, malloc'd; NULL without memory, or for what holds a control character. */
static char *
decode(const char *text, size_t len)
{
	char	   *out = malloc(len + 1);
	size_t		n = 0;

	for (size_t i = 0; out && i < len; i++)
	{
		unsigned char c = text[i];

		if (c == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0)
		{
			c = hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]);
			i += 2;
		}
		if (c < ' ')
		{
			free(out);
			return NULL;
		}
		out[n++] = c;
	}
	if (out)
		out[n] = '\0';
	return out;
}

/* host or host:port; the host in lower case, -1 for no port. */
static bool
read_place(const char *text, size_t len, char *host, long *port)
{
	const char *end = text + len;
	const char *colon;

	if (len > 0 && *text == '[')
	{
		const char *close = memchr(text, ']', len);
		struct in6_addr address;
		char		inside[INET6_ADDRSTRLEN];
		size_t		n;

		if (close == NULL || (n = close - text - 1) >= sizeof(inside))
			return false;
		memcpy(inside, text + 1, n);
		inside[n] = '\0';
		/* A zone may follow. */
		inside[strcspn(inside, "%")] = '\0';
		if (inet_pton(AF_INET6, inside, &address) != 1)
			return false;
		inet_ntop(AF_INET6, &address, inside, sizeof(inside));
		snprintf(host, MAX_HOST + 1, "[%s]", inside);
		colon = close + 1;
		if (colon < end && *colon != ':')
			return false;
	}
	else
	{
		colon = memchr(text, ':', len);
		if (colon == NULL)
			colon = end;
		if (!read_name(text, colon - text, host))
			return false;
	}
	*port = -1;
	if (colon + 1 < end)
	{
		*port = 0;
		for (const char *p = colon + 1; p < end; p++)
		{
			if (*p < '0' || *p > '9' || (*port = *port * 10 + (*p - '0')) > 65535)
				return false;
		}
	}
	return true;
}

/* A name, or an IPv4 address in any of its forms, which libcurl would bring into its usual one. */
static bool
read_name(const char *text, size_t len, char *host)
{
	char	   *name = decode(text, len);
	struct in_addr address;
	bool		ok = name != NULL && name[0] != '\0' && strlen(name) <= MAX_HOST;

	for (unsigned char *p = (unsigned char *) name; ok && *p; p++)
	{
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
		ok = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p >= 0x80 || strchr("-._~", *p) != NULL;
	}
	if (ok && inet_aton(name, &address))
		inet_ntop(AF_INET, &address, host, MAX_HOST + 1);
	else if (ok)
		strcpy(host, name);
	free(name);
	return ok;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
