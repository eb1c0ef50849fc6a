/*
 * expr.c
 *		Strings and JSON values with expressions in them.
 *
 * YAQL stands between <% and %> on one line, Jinja2 between {{ and }} or {% and
 * %}; a string with both is Jinja2's when it is evaluated, and wrong when it is
 * checked.  Text with YAQL is built by position: unlike the original, a value
 * is never searched for expressions again.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "compat.h"
#include "expr/cache.h"
#include "expr/jinja.h"
#include "expr/yaql.h"

typedef enum TemplateKind
{
	TEMPLATE_TEXT,
	TEMPLATE_LONE,				/* one expression, its value keeps its type */
	TEMPLATE_MIXED,
	TEMPLATE_JINJA,
	TEMPLATE_BROKEN				/* a parse error, kept for the evaluation */
} TemplateKind;

typedef struct TemplatePart
{
	const char *text;			/* plain text, or the bare expression */
	int			len;
	const YaqlNode *node;			/* NULL: plain text */
} TemplatePart;

struct ExprTemplate
{
	TemplateKind kind;
	const char *text;
	int			len;
	int			nparts;
	TemplatePart *parts;
	JinjaTemplate *jinja;
	Jsonb	   *constant;		/* the text, where there is nothing else */
	bool		invalid;		/* the error is one that a check reports */
	ExprError	error;
};

typedef enum DataKind
{
	DATA_CONSTANT,
	DATA_TEMPLATE,
	DATA_LIST,
	DATA_DICT
} DataKind;

typedef struct DataNode
{
	DataKind	kind;
	Value		constant;
	ExprTemplate *template;
	int			n;
	Value	   *keys;
	struct DataNode **children;
} DataNode;

struct ExprData
{
	Jsonb	   *copy;
	DataNode   *root;
};

bool
expr_find_delimited(const char *s, int len, int at, const char *open, const char *close, int *from, int *to)
{
	for (int i = at; i + 4 <= len; i++)
	{
		int			j;

		if (s[i] != open[0] || s[i + 1] != open[1])
			continue;
		for (j = i + 2; j + 2 <= len && s[j] != '\n'; j++)
		{
			if (s[j] == close[0] && s[j + 1] == close[1])
			{
				*from = i;
				*to = j + 2;
				return true;
			}
		}
		/* Nothing on this line ends, wherever it begins. */
		i = j - 1;
	}
	return false;
}

static bool
is_yaql(const char *s, int len)
{
	int			from;
	int			to;

	return expr_find_delimited(s, len, 0, "<%", "%>", &from, &to);
}

static bool
is_jinja(const char *s, int len)
{
	int			from;
	int			to;

	return expr_find_delimited(s, len, 0, "{{", "}}", &from, &to) || expr_find_delimited(s, len, 0, "{%", "%}", &from, &to);
}

ExprLanguage
expr_language(const char *text, int len)
{
	return (is_yaql(text, len) ? EXPR_YAQL : 0) | (is_jinja(text, len) ? EXPR_JINJA : 0);
}

/* The bare expression: without any of the delimiters' characters at its ends. */
static void
strip_delimiters(const char **s, int *len)
{
	while (*len > 0 && strchr("<%>", **s) != NULL && **s != '\0')
	{
		(*s)++;
		(*len)--;
	}
	while (*len > 0 && strchr("<%>", (*s)[*len - 1]) != NULL && (*s)[*len - 1] != '\0')
		(*len)--;
}

/* The original strips blanks of every kind before it evaluates, not before it validates. */
static void
strip_blanks(const char **s, int *len)
{
	const char *end = *s + *len;
	const char *last = *s;

	while (*s < end && char_is_space(*s, char_length(*s, end)))
		*s += char_length(*s, end);
	for (const char *p = last = *s; p < end;)
	{
		int			n = char_length(p, end);

		if (!char_is_space(p, n))
			last = p + n;
		p += n;
	}
	*len = last - *s;
}

static void
set_error(ExprError *error, const char *message, int offset)
{
	memset(error, 0, sizeof(*error));
	error->message = pstrdup(message);
	error->offset = offset;
}

