/*
 * event_trigger.h
 *		Events, and the workflows that start by them.  All between db_enter and db_leave.
 */
#ifndef MISTRAL_EVENT_TRIGGER_H
#define MISTRAL_EVENT_TRIGGER_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

typedef struct EventTrigger
{
	pg_uuid_t	id;
	const char *name;
	Oid			owner;
	const char *event;			/* a name, or its beginning with * behind it */
	const char *exchange;		/* NULL: any */
	const char *topic;			/* NULL: any */
	const char *workflow;
	const char *namespace_;
	const char *filter;			/* NULL: none */
	bool		public_;
	const Jsonb *input;
	const Jsonb *params;
} EventTrigger;

typedef struct Event
{
	const char *name;
	const char *exchange;		/* NULL: none */
	const char *topic;			/* NULL: none */
	const Jsonb *payload;
	const char *dedup_key;		/* NULL: none */
} Event;

/* Checks and stores a trigger; fills in its id.  Raises an error for a name that is taken or an unknown workflow. */
extern void event_trigger_create(EventTrigger *trigger);

/* Raises an error when the role has no such trigger. */
extern void event_trigger_delete(const char *name, Oid role);

/* Raises an error for a name that nobody may publish. */
extern void event_check_name(const char *name);

/*
 * Starts what the event triggers, in the caller's transaction; returns how many executions.  A trigger that fails is
 * passed over with a warning.  Nothing happens when the role used the key within a day.
 */
extern int	event_publish(const Event *event, Oid role);

#endif							/* MISTRAL_EVENT_TRIGGER_H */
