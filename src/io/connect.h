/*
 * connect.h
 *		Connections that the egress rules allow.
 */
#ifndef MISTRAL_IO_CONNECT_H
#define MISTRAL_IO_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Takes the rules over; without them nothing is allowed. */
extern bool connect_set_rules(const char *allow, const char *deny, int own_port);

/* As in MistralHost.  From any thread. */
extern bool connect_address_allowed(const struct sockaddr *address);
extern int	connect_to(const char *host, int port, int timeout_ms, char *error, size_t size);

#endif							/* MISTRAL_IO_CONNECT_H */
