/*
 * control.h
 *		What sessions do to executions, in their own transaction.  Between
 *		db_enter and db_leave; rights are checked against the role given.
 *		Whatever starts tasks is left to the engine, by message.
 */
#ifndef MISTRAL_CONTROL_H
#define MISTRAL_CONTROL_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "compat.h"
#include "mistral.h"

typedef struct StartRequest
{
	const char *workflow;
	const char *namespace_;
	const Jsonb *input;
	const Jsonb *params;
	const char *description;
	bool		has_id;
	pg_uuid_t	id;				/* given by the caller, or filled in */
} StartRequest;

/* Starts an execution; with an id that exists, returns that execution's. */
extern pg_uuid_t control_start(const StartRequest *request, Oid role);

/* Raises the error that control_start would raise; starts nothing. */
extern void control_check_start(const StartRequest *request, Oid role);

/* The root of an execution; an error when it does not exist for the role. */
extern void control_find_execution(const pg_uuid_t *id, Oid role, pg_uuid_t *root_id);
extern void control_raise_undefined(const pg_uuid_t *id) pg_attribute_noreturn();

/* Says that no workflow of the name is there to be started. */
extern void control_raise_undefined_workflow(const char *name, const char *namespace_) pg_attribute_noreturn();

/* Raise an error when the execution is not there for the role, or its state does not allow it. */
extern void control_pause(const pg_uuid_t *id, Oid role);
extern void control_resume(const pg_uuid_t *id, const Jsonb *env, Oid role);
extern void control_stop(const pg_uuid_t *id, State state, const char *message, Oid role);
extern void control_rerun(const pg_uuid_t *task_id, bool reset, const Jsonb *env, Oid role);
extern void control_skip(const pg_uuid_t *task_id, Oid role);
extern void control_delete(const pg_uuid_t *id, Oid role);

/* The end of an action execution from outside. */
typedef struct FinishAction
{
	pg_uuid_t	id;
	const Jsonb *result;
	int			attempt;		/* 0: not given; set where a token is */
	const char *token;			/* of the attempt; NULL: not given */
	int			refused;		/* set: 0, or the error's code, and what it says */
	const char *message;
	const char *detail;			/* or NULL, as the hint */
	const char *hint;
} FinishAction;

/*
 * Ends action executions from outside.  Repeating the same call is harmless;
 * another outcome for an action that has ended is refused, and so is an attempt
 * whose lease was lost to a later one, or a token that is none.  Sorts them by id; an id that comes twice
 * is an error.
 */
extern void control_finish_actions(FinishAction *finishes, int n, State state, Oid role);

/* The same for one, which raises what it is refused for. */
extern void control_finish_action(FinishAction *finish, State state, Oid role);

/*
 * Answers a question of std.approve: SUCCESS or ERROR with who, when and why.
 * For those who are asked; the same role's same answer again is harmless.
 */
extern void control_answer(const pg_uuid_t *id, bool approved, const char *comment, Oid role);

/* Runs one action without a workflow; `target` NULL: as its name says. */
extern pg_uuid_t control_run_action(const char *name, const Jsonb *input, const char *namespace_, const char *target,
									Oid role);

#endif							/* MISTRAL_CONTROL_H */
