/*
 * curl.h
 *		libcurl, and every difference between its versions.
 */
#ifndef MISTRAL_HTTP_CURL_H
#define MISTRAL_HTTP_CURL_H

#include <curl/curl.h>

/* 7.85 takes protocols as names; before that as bits. */
#if LIBCURL_VERSION_NUM >= 0x075500
#define CURL_SET_PROTOCOLS(easy) \
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
#define CURL_SET_REDIR_PROTOCOLS(easy) \
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
#define CURL_SET_MAIL_PROTOCOLS(easy) \
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps")
#else
#define CURL_SET_PROTOCOLS(easy) \
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS))
#define CURL_SET_REDIR_PROTOCOLS(easy) \
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS))
#define CURL_SET_MAIL_PROTOCOLS(easy) \
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_SMTP | CURLPROTO_SMTPS))
#endif

/*
 * 7.80 asks before a request goes out on a connection, reused ones too.  Older
 * versions ask only when a connection is made, so there none is reused.
 */
#if LIBCURL_VERSION_NUM >= 0x075000
#define HAVE_CURL_PREREQ 1
#endif

/* 7.77 takes certificates from memory. */
#if LIBCURL_VERSION_NUM >= 0x074d00
#define HAVE_CURL_CA_BLOB 1
#endif

/* 7.87: a handle that ends does not wait for its thread that looks up a name. */
#if LIBCURL_VERSION_NUM >= 0x075700
#define HAVE_CURL_QUICK_EXIT 1
#endif

#endif							/* MISTRAL_HTTP_CURL_H */
