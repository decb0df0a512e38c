/* SPDX-License-Identifier: ISC */
/*
 * auditd.c - the append-only log.
 *
 * Siblings send records as typed fields; who a record is from is the channel
 * it came in on. auditd writes the line, makes it durable, and only then
 * answers: no audit, no action. Its checkpoints are signed by keyd, which
 * sees that nothing signed before was changed.
 *
 *	auditd.c    who may record what; intents and their outcomes
 *	journal.c   records become durable, then signed
 *	rollover.c  which shard is the open one: starts, months, rollbacks
 *	check.c     the shard read through by a worker (verifyd/)
 *	shard.c     its files; line.c one line; logkey.c the sealed key
 */
#include <sys/queue.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auditd/check.h"
#include "auditd/journal.h"
#include "auditd/rollover.h"
#include "common/auditrec.h"
#include "common/child.h"
#include "common/log.h"
#include "common/sandbox.h"

/* Open intents have a claim to the reserve each, so no sibling may have all
 * of it (4 MiB by default, 16 KiB a line). */
#define INTENTS_PER_CHANNEL 64
#define WAITING_MAX 8192

/* An action that was announced and whose outcome is to come. */
struct intent {
	TAILQ_ENTRY(intent) entry;
	struct chan *chan; /* who announced it */
	uint64_t number;
	uint64_t outcome; /* number of the line that ends it; 0: none yet */
	uint16_t event;
};

/* A record that came between two shards. */
struct waiting {
	STAILQ_ENTRY(waiting) entry;
	struct chan *chan;
	uint32_t id;
	size_t len;
	uint8_t body[];
};

static TAILQ_HEAD(, intent) intents = TAILQ_HEAD_INITIALIZER(intents);
static unsigned int intent_count;
static bool unsettled; /* some began or ended since the last commit */
static STAILQ_HEAD(, waiting) waiting = STAILQ_HEAD_INITIALIZER(waiting);
static unsigned int waiting_count;
static struct journal_conf staged;

static void
prepare(void)
{
	/* The operators' group reads the log. */
	umask(027);
	journal_prepare();
}

static const char *
stage(struct msg *m)
{
	struct msg_CONFIG_AUDITD c;

	if (!msg_get_CONFIG_AUDITD(&m->body, &c))
		return "malformed configuration";
	if (c.warn_percent > c.refuse_percent)
		return "audit.warn_at is above audit.refuse_at";
	snprintf(staged.node, sizeof(staged.node), "%s", c.node);
	memcpy(staged.genesis, c.genesis, sizeof(staged.genesis));
	staged.checkpoint_ms = c.checkpoint_ms;
	staged.warn_percent = c.warn_percent;
	staged.refuse_percent = c.refuse_percent;
	staged.reserve_bytes = c.reserve_bytes;
	return NULL;
}

static void
commit(void)
{
	journal_configure(&staged);
}

/* Records as lines. */

