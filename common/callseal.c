/* SPDX-License-Identifier: ISC */
/*
 * callseal.c - who can read the messages of a call.
 *
 * Owns the derivation of keys and the form of boxes and frames; keeps no key
 * beyond the caller's struct, and wipes what it derives on the way.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "common/callseal.h"

static const char box_info[] = "claw/call-seal/v1";
static const char call_info[] = "claw/call/v1";

/* Head, and a frame's number. */
#define AAD_MAX (CALL_HEAD_LEN + 8)

/* -EKEYREJECTED for a peer's key of which all secrets are zero. */
static int
x25519(EVP_PKEY *own, const uint8_t theirs[32], uint8_t out[32])
{
	EVP_PKEY *peer =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs, 32);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	size_t len = 32, i;
	uint8_t any = 0;
	int r = -EIO;

	memset(out, 0, 32);
	if (peer == NULL || ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, peer) != 1)
		goto out;
	r = -EKEYREJECTED;
	if (EVP_PKEY_derive(ctx, out, &len) != 1 || len != 32)
		goto out;
	/* This OpenSSL refuses zeros itself; that is nothing it promises. */
	for (i = 0; i < 32; i++)
		any |= out[i];
	r = any == 0 ? -EKEYREJECTED : 0;
out:
	if (r != 0)
		explicit_bzero(out, 32);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return r;
}

/* salt: two times 32 bytes. */
static int
hkdf(uint8_t secret[32], const uint8_t *first, const uint8_t *second,
    const char *info, uint8_t *out, size_t len)
{
	uint8_t salt[64];
	char digest[] = "SHA256", label[sizeof(box_info)];
	size_t n = strlen(info);
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, digest,
		    sizeof(digest) - 1),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, secret, 32),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, salt,
		    sizeof(salt)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, label, n),
		OSSL_PARAM_END,
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	int r = -EIO;

	memcpy(salt, first, 32);
	memcpy(salt + 32, second, 32);
	memcpy(label, info, n);
	if (ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1)
		r = 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return r;
}

static void
aead_nonce(uint64_t number, uint8_t out[12])
{
	uint64_t be = htobe64(number);

	memset(out, 0, 4);
	memcpy(out + 4, &be, sizeof(be));
}

/* Ciphertext and tag to out, which has room for them. */
static int
encrypt(const uint8_t *key, uint64_t number, const uint8_t *aad, int aad_len,
    const uint8_t *text, int len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[12];
	int n, last, r = -EIO;

	aead_nonce(number, iv);
	if (ctx != NULL &&
	    EVP_EncryptInit_ex2(ctx, EVP_chacha20_poly1305(), key, iv, NULL) ==
		1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, aad, aad_len) == 1 &&
	    EVP_EncryptUpdate(ctx, out, &n, text, len) == 1 && n == len &&
	    EVP_EncryptFinal_ex(ctx, out + n, &last) == 1 && last == 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CALLSEAL_TAG_LEN,
		out + n) == 1)
		r = 0;
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

/* len: of the text; the tag comes behind it. Nothing unproven is left. */
static int
decrypt(const uint8_t *key, uint64_t number, const uint8_t *aad, int aad_len,
    const uint8_t *in, int len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t iv[12], tag[CALLSEAL_TAG_LEN];
	int n, last, r = -EBADMSG;

	aead_nonce(number, iv);
	memcpy(tag, in + len, sizeof(tag));
	if (ctx != NULL &&
	    EVP_DecryptInit_ex2(ctx, EVP_chacha20_poly1305(), key, iv, NULL) ==
		1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CALLSEAL_TAG_LEN,
		tag) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, aad_len) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, in, len) == 1 && n == len &&
	    EVP_DecryptFinal_ex(ctx, out + n, &last) == 1 && last == 0)
		r = 0;
	if (r != 0)
		explicit_bzero(out, (size_t)len);
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

static EVP_PKEY *
private_key(const uint8_t secret[32])
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
}

static int
public_half(EVP_PKEY *key, uint8_t out[32])
{
	size_t len = 32;

	return key != NULL &&
		EVP_PKEY_get_raw_public_key(key, out, &len) == 1 && len == 32 ?
	    0 :
	    -EIO;
}

int
callseal_share(const uint8_t secret[32], uint8_t share[32])
{
	EVP_PKEY *key = private_key(secret);
	int r = public_half(key, share);

	EVP_PKEY_free(key);
	return r;
}

/* --- boxes -------------------------------------------------------------- */

ssize_t
callseal_box(const uint8_t secret[32], const uint8_t to[32],
    const uint8_t head[CALL_HEAD_LEN], const void *text, size_t len,
    uint8_t *out, size_t size)
{
	uint8_t shared[32], key[CALLSEAL_KEY_LEN];
	EVP_PKEY *own;
	int r;

	if (len > CALL_BODY_MAX || size < len + CALLSEAL_BOX_MORE)
		return -ENOSPC;
	own = private_key(secret);
	r = public_half(own, out);
	if (r == 0)
		r = x25519(own, to, shared);
	if (r == 0)
		r = hkdf(shared, out, to, box_info, key, sizeof(key));
	if (r == 0)
		r = encrypt(key, 0, head, CALL_HEAD_LEN, text, (int)len,
		    out + 32);
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(key, sizeof(key));
	EVP_PKEY_free(own);
	return r != 0 ? r : (ssize_t)(len + CALLSEAL_BOX_MORE);
}

