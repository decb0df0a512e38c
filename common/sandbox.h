/* SPDX-License-Identifier: ISC */
/*
 * sandbox.h - how a process of the house gives up what it does not need.
 *
 * What is given up is not decided here. It stands in policy/:
 *
 *	layers.def	which layer has to hold in which surrounding
 *	syscalls.def	which system call a process may make, and why
 *	limits.def	resource limits
 *	probes.def	what a process tries, to prove that it is confined
 *
 * Two moments matter. clawd calls sandbox_child_drop() between fork and exec:
 * that takes the privilege. The process itself calls sandbox_enter() once,
 * when it is set up and before it has read a byte from anybody else: that
 * takes the rest, probes the result, and fails closed. There is no way back
 * out of either.
 */
#ifndef CLAW_COMMON_SANDBOX_H
#define CLAW_COMMON_SANDBOX_H

#include <sys/types.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/proc.h"

/* A layer of confinement: LAYER_NO_NEW_PRIVS, LAYER_SECCOMP... */
enum sandbox_layer {
#define LAYER(id, name, root, user, systemd, container, why) LAYER_##id,
#include "policy/layers.def"
#undef LAYER
	LAYER_MAX
};

/* Where a node runs, as far as it decides which layers can be had. */
enum sandbox_surrounding {
	SURROUNDING_ROOT,      /* started by root on a plain host */
	SURROUNDING_USER,      /* started by a normal user, anywhere */
	SURROUNDING_SYSTEMD,   /* started by root as a unit of systemd */
	SURROUNDING_CONTAINER, /* started by a container's root */
	SURROUNDING_MAX
};

/* How much a layer is needed in a surrounding. */
enum sandbox_need {
	NEED_NO,     /* not asked for */
	NEED_TRY,    /* installed if the surrounding lets us, else reported */
	NEED_KERNEL, /* has to hold wherever the kernel has it */
	NEED_MUST    /* has to hold, or the process does not run */
};

/* A probe: PROBE_CANARY, PROBE_OPEN_ROOT... */
enum sandbox_probe {
#define PROBE(id, name, layer, procs, why) PROBE_##id,
#include "policy/probes.def"
#undef PROBE
	PROBE_MAX
};

/* Bit of a layer or of a probe in a set of them. */
#define SANDBOX_BIT(n) ((uint32_t)1 << (unsigned int)(n))

/* Every layer. What production asks for; tests take single ones away. */
#define SANDBOX_ALL (SANDBOX_BIT(LAYER_MAX) - 1)

/* What may be done below a directory that is held open. */
enum sandbox_rights {
	SANDBOX_DIR_RO, /* read files, list directories */
	SANDBOX_DIR_RW	/* also create, write, rename, remove */
};

struct sandbox_dir {
	int fd;
	enum sandbox_rights rights;
};

/*
 * What clawd tells a process about its birth: what it has already taken from
 * it, and from which namespaces it comes (inode numbers of /proc/self/ns/...,
 * 0 where clawd could not tell). Travels as one argument of exec.
 */
struct sandbox_given {
	enum sandbox_surrounding surrounding;
	uint32_t layers; /* layers in force at exec */
	uid_t uid;	 /* clawd's own user */
	uint64_t netns;
	uint64_t ipcns;
	uint64_t utsns;
	bool user_ns; /* a normal user's namespaces were tried, and work */
};

/* Room for sandbox_given_format(), with its NUL. */
#define SANDBOX_GIVEN_SIZE 160

/* What came of it. Written whether sandbox_enter() succeeds or not. */
struct sandbox_report {
	enum sandbox_surrounding surrounding;
	uint32_t layers;  /* layers in force */
	uint32_t missing; /* asked for and not had; none was needed */
	uint32_t passed;  /* probes that found the wall */
	uint32_t failed;  /* probes that found a hole */
	int landlock_abi; /* 0: this kernel has none */
	bool insecure;	  /* sanitizer build without a sandbox */
	char text[256];	  /* why it failed, for a person; else "" */
};

/* --- clawd's side ------------------------------------------------------ */

/*
 * The surrounding of this process: its user, INVOCATION_ID and NOTIFY_SOCKET,
 * /run/.containerenv, /.dockerenv and the environment's "container".
 */
enum sandbox_surrounding sandbox_surrounding(void);

/* The same from given facts (pure). */
enum sandbox_surrounding
sandbox_surrounding_from(uid_t uid, bool systemd, bool container);

/* From now on sandbox_surrounding() answers this. For tests. */
void sandbox_surrounding_set(enum sandbox_surrounding s);

/*
 * Fill in what a child is told: surrounding, own uid, own namespaces, no
 * layers yet. Call it once, before the first fork.
 */
void sandbox_given_init(struct sandbox_given *given);

