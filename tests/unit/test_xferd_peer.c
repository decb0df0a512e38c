/* SPDX-License-Identifier: ISC */
/*
 * test_xferd_peer.c - an xferd under a peer that has proved who it is and then
 * does not keep to the protocol: refused with a reason, and nothing committed.
 *
 * The xferd runs in its sandbox; the rest of its house is xferkit.c. The peer
 * is a puppet: attested TLS of this program, over which a test sends the bytes
 * that it wants.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/atls.h"
#include "common/b3tree.h"
#include "common/receipt.h"
#include "common/sftblock.h"
#include "common/sftjournal.h"
#include "common/welcome.h"
#include "tests/lib/xferkit.h"

#define MIB (UINT64_C(1) << 20)

/* One connection of the puppet's. */
struct wire {
	struct atls *tls;
	bool secured, closed;
	struct welcome mine;
	uint8_t got[100000];
	size_t len, at; /* read so far */
};

static struct xend a, b; /* a sends, b receives; one of them is the puppet */
static struct xend *puppet, *real;
static struct xfile f;
static struct wire control, data;
static struct atls_ctx *ctx;
static EVP_PKEY *key;
static uint8_t id[SFT_ID_LEN];
static struct sft_offer offer;

/* --- the puppet's end of TLS -------------------------------------------- */

static void
want_leaf(struct atls *t, const uint8_t nonce[ATLS_NONCE_LEN],
    const uint8_t *spki, size_t len, void *arg)
{
	uint8_t der[EVIDENCE_CERT_MAX];
	size_t n;

	(void)arg;
	assert_int_equal(len, EVIDENCE_SPKI_LEN);
	n = linkkit_leaf(&puppet->who, puppet->role, EVIDENCE_SFT, spki, nonce,
	    puppet->who.nonce, der, sizeof(der));
	assert_int_equal(atls_leaf(t, der, n), 0);
}

static void
want_verdict(struct atls *t, const uint8_t *leaf, size_t len, void *arg)
{
	(void)leaf;
	(void)len;
	(void)arg;
	assert_int_equal(atls_verdict(t, ATLS_ACCEPT), 0);
}

static void
secured(struct atls *t, void *arg)
{
	struct wire *w = arg;

	w->mine.role = puppet->role;
	linkkit_head(0, w->mine.head);
	assert_int_equal(atls_leaf_hash(t, ATLS_OWN, w->mine.own_leaf), 0);
	assert_int_equal(atls_leaf_hash(t, ATLS_PEER, w->mine.peer_leaf), 0);
	assert_int_equal(atls_exporter(t, w->mine.exporter), 0);
	w->secured = true;
}

static void
readable(struct atls *t, void *arg)
{
	struct wire *w = arg;
	ssize_t n;

	while ((n = atls_read(t, w->got + w->len, sizeof(w->got) - w->len)) > 0)
		w->len += (size_t)n;
}

static void
writable(struct atls *t, void *arg)
{
	(void)t;
	(void)arg;
}

static void
closed(struct atls *t, void *arg)
{
	struct wire *w = arg;

	(void)t;
	w->closed = true;
}

static void
failed(struct atls *t, const char *why, void *arg)
{
	struct wire *w = arg;

	(void)why;
	w->closed = true;
	atls_free(t);
	w->tls = NULL;
}

static const struct atls_ops ops = { want_leaf, want_verdict, secured, readable,
	writable, closed, failed };

static void
say(struct wire *w, const void *p, ssize_t n)
{
	assert_true(n > 0);
	if (w->tls != NULL)
		(void)atls_write(w->tls, p, (size_t)n);
}

static void
attach(struct wire *w, int fd)
{
	const char *alpns[] = { "claw-sft/1", NULL };
	uint8_t out[WELCOME_FRAME_MAX];

	memset(w, 0, sizeof(*w));
	EVP_PKEY_up_ref(key);
	w->tls = atls_new(ctx, linkkit_base(), fd,
	    puppet->role == EVIDENCE_CLIENT ? ATLS_CLIENT : ATLS_SERVER, alpns,
	    puppet->who.nonce, key, &ops, w);
	assert_non_null(w->tls);
	assert_true(linkkit_until_set(&w->secured));
	say(w, out, welcome_format(&w->mine, out, sizeof(out)));
}

/* --- what it hears ------------------------------------------------------ */

