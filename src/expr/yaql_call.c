/*
 * yaql_call.c
 *		How a call finds its function.
 *
 * A name has overloads.  Those whose parameters fit the arguments' places and
 * constants are candidates; then the arguments are evaluated once, from left
 * to right, and the first candidate whose types accept them is called.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "expr/yaql.h"

#define MAX_CANDIDATES 16
#define MANY_ARGUMENTS 12

static YaqlGroup *groups = NULL;
static int	ngroups = 0;

#define YAQL(name, flags, implementation, signature) {name, flags, implementation, signature},
static YaqlFunction functions[] = {
#include "compat.h"
#include "expr/yaql_func_list.h"
};

#undef YAQL

static const struct
{
	const char *name;
	uint32		type;
}			type_names[] = {
	{"any", TYPE_ANY}, {"null", TYPE_NULL}, {"bool", TYPE_BOOL}, {"int*", TYPE_INT | TYPE_BOOL},
	{"integer", TYPE_INT}, {"number", TYPE_INT | TYPE_FLOAT}, {"string", TYPE_STRING},
	{"iterable", TYPE_ITERABLE}, {"iterable!set", TYPE_ITERABLE & ~TYPE_SET},
	{"sequence", TYPE_SEQUENCE}, {"dict", TYPE_DICT}, {"set", TYPE_SET},
	{"iterator", TYPE_ITERATOR}, {"ordered", TYPE_ORDERED}, {"regex", TYPE_REGEX}, {"datetime", TYPE_DATETIME},
	{"timespan", TYPE_TIMESPAN}, {"context", TYPE_CONTEXT}, {"pair", TYPE_PAIR},
	{"lambda", TYPE_LAMBDA}, {"mapping", TYPE_LAZY_PAIR}, {"keyword", TYPE_KEYWORD},
	{"strconst", TYPE_CONSTANT}, {"expr", TYPE_EXPRESSION}
};

static uint32
type_by_name(const char *name, int len)
{
	for (int i = 0; i < lengthof(type_names); i++)
		if (strlen(type_names[i].name) == len && memcmp(type_names[i].name, name, len) == 0)
			return type_names[i].type;
	elog(ERROR, "unknown parameter type \"%.*s\"", len, name);
}

static Value
parse_default(const char *s, const char *end)
{
	int			len = end - s;

	if (len == 4 && memcmp(s, "null", 4) == 0)
		return value_null();
	if (len == 4 && memcmp(s, "none", 4) == 0)
		return (Value) {.kind = VALUE_UNDEFINED};
	if (len == 4 && memcmp(s, "true", 4) == 0)
		return value_bool(true);
	if (len == 5 && memcmp(s, "false", 5) == 0)
		return value_bool(false);
	if (len == 10 && memcmp(s, "timespan()", 10) == 0)
		return (Value) {.kind = VALUE_TIMESPAN};
	if (*s == '\'')
		return value_string(s + 1, len - 2);
	return value_int(atoi(s));
}

/* name:type?=default, into `parameter`; `*` and `**` before the name are skipped. */
static void
parse_parameter(const char *s, const char *end, YaqlParameter *parameter)
{
	const char *colon = memchr(s, ':', end - s);
	const char *equals = colon ? memchr(colon, '=', end - colon) : NULL;
	const char *type_end = equals ? equals : end;

	if (colon == NULL)
		elog(ERROR, "a parameter has no type");
	while (*s == '*')
		s++;
	parameter->name = pnstrdup(s, colon - s);
	if (type_end[-1] == '?')
	{
		parameter->type = TYPE_NULL;
		type_end--;
	}
	parameter->type |= type_by_name(colon + 1, type_end - colon - 1);
	parameter->iterable = (parameter->type & TYPE_ITERATOR) != 0 && (parameter->type & TYPE_DICT) == 0;
	if (equals)
	{
		parameter->has_default = true;
		parameter->value = parse_default(equals + 1, end);
	}
}

