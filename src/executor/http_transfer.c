/*
 * http_transfer.c
 *		One hop of one request with libcurl: how it is set up, what it means
 *		when it ends.
 *
 * Redirects are followed here and not by libcurl, because the method changes
 * as Python's requests changes it, because every hop is a line in the history,
 * and so that each has the same checks.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "executor/http_egress.h"
#include "executor/http_response.h"
#include "executor/http_transfer.h"
#include "executor/mail.h"

#define HTTP_USER_AGENT "mistral"

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
#ifdef HAVE_CURL_PREREQ
static int	before_request(void *arg, char *remote, char *local, int remote_port, int local_port);
#endif
static bool set_options(HttpRequest *request);
static bool set_http_options(HttpRequest *request);
static bool may_repeat(const HttpRequest *request);
static bool set_method(HttpRequest *request);
static bool set_headers(HttpRequest *request);
static bool append_header(HttpRequest *request, const char *name, const char *value);
static void describe_failure(HttpRequest *request, CURLcode code);
static const char *timeout_phase(CURL *easy);
static void keep_cookies(HttpRequest *request);
static bool answer_sets_cookie(const HttpRequest *request, const char *name, size_t len);

#define SET(option, value) HTTP_SET_OPTION(request, option, value)

bool
http_transfer_prepare(HttpRequest *request)
{
	if (request->easy == NULL)
		request->easy = curl_easy_init();
	else
		curl_easy_reset(request->easy); /* keeps cookies */
	if (request->easy == NULL)
	{
		http_request_fail(request, "out of memory");
		return false;
	}
	request->curl_error[0] = '\0';
	request->refused[0] = '\0';
	if (!set_options(request))
		return false;
	if (request->mail)
		return mail_set_options(request);
	return set_http_options(request) && set_method(request) && set_headers(request);
}

bool
http_transfer_ended(HttpRequest *request, CURLcode code)
{
	char	   *location = NULL;
	curl_off_t	micros = 0;
	long		status = 0;

	if (code != CURLE_OK || request->failed)
	{
		describe_failure(request, code);
		return false;
	}
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(request->easy, CURLINFO_STARTTRANSFER_TIME_T, &micros);
	curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &location);
	request->status = status;
	request->elapsed = micros;

	if (request->follow && location != NULL &&
		(status == 301 || status == 302 || status == 303 || status == 307 || status == 308))
	{
		if (request->nhops >= HTTP_MAX_REDIRECTS)
		{
			http_request_fail(request, "exceeded %d redirects", HTTP_MAX_REDIRECTS);
			return false;
		}
		if (!http_request_redirect(request, location))
			return false;
		http_response_clear(request);
		return http_transfer_prepare(request);
	}
	if (!request->mail)
		keep_cookies(request);
	return false;
}

void
http_transfer_free(HttpRequest *request)
{
	if (request->easy != NULL)
		curl_easy_cleanup(request->easy);
	request->easy = NULL;
	curl_slist_free_all(request->header_list);
	request->header_list = NULL;
}

static bool
set_options(HttpRequest *request)
{
	int64		left_ms = (request->deadline - clock_steady()) / 1000;

	SET(CURLOPT_PRIVATE, (void *) request);
	SET(CURLOPT_ERRORBUFFER, request->curl_error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	/* An empty proxy, for a missing one would be looked for in the environment. */
	SET(CURLOPT_PROXY, http_request_proxy(request));
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long) Max(left_ms, 1));
	SET(CURLOPT_SSL_VERIFYPEER, request->verify ? 1L : 0L);
	SET(CURLOPT_SSL_VERIFYHOST, request->verify ? 2L : 0L);
	if (request->connect_timeout_ms > 0)
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	if (request->ca != NULL)
	{
#ifdef HAVE_CURL_CA_BLOB
		struct curl_blob ca = {request->ca, strlen(request->ca), CURL_BLOB_NOCOPY};

		SET(CURLOPT_CAINFO_BLOB, &ca);
#else
		http_request_fail(request, "\"ca\" needs a newer libcurl");
		return false;
#endif
	}
	SET(CURLOPT_HEADERFUNCTION, http_response_on_header);
	SET(CURLOPT_HEADERDATA, (void *) request);
	SET(CURLOPT_WRITEFUNCTION, http_response_on_body);
	SET(CURLOPT_WRITEDATA, (void *) request);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, (void *) request);
