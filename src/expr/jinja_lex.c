/*
 * jinja_lex.c
 *		Jinja2's tokens.
 *
 * Outside of tags the text is data, with the blanks around tags taken away as
 * the signs in the tags and the options trim_blocks and lstrip_blocks say.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "expr/jinja_lex.h"
#include "expr/regex.h"

#define MAX_BALANCE 1000

typedef enum LexState
{
	STATE_ROOT,
	STATE_BLOCK,
	STATE_VARIABLE
} LexState;

typedef struct JinjaLexer
{
	const char *text;
	int			len;
	int			at;
	LexState	state;
	bool		line_starting;
	int			nbalance;
	char		balance[MAX_BALANCE];	/* closing brackets to come */
	JinjaTokens *tokens;
	ExprError  *error;
} JinjaLexer;

static bool
fail(JinjaLexer *lexer, int position, const char *message)
{
	lexer->error->message = pstrdup(message);
	lexer->error->offset = position;
	return false;
}

static JinjaToken *
add(JinjaLexer *lexer, JinjaTokenType type, int position, int end)
{
	JinjaTokens *tokens = lexer->tokens;
	JinjaToken *token;

	CHECK_FOR_INTERRUPTS();
	if (tokens->n == tokens->size)
	{
		tokens->size = Max(tokens->size * 2, 32);
		tokens->items = tokens->items ? repalloc_huge(tokens->items, tokens->size * sizeof(JinjaToken)) :
			palloc(tokens->size * sizeof(JinjaToken));
	}
	token = &tokens->items[tokens->n++];
	memset(token, 0, sizeof(*token));
	token->type = type;
	token->position = position;
	token->end = end;
	return token;
}

static bool
has(const JinjaLexer *lexer, int at, const char *word)
{
	int			n = strlen(word);

	return at + n <= lexer->len && memcmp(lexer->text + at, word, n) == 0;
}

/* Blanks from `at` on, as Python's \s sees them. */
static int
skip_blanks(const JinjaLexer *lexer, int at)
{
	const char *end = lexer->text + lexer->len;

	while (at < lexer->len)
	{
		int			n = char_length(lexer->text + at, end);

		if (!char_is_space(lexer->text + at, n))
			break;
		at += n;
	}
	return at;
}

static bool
is_word(const char *s, const char *end)
{
	if (s >= end)
		return false;
	if (!IS_HIGHBIT_SET(*s))
		return isalnum((unsigned char) *s) || *s == '_';
	return regex_word(s, char_length(s, end));
}

/* The end of data whose blanks at the end are taken away. */
static int
strip_right(const JinjaLexer *lexer, int from, int to)
{
	const char *end = lexer->text + to;
	int			last = from;

	for (int at = from; at < to;)
	{
		int			n = char_length(lexer->text + at, end);

		if (!char_is_space(lexer->text + at, n))
			last = at + n;
		at += n;
	}
	return last;
}

/*
 * Where data before a tag ends: the sign in the tag decides, and without one
 * blanks alone on the line of a block or comment go.
 */
static int
data_end(const JinjaLexer *lexer, int from, int to, char sign, bool is_block)
{
	int			line = to;

	if (sign == '-')
		return strip_right(lexer, from, to);
	if (sign == '+' || !is_block)
		return to;
	while (line > from && lexer->text[line - 1] != '\n')
		line--;
	if ((line > from || lexer->line_starting) && strip_right(lexer, line, to) == line)
		return line;
	return to;
}

static void
add_data(JinjaLexer *lexer, int from, int to)
{
	if (to > from)
		add(lexer, JT_DATA, from, to)->value = value_string(lexer->text + from, to - from);
}

static char
sign_at(const JinjaLexer *lexer, int at)
{
	char		c = at < lexer->len ? lexer->text[at] : '\0';

	return c == '-' || c == '+' ? c : '\0';
}

/* After -%} all blanks go, after %} one line end. */
static int
tag_end(const JinjaLexer *lexer, int at, const char *close, bool plus)
{
	if (sign_at(lexer, at) == '-' && has(lexer, at + 1, close))
		return skip_blanks(lexer, at + 1 + strlen(close));
	if (plus && sign_at(lexer, at) == '+' && has(lexer, at + 1, close))
		return at + 1 + strlen(close);
	if (!has(lexer, at, close))
		return -1;
	at += strlen(close);
	if (plus && at < lexer->len && lexer->text[at] == '\n')
		at++;
	return at;
}

