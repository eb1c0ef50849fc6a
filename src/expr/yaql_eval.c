/*
 * yaql_eval.c
 *		Evaluation of YAQL: nodes, contexts, the dot, the final conversion.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "expr/yaql.h"
#include "guc.h"

typedef struct PropertyIterator
{
	Iterator	base;
	Iterator   *source;
	Value		name;
} PropertyIterator;

Frame *
yaql_frame(Frame *parent)
{
	Frame	   *frame = palloc(sizeof(Frame));

	frame->parent = parent;
	frame->nargs = 0;
	frame->variables = NULL;
	frame->functions = NULL;
	return frame;
}

void
yaql_set_variable(Frame *frame, Value name, Value value)
{
	FrameVariable *variable;

	for (variable = frame->variables; variable; variable = variable->next)
	{
		if (value_equal(&variable->name, &name))
		{
			variable->value = value;
			return;
		}
	}
	variable = palloc(sizeof(FrameVariable));
	*variable = (FrameVariable)
	{
		frame->variables, name, value
	};
	frame->variables = variable;
}

/* Sets $index; places are filled in order. */
void
yaql_set_argument(Frame *frame, int index, Value value)
{
	if (index <= FRAME_ARGS)
	{
		frame->args[index - 1] = value;
		frame->nargs = Max(frame->nargs, index);
	}
	else
		yaql_set_variable(frame, value_cstring(psprintf("%d", index)), value);
}

/* Looks a variable up through the contexts; false when none has it. */
bool
yaql_get_variable(const Frame *frame, const Value *name, int index, Value *value)
{
	for (; frame; frame = frame->parent)
	{
		if (index > 0 && index <= frame->nargs)
		{
			*value = frame->args[index - 1];
			return true;
		}
		for (const FrameVariable *v = frame->variables; v; v = v->next)
		{
			if (value_equal(&v->name, name))
			{
				*value = v->value;
				return true;
			}
		}
	}
	return false;
}

static bool
property_next(Iterator *base, Value *item)
{
	PropertyIterator *it = (PropertyIterator *) base;

	if (!iterator_next(it->source, item))
		return false;
	*item = yaql_property(base->ev, item, &it->name);
	return true;
}

static Value
timespan_property(int64 us, const char *name, const Value *receiver)
{
	static const struct
	{
		const char *name;
		double		unit;
	}			units[] = {
		{"days", 86400e6}, {"hours", 3600e6}, {"minutes", 60e6}, {"seconds", 1e6}, {"milliseconds", 1e3}
	};

	if (strcmp(name, "microseconds") == 0)
		return value_int(us);
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(name, units[i].name) == 0)
			return value_float((double) us / units[i].unit);
	expr_fail("%s has no property \"%s\"", value_kind_name(receiver), name);
}

static Value
datetime_property(const Value *dt, const char *name)
{
	DateParts	parts;
	Value		result = *dt;
	int64		day = INT64CONST(86400000000);

	datetime_parts(dt, &parts);
	if (strcmp(name, "year") == 0)
		return value_int(parts.year);
	if (strcmp(name, "month") == 0)
		return value_int(parts.month);
	if (strcmp(name, "day") == 0)
		return value_int(parts.day);
	if (strcmp(name, "hour") == 0)
		return value_int(parts.hour);
	if (strcmp(name, "minute") == 0)
		return value_int(parts.minute);
	if (strcmp(name, "second") == 0)
		return value_int(parts.second);
	if (strcmp(name, "microsecond") == 0)
		return value_int(parts.microsecond);
	if (strcmp(name, "weekday") == 0)
		return value_int(parts.weekday);
	/* The original takes the offset off twice: what its `utc` gives keeps the offset. */
	if (strcmp(name, "timestamp") == 0)
		return value_float((double) (datetime_utc(dt) - (int64) dt->u.datetime.offset * 1000000) / 1e6);
	if (strcmp(name, "utc") == 0)
	{
		result = datetime_shift(dt, -(int64) dt->u.datetime.offset * 1000000);
		return result;
	}
	if (strcmp(name, "offset") == 0)
		return (Value) {.kind = VALUE_TIMESPAN,.u.timespan = (int64) dt->u.datetime.offset * 1000000};
	if (strcmp(name, "date") == 0 || strcmp(name, "time") == 0)
	{
		int64		time = ((dt->u.datetime.local % day) + day) % day;

		if (*name == 't')
			return (Value) {.kind = VALUE_TIMESPAN,.u.timespan = time};
		result.u.datetime.local -= time;
		return result;
	}
	expr_fail("a datetime has no property \"%s\"", name);
}

