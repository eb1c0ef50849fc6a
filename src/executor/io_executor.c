/*
 * io_executor.c
 *		Actions of modules: from mistral.dispatch to the program mistral_io, and
 *		back to a message.
 *
 * A claimed action is in one place at a time:
 *
 *		claimed -> flying -> the recorder -> gone
 *
 * Flying ones are lost (recorder.h) when the program dies with them.
 * A flying one whose frame has not begun to leave when the program dies has had
 * no effect, and goes to the next program.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/secret_key.h"
#include "engine/secrets.h"
#include "executor/io_catalog.h"
#include "executor/io_executor.h"
#include "executor/io_program.h"
#include "executor/io_sources.h"
#include "executor/recorder.h"
#include "executor/secret_mask.h"
#include "guc.h"
#include "mistral.h"
#include "queue/message.h"

#define MAX_FLYING 4000

/* An owner who has so many of them is left out; no more are claimed at a time than leaves room for others then. */
#define MAX_OF_OWNER (MAX_FLYING / 2)
#define CLAIM_MAX (MAX_FLYING / 8)

/* A claim that leaves owners out reads past their actions: the next one waits so many times as long as it took. */
#define CLAIM_REST 10

#define MAX_QUEUED (64 * 1024 * 1024)	/* bytes */

#define WANTED_MS 5000			/* how often we look whether somebody has ended what is under way */

typedef struct IoRequest
{
	Attempt		attempt;		/* first */
	Oid			owner;
	dlist_node	node;			/* while it is claimed */
	IoFrame    *frame;			/* until the action has ended */
	bool		answered;		/* somebody completes the action later */
	bool		success;
	char	   *result;			/* JSON in UTF-8, malloc'd; before a flight: why there is none */
	size_t		result_len;
	SecretMask	mask;			/* of what its input held */
} IoRequest;

typedef struct FlyingEntry
{
	pg_uuid_t	action_id;		/* the key */
	IoRequest  *request;
} FlyingEntry;

typedef struct OwnerEntry
{
	Oid			owner;			/* the key */
	int			flying;
} OwnerEntry;

static Jsonb *result_of(Attempt *attempt);
static void spoil_result(Attempt *attempt, int sqlstate);
static void forget_recorded(Attempt *attempt);

static bool handle_frame(const char *body, size_t len);

static Recorder recorder = {.performer = IO_PERFORMER, .program = "the program mistral_io", .result = result_of, .spoil = spoil_result, .forget = forget_recorded};
static dlist_head claimed = DLIST_STATIC_INIT(claimed);
static int	nclaimed = 0;
static HTAB *flying = NULL;
static HTAB *owners = NULL;		/* of them */
static TimestampTz selective_after = 0; /* a claim that leaves owners out rests until then */
static bool selective_owed = false; /* one was asked for meanwhile */

static IoProgram program = IO_PROGRAM(program, .name = "mistral_io", .does = "runs the actions of modules", .handle = handle_frame);

static bool again = false;		/* there may be something to claim */
static TimestampTz look_at;		/* whether the flying ones are still wanted */
static char *modules_given;		/* mistral.io_modules as the program was started with */
static char *allow_given;		/* the egress rules that it has */
static char *deny_given;

static Datum full_owners(int *n);
static void claim_row(uint64 row);
static void refuse_row(uint64 row, const char *action);
static void begin_flight(IoRequest *request);
static void count_flight(const IoRequest *request, int change);
static bool build(IoRequest *request, const char *action, int timeout, Jsonb *input, Oid owner);
static void set_error(IoRequest *request, const char *text);
static IoFrame *submit_frame(const Attempt *attempt, Oid owner, const char *action, int timeout, const Jsonb *input, bool secret);
static void start_program(TimestampTz now);
static void send_start(void);
static void send_rules(void);
static void handle_finish(PlainJson frame);
static void program_died(void);
static void drop_unwanted(void);
static void free_request(IoRequest *request);

