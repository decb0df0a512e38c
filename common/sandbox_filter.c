/* SPDX-License-Identifier: ISC */
/*
 * sandbox_filter.c - policy/syscalls.def compiled to what the kernel runs.
 *
 * Every condition becomes one masked comparison, (argument & mask) == value.
 * Note the trap in that: a mask of "the bits I allow" with the value 0 asks
 * whether none of the allowed bits is set and lets all others through. What is
 * meant is always written with the bits that decide in the mask.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/ioctl.h>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

/* Names that older C libraries lack; values of the kernel's headers. */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif

/* What the table calls by a name of its own. */
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR | MSG_MORE)
#define FUTEX_COMMAND 0xfffffe7fU /* all but PRIVATE and CLOCK_REALTIME */
#define THREAD_FLAGS                                                           \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |    \
	    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |               \
	    CLONE_CHILD_CLEARTID)
/* To make what is not there, or to go through what is a folder. */
#define UNPACK_OPEN                                                            \
	(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_WRONLY | O_CREAT |  \
	    O_EXCL | O_LARGEFILE)
#define SOCKET_KIND 0xf /* type without SOCK_CLOEXEC and SOCK_NONBLOCK */

#define INT_MASK 0xffffffffU /* the kernel looks at 32 bits of an int */
#define MAX_CONDITIONS 3

/* (argument & mask) == value; own_pid: value is getpid(). mask 0: no more. */
struct condition {
	unsigned int arg;
	uint64_t mask;
	uint64_t value;
	bool own_pid;
};

enum act { ACT_ALLOW, ACT_REFUSE, ACT_LATER };

#define BITS(v) ((uint64_t)(unsigned int)(v))
#define NO_ARGS                                                                \
	{                                                                      \
		0, 0, 0, false                                                 \
	}
#define IS(n, v)                                                               \
	{                                                                      \
		(n), INT_MASK, BITS(v), false                                  \
	}
#define ONLY_BITS(n, bits)                                                     \
	{                                                                      \
		(n), ~BITS(bits), 0, false                                     \
	}
#define NO_BITS(n, bits)                                                       \
	{                                                                      \
		(n), BITS(bits), 0, false                                      \
	}
#define HAS_BITS(n, bits)                                                      \
	{                                                                      \
		(n), BITS(bits), BITS(bits), false                             \
	}
#define BITS_ARE(n, bits, v)                                                   \
	{                                                                      \
		(n), BITS(bits), BITS(v), false                                \
	}
#define IS_NULL(n)                                                             \
	{                                                                      \
		(n), UINT64_MAX, 0, false                                      \
	}
#define OWN_PID(n)                                                             \
	{                                                                      \
		(n), INT_MASK, 0, true                                         \
	}
#define BOTH(a, b) a, b

static const struct rule {
	enum act act;
	const char *call;
	uint32_t procs;
	int error;
	struct condition cond[MAX_CONDITIONS];
} rules[] = {
#define ALLOW(call, procs, cond, why) { ACT_ALLOW, #call, procs, 0, { cond } },
#define REFUSE(call, procs, error, why)                                        \
	{ ACT_REFUSE, #call, procs, error, { NO_ARGS } },
#define REFUSE_IF(call, procs, error, cond, why)                               \
	{ ACT_REFUSE, #call, procs, error, { cond } },
#define LATER(call, procs, error, cond, why)                                   \
	{ ACT_LATER, #call, procs, error, { cond } },
#include "policy/syscalls.def"
#undef ALLOW
#undef REFUSE
#undef REFUSE_IF
#undef LATER
};

static int
add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
	struct scmp_arg_cmp cmp[MAX_CONDITIONS];
	unsigned int n;
	int nr;

	/* Negative: unknown to this libseccomp, or not on this machine. */
	nr = seccomp_syscall_resolve_name(r->call);
	if (nr < 0)
		return 0;
	for (n = 0; n < MAX_CONDITIONS && r->cond[n].mask != 0; n++)
		cmp[n] = (struct scmp_arg_cmp){
			.arg = r->cond[n].arg,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = r->cond[n].mask,
			.datum_b = r->cond[n].own_pid ? BITS(getpid()) :
							r->cond[n].value,
		};
	return seccomp_rule_add_array(ctx,
	    r->act == ACT_ALLOW ? SCMP_ACT_ALLOW :
				  SCMP_ACT_ERRNO((uint16_t)r->error),
	    nr, n, cmp);
}

/*
 * libseccomp before 2.6 exports to a descriptor only.
 */
static int
export_filter(scmp_filter_ctx ctx, struct sock_filter **insns, size_t *n)
{
	struct sock_filter *buf = NULL;
	size_t size;
	off_t end;
	int fd, rv;

	if ((fd = memfd_create("filter", MFD_CLOEXEC)) == -1)
		return -errno;
	if ((rv = seccomp_export_bpf(ctx, fd)) != 0)
		goto out;
	rv = -EIO;
	if ((end = lseek(fd, 0, SEEK_END)) <= 0 || end > 65536)
		goto out;
	size = (size_t)end;
	if (size % sizeof(*buf) != 0 || size / sizeof(*buf) > BPF_MAXINSNS)
		goto out;
	if ((buf = malloc(size)) == NULL) {
		rv = -ENOMEM;
		goto out;
	}
	if (pread(fd, buf, size, 0) != (ssize_t)size) {
		free(buf);
		goto out;
	}
	*insns = buf;
	*n = size / sizeof(*buf);
	rv = 0;
out:
	close(fd);
	return rv;
}

int
sandbox_filter_compile(enum proc self, enum sandbox_stage stage,
    struct sock_filter **insns, size_t *n)
{
	scmp_filter_ctx ctx;
	size_t i, used = 0;
	int rv;

	*insns = NULL;
	*n = 0;
	if ((unsigned int)self >= PROC_MAX || (PROC_BIT(self) & P_ALL) == 0)
		return -EINVAL;
	ctx = seccomp_init(
	    stage == SANDBOX_FIRST ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ALLOW);
	if (ctx == NULL)
		return -ENOMEM;
	rv = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS);
	for (i = 0; rv == 0 && i < sizeof(rules) / sizeof(rules[0]); i++) {
		if ((rules[i].procs & PROC_BIT(self)) == 0 ||
		    (rules[i].act == ACT_LATER) != (stage == SANDBOX_LATER))
			continue;
		rv = add_rule(ctx, &rules[i]);
		used++;
	}
	if (rv == 0 && used > 0)
		rv = export_filter(ctx, insns, n);
	seccomp_release(ctx);
	return rv;
}
