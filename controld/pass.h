/* SPDX-License-Identifier: ISC */
/*
 * pass.h - how a request is recorded, passed on and answered.
 *
 * What the methods share. A request is answered exactly once, by
 * pass_answer() or one of those that refuse it; whoever finds that it has been
 * answered for him lets go of it.
 */
#ifndef CLAW_CONTROLD_PASS_H
#define CLAW_CONTROLD_PASS_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/auditrec.h"
#include "common/chan.h"
#include "controld/client.h"

/* Whether one more of its kind may be under way; if not, it is refused. */
bool pass_begin(struct request *r);

/* The answer; takes the result over. NULL: out of memory. */
void pass_answer(struct request *r, json_t *result);
/* The answer, and the connection itself: its descriptor, or -1. */
int pass_hand_over(struct request *r, json_t *result);
void pass_refuse(struct request *r, const struct rpc_error *e);
/* No, and not later either. */
void pass_fail(struct request *r, enum rpc_failure f, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Not at the moment; "try again shortly" is added. */
void pass_unavailable(struct request *r, const char *what);

/*
 * Notes a request to a sibling that is about to be sent with chan_send_NAME()
 * on child_peer(who), and gives its id. 0: it cannot be reached, r has been
 * answered and done will not be called.
 */
uint32_t pass_ask(struct request *r, enum proc who, uint16_t type,
    chan_done *done, void *arg);

/* Whether what came is an answer; if not, r has been told. */
bool pass_good(struct request *r, struct msg *m, const char *who);

/* As pass_ask(), of auditd, and sent. False: r has been answered. */
bool pass_record(struct request *r, struct auditrec *rec, chan_done *done,
    void *arg);
/* api.order, with who asked for what; the caller adds and records it. */
void pass_order(const struct request *r, struct auditrec *rec);

/* controld is about to end: no order is begun any more. */
void pass_drain(void);
bool pass_draining(void);

/* What answers are made of. */
json_t *pass_hash(const uint8_t hash[32]); /* "sha256:..." */
json_t *pass_key(const uint8_t key[32]);   /* "ed25519:...", null for zeros */
json_t *pass_names(uint64_t capabilities);
/* Text of a message that is not ended by a NUL. NULL: it is none. */
json_t *pass_text(const uint8_t *text, size_t len);

/* The mask of a list of names. False: r has been told which one is wrong. */
bool pass_capabilities(struct request *r, const char *param, uint64_t *mask);
/* len bytes of twice as many digits that are known to be there. */
void pass_bytes(const char *hex, uint8_t *out, size_t len);

#endif
