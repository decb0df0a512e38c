/* SPDX-License-Identifier: ISC */
/*
 * auditkit.c - shards with keys of their own for the tests of the audit log.
 */
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auditkit.h"
#include "common/b64.h"
#include "common/merkle.h"

#define GENESIS "0123456789abcdef"

static void
need(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "auditkit: %s: %s\n", what, strerror(errno));
		abort();
	}
}

void
kit_key(struct kit_key *k, uint8_t seed)
{
	uint8_t raw[32];
	size_t len = 32;

	memset(raw, seed, sizeof(raw));
	k->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, 32);
	need(k->pkey != NULL, "key");
	need(EVP_PKEY_get_raw_public_key(k->pkey, k->pub, &len) == 1, "key");
}

void
kit_key_free(struct kit_key *k)
{
	EVP_PKEY_free(k->pkey);
	k->pkey = NULL;
}

void
kit_sign(const struct kit_key *k, const void *msg, size_t len, uint8_t sig[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = 64;

	need(EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1, "sign");
	need(EVP_DigestSign(ctx, sig, &n, msg, len) == 1, "sign");
	EVP_MD_CTX_free(ctx);
}

void
kit_tmpdir(char *buf, size_t size)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(buf, size, "%s/claw-audit-XXXXXX", base);
	need(mkdtemp(buf) != NULL, buf);
}

static int
rm(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
kit_rmtree(const char *path)
{
	nftw(path, rm, 16, FTW_DEPTH | FTW_PHYS);
}

void
kit_read_file(const char *path, char **data, size_t *len)
{
	struct stat st;
	FILE *f = fopen(path, "r");

	need(f != NULL && fstat(fileno(f), &st) == 0, path);
	*len = (size_t)st.st_size;
	*data = malloc(*len + 1);
	need(fread(*data, 1, *len, f) == *len, path);
	(*data)[*len] = '\0';
	fclose(f);
}

void
kit_write_file(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "w");

	need(f != NULL && fwrite(data, 1, len, f) == len, path);
	need(fclose(f) == 0, path);
}

void
kit_node(struct kit_node *n)
{
	char b64[64];

	memset(n, 0, sizeof(*n));
	kit_tmpdir(n->dir, sizeof(n->dir));
	n->fd = open(n->dir, O_RDONLY | O_DIRECTORY);
	need(n->fd != -1, n->dir);
	kit_key(&n->identity, 0x11);
	b64url_encode(n->identity.pub, 32, b64, sizeof(b64));
	snprintf(n->identity_text, sizeof(n->identity_text), "ed25519:%s", b64);
}

void
kit_node_free(struct kit_node *n)
{
	close(n->fd);
	kit_key_free(&n->identity);
	kit_key_free(&n->log);
	kit_rmtree(n->dir);
}

/* Line 0: what a shard says of its key, and the identity's word for it. */
static void
first_line(struct kit_node *n, struct shard *s, const char *name)
{
	struct line_env env = { .boot = KIT_BOOT, .ts_ms = KIT_TS };
	uint8_t msg[NOTE_ENDORSE_MAX], sig[64], h[32];
	char prev[B64_LEN(32) + 1] = "";
	struct line_attr a[5];
	ssize_t len;

	if (n->note_len != 0) {
		merkle_sha256(n->note, n->note_len, h);
		b64_encode(h, sizeof(h), prev, sizeof(prev));
	}
	len = note_endorse_statement("agent-1", prev, name, n->vkey_text, msg,
	    sizeof(msg));
	need(len > 0, "endorsement");
	kit_sign(&n->identity, msg, (size_t)len, sig);
	a[0] = (struct line_attr){ "endorsement", LINE_B64, 0, sig, 64 };
	a[1] = (struct line_attr){ "event", LINE_TEXT, 0, "shard.open", 10 };
	a[2] = (struct line_attr){ "prev_checkpoint", LINE_TEXT, 0, n->note,
		n->note_len };
	a[3] = (struct line_attr){ "shard", LINE_TEXT, 0, name, strlen(name) };
	a[4] = (struct line_attr){ "vkey", LINE_TEXT, 0, n->vkey_text,
		strlen(n->vkey_text) };
	need(shard_append(s, a, 5, NULL, 0, &env, NULL) == 0, "first line");
	need(shard_commit(s) == 0, "commit");
}

