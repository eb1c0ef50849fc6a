/*
 * states.h
 *		States, allowed transitions, and the only writers of state columns.
 */
#ifndef MISTRAL_STATES_H
#define MISTRAL_STATES_H

#include "engine/tree.h"

extern const char *state_name(State state);
extern bool state_parse(const char *name, State *state);

/* Final: SUCCESS, ERROR, CANCELLED, SKIPPED. */
extern bool state_is_final(State state);

/* The original's table; staying in a state is always allowed. */
extern bool state_can_change(State from, State to);

/*
 * Change a state and keep the counters, times and notices that follow from it.
 * An execution's transition must be allowed (an error otherwise); a task's
 * need not be, as in the original.  `info` is copied, NULL clears it.
 */
extern void execution_set_state(Execution *execution, State state, const char *info);
extern void task_set_state(Task *task, State state, const char *info);
extern void action_set_state(ActionExecution *action, State state);

/* A task's error counts as handled from now on, or not. */
extern void task_set_error_handled(Task *task, bool handled);

#endif							/* MISTRAL_STATES_H */