void
io_start(void)
{
	HASHCTL		ctl = {.keysize = sizeof(pg_uuid_t), .entrysize = sizeof(FlyingEntry)};

	recorder_init(&recorder);
	flying = hash_create("mistral io actions", 256, &ctl, HASH_ELEM | HASH_BLOBS);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(OwnerEntry);
	owners = hash_create("mistral io owners", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	(void) io_program_poll_fd(&program);
}

int
io_recover(void)
{
	DbSession	session;
	int			n;

	db_enter(&session);
	n = attempts_settle(IO_PERFORMER, NIL, "the executor");
	db_leave(&session);
	return n;
}

int
io_room(void)
{
	/* Without modules what waits is only refused. */
	if (guc_io_modules[0] == '\0' && !io_program_runs(&program))
		return MAX_FLYING;
	if (!program.ready || strcmp(modules_given, guc_io_modules) != 0 || io_program_queued(&program) > MAX_QUEUED)
		return 0;
	return Max(MAX_FLYING - io_in_flight(), 0);
}

bool
io_relieved(void)
{
	bool		relieved = recorder_relieved(&recorder) || again;

	again = false;
	if (selective_owed && clock_steady() >= selective_after)
	{
		selective_owed = false;
		relieved = true;
	}
	return relieved;
}

/*
 * Whether an owner may use an action is asked when it is used: for the function
 * of the action's name, with _ for each dot, or, where there is none, for the one
 * that stands for all modules.
 */
int
io_claim(int max)
{
	static DbStatement claim = {
		"WITH taken AS (DELETE FROM mistral.dispatch WHERE ctid = ANY (ARRAY("
		"SELECT ctid FROM mistral.dispatch WHERE performer = $1 AND owner <> ALL ($5) LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING *), "
		"guarded AS MATERIALIZED (SELECT taken.*, action = ANY ($4) AS known, coalesce(pg_catalog.to_regprocedure("
		"'mistral.' || pg_catalog.quote_ident(pg_catalog.replace(action, '.', '_')) || '(jsonb)'), "
		"'mistral.module_action(jsonb)'::pg_catalog.regprocedure)::pg_catalog.oid AS guard FROM taken), "
		"checked AS MATERIALIZED (SELECT guarded.*, pg_catalog.has_function_privilege(owner, guard, 'EXECUTE') AS allowed FROM guarded), "
		"begun AS (INSERT INTO mistral.attempt (action_id, attempt, root_id, performer, owner, action, safe_rerun, "
		"timeout, started_at, headers, input) "
		"SELECT action_id, attempt, root_id, performer, owner, action, safe_rerun, timeout, $3, headers, input "
		"FROM checked WHERE known AND allowed) "
		"SELECT root_id, action_id, attempt, owner, action, timeout, input, safe_rerun, known, allowed, guard FROM checked",
		5, {TEXTOID, INT8OID, TIMESTAMPTZOID, TEXTARRAYOID, OIDARRAYOID}
	};
	TimestampTz begin = clock_steady();
	DbSession	session;
	Datum		values[5];
	int			nfull;
	uint64		n;
	SPITupleTable *rows;

	max = Min(Min(max, CLAIM_MAX), io_room());
	if (max <= 0)
		return 0;
	db_enter(&session);
	values[4] = full_owners(&nfull);
	if (nfull > 0 && begin < selective_after)
	{
		selective_owed = true;
		db_leave(&session);
		return 0;
	}
	if (program.ready)
		io_sources_read();
	values[0] = CStringGetTextDatum(IO_PERFORMER);
	values[1] = Int64GetDatum(max);
	values[2] = TimestampTzGetDatum(clock_now());
	values[3] = io_catalog_names();
	n = db_execute(&claim, values, NULL, false, 0);
	rows = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_tuptable = rows;	/* a message's insert has set its own */
		SPI_processed = n;
		claim_row(i);
	}
	if (nfull > 0)
		selective_after = clock_steady() + CLAIM_REST * (clock_steady() - begin);
	db_leave(&session);
	return (int) n;
}

void
io_claimed(bool committed)
{
	io_sources_tell(&program, committed);
	while (!dlist_is_empty(&claimed))
	{
		IoRequest  *request = dlist_container(IoRequest, node, dlist_pop_head_node(&claimed));

		nclaimed--;
		if (committed)
			begin_flight(request);
		else
			free_request(request);
	}
}

