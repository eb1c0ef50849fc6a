/*
 * definitions.c
 *		The definition store: versions in a table, compiled forms in a cache.
 *
 * A version never changes, so that the cache is keyed by its id alone and
 * needs no invalidation.  An entry that a transaction has seen stays until that
 * transaction ends, even when the cache is over its limit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/owned.h"
#include "engine/definitions.h"
#include "engine/known_names.h"
#include "engine/overlay.h"
#include "engine/store.h"
#include "guc.h"
#include "mistral.h"

/* Definitions have what live executions leave of mistral.cache_size, and this part of it in any case. */
#define CACHE_SHARE 4

/* Columns of mistral.definition, as the table has them. */
enum
{
	COL_ID = 1,
	COL_WORKBOOK = 5,
	COL_OWNER = 6,
	COL_SCOPE = 7,
	COL_START = 14,
	COL_REFUSED = 17
};

typedef struct CacheEntry
{
	pg_uuid_t	id;				/* hash key */
	Definition *definition;
	MemoryContext context;
	Size		bytes;
	uint64		transaction;	/* last transaction that got it */
	dlist_node	node;			/* most recent first */
} CacheEntry;

/* What was asked for last in vain, and when: the items of a list ask again. */
static struct
{
	SpecKind	kind;
	char	   *name;			/* NULL: nothing yet */
	char	   *namespace_;
	char	   *workbook;
	bool		fall_back;
	Oid			role;
	DbMoment	moment;
}			absent;

static HTAB *cache = NULL;
static dlist_head cache_order;
static Size cache_bytes = 0;
static uint64 current_transaction = 1;

static const char *const kind_names[] = {NULL, "workbook", "workflow", "action"};

static void cache_init(void);
static void cache_trim(void);
static void cache_transaction_ended(XactEvent event, void *arg);
static Definition *load_definition(const pg_uuid_t *id, MemoryContext context);
static bool find_version(SpecKind kind, const char *name, const char *namespace_, Oid role, OwnedPurpose purpose, FoundVersion *found);
static void remember_absent(SpecKind kind, const char *name, const char *namespace_, bool fall_back, const char *workbook, Oid role);
static void read_found(FoundVersion *found, TupleTableSlot *slot, Oid owner, bool public_);
static void put_overlaid(const OverlaidWorkflow *overlaid, Datum *values, char *nulls);
static void lock_names(const SpecDocument *document, const char *namespace_, Oid owner);
static void store_version(SpecKind kind, const char *name, const char *workbook, const char *namespace_, bool public_,
						  Oid owner, const char *text, const SpecDefinition *definition, List *tags);

const char *
definition_kind_name(SpecKind kind)
{
	return kind_names[kind];
}

/* ---------------------------------------------------------------- cache */

const Definition *
definition_by_id(const pg_uuid_t *id)
{
	CacheEntry *entry;
	Definition *definition;
	MemoryContext context;
	bool		found;

	if (cache == NULL)
		cache_init();
	entry = hash_search(cache, id, HASH_FIND, NULL);
	if (entry != NULL)
	{
		entry->transaction = current_transaction;
		dlist_move_head(&cache_order, &entry->node);
		return entry->definition;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "mistral definition", ALLOCSET_SMALL_SIZES);
	definition = load_definition(id, context);
	if (definition == NULL)
	{
		MemoryContextDelete(context);
		return NULL;
	}
	entry = hash_search(cache, id, HASH_ENTER, &found);
	entry->definition = definition;
	entry->context = context;
	entry->bytes = MemoryContextMemAllocated(context, true);
	entry->transaction = current_transaction;
	dlist_push_head(&cache_order, &entry->node);
	cache_bytes += entry->bytes;
	MemoryContextSetParent(context, CacheMemoryContext);
	cache_trim();
	return definition;
}

static void
cache_init(void)
{
	HASHCTL		info = {.keysize = sizeof(pg_uuid_t), .entrysize = sizeof(CacheEntry), .hcxt = CacheMemoryContext};

	cache = hash_create("mistral definitions", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&cache_order);
	RegisterXactCallback(cache_transaction_ended, NULL);
}

/*
 * Drops the least recently used entries that this transaction has not seen.
 * The last one used stays, however large: it would be compiled again for each
 * slice of what runs.
 */
