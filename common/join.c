/* SPDX-License-Identifier: ISC */
/*
 * join.c - JOIN: its body, the bytes that it signs, and their verification.
 *
 * The ticket's key shows that somebody was invited; the identity's, that they
 * hold what they ask to be registered. Both sign both, and the session, so
 * that neither half can be put into somebody else's JOIN.
 */
#include <errno.h>
#include <string.h>

#include "common/ed25519.h"
#include "common/join.h"
#include "common/nodename.h"

static const char label[] = "claw/join/v1"; /* NUL included */

_Static_assert(JOIN_SIGNED_MAX == sizeof(label) + 4 * 32 + JOIN_CLAIMS_MAX,
    "label, session, claims");

/* Name, keys, addresses, in the body as in what is signed. */
static void
put_claims(struct wbuf *w, const struct join *j)
{
	wbuf_bytes(w, j->name, strlen(j->name));
	wbuf_put(w, j->identity, sizeof(j->identity));
	wbuf_put(w, j->sealing, sizeof(j->sealing));
	wbuf_put(w, j->next_hash, sizeof(j->next_hash));
	wbuf_put(w, j->ticket, sizeof(j->ticket));
	netaddr_put(w, &j->at);
}

int
join_put(struct wbuf *w, const struct join *j)
{
	if (!nodename_ok(j->name, strnlen(j->name, sizeof(j->name))))
		return -EINVAL;
	wbuf_u8(w, JOIN_VERSION);
	put_claims(w, j);
	wbuf_put(w, j->ticket_sig, sizeof(j->ticket_sig));
	wbuf_put(w, j->identity_sig, sizeof(j->identity_sig));
	return w->failed ? -ENOSPC : 0;
}

static void
get(struct rbuf *r, uint8_t *out, size_t n)
{
	const uint8_t *p = rbuf_take(r, n);

	if (p != NULL)
		memcpy(out, p, n);
}

int
join_get(const void *data, size_t len, struct join *j)
{
	const uint8_t *name;
	struct rbuf r;
	uint16_t n;
	uint8_t version;
	int ret;

	memset(j, 0, sizeof(*j));
	rbuf_init(&r, data, len);
	version = rbuf_u8(&r);
	if (version > JOIN_VERSION)
		return -EPROTONOSUPPORT;
	name = rbuf_bytes(&r, &n);
	if (version != JOIN_VERSION || name == NULL ||
	    !nodename_ok((const char *)name, n))
		return -EBADMSG;
	memcpy(j->name, name, n);
	get(&r, j->identity, sizeof(j->identity));
	get(&r, j->sealing, sizeof(j->sealing));
	get(&r, j->next_hash, sizeof(j->next_hash));
	get(&r, j->ticket, sizeof(j->ticket));
	ret = netaddr_get(&r, &j->at);
	if (ret == -EBADMSG)
		return ret;
	get(&r, j->ticket_sig, sizeof(j->ticket_sig));
	get(&r, j->identity_sig, sizeof(j->identity_sig));
	return rbuf_done(&r) ? ret : -EBADMSG;
}

ssize_t
join_signed_bytes(const struct join_binding *b, const struct join *j,
    uint8_t *out, size_t size)
{
	struct wbuf w;

	if (!nodename_ok(j->name, strnlen(j->name, sizeof(j->name))))
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_put(&w, label, sizeof(label));
	wbuf_put(&w, b->exporter, sizeof(b->exporter));
	wbuf_put(&w, b->genesis, sizeof(b->genesis));
	wbuf_put(&w, b->client_leaf, sizeof(b->client_leaf));
	wbuf_put(&w, b->server_leaf, sizeof(b->server_leaf));
	put_claims(&w, j);
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

int
join_verify(const struct join *j, const struct join_binding *b,
    const char *name, const uint8_t ticket[32], const char **why)
{
	uint8_t text[JOIN_SIGNED_MAX];
	ssize_t n;

	*why = "the request is for another name than the invite";
	if (strcmp(j->name, name) != 0)
		return -EKEYREJECTED;
	*why = "the request was made with another ticket";
	if (memcmp(j->ticket, ticket, sizeof(j->ticket)) != 0)
		return -EKEYREJECTED;
	/* The inviter has seen the seed: it knows the ticket's key too. */
	*why = "the ticket's key is no key of the node";
	if (memcmp(j->identity, j->ticket, sizeof(j->identity)) == 0)
		return -EKEYREJECTED;
	*why = "the request names no node";
	n = join_signed_bytes(b, j, text, sizeof(text));
	if (n < 0)
		return -EKEYREJECTED;
	*why = "the ticket's signature is not over this request and session";
	if (ed25519_verify(j->ticket, text, (size_t)n, j->ticket_sig) != 0)
		return -EKEYREJECTED;
	*why = "the identity's signature is not over this request and session";
	if (ed25519_verify(j->identity, text, (size_t)n, j->identity_sig) != 0)
		return -EKEYREJECTED;
	*why = NULL;
	return 0;
}
