/* SPDX-License-Identifier: ISC */
/*
 * test_rotation.c - a node's keys are replaced by the next ones and by nothing
 * else: the recovery code, the file it opens, and a rotation that the registry
 * takes.
 */
#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>

#include "attestd/keystore.h"
#include "attestd/statement.h"
#include "common/merkle.h"
#include "common/recovery.h"
#include "common/registry.h"

static struct statement_node node = { .name = "alpha" };
static struct registry *reg;

static int
file(void)
{
	int fd = memfd_create("key", 0);

	assert_true(fd >= 0);
	return fd;
}

/* --- the code ------------------------------------------------------------ */

static void
code_there_and_back(void **state)
{
	uint8_t code[RECOVERY_LEN] = { 0 }, again[RECOVERY_LEN];
	char text[RECOVERY_TEXT_SIZE];
	unsigned int i, word;

	(void)state;
	recovery_text(code, text);
	assert_int_equal(strncmp(text, "abandon abandon ", 16), 0);
	for (i = 0; i < RECOVERY_WORDS * 11; i++) {
		memset(code, 0, sizeof(code));
		code[i / 8] = (uint8_t)(0x80 >> i % 8);
		recovery_text(code, text);
		assert_int_equal(recovery_parse(text, again, &word), 0);
		assert_memory_equal(code, again, sizeof(code));
	}
}

static void
code_as_typed(void **state)
{
	static const char *const same[] = {
		"zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo abandon",
		"  ZOO-zoo,Zoo\tzoo zoo zoo zoo zoo zoo zoo zoo aban\n",
	};
	static const struct {
		const char *text;
		unsigned int word;
	} wrong[] = {
		{ "", 0 },
		{ "zoo", 0 },
		{ "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo", 0 },
		{ "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo", 0 },
		{ "zoo zo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo", 2 },
		{ "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo aband", 12 },
		{ "zooz zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo", 1 },
		{ "abandonabandon zoo zoo zoo zoo zoo zoo zoo zoo zoo", 1 },
	};
	uint8_t code[RECOVERY_LEN], first[RECOVERY_LEN];
	unsigned int word;
	size_t i;

	(void)state;
	assert_int_equal(recovery_parse(same[0], first, &word), 0);
	assert_int_equal(recovery_parse(same[1], code, &word), 0);
	assert_memory_equal(code, first, sizeof(code));
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		word = 99;
		assert_int_equal(recovery_parse(wrong[i].text, code, &word),
		    -EINVAL);
		assert_int_equal(word, wrong[i].word);
	}
}

/* --- a rotation ---------------------------------------------------------- */

/* A registry with this node in it, as claw init makes it. */
static void
new_registry(void)
{
	struct msg_GENESIS_SIGN want = { .time_s = (uint64_t)time(NULL),
		.soft_s = 1000,
		.hard_s = 5000 };
	int authority = file(), n;
	char lines[8192], *end;
	const char *why;
	uint8_t pin[32];

	snprintf(want.node, sizeof(want.node), "%s", node.name);
	assert_int_equal(keystore_create_authority(authority), 0);
	close(authority);
	n = statement_genesis(&want, lines, sizeof(lines));
	assert_true(n > 0);
	end = memchr(lines, '\n', (size_t)n);
	assert_int_equal(
	    registry_genesis_hash(lines, (size_t)(end - lines), pin), 0);
	registry_free(reg);
	reg = registry_new(pin);
	assert_int_equal(
	    registry_apply(reg, lines, (size_t)(end - lines), &why), 0);
	assert_int_equal(
	    registry_apply(reg, end + 1, (size_t)(lines + n - end) - 2, &why),
	    0);
}

struct files {
	int key, next;
	char code[RECOVERY_TEXT_SIZE];
};

static void
new_node(struct files *f)
{
	f->key = file();
	f->next = file();
	assert_int_equal(keystore_create_next(f->next, f->code), 0);
	assert_int_equal(keystore_create(f->key), 0);
	new_registry();
}

