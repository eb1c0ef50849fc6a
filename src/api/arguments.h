/*
 * arguments.h
 *		Arguments of SQL functions, checked.
 */
#ifndef MISTRAL_ARGUMENTS_H
#define MISTRAL_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"

/* A text argument that may not be null; `what` names it in the error. */
extern char *arg_text(FunctionCallInfo fcinfo, int argno, const char *what);

/* The same with a limit of MAX_NAME_LENGTH characters; `empty`: whether '' is one. */
extern char *arg_name(FunctionCallInfo fcinfo, int argno, const char *what, bool empty);

/*
 * The argument `scope`: true for public.  Raises for another word, and when
 * the caller may not publish.
 */
extern bool arg_scope(FunctionCallInfo fcinfo, int argno);

#endif							/* MISTRAL_ARGUMENTS_H */
