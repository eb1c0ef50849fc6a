/*
 * io_catalog.h
 *		Which actions the loaded modules have: from the program's hello to the
 *		table mistral.module_action.
 */
#ifndef MISTRAL_IO_CATALOG_H
#define MISTRAL_IO_CATALOG_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "base/plain_json.h"

/* The paths of the shared objects that a value of mistral.io_modules names, as a List of char *. */
extern List *io_catalog_paths(const char *setting);

/* Takes over what a hello frame says, and logs it.  Names that nobody may have are left out. */
extern void io_catalog_take(PlainJson hello);
extern void io_catalog_clear(void);

/* Whether success of the action only says that it is on its way, and somebody else completes it. */
extern bool io_catalog_answered(const char *action);

/* The names of the actions, as a text[]. */
extern Datum io_catalog_names(void);

/* Whether the table does not have it yet; in a transaction, between db_enter and db_leave: writes it; and how that ended. */
extern bool io_catalog_is_new(void);
extern void io_catalog_store(void);
extern void io_catalog_stored(bool committed);

/* The text with a question mark for each byte that is not printable ASCII, in place. */
extern char *io_catalog_ascii(char *text);

#endif							/* MISTRAL_IO_CATALOG_H */
