/*
 * jinja_eval.c
 *		Evaluation of Jinja2's expressions.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "expr/jinja.h"

JinjaScope *
jinja_scope(JinjaScope *parent)
{
	JinjaScope *scope = palloc(sizeof(JinjaScope));

	scope->parent = parent;
	scope->variables = NULL;
	return scope;
}

void
jinja_set(JinjaScope *scope, const char *name, Value value)
{
	JinjaVariable *variable;

	for (variable = scope->variables; variable; variable = variable->next)
	{
		if (strcmp(variable->name, name) == 0)
		{
			variable->value = value;
			return;
		}
	}
	variable = palloc(sizeof(JinjaVariable));
	*variable = (JinjaVariable)
	{
		scope->variables, name, value
	};
	scope->variables = variable;
}

static Value
lookup(Jinja *j, const char *name, JinjaScope *scope)
{
	Value		value;

	for (; scope; scope = scope->parent)
		for (const JinjaVariable *v = scope->variables; v; v = v->next)
			if (strcmp(v->name, name) == 0)
				return v->value;
	return jinja_global(j, name, &value) ? value : jinja_undefined(name);
}

static Value
eval_items(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		list = value_list_sized(node->n);

	for (int i = 0; i < node->n; i++)
		value_push(&list, jinja_eval(j, node->items[i], scope));
	return list;
}

static Value
eval_dict(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		dict = value_dict_new();

	dict.flags |= VALUE_F_MUTABLE;
	for (int i = 0; i + 1 < node->n; i += 2)
	{
		Value		key = jinja_eval(j, node->items[i], scope);

		j->ev.position = node->items[i]->position;
		value_dict_put(&dict, key, jinja_eval(j, node->items[i + 1], scope));
	}
	return dict;
}

static Value
eval_item(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		object = jinja_eval(j, node->left, scope);
	Value		key;

	if (node->right->type == JINJA_SLICE)
	{
		Value		places[3];

		for (int i = 0; i < 3; i++)
			places[i] = node->right->items[i] ? jinja_eval(j, node->right->items[i], scope) : value_null();
		j->ev.position = node->position;
		return jinja_slice(&object, &places[0], &places[1], &places[2]);
	}
	key = jinja_eval(j, node->right, scope);
	j->ev.position = node->position;
	return jinja_getitem(&object, &key);
}

/* a < b < c: each operand once, and no more than needed. */
static Value
eval_compare(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		left = jinja_eval(j, node->left, scope);

	for (int i = 0; i < node->n; i++)
	{
		Value		right = jinja_eval(j, node->items[i], scope);

		j->ev.position = node->items[i]->position;
		if (!jinja_compare(node->ops[i], &left, &right))
			return value_bool(false);
		left = right;
	}
	return value_bool(true);
}

static Value
eval_concat(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	StringInfoData out;
	Value	   *parts = palloc(node->n * sizeof(Value));
	bool		markup = false;

	for (int i = 0; i < node->n; i++)
	{
		parts[i] = jinja_eval(j, node->items[i], scope);
		markup |= j->autoescape && jinja_is_markup(&parts[i]);
	}
	j->ev.position = node->position;
	initStringInfo(&out);
	for (int i = 0; i < node->n; i++)
	{
		Value		text = markup ? jinja_escape(&parts[i]) : jinja_str(&parts[i]);

		value_str(&out, &text);
	}
	return markup ? jinja_markup(value_text(&out)) : value_text(&out);
}

static bool
eval_truth(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		value = jinja_eval(j, node, scope);

	j->ev.position = node->position;
	return jinja_truth(&value);
}

static Value
eval_condition(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	if (eval_truth(j, node->test, scope))
		return jinja_eval(j, node->left, scope);
	if (node->right)
		return jinja_eval(j, node->right, scope);
	/* Not a strict one: it is an empty text where a text is wanted. */
	return value_object(VALUE_UNDEFINED, VALUE_F_MESSAGE, "the condition is false and has no \"else\"");
}

static void
add_keyword(JinjaCall *call, int *size, const char *name, Value value)
{
	if (call->nkeywords == *size)
	{
		*size = Max(*size * 2, 4);
		call->names = call->names ? repalloc(call->names, *size * sizeof(char *)) : palloc(*size * sizeof(char *));
		call->values = call->values ? repalloc(call->values, *size * sizeof(Value)) : palloc(*size * sizeof(Value));
	}
	for (int i = 0; i < call->nkeywords; i++)
		if (strcmp(call->names[i], name) == 0)
			expr_fail("the argument \"%s\" is given twice", name);
	call->names[call->nkeywords] = name;
	call->values[call->nkeywords++] = value;
}

