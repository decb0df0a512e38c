/* SPDX-License-Identifier: ISC */
/*
 * atls.h - attested TLS 1.3 over a connected socket and libevent.
 *
 * Both ends challenge each other inside the handshake, answer with a
 * certificate that keyd makes for this one session (evidence.h), and go on only
 * when attestd has judged the other's. Neither of the two is called from here:
 * the owner is asked by a callback and answers when it has the answer.
 *
 *	client				server
 *	ClientHello, nonce	---->
 *				<----	..., CertificateRequest, nonce
 *					Certificate: want_leaf/atls_leaf
 *	want_verdict/atls_verdict
 *	want_leaf/atls_leaf
 *	Certificate, Finished	---->	want_verdict/atls_verdict
 *	secured				secured
 *
 * A client is "secured" before the server has judged it: it must not say
 * anything but WELCOME until it has read the server's (welcome.h).
 *
 * Nothing is resumed, no ticket is made or taken, no name is looked up in a
 * store of trusted certificates. No file is opened after atls_ctx_new().
 */
#ifndef CLAW_COMMON_ATLS_H
#define CLAW_COMMON_ATLS_H

#include <event2/event.h>
#include <openssl/evp.h>

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATLS_NONCE_LEN 32
#define ATLS_HASH_LEN 32
#define ATLS_LEAF_MAX 2048	    /* bytes of a peer's certificate */
#define ATLS_QUEUE_MAX (256 * 1024) /* bytes written and not yet sent */
#define ATLS_ALPN_MAX 8		    /* protocols of a server */

/* Alerts by which a leaf is refused; 0 accepts it. */
enum atls_alert {
	ATLS_ACCEPT = 0,
	ATLS_BAD = 42, /* none of the below */
	ATLS_REVOKED = 44,
	ATLS_EXPIRED = 45,
	ATLS_UNKNOWN = 48, /* no such node here */
	ATLS_POLICY = 49   /* known, and not allowed */
};

enum atls_role { ATLS_CLIENT = 1, ATLS_SERVER = 2 };
enum atls_whose { ATLS_OWN, ATLS_PEER };

/* When what happened: microseconds of CLOCK_MONOTONIC, 0: not yet. */
struct atls_times {
	uint64_t start;
	uint64_t leaf_asked;
	uint64_t leaf_answered;
	uint64_t verdict_asked;
	uint64_t verdict_answered;
	uint64_t secured;
};

struct atls_ctx;
struct atls;

/*
 * All are called from the event loop, never from within a function of this
 * room, and each may call any function of it, atls_free() included. Pointers
 * are good until the callback returns.
 */
struct atls_ops {
	/* Our leaf for this key and this challenge: answer by atls_leaf(). */
	void (*want_leaf)(struct atls *a, const uint8_t nonce[ATLS_NONCE_LEN],
	    const uint8_t *spki, size_t len, void *arg);
	/* What of the peer's leaf (DER): answer by atls_verdict(). */
	void (*want_verdict)(struct atls *a, const uint8_t *leaf, size_t len,
	    void *arg);
	/* The handshake is complete on our side, with both answers in. */
	void (*secured)(struct atls *a, void *arg);
	/*
	 * There may be something to read. Read until -EAGAIN: only then this
	 * is called again. Who stops before that is not called, and the peer
	 * is held back by TCP.
	 */
	void (*readable)(struct atls *a, void *arg);
	/* After an atls_write() that said -EAGAIN: half the queue is free. */
	void (*writable)(struct atls *a, void *arg);
	/*
	 * The peer said that it will send nothing more; everything before was
	 * read. We may still write.
	 */
	void (*closed)(struct atls *a, void *arg);
	/* Once, the last call. why is for a log, names both ends' part. */
	void (*failed)(struct atls *a, const char *why, void *arg);
};

/*
 * Once in a process, before its sandbox closes. NULL on failure, with a
 * reason in why (size bytes).
 */
struct atls_ctx *atls_ctx_new(char *why, size_t size);
void atls_ctx_free(struct atls_ctx *ctx);

/*
 * How long a handshake may take as a whole (10 s unless told), and the wait
 * for one answer of the owner (2 s). Milliseconds; for connections to come.
 */
void
atls_ctx_limits(struct atls_ctx *ctx, unsigned int whole, unsigned int answer);

/*
 * Connections to come prefer AES-128-GCM: the cheapest of the three where
 * there is much to be moved. 0 or -EIO.
 */
int atls_ctx_prefer_fast(struct atls_ctx *ctx);

