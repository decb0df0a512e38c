/* SPDX-License-Identifier: ISC */
/*
 * bundle.c - a folder as one file.
 *
 * Any bytes may enter the reader. That names ascend is what makes each come
 * once, a folder before what is in it, and nothing come below what is no
 * folder; who unpacks a bundle in this order never has to look back.
 */
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/bundle.h"

#define MAGIC UINT64_C(0x636c61772f747201) /* "claw/tr", version 1 */

enum state { HEAD, ENTRY, NAME, TARGET, BYTES, DONE, BROKEN };

int
bundle_order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t i, n = a_len < b_len ? a_len : b_len;

	for (i = 0; i < n; i++)
		if (a[i] != b[i])
			/* What ends a part is before whatever goes on. */
			return a[i] == '/' ? -1 : b[i] == '/' ? 1 : a[i] - b[i];
	return a_len < b_len ? -1 : a_len > b_len;
}

static size_t
depth(const uint8_t *name, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		n += name[i] == '/';
	return n;
}

bool
bundle_link_ok(const uint8_t *name, size_t name_len, const uint8_t *target,
    size_t len)
{
	size_t up = depth(name, name_len), at, end;
	bool down = false;

	if (len == 0 || len > BUNDLE_LINK_MAX || target[0] == '/' ||
	    memchr(target, '\0', len) != NULL)
		return false;
	for (at = 0; at < len; at = end + 1) {
		for (end = at; end < len && target[end] != '/';)
			end++;
		if (end - at != 2 || target[at] != '.' || target[at + 1] != '.')
			down = true;
		else if (down || up-- == 0)
			return false;
	}
	return true;
}

/* NULL, or what is wrong with an entry by itself. */
static const char *
judge(const struct bundle_entry *e)
{
	enum sftname_verdict v = sftname_check(e->name, e->name_len);

	if (v != SFTNAME_OK)
		return sftname_why(v);
	if (e->mtime_ns > INT64_MAX || e->size > INT64_MAX)
		return "a number is too large";
	if (e->type == BUNDLE_FILE)
		return NULL;
	if (e->type != BUNDLE_FOLDER && e->type != BUNDLE_LINK)
		return "it is neither file nor folder nor link";
	if (e->runs || (e->type == BUNDLE_FOLDER && e->size != 0))
		return "a folder or link that is said to be a file";
	if (e->type == BUNDLE_LINK &&
	    (e->mtime_ns != 0 || e->size == 0 || e->size > BUNDLE_LINK_MAX))
		return "a link that leads nowhere, or is too long";
	return NULL;
}

int
bundle_head(uint64_t entries, uint64_t bytes, uint8_t out[BUNDLE_HEAD_LEN])
{
	struct wbuf w;

	if (entries > BUNDLE_ENTRIES_MAX || bytes > INT64_MAX)
		return -EINVAL;
	wbuf_init(&w, out, BUNDLE_HEAD_LEN);
	wbuf_u64(&w, MAGIC);
	wbuf_u64(&w, entries);
	wbuf_u64(&w, bytes);
	return 0;
}

ssize_t
bundle_entry(const struct bundle_entry *e, uint8_t *out, size_t size)
{
	struct wbuf w;

	if (judge(e) != NULL)
		return -EINVAL;
	wbuf_init(&w, out, size);
	wbuf_u8(&w, (uint8_t)e->type);
	wbuf_u8(&w, e->runs);
	wbuf_u64(&w, e->mtime_ns);
	wbuf_u64(&w, e->size);
	wbuf_bytes(&w, e->name, e->name_len);
	return w.failed ? -ENOSPC : (ssize_t)w.len;
}

/* --- to read ------------------------------------------------------------ */

static void
await(struct bundle_reader *r, enum state state, size_t need)
{
	r->state = (int)state;
	r->need = need;
}

void
bundle_reader_init(struct bundle_reader *r)
{
	memset(r, 0, sizeof(*r));
	r->path_is_folder = true; /* the bundle's own, which has no name */
	await(r, HEAD, BUNDLE_HEAD_LEN);
}

static int
broken(struct bundle_reader *r, const char *why)
{
	r->state = BROKEN;
	r->why = why;
	return -EBADMSG;
}

/* An entry is over: another one, or the end. */
static void
next_entry(struct bundle_reader *r)
{
	r->have = 0;
	if (r->entries_left > 0)
		await(r, ENTRY, BUNDLE_ENTRY_LEN);
	else
		await(r, DONE, 0);
}

static int
take_head(struct bundle_reader *r)
{
	struct rbuf b;

	rbuf_init(&b, r->part, BUNDLE_HEAD_LEN);
	if (rbuf_u64(&b) != MAGIC)
		return broken(r, "it does not begin as a folder does");
	r->entries = r->entries_left = rbuf_u64(&b);
	r->bytes = r->bytes_left = rbuf_u64(&b);
	if (r->entries > BUNDLE_ENTRIES_MAX)
		return broken(r, "it has too many entries");
	if (r->bytes > INT64_MAX)
		return broken(r, "a number is too large");
	next_entry(r);
	return r->state == DONE && r->bytes != 0 ?
	    broken(r, "its head says more than there is") :
	    0;
}

