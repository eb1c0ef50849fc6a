/*
 * yaql_parse.c
 *		YAQL's grammar, by binding powers.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "expr/yaql_lex.h"

/* Binding powers, from loose to tight. */
#define POWER_SEND 4
#define POWER_OR 5
#define POWER_AND 6
#define POWER_NOT 7
#define POWER_COMPARE 8
#define POWER_ADD 10
#define POWER_MULTIPLY 12
#define POWER_MATCH 14
#define POWER_SIGN 16
#define POWER_INDEX 18
#define POWER_DOT 20

typedef struct Operator
{
	const char *text;
	int			power;
	NodeOp		op;
	const char *function;
} Operator;

static const Operator binary_operators[] = {
	{".", POWER_DOT, OP_DOT, "#operator_."},
	{"?.", POWER_DOT, OP_SAFE_DOT, "#operator_?."},
	{"=~", POWER_MATCH, OP_NONE, "#operator_=~"},
	{"!~", POWER_MATCH, OP_NONE, "#operator_!~"},
	{"*", POWER_MULTIPLY, OP_NONE, "#operator_*"},
	{"/", POWER_MULTIPLY, OP_NONE, "#operator_/"},
	{"mod", POWER_MULTIPLY, OP_NONE, "#operator_mod"},
	{"+", POWER_ADD, OP_NONE, "#operator_+"},
	{"-", POWER_ADD, OP_NONE, "#operator_-"},
	{">", POWER_COMPARE, OP_NONE, "#operator_>"},
	{"<", POWER_COMPARE, OP_NONE, "#operator_<"},
	{">=", POWER_COMPARE, OP_NONE, "#operator_>="},
	{"<=", POWER_COMPARE, OP_NONE, "#operator_<="},
	{"!=", POWER_COMPARE, OP_NOT_EQUAL, "*not_equal"},
	{"=", POWER_COMPARE, OP_EQUAL, "*equal"},
	{"in", POWER_COMPARE, OP_NONE, "#operator_in"},
	{"and", POWER_AND, OP_AND, "#operator_and"},
	{"or", POWER_OR, OP_OR, "#operator_or"},
	{"->", POWER_SEND, OP_SEND, "#operator_->"},
};

static const Operator prefix_operators[] = {
	{"+", POWER_SIGN, OP_NONE, "#unary_operator_+"},
	{"-", POWER_SIGN, OP_NONE, "#unary_operator_-"},
	{"not", POWER_NOT, OP_NOT, "#unary_operator_not"},
};

typedef struct Parser
{
	Lexer		lexer;
	Token		token;
	int			ntokens;
	ExprError  *error;
} Parser;

static YaqlNode *parse_value(Parser *p, int power);

static void *
fail(Parser *p, int position, const char *message, const char *expected)
{
	if (p->error->message == NULL)
	{
		p->error->message = pstrdup(message);
		p->error->expected = expected ? pstrdup(expected) : NULL;
		p->error->offset = position;
	}
	return NULL;
}

static const char *
token_text(Parser *p)
{
	if (p->token.type == TOKEN_END)
		return "end of the expression";
	return psprintf("\"%.*s\"", p->token.end - p->token.position, p->lexer.text + p->token.position);
}

static void *
unexpected(Parser *p, const char *expected)
{
	if (p->token.type == TOKEN_ERROR)
		return fail(p, p->token.position, p->lexer.error, NULL);
	return fail(p, p->token.position, psprintf("unexpected %s", token_text(p)), expected);
}

static void
advance(Parser *p)
{
	yaql_next_token(&p->lexer, &p->token);
	p->ntokens++;
}

static YaqlNode *
new_node(NodeType type, int position)
{
	YaqlNode	   *node = palloc0(sizeof(YaqlNode));

	node->type = type;
	node->position = position;
	return node;
}

static YaqlNode *
new_call(int position, NodeOp op, const char *name, YaqlNode **args, int nargs)
{
	YaqlNode	   *node = new_node(NODE_CALL, position);

	node->op = op;
	node->name = name;
	node->group = yaql_group(name, strlen(name));
	node->nargs = nargs;
	node->args = args;
	node->keeps_frame = node->group == NULL || (node->group->flags & YAQL_KEEPS);
	for (int i = 0; i < nargs; i++)
		node->keeps_frame |= args[i]->keeps_frame;
	return node;
}

