/* SPDX-License-Identifier: ISC */
/*
 * test_sandbox_filter.c - the compiled filter says what the table says.
 *
 * The filters are run here by an interpreter, for every process, for every
 * system call number from 0 to 1023 and for arguments chosen around each
 * condition (every single bit, the values, the masks, the upper half), and
 * compared with the table evaluated line by line. So the promise "every call
 * that no line names ends the process" is checked number by number, and a
 * comparison that libseccomp merged wrongly would show.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif

/* What the table means by these, said once more and in other words. */
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR | MSG_MORE)
#define FUTEX_COMMAND FUTEX_CMD_MASK
#define UNPACK_OPEN                                                            \
	(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_WRONLY | O_CREAT |  \
	    O_EXCL | O_LARGEFILE)
#define THREAD_FLAGS 0x3d0f00
#ifndef CLONE_DETACHED
#define CLONE_DETACHED 0x400000
#endif
#define SOCKET_KIND (SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET | 0x8)
#define OPEN_UNNAMED (O_TMPFILE ^ O_DIRECTORY)
#define OPEN_WRITES (O_ACCMODE | O_CREAT | O_TRUNC | OPEN_UNNAMED)

#define NUMBERS 1024
#define X32_BIT 0x40000000U
#define MAX_VALUES 512
#define CONDITIONS 3

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
#else
#error "name this machine's architecture here"
#endif

enum op {
	OP_ALWAYS,
	OP_INT_IS,
	OP_ONLY,
	OP_NONE_OF,
	OP_ALL_OF,
	OP_PART_IS,
	OP_NULL,
	OP_PID
};

struct cond {
	enum op op;
	unsigned int arg;
	unsigned int a, b;
};

#define NO_ARGS                                                                \
	{                                                                      \
		OP_ALWAYS, 0, 0, 0                                             \
	}
#define IS(n, v)                                                               \
	{                                                                      \
		OP_INT_IS, n, (unsigned int)(v), 0                             \
	}
#define ONLY_BITS(n, m)                                                        \
	{                                                                      \
		OP_ONLY, n, (unsigned int)(m), 0                               \
	}
#define NO_BITS(n, m)                                                          \
	{                                                                      \
		OP_NONE_OF, n, (unsigned int)(m), 0                            \
	}
#define HAS_BITS(n, m)                                                         \
	{                                                                      \
		OP_ALL_OF, n, (unsigned int)(m), 0                             \
	}
#define BITS_ARE(n, m, v)                                                      \
	{                                                                      \
		OP_PART_IS, n, (unsigned int)(m), (v)                          \
	}
#define IS_NULL(n)                                                             \
	{                                                                      \
		OP_NULL, n, 0, 0                                               \
	}
#define OWN_PID(n)                                                             \
	{                                                                      \
		OP_PID, n, 0, 0                                                \
	}
#define BOTH(x, y) x, y

