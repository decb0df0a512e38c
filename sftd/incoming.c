/* SPDX-License-Identifier: ISC */
/*
 * incoming.c - files that peers send.
 *
 * A worker says what its peer offers; whether it is taken, where it goes and
 * what it is called is decided here, by what attestd says of the peer. The
 * worker gets two open files and knows no name. When it says that all is there
 * the size, the seal and, if so configured, the file itself are looked at;
 * then commit.c, keyd's receipt, and the outcome in the log.
 */
#include <sys/random.h>

#include <openssl/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/evidence.h"
#include "common/log.h"
#include "common/receipt.h"
#include "sftd/basis.h"
#include "sftd/commit.h"
#include "sftd/incoming.h"
#include "sftd/policy.h"
#include "sftd/rehash.h"
#include "sftd/store.h"
#include "sftd/tree.h"

#define SECOND UINT64_C(1000000)
/* One that has nothing to do any more ends by itself. */
#define LINGER_US (30 * SECOND)
/*
 * What is not complete; and what a sender may still ask a receipt for, and need
 * not send again (basis.c).
 */
#define KEPT_MS (UINT64_C(7) * 86400 * 1000)
#define DONE_MS (UINT64_C(30) * 86400 * 1000)
/* Of a folder all that came is kept so long beside what was unpacked. */
#define DONE_TREE_MS (UINT64_C(600) * 1000)
#define PARTIALS_MAX 64 /* of one peer */
#define DONE_OF_PEER_MAX 256
#define DONE_MAX 1024
/* Routes of streams that were lost, in an attempt. */
#define REOPENED_MAX 16

static bool ending;

/* --- what there is ---------------------------------------------------------
 */

static void
remove_partial(const struct transfer *t)
{
	int r = partial_remove(t->what.id);

	/* Of a folder what was unpacked goes first, and then this again. */
	if (r != 0 && r != -ENOTEMPTY)
		log_warnx("a partial file could not be removed: %s",
		    strerror(-r));
}

/*
 * A finish that was interrupted, by the end of a run or by the disk, goes on
 * from where it was. 0: it has its name now, or is an incomplete one; or why
 * it is in between.
 */
static int
finish_again(struct transfer *t)
{
	struct finish f;
	int r;

	if (t->placed || commit_state(&t->what, &f) != 0)
		return 0;
	memcpy(t->root, f.root, sizeof(t->root));
	if (!f.placed && (r = commit_place(&t->what)) != 0) {
		log_warnx("a file of %s could not be given its name: %s",
		    t->what.peer, strerror(-r));
		(void)commit_undo(&t->what);
		return commit_state(&t->what, &f) == 0 ? r : 0;
	}
	t->placed = true;
	t->durable = t->what.offer.size;
	return 0;
}

static void
load(const struct partial *p)
{
	struct transfer *t = transfer_new(true, p->peer);
	uint8_t receipt[SFT_RECEIPT_MAX];

	t->what = *p;
	t->started_ms = p->since_ms;
	t->ended_ms = partial_touched(p) * 1000;
	transfer_set(t, TRANSFER_PAUSED);
	(void)finish_again(t);
	if (!t->placed) {
		transfer_why(t, SFT_STOPPING, false, "this node was stopped");
		return;
	}
	if (commit_answer(p, receipt, sizeof(receipt)) > 0) {
		t->has_receipt = true;
		t->state = TRANSFER_DONE;
	} else
		transfer_why(t, SFT_STOPPING, false,
		    "it is there; its sender has no receipt yet");
}

void
incoming_load(void)
{
	ending = false;
	partial_load(load);
}

