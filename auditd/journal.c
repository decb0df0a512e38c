/* SPDX-License-Identifier: ISC */
/*
 * journal.c - records of the open shard become durable, then signed.
 *
 * Group commit: records are appended as they come; once no more are waiting
 * on the channels, or enough have come together, they are written and synced
 * as one, and everybody is answered. A checkpoint is signed in the background
 * at most checkpoint_ms after a record; no answer waits for one.
 *
 * Owns who waits for an answer, what is kept free on the disk, and the
 * checkpoint on its way. The shard is lent by rollover.c, which decides which
 * one it is; attributes come checked by auditd.c, signatures from keyd.
 */
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auditd/journal.h"
#include "auditd/shard.h"
#include "common/auditrec.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "common/note.h"

#define COMMIT_LINES 1024    /* commit at the latest after so many */
#define COMMIT_BYTES 1048576 /* or so much */
#define REPLIES_MAX 8192     /* as many as the channels let come at once */

/* Who waits for a record that is not durable yet. */
struct reply {
	struct chan *chan; /* NULL: nobody (any more) */
	uint32_t id;
	uint64_t number;
};

static struct {
	struct journal_conf conf;
	struct shard *shard;   /* lent by rollover.c; NULL: between two */
	struct note_vkey key;  /* of the shard */
	bool open;	       /* records may be appended */
	bool closing;	       /* its last checkpoint is on its way */
	bool (*over)(void);    /* whether it is to close, */
	void (*closed)(void);  /* and who goes on then */
	void (*drained)(void); /* who goes on after the last checkpoint */
	void (*on_commit)(uint64_t size);
	char boot[LINE_BOOT_LEN + 1];
	struct reply reply[REPLIES_MAX];
	size_t replies;
	size_t pending_bytes;
	struct event *commit, *sign;
	bool signing;
	char unpublished[NOTE_CHECKPOINT_MAX]; /* signed, the disk was full */
	size_t unpublished_len;
	unsigned int intents;
	int64_t newest_ms; /* latest time of a record since clock.reset */
	int64_t coming_ms; /* the same with those that are not durable yet */
	int disk_state;	   /* 0 fine, 1 above warn_at, 2 above refuse_at */
	bool reserve_short;
} j;

/* What the checkpoint being signed says. */
static struct {
	uint64_t size;
	uint8_t root[32];
	void (*then)(void);
} asked;

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
	done.newest = j.newest_ms > 0 ? (uint64_t)j.newest_ms / 1000 : 0;
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
	if (r == 0)
		j.newest_ms = j.coming_ms;
	j.coming_ms = j.newest_ms;
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

void
journal_stamp(struct line_env *env)
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

static bool
resets_clock(const struct line_attr *attrs, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(attrs[i].name, "event") == 0)
			return attrs[i].len == sizeof(LINE_CLOCK_RESET) - 1 &&
			    memcmp(attrs[i].data, LINE_CLOCK_RESET,
				attrs[i].len) == 0;
	return false;
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
	journal_stamp(&env);
	e = shard_append(j.shard, attrs, count, NULL, 0, &env, &n);
	if (e != 0)
		return e;
	if (number != NULL)
		*number = n;
	if (env.ts_ms > j.coming_ms || resets_clock(attrs, count))
		j.coming_ms = env.ts_ms;
	r = &j.reply[j.replies++];
	*r = (struct reply){ c, id, n };
	j.pending_bytes += most_bytes(attrs, count);
	if (j.replies >= COMMIT_LINES || j.pending_bytes >= COMMIT_BYTES)
		commit();
	else
		event_active(j.commit, EV_TIMEOUT, 1);
	return 0;
}

