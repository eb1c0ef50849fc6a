/*
 * jinja_parse_postfix.c
 *		What follows a value in Jinja2: attributes, items, calls, filters, tests.
 */
#include "postgres.h"

#include "expr/jinja_parser.h"

/* What changes its receiver, so that the context must be a copy of its own. */
static bool
is_mutator(const char *name)
{
	static const char *const names[] = {
		"append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear", "update", "setdefault", "popitem"
	};

	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* [item], or a slice whose places may be empty. */
static JinjaNode *
parse_subscribed(JinjaParser *p)
{
	JinjaNode  *slice = jinja_node(JINJA_SLICE, jinja_token(p)->position);

	slice->n = 3;
	slice->items = palloc0(3 * sizeof(JinjaNode *));
	for (int i = 0; i < 3; i++)
	{
		if (!jinja_is_operator(p, ":") && !jinja_is_operator(p, "]") && !jinja_is_operator(p, ","))
		{
			slice->items[i] = jinja_parse_expression(p, true);
			if (slice->items[i] == NULL)
				return NULL;
		}
		else if (i == 0 && !jinja_is_operator(p, ":"))
			return jinja_unexpected(p, "an index");
		if (i == 2)
			break;
		if (!jinja_skip(p, JT_OPERATOR, ":"))
			return i == 0 ? slice->items[0] : slice;
	}
	return slice;
}

static JinjaNode *
parse_subscript(JinjaParser *p, JinjaNode *object)
{
	int			position = jinja_token(p)->position;
	JinjaNode  *node = jinja_node(JINJA_GETITEM, position);
	JinjaNodes	nodes = {0};

	node->left = object;
	if (jinja_skip(p, JT_OPERATOR, "."))
	{
		JinjaToken *token = jinja_token(p);

		if (token->type != JT_NAME && token->type != JT_INTEGER)
			return jinja_unexpected(p, "a name or a number");
		node->position = token->position;
		jinja_advance(p);
		if (token->type == JT_INTEGER)
		{
			node->right = jinja_node(JINJA_CONST, token->position);
			node->right->value = token->value;
			return node;
		}
		node->type = JINJA_GETATTR;
		node->name = token->text;
		node->value = value_cstring(token->text);
		node->is_method = jinja_is_dict_method(token->text);
		if (is_mutator(token->text))
			p->template->mutates = true;
		return node;
	}
	jinja_advance(p);
	while (!jinja_is_operator(p, "]"))
	{
		if (nodes.n && !jinja_expect(p, JT_OPERATOR, ","))
			return NULL;
		node->right = parse_subscribed(p);
		if (node->right == NULL)
			return NULL;
		jinja_push(&nodes, node->right);
	}
	jinja_advance(p);
	if (nodes.n != 1)
		node->right = jinja_list_node(JINJA_TUPLE, position, &nodes);
	else if (node->right->type == JINJA_CONST && node->right->value.kind == VALUE_STRING &&
			 is_mutator(node->right->value.u.string.data))
		p->template->mutates = true;
	return node;
}

static void
push_keyword(JinjaArgs *args, char *name, JinjaNode *value)
{
	if (args->nkeywords % 8 == 0)
	{
		int			size = args->nkeywords + 8;

		args->names = args->names ? repalloc(args->names, size * sizeof(char *)) : palloc(size * sizeof(char *));
		args->values = args->values ? repalloc(args->values, size * sizeof(JinjaNode *)) :
			palloc(size * sizeof(JinjaNode *));
	}
	args->names[args->nkeywords] = name;
	args->values[args->nkeywords++] = value;
}

static bool
parse_argument(JinjaParser *p, JinjaArgs *args, JinjaNodes *nodes)
{
	int			position = jinja_token(p)->position;
	JinjaNode  *node;
	char	   *name = NULL;
	JinjaNode **place = NULL;
	bool		fits;

	if (jinja_is_operator(p, "*"))
	{
		place = &args->more;
		fits = args->more == NULL && args->more_keywords == NULL;
	}
	else if (jinja_is_operator(p, "**"))
	{
		place = &args->more_keywords;
		fits = args->more_keywords == NULL;
	}
	else if (jinja_is(p, JT_NAME, NULL) && p->tokens.items[p->at + 1].type == JT_OPERATOR &&
			 strcmp(p->tokens.items[p->at + 1].text, "=") == 0)
	{
		name = jinja_token(p)->text;
		jinja_advance(p);
		fits = args->more_keywords == NULL;
	}
	else
		fits = args->more == NULL && args->more_keywords == NULL && args->nkeywords == 0;
	if (!fits)
		return jinja_fail(p, position, "arguments of a call in a wrong order", NULL) != NULL;
	if (place || name)
		jinja_advance(p);
	node = jinja_parse_expression(p, true);
	if (node == NULL)
		return false;
	if (place)
		*place = node;
	else if (name)
		push_keyword(args, name, node);
	else
		jinja_push(nodes, node);
	return true;
}

/* The arguments of a call in parentheses. */
static JinjaArgs *
parse_args(JinjaParser *p)
{
	JinjaArgs  *args = palloc0(sizeof(JinjaArgs));
	JinjaNodes	nodes = {0};
	bool		first = true;

	jinja_advance(p);
	for (; !jinja_is_operator(p, ")"); first = false)
	{
		if (!first && !jinja_skip(p, JT_OPERATOR, ","))
			return jinja_unexpected(p, "\",\" or \")\"");
		if (!first && jinja_is_operator(p, ")"))
			break;
		if (!parse_argument(p, args, &nodes))
			return NULL;
	}
	jinja_advance(p);
	args->n = nodes.n;
	args->items = nodes.items;
	return args;
}

static JinjaNode *
parse_call(JinjaParser *p, JinjaNode *callee)
{
	JinjaNode  *node = jinja_node(JINJA_CALL, jinja_token(p)->position);

	node->left = callee;
	node->args = parse_args(p);
	return node->args ? node : NULL;
}

JinjaNode *
jinja_parse_postfix(JinjaParser *p, JinjaNode *node)
{
	while (node != NULL)
	{
		if (jinja_is_operator(p, ".") || jinja_is_operator(p, "["))
			node = parse_subscript(p, node);
		else if (jinja_is_operator(p, "("))
			node = parse_call(p, node);
		else
			break;
	}
	return node;
}

/* A name with dots, of a filter or a test. */
static char *
parse_dotted(JinjaParser *p)
{
	char	   *name;

	if (!jinja_is(p, JT_NAME, NULL))
		return jinja_unexpected(p, "a name");
	name = jinja_token(p)->text;
	jinja_advance(p);
	while (jinja_skip(p, JT_OPERATOR, "."))
	{
		if (!jinja_is(p, JT_NAME, NULL))
			return jinja_unexpected(p, "a name");
		name = psprintf("%s.%s", name, jinja_token(p)->text);
		jinja_advance(p);
	}
	return name;
}

/* What does not exist fails before anything runs, unless a condition stands before it. */
static void
note_unknown(JinjaParser *p, const JinjaNode *node, const char *kind)
{
	if (node->function == NULL && !p->soft && p->template->unknown == NULL)
	{
		p->template->unknown = node->name;
		p->template->unknown_position = node->position;
		p->template->unknown_kind = kind;
	}
}

/* Whether the attribute that attr() is asked for can be a method that changes its receiver. */
static bool
may_name_mutator(const JinjaArgs *args)
{
	const JinjaNode *name;

	if (args == NULL || args->n != 1 || args->nkeywords > 0 || args->more || args->more_keywords)
		return true;
	name = args->items[0];
	return name->type != JINJA_CONST || name->value.kind != VALUE_STRING || is_mutator(name->value.u.string.data);
}

JinjaNode *
jinja_parse_filter(JinjaParser *p, JinjaNode *node, bool inline_start)
{
	while (inline_start || jinja_skip(p, JT_OPERATOR, "|"))
	{
		JinjaNode  *filter = jinja_node(JINJA_FILTER, jinja_token(p)->position);

		inline_start = false;
		filter->left = node;
		filter->name = parse_dotted(p);
		if (filter->name == NULL)
			return NULL;
		filter->function = jinja_filter(filter->name, strlen(filter->name));
		note_unknown(p, filter, "filter");
		if (jinja_is_operator(p, "("))
		{
			filter->args = parse_args(p);
			if (filter->args == NULL)
				return NULL;
		}
		if (strcmp(filter->name, "attr") == 0 && may_name_mutator(filter->args))
			p->template->mutates = true;
		node = filter;
	}
	return node;
}

/* Whether a test's only argument follows without parentheses. */
static bool
starts_argument(JinjaParser *p)
{
	JinjaToken *token = jinja_token(p);

	if (token->type == JT_NAME)
		return strcmp(token->text, "else") != 0 && strcmp(token->text, "or") != 0 && strcmp(token->text, "and") != 0;
	return token->type == JT_STRING || token->type == JT_INTEGER || token->type == JT_FLOAT ||
		jinja_is_operator(p, "[") || jinja_is_operator(p, "{");
}

static JinjaNode *
parse_test(JinjaParser *p, JinjaNode *operand)
{
	JinjaNode  *node;
	bool		negated;

	jinja_advance(p);
	negated = jinja_skip(p, JT_NAME, "not");
	node = jinja_node(JINJA_TEST, jinja_token(p)->position);
	node->left = operand;
	node->name = parse_dotted(p);
	if (node->name == NULL)
		return NULL;
	node->function = jinja_test(node->name, strlen(node->name));
	note_unknown(p, node, "test");
	if (jinja_is_operator(p, "("))
	{
		node->args = parse_args(p);
		if (node->args == NULL)
			return NULL;
	}
	else if (starts_argument(p))
	{
		JinjaNodes	nodes = {0};
		JinjaNode  *arg;

		if (jinja_is(p, JT_NAME, "is"))
			return jinja_fail(p, jinja_token(p)->position, "tests cannot follow each other", NULL);
		arg = jinja_parse_postfix(p, jinja_parse_primary(p));
		if (arg == NULL)
			return NULL;
		jinja_push(&nodes, arg);
		node->args = palloc0(sizeof(JinjaArgs));
		node->args->n = 1;
		node->args->items = nodes.items;
	}
	if (negated)
	{
		JinjaNode  *not = jinja_node(JINJA_NOT, node->position);

		not->left = node;
		return not;
	}
	return node;
}

JinjaNode *
jinja_parse_filters_and_tests(JinjaParser *p, JinjaNode *node)
{
	while (node != NULL)
	{
		if (jinja_is_operator(p, "|"))
			node = jinja_parse_filter(p, node, false);
		else if (jinja_is(p, JT_NAME, "is"))
			node = parse_test(p, node);
		else if (jinja_is_operator(p, "("))
			node = parse_call(p, node);
		else
			break;
	}
	return node;
}