/* Of those in this state, of one peer or of all (NULL), one gives way. */
static void
make_way(const char *peer, enum transfer_state state, unsigned int most)
{
	struct transfer *t, *oldest = NULL;
	unsigned int n = 0;

	TAILQ_FOREACH(t, transfer_all(), entry) {
		if (!t->receives || t->state != state || t->conn != NULL ||
		    (peer != NULL && strcmp(t->what.peer, peer) != 0))
			continue;
		n++;
		if (oldest == NULL || t->ended_ms < oldest->ended_ms)
			oldest = t;
	}
	if (n < most)
		return;
	if (state == TRANSFER_PAUSED)
		log_info("the oldest of %u incomplete files of %s is given up",
		    n, oldest->what.peer);
	remove_partial(oldest);
	transfer_free(oldest);
}

/* --- an offer --------------------------------------------------------------
 */

static void
refuse(const struct conn *c, uint32_t ask, uint8_t code, const char *text)
{
	struct msg request = { .id = ask };

	chan_refuse(c->worker, &request, code, event_retryable(code), "%s",
	    text);
}

/* No: the worker tells the peer, and ends. */
static void
deny_by(struct conn *c, const struct partial *what, uint32_t ask,
    const struct policy_verdict *v)
{
	struct transfer *t = transfer_new(true, c->peer);

	t->what.offer = what->offer;
	memcpy(t->what.digest, what->digest, sizeof(t->what.digest));
	transfer_why(t, v->code, false, "%s", v->whole);
	t->conn = c;
	record_denied(t);
	t->conn = NULL;
	transfer_end(t, TRANSFER_REFUSED);
	refuse(c, ask, v->code, v->text);
}

static void
deny(struct conn *c, const struct partial *what, uint32_t ask, uint8_t code,
    const char *text)
{
	struct policy_verdict v = { .code = code };

	snprintf(v.text, sizeof(v.text), "%s", text);
	snprintf(v.whole, sizeof(v.whole), "%s", text);
	deny_by(c, what, ask, &v);
}

void
incoming_not_offered(struct conn *c, uint8_t code, bool by_peer,
    const char *text)
{
	struct transfer *t;

	if (c->state != CONN_UP || c->role != EVIDENCE_SERVER || c->offered)
		return;
	c->offered = true;
	t = transfer_new(true, c->peer);
	transfer_why(t, code, by_peer, "%s", text);
	t->conn = c;
	record_denied(t);
	t->conn = NULL;
	transfer_end(t, TRANSFER_REFUSED);
}

/* What no worker can have read: NULL, or what it is. */
static const char *
read_offer(const struct conn *c, const struct msg_XFER_OFFERED *m,
    struct partial *p)
{
	struct sft_offer *o = &p->offer;

	memset(p, 0, sizeof(*p));
	if (m->name_len == 0 || m->mtime_ns > INT64_MAX || m->mode > 0777 ||
	    m->chunk_log2 < SFT_CHUNK_LOG2_MIN ||
	    m->chunk_log2 > SFT_CHUNK_LOG2_MAX || m->streams == 0 ||
	    m->streams > SFT_STREAMS_MAX || m->replace > 1 || m->dry > 1 ||
	    m->tree > 1 || (m->tree != 0 && m->replace != 0) ||
	    m->epoch >= SFT_EPOCH_MAX || !sft_size_ok(m->size, m->chunk_log2))
		return "an offer that is none";
	snprintf(p->peer, sizeof(p->peer), "%s", c->peer);
	o->size = m->size;
	o->mtime_ns = m->mtime_ns;
	o->mode = m->mode;
	o->chunk_log2 = m->chunk_log2;
	o->streams = m->streams;
	o->replace = m->replace != 0;
	o->dry = m->dry != 0;
	o->tree = m->tree != 0;
	o->epoch = m->epoch;
	memcpy(o->name, m->name, m->name_len);
	o->name_len = m->name_len;
	sft_offer_digest(o, c->peer, sftd_config.node, p->digest);
	return memcmp(p->digest, m->offer, 32) == 0 ?
	    NULL :
	    "the digest of another offer";
}

static bool
make_routes(struct transfer *t)
{
	unsigned int i;

	for (i = 0; i < t->what.offer.streams; i++)
		do
			if (getrandom(t->route[i], SFT_ROUTE_LEN, 0) !=
			    SFT_ROUTE_LEN)
				return false;
		while (!sft_route_ok(t->route[i]));
	t->routes = (uint8_t)((1u << t->what.offer.streams) - 1);
	return true;
}

