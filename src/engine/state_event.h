/*
 * state_event.h
 *		Events of states: who listens, and what starts by them.
 *
 * Each change of state of a task or a workflow is an event, mistral.task.SUCCESS or the like.  One that nobody listens
 * to costs a look at two words of memory.  What an event starts is written in the transaction of the change.  All
 * between db_enter and db_leave.
 */
#ifndef MISTRAL_STATE_EVENT_H
#define MISTRAL_STATE_EVENT_H

#include "postgres.h"

#include "engine/tree.h"

/* Keeps with the tree a change of state that has just been made, where somebody may listen. */
extern void state_event_execution(Execution *execution);
extern void state_event_task(Task *task);

/*
 * What the trees have kept and somebody listens to, described while what has ended is still in memory; List of
 * StateEvent * for state_events_fire, once the rows are written.
 */
extern List *state_events_take(List *trees);

/* Starts what listens.  What cannot be started stops nothing: its hook says why. */
extern void state_events_fire(List *events);

/* Raises an error when no event of a state has a name that the pattern (a name, or its beginning with * behind it) means. */
extern void state_event_check_pattern(const char *pattern);

/* Every process looks anew who listens, once this transaction has committed. */
extern void state_events_changed(void);

#endif							/* MISTRAL_STATE_EVENT_H */
