/*
 * definitions.h
 *		The definition store: versions of workbooks, workflows and ad-hoc
 *		actions, found by name under a role's rights or by id, compiled once.
 *
 * Every function here expects to be called between db_enter() and db_leave()
 * (it reads the table as the extension's owner) and checks rights against the
 * role it is given, never against the current user.
 */
#ifndef MISTRAL_DEFINITIONS_H
#define MISTRAL_DEFINITIONS_H

#include "postgres.h"

#include "utils/uuid.h"

#include "dsl/spec.h"

/*
 * One version, compiled.  Read-only.  A pointer stays valid until the end of
 * the (top-level) transaction that got it, also when the cache drops the
 * entry meanwhile or the version is deleted; nobody may keep it longer.
 */
typedef struct Definition
{
	pg_uuid_t	id;
	SpecKind	kind;			/* SPEC_WORKFLOW or SPEC_ACTION */
	char	   *name;			/* qualified: <workbook>.<name> when it came from a workbook */
	char	   *namespace_;
	char	   *workbook;		/* NULL: loaded alone */
	Oid			owner;
	bool		public_;
	char	   *refused;		/* why it must not be started; NULL: it may */
	WorkflowSpec *workflow;		/* NULL for an action */
	ActionSpec *action;			/* NULL for a workflow */
} Definition;

/* "workbook", "workflow" or "action". */
extern const char *definition_kind_name(SpecKind kind);

/* The version with this id, live or not; NULL when there is none. */
extern const Definition *definition_by_id(const pg_uuid_t *id);

/*
 * The live definition that the name means for `role`: its own first, then what
 * the roles it is a member of own, then public ones; NULL when there is none.
 * With a workbook, `<workbook>.<name>` is looked for before `name`.  With
 * fall_back_to_default_namespace, both are looked for in `namespace_` and then
 * in ''.  Raises ERRCODE_AMBIGUOUS_FUNCTION (42725) when several roles' definitions
 * match equally well.
 */
extern const Definition *definition_find(SpecKind kind, const char *name, const char *namespace_,
										 bool fall_back_to_default_namespace,
										 const char *workbook, Oid role);

/*
 * The workflow that the name means for `role`, as definition_find without a
 * workbook, to be started and no more: perhaps read from its start form
 * (spec.h), without its tasks.  Valid until db_leave().
 */
extern const Definition *definition_find_start(const char *name, const char *namespace_, Oid role);

/*
 * Stores what a checked document defines (no problems in it), owned by `owner`:
 * a new live version of each, in place of the owner's live version of the same
 * kind, name and namespace.  `text` is the whole document.
 */
extern void definition_store(const SpecDocument *document, const char *text, const char *namespace_,
							 bool public_, Oid owner);

/* Lets one transaction at a time change what a workflow of that owner is. */
extern void definition_lock(const char *workflow, const char *namespace_, Oid owner);

/*
 * Makes a new version of a workflow, with the same text and the overlays that it has now; nothing when there is no live
 * one.  With `warn`, overlays that do not fit are warned of.
 */
extern void definition_renew(const char *workflow, const char *namespace_, Oid owner, bool warn);

/*
 * Takes the live version of the name out of use; executions keep theirs.
 * The name is resolved for `role` as in definition_find, but public definitions
 * of others do not count.  False when there is none.
 */
extern bool definition_retire(SpecKind kind, const char *name, const char *namespace_, Oid role);

#endif							/* MISTRAL_DEFINITIONS_H */
