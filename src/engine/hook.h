/*
 * hook.h
 *		Hooks: workflows that start when a task or a workflow, perhaps of another role, reaches a state; and who may put one
 *		where.  All between db_enter and db_leave.
 */
#ifndef MISTRAL_HOOK_H
#define MISTRAL_HOOK_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "engine/definitions.h"
#include "mistral.h"

/* What the owner of a workflow may grant. */
typedef enum HookAccess
{
	HOOK_ATTACH,				/* to put hooks on it */
	HOOK_RESULTS,				/* to see what its tasks and executions give, too */
	HOOK_INSERT					/* to insert tasks, see overlay.h */
} HookAccess;

typedef struct Hook
{
	pg_uuid_t	id;
	const char *name;
	Oid			owner;
	Oid			workflow_owner;
	const char *workflow;		/* any version of it */
	const char *namespace_;
	const char *task;			/* NULL: the workflow itself */
	State		state;
	const char *hook_workflow;	/* what it starts */
	const char *hook_namespace;
	const char *filter;			/* NULL: none */
	const Jsonb *input;
	const Jsonb *params;
} Hook;

extern bool hook_access_parse(const char *name, HookAccess *access);

/*
 * Checks and stores a hook; fills in its id and whose workflow it is on.  Raises an error for a name that is taken, for
 * what does not exist, and when its owner has not the right.
 */
extern void hook_create(Hook *hook);

/* One of the role's, or on a workflow of the role's, made by `owner` (InvalidOid: whoever); raises an error when there is none. */
extern void hook_delete(const char *name, Oid owner, Oid role);

/* A right on a workflow of the role's, for `grantee`; errors when there is no such workflow. */
extern void hook_grant(const char *workflow, const char *namespace_, Oid grantee, HookAccess access, Oid role);
extern void hook_revoke(const char *workflow, const char *namespace_, Oid grantee, HookAccess access, Oid role);

/* Whether the role has the right now, as the workflow's owner or by a grant; `results` contains `attach`. */
extern bool hook_allowed(Oid workflow_owner, const char *workflow, const char *namespace_, HookAccess access, Oid role);

/*
 * The live workflow on which the role has the right: its own first.  Raises an error when there is none, or several have
 * been granted.
 */
extern const Definition *hook_find_workflow(const char *workflow, const char *namespace_, HookAccess access, Oid role);

/* The same; NULL when there is none. */
extern const Definition *hook_look_up_workflow(const char *workflow, const char *namespace_, HookAccess access, Oid role);

/* Keeps with a hook why it could not start its workflow. */
extern void hook_failed(const pg_uuid_t *id, const char *error);

#endif							/* MISTRAL_HOOK_H */
