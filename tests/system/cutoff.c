/* SPDX-License-Identifier: ISC */
/*
 * cutoff.c - ends a program just before the N-th of its calls that would leave
 * a trace: on the disk, or in another process.
 *
 *	cutoff N PROGRAM ARGUMENT...
 *	cutoff N -p PID
 *
 * The second form takes a process that runs, says "ready" when it has it, and
 * counts what it does to the disk alone.
 *
 * If the program comes to its end before, the number of such calls is the last
 * line of standard error and the program's status is ours; 99: it was cut off.
 * Its children are not followed, a sandbox does not suffer that; they see that
 * it has gone. By ptrace(2), so that the program is the one that is installed;
 * started by root.
 */
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

__attribute__((noreturn)) static void
die(const char *what)
{
	fprintf(stderr, "cutoff: %s: %s\n", what, strerror(errno));
	exit(98);
}

static bool disk_alone;

static bool
leaves_a_trace(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec v = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v) == -1)
		return false;
#if defined(__x86_64__)
	long number = (long)regs.orig_rax;
	unsigned long first = regs.rdi;
#elif defined(__aarch64__)
	long number = (long)regs.regs[8];
	unsigned long first = regs.regs[0];
#else
#error "which registers hold the call?"
#endif
	switch (number) {
	case SYS_write:
		return first > 2 && !disk_alone;
	case SYS_pwrite64:
		return disk_alone;
#ifdef SYS_link
	case SYS_link:
	case SYS_unlink:
	case SYS_rename:
	case SYS_mkdir:
#endif
	case SYS_linkat:
	case SYS_unlinkat:
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_mkdirat:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_fchmod:
	case SYS_fchown:
		return true;
	case SYS_sendmsg:
	case SYS_connect:
		return !disk_alone;
	default:
		return false;
	}
}

/* To its end, or to the call. */
static int
follow(pid_t pid, unsigned long most)
{
	unsigned long seen = 0;
	bool inside = false;
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			inside = !inside;
			if (inside && leaves_a_trace(pid) && ++seen == most) {
				kill(pid, SIGKILL);
				waitpid(pid, &status, 0);
				return 99;
			}
		}
		(void)ptrace(PTRACE_SYSCALL, pid, NULL,
		    (void *)(long)(status >> 16 == 0 &&
				WSTOPSIG(status) != (SIGTRAP | 0x80) ?
			    WSTOPSIG(status) :
			    0));
	}
	fprintf(stderr, "%lu\n", seen);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

/* A process that runs. */
static int
attach(pid_t pid, unsigned long most)
{
	disk_alone = true;
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) == -1 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == -1)
		die("cannot follow it");
	puts("ready");
	fflush(stdout);
	return follow(pid, most);
}

int
main(int argc, char **argv)
{
	unsigned long most;
	pid_t pid;
	int status;

	if (argc < 3 || (strcmp(argv[2], "-p") == 0 && argc != 4)) {
		fprintf(stderr,
		    "usage: cutoff N PROGRAM ARGUMENT...\n"
		    "       cutoff N -p PID\n");
		return 64;
	}
	most = strtoul(argv[1], NULL, 10);
	if (strcmp(argv[2], "-p") == 0)
		return attach((pid_t)strtol(argv[3], NULL, 10), most);
	pid = fork();
	if (pid == 0) {
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		die(argv[2]);
	}
	if (pid == -1 || waitpid(pid, &status, WUNTRACED) != pid ||
	    ptrace(PTRACE_SEIZE, pid, NULL, OPTIONS) == -1)
		die("cannot follow it");
	kill(pid, SIGCONT);
	(void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	return follow(pid, most);
}
