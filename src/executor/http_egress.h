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

/*
 * Whether a setting's text is a list of networks ("10.0.0.0/8, ::1"), for the
 * check hooks.  When it is not, *bad is the first wrong element, palloc'd.
 */
extern bool http_egress_list_valid(const char *list, char **bad);

#endif							/* MISTRAL_HTTP_EGRESS_H */
