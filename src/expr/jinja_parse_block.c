/*
 * jinja_parse_block.c
 *		Jinja2's statements.
 */
#include "postgres.h"

#include "expr/jinja_parser.h"

/* After the tag: the statements up to one of the words, which is then at hand. */
static JinjaNode *
parse_statements(JinjaParser *p, const char *const *ends)
{
	JinjaNode  *body;

	(void) jinja_skip(p, JT_OPERATOR, ":");
	if (!jinja_expect(p, JT_BLOCK_END, NULL))
		return NULL;
	body = jinja_parse_body(p, ends);
	if (body && jinja_is(p, JT_END, NULL))
		return jinja_unexpected(p, psprintf("{%% %s %%}", ends[0]));
	return body;
}

/* The same up to one word, which is taken. */
static JinjaNode *
parse_until(JinjaParser *p, const char *end)
{
	const char *const ends[] = {end, NULL};
	JinjaNode  *body = parse_statements(p, ends);

	if (body)
		jinja_advance(p);
	return body;
}

static bool
can_assign(JinjaParser *p, const JinjaNode *target)
{
	if (target->type == JINJA_NAME || target->type == JINJA_NAMESPACE_TARGET)
		return true;
	if (target->type != JINJA_TUPLE)
		return jinja_fail(p, target->position, "this cannot be assigned to", "a name") != NULL;
	for (int i = 0; i < target->n; i++)
		if (!can_assign(p, target->items[i]))
			return false;
	return true;
}

/* A name that is assigned to. */
static JinjaNode *
parse_target_name(JinjaParser *p)
{
	JinjaNode  *node;

	if (!jinja_is(p, JT_NAME, NULL))
		return jinja_unexpected(p, "a name");
	node = jinja_parse_primary(p);
	return can_assign(p, node) ? node : NULL;
}

/* What parses, and cannot run, wherever it stands. */
static void
refuse(JinjaParser *p, int position, const char *why)
{
	if (p->template->refused != NULL)
		return;
	p->template->refused = why;
	p->template->refused_position = position;
}

/* In a loop, its own variable is not to be assigned to. */
static void
refuse_loop(JinjaParser *p, const JinjaNode *target)
{
	if (p->nloops == 0)
		return;
	if (target->type == JINJA_NAME && strcmp(target->name, "loop") == 0)
		refuse(p, target->position, "the variable \"loop\" of a loop cannot be assigned to");
	for (int i = 0; target->type == JINJA_TUPLE && i < target->n; i++)
		refuse_loop(p, target->items[i]);
}

static JinjaNode *
parse_target(JinjaParser *p, bool with_namespace)
{
	JinjaToken *next = &p->tokens.items[Min(p->at + 1, p->tokens.n - 1)];
	JinjaNode  *node;

	if (with_namespace && next->type == JT_OPERATOR && strcmp(next->text, ".") == 0)
	{
		node = jinja_node(JINJA_NAMESPACE_TARGET, jinja_token(p)->position);
		if (!jinja_is(p, JT_NAME, NULL))
			return jinja_unexpected(p, "a name");
		node->left = jinja_node(JINJA_NAME, jinja_token(p)->position);
		node->left->name = jinja_token(p)->text;
		jinja_advance(p);
		jinja_advance(p);
		if (!jinja_is(p, JT_NAME, NULL))
			return jinja_unexpected(p, "a name");
		node->name = jinja_token(p)->text;
		jinja_advance(p);
		return node;
	}
	node = jinja_parse_tuple(p, true, true, false);
	return node && can_assign(p, node) ? node : NULL;
}

static JinjaNode *
parse_set(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_SET, position);

	node->left = parse_target(p, true);
	if (node->left == NULL)
		return NULL;
	refuse_loop(p, node->left);
	if (jinja_skip(p, JT_OPERATOR, "="))
	{
		node->right = jinja_parse_tuple(p, false, true, false);
		return node->right ? node : NULL;
	}
	node->type = JINJA_SET_BLOCK;
	if (jinja_is(p, JT_OPERATOR, "|"))
	{
		node->right = jinja_parse_filter(p, NULL, false);
		if (node->right == NULL)
			return NULL;
	}
	node->body = parse_until(p, "endset");
	return node->body ? node : NULL;
}

