/*
 * strptime.c
 *		Times from text by a format.
 *
 * As in Python the format becomes a regular expression, with a group for each
 * directive: so digits without separators are shared out as they are there.
 */
#include "postgres.h"

#include <ctype.h>

#include "expr/regex.h"
#include "expr/value_internal.h"

#define MAX_DIRECTIVES 64

/* The names, as alternatives and in the order of what they mean. */
static const char month_names[] = "january|february|march|april|may|june|july|august|september|october|november|december";
static const char day_names[] = "monday|tuesday|wednesday|thursday|friday|saturday|sunday";
static const char short_months[] = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec";
static const char short_days[] = "mon|tue|wed|thu|fri|sat|sun";

/* What each directive matches: one group. */
static const struct
{
	char		directive;
	const char *pattern;
}			directives[] = {
	{'d', "3[0-1]|[1-2][0-9]|0[1-9]|[1-9]| [1-9]"},
	{'f', "[0-9]{1,6}"},
	{'H', "2[0-3]|[0-1][0-9]|[0-9]"},
	{'I', "1[0-2]|0[1-9]|[1-9]"},
	{'G', "[0-9]{4}"},
	{'j', "36[0-6]|3[0-5][0-9]|[1-2][0-9][0-9]|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]"},
	{'m', "1[0-2]|0[1-9]|[1-9]"},
	{'M', "[0-5][0-9]|[0-9]"},
	{'S', "6[0-1]|[0-5][0-9]|[0-9]"},
	{'U', "5[0-3]|[0-4][0-9]|[0-9]"},
	{'W', "5[0-3]|[0-4][0-9]|[0-9]"},
	{'w', "[0-6]"},
	{'u', "[1-7]"},
	{'V', "5[0-3]|0[1-9]|[1-4][0-9]|[0-9]"},
	{'y', "[0-9]{2}"},
	{'Y', "[0-9]{4}"},
	{'z', "[+-][0-9]{2}:?[0-5][0-9](?::?[0-5][0-9](?:\\.[0-9]{1,6})?)?|(?-i:Z)"},
	{'A', day_names},
	{'a', short_days},
	{'B', month_names},
	{'b', short_months},
	{'p', "am|pm"},
	{'Z', "utc|gmt"}
};

/* Directives that stand for others. */
static const struct
{
	char		directive;
	const char *format;
}			compounds[] = {
	{'c', "%a %b %d %H:%M:%S %Y"}, {'x', "%m/%d/%y"}, {'X', "%H:%M:%S"}
};

typedef struct Format
{
	StringInfoData pattern;
	int			ngroups;
	char		groups[MAX_DIRECTIVES]; /* the directive of each group */
} Format;

/* What the text said; -1 where it said nothing. */
typedef struct Fields
{
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				microsecond,
				weekday,		/* Monday is 0 */
				yearday,
				week,
				iso_year,
				iso_week,
				zone;			/* seconds */
	bool		week_from_sunday;
	bool		pm;
} Fields;

static void translate_format(Format *format, const char *f, const char *end);

static void
translate_directive(Format *format, char d)
{
	for (int i = 0; i < lengthof(compounds); i++)
	{
		if (compounds[i].directive == d)
		{
			translate_format(format, compounds[i].format, compounds[i].format + strlen(compounds[i].format));
			return;
		}
	}
	if (d == '%')
	{
		appendStringInfoChar(&format->pattern, '%');
		return;
	}
	for (int i = 0; i < lengthof(directives); i++)
	{
		if (directives[i].directive != d)
			continue;
		if (memchr(format->groups, d, format->ngroups) != NULL)
			expr_fail("\"%%%c\" stands twice in a time's format", d);
		/* Each of them once: there is room. */
		format->groups[format->ngroups++] = d;
		appendStringInfo(&format->pattern, "(%s)", directives[i].pattern);
		return;
	}
	expr_fail("\"%%%c\" is not a directive of a time's format", d);
}

static void
translate_format(Format *format, const char *f, const char *end)
{
	while (f < end)
	{
		int			n = char_length(f, end);

		if (*f == '%')
		{
			if (f + 1 == end)
				expr_fail("a time's format ends with \"%%\"");
			translate_directive(format, f[1]);
			f += 2;
		}
		else if (char_is_space(f, n))
		{
			while (f < end && char_is_space(f, char_length(f, end)))
				f += char_length(f, end);
			appendStringInfoString(&format->pattern, "\\s+");
		}
		else
		{
			if (strchr("\\.^$*+?(){}[]|", *f) != NULL)
				appendStringInfoChar(&format->pattern, '\\');
			appendBinaryStringInfo(&format->pattern, f, n);
			f += n;
		}
	}
}

/* The place of a word among names that are separated by bars. */
static int
place_of(const char *word, int len, const char *names)
{
	for (int i = 0;; i++)
	{
		int			n = strcspn(names, "|");

		if (n == len && pg_strncasecmp(word, names, n) == 0)
			return i;
		if (names[n] == '\0')
			return -1;
		names += n + 1;
	}
}

/* +HHMM, +HH:MM, with seconds in the same form, or Z; what is below seconds is dropped. */
static int
zone_seconds(const char *s, int len)
{
	int			fields[3] = {0};
	bool		colons = len > 3 && s[3] == ':';
	const char *end = s + len;
	const char *p = s + 1;

	if (*s == 'Z')
		return 0;
	for (int i = 0; i < 3 && p < end; i++)
	{
		if (i > 0 && (*p == ':') != colons)
			expr_fail("an offset has colons at some places only");
		p += i > 0 && colons;
		fields[i] = (p[0] - '0') * 10 + p[1] - '0';
		p += 2;
	}
	return (*s == '-' ? -1 : 1) * ((fields[0] * 60 + fields[1]) * 60 + fields[2]);
}

