/*
 * http_pool.h
 *		The requests under way: libcurl's multi handle, one descriptor to wait
 *		for, and the limit in all.
 */
#ifndef MISTRAL_HTTP_POOL_H
#define MISTRAL_HTTP_POOL_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "executor/http_request.h"

/* Makes the multi handle and its descriptors; raises when one cannot be made. */
extern void http_pool_start(void);

/* Ends and frees every request and what http_pool_start made. */
extern void http_pool_shutdown(void);

/*
 * Takes the request over: it is started now, or when http_queue.c lets it.  One
 * that has failed already is only passed on to the finished ones.  After http_egress_refresh() and
 * http_pool_limit(), with the signals blocked.
 */
extern void http_pool_add(HttpRequest *request);

/* Readable when http_pool_drive has something to do. */
extern int	http_pool_fd(void);

/* Lets libcurl do what can be done without waiting. */
extern void http_pool_drive(void);

/* The finished request that has waited longest, or NULL; the caller's from then on. */
extern HttpRequest *http_pool_take(void);

/* Makes the descriptor readable at that time, or an earlier one that is asked for before it comes. */
extern void http_pool_wake_at(TimestampTz when);

/* Requests that the pool holds: started, waiting for their host, or finished and not taken. */
extern int	http_pool_held(void);

/* Requests that may run at once: mistral.http_max_connections, or fewer where descriptors are short. */
extern int	http_pool_limit(void);

#endif							/* MISTRAL_HTTP_POOL_H */
