/* SPDX-License-Identifier: ISC */
/*
 * account.c - the users and the group that the processes run as.
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "clawd/account.h"
#include "common/log.h"

static struct {
	uid_t uid;
	gid_t gid;
} accounts[PROC_MAX];

static gid_t operators = ACCOUNT_NO_GROUP;

static bool
load_one(enum proc p)
{
	struct passwd *pw;
	char name[64];

	accounts[p].uid = getuid();
	accounts[p].gid = getgid();
	if (getuid() != 0 || proc_user(p)[0] == '\0')
		return true;
	snprintf(name, sizeof(name), CLAW_USER_PREFIX "%s", proc_user(p));
	pw = getpwnam(name);
	if (pw == NULL || pw->pw_uid == 0) {
		log_errorx("%s has to run as user %s, and there is none; make "
			   "the users with: systemd-sysusers claw.conf (or "
			   "useradd --system --user-group --no-create-home "
			   "--shell /usr/sbin/nologin %s)",
		    proc_name(p), name, name);
		return false;
	}
	accounts[p].uid = pw->pw_uid;
	accounts[p].gid = pw->pw_gid;
	return true;
}

/* Two processes of one user could reach each other's files and memory. */
static bool
all_distinct(void)
{
	unsigned int a, b;

	if (getuid() != 0)
		return true;
	for (a = 0; a < PROC_MAX; a++)
		for (b = a + 1; b < PROC_MAX; b++)
			if (accounts[a].uid == accounts[b].uid) {
				log_errorx("%s and %s have the same uid %u; "
					   "give each a user of its own",
				    proc_name((enum proc)a),
				    proc_name((enum proc)b), accounts[a].uid);
				return false;
			}
	return true;
}

bool
account_load(const char *group)
{
	struct group *gr;
	bool ok = true;
	unsigned int p;

	for (p = 0; p < PROC_MAX; p++)
		ok &= load_one((enum proc)p);
	gr = getuid() == 0 ? getgrnam(group) : NULL;
	if (gr != NULL)
		operators = gr->gr_gid;
	else if (getuid() == 0)
		log_warnx("there is no group %s: only root can operate the "
			  "node (groupadd --system %s)",
		    group, group);
	return ok && all_distinct();
}

uid_t
account_uid(enum proc p)
{
	return accounts[p].uid;
}

gid_t
account_gid(enum proc p)
{
	return accounts[p].gid;
}

gid_t
account_operators(void)
{
	return operators;
}
