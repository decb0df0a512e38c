/* SPDX-License-Identifier: ISC */
/*
 * call.h - the messages that set up a call.
 *
 *	caller -> callee  OFFER	     signed, sealed to the callee
 *	callee -> caller  RETRY	     instead of an answer: prove first that
 *				     you are there
 *	callee -> caller  ANSWER     signed, sealed to the caller
 *	caller -> callee  CONFIRM    under the call's key, as all that follows
 *	both ways	  CANDIDATES, RESTART, END
 *
 * Each begins with a head: u8 version, u8 type, the call's id. The head is in
 * clear, so that a message finds its call, and what is sealed is bound to it.
 * END and RETRY may be in clear: see voiced/setup.h for when END counts then.
 * Sealing and keys are common/callseal.h's. All integers are big-endian; there
 * is one encoding of each message, and the parsers take no other.
 *
 * Both signatures are over "claw/call-offer/v1" or "claw/call-answer/v1", a
 * NUL, and the body without the signature. Both bodies name both nodes; keyd,
 * which signs, fills the names in.
 */
#ifndef CLAW_COMMON_CALL_H
#define CLAW_COMMON_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/evidence.h"

#define CALL_VERSION 1
#define CALL_ID_LEN 16
#define CALL_HEAD_LEN (2 + CALL_ID_LEN)
#define CALL_SIG_LEN 64

/* An OFFER's expiry is no further away than that; who calls writes half of
 * it, so that the two clocks may differ by as much, either way. */
#define CALL_EXPIRY_MAX_S 30
#define CALL_EXPIRY_S (CALL_EXPIRY_MAX_S / 2)

/* RFC 8445, 5.3, and the grammar of RFC 8839, 5.4. */
#define CALL_UFRAG_MIN 4
#define CALL_PWD_MIN 22
#define CALL_CREDENTIAL_MAX 256
#define CALL_FOUNDATION_MAX 32

#define CALL_DATAGRAM_MAX 1500
#define CALL_FLIGHT_MAX 4 /* datagrams */
#define CALL_CANDIDATES_MAX 16

#define CALL_ICE_BYTES (2 * (2 + CALL_CREDENTIAL_MAX))
#define CALL_LEAF_BYTES (2 + EVIDENCE_CERT_MAX)
#define CALL_FLIGHT_BYTES (1 + CALL_FLIGHT_MAX * (2 + CALL_DATAGRAM_MAX))
#define CALL_MEDIA_BYTES 7
#define CALL_NAMES_BYTES (2 * (2 + EVIDENCE_NAME_SIZE - 1))
/* component, transport, type, priority, foundation, two addresses */
#define CALL_CANDIDATE_BYTES (7 + 2 + CALL_FOUNDATION_MAX + 2 * (1 + 16 + 2))

#define CALL_OFFER_MAX                                                         \
	(CALL_ID_LEN + CALL_NAMES_BYTES + 3 * 32 + 8 + CALL_ICE_BYTES +        \
	    CALL_MEDIA_BYTES + CALL_LEAF_BYTES + CALL_FLIGHT_BYTES +           \
	    CALL_SIG_LEN)
#define CALL_ANSWER_MAX                                                        \
	(CALL_NAMES_BYTES + 3 * 32 + CALL_ICE_BYTES + CALL_MEDIA_BYTES +       \
	    CALL_LEAF_BYTES + CALL_FLIGHT_BYTES + CALL_SIG_LEN)
#define CALL_CANDIDATES_BYTES (1 + CALL_CANDIDATES_MAX * CALL_CANDIDATE_BYTES)
#define CALL_CONFIRM_MAX                                                       \
	(CALL_LEAF_BYTES + CALL_FLIGHT_BYTES + CALL_CANDIDATES_BYTES)
#define CALL_RETRY_LEN 32
#define CALL_END_LEN 1
#define CALL_BODY_MAX CALL_CONFIRM_MAX
#define CALL_SIGNED_MAX (20 + CALL_OFFER_MAX)

enum call_type {
	CALL_OFFER = 1,
	CALL_ANSWER,
	CALL_CONFIRM,
	CALL_CANDIDATES,
	CALL_RESTART,
	CALL_END,
	CALL_RETRY
};

/*
 * Why there is no call, or no longer: number on the wire, constant, what it
 * says to a person at the other end.
 */
