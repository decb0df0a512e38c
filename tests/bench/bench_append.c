/* SPDX-License-Identifier: ISC */
/*
 * bench_append.c - durable appends a second from 64 writers.
 *
 * Ours: the real auditd and keyd in their sandboxes; each writer has a channel
 * of its own and waits for its acknowledgement before it sends the next record
 * (then once more with 16 records of each writer under way).
 *
 * The peer is bare group commit by the same 64 writers: 64 threads that each
 * hand in one line and wait, and one write+fdatasync for what is waiting; that
 * is ours without its processes, chain, tiles and sockets. Printed beside it is
 * a loop without any writers, one thread that writes and syncs 64 ready lines
 * at a time: the disk's own limit, where nothing else keeps the machine busy.
 * All write the same bytes in the same run and folder; the exit status asks
 * for half of the peer.
 *
 * A disk has its moods: rounds are short and alternate, figures are medians,
 * and a ratio is the median of those of neighbouring rounds. auditd publishes
 * its checkpoints meanwhile, five times as often as it does by default, and has
 * come to rest before a peer's round begins.
 *
 * Usage: bench_append [rounds [ms-per-round]]
 * $CLAW_TEST_ROOT is the staged installation, $CLAW_BENCH_DIR where to work.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/suitekit.h"
#include "../unit/auditkit.h"
#include "common/log.h"

#define WRITERS 64
#define DEPTH 16
#define ROUNDS_MAX 99
#define PEER_LINES 65536
#define CHECKPOINT_MS 200

static char dir[PATH_MAX - 256];
static unsigned int round_ms = 250;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Ours. */

static struct writer {
	struct chan *chan;
	enum audit_event event;
	unsigned int number;
	uint64_t sent;
} writers[WRITERS];

static uint64_t acknowledged, under_way;
static bool stopping;

static void send_one(struct writer *);

static void
on_answer(struct chan *c, struct msg *m, void *arg)
{
	struct msg_AUDIT_APPENDED done;

	(void)c;
	under_way--;
	if (m == NULL || m->type != MSG_AUDIT_APPENDED ||
	    !msg_get_AUDIT_APPENDED(&m->body, &done))
		fatalx("a record was not taken");
	acknowledged++;
	if (!stopping)
		send_one(arg);
}

static void
send_one(struct writer *w)
{
	struct auditrec r;
	char text[64];

	snprintf(text, sizeof(text), "writer %02u record %08llu", w->number,
	    (unsigned long long)w->sent++);
	auditrec_init(&r, w->event, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(&r, AUDIT_ATTR_UID, 1000);
	auditrec_text(&r, AUDIT_ATTR_TEXT, text);
	under_way++;
	if (!suitekit_append(w->chan, &r, on_answer, w))
		fatalx("a writer lost its channel");
}

/* Until the last checkpoint of what was written is published. */
static void
rest(struct suitekit *k)
{
	double end = now() + 2 * CHECKPOINT_MS / 1e3;

	while (now() < end)
		suitekit_turn(k, CHECKPOINT_MS / 4);
}

static double
ours(struct suitekit *k, unsigned int depth)
{
	double start, end, rate;
	unsigned int i, d;

	stopping = false;
	acknowledged = 0;
	start = now();
	for (i = 0; i < WRITERS; i++)
		for (d = 0; d < depth; d++)
			send_one(&writers[i]);
	end = start + round_ms / 1e3;
	while (now() < end)
		event_base_loop(suitekit_base(k), EVLOOP_ONCE);
	stopping = true;
	while (under_way > 0)
		event_base_loop(suitekit_base(k), EVLOOP_ONCE);
	rate = (double)acknowledged / (now() - start);
	rest(k);
	return rate;
}

/* The lines that ours has written, for the peers to write. */

static struct {
	char *data;
	size_t len;
	const char *at[PEER_LINES + 1];
	size_t count;
} lines;

static void
load_lines(void)
{
	char path[PATH_MAX], month[16];
	const char *p, *nl;
	time_t t = time(NULL);
	struct tm tm;

	strftime(month, sizeof(month), "%Y-%m", gmtime_r(&t, &tm));
	snprintf(path, sizeof(path), "%s/n/log/audit/%s/log.ndjson", dir,
	    month);
	kit_read_file(path, &lines.data, &lines.len);
	p = lines.data;
	while (lines.count < PEER_LINES &&
	    (nl = memchr(p, '\n', lines.len - (size_t)(p - lines.data))) !=
		NULL) {
		lines.at[lines.count++] = p;
		p = nl + 1;
	}
	lines.at[lines.count] = p;
}

/* A new one each time: freeing the blocks of an old one costs later syncs. */
static int
peer_file(void)
{
	static unsigned int number;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/peer%u", dir, number++);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
	    0600);
	if (fd == -1)
		fatal("%s", path);
	return fd;
}

