/*
 * why.h
 *		What an execution is waiting for.
 */
#ifndef MISTRAL_WHY_H
#define MISTRAL_WHY_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* One reason; it lives until db_leave. */
typedef struct WaitReason
{
	const char *kind;			/* execution, message, timer, action, request, join, event, lock, nothing ... */
	pg_uuid_t	object_id;
	char	   *name;			/* of the workflow, task or action */
	char	   *state;
	char	   *detail;			/* a sentence without a period */
	TimestampTz since;			/* DT_NOBEGIN: unknown */
	TimestampTz due_at;			/* DT_NOBEGIN: nothing is scheduled */
} WaitReason;

/* The reasons of the whole tree below the execution's root, as List of WaitReason *. */
extern List *why_waiting(const pg_uuid_t *id, Oid role);

#endif							/* MISTRAL_WHY_H */
