/* SPDX-License-Identifier: ISC */
/*
 * test_invite.c - a ticket admits one set of keys, and nothing follows from a
 * JOIN before it is durable and recorded.
 *
 * The inviter's room between channels of its own; records, signatures and
 * sessions are this program's, which notes in which order they are asked for.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
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

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attestd/attestd.h"
#include "attestd/invite.h"
#include "common/child.h"
#include "common/evidence.h"
#include "common/join.h"

#define T0 UINT64_C(1795270000)

enum who { AUTHORITY, INVITER, JOINER, OTHER, TICKET, TICKET_2, WHO_MAX };

static EVP_PKEY *keys[WHO_MAX];
static uint8_t pub[WHO_MAX][32];

struct attestd attestd = { .node = "alpha" };

static struct event_base *base;
static struct chan *link_here, *link_there, *control_here, *control_there;
static char folder[] = "/tmp/test_invite.XXXXXX";
static int dirfd_ = -1;

/* What the room asked for: 's' it is on the disk by then, 'r' a record, 'u' an
 * update. */
static char steps[64];
static int last_event;
static bool records_fail;
static enum { ADD, PROPOSE, NO_PERMIT, NO_KEYD } updates;
static uint64_t now_s;
static struct evidence leaf;
static uint8_t leaf_sig[EVIDENCE_SIG_LEN];
static bool session_known;
/* The answer of the last JOIN_ASK; -1: none. */
static int status;
static char text[256];
static bool refused;

static void
sign(enum who who, const void *p, size_t len, uint8_t sig[64])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = 64;

	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, keys[who]), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &n, p, len), 1);
	EVP_MD_CTX_free(c);
}

/* What the room calls. */

uint64_t
attestd_now(void)
{
	return now_s;
}

uint64_t
attestd_boot(void)
{
	return now_s;
}

struct event_base *
child_base(void)
{
	return base;
}

struct chan *
child_peer(enum proc peer)
{
	return peer == PROC_CONTROLD ? control_here : NULL;
}

uint32_t
child_session(const struct chan *c)
{
	return c == link_here ? 7 : 0;
}

uint64_t
child_serial(const struct chan *c)
{
	return (uint64_t)(uintptr_t)c;
}

struct chan *
child_with(uint64_t serial)
{
	return serial == child_serial(control_here) ? control_here : NULL;
}

struct chan *
sessions_chan(uint32_t session)
{
	return session == 7 ? link_here : NULL;
}

const struct evidence *
sessions_joiner(const struct chan *c, const uint8_t **sig, const char **address)
{
	(void)c;
	*sig = leaf_sig;
	*address = "192.0.2.9:4711";
	return session_known ? &leaf : NULL;
}

bool
refusals_singly(const char *address)
{
	(void)address;
	return true;
}

static bool
on_disk(const char *what)
{
	static char all[65536];
	int fd = openat(dirfd_, "invites.ndjson", O_RDONLY);
	ssize_t n = fd == -1 ? 0 : read(fd, all, sizeof(all) - 1);

	if (fd != -1)
		close(fd);
	all[n > 0 ? n : 0] = '\0';
	return strstr(all, what) != NULL;
}

bool
attestd_record(struct auditrec *r, chan_done *done, void *arg)
{
	struct msg m = { .type = MSG_AUDIT_APPENDED };

	if (on_disk("\"state\":\"used\""))
		strcat(steps, "s");
	strcat(steps, "r");
	last_event = auditrec_msg(r)->event;
	if (records_fail)
		m.type = MSG_REFUSED;
	if (done != NULL)
		done(NULL, &m, arg);
	return true;
}

static size_t
line_of(const struct registry_update *u, char *line)
{
	static uint8_t bytes[REGUPDATE_SIGNED_MAX];
	struct registry_signature s;
	ssize_t n = regupdate_signed_bytes(u, bytes, sizeof(bytes));

	assert_true(n > 0);
	memcpy(s.kid, pub[AUTHORITY], sizeof(s.kid));
	sign(AUTHORITY, bytes, (size_t)n, s.sig);
	n = regupdate_line(u, &s, 1, line, REGISTRY_LINE_MAX);
	assert_true(n > 0);
	return (size_t)n;
}

