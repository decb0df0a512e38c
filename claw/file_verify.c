/* SPDX-License-Identifier: ISC */
/*
 * file_verify.c - file:verify-receipt.
 *
 * Three things are looked at: that the receipt is one, that both nodes have
 * signed it with keys that the registry has or had for them, and that the file
 * has the hash that they signed. No node needs to run where a registry is
 * given.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/file.h"
#include "claw/mesh.h"
#include "claw/out.h"
#include "common/b3tree.h"
#include "common/receipt.h"

#define PIECE ((size_t)256 * 1024)

/* Which file it is of, and of whom. */
static int
read_receipt(const struct cmd *c, const char *path, struct receipt_file *f)
{
	const char *why;
	size_t len;
	char *text;
	int status;

	text = mesh_read(c, path, RECEIPT_JSON_MAX, &len, &status);
	if (text == NULL)
		return status;
	if (receipt_json_read(text, len, f, &why) != 0)
		status = out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "%s is no receipt: %s", path, why);
	free(text);
	return status;
}

/* The registry that -f's node has, or the one that is given. */
static struct registry *
registry_of(const struct cmd *c, int *status)
{
	const char *path = cmd_value(c, FLAG_RECEIPT_REGISTRY);
	struct registry *r = NULL;
	struct api_error e;
	struct conf conf;
	struct api api;

	if (path != NULL)
		return mesh_registry_file(c, path,
		    cmd_value(c, FLAG_RECEIPT_GENESIS), status);
	if (cmd_value(c, FLAG_RECEIPT_GENESIS) != NULL) {
		*status = out_error(c, stderr, EX_USAGE, "UsageError",
		    "--genesis goes with --registry EXPORT; a node's own "
		    "registry has its genesis in claw.yaml");
		return NULL;
	}
	*status = api_conf(c, &conf);
	if (*status != EX_OK)
		return NULL;
	if (!api_open(&api, &conf, &e)) {
		*status = api_report(c, &e);
		return NULL;
	}
	r = mesh_registry(c, &api, &conf, status);
	api_close(&api);
	return r;
}

/* Whether the registry has, or had, this key for that node. */
static int
check_signer(const struct cmd *c, const struct registry *r,
    const struct receipt_signer *s)
{
	const struct registry_node *node = registry_node(r, s->name);

	if (node == NULL)
		return out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "the registry has no node %s", s->name);
	if (memcmp(node->identity, s->key, sizeof(s->key)) == 0 ||
	    (node->has_previous &&
		memcmp(node->previous, s->key, sizeof(s->key)) == 0))
		return EX_OK;
	return out_error(c, stderr, EX_DATAERR, "RegistryError",
	    "it is signed for %s by a key that this registry does not have "
	    "for it; if %s has had other keys since, give the registry as it "
	    "was at update %llu with --registry",
	    s->name, s->name, (unsigned long long)s->seq);
}

static int
check_signatures(const struct cmd *c, const struct receipt *r)
{
	struct registry *registry;
	int status;

	registry = registry_of(c, &status);
	if (registry == NULL)
		return status;
	status = check_signer(c, registry, &r->seal.sender);
	if (status == EX_OK)
		status = check_signer(c, registry, &r->receiver);
	if (status == EX_OK &&
	    receipt_verify(r, r->seal.sender.key, r->receiver.key) != 0)
		status = out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "a signature does not hold: the receipt was changed");
	registry_free(registry);
	return status;
}

/* BLAKE3 of a file of a known size; closes it. */
static int
hash_file(const struct cmd *c, const char *path, int fd, uint64_t size,
    uint8_t out[32])
{
	static uint8_t buf[PIECE];
	blake3_hasher h;
	uint64_t left = size;
	ssize_t n = 1;

	blake3_hasher_init(&h);
	while (n > 0) {
		n = read(fd, buf, sizeof(buf));
		if (n > 0 && (uint64_t)n <= left) {
			blake3_hasher_update(&h, buf, (size_t)n);
			left -= (uint64_t)n;
		} else if (n > 0)
			left = size + 1; /* it is longer: not this file */
		if (left > size)
			break;
	}
	if (n == -1) {
		n = errno;
		close(fd);
		return out_error(c, stderr, EX_IOERR, "IoError", "%s: %s", path,
		    strerror((int)n));
	}
	close(fd);
	if (left != 0)
		return out_error(c, stderr, EXIT_NEGATIVE, "MismatchError",
		    "%s is %s than the %llu bytes that were signed for", path,
		    left > size ? "longer" : "shorter",
		    (unsigned long long)size);
	blake3_hasher_finalize(&h, out, 32);
	return EX_OK;
}

