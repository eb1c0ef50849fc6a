/*
 * scope.h
 *		Arguments that name a thing and say who may use it.
 */
#ifndef MISTRAL_SCOPE_H
#define MISTRAL_SCOPE_H

#include "postgres.h"

#include "fmgr.h"

/*
 * A text of at most MAX_NAME_LENGTH characters, not null; `what` names it in
 * the error, `empty` says whether '' will do.
 */
extern char *arg_name(FunctionCallInfo fcinfo, int argno, const char *what, bool empty);

/*
 * The argument `scope`: true for public.  Raises for another word, and when
 * the caller may not publish.
 */
extern bool arg_scope(FunctionCallInfo fcinfo, int argno);

#endif							/* MISTRAL_SCOPE_H */
