/*
 * std_wait_event.c
 *		std.wait_event: what is waited for.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "actions/std_wait_event.h"
#include "base/json.h"
#include "mistral.h"

/* The longest look back, in seconds: that of every delay. */
#define MAX_LOOKBACK 1000000000

static bool is_name(const Jsonb *input, const char *key, bool required);

char *
wait_event_check(const Jsonb *input)
{
	JsonbValue *lookback = json_get(input, "lookback", strlen("lookback"));
	JsonbValue *match = json_get(input, "match", strlen("match"));

	if (!is_name(input, "event", true))
		return pstrdup("event must be the name of an event, or its beginning with * behind it");
	if (IS_STATE_EVENT(json_get_string(input, "event")))
		return pstrdup("event must not be one of a state: those are for hooks and event triggers");
	if (!is_name(input, "exchange", false) || !is_name(input, "topic", false))
		return pstrdup("exchange and topic must be names");
	if (match && match->type != jbvNull && !(match->type == jbvBinary && JsonContainerIsObject(match->val.binary.data)))
		return pstrdup("match must be an object");
	if (lookback && lookback->type != jbvNull &&
		(lookback->type != jbvNumeric || !(wait_event_lookback(input) >= 0 && wait_event_lookback(input) <= MAX_LOOKBACK)))
		return psprintf("lookback must be a number of seconds between 0 and %d", MAX_LOOKBACK);
	return NULL;
}

double
wait_event_lookback(const Jsonb *input)
{
	JsonbValue *v = json_get(input, "lookback", strlen("lookback"));

	if (v == NULL || v->type != jbvNumeric)
		return -1;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
}

/* Names are as long as publish_event takes them. */
static bool
is_name(const Jsonb *input, const char *key, bool required)
{
	JsonbValue *v = json_get(input, key, strlen(key));

	if (v == NULL || v->type == jbvNull)
		return !required;
	return v->type == jbvString && v->val.string.len > 0 &&
		pg_mbstrlen_with_len(v->val.string.val, v->val.string.len) <= MAX_NAME_LENGTH;
}
