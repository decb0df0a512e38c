/* SPDX-License-Identifier: ISC */
/*
 * test_receipt.c - seal and receipt prove who sent what to whom and that it
 * arrived: not a byte of them can be another, by hand or by mistake, and the
 * JSON form is the same receipt.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "common/receipt.h"

static EVP_PKEY *keys[2];
static uint8_t pub[2][32];

static int
setup(void **state)
{
	uint8_t raw[32];
	size_t len = 32;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		memset(raw, i + 1, sizeof(raw));
		keys[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		    raw, sizeof(raw));
		if (keys[i] == NULL ||
		    EVP_PKEY_get_raw_public_key(keys[i], pub[i], &len) != 1)
			return -1;
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
	return 0;
}

static void
sign(int key, const uint8_t *data, ssize_t n, uint8_t sig[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;

	assert_true(n > 0);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, keys[key]),
	    1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, data, (size_t)n), 1);
	EVP_MD_CTX_free(ctx);
}

static struct sft_offer
an_offer(void)
{
	struct sft_offer o = { .size = 1000,
		.mtime_ns = UINT64_C(1795270217123456789),
		.mode = 0640,
		.chunk_log2 = 23,
		.replace = true,
		.name_len = 12 };

	memcpy(o.name, "a/\"b\\\xc3\xbc .txt", 12);
	return o;
}

static struct receipt_signer
a_signer(int i)
{
	struct receipt_signer s = { .seq = (uint64_t)i + 10,
		.time_s = 1795270300 + (uint64_t)i };

	snprintf(s.name, sizeof(s.name), "%s", i == 0 ? "tokyo" : "berlin");
	memset(s.head, 0x30 + i, sizeof(s.head));
	memcpy(s.key, pub[i], sizeof(s.key));
	return s;
}

static void
sign_all(struct receipt *r)
{
	uint8_t out[RECEIPT_MAX];

	sign(0, out, receipt_seal_signed(&r->seal, out, sizeof(out)),
	    r->seal.sender.sig);
	sign(1, out, receipt_signed(r, out, sizeof(out)), r->receiver.sig);
}

static struct receipt
a_receipt(void)
{
	struct receipt r = { .seal = { .size = 1000 } };
	struct sft_offer o = an_offer();

	memset(r.seal.id, 0x11, sizeof(r.seal.id));
	memset(r.seal.root, 0x22, sizeof(r.seal.root));
	r.seal.sender = a_signer(0);
	r.receiver = a_signer(1);
	memcpy(r.seal.receiver, r.receiver.name, sizeof(r.seal.receiver));
	sft_offer_digest(&o, "tokyo", "berlin", r.seal.offer);
	sign_all(&r);
	return r;
}

static void
test_bytes(void **state)
{
	struct receipt r = a_receipt(), back;
	uint8_t out[RECEIPT_MAX], seal[RECEIPT_SEAL_MAX];
	struct receipt_seal s;
	ssize_t n, k;

	(void)state;
	k = receipt_seal_format(&r.seal, seal, sizeof(seal));
	assert_int_equal(k, 247 + 5 + 6);
	assert_memory_equal(seal, "claw/seal/v1", 13);
	assert_memory_equal(seal + 13, r.seal.id, 16);
	assert_memory_equal(seal + 29, r.seal.offer, 32);
	assert_memory_equal(seal + 61, r.seal.root, 32);
	assert_memory_equal(seal + 93, "\0\0\0\0\0\0\3\xe8", 8);
	assert_memory_equal(seal + 101, "\5tokyo\6berlin", 13);
	assert_memory_equal(seal + 114, "\0\0\0\0\0\0\0\x0a", 8);
	assert_memory_equal(seal + 122, r.seal.sender.head, 32);
	assert_memory_equal(seal + 154, "\0\0\0\0\x6b\1\xa6\x9c", 8);
	assert_memory_equal(seal + 162, pub[0], 32);
	assert_memory_equal(seal + 194, r.seal.sender.sig, 64);
	assert_int_equal(receipt_seal_parse(seal, (size_t)k, &s), 0);
	assert_memory_equal(&s, &r.seal, sizeof(s));
	assert_int_equal(receipt_seal_verify(&s, pub[0]), 0);

	n = receipt_format(&r, out, sizeof(out));
	assert_int_equal(n, 162 + k);
	assert_memory_equal(out, "claw/receipt/v1\0\1\2", 18);
	assert_memory_equal(out + 18, seal, (size_t)k);
	assert_memory_equal(out + 18 + k, "\0\0\0\0\0\0\0\x0b", 8);
	assert_memory_equal(out + n - 64, r.receiver.sig, 64);
	assert_memory_equal(out + n - 96, pub[1], 32);
	assert_int_equal(receipt_parse(out, (size_t)n, &back), 0);
	assert_memory_equal(&back, &r, sizeof(r));
	assert_int_equal(receipt_verify(&back, pub[0], pub[1]), 0);

	assert_int_equal(receipt_seal_signed(&r.seal, seal, (size_t)k - 65),
	    -ENOSPC);
	assert_int_equal(receipt_seal_format(&r.seal, seal, (size_t)k - 1),
	    -ENOSPC);
	assert_int_equal(receipt_signed(&r, out, (size_t)n - 65), -ENOSPC);
	assert_int_equal(receipt_format(&r, out, (size_t)n - 1), -ENOSPC);
	assert_int_equal(receipt_format(&r, out, (size_t)n), n);

	/* The longest there is. */
	memset(r.seal.sender.name, 'a', NODENAME_MAX);
	memset(r.seal.receiver, 'b', NODENAME_MAX);
	memset(r.receiver.name, 'b', NODENAME_MAX);
	n = receipt_format(&r, out, sizeof(out));
	assert_int_equal(n, RECEIPT_MAX);
	assert_true(n <= SFT_RECEIPT_MAX && RECEIPT_SEAL_MAX <= SFT_SEAL_MAX);
	assert_int_equal(receipt_parse(out, (size_t)n, &back), 0);
	assert_memory_equal(&back, &r, sizeof(r));
}

