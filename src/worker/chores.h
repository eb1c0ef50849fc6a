/*
 * chores.h
 *		What an engine does besides advancing executions: letting cron triggers fire,
 *		taking back leases that have run out, deleting what ended long ago.
 */
#ifndef MISTRAL_CHORES_H
#define MISTRAL_CHORES_H

#include "postgres.h"

#include "utils/timestamp.h"

/* One call at the start of an engine. */
extern void chores_start(void);

/* Does what is due, in transactions of its own; false when there was nothing, or it failed. */
extern bool chores_run(void);

/* Executions have ended: a slot may have waited for one of them. */
extern void chores_executions_ended(void);

/* Milliseconds until something is due. */
extern long chores_sleep(void);

#endif							/* MISTRAL_CHORES_H */