#ifdef HAVE_CURL_PREREQ
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, (void *) request);
#else
	SET(CURLOPT_FORBID_REUSE, 1L);
#endif
	/*
	 * libcurl sends a request again when a kept connection dies before the
	 * answer, whatever the method.  What must not be repeated therefore gets a
	 * connection of its own.
	 */
	SET(CURLOPT_FRESH_CONNECT, may_repeat(request) ? 0L : 1L);
	return true;
}

static bool
set_http_options(HttpRequest *request)
{
	if (CURL_SET_PROTOCOLS(request->easy) != CURLE_OK || CURL_SET_REDIR_PROTOCOLS(request->easy) != CURLE_OK)
	{
		http_request_fail(request, "libcurl refused the list of protocols");
		return false;
	}
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_USERAGENT, HTTP_USER_AGENT);
	SET(CURLOPT_ACCEPT_ENCODING, "");
	SET(CURLOPT_COOKIEFILE, "");	/* turns cookies on, reads no file */
	if (request->cookies != NULL)
		SET(CURLOPT_COOKIE, request->cookies);
	if (request->user != NULL)
	{
		SET(CURLOPT_HTTPAUTH, (long) (request->digest ? CURLAUTH_DIGEST : CURLAUTH_BASIC));
		SET(CURLOPT_USERNAME, request->user);
		SET(CURLOPT_PASSWORD, request->password ? request->password : "");
	}
	return true;
}

static bool
may_repeat(const HttpRequest *request)
{
	if (request->mail)
		return false;
	return request->attempt.safe_rerun ||
		strcmp(request->method, "GET") == 0 ||
		strcmp(request->method, "HEAD") == 0 ||
		strcmp(request->method, "OPTIONS") == 0;
}

