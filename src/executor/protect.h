/*
 * protect.h
 *		Calling what may fail because of outside data, without losing the
 *		transaction.
 */
#ifndef MISTRAL_PROTECT_H
#define MISTRAL_PROTECT_H

#include "postgres.h"

/*
 * Calls the function in a subtransaction, in the current memory context.  False
 * when it raised an error, which is forgotten; what it had done in tables is
 * undone.  Passed on are requests to end or cancel (class 57) and locks that
 * were not to be had (class 55): those say nothing about the data.
 */
extern bool protected_call(void (*function) (void *arg), void *arg);

#endif							/* MISTRAL_PROTECT_H */
