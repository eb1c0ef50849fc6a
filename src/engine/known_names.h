/*
 * known_names.h
 *		What the names of workflows meant at their last start in this session,
 *		until something changes that could make them mean another version.
 */
#ifndef MISTRAL_KNOWN_NAMES_H
#define MISTRAL_KNOWN_NAMES_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

/* The version that a name means: its row without the text. */
typedef struct FoundVersion
{
	pg_uuid_t	id;
	Oid			owner;
	bool		public_;
	char	   *workbook;		/* these two: copies in the current memory context, or NULL */
	Jsonb	   *start;
} FoundVersion;

/*
 * Whether it is known what the role means by the name of a workflow; then also
 * what, in *found.  Sees what had committed when it was called.
 */
extern bool known_name(const char *name, const char *namespace_, Oid role, FoundVersion *found);

/* A mark to take before the table is looked at: known_name_keep forgets what has been overtaken since. */
extern uint64 known_names_mark(void);

/* Keeps what a look has found, unless something has changed since the mark was taken. */
extern void known_name_keep(uint64 mark, const char *name, const char *namespace_, Oid role, const FoundVersion *found);

/* Tells all processes, at the end of the transaction, that definitions have changed. */
extern void known_names_changed(void);

#endif							/* MISTRAL_KNOWN_NAMES_H */
