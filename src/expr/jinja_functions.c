/*
 * jinja_functions.c
 *		Jinja2's global functions, and calls of Mistral's.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "expr/jinja.h"
#include "expr/mistral_functions.h"

Value
jinja_g_range(JinjaCall *call)
{
	JinjaRange *range = palloc0(sizeof(JinjaRange));
	int64		span;

	range->start = GIVEN(1) ? jinja_int(ARG(0), "the start of range()") : 0;
	range->stop = jinja_int(GIVEN(1) ? ARG(1) : ARG(0), "the end of range()");
	range->step = jinja_int_arg(call, 2, 1);
	if (range->step == 0)
		expr_fail("the step of range() is zero");
	if (pg_sub_s64_overflow(range->stop, range->start, &span) || range->step == PG_INT64_MIN)
		expr_limit("range() has more than %d elements", JINJA_MAX_RANGE);
	if (range->step > 0)
		range->length = span > 0 ? (span - 1) / range->step + 1 : 0;
	else
		range->length = span < 0 ? (-(span + 1)) / -range->step + 1 : 0;
	if (range->length > JINJA_MAX_RANGE)
		expr_limit("range() has more than %d elements", JINJA_MAX_RANGE);
	return jinja_new_object(&range->base, JINJA_OBJECT_RANGE);
}

Value
jinja_g_dict(JinjaCall *call)
{
	JinjaCall	update = *call;

	update.self = jinja_mutable(value_dict_new());
	(void) jinja_m_update(&update);
	return update.self;
}

Value
jinja_g_namespace(JinjaCall *call)
{
	JinjaNamespace *ns = palloc0(sizeof(JinjaNamespace));

	ns->attributes = jinja_g_dict(call);
	return jinja_new_object(&ns->base, JINJA_OBJECT_NAMESPACE);
}

Value
jinja_g_cycler(JinjaCall *call)
{
	JinjaCycler *cycler = palloc0(sizeof(JinjaCycler));

	if (call->nrest == 0)
		expr_fail("cycler() has nothing to choose from");
	cycler->items = value_list_of(call->rest, call->nrest);
	return jinja_new_object(&cycler->base, JINJA_OBJECT_CYCLER);
}

Value
jinja_g_joiner(JinjaCall *call)
{
	JinjaJoiner *joiner = palloc0(sizeof(JinjaJoiner));

	joiner->separator = GIVEN(0) ? *ARG(0) : value_cstring(", ");
	return jinja_new_object(&joiner->base, JINJA_OBJECT_JOINER);
}

/* A random number from 0 on, below n. */
int64
jinja_random_below(int64 n)
{
	double		fraction = DatumGetFloat8(DirectFunctionCall1(drandom, (Datum) 0));

	return Min((int64) (fraction * (double) n), n - 1);
}

/* One paragraph of words that look like Latin. */
static void
append_paragraph(Eval *ev, StringInfo out, int64 min, int64 max)
{
	static const char *const words[] = {
		"ac", "ante", "arcu", "at", "augue", "commodo", "cras", "cum", "diam", "donec", "dui", "egestas", "elit",
		"erat", "eros", "fames", "felis", "fusce", "gravida", "hac", "iaculis", "justo", "lacus", "lectus", "leo",
		"libero", "magna", "mattis", "metus", "mollis", "morbi", "nec", "nibh", "nulla", "odio", "orci", "pede",
		"porta", "purus", "quam", "quis", "risus", "rutrum", "sapien", "sem", "sociis", "tellus", "tempus", "turpis",
		"urna", "ut", "varius", "velit", "vitae", "vivamus", "volutpat"
	};
	int64		n = min + jinja_random_below(max - min);
	bool		capital = true;

	for (int64 i = 0; i < n; i++)
	{
		const char *word = words[jinja_random_below(lengthof(words))];
		int64		sign = jinja_random_below(20);

		eval_tick(ev);
		if (out->len > EVAL_MAX_LENGTH - 100)
			expr_limit("a text grows too long");
		if (i > 0)
			appendStringInfoChar(out, ' ');
		appendStringInfoChar(out, capital ? pg_ascii_toupper((unsigned char) word[0]) : word[0]);
		appendStringInfoString(out, word + 1);
		capital = sign == 0 || i == n - 1;
		if (capital)
			appendStringInfoChar(out, '.');
		else if (sign < 4)
			appendStringInfoChar(out, ',');
	}
}

Value
jinja_g_lipsum(JinjaCall *call)
{
	int64		n = jinja_int_arg(call, 0, 5);
	bool		html = jinja_flag_arg(call, 1, true);
	int64		min = jinja_int_arg(call, 2, 20);
	int64		max = jinja_int_arg(call, 3, 100);
	StringInfoData out;

	if (min >= max)
		expr_fail("lipsum() needs a minimum below the maximum");
	initStringInfo(&out);
	for (int64 i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoString(&out, html ? "\n" : "\n\n");
		appendStringInfoString(&out, html ? "<p>" : "");
		append_paragraph(&call->j->ev, &out, min, max);
		appendStringInfoString(&out, html ? "</p>" : "");
	}
	return html ? jinja_markup(value_text(&out)) : value_text(&out);
}

static bool
is_context(const Jinja *j, const Value *value)
{
	if (value->kind != VALUE_DICT || j->context.kind != VALUE_DICT ||
		((value->flags ^ j->context.flags) & VALUE_F_JSONB))
		return false;
	if (value->flags & VALUE_F_JSONB)
		return value->u.jsonb.container == j->context.u.jsonb.container;
	return value->u.object == j->context.u.object;
}

/* Of a dict that is not the context, env() is the key "__env". */
static Value
env_of(const Value *dict)
{
	Value		value;

	if (dict->kind != VALUE_DICT)
		expr_fail("env() needs the context, not %s", jinja_kind_name(dict));
	if (!value_dict_get(dict, "__env", strlen("__env"), &value))
		expr_fail("there is no environment");
	return value;
}

/* Mistral's own functions, which both languages have. */
Value
jinja_mistral(JinjaCall *call)
{
	const MistralFunction *function = mistral_function(call->name);
	MistralCall inner = {.ev = &call->j->ev,.name = call->name,.context = *ARG(0)};
	bool		context = is_context(call->j, ARG(0));
	Value		result;

	for (int i = 1; i < call->nargs; i++)
	{
		inner.args[i - 1] = value_null();
		if (!GIVEN(i))
			continue;
		jinja_use(ARG(i));
		inner.args[i - 1] = *ARG(i);
	}
	if (function->asks_engine && !context)
	{
		if (function->function == mistral_env)
			return env_of(ARG(0));
		expr_fail("%s() needs the context, not %s", call->name, jinja_kind_name(ARG(0)));
	}
	result = function->function(&inner);
	if (function->function == mistral_env && result.kind == VALUE_NULL)
		return env_of(ARG(0));
	return result;
}
