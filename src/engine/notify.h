/*
 * notify.h
 *		What listeners are told, in the batch's transaction.
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

/* Sends the tree's notices; none while the queue is half full. */
extern void notify_send(Tree *tree);

#endif							/* MISTRAL_NOTIFY_H */
