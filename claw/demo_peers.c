/* SPDX-License-Identifier: ISC */
/*
 * demo_peers.c - the acts of claw demo that take more than one node: beta joins
 * alpha, each proves to the other who it is, impostors are refused, and beta is
 * revoked.
 *
 * What a node says of itself is not enough here: each thing is also looked up
 * in the audit log of the node that decided it.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "claw/audit.h"
#include "claw/config.h"
#include "claw/demo.h"
#include "claw/mesh.h"

#define WAIT_MS 5000
#define PAUSE_MS 10
#define RECORDS 256 /* more than a demo leaves */

/* A little later; false when the time is over, or the demo. */
static bool
again(int *waited_ms)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	(void)nanosleep(&pause, NULL);
	*waited_ms += PAUSE_MS;
	return *waited_ms < WAIT_MS && !demo_interrupted;
}

/* The records of a node, oldest first, as a list; the caller's. */
static json_t *
records(const struct demo_node *n)
{
	const struct audit_tail_opts opts = { .dir = n->log,
		.lines = RECORDS,
		.json = true };
	json_t *list = json_array();
	char *text = NULL, *line, *next;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return list;
	(void)audit_tail(&opts, out, stderr);
	if (fclose(out) != 0)
		return list;
	for (line = text; (next = strchr(line, '\n')) != NULL; line = next + 1)
		(void)json_array_append_new(list,
		    json_loadb(line, (size_t)(next - line), 0, NULL));
	free(text);
	return list;
}

/* What is asked of a record; NULL: anything. */
struct wanted {
	const char *event, *role, *peer, *address;
};

static bool
is_as(const json_t *act, const char *name, const char *want)
{
	return want == NULL || strcmp(mesh_text(act, name), want) == 0;
}

/* The first such record, waited for; NULL, or the caller's. */
static json_t *
find(const struct demo_node *n, const struct wanted *w)
{
	json_t *list, *found = NULL;
	const json_t *act;
	json_t *record;
	int waited_ms = 0;
	size_t i;

	do {
		list = records(n);
		json_array_foreach(list, i, record)
		{
			act = json_object_get(record, "act");
			if (found == NULL && is_as(act, "event", w->event) &&
			    is_as(act, "role", w->role) &&
			    is_as(act, "peer", w->peer) &&
			    is_as(act, "address", w->address))
				found = json_incref(record);
		}
		json_decref(list);
	} while (found == NULL && again(&waited_ms));
	return found;
}

static long long
number_of(const json_t *record)
{
	return mesh_number(json_object_get(record, "env"), "n");
}

static const char *
said_in(const json_t *record, const char *name)
{
	return mesh_text(json_object_get(record, "act"), name);
}

static json_t *
ask(struct demo_node *n, const char *method, json_t *params)
{
	struct api_error e = { 0 };
	json_t *result = api_ask(&n->conf, method, params, DEMO_ANSWER_MS, &e);

	if (result == NULL)
		fprintf(stderr, "claw demo: %s: %s\n", method, e.text);
	return result;
}

/* Whom a node has links with, once it is this many; "" for none. */
static bool
has_links(struct demo_node *n, size_t many, const char *whom)
{
	const json_t *link, *links;
	json_t *r;
	int waited_ms = 0;
	bool good;
	size_t i;

	do {
		r = ask(n, "node.links", NULL);
		links = json_object_get(r, "links");
		good = json_is_array(links) && json_array_size(links) == many;
		json_array_foreach(links, i, link) good =
		    good && is_as(link, "peer", whom);
		json_decref(r);
	} while (!good && again(&waited_ms));
	return good;
}

/* Joining. */

static bool
make_ticket(struct demo *d, char text[static TICKET_TEXT_MAX])
{
	struct cmd c = { .verb = VERB_NODE_INVITE,
		.file = d->alpha.config,
		.given = { { .flag = FLAG_INVITE_NAME, .value = "beta" },
		    { .flag = FLAG_INVITE_CAPABILITIES,
			.value = "sft.send,sft.receive" } },
		.n_given = 2 };
	struct ticket t = { 0 };
	bool good = mesh_invite(&c, &t, text) == EX_OK;

	ticket_clear(&t);
	return demo_held(d, good,
	    "claw node:invite at alpha: a ticket for beta, good once: %.20s...",
	    good ? text : "");
}

static bool
compare_words(struct demo *d)
{
	char at_beta[128];
	const json_t *invite;
	json_t *r;
	bool good;

	r = ask(&d->alpha, "invite.list", NULL);
	invite = json_array_get(json_object_get(r, "invites"), 0);
	good =
	    demo_said(&d->beta, "same six words", at_beta, sizeof(at_beta)) &&
	    is_as(invite, "name", "beta") && is_as(invite, "words", at_beta);
	(void)demo_held(d, good, "both ends show the same six words: %s",
	    at_beta);
	json_decref(r);
	return good;
}

