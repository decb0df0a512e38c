/* SPDX-License-Identifier: ISC */
/*
 * test_note.c - signed notes as others make and read them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auditkit.h"
#include "common/b64.h"
#include "common/merkle.h"
#include "common/note.h"

#define D "\xe2\x80\x94 "
#define TEXT                                                                   \
	"If you think cryptography is the answer to your problem,\n"           \
	"then you don't know what your problem is.\n"
#define PETER                                                                  \
	"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"               \
	"LDE4izWy10TW"
#define PETER_SIG                                                              \
	D "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZ"            \
	  "InNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
#define ENOCH_SIG                                                              \
	D "EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n"           \
	  "2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"

static int
check(const char *text, const struct note_vkey *keys, size_t n)
{
	struct note note;
	uint64_t who;
	int ret;

	ret = note_parse(text, strlen(text), &note);
	return ret != 0 ? ret : note_verify(&note, keys, n, &who, NULL);
}

static int
vkey(const char *text, struct note_vkey *v)
{
	return note_vkey_parse(text, strlen(text), v);
}

/* The example of golang.org/x/mod/sumdb/note and C2SP signed-note. */
static void
test_example(void **state)
{
	struct note_vkey peter, other;
	char buf[NOTE_VKEY_MAX];

	(void)state;
	assert_int_equal(vkey(PETER, &peter), 0);
	assert_int_equal(peter.id, 0xc74f20a3);
	assert_true(note_vkey_format(&peter, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, PETER);
	assert_int_equal(check(TEXT "\n" PETER_SIG, &peter, 1), 0);
	assert_int_equal(check(TEXT "\n" ENOCH_SIG PETER_SIG, &peter, 1), 0);
	assert_int_equal(check(TEXT "\n" ENOCH_SIG, &peter, 1), -ENOKEY);
	/* A second signature by a key is not looked at. */
	assert_int_equal(
	    check(TEXT "\n" PETER_SIG D "PeterNeumann x08gowAA\n", &peter, 1),
	    0);
	assert_int_equal(
	    check(TEXT "\n" D "PeterNeumann x08gowAA\n" PETER_SIG, &peter, 1),
	    -EKEYREJECTED);
	assert_int_equal(check("x" TEXT "\n" PETER_SIG, &peter, 1),
	    -EKEYREJECTED);
	/* The name counts, not only the id. */
	other = peter;
	memcpy(other.name, "Peter", 6);
	assert_int_equal(check(TEXT "\n" PETER_SIG, &other, 1), -ENOKEY);
}

static void
test_malformed(void **state)
{
	static const char *const bad[] = { "", "\n", "\n\n", "text\n", "a\n\n",
		"a\n\n" D "n AAAAAAA=", "a\n\nn AAAAAAA=\n",
		"a\n\n" D "AAAAAAA=\n", "a\n\n" D "n  AAAAAAA=\n",
		"a\n\n" D "n AAAA\n", "a\n\n" D "n AAAAAAB=\n",
		"a\n\n" D "n+m AAAAAAA=\n", "a\n\n" D "n\xc2\xa0m AAAAAAA=\n",
		"a\n\n" D " AAAAAAA=\n", "a\n\n" D "n AAAAAAA=\r\n",
		"a\x01\n\n" D "n AAAAAAA=\n", "a\xff\n\n" D "n AAAAAAA=\n",
		"a\n\n- n AAAAAAA=\n", "a\n\n" D "n AAAAAAA=\nb\n" };
	struct note n;
	char many[4096] = "a\n\n";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(note_parse(bad[i], strlen(bad[i]), &n),
		    -EBADMSG);
	for (i = 0; i < NOTE_SIGS_MAX; i++)
		memcpy(many + strlen(many), D "n AAAAAAA=\n", 15);
	assert_int_equal(note_parse(many, strlen(many), &n), 0);
	assert_int_equal(n.nsigs, NOTE_SIGS_MAX);
	memcpy(many + strlen(many), D "n AAAAAAA=\n", 15);
	assert_int_equal(note_parse(many, strlen(many), &n), -EMSGSIZE);
	assert_int_equal(note_parse("a\n\nb\n\n" D "n AAAAAAA=\n", 21, &n), 0);
	assert_int_equal(n.text_len, 5);
}

static void
test_vkeys(void **state)
{
	static const char *const bad[] = { "", "+", "a", "a+", "+c74f20a3+AA==",
		"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T"
		"W",
		"PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T"
		"W",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
		"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T"
		"W" };
	struct note_vkey v, two[2];
	struct note n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vkey(bad[i], &v), -EINVAL);
	assert_int_equal(vkey("a+00000000+Bgo=", &v), -ENOTSUP);
	assert_int_equal(vkey(PETER, &two[0]), 0);
	two[1] = two[0];
	assert_int_equal(
	    note_parse(TEXT "\n" PETER_SIG, strlen(TEXT "\n" PETER_SIG), &n),
	    0);
	assert_int_equal(note_verify(&n, two, 2, NULL, NULL), -EINVAL);
}