/* All of it up to the line; the new files in *f. */
static ssize_t
rotation(struct files *f, char *line, size_t size)
{
	const struct registry_node *n = registry_node(reg, node.name);
	int key = file(), next = file();
	unsigned int word;

	assert_int_equal(keystore_reveal(f->next, f->code, &word), 0);
	assert_int_equal(keystore_rotate_key(key), 0);
	assert_int_equal(keystore_rotate_next(next), 0);
	close(f->key);
	close(f->next);
	f->key = key;
	f->next = next;
	return statement_rotation(&node, n->ksn + 1, n->rotation, line, size);
}

static void
taken_by_the_registry(void **state)
{
	uint8_t before[32], now[32], sealing[32];
	const struct registry_node *n;
	char line[4096];
	struct files f;
	const char *why;
	ssize_t len;
	int i;

	(void)state;
	new_node(&f);
	for (i = 1; i <= 3; i++) {
		assert_int_equal(keystore_public(KEY_IDENTITY, before), 0);
		len = rotation(&f, line, sizeof(line));
		assert_true(len > 0);
		assert_int_equal(registry_rotate(reg, line, (size_t)len, &why),
		    REGISTRY_TURNED);
		/* Nothing has changed here yet. */
		assert_int_equal(keystore_public(KEY_IDENTITY, now), 0);
		assert_memory_equal(now, before, 32);
		assert_int_equal(keystore_take_revealed(), 0);
		assert_int_equal(keystore_take_revealed(), -ENOKEY);
		assert_int_equal(keystore_public(KEY_IDENTITY, now), 0);
		assert_int_equal(keystore_public(KEY_SEALING, sealing), 0);
		n = registry_node(reg, node.name);
		assert_int_equal(n->ksn, (uint64_t)i);
		assert_memory_equal(n->identity, now, 32);
		assert_memory_equal(n->sealing, sealing, 32);
		assert_memory_equal(n->previous, before, 32);
		assert_int_equal(keystore_next(now), 0);
		assert_memory_equal(n->next, now, 32);
	}
	close(f.key);
	close(f.next);
}

/* After a crash: the new file has what the registry has. */
static void
from_the_file(void **state)
{
	uint8_t revealed[32], sealing[32], now[32];
	char line[4096];
	struct files f;

	(void)state;
	new_node(&f);
	assert_true(rotation(&f, line, sizeof(line)) > 0);
	assert_int_equal(keystore_public(KEY_REVEALED, revealed), 0);
	assert_int_equal(keystore_public(KEY_NEW_SEALING, sealing), 0);
	keystore_forget(KEY_REVEALED);
	keystore_forget(KEY_NEW_SEALING);
	assert_int_equal(keystore_public(KEY_REVEALED, now), -ENOKEY);
	assert_int_equal(keystore_load_revealed(f.key), 0);
	assert_int_equal(keystore_public(KEY_REVEALED, now), 0);
	assert_memory_equal(now, revealed, 32);
	assert_int_equal(keystore_public(KEY_NEW_SEALING, now), 0);
	assert_memory_equal(now, sealing, 32);
	assert_int_equal(keystore_load(f.key), 0);
	assert_int_equal(keystore_public(KEY_IDENTITY, now), 0);
	assert_memory_equal(now, revealed, 32);
	close(f.key);
	close(f.next);
}

/* What was sealed before stays readable: the wrapping key is kept. */
static void
log_keys_stay(void **state)
{
	uint8_t sealed[KEYSTORE_SEALED_LEN];
	char line[4096];
	struct files f;

	(void)state;
	new_node(&f);
	assert_int_equal(keystore_create_log("2026-11", sealed), 0);
	assert_true(rotation(&f, line, sizeof(line)) > 0);
	assert_int_equal(keystore_take_revealed(), 0);
	assert_int_equal(keystore_load(f.key), 0);
	assert_int_equal(keystore_open_log("2026-11", sealed, sizeof(sealed)),
	    0);
	close(f.key);
	close(f.next);
}

