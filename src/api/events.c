/*
 * events.c
 *		SQL functions for events, their triggers, and watches of tables.
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "api/args.h"
#include "api/scope.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "queue/event_trigger.h"
#include "queue/table_watch.h"
#include "worker/shmem.h"

SQL_FUNCTION(mistral_create_event_trigger);
SQL_FUNCTION(mistral_delete_event_trigger);
SQL_FUNCTION(mistral_publish_event);
SQL_FUNCTION(mistral_watch_table);
SQL_FUNCTION(mistral_publish_changes);
SQL_FUNCTION(mistral_unwatch_table);
SQL_FUNCTION(mistral_row_changed);

/* Longest key of an event, in bytes: it is in an index. */
#define MAX_KEY 1000

static char *arg_name_or_null(FunctionCallInfo fcinfo, int n, const char *what);
static int	arg_operations(FunctionCallInfo fcinfo, int n);
static const char *begin_watch(FunctionCallInfo fcinfo, TableWatch *watch);
static void create_trigger(const TableWatch *watch);
static bool is_watched(const TableWatch *watch, Relation rel);
static Jsonb *row_context(const TriggerData *data);

/* create_event_trigger(name, workflow, event, exchange, topic, filter, input, params, namespace, scope) */
Datum
mistral_create_event_trigger(PG_FUNCTION_ARGS)
{
	EventTrigger trigger = {0};
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	DbSession	session;

	trigger.name = arg_name(fcinfo, 0, "name", false);
	trigger.workflow = arg_text(fcinfo, 1, "workflow");
	trigger.event = arg_name(fcinfo, 2, "event", false);
	trigger.exchange = arg_name_or_null(fcinfo, 3, "exchange");
	trigger.topic = arg_name_or_null(fcinfo, 4, "topic");
	trigger.filter = arg_text_or_null(fcinfo, 5);
	trigger.input = arg_object(fcinfo, 6, "input");
	trigger.params = arg_object(fcinfo, 7, "params");
	trigger.namespace_ = arg_name(fcinfo, 8, "namespace", true);
	trigger.public_ = arg_scope(fcinfo, 9);

	PreventCommandIfReadOnly("mistral.create_event_trigger()");
	db_enter(&session);
	trigger.owner = session.caller;
	event_trigger_create(&trigger);
	*result = trigger.id;
	db_leave(&session);
	PG_RETURN_UUID_P(result);
}

/* delete_event_trigger(name) */
Datum
mistral_delete_event_trigger(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.delete_event_trigger()");
	db_enter(&session);
	event_trigger_delete(name, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* publish_event(event, payload, exchange, topic, dedup_key) returns int */
Datum
mistral_publish_event(PG_FUNCTION_ARGS)
{
	Event		event = {0};
	DbSession	session;
	int			n;

	event.name = arg_name(fcinfo, 0, "event", false);
	event.payload = PG_ARGISNULL(1) ? json_empty() : PG_GETARG_JSONB_P(1);
	event.exchange = arg_name_or_null(fcinfo, 2, "exchange");
	event.topic = arg_name_or_null(fcinfo, 3, "topic");
	event.dedup_key = arg_text_or_null(fcinfo, 4);
	if (event.dedup_key && strlen(event.dedup_key) > MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dedup_key must have at most %d bytes", MAX_KEY)));

	PreventCommandIfReadOnly("mistral.publish_event()");
	db_enter(&session);
	n = event_publish(&event, session.caller);
	db_leave(&session);
	if (n > 0)
		workers_check_running();
	PG_RETURN_INT32(n);
}

/* watch_table(relation, operations, workflow, input, filter, params, namespace, name) returns text */
Datum
mistral_watch_table(PG_FUNCTION_ARGS)
{
	TableWatch	watch = {0};

	watch.workflow = arg_text(fcinfo, 2, "workflow");
	watch.input = arg_object(fcinfo, 3, "input");
	watch.filter = arg_text_or_null(fcinfo, 4);
	watch.params = arg_object(fcinfo, 5, "params");
	watch.namespace_ = arg_name(fcinfo, 6, "namespace", true);
	watch.name = arg_name_or_null(fcinfo, 7, "name");

	PreventCommandIfReadOnly("mistral.watch_table()");
	PG_RETURN_TEXT_P(cstring_to_text(begin_watch(fcinfo, &watch)));
}

/* publish_changes(relation, operations, event, filter, name) returns text */
Datum
mistral_publish_changes(PG_FUNCTION_ARGS)
{
	TableWatch	watch = {0};

	watch.event = arg_name(fcinfo, 2, "event", false);
	watch.filter = arg_text_or_null(fcinfo, 3);
	watch.name = arg_name_or_null(fcinfo, 4, "name");
	watch.namespace_ = "";
	watch.input = watch.params = json_empty();

	PreventCommandIfReadOnly("mistral.publish_changes()");
	PG_RETURN_TEXT_P(cstring_to_text(begin_watch(fcinfo, &watch)));
}

/* unwatch_table(name) */
Datum
mistral_unwatch_table(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	DbSession	session;

	PreventCommandIfReadOnly("mistral.unwatch_table()");
	db_enter(&session);
	table_watch_delete(name, session.caller);
	db_leave(&session);
	PG_RETURN_VOID();
}

/*
 * The trigger on a watched table: starts the workflow, or publishes the event, as the watch's owner, in
 * the transaction of whoever changes the row.  What is no longer watched is
 * passed over.
 */
Datum
mistral_row_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TableWatch	watch;
	DbSession	session;
	pg_uuid_t	id;
	Jsonb	   *context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		data->tg_trigger->tgnargs != 1 || !id_parse(data->tg_trigger->tgargs[0], &id))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("mistral.row_changed() is the trigger of a watched table"),
				 errhint("Use mistral.watch_table() or mistral.publish_changes().")));
	/* With the rights of whoever changes the row, since it calls its types' functions. */
	context = row_context(data);
	db_enter(&session);
	if (table_watch_load(&id, &watch) && is_watched(&watch, data->tg_relation))
		table_watch_fire(&watch, context);
	db_leave(&session);
	return PointerGetDatum(NULL);
}

