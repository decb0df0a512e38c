/* SPDX-License-Identifier: ISC */
/*
 * journal.c - the open shard.
 *
 * Group commit: records are appended as they come; once no more are waiting
 * on the channels, or enough have come together, they are written and synced
 * as one, and everybody is answered. A checkpoint is signed in the background
 * at most checkpoint_ms after a record; no answer waits for one.
 */
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auditd/journal.h"
#include "auditd/logkey.h"
#include "auditd/shard.h"
#include "common/auditrec.h"
#include "common/b64.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/note.h"
#include "common/shardname.h"

#define COMMIT_LINES 1024     /* commit at the latest after so many */
#define COMMIT_BYTES 1048576  /* or so much */
#define REPLIES_MAX 8192      /* as many as the channels let come at once */
#define CLOCK_SKEW_MS 3600000 /* between wall and boot clock */
#define SHARD_TRIES 64	      /* names tried for a new shard */

/* Who waits for a record that is not durable yet. */
struct reply {
	struct chan *chan; /* NULL: nobody (any more) */
	uint32_t id;
	uint64_t number;
};

static struct {
	struct journal_conf conf;
	struct shard *shard;
	struct shard_report report;
	uint64_t order;		 /* of the open shard */
	bool open;		 /* records may be appended */
	bool closing;		 /* its last checkpoint is on its way */
	const char *rolled_back; /* why; said in the next shard */
	struct note_vkey key;	 /* of the open shard */
	uint8_t endorsement[64];
	char boot[LINE_BOOT_LEN + 1];
	int64_t clock_offset_ms; /* wall minus boot clock at the start */
	bool clock_told;
	struct reply reply[REPLIES_MAX];
	size_t replies;
	size_t pending_bytes;
	struct event *commit, *sign;
	bool signing;
	char unpublished[NOTE_CHECKPOINT_MAX]; /* signed, the disk was full */
	size_t unpublished_len;
	char last_note[NOTE_CHECKPOINT_MAX]; /* of the shard before */
	size_t last_note_len;
	unsigned int tries;
	unsigned int intents;
	int disk_state; /* 0 fine, 1 above warn_at, 2 above refuse_at */
	bool reserve_short;
	void (*ready)(void);
	void (*on_open)(void);
	void (*on_commit)(uint64_t size);
	void (*drained)(void);
} j;

static void opened(void);
static void next_shard(void);
static void shard_discard(int, struct shard *);

static int64_t
clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
journal_configure(const struct journal_conf *conf)
{
	j.conf = *conf;
}

bool
journal_open(void)
{
	return j.open;
}

void
journal_on_open(void (*fn)(void))
{
	j.on_open = fn;
}

void
journal_on_committed(void (*fn)(uint64_t))
{
	j.on_commit = fn;
}

void
journal_intents(unsigned int count)
{
	j.intents = count;
	counter_set(COUNTER_AUDIT_OPEN, count);
}

/* Room on the disk. */

static void
record_disk(unsigned int percent, const char *what)
{
	char text[32];
	struct line_attr attrs[] = {
		{ .name = "event", .data = "audit.disk", .len = 10 },
		{ .name = "percent", .type = LINE_U64, .u64 = percent },
		{ .name = "reason", .data = text, .len = strlen(what) },
	};

	snprintf(text, sizeof(text), "%s", what);
	log_warnx("the audit log's file system is %u%% full: %s", percent,
	    what);
	(void)journal_append(attrs, 3, JOURNAL_RUNNING, NULL, 0, NULL);
}

static void
check_disk(void)
{
	static const char *const what[] = { "below the limits",
		"above audit.warn_at", "above audit.refuse_at" };
	struct statfs fs;
	unsigned int percent;
	uint64_t used;
	int state;

	if (fstatfs(DESC_AUDIT_DIR, &fs) == -1 || fs.f_blocks == 0)
		return;
	used = fs.f_blocks - fs.f_bfree;
	/* As df(1) counts: of what this user could use. */
	percent = (unsigned int)((used * 100 + used + fs.f_bavail - 1) /
	    (used + fs.f_bavail));
	if (percent > 100)
		percent = 100;
	counter_set(COUNTER_AUDIT_DISK, percent);
	state = percent >= j.conf.refuse_percent ? 2 :
	    percent >= j.conf.warn_percent	 ? 1 :
						   0;
	if (state == j.disk_state)
		return;
	j.disk_state = state;
	if (j.open)
		record_disk(percent, what[state]);
}

