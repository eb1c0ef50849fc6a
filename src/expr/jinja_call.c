/*
 * jinja_call.c
 *		Calls: parameters, filters and tests by name, everything callable.
 */
#include "postgres.h"

#include "expr/jinja.h"

#define JINJA(name, implementation, signature) {name, implementation, signature, 0},
static const JinjaFunction filters[] = {
#include "expr/jinja_filter_list.h"
};

static const JinjaFunction tests[] = {
#include "expr/jinja_test_list.h"
};

static const JinjaFunction globals[] = {
#include "expr/jinja_global_list.h"
};

static const JinjaFunction mistral_functions[] = {
#define MISTRAL(name, function, asks_engine, yaql, jinja) JINJA(name, jinja_mistral, jinja)
#include "expr/mistral_func_list.h"
#undef MISTRAL
};
#undef JINJA

static const JinjaFunction *
find(const JinjaFunction *functions, int n, const char *name, int len)
{
	for (int i = 0; i < n; i++)
		if (strncmp(functions[i].name, name, len) == 0 && functions[i].name[len] == '\0')
			return &functions[i];
	return NULL;
}

/* Mistral's functions are filters too: what is piped into them is the context. */
const JinjaFunction *
jinja_filter(const char *name, int len)
{
	const JinjaFunction *filter = find(mistral_functions, lengthof(mistral_functions), name, len);

	return filter ? filter : find(filters, lengthof(filters), name, len);
}

const JinjaFunction *
jinja_test(const char *name, int len)
{
	return find(tests, lengthof(tests), name, len);
}

Value
jinja_absent(void)
{
	return value_object(VALUE_UNDEFINED, VALUE_F_ABSENT, NULL);
}

/* An undefined value; the name (may be NULL) comes from the expression, never from data. */
Value
jinja_undefined(const char *name)
{
	return value_object(VALUE_UNDEFINED, VALUE_F_STRICT, unconstify(char *, name));
}

Value
jinja_undefined_because(const char *message)
{
	return value_object(VALUE_UNDEFINED, VALUE_F_STRICT | VALUE_F_MESSAGE, unconstify(char *, message));
}

static void
object_repr(StringInfo out, const Value *value)
{
	JinjaObject *object = value->u.object;
	JinjaRange *range = (JinjaRange *) object;
	JinjaLoop  *loop = (JinjaLoop *) object;

	switch (object->type)
	{
		case JINJA_OBJECT_RANGE:
			appendStringInfo(out, "range(" INT64_FORMAT ", " INT64_FORMAT, range->start, range->stop);
			if (range->step != 1)
				appendStringInfo(out, ", " INT64_FORMAT, range->step);
			appendStringInfoChar(out, ')');
			break;
		case JINJA_OBJECT_NAMESPACE:
			appendStringInfoString(out, "<Namespace ");
			value_repr(out, &((JinjaNamespace *) object)->attributes);
			appendStringInfoChar(out, '>');
			break;
		case JINJA_OBJECT_MACRO:
			appendStringInfo(out, "<Macro '%s'>", ((JinjaMacro *) object)->node->name);
			break;
		case JINJA_OBJECT_LOOP:
			appendStringInfo(out, "<LoopContext " INT64_FORMAT "/" INT64_FORMAT ">", loop->index0 + 1,
							 jinja_loop_length(loop));
			break;
		case JINJA_OBJECT_SELF:
			appendStringInfoString(out, "<TemplateReference None>");
			break;
		case JINJA_OBJECT_FUNCTION:
			appendStringInfo(out, "<function %s>", ((JinjaBound *) object)->function->name);
			break;
		default:
			appendStringInfoString(out, "<object>");
			break;
	}
}

typedef struct RangeIterator
{
	Iterator	base;
	const JinjaRange *range;
	int64		at;
} RangeIterator;

static bool
range_next(Iterator *base, Value *item)
{
	RangeIterator *it = (RangeIterator *) base;

	if (it->at >= it->range->length)
		return false;
	*item = value_int(it->range->start + it->at++ * it->range->step);
	return true;
}

static Iterator *
iterate_range(const Value *value)
{
	RangeIterator *it = palloc0(sizeof(RangeIterator));

	it->base.next = range_next;
	it->base.ev = eval_current();
	it->range = value->u.object;
	return &it->base;
}

