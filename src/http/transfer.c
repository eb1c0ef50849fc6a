/*
 * transfer.c
 *		One hop of one request with libcurl: how it is set up, what it means
 *		when it ends.
 *
 * Redirects are followed here and not by libcurl, because the method changes
 * as Python's requests changes it, because every hop is a line in the history,
 * and so that each has the same checks.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/egress.h"
#include "http/answer.h"
#include "http/mail.h"
#include "http/request.h"
#include "http/transfer.h"

#define HTTP_USER_AGENT "mistral"

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
#ifdef HAVE_CURL_PREREQ
static int	before_request(void *arg, char *remote, char *local, int remote_port, int local_port);
#endif
static bool normalise_url(Transfer *transfer);
static bool set_options(Transfer *transfer);
static bool set_http_options(Transfer *transfer);
static bool may_repeat(const Transfer *transfer);
static bool sends_body(const Transfer *transfer);
static bool set_method(Transfer *transfer);
static bool set_headers(Transfer *transfer);
static bool append_header(Transfer *transfer, const char *name, const char *value);
static void describe_failure(Transfer *transfer, CURLcode code);
static bool about_another(const char *text, CURLcode code);
static const char *timeout_phase(CURL *easy);
static void keep_cookies(Transfer *transfer);
static bool answer_sets_cookie(const Transfer *transfer, const char *name, size_t len);

static Egress rules;

bool
transfer_set_rules(const char *allow, const char *deny, int own_port)
{
	return egress_set(&rules, allow, deny, own_port);
}

int64_t
monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
transfer_fail(Transfer *transfer, const char *format,...)
{
	va_list		args;

	if (transfer->failed)
		return;
	transfer->failed = true;
	va_start(args, format);
	vsnprintf(transfer->failure, sizeof(transfer->failure), format, args);
	va_end(args);
	for (unsigned char *p = (unsigned char *) transfer->failure; *p; p++)
		if (*p >= 0x7F || *p < ' ')
			*p = '?';
}

bool
transfer_prepare(Transfer *transfer)
{
	if (transfer->easy == NULL)
		transfer->easy = curl_easy_init();
	else
		curl_easy_reset(transfer->easy); /* keeps cookies */
	if (transfer->easy == NULL)
	{
		transfer_fail(transfer, "out of memory");
		return false;
	}
	transfer->curl_error[0] = '\0';
	transfer->refused[0] = '\0';
	if (!normalise_url(transfer) || !set_options(transfer))
		return false;
	if (transfer->mail_from)
		return mail_set_options(transfer);
	return set_http_options(transfer) && set_method(transfer) && set_headers(transfer);
}

bool
transfer_ended(Transfer *transfer, CURLcode code)
{
	char	   *location = NULL;
	curl_off_t	micros = 0;
	long		status = 0;

	if (code != CURLE_OK || transfer->failed)
	{
		describe_failure(transfer, code);
		return false;
	}
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &micros);
	curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
	transfer->status = status;
	transfer->elapsed = micros;

	if (transfer->follow && location != NULL &&
		(status == 301 || status == 302 || status == 303 || status == 307 || status == 308))
	{
		if (transfer->nhops >= HTTP_MAX_REDIRECTS)
		{
			transfer_fail(transfer, "exceeded %d redirects", HTTP_MAX_REDIRECTS);
			return false;
		}
		if (!request_redirect(transfer, location))
			return false;
		answer_clear(transfer);
		return transfer_prepare(transfer);
	}
	if (transfer->mail_from == NULL)
		keep_cookies(transfer);
	return false;
}

void
transfer_release(Transfer *transfer)
{
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
	curl_slist_free_all(transfer->header_list);
	transfer->header_list = NULL;
}

/* As libcurl writes it: that is what the result says was asked. */
static bool
normalise_url(Transfer *transfer)
{
	CURLU	   *handle = curl_url();
	char	   *url = NULL;
	char	   *copy = NULL;
	CURLUcode	code = CURLUE_OUT_OF_MEMORY;

	if (handle && (code = curl_url_set(handle, CURLUPART_URL, transfer->url, 0)) == CURLUE_OK &&
		(code = curl_url_get(handle, CURLUPART_URL, &url, 0)) == CURLUE_OK)
		copy = strdup(url);
	curl_free(url);
	curl_url_cleanup(handle);
	if (copy == NULL)
	{
		transfer_fail(transfer, code == CURLUE_OK || code == CURLUE_OUT_OF_MEMORY ? "out of memory" :
					  code == CURLUE_UNSUPPORTED_SCHEME ? "libcurl does not know the URL's scheme" : "the URL is malformed");
		return false;
	}
	free(transfer->url);
	transfer->url = copy;
	return true;
}

