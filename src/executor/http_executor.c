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
#include "executor/claim.h"
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
static BlockNumber unread = 0;	/* dispatch may have actions from this page on; InvalidBlockNumber: none */
static BlockNumber still_unread = 0;	/* when the transaction that claims has committed */
static size_t bytes_held = 0;	/* of requests, without their answers */
static TimestampTz selective_after = 0; /* a claim that leaves hosts out rests until then */
static bool selective_owed = false; /* one was asked for meanwhile */

static Datum oid_array(const Oid *oids, int n);
static Datum text_array(const char **texts, int n);
static int	claim_others(const char **places, const Oid *owners, int ncrowded, int max, ClaimedAction **actions);
static const char *guard_of(const char *action);
static bool may_use(Oid owner, const char *action);
static void take_claimed(const ClaimedAction *action);
static void build(HttpRequest *request, bool webhook, Jsonb *input, const Jsonb *headers, int timeout);
static Jsonb *sign(const Jsonb *input, const Jsonb *headers, Oid owner, List **secrets, char **error);
static void refuse(const ClaimedAction *action);
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
	{
		selective_owed = false;
		executor_look(0);
	}
	return relieved;
}

void
executor_look(BlockNumber from)
{
	unread = still_unread = Min(unread, from);
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
	DbSession	session;
	const char *places[CLAIM_MAX_CROWDED];
	Oid			owners[CLAIM_MAX_CROWDED];
	int			ncrowded;
	ClaimedAction *actions;
	int			n;
	TimestampTz begin = clock_steady();

	max = Min(max, executor_room());
	if (max <= 0 || unread == InvalidBlockNumber)
		return 0;
	ncrowded = http_queue_crowded(places, owners, CLAIM_MAX_CROWDED);
	if (ncrowded > 0 && begin < selective_after)
	{
		selective_owed = true;
		return 0;
	}
	db_enter(&session);
	if (ncrowded == 0)
		n = claim_from(PERFORMER, may_use, max, &still_unread, &actions);
	else
	{
		n = claim_others(places, owners, ncrowded, max, &actions);
		selective_after = clock_steady() + CLAIM_REST * (clock_steady() - begin);
	}
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		take_claimed(&actions[i]);
	}
	db_leave(&session);
	return n;
}

void
executor_submit(void)
{
	unread = still_unread;
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
	unread = still_unread = 0;
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

/* Of those for other hosts and owners than these. */
static int
claim_others(const char **places, const Oid *owners, int ncrowded, int max, ClaimedAction **actions)
{
	static DbStatement find = {
		"SELECT d.ctid FROM mistral.dispatch d WHERE d.performer = $1 AND NOT EXISTS ("
		"SELECT FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) AS c (place, owner) WHERE c.owner = d.owner "
		"AND (c.place IS NULL OR c.place = COALESCE("
		"pg_catalog.substring(d.input OPERATOR(pg_catalog.->>) 'url', '://(?:[^/?#]*@)?([^/?#]*)'), "
		"d.input OPERATOR(pg_catalog.->>) 'smtp_server'))) "
		"LIMIT $2 FOR UPDATE OF d SKIP LOCKED",
		4, {TEXTOID, INT8OID, TEXTARRAYOID, OIDARRAYOID}
	};
	Datum		values[4] = {
		CStringGetTextDatum(PERFORMER), Int64GetDatum(max), text_array(places, ncrowded), oid_array(owners, ncrowded)
	};
	int			n = (int) db_execute(&find, values, NULL, false, 0);
	ItemPointerData *found = palloc(Max(n, 1) * sizeof(ItemPointerData));
	bool		isnull;

	for (int i = 0; i < n; i++)
		found[i] = *(ItemPointer) DatumGetPointer(db_datum(i, 1, &isnull));
	return claim_places(PERFORMER, may_use, found, n, actions);
}

/* Who tells by HTTP needs the same right as who asks. */
static const char *
guard_of(const char *action)
{
	if (strcmp(action, ACTION_HTTP_NAME) == 0 || strcmp(action, WEBHOOK_NAME) == 0)
		return "std_http";
	if (strcmp(action, ACTION_WAIT_NAME) == 0)
		return "std_mistral_http";
	return strcmp(action, ACTION_MAIL_NAME) == 0 ? "std_email" : NULL;
}

static bool
may_use(Oid owner, const char *action)
{
	const char *guard = guard_of(action);

	return guard != NULL && db_may_use_action(owner, guard);
}

/* Makes a request of a claimed action, or a message of one that is refused. */
static void
take_claimed(const ClaimedAction *action)
{
	HttpRequest *request;

	if (!action->allowed)
	{
		refuse(action);
		return;
	}
	request = http_request_new();
	/* In the list before anything can fail, so that forgetting finds it. */
	dlist_push_tail(&claimed, &request->node);
	nclaimed++;

	request->attempt.root_id = action->root_id;
	request->attempt.action_id = action->action_id;
	request->attempt.number = action->attempt;
	request->attempt.safe_rerun = action->safe_rerun;
	request->attempt.place = action->place;
	request->owner = action->owner;
	request->waits = strcmp(action->action, ACTION_WAIT_NAME) == 0;
	request->mail = strcmp(action->action, ACTION_MAIL_NAME) == 0;
	build(request, strcmp(action->action, WEBHOOK_NAME) == 0, action->input, action->headers, action->timeout);
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
refuse(const ClaimedAction *action)
{
	const char *guard = guard_of(action->action);
	char	   *role = GetUserNameFromId(action->owner, true);
	char	   *error;

	if (guard == NULL)
		error = psprintf("the HTTP executor does not know action %s", action->action);
	else if (role == NULL)
		error = psprintf("the execution's owner, role %u, does not exist any more", action->owner);
	else
		error = psprintf("role \"%s\" may not use %s: GRANT EXECUTE ON FUNCTION mistral.%s(jsonb) TO %s allows it", role,
						 strcmp(action->action, WEBHOOK_NAME) == 0 ? ACTION_HTTP_NAME : action->action,
						 guard, quote_identifier(role));
	attempt_put_error(&action->root_id, &action->action_id, action->attempt, error);
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
