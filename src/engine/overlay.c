/*
 * overlay.c
 *		Overlays: tasks that a role with the right puts into the workflow of another.
 *
 * What they make of a workflow is kept with its version, beside the author's text: whoever runs has a version, and what
 * comes or goes afterwards makes another.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/owned.h"
#include "engine/definitions.h"
#include "engine/hook.h"
#include "engine/overlay.h"

/* Each is read again with every version of its workflow. */
#define MAX_OVERLAYS 100

/* An overlay of a workflow, in their order. */
typedef struct Layer
{
	pg_uuid_t	id;
	char	   *name;
	Oid			owner;
	bool		required;
	char	   *text;
} Layer;

static Layer *find_layers(const char *workflow, const char *namespace_, Oid owner, int *n);
static char *apply(const Layer *layer, const char *workflow, const char *namespace_, Oid owner,
				   OverlaidWorkflow *result, const char *text);
static void raise_problem(const Overlay *overlay);
static void note_problem(const Layer *layer, const char *problem);

void
overlay_create(Overlay *overlay)
{
	static DbStatement insert = {
		"INSERT INTO mistral.overlay (id, name, owner, workflow_owner, workflow, namespace, required, created_at, definition)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name, owner) DO NOTHING",
		9, {UUIDOID, TEXTOID, OIDOID, OIDOID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, TEXTOID}
	};
	Oid			workflow_owner = hook_find_workflow(overlay->workflow, overlay->namespace_, HOOK_INSERT, overlay->owner)->owner;
	Datum		values[9];
	int			n;

	definition_lock(overlay->workflow, overlay->namespace_, workflow_owner);
	id_new(&overlay->id);
	values[0] = UUIDPGetDatum(&overlay->id);
	values[1] = CStringGetTextDatum(overlay->name);
	values[2] = ObjectIdGetDatum(overlay->owner);
	values[3] = ObjectIdGetDatum(workflow_owner);
	values[4] = CStringGetTextDatum(overlay->workflow);
	values[5] = CStringGetTextDatum(overlay->namespace_);
	values[6] = BoolGetDatum(overlay->required);
	values[7] = TimestampTzGetDatum(clock_now());
	values[8] = CStringGetTextDatum(overlay->text);
	if (db_execute(&insert, values, NULL, false, 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("overlay \"%s\" exists already", overlay->name)));
	(void) find_layers(overlay->workflow, overlay->namespace_, workflow_owner, &n);
	if (n > MAX_OVERLAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("workflow \"%s\" has %d overlays already", overlay->workflow, MAX_OVERLAYS)));
	definition_renew(overlay->workflow, overlay->namespace_, workflow_owner, false);
	raise_problem(overlay);
}

void
overlay_delete(const char *name, Oid of, Oid role)
{
	static DbStatement find = {
		"SELECT id, owner, workflow, namespace, workflow_owner FROM mistral.overlay WHERE name OPERATOR(pg_catalog.=) $1 "
		"AND ($2 OPERATOR(pg_catalog.=) 0 OR owner OPERATOR(pg_catalog.=) $2)", 2, {TEXTOID, OIDOID}
	};
	static DbStatement find_on = {
		"SELECT id, workflow_owner, workflow, namespace, workflow_owner FROM mistral.overlay WHERE name OPERATOR(pg_catalog.=) $1 "
		"AND ($2 OPERATOR(pg_catalog.=) 0 OR owner OPERATOR(pg_catalog.=) $2)", 2, {TEXTOID, OIDOID}
	};
	static DbStatement delete = {"DELETE FROM mistral.overlay WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}};
	Datum		values[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(of)};
	int			row = owned_choose(db_execute(&find, values, NULL, false, 0), role, OWNED_MANAGE, "overlay", name);
	char	   *workflow;
	char	   *namespace_;
	Oid			owner;
	pg_uuid_t	id;
	bool		isnull;

	if (row < 0)
		row = owned_choose(db_execute(&find_on, values, NULL, false, 0), role, OWNED_MANAGE, "overlay", name);
	if (row < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("overlay \"%s\" does not exist", name)));
	id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	workflow = TextDatumGetCString(db_datum(row, 3, &isnull));
	namespace_ = TextDatumGetCString(db_datum(row, 4, &isnull));
	owner = DatumGetObjectId(db_datum(row, 5, &isnull));
	values[0] = UUIDPGetDatum(&id);
	definition_lock(workflow, namespace_, owner);
	db_execute(&delete, values, NULL, false, 0);
	definition_renew(workflow, namespace_, owner, true);
}

