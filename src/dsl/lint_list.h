/*
 * lint_list.h
 *		One line for each rule of lint, by what it looks at: every value of the
 *		document; every text that is evaluated, and every key beside one; tasks;
 *		on-* clauses of tasks; workflows; ad-hoc actions.
 *
 * Included several times, with some of the macros defined each time; so it has
 * no include guard.
 */
#ifndef LINT_VALUE
#define LINT_VALUE(function)
#endif
#ifndef LINT_TEXT
#define LINT_TEXT(function)
#endif
#ifndef LINT_KEY
#define LINT_KEY(function)
#endif
#ifndef LINT_TASK
#define LINT_TASK(function)
#endif
#ifndef LINT_CLAUSE
#define LINT_CLAUSE(function)
#endif
#ifndef LINT_WORKFLOW
#define LINT_WORKFLOW(function)
#endif
#ifndef LINT_ACTION
#define LINT_ACTION(function)
#endif

/* lint_text.c */
LINT_VALUE(lint_duplicate_key)
LINT_VALUE(lint_yaml_boolean)
LINT_VALUE(lint_yaml_number)
LINT_TEXT(lint_open_expression)
LINT_TEXT(lint_broken_expression)
LINT_TEXT(lint_blocks_only)
LINT_TEXT(lint_unknown_function)
LINT_TEXT(lint_unknown_variable)
LINT_KEY(lint_expression_key)

/* lint_task.c */
LINT_TASK(lint_dropped_parameter)
LINT_TASK(lint_builtin_action)
LINT_TASK(lint_sub_workflow)
LINT_TASK(lint_not_evaluated)
LINT_TASK(lint_zero_policy)
LINT_TASK(lint_lone_concurrency)
LINT_TASK(lint_join_policy)
LINT_TASK(lint_no_retry)
LINT_TASK(lint_hidden_item)
LINT_TASK(lint_item_twice)
LINT_TASK(lint_no_effect)
LINT_TASK(lint_command_name)
LINT_TASK(lint_hidden_publish)

/* lint_clause.c */
LINT_CLAUSE(lint_lost_condition)
LINT_CLAUSE(lint_constant_condition)
LINT_CLAUSE(lint_after_end)
LINT_CLAUSE(lint_target_parameter)
LINT_CLAUSE(lint_atomic)

/* lint_flow.c */
LINT_WORKFLOW(lint_unreached)
LINT_WORKFLOW(lint_twice)
LINT_WORKFLOW(lint_once_per_parent)
LINT_WORKFLOW(lint_join_never)
LINT_WORKFLOW(lint_requires_cycle)

/* lint_workflow.c */
LINT_WORKFLOW(lint_unknown_key)
LINT_WORKFLOW(lint_default_expression)
LINT_WORKFLOW(lint_defaults_publish)
LINT_ACTION(lint_default_expression)
LINT_ACTION(lint_builtin_base)

#undef LINT_VALUE
#undef LINT_TEXT
#undef LINT_KEY
#undef LINT_TASK
#undef LINT_CLAUSE
#undef LINT_WORKFLOW
#undef LINT_ACTION
