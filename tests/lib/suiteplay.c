/* SPDX-License-Identifier: ISC */
/*
 * suiteplay.c - plays the siblings of the real keyd and auditd for a script.
 *
 * Usage: suiteplay NODE-DIR LIBEXEC [FAULTS.SO PAGE]
 * One command a line on standard input, one line of answer each:
 *
 *	conf WARN REFUSE RESERVE CHECKPOINT_MS	ok
 *	start					started | failed
 *	stop					stopped | failed
 *	kill auditd|keyd|both			ended
 *	alive					yes | no
 *	wait MS					ok
 *	note AS TEXT				appended SHARD N |
 *	intent AS TEXT				    refused CODE TEXT | gone
 *	outcome AS N TEXT
 *	fill AS BYTES COUNT			filled APPENDED REFUSED GONE
 *	drop AS					ok (that sibling is dead)
 *	clock WALL_MS BOOT_MS			ok
 *	fault CALL AFTER COUNT ERROR		ok (CALL: faults.h, in order)
 *	crash ROUNDS SEED			crashed ... | failed ...
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auditd/line.h"
#include "auditd/shard.h"
#include "clawd/place.h"
#include "common/log.h"
#include "faults.h"
#include "suitekit.h"

#define WRITERS 8
#define DEPTH 3
#define TEXT_MAX 4096

static struct suitekit *kit;
static struct faults *faults;
static struct chan *sibling[PROC_MAX];

__attribute__((format(printf, 1, 2))) static void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static const enum proc recorders[] = { PROC_CLAWD, PROC_ATTESTD,
	PROC_CONTROLD };

/* An event that this process may record. */
static enum audit_event
event_of(enum proc p)
{
	return p == PROC_CLAWD ? AUDIT_PROCESS_ENDED :
	    p == PROC_ATTESTD  ? AUDIT_REGISTRY_LOADED :
				 AUDIT_NOTE;
}

static bool
start(void)
{
	size_t i;

	if (suitekit_start(kit) != 0)
		return false;
	for (i = 0; i < 3; i++)
		suitekit_writer(kit, recorders[i], &sibling[recorders[i]]);
	return true;
}

/* The clawd of a node stops what is left when one of the two is gone. */
static void
settle(void)
{
	if (!suitekit_alive(kit))
		suitekit_end(kit);
	if (suitekit_pid(kit, PROC_AUDITD) == 0)
		memset(sibling, 0, sizeof(sibling));
}

/* Let things happen for a while. */
static void
pause_ms(unsigned int ms)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000;
	do {
		suitekit_turn(kit, 5);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (
	    (now.tv_sec - end.tv_sec) * 1000000000 + now.tv_nsec - end.tv_nsec <
	    0);
}

/* One record, and its answer. */

static struct {
	bool done;
	char text[512];
} answer;

static void
on_answer(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUDIT_APPENDED done;
	struct msg_REFUSED no;

	(void)c;
	(void)arg;
	answer.done = true;
	if (m != NULL && m->type == MSG_AUDIT_APPENDED &&
	    msg_get_AUDIT_APPENDED(&m->body, &done))
		snprintf(answer.text, sizeof(answer.text),
		    "appended %s %" PRIu64, done.shard, done.number);
	else if (m != NULL && m->type == MSG_REFUSED &&
	    msg_get_REFUSED(&m->body, &no))
		snprintf(answer.text, sizeof(answer.text), "refused %u %s",
		    no.code, no.text);
	else
		snprintf(answer.text, sizeof(answer.text), "gone");
}

static void
record(enum proc as, enum audit_phase phase, uint64_t intent, const char *text)
{
	struct auditrec r;

	auditrec_init(&r, event_of(as), phase,
	    phase == AUDIT_INTENT ? AUDIT_NO_OUTCOME : AUDIT_OK);
	r.msg.intent = intent;
	auditrec_text(&r, AUDIT_ATTR_TEXT, text);
	answer.done = false;
	if (!suitekit_append(sibling[as], &r, on_answer, NULL))
		snprintf(answer.text, sizeof(answer.text), "gone");
	else
		while (!answer.done)
			suitekit_turn(kit, 1000);
	say("%s", answer.text);
}

