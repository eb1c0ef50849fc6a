/*
 * pull.c
 *		Actions for pull workers: offers, leases, and how they end.
 *
 * A delivery counts its attempts by itself: the action's own attempt, under
 * which only one completion is taken, stays.  Input and names are read from the
 * action when it is claimed, so that both tables stay narrow.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/rows.h"
#include "mistral.h"
#include "queue/message.h"
#include "queue/pull.h"
#include "queue/token.h"

/* Leases taken back at a time. */
#define SWEEP_LIMIT 1000

/*
 * Milliseconds after which a session's claims look at all offers again.  Until
 * then they begin behind the last one that was claimed.
 */
#define LOOK_AT_ALL 100

/* A lease may become an offer and again a lease while somebody ends the action. */
#define END_TRIES 3

/* Columns of offer, from 0. */
enum
{
	OFFER_ACTION_ID,
	OFFER_ROOT_ID,
	OFFER_TARGET,
	OFFER_OWNER,
	OFFER_ACTION,
	OFFER_ATTEMPT,
	OFFER_SAFE_RERUN,
	OFFER_HELD,
	OFFER_CREATED_AT
};

/* Columns of lease, action_execution, task and execution, from 1. */
#define LEASE_ATTEMPT 6
#define ACTION_TASK_ID 2
#define ACTION_EXECUTION_ID 3
#define ACTION_FINISHED_AT 14
#define ACTION_RUNTIME 16
#define ACTION_INPUT 17
#define TASK_NAME 4
#define TASK_FINISHED_AT 13
#define EXECUTION_NAME 7
#define EXECUTION_FINISHED_AT 13

typedef struct Offer
{
	Datum	   *values;
	bool	   *nulls;
} Offer;

/* A task or an execution that was looked for. */
typedef struct Named
{
	const char *table;
	const char *index;
	int			name_column;
	int			finished_column;
	pg_uuid_t	id;
	bool		found;
	bool		finished;
	Datum		name;			/* 0: there is none */
} Named;

/* Where this session's claims have got to. */
typedef struct Reached
{
	char	   *target;			/* in TopMemoryContext; NULL: any */
	Oid			role;			/* InvalidOid: nowhere */
	pg_uuid_t	action_id;		/* the last one that was claimed */
	TransactionId xid;			/* and by what: nothing counts unless it is or was committed */
	TimestampTz looked_at_all;
} Reached;

static List *take_offers(const PullClaim *claim);
static bool begin_behind(const PullClaim *claim);
static List *take_behind(const PullClaim *claim, const pg_uuid_t *after, List *offers);
static void look_at_all(void);
static void remember(const PullClaim *claim, const List *offers, bool all);
static void fill_lease(TupleTableSlot *slot, const PullClaim *claim, const Offer *offer, TimestampTz now);
static void give_leases(const PullClaim *claim, List *offers, PullClaimed row, void *arg);
static void find_named(Named *named, TupleTableSlot *action, int attnum);
static void take_leases(PullEnd *ends, int n);
static bool delete_leases(PullEnd *ends, int n);
static bool delete_offers(PullEnd *ends, int n);
static List *not_found(PullEnd *ends, int n);
static PullEnd *find_end(PullEnd *ends, int n, const pg_uuid_t *id);
static int	compare_id(const void *id, const void *end);
static void end_unsafe(const pg_uuid_t *root_id, const pg_uuid_t *action_id, int attempt, const char *worker);

lease_given_hook_type lease_given_hook = NULL;

static Reached reached;

void
pull_claim(const PullClaim *claim, PullClaimed row, void *arg)
{
	List	   *offers = take_offers(claim);
	RowWriter	leases;
	TimestampTz now;
	ListCell   *lc;

	if (offers == NIL)
		return;
	now = clock_now();
	rows_open(&leases, "lease");
	foreach(lc, offers)
		fill_lease(rows_add(&leases, NULL), claim, lfirst(lc), now);
	rows_close(&leases);
	give_leases(claim, offers, row, arg);
	if (lease_given_hook)
		lease_given_hook(claim->lease_until);
}

