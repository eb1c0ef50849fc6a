/*
 * webhooks.c
 *		SQL functions for webhooks.
 */
#include "postgres.h"

#include "fmgr.h"

#include "api/args.h"
#include "base/db.h"
#include "base/ids.h"
#include "engine/webhook.h"
#include "errcodes.h"

SQL_FUNCTION(mistral_retry_webhook);

Datum
mistral_retry_webhook(PG_FUNCTION_ARGS)
{
	pg_uuid_t	id = arg_id(fcinfo, 0, "id");
	DbSession	session;
	bool		found;

	db_enter(&session);
	found = webhook_retry(&id, session.caller);
	db_leave(&session);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_UNDEFINED),
				 errmsg("there is no webhook %s that has failed", id_cstring(&id)),
				 errhint("mistral.webhooks lists yours, and their states.")));
	PG_RETURN_VOID();
}
