/*
 * http_build.c
 *		From an action's evaluated input to what the program is asked.
 *
 * Parameters are read as Python's requests reads them, with two differences on
 * purpose: `timeout` bounds the whole request and not each read, and `verify`
 * is a boolean only (a path would let a workflow probe the server's files).
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/ids.h"
#include "base/json.h"
#include "compat.h"
#include "base/plain_url.h"
#include "executor/http_build.h"
#include "queue/token.h"

static char *value_text(const JsonbValue *value);
static bool build_method(HttpRequest *request, const Jsonb *input);
static char *copy_place(const char *url);
static bool build_url(HttpRequest *request, const Jsonb *input);
static bool build_body(HttpRequest *request, const Jsonb *input);
static bool build_headers(HttpRequest *request, const Jsonb *input, const Jsonb *engine_headers);
static bool build_cookies(HttpRequest *request, const Jsonb *input);
static bool build_auth(HttpRequest *request, const Jsonb *input);
static bool read_auth_text(HttpRequest *request, const JsonbValue *auth);
static bool read_auth_object(HttpRequest *request, const Jsonb *auth);
static void set_credentials(HttpRequest *request, const char *user, const char *password);
static bool get_timeout(HttpRequest *request, const Jsonb *input, const char *name, int *ms);
static bool build_options(HttpRequest *request, const Jsonb *input, int task_timeout);
static bool build_proxies(HttpRequest *request, const Jsonb *input);
static bool append_form(const char *name, const JsonbValue *value, PlainBuffer *form);
static bool set_header(HttpRequest *request, const char *name, const char *value);
static void out_of_memory(void) pg_attribute_noreturn();

void
http_request_build(HttpRequest *request, const Jsonb *input, const Jsonb *headers, int task_timeout)
{
	if (!json_is_object(input))
	{
		http_request_fail(request, "the input is not an object");
		return;
	}
	if (build_method(request, input) &&
		build_url(request, input) &&
		build_body(request, input) &&
		build_headers(request, input, headers) &&
		build_cookies(request, input) &&
		build_auth(request, input) &&
		build_options(request, input, task_timeout))
		(void) build_proxies(request, input);
}

static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory")));
}

char *
http_utf8(char *text)
{
	/* An SQL_ASCII database keeps bytes of any encoding; they go out as they are. */
	return GetDatabaseEncoding() == PG_SQL_ASCII ? text : pg_server_to_any(text, strlen(text), PG_UTF8);
}

char *
http_copy_text(const char *text)
{
	const char *utf8 = http_utf8(unconstify(char *, text));

	return http_copy_bytes(utf8, strlen(utf8));
}

char *
http_copy_bytes(const char *bytes, size_t len)
{
	char	   *copy = malloc(len + 1);

	if (copy == NULL)
		out_of_memory();
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

/* A value as Python's str() writes it; NULL for null. palloc'd. */
static char *
value_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return NULL;
		case jbvString:
			return json_value_cstring(value);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "True" : "False");
		default:
			return json_to_text(json_from_value(value));
	}
}

JsonbValue *
http_get_param(const Jsonb *input, const char *name)
{
	JsonbValue *value = json_get(input, name, strlen(name));

	return value != NULL && value->type == jbvNull ? NULL : value;
}

