/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_verifyd.c - verifyd under an auditd that was taken over, with a
 * file that is the end of the input.
 */
#define main verifyd_main
int verifyd_main(int, char **);
__attribute__((noreturn)) static void ipc_exit(int status);
#include <unistd.h>
#define _exit ipc_exit
#include "verifyd/verifyd.c"
#undef _exit
#undef main

#include <sys/mman.h>

#include "tests/fuzz/ipc.h"

static void
ipc_begin(void)
{
	static int file;
	size_t half = ipc.len / 2;

	prepare();
	if (file == 0)
		file = memfd_create("log", MFD_CLOEXEC);
	if (ftruncate(file, 0) == -1 ||
	    pwrite(file, ipc.data + half, ipc.len - half, 0) == -1)
		abort();
	ipc.file = file;
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_WORKER config = { .generation = 1,
		.log_level = 0 };

	msg_put_CONFIG_WORKER(w, &config);
}

static void
ipc_step(uint8_t what)
{
	struct msg_VERIFY want = { .size = what >> 3 };
	uint8_t packet[128];
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, MSG_VERIFY);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, 40);
	wbuf_u32(&w, ++ipc.next_id[PROC_AUDITD]);
	msg_put_VERIFY(&w, &want);
	if (ipc.end[PROC_AUDITD] != -1)
		put_packet_to(PROC_AUDITD, packet, w.len, &ipc.file, 1);
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
	(void)why;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return ipc_run(&verifyd, data, len);
}
