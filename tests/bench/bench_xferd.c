/* SPDX-License-Identifier: ISC */
/*
 * bench_xferd.c - a transfer between two real xferds, in their sandbox, over
 * loopback: what it costs beside bench_transfer_limit.
 *
 * usage: bench_xferd [-c chunk-log2] [-m file-MiB] [-n streams] [-r rounds]
 *
 * It works in a folder of its own in $CLAW_BENCH_DIR (/var/tmp). The rest of
 * the house is played by this program (tests/lib/xferkit.c), whose own time is
 * not counted. One line a round, as key=value: wall_s from the offer to the
 * receipt, rate_mb_s, cpu_s_per_gib of both processes, pss_kb the most that
 * either had of its own. Compare with the limit in rounds that take turns.
 */
#include <sys/resource.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/lib/xferkit.h"

static struct xend a, b;
static struct xfile f;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
childrens_cpu(void)
{
	struct rusage r;

	getrusage(RUSAGE_CHILDREN, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	    (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static unsigned long
pss_of(pid_t pid)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *s;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	s = fopen(path, "re");
	while (s != NULL && fgets(line, sizeof(line), s) != NULL)
		if (sscanf(line, "Pss: %lu kB", &kb) == 1)
			break;
	if (s != NULL)
		fclose(s);
	return kb;
}

static unsigned long most_a, most_b;

static bool
over(void *arg)
{
	unsigned long kb;

	(void)arg;
	if (a.pid > 0 && (kb = pss_of(a.pid)) > most_a)
		most_a = kb;
	if (b.pid > 0 && (kb = pss_of(b.pid)) > most_b)
		most_b = kb;
	return a.ended && b.ended;
}

/* What the partial file will need is touched before the clock starts. */
static void
warm(void)
{
	char path[320], *block = calloc(1, 1 << 20);
	uint64_t at;
	int fd;

	snprintf(path, sizeof(path), "%s/partial", f.dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(block, 1, 1 << 20);
	for (at = 0; at < f.size; at += 1 << 20)
		if (pwrite(fd, block, 1 << 20, (off_t)at) == -1)
			fatal("%s", path);
	close(fd);
	unlink(path);
	snprintf(path, sizeof(path), "%s/journal", f.dir);
	unlink(path);
	free(block);
}

static void
round_of(uint8_t streams)
{
	double start, cpu, wall;

	warm();
	cpu = childrens_cpu();
	if (!xferkit_start(&a, &b, &f))
		fatalx("no xferd");
	a.streams = streams;
	a.tcp = true;
	most_a = most_b = 0;
	start = now();
	xferkit_go(&a, &b);
	if (!linkkit_until(over, NULL) || !a.receipt ||
	    memcmp(b.root, f.root, 32) != 0)
		fatalx("it did not arrive: %s", a.failed.text);
	wall = now() - start;
	cpu = childrens_cpu() - cpu;
	printf("wall_s=%.3f rate_mb_s=%.0f cpu_s_per_gib=%.3f "
	       "sender_pss_kb=%lu receiver_pss_kb=%lu\n",
	    wall, (double)f.size / 1e6 / wall,
	    cpu / ((double)f.size / (1 << 30)), most_a, most_b);
	fflush(stdout);
	xferkit_end(&a, &b);
}

int
main(int argc, char **argv)
{
	const char *below = getenv("CLAW_BENCH_DIR");
	unsigned long mib = 1024, rounds = 3, streams = 2, log2 = 23;
	int c;

	while ((c = getopt(argc, argv, "c:m:n:r:")) != -1)
		switch (c) {
		case 'c':
			log2 = strtoul(optarg, NULL, 10);
			break;
		case 'm':
			mib = strtoul(optarg, NULL, 10);
			break;
		case 'n':
			streams = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rounds = strtoul(optarg, NULL, 10);
			break;
		default:
			fatalx("usage: bench_xferd [-c log2] [-m MiB] "
			       "[-n streams] [-r rounds]");
		}
	xferkit_file(&f, below != NULL ? below : "/var/tmp",
	    (uint64_t)mib << 20, (uint8_t)log2, 0);
	while (rounds-- > 0)
		round_of((uint8_t)streams);
	xferkit_remove(&f);
	return 0;
}