void
chain_update(struct registry_update *u, chain_done *done, void *arg)
{
	static char line[REGISTRY_LINE_MAX + 1];
	struct chain_result result = { .line = line };
	const char *why;

	strcat(steps, "u");
	u->time_s = now_s;
	why = registry_propose(attestd.registry, u);
	if (why != NULL)
		fail_msg("%s", why);
	result.len = line_of(u, line);
	line[result.len] = '\0';
	switch (updates) {
	case ADD:
		assert_int_equal(
		    registry_apply(attestd.registry, line, result.len, &why),
		    0);
		result.applied = true;
		break;
	case PROPOSE:
		result.have = 1;
		result.need = 2;
		break;
	case NO_PERMIT:
		result.why = "no operator has asked for it";
		result.code = EPERM;
		break;
	case NO_KEYD:
		result.why = "keyd is not there";
		result.code = EAGAIN;
		break;
	}
	done(&result, arg);
}

/* Both ends of both channels. */

static const struct chan_handlers handlers[] = {
	{ MSG_INVITE_OPEN, invite_on_open },
	{ MSG_INVITE_SHOW, invite_on_show },
	{ MSG_INVITE_ANSWER, invite_on_answer },
	{ MSG_JOIN_ASK, invite_on_join },
	{ 0, NULL },
};

static void
closed(struct chan *c)
{
	(void)c;
	fail_msg("a channel was closed");
}

static void
violation(struct chan *c, uint16_t type, const char *reason)
{
	(void)c;
	fail_msg("%s: %s", msg_name(type), reason);
}

static const struct chan_ops ops = { handlers, closed, violation };