static void
test_keys(void **state)
{
	struct receipt r = a_receipt();
	struct receipt_seal s;
	uint8_t out[RECEIPT_MAX];

	(void)state;
	assert_int_equal(receipt_seal_verify(&r.seal, pub[1]), -EKEYREJECTED);
	assert_int_equal(receipt_verify(&r, pub[1], pub[0]), -EKEYREJECTED);
	assert_int_equal(receipt_verify(&r, pub[0], pub[0]), -EKEYREJECTED);
	assert_int_equal(receipt_verify(&r, pub[1], pub[1]), -EKEYREJECTED);
	/* Signed well, by somebody whose key it says, and not the node's. */
	s = r.seal;
	memcpy(s.sender.key, pub[1], 32);
	sign(1, out, receipt_seal_signed(&s, out, sizeof(out)), s.sender.sig);
	assert_int_equal(receipt_seal_verify(&s, pub[1]), 0);
	assert_int_equal(receipt_seal_verify(&s, pub[0]), -EKEYREJECTED);
	/* Signed by the node, and it says another key. */
	s = r.seal;
	memcpy(s.sender.key, pub[1], 32);
	sign(0, out, receipt_seal_signed(&s, out, sizeof(out)), s.sender.sig);
	assert_int_equal(receipt_seal_verify(&s, pub[0]), -EKEYREJECTED);
	/* It says the right key, and is signed by another. */
	s = r.seal;
	sign(1, out, receipt_seal_signed(&s, out, sizeof(out)), s.sender.sig);
	assert_int_equal(receipt_seal_verify(&s, pub[0]), -EKEYREJECTED);
	/* What cannot be written is not verified. */
	s = r.seal;
	s.sender.name[0] = 'T';
	assert_int_equal(receipt_seal_verify(&s, pub[0]), -EKEYREJECTED);
}

