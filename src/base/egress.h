/*
 * egress.h
 *		Lists of networks, and which addresses two of them let through.
 *
 * An address is refused when a network of the deny list holds it and none of
 * the allow list does; and when it is the database server itself, whatever the
 * lists say.  Without PostgreSQL, so that the I/O programs can ask as well as
 * the workers.
 */
#ifndef MISTRAL_EGRESS_H
#define MISTRAL_EGRESS_H

#include <stdbool.h>
#include <sys/socket.h>

typedef struct Network Network;

typedef struct NetworkList
{
	char	   *text;			/* what it was made from; NULL: not yet made */
	int			count;
	Network    *networks;		/* malloc'd: read in callbacks, kept for the life of the process */
} NetworkList;

/* Starts as zeros. */
typedef struct Egress
{
	NetworkList allow;
	NetworkList deny;
	int			own_port;		/* the database server's */
} Egress;

/* Whether a text is a list of networks ("10.0.0.0/8, ::1").  When it is not, *bad is the first wrong element, *badlen bytes long. */
extern bool egress_list_valid(const char *list, const char **bad, int *badlen);

/* Takes both lists over where their texts have changed, and the database server's port; false without memory. */
extern bool egress_set(Egress *egress, const char *allow, const char *deny, int own_port);

/* Whether the address may be reached.  Neither allocates nor raises. */
extern bool egress_allowed(const Egress *egress, const struct sockaddr *address);

/* Whether it is the database server's, which is never allowed. */
extern bool egress_is_server(const Egress *egress, const struct sockaddr *address);

/* Whether a network lets an address in text form through; what is not an address is refused. */
extern bool egress_text_allowed(const Egress *egress, const char *address);

#endif							/* MISTRAL_EGRESS_H */