/* A folder as it was sent: with its links, or without where it has none. */
static int
check_tree(const struct cmd *c, const char *path, const struct receipt_seal *s)
{
	struct file_tree t = { .links = true };
	struct stat st;
	uint8_t hash[32];
	int fd, tries, status = EX_OK;

	for (tries = 0; tries < 2; tries++) {
		fd = file_tree(c, &path, 1, &t);
		if (fd < 0)
			return -fd;
		if (fstat(fd, &st) == -1 || (uint64_t)st.st_size != s->size)
			close(fd);
		else {
			status = hash_file(c, path, fd, s->size, hash);
			if (status != EX_OK ||
			    memcmp(hash, s->root, sizeof(hash)) == 0)
				return status;
		}
		t = (struct file_tree){ .links = false };
	}
	return out_error(c, stderr, EXIT_NEGATIVE, "MismatchError",
	    "%s is not the folder that was signed for: names, contents, "
	    "times and who may run what all count",
	    path);
}

static int
check_file(const struct cmd *c, const char *path, const struct receipt_file *f)
{
	const struct receipt_seal *s = &f->receipt.seal;
	uint8_t hash[32];
	int fd, status;

	if (f->has_offer && f->offer.tree)
		return check_tree(c, path, s);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return out_error(c, stderr, EX_NOINPUT, "IoError", "%s: %s",
		    path, strerror(errno));
	status = hash_file(c, path, fd, s->size, hash);
	if (status != EX_OK)
		return status;
	if (memcmp(hash, s->root, sizeof(hash)) != 0)
		return out_error(c, stderr, EXIT_NEGATIVE, "MismatchError",
		    "%s is another file than the one that was signed for: "
		    "its BLAKE3 is not the receipt's",
		    path);
	return EX_OK;
}

static void
hex(const uint8_t *bytes, size_t len, char *out)
{
	size_t i;

	for (i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int
print_verified(const struct cmd *c, const struct receipt *r)
{
	char id[33], root[65], sent[MESH_TIME_SIZE], got[MESH_TIME_SIZE];
	const struct receipt_seal *s = &r->seal;

	hex(s->id, sizeof(s->id), id);
	hex(s->root, sizeof(s->root), root);
	mesh_time(s->sender.time_s, sent);
	mesh_time(r->receiver.time_s, got);
	if (c->json)
		return out_json(c,
		    json_pack("{s:b, s:s, s:s, s:s, s:s, s:I, s:s, s:s}",
			"good", 1, "id", id, "sender", s->sender.name,
			"receiver", s->receiver, "blake3", root, "size",
			(json_int_t)s->size, "sealed", sent, "received", got));
	printf("good: %s sent it to %s\n", s->sender.name, s->receiver);
	printf("  transfer  %s\n  blake3    %s\n  size      %llu bytes\n", id,
	    root, (unsigned long long)s->size);
	printf("  sealed    %s by %s, registry at update %llu\n", sent,
	    s->sender.name, (unsigned long long)s->sender.seq);
	printf("  received  %s by %s, registry at update %llu\n", got,
	    s->receiver, (unsigned long long)r->receiver.seq);
	return out_finish(EX_OK);
}

int
file_verify_receipt_run(const struct cmd *c)
{
	struct receipt_file *f = calloc(1, sizeof(*f));
	int status;

	if (f == NULL)
		return out_error(c, stderr, EX_OSERR, "FailedError",
		    "out of memory");
	status = read_receipt(c, c->operands[1], f);
	if (status == EX_OK)
		status = check_signatures(c, &f->receipt);
	if (status == EX_OK)
		status = check_file(c, c->operands[0], f);
	if (status == EX_OK)
		status = print_verified(c, &f->receipt);
	free(f);
	return status;
}
