/* SPDX-License-Identifier: ISC */
/*
 * packet.h - IP packets as a TUN device with a virtio header hands them over.
 *
 * The kernel gives up to 64 KiB of one TCP connection at a time, and says into
 * which segments it is to be cut. A packet here is such a train of segments;
 * what is not TCP is a train of one.
 */
#ifndef TESTS_LINK_PACKET_H
#define TESTS_LINK_PACKET_H

#include <linux/virtio_net.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 65600 /* bytes of IP in one train */

struct packet {
	size_t len; /* bytes of IP */
	struct virtio_net_hdr hdr;
	uint8_t ip[];
};

/* A packet of so many bytes from a read(2) of header and IP, or NULL. */
struct packet *packet_new(const void *read, size_t len);

/* Whether it goes to many: what a device says by itself, mostly. */
bool packet_multicast(const struct packet *);

unsigned int packet_segments(const struct packet *);

/* What the segments weigh on a wire: each has the headers. */
size_t packet_wire_bytes(const struct packet *);

/* A new packet of some segments of a train, with what follows from that. */
struct packet *
packet_piece(const struct packet *, unsigned int first, unsigned int count);

/* Bytes of TCP's payload; 0 also for what is not TCP. */
size_t packet_payload(const struct packet *);

/* Keep so many bytes of TCP's payload. */
void packet_truncate(struct packet *, size_t payload);

/* Flip one bit, chosen by random; checksums are right afterwards if through.
 */
void packet_flip(struct packet *, uint64_t random, bool through);

/*
 * The RST that a receiver of this TCP packet's first bytes of payload, or its
 * sender, believes.
 */
struct packet *
packet_reset(const struct packet *, size_t payload, bool to_sender);

#endif
