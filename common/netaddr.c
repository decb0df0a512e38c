/* SPDX-License-Identifier: ISC */
/*
 * netaddr.c - numeric addresses with their ports.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/netaddr.h"

int
netaddr_parse(const char *text, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	bool six = text[0] == '[';
	size_t n;
	unsigned long port;

	if (colon == NULL || (size_t)(colon - text) < (six ? 3 : 1))
		return -EINVAL;
	n = (size_t)(colon - text) - (six ? 2 : 0);
	if (n >= sizeof(host) || (six && colon[-1] != ']'))
		return -EINVAL;
	memcpy(host, text + six, n);
	host[n] = '\0';
	n = strspn(colon + 1, "0123456789");
	if (n == 0 || n > 5 || colon[1 + n] != '\0' || colon[1] == '0')
		return -EINVAL;
	port = strtoul(colon + 1, NULL, 10);
	if (port > 65535)
		return -EINVAL;
	sin.sin_port = sin6.sin6_port = htons((uint16_t)port);
	memset(ss, 0, sizeof(*ss));
	if (six && inet_pton(AF_INET6, host, &sin6.sin6_addr) == 1) {
		memcpy(ss, &sin6, sizeof(sin6));
		*len = sizeof(sin6);
		return 0;
	}
	if (!six && inet_pton(AF_INET, host, &sin.sin_addr) == 1) {
		memcpy(ss, &sin, sizeof(sin));
		*len = sizeof(sin);
		return 0;
	}
	return -EINVAL;
}

bool
netaddr_is_wildcard(const char *text)
{
	struct sockaddr_storage ss;
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;
	socklen_t len;

	if (netaddr_parse(text, &ss, &len) != 0)
		return false;
	memcpy(&sin, &ss, sizeof(sin));
	memcpy(&sin6, &ss, sizeof(sin6));
	return ss.ss_family == AF_INET ?
	    sin.sin_addr.s_addr == htonl(INADDR_ANY) :
	    IN6_IS_ADDR_UNSPECIFIED(&sin6.sin6_addr) != 0;
}

/* 0.0.0.0/8 is this host, from 224.0.0.0 on it is more than one. */
static bool
is_one(const struct sockaddr_storage *ss)
{
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;
	uint32_t first;

	memcpy(&sin, ss, sizeof(sin));
	memcpy(&sin6, ss, sizeof(sin6));
	first = ntohl(sin.sin_addr.s_addr) >> 24;
	if (ss->ss_family == AF_INET)
		return first > 0 && first < 224;
	return !IN6_IS_ADDR_UNSPECIFIED(&sin6.sin6_addr) &&
	    !IN6_IS_ADDR_MULTICAST(&sin6.sin6_addr) &&
	    !IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr);
}

const char *
netaddr_fault(const char *text)
{
	struct sockaddr_storage ss;
	socklen_t len;

	if (strnlen(text, NETADDR_SIZE) == NETADDR_SIZE ||
	    netaddr_parse(text, &ss, &len) != 0)
		return "is no numeric address with a port, as 192.0.2.1:7946 "
		       "or [2001:db8::1]:7946";
	return is_one(&ss) ? NULL : "is no address of one machine";
}

const char *
netaddr_add(struct netaddr_list *l, const char *text)
{
	const char *fault = netaddr_fault(text);
	size_t i;

	if (fault != NULL)
		return fault;
	for (i = 0; i < l->n; i++)
		if (strcmp(l->text[i], text) == 0)
			return "is named twice";
	if (l->n == NETADDR_MAX)
		return "is one too many: a node has at most 4 addresses";
	snprintf(l->text[l->n++], NETADDR_SIZE, "%s", text);
	return NULL;
}

const char *
netaddr_list_parse(struct netaddr_list *l, const char *text)
{
	char one[NETADDR_SIZE];
	const char *fault;
	size_t n;

	memset(l, 0, sizeof(*l));
	while (*text != '\0') {
		n = strcspn(text, " ");
		if (n >= sizeof(one))
			return "is too long for an address";
		memcpy(one, text, n);
		one[n] = '\0';
		fault = netaddr_add(l, one);
		if (fault != NULL)
			return fault;
		text += n;
		if (text[0] == ' ' && text[1] == '\0')
			return "ends in a space";
		text += text[0] == ' ' ? 1 : 0;
	}
	return NULL;
}

void
netaddr_list_text(const struct netaddr_list *l, char out[NETADDR_LIST_SIZE])
{
	size_t i, at = 0;

	out[0] = '\0';
	for (i = 0; i < l->n; i++)
		at += (size_t)snprintf(out + at, NETADDR_LIST_SIZE - at, "%s%s",
		    i == 0 ? "" : " ", l->text[i]);
}

void
netaddr_put(struct wbuf *w, const struct netaddr_list *l)
{
	size_t i;

	wbuf_u8(w, (uint8_t)l->n);
	for (i = 0; i < l->n; i++)
		wbuf_bytes(w, l->text[i], strlen(l->text[i]));
}

int
netaddr_get(struct rbuf *r, struct netaddr_list *l)
{
	char one[NETADDR_SIZE];
	const uint8_t *text;
	uint8_t count = rbuf_u8(r);
	uint16_t n;
	int ret = 0;

	memset(l, 0, sizeof(*l));
	if (r->failed || count > NETADDR_MAX)
		return -EBADMSG;
	for (; count > 0; count--) {
		text = rbuf_bytes(r, &n);
		if (text == NULL || n >= sizeof(one) ||
		    memchr(text, '\0', n) != NULL)
			return -EBADMSG;
		memcpy(one, text, n);
		one[n] = '\0';
		if (netaddr_add(l, one) != NULL)
			ret = -EADDRNOTAVAIL;
	}
	return ret;
}