int
io_poll_fd(void)
{
	return io_program_poll_fd(&program);
}

TimestampTz
io_next(void)
{
	TimestampTz next = recorder_next(&recorder, selective_owed ? selective_after : 0);
	TimestampTz due = io_program_runs(&program) ? io_program_next(&program) : guc_io_modules[0] != '\0' ? program.start_at : 0;

	if (due != 0)
		next = next == 0 ? due : Min(next, due);
	if (hash_get_num_entries(flying) > 0)
		next = next == 0 ? look_at : Min(next, look_at);
	return next;
}

int
io_drive(void)
{
	TimestampTz now = clock_steady();

	/* Other modules: when what the old ones have under way has ended. */
	if (io_program_runs(&program) && strcmp(modules_given, guc_io_modules) != 0 && hash_get_num_entries(flying) == 0)
	{
		io_program_stop(&program);
		io_catalog_clear();
	}
	if (!io_program_runs(&program) && guc_io_modules[0] != '\0' && now >= program.start_at)
		start_program(now);
	if (program.ready && (strcmp(allow_given, guc_http_allow) != 0 || strcmp(deny_given, guc_http_deny) != 0))
		send_rules();
	if (!io_program_drive(&program, now))
		program_died();
	return recorder_ready(&recorder, now) + io_sources_waiting() + (io_catalog_is_new() ? 1 : 0) +
		(hash_get_num_entries(flying) > 0 && now >= look_at ? 1 : 0);
}

int
io_record(int max)
{
	DbSession	session;
	int			n = 0;

	db_enter(&session);
	if (io_catalog_is_new())
		io_catalog_store();
	if (hash_get_num_entries(flying) > 0 && clock_steady() >= look_at)
		drop_unwanted();
	if (io_sources_waiting() > 0)
		n = io_sources_handle(max);
	db_leave(&session);
	return n + recorder_record(&recorder, max);
}

void
io_recorded(bool committed)
{
	recorder_recorded(&recorder, committed);
	io_catalog_stored(committed);
	io_sources_handled(&program, committed);
}

int
io_in_flight(void)
{
	return nclaimed + (int) hash_get_num_entries(flying) + recorder.count;
}

void
io_shutdown(void)
{
	io_program_stop(&program);
}

/* ---------------------------------------------------------------- claiming */

