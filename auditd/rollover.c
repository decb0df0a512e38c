/* SPDX-License-Identifier: ISC */
/*
 * rollover.c - which shard is the open one.
 *
 * Owns the shard, its sealed log key, and what one shard says of the one
 * before. At a start the newest goes on, if keyd agrees that nothing signed
 * is missing; a month that is over is closed for good, and its key destroyed;
 * a shard that cannot go on is left as it is, and its successor says why. What
 * enters is keyd's answers. The open shard is lent to journal.c, which writes
 * and signs all of it but its first lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auditd/journal.h"
#include "auditd/logkey.h"
#include "auditd/rollover.h"
#include "auditd/shard.h"
#include "common/b64.h"
#include "common/child.h"
#include "common/log.h"
#include "common/note.h"
#include "common/shardname.h"

#define CLOCK_SKEW_MS 3600000 /* between wall and boot clock */
#define SHARD_TRIES 64	      /* names tried for a new shard */

static struct {
	struct shard *shard;
	struct shard_report report;
	uint64_t order; /* of the shard */
	uint8_t endorsement[64];
	const char *rolled_back;	     /* why; said in the next shard */
	char last_note[NOTE_CHECKPOINT_MAX]; /* of the shard before */
	size_t last_note_len;
	int64_t clock_offset_ms; /* wall minus boot clock at the start */
	bool clock_told;
	unsigned int tries;
	void (*ready)(void);
	void (*opened)(void);
} cur;

static void next_shard(void);

static int64_t
clock_offset_ms(void)
{
	struct line_env env;

	journal_stamp(&env);
	return env.ts_ms - (int64_t)env.mono_ms;
}

static uint64_t
this_month(void)
{
	struct line_env env;

	journal_stamp(&env);
	return shardname_order_at(env.ts_ms / 1000);
}

/* One shard ends. */

static void
drop_shard(void)
{
	shard_close(cur.shard);
	cur.shard = NULL;
}

/* The note that the next shard begins with. */
static void
keep_last_note(void)
{
	ssize_t n = shard_checkpoint_read(cur.shard, cur.last_note,
	    sizeof(cur.last_note));

	cur.last_note_len = n > 0 ? (size_t)n : 0;
}

/* Gives up a shard that has no line, its names with it. */
static void
discard(void)
{
	char name[SHARDNAME_SIZE], path[SHARDNAME_SIZE + 16];

	snprintf(name, sizeof(name), "%s", shard_name(cur.shard));
	snprintf(path, sizeof(path), "%s/" SHARD_LOG, name);
	drop_shard();
	logkey_destroy(name);
	(void)unlinkat(DESC_AUDIT_DIR, path, 0);
	(void)unlinkat(DESC_AUDIT_DIR, name, AT_REMOVEDIR);
}

/* The shard cannot go on: its successor says so. */
static void
roll_back(const char *why)
{
	log_errorx("shard %s is not what was signed (%s): it is closed as it "
		   "is, keep a copy; the log goes on in another",
	    shard_name(cur.shard), why);
	keep_last_note();
	cur.rolled_back = why;
	logkey_destroy(shard_name(cur.shard));
	drop_shard();
	cur.order++;
	next_shard();
}

/* Whether the wall clock is where it was at the start, give or take an hour;
 * that it is not is recorded once. */
static bool
clock_is_believed(void)
{
	int64_t skew = clock_offset_ms() - cur.clock_offset_ms;
	struct line_attr attrs[] = {
		{ .name = "event", .data = "audit.clock", .len = 11 },
		{ .name = "reason",
		    .data = "wall and boot clock disagree by over an hour",
		    .len = 44 },
	};
	bool good = skew <= CLOCK_SKEW_MS && skew >= -CLOCK_SKEW_MS;

	if (!good && !cur.clock_told)
		(void)journal_append(attrs, 2, JOURNAL_RUNNING, NULL, 0, NULL);
	cur.clock_told = !good;
	return good;
}

/* A month is closed for good: the clock has to be believed before. */
static bool
month_is_over(void)
{
	return clock_is_believed() &&
	    this_month() / SHARDNAME_PARTS > cur.order / SHARDNAME_PARTS;
}

static void
on_key_closed(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL)
		return;
	journal_leave();
	logkey_destroy(shard_name(cur.shard));
	drop_shard();
	cur.order = this_month();
	next_shard();
}

/* The last checkpoint of a month is published: its key is destroyed. */
static void
close_shard(void)
{
	struct msg_LOGKEY_CLOSE want = { 0 };
	struct chan *keyd = child_peer(PROC_KEYD);

	keep_last_note();
	if (keyd == NULL)
		return;
	snprintf(want.shard, sizeof(want.shard), "%s", shard_name(cur.shard));
	(void)chan_send_LOGKEY_CLOSE(keyd,
	    chan_ask(keyd, MSG_LOGKEY_CLOSE, on_key_closed, NULL), -1, &want);
}