static void
add_more(Jinja *j, const JinjaArgs *args, JinjaScope *scope, JinjaCall *call, Value *list, int *size)
{
	if (args->more)
	{
		Value		more = jinja_eval(j, args->more, scope);
		Iterator   *it = jinja_iterate(&more);
		Value		item;

		while (iterator_next(it, &item))
			value_push(list, item);
	}
	if (args->more_keywords)
	{
		Value		more = jinja_eval(j, args->more_keywords, scope);
		DictObject *dict;

		if (more.kind != VALUE_DICT)
			expr_fail("after \"**\" a dict is expected, not %s", jinja_kind_name(&more));
		dict = value_dict_object(&more);
		for (int i = 0; i < dict->n; i++)
		{
			const Value *key = &dict->entries[i].key;

			if (key->kind != VALUE_STRING)
				expr_fail("the names of arguments must be strings");
			add_keyword(call, size, pnstrdup(key->u.string.data, key->u.string.len), dict->entries[i].item);
		}
	}
}

/* Evaluates the arguments into the call; args may be NULL. */
void
jinja_call_args(Jinja *j, const JinjaArgs *args, JinjaScope *scope, JinjaCall *call)
{
	Value		list = value_list_sized(args ? args->n : 0);
	int			size = 0;

	call->j = j;
	if (args)
	{
		for (int i = 0; i < args->n; i++)
			value_push(&list, jinja_eval(j, args->items[i], scope));
		for (int i = 0; i < args->nkeywords; i++)
			add_keyword(call, &size, args->names[i], jinja_eval(j, args->values[i], scope));
		add_more(j, args, scope, call, &list, &size);
	}
	call->nargs = ((ListObject *) list.u.object)->n;
	call->args = ((ListObject *) list.u.object)->items;
}

static Value
eval_call(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	JinjaCall	call = {0};
	Value		callee = jinja_eval(j, node->left, scope);

	jinja_call_args(j, node->args, scope, &call);
	j->ev.position = node->position;
	return jinja_call_value(j, &callee, &call);
}

static Value
eval_filter(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	JinjaCall	call = {0};
	Value		piped = jinja_eval(j, node->left, scope);

	jinja_call_args(j, node->args, scope, &call);
	j->ev.position = node->position;
	if (node->function == NULL)
		expr_fail("there is no %s \"%s\"", node->type == JINJA_FILTER ? "filter" : "test", node->name);
	return jinja_call_filter(j, node->function, &piped, &call);
}

static Value
eval_binary(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		left = jinja_eval(j, node->left, scope);
	Value		right;

	if (node->type == JINJA_AND || node->type == JINJA_OR)
	{
		j->ev.position = node->position;
		return jinja_truth(&left) == (node->type == JINJA_AND) ? jinja_eval(j, node->right, scope) : left;
	}
	right = jinja_eval(j, node->right, scope);
	j->ev.position = node->position;
	return jinja_binary(node->op, &left, &right);
}

Value
jinja_eval(Jinja *j, const JinjaNode *node, JinjaScope *scope)
{
	Value		value;
	Value		attribute;

	if (node->type == JINJA_CONST)
		return node->value;
	expr_check_depth();
	eval_tick(&j->ev);
	switch (node->type)
	{
		case JINJA_NAME:
			return lookup(j, node->name, scope);
		case JINJA_LIST:
			return jinja_mutable(eval_items(j, node, scope));
		case JINJA_TUPLE:
			return eval_items(j, node, scope);
		case JINJA_DICT:
			return eval_dict(j, node, scope);
		case JINJA_GETATTR:
			value = jinja_eval(j, node->left, scope);
			j->ev.position = node->position;
			/* Of a dict, what is no method's name is a key. */
			if (value.kind == VALUE_DICT && !node->is_method &&
				value_dict_get(&value, node->value.u.string.data, node->value.u.string.len, &attribute))
				return attribute;
			return jinja_getattr(&value, node->value.u.string.data, node->value.u.string.len);
		case JINJA_GETITEM:
			return eval_item(j, node, scope);
		case JINJA_CALL:
			return eval_call(j, node, scope);
		case JINJA_FILTER:
			return eval_filter(j, node, scope);
		case JINJA_TEST:
			value = eval_filter(j, node, scope);
			return value_bool(jinja_truth(&value));
		case JINJA_BINARY:
		case JINJA_AND:
		case JINJA_OR:
			return eval_binary(j, node, scope);
		case JINJA_UNARY:
			value = jinja_eval(j, node->left, scope);
			j->ev.position = node->position;
			return jinja_unary(node->op, &value);
		case JINJA_NOT:
			return value_bool(!eval_truth(j, node->left, scope));
		case JINJA_CONCAT:
			return eval_concat(j, node, scope);
		case JINJA_COMPARE:
			return eval_compare(j, node, scope);
		case JINJA_COND:
			return eval_condition(j, node, scope);
		case JINJA_SLICE:
			j->ev.position = node->position;
			expr_fail("a slice stands alone in its brackets");
		default:
			elog(ERROR, "unexpected node of type %d in a Jinja2 expression", (int) node->type);
	}
}

