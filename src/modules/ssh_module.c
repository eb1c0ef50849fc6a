/*
 * ssh_module.c
 *		The module mistral_ssh: std.ssh runs a command on hosts, std.ssh_proxied
 *		on hosts behind a gateway.
 *
 * Each action has a thread, at most MAX_THREADS at once; the others wait in their
 * order.  Keys and known_hosts are in the directory that the server's settings
 * name.
 */
#define _GNU_SOURCE

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <libssh2.h>

#include "base/plain_json.h"
#include "io/mistral_action.h"
#include "modules/file_name.h"
#include "modules/ssh_run.h"

#define PROXIED "std.ssh_proxied"
#define MAX_THREADS 64
#define MAX_OF_OWNER 32			/* of them, for the actions of one role */
#define MAX_HOSTS 1000
#define STACK_SIZE (512 * 1024)
#define DEFAULT_TIMEOUT_S 3600
#define GRACE_MS 1000

typedef struct Job
{
	struct Job *next;
	char	   *id;
	uint32_t	owner;
	char	   *command;
	char	  **hosts;
	int			nhosts;
	bool		is_list;
	SshLogin	login;
	SshHandle	handle;
	int64_t		deadline;
	bool		done;			/* under the handle's lock: the thread has let go of it */
	bool		success;
	PlainBuffer result;			/* JSON */
} Job;

static const MistralHost *host;
static Job *waiting = NULL;
static Job *running = NULL;
static int	nrunning = 0;
static int	ended_fd = -1;

static bool init(const MistralHost *given, char *error, size_t size);
static void submit(const MistralRequest *request);
static void cancel(const char *id);
static int	pollfds(struct pollfd *fds, int max);
static void drive(int64_t now);
static int64_t next_timeout(int64_t now);
static const char *build(Job *job, PlainJson input, bool proxied);
static const char *take_gateway(Job *job, PlainJson input);
static const char *take_hosts(Job *job, PlainJson value);
static void start_waiting(void);
static Job *next_waiting(void);
static void *run_job(void *arg);
static void unlink_job(Job **list, Job *job);
static void set_error(Job *job, const char *text);
static void finish(Job *job);

static const MistralAction actions[] = {
	{"std.ssh", "cmd host username password=null private_key_filename=null private_key=null",
	"Runs a command on a host, or on each of several, over SSH, and gives its output.", MISTRAL_SIGNAL_RESULT},
	{PROXIED, "cmd host username private_key_filename gateway_host gateway_username=null password=null proxy_command=null private_key=null",
	"Runs a command on a host, or on each of several, that is reached over a gateway, over SSH, and gives its output.", MISTRAL_SIGNAL_RESULT},
	{NULL}
};

static const MistralModule module = {
	.abi = MISTRAL_ACTION_ABI,
	.name = "mistral_ssh",
	.actions = actions,
	.init = init,
	.submit = submit,
	.cancel = cancel,
	.pollfds = pollfds,
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
	host = given;
	ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ended_fd >= 0 && libssh2_init(0) == 0)
		return true;
	snprintf(error, size, "it could not make a descriptor, or initialize libssh2");
	return false;
}

static void
submit(const MistralRequest *request)
{
	Job		   *job = calloc(1, sizeof(Job));
	Job		  **end = &waiting;
	PlainJson	input;
	const char *error;

	if (job == NULL || (job->id = strdup(request->id)) == NULL || !plain_json_check(request->input, strlen(request->input), &input))
	{
		if (job)
			free(job->id);
		free(job);
		host->finish(request->id, false, "\"out of memory\"");
		return;
	}
	job->owner = request->owner;
	job->handle.fd = -1;
	pthread_mutex_init(&job->handle.lock, NULL);
	job->deadline = ssh_now() + (request->timeout > 0 ? request->timeout : DEFAULT_TIMEOUT_S) * INT64_C(1000);
	error = build(job, input, strcmp(request->action, PROXIED) == 0);
	if (error)
	{
		set_error(job, error);
		finish(job);
		return;
	}
	while (*end)
		end = &(*end)->next;
	*end = job;
	start_waiting();
}