static void
pair_of(enum proc peer, struct chan **here, struct chan **there)
{
	int fd[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	*here = chan_new(base, fd[0], PROC_ATTESTD, peer, &ops, NULL);
	*there = chan_new(base, fd[1], peer, PROC_ATTESTD, &ops, NULL);
	chan_set_when(*here, WHEN_RUN);
	chan_set_when(*there, WHEN_RUN);
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
found_registry(void)
{
	static char line[REGISTRY_LINE_MAX];
	struct registry_update u = { .v = REGISTRY_VERSION,
		.op = REGISTRY_GENESIS,
		.time_s = T0,
		.windows = { 86400, 1209600 },
		.set = { .count = 1, .threshold = 1 } };
	const char *why;
	size_t n;

	memcpy(u.set.authority[0], pub[AUTHORITY], 32);
	n = line_of(&u, line);
	assert_int_equal(registry_genesis_hash(line, n, attestd.genesis), 0);
	attestd.registry = registry_new(attestd.genesis);
	assert_int_equal(registry_apply(attestd.registry, line, n, &why), 0);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test_invite.XXXXXX");
	assert_non_null(mkdtemp(folder));
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pair_of(PROC_LINKD, &link_here, &link_there);
	pair_of(PROC_CONTROLD, &control_here, &control_there);
	now_s = T0 + 100;
	records_fail = false;
	session_known = true;
	updates = ADD;
	steps[0] = '\0';
	found_registry();
	assert_null(invite_load(dirfd_));
	return 0;
}

static int
teardown(void **state)
{
	char path[64];

	(void)state;
	chan_free(link_here);
	chan_free(link_there);
	chan_free(control_here);
	chan_free(control_there);
	registry_free(attestd.registry);
	close(dirfd_);
	snprintf(path, sizeof(path), "%s/invites.ndjson", folder);
	chmod(folder, 0700);
	unlink(path);
	rmdir(folder);
	return 0;
}

/* As after a crash: all that is known is what the file says. */
static void
start_again(void)
{
	assert_null(invite_load(dirfd_));
}

/* Questions. */

static void
on_answer(struct chan *c, struct msg *m, void *arg)
{
	struct msg_JOIN_ANSWER a;
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	assert_non_null(m);
	refused = m->type == MSG_REFUSED;
	if (refused) {
		assert_true(msg_get_REFUSED(&m->body, &no));
		snprintf(text, sizeof(text), "%.255s", no.text);
	} else if (m->type == MSG_JOIN_ANSWER) {
		assert_true(msg_get_JOIN_ANSWER(&m->body, &a));
		status = a.status;
		snprintf(text, sizeof(text), "%s", a.text);
	}
}

static void
open_invite(const char *name, enum who ticket, bool confirm, const uint8_t *pin)
{
	struct msg_INVITE_OPEN want = { .capabilities = 3,
		.expiry = now_s + 600,
		.confirm = confirm };

	snprintf(want.name, sizeof(want.name), "%s", name);
	memcpy(want.ticket, pub[ticket], 32);
	if (pin != NULL)
		memcpy(want.pinned, pin, 32);
	(void)chan_send_INVITE_OPEN(control_there,
	    chan_ask(control_there, MSG_INVITE_OPEN, on_answer, NULL), -1,
	    &want);
	turn();
}

static void
say(const char *name, bool yes)
{
	struct msg_INVITE_ANSWER want = { .yes = yes };

	snprintf(want.name, sizeof(want.name), "%s", name);
	(void)chan_send_INVITE_ANSWER(control_there,
	    chan_ask(control_there, MSG_INVITE_ANSWER, on_answer, NULL), -1,
	    &want);
	turn();
}

/* Somebody with that ticket; how: which of the parts is wrong. */
enum how {
	RIGHT,
	NOT_ITS_LEAF,
	OTHER_SESSION,
	NO_TICKET_KEY,
	GARBLED,
	UNREACHABLE
};

#define AT "198.51.100.7:7946"

static void
make_leaf(const char *name, enum who who)
{
	uint8_t tbs[EVIDENCE_TBS_MAX], *p;
	EVP_PKEY *ec = EVP_EC_gen("P-256");
	ssize_t n;

	memset(&leaf, 0, sizeof(leaf));
	leaf.role = EVIDENCE_CLIENT;
	leaf.purpose = EVIDENCE_JOIN;
	snprintf(leaf.name, sizeof(leaf.name), "%s", name);
	snprintf(leaf.peer, sizeof(leaf.peer), "alpha");
	leaf.not_before = (int64_t)T0;
	leaf.not_after = (int64_t)T0 + 600;
	p = leaf.spki;
	assert_int_equal(i2d_PUBKEY(ec, &p), EVIDENCE_SPKI_LEN);
	EVP_PKEY_free(ec);
	n = evidence_tbs(&leaf, tbs, sizeof(tbs));
	assert_true(n > 0);
	sign(who, tbs, (size_t)n, leaf_sig);
}

static int
join_as(const char *name, enum who who, enum who ticket, enum how how)
{
	uint8_t body[JOIN_BODY_MAX], bytes[JOIN_SIGNED_MAX];
	struct msg_JOIN_ASK ask = { .join = body };
	struct join_binding b;
	struct join j = { .name = "" };
	struct wbuf w;
	ssize_t n;

	make_leaf(name, how == NOT_ITS_LEAF ? OTHER : who);
	snprintf(j.name, sizeof(j.name), "%s", name);
	memcpy(j.identity, pub[who], 32);
	memset(j.sealing, 0x55, 32);
	j.at.n = 1;
	strcpy(j.at.text[0], how == UNREACHABLE ? "0.0.0.0:7946" : AT);
	memcpy(j.ticket, pub[ticket], 32);
	memset(ask.exporter, 1, 32);
	memset(ask.own_leaf, 2, 32);
	memset(ask.peer_leaf, 3, 32);
	memset(b.exporter, how == OTHER_SESSION ? 9 : 1, 32);
	memcpy(b.genesis, attestd.genesis, 32);
	memset(b.server_leaf, 2, 32);
	memset(b.client_leaf, 3, 32);
	n = join_signed_bytes(&b, &j, bytes, sizeof(bytes));
	assert_true(n > 0);
	sign(how == NO_TICKET_KEY ? OTHER : ticket, bytes, (size_t)n,
	    j.ticket_sig);
	sign(who, bytes, (size_t)n, j.identity_sig);
	wbuf_init(&w, body, sizeof(body));
	assert_int_equal(join_put(&w, &j), 0);
	ask.join_len = (uint16_t)(how == GARBLED ? w.len - 1 : w.len);
	status = -1;
	steps[0] = '\0';
	(void)chan_send_JOIN_ASK(link_there,
	    chan_ask(link_there, MSG_JOIN_ASK, on_answer, NULL), -1, &ask);
	turn();
	return status;
}

static int
join(enum who who)
{
	return join_as("beta", who, TICKET, RIGHT);
}

static const struct registry_node *
beta(void)
{
	return registry_node(attestd.registry, "beta");
}

/* The promises. */

static void
in_order(void **state)
{
	(void)state;
	assert_false(invite_any_open());
	open_invite("beta", TICKET, false, NULL);
	assert_false(refused);
	assert_string_equal(steps, "r");
	assert_int_equal(last_event, AUDIT_INVITE_OPENED);
	assert_true(invite_is_open("beta"));
	assert_false(invite_is_open("gamma"));
	assert_int_equal(join(JOINER), 0);
	/* used(keys) on the disk, the record, the update; then the answer. */
	assert_string_equal(steps, "sru");
	assert_memory_equal(beta()->identity, pub[JOINER], 32);
	assert_int_equal(beta()->capabilities, 3);
	assert_int_equal(beta()->addresses, 1);
	assert_string_equal(beta()->address[0], AT);
}

static void
not_recorded(void **state)
{
	(void)state;
	records_fail = true;
	open_invite("beta", TICKET, false, NULL);
	assert_true(refused);
	assert_false(invite_any_open());
	records_fail = false;
	open_invite("beta", TICKET, false, NULL);
	records_fail = true;
	assert_int_equal(join(JOINER), 1);
	assert_null(beta());
	/* It is theirs now, all the same. */
	records_fail = false;
	assert_int_equal(join(OTHER), 2);
	assert_int_equal(join(JOINER), 0);
}

static void
not_durable(void **state)
{
	struct invite none[1];

	(void)state;
	open_invite("beta", TICKET, false, NULL);
	/* A folder in the place of the new file: root is refused, too. */
	assert_int_equal(mkdirat(dirfd_, "invites.ndjson.new", 0700), 0);
	assert_int_equal(join(JOINER), 1);
	assert_string_equal(steps, "");
	assert_null(beta());
	assert_int_equal(unlinkat(dirfd_, "invites.ndjson.new", AT_REMOVEDIR),
	    0);
	assert_int_equal(join(JOINER), 0);
	assert_int_equal(invite_file_load(dirfd_, none, 0), -EBADMSG);
}

static void
other_keys(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, NULL);
	assert_int_equal(join(JOINER), 0);
	assert_int_equal(join(OTHER), 2);
	assert_int_equal(last_event, AUDIT_TICKET_REUSE);
	assert_memory_equal(beta()->identity, pub[JOINER], 32);
	/* The same keys get the same answer, and nothing is done twice. */
	assert_int_equal(join(JOINER), 0);
	assert_string_equal(steps, "");
	start_again();
	assert_int_equal(join(JOINER), 0);
	assert_int_equal(join(OTHER), 2);
	assert_int_equal(last_event, AUDIT_TICKET_REUSE);
	assert_int_equal(registry_seq(attestd.registry), 1);
}

static void
forged(void **state)
{
	enum how how;

	(void)state;
	open_invite("beta", TICKET, false, NULL);
	for (how = NOT_ITS_LEAF; how <= UNREACHABLE; how++) {
		assert_int_equal(join_as("beta", JOINER, TICKET, how), 2);
		assert_int_equal(last_event, AUDIT_PEER_REFUSED);
	}
	assert_int_equal(join_as("beta", JOINER, TICKET_2, RIGHT), 2);
	assert_int_equal(join_as("gamma", JOINER, TICKET, RIGHT), 2);
	session_known = false;
	assert_int_equal(join(JOINER), -1);
	assert_true(refused);
	session_known = true;
	assert_null(beta());
	/* None of that has used the ticket up. */
	assert_int_equal(join(JOINER), 0);
}

static void
crash_before_the_update(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, NULL);
	updates = NO_KEYD;
	assert_int_equal(join(JOINER), 1);
	start_again();
	updates = ADD;
	assert_int_equal(join(OTHER), 2);
	assert_int_equal(join(JOINER), 0);
	assert_string_equal(steps, "sru");
}

