/* SPDX-License-Identifier: ISC */
/*
 * doctor.c - claw doctor: what is well with this node, what is not, and the
 * command that mends it.
 *
 * Three sources: what the node says of itself (through controld), what the
 * kernel says of its processes (/proc), and what lies in its folders. With
 * the node down the last one is left. One line a check; its name stays the
 * same from version to version.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "claw/doctor.h"
#include "claw/out.h"
#include "common/landlock_abi.h"
#include "common/proc.h"
#include "common/sandbox.h"

#define ANSWER_MS 3000
#define MEMLOCK_MIN (1u << 20) /* keyd's share, policy/limits.def */
#define CHECKPOINT_LATE_S 120
#define CLOCK_EARLIEST 1767225600 /* 2026: older than this program */

struct doctor {
	const struct cmd *cmd;
	struct conf conf;
	json_t *status; /* NULL: the node does not answer */
	bool root;	/* the node is root's: accounts of its own */
	unsigned int count[3];
	json_t *checks;
	bool quiet; /* no lines */
};

enum verdict { OK, WARN, FAIL };

static void say(struct doctor *, enum verdict, const char *id, const char *fix,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* One check. fix may be NULL. */
static void
say(struct doctor *d, enum verdict v, const char *id, const char *fix,
    const char *fmt, ...)
{
	static const char *const words[] = { "ok", "warn", "fail" };
	static const enum out_style styles[] = { OUT_GOOD, OUT_WARN, OUT_BAD };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->count[v]++;
	(void)json_array_append_new(d->checks,
	    json_pack("{s:s, s:s, s:s, s:s*}", "id", id, "result", words[v],
		"message", text, "fix", fix));
	if (d->quiet)
		return;
	printf("%s%-4s%s  %-20s  %s", out_on(d->cmd, stdout, styles[v]),
	    words[v], out_off(d->cmd, stdout), id, text);
	if (fix != NULL)
		printf("  -> %s", fix);
	putchar('\n');
}

/* Folders and accounts. */

enum below { DATA, LOG, RUN };

#define GROUP 0x100
#define OWNER_CLAWD PROC_CLAWD
#define OWNER_AUDITD PROC_AUDITD
#define OWNER_ATTESTD PROC_ATTESTD
#define OWNER_GROUP_AUDITD (PROC_AUDITD | GROUP)
#define OWNER_SFTD PROC_SFTD
#define OWNER_GROUP_CLAWD (PROC_CLAWD | GROUP)
#define OWNER_GROUP_SFTD (PROC_SFTD | GROUP)
#define DIR_KIND S_IFDIR
#define FILE_KIND S_IFREG

static const struct place {
	const char *id;
	enum below below;
	const char *path;
	mode_t kind;
	int owner;
	mode_t mode;
	bool at_start;
} places[] = {
#define INIT false
#define START true
#define PLACE(id, below, path, kind, owner, mode, when, why)                   \
	{ #id, below, path, kind##_KIND, OWNER_##owner, mode, when },
#include "policy/places.def"
#undef PLACE
#undef INIT
#undef START
};

static void
account_name(enum proc p, char *out, size_t size)
{
	snprintf(out, size, "%s%s", CLAW_USER_PREFIX, proc_user(p));
}

/* Who a place should belong to; false if that account does not exist. */
static bool
owner_of(const struct doctor *d, const struct place *p, uid_t base, uid_t *uid)
{
	enum proc who = (enum proc)(p->owner & ~GROUP);
	const struct passwd *pw;
	char name[64];

	*uid = base;
	if (!d->root || who == PROC_CLAWD)
		return true;
	account_name(who, name, sizeof(name));
	pw = getpwnam(name);
	if (pw != NULL)
		*uid = pw->pw_uid;
	return pw != NULL;
}

static void
check_place(struct doctor *d, const struct place *p, uid_t base)
{
	const char *top = p->below == DATA ? d->conf.node_data_dir :
	    p->below == LOG		   ? d->conf.node_log_dir :
					     d->conf.node_run_dir;
	char path[CONF_TEXT_MAX + 32], id[64], fix[CONF_TEXT_MAX + 96];
	struct stat st;
	uid_t uid;
	size_t i;

	snprintf(path, sizeof(path), "%s%s%s", top,
	    p->path[0] != '\0' ? "/" : "", p->path);
	snprintf(id, sizeof(id), "place.%s", p->id);
	for (i = 0; id[i] != '\0'; i++)
		if (id[i] >= 'A' && id[i] <= 'Z')
			id[i] = (char)(id[i] - 'A' + 'a');
	if (lstat(path, &st) == -1) {
		if (errno == EACCES)
			say(d, WARN, id, NULL,
			    "%s cannot be looked at by this user", path);
		else if (p->at_start && d->status == NULL)
			say(d, OK, id, NULL, "%s is made at the start", path);
		else
			say(d, FAIL, id,
			    "claw init --dir DIR --name NAME, or a backup",
			    "%s: %s", path, strerror(errno));
		return;
	}
	if ((st.st_mode & S_IFMT) != p->kind) {
		say(d, FAIL, id, NULL, "%s is no %s", path,
		    p->kind == S_IFDIR ? "folder" : "file");
		return;
	}
	if (!owner_of(d, p, base, &uid))
		return; /* the account's own check says it */
	if (st.st_uid != uid) {
		snprintf(fix, sizeof(fix), "chown %u %s", (unsigned int)uid,
		    path);
		say(d, FAIL, id, fix, "%s belongs to uid %u, not %u", path,
		    (unsigned int)st.st_uid, (unsigned int)uid);
		return;
	}
	if ((st.st_mode & 07777 & ~p->mode) != 0) {
		snprintf(fix, sizeof(fix), "chmod %04o %s",
		    (unsigned int)p->mode, path);
		say(d, FAIL, id, fix, "%s has mode %04o, at most %04o is safe",
		    path, (unsigned int)(st.st_mode & 07777),
		    (unsigned int)p->mode);
		return;
	}
	say(d, OK, id, NULL, "%s", path);
}

static void
check_places(struct doctor *d)
{
	struct stat st;
	uid_t base = geteuid();
	size_t i;

	if (stat(d->conf.node_data_dir, &st) == 0)
		base = st.st_uid;
	d->root = base == 0;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		check_place(d, &places[i], base);
}

static void
check_accounts(struct doctor *d)
{
	char name[64], id[64], fix[160];
	unsigned int p;

	if (!d->root) {
		say(d, OK, "accounts", NULL,
		    "a normal user's node: all processes share one account, "
		    "the sandbox and the cookie stand between them");
		return;
	}
	for (p = PROC_CLAWD + 1; p < PROC_MAX; p++) {
		account_name((enum proc)p, name, sizeof(name));
		snprintf(id, sizeof(id), "account.%s", proc_name((enum proc)p));
		snprintf(fix, sizeof(fix),
		    "systemd-sysusers, or useradd --system --user-group "
		    "--shell /usr/sbin/nologin %s",
		    name);
		if (getpwnam(name) != NULL)
			say(d, OK, id, NULL, "%s", name);
		else
			say(d, FAIL, id, fix, "there is no account %s", name);
	}
	if (getgrnam(d->conf.control_group) != NULL)
		say(d, OK, "account.operators", NULL, "group %s",
		    d->conf.control_group);
	else
		say(d, WARN, "account.operators", "groupadd --system claw",
		    "there is no group %s: only root operates this node",
		    d->conf.control_group);
}

/* Processes, as the kernel shows them. */

/* A line of /proc/PID/status, "Name:\tvalue". */
static bool
status_field(const char *text, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);
	const char *at = text;

	while (at != NULL && (strncmp(at, name, len) != 0 || at[len] != ':')) {
		at = strchr(at, '\n');
		if (at != NULL)
			at++;
	}
	if (at == NULL)
		return false;
	at += len + 1;
	at += strspn(at, " \t");
	snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
	return true;
}

static bool
read_status(long long pid, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%lld/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* "own", "clawd's", or "" where it cannot be read. */
static const char *
netns_of(long long pid)
{
	char path[64];
	struct stat its, ours;

	snprintf(path, sizeof(path), "/proc/%lld/ns/net", pid);
	if (stat(path, &its) == -1 || stat("/proc/self/ns/net", &ours) == -1)
		return "";
	return its.st_ino != ours.st_ino ? ", network of its own" :
					   ", our network";
}

bool
doctor_confined(long long pid, char *text, size_t size)
{
	char status[8192], nnp[16] = "?", seccomp[16] = "?", cap[32] = "?";
	char prm[32] = "?", uid[96] = "?";
	bool good;

	if (!read_status(pid, status, sizeof(status))) {
		snprintf(text, size, "/proc/%lld cannot be read", pid);
		return false;
	}
	(void)status_field(status, "NoNewPrivs", nnp, sizeof(nnp));
	(void)status_field(status, "Seccomp", seccomp, sizeof(seccomp));
	(void)status_field(status, "CapEff", cap, sizeof(cap));
	(void)status_field(status, "CapPrm", prm, sizeof(prm));
	(void)status_field(status, "Uid", uid, sizeof(uid));
	uid[strcspn(uid, "\t ")] = '\0';
	good = strcmp(nnp, "1") == 0 && strcmp(seccomp, "2") == 0 &&
	    strspn(cap, "0") == strlen(cap) && strspn(prm, "0") == strlen(prm);
	snprintf(text, size, "NoNewPrivs %s, Seccomp %s, CapEff %s, uid %s%s",
	    nnp, seccomp, cap, uid, netns_of(pid));
	return good;
}

static void
join(const json_t *list, char *out, size_t size)
{
	const json_t *item;
	size_t i, n = 0;

	out[0] = '\0';
	json_array_foreach(list, i, item) if (n < size) n +=
	    (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "",
		json_string_value(item));
}

static void
check_probes(struct doctor *d, const char *name, const json_t *box)
{
	const json_t *failed = json_object_get(box, "probes_failed");
	const json_t *missing = json_object_get(box, "missing");
	char id[64], list[512];

	snprintf(id, sizeof(id), "sandbox.%s", name);
	if (json_array_size(failed) > 0) {
		join(failed, list, sizeof(list));
		say(d, FAIL, id, "claw node:stop", "probes found it open: %s",
		    list);
	} else if (json_array_size(json_object_get(box, "layers")) == 0) {
		say(d, FAIL, id, "claw node:stop", "no layer is in force");
	} else if (json_array_size(missing) > 0) {
		join(missing, list, sizeof(list));
		say(d, WARN, id, NULL,
		    "%zu layers, %zu probes found the wall; not to be had "
		    "here: %s",
		    json_array_size(json_object_get(box, "layers")),
		    json_array_size(json_object_get(box, "probes_passed")),
		    list);
	} else {
		join(json_object_get(box, "layers"), list, sizeof(list));
		say(d, OK, id, NULL, "%zu probes found the wall: %s",
		    json_array_size(json_object_get(box, "probes_passed")),
		    list);
	}
}

static void
check_process(struct doctor *d, const json_t *p)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	const char *state = json_string_value(json_object_get(p, "state"));
	const char *end = json_string_value(json_object_get(p, "last_end"));
	long long pid = json_integer_value(json_object_get(p, "pid"));
	long long restarts = json_integer_value(json_object_get(p, "restarts"));
	char id[64], text[256];

	if (name == NULL || state == NULL || end == NULL)
		return;
	snprintf(id, sizeof(id), "process.%s", name);
	if (strcmp(state, "ready") != 0) {
		say(d, FAIL, id, "journalctl -u clawd, or clawd's own output",
		    "%s%s%s", state, end[0] != '\0' ? "; its last end: " : "",
		    end);
		return;
	}
	if (restarts > 0)
		say(d, WARN, id, "claw audit:tail",
		    "pid %lld, restarted %lld times; its last end: %s", pid,
		    restarts, end);
	else
		say(d, OK, id, NULL, "ready, pid %lld", pid);
	if (strcmp(name, "clawd") == 0)
		return;
	check_probes(d, name, json_object_get(p, "sandbox"));
	snprintf(id, sizeof(id), "kernel.%s", name);
	if (doctor_confined(pid, text, sizeof(text)))
		say(d, OK, id, NULL, "%s", text);
	else
		say(d, FAIL, id, "claw node:stop", "%s", text);
}

static void
check_node(struct doctor *d)
{
	struct api_error e;
	const json_t *p;
	char fix[CONF_TEXT_MAX + 32];
	size_t i;

	d->status = api_ask(&d->conf, "status", NULL, ANSWER_MS, &e);
	if (d->status == NULL) {
		/* Down is a state; up and silent, or denied, is a fault. */
		snprintf(fix, sizeof(fix), "clawd -f %s", d->conf.file);
		if (e.status == EX_UNAVAILABLE)
			say(d, WARN, "node", fix, "%s", e.text);
		else
			say(d, FAIL, "node",
			    e.status == EX_TEMPFAIL ? "journalctl -u clawd" :
						      NULL,
			    "%s", e.text);
		return;
	}
	say(d, OK, "node", NULL, "%s answers, version %s",
	    json_string_value(json_object_get(d->status, "node")),
	    json_string_value(json_object_get(d->status, "version")));
	if (strcmp(json_string_value(json_object_get(d->status, "version")),
		CLAW_VERSION) != 0)
		say(d, WARN, "version", "systemctl restart clawd",
		    "this claw is " CLAW_VERSION ", the node is not");
	json_array_foreach(json_object_get(d->status, "processes"), i, p)
	    check_process(d, p);
}

/* The machine. */

static void
check_machine(struct doctor *d)
{
	int abi = ll_create_ruleset(NULL, 0, LL_CREATE_RULESET_VERSION);
	struct timex tx = { .modes = 0 };
	struct rlimit rl;

	if (abi >= LL_ABI_SCOPE)
		say(d, OK, "landlock", NULL, "ABI %d", abi);
	else if (abi > 0)
		say(d, WARN, "landlock", NULL,
		    "ABI %d: a kernel from 6.12 on can also keep signals and "
		    "abstract sockets in",
		    abi);
	else
		say(d, WARN, "landlock", "boot with lsm=landlock,...",
		    "this kernel has no Landlock, or it is switched off");
	if (time(NULL) < CLOCK_EARLIEST)
		say(d, FAIL, "clock", "timedatectl set-ntp true",
		    "the clock is years behind");
	else if (adjtimex(&tx) == TIME_ERROR)
		say(d, WARN, "clock", "timedatectl set-ntp true",
		    "nobody keeps this clock right");
	else
		say(d, OK, "clock", NULL, "kept in step");
	if (d->root || geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &rl) == -1)
		return;
	if (rl.rlim_cur == RLIM_INFINITY || rl.rlim_cur >= MEMLOCK_MIN)
		say(d, OK, "memlock", NULL, "keyd can lock its memory");
	else
		say(d, FAIL, "memlock", "ulimit -l 1024",
		    "%" PRIuMAX " bytes may be locked, keyd wants %u",
		    (uintmax_t)rl.rlim_cur, MEMLOCK_MIN);
}