static bool
set_method(HttpRequest *request)
{
	bool		get = strcmp(request->method, "GET") == 0;

	if (strcmp(request->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else if (get && request->body == NULL)
		SET(CURLOPT_HTTPGET, 1L);
	else
	{
		/* Any other method says how long its body is, also that it has none. */
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
		SET(CURLOPT_CUSTOMREQUEST, request->method);
	}
	return true;
}

static bool
set_headers(HttpRequest *request)
{
	int			i;

	curl_slist_free_all(request->header_list);
	request->header_list = NULL;
	for (i = 0; i < request->nheaders; i++)
		if (!append_header(request, request->headers[i].name, request->headers[i].value))
			return false;
	/* What libcurl would add to a body by itself. */
	if (http_request_find_header(request, "Content-Type") == NULL && !append_header(request, "Content-Type", NULL))
		return false;
	if (http_request_find_header(request, "Expect") == NULL && !append_header(request, "Expect", NULL))
		return false;
	SET(CURLOPT_HTTPHEADER, request->header_list);
	return true;
}

/* "name: value"; "name;" is an empty one for libcurl, and "name:" leaves its own out. */
static bool
append_header(HttpRequest *request, const char *name, const char *value)
{
	struct curl_slist *list = NULL;
	char	   *line = malloc(strlen(name) + (value ? strlen(value) : 0) + 3);

	if (line != NULL)
	{
		if (value == NULL)
			sprintf(line, "%s:", name);
		else if (value[strspn(value, " \t")] == '\0')
			sprintf(line, "%s;", name);
		else
			sprintf(line, "%s: %s", name, value);
		list = curl_slist_append(request->header_list, line);
		free(line);
	}
	if (list == NULL)
	{
		http_request_fail(request, "out of memory");
		return false;
	}
	request->header_list = list;
	return true;
}

/*
 * The socket for one address of the host (or of the proxy), only where the
 * rules allow it.  With several addresses libcurl goes on to the next.
 */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	HttpRequest *request = arg;
	const void *bytes = NULL;

	if (purpose != CURLSOCKTYPE_IPCXN || address->socktype != SOCK_STREAM ||
		!http_egress_allowed(&address->addr))
	{
		/* addr is the head of a larger union of address types */
		if (address->family == AF_INET)
			bytes = &((struct sockaddr_in *) &address->addr)->sin_addr;
		else if (address->family == AF_INET6)
			bytes = &((struct sockaddr_in6 *) &address->addr)->sin6_addr;
		if (bytes == NULL ||
			inet_ntop(address->family, bytes, request->refused, sizeof(request->refused)) == NULL)
			strlcpy(request->refused, "of an unknown kind", sizeof(request->refused));
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

#ifdef HAVE_CURL_PREREQ
/*
 * Also asked for connections that were open already: the rules may have changed
 * since they were made.
 */
static int
before_request(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	HttpRequest *request = arg;

	if (http_egress_text_allowed(remote))
		return CURL_PREREQFUNC_OK;
	strlcpy(request->refused, remote, sizeof(request->refused));
	return CURL_PREREQFUNC_ABORT;
}
#endif

/* Says why, without the URL: it may hold secrets. */
static void
describe_failure(HttpRequest *request, CURLcode code)
{
	char		said[200];

	if (request->refused[0] != '\0' && code != CURLE_OPERATION_TIMEDOUT)
		http_request_fail(request, "address %s is not allowed by mistral.http_deny", request->refused);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		http_request_fail(request, "timed out after %d ms while %s", request->timeout_ms, timeout_phase(request->easy));
	else if (code == CURLE_OUT_OF_MEMORY)
		http_request_fail(request, "a header is longer than libcurl takes, or there is no memory");
	else if (request->mail && mail_refusal(request, said, sizeof(said)))
		http_request_fail(request, "the server said: %s", said);
	else if (request->curl_error[0] != '\0')
		http_request_fail(request, "%s", request->curl_error);
	else
		http_request_fail(request, "%s", curl_easy_strerror(code));
}

static const char *
timeout_phase(CURL *easy)
{
	curl_off_t	resolved = 0;
	curl_off_t	connected = 0;
	curl_off_t	ready = 0;
	curl_off_t	answered = 0;

	curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
	curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
	curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &answered);
	/* From the end, for a kept connection has no times of its own beginning. */
	if (answered != 0)
		return "receiving the answer";
	if (ready != 0)
		return "waiting for the answer";
	if (connected != 0)
		return "negotiating the connection";
	return resolved != 0 ? "connecting" : "looking up the host";
}

/* Copies the cookies that the last answer set and that libcurl took over for its host. */
static void
keep_cookies(HttpRequest *request)
{
	struct curl_slist *list = NULL;
	struct curl_slist *item;

	if (curl_easy_getinfo(request->easy, CURLINFO_COOKIELIST, &list) != CURLE_OK)
		return;
	for (item = list; item != NULL; item = item->next)
	{
		const char *name = item->data;
		long long	expires = 0;
		size_t		len;
		int			field;

		/* domain, subdomains, path, secure, expires (0: with the session), name, value */
		for (field = 0; field < 5 && name != NULL; field++)
		{
			if (field == 4)
				expires = strtoll(name, NULL, 10);
			name = strchr(name, '\t');
			name = name ? name + 1 : NULL;
		}
		if (name == NULL || strchr(name, '\t') == NULL || (expires != 0 && expires <= (long long) time(NULL)))
			continue;
		len = strcspn(name, "\t");
		if (!answer_sets_cookie(request, name, len))
			continue;
		(void) (http_buffer_append(&request->jar, name, strlen(name)) &&
				http_buffer_append(&request->jar, "\n", 1));
	}
	curl_slist_free_all(list);
}

static bool
answer_sets_cookie(const HttpRequest *request, const char *name, size_t len)
{
	const char *line = request->head.data;

	while (line != NULL && *line)
	{
		if (pg_strncasecmp(line, "Set-Cookie:", 11) == 0)
		{
			const char *p = line + 11 + strspn(line + 11, " \t");

			if (strncmp(p, name, len) == 0 && (p[len] == '=' || p[len] == ' '))
				return true;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}
