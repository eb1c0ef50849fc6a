/*
 * http_queue.h
 *		Requests that wait until their host and their owner have room, or until
 *		a rate allows the next one.
 *
 * Hosts and owners are told apart by hashes: two that share an entry share a
 * limit, which keeps the tables of fixed size and is harmless, for nobody can
 * tell which hosts do.
 */
#ifndef MISTRAL_HTTP_QUEUE_H
#define MISTRAL_HTTP_QUEUE_H

#include "postgres.h"

#include "executor/http_request.h"

/* Makes the tables; raises when there is no memory. */
extern void http_queue_start(void);

/* Frees what waits, and the tables. */
extern void http_queue_shutdown(void);

/* Fills in where the request belongs; before anything else is asked about it. */
extern void http_queue_place(HttpRequest *request);

/* Whether it may start at that time (monotonic, ns), as far as its host, its owner and the rate are concerned. */
extern bool http_queue_may_start(const HttpRequest *request, int64 now);

/* It waits; or it has started, or has ended after it had. */
extern void http_queue_add(HttpRequest *request);
extern void http_queue_started(HttpRequest *request, int64 now);
extern void http_queue_ended(const HttpRequest *request);

/* Starts, while `start` returns true, those that may: lane by lane, each time from another one on. */
extern void http_queue_drain(int64 now, bool (*start) (HttpRequest *request));

/* How many wait; and when a rate allows the next one (-1: none waits for a rate), as of the last drain. */
extern int	http_queue_waiting(void);
extern int64 http_queue_next(void);

/*
 * Of whom so much waits here that no more should come: owners, each for a place (a host as the input spells it;
 * lives as long as its request) or, NULL, for all of them.  At most `max`; how many.
 */
extern int	http_queue_crowded(const char **places, Oid *of, int max);

/* True once after something crowded has got room again. */
extern bool http_queue_relieved(void);

#endif							/* MISTRAL_HTTP_QUEUE_H */
