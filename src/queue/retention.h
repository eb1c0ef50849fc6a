/*
 * retention.h
 *		Deleting what ended long ago: mistral.retention and its kin.
 */
#ifndef MISTRAL_RETENTION_H
#define MISTRAL_RETENTION_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* One after the other. */
typedef enum RetentionPart
{
	RETAIN_ROOTS,
	RETAIN_LONE_ACTIONS,
	RETAIN_HISTORY
} RetentionPart;

/* Where a pass over the tables stands; all zero: at the beginning of the first, which looks at all. */
typedef struct RetentionPass
{
	bool		follows;		/* goes on where the last pass ended, instead of looking at all that is left */
	RetentionPart part;			/* what is looked at now */
	TimestampTz begun_at;		/* with that part: it goes on to what was to go then; 0: not begun */
	bool		dense;			/* of the rows looked at last, as many were deleted as a batch may have */
	bool		waits;			/* `front` of that part is known: what is left there is old soon */
	char		after[16];		/* the last id looked at */
	char		front[2][16];	/* of roots and lone actions: after which id a pass that follows begins */
	int64		history_xid;	/* the last row of the history deleted */
	int			history_n;
	int64		nfinished;		/* finished executions seen, and kept, in this pass */
	int64		excess;			/* how many of the oldest are to go, by the count of the last pass */
} RetentionPass;

/* What one call did. */
typedef struct RetentionBatch
{
	int			ndeleted;		/* roots and lone actions */
	int			nhistory;		/* rows of the history */
	double		look_ms;		/* time that looking for executions has taken */
	double		behind;			/* 0: what it found was to go just now, to 1: long ago, or much of it */
} RetentionBatch;

/* Trees that one call deletes at most. */
#define RETENTION_MAX_BATCH 200

/*
 * Looks at the next few executions (in order of creation), or rows of the history, and deletes those that the
 * settings no longer keep, at most `size` trees of executions.  Returns true when the pass is over; the next call
 * begins another, for which the caller may set pass->follows: that one does not find what was left to run, or
 * locked, when another passed it.
 * Between db_enter and db_leave.
 */
extern bool retention_run(RetentionPass *pass, int size, RetentionBatch *batch);

/* Whether the settings let anything go. */
extern bool retention_wanted(void);

#endif							/* MISTRAL_RETENTION_H */
