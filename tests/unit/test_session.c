/* SPDX-License-Identifier: ISC */
/*
 * test_session.c - which leaf keyd makes for a worker, and which it never does.
 *
 * A worker that has been taken over asks for whatever it likes on its own
 * channel; what it gets follows from what meshd and attestd have said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attestd/session.h"

#define NOW UINT64_C(100000)

static struct evidence ev;

/* No two tests speak of one session. */
static uint32_t last;

static const char *
role(uint32_t id, uint8_t r, uint8_t purpose, const char *peer)
{
	struct msg_SESSION_ROLE m = { .session = id,
		.role = r,
		.purpose = purpose };

	snprintf(m.peer, sizeof(m.peer), "%s", peer);
	return session_role(&m, PROC_MESHD);
}

static uint32_t
client(const char *peer)
{
	assert_null(role(++last, EVIDENCE_CLIENT, EVIDENCE_MESH, peer));
	return last;
}

static uint32_t
server(void)
{
	assert_null(role(++last, EVIDENCE_SERVER, 0, ""));
	return last;
}

static void
attested(uint32_t id, const char *peer)
{
	struct msg_SESSION_PEER m = { .session = id };

	snprintf(m.peer, sizeof(m.peer), "%s", peer);
	session_peer(&m);
}

/* What a leaf says; nothing of it comes from who asks. */
static void
issued(uint32_t id, uint8_t purpose, uint64_t now_s, uint8_t r,
    const char *peer)
{
	const char *why;

	memset(&ev, 0, sizeof(ev));
	memset(ev.peer, 'x', sizeof(ev.peer) - 1);
	why = session_leaf(id, purpose, false, now_s, &ev);
	if (why != NULL)
		fail_msg("%s", why);
	assert_int_equal(ev.role, r);
	assert_int_equal(ev.purpose, purpose);
	assert_string_equal(ev.peer, peer);
}

static void
refused(uint32_t id, uint8_t purpose, uint64_t now_s, const char *reason)
{
	struct evidence was;
	const char *why;

	was = ev;
	why = session_leaf(id, purpose, false, now_s, &ev);
	assert_non_null(why);
	assert_non_null(strstr(why, reason));
	assert_memory_equal(&was, &ev, sizeof(ev));
}

static void
test_unknown_session(void **state)
{
	(void)state;
	refused(0, EVIDENCE_MESH, NOW, "without a role");
	refused(last + 1, EVIDENCE_MESH, NOW, "without a role");
	attested(last + 1, "peer");
	refused(last + 1, EVIDENCE_MESH, NOW, "without a role");
	attested(0, "peer");
	refused(0, EVIDENCE_MESH, NOW, "without a role");
}

/* A server does not know its peer before it has shown its own leaf. */
static void
test_server(void **state)
{
	uint32_t id = server();

	(void)state;
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_SERVER, "");
	refused(id, EVIDENCE_MESH, NOW, "no peer");
	refused(id, EVIDENCE_REGISTRY, NOW, "first leaf");
	/* An hour later it is still a peer that nobody knows. */
	refused(id, EVIDENCE_MESH, NOW + 2 * SESSION_LEAVES_S, "no peer");
	attested(id, "peer");
	issued(id, EVIDENCE_MESH, NOW + 1, EVIDENCE_SERVER, "peer");
	session_end(id);
}

static void
test_client(void **state)
{
	uint32_t id = client("dialled");

	(void)state;
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_CLIENT, "dialled");
	refused(id, EVIDENCE_MESH, NOW, "no peer");
	session_end(id);
	/* To an address without a name: attestd says who answered. */
	id = client("");
	attested(id, "answered");
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_CLIENT, "answered");
	session_end(id);
}

/* A client has the purpose that it was dialled for. */
static void
test_client_purposes(void **state)
{
	uint8_t purpose;
	uint32_t id = client("peer");

	(void)state;
	for (purpose = 0; purpose < UINT8_MAX; purpose++)
		if (purpose != EVIDENCE_MESH)
			refused(id, purpose, NOW, "not what was dialled for");
	/* Not even where an invite is open. */
	assert_non_null(session_leaf(id, EVIDENCE_JOIN, true, NOW, &ev));
	assert_non_null(session_leaf(id, EVIDENCE_REGISTRY, true, NOW, &ev));
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_CLIENT, "peer");
	session_end(id);
	assert_null(role(++last, EVIDENCE_CLIENT, EVIDENCE_REGISTRY, "peer"));
	refused(last, EVIDENCE_MESH, NOW, "not what was dialled for");
	issued(last, EVIDENCE_REGISTRY, NOW, EVIDENCE_CLIENT, "peer");
	session_end(last);
}

