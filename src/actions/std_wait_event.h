/*
 * std_wait_event.h
 *		std.wait_event: what is waited for.
 */
#ifndef MISTRAL_STD_WAIT_EVENT_H
#define MISTRAL_STD_WAIT_EVENT_H

#include "postgres.h"

#include "utils/jsonb.h"

/* NULL when the values of the input are what the action takes, else what is wrong, in the current memory context. */
extern char *wait_event_check(const Jsonb *input);

/* How many seconds before the action began an event may have come; negative: not given. */
extern double wait_event_lookback(const Jsonb *input);

#endif							/* MISTRAL_STD_WAIT_EVENT_H */
