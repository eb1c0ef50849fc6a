/*
 * run.h
 *		Running a tree in memory: what a message does, and the queue that
 *		follows from it.
 */
#ifndef MISTRAL_RUN_H
#define MISTRAL_RUN_H

#include "engine/tree.h"

/* A message or a due timer, as the tree takes it. */
typedef struct TreeEvent
{
	const char *kind;			/* MESSAGE_* or TIMER_* */
	bool		has_target;
	pg_uuid_t	target;
	const Jsonb *payload;
} TreeEvent;

/* Ties each execution to its compiled definition, for this step. */
extern void tree_attach(Tree *tree);

/* Lets one event act. */
extern void tree_apply(Tree *tree, const TreeEvent *event);

/*
 * Works the queue off until it is empty or the slice is used up; returns
 * whether something is left.  `alone`: the step has no other tree, and the slice
 * lasts longer unless somebody waits.
 */
extern bool tree_run(Tree *tree, bool alone);

/* Queues what an interrupted slice had left, from the loaded rows. */
extern void tree_requeue(Tree *tree);

#endif							/* MISTRAL_RUN_H */
