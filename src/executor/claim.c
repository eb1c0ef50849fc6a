/*
 * claim.c
 *		From mistral.dispatch to mistral.attempt.
 *
 * The dead rows that dispatch is full of until it is vacuumed are not read:
 * whoever puts rows says which page the first of them lies on.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/rows.h"
#include "executor/claim.h"

/* Columns of mistral.dispatch, from 1. */
enum
{
	COL_ID = 1,
	COL_ROOT_ID,
	COL_ACTION_ID,
	COL_ATTEMPT,
	COL_PERFORMER,
	COL_OWNER,
	COL_ACTION,
	COL_SAFE_RERUN,
	COL_TIMEOUT,
	COL_CREATED_AT,
	COL_HEADERS,
	COL_INPUT
};

typedef struct Claim
{
	const char *performer;
	ClaimAllowed allowed;
	Relation	rel;
	Snapshot	snapshot;
	TupleTableSlot *slot;
	bool		locked;			/* the rows are, by this transaction */
	RowWriter	attempts;
	Datum		started_at;
	ClaimedAction *actions;
	int			n;
} Claim;

static void begin(Claim *claim, const char *performer, ClaimAllowed allowed, int max);
static void end(Claim *claim);
static bool is_of_performer(Claim *claim);
static bool take(Claim *claim);
static void begin_attempt(Claim *claim, const Datum *values, const bool *nulls, ClaimedAction *action);

int
claim_from(const char *performer, ClaimAllowed allowed, int max, BlockNumber *from, ClaimedAction **actions)
{
	static Oid	known_file = InvalidOid;
	Claim		claim;
	TableScanDesc scan;
	BlockNumber nblocks;
	BlockNumber left = InvalidBlockNumber;

	begin(&claim, performer, allowed, max);
	/* A table that has been written anew has them elsewhere. */
	if (claim.rel->rd_rel->relfilenode != known_file)
		*from = 0;
	known_file = claim.rel->rd_rel->relfilenode;
	nblocks = RelationGetNumberOfBlocks(claim.rel);
	if (*from < nblocks)
	{
		scan = table_beginscan_strat(claim.rel, claim.snapshot, 0, NULL, true, false);
		heap_setscanlimits(scan, *from, nblocks - *from);
		while (claim.n < max && table_scan_getnextslot(scan, ForwardScanDirection, claim.slot))
		{
			CHECK_FOR_INTERRUPTS();
			if (is_of_performer(&claim) && (!take(&claim) || claim.n == max))
				left = Min(left, ItemPointerGetBlockNumber(&claim.slot->tts_tid));
		}
		table_endscan(scan);
	}
	*from = left;
	end(&claim);
	*actions = claim.actions;
	return claim.n;
}

int
claim_places(const char *performer, ClaimAllowed allowed, const ItemPointerData *places, int nplaces, ClaimedAction **actions)
{
	Claim		claim;

	begin(&claim, performer, allowed, nplaces);
	claim.locked = true;
	for (int i = 0; i < nplaces; i++)
	{
		ItemPointerData place = places[i];

		CHECK_FOR_INTERRUPTS();
		if (table_tuple_fetch_row_version(claim.rel, &place, claim.snapshot, claim.slot) && is_of_performer(&claim))
			(void) take(&claim);
	}
	end(&claim);
	*actions = claim.actions;
	return claim.n;
}

static void
begin(Claim *claim, const char *performer, ClaimAllowed allowed, int max)
{
	memset(claim, 0, sizeof(*claim));
	claim->performer = performer;
	claim->allowed = allowed;
	claim->rel = table_open(db_table("dispatch"), RowExclusiveLock);
	claim->snapshot = RegisterSnapshot(GetLatestSnapshot());
	claim->slot = table_slot_create(claim->rel, NULL);
	rows_open(&claim->attempts, "attempt");
	claim->started_at = TimestampTzGetDatum(clock_now());
	claim->actions = palloc(sizeof(ClaimedAction) * Max(max, 1));
}

