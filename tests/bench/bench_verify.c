/* SPDX-License-Identifier: ISC */
/*
 * bench_verify.c - lines per second that recovery and audit:verify check.
 *
 * Their peer is one SHA-256 over the same file in the same run: what nobody
 * can go below.  Usage: bench_verify [lines]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/auditkit.h"
#include "claw/audit.h"
#include "common/merkle.h"

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
wall(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
show(const char *what, uint64_t lines, double cpu, double peer)
{
	printf("%-22s %10.0f lines/s  %5.2f us/line  %5.1f x sha256\n", what,
	    (double)lines / cpu, cpu * 1e6 / (double)lines, cpu / peer);
}

int
main(int argc, char **argv)
{
	uint64_t lines = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	struct audit_verify_opts o = { 0 };
	struct shard_report rep;
	struct kit_node n;
	struct shard *s;
	uint8_t h[32];
	char path[300], *data;
	size_t len;
	double t, w, peer;
	int ret;

	kit_node(&n);
	s = kit_open(&n, "2026-11", NULL);
	t = now();
	kit_fill(s, lines - 1);
	printf("%-22s %10.0f lines/s (one writer, memory file system)\n",
	    "append", (double)lines / (now() - t));
	if (kit_checkpoint(&n, s) != 0)
		return 1;
	shard_close(s);
	snprintf(path, sizeof(path), "%s/2026-11/log.ndjson", n.dir);
	kit_read_file(path, &data, &len);
	printf("%zu bytes a line\n", len / (size_t)lines);
	t = now();
	merkle_sha256(data, len, h);
	peer = now() - t;
	free(data);
	show("sha256 of the file", lines, peer, peer);
	t = now();
	s = kit_open(&n, "2026-11", &rep);
	show("recovery", lines, now() - t, peer);
	if (s == NULL || rep.damage != SHARD_SOUND || rep.tiles_rebuilt != 0)
		return 1;
	shard_report_free(&rep);
	shard_close(s);
	snprintf(path, sizeof(path), "%s/2026-11", n.dir);
	o.dir = path;
	o.vkey = n.vkey_text;
	o.expect = n.expect;
	t = now();
	w = wall();
	ret = audit_verify(&o, stdout, stderr);
	show("audit:verify", lines, now() - t, peer);
	printf("%-22s %10.0f lines/s by the wall clock\n", "audit:verify",
	    (double)lines / (wall() - w));
	kit_node_free(&n);
	return ret;
}
