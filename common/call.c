/* SPDX-License-Identifier: ISC */
/*
 * call.c - the messages that set up a call: their bytes, and what is signed.
 *
 * A peer's candidates are typed records and never text: what reaches the ICE
 * library has been through these bounds. An address to which nobody should be
 * made to send (of many machines, of none) is refused here, before a worker
 * that sends checks to what it is told has seen it.
 *
 * Writer and parser share one test of each field, so that what is written can
 * be read. Knows libcrypto; no key, no clock, no policy.
 */
#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/buf.h"
#include "common/call.h"
#include "common/ed25519.h"
#include "common/nodename.h"

static const char offer_label[] = "claw/call-offer/v1"; /* NUL included */
static const char answer_label[] = "claw/call-answer/v1";

_Static_assert(sizeof(answer_label) + CALL_OFFER_MAX <= CALL_SIGNED_MAX,
    "label and body");
_Static_assert(CALL_OFFER_MAX <= CALL_BODY_MAX &&
	CALL_ANSWER_MAX <= CALL_OFFER_MAX,
    "CONFIRM is the longest");

void
call_head_put(uint8_t out[CALL_HEAD_LEN], enum call_type type,
    const uint8_t id[CALL_ID_LEN])
{
	out[0] = CALL_VERSION;
	out[1] = (uint8_t)type;
	memcpy(out + 2, id, CALL_ID_LEN);
}

int
call_head_get(const uint8_t *in, size_t len, enum call_type *type,
    uint8_t id[CALL_ID_LEN])
{
	if (len < CALL_HEAD_LEN || in[0] == 0)
		return -EBADMSG;
	if (in[0] > CALL_VERSION)
		return -EPROTONOSUPPORT;
	if (in[1] < CALL_OFFER || in[1] > CALL_RETRY)
		return -EBADMSG;
	*type = (enum call_type)in[1];
	memcpy(id, in + 2, CALL_ID_LEN);
	return 0;
}

/* --- fields ------------------------------------------------------------- */

static void
get(struct rbuf *r, uint8_t *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

/* A u16 length and at most that many bytes. */
static uint16_t
get_bytes(struct rbuf *r, void *out, size_t max)
{
	uint16_t n;
	const uint8_t *p = rbuf_bytes(r, &n);

	if (p == NULL || n > max) {
		r->failed = true;
		return 0;
	}
	memcpy(out, p, n);
	return n;
}

/* Text of these bounds in letters, digits, + and /: RFC 8839's ice-char. */
static bool
ice_text_ok(const char *s, size_t min, size_t max)
{
	size_t i, n = strnlen(s, max + 1);

	for (i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
			(s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= '0' && s[i] <= '9') || s[i] == '+' ||
			s[i] == '/'))
			return false;
	return n >= min && n <= max;
}

/* A NUL within would make the text shorter than what was read. */
static void
get_text(struct rbuf *r, char *out, size_t max)
{
	if (get_bytes(r, out, max) != strnlen(out, max))
		r->failed = true;
}

static bool
names_ok(const char caller[EVIDENCE_NAME_SIZE],
    const char callee[EVIDENCE_NAME_SIZE])
{
	return nodename_ok(caller, strnlen(caller, EVIDENCE_NAME_SIZE)) &&
	    nodename_ok(callee, strnlen(callee, EVIDENCE_NAME_SIZE)) &&
	    strcmp(caller, callee) != 0;
}

static bool
ice_ok(const struct call_ice *i)
{
	return ice_text_ok(i->ufrag, CALL_UFRAG_MIN, CALL_CREDENTIAL_MAX) &&
	    ice_text_ok(i->pwd, CALL_PWD_MIN, CALL_CREDENTIAL_MAX);
}

static void
put_ice(struct wbuf *w, const struct call_ice *i)
{
	wbuf_bytes(w, i->ufrag, strlen(i->ufrag));
	wbuf_bytes(w, i->pwd, strlen(i->pwd));
}