#define CALL_REASONS(X)                                                        \
	X(1, HANGUP, "the other end has hung up")                              \
	X(2, UNKNOWN,                                                          \
	    "no node of this name and key is in the other end's registry; "    \
	    "add it there, or wait until its registry is up to date")          \
	X(3, REVOKED, "the node is revoked; it must join anew")                \
	X(4, EXPIRED,                                                          \
	    "the node's membership has expired; an authority must renew it")   \
	X(5, EVIDENCE, "what should prove who speaks does not")                \
	X(6, CAPABILITY,                                                       \
	    "a capability is missing: voice.connect to call, voice.accept to " \
	    "be called; an authority grants them")                             \
	X(7, ALLOWLIST,                                                        \
	    "not on the allowlist there: claw voice:allowlist:add")            \
	X(8, HOOK, "the program that decides about calls there said no")       \
	X(9, HOOK_FAILED,                                                      \
	    "the program that decides about calls there failed, or was too "   \
	    "slow; see the log there")                                         \
	X(10, RATE, "too many calls in a short time; call again later")        \
	X(11, BUSY, "too many calls are being set up there; call again")       \
	X(12, REPLAY, "the offer came twice; each call needs one of its own")  \
	X(13, STALE,                                                           \
	    "the offer came too late; call again, and if that does not help "  \
	    "compare the two clocks")                                          \
	X(14, CLOCK,                                                           \
	    "the offer comes from the future; compare the two clocks")         \
	X(15, TIMEOUT, "no answer in time")                                    \
	X(16, PROTOCOL, "a message that is malformed or cannot come now")      \
	X(17, DTLS, "DTLS did not end with the certificate that was attested") \
	X(18, MEDIA, "the two ends have no kind of audio in common")           \
	X(19, FAULT, "a failure of the node itself; see the log there")        \
	X(20, SEAL,                                                            \
	    "sealed for a key that the other end does not have; bring the "    \
	    "registry up to date and call again")

enum call_reason {
	CALL_NO_REASON = 0,
#define X(n, name, text) CALL_##name = n,
	CALL_REASONS(X)
#undef X
	    CALL_REASONS_END
};

enum { CALL_OPUS = 1 }; /* 48 kHz, one channel: RFC 7587 */
enum { CALL_FEC = 1, CALL_DTX = 2 };

/* What the sender wants to get. */
struct call_media {
	uint8_t codec;	  /* CALL_OPUS */
	uint8_t frame_ms; /* 10, 20, 40, 60 */
	uint8_t flags;	  /* CALL_FEC, CALL_DTX */
	uint32_t bitrate; /* at most, bit/s: 6000 to 510000 */
};

struct call_ice {
	char ufrag[CALL_CREDENTIAL_MAX + 1];
	char pwd[CALL_CREDENTIAL_MAX + 1];
};

/* The datagrams of one DTLS flight. */
struct call_flight {
	uint8_t n;
	struct call_datagram {
		uint16_t len;
		uint8_t data[CALL_DATAGRAM_MAX];
	} datagram[CALL_FLIGHT_MAX];
};

/* A certificate as evidence_parse() reads it, which is for who judges it. */
struct call_leaf {
	uint16_t len;
	uint8_t der[EVIDENCE_CERT_MAX];
};

struct call_offer {
	uint8_t id[CALL_ID_LEN]; /* random; the head's */
	char caller[EVIDENCE_NAME_SIZE];
	char callee[EVIDENCE_NAME_SIZE];
	uint8_t nonce[32]; /* Na, for the callee's leaf */
	uint8_t spki[32];  /* SHA-256 of the caller's SPKI */
	uint8_t share[32]; /* e_a, X25519 */
	uint64_t expires_s;
	struct call_ice ice;
	struct call_media media;
	struct call_leaf leaf; /* over RETRY's nonce; len 0: none was asked */
	struct call_flight flight;
	uint8_t sig[CALL_SIG_LEN];
};

struct call_answer {
	uint8_t offer[32]; /* call_offer_hash() */
	char caller[EVIDENCE_NAME_SIZE];
	char callee[EVIDENCE_NAME_SIZE];
	uint8_t nonce[32]; /* Nb, for the caller's leaf */
	uint8_t share[32]; /* e_b */
	struct call_ice ice;
	struct call_media media;
	struct call_leaf leaf; /* over Na */
	struct call_flight flight;
	uint8_t sig[CALL_SIG_LEN];
};

