/* SPDX-License-Identifier: ISC */
/*
 * refusals.c - which refusals of strangers are recorded singly.
 *
 * Who is not attested can knock as often as he likes, and each record takes
 * room on a disk that must not fill. So of each neighbourhood (/24, /56) the
 * first few in a minute get a record of their own, and the rest of the minute
 * one that counts them; of all neighbourhoods together there are bounds, too.
 */
#include <arpa/inet.h>

#include <event2/event.h>

#include <stdio.h>
#include <string.h>

#include "attestd/attestd.h"
#include "common/child.h"
#include "common/log.h"

#define SINGLY 20      /* a minute, of one neighbourhood */
#define SINGLY_ALL 200 /* a minute, of all */
#define PLACES 256
#define WINDOW_S 60

static struct place {
	uint8_t prefix[8]; /* 4: 0 0 0 0 a b c 0, 6: the first 56 bits */
	unsigned int singly, more;
} places[PLACES];

static struct {
	struct event *window; /* pending while a minute is counted */
	unsigned int places, singly, more;
} minute;

/* "192.0.2.1:7946", "[2001:db8::1]:7946"; anything else is one place. */
static void
prefix_of(const char *address, uint8_t out[8])
{
	const char *colon = strrchr(address, ':');
	bool six = address[0] == '[';
	size_t n = colon == NULL ? 0 : (size_t)(colon - address);
	char host[INET6_ADDRSTRLEN];
	struct in6_addr a6;
	struct in_addr a4;

	memset(out, 0, 8);
	if (six && n > 2) {
		address++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(host))
		return;
	memcpy(host, address, n);
	host[n] = '\0';
	if (six && inet_pton(AF_INET6, host, &a6) == 1)
		memcpy(out, &a6, 7);
	else if (!six && inet_pton(AF_INET, host, &a4) == 1)
		memcpy(out + 4, &a4, 3);
}

static void
sum_up(unsigned int more, const uint8_t prefix[8])
{
	static struct auditrec rec;
	char text[INET6_ADDRSTRLEN + 8] = "elsewhere", six[INET6_ADDRSTRLEN];
	struct in6_addr a6 = { 0 };

	if (more == 0)
		return;
	if (prefix != NULL && prefix[0] == 0)
		snprintf(text, sizeof(text), "%u.%u.%u.0/24", prefix[4],
		    prefix[5], prefix[6]);
	else if (prefix != NULL) {
		memcpy(&a6, prefix, 7);
		(void)inet_ntop(AF_INET6, &a6, six, sizeof(six));
		snprintf(text, sizeof(text), "%s/56", six);
	}
	auditrec_init(&rec, AUDIT_PEER_REFUSED_MORE, AUDIT_SINGLE,
	    AUDIT_DENIED);
	auditrec_num(&rec, AUDIT_ATTR_COUNT, more);
	auditrec_text(&rec, AUDIT_ATTR_ADDRESS, text);
	(void)attestd_record(&rec, NULL, NULL);
	log_warnx("%u more refusals within %d s, from %s", more, WINDOW_S,
	    text);
}

static void
on_window_over(evutil_socket_t fd, short what, void *arg)
{
	unsigned int i;

	(void)fd;
	(void)what;
	(void)arg;
	for (i = 0; i < minute.places; i++)
		sum_up(places[i].more, places[i].prefix);
	sum_up(minute.more, NULL);
	minute.places = minute.singly = minute.more = 0;
	memset(places, 0, sizeof(places));
}

static struct place *
place_of(const char *address)
{
	uint8_t prefix[8];
	unsigned int i;

	prefix_of(address, prefix);
	for (i = 0; i < minute.places; i++)
		if (memcmp(places[i].prefix, prefix, sizeof(prefix)) == 0)
			return &places[i];
	if (minute.places == PLACES)
		return NULL;
	memcpy(places[i].prefix, prefix, sizeof(prefix));
	return &places[minute.places++];
}

bool
refusals_singly(const char *address)
{
	static const struct timeval window = { WINDOW_S, 0 };
	struct place *p;

	if (minute.window == NULL)
		minute.window = evtimer_new(child_base(), on_window_over, NULL);
	if (minute.window == NULL)
		fatalx("libevent has no timer for us");
	if (!evtimer_pending(minute.window, NULL))
		(void)evtimer_add(minute.window, &window);
	p = place_of(address);
	if (p == NULL) {
		minute.more++;
		return false;
	}
	if (p->singly >= SINGLY || minute.singly >= SINGLY_ALL) {
		p->more++;
		return false;
	}
	p->singly++;
	minute.singly++;
	return true;
}
