/* SPDX-License-Identifier: ISC */
/*
 * accept.h - connections that come in, and how many.
 */
#ifndef CLAW_DOOR_ACCEPT_H
#define CLAW_DOOR_ACCEPT_H

#include "door/conn.h"

struct accept_limits {
	unsigned int links;	  /* attested */
	unsigned int pending;	  /* not attested yet */
	unsigned int per_address; /* of those */
};

/* Before the sandbox, after conn_prepare(): is there a socket to listen on? */
void accept_prepare(void);
void accept_configure(const struct accept_limits *limits);
/* Something that decides about accepting may have changed. */
void accept_update(void);
/* No more. */
void accept_end(void);

#endif