static struct {
	unsigned int appended, refused, gone;
} filled;

static void
on_filled(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL)
		filled.gone++;
	else if (m->type == MSG_AUDIT_APPENDED)
		filled.appended++;
	else
		filled.refused++;
}

static void
fill(enum proc as, size_t bytes, unsigned int count)
{
	char text[TEXT_MAX + 1];
	struct auditrec r;
	unsigned int sent = 0;

	if (bytes > TEXT_MAX)
		bytes = TEXT_MAX;
	memset(&filled, 0, sizeof(filled));
	memset(text, 'x', bytes);
	text[bytes] = '\0';
	auditrec_init(&r, event_of(as), AUDIT_SINGLE, AUDIT_OK);
	auditrec_text(&r, AUDIT_ATTR_TEXT, text);
	while (filled.appended + filled.refused + filled.gone < count) {
		if (sent < count &&
		    sent - filled.appended - filled.refused < 64) {
			if (suitekit_append(sibling[as], &r, on_filled, NULL))
				sent++;
			else {
				filled.gone += count - sent;
				sent = count;
			}
		} else
			suitekit_turn(kit, 1000);
	}
	say("filled %u %u %u", filled.appended, filled.refused, filled.gone);
}

/* Crashes. */

struct sent {
	bool acknowledged, seen;
	uint64_t number;
	char shard[SHARDNAME_SIZE];
};

static struct {
	struct sent *sent;
	size_t count, room;
	struct chan *chan[WRITERS];
	enum proc as[WRITERS];
	bool running;
	uint64_t lines, bytes; /* of the log, as far as it has been checked */
	merkle_hash prev;
	unsigned int acknowledged, lost, unasked, torn, cuts, tears, started,
	    refused;
	unsigned int unlooked; /* crashes since the last look */
	char fault[256];
} crash;

