/* SPDX-License-Identifier: ISC */
/*
 * boot.c - from fork to READY.
 *
 * A process first shows that its sandbox is closed (HELLO). Only then it gets
 * what it works with: keyd its key file, everybody the configuration and the
 * channels to those siblings that policy/topology.def names.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/authority.h"
#include "clawd/kept.h"
#include "clawd/notify.h"
#include "clawd/place.h"
#include "clawd/record.h"
#include "clawd/recover.h"
#include "clawd/rotate.h"
#include "clawd/suite.h"
#include "common/log.h"
#include "common/shardname.h"

#define READY_WITHIN_S 30
/* auditd first reads the open shard through: a month may be long. */
#define AUDITD_READY_WITHIN_S 600

static void on_hello(struct chan *, struct msg *);
static void on_checkpoint_noted(struct chan *, struct msg *);
static void on_registry_noted(struct chan *, struct msg *);

static const struct chan_handlers handlers[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_VIOLATION, supervise_on_report },
	{ MSG_CHECKPOINT_NOTED, on_checkpoint_noted },
	{ MSG_REGISTRY_NOTED, on_registry_noted },
	{ MSG_AUTHORITY_WANTED, authority_on_wanted },
	{ MSG_AUTHORITY_FILE, authority_on_file },
	{ MSG_AUTHORITY_KEEP, authority_on_keep },
	{ MSG_ROTATE_FILE, rotate_on_file },
	{ MSG_ROTATE_KEEP, rotate_on_keep },
	{ MSG_ROTATE_DONE, rotate_on_done },
	{ MSG_ROTATE_DROP, rotate_on_drop },
	{ MSG_WORKER_START, worker_on_start },
	{ MSG_RELOAD, order_on_reload },
	{ MSG_RESTART, order_on_restart },
	{ MSG_SHUTDOWN, order_on_shutdown },
	{ 0, NULL },
};

static const struct chan_ops ops = {
	.handlers = handlers,
	.closed = supervise_closed,
	.violation = supervise_violation,
};

/* Whatever the gate may let through to clawd has somebody to take it. */
void
boot_check_handlers(void)
{
	const struct msg_rule *rules;
	const struct chan_handlers *h;
	size_t i, count;

	rules = msg_rules(&count);
	for (i = 0; i < count; i++) {
		if (rules[i].limit == LIMIT_REPLY ||
		    (rules[i].receivers & PROC_BIT(PROC_CLAWD)) == 0)
			continue;
		for (h = handlers; h->handler != NULL; h++)
			if (h->type == rules[i].type)
				break;
		if (h->handler == NULL)
			fatalx("no handler for %s", rules[i].name);
	}
}

/* An answer that did not come, or was no. */
static bool
failed(struct instance *in, const struct msg *m, const char *step)
{
	struct msg_REFUSED no;
	struct rbuf body;

	if (m == NULL)
		return true; /* its end says why */
	if (m->type != MSG_REFUSED)
		return false;
	body = m->body;
	if (!msg_get_REFUSED(&body, &no))
		no.text[0] = '\0';
	log_errorx("%s: %s: %s", proc_name(in->proc), step, no.text);
	instance_kill(in, "could not be started");
	return true;
}

/* Channels to siblings. */

/* With the session of the one that is a worker, if one is. */
static void
connect_pair(struct instance *a, struct instance *b)
{
	uint32_t session = a->session != 0 ? a->session : b->session;
	struct msg_PEER to_a = { (uint8_t)b->proc, .session = session };
	struct msg_PEER to_b = { (uint8_t)a->proc, .session = session };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("channel between %s and %s", proc_name(a->proc),
		    proc_name(b->proc));
	(void)chan_send_PEER(a->chan, 0, pair[0], &to_a);
	(void)chan_send_PEER(b->chan, 0, pair[1], &to_b);
	close(pair[0]);
	close(pair[1]);
}

