/*
 * event_wait.h
 *		Events that are kept, and actions that wait for one.  All between db_enter and db_leave.
 *
 * Who publishes and who begins to wait only insert; event_wait_match brings
 * them together later.  So nobody waits for anybody, and whichever commits last
 * is seen together with the other.
 */
#ifndef MISTRAL_EVENT_WAIT_H
#define MISTRAL_EVENT_WAIT_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "queue/event_trigger.h"

/* An action that begins to wait. */
typedef struct EventWait
{
	pg_uuid_t	action_id;
	pg_uuid_t	root_id;
	int			attempt;
	Oid			owner;
	pg_uuid_t	execution_id;	/* with the task, who hears an event once; of an action without a workflow, its own id */
	const char *task;
	TimestampTz started_at;		/* of the root: events count from then on, unless the input says otherwise */
	const Jsonb *input;			/* of std.wait_event, checked */
} EventWait;

/* Told that this transaction published an event or began to wait for one; set by the worker layer, else NULL. */
typedef void (*events_changed_hook_type) (void);
extern events_changed_hook_type events_changed_hook;

/* Keeps an event for those who wait for it, now or later. */
extern void event_keep(const Event *event, Oid role);

extern void event_wait_begin(const EventWait *wait);

/* By an array of action ids: they wait no longer.  Who is just being told of an event is passed over. */
extern void event_wait_end(Datum ids);

/* What a look has left: nothing, more of the same, or all of it, since another session is just looking. */
typedef enum EventLook
{
	EVENTS_SEEN,
	EVENTS_MORE,
	EVENTS_BUSY
} EventLook;

/* Looks at what was published and at what began to wait since the last look, at most so many of either. */
extern EventLook event_wait_match(int limit);

/* Forgets a batch of events that were kept long enough; true when there may be more. */
extern bool event_forget_old(void);

/* What the action waits for, in words for a person, and since when; or NULL. */
extern char *event_wait_awaited(const pg_uuid_t *action_id, TimestampTz *since);

#endif							/* MISTRAL_EVENT_WAIT_H */
