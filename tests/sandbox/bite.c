/* SPDX-License-Identifier: ISC */
/*
 * bite.c - one process, one sandbox, one forbidden act.
 *
 *	bite PROCESS LAYERS ACT DIR SIBLING [UID]
 *
 * drops like a child of clawd (to UID where it is root), executes itself,
 * enters the sandbox of PROCESS with LAYERS (names joined by "+", or "all"),
 * and tries ACT. It prints "done" or the errno's name and exits 0; where the
 * sandbox kills, the signal is the answer. It exits 78 with the reason where
 * the sandbox could not be entered, 77 where a layer asked for by name cannot
 * be had in these surroundings.
 *
 * DIR has data/ (given to auditd, attestd and sftd for writing),
 * data/file, outside/ and outside/key, and listens on outside/sock. SIBLING is
 * a process id to be harmed. ACT "attack" tries to read SIBLING from outside
 * any sandbox, "stay" prints "ready" and waits to be looked at.
 */
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"

/* Numbers that older headers lack; the same on every architecture. */
#define NR_PIDFD_OPEN 434
#define NR_PIDFD_GETFD 438
#define NR_CLONE3 435
#define NR_IO_URING_SETUP 425
#define X32_BIT 0x40000000

/* Made before the sandbox is entered, used after. */
static struct {
	const char *dir;
	pid_t sibling;
	int data; /* DIR/data */
	int file; /* DIR/data/file, open for writing */
	int pipe[2];
	int un;	  /* a unix socket, not connected */
	int inet; /* a TCP socket, not connected */
	char sock[512];
	char key[512];
	char private[512];
	char made[512];
	char file_path[512];
	char page[4096];
} held;

static long
nothing(void)
{
	return 0;
}

/* What a thread is held by is its own; that all agree is to be shown. */
static long
own_walls(void)
{
	errno = EPERM;
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 &&
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ?
	    0 :
	    -1;
}

static long
wx_mmap(void)
{
	return (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long
x_mmap(void)
{
	return (long)mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);
}

static long
mprotect_x(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long
act_execve(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	return execve("/bin/true", argv, argv + 1);
}

static long
execveat_fd(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	return syscall(SYS_execveat, held.file, "", argv, argv + 1,
	    AT_EMPTY_PATH);
}

static long
socket_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long
socket_inet6(void)
{
	return socket(AF_INET6, SOCK_DGRAM, 0);
}

static long
socket_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static long
socket_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
}

static long
socket_sctp(void)
{
	return socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
}

static long
listen_tcp(void)
{
	return listen(held.inet, 1);
}

static long
act_shutdown(void)
{
	return shutdown(held.inet, SHUT_WR);
}

static long
socket_unix(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET, 0);
}

static long
socket_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static long
act_socketpair(void)
{
	int sv[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
}

/*
 * A new socket where the sandbox still gives one, because that belongs to the
 * network namespace we are in now; else the one from before.
 */
static int
best_socket(int family, int before)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd != -1 ? fd : before;
}

static long
connect_unix(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	size_t n = strlen(held.sock);

	if (n >= sizeof(sun.sun_path))
		n = sizeof(sun.sun_path) - 1;
	memcpy(sun.sun_path, held.sock, n);
	return connect(best_socket(AF_UNIX, held.un), (struct sockaddr *)&sun,
	    sizeof(sun));
}

