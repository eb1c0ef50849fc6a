/*
 * secret_mask.c
 *		Takes secrets out of what came back: servers echo headers, and errors
 *		quote URLs.
 *
 * A secret shorter than four bytes is left: it would take single letters out
 * of everything.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "utils/json.h"

#include "base/json.h"
#include "base/secret_key.h"
#include "executor/secret_mask.h"

#define SHORTEST	4
#define STARS		"***"
#define FORMS		5			/* of one value */
#define LOGIN_FORMS	3			/* of a user's password */

static void add_login(SecretMask *mask, const char *user, const char *password);
static void add(SecretMask *mask, const char *text);
static char *escaped(const char *text, bool plus);
static char *quoted(const char *text);
static char *ascii(const char *text);
static char *base64(const char *bytes, size_t len);
static char *mask_text(void *arg, const char *text, int len);
static int	match(const SecretMask *mask, const char *text, const char *end);

void
secret_mask_set(SecretMask *mask, List *values, const char *user, const char *password)
{
	ListCell   *lc;

	mask->texts = calloc(FORMS * list_length(values) + LOGIN_FORMS, sizeof(char *));
	if (mask->texts == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	foreach(lc, values)
	{
		char	   *value = lfirst(lc);

		if (strlen(value) >= SHORTEST)
		{
			add(mask, value);
			add(mask, escaped(value, false));
			add(mask, escaped(value, true));
			add(mask, quoted(value));
			add(mask, ascii(value));
		}
		secret_wipe(value, strlen(value));
	}
	if (user != NULL && values != NIL)
		add_login(mask, user, password ? password : "");
}

/* As HTTP's basic authentication and the ways to log in of SMTP (PLAIN, LOGIN) send it. */
static void
add_login(SecretMask *mask, const char *user, const char *password)
{
	size_t		ulen = strlen(user);
	size_t		plen = strlen(password);
	char	   *both = palloc(ulen + plen + 3);

	/* NUL, the user, a separator, the password */
	both[0] = '\0';
	memcpy(both + 1, user, ulen);
	both[ulen + 1] = ':';
	memcpy(both + ulen + 2, password, plen + 1);
	add(mask, base64(both + 1, ulen + 1 + plen));
	both[ulen + 1] = '\0';
	add(mask, base64(both, ulen + 2 + plen));
	if (plen >= SHORTEST)
		add(mask, base64(password, plen));
	secret_wipe(both, ulen + plen + 2);
}

void
secret_mask_free(SecretMask *mask)
{
	int			i;

	for (i = 0; i < mask->n; i++)
	{
		secret_wipe(mask->texts[i], strlen(mask->texts[i]));
		free(mask->texts[i]);
	}
	free(mask->texts);
	memset(mask, 0, sizeof(*mask));
}

Jsonb *
secret_mask_apply(const SecretMask *mask, Jsonb *value)
{
	return mask->n > 0 ? json_map_strings(value, mask_text, (void *) mask) : value;
}

bool
secret_mask_finds(const SecretMask *mask, const char *bytes, size_t len)
{
	const char *end = bytes + len;

	for (; mask->n > 0 && bytes < end; bytes++)
		if (match(mask, bytes, end) > 0)
			return true;
	return false;
}

/* A form that is there already, as most escaped ones are, is not added again. */
static void
add(SecretMask *mask, const char *text)
{
	char	   *copy;
	int			i;

	for (i = 0; i < mask->n; i++)
		if (strcmp(mask->texts[i], text) == 0)
			return;
	copy = strdup(text);
	if (copy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	mask->texts[mask->n++] = copy;
}

/* As in a URL, or (plus) as in the data of a form. */
static char *
escaped(const char *text, bool plus)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *text; text++)
	{
		unsigned char c = (unsigned char) *text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c))
			appendStringInfoChar(&out, c);
		else if (plus && c == ' ')
			appendStringInfoChar(&out, '+');
		else
			appendStringInfo(&out, "%%%02X", c);
	}
	return out.data;
}

/* As within a JSON string. */
static char *
quoted(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	escape_json(&out, text);
	out.data[out.len - 1] = '\0';
	return out.data + 1;
}

/* As failures have it, which are ASCII. */
static char *
ascii(const char *text)
{
	char	   *copy = pstrdup(text);

	for (unsigned char *p = (unsigned char *) copy; *p; p++)
		if (*p >= 0x7F || *p < ' ')
			*p = '?';
	return copy;
}

static char *
base64(const char *bytes, size_t len)
{
	int			room = pg_b64_enc_len(len) + 1;
	char	   *encoded = palloc(room);
	int			n = pg_b64_encode((const void *) bytes, len, encoded, room - 1);

	encoded[Max(n, 0)] = '\0';
	return encoded;
}

/* NULL when there is none in it. */
static char *
mask_text(void *arg, const char *text, int len)
{
	const SecretMask *mask = arg;
	const char *end = text + len;
	const char *kept = text;
	StringInfoData out = {0};

	while (text < end)
	{
		int			n = match(mask, text, end);

		if (n == 0)
		{
			text++;
			continue;
		}
		if (out.data == NULL)
			initStringInfo(&out);
		appendBinaryStringInfo(&out, kept, text - kept);
		appendStringInfoString(&out, STARS);
		text += n;
		kept = text;
	}
	if (out.data == NULL)
		return NULL;
	appendBinaryStringInfo(&out, kept, end - kept);
	return out.data;
}

/* The length of the longest secret that begins here; 0: none. */
static int
match(const SecretMask *mask, const char *text, const char *end)
{
	int			longest = 0;
	int			i;

	for (i = 0; i < mask->n; i++)
	{
		int			n = strlen(mask->texts[i]);

		if (n > longest && n <= end - text && memcmp(mask->texts[i], text, n) == 0)
			longest = n;
	}
	return longest;
}
