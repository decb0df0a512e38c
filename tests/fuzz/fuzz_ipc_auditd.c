/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_auditd.c - auditd under a keyd, an attestd and a controld taken
 * over, on a real log in a memory file system.
 */
/* Four rooms in one, and names that more than one of them uses. */
#include "common/child.h"

#define commit j_commit
#define on_commit j_on_commit
#include "auditd/journal.c"
#undef on_commit
#undef commit
#include "auditd/rollover.c"
#define main auditd_main
int auditd_main(int, char **);
#define on_commit auditd_on_commit
#include "auditd/auditd.c"
#undef on_commit
#undef main

#include <sys/mman.h>

#include "tests/fuzz/ipc.h"
#include "tests/fuzz/scratch.h"

static void
open_as(const char *name, int number)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	if (mkdir(path, 0700) == -1 ||
	    (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    (fd != number && dup2(fd, number) == -1))
		abort();
	if (fd != number)
		close(fd);
}

static void
ipc_begin(void)
{
	if (top[0] == '\0')
		scratch_make("auditd");
	else
		scratch_clean();
	open_as("log", DESC_AUDIT_DIR);
	open_as("state", DESC_AUDIT_STATE);
	memset(&j, 0, sizeof(j));
	memset(&cur, 0, sizeof(cur));
	memset(&asked, 0, sizeof(asked));
	journal_prepare();
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_AUDITD config = { .generation = 1,
		.log_level = 0,
		.node = "node1",
		.checkpoint_ms = 0,
		.warn_percent = 99,
		.refuse_percent = 100,
		.reserve_bytes = 1 << 20 };

	msg_put_CONFIG_AUDITD(w, &config);
}

/* What an honest keyd, or one that means to be trusted, says. */
static void
answer_keyd(uint8_t what)
{
	uint8_t packet[512], body[400], sealed[61] = { what };
	struct msg_LOGKEY key = { .public = { what },
		.sealed = sealed,
		.sealed_len = sizeof(sealed) };
	struct msg_CHECKPOINT_SIGNED sign = { .signature = { what } };
	struct wbuf w, b;
	uint32_t id = id_for(PROC_KEYD, 5);

	wbuf_init(&b, body, sizeof(body));
	if ((what >> 3) % 2 == 0)
		msg_put_LOGKEY(&b, &key);
	else
		msg_put_CHECKPOINT_SIGNED(&b, &sign);
	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, (what >> 3) % 2 == 0 ? MSG_LOGKEY : MSG_CHECKPOINT_SIGNED);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)b.len);
	wbuf_u32(&w, id);
	wbuf_put(&w, b.data, b.len);
	if (ipc.end[PROC_KEYD] != -1)
		put_packet_to(PROC_KEYD, packet, w.len, NULL, 0);
}

/* A record as an honest sender composes it, of an event the input names. */
static void
send_record(uint8_t what)
{
	static struct auditrec r;
	enum proc p = (what >> 3) % 2 == 0 ? PROC_ATTESTD : PROC_CONTROLD;
	uint8_t packet[MSG_MAX_LEN], text[16];
	size_t i;
	struct wbuf w;

	for (i = 0; i < sizeof(text) - 1; i++)
		text[i] = take();
	text[i] = '\0';
	auditrec_init(&r,
	    p == PROC_ATTESTD ? AUDIT_REGISTRY_LOADED : AUDIT_NOTE,
	    AUDIT_SINGLE, AUDIT_OK);
	r.msg.phase = take() % 3;
	r.msg.outcome = r.msg.phase == AUDIT_INTENT ? 0 : 1;
	r.msg.intent = r.msg.phase == AUDIT_OUTCOME ? take() % 8u : 0;
	auditrec_bytes(&r, AUDIT_ATTR_TEXT, text, take() % sizeof(text));
	auditrec_num(&r, AUDIT_ATTR_UID, take());
	wbuf_init(&w, packet, sizeof(packet));
	w.len = MSG_HEADER_LEN;
	msg_put_AUDIT_APPEND(&w, auditrec_msg(&r));
	i = w.len;
	w.len = 0;
	wbuf_u16(&w, MSG_AUDIT_APPEND);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)(i - MSG_HEADER_LEN));
	wbuf_u32(&w, ++ipc.next_id[p]);
	if (ipc.end[p] != -1)
		put_packet_to(p, packet, i, NULL, 0);
}

static void
ipc_step(uint8_t what)
{
	if ((what & 7) == 6)
		answer_keyd(what);
	else
		send_record(what);
}

/* clawd starts the worker that it is asked for: another one taken over. */
static void
start_worker(uint32_t id)
{
	struct msg_WORKER_STARTED done = { .proc = PROC_VERIFYD,
		.pid = 1,
		.session = 1 };
	uint8_t body[16];
	struct wbuf w;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	if (ipc.end[PROC_VERIFYD] != -1)
		close(ipc.end[PROC_VERIFYD]);
	ipc.end[PROC_VERIFYD] = pair[0];
	ipc.asks[PROC_VERIFYD] = 0;
	wbuf_init(&w, body, sizeof(body));
	msg_put_WORKER_STARTED(&w, &done);
	clawd_says(MSG_WORKER_STARTED, id, &w, pair[1]);
	close(pair[1]);
}

/* No record is acknowledged before it is in the log. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_AUDIT_APPENDED done;
	struct rbuf r = m->body;

	(void)peer;
	if (m->type == MSG_WORKER_START)
		start_worker(m->id);
	if (m->type != MSG_AUDIT_APPENDED)
		return;
	if (!msg_get_AUDIT_APPENDED(&r, &done))
		abort();
	if (j.shard != NULL && strcmp(done.shard, shard_name(j.shard)) == 0 &&
	    done.number >= shard_size(j.shard))
		abort();
}

static void
ipc_end(void)
{
	struct intent *in;
	struct waiting *w;

	while ((in = TAILQ_FIRST(&intents)) != NULL) {
		TAILQ_REMOVE(&intents, in, entry);
		free(in);
	}
	while ((w = STAILQ_FIRST(&waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&waiting, entry);
		free(w);
	}
	intent_count = waiting_count = 0;
	if (j.j_commit != NULL)
		event_free(j.j_commit);
	if (j.sign != NULL)
		event_free(j.sign);
	shard_close(cur.shard);
	shard_report_free(&cur.report);
	cur.shard = j.shard = NULL;
	j.j_commit = j.sign = NULL;
}

/* keyd stands above auditd: without it, or lied to by it, auditd ends. */
static bool
ipc_may_die(const char *why)
{
	static const char *const of_keyd[] = { "keyd is gone",
		"keyd gives no log key: %s", "no channel to keyd",
		"the log and its last checkpoint disagree" };
	size_t i;

	for (i = 0; i < sizeof(of_keyd) / sizeof(of_keyd[0]); i++)
		if (strcmp(why, of_keyd[i]) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&auditd, data, len);
}