static void
cache_trim(void)
{
	Size		all = (Size) guc_cache_size * 1024;
	Size		limit = Max(all / CACHE_SHARE, all - Min(all, cache_used()));

	while (cache_bytes > limit && dlist_has_next(&cache_order, dlist_head_node(&cache_order)))
	{
		CacheEntry *entry = dlist_container(CacheEntry, node, dlist_tail_node(&cache_order));

		if (entry->transaction == current_transaction)
			return;
		dlist_delete(&entry->node);
		cache_bytes -= entry->bytes;
		MemoryContextDelete(entry->context);
		hash_search(cache, &entry->id, HASH_REMOVE, NULL);
	}
}

static void
cache_transaction_ended(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	current_transaction++;
	cache_trim();
}

/* Reads and compiles a version into `context`; NULL when there is none. */
static Definition *
load_definition(const pg_uuid_t *id, MemoryContext context)
{
	static DbStatement statement = {
		"SELECT kind, name, namespace, workbook, owner, scope = 'public', COALESCE(merged, definition), refused"
		" FROM mistral.definition WHERE id = $1",
		1, {UUIDOID}
	};
	Datum		values[] = {UUIDPGetDatum(id)};
	MemoryContext caller;
	Definition *definition;
	bool		isnull;
	char	   *kind;
	char	   *source;
	Datum		workbook;
	Datum		refused;

	if (db_execute(&statement, values, NULL, false, 1) == 0)
		return NULL;
	kind = TextDatumGetCString(db_datum(0, 1, &isnull));
	source = TextDatumGetCString(db_datum(0, 7, &isnull));
	caller = MemoryContextSwitchTo(context);
	definition = palloc0(sizeof(Definition));
	definition->id = *id;
	definition->name = TextDatumGetCString(db_datum(0, 2, &isnull));
	definition->namespace_ = TextDatumGetCString(db_datum(0, 3, &isnull));
	workbook = db_datum(0, 4, &isnull);
	definition->workbook = isnull ? NULL : TextDatumGetCString(workbook);
	definition->owner = DatumGetObjectId(db_datum(0, 5, &isnull));
	definition->public_ = DatumGetBool(db_datum(0, 6, &isnull));
	refused = db_datum(0, 8, &isnull);
	definition->refused = isnull ? NULL : TextDatumGetCString(refused);
	if (strcmp(kind, kind_names[SPEC_WORKFLOW]) == 0)
	{
		definition->kind = SPEC_WORKFLOW;
		definition->workflow = spec_compile_workflow(source, strlen(source));
	}
	else if (strcmp(kind, kind_names[SPEC_ACTION]) == 0)
	{
		definition->kind = SPEC_ACTION;
		definition->action = spec_compile_action(source, strlen(source));
	}
	else
		definition = NULL;
	MemoryContextSwitchTo(caller);
	return definition;
}

/* ---------------------------------------------------------------- names */

const Definition *
definition_find(SpecKind kind, const char *name, const char *namespace_, bool fall_back_to_default_namespace,
				const char *workbook, Oid role)
{
	char	   *names[2] = {workbook ? psprintf("%s.%s", workbook, name) : NULL, unconstify(char *, name)};
	const char *namespaces[2] = {namespace_, ""};
	int			nnamespaces = fall_back_to_default_namespace && namespace_[0] != '\0' ? 2 : 1;
	FoundVersion found;

	if (absent.name && absent.kind == kind && absent.role == role && absent.fall_back == fall_back_to_default_namespace &&
		db_same_moment(&absent.moment) && strcmp(absent.name, name) == 0 && strcmp(absent.namespace_, namespace_) == 0 &&
		strcmp(absent.workbook, workbook ? workbook : "") == 0)
		return NULL;
	for (int n = 0; n < lengthof(names); n++)
	{
		for (int s = 0; names[n] != NULL && s < nnamespaces; s++)
		{
			if (find_version(kind, names[n], namespaces[s], role, OWNED_USE_PUBLIC, &found))
				return definition_by_id(&found.id);
		}
	}
	remember_absent(kind, name, namespace_, fall_back_to_default_namespace, workbook, role);
	return NULL;
}