static YaqlNode *
new_call2(int position, NodeOp op, const char *name, YaqlNode *a, YaqlNode *b)
{
	YaqlNode	  **args = palloc(2 * sizeof(YaqlNode *));

	args[0] = a;
	args[1] = b;
	return new_call(position, op, name, args, b ? 2 : 1);
}

/* What a growing list of arguments needs. */
typedef struct Arguments
{
	int			n;
	int			size;
	int			holes;			/* at the end of the list */
	int			values;
	bool		named;
	YaqlNode	  **items;
} Arguments;

static void
add_argument(Arguments *args, YaqlNode *node)
{
	if (args->n == args->size)
	{
		args->size = Max(args->size * 2, 4);
		args->items = args->items ? repalloc(args->items, args->size * sizeof(YaqlNode *)) :
			palloc(args->size * sizeof(YaqlNode *));
	}
	args->items[args->n++] = node;
}

static bool
parse_argument(Parser *p, Arguments *args)
{
	int			position = p->token.position;
	YaqlNode	   *value = parse_value(p, 0);

	if (value == NULL)
		return false;
	if (p->token.type == TOKEN_MAPPING)
	{
		YaqlNode	   *pair = new_node(NODE_PAIR, position);

		if (!args->named && (args->holes > 1 || (args->holes == 1 && args->values == 0)))
			return unexpected(p, "a positional argument in an empty place") != NULL;
		args->named = true;
		advance(p);
		pair->nargs = 2;
		pair->args = palloc(2 * sizeof(YaqlNode *));
		pair->args[0] = value;
		pair->args[1] = parse_value(p, 0);
		if (pair->args[1] == NULL)
			return false;
		pair->keeps_frame = value->keeps_frame || pair->args[1]->keeps_frame;
		value = pair;
	}
	else if (args->named)
		return unexpected(p, "\"=>\", since positional arguments cannot follow named ones") != NULL;
	args->values++;
	args->holes = 0;
	add_argument(args, value);
	return true;
}

/* Arguments up to the closing token, which is taken. */
static bool
parse_arguments(Parser *p, TokenType close, const char *expected, Arguments *args)
{
	memset(args, 0, sizeof(*args));
	if (p->token.type == close)
	{
		advance(p);
		return true;
	}
	for (;;)
	{
		if (p->token.type == TOKEN_COMMA && !args->named)
		{
			add_argument(args, new_node(NODE_HOLE, p->token.position));
			args->holes++;
		}
		else if (!parse_argument(p, args))
			return false;
		if (p->token.type == close)
		{
			advance(p);
			return true;
		}
		if (p->token.type != TOKEN_COMMA)
			return unexpected(p, expected) != NULL;
		advance(p);
	}
}

static YaqlNode *
parse_variable(Parser *p)
{
	YaqlNode	   *node = new_node(NODE_VARIABLE, p->token.position);
	const char *name = p->token.value.u.string.data;

	node->value = p->token.value;
	if (*name == '\0')
	{
		node->index = 1;
		node->value = value_cstring("1");
	}
	else if (name[0] >= '1' && name[0] <= '9' && name[1] == '\0')
		node->index = name[0] - '0';
	advance(p);
	return node;
}

