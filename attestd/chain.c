/* SPDX-License-Identifier: ISC */
/*
 * chain.c - the registry: who may change it here, and who hears of it.
 *
 * Lines come from operators, from peers and from files, and are believed only
 * for what they prove (common/registry.h). What is taken is on the disk
 * before anybody hears of it: keyd, whose leaves name the head; meshd, which
 * dials by the addresses; and each session, which may have to end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attestd/attestd.h"
#include "common/child.h"
#include "common/conf.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/netaddr.h"
#include "common/registry_file.h"

#define LINES_MAX 24576 /* of a message */
/* Without news for so long, an authority says so; it looks so often. */
#define FRESH_AFTER_S 72000 /* 20 hours */
#define FRESH_LOOK_S 600
#define ADDRESSES_S 1 /* meshd is told of all nodes no more often */

static struct registry_file file;

/* An update that waits for keyd. */
struct pending {
	struct registry_update u;
	char line[REGISTRY_LINE_MAX + 1]; /* with the signatures so far */
	size_t len;
	chain_done *done;
	void *arg;
};

static void
count(void)
{
	uint64_t age = 0;
	size_t n;

	for (n = 0; registry_node_at(attestd.registry, n) != NULL; n++)
		;
	(void)registry_freshness(attestd.registry, attestd_now(), &age);
	counter_set(COUNTER_REGISTRY_SEQ, registry_seq(attestd.registry));
	counter_set(COUNTER_REGISTRY_NODES, n);
	counter_set(COUNTER_REGISTRY_AGE, age);
	counter_set(COUNTER_REGISTRY_FORKED,
	    registry_forked(attestd.registry) ? 1 : 0);
}

/*
 * clawd keeps how far we have been, in what decides something, where we cannot
 * write: an old backup of the whole folder is behind that. keyd said it, by
 * what it has verified. NULL, or what to do about it.
 */
static const char *
behind_floor(void)
{
	static char why[320];

	if (registry_seq(attestd.registry) >= attestd.floor_seq)
		return NULL;
	snprintf(why, sizeof(why),
	    "registry.ndjson ends with update %" PRIu64 ", and this node has "
	    "been at %" PRIu64 ": an old backup? Bring a newer one from "
	    "another node (claw registry:export there), or remove "
	    "keys/registry to begin from this one knowingly",
	    registry_seq(attestd.registry), attestd.floor_seq);
	return why;
}

const char *
chain_load(int dirfd)
{
	const char *why;

	attestd.registry = registry_new(attestd.genesis);
	if (attestd.registry == NULL)
		return "out of memory";
	why = registry_file_load(&file, dirfd, true, attestd.registry);
	if (why == NULL)
		why = behind_floor();
	if (why == NULL)
		count();
	return why;
}

/* Who hears of it. */

/* Those that meshd can dial, by number: it asks nobody for names. */
static void
addresses_of(const struct registry_node *node, char out[NETADDR_LIST_SIZE])
{
	struct netaddr_list l = { 0 };
	size_t i;

	for (i = 0; !node->revoked && i < node->addresses; i++)
		(void)netaddr_add(&l, node->address[i]);
	netaddr_list_text(&l, out);
}

static void
tell_meshd(struct chan *meshd)
{
	const struct registry_node *node;
	struct msg_PEER_ADDRESS peer;
	size_t i;

	for (i = 0; (node = registry_node_at(attestd.registry, i)) != NULL;
	     i++) {
		if (strcmp(node->name, attestd.node) == 0)
			continue;
		memset(&peer, 0, sizeof(peer));
		snprintf(peer.peer, sizeof(peer.peer), "%s", node->name);
		addresses_of(node, peer.addresses);
		(void)chan_send_PEER_ADDRESS(meshd, 0, -1, &peer);
	}
}

void
chain_on_find(struct chan *c, struct msg *m)
{
	struct msg_PEER_FOUND found = { .addresses = "" };
	const struct registry_node *node;
	struct msg_PEER_FIND want;

	if (!msg_get_PEER_FIND(&m->body, &want))
		fatalx("malformed PEER_FIND");
	node = attestd.registry == NULL ?
	    NULL :
	    registry_node(attestd.registry, want.peer);
	if (node == NULL || node->revoked) {
		chan_refuse(c, m, ENOENT, false, "%s %s", want.peer,
		    node == NULL ? "is no node of this registry" :
				   "is revoked");
		return;
	}
	addresses_of(node, found.addresses);
	(void)chan_send_PEER_FOUND(c, m->id, -1, &found);
}