static void
cancel(const char *id)
{
	for (Job *job = waiting; job; job = job->next)
	{
		if (strcmp(job->id, id) == 0)
		{
			unlink_job(&waiting, job);
			set_error(job, "cancelled");
			finish(job);
			return;
		}
	}
	for (Job *job = running; job; job = job->next)
	{
		if (strcmp(job->id, id) == 0)
			ssh_cancel(&job->handle);
	}
}

static int
pollfds(struct pollfd *fds, int max)
{
	if (max < 1)
		return 0;
	fds[0].fd = ended_fd;
	fds[0].events = POLLIN;
	return 1;
}

static void
drive(int64_t now)
{
	Job		  **place = &running;
	eventfd_t	count;

	(void) eventfd_read(ended_fd, &count);
	while (*place)
	{
		Job		   *job = *place;
		bool		done;

		pthread_mutex_lock(&job->handle.lock);
		done = job->done;
		pthread_mutex_unlock(&job->handle.lock);
		if (!done)
		{
			/* Its thread looks at the time whenever it waits; a host that never lets it wait is not waited for. */
			if (now > job->deadline + GRACE_MS)
				ssh_cancel(&job->handle);
			place = &job->next;
			continue;
		}
		*place = job->next;
		nrunning--;
		finish(job);
	}
	start_waiting();
}

static int64_t
next_timeout(int64_t now)
{
	int64_t		next = -1;

	for (Job *job = running; job; job = job->next)
	{
		int64_t		left = job->deadline + GRACE_MS - now;

		/* One that was cancelled is about to end. */
		if (left > 0 && (next < 0 || left < next))
			next = left;
	}
	return next;
}

/* Fills in what is to be done; what is wrong with the input, or NULL. */
static const char *
build(Job *job, PlainJson input, bool proxied)
{
	char	   *key_name = plain_json_get_string(input, "private_key_filename");
	const char *error = NULL;

	job->command = plain_json_get_string(input, "cmd");
	job->login.username = plain_json_get_string(input, "username");
	job->login.password = plain_json_get_string(input, "password");
	job->login.key = plain_json_get_string(input, "private_key");
	if (host->directory[0] == '\0')
		error = "mistral.io_directory is not set: it holds ssh/known_hosts, and ssh/keys";
	else if (job->command == NULL || job->login.username == NULL)
		error = "cmd and username must be texts";
	else if (key_name && !file_name_is_safe(key_name))
		error = "private_key_filename must be the name of a file, of letters, digits and \"_.-\"";
	else if (asprintf(&job->login.known_hosts, "%s/ssh/known_hosts", host->directory) < 0 ||
			 (key_name && asprintf(&job->login.key_path, "%s/ssh/keys/%s", host->directory, key_name) < 0))
		error = "out of memory";
	else
		error = take_hosts(job, plain_json_get(input, "host"));
	if (error == NULL && proxied)
		error = take_gateway(job, input);
	free(key_name);
	return error;
}

static const char *
take_gateway(Job *job, PlainJson input)
{
	PlainJson	user = plain_json_get(input, "gateway_username");
	PlainJson	command = plain_json_get(input, "proxy_command");

	/* The original runs it on the server. */
	if (command.text && plain_json_kind(command) != 'n')
		return "proxy_command is not supported: the server runs no command to reach the gateway";
	if (job->login.key == NULL && job->login.key_path == NULL)
		return "private_key_filename or private_key is needed: the gateway is not given the password";
	job->login.gateway = plain_json_get_string(input, "gateway_host");
	job->login.gateway_username = plain_json_get_string(input, "gateway_username");
	if (job->login.gateway == NULL)
		return "gateway_host must be a text";
	if (user.text && plain_json_kind(user) != 'n' && job->login.gateway_username == NULL)
		return "gateway_username must be a text";
	return NULL;
}

