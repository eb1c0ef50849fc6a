/*
 * trigger_start.h
 *		Executions that a trigger starts: what triggers of every kind have in common.
 */
#ifndef MISTRAL_TRIGGER_START_H
#define MISTRAL_TRIGGER_START_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

typedef struct TriggerStart
{
	const char *kind;			/* "cron_trigger", "event_trigger", "table_watch", "hook" */
	pg_uuid_t	id;				/* of the trigger */
	const char *name;
	Oid			owner;
	const char *workflow;
	const char *namespace_;
	const Jsonb *input;
	const Jsonb *params;		/* as the trigger has them */
	const char *about_key;		/* what started it goes into params under this key */
	const Jsonb *about;
} TriggerStart;

/*
 * Starts the workflow with the rights of the trigger's owner, as `execution_id` (NULL: a new id); returns the id.  The
 * description is the original's: JSON text that says who started the execution.  Between db_enter and db_leave.
 */
extern pg_uuid_t trigger_start(const TriggerStart *start, const pg_uuid_t *execution_id);

/* Raises the error that starting would raise now (without regard to `about`). */
extern void trigger_check_start(const TriggerStart *start);

/* Raises an error when the role may start no workflow of that name; input is not looked at. */
extern void trigger_check_workflow(const char *workflow, const char *namespace_, Oid owner);

/*
 * A filter (NULL: none) and a template of an input, over the members of `context`.  The filter is the text of one
 * expression.  Errors of the expressions are raised.
 */
extern bool trigger_filter(const char *filter, const Jsonb *context);
extern Jsonb *trigger_input(const Jsonb *template_, const Jsonb *context);

/* Raises an error when the filter is no expression. */
extern void trigger_check_filter(const char *filter);

#endif							/* MISTRAL_TRIGGER_START_H */
