/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_attestd.c - attestd under siblings that were taken over, on a real
 * registry in a memory file system.
 *
 * Whatever it is told, attestd lets in nobody but the one node that the
 * registry has, for no leaf but one that this node signed over a challenge of
 * that session, and for each challenge once; tells meshd and sftd of nobody
 * else, and each of its own workers' sessions alone; and brings keyd nothing
 * that has not the form of an update.
 */
#define main attestd_main
int attestd_main(int, char **);
#include "attestd/attestd.c"
#undef main

/* Rooms whose timers are to begin anew with each run. */
#include "attestd/refusals.c"
#include "attestd/invite.c"
#include "attestd/visits.c"
#define record chain_record
#define answer chain_answer
#define asker chain_asker
#define take chain_take
#define count chain_count
#include "attestd/chain.c"
#undef record
#undef answer
#undef asker
#undef take
#undef count

#include <openssl/evp.h>

#include <fcntl.h>

#define my tell_my
#define say tell_say
#define step tell_step
#define begin tell_begin
#define have tell_have
#include "attestd/tell_keyd.c"
#undef my
#undef say
#undef step
#undef begin
#undef have

#include "attestd/follow.h"
#include "common/atls.h"
#include "common/capability.h"
#include "common/evidence.h"
#include "tests/fuzz/ipc.h"
#include "tests/fuzz/scratch.h"

#define AGO_S 1000 /* the registry's genesis */
#define CAPS UINT64_C(5)
#define LINES 6 /* three that it has, three that may come */

enum who { AUTHORITY, FRESH, SELF, PEER, STRANGER, WHO_MAX };

static EVP_PKEY *keys[WHO_MAX];
static uint8_t pub[WHO_MAX][32];
static char line[LINES][REGISTRY_LINE_MAX + 1];
static size_t line_len[LINES];
static registry_hash genesis, head;

static struct follow keyd; /* that attestd brings the registry */

static struct {
	uint8_t nonce[32]; /* the challenge given last */
	bool has_nonce;
	unsigned int right; /* leaves that may be believed */
	unsigned int accepted;
	struct registry_update update; /* that keyd was asked to sign */
	bool has_update;
	bool transfers; /* sftd and an xferd speak, not meshd and a linkd */
} seen;

static enum proc
worker(void)
{
	return seen.transfers ? PROC_XFERD : PROC_LINKD;
}

static enum proc
broker(void)
{
	return seen.transfers ? PROC_SFTD : PROC_MESHD;
}

static void
must(bool so)
{
	if (!so)
		abort();
}

static void
sign(enum who who, const void *text, size_t len, uint8_t sig[64])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 64;

	must(EVP_DigestSignInit(c, NULL, NULL, NULL, keys[who]) == 1 &&
	    EVP_DigestSign(c, sig, &n, text, len) == 1);
	EVP_MD_CTX_free(c);
}

static void
sign_update(const struct registry_update *u, enum who who,
    struct registry_signature *out)
{
	static uint8_t text[REGUPDATE_SIGNED_MAX];
	ssize_t n = regupdate_signed_bytes(u, text, sizeof(text));

	must(n > 0);
	memcpy(out->kid, pub[who], sizeof(out->kid));
	sign(who, text, (size_t)n, out->sig);
}

/* The next line of the registry; taken in, if it is to be. */
static void
add_line(struct registry *r, struct registry_update *u, size_t i, bool apply)
{
	struct registry_signature s;
	const char *why;
	ssize_t n;

	u->v = REGISTRY_VERSION;
	if (i > 0)
		must(registry_propose(r, u) == NULL);
	sign_update(u, AUTHORITY, &s);
	n = regupdate_line(u, &s, 1, line[i], sizeof(line[i]));
	must(n > 0);
	line_len[i] = (size_t)n;
	if (apply)
		must(registry_apply(r, line[i], (size_t)n, &why) == 0);
}

