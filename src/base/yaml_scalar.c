/*
 * yaml_scalar.c
 *		What a plain YAML 1.1 scalar means, by the rules of PyYAML's SafeLoader.
 *
 * The definitions' reader and yaml_parse() must agree with what users know from
 * Mistral: "on" is true, 017 is fifteen, 1:30 is ninety, 1e3 is text.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "base/yaml_scalar.h"

/* Longer numbers stay text: no one writes them, and conversion is quadratic. */
#define MAX_NUMBER_LENGTH 4300

typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

static bool resolve_word(const char *text, int len, YamlScalar *out);
static bool resolve_int(const char *text, int len, YamlScalar *out);
static bool resolve_float(const char *text, int len, YamlScalar *out);
static bool resolve_timestamp(const char *text, int len, YamlScalar *out);

void
yaml_scalar_resolve(const char *text, int len, YamlScalar *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = YAML_SCALAR_STR;
	if (resolve_word(text, len, out))
		return;
	if (len > MAX_NUMBER_LENGTH || (!isdigit((unsigned char) text[0]) && strchr("+-.", text[0]) == NULL))
		return;
	if (resolve_int(text, len, out) || resolve_float(text, len, out))
		return;
	(void) resolve_timestamp(text, len, out);
}

static bool
resolve_word(const char *text, int len, YamlScalar *out)
{
	static const struct
	{
		const char *word;
		YamlScalarKind kind;
		bool		boolean;
	}			words[] = {
		{"~", YAML_SCALAR_NULL}, {"null", YAML_SCALAR_NULL}, {"Null", YAML_SCALAR_NULL}, {"NULL", YAML_SCALAR_NULL},
		{"yes", YAML_SCALAR_BOOL, true}, {"Yes", YAML_SCALAR_BOOL, true}, {"YES", YAML_SCALAR_BOOL, true},
		{"no", YAML_SCALAR_BOOL, false}, {"No", YAML_SCALAR_BOOL, false}, {"NO", YAML_SCALAR_BOOL, false},
		{"true", YAML_SCALAR_BOOL, true}, {"True", YAML_SCALAR_BOOL, true}, {"TRUE", YAML_SCALAR_BOOL, true},
		{"false", YAML_SCALAR_BOOL, false}, {"False", YAML_SCALAR_BOOL, false}, {"FALSE", YAML_SCALAR_BOOL, false},
		{"on", YAML_SCALAR_BOOL, true}, {"On", YAML_SCALAR_BOOL, true}, {"ON", YAML_SCALAR_BOOL, true},
		{"off", YAML_SCALAR_BOOL, false}, {"Off", YAML_SCALAR_BOOL, false}, {"OFF", YAML_SCALAR_BOOL, false},
		{"<<", YAML_SCALAR_MERGE}, {"=", YAML_SCALAR_DEFAULT},
		{"&", YAML_SCALAR_INDICATOR}, {"*", YAML_SCALAR_INDICATOR}
	};

	if (len == 0)
	{
		out->kind = YAML_SCALAR_NULL;
		return true;
	}
	if (len > 5)
		return false;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strlen(words[i].word) == len && memcmp(words[i].word, text, len) == 0)
		{
			out->kind = words[i].kind;
			out->boolean = words[i].boolean;
			return true;
		}
	}
	return false;
}

/* One or more characters of the set or '_'; at least one that is no '_' when `strict`. */
static bool
span(Cursor *c, const char *set, bool strict)
{
	const char *start = c->at;
	bool		digit = false;

	while (c->at < c->end && (*c->at == '_' || strchr(set, *c->at) != NULL))
	{
		if (*c->at == '\0')
			break;
		digit |= *c->at != '_';
		c->at++;
	}
	return strict ? digit : c->at > start;
}

/* (:[0-5]?[0-9])+ */
static bool
sexagesimal(Cursor *c)
{
	int			groups = 0;

	while (c->at < c->end && *c->at == ':')
	{
		const char *p = c->at + 1;
		int			n = 0;

		while (p + n < c->end && n < 2 && isdigit((unsigned char) p[n]))
			n++;
		if (n == 0 || (n == 2 && p[0] > '5'))
			return false;
		c->at = p + n;
		groups++;
	}
	return groups > 0;
}