static bool
set_options(Transfer *transfer)
{
	int64_t		left_ms = transfer->deadline - monotonic_ms();

	SET(CURLOPT_PRIVATE, (void *) transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
	SET(CURLOPT_NOSIGNAL, 1L);
#ifdef HAVE_CURL_QUICK_EXIT
	/* A request that ends while its name is looked up would wait for the lookup's thread, and all others with it. */
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	SET(CURLOPT_URL, transfer->url);
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	/* An empty proxy, for a missing one would be looked for in the environment. */
	SET(CURLOPT_PROXY, request_proxy(transfer));
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long) (left_ms > 1 ? left_ms : 1));
	SET(CURLOPT_SSL_VERIFYPEER, transfer->verify ? 1L : 0L);
	SET(CURLOPT_SSL_VERIFYHOST, transfer->verify ? 2L : 0L);
	if (transfer->connect_timeout_ms > 0)
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long) transfer->connect_timeout_ms);
	if (transfer->ca != NULL)
	{
#ifdef HAVE_CURL_CA_BLOB
		struct curl_blob ca = {(void *) transfer->ca, strlen(transfer->ca), CURL_BLOB_NOCOPY};

		SET(CURLOPT_CAINFO_BLOB, &ca);
#else
		transfer_fail(transfer, "\"ca\" needs a newer libcurl");
		return false;
#endif
	}
	SET(CURLOPT_HEADERFUNCTION, answer_on_header);
	SET(CURLOPT_HEADERDATA, (void *) transfer);
	SET(CURLOPT_WRITEFUNCTION, answer_on_body);
	SET(CURLOPT_WRITEDATA, (void *) transfer);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, (void *) transfer);
#ifdef HAVE_CURL_PREREQ
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, (void *) transfer);
#else
	SET(CURLOPT_FORBID_REUSE, 1L);
#endif
	/*
	 * libcurl sends a request again when a kept connection dies before the
	 * answer, whatever the method.  What must not be repeated therefore gets a
	 * connection of its own.
	 */
	SET(CURLOPT_FRESH_CONNECT, may_repeat(transfer) ? 0L : 1L);
	return true;
}

static bool
set_http_options(Transfer *transfer)
{
	if (CURL_SET_PROTOCOLS(transfer->easy) != CURLE_OK || CURL_SET_REDIR_PROTOCOLS(transfer->easy) != CURLE_OK)
	{
		transfer_fail(transfer, "libcurl refused the list of protocols");
		return false;
	}
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_USERAGENT, HTTP_USER_AGENT);
	SET(CURLOPT_ACCEPT_ENCODING, "");
	SET(CURLOPT_COOKIEFILE, "");	/* turns cookies on, reads no file */
	if (transfer->cookies != NULL)
		SET(CURLOPT_COOKIE, transfer->cookies);
	if (transfer->user != NULL)
	{
		SET(CURLOPT_HTTPAUTH, (long) (transfer->digest ? CURLAUTH_DIGEST : CURLAUTH_BASIC));
		SET(CURLOPT_USERNAME, transfer->user);
		SET(CURLOPT_PASSWORD, transfer->password ? transfer->password : "");
	}
	return true;
}

static bool
may_repeat(const Transfer *transfer)
{
	if (transfer->mail_from)
		return false;
	return transfer->repeatable ||
		strcmp(transfer->method, "GET") == 0 ||
		strcmp(transfer->method, "HEAD") == 0 ||
		strcmp(transfer->method, "OPTIONS") == 0;
}

/* Any other method says how long its body is, also that it has none. */
static bool
sends_body(const Transfer *transfer)
{
	return strcmp(transfer->method, "HEAD") != 0 && (transfer->body != NULL || strcmp(transfer->method, "GET") != 0);
}

static bool
set_method(Transfer *transfer)
{
	if (strcmp(transfer->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else if (!sends_body(transfer))
		SET(CURLOPT_HTTPGET, 1L);
	else
	{
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) transfer->body_len);
		SET(CURLOPT_POSTFIELDS, transfer->body ? transfer->body : "");
		SET(CURLOPT_CUSTOMREQUEST, transfer->method);
	}
	return true;
}

static bool
set_headers(Transfer *transfer)
{
	int			i;

	curl_slist_free_all(transfer->header_list);
	transfer->header_list = NULL;
	for (i = 0; i < transfer->nheaders; i++)
		if (!append_header(transfer, transfer->headers[i].name, transfer->headers[i].value))
			return false;
	/* What libcurl would add to a body by itself. */
	if (sends_body(transfer) && request_find_header(transfer, "Content-Type") == NULL && !append_header(transfer, "Content-Type", NULL))
		return false;
	if (sends_body(transfer) && request_find_header(transfer, "Expect") == NULL && !append_header(transfer, "Expect", NULL))
		return false;
	SET(CURLOPT_HTTPHEADER, transfer->header_list);
	return true;
}