static struct registry_update
adds(const char *name, enum who who, uint64_t time_s)
{
	struct registry_update u = { .op = REGISTRY_NODE_ADD,
		.time_s = time_s };

	snprintf(u.node.name, sizeof(u.node.name), "%s", name);
	memcpy(u.node.identity, pub[who], sizeof(u.node.identity));
	memset(u.node.sealing, 0x55, sizeof(u.node.sealing));
	u.node.capabilities = CAPS;
	return u;
}

/*
 * Genesis, this node and its peer; then three lines that could follow: news,
 * the end of the peer, and another history.
 */
static void
make_registry(void)
{
	struct registry_update u = { .op = REGISTRY_GENESIS };
	const char *why;
	struct registry *r;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	u.v = REGISTRY_VERSION;
	u.time_s = (uint64_t)now.tv_sec - AGO_S;
	u.windows.soft_s = 1 << 20;
	u.windows.hard_s = 1 << 21;
	u.set.count = u.set.threshold = 1;
	u.set.has_fresh = true;
	memcpy(u.set.authority[0], pub[AUTHORITY], 32);
	memcpy(u.set.fresh[0], pub[FRESH], 32);
	add_line(NULL, &u, 0, false);
	must(registry_genesis_hash(line[0], line_len[0], genesis) == 0);
	r = registry_new(genesis);
	must(registry_apply(r, line[0], line_len[0], &why) == 0);
	u = adds("node1", SELF, u.time_s);
	add_line(r, &u, 1, true);
	u = adds("peer", PEER, u.time_s);
	add_line(r, &u, 2, true);
	memcpy(head, registry_head(r), sizeof(head));
	u = adds("more", STRANGER, u.time_s);
	add_line(r, &u, 3, false);
	u = (struct registry_update){ .op = REGISTRY_NODE_REVOKE,
		.time_s = u.time_s + 1 };
	snprintf(u.node.name, sizeof(u.node.name), "peer");
	add_line(r, &u, 4, false);
	u = (struct registry_update){ .op = REGISTRY_POLICY,
		.time_s = u.time_s + 1,
		.windows = { 1 << 20, 1 << 22 } };
	add_line(r, &u, 5, false);
	registry_free(r);
}

static void
make_all(void)
{
	uint8_t seed[32];
	size_t i, n;

	for (i = 0; i < WHO_MAX; i++) {
		memset(seed, (int)i + 1, sizeof(seed));
		keys[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		    seed, sizeof(seed));
		n = sizeof(pub[i]);
		must(keys[i] != NULL &&
		    EVP_PKEY_get_raw_public_key(keys[i], pub[i], &n) == 1);
	}
	make_registry();
	scratch_make("attestd");
}

static void
write_registry(void)
{
	char path[128];
	FILE *f;
	int fd, i;

	snprintf(path, sizeof(path), "%s/registry.ndjson", top);
	f = fopen(path, "we");
	must(f != NULL);
	for (i = 0; i < 3; i++)
		must(fprintf(f, "%s\n", line[i]) > 0);
	must(fclose(f) == 0);
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd != -1 &&
	    (fd == DESC_REGISTRY_DIR || dup2(fd, DESC_REGISTRY_DIR) != -1));
	if (fd != DESC_REGISTRY_DIR)
		close(fd);
}

static void
ipc_begin(void)
{
	if (keys[0] == NULL) {
		prepare();
		make_all();
	}
	scratch_clean();
	write_registry();
	memset(&attestd, 0, sizeof(attestd));
	memset(&staged, 0, sizeof(staged));
	memset(&seen, 0, sizeof(seen));
	memset(&tell_my, 0, sizeof(tell_my));
	follow_begin(&keyd, "node1", genesis);
	memset(&minute, 0, sizeof(minute));
	memset(places, 0, sizeof(places));
	look = NULL;
	visitor_count = 0;
	memset(&addresses, 0, sizeof(addresses));
	memset(&fresh, 0, sizeof(fresh));
}

