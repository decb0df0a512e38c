/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_attestd.c - attestd under an auditd and a controld taken over.
 */
#define main attestd_main
int attestd_main(int, char **);
#define registry_file_load fuzz_registry_load
#include "attestd/attestd.c"
#undef main

#include "tests/fuzz/ipc.h"

/* fuzz_registry.c is about the registry: here it stays empty. */
const char *
fuzz_registry_load(struct registry_file *f, int dirfd, bool writable,
    struct registry *r)
{
	(void)f;
	(void)dirfd;
	(void)writable;
	(void)r;
	return NULL;
}

static void
ipc_begin(void)
{
	prepare();
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_ATTESTD config = { .generation = 1,
		.log_level = 0,
		.node = "node1" };

	msg_put_CONFIG_ATTESTD(w, &config);
}

static void
ipc_step(uint8_t what)
{
	(void)what;
}

static void
ipc_reply(enum proc peer, const struct msg *m)
{
	(void)peer;
	(void)m;
}

static void
ipc_end(void)
{
}

static bool
ipc_may_die(const char *why)
{
	/* An auditd that hangs up before START. */
	return strcmp(why, "no channel to auditd") == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&attestd, data, len);
}
