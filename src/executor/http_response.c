/*
 * http_response.c
 *		What came back, turned into a result when it is recorded.
 *
 * Bytes from a network are text only when they are valid in their encoding and
 * hold no NUL, and JSON only when jsonb can hold it; else they are kept as
 * weaker forms (text, base64), so that no answer can stop a workflow from
 * going on.
 */
#include "postgres.h"

#include <ctype.h>

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/json.h"
#include "base/json_flat.h"
#include "executor/http_response.h"
#include "executor/protect.h"
#include "guc.h"

/* Of one head; the program lets no more through. */
#define HTTP_MAX_LINES		2000

/* Deeper or wilder JSON stays text: nothing that reads it later shall stumble. */
#define HTTP_MAX_JSON_DEPTH		500
#define HTTP_MAX_JSON_EXPONENT	308

typedef struct Conversion
{
	const char *bytes;
	size_t		len;
	int			encoding;		/* PostgreSQL's number */
	char	   *text;			/* result: NUL-terminated, in the server's encoding */
	Jsonb	   *json;			/* result of parse_json */
} Conversion;

/* The body of an answer. */
typedef struct Content
{
	Jsonb	   *json;			/* NULL: no JSON */
	const char *text;
	bool		base64;			/* `text` is, for there is no text in it */
	char	   *encoding;		/* what the answer calls it; may be NULL */
} Content;

typedef struct HeaderItem
{
	char	   *name;
	StringInfoData value;
} HeaderItem;

/* What a look at a text says. */
typedef enum JsonLook
{
	JSON_NOT,
	JSON_MAYBE,					/* the parser will know */
	JSON_TOO_LARGE				/* it would need more than a result may have */
} JsonLook;

static Jsonb *make_result(const HttpRequest *request, const Content *content, const char *reason, const Jsonb *headers);
static size_t body_limit(void);
static void fail_size(HttpRequest *request);
static void convert_text(void *arg);
static void parse_json(void *arg);
static char *text_of(const char *bytes, size_t len, const char *charset, const char **used);
static bool is_ascii(const char *bytes, size_t len);
static char *valid_text(const char *bytes, size_t len, int encoding);
static JsonLook look_at_json(const char *text, size_t limit);
static bool exponent_fits(const char *digits);
static char *header_value(const HttpRequest *request, const char *name);
static char *declared_charset(const HttpRequest *request);
static Jsonb *head_object(const HttpRequest *request, char **reason);
static Jsonb *cookies_object(const HttpRequest *request);
static Jsonb *history_array(const HttpRequest *request);
static bool read_content(HttpRequest *request, Content *content);
static int	compare_items(const void *a, const void *b);
static void add_text(JsonFlat *f, const char *text);
static Jsonb *failure_result(HttpRequest *request, bool *failed);

Jsonb *
http_response_result(HttpRequest *request, bool *failed)
{
	Content		content = {0};
	char	   *reason = NULL;
	Jsonb	   *headers;
	Jsonb	   *result;

	if (request->failed)
		return failure_result(request, failed);
	if (request->mail)
	{
		JsonbValue	nothing = {.type = jbvNull};

		*failed = false;
		return json_from_value(&nothing);
	}

	headers = head_object(request, &reason);
	if (!read_content(request, &content))
		return failure_result(request, failed);
	result = make_result(request, &content, reason, headers);
	if (VARSIZE(result) > body_limit())
	{
		fail_size(request);
		return failure_result(request, failed);
	}
	*failed = request->status < 200 || request->status > 306;
	return result;
}

/* Its keys in jsonb's order, then the values. */
static Jsonb *
make_result(const HttpRequest *request, const Content *content, const char *reason, const Jsonb *headers)
{
	static const char *const keys[] = {
		"url", "reason", "status", "content", "cookies", "elapsed", "headers", "history", "encoding", "content_encoding"
	};
	int			nkeys = lengthof(keys) - (content->base64 ? 0 : 1);
	JsonFlat	f;

	json_flat_begin(&f, 512 + VARSIZE(headers) + (content->json ? VARSIZE(content->json) : strlen(content->text)));
	json_flat_open_object(&f, nkeys);
	for (int i = 0; i < nkeys; i++)
		add_text(&f, keys[i]);
	add_text(&f, text_of(request->final_url, strlen(request->final_url), NULL, NULL));
	add_text(&f, reason);
	json_flat_int(&f, (int) request->status);
	if (content->json)
		json_flat_jsonb(&f, content->json);
	else
		add_text(&f, content->text);
	json_flat_jsonb(&f, cookies_object(request));
	json_flat_numeric(&f, int64_div_fast_to_numeric(request->elapsed, 6));
	json_flat_jsonb(&f, headers);
	json_flat_jsonb(&f, history_array(request));
	add_text(&f, content->encoding);
	if (content->base64)
		add_text(&f, "base64");
	json_flat_close(&f);
	return json_flat_finish(&f);
}

