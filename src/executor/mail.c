/*
 * mail.c
 *		std.email: a message and the SMTP request that hands it over.
 *
 * What a workflow says ends up in header lines and in SMTP commands, so nothing
 * gets there that could end a line: control characters are refused, addresses
 * consist of what RFC 5321 allows outside of quotes, all other text is encoded
 * (RFC 2047) or base64.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/plain_url.h"
#include "executor/http_build.h"
#include "executor/mail.h"

/* Texts of a message together; servers take less. */
#define MAIL_MAX_BYTES		(16 * 1024 * 1024)
#define MAIL_MAX_RECIPIENTS	1000
#define MAIL_MAX_ADDRESS	254

/* ASCII texts up to this length stand in a header as they are; of others, so many bytes make a word. */
#define HEADER_PLAIN_BYTES	60
#define HEADER_WORD_BYTES	45
#define HEADER_MAX_BYTES	2000

#define BASE64_LINE			76

/* "name" <spec>; in UTF-8. */
typedef struct Address
{
	char	   *spec;
	char	   *name;			/* NULL: none */
} Address;

static bool build_server(HttpRequest *request, const Jsonb *input);
static bool parse_server(HttpRequest *request, const char *text);
static bool get_text(HttpRequest *request, const Jsonb *input, const char *name, const char *missing, char **text);
static bool get_addresses(HttpRequest *request, const Jsonb *input, const char *name, List **addresses);
static bool parse_address(HttpRequest *request, const char *param, char *text, Address *address);
static bool has_controls(const char *text);
static bool add_recipients(HttpRequest *request, List *addresses);
static void append_addresses(StringInfo out, const char *header, List *addresses);
static bool is_plain(const char *text);
static void append_words(StringInfo out, const char *text);
static void append_name(StringInfo out, const char *name);
static void append_date(StringInfo out, TimestampTz when);
static void append_part(StringInfo out, const char *subtype, const char *text);
static void append_body(StringInfo out, const pg_uuid_t *id, const char *plain, const char *html);

void
mail_build(HttpRequest *request, const Jsonb *input, int task_timeout)
{
	List	   *from;
	List	   *to;
	List	   *cc;
	List	   *bcc;
	List	   *reply_to;
	char	   *subject;
	char	   *plain;
	char	   *html;
	Address    *sender;
	StringInfoData out;
	char		id[UUID_TEXT_LEN + 1];

	if (!build_server(request, input) ||
		!http_get_flag(request, input, "verify", true, &request->verify) ||
		!http_get_ca(request, input) ||
		!get_addresses(request, input, "from_addr", &from) ||
		!get_addresses(request, input, "to_addrs", &to) ||
		!get_addresses(request, input, "cc_addrs", &cc) ||
		!get_addresses(request, input, "bcc_addrs", &bcc) ||
		!get_addresses(request, input, "reply_to", &reply_to) ||
		!get_text(request, input, "subject", "<No subject>", &subject) ||
		!get_text(request, input, "body", "<No body>", &plain) ||
		!get_text(request, input, "html_body", NULL, &html))
		return;
	request->timeout_ms = http_task_timeout_ms(task_timeout);
	if (list_length(from) != 1)
		http_request_fail(request, "\"from_addr\" is not one address");
	else if (has_controls(subject) || strlen(subject) > HEADER_MAX_BYTES)
		http_request_fail(request, "\"subject\" has a line break or another control character, or more than %d bytes", HEADER_MAX_BYTES);
	else if (strlen(plain) + (html ? strlen(html) : 0) > MAIL_MAX_BYTES)
		http_request_fail(request, "the message has more than %d bytes", MAIL_MAX_BYTES);
	if (request->failed ||
		!add_recipients(request, to) || !add_recipients(request, cc) || !add_recipients(request, bcc))
		return;
	if (request->nrecipients == 0)
	{
		http_request_fail(request, "there is nobody to send it to");
		return;
	}

	sender = linitial(from);
	request->mail_from = http_copy_text(sender->spec);
	/* The original logs in as the sender. */
	if (request->password != NULL)
		request->user = http_copy_text(sender->spec);
	initStringInfo(&out);
	append_date(&out, clock_now());
	/* The same for each attempt: whoever gets a repeated message can see that it is one. */
	appendStringInfo(&out, "Message-ID: <%s@%s>\r\n", id_text(&request->attempt.action_id, id),
					 strchr(sender->spec, '@') ? strrchr(sender->spec, '@') + 1 : "mistral");
	append_addresses(&out, "From", from);
	append_addresses(&out, "Reply-To", reply_to);
	append_addresses(&out, "To", to);
	append_addresses(&out, "Cc", cc);
	appendStringInfoString(&out, "Subject: ");
	if (is_plain(subject))
		appendStringInfoString(&out, subject);
	else
		append_words(&out, subject);
	appendStringInfoString(&out, "\r\nMIME-Version: 1.0\r\n");
	append_body(&out, &request->attempt.action_id, plain, html);
	request->body = http_copy_bytes(out.data, out.len);
	request->body_len = out.len;
}

