/*
 * inbox.h
 *		Taking messages and due timers out of their tables.
 */
#ifndef MISTRAL_INBOX_H
#define MISTRAL_INBOX_H

#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "engine/engine.h"

/* A message as it was read; in the caller's memory context. */
typedef struct InboxMessage
{
	ItemPointerData tid;
	pg_uuid_t	id;
	pg_uuid_t	root_id;
	char	   *kind;
	bool		has_target;
	pg_uuid_t	target;
	Jsonb	   *payload;
	TimestampTz due_at;			/* timers: part of the key; messages: DT_NOBEGIN */
	bool		is_timer;
} InboxMessage;

/*
 * The places of up to `limit` messages, whoever put them, whose roots belong to
 * that of so many parts (id_share); without starts if they are not wanted now.
 */
extern int	inbox_look(int limit, bool starts, int part, int parts, MessageHint **hints);

/* Timers due by now, soonest first, up to `limit`; as messages. */
extern int	inbox_due_timers(TimestampTz now, int limit, InboxMessage **timers);

/*
 * Reads what the hints point to, with a new snapshot.  A hint whose row is not
 * there (any more) is passed over.  Returns the number read, ordered by id.
 */
extern int	inbox_read(const MessageHint *hints, int nhints, InboxMessage *messages);

/* Deletes them; an error when one is gone already, for then it would act twice. */
extern void inbox_delete(const InboxMessage *messages, int nmessages);

/* Moves a message that cannot be handled out of the way, with the reason. */
extern void inbox_park(const MessageHint *hint, const char *error);

/* When the next timer is due; DT_NOEND: none. */
extern TimestampTz inbox_next_timer(void);

#endif							/* MISTRAL_INBOX_H */
