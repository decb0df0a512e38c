/* SPDX-License-Identifier: ISC */
/*
 * conn.h - a connection: from the socket to the end of the linkd that has it.
 */
#ifndef CLAW_MESHD_CONN_H
#define CLAW_MESHD_CONN_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "meshd/address.h"

#define CONN_NAME_SIZE 64
#define CONN_REASON_SIZE 256

enum conn_state {
	CONN_DIALLING,	/* until the other end has accepted */
	CONN_WAITING,	/* for a worker */
	CONN_OPENING,	/* keyd and attestd hear of the session */
	CONN_HANDSHAKE, /* a linkd has the socket */
	CONN_UP,	/* attestd says who it is, linkd that both agree */
	CONN_CLOSING	/* linkd has been told to end it */
};

struct conn;

/* Who a connection is for. Either is called once, down the last. */
struct conn_user {
	void (*up)(struct conn *c);
	/* Not attested, or not any more: why is in the conn, which goes. */
	void (*down)(struct conn *c);
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	enum conn_state state;
	const struct conn_user *user;
	void *arg; /* the user's */

	int fd;		 /* until linkd has it; else -1 */
	uint8_t role;	 /* of common/evidence.h */
	uint8_t purpose; /* a client's; when attested, what it is */
	struct address address;
	bool known;		   /* accepted, from where a peer is expected */
	char peer[CONN_NAME_SIZE]; /* dialled, later attested; or "" */
	struct event *event;	   /* dial, or the end of waiting */

	uint32_t session; /* 0: none yet */
	struct chan *worker;
	bool opened; /* attestd has heard of it */
	bool role_set, nonce_set;
	bool attested, linked;
	uint8_t nonce[32];
	uint8_t joins;

	uint64_t start_us;
	uint64_t up_us;
	uint64_t since_ms; /* wall clock, when it came up */
	uint32_t connect_us;
	struct msg_LINK_UP link; /* what linkd said when it came up */

	/* The end. */
	uint8_t alert, by_peer;
	char reason[CONN_REASON_SIZE];
};

TAILQ_HEAD(conn_list, conn);

/* All there are, in the order in which they began. */
const struct conn_list *conn_all(void);

struct conn_counts {
	unsigned int all;
	unsigned int up;
	unsigned int pending_in; /* accepted, and not attested yet */
	unsigned int known;	 /* of those */
	unsigned int dialled;	 /* and not attested yet */
	unsigned int same_key;	 /* pending_in of one address */
};
/* key: whose same_key is meant; NULL: nobody's. */
void conn_count(struct conn_counts *n, const uint8_t key[ADDRESS_KEY_LEN]);

/* changed: called when one has ended, or something else makes room. */
void conn_prepare(void (*changed)(void));
void conn_configure(uint32_t handshake_ms);

/*
 * A socket that came in, ours from now on. known: a peer is expected from
 * there; it is served before those of whom nobody has heard.
 */
void conn_accepted(int fd, const struct address *from, bool known,
    const struct conn_user *user);

/*
 * A socket that goes out, with so many seconds to be there; peer may be "".
 * NULL: there is room for no more.
 * The user is called from the event loop, never from in here.
 */
struct conn *conn_dial(const struct address *to, unsigned int seconds,
    uint8_t purpose, const char *peer, const struct conn_user *user, void *arg);

/* Ends it; down() follows. The reason is what down() sees if there is none. */
void conn_close(struct conn *c, const char *reason);

/* keyd or attestd has come back, or a worker is idle: go on. */
void conn_advance(void);
/* Whether new connections can be attested at all. */
bool conn_can_attest(void);
/* Another attestd does not know our sessions: it is told. */
void conn_reopen(struct chan *attestd);
/* A worker's channel has ended; true if it was a connection's. */
bool conn_forget(struct chan *c);

struct conn *conn_of(uint32_t session);

/* Messages of linkd, attestd and clawd about a session. */
void conn_on_link_up(struct chan *c, struct msg *m);
void conn_on_link_down(struct chan *c, struct msg *m);
void conn_on_attested(struct chan *c, struct msg *m);
void conn_on_worker_ended(struct chan *c, struct msg *m);

/* CLOCK_MONOTONIC. */
uint64_t conn_now_us(void);

#endif
