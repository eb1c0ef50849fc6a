/*
 * http_executor.c
 *		From mistral.dispatch to libcurl and back to mistral.message.
 *
 * An action is in one place at a time: a row of dispatch (nobody has it), a row
 * of attempt (this process has it, or one that died had it), a message (it has
 * ended).  Each move is one transaction, and the requests are between two of
 * them.  The lists below say where a claimed request is:
 *
 *		claimed -> the pool -> recording -> gone
 *		               ^           |
 *		               +- deferred-+   (the row was locked, or the commit failed)
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/secret_key.h"
#include "engine/secrets.h"
#include "executor/http_egress.h"
#include "executor/http_executor.h"
#include "executor/http_pool.h"
#include "executor/http_response.h"
#include "executor/protect.h"
#include "guc.h"
#include "mistral.h"
#include "queue/message.h"

#define PERFORMER "http"
#define ACTION_HTTP_NAME "std.http"
#define ACTION_WAIT_NAME "std.mistral_http"
#define WEBHOOK_NAME "webhook"

/*
 * How much may be claimed, in multiples of what may run: the others wait here
 * for their hosts, so that a slow one does not keep the rest in the table.
 */
#define CLAIM_FACTOR 4
#define CLAIM_BYTES (256 * 1024 * 1024)

/*
 * How many hosts with too many waiting requests a claim leaves out, and how many
 * times as long as it took the next such claim has to wait: it reads past all
 * that it leaves out.
 */
#define CLAIM_MAX_CROWDED 64
#define CLAIM_REST 10

/* An attempt that took its executor with it this often is not repeated. */
#define MAX_ATTEMPTS 3

#define RECORD_RETRY_MS 100
#define RECORD_RETRY_MAX_MS 60000

/* How long a record waits for another transaction that completes the same action. */
#define RECORD_LOCK_TIMEOUT "20ms"

static bool started = false;
static dlist_head claimed = DLIST_STATIC_INIT(claimed);
static dlist_head recording = DLIST_STATIC_INIT(recording);
static dlist_head recorded = DLIST_STATIC_INIT(recorded);
static dlist_head deferred = DLIST_STATIC_INIT(deferred);
static int	nclaimed = 0;
static int	nrecording = 0;		/* recording and deferred ones; recorded ones too, until their commit */
static size_t bytes_held = 0;	/* of requests, without their answers */
static TimestampTz selective_after = 0; /* a claim that leaves hosts out rests until then */
static bool selective_owed = false; /* one was asked for meanwhile */

static Datum text_array(const char **texts, int n);
static void claim_row(uint64 row);
static void build(HttpRequest *request, bool webhook, Jsonb *input, const Jsonb *headers, int timeout, Oid owner);
static Jsonb *sign(const Jsonb *input, const Jsonb *headers, Oid owner, List **secrets, char **error);
static void refuse_row(uint64 row, const char *action, Oid owner);
static void put_error(const pg_uuid_t *root_id, const pg_uuid_t *action_id, int attempt, const char *text);
static Jsonb *get_jsonb(uint64 row, int attnum);
static void collect_finished(void);
static HttpRequest **take_ready(int max, int *count);
static bool *delete_attempts(HttpRequest **requests, int count, bool again);
static bool attempt_exists(const HttpRequest *request);
static void record_protected(HttpRequest *request);
static void record_one(void *arg);
static void put_result(HttpRequest *request);
static void defer(HttpRequest *request);
static void forget(HttpRequest *request);

