/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_keyd.c - keyd under siblings that were taken over.
 *
 * Whatever it is told, keyd
 *
 *	signs no two checkpoints of which the later is smaller, of an earlier
 *	shard, or of another tree of the same size
 *	signs no more updates of the registry than it gave permits for, but
 *	for one "fresh"
 *	makes no leaf but of the session of the channel that it was asked on,
 *	in the role that meshd named, for a purpose of that role, and no more
 *	of them than a session may have
 *	stands nowhere in the registry but on a line that its authorities have
 *	signed, and gives no token more than this node may do there
 *	signs one rotation for each order with the recovery code, and reveals
 *	no key that the registry does not wait for
 *	signs no JOIN for a node that exists
 *	signs one seal or one receipt in a session of a transfer, and none in
 *	another one; it is between this node and that session's peer
 */
#define main keyd_main
int keyd_main(int, char **);
#include "attestd/keyd.c"
#undef main

/* Rooms that remember: they begin anew with each run. */
#include "attestd/keyd_log.c"
#include "attestd/session.c"
#define my join_my
#define refused join_refused
#include "attestd/keyd_join.c"
#undef my
#undef refused
#define refused permit_refused
#include "attestd/permit.c"
#undef refused
#include "attestd/keyd_registry.c"
#define my follow_my
#define answer follow_answer
#include "attestd/keyd_follow.c"
#undef my
#undef answer
#define my rotate_my
#define refused rotate_refused
#define end rotate_end
#include "attestd/keyd_rotate.c"
#undef my
#undef refused
#undef end

#include <sys/mman.h>

#include "common/capability.h"
#include "common/receipt.h"
#include "common/registry_int.h"
#include "common/shardname.h"
#include "tests/fuzz/ipc.h"

#define CHAIN 8
#define SELF "node1"

static struct {
	uint64_t order, size;
	uint8_t root[32];
	unsigned int updates;
	unsigned int orders, rotations;
	uint32_t session[PROC_MAX];    /* of a kind of worker */
	unsigned int leaves[PROC_MAX]; /* of that session */
	unsigned int words;	       /* seals and receipts */
	bool transfers; /* sftd and an xferd speak, not meshd and a linkd */
} seen;

static enum proc
worker(void)
{
	return seen.transfers ? PROC_XFERD : PROC_LINKD;
}

static int authority_file, key_file, next_file;
static char code[RECOVERY_TEXT_SIZE];

/* What the authorities have signed; the harness alone has their key. */
static struct reg_parsed chain[CHAIN];
static uint64_t may[CHAIN]; /* what this node may do after it */
static struct registry_rotation turned;
static struct registry_signature turned_by;
static uint8_t known[FOLLOW_BYTES_MAX];
static size_t known_len;

static void
must(bool what)
{
	if (!what)
		abort();
}

static void
sign_by(uint8_t who, const void *text, ssize_t len,
    struct registry_signature *out)
{
	size_t pub = sizeof(out->kid), sig = sizeof(out->sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t seed[32];
	EVP_PKEY *key;

	memset(seed, who, sizeof(seed));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
	    sizeof(seed));
	must(len > 0 && EVP_PKEY_get_raw_public_key(key, out->kid, &pub) == 1 &&
	    EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(ctx, out->sig, &sig, text, (size_t)len) == 1);
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
}

/* The i-th line, after another one. */
static void
chain_line(size_t i, size_t before, enum registry_op op,
    const struct registry_update *with)
{
	static char line[REGISTRY_LINE_MAX + 1];
	uint8_t text[REGUPDATE_SIGNED_MAX];
	struct reg_parsed *p = &chain[i];
	ssize_t len;

	p->u = *with;
	p->u.v = REGISTRY_VERSION;
	p->u.op = op;
	p->u.time_s = 1795270000 + i;
	if (i > 0) {
		p->u.seq = chain[before].u.seq + 1;
		memcpy(p->u.prev, chain[before].hash, sizeof(p->u.prev));
	}
	len = regupdate_signed_bytes(&p->u, text, sizeof(text));
	sign_by(op == REGISTRY_FRESH ? 2 : 1, text, len, &p->sig[0]);
	p->n = 1;
	if (i > 0) {
		must(regupdate_hash(&p->u, p->hash) == 0);
		return;
	}
	len = regupdate_line(&p->u, p->sig, p->n, line, sizeof(line));
	must(len > 0 && registry_genesis_hash(line, (size_t)len, p->hash) == 0);
}