enum call_transport {
	CALL_UDP = 1,
	CALL_TCP_ACTIVE, /* RFC 6544 */
	CALL_TCP_PASSIVE,
	CALL_TCP_SO
};

/* Peer-reflexive ones are found, and never told: RFC 8445, 5.1.1. */
enum call_candidate_type { CALL_HOST = 1, CALL_SRFLX, CALL_RELAY };

struct call_address {
	uint8_t family; /* 4, 6; 0: none */
	uint8_t addr[16];
	uint16_t port;
};

struct call_candidate {
	uint8_t component; /* 1: RTP and RTCP on it; 2: RTCP */
	uint8_t transport;
	uint8_t type;
	uint32_t priority; /* 1 to 2^31 - 1 */
	char foundation[CALL_FOUNDATION_MAX + 1];
	struct call_address at;	     /* of one machine, not link-local */
	struct call_address related; /* none for hosts, one for the others */
};

/* None: what a callee says that grants and has no candidate yet. */
struct call_candidates {
	uint8_t n;
	struct call_candidate c[CALL_CANDIDATES_MAX];
};

struct call_confirm {
	struct call_leaf leaf; /* over Nb, with the key of OFFER's spki */
	struct call_flight flight;
	struct call_candidates candidates;
};

void call_head_put(uint8_t out[CALL_HEAD_LEN], enum call_type type,
    const uint8_t id[CALL_ID_LEN]);
/* 0; -EBADMSG: no head; -EPROTONOSUPPORT: of a newer version. */
int call_head_get(const uint8_t *in, size_t len, enum call_type *type,
    uint8_t id[CALL_ID_LEN]);

/*
 * Formatting: the length, -EINVAL for what the parser would not take, or
 * -ENOSPC. Parsing: 0 or -EBADMSG, and then nothing is in the struct; nothing
 * is verified by it. What is signed, and the whole body, which is that without
 * its label and with the signature.
 */
ssize_t call_offer_signed(const struct call_offer *, uint8_t *, size_t);
ssize_t call_offer_format(const struct call_offer *, uint8_t *, size_t);
int call_offer_parse(const uint8_t *, size_t, struct call_offer *);
ssize_t call_answer_signed(const struct call_answer *, uint8_t *, size_t);
ssize_t call_answer_format(const struct call_answer *, uint8_t *, size_t);
int call_answer_parse(const uint8_t *, size_t, struct call_answer *);

/*
 * SHA-256 of what is signed. 0, -EINVAL or -EIO.
 */
int call_offer_hash(const struct call_offer *, uint8_t out[32]);
int call_answer_hash(const struct call_answer *, uint8_t out[32]);

/*
 * Whether it is signed by this identity key, which the caller of this function
 * has from the registry, for the name that the message gives its sender.
 * 0 or -EKEYREJECTED.
 */
int call_offer_verify(const struct call_offer *, const uint8_t key[32]);
int call_answer_verify(const struct call_answer *, const uint8_t key[32]);

/*
 * Whether an answer is to this offer, by hash and by both names. NULL, or
 * what the first field that differs is called.
 */
const char *
call_answer_differs(const struct call_answer *, const struct call_offer *);

ssize_t call_confirm_format(const struct call_confirm *, uint8_t *, size_t);
int call_confirm_parse(const uint8_t *, size_t, struct call_confirm *);
ssize_t
call_candidates_format(const struct call_candidates *, uint8_t *, size_t);
int call_candidates_parse(const uint8_t *, size_t, struct call_candidates *);
ssize_t call_restart_format(const struct call_ice *, uint8_t *, size_t);
int call_restart_parse(const uint8_t *, size_t, struct call_ice *);
/* END is a byte, its reason; RETRY is the callee's nonce. */
int call_end_parse(const uint8_t *, size_t, enum call_reason *);
int call_retry_parse(const uint8_t *, size_t, uint8_t nonce[CALL_RETRY_LEN]);

/* "ALLOWLIST", and the sentence; "?" for a number that is none. */
const char *call_reason_name(unsigned int reason);
const char *call_reason_text(unsigned int reason);

#endif
