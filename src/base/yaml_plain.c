/*
 * yaml_plain.c
 *		Keeps anchors and aliases from libyaml.
 *
 * Mistral's readers take the indicators `&`, `*` and `@` as the first letters
 * of plain text.  libyaml's scanner cannot be taught that, so each of them is
 * shown to it as a character of the private use area that the document does
 * not hold, and shown back in what it returns.  One character stands for one
 * character: lines and columns stay true.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/yaml_plain.h"

/* The private use area of the basic plane, three bytes in UTF-8. */
#define PRIVATE_FIRST 0xE000
#define PRIVATE_COUNT 6400

static const char indicators[YAML_NINDICATORS] = {'&', '*', '@'};

const char *
yaml_hide(YamlHidden *hidden, const char *text, int len, int *hidden_len)
{
	const unsigned char *p = (const unsigned char *) text;
	bool	   *used;
	int			count = 0;
	int			found = 0;
	char	   *out;
	char	   *to;
	int			i;
	int			k;

	hidden->any = false;
	for (i = 0; i < len; i++)
	{
		if (text[i] == '&' || text[i] == '*' || text[i] == '@')
			count++;
	}
	*hidden_len = len;
	if (count == 0)
		return text;

	used = palloc0(PRIVATE_COUNT * sizeof(bool));
	for (i = 0; i + 2 < len; i++)
	{
		if (p[i] == 0xEE || p[i] == 0xEF)
		{
			int			c = ((p[i] & 0x0F) << 12 | (p[i + 1] & 0x3F) << 6 | (p[i + 2] & 0x3F)) - PRIVATE_FIRST;

			if (c >= 0 && c < PRIVATE_COUNT)
				used[c] = true;
		}
	}
	for (i = 0; i < PRIVATE_COUNT && found < YAML_NINDICATORS; i++)
	{
		int			c = PRIVATE_FIRST + i;

		if (used[i])
			continue;
		hidden->stand_ins[found][0] = 0xE0 | (c >> 12);
		hidden->stand_ins[found][1] = 0x80 | ((c >> 6) & 0x3F);
		hidden->stand_ins[found][2] = 0x80 | (c & 0x3F);
		found++;
	}
	pfree(used);
	if (found < YAML_NINDICATORS)
		return NULL;

	out = MemoryContextAllocHuge(CurrentMemoryContext, add_size(len, mul_size(count, 2)) + 1);
	for (i = 0, to = out; i < len; i++)
	{
		for (k = 0; k < YAML_NINDICATORS && text[i] != indicators[k]; k++)
			;
		if (k == YAML_NINDICATORS)
			*to++ = text[i];
		else
		{
			memcpy(to, hidden->stand_ins[k], 3);
			to += 3;
		}
	}
	*to = '\0';
	*hidden_len = to - out;
	hidden->any = true;
	return out;
}

char *
yaml_show(const YamlHidden *hidden, const char *text, int len, int *shown_len)
{
	char	   *out = palloc(len + 1);
	int			n = 0;
	int			k;

	for (int i = 0; i < len;)
	{
		for (k = 0; k < YAML_NINDICATORS; k++)
		{
			if (hidden->any && i + 3 <= len && memcmp(text + i, hidden->stand_ins[k], 3) == 0)
				break;
		}
		if (k < YAML_NINDICATORS)
		{
			out[n++] = indicators[k];
			i += 3;
		}
		else
			out[n++] = text[i++];
	}
	out[n] = '\0';
	*shown_len = n;
	return out;
}
