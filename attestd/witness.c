/* SPDX-License-Identifier: ISC */
/*
 * witness.c - what peers' logs looked like when they were last shown.
 *
 * In WELCOME each node shows the newest checkpoint of its audit log and gives
 * back the newest that it holds of the other's. A log that is shorter or other
 * than it was shown before has been rolled back, and both ends say so: no
 * check on the machine itself finds a log and its checkpoints set back
 * together. A peer's checkpoint is kept as it came, in a file of its own; it
 * comes over a session in which the peer is attested, from the peer itself.
 *
 * Of two sessions at a time the WELCOME that was said first may be read last.
 * So what is older says something only in a session that began after the newer
 * one was read here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attestd/attestd.h"
#include "common/child.h"
#include "common/log.h"
#include "common/note.h"
#include "common/shardname.h"

#define NOTE_LEN_MAX 2048
#define FILE_PREFIX "checkpoint."
#define LATELY_MAX 1024 /* as many as there can be sessions */

static int dir = -1;

static struct {
	uint8_t note[NOTE_LEN_MAX];
	size_t len;
} own;

/* Whose was kept when; the order of things in this process, not a clock. */
static struct {
	char peer[REGISTRY_NAME_SIZE];
	uint64_t at;
} lately[LATELY_MAX];
static uint64_t now;

/* A checkpoint, as far as it can be compared. */
struct seen {
	uint64_t order; /* of its shard */
	struct note_checkpoint cp;
};

void
witness_load(int dirfd)
{
	dir = dirfd;
}

/* Whether these bytes are a checkpoint of that node's log in our registry. */
static bool
read_note(const void *note, size_t len, const char *node, struct seen *out)
{
	const uint8_t *g = attestd.genesis;
	char prefix[128];
	struct note n;
	size_t p;

	snprintf(prefix, sizeof(prefix), "%02x%02x%02x%02x%02x%02x%02x%02x/%s/",
	    g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], node);
	p = strlen(prefix);
	return note_parse(note, len, &n) == 0 &&
	    note_checkpoint_parse(n.text, n.text_len, &out->cp) == 0 &&
	    strncmp(out->cp.origin, prefix, p) == 0 &&
	    shardname_parse(out->cp.origin + p, &out->order);
}

/* Whether a log that was shown as `was` can be what is shown as `is`. */
static bool
goes_on(const struct seen *was, const struct seen *is)
{
	if (was->order != is->order)
		return is->order > was->order;
	if (was->cp.size != is->cp.size)
		return is->cp.size > was->cp.size;
	return memcmp(was->cp.root, is->cp.root, sizeof(was->cp.root)) == 0;
}

uint64_t
witness_now(void)
{
	return ++now;
}

static void
note_kept(const char *peer)
{
	size_t i, oldest = 0;

	for (i = 0; i < LATELY_MAX; i++) {
		if (strcmp(lately[i].peer, peer) == 0)
			break;
		if (lately[i].at < lately[oldest].at)
			oldest = i;
	}
	i = i < LATELY_MAX ? i : oldest;
	snprintf(lately[i].peer, sizeof(lately[i].peer), "%s", peer);
	lately[i].at = ++now;
}

static bool
kept_since(const char *peer, uint64_t began)
{
	size_t i;

	for (i = 0; i < LATELY_MAX; i++)
		if (strcmp(lately[i].peer, peer) == 0)
			return lately[i].at > began;
	return false;
}

void
witness_on_latest(struct chan *c, struct msg *m)
{
	struct msg_CHECKPOINT_LATEST latest;

	(void)c;
	if (!msg_get_CHECKPOINT_LATEST(&m->body, &latest) ||
	    latest.note_len > sizeof(own.note))
		fatalx("malformed CHECKPOINT_LATEST");
	memcpy(own.note, latest.note, latest.note_len);
	own.len = latest.note_len;
}

size_t
witness_own(const uint8_t **note)
{
	*note = own.note;
	return own.len;
}

size_t
witness_of(const char *peer, uint8_t out[NOTE_LEN_MAX])
{
	char name[96];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), FILE_PREFIX "%s", peer);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return 0;
	n = read(fd, out, NOTE_LEN_MAX);
	close(fd);
	return n < 0 ? 0 : (size_t)n;
}

/*
 * In place of the one before, as a whole. Not synced: a power cut may bring
 * the one before back, which is as good a witness for all that it says.
 */
static void
keep(const char *peer, const void *note, size_t len)
{
	char name[96], temporary[104];
	bool good;
	int fd;

	snprintf(name, sizeof(name), FILE_PREFIX "%s", peer);
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	fd = openat(dir, temporary,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	good = fd != -1 && write(fd, note, len) == (ssize_t)len;
	if (fd != -1)
		close(fd);
	if (!good || renameat(dir, temporary, dir, name) == -1)
		log_warn("the checkpoint of %s cannot be kept", peer);
	else
		note_kept(peer);
}

static void
alarm_about(const char *peer, const char *why, const struct seen *was,
    const struct seen *is)
{
	static struct auditrec rec;
	char text[256];

	snprintf(text, sizeof(text),
	    "%s: shown before with %" PRIu64 " records in %s, now %" PRIu64
	    " in %s",
	    why, was->cp.size, strrchr(was->cp.origin, '/') + 1, is->cp.size,
	    strrchr(is->cp.origin, '/') + 1);
	log_errorx("audit log, %s: %s", peer, text);
	auditrec_init(&rec, AUDIT_LOG_ALARM, AUDIT_SINGLE, AUDIT_FAILED);
	auditrec_text(&rec, AUDIT_ATTR_PEER, peer);
	auditrec_text(&rec, AUDIT_ATTR_REASON, text);
	(void)attestd_record(&rec, NULL, NULL);
}

const char *
witness_take(const char *peer, uint64_t began, const void *theirs,
    size_t theirs_len, const void *ours, size_t ours_len)
{
	uint8_t note[NOTE_LEN_MAX];
	struct seen was, is;
	size_t n;

	if (theirs_len > 0) {
		if (!read_note(theirs, theirs_len, peer, &is))
			return "what it shows is no checkpoint of its log";
		n = witness_of(peer, note);
		if (n > 0 && read_note(note, n, peer, &was) &&
		    !goes_on(&was, &is)) {
			if (!kept_since(peer, began) ||
			    was.cp.size == is.cp.size)
				alarm_about(peer, "its log was set back", &was,
				    &is);
		} else
			keep(peer, theirs, theirs_len);
	}
	if (ours_len > 0) {
		if (!read_note(ours, ours_len, attestd.node, &was))
			return "what it holds is no checkpoint of our log";
		if (own.len > 0 &&
		    read_note(own.note, own.len, attestd.node, &is) &&
		    !goes_on(&was, &is))
			alarm_about(peer, "our log was set back", &was, &is);
	}
	return NULL;
}