static void
moved_to(JinjaLexer *lexer, int at)
{
	lexer->line_starting = at > 0 && lexer->text[at - 1] == '\n';
	lexer->at = at;
}

/* What opens at the very end of the text is closed by it, as in Jinja2: a comment, and raw text. */
static bool
lex_comment(JinjaLexer *lexer, int begin, int at)
{
	if (at == lexer->len)
	{
		moved_to(lexer, at);
		return true;
	}
	for (; at < lexer->len; at++)
	{
		int			end = tag_end(lexer, at, "#}", true);

		if (end >= 0)
		{
			moved_to(lexer, end);
			return true;
		}
	}
	return fail(lexer, begin, "a comment does not end");
}

/* {% raw %}: where the tag ends, or -1 when it is another tag. */
static int
raw_tag(const JinjaLexer *lexer, int at, const char *word, bool begins)
{
	int			end;

	at += 2;
	if (sign_at(lexer, at))
		at++;
	at = skip_blanks(lexer, at);
	if (!has(lexer, at, word))
		return -1;
	at = skip_blanks(lexer, at + strlen(word));
	if (!begins)
		return tag_end(lexer, at, "%}", true);
	end = tag_end(lexer, at, "%}", false);
	return end;
}

static bool
lex_raw(JinjaLexer *lexer, int begin, int from)
{
	moved_to(lexer, from);
	if (from == lexer->len)
		return true;
	for (int at = from; at + 2 <= lexer->len; at++)
	{
		int			end;

		if (!has(lexer, at, "{%"))
			continue;
		end = raw_tag(lexer, at, "endraw", false);
		if (end >= 0)
		{
			add_data(lexer, from, data_end(lexer, from, at, sign_at(lexer, at + 2), true));
			moved_to(lexer, end);
			return true;
		}
	}
	return fail(lexer, begin, "a raw block does not end");
}

/* Data up to the next tag, and the tag's beginning. */
static bool
lex_root(JinjaLexer *lexer)
{
	int			from = lexer->at;

	for (int at = from; at + 2 <= lexer->len; at++)
	{
		char		kind = lexer->text[at] == '{' ? lexer->text[at + 1] : '\0';
		char		sign;
		int			end;

		if (kind != '%' && kind != '{' && kind != '#')
			continue;
		sign = sign_at(lexer, at + 2);
		add_data(lexer, from, data_end(lexer, from, at, sign, kind != '{'));
		end = kind == '%' ? raw_tag(lexer, at, "raw", true) : -1;
		if (end >= 0)
			return lex_raw(lexer, at, end);
		end = at + 2 + (sign ? 1 : 0);
		if (kind == '#')
			return lex_comment(lexer, at, end);
		add(lexer, kind == '%' ? JT_BLOCK_BEGIN : JT_VARIABLE_BEGIN, at, end);
		lexer->state = kind == '%' ? STATE_BLOCK : STATE_VARIABLE;
		moved_to(lexer, end);
		return true;
	}
	add_data(lexer, from, lexer->len);
	lexer->at = lexer->len;
	return true;
}

/* Digits with single underscores between; returns where they end, `at` when there are none. */
static int
skip_digits(const JinjaLexer *lexer, int at, const char *digits)
{
	int			from = at;

	while (at < lexer->len && lexer->text[at] != '\0')
	{
		if (strchr(digits, lexer->text[at]) != NULL)
			at++;
		else if (lexer->text[at] == '_' && at > from && at + 1 < lexer->len && lexer->text[at - 1] != '_' &&
				 lexer->text[at + 1] != '\0' && strchr(digits, lexer->text[at + 1]) != NULL)
			at++;
		else
			break;
	}
	return at;
}

static char *
without_underscores(const JinjaLexer *lexer, int from, int to)
{
	char	   *copy = palloc(to - from + 1);
	int			n = 0;

	for (int i = from; i < to; i++)
		if (lexer->text[i] != '_')
			copy[n++] = lexer->text[i];
	copy[n] = '\0';
	return copy;
}

