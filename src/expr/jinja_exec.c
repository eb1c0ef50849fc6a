/*
 * jinja_exec.c
 *		Jinja2's statements: what they write goes to the text at hand.
 */
#include "postgres.h"

#include "expr/jinja.h"

/* Writes a value as text, escaped where escaping is on. */
void
jinja_output(Jinja *j, const Value *value)
{
	Value		text = j->autoescape ? jinja_escape(value) : jinja_str(value);

	expr_reserve((Size) j->out->len + text.u.string.len);
	if (j->out->len > EVAL_MAX_LENGTH - text.u.string.len)
		expr_limit("a text grows too long");
	appendBinaryStringInfo(j->out, text.u.string.data, text.u.string.len);
}

/* What a body writes, as a value. */
Value
jinja_capture(Jinja *j, const JinjaNode *body, JinjaScope *scope)
{
	StringInfoData buf;
	StringInfo	outer = j->out;
	Value		text;

	initStringInfo(&buf);
	j->out = &buf;
	jinja_execute(j, body, scope);
	j->out = outer;
	text = value_text(&buf);
	return j->autoescape ? jinja_markup(text) : text;
}

static void
assign_namespace(Jinja *j, const JinjaNode *target, Value value, JinjaScope *scope)
{
	Value		object = jinja_eval(j, target->left, scope);
	JinjaNamespace *ns = (JinjaNamespace *) jinja_object(&object, JINJA_OBJECT_NAMESPACE);

	j->ev.position = target->position;
	if (ns == NULL)
		expr_fail("only the attributes of a namespace can be assigned to");
	value_dict_put(&ns->attributes, value_cstring(target->name), value);
}

void
jinja_assign(Jinja *j, const JinjaNode *target, Value value, JinjaScope *scope)
{
	Value		list;
	ListObject *object;

	if (target->type == JINJA_NAME)
	{
		jinja_set(scope, target->name, value);
		return;
	}
	if (target->type == JINJA_NAMESPACE_TARGET)
	{
		assign_namespace(j, target, value, scope);
		return;
	}
	j->ev.position = target->position;
	list = jinja_collect(&value);
	object = list.u.object;
	if (object->n != target->n)
		expr_fail("%d values cannot be assigned to %d names", object->n, target->n);
	for (int i = 0; i < target->n; i++)
		jinja_assign(j, target->items[i], object->items[i], scope);
}

/* The elements that pass the loop's condition. */
static Value
filtered(Jinja *j, const JinjaNode *node, const Value *iterable, JinjaScope *scope)
{
	Iterator   *it = jinja_iterate(iterable);
	Value		list = value_list_new();
	Value		item;

	while (iterator_next(it, &item))
	{
		JinjaScope *inner = jinja_scope(scope);
		Value		keep;

		jinja_assign(j, node->left, item, inner);
		keep = jinja_eval(j, node->test, inner);
		if (jinja_truth(&keep))
			value_push(&list, item);
	}
	return jinja_mutable(list);
}

/* A scope for the next turn: the last one, when nothing can have kept it. */
static JinjaScope *
next_scope(Jinja *j, JinjaScope *last, JinjaScope *parent)
{
	if (last == NULL || j->template->closes)
		return jinja_scope(parent);
	while (last->variables)
	{
		JinjaVariable *variable = last->variables;

		last->variables = variable->next;
		pfree(variable);
	}
	return last;
}

/* One walk over the iterable: outer is the loop that calls itself, or one that only says where it is. */
static void
run_loop(Jinja *j, const JinjaNode *node, JinjaScope *scope, Value iterable, int depth0)
{
	JinjaLoop  *loop = palloc0(sizeof(JinjaLoop));
	Value		value = jinja_new_object(&loop->base, JINJA_OBJECT_LOOP);
	Value		item;
	JinjaScope *inner = NULL;

	expr_check_depth();
	if (node->test)
		iterable = filtered(j, node, &iterable, scope);
	loop->node = node;
	loop->scope = scope;
	loop->iterable = iterable;
	loop->it = jinja_iterate(&iterable);
	loop->index0 = -1;
	loop->length = -1;
	loop->depth0 = depth0;
	for (;;)
	{
		if (loop->has_after)
		{
			item = loop->after;
			loop->has_after = false;
		}
		else if (loop->ended || !iterator_next(loop->it, &item))
			break;
		loop->index0++;
		loop->before = loop->current;
		loop->current = item;
		inner = next_scope(j, inner, scope);
		jinja_set(inner, "loop", value);
		jinja_assign(j, node->left, item, inner);
		jinja_execute(j, node->body, inner);
	}
	if (loop->index0 < 0 && node->other)
		jinja_execute(j, node->other, jinja_scope(scope));
}

