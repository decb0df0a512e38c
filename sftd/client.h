/* SPDX-License-Identifier: ISC */
/*
 * client.h - the connection of who sends a file: it brings the source, and
 * hears how it goes.
 */
#ifndef CLAW_SFTD_CLIENT_H
#define CLAW_SFTD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client;

struct client_user {
	/* It has brought the source, which is the user's from now on. */
	void (*source)(void *arg, int fd);
	/* It is gone, or does not keep to what was agreed; already freed. */
	void (*gone)(void *arg);
};

/*
 * fd is the client's from now on. brings: a source is waited for. NULL: out of
 * memory, fd is closed.
 */
struct client *
client_new(int fd, bool brings, const struct client_user *user, void *arg);

/*
 * A line to it; more: another one follows soon, so that this one may be left
 * out if the client reads slowly. Who reads nothing at all is given up:
 * gone() is called from the event loop.
 */
void client_say(struct client *c, const char *line, size_t len, bool more);

/* No more: it gets what there is to send, then the end. Nobody is called. */
void client_end(struct client *c);
/* At once. */
void client_free(struct client *c);

#endif
