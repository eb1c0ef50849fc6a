/*
 * file_name.c
 *		Names that actions give to files of the administrator's.
 */
#include <string.h>

#include "modules/file_name.h"

bool
file_name_is_safe(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strlen(name) < 200 &&
		name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0';
}