struct wanted {
	struct wire *w;
	uint8_t type;
	uint32_t len;
};

static bool
has_frame(void *arg)
{
	struct wanted *want = arg;
	struct wire *w = want->w;
	uint8_t type;
	uint32_t len;

	while (w->len - w->at >= FRAME_HEAD_LEN) {
		frame_head_get(w->got + w->at, &type, &len);
		if (w->len - w->at < FRAME_HEAD_LEN + len)
			return false;
		/* WELCOME comes before all, and has the number of OFFER. */
		if (type == want->type && w->at > 0) {
			want->len = len;
			return true;
		}
		w->at += FRAME_HEAD_LEN + len;
	}
	return w->closed && real->ended;
}

/* The body of the next frame of that type; all before it is passed over. */
static const uint8_t *
hears(uint8_t type, size_t *len)
{
	struct wanted want = { &control, type, UINT32_MAX };
	const uint8_t *body;

	assert_true(linkkit_until(has_frame, &want));
	if (want.len == UINT32_MAX)
		fail_msg("no %s: %s", sft_type_name(type), real->failed.text);
	body = control.got + control.at + FRAME_HEAD_LEN;
	*len = want.len;
	control.at += FRAME_HEAD_LEN + want.len;
	return body;
}

static void
ends_saying(enum sft_code code, const char *what)
{
	struct sft_reason r;
	const uint8_t *body;
	size_t len;

	body = hears(SFT_ABORT, &len);
	assert_int_equal(sft_reason_parse(body, len, &r), 0);
	assert_int_equal(r.code, code);
	assert_true(linkkit_until_set(&real->has_failed));
	assert_true(linkkit_until_set(&real->ended));
	assert_int_equal(real->status, 0);
	assert_string_equal(real->fault, "");
	assert_true(real->has_failed);
	assert_int_equal(real->failed.code, code);
	if (strstr(real->failed.text, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, real->failed.text);
	assert_false(real->complete || real->receipt || real->sealed);
}

static void
end(void)
{
	atls_free(control.tls);
	atls_free(data.tls);
	control.tls = data.tls = NULL;
	xferkit_end(&a, &b);
	xferkit_remove(&f);
}

/* --- beginnings --------------------------------------------------------- */

static void
begin(bool sends, uint64_t size)
{
	char why[128];
	int pair[2];

	if (ctx == NULL)
		ctx = atls_ctx_new(why, sizeof(why));
	if (key == NULL)
		key = atls_key_new();
	xferkit_file(&f, "/tmp", size, 20, 0);
	puppet = sends ? &a : &b;
	real = sends ? &b : &a;
	memset(puppet, 0, sizeof(*puppet));
	puppet->role = sends ? EVIDENCE_CLIENT : EVIDENCE_SERVER;
	assert_true(xferkit_start_one(real, sends ? "beta" : "alpha", puppet,
	    &f, !sends));
	real->keep_streams = true;
	linkkit_identity(&puppet->who, sends ? "alpha" : "beta", &real->who);
	puppet->other = real;
	memset(puppet->who.nonce, 'p', sizeof(puppet->who.nonce));
	xferkit_pair(false, pair);
	xferkit_serve(real, pair[0]);
	attach(&control, pair[1]);
}

static void
offers(void)
{
	uint8_t out[SFT_SMALL_MAX];

	memset(&offer, 0, sizeof(offer));
	offer.size = f.size;
	offer.mode = 0600;
	offer.chunk_log2 = f.log2;
	offer.streams = 2;
	offer.packed = true;
	offer.name_len = 1;
	offer.name[0] = 'x';
	say(&control, out, sft_offer_format(&offer, out, sizeof(out)));
}

static void
accepted(void)
{
	struct sft_accept accept;
	const uint8_t *body;
	size_t len;

	body = hears(SFT_ACCEPT, &len);
	assert_int_equal(sft_accept_parse(body, len, &accept), 0);
	memcpy(id, accept.id, sizeof(id));
	(void)hears(SFT_HAVE, &len);
}

/* A sender, whose first stream is up; its JOIN has what is wrong in it. */
enum join { GOOD, WRONG_MAC, WRONG_ID, WRONG_INDEX, WRONG_SESSION };

static void
joins(enum join how)
{
	struct sft_join join = { 0 };
	uint8_t out[SFT_JOIN_LEN], session[32];
	int pair[2];

	xferkit_pair(false, pair);
	xferkit_stream(real, 0, pair[0]);
	attach(&data, pair[1]);
	memcpy(session, control.mine.exporter, sizeof(session));
	if (how == WRONG_SESSION)
		session[0] ^= 1;
	memcpy(join.id, id, sizeof(id));
	join.index = how == WRONG_INDEX;
	if (how == WRONG_ID)
		join.id[3] ^= 1;
	assert_int_equal(sft_join_mac(session, data.mine.exporter, join.id,
			     join.index, join.mac),
	    0);
	if (how == WRONG_MAC)
		join.mac[31] ^= 1;
	assert_int_equal(sft_join_format(&join, out), 0);
	say(&data, out, sizeof(out));
}

static void
begin_stream(uint64_t size)
{
	begin(true, size);
	offers();
	accepted();
	joins(GOOD);
}

static void
says_head(bool same, bool packed, uint32_t index, uint32_t len)
{
	const struct sft_chunk c = { same, packed, index, len };
	uint8_t head[SFT_CHUNK_HEAD_LEN];

	sft_chunk_format(&c, head);
	say(&data, head, sizeof(head));
}

/* Chunk `index` of a file of zeroes. */
static void
says_chunk(uint32_t index, uint32_t len, bool right)
{
	static const uint8_t zero[128 * 1024];
	b3tree_value v;
	struct b3tree t;
	uint32_t left, n;

	says_head(false, false, index, len);
	assert_int_equal(b3tree_begin(&t, f.log2, index), 0);
	for (left = len; left > 0; left -= n) {
		n = left < sizeof(zero) ? left : (uint32_t)sizeof(zero);
		(void)b3tree_update(&t, zero, n);
		say(&data, zero, n);
		linkkit_wait(1);
	}
	memset(v, 0, sizeof(v));
	if (f.size <= MIB)
		(void)b3tree_end_file(&t, v);
	else
		(void)b3tree_end(&t, v);
	if (!right)
		v[0] ^= 1;
	say(&data, v, sizeof(v));
}

/* --- as a sender -------------------------------------------------------- */

static void
test_wrong_value(void **state)
{
	const uint8_t *body;
	uint32_t index;
	uint8_t why;
	size_t len;
	int i;

	(void)state;
	begin_stream(3 * MIB);
	for (i = 0; i < 3; i++) {
		says_chunk(1, MIB, false);
		body = hears(SFT_AGAIN, &len);
		assert_int_equal(sft_again_parse(body, len, 3, &index, &why),
		    0);
		assert_int_equal(index, 1);
	}
	says_chunk(1, MIB, false);
	ends_saying(SFT_HASH_MISMATCH, "again and again");
	end();
}

static void
test_wrong_then_right(void **state)
{
	const uint8_t *body;
	struct sft_ranges r;
	uint32_t index;
	size_t len;

	(void)state;
	begin_stream(3 * MIB);
	says_chunk(1, MIB, false);
	(void)hears(SFT_AGAIN, &len);
	says_chunk(1, MIB, true);
	body = hears(SFT_ACK, &len);
	assert_int_equal(sft_ack_parse(body, len, 3, &r), 0);
	assert_true(sft_ack_next(&r, &index));
	assert_int_equal(index, 1);
	end();
}

static void
test_wrong_head(void **state)
{
	static const struct {
		uint32_t index, len;
	} head[] = { { 3, MIB }, { UINT32_MAX, MIB }, { 0, MIB + 1 },
		{ 0, MIB - 1 }, { 0, 0 }, { 0, UINT32_MAX }, { 2, MIB } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		begin_stream(2 * MIB + 5);
		says_head(false, false, head[i].index, head[i].len);
		ends_saying(SFT_PROTOCOL, "does not have");
		end();
	}
}

static void
test_twice(void **state)
{
	size_t len;

	(void)state;
	begin_stream(3 * MIB);
	says_chunk(1, MIB, true);
	(void)hears(SFT_ACK, &len);
	says_chunk(1, MIB, true);
	ends_saying(SFT_PROTOCOL, "there, or on its way");
	end();
}

static void
test_join(void **state)
{
	enum join how;

	(void)state;
	for (how = WRONG_MAC; how <= WRONG_SESSION; how++) {
		begin(true, 3 * MIB);
		offers();
		accepted();
		joins(how);
		ends_saying(SFT_PROTOCOL, "does not join");
		end();
	}
}

static void
test_garbage_stream(void **state)
{
	uint8_t out[SFT_CHUNK_HEAD_LEN];

	(void)state;
	begin_stream(3 * MIB);
	memset(out, 0xee, sizeof(out));
	say(&data, out, sizeof(out));
	ends_saying(SFT_PROTOCOL, "does not have");
	end();
	begin_stream(3 * MIB);
	say(&data, out, sft_empty_format(SFT_END, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "before all is there");
	end();
}

static void
cut_stream(uint32_t came)
{
	const uint8_t *body;
	uint32_t chunks;
	uint8_t index;
	size_t len;

	atls_free(data.tls);
	data.tls = NULL;
	body = hears(SFT_LOST, &len);
	assert_int_equal(sft_lost_parse(body, len, &index, &chunks), 0);
	assert_int_equal(index, 0);
	assert_int_equal(chunks, came);
}

static void
test_same_as_nothing(void **state)
{
	static const b3tree_value v;

	(void)state;
	begin_stream(3 * MIB);
	says_head(true, false, 1, MIB);
	say(&data, v, sizeof(v));
	ends_saying(SFT_PROTOCOL, "that was not offered");
	end();
}

/* A journal and its file as of an earlier transfer, of noise. */
static void
write_basis(void)
{
	struct sftjournal_head h = { .size = f.size,
		.chunk_log2 = f.log2,
		.epoch = 1 };
	struct sftjournal_claim claim = { 0 };
	struct sftjournal *j;
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "%s/basis", f.dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	assert_int_equal(ftruncate(fd, (off_t)f.size), 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/basis.journal", f.dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	snprintf(h.sender, sizeof(h.sender), "alpha");
	snprintf(h.receiver, sizeof(h.receiver), "beta");
	h.id[0] = 1;
	assert_int_equal(sftjournal_create(fd, &h), 0);
	assert_int_equal(sftjournal_open(fd, &j), 0);
	for (; claim.index < sftjournal_chunks(j); claim.index++) {
		memset(claim.value, 'v', sizeof(claim.value));
		assert_int_equal(sftjournal_append(j, &claim, 1), 0);
	}
	sftjournal_close(j);
	close(fd);
}

/* As long as it is told, that is what it may say. */
static void
begin_with_basis(void)
{
	const uint8_t *body, *value;
	uint32_t from = 0, first, n;
	size_t len;

	begin(true, 3 * MIB);
	write_basis();
	offers();
	body = hears(SFT_ACCEPT, &len);
	memcpy(id, body, sizeof(id));
	body = hears(SFT_BASIS, &len);
	assert_int_equal(
	    sft_basis_parse(body, len, 3, &from, &first, &n, &value), 0);
	assert_int_equal(first, 0);
	assert_int_equal(n, 3);
	assert_int_equal(value[40], 'v');
	(void)hears(SFT_HAVE, &len);
	joins(GOOD);
}

static void
test_same(void **state)
{
	uint8_t v[SFT_VALUE_LEN], why;
	const uint8_t *body;
	uint32_t index;
	size_t len;

	(void)state;
	begin_with_basis();
	memset(v, 'w', sizeof(v));
	says_head(true, false, 1, MIB);
	say(&data, v, sizeof(v));
	ends_saying(SFT_PROTOCOL, "by another value than it was told");
	end();
	/* Nothing hashes to that: asked for once, and not a second time. */
	begin_with_basis();
	memset(v, 'v', sizeof(v));
	says_head(true, false, 1, MIB);
	say(&data, v, sizeof(v));
	body = hears(SFT_AGAIN, &len);
	assert_int_equal(sft_again_parse(body, len, 3, &index, &why), 0);
	assert_int_equal(index, 1);
	assert_int_equal(why, SFT_AGAIN_BASIS);
	says_head(true, false, 1, MIB);
	say(&data, v, sizeof(v));
	ends_saying(SFT_PROTOCOL, "that was not offered");
	end();
	/* One that is there. */
	begin_with_basis();
	says_chunk(1, MIB, true);
	(void)hears(SFT_ACK, &len);
	says_head(true, false, 1, MIB);
	say(&data, v, sizeof(v));
	ends_saying(SFT_PROTOCOL, "there, or on its way");
	end();
}

/* --- compressed --------------------------------------------------------- */

static void
says_block(bool stored, uint32_t len, const void *p, size_t n)
{
	const struct sftblock_head h = { stored, len };
	uint8_t out[SFTBLOCK_HEAD_LEN];

	sftblock_head_format(&h, out);
	say(&data, out, sizeof(out));
	if (n > 0)
		say(&data, p, (ssize_t)n);
}

static void
begin_packed(uint64_t size)
{
	begin(true, size);
	b.packed = true;
	offers();
	accepted();
	joins(GOOD);
	says_head(false, true, 0, (uint32_t)size);
}

static void
test_not_agreed(void **state)
{
	(void)state;
	begin_stream(1000);
	says_head(false, true, 0, 1000);
	ends_saying(SFT_PROTOCOL, "not agreed on");
	end();
}

static void
test_block_lengths(void **state)
{
	static const struct {
		bool stored;
		uint32_t len;
	} head[] = { { true, 999 }, { true, 1001 }, { true, 0 }, { false, 0 },
		{ false, 1000 }, { false, 0x7fffffff }, { true, 0x7fffffff } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		begin_packed(1000);
		says_block(head[i].stored, head[i].len, NULL, 0);
		ends_saying(SFT_PROTOCOL, "a wrong length");
		end();
	}
}

/* A frame of so many zeroes where there have to be 1000. */
static void
test_blocks_that_are_none(void **state)
{
	static const size_t become[] = { 999, 1001, 100000, 64 << 20, 0 };
	static uint8_t out[65536];
	uint8_t *zero = calloc(1, 64 << 20);
	struct sftblock_packer *p = sftblock_packer_new();
	size_t i, len;

	(void)state;
	assert_true(zero != NULL && p != NULL);
	for (i = 0; i < sizeof(become) / sizeof(become[0]); i++) {
		memset(out, 0xee, sizeof(out));
		len = become[i] == 0 ?
		    100 :
		    sftblock_pack(p, zero, become[i], out, sizeof(out));
		assert_true(len > 0 && len < sizeof(out));
		begin_packed(1000);
		/* As much of it as there may be. */
		if (len >= 1000)
			len = 999;
		says_block(false, (uint32_t)len, out, len);
		ends_saying(SFT_PROTOCOL, "does not decompress");
		end();
	}
	sftblock_packer_free(p);
	free(zero);
}

/* One that is a block, and a chunk all the same whose value is another. */
static void
test_block_of_something_else(void **state)
{
	struct sftblock_packer *p = sftblock_packer_new();
	static uint8_t x[1000], out[1000];
	const uint8_t *body;
	b3tree_value v;
	struct b3tree t;
	uint32_t index;
	uint8_t why;
	size_t len, n;
	int i;

	(void)state;
	assert_non_null(p);
	memset(x, 'x', sizeof(x));
	n = sftblock_pack(p, x, sizeof(x), out, 900);
	assert_true(n > 0);
	(void)b3tree_begin(&t, 20, 0);
	(void)b3tree_update(&t, x, sizeof(x));
	assert_int_equal(b3tree_end_file(&t, v), 0);
	begin_packed(1000);
	for (i = 0; i < 2; i++) {
		says_block(false, (uint32_t)n, out, n);
		v[0] ^= 1;
		say(&data, v, sizeof(v));
		if (i == 1)
			break;
		body = hears(SFT_AGAIN, &len);
		assert_int_equal(sft_again_parse(body, len, 1, &index, &why),
		    0);
		assert_int_equal(why, SFT_AGAIN_HASH);
		says_head(false, true, 0, 1000);
	}
	(void)hears(SFT_ACK, &len);
	end();
	sftblock_packer_free(p);
}

static void
test_cut_block(void **state)
{
	(void)state;
	begin_packed(1000);
	says_block(false, 500, "half", 4);
	linkkit_wait(100);
	cut_stream(0);
	end();
}

/* What had come whole is counted, damaged or not; another stream may follow. */
static void
test_cut_stream(void **state)
{
	size_t len;

	(void)state;
	begin_stream(3 * MIB);
	linkkit_wait(200);
	cut_stream(0);
	assert_true(linkkit_until_set(&b.routes_again));
	joins(GOOD);
	says_chunk(1, MIB, true);
	(void)hears(SFT_ACK, &len);
	says_chunk(0, MIB, false);
	(void)hears(SFT_AGAIN, &len);
	says_head(false, false, 2, MIB);
	linkkit_wait(200);
	cut_stream(2);
	joins(GOOD);
	says_chunk(2, MIB, true);
	(void)hears(SFT_ACK, &len);
	says_chunk(1, MIB, true);
	ends_saying(SFT_PROTOCOL, "there, or on its way");
	end();
}

/* The sender gives it up, and nothing shows at the receiver's end of it. */
static void
test_given_up(void **state)
{
	uint8_t out[SFT_SMALL_MAX];
	const uint8_t *body;
	uint32_t chunks;
	uint8_t index;
	size_t len;

	(void)state;
	begin_stream(3 * MIB);
	says_chunk(1, MIB, true);
	(void)hears(SFT_ACK, &len);
	say(&control, out, sft_lost_format(0, 0, out, sizeof(out)));
	body = hears(SFT_LOST, &len);
	assert_int_equal(sft_lost_parse(body, len, &index, &chunks), 0);
	assert_int_equal(chunks, 1);
	say(&control, out, sft_lost_format(7, 0, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "a stream that there is not");
	end();
}

static void
test_garbage_frames(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t len;
	} head[] = { { 0, 0 }, { 200, 4 }, { SFT_ACCEPT, 60 }, { SFT_CHUNK, 8 },
		{ SFT_JOIN, 49 }, { SFT_SEAL, 513 }, { SFT_OFFER, 0xffffff },
		{ SFT_PING, 7 }, { SFT_ACK, 8 }, { SFT_ABORT, 0 } };
	uint8_t out[64] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		begin(true, MIB);
		frame_head_put(out, head[i].type, head[i].len);
		say(&control, out, FRAME_HEAD_LEN);
		ends_saying(SFT_PROTOCOL, "a frame that is none");
		end();
	}
}

static void
seals(const uint8_t root[32], uint8_t what)
{
	struct receipt_seal seal = { .size = f.size };
	uint8_t bytes[SFT_SEAL_MAX], out[SFT_SMALL_MAX];
	ssize_t n;

	memcpy(seal.id, id, sizeof(seal.id));
	sft_offer_digest(&offer, "alpha", "beta", seal.offer);
	memcpy(seal.root, root, sizeof(seal.root));
	snprintf(seal.sender.name, sizeof(seal.sender.name), "alpha");
	snprintf(seal.receiver, sizeof(seal.receiver), "beta");
	if (what == 1)
		seal.root[31] ^= 1;
	if (what == 2)
		seal.id[0] ^= 1;
	if (what == 3)
		seal.offer[0] ^= 1;
	if (what == 4)
		snprintf(seal.sender.name, sizeof(seal.sender.name), "gamma");
	n = receipt_seal_format(&seal, bytes, sizeof(bytes));
	assert_true(n > 0);
	say(&control, out,
	    sft_signed_format(SFT_SEAL, bytes, (size_t)n, out, sizeof(out)));
}

static void
test_out_of_turn(void **state)
{
	static const uint8_t root[32];
	uint8_t out[SFT_SMALL_MAX];

	(void)state;
	begin(true, MIB);
	say(&control, out, sft_empty_format(SFT_DONE, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "DONE out of turn");
	end();
	begin(true, MIB);
	offers();
	offers();
	ends_saying(SFT_PROTOCOL, "OFFER out of turn");
	end();
	begin_stream(3 * MIB);
	seals(root, 0);
	seals(root, 0);
	ends_saying(SFT_PROTOCOL, "seals twice");
	end();
}

/* The root of so many zeroes in chunks of a MiB, of which there are two. */
static void
root_of_two(b3tree_value root)
{
	static const uint8_t zero[MIB];
	b3tree_value v[2];
	struct b3tree t;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		(void)b3tree_begin(&t, 20, i);
		(void)b3tree_update(&t, zero, sizeof(zero));
		assert_int_equal(b3tree_end(&t, v[i]), 0);
	}
	assert_int_equal(b3tree_root((const b3tree_value *)v, 2, root), 0);
}

/* It comes before all is durable, before all has come even. */
static void
test_early_seal(void **state)
{
	b3tree_value root;
	size_t len;
	int wrong;

	(void)state;
	root_of_two(root);
	for (wrong = 0; wrong < 2; wrong++) {
		begin_stream(2 * MIB);
		says_chunk(1, MIB, true);
		seals(root, (uint8_t)wrong);
		linkkit_wait(300);
		assert_false(b.complete);
		says_chunk(0, MIB, false);
		(void)hears(SFT_AGAIN, &len);
		says_chunk(0, MIB, true);
		if (wrong)
			ends_saying(SFT_HASH_MISMATCH, "sealed another root");
		else {
			(void)hears(SFT_RECEIPT, &len);
			assert_true(b.complete);
			assert_memory_equal(b.root, root, sizeof(root));
		}
		end();
	}
}

static void
test_wrong_seal(void **state)
{
	b3tree_value root;
	size_t len;
	uint8_t i;

	(void)state;
	for (i = 0; i <= 4; i++) {
		begin_stream(1000);
		says_chunk(0, 1000, true);
		(void)hears(SFT_ACK, &len);
		{
			static const uint8_t zero[1000];
			struct b3tree t;

			(void)b3tree_begin(&t, 20, 0);
			(void)b3tree_update(&t, zero, sizeof(zero));
			assert_int_equal(b3tree_end_file(&t, root), 0);
		}
		seals(root, i);
		if (i == 0)
			(void)hears(SFT_RECEIPT, &len);
		else
			ends_saying(i == 1 ? SFT_HASH_MISMATCH : SFT_PROTOCOL,
			    "peer has sealed another");
		end();
	}
}

static void
test_malformed_offer(void **state)
{
	uint8_t out[SFT_SMALL_MAX];
	ssize_t n;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin(true, MIB);
		memset(&offer, 0, sizeof(offer));
		offer.size = MIB;
		offer.chunk_log2 = 20;
		offer.streams = 1;
		offer.name_len = 4;
		memcpy(offer.name, "name", 4);
		n = sft_offer_format(&offer, out, sizeof(out));
		assert_true(n > 0);
		if (i == 0)
			out[FRAME_HEAD_LEN] = 2; /* version */
		if (i == 1)
			out[FRAME_HEAD_LEN + 1] = 2; /* kind */
		if (i == 2)
			out[FRAME_HEAD_LEN + 2] = 0xff; /* size */
		if (i == 3)
			out[n - 5] = 5; /* longer name than there is */
		say(&control, out, n);
		ends_saying(SFT_PROTOCOL, "OFFER is malformed");
		assert_false(b.offered);
		end();
	}
}

/* --- as a receiver ------------------------------------------------------ */

static void
begin_offered(void)
{
	size_t len;

	begin(false, 3 * MIB);
	xferkit_offer(&a);
	(void)hears(SFT_OFFER, &len);
}

static void
says_accept(uint8_t streams, uint64_t epoch)
{
	struct sft_accept accept = { .epoch = epoch,
		.streams = streams,
		.window = 64 * MIB };
	uint8_t out[SFT_SMALL_MAX], i;

	for (i = 0; i < streams; i++)
		accept.route[i][1] = i;
	say(&control, out, sft_accept_format(&accept, out, sizeof(out)));
}

static void
says_have_nothing(void)
{
	static const uint8_t bits[1];
	uint8_t out[SFT_FRAME_MAX];
	uint32_t from = 0;
	bool last;

	say(&control, out,
	    sft_have_format(bits, 3, &from, &last, out, sizeof(out)));
}

static void
test_wrong_accept(void **state)
{
	size_t len;

	(void)state;
	begin_offered();
	says_accept(3, 1);
	ends_saying(SFT_PROTOCOL, "ACCEPT does not fit");
	end();
	begin(false, 3 * MIB);
	f.epoch = 7;
	xferkit_offer(&a);
	(void)hears(SFT_OFFER, &len);
	says_accept(2, 7);
	ends_saying(SFT_PROTOCOL, "ACCEPT does not fit");
	end();
}

static void
says_basis(uint32_t first, uint32_t n)
{
	static const uint8_t value[4][SFT_VALUE_LEN];
	uint8_t out[SFT_SMALL_MAX];

	say(&control, out, sft_basis_format(value, first, n, out, sizeof(out)));
}

static void
test_unsent(void **state)
{
	uint8_t out[SFT_SMALL_MAX];
	const uint32_t index = 2;

	(void)state;
	begin_offered();
	says_accept(2, 1);
	says_have_nothing();
	assert_true(linkkit_until_set(&a.taken));
	linkkit_wait(50);
	say(&control, out, sft_ack_format(&index, 1, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "what it was not sent");
	end();
	begin_offered();
	says_accept(2, 1);
	says_have_nothing();
	assert_true(linkkit_until_set(&a.taken));
	linkkit_wait(50);
	say(&control, out,
	    sft_again_format(index, SFT_AGAIN_HASH, out, sizeof(out)));
	ends_saying(SFT_HASH_MISMATCH, "what it was not sent");
	end();
	begin_offered();
	says_accept(2, 1);
	says_basis(0, 3);
	says_have_nothing();
	assert_true(linkkit_until_set(&a.taken));
	linkkit_wait(50);
	say(&control, out,
	    sft_again_format(index, SFT_AGAIN_BASIS, out, sizeof(out)));
	ends_saying(SFT_HASH_MISMATCH, "what it was not sent");
	end();
}

static void
test_wrong_basis(void **state)
{
	static const struct {
		uint32_t first, n;
	} is[] = { { 3, 1 }, { 2, 2 }, { 0, 4 }, { SFT_BASIS_MAX - 1, 1 } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		begin_offered();
		says_accept(2, 1);
		says_basis(is[i].first, is[i].n);
		ends_saying(SFT_PROTOCOL, "BASIS is malformed");
		end();
	}
	/* Twice the same. */
	begin_offered();
	says_accept(2, 1);
	says_basis(0, 2);
	says_basis(1, 1);
	ends_saying(SFT_PROTOCOL, "BASIS is malformed");
	end();
	/* Before it has taken it, and when it is under way. */
	begin_offered();
	says_basis(0, 2);
	ends_saying(SFT_PROTOCOL, "BASIS out of turn");
	end();
	begin_offered();
	says_accept(2, 1);
	says_have_nothing();
	assert_true(linkkit_until_set(&a.taken));
	linkkit_wait(50);
	says_basis(0, 2);
	ends_saying(SFT_PROTOCOL, "BASIS out of turn");
	end();
}

/* Packed though nobody has offered that. */
static void
test_packed_unasked(void **state)
{
	struct sft_accept accept = { .epoch = 1,
		.streams = 1,
		.packed = true,
		.window = MIB };
	uint8_t out[SFT_SMALL_MAX];

	(void)state;
	begin_offered();
	say(&control, out, sft_accept_format(&accept, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "ACCEPT does not fit");
	end();
}

static void
test_wrong_lost(void **state)
{
	uint8_t out[SFT_SMALL_MAX];

	(void)state;
	begin_offered();
	say(&control, out, sft_lost_format(0, 0, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "LOST out of turn");
	end();
	begin_offered();
	says_accept(2, 1);
	says_have_nothing();
	assert_true(linkkit_until_set(&a.taken));
	linkkit_wait(50);
	say(&control, out, sft_lost_format(1, 1, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "more than it was sent");
	end();
}

static void
test_receipt_out_of_turn(void **state)
{
	uint8_t out[SFT_SMALL_MAX];

	(void)state;
	begin_offered();
	say(&control, out,
	    sft_signed_format(SFT_RECEIPT, "no receipt", 10, out, sizeof(out)));
	ends_saying(SFT_PROTOCOL, "RECEIPT out of turn");
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_value),
		cmocka_unit_test(test_wrong_then_right),
		cmocka_unit_test(test_wrong_head),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_garbage_stream),
		cmocka_unit_test(test_same_as_nothing),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_not_agreed),
		cmocka_unit_test(test_block_lengths),
		cmocka_unit_test(test_blocks_that_are_none),
		cmocka_unit_test(test_block_of_something_else),
		cmocka_unit_test(test_cut_block),
		cmocka_unit_test(test_cut_stream),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_garbage_frames),
		cmocka_unit_test(test_out_of_turn),
		cmocka_unit_test(test_early_seal),
		cmocka_unit_test(test_wrong_seal),
		cmocka_unit_test(test_malformed_offer),
		cmocka_unit_test(test_wrong_accept),
		cmocka_unit_test(test_unsent),
		cmocka_unit_test(test_wrong_basis),
		cmocka_unit_test(test_packed_unasked),
		cmocka_unit_test(test_wrong_lost),
		cmocka_unit_test(test_receipt_out_of_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
