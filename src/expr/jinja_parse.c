/*
 * jinja_parse.c
 *		Jinja2's expressions: one function for each level of precedence.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "expr/jinja_parser.h"

void *
jinja_fail(JinjaParser *p, int position, const char *message, const char *expected)
{
	if (p->error->message == NULL)
	{
		p->error->message = pstrdup(message);
		p->error->expected = expected ? pstrdup(expected) : NULL;
		p->error->offset = position;
	}
	return NULL;
}

void *
jinja_unexpected(JinjaParser *p, const char *expected)
{
	JinjaToken *token = jinja_token(p);
	int			len = Min(token->end - token->position, 100);

	if (token->type == JT_END)
		return jinja_fail(p, token->position, "unexpected end of the text", expected);
	return jinja_fail(p, token->position, psprintf("unexpected \"%.*s\"", pg_mbcliplen(p->text + token->position,
																						token->end - token->position, len),
												   p->text + token->position), expected);
}

bool
jinja_is(JinjaParser *p, JinjaTokenType type, const char *text)
{
	JinjaToken *token = jinja_token(p);

	return token->type == type && (text == NULL || strcmp(token->text, text) == 0);
}

bool
jinja_skip(JinjaParser *p, JinjaTokenType type, const char *text)
{
	if (!jinja_is(p, type, text))
		return false;
	jinja_advance(p);
	return true;
}

bool
jinja_expect(JinjaParser *p, JinjaTokenType type, const char *text)
{
	const char *what = text ? psprintf("\"%s\"", text) :
		type == JT_NAME ? "a name" : type == JT_BLOCK_END ? "\"%}\"" : "\"}}\"";

	if (jinja_skip(p, type, text))
		return true;
	jinja_unexpected(p, what);
	return false;
}

JinjaNode *
jinja_node(JinjaNodeType type, int position)
{
	JinjaNode  *node = palloc0(sizeof(JinjaNode));

	node->type = type;
	node->position = position;
	return node;
}

void
jinja_push(JinjaNodes *nodes, JinjaNode *node)
{
	CHECK_FOR_INTERRUPTS();
	if (nodes->n == nodes->size)
	{
		nodes->size = Max(nodes->size * 2, 4);
		nodes->items = nodes->items ? repalloc(nodes->items, nodes->size * sizeof(JinjaNode *)) :
			palloc(nodes->size * sizeof(JinjaNode *));
	}
	nodes->items[nodes->n++] = node;
}

bool
jinja_too_deep(JinjaParser *p)
{
	if (!stack_is_too_deep())
		return false;
	p->error->limit = true;
	jinja_fail(p, jinja_token(p)->position, "the expression is nested too deeply", NULL);
	return true;
}

JinjaNode *
jinja_list_node(JinjaNodeType type, int position, const JinjaNodes *nodes)
{
	JinjaNode  *node = jinja_node(type, position);

	node->n = nodes->n;
	node->items = nodes->items;
	return node;
}

static JinjaNode *
binary_node(JinjaNodeType type, JinjaOp op, int position, JinjaNode *left, JinjaNode *right)
{
	JinjaNode  *node = jinja_node(type, position);

	node->op = op;
	node->left = left;
	node->right = right;
	return right ? node : NULL;
}

static JinjaNode *
parse_name(JinjaParser *p)
{
	JinjaToken *token = jinja_token(p);
	JinjaNode  *node = jinja_node(JINJA_CONST, token->position);
	const char *name = token->text;

	jinja_advance(p);
	if (strcmp(name, "true") == 0 || strcmp(name, "True") == 0)
		node->value = value_bool(true);
	else if (strcmp(name, "false") == 0 || strcmp(name, "False") == 0)
		node->value = value_bool(false);
	else if (strcmp(name, "none") != 0 && strcmp(name, "None") != 0)
	{
		node->type = JINJA_NAME;
		node->name = token->text;
		for (int i = 0; i < p->nmacros; i++)
		{
			p->macros[i]->uses_varargs |= strcmp(name, "varargs") == 0;
			p->macros[i]->uses_kwargs |= strcmp(name, "kwargs") == 0;
			p->macros[i]->uses_caller |= strcmp(name, "caller") == 0;
		}
	}
	return node;
}

/* Strings side by side are one. */
static JinjaNode *
parse_string(JinjaParser *p)
{
	JinjaNode  *node = jinja_node(JINJA_CONST, jinja_token(p)->position);
	StringInfoData out;

	node->value = jinja_token(p)->value;
	jinja_advance(p);
	if (jinja_is(p, JT_STRING, NULL))
	{
		initStringInfo(&out);
		appendBinaryStringInfo(&out, node->value.u.string.data, node->value.u.string.len);
		for (; jinja_is(p, JT_STRING, NULL); jinja_advance(p))
			appendBinaryStringInfo(&out, jinja_token(p)->value.u.string.data, jinja_token(p)->value.u.string.len);
		node->value = value_text(&out);
	}
	return node;
}

