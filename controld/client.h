/* SPDX-License-Identifier: ISC */
/*
 * client.h - connections to the control socket: who may, and lines in and out.
 *
 * A connection is bounded in everything: the length of a line, the requests
 * under way, what lies unread for it, how long half a line may wait.
 */
#ifndef CLAW_CONTROLD_CLIENT_H
#define CLAW_CONTROLD_CLIENT_H

#include <event2/event.h>

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/rpc.h"

struct client;

/* A request that has passed. It lives until client_answer() or
 * client_refuse() is called for it, once; its client may go before that. */
struct request {
	struct rpc_request rpc;
	struct client *client; /* NULL once it has gone */
	uint32_t uid;	       /* who asked */
	struct request *next;  /* of the same client */
};

/* Who is let in, and how many. */
struct client_policy {
	uint32_t uid;
	uint32_t gid;
	uint32_t max_clients;
	bool need_cookie;
	uint8_t cookie[32];
};

/* Takes the listening socket over, not accepting yet; before the sandbox. */
void client_setup(struct event_base *base, int listener,
    void (*on_request)(struct request *),
    void (*on_denied)(uint32_t uid, const char *why));

void client_set_policy(const struct client_policy *policy);
void client_accept(void);

/* Accept nobody; who is connected may ask for a moment longer. idle is called
 * when nobody is left (at once, if it is so already). */
void client_drain(void (*idle)(void));

/* The answer. Takes the result over; NULL result: out of memory. */
void client_answer(struct request *r, json_t *result);
void client_refuse(struct request *r, const struct rpc_error *e);

/*
 * The answer, and with it the connection is not controld's any more: its
 * descriptor, which is the caller's. -1 if the client has gone, or if there is
 * something else under way on the connection (then it is refused).
 */
int client_hand_over(struct request *r, json_t *result);

/* The cookie was right: this connection may do all. */
bool client_authenticate(struct client *c, const char *cookie_hex);

unsigned int client_count(void);

#endif
