/*
 * secrets.c
 *		Values that only a request on its way out sees.
 *
 * A reference is "~mistral-secret~NAME~CODE~", the code a MAC over root, owner
 * and name.  Without it, whoever can put text into a workflow (an answer of a
 * server, an event) could name a secret and have it sent somewhere.  Its
 * characters are such that no escaping of URLs, JSON or HTML changes them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/secret_key.h"
#include "engine/secrets.h"

#define MARK "~mistral-secret~"
#define MARK_LEN (sizeof(MARK) - 1)
#define CODE_LEN (2 * SECRET_MAC_LEN)
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."

/* A replacement of references that is under way. */
typedef struct Resolving
{
	const pg_uuid_t *root_id;
	Oid			owner;
	SecretKeys	keys;
	List	   *values;
	char	   *error;
} Resolving;

static void read_keys(SecretKeys *keys);
static char *label(const pg_uuid_t *id, const char *name);
static char *open_sealed(const SecretKeys *keys, const char *name, Oid owner, char **error);
static void code_of(const SecretKeys *keys, int i, const char *name, const pg_uuid_t *root_id, Oid owner, char *code);
static char *replace_references(void *arg, const char *text, int len);
static const char *read_reference(const Resolving *resolving, const char *text, const char *end, char *name);

bool
secret_name_valid(const char *name)
{
	size_t		len = strlen(name);

	return len > 0 && len <= SECRET_NAME_MAX && strspn(name, NAME_CHARS) == len;
}

void
secret_store(const char *name, const char *value, Oid owner)
{
	static DbStatement store = {
		"INSERT INTO mistral.secret (id, name, owner, value, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5) "
		"ON CONFLICT (name, owner) DO UPDATE SET id = excluded.id, value = excluded.value, updated_at = excluded.updated_at",
		5, {UUIDOID, TEXTOID, OIDOID, BYTEAOID, TIMESTAMPTZOID}
	};
	SecretKeys	keys;
	Datum		values[5];
	pg_uuid_t	id;

	id_new(&id);
	read_keys(&keys);
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(name);
	values[2] = ObjectIdGetDatum(owner);
	values[3] = PointerGetDatum(secret_seal(&keys, label(&id, name), value, strlen(value)));
	values[4] = TimestampTzGetDatum(clock_now());
	secret_keys_forget(&keys);
	db_execute(&store, values, NULL, false, 0);
}

bool
secret_delete(const char *name, Oid owner)
{
	static DbStatement statement = {"DELETE FROM mistral.secret WHERE name = $1 AND owner = $2", 2, {TEXTOID, OIDOID}};
	Datum		values[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(owner)};

	return db_execute(&statement, values, NULL, false, 0) > 0;
}

int64
secrets_rotate(void)
{
	static DbStatement all = {"SELECT id, name, value FROM mistral.secret FOR UPDATE", 0, {0}};
	static DbStatement update = {"UPDATE mistral.secret SET value = $2 WHERE id = $1", 2, {UUIDOID, BYTEAOID}};
	SecretKeys	keys;
	uint64		n;
	uint64		i;
	SPITupleTable *rows;

	read_keys(&keys);
	n = db_execute(&all, NULL, NULL, false, 0);
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		id = SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull);
		char	   *name = TextDatumGetCString(SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &isnull));
		char	   *its_label = label(DatumGetUUIDP(id), name);
		int			len;
		char	   *value = secret_open(&keys, its_label,
										DatumGetByteaPP(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull)), &len);
		Datum		values[2];

		CHECK_FOR_INTERRUPTS();
		if (value == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no key of mistral.secret_key_file opens secret \"%s\"", name),
					 errhint("The key under which it was stored has to stay in the file until all are stored anew.")));
		values[0] = id;
		values[1] = PointerGetDatum(secret_seal(&keys, its_label, value, len));
		secret_wipe(value, len);
		db_execute(&update, values, NULL, false, 0);
	}
	secret_keys_forget(&keys);
	return (int64) n;
}

char *
secret_value(const char *name, Oid owner, char **error)
{
	SecretKeys	keys;
	const char *problem = secret_keys_read(&keys);
	char	   *value;

	if (problem)
	{
		*error = pstrdup(problem);
		return NULL;
	}
	value = open_sealed(&keys, name, owner, error);
	secret_keys_forget(&keys);
	return value;
}

char *
secret_reference(const char *name, const pg_uuid_t *root_id, Oid owner, char **error)
{
	static DbStatement find = {"SELECT 1 FROM mistral.secret WHERE name = $1 AND owner = $2", 2, {TEXTOID, OIDOID}};
	Datum		values[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(owner)};
	SecretKeys	keys;
	char		code[CODE_LEN + 1];
	const char *problem;

	if (db_execute(&find, values, NULL, false, 1) == 0)
	{
		*error = psprintf("the execution's owner has no secret \"%s\"", name);
		return NULL;
	}
	problem = secret_keys_read(&keys);
	if (problem)
	{
		*error = pstrdup(problem);
		return NULL;
	}
	code_of(&keys, 0, name, root_id, owner, code);
	secret_keys_forget(&keys);
	return psprintf(MARK "%s~%s~", name, code);
}