static void
ipc_config(struct wbuf *w)
{
	struct msg_CONFIG_ATTESTD config = { .generation = 1,
		.log_level = 0,
		.node = "node1" };

	memcpy(config.genesis, genesis, sizeof(config.genesis));
	memcpy(config.identity, pub[SELF], sizeof(config.identity));
	msg_put_CONFIG_ATTESTD(w, &config);
}

static uint32_t
next_id(enum proc as, uint16_t type)
{
	return msg_rule(type)->reply == MSG_NONE ? 0 : ++ipc.next_id[as];
}

#define SAY_AS(as, name, id, m)                                                \
	do {                                                                   \
		static uint8_t bytes_[MSG_MAX_LEN];                            \
		struct wbuf w_;                                                \
                                                                               \
		wbuf_init(&w_, bytes_, sizeof(bytes_));                        \
		msg_put_##name(&w_, m);                                        \
		send_to(as, MSG_##name, id, &w_, -1);                          \
	} while (0)
#define SAY(as, name, m) SAY_AS(as, name, next_id(as, MSG_##name), m)

/* What honest siblings would say, so that the fuzzer gets deeper. */

static void
say_open(uint8_t how)
{
	struct msg_SESSION_OPEN open = { .session = ipc.session_of[worker()],
		.role = (how & 1) != 0 ? EVIDENCE_SERVER : EVIDENCE_CLIENT,
		.address = "192.0.2.1:7946" };

	if (open.role == EVIDENCE_CLIENT) {
		open.purpose = (how & 2) != 0 ? EVIDENCE_REGISTRY :
		    seen.transfers	      ? EVIDENCE_SFT :
						EVIDENCE_MESH;
		snprintf(open.peer, sizeof(open.peer), "peer");
	}
	SAY(broker(), SESSION_OPEN, &open);
}

static const uint8_t p256[EVIDENCE_SPKI_LEN] = { 0x30, 0x59, 0x30, 0x13, 0x06,
	0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
	0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17,
	0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4,
	0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1,
	0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
	0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
	0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf,
	0x51, 0xf5 };

/* One change to what is right; false: it may be believed all the same. */
static bool
spoil(struct evidence *ev, enum who *who, uint8_t how)
{
	switch (how) {
	case 1:
		ev->verifier_nonce[take() % 32] ^= 1;
		return true;
	case 2:
		*who = STRANGER;
		return true;
	case 3:
		snprintf(ev->name, sizeof(ev->name), "stranger");
		return true;
	case 4:
		ev->seq += take();
		return false;
	case 5:
		ev->head[0] ^= take();
		return false;
	case 6:
		ev->role = ev->role == EVIDENCE_CLIENT ? EVIDENCE_SERVER :
							 EVIDENCE_CLIENT;
		return false;
	default:
		return false;
	}
}

/* The peer's leaf, by its own key. */
static void
say_judge(uint8_t how, bool server, uint8_t purpose)
{
	struct evidence ev = { .role =
				   server ? EVIDENCE_SERVER : EVIDENCE_CLIENT,
		.purpose = purpose,
		.name = "peer",
		.seq = 2 };
	uint8_t tbs[EVIDENCE_TBS_MAX], leaf[EVIDENCE_CERT_MAX], sig[64];
	struct msg_JUDGE m = { .purpose = purpose, .leaf = leaf };
	enum who who = PEER;
	ssize_t n;

	if (purpose == EVIDENCE_JOIN)
		snprintf(ev.name, sizeof(ev.name), "guest");
	if (!server)
		snprintf(ev.peer, sizeof(ev.peer), "node1");
	memcpy(ev.verifier_nonce, seen.nonce, sizeof(ev.verifier_nonce));
	memset(ev.prover_nonce, 7, sizeof(ev.prover_nonce));
	memcpy(m.prover, ev.prover_nonce, sizeof(m.prover));
	memcpy(ev.head, head, sizeof(ev.head));
	must(capability_digest(CAPS, ev.caps) == 0);
	ev.not_before = (int64_t)attestd_now() - 10;
	ev.not_after = ev.not_before + 300;
	memcpy(ev.spki, p256, sizeof(ev.spki));
	if (!spoil(&ev, &who, how) && seen.has_nonce &&
	    purpose != EVIDENCE_JOIN)
		seen.right++;
	n = evidence_tbs(&ev, tbs, sizeof(tbs));
	if (n < 0)
		return;
	sign(who, tbs, (size_t)n, sig);
	n = evidence_cert(tbs, (size_t)n, sig, leaf, sizeof(leaf));
	must(n > 0);
	m.leaf_len = (uint16_t)n;
	SAY(worker(), JUDGE, &m);
}

/* Lines that follow what attestd has, or begin another history. */
static void
say_offer(enum proc as, uint8_t how)
{
	static char lines[2 * (REGISTRY_LINE_MAX + 2)];
	struct msg_REGISTRY_OFFER m = { .lines = (const uint8_t *)lines };
	size_t i = 3 + how % 3, n = line_len[i];

	memcpy(lines, line[i], n);
	lines[n++] = '\n';
	if (take() >= 192)
		lines[take() % n] ^= (char)take();
	m.lines_len = (uint16_t)n;
	SAY(as, REGISTRY_OFFER, &m);
}

static void
say_update(uint8_t how)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct msg_REGISTRY_UPDATE m = { .propose = how & 1, .update = bytes };
	struct registry_update u = adds("guest", STRANGER, 0);
	ssize_t n;

	u.v = REGISTRY_VERSION;
	if ((how & 2) != 0) {
		u = (struct registry_update){ .v = REGISTRY_VERSION,
			.op = REGISTRY_NODE_REVOKE };
		snprintf(u.node.name, sizeof(u.node.name), "peer");
	}
	/* What attestd fills in must only be there. */
	u.seq = u.time_s = u.prev[0] = 1;
	n = regupdate_put(&u, bytes, sizeof(bytes));
	must(n > 0);
	m.update_len = (uint16_t)n;
	SAY(PROC_CONTROLD, REGISTRY_UPDATE, &m);
}