/* A method is a token (RFC 9110), so that nothing but a method can be put there. */
static bool
build_method(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *value = http_get_param(input, "method");
	const char *method = "GET";
	char	   *p;

	if (value != NULL && value->type != jbvString)
	{
		http_request_fail(request, "\"method\" is not a string");
		return false;
	}
	if (value != NULL)
		method = json_value_cstring(value);
	if (method[0] == '\0' || strlen(method) > 32 ||
		method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")] != '\0')
	{
		http_request_fail(request, "\"method\" is not an HTTP method");
		return false;
	}
	request->method = http_copy_bytes(method, strlen(method));
	for (p = request->method; *p; p++)
		*p = pg_ascii_toupper((unsigned char) *p);
	return true;
}

/* Adds one parameter: each element of a list, each key of an object, any other value once. */
static bool
append_form(const char *name, const JsonbValue *value, PlainBuffer *form)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbIteratorToken wanted;
	char	   *text;
	bool		ok = true;

	name = http_utf8(unconstify(char *, name));
	if (value->type != jbvBinary)
	{
		char	   *utf8;

		text = value_text(value);
		if (text == NULL)
			return true;
		utf8 = http_copy_text(text);
		plain_url_append_pair(form, name, utf8);
		free(utf8);
		return !form->failed;
	}

	wanted = JsonContainerIsObject(value->val.binary.data) ? WJB_KEY : WJB_ELEM;
	it = JsonbIteratorInit(value->val.binary.data);
	while (ok && (token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *utf8;

		CHECK_FOR_INTERRUPTS();
		if (token != wanted || (text = value_text(&item)) == NULL)
			continue;
		utf8 = http_copy_text(text);
		plain_url_append_pair(form, name, utf8);
		free(utf8);
		ok = !form->failed;
	}
	return ok;
}

typedef struct FormState
{
	PlainBuffer *form;
	bool		ok;
} FormState;

static void
add_form_member(void *arg, const char *key, int len, const JsonbValue *value)
{
	FormState  *state = arg;

	if (state->ok && value->type != jbvNull)
		state->ok = append_form(pnstrdup(key, len), value, state->form);
}

/*
 * Form data from an object, or from a list of pairs.  False when a list holds
 * anything else; lack of memory is raised, after the buffer was freed.
 */
static bool
make_form(const JsonbValue *value, PlainBuffer *form)
{
	Jsonb	   *data = json_from_value(value);
	FormState	state = {form, true};
	int			n;
	int			i;

	if (json_is_object(data))
		json_members(data, add_form_member, &state);
	n = json_is_object(data) ? 0 : json_count(data);
	for (i = 0; i < n && state.ok; i++)
	{
		JsonbValue *pair = getIthJsonbValueFromContainer(&data->root, i);
		JsonbValue *name;
		JsonbValue *item;

		if (pair == NULL || pair->type != jbvBinary || !JsonContainerIsArray(pair->val.binary.data) ||
			JsonContainerSize(pair->val.binary.data) != 2)
		{
			plain_reset(form);
			return false;
		}
		name = getIthJsonbValueFromContainer(pair->val.binary.data, 0);
		item = getIthJsonbValueFromContainer(pair->val.binary.data, 1);
		if (name->type != jbvNull && item->type != jbvNull)
			state.ok = append_form(value_text(name), item, form);
	}
	if (!state.ok)
	{
		plain_reset(form);
		out_of_memory();
	}
	return true;
}

/* What stands between "://", or the userinfo's "@", and the path: executor_claim finds the same in SQL. */
static char *
copy_place(const char *url)
{
	const char *begin = strstr(url, "://");
	const char *end;
	const char *at;
	char	   *copy;

	begin = begin ? begin + 3 : url;
	end = begin + strcspn(begin, "/?#");
	for (at = begin; at < end; at++)
		if (*at == '@')
			begin = at + 1;
	copy = strndup(begin, end - begin);
	if (copy == NULL)
		out_of_memory();
	return copy;
}

static bool
build_url(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *value = http_get_param(input, "url");
	JsonbValue *params = http_get_param(input, "params");
	PlainBuffer query = {0};
	PlainUrl	parts;
	char	   *text;
	const char *error;

	if (value == NULL || value->type != jbvString)
	{
		http_request_fail(request, "\"url\" is not a string");
		return false;
	}
	if (params != NULL && params->type == jbvBinary)
	{
		if (!make_form(params, &query))
		{
			http_request_fail(request, "\"params\" is neither an object nor a string nor a list of pairs");
			return false;
		}
	}
	else if (params != NULL && params->type != jbvString)
	{
		http_request_fail(request, "\"params\" is neither an object nor a string nor a list of pairs");
		return false;
	}
	else if (params != NULL)
	{
		char	   *raw = http_copy_text(json_value_cstring(params));

		plain_append(&query, raw, strlen(raw));
		free(raw);
	}

	text = json_value_cstring(value);
	request->place = copy_place(text);
	text = http_copy_text(text);
	error = plain_url_parse(text, query.data, &parts);
	free(text);
	plain_reset(&query);
	if (error)
	{
		http_request_fail(request, "%s", error);
		return false;
	}
	request->url = parts.url;
	request->origin = parts.origin;
	request->user = parts.user;
	request->password = parts.password;
	return true;
}

/* `body`: text as it is, an object as JSON, a list of pairs as form data; `json`: JSON with its media type. */
static bool
build_body(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *body = http_get_param(input, "body");
	JsonbValue *json = http_get_param(input, "json");
	PlainBuffer form = {0};

	/* Python's truth: empty ones may stand beside each other. */
	if (body != NULL && body->type == jbvString && body->val.string.len == 0)
		body = NULL;
	if (body != NULL && json != NULL)
	{
		http_request_fail(request, "only one of \"body\" and \"json\" can be passed");
		return false;
	}

	if (json != NULL)
	{
		request->body = http_copy_text(JsonbToCString(NULL, &json_from_value(json)->root, 0));
		if (!set_header(request, "Content-Type", "application/json"))
			return false;
	}
	else if (body != NULL && body->type == jbvBinary && JsonContainerIsArray(body->val.binary.data))
	{
		if (!make_form(body, &form))
		{
			http_request_fail(request, "\"body\" is a list, but not one of pairs");
			return false;
		}
		request->body = form.data ? form.data : http_copy_text("");
		if (!set_header(request, "Content-Type", "application/x-www-form-urlencoded"))
			return false;
	}
	else if (body != NULL)
		request->body = http_copy_text(value_text(body));

	if (request->body != NULL)
		request->body_len = strlen(request->body);
	if (request->body_len > 0 && strcmp(request->method, "HEAD") == 0)
	{
		http_request_fail(request, "a HEAD request has no body");
		return false;
	}
	return true;
}

/* Sets or replaces one header; the value is checked, so that it cannot end its line. */
static bool
set_header(HttpRequest *request, const char *name, const char *value)
{
	HttpHeader *header = http_request_find_header(request, name);
	const unsigned char *p;

	if (name[0] == '\0' ||
		name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~")] != '\0')
	{
		http_request_fail(request, "the name of a header is not a token");
		return false;
	}
	for (p = (const unsigned char *) (value ? value : ""); *p; p++)
		if ((*p < ' ' && *p != '\t') || *p == 0x7F)
		{
			http_request_fail(request, "the value of header \"%s\" has a line break or another control character", name);
			return false;
		}

	if (header == NULL)
	{
		if (request->nheaders >= HTTP_MAX_REQUEST_HEADERS)
		{
			http_request_fail(request, "there are more than %d headers", HTTP_MAX_REQUEST_HEADERS);
			return false;
		}
		if (request->headers == NULL)
			request->headers = calloc(HTTP_MAX_REQUEST_HEADERS, sizeof(HttpHeader));
		if (request->headers == NULL)
			out_of_memory();
		header = &request->headers[request->nheaders];
		header->name = http_copy_text(name);
		request->nheaders++;
	}
	free(header->value);
	header->value = NULL;
	if (value != NULL)
		header->value = http_copy_text(value);
	return true;
}

static void
add_user_header(void *arg, const char *key, int len, const JsonbValue *value)
{
	HttpRequest *request = arg;
	char	   *name = pnstrdup(key, len);

	if (request->failed)
		return;
	if (value->type == jbvBinary)
	{
		http_request_fail(request, "the value of header \"%s\" is neither a string nor a number", name);
		return;
	}
	/* How long the body is and where it ends is known here better. */
	if (pg_strcasecmp(name, "Content-Length") == 0 || pg_strcasecmp(name, "Transfer-Encoding") == 0)
		return;
	(void) set_header(request, name, value_text(value));
}

/* The engine's values come from names of workflows, so what cannot stand in a header becomes a space. */
static void
add_engine_header(void *arg, const char *key, int len, const JsonbValue *value)
{
	char	   *text = value_text(value);
	char	   *p;

	for (p = text; p != NULL && *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7F)
			*p = ' ';
	(void) set_header(arg, pnstrdup(key, len), text ? text : "");
}

static bool
build_headers(HttpRequest *request, const Jsonb *input, const Jsonb *engine_headers)
{
	JsonbValue *headers = http_get_param(input, "headers");
	char		number[12];
	char		id[UUID_TEXT_LEN + 1];

	if (headers != NULL)
	{
		Jsonb	   *object = json_from_value(headers);

		if (!json_is_object(object))
		{
			http_request_fail(request, "\"headers\" is not an object");
			return false;
		}
		json_members(object, add_user_header, request);
	}
	if (engine_headers != NULL && json_is_object(engine_headers))
		json_members(engine_headers, add_engine_header, request);
	if (request->failed)
		return false;

	snprintf(number, sizeof(number), "%d", request->attempt.number);
	if (!set_header(request, "Mistral-Attempt", number))
		return false;
	/* Only who is to complete the action has use for it. */
	if (request->waits)
	{
		TokenKey	key;

		token_key_read(&key);
		if (!set_header(request, "Mistral-Token",
						token_make(&key, &request->attempt.action_id, request->attempt.number)))
			return false;
	}
	/* A key of the workflow's own means more than ours: it may span several actions. */
	if (http_request_find_header(request, "Idempotency-Key") == NULL)
		return set_header(request, "Idempotency-Key", id_text(&request->attempt.action_id, id));
	return true;
}

typedef struct CookieState
{
	HttpRequest *request;
	StringInfoData text;
} CookieState;

static void
add_cookie(void *arg, const char *key, int len, const JsonbValue *value)
{
	CookieState *state = arg;
	char	   *name = pnstrdup(key, len);
	char	   *text = value->type == jbvBinary ? NULL : value_text(value);
	const unsigned char *p;

	if (value->type == jbvNull || state->request->failed)
		return;
	if (text == NULL || name[0] == '\0' || strpbrk(name, "=;, \t") != NULL || strchr(text, ';') != NULL)
		http_request_fail(state->request, "cookie \"%s\" has a name or a value that no cookie can have", name);
	appendStringInfo(&state->text, "%s%s=%s", state->text.len > 0 ? "; " : "", name, text ? text : "");
	for (p = (const unsigned char *) state->text.data; *p; p++)
		if (*p < ' ' || *p == 0x7F)
			http_request_fail(state->request, "a cookie has a line break or another control character");
}

static bool
build_cookies(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *cookies = http_get_param(input, "cookies");
	CookieState state;
	Jsonb	   *object;

	if (cookies == NULL)
		return true;
	object = json_from_value(cookies);
	if (!json_is_object(object))
	{
		http_request_fail(request, "\"cookies\" is not an object");
		return false;
	}
	state.request = request;
	initStringInfo(&state.text);
	json_members(object, add_cookie, &state);
	if (request->failed)
		return false;
	if (state.text.len > 0)
		request->cookies = http_copy_text(state.text.data);
	return true;
}

/* "user:password", also with more colons in the password; it wins over the URL's userinfo and a header. */
static bool
build_auth(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *auth = http_get_param(input, "auth");

	if (auth == NULL || (auth->type == jbvString && auth->val.string.len == 0))
	{
		if (request->user != NULL)
			http_request_drop_header(request, "Authorization");
		return true;
	}
	if (auth->type == jbvBinary ? !read_auth_object(request, json_from_value(auth)) : !read_auth_text(request, auth))
		return false;
	http_request_drop_header(request, "Authorization");
	return true;
}

/* user:password, for basic authentication. */
static bool
read_auth_text(HttpRequest *request, const JsonbValue *auth)
{
	char	   *text = auth->type == jbvString ? json_value_cstring(auth) : NULL;
	char	   *colon = text ? strchr(text, ':') : NULL;

	if (colon == NULL)
	{
		http_request_fail(request, "\"auth\" is not of the form user:password");
		return false;
	}
	*colon = '\0';
	set_credentials(request, text, colon + 1);
	return true;
}

/* {"type": "basic" or "digest", "user": ..., "password": ...} */
static bool
read_auth_object(HttpRequest *request, const Jsonb *auth)
{
	char	   *type = json_get_string(auth, "type");
	char	   *user = json_get_string(auth, "user");
	char	   *password = json_get_string(auth, "password");

	request->digest = type != NULL && strcmp(type, "digest") == 0;
	if (user == NULL || password == NULL || (type != NULL && !request->digest && strcmp(type, "basic") != 0))
	{
		http_request_fail(request, "\"auth\" has no \"user\" and \"password\", or a \"type\" other than basic and digest");
		return false;
	}
	set_credentials(request, user, password);
	return true;
}

static void
set_credentials(HttpRequest *request, const char *user, const char *password)
{
	free(request->user);
	free(request->password);
	request->user = request->password = NULL;
	request->user = http_copy_text(user);
	request->password = http_copy_text(password);
}

bool
http_get_flag(HttpRequest *request, const Jsonb *input, const char *name, bool missing, bool *flag)
{
	JsonbValue *value = http_get_param(input, name);

	*flag = missing;
	if (value == NULL)
		return true;
	if (value->type != jbvBool)
	{
		http_request_fail(request, "\"%s\" is neither true nor false", name);
		return false;
	}
	*flag = value->val.boolean;
	return true;
}

int
http_task_timeout_ms(int task_timeout)
{
	return task_timeout > 0 ? Min((int64) task_timeout * 1000, HTTP_MAX_TIMEOUT_MS) : HTTP_DEFAULT_TIMEOUT_MS;
}

static bool
build_options(HttpRequest *request, const Jsonb *input, int task_timeout)
{
	int			timeout_ms;

	/* The original passes null on, which requests takes for false. */
	if (!http_get_flag(request, input, "allow_redirects", false, &request->follow) ||
		!http_get_flag(request, input, "verify", true, &request->verify))
		return false;

	request->timeout_ms = http_task_timeout_ms(task_timeout);
	if (!get_timeout(request, input, "timeout", &timeout_ms) ||
		!get_timeout(request, input, "connect_timeout", &request->connect_timeout_ms))
		return false;
	if (timeout_ms > 0 && (task_timeout <= 0 || timeout_ms < request->timeout_ms))
		request->timeout_ms = timeout_ms;
	return http_get_ca(request, input);
}

/* Milliseconds of a parameter in seconds; 0 when it is not given. */
static bool
get_timeout(HttpRequest *request, const Jsonb *input, const char *name, int *ms)
{
	JsonbValue *timeout = http_get_param(input, name);
	double		seconds;

	*ms = 0;
	if (timeout == NULL)
		return true;
	if (timeout->type != jbvNumeric)
	{
		http_request_fail(request, "\"%s\" is not a number of seconds", name);
		return false;
	}
	seconds = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 NumericGetDatum(timeout->val.numeric)));
	if (!(seconds > 0))
	{
		http_request_fail(request, "\"%s\" is not greater than zero", name);
		return false;
	}
	*ms = (int) Max(1, ceil(Min(seconds, HTTP_MAX_TIMEOUT_MS / 1000) * 1000));
	return true;
}