static bool
lex_float(JinjaLexer *lexer)
{
	int			from = lexer->at;
	int			at = skip_digits(lexer, from, "0123456789");
	int			whole = at;
	int			exponent;

	if (from > 0 && lexer->text[from - 1] == '.')
		return false;
	if (at < lexer->len && lexer->text[at] == '.')
	{
		int			fraction = skip_digits(lexer, at + 1, "0123456789");

		if (fraction > at + 1)
			at = fraction;
	}
	if (at < lexer->len && (lexer->text[at] | 0x20) == 'e')
	{
		exponent = at + 1;
		if (sign_at(lexer, exponent))
			exponent++;
		if (skip_digits(lexer, exponent, "0123456789") > exponent)
			at = skip_digits(lexer, exponent, "0123456789");
	}
	if (at == whole)
		return false;
	add(lexer, JT_FLOAT, from, at)->value = value_float(strtod(without_underscores(lexer, from, at), NULL));
	moved_to(lexer, at);
	return true;
}

static Value
integer_of_base(const char *digits, int base)
{
	Value		result = value_int(0);
	Value		factor = value_int(base);

	for (; *digits; digits++)
	{
		int			c = (unsigned char) *digits;
		Value		digit = value_int(isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);

		CHECK_FOR_INTERRUPTS();
		result = number_multiply(&result, &factor);
		result = number_add(&result, &digit);
	}
	return result;
}

static bool
lex_integer(JinjaLexer *lexer)
{
	static const struct
	{
		char		letter;
		int			base;
		const char *digits;
	}			bases[] = {
		{'b', 2, "01"}, {'o', 8, "01234567"}, {'x', 16, "0123456789abcdefABCDEF"}
	};
	int			from = lexer->at;
	int			at;
	char	   *digits;

	if (lexer->text[from] == '0' && from + 1 < lexer->len)
	{
		for (int i = 0; i < lengthof(bases); i++)
		{
			int			first = from + 2;

			if ((lexer->text[from + 1] | 0x20) != bases[i].letter)
				continue;
			if (first + 1 < lexer->len && lexer->text[first] == '_')
				first++;
			at = skip_digits(lexer, first, bases[i].digits);
			if (at == first)
				continue;
			if (at - from > 4300)
				return fail(lexer, from, "a number has more than 4300 digits");
			add(lexer, JT_INTEGER, from, at)->value =
				integer_of_base(without_underscores(lexer, first, at), bases[i].base);
			moved_to(lexer, at);
			return true;
		}
	}
	at = skip_digits(lexer, from, lexer->text[from] == '0' ? "0" : "0123456789");
	digits = without_underscores(lexer, from, at);
	if (strlen(digits) > 4300)
		return fail(lexer, from, "a number has more than 4300 digits");
	add(lexer, JT_INTEGER, from, at)->value = value_from_digits(digits);
	moved_to(lexer, at);
	return true;
}

