/* SPDX-License-Identifier: ISC */
/*
 * signame.c - "SIGSEGV" for SIGSEGV, in every C library.
 */
#include <signal.h>
#include <stddef.h>

#include "clawd/signame.h"

#define NAME(sig)                                                              \
	{                                                                      \
		sig, #sig                                                      \
	}

const char *
signame(int sig)
{
	static const struct {
		int sig;
		const char *name;
	} names[] = { NAME(SIGABRT), NAME(SIGALRM), NAME(SIGBUS), NAME(SIGCHLD),
		NAME(SIGCONT), NAME(SIGFPE), NAME(SIGHUP), NAME(SIGILL),
		NAME(SIGINT), NAME(SIGIO), NAME(SIGKILL), NAME(SIGPIPE),
		NAME(SIGPROF), NAME(SIGPWR), NAME(SIGQUIT), NAME(SIGSEGV),
		NAME(SIGSTOP), NAME(SIGSYS), NAME(SIGTERM), NAME(SIGTRAP),
		NAME(SIGTSTP), NAME(SIGTTIN), NAME(SIGTTOU), NAME(SIGURG),
		NAME(SIGUSR1), NAME(SIGUSR2), NAME(SIGVTALRM), NAME(SIGWINCH),
		NAME(SIGXCPU), NAME(SIGXFSZ) };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].sig == sig)
			return names[i].name;
	return "signal";
}
