/*
 * table_watch.h
 *		Rows of the user's tables that start workflows, or are events, when they change.  All between db_enter and db_leave.
 */
#ifndef MISTRAL_TABLE_WATCH_H
#define MISTRAL_TABLE_WATCH_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

#define WATCH_INSERT	0x01
#define WATCH_UPDATE	0x02
#define WATCH_DELETE	0x04

typedef struct TableWatch
{
	pg_uuid_t	id;
	const char *name;			/* NULL: one is made up */
	Oid			owner;
	Oid			relation;
	int			operations;		/* WATCH_* */
	const char *event;			/* what a change is published as; NULL: it starts the workflow */
	const char *workflow;		/* this, its namespace, input and params only without an event */
	const char *namespace_;
	const char *filter;			/* NULL: none */
	const Jsonb *input;
	const Jsonb *params;
} TableWatch;

/* Checks and stores a watch, without its trigger; fills in its id and name. */
extern void table_watch_create(TableWatch *watch);

/* Forgets a watch and drops its trigger; an error when the role has none of that name. */
extern void table_watch_delete(const char *name, Oid role);

/* The watch of that id; false when it is gone. */
extern bool table_watch_load(const pg_uuid_t *id, TableWatch *watch);

/* The name of the trigger on the table. */
extern char *table_watch_trigger(const pg_uuid_t *id);

/* A row has changed: starts the workflow, or publishes the event, unless the filter says no.  `context` is what expressions see. */
extern void table_watch_fire(const TableWatch *watch, const Jsonb *context);

#endif							/* MISTRAL_TABLE_WATCH_H */