/* NULL is null. */
static void
add_text(JsonFlat *f, const char *text)
{
	if (text)
		json_flat_string(f, text, strlen(text));
	else
		json_flat_jsonb(f, NULL);
}

static size_t
body_limit(void)
{
	return (size_t) guc_max_result_size * 1024;
}

static void
fail_size(HttpRequest *request)
{
	http_request_fail(request, "response is larger than mistral.max_result_size (%d kB)", guc_max_result_size);
}

static Jsonb *
failure_result(HttpRequest *request, bool *failed)
{
	*failed = true;
	return json_from_string(psprintf(request->mail ? "Failed to send an email message: %s" : "Failed to send HTTP request: %s",
									 request->failure));
}

/* pg_any_to_server raises for characters that the server's encoding lacks. */
static void
convert_text(void *arg)
{
	Conversion *conversion = arg;
	char	   *text = pg_any_to_server(conversion->bytes, conversion->len, conversion->encoding);

	conversion->text = text == conversion->bytes ? pnstrdup(text, conversion->len) : text;
}

static void
parse_json(void *arg)
{
	Conversion *conversion = arg;

	conversion->json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(conversion->text)));
}

static bool
is_ascii(const char *bytes, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(bytes[i]))
			return false;
	return true;
}

/* The bytes as text of the server's encoding, or NULL where they are none in `encoding`. */
static char *
valid_text(const char *bytes, size_t len, int encoding)
{
	Conversion	conversion = {bytes, len, encoding};

	if (len == 0)
		return pstrdup("");
	if (!PG_VALID_ENCODING(encoding) || memchr(bytes, '\0', len) != NULL ||
		pg_encoding_verifymbstr(encoding, bytes, len) != len)
		return NULL;
	if (encoding == GetDatabaseEncoding())
		return pnstrdup(bytes, len);
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
	{
		/* Nothing can be converted there; of all encodings UTF-8 is taken as it is. */
		if (encoding != PG_UTF8 && !is_ascii(bytes, len))
			return NULL;
		return pnstrdup(bytes, len);
	}
	return protected_call(convert_text, &conversion) == 0 ? conversion.text : NULL;
}

/*
 * The bytes as text, or NULL when they are none.  Without a charset that is
 * known here they are UTF-8 if valid as that, else ISO 8859-1 where `used` is
 * not wanted (headers) or already names it.  *used (may be NULL) is what the
 * answer calls its encoding, and is changed where another was used.
 */
static char *
text_of(const char *bytes, size_t len, const char *charset, const char **used)
{
	int			encoding = charset ? pg_char_to_encoding(charset) : -1;
	char	   *text;

	if (charset != NULL && (pg_strcasecmp(charset, "us-ascii") == 0 || pg_strcasecmp(charset, "ascii") == 0))
		encoding = PG_UTF8;
	if (encoding >= 0 && encoding != PG_SQL_ASCII)
		return valid_text(bytes, len, encoding);

	text = valid_text(bytes, len, PG_UTF8);
	if (text != NULL)
	{
		if (used != NULL && *used != NULL && !is_ascii(text, strlen(text)))
			*used = "utf-8";
		return text;
	}
	if (used == NULL || *used != NULL)
		return valid_text(bytes, len, PG_LATIN1);
	return NULL;
}

/* The value of a header of the last answer, malformed bytes and all; NULL when it is not there. */
static char *
header_value(const HttpRequest *request, const char *name)
{
	const char *line = request->head.data;
	size_t		len = strlen(name);

	while (line != NULL && *line)
	{
		const char *end = strchr(line, '\n');

		if (end == NULL)
			end = line + strlen(line);
		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':')
		{
			line += len + 1;
			while (line < end && isspace((unsigned char) *line))
				line++;
			while (end > line && isspace((unsigned char) end[-1]))
				end--;
			return pnstrdup(line, end - line);
		}
		line = *end ? end + 1 : NULL;
	}
	return NULL;
}

