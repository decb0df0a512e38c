/* SPDX-License-Identifier: ISC */
/*
 * pass.c - how a request is recorded, passed on and answered.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/capability.h"
#include "common/child.h"
#include "common/identity.h"
#include "common/log.h"
#include "controld/pass.h"

static struct {
	unsigned int under_way[RPC_METHODS];
	bool draining;
} my;

bool
pass_begin(struct request *r)
{
	enum rpc_method m = r->rpc.method;

	if (my.under_way[m]++ < rpc_method_def(m)->at_once)
		return true;
	pass_unavailable(r, "too many requests of this kind are under way");
	return false;
}

void
pass_answer(struct request *r, json_t *result)
{
	my.under_way[r->rpc.method]--;
	client_answer(r, result);
}

int
pass_hand_over(struct request *r, json_t *result)
{
	my.under_way[r->rpc.method]--;
	return client_hand_over(r, result);
}

void
pass_refuse(struct request *r, const struct rpc_error *e)
{
	my.under_way[r->rpc.method]--;
	client_refuse(r, e);
}

void
pass_fail(struct request *r, enum rpc_failure f, const char *fmt, ...)
{
	char text[RPC_TEXT_MAX];
	struct rpc_error e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rpc_fail(&e, f, false, "%s", text);
	pass_refuse(r, &e);
}

void
pass_unavailable(struct request *r, const char *what)
{
	struct rpc_error e;

	rpc_fail(&e, RPC_UNAVAILABLE, true, "%s; try again shortly", what);
	pass_refuse(r, &e);
}

/* What it is called that a method could not do. */
static enum rpc_failure
failure_of(enum rpc_method m)
{
	switch (m) {
	case RPC_RELOAD:
		return RPC_CONFIG;
	case RPC_REGISTRY_LINES:
	case RPC_REGISTRY_IMPORT:
	case RPC_REGISTRY_UPDATE:
	case RPC_REGISTRY_PROPOSE:
	case RPC_REGISTRY_INSPECT:
	case RPC_REGISTRY_SIGN:
	case RPC_REGISTRY_SUBMIT:
	case RPC_INVITE_OPEN:
	case RPC_INVITE_ANSWER:
		return RPC_REGISTRY;
	default:
		return RPC_FAILED;
	}
}

/* What another process said no to. */
static void
refused(struct request *r, struct msg *m)
{
	enum rpc_failure f = failure_of(r->rpc.method);
	struct msg_REFUSED no;
	struct rpc_error e;

	if (!msg_get_REFUSED(&m->body, &no))
		fatalx("malformed REFUSED");
	if (no.retry != 0 || no.code == ENOSPC)
		f = RPC_UNAVAILABLE;
	else if (no.code == EPERM || no.code == EACCES)
		f = RPC_POLICY;
	rpc_fail(&e, f, no.retry != 0, "%s", no.text);
	pass_refuse(r, &e);
}

bool
pass_good(struct request *r, struct msg *m, const char *who)
{
	char what[64];

	if (m == NULL) {
		snprintf(what, sizeof(what), "%s went away", who);
		pass_unavailable(r, what);
		return false;
	}
	if (m->type == MSG_REFUSED) {
		refused(r, m);
		return false;
	}
	return true;
}

uint32_t
pass_ask(struct request *r, enum proc who, uint16_t type, chan_done *done,
    void *arg)
{
	struct chan *c = child_peer(who);
	char what[64];
	uint32_t id = 0;

	if (c != NULL && chan_has_room(c, MSG_MAX_LEN))
		id = chan_ask(c, type, done, arg);
	if (id != 0)
		return id;
	snprintf(what, sizeof(what), "%s is not running at the moment",
	    proc_name(who));
	pass_unavailable(r, what);
	return 0;
}

bool
pass_record(struct request *r, struct auditrec *rec, chan_done *done, void *arg)
{
	struct chan *auditd = child_peer(PROC_AUDITD);
	uint32_t id = 0;

	if (auditd != NULL && chan_has_room(auditd, MSG_MAX_LEN))
		id = chan_ask(auditd, MSG_AUDIT_APPEND, done, arg);
	if (id == 0) {
		pass_unavailable(r,
		    "auditd is not there to record it, so nothing "
		    "was done");
		return false;
	}
	(void)chan_send_AUDIT_APPEND(auditd, id, -1, auditrec_msg(rec));
	return true;
}

void
pass_order(const struct request *r, struct auditrec *rec)
{
	auditrec_init(rec, AUDIT_API_ORDER, AUDIT_SINGLE, AUDIT_OK);
	auditrec_num(rec, AUDIT_ATTR_UID, r->uid);
	auditrec_text(rec, AUDIT_ATTR_METHOD,
	    rpc_method_def(r->rpc.method)->name);
}

void
pass_drain(void)
{
	my.draining = true;
}

bool
pass_draining(void)
{
	return my.draining;
}

json_t *
pass_hash(const uint8_t hash[32])
{
	char text[72];
	size_t i;

	memcpy(text, "sha256:", 8);
	for (i = 0; i < 32; i++)
		snprintf(text + 7 + 2 * i, 3, "%02x", hash[i]);
	return json_string(text);
}

json_t *
pass_key(const uint8_t key[32])
{
	static const uint8_t none[32];
	char text[IDENTITY_TEXT_SIZE];

	if (memcmp(key, none, sizeof(none)) == 0)
		return json_null();
	identity_text(key, text);
	return json_string(text);
}

json_t *
pass_names(uint64_t capabilities)
{
	const char *names[CAPABILITIES_MAX];
	size_t i, n = capability_names(capabilities, names);
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		(void)json_array_append_new(list, json_string(names[i]));
	return list;
}

json_t *
pass_text(const uint8_t *text, size_t len)
{
	union {
		const uint8_t *in;
		const char *out;
	} u = { .in = text };

	return len == 0 ? json_string("") : json_stringn(u.out, len);
}

bool
pass_capabilities(struct request *r, const char *param, uint64_t *mask)
{
	const json_t *name, *list = json_object_get(r->rpc.params, param);
	uint64_t bit;
	size_t i;

	*mask = 0;
	json_array_foreach(list, i, name)
	{
		bit = capability_of(json_string_value(name),
		    json_string_length(name));
		if (bit == 0 || (*mask & bit) != 0) {
			pass_fail(r, RPC_INVALID_PARAMS,
			    "%s: %s; claw-registry(5) lists those there are",
			    param,
			    bit == 0 ? "a capability that is not known" :
				       "a capability named twice");
			return false;
		}
		*mask |= bit;
	}
	return true;
}

static uint8_t
digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void
pass_bytes(const char *hex, uint8_t *out, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		out[i] =
		    (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}