/* The files, for the worker. */
static int
hand_over(struct transfer *t)
{
	struct msg_XFER_JOURNAL journal_is = { 0 };
	struct msg_XFER_TAKE take = { .epoch = t->what.epoch,
		.streams = t->what.offer.streams,
		.packed = sftd_config.packed };
	struct finish f;
	int file = -1, journal, r;

	if (t->placed) {
		if ((r = commit_state(&t->what, &f)) != 0)
			return r;
		if ((file = commit_placed(&t->what, &f)) < 0)
			return file;
	} else if ((r = commit_undo(&t->what)) != 0)
		return r; /* a finish that is written into is none */
	r = partial_files(&t->what, sftd_config.node, &file, &journal);
	if (r != 0)
		return r;
	memcpy(take.id, t->what.id, sizeof(take.id));
	take.routes = t->route[0];
	take.routes_len = (uint16_t)(t->what.offer.streams * SFT_ROUTE_LEN);
	(void)chan_send_XFER_JOURNAL(t->conn->worker, 0, journal, &journal_is);
	if (!t->placed)
		basis_hand_over(t);
	(void)chan_send_XFER_TAKE(t->conn->worker, t->ask, file, &take);
	t->ask = 0;
	close(journal);
	close(file);
	return 0;
}

/* It will not be taken after all. */
static void
give_up(struct transfer *t, uint8_t code, const char *text)
{
	transfer_why(t, code, false, "%s", text);
	record_denied(t);
	refuse(t->conn, t->ask, code, text);
	t->ask = 0;
}

static void
on_intent(struct transfer *t, bool ok, const char *why)
{
	static const uint8_t none[SFT_ID_LEN];
	struct policy_verdict v;
	bool is_new = memcmp(t->what.id, none, SFT_ID_LEN) == 0;
	int r;

	if (t->conn == NULL || t->conn->state != CONN_UP)
		return; /* down() does the rest */
	if (!ok) {
		log_warnx("a file of %s is not taken: %s", t->what.peer, why);
		give_up(t, SFT_STOPPING,
		    "it could not be recorded, so it is not taken");
		return;
	}
	r = is_new ? partial_make(&t->what, sftd_config.node) :
		     partial_again(&t->what, t->what.offer.epoch);
	if (r == 0 && !make_routes(t))
		r = -EIO;
	if (r == 0)
		r = hand_over(t);
	/* Somebody has taken away what there was of it. */
	if (r == -ENOENT)
		t->lost = true;
	if (r != 0) {
		policy_error(r, &v);
		give_up(t, v.code, v.text);
		return;
	}
	if (!is_new)
		counter_add(COUNTER_SFT_RESUMED, 1);
	transfer_set(t, TRANSFER_MOVING);
}

static void
take(struct conn *c, struct transfer *t, const struct partial *what,
    uint32_t ask)
{
	if (t == NULL) {
		make_way(c->peer, TRANSFER_PAUSED, PARTIALS_MAX);
		t = transfer_new(true, c->peer);
		t->what = *what;
	} else {
		t->what.offer.epoch = what->offer.epoch;
		t->what.offer.streams = what->offer.streams;
		/* Where it is already, or where it is to be by now. */
		if (!t->placed) {
			memcpy(t->what.into, what->into, sizeof(t->what.into));
			t->what.replaces = what->replaces;
		}
	}
	transfer_begin(t);
	t->started_ms = transfer_wall_ms();
	t->conn = c;
	t->ask = ask;
	transfer_set(t, TRANSFER_OFFERED);
	record_intent(t, on_intent);
}

/* A file that was delivered and is still there: only a receipt is missing. */
static bool
still_there(const struct transfer *t)
{
	struct finish f;
	int fd;

	if (commit_state(&t->what, &f) != 0)
		return false;
	if ((fd = commit_placed(&t->what, &f)) < 0)
		return false;
	close(fd);
	return true;
}

