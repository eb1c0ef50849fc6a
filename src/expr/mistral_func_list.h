/*
 * mistral_func_list.h
 *		The functions that Mistral adds to both languages.
 *
 * To add one, write `Value mistral_name(MistralCall *call)` and a line here:
 * name, function, whether it asks the engine, parameters in YAQL, parameters in
 * Jinja2.  In Jinja2 the first parameter is the context: `_` when the function
 * is called, and what is piped in when it is used as a filter.
 *
 * Included several times, with MISTRAL defined each time; so it has no include guard.
 */
MISTRAL("env", mistral_env, true, "", "/context")
MISTRAL("execution", mistral_execution, true, "", "/context")
MISTRAL("executions", mistral_executions, true, "id:any?=null, rootExecutionId:any?=null, state:any?=null, fromTime:any?=null, toTime:any?=null", "/context,id=,root_execution_id=,state=,from_time=,to_time=")
MISTRAL("global", mistral_global, true, "varName:any?", "/context,var_name")
MISTRAL("json_dump", mistral_json_dump, false, "data:any?", "/context,data")
MISTRAL("json_parse", mistral_json_parse, false, "data:any?", "/context,data")
MISTRAL("json_pp", mistral_json_pp, false, "data:any?=null", "/context,data=")
MISTRAL("secret", mistral_secret, true, "name:any?", "/context,name")
MISTRAL("task", mistral_task, true, "taskName:any?=null", "/context,task_name=")
MISTRAL("tasks", mistral_tasks, true, "workflowExecutionId:any?=null, recursive:any?=false, state:any?=null, flat:any?=false", "/context,workflow_execution_id=,recursive=,state=,flat=")
MISTRAL("uuid", mistral_uuid, false, "", "/context=")
MISTRAL("yaml_dump", mistral_yaml_dump, false, "data:any?", "/context,data")
MISTRAL("yaml_parse", mistral_yaml_parse, false, "data:any?", "/context,data")
