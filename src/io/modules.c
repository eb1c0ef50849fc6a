/*
 * modules.c
 *		The loaded modules, and the actions that they have under way.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/channel.h"
#include "io/connect.h"
#include "io/modules.h"

#define MAX_MODULES 32
#define ERROR_SIZE 512
#define BUCKETS 4096			/* a power of two */

/* Deliveries on their way to the database. */
#define MAX_DELIVERIES 1000		/* on their way at once, ... */
#define MAX_DELIVERED (64 * 1024 * 1024)	/* ... and bytes of them, unless one alone has more */

/* An action under way. */
typedef struct Request
{
	struct Request *next;		/* in its bucket */
	const MistralModule *module;
	int64_t		deadline;		/* 0: none */
	int			timeout;
	char		id[];
} Request;

/* The source of a delivery, so that its module hears of the commit. */
typedef struct Source
{
	struct Source *next;
	const MistralModule *module;
	char		name[];
} Source;

PlainBuffer io_out;

static const MistralModule *modules[MAX_MODULES];
static int	nmodules = 0;
static Request *buckets[BUCKETS];
static int	nrequests = 0;
static int	ntimed = 0;
static Source *sources = NULL;
static int	ndeliveries = 0;
static int64_t delivered_bytes = 0;
static size_t max_result = 16 * 1024 * 1024;

static const MistralModule *load(const char *file, char *error);
static void describe(const MistralModule *module);
static const MistralModule *module_of_action(const char *action);
static Request **find_request(const char *id);
static void drop_request(Request **place);
static void host_finish(const char *id, bool success, const char *json);
static void fail(const char *id, const char *text);
static void send_finish(const char *id, bool success, const char *json, size_t len);
static void host_log(MistralLogLevel level, const char *text);
static bool host_deliver(const char *source, int64_t number, const char *key, const char *json);
static void forget_sources(void);
static bool note_source(const MistralModule *module, PlainJson source);
static void expire(int64_t now);

static MistralHost host = {
	.abi = MISTRAL_ACTION_ABI,
	.directory = "",
	.finish = host_finish,
	.log = host_log,
	.address_allowed = connect_address_allowed,
	.connect_to = connect_to,
	.deliver = host_deliver
};

void
modules_load(PlainJson start)
{
	PlainJson	files = plain_json_get(start, "modules");
	PlainJson	file;
	size_t		cursor = 0;
	size_t		begin = io_out.len;
	char	   *directory = plain_json_get_string(start, "directory");
	bool		first = true;

	if (directory)
		host.directory = directory;
	max_result = plain_json_get_int(start, "max_result", max_result);
	channel_begin(&io_out, "hello");
	channel_add_raw(&io_out, "modules", "[", 1);
	while (plain_json_next(files, &cursor, NULL, &file))
	{
		char	   *path = plain_json_string(file);
		char		error[ERROR_SIZE] = "";
		const MistralModule *module = path ? load(path, error) : NULL;

		plain_append_text(&io_out, first ? "{\"file\":" : ",{\"file\":");
		first = false;
		plain_append(&io_out, file.text, file.len);
		if (module)
			describe(module);
		else
			channel_add_string(&io_out, "error", error);
		plain_append(&io_out, "}", 1);
		free(path);
	}
	plain_append(&io_out, "]", 1);
	channel_end(&io_out, begin);
}

void
modules_submit(PlainJson frame)
{
	char	   *id = plain_json_get_string(frame, "id");
	char	   *action = plain_json_get_string(frame, "action");
	PlainJson	given = plain_json_get(frame, "input");
	char	   *input = strndup(given.text ? given.text : "{}", given.text ? given.len : 2);
	const MistralModule *module = action ? module_of_action(action) : NULL;
	Request    *request = id ? calloc(1, sizeof(Request) + strlen(id) + 1) : NULL;

	if (request == NULL || input == NULL || module == NULL)
	{
		if (id)
			fail(id, module ? "the I/O program has no memory" : "no module that is loaded has this action");
		free(request);
	}
	else
	{
		MistralRequest asked = {
			.id = id,
			.action = action,
			.attempt = plain_json_get_int(frame, "attempt", 1),
			.timeout = plain_json_get_int(frame, "timeout", 0),
			.safe_rerun = plain_json_get_bool(frame, "safe_rerun", false),
			.input = input,
			.owner = (uint32_t) plain_json_get_int(frame, "owner", 0)
		};
		Request   **place = find_request(id);

		if (*place)
			drop_request(place);
		request->module = module;
		request->timeout = asked.timeout;
		if (asked.timeout > 0)
		{
			request->deadline = io_now() + (int64_t) asked.timeout * 1000;
			ntimed++;
		}
		strcpy(request->id, id);
		place = find_request(id);
		*place = request;
		nrequests++;
		module->submit(&asked);
	}
	free(id);
	free(action);
	if (input)
		explicit_bzero(input, strlen(input));
	free(input);
}

