/*
 * compat.h
 *		Every difference between PostgreSQL 14 and 18, and the only place
 *		that looks at PG_VERSION_NUM.
 */
#ifndef MISTRAL_COMPAT_H
#define MISTRAL_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 140000
#error "mistral needs PostgreSQL 14 or later"
#endif

/* 15 asks for shared memory in a hook of its own. */
#if PG_VERSION_NUM >= 150000
#define HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* 15 reserves a prefix of settings; before that it only warned. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

#endif							/* MISTRAL_COMPAT_H */