static void
check_disk(struct doctor *d)
{
	struct statvfs vfs;
	uint64_t percent;

	if (statvfs(d->conf.node_log_dir, &vfs) == -1 || vfs.f_blocks == 0) {
		say(d, WARN, "disk", NULL, "%s: %s", d->conf.node_log_dir,
		    strerror(errno));
		return;
	}
	percent = 100 - vfs.f_bavail * 100 / vfs.f_blocks;
	if (percent >= d->conf.audit_refuse_at_percent)
		say(d, FAIL, "disk", "make room on it",
		    "%" PRIu64 " %% of the log's file system is used: no new "
		    "work is taken from %" PRIu64 " %% on",
		    percent, d->conf.audit_refuse_at_percent);
	else if (percent >= d->conf.audit_warn_at_percent)
		say(d, WARN, "disk", "make room on it",
		    "%" PRIu64 " %% of the log's file system is used", percent);
	else
		say(d, OK, "disk", NULL,
		    "%" PRIu64 " %% of the log's file system is used", percent);
}

/* The newest shard by name; its checkpoint and log may not be ours to read. */
static bool
newest_shard(const char *dir, char *out, size_t size)
{
	const struct dirent *entry;
	char best[64] = "";
	DIR *list = opendir(dir);

	if (list == NULL)
		return false;
	while ((entry = readdir(list)) != NULL)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
		    strlen(entry->d_name) < sizeof(best) &&
		    strverscmp(entry->d_name, best) > 0)
			snprintf(best, sizeof(best), "%.63s", entry->d_name);
	closedir(list);
	snprintf(out, size, "%s/%s", dir, best);
	return best[0] != '\0';
}

