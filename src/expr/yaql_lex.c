/*
 * yaql_lex.c
 *		YAQL's tokens.
 *
 * The order of tries is the language: a name directly before a parenthesis is
 * a function even when it is an operator's word, and any other word is a text.
 */
#include "postgres.h"

#include <ctype.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"

#include "expr/regex.h"
#include "expr/yaql_lex.h"

static bool
is_word(const char *s, const char *end)
{
	if (s >= end)
		return false;
	if (!IS_HIGHBIT_SET(*s))
		return isalnum((unsigned char) *s) || *s == '_';
	return regex_word(s, char_length(s, end));
}

static const char *
skip_word(const char *s, const char *end)
{
	while (is_word(s, end))
		s += char_length(s, end);
	return s;
}

static void
fail(Lexer *lexer, Token *token, char *message)
{
	token->type = TOKEN_ERROR;
	lexer->error = message;
}

/* Digits and perhaps a fraction, not running into a word. */
static bool
lex_number(Lexer *lexer, Token *token)
{
	const char *s = lexer->text + lexer->at;
	const char *end = lexer->text + lexer->len;
	const char *p = s;
	const char *fraction;
	bool		is_float = false;

	while (p < end && isdigit((unsigned char) *p))
		p++;
	if (p + 1 < end && *p == '.' && isdigit((unsigned char) p[1]))
	{
		for (fraction = p + 1; fraction < end && isdigit((unsigned char) *fraction); fraction++)
			;
		if (!is_word(fraction, end))
		{
			p = fraction;
			is_float = true;
		}
	}
	if (is_word(p, end))
		return false;
	token->type = TOKEN_CONSTANT;
	if (p - s > 4300)
		fail(lexer, token, "a number has more than 4300 digits");
	else if (is_float)
		token->value = value_float(strtod(pnstrdup(s, p - s), NULL));
	else
		token->value = value_from_digits(pnstrdup(s, p - s));
	token->end = p - lexer->text;
	return true;
}

/* Digits of a base for an escape; -1 when there are too few. */
static int64
escape_code(const char *s, const char *end, int least, int most, int base, int *used)
{
	int64		code = 0;
	int			n = 0;

	while (n < most && s + n < end)
	{
		int			c = (unsigned char) s[n];
		int			digit = isdigit(c) ? c - '0' : isxdigit(c) ? (c | 0x20) - 'a' + 10 : 99;

		if (digit >= base)
			break;
		code = code * base + digit;
		n++;
	}
	*used = n;
	return n < least ? -1 : code;
}

/* Whether `n` characters of one line follow. */
static bool
has_characters(const char *s, const char *end, int n)
{
	for (; n > 0 && s < end && *s != '\n'; n--)
		s += char_length(s, end);
	return n == 0;
}

/* Appends what the escape after a backslash means; false when it is malformed. */
static bool
decode_escape(StringInfo out, const char **at, const char *end)
{
	static const char letters[] = "\\'\"abfnrtv";
	static const char meaning[] = "\\'\"\a\b\f\n\r\t\v";
	const char *s = *at;
	int64		code;
	int			used = 0;
	int			n = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;

	/* One that is cut off by the end of the text is no escape at all. */
	if (n > 0 && has_characters(s + 1, end, n))
	{
		code = escape_code(s + 1, end, n, n, 16, &used);
		used++;
	}
	else if (*s >= '0' && *s <= '7')
		code = escape_code(s, end, 1, 3, 8, &used);
	else if (*s == 'N' && s + 1 < end && s[1] == '{')
		return false;
	else
	{
		const char *letter = *s ? strchr(letters, *s) : NULL;

		if (letter)
			appendStringInfoChar(out, meaning[letter - letters]);
		else
		{
			appendStringInfoChar(out, '\\');
			appendStringInfoChar(out, *s);
		}
		*at = s + 1;
		return true;
	}
	if (code <= 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return false;
	append_code_point(out, code);
	*at = s + used;
	return true;
}

/* Where the text ends: its closing quote, or NULL and what is wrong. */
static const char *
find_quote(const char *s, const char *end, char quote, char **error)
{
	while (s < end && *s != quote)
	{
		if (*s == '\\')
		{
			s++;
			if (s >= end || *s == '\n')
			{
				*error = "a backslash at the end of a line of a text";
				return NULL;
			}
		}
		s += char_length(s, end);
	}
	*error = "a text does not end";
	return s < end ? s : NULL;
}

static void
lex_string(Lexer *lexer, Token *token)
{
	const char *s = lexer->text + lexer->at;
	char		quote = *s++;
	char	   *error;
	const char *close = find_quote(s, lexer->text + lexer->len, quote, &error);
	StringInfoData out;

	token->type = TOKEN_CONSTANT;
	if (close == NULL)
	{
		fail(lexer, token, error);
		return;
	}
	initStringInfo(&out);
	while (s < close)
	{
		if (*s != '\\')
		{
			int			n = char_length(s, close);

			appendBinaryStringInfo(&out, s, n);
			s += n;
			continue;
		}
		s++;
		if (quote == '`')
		{
			if (*s != '`')
				appendStringInfoChar(&out, '\\');
			appendStringInfoChar(&out, *s++);
		}
		else if (!decode_escape(&out, &s, close))
		{
			token->position = s - lexer->text;
			fail(lexer, token, "an escape that names no character");
			return;
		}
	}
	token->value = value_text(&out);
	token->end = close + 1 - lexer->text;
}

/* A name: function, operator, constant, or a text. */
static bool
lex_name(Lexer *lexer, Token *token)
{
	static const struct
	{
		const char *word;
		TokenType	type;
		ValueKind	kind;
		bool		boolean;
	}			words[] = {
		{"true", TOKEN_CONSTANT, VALUE_BOOL, true}, {"false", TOKEN_CONSTANT, VALUE_BOOL, false},
		{"null", TOKEN_CONSTANT, VALUE_NULL}, {"and", TOKEN_OPERATOR}, {"or", TOKEN_OPERATOR},
		{"not", TOKEN_OPERATOR}, {"in", TOKEN_OPERATOR}, {"mod", TOKEN_OPERATOR}
	};
	const char *s = lexer->text + lexer->at;
	const char *end = lexer->text + lexer->len;
	const char *p = skip_word(s, end);

	token->value = value_string(pnstrdup(s, p - s), p - s);
	token->end = p - lexer->text;
	if (p < end && *p == '(')
	{
		token->type = TOKEN_FUNCTION;
		token->end++;
		return true;
	}
	if (p - s >= 2 && s[0] == '_' && s[1] == '_')
		return false;
	token->type = TOKEN_KEYWORD;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strcmp(token->value.u.string.data, words[i].word) == 0)
		{
			token->type = words[i].type;
			token->op = words[i].word;
			if (token->type == TOKEN_CONSTANT)
				token->value = words[i].kind == VALUE_NULL ? value_null() : value_bool(words[i].boolean);
			break;
		}
	}
	return true;
}