void
modules_cancel(PlainJson frame)
{
	char	   *id = plain_json_get_string(frame, "id");
	Request   **place = id ? find_request(id) : NULL;

	if (place && *place)
	{
		const MistralModule *module = (*place)->module;

		drop_request(place);
		if (module->cancel)
			module->cancel(id);
		fail(id, "cancelled: nobody waits for it any more");
	}
	free(id);
}

void
modules_configure(PlainJson frame)
{
	PlainJson	list = plain_json_get(frame, "sources");

	forget_sources();
	for (int i = 0; i < nmodules; i++)
	{
		PlainBuffer mine = {0};
		PlainJson	source;
		size_t		cursor = 0;

		if (modules[i]->configure == NULL)
			continue;
		plain_append_text(&mine, "[");
		while (plain_json_next(list, &cursor, NULL, &source))
		{
			if (!plain_json_is(plain_json_get(source, "module"), modules[i]->name) || !note_source(modules[i], source))
				continue;
			plain_append_text(&mine, mine.len > 1 ? "," : "");
			plain_append(&mine, source.text, source.len);
		}
		plain_append_text(&mine, "]");
		if (!mine.failed)
			modules[i]->configure(mine.data);
		plain_reset(&mine);
	}
}

void
modules_delivered(PlainJson frame)
{
	char	   *name = plain_json_get_string(frame, "source");

	if (ndeliveries > 0)
		ndeliveries--;
	delivered_bytes -= plain_json_get_int(frame, "size", 0);
	if (ndeliveries == 0 || delivered_bytes < 0)
		delivered_bytes = 0;
	for (Source *source = sources; source && name; source = source->next)
	{
		if (strcmp(source->name, name) == 0 && source->module->delivered)
		{
			source->module->delivered(name, plain_json_get_int(frame, "number", 0), plain_json_get_bool(frame, "committed", false));
			break;
		}
	}
	free(name);
}

int
modules_pollfds(struct pollfd *fds, int max)
{
	int			n = 0;

	for (int i = 0; i < nmodules; i++)
		if (modules[i]->pollfds)
			n += modules[i]->pollfds(fds + n, max - n);
	return n;
}

int64_t
modules_timeout(int64_t now)
{
	int64_t		timeout = ntimed > 0 ? 100 : -1;

	for (int i = 0; i < nmodules; i++)
	{
		int64_t		t = modules[i]->next_timeout ? modules[i]->next_timeout(now) : -1;

		if (t >= 0 && (timeout < 0 || t < timeout))
			timeout = t;
	}
	return timeout;
}

void
modules_drive(int64_t now)
{
	for (int i = 0; i < nmodules; i++)
		if (modules[i]->drive)
			modules[i]->drive(now);
	if (ntimed > 0)
		expire(now);
}

void
modules_stop(void)
{
	for (int i = 0; i < nmodules; i++)
		if (modules[i]->stop)
			modules[i]->stop();
}

int64_t
io_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* NULL, and why. */
static const MistralModule *
load(const char *file, char *error)
{
	void	   *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	const MistralModule *(*get) (void);
	const MistralModule *module;

	if (library == NULL)
	{
		snprintf(error, ERROR_SIZE, "%s", dlerror());
		return NULL;
	}
	*(void **) &get = dlsym(library, "mistral_module");
	module = get ? get() : NULL;
	if (get == NULL)
		snprintf(error, ERROR_SIZE, "it exports no mistral_module()");
	else if (module == NULL)
		snprintf(error, ERROR_SIZE, "it says that it cannot work here");
	else if (module->abi != MISTRAL_ACTION_ABI)
		snprintf(error, ERROR_SIZE, "it was compiled for another mistral_action.h (version %u, this one has %u)",
				 module->abi, MISTRAL_ACTION_ABI);
	else if (module->name == NULL || module->actions == NULL || module->submit == NULL)
		snprintf(error, ERROR_SIZE, "it lacks a name, its actions, or submit()");
	else if (nmodules == MAX_MODULES)
		snprintf(error, ERROR_SIZE, "there are %d modules already", MAX_MODULES);
	else
	{
		/* Before init, which may want to log. */
		if (module->init && !module->init(&host, error, ERROR_SIZE))
			return NULL;
		modules[nmodules++] = module;
		return module;
	}
	dlclose(library);
	return NULL;
}

static void
describe(const MistralModule *module)
{
	channel_add_string(&io_out, "name", module->name);
	channel_add_raw(&io_out, "actions", "[", 1);
	for (const MistralAction *action = module->actions; action->name; action++)
	{
		plain_append_text(&io_out, action == module->actions ? "{\"name\":" : ",{\"name\":");
		plain_append_string(&io_out, action->name, strlen(action->name));
		channel_add_string(&io_out, "params", action->params ? action->params : "");
		channel_add_string(&io_out, "description", action->description ? action->description : "");
		if (action->signal == MISTRAL_SIGNAL_ANSWER)
			channel_add_raw(&io_out, "answered", "true", 4);
		plain_append(&io_out, "}", 1);
	}
	plain_append(&io_out, "]", 1);
}

