/*
 * overlay.h
 *		Overlays: tasks that a role with the right puts into the workflow of another.  All between db_enter and db_leave.
 */
#ifndef MISTRAL_OVERLAY_H
#define MISTRAL_OVERLAY_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

typedef struct Overlay
{
	pg_uuid_t	id;
	const char *name;
	Oid			owner;
	const char *workflow;
	const char *namespace_;
	const char *text;
	bool		required;		/* the workflow does not start where it does not fit */
} Overlay;

/* A version of a workflow with all its overlays. */
typedef struct OverlaidWorkflow
{
	char	   *text;			/* to be compiled; NULL: no overlay, the author's own */
	Jsonb	   *tasks;			/* the inserted tasks: {task: overlay}; NULL: none */
	char	   *refused;		/* why it does not start; NULL: it does */
} OverlaidWorkflow;

/*
 * Stores an overlay and makes a new version of its workflow; fills in its id.  Raises an error for a name that is taken,
 * when its owner has not the right, and when it does not fit.
 */
extern void overlay_create(Overlay *overlay);

/* One of the role's, or on a workflow of the role's, made by `of` (InvalidOid: whoever); raises an error when there is none. */
extern void overlay_delete(const char *name, Oid of, Oid role);

/*
 * What a version of a workflow with this text is with its overlays.  Notes with each whether it fits; with `warn`, those
 * that do not are warned of.
 */
extern void overlays_apply(const char *workflow, const char *namespace_, Oid owner, const char *text, bool warn,
						   OverlaidWorkflow *result);

#endif							/* MISTRAL_OVERLAY_H */
