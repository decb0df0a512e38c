/* SPDX-License-Identifier: ISC */
/*
 * keystore.c - the node's private keys, in locked memory, in keyd alone.
 *
 * Seeds live in OpenSSL's secure heap (locked, out of cores and swap), and so
 * do the EVP_PKEYs made from them: see keystore_set(). What a computation
 * leaves on the stack is wiped when it is done: see keystore_wipe_stack().
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/core_names.h>
#include <openssl/rand.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "attestd/keystore.h"
#include "attestd/keystore_int.h"
#include "common/log.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define SECURE_HEAP_BYTES 65536
#define SECURE_MIN_BYTES 32
#define WIPE_BYTES 16384

/* node.key: magic, three seeds, SHA-256 over all before it. */
#define FILE_MAGIC "clawkey1"
#define FILE_BODY_LEN (MAGIC_LEN + 3 * SEED_LEN)
#define FILE_LEN (FILE_BODY_LEN + 32)
/* authority.key: magic, then a sealed seed. */
#define AUTHORITY_MAGIC "clawaut1"
#define AUTHORITY_LABEL "claw/authority-key/v1"
#define LOG_LABEL "claw/log-key-seal/v1"
#define FRESH_LABEL "claw/fresh-key/v1"
#define SEALED_VERSION 1

static struct {
	EVP_PKEY *key[KEY_MAX];
	uint8_t *wrap; /* key that wraps what is kept at rest */
	EVP_CIPHER *cipher;
	EVP_MD *sha256;
	EVP_KDF *hkdf;
} ks;

void
keystore_init(void)
{
	uint8_t warm[SEED_LEN];

	if (CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_MIN_BYTES) != 1)
		fatalx("no locked memory for keys: raise RLIMIT_MEMLOCK to "
		       "at least 128 KiB (ulimit -l, LimitMEMLOCK=)");
	ks.wrap = OPENSSL_secure_zalloc(SEED_LEN);
	ks.cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	ks.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	ks.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	/* Seeds the generators while files can still be opened. */
	if (ks.wrap == NULL || ks.cipher == NULL || ks.sha256 == NULL ||
	    ks.hkdf == NULL || RAND_priv_bytes(warm, sizeof(warm)) != 1 ||
	    RAND_bytes(warm, sizeof(warm)) != 1)
		fatalx("OpenSSL lacks ChaCha20-Poly1305, SHA-256 or HKDF");
	OPENSSL_cleanse(warm, sizeof(warm));
}

/*
 * OpenSSL's curve and hash code in assembly spills words of keys to the stack
 * and leaves them there; the stack is neither locked nor kept out of cores.
 */
__attribute__((noinline)) void
keystore_wipe_stack(void)
{
	uint8_t below[WIPE_BYTES];

	explicit_bzero(below, sizeof(below));
}

/*
 * Importing a raw key copies it to the ordinary heap (OpenSSL 3.0 to 3.x);
 * duplicating a key puts the copy into the secure one. So the duplicate is
 * kept, and the import is freed, which wipes it.
 */
int
keystore_set(enum key_id id, const uint8_t seed[SEED_LEN])
{
	int type = id == KEY_SEALING || id == KEY_NEW_SEALING ?
	    EVP_PKEY_X25519 :
	    EVP_PKEY_ED25519;
	EVP_PKEY *import, *key = NULL;

	import = EVP_PKEY_new_raw_private_key(type, NULL, seed, SEED_LEN);
	if (import != NULL)
		key = EVP_PKEY_dup(import);
	EVP_PKEY_free(import);
	keystore_wipe_stack();
	if (key == NULL)
		return -EINVAL;
	EVP_PKEY_free(ks.key[id]);
	ks.key[id] = key;
	return 0;
}

int
keystore_write(int fd, const uint8_t *p, size_t n)
{
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w) {
		w = write(fd, p, n);
		if (w <= 0)
			return w == 0 ? -EIO : -errno;
	}
	return 0;
}

int
keystore_digest(const uint8_t *p, size_t n, uint8_t out[32])
{
	return EVP_Digest(p, n, out, NULL, ks.sha256, NULL) == 1 ? 0 : -EINVAL;
}

static int derive(const char *label, uint8_t out[SEED_LEN]);