void
executor_start(void)
{
	curl_version_info_data *version;
	CurlSignals saved;
	CURLcode	rc;

	Assert(!started);
	curl_signals_block(&saved);
	rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	curl_signals_restore(&saved);
	if (rc != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libcurl: %s", curl_easy_strerror(rc))));
	version = curl_version_info(CURLVERSION_NOW);
	if ((version->features & CURL_VERSION_ASYNCHDNS) == 0)
		ereport(WARNING,
				(errmsg("libcurl %s looks up host names without a thread of its own", version->version),
				 errdetail("A slow name server holds up every HTTP request.")));
	http_pool_start();
	started = true;
}

int
executor_recover(void)
{
	static DbStatement again = {
		"WITH gone AS (DELETE FROM mistral.attempt WHERE performer = $1 AND safe_rerun AND attempt < $2 RETURNING *) "
		"INSERT INTO mistral.dispatch (id, root_id, action_id, attempt, performer, owner, action, safe_rerun, "
		"timeout, created_at, headers, input) "
		"SELECT pg_catalog.gen_random_uuid(), root_id, action_id, attempt + 1, performer, owner, action, safe_rerun, "
		"timeout, $3, headers, input FROM gone",
		3, {TEXTOID, INT4OID, TIMESTAMPTZOID}
	};
	static DbStatement lost = {
		"DELETE FROM mistral.attempt WHERE performer = $1 RETURNING root_id, action_id, attempt, safe_rerun",
		1, {TEXTOID}
	};
	DbSession	session;
	Datum		values[3];
	uint64		repeated;
	uint64		n;
	uint64		i;
	SPITupleTable *rows;

	db_enter(&session);
	values[0] = CStringGetTextDatum(PERFORMER);
	values[1] = Int32GetDatum(MAX_ATTEMPTS);
	values[2] = TimestampTzGetDatum(clock_now());
	repeated = db_execute(&again, values, NULL, false, 0);
	n = db_execute(&lost, values, NULL, false, 0);
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
	{
		TupleDesc	desc = rows->tupdesc;
		bool		isnull;
		pg_uuid_t  *root_id = DatumGetUUIDP(SPI_getbinval(rows->vals[i], desc, 1, &isnull));
		pg_uuid_t  *action_id = DatumGetUUIDP(SPI_getbinval(rows->vals[i], desc, 2, &isnull));
		int			attempt = DatumGetInt32(SPI_getbinval(rows->vals[i], desc, 3, &isnull));
		bool		safe_rerun = DatumGetBool(SPI_getbinval(rows->vals[i], desc, 4, &isnull));

		CHECK_FOR_INTERRUPTS();
		put_error(root_id, action_id, attempt,
				  safe_rerun ?
				  psprintf("the executor died %d times while the request was under way", attempt) :
				  "outcome unknown: the executor died while the request was under way; "
				  "it is repeated only with safe-rerun: true");
	}
	db_leave(&session);
	return (int) (repeated + n);
}

int
executor_room(void)
{
	int			held = executor_in_flight();
	int			limit = http_pool_limit();
	int64		room = (int64) limit * CLAIM_FACTOR - held;

	if (bytes_held > CLAIM_BYTES)
		return 0;
	return (int) Max(Min(room, limit), 0);
}

bool
executor_relieved(void)
{
	bool		relieved = http_pool_relieved();

	if (selective_owed && clock_steady() >= selective_after)
		relieved = true;
	if (relieved)
		selective_owed = false;
	return relieved;
}

/*
 * Whether an owner may use an action is asked here, when it is used, with the
 * guard function's privileges of this moment.  Actions for crowded hosts stay
 * in the table, or they would take all the room and those behind them wait for
 * a host that they do not want.
 */
int
executor_claim(int max)
{
	static DbStatement claim = {
		"WITH taken AS (DELETE FROM mistral.dispatch WHERE ctid = ANY (ARRAY("
		"SELECT ctid FROM mistral.dispatch WHERE performer = $1 AND (pg_catalog.cardinality($4) = 0 OR "
		"(pg_catalog.substring(input OPERATOR(pg_catalog.->>) 'url', '://(?:[^/?#]*@)?([^/?#]*)') = ANY ($4)) IS NOT TRUE) "
		"LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING *), "
		"checked AS MATERIALIZED (SELECT taken.*, CASE action "
		"WHEN 'std.http' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_http(jsonb)', 'EXECUTE') "
		"WHEN 'webhook' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_http(jsonb)', 'EXECUTE') "
		"WHEN 'std.mistral_http' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_mistral_http(jsonb)', 'EXECUTE') "
		"ELSE false END AS allowed FROM taken), "
		"begun AS (INSERT INTO mistral.attempt (action_id, attempt, root_id, performer, owner, action, safe_rerun, "
		"timeout, started_at, headers, input) "
		"SELECT action_id, attempt, root_id, performer, owner, action, safe_rerun, timeout, $3, headers, input "
		"FROM checked WHERE allowed) "
		"SELECT root_id, action_id, attempt, owner, action, timeout, headers, input, allowed, safe_rerun FROM checked",
		4, {TEXTOID, INT8OID, TIMESTAMPTZOID, TEXTARRAYOID}
	};
	DbSession	session;
	Datum		values[4];
	uint64		n;
	uint64		i;
	SPITupleTable *rows;
	const char *crowded[CLAIM_MAX_CROWDED];
	int			ncrowded;
	TimestampTz begin = clock_steady();

	max = Min(max, executor_room());
	if (max <= 0)
		return 0;
	ncrowded = http_pool_crowded(crowded, CLAIM_MAX_CROWDED);
	if (ncrowded > 0 && begin < selective_after)
	{
		selective_owed = true;
		return 0;
	}
	db_enter(&session);
	values[0] = CStringGetTextDatum(PERFORMER);
	values[1] = Int64GetDatum(max);
	values[2] = TimestampTzGetDatum(clock_now());
	values[3] = text_array(crowded, ncrowded);
	n = db_execute(&claim, values, NULL, false, 0);
	rows = SPI_tuptable;
	if (ncrowded > 0)
		selective_after = clock_steady() + CLAIM_REST * (clock_steady() - begin);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_tuptable = rows;	/* a message's insert has set its own */
		SPI_processed = n;
		claim_row(i);
	}
	db_leave(&session);
	return (int) n;
}