/*
 * To everyone of that kind who has been told to start; who has not yet will
 * do the same when it is.
 */
static void
connect_to(struct instance *in, enum proc other)
{
	struct instance *o;

	TAILQ_FOREACH(o, &suite.all, entry)
		if (o->proc == other && o->connected && !o->expected &&
		    o->chan != NULL)
			connect_pair(in, o);
}

static void
connect_siblings(struct instance *in)
{
	static const struct {
		enum proc a, b;
	} topology[] = {
#define CHANNEL(a, b, why) { PROC_##a, PROC_##b },
#include "policy/topology.def"
#undef CHANNEL
	};
	size_t i;

	for (i = 0; i < sizeof(topology) / sizeof(topology[0]); i++)
		if (topology[i].a == in->proc)
			connect_to(in, topology[i].b);
		else if (topology[i].b == in->proc)
			connect_to(in, topology[i].a);
	in->connected = true;
}

static void
send_pages(struct instance *metricd)
{
	struct msg_COUNTER_PAGE page;
	unsigned int p;

	for (p = 0; p < PROC_MAX; p++)
		if (suite.slot[p].page != -1) {
			page.proc = (uint8_t)p;
			(void)chan_send_COUNTER_PAGE(metricd->chan, 0,
			    suite.slot[p].page, &page);
		}
}

/* Ready. */

static void
take_over(struct instance *in)
{
	struct slot *s = &suite.slot[in->proc];
	struct instance *old = s->cur;

	if (s->next == in) {
		s->next = NULL;
		s->cur = in;
		if (old != NULL)
			instance_drain(old);
	}
}

static void
on_ready(struct chan *c, struct msg *m, void *arg)
{
	struct instance *in = arg;
	unsigned int p;

	if (failed(in, m, "start"))
		return;
	if (in->generation != suite.generation) {
		/* A reload was committed while it started. */
		instance_kill(in, "has an old configuration");
		return;
	}
	evtimer_del(in->deadline);
	in->state = PROCSTATE_READY;
	in->ready_ms = suite_now_ms();
	chan_set_when(c, WHEN_RUN);
	if (in->worker != NULL) {
		log_debug("%s %u is ready", proc_name(in->proc), in->session);
		worker_ready(in);
		return;
	}
	log_info("%s is ready", proc_name(in->proc));
	take_over(in);
	if (in->proc == PROC_AUDITD)
		record_auditd(c);
	if (in->proc == PROC_METRICD)
		send_pages(in);
	else if (suite_ready(PROC_METRICD)) {
		struct msg_COUNTER_PAGE page = { .proc = (uint8_t)in->proc };

		(void)chan_send_COUNTER_PAGE(suite.slot[PROC_METRICD].cur->chan,
		    0, suite.slot[in->proc].page, &page);
	}
	for (p = PROC_KEYD; p < PROC_SUITE_END; p++)
		if (p == in->proc || in->proc == PROC_CONTROLD)
			suite_status((enum proc)p);
	order_advance();
	suite_advance();
}

static void
send_start(struct instance *in)
{
	struct msg_START start = { 0 };

	if (in->worker != NULL)
		worker_connect(in);
	connect_siblings(in);
	(void)chan_send_START(in->chan,
	    chan_ask(in->chan, MSG_START, on_ready, in), -1, &start);
}

/* Configuration. */

static void
on_committed(struct chan *c, struct msg *m, void *arg)
{
	struct instance *in = arg;

	(void)c;
	if (!failed(in, m, "configuration"))
		send_start(in);
}

static void
on_staged(struct chan *c, struct msg *m, void *arg)
{
	struct instance *in = arg;
	struct msg_CONFIG_COMMIT commit = { .generation = in->generation };

	if (!failed(in, m, "configuration"))
		(void)chan_send_CONFIG_COMMIT(c,
		    chan_ask(c, MSG_CONFIG_COMMIT, on_committed, in), -1,
		    &commit);
}

