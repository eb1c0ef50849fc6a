/*
 * io_program.h
 *		The program mistral_io as this process's child: starting it, frames to
 *		and from it, noticing that it has died.
 */
#ifndef MISTRAL_IO_PROGRAM_H
#define MISTRAL_IO_PROGRAM_H

#include "postgres.h"

#include "lib/ilist.h"

#include "base/channel.h"

/* A frame on its way; malloc'd, as all here. */
typedef struct IoFrame
{
	dlist_node	node;
	PlainBuffer text;
	bool		begun;			/* at least its first byte has left */
	void	   *owner;			/* whom it is about, or NULL: then it is freed when it has left */
	bool		queued;			/* it is in the program's queue */
} IoFrame;

/*
 * Starts the program; false, and a message in the log, when that fails.  The
 * descriptor io_program_poll_fd() is the same for all programs of this process.
 */
extern bool io_program_start(void);
extern bool io_program_runs(void);

/* Readable when io_program_drive has something to do.  Raises when it cannot be made. */
extern int	io_program_poll_fd(void);

/* Queues a frame.  One without an owner is the program's from then on. */
extern void io_program_send(IoFrame *frame);

/* Takes a frame out of the queue of which nothing has left. */
extern void io_program_unsend(IoFrame *frame);

/* Bytes that wait to be sent. */
extern size_t io_program_queued(void);

/*
 * Sends and receives what can be, and gives each frame that came to `handle`,
 * which must not raise errors.  False: the program has died, and why; it is
 * cleaned up then, and frames that have an owner are out of the queue.
 */
extern bool io_program_drive(void (*handle) (PlainJson frame), char *why, size_t size);

/* Ends it, if it runs, in good order or at once. */
extern void io_program_stop(void);

/* A frame without an owner, with its beginning; NULL without memory. */
extern IoFrame *io_frame_new(const char *op);

/* Writes its end.  False, and it is freed, without memory. */
extern bool io_frame_end(IoFrame *frame);
extern void io_frame_free(IoFrame *frame);

#endif							/* MISTRAL_IO_PROGRAM_H */
