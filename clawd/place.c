/* SPDX-License-Identifier: ISC */
/*
 * place.c - files and folders of the node (policy/places.def).
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clawd/account.h"
#include "clawd/place.h"
#include "common/log.h"

enum below { DATA, LOG, RUN };
enum kind { DIR, FILE_ };
enum when { INIT, START };

/* Owners: a process, and with OPERATORS its files' group is theirs. */
#define OPERATORS 0x100u
#define CLAWD PROC_CLAWD
#define AUDITD PROC_AUDITD
#define ATTESTD PROC_ATTESTD
#define SFTD PROC_SFTD
#define GROUP_CLAWD (PROC_CLAWD | OPERATORS)
#define GROUP_SFTD (PROC_SFTD | OPERATORS)
#define GROUP_AUDITD (PROC_AUDITD | OPERATORS)
#define FILE FILE_

static const struct {
	enum below below;
	enum kind kind;
	enum when when;
	const char *path;
	unsigned int owner;
	mode_t mode;
} places[PLACE_MAX] = {
#define PLACE(id, below, path, kind, owner, mode, when, why)                   \
	[PLACE_##id] = { below, kind, when, path, owner, mode },
#include "policy/places.def"
#undef PLACE
};

#undef FILE

bool
place_path(const struct conf *conf, enum place p, char *out, size_t size)
{
	const char *base = places[p].below == DATA ? conf->node_data_dir :
	    places[p].below == LOG		   ? conf->node_log_dir :
						     conf->node_run_dir;
	int n;

	n = snprintf(out, size, "%s%s%s", base,
	    places[p].path[0] != '\0' ? "/" : "", places[p].path);
	if (n >= 0 && (size_t)n < size)
		return true;
	log_errorx("%s: path too long", base);
	return false;
}

static uid_t
owner_uid(enum place p)
{
	return account_uid((enum proc)(places[p].owner & ~OPERATORS));
}

static gid_t
owner_gid(enum place p)
{
	if ((places[p].owner & OPERATORS) != 0 &&
	    account_operators() != ACCOUNT_NO_GROUP)
		return account_operators();
	return account_gid((enum proc)(places[p].owner & ~OPERATORS));
}

/* mkdir -p: what lies above is made with the usual mode. */
static bool
make_above(const char *path)
{
	char above[CONF_TEXT_MAX];
	char *slash;

	snprintf(above, sizeof(above), "%s", path);
	for (slash = strchr(above + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(above, 0755) == -1 && errno != EEXIST) {
			log_warn("cannot make the folder %s", above);
			return false;
		}
		*slash = '/';
	}
	return true;
}

/* It has its name when it has its owner and mode: who is cut off in between
 * finds it and goes on. */
static bool
make_one(const char *path, enum place p)
{
	char temp[CONF_TEXT_MAX + 8];
	struct stat st;
	int fd;
	bool ok;

	if (lstat(path, &st) == 0)
		return true; /* place_check() judges it */
	if (!make_above(path))
		return false;
	snprintf(temp, sizeof(temp), "%s.new", path);
	if (places[p].kind == FILE_)
		fd = open(temp, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	else if (mkdir(temp, 0700) == -1 && errno != EEXIST)
		fd = -1;
	else
		fd =
		    open(temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		log_warn("cannot make %s", temp);
		return false;
	}
	/* In this order it takes no right over what is somebody else's. */
	ok = fchmod(fd, places[p].mode) == 0 &&
	    (geteuid() != 0 || fchown(fd, owner_uid(p), owner_gid(p)) == 0) &&
	    rename(temp, path) == 0;
	if (!ok)
		log_warn("cannot set owner, mode and name of %s", path);
	close(fd);
	return ok;
}

bool
place_make(const struct conf *conf, bool init)
{
	char path[CONF_TEXT_MAX];
	unsigned int p;

	for (p = 0; p < PLACE_MAX; p++) {
		/* Other files than logs are made by who fills them. */
		if (places[p].when != START && (!init || places[p].kind != DIR))
			continue;
		if (!place_path(conf, (enum place)p, path, sizeof(path)) ||
		    !make_one(path, (enum place)p))
			return false;
	}
	return true;
}

static bool
check_one(const char *path, enum place p)
{
	mode_t want = places[p].mode;
	struct stat st;

	if (lstat(path, &st) == -1) {
		if (errno == ENOENT)
			log_errorx("%s is missing; a new node is made with "
				   "`claw init`, an old one comes back from "
				   "its backup",
			    path);
		else
			log_warn("%s", path);
		return false;
	}
	if (places[p].kind == DIR ? !S_ISDIR(st.st_mode) :
				    !S_ISREG(st.st_mode)) {
		log_errorx("%s is not a %s; move it away", path,
		    places[p].kind == DIR ? "folder" : "regular file");
		return false;
	}
	if (st.st_uid != owner_uid(p)) {
		log_errorx("%s belongs to uid %u and should belong to uid %u; "
			   "mend it with: chown %u %s",
		    path, st.st_uid, owner_uid(p), owner_uid(p), path);
		return false;
	}
	if ((st.st_mode & 07777 & ~want) != 0) {
		log_errorx("%s has mode %04o and should have at most %04o; "
			   "mend it with: chmod %04o %s",
		    path, st.st_mode & 07777, want, want, path);
		return false;
	}
	return true;
}

bool
place_check(const struct conf *conf, bool init)
{
	char path[CONF_TEXT_MAX];
	bool ok = true;
	unsigned int p;

	for (p = 0; p < PLACE_MAX; p++) {
		if (init && places[p].kind != DIR)
			continue;
		ok &= place_path(conf, (enum place)p, path, sizeof(path)) &&
		    check_one(path, (enum place)p);
	}
	return ok;
}

int
place_open_dir(const struct conf *conf, enum place p)
{
	char path[CONF_TEXT_MAX];

	if (!place_path(conf, p, path, sizeof(path)))
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool
place_file(const struct conf *conf, enum place folder, const char *name,
    char *out, size_t size)
{
	char path[CONF_TEXT_MAX];

	return place_path(conf, folder, path, sizeof(path)) &&
	    (size_t)snprintf(out, size, "%s/%s", path, name) < size;
}

int
place_unnamed(const struct conf *conf, enum place folder)
{
	char path[CONF_TEXT_MAX];
	int fd;

	if (!place_path(conf, folder, path, sizeof(path)))
		return -1;
	fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1)
		log_warn("%s: no unnamed file can be made there", path);
	return fd;
}

bool
place_name(const struct conf *conf, int fd, enum place folder, const char *name,
    mode_t mode)
{
	char to[CONF_TEXT_MAX + 64] = "", from[64];
	int dir = place_open_dir(conf, folder);
	bool ok;

	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	ok = dir != -1 && place_file(conf, folder, name, to, sizeof(to)) &&
	    fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
	    linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 &&
	    fsync(dir) == 0;
	if (!ok)
		log_warn("%s", to);
	if (dir != -1)
		close(dir);
	return ok;
}

int
place_open_log(const struct conf *conf, enum place p)
{
	char path[CONF_TEXT_MAX];

	if (!place_path(conf, p, path, sizeof(path)))
		return -1;
	return open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
}