static void
get_ice(struct rbuf *r, struct call_ice *i)
{
	get_text(r, i->ufrag, CALL_CREDENTIAL_MAX);
	get_text(r, i->pwd, CALL_CREDENTIAL_MAX);
}

static bool
media_ok(const struct call_media *m)
{
	return m->codec == CALL_OPUS &&
	    (m->frame_ms == 10 || m->frame_ms == 20 || m->frame_ms == 40 ||
		m->frame_ms == 60) &&
	    (m->flags & ~(CALL_FEC | CALL_DTX)) == 0 && m->bitrate >= 6000 &&
	    m->bitrate <= 510000;
}

static void
put_media(struct wbuf *w, const struct call_media *m)
{
	wbuf_u8(w, m->codec);
	wbuf_u8(w, m->frame_ms);
	wbuf_u8(w, m->flags);
	wbuf_u32(w, m->bitrate);
}

static void
get_media(struct rbuf *r, struct call_media *m)
{
	m->codec = rbuf_u8(r);
	m->frame_ms = rbuf_u8(r);
	m->flags = rbuf_u8(r);
	m->bitrate = rbuf_u32(r);
}

static bool
flight_ok(const struct call_flight *f)
{
	size_t i;

	if (f->n == 0 || f->n > CALL_FLIGHT_MAX)
		return false;
	for (i = 0; i < f->n; i++)
		if (f->datagram[i].len == 0 ||
		    f->datagram[i].len > CALL_DATAGRAM_MAX)
			return false;
	return true;
}

static void
put_flight(struct wbuf *w, const struct call_flight *f)
{
	size_t i;

	wbuf_u8(w, f->n);
	for (i = 0; i < f->n; i++)
		wbuf_bytes(w, f->datagram[i].data, f->datagram[i].len);
}

static void
get_flight(struct rbuf *r, struct call_flight *f)
{
	size_t i;

	f->n = rbuf_u8(r);
	if (f->n > CALL_FLIGHT_MAX)
		r->failed = true;
	for (i = 0; i < f->n && !r->failed; i++)
		f->datagram[i].len =
		    get_bytes(r, f->datagram[i].data, CALL_DATAGRAM_MAX);
}

static bool
leaf_ok(const struct call_leaf *l)
{
	return l->len > 0 && l->len <= sizeof(l->der);
}

static void
put_leaf(struct wbuf *w, const struct call_leaf *l)
{
	wbuf_bytes(w, l->der, l->len);
}

static void
get_leaf(struct rbuf *r, struct call_leaf *l)
{
	l->len = get_bytes(r, l->der, sizeof(l->der));
}

/* --- candidates --------------------------------------------------------- */

static size_t
address_len(uint8_t family)
{
	return family == 4 ? 4 : 16;
}

/*
 * That somebody can be reached at: of one machine, and with no zone to be
 * known. An IPv4 address is written as one, so that it is judged as one.
 */
static bool
reachable(const struct call_address *a)
{
	static const uint8_t zero[16];
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->port == 0)
		return false;
	if (a->family == 4)
		return a->addr[0] != 0 && a->addr[0] < 224;
	return a->family == 6 && a->addr[0] != 0xff &&
	    !(a->addr[0] == 0xfe && (a->addr[1] & 0xc0) == 0x80) &&
	    memcmp(a->addr, zero, 16) != 0 &&
	    memcmp(a->addr, mapped, sizeof(mapped)) != 0;
}

/*
 * A related address is told for diagnosis and nobody sends to it; who hides it
 * writes zeros (RFC 8839, 5.1).
 */
static bool
candidate_ok(const struct call_candidate *c)
{
	bool related = c->related.family == 4 || c->related.family == 6;

	if (c->component < 1 || c->component > 2 || c->transport < CALL_UDP ||
	    c->transport > CALL_TCP_SO || c->type < CALL_HOST ||
	    c->type > CALL_RELAY || c->priority == 0 ||
	    c->priority > INT32_MAX || !reachable(&c->at))
		return false;
	if (c->type == CALL_HOST ? c->related.family != 0 : !related)
		return false;
	return ice_text_ok(c->foundation, 1, CALL_FOUNDATION_MAX);
}

