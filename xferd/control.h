/* SPDX-License-Identifier: ISC */
/*
 * control.h - the control session: its connection, frames in turn, the end.
 *
 *	sending end				receiving end
 *	GREETING				GREETING
 *	OFFERING	sftd's offer		OFFERING	OFFER
 *	ASKED		ACCEPT or REFUSE	ASKED		sftd's word
 *	HAVING		BASIS, HAVE		HAVING		hashing
 *	GOING		sftd keeps the epoch
 *	MOVING		ACK, AGAIN, LOST	MOVING		chunks, SEAL
 *	SEALING		sftd's seal		SEALING		sftd commits
 *	SEALED		ACK, ..., RECEIPT	SEALED		DONE
 *	CLOSING		what is queued leaves, then the process ends
 *
 * Each waits for what stands beside it. Both ends show life by PING and PONG;
 * who has to send data shows it by data.
 */
#ifndef CLAW_XFERD_CONTROL_H
#define CLAW_XFERD_CONTROL_H

#include <openssl/evp.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/atls.h"
#include "common/chan.h"
#include "common/sftframe.h"

/* Once, before the sandbox: TLS and a key. */
void control_prepare(void);
/* Once, in it: READY, and a handshake with itself when nothing comes. */
void control_start(void);

/* XFER_SERVE: take the socket over. False: neither client nor server. */
bool control_serve(const struct msg_XFER_SERVE *serve, int fd);
/* XFER_OFFER, with the source. False: not of this end, or not now. */
bool control_offer(const struct msg_XFER_OFFER *offer, int fd);
/* XFER_JOURNAL, XFER_BASIS. False: not of this end, or not now. */
bool control_journal(int fd);
bool control_basis(uint8_t which, int fd);
/* HEAD_MOVED. */
void control_head(const struct msg_HEAD_MOVED *m);

/* For xfer_fail() and for clawd's DRAIN. */
void control_fail(enum sft_code code, bool by_peer, const char *text);
void control_drain(void);

/* LOST, of either end. */
void control_lost(uint8_t index, uint32_t chunks);

/* Of the receiving end. False: there is no room now, or nobody is there. */
bool control_ack(const uint32_t *index, uint32_t n);
bool control_again(uint32_t index, enum sft_again_why why);
/*
 * What is there was hashed: the peer is told, and may begin. False: there is
 * no room to tell all of it now; it is to be called again when there is.
 */
bool control_have(void);
/* All may be durable now, and the peer told so: is it what was sealed? */
void control_whole(void);

/* Of the sending end: all is sent, and its root is this. */
void control_seal(const uint8_t root[SFT_VALUE_LEN]);

/* Chunks may go, or go again. */
bool control_is_moving(void);
bool control_is_over(void);

/* For streams: what the session has settled. */
bool control_is_peer(const char *name);
void control_exporter(uint8_t out[SFT_EXPORTER_LEN]);
struct atls_ctx *control_tls(void);
EVP_PKEY *control_key(void); /* another reference */
uint32_t control_handshake_ms(void);

#endif
