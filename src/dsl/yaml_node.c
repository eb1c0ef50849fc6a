/*
 * yaml_node.c
 *		Trees of YAML values: looking up, comparing, changing, writing.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "dsl/yaml.h"

/* libyaml takes no longer key for a key that no question mark announces. */
#define LONGEST_SIMPLE_KEY 900

static void push_value(JsonbParseState **state, const YamlNode *node, JsonbIteratorToken token, JsonbValue **result);
static char *key_text(const YamlNode *key);

YamlNode *
yaml_get(const YamlNode *dict, const char *key, YamlNode **key_node)
{
	int			i;

	if (key_node)
		*key_node = NULL;
	if (dict == NULL || dict->kind != YAML_DICT)
		return NULL;
	for (i = 0; i < dict->nitems; i++)
	{
		if (!yaml_is(dict->keys[i], key))
			continue;
		if (key_node)
			*key_node = dict->keys[i];
		return dict->items[i];
	}
	return NULL;
}

bool
yaml_is(const YamlNode *node, const char *text)
{
	return node != NULL && node->kind == YAML_STRING && strcmp(node->text, text) == 0;
}

static bool
is_number(const YamlNode *node)
{
	return node->kind == YAML_INT || node->kind == YAML_BIGINT || node->kind == YAML_FLOAT;
}

bool
yaml_equal(const YamlNode *a, const YamlNode *b)
{
	int			i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (a == b)
		return true;
	if (a->kind == YAML_INT && b->kind == YAML_INT)
		return a->integer == b->integer;
	if (is_number(a) && is_number(b))
		return a->kind == YAML_BIGINT && b->kind == YAML_BIGINT ? strcmp(a->text, b->text) == 0 : a->real == b->real;
	if (a->kind != b->kind)
		return false;
	switch (a->kind)
	{
		case YAML_NULL:
			return true;
		case YAML_BOOL:
			return a->boolean == b->boolean;
		case YAML_STRING:
		case YAML_TIME:
			return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
		case YAML_LIST:
			if (a->nitems != b->nitems)
				return false;
			for (i = 0; i < a->nitems; i++)
			{
				if (!yaml_equal(a->items[i], b->items[i]))
					return false;
			}
			return true;
		case YAML_DICT:
			if (a->nitems != b->nitems)
				return false;
			for (i = 0; i < a->nitems; i++)
			{
				int			j = i;
				int			tried;

				/* Usually in the same order: start at the same place. */
				for (tried = 0; tried < b->nitems; tried++, j = (j + 1) % b->nitems)
				{
					if (yaml_equal(a->keys[i], b->keys[j]))
						break;
				}
				if (tried == b->nitems || !yaml_equal(a->items[i], b->items[j]))
					return false;
			}
			return true;
		default:
			return false;
	}
}

uint32
yaml_hash(const YamlNode *node)
{
	uint32		hash = is_number(node) ? YAML_INT : node->kind;
	int			i;

	check_stack_depth();
	switch (node->kind)
	{
		case YAML_NULL:
			break;
		case YAML_BOOL:
			hash = hash_combine(hash, node->boolean);
			break;
		case YAML_INT:
		case YAML_BIGINT:
		case YAML_FLOAT:
			{
				double		value = node->real + 0.0;

				hash = hash_combine(hash, hash_bytes((unsigned char *) &value, sizeof(value)));
				break;
			}
		case YAML_STRING:
		case YAML_TIME:
			hash = hash_combine(hash, hash_bytes((unsigned char *) node->text, node->len));
			break;
		case YAML_LIST:
			for (i = 0; i < node->nitems; i++)
				hash = hash_combine(hash, yaml_hash(node->items[i]));
			break;
		case YAML_DICT:
			/* The order of keys does not count. */
			for (i = 0; i < node->nitems; i++)
				hash += hash_combine(yaml_hash(node->keys[i]), yaml_hash(node->items[i]));
			break;
	}
	return hash;
}

bool
yaml_truth(const YamlNode *node)
{
	if (node == NULL)
		return false;
	switch (node->kind)
	{
		case YAML_NULL:
			return false;
		case YAML_BOOL:
			return node->boolean;
		case YAML_INT:
			return node->integer != 0;
		case YAML_FLOAT:
			return node->real != 0;
		case YAML_STRING:
			return node->len > 0;
		case YAML_LIST:
		case YAML_DICT:
			return node->nitems > 0;
		default:
			return true;
	}
}

