/*
 * http_response.h
 *		What came back: collected in libcurl's callbacks, read when it is
 *		recorded.
 */
#ifndef MISTRAL_HTTP_RESPONSE_H
#define MISTRAL_HTTP_RESPONSE_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "executor/http_request.h"

/* For libcurl: CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION, with the request as their data. */
extern size_t http_response_on_header(char *data, size_t size, size_t nitems, void *request);
extern size_t http_response_on_body(char *data, size_t size, size_t nitems, void *request);

/* Bytes of all bodies that are held now, which have a limit together. */
extern size_t http_response_held(void);

/* Whether a request, not the one that received something, has been failed since the last call, to make room. */
extern bool http_response_gave_up(void);

/* The request has ended: what stays until it is recorded is only what is needed then. */
extern void http_response_ended(HttpRequest *request);

/* Forgets what the last hop answered, before the next one or when the request ends. */
extern void http_response_clear(HttpRequest *request);

/*
 * The result of an action as the workflow sees it, in the current memory
 * context, and whether it is a failure.  In a transaction; raises only what
 * ends the process or lacks memory: nothing that a server answered can make it
 * fail.
 */
extern Jsonb *http_response_result(HttpRequest *request, bool *failed);

#endif							/* MISTRAL_HTTP_RESPONSE_H */