/* Every byte changed, every length: refused, or not what was signed. */
static void
test_changed(void **state)
{
	struct receipt r = a_receipt(), back;
	uint8_t out[RECEIPT_MAX + 1], again[RECEIPT_MAX];
	size_t i, n = (size_t)receipt_format(&r, out, sizeof(out));
	int bit;

	(void)state;
	for (i = 0; i < n; i++)
		for (bit = 0; bit < 8; bit++) {
			out[i] ^= (uint8_t)(1 << bit);
			if (receipt_parse(out, n, &back) == 0) {
				assert_int_equal(
				    receipt_format(&back, again, sizeof(again)),
				    n);
				assert_memory_equal(again, out, n);
				assert_int_equal(
				    receipt_verify(&back, pub[0], pub[1]),
				    -EKEYREJECTED);
			}
			out[i] ^= (uint8_t)(1 << bit);
		}
	for (i = 0; i < n; i++)
		assert_int_equal(receipt_parse(out, i, &back), -EBADMSG);
	out[n] = 0;
	assert_int_equal(receipt_parse(out, n + 1, &back), -EBADMSG);
	/* A seal inside that is longer than a seal. */
	out[17]++;
	assert_int_equal(receipt_parse(out, n + 1, &back), -EBADMSG);
	n = (size_t)receipt_seal_format(&r.seal, out, sizeof(out));
	for (i = 0; i < n; i++)
		assert_int_equal(receipt_seal_parse(out, i, &back.seal),
		    -EBADMSG);
	assert_int_equal(receipt_seal_parse(out, n + 1, &back.seal), -EBADMSG);
	out[101] = 64;
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), -EBADMSG);
	n = (size_t)receipt_seal_format(&r.seal, out, sizeof(out));
	out[102] = '\0';
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), -EBADMSG);
	out[102] = 't';
	/* A shorter name in a longer field. */
	out[104] = '\0';
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), -EBADMSG);
	out[104] = 'k';
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), 0);
	out[93] = 0x80; /* size */
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), -EBADMSG);
	out[93] = 0;
	out[114] = 0x80; /* update */
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), -EBADMSG);
	out[114] = 0;
	out[154] = 0x80; /* time */
	assert_int_equal(receipt_seal_parse(out, n, &back.seal), -EBADMSG);
}

static void
test_not_written(void **state)
{
	uint8_t out[RECEIPT_MAX];
	struct receipt r;

	(void)state;
#define REFUSED(change)                                                        \
	do {                                                                   \
		r = a_receipt();                                               \
		change;                                                        \
		assert_int_equal(receipt_signed(&r, out, sizeof(out)),         \
		    -EINVAL);                                                  \
		assert_int_equal(receipt_format(&r, out, sizeof(out)),         \
		    -EINVAL);                                                  \
	} while (0)
	REFUSED(r.seal.size = UINT64_MAX);
	REFUSED(r.seal.sender.seq = UINT64_MAX);
	REFUSED(r.seal.sender.time_s = UINT64_MAX);
	REFUSED(r.seal.sender.name[0] = '\0');
	REFUSED(memset(r.seal.sender.name, 'a', NODENAME_MAX + 1));
	REFUSED(r.seal.receiver[0] = 'x');
	REFUSED(r.receiver.name[0] = 'x');
	REFUSED(r.receiver.seq = UINT64_MAX);
	REFUSED(r.receiver.time_s = UINT64_MAX);
	/* Nobody sends to himself. */
	REFUSED(memcpy(r.seal.sender.name, "berlin", 7));
	r = a_receipt();
	r.seal.receiver[0] = '.';
	assert_int_equal(receipt_seal_signed(&r.seal, out, sizeof(out)),
	    -EINVAL);
	assert_int_equal(receipt_seal_format(&r.seal, out, sizeof(out)),
	    -EINVAL);
	/* A receiver that is none, by the same name twice. */
	REFUSED((r.seal.receiver[0] = '.', r.receiver.name[0] = '.'));
}

static void
test_differs(void **state)
{
	struct receipt r = a_receipt();
	const struct receipt_seal *s = &r.seal;
	uint8_t z[32] = { 0 };

	(void)state;
#define DIFFERS(id, offer, root, size, from, to)                               \
	receipt_seal_differs(s, id, offer, root, size, from, to)
	assert_null(DIFFERS(s->id, s->offer, s->root, 1000, "tokyo", "berlin"));
	assert_string_equal(
	    DIFFERS(z, s->offer, s->root, 1000, "tokyo", "berlin"), "transfer");
	assert_string_equal(DIFFERS(s->id, z, s->root, 1000, "tokyo", "berlin"),
	    "offer");
	assert_string_equal(
	    DIFFERS(s->id, s->offer, z, 1000, "tokyo", "berlin"), "root");
	assert_string_equal(
	    DIFFERS(s->id, s->offer, s->root, 1001, "tokyo", "berlin"), "size");
	assert_string_equal(
	    DIFFERS(s->id, s->offer, s->root, 1000, "tokyo2", "berlin"),
	    "sender");
	assert_string_equal(
	    DIFFERS(s->id, s->offer, s->root, 1000, "tokyo", "tokyo"),
	    "receiver");
}