static void
write_sync(int fd, const char *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len || fdatasync(fd) == -1)
		fatal("peer");
}

/* No writers: 64 ready lines at a time. */
static double
plain(void)
{
	double start = now(), end = start + round_ms / 1e3;
	uint64_t n = 0;
	size_t at = 0;
	int fd = peer_file();

	while (now() < end) {
		if (at + WRITERS > lines.count)
			at = 0;
		write_sync(fd, lines.at[at],
		    (size_t)(lines.at[at + WRITERS] - lines.at[at]));
		at += WRITERS;
		n += WRITERS;
	}
	close(fd);
	return (double)n / (now() - start);
}

/* The peer: 64 writers and their group commit, and nothing else. */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	char *buf[2];
	size_t len;
	sem_t *waiting[2][WRITERS];
	size_t count;
	int side;
	size_t next_line;
	_Atomic bool stop;
	uint64_t done;
} group = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.some = PTHREAD_COND_INITIALIZER };

static void *
group_writer(void *arg)
{
	sem_t *mine = arg;
	size_t i, len;

	while (!group.stop) {
		pthread_mutex_lock(&group.lock);
		i = group.next_line++ % lines.count;
		len = (size_t)(lines.at[i + 1] - lines.at[i]);
		memcpy(group.buf[group.side] + group.len, lines.at[i], len);
		group.len += len;
		group.waiting[group.side][group.count++] = mine;
		if (group.count == 1)
			pthread_cond_signal(&group.some);
		pthread_mutex_unlock(&group.lock);
		while (sem_wait(mine) == -1)
			;
	}
	return NULL;
}

/* One batch: whatever has come together. False when all have stopped. */
static bool
group_commit(int fd)
{
	size_t count, len, i;
	int side;

	pthread_mutex_lock(&group.lock);
	while (group.count == 0 && !group.stop)
		pthread_cond_wait(&group.some, &group.lock);
	side = group.side;
	count = group.count;
	len = group.len;
	group.side = !side;
	group.count = group.len = 0;
	pthread_mutex_unlock(&group.lock);
	if (count == 0)
		return false;
	write_sync(fd, group.buf[side], len);
	for (i = 0; i < count; i++)
		sem_post(group.waiting[side][i]);
	group.done += count;
	return true;
}