static void
check_checkpoint(struct doctor *d)
{
	char dir[CONF_TEXT_MAX + 16], shard[CONF_TEXT_MAX + 96];
	char path[CONF_TEXT_MAX + 128];
	struct stat cp, log;
	long long late;

	snprintf(dir, sizeof(dir), "%s/audit", d->conf.node_log_dir);
	if (!newest_shard(dir, shard, sizeof(shard))) {
		say(d, errno == EACCES ? WARN : OK, "checkpoint", NULL,
		    errno == EACCES ? "%s cannot be read by this user" :
				      "%s has no log yet",
		    dir);
		return;
	}
	snprintf(path, sizeof(path), "%s/checkpoint", shard);
	if (stat(path, &cp) == -1) {
		say(d, WARN, "checkpoint", "claw audit:verify", "%s: %s", path,
		    strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "%s/log.ndjson", shard);
	late =
	    stat(path, &log) == 0 ? (long long)(log.st_mtime - cp.st_mtime) : 0;
	if (late > CHECKPOINT_LATE_S)
		say(d, WARN, "checkpoint", "claw audit:verify",
		    "the last one is %lld s older than the last record", late);
	else
		say(d, OK, "checkpoint", NULL, "signed %lld s ago",
		    (long long)(time(NULL) - cp.st_mtime));
}

/* What only a running node has. */

static void
check_cookie(struct doctor *d)
{
	char path[CONF_TEXT_MAX + 16], fix[CONF_TEXT_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/cookie", d->conf.node_run_dir);
	snprintf(fix, sizeof(fix), "chmod 0600 %s", path);
	if (stat(path, &st) == -1)
		say(d, d->root ? OK : WARN, "cookie", NULL, "%s: %s", path,
		    strerror(errno));
	else if ((st.st_mode & 077) != 0)
		say(d, FAIL, "cookie", fix, "%s can be read by others", path);
	else
		say(d, OK, "cookie", NULL, "only its owner reads it");
}

static void
check_metrics(struct doctor *d)
{
	static const char ask[] = "GET / HTTP/1.0\r\n\r\n";
	const struct timeval patience = { .tv_sec = 3 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char answer[16] = "";
	int fd, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/metrics.sock",
	    d->conf.node_run_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	if (n >= (int)sizeof(sun.sun_path) ||
	    connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == -1)
		say(d, WARN, "metrics", NULL, "%s: %s", sun.sun_path,
		    strerror(errno));
	else if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) == -1 ||
	    recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) < 12 ||
	    strncmp(answer + 8, " 200", 4) != 0)
		say(d, FAIL, "metrics", "claw metrics:print",
		    "%s does not answer", sun.sun_path);
	else
		say(d, OK, "metrics", NULL, "%s answers", sun.sun_path);
	close(fd);
}