int
callseal_box_key(EVP_PKEY *own, const uint8_t ephemeral[32],
    uint8_t key[CALLSEAL_KEY_LEN])
{
	uint8_t shared[32], to[32];
	int r = public_half(own, to);

	if (r == 0)
		r = x25519(own, ephemeral, shared);
	if (r == 0)
		r = hkdf(shared, ephemeral, to, box_info, key,
		    CALLSEAL_KEY_LEN);
	if (r != 0)
		explicit_bzero(key, CALLSEAL_KEY_LEN);
	explicit_bzero(shared, sizeof(shared));
	return r;
}

ssize_t
callseal_box_open(const uint8_t key[CALLSEAL_KEY_LEN],
    const uint8_t head[CALL_HEAD_LEN], const uint8_t *box, size_t len,
    uint8_t *out, size_t size)
{
	size_t n;
	int r;

	if (len < CALLSEAL_BOX_MORE || len > CALL_BODY_MAX + CALLSEAL_BOX_MORE)
		return -EBADMSG;
	n = len - CALLSEAL_BOX_MORE;
	if (size < n)
		return -ENOSPC;
	r = decrypt(key, 0, head, CALL_HEAD_LEN, box + 32, (int)n, out);
	return r != 0 ? r : (ssize_t)n;
}

/* --- frames ------------------------------------------------------------- */

int
callseal_start(struct callseal *s, bool caller, const uint8_t secret[32],
    const uint8_t theirs[32], const uint8_t offer[32], const uint8_t answer[32])
{
	uint8_t shared[32], keys[2 * CALLSEAL_KEY_LEN];
	EVP_PKEY *own = private_key(secret);
	int r = own == NULL ? -EIO : x25519(own, theirs, shared);

	memset(s, 0, sizeof(*s));
	if (r == 0)
		r = hkdf(shared, offer, answer, call_info, keys, sizeof(keys));
	if (r == 0) {
		memcpy(caller ? s->out_key : s->in_key, keys, CALLSEAL_KEY_LEN);
		memcpy(caller ? s->in_key : s->out_key, keys + CALLSEAL_KEY_LEN,
		    CALLSEAL_KEY_LEN);
	}
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(keys, sizeof(keys));
	EVP_PKEY_free(own);
	return r;
}

static void
frame_aad(const uint8_t head[CALL_HEAD_LEN], const uint8_t *number,
    uint8_t out[AAD_MAX])
{
	memcpy(out, head, CALL_HEAD_LEN);
	memcpy(out + CALL_HEAD_LEN, number, AAD_MAX - CALL_HEAD_LEN);
}

ssize_t
callseal_frame(struct callseal *s, const uint8_t head[CALL_HEAD_LEN],
    const void *text, size_t len, uint8_t *out, size_t size)
{
	uint64_t be = htobe64(s->out);
	uint8_t aad[AAD_MAX];
	int r;

	if (len > CALL_BODY_MAX || size < len + CALLSEAL_FRAME_MORE)
		return -ENOSPC;
	/* A number that comes twice would give the key away. */
	if (s->out == UINT64_MAX)
		return -EOVERFLOW;
	memcpy(out, &be, sizeof(be));
	frame_aad(head, out, aad);
	r = encrypt(s->out_key, s->out, aad, sizeof(aad), text, (int)len,
	    out + sizeof(be));
	if (r != 0)
		return r;
	s->out++;
	return (ssize_t)(len + CALLSEAL_FRAME_MORE);
}

ssize_t
callseal_frame_open(struct callseal *s, const uint8_t head[CALL_HEAD_LEN],
    const uint8_t *frame, size_t len, uint8_t *out, size_t size)
{
	uint8_t aad[AAD_MAX];
	uint64_t number;
	size_t n;
	int r;

	if (len < CALLSEAL_FRAME_MORE ||
	    len > CALL_BODY_MAX + CALLSEAL_FRAME_MORE)
		return -EBADMSG;
	n = len - CALLSEAL_FRAME_MORE;
	if (size < n)
		return -ENOSPC;
	memcpy(&number, frame, sizeof(number));
	number = be64toh(number);
	if (number < s->in)
		return -EALREADY;
	if (number == UINT64_MAX)
		return -EBADMSG;
	frame_aad(head, frame, aad);
	r = decrypt(s->in_key, number, aad, sizeof(aad), frame + sizeof(number),
	    (int)n, out);
	if (r != 0)
		return r;
	s->in = number + 1;
	return (ssize_t)n;
}

void
callseal_clear(struct callseal *s)
{
	explicit_bzero(s, sizeof(*s));
}