static YaqlNode *
parse_prefix(Parser *p)
{
	int			position = p->token.position;
	Arguments	args;
	YaqlNode	   *node;
	const char *name;

	switch (p->token.type)
	{
		case TOKEN_CONSTANT:
		case TOKEN_KEYWORD:
			node = new_node(p->token.type == TOKEN_CONSTANT ? NODE_CONSTANT : NODE_KEYWORD, position);
			node->value = p->token.value;
			advance(p);
			return node;
		case TOKEN_VARIABLE:
			return parse_variable(p);
		case TOKEN_FUNCTION:
			name = p->token.value.u.string.data;
			advance(p);
			if (!parse_arguments(p, TOKEN_CLOSE, "\",\" or \")\"", &args))
				return NULL;
			node = new_call(position, OP_NONE, name, args.items, args.n);
			node->method_like = true;
			return node;
		case TOKEN_OPEN:
			advance(p);
			node = new_node(NODE_WRAP, position);
			node->nargs = 1;
			node->args = palloc(sizeof(YaqlNode *));
			node->args[0] = parse_value(p, 0);
			if (node->args[0] == NULL)
				return NULL;
			if (p->token.type != TOKEN_CLOSE)
				return unexpected(p, "an operator or \")\"");
			node->keeps_frame = node->args[0]->keeps_frame;
			advance(p);
			return node;
		case TOKEN_OPEN_LIST:
			advance(p);
			if (!parse_arguments(p, TOKEN_CLOSE_LIST, "\",\" or \"]\"", &args))
				return NULL;
			return new_call(position, OP_NONE, "#list", args.items, args.n);
		case TOKEN_OPEN_MAP:
			advance(p);
			if (!parse_arguments(p, TOKEN_CLOSE_MAP, "\",\" or \"}\"", &args))
				return NULL;
			return new_call(position, OP_NONE, "#map", args.items, args.n);
		case TOKEN_OPERATOR:
			for (int i = 0; i < lengthof(prefix_operators); i++)
			{
				const Operator *o = &prefix_operators[i];

				if (strcmp(o->text, p->token.op) == 0)
				{
					advance(p);
					node = parse_value(p, o->power);
					return node ? new_call2(position, o->op, o->function, node, NULL) : NULL;
				}
			}
			break;
		default:
			break;
	}
	return unexpected(p, "a value");
}

static const Operator *
binary_operator(Parser *p)
{
	if (p->token.type == TOKEN_OPERATOR)
		for (int i = 0; i < lengthof(binary_operators); i++)
			if (strcmp(binary_operators[i].text, p->token.op) == 0)
				return &binary_operators[i];
	return NULL;
}

static YaqlNode *
parse_index(Parser *p, YaqlNode *left)
{
	int			position = p->token.position;
	Arguments	args;
	Arguments	all = {0};

	advance(p);
	if (!parse_arguments(p, TOKEN_CLOSE_LIST, "\",\" or \"]\"", &args))
		return NULL;
	add_argument(&all, left);
	for (int i = 0; i < args.n; i++)
		add_argument(&all, args.items[i]);
	return new_call(position, OP_NONE, "#indexer", all.items, all.n);
}

static YaqlNode *
parse_value(Parser *p, int power)
{
	YaqlNode	   *left;

	if (stack_is_too_deep())
	{
		p->error->limit = true;
		return fail(p, p->token.position, "the expression is nested too deeply", NULL);
	}
	if (p->ntokens > EVAL_MAX_TOKENS)
	{
		p->error->limit = true;
		return fail(p, p->token.position, "the expression is too long", NULL);
	}
	CHECK_FOR_INTERRUPTS();
	left = parse_prefix(p);
	while (left != NULL)
	{
		int			position = p->token.position;
		const Operator *o = binary_operator(p);
		YaqlNode	   *right;

		if (p->token.type == TOKEN_OPEN_LIST && POWER_INDEX > power)
		{
			left = parse_index(p, left);
			continue;
		}
		if (o == NULL || o->power <= power)
			break;
		advance(p);
		right = parse_value(p, o->power == POWER_SEND ? POWER_SEND - 1 : o->power);
		left = right ? new_call2(position, o->op, o->function, left, right) : NULL;
	}
	return left;
}

YaqlNode *
yaql_parse(const char *text, int len, ExprError *error)
{
	Parser		p = {.lexer = {.text = text,.len = len},.error = error};
	YaqlNode	   *node;

	memset(error, 0, sizeof(*error));
	advance(&p);
	if (p.token.type == TOKEN_END)
		return fail(&p, 0, "the expression is empty", "a value");
	node = parse_value(&p, 0);
	if (node != NULL && p.token.type != TOKEN_END)
		return unexpected(&p, "an operator or the end");
	return node;
}
