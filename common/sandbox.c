/* SPDX-License-Identifier: ISC */
/*
 * sandbox.c - a process enters its sandbox.
 *
 * sandbox_enter() at the end of the file is the whole story: look around,
 * compile the filters, lay the layers of policy/layers.def in their order,
 * probe. Each layer is one function above it.
 *
 * A normal user's namespaces are made here and not by clawd before exec, and
 * the order matters. Memory belongs to the user namespace in which its
 * program was executed, and whoever owns that namespace (the user, from
 * outside) may trace even what is not dumpable. Executed first and unshared
 * then, keyd's memory belongs to the host's user namespace, where the user
 * has no such power.
 */
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/landlock_abi.h"
#include "common/sandbox.h"
#include "common/sandbox_int.h"

/* A layer that this kernel does not know. Failures are negative. */
#define ABSENT 1

struct entering {
	enum proc self;
	struct sandbox_given given;
	bool told;
	const struct sandbox_dir *dirs;
	size_t ndirs;
	uint32_t want;
	struct sandbox_report *rep;
	struct sock_fprog first;
	const char *detail; /* what a layer was doing when it failed */
};

/* The second filter, waiting for sandbox_tighten(). */
static struct sock_fprog later;

#ifdef CLAW_SANITIZERS
static bool insecure;

void
sandbox_set_insecure(void)
{
	insecure = true;
}
#endif

/* --- users and namespaces ---------------------------------------------- */

static int
lay_user(struct entering *in)
{
	uid_t r, e, s;

	in->detail = "clawd gave no user of its own";
	if (getresuid(&r, &e, &s) == -1)
		return -errno;
	if (r != e || e != s || e == 0 || (in->told && e == in->given.uid))
		return -EPERM;
	return 0;
}

/* Both known, and not the same. */
static bool
differs(const char *name, uint64_t clawds)
{
	uint64_t own = sandbox_namespace(name);

	return own != 0 && clawds != 0 && own != clawds;
}

static int
lay_network(struct entering *in)
{
	in->detail = "no namespace of its own";
	return differs("net", in->given.netns) ? 0 : -EPERM;
}

static int
lay_ipc(struct entering *in)
{
	in->detail = "no namespace of its own";
	return differs("ipc", in->given.ipcns) &&
		differs("uts", in->given.utsns) ?
	    0 :
	    -EPERM;
}

/*
 * A normal user's namespaces. That there are none is no failure here: the
 * layers look for them and policy/layers.def says what their absence means.
 */
static int
make_namespaces(struct entering *in)
{
	int flags = 0;

	if (in->given.surrounding != SURROUNDING_USER)
		return 0;
	if ((in->want & SANDBOX_BIT(LAYER_NETWORK)) != 0)
		flags |= CLONE_NEWNET;
	if ((in->want & SANDBOX_BIT(LAYER_IPC)) != 0)
		flags |= CLONE_NEWIPC | CLONE_NEWUTS;
	if (flags == 0 ||
	    (!in->given.user_ns && sandbox_try_unshare(flags) != 0))
		return 0;
	return sandbox_unshare(flags);
}

/* --- what the process gives up ----------------------------------------- */

static int
lay_capabilities(struct entering *in)
{
	int rv;

	in->detail = "bounding set";
	if ((rv = sandbox_drop_bounding()) != 0)
		return rv;
	in->detail = "capset";
	return sandbox_drop_capabilities();
}

static int
lay_no_new_privs(struct entering *in)
{
	in->detail = "prctl";
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ? -errno : 0;
}

static int
lay_dumpable(struct entering *in)
{
	in->detail = "prctl";
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ? -errno : 0;
}

/*
 * Never raises: where the hard limit is lower already, that is what holds.
 */
static int
limit(int what, rlim_t value)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r) == -1)
		return -errno;
	if (r.rlim_max == RLIM_INFINITY || r.rlim_max > value)
		r.rlim_max = value;
	r.rlim_cur = r.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &r) == -1 ? -errno : 0;
}