static void
say_line(bool cosign)
{
	struct msg_REGISTRY_COSIGN m = { .line = (const uint8_t *)line[3],
		.line_len = (uint16_t)line_len[3] };
	struct msg_REGISTRY_INSPECT inspect = { .line = m.line,
		.line_len = m.line_len };

	if (cosign)
		SAY(PROC_CONTROLD, REGISTRY_COSIGN, &m);
	else
		SAY(PROC_CONTROLD, REGISTRY_INSPECT, &inspect);
}

static void
say_invite(uint8_t which)
{
	struct msg_INVITE_OPEN open = { .name = "guest",
		.capabilities = 1,
		.expiry = attestd_now() + 600,
		.confirm = which & 1 };
	struct msg_INVITE_ANSWER answer = { .name = "guest", .yes = which & 1 };
	struct msg_INVITE_SHOW show = { .index = take() % 4 };
	uint8_t body[64];
	struct msg_JOIN_ASK ask = { .join = body };

	switch (which >> 1) {
	case 0:
		memcpy(open.ticket, pub[STRANGER], sizeof(open.ticket));
		open.ticket[0] ^= take();
		SAY(PROC_CONTROLD, INVITE_OPEN, &open);
		break;
	case 1:
		SAY(PROC_CONTROLD, INVITE_ANSWER, &answer);
		break;
	case 2:
		SAY(PROC_CONTROLD, INVITE_SHOW, &show);
		break;
	default:
		while (ask.join_len < sizeof(body) && ipc.len > 0)
			body[ask.join_len++] = take();
		SAY(PROC_LINKD, JOIN_ASK, &ask);
		break;
	}
}