/*
 * Between fork and exec. As root, in this order: namespaces of its own where
 * the process has no network, an empty bounding set, the groups, gid and uid
 * given, proof that root cannot be had back, empty capabilities. As a normal
 * user there is nothing to take yet (sandbox_enter() makes the namespaces,
 * for the reason given there) and uid and gid are not looked at. In both
 * cases at last PR_SET_PDEATHSIG, which a change of user clears.
 *
 * self: the process about to be executed; parent: clawd's pid, so that a
 * parent that died meanwhile is noticed; layers: SANDBOX_ALL; given: as
 * filled in by sandbox_given_init(), its "layers" is added to.
 *
 * Async-signal-safe apart from the formatting of rep->text. Returns 0, or a
 * negative errno with rep->text naming the layer: the child must _exit.
 */
int sandbox_child_drop(enum proc self, uid_t uid, gid_t gid, pid_t parent,
    uint32_t layers, struct sandbox_given *given, struct sandbox_report *rep);

/* One argument's worth of text, or -ENOSPC. */
int
sandbox_given_format(const struct sandbox_given *given, char *buf, size_t size);

/* --- the process's side ------------------------------------------------ */

/* Read back what clawd wrote. 0 or -EINVAL. */
int sandbox_given_parse(const char *text, struct sandbox_given *given);

/*
 * Enter the sandbox of process "self", once, single-threaded, and not yet
 * made non-dumpable by other means (a normal user could then not map itself
 * into its user namespace).
 *
 * given: what clawd told us; NULL for a process that clawd did not start.
 * dirs: the directories descriptors.def names, already open; nothing else of
 * the file system stays reachable. layers: SANDBOX_ALL in production.
 *
 * Returns 0 when every layer that policy/layers.def asks for here holds and
 * every probe found its wall. Otherwise a negative errno, rep->text says which
 * layer or probe and why; some layers may already be in force, and the caller
 * must exit (78, after writing the text to the log).
 */
int sandbox_enter(enum proc self, const struct sandbox_given *given,
    const struct sandbox_dir *dirs, size_t ndirs, uint32_t layers,
    struct sandbox_report *rep);

/*
 * A process of which descriptors.def says that its directory comes late has
 * it now: below it it may make, write and remove, and nowhere else. Before a
 * byte of what is to be written there is read. 0 (also where this kernel has
 * no Landlock) or a negative errno.
 */
int sandbox_enter_dir(int dir);

/*
 * Take away what only start-up needed (the LATER lines of syscalls.def), by a
 * second filter on top of the first. It was compiled by sandbox_enter(), so
 * this is one system call. 0 (also where there is nothing to take) or a
 * negative errno with rep->text.
 */
int sandbox_tighten(enum proc self, struct sandbox_report *rep);

/*
 * Try the probes again; "passed" and "failed" of the report are rewritten.
 * Cheap (about twenty system calls). 0 or -EPERM with rep->text.
 * sandbox_enter() has done this once already; what was read from
 * /proc/self/status then is not read again, nothing of /proc stays open.
 */
int sandbox_probe(enum proc self, struct sandbox_report *rep);

#ifdef CLAW_SANITIZERS
/*
 * --insecure-no-sandbox: no Landlock, no seccomp, no limits, and dumpable; the
 * sanitizers' runtimes do not live with less. Users, namespaces, capabilities
 * and no_new_privs stay. The report says so.
 */
void sandbox_set_insecure(void);
#endif

/* --- for people -------------------------------------------------------- */

/* Names as in the tables; "?" for a number out of range. */
const char *sandbox_layer_name(enum sandbox_layer l);
const char *sandbox_probe_name(enum sandbox_probe p);
const char *sandbox_surrounding_name(enum sandbox_surrounding s);

/* How much a layer is needed there. */
enum sandbox_need
sandbox_need(enum sandbox_layer l, enum sandbox_surrounding s);

/* Probes that apply to a process which has these layers. */
uint32_t sandbox_probes_of(enum proc self, uint32_t layers);

/* All tables as text, for `claw doctor` and the manual. 0 or -EIO. */
int sandbox_table_print(FILE *out);

/* --- for tests --------------------------------------------------------- */

struct sock_filter;

/* Which of a process's filters. */
enum sandbox_stage { SANDBOX_FIRST, SANDBOX_LATER };

/*
 * Compile the filter of a process. On success *insns is the caller's to free
 * and *n its length; n is 0 where that stage has no lines. 0 or a negative
 * errno. Needs memfd_create(2), so it works before sandbox_enter() only.
 */
int sandbox_filter_compile(enum proc self, enum sandbox_stage stage,
    struct sock_filter **insns, size_t *n);

/* The errno that only our filter gives to the canary call (see probes.def). */
#define SANDBOX_CANARY_OPTION 0x636c6177 /* "claw" */
#define SANDBOX_CANARY_ERRNO EDESTADDRREQ

#endif
