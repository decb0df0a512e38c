/* SPDX-License-Identifier: ISC */
/*
 * dtls_layer.c - flights, and the layer beneath NSS that reads and writes them.
 *
 * NSS is made for sockets. What it gets for one reads from the flight that is
 * being fed, without a copy, and writes into the flight that is to be sent. The
 * lengths within a flight come from a peer.
 */
#include <errno.h>
#include <string.h>

#include "voiced/dtls_int.h"

static PRDescIdentity identity = PR_INVALID_IO_LAYER;
static PRIOMethods methods;

bool
dtls_next(const uint8_t **flight, size_t *len, const uint8_t **datagram,
    size_t *datagram_len)
{
	size_t n;

	if (*len < 2)
		return false;
	n = (size_t)((*flight)[0] << 8 | (*flight)[1]);
	if (n == 0 || n > *len - 2)
		return false;
	*datagram = *flight + 2;
	*datagram_len = n;
	*flight += 2 + n;
	*len -= 2 + n;
	return true;
}

bool
dtls_is_flight(const uint8_t *flight, size_t len)
{
	const uint8_t *d;
	size_t n;

	while (dtls_next(&flight, &len, &d, &n))
		;
	return len == 0;
}

/* A datagram that does not fit is lost, as any may be: NSS sends it again. */
static void
append(struct dtls *a, const void *datagram, size_t len)
{
	if (len > UINT16_MAX || len + 2 > sizeof(a->out) - a->out_len)
		return;
	a->out[a->out_len++] = (uint8_t)(len >> 8);
	a->out[a->out_len++] = (uint8_t)len;
	memcpy(a->out + a->out_len, datagram, len);
	a->out_len += len;
}

void
dtls_flush(struct dtls *a)
{
	if (a->out_len != 0)
		a->ops->send(a->out, a->out_len, a->arg);
	a->out_len = 0;
}

/* --- the layer beneath NSS ---------------------------------------------- */

static struct dtls *
owner(PRFileDesc *fd)
{
	return (struct dtls *)(void *)fd->secret;
}

static PRInt32
layer_recv(PRFileDesc *fd, void *buf, PRInt32 size, PRIntn flags,
    PRIntervalTime timeout)
{
	struct dtls *a = owner(fd);
	const uint8_t *d;
	size_t n;

	(void)flags;
	(void)timeout;
	while (dtls_next(&a->in, &a->in_len, &d, &n)) {
		if (n > DTLS_DATAGRAM_MAX || n > (size_t)size)
			continue;
		memcpy(buf, d, n);
		return (PRInt32)n;
	}
	PR_SetError(PR_WOULD_BLOCK_ERROR, 0);
	return -1;
}

static PRInt32
layer_read(PRFileDesc *fd, void *buf, PRInt32 size)
{
	return layer_recv(fd, buf, size, 0, PR_INTERVAL_NO_WAIT);
}

static PRInt32
layer_write(PRFileDesc *fd, const void *buf, PRInt32 len)
{
	append(owner(fd), buf, (size_t)len);
	return len;
}

static PRInt32
layer_send(PRFileDesc *fd, const void *buf, PRInt32 len, PRIntn flags,
    PRIntervalTime timeout)
{
	(void)flags;
	(void)timeout;
	return layer_write(fd, buf, len);
}

static PRStatus
layer_close(PRFileDesc *fd)
{
	fd->secret = NULL;
	fd->dtor(fd);
	return PR_SUCCESS;
}

/* What a server does to a client that shows no leaf. */
static PRStatus
layer_shutdown(PRFileDesc *fd, PRIntn how)
{
	(void)fd;
	(void)how;
	return PR_SUCCESS;
}

/* NSS wants a peer's address, for caches that are off. */
static PRStatus
layer_name(PRFileDesc *fd, PRNetAddr *addr)
{
	(void)fd;
	memset(addr, 0, sizeof(*addr));
	addr->inet.family = PR_AF_INET;
	return PR_SUCCESS;
}

static PRStatus
layer_getopt(PRFileDesc *fd, PRSocketOptionData *data)
{
	(void)fd;
	if (data->option == PR_SockOpt_Nonblocking) {
		data->value.non_blocking = PR_TRUE;
		return PR_SUCCESS;
	}
	PR_SetError(PR_NOT_IMPLEMENTED_ERROR, 0);
	return PR_FAILURE;
}

static PRStatus
layer_setopt(PRFileDesc *fd, const PRSocketOptionData *data)
{
	(void)fd;
	(void)data;
	return PR_SUCCESS;
}

static PRInt16
layer_poll(PRFileDesc *fd, PRInt16 in, PRInt16 *out)
{
	(void)fd;
	*out = in;
	return in;
}

int
dtls_layer_init(void)
{
	identity = PR_GetUniqueIdentity("claw-dtls");
	if (identity == PR_INVALID_IO_LAYER)
		return -ENOMEM;
	methods = *PR_GetDefaultIOMethods();
	methods.recv = layer_recv;
	methods.send = layer_send;
	methods.read = layer_read;
	methods.write = layer_write;
	methods.close = layer_close;
	methods.shutdown = layer_shutdown;
	methods.getpeername = layer_name;
	methods.getsockname = layer_name;
	methods.getsocketoption = layer_getopt;
	methods.setsocketoption = layer_setopt;
	methods.poll = layer_poll;
	return 0;
}

PRFileDesc *
dtls_layer_new(struct dtls *a)
{
	PRFileDesc *layer = PR_CreateIOLayerStub(identity, &methods);

	if (layer != NULL)
		layer->secret = (PRFilePrivate *)(void *)a;
	return layer;
}
