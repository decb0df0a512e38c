/* SPDX-License-Identifier: ISC */
/*
 * inject.c - makes a process of a running node do what it never would.
 *
 *	inject call PID	the process makes one system call that its sandbox
 *			forbids (personality(2)), as one that was taken over
 *	inject hold PID	the process runs no further, and its parent is told
 *			of no stop; until inject itself is ended
 *
 * From outside, by ptrace(2), so that the processes tested are those that are
 * installed. For tests; started by root.
 */
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((noreturn)) static void
die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
stop(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == -1 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == -1 ||
	    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die("cannot be stopped");
}

/*
 * It waits in a system call: the instruction before is one that makes one.
 * Once more, with another number.
 */
static void
call(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec v = { &regs, sizeof(regs) };

	stop(pid);
	if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v) == -1)
		die("registers");
#if defined(__x86_64__)
	regs.orig_rax = (unsigned long long)-1;
	regs.rax = SYS_personality;
	regs.rip -= 2;
#elif defined(__aarch64__)
	int none = -1;
	struct iovec nr = { &none, sizeof(none) };

	regs.regs[8] = SYS_personality;
	regs.pc -= 4;
	(void)ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &nr);
#else
	errno = ENOSYS;
	die("this machine");
#endif
	if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &v) == -1 ||
	    ptrace(PTRACE_DETACH, pid, NULL, NULL) == -1)
		die("registers");
}

int
main(int argc, char **argv)
{
	pid_t pid = argc == 3 ? (pid_t)atoi(argv[2]) : 0;
	int status;

	if (pid <= 0) {
		fputs("usage: inject call|hold PID\n", stderr);
		return 64;
	}
	if (strcmp(argv[1], "call") == 0) {
		call(pid);
		return 0;
	}
	stop(pid);
	puts("held");
	fflush(stdout);
	/* The tracer hears of the end first, and has to take note of it. */
	while (waitpid(pid, &status, 0) == pid)
		if (!WIFSTOPPED(status))
			return 0;
	return 1;
}