/* receiver.name */
Value
yaql_property(Eval *ev, const Value *receiver, const Value *name)
{
	Value		result;

	if (receiver->kind == VALUE_DICT)
	{
		if (value_dict_get(receiver, name->u.string.data, name->u.string.len, &result))
			return result;
		expr_fail("there is no key \"%.*s\"", name->u.string.len, name->u.string.data);
	}
	if (value_is_iterable(receiver))
	{
		PropertyIterator *it = palloc0(sizeof(PropertyIterator));
		Value		source = value_limited(receiver, ev->iterator_limit);

		it->base.next = property_next;
		it->base.ev = ev;
		it->source = value_iterate(&source);
		it->name = *name;
		return iterator_value(&it->base);
	}
	if (receiver->kind == VALUE_DATETIME && !(receiver->flags & VALUE_F_DATE))
		return datetime_property(receiver, name->u.string.data);
	if (receiver->kind == VALUE_TIMESPAN)
		return timespan_property(receiver->u.timespan, name->u.string.data, receiver);
	expr_fail("%s has no property \"%.*s\"", value_kind_name(receiver), name->u.string.len, name->u.string.data);
}

/* receiver.right */
Value
yaql_dot(Eval *ev, const Value *receiver, const YaqlNode *right, Frame *frame)
{
	if (right->type == NODE_KEYWORD)
	{
		int			position = ev->position;
		Value		result;

		ev->position = right->position;
		result = yaql_property(ev, receiver, &right->value);
		ev->position = position;
		return result;
	}
	if (right->type == NODE_CALL && right->method_like)
		return yaql_call_node(ev, frame, right, receiver);
	ev->position = right->position;
	expr_fail("a property's name or a method's call is expected after \".\"");
}

static Value
eval_send(Eval *ev, const YaqlNode *node, Frame *frame)
{
	Value		left = yaql_eval(ev, node->args[0], frame);

	if (left.kind != VALUE_CONTEXT)
	{
		ev->position = node->position;
		expr_fail("%s stands left of \"->\", where let(), with(), def() or unpack() is expected", value_kind_name(&left));
	}
	return yaql_eval(ev, node->args[1], left.u.object);
}

/* Operators that need no choice among overloads. */
static Value
eval_operator(Eval *ev, const YaqlNode *node, Frame *frame)
{
	Value		left;
	Value		right;

	if (node->op == OP_SEND)
		return eval_send(ev, node, frame);
	left = yaql_eval(ev, node->args[0], frame);
	switch (node->op)
	{
		case OP_SAFE_DOT:
			if (left.kind == VALUE_NULL)
				return left;
			/* FALLTHROUGH */
		case OP_DOT:
			return yaql_dot(ev, &left, node->args[1], frame);
		case OP_AND:
			return value_truth(&left) ? yaql_eval(ev, node->args[1], frame) : left;
		case OP_OR:
			return value_truth(&left) ? left : yaql_eval(ev, node->args[1], frame);
		case OP_NOT:
			return value_bool(!value_truth(&left));
		default:
			right = yaql_eval(ev, node->args[1], frame);
			ev->position = node->position;
			return value_bool(value_equal(&left, &right) == (node->op == OP_EQUAL));
	}
}

Value
yaql_eval(Eval *ev, const YaqlNode *node, Frame *frame)
{
	Value		value;

	switch (node->type)
	{
		case NODE_CONSTANT:
		case NODE_KEYWORD:
			return node->value;
		case NODE_VARIABLE:
			if (yaql_get_variable(frame, &node->value, node->index, &value) ||
				expr_find_variable(ev->env, node->value.u.string.data, node->value.u.string.len, &value))
				return value;
			return value_null();
		case NODE_WRAP:
			expr_check_depth();
			return yaql_eval(ev, node->args[0], frame);
		case NODE_CALL:
			if (node->op == OP_NONE)
				return yaql_call_node(ev, frame, node, NULL);
			expr_check_depth();
			eval_tick(ev);
			return eval_operator(ev, node, frame);
		case NODE_PAIR:
		case NODE_HOLE:
			break;
	}
	ev->position = node->position;
	expr_fail("a value is expected here");
}

static Value
finalize_dict(Eval *ev, const Value *value)
{
	DictObject *dict = value_dict_object(value);
	Value		result = value_dict_new();

	for (int i = 0; i < dict->n; i++)
	{
		eval_tick(ev);
		value_dict_put(&result, yaql_finalize(ev, &dict->entries[i].key), yaql_finalize(ev, &dict->entries[i].item));
	}
	result.flags |= VALUE_F_MUTABLE;
	return result;
}

