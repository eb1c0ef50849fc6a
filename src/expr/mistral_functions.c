/*
 * mistral_functions.c
 *		The functions that Mistral adds to both languages.
 *
 * What needs the engine is asked through ExprHost.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/uuid.h"

#include "base/ids.h"
#include "expr/mistral_functions.h"

#define ARG(i) (&call->args[i])

static const MistralFunction functions[] = {
#define MISTRAL(name, function, asks_engine, yaql, jinja) {name, function, asks_engine},
#include "expr/mistral_func_list.h"
#undef MISTRAL
};

const MistralFunction *
mistral_function(const char *name)
{
	for (int i = 0; i < lengthof(functions); i++)
		if (strcmp(functions[i].name, name) == 0)
			return &functions[i];
	return NULL;
}

/* A string argument, NULL for null. */
static char *
text_arg(MistralCall *call, int i)
{
	if (ARG(i)->kind == VALUE_NULL)
		return NULL;
	if (ARG(i)->kind != VALUE_STRING)
		expr_fail("%s() takes strings, not %s", call->name, value_kind_name(ARG(i)));
	return pnstrdup(ARG(i)->u.string.data, ARG(i)->u.string.len);
}

/* What the host answers is made in the caller's memory: it may outlive the evaluation. */
#define ASK_HOST(call, callback, ...) \
	do { \
		const ExprEnv *env_ = (call)->ev->env; \
		MemoryContext old_; \
		Value		answer_; \
		if (env_->host == NULL || env_->host->callback == NULL) \
			expr_fail("%s() is not available here", (call)->name); \
		old_ = MemoryContextSwitchTo((call)->ev->outer); \
		answer_ = env_->host->callback(__VA_ARGS__); \
		MemoryContextSwitchTo(old_); \
		return value_raw(answer_); \
	} while (0)

Value
mistral_task(MistralCall *call)
{
	char	   *name = text_arg(call, 0);

	if (name && *name == '\0')
		name = NULL;
	ASK_HOST(call, task, env_->host_arg, name);
}

Value
mistral_tasks(MistralCall *call)
{
	char	   *execution = text_arg(call, 0);
	char	   *state = text_arg(call, 2);

	ASK_HOST(call, tasks, env_->host_arg, execution, value_truth(ARG(1)), state, value_truth(ARG(3)));
}

Value
mistral_execution(MistralCall *call)
{
	if (call->ev->env->host == NULL)
	{
		Value		execution = expr_variable(call->ev->env, EXPR_EXECUTION);

		if (execution.kind == VALUE_DICT)
			return execution;
	}
	ASK_HOST(call, execution, env_->host_arg);
}

Value
mistral_executions(MistralCall *call)
{
	char	   *id = text_arg(call, 0);
	char	   *root = text_arg(call, 1);
	char	   *state = text_arg(call, 2);
	char	   *from = text_arg(call, 3);
	char	   *to = text_arg(call, 4);

	ASK_HOST(call, executions, env_->host_arg, id, root, state, from, to);
}

Value
mistral_env(MistralCall *call)
{
	const ExprEnv *env = call->ev->env;

	if (env->host == NULL || env->host->env == NULL)
		return expr_variable(env, EXPR_ENV);
	ASK_HOST(call, env, env_->host_arg);
}

Value
mistral_global(MistralCall *call)
{
	char	   *name = text_arg(call, 0);

	if (name == NULL)
		expr_fail("global() takes the name of a variable");
	ASK_HOST(call, global, env_->host_arg, name);
}

Value
mistral_secret(MistralCall *call)
{
	char	   *name = text_arg(call, 0);

	if (name == NULL)
		expr_fail("secret() takes the name of a secret");
	ASK_HOST(call, secret, env_->host_arg, name);
}

static const Value *
need_string(MistralCall *call)
{
	if (ARG(0)->kind != VALUE_STRING)
		expr_fail("%s() takes a string, not %s", call->name, value_kind_name(ARG(0)));
	return ARG(0);
}

Value
mistral_json_parse(MistralCall *call)
{
	const Value *text = need_string(call);

	return json_parse(text->u.string.data, text->u.string.len);
}

Value
mistral_json_dump(MistralCall *call)
{
	StringInfoData out;

	initStringInfo(&out);
	json_dump(&out, ARG(0), 4);
	return value_text(&out);
}

/* The deprecated form: escaped line ends become line ends, and the whole context is the default. */
Value
mistral_json_pp(MistralCall *call)
{
	StringInfoData out;
	StringInfoData text;

	initStringInfo(&out);
	initStringInfo(&text);
	json_dump(&out, value_truth(ARG(0)) ? ARG(0) : &call->context, 4);
	for (int i = 0; i < out.len; i++)
	{
		bool		line = out.data[i] == '\\' && i + 1 < out.len && out.data[i + 1] == 'n';

		if (line)
			i++;
		if ((line || out.data[i] == '\n') && text.len > 0 && text.data[text.len - 1] == ' ')
			text.len--;
		appendStringInfoChar(&text, line ? '\n' : out.data[i]);
	}
	return value_text(&text);
}

Value
mistral_yaml_parse(MistralCall *call)
{
	const Value *text = need_string(call);

	return yaml_parse(text->u.string.data, text->u.string.len);
}

Value
mistral_yaml_dump(MistralCall *call)
{
	StringInfoData out;

	initStringInfo(&out);
	yaml_dump(&out, ARG(0));
	return value_text(&out);
}

/* A random identifier (version 4). */
Value
mistral_uuid(MistralCall *call)
{
	pg_uuid_t	id;

	if (!pg_strong_random(id.data, UUID_LEN))
		expr_fail("there are no random numbers");
	id.data[6] = (id.data[6] & 0x0f) | 0x40;
	id.data[8] = (id.data[8] & 0x3f) | 0x80;
	return value_cstring(id_cstring(&id));
}
