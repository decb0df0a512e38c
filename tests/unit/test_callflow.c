/* SPDX-License-Identifier: ISC */
/*
 * test_callflow.c - a call is set up with nothing but these messages, between
 * two ends in memory; and a message is of no use anywhere else.
 *
 * Certificates and DTLS are stand-ins: whether they are good is judged by
 * others, and told to the machine.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "common/callseal.h"
#include "voiced/admit.h"
#include "voiced/setup.h"

#define NOW_S 1700000000

struct end {
	const char *name;
	EVP_PKEY *identity, *sealing;
	uint8_t identity_pub[32], sealing_pub[32];
	struct setup setup;
	uint8_t secret[32]; /* of e_a, e_b */
	struct callseal keys;
	struct call_offer offer; /* ours, or as it came */
	struct call_answer answer;
};

struct wire {
	uint8_t data[CALL_HEAD_LEN + CALL_BODY_MAX + CALLSEAL_BOX_MORE];
	size_t len;
};

static struct end alpha, beta, other;
static struct admit places;
static struct wire offer_wire, answer_wire, confirm_wire, grant_wire;
static uint8_t text[CALL_SIGNED_MAX];

static void
new_end(struct end *e, const char *name, uint8_t seed)
{
	uint8_t raw[32];
	size_t n = 32, m = 32;

	memset(e, 0, sizeof(*e));
	e->name = name;
	memset(raw, seed, sizeof(raw));
	memset(e->secret, seed + 1, sizeof(e->secret));
	e->identity =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32);
	e->sealing =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, 32);
	EVP_PKEY_get_raw_public_key(e->identity, e->identity_pub, &n);
	EVP_PKEY_get_raw_public_key(e->sealing, e->sealing_pub, &m);
	assert_true(n == 32 && m == 32);
}

static void
sign(const struct end *e, ssize_t n, uint8_t sig[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;

	assert_true(n > 0);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, e->identity),
	    1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, text, (size_t)n), 1);
	EVP_MD_CTX_free(ctx);
}

static void
goes(struct end *e, enum setup_event event, uint32_t actions)
{
	assert_int_equal(setup_step(&e->setup, event, CALL_NO_REASON, 1),
	    actions);
}

/* What is in text, n bytes of it. */
static void
send_box(struct wire *w, enum call_type type, const struct end *from,
    const struct end *to, ssize_t n)
{
	static const uint8_t once[] = "thirty-two bytes for just one box";
	ssize_t len;

	assert_true(n > 0);
	call_head_put(w->data, type, from->offer.id);
	len = callseal_box(once, to->sealing_pub, w->data, text, (size_t)n,
	    w->data + CALL_HEAD_LEN, sizeof(w->data) - CALL_HEAD_LEN);
	assert_true(len > 0);
	w->len = CALL_HEAD_LEN + (size_t)len;
}

static ssize_t
open_box(const struct end *e, const struct wire *w)
{
	uint8_t key[CALLSEAL_KEY_LEN];

	assert_int_equal(
	    callseal_box_key(e->sealing, w->data + CALL_HEAD_LEN, key), 0);
	return callseal_box_open(key, w->data, w->data + CALL_HEAD_LEN,
	    w->len - CALL_HEAD_LEN, text, sizeof(text));
}

static void
send_frame(struct wire *w, enum call_type type, struct end *from, ssize_t n)
{
	ssize_t len;

	assert_true(n > 0);
	call_head_put(w->data, type, from->offer.id);
	len = callseal_frame(&from->keys, w->data, text, (size_t)n,
	    w->data + CALL_HEAD_LEN, sizeof(w->data) - CALL_HEAD_LEN);
	assert_true(len > 0);
	w->len = CALL_HEAD_LEN + (size_t)len;
}

static ssize_t
open_frame(struct end *e, const struct wire *w)
{
	return callseal_frame_open(&e->keys, w->data, w->data + CALL_HEAD_LEN,
	    w->len - CALL_HEAD_LEN, text, sizeof(text));
}

static void
flight(struct call_flight *f)
{
	f->n = 1;
	f->datagram[0].len = 300;
}

/* --- each end's part ---------------------------------------------------- */

static void
alpha_dials(uint8_t id)
{
	static const struct call_ice ice = { "ufrA", "passwordpasswordpassw0" };
	struct call_offer *o = &alpha.offer;

	setup_init(&alpha.setup, true, 100);
	goes(&alpha, SETUP_DIAL, SETUP_SEND_OFFER);
	memset(o, 0, sizeof(*o));
	memset(o->id, id, sizeof(o->id));
	strcpy(o->caller, alpha.name);
	strcpy(o->callee, beta.name);
	assert_int_equal(callseal_share(alpha.secret, o->share), 0);
	o->expires_s = NOW_S + CALL_EXPIRY_S;
	o->ice = ice;
	o->media = (struct call_media){ CALL_OPUS, 20, 0, 32000 };
	flight(&o->flight);
	sign(&alpha, call_offer_signed(o, text, sizeof(text)), o->sig);
	send_box(&offer_wire, CALL_OFFER, &alpha, &beta,
	    call_offer_format(o, text, sizeof(text)));
}