/* By a key that was committed to, and which keyd has never had. */
static void
make_turn(void)
{
	uint8_t text[REGUPDATE_SIGNED_MAX];
	ssize_t len;

	turned.v = REGISTRY_VERSION;
	turned.ksn = 1;
	turned.time_s = 1795270000;
	snprintf(turned.name, sizeof(turned.name), SELF);
	memcpy(turned.prev, chain[1].hash, sizeof(turned.prev));
	sign_by(3, "x", 1, &turned_by);
	memcpy(turned.identity, turned_by.kid, sizeof(turned.identity));
	memset(turned.sealing, 0x55, sizeof(turned.sealing));
	len = regupdate_rotation_signed_bytes(&turned, text, sizeof(text));
	sign_by(3, text, len, &turned_by);
}

/* Genesis, this node, two that say nothing new, a guest, this node's end, and
 * two that follow other lines than the last. */
static void
make_chain(void)
{
	static const struct registry_update none;
	struct registry_update u = none;
	struct registry_signature s;

	u.windows.soft_s = u.windows.hard_s = 86400;
	u.set.count = u.set.threshold = 1;
	u.set.has_fresh = true;
	sign_by(1, "x", 1, &s);
	memcpy(u.set.authority[0], s.kid, 32);
	sign_by(2, "x", 1, &s);
	memcpy(u.set.fresh[0], s.kid, 32);
	chain_line(0, 0, REGISTRY_GENESIS, &u);
	u = none;
	snprintf(u.node.name, sizeof(u.node.name), SELF);
	must(keystore_public(KEY_IDENTITY, u.node.identity) == 0 &&
	    keystore_public(KEY_SEALING, u.node.sealing) == 0);
	sign_by(3, "x", 1, &s);
	u.node.has_next = true;
	must(regupdate_next_hash(s.kid, u.node.next) == 0);
	u.node.capabilities = 5;
	chain_line(1, 0, REGISTRY_NODE_ADD, &u);
	make_turn();
	chain_line(2, 1, REGISTRY_FRESH, &none);
	chain_line(3, 2, REGISTRY_FRESH, &none);
	u.node.has_next = false;
	snprintf(u.node.name, sizeof(u.node.name), "guest");
	memcpy(u.node.identity, turned.identity, 32);
	u.node.capabilities = capability_all();
	chain_line(4, 1, REGISTRY_NODE_ADD, &u);
	u = none;
	snprintf(u.node.name, sizeof(u.node.name), SELF);
	chain_line(5, 4, REGISTRY_NODE_REVOKE, &u);
	chain_line(6, 1, REGISTRY_FRESH, &none);
	snprintf(u.node.name, sizeof(u.node.name), "guest");
	chain_line(7, 5, REGISTRY_NODE_REVOKE, &u);
	may[1] = may[2] = may[3] = may[4] = may[6] = 5;
}

/* As a keyd before would have had it noted. */
static void
make_known(void)
{
	static struct follow f;
	ssize_t n;

	follow_begin(&f, SELF, chain[0].hash);
	must(follow_update(&f, &chain[0].u, chain[0].sig, 1) == NULL &&
	    follow_update(&f, &chain[1].u, chain[1].sig, 1) == NULL);
	n = follow_put(&f, known, sizeof(known));
	must(n > 0);
	known_len = (size_t)n;
}

static int
create_next(int fd)
{
	return keystore_create_next(fd, code);
}

/* Where keyd stands is where somebody has signed that it can. */
static uint64_t
check_place(void)
{
	size_t i;

	if (!keyd.follow.now.begun)
		return 0;
	for (i = 0; i < CHAIN; i++)
		if (memcmp(chain[i].hash, keyd.follow.now.head, 32) == 0 &&
		    chain[i].u.seq == keyd.follow.now.seq)
			return may[i];
	abort();
}

static int
make_file(const char *name, int (*create)(int))
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd == -1 || create(fd) != 0)
		abort();
	return fd;
}

