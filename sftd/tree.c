/* SPDX-License-Identifier: ISC */
/*
 * tree.c - folders that have come whole, as one file: unpacked by workers.
 */
#include <sys/queue.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/log.h"
#include "sftd/store.h"
#include "sftd/tree.h"

#define AT_ONCE 4 /* as policy/workers.def has it */
/* Who has answered ends at once; who was let go of, when the disk lets it. */
#define ENDS_S 30
#define LET_GO_S 600

struct tree {
	TAILQ_ENTRY(tree) entry;
	uint8_t id[SFT_ID_LEN];
	uint64_t size;
	bool remove;
	bool keep; /* only what was unpacked is removed */
	int dir, file;
	bool starting; /* clawd has been asked */
	struct chan *worker;
	uint32_t session; /* the worker's */
	bool dying;	  /* nobody hears of it, it may still write */
	bool answered;	  /* so may this one, until it has ended */
	bool ended;	  /* clawd says so */
	uint8_t code;	  /* what it has answered */
	char text[SFT_TEXT_MAX + 1];
	struct event *due; /* by then it should have ended */
	/* NULL: nobody is to hear of it. */
	void (*then)(void *arg, uint8_t code, const char *text);
	void *arg;
};

static TAILQ_HEAD(, tree) trees = TAILQ_HEAD_INITIALIZER(trees);
static bool begun;

static void advance(void);
static void clear_half(const uint8_t id[SFT_ID_LEN]);

static void
end(struct tree *t)
{
	struct chan *worker = t->worker;

	TAILQ_REMOVE(&trees, t, entry);
	t->worker = NULL;
	child_worker_end(worker);
	event_free(t->due);
	close(t->dir);
	close(t->file);
	free(t);
}

/* Done, one way or the other. */
static void
over(struct tree *t, uint8_t code, const char *text)
{
	void (*then)(void *, uint8_t, const char *) = t->then;
	uint8_t id[SFT_ID_LEN];
	char said[SFT_TEXT_MAX + 1]; /* it may be t's */
	bool removed = t->remove && !t->keep && code == 0;
	bool failed = !t->remove && (code != 0 || then == NULL);
	void *arg = t->arg;

	memcpy(id, t->id, sizeof(id));
	snprintf(said, sizeof(said), "%s", text);
	if (t->remove && code != 0)
		log_warnx("what was unpacked of a folder could not be removed: "
			  "%s",
		    said);
	end(t);
	if (failed)
		clear_half(id);
	if (removed && partial_remove(id) != 0)
		log_warnx("a partial folder could not be removed");
	if (then != NULL)
		then(arg, code, said);
	advance();
}

/* One that was taken over stays, and writes where all is sealed by now. */
static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct tree *t = arg;

	(void)fd;
	(void)what;
	child_worker_accuse(PROC_UNPACKD, t->session, MSG_UNPACKED,
	    "it is done, and does not end");
}

static void
has_to_end(struct tree *t, time_t seconds)
{
	struct timeval tv = { seconds, 0 };

	evtimer_add(t->due, &tv);
}

/*
 * Let go of, or gone: until it is known to have ended it may still write in
 * the tree, which is nobody else's until then.
 */
static void
given_up(struct tree *t)
{
	void (*then)(void *, uint8_t, const char *) = t->then;
	void *arg = t->arg;

	if (t->ended) {
		over(t, SFT_IO, "who unpacked it ended before it was done");
		return;
	}
	t->then = NULL;
	t->dying = true;
	has_to_end(t, LET_GO_S);
	if (!t->remove)
		clear_half(t->id);
	if (then != NULL)
		then(arg, SFT_IO, "who unpacked it ended before it was done");
}

static void
on_unpacked(struct chan *c, struct msg *m, void *arg)
{
	struct msg_UNPACKED done;
	struct tree *t = arg;

	(void)c;
	if (m == NULL || m->type == MSG_REFUSED) {
		/* peer_down() has freed the channel, or is about to. */
		t->worker = NULL;
		given_up(t);
		return;
	}
	if (!msg_get_UNPACKED(&m->body, &done))
		fatalx("malformed UNPACKED");
	t->answered = true;
	/* Where it has ended already, how counts first. */
	if (t->code == 0) {
		t->code = done.code <= SFT_CODE_MAX ? done.code : SFT_IO;
		snprintf(t->text, sizeof(t->text), "%s", done.text);
	}
	if (t->ended)
		over(t, t->code, t->text);
	else
		has_to_end(t, ENDS_S);
}

static void
on_started(struct chan *clawd, struct msg *m, void *arg)
{
	struct msg_UNPACK_INTO into = { 0 };
	struct msg_WORKER_STARTED done;
	struct msg_UNPACK want;
	struct tree *t = arg;

	(void)clawd;
	t->starting = false;
	if (m == NULL || m->type == MSG_REFUSED) {
		over(t, SFT_STOPPING, "no worker could be started");
		return;
	}
	if (!msg_get_WORKER_STARTED(&m->body, &done) ||
	    done.proc != PROC_UNPACKD)
		fatalx("clawd started what it was not asked for");
	t->worker = child_worker(PROC_UNPACKD, done.session, m->fd);
	t->session = done.session;
	m->fd = -1;
	if (t->worker == NULL || (t->then == NULL && !t->remove)) {
		over(t, SFT_STOPPING, "no worker could be had");
		return;
	}
	want.size = t->size;
	want.remove = t->remove;
	want.room = store_room();
	(void)chan_send_UNPACK_INTO(t->worker, 0, t->dir, &into);
	(void)chan_send_UNPACK(t->worker,
	    chan_ask(t->worker, MSG_UNPACK, on_unpacked, t), t->file, &want);
}

