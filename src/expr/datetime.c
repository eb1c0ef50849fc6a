/*
 * datetime.c
 *		Python's datetime and timedelta: parts, arithmetic, text forms.
 *
 * A datetime is the reading of a local clock and that clock's offset; days are
 * counted in the proleptic Gregorian calendar, years 1 to 9999.
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "base/clock.h"
#include "expr/value_internal.h"

#define DAY INT64CONST(86400000000)

/* Microseconds from 1970 to PostgreSQL's epoch. */
#define POSTGRES_EPOCH INT64CONST(946684800000000)

int64
days_from_civil(int year, int month, int day)
{
	int64		y = month <= 2 ? (int64) year - 1 : year;
	int64		era = (y >= 0 ? y : y - 399) / 400;
	int64		yoe = y - era * 400;
	int64		doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64		doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

static void
civil_from_days(int64 days, DateParts *parts)
{
	int64		z = days + 719468;
	int64		era = (z >= 0 ? z : z - 146096) / 146097;
	int64		doe = z - era * 146097;
	int64		yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64		doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64		mp = (5 * doy + 2) / 153;

	parts->day = doy - (153 * mp + 2) / 5 + 1;
	parts->month = mp < 10 ? mp + 3 : mp - 9;
	parts->year = yoe + era * 400 + (parts->month <= 2);
	parts->weekday = ((days + 3) % 7 + 7) % 7;
}

static int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

void
datetime_parts(const Value *dt, DateParts *parts)
{
	int64		days = floor_div(dt->u.datetime.local, DAY);
	int64		rest = dt->u.datetime.local - days * DAY;

	civil_from_days(days, parts);
	parts->microsecond = rest % 1000000;
	rest /= 1000000;
	parts->second = rest % 60;
	parts->minute = rest / 60 % 60;
	parts->hour = rest / 3600;
}

static Value
datetime_of(int64 local, int offset)
{
	Value		dt = {.kind = VALUE_DATETIME};

	if (local < days_from_civil(1, 1, 1) * DAY || local >= days_from_civil(10000, 1, 1) * DAY)
		expr_fail("a date is outside of the years 1 to 9999");
	dt.u.datetime.local = local;
	dt.u.datetime.offset = offset;
	return dt;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)))
		return 29;
	return days[month - 1];
}

Value
datetime_build(int year, int month, int day, int hour, int minute, int second, int microsecond, int offset)
{
	int64		seconds;

	if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
		microsecond < 0 || microsecond > 999999)
		expr_fail("a part of a date is out of range");
	if (offset <= -86400 || offset >= 86400)
		expr_fail("the offset of a clock is a day or more");
	seconds = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
	return datetime_of(seconds * 1000000 + microsecond, offset);
}

Value
datetime_now(int offset)
{
	return datetime_of(clock_now() + POSTGRES_EPOCH + (int64) offset * 1000000, offset);
}

Value
datetime_from_timestamp(double seconds, int offset)
{
	if (!(fabs(seconds) < 1e12))
		expr_fail("a timestamp is out of range");
	return datetime_of((int64) rint(seconds * 1e6) + (int64) offset * 1000000, offset);
}

int64
datetime_utc(const Value *dt)
{
	return dt->u.datetime.local - (int64) dt->u.datetime.offset * 1000000;
}

Value
datetime_shift(const Value *dt, int64 microseconds)
{
	Value		shifted = datetime_of(dt->u.datetime.local + microseconds, dt->u.datetime.offset);

	shifted.flags = dt->flags;
	return shifted;
}

static void
append_offset(StringInfo out, int offset, const char *colon)
{
	int			rest = abs(offset);

	appendStringInfo(out, "%c%02d%s%02d", offset < 0 ? '-' : '+', rest / 3600, colon, rest / 60 % 60);
	if (rest % 60)
		appendStringInfo(out, "%s%02d", colon, rest % 60);
}

void
datetime_str(StringInfo out, const Value *dt)
{
	DateParts	p;

	datetime_parts(dt, &p);
	appendStringInfo(out, "%04d-%02d-%02d", p.year, p.month, p.day);
	if (dt->flags & VALUE_F_DATE)
		return;
	appendStringInfo(out, " %02d:%02d:%02d", p.hour, p.minute, p.second);
	if (p.microsecond)
		appendStringInfo(out, ".%06d", p.microsecond);
	if (!(dt->flags & VALUE_F_NAIVE))
		append_offset(out, dt->u.datetime.offset, ":");
}

