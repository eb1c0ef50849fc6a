/*
 * notify.h
 *		What listeners are told: kept with the trees while the batch runs.
 */
#ifndef MISTRAL_NOTIFY_H
#define MISTRAL_NOTIFY_H

#include "engine/tree.h"

/* Keep a notice with the tree, when mistral.notify names its kind. */
extern void notify_execution(Execution *execution);
extern void notify_task(Task *task);
extern void notify_action(ActionExecution *action);

/* Pull workers of the target have work: kept with the tree, or sent with this transaction. */
extern void notify_target(Tree *tree, const char *target);
extern void notify_target_now(const char *target);

/* Moves the tree's notices to the end of the list, both in the current memory context now. */
extern List *notify_take(Tree *tree, List *notices);

/* Sends them with this transaction; none while the queue is half full. */
extern void notify_send(List *notices);

#endif							/* MISTRAL_NOTIFY_H */
