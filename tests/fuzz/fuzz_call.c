/* SPDX-License-Identifier: ISC */
/*
 * fuzz_call.c - what a peer says to set up a call: any bytes.
 *
 * The first byte says how the rest is taken: as the body of a message that has
 * been opened; as a message as it comes, for a node and a call with known keys
 * (the corpus has some that open); or as a text that is sealed and opened
 * again, with one byte of the sealed form changed or none.
 *
 * What is read must be written again as the same bytes.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/call.h"
#include "common/callseal.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define AS_IT_COMES 8
#define SEALED 9
#define KINDS 10

static const uint8_t node_secret[32] = { 2 }, peer_secret[32] = { 1 };
static const uint8_t hash[32] = { 3 };

static void
must(int ok)
{
	if (!ok)
		abort();
}

static union {
	struct call_offer offer;
	struct call_answer answer;
	struct call_confirm confirm;
	struct call_candidates candidates;
	struct call_ice ice;
} m;

static void
body(unsigned int type, const uint8_t *in, size_t len)
{
	uint8_t again[CALL_BODY_MAX];
	enum call_reason reason;
	ssize_t n = -1;

	if (type == CALL_OFFER && call_offer_parse(in, len, &m.offer) == 0) {
		n = call_offer_format(&m.offer, again, sizeof(again));
		must(call_offer_verify(&m.offer, hash) == -EKEYREJECTED);
	} else if (type == CALL_ANSWER &&
	    call_answer_parse(in, len, &m.answer) == 0) {
		n = call_answer_format(&m.answer, again, sizeof(again));
		must(call_answer_verify(&m.answer, hash) == -EKEYREJECTED);
	} else if (type == CALL_CONFIRM &&
	    call_confirm_parse(in, len, &m.confirm) == 0) {
		n = call_confirm_format(&m.confirm, again, sizeof(again));
	} else if (type == CALL_CANDIDATES &&
	    call_candidates_parse(in, len, &m.candidates) == 0) {
		n = call_candidates_format(&m.candidates, again, sizeof(again));
	} else if (type == CALL_RESTART &&
	    call_restart_parse(in, len, &m.ice) == 0) {
		n = call_restart_format(&m.ice, again, sizeof(again));
	} else if (type == CALL_END && call_end_parse(in, len, &reason) == 0) {
		must(call_reason_text(reason)[0] != '?');
	}
	must(n == -1 || (n == (ssize_t)len && memcmp(again, in, len) == 0));
}

static EVP_PKEY *
sealing_key(void)
{
	static EVP_PKEY *key;

	if (key == NULL)
		key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
		    node_secret, 32);
	return key;
}

static void
as_it_comes(const uint8_t *in, size_t len)
{
	uint8_t key[CALLSEAL_KEY_LEN], id[CALL_ID_LEN], share[32];
	uint8_t text[CALL_BODY_MAX];
	const uint8_t *rest = in + CALL_HEAD_LEN;
	struct callseal s;
	enum call_type type;
	ssize_t n = -1;

	if (call_head_get(in, len, &type, id) != 0)
		return;
	len -= CALL_HEAD_LEN;
	if (type == CALL_OFFER || type == CALL_ANSWER) {
		if (len >= 32 &&
		    callseal_box_key(sealing_key(), rest, key) == 0)
			n = callseal_box_open(key, in, rest, len, text,
			    sizeof(text));
	} else {
		must(callseal_share(peer_secret, share) == 0 &&
		    callseal_start(&s, false, node_secret, share, hash, hash) ==
			0);
		n = callseal_frame_open(&s, in, rest, len, text, sizeof(text));
	}
	if (n >= 0)
		body(type, text, (size_t)n);
}

static void
sealed(const uint8_t *in, size_t len)
{
	uint8_t box[CALL_BODY_MAX + CALLSEAL_BOX_MORE], text[CALL_BODY_MAX];
	uint8_t key[CALLSEAL_KEY_LEN], head[CALL_HEAD_LEN], share[32];
	size_t flip;
	ssize_t n;
	int r;

	if (len < 3)
		return;
	flip = (size_t)in[0] << 8 | in[1];
	call_head_put(head, (enum call_type)in[2], node_secret);
	in += 3;
	len -= 3;
	must(callseal_share(node_secret, share) == 0);
	n = callseal_box(peer_secret, share, head, in, len, box, sizeof(box));
	if (n < 0) {
		must(n == -ENOSPC && len > CALL_BODY_MAX);
		return;
	}
	if (flip < (size_t)n)
		box[flip] ^= 1;
	r = callseal_box_key(sealing_key(), box, key);
	if (r == 0)
		r = (int)callseal_box_open(key, head, box, (size_t)n, text,
		    sizeof(text));
	must(flip < (size_t)n ? r < 0 : r == (int)len);
	must(r < 0 || memcmp(text, in, len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned int how;

	if (len == 0)
		return 0;
	how = data[0] % KINDS;
	if (how == AS_IT_COMES)
		as_it_comes(data + 1, len - 1);
	else if (how == SEALED)
		sealed(data + 1, len - 1);
	else
		body(how, data + 1, len - 1);
	return 0;
}