/*
 * Deletes the oldest that the role may have, passing over those that somebody
 * is moving; gives what they held (Offer).
 *
 * Offers lie in the index by their age, and what was claimed stays there until it
 * is vacuumed: with a long queue, or while an old snapshot keeps it, going over that in each
 * claim would cost more than the claim.  What comes to lie before the place that was reached,
 * as an offer does that is made again, is found when those behind it do not suffice, and soon in any case.
 */
static List *
take_offers(const PullClaim *claim)
{
	bool		behind = begin_behind(claim);
	List	   *offers = take_behind(claim, behind ? &reached.action_id : NULL, NIL);

	if (behind && list_length(offers) < claim->max)
	{
		behind = false;
		offers = take_behind(claim, NULL, offers);
	}
	remember(claim, offers, !behind);
	return offers;
}

static bool
begin_behind(const PullClaim *claim)
{
	TimestampTz now = GetCurrentTimestamp();

	return reached.role == claim->role &&
		(claim->target && reached.target ? strcmp(claim->target, reached.target) == 0 : claim->target == reached.target) &&
		reached.looked_at_all <= now && !TimestampDifferenceExceeds(reached.looked_at_all, now, LOOK_AT_ALL) &&
		(TransactionIdIsCurrentTransactionId(reached.xid) || TransactionIdDidCommit(reached.xid));
}

/*
 * Adds those with greater ids than `after` (NULL: all).  Through the index: a
 * statement would lock each row before, and log that, too.
 */
static List *
take_behind(const PullClaim *claim, const pg_uuid_t *after, List *offers)
{
	const char *texts[1] = {claim->target};
	DbLookup	lookup;
	TupleTableSlot *slot;

	if (claim->target)
		db_lookup_begin_after(&lookup, "offer", "offer_target", texts, 1, after);
	else
		db_lookup_begin_after(&lookup, "offer", "offer_pkey", NULL, 0, after);
	while (list_length(offers) < claim->max && (slot = db_lookup_next(&lookup)) != NULL)
	{
		Offer	   *offer;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (slot->tts_isnull[OFFER_TARGET] || DatumGetBool(slot->tts_values[OFFER_HELD]) ||
			!has_privs_of_role(claim->role, DatumGetObjectId(slot->tts_values[OFFER_OWNER])) ||
			!db_lookup_delete(&lookup, false))
			continue;
		offer = palloc(sizeof(Offer));
		db_copy_row(slot, &offer->values, &offer->nulls);
		offers = lappend(offers, offer);
	}
	db_lookup_end(&lookup);
	return offers;
}

/* This session itself makes offers that may lie before the place that was reached. */
static void
look_at_all(void)
{
	reached.role = InvalidOid;
}

/* `all`: all offers were looked at. */
static void
remember(const PullClaim *claim, const List *offers, bool all)
{
	if (offers == NIL)
		return;
	if (all)
	{
		char	   *target = claim->target ? MemoryContextStrdup(TopMemoryContext, claim->target) : NULL;

		if (reached.target)
			pfree(reached.target);
		reached.target = target;
		reached.role = claim->role;
		reached.looked_at_all = GetCurrentTimestamp();
	}
	reached.xid = GetCurrentTransactionId();
	reached.action_id = *DatumGetUUIDP(((const Offer *) llast(offers))->values[OFFER_ACTION_ID]);
}