/* Where the rules say that it goes. What is there was taken by a rule. */
static const struct sftrule *
find_rule(const struct transfer *t, struct partial *p, struct sftrule *rule)
{
	static const struct sftrule taken = { .allow = true,
		.max_size = UINT64_MAX,
		.replace = true };

	if (t != NULL && t->placed)
		return &taken;
	if (!sftrule_first(sftd_config.accept, p->peer, p->offer.name,
		p->offer.name_len, rule))
		return NULL;
	snprintf(p->into, sizeof(p->into), "%s",
	    rule->into[0] != '\0' ? rule->into : p->peer);
	p->replaces = p->offer.replace && rule->replace;
	return rule;
}

/* Folders as they came, which nobody has asked for again, give way first. */
static void
make_room(uint64_t bytes)
{
	struct transfer *t, *next;

	for (t = TAILQ_FIRST(transfer_all()); t != NULL && store_room() < bytes;
	     t = next) {
		next = TAILQ_NEXT(t, entry);
		if (!t->receives || t->state != TRANSFER_DONE ||
		    t->conn != NULL || !t->what.offer.tree)
			continue;
		remove_partial(t);
		transfer_free(t);
	}
}

/* changed: what was delivered of it is not there any more, as it was. */
static void
judge(struct conn *c, struct transfer *t, struct partial *p, uint32_t ask,
    bool changed)
{
	struct sftrule rule;
	struct policy policy = { sftd_config.max_bytes,
		sftd_config.max_transfers };
	struct policy_case is = { .peer = c->peer,
		.theirs = c->capabilities,
		.ours = c->own,
		.offer = &p->offer,
		.rule = find_rule(t, p, &rule),
		.under_way = transfer_count(),
		.resumes = t != NULL,
		.room = store_room(),
		.inodes = store_inodes(),
		.changed = changed };
	struct policy_verdict v;

	if (t == NULL && p->offer.size <= policy.max_bytes &&
	    is.room < policy_need(&p->offer)) {
		make_room(policy_need(&p->offer));
		is.room = store_room();
	}
	if (p->into[0] != '\0')
		is.there =
		    commit_there(p->into, p->offer.name, p->offer.name_len);
	policy_judge(&policy, &is, &v);
	if (v.code != 0)
		deny_by(c, p, ask, &v);
	else if (p->offer.dry)
		/* Only asked for: the answer is a no without a fault. */
		refuse(c, ask, SFT_CANCELLED,
		    t == NULL	  ? "it would be taken" :
			t->placed ? "it is there already" :
				    "it would be taken; part of it is "
				    "there");
	else
		take(c, t, p, ask);
}

/*
 * Something else is there, of the same size: maybe the same file, put back
 * from a copy. Its hash tells.
 */
static void
on_read_instead(void *arg, int error, const uint8_t root[32])
{
	struct transfer *t = arg;
	struct partial p = { .offer = t->what.offer };
	struct conn *c = t->conn;
	uint32_t ask = t->ask;

	t->rehash = NULL;
	if (c == NULL || c->state != CONN_UP)
		return; /* in_down() does the rest */
	memcpy(p.peer, t->what.peer, sizeof(p.peer));
	memcpy(p.digest, t->what.digest, sizeof(p.digest));
	t->conn = NULL;
	t->ask = 0;
	if (error == 0 && memcmp(root, t->root, 32) == 0 &&
	    commit_adopt(&t->what) == 0) {
		t->placed = true;
		transfer_set(t,
		    t->has_receipt ? TRANSFER_DONE : TRANSFER_PAUSED);
		judge(c, t, &p, ask, false);
		return;
	}
	remove_partial(t);
	transfer_free(t);
	judge(c, NULL, &p, ask, true);
}

