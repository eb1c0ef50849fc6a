/*
 * guc.c
 *		Every setting, alphabetically, with unit, range and context.
 *
 * Settings that steer what one session may use are SUSET, so that a role
 * cannot lift its own limits; what the workers read is SIGHUP.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine/history.h"
#include "executor/http_egress.h"
#include "executor/http_rate.h"
#include "guc.h"

bool		guc_archive = false;
int			guc_batch_size = 100;
int			guc_cache_size = 65536;
char	   *guc_databases = NULL;
bool		guc_enabled = true;
int			guc_engine_workers = 1;
int			guc_expression_memory = 131072;
int			guc_expression_timeout = 1000;
int			guc_event_retention = 86400;
char	   *guc_fake_now = NULL;
int			guc_history = HISTORY_ROLES;
int			guc_history_keep = 2592000;
char	   *guc_http_allow = NULL;
char	   *guc_http_deny = NULL;
int			guc_http_max_connections = 1000;
int			guc_http_max_connections_per_host = 100;
int			guc_http_max_connections_per_owner = 500;
char	   *guc_http_rate_limits = NULL;
char	   *guc_io_directory = NULL;
int			guc_io_hang_timeout = 60;
int			guc_io_memory = 1048576;
char	   *guc_io_modules = NULL;
bool		guc_maintenance = false;
int			guc_max_definition_size = 16384;
int			guc_max_result_size = 16384;
char	   *guc_notify = NULL;
int			guc_retention = -1;
char	   *guc_retention_ignored_states = NULL;
int			guc_retention_max_executions = 0;
char	   *guc_secret_key_file;
int			guc_sql_timeout = 60000;
int			guc_sql_workers = 2;
int			guc_yaql_limit_iterators = -1;

static const struct config_enum_entry history_levels[] = {
	{"off", HISTORY_OFF, false},
	{"roles", HISTORY_ROLES, false},
	{"executions", HISTORY_EXECUTIONS, false},
	{"tasks", HISTORY_TASKS, false},
	{"actions", HISTORY_ACTIONS, false},
	{NULL, 0, false}
};

static bool check_rates(char **newval, void **extra, GucSource source);
static bool check_list(const char *list, bool (*valid) (const char *list, char **bad), const char *form);
static bool check_networks(char **newval, void **extra, GucSource source);

void
guc_init(void)
{
	DefineCustomBoolVariable("mistral.archive",
							 "Whether what retention deletes is kept in the table mistral.archive.",
							 NULL, &guc_archive, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.batch_size",
							"Executions that an engine advances in one transaction.",
							NULL, &guc_batch_size, 100, 1, 10000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.cache_size",
							"Memory a process may keep for compiled definitions and live executions.",
							NULL, &guc_cache_size, 65536, 1024, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.databases",
							   "Databases in which workers run, separated by commas; empty means all.",
							   NULL, &guc_databases, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);
	DefineCustomBoolVariable("mistral.enabled",
							 "Whether background workers run.",
							 "When off, nothing advances; functions and views still work.",
							 &guc_enabled, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.engine_workers",
							"Engine processes for each database.",
							NULL, &guc_engine_workers, 1, 1, 16,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.event_retention",
							"Time that published events are kept for actions that will wait for them.",
							NULL, &guc_event_retention, 86400, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.expression_memory",
							"Memory that the evaluation of one expression may take.",
							NULL, &guc_expression_memory, 131072, 1024, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.expression_timeout",
							"Processor time that the evaluation of one expression may take; 0 means no limit.",
							NULL, &guc_expression_timeout, 1000, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.fake_now",
							   "Time that mistral.now() gives instead of the clock's, for tests.",
							   NULL, &guc_fake_now, "",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomEnumVariable("mistral.history",
							 "What the history keeps.",
							 "What roles did; all changes of state of executions; of tasks, too; of actions, too.", &guc_history, HISTORY_ROLES, history_levels,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.history_keep",
							"Time that the history is kept, also of executions that are deleted; -1 means for ever.",
							NULL, &guc_history_keep, 2592000, -1, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.http_allow",
							   "Networks that HTTP actions may reach although mistral.http_deny names them.",
							   "A list of addresses in CIDR form, separated by commas.",
							   &guc_http_allow, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_networks, NULL, NULL);
	DefineCustomStringVariable("mistral.http_deny",
							   "Networks that HTTP actions may not reach.",
							   "A list of addresses in CIDR form, separated by commas; checked on the connected address.",
							   &guc_http_deny,
							   "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,"
							   "192.0.0.0/24,192.168.0.0/16,198.18.0.0/15,224.0.0.0/4,240.0.0.0/4,"
							   "::/128,::1/128,64:ff9b::/96,64:ff9b:1::/48,fc00::/7,fe80::/10,fec0::/10,ff00::/8",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_networks, NULL, NULL);
	DefineCustomIntVariable("mistral.http_max_connections",
							"HTTP requests in flight for each database.",
							NULL, &guc_http_max_connections, 1000, 1, 100000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.io_directory",
							   "Directory with what modules need: keys, certificates, lists of known hosts.",
							   "Counts when mistral_io is started.", &guc_io_directory, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.io_hang_timeout",
							"How long a program that does I/O may take over one thing before it is ended and started again.",
							NULL, &guc_io_hang_timeout, 60, 1, 3600,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.io_memory",
							"Address space of each program that does I/O, mistral_http and mistral_io; 0 means no limit.",
							"For each database; counts when a program is started.", &guc_io_memory, 1048576, 0, MAX_KILOBYTES,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.io_modules",
							   "Modules with actions that mistral_io loads, separated by commas; empty means none.",
							   "A name stands for a file in PostgreSQL's library directory.",
							   &guc_io_modules, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.http_max_connections_per_host",
							"Of those, to one host.",
							NULL, &guc_http_max_connections_per_host, 100, 1, 100000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.http_max_connections_per_owner",
							"Of those, of executions of one role.",
							NULL, &guc_http_max_connections_per_owner, 500, 1, 100000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.http_rate_limits",
							   "Requests a second that a host is sent, as host=rate or host:port=rate; * means any other host.",
							   "A list, separated by commas, of which the first that applies counts.",
							   &guc_http_rate_limits, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_rates, NULL, NULL);
	DefineCustomBoolVariable("mistral.maintenance",
							 "Whether executions that have not begun wait.",
							 "When on, those under way go on, and what is started is kept until it is off.",
							 &guc_maintenance, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.max_definition_size",
							"Size of the text of a definition.",
							NULL, &guc_max_definition_size, 16384, 1, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.max_result_size",
							"Size of one input, result, output or published value.",
							NULL, &guc_max_result_size, 16384, 1, 262143,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.notify",
							   "Kinds of notifications that the engine sends: executions, tasks, actions.",
							   NULL, &guc_notify, "executions,actions",
							   PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.retention",
							"Time that finished executions are kept with all that belongs to them; -1 means for ever.",
							NULL, &guc_retention, -1, -1, INT_MAX,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.retention_ignored_states",
							   "States, separated by commas, whose executions are kept for ever.",
							   "SUCCESS, ERROR, CANCELLED.",
							   &guc_retention_ignored_states, "",
							   PGC_SUSET, GUC_LIST_INPUT, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.retention_max_executions",
							"Finished executions that are kept, the oldest go first; 0 means no limit.",
							NULL, &guc_retention_max_executions, 0, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("mistral.secret_key_file",
							   "File with the keys under which secrets are stored.",
							   "Lines of 64 hexadecimal digits; the first key seals, all of them open.",
							   &guc_secret_key_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.sql_timeout",
							"Time that an SQL action may take; 0 means no limit.",
							"A task's timeout makes it shorter.", &guc_sql_timeout, 60000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.sql_workers",
							"Processes for each database that run SQL actions, started when there are some.",
							NULL, &guc_sql_workers, 2, 0, MAX_SQL_WORKERS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("mistral.yaql_limit_iterators",
							"Elements that an iterator may yield in an expression; -1 means no limit but the others.",
							NULL, &guc_yaql_limit_iterators, -1, -1, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("mistral");
}

/* A list of networks in CIDR form. */
static bool
check_networks(char **newval, void **extra, GucSource source)
{
	return check_list(*newval, http_egress_list_valid, "a network in CIDR form, such as 10.0.0.0/8");
}

static bool
check_rates(char **newval, void **extra, GucSource source)
{
	return check_list(*newval, http_rate_list_valid, "of the form host=requests per second, such as api.example.com=10");
}

static bool
check_list(const char *list, bool (*valid) (const char *list, char **bad), const char *form)
{
	char	   *bad;

	if (valid(list, &bad))
		return true;
	GUC_check_errdetail("\"%s\" is not %s.", bad, form);
	pfree(bad);
	return false;
}
