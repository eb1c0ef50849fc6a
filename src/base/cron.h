/*
 * cron.h
 *		Cron patterns: reading them, and when the next slot is.
 *
 * The fields are croniter's, which the original uses: minute, hour, day of the
 * month, month, day of the week, and, if there is a sixth, second.  A slot is an
 * instant at which a pattern fires.  Pure: no tables, no clock.
 */
#ifndef MISTRAL_CRON_H
#define MISTRAL_CRON_H

#include "postgres.h"

#include "pgtime.h"
#include "utils/timestamp.h"

typedef struct CronPattern
{
	uint64		seconds;		/* bit n: second n */
	uint64		minutes;
	uint32		hours;
	uint32		days;			/* bit n: day n of the month */
	uint32		months;			/* bit n: month n */
	uint32		weekdays;		/* bit n: day n of the week, 0 is Sunday */
	uint8		nth[7];			/* per day of the week, bit n: its n-th in the month */
	uint8		last;			/* bit n: the last such day of the month */
	bool		last_day;		/* the last day of the month */
	bool		any_day;		/* the day of the month does not matter */
	bool		any_weekday;
	bool		has_nth;		/* nth or last count instead of weekdays */
	bool		has_seconds;
	bool		elapsed;		/* hours go by elapsed time: see cron_next */
} CronPattern;

/*
 * Reads a pattern of five or six fields, or a name like @daily.  False when it
 * is none, and *error (in the current memory context) says why.
 */
extern bool cron_parse(const char *text, CronPattern *pattern, char **error);

/*
 * The first slot after `after`, by the wall clock of the time zone; DT_NOEND
 * when there is none within 50 years.
 *
 * Where clocks go forward, a slot in the hour that is left out is at the moment
 * of the change; where they go back, a slot in the hour that comes twice is in
 * its first pass only.  A pattern whose hours begin with * goes by elapsed time
 * instead: it has no slot in the hour left out, and slots in both passes.
 */
extern TimestampTz cron_next(const CronPattern *pattern, pg_tz *zone, TimestampTz after);

#endif							/* MISTRAL_CRON_H */
