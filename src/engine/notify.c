/*
 * notify.c
 *		What listeners are told: ids and states, never data (LISTEN has no
 *		access rights).  A notification is a hint; the views are the truth.
 */
#include "postgres.h"

#include "commands/async.h"
#include "fmgr.h"
#include "utils/builtins.h"

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
} Notice;

static bool wanted(const char *kind);
static char *target_payload(const char *target);
static void keep_payload(Tree *tree, const char *channel, const char *payload);
static void keep(Tree *tree, const char *channel, JsonBuilder *b);

void
notify_execution(Execution *execution)
{
	JsonBuilder b = {0};

	if (!wanted("executions"))
		return;
	json_begin_object(&b);
	json_add_key(&b, "id");
	json_add_id(&b, &execution->id);
	json_add_key(&b, "root_execution_id");
	json_add_id(&b, &execution->tree->root_id);
	json_add_key(&b, "workflow_name");
	json_add_string(&b, execution->name);
	json_add_key(&b, "state");
	json_add_string(&b, state_name(execution->state));
	keep(execution->tree, "mistral_executions", &b);
}

void
notify_task(Task *task)
{
	JsonBuilder b = {0};

	if (!wanted("tasks"))
		return;
	json_begin_object(&b);
	json_add_key(&b, "id");
	json_add_id(&b, &task->id);
	json_add_key(&b, "execution_id");
	json_add_id(&b, &task->execution->id);
	json_add_key(&b, "name");
	json_add_string(&b, task->name);
	json_add_key(&b, "state");
	json_add_string(&b, state_name(task->state));
	keep(task->execution->tree, "mistral_tasks", &b);
}

void
notify_action(ActionExecution *action)
{
	JsonBuilder b = {0};

	if (!wanted("actions"))
		return;
	json_begin_object(&b);
	json_add_key(&b, "id");
	json_add_id(&b, &action->id);
	json_add_key(&b, "task_id");
	json_add_id(&b, &action->task->id);
	json_add_key(&b, "execution_id");
	json_add_id(&b, &action->task->execution->id);
	json_add_key(&b, "name");
	json_add_string(&b, action->name);
	json_add_key(&b, "state");
	json_add_string(&b, state_name(action->state));
	keep(action->task->execution->tree, "mistral_actions", &b);
}

/* The same notice again and again within a transaction is sent once. */
void
notify_target(Tree *tree, const char *target)
{
	if (wanted("actions"))
		keep_payload(tree, "mistral_actions", target_payload(target));
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

void
notify_send(Tree *tree)
{
	ListCell   *lc;

	if (tree->notices == NIL)
		return;
	if (DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) <= MAX_QUEUE_USAGE)
	{
		foreach(lc, tree->notices)
		{
			Notice	   *notice = lfirst(lc);

			Async_Notify(notice->channel, notice->payload);
		}
	}
	foreach(lc, tree->notices)
		pfree(((Notice *) lfirst(lc))->payload);
	list_free_deep(tree->notices);
	tree->notices = NIL;
}

/* mistral.notify is short, and looked at seldom enough, to be searched as text. */
static bool
wanted(const char *kind)
{
	const char *found = guc_notify ? strstr(guc_notify, kind) : NULL;

	return found != NULL && (found == guc_notify || found[-1] == ',' || found[-1] == ' ');
}

static void
keep(Tree *tree, const char *channel, JsonBuilder *b)
{
	Jsonb	   *json;

	json_end_object(b);
	json = json_finish(b);
	keep_payload(tree, channel, JsonbToCString(NULL, &json->root, VARSIZE(json)));
}

static void
keep_payload(Tree *tree, const char *channel, const char *payload)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	Notice	   *notice = palloc(sizeof(Notice));

	notice->channel = channel;
	notice->payload = pstrdup(payload);
	tree->notices = lappend(tree->notices, notice);
	MemoryContextSwitchTo(old);
}
