/* SPDX-License-Identifier: ISC */
/*
 * sandbox_table.c - the sandbox's tables as names, questions and text.
 *
 * Nothing here confines anything, so `claw` can link it without libseccomp.
 */
#include <string.h>

#include "common/sandbox.h"
#include "common/sandbox_int.h"

#define MUST NEED_MUST
#define KERNEL NEED_KERNEL
#define TRY NEED_TRY
#define NO NEED_NO

static const struct {
	const char *name;
	enum sandbox_need need[SURROUNDING_MAX];
	const char *why;
} layers[LAYER_MAX] = {
#define LAYER(id, name, root, user, systemd, container, why)                   \
	[LAYER_##id] = { name, { root, user, systemd, container }, why },
#include "policy/layers.def"
#undef LAYER
};

static const struct {
	const char *name;
	enum sandbox_layer layer;
	uint32_t procs;
	const char *why;
} probes[PROBE_MAX] = {
#define PROBE(id, name, layer, procs, why)                                     \
	[PROBE_##id] = { name, LAYER_##layer, procs, why },
#include "policy/probes.def"
#undef PROBE
};

/*
 * The lines of syscalls.def with their conditions as they are written there.
 * What a condition means is sandbox_filter.c's business.
 */
static const struct {
	const char *act;
	const char *call;
	uint32_t procs;
	const char *error;
	const char *condition;
	const char *why;
} calls[] = {
#define ALLOW(call, procs, cond, why) { "allow", #call, procs, "", #cond, why },
#define REFUSE(call, procs, error, why)                                        \
	{ "refuse", #call, procs, #error, "NO_ARGS", why },
#define REFUSE_IF(call, procs, error, cond, why)                               \
	{ "refuse", #call, procs, #error, #cond, why },
#define LATER(call, procs, error, cond, why)                                   \
	{ "later", #call, procs, #error, #cond, why },
#include "policy/syscalls.def"
#undef ALLOW
#undef REFUSE
#undef REFUSE_IF
#undef LATER
};

static const struct {
	const char *proc;
	const char *nofile;
	const char *fsize;
	const char *memlock;
	const char *why;
} limits[] = {
#define LIMITS(proc, nofile, fsize, memlock, why)                              \
	{ #proc, #nofile, #fsize, #memlock, why },
#include "policy/limits.def"
};

static const char *const surroundings[SURROUNDING_MAX] = {
	[SURROUNDING_ROOT] = "root",
	[SURROUNDING_USER] = "user",
	[SURROUNDING_SYSTEMD] = "systemd",
	[SURROUNDING_CONTAINER] = "container",
};

static const char *const needs[] = {
	[NEED_NO] = "no",
	[NEED_TRY] = "try",
	[NEED_KERNEL] = "kernel",
	[NEED_MUST] = "must",
};

const char *
sandbox_layer_name(enum sandbox_layer l)
{
	return (unsigned int)l < LAYER_MAX ? layers[l].name : "?";
}

const char *
sandbox_probe_name(enum sandbox_probe p)
{
	return (unsigned int)p < PROBE_MAX ? probes[p].name : "?";
}

const char *
sandbox_surrounding_name(enum sandbox_surrounding s)
{
	return (unsigned int)s < SURROUNDING_MAX ? surroundings[s] : "?";
}

enum sandbox_need
sandbox_need(enum sandbox_layer l, enum sandbox_surrounding s)
{
	if ((unsigned int)l >= LAYER_MAX || (unsigned int)s >= SURROUNDING_MAX)
		return NEED_MUST;
	return layers[l].need[s];
}

enum sandbox_surrounding
sandbox_surrounding_from(uid_t uid, bool systemd, bool container)
{
	if (uid != 0)
		return SURROUNDING_USER;
	if (container)
		return SURROUNDING_CONTAINER;
	return systemd ? SURROUNDING_SYSTEMD : SURROUNDING_ROOT;
}

uint32_t
sandbox_probes_of(enum proc self, uint32_t held)
{
	uint32_t set = 0;
	unsigned int i;

	if ((unsigned int)self >= PROC_MAX)
		return 0;
	for (i = 0; i < PROBE_MAX; i++)
		if ((probes[i].procs & PROC_BIT(self)) != 0 &&
		    (held & SANDBOX_BIT(probes[i].layer)) != 0)
			set |= SANDBOX_BIT(i);
	return set;
}

static void
print_procs(FILE *out, uint32_t set)
{
	const char *gap = "";
	unsigned int i;

	if (set == P_ALL) {
		fputs("all", out);
		return;
	}
	for (i = 0; i < PROC_MAX; i++) {
		if ((set & PROC_BIT(i)) == 0)
			continue;
		fprintf(out, "%s%s", gap, proc_name((enum proc)i));
		gap = ",";
	}
}

static void
print_calls(FILE *out)
{
	size_t i;

	fputs("\nSystem calls (any other ends the process)\n", out);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fprintf(out, "  %-6s %-17s ", calls[i].act, calls[i].call);
		print_procs(out, calls[i].procs);
		if (strcmp(calls[i].condition, "NO_ARGS") != 0)
			fprintf(out, " if %s", calls[i].condition);
		if (calls[i].error[0] != '\0')
			fprintf(out, " -> %s", calls[i].error);
		fprintf(out, "  # %s\n", calls[i].why);
	}
}

int
sandbox_table_print(FILE *out)
{
	unsigned int i, s;

	fprintf(out, "Layers\n  %-18s", "");
	for (s = 0; s < SURROUNDING_MAX; s++)
		fprintf(out, " %-9s", surroundings[s]);
	fputc('\n', out);
	for (i = 0; i < LAYER_MAX; i++) {
		fprintf(out, "  %-18s", layers[i].name);
		for (s = 0; s < SURROUNDING_MAX; s++)
			fprintf(out, " %-9s", needs[layers[i].need[s]]);
		fprintf(out, "  # %s\n", layers[i].why);
	}
	fputs("\nLimits (descriptors, file size, locked bytes)\n", out);
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		fprintf(out, "  %-9s %5s %14s %8s  # %s\n", limits[i].proc,
		    limits[i].nofile, limits[i].fsize, limits[i].memlock,
		    limits[i].why);
	fputs("\nProbes\n", out);
	for (i = 0; i < PROBE_MAX; i++) {
		fprintf(out, "  %-22s %-18s ", probes[i].name,
		    layers[probes[i].layer].name);
		print_procs(out, probes[i].procs);
		fprintf(out, "  # %s\n", probes[i].why);
	}
	print_calls(out);
	return ferror(out) || fflush(out) != 0 ? -EIO : 0;
}
