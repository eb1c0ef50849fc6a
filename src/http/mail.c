/*
 * mail.c
 *		A request that hands a message to an SMTP server.
 */
#include <stdio.h>
#include <string.h>

#include "http/mail.h"

static size_t read_body(char *buffer, size_t size, size_t nitems, void *arg);

bool
mail_set_options(Transfer *transfer)
{
	if (CURL_SET_MAIL_PROTOCOLS(transfer->easy) != CURLE_OK)
	{
		transfer_fail(transfer, "libcurl speaks no SMTP");
		return false;
	}
	transfer->body_sent = 0;
	SET(CURLOPT_MAIL_FROM, transfer->mail_from);
	SET(CURLOPT_MAIL_RCPT, transfer->recipients);
	SET(CURLOPT_UPLOAD, 1L);
	SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t) transfer->body_len);
	SET(CURLOPT_READFUNCTION, read_body);
	SET(CURLOPT_READDATA, (void *) transfer);
	SET(CURLOPT_FORBID_REUSE, 1L);
	/* A password goes over an encrypted connection or not at all, as in the original. */
	if (transfer->password != NULL)
	{
		SET(CURLOPT_USE_SSL, (long) CURLUSESSL_ALL);
		SET(CURLOPT_USERNAME, transfer->user);
		SET(CURLOPT_PASSWORD, transfer->password);
	}
	return true;
}

/* libcurl takes its leave after a refusal, so that the server's farewell (221) may be the last line. */
bool
mail_refusal(const Transfer *transfer, char *text, size_t size)
{
	const char *head = transfer->head.data;
	size_t		begin = transfer->head.len;
	size_t		end;

	do
	{
		end = begin;
		while (end > 0 && (head[end - 1] == '\n' || head[end - 1] == '\r'))
			end--;
		for (begin = end; begin > 0 && head[begin - 1] != '\n';)
			begin--;
	} while (end - begin >= 3 && memcmp(head + begin, "221", 3) == 0);
	if (end - begin < 3 || (head[begin] != '4' && head[begin] != '5'))
		return false;
	snprintf(text, size, "%.*s", (int) (end - begin), head + begin);
	return true;
}

static size_t
read_body(char *buffer, size_t size, size_t nitems, void *arg)
{
	Transfer   *transfer = arg;
	size_t		left = transfer->body_len - transfer->body_sent;
	size_t		n = size * nitems < left ? size * nitems : left;

	memcpy(buffer, transfer->body + transfer->body_sent, n);
	transfer->body_sent += n;
	return n;
}
