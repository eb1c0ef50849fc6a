/*
 * http_rate.h
 *		How often a host may be asked: mistral.http_rate_limits.
 */
#ifndef MISTRAL_HTTP_RATE_H
#define MISTRAL_HTTP_RATE_H

#include "postgres.h"

/* Whether it is a list of host=rate, separated by commas; `bad` is the element that is not (palloc'd). */
extern bool http_rate_list_valid(const char *list, char **bad);

/* Nanoseconds between two requests to "host:port" (lower case); 0: no limit. */
extern int64 http_rate_interval(const char *host);

#endif							/* MISTRAL_HTTP_RATE_H */
