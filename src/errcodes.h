/*
 * errcodes.h
 *		SQLSTATEs of our own, class MS (a class that PostgreSQL leaves to
 *		others), so that clients branch on codes and not on texts.  Each has a
 *		line in docs/errors.md.
 */
#ifndef MISTRAL_ERRCODES_H
#define MISTRAL_ERRCODES_H

#include "utils/elog.h"

/* A definition that does not follow the language (line, column and path in the detail). */
#define ERRCODE_MISTRAL_INVALID_DEFINITION	MAKE_SQLSTATE('M','S','0','0','1')
/* A workflow, action, workbook or environment that does not exist, or not for this role. */
#define ERRCODE_MISTRAL_UNDEFINED			MAKE_SQLSTATE('M','S','0','0','3')
/* Missing or unexpected input of a workflow or an action. */
#define ERRCODE_MISTRAL_INVALID_INPUT		MAKE_SQLSTATE('M','S','0','0','4')
/* An expression that does not parse. */
#define ERRCODE_MISTRAL_EXPRESSION_SYNTAX	MAKE_SQLSTATE('M','S','0','1','0')
/* An expression that parses and cannot be evaluated. */
#define ERRCODE_MISTRAL_EXPRESSION			MAKE_SQLSTATE('M','S','0','1','1')
/* An expression that reached a limit of time, memory, depth or length. */
#define ERRCODE_MISTRAL_EXPRESSION_LIMIT	MAKE_SQLSTATE('M','S','0','1','2')
/* A state change that the state machine does not allow. */
#define ERRCODE_MISTRAL_INVALID_TRANSITION	MAKE_SQLSTATE('M','S','0','2','0')
/* A completion for an action that has ended already, with another outcome. */
#define ERRCODE_MISTRAL_ACTION_FINISHED		MAKE_SQLSTATE('M','S','0','2','1')
/* A completion for an action execution that does not exist, or not for this role. */
#define ERRCODE_MISTRAL_UNDEFINED_ACTION	MAKE_SQLSTATE('M','S','0','2','2')
/* An execution or a task that does not exist, or not for this role. */
#define ERRCODE_MISTRAL_UNDEFINED_EXECUTION MAKE_SQLSTATE('M','S','0','2','3')
/* A result of a pull worker whose lease has run out, when another one has the action. */
#define ERRCODE_MISTRAL_LEASE_LOST			MAKE_SQLSTATE('M','S','0','2','4')
/* A token that was not given for the action execution, or by another database. */
#define ERRCODE_MISTRAL_TOKEN				MAKE_SQLSTATE('M','S','0','2','5')
/* A value above mistral.max_result_size or mistral.max_definition_size. */
#define ERRCODE_MISTRAL_TOO_LARGE			MAKE_SQLSTATE('M','S','0','3','0')
/* Something that needs the background workers, which are not running. */
#define ERRCODE_MISTRAL_NO_WORKERS			MAKE_SQLSTATE('M','S','0','4','0')

#endif							/* MISTRAL_ERRCODES_H */