static void
parse_signature(YaqlFunction *f)
{
	const char *s = f->signature;

	f->nparameters = 0;
	f->parameters = palloc0(YAQL_MAX_PARAMETERS * sizeof(YaqlParameter));
	while (*s)
	{
		const char *end = s + strcspn(s, ",");
		YaqlParameter *parameter;

		if (s[0] == '*' && s[1] == '*')
			parameter = f->keywords = palloc0(sizeof(YaqlParameter));
		else if (s[0] == '*')
			parameter = f->rest = palloc0(sizeof(YaqlParameter));
		else if (f->nparameters == YAQL_MAX_PARAMETERS)
			elog(ERROR, "too many parameters of \"%s\"", f->name);
		else
			parameter = &f->parameters[f->nparameters++];
		parse_parameter(s, end, parameter);
		s = *end ? end + 1 : end;
		while (*s == ' ')
			s++;
	}
}

static int
compare_groups(const void *a, const void *b)
{
	return strcmp(((const YaqlGroup *) a)->name, ((const YaqlGroup *) b)->name);
}

/* Reads the signatures and sorts the names, once for the process. */
static void
build_groups(void)
{
	static bool parsed = false;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	YaqlGroup  *built = palloc0(lengthof(functions) * sizeof(YaqlGroup));
	int			n = 0;

	for (int i = 0; i < lengthof(functions); i++)
	{
		YaqlGroup  *group = NULL;

		if (!parsed)
			parse_signature(&functions[i]);
		for (int j = 0; j < n && group == NULL; j++)
			if (strcmp(built[j].name, functions[i].name) == 0)
				group = &built[j];
		if (group == NULL)
		{
			group = &built[n++];
			group->name = functions[i].name;
			group->functions = palloc(MAX_CANDIDATES * sizeof(YaqlFunction *));
		}
		if (group->n == MAX_CANDIDATES)
			elog(ERROR, "too many overloads of \"%s\"", group->name);
		group->functions[group->n++] = &functions[i];
		group->flags |= functions[i].flags;
	}
	parsed = true;
	qsort(built, n, sizeof(YaqlGroup), compare_groups);
	ngroups = n;
	groups = built;
	MemoryContextSwitchTo(old);
}

