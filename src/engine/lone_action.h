/*
 * lone_action.h
 *		Actions run without a workflow: their own row is their root.
 */
#ifndef MISTRAL_LONE_ACTION_H
#define MISTRAL_LONE_ACTION_H

#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/uuid.h"

#include "engine/tree.h"
#include "queue/inbox.h"

/*
 * Locks the rows of those ids that are such actions, and sets the bool at
 * `flag_offset` of their entries in `roots`.  Ids that are nothing any more (a
 * deleted execution's) are flagged, too: their messages are to go.
 */
extern void lone_actions_lock(const pg_uuid_t *ids, int nids, HTAB *roots, Size flag_offset);

/*
 * What stands for the workflow when such an action's names and expressions are
 * looked up: an execution without input that is never written.
 */
extern Execution *lone_execution(Tree *tree, const char *namespace_, Oid owner);

/* Records the result that the first of the messages brings. */
extern void lone_action_apply(const InboxMessage *messages, int nmessages);

#endif							/* MISTRAL_LONE_ACTION_H */
