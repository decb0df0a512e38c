/* SPDX-License-Identifier: ISC */
/*
 * packet.c - what can be done to a train of segments (packet.h).
 *
 * Works on IPv4 and on IPv6 without extension headers, the only ones that the
 * kernel makes trains of. Checksums of trains are the kernel's to complete:
 * until then the field holds the sum over the pseudo header.
 */
#include <stdlib.h>
#include <string.h>

#include "packet.h"

#define PROTO_TCP 6
#define TCP_FIN 0x01
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_CWR 0x80
#define TCP_HEADER 20

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void
put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* The Internet checksum's sum, RFC 1071, not yet complemented. */
static uint32_t
sum(uint32_t s, const uint8_t *p, size_t len)
{
	for (; len > 1; p += 2, len -= 2) {
		s += get16(p);
		s = (s & 0xffff) + (s >> 16);
	}
	if (len == 1)
		s += (uint32_t)p[0] << 8;
	return (s & 0xffff) + (s >> 16);
}

static bool
is_v4(const struct packet *p)
{
	return p->ip[0] >> 4 == 4;
}

static size_t
ip_header(const struct packet *p)
{
	return is_v4(p) ? (size_t)(p->ip[0] & 15) * 4 : 40;
}

/* Bytes of IP and TCP headers; 0: it is not TCP. */
static size_t
headers(const struct packet *p)
{
	size_t ip, all;

	if (p->len < 40)
		return 0;
	ip = ip_header(p);
	if ((is_v4(p) ? p->ip[9] : p->ip[6]) != PROTO_TCP ||
	    p->len < ip + TCP_HEADER)
		return 0;
	if (is_v4(p) && (get16(p->ip + 6) & 0x3fff) != 0)
		return 0; /* a fragment */
	all = ip + (size_t)(p->ip[ip + 12] >> 4) * 4;
	return p->len < all ? 0 : all;
}

static uint32_t
pseudo_sum(const struct packet *p)
{
	size_t ip = ip_header(p);
	uint8_t tail[4] = { 0, PROTO_TCP, 0, 0 };

	put16(tail + 2, p->len - ip);
	return sum(is_v4(p) ? sum(0, p->ip + 12, 8) : sum(0, p->ip + 8, 32),
	    tail, sizeof(tail));
}

/* After a change of length: what says so, and the sums over it. */
static void
set_length(struct packet *p, size_t len)
{
	size_t ip = ip_header(p);

	p->len = len;
	if (is_v4(p)) {
		put16(p->ip + 2, len);
		put16(p->ip + 10, 0);
		put16(p->ip + 10, ~sum(0, p->ip, ip) & 0xffff);
	} else
		put16(p->ip + 4, len - ip);
	p->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	p->hdr.csum_start = (uint16_t)ip;
	p->hdr.csum_offset = 16;
	put16(p->ip + ip + 16, pseudo_sum(p));
}

struct packet *
packet_new(const void *read, size_t len)
{
	struct packet *p;

	if (len <= sizeof(p->hdr))
		return NULL;
	len -= sizeof(p->hdr);
	if ((p = malloc(sizeof(*p) + len)) == NULL)
		return NULL;
	p->len = len;
	memcpy(&p->hdr, read, sizeof(p->hdr));
	memcpy(p->ip, (const uint8_t *)read + sizeof(p->hdr), len);
	return p;
}

bool
packet_multicast(const struct packet *p)
{
	return is_v4(p) ? p->len > 16 && p->ip[16] >> 4 == 14 :
			  p->len > 24 && p->ip[24] == 0xff;
}

unsigned int
packet_segments(const struct packet *p)
{
	size_t size = p->hdr.gso_size, payload = packet_payload(p);

	if (p->hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE || size == 0 ||
	    payload <= size)
		return 1;
	return (unsigned int)((payload + size - 1) / size);
}

size_t
packet_wire_bytes(const struct packet *p)
{
	return p->len + (packet_segments(p) - 1) * headers(p);
}

