/*
 * guc.h
 *		Every setting, alphabetically; docs/settings.md is checked against it.
 */
#ifndef MISTRAL_GUC_H
#define MISTRAL_GUC_H

/* Upper bound of mistral.sql_workers. */
#define MAX_SQL_WORKERS 16

extern bool guc_archive;		/* whether what retention deletes is kept in mistral.archive */
extern int	guc_batch_size;		/* executions stepped in one transaction */
extern int	guc_cache_size;		/* kB of compiled definitions and live executions per process */
extern char *guc_databases;		/* databases the launcher looks at; empty: all */
extern bool guc_enabled;		/* whether workers run at all */
extern int	guc_engine_workers; /* engine processes per database */
extern int	guc_expression_memory;	/* kB an evaluation may allocate */
extern int	guc_expression_timeout; /* ms an evaluation may take */
extern int	guc_event_retention;	/* s that published events are kept */
extern char *guc_fake_now;		/* timestamp that mistral.now() gives; empty: the clock */
extern int	guc_history;		/* what the history keeps, a HistoryLevel */
extern int	guc_history_keep;	/* s that the history is kept; -1: for ever */
extern char *guc_http_allow;	/* networks that HTTP may reach although denied */
extern char *guc_http_deny;		/* networks that HTTP may not reach */
extern int	guc_http_max_connections;	/* requests in flight per executor */
extern int	guc_http_max_connections_per_host;	/* of those, to one host */
extern int	guc_http_max_connections_per_owner; /* of those, of one role */
extern char *guc_http_rate_limits;	/* requests a second, by host */
extern char *guc_io_directory;	/* where modules find keys and the like; empty: nowhere */
extern int	guc_io_hang_timeout;	/* s that a program of ours may take over one thing */
extern int	guc_io_memory;		/* kB that each program of ours may use; 0: no limit */
extern char *guc_io_modules;	/* modules that it loads; empty: it does not run */
extern bool guc_maintenance;	/* whether executions that have not begun wait */
extern int	guc_max_definition_size;	/* kB of a definition's text */
extern int	guc_max_result_size;	/* kB of one input, result, output or published value */
extern char *guc_notify;		/* kinds of notifications sent: executions, tasks, actions */
extern int	guc_retention;		/* s that finished executions are kept; -1: for ever */
extern char *guc_retention_ignored_states;	/* executions in these states are kept for ever */
extern int	guc_retention_max_executions;	/* finished executions that are kept; 0: no limit */
extern char *guc_secret_key_file;	/* where the keys of secrets are; empty: there are none */
extern int	guc_sql_timeout;	/* ms that an SQL action may take; 0: no limit */
extern int	guc_sql_workers;	/* processes per database that run SQL actions */
extern int	guc_yaql_limit_iterators;	/* elements an iterator may yield; -1: no limit */

extern void guc_init(void);

#endif							/* MISTRAL_GUC_H */
