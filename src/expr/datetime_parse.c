/*
 * datetime_parse.c
 *		Times from text in the common forms.
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "expr/value_internal.h"

static const char *const month_names[] = {
	"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
	"december"
};
static const char *const day_names[] = {
	"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
};

typedef struct Parsed
{
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				microsecond,
				weekday;		/* Monday is 0, -1 none */
	bool		pm,
				am;
	bool		has_zone;
	int			zone;			/* seconds */
} Parsed;

/* Up to `most` digits at *s; -1 when there is none. */
static int
take_digits(const char **s, const char *end, int most)
{
	int			value = 0;
	int			n = 0;

	while (n < most && *s < end && isdigit((unsigned char) **s))
	{
		value = value * 10 + (*(*s)++ - '0');
		n++;
	}
	return n ? value : -1;
}

/* The place of the word among the names, in full or by its first three letters; -1 if none. */
static int
take_name(const char **s, const char *end, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
	{
		int			len = strlen(names[i]);

		if (end - *s >= len && pg_strncasecmp(*s, names[i], len) == 0)
		{
			*s += len;
			return i;
		}
	}
	for (int i = 0; i < n; i++)
	{
		if (end - *s >= 3 && pg_strncasecmp(*s, names[i], 3) == 0)
		{
			*s += 3;
			return i;
		}
	}
	return -1;
}

/* Digits of a fraction of a second as microseconds. */
static int
take_fraction(const char **s, const char *end)
{
	int			value = 0;
	int			unit = 100000;

	if (*s == end || !isdigit((unsigned char) **s))
		return -1;
	while (*s < end && isdigit((unsigned char) **s))
	{
		value += (*(*s)++ - '0') * unit;
		unit /= 10;
	}
	return value;
}

/* +HH, +HHMM, +HH:MM, and seconds; the sign is at *s. */
static bool
take_zone(const char **s, const char *end, Parsed *p)
{
	int			sign = **s == '-' ? -1 : 1;
	int			hours;
	int			minutes = 0;
	int			seconds = 0;

	(*s)++;
	hours = take_digits(s, end, 2);
	if (hours < 0)
		return false;
	if (*s < end && **s == ':')
		(*s)++;
	if (*s < end && isdigit((unsigned char) **s))
		minutes = take_digits(s, end, 2);
	if (*s + 1 < end && **s == ':' && isdigit((unsigned char) (*s)[1]))
		(*s)++;
	if (*s < end && isdigit((unsigned char) **s))
		seconds = take_digits(s, end, 2);
	if (minutes > 59 || seconds > 59 || hours > 23)
		return false;
	p->has_zone = true;
	p->zone = sign * ((hours * 60 + minutes) * 60 + seconds);
	return true;
}

static void
apply_half(Parsed *p)
{
	if (p->am && p->hour == 12)
		p->hour = 0;
	else if (p->pm && p->hour < 12)
		p->hour += 12;
}

/* The free form: numbers and names in the orders people use. */
typedef struct Free
{
	Parsed		p;
	int			n;				/* parts of the date, in order of appearance */
	int			ymd[3];
	int			month_at;		/* which of them was a name, -1 */
	int			year_at;		/* which of them has more than two digits, -1 */
	bool		has_time;
} Free;

static void unknown_form(void) pg_attribute_noreturn();

static void
unknown_form(void)
{
	expr_fail("a text is no time in a known form");
}

static void
add_part(Free *f, int value, int digits, bool month)
{
	if (f->n == 3)
		unknown_form();
	if (month)
		f->month_at = f->n;
	if (digits > 2)
		f->year_at = f->n;
	f->ymd[f->n++] = value;
}

/* HH:MM[:SS[.ffffff]] with the colon at *s. */
static void
read_clock(Free *f, int hour, const char **s, const char *end)
{
	f->p.hour = hour;
	(*s)++;
	f->p.minute = take_digits(s, end, 2);
	if (f->p.minute < 0)
		unknown_form();
	if (*s + 1 < end && **s == ':' && isdigit((unsigned char) (*s)[1]))
	{
		(*s)++;
		f->p.second = take_digits(s, end, 2);
		if (*s + 1 < end && (**s == '.' || **s == ',') && isdigit((unsigned char) (*s)[1]))
		{
			(*s)++;
			f->p.microsecond = take_fraction(s, end);
		}
	}
	f->has_time = true;
}