size_t
packet_payload(const struct packet *p)
{
	size_t head = headers(p);

	return head == 0 ? 0 : p->len - head;
}

struct packet *
packet_piece(const struct packet *p, unsigned int first, unsigned int count)
{
	size_t head = headers(p), ip = ip_header(p), size = p->hdr.gso_size;
	size_t whole = packet_payload(p), off = first * size,
	       len = count * size;
	struct packet *n;
	bool all = first == 0 && count == packet_segments(p);

	if (all) {
		off = 0;
		len = p->len - head;
	} else if (len > whole - off)
		len = whole - off;
	if ((n = malloc(sizeof(*n) + head + len)) == NULL)
		return NULL;
	*n = *p;
	memcpy(n->ip, p->ip, head);
	memcpy(n->ip + head, p->ip + head + off, len);
	if (all)
		return n;
	if (is_v4(n))
		put16(n->ip + 4, get16(n->ip + 4) + first);
	put32(n->ip + ip + 4, get32(n->ip + ip + 4) + (uint32_t)off);
	if (off + len < whole)
		n->ip[ip + 13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (first > 0)
		n->ip[ip + 13] &= (uint8_t)~TCP_CWR;
	set_length(n, head + len);
	if (len <= size) {
		n->hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		n->hdr.gso_size = 0;
	}
	return n;
}

void
packet_truncate(struct packet *p, size_t payload)
{
	size_t head = headers(p);

	if (payload >= p->len - head)
		return;
	p->ip[ip_header(p) + 13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	set_length(p, head + payload);
	if (payload <= p->hdr.gso_size) {
		p->hdr.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		p->hdr.gso_size = 0;
	}
}

void
packet_flip(struct packet *p, uint64_t random, bool through)
{
	size_t start = headers(p), at;
	uint8_t bit = (uint8_t)(1U << (random & 7));

	/* Behind TCP's header, UDP's, or at least IP's. */
	if (start == 0 || start >= p->len)
		start = p->len > ip_header(p) + 8 ? ip_header(p) + 8 : 0;
	at = start + (size_t)(random >> 3) % (p->len - start);
	if (through && !(p->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    headers(p) != 0)
		set_length(p, p->len);
	if (!through && (p->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    (size_t)p->hdr.csum_start + p->hdr.csum_offset + 2 <= p->len) {
		uint8_t *field = p->ip + p->hdr.csum_start + p->hdr.csum_offset;

		/* The field holds the pseudo header's sum already. */
		put16(field,
		    ~sum(0, p->ip + p->hdr.csum_start,
			p->len - p->hdr.csum_start) &
			0xffff);
		p->hdr.flags = 0;
	}
	p->ip[at] ^= bit;
}

struct packet *
packet_reset(const struct packet *p, size_t payload, bool to_sender)
{
	size_t ip = ip_header(p), address = is_v4(p) ? 4 : 16;
	size_t from = is_v4(p) ? 12 : 8;
	uint32_t seq = get32(p->ip + ip + 4) + (uint32_t)payload;
	uint32_t ack = get32(p->ip + ip + 8);
	struct packet *r = malloc(sizeof(*r) + ip + TCP_HEADER);

	if (r == NULL)
		return NULL;
	*r = *p;
	memcpy(r->ip, p->ip, ip + TCP_HEADER);
	if (to_sender) {
		memcpy(r->ip + from, p->ip + from + address, address);
		memcpy(r->ip + from + address, p->ip + from, address);
		memcpy(r->ip + ip, p->ip + ip + 2, 2);
		memcpy(r->ip + ip + 2, p->ip + ip, 2);
	}
	put32(r->ip + ip + 4, to_sender ? ack : seq);
	put32(r->ip + ip + 8, to_sender ? seq : ack);
	r->ip[ip + 12] = TCP_HEADER / 4 << 4;
	r->ip[ip + 13] = TCP_RST | TCP_ACK;
	put16(r->ip + ip + 18, 0);
	memset(&r->hdr, 0, sizeof(r->hdr));
	set_length(r, ip + TCP_HEADER);
	return r;
}
