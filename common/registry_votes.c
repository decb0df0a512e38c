/* SPDX-License-Identifier: ISC */
/*
 * registry_votes.c - who signed an update or a rotation, and is it enough?
 *
 * This needs no state but the authorities, and parses nothing: keyd, which
 * holds no registry, judges by it as the engine does.
 */
#include <openssl/evp.h>

#include <errno.h>
#include <string.h>

#include "common/registry_int.h"

int
registry_genesis_hash(const char *line, size_t len, registry_hash out)
{
	return EVP_Digest(line, len, out, NULL, EVP_sha256(), NULL) == 1 ? 0 :
									   -EIO;
}

/* The bit of a key in a list of them; 0: it is not there. */
static uint32_t
bit_of(const registry_key *keys, uint32_t n, const registry_key key)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (memcmp(keys[i], key, REGISTRY_KEY_LEN) == 0)
			return UINT32_C(1) << i;
	return 0;
}

const char *
reg_votes(const struct reg_parsed *p, const struct registry_set *set,
    const struct registry_set *other, struct reg_votes *v)
{
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len = regupdate_signed_bytes(&p->u, msg, sizeof(msg));
	const uint8_t *kid;
	bool first, second, fresh;
	size_t i;

	memset(v, 0, sizeof(*v));
	v->need = set->threshold;
	v->need_new = other == NULL ? 0 : other->threshold;
	if (len < 0)
		return "not an update";
	/* A line has its signers in order, so that nobody is there twice. */
	for (i = 0; i < p->n; i++) {
		kid = p->sig[i].kid;
		first = bit_of(set->authority, set->count, kid) != 0;
		second = other != NULL &&
		    bit_of(other->authority, other->count, kid) != 0;
		fresh = p->u.op == REGISTRY_FRESH && set->has_fresh &&
		    bit_of(set->fresh, set->count, kid) != 0;
		if (!first && !second && !fresh)
			return "signed by a key that may not sign it";
		if (regupdate_verify(&p->sig[i], msg, (size_t)len) != 0)
			return "a signature that is wrong";
		v->have += first;
		v->have_new += second;
		v->fresh = v->fresh || fresh;
	}
	return NULL;
}

bool
reg_enough(const struct registry_update *u, const struct reg_votes *v)
{
	if (u->op == REGISTRY_FRESH && v->fresh)
		return true;
	return v->have >= v->need && v->have_new >= v->need_new;
}

uint32_t
reg_members(const struct reg_parsed *p, const struct registry_set *set)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < p->n; i++)
		n += bit_of(set->authority, set->count, p->sig[i].kid) != 0;
	return n;
}

/* Signed by the key revealed, and by the old one if it signed at all. */
const char *
reg_turn_signers(const struct reg_turn_parsed *p, const registry_key old)
{
	uint8_t msg[REGUPDATE_SIGNED_MAX];
	ssize_t len;
	size_t i;

	if (p->n == 0 ||
	    memcmp(p->sig[0].kid, p->r.identity, REGISTRY_KEY_LEN) != 0)
		return "not signed by the key that it reveals";
	if (p->n == 2 && memcmp(p->sig[1].kid, old, REGISTRY_KEY_LEN) != 0)
		return "signed by a key that is not the old one";
	len = regupdate_rotation_signed_bytes(&p->r, msg, sizeof(msg));
	for (i = 0; i < p->n && len > 0; i++)
		if (regupdate_verify(&p->sig[i], msg, (size_t)len) != 0)
			return "a signature that is wrong";
	return len > 0 ? NULL : "not a rotation";
}

bool
reg_committed(const registry_key key, const registry_hash next)
{
	registry_hash hash;

	return regupdate_next_hash(key, hash) == 0 &&
	    memcmp(hash, next, sizeof(hash)) == 0;
}
