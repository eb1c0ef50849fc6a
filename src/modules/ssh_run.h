/*
 * ssh_run.h
 *		One command on one host over SSH, perhaps over a gateway.
 */
#ifndef MISTRAL_SSH_RUN_H
#define MISTRAL_SSH_RUN_H

#include <pthread.h>

#include "base/plain_json.h"
#include "io/mistral_action.h"

#define SSH_ERROR_SIZE 512

typedef struct SshLogin
{
	char	   *username;
	char	   *password;		/* or the key's passphrase; NULL: none */
	char	   *key_path;		/* NULL: none */
	char	   *key;			/* the key itself; NULL: none */
	char	   *known_hosts;	/* path */
	char	   *gateway;		/* the host over which the others are reached, with the same key; NULL: none */
	char	   *gateway_username;	/* NULL: as username */
} SshLogin;

/* What another thread needs to end a command early. */
typedef struct SshHandle
{
	pthread_mutex_t lock;
	bool		cancelled;
	int			fd;				/* -1: none */
} SshHandle;

/*
 * Runs a command; waits, so only from a thread.  True: it ended, with its exit
 * status and what it wrote to its standard output.  False: `error` says why not.
 */
extern bool ssh_run(const MistralHost *host, SshHandle *handle, const char *name, const SshLogin *login, const char *command,
					int64_t deadline, int *status, PlainBuffer *output, char *error);

/* Makes a command that is under way fail. */
extern void ssh_cancel(SshHandle *handle);

extern int64_t ssh_now(void);

#endif							/* MISTRAL_SSH_RUN_H */