static void
say_other(uint8_t which)
{
	struct msg_RENONCE renonce = { 0 };
	struct msg_SESSION_CLOSED closed = { .session =
						 ipc.session_of[worker()] };
	struct msg_STRANGER stranger = { .address = "192.0.2.3:7946",
		.how = which };
	struct msg_PEER_FIND find = { .peer = "peer" };
	struct msg_LINK_FAILED failed = { .by_peer = 1, .reason = "fuzzed" };
	struct msg_REGISTRY_READ read = { .rotations = which & 1,
		.from = take() % 4 };
	struct msg_WHY why = { .name = "peer" };
	struct msg_TOKEN_MINT mint = { .capabilities = take() };

	switch (which) {
	case 0:
		SAY(worker(), RENONCE, &renonce);
		break;
	case 1:
		SAY(broker(), SESSION_CLOSED, &closed);
		break;
	case 2:
		SAY(worker(), LINK_FAILED, &failed);
		break;
	case 3:
	case 4:
		SAY(PROC_LINKD, REGISTRY_READ, &read);
		break;
	case 5:
		SAY(PROC_CONTROLD, WHY, &why);
		break;
	case 6:
		SAY(broker(), STRANGER, &stranger);
		break;
	case 7:
		SAY(PROC_SFTD, PEER_FIND, &find);
		break;
	default:
		memcpy(mint.audience, pub[PEER], sizeof(mint.audience));
		SAY(PROC_CONTROLD, TOKEN_MINT, &mint);
		break;
	}
}

/* auditd and keyd, who answer what they were asked last. */
static void
answer_last(uint8_t which)
{
	struct msg_AUDIT_APPENDED appended = { .shard = "2026-11" };
	struct msg_UPDATE_SIGNED done;
	struct registry_signature s;

	if ((which & 1) == 0) {
		SAY_AS(PROC_AUDITD, AUDIT_APPENDED,
		    id_for(PROC_AUDITD, 5 + (which >> 1) % 3), &appended);
	} else if (seen.has_update) {
		sign_update(&seen.update,
		    seen.update.op == REGISTRY_FRESH ? FRESH : AUTHORITY, &s);
		memcpy(done.key, s.kid, sizeof(done.key));
		memcpy(done.signature, s.sig, sizeof(done.signature));
		SAY_AS(PROC_KEYD, UPDATE_SIGNED, id_for(PROC_KEYD, 5), &done);
	}
}

static void
ipc_step(uint8_t what)
{
	static const uint8_t purposes[] = { EVIDENCE_MESH, EVIDENCE_REGISTRY,
		EVIDENCE_JOIN, EVIDENCE_MESH };
	uint8_t n = what >> 3;

	if ((what & 7) == 6) {
		if (n < 4)
			say_open(n);
		else if (n < 12)
			say_judge(n & 7, (n & 4) != 0,
			    seen.transfers ? EVIDENCE_SFT : EVIDENCE_MESH);
		else if (n < 20)
			say_judge(0, (n & 4) != 0, purposes[n & 3]);
		else if (n < 24)
			say_judge(n & 7, (take() & 1) != 0, purposes[n & 3]);
		else
			say_invite(n & 7);
	} else if (n < 8) {
		answer_last(n);
	} else if (n < 16) {
		say_offer((n & 1) != 0 ? PROC_CONTROLD : PROC_LINKD, n >> 1);
	} else if (n < 20) {
		say_update(n & 3);
	} else if (n < 22) {
		say_line((n & 1) != 0);
	} else if (n < 24) {
		seen.transfers = (n & 1) != 0;
	} else {
		say_other(n & 7);
	}
}

/* What it gives away. */

static void
check_verdict(struct rbuf r)
{
	struct msg_VERDICT v;

	must(msg_get_VERDICT(&r, &v));
	if (v.alert != ATLS_ACCEPT || strcmp(v.peer, "guest") == 0)
		return;
	must(strcmp(v.peer, "peer") == 0 && ++seen.accepted <= seen.right);
}

