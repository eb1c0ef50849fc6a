/*
 * notify.c
 *		What listeners are told: ids and states, never data (LISTEN has no
 *		access rights).  A notification is a hint; the views are the truth.
 */
#include "postgres.h"

#include "commands/async.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "base/ids.h"
#include "base/json.h"
#include "engine/notify.h"
#include "engine/states.h"
#include "guc.h"

/* One idle listener must not fill the queue and stop the engine. */
#define MAX_QUEUE_USAGE 0.5

typedef struct Notice
{
	const char *channel;
	char	   *payload;
	char	   *target;			/* that has work; NULL: it is about something else */
} Notice;

static bool wanted(const char *kind);
static char *target_payload(const char *target);
static void keep_payload(Tree *tree, const char *channel, const char *payload, const char *target);
static void keep(Tree *tree, const char *channel, const pg_uuid_t *id,...);

void
notify_execution(Execution *execution)
{
	char		root[UUID_TEXT_LEN + 1];

	if (wanted("executions"))
		keep(execution->tree, "mistral_executions", &execution->id,
			 "state", state_name(execution->state),
			 "workflow_name", execution->name,
			 "root_execution_id", id_text(&execution->tree->root_id, root), NULL);
}

void
notify_task(Task *task)
{
	char		execution[UUID_TEXT_LEN + 1];

	if (wanted("tasks"))
		keep(task->execution->tree, "mistral_tasks", &task->id,
			 "name", task->name,
			 "state", state_name(task->state),
			 "execution_id", id_text(&task->execution->id, execution), NULL);
}

void
notify_action(ActionExecution *action)
{
	char		task[UUID_TEXT_LEN + 1];
	char		execution[UUID_TEXT_LEN + 1];

	if (wanted("actions"))
		keep(action->task->execution->tree, "mistral_actions", &action->id,
			 "name", action->name,
			 "state", state_name(action->state),
			 "task_id", id_text(&action->task->id, task),
			 "execution_id", id_text(&action->task->execution->id, execution), NULL);
}

/* The same notice again and again within a transaction is sent once: of a list's items, which have one target, it is made once. */
void
notify_target(Tree *tree, const char *target)
{
	const Notice *last = tree->notices ? llast(tree->notices) : NULL;

	if (!wanted("actions") || (last && last->target && strcmp(last->target, target) == 0))
		return;
	keep_payload(tree, "mistral_actions", target_payload(target), target);
}

void
notify_target_now(const char *target)
{
	if (wanted("actions") &&
		DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) <= MAX_QUEUE_USAGE)
		Async_Notify("mistral_actions", target_payload(target));
}

static char *
target_payload(const char *target)
{
	Jsonb	   *json = json_pair("target", json_from_string(target));

	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

List *
notify_take(Tree *tree, List *notices)
{
	ListCell   *lc;

	foreach(lc, tree->notices)
	{
		Notice	   *notice = lfirst(lc);
		Notice	   *copy = palloc(sizeof(Notice));

		copy->channel = notice->channel;
		copy->payload = pstrdup(notice->payload);
		copy->target = NULL;
		notices = lappend(notices, copy);
		pfree(notice->payload);
		if (notice->target)
			pfree(notice->target);
	}
	list_free_deep(tree->notices);
	tree->notices = NIL;
	return notices;
}

void
notify_send(List *notices)
{
	ListCell   *lc;

	if (notices == NIL ||
		DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) > MAX_QUEUE_USAGE)
		return;
	foreach(lc, notices)
	{
		Notice	   *notice = lfirst(lc);

		Async_Notify(notice->channel, notice->payload);
	}
}

/* mistral.notify is short, and looked at seldom enough, to be searched as text. */
static bool
wanted(const char *kind)
{
	const char *found = guc_notify ? strstr(guc_notify, kind) : NULL;

	return found != NULL && (found == guc_notify || found[-1] == ',' || found[-1] == ' ');
}

/*
 * Keeps a notice about the object of that id, with pairs of name and text, up
 * to a NULL.  It is written as text at once: one is made for every execution,
 * and building a jsonb that is only printed costs several times as much.
 */
static void
keep(Tree *tree, const char *channel, const pg_uuid_t *id,...)
{
	StringInfoData text;
	char		buf[UUID_TEXT_LEN + 1];
	const char *name;
	va_list		members;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"id\": \"");
	appendBinaryStringInfo(&text, id_text(id, buf), UUID_TEXT_LEN);
	appendStringInfoChar(&text, '"');
	va_start(members, id);
	while ((name = va_arg(members, const char *)) != NULL)
	{
		appendStringInfoString(&text, ", \"");
		appendStringInfoString(&text, name);
		appendStringInfoString(&text, "\": ");
		escape_json(&text, va_arg(members, const char *));
	}
	va_end(members);
	appendStringInfoChar(&text, '}');
	keep_payload(tree, channel, text.data, NULL);
	pfree(text.data);
}

static void
keep_payload(Tree *tree, const char *channel, const char *payload, const char *target)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	Notice	   *notice = palloc(sizeof(Notice));

	notice->channel = channel;
	notice->payload = pstrdup(payload);
	notice->target = target ? pstrdup(target) : NULL;
	tree->notices = lappend(tree->notices, notice);
	MemoryContextSwitchTo(old);
}
