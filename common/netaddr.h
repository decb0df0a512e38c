/* SPDX-License-Identifier: ISC */
/*
 * netaddr.h - numeric addresses with their ports, as text: "192.0.2.1:7946",
 * "[2001:db8::1]:7946"; and the few at which others reach a node.
 *
 * A list is what a node says of itself, so it is checked by whoever takes it.
 * Nothing is allocated; names are not looked up.
 */
#ifndef CLAW_COMMON_NETADDR_H
#define CLAW_COMMON_NETADDR_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define NETADDR_SIZE 64 /* of a text, with its NUL */
#define NETADDR_MAX 4	/* in a list */
/* A list as text, one space between two, with its NUL. */
#define NETADDR_LIST_SIZE (NETADDR_MAX * NETADDR_SIZE)
/* A list as bytes: u8 how many, and each as a u16 length and its text. */
#define NETADDR_BYTES_MAX (1 + NETADDR_MAX * (2 + NETADDR_SIZE - 1))

struct netaddr_list {
	size_t n;
	char text[NETADDR_MAX][NETADDR_SIZE];
};

/* As a socket address: 0 or -EINVAL. */
int netaddr_parse(const char *text, struct sockaddr_storage *, socklen_t *);

/* One of "0.0.0.0:7946" and "[::]:7946", which stand for all of a machine's. */
bool netaddr_is_wildcard(const char *text);

/*
 * NULL, or why others cannot dial it (static text, a clause that follows the
 * address): it must be numeric, and of one machine.
 */
const char *netaddr_fault(const char *text);

/* At the end. NULL, or why it cannot be there. */
const char *netaddr_add(struct netaddr_list *, const char *text);

/* All of "A B", in place of what was there. NULL, or what is wrong with it;
 * "" is none. */
const char *netaddr_list_parse(struct netaddr_list *, const char *text);
void
netaddr_list_text(const struct netaddr_list *, char out[NETADDR_LIST_SIZE]);

void netaddr_put(struct wbuf *, const struct netaddr_list *);
/* 0; -EBADMSG: no list; -EADDRNOTAVAIL: one, of what netaddr_add() refuses. */
int netaddr_get(struct rbuf *, struct netaddr_list *);

#endif
