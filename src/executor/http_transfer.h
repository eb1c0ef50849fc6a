/*
 * http_transfer.h
 *		One hop of one request with libcurl: how it is set up, what it means
 *		when it ends.
 *
 * Called with signals blocked (see http_curl.h), so nothing here raises or
 * allocates in a memory context.
 */
#ifndef MISTRAL_HTTP_TRANSFER_H
#define MISTRAL_HTTP_TRANSFER_H

#include "postgres.h"

#include "executor/http_request.h"

/* An option that cannot be set is lack of memory or a libcurl built without it: the function that uses this returns false. */
#define HTTP_SET_OPTION(request, option, value) \
	do { \
		if (curl_easy_setopt((request)->easy, option, value) != CURLE_OK) \
		{ \
			http_request_fail(request, "libcurl refused " #option); \
			return false; \
		} \
	} while (0)

/*
 * Makes or resets request->easy for the hop that the request describes now.
 * False: it is a failed request, and request->easy may be NULL.
 */
extern bool http_transfer_prepare(HttpRequest *request);

/*
 * The hop has ended with this code (its handle is in no multi handle any more).
 * True: it was redirected, and the next hop is prepared.  False: the request
 * has ended, with an answer or a failure in it.
 */
extern bool http_transfer_ended(HttpRequest *request, CURLcode code);

/* Frees libcurl's part of the request. */
extern void http_transfer_free(HttpRequest *request);

#endif							/* MISTRAL_HTTP_TRANSFER_H */
