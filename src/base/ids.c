/*
 * ids.c
 *		Time-ordered identifiers: UUID version 7 (RFC 9562) from the clock, a
 *		counter and a generator of this process.
 *
 * 48 bits of milliseconds, 12 bits of their fraction, 62 bits of which the
 * upper part counts and the rest is random, drawn once in a process.  Later
 * identifiers of one process always sort after earlier ones, also when the
 * clock steps back.
 */
#include "postgres.h"

#include <time.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port.h"
#include "utils/array.h"

#include "base/ids.h"

static uint64 last_stamp = 0;	/* ms << 12 | fraction */
static uint64 process_bits = 0;
static int	process_pid = 0;

void
id_new(pg_uuid_t *id)
{
	struct timespec ts;
	uint64		stamp;
	uint64		low;
	int			i;

	if (process_pid != MyProcPid)
	{
		/* A forked child must not repeat its parent's identifiers. */
		if (!pg_strong_random(&process_bits, sizeof(process_bits)))
			elog(ERROR, "could not generate random bits");
		process_pid = MyProcPid;
	}

	clock_gettime(CLOCK_REALTIME, &ts);
	stamp = ((uint64) ts.tv_sec * 1000 + ts.tv_nsec / 1000000) << 12;
	stamp |= ((uint64) (ts.tv_nsec % 1000000) << 12) / 1000000;
	if (stamp <= last_stamp)
		stamp = last_stamp + 1;
	last_stamp = stamp;

	/* An odd step through 64 bits: unique within a process, spread between them. */
	process_bits += UINT64CONST(0x9E3779B97F4A7C15);
	low = process_bits;
	low ^= low >> 31;
	low *= UINT64CONST(0xBF58476D1CE4E5B9);
	low ^= low >> 29;

	for (i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (stamp >> (52 - 8 * i));
	id->data[6] = 0x70 | (unsigned char) ((stamp >> 8) & 0x0F);
	id->data[7] = (unsigned char) (stamp & 0xFF);
	for (i = 0; i < 8; i++)
		id->data[8 + i] = (unsigned char) (low >> (56 - 8 * i));
	id->data[8] = 0x80 | (id->data[8] & 0x3F);
}

char *
id_text(const pg_uuid_t *id, char *buf)
{
	static const char hex[] = "0123456789abcdef";
	char	   *p = buf;
	int			i;

	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[id->data[i] >> 4];
		*p++ = hex[id->data[i] & 0x0F];
	}
	*p = '\0';
	return buf;
}

char *
id_cstring(const pg_uuid_t *id)
{
	return id_text(id, palloc(UUID_TEXT_LEN + 1));
}

bool
id_parse(const char *text, pg_uuid_t *id)
{
	int			nibbles = 0;
	const char *p;

	memset(id, 0, sizeof(*id));
	for (p = text; *p; p++)
	{
		int			digit;

		if (*p == '-')
		{
			if (nibbles != 8 && nibbles != 12 && nibbles != 16 && nibbles != 20)
				return false;
			continue;
		}
		if (*p >= '0' && *p <= '9')
			digit = *p - '0';
		else if (*p >= 'a' && *p <= 'f')
			digit = *p - 'a' + 10;
		else if (*p >= 'A' && *p <= 'F')
			digit = *p - 'A' + 10;
		else
			return false;
		if (nibbles >= 2 * UUID_LEN)
			return false;
		id->data[nibbles / 2] |= digit << (nibbles % 2 ? 0 : 4);
		nibbles++;
	}
	return nibbles == 2 * UUID_LEN;
}

int
id_share(const pg_uuid_t *id, int count)
{
	return (int) (hash_bytes(id->data, UUID_LEN) % (uint32) count);
}

Datum
id_array_of(const pg_uuid_t *ids, int nids)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(nids, 1));

	for (int i = 0; i < nids; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	return PointerGetDatum(construct_array(elements, nids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

Datum
id_array(List *ids)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(ids), 1));
	ListCell   *lc;
	int			n = 0;

	foreach(lc, ids)
		elements[n++] = UUIDPGetDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}