static void
test_server_purposes(void **state)
{
	uint8_t purpose;
	uint32_t id = server();

	(void)state;
	for (purpose = 0; purpose < UINT8_MAX; purpose++)
		if (purpose != EVIDENCE_MESH && purpose != EVIDENCE_JOIN &&
		    purpose != EVIDENCE_REGISTRY)
			refused(id, purpose, NOW, "not a purpose of a link");
	issued(id, EVIDENCE_REGISTRY, NOW, EVIDENCE_SERVER, "");
	/* Nor another one later, when it may have more leaves. */
	attested(id, "peer");
	refused(id, EVIDENCE_MESH, NOW, "first leaf");
	issued(id, EVIDENCE_REGISTRY, NOW, EVIDENCE_SERVER, "peer");
	session_end(id);
}

static void
test_join(void **state)
{
	uint32_t id = server();

	(void)state;
	refused(id, EVIDENCE_JOIN, NOW, "no invite is open");
	/* What is refused costs no leaf. */
	assert_null(session_leaf(id, EVIDENCE_JOIN, true, NOW, &ev));
	assert_int_equal(ev.role, EVIDENCE_SERVER);
	assert_int_equal(ev.purpose, EVIDENCE_JOIN);
	assert_string_equal(ev.peer, "");
	refused(id, EVIDENCE_MESH, NOW, "first leaf");
	session_end(id);
}

static void
test_leaves_an_hour(void **state)
{
	uint32_t id = client("peer"), other = client("peer");
	unsigned int i;

	(void)state;
	/* That of the handshake is not counted among them. */
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_CLIENT, "peer");
	attested(id, "peer");
	for (i = 0; i < SESSION_LEAVES; i++)
		issued(id, EVIDENCE_MESH, NOW + i, EVIDENCE_CLIENT, "peer");
	assert_int_equal(i, 16);
	refused(id, EVIDENCE_MESH, NOW + i, "for this hour");
	refused(id, EVIDENCE_MESH, NOW + 3599, "for this hour");
	/* attestd's word again brings no new ones. */
	attested(id, "peer");
	refused(id, EVIDENCE_MESH, NOW + 3599, "for this hour");
	/* Nor is another session concerned. */
	issued(other, EVIDENCE_MESH, NOW, EVIDENCE_CLIENT, "peer");
	for (i = 0; i < SESSION_LEAVES; i++)
		issued(id, EVIDENCE_MESH, NOW + 3600, EVIDENCE_CLIENT, "peer");
	refused(id, EVIDENCE_MESH, NOW + 3600, "for this hour");
	session_end(id);
	session_end(other);
}

/* The hour begins with the first leaf, also just after the machine started. */
static void
test_young_machine(void **state)
{
	uint32_t id = client("peer");
	unsigned int i;

	(void)state;
	issued(id, EVIDENCE_MESH, 10, EVIDENCE_CLIENT, "peer");
	attested(id, "peer");
	for (i = 0; i < SESSION_LEAVES; i++)
		issued(id, EVIDENCE_MESH, 3590, EVIDENCE_CLIENT, "peer");
	refused(id, EVIDENCE_MESH, 3601, "for this hour");
	session_end(id);
}

/* Who it has been, it stays: also if attestd is taken over. */
static void
test_one_peer(void **state)
{
	uint32_t id = server();

	(void)state;
	attested(id, "peer");
	attested(id, "other");
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_SERVER, "peer");
	session_end(id);
}

static void
test_one_role(void **state)
{
	uint32_t id = server();

	(void)state;
	assert_non_null(role(id, EVIDENCE_CLIENT, EVIDENCE_MESH, "peer"));
	assert_non_null(role(id, EVIDENCE_SERVER, 0, ""));
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_SERVER, "");
	assert_non_null(role(id, EVIDENCE_SERVER, 0, ""));
	refused(id, EVIDENCE_MESH, NOW, "no peer");
	session_end(id);
}

