/*
 * http_build.h
 *		What reads a request's input.  Everything raises only for lack of memory.
 */
#ifndef MISTRAL_HTTP_BUILD_H
#define MISTRAL_HTTP_BUILD_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "executor/http_request.h"

/* A text of the server's encoding in UTF-8; palloc'd, or the text itself. */
extern char *http_utf8(char *text);

/* The same, malloc'd; and bytes that stay as they are, with a NUL behind them. */
extern char *http_copy_text(const char *text);
extern char *http_copy_bytes(const char *bytes, size_t len);

/* A parameter that is given and not null, or NULL. */
extern JsonbValue *http_get_param(const Jsonb *input, const char *name);

/* True, false, or null for `missing`; false when it is anything else, and the request a failed one. */
extern bool http_get_flag(HttpRequest *request, const Jsonb *input, const char *name, bool missing, bool *flag);

/* Takes `ca` over, the certificates that sign the server's; false when it is no such thing, and the request a failed one. */
extern bool http_get_ca(HttpRequest *request, const Jsonb *input);

/* What a task's timeout in seconds (0: none) leaves a request. */
extern int	http_task_timeout_ms(int task_timeout);

#endif							/* MISTRAL_HTTP_BUILD_H */