static void
ipc_begin(void)
{
	static bool made;

	if (!made) {
		prepare();
		key_file = make_file("keys", keystore_create);
		authority_file =
		    make_file("authority", keystore_create_authority);
		next_file = make_file("next", create_next);
		make_chain();
		make_known();
		made = true;
	}
	/* A rotation may have changed them. */
	keystore_rotate_end();
	keystore_forget(KEY_REVEALED);
	keystore_forget(KEY_NEW_SEALING);
	must(lseek(key_file, 0, SEEK_SET) == 0 &&
	    keystore_load(dup(key_file)) == 0);
	keystore_forget(KEY_AUTHORITY);
	memset(&follow_my, 0, sizeof(follow_my));
	memset(&rotate_my, 0, sizeof(rotate_my));
	memset(&keyd, 0, sizeof(keyd));
	memset(&seen, 0, sizeof(seen));
	memset(&join_my, 0, sizeof(join_my));
	memset(sessions, 0, sizeof(sessions));
	memset(permits, 0, sizeof(permits));
	memset(waiting, 0, sizeof(waiting));
	asked = joining = false;
	memset(&fresh, 0, sizeof(fresh));
	last_id = 0;
	budget.tokens = AUDITD_BURST;
	budget.second = 0;
}

static void
clawd_hands(uint16_t type, int file)
{
	struct wbuf none;
	uint8_t body[1];

	wbuf_init(&none, body, sizeof(body));
	must(lseek(file, 0, SEEK_SET) == 0);
	clawd_says(type, 0, &none, file);
}

/* What clawd says before START; the last byte of the input says how much. */
static void
clawd_begins(uint8_t how)
{
	struct msg_REGISTRY_KNOWN registry = { .state = known,
		.state_len = (uint16_t)known_len };
	struct msg_REQUEST_SIGN request = { .node = SELF };
	uint8_t body[FOLLOW_BYTES_MAX + 16];
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	if ((how & 3) != 0) {
		/* A file that is damaged is possible, too. */
		if ((how & 3) == 2)
			registry.state_len /= 2;
		msg_put_REGISTRY_KNOWN(&w, &registry);
		clawd_says(MSG_REGISTRY_KNOWN, 0, &w, -1);
	}
	if ((how & 4) != 0)
		clawd_hands(MSG_NEXT_FILE, next_file);
	if ((how & 8) != 0)
		clawd_hands(MSG_ROTATING_FILE, key_file);
	if ((how & 16) != 0) {
		wbuf_init(&w, body, sizeof(body));
		msg_put_REQUEST_SIGN(&w, &request);
		clawd_says(MSG_REQUEST_SIGN, 1, &w, -1);
	}
}

static void
ipc_config(struct wbuf *w)
{
	struct msg_CONFIG_KEYD config = { .generation = 1,
		.log_level = 0,
		.node = SELF };

	memcpy(config.genesis, chain[0].hash, sizeof(config.genesis));
	clawd_begins(ipc.len > 0 ? ipc.data[ipc.len - 1] : 0);
	msg_put_CONFIG_KEYD(w, &config);
}

static void
say_it(enum proc as, uint16_t type, const struct wbuf *body)
{
	send_to(as, type,
	    msg_rule(type)->reply == MSG_NONE ? 0 : ++ipc.next_id[as], body,
	    -1);
}

