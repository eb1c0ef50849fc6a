/*
 * spec_problem.c
 *		Problems of a whole document: their order, what only loading refuses,
 *		and the error they become.
 */
#include "postgres.h"

#include "dsl/check.h"
#include "mistral.h"

static int
compare_problems(const ListCell *a, const ListCell *b)
{
	const SpecProblem *x = lfirst(a);
	const SpecProblem *y = lfirst(b);

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->col != y->col)
		return x->col < y->col ? -1 : 1;
	return strcmp(x->path, y->path);
}

void
spec_sort_problems(SpecDocument *document)
{
	list_sort(document->problems, compare_problems);
}

void
spec_check_load(SpecDocument *document)
{
	Check		check = {0};
	ListCell   *lc;

	if (document->problems != NIL)
		return;
	document->problems = document->load_problems;
	check.document = document;
	initStringInfo(&check.path);
	foreach(lc, document->definitions)
	{
		SpecDefinition *definition = lfirst(lc);

		if (definition->kind != SPEC_ACTION || strncmp(definition->name, "std.", 4) != 0)
			continue;
		check.path.len = 0;
		appendStringInfoString(&check.path, definition->path);
		check_problem_at(&check, definition->line, definition->col,
						 psprintf("expected a name that does not start with \"std.\", found \"%s\"", definition->name),
						 "Names that start with \"std.\" belong to built-in actions.");
	}
	spec_sort_problems(document);
}

void
spec_raise(const SpecDocument *document)
{
	static const char *const kinds[] = {"definition", "workbook definition", "workflow definition", "action definition"};
	const SpecProblem *first = linitial(document->problems);
	int			more = list_length(document->problems) - 1;
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "Line %d, column %d", first->line, first->col);
	if (first->path[0] != '\0')
		appendStringInfo(&detail, ", %s", first->path);
	if (more > 0)
		appendStringInfo(&detail, "; %d more %s.", more, more == 1 ? "problem" : "problems");
	else
		appendStringInfoChar(&detail, '.');
	ereport(ERROR,
			(errcode(document->too_large ? ERRCODE_MISTRAL_TOO_LARGE : ERRCODE_MISTRAL_INVALID_DEFINITION),
			 errmsg("invalid %s: %s", kinds[document->kind], first->message),
			 errdetail_internal("%s", detail.data),
			 first->hint ? errhint("%s", first->hint) :
			 more > 0 ? errhint("SELECT * FROM mistral.validate(...) lists every problem.") : 0));
	pg_unreachable();
}