static const struct {
	bool set;
	rlim_t nofile;
	rlim_t fsize;
	rlim_t memlock;
} limits[PROC_MAX] = {
#define LIMITS(proc, nofile, fsize, memlock, why)                              \
	[PROC_##proc] = { true, nofile, fsize, memlock },
#include "policy/limits.def"
};

static const uint32_t threaded = 0
#define THREADED(proc, why) | PROC_BIT(PROC_##proc)
#include "policy/limits.def"
    ;

static int
lay_limits(struct entering *in)
{
	struct stat log;
	bool plain_log;
	int rv;

	in->detail = "no line in limits.def";
	if (!limits[in->self].set)
		return -ENOENT;
	plain_log = fstat(STDERR_FILENO, &log) == 0 && S_ISREG(log.st_mode);
	in->detail = "setrlimit";
	if ((threaded & PROC_BIT(in->self)) == 0 &&
	    (rv = limit(RLIMIT_NPROC, 0)) != 0)
		return rv;
	if ((rv = limit(RLIMIT_CORE, 0)) != 0 ||
	    (rv = limit(RLIMIT_NOFILE, limits[in->self].nofile)) != 0 ||
	    (rv = limit(RLIMIT_MEMLOCK, limits[in->self].memlock)) != 0)
		return rv;
	return plain_log ? 0 : limit(RLIMIT_FSIZE, limits[in->self].fsize);
}

/* --- Landlock ---------------------------------------------------------- */

/* Every file system right this ABI can handle, so that all are denied. */
static uint64_t
fs_rights(int abi)
{
	uint64_t all = LL_FS_REFER - 1;

	if (abi >= 2)
		all |= LL_FS_REFER;
	if (abi >= 3)
		all |= LL_FS_TRUNCATE;
	if (abi >= 5)
		all |= LL_FS_IOCTL_DEV;
	return all;
}

static uint64_t
dir_rights(enum sandbox_rights rights)
{
	uint64_t r = LL_FS_READ_FILE | LL_FS_READ_DIR;

	if (rights == SANDBOX_DIR_RW)
		r |= LL_FS_WRITE_FILE | LL_FS_MAKE_REG | LL_FS_MAKE_DIR |
		    LL_FS_REMOVE_FILE | LL_FS_REMOVE_DIR | LL_FS_REFER |
		    LL_FS_TRUNCATE;
	return r;
}

/*
 * What is left to who gets his directory late, for that directory's sake: to
 * make, write and remove, and never to read.
 */
#define LATE_RIGHTS                                                            \
	(LL_FS_WRITE_FILE | LL_FS_MAKE_REG | LL_FS_MAKE_DIR | LL_FS_MAKE_SYM | \
	    LL_FS_REMOVE_FILE | LL_FS_REMOVE_DIR)

static const uint32_t late = 0
#define LATE(proc, what) | PROC_BIT(PROC_##proc)
#include "policy/descriptors.def"
    ;

static size_t
attr_size(int abi)
{
	if (abi >= LL_ABI_SCOPE)
		return sizeof(struct ll_ruleset_attr);
	return abi >= LL_ABI_NET ?
	    offsetof(struct ll_ruleset_attr, scoped) :
	    offsetof(struct ll_ruleset_attr, handled_access_net);
}

/* What this ruleset handles, of what each directory was given for. */
static int
add_dirs(struct entering *in, int ruleset, uint64_t handled)
{
	struct ll_path_beneath_attr rule;
	size_t i;

	for (i = 0; i < in->ndirs; i++) {
		rule.parent_fd = in->dirs[i].fd;
		rule.allowed_access = dir_rights(in->dirs[i].rights) & handled;
		if (rule.allowed_access != 0 &&
		    ll_add_path(ruleset, &rule) == -1)
			return -errno;
	}
	return 0;
}

static int
lay_landlock(struct entering *in)
{
	int abi = in->rep->landlock_abi, fd, rv;
	struct ll_ruleset_attr attr = {
		.handled_access_fs = fs_rights(abi),
		.handled_access_net = abi >= LL_ABI_NET ? LL_NET_BIND_TCP : 0,
	};

	/* Who makes connections cannot know to which ports. */
	if (abi >= LL_ABI_NET && !proc_has_network(in->self))
		attr.handled_access_net |= LL_NET_CONNECT_TCP;

	if ((late & PROC_BIT(in->self)) != 0)
		attr.handled_access_fs &= ~LATE_RIGHTS;
	if (abi == 0)
		return ABSENT;
	in->detail = "ruleset";
	if (abi < 0 || (fd = ll_create_ruleset(&attr, attr_size(abi), 0)) == -1)
		return abi < 0 ? abi : -errno;
	in->detail = "directories";
	if ((rv = add_dirs(in, fd, attr.handled_access_fs)) == 0) {
		in->detail = "restrict";
		rv = ll_restrict_self(fd) == -1 ? -errno : 0;
	}
	close(fd);
	return rv;
}

static int
lay_scope(struct entering *in)
{
	int abi = in->rep->landlock_abi, fd, rv;
	struct ll_ruleset_attr attr = {
		.scoped = LL_SCOPE_SIGNAL | LL_SCOPE_ABSTRACT_UNIX_SOCKET,
		/* Moving a file to another directory is denied by every
		 * ruleset that does not allow it, also by this one. */
		.handled_access_fs = LL_FS_REFER,
	};

	if (abi >= 0 && abi < LL_ABI_SCOPE)
		return ABSENT;
	in->detail = "ruleset";
	if (abi < 0 || (fd = ll_create_ruleset(&attr, sizeof(attr), 0)) == -1)
		return abi < 0 ? abi : -errno;
	in->detail = "directories";
	if ((rv = add_dirs(in, fd, attr.handled_access_fs)) == 0) {
		in->detail = "restrict";
		rv = ll_restrict_self(fd) == -1 ? -errno : 0;
	}
	close(fd);
	return rv;
}

/*
 * The kernel's ABI; 0 where it has none or was booted without; a negative
 * errno where something forbids even to ask, which is not the same.
 */
static int
landlock_abi(void)
{
	int abi;

	abi = ll_create_ruleset(NULL, 0, LL_CREATE_RULESET_VERSION);
	if (abi >= 0)
		return abi;
	return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
}

/* --- seccomp ----------------------------------------------------------- */

static int
install(const struct sock_fprog *prog)
{
	long rv;

	rv = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_TSYNC, prog);
	if (rv > 0)
		return -EBUSY; /* a thread with a filter of its own */
	return rv == -1 ? -errno : 0;
}

