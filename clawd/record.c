/* SPDX-License-Identifier: ISC */
/*
 * record.c - what clawd has to say to the audit log.
 *
 * Records wait in a list until auditd acknowledges them. The file holds those
 * that nobody could take when they came up: bodies of AUDIT_APPEND, each
 * behind its length. It is written anew when the list has become empty.
 */
#include <sys/queue.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clawd/place.h"
#include "clawd/record.h"
#include "common/log.h"

#define WAITING_MAX 1024 /* more are lost, and that is said */
#define FILE_MAX_BYTES (1 << 20)

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	struct chan *sent_on; /* NULL while not on its way */
	bool in_file;
	size_t len;
	uint8_t body[];
};

static TAILQ_HEAD(, waiting) list = TAILQ_HEAD_INITIALIZER(list);
static unsigned int waiting_count;
static struct chan *auditd;
static int file = -1;
static bool file_dirty;

static void
save(struct waiting *w)
{
	uint8_t head[4];
	struct wbuf b;
	off_t end;

	if (w->in_file || file == -1)
		return;
	end = lseek(file, 0, SEEK_END);
	wbuf_init(&b, head, sizeof(head));
	wbuf_u32(&b, (uint32_t)w->len);
	if (write(file, head, sizeof(head)) != sizeof(head) ||
	    write(file, w->body, w->len) != (ssize_t)w->len ||
	    fdatasync(file) == -1) {
		log_warn("a record could not be put by until auditd is back");
		/* Half a record would hide those that follow it. */
		if (end == -1 || ftruncate(file, end) == -1)
			log_warn("the file of pending records");
		return;
	}
	w->in_file = true;
	file_dirty = true;
}

static struct waiting *
add(const void *body, size_t len)
{
	struct waiting *w;

	if (waiting_count == WAITING_MAX || len > MSG_MAX_LEN ||
	    (w = calloc(1, sizeof(*w) + len)) == NULL) {
		log_errorx("too many records wait for auditd: one is lost");
		return NULL;
	}
	w->len = len;
	memcpy(w->body, body, len);
	TAILQ_INSERT_TAIL(&list, w, entry);
	waiting_count++;
	return w;
}

static void send_waiting(void);

static void
on_answer(struct chan *c, struct msg *m, void *arg)
{
	struct waiting *w = arg;

	if (m == NULL || m->type == MSG_REFUSED) {
		/* auditd is going, or has no room: it is asked again later. */
		w->sent_on = NULL;
		save(w);
		return;
	}
	TAILQ_REMOVE(&list, w, entry);
	free(w);
	waiting_count--;
	if (TAILQ_EMPTY(&list) && file_dirty) {
		if (ftruncate(file, 0) == -1 || fdatasync(file) == -1)
			log_warn("emptying the file of pending records");
		file_dirty = false;
	}
	/* There is room again: what was refused is asked for once more. */
	if (c == auditd)
		send_waiting();
}

static void
send_one(struct waiting *w)
{
	struct msg_AUDIT_APPEND m;
	struct rbuf r;

	rbuf_init(&r, w->body, w->len);
	if (!msg_get_AUDIT_APPEND(&r, &m))
		fatalx("malformed record");
	w->sent_on = auditd;
	(void)chan_send_AUDIT_APPEND(auditd,
	    chan_ask(auditd, MSG_AUDIT_APPEND, on_answer, w), -1, &m);
}

static void
send_waiting(void)
{
	struct waiting *w;

	TAILQ_FOREACH(w, &list, entry)
		if (w->sent_on == NULL)
			send_one(w);
}

void
record_auditd(struct chan *c)
{
	auditd = c;
	if (c != NULL)
		send_waiting();
}

void
record_send(struct auditrec *r)
{
	uint8_t body[MSG_MAX_LEN];
	struct timespec now;
	struct waiting *w;
	struct wbuf b;

	/* The log's own time is of the writing; this is of the happening. */
	clock_gettime(CLOCK_REALTIME, &now);
	auditrec_num(r, AUDIT_ATTR_OBSERVED,
	    (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
	wbuf_init(&b, body, sizeof(body));
	msg_put_AUDIT_APPEND(&b, auditrec_msg(r));
	if (b.failed || (w = add(body, b.len)) == NULL)
		return;
	if (auditd != NULL)
		send_one(w);
	else
		save(w);
}

void
record_event(enum audit_event event, enum audit_outcome outcome)
{
	struct auditrec r;

	auditrec_init(&r, event, AUDIT_SINGLE, outcome);
	record_send(&r);
}

bool
record_idle(void)
{
	return TAILQ_EMPTY(&list);
}

/* What is not a whole, valid record is left out: it cannot be repaired. */
static void
read_file(void)
{
	static uint8_t data[FILE_MAX_BYTES];
	const struct msg_rule *rule = msg_rule(MSG_AUDIT_APPEND);
	struct waiting *w;
	const uint8_t *p;
	struct rbuf r;
	uint32_t len;
	off_t whole = 0;
	ssize_t n;

	n = pread(file, data, sizeof(data), 0);
	rbuf_init(&r, data, n > 0 ? (size_t)n : 0);
	while (r.len > 0) {
		len = rbuf_u32(&r);
		p = rbuf_take(&r, len);
		if (p == NULL || !msg_body_valid(rule, p, len)) {
			log_warnx("pending records: the last is torn");
			/* What is put by later must not lie behind it. */
			if (ftruncate(file, whole) == -1)
				log_warn("the file of pending records");
			break;
		}
		if ((w = add(p, len)) != NULL)
			w->in_file = true;
		file_dirty = true;
		whole += 4 + (off_t)len;
	}
}

bool
record_open(const struct conf *conf)
{
	char path[CONF_TEXT_MAX], name[CONF_TEXT_MAX + 16];

	if (!place_path(conf, PLACE_KEYS, path, sizeof(path)))
		return false;
	snprintf(name, sizeof(name), "%s/pending", path);
	file = open(name, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (file == -1) {
		log_warn("%s", name);
		return false;
	}
	read_file();
	return true;
}