static void
add_part(ExprTemplate *t, const char *text, int len, const YaqlNode *node)
{
	if (len == 0 && node == NULL)
		return;
	if (t->nparts % 8 == 0)
		t->parts = t->parts ? repalloc(t->parts, (t->nparts + 8) * sizeof(TemplatePart)) :
			palloc(8 * sizeof(TemplatePart));
	t->parts[t->nparts++] = (TemplatePart)
	{
		text, len, node
	};
}

/* Parses the expressions of a YAQL template; false and the error when one does not parse. */
static bool
compile_parts(ExprTemplate *t, bool strict)
{
	int			at = 0;
	int			from;
	int			to;

	t->kind = TEMPLATE_MIXED;
	while (expr_find_delimited(t->text, t->len, at, "<%", "%>", &from, &to))
	{
		const char *source = t->text + from;
		int			len = to - from;
		YaqlNode	   *node;

		strip_delimiters(&source, &len);
		if (!strict)
			strip_blanks(&source, &len);
		node = yaql_parse(source, len, &t->error);
		if (node == NULL)
		{
			t->error.offset += source - t->text;
			return false;
		}
		strip_blanks(&source, &len);
		if (from == 0 && to == t->len)
			t->kind = TEMPLATE_LONE;
		if (t->nparts > EVAL_MAX_TOKENS)
		{
			set_error(&t->error, "the text has too many expressions", from);
			t->error.limit = true;
			return false;
		}
		add_part(t, t->text + at, from - at, NULL);
		add_part(t, source, len, node);
		at = to;
	}
	add_part(t, t->text + at, t->len - at, NULL);
	return true;
}

/*
 * Whether the first {{...}} of the text, as short as it can be, is all of it:
 * then its value keeps its type.
 */
static bool
is_lone_jinja(const char *s, int len)
{
	int			from;
	int			to;

	return expr_find_delimited(s, len, 0, "{{", "}}", &from, &to) && from == 0 && to == len;
}

/*
 * Parses a Jinja2 template.  It is checked as a whole, but one that is a lone
 * expression runs as what stands between its delimiters, signs included.
 */
static bool
compile_jinja(ExprTemplate *t, bool strict)
{
	bool		lone = is_lone_jinja(t->text, t->len);
	int			from;
	int			to;

	t->kind = TEMPLATE_JINJA;
	if (!lone || strict)
		t->jinja = jinja_parse(t->text, t->len, false, &t->error);
	if (lone && t->error.message == NULL)
	{
		t->jinja = jinja_parse(t->text + 2, t->len - 4, true, &t->error);
		t->error.offset += 2;
		/* It passes the check, and fails when it runs. */
		if (t->jinja == NULL && strict)
			t->kind = TEMPLATE_BROKEN;
		return t->jinja != NULL || strict;
	}
	if (t->jinja && !expr_find_delimited(t->text, t->len, 0, "{{", "}}", &from, &to))
	{
		set_error(&t->error, "a text with Jinja2 statements needs a \"{{ }}\", too", 0);
		t->kind = TEMPLATE_BROKEN;
		return strict;
	}
	return t->error.message == NULL;
}

/* Compiles; errors stay in the template. */
static ExprTemplate *
compile(const char *text, int len, bool strict)
{
	ExprTemplate *t = palloc0(sizeof(ExprTemplate));
	bool		yaql = is_yaql(text, len);
	bool		jinja = is_jinja(text, len);

	t->text = pnstrdup(text, len);
	t->len = len;
	if (jinja && yaql && strict)
	{
		t->kind = TEMPLATE_BROKEN;
		t->invalid = true;
		set_error(&t->error, "YAQL and Jinja2 expressions cannot be used in one string", 0);
	}
	else if (jinja)
	{
		if (!compile_jinja(t, strict))
		{
			t->kind = TEMPLATE_BROKEN;
			t->invalid = true;
		}
	}
	else if (!yaql)
	{
		Value		value = value_string(t->text, len);

		t->kind = TEMPLATE_TEXT;
		t->constant = value_to_jsonb(&value);
	}
	else if (!compile_parts(t, strict))
	{
		t->kind = TEMPLATE_BROKEN;
		t->invalid = true;
	}
	return t;
}