static void
permit_lost(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, NULL);
	updates = NO_PERMIT;
	assert_int_equal(join(JOINER), 2);
	assert_int_equal(last_event, AUDIT_INVITE_CLOSED);
	assert_non_null(strstr(text, "a restart of the inviter"));
	start_again();
	updates = ADD;
	assert_int_equal(join(JOINER), 2);
	assert_non_null(strstr(text, "a restart of the inviter"));
	assert_null(beta());
	/* An operator has to say it again; the keys are the same. */
	open_invite("beta", TICKET_2, false, NULL);
	assert_int_equal(join_as("beta", JOINER, TICKET_2, RIGHT), 0);
}

static void
confirmed(void **state)
{
	(void)state;
	open_invite("beta", TICKET, true, NULL);
	say("beta", true);
	assert_true(refused); /* to whom? */
	assert_int_equal(join(JOINER), 1);
	assert_int_equal(join(OTHER), 2); /* who came first, waits */
	assert_null(beta());
	start_again();
	assert_int_equal(join(JOINER), 1);
	say("beta", true);
	assert_false(refused);
	assert_non_null(beta());
	assert_int_equal(join(JOINER), 0);
}

static void
declined(void **state)
{
	(void)state;
	open_invite("beta", TICKET, true, NULL);
	assert_int_equal(join(JOINER), 1);
	say("beta", false);
	assert_false(refused);
	assert_int_equal(last_event, AUDIT_INVITE_CLOSED);
	assert_int_equal(join(JOINER), 2);
	start_again();
	assert_false(invite_any_open());
	assert_int_equal(join(JOINER), 2);
	assert_null(beta());
}

