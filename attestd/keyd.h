/* SPDX-License-Identifier: ISC */
/*
 * keyd.h - what the rooms of keyd share: who this node is, what the registry
 * says of it, and the handlers of keyd.c's table.
 */
#ifndef CLAW_ATTESTD_KEYD_H
#define CLAW_ATTESTD_KEYD_H

#include <stdbool.h>
#include <stdint.h>

#include "attestd/follow.h"
#include "attestd/lastsigned.h"
#include "attestd/statement.h"
#include "common/chan.h"

struct keyd {
	struct statement_node node;
	struct lastsigned last;
	struct follow follow; /* the registry, as far as it concerns keyd */
	bool ready;	      /* where it stands is no half-way house */
};

extern struct keyd keyd;

/* Refuses, counts and logs it. */
void keyd_refuse(struct chan *c, struct msg *m, uint16_t code, const char *why);

/* keyd_log.c: auditd's */
void keyd_on_logkey_new(struct chan *c, struct msg *m);
void keyd_on_logkey_open(struct chan *c, struct msg *m);
void keyd_on_logkey_close(struct chan *c, struct msg *m);
void keyd_on_checkpoint_sign(struct chan *c, struct msg *m);

/* keyd_registry.c: controld's and attestd's */
void keyd_on_permit(struct chan *c, struct msg *m);
void keyd_on_permit_end(struct chan *c, struct msg *m);
void keyd_on_permit_show(struct chan *c, struct msg *m);
void keyd_on_update_sign(struct chan *c, struct msg *m);
void keyd_on_token_sign(struct chan *c, struct msg *m);
void keyd_controld_gone(struct chan *c);

/* Nothing that is open needs it: the authority key goes. */
void keyd_forget_authority(void);

/* keyd_authority.c: controld's */
void keyd_on_authority_show(struct chan *c, struct msg *m);
void keyd_authority_gone(const struct chan *controld);

/* keyd_follow.c: attestd's, clawd's */
void keyd_on_follow(struct chan *c, struct msg *m);
void keyd_on_registry_known(struct chan *c, struct msg *m);
/* The configuration is there. */
void keyd_follow_start(void);
/* What the registry lets this node do. */
uint64_t keyd_capabilities(void);

/* keyd_join.c: clawd's and linkd's, while this node joins */
void keyd_on_join_begin(struct chan *c, struct msg *m);
void keyd_on_request_sign(struct chan *c, struct msg *m);
void keyd_on_join_sign(struct chan *c, struct msg *m);
/* A leaf that was just issued: a JOIN can only be of its session. */
void keyd_join_leaf(uint32_t session, const uint8_t *leaf, size_t len);

/* keyd_transfer.c: sftd's */
void keyd_on_seal(struct chan *c, struct msg *m);
void keyd_on_receipt(struct chan *c, struct msg *m);

/* keyd_rotate.c: clawd's and controld's; what the registry says of us */
void keyd_on_next_create(struct chan *c, struct msg *m);
void keyd_on_next_file(struct chan *c, struct msg *m);
void keyd_on_rotating_file(struct chan *c, struct msg *m);
void keyd_on_recover(struct chan *c, struct msg *m);
void keyd_on_recover_key(struct chan *c, struct msg *m);
void keyd_on_recover_next(struct chan *c, struct msg *m);
void keyd_on_reveal(struct chan *c, struct msg *m);
void keyd_on_rotate(struct chan *c, struct msg *m);
void keyd_rotate_gone(const struct chan *controld);
/* What the registry says of this node, when attestd has told all. */
void keyd_rotate_self(const struct follow_self *self);

/* keyd_session.c: meshd's, attestd's and linkd's */
void keyd_on_session_role(struct chan *c, struct msg *m);
void keyd_on_session_peer(struct chan *c, struct msg *m);
void keyd_on_leaf(struct chan *c, struct msg *m);

#endif