static int
by_name(const void *a, const void *b)
{
	const struct line_attr *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct line_attr
text_attr(const char *name, const char *text)
{
	return (struct line_attr){ .name = name,
		.type = LINE_TEXT,
		.data = text,
		.len = strlen(text) };
}

static struct line_attr
number_attr(const char *name, uint64_t v)
{
	return (struct line_attr){ .name = name, .type = LINE_U64, .u64 = v };
}

/*
 * The record's own attributes and ours: who, what, phase, outcome. Number of
 * them, or -1 if the record is not one that an honest sender sends.
 */
static int
compose(const struct msg_AUDIT_APPEND *rec, enum proc from,
    struct line_attr out[AUDITREC_MAX_ATTRS + 8])
{
	struct auditrec_attr attrs[AUDITREC_MAX_ATTRS];
	int i, n = auditrec_read(rec->attrs, rec->attrs_len, attrs), k = 0;

	if (n < 0 || rec->phase > AUDIT_OUTCOME ||
	    (rec->phase == AUDIT_INTENT) !=
		(rec->outcome == AUDIT_NO_OUTCOME) ||
	    (rec->phase == AUDIT_OUTCOME) != (rec->intent != 0) ||
	    (rec->phase != AUDIT_INTENT &&
		audit_outcome_name(rec->outcome) == NULL) ||
	    !audit_event_allowed(rec->event, from))
		return -1;
	for (i = 0; i < n; i++)
		out[k++] = (struct line_attr){ .name = attrs[i].def->name,
			.type = attrs[i].def->type == AUDIT_NUM ? LINE_U64 :
			    attrs[i].def->type == AUDIT_HEX	? LINE_HEX :
			    attrs[i].def->type == AUDIT_B64	? LINE_B64 :
								  LINE_TEXT,
			.u64 = attrs[i].num,
			.data = attrs[i].data,
			.len = attrs[i].len };
	out[k++] = text_attr("by", proc_name(from));
	out[k++] = text_attr("event", audit_event_name(rec->event));
	if (rec->phase == AUDIT_INTENT)
		out[k++] = text_attr("phase", "intent");
	else
		out[k++] =
		    text_attr("outcome", audit_outcome_name(rec->outcome));
	if (rec->phase == AUDIT_OUTCOME)
		out[k++] = number_attr("intent", rec->intent);
	qsort(out, (size_t)k, sizeof(out[0]), by_name);
	return k;
}

/* Intents. */

static struct intent *
find_intent(const struct chan *c, uint64_t number)
{
	struct intent *in;

	TAILQ_FOREACH(in, &intents, entry)
		if (in->number == number && in->chan == c && in->outcome == 0)
			return in;
	return NULL;
}

static unsigned int
intents_of(const struct chan *c)
{
	struct intent *in;
	unsigned int n = 0;

	TAILQ_FOREACH(in, &intents, entry)
		if (in->chan == c)
			n++;
	return n;
}

static void
add_intent(struct chan *c, uint64_t number, uint16_t event)
{
	struct intent *in = calloc(1, sizeof(*in));

	if (in == NULL)
		fatalx("out of memory");
	in->chan = c;
	in->number = number;
	in->event = event;
	TAILQ_INSERT_TAIL(&intents, in, entry);
	journal_intents(++intent_count);
	unsettled = true;
}

static void
end_intent(struct intent *in)
{
	TAILQ_REMOVE(&intents, in, entry);
	free(in);
	journal_intents(--intent_count);
}

/*
 * A commit has come to its end, and the log to this size: what has its
 * outcome there is over; what did not get there has not begun, or not ended.
 */
static void
settle_intents(uint64_t size)
{
	struct intent *in, *next;

	if (!unsettled)
		return;
	unsettled = false;
	for (in = TAILQ_FIRST(&intents); in != NULL; in = next) {
		next = TAILQ_NEXT(in, entry);
		if (in->number >= size ||
		    (in->outcome != 0 && in->outcome < size))
			end_intent(in);
		else
			in->outcome = 0;
	}
}

/* The outcome of what a process announced and did not live to report. */
static void
abandon(uint64_t number)
{
	struct line_attr attrs[] = {
		text_attr("by", "auditd"),
		text_attr("event", "audit.abandoned"),
		number_attr("intent", number),
		text_attr("outcome", "unknown"),
	};

	if (journal_append(attrs, 4, JOURNAL_RUNNING, NULL, 0, NULL) != 0)
		log_errorx("the intent %llu has lost its outcome",
		    (unsigned long long)number);
}

/* Requests. */

static void
wait_for_shard(struct chan *c, uint32_t id, const struct rbuf *body)
{
	struct waiting *w;

	if (waiting_count == WAITING_MAX ||
	    (w = malloc(sizeof(*w) + body->len)) == NULL)
		fatalx("records pile up between two shards");
	w->chan = c;
	w->id = id;
	w->len = body->len;
	memcpy(w->body, body->data, body->len);
	STAILQ_INSERT_TAIL(&waiting, w, entry);
	waiting_count++;
}

static void
refuse(struct chan *c, const struct msg *m, int error)
{
	chan_refuse(c, m, (uint16_t)-error, error == -ENOSPC, "%s",
	    error == -ENOSPC ?
		"the audit log's disk is nearly full: nothing new is "
		"accepted until there is room below audit.refuse_at" :
		strerror(-error));
}

static void
record(struct chan *c, struct msg *m)
{
	struct line_attr attrs[AUDITREC_MAX_ATTRS + 8];
	struct rbuf whole = m->body;
	struct msg_AUDIT_APPEND rec;
	struct intent *intent = NULL;
	enum journal_class class;
	uint64_t number;
	int n, r;

	if (!msg_get_AUDIT_APPEND(&m->body, &rec))
		fatalx("malformed AUDIT_APPEND");
	n = compose(&rec, chan_peer(c), attrs);
	if (n < 0) {
		child_violation(c, m, "a record that is none");
		return;
	}
	if (rec.phase == AUDIT_OUTCOME &&
	    (intent = find_intent(c, rec.intent)) == NULL) {
		refuse(c, m, -ENOENT);
		return;
	}
	if (rec.phase == AUDIT_INTENT && intents_of(c) == INTENTS_PER_CHANNEL) {
		chan_refuse(c, m, EAGAIN, true,
		    "%u actions are under way already; try again when one of "
		    "them has ended",
		    INTENTS_PER_CHANNEL);
		return;
	}
	/* What clawd sees happen happens whether there is room or not. */
	class = rec.phase == AUDIT_INTENT ? JOURNAL_INTENT :
	    rec.phase == AUDIT_OUTCOME || chan_peer(c) == PROC_CLAWD ?
					    JOURNAL_RUNNING :
					    JOURNAL_NEW;
	r = journal_append(attrs, (size_t)n, class, c, m->id, &number);
	if (r == -EAGAIN)
		wait_for_shard(c, m->id, &whole);
	else if (r != 0)
		refuse(c, m, r);
	else if (rec.phase == AUDIT_INTENT)
		add_intent(c, number, rec.event);
	else if (intent != NULL) {
		intent->outcome = number;
		unsettled = true;
	}
}

/* The new shard is open: what waited for it goes first. */
static void
on_open(void)
{
	struct waiting *w;
	struct msg m = { .type = MSG_AUDIT_APPEND,
		.rule = msg_rule(MSG_AUDIT_APPEND),
		.fd = -1 };

	while (journal_open() && (w = STAILQ_FIRST(&waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&waiting, entry);
		waiting_count--;
		m.id = w->id;
		rbuf_init(&m.body, w->body, w->len);
		if (w->chan != NULL)
			record(w->chan, &m);
		free(w);
	}
}

static void
peer_up(struct chan *c)
{
	if (chan_peer(c) == PROC_ATTESTD)
		journal_tell(c);
}

static void
peer_down(struct chan *c)
{
	struct intent *in, *next;
	struct waiting *w;

	journal_forget(c);
	check_forget(c);
	STAILQ_FOREACH(w, &waiting, entry)
		if (w->chan == c)
			w->chan = NULL;
	for (in = TAILQ_FIRST(&intents); in != NULL; in = next) {
		next = TAILQ_NEXT(in, entry);
		if (in->chan != c)
			continue;
		if (in->outcome == 0)
			abandon(in->number);
		end_intent(in);
	}
}

static void
ready(void)
{
	struct sandbox_report rep;

	rollover_each_left_open(abandon);
	/* Recovery is over: auditd looks around no more. */
	if (sandbox_tighten(PROC_AUDITD, &rep) != 0)
		fatalx("%s", rep.text);
	child_ready();
}

static void
start(void)
{
	journal_on_committed(settle_intents);
	rollover_start(ready, on_open);
}

static void
drain(uint32_t timeout_ms)
{
	(void)timeout_ms;
	journal_drain(child_drained);
}

static const struct chan_handlers from_clawd[] = {
	{ MSG_AUDIT_APPEND, record },
	{ MSG_WORKER_ENDED, check_on_worker_ended },
	{ 0, NULL },
};

static const struct chan_handlers from_siblings[] = {
	{ MSG_AUDIT_APPEND, record },
	{ MSG_AUDIT_CHECK, check_on_request },
	{ 0, NULL },
};

static const struct child auditd = {
	.self = PROC_AUDITD,
	.from_parent = from_clawd,
	.from_peers = from_siblings,
	.prepare = prepare,
	.config = MSG_CONFIG_AUDITD,
	.stage = stage,
	.commit = commit,
	.start = start,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.drain = drain,
};

int
main(int argc, char **argv)
{
	child_run(&auditd, argc, argv);
}