#define SAY(as, name, m)                                                       \
	do {                                                                   \
		uint8_t bytes_[16384];                                         \
		struct wbuf w_;                                                \
                                                                               \
		wbuf_init(&w_, bytes_, sizeof(bytes_));                        \
		msg_put_##name(&w_, m);                                        \
		say_it(as, MSG_##name, &w_);                                   \
	} while (0)

/* What honest siblings would say, so that the fuzzer gets deeper. */

static void
say_logkey_new(uint8_t how)
{
	struct msg_LOGKEY_NEW new = { .previous = (const uint8_t *)"" };
	struct timespec now;
	uint64_t order = keyd.last.order;

	clock_gettime(CLOCK_REALTIME, &now);
	if (order < shardname_order_at(now.tv_sec))
		order = shardname_order_at(now.tv_sec);
	else
		order += how % 3;
	shardname_format(order, new.shard);
	SAY(PROC_AUDITD, LOGKEY_NEW, &new);
}

static void
say_checkpoint(uint8_t how)
{
	static const uint8_t right[32] = { 7 };
	struct msg_CHECKPOINT_SIGN sign = { .proof = right };

	shardname_format(keyd.last.order, sign.shard);
	sign.size = keyd.last.size == 0 ? 1 : keyd.last.size << (how & 1);
	memcpy(sign.root, keyd.last.root, 32);
	if (sign.size != keyd.last.size && keyd.last.size != 0) {
		merkle_node(keyd.last.root, right, sign.root);
		sign.proof_len = 32;
	}
	if ((how >> 1 & 7) == 7)
		sign.root[take() % 32] ^= take();
	SAY(PROC_AUDITD, CHECKPOINT_SIGN, &sign);
}

/* An update of few kinds: those that were permitted come again. */
static void
an_update(struct registry_update *u, uint8_t kind)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memset(u, 0, sizeof(*u));
	u->v = REGISTRY_VERSION;
	u->seq = 1;
	u->prev[0] = 1;
	u->time_s = (uint64_t)now.tv_sec;
	u->op = (kind & 3) == 3 ? REGISTRY_FRESH :
	    (kind & 3) == 2	? REGISTRY_NODE_REVOKE :
				  REGISTRY_NODE_ADD;
	if (u->op == REGISTRY_FRESH)
		return;
	snprintf(u->node.name, sizeof(u->node.name), "guest");
	if (u->op == REGISTRY_NODE_REVOKE)
		return;
	if (keystore_public(KEY_IDENTITY, u->node.identity) != 0 ||
	    keystore_public(KEY_SEALING, u->node.sealing) != 0)
		abort();
	u->node.capabilities = kind >> 2 & 7;
}

static void
say_permit(uint8_t kind)
{
	struct msg_PERMIT permit = { .subject = "guest",
		.capabilities = 3,
		.seconds = 60 };
	struct registry_update u;

	an_update(&u, kind);
	permit.op = (uint8_t)u.op;
	/* Of an invite: no digest. */
	if ((kind & 1) == 0 && regupdate_digest(&u, permit.digest) != 0)
		abort();
	SAY(PROC_CONTROLD, PERMIT, &permit);
}

static void
say_update(uint8_t kind)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct msg_UPDATE_SIGN sign = { .update = bytes };
	struct registry_update u;
	ssize_t n;

	an_update(&u, kind);
	n = regupdate_put(&u, bytes, sizeof(bytes));
	if (n < 0)
		abort();
	sign.update_len = (uint16_t)n;
	SAY(PROC_ATTESTD, UPDATE_SIGN, &sign);
}

static void
say_role(uint8_t role, uint8_t purpose)
{
	struct msg_SESSION_ROLE m = { .session = ipc.session_of[worker()],
		.role = role,
		.purpose = purpose };

	if (role == EVIDENCE_CLIENT)
		snprintf(m.peer, sizeof(m.peer), "peer");
	SAY(seen.transfers ? PROC_SFTD : PROC_MESHD, SESSION_ROLE, &m);
}

static void
say_leaf(uint8_t purpose)
{
	/* The generator of P-256 is a key like any other. */
	static const struct msg_LEAF key = {
		.spki = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
		    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
		    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17,
		    0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
		    0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb,
		    0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
		    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7,
		    0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57,
		    0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf,
		    0x51, 0xf5 }
	};
	struct msg_LEAF want = key;

	want.purpose = purpose;
	want.verifier[0] = take();
	want.prover[0] = take();
	SAY(worker(), LEAF, &want);
}

static void
follow_with(const void *lines, size_t len, bool rotations, uint8_t how)
{
	struct msg_FOLLOW m = { .rotations = rotations,
		.whole = how & 1,
		.end = how >> 1 & 1,
		.lines = lines,
		.lines_len = (uint16_t)len };

	SAY(PROC_ATTESTD, FOLLOW, &m);
}

