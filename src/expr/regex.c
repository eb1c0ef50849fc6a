/*
 * regex.c
 *		Regular expressions in Python's dialect, run by PCRE2.
 *
 * A pattern is rewritten where the dialects differ, and refused where Python
 * would refuse it.  PCRE2 allocates through functions that return NULL and
 * never raise, from the memory context of the evaluation.  Matching is bounded
 * by counts for each place where a match may begin, and looks at the clock and
 * the interrupts on its way, in callouts.
 */
#include "postgres.h"

#include <ctype.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "expr/regex.h"
#include "expr/value_internal.h"

/* Steps and memory of one match that begins at one place: some tens of milliseconds at most. */
#define MATCH_LIMIT 2000000
#define HEAP_LIMIT_KB 32768
#define MAX_PATTERN_LENGTH 65536

/* Steps between two looks at the clock, and bytes passed at once that take as long as a step. */
#define WATCH_STEPS 32768
#define BYTES_PER_STEP 8

/* Parentheses in one another. */
#define MAX_OPEN 200

typedef struct Translation
{
	StringInfoData out;
	const char *at;
	const char *end;
	const char *start;
	int			flags;
	bool		ascii;			/* (?a) */
	bool		verbose;		/* comments are left out from here on */
	int			groups;			/* begun so far */
	int			nopen;			/* parentheses open, each with its group's number or 0 */
	int			open[MAX_OPEN];
} Translation;

static void *
regex_malloc(size_t size, void *context)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
}

static void
regex_free(void *p, void *context)
{
	if (p)
		pfree(p);
}

static void
bad_pattern(const char *what)
{
	expr_fail("invalid regular expression: %s", what);
}