void
datetime_repr(StringInfo out, const Value *dt)
{
	DateParts	p;

	datetime_parts(dt, &p);
	if (dt->flags & VALUE_F_DATE)
	{
		appendStringInfo(out, "datetime.date(%d, %d, %d)", p.year, p.month, p.day);
		return;
	}
	appendStringInfo(out, "datetime.datetime(%d, %d, %d, %d, %d", p.year, p.month, p.day, p.hour, p.minute);
	if (p.second || p.microsecond)
		appendStringInfo(out, ", %d", p.second);
	if (p.microsecond)
		appendStringInfo(out, ", %d", p.microsecond);
	if (!(dt->flags & VALUE_F_NAIVE))
	{
		if (dt->u.datetime.offset == 0)
			appendStringInfoString(out, ", tzinfo=tzutc()");
		else
			appendStringInfo(out, ", tzinfo=tzoffset(None, %d)", dt->u.datetime.offset);
	}
	appendStringInfoChar(out, ')');
}

/* As it is stored: without the zone.  A date without a time has no stored form, as in the original. */
void
datetime_stored(StringInfo out, const Value *dt)
{
	DateParts	p;

	if (dt->flags & VALUE_F_DATE)
		expr_fail("a date without a time cannot be stored as JSON");
	datetime_parts(dt, &p);
	appendStringInfo(out, "%d-%02d-%02dT%02d:%02d:%02d.%06d", p.year, p.month, p.day,
					 p.hour, p.minute, p.second, p.microsecond);
}

void
timespan_str(StringInfo out, const Value *ts)
{
	int64		days = floor_div(ts->u.timespan, DAY);
	int64		rest = ts->u.timespan - days * DAY;
	int			seconds = rest / 1000000;

	if (days)
		appendStringInfo(out, INT64_FORMAT " day%s, ", days, days == 1 || days == -1 ? "" : "s");
	appendStringInfo(out, "%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
	if (rest % 1000000)
		appendStringInfo(out, ".%06d", (int) (rest % 1000000));
}

void
timespan_repr(StringInfo out, const Value *ts)
{
	int64		days = floor_div(ts->u.timespan, DAY);
	int64		rest = ts->u.timespan - days * DAY;
	const char *comma = "";

	appendStringInfoString(out, "datetime.timedelta(");
	if (days)
	{
		appendStringInfo(out, "days=" INT64_FORMAT, days);
		comma = ", ";
	}
	if (rest / 1000000)
	{
		appendStringInfo(out, "%sseconds=%d", comma, (int) (rest / 1000000));
		comma = ", ";
	}
	if (rest % 1000000)
		appendStringInfo(out, "%smicroseconds=%d", comma, (int) (rest % 1000000));
	else if (ts->u.timespan == 0)
		appendStringInfoChar(out, '0');
	appendStringInfoChar(out, ')');
}

/* Python's strftime in the C locale. */
Value
datetime_format(const Value *dt, const char *format, int len)
{
	StringInfoData out;
	DateParts	p;
	struct tm	tm = {0};
	const char *end = format + len;

	datetime_parts(dt, &p);
	tm.tm_year = p.year - 1900;
	tm.tm_mon = p.month - 1;
	tm.tm_mday = p.day;
	tm.tm_hour = p.hour;
	tm.tm_min = p.minute;
	tm.tm_sec = p.second;
	tm.tm_wday = (p.weekday + 1) % 7;
	tm.tm_yday = days_from_civil(p.year, p.month, p.day) - days_from_civil(p.year, 1, 1);
	tm.tm_isdst = -1;
	initStringInfo(&out);
	while (format < end)
	{
		char		one[4] = {0};
		char		buf[100];
		int			n = 2;

		expr_tick();
		expr_reserve(out.len);
		if (*format != '%' || format + 1 == end)
		{
			appendStringInfoChar(&out, *format++);
			continue;
		}
		if (strchr("EO_-0^#", format[1]) != NULL && format[1] != '\0' && format + 2 < end)
			n = 3;
		memcpy(one, format, n);
		format += n;
		if (strcmp(one, "%f") == 0)
			appendStringInfo(&out, "%06d", p.microsecond);
		else if (strcmp(one, "%z") == 0)
		{
			if (!(dt->flags & VALUE_F_NAIVE))
				append_offset(&out, dt->u.datetime.offset, "");
		}
		else if (strcmp(one, "%Z") == 0)
		{
			if (!(dt->flags & VALUE_F_NAIVE) && dt->u.datetime.offset == 0)
				appendStringInfoString(&out, "UTC");
		}
		else if (strcmp(one, "%s") == 0)
			/* The clock that is shown counts as the machine's, which is on Greenwich time. */
			appendStringInfo(&out, INT64_FORMAT, floor_div(dt->u.datetime.local, 1000000));
		else if (strftime(buf, sizeof(buf), one, &tm) > 0)
			appendStringInfoString(&out, buf);
	}
	return value_text(&out);
}