/* --- JSON --------------------------------------------------------------- */

static struct receipt_file
a_file(bool offer)
{
	struct receipt_file f;

	memset(&f, 0, sizeof(f));
	f.receipt = a_receipt();
	f.has_offer = offer;
	if (offer)
		f.offer = an_offer();
	return f;
}

static void
test_json(void **state)
{
	struct receipt_file back, f;
	char text[RECEIPT_JSON_MAX];
	const char *why;
	ssize_t n;
	int offer;

	(void)state;
	for (offer = 0; offer < 2; offer++) {
		f = a_file(offer != 0);
		n = receipt_json_write(&f, text, sizeof(text));
		assert_true(n > 0 && (size_t)n == strlen(text));
		assert_int_equal(text[n - 1], '\n');
		assert_int_equal(
		    receipt_json_read(text, (size_t)n, &back, &why), 0);
		assert_null(why);
		assert_memory_equal(&back, &f, sizeof(f));
		assert_int_equal(receipt_verify(&back.receipt, pub[0], pub[1]),
		    0);
		assert_int_equal(receipt_json_write(&f, text, (size_t)n),
		    -ENOSPC);
		assert_int_equal(receipt_json_write(&f, text, 10), -ENOSPC);
		assert_int_equal(receipt_json_write(&f, text, (size_t)n + 1),
		    n);
	}
	/* This is what other programs read. */
	assert_non_null(strstr(text,
	    "  \"type\": \"claw-receipt\",\n"
	    "  \"version\": 1,\n"
	    "  \"transfer\": \"11111111111111"));
	assert_non_null(strstr(text, "\"mtime_ns\": \"1795270217123456789\""));
	assert_non_null(strstr(text, "\"mode\": \"0640\""));
	assert_non_null(strstr(text, "\"node\": \"tokyo\""));
	assert_non_null(strstr(text, "\"head\": \"sha256:3131"));
	assert_non_null(strstr(text, "\"name\": \"a/\\\"b\\\\\xc3\xbc .txt\""));
}

/* The largest there is has room. */
static void
test_json_max(void **state)
{
	struct receipt_file back, f = a_file(true);
	char text[RECEIPT_JSON_MAX];
	const char *why;
	ssize_t n;
	size_t i;

	(void)state;
	f.receipt.seal.size = f.offer.size = UINT64_C(1) << 44;
	f.offer.mtime_ns = INT64_MAX;
	f.offer.name_len = SFT_NAME_MAX;
	memset(f.offer.name, '"', SFT_NAME_MAX);
	for (i = 200; i < SFT_NAME_MAX; i += 201)
		f.offer.name[i] = '/';
	memset(f.receipt.seal.sender.name, 'a', NODENAME_MAX);
	memset(f.receipt.seal.receiver, 'b', NODENAME_MAX);
	memset(f.receipt.receiver.name, 'b', NODENAME_MAX);
	f.receipt.receiver.seq = f.receipt.receiver.time_s = INT64_MAX;
	f.receipt.seal.sender.seq = f.receipt.seal.sender.time_s = INT64_MAX;
	sft_offer_digest(&f.offer, f.receipt.seal.sender.name,
	    f.receipt.seal.receiver, f.receipt.seal.offer);
	sign_all(&f.receipt);
	n = receipt_json_write(&f, text, sizeof(text));
	assert_true(n > 3000);
	assert_int_equal(receipt_json_read(text, (size_t)n, &back, &why), 0);
	assert_memory_equal(&back, &f, sizeof(f));
	/* Blanks behind it make it too long at some point. */
	memset(text + n, ' ', sizeof(text) - (size_t)n);
	assert_int_equal(receipt_json_read(text, sizeof(text) - 1, &back, &why),
	    0);
	assert_int_equal(receipt_json_read(text, sizeof(text), &back, &why),
	    -EBADMSG);
	assert_non_null(strstr(why, "too long"));
}