static int
hex_digits(const char *s, const char *end, int n)
{
	int			code = 0;

	if (end - s < n)
		return -1;
	for (int i = 0; i < n; i++)
	{
		if (!isxdigit((unsigned char) s[i]))
			return -1;
		code = code * 16 + (isdigit((unsigned char) s[i]) ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
	}
	return code;
}

/* A number after a backslash, the first digit taken: a character in octal, or a group that has ended. */
static void
translate_number(Translation *t, char first, bool in_class)
{
	const char *d = t->at;
	int			left = t->end - d;
	bool		octal = first < '8' && left >= 2 && d[0] >= '0' && d[0] < '8' && d[1] >= '0' && d[1] < '8';
	int			group = first - '0';

	if (in_class || first == '0' || octal)
	{
		int			code = group;

		if (first > '7')
			bad_pattern("an escape that Python does not have");
		for (int i = 0; i < 2 && t->at < t->end && *t->at >= '0' && *t->at < '8'; i++)
			code = code * 8 + (*t->at++ - '0');
		if (code > 0377)
			bad_pattern("an octal escape beyond \\377");
		appendStringInfo(&t->out, "\\x{%x}", code);
		return;
	}
	if (left > 0 && isdigit((unsigned char) *d))
	{
		group = group * 10 + (*d - '0');
		t->at++;
	}
	if (group > t->groups)
		bad_pattern("a reference to a group that is not there yet");
	for (int i = 0; i < t->nopen; i++)
		if (t->open[i] == group)
			bad_pattern("a reference to a group that is not closed yet");
	appendStringInfo(&t->out, "\\g{%d}", group);
}

/* After a backslash, in or out of a class. */
static void
translate_escape(Translation *t, bool in_class)
{
	char		c;

	if (t->at == t->end)
		bad_pattern("it ends with a backslash");
	c = *t->at++;
	if (c == 'x' || c == 'u' || c == 'U')
	{
		int			n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
		int			code = hex_digits(t->at, t->end, n);

		if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			bad_pattern("an escape with a wrong code");
		appendStringInfo(&t->out, "\\x{%x}", code);
		t->at += n;
	}
	else if (c == 'Z' && !in_class)
		appendStringInfoString(&t->out, "\\z");
	else if (c == 'v')
		appendStringInfoString(&t->out, "\\x0b");
	else if (isdigit((unsigned char) c))
		translate_number(t, c, in_class);
	else if (isalpha((unsigned char) c) && strchr(in_class ? "dDsSwWabfnrt" : "AbBdDsSwWafnrt", c) == NULL)
		bad_pattern("an escape that Python does not have");
	else
	{
		appendStringInfoChar(&t->out, '\\');
		appendStringInfoChar(&t->out, c);
	}
}

static void
translate_class(Translation *t)
{
	bool		first = true;

	appendStringInfoChar(&t->out, '[');
	if (t->at < t->end && *t->at == '^')
		appendStringInfoChar(&t->out, *t->at++);
	for (; t->at < t->end; first = false)
	{
		char		c = *t->at++;

		if (c == ']' && !first)
		{
			appendStringInfoChar(&t->out, ']');
			return;
		}
		if (c == '\\')
			translate_escape(t, true);
		else if (c == '[')
			appendStringInfoString(&t->out, "\\[");
		else
			appendStringInfoChar(&t->out, c);
	}
	bad_pattern("a set of characters that does not end");
}

static void
open_group(Translation *t, bool captures)
{
	if (t->nopen == MAX_OPEN)
		bad_pattern("too many parentheses in one another");
	t->open[t->nopen++] = captures ? ++t->groups : 0;
}

static int
flag_of(char letter)
{
	return letter == 'i' ? REGEX_IGNORE_CASE : letter == 'm' ? REGEX_MULTI_LINE : letter == 's' ? REGEX_DOT_ALL :
		letter == 'x' ? REGEX_VERBOSE : 0;
}

/* Flags after "(?": global ones must begin the pattern. */
static void
translate_flags(Translation *t)
{
	const char *p = t->at;
	bool		whole;

	while (p < t->end && (isalpha((unsigned char) *p) || *p == '-'))
		p++;
	if (p == t->end || (*p != ')' && *p != ':') || p == t->at)
		bad_pattern("an unknown extension after (?");
	whole = *p == ')';
	if (whole && t->at - 2 != t->start)
		bad_pattern("flags for the whole that are not at its start");
	for (const char *f = t->at; f < p; f++)
	{
		if (strchr("aimsux-", *f) == NULL || (whole && *f == '-'))
			bad_pattern("an unknown flag");
		if (*f == 'a' && whole && (t->flags & REGEX_UNICODE))
			bad_pattern("the flags for ASCII and Unicode exclude each other");
		if (*f == 'a' && whole)
			t->ascii = true;
		if (whole)
			t->flags |= flag_of(*f);
		t->verbose = t->verbose || *f == 'x';
	}
	appendStringInfoString(&t->out, "(?");
	for (const char *f = t->at; f < p; f++)
		if (*f != 'a' && *f != 'u')
			appendStringInfoChar(&t->out, *f);
	appendStringInfoChar(&t->out, *p);
	t->at = p + 1;
	if (whole)
		t->start = t->at;
	else
		open_group(t, false);
}

/* (?(1)yes|no) and (?(name)yes|no): the condition, which is no group. */
static void
translate_condition(Translation *t)
{
	const char *close = memchr(t->at, ')', t->end - t->at);

	if (close == NULL)
		bad_pattern("a group that does not end");
	appendStringInfoString(&t->out, "(?");
	appendBinaryStringInfo(&t->out, t->at, close + 1 - t->at);
	t->at = close + 1;
	open_group(t, false);
}

/* After an opening parenthesis that stands for itself. */
static void
translate_group(Translation *t)
{
	if (t->at < t->end && *t->at == '*')
		bad_pattern("nothing to repeat");
	if (t->at == t->end || *t->at != '?')
	{
		appendStringInfoChar(&t->out, '(');
		open_group(t, true);
		return;
	}
	t->at++;
	if (t->at == t->end)
		bad_pattern("a group that does not end");
	if (*t->at == 'P')
	{
		if (t->end - t->at < 2 || (t->at[1] != '<' && t->at[1] != '='))
			bad_pattern("an unknown extension after (?P");
		appendStringInfoString(&t->out, "(?P");
		open_group(t, *++t->at == '<');
	}
	else if (*t->at == '<')
	{
		if (t->end - t->at < 2 || (t->at[1] != '=' && t->at[1] != '!'))
			bad_pattern("an unknown extension after (?<");
		appendStringInfoString(&t->out, "(?");
		open_group(t, false);
	}
	else if (*t->at == '(')
		translate_condition(t);
	else if (*t->at == '#')
	{
		bool		first = t->at - 2 == t->start;

		t->at = memchr(t->at, ')', t->end - t->at);
		if (t->at == NULL)
			bad_pattern("a comment that does not end");
		t->at++;
		if (first)
			t->start = t->at;
	}
	else if (strchr(":=!>", *t->at) != NULL)
	{
		appendStringInfoString(&t->out, "(?");
		open_group(t, false);
	}
	else
		translate_flags(t);
}

/* {,n} is {0,n}. */
static void
translate_brace(Translation *t)
{
	const char *p = t->at;

	appendStringInfoChar(&t->out, '{');
	if (p < t->end && *p == ',')
	{
		for (p++; p < t->end && isdigit((unsigned char) *p); p++)
			;
		if (p < t->end && *p == '}')
			appendStringInfoChar(&t->out, '0');
	}
}

static void
translate(Translation *t)
{
	while (t->at < t->end)
	{
		char		c = *t->at++;

		if (c == '\\')
			translate_escape(t, false);
		else if (c == '[')
			translate_class(t);
		else if (c == '(')
			translate_group(t);
		else if (c == ')' && t->nopen > 0)
		{
			t->nopen--;
			appendStringInfoChar(&t->out, c);
		}
		else if (c == '{')
			translate_brace(t);
		else if (c == '#' && t->verbose)
		{
			while (t->at < t->end && *t->at != '\n')
				t->at++;
		}
		else
			appendStringInfoChar(&t->out, c);
	}
}

static uint32
compile_options(const Translation *t)
{
	/* With several lines, one begins after a last line end, too. */
	uint32		options = PCRE2_ALT_CIRCUMFLEX | PCRE2_AUTO_CALLOUT;

	if (GetDatabaseEncoding() == PG_UTF8)
		options |= PCRE2_UTF | PCRE2_NO_UTF_CHECK | (t->ascii ? 0 : PCRE2_UCP);
	if (t->flags & REGEX_IGNORE_CASE)
		options |= PCRE2_CASELESS;
	if (t->flags & REGEX_MULTI_LINE)
		options |= PCRE2_MULTILINE;
	if (t->flags & REGEX_DOT_ALL)
		options |= PCRE2_DOTALL;
	return options;
}

/* PCRE2 knows UTF-8 and single bytes: of other encodings it would cut characters in two. */
static void
check_encoding(const char *s, int len)
{
	if (pg_database_encoding_max_length() == 1 || GetDatabaseEncoding() == PG_UTF8)
		return;
	for (int i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(s[i]))
			expr_fail("in a database in %s a regular expression works on ASCII only", GetDatabaseEncodingName());
}

Regex *
regex_compile(const char *pattern, int len, int flags)
{
	Translation t = {.at = pattern,.end = pattern + len,.start = pattern,.flags = flags};
	pcre2_general_context *gc;
	pcre2_compile_context *cc;
	Regex	   *re = palloc0(sizeof(Regex));
	int			error;
	PCRE2_SIZE	offset;
	uint32		count;

	if (len > MAX_PATTERN_LENGTH)
		expr_limit("a regular expression is longer than %d bytes", MAX_PATTERN_LENGTH);
	check_encoding(pattern, len);
	initStringInfo(&t.out);
	translate(&t);
	re->pattern = pnstrdup(pattern, len);
	re->len = len;
	re->given = flags;
	re->flags = t.flags;
	gc = pcre2_general_context_create(regex_malloc, regex_free, CurrentMemoryContext);
	cc = gc ? pcre2_compile_context_create(gc) : NULL;
	if (cc == NULL)
		expr_limit("out of memory for a regular expression");
	pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
	pcre2_set_parens_nest_limit(cc, 200);
	re->code = pcre2_compile((PCRE2_SPTR) t.out.data, t.out.len, compile_options(&t), &error, &offset, cc);
	if (re->code == NULL && error == PCRE2_ERROR_PATTERN_TOO_LARGE)
		expr_limit("a regular expression is too long");
	if (re->code == NULL)
	{
		PCRE2_UCHAR message[200];

		if (pcre2_get_error_message(error, message, sizeof(message)) < 0)
			message[0] = '\0';
		bad_pattern((char *) message);
	}
	re->match_data = pcre2_match_data_create_from_pattern(re->code, gc);
	if (re->match_data == NULL)
		expr_limit("out of memory for a regular expression");
	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &count);
	re->groups = count;
	pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
	re->named = count > 0;
	return re;
}

