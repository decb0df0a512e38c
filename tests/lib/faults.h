/* SPDX-License-Identifier: ISC */
/*
 * faults.h - a page that a test shares with a process whose world it bends.
 *
 * faults.so, loaded before the C library into the real keyd or auditd, maps
 * the file that $FAULTS names before the sandbox closes. What stands in it at
 * the moment of a call decides: by how much a clock is wrong, which call
 * fails from when on, and before which call the process ends.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdint.h>

enum fault_call {
	FAULT_PWRITE,
	FAULT_FDATASYNC,
	FAULT_FSYNC,
	FAULT_FALLOCATE,
	FAULT_RENAMEAT,
	FAULT_FTRUNCATE,
	FAULT_CALLS
};

#define FAULT_SHORT (-1) /* pwrite: half is written, then ENOSPC */

struct faults {
	int64_t wall_ms; /* added to CLOCK_REALTIME */
	int64_t boot_ms; /* added to CLOCK_BOOTTIME */
	struct {
		uint64_t seen;	/* calls so far */
		uint64_t first; /* the first one that fails; 0: none does */
		uint64_t last;	/* the last one that fails */
		int64_t error;	/* errno, or FAULT_SHORT */
	} call[FAULT_CALLS];
	/* What leaves a trace, on the disk or in another process. */
	uint64_t traces; /* so far */
	uint64_t cut_at; /* its end comes just before this one; 0: it goes on */
};

#endif