struct shard *
kit_open(struct kit_node *n, const char *name, struct shard_report *rep)
{
	struct shard_opts o = { .create = true };
	struct shard_report local;
	struct shard *s;
	char origin[256];
	uint8_t seed = 7;
	size_t i;
	int ret;

	if (rep == NULL)
		rep = &local;
	for (i = 0; name[i] != '\0'; i++)
		seed = (uint8_t)(seed * 31 + name[i]);
	kit_key_free(&n->log);
	kit_key(&n->log, seed);
	snprintf(origin, sizeof(origin), GENESIS "/agent-1/%s", name);
	need(note_vkey_make(&n->vkey, origin, NOTE_ED25519, n->log.pub) == 0,
	    "vkey");
	note_vkey_format(&n->vkey, n->vkey_text, sizeof(n->vkey_text));
	ret = shard_open(n->fd, name, &o, rep, &s);
	if (ret != 0)
		return NULL;
	if (rep->damage == SHARD_SOUND && shard_size(s) == 0)
		first_line(n, s, name);
	if (rep == &local)
		shard_report_free(rep);
	return s;
}

void
kit_append(struct shard *s, uint64_t i)
{
	static const char text[] = "caf\xc3\xa9 \"quoted\" back\\slash\x1b[2J "
				   "not utf-8: \xff";
	struct line_env env = { .boot = KIT_BOOT };
	uint8_t raw[32];
	struct line_attr a[6];
	struct line_sig sig = { "did:key:z6MkTest", "origin", raw, 32 };

	memset(raw, (int)(i & 0xff), sizeof(raw));
	env.mono_ms = i * 3;
	env.ts_ms = KIT_TS + (int64_t)i;
	a[0] = (struct line_attr){ "digest", LINE_HEX, 0, raw, 32 };
	a[1] = (struct line_attr){ "event", LINE_TEXT, 0, "session.open", 12 };
	a[2] = (struct line_attr){ "peer", LINE_TEXT, 0, "agent-tokyo-07", 14 };
	a[3] = (struct line_attr){ "reason", LINE_TEXT, 0, text,
		i % 3 == 0 ? sizeof(text) - 1 : 4 };
	a[4] = (struct line_attr){ "size", LINE_U64, i * 1000, NULL, 0 };
	a[5] = (struct line_attr){ "token", LINE_B64, 0, raw, 16 };
	need(shard_append(s, a, 6, &sig, i % 5 == 0, &env, NULL) == 0,
	    "append");
}

void
kit_append_short(struct shard *s, uint64_t i)
{
	struct line_env env = { .boot = KIT_BOOT,
		.mono_ms = i,
		.ts_ms = KIT_TS + (int64_t)i };
	struct line_attr a = { "event", LINE_TEXT, 0, "beat", 4 };

	need(shard_append(s, &a, 1, NULL, 0, &env, NULL) == 0, "append");
}

void
kit_fill(struct shard *s, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		kit_append(s, i);
		if (i % 1000 == 999)
			need(shard_commit(s) == 0, "commit");
	}
	need(shard_commit(s) == 0, "commit");
}

void
kit_note(struct kit_node *n, const struct shard *s, uint64_t size)
{
	struct note_checkpoint c;
	char body[NOTE_BODY_MAX], root[64];
	uint8_t sig[64];
	ssize_t len;

	memcpy(c.origin, n->vkey.name, sizeof(c.origin));
	c.size = size;
	need(shard_root(s, size, c.root) == 0, "root");
	len = note_checkpoint_format(&c, body, sizeof(body));
	need(len > 0, "checkpoint");
	kit_sign(&n->log, body, (size_t)len, sig);
	len = note_compose(body, (size_t)len, &n->vkey, sig, n->note,
	    sizeof(n->note));
	need(len > 0, "note");
	n->note_len = (size_t)len;
	b64_encode(c.root, 32, root, sizeof(root));
	snprintf(n->expect, sizeof(n->expect), "%" PRIu64 ":%s", size, root);
}

int
kit_checkpoint(struct kit_node *n, struct shard *s)
{
	kit_note(n, s, shard_size(s));
	return shard_publish(s, n->note, n->note_len);
}