/* Those who have as many under way as one may have: an array. */
static Datum
full_owners(int *n)
{
	Datum		full[MAX_FLYING / MAX_OF_OWNER + 1];
	HASH_SEQ_STATUS scan;
	OwnerEntry *entry;

	*n = 0;
	hash_seq_init(&scan, owners);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->flying >= MAX_OF_OWNER && *n < lengthof(full))
			full[(*n)++] = ObjectIdGetDatum(entry->owner);
	return PointerGetDatum(construct_array(full, *n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* Makes a request of a claimed row, or a message of one that is refused. */
static void
claim_row(uint64 row)
{
	bool		isnull;
	char	   *action = TextDatumGetCString(db_datum(row, 5, &isnull));
	IoRequest  *request;
	Datum		input;
	int			timeout;

	if (!DatumGetBool(db_datum(row, 9, &isnull)) || !DatumGetBool(db_datum(row, 10, &isnull)))
	{
		refuse_row(row, action);
		return;
	}
	timeout = DatumGetInt32(db_datum(row, 6, &isnull));
	if (isnull)
		timeout = 0;
	request = calloc(1, sizeof(IoRequest));
	if (request != NULL)
	{
		/* In the list before anything can fail. */
		dlist_push_tail(&claimed, &request->node);
		nclaimed++;
		request->attempt.root_id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
		request->attempt.action_id = *DatumGetUUIDP(db_datum(row, 2, &isnull));
		request->attempt.number = DatumGetInt32(db_datum(row, 3, &isnull));
		request->attempt.safe_rerun = DatumGetBool(db_datum(row, 8, &isnull));
		request->answered = io_catalog_answered(action);
		request->owner = DatumGetObjectId(db_datum(row, 4, &isnull));
	}
	input = db_datum(row, 7, &isnull);
	if (request == NULL || !build(request, action, timeout, isnull ? json_empty() : DatumGetJsonbP(input),
								  DatumGetObjectId(db_datum(row, 4, &isnull))))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
}

/* With the secrets that its input refers to; reads tables, and so replaces the last result.  False without memory. */
static bool
build(IoRequest *request, const char *action, int timeout, Jsonb *input, Oid owner)
{
	List	   *secrets;
	char	   *error;

	input = secrets_resolve(input, &request->attempt.root_id, owner, &secrets, &error);
	if (error)
	{
		set_error(request, error);
		return request->result != NULL;
	}
	if (secrets != NIL)
		secret_mask_set(&request->mask, secrets, NULL, NULL);
	request->frame = submit_frame(&request->attempt, owner, action, timeout, input, secrets != NIL);
	if (secrets != NIL)
		secret_wipe(input, VARSIZE(input));
	if (request->frame == NULL)
		return false;
	request->frame->owner = request;
	return true;
}

/* The text in place of a result. */
static void
set_error(IoRequest *request, const char *text)
{
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	PlainBuffer json = {0};

	plain_append_string(&json, utf8, strlen(utf8));
	free(request->result);
	request->success = false;
	request->result = json.failed ? NULL : json.data;
	request->result_len = request->result ? json.len : 0;
}

static void
refuse_row(uint64 row, const char *action)
{
	bool		isnull;
	pg_uuid_t	root_id = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	pg_uuid_t	action_id = *DatumGetUUIDP(db_datum(row, 2, &isnull));
	int			attempt = DatumGetInt32(db_datum(row, 3, &isnull));
	Oid			owner = DatumGetObjectId(db_datum(row, 4, &isnull));
	bool		known = DatumGetBool(db_datum(row, 9, &isnull));
	Oid			guard = DatumGetObjectId(db_datum(row, 11, &isnull));
	char	   *role = GetUserNameFromId(owner, true);

	if (!known)
		attempt_put_error(&root_id, &action_id, attempt,
						  psprintf("no module that is loaded has action %s: mistral.io_modules names the modules, the server's log says what became of them",
								   action));
	else if (role == NULL)
		attempt_put_error(&root_id, &action_id, attempt,
						  psprintf("the execution's owner, role %u, does not exist any more", owner));
	else
		attempt_put_error(&root_id, &action_id, attempt,
						  psprintf("role \"%s\" may not use %s: GRANT EXECUTE ON FUNCTION mistral.%s(jsonb) TO %s allows it",
								   role, action, quote_identifier(get_func_name(guard)),
								   quote_identifier(role)));
}

/* The frame that hands an action over, in UTF-8; NULL without memory. */
static IoFrame *
submit_frame(const Attempt *attempt, Oid owner, const char *action, int timeout, const Jsonb *input, bool secret)
{
	IoFrame    *frame = io_frame_new("submit");
	Jsonb	   *value = unconstify(Jsonb *, input);
	char	   *json = JsonbToCString(NULL, &value->root, VARSIZE(value));
	char	   *utf8 = pg_server_to_any(json, strlen(json), PG_UTF8);
	char		text[UUID_TEXT_LEN + 1];

	if (frame == NULL)
		return NULL;
	frame->text.secret = secret;
	channel_add_string(&frame->text, "id", id_text(&attempt->action_id, text));
	channel_add_string(&frame->text, "action", pg_server_to_any(action, strlen(action), PG_UTF8));
	plain_append_text(&frame->text, ",\"attempt\":");
	plain_append_int(&frame->text, attempt->number);
	plain_append_text(&frame->text, ",\"timeout\":");
	plain_append_int(&frame->text, timeout);
	plain_append_text(&frame->text, ",\"owner\":");
	plain_append_int(&frame->text, owner);
	plain_append_text(&frame->text, attempt->safe_rerun ? ",\"safe_rerun\":true" : ",\"safe_rerun\":false");
	channel_add_raw(&frame->text, "input", utf8, strlen(utf8));
	if (secret)
	{
		secret_wipe(json, strlen(json));
		if (utf8 != json)
			secret_wipe(utf8, strlen(utf8));
	}
	return io_frame_end(frame) ? frame : NULL;
}

static void
begin_flight(IoRequest *request)
{
	FlyingEntry *entry;
	bool		found;

	/* It could not be made. */
	if (request->frame == NULL)
	{
		recorder_add(&recorder, &request->attempt);
		return;
	}
	if (hash_get_num_entries(flying) == 0)
		look_at = clock_steady() + WANTED_MS * INT64CONST(1000);
	entry = hash_search(flying, &request->attempt.action_id, HASH_ENTER, &found);
	if (found && entry->request->frame->queued && !entry->request->frame->begun)
		io_program_unsend(&program, entry->request->frame);
	if (found)
	{
		/* An attempt before, which somebody has ended. */
		count_flight(entry->request, -1);
		free_request(entry->request);
	}
	entry->request = request;
	count_flight(request, 1);
	/* Without a program it waits for the next one. */
	if (io_program_runs(&program))
		io_program_send(&program, request->frame);
}

/* One more or one less of its owner is under way. */
static void
count_flight(const IoRequest *request, int change)
{
	bool		found;
	OwnerEntry *entry = hash_search(owners, &request->owner, HASH_ENTER, &found);

	entry->flying = (found ? entry->flying : 0) + change;
	/* There may be more of an owner who was left out. */
	if (change < 0 && entry->flying == MAX_OF_OWNER - 1)
		again = true;
	if (entry->flying == 0)
		(void) hash_search(owners, &request->owner, HASH_REMOVE, NULL);
}

/* ---------------------------------------------------------------- the program */

static void
start_program(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	FlyingEntry *entry;

	io_keep_text(&modules_given, guc_io_modules);
	io_catalog_clear();
	io_sources_forget();
	if (!io_program_start(&program, now))
		return;
	send_rules();
	send_start();
	/* What the last one was never given. */
	hash_seq_init(&scan, flying);
	while ((entry = hash_seq_search(&scan)) != NULL)
		io_program_send(&program, entry->request->frame);
}

static void
send_start(void)
{
	IoFrame    *frame = io_frame_new("start");
	List	   *paths = io_catalog_paths(modules_given);
	ListCell   *cell;

	if (frame == NULL)
		return;
	plain_append_text(&frame->text, ",\"max_result\":");
	plain_append_int(&frame->text, (int64) guc_max_result_size * 1024);
	channel_add_string(&frame->text, "directory", guc_io_directory);
	plain_append_text(&frame->text, ",\"modules\":[");
	foreach(cell, paths)
	{
		const char *path = lfirst(cell);

		if (cell != list_head(paths))
			plain_append_text(&frame->text, ",");
		plain_append_string(&frame->text, path, strlen(path));
	}
	plain_append_text(&frame->text, "]");
	if (io_frame_end(frame))
		io_program_send(&program, frame);
}

static void
send_rules(void)
{
	IoFrame    *frame = io_frame_new("egress");

	if (frame == NULL)
		return;
	io_keep_text(&allow_given, guc_http_allow);
	io_keep_text(&deny_given, guc_http_deny);
	channel_add_string(&frame->text, "allow", guc_http_allow);
	channel_add_string(&frame->text, "deny", guc_http_deny);
	plain_append_text(&frame->text, ",\"own_port\":");
	plain_append_int(&frame->text, PostPortNumber);
	if (io_frame_end(frame))
		io_program_send(&program, frame);
}

static bool
handle_frame(const char *body, size_t len)
{
	PlainJson	frame;
	PlainJson	op;

	if (!channel_object(body, len, &frame))
		return false;
	op = plain_json_get(frame, "op");
	if (plain_json_is(op, "finish"))
		handle_finish(frame);
	else if (plain_json_is(op, "deliver"))
		io_sources_take(frame);
	else if (plain_json_is(op, "log"))
	{
		bool		warning = plain_json_is(plain_json_get(frame, "level"), "warning");
		char	   *text = plain_json_get_string(frame, "text");

		if (text)
			ereport(warning ? WARNING : plain_json_is(plain_json_get(frame, "level"), "debug") ? DEBUG1 : LOG,
					(errmsg("mistral_io: %s", io_catalog_ascii(text))));
		free(text);
	}
	else if (plain_json_is(op, "hello"))
	{
		io_program_ready(&program);
		again = true;
		io_catalog_take(frame);
	}
	return true;
}

static void
handle_finish(PlainJson frame)
{
	char	   *text = plain_json_get_string(frame, "id");
	PlainJson	result = plain_json_get(frame, "result");
	FlyingEntry *entry = NULL;
	pg_uuid_t	id;
	IoRequest  *request;

	if (text && id_parse(text, &id))
		entry = hash_search(flying, &id, HASH_FIND, NULL);
	free(text);
	if (entry == NULL || entry->request->frame->queued)
		return;
	request = entry->request;
	count_flight(request, -1);
	(void) hash_search(flying, &id, HASH_REMOVE, NULL);
	io_frame_free(request->frame);
	request->frame = NULL;
	request->success = plain_json_get_bool(frame, "success", false);
	request->result = result.text ? malloc(result.len + 1) : NULL;
	if (request->result)
	{
		memcpy(request->result, result.text, result.len);
		request->result[result.len] = '\0';
		request->result_len = result.len;
	}
	recorder_add(&recorder, &request->attempt);
}

/* What had begun to leave is lost, what had not is kept for the next program. */
static void
program_died(void)
{
	HASH_SEQ_STATUS scan;
	FlyingEntry *entry;

	hash_seq_init(&scan, flying);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!entry->request->frame->begun)
			continue;
		count_flight(entry->request, -1);
		recorder_lose(&recorder, &entry->request->attempt);
		(void) hash_search(flying, &entry->action_id, HASH_REMOVE, NULL);
	}
}

