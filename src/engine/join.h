/*
 * join.h
 *		What a waiting join waits for, in words.
 */
#ifndef MISTRAL_JOIN_H
#define MISTRAL_JOIN_H

#include "engine/tree.h"

/* "Blocked by tasks: a, b", in the current memory context. */
extern char *join_blocked_by(Task *task);

#endif							/* MISTRAL_JOIN_H */
