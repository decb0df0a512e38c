/* SPDX-License-Identifier: ISC */
/*
 * statement.c - the statements that keyd signs.
 *
 * Formats: claw-audit(5) for checkpoints and log keys, claw-registry(5) for
 * the genesis line.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attestd/statement.h"
#include "common/b64.h"
#include "common/capability.h"
#include "common/joinreq.h"
#include "common/note.h"
#include "common/ticket.h"

int
statement_origin(const struct statement_node *node, const char *shard,
    char *out, size_t size)
{
	const uint8_t *g = node->genesis;
	int n;

	n = snprintf(out, size, "%02x%02x%02x%02x%02x%02x%02x%02x/%s/%s", g[0],
	    g[1], g[2], g[3], g[4], g[5], g[6], g[7], node->name, shard);
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

static int
checkpoint_body(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], char *body, size_t *len)
{
	struct note_checkpoint cp = { .size = size };
	ssize_t n;
	int r;

	r = statement_origin(node, shard, cp.origin, sizeof(cp.origin));
	if (r != 0)
		return r;
	memcpy(cp.root, root, sizeof(cp.root));
	n = note_checkpoint_format(&cp, body, NOTE_BODY_MAX);
	*len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? (int)n : 0;
}

int
statement_checkpoint(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], uint8_t sig[KEY_SIGNATURE_LEN])
{
	char body[NOTE_BODY_MAX];
	size_t len;
	int r;

	r = checkpoint_body(node, shard, size, root, body, &len);
	return r != 0 ? r : keystore_sign(KEY_LOG, body, len, sig);
}

bool
statement_checkpoint_ours(const struct statement_node *node, const char *shard,
    uint64_t size, const uint8_t root[32], const uint8_t sig[KEY_SIGNATURE_LEN])
{
	uint8_t pub[KEY_PUBLIC_LEN];
	char body[NOTE_BODY_MAX];
	size_t len;

	return checkpoint_body(node, shard, size, root, body, &len) == 0 &&
	    keystore_public(KEY_LOG, pub) == 0 &&
	    note_ed25519(pub, body, len, sig) == 0;
}

int
statement_log_key(const struct statement_node *node, const char *shard,
    const void *previous, size_t previous_len, uint8_t sig[KEY_SIGNATURE_LEN])
{
	uint8_t pub[KEY_PUBLIC_LEN], hash[32], text[NOTE_ENDORSE_MAX];
	char origin[NOTE_NAME_MAX + 1], vkey[NOTE_VKEY_MAX], prev[48] = "";
	struct note_vkey key;
	ssize_t n;
	int r;

	r = statement_origin(node, shard, origin, sizeof(origin));
	if (r == 0)
		r = keystore_public(KEY_LOG, pub);
	if (r == 0)
		r = note_vkey_make(&key, origin, NOTE_ED25519, pub);
	if (r != 0)
		return r;
	n = note_vkey_format(&key, vkey, sizeof(vkey));
	if (n < 0)
		return (int)n;
	if (previous_len > 0) {
		if (EVP_Digest(previous, previous_len, hash, NULL, EVP_sha256(),
			NULL) != 1 ||
		    b64_encode(hash, sizeof(hash), prev, sizeof(prev)) < 0)
			return -EIO;
	}
	n = note_endorse_statement(node->name, prev, shard, vkey, text,
	    sizeof(text));
	return n < 0 ? (int)n :
		       keystore_sign(KEY_IDENTITY, text, (size_t)n, sig);
}

ssize_t
statement_leaf(const struct statement_node *node, struct evidence *ev,
    uint8_t *out, size_t size)
{
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[KEY_SIGNATURE_LEN];
	struct timespec now;
	ssize_t n;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	ev->not_before = now.tv_sec - EVIDENCE_VALID_MAX / 2;
	ev->not_after = ev->not_before + EVIDENCE_VALID_MAX;
	snprintf(ev->name, sizeof(ev->name), "%s", node->name);
	n = evidence_tbs(ev, tbs, sizeof(tbs));
	if (n < 0)
		return n;
	r = keystore_sign(KEY_IDENTITY, tbs, (size_t)n, sig);
	return r != 0 ? r : evidence_cert(tbs, (size_t)n, sig, out, size);
}

/* By the ticket's key, which lives for this one signature. */
static int
sign_by_ticket(const uint8_t *seed, const uint8_t genesis[32], const void *text,
    size_t len, struct join *j)
{
	size_t sig_len = sizeof(j->ticket_sig);
	uint8_t key[TICKET_KEY_LEN];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *pkey = NULL;
	int r = ticket_key(seed, genesis, key, j->ticket);

	if (r == 0 && text != NULL) {
		pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key,
		    sizeof(key));
		if (ctx == NULL || pkey == NULL ||
		    EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) != 1 ||
		    EVP_DigestSign(ctx, j->ticket_sig, &sig_len, text, len) !=
			1)
			r = -EIO;
	}
	explicit_bzero(key, sizeof(key));
	EVP_PKEY_free(pkey);
	EVP_MD_CTX_free(ctx);
	return r;
}