/* A line of the chain, mostly the right one, now and then a false one. */
static void
say_follow(uint8_t what)
{
	uint8_t line[REGUPDATE_SIGNED_BYTES_MAX];
	struct reg_parsed p = chain[what & 7];
	struct registry_rotation r = turned;
	uint8_t false_ = what >> 3 & 7;
	ssize_t n;

	if (false_ == 7) {
		r.ksn += take() & 1;
		r.prev[take() % 32] ^= take();
		n = regupdate_rotation_signed_put(&r, &turned_by, 1, line,
		    sizeof(line));
		if (n > 0)
			follow_with(line, (size_t)n, true, what >> 6);
		return;
	}
	if (false_ == 1)
		p.n = 0;
	else if (false_ == 2)
		p.u.seq += take();
	else if (false_ == 3)
		p.u.node.capabilities = 15;
	else if (false_ == 4)
		memcpy(p.u.prev, chain[take() & 7].hash, 32);
	else if (false_ == 5)
		p.sig[0].sig[take() % 64] ^= take();
	n = regupdate_signed_put(&p.u, p.sig, p.n, line, sizeof(line));
	if (n > 0)
		follow_with(line, (size_t)n, false, what >> 6);
}

/* Many at once: from the genesis on, up to the one that is asked for. */
static void
say_walk(uint8_t what)
{
	uint8_t lines[8 * 1024];
	size_t i, len = 0;
	ssize_t n;

	for (i = 0; i <= (what & 7); i++) {
		/* 4 takes the place of 2 and 3; 6 of all after 1. */
		if (i == 6 || ((i == 2 || i == 3) && (what & 7) > 3))
			continue;
		n = regupdate_signed_put(&chain[i].u, chain[i].sig, 1,
		    lines + len, sizeof(lines) - len);
		must(n > 0);
		len += (size_t)n;
	}
	follow_with(lines, len, false, what >> 6 | (what >> 3 & 1));
}

static void
say_rotate(uint8_t how)
{
	struct msg_ROTATE m = { .ksn = 1 };

	memcpy(m.prev, chain[1].hash, sizeof(m.prev));
	snprintf(m.code, sizeof(m.code), "%s", (how & 3) == 3 ? "no" : code);
	seen.orders++;
	SAY(PROC_CONTROLD, ROTATE, &m);
}

/* A seal of ours, a receipt for one that the peer might have made. */
static void
say_transfer(uint8_t which)
{
	struct receipt_seal theirs = { .size = 1 };
	struct msg_SEAL seal = { .size = take() };
	struct msg_RECEIPT receipt = { .session = ipc.session_of[PROC_XFERD] };
	uint8_t bytes[RECEIPT_SEAL_MAX];
	ssize_t n;

	seal.session = receipt.session - (which >> 2 & 1);
	receipt.session = seal.session;
	if ((which & 3) < 2) {
		seen.transfers = (which & 1) != 0;
	} else if ((which & 3) == 2) {
		SAY(PROC_SFTD, SEAL, &seal);
	} else {
		snprintf(theirs.sender.name, sizeof(theirs.sender.name), "%s",
		    (which & 8) != 0 ? "guest" : "peer");
		snprintf(theirs.receiver, sizeof(theirs.receiver), "%s",
		    (which & 16) != 0 ? "guest" : SELF);
		n = receipt_seal_format(&theirs, bytes, sizeof(bytes));
		if (n < 0)
			return; /* guest's to guest */
		if ((which & 32) != 0)
			bytes[take() % (size_t)n] ^= take();
		receipt.seal = bytes;
		receipt.seal_len = (uint16_t)n;
		SAY(PROC_SFTD, RECEIPT, &receipt);
	}
}

static void
say_other(uint8_t which)
{
	struct msg_TOKEN_SIGN token = { .seconds = 60 };
	struct msg_SESSION_PEER peer = { .session = ipc.session_of[worker()] };
	struct msg_PERMIT_END end = { .permit = last_id };
	struct msg_JOIN_SIGN join = { .own_leaf = { 1 } };
	struct msg_REVEAL reveal = { .ksn = keyd.follow.now.self.ksn + 1 };

	memcpy(reveal.prev, keyd.follow.now.self.rotation, 32);
	switch (which) {
	case 0:
		say_follow(take());
		break;
	case 1:
		token.capabilities = take();
		(void)keystore_public(KEY_IDENTITY, token.audience);
		SAY(PROC_ATTESTD, TOKEN_SIGN, &token);
		break;
	case 2:
		snprintf(peer.peer, sizeof(peer.peer), "peer");
		SAY(PROC_ATTESTD, SESSION_PEER, &peer);
		break;
	case 3:
		SAY(PROC_CONTROLD, PERMIT_END, &end);
		break;
	case 4:
		if ((take() & 1) == 0)
			SAY(PROC_LINKD, JOIN_SIGN, &join);
		else
			SAY(PROC_ATTESTD, REVEAL, &reveal);
		break;
	case 5:
		say_rotate(take());
		break;
	case 6:
		say_walk(take());
		break;
	default:
		say_transfer(take());
		break;
	}
}

