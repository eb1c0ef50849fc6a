/*
 * graph.c
 *		mistral.workflow_graph and execution_graph: pictures as text.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "base/db.h"
#include "engine/graph.h"

SQL_FUNCTION(mistral_workflow_graph);
SQL_FUNCTION(mistral_execution_graph);

/* workflow_graph(name, format, namespace) returns text */
Datum
mistral_workflow_graph(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0, "name");
	GraphFormat format = graph_format(arg_text(fcinfo, 1, "format"));
	char	   *namespace_ = arg_text(fcinfo, 2, "namespace");
	MemoryContext cxt = CurrentMemoryContext;
	DbSession	session;
	char	   *graph;

	db_enter(&session);
	graph = MemoryContextStrdup(cxt, graph_workflow(name, namespace_, format, session.caller));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(graph));
}

/* execution_graph(id, format) returns text */
Datum
mistral_execution_graph(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	GraphFormat format = graph_format(arg_text(fcinfo, 1, "format"));
	MemoryContext cxt = CurrentMemoryContext;
	DbSession	session;
	char	   *graph;

	db_enter(&session);
	graph = MemoryContextStrdup(cxt, graph_execution(&id, format, session.caller));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(graph));
}