static bool
read_instead(struct conn *c, struct transfer *t, const struct partial *p,
    uint32_t ask)
{
	int fd = commit_instead(&t->what);

	if (fd < 0)
		return false;
	transfer_begin(t);
	t->what.offer = p->offer;
	t->conn = c;
	t->ask = ask;
	transfer_set(t, TRANSFER_OFFERED);
	t->rehash = rehash_new(fd, p->offer.size, on_read_instead, t);
	close(fd);
	return true;
}

void
incoming_on_offered(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct msg_XFER_OFFERED offered;
	struct policy_verdict v;
	struct transfer *t;
	struct partial p;
	const char *wrong;
	bool gone = false;
	int r = 0;

	if (!msg_get_XFER_OFFERED(&m->body, &offered))
		fatalx("malformed XFER_OFFERED");
	if (c != NULL && c->state == CONN_CLOSING) {
		refuse(c, m->id, SFT_STOPPING, "it is to end");
		return;
	}
	if (c == NULL || c->state != CONN_UP || c->role != EVIDENCE_SERVER ||
	    c->offered) {
		child_violation(worker, m, "an offer out of turn");
		return;
	}
	if ((wrong = read_offer(c, &offered, &p)) != NULL) {
		child_violation(worker, m, wrong);
		return;
	}
	c->offered = true;
	t = transfer_offer(true, c->peer, p.digest);
	if (t != NULL && t->conn == NULL)
		r = finish_again(t);
	if (r != 0 && r != -ENOENT) {
		policy_error(r, &v);
		deny_by(c, &p, m->id, &v);
		return;
	}
	/* What was delivered and is gone by now comes anew. */
	if (t != NULL && t->conn == NULL &&
	    (r == -ENOENT || (t->placed && !still_there(t)))) {
		if (!ending && read_instead(c, t, &p, m->id))
			return;
		gone = true;
		remove_partial(t);
		transfer_free(t);
		t = NULL;
	}
	if (ending)
		deny(c, &p, m->id, SFT_STOPPING, "this node stops");
	else if (t != NULL && t->conn != NULL) {
		/* Its sender has lost that connection, or will now. */
		deny(c, &p, m->id, SFT_BUSY,
		    "an attempt before this one is just ending");
		transfer_stop(t, SFT_EPOCH, "a later attempt has begun");
	} else if (t != NULL && t->held)
		deny(c, &p, m->id, SFT_PAUSED, "the receiver has paused it");
	else
		judge(c, t, &p, m->id, gone);
}

/* --- data streams ----------------------------------------------------------
 */

void
incoming_routed(struct conn *c, const uint8_t route[CONN_ROUTE_LEN])
{
	struct msg_XFER_STREAM stream;
	struct transfer *t;
	uint8_t i;

	TAILQ_FOREACH(t, transfer_all(), entry) {
		if (!t->receives || t->routes == 0 || t->conn == NULL ||
		    t->conn->state != CONN_UP || t->conn->worker == NULL)
			continue;
		for (i = 0; i < SFT_STREAMS_MAX; i++) {
			if ((t->routes & 1u << i) == 0 ||
			    CRYPTO_memcmp(t->route[i], route, SFT_ROUTE_LEN) !=
				0)
				continue;
			t->routes &= (uint8_t) ~(1u << i);
			stream.index = i;
			(void)chan_send_XFER_STREAM(t->conn->worker, 0, c->fd,
			    &stream);
			close(c->fd);
			c->fd = -1;
			return;
		}
	}
}

void
incoming_on_route(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_ROUTE route;

	if (!msg_get_XFER_ROUTE(&m->body, &route))
		fatalx("malformed XFER_ROUTE");
	if (c != NULL && c->state == CONN_CLOSING)
		return;
	if (t == NULL || !t->receives || route.index >= t->what.offer.streams) {
		child_violation(worker, m, "no stream of this transfer");
		return;
	}
	if (t->state == TRANSFER_MOVING && t->reopened < REOPENED_MAX) {
		t->reopened++;
		t->routes |= (uint8_t)(1u << route.index);
	}
}

/* --- the finish ------------------------------------------------------------
 */