static void
put_address(struct wbuf *w, const struct call_address *a)
{
	wbuf_u8(w, a->family);
	if (a->family == 0)
		return;
	wbuf_put(w, a->addr, address_len(a->family));
	wbuf_u16(w, a->port);
}

static void
get_address(struct rbuf *r, struct call_address *a)
{
	a->family = rbuf_u8(r);
	if (a->family == 0)
		return;
	get(r, a->addr, address_len(a->family));
	a->port = rbuf_u16(r);
}

static bool
candidates_ok(const struct call_candidates *l)
{
	size_t i;

	if (l->n > CALL_CANDIDATES_MAX)
		return false;
	for (i = 0; i < l->n; i++)
		if (!candidate_ok(&l->c[i]))
			return false;
	return true;
}

static void
put_candidates(struct wbuf *w, const struct call_candidates *l)
{
	const struct call_candidate *c;

	wbuf_u8(w, l->n);
	for (c = l->c; c < l->c + l->n; c++) {
		wbuf_u8(w, c->component);
		wbuf_u8(w, c->transport);
		wbuf_u8(w, c->type);
		wbuf_u32(w, c->priority);
		wbuf_bytes(w, c->foundation, strlen(c->foundation));
		put_address(w, &c->at);
		put_address(w, &c->related);
	}
}

static void
get_candidates(struct rbuf *r, struct call_candidates *l)
{
	struct call_candidate *c;
	size_t i;

	l->n = rbuf_u8(r);
	if (l->n > CALL_CANDIDATES_MAX)
		r->failed = true;
	for (i = 0; i < l->n && !r->failed; i++) {
		c = &l->c[i];
		c->component = rbuf_u8(r);
		c->transport = rbuf_u8(r);
		c->type = rbuf_u8(r);
		c->priority = rbuf_u32(r);
		get_text(r, c->foundation, CALL_FOUNDATION_MAX);
		get_address(r, &c->at);
		get_address(r, &c->related);
	}
}

/* --- messages ----------------------------------------------------------- */

static ssize_t
written(const struct wbuf *w)
{
	return w->failed ? -ENOSPC : (ssize_t)w->len;
}

/* Nothing half-read is left. */
static int
got(const struct rbuf *r, bool ok, void *message, size_t size)
{
	if (rbuf_done(r) && ok)
		return 0;
	memset(message, 0, size);
	return -EBADMSG;
}

static bool
offer_ok(const struct call_offer *o)
{
	return names_ok(o->caller, o->callee) && o->expires_s <= INT64_MAX &&
	    ice_ok(&o->ice) && media_ok(&o->media) &&
	    (o->leaf.len == 0 || leaf_ok(&o->leaf)) && flight_ok(&o->flight);
}

static void
put_offer(struct wbuf *w, const struct call_offer *o)
{
	wbuf_put(w, o->id, sizeof(o->id));
	wbuf_bytes(w, o->caller, strlen(o->caller));
	wbuf_bytes(w, o->callee, strlen(o->callee));
	wbuf_put(w, o->nonce, sizeof(o->nonce));
	wbuf_put(w, o->spki, sizeof(o->spki));
	wbuf_put(w, o->share, sizeof(o->share));
	wbuf_u64(w, o->expires_s);
	put_ice(w, &o->ice);
	put_media(w, &o->media);
	put_leaf(w, &o->leaf);
	put_flight(w, &o->flight);
}

ssize_t
call_offer_signed(const struct call_offer *o, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!offer_ok(o))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_put(&w, offer_label, sizeof(offer_label));
	put_offer(&w, o);
	return written(&w);
}

