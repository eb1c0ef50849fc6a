/*
 * yaql_datetime.c
 *		YAQL's dates, times and spans.
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "common/int.h"

#include "expr/yaql_lib.h"

/* Some 146000 years: nothing overflows when two are added. */
#define MAX_SPAN (PG_INT64_MAX / 2)

static Value
timespan(int64 us)
{
	if (us > MAX_SPAN || us < -MAX_SPAN)
		expr_fail("a timespan is too long");
	return (Value) {.kind = VALUE_TIMESPAN,.u.timespan = us};
}

static Value
timespan_of_double(double us)
{
	if (!isfinite(us) || fabs(us) > (double) MAX_SPAN)
		expr_fail("a timespan is too long");
	return timespan((int64) rint(us));
}

/* Seconds of a clock's offset. */
static int
offset_arg(YaqlCall *call, int i)
{
	int64		us = ARG(i)->u.timespan;

	if (us <= -INT64CONST(86400000000) || us >= INT64CONST(86400000000))
		expr_fail("an offset must be less than a day");
	return us / 1000000;
}

static int
small_arg(YaqlCall *call, int i)
{
	int64		n = yaql_int_arg(call, i);

	if (n < PG_INT32_MIN || n > PG_INT32_MAX)
		expr_fail("an argument of %s() is too large", call->function->name);
	return n;
}

Value
yaql_datetime(YaqlCall *call)
{
	return datetime_build(small_arg(call, 0), small_arg(call, 1), small_arg(call, 2), small_arg(call, 3),
						  small_arg(call, 4), small_arg(call, 5), small_arg(call, 6), offset_arg(call, 7));
}

Value
yaql_datetime_from_timestamp(YaqlCall *call)
{
	return datetime_from_timestamp(value_to_double(ARG(0)), offset_arg(call, 1));
}

Value
yaql_datetime_from_string(YaqlCall *call)
{
	const Value *s = ARG(0);
	const Value *format = ARG(1);

	if (format->kind == VALUE_NULL || format->u.string.len == 0)
		return datetime_parse_any(s->u.string.data, s->u.string.len);
	return datetime_parse(s->u.string.data, s->u.string.len, format->u.string.data, format->u.string.len);
}

Value
yaql_timespan(YaqlCall *call)
{
	static const int64 units[] = {
		INT64CONST(86400000000), INT64CONST(3600000000), INT64CONST(60000000), INT64CONST(1000000), INT64CONST(1000), 1
	};
	int64		us = 0;

	for (int i = 0; i < lengthof(units); i++)
	{
		int64		part;

		if (pg_mul_s64_overflow(yaql_int_arg(call, i), units[i], &part) || pg_add_s64_overflow(us, part, &us))
			expr_fail("a timespan is too long");
	}
	return timespan(us);
}

Value
yaql_now(YaqlCall *call)
{
	Value		now;

	if (HAS(0))
		return datetime_now(offset_arg(call, 0));
	now = datetime_now(0);
	now.flags |= VALUE_F_NAIVE;
	return now;
}

Value
yaql_localtz(YaqlCall *call)
{
	time_t		now = time(NULL);
	struct tm	tm;

	localtime_r(&now, &tm);
	return timespan((int64) tm.tm_gmtoff * 1000000);
}

Value
yaql_utctz(YaqlCall *call)
{
	return timespan(0);
}

Value
yaql_format(YaqlCall *call)
{
	return datetime_format(ARG(0), ARG(1)->u.string.data, ARG(1)->u.string.len);
}

Value
yaql_replace_datetime(YaqlCall *call)
{
	DateParts	parts;
	int			offset = ARG(0)->u.datetime.offset;

	datetime_parts(ARG(0), &parts);
	if (HAS(1))
		parts.year = small_arg(call, 1);
	if (HAS(2))
		parts.month = small_arg(call, 2);
	if (HAS(3))
		parts.day = small_arg(call, 3);
	if (HAS(4))
		parts.hour = small_arg(call, 4);
	if (HAS(5))
		parts.minute = small_arg(call, 5);
	if (HAS(6))
		parts.second = small_arg(call, 6);
	if (HAS(7))
		parts.microsecond = small_arg(call, 7);
	if (HAS(8))
		offset = offset_arg(call, 8);
	return datetime_build(parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second,
						  parts.microsecond, offset);
}

Value
yaql_is_datetime(YaqlCall *call)
{
	return value_bool(yaql_type(ARG(0)) == TYPE_DATETIME);
}

Value
yaql_is_timespan(YaqlCall *call)
{
	return value_bool(ARG(0)->kind == VALUE_TIMESPAN);
}

Value
yaql_add_timespans(YaqlCall *call)
{
	return timespan(ARG(0)->u.timespan + ARG(1)->u.timespan);
}

Value
yaql_subtract_timespans(YaqlCall *call)
{
	return timespan(ARG(0)->u.timespan - ARG(1)->u.timespan);
}

Value
yaql_add_datetime(YaqlCall *call)
{
	return datetime_shift(ARG(0), ARG(1)->u.timespan);
}

Value
yaql_add_to_timespan(YaqlCall *call)
{
	return datetime_shift(ARG(1), ARG(0)->u.timespan);
}

Value
yaql_subtract_timespan(YaqlCall *call)
{
	return datetime_shift(ARG(0), -ARG(1)->u.timespan);
}

Value
yaql_subtract_datetimes(YaqlCall *call)
{
	return timespan(datetime_utc(ARG(0)) - datetime_utc(ARG(1)));
}

Value
yaql_multiply_timespan(YaqlCall *call)
{
	int			which = ARG(0)->kind == VALUE_TIMESPAN ? 0 : 1;
	Value		us = value_int(ARG(which)->u.timespan);
	Value		product = number_multiply(&us, ARG(1 - which));

	return timespan_of_double(value_to_double(&product));
}

Value
yaql_divide_timespans(YaqlCall *call)
{
	if (ARG(1)->u.timespan == 0)
		expr_fail("division by zero");
	return value_float((double) ARG(0)->u.timespan / (double) ARG(1)->u.timespan);
}

Value
yaql_divide_timespan(YaqlCall *call)
{
	Value		us = value_int(ARG(0)->u.timespan);
	Value		quotient = number_divide(&us, ARG(1));

	return timespan_of_double(quotient.u.real);
}

Value
yaql_minus_timespan(YaqlCall *call)
{
	return timespan(-ARG(0)->u.timespan);
}