bool
demo_join(struct demo *d)
{
	char text[TICKET_TEXT_MAX];
	bool good;

	demo_step(d, "join", "A second node joins with a ticket");
	demo_node(&d->beta, &d->place, "beta", "beta");
	if (!make_ticket(d, text))
		return false;
	good = demo_held(d, demo_init(&d->beta, text, d->cmd->envp),
	    "claw init --join made beta's keys, and alpha added it to the "
	    "registry");
	explicit_bzero(text, sizeof(text));
	return good && compare_words(d) &&
	    demo_held(d,
		demo_load(&d->beta) && demo_start(&d->beta, d->cmd->envp),
		"clawd started beta");
}

/* Who is who. */

static bool
was_attested(struct demo *d, struct demo_node *by, struct demo_node *whom)
{
	const struct wanted w = { .event = "peer.attested",
		.peer = whom->name };
	json_t *self = ask(whom, "node.show", NULL), *record = find(by, &w);
	const char *key = mesh_text(self, "identity");
	bool good;

	good = demo_held(d,
	    self != NULL && record != NULL && strlen(key) > 8 &&
		is_as(json_object_get(record, "act"), "key", key),
	    "%s knows %s by its key, record %lld: peer.attested, %.24s...",
	    by->name, whom->name, number_of(record), said_in(record, "key"));
	json_decref(record);
	json_decref(self);
	return good;
}

bool
demo_attest(struct demo *d)
{
	const json_t *us;
	json_t *r;
	bool good;

	demo_step(d, "attest", "Each proves to the other who it is");
	if (!was_attested(d, &d->beta, &d->alpha) ||
	    !was_attested(d, &d->alpha, &d->beta))
		return false;
	r = ask(&d->beta, "node.ping", json_pack("{s:s}", "name", "alpha"));
	us = json_object_get(r, "us");
	good =
	    demo_held(d, mesh_true(r, "attested") && is_as(r, "peer", "alpha"),
		"claw node:ping alpha: connected, attested by both ends after "
		"%.1f ms; then %.2f ms there and back",
		(double)mesh_number(us, "welcome") / 1000,
		(double)mesh_number(us, "round_trip") / 1000);
	json_decref(r);
	return good &&
	    demo_held(d, has_links(&d->alpha, 1, "beta"),
		"claw node:links at alpha: one link, with beta");
}

/* Who is not. */

/* Beta's registry, which is no secret, in place of its own. */
static bool
take_registry(struct demo *d)
{
	char from[DEMO_PATH_MAX + 64], to[DEMO_PATH_MAX + 64];
	char pin[CONF_TEXT_MAX + 32];
	char *said = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&said, &len);
	bool good;

	if (out == NULL)
		return false;
	snprintf(from, sizeof(from), "%s/data/registry", d->beta.dir);
	snprintf(to, sizeof(to), "%s/data/registry", d->impostor.dir);
	snprintf(pin, sizeof(pin), "node.registry.genesis=%s",
	    d->beta.conf.registry_genesis);
	demo_remove(to);
	good = demo_copy(from, to) &&
	    config_set(d->impostor.config, pin, out, stderr) == EX_OK;
	fclose(out);
	free(said);
	return good;
}

static bool
make_impostor(struct demo *d)
{
	struct demo_node *n = &d->impostor;

	demo_node(n, &d->place, "impostor", "beta");
	return demo_held(d,
	    demo_init(n, NULL, d->cmd->envp) && take_registry(d) &&
		demo_load(n) && demo_start(n, d->cmd->envp),
	    "a third node calls itself beta: it has beta's registry, and keys "
	    "of its own");
}

/* What alpha wrote down of a refusal, and that the ping said no. */
static void
was_refused(struct demo *d, const struct wanted *w, bool refused,
    const char *what)
{
	json_t *record = refused ? find(&d->alpha, w) : NULL;

	(void)demo_held(d,
	    record != NULL &&
		is_as(json_object_get(record, "act"), "outcome", "denied"),
	    "%s: refused, alpha's record %lld: %s", what, number_of(record),
	    said_in(record, "reason"));
	json_decref(record);
}

static bool
is_refusal(const json_t *ping)
{
	return mesh_true(ping, "reached") && !mesh_true(ping, "attested");
}

/*
 * A ClientHello as of anybody's TLS 1.3 client, X25519 and AES-128-GCM; random
 * and share are whatever they are, because it comes to no key exchange.
 */
static const unsigned char client_hello[119] = {
	0x16, 3, 1, 0, 114,	       /* a record */
	1, 0, 0, 110, 3, 3,	       /* ClientHello, random, no session */
	[44] = 0, 2, 0x13, 0x01, 1, 0, /* the suite, no compression */
	0, 67,			       /* extensions: */
	0, 43, 0, 3, 2, 3, 4,	       /* TLS 1.3 */
	0, 10, 0, 4, 0, 2, 0, 0x1d,    /* X25519 */
	0, 13, 0, 6, 0, 4, 4, 3, 8, 7, /* ECDSA with P-256, Ed25519 */
	0, 51, 0, 38, 0, 36, 0, 0x1d, 0, 32, 9, /* the share */
};

