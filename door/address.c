/* SPDX-License-Identifier: ISC */
/*
 * address.c - where a connection comes from or goes to, and in which order.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <string.h>

#include "common/netaddr.h"
#include "door/address.h"

#define CONNECT_LAST_S 5
#define CONNECT_NEXT_S 2

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

	return netaddr_parse(text, &ss, &len) == 0 && address_of(&ss, len, out);
}

bool
route_parse(const char *text, struct route *out)
{
	struct netaddr_list l;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (netaddr_list_parse(&l, text) != NULL)
		return false;
	for (i = 0; i < l.n; i++)
		if (!address_parse(l.text[i], &out->at[i])) {
			memset(out, 0, sizeof(*out));
			return false;
		}
	out->n = (unsigned int)l.n;
	return true;
}

void
route_to(const struct address *a, struct route *out)
{
	*out = (struct route){ .at = { *a }, .n = 1 };
}

bool
route_has(const struct route *r, const char *text)
{
	unsigned int i;

	for (i = 0; i < r->n; i++)
		if (strcmp(r->at[i].text, text) == 0)
			return true;
	return false;
}

bool
route_same(const struct route *a, const struct route *b)
{
	unsigned int i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (strcmp(a->at[i].text, b->at[i].text) != 0)
			return false;
	return a->n == b->n;
}

const struct address *
route_address(const struct route *r)
{
	return &r->at[r->now];
}

unsigned int
route_seconds(const struct route *r)
{
	return r->tried + 1 < r->n ? CONNECT_NEXT_S : CONNECT_LAST_S;
}

bool
route_next(struct route *r)
{
	bool more = r->tried + 1 < r->n;

	if (r->n > 0)
		r->now = (r->now + 1) % r->n;
	r->tried = more ? r->tried + 1 : 0;
	return more;
}

void
route_good(struct route *r)
{
	r->tried = 0;
}
