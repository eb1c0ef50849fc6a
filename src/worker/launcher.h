/*
 * launcher.h
 *		The process that starts and restarts the workers of every database.
 */
#ifndef MISTRAL_LAUNCHER_H
#define MISTRAL_LAUNCHER_H

#include "postgres.h"

/* From _PG_init while libraries are preloaded. */
extern void launcher_register(void);

extern PGDLLEXPORT void mistral_launcher_main(Datum arg);
extern PGDLLEXPORT void mistral_engine_main(Datum arg);
extern PGDLLEXPORT void mistral_executor_main(Datum arg);
extern PGDLLEXPORT void mistral_sql_main(Datum arg);

#endif							/* MISTRAL_LAUNCHER_H */