static void
not_without_the_code(void **state)
{
	char code[RECOVERY_TEXT_SIZE];
	uint8_t hash[32], again[32];
	int other = file(), key = file();
	unsigned int word = 99;
	struct files f;

	(void)state;
	new_node(&f);
	assert_int_equal(keystore_next(hash), 0);
	assert_int_equal(keystore_create_next(other, code), 0);
	assert_int_equal(keystore_reveal(f.next, code, &word), -EACCES);
	assert_int_equal(keystore_reveal(f.next, "no code", &word), -EINVAL);
	assert_int_equal(keystore_reveal(key, f.code, &word), -EBADMSG);
	/* And then there is nothing to go on with. */
	assert_int_equal(keystore_rotate_key(key), -ENOKEY);
	assert_int_equal(keystore_rotate_next(key), -ENOKEY);
	assert_int_equal(keystore_take_revealed(), -ENOKEY);
	/* The commitment is read without it. */
	assert_int_equal(keystore_note_next(f.next), 0);
	assert_int_equal(keystore_next(again), 0);
	assert_memory_equal(hash, again, 32);
	close(other);
	close(key);
	close(f.key);
	close(f.next);
}

static void
no_bit_changed(void **state)
{
	unsigned int word;
	uint8_t byte;
	struct files f;
	off_t i, len;
	int bit;

	(void)state;
	new_node(&f);
	len = lseek(f.next, 0, SEEK_END);
	assert_int_equal(len, 149);
	for (i = 0; i < len; i++)
		for (bit = 0; bit < 8; bit += 3) {
			assert_int_equal(pread(f.next, &byte, 1, i), 1);
			byte = (uint8_t)(byte ^ 1 << bit);
			assert_int_equal(pwrite(f.next, &byte, 1, i), 1);
			assert_int_equal(keystore_reveal(f.next, f.code, &word),
			    -EBADMSG);
			assert_int_equal(keystore_note_next(f.next), -EBADMSG);
			byte = (uint8_t)(byte ^ 1 << bit);
			assert_int_equal(pwrite(f.next, &byte, 1, i), 1);
		}
	assert_int_equal(keystore_reveal(f.next, f.code, &word), 0);
	keystore_rotate_end();
	close(f.key);
	close(f.next);
}

/* Two with one number: the registry suspends the node. */
static void
twice(void **state)
{
	char first[4096], second[4096];
	ssize_t n, m;
	struct files f, copy;
	const char *why;

	(void)state;
	new_node(&f);
	copy = f;
	copy.next = dup(f.next);
	copy.key = dup(f.key);
	n = rotation(&f, first, sizeof(first));
	m = rotation(&copy, second, sizeof(second));
	assert_true(n > 0 && m > 0);
	assert_int_equal(registry_rotate(reg, first, (size_t)n, &why),
	    REGISTRY_TURNED);
	assert_int_equal(registry_rotate(reg, second, (size_t)m, &why),
	    REGISTRY_TURN_TWO);
	assert_true(registry_node(reg, node.name)->suspended);
	close(f.key);
	close(f.next);
	close(copy.key);
	close(copy.next);
}

/* The digest that links compare says which rotations there are. */
static void
digest_of_rotations(void **state)
{
	static const uint8_t none[32];
	registry_hash before, after;
	char line[4096];
	struct files f;
	const char *why;
	ssize_t n;

	(void)state;
	new_node(&f);
	registry_turns(reg, before);
	assert_memory_equal(before, none, 32);
	n = rotation(&f, line, sizeof(line));
	assert_int_equal(registry_rotate(reg, line, (size_t)n, &why),
	    REGISTRY_TURNED);
	registry_turns(reg, before);
	assert_memory_not_equal(before, none, 32);
	registry_turns(reg, after);
	assert_memory_equal(before, after, 32);
	assert_int_equal(keystore_take_revealed(), 0);
	n = rotation(&f, line, sizeof(line));
	assert_int_equal(registry_rotate(reg, line, (size_t)n, &why),
	    REGISTRY_TURNED);
	registry_turns(reg, after);
	assert_memory_not_equal(before, after, 32);
	assert_int_equal(keystore_take_revealed(), 0);
	close(f.key);
	close(f.next);
}

static int
group_setup(void **state)
{
	(void)state;
	keystore_init();
	return merkle_setup();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_there_and_back),
		cmocka_unit_test(code_as_typed),
		cmocka_unit_test(taken_by_the_registry),
		cmocka_unit_test(from_the_file),
		cmocka_unit_test(log_keys_stay),
		cmocka_unit_test(not_without_the_code),
		cmocka_unit_test(no_bit_changed),
		cmocka_unit_test(twice),
		cmocka_unit_test(digest_of_rotations),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