__attribute__((format(printf, 1, 2))) static void
wrong(const char *fmt, ...)
{
	va_list ap;

	if (crash.fault[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(crash.fault, sizeof(crash.fault), fmt, ap);
	va_end(ap);
}

static void write_more(size_t writer);

/* arg: which record, and which of the writers sent it. */
static void
on_crash_answer(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUDIT_APPENDED done;
	size_t n = (size_t)(uintptr_t)arg;

	(void)c;
	if (m == NULL)
		return;
	if (m->type != MSG_AUDIT_APPENDED) {
		crash.refused++;
		wrong("record %zu was refused", n / WRITERS);
		return;
	}
	if (!msg_get_AUDIT_APPENDED(&m->body, &done))
		return;
	crash.sent[n / WRITERS].acknowledged = true;
	crash.sent[n / WRITERS].number = done.number;
	memcpy(crash.sent[n / WRITERS].shard, done.shard, SHARDNAME_SIZE);
	crash.acknowledged++;
	if (crash.running)
		write_more(n % WRITERS);
}

static void
write_more(size_t writer)
{
	struct auditrec r;
	char text[700];

	if (crash.count == crash.room) {
		crash.room = crash.room == 0 ? 65536 : crash.room * 2;
		crash.sent =
		    reallocarray(crash.sent, crash.room, sizeof(*crash.sent));
		if (crash.sent == NULL)
			fatalx("out of memory");
	}
	memset(&crash.sent[crash.count], 0, sizeof(*crash.sent));
	snprintf(text, sizeof(text), "record %d %zu %*s", (int)getpid(),
	    crash.count, (int)(random() % 600), ".");
	auditrec_init(&r, event_of(crash.as[writer]), AUDIT_SINGLE, AUDIT_OK);
	auditrec_text(&r, AUDIT_ATTR_TEXT, text);
	(void)suitekit_append(crash.chan[writer], &r, on_crash_answer,
	    (void *)(uintptr_t)(crash.count * WRITERS + writer));
	crash.count++;
}

/* A line of the log that was not there at the last look. */
static void
look_at(const char *line, size_t len)
{
	char text[TEXT_MAX * 2], event[64];
	struct line_view v;
	struct sent *s;
	size_t n;
	int pid;

	if (line_parse(line, len, &v) != 0 || v.env.n != crash.lines ||
	    memcmp(v.env.prev, crash.prev, sizeof(crash.prev)) != 0) {
		wrong("line %" PRIu64 " does not follow", crash.lines);
		return;
	}
	if (line_text(&v, "event", event, sizeof(event)) > 0 &&
	    strcmp(event, "audit.recovered") == 0)
		crash.cuts++;
	if (line_text(&v, "text", text, sizeof(text)) > 0 &&
	    sscanf(text, "record %d %zu", &pid, &n) == 2 && pid == getpid() &&
	    n < crash.count) {
		s = &crash.sent[n];
		if (s->seen)
			wrong("record %zu is there twice", n);
		if (s->acknowledged && s->number != v.env.n)
			wrong("record %zu has another number", n);
		if (!s->acknowledged)
			crash.unasked++;
		s->seen = true;
	}
	merkle_leaf(line, len, crash.prev);
	crash.lines++;
}

/* Everything acknowledged is there, once, under its number. */
static void
check_log(size_t from)
{
	char path[CONF_TEXT_MAX], name[SHARDNAME_SIZE];
	char file[CONF_TEXT_MAX + 64], *data, *p, *nl;
	int dir = place_open_dir(suitekit_conf(kit), PLACE_AUDIT_LOG), fd;
	uint64_t size;
	ssize_t got;

	if (dir == -1 || shard_newest(dir, name) != 0 ||
	    !place_path(suitekit_conf(kit), PLACE_AUDIT_LOG, path,
		sizeof(path)))
		fatal("the audit log");
	close(dir);
	snprintf(file, sizeof(file), "%s/%s/" SHARD_LOG, path, name);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	size = fd == -1 ? 0 : (uint64_t)lseek(fd, 0, SEEK_END);
	if (size < crash.bytes ||
	    (data = malloc(size - crash.bytes + 1)) == NULL)
		fatalx("%s is shorter than it was", file);
	got = pread(fd, data, size - crash.bytes, (off_t)crash.bytes);
	close(fd);
	if (got < 0)
		fatal("%s", file);
	for (p = data; (nl = memchr(p, '\n', (size_t)(data + got - p))) != NULL;
	     p = nl + 1)
		look_at(p, (size_t)(nl - p));
	if (crash.cuts > 1 + crash.unlooked)
		wrong("%u torn tails of one crash", crash.cuts);
	crash.torn += crash.cuts;
	crash.cuts = crash.unlooked = 0;
	if (p != data + got)
		wrong("the log ends in the middle of a line");
	crash.bytes += (uint64_t)(p - data);
	free(data);
	for (; from < crash.count; from++)
		if (crash.sent[from].acknowledged && !crash.sent[from].seen) {
			crash.lost++;
			wrong("record %zu was acknowledged and is not there",
			    from);
		}
}

static void
kill_some(evutil_socket_t fd, short what, void *arg)
{
	long who = random() % 10;

	(void)fd;
	(void)what;
	(void)arg;
	if (who < 7)
		suitekit_kill(kit, PROC_AUDITD);
	if (who >= 5)
		suitekit_kill(kit, PROC_KEYD);
}

/*
 * What a power cut can leave and a kill hardly does: the beginning of a line
 * that nobody was told of. Sometimes.
 */
static bool
tear(void)
{
	char path[CONF_TEXT_MAX], name[SHARDNAME_SIZE], line[256];
	char file[CONF_TEXT_MAX + 64];
	int dir, fd;
	ssize_t n;

	if (random() % 4 != 0)
		return false;
	dir = place_open_dir(suitekit_conf(kit), PLACE_AUDIT_LOG);
	if (dir == -1 || shard_newest(dir, name) != 0 ||
	    !place_path(suitekit_conf(kit), PLACE_AUDIT_LOG, path,
		sizeof(path)))
		fatal("the audit log");
	close(dir);
	snprintf(file, sizeof(file), "%s/%s/" SHARD_LOG, path, name);
	fd = open(file, O_RDWR | O_APPEND | O_CLOEXEC);
	n = fd == -1 ? -1 : pread(fd, line, sizeof(line), 0);
	if (n <= 0 || write(fd, line, 1 + (size_t)(random() % n)) == -1)
		fatal("%s", file);
	close(fd);
	return true;
}

/* Start, write, and take one or both away at some moment of it. */
static void
crash_round(void)
{
	struct timeval when = { 0,
		random() % (random() % 4 == 0 ? 40000 : 9000) };
	struct event *end = evtimer_new(suitekit_base(kit), kill_some, NULL);
	bool early = random() % 8 == 0, torn;
	unsigned int cuts;
	size_t i, from, d;

	if (early)
		evtimer_add(end, &when);
	if (suitekit_start(kit) != 0) {
		crash.unlooked++;
		event_free(end);
		return;
	}
	crash.started++;
	from = crash.count;
	for (i = 0; i < WRITERS; i++) {
		crash.as[i] = recorders[i % 3];
		suitekit_writer(kit, crash.as[i], &crash.chan[i]);
	}
	if (!early)
		evtimer_add(end, &when);
	crash.running = true;
	for (i = 0; i < WRITERS; i++)
		for (d = 0; d < DEPTH; d++)
			write_more(i);
	while (suitekit_alive(kit))
		suitekit_turn(kit, 1000);
	crash.running = false;
	suitekit_end(kit);
	event_free(end);
	torn = tear();
	crash.tears += torn;
	/* What was torn is cut by the next start, then all is looked at. */
	if (suitekit_start(kit) != 0)
		wrong("no start after a crash");
	cuts = crash.torn;
	check_log(from);
	if (torn && crash.torn == cuts)
		wrong("a torn tail was cut and not recorded");
	suitekit_end(kit);
}

static void
crashes(unsigned int rounds, unsigned int seed)
{
	unsigned int i;

	srandom(seed);
	for (i = 0; i < rounds && crash.fault[0] == '\0'; i++)
		crash_round();
	if (crash.fault[0] != '\0')
		say("failed round %u of seed %u: %s", i, seed, crash.fault);
	else
		say("crashed rounds %u started %u sent %zu acknowledged %u "
		    "unacknowledged %u torn_by_us %u torn %u lost %u",
		    i, crash.started, crash.count, crash.acknowledged,
		    crash.unasked, crash.tears, crash.torn, crash.lost);
}

/* Commands. */

static bool
recorder(const char *name, enum proc *p)
{
	size_t i;

	for (i = 0; i < 3; i++)
		if (strcmp(proc_name(recorders[i]), name) == 0) {
			*p = recorders[i];
			return true;
		}
	return false;
}

static void
kill_by_name(const char *name)
{
	if (strcmp(name, "auditd") == 0 || strcmp(name, "both") == 0)
		suitekit_kill(kit, PROC_AUDITD);
	if (strcmp(name, "keyd") == 0 || strcmp(name, "both") == 0)
		suitekit_kill(kit, PROC_KEYD);
	suitekit_end(kit);
	memset(sibling, 0, sizeof(sibling));
	say("ended");
}

static void
set_fault(unsigned int call, uint64_t after, uint64_t count, int64_t error)
{
	if (faults == NULL || call >= FAULT_CALLS)
		fatalx("no such fault");
	faults->call[call].error = error;
	faults->call[call].last = faults->call[call].seen + after + count;
	faults->call[call].first =
	    count == 0 ? 0 : faults->call[call].seen + after + 1;
	say("ok");
}

static bool
about_a_record(const char *line)
{
	char who[16], text[TEXT_MAX + 1] = "";
	enum proc as;
	uint64_t n;
	unsigned int count;
	size_t bytes;

	if (sscanf(line, "fill %15s %zu %u", who, &bytes, &count) == 3 &&
	    recorder(who, &as))
		fill(as, bytes, count);
	else if (sscanf(line, "note %15s %4096[^\n]", who, text) >= 1 &&
	    recorder(who, &as))
		record(as, AUDIT_SINGLE, 0, text);
	else if (sscanf(line, "intent %15s %4096[^\n]", who, text) >= 1 &&
	    recorder(who, &as))
		record(as, AUDIT_INTENT, 0, text);
	else if (sscanf(line, "outcome %15s %" SCNu64 " %4096[^\n]", who, &n,
		     text) >= 2 &&
	    recorder(who, &as))
		record(as, AUDIT_OUTCOME, n, text);
	else if (sscanf(line, "drop %15s", who) == 1 && recorder(who, &as)) {
		suitekit_drop(kit, &sibling[as]);
		say("ok");
	} else
		return false;
	return true;
}

static void
command(const char *line)
{
	struct conf *conf = suitekit_conf(kit);
	unsigned int warn, refuse, ms, rounds, seed, call;
	uint64_t reserve, after, count;
	int64_t wall, boot;
	char who[16];

	settle();
	if (about_a_record(line))
		return;
	if (sscanf(line, "conf %u %u %" SCNu64 " %u", &warn, &refuse, &reserve,
		&ms) == 4) {
		conf->audit_warn_at_percent = warn;
		conf->audit_refuse_at_percent = refuse;
		conf->audit_reserve_bytes = reserve;
		conf->audit_checkpoint_interval_ms = ms;
		say("ok");
	} else if (strcmp(line, "start") == 0)
		say(start() ? "started" : "failed");
	else if (strcmp(line, "stop") == 0)
		say(suitekit_stop(kit) == 0 ? "stopped" : "failed");
	else if (sscanf(line, "kill %15s", who) == 1)
		kill_by_name(who);
	else if (strcmp(line, "alive") == 0)
		say(suitekit_alive(kit) ? "yes" : "no");
	else if (sscanf(line, "wait %u", &ms) == 1) {
		pause_ms(ms);
		say("ok");
	} else if (sscanf(line, "clock %" SCNd64 " %" SCNd64, &wall, &boot) ==
		2 &&
	    faults != NULL) {
		faults->wall_ms = wall;
		faults->boot_ms = boot;
		say("ok");
	} else if (sscanf(line, "fault %u %" SCNu64 " %" SCNu64 " %" SCNd64,
		       &call, &after, &count, &wall) == 4)
		set_fault(call, after, count, wall);
	else if (sscanf(line, "crash %u %u", &rounds, &seed) == 2)
		crashes(rounds, seed);
	else
		fatalx("no such command: %s", line);
}

static struct faults *
map_faults(const char *path)
{
	void *page;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1 || ftruncate(fd, sizeof(*faults)) == -1)
		fatal("%s", path);
	page = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	if (page == MAP_FAILED)
		fatal("%s", path);
	close(fd);
	return page;
}

int
main(int argc, char **argv)
{
	struct suitekit_opts opts = { .log_fd = STDERR_FILENO };
	char line[TEXT_MAX + 64];

	log_init("suiteplay", false);
	if (argc != 3 && argc != 5)
		fatalx("usage: suiteplay NODE-DIR LIBEXEC [FAULTS.SO PAGE]");
	opts.dir = argv[1];
	opts.libexec = argv[2];
	if (argc == 5) {
		opts.preload = argv[3];
		opts.faults = argv[4];
		faults = map_faults(argv[4]);
	}
	kit = suitekit_new(&opts);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		command(line);
	}
	suitekit_free(kit);
	free(crash.sent);
	return 0;
}