/* Not committed, or without a receipt; the worker tells the peer, and ends. */
static void
not_finished(struct transfer *t, uint8_t code, const char *text)
{
	log_warnx("a file of %s is not finished: %s", t->what.peer, text);
	transfer_why(t, code, false, "%s", text);
	if (t->conn != NULL && t->conn->state == CONN_UP && t->ask != 0)
		refuse(t->conn, t->ask, code, text);
	t->ask = 0;
}

static void
answer(struct transfer *t, const uint8_t *receipt, size_t len)
{
	struct msg_XFER_COMMITTED done = { .receipt_len = (uint16_t)len };

	done.receipt = receipt;
	t->has_receipt = true;
	t->durable = t->what.offer.size;
	(void)chan_send_XFER_COMMITTED(t->conn->worker, t->ask, -1, &done);
	t->ask = 0;
	make_way(t->what.peer, TRANSFER_DONE, DONE_OF_PEER_MAX);
	make_way(NULL, TRANSFER_DONE, DONE_MAX);
	transfer_end(t, TRANSFER_DONE);
}

static void
on_receipted(struct chan *keyd, struct msg *m, void *arg)
{
	struct conn *c = conn_of((uint32_t)(uintptr_t)arg);
	struct transfer *t = transfer_of(c);
	struct msg_RECEIPTED done;
	struct receipt parsed;
	struct policy_verdict v;
	int r;

	(void)keyd;
	if (t == NULL || !t->receives || t->state != TRANSFER_FINISHING ||
	    c->state != CONN_UP || t->ask == 0)
		return;
	if (m == NULL || m->type == MSG_REFUSED) {
		not_finished(t, SFT_IO, "keyd has signed no receipt for it");
		return;
	}
	if (!msg_get_RECEIPTED(&m->body, &done) ||
	    receipt_parse(done.receipt, done.receipt_len, &parsed) != 0)
		fatalx("malformed RECEIPTED");
	r = commit_receipt(&t->what, done.receipt, done.receipt_len);
	if (r != 0) {
		policy_error(r, &v);
		not_finished(t, SFT_IO, "its receipt could not be kept");
		return;
	}
	answer(t, done.receipt, done.receipt_len);
}

/* One that was made before, if it is of what was sealed now. */
static bool
answer_again(struct transfer *t)
{
	uint8_t bytes[SFT_RECEIPT_MAX];
	struct receipt_seal seal;
	struct receipt r;
	ssize_t n;

	n = commit_answer(&t->what, bytes, sizeof(bytes));
	if (n <= 0 || receipt_parse(bytes, (size_t)n, &r) != 0 ||
	    receipt_seal_parse(t->seal, t->seal_len, &seal) != 0 ||
	    memcmp(r.seal.root, seal.root, 32) != 0 ||
	    memcmp(r.seal.sender.key, seal.sender.key, 32) != 0)
		return false;
	answer(t, bytes, (size_t)n);
	return true;
}

/* Folders: unpacked by a worker of its own, then the finish goes on. */

static void finish(struct transfer *t);

static void
on_unpacked(void *arg, uint8_t code, const char *text)
{
	struct transfer *t = arg;

	t->unpack = NULL;
	if (t->conn == NULL || t->conn->state != CONN_UP)
		return;
	if (code != 0) {
		/* What its sender has sealed is no folder, and stays none. */
		t->lost = code == SFT_PROTOCOL;
		not_finished(t, code, text);
		return;
	}
	t->unpacked = true;
	finish(t);
}