/* ---------------------------------------------------------------- recording */

static Jsonb *
result_of(Attempt *attempt)
{
	IoRequest  *request = (IoRequest *) attempt;
	Jsonb	   *result = NULL;

	if (request->answered && request->success)
		return NULL;
	if (request->result)
	{
		char	   *text = pg_any_to_server(request->result, request->result_len, PG_UTF8);

		result = secret_mask_apply(&request->mask, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text))));
	}
	return message_action_result(request->success ? "SUCCESS" : "ERROR", result);
}

static void
spoil_result(Attempt *attempt, int sqlstate)
{
	IoRequest  *request = (IoRequest *) attempt;
	char		text[80];

	snprintf(text, sizeof(text), "the result could not be stored (SQLSTATE %s)", unpack_sql_state(sqlstate));
	set_error(request, text);
}

static void
forget_recorded(Attempt *attempt)
{
	free_request((IoRequest *) attempt);
}

/* Tells the program of the actions that somebody has ended, by a timeout or otherwise. */
static void
drop_unwanted(void)
{
	static DbStatement ended = {
		"SELECT u.id FROM pg_catalog.unnest($1) AS u (id) WHERE NOT EXISTS "
		"(SELECT FROM mistral.action_execution a WHERE a.id = u.id AND a.finished_at IS NULL)",
		1, {UUIDARRAYOID}
	};
	HASH_SEQ_STATUS scan;
	FlyingEntry *entry;
	List	   *ids = NIL;
	Datum		values[1];
	uint64		n;

	look_at = clock_steady() + WANTED_MS * INT64CONST(1000);
	hash_seq_init(&scan, flying);
	while ((entry = hash_seq_search(&scan)) != NULL)
		ids = lappend(ids, &entry->action_id);
	values[0] = id_array(ids);
	n = db_execute(&ended, values, NULL, false, 0);
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		IoFrame    *frame = io_frame_new("cancel");

		if (frame == NULL)
			return;
		channel_add_string(&frame->text, "id", id_cstring(DatumGetUUIDP(db_datum(i, 1, &isnull))));
		if (io_frame_end(frame))
			io_program_send(&program, frame);
	}
}

static void
free_request(IoRequest *request)
{
	if (request->frame)
		io_frame_free(request->frame);
	free(request->result);
	secret_mask_free(&request->mask);
	free(request);
}
