/* SPDX-License-Identifier: ISC */
/*
 * dtls_int.h - what the files of DTLS share: an association, by NSS.
 */
#ifndef CLAW_VOICED_DTLS_INT_H
#define CLAW_VOICED_DTLS_INT_H

#include <nspr.h>
#include <ssl.h>

#include "voiced/dtls.h"

struct dtls {
	struct dtls_ctx *ctx;
	enum dtls_role role;
	const struct dtls_ops *ops;
	void *arg;
	PRFileDesc *fd;

	const uint8_t *in; /* what is left of the flight being fed */
	size_t in_len;
	uint8_t out[DTLS_FLIGHT_MAX];
	size_t out_len;

	enum dtls_profile profile; /* 0: not agreed */
	bool shown;		   /* a client: it was asked for its leaf */
	bool accepted;		   /* by ops->leaf() */
	bool done;
	int failed;	     /* for ever */
	const char *refused; /* by us, and why */
	char error[160];
	char suite[64];
};

/* dtls_layer.c: once, before the first layer. 0 or -ENOMEM. */
int dtls_layer_init(void);
/*
 * What an NSS socket of a reads from and writes to; it goes with that socket.
 * NULL when out of memory.
 */
PRFileDesc *dtls_layer_new(struct dtls *a);
/* Whether all of it is datagrams. */
bool dtls_is_flight(const uint8_t *flight, size_t len);
/* Hand over what is to be sent. */
void dtls_flush(struct dtls *a);

/* dtls_srtp.c: have use_srtp written and read for a. */
SECStatus dtls_srtp_install(struct dtls *a);

#endif