static Value
finalize_set(Eval *ev, const Value *value)
{
	Iterator   *it = value_iterate(value);
	Value		result = value_set_new();
	Value		item;

	while (iterator_next(it, &item))
		dict_object_put(result.u.object, yaql_finalize(ev, &item), value_null());
	result.flags |= VALUE_F_MUTABLE;
	return result;
}

static Value
finalize_list(Eval *ev, const Value *value)
{
	Iterator   *it = value_iterate(value);
	Value		result = value_list_new();
	Value		item;

	while (iterator_next(it, &item))
		value_push(&result, yaql_finalize(ev, &item));
	result.flags |= VALUE_F_MUTABLE;
	return result;
}

/*
 * The result as the outside sees it: lists for everything that can be walked,
 * sets for sets and for views of keys and items.  What is jsonb stays so.
 */
Value
yaql_finalize(Eval *ev, const Value *value)
{
	Value		limited;

	expr_check_depth();
	if ((value->flags & VALUE_F_JSONB) && ev->iterator_limit < 0 &&
		(value->kind == VALUE_LIST || value->kind == VALUE_DICT))
	{
		Value		result = *value;

		result.flags |= VALUE_F_MUTABLE | VALUE_F_DEEP;
		return result;
	}
	switch (value->kind)
	{
		case VALUE_DICT:
			limited = value_limited(value, ev->iterator_limit);
			return finalize_dict(ev, &limited);
		case VALUE_SET:
		case VALUE_DICT_VIEW:
			limited = value_limited(value, ev->iterator_limit);
			if (yaql_type(value) == TYPE_SET)
				return finalize_set(ev, &limited);
			return finalize_list(ev, &limited);
		case VALUE_LIST:
		case VALUE_ITERATOR:
		case VALUE_ORDERED:
			limited = value_limited(value, ev->iterator_limit);
			return finalize_list(ev, &limited);
		default:
			return *value;
	}
}

/*
 * Plain paths: $.a.b, $__env.x, task(name).result, without any set-up.  False
 * when it is something else or fails; then the long way says what is wrong.
 */
static bool
run_path(const YaqlNode *node, const ExprEnv *env, Value *value)
{
	const ExprHost *host = env->host;
	Value		left;

	if (node->type == NODE_VARIABLE)
	{
		if (node->index != 1)
			return expr_find_variable(env, node->value.u.string.data, node->value.u.string.len, value);
		*value = env->root;
		return true;
	}
	if (node->type != NODE_CALL || stack_is_too_deep())
		return false;
	if (node->op == OP_DOT)
		return node->args[1]->type == NODE_KEYWORD && run_path(node->args[0], env, &left) &&
			left.kind == VALUE_DICT &&
			value_dict_get(&left, node->args[1]->value.u.string.data, node->args[1]->value.u.string.len, value);
	if (host == NULL || node->op != OP_NONE)
		return false;
	if (host->env && node->nargs == 0 && strcmp(node->name, "env") == 0)
		*value = value_raw(host->env(env->host_arg));
	else if (host->execution && node->nargs == 0 && strcmp(node->name, "execution") == 0)
		*value = value_raw(host->execution(env->host_arg));
	else if (host->task && strcmp(node->name, "task") == 0 && node->nargs <= 1)
	{
		const char *name = NULL;

		if (node->nargs == 1)
		{
			const YaqlNode *arg = node->args[0];

			if ((arg->type != NODE_KEYWORD && arg->type != NODE_CONSTANT) || arg->value.kind != VALUE_STRING ||
				arg->value.u.string.len == 0)
				return false;
			name = arg->value.u.string.data;
		}
		*value = value_raw(host->task(env->host_arg, name));
	}
	else
		return false;
	return true;
}

static bool
is_final(const Value *value)
{
	return (value->kind != VALUE_LIST && value->kind != VALUE_DICT) || (value->flags & VALUE_F_JSONB);
}

/* Evaluates a parsed expression. */
Value
yaql_run(const YaqlNode *node, const char *text, int len, const ExprEnv *env)
{
	Eval		ev;
	Frame		frame = {.nargs = 1,.args = {env->root}};
	Value		value;

	if (guc_yaql_limit_iterators < 0 && run_path(node, env, &value) && is_final(&value))
		return value_raw(value);
	eval_enter(&ev, text, len, env);
	ev.position = 0;
	value = yaql_eval(&ev, node, &frame);
	value = yaql_finalize(&ev, &value);
	return eval_leave(&ev, &value);
}