/* RFC 8032 section 7.1, TEST 1 to 3. */
static void
test_rfc8032(void **state)
{
	static const struct {
		const char *pub, *sig, *msg;
		size_t len;
	} v[] = {
		{ "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		    "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc"
		    "+bRr0lv18FlbviRlUUFDjnoQCw==",
		    "", 0 },
		{ "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
		    "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ"
		    "8R2MOHsurrQwKu6wDSkWErsMAA==",
		    "\x72", 1 },
		{ "/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=",
		    "YpHWV97sJAJIJ+acOr4BowzlSKKEdDpEXjaA19taw6wY/5tTjRbykK5n92CY"
		    "TcZZSnwV6XFu0o3AJ77O6h7ECg==",
		    "\xaf\x82", 2 }
	};
	uint8_t pub[32], sig[64];
	size_t i, good = 0;

	(void)state;
	for (i = 0; i < 3; i++) {
		if (b64_decode(v[i].pub, strlen(v[i].pub), pub, 32) != 32 ||
		    b64_decode(v[i].sig, strlen(v[i].sig), sig, 64) != 64)
			continue;
		good += note_ed25519(pub, v[i].msg, v[i].len, sig) == 0;
		sig[63] ^= 1;
		assert_int_equal(note_ed25519(pub, v[i].msg, v[i].len, sig),
		    -EKEYREJECTED);
	}
	assert_int_equal(good, 3);
}

static void
test_checkpoint(void **state)
{
	static const char *const bad[] = { "", "o\n1\n",
		"o\n01\nAAAAAAAAAAAAAAAA"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"o\n1\nAAAA\n",
		"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\next\n",
		"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"o\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"o\n9223372036854775808\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAA=\n",
		"\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" };
	struct note_checkpoint c = { .origin = "a/b/2026-11", .size = 77 }, d;
	struct kit_key k, w;
	struct note_vkey v[2];
	struct note n;
	char body[NOTE_BODY_MAX], text[4096], cosig[512];
	uint8_t sig[64], raw[76] = { 0 }, msg[512];
	uint64_t who, times[2] = { 0, 0 };
	ssize_t len;
	size_t i;
	int head;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    note_checkpoint_parse(bad[i], strlen(bad[i]), &d),
		    -EBADMSG);
	memset(c.root, 0x5a, 32);
	len = note_checkpoint_format(&c, body, sizeof(body));
	assert_true(len > 0);
	assert_int_equal(note_checkpoint_parse(body, (size_t)len, &d), 0);
	assert_memory_equal(&c, &d, sizeof(c));
	kit_key(&k, 1);
	kit_key(&w, 2);
	assert_int_equal(note_vkey_make(&v[0], c.origin, NOTE_ED25519, k.pub),
	    0);
	assert_int_equal(
	    note_vkey_make(&v[1], "peer/witness", NOTE_COSIGNATURE, w.pub), 0);
	kit_sign(&k, body, (size_t)len, sig);
	assert_true(note_compose(body, (size_t)len, &v[0], sig, text,
			sizeof(text)) > 0);
	assert_int_equal(check(text, v, 2), 0);
	/* With a peer's cosignature of time 1234567890. */
	head = snprintf((char *)msg, sizeof(msg),
	    "cosignature/v1\ntime 1234567890\n%s", body);
	kit_sign(&w, msg, (size_t)head, raw + 12);
	raw[0] = (uint8_t)(v[1].id >> 24);
	raw[1] = (uint8_t)(v[1].id >> 16);
	raw[2] = (uint8_t)(v[1].id >> 8);
	raw[3] = (uint8_t)v[1].id;
	raw[8] = 0x49;
	raw[9] = 0x96;
	raw[10] = 0x02;
	raw[11] = 0xd2;
	b64_encode(raw, sizeof(raw), cosig, sizeof(cosig));
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
	    D "peer/witness %s\n", cosig);
	assert_int_equal(note_parse(text, strlen(text), &n), 0);
	assert_int_equal(note_verify(&n, v, 2, &who, times), 0);
	assert_int_equal(who, 3);
	assert_int_equal(times[1], 1234567890);
	/* A witness alone does not make a checkpoint authentic. */
	assert_int_equal(note_verify(&n, v + 1, 1, &who, NULL), -ENOKEY);
	/* Nor may its time be changed. */
	text[strlen(text) - 90] ^= 1;
	assert_int_not_equal(check(text, v, 2), 0);
	kit_key_free(&k);
	kit_key_free(&w);
}

static void
test_endorsement(void **state)
{
	uint8_t buf[NOTE_ENDORSE_MAX];
	ssize_t n;

	(void)state;
	n = note_endorse_statement("a", "", "2026-11", "v", buf, sizeof(buf));
	assert_true(n > 16);
	assert_memory_equal(buf,
	    "claw/log-key/v1\0{\"node\":\"a\",\"prev\":\"\","
	    "\"shard\":\"2026-11\",\"vkey\":\"v\"}",
	    (size_t)n);
	assert_int_equal(
	    note_endorse_statement("a\"", "", "s", "v", buf, sizeof(buf)),
	    -EINVAL);
	assert_int_equal(note_endorse_statement("a", "", "s", "v", buf, 20),
	    -ENOSPC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_vkeys),
		cmocka_unit_test(test_rfc8032),
		cmocka_unit_test(test_checkpoint),
		cmocka_unit_test(test_endorsement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
