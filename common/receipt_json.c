/* SPDX-License-Identifier: ISC */
/*
 * receipt_json.c - a receipt as a file: JSON, claw-receipt(5).
 *
 * It has every field that is signed and nothing twice: who reads it puts the
 * signed bytes together again. Anybody's text may enter.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/b64.h"
#include "common/receipt.h"
#include "common/sftname.h"

#define TYPE "claw-receipt"
#define VERSION 1
#define KEY_PREFIX "ed25519:"
#define HEAD_PREFIX "sha256:"
#define HEX_MAX 32 /* bytes */

/* Whether the offer, if there is one, is what was sealed. */
static bool
offer_fits(const struct receipt_file *f)
{
	const struct receipt_seal *s = &f->receipt.seal;
	uint8_t digest[32];

	if (!f->has_offer)
		return true;
	if (!sft_size_ok(f->offer.size, f->offer.chunk_log2) ||
	    f->offer.size != s->size || f->offer.mtime_ns > INT64_MAX ||
	    sftname_check(f->offer.name, f->offer.name_len) != SFTNAME_OK)
		return false;
	sft_offer_digest(&f->offer, s->sender.name, s->receiver, digest);
	return memcmp(digest, s->offer, sizeof(digest)) == 0;
}

/* --- writing ------------------------------------------------------------ */

