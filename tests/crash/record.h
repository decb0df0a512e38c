/* SPDX-License-Identifier: ISC */
/*
 * record.h - a file that a test shares with processes whose writes it records,
 * and whose calls it lets fail.
 *
 * record.so, loaded before the C library, maps the file that $CRASH_RECORD
 * names before any sandbox closes; from then on recording takes no call but
 * fstat(2) and lseek(2) and no descriptor, so that it works in each of our
 * sandboxes. Several processes may share one file: records stand in the order
 * in which the calls came back. tests/lib/crash_test.py writes the head and
 * reads it all; integers are the machine's own.
 */
#ifndef TESTS_CRASH_RECORD_H
#define TESTS_CRASH_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

#define RECORD_MAGIC 0x3144524f43455231u
#define RECORD_HEAD 4096
#define RECORD_FAULTS 16
#define RECORD_ALIGN 8

enum record_call {
	RECORD_WRITE,	 /* inode, offset, data */
	RECORD_TRUNCATE, /* inode, offset: the new size */
	RECORD_ALLOCATE, /* inode, flags: fallocate(2)'s mode, offset, length */
	RECORD_FSYNC,	 /* inode, offset: where records stood when it began */
	RECORD_FDATASYNC,
	RECORD_SYNCFS, /* offset, likewise */
	RECORD_OPEN,   /* inode, dir and name, flags; with O_CREAT or O_TRUNC */
	RECORD_LINK,   /* inode, dir and name */
	RECORD_UNLINK, /* dir and name */
	RECORD_RENAME, /* dir and name, to dir2 and name2, flags */
	RECORD_MKDIR,  /* inode, dir and name */
	RECORD_MARK,   /* name: what the program said */
	RECORD_SYMLINK,	   /* dir and name; name2: where it leads */
	RECORD_ATTRIBUTES, /* inode: mode or times, which are not kept */
	RECORD_CALLS
};

#define RECORD_SHORT (-1) /* half is written; the next one finds no room */
#define RECORD_DIE (-2)	  /* the process ends before the call */

/* Whether the calls in a set fail in a process. */
struct record_fault {
	uint32_t calls; /* bits of enum record_call; 0: an empty slot */
	int32_t error;	/* errno, RECORD_SHORT or RECORD_DIE */
	uint64_t first; /* the first one that fails, from 1 */
	uint64_t last;	/* and the last */
	_Atomic uint64_t seen;
	char process[16]; /* "": any */
};

struct record_head {
	uint64_t magic;
	uint64_t size;	       /* of the file */
	uint64_t device;       /* st_dev of what is recorded */
	_Atomic uint64_t tail; /* where the next record goes */
	_Atomic uint64_t lost; /* for want of room */
	struct record_fault faults[RECORD_FAULTS];
	_Atomic int64_t ahead_s; /* added to CLOCK_MONOTONIC */
	/* After a message of that type (0: none) this packet is sent, too. */
	_Atomic uint32_t after;
	uint32_t packet_len;
	uint8_t packet[2048];
};

_Static_assert(sizeof(struct record_head) <= RECORD_HEAD, "room for a head");

struct record {
	_Atomic uint32_t ready; /* 1: all of it is there */
	uint32_t call;
	uint64_t size; /* of the whole record */
	int32_t error; /* errno, 0: the call succeeded */
	uint32_t pid;
	uint64_t inode, dir, dir2;
	uint64_t offset, length;
	uint32_t flags;
	uint16_t name_len, name2_len; /* then name, name2, data */
};

/* crash_test.py has these numbers, too. */
_Static_assert(sizeof(struct record_fault) == 48, "a fault");
_Static_assert(sizeof(struct record) == 72, "a record");

#endif
