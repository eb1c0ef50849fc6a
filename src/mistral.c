/*
 * mistral.c
 *		Module entry: settings, hooks, the launcher's registration.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "guc.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	guc_init();
}