static const struct line {
	const char *call;
	uint32_t procs;
	int error; /* 0: allowed */
	bool later;
	struct cond cond[CONDITIONS];
} lines[] = {
#define ALLOW(call, procs, cond, why) { #call, procs, 0, false, { cond } },
#define REFUSE(call, procs, error, why)                                        \
	{ #call, procs, error, false, { NO_ARGS } },
#define REFUSE_IF(call, procs, error, cond, why)                               \
	{ #call, procs, error, false, { cond } },
#define LATER(call, procs, error, cond, why)                                   \
	{ #call, procs, error, true, { cond } },
#include "policy/syscalls.def"
#undef ALLOW
#undef REFUSE
#undef REFUSE_IF
#undef LATER
};

#define NLINES (sizeof(lines) / sizeof(lines[0]))

static int numbers[NLINES];

static bool
holds(const struct cond *c, const uint64_t *args)
{
	uint64_t v = args[c->arg];

	switch (c->op) {
	case OP_ALWAYS:
		return true;
	case OP_INT_IS:
		return (uint32_t)v == c->a;
	case OP_ONLY:
		return (v | c->a) == c->a;
	case OP_NONE_OF:
		return (v & c->a) == 0;
	case OP_ALL_OF:
		return (v & c->a) == c->a;
	case OP_PART_IS:
		return ((uint32_t)v & c->a) == c->b;
	case OP_NULL:
		return v == 0;
	case OP_PID:
		return (uint32_t)v == (uint32_t)getpid();
	}
	return false;
}

static bool
holds_all(const struct line *l, const uint64_t *args)
{
	size_t i;

	for (i = 0; i < CONDITIONS; i++)
		if (!holds(&l->cond[i], args))
			return false;
	return true;
}

/* The table's own answer; fails the test where two lines disagree. */
static uint32_t
table_says(enum proc self, bool later, int nr, const uint64_t *args)
{
	uint32_t def = later ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
	uint32_t said = def, one;
	size_t i;

	for (i = 0; i < NLINES; i++) {
		if (numbers[i] != nr || lines[i].later != later ||
		    (lines[i].procs & PROC_BIT(self)) == 0 ||
		    !holds_all(&lines[i], args))
			continue;
		one = lines[i].error == 0 ?
		    SECCOMP_RET_ALLOW :
		    SECCOMP_RET_ERRNO | (uint32_t)lines[i].error;
		if (said != def && said != one)
			fail_msg("%s: two lines for %s disagree",
			    proc_name(self), lines[i].call);
		said = one;
	}
	return said;
}

static bool
jump(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGT:
		return a > k;
	case BPF_JGE:
		return a >= k;
	case BPF_JSET:
		return (a & k) != 0;
	}
	fail_msg("unknown jump %#x", (unsigned int)code);
	return false;
}

/* Classic BPF as far as libseccomp makes use of it. */
static uint32_t
filter_says(const struct sock_filter *f, size_t n,
    const struct seccomp_data *data)
{
	uint32_t a = 0;
	size_t pc;

	for (pc = 0; pc < n; pc++) {
		switch (f[pc].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(f[pc].k + sizeof(a) <= sizeof(*data));
			memcpy(&a, (const char *)data + f[pc].k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f[pc].k;
			break;
		case BPF_JMP | BPF_JA:
			pc += f[pc].k;
			break;
		case BPF_RET | BPF_K:
			return f[pc].k;
		default:
			assert_int_equal(BPF_CLASS(f[pc].code), BPF_JMP);
			pc +=
			    jump(f[pc].code, a, f[pc].k) ? f[pc].jt : f[pc].jf;
		}
	}
	fail_msg("fell off the end");
	return 0;
}

struct subject {
	enum proc self;
	bool later;
	struct sock_filter *f;
	size_t n;
	size_t asked;
};

static void
ask(struct subject *s, int nr, const uint64_t *args)
{
	struct seccomp_data data = { .nr = nr, .arch = NATIVE };
	uint32_t want, got;

	memcpy(data.args, args, sizeof(data.args));
	want = table_says(s->self, s->later, nr, args);
	got = filter_says(s->f, s->n, &data);
	s->asked++;
	if (want != got)
		fail_msg("%s: call %d (%#llx %#llx %#llx %#llx): the table "
			 "says %#x, the filter %#x",
		    proc_name(s->self), nr, (unsigned long long)args[0],
		    (unsigned long long)args[1], (unsigned long long)args[2],
		    (unsigned long long)args[3], want, got);
}

/* Everything an argument could be that makes a difference for this call. */
static size_t
values_of(int nr, uint64_t *v)
{
	size_t i, j, n = 0;
	uint64_t x;

	for (i = 0; i < 64; i++)
		v[n++] = (uint64_t)1 << i;
	v[n++] = 0;
	v[n++] = UINT64_MAX;
	v[n++] = UINT32_MAX;
	v[n++] = (uint64_t)getpid();
	v[n++] = (uint64_t)getpid() + 1;
	for (i = 0; i < NLINES; i++)
		for (j = 0; numbers[i] == nr && j < CONDITIONS; j++) {
			if (n + 8 > MAX_VALUES)
				return n;
			x = lines[i].cond[j].a;
			v[n++] = x;
			v[n++] = x + 1;
			v[n++] = x ^ 1;
			v[n++] = ~x;
			v[n++] = x | (uint64_t)1 << 32;
			v[n++] = x | UINT64_MAX << 32;
			v[n++] = lines[i].cond[j].b;
		}
	return n;
}

/* Arguments that make one line's condition hold. */
static void
satisfy(const struct line *l, uint64_t *args)
{
	const struct cond *c;
	size_t i;

	memset(args, 0, 6 * sizeof(*args));
	for (i = 0; i < CONDITIONS; i++) {
		c = &l->cond[i];
		if (c->op == OP_INT_IS || c->op == OP_ALL_OF)
			args[c->arg] |= c->a;
		else if (c->op == OP_PART_IS)
			args[c->arg] = c->b;
		else if (c->op == OP_PID)
			args[c->arg] = (uint64_t)getpid();
	}
}

/* From one starting point, change one argument at a time. */
static void
ask_around(struct subject *s, int nr, const uint64_t *from,
    const uint64_t *values, size_t n)
{
	uint64_t args[6];
	size_t i, arg;

	ask(s, nr, from);
	for (arg = 0; arg < 6; arg++)
		for (i = 0; i < n; i++) {
			memcpy(args, from, sizeof(args));
			args[arg] = values[i];
			ask(s, nr, args);
		}
}

static void
ask_all(struct subject *s)
{
	static const uint64_t zeros[6];
	uint64_t ones[6], from[6], values[MAX_VALUES];
	size_t i, n;
	int nr;

	memset(ones, 0xff, sizeof(ones));
	for (nr = 0; nr < NUMBERS; nr++) {
		n = values_of(nr, values);
		ask_around(s, nr, zeros, values, n);
		ask_around(s, nr, ones, values, n);
		for (i = 0; i < NLINES; i++) {
			if (numbers[i] != nr)
				continue;
			satisfy(&lines[i], from);
			ask_around(s, nr, from, values, n);
		}
	}
}

static void
check(enum proc self, enum sandbox_stage stage)
{
	struct subject s = { .self = self, .later = stage == SANDBOX_LATER };

	assert_int_equal(sandbox_filter_compile(self, stage, &s.f, &s.n), 0);
	if (s.n > 0)
		ask_all(&s);
	else
		assert_true(stage == SANDBOX_LATER);
	if (s.n > 0)
		print_message("%s: %zu instructions, %zu questions\n",
		    proc_name(self), s.n, s.asked);
	free(s.f);
}

static void
every_call_of_every_process(void **state)
{
	unsigned int p;

	(void)state;
	for (p = 0; p < PROC_MAX; p++) {
		if ((P_ALL & PROC_BIT(p)) == 0)
			continue;
		check((enum proc)p, SANDBOX_FIRST);
		check((enum proc)p, SANDBOX_LATER);
	}
}

/* Another ABI reaches the same kernel by other numbers. */
static void
no_other_abi(void **state)
{
	struct seccomp_data data = { .arch = FOREIGN };
	struct sock_filter *f;
	unsigned int p;
	size_t n;
	int nr;

	(void)state;
	for (p = 0; p < PROC_MAX; p++) {
		if ((P_ALL & PROC_BIT(p)) == 0)
			continue;
		assert_int_equal(
		    sandbox_filter_compile((enum proc)p, SANDBOX_FIRST, &f, &n),
		    0);
		for (nr = 0; nr < NUMBERS; nr++) {
			data.arch = FOREIGN;
			data.nr = nr;
			assert_int_equal(filter_says(f, n, &data),
			    SECCOMP_RET_KILL_PROCESS);
			data.arch = NATIVE;
			data.nr = (int)((unsigned int)nr | X32_BIT);
			assert_int_equal(filter_says(f, n, &data),
			    SECCOMP_RET_KILL_PROCESS);
		}
		free(f);
	}
}

/* A misspelt call would silently be one that is not allowed. */
static void
every_name_is_a_call(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NLINES; i++)
		if (seccomp_syscall_resolve_name(lines[i].call) ==
		    __NR_SCMP_ERROR)
			fail_msg("no system call %s", lines[i].call);
}

struct forbidden {
	const char *call;
	uint64_t args[6];
};

static void
refuses(enum proc p, const struct forbidden *no, size_t count)
{
	struct seccomp_data data = { .arch = NATIVE };
	struct sock_filter *f;
	size_t i, n;

	assert_int_equal(sandbox_filter_compile(p, SANDBOX_FIRST, &f, &n), 0);
	for (i = 0; i < count; i++) {
		data.nr = seccomp_syscall_resolve_name(no[i].call);
		if (data.nr < 0)
			continue;
		memcpy(data.args, no[i].args, sizeof(data.args));
		if (filter_says(f, n, &data) == SECCOMP_RET_ALLOW)
			fail_msg("%s may call %s", proc_name(p), no[i].call);
	}
	free(f);
}

/* Said without the table: what must never be allowed, whatever it says. */
static void
never(void **state)
{
	static const struct forbidden no[] = {
		{ "mmap", { 0, 4096, PROT_EXEC } },
		{ "mmap", { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC } },
		{ "mprotect", { 0, 4096, PROT_READ | PROT_EXEC } },
		{ "pkey_mprotect", { 0, 4096, PROT_READ } },
		{ "execve", { 0 } },
		{ "execveat", { 0 } },
		{ "clone", { 0 } },
		{ "clone3", { 0 } },
		{ "fork", { 0 } },
		{ "vfork", { 0 } },
		{ "socket", { AF_UNIX, SOCK_STREAM } },
		{ "socket", { AF_UNIX, SOCK_SEQPACKET } },
		{ "socket", { AF_INET, SOCK_STREAM, IPPROTO_SCTP } },
		{ "socket", { AF_INET, SOCK_DGRAM } },
		{ "socket", { AF_INET6, SOCK_DGRAM } },
		{ "socket", { AF_INET, SOCK_RAW } },
		{ "socket", { AF_INET6, SOCK_RAW | SOCK_NONBLOCK } },
		{ "socket", { AF_NETLINK, SOCK_RAW } },
		{ "socket", { AF_PACKET, SOCK_RAW } },
		{ "socket", { AF_VSOCK, SOCK_STREAM } },
		{ "socketpair", { AF_UNIX } },
		{ "bind", { 0 } },
		{ "listen", { 0 } },
		{ "ptrace", { 0 } },
		{ "kill", { 1 } },
		{ "tgkill", { 1, 1, SIGABRT } },
		{ "rt_sigqueueinfo", { 1 } },
		{ "pidfd_send_signal", { 1 } },
		{ "pidfd_getfd", { 1 } },
		{ "process_vm_readv", { 1 } },
		{ "process_vm_writev", { 1 } },
		{ "fcntl", { 0, F_SETOWN } },
		{ "fcntl", { 0, 15 /* F_SETOWN_EX */ } },
		{ "fcntl", { 0, 10 /* F_SETSIG */ } },
		{ "fcntl", { 0, F_SETFL, O_ASYNC } },
		{ "fcntl", { 0, F_DUPFD } },
		{ "ioctl", { 0, FIOSETOWN } },
		{ "ioctl", { 0, SIOCSPGRP } },
		{ "ioctl", { 0, TIOCSTI } },
		{ "ioctl", { 0, FIOASYNC } },
		{ "fallocate", { 0, FALLOC_FL_PUNCH_HOLE } },
		{ "fallocate", { 0, FALLOC_FL_COLLAPSE_RANGE } },
		{ "fallocate", { 0, FALLOC_FL_ZERO_RANGE } },
		{ "renameat2", { 0, 0, 0, 0, 2 /* RENAME_EXCHANGE */ } },
		{ "setsockopt", { 0, SOL_SOCKET, SO_PEEK_OFF } },
		{ "setsockopt", { 0, SOL_SOCKET, SO_ATTACH_FILTER } },
		{ "setsockopt", { 0, SOL_SOCKET, SO_PASSCRED } },
		{ "prctl", { PR_SET_DUMPABLE, 1 } },
		{ "prctl", { PR_SET_SECCOMP } },
		{ "prlimit64", { 1 } },
		{ "prlimit64", { 0, 0, 1 } },
		{ "setrlimit", { 0 } },
		{ "sendto", { 0, 0, 0, MSG_FASTOPEN, 0, 0 } },
		{ "sendto", { 0, 0, 0, 0, 1, 16 } },
		{ "sendmsg", { 0, 0, MSG_FASTOPEN } },
		{ "io_uring_setup", { 0 } },
		{ "io_uring_enter", { 0 } },
		{ "userfaultfd", { 0 } },
		{ "bpf", { 0 } },
		{ "keyctl", { 0 } },
		{ "perf_event_open", { 0 } },
		{ "setuid", { 0 } },
		{ "setresuid", { 0 } },
		{ "unshare", { 0 } },
		{ "setns", { 0 } },
		{ "mount", { 0 } },
		{ "chroot", { 0 } },
		{ "memfd_create", { 0 } },
		{ "open_by_handle_at", { 0 } },
		{ "personality", { 0 } },
		{ "linkat", { 0 } },
		{ "mknodat", { 0 } },
		{ "fchmodat", { 0 } },
		{ "fchown", { 0 } },
		{ "fchownat", { 0 } },
		/* a thread is one thing, a process or half of one another */
		{ "clone", { SIGCHLD } },
		{ "clone", { CLONE_VM | CLONE_VFORK | SIGCHLD } },
		{ "clone", { THREAD_FLAGS & ~(uint64_t)CLONE_THREAD } },
		{ "clone", { THREAD_FLAGS & ~(uint64_t)CLONE_SIGHAND } },
		{ "clone", { THREAD_FLAGS | CLONE_NEWUSER } },
		{ "clone", { THREAD_FLAGS | CLONE_PARENT } },
		{ "clone", { THREAD_FLAGS | CLONE_UNTRACED } },
	};
	/* What meshd and sftd alone may: reach other machines over TCP. */
	static const struct forbidden others[] = {
		{ "socket", { AF_INET, SOCK_STREAM } },
		{ "socket", { AF_INET6, SOCK_STREAM } },
		{ "connect", { 0 } },
	};
	/* What sftd alone may: look up a peer's name, finish a file. */
	static const struct forbidden files[] = {
		{ "openat2", { 0 } },
		{ "fchmod", { 0 } },
	};
	/* And who writes what has been delivered. */
	static const struct forbidden times[] = {
		{ "utimensat", { 0 } },
	};
	/* And who learns late where he may write. */
	static const struct forbidden confined_late[] = {
		{ "symlinkat", { 0 } },
		{ "syncfs", { 0 } },
		{ "landlock_create_ruleset", { 0 } },
		{ "landlock_add_rule", { 0 } },
		{ "landlock_restrict_self", { 0 } },
	};
	static const struct forbidden threads[] = {
		{ "clone", { THREAD_FLAGS } },
		{ "clone", { THREAD_FLAGS | CLONE_DETACHED } },
	};
	unsigned int p;

	(void)state;
	for (p = 0; p < PROC_MAX; p++) {
		if ((P_ALL & PROC_BIT(p)) == 0)
			continue;
		refuses((enum proc)p, no, sizeof(no) / sizeof(no[0]));
		if (p != PROC_MESHD && p != PROC_SFTD)
			refuses((enum proc)p, others,
			    sizeof(others) / sizeof(others[0]));
		if (p != PROC_SFTD)
			refuses((enum proc)p, files,
			    sizeof(files) / sizeof(files[0]));
		if (p != PROC_SFTD && p != PROC_UNPACKD)
			refuses((enum proc)p, times,
			    sizeof(times) / sizeof(times[0]));
		if (p != PROC_UNPACKD)
			refuses((enum proc)p, confined_late,
			    sizeof(confined_late) / sizeof(confined_late[0]));
		if (p != PROC_XFERD)
			refuses((enum proc)p, threads,
			    sizeof(threads) / sizeof(threads[0]));
	}
}

static int
resolve(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NLINES; i++)
		numbers[i] = seccomp_syscall_resolve_name(lines[i].call);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_is_a_call),
		cmocka_unit_test(every_call_of_every_process),
		cmocka_unit_test(no_other_abi),
		cmocka_unit_test(never),
	};

	return cmocka_run_group_tests(tests, resolve, NULL);
}
