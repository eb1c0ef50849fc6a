/*
 * example.c
 *		A module with actions that need nothing from outside: what the
 *		tests load, and a beginning for modules of one's own (docs/modules.md).
 *
 *		cc -shared -fPIC -I "$(pg_config --includedir-server)/extension/mistral" -o example.so example.c
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mistral_action.h>

/* An answer that waits for its time. */
typedef struct Waiting
{
	struct Waiting *next;
	int64_t		due;			/* 0: counts from the next drive on */
	double		seconds;
	char	   *id;
	char	   *input;
} Waiting;

static const MistralHost *host;
static Waiting *waiting = NULL;

static bool init(const MistralHost *given, char *error, size_t size);
static void submit(const MistralRequest *request);
static void cancel(const char *id);
static void drive(int64_t now);
static int64_t next_timeout(int64_t now);
static void forget(Waiting **place);
static bool note(const MistralRequest *request);

static const MistralAction actions[] = {
	{"example.echo_slow", "output seconds=1", "Gives back its input, after some seconds.", MISTRAL_SIGNAL_RESULT},
	{"example.note", "seconds=0", "Adds its id and attempt as a line to the file notes in mistral.io_directory; gives back its input, after some seconds.",
	MISTRAL_SIGNAL_RESULT},
	{"example.noop", "", "Gives null at once.", MISTRAL_SIGNAL_RESULT},
	{"example.ask", "", "Waits until somebody completes it.", MISTRAL_SIGNAL_ANSWER},
	{"example.crash", "", "Takes the program with it.", MISTRAL_SIGNAL_RESULT},
	{"example.hang", "", "Holds up the program for ever.", MISTRAL_SIGNAL_RESULT},
	{NULL}
};

static const MistralModule module = {
	.abi = MISTRAL_ACTION_ABI,
	.name = "example",
	.actions = actions,
	.init = init,
	.submit = submit,
	.cancel = cancel,
	.drive = drive,
	.next_timeout = next_timeout
};

const MistralModule *
mistral_module(void)
{
	return &module;
}

static bool
init(const MistralHost *given, char *error, size_t size)
{
	if (given->abi != MISTRAL_ACTION_ABI)
	{
		snprintf(error, size, "the program has version %u of mistral_action.h", given->abi);
		return false;
	}
	host = given;
	return true;
}

static void
submit(const MistralRequest *request)
{
	const char *seconds = strstr(request->input, "\"seconds\":");
	Waiting    *w;

	if (strcmp(request->action, "example.crash") == 0)
		raise(SIGSEGV);
	while (strcmp(request->action, "example.hang") == 0)
		pause();
	if (strcmp(request->action, "example.noop") == 0 || strcmp(request->action, "example.ask") == 0)
	{
		host->finish(request->id, true, "null");
		return;
	}
	if (strcmp(request->action, "example.note") == 0 && !note(request))
	{
		host->finish(request->id, false, "\"could not write to notes\"");
		return;
	}
	w = calloc(1, sizeof(Waiting));
	if (w == NULL || (w->id = strdup(request->id)) == NULL || (w->input = strdup(request->input)) == NULL)
	{
		host->finish(request->id, false, "\"out of memory\"");
		if (w)
			free(w->id);
		free(w);
		return;
	}
	w->seconds = seconds ? atof(seconds + strlen("\"seconds\":")) : 1;
	w->next = waiting;
	waiting = w;
}

static void
cancel(const char *id)
{
	for (Waiting **place = &waiting; *place; place = &(*place)->next)
	{
		if (strcmp((*place)->id, id) == 0)
		{
			host->log(MISTRAL_LOG_INFO, "example.echo_slow was cancelled");
			forget(place);
			return;
		}
	}
}

static void
drive(int64_t now)
{
	Waiting   **place = &waiting;

	while (*place)
	{
		Waiting    *w = *place;

		if (w->due == 0)
			w->due = now + (int64_t) (w->seconds * 1000);
		if (w->due > now)
		{
			place = &w->next;
			continue;
		}
		host->finish(w->id, true, w->input);
		forget(place);
	}
}

static int64_t
next_timeout(int64_t now)
{
	int64_t		soonest = -1;

	for (Waiting *w = waiting; w; w = w->next)
	{
		int64_t		left = w->due > now ? w->due - now : 0;

		if (soonest < 0 || left < soonest)
			soonest = left;
	}
	return soonest;
}

static void
forget(Waiting **place)
{
	Waiting    *w = *place;

	*place = w->next;
	free(w->id);
	free(w->input);
	free(w);
}

/* By one write at the end of the file, so that lines stay whole and are there though the program dies the next moment. */
static bool
note(const MistralRequest *request)
{
	char		path[1024];
	char		line[128];
	int			length = snprintf(line, sizeof(line), "%s %d\n", request->id, request->attempt);
	int			file;
	bool		written;

	snprintf(path, sizeof(path), "%s/notes", host->directory);
	file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (file < 0)
		return false;
	written = write(file, line, length) == length;
	close(file);
	return written;
}
