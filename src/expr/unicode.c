/*
 * unicode.c
 *		Characters as Python sees them: blanks, digits, case, what is printable.
 *
 * PostgreSQL's own case mapping depends on the database's locale; PCRE2 brings
 * Unicode's tables, so the simple mappings come from there and the few that
 * change a character's number are listed here.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "expr/regex.h"
#include "expr/value_internal.h"

/* One character's bytes, never past the end. */
int
char_length(const char *s, const char *end)
{
	int			n;

	if (!IS_HIGHBIT_SET(*s))
		return 1;
	n = pg_mblen(s);
	return Min(n, end - s);
}

int
text_length(const char *s, int len)
{
	return pg_mbstrlen_with_len(s, len);
}

/* Where the character `chars` begins; the end when there are fewer. */
int
text_offset(const char *s, int len, int64 chars)
{
	const char *p = s;
	const char *end = s + len;

	if (pg_database_encoding_max_length() == 1)
		return Min(chars, len);
	while (chars-- > 0 && p < end)
		p += char_length(p, end);
	return p - s;
}

/* The number of a character that is neither ASCII nor UTF-8; where bytes mean nothing, that of "unknown". */
static uint32
converted_code(const char *s)
{
	char	   *utf8;
	uint32		code;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return 0xfffd;
	utf8 = pg_server_to_any(s, pg_mblen(s), PG_UTF8);
	code = utf8_to_unicode((const unsigned char *) utf8);
	pfree(utf8);
	return code;
}

uint32
char_code(const char *s)
{
	if (!IS_HIGHBIT_SET(*s))
		return (unsigned char) *s;
	if (GetDatabaseEncoding() == PG_UTF8)
		return utf8_to_unicode((const unsigned char *) s);
	return converted_code(s);
}

/* The code point in the database's encoding; raises where it has none. */
void
append_code_point(StringInfo out, uint32 code)
{
	unsigned char buf[MAX_UNICODE_EQUIVALENT_STRING + 1];

	if (code == 0)
		expr_fail("a text cannot hold the character of number zero");
	if (!is_valid_unicode_codepoint(code) || (code >= 0xd800 && code <= 0xdfff))
		expr_fail("%x is not the number of a character", code);
	pg_unicode_to_server(code, buf);
	appendStringInfoString(out, (char *) buf);
}

bool
char_is_space(const char *s, int len)
{
	uint32		code = char_code(s);

	return (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20) || code == 0x85 || code == 0xa0 ||
		code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
		code == 0x202f || code == 0x205f || code == 0x3000;
}

int
char_digit(const char *s, const char *end)
{
	/* Where the ten digits of a script begin. */
	static const uint32 zeros[] = {
		0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
		0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
		0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x1d7ce, 0x1d7d8, 0x1d7e2,
		0x1d7ec, 0x1d7f6
	};
	uint32		code = char_code(s);

	if (code >= '0' && code <= '9')
		return code - '0';
	if (code < 0x660)
		return -1;
	for (int i = 0; i < lengthof(zeros); i++)
		if (code >= zeros[i] && code < zeros[i] + 10)
			return code - zeros[i];
	return -1;
}

bool
text_printable(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(s[i]))
			return regex_printable(s, len);
	for (int i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] == 0x7f)
			return false;
	return true;
}