static void
finish(struct transfer *t)
{
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_RECEIPT ask = { .session = t->conn->session };
	struct policy_verdict v;
	int r;

	if (t->what.offer.tree && !t->placed && !t->unpacked) {
		t->unpack = tree_unpack(&t->what, on_unpacked, t);
		if (t->unpack == NULL)
			not_finished(t, SFT_IO, "it cannot be unpacked");
		return;
	}
	r = commit_begin(&t->what, t->root);
	/* What the disk did not keep nobody knows: all of it is sent anew. */
	if (r == -EIO && !t->placed)
		t->lost = true;
	if (r == 0 && (r = commit_place(&t->what)) != 0)
		(void)commit_undo(&t->what);
	if (r != 0) {
		policy_error(r, &v);
		not_finished(t, v.code, v.text);
		return;
	}
	t->placed = true;
	if (answer_again(t))
		return;
	if (keyd == NULL) {
		not_finished(t, SFT_STOPPING, "keyd is away");
		return;
	}
	ask.seal = t->seal;
	ask.seal_len = t->seal_len;
	(void)chan_send_RECEIPT(keyd,
	    chan_ask(keyd, MSG_RECEIPT, on_receipted,
		(void *)(uintptr_t)t->conn->session),
	    -1, &ask);
}

static void
on_rehashed(void *arg, int error, const uint8_t root[32])
{
	struct transfer *t = arg;

	t->rehash = NULL;
	if (t->conn == NULL || t->conn->state != CONN_UP)
		return;
	if (error != 0 || memcmp(root, t->root, 32) != 0) {
		t->lost = true;
		not_finished(t, SFT_HASH_MISMATCH,
		    error != 0 ? "it could not be read again" :
				 "what the disk gives is not what came");
		return;
	}
	finish(t);
}