void
chain_tell(struct chan *c)
{
	if (attestd.registry == NULL)
		return;
	if (chan_peer(c) == PROC_KEYD)
		tell_keyd_registry(c, true);
	else if (chan_peer(c) == PROC_MESHD)
		tell_meshd(c);
}

/* When an authority says that there is nothing new. */

static struct {
	struct event *timer; /* NULL: not yet */
	uint32_t soft_s;     /* for which it was set */
} fresh;

/* The usual time; sooner where the soft window would not let it wait. */
static uint64_t
within_soft(uint64_t usual_s, uint32_t parts)
{
	uint64_t s =
	    (uint64_t)registry_windows(attestd.registry).soft_s * parts / 24;

	return s == 0 ? 1 : s < usual_s ? s : usual_s;
}

static void
fresh_look(uint64_t in_s)
{
	struct timeval tv = { (time_t)in_s, 0 };

	fresh.soft_s = registry_windows(attestd.registry).soft_s;
	if (event_add(fresh.timer, &tv) == -1)
		fatalx("libevent has no timer for us");
}

/*
 * A registry of many nodes that comes in small pieces would be as many
 * messages as the two multiplied: a flood. So it is told at once, and then
 * again when a second has gone by.
 */
static struct {
	struct event *wait;
	bool again;
} addresses;

static void tell_addresses(void);

static void
on_addresses_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (addresses.again)
		tell_addresses();
}

static void
tell_addresses(void)
{
	static const struct timeval wait = { ADDRESSES_S, 0 };

	if (addresses.wait == NULL &&
	    (addresses.wait =
		    evtimer_new(child_base(), on_addresses_time, NULL)) == NULL)
		fatalx("libevent has no timer for us");
	addresses.again = evtimer_pending(addresses.wait, NULL) != 0;
	if (addresses.again)
		return;
	(void)evtimer_add(addresses.wait, &wait);
	if (child_peer(PROC_MESHD) != NULL)
		chain_tell(child_peer(PROC_MESHD));
}

static void
tell_all(void)
{
	if (child_peer(PROC_KEYD) != NULL)
		tell_keyd_registry(child_peer(PROC_KEYD), false);
	tell_addresses();
	sessions_review();
	count();
	if (fresh.timer != NULL &&
	    fresh.soft_s != registry_windows(attestd.registry).soft_s)
		fresh_look(within_soft(FRESH_LOOK_S, 1));
}

/* What was taken is recorded; what shows a liar is an alarm. */
static void
record(enum audit_event event, const char *op, const char *why)
{
	static struct auditrec rec;

	auditrec_init(&rec, event, AUDIT_SINGLE,
	    event == AUDIT_REGISTRY_ALARM ? AUDIT_FAILED : AUDIT_OK);
	auditrec_num(&rec, AUDIT_ATTR_SEQ, registry_seq(attestd.registry));
	auditrec_bytes(&rec, AUDIT_ATTR_HEAD, registry_head(attestd.registry),
	    32);
	if (op != NULL)
		auditrec_text(&rec, AUDIT_ATTR_OP, op);
	if (why != NULL)
		auditrec_text(&rec, AUDIT_ATTR_REASON, why);
	(void)attestd_record(&rec, NULL, NULL);
}

/* The name of a line's operation; it is verified and canonical. */
static const char *
op_of(const char *line, size_t len)
{
	static const char key[] = "\"op\":\"";
	static char op[32];
	const char *at = memmem(line, len, key, sizeof(key) - 1);
	size_t n;

	if (at == NULL)
		return NULL;
	at += sizeof(key) - 1;
	n = strcspn(at, "\"");
	snprintf(op, sizeof(op), "%.*s", (int)n, at);
	return op;
}

/* Takes one line in. NULL, or why not; *taken says whether it was new. */
static const char *
take(const char *line, size_t len, bool *taken)
{
	const char *why = NULL;
	uint64_t from = 0;

	*taken = false;
	if (!attestd_can_record())
		return "auditd is not there to record it";
	*taken = true;
	switch (registry_offer(attestd.registry, line, len, &from, &why)) {
	case REGISTRY_NEXT:
	case REGISTRY_SWITCHED:
	case REGISTRY_RESOLVED:
		record(AUDIT_REGISTRY_UPDATED, op_of(line, len), NULL);
		return NULL;
	case REGISTRY_FORK:
		log_errorx("the registry is forked after update %" PRIu64,
		    registry_common(attestd.registry));
		record(AUDIT_REGISTRY_ALARM, op_of(line, len),
		    "two histories: what is in one of them alone does not "
		    "count until the authorities sign a resolve");
		return NULL;
	case REGISTRY_BRANCH:
		return NULL;
	case REGISTRY_KNOWN:
		*taken = false;
		return NULL;
	case REGISTRY_AHEAD:
		*taken = false;
		return "lines before it are missing";
	case REGISTRY_BAD:
		break;
	}
	*taken = false;
	return why;
}