static JinjaNode *
parse_loop(JinjaParser *p, int position)
{
	static const char *const ends[] = {"endfor", "else", NULL};
	JinjaNode  *node = jinja_node(JINJA_FOR, position);

	node->left = parse_target(p, false);
	if (node->left == NULL || !jinja_expect(p, JT_NAME, "in"))
		return NULL;
	refuse_loop(p, node->left);
	node->right = jinja_parse_tuple(p, false, false, false);
	if (node->right == NULL)
		return NULL;
	if (jinja_skip(p, JT_NAME, "if"))
	{
		node->test = jinja_parse_expression(p, true);
		if (node->test == NULL)
			return NULL;
	}
	node->flag = jinja_skip(p, JT_NAME, "recursive");
	node->body = parse_statements(p, ends);
	if (node->body == NULL)
		return NULL;
	if (jinja_skip(p, JT_NAME, "endfor"))
		return node;
	jinja_advance(p);
	node->other = parse_until(p, "endfor");
	return node->other ? node : NULL;
}

static JinjaNode *
parse_for(JinjaParser *p, int position)
{
	JinjaNode  *node;

	p->nloops++;
	node = parse_loop(p, position);
	p->nloops--;
	return node;
}

/* After if or elif; the else of one is the next elif. */
static JinjaNode *
parse_if(JinjaParser *p, int position)
{
	static const char *const ends[] = {"elif", "else", "endif", NULL};
	JinjaNode  *node = jinja_node(JINJA_IF, position);
	bool		soft = p->soft;

	if (jinja_too_deep(p))
		return NULL;
	p->soft = true;
	node->test = jinja_parse_tuple(p, false, false, false);
	if (node->test)
		node->body = parse_statements(p, ends);
	if (node->body == NULL)
		return NULL;
	if (jinja_is(p, JT_NAME, "elif"))
	{
		position = jinja_token(p)->position;
		jinja_advance(p);
		node->other = parse_if(p, position);
	}
	else if (jinja_skip(p, JT_NAME, "else"))
		node->other = parse_until(p, "endif");
	else
	{
		jinja_advance(p);
		p->soft = soft;
		return node;
	}
	p->soft = soft;
	return node->other ? node : NULL;
}

static JinjaNode *
parse_with(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_WITH, position);
	JinjaNodes	nodes = {0};

	while (!jinja_is(p, JT_BLOCK_END, NULL))
	{
		JinjaNode  *target;
		JinjaNode  *value;

		if (nodes.n && !jinja_expect(p, JT_OPERATOR, ","))
			return NULL;
		/* One name: the comma belongs to the next pair, unless it is in parentheses. */
		target = jinja_parse_tuple(p, true, true, false);
		if (target == NULL || !can_assign(p, target) || !jinja_expect(p, JT_OPERATOR, "="))
			return NULL;
		value = jinja_parse_expression(p, true);
		if (value == NULL)
			return NULL;
		jinja_push(&nodes, target);
		jinja_push(&nodes, value);
	}
	node->n = nodes.n;
	node->items = nodes.items;
	node->body = parse_until(p, "endwith");
	return node->body ? node : NULL;
}

static JinjaNode *
parse_autoescape(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_AUTOESCAPE, position);

	node->left = jinja_parse_expression(p, true);
	if (node->left)
		node->body = parse_until(p, "endautoescape");
	return node->body ? node : NULL;
}

/* Whether a body holds nothing but blanks. */
static bool
is_blank(const JinjaNode *body)
{
	for (int i = 0; i < body->n; i++)
	{
		const JinjaNode *node = body->items[i];

		if (node->type != JINJA_DATA || strspn(node->value.u.string.data, " \t\n\r\f\v") < node->value.u.string.len)
			return false;
	}
	return true;
}

static JinjaNode *
parse_block(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_BLOCK, position);
	JinjaTemplate *t = p->template;

	if (!jinja_is(p, JT_NAME, NULL))
		return jinja_unexpected(p, "the block's name");
	node->name = jinja_token(p)->text;
	jinja_advance(p);
	node->flag = jinja_skip(p, JT_NAME, "scoped");
	node->required = jinja_skip(p, JT_NAME, "required");
	node->body = parse_until(p, "endblock");
	if (node->body == NULL)
		return NULL;
	if (node->required && !is_blank(node->body))
		return jinja_fail(p, position, "a required block holds more than blanks", NULL);
	(void) jinja_skip(p, JT_NAME, node->name);
	t->blocks = t->blocks ? repalloc(t->blocks, (t->nblocks + 1) * sizeof(JinjaNode *)) : palloc(sizeof(JinjaNode *));
	t->blocks[t->nblocks++] = node;
	return node;
}