/* ---------------------------------------------------------------- watches */

/* Arguments 0 and 1 are the table and the operations; returns the name of the watch. */
static const char *
begin_watch(FunctionCallInfo fcinfo, TableWatch *watch)
{
	DbSession	session;
	char		kind;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	watch->relation = PG_GETARG_OID(0);
	watch->operations = arg_operations(fcinfo, 1);
	kind = get_rel_relkind(watch->relation);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("only tables can be watched")));
	db_enter(&session);
	watch->owner = session.caller;
	table_watch_create(watch);
	watch->name = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, watch->name);
	db_leave(&session);
	create_trigger(watch);
	return watch->name;
}

/* With the caller's rights: who may put a trigger on the table may watch it. */
static void
create_trigger(const TableWatch *watch)
{
	StringInfoData command;
	const char *word = " AFTER ";

	initStringInfo(&command);
	appendStringInfo(&command, "CREATE TRIGGER %s", quote_identifier(table_watch_trigger(&watch->id)));
	if (watch->operations & WATCH_INSERT)
	{
		appendStringInfo(&command, "%sINSERT", word);
		word = " OR ";
	}
	if (watch->operations & WATCH_UPDATE)
	{
		appendStringInfo(&command, "%sUPDATE", word);
		word = " OR ";
	}
	if (watch->operations & WATCH_DELETE)
		appendStringInfo(&command, "%sDELETE", word);
	appendStringInfo(&command, " ON %s FOR EACH ROW EXECUTE FUNCTION mistral.row_changed(%s)",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(watch->relation)), get_rel_name(watch->relation)),
					 quote_literal_cstr(id_cstring(&watch->id)));
	SPI_connect();
	if (SPI_execute(command.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not create the trigger of watch \"%s\"", watch->name);
	SPI_finish();
}

/* The table itself, or a partition of it. */
static bool
is_watched(const TableWatch *watch, Relation rel)
{
	if (RelationGetRelid(rel) == watch->relation)
		return true;
	return rel->rd_rel->relispartition && list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), watch->relation);
}

/* What filters and inputs see. */
static Jsonb *
row_context(const TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	bool		insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);
	bool		update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "operation");
	json_add_string(&b, insert ? "INSERT" : update ? "UPDATE" : "DELETE");
	json_add_key(&b, "table");
	json_add_string(&b, quote_qualified_identifier(get_namespace_name(RelationGetNamespace(data->tg_relation)),
												   RelationGetRelationName(data->tg_relation)));
	json_add_key(&b, "new");
	json_add_jsonb(&b, insert ? json_from_row(data->tg_trigtuple, desc) : update ? json_from_row(data->tg_newtuple, desc) : NULL);
	json_add_key(&b, "old");
	json_add_jsonb(&b, insert ? NULL : json_from_row(data->tg_trigtuple, desc));
	json_end_object(&b);
	return json_finish(&b);
}

/* ---------------------------------------------------------------- arguments */

static char *
arg_name_or_null(FunctionCallInfo fcinfo, int n, const char *what)
{
	return PG_ARGISNULL(n) ? NULL : arg_name(fcinfo, n, what, false);
}

/* insert, update, delete: a list with commas or blanks between. */
static int
arg_operations(FunctionCallInfo fcinfo, int n)
{
	char	   *list = arg_text(fcinfo, n, "operations");
	int			operations = 0;
	char	   *save = NULL;

	for (char *word = strtok_r(list, ", ", &save); word; word = strtok_r(NULL, ", ", &save))
	{
		if (pg_strcasecmp(word, "insert") == 0)
			operations |= WATCH_INSERT;
		else if (pg_strcasecmp(word, "update") == 0)
			operations |= WATCH_UPDATE;
		else if (pg_strcasecmp(word, "delete") == 0)
			operations |= WATCH_DELETE;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("operation \"%s\" does not exist", word),
					 errhint("Use insert, update and delete, with commas between.")));
	}
	if (operations == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("operations must name insert, update or delete")));
	return operations;
}