static void
test_roles_refused(void **state)
{
	uint32_t id = last + 1;

	(void)state;
	assert_non_null(strstr(role(0, EVIDENCE_SERVER, 0, ""), "neither"));
	assert_non_null(role(id, 0, EVIDENCE_MESH, ""));
	assert_non_null(role(id, EVIDENCE_CALLER, EVIDENCE_MESH, ""));
	assert_non_null(role(id, EVIDENCE_CALLER, EVIDENCE_VOICE, ""));
	assert_non_null(role(id, EVIDENCE_CALLEE, EVIDENCE_REGISTRY, ""));
	/* A server has no purpose and no peer but its client's. */
	assert_non_null(role(id, EVIDENCE_SERVER, EVIDENCE_MESH, ""));
	assert_non_null(role(id, EVIDENCE_SERVER, 0, "peer"));
	assert_non_null(role(id, EVIDENCE_CLIENT, 0, "peer"));
	assert_non_null(role(id, EVIDENCE_CLIENT, EVIDENCE_SFT, "peer"));
	assert_non_null(role(id, EVIDENCE_CLIENT, EVIDENCE_VOICE, "peer"));
	assert_non_null(role(id, EVIDENCE_CLIENT, EVIDENCE_JOIN, "peer"));
	assert_non_null(role(id, EVIDENCE_CLIENT, UINT8_MAX, "peer"));
	refused(id, EVIDENCE_MESH, NOW, "without a role");
}

static void
test_end(void **state)
{
	uint32_t id = client("peer"), claimed = server();

	(void)state;
	session_end(id);
	refused(id, EVIDENCE_MESH, NOW, "without a role");
	session_end(0);
	/* meshd goes: a session with a worker outlives it. */
	id = client("peer");
	issued(claimed, EVIDENCE_MESH, NOW, EVIDENCE_SERVER, "");
	session_end_unclaimed(PROC_MESHD);
	refused(id, EVIDENCE_MESH, NOW, "without a role");
	refused(claimed, EVIDENCE_MESH, NOW, "no peer");
	session_end(claimed);
}

static void
test_full(void **state)
{
	uint32_t first = last + 1, i;

	(void)state;
	for (i = 0; i < SESSION_MAX; i++)
		(void)server();
	assert_non_null(role(last + 1, EVIDENCE_SERVER, 0, ""));
	session_end(first + 7);
	(void)server();
	issued(last, EVIDENCE_MESH, NOW, EVIDENCE_SERVER, "");
	for (i = first; i <= last; i++)
		session_end(i);
}

/* Last: a node that joins is one for as long as keyd runs. */
static void
test_node_that_joins(void **state)
{
	(void)state;
	assert_non_null(
	    role(++last, EVIDENCE_CLIENT, EVIDENCE_JOIN, "inviter"));
	session_allow_join();
	assert_null(role(last, EVIDENCE_CLIENT, EVIDENCE_JOIN, "inviter"));
	refused(last, EVIDENCE_MESH, NOW, "not what was dialled for");
	refused(last, EVIDENCE_REGISTRY, NOW, "not what was dialled for");
	issued(last, EVIDENCE_JOIN, NOW, EVIDENCE_CLIENT, "inviter");
	session_end(last);
	/* It invites nobody for that. */
	refused(server(), EVIDENCE_JOIN, NOW, "no invite is open");
	session_end(last);
}

/* What keyd says of a transfer: one word in a session, of the right end. */

static uint32_t
transfer(uint8_t r)
{
	struct msg_SESSION_ROLE m = { .session = ++last,
		.role = r,
		.purpose = r == EVIDENCE_CLIENT ? EVIDENCE_SFT : 0 };

	if (r == EVIDENCE_CLIENT)
		snprintf(m.peer, sizeof(m.peer), "b");
	assert_null(session_role(&m, PROC_SFTD));
	return last;
}

static void
no_word(uint32_t id, uint8_t r, const char *reason)
{
	const char *peer = "untouched", *why;

	why = session_transfer(id, r, &peer);
	assert_non_null(why);
	assert_non_null(strstr(why, reason));
	assert_string_equal(peer, "untouched");
}