static bool
read_again(struct transfer *t)
{
	int dir, fd;

	if ((dir = partial_dir(&t->what)) < 0)
		return false;
	fd = openat(dir, "partial", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	close(dir);
	if (fd == -1)
		return false;
	if (fsync(fd) == 0)
		t->rehash = rehash_new(fd, t->what.offer.size, on_rehashed, t);
	close(fd);
	return t->rehash != NULL;
}

/* NULL, or why the seal proves nothing. */
static const char *
judge_seal(const struct transfer *t, const struct msg_XFER_COMPLETE *m)
{
	struct receipt_seal seal;

	if (receipt_seal_parse(m->seal, m->seal_len, &seal) != 0)
		return "the seal is none";
	if (receipt_seal_differs(&seal, t->what.id, t->what.digest, m->root,
		m->size, t->what.peer, sftd_config.node) != NULL)
		return "the seal is of something else";
	if (receipt_seal_verify(&seal, t->conn->key) != 0)
		return "the seal is not signed by the peer's key";
	return NULL;
}

void
incoming_on_complete(struct chan *worker, struct msg *m)
{
	struct conn *c = conn_with(worker);
	struct transfer *t = transfer_of(c);
	struct msg_XFER_COMPLETE all;
	const char *why;

	if (!msg_get_XFER_COMPLETE(&m->body, &all))
		fatalx("malformed XFER_COMPLETE");
	if (c != NULL && c->state == CONN_CLOSING) {
		refuse(c, m->id, SFT_STOPPING, "it is to end");
		return;
	}
	if (t == NULL || !t->receives || t->state != TRANSFER_MOVING ||
	    all.size != t->what.offer.size || all.seal_len > SFT_SEAL_MAX ||
	    (t->placed && memcmp(all.root, t->root, 32) != 0)) {
		child_violation(worker, m, "nothing that could be complete");
		return;
	}
	transfer_set(t, TRANSFER_FINISHING);
	t->ask = m->id;
	t->routes = 0;
	if ((why = judge_seal(t, &all)) != NULL) {
		not_finished(t, SFT_PROTOCOL, why);
		return;
	}
	memcpy(t->root, all.root, sizeof(t->root));
	memcpy(t->seal, all.seal, all.seal_len);
	t->seal_len = all.seal_len;
	if (sftd_config.verify != 0 && !t->placed) {
		if (!read_again(t))
			not_finished(t, SFT_IO, "it cannot be read again");
		return;
	}
	finish(t);
}

/* --- up and down -----------------------------------------------------------
 */

static void
in_up(struct conn *c)
{
	if (c->purpose != EVIDENCE_SFT)
		conn_close(c, "it is for no transfer");
}

/*
 * What is worth nothing any more is not kept. If the source is another one by
 * now nothing of this can go on; what was delivered of it stays where it is.
 */
static bool
is_lost(const struct transfer *t)
{
	return t->code == SFT_SOURCE_CHANGED ||
	    (!t->placed && (t->lost || t->code == SFT_CANCELLED));
}

static void
in_down(struct conn *c)
{
	static const uint8_t none[SFT_ID_LEN];
	struct transfer *t = transfer_of(c);

	if (t == NULL)
		return;
	t->conn = NULL;
	t->ask = 0;
	t->routes = 0;
	rehash_free(t->rehash);
	t->rehash = NULL;
	tree_let_go(t->unpack);
	t->unpack = NULL;
	t->unpacked = false;
	if (transfer_ended(t))
		return;
	transfer_why(t, SFT_IO, false, "%s", c->reason);
	if (memcmp(t->what.id, none, SFT_ID_LEN) == 0)
		transfer_end(t, TRANSFER_REFUSED); /* it was never begun */
	else if (is_lost(t)) {
		remove_partial(t);
		transfer_end(t,
		    t->code == SFT_CANCELLED ? TRANSFER_CANCELLED :
					       TRANSFER_FAILED);
	} else if (t->has_receipt) {
		/* It was asked for its receipt again, to the end or not. */
		record_forget(t);
		record_outcome(t, TRANSFER_PAUSED);
		transfer_set(t, TRANSFER_DONE);
		t->ended_ms = transfer_wall_ms();
	} else
		transfer_end(t, TRANSFER_PAUSED);
}

const struct conn_user incoming_user = { NULL, in_up, in_down };

bool
incoming_pause(struct transfer *t)
{
	if (transfer_ended(t) || t->placed || t->held)
		return false;
	t->held = true;
	transfer_stop(t, SFT_PAUSED, "the receiver has paused it");
	return true;
}

bool
incoming_resume(struct transfer *t)
{
	if (!t->held)
		return false;
	t->held = false; /* its sender comes again, by and by */
	return true;
}

bool
incoming_cancel(struct transfer *t)
{
	if (transfer_ended(t) || t->placed || t->state == TRANSFER_FINISHING)
		return false;
	t->code = 0;
	transfer_stop(t, SFT_CANCELLED, "the receiver has cancelled it");
	if (t->conn != NULL)
		return true;
	remove_partial(t);
	transfer_end(t, TRANSFER_CANCELLED);
	return true;
}

void
incoming_end(void)
{
	struct transfer *t;

	ending = true;
	TAILQ_FOREACH(t, transfer_all(), entry)
		if (t->receives && t->conn != NULL)
			transfer_stop(t, SFT_STOPPING, "this node stops");
}

/* --- time ------------------------------------------------------------------
 */

static void
sweep(struct transfer *t)
{
	uint64_t now = transfer_wall_ms();
	uint64_t age = now > t->ended_ms ? now - t->ended_ms : 0;

	if (age <= (t->state == TRANSFER_PAUSED ? KEPT_MS :
			   t->what.offer.tree	? DONE_TREE_MS :
						  DONE_MS))
		return;
	if (t->state == TRANSFER_PAUSED)
		log_info("an incomplete file of %s is given up: nobody came "
			 "back to it",
		    t->what.peer);
	remove_partial(t);
	transfer_free(t);
}

void
incoming_tick(struct transfer *t, uint64_t now)
{
	uint64_t still = now - t->alive_us;

	if (t->conn == NULL) {
		if (t->state == TRANSFER_PAUSED || t->state == TRANSFER_DONE)
			sweep(t);
		return;
	}
	if ((transfer_ended(t) || t->code != 0) && still > LINGER_US)
		conn_close(t->conn, "its transfer has ended");
	else if (transfer_active(t) && t->rehash == NULL && t->unpack == NULL &&
	    still > transfer_stall_us(t))
		transfer_stop(t, SFT_TIMEOUT, "nothing moved for too long");
}