static void
test_json_not_written(void **state)
{
	struct receipt_file f;
	char text[RECEIPT_JSON_MAX];

	(void)state;
#undef REFUSED
#define REFUSED(change)                                                        \
	do {                                                                   \
		f = a_file(true);                                              \
		change;                                                        \
		assert_int_equal(receipt_json_write(&f, text, sizeof(text)),   \
		    -EINVAL);                                                  \
	} while (0)
	REFUSED(f.receipt.seal.size = UINT64_MAX);
	REFUSED(f.receipt.receiver.name[0] = 'x');
	REFUSED(f.offer.name[0] = 'x');
	REFUSED(f.offer.mtime_ns++);
	REFUSED(f.offer.size++);
	REFUSED(f.receipt.seal.size++);
	REFUSED(f.offer.mode ^= 1);
	REFUSED(f.offer.chunk_log2--);
	REFUSED(f.offer.replace = false);
	/* Names that would be shown raw, even if they were sealed. */
#define RESEALED(change)                                                       \
	REFUSED((change,                                                       \
	    sft_offer_digest(&f.offer, "tokyo", "berlin",                      \
		f.receipt.seal.offer)))
	RESEALED(f.offer.name[0] = '\n');
	RESEALED(f.offer.name[0] = '/');
	RESEALED(f.offer.name[0] = 0xff);
	RESEALED(f.offer.chunk_log2 = 26);
	RESEALED(f.offer.mtime_ns = UINT64_MAX);
	f = a_file(true);
	f.offer.epoch = 9; /* no part of it */
	assert_true(receipt_json_write(&f, text, sizeof(text)) > 0);
}

/* The text with the first `from` replaced: refused, and why has `part`. */
static void
replaced(const char *from, const char *to, const char *part)
{
	struct receipt_file back, f = a_file(true), none;
	char text[RECEIPT_JSON_MAX], bad[RECEIPT_JSON_MAX], *at;
	const char *why;
	int n;

	assert_true(receipt_json_write(&f, text, sizeof(text)) > 0);
	at = strstr(text, from);
	if (at == NULL)
		fail_msg("%s is not in %s", from, text);
	n = snprintf(bad, sizeof(bad), "%.*s%s%s", (int)(at - text), text, to,
	    at + strlen(from));
	assert_true(n > 0 && (size_t)n < sizeof(bad));
	if (receipt_json_read(bad, (size_t)n, &back, &why) != -EBADMSG)
		fail_msg("%s -> %s is taken", from, to);
	if (strstr(why, part) == NULL)
		fail_msg("%s -> %s: %s", from, to, why);
	memset(&none, 0, sizeof(none));
	assert_memory_equal(&back, &none, sizeof(none));
}