/* ---------------------------------------------------------------- making */

YamlNode *
yaml_make(YamlKind kind, const YamlNode *at)
{
	YamlNode   *node = palloc0(sizeof(YamlNode));

	node->kind = kind;
	node->style = kind == YAML_LIST || kind == YAML_DICT ? YAML_STYLE_FLOW : YAML_STYLE_PLAIN;
	node->line = at->line;
	node->col = at->col;
	node->end_line = at->end_line;
	node->end_col = at->end_col;
	return node;
}

YamlNode *
yaml_make_string(const char *text, int len, const YamlNode *at)
{
	YamlNode   *node = yaml_make(YAML_STRING, at);

	node->style = YAML_STYLE_QUOTED;
	node->text = pnstrdup(text, len);
	node->len = len;
	return node;
}

YamlNode *
yaml_make_part(const YamlNode *whole, int start, int len)
{
	YamlNode   *node = yaml_make_string(whole->text + start, len, whole);

	node->whole = whole;
	node->start = start;
	return node;
}

void
yaml_append(YamlNode *container, YamlNode *key, YamlNode *item)
{
	if (container->nitems == container->allocated)
	{
		Size		size;

		container->allocated = container->allocated == 0 ? 8 : container->allocated * 2;
		size = mul_size(container->allocated, sizeof(YamlNode *));
		container->items = container->items ? repalloc(container->items, size) : palloc(size);
		if (key != NULL)
			container->keys = container->keys ? repalloc(container->keys, size) : palloc(size);
	}
	if (key != NULL)
		container->keys[container->nitems] = key;
	container->items[container->nitems++] = item;
}

void
yaml_set(YamlNode *dict, YamlNode *key, YamlNode *item)
{
	int			i;

	for (i = 0; i < dict->nitems; i++)
	{
		if (yaml_equal(dict->keys[i], key))
		{
			dict->items[i] = item;
			return;
		}
	}
	yaml_append(dict, key, item);
}

YamlNode *
yaml_shallow_copy(const YamlNode *node)
{
	YamlNode   *copy = palloc(sizeof(YamlNode));
	int			i;

	*copy = *node;
	copy->nitems = copy->allocated = 0;
	copy->keys = copy->items = NULL;
	for (i = 0; i < node->nitems; i++)
		yaml_append(copy, node->kind == YAML_DICT ? node->keys[i] : NULL, node->items[i]);
	return copy;
}

/* ---------------------------------------------------------------- jsonb */

Jsonb *
yaml_to_jsonb(const YamlNode *node)
{
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;

	if (node->kind != YAML_LIST && node->kind != YAML_DICT)
	{
		YamlNode	holder = {.kind = YAML_LIST};
		YamlNode   *item = unconstify(YamlNode *, node);

		holder.nitems = 1;
		holder.items = &item;
		push_value(&state, &holder, WJB_ELEM, &result);
		result->val.array.rawScalar = true;
	}
	else
		push_value(&state, node, WJB_ELEM, &result);
	return JsonbValueToJsonb(result);
}

static void
push_value(JsonbParseState **state, const YamlNode *node, JsonbIteratorToken token, JsonbValue **result)
{
	JsonbValue	value;
	bool		is_list = node->kind == YAML_LIST;
	int			i;

	check_stack_depth();
	switch (node->kind)
	{
		case YAML_NULL:
			value.type = jbvNull;
			break;
		case YAML_BOOL:
			value.type = jbvBool;
			value.val.boolean = node->boolean;
			break;
		case YAML_INT:
			value.type = jbvNumeric;
			value.val.numeric = int64_to_numeric(node->integer);
			break;
		case YAML_BIGINT:
			value.type = jbvNumeric;
			value.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(node->text),
																	ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			break;
		case YAML_FLOAT:
			{
				char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];

				double_to_shortest_decimal_buf(node->real, digits);
				value.type = jbvNumeric;
				value.val.numeric = json_float(digits);
				break;
			}
		case YAML_STRING:
		case YAML_TIME:
			value.type = jbvString;
			value.val.string.val = node->text;
			value.val.string.len = node->len;
			break;
		case YAML_LIST:
		case YAML_DICT:
			pushJsonbValue(state, is_list ? WJB_BEGIN_ARRAY : WJB_BEGIN_OBJECT, NULL);
			for (i = 0; i < node->nitems; i++)
			{
				CHECK_FOR_INTERRUPTS();
				if (!is_list)
				{
					value.type = jbvString;
					value.val.string.val = key_text(node->keys[i]);
					value.val.string.len = strlen(value.val.string.val);
					pushJsonbValue(state, WJB_KEY, &value);
				}
				push_value(state, node->items[i], is_list ? WJB_ELEM : WJB_VALUE, result);
			}
			*result = pushJsonbValue(state, is_list ? WJB_END_ARRAY : WJB_END_OBJECT, NULL);
			return;
	}
	pushJsonbValue(state, token, &value);
}