void
executor_submit(void)
{
	http_egress_refresh();
	while (!dlist_is_empty(&claimed))
	{
		HttpRequest *request = dlist_container(HttpRequest, node, dlist_pop_head_node(&claimed));

		nclaimed--;
		http_pool_add(request);
	}
}

void
executor_forget_claimed(void)
{
	while (!dlist_is_empty(&claimed))
	{
		nclaimed--;
		forget(dlist_container(HttpRequest, node, dlist_pop_head_node(&claimed)));
	}
}

int
executor_poll_fd(void)
{
	return http_pool_fd();
}

int
executor_drive(void)
{
	TimestampTz now = clock_steady();
	TimestampTz next = selective_owed ? selective_after : 0;
	dlist_mutable_iter iter;
	int			ready = 0;
	dlist_iter	it;

	http_pool_drive();
	collect_finished();
	dlist_foreach_modify(iter, &deferred)
	{
		HttpRequest *request = dlist_container(HttpRequest, node, iter.cur);

		if (request->record_after <= now)
		{
			dlist_delete(&request->node);
			dlist_push_tail(&recording, &request->node);
		}
		else if (next == 0 || request->record_after < next)
			next = request->record_after;
	}
	if (next != 0)
		http_pool_wake_at(next);
	dlist_foreach(it, &recording)
		ready++;
	return ready;
}

/*
 * The first time a batch is recorded with one DELETE.  What was in a batch that
 * failed is recorded one by one in subtransactions, so that the culprit is found
 * and the others get through.
 */