/* What every configuration begins with, and the two that most have. */
#define CONFIG_HEAD                                                            \
	.generation = generation,                                              \
	.log_level = (uint8_t)(conf->log_level - CONF_LOG_LEVEL_ERROR)
#define CONFIG_NODE(m)                                                         \
	do {                                                                   \
		snprintf((m).node, sizeof((m).node), "%s", conf->node_name);   \
		if (conf_hash_bytes(conf->registry_genesis, (m).genesis) != 0) \
			fatalx("node.registry.genesis was not checked");       \
	} while (0)

static int
config_keyd(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_KEYD m = { CONFIG_HEAD };

	CONFIG_NODE(m);
	return chan_send_CONFIG_KEYD(c, id, -1, &m);
}

static int
config_auditd(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_AUDITD m = { CONFIG_HEAD,
		.checkpoint_ms = (uint32_t)conf->audit_checkpoint_interval_ms,
		.warn_percent = (uint8_t)conf->audit_warn_at_percent,
		.refuse_percent = (uint8_t)conf->audit_refuse_at_percent,
		.reserve_bytes = conf->audit_reserve_bytes };

	CONFIG_NODE(m);
	return chan_send_CONFIG_AUDITD(c, id, -1, &m);
}

static int
config_attestd(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_ATTESTD m = { CONFIG_HEAD };
	struct msg_REGISTRY_NOTED kept;

	CONFIG_NODE(m);
	memcpy(m.identity, suite.identity, sizeof(m.identity));
	memcpy(m.sealing, suite.sealing, sizeof(m.sealing));
	if (kept_registry(&kept)) {
		m.floor_seq = kept.seq;
		memcpy(m.floor_head, kept.head, sizeof(m.floor_head));
	}
	return chan_send_CONFIG_ATTESTD(c, id, -1, &m);
}

static int
config_metricd(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_METRICD m = { CONFIG_HEAD };

	return chan_send_CONFIG_METRICD(c, id, -1, &m);
}

static int
config_controld(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_CONTROLD m = { CONFIG_HEAD, .uid = (uint32_t)getuid(),
		.gid = (uint32_t)account_operators(),
		.max_clients = (uint32_t)conf->control_max_clients,
		.need_cookie = getuid() != 0 };

	snprintf(m.node, sizeof(m.node), "%s", conf->node_name);
	memcpy(m.cookie, suite.cookie, sizeof(m.cookie));
	return chan_send_CONFIG_CONTROLD(c, id, -1, &m);
}

static int
config_meshd(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_MESHD m = { CONFIG_HEAD,
		.max_links = (uint16_t)conf->mesh_max_links,
		.max_pending = (uint16_t)conf->mesh_max_pending,
		.per_address = (uint16_t)conf->mesh_per_address,
		.handshake_ms = (uint32_t)conf->mesh_handshake_timeout_ms,
		.pool = (uint8_t)conf->mesh_pool };

	snprintf(m.node, sizeof(m.node), "%s", conf->node_name);
	snprintf(m.peers, sizeof(m.peers), "%s", conf->sync_gossip_peers);
	return chan_send_CONFIG_MESHD(c, id, -1, &m);
}

static uint8_t
log2_of(uint64_t size)
{
	uint8_t n = 0;

	while (n < 63 && (UINT64_C(1) << n) < size)
		n++;
	return n;
}

static int
config_sftd(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_SFTD m = { CONFIG_HEAD,
		.max_transfers = (uint16_t)conf->sft_max_transfers,
		.max_pending = (uint16_t)conf->mesh_max_pending,
		.per_address = (uint16_t)conf->mesh_per_address,
		.handshake_ms = (uint32_t)conf->mesh_handshake_timeout_ms,
		.pool = 1, .chunk_log2 = log2_of(conf->sft_chunk_size),
		.streams = (uint8_t)(conf->sft_parallel_streams -
		    CONF_SFT_STREAMS_AUTO),
		.verify = conf->sft_verify == CONF_SFT_VERIFY_DISK,
		.packed = conf->sft_compress == CONF_SFT_COMPRESS_AUTO,
		.window = (uint64_t)conf->sft_resume_buffer,
		.max_bytes = (uint64_t)conf->sft_max_bytes };

	snprintf(m.node, sizeof(m.node), "%s", conf->node_name);
	snprintf(m.accept, sizeof(m.accept), "%s", conf->sft_accept);
	return chan_send_CONFIG_SFTD(c, id, -1, &m);
}

