/*
 * yaql_system.c
 *		Contexts and calls by name; Mistral's own functions.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/uuid.h"

#include "base/ids.h"
#include "expr/yaql_lib.h"

static Value
context_value(Frame *frame)
{
	return value_object(VALUE_CONTEXT, 0, frame);
}

Value
yaql_with(YaqlCall *call)
{
	Frame	   *frame = yaql_frame(call->frame);

	for (int i = 0; i < call->nargs; i++)
		yaql_set_argument(frame, i + 1, *ARG(i));
	return context_value(frame);
}

Value
yaql_let(YaqlCall *call)
{
	Value		context = yaql_with(call);

	for (int i = 0; i < call->nkeywords; i++)
		yaql_set_variable(context.u.object, call->keyword_names[i], call->keyword_values[i]);
	return context;
}

Value
yaql_def(YaqlCall *call)
{
	Frame	   *frame = yaql_frame(call->frame);
	FrameFunction *function = palloc(sizeof(FrameFunction));
	Lambda	   *body = ARG(1)->u.object;

	/* The body sees the function itself. */
	body->frame = frame;
	*function = (FrameFunction)
	{
		frame->functions, *ARG(0), *ARG(1)
	};
	frame->functions = function;
	call->ev->defines = true;
	return context_value(frame);
}

Value
yaql_unpack(YaqlCall *call)
{
	Iterator   *it = value_iterate(ARG(0));
	Frame	   *frame = yaql_frame(call->frame);
	int			names = call->nargs - 1;
	int			n = 0;
	Value		item;

	while (iterator_next(it, &item))
	{
		n++;
		if (names == 0)
			yaql_set_argument(frame, n, item);
		else if (n <= names)
			yaql_set_variable(frame, *ARG(n), item);
		else
			break;
	}
	if (names > 0 && n != names)
		expr_fail("unpack() got another number of elements than of names");
	return context_value(frame);
}

Value
yaql_call(YaqlCall *call)
{
	ListObject *list = value_list_object(ARG(1));
	DictObject *dict = value_dict_object(ARG(2));
	Argument   *args = palloc0(sizeof(Argument) * (list->n + dict->n + 1));
	const Value *name = ARG(0);
	const YaqlGroup *group = yaql_group(name->u.string.data, name->u.string.len);

	for (int i = 0; i < list->n; i++)
		args[i].value = list->items[i];
	for (int i = 0; i < dict->n; i++)
	{
		Value	   *key = &dict->entries[i].key;

		if (key->kind != VALUE_STRING)
			expr_fail("the name of an argument of call() must be a string");
		args[list->n + i].name = value_string(pnstrdup(key->u.string.data, key->u.string.len), key->u.string.len);
		args[list->n + i].value = dict->entries[i].item;
	}
	return yaql_call_function(call->ev, call->frame, NULL, group, name, GIVEN(3) ? ARG(3) : NULL,
							  args, list->n + dict->n);
}

Value
yaql_assert(YaqlCall *call)
{
	Value		object = value_memorize(ARG(0));
	Value		result = yaql_call1(call->ev, ARG(1), object);

	if (!value_truth(&result))
		expr_fail("%.*s", ARG(2)->u.string.len, ARG(2)->u.string.data);
	return object;
}

Value
yaql_send(YaqlCall *call)
{
	return yaql_call_lambda_in(call->ev, ARG(1), ARG(0)->u.object);
}

/* A string argument, NULL for null. */
static char *
text_arg(YaqlCall *call, int i)
{
	if (!HAS(i))
		return NULL;
	if (ARG(i)->kind != VALUE_STRING)
		expr_fail("%s() takes strings, not %s", call->function->name, value_kind_name(ARG(i)));
	return pnstrdup(ARG(i)->u.string.data, ARG(i)->u.string.len);
}

static void unavailable(YaqlCall *call) pg_attribute_noreturn();

static void
unavailable(YaqlCall *call)
{
	expr_fail("%s() is not available here", call->function->name);
}

/* What the host answers is made in the caller's memory: it may outlive the evaluation. */
#define ASK_HOST(call, callback, ...) \
	do { \
		const ExprEnv *env_ = (call)->ev->env; \
		MemoryContext old_; \
		Value		answer_; \
		if (env_->host == NULL || env_->host->callback == NULL) \
			unavailable(call); \
		old_ = MemoryContextSwitchTo((call)->ev->outer); \
		answer_ = env_->host->callback(__VA_ARGS__); \
		MemoryContextSwitchTo(old_); \
		return value_raw(answer_); \
	} while (0)

Value
yaql_task(YaqlCall *call)
{
	char	   *name = text_arg(call, 0);

	if (name && *name == '\0')
		name = NULL;
	ASK_HOST(call, task, env_->host_arg, name);
}

Value
yaql_tasks(YaqlCall *call)
{
	char	   *execution = text_arg(call, 0);
	char	   *state = text_arg(call, 2);

	ASK_HOST(call, tasks, env_->host_arg, execution, value_truth(ARG(1)), state, value_truth(ARG(3)));
}

Value
yaql_execution(YaqlCall *call)
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
yaql_executions(YaqlCall *call)
{
	char	   *id = text_arg(call, 0);
	char	   *root = text_arg(call, 1);
	char	   *state = text_arg(call, 2);
	char	   *from = text_arg(call, 3);
	char	   *to = text_arg(call, 4);

	ASK_HOST(call, executions, env_->host_arg, id, root, state, from, to);
}

Value
yaql_env(YaqlCall *call)
{
	const ExprEnv *env = call->ev->env;

	if (env->host == NULL || env->host->env == NULL)
		return expr_variable(env, EXPR_ENV);
	ASK_HOST(call, env, env_->host_arg);
}

Value
yaql_global(YaqlCall *call)
{
	char	   *name = text_arg(call, 0);

	if (name == NULL)
		expr_fail("global() takes the name of a variable");
	ASK_HOST(call, global, env_->host_arg, name);
}

static void
need_string(YaqlCall *call)
{
	if (ARG(0)->kind != VALUE_STRING)
		expr_fail("%s() takes a string, not %s", call->function->name, value_kind_name(ARG(0)));
}

Value
yaql_json_parse(YaqlCall *call)
{
	need_string(call);
	return json_parse(ARG(0)->u.string.data, ARG(0)->u.string.len);
}

Value
yaql_json_dump(YaqlCall *call)
{
	StringInfoData out;

	initStringInfo(&out);
	json_dump(&out, ARG(0), 4);
	return value_text(&out);
}

/* The deprecated form: escaped line ends become line ends, and the whole context is the default. */
Value
yaql_json_pp(YaqlCall *call)
{
	StringInfoData out;
	StringInfoData text;

	initStringInfo(&out);
	initStringInfo(&text);
	json_dump(&out, value_truth(ARG(0)) ? ARG(0) : &call->ev->env->root, 4);
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
yaql_yaml_parse(YaqlCall *call)
{
	need_string(call);
	return yaml_parse(ARG(0)->u.string.data, ARG(0)->u.string.len);
}

Value
yaql_yaml_dump(YaqlCall *call)
{
	StringInfoData out;

	initStringInfo(&out);
	yaml_dump(&out, ARG(0));
	return value_text(&out);
}

/* A random identifier (version 4). */
Value
yaql_uuid(YaqlCall *call)
{
	pg_uuid_t	id;

	if (!pg_strong_random(id.data, UUID_LEN))
		expr_fail("there are no random numbers");
	id.data[6] = (id.data[6] & 0x0f) | 0x40;
	id.data[8] = (id.data[8] & 0x3f) | 0x80;
	return value_cstring(id_cstring(&id));
}
