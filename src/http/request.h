/*
 * request.h
 *		What is asked, as redirects change it.
 */
#ifndef MISTRAL_HTTP_REQUEST_H
#define MISTRAL_HTTP_REQUEST_H

#include "http/transfer.h"

/*
 * Turns the request into the one that follows a redirect to `url`: the method
 * and body as browsers and Python's requests change them, credentials only for
 * the same origin.  False: it is a failed request now.
 */
extern bool request_redirect(Transfer *transfer, const char *url);

/* The header of that name, in any case, or NULL. */
extern const Header *request_find_header(const Transfer *transfer, const char *name);

/* The proxy for the current URL, "" for none. */
extern const char *request_proxy(const Transfer *transfer);

#endif							/* MISTRAL_HTTP_REQUEST_H */