static const char *
take_rotation(const char *line, size_t len, bool *taken)
{
	const char *why = NULL;

	*taken = false;
	if (!attestd_can_record())
		return "auditd is not there to record it";
	switch (registry_rotate(attestd.registry, line, len, &why)) {
	case REGISTRY_TURNED:
		*taken = true;
		record(AUDIT_KEY_ROTATED, "rotation", NULL);
		return NULL;
	case REGISTRY_TURN_TWO:
		*taken = true;
		record(AUDIT_REGISTRY_ALARM, "rotation",
		    "a node made two rotations with one number");
		return NULL;
	case REGISTRY_TURN_KNOWN:
		return NULL;
	case REGISTRY_TURN_AHEAD:
		return "rotations before it are missing";
	case REGISTRY_TURN_BAD:
		break;
	}
	return why;
}

/* On the disk, then to everybody. */
static void
publish(void)
{
	const char *why = registry_file_sync(&file, attestd.registry);

	if (why != NULL)
		fatalx("%s", why);
	rotation_self();
	tell_all();
}

const char *
chain_turn(const char *line, size_t len)
{
	bool taken;
	const char *why = take_rotation(line, len, &taken);

	if (taken)
		publish();
	return why != NULL || taken ?
	    why :
	    "the registry has a rotation with this number";
}

/* Lines of peers and files. */

void
chain_on_offer(struct chan *c, struct msg *m)
{
	struct msg_REGISTRY_TAKEN done = { 0 };
	struct msg_REGISTRY_OFFER want;
	const char *line, *end, *last, *one, *why = NULL;
	bool taken;

	if (!msg_get_REGISTRY_OFFER(&m->body, &want))
		fatalx("malformed REGISTRY_OFFER");
	line = (const char *)want.lines;
	last = line + want.lines_len;
	while (line < last) {
		end = memchr(line, '\n', (size_t)(last - line));
		one = end == NULL ?
		    "a line that does not end" :
		    want.rotations != 0 ?
		    take_rotation(line, (size_t)(end - line), &taken) :
		    take(line, (size_t)(end - line), &taken);
		if (why == NULL)
			why = one;
		/* Lines of the chain follow from each other; of the others
		 * one that does not fit says nothing of the next. */
		if (end == NULL || (one != NULL && want.rotations == 0))
			break;
		done.taken += taken ? 1 : 0;
		line = end + 1;
	}
	if (why != NULL)
		snprintf(done.why, sizeof(done.why), "%s", why);
	if (done.taken > 0)
		publish();
	done.seq = registry_seq(attestd.registry);
	memcpy(done.head, registry_head(attestd.registry), sizeof(done.head));
	registry_turns(attestd.registry, done.turns);
	(void)chan_send_REGISTRY_TAKEN(c, m->id, -1, &done);
}

/* Rotations from the i-th on, as many whole ones as fit. */
static size_t
rotation_range(uint64_t from, char *out, size_t size, uint64_t *next)
{
	const char *line;
	size_t len, n = 0;

	for (*next = from; *next < registry_rotations(attestd.registry);
	     (*next)++) {
		line = registry_rotation_line(attestd.registry, (size_t)*next,
		    &len);
		if (n + len + 1 > size)
			break;
		memcpy(out + n, line, len);
		out[n + len] = '\n';
		n += len + 1;
	}
	return n;
}

void
chain_on_read(struct chan *c, struct msg *m)
{
	static char lines[LINES_MAX];
	struct msg_REGISTRY_LINES done = { 0 };
	struct msg_REGISTRY_READ want;
	uint64_t end;
	size_t n;

	if (!msg_get_REGISTRY_READ(&m->body, &want))
		fatalx("malformed REGISTRY_READ");
	if (want.rotations != 0) {
		n = rotation_range(want.from, lines, sizeof(lines), &done.next);
		end = registry_rotations(attestd.registry);
	} else {
		n = registry_range(attestd.registry, want.from, lines,
		    sizeof(lines), &done.next);
		end = registry_seq(attestd.registry) + 1;
	}
	done.more = n > 0 && done.next < end;
	done.lines = (const uint8_t *)lines;
	done.lines_len = (uint16_t)n;
	(void)chan_send_REGISTRY_LINES(c, m->id, -1, &done);
}

/* Updates. */

