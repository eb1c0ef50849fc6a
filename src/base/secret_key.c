/*
 * secret_key.c
 *		Keys that are outside the database, and what is done with them.
 *
 * A sealed value: one byte for the form, the identifier of its key (8 bytes),
 * nonce, ciphertext, tag.
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/builtins.h"

#include "base/secret_key.h"
#include "compat.h"
#include "guc.h"

#define FORM		1
#define ID_LEN		8
#define NONCE_LEN	12
#define TAG_LEN		16
#define HEAD_LEN	(1 + ID_LEN + NONCE_LEN)
#define MAX_LINE	1024

/* What a key does besides sealing, each with a key of its own derived from it. */
#define PURPOSE_ID	"mistral key identifier"
#define PURPOSE_MAC "mistral reference"

static bool is_private(FILE *file);
static bool read_line(const char *line, uint8 *key);
static void derive(const uint8 *key, const char *purpose, uint8 derived[32]);
static void hmac(const void *key, int key_len, const void *data, size_t len, uint8 digest[32]);
static void cipher_failed(void) pg_attribute_noreturn();

const char *
secret_keys_read(SecretKeys *keys)
{
	FILE	   *file;
	char		line[MAX_LINE];
	bool		good = true;

	memset(keys, 0, sizeof(*keys));
	if (guc_secret_key_file == NULL || guc_secret_key_file[0] == '\0')
		return "secrets need a key, and mistral.secret_key_file names none";
	file = AllocateFile(guc_secret_key_file, "r");
	if (file == NULL)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not read mistral.secret_key_file \"%s\": %m", guc_secret_key_file)));
		return "the file of mistral.secret_key_file cannot be read (the server's log says why)";
	}
	if (!is_private(file))
	{
		FreeFile(file);
		return "the file of mistral.secret_key_file must be a regular file, owned by the server's user with mode 0600, or by root with mode 0640";
	}
	while (good && fgets(line, sizeof(line), file))
	{
		if (line[0] == '#' || line[strspn(line, " \t\r\n")] == '\0')
			continue;
		good = keys->nkeys < SECRET_MAX_KEYS && read_line(line, keys->keys[keys->nkeys]);
		keys->nkeys += good;
	}
	good = good && !ferror(file) && keys->nkeys > 0;
	secret_wipe(line, sizeof(line));
	FreeFile(file);
	if (!good)
	{
		secret_keys_forget(keys);
		return "the file of mistral.secret_key_file does not hold 1 to 16 lines of 64 hexadecimal digits";
	}
	return NULL;
}

void
secret_keys_forget(SecretKeys *keys)
{
	secret_wipe(keys, sizeof(*keys));
}

bytea *
secret_seal(const SecretKeys *keys, const char *label, const char *data, int len)
{
	bytea	   *sealed = palloc(VARHDRSZ + HEAD_LEN + len + TAG_LEN);
	uint8	   *head = (uint8 *) VARDATA(sealed);
	uint8	   *nonce = head + 1 + ID_LEN;
	uint8	   *body = head + HEAD_LEN;
	uint8		id[32];
	EVP_CIPHER_CTX *cipher;
	int			n;
	bool		done;

	SET_VARSIZE(sealed, VARHDRSZ + HEAD_LEN + len + TAG_LEN);
	head[0] = FORM;
	derive(keys->keys[0], PURPOSE_ID, id);
	memcpy(head + 1, id, ID_LEN);
	cipher = EVP_CIPHER_CTX_new();
	done = cipher != NULL &&
		RAND_bytes(nonce, NONCE_LEN) == 1 &&
		EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, keys->keys[0], nonce) == 1 &&
		EVP_EncryptUpdate(cipher, NULL, &n, (const uint8 *) label, strlen(label)) == 1 &&
		EVP_EncryptUpdate(cipher, body, &n, (const uint8 *) data, len) == 1 &&
		EVP_EncryptFinal_ex(cipher, body + len, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_LEN, body + len) == 1;
	EVP_CIPHER_CTX_free(cipher);
	if (!done)
		cipher_failed();
	return sealed;
}

