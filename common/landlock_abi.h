/* SPDX-License-Identifier: ISC */
/*
 * landlock_abi.h - Landlock as the kernel defines it, up to ABI 7.
 *
 * The headers of a distribution are often older than the kernel it runs on,
 * and what they lack would silently not be confined. So the numbers stand
 * here under names of our own, and the C library is not asked. Source: the
 * kernel's include/uapi/linux/landlock.h and
 * Documentation/userspace-api/landlock.rst.
 */
#ifndef CLAW_COMMON_LANDLOCK_ABI_H
#define CLAW_COMMON_LANDLOCK_ABI_H

#include <sys/syscall.h>

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* The same numbers on every architecture that uses the common table. */
#ifdef SYS_landlock_create_ruleset
#define LL_SYS_CREATE_RULESET SYS_landlock_create_ruleset
#define LL_SYS_ADD_RULE SYS_landlock_add_rule
#define LL_SYS_RESTRICT_SELF SYS_landlock_restrict_self
#else
#define LL_SYS_CREATE_RULESET 444
#define LL_SYS_ADD_RULE 445
#define LL_SYS_RESTRICT_SELF 446
#endif

#define LL_CREATE_RULESET_VERSION 1U
#define LL_RULE_PATH_BENEATH 1

#define LL_FS_EXECUTE (1ULL << 0)
#define LL_FS_WRITE_FILE (1ULL << 1)
#define LL_FS_READ_FILE (1ULL << 2)
#define LL_FS_READ_DIR (1ULL << 3)
#define LL_FS_REMOVE_DIR (1ULL << 4)
#define LL_FS_REMOVE_FILE (1ULL << 5)
#define LL_FS_MAKE_CHAR (1ULL << 6)
#define LL_FS_MAKE_DIR (1ULL << 7)
#define LL_FS_MAKE_REG (1ULL << 8)
#define LL_FS_MAKE_SOCK (1ULL << 9)
#define LL_FS_MAKE_FIFO (1ULL << 10)
#define LL_FS_MAKE_BLOCK (1ULL << 11)
#define LL_FS_MAKE_SYM (1ULL << 12)
#define LL_FS_REFER (1ULL << 13)     /* ABI 2 */
#define LL_FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define LL_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */

#define LL_NET_BIND_TCP (1ULL << 0)    /* ABI 4 */
#define LL_NET_CONNECT_TCP (1ULL << 1) /* ABI 4 */

#define LL_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define LL_SCOPE_SIGNAL (1ULL << 1)		  /* ABI 6 */

#define LL_ABI_NET 4
#define LL_ABI_SCOPE 6

/*
 * The kernel takes a shorter struct for an older ABI and refuses a longer
 * one only where the surplus is not zero.
 */
struct ll_ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct ll_path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

static inline int
ll_create_ruleset(const struct ll_ruleset_attr *attr, size_t size,
    uint32_t flags)
{
	return (int)syscall(LL_SYS_CREATE_RULESET, attr, size, flags);
}

static inline int
ll_add_path(int ruleset, const struct ll_path_beneath_attr *attr)
{
	return (int)syscall(LL_SYS_ADD_RULE, ruleset, LL_RULE_PATH_BENEATH,
	    attr, 0U);
}

static inline int
ll_restrict_self(int ruleset)
{
	return (int)syscall(LL_SYS_RESTRICT_SELF, ruleset, 0U);
}

#endif
