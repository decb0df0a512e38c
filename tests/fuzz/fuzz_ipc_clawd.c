/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_clawd.c - clawd under all of its children taken over.
 *
 * The real suite, supervision, orders, reload and records; only fork is
 * played: a process is a socketpair, and ends when clawd kills it or the
 * input says so. Whoever broke a rule must be dead at the end of the step.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clawd/kept.h"
#include "clawd/listen.h"
#include "clawd/notify.h"
#include "clawd/place.h"
#include "clawd/suite.h"
/* Its list has to be emptied between two runs. */
#include "clawd/record.c"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/silent.h"

#define PIDS 64
#define FIRST_PID 0x30000000

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct {
	enum proc proc;
	int end; /* our end of its channel, -1: closed */
	bool alive;
	int status; /* to be reaped, if not alive */
	bool reaped;
	uint32_t next_id;
	uint32_t asked[8];
	uint16_t asked_type[8];
	unsigned int asks;
} life[PIDS];
static unsigned int lives;
static const uint8_t *input;
static size_t left;

__attribute__((noreturn)) static void
die(const char *why)
{
	fprintf(stderr, "a child made clawd say: %s\n", why);
	abort();
}

/* clawd/spawn.h */
void
spawn_setup(void)
{
}
const char *
spawn_libexec(void)
{
	return "";
}

