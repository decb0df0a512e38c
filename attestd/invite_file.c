/* SPDX-License-Identifier: ISC */
/*
 * invite_file.c - the file "invites": one JSON object a line.
 *
 * It is this node's own and nobody else reads it; what is not exactly as it
 * was written is refused, and an operator decides.
 */
#include <sys/stat.h>

#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attestd/invite.h"

#define FILE_NAME "invites.ndjson"
#define TEMP_NAME "invites.ndjson.new"
#define FILE_MAX (4 * 1024 * 1024)

static const char *const state_names[] = {
	[INVITE_IS_OPEN] = "open",
	[INVITE_IS_WAITING] = "waiting",
	[INVITE_IS_USED] = "used",
	[INVITE_IS_CLOSED] = "closed",
	[INVITE_IS_EXPIRED] = "expired",
	[INVITE_IS_VOID] = "void",
};
#define STATES (sizeof(state_names) / sizeof(state_names[0]))

const char *
invite_state_name(enum invite_state state)
{
	return state < STATES ? state_names[state] : "?";
}

static bool
is_zero(const uint8_t key[32])
{
	static const uint8_t zero[32];

	return memcmp(key, zero, sizeof(zero)) == 0;
}

/* Fields of a line. */

static void
put_hex(json_t *o, const char *name, const uint8_t bytes[32])
{
	char hex[65];
	int i;

	for (i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	json_object_set_new(o, name, json_string(hex));
}

static bool
get_hex(const json_t *o, const char *name, uint8_t out[32])
{
	const char *s = json_string_value(json_object_get(o, name));
	char pair[3] = "", *end;
	int i;

	if (s == NULL || strlen(s) != 64 || strspn(s, "0123456789abcdef") != 64)
		return false;
	for (i = 0; i < 32; i++) {
		memcpy(pair, s + 2 * i, 2);
		out[i] = (uint8_t)strtoul(pair, &end, 16);
	}
	return true;
}

static bool
get_num(const json_t *o, const char *name, uint64_t *out)
{
	const json_t *v = json_object_get(o, name);

	*out = (uint64_t)json_integer_value(v);
	return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool
get_text(const json_t *o, const char *name, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL && (size_t)snprintf(out, size, "%s", s) < size;
}

static json_t *
line_of(const struct invite *v)
{
	char at[NETADDR_LIST_SIZE];
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(v->name));
	json_object_set_new(o, "state",
	    json_string(invite_state_name(v->state)));
	put_hex(o, "ticket", v->ticket);
	/* 64 bits are more than JSON's integers have. */
	json_object_set_new(o, "capabilities_high",
	    json_integer((json_int_t)(v->capabilities >> 32)));
	json_object_set_new(o, "capabilities_low",
	    json_integer((json_int_t)(v->capabilities & UINT32_MAX)));
	json_object_set_new(o, "expiry", json_integer((json_int_t)v->expiry_s));
	json_object_set_new(o, "confirm", json_boolean(v->confirm));
	if (!is_zero(v->pinned))
		put_hex(o, "pinned", v->pinned);
	if (v->has_keys) {
		put_hex(o, "identity", v->identity);
		put_hex(o, "sealing", v->sealing);
		put_hex(o, "next", v->next_hash);
		netaddr_list_text(&v->at, at);
		json_object_set_new(o, "addresses", json_string(at));
	}
	if (v->proposal[0] != '\0')
		json_object_set_new(o, "proposal", json_string(v->proposal));
	return o;
}

static bool
state_of(const json_t *o, enum invite_state *out)
{
	const char *s = json_string_value(json_object_get(o, "state"));
	unsigned int i;

	for (i = 0; s != NULL && i < STATES; i++)
		if (strcmp(s, state_names[i]) == 0) {
			*out = (enum invite_state)i;
			return true;
		}
	return false;
}

static bool
parse(const json_t *o, struct invite *v)
{
	char at[NETADDR_LIST_SIZE];
	uint64_t high, low;

	memset(v, 0, sizeof(*v));
	if (!get_text(o, "name", v->name, sizeof(v->name)) ||
	    !regupdate_name_ok(v->name) || !state_of(o, &v->state) ||
	    !get_hex(o, "ticket", v->ticket) ||
	    !get_num(o, "capabilities_high", &high) ||
	    !get_num(o, "capabilities_low", &low) || high > UINT32_MAX ||
	    low > UINT32_MAX || !get_num(o, "expiry", &v->expiry_s))
		return false;
	v->capabilities = high << 32 | low;
	v->confirm = json_is_true(json_object_get(o, "confirm"));
	if (json_object_get(o, "pinned") != NULL &&
	    !get_hex(o, "pinned", v->pinned))
		return false;
	if (json_object_get(o, "proposal") != NULL &&
	    !get_text(o, "proposal", v->proposal, sizeof(v->proposal)))
		return false;
	v->has_keys = json_object_get(o, "identity") != NULL;
	if (v->has_keys)
		return get_hex(o, "identity", v->identity) &&
		    get_hex(o, "sealing", v->sealing) &&
		    get_hex(o, "next", v->next_hash) &&
		    get_text(o, "addresses", at, sizeof(at)) &&
		    netaddr_list_parse(&v->at, at) == NULL;
	return v->state != INVITE_IS_WAITING && v->state != INVITE_IS_USED;
}

/* The file. */

static int
load(FILE *f, struct invite *all, unsigned int max)
{
	unsigned int n = 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	json_t *o;
	int r = 0;

	while (r == 0 && (len = getline(&line, &size, f)) > 0) {
		o = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
		if (n >= max || line[len - 1] != '\n' || o == NULL ||
		    !parse(o, &all[n++]))
			r = -EBADMSG;
		json_decref(o);
	}
	if (r == 0 && ferror(f))
		r = -EIO;
	free(line);
	return r == 0 ? (int)n : r;
}

int
invite_file_load(int dirfd, struct invite *all, unsigned int max)
{
	struct stat st;
	FILE *f;
	int fd, r;

	fd = openat(dirfd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) == -1 || st.st_size > FILE_MAX) {
		close(fd);
		return -EFBIG;
	}
	f = fdopen(fd, "r");
	if (f == NULL) {
		close(fd);
		return -ENOMEM;
	}
	r = load(f, all, max);
	fclose(f);
	return r;
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t w;

	while (n > 0) {
		w = write(fd, p, n);
		if (w == -1 && errno == EINTR)
			continue;
		if (w <= 0)
			return w == 0 ? -EIO : -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
write_line(int fd, const struct invite *v)
{
	json_t *o = line_of(v);
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	int r = text == NULL ? -ENOMEM : write_all(fd, text, strlen(text));

	if (r == 0)
		r = write_all(fd, "\n", 1);
	free(text);
	json_decref(o);
	return r;
}

int
invite_file_save(int dirfd, const struct invite *all, unsigned int count)
{
	unsigned int i;
	int fd, r = 0;

	fd = openat(dirfd, TEMP_NAME,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	for (i = 0; r == 0 && i < count; i++)
		r = write_line(fd, &all[i]);
	if (r == 0 && fsync(fd) == -1)
		r = -errno;
	close(fd);
	if (r == 0 && renameat(dirfd, TEMP_NAME, dirfd, FILE_NAME) == -1)
		r = -errno;
	if (r == 0 && fsync(dirfd) == -1)
		r = -errno;
	return r;
}
