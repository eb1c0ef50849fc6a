/*
 * http_executor.c
 *		From mistral.dispatch to the program mistral_http and back to mistral.message.
 *
 * Each move of an action (recorder.h) is one transaction, and the requests are
 * between two of them.  A claimed request is in one place at a time:
 *
 *		claimed -> the pool -> the recorder -> gone
 *
 * One that the program took with it when it died is lost (recorder.h).
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
#include "executor/http_executor.h"
#include "executor/http_pool.h"
#include "executor/http_queue.h"
#include "executor/http_response.h"
#include "executor/mail.h"
#include "executor/recorder.h"
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
 * How many hosts and owners with too many waiting requests a claim leaves out, and how many
 * times as long as it took the next such claim has to wait: it reads past all
 * that it leaves out.
 */
#define CLAIM_MAX_CROWDED 64
#define CLAIM_REST 10

static bool started = false;
static dlist_head claimed = DLIST_STATIC_INIT(claimed);
static int	nclaimed = 0;
static size_t bytes_held = 0;	/* of requests, without their answers */
static TimestampTz selective_after = 0; /* a claim that leaves hosts out rests until then */
static bool selective_owed = false; /* one was asked for meanwhile */

static Datum oid_array(const Oid *oids, int n);
static Datum text_array(const char **texts, int n);
static void claim_row(uint64 row);
static void build(HttpRequest *request, bool webhook, Jsonb *input, const Jsonb *headers, int timeout);
static Jsonb *sign(const Jsonb *input, const Jsonb *headers, Oid owner, List **secrets, char **error);
static void refuse_row(uint64 row, const char *action, Oid owner);
static Jsonb *get_jsonb(uint64 row, int attnum);
static void collect_finished(void);
static Jsonb *result_of(Attempt *attempt);
static void spoil_result(Attempt *attempt, int sqlstate);
static void forget_recorded(Attempt *attempt);
static void forget(HttpRequest *request);

static Recorder recorder = {.performer = PERFORMER, .program = "the program mistral_http", .result = result_of, .spoil = spoil_result, .forget = forget_recorded};

void
executor_start(void)
{
	Assert(!started);
	http_pool_start();
	recorder_init(&recorder);
	started = true;
}

int
executor_recover(void)
{
	DbSession	session;
	int			n;

	db_enter(&session);
	n = attempts_settle(PERFORMER, NIL, "the executor");
	db_leave(&session);
	return n;
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
	bool		relieved = http_queue_relieved();

	if (recorder_relieved(&recorder))
		relieved = true;
	if (selective_owed && clock_steady() >= selective_after)
		relieved = true;
	if (relieved)
		selective_owed = false;
	return relieved;
}

/*
 * Whether an owner may use an action is asked here, when it is used, with the
 * guard function's privileges of this moment.  Actions for crowded hosts, or of
 * owners who have enough of them waiting, stay in the table, or they would take
 * all the room and those behind them wait for a host that they do not want.
 */
