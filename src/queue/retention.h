/*
 * retention.h
 *		Deleting what ended long ago: mistral.retention and its kin.
 */
#ifndef MISTRAL_RETENTION_H
#define MISTRAL_RETENTION_H

#include "postgres.h"

/* One after the other. */
typedef enum RetentionPart
{
	RETAIN_ROOTS,
	RETAIN_LONE_ACTIONS,
	RETAIN_HISTORY
} RetentionPart;

/* Where a pass over the table stands; all zero: at the beginning of the first. */
typedef struct RetentionPass
{
	char		after[16];		/* the last id looked at */
	RetentionPart part;			/* what is looked at now */
	int64		history_xid;	/* the last row of the history deleted */
	int			history_n;
	int64		nfinished;		/* finished executions seen, and kept, in this pass */
	int64		excess;			/* how many of the oldest are to go, by the count of the last pass */
} RetentionPass;

/*
 * Looks at the next few executions (in order of creation), or rows of the history, and deletes those that the
 * settings no longer keep.  Returns true when the pass is over, and begins anew with the next call.  *ndeleted:
 * roots deleted.
 * Between db_enter and db_leave.
 */
extern bool retention_run(RetentionPass *pass, int *ndeleted);

/* Whether the settings let anything go. */
extern bool retention_wanted(void);

#endif							/* MISTRAL_RETENTION_H */