static void
remember_absent(SpecKind kind, const char *name, const char *namespace_, bool fall_back, const char *workbook, Oid role)
{
	static MemoryContext context = NULL;
	MemoryContext caller;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "mistral absent definition", ALLOCSET_SMALL_SIZES);
	absent.name = NULL;
	MemoryContextReset(context);
	caller = MemoryContextSwitchTo(context);
	absent.namespace_ = pstrdup(namespace_);
	absent.workbook = pstrdup(workbook ? workbook : "");
	absent.kind = kind;
	absent.fall_back = fall_back;
	absent.role = role;
	absent.moment = db_moment();
	absent.name = pstrdup(name);
	MemoryContextSwitchTo(caller);
}

const Definition *
definition_find_start(const char *name, const char *namespace_, Oid role)
{
	FoundVersion found;
	Definition *definition;

	if (!known_name(name, namespace_, role, &found))
	{
		uint64		mark = known_names_mark();

		if (!find_version(SPEC_WORKFLOW, name, namespace_, role, OWNED_USE_PUBLIC, &found))
			return NULL;
		known_name_keep(mark, name, namespace_, role, &found);
	}
	definition = palloc0(sizeof(Definition));
	definition->workflow = found.start ? spec_read_start_form(found.start) : NULL;
	if (definition->workflow == NULL)
		return definition_by_id(&found.id);
	definition->id = found.id;
	definition->kind = SPEC_WORKFLOW;
	definition->name = pstrdup(name);
	definition->namespace_ = pstrdup(namespace_);
	definition->workbook = found.workbook;
	definition->owner = found.owner;
	definition->public_ = found.public_;
	return definition;
}

/*
 * The live version that the role means by the name.  Many a start asks, so it
 * goes to the index itself: a statement would cost as much as the rest of the
 * start.
 */
static bool
find_version(SpecKind kind, const char *name, const char *namespace_, Oid role, OwnedPurpose purpose, FoundVersion *found)
{
	const char *texts[] = {name, namespace_, kind_names[kind]};
	DbLookup	lookup;
	OwnedChoice choice = {0};
	TupleTableSlot *slot;

	db_lookup_begin(&lookup, "definition", "definition_name", texts, lengthof(texts));
	while ((slot = db_lookup_next(&lookup)) != NULL)
	{
		bool		isnull;
		Oid			owner = DatumGetObjectId(slot_getattr(slot, COL_OWNER, &isnull));
		Datum		scope = slot_getattr(slot, COL_SCOPE, &isnull);
		bool		public_ = strcmp(TextDatumGetCString(scope), "public") == 0;

		if (owned_offer(&choice, owner, public_, role, purpose))
			read_found(found, slot, owner, public_);
	}
	db_lookup_end(&lookup);
	owned_check(&choice, kind_names[kind], name);
	return choice.count > 0;
}

static void
read_found(FoundVersion *found, TupleTableSlot *slot, Oid owner, bool public_)
{
	bool		isnull;
	Datum		value;

	found->id = *DatumGetUUIDP(slot_getattr(slot, COL_ID, &isnull));
	found->owner = owner;
	found->public_ = public_;
	value = slot_getattr(slot, COL_WORKBOOK, &isnull);
	found->workbook = isnull ? NULL : TextDatumGetCString(value);
	value = slot_getattr(slot, COL_START, &isnull);
	found->start = isnull ? NULL : DatumGetJsonbPCopy(value);
	/* Who starts it has to read why not. */
	(void) slot_getattr(slot, COL_REFUSED, &isnull);
	if (!isnull)
		found->start = NULL;
}

bool
definition_retire(SpecKind kind, const char *name, const char *namespace_, Oid role)
{
	static DbStatement statement = {
		"UPDATE mistral.definition SET live = false, updated_at = $2 WHERE id = $1 AND live",
		2, {UUIDOID, TIMESTAMPTZOID}
	};
	FoundVersion found;
	Datum		values[2];

	if (!find_version(kind, name, namespace_, role, OWNED_MANAGE, &found))
		return false;
	values[0] = UUIDPGetDatum(&found.id);
	values[1] = TimestampTzGetDatum(clock_now());
	return db_execute(&statement, values, NULL, false, 0) > 0;
}

/* ---------------------------------------------------------------- storing */

