/*
 * eval.c
 *		Limits and errors of an evaluation.
 */
#include "postgres.h"

#include <stdarg.h>
#include <time.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "compat.h"
#include "expr/value_internal.h"
#include "guc.h"

/* An expression's text longer than this is cut in messages. */
#define MESSAGE_TEXT_LENGTH 500

/* By ExprVariable. */
static const char *const variable_names[] = {"__env", "__execution", "__task_execution"};

static MemoryContext spare_context = NULL;

uint32		eval_ticks = 0;

static void error_context(void *arg);
static char *format_reason(const char *format, va_list args, int save_errno) pg_attribute_printf(1, 0);
static void raise_error(int code, const char *reason) pg_attribute_noreturn();

/* An error leaves the spare context as it is; it is empty once the transaction has ended. */
static void
at_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		MemoryContextReset(spare_context);
}

static void
at_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && eval_current() == NULL)
		MemoryContextReset(spare_context);
}

/*
 * A context of its own for what an evaluation takes.  The outermost that needs
 * one gets the spare one, which is only emptied afterwards: to make and delete
 * one costs as much as a short expression.
 */
static MemoryContext
take_context(bool spare_taken)
{
	if (spare_taken)
		return AllocSetContextCreate(CurrentMemoryContext, "mistral expression", ALLOCSET_DEFAULT_SIZES);
	if (spare_context == NULL)
	{
		spare_context = AllocSetContextCreate(TopMemoryContext, "mistral expression", ALLOCSET_DEFAULT_SIZES);
		RegisterXactCallback(at_transaction, NULL);
		RegisterSubXactCallback(at_subtransaction, NULL);
	}
	MemoryContextReset(spare_context);
	return spare_context;
}

void
eval_hold(Eval *ev, const char *text, int len, const ExprEnv *env)
{
	Eval	   *around = eval_current();

	/* Field by field: to clear it as a whole takes longer than many an expression. */
	ev->text = text;
	ev->len = len;
	ev->position = -1;
	ev->env = env;
	ev->outer = ev->context = CurrentMemoryContext;
	ev->whole = around ? around->whole : ev;
	ev->outer_size = MemoryContextMemAllocated(ev->outer, false);
	ev->spare_taken = around != NULL && (around->spare_taken || around->context == spare_context);
	ev->elements = 0;
	ev->started = 0;
	ev->regex = NULL;
	ev->no_match = false;
	ev->defines = false;
	ev->iterator_limit = guc_yaql_limit_iterators;
	ev->callback.callback = error_context;
	ev->callback.arg = ev;
	ev->callback.previous = error_context_stack;
	error_context_stack = &ev->callback;
}

void
eval_release(Eval *ev)
{
	error_context_stack = ev->callback.previous;
}

void
eval_enter(Eval *ev, const char *text, int len, const ExprEnv *env)
{
	eval_hold(ev, text, len, env);
	ev->context = take_context(ev->spare_taken);
	MemoryContextSwitchTo(ev->context);
}

Value
eval_leave(Eval *ev, const Value *result)
{
	Value		copy;

	MemoryContextSwitchTo(ev->outer);
	copy = value_copy(result);
	if (ev->context == spare_context)
		MemoryContextReset(spare_context);
	else
		MemoryContextDelete(ev->context);
	eval_release(ev);
	return copy;
}

void
expr_env_init(ExprEnv *env, const Jsonb *context)
{
	Value		in_root = {.kind = VALUE_UNDEFINED};

	memset(env, 0, sizeof(*env));
	env->root = context ? value_from_jsonb(context) : value_dict_new();
	env->var_env = env->var_execution = env->var_task_execution = in_root;
}

Value
expr_variable(const ExprEnv *env, ExprVariable variable)
{
	Value		value = variable == EXPR_ENV ? env->var_env :
		variable == EXPR_EXECUTION ? env->var_execution : env->var_task_execution;

	if (value.kind == VALUE_UNDEFINED && env->host && env->host->variable)
		return env->host->variable(env->host_arg, variable);
	if (value.kind == VALUE_UNDEFINED)
	{
		const char *name = variable_names[variable];

		value = value_null();
		if (env->root.kind == VALUE_DICT)
			(void) value_dict_get(&env->root, name, strlen(name), &value);
	}
	return value_raw(value);
}

/* By name; false when it is none of them. */
bool
expr_find_variable(const ExprEnv *env, const char *name, int len, Value *value)
{
	if (len < 2 || name[0] != '_' || name[1] != '_')
		return false;
	for (int i = 0; i < lengthof(variable_names); i++)
	{
		if (strlen(variable_names[i]) == len && memcmp(name, variable_names[i], len) == 0)
		{
			*value = expr_variable(env, i);
			return true;
		}
	}
	return false;
}