/* The key for `fresh` has no file: it follows from the wrapping key. */
static int
make_fresh(void)
{
	uint8_t *seed = OPENSSL_secure_zalloc(SEED_LEN);
	int r = seed == NULL ? -ENOMEM : derive(FRESH_LABEL, seed);

	if (r == 0)
		r = keystore_set(KEY_FRESH, seed);
	OPENSSL_secure_clear_free(seed, SEED_LEN);
	keystore_wipe_stack();
	return r;
}

static int
take_file(const uint8_t *file)
{
	int r;

	r = keystore_set(KEY_IDENTITY, file + MAGIC_LEN);
	if (r == 0)
		r = keystore_set(KEY_SEALING, file + MAGIC_LEN + SEED_LEN);
	if (r != 0)
		return r;
	memcpy(ks.wrap, file + MAGIC_LEN + 2 * SEED_LEN, SEED_LEN);
	return make_fresh();
}

int
keystore_create(int fd)
{
	uint8_t *file = OPENSSL_secure_zalloc(FILE_LEN);
	int r = -ENOMEM;

	if (file == NULL)
		return r;
	memcpy(file, FILE_MAGIC, MAGIC_LEN);
	r = -EIO;
	if (RAND_priv_bytes(file + MAGIC_LEN, 3 * SEED_LEN) != 1 ||
	    keystore_digest(file, FILE_BODY_LEN, file + FILE_BODY_LEN) != 0)
		goto out;
	r = keystore_write(fd, file, FILE_LEN);
	if (r == 0)
		r = take_file(file);
out:
	OPENSSL_secure_clear_free(file, FILE_LEN);
	return r;
}

/* A key file, checked; take says what becomes of it. */
static int
load(int fd, int (*take)(const uint8_t *file))
{
	uint8_t *file = OPENSSL_secure_zalloc(FILE_LEN + 1);
	uint8_t sum[32];
	size_t have = 0;
	ssize_t n;
	int r = -ENOMEM;

	if (file == NULL)
		return r;
	while (have <= FILE_LEN &&
	    (n = pread(fd, file + have, FILE_LEN + 1 - have, (off_t)have)) > 0)
		have += (size_t)n;
	r = -EBADMSG;
	if (have != FILE_LEN || memcmp(file, FILE_MAGIC, MAGIC_LEN) != 0 ||
	    keystore_digest(file, FILE_BODY_LEN, sum) != 0 ||
	    memcmp(sum, file + FILE_BODY_LEN, sizeof(sum)) != 0)
		goto out;
	r = take(file);
out:
	OPENSSL_secure_clear_free(file, FILE_LEN + 1);
	return r;
}

int
keystore_load(int fd)
{
	return load(fd, take_file);
}

/* Its wrapping key is the one that there is. */
static int
take_revealed(const uint8_t *file)
{
	int r = keystore_set(KEY_REVEALED, file + MAGIC_LEN);

	return r != 0 ?
	    r :
	    keystore_set(KEY_NEW_SEALING, file + MAGIC_LEN + SEED_LEN);
}

int
keystore_load_revealed(int fd)
{
	return load(fd, take_revealed);
}

int
keystore_write_revealed(int fd, const uint8_t seed[SEED_LEN])
{
	uint8_t *file = OPENSSL_secure_zalloc(FILE_LEN);
	int r = -ENOMEM;

	if (file == NULL)
		return r;
	r = -EIO;
	/* With the keys the one that wraps was lost. */
	if (ks.key[KEY_IDENTITY] == NULL &&
	    RAND_priv_bytes(ks.wrap, SEED_LEN) != 1)
		goto out;
	memcpy(file, FILE_MAGIC, MAGIC_LEN);
	memcpy(file + MAGIC_LEN, seed, SEED_LEN);
	memcpy(file + MAGIC_LEN + 2 * SEED_LEN, ks.wrap, SEED_LEN);
	if (RAND_priv_bytes(file + MAGIC_LEN + SEED_LEN, SEED_LEN) == 1 &&
	    keystore_digest(file, FILE_BODY_LEN, file + FILE_BODY_LEN) == 0)
		r = keystore_write(fd, file, FILE_LEN);
	if (r == 0)
		r = take_revealed(file);
out:
	OPENSSL_secure_clear_free(file, FILE_LEN);
	return r;
}