/* "name: value"; "name;" is an empty one for libcurl, and "name:" leaves its own out. */
static bool
append_header(Transfer *transfer, const char *name, const char *value)
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
		list = curl_slist_append(transfer->header_list, line);
		free(line);
	}
	if (list == NULL)
	{
		transfer_fail(transfer, "out of memory");
		return false;
	}
	transfer->header_list = list;
	return true;
}

/*
 * The socket for one address of the host (or of the proxy), only where the
 * rules allow it.  With several addresses libcurl goes on to the next.
 */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer   *transfer = arg;
	const void *bytes = NULL;

	if (purpose != CURLSOCKTYPE_IPCXN || address->socktype != SOCK_STREAM ||
		!egress_allowed(&rules, &address->addr))
	{
		/* addr is the head of a larger union of address types */
		if (address->family == AF_INET)
			bytes = &((struct sockaddr_in *) &address->addr)->sin_addr;
		else if (address->family == AF_INET6)
			bytes = &((struct sockaddr_in6 *) &address->addr)->sin6_addr;
		if (bytes == NULL ||
			inet_ntop(address->family, bytes, transfer->refused, sizeof(transfer->refused)) == NULL)
			snprintf(transfer->refused, sizeof(transfer->refused), "of an unknown kind");
		else if (egress_is_server(&rules, &address->addr))
			strcat(transfer->refused, ", the database server,");
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
	Transfer   *transfer = arg;

	if (egress_text_allowed(&rules, remote))
		return CURL_PREREQFUNC_OK;
	snprintf(transfer->refused, sizeof(transfer->refused), "%s", remote);
	return CURL_PREREQFUNC_ABORT;
}
#endif

/* Says why, without the URL: it may hold secrets. */
static void
describe_failure(Transfer *transfer, CURLcode code)
{
	char		said[200];

	if (transfer->refused[0] != '\0' && code != CURLE_OPERATION_TIMEDOUT)
		transfer_fail(transfer, "address %s is not allowed by mistral.http_deny", transfer->refused);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		transfer_fail(transfer, "timed out after %d ms while %s", transfer->timeout_ms, timeout_phase(transfer->easy));
	else if (code == CURLE_OUT_OF_MEMORY)
		transfer_fail(transfer, "a header is longer than libcurl takes, or there is no memory");
	else if (transfer->mail_from && mail_refusal(transfer, said, sizeof(said)))
		transfer_fail(transfer, "the server said: %s", said);
	else if (transfer->curl_error[0] != '\0' && !about_another(transfer->curl_error, code))
		transfer_fail(transfer, "%s", transfer->curl_error);
	else if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY)
		transfer_fail(transfer, "Could not resolve %s", code == CURLE_COULDNT_RESOLVE_HOST ? "host" : "proxy");
	else if (code == CURLE_COULDNT_CONNECT)
		transfer_fail(transfer, "Failed to connect");
	else
		transfer_fail(transfer, "%s", curl_easy_strerror(code));
}

/*
 * A request that looks for a connection also closes kept ones that it finds
 * dead.  What libcurl says of those is the text that it keeps, and then it has
 * none about a failure that comes before anything of the request is sent.
 */
static bool
about_another(const char *text, CURLcode code)
{
	if (code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_COULDNT_RESOLVE_PROXY &&
		code != CURLE_COULDNT_CONNECT && code != CURLE_PEER_FAILED_VERIFICATION)
		return false;
	return strncmp(text, "Send failure", 12) == 0 || strncmp(text, "Recv failure", 12) == 0;
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
keep_cookies(Transfer *transfer)
{
	struct curl_slist *list = NULL;
	struct curl_slist *item;

	if (curl_easy_getinfo(transfer->easy, CURLINFO_COOKIELIST, &list) != CURLE_OK)
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
		if (!answer_sets_cookie(transfer, name, len))
			continue;
		plain_append(&transfer->jar, name, strlen(name));
		plain_append(&transfer->jar, "\n", 1);
	}
	curl_slist_free_all(list);
}

static bool
answer_sets_cookie(const Transfer *transfer, const char *name, size_t len)
{
	const char *line = transfer->head.data;

	while (line != NULL && *line)
	{
		if (strncasecmp(line, "Set-Cookie:", 11) == 0)
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
