/*
 * cron.c
 *		Cron patterns: reading them, and when the next slot is.
 *
 * A slot is looked for from instant to instant: whatever field does not fit
 * says how far to go at least, and no step passes a change of the zone's
 * offset, which is looked at by itself.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datetime.h"

#include "base/cron.h"

#define MAX_PATTERN		256		/* characters */
#define MAX_YEARS		50		/* between two slots, as croniter's */
#define SECONDS_A_DAY	86400

typedef enum CronField
{
	FIELD_MINUTE,
	FIELD_HOUR,
	FIELD_DAY,
	FIELD_MONTH,
	FIELD_WEEKDAY,
	FIELD_SECOND
} CronField;

static const struct
{
	const char *name;
	int			min;
	int			max;
	int			all;			/* so many different values are no restriction */
}			fields[] = {
	{"minute", 0, 59, 60},
	{"hour", 0, 23, 24},
	{"day of the month", 1, 31, 31},
	{"month", 1, 12, 12},
	{"day of the week", 0, 7, 7},
	{"second", 0, 59, 60}
};

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct
{
	const char *name;
	const char *pattern;
}			aliases[] = {
	{"@midnight", "0 0 * * *"}, {"@daily", "0 0 * * *"}, {"@hourly", "0 * * * *"}, {"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}
};

/* One field under way. */
typedef struct FieldReader
{
	CronField	field;
	CronPattern *pattern;
	const char *text;			/* of the whole field, for messages */
	uint64		values;
	bool		star;			/* an item was a bare * */
	char	   *error;
} FieldReader;

/* An instant as the zone shows it, with what lies around it. */
typedef struct LocalTime
{
	pg_time_t	instant;		/* seconds since 1970 */
	long		offset;
	int			year;
	int			month;
	int			day;
	int			weekday;
	int			second_of_day;
	bool		second_pass;	/* this local time came before, at another offset */
	pg_time_t	pass_ends;		/* where the second pass is over */
} LocalTime;

static bool read_field(CronPattern *pattern, CronField field, char *text, char **error);
static bool read_item(FieldReader *r, char *item);
static bool read_weekday_item(FieldReader *r, char *item, bool *done);
static bool read_range(FieldReader *r, char *low_text, char *high_text, char *step_text);
static bool read_value(FieldReader *r, const char *text, int *value);
static bool add_value(FieldReader *r, int value);
static bool refuse(FieldReader *r, const char *what);
static void set_field(FieldReader *r);
static bool is_number(const char *text);

static void local_time(pg_time_t instant, pg_tz *zone, LocalTime *local);
static pg_time_t next_change(pg_time_t instant, pg_tz *zone, long *before, long *after);
static bool day_fits(const CronPattern *p, const LocalTime *local);
static bool fits(const CronPattern *p, const LocalTime *local, int *skip);
static bool gap_has_slot(const CronPattern *p, pg_time_t change, long before, long after);
static void civil_time(pg_time_t local_seconds, LocalTime *local);
static int	days_of_month(int year, int month);

/* ---------------------------------------------------------------- reading */

bool
cron_parse(const char *text, CronPattern *pattern, char **error)
{
	char	   *copy;
	char	   *parts[7];
	int			n = 0;
	char	   *save = NULL;

	memset(pattern, 0, sizeof(*pattern));
	if (strlen(text) > MAX_PATTERN)
	{
		*error = psprintf("a pattern has at most %d characters", MAX_PATTERN);
		return false;
	}
	for (int i = 0; i < lengthof(aliases); i++)
	{
		if (pg_strcasecmp(text, aliases[i].name) == 0)
			text = aliases[i].pattern;
	}
	copy = pstrdup(text);
	for (char *c = copy; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	for (char *part = strtok_r(copy, " \t\n\r\f\v", &save); part && n < 7; part = strtok_r(NULL, " \t\n\r\f\v", &save))
		parts[n++] = part;
	if (n != 5 && n != 6)
	{
		*error = psprintf("expected five or six fields, or a name such as @daily, found %s", n > 6 ? "more" : psprintf("%d", n));
		return false;
	}
	pattern->has_seconds = n == 6;
	pattern->seconds = 1;
	for (int i = 0; i < n; i++)
	{
		if (!read_field(pattern, (CronField) i, parts[i], error))
			return false;
	}
	return true;
}

static bool
read_field(CronPattern *pattern, CronField field, char *text, char **error)
{
	FieldReader r = {field, pattern, pstrdup(text)};
	char	   *item = text;

	if (field == FIELD_HOUR)
		pattern->elapsed = text[0] == '*';
	while (item)
	{
		char	   *comma = strchr(item, ',');

		if (comma)
			*comma = '\0';
		if (!read_item(&r, item))
		{
			*error = r.error;
			return false;
		}
		item = comma ? comma + 1 : NULL;
	}
	if (field == FIELD_WEEKDAY && pattern->has_nth && r.values != 0)
	{
		*error = psprintf("days of the week and numbered ones (\"%s\") cannot be mixed", r.text);
		return false;
	}
	set_field(&r);
	return true;
}

/* What the values mean for the pattern; a field with all of its values restricts nothing. */
static void
set_field(FieldReader *r)
{
	CronPattern *p = r->pattern;
	int			n = 0;
	bool		all;

	for (int i = 0; i < 64; i++)
		n += (r->values >> i) & 1;
	all = r->star || n == fields[r->field].all;
	if (all)
		r->values = ~UINT64CONST(0);
	switch (r->field)
	{
		case FIELD_MINUTE:
			p->minutes = r->values;
			break;
		case FIELD_HOUR:
			p->hours = (uint32) r->values;
			break;
		case FIELD_DAY:
			p->days = (uint32) r->values;
			p->any_day = all;
			break;
		case FIELD_MONTH:
			p->months = (uint32) r->values;
			break;
		case FIELD_WEEKDAY:
			p->weekdays = (uint32) r->values;
			p->any_weekday = all && !p->has_nth;
			break;
		case FIELD_SECOND:
			p->seconds = r->values;
			break;
	}
}

/* *, 5, 5-9, 5-9/2, 5/2, * with a step, a name, and what days have besides. */
static bool
read_item(FieldReader *r, char *item)
{
	char	   *step = strchr(item, '/');
	char	   *dash;
	bool		done = false;
	int			value;

	if (r->field == FIELD_WEEKDAY && (!read_weekday_item(r, item, &done) || done))
		return r->error == NULL;
	if (step)
	{
		*step++ = '\0';
		if (!is_number(step) || strlen(step) > 6 || atoi(step) == 0)
			return refuse(r, "a step is a number above 0");
	}
	if (strcmp(item, "*") == 0)
	{
		if (step)
			return read_range(r, NULL, NULL, step);
		r->star = true;
		return true;
	}
	dash = strchr(item, '-');
	if (dash == item)
		return refuse(r, "numbers are not negative");
	if (dash)
	{
		*dash++ = '\0';
		return read_range(r, item, dash, step);
	}
	if (step)
		return read_range(r, item, NULL, step);
	if (r->field == FIELD_DAY && strcmp(item, "l") == 0)
	{
		r->pattern->last_day = true;
		return true;
	}
	return read_value(r, item, &value) && add_value(r, value);
}

/* The third Friday, 5#3 or fri#3, and the last one, L5. */
static bool
read_weekday_item(FieldReader *r, char *item, bool *done)
{
	char	   *number = strchr(item, '#');
	int			value;

	*done = true;
	if (number)
	{
		*number++ = '\0';
		if (!is_number(number) || strlen(number) > 1 || *number < '1' || *number > '5')
			return refuse(r, "the number behind # is from 1 to 5");
		if (!read_value(r, item, &value))
			return false;
		r->pattern->nth[value % 7] |= 1 << (*number - '0');
		r->pattern->has_nth = true;
		return true;
	}
	if (item[0] == 'l' && is_number(item + 1))
	{
		if (!read_value(r, item + 1, &value))
			return false;
		r->pattern->last |= 1 << value % 7;
		r->pattern->has_nth = true;
		return true;
	}
	*done = false;
	return true;
}

/* NULL: from the least, to the greatest value. */
static bool
read_range(FieldReader *r, char *low_text, char *high_text, char *step_text)
{
	int			low = fields[r->field].min;
	int			high = fields[r->field].max;
	int			step = step_text ? atoi(step_text) : 1;

	if (r->field == FIELD_DAY && high_text && strcmp(high_text, "l") == 0)
		high_text = NULL;
	if ((low_text && !read_value(r, low_text, &low)) || (high_text && !read_value(r, high_text, &high)))
		return false;
	/* A week may end with Sunday. */
	if (r->field == FIELD_WEEKDAY && high == 0 && low > 0)
		high = 7;
	if (low > high)
		return refuse(r, "a range goes upward");
	for (int value = low; value <= high; value += step)
	{
		if (!add_value(r, value))
			return false;
	}
	return true;
}

static bool
read_value(FieldReader *r, const char *text, int *value)
{
	const char *const *names = r->field == FIELD_MONTH ? month_names : weekday_names;
	int			nnames = r->field == FIELD_MONTH ? 12 : r->field == FIELD_WEEKDAY ? 7 : 0;

	for (int i = 0; i < nnames; i++)
	{
		if (strcmp(text, names[i]) == 0)
		{
			*value = r->field == FIELD_MONTH ? i + 1 : i;
			return true;
		}
	}
	if (!is_number(text) || strlen(text) > 4)
		return refuse(r, "it is neither a number nor a name");
	*value = atoi(text);
	if (*value < fields[r->field].min || *value > fields[r->field].max)
		return refuse(r, psprintf("values are from %d to %d", fields[r->field].min, fields[r->field].max));
	return true;
}

static bool
add_value(FieldReader *r, int value)
{
	if (r->field == FIELD_WEEKDAY)
		value %= 7;
	r->values |= UINT64CONST(1) << value;
	return true;
}

/* Always false. */
static bool
refuse(FieldReader *r, const char *what)
{
	r->error = psprintf("%s \"%s\": %s", fields[r->field].name, r->text, what);
	return false;
}

static bool
is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* ---------------------------------------------------------------- slots */

TimestampTz
cron_next(const CronPattern *pattern, pg_tz *zone, TimestampTz after)
{
	pg_time_t	from;
	pg_time_t	t;
	pg_time_t	end;

	if (TIMESTAMP_NOT_FINITE(after))
		return DT_NOEND;
	from = timestamptz_to_time_t(after);
	/* timestamptz_to_time_t rounds towards zero. */
	if (time_t_to_timestamptz(from) > after)
		from--;
	end = from + (pg_time_t) MAX_YEARS * 366 * SECONDS_A_DAY;
	for (t = from + 1; t <= end;)
	{
		LocalTime	local;
		pg_time_t	change;
		long		offset_before = 0;
		long		offset_after = 0;
		int			skip = 0;
		pg_time_t	next;

		CHECK_FOR_INTERRUPTS();
		local_time(t, zone, &local);
		if (local.second_pass && !pattern->elapsed)
			next = local.pass_ends;
		else if (fits(pattern, &local, &skip))
			return time_t_to_timestamptz(t);
		else
			next = t + skip;
		change = next_change(t, zone, &offset_before, &offset_after);
		if (change > t && change <= next)
		{
			if (offset_after > offset_before && !pattern->elapsed && change > from &&
				gap_has_slot(pattern, change, offset_before, offset_after))
				return change <= end ? time_t_to_timestamptz(change) : DT_NOEND;
			next = change;
		}
		t = next;
	}
	return DT_NOEND;
}

/* Whether it is a slot; else *skip is a number of seconds without one, by this offset. */
static bool
fits(const CronPattern *p, const LocalTime *local, int *skip)
{
	int			hour = local->second_of_day / 3600;
	int			minute = local->second_of_day / 60 % 60;
	int			second = local->second_of_day % 60;

	if (!(p->months >> local->month & 1))
		*skip = (days_of_month(local->year, local->month) - local->day + 1) * SECONDS_A_DAY - local->second_of_day;
	else if (!day_fits(p, local))
		*skip = SECONDS_A_DAY - local->second_of_day;
	else if (!(p->hours >> hour & 1))
		*skip = 3600 - local->second_of_day % 3600;
	else if (!(p->minutes >> minute & 1))
		*skip = 60 - second;
	else if (!(p->seconds >> second & 1))
		*skip = 1;
	else
		return true;
	return false;
}

/* As cron has it: where both days are restricted, either will do. */
static bool
day_fits(const CronPattern *p, const LocalTime *local)
{
	int			ndays = days_of_month(local->year, local->month);
	bool		day = p->any_day || (p->days >> local->day & 1) || (p->last_day && local->day == ndays);
	bool		weekday = p->any_weekday || (p->weekdays >> local->weekday & 1);

	if (p->has_nth)
		weekday = (p->nth[local->weekday] >> ((local->day - 1) / 7 + 1) & 1) ||
			((p->last >> local->weekday & 1) && local->day + 7 > ndays);
	return p->any_day || p->any_weekday ? day && weekday : day || weekday;
}

/* Whether a slot is among the local times that a change forward leaves out. */
static bool
gap_has_slot(const CronPattern *p, pg_time_t change, long before, long after)
{
	pg_time_t	t = change + before;

	while (t < change + after)
	{
		LocalTime	local = {0};
		int			skip = 0;

		civil_time(t, &local);
		if (fits(p, &local, &skip))
			return true;
		t += skip;
	}
	return false;
}

static void
local_time(pg_time_t instant, pg_tz *zone, LocalTime *local)
{
	pg_time_t	yesterday = instant - SECONDS_A_DAY;
	pg_time_t	change;
	long		before = 0;
	long		after = 0;

	memset(local, 0, sizeof(*local));
	local->instant = instant;
	change = next_change(yesterday, zone, &before, &after);
	local->offset = change > yesterday && change <= instant ? after : before;
	/* Two changes within a day: the last one counts. */
	while (change > yesterday && change <= instant)
	{
		if (after < before && instant < change + (before - after))
		{
			local->second_pass = true;
			local->pass_ends = change + (before - after);
		}
		local->offset = after;
		yesterday = change;
		change = next_change(yesterday, zone, &before, &after);
	}
	civil_time(instant + local->offset, local);
}

static void
civil_time(pg_time_t local_seconds, LocalTime *local)
{
	int64		days = local_seconds / SECONDS_A_DAY;
	int			rest = (int) (local_seconds % SECONDS_A_DAY);
	int			julian;

	if (rest < 0)
	{
		rest += SECONDS_A_DAY;
		days--;
	}
	julian = (int) (days + UNIX_EPOCH_JDATE);
	local->second_of_day = rest;
	local->weekday = j2day(julian);
	j2date(julian, &local->year, &local->month, &local->day);
}

/*
 * The zone's next change of offset after an instant, with the offsets around
 * it; the instant itself, and one offset, when there is none.
 */
static pg_time_t
next_change(pg_time_t instant, pg_tz *zone, long *before, long *after)
{
	pg_time_t	change = instant;
	int			dst_before;
	int			dst_after;
	int			found = pg_next_dst_boundary(&instant, before, &dst_before, &change, after, &dst_after, zone);

	if (found > 0)
		return change;
	*after = *before;
	return instant;
}

static int
days_of_month(int year, int month)
{
	return day_tab[isleap(year)][month - 1];
}
