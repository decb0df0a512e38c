/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ipc_controld.c - controld under an auditd, an attestd and an sftd taken
 * over, with operators who ask for everything.
 */
#define main controld_main
int controld_main(int, char **);
#include "controld/controld.c"
#undef main

#include "tests/fuzz/ipc.h"

static unsigned int unanswered;

static void
ipc_begin(void)
{
	json_object_seed(1);
	if (denied.window != NULL)
		event_free(denied.window);
	denied.window = event_new(child_base(), -1, 0, on_window_over, NULL);
}

static void
ipc_config(struct wbuf *w)
{
	static const struct msg_CONFIG_CONTROLD c = { .generation = 1,
		.log_level = 0,
		.node = "node1",
		.max_clients = 8 };

	msg_put_CONFIG_CONTROLD(w, &c);
}

/* controld/client.h: requests of a client who is there to hear. */
void
client_setup(struct event_base *b, int l, void (*r)(struct request *),
    void (*d)(uint32_t, const char *))
{
	(void)b;
	(void)l;
	(void)r;
	(void)d;
}
void
client_set_policy(const struct client_policy *p)
{
	(void)p;
}
void
client_accept(void)
{
}
void
client_drain(void (*idle)(void))
{
	(void)idle;
}
unsigned int
client_count(void)
{
	return 1;
}

bool
client_authenticate(struct client *c, const char *hex)
{
	(void)c;
	(void)hex;
	return true;
}

static void
answered(struct request *r, char *line)
{
	/* An answer that cannot be written is one that never comes. */
	if (line == NULL || unanswered == 0)
		abort();
	free(line);
	unanswered--;
	rpc_clear(&r->rpc);
	free(r);
}

void
client_answer(struct request *r, json_t *result)
{
	if (result == NULL)
		abort();
	answered(r, rpc_result(r->rpc.id, result));
}

void
client_refuse(struct request *r, const struct rpc_error *e)
{
	answered(r, rpc_error(r->rpc.id, e));
}

/* The connection is sftd's from here on: a socket, or none that is left. */
int
client_hand_over(struct request *r, json_t *result)
{
	int pair[2] = { -1, -1 };

	if (result == NULL)
		abort();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
		close(pair[1]);
	answered(r, rpc_result(r->rpc.id, result));
	return pair[0];
}

static void
ipc_step(uint8_t what)
{
	static const char *const lines[] = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.show\"}",
		("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"audit.note\","
		 "\"params\":{\"text\":\"x\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"audit.check\""
		 "}"),
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"reload\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"status\"}",
		("{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"node.ping\","
		 "\"params\":{\"name\":\"a\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"node.why\",\""
		 "params\":{\"name\":\"a\"}}"),
		"{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"node.links\"}",
		("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"registry.show"
		 "\"}"),
		("{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"registry.lin"
		 "es\"}"),
		("{\"jsonrpc\":\"2.0\",\"id\":11,\"method\":\"registry.imp"
		 "ort\",\"params\":{\"lines\":\"x\\n\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"registry.upd"
		 "ate\",\"params\":{\"op\":\"node-revoke\",\"operands\":{"
		 "\"name\":\"a\"}}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":13,\"method\":\"registry.upd"
		 "ate\",\"params\":{\"op\":\"resolve\",\"operands\":{\"cho"
		 "sen\":\"00112233445566778899aabbccddeeff0011223344556677"
		 "8899aabbccddeeff\"}}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":14,\"method\":\"registry.pro"
		 "pose\",\"params\":{\"op\":\"policy\",\"operands\":{\"sof"
		 "t_s\":1,\"hard_s\":2}}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":15,\"method\":\"registry.ins"
		 "pect\",\"params\":{\"line\":\"x\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":16,\"method\":\"registry.sig"
		 "n\",\"params\":{\"line\":\"x\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"registry.sub"
		 "mit\",\"params\":{\"line\":\"x\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":18,\"method\":\"invite.list"
		 "\"}"),
		("{\"jsonrpc\":\"2.0\",\"id\":19,\"method\":\"invite.answe"
		 "r\",\"params\":{\"name\":\"a\",\"yes\":true}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":20,\"method\":\"token.mint\""
		 ",\"params\":{\"audience\":\"ed25519:11qYAYKxCrfVS_7TyWQH"
		 "Og7hcvPapiMlrwIaaPcHURo\",\"leaf\":\"0011223344556677889"
		 "9aabbccddeeff00112233445566778899aabbccddeeff\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":21,\"method\":\"token.check"
		 "\",\"params\":{\"token\":\"a\",\"leaf\":\"00112233445566"
		 "778899aabbccddeeff00112233445566778899aabbccddeeff\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":22,\"method\":\"file.send\",\"par"
		 "ams\":{\"peer\":\"a\",\"name\":\"b/c\",\"chunk_size\":104857"
		 "6,\"streams\":2}}"),
		"{\"jsonrpc\":\"2.0\",\"id\":23,\"method\":\"file.list\"}",
		("{\"jsonrpc\":\"2.0\",\"id\":24,\"method\":\"file.pause\",\"pa"
		 "rams\":{\"id\":\"00112233445566778899aabbccddeeff\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":25,\"method\":\"file.resume\",\"p"
		 "arams\":{\"id\":\"00112233445566778899aabbccddeeff\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":26,\"method\":\"file.cancel\",\"p"
		 "arams\":{\"id\":\"00112233445566778899aabbccddeeff\"}}"),
		("{\"jsonrpc\":\"2.0\",\"id\":27,\"method\":\"file.receipt\",\""
		 "params\":{\"id\":\"00112233445566778899aabbccddeeff\"}}"),
	};
	const char *line =
	    lines[(what >> 3) % (sizeof(lines) / sizeof(lines[0]))];
	struct request *r = calloc(1, sizeof(*r));
	struct rpc_error e;

	if ((what & 7) == 7 && (what >> 3) == 30)
		on_denied(7, "was fuzzed");
	if (!rpc_parse(line, strlen(line), &r->rpc, &e)) {
		fprintf(stderr, "%s: %s\n", line, e.text);
		abort();
	}
	unanswered++;
	methods_request(r);
}

/* clawd carries out what it is asked to. */
static void
ipc_reply(enum proc peer, const struct msg *m)
{
	struct msg_ORDER_DONE done = { .text = "done" };
	uint8_t body[64];
	struct wbuf w;

	if (peer != PROC_CLAWD || m->rule->reply != MSG_ORDER_DONE)
		return;
	wbuf_init(&w, body, sizeof(body));
	msg_put_ORDER_DONE(&w, &done);
	clawd_says(MSG_ORDER_DONE, m->id, &w, -1);
}

static void
ipc_end(void)
{
	/* Each was answered, by its peer's word or by its end. */
	if (unanswered != 0)
		abort();
	event_free(denied.window);
	denied.window = NULL;
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
	return ipc_run(&controld, data, len);
}
