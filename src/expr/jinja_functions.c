/*
 * jinja_functions.c
 *		Jinja2's global functions, and Mistral's.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"

#include "base/ids.h"
#include "expr/jinja.h"

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

/* The functions that ask the engine know one context only. */
static const ExprEnv *
host_of(JinjaCall *call, bool available)
{
	if (!is_context(call->j, ARG(0)))
		expr_fail("%s() needs the context, not %s", call->name, jinja_kind_name(ARG(0)));
	if (!available)
		expr_fail("%s() is not available here", call->name);
	return call->j->ev.env;
}

/* Whether the engine offers a function. */
#define OFFERS(call, callback) \
	((call)->j->ev.env->host != NULL && (call)->j->ev.env->host->callback != NULL)

/* What the host answers is made in the caller's memory: it may outlive the evaluation. */
#define ASK_HOST(call, callback, ...) \
	do { \
		const ExprEnv *env_ = host_of(call, OFFERS(call, callback)); \
		MemoryContext old_ = MemoryContextSwitchTo((call)->j->ev.outer); \
		Value		answer_ = env_->host->callback(__VA_ARGS__); \
		MemoryContextSwitchTo(old_); \
		return value_raw(answer_); \
	} while (0)

/* A string argument, NULL where there is none. */
static char *
text_arg(JinjaCall *call, int i)
{
	if (!GIVEN(i) || ARG(i)->kind == VALUE_NULL)
		return NULL;
	if (ARG(i)->kind != VALUE_STRING)
		expr_fail("%s() takes strings, not %s", call->name, jinja_kind_name(ARG(i)));
	return pnstrdup(ARG(i)->u.string.data, ARG(i)->u.string.len);
}

/* Of any other dict it is the key "__env". */
Value
jinja_f_env(JinjaCall *call)
{
	Value		value;

	if (is_context(call->j, ARG(0)))
	{
		if (OFFERS(call, env))
			ASK_HOST(call, env, env_->host_arg);
		value = expr_variable(call->j->ev.env, EXPR_ENV);
		if (value.kind != VALUE_NULL)
			return value;
	}
	if (ARG(0)->kind != VALUE_DICT)
		expr_fail("env() needs the context, not %s", jinja_kind_name(ARG(0)));
	if (!value_dict_get(ARG(0), "__env", strlen("__env"), &value))
		expr_fail("there is no environment");
	return value;
}

Value
jinja_f_execution(JinjaCall *call)
{
	if (call->j->ev.env->host == NULL)
	{
		Value		execution = expr_variable(call->j->ev.env, EXPR_EXECUTION);

		if (execution.kind == VALUE_DICT)
			return execution;
	}
	ASK_HOST(call, execution, env_->host_arg);
}

Value
jinja_f_executions(JinjaCall *call)
{
	char	   *id = text_arg(call, 1);
	char	   *root = text_arg(call, 2);
	char	   *state = text_arg(call, 3);
	char	   *from = text_arg(call, 4);
	char	   *to = text_arg(call, 5);

	ASK_HOST(call, executions, env_->host_arg, id, root, state, from, to);
}

Value
jinja_f_global(JinjaCall *call)
{
	char	   *name = text_arg(call, 1);

	if (name == NULL)
		expr_fail("global() takes the name of a variable");
	ASK_HOST(call, global, env_->host_arg, name);
}

Value
jinja_f_task(JinjaCall *call)
{
	char	   *name = text_arg(call, 1);

	if (name && *name == '\0')
		name = NULL;
	ASK_HOST(call, task, env_->host_arg, name);
}

Value
jinja_f_tasks(JinjaCall *call)
{
	char	   *execution = text_arg(call, 1);
	char	   *state = text_arg(call, 3);
	bool		recursive = jinja_flag_arg(call, 2, false);
	bool		flat = jinja_flag_arg(call, 4, false);

	ASK_HOST(call, tasks, env_->host_arg, execution, recursive, state, flat);
}

Value
jinja_f_json_dump(JinjaCall *call)
{
	StringInfoData out;

	jinja_use(ARG(1));
	initStringInfo(&out);
	json_dump(&out, ARG(1), 4);
	return value_text(&out);
}

static Value
need_text(JinjaCall *call)
{
	if (ARG(1)->kind != VALUE_STRING)
		expr_fail("%s() takes a string, not %s", call->name, jinja_kind_name(ARG(1)));
	return *ARG(1);
}

Value
jinja_f_json_parse(JinjaCall *call)
{
	Value		text = need_text(call);

	return json_parse(text.u.string.data, text.u.string.len);
}

/* The deprecated form: escaped line ends become line ends, and the context is the default. */
Value
jinja_f_json_pp(JinjaCall *call)
{
	Value		data = GIVEN(1) && jinja_truth(ARG(1)) ? *ARG(1) : *ARG(0);
	Value		text;
	Value		escaped = value_cstring("\\n");
	Value		end = value_cstring("\n");
	Value		blank_end = value_cstring(" \n");
	StringInfoData out;

	jinja_use(&data);
	initStringInfo(&out);
	json_dump(&out, &data, 4);
	text = value_text(&out);
	text = jinja_replace(&text, &escaped, &end, -1);
	return jinja_replace(&text, &blank_end, &end, -1);
}

/* A random identifier (version 4). */
Value
jinja_f_uuid(JinjaCall *call)
{
	pg_uuid_t	id;

	if (!pg_strong_random(id.data, UUID_LEN))
		expr_fail("there are no random numbers");
	id.data[6] = (id.data[6] & 0x0f) | 0x40;
	id.data[8] = (id.data[8] & 0x3f) | 0x80;
	return value_cstring(id_cstring(&id));
}

Value
jinja_f_yaml_dump(JinjaCall *call)
{
	StringInfoData out;

	jinja_use(ARG(1));
	initStringInfo(&out);
	yaml_dump(&out, ARG(1));
	return value_text(&out);
}

Value
jinja_f_yaml_parse(JinjaCall *call)
{
	Value		text = need_text(call);

	return yaml_parse(text.u.string.data, text.u.string.len);
}
