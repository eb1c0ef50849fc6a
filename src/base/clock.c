/*
 * clock.c
 *		The wall clock, or the time that a superuser's session has set for a test.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "guc.h"

TimestampTz
clock_now(void)
{
	if (guc_fake_now != NULL && guc_fake_now[0] != '\0')
		return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
													   CStringGetDatum(guc_fake_now),
													   ObjectIdGetDatum(InvalidOid),
													   Int32GetDatum(-1)));
	return GetCurrentTimestamp();
}