static void
ipc_step(uint8_t what)
{
	uint8_t n = what >> 3;

	if ((what & 7) == 6) {
		if (n < 8)
			say_logkey_new(n);
		else if (n < 16)
			say_checkpoint(n & 7);
		else if (n < 24)
			say_permit((uint8_t)((n & 7) | take() << 3));
		else
			say_update((uint8_t)((n & 7) | take() << 3));
	} else if (n < 8)
		say_role(EVIDENCE_CLIENT, n);
	else if (n < 12)
		say_role(EVIDENCE_SERVER, 0);
	else if (n < 24)
		say_leaf(n - 11);
	else
		say_other(n - 24);
}

/* What it gives away. */

/* clawd hears of each signature: that is where they are compared. */
static void
check_noted(struct rbuf r)
{
	struct msg_CHECKPOINT_NOTED n;
	uint64_t order;

	if (!msg_get_CHECKPOINT_NOTED(&r, &n) ||
	    !shardname_parse(n.shard, &order) || order < seen.order ||
	    (order == seen.order &&
		(n.size < seen.size ||
		    (n.size == seen.size &&
			memcmp(n.root, seen.root, 32) != 0))))
		abort();
	seen.order = order;
	seen.size = n.size;
	memcpy(seen.root, n.root, 32);
}

static void
check_leaf(enum proc who, struct rbuf r)
{
	uint32_t id = ipc.session_of[who];
	const struct session *s = find(id);
	uint8_t sig[EVIDENCE_SIG_LEN], key[KEY_PUBLIC_LEN];
	struct msg_LEAF_ISSUED m;
	struct evidence ev;

	if (seen.session[who] != id) {
		seen.session[who] = id;
		seen.leaves[who] = 0;
	}
	seen.leaves[who]++;
	if (!msg_get_LEAF_ISSUED(&r, &m) || s == NULL ||
	    keystore_public(KEY_IDENTITY, key) != 0 ||
	    evidence_parse(m.leaf, m.leaf_len, &ev, sig) != 0 ||
	    evidence_verify_sig(&ev, sig, key) != 0 ||
	    strcmp(ev.name, "node1") != 0 || ev.role != s->role ||
	    (s->role == EVIDENCE_CLIENT && ev.purpose != s->purpose) ||
	    (ev.purpose == EVIDENCE_SFT) != (who == PROC_XFERD) ||
	    ev.purpose == EVIDENCE_VOICE ||
	    (ev.purpose == EVIDENCE_JOIN && last_id == 0) ||
	    seen.leaves[who] > 1 + SESSION_LEAVES)
		abort();
}

/* No more words than there were sessions of transfers. */
static void
check_word(const char *sender, const char *receiver, bool ours)
{
	unsigned int sessions_ = 0;
	uint32_t i;

	for (i = 1; i <= ipc.session && i < sizeof(ipc.owner); i++)
		sessions_ += ipc.owner[i] == PROC_XFERD;
	must(++seen.words <= sessions_ &&
	    strcmp(ours ? sender : receiver, SELF) == 0 &&
	    strcmp(ours ? receiver : sender, SELF) != 0);
}

static void
check_sealed(struct rbuf r)
{
	uint8_t key[KEY_PUBLIC_LEN];
	struct receipt_seal seal;
	struct msg_SEALED m;

	must(msg_get_SEALED(&r, &m) &&
	    keystore_public(KEY_IDENTITY, key) == 0 &&
	    receipt_seal_parse(m.seal, m.seal_len, &seal) == 0 &&
	    receipt_seal_verify(&seal, key) == 0);
	check_word(seal.sender.name, seal.receiver, true);
}

