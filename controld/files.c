/* SPDX-License-Identifier: ISC */
/*
 * files.c - file transfers: begun, shown, paused, cancelled, their receipts.
 *
 * file.send is answered with the transfer's number, and then the connection is
 * no longer ours: sftd has it, takes the source's descriptor from it and tells
 * there how it goes. Not a byte of a file comes by here.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "common/regupdate.h"
#include "common/sftname.h"
#include "controld/list.h"
#include "controld/methods.h"
#include "controld/pass.h"

/* Of FILE_SEND. */
#define STREAMS_AUTO 255
#define AS_CONFIGURED UINT64_MAX

enum order { ORDER_PAUSE = 1, ORDER_RESUME, ORDER_CANCEL };

/* file.send */

static void
on_taken(struct chan *sftd, struct msg *m, void *arg)
{
	struct msg_FILE_CLIENT client;
	struct msg_FILE_TAKEN taken;
	struct request *r = arg;
	int fd;

	if (!pass_good(r, m, "sftd"))
		return;
	if (!msg_get_FILE_TAKEN(&m->body, &taken))
		fatalx("malformed FILE_TAKEN");
	/* Nobody to bring the source: sftd gives up waiting for it. */
	fd = pass_hand_over(r,
	    json_pack("{s:I}", "transfer", (json_int_t)taken.transfer));
	if (fd == -1)
		return;
	client.transfer = taken.transfer;
	(void)chan_send_FILE_CLIENT(sftd, 0, fd, &client);
	close(fd);
}

static uint8_t
log2_of(uint64_t size)
{
	uint8_t n = 0;

	while (n < 63 && (UINT64_C(1) << n) < size)
		n++;
	return (UINT64_C(1) << n) == size ? n : 0;
}

static bool
take_chunk_size(struct request *r, struct msg_FILE_SEND *want)
{
	uint64_t size = rpc_number(&r->rpc, "chunk_size", 0);

	if (size == 0)
		return true;
	want->chunk_log2 = log2_of(size);
	if (want->chunk_log2 >= 20 && want->chunk_log2 <= 25)
		return true;
	pass_fail(r, RPC_INVALID_PARAMS,
	    "chunk_size: 1, 2, 4, 8, 16 or 32 MiB");
	return false;
}

static bool
take_compress(struct request *r, struct msg_FILE_SEND *want)
{
	const char *text = rpc_text(&r->rpc, "compress");

	if (text == NULL)
		return true;
	want->packed = strcmp(text, "auto") == 0 ? 1 :
	    strcmp(text, "never") == 0		 ? 2 :
						   0;
	if (want->packed != 0)
		return true;
	pass_fail(r, RPC_INVALID_PARAMS, "compress: auto or never");
	return false;
}

static void
on_send_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_FILE_SEND want = { 0 };
	const char *name;
	uint64_t streams;
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	name = rpc_text(&r->rpc, "name");
	if (!take_chunk_size(r, &want) || !take_compress(r, &want))
		return;
	snprintf(want.peer, sizeof(want.peer), "%s", rpc_text(&r->rpc, "peer"));
	want.name = (const uint8_t *)name;
	want.name_len = (uint16_t)strlen(name);
	streams = rpc_number(&r->rpc, "streams", AS_CONFIGURED);
	want.streams = streams == AS_CONFIGURED ? 0 :
	    streams == 0			? STREAMS_AUTO :
						  (uint8_t)streams;
	want.rate = (uint64_t)rpc_number(&r->rpc, "rate", 0);
	want.replace = rpc_flag(&r->rpc, "replace", false);
	want.detach = rpc_flag(&r->rpc, "detach", false);
	want.dry = rpc_flag(&r->rpc, "dry_run", false);
	want.tree = rpc_flag(&r->rpc, "tree", false);
	id = pass_ask(r, PROC_SFTD, MSG_FILE_SEND, on_taken, r);
	if (id != 0)
		(void)chan_send_FILE_SEND(child_peer(PROC_SFTD), id, -1, &want);
}

void
files_send(struct request *r)
{
	static struct auditrec rec;

	if (!regupdate_name_ok(rpc_text(&r->rpc, "peer"))) {
		pass_fail(r, RPC_INVALID_PARAMS,
		    "peer: no node can be called that");
		return;
	}
	pass_order(r, &rec);
	auditrec_text(&rec, AUDIT_ATTR_PEER, rpc_text(&r->rpc, "peer"));
	auditrec_text(&rec, AUDIT_ATTR_FILE, rpc_text(&r->rpc, "name"));
	(void)pass_record(r, &rec, on_send_recorded, r);
}

/* file.list */

/* Of enum transfer_state in sftd/transfer.h, in its order. */
static const char *const states[] = { "unknown", "waiting", "connecting",
	"offered", "moving", "finishing", "paused", "done", "failed", "refused",
	"cancelled" };

