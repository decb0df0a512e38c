/* SPDX-License-Identifier: ISC */
/*
 * demo.c - claw demo: what this is for, shown in a few seconds.
 *
 * A node in a temporary folder is made, started, looked at and given notes.
 * Another joins it; who is not in the registry is refused, and so is who is no
 * more (demo_peers.c). All are stopped, and the log is verified; then copies of
 * it are tampered with, and the verifier must find each. Nothing outside the
 * folder is touched, nothing stays unless --keep. The exit status is 0 only if
 * everything held.
 *
 * Two processes: this one makes the folder and removes it, whatever happens;
 * the other plays, unprivileged, with the same functions that the verbs use.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "claw/audit.h"
#include "claw/demo.h"
#include "claw/doctor.h"
#include "claw/out.h"

#define CHECKPOINT_MS 5000
#define FIRST_FREE_UID 61184 /* between what distributions give away */

volatile sig_atomic_t demo_interrupted;

static void
on_signal(int sig)
{
	demo_interrupted = sig;
}

void
demo_step(struct demo *d, const char *name, const char *fmt, ...)
{
	va_list ap;

	d->step++;
	(void)json_array_append_new(d->steps,
	    json_pack("{s:s, s:[]}", "step", name, "results"));
	if (d->cmd->json)
		return;
	printf("\n%s%u. ", out_on(d->cmd, stdout, OUT_BOLD), d->step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("%s\n", out_off(d->cmd, stdout));
	fflush(stdout);
}

bool
demo_held(struct demo *d, bool good, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->held += good;
	d->failed += !good;
	(void)json_array_append_new(
	    json_object_get(
		json_array_get(d->steps, json_array_size(d->steps) - 1),
		"results"),
	    json_pack("{s:b, s:s}", "held", good ? 1 : 0, "text", text));
	if (!d->cmd->json)
		printf("   %s%s%s %s\n",
		    out_on(d->cmd, stdout, good ? OUT_GOOD : OUT_BAD),
		    good ? "ok  " : "FAIL", out_off(d->cmd, stdout), text);
	fflush(stdout);
	return good;
}

static bool
make_and_start(struct demo *d)
{
	demo_step(d, "init", "A node of its own, in %s", d->place.top);
	demo_node(&d->alpha, &d->place, "alpha", "alpha");
	return demo_held(d, demo_init(&d->alpha, NULL, d->cmd->envp),
		   "claw init made folders, keys and claw.yaml") &&
	    demo_held(d, demo_load(&d->alpha), "claw.yaml is good") &&
	    demo_held(d, demo_start(&d->alpha, d->cmd->envp),
		"clawd started its processes, each of them sandboxed");
}

static bool
show_process(struct demo *d, const json_t *p)
{
	const char *name = json_string_value(json_object_get(p, "name"));
	const json_t *box = json_object_get(p, "sandbox");
	char kernel[256];
	bool good;

	if (strcmp(name, "clawd") == 0)
		return true;
	good = doctor_confined(json_integer_value(json_object_get(p, "pid")),
	    kernel, sizeof(kernel));
#ifdef CLAW_SANITIZERS
	good = true; /* a build for tests has no sandbox to show */
#endif
	return demo_held(d,
	    good && json_array_size(json_object_get(box, "probes_failed")) == 0,
	    "%-8s %zu walls tried and found shut; the kernel says %s", name,
	    json_array_size(json_object_get(box, "probes_passed")), kernel);
}

static bool
show_confinement(struct demo *d)
{
	struct api_error e = { 0 };
	json_t *status, *p;
	bool good;
	size_t i;

	demo_step(d, "confine", "What each process can still do");
	status = api_ask(&d->alpha.conf, "status", NULL, DEMO_ANSWER_MS, &e);
	good = demo_held(d,
	    status != NULL && json_is_true(json_object_get(status, "ready")),
	    "the control socket answers: %s",
	    status != NULL ? "all processes are ready" : e.text);
	json_array_foreach(json_object_get(status, "processes"), i, p) good =
	    show_process(d, p) && good;
	json_decref(status);
	return good;
}

static bool
note(struct demo *d, const char *text)
{
	struct api_error e = { 0 };
	json_t *result;
	bool good;

	result = api_ask(&d->alpha.conf, "audit.note",
	    json_pack("{s:s}", "text", text), DEMO_ANSWER_MS, &e);
	good = demo_held(d, result != NULL,
	    "\"%s\" is durable as record %lld%s%s", text,
	    (long long)json_integer_value(json_object_get(result, "n")),
	    result == NULL ? ": " : "", e.text);
	json_decref(result);
	return good;
}

/* Until a checkpoint other than `before` is out. */
static bool
wait_checkpoint(struct demo *d, const char *before, char *out, size_t size)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int waited_ms;

	for (waited_ms = 0; waited_ms < CHECKPOINT_MS && !demo_interrupted;
	     waited_ms += 20) {
		if (demo_checkpoint(d->alpha.log, out, size) &&
		    strcmp(out, before) != 0)
			return true;
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

/* A verb's answer, kept from the screen. */
static char *
quietly(int (*verb)(const char *, FILE *, FILE *), const char *dir, int *status)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	*status = EX_OSERR;
	if (out == NULL)
		return NULL;
	*status = verb(dir, out, out);
	fclose(out);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static bool
record(struct demo *d)
{
	char old[DEMO_PATH_MAX + 16], first[128] = "";
	struct audit_tail_opts tail = { .dir = d->alpha.log, .lines = 5 };
	char *vkey;
	int status;

	demo_step(d, "record", "A log that is written before anything is done");
	vkey = quietly(audit_vkey, d->alpha.log, &status);
	snprintf(d->vkey, sizeof(d->vkey), "%s", vkey != NULL ? vkey : "");
	free(vkey);
	if (!demo_held(d, status == 0, "the log's key is known: %.60s...",
		d->vkey))
		return false;
	(void)demo_checkpoint(d->alpha.log, first, sizeof(first));
	if (!note(d, "the first note") ||
	    !demo_held(d, wait_checkpoint(d, first, d->early, sizeof(d->early)),
		"a signed checkpoint covers it: %.40s...", d->early))
		return false;
	/* Kept for later: this is what a rollback brings back. */
	snprintf(old, sizeof(old), "%s/old", d->place.top);
	if (!demo_copy(d->alpha.log, old) || !note(d, "the second note") ||
	    !note(d, "the third note"))
		return false;
	if (!d->cmd->json) {
		puts("   the last records:");
		fflush(stdout);
		(void)audit_tail(&tail, stdout, stderr);
	}
	return true;
}

/* Status of audit:verify, and what it found first. */
static int
verify(const struct demo *d, const char *dir, char *found, size_t size)
{
	const struct audit_verify_opts opts = { .dir = dir,
		.vkey = d->vkey,
		.expect = d->expect };
	char *text = NULL, *line;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int status;

	found[0] = '\0';
	if (out == NULL)
		return EX_OSERR;
	status = audit_verify(&opts, out, out);
	fclose(out);
	line = text;
	while (*line != '\0' && strncmp(line, "FAIL", 4) != 0 &&
	    strncmp(line, "fail", 4) != 0) {
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	if (*line == '\0')
		line = text;
	snprintf(found, size, "%.*s", (int)strcspn(line, "\n"), line);
	free(text);
	return status;
}

/* All at once; then each is waited for. */
static bool
stop_all(struct demo *d)
{
	struct demo_node *const nodes[] = { &d->beta, &d->impostor, &d->alpha };
	bool good = true;
	size_t i;

	for (i = 0; i < 3; i++)
		demo_end(nodes[i]);
	for (i = 0; i < 3; i++)
		good = demo_stop(nodes[i]) && good;
	return good;
}

static bool
close_and_verify(struct demo *d)
{
	char found[256];
	int status;

	demo_step(d, "verify",
	    "The nodes are stopped, and alpha's log "
	    "verified");
	if (!demo_held(d, stop_all(d), "clawd stopped all in order, each") ||
	    !demo_held(d,
		demo_checkpoint(d->alpha.log, d->expect, sizeof(d->expect)),
		"write this down elsewhere: %s", d->expect))
		return false;
	status = verify(d, d->alpha.log, found, sizeof(found));
	return demo_held(d, status == 0, "audit:verify --expect says: %s",
	    found);
}

static void
must_find(struct demo *d, const char *copy, const char *what)
{
	char found[256];
	int status = verify(d, copy, found, sizeof(found));

	demo_held(d, status == AUDIT_BROKEN, "%s: found (exit %d): %s", what,
	    status, found);
}

static bool
tamper(struct demo *d)
{
	char copy[DEMO_PATH_MAX + 16], what[96];
	long n = 0;

	demo_step(d, "tamper", "Copies of the log are tampered with");
	snprintf(copy, sizeof(copy), "%s/flipped", d->place.top);
	if (demo_held(d, demo_copy(d->alpha.log, copy) && demo_flip(copy, &n),
		"one bit of one copy is flipped")) {
		snprintf(what, sizeof(what), "the bit in byte %ld", n);
		must_find(d, copy, what);
	}
	snprintf(copy, sizeof(copy), "%s/cut", d->place.top);
	if (demo_held(d,
		demo_copy(d->alpha.log, copy) && demo_cut_line(copy, &n),
		"one line of another is removed")) {
		snprintf(what, sizeof(what), "the loss of line %ld", n);
		must_find(d, copy, what);
	}
	/* Every signature in this one is good. */
	snprintf(copy, sizeof(copy), "%s/old", d->place.top);
	if (demo_held(d, strcmp(d->early, d->expect) != 0,
		"the third is rolled back to an older state, whole and "
		"rightly signed"))
		must_find(d, copy, "the rollback");
	return true;
}

/* Act by act, until one fails or a signal comes. */
static bool
play_acts(struct demo *d)
{
	static bool (*const acts[])(struct demo *) = { make_and_start,
		show_confinement, record, demo_join, demo_attest, demo_impostor,
		demo_send, demo_revoke, close_and_verify, tamper };
	size_t i;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (demo_interrupted || !acts[i](d))
			return false;
	return true;
}

static int
play(struct demo *d)
{
	bool done;

	d->steps = json_array();
	done = play_acts(d);
	if (!stop_all(d))
		d->failed++;
	if (demo_interrupted)
		fprintf(stderr, "claw demo: interrupted\n");
	done = done && !demo_interrupted && d->failed == 0;
	if (d->cmd->json)
		(void)out_json(d->cmd,
		    json_pack("{s:b, s:i, s:i, s:O}", "held", done ? 1 : 0,
			"good", (int)d->held, "bad", (int)d->failed, "steps",
			d->steps));
	else if (done)
		printf("\n%sEverything held: %u of %u.%s Who may not get in "
		       "was refused; what was changed, removed or rolled back "
		       "was found.\n",
		    out_on(d->cmd, stdout, OUT_GOOD), d->held, d->held,
		    out_off(d->cmd, stdout));
	else
		printf("\n%sNot everything held: %u failed.%s\n",
		    out_on(d->cmd, stdout, OUT_BAD), d->failed,
		    out_off(d->cmd, stdout));
	json_decref(d->steps);
	return out_finish(done ? EX_OK : EXIT_NEGATIVE);
}

/* What ends a demo early. */
static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)sigaction(ends[i], &sa, NULL);
}

/* A user that owns nothing, for root. */
static uid_t
nobodys_uid(void)
{
	uid_t uid = FIRST_FREE_UID;

	while (getpwuid(uid) != NULL || getgrgid((gid_t)uid) != NULL)
		uid++;
	return uid;
}

static bool
become(uid_t uid)
{
	if (uid == geteuid())
		return true;
	return setgroups(0, NULL) == 0 &&
	    setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) == 0 &&
	    setresuid(uid, uid, uid) == 0;
}

