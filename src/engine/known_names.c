/*
 * known_names.c
 *		What the names of workflows meant at their last start in this session.
 *
 * Finding a version by its index is a fifth of a start.  What was found is good
 * until the table of definitions changes, of which a trigger tells all processes
 * by an invalidation of the relation cache, or until roles do.  An invalidation
 * is sent after its transaction has become visible, and taken in here before
 * each use: whoever has been told of a commit starts the new version.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/db.h"
#include "base/json.h"
#include "engine/known_names.h"

/* With so many, and so many bytes, the next one begins anew. */
#define MAX_NAMES 16384
#define MAX_BYTES (8 * 1024 * 1024)

typedef struct NameKey
{
	uint64		hash;			/* of name and namespace */
	Oid			role;
	uint32		length;			/* of the name */
} NameKey;

typedef struct KnownName
{
	NameKey		key;
	char	   *name;
	char	   *namespace_;
	FoundVersion found;
} KnownName;

static MemoryContext names_cxt = NULL;	/* NULL: nothing is known */
static HTAB *names = NULL;
static Oid	names_table = InvalidOid;	/* whose invalidation counts */
static uint64 nforgotten = 0;

static void begin(void);
static void forget(void);
static void forget_table(Datum arg, Oid relid);
static void forget_roles(Datum arg, int cacheid, uint32 hashvalue);
static NameKey make_key(const char *name, const char *namespace_, Oid role);
static void copy_found(FoundVersion *to, const FoundVersion *from);

bool
known_name(const char *name, const char *namespace_, Oid role, FoundVersion *found)
{
	NameKey		key;
	KnownName  *known;

	/* An old snapshot may mean another version. */
	if (IsolationUsesXactSnapshot())
		return false;
	/* What this transaction has just written, and what others have committed. */
	CommandCounterIncrement();
	AcceptInvalidationMessages();
	if (names_cxt == NULL)
		return false;
	key = make_key(name, namespace_, role);
	known = hash_search(names, &key, HASH_FIND, NULL);
	if (known == NULL || strcmp(known->name, name) != 0 || strcmp(known->namespace_, namespace_) != 0)
		return false;
	copy_found(found, &known->found);
	return true;
}

uint64
known_names_mark(void)
{
	if (names_cxt == NULL)
		begin();
	return nforgotten;
}

void
known_name_keep(uint64 mark, const char *name, const char *namespace_, Oid role, const FoundVersion *found)
{
	NameKey		key = make_key(name, namespace_, role);
	KnownName  *known;
	MemoryContext old;
	bool		exists;

	if (mark != nforgotten || names_cxt == NULL || IsolationUsesXactSnapshot())
		return;
	if (hash_get_num_entries(names) >= MAX_NAMES || MemoryContextMemAllocated(names_cxt, true) >= MAX_BYTES)
	{
		forget();
		begin();
	}
	old = MemoryContextSwitchTo(names_cxt);
	known = hash_search(names, &key, HASH_FIND, NULL);
	/* Two names of one hash: the first one stays. */
	if (known == NULL)
	{
		KnownName	new = {.key = key, .name = pstrdup(name), .namespace_ = pstrdup(namespace_)};

		copy_found(&new.found, found);
		known = hash_search(names, &key, HASH_ENTER, &exists);
		*known = new;
	}
	MemoryContextSwitchTo(old);
}

void
known_names_changed(void)
{
	CacheInvalidateRelcacheByRelid(db_table("definition"));
}

static void
begin(void)
{
	static bool registered = false;
	HASHCTL		info = {.keysize = sizeof(NameKey), .entrysize = sizeof(KnownName)};

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_roles, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, forget_roles, (Datum) 0);
		registered = true;
	}
	names_table = db_table("definition");
	info.hcxt = names_cxt = AllocSetContextCreate(CacheMemoryContext, "mistral known names", ALLOCSET_DEFAULT_SIZES);
	names = hash_create("mistral known names", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
forget(void)
{
	nforgotten++;
	if (names_cxt != NULL)
		MemoryContextDelete(names_cxt);
	names_cxt = NULL;
	names = NULL;
}

static void
forget_table(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == names_table)
		forget();
}

static void
forget_roles(Datum arg, int cacheid, uint32 hashvalue)
{
	forget();
}

static NameKey
make_key(const char *name, const char *namespace_, Oid role)
{
	NameKey		key;
	uint64		length = strlen(name);

	memset(&key, 0, sizeof(key));
	key.hash = hash_bytes_extended((const unsigned char *) name, length, 0);
	key.hash = hash_bytes_extended((const unsigned char *) namespace_, strlen(namespace_), key.hash);
	key.role = role;
	key.length = length;
	return key;
}

static void
copy_found(FoundVersion *to, const FoundVersion *from)
{
	*to = *from;
	if (from->workbook)
		to->workbook = pstrdup(from->workbook);
	if (from->start)
		to->start = json_copy(from->start);
}