static JinjaNode *
parse_list(JinjaParser *p)
{
	int			position = jinja_token(p)->position;
	JinjaNodes	nodes = {0};

	jinja_advance(p);
	while (!jinja_is_operator(p, "]"))
	{
		JinjaNode  *item;

		if (nodes.n && !jinja_skip(p, JT_OPERATOR, ","))
			return jinja_unexpected(p, "\",\" or \"]\"");
		if (jinja_is_operator(p, "]"))
			break;
		item = jinja_parse_expression(p, true);
		if (item == NULL)
			return NULL;
		jinja_push(&nodes, item);
	}
	jinja_advance(p);
	return jinja_list_node(JINJA_LIST, position, &nodes);
}

static JinjaNode *
parse_dict(JinjaParser *p)
{
	int			position = jinja_token(p)->position;
	JinjaNodes	nodes = {0};

	jinja_advance(p);
	while (!jinja_is_operator(p, "}"))
	{
		JinjaNode  *item;

		if (nodes.n && !jinja_skip(p, JT_OPERATOR, ","))
			return jinja_unexpected(p, "\",\" or \"}\"");
		if (jinja_is_operator(p, "}"))
			break;
		item = jinja_parse_expression(p, true);
		if (item == NULL || !jinja_expect(p, JT_OPERATOR, ":"))
			return NULL;
		jinja_push(&nodes, item);
		item = jinja_parse_expression(p, true);
		if (item == NULL)
			return NULL;
		jinja_push(&nodes, item);
	}
	jinja_advance(p);
	return jinja_list_node(JINJA_DICT, position, &nodes);
}

JinjaNode *
jinja_parse_primary(JinjaParser *p)
{
	JinjaToken *token = jinja_token(p);
	JinjaNode  *node;

	if (jinja_too_deep(p))
		return NULL;
	switch (token->type)
	{
		case JT_NAME:
			return parse_name(p);
		case JT_STRING:
			return parse_string(p);
		case JT_INTEGER:
		case JT_FLOAT:
			node = jinja_node(JINJA_CONST, token->position);
			node->value = token->value;
			jinja_advance(p);
			return node;
		case JT_OPERATOR:
			if (jinja_skip(p, JT_OPERATOR, "("))
			{
				node = jinja_parse_tuple(p, false, true, true);
				return node && jinja_expect(p, JT_OPERATOR, ")") ? node : NULL;
			}
			if (jinja_is_operator(p, "["))
				return parse_list(p);
			if (jinja_is_operator(p, "{"))
				return parse_dict(p);
			break;
		default:
			break;
	}
	return jinja_unexpected(p, "a value");
}

/* Not `in` or `recursive`: what follows a comma is a name to Jinja2, whatever it is. */
static bool
is_tuple_end(JinjaParser *p)
{
	return jinja_is(p, JT_VARIABLE_END, NULL) || jinja_is(p, JT_BLOCK_END, NULL) || jinja_is_operator(p, ")");
}

JinjaNode *
jinja_parse_tuple(JinjaParser *p, bool simple, bool condition, bool parentheses)
{
	int			position = jinja_token(p)->position;
	JinjaNodes	nodes = {0};
	bool		is_tuple = false;

	for (;;)
	{
		JinjaNode  *node;

		if (nodes.n && !jinja_expect(p, JT_OPERATOR, ","))
			return NULL;
		if (is_tuple_end(p))
			break;
		node = simple ? jinja_parse_primary(p) : jinja_parse_expression(p, condition);
		if (node == NULL)
			return NULL;
		jinja_push(&nodes, node);
		if (!jinja_is_operator(p, ","))
			break;
		is_tuple = true;
	}
	if (!is_tuple && nodes.n)
		return nodes.items[0];
	if (!is_tuple && !parentheses)
		return jinja_unexpected(p, "an expression");
	return jinja_list_node(JINJA_TUPLE, position, &nodes);
}