static double
threads(void)
{
	pthread_t thread[WRITERS];
	sem_t sem[WRITERS];
	double start, end, took;
	int i, fd = peer_file();

	for (i = 0; i < 2; i++)
		if (group.buf[i] == NULL &&
		    (group.buf[i] = malloc(WRITERS * 17000)) == NULL)
			fatal("peer");
	group.stop = false;
	group.done = 0;
	start = now();
	end = start + round_ms / 1e3;
	for (i = 0; i < WRITERS; i++) {
		sem_init(&sem[i], 0, 0);
		if (pthread_create(&thread[i], NULL, group_writer, &sem[i]))
			fatalx("threads");
	}
	while (now() < end)
		group_commit(fd);
	took = now() - start;
	group.stop = true;
	while (group_commit(fd))
		;
	for (i = 0; i < WRITERS; i++)
		sem_post(&sem[i]);
	for (i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	group.count = group.len = 0;
	close(fd);
	return (double)group.done / took;
}

/* Figures. */

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static struct suitekit *
start_suite(void)
{
	const char *stage = getenv("CLAW_TEST_ROOT");
	static char libexec[PATH_MAX], node[PATH_MAX];
	struct suitekit_opts opts = { .dir = node, .log_fd = STDERR_FILENO };
	struct suitekit *k;
	unsigned int i;

	if (stage == NULL)
		fatalx("CLAW_TEST_ROOT names no staged installation");
	snprintf(libexec, sizeof(libexec), "%s/libexec/claw", stage);
	opts.libexec = libexec;
	suitekit_drop_root(dir, &opts.libexec);
	snprintf(node, sizeof(node), "%s/n", dir);
	if (suitekit_init_node(opts.libexec, node) != 0)
		fatalx("no node could be made");
	k = suitekit_new(&opts);
	suitekit_conf(k)->audit_checkpoint_interval_ms = CHECKPOINT_MS;
	if (suitekit_start(k) != 0)
		fatalx("the suite does not start");
	for (i = 0; i < WRITERS; i++) {
		writers[i].number = i;
		writers[i].event =
		    i % 2 != 0 ? AUDIT_REGISTRY_LOADED : AUDIT_NOTE;
		suitekit_writer(k, i % 2 != 0 ? PROC_ATTESTD : PROC_CONTROLD,
		    &writers[i].chan);
	}
	return k;
}

static struct {
	double one[ROUNDS_MAX], many[ROUNDS_MAX], threads[ROUNDS_MAX],
	    plain[ROUNDS_MAX];
} rate;

static double
ratio(const double *a, const double *b, unsigned int n)
{
	double r[ROUNDS_MAX];
	unsigned int i;

	for (i = 0; i < n; i++)
		r[i] = a[i] / b[i];
	return median(r, n);
}

/* 0 if what is asked was reached. */
static int
report(unsigned int n)
{
	double grouped = ratio(rate.one, rate.threads, n);
	double loop = ratio(rate.one, rate.plain, n);
	double deep = ratio(rate.many, rate.plain, n);
	double one = median(rate.one, n);

	printf("%u rounds of %u ms, %zu bytes a line, medians\n", n, round_ms,
	    lines.len / lines.count);
	printf("64 writers, one record each under way      %9.0f records/s\n",
	    one);
	printf("64 writers, 16 records each under way      %9.0f records/s\n",
	    median(rate.many, n));
	printf("peer: 64 waiting threads, group commit     %9.0f records/s\n",
	    median(rate.threads, n));
	printf("no writers: loop, the disk's own limit     %9.0f records/s\n",
	    median(rate.plain, n));
	printf(
	    "one under way / peer's group commit        %9.2f (0.50 asked)\n",
	    grouped);
	printf("one under way / disk's own limit           %9.2f\n", loop);
	printf("16 under way / disk's own limit            %9.2f\n", deep);
	return one >= 20000 && grouped >= 0.5 ? 0 : 1;
}

static int
measure(unsigned int rounds)
{
	struct suitekit *k = start_suite();
	unsigned int i;
	int rc;

	(void)ours(k, 1);
	load_lines();
	for (i = 0; i < rounds; i++) {
		rate.threads[i] = threads();
		rate.one[i] = ours(k, 1);
		rate.plain[i] = plain();
		rate.many[i] = ours(k, DEPTH);
	}
	rc = report(rounds);
	if (suitekit_stop(k) != 0)
		fatalx("the suite did not stop in order");
	suitekit_free(k);
	free(lines.data);
	free(group.buf[0]);
	free(group.buf[1]);
	return rc;
}

/* The measuring process gives root up; the folder is the parent's to remove. */
int
main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? (unsigned int)atoi(argv[1]) : 21;
	const char *work = getenv("CLAW_BENCH_DIR");
	int status;
	pid_t pid;

	log_init("bench_append", false);
	if (argc > 2)
		round_ms = (unsigned int)atoi(argv[2]);
	if (rounds == 0 || rounds > ROUNDS_MAX || round_ms == 0)
		fatalx("usage: bench_append [rounds [ms-per-round]]");
	snprintf(dir, sizeof(dir), "%s/claw-bench-XXXXXX",
	    work != NULL ? work : "/var/tmp");
	if (mkdtemp(dir) == NULL)
		fatal("%s", dir);
	pid = fork();
	if (pid == 0)
		exit(measure(rounds));
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		fatal("fork");
	kit_rmtree(dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