/* The overloads of a name, or NULL. */
const YaqlGroup *
yaql_group(const char *name, int len)
{
	int			low = 0;
	int			high;

	if (groups == NULL)
		build_groups();
	high = ngroups;
	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			c = strncmp(name, groups[middle].name, len);

		if (c == 0 && groups[middle].name[len] != '\0')
			c = -1;
		if (c == 0)
			return &groups[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

uint32
yaql_type(const Value *value)
{
	switch (value->kind)
	{
		case VALUE_NULL:
			return TYPE_NULL;
		case VALUE_BOOL:
			return TYPE_BOOL;
		case VALUE_INT:
		case VALUE_BIGINT:
			return TYPE_INT;
		case VALUE_FLOAT:
			return TYPE_FLOAT;
		case VALUE_STRING:
			return TYPE_STRING;
		case VALUE_LIST:
			return TYPE_SEQUENCE;
		case VALUE_DICT:
			return TYPE_DICT;
		case VALUE_SET:
			return TYPE_SET;
		case VALUE_ITERATOR:
			return TYPE_ITERATOR;
		case VALUE_ORDERED:
			return TYPE_ORDERED;
		case VALUE_DICT_VIEW:
			return value->flags & (VALUE_F_KEYS | VALUE_F_ITEMS) ? TYPE_SET : TYPE_VALUES;
		case VALUE_REGEX:
			return TYPE_REGEX;
		case VALUE_DATETIME:
			return value->flags & VALUE_F_DATE ? TYPE_OTHER : TYPE_DATETIME;
		case VALUE_TIMESPAN:
			return TYPE_TIMESPAN;
		case VALUE_CONTEXT:
			return TYPE_CONTEXT;
		case VALUE_PAIR:
			return TYPE_PAIR;
		default:
			return TYPE_OTHER;
	}
}

/* The arguments of one call, places and names apart. */
typedef struct Arguments
{
	int			npositional;
	int			nkeywords;
	Argument   *positional;
	Argument   *keywords;
} Arguments;

static bool
is_hole(const Argument *arg)
{
	return arg->node != NULL && arg->node->type == NODE_HOLE;
}

static bool
is_constant(const Argument *arg)
{
	return arg->node == NULL || arg->node->type == NODE_CONSTANT || arg->node->type == NODE_KEYWORD;
}

/* Whether the parameter takes the argument; `evaluated` when its value is known. */
static bool
accepts(const YaqlParameter *parameter, const Argument *arg, bool evaluated)
{
	uint32		type = parameter->type;

	if (type & TYPE_LAMBDA)
		return true;
	if (type & TYPE_LAZY_PAIR)
		return arg->node != NULL && arg->node->type == NODE_PAIR;
	if (type & TYPE_EXPRESSION)
		return arg->node != NULL;
	if (type & TYPE_KEYWORD)
		return arg->node != NULL && arg->node->type == NODE_KEYWORD;
	if (type & TYPE_CONSTANT)
		return arg->node != NULL && is_constant(arg) && arg->node->value.kind == VALUE_STRING;
	if (is_constant(arg) || evaluated)
		return (yaql_type(&arg->value) & type) != 0;
	return true;
}

static Argument *
find_keyword(const Arguments *args, const char *name)
{
	for (int i = 0; i < args->nkeywords; i++)
		if (strlen(name) == args->keywords[i].name.u.string.len &&
			memcmp(name, args->keywords[i].name.u.string.data, strlen(name)) == 0)
			return &args->keywords[i];
	return NULL;
}

static const YaqlParameter *
positional_parameter(const YaqlFunction *f, int i)
{
	return i < f->nparameters ? &f->parameters[i] : f->rest;
}

/* Whether the arguments fit: places, names, and the types of what is known. */
static bool
fits(const YaqlFunction *f, const Arguments *args, bool evaluated)
{
	int			used = 0;

	if (args->npositional > f->nparameters && f->rest == NULL)
		return false;
	for (int i = 0; i < Max(f->nparameters, args->npositional); i++)
	{
		const YaqlParameter *parameter = positional_parameter(f, i);
		const Argument *arg = i < args->npositional && !is_hole(&args->positional[i]) ? &args->positional[i] : NULL;
		const Argument *keyword = args->nkeywords && i < f->nparameters ? find_keyword(args, parameter->name) : NULL;

		if (arg && keyword)
			return false;
		if (keyword)
		{
			arg = keyword;
			used++;
		}
		if (arg == NULL && (i >= f->nparameters || !parameter->has_default))
			return false;
		if (arg && !accepts(parameter, arg, evaluated))
			return false;
	}
	return used == args->nkeywords || f->keywords != NULL;
}

static const char *
argument_kinds(const Arguments *args)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < args->npositional + args->nkeywords; i++)
	{
		const Argument *arg = i < args->npositional ? &args->positional[i] : &args->keywords[i - args->npositional];
		bool		known = is_constant(arg) || arg->value.kind != VALUE_UNDEFINED;

		if (i > 0)
			appendStringInfoString(&out, ", ");
		/* The names that call() is given may be data. */
		if (i >= args->npositional && arg->node == NULL)
			appendStringInfoString(&out, "a name => ");
		else if (i >= args->npositional)
			appendStringInfo(&out, "%.*s => ", arg->name.u.string.len, arg->name.u.string.data);
		appendStringInfoString(&out, known ? value_kind_name(&arg->value) : "an expression");
	}
	return out.len ? out.data : "no arguments";
}

/* The name as users write it. */
static char *
display_name(const char *name, int len, const char **what, bool method)
{
	static const char *const prefixes[] = {"#operator_", "#unary_operator_"};

	*what = method ? "method" : "function";
	for (int i = 0; i < lengthof(prefixes); i++)
	{
		int			n = strlen(prefixes[i]);

		if (len > n && memcmp(name, prefixes[i], n) == 0)
		{
			*what = "operator";
			return pnstrdup(name + n, len - n);
		}
	}
	if (len > 0 && (*name == '#' || *name == '*'))
	{
		*what = "operator";
		if (strncmp(name, "#indexer", len) == 0)
			return "[]";
		if (strncmp(name, "#list", len) == 0)
			return "[ ]";
		if (strncmp(name, "#map", len) == 0)
			return "{ }";
		return strncmp(name, "*equal", len) == 0 ? "=" : "!=";
	}
	return pnstrdup(name, len);
}