static bool
push_parameter(JinjaParser *p, JinjaSignature *s, const JinjaNode *name)
{
	for (int i = 0; i < s->n; i++)
	{
		if (strcmp(s->names[i], name->name) == 0)
			refuse(p, name->position, "two parameters of a macro have the same name");
	}
	s->names = s->names ? repalloc(s->names, (s->n + 1) * sizeof(char *)) : palloc(sizeof(char *));
	s->names[s->n++] = name->name;
	s->explicit_caller |= strcmp(name->name, "caller") == 0;
	if (jinja_skip(p, JT_OPERATOR, "="))
	{
		JinjaNode  *value = jinja_parse_expression(p, true);

		if (value == NULL)
			return false;
		s->defaults = s->defaults ? repalloc(s->defaults, (s->ndefaults + 1) * sizeof(JinjaNode *)) :
			palloc(sizeof(JinjaNode *));
		s->defaults[s->ndefaults++] = value;
	}
	else if (s->ndefaults)
		return jinja_fail(p, name->position, "a parameter without a default follows one with a default", NULL) != NULL;
	return true;
}

static bool
parse_signature(JinjaParser *p, JinjaSignature *s)
{
	if (!jinja_expect(p, JT_OPERATOR, "("))
		return false;
	while (!jinja_is(p, JT_OPERATOR, ")"))
	{
		JinjaNode  *name;

		if (s->n && !jinja_expect(p, JT_OPERATOR, ","))
			return false;
		name = parse_target_name(p);
		if (name == NULL || !push_parameter(p, s, name))
			return false;
	}
	jinja_advance(p);
	return true;
}

/* The body of a macro: what it calls varargs, kwargs and caller is noted. */
static JinjaNode *
parse_macro_body(JinjaParser *p, JinjaSignature *s, const char *end)
{
	JinjaNode  *body;

	if (p->nmacros == lengthof(p->macros))
	{
		p->error->limit = true;
		return jinja_fail(p, jinja_token(p)->position, "macros are nested too deeply", NULL);
	}
	p->macros[p->nmacros++] = s;
	p->template->closes = true;
	body = parse_until(p, end);
	p->nmacros--;
	return body;
}

static JinjaNode *
parse_macro(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_MACRO, position);
	JinjaNode  *name = parse_target_name(p);

	if (name == NULL)
		return NULL;
	node->name = name->name;
	node->signature = palloc0(sizeof(JinjaSignature));
	if (!parse_signature(p, node->signature))
		return NULL;
	node->body = parse_macro_body(p, node->signature, "endmacro");
	return node->body ? node : NULL;
}

static JinjaNode *
parse_call_block(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_CALL_BLOCK, position);

	node->name = "caller";
	node->signature = palloc0(sizeof(JinjaSignature));
	if (jinja_is(p, JT_OPERATOR, "(") && !parse_signature(p, node->signature))
		return NULL;
	node->left = jinja_parse_expression(p, true);
	if (node->left == NULL)
		return NULL;
	if (node->left->type != JINJA_CALL)
		return jinja_fail(p, position, "a call is expected", NULL);
	node->body = parse_macro_body(p, node->signature, "endcall");
	return node->body ? node : NULL;
}

static JinjaNode *
parse_filter_block(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_FILTER_BLOCK, position);

	node->right = jinja_parse_filter(p, NULL, true);
	if (node->right)
		node->body = parse_until(p, "endfilter");
	return node->body ? node : NULL;
}

static JinjaNode *
parse_print(JinjaParser *p, int position)
{
	JinjaNode  *node = jinja_node(JINJA_BODY, position);
	JinjaNodes	nodes = {0};

	while (!jinja_is(p, JT_BLOCK_END, NULL))
	{
		JinjaNode  *output = jinja_node(JINJA_OUTPUT, jinja_token(p)->position);

		if (nodes.n && !jinja_expect(p, JT_OPERATOR, ","))
			return NULL;
		output->left = jinja_parse_expression(p, true);
		if (output->left == NULL)
			return NULL;
		jinja_push(&nodes, output);
	}
	node->n = nodes.n;
	node->items = nodes.items;
	return node;
}

/* with context, without context: meant for templates there are none of. */
static void
skip_import_context(JinjaParser *p)
{
	JinjaToken *next = &p->tokens.items[Min(p->at + 1, p->tokens.n - 1)];

	if ((jinja_is(p, JT_NAME, "with") || jinja_is(p, JT_NAME, "without")) &&
		next->type == JT_NAME && strcmp(next->text, "context") == 0)
	{
		jinja_advance(p);
		jinja_advance(p);
	}
}