void
overlays_apply(const char *workflow, const char *namespace_, Oid owner, const char *text, bool warn,
			   OverlaidWorkflow *result)
{
	Layer	   *layers;
	int			n;

	memset(result, 0, sizeof(*result));
	if (db_table_is_empty("overlay"))
		return;
	layers = find_layers(workflow, namespace_, owner, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *problem;

		CHECK_FOR_INTERRUPTS();
		problem = apply(&layers[i], workflow, namespace_, owner, result, result->text ? result->text : text);
		note_problem(&layers[i], problem);
		if (problem && warn)
			ereport(WARNING,
					(errmsg("overlay \"%s\" does not apply to this version of workflow \"%s\"", layers[i].name, workflow),
					 errdetail("%s.", problem),
					 result->refused ? errhint("The workflow does not start until the overlay fits or has been removed.") : 0));
	}
}

/* Why it is left out; NULL: it is in. */
static char *
apply(const Layer *layer, const char *workflow, const char *namespace_, Oid owner, OverlaidWorkflow *result, const char *text)
{
	SpecOverlay *overlay;
	SpecProblem *problem;
	char	   *reason;
	ListCell   *lc;

	/* Whose right has been taken back has nothing to say, neither. */
	if (!hook_allowed(owner, workflow, namespace_, HOOK_INSERT, layer->owner))
		return "its owner has not the right to insert tasks any more";
	overlay = spec_overlay(text, strlen(text), layer->text, strlen(layer->text));
	if (overlay->problems == NIL)
	{
		result->text = overlay->text;
		foreach(lc, overlay->tasks)
			result->tasks = json_merge(result->tasks, json_pair(lfirst(lc), json_from_string(layer->name)));
		return NULL;
	}
	problem = linitial(overlay->problems);
	reason = psprintf("line %d, column %d, %s: %s", problem->line, problem->col, problem->path, problem->message);
	if (layer->required && result->refused == NULL)
		result->refused = psprintf("overlay \"%s\" does not fit this version: %s", layer->name, reason);
	return reason;
}

static Layer *
find_layers(const char *workflow, const char *namespace_, Oid owner, int *n)
{
	static DbStatement select = {
		"SELECT id, name, owner, required, definition FROM mistral.overlay WHERE workflow_owner OPERATOR(pg_catalog.=) $1"
		" AND workflow OPERATOR(pg_catalog.=) $2 AND namespace OPERATOR(pg_catalog.=) $3 ORDER BY created_at, id",
		3, {OIDOID, TEXTOID, TEXTOID}
	};
	Datum		values[] = {ObjectIdGetDatum(owner), CStringGetTextDatum(workflow), CStringGetTextDatum(namespace_)};
	uint64		nrows = db_execute(&select, values, NULL, false, 0);
	Layer	   *layers = palloc(sizeof(Layer) * Max(nrows, 1));
	bool		isnull;

	for (uint64 i = 0; i < nrows; i++)
	{
		layers[i].id = *DatumGetUUIDP(db_datum(i, 1, &isnull));
		layers[i].name = TextDatumGetCString(db_datum(i, 2, &isnull));
		layers[i].owner = DatumGetObjectId(db_datum(i, 3, &isnull));
		layers[i].required = DatumGetBool(db_datum(i, 4, &isnull));
		layers[i].text = TextDatumGetCString(db_datum(i, 5, &isnull));
	}
	*n = nrows;
	return layers;
}

/* A new overlay has to fit. */
static void
raise_problem(const Overlay *overlay)
{
	static DbStatement select = {"SELECT problem FROM mistral.overlay WHERE id OPERATOR(pg_catalog.=) $1", 1, {UUIDOID}};
	Datum		values[] = {UUIDPGetDatum(&overlay->id)};
	Datum		problem;
	bool		isnull;

	if (db_execute(&select, values, NULL, false, 1) == 0)
		return;
	problem = db_datum(0, 1, &isnull);
	if (!isnull)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_INVALID_DEFINITION),
				 errmsg("overlay \"%s\" does not fit workflow \"%s\"", overlay->name, overlay->workflow),
				 errdetail_internal("%s.", TextDatumGetCString(problem))));
}

static void
note_problem(const Layer *layer, const char *problem)
{
	static DbStatement update = {
		"UPDATE mistral.overlay SET problem = $2 WHERE id OPERATOR(pg_catalog.=) $1 AND problem IS DISTINCT FROM $2", 2, {UUIDOID, TEXTOID}
	};
	Datum		values[] = {UUIDPGetDatum(&layer->id), problem ? CStringGetTextDatum(problem) : (Datum) 0};

	db_execute(&update, values, problem ? NULL : " n", false, 0);
}
