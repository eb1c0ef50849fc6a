/*
 * wiped.c
 *		What a buffer with a secret gives back to malloc holds nothing of it: prints "wiped", or what is left.
 *
 * Built with --wrap=free and --wrap=realloc; the argument "plain" leaves the
 * buffer an ordinary one, to show that the test finds what it looks for.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain_json.h"

#define SECRET "canary-of-a-secret"

static bool left = false;

void		__real_free(void *data);
void	   *__real_realloc(void *data, size_t size);
void		__wrap_free(void *data);
void	   *__wrap_realloc(void *data, size_t size);

void
__wrap_free(void *data)
{
	if (data && memmem(data, malloc_usable_size(data), SECRET, strlen(SECRET)))
		left = true;
	__real_free(data);
}

void *
__wrap_realloc(void *data, size_t size)
{
	if (data && memmem(data, malloc_usable_size(data), SECRET, strlen(SECRET)))
		left = true;
	return __real_realloc(data, size);
}

int
main(int argc, char **argv)
{
	PlainBuffer buffer = {.secret = argc < 2};

	for (int i = 0; i < 1000; i++)
		plain_append_text(&buffer, SECRET);
	if (buffer.failed || buffer.len != 1000 * strlen(SECRET) || memcmp(buffer.data + buffer.len - strlen(SECRET), SECRET, strlen(SECRET)) != 0)
		puts("the buffer is wrong");
	plain_reset(&buffer);
	puts(left ? "left" : "wiped");
	return 0;
}