/* Keeps the reserve allocated beyond the end of the log. */
static void
keep_reserve(void)
{
	int r = shard_reserve(j.shard, j.conf.reserve_bytes);

	if (r == -EOPNOTSUPP)
		fatalx("the file system of the audit log cannot reserve space "
		       "(fallocate): put node.log_dir on ext4, xfs, btrfs or "
		       "tmpfs");
	if ((r != 0) != j.reserve_short) {
		j.reserve_short = r != 0;
		log_warnx("the audit log's reserve of %" PRIu64 " bytes %s",
		    j.conf.reserve_bytes,
		    r != 0 ? "cannot be kept: new work is refused" :
			     "is there again");
	}
}

/* Every open intent has a claim to one more line. */
static bool has_room(enum journal_class class)
{
	uint64_t claims = ((uint64_t)j.intents + 1) * LINE_BYTES_MAX;

	if (class == JOURNAL_RUNNING)
		return true;
	return !j.reserve_short && j.disk_state < 2 &&
	    shard_reserved(j.shard) > j.pending_bytes + claims + LINE_BYTES_MAX;
}

/* Commit. */

static void
answer_all(int error)
{
	struct msg_AUDIT_APPENDED done = { 0 };
	struct msg m = { 0 };
	struct reply *r;
	size_t i;

	snprintf(done.shard, sizeof(done.shard), "%s", shard_name(j.shard));
	for (i = 0; i < j.replies; i++) {
		r = &j.reply[i];
		if (r->chan == NULL)
			continue;
		done.number = r->number;
		m.id = r->id;
		if (error == 0)
			(void)chan_send_AUDIT_APPENDED(r->chan, r->id, -1,
			    &done);
		else
			chan_refuse(r->chan, &m, (uint16_t)-error, true,
			    "the audit log cannot be written: %s",
			    strerror(-error));
	}
	j.replies = 0;
	j.pending_bytes = 0;
}

static void
sign_later(void)
{
	struct timeval tv = { j.conf.checkpoint_ms / 1000,
		(suseconds_t)(j.conf.checkpoint_ms % 1000) * 1000 };

	if (!event_pending(j.sign, EV_TIMEOUT, NULL))
		event_add(j.sign, &tv);
}

static void
commit(void)
{
	uint64_t before = shard_size(j.shard), bytes = shard_bytes(j.shard);
	int r;

	if (shard_pending(j.shard) == 0)
		return;
	r = shard_commit(j.shard);
	if (r == -EIO || shard_dead(j.shard))
		/* What was acknowledged is safe; nothing more may be. */
		fatalx("the audit log cannot be written: %s", strerror(-r));
	counter_add(COUNTER_AUDIT_SYNCS, 1);
	counter_add(COUNTER_AUDIT_RECORDS, shard_size(j.shard) - before);
	counter_add(COUNTER_AUDIT_BYTES, shard_bytes(j.shard) - bytes);
	counter_set(COUNTER_AUDIT_SIZE, shard_size(j.shard));
	if (j.on_commit != NULL)
		j.on_commit(shard_size(j.shard));
	answer_all(r);
	keep_reserve();
	sign_later();
}

static void
on_commit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (j.shard != NULL)
		commit();
}

static void
fill_env(struct line_env *env)
{
	memcpy(env->boot, j.boot, sizeof(env->boot));
	env->mono_ms = (uint64_t)clock_ms(CLOCK_BOOTTIME);
	env->ts_ms = clock_ms(CLOCK_REALTIME);
}

/* No less than what the line will take: a byte of text may become \\xNN. */
static size_t
most_bytes(const struct line_attr *attrs, size_t count)
{
	size_t i, n = 512;

	for (i = 0; i < count; i++)
		n += LINE_NAME_MAX + 5 * attrs[i].len;
	return n < LINE_BYTES_MAX ? n : LINE_BYTES_MAX;
}