/* The abstract name that test_sandbox.py listens on. */
static long
connect_abstract(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(held.sock);

	if (n > sizeof(sun.sun_path) - 2)
		n = sizeof(sun.sun_path) - 2;
	memcpy(sun.sun_path + 1, held.sock, n);
	return connect(best_socket(AF_UNIX, held.un), (struct sockaddr *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
}

static void
loopback(struct sockaddr_in *sin)
{
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static long
connect_tcp(void)
{
	struct sockaddr_in sin;

	loopback(&sin);
	sin.sin_port = htons(9);
	return connect(best_socket(AF_INET, held.inet), (struct sockaddr *)&sin,
	    sizeof(sin));
}

static long
bind_tcp(void)
{
	struct sockaddr_in sin;

	loopback(&sin);
	return bind(best_socket(AF_INET, held.inet), (struct sockaddr *)&sin,
	    sizeof(sin));
}

static long
fastopen(void)
{
	struct sockaddr_in sin;

	loopback(&sin);
	sin.sin_port = htons(9);
	return sendto(held.inet, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	    (struct sockaddr *)&sin, sizeof(sin));
}

static long
open_passwd(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static long
open_passwd_beneath(void)
{
	return syscall(SYS_openat, held.data, "../outside/key",
	    O_RDONLY | O_CLOEXEC);
}

static long
open_key(void)
{
	return syscall(SYS_openat, AT_FDCWD, held.key, O_RDONLY);
}

static long
open_private(void)
{
	return syscall(SYS_openat, AT_FDCWD, held.private, O_RDONLY);
}

static long
open_mem(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)held.sibling);
	return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
}

static long
write_outside(void)
{
	return syscall(SYS_openat, AT_FDCWD, held.made,
	    O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static long
write_inside(void)
{
	return syscall(SYS_openat, held.data, "made",
	    O_WRONLY | O_CREAT | O_APPEND, 0600);
}

static long
open_truncating(void)
{
	return syscall(SYS_openat, held.data, "made",
	    O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

static long
punch_hole(void)
{
	return fallocate(held.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    0, 1);
}

static long
shared_map(void)
{
	return (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
	    held.file, 0);
}

static long
cut_back(void)
{
	return ftruncate(held.file, 1);
}

static long
read_inside(void)
{
	return syscall(SYS_openat, held.data, "file", O_RDONLY | O_CLOEXEC);
}

static long
list(void)
{
	return syscall(SYS_getdents64, held.data, held.page, 4096);
}

static long
rename_out(void)
{
	return renameat(held.data, "file", AT_FDCWD, held.made);
}

static long
act_unlink(void)
{
	return unlink(held.key);
}

static long
act_chmod(void)
{
	return fchmod(held.file, 0644);
}

static long
grow(void)
{
	return pwrite(held.file, "x", 1, 1 << 20);
}

static long
stdio_log(void)
{
	return fprintf(stderr, "%s", "") == 0 ? 0 : -1;
}

static long
act_ptrace(void)
{
	return ptrace(PTRACE_SEIZE, held.sibling, NULL, NULL);
}

static long
traceme(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long
act_kill(void)
{
	return kill(held.sibling, SIGWINCH);
}

static long
act_tgkill(void)
{
	return syscall(SYS_tgkill, held.sibling, held.sibling, SIGWINCH);
}

static long
tgkill_abort(void)
{
	return syscall(SYS_tgkill, held.sibling, held.sibling, SIGABRT);
}

static long
sigqueue_sibling(void)
{
	return sigqueue(held.sibling, SIGWINCH, (union sigval){ 0 });
}

static long
act_abort(void)
{
	abort();
}

static long
setown(void)
{
	return fcntl(held.pipe[0], F_SETOWN, held.sibling);
}

static long
setsig(void)
{
	return fcntl(held.pipe[0], F_SETSIG, SIGKILL);
}

static long
o_async(void)
{
	return fcntl(held.pipe[0], F_SETFL, O_ASYNC | O_NONBLOCK);
}

static long
nonblock(void)
{
	return fcntl(held.pipe[0], F_SETFL, O_NONBLOCK);
}

static long
fiosetown(void)
{
	int pid = held.sibling;

	return ioctl(held.un, FIOSETOWN, &pid);
}

static long
siocspgrp(void)
{
	int pid = held.sibling;

	return ioctl(held.un, SIOCSPGRP, &pid);
}

static long
tiocsti(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static long
vm_readv(void)
{
	struct iovec l = { held.page, 16 }, r = { held.page, 16 };

	return process_vm_readv(held.sibling, &l, 1, &r, 1, 0);
}

static long
pidfd_open_sibling(void)
{
	return syscall(NR_PIDFD_OPEN, held.sibling, 0);
}

static long
pidfd_getfd_sibling(void)
{
	/* 38: F_PIDFD of the parent, see main(). */
	return syscall(NR_PIDFD_GETFD, 38, 2, 0);
}

static long
io_uring(void)
{
	return syscall(NR_IO_URING_SETUP, 1, held.page);
}

static long
act_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static long
act_clone3(void)
{
	long pid;
	uint64_t args[11] = { 0 };

	args[4] = SIGCHLD;
	if ((pid = syscall(NR_CLONE3, args, sizeof(args))) == 0)
		_exit(0);
	return pid;
}

/* What pthread_create(3) does, so far as the kernel sees it. */
#define THREAD                                                                 \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |    \
	    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |               \
	    CLONE_CHILD_CLEARTID)

static void *
thread_of(void *act)
{
	struct {
		long (*run)(void);
		long rv;
		int error;
	} *a = act;

	a->rv = a->run();
	a->error = errno;
	return NULL;
}

/* The act, not by the process's first thread but by one that it makes. */
static long
in_thread(long (*run)(void))
{
	struct {
		long (*run)(void);
		long rv;
		int error;
	} a = { run, -1, 0 };
	pthread_t t;

	if ((errno = pthread_create(&t, NULL, thread_of, &a)) != 0 ||
	    (errno = pthread_join(t, NULL)) != 0)
		return -1;
	errno = a.error;
	return a.rv;
}

static long
thread_nothing(void)
{
	return in_thread(nothing);
}

static long
thread_fork(void)
{
	return in_thread(act_fork);
}

static long
thread_execve(void)
{
	return in_thread(act_execve);
}

static long
thread_open(void)
{
	return in_thread(open_passwd);
}

static long
thread_socket(void)
{
	return in_thread(socket_inet);
}

static long
thread_connect(void)
{
	return in_thread(connect_unix);
}

static long
thread_kill(void)
{
	return in_thread(act_kill);
}

/* /proc has a line for each thread; here it is the kernel that is asked. */
static long
thread_filter(void)
{
	return in_thread(own_walls);
}

/* Nearly a thread: a process that shares all the rest. */
static long
clone_process(void)
{
	return syscall(SYS_clone, THREAD & ~CLONE_THREAD, NULL, NULL, NULL,
	    NULL);
}

static long
clone_namespace(void)
{
	return syscall(SYS_clone, THREAD | CLONE_NEWUSER, NULL, NULL, NULL,
	    NULL);
}

static long
act_vfork(void)
{
	return syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL,
	    NULL, NULL);
}

static long
act_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static long
userfaultfd(void)
{
	return syscall(SYS_userfaultfd, 1);
}

static long
act_bpf(void)
{
	return syscall(SYS_bpf, 0, held.page, 64);
}

static long
act_keyctl(void)
{
	return syscall(SYS_keyctl, 0, -3, 1);
}

static long
perf_event(void)
{
	return syscall(SYS_perf_event_open, held.page, 0, -1, -1, 0);
}

static long
act_setuid(void)
{
	return setuid(0);
}

static long
setuid_one(void)
{
	return setuid(1);
}

static long
prlimit_sibling(void)
{
	struct rlimit r = { 0, 0 };

	return prlimit(held.sibling, RLIMIT_CORE, &r, NULL);
}

static long
prlimit_read(void)
{
	struct rlimit r;

	return prlimit(0, RLIMIT_NOFILE, NULL, &r);
}

static long
be_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long
pdeathsig(void)
{
	int sig = 0;

	return prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGKILL ? 0 : -1;
}

static long
act_memfd(void)
{
	return memfd_create("x", 0);
}

static long
handle(void)
{
	return syscall(SYS_open_by_handle_at, AT_FDCWD, held.page, 0);
}

static long
act_mount(void)
{
	return syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL);
}

static long
x32_call(void)
{
#ifdef __x86_64__
	return syscall(X32_BIT + SYS_getpid);
#else
	return syscall(0x7fffffff);
#endif
}

static long
i386_call(void)
{
#ifdef __x86_64__
	long rv;

	/* getpid of i386 is writev's neighbour here: 20. */
	__asm__ volatile("int $0x80" : "=a"(rv) : "a"(20L) : "memory");
	if (rv < 0) {
		errno = (int)-rv;
		return -1;
	}
	return rv;
#else
	return syscall(0x7fffffff);
#endif
}

static long
resolver(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/etc/resolv.conf", O_RDONLY);
}

static long
stay(void)
{
	char c;

	if (printf("ready\n") < 0 || fflush(stdout) != 0)
		return -1;
	return read(0, &c, 1);
}

static const struct {
	const char *name;
	long (*act)(void);
} acts[] = {
#define ACT(name, fn)                                                          \
	{                                                                      \
		name, fn                                                       \
	}
	ACT("wx-mmap", wx_mmap),
	ACT("x-mmap", x_mmap),
	ACT("mprotect-x", mprotect_x),
	ACT("execve", act_execve),
	ACT("execveat", execveat_fd),
	ACT("socket-inet", socket_inet),
	ACT("socket-inet6", socket_inet6),
	ACT("socket-udp", socket_udp),
	ACT("socket-raw", socket_raw),
	ACT("socket-sctp", socket_sctp),
	ACT("listen-tcp", listen_tcp),
	ACT("shutdown", act_shutdown),
	ACT("socket-unix", socket_unix),
	ACT("socket-netlink", socket_netlink),
	ACT("socketpair", act_socketpair),
	ACT("connect-unix", connect_unix),
	ACT("connect-abstract", connect_abstract),
	ACT("connect-tcp", connect_tcp),
	ACT("bind-tcp", bind_tcp),
	ACT("fastopen", fastopen),
	ACT("open-passwd", open_passwd),
	ACT("open-dotdot", open_passwd_beneath),
	ACT("open-key", open_key),
	ACT("open-private", open_private),
	ACT("open-mem", open_mem),
	ACT("resolver", resolver),
	ACT("write-outside", write_outside),
	ACT("write-inside", write_inside),
	ACT("open-truncating", open_truncating),
	ACT("punch-hole", punch_hole),
	ACT("shared-map", shared_map),
	ACT("cut-back", cut_back),
	ACT("read-inside", read_inside),
	ACT("list", list),
	ACT("rename-out", rename_out),
	ACT("unlink", act_unlink),
	ACT("fchmod", act_chmod),
	ACT("grow", grow),
	ACT("stdio", stdio_log),
	ACT("ptrace", act_ptrace),
	ACT("traceme", traceme),
	ACT("kill", act_kill),
	ACT("tgkill", act_tgkill),
	ACT("tgkill-abort", tgkill_abort),
	ACT("sigqueue", sigqueue_sibling),
	ACT("abort", act_abort),
	ACT("setown", setown),
	ACT("setsig", setsig),
	ACT("o-async", o_async),
	ACT("nonblock", nonblock),
	ACT("fiosetown", fiosetown),
	ACT("siocspgrp", siocspgrp),
	ACT("tiocsti", tiocsti),
	ACT("vm-readv", vm_readv),
	ACT("pidfd-open", pidfd_open_sibling),
	ACT("pidfd-getfd", pidfd_getfd_sibling),
	ACT("io-uring", io_uring),
	ACT("fork", act_fork),
	ACT("clone3", act_clone3),
	ACT("thread", thread_nothing),
	ACT("thread-walls", thread_filter),
	ACT("thread-fork", thread_fork),
	ACT("thread-execve", thread_execve),
	ACT("thread-open", thread_open),
	ACT("thread-socket", thread_socket),
	ACT("thread-connect", thread_connect),
	ACT("thread-kill", thread_kill),
	ACT("clone-process", clone_process),
	ACT("clone-namespace", clone_namespace),
	ACT("vfork", act_vfork),
	ACT("unshare", act_unshare),
	ACT("userfaultfd", userfaultfd),
	ACT("bpf", act_bpf),
	ACT("keyctl", act_keyctl),
	ACT("perf-event", perf_event),
	ACT("setuid", act_setuid),
	ACT("setuid-one", setuid_one),
	ACT("prlimit", prlimit_sibling),
	ACT("prlimit-read", prlimit_read),
	ACT("be-dumpable", be_dumpable),
	ACT("pdeathsig", pdeathsig),
	ACT("memfd", act_memfd),
	ACT("open-by-handle", handle),
	ACT("mount", act_mount),
	ACT("x32", x32_call),
	ACT("i386", i386_call),
	ACT("stay", stay),
	ACT("nothing", nothing),
#undef ACT
};

static void
die(int status, const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
	_exit(status);
}

static void
path(char *buf, size_t size, const char *name)
{
	int n = snprintf(buf, size, "%s/%s", held.dir, name);

	if (n < 0 || (size_t)n >= size)
		die(64, "path too long");
}

/* The answer, in one write so that a stricter limit cannot cut it. */
static void
say(long rv)
{
	char line[64];
	int n, e = errno;

	n = snprintf(line, sizeof(line), "%s\n",
	    rv != -1 ? "done" : strerrorname_np(e));
	_exit(write(1, line, (size_t)n) == n ? 0 : 74);
}

static uint32_t
layers_by_name(char *names)
{
	uint32_t set = 0;
	unsigned int i;
	char *one, *rest = names;

	if (strcmp(names, "all") == 0)
		return SANDBOX_ALL;
	while ((one = strsep(&rest, "+")) != NULL) {
		for (i = 0; i < LAYER_MAX; i++)
			if (strcmp(one,
				sandbox_layer_name((enum sandbox_layer)i)) == 0)
				break;
		if (i == LAYER_MAX)
			die(64, "no such layer");
		set |= SANDBOX_BIT(i);
	}
	return set;
}

/* From outside any sandbox: which ways into the sibling are open? */
static void
attack(void)
{
	long r[4];
	int e[4], pidfd;
	size_t i;

	pidfd = (int)syscall(NR_PIDFD_OPEN, held.sibling, 0);
	r[0] = syscall(NR_PIDFD_GETFD, pidfd, 2, 0), e[0] = errno;
	r[1] = open_mem(), e[1] = errno;
	r[2] = vm_readv(), e[2] = errno;
	r[3] = act_ptrace(), e[3] = errno;
	for (i = 0; i < 4; i++)
		printf("%s%s", i > 0 ? " " : "",
		    r[i] != -1 ? "done" : strerrorname_np(e[i]));
	printf("\n");
}

static void
prepare(const char *dir, const char *sibling)
{
	char data[512];

	held.dir = dir;
	held.sibling = (pid_t)atoi(sibling);
	path(data, sizeof(data), "data");
	path(held.sock, sizeof(held.sock), "outside/sock");
	path(held.key, sizeof(held.key), "outside/key");
	path(held.private, sizeof(held.private), "outside/private");
	path(held.made, sizeof(held.made), "outside/made");
	path(held.file_path, sizeof(held.file_path), "data/file");
	held.data = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	held.file = open(held.file_path, O_RDWR | O_CLOEXEC);
	held.un = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	held.inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (held.data == -1 || held.file == -1 || held.un == -1 ||
	    held.inet == -1 || pipe2(held.pipe, O_CLOEXEC) == -1)
		die(64, "cannot prepare");
	if (dup2((int)syscall(NR_PIDFD_OPEN, held.sibling, 0), 38) == -1)
		die(64, "no such sibling");
}

/* A thread that does nothing, started before the sandbox is entered. */
static int
idle(void *arg)
{
	while (arg == NULL)
		pause();
	return 0;
}

static void
start_thread(void)
{
	static char stack[65536] __attribute__((aligned(16)));

	if (clone(idle, stack + sizeof(stack),
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		    CLONE_THREAD | CLONE_SYSVSEM,
		NULL) == -1)
		die(64, "cannot start a thread");
}

static int
enter(enum proc self, uint32_t layers, const char *given)
{
	const struct sandbox_dir dir = { held.data, SANDBOX_DIR_RW };
	struct sandbox_given told;
	struct sandbox_report rep;
	size_t n = 0;

	if (self == PROC_AUDITD || self == PROC_ATTESTD || self == PROC_SFTD)
		n = 1;
	/* It may connect: what counts is what it can make a socket of. */
	if (self == PROC_MESHD || self == PROC_SFTD)
		held.un = -1;
	if (getenv("BITE_THREAD") != NULL)
		start_thread();
	if (sandbox_given_parse(given, &told) != 0)
		die(64, "bad sandbox argument");
	if (sandbox_enter(self, &told, &dir, n, layers, &rep) != 0)
		die(78, rep.text);
	/* What was asked for and silently not had would prove nothing. */
	if (layers != SANDBOX_ALL && rep.missing != 0)
		die(77, "not to be had here");
	return sandbox_tighten(self, &rep);
}

/* Stay behind as the tracer of what goes on; its status is ours. */
static void
trace_the_rest(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (traceme() == -1)
			die(64, "cannot be traced");
		return;
	}
	while (pid != -1 && waitpid(pid, &status, 0) == pid) {
		if (WIFEXITED(status))
			_exit(WEXITSTATUS(status));
		if (!WIFSTOPPED(status) ||
		    ptrace(PTRACE_CONT, pid, NULL, NULL) == -1)
			break;
	}
	_exit(64);
}

/* The part that clawd plays, then the program itself. */
static void
born(enum proc self, char *argv[], uint32_t layers, const char *uid)
{
	struct sandbox_given given;
	struct sandbox_report rep;
	char text[SANDBOX_GIVEN_SIZE];
	char *args[9];
	int i;

	/* Tests claim other surroundings, to see what is then missed. */
	if (getenv("BITE_SURROUNDING") != NULL)
		sandbox_surrounding_set(
		    (enum sandbox_surrounding)atoi(getenv("BITE_SURROUNDING")));
	if (getenv("BITE_TRACED") != NULL)
		trace_the_rest();
	sandbox_given_init(&given);
	if (sandbox_child_drop(self, (uid_t)atoi(uid), (gid_t)atoi(uid),
		getppid(), layers, &given, &rep) != 0)
		die(78, rep.text);
	if (sandbox_given_format(&given, text, sizeof(text)) != 0)
		die(64, "cannot format");
	for (i = 0; i < 6; i++)
		args[i] = argv[i];
	args[6] = (char *)(uintptr_t) "0";
	args[7] = text;
	args[8] = NULL;
	execv(argv[0], args);
	die(64, "cannot execute itself");
}

int
main(int argc, char *argv[])
{
	enum proc self;
	uint32_t layers;
	char *names;
	size_t i;

	if (argc < 6)
		die(64, "usage: bite PROCESS LAYERS ACT DIR SIBLING [UID]");
	self = proc_by_name(argv[1]);
	if ((names = strdup(argv[2])) == NULL)
		die(64, "no memory");
	layers = layers_by_name(names);
	if (argc < 8 && strcmp(argv[3], "attack") != 0)
		born(self, argv, layers, argc > 6 ? argv[6] : "0");
	held.sibling = (pid_t)atoi(argv[5]);
	if (strcmp(argv[3], "attack") == 0) {
		attack();
		return 0;
	}
	prepare(argv[4], argv[5]);
	if (enter(self, layers, argv[7]) != 0)
		die(78, "cannot tighten");
	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(argv[3], acts[i].name) == 0)
			say(acts[i].act());
	die(64, "no such act");
}