static int
take_entry(struct bundle_reader *r)
{
	struct bundle_entry *e = &r->entry;
	struct rbuf b;
	uint8_t runs;

	rbuf_init(&b, r->part, BUNDLE_ENTRY_LEN);
	e->type = (enum bundle_type)rbuf_u8(&b);
	runs = rbuf_u8(&b);
	e->runs = runs == 1;
	e->mtime_ns = rbuf_u64(&b);
	e->size = rbuf_u64(&b);
	e->name_len = rbuf_u16(&b);
	if (runs > 1)
		return broken(r, "a flag is neither yes nor no");
	if (e->name_len == 0 || e->name_len > SFTNAME_MAX)
		return broken(r, "a name is empty or too long");
	await(r, NAME, (size_t)BUNDLE_ENTRY_LEN + e->name_len);
	return 0;
}

/* Below a folder that the bundle has named, and after the last entry. */
static bool
follows(const struct bundle_reader *r)
{
	const struct bundle_entry *e = &r->entry;
	const uint8_t *slash = memrchr(e->name, '/', e->name_len);
	size_t n = slash == NULL ? 0 : (size_t)(slash - e->name);

	if (r->path_len > 0 &&
	    bundle_order(r->path, r->path_len, e->name, e->name_len) >= 0)
		return false;
	if (n == 0)
		return true;
	if (n > r->path_len || memcmp(r->path, e->name, n) != 0)
		return false;
	return n == r->path_len ? r->path_is_folder : r->path[n] == '/';
}

static int
take_name(struct bundle_reader *r)
{
	struct bundle_entry *e = &r->entry;
	const char *why;

	memcpy(e->name, r->part + BUNDLE_ENTRY_LEN, e->name_len);
	e->name[e->name_len] = '\0';
	if ((why = judge(e)) != NULL)
		return broken(r, why);
	if (!follows(r))
		return broken(r, "a name is not where it belongs");
	memcpy(r->path, e->name, e->name_len);
	r->path_len = e->name_len;
	r->path_is_folder = e->type == BUNDLE_FOLDER;
	r->entries_left--;
	if (e->type == BUNDLE_LINK) {
		r->have = 0;
		await(r, TARGET, (size_t)e->size);
		return 0;
	}
	if (e->size > r->bytes_left)
		return broken(r, "its files are more than its head says");
	r->bytes_left -= e->size;
	if (r->entries_left == 0 && r->bytes_left != 0)
		return broken(r, "its files are less than its head says");
	r->left = e->size;
	if (r->left > 0)
		await(r, BYTES, 0);
	else
		next_entry(r);
	return BUNDLE_ENTRY;
}

static int
take_target(struct bundle_reader *r)
{
	struct bundle_entry *e = &r->entry;

	memcpy(r->target, r->part, (size_t)e->size);
	r->target[e->size] = '\0';
	if (!bundle_link_ok(e->name, e->name_len, r->target, (size_t)e->size))
		return broken(r, "a link leads out of the folder");
	if (r->entries_left == 0 && r->bytes_left != 0)
		return broken(r, "its files are less than its head says");
	next_entry(r);
	return BUNDLE_ENTRY;
}

/* What has been collected is whole. BUNDLE_MORE (0): nothing to tell. */
static int
take(struct bundle_reader *r)
{
	switch ((enum state)r->state) {
	case HEAD:
		return take_head(r);
	case ENTRY:
		return take_entry(r);
	case NAME:
		return take_name(r);
	case TARGET:
		return take_target(r);
	default:
		return broken(r, "it is out of step");
	}
}

static void
collect(struct bundle_reader *r, const uint8_t **in, size_t *len)
{
	size_t n = r->need - r->have < *len ? r->need - r->have : *len;

	memcpy(r->part + r->have, *in, n);
	r->have += n;
	*in += n;
	*len -= n;
}

static int
give_bytes(struct bundle_reader *r, const uint8_t **in, size_t *len,
    const uint8_t **bytes, size_t *n)
{
	*bytes = *in;
	*n = r->left < *len ? (size_t)r->left : *len;
	*in += *n;
	*len -= *n;
	r->left -= *n;
	if (r->left == 0)
		next_entry(r);
	return BUNDLE_BYTES;
}

int
bundle_next(struct bundle_reader *r, const uint8_t **in, size_t *len,
    const uint8_t **bytes, size_t *n)
{
	int event = BUNDLE_MORE;

	while (event == BUNDLE_MORE) {
		if (r->state == BROKEN)
			return -EBADMSG;
		if (r->state == DONE)
			return *len == 0 ?
			    BUNDLE_DONE :
			    broken(r, "something is behind its end");
		if (*len == 0)
			return BUNDLE_MORE;
		if (r->state == BYTES)
			return give_bytes(r, in, len, bytes, n);
		collect(r, in, len);
		if (r->have == r->need)
			event = take(r);
	}
	return event;
}

bool
bundle_complete(const struct bundle_reader *r)
{
	return r->state == DONE;
}