static void
move(enum key_id to, enum key_id from)
{
	EVP_PKEY_free(ks.key[to]);
	ks.key[to] = ks.key[from];
	ks.key[from] = NULL;
}

int
keystore_take_revealed(void)
{
	if (ks.key[KEY_REVEALED] == NULL || ks.key[KEY_NEW_SEALING] == NULL)
		return -ENOKEY;
	move(KEY_IDENTITY, KEY_REVEALED);
	move(KEY_SEALING, KEY_NEW_SEALING);
	return 0;
}

/* A key of its own for each label. */
static int
derive_from(uint8_t *secret, size_t secret_len, const uint8_t *salt,
    size_t salt_len, const char *label, uint8_t out[SEED_LEN])
{
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(ks.hkdf);
	OSSL_PARAM params[5], *p = params;
	char digest_name[] = "SHA256", info[64];
	uint8_t with[SEED_LEN];
	size_t len = strlen(label);
	int ok;

	if (ctx == NULL || len > sizeof(info) || salt_len > sizeof(with))
		return -ENOMEM;
	memcpy(info, label, len);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
	    digest_name, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret,
	    secret_len);
	if (salt_len > 0) {
		memcpy(with, salt, salt_len);
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
		    with, salt_len);
	}
	*p++ =
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, len);
	*p = OSSL_PARAM_construct_end();
	ok = EVP_KDF_derive(ctx, out, SEED_LEN, params);
	EVP_KDF_CTX_free(ctx);
	return ok == 1 ? 0 : -EINVAL;
}

/* From the wrapping key. */
static int
derive(const char *label, uint8_t out[SEED_LEN])
{
	return derive_from(ks.wrap, SEED_LEN, NULL, 0, label, out);
}

/*
 * One AEAD step over a seed: version, nonce, 32 bytes, tag; the name is
 * authenticated with it. encrypt says which way.
 */
static int
aead_with(const uint8_t key[SEED_LEN], bool encrypt, const char *name,
    uint8_t *sealed, uint8_t *seed)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *nonce = sealed + 1, *body = nonce + NONCE_LEN;
	uint8_t *tag = body + SEED_LEN;
	const uint8_t *ad = (const uint8_t *)name;
	int n, r = -EBADMSG;

	if (ctx == NULL)
		return -ENOMEM;
	if (EVP_CipherInit_ex2(ctx, ks.cipher, key, nonce, encrypt ? 1 : 0,
		NULL) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &n, ad, (int)strlen(name)) != 1)
		goto out;
	if (!encrypt &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1)
		goto out;
	if (EVP_CipherUpdate(ctx, encrypt ? body : seed, &n,
		encrypt ? seed : body, SEED_LEN) != 1 ||
	    EVP_CipherFinal_ex(ctx, (encrypt ? body : seed) + n, &n) != 1)
		goto out;
	if (encrypt &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) != 1)
		goto out;
	r = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	keystore_wipe_stack();
	return r;
}

/* Under a key that follows from the wrapping key and the label. */
static int
aead(bool encrypt, const char *label, const char *name, uint8_t *sealed,
    uint8_t *seed)
{
	uint8_t *key = OPENSSL_secure_zalloc(SEED_LEN);
	int r = key == NULL ? -ENOMEM : derive(label, key);

	if (r == 0)
		r = aead_with(key, encrypt, name, sealed, seed);
	OPENSSL_secure_clear_free(key, SEED_LEN);
	return r;
}

int
keystore_seal_by(bool encrypt, uint8_t *secret, size_t secret_len,
    const uint8_t *salt, size_t salt_len, const char *label, uint8_t *sealed,
    uint8_t *seed)
{
	uint8_t *key = OPENSSL_secure_zalloc(SEED_LEN);
	int r = -ENOMEM;

	if (key == NULL)
		return r;
	sealed[0] = SEALED_VERSION;
	r = encrypt && RAND_bytes(sealed + 1, NONCE_LEN) != 1 ?
	    -EIO :
	    derive_from(secret, secret_len, salt, salt_len, label, key);
	if (r == 0)
		r = aead_with(key, encrypt, label, sealed, seed);
	OPENSSL_secure_clear_free(key, SEED_LEN);
	return r;
}

