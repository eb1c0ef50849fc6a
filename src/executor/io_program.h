/*
 * io_program.h
 *		A program as this process's child: starting it and starting it again,
 *		frames to and from it, noticing that it has died or hangs.
 */
#ifndef MISTRAL_IO_PROGRAM_H
#define MISTRAL_IO_PROGRAM_H

#include "postgres.h"

#include "lib/ilist.h"
#include "utils/timestamp.h"

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

/* Begin with IO_PROGRAM(...); one in a process for each program. */
typedef struct IoProgram
{
	const char *name;			/* its file, in PostgreSQL's library directory */
	const char *does;			/* what it does, for the log: "runs the actions of modules" */

	/* What it said; must not raise errors.  False: that cannot be understood. */
	bool		(*handle) (const char *body, size_t len);

	bool		ready;			/* it has said hello: io_program_ready() */
	TimestampTz start_at;		/* not before */

	/* io_program.c's own. */
	int			epoll_fd;
	int			channel_fd;
	pid_t		pid;
	bool		reads;			/* what the descriptor is watched for */
	bool		writes;
	bool		paused;
	PlainBuffer in;
	dlist_head	queue;
	size_t		first_sent;		/* of the first frame */
	size_t		queued_bytes;
	TimestampTz started_at;
	TimestampTz driven_at;
	TimestampTz heard_at;		/* when it said something */
	TimestampTz asked_at;		/* since when an answer is due; 0: none is */
	int			backoff;		/* ms */
} IoProgram;

#define IO_PROGRAM(variable, ...) \
	{.epoll_fd = -1, .channel_fd = -1, .queue = DLIST_STATIC_INIT((variable).queue), __VA_ARGS__}

/*
 * Starts the program; false, and a message in the log, when that fails: then, as
 * when it dies, start_at is later each time.  The descriptor io_program_poll_fd()
 * stays the same.
 */
extern bool io_program_start(IoProgram *program, TimestampTz now);
extern bool io_program_runs(const IoProgram *program);

/* Its first words are there: from now on it is asked for signs of life. */
extern void io_program_ready(IoProgram *program);

/* Readable when io_program_drive has something to do.  Raises when it cannot be made. */
extern int	io_program_poll_fd(IoProgram *program);

/* When io_program_drive is to be called at the latest; 0: when the descriptor is readable. */
extern TimestampTz io_program_next(const IoProgram *program);

/* Queues a frame.  One without an owner is the program's from then on. */
extern void io_program_send(IoProgram *program, IoFrame *frame);

/* Takes a frame out of the queue of which nothing has left. */
extern void io_program_unsend(IoProgram *program, IoFrame *frame);

/* Bytes that wait to be sent. */
extern size_t io_program_queued(const IoProgram *program);

/* Whether what it says is left to wait. */
extern void io_program_pause(IoProgram *program, bool paused);

/*
 * Sends and receives what can be, and gives each frame that came to `handle`.
 * False: the program has died, or was ended because it took longer than
 * mistral.io_hang_timeout over something; why is in the log.  Frames that have an
 * owner are out of the queue then.
 */
extern bool io_program_drive(IoProgram *program, TimestampTz now);

/* Ends it, if it runs, in good order or at once; it may be started again at once. */
extern void io_program_stop(IoProgram *program);

/* A frame without an owner, with its beginning; NULL without memory. */
extern IoFrame *io_frame_new(const char *op);

/* Writes its end.  False, and it is freed, without memory. */
extern bool io_frame_end(IoFrame *frame);
extern void io_frame_free(IoFrame *frame);

/* Keeps a copy, for as long as the process lives, of a setting that the program has been told; NULL: of none. */
extern void io_keep_text(char **kept, const char *text);

#endif							/* MISTRAL_IO_PROGRAM_H */
