/* SPDX-License-Identifier: ISC */
/*
 * controld.c - the local API.
 *
 * It holds the control socket, which clawd bound, and channels. Who connects
 * is judged by what the kernel says of them (client.c), what they ask by
 * policy/methods.def (rpc.c); what is done about it stands in methods.c. It
 * opens nothing, decides nothing about peers, and knows no key: taken over,
 * it could give the orders that any operator can give, each of them recorded
 * by auditd, or lie to operators.
 *
 *	clawd    tells the configuration and the state of each process, and
 *	         carries out orders
 *	auditd   records orders, notes and who was turned away
 *	attestd  says who this node is
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/auditrec.h"
#include "common/child.h"
#include "common/counters.h"
#include "common/log.h"
#include "controld/client.h"
#include "controld/methods.h"

/* Of those turned away: so many are recorded singly, then one summary. */
#define DENIED_SINGLY 20
#define DENIED_WINDOW_S 60

static struct msg_CONFIG_CONTROLD config, config_staged;

static struct {
	struct event *window; /* pending while a minute is counted */
	unsigned int singly;
	unsigned int more;
} denied;

static void on_denied(uint32_t uid, const char *why);
static void on_window_over(evutil_socket_t, short, void *);

static void
prepare(void)
{
	/* Seeds jansson's hashes, which it would do from a file later. */
	json_object_seed(0);
	client_setup(child_base(), DESC_CONTROL_SOCKET, methods_request,
	    on_denied);
	denied.window = event_new(child_base(), -1, 0, on_window_over, NULL);
	if (denied.window == NULL)
		fatalx("libevent has no timer for us");
}

static const char *
stage(struct msg *m)
{
	if (!msg_get_CONFIG_CONTROLD(&m->body, &config_staged))
		return "malformed configuration";
	if (config_staged.node[0] == '\0')
		return "a node has a name";
	if (config_staged.max_clients == 0)
		return "control.max_clients is at least 1";
	if (config_staged.need_cookie > 1)
		return "a cookie is needed or it is not";
	return NULL;
}

static void
commit(void)
{
	struct client_policy policy;

	config = config_staged;
	policy.uid = config.uid;
	policy.gid = config.gid;
	policy.max_clients = config.max_clients;
	policy.need_cookie = config.need_cookie != 0;
	memcpy(policy.cookie, config.cookie, sizeof(policy.cookie));
	client_set_policy(&policy);
	methods_set_node(config.node);
	explicit_bzero(&config_staged, sizeof(config_staged));
	explicit_bzero(&policy, sizeof(policy));
}

static void
forget_staged(void)
{
	explicit_bzero(&config_staged, sizeof(config_staged));
}

static void
start(void)
{
	client_accept();
	child_ready();
}

static void
on_proc_status(struct chan *c, struct msg *m)
{
	struct msg_PROC_STATUS status;

	(void)c;
	if (!msg_get_PROC_STATUS(&m->body, &status) || status.proc >= PROC_MAX)
		fatalx("clawd tells of a process that is none");
	methods_set_process(&status);
}

/* Who was turned away is worth a record, but not a full disk. */

static void
on_denied_recorded(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m == NULL || m->type == MSG_REFUSED)
		log_warnx("a denied client could not be recorded");
}

static void
record_denied(const uint32_t *uid, const char *why)
{
	static struct auditrec rec;
	struct chan *auditd = child_peer(PROC_AUDITD);
	uint32_t id = 0;

	auditrec_init(&rec, AUDIT_API_DENIED, AUDIT_SINGLE, AUDIT_DENIED);
	if (uid != NULL)
		auditrec_num(&rec, AUDIT_ATTR_UID, *uid);
	auditrec_text(&rec, AUDIT_ATTR_REASON, why);
	if (auditd != NULL && chan_has_room(auditd, MSG_MAX_LEN))
		id = chan_ask(auditd, MSG_AUDIT_APPEND, on_denied_recorded,
		    NULL);
	if (id != 0)
		(void)chan_send_AUDIT_APPEND(auditd, id, -1,
		    auditrec_msg(&rec));
	else
		log_warnx("a denied client could not be recorded: no auditd");
}

static void
on_denied(uint32_t uid, const char *why)
{
	static const struct timeval window = { .tv_sec = DENIED_WINDOW_S };

	if (!evtimer_pending(denied.window, NULL)) {
		denied.singly = denied.more = 0;
		(void)evtimer_add(denied.window, &window);
	}
	if (denied.singly < DENIED_SINGLY) {
		denied.singly++;
		log_warnx("uid %u was turned away: %s", uid, why);
		record_denied(&uid, why);
	} else
		denied.more++;
}

static void
sum_up_denied(void)
{
	char why[80];

	if (denied.more == 0)
		return;
	snprintf(why, sizeof(why), "%u more were turned away within %d s",
	    denied.more, DENIED_WINDOW_S);
	log_warnx("%s", why);
	record_denied(NULL, why);
	denied.more = 0;
}

static void
on_window_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sum_up_denied();
}

/* An order's own answer comes at once, or when we are gone. */
static void
on_patience_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	methods_give_up();
}

static void
on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	log_warnx("%u connections are cut off", client_count());
	child_drained();
}

static void
all_answered(void)
{
	child_drained();
}

static void
call_after(uint32_t ms, event_callback_fn call)
{
	const struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000 };

	if (event_base_once(child_base(), -1, EV_TIMEOUT, call, NULL, &tv) ==
	    -1)
		fatalx("libevent has no timer for us");
}

/* Half of the time is left for saying so. */
static void
drain(uint32_t timeout_ms)
{
	sum_up_denied();
	methods_drain();
	call_after(timeout_ms / 4 < 500 ? timeout_ms / 4 : 500,
	    on_patience_over);
	call_after(timeout_ms / 2, on_drain_timeout);
	client_drain(all_answered);
}

static const struct chan_handlers from_clawd[] = {
	{ MSG_PROC_STATUS, on_proc_status },
	{ 0, NULL },
};

static const struct child controld = {
	.self = PROC_CONTROLD,
	.from_parent = from_clawd,
	.prepare = prepare,
	.config = MSG_CONFIG_CONTROLD,
	.stage = stage,
	.commit = commit,
	.abort = forget_staged,
	.start = start,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&controld, argc, argv);
}
