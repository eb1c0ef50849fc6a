/*
 * mistral_action.h
 *		The door for actions of others: what a module gives and gets.
 *
 * A module is a shared object that exports one function, mistral_module().  The
 * program mistral_io, which has nothing of PostgreSQL in it, loads the modules
 * that the setting mistral.io_modules names.  If a module takes the program with
 * it, the server goes on, the program is started again, and what was under way
 * is settled: repeated where that is safe, else ended as "outcome unknown".
 *
 * Every hook is called by one and the same thread and must return at once: who
 * waits for something gives its descriptor (pollfds) or a time (next_timeout)
 * and is called again (drive).  A module may have threads of its own; they may
 * call `address_allowed` and `connect_to`, and nothing else of the host's.
 *
 * Texts are UTF-8, JSON is text, and whatever is passed to a function belongs
 * to the caller: copy what is needed longer.  docs/modules.md has an example.
 */
#ifndef MISTRAL_ACTION_H
#define MISTRAL_ACTION_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C"
{
#endif

/* Changes when a module has to be compiled again. */
#define MISTRAL_ACTION_ABI 2

typedef enum MistralLogLevel
{
	MISTRAL_LOG_DEBUG,
	MISTRAL_LOG_INFO,
	MISTRAL_LOG_WARNING
} MistralLogLevel;

/* How an action signals that it has ended. */
typedef enum MistralSignal
{
	MISTRAL_SIGNAL_RESULT,		/* what the module says in `finish` is its result */
	MISTRAL_SIGNAL_ANSWER		/* success only says that it is on its way: somebody calls complete_action */
} MistralSignal;

/* An action to be performed. */
typedef struct MistralRequest
{
	const char *id;				/* of the action execution, the same for every attempt: the idempotency key */
	const char *action;
	int			attempt;		/* 1, and more when it is repeated after a crash */
	int			timeout;		/* seconds, 0: none; the host keeps it and calls `cancel` */
	bool		safe_rerun;		/* its author says that it may be done twice */
	const char *input;			/* an object that has the required parameters and no unknown ones */
	uint32_t	owner;			/* a number of the role whose action it is, so that one role cannot take all there is */
} MistralRequest;

/* What the program does for modules. */
typedef struct MistralHost
{
	uint32_t	abi;

	/* mistral.io_directory, where the administrator keeps what modules need: keys, lists; "" where there is none. */
	const char *directory;

	/*
	 * An action has ended: `json` is its result, or, without success, its
	 * error.  Once for each request; a second time, or after `cancel`, it is
	 * ignored.
	 */
	void		(*finish) (const char *id, bool success, const char *json);

	/* A line for the server's log. */
	void		(*log) (MistralLogLevel level, const char *text);

	/* Whether mistral.http_allow and mistral.http_deny let anybody reach the address.  From any thread. */
	bool		(*address_allowed) (const struct sockaddr *address);

	/*
	 * Connects to a host by name or address and gives a non-blocking socket,
	 * or -1 and the reason in `error`.  Addresses that are not allowed are
	 * not tried; errno is EACCES when that is the reason.  Looks up names and waits: only from a thread of the module's.
	 */
	int			(*connect_to) (const char *host, int port, int timeout_ms, char *error, size_t size);

	/*
	 * Something that a source (see `configure`) has got from outside, under a
	 * number of the module's choice.  `key` names it so that a repetition is
	 * known, NULL: nothing does.  False: too much is on its way already; try
	 * again after a `delivered`.
	 */
	bool		(*deliver) (const char *source, int64_t number, const char *key, const char *json);
} MistralHost;

typedef struct MistralAction
{
	const char *name;			/* "module.action"; not std.* */

	/*
	 * Names separated by spaces; one with "=default" (JSON without spaces
	 * outside of quotes) is optional.  The default is for whoever reads it:
	 * an input lacks what was not given.
	 */
	const char *params;
	const char *description;
	MistralSignal signal;
} MistralAction;

/* What a module is.  Hooks that it does not need are NULL; `submit` is needed. */
typedef struct MistralModule
{
	uint32_t	abi;			/* MISTRAL_ACTION_ABI */
	const char *name;
	const MistralAction *actions;	/* ends with a name that is NULL */

	/* Once, before anything else.  False: the module cannot be used, and why. */
	bool		(*init) (const MistralHost *host, char *error, size_t size);

	/* Begins an action, or ends it at once. */
	void		(*submit) (const MistralRequest *request);

	/* Nobody waits for this one any more. */
	void		(*cancel) (const char *id);

	/* Writes at most `max` descriptors with the events that are waited for; returns how many. */
	int			(*pollfds) (struct pollfd *fds, int max);

	/* Does what can be done without waiting; `now` is a monotonic clock in milliseconds. */
	void		(*drive) (int64_t now);

	/* Milliseconds until `drive` is to be called at the latest; -1: when a descriptor is ready. */
	int64_t		(*next_timeout) (int64_t now);

	/* The program ends. */
	void		(*stop) (void);

	/*
	 * The sources that this module is to read, all of them, each time that one
	 * changes: [{"name": ..., "config": {...}}, ...].  mistral.add_source() has
	 * checked nothing of what is in `config`.
	 */
	void		(*configure) (const char *json);

	/* What was delivered is committed, and may be acknowledged; or can never be taken. */
	void		(*delivered) (const char *source, int64_t number, bool committed);
} MistralModule;

/* What the shared object exports; NULL means that it cannot work here. */
__attribute__((visibility("default"))) extern const MistralModule *mistral_module(void);

#ifdef __cplusplus
}
#endif

#endif							/* MISTRAL_ACTION_H */