char *
secret_open(const SecretKeys *keys, const char *label, const bytea *sealed, int *len)
{
	const uint8 *head = (const uint8 *) VARDATA_ANY(sealed);
	int			n = (int) VARSIZE_ANY_EXHDR(sealed) - HEAD_LEN - TAG_LEN;
	int			i;

	if (n < 0 || head[0] != FORM)
		return NULL;
	for (i = 0; i < keys->nkeys; i++)
	{
		uint8		id[32];
		char	   *data;
		EVP_CIPHER_CTX *cipher;
		int			part;
		bool		done;

		derive(keys->keys[i], PURPOSE_ID, id);
		if (memcmp(head + 1, id, ID_LEN) != 0)
			continue;
		data = palloc(n + 1);
		cipher = EVP_CIPHER_CTX_new();
		done = cipher != NULL &&
			EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, keys->keys[i], head + 1 + ID_LEN) == 1 &&
			EVP_DecryptUpdate(cipher, NULL, &part, (const uint8 *) label, strlen(label)) == 1 &&
			EVP_DecryptUpdate(cipher, (uint8 *) data, &part, head + HEAD_LEN, n) == 1 &&
			EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_LEN, (void *) (head + HEAD_LEN + n)) == 1 &&
			EVP_DecryptFinal_ex(cipher, (uint8 *) data + n, &part) == 1;
		EVP_CIPHER_CTX_free(cipher);
		if (done)
		{
			data[n] = '\0';
			*len = n;
			return data;
		}
		secret_wipe(data, n);
		pfree(data);
	}
	return NULL;
}

void
secret_mac(const SecretKeys *keys, int i, const char *text, uint8 mac[SECRET_MAC_LEN])
{
	uint8		key[32];
	uint8		digest[32];

	derive(keys->keys[i], PURPOSE_MAC, key);
	hmac(key, sizeof(key), text, strlen(text), digest);
	secret_wipe(key, sizeof(key));
	memcpy(mac, digest, SECRET_MAC_LEN);
}

char *
secret_hmac_hex(const char *key, int key_len, const char *data, size_t len)
{
	uint8		digest[32];
	char	   *hex = palloc(2 * sizeof(digest) + 1);

	hmac(key, key_len, data, len, digest);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[2 * sizeof(digest)] = '\0';
	return hex;
}

void
secret_wipe(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}

/* As PostgreSQL has it for the key of its certificate. */
static bool
is_private(FILE *file)
{
	struct stat st;
	mode_t		others = S_IRWXG | S_IRWXO;

	if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	if (st.st_uid == 0 && geteuid() != 0)
		others = S_IWGRP | S_IXGRP | S_IRWXO;
	else if (st.st_uid != geteuid())
		return false;
	return (st.st_mode & others) == 0;
}

/* One key, with nothing around it but blanks. */
static bool
read_line(const char *line, uint8 *key)
{
	int			i;

	line += strspn(line, " \t");
	for (i = 0; i < 2 * SECRET_KEY_LEN; i++)
	{
		const char *digits = "0123456789abcdef";
		const char *digit = line[i] ? strchr(digits, pg_tolower((unsigned char) line[i])) : NULL;

		if (digit == NULL)
			return false;
		key[i / 2] = (uint8) (key[i / 2] << 4 | (digit - digits));
	}
	return line[i + strspn(line + i, " \t\r\n")] == '\0';
}

static void
derive(const uint8 *key, const char *purpose, uint8 derived[32])
{
	hmac(key, SECRET_KEY_LEN, purpose, strlen(purpose), derived);
}

static void
hmac(const void *key, int key_len, const void *data, size_t len, uint8 digest[32])
{
	if (HMAC(EVP_sha256(), key, key_len, data, len, digest, NULL) == NULL)
		cipher_failed();
}

static void
cipher_failed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("the encryption library failed")));
}
