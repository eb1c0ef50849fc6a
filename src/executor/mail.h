/*
 * mail.h
 *		std.email: a message and the SMTP request that hands it over.
 *
 * It is a request like those of HTTP (http_request.h): the same pool carries it,
 * with the same limits, timeouts and rules for addresses.
 */
#ifndef MISTRAL_MAIL_H
#define MISTRAL_MAIL_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "executor/http_request.h"

#define ACTION_MAIL_NAME "std.email"

/*
 * Makes it of an action's evaluated input and the task's timeout in seconds (0:
 * none).  Input that cannot be sent makes the request a failed one.  Raises only
 * for lack of memory.
 */
extern void mail_build(HttpRequest *request, const Jsonb *input, int task_timeout);

#endif							/* MISTRAL_MAIL_H */
