/*
 * http_egress.h
 *		Which addresses requests may reach: mistral.http_allow and
 *		mistral.http_deny.
 *
 * An address is refused when a network of the deny list holds it and none of
 * the allow list does.  What counts is the address that is connected to, at
 * each hop, never the name.
 */
#ifndef MISTRAL_HTTP_EGRESS_H
#define MISTRAL_HTTP_EGRESS_H

#include "postgres.h"

#include <sys/socket.h>

/*
 * Whether a setting's text is a list of networks ("10.0.0.0/8, ::1"), for the
 * check hooks.  When it is not, *bad is the first wrong element, palloc'd.
 */
extern bool http_egress_list_valid(const char *list, char **bad);

/*
 * Reads both settings again when they have changed; raises only for lack of
 * memory.  To be called before requests are started, not from callbacks.
 */
extern void http_egress_refresh(void);

/* Whether the address may be reached.  Safe in libcurl's callbacks: neither allocates nor raises. */
extern bool http_egress_allowed(const struct sockaddr *address);

/* The same for an address in text form, as libcurl reports one; what is not an address is refused. */
extern bool http_egress_text_allowed(const char *address);

#endif							/* MISTRAL_HTTP_EGRESS_H */
