/* SPDX-License-Identifier: ISC */
/*
 * address.h - where a connection comes from or goes to.
 */
#ifndef CLAW_DOOR_ADDRESS_H
#define CLAW_DOOR_ADDRESS_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_SIZE 64 /* as text, with its NUL */
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

#endif