int
journal_head(char name[SHARDNAME_SIZE], uint64_t *size, uint8_t root[32])
{
	char path[SHARDNAME_SIZE + 16];

	if (!j.open)
		return -1;
	*size = shard_size(j.shard);
	if (shard_root(j.shard, *size, root) != 0)
		return -1;
	snprintf(name, SHARDNAME_SIZE, "%s", shard_name(j.shard));
	snprintf(path, sizeof(path), "%s/" SHARD_LOG, name);
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

void
journal_tell(struct chan *attestd)
{
	struct msg_CHECKPOINT_LATEST latest;
	char note[2049];
	ssize_t n;

	if (attestd == NULL || j.shard == NULL)
		return;
	n = shard_checkpoint_read(j.shard, note, sizeof(note));
	if (n <= 0)
		return;
	latest.note = (const uint8_t *)note;
	latest.note_len = (uint16_t)n;
	(void)chan_send_CHECKPOINT_LATEST(attestd, 0, -1, &latest);
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
	journal_tell(child_peer(PROC_ATTESTD));
	counter_add(COUNTER_AUDIT_CHECKPOINTS, 1);
	counter_set(COUNTER_AUDIT_SIGNED, shard_checkpoint_size(j.shard));
	return true;
}

/* All that is durable is signed and published. */
static void
all_signed(void)
{
	if (!j.closing)
		return;
	j.closing = false;
	j.closed();
}

static void
drained(void)
{
	if (j.drained != NULL)
		j.drained();
}

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
	else
		all_signed();
	/* A full disk keeps a checkpoint back, but not the log shut. */
	if (asked.then != NULL)
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

/* Signs all that is durable: false if nothing was asked of keyd. */
static bool
sign_all(void)
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
		all_signed();
		return false;
	}
	count = shard_consistency(j.shard, size, proof);
	if (count < 0 || shard_root(j.shard, size, asked.root) != 0)
		fatalx("the tree of the log cannot be computed");
	return ask_signature(size, (const merkle_hash *)proof, count, NULL);
}

void
journal_sign_again(uint64_t size, const uint8_t root[32], void (*then)(void))
{
	memcpy(asked.root, root, sizeof(asked.root));
	(void)ask_signature(size, NULL, 0, then);
}

static void
on_sign(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (j.open) {
		check_disk();
		if (j.reserve_short)
			keep_reserve();
		if (j.reserve_short || j.disk_state == 2)
			sign_later(); /* to look again */
		if (j.over() && j.intents == 0) {
			commit();
			j.closing = true;
			j.open = false;
		}
	}
	if (j.open || j.closing)
		(void)sign_all();
}

void
journal_drain(void (*done)(void))
{
	if (!j.open) {
		done();
		return;
	}
	commit();
	j.drained = done;
	/* on_signed() goes on from there. */
	if (!j.signing && !sign_all())
		done();
}

/* The shard that is lent. */

void
journal_take(struct shard *s, const uint8_t public[32])
{
	const uint8_t *g = j.conf.genesis;
	char origin[NOTE_NAME_MAX + 1];

	snprintf(origin, sizeof(origin),
	    "%02x%02x%02x%02x%02x%02x%02x%02x/%s/%s", g[0], g[1], g[2], g[3],
	    g[4], g[5], g[6], g[7], j.conf.node, shard_name(s));
	if (note_vkey_make(&j.key, origin, NOTE_ED25519, public) != 0)
		fatalx("log key of %s", origin);
	j.shard = s;
}

size_t
journal_vkey(char *out, size_t size)
{
	ssize_t n = note_vkey_format(&j.key, out, size);

	if (n < 0)
		fatalx("log key of %s", j.key.name);
	return (size_t)n;
}

void
journal_serve(const struct line_attr *first, size_t count)
{
	j.open = true;
	keep_reserve();
	counter_set(COUNTER_AUDIT_SIZE, shard_size(j.shard));
	counter_set(COUNTER_AUDIT_SIGNED, shard_checkpoint_size(j.shard));
	if (count > 0) {
		(void)journal_append(first, count, JOURNAL_RUNNING, NULL, 0,
		    NULL);
		commit(); /* before anybody is told that we are ready */
	}
	check_disk();
	if (shard_size(j.shard) > shard_checkpoint_size(j.shard))
		sign_later();
}

void
journal_seen(int64_t newest_ms)
{
	if (newest_ms > j.newest_ms)
		j.newest_ms = j.coming_ms = newest_ms;
}

void
journal_leave(void)
{
	j.shard = NULL;
}

/* Start. */

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

void
journal_start(bool (*over)(void), void (*closed)(void))
{
	j.over = over;
	j.closed = closed;
	j.commit = event_new(child_base(), -1, 0, on_commit, NULL);
	j.sign = event_new(child_base(), -1, 0, on_sign, NULL);
	if (j.commit == NULL || j.sign == NULL)
		fatalx("out of memory");
	/* After all channels have been read: what came together goes together.
	 */
	event_priority_set(j.commit, 2);
}