int
journal_append(const struct line_attr *attrs, size_t count,
    enum journal_class class, struct chan *c, uint32_t id, uint64_t *number)
{
	struct line_env env;
	struct reply *r;
	uint64_t n;
	int e;

	if (!j.open)
		return -EAGAIN;
	if (!has_room(class)) {
		counter_add(COUNTER_AUDIT_REFUSED, 1);
		sign_later(); /* which looks whether there is room again */
		return -ENOSPC;
	}
	if (j.replies == REPLIES_MAX)
		commit();
	fill_env(&env);
	e = shard_append(j.shard, attrs, count, NULL, 0, &env, &n);
	if (e != 0)
		return e;
	if (number != NULL)
		*number = n;
	r = &j.reply[j.replies++];
	*r = (struct reply){ c, id, n };
	j.pending_bytes += most_bytes(attrs, count);
	if (j.replies >= COMMIT_LINES || j.pending_bytes >= COMMIT_BYTES)
		commit();
	else
		event_active(j.commit, EV_TIMEOUT, 1);
	return 0;
}

void
journal_name(char name[SHARDNAME_SIZE])
{
	shardname_format(j.order, name);
}

int
journal_head(uint64_t *size, uint8_t root[32])
{
	char path[SHARDNAME_SIZE + 16];

	if (!j.open)
		return -1;
	*size = shard_size(j.shard);
	if (shard_root(j.shard, *size, root) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/" SHARD_LOG, shard_name(j.shard));
	return openat(DESC_AUDIT_DIR, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

void
journal_forget(const struct chan *c)
{
	size_t i;

	for (i = 0; i < j.replies; i++)
		if (j.reply[i].chan == c)
			j.reply[i].chan = NULL;
}

/* Checkpoints. */

static int
checkpoint_of(uint64_t size, const uint8_t root[32], const uint8_t sig[64],
    char *out, size_t out_size)
{
	struct note_checkpoint cp = { .size = size };
	char body[NOTE_BODY_MAX];
	ssize_t n;

	snprintf(cp.origin, sizeof(cp.origin), "%s", j.key.name);
	memcpy(cp.root, root, sizeof(cp.root));
	n = note_checkpoint_format(&cp, body, sizeof(body));
	if (n < 0)
		return (int)n;
	return (int)note_compose(body, (size_t)n, &j.key, sig, out, out_size);
}

static bool
publish(void)
{
	int r = shard_publish(j.shard, j.unpublished, j.unpublished_len);

	if (r == -ENOSPC || r == -EDQUOT) {
		log_warnx("a checkpoint waits for room on the disk");
		return false;
	}
	if (r != 0)
		fatalx("the checkpoint cannot be published: %s", strerror(-r));
	j.unpublished_len = 0;
	counter_add(COUNTER_AUDIT_CHECKPOINTS, 1);
	counter_set(COUNTER_AUDIT_SIGNED, shard_checkpoint_size(j.shard));
	return true;
}

static void
drained(void)
{
	if (j.drained != NULL)
		j.drained();
}

/* What the checkpoint being signed says. */
static struct {
	uint64_t size;
	uint8_t root[32];
	void (*then)(void);
} asked;

static void
on_signed(struct chan *c, struct msg *m, void *arg)
{
	struct msg_CHECKPOINT_SIGNED done;
	struct msg_REFUSED no;
	int n;

	(void)c;
	(void)arg;
	j.signing = false;
	if (m == NULL) {
		drained(); /* keyd is gone, and so will we be */
		return;
	}
	if (m->type == MSG_REFUSED) {
		if (!msg_get_REFUSED(&m->body, &no))
			fatalx("malformed REFUSED");
		log_errorx("keyd does not sign the checkpoint: %s", no.text);
		if (!no.retry)
			fatalx("the log and its last checkpoint disagree");
		sign_later();
		drained();
		return;
	}
	if (!msg_get_CHECKPOINT_SIGNED(&m->body, &done))
		fatalx("malformed CHECKPOINT_SIGNED");
	n = checkpoint_of(asked.size, asked.root, done.signature, j.unpublished,
	    sizeof(j.unpublished));
	if (n < 0)
		fatalx("checkpoint: %s", strerror(-n));
	j.unpublished_len = (size_t)n;
	if (!publish() || shard_size(j.shard) > shard_checkpoint_size(j.shard))
		sign_later();
	/* A full disk keeps a checkpoint back, but not the log shut. */
	if (asked.then != NULL &&
	    (j.unpublished_len == 0 || asked.then == opened))
		asked.then();
	else
		drained();
}

static bool
ask_signature(uint64_t size, const merkle_hash *proof, int count,
    void (*then)(void))
{
	struct msg_CHECKPOINT_SIGN want = { .size = size };
	struct chan *keyd = child_peer(PROC_KEYD);

	if (keyd == NULL)
		return false;
	snprintf(want.shard, sizeof(want.shard), "%s", shard_name(j.shard));
	memcpy(want.root, asked.root, sizeof(want.root));
	want.proof = (const uint8_t *)proof;
	want.proof_len = (uint16_t)(count * MERKLE_HASH_LEN);
	asked.size = size;
	asked.then = then;
	j.signing = true;
	(void)chan_send_CHECKPOINT_SIGN(keyd,
	    chan_ask(keyd, MSG_CHECKPOINT_SIGN, on_signed, NULL), -1, &want);
	return true;
}

/* Signs all that is durable; then is called when it is published. */
static bool
sign_all(void (*then)(void))
{
	merkle_hash proof[MERKLE_PROOF_MAX];
	uint64_t size = shard_size(j.shard);
	int count;

	if (j.signing)
		return false;
	if (j.unpublished_len > 0 && !publish()) {
		sign_later();
		return false;
	}
	if (size == shard_checkpoint_size(j.shard)) {
		if (then != NULL)
			then();
		return true;
	}
	count = shard_consistency(j.shard, size, proof);
	if (count < 0 || shard_root(j.shard, size, asked.root) != 0)
		fatalx("the tree of the log cannot be computed");
	return ask_signature(size, (const merkle_hash *)proof, count, then);
}

static void
sign_now(void)
{
	(void)sign_all(NULL);
}

/* Change of shard. */

/* Whether the wall clock is where it was at the start, give or take an hour;
 * that it is not is recorded once. */
static bool
clock_is_believed(void)
{
	int64_t offset = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
	int64_t skew = offset - j.clock_offset_ms;
	struct line_attr attrs[] = {
		{ .name = "event", .data = "audit.clock", .len = 11 },
		{ .name = "reason",
		    .data = "wall and boot clock disagree by over an hour",
		    .len = 44 },
	};
	bool good = skew <= CLOCK_SKEW_MS && skew >= -CLOCK_SKEW_MS;

	if (!good && !j.clock_told)
		(void)journal_append(attrs, 2, JOURNAL_RUNNING, NULL, 0, NULL);
	j.clock_told = !good;
	return good;
}

/* A month is closed for good: the clock has to be believed before. */
static bool
month_is_over(void)
{
	uint64_t now = shardname_order_at(clock_ms(CLOCK_REALTIME) / 1000);

	return clock_is_believed() &&
	    now / SHARDNAME_PARTS > j.order / SHARDNAME_PARTS;
}

static void
on_key_closed(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL)
		return;
	logkey_destroy(shard_name(j.shard));
	shard_close(j.shard);
	j.shard = NULL;
	j.closing = false;
	j.order = shardname_order_at(clock_ms(CLOCK_REALTIME) / 1000);
	next_shard();
}

/* The last checkpoint of a month is published: its key is destroyed. */
static void
close_shard(void)
{
	struct msg_LOGKEY_CLOSE want = { 0 };
	struct chan *keyd = child_peer(PROC_KEYD);
	ssize_t n;

	n = shard_checkpoint_read(j.shard, j.last_note, sizeof(j.last_note));
	j.last_note_len = n > 0 ? (size_t)n : 0;
	if (keyd == NULL)
		return;
	snprintf(want.shard, sizeof(want.shard), "%s", shard_name(j.shard));
	(void)chan_send_LOGKEY_CLOSE(keyd,
	    chan_ask(keyd, MSG_LOGKEY_CLOSE, on_key_closed, NULL), -1, &want);
}

static void
on_sign(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (j.shard != NULL && j.closing)
		(void)sign_all(close_shard);
	if (j.shard == NULL || !j.open)
		return;
	check_disk();
	if (j.reserve_short)
		keep_reserve();
	if (j.reserve_short || j.disk_state == 2)
		sign_later(); /* to look again */
	if (month_is_over() && j.intents == 0) {
		commit();
		j.closing = true;
		j.open = false;
		if (!sign_all(close_shard))
			sign_later();
		return;
	}
	sign_now();
}

/* The shard is open and has a key: say what has to be said, then serve. */
static void
opened(void)
{
	uint8_t sum[32];
	struct line_attr attrs[] = {
		{ .name = "bytes",
		    .type = LINE_U64,
		    .u64 = j.report.torn_bytes },
		{ .name = "event", .data = "audit.recovered", .len = 15 },
		{ .name = "sha256", .type = LINE_HEX, .data = sum, .len = 32 },
	};

	j.open = true;
	keep_reserve();
	counter_set(COUNTER_AUDIT_SIZE, shard_size(j.shard));
	counter_set(COUNTER_AUDIT_SIGNED, shard_checkpoint_size(j.shard));
	if (j.report.torn_bytes > 0) {
		memcpy(sum, j.report.torn_sha256, sizeof(sum));
		log_warnx("%" PRIu64 " bytes of a torn record were cut",
		    j.report.torn_bytes);
		(void)journal_append(attrs, 3, JOURNAL_RUNNING, NULL, 0, NULL);
		commit(); /* before anybody is told that we are ready */
		j.report.torn_bytes = 0;
	}
	check_disk();
	if (shard_size(j.shard) > shard_checkpoint_size(j.shard))
		sign_later();
	if (j.ready != NULL) {
		void (*ready)(void) = j.ready;

		j.ready = NULL;
		ready();
	}
	if (j.on_open != NULL)
		j.on_open();
}

static void
first_line(const uint8_t endorsement[64])
{
	char vkey[NOTE_VKEY_MAX];
	const char *name = shard_name(j.shard);
	struct line_attr attrs[] = {
		{ .name = "endorsement",
		    .type = LINE_B64,
		    .data = endorsement,
		    .len = 64 },
		{ .name = "event", .data = "shard.open", .len = 10 },
		{ .name = "prev_checkpoint",
		    .data = j.last_note,
		    .len = j.last_note_len },
		{ .name = "shard", .data = name, .len = strlen(name) },
		{ .name = "vkey", .data = vkey },
	};
	struct line_attr rolled[] = {
		{ .name = "event", .data = "audit.rolled-back", .len = 17 },
		{ .name = "reason", .data = j.rolled_back },
	};
	struct line_env env;
	ssize_t n = note_vkey_format(&j.key, vkey, sizeof(vkey));

	attrs[4].len = n > 0 ? (size_t)n : 0;
	fill_env(&env);
	if (n < 0 || shard_append(j.shard, attrs, 5, NULL, 0, &env, NULL) != 0)
		fatalx("the first line of %s cannot be written", name);
	rolled[1].len = j.rolled_back != NULL ? strlen(j.rolled_back) : 0;
	if (j.rolled_back != NULL &&
	    shard_append(j.shard, rolled, 2, NULL, 0, &env, NULL) != 0)
		fatalx("the first lines of %s cannot be written", name);
	j.rolled_back = NULL;
	if (shard_commit(j.shard) != 0)
		fatalx("the first line of %s cannot be written", name);
}

static void
set_key(const uint8_t public[32])
{
	const uint8_t *g = j.conf.genesis;
	char origin[NOTE_NAME_MAX + 1];

	snprintf(origin, sizeof(origin),
	    "%02x%02x%02x%02x%02x%02x%02x%02x/%s/%s", g[0], g[1], g[2], g[3],
	    g[4], g[5], g[6], g[7], j.conf.node, shard_name(j.shard));
	if (note_vkey_make(&j.key, origin, NOTE_ED25519, public) != 0)
		fatalx("log key of %s", origin);
}

/*
 * keyd has given a key for this name or a later one before: that shard is not
 * here any more. The log goes on where no name was used.
 */
static void
skip_name(void)
{
	uint64_t now = shardname_order_at(clock_ms(CLOCK_REALTIME) / 1000);

	shard_discard(DESC_AUDIT_DIR, j.shard);
	j.shard = NULL;
	j.rolled_back = "a shard that was opened before is missing";
	j.order = j.order + 1 > now ? j.order + 1 : now;
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
		if (!msg_get_REFUSED(&m->body, &no) || ++j.tries == SHARD_TRIES)
			fatalx("keyd gives no log key: %s", no.text);
		log_warnx("%s: %s", shard_name(j.shard), no.text);
		skip_name();
		return;
	}
	if (!msg_get_LOGKEY(&m->body, &key))
		fatalx("malformed LOGKEY");
	set_key(key.public);
	j.tries = 0;
	logkey_store(shard_name(j.shard), key.sealed, key.sealed_len,
	    key.endorsement);
	first_line(key.endorsement);
	log_info("shard %s is open", shard_name(j.shard));
	opened();
}

/* A shard of its own for j.order, which has no log yet. */
static void
next_shard(void)
{
	struct shard_opts opts = { .create = true };
	struct msg_LOGKEY_NEW want = { 0 };
	struct chan *keyd = child_peer(PROC_KEYD);
	char name[SHARDNAME_SIZE];
	int r;

	shardname_format(j.order, name);
	shard_report_free(&j.report);
	r = shard_open(DESC_AUDIT_DIR, name, &opts, &j.report, &j.shard);
	if (r != 0)
		fatalx("shard %s cannot be made: %s", name, strerror(-r));
	if (keyd == NULL)
		fatalx("no channel to keyd");
	snprintf(want.shard, sizeof(want.shard), "%s", name);
	want.previous = (const uint8_t *)j.last_note;
	want.previous_len = (uint16_t)j.last_note_len;
	(void)chan_send_LOGKEY_NEW(keyd,
	    chan_ask(keyd, MSG_LOGKEY_NEW, on_key_made, NULL), -1, &want);
}

/* The open shard cannot go on: its successor says so. */
static void
roll_back(const char *why)
{
	ssize_t n;

	log_errorx("shard %s is not what was signed (%s): it is closed as it "
		   "is, keep a copy; the log goes on in another",
	    shard_name(j.shard), why);
	n = shard_checkpoint_read(j.shard, j.last_note, sizeof(j.last_note));
	j.last_note_len = n > 0 ? (size_t)n : 0;
	j.rolled_back = why;
	logkey_destroy(shard_name(j.shard));
	shard_close(j.shard);
	j.shard = NULL;
	j.order++;
	next_shard();
}

/* keyd knows a checkpoint of this shard that may be ahead of the file. */
static void
on_key_opened(struct chan *c, struct msg *m, void *arg)
{
	struct msg_LOGKEY_OPENED key;
	merkle_hash root;

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
	set_key(key.public);
	if (key.size == 0 && shard_size(j.shard) == 0) {
		/* The crash came between its key and its first line. */
		first_line(j.endorsement);
		opened();
		return;
	}
	if (key.size > shard_size(j.shard)) {
		roll_back("records that were signed are missing");
		return;
	}
	if (key.size < shard_checkpoint_size(j.shard)) {
		roll_back("its checkpoint is not ours");
		return;
	}
	if (key.size > 0 &&
	    (shard_root(j.shard, key.size, root) != 0 ||
		memcmp(root, key.root, sizeof(root)) != 0)) {
		roll_back("records that were signed are others now");
		return;
	}
	if (key.size > shard_checkpoint_size(j.shard)) {
		/* Signed and not published: the same once more, then go on. */
		memcpy(asked.root, key.root, sizeof(asked.root));
		ask_signature(key.size, NULL, 0, opened);
		return;
	}
	opened();
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

	n = shard_checkpoint_read(j.shard, text, sizeof(text));
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

	if (!logkey_load(shard_name(j.shard), sealed, &len, j.endorsement)) {
		roll_back("its log key is missing");
		return;
	}
	snprintf(want.shard, sizeof(want.shard), "%s", shard_name(j.shard));
	want.sealed = sealed;
	want.sealed_len = (uint16_t)len;
	published(&want);
	if (keyd == NULL)
		fatalx("no channel to keyd");
	(void)chan_send_LOGKEY_OPEN(keyd,
	    chan_ask(keyd, MSG_LOGKEY_OPEN, on_key_opened, NULL), -1, &want);
}

/* Gives up a shard that has no line, its names with it. */
static void
shard_discard(int auditfd, struct shard *s)
{
	char name[SHARDNAME_SIZE], path[SHARDNAME_SIZE + 16];

	snprintf(name, sizeof(name), "%s", shard_name(s));
	snprintf(path, sizeof(path), "%s/" SHARD_LOG, name);
	shard_close(s);
	logkey_destroy(name);
	(void)unlinkat(auditfd, path, 0);
	(void)unlinkat(auditfd, name, AT_REMOVEDIR);
}

static void
read_boot_id(void)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd == -1 || read(fd, j.boot, LINE_BOOT_LEN) != LINE_BOOT_LEN)
		fatal("boot id");
	close(fd);
}

