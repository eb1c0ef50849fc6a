/*
 * mail.h
 *		A request that hands a message to an SMTP server.
 */
#ifndef MISTRAL_HTTP_MAIL_H
#define MISTRAL_HTTP_MAIL_H

#include "http/transfer.h"

/* What libcurl has to know, besides what every request sets; false: it is a failed request now. */
extern bool mail_set_options(Transfer *transfer);

/* The last thing that the server said, when it was a refusal; false when it was none. */
extern bool mail_refusal(const Transfer *transfer, char *text, size_t size);

#endif							/* MISTRAL_HTTP_MAIL_H */
