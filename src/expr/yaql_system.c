/*
 * yaql_system.c
 *		Contexts, calls by name, calls of Mistral's own functions.
 */
#include "postgres.h"

#include "expr/mistral_functions.h"
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

/* Mistral's own functions, which both languages have. */
Value
yaql_mistral(YaqlCall *call)
{
	const MistralFunction *function = mistral_function(call->function->name);
	MistralCall inner = {.ev = call->ev,.name = function->name,.context = call->ev->env->root};

	for (int i = 0; i < call->nargs; i++)
		inner.args[i] = *ARG(i);
	return function->function(&inner);
}
