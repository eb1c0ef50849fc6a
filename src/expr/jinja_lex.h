/*
 * jinja_lex.h
 *		Jinja2's tokens.
 */
#ifndef MISTRAL_JINJA_LEX_H
#define MISTRAL_JINJA_LEX_H

#include "expr/jinja.h"

typedef enum JinjaTokenType
{
	JT_END,
	JT_DATA,
	JT_BLOCK_BEGIN,
	JT_BLOCK_END,
	JT_VARIABLE_BEGIN,
	JT_VARIABLE_END,
	JT_NAME,
	JT_STRING,
	JT_INTEGER,
	JT_FLOAT,
	JT_OPERATOR
} JinjaTokenType;

typedef struct JinjaToken
{
	JinjaTokenType type;
	int			position;
	int			end;
	char	   *text;			/* of names and operators */
	Value		value;			/* of data and constants */
} JinjaToken;

typedef struct JinjaTokens
{
	int			n;
	int			size;
	JinjaToken *items;
} JinjaTokens;

/*
 * All tokens of a text whose line ends are normalized already, the last one
 * JT_END; false and *error when the text has none at some place.  With
 * `native` the text is an expression from its first character on.
 */
extern bool jinja_lex(const char *text, int len, bool native, JinjaTokens *tokens, ExprError *error);

#endif							/* MISTRAL_JINJA_LEX_H */
