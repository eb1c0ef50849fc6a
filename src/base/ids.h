/*
 * ids.h
 *		Time-ordered identifiers (UUID version 7) and their text.
 */
#ifndef MISTRAL_IDS_H
#define MISTRAL_IDS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/uuid.h"

#define UUID_TEXT_LEN 36

/* A new identifier: later than every one this process made before. Unique, not secret. */
extern void id_new(pg_uuid_t *id);

/* Text form into a buffer of UUID_TEXT_LEN + 1 bytes; returns the buffer. */
extern char *id_text(const pg_uuid_t *id, char *buf);
extern char *id_cstring(const pg_uuid_t *id);	/* palloc'd */

/* False when the text is no UUID. */
extern bool id_parse(const char *text, pg_uuid_t *id);

static inline bool
id_equal(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN) == 0;
}

/* To which of so many equal parts the id belongs, from 0. */
extern int	id_share(const pg_uuid_t *id, int count);

/* The uuid[] of a List of pg_uuid_t *, and of ids one after the other. */
extern Datum id_array(List *ids);
extern Datum id_array_of(const pg_uuid_t *ids, int nids);

#endif							/* MISTRAL_IDS_H */