static const char *
take_hosts(Job *job, PlainJson value)
{
	PlainJson	element;
	size_t		cursor = 0;

	job->hosts = calloc(MAX_HOSTS, sizeof(char *));
	if (job->hosts == NULL)
		return "out of memory";
	job->is_list = plain_json_kind(value) == '[';
	if (!job->is_list)
		job->hosts[job->nhosts++] = plain_json_string(value);
	while (job->is_list && plain_json_next(value, &cursor, NULL, &element))
	{
		if (job->nhosts == MAX_HOSTS)
			return "there are too many hosts";
		job->hosts[job->nhosts++] = plain_json_string(element);
	}
	for (int i = 0; i < job->nhosts; i++)
	{
		if (job->hosts[i] == NULL)
			return "host must be a text, or a list of texts";
	}
	return job->nhosts > 0 ? NULL : "there is no host";
}

static void
start_waiting(void)
{
	Job		   *job;

	while (nrunning < MAX_THREADS && (job = next_waiting()) != NULL)
	{
		pthread_attr_t attributes;
		int			rc;

		job->next = running;
		running = job;
		nrunning++;
		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, STACK_SIZE);
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		rc = pthread_create(&(pthread_t) {0}, &attributes, run_job, job);
		pthread_attr_destroy(&attributes);
		if (rc != 0)
		{
			running = job->next;
			nrunning--;
			set_error(job, "could not start a thread");
			finish(job);
		}
	}
}

/* Out of those that wait, the first whose owner has not as many threads as one may have; NULL: there is none. */
static Job *
next_waiting(void)
{
	for (Job **place = &waiting; *place; place = &(*place)->next)
	{
		Job		   *job = *place;
		int			n = 0;

		for (Job *other = running; other; other = other->next)
			n += other->owner == job->owner;
		if (n < MAX_OF_OWNER)
		{
			*place = job->next;
			return job;
		}
		/* Those behind it are its owner's as well, most often. */
		while ((*place)->next && (*place)->next->owner == job->owner)
			place = &(*place)->next;
	}
	return NULL;
}

/* One host after the other; the first that fails ends it, as in the original. */
static void *
run_job(void *arg)
{
	Job		   *job = arg;
	PlainBuffer result = {0};
	char		error[SSH_ERROR_SIZE + 300];
	bool		success = true;

	plain_append_text(&result, job->nhosts > 1 ? "[" : "");
	for (int i = 0; i < job->nhosts && success; i++)
	{
		PlainBuffer output = {0};
		char		why[SSH_ERROR_SIZE];
		int			status = 0;

		success = ssh_run(host, &job->handle, job->hosts[i], &job->login, job->command, job->deadline, &status, &output, why);
		if (success && status != 0)
			snprintf(why, sizeof(why), "exit status %d", status);
		success = success && status == 0;
		if (!success)
			snprintf(error, sizeof(error), "Failed to execute ssh cmd on %.200s: %s", job->hosts[i], why);
		plain_append_text(&result, i > 0 ? "," : "");
		plain_append_string(&result, output.data ? output.data : "", output.len);
		plain_reset(&output);
	}
	plain_append_text(&result, job->nhosts > 1 ? "]" : "");
	if (success && !result.failed)
	{
		job->success = true;
		job->result = result;
	}
	else
	{
		plain_reset(&result);
		set_error(job, success ? "out of memory" : error);
	}
	pthread_mutex_lock(&job->handle.lock);
	job->done = true;
	pthread_mutex_unlock(&job->handle.lock);
	(void) eventfd_write(ended_fd, 1);
	return NULL;
}

static void
unlink_job(Job **list, Job *job)
{
	while (*list != job)
		list = &(*list)->next;
	*list = job->next;
}

static void
set_error(Job *job, const char *text)
{
	job->success = false;
	plain_append_string(&job->result, text, strlen(text));
}

/* Tells the host, and frees the job. */
static void
finish(Job *job)
{
	host->finish(job->id, job->success, job->result.failed || job->result.data == NULL ? "\"out of memory\"" : job->result.data);
	for (int i = 0; i < job->nhosts; i++)
		free(job->hosts[i]);
	free(job->hosts);
	free(job->id);
	free(job->command);
	free(job->login.username);
	free(job->login.password);
	free(job->login.key);
	free(job->login.key_path);
	free(job->login.known_hosts);
	free(job->login.gateway);
	free(job->login.gateway_username);
	plain_reset(&job->result);
	free(job);
}