static json_t *
put_hex(const char *prefix, const uint8_t *bytes, size_t n)
{
	char text[2 * HEX_MAX + 1];
	size_t i;

	for (i = 0; i < n && i < HEX_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return json_sprintf("%s%s", prefix, text);
}

static json_t *
put_b64(const char *prefix, const uint8_t *bytes, size_t n)
{
	char text[B64URL_LEN(64) + 1];

	if (b64url_encode(bytes, n, text, sizeof(text)) < 0)
		return NULL;
	return json_sprintf("%s%s", prefix, text);
}

static json_t *
put_signer(const struct receipt_signer *s)
{
	return json_pack("{s:s, s:o, s:{s:I, s:o}, s:I, s:o}", "node", s->name,
	    "key", put_b64(KEY_PREFIX, s->key, sizeof(s->key)), "registry",
	    "seq", (json_int_t)s->seq, "head",
	    put_hex(HEAD_PREFIX, s->head, sizeof(s->head)), "time",
	    (json_int_t)s->time_s, "sig", put_b64("", s->sig, sizeof(s->sig)));
}

static json_t *
put_offer(const struct receipt_file *f)
{
	const struct sft_offer *o = &f->offer;
	json_t *digest = put_hex("", f->receipt.seal.offer, 32);
	char mode[8], mtime[24];

	json_t *offer;

	if (!f->has_offer)
		return json_pack("{s:o}", "sha256", digest);
	snprintf(mode, sizeof(mode), "%04o", o->mode & 0777u);
	snprintf(mtime, sizeof(mtime), "%" PRIu64, o->mtime_ns);
	offer = json_pack("{s:o, s:s%, s:s, s:s, s:i, s:b}", "sha256", digest,
	    "name", (const char *)o->name, (size_t)o->name_len, "mtime_ns",
	    mtime, "mode", mode, "chunk_log2", (int)o->chunk_log2, "replace",
	    (int)o->replace);
	if (offer != NULL && o->tree &&
	    json_object_set_new(offer, "tree", json_true()) != 0) {
		json_decref(offer);
		return NULL;
	}
	return offer;
}

ssize_t
receipt_json_write(const struct receipt_file *f, char *out, size_t size)
{
	const struct receipt_seal *s = &f->receipt.seal;
	uint8_t bytes[RECEIPT_MAX];
	ssize_t ret = -ENOMEM;
	json_t *root;
	size_t n;

	if (receipt_format(&f->receipt, bytes, sizeof(bytes)) < 0 ||
	    !offer_fits(f))
		return -EINVAL;
	root = json_pack("{s:s, s:i, s:o, s:{s:o, s:I}, s:o, s:o, s:o}", "type",
	    TYPE, "version", VERSION, "transfer",
	    put_hex("", s->id, sizeof(s->id)), "file", "blake3",
	    put_hex("", s->root, sizeof(s->root)), "size", (json_int_t)s->size,
	    "offer", put_offer(f), "sender", put_signer(&s->sender), "receiver",
	    put_signer(&f->receipt.receiver));
	/* It says what it needs, more than there is perhaps; 0: no memory. */
	n = json_dumpb(root, out, size, JSON_INDENT(2));
	if (n > 0)
		ret = -ENOSPC;
	if (n > 0 && n + 2 <= size) {
		out[n] = '\n';
		out[n + 1] = '\0';
		ret = (ssize_t)n + 1;
	}
	json_decref(root);
	return ret;
}

/* --- reading ------------------------------------------------------------ */

static int
nibble(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = memchr(digits, c, sizeof(digits) - 1);

	return at == NULL ? -1 : (int)(at - digits);
}

/* What follows the prefix, or NULL. */
static const char *
behind(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool
get_hex(const char *text, const char *prefix, uint8_t *out, size_t n)
{
	int high, low;
	size_t i;

	text = behind(text, prefix);
	if (text == NULL || strlen(text) != 2 * n)
		return false;
	for (i = 0; i < n; i++) {
		high = nibble(text[2 * i]);
		low = nibble(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool
get_b64(const char *text, const char *prefix, uint8_t *out, size_t n)
{
	text = behind(text, prefix);
	return text != NULL &&
	    b64url_decode(text, strlen(text), out, n) == (ssize_t)n;
}

/* Not negative; what else it must be, receipt_format() knows. */
static bool
get_u64(json_int_t v, uint64_t *out)
{
	*out = (uint64_t)v;
	return v >= 0;
}

static bool
get_name(const char *text, char out[NODENAME_MAX + 1])
{
	size_t n = strlen(text);

	if (n > NODENAME_MAX)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

/* The one way to write a number in decimal. */
static bool
get_decimal(const char *text, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 19; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	*out = v;
	return i > 0 && text[i] == '\0' && (text[0] != '0' || i == 1) &&
	    v <= INT64_MAX;
}

/* Four octal digits, of which the first is 0. */
static bool
get_mode(const char *text, uint16_t *out)
{
	size_t i;

	*out = 0;
	for (i = 0; i < 4; i++) {
		if (text[i] < '0' || text[i] > (i == 0 ? '0' : '7'))
			return false;
		*out = (uint16_t)(*out << 3 | (text[i] - '0'));
	}
	return text[4] == '\0';
}

static const char *
get_signer(json_t *j, struct receipt_signer *s)
{
	const char *head, *key, *node, *sig;
	json_int_t seq, time_s;

	if (json_unpack_ex(j, NULL, JSON_STRICT,
		"{s:s, s:s, s:{s:I, s:s}, s:I,"
		" s:s}",
		"node", &node, "key", &key, "registry", "seq", &seq, "head",
		&head, "time", &time_s, "sig", &sig) != 0)
		return "who signed has not exactly the fields that it must "
		       "have, of their types";
	if (!get_name(node, s->name) ||
	    !get_b64(key, KEY_PREFIX, s->key, sizeof(s->key)) ||
	    !get_u64(seq, &s->seq) ||
	    !get_hex(head, HEAD_PREFIX, s->head, sizeof(s->head)) ||
	    !get_u64(time_s, &s->time_s) ||
	    !get_b64(sig, "", s->sig, sizeof(s->sig)))
		return "of who signed, a name, key, number or signature is "
		       "none";
	return NULL;
}

static const char *
get_offer(json_t *j, struct receipt_file *f)
{
	struct sft_offer *o = &f->offer;
	const char *digest, *mode, *mtime, *name;
	int chunk_log2, replace, tree = -1;
	size_t n;

	if (json_unpack_ex(j, NULL, JSON_STRICT, "{s:s}", "sha256", &digest) ==
	    0)
		return get_hex(digest, "", f->receipt.seal.offer, 32) ?
		    NULL :
		    "the offer's digest is none";
	if (json_unpack_ex(j, NULL, JSON_STRICT,
		"{s:s, s:s%, s:s, s:s, s:i, s:b, s?b}", "sha256", &digest,
		"name", &name, &n, "mtime_ns", &mtime, "mode", &mode,
		"chunk_log2", &chunk_log2, "replace", &replace, "tree",
		&tree) != 0 ||
	    tree == 0) /* it is there only where it is true */
		return "the offer has not exactly the fields that it must "
		       "have, of their types";
	if (!get_hex(digest, "", f->receipt.seal.offer, 32) ||
	    n > SFT_NAME_MAX || !get_decimal(mtime, &o->mtime_ns) ||
	    !get_mode(mode, &o->mode) || chunk_log2 < 0 ||
	    chunk_log2 > SFT_CHUNK_LOG2_MAX)
		return "of the offer, a digest, name, time, mode or size is "
		       "none";
	memcpy(o->name, name, n);
	o->name_len = (uint16_t)n;
	o->chunk_log2 = (uint8_t)chunk_log2;
	o->replace = replace != 0;
	o->tree = tree == 1;
	o->size = f->receipt.seal.size;
	f->has_offer = true;
	return NULL;
}

static const char *
get_receipt(json_t *root, struct receipt_file *f)
{
	struct receipt_seal *s = &f->receipt.seal;
	json_t *offer, *receiver, *sender;
	const char *blake3, *id, *type, *why;
	json_int_t size, version;

	if (json_unpack_ex(root, NULL, 0, "{s:s, s:I}", "type", &type,
		"version", &version) != 0 ||
	    strcmp(type, TYPE) != 0)
		return "this is JSON, but no receipt";
	if (version != VERSION)
		return "the receipt is of another version; update claw";
	if (json_unpack_ex(root, NULL, JSON_STRICT,
		"{s:s, s:I, s:s, s:{s:s, s:I}, s:o, s:o, s:o}", "type", &type,
		"version", &version, "transfer", &id, "file", "blake3", &blake3,
		"size", &size, "offer", &offer, "sender", &sender, "receiver",
		&receiver) != 0)
		return "the receipt has not exactly the fields that it must "
		       "have, of their types";
	if (!get_hex(id, "", s->id, sizeof(s->id)) ||
	    !get_hex(blake3, "", s->root, sizeof(s->root)) ||
	    !get_u64(size, &s->size))
		return "the transfer, the hash or the size is none";
	if ((why = get_signer(sender, &s->sender)) != NULL ||
	    (why = get_signer(receiver, &f->receipt.receiver)) != NULL)
		return why;
	memcpy(s->receiver, f->receipt.receiver.name, sizeof(s->receiver));
	return get_offer(offer, f);
}

int
receipt_json_read(const char *text, size_t len, struct receipt_file *f,
    const char **why)
{
	uint8_t bytes[RECEIPT_MAX];
	json_t *root = NULL;

	memset(f, 0, sizeof(*f));
	*why = NULL;
	if (len >= RECEIPT_JSON_MAX)
		*why = "this is too long for a receipt";
	else if ((root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL)) ==
	    NULL)
		*why = "this is not JSON";
	else
		*why = get_receipt(root, f);
	if (*why == NULL &&
	    receipt_format(&f->receipt, bytes, sizeof(bytes)) < 0)
		*why = "the receipt says what none can: a name or a number";
	if (*why == NULL && !offer_fits(f))
		*why = "the name, time, mode or chunk size was changed: the "
		       "offer's digest is of others";
	json_decref(root);
	if (*why == NULL)
		return 0;
	memset(f, 0, sizeof(*f));
	return -EBADMSG;
}
