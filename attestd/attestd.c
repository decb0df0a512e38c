/* SPDX-License-Identifier: ISC */
/*
 * attestd.c - verifies: who may be believed.
 *
 * It reads the registry below the one directory it may open, checks every
 * byte of it against the genesis hash that the configuration pins, and says
 * who this node is. It holds no key and has no network.
 */
#include <stdio.h>
#include <string.h>

#include "common/auditrec.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/merkle.h"
#include "common/registry_file.h"

static struct {
	char node[64];
	uint8_t genesis[32];
	uint8_t identity[32];
} conf, staged;

static struct registry *registry;
static struct registry_file registry_file;

static void
prepare(void)
{
	/* Finds the algorithms while their libraries can be opened. */
	if (merkle_setup() != 0)
		fatalx("OpenSSL lacks SHA-256");
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_ATTESTD c;

	if (!msg_get_CONFIG_ATTESTD(&m->body, &c))
		return "malformed configuration";
	snprintf(staged.node, sizeof(staged.node), "%s", c.node);
	memcpy(staged.genesis, c.genesis, sizeof(staged.genesis));
	memcpy(staged.identity, c.identity, sizeof(staged.identity));
	return NULL;
}

static void
commit(void)
{
	conf = staged;
}

/* Ready once it is on record which registry this node believes. */
static void
on_recorded(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED)
		log_warnx("the registry in force could not be recorded");
	child_ready();
}

static void
start(void)
{
	struct chan *auditd = child_peer(PROC_AUDITD);
	struct auditrec r;
	const char *why;

	registry = registry_new(conf.genesis);
	if (registry == NULL)
		fatalx("out of memory");
	why = registry_file_load(&registry_file, DESC_REGISTRY_DIR, false,
	    registry);
	if (why != NULL)
		fatalx("%s", why);
	counter_set(COUNTER_REGISTRY_SEQ, registry_seq(registry));
	log_info("registry verified: sequence %llu, %u of %u authorities",
	    (unsigned long long)registry_seq(registry),
	    registry_set(registry)->threshold, registry_set(registry)->count);
	if (auditd == NULL)
		fatalx("no channel to auditd");
	auditrec_init(&r, AUDIT_REGISTRY_LOADED, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(&r, AUDIT_ATTR_SEQ, registry_seq(registry));
	auditrec_bytes(&r, AUDIT_ATTR_SHA256, registry_head(registry), 32);
	(void)chan_send_AUDIT_APPEND(auditd,
	    chan_ask(auditd, MSG_AUDIT_APPEND, on_recorded, NULL), -1,
	    auditrec_msg(&r));
}

static void
on_identity_show(struct chan *c, struct msg *m)
{
	const struct registry_set *set = registry_set(registry);
	struct msg_IDENTITY id = { .seq = registry_seq(registry),
		.authorities = set->count,
		.threshold = set->threshold };

	snprintf(id.node, sizeof(id.node), "%s", conf.node);
	memcpy(id.identity, conf.identity, sizeof(id.identity));
	memcpy(id.genesis, conf.genesis, sizeof(id.genesis));
	memcpy(id.head, registry_head(registry), sizeof(id.head));
	(void)chan_send_IDENTITY(c, m->id, -1, &id);
}

static const struct chan_handlers from_siblings[] = {
	{ MSG_IDENTITY_SHOW, on_identity_show },
	{ 0, NULL },
};

static const struct child attestd = {
	.self = PROC_ATTESTD,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_ATTESTD,
	.stage = stage,
	.commit = commit,
	.start = start,
};

int
main(int argc, char **argv)
{
	child_run(&attestd, argc, argv);
}
