/* SPDX-License-Identifier: ISC */
/*
 * logkey.c - the open shard's log key, sealed by keyd, as a file.
 *
 * logkey-<shard>: the endorsement (64 bytes), then what keyd sealed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auditd/logkey.h"
#include "common/child.h"
#include "common/log.h"
#include "common/shardname.h"

#define ENDORSEMENT_LEN 64

static void
file_name(const char *shard, char *out, size_t size)
{
	snprintf(out, size, "logkey-%s", shard);
}

void
logkey_store(const char *shard, const uint8_t *sealed, size_t len,
    const uint8_t endorsement[ENDORSEMENT_LEN])
{
	char name[SHARDNAME_SIZE + 8];
	int fd;

	file_name(shard, name, sizeof(name));
	fd = openat(DESC_AUDIT_STATE, "logkey.new",
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 ||
	    write(fd, endorsement, ENDORSEMENT_LEN) != ENDORSEMENT_LEN ||
	    write(fd, sealed, len) != (ssize_t)len || fsync(fd) == -1 ||
	    renameat(DESC_AUDIT_STATE, "logkey.new", DESC_AUDIT_STATE, name) ==
		-1 ||
	    fsync(DESC_AUDIT_STATE) == -1)
		fatal("the sealed log key of %s cannot be kept", shard);
	close(fd);
}

bool
logkey_load(const char *shard, uint8_t sealed[LOGKEY_SEALED_MAX], size_t *len,
    uint8_t endorsement[ENDORSEMENT_LEN])
{
	uint8_t file[ENDORSEMENT_LEN + LOGKEY_SEALED_MAX + 1];
	char name[SHARDNAME_SIZE + 8];
	ssize_t n;
	int fd;

	file_name(shard, name, sizeof(name));
	fd = openat(DESC_AUDIT_STATE, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, file, sizeof(file));
	close(fd);
	if (n <= ENDORSEMENT_LEN || (size_t)n == sizeof(file))
		return false;
	memcpy(endorsement, file, ENDORSEMENT_LEN);
	*len = (size_t)n - ENDORSEMENT_LEN;
	memcpy(sealed, file + ENDORSEMENT_LEN, *len);
	return true;
}

bool
logkey_exists(const char *shard)
{
	char name[SHARDNAME_SIZE + 8];
	int fd;

	file_name(shard, name, sizeof(name));
	fd = openat(DESC_AUDIT_STATE, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1)
		close(fd);
	return fd != -1;
}

void
logkey_destroy(const char *shard)
{
	uint8_t zero[ENDORSEMENT_LEN + LOGKEY_SEALED_MAX] = { 0 };
	char name[SHARDNAME_SIZE + 8];
	int fd;

	file_name(shard, name, sizeof(name));
	fd = openat(DESC_AUDIT_STATE, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1) {
		if (pwrite(fd, zero, sizeof(zero), 0) != sizeof(zero) ||
		    fdatasync(fd) == -1)
			log_warn("overwriting the log key of %s", shard);
		close(fd);
	}
	if (unlinkat(DESC_AUDIT_STATE, name, 0) == -1 && errno != ENOENT)
		log_warn("removing the log key of %s", shard);
	(void)fsync(DESC_AUDIT_STATE);
}