static void
finish(struct pending *p, uint16_t code, const char *why, bool applied)
{
	struct chain_result result = { .why = why,
		.code = code,
		.applied = applied,
		.line = p->line,
		.len = p->len };

	if (why == NULL && !applied)
		(void)registry_signed(attestd.registry, p->line, p->len,
		    &result.have, &result.need, NULL);
	p->done(&result, p->arg);
	free(p);
}

/* Enough signatures: it is an update. Too few: a proposal for others. */
static void
conclude(struct pending *p)
{
	uint32_t have, need;
	const char *why;
	bool taken;

	why = registry_signed(attestd.registry, p->line, p->len, &have, &need,
	    NULL);
	if (why != NULL && p->u.seq <= registry_seq(attestd.registry)) {
		finish(p, EAGAIN, "the registry has moved meanwhile; try again",
		    false);
		return;
	}
	if (why != NULL || have < need) {
		finish(p, EINVAL, why, false);
		return;
	}
	why = take(p->line, p->len, &taken);
	if (why == NULL && taken)
		publish();
	finish(p, EINVAL, why, why == NULL);
}

static void
on_signed(struct chan *c, struct msg *m, void *arg)
{
	struct registry_signature sig;
	struct pending *p = arg;
	struct msg_UPDATE_SIGNED done;
	struct msg_REFUSED no;
	ssize_t n;

	(void)c;
	if (m == NULL) {
		finish(p, EAGAIN, "keyd went away", false);
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		finish(p, no.code, no.text, false);
		return;
	}
	if (!msg_get_UPDATE_SIGNED(&m->body, &done))
		fatalx("malformed UPDATE_SIGNED");
	memcpy(sig.kid, done.key, sizeof(sig.kid));
	memcpy(sig.sig, done.signature, sizeof(sig.sig));
	if (p->len == 0)
		n = regupdate_line(&p->u, &sig, 1, p->line, sizeof(p->line));
	else
		n = registry_add_signature(p->line, p->len, &sig, p->line,
		    sizeof(p->line));
	if (n < 0) {
		finish(p, EEXIST, "this node's authority has signed it already",
		    false);
		return;
	}
	p->len = (size_t)n;
	record(AUDIT_REGISTRY_SIGNED, regupdate_op_name(p->u.op), NULL);
	conclude(p);
}

static void
ask_keyd(struct pending *p)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	struct chan *keyd = child_peer(PROC_KEYD);
	struct msg_UPDATE_SIGN want = { .update = bytes };
	ssize_t n = regupdate_put(&p->u, bytes, sizeof(bytes));
	uint32_t id = 0;

	if (n < 0) {
		finish(p, EINVAL, "too large an update", false);
		return;
	}
	want.update_len = (uint16_t)n;
	if (keyd != NULL && chan_has_room(keyd, MSG_MAX_LEN))
		id = chan_ask(keyd, MSG_UPDATE_SIGN, on_signed, p);
	if (id == 0)
		finish(p, EAGAIN, "keyd is not there", false);
	else
		(void)chan_send_UPDATE_SIGN(keyd, id, -1, &want);
}

static struct pending *
pending_new(chain_done *done, void *arg)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (p == NULL)
		fatalx("out of memory");
	p->done = done;
	p->arg = arg;
	return p;
}

/* The update as the next one of our chain. NULL, or why it is none. */
static const char *
place(struct registry_update *u)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	u->time_s = (uint64_t)now.tv_sec;
	return registry_propose(attestd.registry, u);
}

void
chain_update(struct registry_update *u, chain_done *done, void *arg)
{
	struct pending *p = pending_new(done, arg);
	const char *why = place(u);

	p->u = *u;
	if (why != NULL)
		finish(p, EINVAL, why, false);
	else
		ask_keyd(p);
}

/* An operator's. Who asked may be gone when keyd answers. */
struct asker {
	uint64_t chan; /* child_serial() */
	uint32_t request;
};

static void
answer(const struct chain_result *result, void *arg)
{
	struct asker *a = arg;
	struct msg_REGISTRY_UPDATED done = { .applied = result->applied,
		.signatures = (uint8_t)result->have,
		.threshold = (uint8_t)result->need,
		.seq = registry_seq(attestd.registry),
		.line = (const uint8_t *)result->line,
		.line_len = (uint16_t)result->len };
	struct chan *c = child_with(a->chan);
	struct msg m = { .id = a->request };

	memcpy(done.head, registry_head(attestd.registry), sizeof(done.head));
	if (c == NULL)
		log_warnx("whoever ordered an update has gone");
	else if (result->why != NULL)
		chan_refuse(c, &m, result->code, result->code == EAGAIN, "%s",
		    result->why);
	else
		(void)chan_send_REGISTRY_UPDATED(c, a->request, -1, &done);
	free(a);
}