void
definition_store(const SpecDocument *document, const char *text, const char *namespace_, bool public_, Oid owner)
{
	ListCell   *lc;

	lock_names(document, namespace_, owner);
	if (document->workbook != NULL)
		store_version(SPEC_WORKBOOK, document->workbook, document->workbook, namespace_, public_, owner, text, NULL, document->tags);
	foreach(lc, document->definitions)
	{
		SpecDefinition *definition = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		store_version(definition->kind, definition->name, document->workbook, namespace_, public_, owner,
					  definition->text, definition, definition->tags);
	}
}

static uint32
name_hash(SpecKind kind, const char *name, const char *namespace_, Oid owner)
{
	uint32		base = hash_combine(hash_bytes((const unsigned char *) namespace_, strlen(namespace_)), owner);

	return hash_combine(base + kind, hash_bytes((const unsigned char *) name, strlen(name)));
}

void
definition_lock(const char *workflow, const char *namespace_, Oid owner)
{
	LockDatabaseObject(db_table("definition"), name_hash(SPEC_WORKFLOW, workflow, namespace_, owner), 0, ExclusiveLock);
}

static int
compare_hashes(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/*
 * Two sessions that load the same name come one after the other, instead of
 * one failing on the unique index.  In order of the hash, so that two loads
 * never wait for each other.
 */
static void
lock_names(const SpecDocument *document, const char *namespace_, Oid owner)
{
	Oid			table = db_table("definition");
	int			n = list_length(document->definitions) + 1;
	uint32	   *hashes = palloc0(n * sizeof(uint32));
	int			i = 0;
	ListCell   *lc;

	if (document->workbook != NULL)
		hashes[i++] = name_hash(SPEC_WORKBOOK, document->workbook, namespace_, owner);
	foreach(lc, document->definitions)
	{
		SpecDefinition *definition = lfirst(lc);

		hashes[i++] = name_hash(definition->kind, definition->name, namespace_, owner);
	}
	qsort(hashes, i, sizeof(uint32), compare_hashes);
	for (n = 0; n < i; n++)
	{
		if (n == 0 || hashes[n] != hashes[n - 1])
			LockDatabaseObject(table, hashes[n], 0, ExclusiveLock);
	}
}

/* A public name is one for all. */
static void
check_public_name(SpecKind kind, const char *name, const char *namespace_, Oid owner)
{
	static DbStatement statement = {
		"SELECT 1 FROM mistral.definition WHERE kind = $1 AND name = $2 AND namespace = $3 AND live AND scope = 'public' AND owner <> $4",
		4, {TEXTOID, TEXTOID, TEXTOID, OIDOID}
	};
	Datum		values[] = {
		CStringGetTextDatum(kind_names[kind]), CStringGetTextDatum(name), CStringGetTextDatum(namespace_),
		ObjectIdGetDatum(owner)
	};

	if (db_execute(&statement, values, NULL, false, 1) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("public %s \"%s\" exists already", kind_names[kind], name),
				 errdetail("Public names are unique in a namespace, and another role owns this one.")));
}

