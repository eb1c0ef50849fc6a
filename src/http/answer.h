/*
 * answer.h
 *		What comes back: collected in libcurl's callbacks, sent to the worker as
 *		a frame.
 */
#ifndef MISTRAL_HTTP_ANSWER_H
#define MISTRAL_HTTP_ANSWER_H

#include "http/transfer.h"

/* How large a body may be, in bytes. */
extern void answer_set_limit(size_t bytes);

/* libcurl's callbacks; the argument is the Transfer. */
extern size_t answer_on_header(char *data, size_t size, size_t nitems, void *arg);
extern size_t answer_on_body(char *data, size_t size, size_t nitems, void *arg);

/*
 * The running transfer that has to be given up for the sake of the others, as
 * long as all bodies together hold too much: the largest of the role whose hold
 * the most; else NULL.
 */
extern Transfer *answer_largest(Transfer *running);

/* Drops what has come. */
extern void answer_clear(Transfer *transfer);

/* Writes the frame's begin into `answer`; its content, if `*content`, and a NUL follow.  False without memory. */
extern bool answer_write(Transfer *transfer, bool *content);

#endif							/* MISTRAL_HTTP_ANSWER_H */
