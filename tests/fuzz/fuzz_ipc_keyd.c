/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_keyd.c - keyd under an auditd that was taken over.
 *
 * Whatever it is told, keyd signs no two checkpoints of which the later is
 * smaller, of an earlier shard, or of another tree of the same size.
 */
#define main keyd_main
int keyd_main(int, char **);
#include "attestd/keyd.c"
#undef main

#include <sys/mman.h>

#include "common/shardname.h"
#include "tests/fuzz/ipc.h"

static struct {
	uint64_t order, size;
	uint8_t root[32];
	struct msg_CHECKPOINT_SIGN want; /* as it came through the gate */
	bool valid;
} seen;

static void
ipc_begin(void)
{
	static bool made;
	int fd;

	if (!made) {
		prepare();
		fd = memfd_create("keys", MFD_CLOEXEC);
		if (fd == -1 || keystore_create(fd) != 0)
			abort();
		close(fd);
		made = true;
	}
	memset(&node, 0, sizeof(node));
	memset(&last, 0, sizeof(last));
	memset(&seen, 0, sizeof(seen));
	budget.tokens = AUDITD_BURST;
	budget.second = 0;
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_KEYD config = { .generation = 1,
		.log_level = 0,
		.node = "node1" };

	msg_put_CONFIG_KEYD(w, &config);
}

static void
say_it(uint16_t type, const struct wbuf *body)
{
	uint8_t packet[MSG_MAX_LEN];
	struct wbuf w;

	wbuf_init(&w, packet, sizeof(packet));
	wbuf_u16(&w, type);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, (uint32_t)body->len);
	wbuf_u32(&w, ++ipc.next_id[PROC_AUDITD]);
	wbuf_put(&w, body->data, body->len);
	if (ipc.end[PROC_AUDITD] != -1)
		put_packet_to(PROC_AUDITD, packet, w.len, NULL, 0);
}

/* What an honest auditd would say, so that the fuzzer gets deeper. */
static void
ipc_step(uint8_t what)
{
	struct msg_CHECKPOINT_SIGN sign = { 0 };
	struct msg_LOGKEY_NEW new = { 0 };
	uint8_t body[4096], right[32] = { 7 };
	struct timespec now;
	uint64_t order = last.order;
	struct wbuf w;

	wbuf_init(&w, body, sizeof(body));
	if ((what & 7) == 6) {
		clock_gettime(CLOCK_REALTIME, &now);
		if (order < shardname_order_at(now.tv_sec))
			order = shardname_order_at(now.tv_sec);
		else
			order += (what >> 3) % 3;
		shardname_format(order, new.shard);
		new.previous = right;
		msg_put_LOGKEY_NEW(&w, &new);
		say_it(MSG_LOGKEY_NEW, &w);
		return;
	}
	shardname_format(last.order, sign.shard);
	sign.size = last.size == 0 ? 1 : last.size << (what >> 3 & 1);
	sign.proof = right;
	memcpy(sign.root, last.root, 32);
	if (sign.size != last.size && last.size != 0) {
		merkle_node(last.root, right, sign.root);
		sign.proof_len = 32;
	}
	if ((what >> 4 & 7) == 7)
		sign.root[take() % 32] ^= take();
	msg_put_CHECKPOINT_SIGN(&w, &sign);
	say_it(MSG_CHECKPOINT_SIGN, &w);
}

/* clawd hears of each signature: that is where they are compared. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_CHECKPOINT_NOTED n;
	struct rbuf r = m->body;
	uint64_t order;

	if (peer != PROC_CLAWD || m->type != MSG_CHECKPOINT_NOTED)
		return;
	if (!msg_get_CHECKPOINT_NOTED(&r, &n) ||
	    !shardname_parse(n.shard, &order) || order < seen.order ||
	    (order == seen.order &&
		(n.size < seen.size ||
		    (n.size == seen.size &&
			memcmp(n.root, seen.root, 32) != 0))))
		abort();
	seen.order = order;
	seen.size = n.size;
	memcpy(seen.root, n.root, 32);
}

static void
ipc_end(void)
{
	keystore_forget(KEY_LOG);
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
	return ipc_run(&keyd, data, len);
}