static int
config_worker(struct chan *c, uint32_t id, const struct conf *conf,
    uint32_t generation)
{
	struct msg_CONFIG_WORKER m = { CONFIG_HEAD };

	return chan_send_CONFIG_WORKER(c, id, -1, &m);
}

int
boot_send_config(struct instance *in, const struct conf *conf,
    uint32_t generation, chan_done *done)
{
	static const struct {
		uint16_t type;
		int (*send)(struct chan *c, uint32_t id,
		    const struct conf *conf, uint32_t generation);
	} table[PROC_MAX] = {
		[PROC_KEYD] = { MSG_CONFIG_KEYD, config_keyd },
		[PROC_AUDITD] = { MSG_CONFIG_AUDITD, config_auditd },
		[PROC_ATTESTD] = { MSG_CONFIG_ATTESTD, config_attestd },
		[PROC_METRICD] = { MSG_CONFIG_METRICD, config_metricd },
		[PROC_CONTROLD] = { MSG_CONFIG_CONTROLD, config_controld },
		[PROC_MESHD] = { MSG_CONFIG_MESHD, config_meshd },
		[PROC_VERIFYD] = { MSG_CONFIG_WORKER, config_worker },
		[PROC_SFTD] = { MSG_CONFIG_SFTD, config_sftd },
		[PROC_LINKD] = { MSG_CONFIG_WORKER, config_worker },
		[PROC_XFERD] = { MSG_CONFIG_WORKER, config_worker },
		[PROC_UNPACKD] = { MSG_CONFIG_WORKER, config_worker },
	};

	return table[in->proc].send(in->chan,
	    chan_ask(in->chan, table[in->proc].type, done, in), conf,
	    generation);
}

static void
configure(struct instance *in)
{
	in->generation = suite.generation;
	(void)boot_send_config(in, &suite.conf, suite.generation, on_staged);
}

/* The keys. */

static void
on_key_public(struct chan *c, struct msg *m, void *arg)
{
	struct instance *in = arg;
	struct msg_KEY_PUBLIC key;

	(void)c;
	if (failed(in, m, "keys/node.key"))
		return;
	if (!msg_get_KEY_PUBLIC(&m->body, &key))
		fatalx("malformed KEY_PUBLIC");
	memcpy(suite.identity, key.identity, sizeof(suite.identity));
	memcpy(suite.sealing, key.sealing, sizeof(suite.sealing));
	configure(in);
}

static void
hand_over_key(struct instance *in)
{
	struct msg_CHECKPOINT_KNOWN known;
	struct msg_REGISTRY_NOTED noted;
	struct msg_REGISTRY_KNOWN registry;
	struct msg_KEY_FILE key = { 0 };
	char path[CONF_TEXT_MAX];
	int fd;

	if (kept_checkpoint(&known))
		(void)chan_send_CHECKPOINT_KNOWN(in->chan, 0, -1, &known);
	if (kept_registry(&noted)) {
		registry.state = noted.state;
		registry.state_len = noted.state_len;
		(void)chan_send_REGISTRY_KNOWN(in->chan, 0, -1, &registry);
	}
	recover_finish();
	rotate_hand_over(in->chan);
	if (!place_path(&suite.conf, PLACE_NODE_KEY, path, sizeof(path)) ||
	    (fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) == -1) {
		log_warn("%s", path);
		instance_kill(in, "has no key file");
		return;
	}
	(void)chan_send_KEY_FILE(in->chan,
	    chan_ask(in->chan, MSG_KEY_FILE, on_key_public, in), fd, &key);
	close(fd);
}