static void
note_update(struct rbuf r)
{
	struct msg_UPDATE_SIGN m;

	must(msg_get_UPDATE_SIGN(&r, &m) &&
	    regupdate_get(&seen.update, m.update, m.update_len) == 0);
	seen.has_update = true;
}

/* An honest keyd; the fuzzer may have answered for it before. */
static void
follow_it(const struct msg *m)
{
	static struct registry_signature sigs[REGISTRY_SIGS_MAX];
	static struct registry_update u;
	const struct follow_state *at;
	struct msg_REFUSED no = { .code = EPERM };
	struct registry_rotation turned;
	struct msg_FOLLOWED done = { 0 };
	struct msg_FOLLOW want;
	const char *why = NULL;
	struct rbuf r = m->body;
	size_t n;

	must(msg_get_FOLLOW(&r, &want));
	if (want.whole != 0)
		follow_walk(&keyd);
	rbuf_init(&r, want.lines, want.lines_len);
	while (r.len > 0 && why == NULL)
		if (want.rotations != 0) {
			must(regupdate_rotation_signed_get(&turned, sigs, &n,
				 &r) == 0);
			why = follow_rotation(&keyd, &turned, sigs, n);
		} else {
			must(regupdate_signed_get(&u, sigs, &n, &r) == 0);
			why = follow_update(&keyd, &u, sigs, n);
		}
	if (why == NULL && want.end != 0)
		why = follow_end(&keyd);
	if (why != NULL) {
		SAY_AS(PROC_KEYD, REFUSED, m->id, &no);
		return;
	}
	at = follow_where(&keyd);
	done.begun = at->begun;
	done.seq = at->seq;
	done.base_seq = at->base_seq;
	done.ksn = at->self.ksn;
	memcpy(done.head, at->head, sizeof(done.head));
	memcpy(done.base, at->base, sizeof(done.base));
	memcpy(done.rotation, at->self.rotation, sizeof(done.rotation));
	SAY_AS(PROC_KEYD, FOLLOWED, m->id, &done);
}

static void
note_nonce(const struct msg *m)
{
	struct msg_SESSION_OPENED opened;
	struct msg_NONCE nonce;
	struct rbuf r = m->body;

	seen.has_nonce = true;
	if (m->type == MSG_NONCE) {
		must(msg_get_NONCE(&r, &nonce));
		memcpy(seen.nonce, nonce.nonce, sizeof(seen.nonce));
	} else {
		must(msg_get_SESSION_OPENED(&r, &opened));
		memcpy(seen.nonce, opened.nonce, sizeof(seen.nonce));
	}
}

static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_SESSION_ATTESTED attested;
	struct rbuf r = m->body;

	switch (m->type) {
	case MSG_VERDICT:
		check_verdict(r);
		break;
	case MSG_SESSION_ATTESTED:
		must(msg_get_SESSION_ATTESTED(&r, &attested) &&
		    strcmp(attested.peer, "peer") == 0 &&
		    attested.session < sizeof(ipc.owner) &&
		    ipc.owner[attested.session] ==
			(peer == PROC_SFTD ? PROC_XFERD : PROC_LINKD));
		break;
	case MSG_FOLLOW:
		follow_it(m);
		break;
	case MSG_SESSION_OPENED:
	case MSG_NONCE:
		note_nonce(m);
		break;
	case MSG_UPDATE_SIGN:
		note_update(r);
		break;
	default:
		break;
	}
}

static void
ipc_end(void)
{
	registry_free(attestd.registry);
	attestd.registry = NULL;
	close(DESC_REGISTRY_DIR);
}

static bool
ipc_may_die(const char *why)
{
	/* An auditd that hangs up before START. */
	return strcmp(why, "no channel to auditd") == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&child, data, len);
}
