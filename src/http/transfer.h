/*
 * transfer.h
 *		One request under way: what is asked, what came back, and each of its
 *		hops with libcurl.
 */
#ifndef MISTRAL_HTTP_TRANSFER_H
#define MISTRAL_HTTP_TRANSFER_H

#include "base/http_wire.h"
#include "http/curl.h"

typedef struct Header
{
	const char *name;
	const char *value;			/* NULL: the header that libcurl would add is left out */
	bool		secret;			/* goes to no other origin */
} Header;

/* One answer that redirected. */
typedef struct Hop
{
	long		status;
	char	   *url;
} Hop;

typedef struct Transfer
{
	struct Transfer *next;		/* in the one list that holds it: running, or to be sent */
	struct Transfer *previous;

	/* What is asked; texts lie in `frame` unless it says otherwise. */
	char	   *frame;
	size_t		frame_len;
	int64_t		id;
	uint32_t	owner;			/* a number of the role whose request it is */
	const char *method;			/* upper case */
	char	   *url;			/* without userinfo; malloc'd */
	char	   *origin;			/* scheme://host:port, lower case; malloc'd; NULL: a mail */
	const char *user;
	const char *password;
	const char *cookies;
	const char *body;			/* NULL: none */
	size_t		body_len;
	bool		body_secret;	/* goes to no other origin */
	int			nheaders;
	int			maxheaders;
	Header	   *headers;
	const char *proxies[3];		/* for http, for https, for both */
	const char *mail_from;		/* makes it a mail */
	struct curl_slist *recipients;
	bool		follow;
	bool		verify;
	bool		digest;
	bool		repeatable;
	const char *ca;
	int			timeout_ms;		/* for all hops together */
	int			connect_timeout_ms; /* of it, for each connection; 0: no less */

	/* Under way. */
	CURL	   *easy;
	struct curl_slist *header_list; /* as libcurl keeps it, of the current hop */
	size_t		body_sent;		/* of a message */
	int64_t		deadline;		/* monotonic ms */
	bool		doubtful;		/* it may share a connection on which an answer did not come in time */

	/* What came back. */
	bool		failed;			/* no answer: `failure` says why */
	char		failure[HTTP_FAILURE_LEN];
	char		refused[96];	/* the last address that egress rules refused */
	char		curl_error[CURL_ERROR_SIZE];
	long		status;
	int64_t		elapsed;		/* microseconds until the last answer's headers were there */
	int			nhops;
	Hop			hops[HTTP_MAX_REDIRECTS];
	PlainBuffer head;			/* status line and header lines of the last answer */
	size_t		head_seen;		/* bytes and lines of all heads, informational ones too */
	int			lines_seen;
	PlainBuffer content;		/* decoded body of the last answer */
	PlainBuffer jar;			/* cookies that are held: "name\tvalue\n" */

	/* On its way to the worker. */
	PlainBuffer answer;			/* the frame up to the content */
} Transfer;

/* Takes over the egress rules; false without memory. */
extern bool transfer_set_rules(const char *allow, const char *deny, int own_port);

/* Of a request frame's body, which is copied.  NULL without memory, or for what is no request. */
extern Transfer *transfer_new(const char *body, size_t len);
extern void transfer_free(Transfer *transfer);

/*
 * Notes why there is no answer, in printf's way; only the first reason counts.
 * Bytes that are not ASCII become '?'.
 */
extern void transfer_fail(Transfer *transfer, const char *format,...) __attribute__((format(printf, 2, 3)));

/*
 * Makes or resets `easy` for the hop that the request describes now.  False: it
 * is a failed request, and `easy` may be NULL.
 */
extern bool transfer_prepare(Transfer *transfer);

/*
 * The hop has ended with this code (its handle is in no multi handle any more).
 * True: it was redirected, and the next hop is prepared.  False: the request
 * has ended, with an answer or a failure in it.
 */
extern bool transfer_ended(Transfer *transfer, CURLcode code);

/* Frees libcurl's part of the request. */
extern void transfer_release(Transfer *transfer);

extern int64_t monotonic_ms(void);

/* An option that cannot be set is lack of memory or a libcurl built without it: the function that uses this returns false. */
#define SET(option, value) \
	do { \
		if (curl_easy_setopt(transfer->easy, option, value) != CURLE_OK) \
		{ \
			transfer_fail(transfer, "libcurl refused " #option); \
			return false; \
		} \
	} while (0)

#endif							/* MISTRAL_HTTP_TRANSFER_H */
