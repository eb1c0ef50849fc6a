/*
 * pool.h
 *		The requests under way: libcurl's multi handle.
 */
#ifndef MISTRAL_HTTP_POOL_H
#define MISTRAL_HTTP_POOL_H

#include "http/transfer.h"

/* With the epoll descriptor that libcurl's sockets are put into; false when libcurl cannot be used. */
extern bool pool_start(int epoll);

/* Takes the request over and begins it; the clock of its timeout starts here. */
extern void pool_add(Transfer *transfer);

/* How long nothing has to be done unless a socket is ready: ms, -1 for ever. */
extern int	pool_timeout(void);

/* A socket of libcurl's is ready, with epoll's events. */
extern void pool_ready(int fd, unsigned int events);

/* After all of those: what is due by itself, what has ended. */
extern void pool_turn(void);

/* The request that has ended and waited longest, or NULL; the caller's from then on. */
extern Transfer *pool_take(void);

#endif							/* MISTRAL_HTTP_POOL_H */
