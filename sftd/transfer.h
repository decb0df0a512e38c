/* SPDX-License-Identifier: ISC */
/*
 * transfer.h - what is sent and taken: one struct for both directions.
 *
 * It outlives its sessions: an attempt that breaks leaves a transfer that can
 * go on. What has ended is remembered for who asks, up to a number.
 */
#ifndef CLAW_SFTD_TRANSFER_H
#define CLAW_SFTD_TRANSFER_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "door/conn.h"
#include "sftd/client.h"
#include "sftd/event.h"
#include "sftd/partial.h"
#include "sftd/tune.h"

/* Numbers are part of the API: FILE.state. */
enum transfer_state {
	TRANSFER_WAITING = 1, /* for the client to bring the source */
	TRANSFER_CONNECTING,  /* or about to try again */
	TRANSFER_OFFERED,
	TRANSFER_MOVING,
	TRANSFER_FINISHING, /* seal, commit, receipt */
	TRANSFER_PAUSED,    /* can go on */
	TRANSFER_DONE,
	TRANSFER_FAILED,
	TRANSFER_REFUSED,
	TRANSFER_CANCELLED
};

struct intent;
struct rehash;
struct tree;

struct transfer {
	TAILQ_ENTRY(transfer) entry;
	uint32_t number;
	bool receives;
	enum transfer_state state;
	/* Peer, offer, digest; id and epoch once they are known. */
	struct partial what;

	struct conn *conn; /* its session; NULL: none */
	uint32_t ask;	   /* the worker's request that waits for us */
	uint8_t stop_code; /* why its worker is told to end */
	bool up;	   /* the session was attested */

	uint64_t durable; /* bytes, those of attempts before included */
	uint64_t resent;  /* chunks, likewise */
	uint64_t same;	  /* bytes that were not sent, likewise */
	uint64_t wire;	  /* bytes on the data streams, likewise */
	uint64_t have;	  /* bytes that were there when this one began */
	struct {
		uint64_t moved, durable, same, wire;
		uint64_t resent;  /* by the worker's count */
		uint64_t counted; /* of them in the counters */
	} now;
	uint64_t rate; /* bytes a second, of late */
	uint64_t rate_us, rate_moved;
	uint8_t limit;
	uint64_t alive_us; /* something moved */
	uint64_t said_us;  /* the client heard how it goes */
	uint64_t started_ms, ended_ms;

	uint8_t root[32];
	uint8_t seal[SFT_SEAL_MAX];
	uint16_t seal_len;
	bool has_receipt;

	/* The end, of the last attempt or of all. */
	uint8_t code;
	bool by_peer;
	char text[256];

	/* In the log. */
	struct intent *pending; /* asked for, not durable yet */
	uint64_t intent;	/* its number; 0: none is open */

	/* Sent. */
	int source; /* -1: not brought, or given up */
	struct client *client;
	bool detached;
	uint64_t rate_wanted;		 /* bytes a second; 0: any */
	bool auto_streams;		 /* as many as the link asks for */
	char congestion[TUNE_NAME_SIZE]; /* control, of its streams */
	uint8_t dials;			 /* data streams, in this attempt */
	bool taken;			 /* the peer has taken it once */
	unsigned int attempts;
	uint64_t patience_us; /* when it is given up, unless it gets on */
	uint64_t best;	      /* as far as it ever was, in bytes */
	struct event *retry;
	struct route way; /* where the peer is, the next to be tried */

	/* Taken. */
	uint8_t route[SFT_STREAMS_MAX][SFT_ROUTE_LEN];
	uint8_t routes;	  /* not used yet, a bit each */
	uint8_t reopened; /* of them, in this attempt */
	bool held;	  /* by an operator: not taken until he says so */
	bool placed;	  /* it has its name */
	bool lost;	  /* what there is of it is worth nothing */
	struct rehash *rehash;
	struct tree *unpack;
	bool unpacked; /* in this attempt */
};

TAILQ_HEAD(transfer_list, transfer);

/* What is in force. */
extern struct msg_CONFIG_SFTD sftd_config;

void transfer_prepare(void);
struct transfer_list *transfer_all(void);
struct transfer *transfer_new(bool receives, const char *peer);
struct transfer *transfer_numbered(uint32_t number);
struct transfer *transfer_of(const struct conn *c);
/*
 * By its id, or by 12 bytes of 0 and its number, which is all that it has as
 * long as the receiver has made none.
 */
struct transfer *transfer_with(const uint8_t id[SFT_ID_LEN]);
void transfer_id(const struct transfer *t, uint8_t id[SFT_ID_LEN]);
/* Of this offer, under way or such that it could go on. */
struct transfer *
transfer_offer(bool receives, const char *peer, const uint8_t digest[32]);
bool transfer_active(const struct transfer *t);
bool transfer_ended(const struct transfer *t);
unsigned int transfer_count(void); /* of those that are active */
void transfer_free(struct transfer *t);

/* The state, and everything that counts states. */
void transfer_set(struct transfer *t, enum transfer_state state);

/* The worker's claim, checked: NULL, or what cannot be. */
const char *
transfer_progress(struct transfer *t, const struct msg_XFER_PROGRESS *p);

/* Why, for logs and who asks; the first one given in an attempt counts. */
__attribute__((format(printf, 4, 5))) void transfer_why(struct transfer *t,
    uint8_t code, bool by_peer, const char *fmt, ...);
/* A new attempt: nothing went wrong yet. */
void transfer_begin(struct transfer *t);

/*
 * Microseconds that its worker may move nothing: longer than that waits for
 * its peer itself, and enough for either end to read all of it again, or to
 * unpack it.
 */
uint64_t transfer_stall_us(const struct transfer *t);

/* The client, if there is one, hears this; or how it goes. */
void transfer_tell(struct transfer *t, struct event_line *l);
void transfer_say(struct transfer *t);

/* Tells its worker to end, with this code; its session ends. */
void transfer_stop(struct transfer *t, uint8_t code, const char *text);

/*
 * It has ended, or this attempt has: state, outcome in the log, a line in
 * sft.ndjson, counters. The reason was given by transfer_why().
 */
void transfer_end(struct transfer *t, enum transfer_state state);

/* --- record.c ------------------------------------------------------------ */

/*
 * An intent to be durable before anything is done; then is called once, from
 * in here if it cannot even be asked for. ok: it is durable. Nobody is called
 * when record_forget() came first.
 */
void record_intent(struct transfer *t,
    void (*then)(struct transfer *t, bool ok, const char *why));
void record_forget(struct transfer *t);
/* How it ended, if an intent is open. */
void record_outcome(struct transfer *t, enum transfer_state state);
/* An offer that was refused, ours or theirs. */
void record_denied(const struct transfer *t);
/* The line in sft.ndjson. */
void record_line(const struct transfer *t);

/* --- of the rooms for one direction -------------------------------------- */

/* Something that may have kept it waiting is over; time has passed. */
void outgoing_tick(struct transfer *t, uint64_t now_us);
void incoming_tick(struct transfer *t, uint64_t now_us);

/* Messages of workers. */
void transfer_on_up(struct chan *c, struct msg *m);
void transfer_on_failed(struct chan *c, struct msg *m);
void transfer_on_progress(struct chan *c, struct msg *m);

/* The door's. */
void transfer_serve(struct conn *c, uint32_t handshake_ms);
void transfer_stop_worker(struct conn *c);

/* CLOCK_REALTIME. */
uint64_t transfer_wall_ms(void);

#endif
