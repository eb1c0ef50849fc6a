/*
 * trigger_start.c
 *		Executions that a trigger starts: what triggers of every kind have in common.
 */
#include "postgres.h"

#include "utils/syscache.h"

#include "base/json.h"
#include "engine/control.h"
#include "engine/definitions.h"
#include "expr/expr.h"
#include "mistral.h"
#include "queue/trigger_start.h"

static void prepare(const TriggerStart *start, StartRequest *request);
static char *description(const TriggerStart *start);

pg_uuid_t
trigger_start(const TriggerStart *start, const pg_uuid_t *execution_id)
{
	StartRequest request = {0};

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(start->owner)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the owner of trigger \"%s\" does not exist", start->name)));
	prepare(start, &request);
	request.has_id = execution_id != NULL;
	if (execution_id)
		request.id = *execution_id;
	return control_start(&request, start->owner);
}

void
trigger_check_start(const TriggerStart *start)
{
	StartRequest request = {0};

	prepare(start, &request);
	control_check_start(&request, start->owner);
}

void
trigger_check_workflow(const char *workflow, const char *namespace_, Oid owner)
{
	if (definition_find_start(workflow, namespace_, owner) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("workflow \"%s\" does not exist", workflow),
				 errhint("The view mistral.workflows lists the workflows you may start.")));
}

static void
prepare(const TriggerStart *start, StartRequest *request)
{
	request->workflow = start->workflow;
	request->namespace_ = start->namespace_;
	request->input = start->input;
	request->params = start->about ? json_merge(start->params, json_pair(start->about_key, start->about)) : start->params;
	request->description = description(start);
}

static char *
description(const TriggerStart *start)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "description");
	json_add_string(&b, psprintf("Workflow execution created by %s \"%s\"", start->kind, start->name));
	json_add_key(&b, "triggered_by");
	json_begin_object(&b);
	json_add_key(&b, "type");
	json_add_string(&b, start->kind);
	json_add_key(&b, "id");
	json_add_id(&b, &start->id);
	json_add_key(&b, "name");
	json_add_string(&b, start->name);
	json_end_object(&b);
	json_end_object(&b);
	return json_to_text(json_finish(&b));
}

/* ---------------------------------------------------------------- expressions */

bool
trigger_filter(const char *filter, const Jsonb *context)
{
	ExprEnv		env;
	Value		value;

	if (filter == NULL)
		return true;
	expr_env_init(&env, context);
	value = expr_eval_text(filter, strlen(filter), NULL, &env);
	return value_truth(&value);
}

Jsonb *
trigger_input(const Jsonb *template_, const Jsonb *context)
{
	ExprEnv		env;
	Value		value;

	expr_env_init(&env, context);
	value = expr_eval_jsonb(template_, &env);
	return value_to_jsonb(&value);
}

void
trigger_check_filter(const char *filter)
{
	ExprError	error = {0};
	ExprTemplate *template_;

	if (filter == NULL)
		return;
	template_ = expr_template_compile(filter, strlen(filter), false, &error);
	if (template_ == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_EXPRESSION_SYNTAX),
				 errmsg("the filter does not parse"),
				 errdetail("%s.", error.message)));
	if (!expr_template_is_lone(template_))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the filter is not one expression"),
				 errhint("Write it between <%% and %%>, or between {{ and }}.")));
}
