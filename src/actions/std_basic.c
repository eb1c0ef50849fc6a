/*
 * std_basic.c
 *		std.noop, std.echo, std.fail, std.sleep, std.test_dict.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "actions/std_basic.h"
#include "base/json.h"

/* The longest delay: a year, in seconds. */
#define MAX_DELAY 31536000.0

/* Entries that std.test_dict makes at most. */
#define MAX_TEST_DICT 1000000

static int64 delay_ms(const Jsonb *input, const char *key, double missing);

void
run_noop(const Jsonb *input, ActionOutcome *outcome)
{
}

void
run_echo(const Jsonb *input, ActionOutcome *outcome)
{
	outcome->result = json_get_jsonb(input, "output");
	outcome->delay_ms = delay_ms(input, "delay", 0);
}

/* Error data that is false in Python's sense is the same as none. */
void
run_fail(const Jsonb *input, ActionOutcome *outcome)
{
	JsonbValue *v = json_get(input, "error_data", strlen("error_data"));
	bool		given = v != NULL && v->type != jbvNull;

	if (given && v->type == jbvString)
		given = v->val.string.len > 0;
	else if (given && v->type == jbvBool)
		given = v->val.boolean;
	else if (given && v->type == jbvNumeric)
		given = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric))) != 0;
	else if (given && v->type == jbvBinary)
		given = JsonContainerSize(v->val.binary.data) > 0;

	outcome->failed = true;
	outcome->result = given ? json_from_value(v)
		: json_from_string("The action raised an exception [action=std.fail, msg='Fail action expected exception.']");
}

void
run_sleep(const Jsonb *input, ActionOutcome *outcome)
{
	outcome->delay_ms = delay_ms(input, "seconds", 1);
}

void
run_test_dict(const Jsonb *input, ActionOutcome *outcome)
{
	JsonBuilder b = {0};
	char	   *prefix = json_get_string(input, "key_prefix");
	Jsonb	   *val = json_get_jsonb(input, "val");
	int64		size = 0;
	int64		i;

	(void) json_get_int(input, "size", &size);
	if (size > MAX_TEST_DICT)
	{
		outcome->failed = true;
		outcome->result = json_from_string(psprintf("size is larger than %d", MAX_TEST_DICT));
		return;
	}
	json_begin_object(&b);
	for (i = 0; i < size; i++)
	{
		CHECK_FOR_INTERRUPTS();
		json_add_key(&b, psprintf("%s" INT64_FORMAT, prefix ? prefix : "", i));
		if (val)
			json_add_jsonb(&b, val);
		else
			json_add_string(&b, "");
	}
	json_end_object(&b);
	outcome->result = json_finish(&b);
}

/* A number of seconds as milliseconds; what is negative or no number counts as none. */
static int64
delay_ms(const Jsonb *input, const char *key, double missing)
{
	JsonbValue *v = json_get(input, key, strlen(key));
	double		seconds = missing;

	if (v != NULL && v->type == jbvNumeric)
		seconds = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric)));
	else if (v != NULL && v->type == jbvString)
	{
		char	   *text = json_value_cstring(v);
		char	   *end;

		seconds = strtod(text, &end);
		if (end == text || *end != '\0')
			seconds = 0;
	}
	if (isnan(seconds) || seconds < 0)
		seconds = 0;
	return (int64) (Min(seconds, MAX_DELAY) * 1000);
}