Value
jinja_new_object(JinjaObject *object, JinjaObjectType type)
{
	object->type = type;
	object->base.repr = object_repr;
	object->base.iterate = type == JINJA_OBJECT_RANGE ? iterate_range : NULL;
	return value_object(VALUE_CALLABLE, 0, object);
}

JinjaObject *
jinja_object(const Value *value, JinjaObjectType type)
{
	JinjaObject *object = value->u.object;

	return value->kind == VALUE_CALLABLE && object->type == type ? object : NULL;
}

/* A function; with a receiver it is a bound method. */
Value
jinja_bound(const JinjaFunction *function, const Value *self)
{
	JinjaBound *bound = palloc0(sizeof(JinjaBound));

	bound->function = function;
	if (self)
	{
		bound->has_self = true;
		bound->self = *self;
	}
	return jinja_new_object(&bound->base, JINJA_OBJECT_FUNCTION);
}

/* The names that are there without being set; false when it is none of them. */
bool
jinja_global(Jinja *j, const char *name, Value *value)
{
	const JinjaFunction *function;

	if (strcmp(name, "_") == 0)
		*value = j->context;
	else if (expr_find_variable(j->ev.env, name, strlen(name), value))
		return true;
	else if ((function = find(mistral_functions, lengthof(mistral_functions), name, strlen(name))) != NULL)
		*value = jinja_bound(function, &j->context);
	else if ((function = find(globals, lengthof(globals), name, strlen(name))) != NULL)
		*value = jinja_bound(function, NULL);
	else if (strcmp(name, "self") == 0)
		*value = jinja_new_object(palloc0(sizeof(JinjaObject)), JINJA_OBJECT_SELF);
	else
		return false;
	*value = value_raw(*value);
	return true;
}

/* One parameter of a signature. */
typedef struct Parameter
{
	const char *name;
	int			len;
	bool		optional;
	bool		by_position;
	bool		by_name;
} Parameter;

#define MAX_PARAMETERS 12

static int
read_signature(const char *signature, Parameter *parameters, bool *rest, bool *keywords)
{
	int			n = 0;

	*rest = *keywords = false;
	while (*signature)
	{
		int			len = strcspn(signature, ",");

		if (signature[0] == '*')
		{
			*rest |= len == 1;
			*keywords |= len == 2;
		}
		else
		{
			Parameter  *p = &parameters[n++];

			p->by_position = *signature == '/';
			p->by_name = *signature == '!';
			p->name = signature + (p->by_position || p->by_name ? 1 : 0);
			p->len = signature + len - p->name;
			p->optional = p->name[p->len - 1] == '=';
			if (p->optional)
				p->len--;
		}
		signature += len + (signature[len] == ',' ? 1 : 0);
	}
	return n;
}

/* The place of a keyword argument, or -1. */
static int
parameter_named(const Parameter *parameters, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!parameters[i].by_position && strncmp(parameters[i].name, name, parameters[i].len) == 0 &&
			name[parameters[i].len] == '\0')
			return i;
	return -1;
}

/* The name of an argument for a message: what came with ** is data, and not shown. */
const char *
jinja_shown_name(const Jinja *j, const char *name)
{
	int			len = strlen(name);

	for (int i = 0; i + len <= j->ev.len; i++)
		if (memcmp(j->ev.text + i, name, len) == 0)
			return psprintf("\"%s\"", name);
	return "of a name that is given with **";
}

/* Puts every argument in its parameter's place, and raises what does not fit. */
void
jinja_bind(JinjaCall *call)
{
	Parameter	parameters[MAX_PARAMETERS];
	bool		rest;
	bool		keywords;
	int			n = read_signature(call->function->signature, parameters, &rest, &keywords);
	Value	   *args = palloc(Max(n, 1) * sizeof(Value));
	int			left = 0;

	call->nrest = Max(call->nargs - n, 0);
	call->rest = call->args ? call->args + Min(n, call->nargs) : NULL;
	if (call->nrest && !rest)
		expr_fail("%s takes no more than %d arguments", call->name, n);
	for (int i = 0; i < n; i++)
	{
		if (i < call->nargs && parameters[i].by_name)
			expr_fail("%s takes its argument \"%.*s\" by name", call->name, parameters[i].len, parameters[i].name);
		args[i] = i < call->nargs ? call->args[i] : jinja_absent();
	}
	for (int i = 0; i < call->nkeywords; i++)
	{
		int			at = parameter_named(parameters, n, call->names[i]);

		if (at < 0 && !keywords)
			expr_fail("%s takes no argument %s", call->name, jinja_shown_name(call->j, call->names[i]));
		if (at < 0)
		{
			call->names[left] = call->names[i];
			call->values[left++] = call->values[i];
		}
		else if (at < call->nargs)
			expr_fail("%s got the argument %s twice", call->name, jinja_shown_name(call->j, call->names[i]));
		else
			args[at] = call->values[i];
	}
	call->nkeywords = left;
	call->nargs = n;
	call->args = args;
	for (int i = 0; i < n; i++)
		if (!parameters[i].optional && !GIVEN(i))
			expr_fail("%s lacks its argument \"%.*s\"", call->name, parameters[i].len, parameters[i].name);
}

