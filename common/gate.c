/* SPDX-License-Identifier: ISC */
/*
 * gate.c - what stands before every handler: is this packet allowed here?
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <stdlib.h>

#include "common/gate.h"

void
gate_init(struct gate *g, enum proc self, enum proc peer)
{
	*g = (struct gate){ .self = self, .peer = peer, .when = WHEN_BOOT };
	TAILQ_INIT(&g->asked);
	TAILQ_INIT(&g->owed);
}

static void
clear_list(struct gate_requests *list)
{
	struct gate_request *r;

	while ((r = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, r, entry);
		free(r);
	}
}

void
gate_clear(struct gate *g)
{
	clear_list(&g->asked);
	clear_list(&g->owed);
}

static struct gate_request *
find(struct gate_requests *list, uint32_t id)
{
	struct gate_request *r;

	TAILQ_FOREACH(r, list, entry)
		if (r->id == id)
			return r;
	return NULL;
}

static bool
add(struct gate_requests *list, const struct msg_rule *rule, uint32_t id,
    void *cookie)
{
	struct gate_request *r = malloc(sizeof(*r));

	if (r == NULL)
		return false;
	r->rule = rule;
	r->id = id;
	r->cookie = cookie;
	TAILQ_INSERT_TAIL(list, r, entry);
	return true;
}

static bool
fd_matches(enum msg_fd want, int fd, unsigned int nfds)
{
	int type, listens;
	struct stat st;
	socklen_t len;

	if (want == FD_NONE)
		return nfds == 0;
	if (nfds != 1 || fstat(fd, &st) == -1)
		return false;
	if (want == FD_IS_FILE)
		return S_ISREG(st.st_mode);
	if (want == FD_IS_FOLDER)
		return S_ISDIR(st.st_mode);
	len = sizeof(type);
	if (!S_ISSOCK(st.st_mode) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
		return false;
	if (want == FD_IS_CHANNEL)
		return type == SOCK_SEQPACKET;
	len = sizeof(listens);
	return type == SOCK_STREAM &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
	    listens == 0;
}

/* Reads the header. NULL if it is good, else what is wrong with it. */
static const char *
read_header(const void *packet, size_t len, struct msg *m)
{
	uint16_t flags;
	uint32_t body_len;

	rbuf_init(&m->body, packet, len);
	m->type = rbuf_u16(&m->body);
	flags = rbuf_u16(&m->body);
	body_len = rbuf_u32(&m->body);
	m->id = rbuf_u32(&m->body);
	if (m->body.failed)
		return "short header";
	if (flags != 0)
		return "unknown flags";
	if (body_len != m->body.len)
		return "wrong length";
	m->rule = msg_rule(m->type);
	if (m->rule == NULL)
		return "unknown type";
	return NULL;
}

/* A request or a notice: may it come now, and this often? */
static const char *
check_limit(struct gate *g, const struct msg *m, uint64_t now_s)
{
	size_t i = msg_index(m->rule);

	if (m->rule->limit == LIMIT_ONCE) {
		if (g->once[i])
			return "said twice";
		g->once[i] = true;
	}
	if (m->rule->reply == MSG_NONE) {
		if (m->id != 0)
			return "request id on a notice";
		if (m->rule->limit == LIMIT_ONCE)
			return NULL;
		if (now_s != g->second) {
			size_t k, n;
			const struct msg_rule *r = msg_rules(&n);

			for (k = 0; k < n; k++)
				if (r[k].reply == MSG_NONE)
					g->count[k] = 0;
			g->second = now_s;
		}
		return ++g->count[i] > m->rule->limit ? "flood" : NULL;
	}
	if (m->id <= g->peer_id)
		return "request id used before";
	if (m->rule->limit != LIMIT_ONCE && g->count[i] >= m->rule->limit)
		return "flood";
	return NULL;
}

static enum gate_verdict
check_reply(struct gate *g, const struct msg *m, struct gate_request **asked,
    const char **reason)
{
	struct gate_request *r = find(&g->asked, m->id);

	if (r == NULL) {
		*reason = "answer that nobody asked for";
		return GATE_REFUSE;
	}
	if (m->type != MSG_REFUSED && m->type != r->rule->reply) {
		*reason = "answer of another type";
		return GATE_REFUSE;
	}
	TAILQ_REMOVE(&g->asked, r, entry);
	if (r->cookie == NULL) {
		free(r);
		g->late++;
		return GATE_LATE;
	}
	*asked = r;
	return GATE_REPLY;
}

enum gate_verdict
gate_check(struct gate *g, const void *packet, size_t len, int fd,
    unsigned int nfds, uint64_t now_s, struct msg *m,
    struct gate_request **asked, const char **reason)
{
	*reason = read_header(packet, len, m);
	if (*reason != NULL)
		return GATE_REFUSE;
	m->fd = fd;
	if ((m->rule->senders & PROC_BIT(g->peer)) == 0)
		*reason = "not this sender's to say";
	else if ((m->rule->receivers & PROC_BIT(g->self)) == 0)
		*reason = "not for this receiver";
	else if ((m->rule->when & (uint32_t)g->when) == 0)
		*reason = "not in this state";
	else if (!fd_matches(m->rule->fd, fd, nfds))
		*reason = "wrong descriptor";
	else if (!msg_body_valid(m->rule, m->body.data, m->body.len))
		*reason = "malformed body";
	else if (m->rule->limit == LIMIT_REPLY)
		return check_reply(g, m, asked, reason);
	else
		*reason = check_limit(g, m, now_s);
	if (*reason != NULL)
		return GATE_REFUSE;
	if (m->rule->reply == MSG_NONE)
		return GATE_PASS;
	if (!add(&g->owed, m->rule, m->id, NULL)) {
		*reason = "out of memory";
		return GATE_REFUSE;
	}
	g->peer_id = m->id;
	g->count[msg_index(m->rule)]++;
	return GATE_PASS;
}

uint32_t
gate_ask(struct gate *g, const struct msg_rule *rule, void *cookie)
{
	/* Ids never return: a channel that has used them all is replaced. */
	if (g->next_id == UINT32_MAX ||
	    !add(&g->asked, rule, g->next_id + 1, cookie))
		return 0;
	return ++g->next_id;
}

bool
gate_answer(struct gate *g, uint32_t id, uint16_t type)
{
	struct gate_request *r = find(&g->owed, id);

	if (r == NULL || (type != MSG_REFUSED && type != r->rule->reply))
		return false;
	TAILQ_REMOVE(&g->owed, r, entry);
	g->count[msg_index(r->rule)]--;
	free(r);
	return true;
}
