/* SPDX-License-Identifier: ISC */
/*
 * joining.c - attestd while this node does not exist yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attestd/attestd.h"
#include "attestd/joining.h"
#include "common/child.h"
#include "common/log.h"

#define CHAIN "registry.ndjson"
#define CHAIN_NEW "registry.ndjson.joining"

static struct {
	bool on;
	bool by_file; /* there is no inviter: lines come from a file */
	uint8_t inviter[32];
	uint8_t sealing[32];
	int dirfd;
	bool written;
} my = { .dirfd = -1 };

bool
joining_now(void)
{
	return my.on;
}

void
joining_on_begin(struct chan *c, struct msg *m)
{
	static const uint8_t nobody[32];
	struct msg_JOINING begin;

	(void)c;
	if (!msg_get_JOINING(&m->body, &begin))
		fatalx("malformed JOINING");
	my.on = true;
	memcpy(my.inviter, begin.inviter, sizeof(my.inviter));
	memcpy(my.sealing, begin.sealing, sizeof(my.sealing));
	my.by_file = memcmp(my.inviter, nobody, sizeof(nobody)) == 0;
}

/* Lines of an earlier attempt's file: verified like any. */
static const char *
read_lines(FILE *f)
{
	const char *why = NULL;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while (why == NULL && (n = getline(&line, &size, f)) > 0)
		if (line[n - 1] != '\n')
			why = "its last line does not end";
		else
			(void)registry_apply(attestd.registry, line,
			    (size_t)n - 1, &why);
	free(line);
	return why;
}

void
joining_start(int dirfd)
{
	const char *why;
	FILE *f;
	int fd;

	my.dirfd = dirfd;
	attestd.registry = registry_new(attestd.genesis);
	if (attestd.registry == NULL)
		fatalx("out of memory");
	fd = openat(dirfd, CHAIN, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		if (errno != ENOENT)
			fatal(CHAIN);
		return;
	}
	f = fdopen(fd, "r");
	if (f == NULL)
		fatal(CHAIN);
	why = read_lines(f);
	fclose(f);
	if (why != NULL)
		fatalx(CHAIN ", from an attempt before, is not of the registry "
			     "that this ticket is for: %s; remove it and "
			     "join again",
		    why);
	my.written = true;
}

const char *
joining_refuses(const struct evidence *leaf,
    const uint8_t sig[EVIDENCE_SIG_LEN])
{
	if (!my.on || my.by_file)
		return "this node joins nobody";
	if (evidence_verify_sig(leaf, sig, my.inviter) != 0)
		return "it is not the inviter that the ticket names: somebody "
		       "else answers at this address";
	return NULL;
}

/* NULL, or why the line is not taken. *taken: it was new. */
static const char *
take(const char *line, size_t len, bool *taken)
{
	const char *why = NULL;
	uint64_t from = 0;

	*taken = false;
	switch (registry_offer(attestd.registry, line, len, &from, &why)) {
	case REGISTRY_NEXT:
	case REGISTRY_SWITCHED:
	case REGISTRY_RESOLVED:
	case REGISTRY_FORK:
	case REGISTRY_BRANCH:
		*taken = true;
		return NULL;
	case REGISTRY_KNOWN:
		return NULL;
	case REGISTRY_AHEAD:
		return "lines before it are missing";
	case REGISTRY_BAD:
		break;
	}
	return why != NULL ? why : "it is no line of a registry";
}

static const char *
take_rotation(const char *line, size_t len, bool *taken)
{
	const char *why = NULL;
	enum registry_turn turn =
	    registry_rotate(attestd.registry, line, len, &why);

	*taken = turn == REGISTRY_TURNED || turn == REGISTRY_TURN_TWO;
	return turn == REGISTRY_TURN_BAD ? why : NULL;
}

