/*
 * http_url.c
 *		URLs as Python's requests takes them: spaces and other unsafe characters
 *		are escaped, parameters are added to the query, userinfo becomes
 *		credentials and leaves the URL.
 */
#include "postgres.h"

#include "executor/http_request.h"

static bool append_escaped(HttpBuffer *buffer, const char *text, size_t len);
static bool append_url(HttpBuffer *buffer, const char *text, const char *query);
static bool take_part(CURLU *handle, CURLUPart part, unsigned int flags, char **copy);
static const char *fill_parts(CURLU *handle, HttpUrl *parts);

static const char hex_digits[] = "0123456789ABCDEF";

const char *
http_url_parse(const char *text, const char *query, HttpUrl *parts)
{
	HttpBuffer	escaped = {0};
	CURLU	   *handle;
	const char *error;

	memset(parts, 0, sizeof(*parts));
	while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')
		text++;
	if (*text == '\0')
		return "the URL is empty";
	if (strstr(text, "://") == NULL)
		return "the URL has no scheme; it begins with http:// or https://";

	handle = curl_url();
	if (handle == NULL || !append_url(&escaped, text, query))
		error = "out of memory";
	else if (curl_url_set(handle, CURLUPART_URL, escaped.data, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		error = "the URL is malformed";
	else
		error = fill_parts(handle, parts);
	curl_url_cleanup(handle);
	http_buffer_reset(&escaped);
	if (error)
		http_url_free(parts);
	return error;
}

void
http_url_free(HttpUrl *parts)
{
	free(parts->url);
	free(parts->origin);
	free(parts->user);
	free(parts->password);
	memset(parts, 0, sizeof(*parts));
}

bool
http_url_append_pair(HttpBuffer *form, const char *name, const char *value)
{
	const char *texts[2] = {name, value};
	int			i;

	if (form->len > 0 && !http_buffer_append(form, "&", 1))
		return false;
	for (i = 0; i < 2; i++)
	{
		const unsigned char *p = (const unsigned char *) texts[i];

		if (i == 1 && !http_buffer_append(form, "=", 1))
			return false;
		for (; *p; p++)
		{
			char		out[3] = {'%', hex_digits[*p >> 4], hex_digits[*p & 0x0F]};
			bool		plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				(*p >= '0' && *p <= '9') || strchr("_.-~", *p) != NULL;

			if (!(plain ? http_buffer_append(form, (const char *) p, 1) :
				  *p == ' ' ? http_buffer_append(form, "+", 1) :
				  http_buffer_append(form, out, 3)))
				return false;
		}
	}
	return true;
}

/* Text with everything escaped that no URL may hold as it is. */
static bool
append_escaped(HttpBuffer *buffer, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len;

	for (; p < end; p++)
	{
		char		out[3] = {'%', hex_digits[*p >> 4], hex_digits[*p & 0x0F]};
		bool		unsafe = *p <= ' ' || *p >= 0x7F || strchr("\"<>\\^`{|}", *p) != NULL;

		if (!http_buffer_append(buffer, unsafe ? out : (const char *) p, unsafe ? 3 : 1))
			return false;
	}
	return true;
}

/* The URL with `query` behind its own query and before its fragment. */
static bool
append_url(HttpBuffer *buffer, const char *text, const char *query)
{
	size_t		len = strcspn(text, "#");

	if (!append_escaped(buffer, text, len))
		return false;
	if (query != NULL && query[0] != '\0')
	{
		const char *mark = memchr(text, '?', len);

		if (mark == NULL && !http_buffer_append(buffer, "?", 1))
			return false;
		if (mark != NULL && mark + 1 < text + len && !http_buffer_append(buffer, "&", 1))
			return false;
		if (!append_escaped(buffer, query, strlen(query)))
			return false;
	}
	return append_escaped(buffer, text + len, strlen(text + len));
}

/* A part as memory of our own; an absent one is NULL and no failure. */
static bool
take_part(CURLU *handle, CURLUPart part, unsigned int flags, char **copy)
{
	char	   *text;
	CURLUcode	rc = curl_url_get(handle, part, &text, flags);

	*copy = NULL;
	if (rc == CURLUE_OK)
	{
		*copy = strdup(text);
		curl_free(text);
		return *copy != NULL;
	}
	return rc != CURLUE_OUT_OF_MEMORY;
}

static const char *
fill_parts(CURLU *handle, HttpUrl *parts)
{
	char	   *scheme = NULL;
	char	   *host = NULL;
	char	   *port = NULL;
	const char *error = "out of memory";
	char	   *p;

	if (!take_part(handle, CURLUPART_SCHEME, 0, &scheme) ||
		!take_part(handle, CURLUPART_HOST, 0, &host) ||
		!take_part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT, &port) ||
		!take_part(handle, CURLUPART_USER, CURLU_URLDECODE, &parts->user) ||
		!take_part(handle, CURLUPART_PASSWORD, CURLU_URLDECODE, &parts->password))
		goto done;
	if (scheme == NULL || (pg_strcasecmp(scheme, "http") != 0 && pg_strcasecmp(scheme, "https") != 0))
	{
		error = "only http and https URLs are allowed";
		goto done;
	}
	if (host == NULL || host[0] == '\0' || port == NULL)
	{
		error = "the URL has no host";
		goto done;
	}

	curl_url_set(handle, CURLUPART_USER, NULL, 0);
	curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0);
	if (!take_part(handle, CURLUPART_URL, 0, &parts->url) || parts->url == NULL)
		goto done;
	parts->origin = malloc(strlen(scheme) + strlen(host) + strlen(port) + 5);
	if (parts->origin == NULL)
		goto done;
	sprintf(parts->origin, "%s://%s:%s", scheme, host, port);
	for (p = parts->origin; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	error = NULL;

done:
	free(scheme);
	free(host);
	free(port);
	return error;
}