/* A key as JSON spells it. */
static char *
key_text(const YamlNode *key)
{
	switch (key->kind)
	{
		case YAML_NULL:
			return "null";
		case YAML_BOOL:
			return key->boolean ? "true" : "false";
		case YAML_INT:
			return psprintf(INT64_FORMAT, key->integer);
		default:
			return key->text;
	}
}

/* ---------------------------------------------------------------- text */

void
yaml_write(StringInfo out, const YamlNode *node)
{
	int			i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	switch (node->kind)
	{
		case YAML_NULL:
			appendStringInfoString(out, "null");
			break;
		case YAML_BOOL:
			appendStringInfoString(out, node->boolean ? "true" : "false");
			break;
		case YAML_INT:
			appendStringInfo(out, INT64_FORMAT, node->integer);
			break;
		case YAML_FLOAT:
			{
				char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];
				char	   *exponent;

				/* YAML 1.1 wants a point, and a sign in the exponent (which is there). */
				double_to_shortest_decimal_buf(node->real, digits);
				exponent = strchr(digits, 'e');
				if (strchr(digits, '.') != NULL)
					appendStringInfoString(out, digits);
				else if (exponent != NULL)
					appendStringInfo(out, "%.*s.0%s", (int) (exponent - digits), digits, exponent);
				else
					appendStringInfo(out, "%s.0", digits);
				break;
			}
		case YAML_BIGINT:
		case YAML_TIME:
			appendStringInfoString(out, node->text);
			break;
		case YAML_STRING:
			escape_json(out, node->text);
			break;
		case YAML_LIST:
			appendStringInfoChar(out, '[');
			for (i = 0; i < node->nitems; i++)
			{
				if (i > 0)
					appendStringInfoString(out, ", ");
				yaml_write(out, node->items[i]);
			}
			appendStringInfoChar(out, ']');
			break;
		case YAML_DICT:
			appendStringInfoChar(out, '{');
			for (i = 0; i < node->nitems; i++)
			{
				if (i > 0)
					appendStringInfoString(out, ", ");
				if (node->keys[i]->len > LONGEST_SIMPLE_KEY)
					appendStringInfoString(out, "? ");
				yaml_write(out, node->keys[i]);
				appendStringInfoString(out, node->keys[i]->len > LONGEST_SIMPLE_KEY ? " : " : ": ");
				yaml_write(out, node->items[i]);
			}
			appendStringInfoChar(out, '}');
			break;
	}
}

char *
yaml_describe(const YamlNode *node)
{
	switch (node->kind)
	{
		case YAML_NULL:
			return "nothing";
		case YAML_BOOL:
			return node->boolean ? "true" : "false";
		case YAML_INT:
			return psprintf(INT64_FORMAT, node->integer);
		case YAML_BIGINT:
			return psprintf("a number of %d digits", node->len);
		case YAML_FLOAT:
			{
				char	   *digits = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);

				double_to_shortest_decimal_buf(node->real, digits);
				return digits;
			}
		case YAML_TIME:
			return psprintf("the time %s", node->text);
		case YAML_STRING:
			if (node->len == 0)
				return "an empty text";
			if (node->len > 60)
				return psprintf("\"%.*s...\"", pg_mbcliplen(node->text, node->len, 57), node->text);
			return psprintf("\"%s\"", node->text);
		case YAML_LIST:
			return node->nitems == 0 ? "an empty list" : "a list";
		case YAML_DICT:
			return node->nitems == 0 ? "an empty dictionary" : "a dictionary";
	}
	return "nothing";
}