/* What a match has done since the last look at the clock. */
typedef struct Watch
{
	PCRE2_SIZE	position;
	Size		steps;
} Watch;

/*
 * PCRE2 calls it before each item of the pattern.  Its own counts are of
 * returns, and begin anew wherever a match may begin; a repeated item may pass
 * the whole text as one step.
 */
static int
watch(pcre2_callout_block *block, void *arg)
{
	Watch	   *w = arg;
	PCRE2_SIZE	at = block->current_position;

	w->steps += 1 + (at > w->position ? at - w->position : w->position - at) / BYTES_PER_STEP;
	w->position = at;
	if (likely(w->steps < WATCH_STEPS))
		return 0;
	w->steps = 0;
	return expr_check_is_due() ? PCRE2_ERROR_CALLOUT : 0;
}

static pcre2_match_context *
match_context(Watch *w)
{
	static pcre2_match_context *mc = NULL;

	if (mc == NULL)
	{
		mc = pcre2_match_context_create(NULL);
		if (mc == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		pcre2_set_match_limit(mc, MATCH_LIMIT);
		pcre2_set_heap_limit(mc, HEAP_LIMIT_KB);
	}
	pcre2_set_callout(mc, watch, w);
	return mc;
}

static bool
run(Regex *re, const char *s, int len, int start, uint32 options)
{
	Watch		w = {0};
	int			rc;

	/* Whoever looks for all matches begins with one from the start. */
	if (start == 0)
		check_encoding(s, len);
	/* An interrupt that is no error leaves the match to be found again. */
	do
	{
		rc = pcre2_match(re->code, (PCRE2_SPTR) s, len, start, options | PCRE2_NO_UTF_CHECK,
						 re->match_data, match_context(&w));
		expr_check();
	} while (rc == PCRE2_ERROR_CALLOUT);
	if (rc >= 0)
		return true;
	if (rc == PCRE2_ERROR_NOMATCH)
		return false;
	if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
		rc == PCRE2_ERROR_NOMEMORY)
		expr_limit("a regular expression takes too many steps on this text");
	expr_fail("a regular expression cannot be matched (PCRE2 error %d)", rc);
}