/* A new key for id, and its seed sealed under label and name. */
static int
create_sealed(enum key_id id, const char *label, const char *name,
    uint8_t out[KEYSTORE_SEALED_LEN])
{
	uint8_t *seed = OPENSSL_secure_zalloc(SEED_LEN);
	int r = -ENOMEM;

	if (seed == NULL)
		return r;
	out[0] = SEALED_VERSION;
	r = -EIO;
	if (RAND_priv_bytes(seed, SEED_LEN) == 1 &&
	    RAND_bytes(out + 1, NONCE_LEN) == 1)
		r = aead(true, label, name, out, seed);
	if (r == 0)
		r = keystore_set(id, seed);
	OPENSSL_secure_clear_free(seed, SEED_LEN);
	return r;
}

int
keystore_create_authority(int fd)
{
	uint8_t file[MAGIC_LEN + KEYSTORE_SEALED_LEN];
	int r;

	memcpy(file, AUTHORITY_MAGIC, MAGIC_LEN);
	r = create_sealed(KEY_AUTHORITY, AUTHORITY_LABEL, "authority",
	    file + MAGIC_LEN);
	return r != 0 ? r : keystore_write(fd, file, sizeof(file));
}

/* The key of a sealed seed; -EBADMSG if it was not sealed so, or here. */
static int
open_sealed(enum key_id id, const char *label, const char *name,
    const uint8_t *sealed, size_t len)
{
	uint8_t copy[KEYSTORE_SEALED_LEN], *seed;
	int r;

	if (len != sizeof(copy) || sealed[0] != SEALED_VERSION)
		return -EBADMSG;
	memcpy(copy, sealed, sizeof(copy));
	seed = OPENSSL_secure_zalloc(SEED_LEN);
	if (seed == NULL)
		return -ENOMEM;
	r = aead(false, label, name, copy, seed);
	if (r == 0)
		r = keystore_set(id, seed);
	OPENSSL_secure_clear_free(seed, SEED_LEN);
	return r;
}

int
keystore_load_authority(int fd)
{
	uint8_t file[MAGIC_LEN + KEYSTORE_SEALED_LEN + 1];
	ssize_t n = pread(fd, file, sizeof(file), 0);

	if (n != MAGIC_LEN + KEYSTORE_SEALED_LEN ||
	    memcmp(file, AUTHORITY_MAGIC, MAGIC_LEN) != 0)
		return -EBADMSG;
	return open_sealed(KEY_AUTHORITY, AUTHORITY_LABEL, "authority",
	    file + MAGIC_LEN, KEYSTORE_SEALED_LEN);
}

int
keystore_create_log(const char *shard, uint8_t out[KEYSTORE_SEALED_LEN])
{
	return create_sealed(KEY_LOG, LOG_LABEL, shard, out);
}

int
keystore_open_log(const char *shard, const uint8_t *sealed, size_t len)
{
	return open_sealed(KEY_LOG, LOG_LABEL, shard, sealed, len);
}

void
keystore_forget(enum key_id id)
{
	EVP_PKEY_free(ks.key[id]);
	ks.key[id] = NULL;
}

int
keystore_public(enum key_id id, uint8_t out[KEY_PUBLIC_LEN])
{
	size_t len = KEY_PUBLIC_LEN;

	if (ks.key[id] == NULL ||
	    EVP_PKEY_get_raw_public_key(ks.key[id], out, &len) != 1)
		return -ENOKEY;
	return 0;
}

int
keystore_sign(enum key_id id, const void *msg, size_t len,
    uint8_t sig[KEY_SIGNATURE_LEN])
{
	size_t sig_len = KEY_SIGNATURE_LEN;
	EVP_MD_CTX *ctx;
	int ok;

	if (ks.key[id] == NULL || id == KEY_SEALING || id == KEY_NEW_SEALING)
		return -ENOKEY;
	ctx = EVP_MD_CTX_new();
	ok = ctx != NULL &&
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, ks.key[id]) == 1 &&
	    EVP_DigestSign(ctx, sig, &sig_len, msg, len) == 1 &&
	    sig_len == KEY_SIGNATURE_LEN;
	EVP_MD_CTX_free(ctx);
	keystore_wipe_stack();
	return ok ? 0 : -EIO;
}
