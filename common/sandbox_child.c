/* SPDX-License-Identifier: ISC */
/*
 * sandbox_child.c - clawd's part of a child's sandbox, between fork and exec.
 *
 * It takes what only root can take: the user, and the namespaces. What it took
 * is written into the child's one argument, so that the child can check it and
 * hold it against policy/layers.def.
 */
#include <sys/prctl.h>
#include <sys/stat.h>

#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

static enum sandbox_surrounding forced = SURROUNDING_MAX;

static bool
in_container(void)
{
	const char *type;

	type = getenv("container");
	return (type != NULL && type[0] != '\0') ||
	    access("/run/.containerenv", F_OK) == 0 ||
	    access("/.dockerenv", F_OK) == 0;
}

enum sandbox_surrounding
sandbox_surrounding(void)
{
	if (forced != SURROUNDING_MAX)
		return forced;
	return sandbox_surrounding_from(geteuid(),
	    getenv("INVOCATION_ID") != NULL || getenv("NOTIFY_SOCKET") != NULL,
	    in_container());
}

void
sandbox_surrounding_set(enum sandbox_surrounding s)
{
	forced = s;
}

uint64_t
sandbox_namespace(const char *name)
{
	struct stat st;
	char path[64];
	int n;

	n = snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) == -1)
		return 0;
	return (uint64_t)st.st_ino;
}

void
sandbox_given_init(struct sandbox_given *given)
{
	memset(given, 0, sizeof(*given));
	given->surrounding = sandbox_surrounding();
	given->uid = geteuid();
	given->netns = sandbox_namespace("net");
	given->ipcns = sandbox_namespace("ipc");
	given->utsns = sandbox_namespace("uts");
	given->user_ns = given->surrounding == SURROUNDING_USER &&
	    sandbox_try_unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) ==
		0;
}

int
sandbox_given_format(const struct sandbox_given *given, char *buf, size_t size)
{
	int n;

	n = snprintf(buf, size,
	    "sandbox=%u,%" PRIx32 ",%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u",
	    (unsigned int)given->surrounding, given->layers,
	    (unsigned int)given->uid, given->netns, given->ipcns, given->utsns,
	    given->user_ns ? 1U : 0U);
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

int
sandbox_given_parse(const char *text, struct sandbox_given *given)
{
	static const int base[] = { 10, 16, 10, 10, 10, 10, 10 };
	uint64_t v[7];
	char *end;
	unsigned int i;

	if (strncmp(text, "sandbox=", 8) != 0)
		return -EINVAL;
	text += 8;
	for (i = 0; i < 7; i++) {
		if (strchr("0123456789abcdef", text[0]) == NULL ||
		    text[0] == '\0')
			return -EINVAL;
		errno = 0;
		v[i] = strtoull(text, &end, base[i]);
		if (errno != 0 || *end != (i < 6 ? ',' : '\0'))
			return -EINVAL;
		text = end + 1;
	}
	if (v[0] >= SURROUNDING_MAX || (v[1] & ~(uint64_t)SANDBOX_ALL) != 0 ||
	    v[2] > UINT32_MAX || v[6] > 1)
		return -EINVAL;
	given->surrounding = (enum sandbox_surrounding)v[0];
	given->layers = (uint32_t)v[1];
	given->uid = (uid_t)v[2];
	given->netns = v[3];
	given->ipcns = v[4];
	given->utsns = v[5];
	given->user_ns = v[6] == 1;
	return 0;
}

/*
 * One namespace layer: has to hold, or is noted as missing.
 */
static int
take_namespace(enum sandbox_layer l, int flags, uint32_t want,
    struct sandbox_given *given, struct sandbox_report *rep)
{
	enum sandbox_need need = sandbox_need(l, given->surrounding);

	if ((want & SANDBOX_BIT(l)) == 0 || need == NEED_NO)
		return 0;
	if (unshare(flags) == 0) {
		given->layers |= SANDBOX_BIT(l);
		return 0;
	}
	if (need == NEED_TRY) {
		rep->missing |= SANDBOX_BIT(l);
		return 0;
	}
	return sandbox_fail(rep, sandbox_layer_name(l), "unshare", errno);
}

/*
 * Groups, gid, uid, in that order, and every return value looked at: under a
 * partial system call filter some of these fail and others do not, and a
 * process would run half-dropped.
 */
static int
take_user(uid_t uid, gid_t gid, struct sandbox_report *rep)
{
	const char *layer = sandbox_layer_name(LAYER_USER);
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (uid == 0 || gid == 0)
		return sandbox_fail(rep, layer, "it would be root", EINVAL);
	if (setgroups(0, NULL) == -1)
		return sandbox_fail(rep, layer, "setgroups", errno);
	if (setresgid(gid, gid, gid) == -1)
		return sandbox_fail(rep, layer, "setresgid", errno);
	if (setresuid(uid, uid, uid) == -1)
		return sandbox_fail(rep, layer, "setresuid", errno);
	if (getresuid(&r, &e, &s) == -1 || r != uid || e != uid || s != uid ||
	    getresgid(&rg, &eg, &sg) == -1 || rg != gid || eg != gid ||
	    sg != gid || getgroups(0, NULL) != 0)
		return sandbox_fail(rep, layer, "did not take", EPERM);
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setuid(0) == 0 ||
	    setresgid((gid_t)-1, 0, (gid_t)-1) == 0 || setgid(0) == 0)
		return sandbox_fail(rep, layer, "root can be had back", EPERM);
	return 0;
}

/*
 * The bounding set goes while root may still empty it: behind the change of
 * user it could not be.
 */
static int
take_as_root(enum proc self, uid_t uid, gid_t gid, uint32_t want,
    struct sandbox_given *given, struct sandbox_report *rep)
{
	const char *caps = sandbox_layer_name(LAYER_CAPABILITIES);
	int rv;

	if (!proc_has_network(self) &&
	    (rv = take_namespace(LAYER_NETWORK, CLONE_NEWNET, want, given,
		 rep)) != 0)
		return rv;
	if ((rv = take_namespace(LAYER_IPC, CLONE_NEWIPC | CLONE_NEWUTS, want,
		 given, rep)) != 0)
		return rv;
	if ((want & SANDBOX_BIT(LAYER_CAPABILITIES)) != 0 &&
	    (rv = sandbox_drop_bounding()) != 0)
		return sandbox_fail(rep, caps, "bounding set", -rv);
	if ((want & SANDBOX_BIT(LAYER_USER)) != 0) {
		if ((rv = take_user(uid, gid, rep)) != 0)
			return rv;
		given->layers |= SANDBOX_BIT(LAYER_USER);
	}
	if ((want & SANDBOX_BIT(LAYER_CAPABILITIES)) != 0) {
		if ((rv = sandbox_drop_capabilities()) != 0)
			return sandbox_fail(rep, caps, "capset", -rv);
		given->layers |= SANDBOX_BIT(LAYER_CAPABILITIES);
	}
	return 0;
}

int
sandbox_child_drop(enum proc self, uid_t uid, gid_t gid, pid_t parent,
    uint32_t want, struct sandbox_given *given, struct sandbox_report *rep)
{
	int rv;

	memset(rep, 0, sizeof(*rep));
	rep->surrounding = given->surrounding;
	if (geteuid() == 0 &&
	    (rv = take_as_root(self, uid, gid, want, given, rep)) != 0)
		return rv;
	rep->layers = given->layers;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		return sandbox_fail(rep, "parent's death", "prctl", errno);
	if (getppid() != parent)
		return sandbox_fail(rep, "parent's death", "it died meanwhile",
		    ESRCH);
	return 0;
}
