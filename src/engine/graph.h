/*
 * graph.h
 *		Workflows and executions as pictures: the text that Graphviz and Mermaid draw.
 */
#ifndef MISTRAL_GRAPH_H
#define MISTRAL_GRAPH_H

#include "postgres.h"

#include "utils/uuid.h"

typedef enum GraphFormat
{
	GRAPH_DOT,
	GRAPH_MERMAID
} GraphFormat;

/* Raises an error for what is not the name of a format. */
extern GraphFormat graph_format(const char *name);

/*
 * The tasks of the workflow that the name means for the role, or into which it may insert tasks, with those of overlays and how
 * they lead to each other; raises when there is none.  Both live until db_leave.
 */
extern char *graph_workflow(const char *name, const char *namespace_, GraphFormat format, Oid role);

/* The same of the version that an execution runs, with the tasks' states; raises when the role sees no such execution. */
extern char *graph_execution(const pg_uuid_t *id, GraphFormat format, Oid role);

#endif							/* MISTRAL_GRAPH_H */
