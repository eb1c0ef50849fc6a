/*
 * confine.c
 *		How a program that a worker starts begins.
 */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/channel.h"
#include "io/confine.h"

static void limit(int resource, rlim_t most);

void
confine(int argc, char **argv, long files)
{
	long		memory_kb;

	if (argc != 3 || fcntl(CHANNEL_FD, F_GETFL) < 0)
	{
		fprintf(stderr, "%s is started by PostgreSQL, with the extension mistral\n", argc > 0 ? argv[0] : "this program");
		exit(2);
	}
	memory_kb = atol(argv[2]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that. */
	if (getppid() != atoi(argv[1]))
		_exit(1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_close_range, CHANNEL_FD + 1, ~0U, 0) != 0)
	{
		for (int fd = CHANNEL_FD + 1; fd < sysconf(_SC_OPEN_MAX); fd++)
			close(fd);
	}
	if (files > 0)
		limit(RLIMIT_NOFILE, files);
	limit(RLIMIT_CORE, 0);
	if (memory_kb > 0)
		limit(RLIMIT_AS, (rlim_t) memory_kb * 1024);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Threads must not take 64 MB of address space each. */
	mallopt(M_ARENA_MAX, 2);
	if (chdir("/") != 0)
		_exit(1);
}

static void
limit(int resource, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(resource, &r) != 0)
		return;
	if (r.rlim_max == RLIM_INFINITY || r.rlim_max > most)
		r.rlim_max = most;
	r.rlim_cur = r.rlim_max;
	setrlimit(resource, &r);
}
