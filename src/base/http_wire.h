/*
 * http_wire.h
 *		What the worker and the program mistral_http say to each other, in the
 *		frames of channel.h: one byte that says what it is, and fields.
 *
 * A field is a byte that names it, four bytes of length, so many bytes, and a
 * NUL, so that texts can be used where they lie.  Nothing is escaped: a body is
 * copied as it is.  Plain C, for both sides.
 */
#ifndef MISTRAL_HTTP_WIRE_H
#define MISTRAL_HTTP_WIRE_H

#include "base/plain_json.h"

/* To the program. */
#define WIRE_RULES 'E'			/* WIRE_ALLOW, WIRE_DENY, WIRE_OWN_PORT, WIRE_MAX_RESULT, WIRE_CONNECTIONS: first, and whenever they change */
#define WIRE_REQUEST 'R'

/* From it. */
#define WIRE_HELLO 'H'			/* WIRE_FAILURE where something is not as it should be */
#define WIRE_ANSWER 'A'

/* Of the rules. */
#define WIRE_ALLOW 'a'			/* lists of networks */
#define WIRE_DENY 'd'
#define WIRE_OWN_PORT 'o'		/* the database server's */
#define WIRE_MAX_RESULT 'm'		/* bytes of a body */
#define WIRE_CONNECTIONS 'c'	/* at once, at most */

/* Of requests and answers. */
#define WIRE_ID 'i'
#define WIRE_URL 'u'

/* Of a request. */
#define WIRE_METHOD 'm'
#define WIRE_BODY 'b'
#define WIRE_HEADER 'h'			/* the name */
#define WIRE_HEADER_VALUE 'v'	/* of the header before; without it, the one that libcurl would add is left out */
#define WIRE_SECRET_HEADER 'S'	/* the header before holds a secret: it goes to no other origin */
#define WIRE_SECRET_BODY 'B'	/* so does the body */
#define WIRE_USER 'n'
#define WIRE_PASSWORD 'p'
#define WIRE_DIGEST 'd'			/* the way of authentication */
#define WIRE_COOKIES 'k'
#define WIRE_PROXY_HTTP '0'
#define WIRE_PROXY_HTTPS '1'
#define WIRE_PROXY_ALL '2'
#define WIRE_CA 'a'
#define WIRE_VERIFY 'y'
#define WIRE_FOLLOW 'f'
#define WIRE_REPEATABLE 'r'		/* may be sent more than once */
#define WIRE_TIMEOUT 't'		/* ms, for all hops together */
#define WIRE_CONNECT_TIMEOUT 'c'
#define WIRE_MAIL_FROM 'F'		/* makes it a mail */
#define WIRE_RECIPIENT 'R'
#define WIRE_OWNER 'O'			/* a number of the role whose request it is */

/* Of an answer: a failure alone, or the others. */
#define WIRE_FAILURE 'e'
#define WIRE_STATUS 's'
#define WIRE_ELAPSED 'l'		/* microseconds until the headers were there */
#define WIRE_HOP 'h'			/* status of an answer that redirected */
#define WIRE_HOP_URL 'v'		/* of the hop before */
#define WIRE_JAR 'j'			/* cookies: "name\tvalue\n" */
#define WIRE_HEAD 'H'			/* status line and header lines */
#define WIRE_CONTENT 'C'		/* the decoded body */

#define HTTP_MAX_REDIRECTS		10
#define HTTP_MAX_REQUEST_HEADERS 200
#define HTTP_FAILURE_LEN		512

/* Connections that are kept for later requests, and descriptors for everything else. */
#define HTTP_IDLE_LIMIT			256
#define HTTP_SPARE_FDS			64

typedef struct WireField
{
	char		tag;
	const char *data;			/* NUL-terminated */
	size_t		len;
} WireField;

/* A frame at the end of the buffer. */
extern void wire_begin(PlainBuffer *buffer, char kind);
extern void wire_add(PlainBuffer *buffer, char tag, const char *data, size_t len);
extern void wire_add_text(PlainBuffer *buffer, char tag, const char *text); /* NULL adds nothing */
extern void wire_add_int(PlainBuffer *buffer, char tag, int64_t number);

/* `begin` is where it began; `more` bytes that follow the buffer belong to it: a last field that wire_head has begun. */
extern void wire_end(PlainBuffer *buffer, size_t begin, size_t more);
extern void wire_head(PlainBuffer *buffer, char tag, size_t len);

/* The fields of a body, behind its first byte: start with *cursor = 1.  False at the end, where *cursor is `len` unless it is malformed. */
extern bool wire_next(const char *body, size_t len, size_t *cursor, WireField *field);
extern int64_t wire_int(const WireField *field);

#endif							/* MISTRAL_HTTP_WIRE_H */