static JinjaNode *
parse_unary(JinjaParser *p, bool with_filter)
{
	int			position = jinja_token(p)->position;
	JinjaNode  *node;

	if (jinja_too_deep(p))
		return NULL;
	if (jinja_is_operator(p, "-") || jinja_is_operator(p, "+"))
	{
		node = jinja_node(JINJA_UNARY, position);
		node->op = jinja_is_operator(p, "-") ? JINJA_SUB : JINJA_ADD;
		jinja_advance(p);
		node->left = parse_unary(p, false);
		if (node->left == NULL)
			return NULL;
	}
	else
		node = jinja_parse_primary(p);
	node = jinja_parse_postfix(p, node);
	return with_filter ? jinja_parse_filters_and_tests(p, node) : node;
}

static JinjaNode *
parse_power(JinjaParser *p)
{
	JinjaNode  *left = parse_unary(p, true);

	while (left && jinja_is_operator(p, "**"))
	{
		int			position = jinja_token(p)->position;

		jinja_advance(p);
		left = binary_node(JINJA_BINARY, JINJA_POW, position, left, parse_unary(p, true));
	}
	return left;
}

static JinjaNode *
parse_product(JinjaParser *p)
{
	JinjaNode  *left = parse_power(p);

	while (left && (jinja_is_operator(p, "*") || jinja_is_operator(p, "/") || jinja_is_operator(p, "//") || jinja_is_operator(p, "%")))
	{
		int			position = jinja_token(p)->position;
		JinjaOp		op = jinja_is_operator(p, "*") ? JINJA_MUL : jinja_is_operator(p, "/") ? JINJA_DIV :
			jinja_is_operator(p, "//") ? JINJA_FLOORDIV : JINJA_MOD;

		jinja_advance(p);
		left = binary_node(JINJA_BINARY, op, position, left, parse_power(p));
	}
	return left;
}

static JinjaNode *
parse_concat(JinjaParser *p)
{
	int			position = jinja_token(p)->position;
	JinjaNodes	nodes = {0};
	JinjaNode  *node = parse_product(p);

	if (node == NULL || !jinja_is_operator(p, "~"))
		return node;
	jinja_push(&nodes, node);
	while (jinja_skip(p, JT_OPERATOR, "~"))
	{
		node = parse_product(p);
		if (node == NULL)
			return NULL;
		jinja_push(&nodes, node);
	}
	return jinja_list_node(JINJA_CONCAT, position, &nodes);
}

static JinjaNode *
parse_sum(JinjaParser *p)
{
	JinjaNode  *left = parse_concat(p);

	while (left && (jinja_is_operator(p, "+") || jinja_is_operator(p, "-")))
	{
		int			position = jinja_token(p)->position;
		JinjaOp		op = jinja_is_operator(p, "+") ? JINJA_ADD : JINJA_SUB;

		jinja_advance(p);
		left = binary_node(JINJA_BINARY, op, position, left, parse_concat(p));
	}
	return left;
}

/* The comparison at hand, taken; false when there is none. */
static bool
take_comparison(JinjaParser *p, JinjaOp *op)
{
	static const struct
	{
		const char *text;
		JinjaOp		op;
	}			operators[] = {
		{"==", JINJA_EQ}, {"!=", JINJA_NE}, {"<", JINJA_LT}, {"<=", JINJA_LE}, {">", JINJA_GT}, {">=", JINJA_GE}
	};
	JinjaToken *next = &p->tokens.items[Min(p->at + 1, p->tokens.n - 1)];

	for (int i = 0; i < lengthof(operators); i++)
	{
		if (jinja_skip(p, JT_OPERATOR, operators[i].text))
		{
			*op = operators[i].op;
			return true;
		}
	}
	*op = JINJA_IN;
	if (jinja_skip(p, JT_NAME, "in"))
		return true;
	if (!jinja_is(p, JT_NAME, "not") || next->type != JT_NAME || strcmp(next->text, "in") != 0)
		return false;
	*op = JINJA_NOT_IN;
	jinja_advance(p);
	jinja_advance(p);
	return true;
}