/* loop(iterable): the body again, one level deeper. */
Value
jinja_run_loop(Jinja *j, JinjaLoop *outer, Value iterable)
{
	StringInfoData buf;
	StringInfo	out = j->out;

	if (!outer->node->flag)
		expr_fail("a loop that calls itself must be marked \"recursive\"");
	initStringInfo(&buf);
	j->out = &buf;
	run_loop(j, outer->node, outer->scope, iterable, outer->depth0 + 1);
	j->out = out;
	return j->autoescape ? jinja_markup(value_text(&buf)) : value_text(&buf);
}

static void
execute_for(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		iterable = jinja_eval(j, node->right, scope);

	j->ev.position = node->right->position;
	run_loop(j, node, scope, iterable, 0);
}

/* A chain of filters whose innermost operand is what the body wrote. */
static Value
apply_filters(Jinja *j, const JinjaNode *filter, Value text, JinjaScope *scope)
{
	JinjaCall	call = {0};
	Value		piped = filter->left ? apply_filters(j, filter->left, text, scope) : text;

	jinja_call_args(j, filter->args, scope, &call);
	j->ev.position = filter->position;
	if (filter->function == NULL)
		expr_fail("there is no filter \"%s\"", filter->name);
	return jinja_call_filter(j, filter->function, &piped, &call);
}

static void
execute_set_block(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		text = jinja_capture(j, node->body, jinja_scope(scope));

	if (node->right)
		text = apply_filters(j, node->right, text, scope);
	jinja_assign(j, node->left, text, scope);
}

static Value
new_macro(const JinjaNode *node, JinjaScope *scope)
{
	JinjaMacro *macro = palloc0(sizeof(JinjaMacro));

	macro->node = node;
	macro->signature = node->signature;
	macro->scope = scope;
	return jinja_new_object(&macro->base, JINJA_OBJECT_MACRO);
}

static void
execute_call_block(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	JinjaCall	call = {0};
	Value		callee = jinja_eval(j, node->left->left, scope);
	Value		result;
	int			n;

	jinja_call_args(j, node->left->args, scope, &call);
	n = call.nkeywords;
	call.names = call.names ? repalloc(call.names, (n + 1) * sizeof(char *)) : palloc(sizeof(char *));
	call.values = call.values ? repalloc(call.values, (n + 1) * sizeof(Value)) : palloc(sizeof(Value));
	call.names[n] = "caller";
	call.values[n] = new_macro(node, scope);
	call.nkeywords++;
	j->ev.position = node->left->position;
	result = jinja_call_value(j, &callee, &call);
	jinja_output(j, &result);
}

/* The keyword argument of that name, taken out of the call; false when there is none. */
static bool
take_keyword(JinjaCall *call, const char *name, Value *value)
{
	for (int i = 0; i < call->nkeywords; i++)
	{
		if (strcmp(call->names[i], name) != 0)
			continue;
		*value = call->values[i];
		call->nkeywords--;
		memmove(&call->names[i], &call->names[i + 1], (call->nkeywords - i) * sizeof(char *));
		memmove(&call->values[i], &call->values[i + 1], (call->nkeywords - i) * sizeof(Value));
		return true;
	}
	return false;
}

/* What macros get beside their parameters, when they name it. */
static void
bind_extras(JinjaMacro *macro, JinjaCall *call, JinjaScope *scope)
{
	const JinjaSignature *s = macro->signature;
	Value		value;

	if (s->uses_caller && !s->explicit_caller)
	{
		if (!take_keyword(call, "caller", &value))
			value = jinja_undefined_because("no caller is defined");
		jinja_set(scope, "caller", value);
	}
	if (s->uses_kwargs)
	{
		Value		dict = value_dict_new();

		for (int i = 0; i < call->nkeywords; i++)
			value_dict_put(&dict, value_cstring(call->names[i]), call->values[i]);
		dict.flags |= VALUE_F_MUTABLE;
		jinja_set(scope, "kwargs", dict);
	}
	else if (call->nkeywords)
		expr_fail("the macro \"%s\" takes no argument %s", macro->node->name, jinja_shown_name(call->j, call->names[0]));
	if (s->uses_varargs)
		jinja_set(scope, "varargs", value_list_of(call->args + Min(s->n, call->nargs), Max(call->nargs - s->n, 0)));
	else if (call->nargs > s->n)
		expr_fail("the macro \"%s\" takes no more than %d arguments", macro->node->name, s->n);
}

