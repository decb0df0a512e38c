/* SPDX-License-Identifier: ISC */
/*
 * signame.h - "SIGSEGV" for SIGSEGV, in every C library.
 */
#ifndef CLAW_CLAWD_SIGNAME_H
#define CLAW_CLAWD_SIGNAME_H

/* "signal" for a number that has no name here. */
const char *signame(int sig);

#endif
