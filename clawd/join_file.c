/* SPDX-License-Identifier: ISC */
/*
 * join_file.c - a join without a session: a request goes there, the registry
 * comes back, and somebody carries both.
 */
#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/join_int.h"
#include "common/conf.h"
#include "common/identity.h"
#include "common/log.h"

#define LINES_MAX 24576

int
join_take_file(const struct init_opts *opts)
{
	if (opts->name == NULL) {
		log_errorx("a node that joins by file needs --name");
		return EX_DATA;
	}
	snprintf(joining.name, sizeof(joining.name), "%s", opts->name);
	joining.nn.name = joining.name;
	if (opts->complete == NULL)
		return 0;
	if (opts->genesis == NULL ||
	    conf_hash_bytes(opts->genesis, joining.nn.genesis) != 0) {
		log_errorx("--complete needs --genesis sha256:HASH, the hash "
			   "that claw registry:show prints there; get it from "
			   "a person, not with the file");
		return EX_DATA;
	}
	joining.lines = fopen(opts->complete, "re");
	if (joining.lines == NULL)
		log_warn("%s", opts->complete);
	return joining.lines == NULL ? EX_DATA : 0;
}

/* The request. */

static void
on_request_signed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REQUEST_SIGNED done;

	(void)c;
	(void)arg;
	if (join_given_up(m))
		return;
	if (!msg_get_REQUEST_SIGNED(&m->body, &done))
		fatalx("malformed REQUEST_SIGNED");
	memcpy(joining.request.sig, done.signature,
	    sizeof(joining.request.sig));
	joining.requested = true;
	join_leave(EXIT_SUCCESS, NULL);
}

void
join_sign_request(struct chan *c)
{
	struct msg_REQUEST_SIGN want = { 0 };

	snprintf(want.node, sizeof(want.node), "%s", joining.nn.name);
	netaddr_list_text(&joining.nn.at, want.addresses);
	joining.request.at = joining.nn.at;
	snprintf(joining.request.name, sizeof(joining.request.name), "%s",
	    joining.nn.name);
	memcpy(joining.request.identity, joining.identity, 32);
	memcpy(joining.request.sealing, joining.sealing, 32);
	(void)chan_send_REQUEST_SIGN(c,
	    chan_ask(c, MSG_REQUEST_SIGN, on_request_signed, NULL), -1, &want);
}

int
join_write_request(void)
{
	const char *to = joining.nn.opts->request;
	char text[JOINREQ_TEXT_MAX], key[IDENTITY_TEXT_SIZE];
	FILE *f;
	bool ok;

	if (joinreq_format(&joining.request, text, sizeof(text)) < 0)
		return EX_CONFIG;
	f = strcmp(to, "-") == 0 ? stdout : fopen(to, "we");
	ok = f != NULL && fprintf(f, "%s\n", text) > 0 && fflush(f) == 0;
	if (f != NULL && f != stdout)
		ok = fclose(f) == 0 && ok;
	if (!ok) {
		log_warn("%s", to);
		return EX_CANTCREAT;
	}
	/* Standard output may be the request. */
	identity_text(joining.identity, key);
	fprintf(stderr,
	    "request of %s, %s; there: claw node:add --request FILE, which "
	    "shows the same key\n",
	    joining.nn.name, key);
	return EXIT_SUCCESS;
}

/* The registry, as a linkd would bring it. */

static void
on_taken(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REGISTRY_TAKEN taken;
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	if (chan_is_refused(m, &no)) {
		join_leave(EX_DATA, no.text);
		return;
	}
	if (!msg_get_REGISTRY_TAKEN(&m->body, &taken))
		fatalx("malformed REGISTRY_TAKEN");
	if (taken.why[0] != '\0') {
		snprintf(joining.why, sizeof(joining.why), "%s: %s",
		    joining.nn.opts->complete, taken.why);
		join_leave(EX_DATA, joining.why);
		return;
	}
	join_offer_lines();
}

/*
 * As many whole lines as fit; nothing of them is looked at but where they end
 * and whether they are rotations, which have another place.
 */
void
join_offer_lines(void)
{
	static char bytes[LINES_MAX];
	struct msg_REGISTRY_OFFER offer = { .lines = (uint8_t *)bytes };
	long from = ftell(joining.lines);
	size_t n = fread(bytes, 1, sizeof(bytes), joining.lines), used = 0;
	const char *end;
	bool turn;

	while ((end = memchr(bytes + used, '\n', n - used)) != NULL) {
		turn = strncmp(bytes + used, "{\"r\":", 5) == 0;
		if (used > 0 && turn != (offer.rotations != 0))
			break;
		offer.rotations = turn;
		used = (size_t)(end - bytes) + 1;
	}
	if (n > 0 && used == 0) {
		join_leave(EX_DATA,
		    "the file is no registry: a line does not end");
		return;
	}
	if (n == 0 || fseek(joining.lines, from + (long)used, SEEK_SET) == -1) {
		join_try_finish(EX_DATA);
		return;
	}
	offer.lines_len = (uint16_t)used;
	(void)chan_send_REGISTRY_OFFER(joining.as_linkd,
	    chan_ask(joining.as_linkd, MSG_REGISTRY_OFFER, on_taken, NULL), -1,
	    &offer);
}

void
join_stand_for_linkd(void)
{
	struct msg_PEER peer = { .proc = PROC_LINKD, .session = 1 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		fatal("socketpair");
	(void)chan_send_PEER(joining.attestd.chan, 0, pair[0], &peer);
	close(pair[0]);
	joining.as_linkd = chan_new(joining.base, pair[1], PROC_LINKD,
	    PROC_ATTESTD, &join_ops, &joining.attestd);
	if (joining.as_linkd == NULL)
		fatalx("out of memory");
	chan_set_when(joining.as_linkd, WHEN_RUN);
}