static struct asker *
asker_of(struct chan *c, const struct msg *m)
{
	struct asker *a = malloc(sizeof(*a));

	if (a == NULL)
		fatalx("out of memory");
	*a = (struct asker){ child_serial(c), m->id };
	return a;
}

void
chain_on_update(struct chan *c, struct msg *m)
{
	static struct registry_update u;
	struct msg_REGISTRY_UPDATE want;
	struct pending *p;
	const char *why;
	ssize_t n;

	if (!msg_get_REGISTRY_UPDATE(&m->body, &want))
		fatalx("malformed REGISTRY_UPDATE");
	if (regupdate_get(&u, want.update, want.update_len) != 0) {
		child_violation(c, m, "no update of a registry");
		return;
	}
	if (want.propose == 0) {
		chain_update(&u, answer, asker_of(c, m));
		return;
	}
	p = pending_new(answer, asker_of(c, m));
	why = place(&u);
	n = why == NULL ?
	    regupdate_line(&u, NULL, 0, p->line, sizeof(p->line)) :
	    0;
	p->len = n < 0 ? 0 : (size_t)n;
	finish(p, EINVAL,
	    why != NULL ? why :
		n < 0	? "too large" :
			  NULL,
	    false);
}

void
chain_on_cosign(struct chan *c, struct msg *m)
{
	struct pending *p = pending_new(answer, asker_of(c, m));
	struct msg_REGISTRY_COSIGN want;
	uint32_t have, need;
	const char *why;

	if (!msg_get_REGISTRY_COSIGN(&m->body, &want))
		fatalx("malformed REGISTRY_COSIGN");
	if (want.line_len >= sizeof(p->line)) {
		finish(p, EMSGSIZE, "longer than any line", false);
		return;
	}
	memcpy(p->line, want.line, want.line_len);
	p->len = want.line_len;
	why = registry_signed(attestd.registry, p->line, p->len, &have, &need,
	    &p->u);
	if (why != NULL)
		finish(p, EINVAL, why, false);
	else
		ask_keyd(p);
}

void
chain_on_inspect(struct chan *c, struct msg *m)
{
	static uint8_t bytes[REGUPDATE_BYTES_MAX];
	static struct registry_update u;
	struct msg_REGISTRY_INSPECTED done = { .update = bytes };
	struct msg_REGISTRY_INSPECT want;
	uint32_t have, need;
	const char *why;
	ssize_t n;

	if (!msg_get_REGISTRY_INSPECT(&m->body, &want))
		fatalx("malformed REGISTRY_INSPECT");
	why = registry_signed(attestd.registry, (const char *)want.line,
	    want.line_len, &have, &need, &u);
	n = why == NULL ? regupdate_put(&u, bytes, sizeof(bytes)) : 0;
	if (why != NULL || n < 0) {
		chan_refuse(c, m, EINVAL, false, "%s",
		    why != NULL ? why : "too large an update");
		return;
	}
	done.update_len = (uint16_t)n;
	done.signatures = (uint8_t)have;
	done.threshold = (uint8_t)need;
	(void)chan_send_REGISTRY_INSPECTED(c, m->id, -1, &done);
}

/* The daily word of an authority. */

static void
said_fresh(const struct chain_result *result, void *arg)
{
	(void)arg;
	if (result->why != NULL)
		log_debug("fresh: %s", result->why);
	else if (result->applied)
		log_info("registry: fresh, update %" PRIu64,
		    registry_seq(attestd.registry));
}

static void
on_fresh_time(evutil_socket_t fd, short what, void *arg)
{
	static struct registry_update u;
	uint64_t age = 0;

	(void)fd;
	(void)what;
	(void)arg;
	count();
	(void)registry_freshness(attestd.registry, attestd_now(), &age);
	if (!registry_set(attestd.registry)->has_fresh ||
	    age < within_soft(FRESH_AFTER_S, 20) ||
	    registry_forked(attestd.registry)) {
		fresh_look(within_soft(FRESH_LOOK_S, 1));
		return;
	}
	/* keyd says it no oftener, whatever the window. */
	fresh_look(FRESH_LOOK_S);
	memset(&u, 0, sizeof(u));
	u.op = REGISTRY_FRESH;
	chain_update(&u, said_fresh, NULL);
}

void
chain_keep_fresh(void)
{
	fresh.timer = evtimer_new(child_base(), on_fresh_time, NULL);
	if (fresh.timer == NULL)
		fatalx("libevent has no timer for us");
	fresh_look(within_soft(FRESH_LOOK_S, 1));
}
