/*
 * protect.h
 *		Calling what may fail because of outside data, without losing the
 *		transaction.
 */
#ifndef MISTRAL_PROTECT_H
#define MISTRAL_PROTECT_H

#include "postgres.h"

/*
 * Calls the function in a subtransaction, in the current memory context.  0 when
 * it went through, else the SQLSTATE of the error it raised, which is forgotten;
 * what it had done in tables is undone.  Requests to end or cancel (class 57)
 * are passed on: they say nothing about the data.
 */
extern int	protected_call(void (*function) (void *arg), void *arg);

#endif							/* MISTRAL_PROTECT_H */