static const MistralModule *
module_of_action(const char *action)
{
	for (int i = 0; i < nmodules; i++)
		for (const MistralAction *a = modules[i]->actions; a->name; a++)
			if (strcmp(a->name, action) == 0)
				return modules[i];
	return NULL;
}

/* Where the request is, or would be put. */
static Request **
find_request(const char *id)
{
	uint32_t	hash = 2166136261u;
	Request   **place;

	for (const char *p = id; *p; p++)
		hash = (hash ^ (unsigned char) *p) * 16777619u;
	for (place = &buckets[hash & (BUCKETS - 1)]; *place && strcmp((*place)->id, id) != 0; place = &(*place)->next)
		;
	return place;
}

static void
drop_request(Request **place)
{
	Request    *request = *place;

	*place = request->next;
	nrequests--;
	if (request->deadline != 0)
		ntimed--;
	free(request);
}

static void
host_finish(const char *id, bool success, const char *json)
{
	Request   **place = find_request(id);
	PlainJson	value;

	if (*place == NULL)
		return;
	drop_request(place);
	if (!plain_json_check(json, strlen(json), &value))
		fail(id, "the module gave a result that is no JSON");
	else if (value.len > max_result)
		fail(id, "the result is larger than mistral.max_result_size");
	else
		send_finish(id, success, value.text, value.len);
}

static void
fail(const char *id, const char *text)
{
	PlainBuffer json = {0};

	plain_append_string(&json, text, strlen(text));
	if (!json.failed)
		send_finish(id, false, json.data, json.len);
	plain_reset(&json);
}

static void
send_finish(const char *id, bool success, const char *json, size_t len)
{
	size_t		begin = io_out.len;

	channel_begin(&io_out, "finish");
	channel_add_string(&io_out, "id", id);
	channel_add_raw(&io_out, "success", success ? "true" : "false", success ? 4 : 5);
	channel_add_raw(&io_out, "result", json, len);
	channel_end(&io_out, begin);
}

static void
host_log(MistralLogLevel level, const char *text)
{
	size_t		begin = io_out.len;

	channel_begin(&io_out, "log");
	channel_add_string(&io_out, "level", level == MISTRAL_LOG_WARNING ? "warning" : level == MISTRAL_LOG_INFO ? "info" : "debug");
	channel_add_string(&io_out, "text", text);
	channel_end(&io_out, begin);
}

static bool
host_deliver(const char *source, int64_t number, const char *key, const char *json)
{
	size_t		begin = io_out.len;
	PlainJson	value;
	PlainBuffer text = {0};

	if (ndeliveries >= MAX_DELIVERIES || delivered_bytes >= MAX_DELIVERED)
		return false;
	/* What is no JSON is delivered as a string. */
	if (!plain_json_check(json, strlen(json), &value))
	{
		plain_append_string(&text, json, strlen(json));
		value.text = text.data;
		value.len = text.len;
	}
	channel_begin(&io_out, "deliver");
	channel_add_string(&io_out, "source", source);
	plain_append_text(&io_out, ",\"number\":");
	plain_append_int(&io_out, number);
	if (key)
		channel_add_string(&io_out, "key", key);
	channel_add_raw(&io_out, "payload", value.text, value.len);
	channel_end(&io_out, begin);
	delivered_bytes += value.len;
	plain_reset(&text);
	ndeliveries++;
	return true;
}

static void
forget_sources(void)
{
	while (sources)
	{
		Source	   *next = sources->next;

		free(sources);
		sources = next;
	}
}

static bool
note_source(const MistralModule *module, PlainJson source)
{
	char	   *name = plain_json_get_string(source, "name");
	Source	   *noted = name ? malloc(sizeof(Source) + strlen(name) + 1) : NULL;

	if (noted)
	{
		strcpy(noted->name, name);
		noted->module = module;
		noted->next = sources;
		sources = noted;
	}
	free(name);
	return noted != NULL;
}

/* Ends the actions whose time is over; looked at ten times a second. */
static void
expire(int64_t now)
{
	static int64_t looked = 0;

	if (now - looked < 100)
		return;
	looked = now;
	for (int i = 0; i < BUCKETS && ntimed > 0; i++)
	{
		Request   **place = &buckets[i];

		while (*place)
		{
			Request    *request = *place;
			const MistralModule *module;
			char	   *id;
			char		text[64];

			if (request->deadline == 0 || request->deadline > now || (id = strdup(request->id)) == NULL)
			{
				place = &request->next;
				continue;
			}
			snprintf(text, sizeof(text), "it took longer than its timeout of %d s", request->timeout);
			module = request->module;
			drop_request(place);
			if (module->cancel)
				module->cancel(id);
			fail(id, text);
			free(id);
		}
	}
}
