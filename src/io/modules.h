/*
 * modules.h
 *		The loaded modules, and the actions that they have under way.
 */
#ifndef MISTRAL_IO_MODULES_H
#define MISTRAL_IO_MODULES_H

#include "base/plain_json.h"
#include "io/mistral_action.h"

/* Where frames for the worker are appended. */
extern PlainBuffer io_out;

/* Loads what a start frame names, and answers with a hello frame. */
extern void modules_load(PlainJson start);

/* The frames of the same names. */
extern void modules_submit(PlainJson frame);
extern void modules_cancel(PlainJson frame);
extern void modules_configure(PlainJson frame);
extern void modules_delivered(PlainJson frame);

/* What all modules wait for, and their turn. */
extern int	modules_pollfds(struct pollfd *fds, int max);
extern int64_t modules_timeout(int64_t now);
extern void modules_drive(int64_t now);

extern void modules_stop(void);

extern int64_t io_now(void);

#endif							/* MISTRAL_IO_MODULES_H */