/* Multiplies the decimal number (least digit first) by `base` and adds `digit`. */
static int
accumulate(unsigned char *digits, int n, int base, int digit)
{
	int			carry = digit;

	for (int i = 0; i < n; i++)
	{
		int			v = digits[i] * base + carry;

		digits[i] = v % 10;
		carry = v / 10;
	}
	while (carry > 0)
	{
		digits[n++] = carry % 10;
		carry /= 10;
	}
	return n;
}

/* Digits of a base, '_' ignored, ':' starting a group of sixty. */
static void
store_int(const char *text, const char *end, int base, bool negative, YamlScalar *out)
{
	unsigned char *digits = palloc((end - text) * 2 + 8);
	int			n = 0;
	int64		value = 0;
	bool		fits = true;

	while (text < end)
	{
		int			first = base;
		int			digit = 0;

		if (*text == '_')
		{
			text++;
			continue;
		}
		if (*text == ':')
		{
			text++;
			first = 60;
			while (text < end && *text != ':')
			{
				if (*text != '_')
					digit = digit * 10 + (*text - '0');
				text++;
			}
		}
		else
		{
			digit = isdigit((unsigned char) *text) ? *text - '0' : (*text | 0x20) - 'a' + 10;
			text++;
		}
		n = accumulate(digits, n, first, digit);
		fits = fits && !__builtin_mul_overflow(value, (int64) first, &value) &&
			!(negative ? __builtin_sub_overflow(value, (int64) digit, &value)
			  : __builtin_add_overflow(value, (int64) digit, &value));
	}
	if (fits)
	{
		out->kind = YAML_SCALAR_INT;
		out->integer = value;
	}
	else
	{
		char	   *p = out->digits = palloc(n + 2);

		out->kind = YAML_SCALAR_BIGINT;
		if (negative)
			*p++ = '-';
		while (n > 0)
			*p++ = '0' + digits[--n];
		*p = '\0';
	}
	pfree(digits);
}

static bool
resolve_int(const char *text, int len, YamlScalar *out)
{
	Cursor		c = {text, text + len};
	bool		negative = text[0] == '-';
	const char *start;
	int			base = 10;

	if (text[0] == '-' || text[0] == '+')
		c.at++;
	start = c.at;
	if (c.at == c.end || !isdigit((unsigned char) *c.at))
		return false;
	if (*c.at == '0' && c.end - c.at > 1)
	{
		const char *set = "01234567";

		base = 8;
		c.at++;
		if (*c.at == 'b' || *c.at == 'x')
		{
			base = *c.at == 'b' ? 2 : 16;
			set = *c.at == 'b' ? "01" : "0123456789abcdefABCDEF";
			c.at++;
		}
		start = c.at;
		if (!span(&c, set, base != 8) || c.at < c.end)
			return false;
	}
	else
	{
		(void) span(&c, "0123456789", false);
		if (c.at < c.end && (*start == '0' || !sexagesimal(&c)))
			return false;
		if (c.at < c.end)
			return false;
	}
	store_int(start, c.end, base, negative, out);
	return true;
}

/* The digits up to a ':' or the end as a double, '_' ignored. */
static double
part_value(const char **at, const char *end)
{
	char		buf[MAX_NUMBER_LENGTH + 1];
	int			n = 0;

	while (*at < end && **at != ':')
	{
		if (**at != '_')
			buf[n++] = **at;
		(*at)++;
	}
	buf[n] = '\0';
	return strtod(buf, NULL);
}