Value
jinja_call_macro(Jinja *j, JinjaMacro *macro, JinjaCall *call)
{
	const JinjaSignature *s = macro->signature;
	JinjaScope *scope = jinja_scope(macro->scope);

	expr_check_depth();
	for (int i = 0; i < s->n; i++)
	{
		int			fallback = i - (s->n - s->ndefaults);
		Value		value;

		if (i < call->nargs)
			value = call->args[i];
		else if (!take_keyword(call, s->names[i], &value))
			value = fallback >= 0 ? jinja_eval(j, s->defaults[fallback], scope) :
				jinja_undefined_because(psprintf("the parameter \"%s\" was not given", s->names[i]));
		jinja_set(scope, s->names[i], value);
	}
	bind_extras(macro, call, scope);
	return jinja_capture(j, macro->node->body, scope);
}

/* The body of a block, seen from outside of every loop, and of what escapes. */
Value
jinja_call_block_ref(Jinja *j, const JinjaNode *block)
{
	bool		outer = j->autoescape;
	Value		value;

	expr_check_depth();
	j->autoescape = false;
	value = jinja_capture(j, block->body, jinja_scope(j->root));
	j->autoescape = outer;
	return outer ? jinja_markup(value) : value;
}

static void
execute_block(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	bool		outer = j->autoescape;

	if (node->required)
		expr_fail("no other template fills the block \"%s\"", node->name);
	j->autoescape = false;
	jinja_execute(j, node->body, jinja_scope(node->flag ? scope : j->root));
	j->autoescape = outer;
}

static void
execute_with(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	JinjaScope *inner = jinja_scope(scope);

	for (int i = 0; i + 1 < node->n; i += 2)
		jinja_assign(j, node->items[i], jinja_eval(j, node->items[i + 1], scope), inner);
	jinja_execute(j, node->body, inner);
}

static void
execute_autoescape(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		value = jinja_eval(j, node->left, scope);
	bool		outer = j->autoescape;

	j->autoescape = jinja_truth(&value);
	jinja_execute(j, node->body, jinja_scope(scope));
	j->autoescape = outer;
}

void
jinja_execute(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		value;

	expr_check_depth();
	eval_tick(&j->ev);
	j->ev.position = node->position;
	switch (node->type)
	{
		case JINJA_BODY:
			for (int i = 0; i < node->n; i++)
				jinja_execute(j, node->items[i], scope);
			break;
		case JINJA_DATA:
			expr_reserve((Size) j->out->len + node->value.u.string.len);
			if (j->out->len > EVAL_MAX_LENGTH - node->value.u.string.len)
				expr_limit("a text grows too long");
			appendBinaryStringInfo(j->out, node->value.u.string.data, node->value.u.string.len);
			break;
		case JINJA_OUTPUT:
			value = jinja_eval(j, node->left, scope);
			j->ev.position = node->position;
			jinja_output(j, &value);
			break;
		case JINJA_IF:
			value = jinja_eval(j, node->test, scope);
			j->ev.position = node->position;
			if (jinja_truth(&value))
				jinja_execute(j, node->body, scope);
			else if (node->other)
				jinja_execute(j, node->other, scope);
			break;
		case JINJA_FOR:
			execute_for(j, node, scope);
			break;
		case JINJA_SET:
			jinja_assign(j, node->left, jinja_eval(j, node->right, scope), scope);
			break;
		case JINJA_SET_BLOCK:
			execute_set_block(j, node, scope);
			break;
		case JINJA_MACRO:
			jinja_set(scope, node->name, new_macro(node, scope));
			break;
		case JINJA_CALL_BLOCK:
			execute_call_block(j, node, scope);
			break;
		case JINJA_FILTER_BLOCK:
			value = apply_filters(j, node->right, jinja_capture(j, node->body, jinja_scope(scope)), scope);
			if (value.kind != VALUE_STRING)
				expr_fail("a filter of a block must give a string, not %s", jinja_kind_name(&value));
			jinja_output(j, &value);
			break;
		case JINJA_WITH:
			execute_with(j, node, scope);
			break;
		case JINJA_AUTOESCAPE:
			execute_autoescape(j, node, scope);
			break;
		case JINJA_BLOCK:
			execute_block(j, node, scope);
			break;
		case JINJA_NO_LOADER:
			expr_fail("there are no other templates");
		default:
			elog(ERROR, "unexpected node of type %d in a Jinja2 template", (int) node->type);
	}
}