/* The first word. */

static void
on_hello(struct chan *c, struct msg *m)
{
	struct instance *in = chan_arg(c);
	struct msg_HELLO hello;

	if (!msg_get_HELLO(&m->body, &hello))
		fatalx("malformed HELLO");
	if (hello.schema != msg_schema() ||
	    strcmp(hello.version, CLAW_VERSION) != 0) {
		log_errorx("%s is of version %s and clawd of " CLAW_VERSION
			   "; install them together",
		    proc_name(in->proc), hello.version);
		instance_kill(in, "of another version");
		return;
	}
	in->layers = hello.layers;
	in->probes = hello.probes;
	in->failed = hello.failed;
	in->missing = hello.missing;
	if (hello.failed != 0) {
		log_errorx("%s: probes 0x%x found its sandbox open",
		    proc_name(in->proc), hello.failed);
		instance_kill(in, "its sandbox is open");
		return;
	}
	if (in->proc == PROC_KEYD)
		hand_over_key(in);
	else
		configure(in);
}

static void
on_checkpoint_noted(struct chan *c, struct msg *m)
{
	struct msg_CHECKPOINT_NOTED noted;
	uint64_t order;

	if (!msg_get_CHECKPOINT_NOTED(&m->body, &noted))
		fatalx("malformed CHECKPOINT_NOTED");
	/* It comes back to the next keyd, which has to be able to take it. */
	if (!shardname_parse(noted.shard, &order) ||
	    order >= shardname_order_at(time(NULL)) + SHARDNAME_PARTS) {
		supervise_violation(c, m->type, "of no shard there can be");
		return;
	}
	kept_put_checkpoint(&noted);
}

static void
on_registry_noted(struct chan *c, struct msg *m)
{
	struct msg_REGISTRY_NOTED noted;

	(void)c;
	if (!msg_get_REGISTRY_NOTED(&m->body, &noted))
		fatalx("malformed REGISTRY_NOTED");
	kept_put_registry(&noted);
}

static void
on_not_ready(evutil_socket_t fd, short what, void *arg)
{
	struct instance *in = arg;

	(void)fd;
	(void)what;
	instance_kill(in, "did not become ready in time");
}

static time_t
ready_within_s(enum proc p)
{
	if (p >= PROC_SUITE_END)
		return (time_t)(worker_ready_ms(p) + 999) / 1000;
	return p == PROC_AUDITD ? AUDITD_READY_WITHIN_S : READY_WITHIN_S;
}

struct instance *
boot_start(enum proc p)
{
	struct timeval within = { ready_within_s(p), 0 };
	struct slot *s = &suite.slot[p];
	struct instance *in = calloc(1, sizeof(*in));
	struct timespec now;
	int channel, page;

	if (in == NULL)
		fatalx("out of memory");
	in->pid = spawn_start(&suite.spawn, p, &channel, &page);
	if (in->pid == -1) {
		free(in);
		return NULL;
	}
	if (s->page == -1)
		s->page = page;
	else
		close(page);
	clock_gettime(CLOCK_REALTIME, &now);
	in->proc = p;
	in->state = PROCSTATE_STARTING;
	in->started_ms =
	    (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	in->chan = chan_new(suite.base, channel, PROC_CLAWD, p, &ops, in);
	in->deadline = evtimer_new(suite.base, on_not_ready, in);
	if (in->chan == NULL || in->deadline == NULL ||
	    evtimer_add(in->deadline, &within) == -1)
		fatalx("out of memory");
	TAILQ_INSERT_TAIL(&suite.all, in, entry);
	if (p >= PROC_SUITE_END)
		return in; /* a worker has no slot */
	if (s->cur == NULL)
		s->cur = in;
	else
		s->next = in;
	return in;
}