/* Another one is made. */

/* The journal has the shard and its key: say what has to be said, serve. */
static void
serve(void)
{
	struct line_attr attrs[] = {
		{ .name = "bytes",
		    .type = LINE_U64,
		    .u64 = cur.report.torn_bytes },
		{ .name = "event", .data = "audit.recovered", .len = 15 },
		{ .name = "sha256",
		    .type = LINE_HEX,
		    .data = cur.report.torn_sha256,
		    .len = 32 },
	};
	void (*ready)(void) = cur.ready;

	if (cur.report.torn_bytes > 0)
		log_warnx("%" PRIu64 " bytes of a torn record were cut",
		    cur.report.torn_bytes);
	journal_serve(attrs, cur.report.torn_bytes > 0 ? 3 : 0);
	cur.report.torn_bytes = 0;
	cur.ready = NULL;
	if (ready != NULL)
		ready();
	cur.opened();
}

static void
first_line(const uint8_t endorsement[64])
{
	char vkey[NOTE_VKEY_MAX];
	const char *name = shard_name(cur.shard), *why = cur.rolled_back;
	struct line_attr attrs[] = {
		{ .name = "endorsement",
		    .type = LINE_B64,
		    .data = endorsement,
		    .len = 64 },
		{ .name = "event", .data = "shard.open", .len = 10 },
		{ .name = "prev_checkpoint",
		    .data = cur.last_note,
		    .len = cur.last_note_len },
		{ .name = "shard", .data = name, .len = strlen(name) },
		{ .name = "vkey", .data = vkey },
	};
	struct line_attr rolled[] = {
		{ .name = "event", .data = "audit.rolled-back", .len = 17 },
		{ .name = "reason",
		    .data = why,
		    .len = why != NULL ? strlen(why) : 0 },
	};
	struct line_env env;

	attrs[4].len = journal_vkey(vkey, sizeof(vkey));
	journal_stamp(&env);
	if (shard_append(cur.shard, attrs, 5, NULL, 0, &env, NULL) != 0 ||
	    (why != NULL &&
		shard_append(cur.shard, rolled, 2, NULL, 0, &env, NULL) != 0) ||
	    shard_commit(cur.shard) != 0)
		fatalx("the first lines of %s cannot be written", name);
	cur.rolled_back = NULL;
}

/*
 * keyd has given a key for this name or a later one before: that shard is not
 * here any more. The log goes on where no name was used.
 */
static void
skip_name(void)
{
	uint64_t month = this_month();

	discard();
	cur.rolled_back = "a shard that was opened before is missing";
	cur.order = cur.order + 1 > month ? cur.order + 1 : month;
	next_shard();
}

static void
on_key_made(struct chan *c, struct msg *m, void *arg)
{
	struct msg_REFUSED no;
	struct msg_LOGKEY key;

	(void)c;
	(void)arg;
	if (m == NULL)
		fatalx("keyd is gone");
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no) ||
		    ++cur.tries == SHARD_TRIES)
			fatalx("keyd gives no log key: %s", no.text);
		log_warnx("%s: %s", shard_name(cur.shard), no.text);
		skip_name();
		return;
	}
	if (!msg_get_LOGKEY(&m->body, &key))
		fatalx("malformed LOGKEY");
	cur.tries = 0;
	journal_take(cur.shard, key.public);
	logkey_store(shard_name(cur.shard), key.sealed, key.sealed_len,
	    key.endorsement);
	first_line(key.endorsement);
	log_info("shard %s is open", shard_name(cur.shard));
	serve();
}

/* A shard of its own for cur.order, which has no log yet. */
static void
next_shard(void)
{
	struct shard_opts opts = { .create = true };
	struct msg_LOGKEY_NEW want = { 0 };
	struct chan *keyd = child_peer(PROC_KEYD);
	int r;

	shardname_format(cur.order, want.shard);
	shard_report_free(&cur.report);
	r = shard_open(DESC_AUDIT_DIR, want.shard, &opts, &cur.report,
	    &cur.shard);
	if (r != 0)
		fatalx("shard %s cannot be made: %s", want.shard, strerror(-r));
	if (keyd == NULL)
		fatalx("no channel to keyd");
	want.previous = (const uint8_t *)cur.last_note;
	want.previous_len = (uint16_t)cur.last_note_len;
	(void)chan_send_LOGKEY_NEW(keyd,
	    chan_ask(keyd, MSG_LOGKEY_NEW, on_key_made, NULL), -1, &want);
}

/* One that is there goes on. */

