/*
 * file_name.h
 *		Names that actions give to files of the administrator's.
 */
#ifndef MISTRAL_FILE_NAME_H
#define MISTRAL_FILE_NAME_H

#include <stdbool.h>

/* Whether the name is that of a file in a directory, and of none elsewhere. */
extern bool file_name_is_safe(const char *name);

#endif							/* MISTRAL_FILE_NAME_H */