int
executor_record(int max)
{
	DbSession	session;
	MemoryContext context;
	MemoryContext old;
	HttpRequest **requests;
	bool	   *deleted;
	int			count;
	int			i;

	requests = take_ready(max, &count);
	if (count == 0)
		return 0;
	db_enter(&session);
	/* A session that holds back the completion of one action must not stop the others. */
	(void) set_config_option("lock_timeout", RECORD_LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	deleted = delete_attempts(requests, count, false);
	context = AllocSetContextCreate(CurrentMemoryContext, "http record", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(context);
		if (requests[i]->record_failures > 0)
			record_protected(requests[i]);
		else if (deleted[i])
			put_result(requests[i]);
		else if (attempt_exists(requests[i]))
			defer(requests[i]); /* locked by somebody who may be about to cancel it */
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	db_leave(&session);
	return count;
}

void
executor_recorded(bool committed)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &recorded)
	{
		HttpRequest *request = dlist_container(HttpRequest, node, iter.cur);

		if (!committed)
		{
			defer(request);
			continue;
		}
		dlist_delete(&request->node);
		nrecording--;
		http_response_clear(request);
		forget(request);
	}
}

int
executor_in_flight(void)
{
	return nclaimed + http_pool_held() + nrecording;
}

void
executor_shutdown(void)
{
	dlist_head *lists[] = {&recording, &recorded, &deferred};
	CurlSignals saved;
	int			i;

	if (!started)
		return;
	executor_forget_claimed();
	for (i = 0; i < (int) lengthof(lists); i++)
		while (!dlist_is_empty(lists[i]))
		{
			HttpRequest *request = dlist_container(HttpRequest, node, dlist_pop_head_node(lists[i]));

			http_response_clear(request);
			http_request_free(request);
		}
	nrecording = 0;
	bytes_held = 0;
	http_pool_shutdown();
	curl_signals_block(&saved);
	curl_global_cleanup();
	curl_signals_restore(&saved);
	started = false;
}

