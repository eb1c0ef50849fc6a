/*
 * sql_call.c
 *		Calling a function of the database, or a statement, with somebody's rights.
 *
 * The call has the rights of the execution's owner and runs under the
 * restrictions of a security-restricted operation: no temporary tables, no
 * deferred constraints, no SET ROLE; names are looked for in pg_catalog.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "parser/parse_param.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "base/db.h"
#include "base/json.h"
#include "compat.h"
#include "engine/guard.h"
#include "engine/registered.h"
#include "executor/sql_call.h"
#include "guc.h"

#define STATEMENT_ACTION "std.sql"

/* For a call to notice that it has been cancelled; one that goes on takes its process with it. */
#define LEAVE_MS 5000

/* Parameters of a statement, whose types the parser finds out. */
typedef struct Variables
{
	Oid		   *types;
	int			n;
} Variables;

/* Plans that call functions: the oldest makes room. */
#define KEPT_PLANS 64

typedef struct KeptPlan
{
	char	   *text;
	Oid			role;
	uint64		roles;			/* the roles_version that it was made under */
	SPIPlanPtr	plan;			/* NULL: the place is free */
} KeptPlan;

static KeptPlan kept_plans[KEPT_PLANS];
static uint64 roles_version = 0;

/* Rows of a statement, made into JSON as they come: none is kept above the limit. */
typedef struct RowReceiver
{
	DestReceiver pub;			/* first */
	MemoryContext context;		/* of what is kept */
	MemoryContext row_context;	/* of one row */
	TupleDesc	desc;			/* NULL: the statement gives no rows */
	JsonBuilder rows;
	int64		nrows;
	Size		size;
} RowReceiver;

static void set_timeouts(int timeout_ms);
static void leave(void);
static void call_body(void *arg);
static void call_function(SqlCall *call);
static SPIPlanPtr kept_plan(const char *text, Oid role);
static void roles_changed(Datum arg, int cacheid, uint32 hashvalue);
static void call_statement(SqlCall *call);
static void setup_variables(ParseState *state, void *arg);
static ParamListInfo bind_params(const Variables *variables, const Jsonb *params);
static char *param_text(const JsonbValue *value, Oid type);
static void rows_init(RowReceiver *receiver);
static void rows_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool rows_receive(TupleTableSlot *slot, DestReceiver *self);
static void rows_ignore(DestReceiver *self);
static Jsonb *rows_finish(RowReceiver *receiver);
static Jsonb *error_to_jsonb(const ErrorData *error);

bool
sql_call_prepare(SqlCall *call, char **error)
{
	char	   *role = GetUserNameFromId(call->owner, true);
	RegisteredAction action;

	if (role == NULL)
	{
		*error = psprintf("the execution's owner, role %u, does not exist any more", call->owner);
		return false;
	}
	if (strcmp(call->name, STATEMENT_ACTION) == 0)
	{
		if (db_may_use_action(call->owner, "std_sql"))
			return true;
		*error = psprintf("role \"%s\" may not use %s: GRANT EXECUTE ON FUNCTION mistral.std_sql(jsonb) TO %s allows it",
						  role, call->name, quote_identifier(role));
		return false;
	}
	if (!registered_find(call->name, call->owner, OWNED_USE, &action) || !OidIsValid(action.function) ||
		!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(action.function)))
	{
		*error = psprintf("the function of action %s does not exist any more", call->name);
		return false;
	}
	call->function = action.function;
	return true;
}

void
sql_call(SqlCall *call)
{
	Oid			user;
	int			context;
	int			nest_level = NewGUCNestLevel();
	ErrorData  *error;
	bool		timed = call->timeout_ms > 0;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(call->owner, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (timed)
		set_timeouts(call->timeout_ms);
	error = guard_any(call_body, call);
	if (timed)
		set_timeouts(0);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, context);
	if (error == NULL)
		return;
	/* A cancelled statement is a call that took too long, or one that somebody wanted to end. */
	if (error->sqlerrcode != ERRCODE_QUERY_CANCELED && guard_says_nothing(error->sqlerrcode))
		ReThrowError(error);
	call->failed = true;
	call->result = error_to_jsonb(error);
}

/*
 * A statement's timeout raises an error, which a function may catch, and then go
 * on for ever; nothing catches the end of the process.  0: none any more.
 */
