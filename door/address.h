/* SPDX-License-Identifier: ISC */
/*
 * address.h - where a connection comes from or goes to.
 */
#ifndef CLAW_DOOR_ADDRESS_H
#define CLAW_DOOR_ADDRESS_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#include "common/netaddr.h"

#define ADDRESS_SIZE NETADDR_SIZE /* as text, with its NUL */
#define ADDRESS_KEY_LEN 9

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
	char text[ADDRESS_SIZE]; /* "192.0.2.1:7946", "[2001:db8::1]:7946" */
	/*
	 * What is counted as one: an IPv4 address, also where it came mapped
	 * into IPv6, or the /64 of an IPv6 one.
	 */
	uint8_t key[ADDRESS_KEY_LEN];
};

/* Numeric, with a port. False if it is none. */
bool address_parse(const char *text, struct address *out);

/* Of a socket that came in. False for a family that is neither. */
bool address_of(const struct sockaddr_storage *ss, socklen_t len,
    struct address *out);

/*
 * The addresses of one peer, tried in turn: a round begins at the one that
 * was good last and ends when each was tried.
 */
struct route {
	struct address at[NETADDR_MAX];
	unsigned int n; /* 0: it is not known where it is */
	unsigned int now;
	unsigned int
	    tried; /* in this round, before the one that is tried now */
};

/* Of "A B". False if one of them is none; the route is empty then. */
bool route_parse(const char *text, struct route *out);
/* The one address there is. */
void route_to(const struct address *a, struct route *out);
bool route_has(const struct route *r, const char *text);
/* Whether they are the same, in the same order. */
bool route_same(const struct route *a, const struct route *b);

const struct address *route_address(const struct route *r);
/* How long a connection there may take: longer where nothing else is left. */
unsigned int route_seconds(const struct route *r);
/* It was of no use: the next. False: each was tried, a new round begins. */
bool route_next(struct route *r);
/* It was good: the next round begins with it. */
void route_good(struct route *r);

#endif