static int
lay_seccomp(struct entering *in)
{
	in->detail = "filter";
	return install(&in->first);
}

static int
compile(enum proc self, enum sandbox_stage stage, struct sock_fprog *prog)
{
	size_t n;
	int rv;

	rv = sandbox_filter_compile(self, stage, &prog->filter, &n);
	prog->len = (unsigned short)n;
	return rv;
}

/* --- all together ------------------------------------------------------ */

static int (*const lay[LAYER_MAX])(struct entering *) = {
	[LAYER_USER] = lay_user,
	[LAYER_NETWORK] = lay_network,
	[LAYER_IPC] = lay_ipc,
	[LAYER_CAPABILITIES] = lay_capabilities,
	[LAYER_NO_NEW_PRIVS] = lay_no_new_privs,
	[LAYER_DUMPABLE] = lay_dumpable,
	[LAYER_LIMITS] = lay_limits,
	[LAYER_LANDLOCK] = lay_landlock,
	[LAYER_SCOPE] = lay_scope,
	[LAYER_SECCOMP] = lay_seccomp,
};

/*
 * One layer. What was asked for and is not had is fatal, unless the table
 * says that this kernel or these surroundings may lack it.
 */
static int
lay_one(struct entering *in, enum sandbox_layer l)
{
	enum sandbox_need need = sandbox_need(l, in->given.surrounding);
	int rv;

	if ((in->want & SANDBOX_BIT(l)) == 0 || need == NEED_NO)
		return 0;
	in->detail = NULL;
	if ((rv = lay[l](in)) == 0) {
		in->rep->layers |= SANDBOX_BIT(l);
		return 0;
	}
	if (need == NEED_TRY || (rv == ABSENT && need == NEED_KERNEL)) {
		in->rep->missing |= SANDBOX_BIT(l);
		return 0;
	}
	return sandbox_fail(in->rep, sandbox_layer_name(l),
	    rv == ABSENT ? "this kernel has none" : in->detail,
	    rv == ABSENT ? ENOSYS : -rv);
}

/*
 * Which layers are asked for at all.
 */
static uint32_t
wanted(enum proc self, uint32_t want, struct sandbox_report *rep)
{
	want &= SANDBOX_ALL;
	if (proc_has_network(self))
		want &= ~SANDBOX_BIT(LAYER_NETWORK);
#ifdef CLAW_SANITIZERS
	rep->insecure = insecure;
	if (insecure)
		want &= ~(SANDBOX_BIT(LAYER_DUMPABLE) |
		    SANDBOX_BIT(LAYER_LIMITS) | SANDBOX_BIT(LAYER_LANDLOCK) |
		    SANDBOX_BIT(LAYER_SCOPE) | SANDBOX_BIT(LAYER_SECCOMP));
#else
	(void)rep;
#endif
	return want;
}

