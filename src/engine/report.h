/*
 * report.h
 *		What became of an execution, for people: errors first, bounded.
 */
#ifndef MISTRAL_REPORT_H
#define MISTRAL_REPORT_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * The report of an execution that the role may see; raises when there is none.
 * Lives until db_leave.
 */
extern Jsonb *report_execution(const pg_uuid_t *id, Oid role);

#endif							/* MISTRAL_REPORT_H */