static void
check_receipted(struct rbuf r)
{
	struct msg_RECEIPTED m;
	struct receipt receipt;

	must(msg_get_RECEIPTED(&r, &m) &&
	    receipt_parse(m.receipt, m.receipt_len, &receipt) == 0);
	check_word(receipt.seal.sender.name, receipt.seal.receiver, false);
}

static void
check_token(struct rbuf r)
{
	struct msg_TOKEN_SIGNED m;
	struct token token;

	/* It may have moved on since; this node's end is no earlier. */
	(void)check_place();
	if (!msg_get_TOKEN_SIGNED(&r, &m) ||
	    token_parse(m.token, strlen(m.token), &token) != TOKEN_OK ||
	    token.claims.cap == 0 || (token.claims.cap & ~may[1]) != 0 ||
	    token.claims.reg == 0 || token.claims.reg > 3)
		abort();
}

/* Of a rotation: the true next.key, and two files that are to be written. */
static void
hand_over_file(uint32_t id, struct rbuf r)
{
	struct msg_ROTATE_FILE m;
	struct wbuf none;
	uint8_t body[1];
	int fd;

	must(msg_get_ROTATE_FILE(&r, &m) && m.which < 3);
	wbuf_init(&none, body, sizeof(body));
	must(lseek(next_file, 0, SEEK_SET) == 0);
	fd = m.which == 0 ? next_file : memfd_create("new", MFD_CLOEXEC);
	clawd_says(MSG_ROTATE_FILE_HANDED, id, &none, fd);
	if (m.which != 0)
		close(fd);
}

static void
check_rotated(struct rbuf r)
{
	struct reg_turn_parsed p;
	struct msg_ROTATED m;
	uint8_t pub[KEY_PUBLIC_LEN];

	must(++seen.rotations <= seen.orders && msg_get_ROTATED(&r, &m) &&
	    reg_parse_turn((const char *)m.line, m.line_len, &p) == NULL &&
	    keystore_public(KEY_IDENTITY, pub) == 0 &&
	    reg_turn_signers(&p, pub) == NULL && strcmp(p.r.name, SELF) == 0);
}

static void
hand_over_authority(uint32_t id)
{
	struct wbuf none;
	uint8_t body[1];

	wbuf_init(&none, body, sizeof(body));
	clawd_says(MSG_AUTHORITY_HANDED, id, &none, authority_file);
}

static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct wbuf none;
	uint8_t body[1];

	wbuf_init(&none, body, sizeof(body));
	switch (m->type) {
	case MSG_SEALED:
		check_sealed(m->body);
		break;
	case MSG_RECEIPTED:
		check_receipted(m->body);
		break;
	case MSG_FOLLOWED:
	case MSG_REGISTRY_NOTED:
		(void)check_place();
		break;
	case MSG_ROTATE_FILE:
		hand_over_file(m->id, m->body);
		break;
	case MSG_ROTATE_KEEP:
		clawd_says(MSG_ROTATE_KEPT, m->id, &none, -1);
		break;
	case MSG_ROTATED:
		check_rotated(m->body);
		break;
	case MSG_CHECKPOINT_NOTED:
		check_noted(m->body);
		break;
	case MSG_AUTHORITY_WANTED:
		hand_over_authority(m->id);
		break;
	case MSG_UPDATE_SIGNED:
		/* One for each permit that there ever was, and "fresh". */
		if (++seen.updates > last_id + 1)
			abort();
		break;
	case MSG_LEAF_ISSUED:
		check_leaf(peer, m->body);
		break;
	case MSG_TOKEN_SIGNED:
		check_token(m->body);
		break;
	case MSG_JOIN_SIGNED:
	case MSG_REVEALED: /* the registry commits to another key */
		abort();
	default:
		break;
	}
}

static void
ipc_end(void)
{
	if (follow_my.wait != NULL)
		event_free(follow_my.wait);
	if (rotate_my.spread != NULL)
		event_free(rotate_my.spread);
	keystore_forget(KEY_LOG);
	keystore_forget(KEY_AUTHORITY);
}

static bool
ipc_may_die(const char *why)
{
	(void)why;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&child, data, len);
}
