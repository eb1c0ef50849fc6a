/*
 * mistral.c
 *		Module entry: settings, hooks, the launcher's registration.
 *
 * Loaded by a session alone (without shared_preload_libraries) the library
 * gives functions and settings, and no workers.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "compat.h"
#include "guc.h"
#include "worker/launcher.h"
#include "worker/shmem.h"
#include "worker/utility.h"
#include "worker/wake.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	clock_init();
	guc_init();
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	shmem_install();
	wake_install();
	utility_install();
	launcher_register();
}