ssize_t
call_offer_format(const struct call_offer *o, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!offer_ok(o))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_offer(&w, o);
	wbuf_put(&w, o->sig, sizeof(o->sig));
	return written(&w);
}

int
call_offer_parse(const uint8_t *in, size_t len, struct call_offer *o)
{
	struct rbuf r;

	memset(o, 0, sizeof(*o));
	rbuf_init(&r, in, len);
	get(&r, o->id, sizeof(o->id));
	get_text(&r, o->caller, sizeof(o->caller) - 1);
	get_text(&r, o->callee, sizeof(o->callee) - 1);
	get(&r, o->nonce, sizeof(o->nonce));
	get(&r, o->spki, sizeof(o->spki));
	get(&r, o->share, sizeof(o->share));
	o->expires_s = rbuf_u64(&r);
	get_ice(&r, &o->ice);
	get_media(&r, &o->media);
	get_leaf(&r, &o->leaf);
	get_flight(&r, &o->flight);
	get(&r, o->sig, sizeof(o->sig));
	return got(&r, offer_ok(o), o, sizeof(*o));
}

static bool
answer_ok(const struct call_answer *a)
{
	return names_ok(a->caller, a->callee) && ice_ok(&a->ice) &&
	    media_ok(&a->media) && leaf_ok(&a->leaf) && flight_ok(&a->flight);
}

static void
put_answer(struct wbuf *w, const struct call_answer *a)
{
	wbuf_put(w, a->offer, sizeof(a->offer));
	wbuf_bytes(w, a->caller, strlen(a->caller));
	wbuf_bytes(w, a->callee, strlen(a->callee));
	wbuf_put(w, a->nonce, sizeof(a->nonce));
	wbuf_put(w, a->share, sizeof(a->share));
	put_ice(w, &a->ice);
	put_media(w, &a->media);
	put_leaf(w, &a->leaf);
	put_flight(w, &a->flight);
}

ssize_t
call_answer_signed(const struct call_answer *a, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!answer_ok(a))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_put(&w, answer_label, sizeof(answer_label));
	put_answer(&w, a);
	return written(&w);
}

ssize_t
call_answer_format(const struct call_answer *a, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!answer_ok(a))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_answer(&w, a);
	wbuf_put(&w, a->sig, sizeof(a->sig));
	return written(&w);
}

int
call_answer_parse(const uint8_t *in, size_t len, struct call_answer *a)
{
	struct rbuf r;

	memset(a, 0, sizeof(*a));
	rbuf_init(&r, in, len);
	get(&r, a->offer, sizeof(a->offer));
	get_text(&r, a->caller, sizeof(a->caller) - 1);
	get_text(&r, a->callee, sizeof(a->callee) - 1);
	get(&r, a->nonce, sizeof(a->nonce));
	get(&r, a->share, sizeof(a->share));
	get_ice(&r, &a->ice);
	get_media(&r, &a->media);
	get_leaf(&r, &a->leaf);
	get_flight(&r, &a->flight);
	get(&r, a->sig, sizeof(a->sig));
	return got(&r, answer_ok(a), a, sizeof(*a));
}

static int
hash_of(const uint8_t *text, ssize_t n, uint8_t out[32])
{
	if (n < 0)
		return (int)n;
	return EVP_Digest(text, (size_t)n, out, NULL, EVP_sha256(), NULL) == 1 ?
	    0 :
	    -EIO;
}

int
call_offer_hash(const struct call_offer *o, uint8_t out[32])
{
	uint8_t text[CALL_SIGNED_MAX];

	return hash_of(text, call_offer_signed(o, text, sizeof(text)), out);
}

int
call_answer_hash(const struct call_answer *a, uint8_t out[32])
{
	uint8_t text[CALL_SIGNED_MAX];

	return hash_of(text, call_answer_signed(a, text, sizeof(text)), out);
}

int
call_offer_verify(const struct call_offer *o, const uint8_t key[32])
{
	uint8_t text[CALL_SIGNED_MAX];
	ssize_t n = call_offer_signed(o, text, sizeof(text));

	return n < 0 ? -EKEYREJECTED :
		       ed25519_verify(key, text, (size_t)n, o->sig);
}