/*
 * A whole handshake of this process with itself: what only a first one costs
 * is paid before there is a connection. After the last fork: memory that was
 * shared with a child is touched for the first time once more. fds: a pair of
 * non-blocking stream sockets, ours from the call on. 0, or a negative errno:
 * TLS does not work here.
 */
int atls_rehearse(struct atls_ctx *ctx, const int fds[2]);

/* A one-time P-256 key, made ahead of need. NULL when out of memory. */
EVP_PKEY *atls_key_new(void);

/*
 * Start a handshake over a connected non-blocking stream socket.
 *
 * alpns: NULL-terminated; a client offers exactly one, a server (at most
 * ATLS_ALPN_MAX) takes the client's if it is in the list. nonce: attestd's, our
 * challenge. fd and key are ours from the call on, also when it fails. The
 * first callback comes from the event loop. NULL with errno EINVAL or ENOMEM.
 */
struct atls *atls_new(struct atls_ctx *ctx, struct event_base *base, int fd,
    enum atls_role role, const char *const *alpns,
    const uint8_t nonce[ATLS_NONCE_LEN], EVP_PKEY *key,
    const struct atls_ops *ops, void *arg);

/* Closes the socket at once; what is queued is lost. NULL is allowed. */
void atls_free(struct atls *a);

/*
 * Another owner from now on: its callbacks, of which readable() is called
 * soon. Also from within a callback of the one before.
 */
void atls_own(struct atls *a, const struct atls_ops *ops, void *arg);

/*
 * The owner's answers, once each, also from within the question's callback.
 * A leaf of NULL ends the handshake: there is none to be had. A verdict is one
 * of enum atls_alert. 0, or -EINVAL if that was not asked.
 */
int atls_leaf(struct atls *a, const uint8_t *der, size_t len);
int atls_verdict(struct atls *a, enum atls_alert alert);

/*
 * Bytes read (n > 0 wanted); 0: the peer closed; -EAGAIN: nothing now;
 * -ENOTCONN: not secured yet, or failed (failed() follows or was called).
 */
ssize_t atls_read(struct atls *a, void *buf, size_t n);

/*
 * Send or queue all n bytes. 0; -EAGAIN: there is no room for them now, and
 * writable() follows; -EMSGSIZE: more than ATLS_QUEUE_MAX; -ENOTCONN: not
 * secured yet, shut down, or failed.
 */
int atls_write(struct atls *a, const void *buf, size_t n);

/* Say that we send nothing more, after what is queued. Reading goes on. */
void atls_shutdown(struct atls *a);

/*
 * A secured connection of which the event loop is to know no more: from now
 * on it blocks, and one thread at a time has it. No callback comes again;
 * atls_recv(), atls_send(), atls_bye(), atls_free() and what only asks are all
 * that may be called, but for atls_interrupt(). 0; -ENOTCONN where it is not
 * secured or has failed, -EBUSY where something is queued, -ENOMEM, or what
 * fcntl() says.
 */
int atls_detach(struct atls *a);

/*
 * Wait for bytes: their number, at most n; 0: the peer has closed; -EIO, and
 * why is put into the (size) bytes.
 */
ssize_t atls_recv(struct atls *a, void *buf, size_t n, char *why, size_t size);
/* Send all n bytes. 0, or -EIO as above. */
int
atls_send(struct atls *a, const void *buf, size_t n, char *why, size_t size);
/* Say that nothing more comes. */
void atls_bye(struct atls *a);
/* From any thread: who waits in one of these is called back by an error. */
void atls_interrupt(struct atls *a);

/* Bytes that wait in the queue. */
size_t atls_queued(const struct atls *a);
/* True when atls_shutdown()'s word and all before it is in the socket. */
bool atls_flushed(const struct atls *a);

/* True from before secured() is called until failed(). */
bool atls_is_secured(const struct atls *a);

/*
 * EXPORTER-claw-session over SHA-256(client's leaf) || SHA-256(server's leaf):
 * equal at both ends and nowhere else. 0 or -ENOTCONN.
 */
int atls_exporter(struct atls *a, uint8_t out[ATLS_HASH_LEN]);

/* SHA-256 of a leaf. 0, or -ENOTCONN while there is none. */
int atls_leaf_hash(const struct atls *a, enum atls_whose whose,
    uint8_t out[ATLS_HASH_LEN]);

/* The peer's challenge; NULL while it is not known. */
const uint8_t *atls_peer_nonce(const struct atls *a);
/* The protocol agreed on; NULL while it is not known. */
const char *atls_alpn(const struct atls *a);
/* "TLS_AES_256_GCM_SHA384 X25519MLKEM768"; "" while not secured. */
const char *atls_suite(struct atls *a);
void atls_times(const struct atls *a, struct atls_times *out);

#endif
