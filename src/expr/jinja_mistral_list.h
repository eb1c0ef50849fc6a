/*
 * jinja_mistral_list.h
 *		Mistral's functions: name, implementation, signature.
 *
 * The first parameter is the context: `_` when they are called, and what is
 * piped in when they are used as filters.
 */
JINJA("env", jinja_f_env, "/context")
JINJA("execution", jinja_f_execution, "/context")
JINJA("executions", jinja_f_executions, "/context,id=,root_execution_id=,state=,from_time=,to_time=")
JINJA("global", jinja_f_global, "/context,var_name")
JINJA("json_dump", jinja_f_json_dump, "/context,data")
JINJA("json_parse", jinja_f_json_parse, "/context,data")
JINJA("json_pp", jinja_f_json_pp, "/context,data=")
JINJA("task", jinja_f_task, "/context,task_name=")
JINJA("tasks", jinja_f_tasks, "/context,workflow_execution_id=,recursive=,state=,flat=")
JINJA("uuid", jinja_f_uuid, "/context=")
JINJA("yaml_dump", jinja_f_yaml_dump, "/context,data")
JINJA("yaml_parse", jinja_f_yaml_parse, "/context,data")