static void
beta_answers(void)
{
	struct call_answer *a = &beta.answer;
	uint8_t h_offer[32], h_answer[32];

	goes(&beta, SETUP_HAS_LEAF, SETUP_SEND_ANSWER);
	memset(a, 0, sizeof(*a));
	assert_int_equal(call_offer_hash(&beta.offer, h_offer), 0);
	memcpy(a->offer, h_offer, 32);
	strcpy(a->caller, beta.offer.caller);
	strcpy(a->callee, beta.name);
	assert_int_equal(callseal_share(beta.secret, a->share), 0);
	a->ice = beta.offer.ice;
	a->media = beta.offer.media;
	a->leaf.len = 400;
	flight(&a->flight);
	sign(&beta, call_answer_signed(a, text, sizeof(text)), a->sig);
	assert_int_equal(call_answer_hash(a, h_answer), 0);
	assert_int_equal(callseal_start(&beta.keys, false, beta.secret,
			     beta.offer.share, h_offer, h_answer),
	    0);
	send_box(&answer_wire, CALL_ANSWER, &beta, &alpha,
	    call_answer_format(a, text, sizeof(text)));
}

static void
beta_hears_offer(void)
{
	struct admit_key out;
	ssize_t n = open_box(&beta, &offer_wire);

	assert_true(n > 0);
	assert_int_equal(call_offer_parse(text, (size_t)n, &beta.offer), 0);
	setup_init(&beta.setup, false, 100);
	goes(&beta, SETUP_GOT_OFFER, SETUP_JUDGE_OFFER);
	assert_string_equal(beta.offer.callee, beta.name);
	assert_int_equal(call_offer_verify(&beta.offer, alpha.identity_pub), 0);
	assert_int_equal(admit_offer(&places, &beta.offer, false, NOW_S, &out),
	    ADMIT_YES);
	goes(&beta, SETUP_OFFER_GOOD, SETUP_ASK_HOOK);
	goes(&beta, SETUP_ALLOWED, SETUP_MAKE_LEAF);
	beta_answers();
}

static void
alpha_hears_answer(void)
{
	struct call_confirm c = { .candidates.n = 0 };
	uint8_t h_offer[32], h_answer[32];
	ssize_t n = open_box(&alpha, &answer_wire);

	assert_true(n > 0);
	assert_int_equal(call_answer_parse(text, (size_t)n, &alpha.answer), 0);
	assert_null(call_answer_differs(&alpha.answer, &alpha.offer));
	goes(&alpha, SETUP_GOT_ANSWER, SETUP_JUDGE_ANSWER);
	assert_int_equal(call_answer_verify(&alpha.answer, beta.identity_pub),
	    0);
	goes(&alpha, SETUP_ANSWER_GOOD, SETUP_MAKE_LEAF);
	goes(&alpha, SETUP_HAS_LEAF, SETUP_FEED);
	goes(&alpha, SETUP_FINISHED, SETUP_SEND_CONFIRM);
	assert_int_equal(call_offer_hash(&alpha.offer, h_offer), 0);
	assert_int_equal(call_answer_hash(&alpha.answer, h_answer), 0);
	assert_int_equal(callseal_start(&alpha.keys, true, alpha.secret,
			     alpha.answer.share, h_offer, h_answer),
	    0);
	c.leaf.len = 400;
	flight(&c.flight);
	send_frame(&confirm_wire, CALL_CONFIRM, &alpha,
	    call_confirm_format(&c, text, sizeof(text)));
}

static void
beta_grants(void)
{
	static const struct call_candidates none;
	struct call_confirm c;
	ssize_t n = open_frame(&beta, &confirm_wire);

	assert_true(n > 0);
	assert_int_equal(call_confirm_parse(text, (size_t)n, &c), 0);
	goes(&beta, SETUP_GOT_CONFIRM, SETUP_JUDGE_CONFIRM | SETUP_HOLD);
	goes(&beta, SETUP_CONFIRM_GOOD, SETUP_FEED);
	goes(&beta, SETUP_FINISHED,
	    SETUP_TAKE | SETUP_SEND_CANDIDATES | SETUP_MEDIA);
	send_frame(&grant_wire, CALL_CANDIDATES, &beta,
	    call_candidates_format(&none, text, sizeof(text)));
}