Jsonb *
secrets_resolve(Jsonb *input, const pg_uuid_t *root_id, Oid owner, List **values, char **error)
{
	Resolving	resolving = {.root_id = root_id, .owner = owner};
	const char *problem;

	*values = NIL;
	*error = NULL;
	/* A jsonb holds its strings as they are: nearly no input gets further. */
	if (input == NULL || memmem(VARDATA_ANY(input), VARSIZE_ANY_EXHDR(input), MARK, MARK_LEN) == NULL)
		return input;
	problem = secret_keys_read(&resolving.keys);
	if (problem)
	{
		*error = pstrdup(problem);
		return NULL;
	}
	input = json_map_strings(input, replace_references, &resolving);
	secret_keys_forget(&resolving.keys);
	*values = resolving.values;
	*error = resolving.error;
	return resolving.error ? NULL : input;
}

static void
read_keys(SecretKeys *keys)
{
	const char *problem = secret_keys_read(keys);

	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", problem),
				 errhint("docs/secrets.md says how to make one.")));
}

/* What ties a sealed value to its row: it does not open in another one. */
static char *
label(const pg_uuid_t *id, const char *name)
{
	return psprintf("%s %s", id_cstring(id), name);
}

static char *
open_sealed(const SecretKeys *keys, const char *name, Oid owner, char **error)
{
	static DbStatement find = {"SELECT id, value FROM mistral.secret WHERE name = $1 AND owner = $2", 2, {TEXTOID, OIDOID}};
	Datum		values[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(owner)};
	bool		isnull;
	char	   *value;
	int			len;

	if (db_execute(&find, values, NULL, false, 1) == 0)
	{
		*error = psprintf("the execution's owner has no secret \"%s\" any more", name);
		return NULL;
	}
	value = secret_open(keys, label(DatumGetUUIDP(db_datum(0, 1, &isnull)), name),
						DatumGetByteaPP(db_datum(0, 2, &isnull)), &len);
	if (value == NULL)
		*error = psprintf("no key of mistral.secret_key_file opens secret \"%s\"", name);
	return value;
}

static void
code_of(const SecretKeys *keys, int i, const char *name, const pg_uuid_t *root_id, Oid owner, char *code)
{
	uint8		mac[SECRET_MAC_LEN];

	secret_mac(keys, i, psprintf("%s %u %s", id_cstring(root_id), owner, name), mac);
	hex_encode((const char *) mac, SECRET_MAC_LEN, code);
	code[CODE_LEN] = '\0';
}

/* NULL when the text stays as it is. */
static char *
replace_references(void *arg, const char *text, int len)
{
	Resolving  *resolving = arg;
	const char *end = text + len;
	const char *mark = memmem(text, len, MARK, MARK_LEN);
	StringInfoData out;

	if (mark == NULL || resolving->error)
		return NULL;
	initStringInfo(&out);
	while (mark != NULL && resolving->error == NULL)
	{
		char		name[SECRET_NAME_MAX + 1];
		const char *behind = read_reference(resolving, mark, end, name);

		appendBinaryStringInfo(&out, text, mark - text);
		if (behind == NULL)
		{
			behind = mark + MARK_LEN;
			appendStringInfoString(&out, MARK);
		}
		else
		{
			char	   *value = open_sealed(&resolving->keys, name, resolving->owner, &resolving->error);

			if (value)
			{
				appendStringInfoString(&out, value);
				resolving->values = lappend(resolving->values, value);
			}
		}
		text = behind;
		mark = memmem(text, end - text, MARK, MARK_LEN);
	}
	appendBinaryStringInfo(&out, text, end - text);
	return out.data;
}

/* The place behind a reference that begins at `text`, and its name; NULL when it is none of this tree. */
static const char *
read_reference(const Resolving *resolving, const char *text, const char *end, char *name)
{
	size_t		len;
	int			i;

	text += MARK_LEN;
	for (len = 0; len < SECRET_NAME_MAX && text + len < end && strchr(NAME_CHARS, text[len]) && text[len]; len++)
		name[len] = text[len];
	name[len] = '\0';
	text += len;
	if (len == 0 || end - text < CODE_LEN + 2 || text[0] != '~' || text[CODE_LEN + 1] != '~')
		return NULL;
	for (i = 0; i < resolving->keys.nkeys; i++)
	{
		char		code[CODE_LEN + 1];
		int			difference = 0;
		int			k;

		code_of(&resolving->keys, i, name, resolving->root_id, resolving->owner, code);
		for (k = 0; k < CODE_LEN; k++)
			difference |= code[k] ^ text[1 + k];
		if (difference == 0)
			return text + CODE_LEN + 2;
	}
	return NULL;
}