/*
 * What the probes will compare with, read while /proc can still be read.
 */
static int
prepare_probes(const struct entering *in)
{
	struct sandbox_origin o = {
		.given = in->given,
		.told = in->told,
		.netns = sandbox_namespace("net"),
		.ipcns = sandbox_namespace("ipc"),
		.utsns = sandbox_namespace("uts"),
	};

	o.status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (o.status_fd == -1)
		return sandbox_fail(in->rep, "/proc/self/status", NULL, errno);
	sandbox_probe_prepare(&o);
	return 0;
}

/*
 * Most layers confine the thread that asks for them; another would stay free.
 * A directory's links are its subdirectories, ".", and its name.
 */
static bool
single_threaded(void)
{
	struct stat tasks;

	return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

/*
 * All that needs a file, memory or a child, before the doors are shut.
 */
static int
prepare(struct entering *in)
{
	int rv;

	if (!single_threaded())
		return sandbox_fail(in->rep, "process", "has threads", EBUSY);
	/* An inherited READ_IMPLIES_EXEC would make the heap executable. */
	if (personality(PER_LINUX) == -1)
		return sandbox_fail(in->rep, "personality", NULL, errno);
	if ((in->want & SANDBOX_BIT(LAYER_SECCOMP)) != 0 &&
	    ((rv = compile(in->self, SANDBOX_FIRST, &in->first)) != 0 ||
		(rv = compile(in->self, SANDBOX_LATER, &later)) != 0))
		return sandbox_fail(in->rep, sandbox_layer_name(LAYER_SECCOMP),
		    "compile", -rv);
	in->rep->landlock_abi = landlock_abi();
	if ((rv = make_namespaces(in)) != 0)
		return sandbox_fail(in->rep, "user namespace", NULL, -rv);
	return prepare_probes(in);
}

int
sandbox_enter(enum proc self, const struct sandbox_given *given,
    const struct sandbox_dir *dirs, size_t ndirs, uint32_t want,
    struct sandbox_report *rep)
{
	struct entering in = {
		.self = self,
		.told = given != NULL,
		.dirs = dirs,
		.ndirs = ndirs,
		.rep = rep,
	};
	unsigned int i;
	int rv;

	memset(rep, 0, sizeof(*rep));
	if ((unsigned int)self >= PROC_MAX || (PROC_BIT(self) & P_ALL) == 0)
		return sandbox_fail(rep, "process", "has no sandbox", EINVAL);
	if (given != NULL)
		in.given = *given;
	else
		sandbox_given_init(&in.given);
	rep->surrounding = in.given.surrounding;
	in.want = wanted(self, want, rep);

	rv = prepare(&in);
	for (i = 0; rv == 0 && i < LAYER_MAX; i++)
		rv = lay_one(&in, (enum sandbox_layer)i);
	if (rv == 0)
		rv = sandbox_probe(self, rep);
	sandbox_probe_close();
	free(in.first.filter);
	return rv;
}

int
sandbox_enter_dir(int dir)
{
	struct ll_ruleset_attr attr = { .handled_access_fs = LATE_RIGHTS };
	struct ll_path_beneath_attr rule = { .allowed_access = LATE_RIGHTS,
		.parent_fd = dir };
	int abi, fd, rv = 0;

#ifdef CLAW_SANITIZERS
	if (insecure)
		return 0;
#endif
	if ((abi = landlock_abi()) <= 0)
		return abi;
	fd = ll_create_ruleset(&attr, attr_size(1), 0);
	if (fd == -1)
		return -errno;
	if (ll_add_path(fd, &rule) == -1 || ll_restrict_self(fd) == -1)
		rv = -errno;
	close(fd);
	return rv;
}

int
sandbox_tighten(enum proc self, struct sandbox_report *rep)
{
	int rv;

	if (later.len == 0 || (rep->layers & SANDBOX_BIT(LAYER_SECCOMP)) == 0)
		return 0;
	if ((rv = install(&later)) != 0)
		return sandbox_fail(rep, proc_name(self), "second filter", -rv);
	free(later.filter);
	later.filter = NULL;
	later.len = 0;
	return 0;
}