/* The columns of lease in their order. */
static void
fill_lease(TupleTableSlot *slot, const PullClaim *claim, const Offer *offer, TimestampTz now)
{
	static const int same[] = {
		OFFER_ACTION_ID, OFFER_ROOT_ID, OFFER_TARGET, OFFER_OWNER, OFFER_ACTION, OFFER_ATTEMPT, OFFER_SAFE_RERUN, OFFER_CREATED_AT
	};
	int			n = lengthof(same);

	for (int i = 0; i < n; i++)
		slot->tts_values[i] = offer->values[same[i]];
	slot->tts_isnull[n] = claim->worker == NULL;
	slot->tts_values[n++] = claim->worker ? CStringGetTextDatum(claim->worker) : (Datum) 0;
	slot->tts_values[n++] = TimestampTzGetDatum(now);
	slot->tts_values[n] = TimestampTzGetDatum(claim->lease_until);
}

/*
 * What ended while its offer was locked by another claim is leased all the same,
 * and given to nobody: when that lease runs out, the engine knows what to do.
 * Many are of one task.
 */
static void
give_leases(const PullClaim *claim, List *offers, PullClaimed row, void *arg)
{
	DbLookup	actions;
	Named		task = {"task", "task_pkey", TASK_NAME, TASK_FINISHED_AT};
	Named		execution = {"execution", "execution_pkey", EXECUTION_NAME, EXECUTION_FINISHED_AT};
	TokenKey	key;
	ListCell   *lc;

	token_key_read(&key);
	db_lookup_latest(&actions, "action_execution", "action_execution_pkey", NULL);
	foreach(lc, offers)
	{
		const Offer *offer = lfirst(lc);
		const pg_uuid_t *id = DatumGetUUIDP(offer->values[OFFER_ACTION_ID]);
		Datum		values[PULL_CLAIM_COLUMNS] = {0};
		bool		nulls[PULL_CLAIM_COLUMNS] = {false};
		TupleTableSlot *slot;
		Jsonb	   *input;

		CHECK_FOR_INTERRUPTS();
		db_lookup_again(&actions, id);
		slot = db_lookup_next(&actions);
		if (slot == NULL || !slot_attisnull(slot, ACTION_FINISHED_AT))
			continue;
		find_named(&task, slot, ACTION_TASK_ID);
		find_named(&execution, slot, ACTION_EXECUTION_ID);
		if (execution.finished)
			continue;
		values[0] = UUIDPGetDatum(id);
		values[1] = offer->values[OFFER_ACTION];
		input = slot_attisnull(slot, ACTION_RUNTIME) ? NULL :
			json_get_jsonb(DatumGetJsonbP(slot_getattr(slot, ACTION_RUNTIME, &nulls[2])), "input");
		values[2] = input ? JsonbPGetDatum(input) : slot_getattr(slot, ACTION_INPUT, &nulls[2]);
		values[3] = task.name;
		nulls[3] = task.name == (Datum) 0;
		values[4] = execution.name;
		nulls[4] = execution.name == (Datum) 0;
		values[5] = slot_getattr(slot, ACTION_EXECUTION_ID, &nulls[5]);
		values[6] = offer->values[OFFER_ATTEMPT];
		values[7] = TimestampTzGetDatum(claim->lease_until);
		values[8] = CStringGetTextDatum(token_make(&key, id, DatumGetInt32(values[6])));
		row(arg, values, nulls);
	}
	db_lookup_end(&actions);
}

/* Looks for the row that a column of an action names, unless it is the one found last. */
static void
find_named(Named *named, TupleTableSlot *action, int attnum)
{
	DbLookup	lookup;
	TupleTableSlot *slot;
	bool		isnull;
	Datum		id = slot_getattr(action, attnum, &isnull);

	if (!isnull && named->found && id_equal(&named->id, DatumGetUUIDP(id)))
		return;
	named->name = (Datum) 0;
	named->found = named->finished = false;
	if (isnull)
		return;
	named->id = *DatumGetUUIDP(id);
	db_lookup_latest(&lookup, named->table, named->index, &named->id);
	slot = db_lookup_next(&lookup);
	if (slot)
	{
		named->found = true;
		named->name = PointerGetDatum(DatumGetTextPCopy(slot_getattr(slot, named->name_column, &isnull)));
		named->finished = !slot_attisnull(slot, named->finished_column);
	}
	db_lookup_end(&lookup);
}

