/*
 * io_executor.h
 *		Actions of modules: from mistral.dispatch to the program mistral_io, and
 *		back to a message.
 *
 * The same round as http_executor.h has, in the same process and the same
 * transactions:
 *
 *		transaction:	io_claim(max)
 *		afterwards:		io_claimed(committed)
 *		no transaction:	wait on io_poll_fd() and until io_next(); n = io_drive()
 *		transaction:	io_record(max)
 *		afterwards:		io_recorded(committed)
 *
 * The program is started when mistral.io_modules names a module, and again, later
 * each time, when it has died; what it had under way is settled as if an executor
 * had died.
 */
#ifndef MISTRAL_IO_EXECUTOR_H
#define MISTRAL_IO_EXECUTOR_H

#include "postgres.h"

#include "utils/timestamp.h"

/* What waits for a performer of this kind. */
#define IO_PERFORMER "io"

/* Once per process, outside a transaction; raises when it cannot. */
extern void io_start(void);

/* In a transaction, once before the first claim: settles what a dead predecessor left.  Returns how many there were. */
extern int	io_recover(void);

/* How many actions io_claim would take now. */
extern int	io_room(void);

/* True once when there is room again that was not there before. */
extern bool io_relieved(void);

/*
 * In a transaction: moves at most `max` waiting actions from dispatch to
 * attempt.  What no module that is loaded does, or what its owner may not use,
 * ends in ERROR here.  Returns how many were taken from dispatch.
 */
extern int	io_claim(int max);
extern void io_claimed(bool committed);

/* Valid from io_start to io_shutdown. */
extern int	io_poll_fd(void);

/* When io_drive is to be called at the latest; 0: when the descriptor is readable. */
extern TimestampTz io_next(void);

/* Outside any transaction: does what can be done without waiting.  Returns how much io_record has to do. */
extern int	io_drive(void);

/* In a transaction: results, what a program that died had under way, and the list of actions. */
extern int	io_record(int max);
extern void io_recorded(bool committed);

/* Actions claimed and not yet recorded. */
extern int	io_in_flight(void);

/* Ends the program. */
extern void io_shutdown(void);

#endif							/* MISTRAL_IO_EXECUTOR_H */
