/*
 * http_request.h
 *		One HTTP action from its claim to its record: what is asked, what came
 *		back.
 *
 * Everything here is malloc'd: it outlives transactions and their memory
 * contexts.  http_request_free() ends it.
 */
#ifndef MISTRAL_HTTP_REQUEST_H
#define MISTRAL_HTTP_REQUEST_H

#include "postgres.h"

#include "lib/ilist.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/http_wire.h"
#include "executor/io_program.h"
#include "executor/recorder.h"
#include "executor/secret_mask.h"

#define HTTP_DEFAULT_TIMEOUT_MS	60000
#define HTTP_MAX_TIMEOUT_MS		(7 * 24 * 3600 * 1000)

/* Bytes with a NUL behind them, in an answer; NULL: none. */
typedef struct HttpBytes
{
	const char *data;
	size_t		len;
} HttpBytes;

typedef struct HttpHeader
{
	char	   *name;
	char	   *value;			/* NULL: the header that libcurl would add is left out */
} HttpHeader;

/* One answer that redirected. */
typedef struct HttpHop
{
	int			status;
	const char *url;
} HttpHop;

typedef struct HttpRequest
{
	Attempt		attempt;		/* which one of which action this is; first */
	dlist_node	node;			/* in the one list that holds it, before its recorder does */
	int64		id;				/* what the program knows it by */
	Oid			owner;			/* of the execution */
	bool		waits;			/* std.mistral_http: somebody completes the action later */
	bool		mail;			/* std.email: `body` is a message for an SMTP server */

	/* What is asked; but for the places it is gone when the frame is there. */
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
	int			nrecipients;
	char	  **recipients;
	bool		follow;
	bool		verify;
	char	   *ca;				/* certificates in PEM form that sign the server's; NULL: those of the system */
	bool		digest;			/* the way of authentication; false: basic */
	int			timeout_ms;		/* for all hops together */
	int			connect_timeout_ms; /* of it, for each connection; 0: no less */
	SecretMask	mask;			/* secrets that are in it */
	IoFrame    *frame;			/* it, for the program */

	/* Where http_queue.c counts it. */
	int			host;
	int			owner_share;
	int			lane;
	int64		interval_ns;	/* to the next request of its host; 0: any time */
	size_t		held;			/* what executor_claim has counted for it */

	/* What came back; texts lie in `answer`. */
	bool		failed;			/* no answer: `failure` says why */
	char		failure[HTTP_FAILURE_LEN];
	char	   *answer;
	size_t		answer_len;
	const char *final_url;
	long		status;
	int64		elapsed;		/* microseconds until the last answer's headers were there */
	int			nhops;
	HttpHop		hops[HTTP_MAX_REDIRECTS];
	HttpBytes	head;			/* status line and header lines of the last answer */
	HttpBytes	content;		/* decoded body of the last answer */
	HttpBytes	jar;			/* cookies that are held: "name\tvalue\n" */
} HttpRequest;

/* Raises when there is no memory. */
extern HttpRequest *http_request_new(void);
extern void http_request_free(HttpRequest *request);

/*
 * Notes why there is no answer, in printf's way; only the first reason counts.
 * Bytes that are not ASCII become '?'.
 */
extern void http_request_fail(HttpRequest *request, const char *format,...) pg_attribute_printf(2, 3);

/*
 * Fills in what is asked from an action's evaluated input, the engine's own
 * headers and the task's timeout in seconds (0: none).  Input that cannot be
 * sent makes the request a failed one.  Raises only for lack of memory.
 */
extern void http_request_build(HttpRequest *request, const Jsonb *input, const Jsonb *headers, int task_timeout);

/* The header of that name, in any case, or NULL. */
extern HttpHeader *http_request_find_header(const HttpRequest *request, const char *name);
extern void http_request_drop_header(HttpRequest *request, const char *name);

/* Makes the frame of what is asked, which is freed then; a failed request has none.  Raises for lack of memory. */
extern void http_request_pack(HttpRequest *request);

/* Reads an answer's fields, and copies it; false when it cannot be understood. */
extern bool http_request_answer(HttpRequest *request, const char *body, size_t len);

/* Bytes of all answers that are held now. */
extern size_t http_request_answers_held(void);

/* Drops what came back. */
extern void http_request_clear(HttpRequest *request);

#endif							/* MISTRAL_HTTP_REQUEST_H */