bool
regex_matches(Regex *re, const char *s, int len)
{
	return run(re, s, len, 0, 0);
}

bool
regex_search(Regex *re, const char *s, int len, int start, bool advance, RegexMatch *match)
{
	PCRE2_SIZE *ovector;

	if (start > len || !run(re, s, len, start, advance ? PCRE2_NOTEMPTY_ATSTART : 0))
		return false;
	ovector = pcre2_get_ovector_pointer(re->match_data);
	match->n = re->groups + 1;
	match->offsets = palloc(match->n * 2 * sizeof(int));
	for (int i = 0; i < match->n * 2; i++)
		match->offsets[i] = ovector[i] == PCRE2_UNSET ? -1 : (int) ovector[i];
	return true;
}

static void
expand_group(StringInfo out, const char *s, const RegexMatch *match, int group)
{
	if (group < 0 || group >= match->n)
		expr_fail("the replacement names a group that the regular expression does not have");
	if (match->offsets[group * 2] >= 0)
		appendBinaryStringInfo(out, s + match->offsets[group * 2],
							   match->offsets[group * 2 + 1] - match->offsets[group * 2]);
}

/* \g<name> or \g<number>; returns what follows. */
static const char *
expand_named(Regex *re, StringInfo out, const char *p, const char *end, const char *s, const RegexMatch *match)
{
	const char *close = p < end && *p == '<' ? memchr(p, '>', end - p) : NULL;
	char	   *name;

	if (close == NULL || close == p + 1)
		expr_fail("the replacement has \\g without a group's name");
	name = pnstrdup(p + 1, close - p - 1);
	if (strspn(name, "0123456789") == strlen(name) && strlen(name) < 6)
		expand_group(out, s, match, atoi(name));
	else
		expand_group(out, s, match, pcre2_substring_number_from_name(re->code, (PCRE2_SPTR) name));
	return close + 1;
}

