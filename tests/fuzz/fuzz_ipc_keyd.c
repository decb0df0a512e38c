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
 *	gives no token more than the registry gave this node
 *	signs no JOIN for a node that exists
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
#define keyd_on_head head_is
void head_is(struct chan *, struct msg *);
#include "attestd/keyd_registry.c"
#undef keyd_on_head

#include <sys/mman.h>

#include "common/shardname.h"
#include "tests/fuzz/ipc.h"

static struct {
	uint64_t order, size;
	uint8_t root[32];
	uint64_t capabilities; /* all that it was ever told of */
	unsigned int updates;
	uint32_t session;
	unsigned int leaves; /* of that session */
} seen;

static int authority_file;

void
keyd_on_head(struct chan *c, struct msg *m)
{
	head_is(c, m);
	seen.capabilities |= keyd.capabilities;
}

static int
key_file(const char *name, int (*create)(int))
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
		close(key_file("keys", keystore_create));
		authority_file =
		    key_file("authority", keystore_create_authority);
		made = true;
	}
	keystore_forget(KEY_AUTHORITY);
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
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_KEYD config = { .generation = 1,
		.log_level = 0,
		.node = "node1" };

	msg_put_CONFIG_KEYD(w, &config);
}

static void
say_it(enum proc as, uint16_t type, const struct wbuf *body)
{
	uint8_t packet[MSG_MAX_LEN];
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)body->len);
	wbuf_u32(&w, msg_rule(type)->reply == MSG_NONE ? 0 : ++ipc.next_id[as]);
	wbuf_put(&w, body->data, body->len);
	if (ipc.end[as] != -1)
		put_packet_to(as, packet, w.len, NULL, 0);
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
	struct msg_SESSION_ROLE m = { .session = ipc.session,
		.role = role,
		.purpose = purpose };

	if (role == EVIDENCE_CLIENT)
		snprintf(m.peer, sizeof(m.peer), "peer");
	SAY(PROC_MESHD, SESSION_ROLE, &m);
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
	SAY(PROC_LINKD, LEAF, &want);
}

static void
say_other(uint8_t which)
{
	struct msg_KEYD_HEAD head = { .seq = keyd.seq + 1 };
	struct msg_TOKEN_SIGN token = { .seconds = 60 };
	struct msg_SESSION_PEER peer = { .session = ipc.session };
	struct msg_PERMIT_END end = { .permit = last_id };
	struct msg_JOIN_SIGN join = { .own_leaf = { 1 } };

	switch (which) {
	case 0:
		head.capabilities = take() & 15;
		SAY(PROC_ATTESTD, KEYD_HEAD, &head);
		break;
	case 1:
		token.capabilities = take();
		token.registry = keyd.seq;
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
	default:
		SAY(PROC_LINKD, JOIN_SIGN, &join);
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
check_leaf(struct rbuf r)
{
	const struct session *s = find(ipc.session);
	uint8_t sig[EVIDENCE_SIG_LEN], key[KEY_PUBLIC_LEN];
	struct msg_LEAF_ISSUED m;
	struct evidence ev;

	if (seen.session != ipc.session) {
		seen.session = ipc.session;
		seen.leaves = 0;
	}
	seen.leaves++;
	if (!msg_get_LEAF_ISSUED(&r, &m) || s == NULL ||
	    keystore_public(KEY_IDENTITY, key) != 0 ||
	    evidence_parse(m.leaf, m.leaf_len, &ev, sig) != 0 ||
	    evidence_verify_sig(&ev, sig, key) != 0 ||
	    strcmp(ev.name, "node1") != 0 || ev.role != s->role ||
	    (s->role == EVIDENCE_CLIENT && ev.purpose != s->purpose) ||
	    ev.purpose == EVIDENCE_SFT || ev.purpose == EVIDENCE_VOICE ||
	    (ev.purpose == EVIDENCE_JOIN && last_id == 0) ||
	    seen.leaves > 1 + SESSION_LEAVES)
		abort();
}

static void
check_token(struct rbuf r)
{
	struct msg_TOKEN_SIGNED m;
	struct token token;

	if (!msg_get_TOKEN_SIGNED(&r, &m) ||
	    token_parse(m.token, strlen(m.token), &token) != TOKEN_OK ||
	    (token.claims.cap & ~seen.capabilities) != 0)
		abort();
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
	(void)peer;
	switch (m->type) {
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
		check_leaf(m->body);
		break;
	case MSG_TOKEN_SIGNED:
		check_token(m->body);
		break;
	case MSG_JOIN_SIGNED:
		abort();
	default:
		break;
	}
}

static void
ipc_end(void)
{
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