/* The context with nothing lazy in it, so that methods can change what it holds. */
static Value
unfold(Jinja *j, const Value *value)
{
	expr_check_depth();
	eval_tick(&j->ev);
	if (value->kind == VALUE_LIST)
	{
		ListObject *from = value_list_object(value);
		Value		list = value_list_sized(from->n);

		for (int i = 0; i < from->n; i++)
			value_push(&list, unfold(j, &from->items[i]));
		return jinja_mutable(list);
	}
	if (value->kind == VALUE_DICT)
	{
		DictObject *from = value_dict_object(value);
		Value		dict = value_dict_new();

		for (int i = 0; i < from->n; i++)
			value_dict_put(&dict, from->entries[i].key, unfold(j, &from->entries[i].item));
		dict.flags |= VALUE_F_MUTABLE;
		return dict;
	}
	return *value;
}

/*
 * Plain paths, _.a.b, without any set-up.  False when it is something else or
 * fails; then the long way says what is wrong.
 */
static bool
run_path(const JinjaNode *node, const ExprEnv *env, Value *value)
{
	Value		left;

	if (node->type == JINJA_NAME)
	{
		if (strcmp(node->name, "_") == 0)
			*value = env->root;
		else
			return expr_find_variable(env, node->name, strlen(node->name), value);
		return true;
	}
	return node->type == JINJA_GETATTR && !node->is_method && !stack_is_too_deep() &&
		run_path(node->left, env, &left) && left.kind == VALUE_DICT &&
		value_dict_get(&left, node->value.u.string.data, node->value.u.string.len, value);
}

static bool
is_final(const Value *value)
{
	return (value->kind != VALUE_LIST && value->kind != VALUE_DICT) || (value->flags & VALUE_F_JSONB);
}

/* What a template cannot do is found before any of it runs. */
static void
check_template(Jinja *j, const JinjaTemplate *t)
{
	if (t->refused)
	{
		j->ev.position = t->refused_position;
		expr_fail("%s", t->refused);
	}
	if (t->unknown)
	{
		j->ev.position = t->unknown_position;
		expr_fail("there is no %s \"%s\"", t->unknown_kind, t->unknown);
	}
	for (int i = 0; i < t->nblocks; i++)
	{
		for (int k = 0; k < i; k++)
		{
			eval_tick(&j->ev);
			if (strcmp(t->blocks[i]->name, t->blocks[k]->name) == 0)
			{
				j->ev.position = t->blocks[i]->position;
				expr_fail("the block \"%s\" is defined twice", t->blocks[i]->name);
			}
		}
	}
}

static Value
run(Jinja *j, const JinjaTemplate *t)
{
	StringInfoData out;
	Value		value;

	check_template(j, t);
	j->root = jinja_scope(NULL);
	if (t->mutates)
		j->context = unfold(j, &j->context);
	if (t->native)
	{
		value = jinja_eval(j, t->root, j->root);
		j->ev.position = -1;
		return jinja_finalize(j, &value);
	}
	initStringInfo(&out);
	j->out = &out;
	jinja_execute(j, t->root, j->root);
	return value_text(&out);
}

/* Evaluates a parsed template or expression. */
Value
jinja_run(const JinjaTemplate *t, const ExprEnv *env)
{
	Jinja		j;
	Value		value;

	if (t->native && run_path(t->root, env, &value) && is_final(&value))
		return value_raw(value);
	j.template = t;
	j.root = NULL;
	j.context = value_raw(env->root);
	j.out = NULL;
	j.autoescape = false;
	eval_enter(&j.ev, t->text, t->len, env);
	value = run(&j, t);
	return eval_leave(&j.ev, &value);
}
