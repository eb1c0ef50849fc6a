/*
 * pattern.c
 *		The regular expressions that are part of the language, by PCRE2.
 *
 * Compiled once in a process and kept; matching allocates nothing that an error
 * could leak, and its steps are limited from each place where a match may
 * begin.  There may be many places: callouts look at the interrupts.
 */
#include "postgres.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "dsl/pattern.h"

#define MATCH_LIMIT 5000000
#define HEAP_LIMIT 65536		/* kB */

#define YAQL "<%.*?%>"
#define JINJA "(\\{\\{(.*?)\\}\\})"

static const struct
{
	PatternId	id;
	const char *text;
}			patterns[] = {
	{PATTERN_YAQL, "^" YAQL "\\s*$"},
	{PATTERN_JINJA, "^" JINJA "\\s*$"},
	{PATTERN_ANY_YAQL, YAQL},
	{PATTERN_ANY_JINJA, "\\{\\{.*?\\}\\}|\\{%.*?%\\}"},
	{PATTERN_COMMAND, "^(?:[\\w.]+[^=(\\s\"]*|" YAQL "|\\{\\{.*\\}\\}|\\{%.*%\\})"},
	{PATTERN_PARAMETER, "([-_\\w]+)=(\"[^\"]*\"\\s*|'[^']*'\\s*|" JINJA "|" YAQL "|\\[.*\\]\\s*|true|false|null|\\d+)"},
	{PATTERN_RETRY_PARAMETER, "([-_\\w]+)=(\"[^\"]*\"\\s*|'[^']*'\\s*|" JINJA "|" YAQL "|\\[.*\\]\\s*|true|false|null|"
		"(?:(?<=backoff=)|(?<=max-delay=)|(?<=jitter=))\\d+\\.\\d+|\\d+)"},
	{PATTERN_WITH_ITEMS, "^\\s*([\\w\\-]+)\\s*in\\s*(\\[.+\\]|" JINJA "|" YAQL ")"},
	{PATTERN_TARGET, "^\\S+$"},
	{PATTERN_TARGET_PARAMETER, "^\\w+ \\w+=(.*)$"},
	{PATTERN_TARGET_CALL, "^\\w+\\(\\w+=(.*)\\)$"},
	{PATTERN_WORD, "^\\w+$"},
	{PATTERN_WORKBOOK_ITEM, "^(?!version$)[\\w-]+$"}
};

static pcre2_code *compiled[lengthof(patterns)];
static pcre2_match_data *match_data = NULL;
static pcre2_match_context *match_context = NULL;

static int	watch(pcre2_callout_block *block, void *arg);
static void compile_pattern(PatternId id);

/* Called by PCRE2 before each item of a pattern: must not raise, but may end the match. */
static int
watch(pcre2_callout_block *block, void *arg)
{
	return InterruptPending && INTERRUPTS_CAN_BE_PROCESSED() ? PCRE2_ERROR_CALLOUT : 0;
}

bool
pattern_search(PatternId id, const char *text, int len, int from, PatternMatch *match)
{
	PCRE2_SIZE *ovector;
	int			rc;

	if (compiled[id] == NULL)
		compile_pattern(id);
	/* The text's encoding was verified when it entered the server. */
	do
	{
		rc = pcre2_match(compiled[id], (PCRE2_SPTR) text, len, from,
						 GetDatabaseEncoding() == PG_UTF8 ? PCRE2_NO_UTF_CHECK : 0, match_data, match_context);
		CHECK_FOR_INTERRUPTS();
	} while (rc == PCRE2_ERROR_CALLOUT);
	if (rc == PCRE2_ERROR_NOMEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (rc < 0)
		return false;
	if (match == NULL)
		return true;
	ovector = pcre2_get_ovector_pointer(match_data);
	match->ngroups = PATTERN_MAX_GROUPS;
	for (int i = 0; i < PATTERN_MAX_GROUPS; i++)
	{
		bool		set = i < rc && ovector[2 * i] != PCRE2_UNSET;

		match->start[i] = set ? (int) ovector[2 * i] : -1;
		match->end[i] = set ? (int) ovector[2 * i + 1] : -1;
	}
	return true;
}

const char *
pattern_text(PatternId id)
{
	return patterns[id].text;
}

static void
compile_pattern(PatternId id)
{
	uint32		options = PCRE2_AUTO_CALLOUT | (GetDatabaseEncoding() == PG_UTF8 ? PCRE2_UTF | PCRE2_UCP : 0);
	int			error;
	PCRE2_SIZE	offset;
	pcre2_code *code;

	Assert(patterns[id].id == id);
	if (match_context == NULL)
	{
		match_context = pcre2_match_context_create(NULL);
		if (match_context == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		pcre2_set_match_limit(match_context, MATCH_LIMIT);
		pcre2_set_heap_limit(match_context, HEAP_LIMIT);
		pcre2_set_callout(match_context, watch, NULL);
	}
	if (match_data == NULL)
	{
		match_data = pcre2_match_data_create(PATTERN_MAX_GROUPS, NULL);
		if (match_data == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	code = pcre2_compile((PCRE2_SPTR) patterns[id].text, PCRE2_ZERO_TERMINATED, options, &error, &offset, NULL);
	if (code == NULL)
		elog(ERROR, "pattern %d does not compile: error %d at %d", id, error, (int) offset);
	compiled[id] = code;
}