static bool
parse_imported_names(JinjaParser *p)
{
	if (!jinja_expect(p, JT_NAME, "import"))
		return false;
	for (bool first = true;; first = false)
	{
		JinjaNode  *name;

		if (!first && !jinja_skip(p, JT_OPERATOR, ","))
			return true;
		if (!first && !jinja_is(p, JT_NAME, NULL))
			return jinja_unexpected(p, "a name") != NULL;
		name = parse_target_name(p);
		if (name == NULL)
			return false;
		if (name->name[0] == '_')
			return jinja_fail(p, name->position, "a name with an underscore first cannot be imported", NULL) != NULL;
		if (jinja_skip(p, JT_NAME, "as") && parse_target_name(p) == NULL)
			return false;
	}
}

/* Other templates: they parse, but there is nowhere to take them from. */
static JinjaNode *
parse_no_loader(JinjaParser *p, int position, const char *word)
{
	JinjaNode  *node = jinja_node(JINJA_NO_LOADER, position);

	node->left = jinja_parse_expression(p, true);
	if (node->left == NULL)
		return NULL;
	if (strcmp(word, "include") == 0 && jinja_skip(p, JT_NAME, "ignore") && !jinja_expect(p, JT_NAME, "missing"))
		return NULL;
	if (strcmp(word, "import") == 0 && (!jinja_expect(p, JT_NAME, "as") || parse_target_name(p) == NULL))
		return NULL;
	if (strcmp(word, "from") == 0 && !parse_imported_names(p))
		return NULL;
	if (strcmp(word, "extends") != 0)
		skip_import_context(p);
	return node;
}

static JinjaNode *
parse_statement(JinjaParser *p)
{
	static const struct
	{
		const char *word;
		JinjaNode  *(*parse) (JinjaParser *p, int position);
	}			statements[] = {
		{"set", parse_set}, {"for", parse_for}, {"if", parse_if}, {"with", parse_with},
		{"autoescape", parse_autoescape}, {"block", parse_block}, {"macro", parse_macro}, {"call", parse_call_block},
		{"filter", parse_filter_block}, {"print", parse_print}
	};
	static const char *const loaders[] = {"include", "import", "from", "extends"};
	int			position = jinja_token(p)->position;

	if (jinja_too_deep(p))
		return NULL;
	if (!jinja_is(p, JT_NAME, NULL))
		return jinja_unexpected(p, "a statement");
	for (int i = 0; i < lengthof(statements); i++)
		if (jinja_skip(p, JT_NAME, statements[i].word))
			return statements[i].parse(p, position);
	for (int i = 0; i < lengthof(loaders); i++)
		if (jinja_skip(p, JT_NAME, loaders[i]))
			return parse_no_loader(p, position, loaders[i]);
	return jinja_unexpected(p, "a statement that Jinja2 has, or the end of the one around");
}

static bool
is_end(JinjaParser *p, const char *const *ends)
{
	for (; ends && *ends; ends++)
		if (jinja_is(p, JT_NAME, *ends))
			return true;
	return false;
}

JinjaNode *
jinja_parse_body(JinjaParser *p, const char *const *ends)
{
	JinjaNode  *body = jinja_node(JINJA_BODY, jinja_token(p)->position);
	JinjaNodes	nodes = {0};

	while (!jinja_is(p, JT_END, NULL))
	{
		JinjaToken *token = jinja_token(p);
		JinjaNode  *node;

		jinja_advance(p);
		if (token->type == JT_DATA)
		{
			node = jinja_node(JINJA_DATA, token->position);
			node->value = value_string(pnstrdup(token->value.u.string.data, token->value.u.string.len),
									   token->value.u.string.len);
		}
		else if (token->type == JT_VARIABLE_BEGIN)
		{
			node = jinja_node(JINJA_OUTPUT, token->position);
			node->left = jinja_parse_tuple(p, false, true, false);
			if (node->left == NULL || !jinja_expect(p, JT_VARIABLE_END, NULL))
				return NULL;
		}
		else
		{
			if (is_end(p, ends))
				break;
			node = parse_statement(p);
			if (node == NULL || !jinja_expect(p, JT_BLOCK_END, NULL))
				return NULL;
		}
		jinja_push(&nodes, node);
	}
	body->n = nodes.n;
	body->items = nodes.items;
	return body;
}