/* Text, for a path would let a workflow look at the server's files. */
bool
http_get_ca(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *ca = http_get_param(input, "ca");

	if (ca == NULL)
		return true;
	if (ca->type != jbvString || strstr(json_value_cstring(ca), "-----BEGIN CERTIFICATE-----") == NULL)
	{
		http_request_fail(request, "\"ca\" is not a certificate in PEM form");
		return false;
	}
	request->ca = http_copy_text(json_value_cstring(ca));
	return true;
}

static void
add_proxy(void *arg, const char *key, int len, const JsonbValue *value)
{
	HttpRequest *request = arg;
	char	   *text = value->type == jbvString ? json_value_cstring(value) : NULL;
	int			which;

	if (value->type == jbvNull || request->failed)
		return;
	if (len == 4 && memcmp(key, "http", 4) == 0)
		which = 0;
	else if (len == 5 && memcmp(key, "https", 5) == 0)
		which = 1;
	else if (len == 3 && memcmp(key, "all", 3) == 0)
		which = 2;
	else
	{
		http_request_fail(request, "\"proxies\" has other keys than http, https and all");
		return;
	}
	if (text == NULL || (strstr(text, "://") != NULL &&
						 pg_strncasecmp(text, "http://", 7) != 0 && pg_strncasecmp(text, "https://", 8) != 0))
		http_request_fail(request, "a proxy is not an http or https URL");
	else
		request->proxies[which] = http_copy_text(text);
}

static bool
build_proxies(HttpRequest *request, const Jsonb *input)
{
	JsonbValue *proxies = http_get_param(input, "proxies");
	Jsonb	   *object;

	if (proxies == NULL)
		return true;
	object = json_from_value(proxies);
	if (!json_is_object(object))
		http_request_fail(request, "\"proxies\" is not an object");
	else
		json_members(object, add_proxy, request);
	return !request->failed;
}