Value
jinja_invoke(JinjaCall *call)
{
	call->name = call->function->name;
	jinja_bind(call);
	return call->function->implementation(call);
}

static void
put_first(JinjaCall *call, const Value *first)
{
	Value	   *args = palloc((call->nargs + 1) * sizeof(Value));

	args[0] = *first;
	if (call->nargs)
		memcpy(args + 1, call->args, call->nargs * sizeof(Value));
	call->args = args;
	call->nargs++;
}

/* A filter or a test: what is piped is its first argument. */
Value
jinja_call_filter(Jinja *j, const JinjaFunction *filter, const Value *piped, JinjaCall *call)
{
	call->j = j;
	call->function = filter;
	put_first(call, piped);
	return jinja_invoke(call);
}

static bool
is_mistral(const JinjaFunction *function)
{
	return function >= mistral_functions && function < mistral_functions + lengthof(mistral_functions);
}

static Value
call_bound(JinjaBound *bound, JinjaCall *call)
{
	call->function = bound->function;
	if (bound->has_self && is_mistral(bound->function))
		put_first(call, &bound->self);
	else
		call->self = bound->self;
	return jinja_invoke(call);
}

static Value
call_joiner(JinjaJoiner *joiner)
{
	if (joiner->used)
		return joiner->separator;
	joiner->used = true;
	return value_cstring("");
}

Value
jinja_call_value(Jinja *j, const Value *callee, JinjaCall *call)
{
	JinjaObject *object = callee->u.object;

	jinja_use(callee);
	expr_check_depth();
	call->j = j;
	if (callee->kind == VALUE_CALLABLE)
	{
		switch (object->type)
		{
			case JINJA_OBJECT_FUNCTION:
				return call_bound((JinjaBound *) object, call);
			case JINJA_OBJECT_MACRO:
				return jinja_call_macro(j, (JinjaMacro *) object, call);
			case JINJA_OBJECT_JOINER:
				return call_joiner((JinjaJoiner *) object);
			case JINJA_OBJECT_LOOP:
				if (call->nargs != 1)
					expr_fail("loop() takes one argument");
				return jinja_run_loop(j, (JinjaLoop *) object, call->args[0]);
			case JINJA_OBJECT_BLOCK:
				return jinja_call_block_ref(j, ((JinjaBlockRef *) object)->block);
			default:
				break;
		}
	}
	expr_fail("%s cannot be called", jinja_kind_name(callee));
}

int64
jinja_int(const Value *value, const char *what)
{
	if (value->kind == VALUE_BOOL)
		return value->u.boolean;
	if (value->kind == VALUE_BIGINT)
		expr_fail("%s is too large", what);
	if (value->kind != VALUE_INT)
		expr_fail("%s must be an integer, not %s", what, jinja_kind_name(value));
	return value->u.integer;
}

Value
jinja_text_of(const Value *value, const char *what)
{
	if (value->kind != VALUE_STRING)
		expr_fail("%s must be a string, not %s", what, jinja_kind_name(value));
	return *value;
}

bool
jinja_flag_arg(JinjaCall *call, int i, bool otherwise)
{
	return GIVEN(i) ? jinja_truth(ARG(i)) : otherwise;
}

bool
jinja_descending_arg(JinjaCall *call, int i)
{
	if (GIVEN(i) && !value_is_integer(ARG(i)))
		expr_fail("the order of %s must be true or false, not %s", call->name, jinja_kind_name(ARG(i)));
	return jinja_flag_arg(call, i, false);
}

int64
jinja_int_arg(JinjaCall *call, int i, int64 otherwise)
{
	return GIVEN(i) ? jinja_int(ARG(i), "an argument") : otherwise;
}