void
regex_expand(Regex *re, StringInfo out, const char *template, int template_len, const char *s, const RegexMatch *match)
{
	static const char letters[] = "abfnrtv\\";
	static const char meaning[] = "\a\b\f\n\r\t\v\\";
	const char *p = template;
	const char *end = template + template_len;

	while (p < end)
	{
		if (*p != '\\')
		{
			appendStringInfoChar(out, *p++);
			continue;
		}
		if (++p == end)
			expr_fail("the replacement ends with a backslash");
		if (*p == 'g')
			p = expand_named(re, out, p + 1, end, s, match);
		else if (*p == '0' || (end - p >= 3 && p[0] >= '1' && p[0] <= '3' && strspn(p, "01234567") >= 3))
		{
			uint32		code = 0;

			for (int i = 0; i < 3 && p < end && *p >= '0' && *p <= '7'; i++)
				code = code * 8 + (*p++ - '0');
			append_code_point(out, code);
		}
		else if (isdigit((unsigned char) *p))
		{
			int			group = *p++ - '0';

			if (p < end && isdigit((unsigned char) *p))
				group = group * 10 + (*p++ - '0');
			expand_group(out, s, match, group);
		}
		else if (*p != '\0' && strchr(letters, *p))
			appendStringInfoChar(out, meaning[strchr(letters, *p++) - letters]);
		else if (isalpha((unsigned char) *p))
			expr_fail("the replacement has an escape that Python does not have");
		else
		{
			appendStringInfoChar(out, '\\');
			appendStringInfoChar(out, *p++);
		}
	}
}

void
regex_check_template(Regex *re, const char *template, int template_len)
{
	StringInfoData out;
	RegexMatch	nothing;

	initStringInfo(&out);
	nothing.n = re->groups + 1;
	nothing.offsets = palloc(nothing.n * 2 * sizeof(int));
	memset(nothing.offsets, -1, nothing.n * 2 * sizeof(int));
	regex_expand(re, &out, template, template_len, "", &nothing);
}

void
regex_escape(StringInfo out, const char *s, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", s[i]) != NULL)
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, s[i]);
	}
}

Regex *
regex_copy_pattern(const Regex *re)
{
	Regex	   *copy = palloc0(sizeof(Regex));

	copy->pattern = pnstrdup(re->pattern, re->len);
	copy->len = re->len;
	copy->given = re->given;
	copy->flags = re->flags;
	return copy;
}

