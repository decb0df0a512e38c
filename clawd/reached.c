/* SPDX-License-Identifier: ISC */
/*
 * reached.c - where others will reach a node that is being made.
 *
 * The registry's word on it is for others to dial. So a wildcard does not get
 * into it, and who has nothing better gets the address that the inviter sees,
 * which is right in one network and of no use behind a translation; --address
 * says it better.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clawd/reached.h"
#include "common/log.h"

static bool
given(const struct init_opts *opts, struct netaddr_list *out)
{
	const char *fault;
	size_t i;

	if (opts->addresses == 1 && strcmp(opts->address[0], "none") == 0)
		return true;
	for (i = 0; i < opts->addresses; i++) {
		fault = netaddr_add(out, opts->address[i]);
		if (fault != NULL) {
			log_errorx("--address: %s %s", opts->address[i], fault);
			return false;
		}
	}
	return true;
}

/* Nothing is sent: a datagram socket that is connected has an own address. */
static bool
own_address(const char *towards, const char *listen, char out[NETADDR_SIZE])
{
	struct sockaddr_storage ss;
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;
	char host[INET6_ADDRSTRLEN];
	socklen_t len;
	bool ok;
	int fd;

	if (netaddr_parse(towards, &ss, &len) != 0 ||
	    (ss.ss_family == AF_INET6 && listen[0] != '['))
		return false;
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	len = ss.ss_family == AF_INET ? sizeof(sin) : sizeof(sin6);
	ok = fd != -1 && connect(fd, (struct sockaddr *)&ss, len) == 0 &&
	    (len = sizeof(ss),
		getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
	if (fd != -1)
		close(fd);
	if (!ok)
		return false;
	memcpy(&sin, &ss, sizeof(sin));
	memcpy(&sin6, &ss, sizeof(sin6));
	if (ss.ss_family == AF_INET)
		ok = inet_ntop(AF_INET, &sin.sin_addr, host, sizeof(host)) !=
		    NULL;
	else
		ok = inet_ntop(AF_INET6, &sin6.sin6_addr, host, sizeof(host)) !=
		    NULL;
	return ok &&
	    snprintf(out, NETADDR_SIZE,
		ss.ss_family == AF_INET ? "%s%s" : "[%s]%s", host,
		strrchr(listen, ':')) < NETADDR_SIZE &&
	    netaddr_fault(out) == NULL;
}

bool
reached_at(const struct init_opts *opts, const char *listen,
    const struct ticket *ticket, struct netaddr_list *out)
{
	char own[NETADDR_SIZE];
	size_t i;

	memset(out, 0, sizeof(*out));
	if (opts->addresses > 0)
		return given(opts, out);
	if (!netaddr_is_wildcard(listen)) {
		(void)netaddr_add(out, listen);
		return true;
	}
	for (i = 0; ticket != NULL && i < ticket->n_addrs; i++)
		if (own_address(ticket->addr[i], listen, own)) {
			(void)netaddr_add(out, own);
			break;
		}
	return true;
}
