/*
 * std_approve.h
 *		std.approve: who is asked.
 */
#ifndef MISTRAL_STD_APPROVE_H
#define MISTRAL_STD_APPROVE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#define ACTION_APPROVE_NAME "std.approve"

/* NULL when the values of the input are what the action takes, else what is wrong, in the current memory context. */
extern char *approve_check(const Jsonb *input);

/* The names (char *) in `approvers` or `escalate_to`: a name or a list of names; NIL when it is null. */
extern List *approve_roles(const Jsonb *input, const char *key);

/* After how many seconds `escalate_to` may answer as well; negative: never. */
extern double approve_escalate_after(const Jsonb *input);

#endif							/* MISTRAL_STD_APPROVE_H */