static void
set_field(Fields *fields, char directive, const char *s, int len)
{
	int			value = 0;

	for (int i = *s == ' ' ? 1 : 0; i < len && isdigit((unsigned char) s[i]); i++)
		value = value * 10 + (s[i] - '0');
	switch (directive)
	{
		case 'Y':
			fields->year = value;
			break;
		case 'y':
			fields->year = value + (value < 69 ? 2000 : 1900);
			break;
		case 'G':
			fields->iso_year = value;
			break;
		case 'm':
			fields->month = value;
			break;
		case 'B':
			fields->month = place_of(s, len, month_names) + 1;
			break;
		case 'b':
			fields->month = place_of(s, len, short_months) + 1;
			break;
		case 'd':
			fields->day = value;
			break;
		case 'H':
			fields->hour = value;
			break;
		case 'I':
			/* Only here am and pm mean anything. */
			fields->hour = value % 12 + (fields->pm ? 12 : 0);
			break;
		case 'M':
			fields->minute = value;
			break;
		case 'S':
			fields->second = value;
			break;
		case 'f':
			for (int i = len; i < 6; i++)
				value *= 10;
			fields->microsecond = value;
			break;
		case 'A':
			fields->weekday = place_of(s, len, day_names);
			break;
		case 'a':
			fields->weekday = place_of(s, len, short_days);
			break;
		case 'w':
			fields->weekday = (value + 6) % 7;
			break;
		case 'u':
			fields->weekday = value - 1;
			break;
		case 'j':
			fields->yearday = value;
			break;
		case 'U':
		case 'W':
			fields->week = value;
			fields->week_from_sunday = directive == 'U';
			break;
		case 'V':
			fields->iso_week = value;
			break;
		case 'z':
			fields->zone = zone_seconds(s, len);
			break;
	}
}

/* Days since 1970 of a weekday in a week of a year. */
static int64
week_day(const Fields *fields)
{
	bool		iso = fields->week < 0;
	int			year = iso ? fields->iso_year : fields->year;
	int64		first = days_from_civil(year, 1, 1);
	int			weekday = fields->weekday;
	int			first_weekday = ((first + 3) % 7 + 7) % 7;	/* Monday is 0 */

	/* The first week of ISO's year is the one with the fourth of January. */
	if (iso)
		return first + 3 - (first_weekday + 3) % 7 + (fields->iso_week - 1) * 7 + weekday;
	if (fields->week_from_sunday)
	{
		first_weekday = (first_weekday + 1) % 7;
		weekday = (weekday + 1) % 7;
	}
	return first + (7 - first_weekday) % 7 + (fields->week - 1) * 7 + weekday;
}

/* The day, where it is given by its place in a year or in a week. */
static void
apply_calendar(Fields *fields)
{
	bool		no_year = fields->year < 0;
	Value		dt = {.kind = VALUE_DATETIME};
	DateParts	parts;
	int64		days;

	if (no_year && fields->iso_year >= 0)
	{
		if (fields->iso_week < 0 || fields->weekday < 0 || fields->yearday >= 0)
			expr_fail("\"%%G\" in a time's format needs \"%%V\" and a day of the week");
	}
	else if (fields->week < 0 && fields->iso_week >= 0)
		expr_fail("\"%%V\" in a time's format needs \"%%G\"");
	/* The 29th of February needs a leap year, for the time being. */
	if (no_year)
		fields->year = fields->month == 2 && fields->day == 29 ? 1904 : 1900;
	if (fields->yearday >= 0)
		days = days_from_civil(fields->year, 1, 1) + fields->yearday - 1;
	else if (fields->weekday >= 0 && (fields->week >= 0 || (fields->iso_year >= 0 && fields->iso_week >= 0)))
		days = week_day(fields);
	else
		days = PG_INT64_MIN;
	if (days != PG_INT64_MIN)
	{
		bool		leap_day = no_year && fields->year == 1904;

		dt.u.datetime.local = days * INT64CONST(86400000000);
		datetime_parts(&dt, &parts);
		fields->year = leap_day ? 1900 : parts.year;
		fields->month = parts.month;
		fields->day = parts.day;
	}
	else if (no_year)
		fields->year = 1900;
}

Value
datetime_parse(const char *s, int len, const char *format, int format_len)
{
	Fields		fields = {.year = -1,.month = 1,.day = 1,.weekday = -1,.yearday = -1,.week = -1,.iso_year = -1,.iso_week = -1};
	Format		f = {0};
	RegexMatch	match;
	Regex	   *re;
	const char *half;

	initStringInfo(&f.pattern);
	appendStringInfoString(&f.pattern, "\\A");
	translate_format(&f, format, format + format_len);
	re = regex_compile(f.pattern.data, f.pattern.len, REGEX_IGNORE_CASE);
	if (!regex_search(re, s, len, 0, false, &match) || match.offsets[1] != len)
		expr_fail("a text does not have the format of its time");
	half = memchr(f.groups, 'p', f.ngroups);
	if (half)
		fields.pm = pg_tolower((unsigned char) s[match.offsets[(half - f.groups + 1) * 2]]) == 'p';
	for (int i = 0; i < f.ngroups; i++)
		set_field(&fields, f.groups[i], s + match.offsets[(i + 1) * 2],
				  match.offsets[(i + 1) * 2 + 1] - match.offsets[(i + 1) * 2]);
	apply_calendar(&fields);
	return datetime_build(fields.year, fields.month, fields.day, fields.hour, fields.minute, fields.second,
						  fields.microsecond, fields.zone);
}