/* What keyd has signed of this shard and the files do not have; or NULL. */
static const char *
missing(const struct msg_LOGKEY_OPENED *key)
{
	merkle_hash root;

	if (key->size > shard_size(cur.shard))
		return "records that were signed are missing";
	if (key->size < shard_checkpoint_size(cur.shard))
		return "its checkpoint is not ours";
	if (key->size > 0 &&
	    (shard_root(cur.shard, key->size, root) != 0 ||
		memcmp(root, key->root, sizeof(root)) != 0))
		return "records that were signed are others now";
	return NULL;
}

/* keyd knows a checkpoint of this shard that may be ahead of the file. */
static void
on_key_opened(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LOGKEY_OPENED key;
	const char *why;

	(void)c;
	(void)arg;
	if (m == NULL)
		fatalx("keyd is gone");
	if (m->type == MSG_REFUSED) {
		roll_back("its log key is refused");
		return;
	}
	if (!msg_get_LOGKEY_OPENED(&m->body, &key))
		fatalx("malformed LOGKEY_OPENED");
	why = missing(&key);
	if (why != NULL) {
		roll_back(why);
		return;
	}
	journal_take(cur.shard, key.public);
	/* The crash came between its key and its first line. */
	if (shard_size(cur.shard) == 0)
		first_line(cur.endorsement);
	if (key.size > shard_checkpoint_size(cur.shard))
		/* Signed and not published: the same once more, then go on. */
		journal_sign_again(key.size, key.root, serve);
	else
		serve();
}

/* The published checkpoint, taken apart for keyd to judge. */
static void
published(struct msg_LOGKEY_OPEN *want)
{
	char text[NOTE_MAX];
	struct note_checkpoint cp;
	struct note note;
	uint8_t raw[68];
	ssize_t n;

	n = shard_checkpoint_read(cur.shard, text, sizeof(text));
	if (n <= 0 || note_parse(text, (size_t)n, &note) != 0 ||
	    note_checkpoint_parse(note.text, note.text_len, &cp) != 0 ||
	    note.nsigs == 0 ||
	    b64_decode(note.sig[0].b64, note.sig[0].b64_len, raw,
		sizeof(raw)) != sizeof(raw))
		return;
	want->size = cp.size;
	memcpy(want->root, cp.root, sizeof(want->root));
	memcpy(want->signature, raw + 4, sizeof(want->signature));
}

static void
open_key(void)
{
	struct msg_LOGKEY_OPEN want = { 0 };
	struct chan *keyd = child_peer(PROC_KEYD);
	uint8_t sealed[LOGKEY_SEALED_MAX];
	size_t len;

	snprintf(want.shard, sizeof(want.shard), "%s", shard_name(cur.shard));
	if (!logkey_load(want.shard, sealed, &len, cur.endorsement)) {
		roll_back("its log key is missing");
		return;
	}
	want.sealed = sealed;
	want.sealed_len = (uint16_t)len;
	published(&want);
	if (keyd == NULL)
		fatalx("no channel to keyd");
	(void)chan_send_LOGKEY_OPEN(keyd,
	    chan_ask(keyd, MSG_LOGKEY_OPEN, on_key_opened, NULL), -1, &want);
}

/* A shard without a line: a crash came while it was made. */
static void
make_again(void)
{
	char before[SHARDNAME_SIZE];
	ssize_t n = 0;

	if (shard_before(DESC_AUDIT_DIR, cur.order, before) == 0)
		n = shard_checkpoint_of(DESC_AUDIT_DIR, before, cur.last_note,
		    sizeof(cur.last_note));
	cur.last_note_len = n > 0 ? (size_t)n : 0;
	if (cur.shard != NULL && logkey_exists(shard_name(cur.shard))) {
		open_key();
		return;
	}
	if (cur.shard != NULL)
		discard();
	next_shard();
}

void
rollover_start(void (*ready)(void), void (*opened)(void))
{
	struct shard_opts opts = { .create = false };
	char name[SHARDNAME_SIZE];
	int r;

	cur.ready = ready;
	cur.opened = opened;
	cur.clock_offset_ms = clock_offset_ms();
	journal_start(month_is_over, close_shard);
	r = shard_newest(DESC_AUDIT_DIR, name);
	if (r == -ENOENT) {
		cur.order = this_month();
		next_shard();
		return;
	}
	if (r == 0)
		r = shard_open(DESC_AUDIT_DIR, name, &opts, &cur.report,
		    &cur.shard);
	if (!shardname_parse(name, &cur.order) || (r != 0 && r != -ENOENT))
		fatalx("the audit log cannot be opened: %s", strerror(-r));
	if (r == 0)
		journal_seen(cur.report.newest_ms);
	if (r == 0 && cur.report.damage != SHARD_SOUND)
		roll_back("it is damaged");
	else if (r == -ENOENT || shard_size(cur.shard) == 0)
		make_again();
	else
		open_key();
}

void
rollover_each_left_open(rollover_left_open *fn)
{
	size_t i;

	for (i = 0; i < cur.report.nopen; i++)
		fn(cur.report.open[i].n);
	shard_report_free(&cur.report);
}