static void no_match(const YaqlGroup *group, const Arguments *args, bool method) pg_attribute_noreturn();

static void
no_match(const YaqlGroup *group, const Arguments *args, bool method)
{
	const char *what;
	char	   *name = display_name(group->name, strlen(group->name), &what, method);
	StringInfoData expected;

	initStringInfo(&expected);
	if (strcmp(what, "operator") != 0)
		for (int i = 0; i < group->n; i++)
			if (group->functions[i]->flags & (method ? YAQL_METHOD : YAQL_FUNCTION))
				appendStringInfo(&expected, "%s%s(%s)", expected.len ? ", " : "; expected ", name,
								 group->functions[i]->signature);
	if (eval_current())
		eval_current()->no_match = true;
	expr_fail("%s \"%s\" does not take %s%s", what, name, argument_kinds(args), expected.data);
}

static void
no_such(const YaqlNode *node, const Value *name, bool method)
{
	const char *what;
	char	   *shown;

	/* What call() is told may be data. */
	if (node == NULL)
		expr_fail("there is no %s of the name that call() is given", method ? "method" : "function");
	shown = display_name(name->u.string.data, name->u.string.len, &what, method);

	expr_fail("there is no %s \"%s\"", what, shown);
}

static Value
convert(Eval *ev, Frame *frame, const YaqlParameter *parameter, const Argument *arg)
{
	if (parameter->type & TYPE_LAZY)
	{
		Lambda	   *lambda;

		if (arg->node == NULL && arg->value.kind == VALUE_NULL)
			return value_null();
		lambda = palloc0(sizeof(Lambda));
		lambda->node = arg->node;
		lambda->value = arg->value;
		lambda->constant = is_constant(arg);
		lambda->frame = frame;
		return value_object(VALUE_LAMBDA, 0, lambda);
	}
	if (parameter->iterable && ev->iterator_limit >= 0 && arg->value.kind != VALUE_NULL)
		return value_limited(&arg->value, ev->iterator_limit);
	return arg->value;
}

/* Fills the parameters and calls. */
static Value
invoke(Eval *ev, Frame *frame, const YaqlFunction *f, const Arguments *args)
{
	int			rest = Max(args->npositional - f->nparameters, 0);
	Value		few[MANY_ARGUMENTS];
	YaqlCall	call = {ev, frame, f, f->nparameters + rest, few};

	if (call.nargs > MANY_ARGUMENTS)
		call.args = palloc(call.nargs * sizeof(Value));
	for (int i = 0; i < call.nargs; i++)
	{
		const YaqlParameter *parameter = positional_parameter(f, i);
		const Argument *arg = i < args->npositional && !is_hole(&args->positional[i]) ? &args->positional[i] : NULL;

		if (arg == NULL && args->nkeywords)
			arg = find_keyword(args, parameter->name);
		call.args[i] = arg ? convert(ev, frame, parameter, arg) : parameter->value;
	}
	if (f->keywords && args->nkeywords)
	{
		call.keyword_names = palloc(args->nkeywords * sizeof(Value));
		call.keyword_values = palloc(args->nkeywords * sizeof(Value));
		for (int i = 0; i < args->nkeywords; i++)
		{
			call.keyword_names[call.nkeywords] = args->keywords[i].name;
			call.keyword_values[call.nkeywords++] = args->keywords[i].value;
		}
	}
	return f->implementation(&call);
}

static Value
evaluate_argument(Eval *ev, Frame *frame, const YaqlNode *node)
{
	Value	   *pair;

	if (node->type != NODE_PAIR)
		return yaql_eval(ev, node, frame);
	pair = palloc(2 * sizeof(Value));
	pair[0] = yaql_eval(ev, node->args[0], frame);
	pair[1] = yaql_eval(ev, node->args[1], frame);
	return value_object(VALUE_PAIR, 0, pair);
}

