/*
 * items.h
 *		What with-items tasks ask of those of their actions and sub-executions
 *		that have left memory.
 */
#ifndef MISTRAL_ITEMS_H
#define MISTRAL_ITEMS_H

#include "engine/tree.h"

/*
 * The items that have a result which stays, or are under way; with
 * `without_failed`, what has failed does not stay.  In the task's context.
 */
extern Bitmapset *items_taken(Task *task, bool without_failed);

/* The results that count, as a list in the order of the items. In the task's context. */
extern Jsonb *items_results(Task *task);

/* Writes what trees have noted with tree_revoke, before their own rows are written. */
extern void items_write_revoked(List *trees);

/* Takes from memory what has ended and has been written. */
extern void items_release(Task *task);

#endif							/* MISTRAL_ITEMS_H */