static JinjaNode *
parse_comparison(JinjaParser *p)
{
	int			position = jinja_token(p)->position;
	JinjaNode  *left = parse_sum(p);
	JinjaNode  *node = NULL;
	JinjaNodes	nodes = {0};
	JinjaOp		op;

	while (left && take_comparison(p, &op))
	{
		JinjaNode  *operand = parse_sum(p);

		if (operand == NULL)
			return NULL;
		if (node == NULL)
			node = jinja_node(JINJA_COMPARE, position);
		jinja_push(&nodes, operand);
		node->ops = node->ops ? repalloc(node->ops, nodes.n * sizeof(JinjaOp)) : palloc(sizeof(JinjaOp));
		node->ops[nodes.n - 1] = op;
	}
	if (node == NULL)
		return left;
	node->left = left;
	node->n = nodes.n;
	node->items = nodes.items;
	return node;
}

static JinjaNode *
parse_not(JinjaParser *p)
{
	int			position = jinja_token(p)->position;
	JinjaNode  *node;

	if (jinja_too_deep(p))
		return NULL;
	if (!jinja_skip(p, JT_NAME, "not"))
		return parse_comparison(p);
	node = jinja_node(JINJA_NOT, position);
	node->left = parse_not(p);
	return node->left ? node : NULL;
}

static JinjaNode *
parse_and(JinjaParser *p)
{
	JinjaNode  *left = parse_not(p);

	while (left && jinja_is(p, JT_NAME, "and"))
	{
		int			position = jinja_token(p)->position;

		jinja_advance(p);
		left = binary_node(JINJA_AND, JINJA_ADD, position, left, parse_not(p));
	}
	return left;
}

static JinjaNode *
parse_or(JinjaParser *p)
{
	JinjaNode  *left = parse_and(p);

	while (left && jinja_is(p, JT_NAME, "or"))
	{
		int			position = jinja_token(p)->position;

		jinja_advance(p);
		left = binary_node(JINJA_OR, JINJA_ADD, position, left, parse_and(p));
	}
	return left;
}

JinjaNode *
jinja_parse_expression(JinjaParser *p, bool condition)
{
	JinjaNode  *left;
	const char *unknown = p->template->unknown;

	if (jinja_too_deep(p))
		return NULL;
	left = parse_or(p);
	while (left && condition && jinja_is(p, JT_NAME, "if"))
	{
		JinjaNode  *node = jinja_node(JINJA_COND, jinja_token(p)->position);
		bool		soft = p->soft;

		/* What was read already turns out to be conditional. */
		if (unknown == NULL && !soft)
			p->template->unknown = NULL;
		p->soft = true;
		jinja_advance(p);
		node->left = left;
		node->test = parse_or(p);
		if (node->test && jinja_skip(p, JT_NAME, "else"))
		{
			node->right = jinja_parse_expression(p, true);
			if (node->right == NULL)
				node->test = NULL;
		}
		p->soft = soft;
		left = node->test ? node : NULL;
	}
	return left;
}

/* The text with every line end as \n, and without the last one. */
static char *
normalize(const char *text, int len, int *normal_len)
{
	char	   *copy = palloc(len + 1);
	int			n = 0;

	for (int i = 0; i < len; i++)
	{
		copy[n++] = text[i] == '\r' ? '\n' : text[i];
		if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
			i++;
	}
	if (n > 0 && copy[n - 1] == '\n')
		n--;
	copy[n] = '\0';
	*normal_len = n;
	return copy;
}

JinjaTemplate *
jinja_parse(const char *text, int len, bool native, ExprError *error)
{
	JinjaTemplate *t = palloc0(sizeof(JinjaTemplate));
	JinjaParser p = {.error = error,.template = t};

	memset(error, 0, sizeof(*error));
	t->native = native;
	t->text = p.text = normalize(text, len, &t->len);
	if (!jinja_lex(t->text, t->len, native, &p.tokens, error))
		return NULL;
	if (!native)
		t->root = jinja_parse_body(&p, NULL);
	else
	{
		if (jinja_is(&p, JT_END, NULL))
			return jinja_fail(&p, 0, "the expression is empty", "a value");
		t->root = jinja_parse_expression(&p, true);
		if (t->root && !jinja_is(&p, JT_END, NULL))
			return jinja_unexpected(&p, "an operator, a filter or the end");
	}
	return t->root ? t : NULL;
}