/* Evaluates what the function wants evaluated: the first candidate says what. */
static void
evaluate_arguments(Eval *ev, Frame *frame, const YaqlFunction *f, Arguments *args)
{
	for (int i = 0; i < args->npositional; i++)
	{
		Argument   *arg = &args->positional[i];
		const YaqlParameter *parameter = f ? positional_parameter(f, i) : NULL;

		if (!is_constant(arg) && !is_hole(arg) && !(parameter && (parameter->type & TYPE_LAZY)))
			arg->value = evaluate_argument(ev, frame, arg->node);
	}
	for (int i = 0; i < args->nkeywords; i++)
	{
		Argument   *arg = &args->keywords[i];
		bool		lazy = false;

		for (int j = 0; f && j < f->nparameters; j++)
			lazy |= (f->parameters[j].type & TYPE_LAZY) != 0 &&
				find_keyword(args, f->parameters[j].name) == arg;
		if (!is_constant(arg) && !lazy)
			arg->value = evaluate_argument(ev, frame, arg->node);
	}
}

static Value
call_overloads(Eval *ev, Frame *frame, const YaqlGroup *group, Arguments *args, bool method)
{
	const YaqlFunction *candidates[MAX_CANDIDATES];
	int			n = 0;

	for (int i = 0; i < group->n; i++)
	{
		const YaqlFunction *f = group->functions[i];

		if ((f->flags & (method ? YAQL_METHOD : YAQL_FUNCTION)) && fits(f, args, false))
			candidates[n++] = f;
	}
	if (n == 0)
		no_match(group, args, method);
	evaluate_arguments(ev, frame, candidates[0], args);
	for (int i = 0; i < n; i++)
	{
		if (fits(candidates[i], args, true))
		{
			/* Two overloads that take any number of arguments cannot be told apart without any. */
			if (i + 1 < n && args->npositional + args->nkeywords == 0 && candidates[i]->rest && candidates[i + 1]->rest)
				expr_fail("the call of \"%s\" without arguments is ambiguous", group->name);
			return invoke(ev, frame, candidates[i], args);
		}
	}
	no_match(group, args, method);
}

static const FrameFunction *
find_defined(Frame *frame, const Value *name)
{
	for (; frame; frame = frame->parent)
		for (FrameFunction *f = frame->functions; f; f = f->next)
			if (value_equal(&f->name, name))
				return f;
	return NULL;
}

/* A function of def(): its arguments are $1, $2 and so on, or $name. */
static Value
call_defined(Eval *ev, Frame *frame, const FrameFunction *f, Arguments *args)
{
	Lambda	   *body = f->body.u.object;
	Frame	   *inner = yaql_frame(body->frame);

	evaluate_arguments(ev, frame, NULL, args);
	for (int i = 0; i < args->npositional; i++)
	{
		if (is_hole(&args->positional[i]))
			expr_fail("a function of def() has no default for an argument");
		yaql_set_argument(inner, i + 1, args->positional[i].value);
	}
	for (int i = 0; i < args->nkeywords; i++)
		yaql_set_variable(inner, args->keywords[i].name, args->keywords[i].value);
	return yaql_call_lambda_in(ev, &f->body, inner);
}

/* Whether k => v among the arguments of a name are pairs. */
static bool
takes_pairs(const YaqlGroup *group, bool method)
{
	for (int i = 0; group && i < group->n; i++)
		if (group->functions[i]->flags & (method ? YAQL_METHOD : YAQL_FUNCTION))
			return (group->functions[i]->flags & YAQL_PAIRS) != 0;
	return false;
}

static void
add_argument(Arguments *all, const Argument *arg, bool pairs)
{
	if (arg->name.kind == VALUE_STRING)
		all->keywords[all->nkeywords++] = *arg;
	else if (arg->node != NULL && arg->node->type == NODE_PAIR && !pairs)
	{
		const YaqlNode *name = arg->node->args[0];
		Argument   *keyword;

		if (name->type != NODE_KEYWORD)
			expr_fail("the name of a named argument must be a bare word");
		/* Named twice, the last one counts; the first is not even evaluated. */
		keyword = find_keyword(all, name->value.u.string.data);
		if (keyword == NULL)
			keyword = &all->keywords[all->nkeywords++];
		keyword->name = name->value;
		keyword->node = arg->node->args[1];
		keyword->value = is_constant(keyword) ? keyword->node->value : (Value) {.kind = VALUE_UNDEFINED};
	}
	else
	{
		Argument   *positional = &all->positional[all->npositional++];

		*positional = *arg;
		if (arg->node != NULL)
			positional->value = is_constant(arg) ? arg->node->value : (Value) {.kind = VALUE_UNDEFINED};
	}
}