/* ---------------------------------------------------------------- what the input says */

/* `smtp_server`: host, host:port, or a URL of the scheme smtp or smtps. */
static bool
build_server(HttpRequest *request, const Jsonb *input)
{
	char	   *server;
	char	   *password;

	if (!json_is_object(input))
	{
		http_request_fail(request, "the input is not an object");
		return false;
	}
	if (!get_text(request, input, "smtp_server", "", &server) ||
		!get_text(request, input, "smtp_password", NULL, &password))
		return false;
	if (!parse_server(request, server))
		return false;
	request->place = http_copy_text(json_get_string(input, "smtp_server"));
	if (password && has_controls(password))
	{
		http_request_fail(request, "\"smtp_password\" has a line break or another control character");
		return false;
	}
	if (password)
		request->password = http_copy_bytes(password, strlen(password));
	return true;
}

/* False: it is none, and the request a failed one; else a URL that is nothing but a scheme, a host and a port. */
static bool
parse_server(HttpRequest *request, const char *text)
{
	PlainUrl	parts = {0};

	if (strpbrk(text, "@?#\\ \t\r\n") != NULL || has_controls(text) || !plain_url_mail(text, &parts))
	{
		http_request_fail(request, "\"smtp_server\" is neither host[:port] nor an smtp or smtps URL of that");
		return false;
	}
	request->url = parts.url;
	request->origin = parts.origin;
	return true;
}

/* A text in UTF-8; one that is missing or empty is `missing`, as in Python's "or". */
static bool
get_text(HttpRequest *request, const Jsonb *input, const char *name, const char *missing, char **text)
{
	JsonbValue *value = http_get_param(input, name);

	if (value && value->type != jbvString)
	{
		http_request_fail(request, "\"%s\" is not a string", name);
		return false;
	}
	if (value && value->val.string.len > 0)
		*text = http_utf8(json_value_cstring(value));
	else
		*text = missing ? pstrdup(missing) : NULL;
	return true;
}

/* A list of addresses, or one of them as a string. */
static bool
get_addresses(HttpRequest *request, const Jsonb *input, const char *name, List **addresses)
{
	JsonbValue *value = http_get_param(input, name);
	Jsonb	   *list;
	int			n;

	*addresses = NIL;
	if (value == NULL)
		return true;
	/* A scalar is kept as a list of one. */
	list = json_from_value(value);
	n = json_is_object(list) ? MAIL_MAX_RECIPIENTS + 1 : JB_ROOT_COUNT(list);
	if (n > MAIL_MAX_RECIPIENTS)
	{
		http_request_fail(request, "\"%s\" is not a list of at most %d addresses", name, MAIL_MAX_RECIPIENTS);
		return false;
	}
	for (int i = 0; i < n; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(&list->root, i);
		Address    *address = palloc0(sizeof(Address));

		if (item->type != jbvString)
		{
			http_request_fail(request, "\"%s\" has an address that is not a string", name);
			return false;
		}
		if (!parse_address(request, name, http_utf8(json_value_cstring(item)), address))
			return false;
		*addresses = lappend(*addresses, address);
	}
	return true;
}