/* What the escape after a backslash means; false when it is malformed. */
static bool
decode_escape(StringInfo out, const char **at, const char *end)
{
	static const char letters[] = "\\'\"abfnrtv";
	static const char meaning[] = "\\'\"\a\b\f\n\r\t\v";
	const char *s = *at;
	int			digits = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
	uint32		code = 0;

	if (digits > 0)
	{
		for (int i = 1; i <= digits; i++)
		{
			if (s + i >= end || !isxdigit((unsigned char) s[i]))
				return false;
			code = code * 16 + (isdigit((unsigned char) s[i]) ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
		}
		*at = s + 1 + digits;
	}
	else if (*s >= '0' && *s <= '7')
	{
		for (digits = 0; digits < 3 && s < end && *s >= '0' && *s <= '7'; digits++)
			code = code * 8 + (*s++ - '0');
		*at = s;
	}
	else if (*s == 'N')
		return false;
	else
	{
		const char *letter = *s ? strchr(letters, *s) : NULL;

		if (letter)
			appendStringInfoChar(out, meaning[letter - letters]);
		else if (*s != '\n')
		{
			appendStringInfoChar(out, '\\');
			appendBinaryStringInfo(out, s, char_length(s, end));
		}
		*at = s + char_length(s, end);
		return true;
	}
	if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return false;
	append_code_point(out, code);
	return true;
}

static bool
lex_string(JinjaLexer *lexer)
{
	const char *s = lexer->text + lexer->at + 1;
	const char *end = lexer->text + lexer->len;
	char		quote = s[-1];
	StringInfoData out;
	JinjaToken *token;

	initStringInfo(&out);
	while (s < end && *s != quote)
	{
		if (*s != '\\')
		{
			int			n = char_length(s, end);

			appendBinaryStringInfo(&out, s, n);
			s += n;
		}
		else
		{
			s++;
			if (s < end && !decode_escape(&out, &s, end))
				return fail(lexer, s - lexer->text, "an escape that names no character");
		}
	}
	if (s >= end)
		return fail(lexer, lexer->at, "a string does not end");
	token = add(lexer, JT_STRING, lexer->at, s + 1 - lexer->text);
	token->value = value_text(&out);
	moved_to(lexer, token->end);
	return true;
}

static bool
lex_operator(JinjaLexer *lexer)
{
	static const char *const operators[] = {
		"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
		".", ":", "|", ",", ";"
	};
	int			at = lexer->at;

	for (int i = 0; i < lengthof(operators); i++)
	{
		const char *closing = strchr("{}()[]", operators[i][0]);

		if (!has(lexer, at, operators[i]))
			continue;
		if (closing && strchr("{([", *closing))
		{
			if (lexer->nbalance == MAX_BALANCE)
			{
				lexer->error->limit = true;
				return fail(lexer, at, "the expression is nested too deeply");
			}
			lexer->balance[lexer->nbalance++] = closing[1];
		}
		else if (closing)
		{
			if (lexer->nbalance == 0)
				return fail(lexer, at, psprintf("unexpected \"%c\"", *closing));
			if (lexer->balance[--lexer->nbalance] != *closing)
			{
				lexer->error->expected = psprintf("\"%c\"", lexer->balance[lexer->nbalance]);
				return fail(lexer, at, psprintf("unexpected \"%c\"", *closing));
			}
		}
		add(lexer, JT_OPERATOR, at, at + strlen(operators[i]))->text = unconstify(char *, operators[i]);
		moved_to(lexer, at + strlen(operators[i]));
		return true;
	}
	return fail(lexer, at, psprintf("unexpected character \"%.*s\"",
									char_length(lexer->text + at, lexer->text + lexer->len), lexer->text + at));
}

static bool
lex_name(JinjaLexer *lexer)
{
	const char *s = lexer->text + lexer->at;
	const char *end = lexer->text + lexer->len;
	const char *p = s;
	JinjaToken *token;

	while (is_word(p, end))
		p += char_length(p, end);
	if (char_digit(s, end) >= 0)
		return fail(lexer, lexer->at, "a name begins with a digit");
	token = add(lexer, JT_NAME, lexer->at, p - lexer->text);
	token->text = pnstrdup(s, p - s);
	moved_to(lexer, token->end);
	return true;
}

/* One token inside of a tag. */
static bool
lex_tag(JinjaLexer *lexer)
{
	bool		is_block = lexer->state == STATE_BLOCK;
	int			end = lexer->nbalance ? -1 : tag_end(lexer, lexer->at, is_block ? "%}" : "}}", is_block);
	const char *s = lexer->text + lexer->at;

	if (end >= 0)
	{
		add(lexer, is_block ? JT_BLOCK_END : JT_VARIABLE_END, lexer->at, end);
		lexer->state = STATE_ROOT;
		moved_to(lexer, end);
		return true;
	}
	end = skip_blanks(lexer, lexer->at);
	if (end > lexer->at)
	{
		moved_to(lexer, end);
		return true;
	}
	if (isdigit((unsigned char) *s))
		return lex_float(lexer) || lex_integer(lexer);
	if (is_word(s, lexer->text + lexer->len))
		return lex_name(lexer);
	if (*s == '\'' || *s == '"')
		return lex_string(lexer);
	return lex_operator(lexer);
}

bool
jinja_lex(const char *text, int len, bool native, JinjaTokens *tokens, ExprError *error)
{
	JinjaLexer	lexer = {.text = text,.len = len,.line_starting = true,.tokens = tokens,.error = error};

	lexer.state = native ? STATE_VARIABLE : STATE_ROOT;
	memset(tokens, 0, sizeof(*tokens));
	while (lexer.at < len)
	{
		if (!(lexer.state == STATE_ROOT ? lex_root(&lexer) : lex_tag(&lexer)))
			return false;
		if (tokens->n > EVAL_MAX_TOKENS)
		{
			error->limit = true;
			return fail(&lexer, lexer.at, "the template is too long");
		}
	}
	add(&lexer, JT_END, len, len);
	return true;
}