static void
set_timeouts(int timeout_ms)
{
	static TimeoutId leave_timeout = MAX_TIMEOUTS;

	if (leave_timeout == MAX_TIMEOUTS)
		leave_timeout = RegisterTimeout(USER_TIMEOUT, leave);
	if (timeout_ms > 0)
	{
		enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
		enable_timeout_after(leave_timeout, Min(timeout_ms, INT_MAX - LEAVE_MS) + LEAVE_MS);
		return;
	}
	disable_timeout(leave_timeout, false);
	disable_timeout(STATEMENT_TIMEOUT, false);
}

/* In a signal handler. */
static void
leave(void)
{
	kill(MyProcPid, SIGTERM);
}

static void
call_body(void *arg)
{
	SqlCall    *call = arg;

	if (OidIsValid(call->function))
		call_function(call);
	else
		call_statement(call);
}

/* By a statement, so that rights are checked and the function's language sees a query above it. */
static void
call_function(SqlCall *call)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *name = quote_qualified_identifier(get_namespace_name(get_func_namespace(call->function)),
												  get_func_name(call->function));
	Datum		values[1] = {JsonbPGetDatum(call->input)};
	Datum		result;
	bool		isnull;

	SPI_connect();
	if (SPI_execute_plan(kept_plan(psprintf("SELECT %s($1)", name), call->owner), values, NULL, false, 2) != SPI_OK_SELECT ||
		SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("function %s did not give one row", name)));
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == JSONBOID)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		call->result = DatumGetJsonbPCopy(result);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
}

/*
 * The plan of such a statement, made with the role's rights, as for each other
 * role: a function that is simple enough becomes part of it without a further
 * look at whether one may execute it.  PostgreSQL plans anew when a function or
 * a schema changes; when what roles are members of changes, that is up to us.
 */
static SPIPlanPtr
kept_plan(const char *text, Oid role)
{
	static int	next = 0;
	static bool watched = false;
	Oid			types[1] = {JSONBOID};
	uint64		roles = roles_version;
	KeptPlan   *place;
	SPIPlanPtr	plan;

	if (!watched)
	{
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
		watched = true;
	}
	for (int i = 0; i < KEPT_PLANS; i++)
	{
		place = &kept_plans[i];
		if (place->plan && place->role == role && place->roles == roles_version && strcmp(place->text, text) == 0)
			return place->plan;
	}
	plan = SPI_prepare_cursor(text, 1, types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	place = &kept_plans[next];
	next = (next + 1) % KEPT_PLANS;
	if (place->plan)
	{
		SPI_freeplan(place->plan);
		place->plan = NULL;
		pfree(place->text);
	}
	place->text = MemoryContextStrdup(TopMemoryContext, text);
	place->role = role;
	place->roles = roles;
	SPI_keepplan(plan);
	place->plan = plan;
	return plan;
}

static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	roles_version++;
}

/* One statement with its parameters bound; {"rows": [...], "row_count": n}. */
static void
call_statement(SqlCall *call)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *text = json_get_string(call->input, "query");
	Jsonb	   *params = json_get_jsonb(call->input, "params");
	Variables	variables = {NULL, 0};
	SPIPrepareOptions options = {0};
	SPIExecuteOptions execution = {0};
	SPIPlanPtr	plan;
	RowReceiver receiver;
	Jsonb	   *result;
	MemoryContext old;

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"query\" must be a text")));
	if (params && !json_is_null(params) && (json_is_object(params) || JB_ROOT_IS_SCALAR(params)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"params\" must be a list")));
	SPI_connect();
	options.parserSetup = setup_variables;
	options.parserSetupArg = &variables;
	options.parseMode = RAW_PARSE_DEFAULT;
	options.cursorOptions = CURSOR_OPT_PARALLEL_OK;
	plan = SPI_prepare_extended(text, &options);
	if (plan == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the statement cannot be prepared: %s", SPI_result_code_string(SPI_result))));
	if (list_length(SPI_plan_get_plan_sources(plan)) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s takes one statement", STATEMENT_ACTION)));
	rows_init(&receiver);
	execution.params = bind_params(&variables, params);
	execution.dest = &receiver.pub;
	if (SPI_execute_plan_extended(plan, &execution) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the statement cannot be executed here: %s", SPI_result_code_string(SPI_result))));
	result = rows_finish(&receiver);
	old = MemoryContextSwitchTo(caller);
	call->result = json_copy(result);
	MemoryContextSwitchTo(old);
	SPI_finish();
}

static void
setup_variables(ParseState *state, void *arg)
{
	Variables  *variables = arg;

	compat_setup_parse_variable_parameters(state, &variables->types, &variables->n);
}

/* The parameters as the types that the statement wants: each goes through its type's input function. */
static ParamListInfo
bind_params(const Variables *variables, const Jsonb *params)
{
	ParamListInfo list = makeParamList(variables->n);
	int			given = params && !json_is_null(params) ? json_count(params) : 0;

	if (given != variables->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the statement has %d parameters, and \"params\" has %d", variables->n, given)));
	for (int i = 0; i < variables->n; i++)
	{
		Oid			type = variables->types[i] == UNKNOWNOID ? TEXTOID : variables->types[i];
		JsonbValue *value = getIthJsonbValueFromContainer((JsonbContainer *) &params->root, i);
		ParamExternData *param = &list->params[i];
		Oid			input;
		Oid			io_param;

		if (type == InvalidOid)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("the type of parameter $%d is not known", i + 1),
					 errhint("Write a cast behind it.")));
		getTypeInputInfo(type, &input, &io_param);
		param->ptype = type;
		param->pflags = PARAM_FLAG_CONST;
		param->isnull = value->type == jbvNull;
		param->value = OidInputFunctionCall(input, param->isnull ? NULL : param_text(value, type), io_param, -1);
	}
	return list;
}

