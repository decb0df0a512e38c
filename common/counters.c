/* SPDX-License-Identifier: ISC */
/*
 * counters.c - the shared pages of policy/counters.def.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/counters.h"

/* "claw" and the number of counters: a page of another build is made anew. */
#define PAGE_MAGIC (0x636c617700000000u | (uint64_t)COUNTER_MAX)

struct counters_page {
	_Atomic uint64_t magic;
	_Atomic uint64_t value[COUNTER_MAX];
};

_Static_assert(sizeof(struct counters_page) <= COUNTERS_PAGE_LEN,
    "counters.def has outgrown its page");

enum counter_type { COUNT, GAUGE };

#define ANY PROC_MAX
#define CLAWD PROC_CLAWD
#define KEYD PROC_KEYD
#define AUDITD PROC_AUDITD
#define ATTESTD PROC_ATTESTD
#define METRICD PROC_METRICD
#define CONTROLD PROC_CONTROLD
#define MESHD PROC_MESHD
#define LINKD PROC_LINKD
#define SFTD PROC_SFTD

static const struct {
	const char *name;
	const char *labels;
	const char *help;
	enum proc proc;
	enum counter_type type;
} table[COUNTER_MAX] = {
#define COUNTER(id, proc, name, type, labels, help)                            \
	[COUNTER_##id] = { name, labels, help, proc, type },
#include "policy/counters.def"
#undef COUNTER
};

static struct counters_page nowhere;
static struct counters_page *own = &nowhere;

int
counters_format(int fd)
{
	uint64_t magic = 0;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (st.st_size == COUNTERS_PAGE_LEN &&
	    pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) &&
	    magic == PAGE_MAGIC)
		return 0;
	if (ftruncate(fd, 0) == -1 || ftruncate(fd, COUNTERS_PAGE_LEN) == -1)
		return -errno;
	/* The blocks too: a full disk must show here, not as a SIGBUS. */
	if (posix_fallocate(fd, 0, COUNTERS_PAGE_LEN) != 0)
		return -ENOSPC;
	magic = PAGE_MAGIC;
	if (pwrite(fd, &magic, sizeof(magic), 0) != sizeof(magic))
		return -EIO;
	return 0;
}

static void *
map_page(int fd, int prot)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size != COUNTERS_PAGE_LEN) {
		errno = EBADMSG;
		return NULL;
	}
	p = mmap(NULL, COUNTERS_PAGE_LEN, prot, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

int
counters_attach(int fd)
{
	struct counters_page *page = map_page(fd, PROT_READ | PROT_WRITE);

	if (page == NULL)
		return -errno;
	own = page;
	return 0;
}

void
counter_add(enum counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&own->value[c], n, memory_order_relaxed);
}

void
counter_set(enum counter c, uint64_t v)
{
	atomic_store_explicit(&own->value[c], v, memory_order_relaxed);
}

uint64_t
counter_get(enum counter c)
{
	return atomic_load_explicit(&own->value[c], memory_order_relaxed);
}

struct counters_page *
counters_map(int fd)
{
	struct counters_page *page = map_page(fd, PROT_READ);

	if (page != NULL &&
	    atomic_load_explicit(&page->magic, memory_order_relaxed) !=
		PAGE_MAGIC) {
		counters_unmap(page);
		errno = EBADMSG;
		return NULL;
	}
	return page;
}

void
counters_unmap(struct counters_page *page)
{
	if (page != NULL)
		munmap(page, COUNTERS_PAGE_LEN);
}

/* OpenMetrics names a counter's family without its _total. */
static void
print_head(FILE *out, size_t i, bool openmetrics)
{
	size_t len = strlen(table[i].name);

	if (openmetrics && table[i].type == COUNT)
		len -= strlen("_total");
	fprintf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len,
	    table[i].name, table[i].help, (int)len, table[i].name,
	    table[i].type == COUNT ? "counter" : "gauge");
}

static void
print_value(FILE *out, size_t i, enum proc p, const struct counters_page *page)
{
	uint64_t v =
	    atomic_load_explicit(&page->value[i], memory_order_relaxed);

	if (table[i].proc == PROC_MAX)
		fprintf(out, "%s{process=\"%s\"} %" PRIu64 "\n", table[i].name,
		    proc_name(p), v);
	else if (table[i].labels[0] != '\0')
		fprintf(out, "%s{%s} %" PRIu64 "\n", table[i].name,
		    table[i].labels, v);
	else
		fprintf(out, "%s %" PRIu64 "\n", table[i].name, v);
}

void
counters_print(FILE *out, struct counters_page *const pages[PROC_MAX],
    bool openmetrics)
{
	unsigned int p;
	size_t i;

	fprintf(out,
	    "# HELP claw_build_info Version of this claw\n"
	    "# TYPE claw_build_info gauge\n"
	    "claw_build_info{version=\"%s\"} 1\n",
	    CLAW_VERSION);
	for (i = 0; i < COUNTER_MAX; i++) {
		if (i == 0 || strcmp(table[i].name, table[i - 1].name) != 0)
			print_head(out, i, openmetrics);
		for (p = 0; p < PROC_MAX; p++)
			if (pages[p] != NULL &&
			    (table[i].proc == PROC_MAX || table[i].proc == p))
				print_value(out, i, (enum proc)p, pages[p]);
	}
	if (openmetrics)
		fputs("# EOF\n", out);
}
