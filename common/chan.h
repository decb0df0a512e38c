/* SPDX-License-Identifier: ISC */
/*
 * chan.h - one end of a channel between two processes.
 *
 * A channel is a SOCK_SEQPACKET socket pair: a packet is a message of
 * policy/messages.def, judged by the gate (common/gate.h) before any handler
 * sees it. Sends never block: what the socket does not take is queued, up to
 * a bound; a peer that does not read is given up.
 */
#ifndef CLAW_COMMON_CHAN_H
#define CLAW_COMMON_CHAN_H

#include <event2/event.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/gate.h"
#include "common/msg.h"

struct chan;

/* Called with a request or a notice. Answers carry m->id. */
typedef void chan_handler(struct chan *c, struct msg *m);

/* Called once for each request: with its answer, or NULL if there is none
 * any more (the channel is gone). */
typedef void chan_done(struct chan *c, struct msg *m, void *arg);

struct chan_handlers {
	uint16_t type;
	chan_handler *handler;
};

/* What the owner of a channel wants to know. Ends with a {0, NULL} row. */
struct chan_ops {
	const struct chan_handlers *handlers;
	/* The other end is gone. The owner frees c (here or later). */
	void (*closed)(struct chan *c);
	/*
	 * The gate refused what came. The channel reads nothing more; the
	 * owner reports it and frees c.
	 */
	void (*violation)(struct chan *c, uint16_t type, const char *reason);
};

/*
 * Takes the descriptor over. NULL with errno set on failure (fd is closed
 * then, too). arg is the owner's, chan_arg() gives it back.
 */
struct chan *chan_new(struct event_base *base, int fd, enum proc self,
    enum proc peer, const struct chan_ops *ops, void *arg);

/* Closes. Everyone who still waits for an answer is called with NULL. */
void chan_free(struct chan *c);

enum proc chan_peer(const struct chan *c);
void *chan_arg(const struct chan *c);

/*
 * What this end takes from now on (policy/messages.def, states). A channel
 * is made for BOOT; chan_hold() keeps it from reading until chan_resume().
 */
void chan_set_when(struct chan *c, enum msg_when when);
void chan_hold(struct chan *c);
void chan_resume(struct chan *c);

/*
 * Notes a request about to be sent with chan_send_NAME() and gives its id;
 * 0 when that cannot be (then the send fails as well). done is called once.
 */
uint32_t chan_ask(struct chan *c, uint16_t type, chan_done *done, void *arg);

/* Gives a request up: done will not be called, a late answer is dropped. */
void chan_cancel(struct chan *c, uint32_t id);

/* Answers request m with REFUSED. */
void chan_refuse(struct chan *c, const struct msg *m, uint16_t code, bool retry,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/*
 * Whether what came in place of an answer is a refusal: REFUSED, or NULL, since
 * who was asked has gone; *no says why.
 */
bool chan_is_refused(const struct msg *m, struct msg_REFUSED *no);

/* Whether a packet of that many bytes would still be queued. */
bool chan_has_room(const struct chan *c, size_t len);

/* Puts everything queued on the socket, waiting at most that long. */
void chan_flush(struct chan *c, int timeout_ms);

/*
 * chan_send_NAME(c, id, fd, m): sends a message. id: 0 for a notice, what
 * chan_ask() gave for a request, the request's id for an answer. fd: -1 or a
 * descriptor, which stays the caller's. 0, or -errno; on failure the channel
 * is broken and its owner hears of it from the event loop.
 */
#define MSG(name, ...)                                                         \
	int chan_send_##name(struct chan *c, uint32_t id, int fd,              \
	    const struct msg_##name *m);
#include "policy/messages.def"

#endif
