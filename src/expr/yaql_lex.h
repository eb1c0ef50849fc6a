/*
 * yaql_lex.h
 *		YAQL's tokens.
 */
#ifndef MISTRAL_YAQL_LEX_H
#define MISTRAL_YAQL_LEX_H

#include "expr/yaql.h"

typedef enum TokenType
{
	TOKEN_END,
	TOKEN_CONSTANT,				/* number, text, true, false, null */
	TOKEN_KEYWORD,
	TOKEN_VARIABLE,
	TOKEN_FUNCTION,				/* name and its opening parenthesis */
	TOKEN_OPERATOR,				/* op */
	TOKEN_MAPPING,				/* => */
	TOKEN_OPEN,					/* ( */
	TOKEN_OPEN_LIST,			/* [ */
	TOKEN_OPEN_MAP,				/* { */
	TOKEN_CLOSE,				/* ) */
	TOKEN_CLOSE_LIST,			/* ] */
	TOKEN_CLOSE_MAP,			/* } */
	TOKEN_COMMA,
	TOKEN_ERROR
} TokenType;

typedef struct Token
{
	TokenType	type;
	int			position;
	int			end;
	const char *op;
	Value		value;			/* of constants; the name of others */
} Token;

typedef struct Lexer
{
	const char *text;
	int			len;
	int			at;
	char	   *error;			/* what is wrong, after TOKEN_ERROR */
} Lexer;

extern void yaql_next_token(Lexer *lexer, Token *token);

#endif							/* MISTRAL_YAQL_LEX_H */