/* Capitals that PCRE2 does not give: longer than the letter, or of a letter with more than two forms. */
static const struct
{
	uint32		code;
	uint32		upper[3];
}			own_upper[] = {
	{0xb5, {0x39c}}, {0x131, {'I'}}, {0x17f, {'S'}}, {0x1c5, {0x1c4}}, {0x1c8, {0x1c7}}, {0x1cb, {0x1ca}},
	{0x1f2, {0x1f1}}, {0x345, {0x399}}, {0x3b9, {0x399}}, {0x3bc, {0x39c}}, {0x3c2, {0x3a3}}, {0x3d0, {0x392}},
	{0x3d1, {0x398}}, {0x3d5, {0x3a6}}, {0x3d6, {0x3a0}}, {0x3f0, {0x39a}}, {0x3f1, {0x3a1}}, {0x3f5, {0x395}},
	{0x1c80, {0x412}}, {0x1c81, {0x414}}, {0x1c82, {0x41e}}, {0x1c83, {0x421}}, {0x1c84, {0x422}}, {0x1c85, {0x422}},
	{0x1c86, {0x42a}}, {0x1c87, {0x462}}, {0x1c88, {0xa64a}}, {0xa64b, {0xa64a}}, {0x1e9b, {0x1e60}}, {0x1fbe, {0x399}},
	{0xdf, {'S', 'S'}}, {0x149, {0x2bc, 'N'}}, {0x1f0, {'J', 0x30c}}, {0x390, {0x399, 0x308, 0x301}},
	{0x3b0, {0x3a5, 0x308, 0x301}}, {0x587, {0x535, 0x552}}, {0x1e96, {'H', 0x331}}, {0x1e97, {'T', 0x308}},
	{0x1e98, {'W', 0x30a}}, {0x1e99, {'Y', 0x30a}}, {0x1e9a, {'A', 0x2be}}, {0x1f50, {0x3a5, 0x313}},
	{0x1f52, {0x3a5, 0x313, 0x300}}, {0x1f54, {0x3a5, 0x313, 0x301}}, {0x1f56, {0x3a5, 0x313, 0x342}},
	{0x1fb2, {0x1fba, 0x399}}, {0x1fb3, {0x391, 0x399}}, {0x1fb4, {0x386, 0x399}}, {0x1fb6, {0x391, 0x342}},
	{0x1fb7, {0x391, 0x342, 0x399}}, {0x1fbc, {0x391, 0x399}}, {0x1fc2, {0x1fca, 0x399}}, {0x1fc3, {0x397, 0x399}},
	{0x1fc4, {0x389, 0x399}}, {0x1fc6, {0x397, 0x342}}, {0x1fc7, {0x397, 0x342, 0x399}}, {0x1fcc, {0x397, 0x399}},
	{0x1fd2, {0x399, 0x308, 0x300}}, {0x1fd3, {0x399, 0x308, 0x301}}, {0x1fd6, {0x399, 0x342}},
	{0x1fd7, {0x399, 0x308, 0x342}}, {0x1fe2, {0x3a5, 0x308, 0x300}}, {0x1fe3, {0x3a5, 0x308, 0x301}},
	{0x1fe4, {0x3a1, 0x313}}, {0x1fe6, {0x3a5, 0x342}}, {0x1fe7, {0x3a5, 0x308, 0x342}}, {0x1ff2, {0x1ffa, 0x399}},
	{0x1ff3, {0x3a9, 0x399}}, {0x1ff4, {0x38f, 0x399}}, {0x1ff6, {0x3a9, 0x342}}, {0x1ff7, {0x3a9, 0x342, 0x399}},
	{0x1ffc, {0x3a9, 0x399}}, {0xfb00, {'F', 'F'}}, {0xfb01, {'F', 'I'}}, {0xfb02, {'F', 'L'}},
	{0xfb03, {'F', 'F', 'I'}}, {0xfb04, {'F', 'F', 'L'}}, {0xfb05, {'S', 'T'}}, {0xfb06, {'S', 'T'}},
	{0xfb13, {0x544, 0x546}}, {0xfb14, {0x544, 0x535}}, {0xfb15, {0x544, 0x53b}}, {0xfb16, {0x54e, 0x546}},
	{0xfb17, {0x544, 0x53d}}
};

/* The distance to the capital of Roman numerals and letters in circles, which count as no letters; 0 for others. */
static int
symbol_distance(uint32 small)
{
	return small >= 0x2170 && small <= 0x217f ? 0x10 : small >= 0x24d0 && small <= 0x24e9 ? 0x1a : 0;
}