pid_t
spawn_start(const struct spawn *s, enum proc p, int *channel, int *page)
{
	int pair[2];

	(void)s;
	*page = -1;
	/* Some workers cannot be had. */
	if (lives == PIDS || (p >= PROC_SUITE_END && lives % 5 == 4) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return -1;
	memset(&life[lives], 0, sizeof(life[0]));
	life[lives].proc = p;
	life[lives].end = pair[1];
	life[lives].alive = true;
	*channel = pair[0];
	return FIRST_PID + (pid_t)lives++;
}

static void
end_life(unsigned int i, int status)
{
	if (!life[i].alive)
		return;
	life[i].alive = false;
	life[i].status = status;
	if (life[i].end != -1)
		close(life[i].end);
	life[i].end = -1;
}

/* The system, as far as it is played. */
int
kill(pid_t pid, int sig)
{
	if (pid < FIRST_PID || pid >= FIRST_PID + (pid_t)lives)
		return (int)syscall(SYS_kill, pid, sig);
	if (life[pid - FIRST_PID].reaped)
		abort(); /* it might be somebody else's by now */
	end_life((unsigned int)(pid - FIRST_PID), SIGKILL);
	return 0;
}

pid_t
waitpid(pid_t pid, int *status, int options)
{
	unsigned int i;

	(void)pid;
	(void)options;
	for (i = 0; i < lives; i++)
		if (!life[i].alive && !life[i].reaped) {
			life[i].reaped = true;
			*status = life[i].status;
			return FIRST_PID + (pid_t)i;
		}
	return 0;
}

static uint8_t
take(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

static uint16_t
take16(void)
{
	uint8_t high = take();

	return (uint16_t)(high << 8 | take());
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		event_base_loop(suite.base, EVLOOP_NONBLOCK);
		supervise_children();
	}
}

/* What clawd has said to a child. */
static void
listen_to(unsigned int i)
{
	uint8_t packet[MSG_MAX_LEN];
	const struct msg_rule *rule;
	struct rbuf r;
	ssize_t n;

	while (life[i].end != -1 &&
	    (n = recv(life[i].end, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		rbuf_init(&r, packet, (size_t)n);
		rule = msg_rule(rbuf_u16(&r));
		(void)rbuf_take(&r, 6);
		if (rule == NULL || (rule->senders & 1) == 0 ||
		    (rule->receivers & PROC_BIT(life[i].proc)) == 0)
			abort();
		if (rule->reply != MSG_NONE) {
			life[i].asked_type[life[i].asks % 8] = rule->type;
			life[i].asked[life[i].asks++ % 8] = rbuf_u32(&r);
		}
	}
}

static void
put(unsigned int i, uint16_t type, uint16_t flags, uint32_t id,
    const void *body, size_t len, int fd)
{
	uint8_t packet[MSG_MAX_LEN + 512];
	char space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { packet, 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, flags);
	wbuf_u32(&w, (uint32_t)len);
	wbuf_u32(&w, id);
	wbuf_put(&w, body, len);
	iov.iov_len = w.len;
	if (fd != -1) {
		memset(space, 0, sizeof(space));
		mh.msg_control = space;
		mh.msg_controllen = sizeof(space);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	if (life[i].end != -1)
		(void)sendmsg(life[i].end, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What an honest child says next: its HELLO, or the answer it owes. */
static void
honest(unsigned int i)
{
	static const struct msg_HELLO zero;
	struct msg_HELLO hello = zero;
	uint8_t body[256] = { 0 };
	const struct msg_rule *rule;
	struct wbuf w;
	unsigned int k;

	listen_to(i);
	wbuf_init(&w, body, sizeof(body));
	if (life[i].asks == 0 && life[i].next_id == 0) {
		hello.schema = msg_schema();
		snprintf(hello.version, sizeof(hello.version), CLAW_VERSION);
		msg_put_HELLO(&w, &hello);
		put(i, MSG_HELLO, 0, 0, body, w.len, -1);
		life[i].next_id = 1;
	} else if (life[i].asks > 0) {
		k = (life[i].asks - 1) % 8;
		rule = msg_rule(msg_rule(life[i].asked_type[k])->reply);
		/* Zeros are a body for every answer, if long enough. */
		for (w.len = 0; w.len < sizeof(body); w.len++)
			if (msg_body_valid(rule, body, w.len))
				break;
		put(i, rule->type, 0, life[i].asked[k], body, w.len, -1);
	}
}

static void
say(unsigned int i)
{
	uint16_t type = take16();
	uint8_t how = take();
	size_t len = take();
	uint32_t id;

	listen_to(i);
	switch (how & 7) {
	case 0:
	case 1:
		id = ++life[i].next_id + 1;
		break;
	case 2:
	case 3:
		id = 0;
		break;
	case 4:
		id = life[i].next_id;
		break;
	default:
		id = life[i].asked[(life[i].asks - 1 - (how & 7) + 5) % 8];
		break;
	}
	if (len == 255)
		len = take16() % MSG_MAX_LEN;
	if (len > left)
		len = left;
	put(i, type, how >> 3 == 31, id, input, len,
	    how >> 3 == 30 ? STDERR_FILENO : -1);
	input += len;
	left -= len;
}

/* Each start of a run is the start of a node. */
static void
begin(void)
{
	static bool once;
	struct conf_errors errors;
	char path[128];
	FILE *f;
	int r;

	if (!once) {
		scratch_make("clawd");
		snprintf(path, sizeof(path), "%s/claw.yaml", top);
		f = fopen(path, "w");
		if (f == NULL)
			abort();
		fprintf(f,
		    "node:\n  name: node1\n"
		    "  data_dir: %s/data\n  log_dir: %s/log\n"
		    "  run_dir: %s/run\n  registry:\n"
		    "    genesis: \"sha256:%064d\"\n",
		    top, top, top, 1);
		fclose(f);
		conf_errors_init(&errors);
		r = conf_load(&suite.conf, &errors, path, environ);
		if (r != 0)
			conf_errors_print(&errors, stderr);
		conf_errors_free(&errors);
		if (r != 0 || !place_make(&suite.conf, true) ||
		    !record_open(&suite.conf) || !kept_open(&suite.conf))
			abort();
		place_path(&suite.conf, PLACE_NODE_KEY, path, sizeof(path));
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		boot_check_handlers();
		once = true;
	}
	suite.base = event_base_new();
	suite.generation = 1;
	suite.ran_ms = 0;
	suite.backoff_ms = 0;
	suite.exit_wanted = suite.ever_ran = false;
	for (r = 0; r < PROC_MAX; r++) {
		memset(&suite.slot[r], 0, sizeof(suite.slot[r]));
		suite.slot[r].page = -1;
	}
	lives = 0;
	suite_start();
}

static void
finish(void)
{
	struct waiting *w;
	struct instance *in;
	unsigned int p;

	for (p = 0; p < lives; p++)
		if (life[p].end != -1)
			close(life[p].end);
	suite.state = SUITE_WAITING;
	record_auditd(NULL);
	while ((in = TAILQ_FIRST(&suite.all)) != NULL)
		instance_gone(in);
	order_advance();
	for (p = 0; p < PROC_MAX; p++)
		if (suite.slot[p].restart != NULL)
			event_free(suite.slot[p].restart);
	event_free(suite.tick);
	event_free(suite.again);
	event_base_free(suite.base);
	while ((w = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, w, entry);
		free(w);
	}
	waiting_count = 0;
	if (ftruncate(file, 0) == -1)
		abort();
}

/* Time passes: what waits for a back-off starts again. */
static void
wait_a_while(void)
{
	unsigned int p;

	for (p = PROC_KEYD; p < PROC_MAX; p++)
		if (suite.slot[p].restart != NULL &&
		    evtimer_pending(suite.slot[p].restart, NULL))
			event_active(suite.slot[p].restart, EV_TIMEOUT, 1);
	if (suite.state == SUITE_WAITING)
		event_active(suite.again, EV_TIMEOUT, 1);
	supervise_tick();
	supervise_tick();
}

static void
step(void)
{
	uint8_t what = take();
	unsigned int i = lives == 0 ? 0 : lives - 1 - (what >> 3) % lives;

	switch (what & 7) {
	case 0:
	case 1:
		say(i);
		turn();
		break;
	case 2:
		say(i);
		break;
	case 3:
		end_life(i, take() % 2 == 0 ? SIGSEGV : 0);
		turn();
		break;
	case 4:
		wait_a_while();
		turn();
		break;
	case 5: /* all of them are honest until the node runs */
		for (i = 0;
		     i < 64 && suite.state == SUITE_STARTING && lives > 0;
		     i++) {
			honest(lives - 1);
			turn();
		}
		break;
	default:
		honest(i);
		turn();
		break;
	}
	for (i = 0; i < lives; i++)
		listen_to(i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* What the harness is told is no configuration of a node. */
	clearenv();
	input = data;
	left = len;
	begin();
	while (left > 0)
		step();
	turn();
	finish();
	return 0;
}
