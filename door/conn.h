/* SPDX-License-Identifier: ISC */
/*
 * conn.h - a connection: from the socket to the end of the worker that has it.
 *
 * What brokers of connections to peers have in common. A process that uses it
 * says in a struct door what it does its own way.
 */
#ifndef CLAW_DOOR_CONN_H
#define CLAW_DOOR_CONN_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/chan.h"
#include "common/counters.h"
#include "door/address.h"

#define CONN_NAME_SIZE 64
#define CONN_REASON_SIZE 256
#define CONN_ROUTE_LEN 16

enum conn_state {
	CONN_KNOCKING,	/* accepted: is it TLS, or a route, that it brings? */
	CONN_DIALLING,	/* until the other end has accepted */
	CONN_WAITING,	/* for a worker */
	CONN_OPENING,	/* keyd and attestd hear of the session */
	CONN_HANDSHAKE, /* a worker has the socket */
	CONN_UP,	/* attestd says who it is, the worker that both agree */
	CONN_CLOSING	/* its worker has been told to end it */
};

struct conn;

/* Who a connection is for. Each is called once, down the last. */
struct conn_user {
	/*
	 * May be NULL. It has been dialled; the user may take c->fd, and puts
	 * -1 there: then no worker is looked for, and down() follows.
	 */
	void (*connected)(struct conn *c);
	void (*up)(struct conn *c);
	/* Not attested, or not any more: why is in the conn, which goes. */
	void (*down)(struct conn *c);
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	enum conn_state state;
	const struct conn_user *user;
	void *arg;     /* the user's */
	uint8_t index; /* the user's too */
	uint64_t tag;
	bool offered;
	bool connected; /* dialled, and it was accepted */

	int fd;		 /* until a worker has it; else -1 */
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
	/* What attestd said last: its identity, what it and we may do, by
	 * which state of the registry. */
	uint8_t key[32], head[32];
	uint64_t capabilities, own, seq;

	uint64_t start_us;
	uint64_t up_us;
	uint64_t since_ms; /* wall clock, when it came up */
	uint32_t connect_us;
	struct msg_LINK_UP link; /* meshd's: what linkd said when it came up */

	/* The end. */
	uint8_t alert, by_peer;
	char reason[CONN_REASON_SIZE];
};

TAILQ_HEAD(conn_list, conn);

/* A process that has connections to peers. */
struct door {
	enum proc worker;     /* gets one connection each */
	int listening;	      /* of policy/descriptors.def */
	unsigned int ends_in; /* seconds that a worker may take to end */
	/* COUNTER_MAX: not counted. */
	enum counter up, pending, accepted, dialled, turned_away;
	const struct conn_user *accepts; /* whom accepted ones are for */
	/* One has ended, come up, or something else makes room. */
	void (*changed)(void);
	/* Whether a peer is expected there; NULL: nowhere beforehand. */
	bool (*expected)(const uint8_t key[ADDRESS_KEY_LEN]);
	/* Gives c->fd to the worker; the door closes its own then. */
	void (*serve)(struct conn *c, uint32_t handshake_ms);
	/* Tells the worker to end. */
	void (*stop)(struct conn *c);
	/*
	 * NULL: connections bring no routes. Else they begin with the first
	 * byte of TLS, or with a route, which has been read then: whose it is
	 * takes c->fd and puts -1 there, or it is closed.
	 */
	void (*routed)(struct conn *c, const uint8_t route[CONN_ROUTE_LEN]);
};

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

/* of: kept by pointer. */
void conn_prepare(const struct door *of);
const struct door *conn_door(void);
void conn_configure(uint32_t handshake_ms);

/*
 * A socket that came in, ours from now on. known: a peer is expected from
 * there; it is served before those of whom nobody has heard. crowded: so many
 * of those are there that the next gets a worker only once it has spoken.
 */
void
conn_accepted(int fd, const struct address *from, bool known, bool crowded);

/*
 * Whether a peer may be expected from there: one was attested that came from
 * that address, whatever its port, or the door's user says so.
 */
bool conn_expected(const uint8_t key[ADDRESS_KEY_LEN]);

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

/* The connection that a worker has, or had until it was told to end. */
struct conn *conn_with(const struct chan *worker);

/*
 * What a worker says: that both ends agree, that it is over. False: it cannot
 * be so, and the worker is to be ended.
 */
bool conn_worker_up(struct conn *c);
bool conn_worker_down(struct conn *c, const char *reason);

/* Messages of attestd and clawd about a session. */
void conn_on_attested(struct chan *c, struct msg *m);
void conn_on_worker_ended(struct chan *c, struct msg *m);

/* CLOCK_MONOTONIC. */
uint64_t conn_now_us(void);

#endif
