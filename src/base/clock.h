/*
 * clock.h
 *		The one source of time for everything that is stored or compared.
 *
 * Two clocks: the wall's says when something happened and when a cron trigger
 * fires; the steady one says how long something takes, and does not follow when
 * an administrator, or the network, sets the wall's.
 */
#ifndef MISTRAL_CLOCK_H
#define MISTRAL_CLOCK_H

#include "postgres.h"

#include "portability/instr_time.h"
#include "utils/timestamp.h"

/* The wall clock now, or mistral.fake_now when that is set. */
extern TimestampTz clock_now(void);

/*
 * The time that timers and leases go by: clock_steady(), or mistral.fake_now
 * when that is set.
 */
extern TimestampTz clock_timers(void);

/*
 * The wall clock as it was when the server was started, and what has passed
 * since, sleep of the machine included: the same in all processes of a server
 * that preloads the library.
 */
extern TimestampTz clock_steady(void);

/* How long something has taken that began at `start`, by INSTR_TIME_SET_CURRENT: ms. */
static inline double
clock_ms_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* Notes the two clocks; from _PG_init, so that all processes inherit it from the postmaster. */
extern void clock_init(void);

#endif							/* MISTRAL_CLOCK_H */
