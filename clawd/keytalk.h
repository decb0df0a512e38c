/* SPDX-License-Identifier: ISC */
/*
 * keytalk.h - the conversation with a keyd that was started for one job, while
 * no suite runs: a new node, one that joins, one whose keys were lost.
 */
#ifndef CLAW_CLAWD_KEYTALK_H
#define CLAW_CLAWD_KEYTALK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/conf.h"
#include "common/recovery.h"

/* HELLO: NULL, or why this process is not talked to. */
const char *keytalk_hello(struct msg *m);

/* The keys of a new node. */
struct keytalk_keys {
	uint8_t identity[32], sealing[32];
	uint8_t next[32];	       /* its hash; all zero: there is none */
	char code[RECOVERY_TEXT_SIZE]; /* of the next key; "": none was made */
};

/* keys NULL: why says what went wrong. */
typedef void
keytalk_made(struct chan *c, const struct keytalk_keys *keys, const char *why);

/*
 * Has keys written to these files: the next one's, with its recovery code,
 * where next_fd is not -1, and then the node's. What is in memory of the code
 * is wiped when made returns; the caller wipes what it takes of it.
 */
void keytalk_make(struct chan *c, int next_fd, int key_fd, keytalk_made *made);
/* Has it read these that were made before, and say which they are. */
void keytalk_load(struct chan *c, int next_fd, int key_fd, keytalk_made *made);

/*
 * Starts keyd, in its sandbox, and calls begin when it has said HELLO. Goes on
 * until keytalk_end(), or until there is nobody to talk to: failed is told
 * why, once. keyd has ended when it returns. False: it could not be started.
 */
struct keytalk {
	const struct conf *conf;
	bool insecure;
	void (*begin)(struct chan *c);
	void (*failed)(const char *why);
};

bool keytalk_run(const struct keytalk *talk);
void keytalk_end(void);

#endif