ExprTemplate *
expr_template_compile(const char *text, int len, bool lazy, ExprError *error)
{
	ExprTemplate *t = compile(text, len, !lazy);

	memset(error, 0, sizeof(*error));
	if (!lazy && t->invalid)
	{
		*error = t->error;
		return NULL;
	}
	return t;
}

bool
expr_template_is_text(const ExprTemplate *tmpl)
{
	return tmpl->kind == TEMPLATE_TEXT;
}

const Jsonb *
expr_template_constant(const ExprTemplate *tmpl)
{
	return tmpl->constant;
}

bool
expr_template_is_lone(const ExprTemplate *tmpl)
{
	return tmpl->kind == TEMPLATE_LONE || (tmpl->kind == TEMPLATE_JINJA && tmpl->jinja->native);
}

static void raise_syntax(const char *text, int len, const ExprError *error) pg_attribute_noreturn();

static void
raise_syntax(const char *text, int len, const ExprError *error)
{
	int			position = pg_mbstrlen_with_len(text, Min(error->offset, len)) + 1;

	ereport(ERROR,
			(errcode(error->limit ? ERRCODE_MISTRAL_EXPRESSION_LIMIT : ERRCODE_MISTRAL_EXPRESSION_SYNTAX),
			 errmsg("syntax error in expression \"%.*s\": %s", pg_mbcliplen(text, len, 500), text, error->message),
			 error->expected ? errdetail("At character %d; expected is %s.", position, error->expected) :
			 errdetail("At character %d.", position)));
}

Value
expr_template_eval(const ExprTemplate *tmpl, const ExprEnv *env)
{
	StringInfoData out;
	Eval		whole;

	switch (tmpl->kind)
	{
		case TEMPLATE_TEXT:
			return value_string(tmpl->text, tmpl->len);
		case TEMPLATE_LONE:
			return yaql_run(tmpl->parts[0].node, tmpl->parts[0].text, tmpl->parts[0].len, env);
		case TEMPLATE_JINJA:
			return jinja_run(tmpl->jinja, env);
		case TEMPLATE_BROKEN:
			raise_syntax(tmpl->text, tmpl->len, &tmpl->error);
		case TEMPLATE_MIXED:
			break;
	}
	eval_hold(&whole, tmpl->text, tmpl->len, env);
	initStringInfo(&out);
	for (int i = 0; i < tmpl->nparts; i++)
	{
		const TemplatePart *part = &tmpl->parts[i];

		eval_tick(&whole);
		if (part->node)
		{
			Value		value = yaql_run(part->node, part->text, part->len, env);

			value_str(&out, &value);
		}
		else
			appendBinaryStringInfo(&out, part->text, part->len);
	}
	eval_release(&whole);
	return value_text(&out);
}

static DataNode *
constant_node(Value value)
{
	DataNode   *node = palloc0(sizeof(DataNode));

	node->constant = value;
	return node;
}

static DataNode *
compile_string(const Value *value)
{
	DataNode   *node = constant_node(*value);
	const char *s = value->u.string.data;
	int			len = value->u.string.len;

	if (!is_yaql(s, len) && !is_jinja(s, len))
		return node;
	node->kind = DATA_TEMPLATE;
	node->template = compile(s, len, false);
	return node;
}

static DataNode *
compile_value(const Value *value)
{
	DataNode   *node;
	ListObject *list = NULL;
	DictObject *dict = NULL;
	bool		constant = true;

	check_stack_depth();
	if (value->kind == VALUE_STRING)
		return compile_string(value);
	if (value->kind != VALUE_LIST && value->kind != VALUE_DICT)
		return constant_node(*value);
	if (value->kind == VALUE_LIST)
		list = value_list_object(value);
	else
		dict = value_dict_object(value);
	node = constant_node(*value);
	node->kind = list ? DATA_LIST : DATA_DICT;
	node->n = list ? list->n : dict->n;
	node->children = palloc(sizeof(DataNode *) * Max(node->n, 1));
	node->keys = dict ? palloc(sizeof(Value) * Max(node->n, 1)) : NULL;
	for (int i = 0; i < node->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (dict)
			node->keys[i] = dict->entries[i].key;
		node->children[i] = compile_value(list ? &list->items[i] : &dict->entries[i].item);
		constant = constant && node->children[i]->kind == DATA_CONSTANT;
	}
	return constant ? constant_node(*value) : node;
}