static void
pinned(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, pub[JOINER]);
	assert_int_equal(join(OTHER), 2);
	start_again();
	assert_int_equal(join(OTHER), 2);
	assert_int_equal(join(JOINER), 0);
}

static void
expired(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, NULL);
	now_s += 601;
	assert_false(invite_is_open("beta"));
	assert_int_equal(join(JOINER), 2);
	assert_string_equal(text, "the invite has expired");
	start_again();
	assert_int_equal(join(JOINER), 2);
	assert_null(beta());
}

static void
authorities(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, NULL);
	updates = PROPOSE;
	assert_int_equal(join(JOINER), 1);
	start_again();
	/* The signature is kept, another is not asked for. */
	assert_int_equal(join(JOINER), 1);
	assert_string_equal(steps, "");
	assert_true(on_disk("\"proposal\":"));
	say("beta", true);
	assert_true(refused);
	assert_int_equal(join(JOINER), 1);
}

static void
what_is_no_invite(void **state)
{
	(void)state;
	open_invite("Beta", TICKET, false, NULL);
	assert_true(refused);
	open_invite("alpha", TICKET, false, NULL);
	assert_true(refused);
	open_invite("beta", TICKET, false, NULL);
	assert_false(refused);
	open_invite("gamma", TICKET, false, NULL);
	assert_true(refused); /* one ticket, one invite */
	/* A new one for the name takes the place of the one before. */
	open_invite("beta", TICKET_2, false, NULL);
	assert_false(refused);
	assert_int_equal(join(JOINER), 2);
	assert_int_equal(join_as("beta", JOINER, TICKET_2, RIGHT), 0);
	open_invite("beta", INVITER, false, NULL);
	assert_true(refused); /* there is a node of that name */
}

