/*
 * plain_url.h
 *		URLs taken apart, without PostgreSQL: for the worker, which counts what
 *		goes to which host, and for the program that goes there.
 *
 * Both see the same host: what a URL says before it in userinfo has left the
 * text that libcurl is given, and a host has no characters in it about which
 * two parsers could disagree.
 */
#ifndef MISTRAL_PLAIN_URL_H
#define MISTRAL_PLAIN_URL_H

#include "base/plain_json.h"

/* An http or https URL taken apart; all malloc'd. */
typedef struct PlainUrl
{
	char	   *url;			/* without userinfo, unsafe characters escaped */
	char	   *origin;			/* scheme://host:port, lower case */
	char	   *user;			/* of the userinfo, decoded, or NULL */
	char	   *password;
} PlainUrl;

/*
 * Takes a URL apart and adds `query` (may be NULL or empty) to it.  Returns
 * NULL, or what is wrong with it: a constant text.
 */
extern const char *plain_url_parse(const char *text, const char *query, PlainUrl *parts);
extern void plain_url_free(PlainUrl *parts);

/* The same for a mail server, "host", "host:port" or with smtp:// or smtps:// before it; no path, no userinfo.  False: it is none. */
extern bool plain_url_mail(const char *text, PlainUrl *parts);

/* Appends name=value as form data has it, with & between pairs. */
extern void plain_url_append_pair(PlainBuffer *form, const char *name, const char *value);

#endif							/* MISTRAL_PLAIN_URL_H */
