/* SPDX-License-Identifier: ISC */
/*
 * test_auditrec.c - records on their way to auditd: every attribute arrives as
 * it was sent, nobody carries what is auditd's, who may say what.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/auditrec.h"

#define NUM_MAX ((UINT64_C(1) << 53) - 1)
#define OWN 128

static struct auditrec rec;
static struct auditrec_attr got[AUDITREC_MAX_ATTRS];
static uint8_t data[AUDITREC_MAX_LEN + 64];

static void
init(void)
{
	auditrec_init(&rec, AUDIT_NOTE, AUDIT_SINGLE, AUDIT_OK);
}

static int
read_back(void)
{
	const struct msg_AUDIT_APPEND *m = auditrec_msg(&rec);

	assert_false(rec.w.failed);
	return auditrec_read(m->attrs, m->attrs_len, got);
}

/* Every attribute of the table, empty, and at its bound. */
static void
test_every_attribute(void **state)
{
	const struct audit_attr_def *def;
	unsigned int a, most;

	(void)state;
	memset(data, 'x', sizeof(data));
	for (a = 0; a < 256; a++)
		for (most = 0; most < 2; most++) {
			def = audit_attr_def(a);
			if (def == NULL)
				continue;
			init();
			if (def->type == AUDIT_NUM)
				auditrec_num(&rec, (enum audit_attr)a,
				    most ? NUM_MAX : 0);
			else
				auditrec_bytes(&rec, (enum audit_attr)a, data,
				    most && a < OWN ? def->max : 0);
			if (a >= OWN) {
				assert_int_equal(read_back(), -EBADMSG);
				continue;
			}
			assert_int_equal(read_back(), 1);
			assert_ptr_equal(got[0].def, def);
			if (def->type == AUDIT_NUM)
				assert_true(got[0].num == (most ? NUM_MAX : 0));
			else {
				assert_int_equal(got[0].len,
				    most ? def->max : 0);
				assert_memory_equal(got[0].data, data,
				    got[0].len);
			}
		}
	assert_null(audit_attr_def(256));
	assert_null(audit_attr_def(0));
}

/* A long text is cut, a large number is the largest there is. */
static void
test_cut_at_the_bound(void **state)
{
	static char text[5000];

	(void)state;
	memset(text, 'y', sizeof(text) - 1);
	init();
	auditrec_text(&rec, AUDIT_ATTR_PROCESS, text);
	auditrec_num(&rec, AUDIT_ATTR_PID, UINT64_MAX);
	assert_int_equal(read_back(), 2);
	assert_int_equal(got[0].len, 32);
	assert_true(got[1].num == NUM_MAX);
}

/* No prefix of a record is one, unless it ends between two attributes. */
static void
test_torn(void **state)
{
	const struct msg_AUDIT_APPEND *m;
	size_t len, first;

	(void)state;
	init();
	auditrec_text(&rec, AUDIT_ATTR_REASON, "because");
	first = rec.w.len;
	auditrec_num(&rec, AUDIT_ATTR_UID, 7);
	m = auditrec_msg(&rec);
	for (len = 0; len < m->attrs_len; len++)
		assert_int_equal(auditrec_read(m->attrs, len, got),
		    len == 0	     ? 0 :
			len == first ? 1 :
				       -EBADMSG);
}

static void
test_refused(void **state)
{
	static const uint8_t unknown[] = { 77, 0, 0 };
	static const uint8_t huge[] = { 2, 0xff, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t above[] = { 2, 0, 0x20, 0, 0, 0, 0, 0, 0 };
	static const uint8_t zero[] = { 0, 0, 0 };
	uint8_t longer[3 + 33] = { 1, 0, 33 };

	(void)state;
	assert_int_equal(auditrec_read(unknown, 3, got), -EBADMSG);
	assert_int_equal(auditrec_read(huge, 9, got), -EBADMSG);
	assert_int_equal(auditrec_read(above, 9, got), -EBADMSG);
	assert_int_equal(auditrec_read(zero, 3, got), -EBADMSG);
	assert_int_equal(auditrec_read(longer, sizeof(longer), got), -EBADMSG);
	/* Nothing is there twice. */
	init();
	auditrec_num(&rec, AUDIT_ATTR_UID, 7);
	auditrec_text(&rec, AUDIT_ATTR_TEXT, "");
	auditrec_num(&rec, AUDIT_ATTR_UID, 7);
	assert_int_equal(read_back(), -EBADMSG);
	/* An attribute that is none cannot be put in. */
	init();
	auditrec_text(&rec, (enum audit_attr)77, "x");
	assert_true(rec.w.failed);
}

/* All that a sender may carry fits into one record at once. */
static void
test_all_at_once(void **state)
{
	const struct audit_attr_def *def;
	unsigned int a;
	int n = 0;

	(void)state;
	init();
	for (a = 0; a < OWN; a++) {
		def = audit_attr_def(a);
		if (def == NULL)
			continue;
		if (def->type == AUDIT_NUM)
			auditrec_num(&rec, (enum audit_attr)a, a);
		else
			auditrec_bytes(&rec, (enum audit_attr)a, data,
			    def->max);
		n++;
	}
	assert_true(n <= AUDITREC_MAX_ATTRS);
	assert_int_equal(read_back(), n);
}

/* Who may record what is the table's word, for each event and process. */
static void
test_senders(void **state)
{
	static const struct {
		unsigned int number;
		const char *name;
		uint32_t senders;
	} table[] = {
#define P(id) PROC_BIT(PROC_##id)
#define EVENT(id, number, name, senders, what) { number, name, senders },
#include "policy/audit_events.def"
#undef EVENT
#undef P
	};
	unsigned int event, p;
	uint32_t senders;
	size_t i;

	(void)state;
	for (event = 0; event <= UINT16_MAX; event++) {
		senders = 0;
		for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			if (table[i].number == event) {
				/* No number twice. */
				assert_int_equal(senders, 0);
				senders = table[i].senders;
				assert_string_equal(audit_event_name(event),
				    table[i].name);
			}
		if (senders == 0)
			assert_null(audit_event_name(event));
		for (p = 0; p < PROC_MAX; p++)
			assert_int_equal(
			    audit_event_allowed(event, (enum proc)p),
			    (senders & PROC_BIT(p)) != 0);
	}
}

static void
test_outcomes(void **state)
{
	(void)state;
	assert_null(audit_outcome_name(AUDIT_NO_OUTCOME));
	assert_string_equal(audit_outcome_name(AUDIT_OK), "ok");
	assert_string_equal(audit_outcome_name(AUDIT_DENIED), "denied");
	assert_string_equal(audit_outcome_name(AUDIT_FAILED), "failed");
	assert_string_equal(audit_outcome_name(AUDIT_UNKNOWN), "unknown");
	assert_null(audit_outcome_name(AUDIT_UNKNOWN + 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_attribute),
		cmocka_unit_test(test_cut_at_the_bound),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_outcomes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
