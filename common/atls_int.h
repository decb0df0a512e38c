/* SPDX-License-Identifier: ISC */
/*
 * atls_int.h - what the files of the room atls share. Nobody else includes it.
 *
 * atls.c	 a connection: events, questions, reading, writing
 * atls_leaf.c	 our leaf as OpenSSL wants it
 * atls_rehearse.c a handshake with itself, ahead of the first
 * atls_thread.c the same for a thread that waits: reading, writing
 * atls_tls.c	 what OpenSSL is told, and what it asks during a handshake
 * atls_why.c	 why a connection failed, as a sentence
 */
#ifndef CLAW_COMMON_ATLS_INT_H
#define CLAW_COMMON_ATLS_INT_H

#include <openssl/ssl.h>

#include "common/atls.h"
#include "common/evidence.h"

#define ATLS_EXTENSION 0xff41
#define ATLS_VERSION 1
#define ATLS_ALPN_SIZE 64
#define ATLS_WHY_SIZE 192
/* More than this before the end of a handshake is none of ours: bytes. */
#define ATLS_HANDSHAKE_MAX 32768
/* A peer may change its key this often, and once more for each so many bytes */
#define ATLS_REKEYS 8
#define ATLS_REKEY_BYTES (1024 * 1024)

enum atls_state { ATLS_HANDSHAKING, ATLS_SECURED, ATLS_FAILED };
enum atls_question { ATLS_NOT_ASKED, ATLS_TO_ASK, ATLS_ASKED, ATLS_ANSWERED };

struct atls_ctx {
	SSL_CTX *tls;
	BIO_METHOD *bio;
	struct timeval whole;
	struct timeval answer;
};

struct atls {
	struct atls_ctx *ctx;
	const struct atls_ops *ops;
	void *arg;
	enum atls_role role;
	enum atls_state state;
	int fd;
	SSL *ssl;
	EVP_PKEY *key;
	unsigned int calls; /* event handlers of ours on the stack */
	bool freed;	    /* atls_free() was called by one of them */
	bool detached;	    /* a thread has it; the socket blocks */
	uint8_t *batch;	    /* a detached one's records that leave together */
	size_t batch_len;
	bool batching;

	struct event *rd, *wr, *kick;
	struct event *whole;  /* the handshake's end */
	struct event *answer; /* the owner's */

	uint8_t alpns[ATLS_ALPN_MAX * ATLS_ALPN_SIZE]; /* as on the wire */
	size_t alpns_len;
	char alpn[ATLS_ALPN_SIZE];  /* agreed on, or "" */
	char suite[ATLS_ALPN_SIZE]; /* cipher and group, once asked */
	uint8_t nonce[ATLS_NONCE_LEN], peer_nonce[ATLS_NONCE_LEN];
	bool have_nonce; /* the peer's */

	enum atls_question leaf, verdict;
	X509 *x509; /* our leaf */
	uint8_t *peer_leaf;
	size_t peer_leaf_len;
	int alert; /* the verdict */
	uint8_t hash[2][ATLS_HASH_LEN];
	bool have_hash[2];
	struct atls_times times;

	/* What explains a failure. */
	char why[ATLS_WHY_SIZE]; /* said by us, or "" */
	uint8_t first[8];	 /* what the peer began with */
	size_t first_len;
	int alert_in;	   /* fatal alert of the peer, or -1 */
	bool asked_for_us; /* there was a CertificateRequest */
	bool eof;
	int sock_errno;

	/* What a peer may not do without end. */
	size_t handshake_bytes;
	uint64_t app_bytes;
	unsigned int rekeys;

	bool blocked;		    /* the socket had nothing, or no room */
	bool read_wants_write;	    /* SSL_read() waits for room */
	bool read_again;	    /* readable() is due though nothing came */
	bool close_due, close_told; /* closed() */
	bool write_due;		    /* writable() is owed */
	bool shut, shut_sent;	    /* our close_notify: wanted, sent */
	uint8_t *queue;		    /* ATLS_QUEUE_MAX bytes, made when needed */
	size_t queue_at, queue_len;
};

/* atls_tls.c: 0, or -ENOMEM/-EIO with OpenSSL's error queue filled. */
int atls_tls_init(struct atls_ctx *ctx);
void atls_tls_fini(struct atls_ctx *ctx);
/* Make a->ssl. */
int atls_tls_new(struct atls *a);
/* Told by atls_ctx_prefer_fast(). */
int atls_tls_prefer_fast(struct atls_ctx *ctx);
/* Buffers are kept from now on: it is busy. */
int atls_tls_detach(struct atls *a);
int atls_tls_flush(struct atls *a); /* -1: the socket has failed */
/* True for a handshake that OpenSSL calls complete and we do. */
bool atls_tls_complete(struct atls *a);

/* atls.c: no event comes from the loop any more. */
void atls_stop(struct atls *a);

/* atls_leaf.c */
/* A leaf whose signature is zeros, of nobody's. Its length, or -errno. */
ssize_t atls_unsigned(struct evidence *ev, uint8_t *out, size_t size);
/* Done with a key when it is made, so that its leaf is cheaper to read. */
void atls_blank_for(EVP_PKEY *key);
/* The leaf of this key; NULL if it cannot be read or comes out otherwise. */
X509 *atls_x509(EVP_PKEY *key, const uint8_t *der, size_t len);
/* The same by the key's blank alone, which is used up. */
X509 *atls_x509_blank(EVP_PKEY *key, const uint8_t *der, size_t len);

/* atls_why.c */
/* Remember the first reason of ours. */
__attribute__((format(printf, 2, 3))) void
atls_why_set(struct atls *a, const char *fmt, ...);
/* The sentence; reads OpenSSL's error queue. */
void atls_why_text(const struct atls *a, char *out, size_t size);

#endif