static bool
lex_operator(Lexer *lexer, Token *token)
{
	static const struct
	{
		const char *text;
		TokenType	type;
	}			operators[] = {
		{"=>", TOKEN_MAPPING}, {"=~", TOKEN_OPERATOR}, {"!~", TOKEN_OPERATOR}, {"!=", TOKEN_OPERATOR},
		{"<=", TOKEN_OPERATOR}, {">=", TOKEN_OPERATOR}, {"->", TOKEN_OPERATOR}, {"?.", TOKEN_OPERATOR},
		{".", TOKEN_OPERATOR}, {"+", TOKEN_OPERATOR}, {"-", TOKEN_OPERATOR}, {"*", TOKEN_OPERATOR},
		{"/", TOKEN_OPERATOR}, {"<", TOKEN_OPERATOR}, {">", TOKEN_OPERATOR}, {"=", TOKEN_OPERATOR},
		{"(", TOKEN_OPEN}, {")", TOKEN_CLOSE}, {"[", TOKEN_OPEN_LIST}, {"]", TOKEN_CLOSE_LIST},
		{"{", TOKEN_OPEN_MAP}, {"}", TOKEN_CLOSE_MAP}, {",", TOKEN_COMMA}
	};

	for (int i = 0; i < lengthof(operators); i++)
	{
		int			n = strlen(operators[i].text);

		if (lexer->at + n <= lexer->len && memcmp(lexer->text + lexer->at, operators[i].text, n) == 0)
		{
			token->type = operators[i].type;
			token->op = operators[i].text;
			token->end = lexer->at + n;
			return true;
		}
	}
	return false;
}

void
yaql_next_token(Lexer *lexer, Token *token)
{
	const char *end = lexer->text + lexer->len;
	const char *s;
	bool		known;

	memset(token, 0, sizeof(*token));
	while (lexer->at < lexer->len && lexer->text[lexer->at] != '\0' && strchr(" \t\r\n", lexer->text[lexer->at]))
		lexer->at++;
	token->position = token->end = lexer->at;
	if (lexer->at >= lexer->len)
		return;
	s = lexer->text + lexer->at;
	if (*s == '$')
	{
		const char *p = skip_word(s + 1, end);

		token->type = TOKEN_VARIABLE;
		token->value = value_string(pnstrdup(s + 1, p - s - 1), p - s - 1);
		token->end = p - lexer->text;
		known = true;
	}
	else if (isdigit((unsigned char) *s))
		known = lex_number(lexer, token);
	else if (is_word(s, end))
		known = lex_name(lexer, token);
	else if (*s == '\'' || *s == '"' || *s == '`')
	{
		lex_string(lexer, token);
		known = true;
	}
	else
		known = lex_operator(lexer, token);
	if (!known)
		fail(lexer, token, psprintf("unexpected character \"%.*s\"", char_length(s, end), s));
	lexer->at = token->end;
}
