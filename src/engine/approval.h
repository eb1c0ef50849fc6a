/*
 * approval.h
 *		Questions of std.approve: who may answer, and what an answer says.
 */
#ifndef MISTRAL_APPROVAL_H
#define MISTRAL_APPROVAL_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* Whether an action execution of that name and runtime is std.approve, itself or by an ad-hoc action. */
extern bool approval_asks(const char *name, const Jsonb *runtime);

/* The input of its std.approve, from its runtime and its own input. */
extern const Jsonb *approval_request(const Jsonb *runtime, const Jsonb *input);

/*
 * Whether the role may answer now: it has the rights of one of the approvers, or
 * of the owner when none is named, or of one of escalate_to once that time has
 * come since `asked`.  Names mean the roles that have them now.
 */
extern bool approval_may_answer(const Jsonb *request, Oid owner, TimestampTz asked, Oid role);

/* Whose answer it waits for now, in words: "alice" or "bob". */
extern char *approval_who(const Jsonb *request, Oid owner, TimestampTz asked);

/* The answer of a role, given now: what the action's result is. */
extern Jsonb *approval_answer(bool approved, Oid role, const char *comment);

/* Whether two outcomes are the same role's same answer, whenever it was given: a repetition. */
extern bool approval_same(const Jsonb *before, const Jsonb *now);

#endif							/* MISTRAL_APPROVAL_H */