/*
 * Calls a function by name, or with a receiver a method.  Arguments are nodes,
 * evaluated in `frame`, or values.
 */
Value
yaql_call_function(Eval *ev, Frame *frame, const YaqlNode *node, const YaqlGroup *group,
				   const Value *name, const Value *receiver, const Argument *args, int nargs)
{
	bool		method = receiver != NULL;
	bool		pairs = takes_pairs(group, method);
	Argument	few[MANY_ARGUMENTS * 2];
	Arguments	all = {0};
	const FrameFunction *defined = NULL;
	int			position = ev->position;
	Value		result;

	expr_check_depth();
	eval_tick(ev);
	if (node)
		ev->position = node->position;
	if (ev->defines && !method)
		defined = find_defined(frame, name);
	if (defined == NULL && (group == NULL || !(group->flags & (method ? YAQL_METHOD : YAQL_FUNCTION))))
		no_such(node, name, method);
	if (nargs + 1 <= MANY_ARGUMENTS)
		all.positional = few;
	else
		all.positional = palloc((nargs + 1) * 2 * sizeof(Argument));
	all.keywords = all.positional + nargs + 1;
	if (receiver)
		all.positional[all.npositional++] = (Argument)
		{
			.value = *receiver
		};
	for (int i = 0; i < nargs; i++)
		add_argument(&all, &args[i], pairs);
	result = defined ? call_defined(ev, frame, defined, &all) : call_overloads(ev, frame, group, &all, method);
	ev->position = position;
	return result;
}

Value
yaql_call_node(Eval *ev, Frame *frame, const YaqlNode *node, const Value *receiver)
{
	Argument	few[MANY_ARGUMENTS];
	Argument   *args = few;
	Value		name = value_cstring(node->name);

	if (node->nargs > MANY_ARGUMENTS)
		args = palloc(node->nargs * sizeof(Argument));
	for (int i = 0; i < node->nargs; i++)
		args[i] = (Argument)
		{
			.node = node->args[i]
		};
	return yaql_call_function(ev, frame, node, node->group, &name, receiver, args, node->nargs);
}

/* Calls an operator's function on values. */
Value
yaql_call_values(Eval *ev, Frame *frame, const YaqlGroup *group, const Value *values, int n)
{
	Argument	args[2] = {0};
	Value		name = value_cstring(group->name);

	Assert(n <= 2);
	for (int i = 0; i < n; i++)
		args[i].value = values[i];
	return yaql_call_function(ev, frame, NULL, group, &name, NULL, args, n);
}

static Lambda *
need_lambda(const Value *lambda)
{
	if (lambda->kind != VALUE_LAMBDA)
		expr_fail("null stands where an expression to evaluate is expected");
	return lambda->u.object;
}

/* Evaluates a lambda in a context that has its arguments already. */
Value
yaql_call_lambda_in(Eval *ev, const Value *lambda, Frame *frame)
{
	Lambda	   *l = need_lambda(lambda);

	expr_check_depth();
	if (l->constant)
		return l->value;
	return yaql_eval(ev, l->node, frame);
}

/* Calls a lambda: $ and $1 are the first argument, $2 the second. */
Value
yaql_call_lambda(Eval *ev, const Value *lambda, const Value *args, int nargs)
{
	Lambda	   *l = need_lambda(lambda);
	Frame	   *frame = l->frame;
	Value		result;
	bool		reused = false;

	if (l->constant)
		return l->value;
	eval_tick(ev);
	if (nargs > 0)
	{
		reused = !l->node->keeps_frame && !l->busy;
		if (!reused)
			frame = yaql_frame(l->frame);
		else
		{
			if (l->kept == NULL)
				l->kept = yaql_frame(l->frame);
			frame = l->kept;
			l->busy = true;
		}
		for (int i = 0; i < nargs; i++)
			yaql_set_argument(frame, i + 1, args[i]);
	}
	result = yaql_eval(ev, l->node, frame);
	if (reused)
		l->busy = false;
	return result;
}