/* Appends the capital of a letter where PCRE2 has it not, or returns false. */
static bool
append_own_upper(StringInfo out, uint32 code)
{
	if (code < 0xb5)
		return false;
	if (symbol_distance(code) != 0)
	{
		append_code_point(out, code - symbol_distance(code));
		return true;
	}
	if (code >= 0x1f80 && code <= 0x1faf)
	{
		/* Greek with iota subscript: the capital of its row, and an iota. */
		uint32		row = code < 0x1f90 ? 0x1f08 : code < 0x1fa0 ? 0x1f28 : 0x1f68;

		append_code_point(out, row + (code & 7));
		append_code_point(out, 0x399);
		return true;
	}
	for (int i = 0; i < lengthof(own_upper); i++)
	{
		if (own_upper[i].code == code)
		{
			for (int j = 0; j < 3 && own_upper[i].upper[j]; j++)
				append_code_point(out, own_upper[i].upper[j]);
			return true;
		}
	}
	return false;
}

static bool
is_ascii(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(s[i]))
			return false;
	return true;
}

static Value
ascii_case(const char *s, int len, bool upper)
{
	char	   *out;

	expr_reserve(len);
	out = palloc(len + 1);
	for (int i = 0; i < len; i++)
		out[i] = upper ? pg_ascii_toupper((unsigned char) s[i]) : pg_ascii_tolower((unsigned char) s[i]);
	out[len] = '\0';
	return value_string(out, len);
}

Value
text_upper(const char *s, int len)
{
	StringInfoData out;
	const char *end = s + len;
	const char *plain = s;

	if (is_ascii(s, len) || GetDatabaseEncoding() != PG_UTF8)
		return ascii_case(s, len, true);
	initStringInfo(&out);
	while (s < end)
	{
		int			n = char_length(s, end);

		expr_tick();
		if (n > 1)
		{
			int			before = out.len;

			/* Try a capital of our own last in the buffer, and put what precedes it first. */
			if (append_own_upper(&out, char_code(s)))
			{
				char	   *capital = pnstrdup(out.data + before, out.len - before);

				out.len = before;
				regex_case(&out, plain, s - plain, true);
				appendStringInfoString(&out, capital);
				plain = s + n;
			}
		}
		s += n;
	}
	regex_case(&out, plain, end - plain, true);
	return value_text(&out);
}

/* A capital sigma is small in the final form after a letter and before none. */
static bool
is_final_sigma(const char *text, const char *s, const char *end)
{
	const char *after = s + 2;

	return regex_letter_before(text, s - text) && !regex_letter_after(after, end - after);
}

/* The one character at s in small, where it stands. */
Value
text_lower_at(const char *text, const char *s, const char *end)
{
	int			n = char_length(s, end);

	if (n == 2 && GetDatabaseEncoding() == PG_UTF8 && char_code(s) == 0x3a3 && is_final_sigma(text, s, end))
		return value_cstring("\xcf\x82");
	return text_lower(s, n);
}

Value
text_lower(const char *s, int len)
{
	StringInfoData out;
	const char *text = s;
	const char *end = s + len;
	const char *plain = s;

	if (is_ascii(s, len) || GetDatabaseEncoding() != PG_UTF8)
		return ascii_case(s, len, false);
	initStringInfo(&out);
	while (s < end)
	{
		int			n = char_length(s, end);
		uint32		code = char_code(s);

		int			distance = symbol_distance(code + 0x10) == 0x10 ? 0x10 : symbol_distance(code + 0x1a) == 0x1a ? 0x1a : 0;

		expr_tick();
		if (distance != 0 || code == 0x130 || (code == 0x3a3 && is_final_sigma(text, s, end)))
		{
			regex_case(&out, plain, s - plain, false);
			if (code == 0x130)
				append_code_point(&out, 'i');
			append_code_point(&out, distance ? code + distance : code == 0x130 ? 0x307 : 0x3c2);
			plain = s + n;
		}
		s += n;
	}
	regex_case(&out, plain, end - plain, false);
	return value_text(&out);
}