/* A run of digits that is not a clock's hour. */
static void
read_number(Free *f, const char *digits, int n, const char **s, const char *end)
{
	const char *d = digits;

	if ((n == 8 || n == 12 || n == 14) && f->n == 0)
	{
		add_part(f, take_digits(&d, *s, 4), 4, false);
		add_part(f, take_digits(&d, *s, 2), 2, false);
		add_part(f, take_digits(&d, *s, 2), 2, false);
		n -= 8;
	}
	else if (n == 6 && f->n == 0)
	{
		for (int i = 0; i < 3; i++)
			add_part(f, take_digits(&d, *s, 2), 2, false);
		return;
	}
	if (f->n == 3 && !f->has_time && (n == 2 || n == 4 || n == 6))
	{
		f->p.hour = take_digits(&d, *s, 2);
		f->p.minute = n > 2 ? take_digits(&d, *s, 2) : 0;
		f->p.second = n > 4 ? take_digits(&d, *s, 2) : 0;
		if (*s + 1 < end && **s == '.' && isdigit((unsigned char) (*s)[1]))
		{
			(*s)++;
			f->p.microsecond = take_fraction(s, end);
		}
		f->has_time = true;
	}
	else if (n > 0 && n <= 4)
		add_part(f, take_digits(&d, *s, 4), n, false);
	else if (n > 0)
		unknown_form();
}

/* am, pm, and h, m, s after a number, as in 10h36m28s. */
static bool
read_unit(Free *f, int value, const char **s, const char *end)
{
	const char *w = *s;
	int			microsecond = f->p.microsecond;

	/* 28.5s */
	if (end - w > 2 && *w == '.' && isdigit((unsigned char) w[1]))
	{
		const char *fraction = w + 1;
		int			part = take_fraction(&fraction, end);

		if (fraction == end || (*fraction | 0x20) != 's')
			return false;
		microsecond = part;
		w = fraction;
	}
	while (w < end && *w == ' ')
		w++;
	if (end - w >= 2 && (w[1] | 0x20) == 'm' && ((w[0] | 0x20) == 'a' || (w[0] | 0x20) == 'p') &&
		(end - w == 2 || !isalpha((unsigned char) w[2])))
	{
		/* Unless all of a date stands before it, it is not asked whether a clock of twelve hours shows it. */
		if (f->n == 3)
		{
			f->p.hour = value;
			f->p.am = (w[0] | 0x20) == 'a';
			f->p.pm = !f->p.am;
		}
		else if ((w[0] | 0x20) == 'a')
			f->p.hour = value == 12 ? 0 : value;
		else
			f->p.hour = value < 12 ? value + 12 : value;
		*s = w + 2;
		return f->has_time = true;
	}
	if (end > w && strchr("hms", *w | 0x20) != NULL && (end - w == 1 || !isalpha((unsigned char) w[1])))
	{
		int		   *field = (*w | 0x20) == 'h' ? &f->p.hour : (*w | 0x20) == 'm' ? &f->p.minute : &f->p.second;

		*field = value;
		f->p.microsecond = microsecond;
		*s = w + 1;
		return f->has_time = true;
	}
	return false;
}

static void
read_word(Free *f, const char **s, const char *end)
{
	static const char *const fillers[] = {"t", "at", "on", "and", "of", "st", "nd", "rd", "th", "ad", "m"};
	const char *word = *s;
	int			len = 0;
	const char *p = word;
	int			which;

	while (word + len < end && isalpha((unsigned char) word[len]))
		len++;
	*s = word + len;
	which = take_name(&p, word + len, month_names, 12);
	if (which >= 0 && (p == word + len || (len == 4 && pg_strncasecmp(word, "sept", 4) == 0)))
	{
		add_part(f, which + 1, 2, true);
		return;
	}
	p = word;
	which = take_name(&p, word + len, day_names, 7);
	if (which >= 0 && (p == word + len || len == 4 || len == 5))
	{
		f->p.weekday = which;
		return;
	}
	if (len == 2 && (word[1] | 0x20) == 'm' && ((word[0] | 0x20) == 'a' || (word[0] | 0x20) == 'p') && f->has_time)
	{
		f->p.am = (word[0] | 0x20) == 'a';
		f->p.pm = !f->p.am;
		return;
	}
	for (int i = 0; i < lengthof(fillers); i++)
		if (strlen(fillers[i]) == len && pg_strncasecmp(word, fillers[i], len) == 0)
			return;
	if ((len == 1 && (*word | 0x20) == 'z') ||
		(len == 3 && (pg_strncasecmp(word, "utc", 3) == 0 || pg_strncasecmp(word, "gmt", 3) == 0)))
	{
		f->p.has_zone = true;
		/* "GMT+3" says what to add to the local time to get GMT. */
		if (*s < end && (**s == '+' || **s == '-') && len == 3)
		{
			if (!take_zone(s, end, &f->p))
				unknown_form();
			f->p.zone = -f->p.zone;
		}
		return;
	}
	/* The name of another zone says nothing certain; it counts as none. */
	for (int i = 0; i < len; i++)
		if (!isupper((unsigned char) word[i]))
			unknown_form();
	if (!f->has_time || len < 3 || len > 5)
		unknown_form();
}