static int
examine(struct doctor *d)
{
	int status = api_conf(d->cmd, &d->conf);

	if (status != EX_OK)
		return status;
	say(d, OK, "configuration", NULL, "%s is good", d->conf.file);
	check_node(d);
	check_places(d);
	check_accounts(d);
	check_machine(d);
	check_disk(d);
	check_checkpoint(d);
	if (d->status != NULL) {
		check_cookie(d);
		check_metrics(d);
	}
	return d->count[FAIL] > 0 ? EXIT_NEGATIVE : EX_OK;
}

int
doctor_run(const struct cmd *c)
{
	struct doctor d = { .cmd = c, .quiet = c->json };
	int status;

	d.checks = json_array();
	status = examine(&d);
	json_decref(d.status);
	if (status != EX_OK && status != EXIT_NEGATIVE) {
		json_decref(d.checks);
		return status;
	}
	if (c->json)
		return out_json(c,
			   json_pack("{s:i, s:i, s:i, s:o}", "ok",
			       (int)d.count[OK], "warn", (int)d.count[WARN],
			       "fail", (int)d.count[FAIL], "checks",
			       d.checks)) == EX_OK ?
		    status :
		    EX_IOERR;
	printf("%u ok, %u to look at, %u wrong\n", d.count[OK], d.count[WARN],
	    d.count[FAIL]);
	json_decref(d.checks);
	return out_finish(status);
}