/* Added, and the answer was lost with the node's end: invited again, the same
 * keys get it, and no others. */
static void
crash_after_the_update(void **state)
{
	(void)state;
	open_invite("beta", TICKET, false, NULL);
	assert_int_equal(join(JOINER), 0);
	open_invite("beta", TICKET_2, false, NULL);
	assert_true(refused); /* nothing was lost */
	start_again();
	assert_int_equal(join(JOINER), 0);
	open_invite("beta", TICKET_2, false, NULL);
	assert_false(refused);
	assert_int_equal(join_as("beta", OTHER, TICKET_2, RIGHT), 2);
	assert_int_equal(last_event, AUDIT_TICKET_REUSE);
	assert_int_equal(join_as("beta", JOINER, TICKET_2, RIGHT), 0);
	assert_string_equal(steps, "");
	assert_memory_equal(beta()->identity, pub[JOINER], 32);
}

/* Who has been added needs no place when others are invited. */
static void
full(void **state)
{
	struct msg_INVITE_OPEN want = { 0 };
	char name[16];
	int i;

	(void)state;
	open_invite("beta", TICKET, false, NULL);
	for (i = 1; i <= INVITES_MAX; i++) {
		steps[0] = '\0';
		snprintf(name, sizeof(name), "guest-%d", i);
		memcpy(want.name, name, sizeof(name));
		want.expiry = now_s + 600;
		memset(want.ticket, 0x80 + i, sizeof(want.ticket));
		(void)chan_send_INVITE_OPEN(control_there,
		    chan_ask(control_there, MSG_INVITE_OPEN, on_answer, NULL),
		    -1, &want);
		turn();
		assert_int_equal(refused, i == INVITES_MAX);
	}
	assert_int_equal(join(JOINER), 0);
	steps[0] = '\0';
	(void)chan_send_INVITE_OPEN(control_there,
	    chan_ask(control_there, MSG_INVITE_OPEN, on_answer, NULL), -1,
	    &want);
	turn();
	assert_false(refused);
	assert_true(invite_is_open(name));
	/* The ticket lets nobody in that it did not let in. */
	assert_int_equal(join(OTHER), 2);
	assert_int_equal(join(JOINER), 2);
}

static void
damaged(void **state)
{
	static struct invite all[INVITES_MAX];
	int fd;

	(void)state;
	open_invite("beta", TICKET, false, NULL);
	assert_int_equal(invite_file_load(dirfd_, all, INVITES_MAX), 1);
	fd = openat(dirfd_, "invites.ndjson", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"name\":\"gamma\"}\n", 17), 17);
	close(fd);
	assert_int_equal(invite_file_load(dirfd_, all, INVITES_MAX), -EBADMSG);
	assert_non_null(invite_load(dirfd_));
}

static int
group_setup(void **state)
{
	uint8_t seed[32];
	size_t i, n;

	(void)state;
	base = event_base_new();
	for (i = 0; i < WHO_MAX; i++) {
		memset(seed, (int)i + 1, sizeof(seed));
		keys[i] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
		    seed, sizeof(seed));
		n = 32;
		if (keys[i] == NULL ||
		    EVP_PKEY_get_raw_public_key(keys[i], pub[i], &n) != 1)
			return -1;
	}
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(in_order),
		CASE(not_recorded),
		CASE(not_durable),
		CASE(other_keys),
		CASE(forged),
		CASE(crash_before_the_update),
		CASE(permit_lost),
		CASE(confirmed),
		CASE(declined),
		CASE(pinned),
		CASE(expired),
		CASE(authorities),
		CASE(what_is_no_invite),
		CASE(crash_after_the_update),
		CASE(full),
		CASE(damaged),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