ExprData *
expr_data_compile(const Jsonb *data)
{
	ExprData   *compiled = palloc0(sizeof(ExprData));
	Value		value;

	compiled->copy = palloc(VARSIZE(data));
	memcpy(compiled->copy, data, VARSIZE(data));
	value = value_from_jsonb(compiled->copy);
	compiled->root = compile_value(&value);
	return compiled;
}

const Jsonb *
expr_data_constant(const ExprData *data)
{
	return data->root->kind == DATA_CONSTANT ? data->copy : NULL;
}

static Value
eval_data(const DataNode *node, const ExprEnv *env)
{
	Value		result;

	check_stack_depth();
	switch (node->kind)
	{
		case DATA_CONSTANT:
			break;
		case DATA_TEMPLATE:
			return expr_template_eval(node->template, env);
		case DATA_LIST:
			result = value_list_sized(node->n);
			for (int i = 0; i < node->n; i++)
			{
				expr_tick();
				value_push(&result, eval_data(node->children[i], env));
			}
			result.flags |= VALUE_F_MUTABLE;
			return result;
		case DATA_DICT:
			result = value_dict_new();
			for (int i = 0; i < node->n; i++)
			{
				expr_tick();
				value_dict_put(&result, node->keys[i], eval_data(node->children[i], env));
			}
			result.flags |= VALUE_F_MUTABLE;
			return result;
	}
	return node->constant;
}

Value
expr_data_eval(const ExprData *data, const ExprEnv *env)
{
	Eval		whole;
	Value		value;

	eval_hold(&whole, NULL, 0, env);
	value = eval_data(data->root, env);
	eval_release(&whole);
	return value;
}

/* Whether a template in it was too deep for the stack as it was. */
static bool
hit_limit(const DataNode *node)
{
	bool		hit = node->kind == DATA_TEMPLATE && node->template->error.limit;

	for (int i = 0; i < node->n && !hit; i++)
		hit = hit_limit(node->children[i]);
	return hit;
}

static void *
compile_data(const char *bytes, int len, bool *keep)
{
	ExprData   *data = expr_data_compile((const Jsonb *) bytes);

	*keep = !hit_limit(data->root);
	return data;
}

Value
expr_eval_jsonb(const Jsonb *data, const ExprEnv *env)
{
	return expr_data_eval(expr_cache_get(compile_data, (const char *) data, VARSIZE(data)), env);
}

static void *
compile_text(const char *text, int len, bool *keep)
{
	ExprTemplate *t = compile(text, len, false);

	*keep = !t->error.limit;
	return t;
}

/* A bare expression is a template without delimiters. */
static void *
compile_bare_jinja(const char *text, int len, bool *keep)
{
	ExprTemplate *t = palloc0(sizeof(ExprTemplate));

	t->text = text;
	t->len = len;
	t->jinja = jinja_parse(text, len, true, &t->error);
	t->kind = t->jinja ? TEMPLATE_JINJA : TEMPLATE_BROKEN;
	*keep = !t->error.limit;
	return t;
}

static void *
compile_bare_yaql(const char *text, int len, bool *keep)
{
	ExprTemplate *t = palloc0(sizeof(ExprTemplate));
	YaqlNode   *node;

	strip_blanks(&text, &len);
	t->text = text;
	t->len = len;
	node = yaql_parse(text, len, &t->error);
	t->kind = node ? TEMPLATE_LONE : TEMPLATE_BROKEN;
	if (node)
		add_part(t, text, len, node);
	*keep = !t->error.limit;
	return t;
}

Value
expr_eval_text(const char *text, int len, const char *language, const ExprEnv *env)
{
	ExprCompile compiler;

	if (language == NULL)
		compiler = compile_text;
	else if (strcmp(language, "jinja") == 0)
		compiler = compile_bare_jinja;
	else if (strcmp(language, "yaql") == 0)
		compiler = compile_bare_yaql;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown expression language \"%s\"", language),
				 errhint("The languages are \"yaql\" and \"jinja\".")));
	return expr_template_eval(expr_cache_get(compiler, text, len), env);
}

bool
expr_validate_text(const char *text, int len, ExprError *error)
{
	return expr_template_compile(text, len, false, error) != NULL;
}
