/*
 * harness.c
 *		libFuzzer inside a single-user PostgreSQL: the parsers and evaluators of
 *		the expression languages and of definitions.
 *
 * Built with the sources of src/base, src/dsl and src/expr, all of them
 * instrumented, into mistral_fuzz.so (run.sh).  A target is called for each
 * input with a memory context of its own; whatever it raises is caught.  What
 * ends a run, beside what the sanitizers and libFuzzer's own limits find:
 *
 *	- an internal error (class XX), or any error where none may be raised;
 *	- memory beyond four times mistral.expression_memory;
 *	- memory that is kept, input after input;
 *	- a current memory context or an error context that is not restored.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "dsl/spec.h"
#include "expr/expr.h"
#include "expr/value_internal.h"
#include "guc.h"
#include "heap.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(mistral_fuzz);

/* libFuzzer and the sanitizers' runtime. */
extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback) (const uint8 *data, size_t size));
extern size_t __sanitizer_get_current_allocated_bytes(void);

/* How often an input may leave memory behind before it counts as a leak. */
#define LEAK_TRIES 4

/* What a target has to say about an error. */
typedef enum Phase
{
	PHASE_MAY_FAIL,
	PHASE_MUST_NOT_FAIL
} Phase;

typedef struct Target
{
	const char *name;
	void		(*run) (const char *text, int len);
} Target;

static void run_yaql(const char *text, int len);
static void run_jinja(const char *text, int len);
static void run_yaml(const char *text, int len);

static const Target targets[] = {
	{"yaql", run_yaql},
	{"jinja", run_jinja},
	{"yaml", run_yaml}
};

PGDLLEXPORT void _PG_init(void);

static const Target *target;
static const Jsonb *context;
static volatile Phase phase;

void
_PG_init(void)
{
	guc_init();
}

/* Says what is wrong and ends the run; libFuzzer keeps the input. */
static void
report(const char *what, const char *more)
{
	fprintf(stderr, "\n==== %s: %s: %s\n", target->name, what, more);
	abort();
}

/* ---------------------------------------------------------------- targets */

static Value
host_task(void *arg, const char *name)
{
	return name ? value_null() : value_from_jsonb(context);
}

static Value
host_tasks(void *arg, const char *execution_id, bool recursive, const char *state, bool flat)
{
	Value		list = value_list_new();

	value_list_append(&list, value_from_jsonb(context));
	return list;
}

static Value
host_execution(void *arg)
{
	return value_from_jsonb(context);
}

static Value
host_executions(void *arg, const char *id, const char *root_id, const char *state, const char *from_time,
				const char *to_time)
{
	return host_tasks(arg, id, false, state, false);
}

static Value
host_global(void *arg, const char *name)
{
	return value_cstring(name);
}

static const ExprHost host = {
	.task = host_task,
	.tasks = host_tasks,
	.execution = host_execution,
	.executions = host_executions,
	.env = host_execution,
	.global = host_global
};

static void
environment(ExprEnv *env)
{
	memset(env, 0, sizeof(*env));
	env->root = value_from_jsonb(context);
	env->var_env = env->var_execution = env->root;
	env->var_task_execution = value_null();
	env->host = &host;
}

/* Everything that can be asked of a text: is it right, what does it give, as data and as text. */
static void
run_expression(const char *text, int len, const char *language)
{
	ExprError	error;
	ExprEnv		env;
	Value		value;
	StringInfoData out;

	phase = PHASE_MUST_NOT_FAIL;
	(void) expr_validate_text(text, len, &error);
	phase = PHASE_MAY_FAIL;
	environment(&env);
	value = expr_eval_text(text, len, language, &env);
	initStringInfo(&out);
	value_str(&out, &value);
	(void) value_to_jsonb(&value);
}

/* With delimiters it is a string of a definition, without them a bare expression. */
static void
run_yaql(const char *text, int len)
{
	run_expression(text, len, strstr(text, "<%") ? NULL : "yaql");
}

static void
run_jinja(const char *text, int len)
{
	run_expression(text, len, strstr(text, "{{") || strstr(text, "{%") ? NULL : "jinja");
}

/* Raises only what an expression may raise. */
static void
evaluate_data(const ExprData *data)
{
	ExprEnv		env;
	Value		value;

	if (data == NULL)
		return;
	environment(&env);
	value = expr_data_eval(data, &env);
	(void) value_to_jsonb(&value);
}

