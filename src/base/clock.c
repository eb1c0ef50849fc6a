/*
 * clock.c
 *		The wall clock, or the time that a superuser's session has set for a test,
 *		and a clock that nobody sets.
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "guc.h"

/* Elapsed time goes on while the machine sleeps, where the system can tell. */
#ifdef CLOCK_BOOTTIME
#define ELAPSED_CLOCK CLOCK_BOOTTIME
#else
#define ELAPSED_CLOCK CLOCK_MONOTONIC
#endif

/* What the wall clock was ahead of elapsed time, in microseconds. */
static TimestampTz steady_offset;

static TimestampTz elapsed(void);
static bool is_fake(void);

void
clock_init(void)
{
	steady_offset = GetCurrentTimestamp() - elapsed();
}

TimestampTz
clock_now(void)
{
	if (is_fake())
		return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
													   CStringGetDatum(guc_fake_now),
													   ObjectIdGetDatum(InvalidOid),
													   Int32GetDatum(-1)));
	return GetCurrentTimestamp();
}

TimestampTz
clock_timers(void)
{
	return is_fake() ? clock_now() : clock_steady();
}

TimestampTz
clock_steady(void)
{
	return steady_offset + elapsed();
}

static TimestampTz
elapsed(void)
{
	struct timespec now;

	clock_gettime(ELAPSED_CLOCK, &now);
	return (TimestampTz) now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

static bool
is_fake(void)
{
	return guc_fake_now != NULL && guc_fake_now[0] != '\0';
}
