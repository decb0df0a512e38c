/* SPDX-License-Identifier: ISC */
/*
 * sandbox_caps.c - giving capabilities up, and the wording of a failure.
 *
 * Used on both sides of exec. The raw system calls are enough: we only ever
 * empty the sets.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

/* More than any kernel has; the first unknown one ends the loop. */
#define CAP_END 64

static int
get_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	memset(data, 0, 2 * sizeof(*data));
	return syscall(SYS_capget, &head, data) == -1 ? -errno : 0;
}

/*
 * Needs CAP_SETPCAP. A process without it can still be started with a full
 * bounding set (a normal user without user namespaces); then no_new_privs is
 * what makes the set worthless.
 */
int
sandbox_drop_bounding(void)
{
	struct __user_cap_data_struct data[2];
	unsigned long i;
	int rv;

	if ((rv = get_capabilities(data)) != 0)
		return rv;
	if ((data[0].effective & (1U << CAP_SETPCAP)) == 0)
		return 0;
	for (i = 0; i < CAP_END; i++) {
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == -1)
			break;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == -1)
			return -errno;
	}
	return 0;
}

int
sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return -errno;
	if (syscall(SYS_capset, &head, none) == -1)
		return -errno;
	return sandbox_has_no_capabilities() ? 0 : -EPERM;
}

bool
sandbox_has_no_capabilities(void)
{
	struct __user_cap_data_struct d[2];
	unsigned long i;
	int set;

	if (get_capabilities(d) != 0)
		return false;
	for (i = 0; i < 2; i++)
		if ((d[i].effective | d[i].permitted | d[i].inheritable) != 0)
			return false;
	for (i = 0; i < CAP_END; i++) {
		set = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0);
		if (set == -1)
			break;
		if (set != 0)
			return false;
	}
	return true;
}

int
sandbox_fail(struct sandbox_report *rep, const char *what, const char *detail,
    int err)
{
	snprintf(rep->text, sizeof(rep->text), "%s: %s%s%s", what,
	    detail != NULL ? detail : "", detail != NULL ? ": " : "",
	    strerror(err));
	return -err;
}
