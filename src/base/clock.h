/*
 * clock.h
 *		The one source of time for everything that is stored or compared.
 */
#ifndef MISTRAL_CLOCK_H
#define MISTRAL_CLOCK_H

#include "postgres.h"

#include "utils/timestamp.h"

/* The wall clock now, or mistral.fake_now when that is set. */
extern TimestampTz clock_now(void);

#endif							/* MISTRAL_CLOCK_H */
