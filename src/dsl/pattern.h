/*
 * pattern.h
 *		The regular expressions that are part of the language.
 */
#ifndef MISTRAL_PATTERN_H
#define MISTRAL_PATTERN_H

#include "postgres.h"

typedef enum PatternId
{
	PATTERN_YAQL,				/* the whole text is YAQL, space may follow */
	PATTERN_JINJA,				/* the whole text is Jinja2, space may follow */
	PATTERN_ANY_YAQL,			/* YAQL somewhere */
	PATTERN_ANY_JINJA,			/* Jinja2 somewhere, blocks too */
	PATTERN_COMMAND,			/* name at the start of `name k=v` */
	PATTERN_PARAMETER,			/* one k=v */
	PATTERN_RETRY_PARAMETER,	/* the same, and decimals for the keys that are ours */
	PATTERN_WITH_ITEMS,			/* var in list */
	PATTERN_TARGET,				/* t */
	PATTERN_TARGET_PARAMETER,	/* t k=v */
	PATTERN_TARGET_CALL,		/* t(k=v) */
	PATTERN_WORD,				/* keys whose values the schema looks at */
	PATTERN_WORKBOOK_ITEM		/* names inside a workbook */
} PatternId;

#define PATTERN_MAX_GROUPS 6

typedef struct PatternMatch
{
	int			ngroups;
	int			start[PATTERN_MAX_GROUPS];	/* byte offsets; group 0 is the whole; -1: not there */
	int			end[PATTERN_MAX_GROUPS];
} PatternMatch;

/*
 * Searches text from byte `from`.  `match` may be NULL.  False also when the
 * search exceeds its limit of steps.
 */
extern bool pattern_search(PatternId id, const char *text, int len, int from, PatternMatch *match);

/* The expression itself: what JSON Schema's readers understand, too. */
extern const char *pattern_text(PatternId id);

#endif							/* MISTRAL_PATTERN_H */