static void
alpha_is_up(void)
{
	struct call_candidates l;
	ssize_t n = open_frame(&alpha, &grant_wire);

	assert_true(n > 0);
	assert_int_equal(call_candidates_parse(text, (size_t)n, &l), 0);
	goes(&alpha, SETUP_GOT_CANDIDATES, SETUP_TAKE | SETUP_MEDIA);
}

static int
setup(void **state)
{
	(void)state;
	new_end(&alpha, "alpha", 1);
	new_end(&beta, "beta", 3);
	new_end(&other, "other", 5);
	admit_init(&places);
	alpha_dials(7);
	beta_hears_offer();
	alpha_hears_answer();
	beta_grants();
	alpha_is_up();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(alpha.identity);
	EVP_PKEY_free(alpha.sealing);
	EVP_PKEY_free(beta.identity);
	EVP_PKEY_free(beta.sealing);
	EVP_PKEY_free(other.identity);
	EVP_PKEY_free(other.sealing);
	return 0;
}

/* --- what it is good for ------------------------------------------------ */

static void
test_up_and_over(void **state)
{
	struct wire end;
	enum call_reason reason;
	ssize_t n;

	(void)state;
	assert_int_equal(alpha.setup.state, SETUP_UP);
	assert_int_equal(beta.setup.state, SETUP_UP);
	goes(&alpha, SETUP_HANGUP, SETUP_SEND_SEALED_END | SETUP_CLOSE);
	text[0] = (uint8_t)alpha.setup.reason;
	send_frame(&end, CALL_END, &alpha, CALL_END_LEN);
	n = open_frame(&beta, &end);
	assert_int_equal(call_end_parse(text, (size_t)n, &reason), 0);
	assert_int_equal(setup_step(&beta.setup, SETUP_GOT_SEALED, reason, 2),
	    SETUP_CLOSE);
	assert_int_equal(beta.setup.reason, CALL_HANGUP);
	assert_true(beta.setup.theirs);
}

/* For another node it says nothing, and to that one it is not addressed. */
static void
test_another_node(void **state)
{
	(void)state;
	assert_int_equal(open_box(&other, &offer_wire), -EBADMSG);
	assert_int_equal(open_box(&other, &answer_wire), -EBADMSG);
	assert_int_equal(call_offer_verify(&alpha.offer, other.identity_pub),
	    -EKEYREJECTED);
	assert_int_equal(call_answer_verify(&beta.answer, other.identity_pub),
	    -EKEYREJECTED);
}

/* Recorded, and played again: once, and in the next call. */
static void
test_replayed(void **state)
{
	struct wire old_offer = offer_wire, old_answer = answer_wire;
	struct wire old_confirm = confirm_wire, old_grant = grant_wire;
	struct call_answer a;
	struct call_offer o;
	struct admit_key out;
	ssize_t n;

	(void)state;
	assert_int_equal(open_frame(&beta, &confirm_wire), -EALREADY);
	assert_int_equal(open_frame(&alpha, &grant_wire), -EALREADY);
	alpha.secret[0]++;
	beta.secret[0]++;
	alpha_dials(8);
	n = open_box(&beta, &old_offer);
	assert_int_equal(call_offer_parse(text, (size_t)n, &o), 0);
	assert_int_equal(call_offer_verify(&o, alpha.identity_pub), 0);
	assert_int_equal(admit_offer(&places, &o, false, NOW_S, &out),
	    ADMIT_SEEN);
	beta_hears_offer();
	n = open_box(&alpha, &old_answer);
	assert_int_equal(call_answer_parse(text, (size_t)n, &a), 0);
	assert_string_equal(call_answer_differs(&a, &alpha.offer), "offer");
	alpha_hears_answer();
	assert_int_equal(open_frame(&beta, &old_confirm), -EBADMSG);
	beta_grants();
	assert_int_equal(open_frame(&alpha, &old_grant), -EBADMSG);
	alpha_is_up();
}

/* Under another call's number, or as another message, it does not open. */
static void
test_moved(void **state)
{
	struct wire w = offer_wire;

	(void)state;
	w.data[2] ^= 1;
	assert_int_equal(open_box(&beta, &w), -EBADMSG);
	w = offer_wire;
	w.data[1] = CALL_ANSWER;
	assert_int_equal(open_box(&beta, &w), -EBADMSG);
	beta.keys.in = 0;
	w = confirm_wire;
	w.data[1] = CALL_CANDIDATES;
	assert_int_equal(open_frame(&beta, &w), -EBADMSG);
	w = confirm_wire;
	w.data[2] ^= 1;
	assert_int_equal(open_frame(&beta, &w), -EBADMSG);
	assert_true(open_frame(&beta, &confirm_wire) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_up_and_over, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_another_node, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_replayed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
	};

	return cmocka_run_group_tests_name("callflow", tests, NULL, NULL);
}