bool
regex_equal(const void *a, const void *b)
{
	const Regex *x = a;
	const Regex *y = b;

	return x->flags == y->flags && x->len == y->len && memcmp(x->pattern, y->pattern, x->len) == 0;
}

uint32
regex_hash(const void *re)
{
	const Regex *x = re;

	return hash_bytes((const unsigned char *) x->pattern, x->len);
}

/* A pattern of our own, compiled once for the process. */
static pcre2_code *
own_pattern(pcre2_code **kept, const char *pattern)
{
	if (*kept == NULL)
	{
		int			error;
		PCRE2_SIZE	offset;

		*kept = pcre2_compile((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK,
							  &error, &offset, NULL);
		if (*kept == NULL)
			elog(ERROR, "cannot compile pattern: error %d", error);
	}
	return *kept;
}

static bool
own_match(pcre2_code *code, const char *s, int len)
{
	static pcre2_match_data *data = NULL;

	if (data == NULL)
		data = pcre2_match_data_create(1, NULL);
	if (data == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return pcre2_match(code, (PCRE2_SPTR) s, len, 0, PCRE2_NO_UTF_CHECK, data, NULL) >= 0;
}

/* Python's isprintable(); other encodings count as printable beyond ASCII. */
bool
regex_printable(const char *s, int len)
{
	static pcre2_code *code = NULL;

	if (GetDatabaseEncoding() != PG_UTF8)
		return true;
	return !own_match(own_pattern(&code, "(?! )[\\p{C}\\p{Z}]"), s, len);
}

/* A character of names: letter, digit of any kind, underscore. */
bool
regex_word(const char *s, int len)
{
	static pcre2_code *code = NULL;

	if (GetDatabaseEncoding() != PG_UTF8)
		return true;
	return own_match(own_pattern(&code, "\\A\\w"), s, len);
}

/* Looks back only over what it passes: the text before may be long, and asked about at every letter. */
bool
regex_letter_before(const char *s, int len)
{
	static pcre2_code *skipped = NULL;
	static pcre2_code *letter = NULL;
	const char *at = s + len;

	while (at > s)
	{
		const char *next = at;

		expr_tick();
		do
			at--;
		while (at > s && (*at & 0xC0) == 0x80);
		if (own_match(own_pattern(&skipped, "\\A[\\p{Mn}\\p{Me}\\p{Cf}\\p{Lm}\\p{Sk}'.:\\x{b7}\\x{2019}]"), at, next - at))
			continue;
		return own_match(own_pattern(&letter, "\\A\\p{L&}"), at, next - at);
	}
	return false;
}

bool
regex_letter_after(const char *s, int len)
{
	static pcre2_code *code = NULL;

	return own_match(own_pattern(&code, "\\A[\\p{Mn}\\p{Me}\\p{Cf}\\p{Lm}\\p{Sk}'.:\\x{b7}\\x{2019}]*+\\p{L&}"), s, len);
}

/* Appends the text in Unicode's simple upper or lower case. */
void
regex_case(StringInfo out, const char *s, int len, bool upper)
{
	static pcre2_code *code = NULL;
	PCRE2_SIZE	size;
	int			rc;

	if (len == 0)
		return;
	expr_reserve((Size) len * 3);
	size = (PCRE2_SIZE) len * 3 + 16;
	enlargeStringInfo(out, size);
	rc = pcre2_substitute(own_pattern(&code, "(?s)\\A.+\\z"), (PCRE2_SPTR) s, len, 0,
						  PCRE2_SUBSTITUTE_EXTENDED | PCRE2_NO_UTF_CHECK, NULL, NULL,
						  (PCRE2_SPTR) (upper ? "\\U$0" : "\\L$0"), 5 - 1, (PCRE2_UCHAR *) out->data + out->len, &size);
	if (rc < 0)
		expr_fail("the case of a text cannot be changed (PCRE2 error %d)", rc);
	out->len += size;
	out->data[out->len] = '\0';
}