static int
connect_to(const char *address, char own[static 32])
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
	} addr = { .in = { .sin_family = AF_INET,
		       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr.in);
	const char *port = strrchr(address, ':');
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.in.sin_port =
	    htons((uint16_t)strtoul(port != NULL ? port + 1 : "", NULL, 10));
	if (fd == -1 || connect(fd, &addr.any, len) == -1 ||
	    getsockname(fd, &addr.any, &len) == -1) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	snprintf(own, 32, "127.0.0.1:%u",
	    (unsigned int)ntohs(addr.in.sin_port));
	return fd;
}

/* The alert that alpha answers with, 0 for anything else. */
static int
say_hello(struct demo *d, char own[static 32])
{
	struct pollfd pfd = { .events = POLLIN };
	unsigned char answer[64];
	ssize_t n = -1;

	own[0] = '\0';
	pfd.fd = connect_to(d->alpha.address, own);
	if (pfd.fd == -1)
		return 0;
	if (send(pfd.fd, client_hello, sizeof(client_hello), MSG_NOSIGNAL) ==
		(ssize_t)sizeof(client_hello) &&
	    poll(&pfd, 1, WAIT_MS) == 1)
		n = recv(pfd.fd, answer, sizeof(answer), 0);
	close(pfd.fd);
	/* An alert's record: 2 bytes, the first of which says fatal. */
	return n >= 7 && answer[0] == 0x15 && answer[5] == 2 ? answer[6] : 0;
}

static bool
let_in_beta_alone(struct demo *d)
{
	json_t *list = records(&d->alpha),
	       *self = ask(&d->beta, "node.show", NULL);
	const char *key = mesh_text(self, "identity");
	const json_t *act;
	json_t *record;
	bool good = self != NULL;
	size_t i, seen = 0;

	json_array_foreach(list, i, record)
	{
		act = json_object_get(record, "act");
		if (!is_as(act, "event", "peer.attested"))
			continue;
		seen++;
		good = good && is_as(act, "key", key);
	}
	json_decref(self);
	json_decref(list);
	return good && seen > 0 && has_links(&d->alpha, 1, "beta");
}

bool
demo_impostor(struct demo *d)
{
	const struct wanted dialled = { .event = "peer.refused",
		.role = "client",
		.address = d->impostor.address };
	const struct wanted came = { .event = "peer.refused",
		.role = "server",
		.peer = "beta" };
	char own[32], what[96];
	const struct wanted plain = { .event = "peer.refused",
		.role = "server",
		.address = own };
	json_t *r;
	int alert;

	demo_step(d, "impostor", "Who is not who he says is refused");
	if (!make_impostor(d))
		return false;
	/* It dials by itself as soon as it has read where alpha is. */
	json_decref(find(&d->alpha, &came));
	r = ask(&d->impostor, "node.ping", json_pack("{s:s}", "name", "alpha"));
	was_refused(d, &came, is_refusal(r), "it dials alpha");
	json_decref(r);
	r = ask(&d->alpha, "node.ping",
	    json_pack("{s:s}", "address", d->impostor.address));
	was_refused(d, &dialled, is_refusal(r), "alpha dials it");
	json_decref(r);
	alert = say_hello(d, own);
	snprintf(what, sizeof(what),
	    "a TLS 1.3 client that is no node (alert %d)", alert);
	was_refused(d, &plain, alert != 0, what);
	demo_end(&d->impostor);
	return demo_held(d, let_in_beta_alone(d),
	    "alpha's log and links: nobody but beta was let in");
}

/* Who is no more. */

bool
demo_revoke(struct demo *d)
{
	const struct wanted ended = { .event = "peer.ended", .peer = "beta" };
	json_t *r, *record;
	bool good;

	demo_step(d, "revoke",
	    "Who is revoked is out, also in the middle of a link");
	r = ask(&d->alpha, "registry.update",
	    json_pack("{s:s, s:{s:s}}", "op", "node-revoke", "operands", "name",
		"beta"));
	good = demo_held(d, mesh_true(r, "applied"),
	    "claw node:revoke beta at alpha, an authority of the registry: "
	    "update %lld is in force",
	    mesh_number(r, "seq"));
	json_decref(r);
	if (!good)
		return false;
	record = find(&d->alpha, &ended);
	(void)demo_held(d,
	    record != NULL && has_links(&d->alpha, 0, NULL) &&
		has_links(&d->beta, 0, NULL),
	    "the link is closed at both ends; alpha's record %lld: "
	    "peer.ended, %s",
	    number_of(record), said_in(record, "reason"));
	json_decref(record);
	r = ask(&d->beta, "node.ping", json_pack("{s:s}", "name", "alpha"));
	(void)demo_held(d, is_refusal(r), "claw node:ping alpha at beta: %s",
	    mesh_text(r, "reason"));
	json_decref(r);
	return true;
}
