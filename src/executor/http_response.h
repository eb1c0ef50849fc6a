/*
 * http_response.h
 *		What came back, turned into a result when it is recorded.
 */
#ifndef MISTRAL_HTTP_RESPONSE_H
#define MISTRAL_HTTP_RESPONSE_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "executor/http_request.h"

/*
 * The result of an action as the workflow sees it, in the current memory
 * context, and whether it is a failure.  In a transaction; raises only what
 * ends the process or lacks memory: nothing that a server answered can make it
 * fail.
 */
extern Jsonb *http_response_result(HttpRequest *request, bool *failed);

#endif							/* MISTRAL_HTTP_RESPONSE_H */
