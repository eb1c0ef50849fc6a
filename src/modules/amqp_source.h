/*
 * amqp_source.h
 *		Queues that are read: each message is delivered to the database, and
 *		acknowledged when it is committed there.
 */
#ifndef MISTRAL_AMQP_SOURCE_H
#define MISTRAL_AMQP_SOURCE_H

#include "io/mistral_action.h"

/* A descriptor that is readable when amqp_sources_drive has something to do.  False without descriptors. */
extern bool amqp_sources_start(const MistralHost *host);
extern int	amqp_sources_fd(void);
extern void amqp_sources_drive(void);

/* The hooks of these names. */
extern void amqp_sources_configure(const char *json);
extern void amqp_sources_delivered(const char *source, int64_t number, bool committed);

#endif							/* MISTRAL_AMQP_SOURCE_H */
