/*
 * webhook.h
 *		Requests that tell somebody of what happened: params.notify.
 *
 * A webhook is written in the transaction of the state change, sent by the HTTP
 * executor, and its own root in the queue: nothing of its execution waits for it.
 * All between db_enter() and db_leave().
 */
#ifndef MISTRAL_WEBHOOK_H
#define MISTRAL_WEBHOOK_H

#include "postgres.h"

#include "utils/hsearch.h"

#include "engine/tree.h"
#include "queue/inbox.h"

/* The kind of the timer that sends one again. */
#define TIMER_WEBHOOK "webhook"

/* Keeps with the tree what is to be sent about a change of state that has just been made. */
extern void webhook_execution_changed(Execution *execution, State from);
extern void webhook_task_changed(Task *task, State from);

/* Writes what the trees have kept, and gives it to the executor. */
extern void webhooks_write(List *trees);

/* Locks those of the ids that are webhooks, and sets the bool at `flag_offset` of their entries in `roots`. */
extern void webhooks_lock(const pg_uuid_t *ids, int nids, HTAB *roots, Size flag_offset);

/* What the executor answered, or the timer: delivered, again later, or failed.  False: it is no webhook. */
extern bool webhook_apply(const InboxMessage *messages, int nmessages);

/* Sends one that has failed, of a role whose rights `role` has, once more; false when there is none. */
extern bool webhook_retry(const pg_uuid_t *id, Oid role);

#endif							/* MISTRAL_WEBHOOK_H */