/* In the order in which pull_end locks them. */
int
pull_heartbeat(Datum ids, Datum attempts, const char *worker, TimestampTz lease_until, Oid role)
{
	static DbStatement update = {
		"UPDATE mistral.lease SET lease_until = $2 WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT l.ctid FROM mistral.lease l WHERE l.action_id OPERATOR(pg_catalog.=) ANY ($1) "
		"AND pg_catalog.pg_has_role($3, l.owner, 'USAGE') AND ($4 IS NULL OR l.worker OPERATOR(pg_catalog.=) $4) "
		"AND ($5 IS NULL OR ROW(l.action_id, l.attempt) OPERATOR(pg_catalog.=) ANY (SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($5)))) "
		"AND EXISTS (SELECT FROM mistral.action_execution a WHERE a.id OPERATOR(pg_catalog.=) l.action_id AND a.finished_at IS NULL "
		"AND NOT EXISTS (SELECT FROM mistral.execution e WHERE e.id OPERATOR(pg_catalog.=) a.execution_id AND e.finished_at IS NOT NULL)) "
		"ORDER BY l.action_id FOR UPDATE OF l))",
		5, {UUIDARRAYOID, TIMESTAMPTZOID, OIDOID, TEXTOID, INT4ARRAYOID}
	};
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', worker ? ' ' : 'n', attempts ? ' ' : 'n'};

	values[0] = ids;
	values[1] = TimestampTzGetDatum(lease_until);
	values[2] = ObjectIdGetDatum(role);
	values[3] = worker ? CStringGetTextDatum(worker) : (Datum) 0;
	values[4] = attempts;
	return (int) db_execute(&update, values, nulls, false, 0);
}

/* Each round waits for whoever is moving the rows, and the next one looks where they went. */
void
pull_end(PullEnd *ends, int n)
{
	for (int i = 0; i < n; i++)
	{
		ends[i].current = 0;
		ends[i].found = false;
	}
	take_leases(ends, n);
	for (int i = 0; i < END_TRIES && not_found(ends, n) != NIL && delete_leases(ends, n); i++)
		if (!delete_offers(ends, n))
			break;
}

/*
 * As nearly always all of them are leased, under the attempts that are given:
 * those are deleted where they lie, in their order, up to the first of which
 * that does not hold.  The statements go on from there.
 */
static void
take_leases(PullEnd *ends, int n)
{
	DbLookup	lookup;

	db_lookup_latest(&lookup, "lease", "lease_pkey", NULL);
	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *slot;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		db_lookup_again(&lookup, &ends[i].action_id);
		slot = db_lookup_next(&lookup);
		if (slot == NULL ||
			(ends[i].attempt > 0 && ends[i].attempt < DatumGetInt32(slot_getattr(slot, LEASE_ATTEMPT, &isnull))))
			break;
		ends[i].found = db_lookup_delete(&lookup, true);
		if (!ends[i].found)
			break;
	}
	db_lookup_end(&lookup);
}

