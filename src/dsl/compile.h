/*
 * compile.h
 *		What the files that compile definitions share.
 *
 * A compiler works in a context that goes when it is done (the tree of YAML
 * values lives there) and puts what it makes into the caller's.
 */
#ifndef MISTRAL_COMPILE_H
#define MISTRAL_COMPILE_H

#include "postgres.h"

#include "dsl/check.h"

typedef struct Compiler
{
	MemoryContext result;
	MemoryContext work;			/* the current context while compiling */
	MemoryContext caller;
	const YamlNode *key;		/* the definition's name */
	const YamlNode *definition;
} Compiler;

/* Reads a definition's own text; the current context is the compiler's until compiler_end. */
extern void compiler_begin(Compiler *compiler, const char *text, int len);
extern void compiler_end(Compiler *compiler);

/* Zeroed memory, a text, a list of texts in the result's context. */
extern void *keep_zeroed(Compiler *compiler, Size size);
extern char *keep_text(Compiler *compiler, const char *text);
extern Jsonb *keep_jsonb(Compiler *compiler, const YamlNode *node);
extern List *keep_tags(Compiler *compiler, const YamlNode *tags);

/* NULL nodes give NULL. An expression that does not parse is an error when it is evaluated. */
extern ExprData *compile_data(Compiler *compiler, const YamlNode *node);
extern ExprTemplate *compile_template(Compiler *compiler, const YamlNode *node);
extern ExprTemplate *compile_text(Compiler *compiler, const char *text);

/* In spec_params.c. */
extern int	compile_params(Compiler *compiler, const YamlNode *input, SpecParam **params);

/* The dict with what the second one has over it, member by member; NULL when there are neither. */
extern const YamlNode *merge_dicts(const YamlNode *dict, const YamlNode *over);

extern void compile_task(Compiler *compiler, WorkflowSpec *workflow, const TaskTable *table, int index,
						 const YamlNode *defaults);

/* A task as the original keeps it: with its name, version and type. */
extern YamlNode *task_as_stored(const YamlNode *task, const char *name, bool reverse);

#endif							/* MISTRAL_COMPILE_H */