Eval *
eval_current(void)
{
	for (ErrorContextCallback *c = error_context_stack; c != NULL; c = c->previous)
		if (c->callback == error_context)
			return (Eval *) c->arg;
	return NULL;
}

/* Our own errors name the expression already; foreign ones get a line. */
static void
error_context(void *arg)
{
	Eval	   *ev = arg;
	int			code = geterrcode();

	if (ev->text != NULL && code != ERRCODE_MISTRAL_EXPRESSION && code != ERRCODE_MISTRAL_EXPRESSION_LIMIT &&
		code != ERRCODE_MISTRAL_EXPRESSION_SYNTAX)
		errcontext("evaluating expression \"%.*s\"",
				   pg_mbcliplen(ev->text, ev->len, MESSAGE_TEXT_LENGTH), ev->text);
}

static char *
format_reason(const char *format, va_list args, int save_errno)
{
	char	   *buf = palloc(1024);

	errno = save_errno;
	vsnprintf(buf, 1024, format, args);
	buf[pg_mbcliplen(buf, strlen(buf), 1023)] = '\0';
	return buf;
}

static void
raise_error(int code, const char *reason)
{
	Eval	   *ev = eval_current();

	if (ev == NULL || ev->text == NULL)
		ereport(ERROR, (errcode(code), errmsg("cannot convert value: %s", reason)));
	if (ev->position < 0 || ev->position > ev->len)
		ereport(ERROR, (errcode(code),
						errmsg("cannot evaluate expression \"%.*s\": %s",
							   pg_mbcliplen(ev->text, ev->len, MESSAGE_TEXT_LENGTH), ev->text, reason)));
	ereport(ERROR, (errcode(code),
					errmsg("cannot evaluate expression \"%.*s\": %s",
						   pg_mbcliplen(ev->text, ev->len, MESSAGE_TEXT_LENGTH), ev->text, reason),
					errdetail("At character %d of the expression.",
							  pg_mbstrlen_with_len(ev->text, ev->position) + 1)));
}

void
expr_fail(const char *format,...)
{
	va_list		args;
	char	   *reason;

	va_start(args, format);
	reason = format_reason(format, args, errno);
	va_end(args);
	raise_error(ERRCODE_MISTRAL_EXPRESSION, reason);
}

void
expr_limit(const char *format,...)
{
	va_list		args;
	char	   *reason;

	va_start(args, format);
	reason = format_reason(format, args, errno);
	va_end(args);
	raise_error(ERRCODE_MISTRAL_EXPRESSION_LIMIT, reason);
}

void
expr_check_depth(void)
{
	if (stack_is_too_deep())
		expr_limit("it is nested too deeply");
}

/* What the evaluation holds, and what it has given to its caller since the outermost began. */
static Size
memory_taken(const Eval *ev)
{
	Size		own = ev->context != ev->outer ? MemoryContextMemAllocated(ev->context, true) : 0;
	Size		given = MemoryContextMemAllocated(ev->whole->outer, false);

	return own + (given > ev->whole->outer_size ? given - ev->whole->outer_size : 0);
}

void
expr_reserve_large(Size size)
{
	Eval	   *ev = eval_current();
	Size		limit = (Size) guc_expression_memory * 1024;

	if (ev == NULL)
		return;
	if (size > limit || memory_taken(ev) + size > limit)
		expr_limit("it needs more memory than mistral.expression_memory allows (%d kB)", guc_expression_memory);
}

/* Microseconds of the clock, which is cheap to read, or of this process on a processor. */
static int64
microseconds(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A busy machine takes no evaluation's time: once the clock says so, the processor has the word. */
static bool
out_of_time(Eval *whole)
{
	int64		limit = (int64) guc_expression_timeout * 1000;
	int64		now = microseconds(CLOCK_MONOTONIC);

	if (whole->started == 0)
	{
		whole->started = now;
		whole->cpu_started = microseconds(CLOCK_PROCESS_CPUTIME_ID);
		return false;
	}
	return limit > 0 && now - whole->started > limit &&
		microseconds(CLOCK_PROCESS_CPUTIME_ID) - whole->cpu_started > limit;
}

bool
expr_check_is_due(void)
{
	Eval	   *ev = eval_current();

	return (InterruptPending && INTERRUPTS_CAN_BE_PROCESSED()) || (ev != NULL && out_of_time(ev->whole));
}

void
eval_check(Eval *ev)
{
	CHECK_FOR_INTERRUPTS();
	if (out_of_time(ev->whole))
		expr_limit("it takes longer than mistral.expression_timeout allows (%d ms)", guc_expression_timeout);
	expr_reserve_large(0);
}

void
expr_check(void)
{
	Eval	   *ev = eval_current();

	if (ev)
		eval_check(ev);
	else
		CHECK_FOR_INTERRUPTS();
}
