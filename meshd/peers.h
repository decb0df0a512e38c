/* SPDX-License-Identifier: ISC */
/*
 * peers.h - who is to be linked with, and the links there are.
 */
#ifndef CLAW_MESHD_PEERS_H
#define CLAW_MESHD_PEERS_H

#include "door/conn.h"

/* Whom accepted connections are for. */
extern const struct conn_user peers_user;

void peers_prepare(void);
/* Our name; addresses to begin with, separated by spaces. */
void
peers_configure(const char *self, const char *addresses, unsigned int links);
/* keyd and attestd are there: dial. */
void peers_start(void);
/* No more dialling. */
void peers_end(void);

/* The link to a peer, or NULL. */
struct conn *peers_link(const char *name);
/*
 * Where it is, by the registry, or else at which configured address it was
 * met; false: neither is known.
 */
bool peers_route(const char *name, struct route *out);
/* Whether the registry has a node at that address, whatever its port. */
bool peers_expected(const uint8_t key[ADDRESS_KEY_LEN]);
/* Whether that is this node itself. */
bool peers_is_self(const char *name);
/* What may have kept it from us is gone. */
void peers_dial_now(const char *name);

/* Messages of attestd and controld. */
void peers_on_address(struct chan *c, struct msg *m);
void peers_on_link_show(struct chan *c, struct msg *m);

#endif
