/*
 * secret_key.h
 *		Keys that are outside the database, and what is done with them.
 *
 * mistral.secret_key_file holds 1 to 16 keys, a line of 64 hexadecimal digits
 * each; the first seals, all open.  The file is read anew for each use, and
 * what was read is wiped by secret_keys_forget.
 */
#ifndef MISTRAL_SECRET_KEY_H
#define MISTRAL_SECRET_KEY_H

#include "postgres.h"

#define SECRET_KEY_LEN	32
#define SECRET_MAX_KEYS 16
#define SECRET_MAC_LEN	16

typedef struct SecretKeys
{
	int			nkeys;
	uint8		keys[SECRET_MAX_KEYS][SECRET_KEY_LEN];
} SecretKeys;

/*
 * Reads the file.  Returns NULL, or why there are no keys (no file is named, others may read it, it holds
 * something else): a text for any user, which does not say where the file is.
 */
extern const char *secret_keys_read(SecretKeys *keys);
extern void secret_keys_forget(SecretKeys *keys);

/*
 * Seals bytes under the first key (AES-256-GCM) for a place that only `label`
 * opens; palloc'd.
 */
extern bytea *secret_seal(const SecretKeys *keys, const char *label, const char *data, int len);

/* The bytes, NUL-terminated, palloc'd; NULL when no key opens them for that label. */
extern char *secret_open(const SecretKeys *keys, const char *label, const bytea *sealed, int *len);

/*
 * A code that only who has the i-th key can make for that text: to know what
 * this server wrote from what somebody else did.
 */
extern void secret_mac(const SecretKeys *keys, int i, const char *text, uint8 mac[SECRET_MAC_LEN]);

/* HMAC-SHA-256 in hexadecimal digits, palloc'd. */
extern char *secret_hmac_hex(const char *key, int key_len, const char *data, size_t len);

/* Overwrites memory in a way that no compiler leaves out. */
extern void secret_wipe(void *data, size_t len);

#endif							/* MISTRAL_SECRET_KEY_H */