static Datum
text_array(const char **texts, int n)
{
	Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));
	int			i;

	for (i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Makes a request of a claimed row, or a message of one that is refused. */
static void
claim_row(uint64 row)
{
	bool		isnull;
	char	   *action = TextDatumGetCString(db_datum(row, 5, &isnull));
	bool		allowed = DatumGetBool(db_datum(row, 9, &isnull));
	Jsonb	   *headers = get_jsonb(row, 7);
	Jsonb	   *input = get_jsonb(row, 8);
	int			timeout;
	HttpRequest *request;

	if (!allowed)
	{
		refuse_row(row, action, DatumGetObjectId(db_datum(row, 4, &isnull)));
		return;
	}
	request = http_request_new();
	if (request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	/* In the list before anything can fail, so that forgetting finds it. */
	dlist_push_tail(&claimed, &request->node);
	nclaimed++;

	request->root_id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	request->action_id = *DatumGetUUIDP(db_datum(row, 2, &isnull));
	request->attempt = DatumGetInt32(db_datum(row, 3, &isnull));
	request->safe_rerun = DatumGetBool(db_datum(row, 10, &isnull));
	request->waits = strcmp(action, ACTION_WAIT_NAME) == 0;
	timeout = DatumGetInt32(db_datum(row, 6, &isnull));
	if (isnull)
		timeout = 0;
	build(request, strcmp(action, WEBHOOK_NAME) == 0, input, headers, timeout, DatumGetObjectId(db_datum(row, 4, &isnull)));
	request->held = http_request_size(request);
	bytes_held += request->held;
}

/* With the secrets that its input refers to; reads tables, and so replaces the last result. */
static void
build(HttpRequest *request, bool webhook, Jsonb *input, const Jsonb *headers, int timeout, Oid owner)
{
	List	   *secrets;
	char	   *error;

	input = secrets_resolve(input, &request->root_id, owner, &secrets, &error);
	if (error)
	{
		http_request_fail(request, "%s", error);
		return;
	}
	if (webhook && json_get_string(input, "secret"))
		headers = sign(input, headers, owner, &secrets, &error);
	if (error)
	{
		http_request_fail(request, "%s", error);
		return;
	}
	http_request_build(request, input, headers, timeout);
	if (secrets != NIL)
	{
		secret_mask_set(&request->mask, secrets, request->user, request->password);
		secret_wipe(input, VARSIZE(input));
	}
}

/*
 * Signs a webhook: HMAC-SHA-256 over "<seconds>.<body>", with the seconds beside
 * it, so that whoever knows the secret can refuse what is forged or old.
 */
static Jsonb *
sign(const Jsonb *input, const Jsonb *headers, Oid owner, List **secrets, char **error)
{
	char	   *value = secret_value(json_get_string(input, "secret"), owner, error);
	char	   *now;
	char	   *text;

	if (value == NULL)
		return NULL;
	*secrets = lappend(*secrets, value);
	now = psprintf(INT64_FORMAT, (int64) timestamptz_to_time_t(clock_now()));
	text = psprintf("%s.%s", now, json_get_string(input, "body"));
	return json_merge(headers, json_pair("Mistral-Signature",
										 json_from_string(psprintf("t=%s,v1=%s", now,
																   secret_hmac_hex(value, strlen(value), text, strlen(text))))));
}

static void
refuse_row(uint64 row, const char *action, Oid owner)
{
	bool		isnull;
	pg_uuid_t	root_id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	pg_uuid_t	action_id = *DatumGetUUIDP(db_datum(row, 2, &isnull));
	int			attempt = DatumGetInt32(db_datum(row, 3, &isnull));
	char	   *role = GetUserNameFromId(owner, true);

	/* Who tells by HTTP needs the same right. */
	if (strcmp(action, WEBHOOK_NAME) == 0)
		action = ACTION_HTTP_NAME;
	if (strcmp(action, ACTION_HTTP_NAME) != 0 && strcmp(action, ACTION_WAIT_NAME) != 0)
		put_error(&root_id, &action_id, attempt, psprintf("the HTTP executor does not know action %s", action));
	else if (role == NULL)
		put_error(&root_id, &action_id, attempt,
				  psprintf("the execution's owner, role %u, does not exist any more", owner));
	else
		put_error(&root_id, &action_id, attempt,
				  psprintf("role \"%s\" may not use %s: GRANT EXECUTE ON FUNCTION mistral.%s(jsonb) TO %s allows it",
						   role, action, strcmp(action, ACTION_HTTP_NAME) == 0 ? "std_http" : "std_mistral_http",
						   quote_identifier(role)));
}

/*
 * Under a key of its own (the attempt's number, negative), not the one that lets
 * only one completion in: it would wait for whoever holds back another one, and
 * with it every request of the database.  An action that has ended by then takes
 * no notice.
 */
static void
put_error(const pg_uuid_t *root_id, const pg_uuid_t *action_id, int attempt, const char *text)
{
	(void) message_put(root_id, MESSAGE_ACTION, action_id, -attempt,
					   message_action_result("ERROR", json_from_string(text)));
}

static Jsonb *
get_jsonb(uint64 row, int attnum)
{
	bool		isnull;
	Datum		value = db_datum(row, attnum, &isnull);

	return isnull ? NULL : DatumGetJsonbP(value);
}

static void
collect_finished(void)
{
	HttpRequest *request;

	while ((request = http_pool_take()) != NULL)
	{
		dlist_push_tail(&recording, &request->node);
		nrecording++;
	}
}

/* Moves at most `max` finished requests to `recorded`, where they stay until the transaction's end. */
static HttpRequest **
take_ready(int max, int *count)
{
	HttpRequest **requests = palloc(Max(max, 1) * sizeof(HttpRequest *));

	*count = 0;
	while (*count < max && !dlist_is_empty(&recording))
	{
		HttpRequest *request = dlist_container(HttpRequest, node, dlist_pop_head_node(&recording));

		dlist_push_tail(&recorded, &request->node);
		requests[(*count)++] = request;
	}
	return requests;
}

/*
 * Deletes the attempts of these requests (of those tried before, or of the
 * others), except those that are gone already or locked by others, and says
 * which: what is deleted here is ours to record.
 */
static bool *
delete_attempts(HttpRequest **requests, int count, bool again)
{
	static DbStatement delete = {
		"DELETE FROM mistral.attempt WHERE ctid = ANY (ARRAY("
		"SELECT a.ctid FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS f (action_id, attempt) "
		"JOIN mistral.attempt AS a ON a.action_id = f.action_id AND a.attempt = f.attempt "
		"FOR UPDATE OF a SKIP LOCKED)) RETURNING action_id, attempt",
		2, {UUIDARRAYOID, INT4ARRAYOID}
	};
	Datum	   *ids = palloc(count * sizeof(Datum));
	Datum	   *attempts = palloc(count * sizeof(Datum));
	bool	   *owned = palloc0(count * sizeof(bool));
	Datum		values[2];
	uint64		n;
	uint64		row;
	int			nelements = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		if ((requests[i]->record_failures > 0) != again)
			continue;
		ids[nelements] = UUIDPGetDatum(&requests[i]->action_id);
		attempts[nelements++] = Int32GetDatum(requests[i]->attempt);
	}
	values[0] = PointerGetDatum(construct_array(ids, nelements, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[1] = PointerGetDatum(construct_array(attempts, nelements, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	n = db_execute(&delete, values, NULL, false, 0);
	for (row = 0; row < n; row++)
	{
		bool		isnull;
		pg_uuid_t  *action_id = DatumGetUUIDP(db_datum(row, 1, &isnull));
		int			attempt = DatumGetInt32(db_datum(row, 2, &isnull));

		for (i = 0; i < count; i++)
			if (requests[i]->attempt == attempt && id_equal(&requests[i]->action_id, action_id))
				owned[i] = true;
	}
	return owned;
}

static bool
attempt_exists(const HttpRequest *request)
{
	static DbStatement find = {
		"SELECT 1 FROM mistral.attempt WHERE action_id = $1 AND attempt = $2",
		2, {UUIDOID, INT4OID}
	};
	Datum		values[2] = {UUIDPGetDatum(&request->action_id), Int32GetDatum(request->attempt)};

	return db_execute(&find, values, NULL, false, 1) > 0;
}

/* Deletes the attempt and puts the message, in a subtransaction. */
static void
record_protected(HttpRequest *request)
{
	int			sqlstate = protected_call(record_one, request);

	if (sqlstate != 0 && sqlstate != ERRCODE_LOCK_NOT_AVAILABLE)
	{
		http_response_clear(request);
		request->failed = false;
		http_request_fail(request, "the response could not be stored (SQLSTATE %s)", unpack_sql_state(sqlstate));
		sqlstate = protected_call(record_one, request);
	}
	if (sqlstate != 0)
		defer(request);
}

static void
record_one(void *arg)
{
	HttpRequest *request = arg;

	if (*delete_attempts(&request, 1, true))
		put_result(request);
	else if (attempt_exists(request))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the attempt is locked")));
}

/* The message for one request whose attempt is deleted. */
static void
put_result(HttpRequest *request)
{
	bool		failed;
	Jsonb	   *result = secret_mask_apply(&request->mask, http_response_result(request, &failed));

	/* std.mistral_http waits for somebody to complete it, unless it was not even taken. */
	if (request->waits && !failed)
		return;
	(void) message_put(&request->root_id, MESSAGE_ACTION, &request->action_id, request->attempt,
					   message_action_result(failed ? "ERROR" : "SUCCESS", result));
}

/* Moves it out of the batch, to be tried again later, and later each time. */
static void
defer(HttpRequest *request)
{
	int64		delay_ms = (int64) RECORD_RETRY_MS << Min(request->record_failures, 10);

	dlist_delete(&request->node);
	request->record_failures++;
	request->record_after = clock_steady() + Min(delay_ms, RECORD_RETRY_MAX_MS) * 1000;
	dlist_push_tail(&deferred, &request->node);
	http_pool_wake_at(request->record_after);
}

static void
forget(HttpRequest *request)
{
	bytes_held -= request->held;
	http_request_free(request);
}
