/*
 * http_pool.h
 *		The requests under way: those that the program mistral_http has, those
 *		that wait for it, and the limit in all.
 *
 * The program is started with the first request, and again when it has died and
 * there is something to send.  It stays until http_pool_shutdown: a database that
 * sends nothing has none.
 */
#ifndef MISTRAL_HTTP_POOL_H
#define MISTRAL_HTTP_POOL_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "executor/http_request.h"

/* Makes the descriptor and the tables; raises when one cannot be made. */
extern void http_pool_start(void);

/* Ends the program and frees every request. */
extern void http_pool_shutdown(void);

/*
 * Takes the request over: it is given to the program now, or when http_queue.c
 * lets it.  One that has failed already is only passed on to the finished ones.
 */
extern void http_pool_add(HttpRequest *request);

/* Readable when http_pool_drive has something to do; and when it has at the latest, 0: no such time. */
extern int	http_pool_fd(void);
extern TimestampTz http_pool_next(void);

/* Sends and receives what can be without waiting; starts the program. */
extern void http_pool_drive(TimestampTz now);

/* The finished request that has waited longest, or NULL; the caller's from then on. */
extern HttpRequest *http_pool_take(void);

/* One that the program has taken with it when it died, or NULL: nobody knows what became of it. */
extern HttpRequest *http_pool_take_lost(void);

/* Requests that the pool holds: started, waiting for their host, finished and not taken, or lost. */
extern int	http_pool_held(void);

/* Requests that may run at once: mistral.http_max_connections, or fewer where descriptors are short. */
extern int	http_pool_limit(void);

#endif							/* MISTRAL_HTTP_POOL_H */