/* What the answer says its encoding is, by the rules of Python's requests; NULL for nothing. */
static char *
declared_charset(const HttpRequest *request)
{
	char	   *type = header_value(request, "Content-Type");
	char	   *p;

	if (type == NULL)
		return NULL;
	for (p = strchr(type, ';'); p != NULL; p = strchr(p, ';'))
	{
		p++;
		p += strspn(p, " \t");
		if (pg_strncasecmp(p, "charset=", 8) == 0)
		{
			char	   *charset;

			p += 8;
			p += strspn(p, "'\" ");
			charset = pnstrdup(p, strcspn(p, "'\"; "));
			if (charset[0] != '\0' && strlen(charset) < 64)
				return charset;
		}
	}
	for (p = type; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	type[strcspn(type, ";")] = '\0';
	if (strstr(type, "text") != NULL)
		return pstrdup("ISO-8859-1");
	if (strstr(type, "application/json") != NULL)
		return pstrdup("utf-8");
	return NULL;
}

/*
 * The headers of the last answer as an object, names as they were received
 * first, values of repeated ones joined with commas.  *reason is the phrase of
 * the status line, NULL where the protocol has none.
 */
static Jsonb *
head_object(const HttpRequest *request, char **reason)
{
	int			maxitems = 16;
	HeaderItem *items = palloc(maxitems * sizeof(HeaderItem));
	HeaderItem *last = NULL;
	int			nitems = 0;
	const char *line = request->head.data ? request->head.data : "";
	bool		first = true;
	JsonFlat	f;
	int			i;

	while (*line)
	{
		size_t		len = strcspn(line, "\r\n");
		char	   *text = text_of(line, len, NULL, NULL);
		char	   *value;

		CHECK_FOR_INTERRUPTS();
		line += len;
		line += strspn(line, "\r");
		line += *line == '\n' ? 1 : 0;
		if (text == NULL)
			continue;
		if (first)
		{
			first = false;
			value = strchr(text, ' ');
			value = value ? strchr(value + 1, ' ') : NULL;
			*reason = value ? value + 1 : NULL;
			continue;
		}
		if (text[0] == ' ' || text[0] == '\t')
		{
			/* an old-style continuation of the line before */
			if (last != NULL)
				appendStringInfo(&last->value, " %s", text + strspn(text, " \t"));
			continue;
		}
		value = strchr(text, ':');
		if (value == NULL || nitems == HTTP_MAX_LINES)
			continue;
		*value++ = '\0';
		value += strspn(value, " \t");
		for (i = 0; i < nitems && pg_strcasecmp(items[i].name, text) != 0; i++)
			;
		if (i == maxitems)
		{
			maxitems *= 2;
			items = repalloc(items, maxitems * sizeof(HeaderItem));
		}
		last = &items[i];
		if (i < nitems)
			appendStringInfoString(&last->value, ", ");
		else
		{
			nitems++;
			last->name = text;
			initStringInfo(&last->value);
		}
		appendStringInfoString(&last->value, value);
	}

	/* No two names are the same. */
	qsort(items, nitems, sizeof(HeaderItem), compare_items);
	json_flat_begin(&f, 2 * request->head.len);
	json_flat_open_object(&f, nitems);
	for (i = 0; i < nitems; i++)
		add_text(&f, items[i].name);
	for (i = 0; i < nitems; i++)
		json_flat_string(&f, items[i].value.data, items[i].value.len);
	json_flat_close(&f);
	return json_flat_finish(&f);
}

static int
compare_items(const void *a, const void *b)
{
	const char *x = ((const HeaderItem *) a)->name;
	const char *y = ((const HeaderItem *) b)->name;

	return json_compare_keys(x, strlen(x), y, strlen(y));
}

/* Cookies that the last answer set and libcurl accepted for its host. */
static Jsonb *
cookies_object(const HttpRequest *request)
{
	JsonBuilder b = {0};
	const char *line = request->jar.data ? request->jar.data : "";

	json_begin_object(&b);
	while (*line)
	{
		size_t		len = strcspn(line, "\n");
		char	   *text = text_of(line, len, NULL, NULL);
		char	   *tab = text ? strchr(text, '\t') : NULL;

		line += len + (line[len] ? 1 : 0);
		if (tab == NULL)
			continue;
		*tab = '\0';
		json_add_key(&b, text);
		json_add_string(&b, tab + 1);
	}
	json_end_object(&b);
	return json_finish(&b);
}

static Jsonb *
history_array(const HttpRequest *request)
{
	JsonBuilder b = {0};
	int			i;

	json_begin_array(&b);
	for (i = 0; i < request->nhops; i++)
	{
		const HttpHop *hop = &request->hops[i];

		json_begin_object(&b);
		json_add_key(&b, "status");
		json_add_int(&b, hop->status);
		json_add_key(&b, "url");
		json_add_string(&b, text_of(hop->url, strlen(hop->url), NULL, NULL));
		json_end_object(&b);
	}
	json_end_array(&b);
	return json_finish(&b);
}

/* As JSON, else as text, else as base64.  False: the request is a failed one now. */
static bool
read_content(HttpRequest *request, Content *content)
{
	char	   *charset = declared_charset(request);
	const char *used = charset;
	const char *bytes = request->content.data ? request->content.data : "";
	size_t		len = request->content.len;
	bool		presumed = charset != NULL && strcmp(charset, "ISO-8859-1") == 0 &&
		strstr(header_value(request, "Content-Type"), charset) == NULL;
	Conversion	conversion = {bytes, len};
	JsonLook	look = JSON_NOT;

	/* A byte order mark says what it is, and is no part of the text. */
	if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
	{
		bytes += 3;
		len -= 3;
	}
	conversion.text = text_of(bytes, len, presumed ? NULL : charset, &used);
	if (conversion.text != NULL)
		look = look_at_json(conversion.text, body_limit());
	if (look == JSON_TOO_LARGE)
	{
		fail_size(request);
		return false;
	}
	if (look == JSON_MAYBE && protected_call(parse_json, &conversion) == 0)
		content->json = conversion.json;
	content->text = conversion.text;
	if (conversion.text == NULL)
	{
		int			size = pg_b64_enc_len(request->content.len);
		char	   *base64;

		if (size >= body_limit())
		{
			fail_size(request);
			return false;
		}
		base64 = palloc(size + 1);
		size = pg_b64_encode((const void *) request->content.data, request->content.len, base64, size);
		if (size < 0)
			elog(ERROR, "could not encode as base64");
		base64[size] = '\0';
		content->text = base64;
		content->base64 = true;
	}
	content->encoding = used ? text_of(used, strlen(used), NULL, NULL) : NULL;
	return true;
}

/*
 * A look at the text that keeps from the parser what is no JSON for certain,
 * and what jsonb or those who read it later could not bear: NUL characters,
 * great depth, numbers that would fill pages, more elements than fit.
 */
static JsonLook
look_at_json(const char *text, size_t limit)
{
	const char *p = text + strspn(text, " \t\r\n");
	int			depth = 0;
	size_t		elements = 0;
	bool		in_string = false;

	if (*p == '\0' || (strchr("{[\"-0123456789", *p) == NULL &&
					   strncmp(p, "true", 4) != 0 && strncmp(p, "false", 5) != 0 && strncmp(p, "null", 4) != 0))
		return JSON_NOT;
	for (; *p; p++)
	{
		if (in_string)
		{
			if (*p == '"')
				in_string = false;
			else if (*p == '\\' && (strncmp(p, "\\u0000", 6) == 0 || *++p == '\0'))
				return JSON_NOT;
			continue;
		}
		switch (*p)
		{
			case '"':
				in_string = true;
				break;
			case '{':
			case '[':
				if (++depth > HTTP_MAX_JSON_DEPTH)
					return JSON_NOT;
				elements++;
				break;
			case '}':
			case ']':
				depth--;
				break;
			case ',':
			case ':':
				if (depth <= 0)
					return JSON_NOT;
				elements++;
				break;
			case 'e':
			case 'E':
				if (p > text && isdigit((unsigned char) p[-1]) && !exponent_fits(p + 1))
					return JSON_NOT;
				break;
		}
	}
	if (depth != 0 || in_string)
		return JSON_NOT;
	/* each element takes at least four bytes in a jsonb */
	return elements > limit / 4 ? JSON_TOO_LARGE : JSON_MAYBE;
}

static bool
exponent_fits(const char *digits)
{
	int			exponent = 0;

	if (*digits == '+' || *digits == '-')
		digits++;
	for (; isdigit((unsigned char) *digits); digits++)
	{
		exponent = exponent * 10 + (*digits - '0');
		if (exponent > HTTP_MAX_JSON_EXPONENT)
			return false;
	}
	return true;
}