static void
test_transfers(void **state)
{
	static const uint8_t ends[] = { EVIDENCE_CLIENT, EVIDENCE_SERVER };
	const char *peer;
	uint32_t id;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		id = transfer(ends[i]);
		/* Not before its worker is there, nor before its peer is. */
		no_word(id, ends[i], "no session of a transfer");
		issued(id, EVIDENCE_SFT, NOW, ends[i], i == 0 ? "b" : "");
		no_word(id, ends[i], "not attested");
		attested(id, "b");
		peer = NULL;
		assert_null(session_transfer(id, ends[i], &peer));
		assert_string_equal(peer, "b");
		/* One that was refused otherwise has said nothing yet. */
		assert_null(session_transfer(id, ends[i], &peer));
		session_said(id);
		no_word(id, ends[i], "has had its word");
		session_said(id);
		no_word(id, ends[i], "has had its word");
		session_end(id);
		no_word(id, ends[i], "no session of a transfer");
	}
	no_word(0, EVIDENCE_CLIENT, "no session of a transfer");
	no_word(last + 1000, EVIDENCE_CLIENT, "no session of a transfer");
	session_said(0);
	session_said(last + 1000);
}

static void
test_word_of_the_right_end(void **state)
{
	uint32_t id = transfer(EVIDENCE_CLIENT);

	(void)state;
	issued(id, EVIDENCE_SFT, NOW, EVIDENCE_CLIENT, "b");
	attested(id, "b");
	no_word(id, EVIDENCE_SERVER, "who sends gives no receipt");
	session_end(id);
	id = transfer(EVIDENCE_SERVER);
	issued(id, EVIDENCE_SFT, NOW, EVIDENCE_SERVER, "");
	attested(id, "b");
	no_word(id, EVIDENCE_CLIENT, "who receives does not seal");
	session_end(id);
}

static void
test_no_word_of_a_link(void **state)
{
	uint32_t id = client("b");

	(void)state;
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_CLIENT, "b");
	attested(id, "b");
	no_word(id, EVIDENCE_CLIENT, "no session of a transfer");
	session_end(id);
	id = server();
	issued(id, EVIDENCE_MESH, NOW, EVIDENCE_SERVER, "");
	attested(id, "b");
	no_word(id, EVIDENCE_SERVER, "no session of a transfer");
	session_end(id);
}

static void
test_leaves_of_transfers(void **state)
{
	static const uint8_t others[] = { 0, EVIDENCE_MESH, EVIDENCE_VOICE,
		EVIDENCE_JOIN, EVIDENCE_REGISTRY, 6, 255 };
	struct msg_SESSION_ROLE m = { .role = EVIDENCE_CLIENT };
	uint32_t id;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(others); i++) {
		id = transfer(EVIDENCE_SERVER);
		refused(id, others[i], NOW, "transfer's purpose");
		session_end(id);
		id = transfer(EVIDENCE_CLIENT);
		refused(id, others[i], NOW, "not what was dialled for");
		session_end(id);
		/* Nor does its broker dial for anything else. */
		m.session = ++last;
		m.purpose = others[i];
		snprintf(m.peer, sizeof(m.peer), "b");
		assert_non_null(session_role(&m, PROC_SFTD));
	}
	/* And a link is for no transfer. */
	id = server();
	refused(id, EVIDENCE_SFT, NOW, "not a purpose of a link");
	session_end(id);
	assert_non_null(role(++last, EVIDENCE_CLIENT, EVIDENCE_SFT, "b"));
}

/* A number that a broker has named is for its own kind of worker. */
static void
test_whose_workers(void **state)
{
	uint32_t link = server(), file = transfer(EVIDENCE_SERVER);

	(void)state;
	assert_true(session_is_for(link, PROC_LINKD));
	assert_false(session_is_for(link, PROC_XFERD));
	assert_true(session_is_for(file, PROC_XFERD));
	assert_false(session_is_for(file, PROC_LINKD));
	assert_true(session_is_for(last + 1, PROC_LINKD));
	session_end(link);
	session_end(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_session),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_client_purposes),
		cmocka_unit_test(test_server_purposes),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_leaves_an_hour),
		cmocka_unit_test(test_young_machine),
		cmocka_unit_test(test_one_peer),
		cmocka_unit_test(test_one_role),
		cmocka_unit_test(test_roles_refused),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_node_that_joins),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_word_of_the_right_end),
		cmocka_unit_test(test_no_word_of_a_link),
		cmocka_unit_test(test_leaves_of_transfers),
		cmocka_unit_test(test_whose_workers),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