ssize_t
statement_join(const struct statement_node *node, const struct netaddr_list *at,
    const uint8_t *seed, const struct join_binding *binding, uint8_t *out,
    size_t size)
{
	struct join j = { .name = "" };
	uint8_t text[JOIN_SIGNED_MAX];
	struct wbuf w;
	ssize_t n;
	int r;

	snprintf(j.name, sizeof(j.name), "%s", node->name);
	j.at = *at;
	r = keystore_public(KEY_IDENTITY, j.identity);
	if (r == 0)
		r = keystore_public(KEY_SEALING, j.sealing);
	(void)keystore_next(j.next_hash); /* all zero: none */
	if (r == 0)
		r = sign_by_ticket(seed, node->genesis, NULL, 0, &j);
	if (r != 0)
		return r;
	n = join_signed_bytes(binding, &j, text, sizeof(text));
	if (n < 0)
		return n;
	r = sign_by_ticket(seed, node->genesis, text, (size_t)n, &j);
	if (r == 0)
		r = keystore_sign(KEY_IDENTITY, text, (size_t)n,
		    j.identity_sig);
	if (r != 0)
		return r;
	wbuf_init(&w, out, size);
	r = join_put(&w, &j);
	return r != 0 ? r : (ssize_t)w.len;
}

int
statement_request(const char *node, const struct netaddr_list *at,
    uint8_t sig[KEY_SIGNATURE_LEN])
{
	uint8_t text[JOINREQ_SIGNED_MAX];
	struct joinreq j = { .name = "" };
	ssize_t n;
	int r;

	snprintf(j.name, sizeof(j.name), "%s", node);
	j.at = *at;
	r = keystore_public(KEY_IDENTITY, j.identity);
	if (r == 0)
		r = keystore_public(KEY_SEALING, j.sealing);
	if (r != 0)
		return r;
	(void)keystore_next(j.next);
	n = joinreq_signed_bytes(&j, text, sizeof(text));
	return n < 0 ? (int)n :
		       keystore_sign(KEY_IDENTITY, text, (size_t)n, sig);
}

int
statement_update(const struct registry_update *u,
    struct registry_signature *out)
{
	enum key_id id = u->op == REGISTRY_FRESH ? KEY_FRESH : KEY_AUTHORITY;
	uint8_t text[REGUPDATE_SIGNED_MAX];
	ssize_t n = regupdate_signed_bytes(u, text, sizeof(text));
	int r;

	if (n < 0)
		return (int)n;
	r = keystore_public(id, out->kid);
	return r != 0 ? r : keystore_sign(id, text, (size_t)n, out->sig);
}

/* Keys and commitment of a rotation. */
static int
fill_rotation(const struct statement_node *node, enum key_id identity,
    enum key_id sealing, struct registry_rotation *r)
{
	struct timespec now;
	int e;

	clock_gettime(CLOCK_REALTIME, &now);
	r->v = REGISTRY_VERSION;
	snprintf(r->name, sizeof(r->name), "%s", node->name);
	r->time_s = (uint64_t)now.tv_sec;
	r->has_next = true;
	e = keystore_next(r->next);
	if (e == 0)
		e = keystore_public(identity, r->identity);
	if (e == 0)
		e = keystore_public(sealing, r->sealing);
	return e;
}

/* Signed by the key that it reveals, and by the one before if that is there. */
static ssize_t
sign_rotation(const struct registry_rotation *r, const enum key_id *signer,
    size_t signers, char *line, size_t size)
{
	struct registry_signature sig[2];
	uint8_t text[REGUPDATE_SIGNED_MAX];
	ssize_t n = regupdate_rotation_signed_bytes(r, text, sizeof(text));
	size_t i;
	int e = 0;

	if (n < 0)
		return n;
	for (i = 0; i < signers && e == 0; i++) {
		e = keystore_public(signer[i], sig[i].kid);
		if (e == 0)
			e = keystore_sign(signer[i], text, (size_t)n,
			    sig[i].sig);
	}
	return e != 0 ? e :
			regupdate_rotation_line(r, sig, signers, line, size);
}

ssize_t
statement_rotation(const struct statement_node *node, uint64_t ksn,
    const uint8_t prev[32], char *line, size_t size)
{
	static const enum key_id signer[] = { KEY_REVEALED, KEY_IDENTITY };
	struct registry_rotation r = { .ksn = ksn };
	int e;

	memcpy(r.prev, prev, sizeof(r.prev));
	e = fill_rotation(node, KEY_REVEALED, KEY_NEW_SEALING, &r);
	return e != 0 ? e : sign_rotation(&r, signer, 2, line, size);
}

ssize_t
statement_reveal(const struct statement_node *node, uint64_t ksn,
    const uint8_t prev[32], char *line, size_t size)
{
	static const enum key_id signer[] = { KEY_IDENTITY };
	struct registry_rotation r = { .ksn = ksn };
	int e;

	memcpy(r.prev, prev, sizeof(r.prev));
	e = fill_rotation(node, KEY_IDENTITY, KEY_SEALING, &r);
	return e != 0 ? e : sign_rotation(&r, signer, 1, line, size);
}