/* A JSON list becomes an array where one is wanted; any other value its text. */
static char *
param_text(const JsonbValue *value, Oid type)
{
	Jsonb	   *json = json_from_value(value);
	StringInfoData text;

	if (type == JSONBOID || type == JSONOID)
		return JsonbToCString(NULL, &json->root, VARSIZE(json));
	if (!OidIsValid(get_element_type(type)) || value->type != jbvBinary || json_is_object(json))
		return json_to_text(json);
	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	for (int i = 0; i < json_count(json); i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(&json->root, i);

		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(&text, ',');
		if (element->type == jbvNull)
			appendStringInfoString(&text, "NULL");
		else if (element->type == jbvBinary && !JsonContainerIsObject(element->val.binary.data))
			appendStringInfoString(&text, param_text(element, type));
		else
		{
			appendStringInfoChar(&text, '"');
			for (const char *c = json_to_text(json_from_value(element)); *c; c++)
			{
				if (*c == '"' || *c == '\\')
					appendStringInfoChar(&text, '\\');
				appendStringInfoChar(&text, *c);
			}
			appendStringInfoChar(&text, '"');
		}
	}
	appendStringInfoChar(&text, '}');
	return text.data;
}

/* In the memory of the SPI procedure that is open. */
static void
rows_init(RowReceiver *receiver)
{
	memset(receiver, 0, sizeof(*receiver));
	receiver->pub.receiveSlot = rows_receive;
	receiver->pub.rStartup = rows_startup;
	receiver->pub.rShutdown = rows_ignore;
	receiver->pub.rDestroy = rows_ignore;
	receiver->pub.mydest = DestTuplestore;
	receiver->context = CurrentMemoryContext;
	receiver->row_context = AllocSetContextCreate(CurrentMemoryContext, "mistral row", ALLOCSET_DEFAULT_SIZES);
	json_begin_object(&receiver->rows);
	json_add_key(&receiver->rows, "rows");
	json_begin_array(&receiver->rows);
}

static void
rows_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	receiver->desc = BlessTupleDesc(CreateTupleDescCopy(desc));
	MemoryContextSwitchTo(old);
}

static bool
rows_receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->row_context);
	Jsonb	   *row = json_from_row(ExecCopySlotHeapTuple(slot), receiver->desc);

	CHECK_FOR_INTERRUPTS();
	receiver->nrows++;
	receiver->size += VARSIZE(row);
	if (receiver->size > (Size) guc_max_result_size * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the result is larger than mistral.max_result_size (%d kB)", guc_max_result_size)));
	MemoryContextSwitchTo(receiver->context);
	json_add_jsonb(&receiver->rows, json_copy(row));
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
	return true;
}

static void
rows_ignore(DestReceiver *self)
{
}

static Jsonb *
rows_finish(RowReceiver *receiver)
{
	JsonBuilder *b = &receiver->rows;

	json_end_array(b);
	json_add_key(b, "row_count");
	json_add_int(b, receiver->desc ? receiver->nrows : (int64) SPI_processed);
	json_end_object(b);
	return json_finish(b);
}

static Jsonb *
error_to_jsonb(const ErrorData *error)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "sqlstate");
	json_add_string(&b, unpack_sql_state(error->sqlerrcode));
	json_add_key(&b, "message");
	json_add_string(&b, error->message);
	if (error->detail)
	{
		json_add_key(&b, "detail");
		json_add_string(&b, error->detail);
	}
	if (error->hint)
	{
		json_add_key(&b, "hint");
		json_add_string(&b, error->hint);
	}
	json_end_object(&b);
	return json_finish(&b);
}