static void
compile_definition(const SpecDefinition *definition)
{
	WorkflowSpec *workflow;

	phase = PHASE_MUST_NOT_FAIL;
	if (definition->kind == SPEC_ACTION)
	{
		(void) spec_compile_action(definition->text, strlen(definition->text));
		return;
	}
	workflow = spec_compile_workflow(definition->text, strlen(definition->text));
	phase = PHASE_MAY_FAIL;
	evaluate_data(workflow->vars);
	evaluate_data(workflow->output);
	for (int i = 0; i < workflow->ntasks; i++)
	{
		evaluate_data(workflow->tasks[i].input);
		evaluate_data(workflow->tasks[i].publish.branch);
	}
}

/* A document is checked; what is right compiles. The same text through yaml_parse() and back. */
static void
run_yaml(const char *text, int len)
{
	static const char *const expression = "yaml_dump(yaml_parse($)) + json_dump(json_parse($))";
	SpecDocument *document;
	ExprEnv		env;
	Value		value;
	ListCell   *lc;

	phase = PHASE_MUST_NOT_FAIL;
	document = spec_parse(text, len, SPEC_UNKNOWN);
	spec_check_load(document);
	if (document->problems == NIL)
	{
		foreach(lc, document->definitions)
			compile_definition(lfirst(lc));
	}
	phase = PHASE_MAY_FAIL;
	environment(&env);
	env.root = value_string(text, len);
	value = expr_eval_text(expression, strlen(expression), "yaql", &env);
	(void) value_to_jsonb(&value);
}

/* ---------------------------------------------------------------- one input */

/* The input as SQL would hand it over: valid UTF-8 without NUL. */
static char *
as_text(const uint8 *data, size_t size)
{
	char	   *text = palloc(size + 1);

	for (size_t i = 0; i < size;)
	{
		int			n = pg_utf_mblen(data + i);

		if (data[i] == '\0' || i + n > size || !pg_utf8_islegal(data + i, n))
		{
			text[i++] = '?';
			continue;
		}
		memcpy(text + i, data + i, n);
		i += n;
	}
	text[size] = '\0';
	return text;
}

static void
judge_error(void)
{
	ErrorData  *edata = CopyErrorData();

	FlushErrorState();
	if (phase == PHASE_MUST_NOT_FAIL)
		report("an error where none may be", edata->message);
	if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_INTERNAL_ERROR)
		report("an internal error", edata->message);
}

static void
run_once(const uint8 *data, size_t size)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext work = heap_context_create(caller, "fuzz input");
	ErrorContextCallback *errors = error_context_stack;
	size_t		before;
	char	   *text;

	/* As whoever catches an expression's errors does it; some memory is given back when it aborts. */
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(work);
	text = as_text(data, size);
	before = heap_peak = heap_used;
	phase = PHASE_MAY_FAIL;
	PG_TRY();
	{
		target->run(text, (int) size);
		if (CurrentMemoryContext != work)
			report("the memory context is not restored", CurrentMemoryContext->name);
		if (error_context_stack != errors)
			report("the error context is not restored", "");
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(work);
		judge_error();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(caller);
	if ((heap_peak - before) / 1024 > (size_t) guc_expression_memory * 4)
		report("too much memory", psprintf("%zu kB", (heap_peak - before) / 1024));
	MemoryContextDelete(work);
}

/* Runs it again while it leaves memory behind: what is kept for good is kept once. */
static int
run_input(const uint8 *data, size_t size)
{
	size_t		before = __sanitizer_get_current_allocated_bytes();

	run_once(data, size);
	for (int i = 0; __sanitizer_get_current_allocated_bytes() > before; i++)
	{
		if (i == LEAK_TRIES)
			report("a leak", psprintf("%zu bytes", __sanitizer_get_current_allocated_bytes() - before));
		before = __sanitizer_get_current_allocated_bytes();
		run_once(data, size);
	}
	return 0;
}

/*
 * mistral_fuzz(target text, context jsonb, arguments text[]): hands over to
 * libFuzzer, which ends the process.
 */
Datum
mistral_fuzz(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum	   *arguments;
	int			n;
	int			argc;
	char	  **argv;

	for (int i = 0; i < lengthof(targets); i++)
		if (strcmp(targets[i].name, name) == 0)
			target = &targets[i];
	if (target == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no target \"%s\"", name)));
	context = PG_GETARG_JSONB_P(1);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &arguments, NULL, &n);
	argc = n + 1;
	argv = palloc0((argc + 1) * sizeof(char *));
	argv[0] = "mistral_fuzz";
	for (int i = 0; i < n; i++)
		argv[i + 1] = TextDatumGetCString(arguments[i]);

	/* A single-user server does not measure its stack. */
	(void) set_stack_base();
	/* libFuzzer takes only signals that nobody handles. */
	pqsignal(SIGALRM, SIG_DFL);
	pqsignal(SIGINT, SIG_DFL);
	pqsignal(SIGTERM, SIG_DFL);
	pqsignal(SIGFPE, SIG_DFL);
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, run_input));
}