static void
hex_of(const uint8_t *bytes, size_t len, char *out)
{
	size_t i;

	for (i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* A name is any bytes. What no reader of JSON takes is escaped here; what moves
 * a cursor is escaped by who shows it. */
static json_t *
name_json(const uint8_t *name, size_t len)
{
	char shown[SFTNAME_SHOWN_SIZE];
	json_t *text = NULL;

	if (memchr(name, 0, len) == NULL)
		text = pass_text(name, len);
	if (text != NULL)
		return text;
	(void)sftname_show(name, len, shown, sizeof(shown));
	return json_string(shown);
}

static json_t *
file_json(const struct msg_FILE *f)
{
	static const uint8_t none[32];
	char id[2 * sizeof(f->id) + 1], root[2 * sizeof(f->root) + 1];

	hex_of(f->id, sizeof(f->id), id);
	hex_of(f->root, sizeof(f->root), root);
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, "
			 "s:I, s:I, s:I, s:o, s:s, s:I, s:s}",
	    "id", id, "number", (json_int_t)f->number, "direction",
	    f->receives != 0 ? "in" : "out", "state",
	    f->state < sizeof(states) / sizeof(states[0]) ? states[f->state] :
							    "unknown",
	    "peer", f->peer, "name", name_json(f->name, f->name_len), "size",
	    (json_int_t)f->size, "durable", (json_int_t)f->durable, "resent",
	    (json_int_t)f->resent, "same_bytes", (json_int_t)f->same,
	    "wire_bytes", (json_int_t)f->wire, "started_ms",
	    (json_int_t)f->started_ms, "ended_ms", (json_int_t)f->ended_ms,
	    "blake3",
	    memcmp(f->root, none, sizeof(none)) == 0 ? json_null() :
						       json_string(root),
	    "text", f->text, "streams", (json_int_t)f->streams, "congestion",
	    f->congestion);
}

static void
ask_file(struct chan *sftd, uint32_t id, uint32_t index)
{
	struct msg_FILE_SHOW want = { .index = index };

	(void)chan_send_FILE_SHOW(sftd, id, -1, &want);
}

static uint32_t
read_file(struct msg *m, json_t **one)
{
	struct msg_FILE f;

	if (!msg_get_FILE(&m->body, &f))
		fatalx("malformed FILE");
	*one = file_json(&f);
	return f.count;
}

void
files_list(struct request *r)
{
	static const struct list_of transfers = { PROC_SFTD, MSG_FILE_SHOW,
		"transfers", 4096, ask_file, read_file };

	list_answer(r, &transfers);
}

/* file.pause, file.resume, file.cancel */

static void
on_order_done(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;

	(void)c;
	if (pass_good(r, m, "sftd"))
		pass_answer(r, json_pack("{s:b}", "done", 1));
}

static void
on_order_recorded(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_FILE_ORDER want;
	uint32_t id;

	(void)c;
	if (!pass_good(r, m, "auditd"))
		return;
	pass_bytes(rpc_text(&r->rpc, "id"), want.id, sizeof(want.id));
	want.order = r->rpc.method == RPC_FILE_PAUSE ? ORDER_PAUSE :
	    r->rpc.method == RPC_FILE_RESUME	     ? ORDER_RESUME :
						       ORDER_CANCEL;
	id = pass_ask(r, PROC_SFTD, MSG_FILE_ORDER, on_order_done, r);
	if (id != 0)
		(void)chan_send_FILE_ORDER(child_peer(PROC_SFTD), id, -1,
		    &want);
}

void
files_order(struct request *r)
{
	static struct auditrec rec;
	uint8_t id[16];

	pass_bytes(rpc_text(&r->rpc, "id"), id, sizeof(id));
	pass_order(r, &rec);
	auditrec_bytes(&rec, AUDIT_ATTR_TRANSFER, id, sizeof(id));
	(void)pass_record(r, &rec, on_order_recorded, r);
}

/* file.receipt */

static void
on_receipt(struct chan *c, struct msg *m, void *arg)
{
	struct request *r = arg;
	struct msg_FILE_RECEIPT_IS is;
	json_t *receipt;

	(void)c;
	if (!pass_good(r, m, "sftd"))
		return;
	if (!msg_get_FILE_RECEIPT_IS(&m->body, &is))
		fatalx("malformed FILE_RECEIPT_IS");
	receipt = json_loadb((const char *)is.receipt, is.receipt_len,
	    JSON_REJECT_DUPLICATES, NULL);
	if (receipt == NULL)
		pass_unavailable(r, "sftd's receipt is none");
	else
		pass_answer(r, json_pack("{s:o}", "receipt", receipt));
}

void
files_receipt(struct request *r)
{
	struct msg_FILE_RECEIPT want;
	uint32_t id;

	pass_bytes(rpc_text(&r->rpc, "id"), want.id, sizeof(want.id));
	id = pass_ask(r, PROC_SFTD, MSG_FILE_RECEIPT, on_receipt, r);
	if (id != 0)
		(void)chan_send_FILE_RECEIPT(child_peer(PROC_SFTD), id, -1,
		    &want);
}