static bool
is_busy(const struct tree *t)
{
	return t->starting || t->dying || t->answered || t->worker != NULL;
}

/* Whether one before it works on the same tree. */
static bool
has_to_wait(const struct tree *t)
{
	const struct tree *o;

	TAILQ_FOREACH(o, &trees, entry) {
		if (o == t)
			break;
		if (memcmp(o->id, t->id, sizeof(t->id)) == 0)
			return true;
	}
	return false;
}

static void
advance(void)
{
	struct msg_WORKER_START want = { .proc = PROC_UNPACKD };
	struct chan *clawd = child_parent();
	unsigned int busy = 0;
	struct tree *t;

	TAILQ_FOREACH(t, &trees, entry)
		busy += is_busy(t) ? 1 : 0;
	TAILQ_FOREACH(t, &trees, entry) {
		if (!begun || busy >= AT_ONCE)
			return;
		if (is_busy(t) || has_to_wait(t))
			continue;
		t->starting = true;
		busy++;
		(void)chan_send_WORKER_START(clawd,
		    chan_ask(clawd, MSG_WORKER_START, on_started, t), -1,
		    &want);
	}
}

static struct tree *
new_tree(const uint8_t id[SFT_ID_LEN])
{
	struct tree *t = calloc(1, sizeof(*t));
	struct stat st;

	if (t == NULL)
		fatalx("out of memory");
	memcpy(t->id, id, sizeof(t->id));
	t->due = evtimer_new(child_base(), on_due, t);
	if (t->due == NULL)
		fatalx("out of memory");
	t->dir = partial_tree(id, &t->file);
	if (t->dir < 0 || fstat(t->file, &st) == -1) {
		log_warnx("a folder cannot be worked on: %s",
		    strerror(t->dir < 0 ? -t->dir : errno));
		if (t->dir >= 0) {
			close(t->dir);
			close(t->file);
		}
		event_free(t->due);
		free(t);
		return NULL;
	}
	t->size = (uint64_t)st.st_size;
	TAILQ_INSERT_TAIL(&trees, t, entry);
	return t;
}

/* Half a folder takes room and is good for nothing. */
static void
clear_half(const uint8_t id[SFT_ID_LEN])
{
	struct tree *t = new_tree(id);

	if (t == NULL)
		return;
	t->remove = true;
	t->keep = true;
}

struct tree *
tree_unpack(const struct partial *p,
    void (*then)(void *arg, uint8_t code, const char *text), void *arg)
{
	struct tree *t = new_tree(p->id);

	if (t == NULL)
		return NULL;
	t->then = then;
	t->arg = arg;
	advance();
	return t;
}

static void
clear(const uint8_t id[SFT_ID_LEN])
{
	struct tree *t;

	/* Who unpacks it is just being let go of, or it is under way. */
	TAILQ_FOREACH(t, &trees, entry)
		if (t->remove && !t->keep &&
		    memcmp(t->id, id, sizeof(t->id)) == 0)
			return;
	t = new_tree(id);
	if (t == NULL)
		return;
	t->remove = true;
	advance();
}

void
tree_let_go(struct tree *t)
{
	if (t == NULL)
		return;
	t->then = NULL;
	/* What was asked of clawd has its answer coming; who has answered,
	 * its end. */
	if (t->worker != NULL && !t->answered)
		child_worker_end(t->worker); /* on_unpacked() follows */
	else if (!is_busy(t))
		end(t);
}

void
tree_forget(struct chan *c)
{
	struct tree *t;

	TAILQ_FOREACH(t, &trees, entry)
		if (t->worker == c)
			t->worker = NULL;
}

bool
tree_on_worker_ended(const struct msg *m)
{
	struct msg_WORKER_ENDED ended;
	struct msg copy = *m;
	struct tree *t;

	if (!msg_get_WORKER_ENDED(&copy.body, &ended))
		fatalx("malformed WORKER_ENDED");
	TAILQ_FOREACH(t, &trees, entry)
		if (t->session == ended.session && ended.session != 0)
			break;
	if (t == NULL)
		return false;
	if (ended.how[0] != '\0')
		log_warnx("unpackd[%u] %s", ended.pid, ended.how);
	t->ended = true;
	/* What it said before counts no more than what it did. */
	if (ended.how[0] != '\0' && t->code == 0) {
		t->code = SFT_IO;
		snprintf(t->text, sizeof(t->text),
		    "who unpacked it did not end well");
	}
	/* Its last words may still be in its channel, which ends by itself. */
	if (t->answered)
		over(t, t->code, t->text);
	else if (t->dying) {
		end(t);
		advance();
	}
	return true;
}

void
tree_prepare(void)
{
	partial_with_tree(clear);
}

void
tree_begin(void)
{
	begun = true;
	advance();
}
