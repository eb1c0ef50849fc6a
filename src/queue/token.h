/*
 * token.h
 *		Tokens of attempts: who gives one was given that attempt.
 *
 * A token names the attempt and carries a code of it and its action execution
 * under a key that is a row of the database.  So none is kept anywhere, and one
 * from a copy of the database, which draws a key of its own when it is adopted,
 * is none here.
 */
#ifndef MISTRAL_TOKEN_H
#define MISTRAL_TOKEN_H

#include "postgres.h"

#include "utils/uuid.h"

#define TOKEN_KEY_LEN 32

typedef struct TokenKey
{
	uint8		bytes[TOKEN_KEY_LEN];
} TokenKey;

/* Reads the database's key, for the tokens of one transaction. */
extern void token_key_read(TokenKey *key);

/* Draws another one: no token that was given before is one any more. */
extern void token_key_draw(void);

/* The token of an attempt, palloc'd. */
extern char *token_make(const TokenKey *key, const pg_uuid_t *action_id, int attempt);

/* The attempt of that action execution which a token was given with; 0 when it is none. */
extern int	token_attempt(const TokenKey *key, const pg_uuid_t *action_id, const char *token);

#endif							/* MISTRAL_TOKEN_H */
