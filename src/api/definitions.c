/*
 * definitions.c
 *		SQL functions that load, delete and check definitions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "actions/registry.h"
#include "api/args.h"
#include "api/scope.h"
#include "base/db.h"
#include "dsl/spec.h"
#include "engine/definitions.h"
#include "engine/known_names.h"
#include "engine/registered.h"
#include "mistral.h"

SQL_FUNCTION(mistral_load_workbook);
SQL_FUNCTION(mistral_load_workflow);
SQL_FUNCTION(mistral_load_action);
SQL_FUNCTION(mistral_delete_workbook);
SQL_FUNCTION(mistral_delete_workflow);
SQL_FUNCTION(mistral_delete_action);
SQL_FUNCTION(mistral_validate);
SQL_FUNCTION(mistral_lint);
SQL_FUNCTION(mistral_json_schema);
SQL_FUNCTION(mistral_publish_definition);
SQL_FUNCTION(mistral_definitions_changed);

/* Checks the document in the first argument and stores what it makes. */
static SpecDocument *
load_document(FunctionCallInfo fcinfo, SpecKind kind)
{
	char	   *definition = arg_text(fcinfo, 0, "definition");
	char	   *namespace_ = arg_name(fcinfo, 1, "namespace", true);
	bool		public_ = arg_scope(fcinfo, 2);
	SpecDocument *document = spec_parse(definition, strlen(definition), kind);
	DbSession	session;

	spec_check_load(document);
	if (document->problems != NIL)
		spec_raise(document);
	db_enter(&session);
	definition_store(document, definition, namespace_, public_, session.caller);
	db_leave(&session);
	return document;
}

static Datum
names_array(const SpecDocument *document)
{
	Datum	   *names = palloc(Max(list_length(document->definitions), 1) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, document->definitions)
		names[n++] = CStringGetTextDatum(((SpecDefinition *) lfirst(lc))->name);
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
mistral_load_workbook(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(load_document(fcinfo, SPEC_WORKBOOK)->workbook));
}

Datum
mistral_load_workflow(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(names_array(load_document(fcinfo, SPEC_WORKFLOW)));
}

Datum
mistral_load_action(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(names_array(load_document(fcinfo, SPEC_ACTION)));
}

static Datum
delete_definition(FunctionCallInfo fcinfo, SpecKind kind)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	char	   *namespace_ = arg_text(fcinfo, 1, "namespace");
	DbSession	session;
	bool		found;

	db_enter(&session);
	found = definition_retire(kind, name, namespace_, session.caller) ||
		(kind == SPEC_ACTION && namespace_[0] == '\0' && registered_delete(name, session.caller));
	db_leave(&session);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("%s \"%s\" does not exist", definition_kind_name(kind), name),
				 namespace_[0] != '\0' ? errdetail("The namespace is \"%s\".", namespace_) : 0,
				 errhint("Only definitions of roles whose rights you have can be deleted.")));
	PG_RETURN_VOID();
}

Datum
mistral_delete_workbook(PG_FUNCTION_ARGS)
{
	return delete_definition(fcinfo, SPEC_WORKBOOK);
}

Datum
mistral_delete_workflow(PG_FUNCTION_ARGS)
{
	return delete_definition(fcinfo, SPEC_WORKFLOW);
}

Datum
mistral_delete_action(PG_FUNCTION_ARGS)
{
	return delete_definition(fcinfo, SPEC_ACTION);
}

static SpecKind
arg_kind(FunctionCallInfo fcinfo, int argno)
{
	char	   *name;

	if (PG_ARGISNULL(argno))
		return SPEC_UNKNOWN;
	name = text_to_cstring(PG_GETARG_TEXT_PP(argno));
	for (int kind = SPEC_WORKBOOK; kind <= SPEC_ACTION; kind++)
	{
		if (strcmp(name, definition_kind_name(kind)) == 0)
			return kind;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("kind must be \"workbook\", \"workflow\" or \"action\", not \"%s\"", name)));
}

static const char *const severities[] = {"error", "warning", "info"};

/* What lint asks about built-in actions. */
static const SpecActions *
builtin_actions(void)
{
	SpecActions *actions = palloc0(sizeof(SpecActions));
	const char **names = palloc(action_type_count * sizeof(char *));

	for (int i = 0; i < action_type_count; i++)
		names[i] = action_types[i].name;
	actions->names = names;
	actions->nnames = action_type_count;
	actions->parameters = action_parameters;
	actions->next_parameter = action_next_parameter;
	return actions;
}

/* One row for each problem; lint has the severity before it. */
static Datum
problem_rows(FunctionCallInfo fcinfo, bool lint)
{
	FuncCallContext *context;
	SpecDocument *document;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext caller;
		TupleDesc	desc;
		char	   *definition;

		context = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		definition = arg_text(fcinfo, 0, "definition");
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "the result must be rows");
		context->tuple_desc = BlessTupleDesc(desc);
		context->user_fctx = lint ?
			spec_lint(definition, strlen(definition), arg_kind(fcinfo, 1), builtin_actions()) :
			spec_parse(definition, strlen(definition), arg_kind(fcinfo, 1));
		MemoryContextSwitchTo(caller);
	}
	context = SRF_PERCALL_SETUP();
	document = context->user_fctx;
	if (context->call_cntr < list_length(document->problems))
	{
		SpecProblem *problem = list_nth(document->problems, context->call_cntr);
		Datum		values[6];
		bool		nulls[6] = {false};
		int			n = 0;

		if (lint)
			values[n++] = CStringGetTextDatum(severities[problem->severity]);
		values[n++] = Int32GetDatum(problem->line);
		values[n++] = Int32GetDatum(problem->col);
		values[n++] = CStringGetTextDatum(problem->path);
		values[n++] = CStringGetTextDatum(problem->message);
		nulls[n] = problem->hint == NULL;
		values[n] = problem->hint ? CStringGetTextDatum(problem->hint) : (Datum) 0;
		SRF_RETURN_NEXT(context, HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls)));
	}
	SRF_RETURN_DONE(context);
}

Datum
mistral_validate(PG_FUNCTION_ARGS)
{
	return problem_rows(fcinfo, false);
}

Datum
mistral_lint(PG_FUNCTION_ARGS)
{
	return problem_rows(fcinfo, true);
}

Datum
mistral_json_schema(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(spec_json_schema())));
}

/* Does nothing: whoever may execute it may publish. */
Datum
mistral_publish_definition(PG_FUNCTION_ARGS)
{
	PG_RETURN_VOID();
}

/* The trigger on the table of definitions. */
Datum
mistral_definitions_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("mistral.definitions_changed() is a trigger function")));
	known_names_changed();
	return PointerGetDatum(NULL);
}
