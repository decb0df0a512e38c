/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_metricd.c - metricd under anybody's words.
 *
 * It has no sibling: here it gets one all the same, and nothing passes.
 */
#define main metricd_main
int metricd_main(int, char **);
#include "metricd/metricd.c"
#undef main

#include "tests/fuzz/ipc.h"

static void
ipc_begin(void)
{
	if (pause_over != NULL)
		event_free(pause_over);
	pause_over = event_new(child_base(), -1, 0, on_pause_over, NULL);
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_METRICD config = { .generation = 1,
		.log_level = 0 };

	msg_put_CONFIG_METRICD(w, &config);
}

static void
ipc_step(uint8_t what)
{
	(void)what;
}

static void
ipc_reply(enum proc peer, const struct msg *m)
{
	if (peer != PROC_CLAWD || m->rule->senders == 0)
		abort();
}

static void
ipc_end(void)
{
	event_free(pause_over);
	pause_over = NULL;
}

static bool
ipc_may_die(const char *why)
{
	(void)why;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&metricd, data, len);
}
