/*
 * plain_select.c
 *		select() as the kernel has it, put before libfaketime's.
 *
 * The postmaster starts background workers in a signal handler while it waits in
 * select(); libfaketime leaves time alone during that call, and a process that is
 * forked then would keep the machine's time for ever.
 */
#define _GNU_SOURCE

#include <signal.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds, struct timeval *timeout)
{
	struct timespec limit;

	if (timeout != NULL)
	{
		limit.tv_sec = timeout->tv_sec;
		limit.tv_nsec = timeout->tv_usec * 1000;
	}
	return (int) syscall(SYS_pselect6, nfds, readfds, writefds, exceptfds, timeout != NULL ? &limit : NULL, NULL);
}