void
joining_on_offer(struct chan *c, struct msg *m)
{
	struct msg_REGISTRY_TAKEN done = { 0 };
	struct msg_REGISTRY_OFFER want;
	const char *line, *end, *last, *why = NULL;
	bool taken;

	if (!msg_get_REGISTRY_OFFER(&m->body, &want))
		fatalx("malformed REGISTRY_OFFER");
	line = (const char *)want.lines;
	last = line + want.lines_len;
	for (; why == NULL && line < last; line = end + 1) {
		end = memchr(line, '\n', (size_t)(last - line));
		if (end == NULL) {
			why = "a line that does not end";
			break;
		}
		why = want.rotations != 0 ?
		    take_rotation(line, (size_t)(end - line), &taken) :
		    take(line, (size_t)(end - line), &taken);
		done.taken += taken ? 1 : 0;
		my.written = my.written && !taken;
	}
	if (why != NULL)
		snprintf(done.why, sizeof(done.why), "%s", why);
	done.seq = registry_seq(attestd.registry);
	memcpy(done.head, registry_head(attestd.registry), sizeof(done.head));
	(void)chan_send_REGISTRY_TAKEN(c, m->id, -1, &done);
}

/* A node-add with exactly our keys, and the inviter is one of them, too. */
static const char *
names_us(void)
{
	const struct registry_node *n;
	static char text[192];

	n = registry_empty(attestd.registry) ?
	    NULL :
	    registry_node(attestd.registry, attestd.node);
	if (n == NULL) {
		snprintf(text, sizeof(text),
		    "the registry does not name %s yet", attestd.node);
		return text;
	}
	if (memcmp(n->identity, attestd.identity, 32) != 0 ||
	    memcmp(n->sealing, my.sealing, 32) != 0)
		return "the registry has other keys under this name";
	switch (registry_standing(attestd.registry, n->name, n->identity,
	    attestd_now())) {
	case REGISTRY_OK:
	case REGISTRY_OLD_KEY_OK:
		return NULL;
	default:
		return "the registry names this node, and has revoked it, or "
		       "its entry has expired";
	}
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t w;

	while (n > 0) {
		w = write(fd, p, n);
		if (w == -1 && errno == EINTR)
			continue;
		if (w <= 0)
			return w == 0 ? -EIO : -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
write_chain(int fd)
{
	static char lines[64 * 1024];
	uint64_t from = 0, next;
	size_t n;
	int r = 0;

	while (r == 0 && from <= registry_seq(attestd.registry)) {
		n = registry_range(attestd.registry, from, lines, sizeof(lines),
		    &next);
		if (n == 0 || next <= from)
			return -EIO;
		r = write_all(fd, lines, n);
		from = next;
	}
	if (r == 0 && fsync(fd) == -1)
		r = -errno;
	return r;
}

/* Whole or not at all, under its final name. 0 or -errno. */
static int
write_registry(void)
{
	int fd, r;

	fd = openat(my.dirfd, CHAIN_NEW,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return -errno;
	r = write_chain(fd);
	close(fd);
	if (r == 0 && renameat(my.dirfd, CHAIN_NEW, my.dirfd, CHAIN) == -1)
		r = -errno;
	if (r == 0 && fsync(my.dirfd) == -1)
		r = -errno;
	return r;
}

void
joining_on_check(struct chan *c, struct msg *m)
{
	struct msg_JOIN_CHECKED done = { 0 };
	const char *why;
	int r = 0;

	if (!my.on) {
		chan_refuse(c, m, EINVAL, false, "this node joins nobody");
		return;
	}
	why = names_us();
	if (why != NULL) {
		/* It may be that the lines have not come yet. */
		chan_refuse(c, m, ENOENT,
		    registry_empty(attestd.registry) ||
			registry_node(attestd.registry, attestd.node) == NULL,
		    "%s", why);
		return;
	}
	if (!my.written)
		r = write_registry();
	if (r != 0) {
		chan_refuse(c, m, (uint16_t)-r, false, CHAIN ": %s",
		    strerror(-r));
		return;
	}
	my.written = true;
	done.seq = registry_seq(attestd.registry);
	memcpy(done.head, registry_head(attestd.registry), sizeof(done.head));
	(void)chan_send_JOIN_CHECKED(c, m->id, -1, &done);
}
