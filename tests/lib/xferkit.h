/* SPDX-License-Identifier: ISC */
/*
 * xferkit.h - two real xferds, and everybody they speak with played by a test.
 *
 * An end is one xferd in its sandbox, with a clawd, a keyd, an attestd and an
 * sftd that are this test. sftd's part is done as the real one does it, but in
 * a folder of the test's and without names: source, partial and journal are
 * files that the test can look at, keep, and use for the next attempt.
 */
#ifndef TESTS_LIB_XFERKIT_H
#define TESTS_LIB_XFERKIT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/sftframe.h"
#include "tests/lib/linkkit.h"

/* One file, over all attempts. */
struct xfile {
	char dir[256];
	uint64_t size;
	uint8_t log2;
	uint8_t root[32]; /* of the source, by BLAKE3 itself */
	uint64_t epoch;	  /* of the last attempt */
	uint8_t id[SFT_ID_LEN];
};

struct xend {
	struct side who;   /* identity, nonces, what its attestd does */
	bool answered[64]; /* of its challenges, by their number */
	struct xend *other;
	struct xfile *file;
	bool sends;
	uint8_t role;

	/* What its sftd does. */
	uint8_t streams;
	uint64_t window, rate;
	bool tcp;	   /* streams over TCP, not socket pairs */
	bool packed;	   /* chunks may be compressed */
	uint8_t refuse;	   /* code to refuse the offer with */
	bool keep_streams; /* those that come in are not handed over */

	/* What has happened. */
	pid_t pid;
	bool ready, up, ended, has_failed, offered, taken, complete, sealed;
	bool receipt;
	int status;
	struct msg_XFER_FAILED failed;
	struct msg_XFER_PROGRESS progress;
	unsigned int progresses;
	uint64_t have;
	uint8_t root[32];
	uint8_t digest[32];
	uint8_t route[SFT_STREAMS_MAX][SFT_ROUTE_LEN];
	int kept[SFT_STREAMS_MAX];
	int line[SFT_STREAMS_MAX]; /* each stream's socket once more, to cut */
	unsigned int dials;
	bool routes_again;
	char fault[160];

	struct chan *clawd, *keyd, *attestd, *sftd;
};

/* A source in a new folder below that one. zero: of so many bytes of holes. */
void xferkit_file(struct xfile *f, const char *below, uint64_t size,
    uint8_t log2, uint64_t zero);
void xferkit_remove(struct xfile *f);
/* One of words, which compress. */
void
xferkit_words(struct xfile *f, const char *below, uint64_t size, uint8_t log2);
/* What has arrived is from now on what the peer has sent before. */
void xferkit_keep(struct xfile *f);
/* The source becomes so long, with one byte at that place another one. */
void xferkit_change(struct xfile *f, uint64_t size, uint64_t at);

/* Both ends, ready; false: there is no xferd to start. */
bool xferkit_start(struct xend *a, struct xend *b, struct xfile *f);
/* One; the other is the test's, who is to have an identity. */
bool xferkit_start_one(struct xend *e, const char *name, struct xend *other,
    struct xfile *f, bool sends);
/* Connect them and offer. */
void xferkit_go(struct xend *a, struct xend *b);
/* XFER_SERVE with that socket, which is closed. */
void xferkit_serve(struct xend *e, int fd);
void xferkit_offer(struct xend *e);
/* XFER_STREAM with that socket, which is closed. */
void xferkit_stream(struct xend *e, uint8_t index, int fd);
void xferkit_pair(bool tcp, int pair[2]);
/* Both processes are gone, and the ends empty. */
void xferkit_end(struct xend *a, struct xend *b);
/* Until both have ended; false: far too long. */
bool xferkit_until_ended(struct xend *a, struct xend *b);

/* Whether the partial file is what the source is, all through. */
bool xferkit_same(const struct xfile *f);

#endif
