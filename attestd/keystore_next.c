/* SPDX-License-Identifier: ISC */
/*
 * keystore_next.c - the next identity key, and its way into the present.
 *
 * keys/next.key holds it sealed by the recovery code, which is on no disk:
 * neither keyd at rest nor the files of the node suffice to rotate. Its first
 * part says in clear which key it commits to.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "attestd/keystore_int.h"
#include "common/regupdate.h"

/* next.key: magic, commitment, salt, the sealed seed, SHA-256 over all. */
#define NEXT_MAGIC "clawnxt1"
#define NEXT_LABEL "claw/next-key/v1"
#define SALT_LEN 16
#define HASH_AT MAGIC_LEN
#define SALT_AT (HASH_AT + 32)
#define SEALED_AT (SALT_AT + SALT_LEN)
#define BODY_LEN (SEALED_AT + KEYSTORE_SEALED_LEN)
#define FILE_LEN (BODY_LEN + 32)
#define CODE_UNUSED_BITS 0x0f /* of the last byte */

static struct {
	bool known; /* hash */
	uint8_t hash[32];
	uint8_t *code, *seed; /* of a rotation under way */
} my;

static int
public_of(const uint8_t seed[SEED_LEN], uint8_t pub[32])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    seed, SEED_LEN);
	size_t len = 32;
	int r =
	    key != NULL && EVP_PKEY_get_raw_public_key(key, pub, &len) == 1 ?
	    0 :
	    -EIO;

	EVP_PKEY_free(key);
	keystore_wipe_stack();
	return r;
}

static int
commitment_of(const uint8_t seed[SEED_LEN], uint8_t hash[32])
{
	uint8_t pub[32];
	int r = public_of(seed, pub);

	return r != 0 ? r : regupdate_next_hash(pub, hash);
}

/* A new next key, sealed by that code. */
static int
write_next(int fd, uint8_t *code)
{
	uint8_t *seed = OPENSSL_secure_zalloc(SEED_LEN), file[FILE_LEN];
	int r = -ENOMEM;

	if (seed == NULL)
		return r;
	memcpy(file, NEXT_MAGIC, MAGIC_LEN);
	r = -EIO;
	if (RAND_priv_bytes(seed, SEED_LEN) == 1 &&
	    RAND_bytes(file + SALT_AT, SALT_LEN) == 1)
		r = commitment_of(seed, file + HASH_AT);
	if (r == 0)
		r = keystore_seal_by(true, code, RECOVERY_LEN, file + SALT_AT,
		    SALT_LEN, NEXT_LABEL, file + SEALED_AT, seed);
	OPENSSL_secure_clear_free(seed, SEED_LEN);
	if (r == 0)
		r = keystore_digest(file, BODY_LEN, file + BODY_LEN);
	if (r == 0)
		r = keystore_write(fd, file, sizeof(file));
	if (r != 0)
		return r;
	memcpy(my.hash, file + HASH_AT, sizeof(my.hash));
	my.known = true;
	return 0;
}

static int
read_next(int fd, uint8_t file[FILE_LEN])
{
	uint8_t more[FILE_LEN + 1], sum[32];
	ssize_t n = pread(fd, more, sizeof(more), 0);

	if (n != FILE_LEN || memcmp(more, NEXT_MAGIC, MAGIC_LEN) != 0 ||
	    keystore_digest(more, BODY_LEN, sum) != 0 ||
	    memcmp(sum, more + BODY_LEN, sizeof(sum)) != 0)
		return n < 0 ? -errno : -EBADMSG;
	memcpy(file, more, FILE_LEN);
	return 0;
}

int
keystore_create_next(int fd, char text[RECOVERY_TEXT_SIZE])
{
	uint8_t *code = OPENSSL_secure_zalloc(RECOVERY_LEN);
	int r = -ENOMEM;

	if (code == NULL)
		return r;
	r = RAND_priv_bytes(code, RECOVERY_LEN) == 1 ? 0 : -EIO;
	code[RECOVERY_LEN - 1] &= (uint8_t)~CODE_UNUSED_BITS;
	if (r == 0)
		r = write_next(fd, code);
	if (r == 0)
		recovery_text(code, text);
	OPENSSL_secure_clear_free(code, RECOVERY_LEN);
	keystore_wipe_stack();
	return r;
}

int
keystore_note_next(int fd)
{
	uint8_t file[FILE_LEN];
	int r = read_next(fd, file);

	if (r != 0)
		return r;
	memcpy(my.hash, file + HASH_AT, sizeof(my.hash));
	my.known = true;
	return 0;
}

int
keystore_next(uint8_t hash[32])
{
	if (!my.known)
		return -ENOKEY;
	memcpy(hash, my.hash, sizeof(my.hash));
	return 0;
}

void
keystore_rotate_end(void)
{
	OPENSSL_secure_clear_free(my.code, RECOVERY_LEN);
	OPENSSL_secure_clear_free(my.seed, SEED_LEN);
	my.code = my.seed = NULL;
}

static int
open_next(int fd)
{
	uint8_t file[FILE_LEN], hash[32];
	int r = read_next(fd, file);

	if (r != 0)
		return r;
	r = keystore_seal_by(false, my.code, RECOVERY_LEN, file + SALT_AT,
	    SALT_LEN, NEXT_LABEL, file + SEALED_AT, my.seed);
	if (r != 0)
		return r == -EBADMSG ? -EACCES : r;
	r = commitment_of(my.seed, hash);
	if (r == 0 && memcmp(hash, file + HASH_AT, sizeof(hash)) != 0)
		r = -EBADMSG;
	return r;
}

int
keystore_reveal(int fd, const char *code, unsigned int *word)
{
	int r = -ENOMEM;

	keystore_rotate_end();
	my.code = OPENSSL_secure_zalloc(RECOVERY_LEN);
	my.seed = OPENSSL_secure_zalloc(SEED_LEN);
	if (my.code != NULL && my.seed != NULL)
		r = recovery_parse(code, my.code, word);
	if (r == 0)
		r = open_next(fd);
	keystore_wipe_stack();
	if (r != 0)
		keystore_rotate_end();
	return r;
}

int
keystore_rotate_key(int fd)
{
	return my.seed == NULL ? -ENOKEY : keystore_write_revealed(fd, my.seed);
}

int
keystore_rotate_next(int fd)
{
	int r = my.code == NULL ? -ENOKEY : write_next(fd, my.code);

	keystore_rotate_end();
	return r;
}
