/*
 * token.c
 *		Tokens of attempts: who gives one was given that attempt.
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/secret_key.h"
#include "queue/token.h"

/* Bytes of the code in a token, and of "<attempt>-<hexadecimal digits>" at most. */
#define CODE_LEN 16
#define TOKEN_SIZE (11 + 1 + 2 * CODE_LEN + 1)

/* Columns of server_key, from 1. */
#define SERVER_KEY_KEY 2

void
token_key_read(TokenKey *key)
{
	const char *name = "token";
	DbLookup	lookup;
	TupleTableSlot *slot;
	bool		found = false;

	db_lookup_begin(&lookup, "server_key", "server_key_pkey", &name, 1);
	slot = db_lookup_next(&lookup);
	if (slot)
	{
		bool		isnull;
		bytea	   *bytes = DatumGetByteaPP(slot_getattr(slot, SERVER_KEY_KEY, &isnull));

		found = VARSIZE_ANY_EXHDR(bytes) == TOKEN_KEY_LEN;
		if (found)
			memcpy(key->bytes, VARDATA_ANY(bytes), TOKEN_KEY_LEN);
	}
	db_lookup_end(&lookup);
	if (!found)
		elog(ERROR, "the key of tokens is missing in mistral.server_key");
}

void
token_key_draw(void)
{
	static DbStatement update = {
		"UPDATE mistral.server_key SET key = DEFAULT WHERE name OPERATOR(pg_catalog.=) 'token'", 0
	};

	db_execute(&update, NULL, NULL, false, 0);
}

char *
token_make(const TokenKey *key, const pg_uuid_t *action_id, int attempt)
{
	char	   *token = palloc(TOKEN_SIZE);
	uint8		text[TOKEN_KEY_LEN + UUID_LEN + sizeof(uint32)];
	uint8		digest[EVP_MAX_MD_SIZE];
	uint32		number = pg_hton32((uint32) attempt);
	int			len;
	bool		made;

	memcpy(text, key->bytes, TOKEN_KEY_LEN);
	memcpy(text + TOKEN_KEY_LEN, action_id->data, UUID_LEN);
	memcpy(text + TOKEN_KEY_LEN + UUID_LEN, &number, sizeof(number));
	/* Behind a key, texts of one length need no HMAC, which costs four times as much. */
	made = EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL) == 1;
	secret_wipe(text, sizeof(text));
	if (!made)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("the encryption library failed")));
	len = snprintf(token, TOKEN_SIZE, "%d-", attempt);
	hex_encode((const char *) digest, CODE_LEN, token + len);
	token[len + 2 * CODE_LEN] = '\0';
	return token;
}

/* What begins with a number is compared, whole, with the token of that attempt. */
int
token_attempt(const TokenKey *key, const pg_uuid_t *action_id, const char *token)
{
	int			attempt = (int) strtol(token, NULL, 10);
	char	   *real;
	size_t		len;

	if (attempt < 1)
		return 0;
	real = token_make(key, action_id, attempt);
	len = strlen(real);
	return strlen(token) == len && CRYPTO_memcmp(token, real, len) == 0 ? attempt : 0;
}
