/* SPDX-License-Identifier: ISC */
/*
 * dtls.h - DTLS 1.3 (RFC 9147) that keys SRTP (RFC 5764), one association.
 *
 *	client			server
 *	flight 1	---->
 *			<----	flight 2, its leaf
 *	flight 3, leaf	---->	done: flight 4, which only acknowledges
 *	done
 *
 * Both ends show a leaf, and neither is done before its owner has accepted the
 * other's. As in all of TLS 1.3 a client is done before the server has judged
 * it. Nothing is older than 1.3, resumed, renegotiated or sent early; keys are
 * agreed by X25519 and records sealed by AES-128-GCM.
 *
 * Here are no sockets. What is to be sent comes out as whole flights, since in
 * a call the first three travel inside OFFER, ANSWER and CONFIRM: a flight is
 * its datagrams, each behind its length (two bytes, big-endian). What was
 * received goes in as a datagram or as a flight; as a flight from signalling,
 * since the library looks at its timer when it has to wait for more, and that
 * may have expired while the flight was under way. For the same reason an owner
 * that has no path yet asks for no deadline.
 *
 * A datagram that is damaged, forged or not DTLS is passed over. (As in every
 * DTLS, what comes before there are keys cannot be told from what is forged:
 * flights in signalling are authenticated by that, others only by their path.)
 *
 * Behind this is NSS (dtls.c); nothing of it shows here.
 */
#ifndef CLAW_VOICED_DTLS_H
#define CLAW_VOICED_DTLS_H

#include <openssl/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DTLS_LEAF_MAX 2048     /* bytes of a certificate */
#define DTLS_DATAGRAM_MAX 2048 /* longer ones are passed over */
#define DTLS_FLIGHT_MAX 8192
#define DTLS_KEY_MAX 30

enum dtls_role { DTLS_CLIENT = 1, DTLS_SERVER = 2 };

/* SRTP's protection profiles, by their numbers in use_srtp; best first. */
enum dtls_profile {
	DTLS_AEAD_AES_128_GCM = 0x0007,	      /* RFC 7714 */
	DTLS_AES_CM_128_HMAC_SHA1_80 = 0x0001 /* for browsers */
};

/* Master keys, each with its salt behind it: 16 + 12 or 16 + 14 bytes. */
struct dtls_keys {
	enum dtls_profile profile;
	size_t len;
	uint8_t send[DTLS_KEY_MAX];
	uint8_t receive[DTLS_KEY_MAX];
};

/*
 * Called from within the functions below; neither may call one of them with
 * the same association, and pointers are good until they return.
 */
struct dtls_ops {
	/* The last thing a function does, if there is anything to be sent. */
	void (*send)(const uint8_t *flight, size_t len, void *arg);
	/*
	 * What of the peer's leaf (DER)? 0: go on. A negative errno: refuse,
	 * which is what the function returns; the peer is told that its
	 * certificate is bad and no more.
	 */
	int (*leaf)(const uint8_t *der, size_t len, void *arg);
};

struct dtls_ctx;
struct dtls;

/*
 * Once in a process, before its sandbox closes: afterwards no file is opened
 * and no library loaded. 0; or -ENOSYS (a library that speaks a draft of DTLS
 * 1.3) or -EIO, with a reason in why (size bytes).
 */
int dtls_init(char *why, size_t size);

/* When all else is freed. 0, or -EBUSY: something is not. */
int dtls_fini(void);

/* "NSS 3.110": the library that is loaded. */
const char *dtls_library(void);

/*
 * Who we are: a one-time P-256 key, of which a copy is taken. NULL with errno
 * EINVAL (another kind of key) or ENOMEM.
 */
struct dtls_ctx *dtls_ctx_new(const EVP_PKEY *key);

/*
 * The leaf (DER) for that key. A server needs it before dtls_new(); a client
 * when flight 2 is fed, so that flight 1 can wait for its call. 0; -EALREADY;
 * -EINVAL: no certificate, too long, or for another key.
 */
int dtls_ctx_leaf(struct dtls_ctx *ctx, const uint8_t *der, size_t len);

/* After its associations. NULL is allowed. */
void dtls_ctx_free(struct dtls_ctx *ctx);

/*
 * ctx must last as long as the association. NULL with errno EINVAL (a server
 * without a leaf), ENOMEM, or EIO.
 */
struct dtls *dtls_new(struct dtls_ctx *ctx, enum dtls_role role,
    const struct dtls_ops *ops, void *arg);

/*
 * Start (a client sends flight 1), take what was received, and let the timer
 * act. 0, also for what was passed over; once one has failed, all of them
 * return why: what ops->leaf() said; -EPROTONOSUPPORT: the peer speaks no DTLS
 * 1.3; -ECONNREFUSED: it refused our leaf, or all that we offer; -ESHUTDOWN: it
 * has ended the association; -EPROTO; -ENOMEM. dtls_error() says it in words.
 */
int dtls_start(struct dtls *a);
int dtls_feed(struct dtls *a, const uint8_t *datagram, size_t len);
/* -EMSGSIZE, and nothing was taken: no flight, or more than DTLS_FLIGHT_MAX. */
int dtls_feed_flight(struct dtls *a, const uint8_t *flight, size_t len);
int dtls_on_deadline(struct dtls *a);

/* Milliseconds until dtls_on_deadline() is due, -1: never. Also when done. */
int dtls_deadline(const struct dtls *a);

/* Both ends have proved their leaf's key, and ops->leaf() accepted theirs. */
bool dtls_done(const struct dtls *a);

/* 0, -ENOTCONN before it is done, -EIO. explicit_bzero() them. */
int dtls_keys(struct dtls *a, struct dtls_keys *out);

/* "DTLS 1.3 TLS_AES_128_GCM_SHA256 X25519"; "" before it is done. */
const char *dtls_suite(const struct dtls *a);

/* For a log: what went wrong, "" if nothing did. */
const char *dtls_error(const struct dtls *a);

/*
 * Say so to the peer, by ops->send() a last time, and free it: while there is
 * still a path. NULL is allowed.
 */
void dtls_close(struct dtls *a);

/*
 * The next datagram of a flight: false at its end and for what is none. Both
 * *flight and *len are moved on.
 */
bool dtls_next(const uint8_t **flight, size_t *len, const uint8_t **datagram,
    size_t *datagram_len);

#endif
