/*
 * regex.h
 *		Regular expressions in Python's dialect, run by PCRE2.
 */
#ifndef MISTRAL_REGEX_H
#define MISTRAL_REGEX_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define REGEX_IGNORE_CASE 1
#define REGEX_MULTI_LINE 2
#define REGEX_DOT_ALL 4
#define REGEX_VERBOSE 8			/* from the pattern only */
#define REGEX_UNICODE 16		/* as regex() has it: (?a) is an error */

typedef struct Regex
{
	void	   *code;
	void	   *match_data;
	char	   *pattern;
	int			len;
	int			given;			/* flags beside the pattern */
	int			flags;			/* with those at the pattern's start */
	int			groups;
	bool		named;			/* has named groups */
} Regex;

/* One match: byte offsets, a pair for the whole and for each group, -1 unset. */
typedef struct RegexMatch
{
	int			n;				/* pairs */
	int		   *offsets;
} RegexMatch;

/* Compiles into the current memory context; raises what Python's re refuses. */
extern Regex *regex_compile(const char *pattern, int len, int flags);

/*
 * Finds the first match at or after `start`; with `advance` an empty match at
 * `start` itself does not count, as after an empty match.  The match lives in
 * the current memory context.
 */
extern bool regex_search(Regex *re, const char *s, int len, int start, bool advance, RegexMatch *match);

/* Whether it matches anywhere. */
extern bool regex_matches(Regex *re, const char *s, int len);

/* Python's replacement template for a match. */
extern void regex_expand(Regex *re, StringInfo out, const char *template, int template_len,
						 const char *s, const RegexMatch *match);

/* Raises what is wrong with a template, before anything matches. */
extern void regex_check_template(Regex *re, const char *template, int template_len);

extern void regex_escape(StringInfo out, const char *s, int len);
/* A copy that can be shown and compared, not matched. */
extern Regex *regex_copy_pattern(const Regex *re);

extern bool regex_equal(const void *a, const void *b);
extern uint32 regex_hash(const void *re);

/* What unicode.c takes from PCRE2's tables; UTF-8 only. */
extern bool regex_printable(const char *s, int len);
extern void regex_case(StringInfo out, const char *s, int len, bool upper);
extern bool regex_word(const char *s, int len);
extern bool regex_letter_before(const char *s, int len);
extern bool regex_letter_after(const char *s, int len);

#endif							/* MISTRAL_REGEX_H */