void
journal_prepare(void)
{
	read_boot_id();
	if (merkle_setup() != 0)
		fatalx("OpenSSL lacks SHA-256");
}

/* The note that closed the shard before this one. */
static void
load_last_note(void)
{
	char before[SHARDNAME_SIZE];
	ssize_t n = 0;

	if (shard_before(DESC_AUDIT_DIR, j.order, before) == 0)
		n = shard_checkpoint_of(DESC_AUDIT_DIR, before, j.last_note,
		    sizeof(j.last_note));
	j.last_note_len = n > 0 ? (size_t)n : 0;
}

/* A shard without a line: a crash came while it was made. */
static void
make_again(void)
{
	load_last_note();
	if (j.shard != NULL && logkey_exists(shard_name(j.shard))) {
		open_key();
		return;
	}
	if (j.shard != NULL)
		shard_discard(DESC_AUDIT_DIR, j.shard);
	j.shard = NULL;
	next_shard();
}

void
journal_start(void (*ready)(void))
{
	struct shard_opts opts = { .create = false };
	char name[SHARDNAME_SIZE];
	int r;

	j.ready = ready;
	j.commit = event_new(child_base(), -1, 0, on_commit, NULL);
	j.sign = event_new(child_base(), -1, 0, on_sign, NULL);
	if (j.commit == NULL || j.sign == NULL)
		fatalx("out of memory");
	/* After all channels have been read: what came together goes together
	 */
	event_priority_set(j.commit, 2);
	j.clock_offset_ms = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME);
	r = shard_newest(DESC_AUDIT_DIR, name);
	if (r == -ENOENT) {
		j.order = shardname_order_at(clock_ms(CLOCK_REALTIME) / 1000);
		next_shard();
		return;
	}
	if (r == 0)
		r = shard_open(DESC_AUDIT_DIR, name, &opts, &j.report,
		    &j.shard);
	if (!shardname_parse(name, &j.order) || (r != 0 && r != -ENOENT))
		fatalx("the audit log cannot be opened: %s", strerror(-r));
	if (r == 0 && j.report.damage != SHARD_SOUND)
		roll_back("it is damaged");
	else if (r == -ENOENT || shard_size(j.shard) == 0)
		make_again();
	else
		open_key();
}

void
journal_each_left_open(journal_left_open *fn)
{
	size_t i;

	for (i = 0; i < j.report.nopen; i++)
		fn(j.report.open[i].n);
	shard_report_free(&j.report);
}

void
journal_drain(void (*done)(void))
{
	if (j.shard == NULL || !j.open) {
		done();
		return;
	}
	commit();
	j.drained = done;
	if (j.signing)
		return; /* on_signed() goes on from there */
	if (!sign_all(done))
		done();
}