/* Takes the owner's live version out of use, puts the new one in its place; without `definition`: a workbook. */
static void
store_version(SpecKind kind, const char *name, const char *workbook, const char *namespace_, bool public_,
			  Oid owner, const char *text, const SpecDefinition *definition, List *tags)
{
	static DbStatement retire = {
		"UPDATE mistral.definition SET live = false, updated_at = $5"
		" WHERE kind = $1 AND name = $2 AND namespace = $3 AND owner = $4 AND live RETURNING created_at",
		5, {TEXTOID, TEXTOID, TEXTOID, OIDOID, TIMESTAMPTZOID}
	};
	static DbStatement insert = {
		"INSERT INTO mistral.definition (id, kind, name, namespace, workbook, owner, scope, live, definition, input, tags,"
		" created_at, updated_at, start, merged, overlays, refused)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, true, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
		16, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, JSONBOID, TEXTOID, JSONBOID, TEXTOID}
	};
	TimestampTz now = clock_now();
	Datum		created = TimestampTzGetDatum(now);
	Datum	   *tag_values = palloc(Max(list_length(tags), 1) * sizeof(Datum));
	OverlaidWorkflow overlaid = {0};
	Datum		values[16];
	char		nulls[17] = "                ";
	pg_uuid_t	id;
	bool		isnull;
	ListCell   *lc;
	int			ntags = 0;

	if (public_)
		check_public_name(kind, name, namespace_, owner);
	values[0] = CStringGetTextDatum(kind_names[kind]);
	values[1] = CStringGetTextDatum(name);
	values[2] = CStringGetTextDatum(namespace_);
	values[3] = ObjectIdGetDatum(owner);
	values[4] = TimestampTzGetDatum(now);
	if (db_execute(&retire, values, NULL, false, 0) > 0)
		created = db_datum(0, 1, &isnull);

	foreach(lc, tags)
		tag_values[ntags++] = CStringGetTextDatum(lfirst(lc));
	id_new(&id);
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(kind_names[kind]);
	values[2] = CStringGetTextDatum(name);
	values[3] = CStringGetTextDatum(namespace_);
	values[4] = workbook ? CStringGetTextDatum(workbook) : (Datum) 0;
	if (workbook == NULL)
		nulls[4] = 'n';
	values[5] = ObjectIdGetDatum(owner);
	values[6] = CStringGetTextDatum(public_ ? "public" : "private");
	values[7] = CStringGetTextDatum(text);
	values[8] = CStringGetTextDatum(definition ? definition->input : "");
	values[9] = PointerGetDatum(construct_array(tag_values, ntags, TEXTOID, -1, false, TYPALIGN_INT));
	values[10] = created;
	values[11] = TimestampTzGetDatum(now);
	if (definition != NULL && definition->start != NULL)
		values[12] = JsonbPGetDatum(definition->start);
	else
		nulls[12] = 'n';
	if (kind == SPEC_WORKFLOW)
		overlays_apply(name, namespace_, owner, text, true, &overlaid);
	put_overlaid(&overlaid, values + 13, nulls + 13);
	db_execute(&insert, values, nulls, false, 0);
}

void
definition_renew(const char *workflow, const char *namespace_, Oid owner, bool warn)
{
	static DbStatement find = {
		"SELECT id, definition FROM mistral.definition WHERE kind = 'workflow' AND name = $1 AND namespace = $2 AND owner = $3 AND live",
		3, {TEXTOID, TEXTOID, OIDOID}
	};
	static DbStatement retire = {
		"UPDATE mistral.definition SET live = false, updated_at = $2 WHERE id = $1", 2, {UUIDOID, TIMESTAMPTZOID}
	};
	static DbStatement insert = {
		"INSERT INTO mistral.definition (id, kind, name, namespace, workbook, owner, scope, live, definition, input, tags,"
		" created_at, updated_at, start, merged, overlays, refused)"
		" SELECT $3, kind, name, namespace, workbook, owner, scope, true, definition, input, tags, created_at, $2, start, $4, $5, $6"
		" FROM mistral.definition WHERE id = $1",
		6, {UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID, JSONBOID, TEXTOID}
	};
	OverlaidWorkflow overlaid;
	Datum		values[6] = {CStringGetTextDatum(workflow), CStringGetTextDatum(namespace_), ObjectIdGetDatum(owner)};
	char		nulls[7] = "      ";
	pg_uuid_t	old;
	pg_uuid_t	new;
	bool		isnull;

	if (db_execute(&find, values, NULL, false, 1) == 0)
		return;
	old = *DatumGetUUIDP(db_datum(0, 1, &isnull));
	overlays_apply(workflow, namespace_, owner, TextDatumGetCString(db_datum(0, 2, &isnull)), warn, &overlaid);
	id_new(&new);
	values[0] = UUIDPGetDatum(&old);
	values[1] = TimestampTzGetDatum(clock_now());
	values[2] = UUIDPGetDatum(&new);
	put_overlaid(&overlaid, values + 3, nulls + 3);
	db_execute(&retire, values, NULL, false, 0);
	db_execute(&insert, values, nulls, false, 0);
}

/* The columns merged, overlays and refused. */
static void
put_overlaid(const OverlaidWorkflow *overlaid, Datum *values, char *nulls)
{
	values[0] = overlaid->text ? CStringGetTextDatum(overlaid->text) : (Datum) 0;
	values[1] = overlaid->tasks ? JsonbPGetDatum(overlaid->tasks) : (Datum) 0;
	values[2] = overlaid->refused ? CStringGetTextDatum(overlaid->refused) : (Datum) 0;
	for (int i = 0; i < 3; i++)
		nulls[i] = values[i] ? ' ' : 'n';
}
