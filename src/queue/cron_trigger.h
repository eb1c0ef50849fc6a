/*
 * cron_trigger.h
 *		Cron triggers: what sessions do to them, and letting them fire.
 *
 * A slot is used up by its row in mistral.cron_slot, written in the transaction
 * that starts the execution: it fires once, whatever dies.  All between
 * db_enter and db_leave.
 */
#ifndef MISTRAL_CRON_TRIGGER_H
#define MISTRAL_CRON_TRIGGER_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/cron.h"

/* What to do with a slot while an earlier execution still runs. */
typedef enum CronOverlap
{
	OVERLAP_ALLOW_ALL,
	OVERLAP_SKIP,
	OVERLAP_BUFFER_ONE,
	OVERLAP_BUFFER_ALL,
	OVERLAP_CANCEL_OTHER,
	OVERLAP_TERMINATE_OTHER
} CronOverlap;

/* What to do with slots that passed while nobody was there to see them. */
typedef enum CronCatchup
{
	CATCHUP_ONE,				/* the last of them */
	CATCHUP_ALL,
	CATCHUP_NONE
} CronCatchup;

typedef struct CronTrigger
{
	pg_uuid_t	id;
	char	   *name;
	Oid			owner;
	char	   *workflow;
	char	   *namespace_;
	char	   *pattern;		/* NULL: fires at first_time only */
	char	   *timezone;
	TimestampTz first_time;		/* DT_NOBEGIN: none */
	int			remaining;		/* executions still to start, -1: no end */
	CronOverlap overlap;
	CronCatchup catchup;
	int64		window;			/* microseconds: older slots are not caught up with */
	int64		jitter;			/* microseconds: a slot is put off by less than that */
	bool		paused;
	Jsonb	   *input;
	Jsonb	   *params;
	CronPattern cron;			/* where there is a pattern */
	pg_tz	   *zone;
} CronTrigger;

/* False for an unknown word. */
extern bool cron_overlap_parse(const char *word, CronOverlap *overlap);
extern bool cron_catchup_parse(const char *word, CronCatchup *catchup);

/* The zone of this name; an error when there is none. */
extern pg_tz *cron_zone(const char *name);

/* Reads a pattern; an error when it is none. */
extern void cron_pattern(const char *text, CronPattern *pattern);

/*
 * Checks and stores a new trigger of `trigger->owner`, with its first slot; fills in its id.  Raises an
 * error for a name that is taken, a workflow that the owner cannot start with this input, a trigger that is the same but for its name,
 * or one that never fires.
 */
extern void cron_trigger_create(CronTrigger *trigger);

/* Each raises an error when the role has no such trigger. */
extern void cron_trigger_delete(const char *name, Oid role);
extern void cron_trigger_pause(const char *name, bool paused, Oid role);
extern int	cron_trigger_backfill(const char *name, TimestampTz from, TimestampTz to, Oid role);

typedef struct CronRun
{
	int			nslots;			/* used up */
	bool		progress;		/* a slot that waited has had its turn: there may be another */
	bool		waiting;		/* slots wait for executions to end */
	TimestampTz next;			/* when to look again, DT_NOEND: nothing is planned */
} CronRun;

/* Lets at most `limit` due triggers fire, and starts what waited for an execution that has ended. */
extern void cron_run(int limit, CronRun *result);

/* Told when a trigger has been planned by this transaction; set by the worker layer, else NULL. */
typedef void (*cron_planned_hook_type) (void);
extern cron_planned_hook_type cron_planned_hook;

/* ---- for cron_run.c ---- */

/* Reads and locks a trigger; NULL when it is gone, or (with `wait` false) locked by somebody else: then *locked. */
extern CronTrigger *cron_trigger_load(const pg_uuid_t *id, bool wait, bool *locked);

/* Deletes it with all its rows. */
extern void cron_trigger_remove(const CronTrigger *trigger);

/* Plans the first slot after `after` that is not used up, this slot, or none. */
extern void cron_plan(const CronTrigger *trigger, TimestampTz after);
extern void cron_plan_slot(const CronTrigger *trigger, TimestampTz slot);
extern void cron_unplan(const CronTrigger *trigger);

/* Now, or just before the trigger's first time where that is later: slots are planned after it. */
extern TimestampTz cron_plan_from(const CronTrigger *trigger, TimestampTz now);

/* When the slot is due: itself, put off by its jitter. */
extern TimestampTz cron_slot_due(const CronTrigger *trigger, TimestampTz slot);

/* The first slot after `after`, DT_NOEND: none. */
extern TimestampTz cron_trigger_next(const CronTrigger *trigger, TimestampTz after);

/* Writes down what became of a slot; false when it was used up before. */
extern bool cron_use_slot(const CronTrigger *trigger, TimestampTz slot, const pg_uuid_t *execution_id, const char *outcome);

/* Starts the workflow for a slot, whose row is there. */
extern void cron_start(const CronTrigger *trigger, TimestampTz slot, const pg_uuid_t *execution_id);

#endif							/* MISTRAL_CRON_TRIGGER_H */