/* "spec", or "name <spec>" with the name in quotes or without; `text` is written to. */
static bool
parse_address(HttpRequest *request, const char *param, char *text, Address *address)
{
	size_t		len;
	char	   *open;

	if (has_controls(text) || strlen(text) > HEADER_MAX_BYTES)
	{
		http_request_fail(request, "\"%s\" has an address with a line break or another control character, or more than %d bytes",
						  param, HEADER_MAX_BYTES);
		return false;
	}
	while (*text == ' ')
		text++;
	for (len = strlen(text); len > 0 && text[len - 1] == ' ';)
		text[--len] = '\0';
	open = len > 0 && text[len - 1] == '>' ? strrchr(text, '<') : NULL;
	address->spec = text;
	if (open)
	{
		text[len - 1] = '\0';
		address->spec = open + 1;
		while (open > text && open[-1] == ' ')
			open--;
		*open = '\0';
		if (open - text >= 2 && text[0] == '"' && open[-1] == '"')
		{
			open[-1] = '\0';
			text++;
		}
		address->name = *text ? text : NULL;
	}
	len = strlen(address->spec);
	if (len == 0 || len > MAIL_MAX_ADDRESS || address->spec[0] == '-' ||
		address->spec[strspn(address->spec, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~.@[:]")] != '\0')
	{
		http_request_fail(request, "\"%s\" has an address that is none, or not in ASCII", param);
		return false;
	}
	return true;
}

static bool
has_controls(const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *) text; *p; p++)
		if (*p < ' ' || *p == 0x7F)
			return true;
	return false;
}

static bool
add_recipients(HttpRequest *request, List *addresses)
{
	ListCell   *lc;
	char	  **grown = realloc(request->recipients, (request->nrecipients + list_length(addresses) + 1) * sizeof(char *));

	if (grown == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	request->recipients = grown;
	foreach(lc, addresses)
		request->recipients[request->nrecipients++] = http_copy_text(((Address *) lfirst(lc))->spec);
	return true;
}

/* ---------------------------------------------------------------- the message */

/* Each on a line of its own; nothing without addresses. */
static void
append_addresses(StringInfo out, const char *header, List *addresses)
{
	ListCell   *lc;

	if (addresses == NIL)
		return;
	appendStringInfo(out, "%s: ", header);
	foreach(lc, addresses)
	{
		const Address *address = lfirst(lc);

		if (lc != list_head(addresses))
			appendStringInfoString(out, ",\r\n ");
		if (address->name)
		{
			append_name(out, address->name);
			appendStringInfo(out, "\r\n <%s>", address->spec);
		}
		else
			appendStringInfoString(out, address->spec);
	}
	appendStringInfoString(out, "\r\n");
}

/* Whether a header may hold the text as it is. */
static bool
is_plain(const char *text)
{
	const unsigned char *p;

	for (p = (const unsigned char *) text; *p; p++)
		if (IS_HIGHBIT_SET(*p))
			return false;
	return p - (const unsigned char *) text <= HEADER_PLAIN_BYTES && strstr(text, "=?") == NULL;
}

/* Encoded words, a line each; no character is divided. */
static void
append_words(StringInfo out, const char *text)
{
	const char *end = text + strlen(text);
	const char *p = text;

	while (p < end)
	{
		char		word[HEADER_WORD_BYTES * 2];
		int			len = 0;
		int			n;

		while (p + len < end)
		{
			int			next = Min(pg_utf_mblen((const unsigned char *) p + len), end - p - len);

			if (len + next > HEADER_WORD_BYTES)
				break;
			len += next;
		}
		n = pg_b64_encode((const void *) p, len, word, sizeof(word));
		appendStringInfo(out, "%s=?utf-8?b?%.*s?=", p == text ? "" : "\r\n ", n, word);
		p += len;
	}
}

static void
append_name(StringInfo out, const char *name)
{
	if (!is_plain(name))
	{
		append_words(out, name);
		return;
	}
	appendStringInfoChar(out, '"');
	for (; *name; name++)
	{
		if (*name == '"' || *name == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *name);
	}
	appendStringInfoChar(out, '"');
}

static void
append_date(StringInfo out, TimestampTz when)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(when, NULL, &tm, &fsec, NULL, NULL) != 0)
		return;
	appendStringInfo(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\r\n",
					 days[j2day(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday))], tm.tm_mday, months[tm.tm_mon - 1], tm.tm_year,
					 tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* One text, or both as alternatives. */
static void
append_body(StringInfo out, const pg_uuid_t *id, const char *plain, const char *html)
{
	char		boundary[UUID_TEXT_LEN + 1];

	if (html == NULL)
	{
		append_part(out, "plain", plain);
		return;
	}
	/* No base64 has a dash in it. */
	id_text(id, boundary);
	appendStringInfo(out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary);
	append_part(out, "plain", plain);
	appendStringInfo(out, "--%s\r\n", boundary);
	append_part(out, "html", html);
	appendStringInfo(out, "--%s--\r\n", boundary);
}

static void
append_part(StringInfo out, const char *subtype, const char *text)
{
	int			len = strlen(text);
	int			size = pg_b64_enc_len(len);
	char	   *base64 = palloc(size + 1);
	int			n = pg_b64_encode((const void *) text, len, base64, size);

	if (n < 0)
		elog(ERROR, "could not encode as base64");
	appendStringInfo(out, "Content-Type: text/%s; charset=\"utf-8\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", subtype);
	for (int i = 0; i < n; i += BASE64_LINE)
	{
		appendBinaryStringInfo(out, base64 + i, Min(BASE64_LINE, n - i));
		appendStringInfoString(out, "\r\n");
	}
	pfree(base64);
}