static bool
resolve_float(const char *text, int len, YamlScalar *out)
{
	Cursor		c = {text, text + len};
	bool		negative = text[0] == '-';
	bool		sign = negative || text[0] == '+';
	const char *start;
	double		value;

	if (sign)
		c.at++;
	start = c.at;
	if (c.end - c.at == 4 && (memcmp(c.at, ".inf", 4) == 0 || memcmp(c.at, ".Inf", 4) == 0 || memcmp(c.at, ".INF", 4) == 0))
	{
		out->kind = YAML_SCALAR_FLOAT;
		out->real = negative ? -INFINITY : INFINITY;
		return true;
	}
	if (len == 4 && (memcmp(text, ".nan", 4) == 0 || memcmp(text, ".NaN", 4) == 0 || memcmp(text, ".NAN", 4) == 0))
	{
		out->kind = YAML_SCALAR_FLOAT;
		out->real = NAN;
		return true;
	}
	if (c.at == c.end)
		return false;
	if (*c.at == '.')
	{
		c.at++;
		if (sign || c.at == c.end || !isdigit((unsigned char) *c.at))
			return false;
		(void) span(&c, "0123456789", false);
	}
	else
	{
		bool		sixty = false;

		if (!isdigit((unsigned char) *c.at))
			return false;
		(void) span(&c, "0123456789", false);
		if (c.at < c.end && *c.at == ':')
		{
			sixty = true;
			if (!sexagesimal(&c))
				return false;
		}
		if (c.at == c.end || *c.at != '.')
			return false;
		c.at++;
		(void) span(&c, "0123456789", false);
		if (sixty && c.at < c.end)
			return false;
	}
	if (c.at < c.end)
	{
		if ((*c.at != 'e' && *c.at != 'E') || c.end - c.at < 3 || (c.at[1] != '+' && c.at[1] != '-'))
			return false;
		for (c.at += 2; c.at < c.end; c.at++)
			if (!isdigit((unsigned char) *c.at))
				return false;
	}
	value = part_value(&start, c.end);
	while (start < c.end)
	{
		start++;
		value = value * 60 + part_value(&start, c.end);
	}
	out->kind = YAML_SCALAR_FLOAT;
	out->real = negative ? -value : value;
	return true;
}

/* Between `least` and `most` digits. */
static bool
digits(Cursor *c, int least, int most, int *value)
{
	int			n = 0;

	*value = 0;
	while (n < most && c->at < c->end && isdigit((unsigned char) *c->at))
	{
		*value = *value * 10 + (*c->at++ - '0');
		n++;
	}
	return n >= least;
}

static bool
literal(Cursor *c, char ch)
{
	if (c->at == c->end || *c->at != ch)
		return false;
	c->at++;
	return true;
}

static void
skip_blanks(Cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

/* [ \t]*(Z|[-+][0-9][0-9]?(:[0-9][0-9])?) up to the end */
static bool
resolve_zone(Cursor *c, YamlScalar *out)
{
	int			hours;
	int			minutes = 0;
	bool		west;

	skip_blanks(c);
	out->has_zone = true;
	if (literal(c, 'Z'))
		return c->at == c->end;
	if (c->at == c->end || (*c->at != '-' && *c->at != '+'))
		return false;
	west = *c->at++ == '-';
	if (!digits(c, 1, 2, &hours))
		return false;
	if (literal(c, ':') && !digits(c, 2, 2, &minutes))
		return false;
	out->zone_seconds = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
	return c->at == c->end;
}

static bool
resolve_timestamp(const char *text, int len, YamlScalar *out)
{
	Cursor		c = {text, text + len};
	YamlScalar	t = *out;

	if (!digits(&c, 4, 4, &t.year) || !literal(&c, '-') || !digits(&c, 1, 2, &t.month) ||
		!literal(&c, '-') || !digits(&c, 1, 2, &t.day))
		return false;
	if (c.at == c.end)
	{
		if (len != 10)
			return false;
		t.kind = YAML_SCALAR_DATE;
		*out = t;
		return true;
	}
	if (*c.at == 'T' || *c.at == 't')
		c.at++;
	else if (*c.at == ' ' || *c.at == '\t')
		skip_blanks(&c);
	else
		return false;
	if (!digits(&c, 1, 2, &t.hour) || !literal(&c, ':') || !digits(&c, 2, 2, &t.minute) ||
		!literal(&c, ':') || !digits(&c, 2, 2, &t.second))
		return false;
	if (literal(&c, '.'))
	{
		int			unit = 100000;

		for (; c.at < c.end && isdigit((unsigned char) *c.at); c.at++)
		{
			t.microsecond += (*c.at - '0') * unit;
			unit /= 10;
		}
	}
	if (c.at < c.end && !resolve_zone(&c, &t))
		return false;
	t.kind = YAML_SCALAR_TIMESTAMP;
	*out = t;
	return true;
}

/* A line ends with LF, CR, NEL, LS or PS: it is enough to look at the last byte. */
static bool
ends_line(unsigned char c)
{
	return c == '\n' || c == '\r' || c == 0x85 || c == 0xa8 || c == 0xa9;
}

bool
yaml_has_many_directives(const char *text, int len)
{
	int			n = 0;

	for (const char *p = text; (p = memchr(p, '%', text + len - p)) != NULL; p++)
		if ((p == text || ends_line(p[-1])) && ++n > YAML_MAX_DIRECTIVES)
			return true;
	return false;
}
