/*
 * execution_row.h
 *		What a row of mistral.execution holds, read back into an execution.
 */
#ifndef MISTRAL_EXECUTION_ROW_H
#define MISTRAL_EXECUTION_ROW_H

#include "engine/tree.h"

/* Columns from 0, in the order of the table; behind them, in a statement's result, the row's place. */
typedef enum ExecutionColumn
{
	EXECUTION_ID,
	EXECUTION_ROOT_ID,
	EXECUTION_PARENT,
	EXECUTION_ORDINAL,
	EXECUTION_DEFINITION,
	EXECUTION_OWNER,
	EXECUTION_NAME,
	EXECUTION_NAMESPACE,
	EXECUTION_STATE,
	EXECUTION_STAMP,
	EXECUTION_CREATED_AT,
	EXECUTION_UPDATED_AT,
	EXECUTION_FINISHED_AT,
	EXECUTION_STATE_INFO,
	EXECUTION_DESCRIPTION,
	EXECUTION_INPUT,
	EXECUTION_PARAMS,
	EXECUTION_GLOBALS,
	EXECUTION_OUTPUT,
	EXECUTION_RUNTIME,
	EXECUTION_CTID,
	EXECUTION_NCOLUMNS
} ExecutionColumn;

#define EXECUTION_COLUMNS \
	"id, root_id, parent_task_id, ordinal, definition_id, owner, name, namespace, state, stamp, created_at, updated_at, " \
	"finished_at, state_info, description, input, params, globals, output, runtime, ctid"

/*
 * A new execution of the tree from its columns, which it copies, and the place
 * of its row; it has no link yet to what is around it.
 */
extern Execution *execution_read(Tree *tree, const Datum *columns, const bool *nulls, const ItemPointerData *place);

/* The state that a column holds. */
extern State execution_read_state(Datum column);

/* Puts one that was read into its tree, when it has its definition. */
extern void execution_link(Execution *execution);

/* The name of a transition as the engine has it, from how a row has it. */
extern const char *stored_event(const JsonbValue *name);

#endif							/* MISTRAL_EXECUTION_ROW_H */
