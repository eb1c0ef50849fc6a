/*
 * awake.c
 *		Wakes the address sanitizer up before anything else starts.
 *
 * It initializes itself at the first malloc, and asks libc for a translation
 * on the way.  One of the server's libraries (libgpg-error, below libsystemd)
 * mallocs in its constructor while it holds libc's lock on translations.
 * Linked to be initialized first, and preloaded after the sanitizer.
 */
#include <stdlib.h>

static void __attribute__((constructor))
wake_up(void)
{
	void	   *volatile p = malloc(1);

	free(p);
}