static void
end(Claim *claim)
{
	rows_close(&claim->attempts);
	ExecDropSingleTupleTableSlot(claim->slot);
	UnregisterSnapshot(claim->snapshot);
	table_close(claim->rel, NoLock);
}

static bool
is_of_performer(Claim *claim)
{
	bool		isnull;
	text	   *performer = DatumGetTextPP(slot_getattr(claim->slot, COL_PERFORMER, &isnull));

	return VARSIZE_ANY_EXHDR(performer) == strlen(claim->performer) &&
		memcmp(VARDATA_ANY(performer), claim->performer, VARSIZE_ANY_EXHDR(performer)) == 0;
}

/* Takes the row in the slot; false when somebody else has it. */
static bool
take(Claim *claim)
{
	Datum	   *values;
	bool	   *nulls;
	ClaimedAction *action = &claim->actions[claim->n];
	TM_FailureData failure;

	Assert(RelationGetDescr(claim->rel)->natts >= COL_INPUT);
	if (table_tuple_delete(claim->rel, &claim->slot->tts_tid, GetCurrentCommandId(true), claim->snapshot,
						   InvalidSnapshot, claim->locked, &failure, false) != TM_Ok)
		return false;
	db_copy_row(claim->slot, &values, &nulls);
	action->root_id = *DatumGetUUIDP(values[COL_ROOT_ID - 1]);
	action->action_id = *DatumGetUUIDP(values[COL_ACTION_ID - 1]);
	action->attempt = DatumGetInt32(values[COL_ATTEMPT - 1]);
	action->owner = DatumGetObjectId(values[COL_OWNER - 1]);
	action->action = TextDatumGetCString(values[COL_ACTION - 1]);
	action->safe_rerun = DatumGetBool(values[COL_SAFE_RERUN - 1]);
	action->timeout = nulls[COL_TIMEOUT - 1] ? 0 : DatumGetInt32(values[COL_TIMEOUT - 1]);
	action->headers = nulls[COL_HEADERS - 1] ? NULL : DatumGetJsonbP(values[COL_HEADERS - 1]);
	action->input = nulls[COL_INPUT - 1] ? NULL : DatumGetJsonbP(values[COL_INPUT - 1]);
	/* Most are alike. */
	if (claim->n > 0 && action[-1].owner == action->owner && strcmp(action[-1].action, action->action) == 0)
		action->allowed = action[-1].allowed;
	else
		action->allowed = claim->allowed(action->owner, action->action);
	ItemPointerSetInvalid(&action->place);
	if (action->allowed)
		begin_attempt(claim, values, nulls, action);
	claim->n++;
	return true;
}

/* Its input is kept where it may be sent again. */
static void
begin_attempt(Claim *claim, const Datum *values, const bool *nulls, ClaimedAction *action)
{
	static const int columns[] = {
		COL_ACTION_ID, COL_ATTEMPT, COL_ROOT_ID, COL_PERFORMER, COL_OWNER, COL_ACTION, COL_SAFE_RERUN, COL_TIMEOUT
	};
	TupleTableSlot *slot = rows_add(&claim->attempts, &action->place);
	int			n = 0;

	for (; n < lengthof(columns); n++)
	{
		slot->tts_values[n] = values[columns[n] - 1];
		slot->tts_isnull[n] = nulls[columns[n] - 1];
	}
	slot->tts_values[n++] = claim->started_at;
	slot->tts_isnull[n++] = true;	/* place */
	slot->tts_values[n++] = Int32GetDatum(1);	/* tries */
	for (int column = COL_HEADERS; column <= COL_INPUT; column++, n++)
	{
		slot->tts_values[n] = values[column - 1];
		slot->tts_isnull[n] = nulls[column - 1] || !action->safe_rerun;
	}
	Assert(n == claim->attempts.ncolumns);
}
