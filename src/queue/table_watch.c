/*
 * table_watch.c
 *		Rows of the user's tables that start workflows, or are events, when they change.
 *
 * The execution is made, or the event published, in the transaction that changes the row: both are there
 * or neither is.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/owned.h"
#include "mistral.h"
#include "queue/event_trigger.h"
#include "queue/table_watch.h"
#include "queue/trigger_start.h"

static const struct
{
	int			bit;
	const char *word;
}			operation_words[] = {
	{WATCH_INSERT, "insert"}, {WATCH_UPDATE, "update"}, {WATCH_DELETE, "delete"}
};

static Datum operation_array(int operations);
static Datum text_or_null(const char *text, char *null);
static char *column_text(int column);

void
table_watch_create(TableWatch *watch)
{
	static DbStatement insert = {
		"INSERT INTO mistral.table_watch (id, name, owner, relation, operations, workflow, namespace, filter, created_at, input, params, event)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (name, owner) DO NOTHING",
		12, {UUIDOID, TEXTOID, OIDOID, REGCLASSOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID, JSONBOID, TEXTOID}
	};
	Datum		values[12];
	char		nulls[12];

	id_new(&watch->id);
	if (watch->name == NULL)
		watch->name = psprintf("%s %s", get_rel_name(watch->relation), id_cstring(&watch->id));
	trigger_check_filter(watch->filter);
	/* Here, not when somebody changes a row. */
	if (watch->event)
		event_check_name(watch->event);
	else
		trigger_check_workflow(watch->workflow, watch->namespace_, watch->owner);
	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(&watch->id);
	values[1] = CStringGetTextDatum(watch->name);
	values[2] = ObjectIdGetDatum(watch->owner);
	values[3] = ObjectIdGetDatum(watch->relation);
	values[4] = operation_array(watch->operations);
	values[5] = text_or_null(watch->workflow, &nulls[5]);
	values[6] = CStringGetTextDatum(watch->namespace_);
	values[7] = text_or_null(watch->filter, &nulls[7]);
	values[8] = TimestampTzGetDatum(clock_now());
	values[9] = JsonbPGetDatum(watch->input);
	values[10] = JsonbPGetDatum(watch->params);
	values[11] = text_or_null(watch->event, &nulls[11]);
	if (db_execute(&insert, values, nulls, false, 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("a watch named \"%s\" exists already", watch->name)));
}

void
table_watch_delete(const char *name, Oid role)
{
	static DbStatement find = {
		"SELECT id, owner, NULL, relation FROM mistral.table_watch WHERE name OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}
	};
	static DbStatement delete = {
		"DELETE FROM mistral.table_watch WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}
	};
	Datum		values[1] = {CStringGetTextDatum(name)};
	int			row = owned_choose(db_execute(&find, values, NULL, false, 0), role, OWNED_MANAGE, "watch", name);
	ObjectAddress trigger = {TriggerRelationId, InvalidOid, 0};
	pg_uuid_t	id;
	Oid			relation;
	bool		isnull;

	if (row < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("watch \"%s\" does not exist", name)));
	id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	relation = DatumGetObjectId(db_datum(row, 4, &isnull));
	values[0] = UUIDPGetDatum(&id);
	db_execute(&delete, values, NULL, false, 0);

	/* Whoever made the watch may take its trigger away, without owning the table. */
	if (get_rel_name(relation) != NULL)
		trigger.objectId = get_trigger_oid(relation, table_watch_trigger(&id), true);
	if (OidIsValid(trigger.objectId))
		performDeletion(&trigger, DROP_RESTRICT, 0);
}

bool
table_watch_load(const pg_uuid_t *id, TableWatch *watch)
{
	static DbStatement select = {
		"SELECT name, owner, relation, workflow, namespace, filter, input, params, event FROM mistral.table_watch"
		" WHERE id OPERATOR(pg_catalog.=) $1",
		1, {UUIDOID}
	};
	Datum		values[1] = {UUIDPGetDatum(id)};
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return false;
	memset(watch, 0, sizeof(*watch));
	watch->id = *id;
	watch->name = TextDatumGetCString(db_datum(0, 1, &isnull));
	watch->owner = DatumGetObjectId(db_datum(0, 2, &isnull));
	watch->relation = DatumGetObjectId(db_datum(0, 3, &isnull));
	watch->workflow = column_text(4);
	watch->namespace_ = TextDatumGetCString(db_datum(0, 5, &isnull));
	watch->filter = column_text(6);
	watch->input = DatumGetJsonbPCopy(db_datum(0, 7, &isnull));
	watch->params = DatumGetJsonbPCopy(db_datum(0, 8, &isnull));
	watch->event = column_text(9);
	return true;
}

char *
table_watch_trigger(const pg_uuid_t *id)
{
	return psprintf("mistral_watch_%s", id_cstring(id));
}

void
table_watch_fire(const TableWatch *watch, const Jsonb *context)
{
	TriggerStart start = {0};

	if (!trigger_filter(watch->filter, context))
		return;
	if (watch->event)
	{
		Event		event = {.name = watch->event, .payload = context};

		(void) event_publish(&event, watch->owner);
		return;
	}
	start.kind = "table_watch";
	start.id = watch->id;
	start.name = watch->name;
	start.owner = watch->owner;
	start.workflow = watch->workflow;
	start.namespace_ = watch->namespace_;
	start.input = trigger_input(watch->input, context);
	start.params = watch->params;
	(void) trigger_start(&start, NULL);
}

static Datum
operation_array(int operations)
{
	Datum		words[lengthof(operation_words)];
	int			n = 0;

	for (int i = 0; i < lengthof(operation_words); i++)
	{
		if (operations & operation_words[i].bit)
			words[n++] = CStringGetTextDatum(operation_words[i].word);
	}
	return PointerGetDatum(construct_array(words, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
text_or_null(const char *text, char *null)
{
	*null = text ? ' ' : 'n';
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* Of the first row of the last result; NULL is null. */
static char *
column_text(int column)
{
	bool		isnull;
	Datum		datum = db_datum(0, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(datum);
}