int
call_answer_verify(const struct call_answer *a, const uint8_t key[32])
{
	uint8_t text[CALL_SIGNED_MAX];
	ssize_t n = call_answer_signed(a, text, sizeof(text));

	return n < 0 ? -EKEYREJECTED :
		       ed25519_verify(key, text, (size_t)n, a->sig);
}

const char *
call_answer_differs(const struct call_answer *a, const struct call_offer *o)
{
	uint8_t hash[32];

	if (strcmp(a->caller, o->caller) != 0)
		return "caller";
	if (strcmp(a->callee, o->callee) != 0)
		return "callee";
	if (call_offer_hash(o, hash) != 0 || memcmp(a->offer, hash, 32) != 0)
		return "offer";
	return NULL;
}

static bool
confirm_ok(const struct call_confirm *c)
{
	return leaf_ok(&c->leaf) && flight_ok(&c->flight) &&
	    candidates_ok(&c->candidates);
}

ssize_t
call_confirm_format(const struct call_confirm *c, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!confirm_ok(c))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_leaf(&w, &c->leaf);
	put_flight(&w, &c->flight);
	put_candidates(&w, &c->candidates);
	return written(&w);
}

int
call_confirm_parse(const uint8_t *in, size_t len, struct call_confirm *c)
{
	struct rbuf r;

	memset(c, 0, sizeof(*c));
	rbuf_init(&r, in, len);
	get_leaf(&r, &c->leaf);
	get_flight(&r, &c->flight);
	get_candidates(&r, &c->candidates);
	return got(&r, confirm_ok(c), c, sizeof(*c));
}

ssize_t
call_candidates_format(const struct call_candidates *l, uint8_t *out,
    size_t size)
{
	struct wbuf w;

	if (!candidates_ok(l))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_candidates(&w, l);
	return written(&w);
}

int
call_candidates_parse(const uint8_t *in, size_t len, struct call_candidates *l)
{
	struct rbuf r;

	memset(l, 0, sizeof(*l));
	rbuf_init(&r, in, len);
	get_candidates(&r, l);
	return got(&r, candidates_ok(l), l, sizeof(*l));
}

ssize_t
call_restart_format(const struct call_ice *i, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!ice_ok(i))
		return -EINVAL;
	wbuf_init(&w, out, size);
	put_ice(&w, i);
	return written(&w);
}

int
call_restart_parse(const uint8_t *in, size_t len, struct call_ice *i)
{
	struct rbuf r;

	memset(i, 0, sizeof(*i));
	rbuf_init(&r, in, len);
	get_ice(&r, i);
	return got(&r, ice_ok(i), i, sizeof(*i));
}

int
call_end_parse(const uint8_t *in, size_t len, enum call_reason *reason)
{
	*reason = CALL_NO_REASON;
	if (len != CALL_END_LEN || in[0] == 0 || in[0] >= CALL_REASONS_END)
		return -EBADMSG;
	*reason = (enum call_reason)in[0];
	return 0;
}

int
call_retry_parse(const uint8_t *in, size_t len, uint8_t nonce[CALL_RETRY_LEN])
{
	if (len != CALL_RETRY_LEN)
		return -EBADMSG;
	memcpy(nonce, in, CALL_RETRY_LEN);
	return 0;
}

const char *
call_reason_name(unsigned int reason)
{
	static const char *const name[] = { "?",
#define X(n, id, text) #id,
		CALL_REASONS(X)
#undef X
	};

	return reason < CALL_REASONS_END ? name[reason] : "?";
}

const char *
call_reason_text(unsigned int reason)
{
	static const char *const text[] = { "?",
#define X(n, id, what) what,
		CALL_REASONS(X)
#undef X
	};

	return reason < CALL_REASONS_END ? text[reason] : "?";
}
