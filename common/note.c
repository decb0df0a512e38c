/* SPDX-License-Identifier: ISC */
/*
 * note.c - C2SP signed notes and checkpoints: parse, verify, compose.
 *
 * Owns nothing and keeps nothing.  Notes come from disk, from an operator's
 * copy and from peers: whatever is not exactly a note stays outside.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "common/ed25519.h"
#include "common/merkle.h"
#include "common/note.h"
#include "common/utf8.h"

#define DASH "\xe2\x80\x94 " /* U+2014 and a space */
#define DASH_LEN 4u
#define COSIG_LEN (8u + NOTE_SIG_LEN)

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static bool
is_space(uint32_t c)
{
	return c <= 0x20 || c == 0x7f || c == 0x85 || c == 0xa0 ||
	    c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
	    c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* A key name: not empty, UTF-8, no white space, no plus sign. */
static bool
name_ok(const char *name, size_t len)
{
	size_t i, k;
	uint32_t cp = 0;

	if (len == 0 || len > NOTE_NAME_MAX)
		return false;
	for (i = 0; i < len; i += k) {
		k = utf8_next((const uint8_t *)name + i, len - i, &cp);
		if (k == 0 || cp == '+' || is_space(cp))
			return false;
	}
	return true;
}

/* id = first four bytes of SHA-256(name || LF || type || key). */
int
note_vkey_make(struct note_vkey *v, const char *name, uint8_t type,
    const uint8_t pub[NOTE_PUB_LEN])
{
	uint8_t in[NOTE_NAME_MAX + 2 + NOTE_PUB_LEN], h[32];
	size_t len = strnlen(name, NOTE_NAME_MAX + 1);

	memset(v, 0, sizeof(*v));
	if (!name_ok(name, len) ||
	    (type != NOTE_ED25519 && type != NOTE_COSIGNATURE))
		return -EINVAL;
	memcpy(v->name, name, len);
	memcpy(v->pub, pub, NOTE_PUB_LEN);
	v->type = type;
	memcpy(in, name, len);
	in[len] = '\n';
	in[len + 1] = type;
	memcpy(in + len + 2, pub, NOTE_PUB_LEN);
	merkle_sha256(in, len + 2 + NOTE_PUB_LEN, h);
	v->id = be32(h);
	return 0;
}

static bool
hex32(const char *s, uint32_t *out)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 8; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = v << 4 | (uint32_t)(s[i] - '0');
		else if (s[i] >= 'a' && s[i] <= 'f')
			v = v << 4 | (uint32_t)(s[i] - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

int
note_vkey_parse(const char *s, size_t len, struct note_vkey *v)
{
	uint8_t key[1 + NOTE_PUB_LEN];
	char name[NOTE_NAME_MAX + 1];
	const char *plus;
	size_t nlen;
	ssize_t n;
	uint32_t id;

	memset(v, 0, sizeof(*v));
	if ((plus = memchr(s, '+', len)) == NULL)
		return -EINVAL;
	nlen = (size_t)(plus - s);
	if (!name_ok(s, nlen) || len - nlen < 11 || s[nlen + 9] != '+' ||
	    !hex32(s + nlen + 1, &id))
		return -EINVAL;
	memcpy(name, s, nlen);
	name[nlen] = '\0';
	s += nlen + 10;
	len -= nlen + 10;
	n = b64_decode(s, len, key, sizeof(key));
	if (n == -ENOSPC && b64_decode(s, len, NULL, 0) > 0)
		return -ENOTSUP;
	if (n <= 0)
		return -EINVAL;
	if (key[0] != NOTE_ED25519 && key[0] != NOTE_COSIGNATURE)
		return -ENOTSUP;
	if (n != sizeof(key) || note_vkey_make(v, name, key[0], key + 1) != 0 ||
	    v->id != id) {
		memset(v, 0, sizeof(*v));
		return -EINVAL;
	}
	return 0;
}

ssize_t
note_vkey_format(const struct note_vkey *v, char *buf, size_t size)
{
	uint8_t key[1 + NOTE_PUB_LEN];
	char b64[B64_LEN(sizeof(key)) + 1];
	int n;

	key[0] = v->type;
	memcpy(key + 1, v->pub, NOTE_PUB_LEN);
	b64_encode(key, sizeof(key), b64, sizeof(b64));
	n = snprintf(buf, size, "%s+%08" PRIx32 "+%s", v->name, v->id, b64);
	return n < 0 || (size_t)n >= size ? -ENOSPC : (ssize_t)n;
}

/* UTF-8 throughout and no control character but the newline. */
static bool
text_ok(const char *s, size_t len)
{
	size_t i, k;
	uint32_t cp = 0;

	for (i = 0; i < len; i += k) {
		k = utf8_next((const uint8_t *)s + i, len - i, &cp);
		if (k == 0 || (cp < 0x20 && cp != '\n'))
			return false;
	}
	return true;
}

/* One signature line without its newline. */
static int
sig_parse(const char *s, size_t len, struct note_sig *sig)
{
	uint8_t id[6];
	const char *sp;

	if (len < DASH_LEN || memcmp(s, DASH, DASH_LEN) != 0)
		return -EBADMSG;
	s += DASH_LEN;
	len -= DASH_LEN;
	if ((sp = memchr(s, ' ', len)) == NULL)
		return -EBADMSG;
	sig->name = s;
	sig->name_len = (size_t)(sp - s);
	sig->b64 = sp + 1;
	sig->b64_len = len - sig->name_len - 1;
	if (!name_ok(sig->name, sig->name_len) ||
	    b64_decode(sig->b64, sig->b64_len, NULL, 0) < 5)
		return -EBADMSG;
	/* Eight digits are six whole bytes; with five there is padding. */
	if (b64_decode(sig->b64, 8, id, sizeof(id)) < 5)
		return -EBADMSG;
	sig->id = be32(id);
	return 0;
}

int
note_parse(const char *buf, size_t len, struct note *n)
{
	const char *p, *nl, *end = buf + len;
	size_t i;
	int ret;

	memset(n, 0, sizeof(*n));
	if (len > NOTE_MAX)
		return -EMSGSIZE;
	if (len < 2 || buf[len - 1] != '\n' || !text_ok(buf, len))
		return -EBADMSG;
	/* The last empty line ends the text; it may hold others. */
	for (i = len - 1; i > 0; i--)
		if (buf[i] == '\n' && buf[i - 1] == '\n')
			break;
	if (i == 0 || i == len - 1)
		return -EBADMSG;
	n->text = buf;
	n->text_len = i;
	for (p = buf + i + 1; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			return -EBADMSG;
		if (n->nsigs == NOTE_SIGS_MAX)
			return -EMSGSIZE;
		ret = sig_parse(p, (size_t)(nl - p), &n->sig[n->nsigs]);
		if (ret != 0)
			return ret;
		n->nsigs++;
	}
	return 0;
}

/* By the one rule there is: common/ed25519.h. */
int
note_ed25519(const uint8_t pub[NOTE_PUB_LEN], const void *msg, size_t len,
    const uint8_t sig[NOTE_SIG_LEN])
{
	return ed25519_verify(pub, msg, len, sig);
}

/* "cosignature/v1" LF "time <t>" LF body (tlog-cosignature section 2). */
static int
cosig_verify(const struct note *n, const struct note_vkey *v,
    const uint8_t sig[COSIG_LEN], uint64_t *time)
{
	char msg[64 + NOTE_BODY_MAX];
	uint64_t t = 0;
	size_t i;
	int head;

	for (i = 0; i < 8; i++)
		t = t << 8 | sig[i];
	/* A cosigned text is a checkpoint; ours have three lines. */
	if (t > INT64_MAX || n->text_len > NOTE_BODY_MAX)
		return -EKEYREJECTED;
	head =
	    snprintf(msg, sizeof(msg), "cosignature/v1\ntime %" PRIu64 "\n", t);
	if (head < 0 || (size_t)head > sizeof(msg) - n->text_len)
		return -EKEYREJECTED;
	memcpy(msg + head, n->text, n->text_len);
	*time = t;
	return note_ed25519(v->pub, msg, (size_t)head + n->text_len, sig + 8);
}

static int
sig_verify(const struct note *n, const struct note_sig *s,
    const struct note_vkey *v, uint64_t *time)
{
	uint8_t raw[4 + COSIG_LEN];
	ssize_t len;

	*time = 0;
	len = b64_decode(s->b64, s->b64_len, raw, sizeof(raw));
	if (v->type == NOTE_ED25519 && len == 4 + (ssize_t)NOTE_SIG_LEN)
		return note_ed25519(v->pub, n->text, n->text_len, raw + 4);
	if (v->type == NOTE_COSIGNATURE && len == 4 + (ssize_t)COSIG_LEN)
		return cosig_verify(n, v, raw + 4, time);
	return -EKEYREJECTED;
}

static bool
same_key(const struct note_sig *s, const struct note_vkey *v)
{
	return s->id == v->id && s->name_len == strlen(v->name) &&
	    memcmp(s->name, v->name, s->name_len) == 0;
}

int
note_verify(const struct note *n, const struct note_vkey *keys, size_t nkeys,
    uint64_t *who, uint64_t *times)
{
	uint64_t seen = 0, time;
	bool authentic = false;
	size_t i, k;
	int ret;

	if (who != NULL)
		*who = 0;
	if (nkeys > 64)
		return -EINVAL;
	for (i = 0; i < nkeys; i++)
		for (k = 0; k < i; k++)
			if (keys[i].id == keys[k].id &&
			    strcmp(keys[i].name, keys[k].name) == 0)
				return -EINVAL;
	for (i = 0; i < n->nsigs; i++) {
		for (k = 0; k < nkeys; k++)
			if (same_key(&n->sig[i], &keys[k]))
				break;
		if (k == nkeys || (seen >> k & 1) != 0)
			continue;
		ret = sig_verify(n, &n->sig[i], &keys[k], &time);
		if (ret != 0)
			return ret;
		seen |= UINT64_C(1) << k;
		if (times != NULL)
			times[k] = time;
		if (keys[k].type == NOTE_ED25519)
			authentic = true;
	}
	if (who != NULL)
		*who = seen;
	return authentic ? 0 : -ENOKEY;
}

ssize_t
note_compose(const char *body, size_t len, const struct note_vkey *v,
    const uint8_t sig[NOTE_SIG_LEN], char *buf, size_t size)
{
	uint8_t raw[4 + NOTE_SIG_LEN];
	char b64[B64_LEN(sizeof(raw)) + 1];
	int n;

	if (len == 0 || len > NOTE_MAX || body[len - 1] != '\n' ||
	    !text_ok(body, len))
		return -EINVAL;
	raw[0] = (uint8_t)(v->id >> 24);
	raw[1] = (uint8_t)(v->id >> 16);
	raw[2] = (uint8_t)(v->id >> 8);
	raw[3] = (uint8_t)v->id;
	memcpy(raw + 4, sig, NOTE_SIG_LEN);
	b64_encode(raw, sizeof(raw), b64, sizeof(b64));
	n = snprintf(buf, size, "%.*s\n" DASH "%s %s\n", (int)len, body,
	    v->name, b64);
	return n < 0 || (size_t)n >= size ? -ENOSPC : (ssize_t)n;
}

ssize_t
note_checkpoint_format(const struct note_checkpoint *c, char *buf, size_t size)
{
	char root[B64_LEN(32) + 1];
	int n;

	if (!name_ok(c->origin, strnlen(c->origin, sizeof(c->origin))) ||
	    c->size > INT64_MAX)
		return -EINVAL;
	b64_encode(c->root, sizeof(c->root), root, sizeof(root));
	n = snprintf(buf, size, "%s\n%" PRIu64 "\n%s\n", c->origin, c->size,
	    root);
	return n < 0 || (size_t)n >= size ? -ENOSPC : (ssize_t)n;
}

/* Decimal without leading zeros, at most 2^63-1. */
static bool
decimal(const char *s, size_t len, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (len == 0 || len > 19 || (s[0] == '0' && len > 1))
		return false;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*out = v;
	return v <= INT64_MAX;
}

int
note_checkpoint_parse(const char *s, size_t len, struct note_checkpoint *c)
{
	const char *line[3], *nl;
	size_t llen[3], i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < 3; i++) {
		if (len == 0 || (nl = memchr(s, '\n', len)) == NULL)
			return -EBADMSG;
		line[i] = s;
		llen[i] = (size_t)(nl - s);
		s += llen[i] + 1;
		len -= llen[i] + 1;
	}
	if (len != 0 || !name_ok(line[0], llen[0]) ||
	    !decimal(line[1], llen[1], &c->size) ||
	    b64_decode(line[2], llen[2], c->root, sizeof(c->root)) !=
		sizeof(c->root))
		return -EBADMSG;
	memcpy(c->origin, line[0], llen[0]);
	c->origin[llen[0]] = '\0';
	return 0;
}

/* Characters that canonical JSON shows as they are. */
static bool
plain(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s < 0x20 || *s > 0x7e || *s == '"' || *s == '\\')
			return false;
	return true;
}

ssize_t
note_endorse_statement(const char *node, const char *prev, const char *shard,
    const char *vkey, uint8_t *buf, size_t size)
{
	static const char prefix[] = "claw/log-key/v1"; /* NUL included */
	int n;

	if (!plain(node) || !plain(prev) || !plain(shard) || !plain(vkey))
		return -EINVAL;
	if (size <= sizeof(prefix))
		return -ENOSPC;
	memcpy(buf, prefix, sizeof(prefix));
	n = snprintf((char *)buf + sizeof(prefix), size - sizeof(prefix),
	    "{\"node\":\"%s\",\"prev\":\"%s\",\"shard\":\"%s\","
	    "\"vkey\":\"%s\"}",
	    node, prev, shard, vkey);
	if (n < 0 || (size_t)n >= size - sizeof(prefix))
		return -ENOSPC;
	return (ssize_t)sizeof(prefix) + n;
}