/* Which of the parts is the year, the month, the day. */
static void
resolve_parts(Free *f)
{
	static const char *const by_name[3][2] = {{"mdy", "myd"}, {"dmy", "ymd"}, {"ydm", "dym"}};
	const char *order;
	int		   *v = f->ymd;
	int			year = -1;

	if (f->n == 0)
		return;
	if (f->n == 1)
		order = f->month_at == 0 ? "m" : (v[0] > 31 || f->year_at == 0) ? "y" : "d";
	else if (f->n == 2)
	{
		if (f->month_at >= 0)
		{
			int			other = 1 - f->month_at;
			bool		is_year = v[other] > 31 || f->year_at == other;

			order = f->month_at == 0 ? (is_year ? "my" : "md") : (is_year ? "ym" : "dm");
		}
		else
			order = v[0] > 31 || f->year_at == 0 ? "ym" : v[1] > 31 || f->year_at == 1 ? "my" : "md";
	}
	else if (f->month_at >= 0)
	{
		int			asked = f->month_at == 1 ? 0 : 1;

		order = by_name[f->month_at][v[asked] > 31 || f->year_at == asked];
	}
	else
		order = v[0] > 31 || f->year_at == 0 ? "ymd" : v[0] > 12 ? "dmy" : "mdy";
	for (int i = 0; i < f->n; i++)
	{
		if (order[i] == 'y')
			year = v[i];
		else if (order[i] == 'm')
			f->p.month = v[i];
		else
			f->p.day = v[i];
	}
	if (year < 0)
		return;
	if (year < 100 && f->year_at < 0)
	{
		int			current = f->p.year;

		year += current / 100 * 100;
		if (year >= current + 50)
			year -= 100;
		else if (year < current - 50)
			year += 100;
	}
	f->p.year = year;
}

static void
read_free(Free *f, const char *s, const char *end)
{
	while (s < end)
	{
		if (isdigit((unsigned char) *s))
		{
			const char *digits = s;
			const char *again = s;
			int			n;

			while (s < end && isdigit((unsigned char) *s))
				s++;
			n = s - digits;
			if (n <= 2 && s < end && *s == ':')
				read_clock(f, take_digits(&again, s, 2), &s, end);
			else if (!(n <= 2 && read_unit(f, take_digits(&again, s, 2), &s, end)))
			{
				read_number(f, digits, n, &s, end);
				/* What follows a number of the date is no offset. */
				if (n <= 4 && end - s > 1 && *s == '-' && isdigit((unsigned char) s[1]) && f->n > 0 && f->n < 3)
					s++;
			}
		}
		else if (isalpha((unsigned char) *s))
			read_word(f, &s, end);
		else if ((*s == '+' || *s == '-') && f->has_time && !f->p.has_zone && s + 1 < end &&
				 isdigit((unsigned char) s[1]))
		{
			if (!take_zone(&s, end, &f->p))
				unknown_form();
		}
		else if (strchr(" ,-/.;\t'", *s) != NULL || (strchr("()", *s) != NULL && f->p.has_zone))
			s++;
		else
			unknown_form();
	}
}

Value
datetime_parse_any(const char *s, int len)
{
	Free		f = {.month_at = -1,.year_at = -1};
	DateParts	today;
	Value		now = datetime_now(0);
	bool		day_given;
	Value		result;

	datetime_parts(&now, &today);
	f.p.year = today.year;
	f.p.month = today.month;
	f.p.weekday = -1;
	read_free(&f, s, s + len);
	if (f.n == 0 && !f.has_time && f.p.weekday < 0)
		unknown_form();
	resolve_parts(&f);
	day_given = f.p.day > 0;
	if (!day_given && f.p.month >= 1 && f.p.month <= 12)
	{
		/* Today's day, or the last of a shorter month. */
		int64		first = days_from_civil(f.p.year, f.p.month, 1);
		int64		next = days_from_civil(f.p.year + f.p.month / 12, f.p.month % 12 + 1, 1);

		f.p.day = Min(today.day, next - first);
	}
	if ((f.p.am || f.p.pm) && (f.p.hour < 0 || f.p.hour > 12))
		unknown_form();
	apply_half(&f.p);
	result = datetime_build(f.p.year, f.p.month, f.p.day, f.p.hour, f.p.minute, f.p.second, f.p.microsecond, f.p.zone);
	if (f.p.weekday >= 0 && !day_given)
	{
		datetime_parts(&result, &today);
		result = datetime_shift(&result, (int64) ((f.p.weekday - today.weekday + 7) % 7) * INT64CONST(86400000000));
	}
	return result;
}
