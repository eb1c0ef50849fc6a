/*
 * jinja_parser.h
 *		What the two halves of Jinja2's parser share.
 */
#ifndef MISTRAL_JINJA_PARSER_H
#define MISTRAL_JINJA_PARSER_H

#include "expr/jinja_lex.h"

typedef struct JinjaParser
{
	const char *text;
	JinjaTokens tokens;
	int			at;
	ExprError  *error;
	JinjaTemplate *template;
	bool		soft;			/* inside of a condition: unknown filters fail only when they are reached */
	int			nloops;			/* loops around the place */
	int			nmacros;		/* macros around the place */
	JinjaSignature *macros[64];
} JinjaParser;

static inline JinjaToken *
jinja_token(JinjaParser *p)
{
	return &p->tokens.items[p->at];
}

static inline void
jinja_advance(JinjaParser *p)
{
	if (p->at < p->tokens.n - 1)
		p->at++;
}

/* Children of a node, while their number is not known. */
typedef struct JinjaNodes
{
	int			n;
	int			size;
	JinjaNode **items;
} JinjaNodes;

extern void *jinja_fail(JinjaParser *p, int position, const char *message, const char *expected);
extern void *jinja_unexpected(JinjaParser *p, const char *expected);
extern bool jinja_is(JinjaParser *p, JinjaTokenType type, const char *text);
extern bool jinja_skip(JinjaParser *p, JinjaTokenType type, const char *text);
extern bool jinja_expect(JinjaParser *p, JinjaTokenType type, const char *text);
extern JinjaNode *jinja_node(JinjaNodeType type, int position);
extern void jinja_push(JinjaNodes *nodes, JinjaNode *node);
extern bool jinja_too_deep(JinjaParser *p);
extern JinjaNode *jinja_list_node(JinjaNodeType type, int position, const JinjaNodes *nodes);

static inline bool
jinja_is_operator(JinjaParser *p, const char *text)
{
	return jinja_is(p, JT_OPERATOR, text);
}

extern JinjaNode *jinja_parse_expression(JinjaParser *p, bool condition);
extern JinjaNode *jinja_parse_primary(JinjaParser *p);
extern JinjaNode *jinja_parse_filter(JinjaParser *p, JinjaNode *node, bool inline_start);
/* Expressions with commas between are a tuple; `end` is a word that may follow. */
extern JinjaNode *jinja_parse_tuple(JinjaParser *p, bool simple, bool condition, bool parentheses);

/* jinja_parse_postfix.c */
extern JinjaNode *jinja_parse_postfix(JinjaParser *p, JinjaNode *node);
extern JinjaNode *jinja_parse_filters_and_tests(JinjaParser *p, JinjaNode *node);

/* jinja_parse_block.c: statements up to one of the words, or to the end. */
extern JinjaNode *jinja_parse_body(JinjaParser *p, const char *const *ends);

#endif							/* MISTRAL_JINJA_PARSER_H */
