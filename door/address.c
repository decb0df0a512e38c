/* SPDX-License-Identifier: ISC */
/*
 * address.c - where a connection comes from or goes to.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "door/address.h"

static bool
of_ipv4(struct address *a, struct in_addr in, uint16_t port)
{
	char host[INET_ADDRSTRLEN];

	if (inet_ntop(AF_INET, &in, host, sizeof(host)) == NULL)
		return false;
	snprintf(a->text, sizeof(a->text), "%s:%u", host, ntohs(port));
	a->key[0] = 4;
	memcpy(a->key + 1, &in, sizeof(in));
	return true;
}

static bool
of_ipv6(struct address *a, const struct sockaddr_in6 *sin6)
{
	char host[INET6_ADDRSTRLEN];
	struct in_addr in;

	if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
		memcpy(&in, sin6->sin6_addr.s6_addr + 12, sizeof(in));
		return of_ipv4(a, in, sin6->sin6_port);
	}
	if (inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof(host)) == NULL)
		return false;
	snprintf(a->text, sizeof(a->text), "[%s]:%u", host,
	    ntohs(sin6->sin6_port));
	a->key[0] = 6;
	memcpy(a->key + 1, sin6->sin6_addr.s6_addr, 8);
	return true;
}

bool
address_of(const struct sockaddr_storage *ss, socklen_t len,
    struct address *out)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	memset(out, 0, sizeof(*out));
	if (len > sizeof(out->ss))
		return false;
	memcpy(&out->ss, ss, len);
	out->len = len;
	if (ss->ss_family == AF_INET && len >= sizeof(sin)) {
		memcpy(&sin, ss, sizeof(sin));
		return of_ipv4(out, sin.sin_addr, sin.sin_port);
	}
	if (ss->ss_family == AF_INET6 && len >= sizeof(sin6)) {
		memcpy(&sin6, ss, sizeof(sin6));
		return of_ipv6(out, &sin6);
	}
	return false;
}

bool
address_parse(const char *text, struct address *out)
{
	struct sockaddr_storage ss;
	socklen_t len;

	return conf_sockaddr(text, &ss, &len) == 0 && address_of(&ss, len, out);
}