int
executor_claim(int max)
{
	static DbStatement claim = {
		"WITH taken AS (DELETE FROM mistral.dispatch WHERE ctid = ANY (ARRAY("
		"SELECT d.ctid FROM mistral.dispatch d WHERE d.performer = $1 AND (pg_catalog.cardinality($5) = 0 OR NOT EXISTS ("
		"SELECT FROM ROWS FROM (pg_catalog.unnest($4), pg_catalog.unnest($5)) AS c (place, owner) WHERE c.owner = d.owner "
		"AND (c.place IS NULL OR c.place = COALESCE("
		"pg_catalog.substring(d.input OPERATOR(pg_catalog.->>) 'url', '://(?:[^/?#]*@)?([^/?#]*)'), "
		"d.input OPERATOR(pg_catalog.->>) 'smtp_server')))) "
		"LIMIT $2 FOR UPDATE OF d SKIP LOCKED)) RETURNING *), "
		"checked AS MATERIALIZED (SELECT taken.*, CASE action "
		"WHEN 'std.http' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_http(jsonb)', 'EXECUTE') "
		"WHEN 'std.email' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_email(jsonb)', 'EXECUTE') "
		"WHEN 'webhook' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_http(jsonb)', 'EXECUTE') "
		"WHEN 'std.mistral_http' THEN pg_catalog.has_function_privilege(owner, 'mistral.std_mistral_http(jsonb)', 'EXECUTE') "
		"ELSE false END AS allowed FROM taken), "
		"begun AS (INSERT INTO mistral.attempt (action_id, attempt, root_id, performer, owner, action, safe_rerun, "
		"timeout, started_at, headers, input) "
		"SELECT action_id, attempt, root_id, performer, owner, action, safe_rerun, timeout, $3, headers, input "
		"FROM checked WHERE allowed) "
		"SELECT root_id, action_id, attempt, owner, action, timeout, headers, input, allowed, safe_rerun FROM checked",
		5, {TEXTOID, INT8OID, TIMESTAMPTZOID, TEXTARRAYOID, OIDARRAYOID}
	};
	DbSession	session;
	Datum		values[5];
	uint64		n;
	uint64		i;
	SPITupleTable *rows;
	const char *places[CLAIM_MAX_CROWDED];
	Oid			owners[CLAIM_MAX_CROWDED];
	int			ncrowded;
	TimestampTz begin = clock_steady();

	max = Min(max, executor_room());
	if (max <= 0)
		return 0;
	ncrowded = http_queue_crowded(places, owners, CLAIM_MAX_CROWDED);
	if (ncrowded > 0 && begin < selective_after)
	{
		selective_owed = true;
		return 0;
	}
	db_enter(&session);
	values[0] = CStringGetTextDatum(PERFORMER);
	values[1] = Int64GetDatum(max);
	values[2] = TimestampTzGetDatum(clock_now());
	values[3] = text_array(places, ncrowded);
	values[4] = oid_array(owners, ncrowded);
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

TimestampTz
executor_next(void)
{
	TimestampTz next = recorder_next(&recorder, selective_owed ? selective_after : 0);
	TimestampTz due = http_pool_next();

	return next == 0 || (due != 0 && due < next) ? due : next;
}

int
executor_drive(void)
{
	TimestampTz now = clock_steady();

	http_pool_drive(now);
	collect_finished();
	return recorder_ready(&recorder, now);
}

int
executor_record(int max)
{
	return recorder_record(&recorder, max);
}

void
executor_recorded(bool committed)
{
	recorder_recorded(&recorder, committed);
}

int
executor_in_flight(void)
{
	return nclaimed + http_pool_held() + recorder.count;
}

void
executor_shutdown(void)
{
	if (!started)
		return;
	executor_forget_claimed();
	recorder_clear(&recorder);
	bytes_held = 0;
	http_pool_shutdown();
	started = false;
}

/* NULL is NULL. */
static Datum
text_array(const char **texts, int n)
{
	Datum	   *values = palloc0(Max(n, 1) * sizeof(Datum));
	bool	   *nulls = palloc0(Max(n, 1) * sizeof(bool));
	int			lower = 1;
	int			i;

	for (i = 0; i < n; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (texts[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
oid_array(const Oid *oids, int n)
{
	Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));
	int			i;

	for (i = 0; i < n; i++)
		values[i] = ObjectIdGetDatum(oids[i]);
	return PointerGetDatum(construct_array(values, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
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
	/* In the list before anything can fail, so that forgetting finds it. */
	dlist_push_tail(&claimed, &request->node);
	nclaimed++;

	request->attempt.root_id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	request->attempt.action_id = *DatumGetUUIDP(db_datum(row, 2, &isnull));
	request->attempt.number = DatumGetInt32(db_datum(row, 3, &isnull));
	request->attempt.safe_rerun = DatumGetBool(db_datum(row, 10, &isnull));
	request->owner = DatumGetObjectId(db_datum(row, 4, &isnull));
	request->waits = strcmp(action, ACTION_WAIT_NAME) == 0;
	timeout = DatumGetInt32(db_datum(row, 6, &isnull));
	if (isnull)
		timeout = 0;
	request->mail = strcmp(action, ACTION_MAIL_NAME) == 0;
	build(request, strcmp(action, WEBHOOK_NAME) == 0, input, headers, timeout);
	http_request_pack(request);
	request->held = sizeof(HttpRequest) + (request->frame ? request->frame->text.capacity : 0);
	bytes_held += request->held;
}

/* With the secrets that its input refers to; reads tables, and so replaces the last result. */
static void
build(HttpRequest *request, bool webhook, Jsonb *input, const Jsonb *headers, int timeout)
{
	List	   *secrets;
	char	   *error;

	input = secrets_resolve(input, &request->attempt.root_id, request->owner, &secrets, &error);
	if (error)
	{
		http_request_fail(request, "%s", error);
		return;
	}
	if (webhook && json_get_string(input, "secret"))
		headers = sign(input, headers, request->owner, &secrets, &error);
	if (error)
	{
		http_request_fail(request, "%s", error);
		return;
	}
	if (request->mail)
		mail_build(request, input, timeout);
	else
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
	if (strcmp(action, ACTION_HTTP_NAME) != 0 && strcmp(action, ACTION_WAIT_NAME) != 0 && strcmp(action, ACTION_MAIL_NAME) != 0)
		attempt_put_error(&root_id, &action_id, attempt, psprintf("the HTTP executor does not know action %s", action));
	else if (role == NULL)
		attempt_put_error(&root_id, &action_id, attempt,
						  psprintf("the execution's owner, role %u, does not exist any more", owner));
	else
		attempt_put_error(&root_id, &action_id, attempt,
						  psprintf("role \"%s\" may not use %s: GRANT EXECUTE ON FUNCTION mistral.std_%s(jsonb) TO %s allows it",
								   role, action, action + strlen("std."),
								   quote_identifier(role)));
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
		recorder_add(&recorder, &request->attempt);
	while ((request = http_pool_take_lost()) != NULL)
		recorder_lose(&recorder, &request->attempt);
}

static Jsonb *
result_of(Attempt *attempt)
{
	HttpRequest *request = (HttpRequest *) attempt;
	bool		failed;
	Jsonb	   *result = secret_mask_apply(&request->mask, http_response_result(request, &failed));

	/* std.mistral_http waits for somebody to complete it, unless it was not even taken. */
	if (request->waits && !failed)
		return NULL;
	return message_action_result(failed ? "ERROR" : "SUCCESS", result);
}

static void
spoil_result(Attempt *attempt, int sqlstate)
{
	HttpRequest *request = (HttpRequest *) attempt;

	http_request_clear(request);
	request->failed = false;
	http_request_fail(request, "the response could not be stored (SQLSTATE %s)", unpack_sql_state(sqlstate));
}

static void
forget_recorded(Attempt *attempt)
{
	forget((HttpRequest *) attempt);
}

static void
forget(HttpRequest *request)
{
	bytes_held -= request->held;
	http_request_free(request);
}
