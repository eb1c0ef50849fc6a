/*
 * http_request.h
 *		One HTTP action from its claim to its record: what is asked, what came
 *		back.
 *
 * Everything here is malloc'd: libcurl's callbacks fill it, and it outlives
 * transactions and their memory contexts.  http_request_free() ends it.
 */
#ifndef MISTRAL_HTTP_REQUEST_H
#define MISTRAL_HTTP_REQUEST_H

#include "postgres.h"

#include "lib/ilist.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "executor/http_curl.h"
#include "executor/recorder.h"
#include "executor/secret_mask.h"

#define HTTP_MAX_REDIRECTS		10
#define HTTP_DEFAULT_TIMEOUT_MS	60000
#define HTTP_MAX_TIMEOUT_MS		(7 * 24 * 3600 * 1000)
#define HTTP_FAILURE_LEN		512

/* Growing bytes; `data` is NUL-terminated unless empty. */
typedef struct HttpBuffer
{
	char	   *data;
	size_t		len;
	size_t		capacity;
} HttpBuffer;

typedef struct HttpHeader
{
	char	   *name;
	char	   *value;			/* NULL: the header that libcurl would add is left out */
} HttpHeader;

/* One answer that redirected. */
typedef struct HttpHop
{
	long		status;
	char	   *url;
} HttpHop;

typedef struct HttpRequest
{
	Attempt		attempt;		/* which one of which action this is; first */
	dlist_node	node;			/* in the one list that holds it, before its recorder does */
	Oid			owner;			/* of the execution */
	bool		waits;			/* std.mistral_http: somebody completes the action later */
	bool		mail;			/* std.email: `body` is a message for an SMTP server */

	/* What is asked. */
	char	   *method;			/* upper case */
	char	   *url;			/* without userinfo */
	char	   *origin;			/* scheme://host:port, lower case */
	char	   *place;			/* host:port as the input spells it, in the server's encoding */
	char	   *user;			/* of auth or of the URL's userinfo */
	char	   *password;
	char	   *cookies;		/* "name=value; name=value" */
	char	   *body;			/* NULL: none */
	size_t		body_len;
	int			nheaders;
	HttpHeader *headers;
	char	   *proxies[3];		/* for http, for https, for both */
	char	   *mail_from;
	struct curl_slist *recipients;
	bool		follow;
	bool		verify;
	char	   *ca;				/* certificates in PEM form that sign the server's; NULL: those of the system */
	bool		digest;			/* the way of authentication; false: basic */
	int			timeout_ms;		/* for all hops together */
	int			connect_timeout_ms; /* of it, for each connection; 0: no less */
	SecretMask	mask;			/* secrets that are in it */

	/* Under way. */
	CURL	   *easy;
	struct curl_slist *header_list; /* as libcurl keeps it, of the current hop */
	size_t		body_sent;		/* of a message */
	int			host;			/* where http_queue.c counts it */
	int			owner_share;
	int			lane;
	int64		interval_ns;	/* to the next request of its host; 0: any time */
	TimestampTz deadline;
	size_t		held;			/* what executor_claim has counted for it */

	/* What came back. */
	bool		failed;			/* no answer: `failure` says why */
	char		failure[HTTP_FAILURE_LEN];
	char		refused[64];	/* the last address that egress rules refused */
	char		curl_error[CURL_ERROR_SIZE];
	long		status;
	int64		elapsed;		/* microseconds until the last answer's headers were there */
	int			nhops;
	HttpHop		hops[HTTP_MAX_REDIRECTS];
	HttpBuffer	head;			/* status line and header lines of the last answer */
	size_t		head_seen;		/* bytes and lines of all heads, informational ones too */
	int			lines_seen;
	HttpBuffer	content;		/* decoded body of the last answer */
	dlist_node	content_node;	/* in the list of what can be given up, while `content_listed` */
	bool		content_listed;
	HttpBuffer	jar;			/* cookies that are held: "name\tvalue\n" */
} HttpRequest;

/* NULL when there is no memory. */
extern HttpRequest *http_request_new(void);
extern void http_request_free(HttpRequest *request);

/*
 * Notes why there is no answer, in printf's way; only the first reason counts.
 * Neither allocates nor raises; bytes that are not ASCII become '?'.
 */
extern void http_request_fail(HttpRequest *request, const char *format,...) pg_attribute_printf(2, 3);

/*
 * Fills in what is asked from an action's evaluated input, the engine's own
 * headers and the task's timeout in seconds (0: none).  Input that cannot be
 * sent makes the request a failed one.  Raises only for lack of memory.
 */
extern void http_request_build(HttpRequest *request, const Jsonb *input, const Jsonb *headers, int task_timeout);

/*
 * Turns the request into the one that follows a redirect to `url`: the method
 * and body as browsers and Python's requests change them, credentials only for
 * the same origin.  No errors are raised; false: it is a failed request now.
 */
extern bool http_request_redirect(HttpRequest *request, const char *url);

/* The header of that name, in any case, or NULL. */
extern HttpHeader *http_request_find_header(const HttpRequest *request, const char *name);
extern void http_request_drop_header(HttpRequest *request, const char *name);

/* The proxy for the current URL, "" for none. */
extern const char *http_request_proxy(const HttpRequest *request);

/* Bytes that the request holds. */
extern size_t http_request_size(const HttpRequest *request);

/* False when there is no memory.  Safe in callbacks. */
extern bool http_buffer_append(HttpBuffer *buffer, const char *data, size_t len);
extern void http_buffer_reset(HttpBuffer *buffer);	/* frees what it holds */

/* An http or https URL taken apart; see http_url.c. */
typedef struct HttpUrl
{
	char	   *url;			/* without userinfo, unsafe characters escaped; malloc'd */
	char	   *origin;			/* scheme://host:port, lower case; malloc'd */
	char	   *user;			/* of the userinfo, decoded, or NULL; malloc'd */
	char	   *password;
} HttpUrl;

/*
 * Takes a URL apart and adds `query` (may be NULL or empty) to it.  Returns
 * NULL, or what is wrong with it: a constant text.  No errors are raised.
 */
extern const char *http_url_parse(const char *text, const char *query, HttpUrl *parts);
extern void http_url_free(HttpUrl *parts);

/* Appends name=value as form data has it, with & between pairs; false: no memory. */
extern bool http_url_append_pair(HttpBuffer *form, const char *name, const char *value);

#endif							/* MISTRAL_HTTP_REQUEST_H */