/*
 * Plays, and ends early with the parent: asked for after the change of user,
 * which would undo it.
 */
static int
be_player(struct demo *d, uid_t uid, pid_t parent, const sigset_t *before)
{
	catch_signals();
	if (!become(uid) || prctl(PR_SET_PDEATHSIG, SIGTERM) == -1)
		return EX_OSERR;
	if (getppid() != parent)
		demo_interrupted = SIGTERM;
	(void)sigprocmask(SIG_SETMASK, before, NULL);
	return play(d);
}

/* The end of the player; a signal to us is one to him. */
static int
wait_for(pid_t player, const sigset_t *awaited)
{
	int status;

	while (waitpid(player, &status, WNOHANG) == 0)
		if (sigwaitinfo(awaited, NULL) != SIGCHLD)
			(void)kill(player, SIGTERM);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

int
demo_run(const struct cmd *c)
{
	struct demo d = { .cmd = c };
	uid_t uid = geteuid() == 0 ? nobodys_uid() : geteuid();
	pid_t player = -1, self = getpid();
	int status = EX_CANTCREAT;
	sigset_t awaited, before;
	size_t i;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaddset(&awaited, ends[i]);
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, it leaves no status */
	(void)sigprocmask(SIG_BLOCK, &awaited, &before);
	if (demo_folder(&d.place, uid)) {
		fflush(stdout);
		player = fork();
		if (player == 0)
			_exit(be_player(&d, uid, self, &before));
		status = player == -1 ? EX_OSERR : wait_for(player, &awaited);
	}
	if (cmd_value(c, FLAG_DEMO_KEEP) == NULL)
		demo_remove(d.place.top);
	else if (!c->json)
		printf("Kept: %s\n", d.place.top);
	return out_finish(status);
}