ssize_t
statement_token(struct token_claims *claims, uint32_t seconds, char *out,
    size_t size)
{
	uint8_t sig[TOKEN_SIG_LEN];
	char input[TOKEN_MAX];
	struct timespec now;
	ssize_t n;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	claims->iat = (uint64_t)now.tv_sec;
	claims->exp = claims->iat + seconds;
	if (keystore_public(KEY_IDENTITY, claims->iss) != 0 ||
	    RAND_bytes(claims->jti, sizeof(claims->jti)) != 1)
		return -ENOKEY;
	memcpy(claims->sub, claims->iss, sizeof(claims->sub));
	n = token_signing_input(claims, input, sizeof(input));
	if (n < 0)
		return n;
	r = keystore_sign(KEY_IDENTITY, input, (size_t)n, sig);
	return r != 0 ? r : token_compose(input, (size_t)n, sig, out, size);
}

static ssize_t
sign_line(const struct registry_update *u, char *out, size_t size)
{
	struct registry_signature sig;
	int r = statement_update(u, &sig);
	ssize_t n = r != 0 ? r : regupdate_line(u, &sig, 1, out, size);

	if (n >= 0 && (size_t)n + 1 < size)
		out[n++] = '\n';
	else if (n >= 0)
		n = -ENOSPC;
	return n;
}

/* This node as the registry's first. */
static ssize_t
first_node(const struct msg_GENESIS_SIGN *m, const registry_hash genesis,
    char *out, size_t size)
{
	struct registry_update u = { .v = REGISTRY_VERSION,
		.op = REGISTRY_NODE_ADD,
		.seq = 1,
		.time_s = m->time_s };
	struct netaddr_list at;
	size_t i;
	int r;

	if (netaddr_list_parse(&at, m->addresses) != NULL)
		return -EINVAL;
	memcpy(u.prev, genesis, sizeof(u.prev));
	snprintf(u.node.name, sizeof(u.node.name), "%s", m->node);
	u.node.capabilities = capability_all();
	u.node.addresses = (uint32_t)at.n;
	for (i = 0; i < at.n; i++)
		snprintf(u.node.address[i], sizeof(u.node.address[i]), "%s",
		    at.text[i]);
	r = keystore_public(KEY_IDENTITY, u.node.identity);
	if (r == 0)
		r = keystore_public(KEY_SEALING, u.node.sealing);
	u.node.has_next = keystore_next(u.node.next) == 0;
	return r != 0 ? r : sign_line(&u, out, size);
}

int
statement_genesis(const struct msg_GENESIS_SIGN *m, char *lines, size_t size)
{
	struct registry_update u = { .v = REGISTRY_VERSION,
		.op = REGISTRY_GENESIS,
		.time_s = m->time_s,
		.windows = { m->soft_s, m->hard_s },
		.set = { .count = 1, .threshold = 1, .has_fresh = true } };
	registry_hash hash;
	ssize_t n, k;
	int r;

	r = keystore_public(KEY_AUTHORITY, u.set.authority[0]);
	if (r == 0)
		r = keystore_public(KEY_FRESH, u.set.fresh[0]);
	n = r != 0 ? r : sign_line(&u, lines, size);
	if (n < 0)
		return (int)n;
	if (EVP_Digest(lines, (size_t)n - 1, hash, NULL, EVP_sha256(), NULL) !=
	    1)
		return -EIO;
	k = first_node(m, hash, lines + n, size - (size_t)n);
	return (int)(k < 0 ? k : n + k);
}

static int
fill_signer(struct receipt_signer *s)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	s->time_s = (uint64_t)now.tv_sec;
	return keystore_public(KEY_IDENTITY, s->key);
}

ssize_t
statement_seal(const struct statement_node *node, struct receipt_seal *seal,
    uint8_t *out, size_t size)
{
	uint8_t text[RECEIPT_SEAL_MAX];
	ssize_t n;
	int r;

	snprintf(seal->sender.name, sizeof(seal->sender.name), "%s",
	    node->name);
	r = fill_signer(&seal->sender);
	if (r != 0)
		return r;
	n = receipt_seal_signed(seal, text, sizeof(text));
	if (n < 0)
		return n;
	r = keystore_sign(KEY_IDENTITY, text, (size_t)n, seal->sender.sig);
	return r != 0 ? r : receipt_seal_format(seal, out, size);
}

ssize_t
statement_receipt(struct receipt *r, uint8_t *out, size_t size)
{
	uint8_t text[RECEIPT_MAX];
	ssize_t n;
	int e;

	snprintf(r->receiver.name, sizeof(r->receiver.name), "%s",
	    r->seal.receiver);
	e = fill_signer(&r->receiver);
	if (e != 0)
		return e;
	n = receipt_signed(r, text, sizeof(text));
	if (n < 0)
		return n;
	e = keystore_sign(KEY_IDENTITY, text, (size_t)n, r->receiver.sig);
	return e != 0 ? e : receipt_format(r, out, size);
}