static void
test_json_bad(void **state)
{
	char name[SFT_NAME_MAX + 32] = "\"name\": \"";

	(void)state;
	/* With what is there already, one byte too long. */
	memset(name + 9, 'a', SFT_NAME_MAX - 12);
	replaced("\"name\": \"", name, "was changed");
	memset(name + 9, 'a', SFT_NAME_MAX - 11);
	replaced("\"name\": \"", name, "of the offer,");
	replaced("{", "", "not JSON");
	replaced("{", "[", "not JSON");
	replaced("\"type\"", "\"typ\"", "no receipt");
	replaced("claw-receipt", "claw-receipts", "no receipt");
	replaced("\"version\": 1", "\"version\": 2", "another version");
	replaced("\"version\": 1", "\"version\": \"1\"", "no receipt");
	replaced("\"version\": 1", "\"version\": 1, \"x\": 1", "exactly");
	replaced("\"version\": 1", "\"version\": 1, \"version\": 1",
	    "not JSON");
	replaced("\"transfer\": \"11", "\"transfer\": \"1", "transfer");
	replaced("\"transfer\": \"11", "\"transfer\": \"111", "transfer");
	replaced("\"transfer\": \"11", "\"transfer\": \"1g", "transfer");
	replaced("\"transfer\": \"11", "\"transfer\": \"g1", "transfer");
	replaced("\"transfer\": \"11", "\"transfer\": \"1A", "transfer");
	replaced("\"blake3\": \"22", "\"blake3\": \"2", "hash");
	replaced("\"size\": 1000", "\"size\": -1", "size");
	replaced("\"size\": 1000", "\"size\": 1000.5", "exactly");
	replaced("\"size\": 1000", "\"size\": 1001", "was changed");
	replaced("\"size\": 1000", "\"size\": 1000, \"y\": null", "exactly");
	replaced("\"sha256\": \"", "\"sha256\": \"0", "offer");
	replaced("\"sha256\": \"", "\"sha1\": \"", "offer");
	replaced("\"name\": \"a", "\"name\": \"b", "was changed");
	replaced("\"name\": \"a", "\"name\": \"/", "was changed");
	replaced("\"1795270217", "\"01795270217", "of the offer,");
	replaced("\"1795270217123456789\"", "\"0123\"", "of the offer,");
	replaced("\"1795270217123456789\"", "\"\"", "of the offer,");
	replaced("\"1795270217123456789\"", "\"17952702171234567890\"",
	    "of the offer,");
	replaced("\"1795270217123456789\"", "\"9995270217123456789\"",
	    "of the offer,");
	replaced("\"1795270217123456789\"", "\"-1\"", "of the offer,");
	replaced("\"1795270217123456789\"", "\"0\"", "was changed");
	replaced("\"1795270217123456789\"", "1795270217123456789", "exactly");
	replaced("\"0640\"", "\"640\"", "of the offer,");
	replaced("\"0640\"", "\"1640\"", "of the offer,");
	replaced("\"0640\"", "\"0840\"", "of the offer,");
	replaced("\"0640\"", "\"0 40\"", "of the offer,");
	replaced("\"0640\"", "\"06400\"", "of the offer,");
	replaced("\"0640\"", "\"0641\"", "was changed");
	replaced("\"chunk_log2\": 23", "\"chunk_log2\": 26", "of the offer,");
	replaced("\"chunk_log2\": 23", "\"chunk_log2\": -1", "of the offer,");
	replaced("\"chunk_log2\": 23", "\"chunk_log2\": 1", "was changed");
	replaced("\"chunk_log2\": 23", "\"chunk_log2\": 279", "of the offer,");
	replaced("\"replace\": true", "\"replace\": false", "was changed");
	replaced("\"replace\": true", "\"replace\": 1", "exactly");
	replaced("\"replace\": true", "\"replace\": true, \"z\": 1", "exactly");
	replaced("\"node\": \"tokyo\"", "\"node\": \"Tokyo\"", "none can");
	replaced("\"node\": \"tokyo\"", "\"node\": \"berlin\"", "none can");
	replaced("\"node\": \"tokyo\"",
	    "\"node\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaa\"",
	    "of who signed");
	replaced("\"node\": \"tokyo\"", "\"node\": \"tokyo\", \"w\": 1",
	    "who signed");
	replaced("\"node\": \"berlin\"", "\"knot\": \"berlin\"", "who signed");
	replaced("ed25519:", "ed448:", "of who signed");
	replaced("ed25519:", "ed25519:A", "of who signed");
	replaced("\"seq\": 10", "\"seq\": -10", "of who signed");
	replaced("sha256:30", "sha512:30", "of who signed");
	replaced("sha256:30", "sha256:3", "of who signed");
	replaced("\"time\": 1795270300", "\"time\": -1", "of who signed");
	replaced("\"sig\": \"", "\"sig\": \"AAAA", "of who signed");
	replaced("\"sig\": \"", "\"sig\": \"*", "of who signed");
}

/* Without the offer: its digest alone. */
static void
test_json_digest(void **state)
{
	struct receipt_file back, f = a_file(false);
	char text[RECEIPT_JSON_MAX], *at;
	const char *why;
	ssize_t n;

	(void)state;
	n = receipt_json_write(&f, text, sizeof(text));
	assert_null(strstr(text, "mtime"));
	at = strstr(text, "\"sha256\": \"") + 11;
	at[0] = 'x';
	assert_int_equal(receipt_json_read(text, (size_t)n, &back, &why),
	    -EBADMSG);
	at[0] = '0';
	at[1] = '0';
	/* Well formed, and not what was signed. */
	assert_int_equal(receipt_json_read(text, (size_t)n, &back, &why), 0);
	assert_int_equal(receipt_verify(&back.receipt, pub[0], pub[1]),
	    -EKEYREJECTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_not_written),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_max),
		cmocka_unit_test(test_json_not_written),
		cmocka_unit_test(test_json_bad),
		cmocka_unit_test(test_json_digest),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
