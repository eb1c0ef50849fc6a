/*
 * io_sources.h
 *		Sources: what modules read from outside (mistral.source), and what is
 *		done with what they bring.
 *
 *		transaction:	io_sources_read()
 *		afterwards:		io_sources_tell(program, committed)
 *		no transaction:	io_sources_take(frame), for each that the program sends
 *		transaction:	io_sources_handle(max)
 *		afterwards:		io_sources_handled(program, committed)
 */
#ifndef MISTRAL_IO_SOURCES_H
#define MISTRAL_IO_SOURCES_H

#include "postgres.h"

#include "base/plain_json.h"
#include "executor/io_program.h"

/* Between db_enter and db_leave: notices what the program does not know yet, so that it is told. */
extern void io_sources_read(void);
extern void io_sources_tell(IoProgram *program, bool committed);

/* Another program: it knows nothing, and what the last one brought it will bring again. */
extern void io_sources_forget(void);

/* A deliver frame.  Raises nothing. */
extern void io_sources_take(PlainJson frame);

/* How many deliveries wait. */
extern int	io_sources_waiting(void);

/*
 * Between db_enter and db_leave, with the rights of each source's owner: starts what events start, completes what
 * answers complete.  A delivery that fails is given back to the module as one that can never be taken, with a warning.
 * Returns how many.
 */
extern int	io_sources_handle(int max);
extern void io_sources_handled(IoProgram *program, bool committed);

#endif							/* MISTRAL_IO_SOURCES_H */