/* Whether there are any that are not found yet.  The rows are locked first, for the attempt says whether to delete them. */
static bool
delete_leases(PullEnd *ends, int n)
{
	static DbStatement lock = {
		"SELECT action_id, attempt, ctid FROM mistral.lease WHERE action_id OPERATOR(pg_catalog.=) ANY ($1) "
		"ORDER BY action_id FOR UPDATE",
		1, {UUIDARRAYOID}
	};
	static DbStatement delete = {"DELETE FROM mistral.lease WHERE ctid OPERATOR(pg_catalog.=) ANY ($1)", 1, {TIDARRAYOID}};
	List	   *left = not_found(ends, n);
	Datum		values[1] = {id_array(left)};
	Datum	   *places = palloc(sizeof(Datum) * n);
	int			nplaces = 0;
	uint64		rows;
	bool		isnull;

	rows = db_execute(&lock, values, NULL, false, 0);
	for (uint64 i = 0; i < rows; i++)
	{
		PullEnd    *end = find_end(ends, n, DatumGetUUIDP(db_datum(i, 1, &isnull)));
		int			current = DatumGetInt32(db_datum(i, 2, &isnull));

		end->found = true;
		if (end->attempt > 0 && end->attempt < current)
			end->current = current;
		else
			places[nplaces++] = db_datum(i, 3, &isnull);
	}
	if (nplaces > 0)
	{
		values[0] = PointerGetDatum(construct_array(places, nplaces, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
		db_execute(&delete, values, NULL, false, 0);
	}
	return rows < list_length(left);
}

/* The same for offers. */
static bool
delete_offers(PullEnd *ends, int n)
{
	static DbStatement delete = {
		"DELETE FROM mistral.offer WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM mistral.offer "
		"WHERE action_id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY action_id FOR UPDATE)) RETURNING action_id",
		1, {UUIDARRAYOID}
	};
	List	   *left = not_found(ends, n);
	Datum		values[1] = {id_array(left)};
	uint64		rows = db_execute(&delete, values, NULL, false, 0);
	bool		isnull;

	for (uint64 i = 0; i < rows; i++)
		find_end(ends, n, DatumGetUUIDP(db_datum(i, 1, &isnull)))->found = true;
	return rows < list_length(left);
}

static List *
not_found(PullEnd *ends, int n)
{
	List	   *left = NIL;

	for (int i = 0; i < n; i++)
		if (!ends[i].found)
			left = lappend(left, &ends[i].action_id);
	return left;
}

static PullEnd *
find_end(PullEnd *ends, int n, const pg_uuid_t *id)
{
	return bsearch(id, ends, n, sizeof(PullEnd), compare_id);
}

/* The id is what a PullEnd begins with. */
static int
compare_id(const void *id, const void *end)
{
	return memcmp(id, end, UUID_LEN);
}

bool
pull_answer(const pg_uuid_t *action_id)
{
	static DbStatement statement = {
		"DELETE FROM mistral.offer WHERE action_id OPERATOR(pg_catalog.=) $1 AND NOT held", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(action_id)};

	return db_execute(&statement, values, NULL, false, 0) > 0;
}

void
pull_offer(const pg_uuid_t *action_id, const char *target, const char *action, Oid owner)
{
	static DbStatement insert = {
		"INSERT INTO mistral.offer (action_id, root_id, target, owner, action, attempt, safe_rerun, held, created_at) "
		"VALUES ($1, $1, $2, $3, $4, 1, true, false, $5)",
		5, {UUIDOID, TEXTOID, OIDOID, TEXTOID, TIMESTAMPTZOID}
	};
	Datum		values[5];
	char		nulls[5] = {' ', target ? ' ' : 'n', ' ', ' ', ' '};

	values[0] = UUIDPGetDatum(action_id);
	values[1] = target ? CStringGetTextDatum(target) : (Datum) 0;
	values[2] = ObjectIdGetDatum(owner);
	values[3] = CStringGetTextDatum(action);
	values[4] = TimestampTzGetDatum(clock_now());
	db_execute(&insert, values, nulls, false, 0);
}

char *
pull_offered_to(const pg_uuid_t *action_id)
{
	static DbStatement select = {
		"SELECT target FROM mistral.offer WHERE action_id OPERATOR(pg_catalog.=) $1 AND target IS NOT NULL", 1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(action_id)};
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return NULL;
	return TextDatumGetCString(db_datum(0, 1, &isnull));
}

void
pull_withdraw(Datum ids)
{
	static DbStatement offers = {
		"DELETE FROM mistral.offer WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM mistral.offer "
		"WHERE action_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE SKIP LOCKED))",
		1, {UUIDARRAYOID}
	};
	static DbStatement leases = {
		"DELETE FROM mistral.lease WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM mistral.lease "
		"WHERE action_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE SKIP LOCKED))",
		1, {UUIDARRAYOID}
	};

	db_execute(&offers, &ids, NULL, false, 0);
	db_execute(&leases, &ids, NULL, false, 0);
}

void
pull_hold(Datum ids, bool held)
{
	static DbStatement update = {
		"UPDATE mistral.offer SET held = $2 WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM mistral.offer "
		"WHERE action_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE SKIP LOCKED))",
		2, {UUIDARRAYOID, BOOLOID}
	};
	Datum		values[2] = {ids, BoolGetDatum(held)};

	db_execute(&update, values, NULL, false, 0);
	look_at_all();
}

/* ---------------------------------------------------------------- leases that run out */

int
pull_sweep(void (*told) (const char *target), TimestampTz *next)
{
	static DbStatement sweep = {
		"WITH lost AS (DELETE FROM mistral.lease WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT ctid FROM mistral.lease WHERE lease_until OPERATOR(pg_catalog.<=) $1 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING *), "
		"known AS (SELECT l.*, a.attempt AS completion, a.finished_at IS NULL AS runs, e.finished_at IS NOT NULL AS over "
		"FROM lost l LEFT JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) l.action_id "
		"LEFT JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) a.execution_id), "
		"again AS (INSERT INTO mistral.offer (action_id, root_id, target, owner, action, attempt, safe_rerun, held, created_at) "
		"SELECT action_id, root_id, target, owner, action, attempt OPERATOR(pg_catalog.+) 1, safe_rerun, over, created_at "
		"FROM known WHERE safe_rerun AND runs AND completion IS NOT NULL) "
		"SELECT root_id, action_id, completion, target, worker, safe_rerun, runs AND NOT over FROM known WHERE completion IS NOT NULL",
		2, {TIMESTAMPTZOID, INT4OID}
	};
	static DbStatement earliest = {"SELECT pg_catalog.min(lease_until) FROM mistral.lease", 0, {0}};
	Datum		values[2];
	SPITupleTable *rows;
	uint64		n;
	uint64		i;
	bool		isnull;
	Datum		datum;

	values[0] = TimestampTzGetDatum(clock_timers());
	values[1] = Int32GetDatum(SWEEP_LIMIT);
	n = db_execute(&sweep, values, NULL, false, 0);
	if (n > 0)
		look_at_all();
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
	{
		HeapTuple	row = rows->vals[i];
		TupleDesc	desc = rows->tupdesc;
		bool		safe = DatumGetBool(SPI_getbinval(row, desc, 6, &isnull));

		if (!safe)
			end_unsafe(DatumGetUUIDP(SPI_getbinval(row, desc, 1, &isnull)),
					   DatumGetUUIDP(SPI_getbinval(row, desc, 2, &isnull)),
					   DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull)), SPI_getvalue(row, desc, 5));
		else if (DatumGetBool(SPI_getbinval(row, desc, 7, &isnull)))
			told(SPI_getvalue(row, desc, 4));
	}
	SPI_freetuptable(rows);
	(void) db_execute(&earliest, NULL, NULL, false, 0);
	datum = db_datum(0, 1, &isnull);
	*next = isnull ? DT_NOEND : DatumGetTimestampTz(datum);
	return (int) n;
}

/* Whether the worker has done it, nobody can say. */
static void
end_unsafe(const pg_uuid_t *root_id, const pg_uuid_t *action_id, int attempt, const char *worker)
{
	char	   *message = psprintf("outcome unknown: the lease of %s ran out, and safe-rerun is false",
								   worker ? psprintf("worker \"%s\"", worker) : "the worker");

	/* A completion that came first counts. */
	(void) message_put(root_id, MESSAGE_ACTION, action_id, attempt, message_action_result("ERROR", json_from_string(message)));
}
