/* SPDX-License-Identifier: ISC */
/*
 * atls_thread.c - a secured connection in the hands of a thread.
 *
 * The socket blocks, and nothing of the event loop is left. A thread that is
 * to stop is called back by a shutdown of the socket, from any other: that is
 * the one thing that two threads may do to a connection at a time.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "common/atls_int.h"

int
atls_detach(struct atls *a)
{
	int flags, err;

	if (a->state != ATLS_SECURED || a->why[0] != '\0' || a->shut)
		return -ENOTCONN;
	if (a->queue_len > 0)
		return -EBUSY;
	flags = fcntl(a->fd, F_GETFL);
	if (flags == -1 || fcntl(a->fd, F_SETFL, flags & ~O_NONBLOCK) == -1)
		return -errno;
	err = atls_tls_detach(a);
	if (err != 0)
		return err;
	atls_stop(a);
	a->detached = true;
	return 0;
}

static int
explain(struct atls *a, char *why, size_t size)
{
	char text[ATLS_WHY_SIZE];

	atls_why_text(a, text, sizeof(text));
	ERR_clear_error();
	(void)snprintf(why, size, "%s", text);
	return -EIO;
}

ssize_t
atls_recv(struct atls *a, void *buf, size_t n, char *why, size_t size)
{
	size_t got;
	int ret;

	ERR_clear_error();
	ret = SSL_read_ex(a->ssl, buf, n, &got);
	if (a->why[0] != '\0')
		return explain(a, why, size);
	if (ret == 1) {
		a->app_bytes += got;
		return (ssize_t)got;
	}
	if (SSL_get_error(a->ssl, ret) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return explain(a, why, size);
}

int
atls_send(struct atls *a, const void *buf, size_t n, char *why, size_t size)
{
	size_t sent;
	bool good;

	ERR_clear_error();
	a->batching = true;
	good = n == 0 || SSL_write_ex(a->ssl, buf, n, &sent) == 1;
	a->batching = false;
	if (!good || atls_tls_flush(a) == -1)
		return explain(a, why, size);
	return 0;
}

void
atls_bye(struct atls *a)
{
	ERR_clear_error();
	(void)SSL_shutdown(a->ssl);
	ERR_clear_error();
	(void)shutdown(a->fd, SHUT_WR);
}

void
atls_interrupt(struct atls *a)
{
	(void)shutdown(a->fd, SHUT_RDWR);
}
