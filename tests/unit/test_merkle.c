/* SPDX-License-Identifier: ISC */
/*
 * test_merkle.c - RFC 6962's tree: known roots, and every proof of every small
 * tree verifies while no changed one does.
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

#include "common/merkle.h"

#define N 70

static merkle_hash leaf[N];
static merkle_hash root[N + 1]; /* root[n] of the first n leaves */

static int
setup(void **state)
{
	struct merkle m;
	size_t i;
	char text[16];

	(void)state;
	merkle_init(&m);
	merkle_root(&m, root[0]);
	for (i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "leaf %zu", i);
		merkle_leaf(text, strlen(text), leaf[i]);
		merkle_append(&m, leaf[i]);
		merkle_root(&m, root[i + 1]);
	}
	return 0;
}

#define LEAVES ((const merkle_hash *)leaf)

static void
hex(const uint8_t *p, char out[65])
{
	size_t i;

	for (i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
}

/* The eight leaves of the Certificate Transparency reference tests. */
static void
test_known_roots(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *root;
	} v[] = {
		{ "", 0,
		    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617"
		    "afa01d" },
		{ "\x00", 1,
		    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d9866"
		    "2f00e3c125" },
		{ "\x10", 1,
		    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158"
		    "f329e06e77" },
		{ "\x20\x21", 2,
		    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b"
		    "30cd95209614b7" },
		{ "\x30\x31", 2,
		    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bf"
		    "ce4c13a86264d4" },
		{ "\x40\x41\x42\x43", 4,
		    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbc"
		    "e75277b5232a127f2087ef" },
		{ "\x50\x51\x52\x53\x54\x55\x56\x57", 8,
		    "ddb89be403809e325750d3d263"
		    "cd78929c2942b7942a34b77e122c9594a74c8c" },
		{ "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
		    16,
		    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4"
		    "604328" }
	};
	struct merkle m;
	merkle_hash h;
	char text[65];
	size_t i;

	(void)state;
	merkle_init(&m);
	merkle_root(&m, h);
	hex(h, text);
	assert_string_equal(text,
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649"
	    "b934ca495991b7852b855");
	for (i = 0; i < 8; i++) {
		merkle_leaf(v[i].data, v[i].len, h);
		merkle_append(&m, h);
		merkle_root(&m, h);
		hex(h, text);
		assert_string_equal(text, v[i].root);
	}
}

static void
test_inclusion(void **state)
{
	merkle_hash p[MERKLE_PROOF_MAX];
	uint64_t n, i;
	int c, k;

	(void)state;
	for (n = 1; n <= N; n++)
		for (i = 0; i < n; i++) {
			c = merkle_prove_inclusion(LEAVES, n, i, p);
			assert_true(c >= 0);
#define INCL(i, n, l, c, r)                                                    \
	merkle_verify_inclusion((i), (n), (l), (const merkle_hash *)p,         \
	    (size_t)(c), (r))
			assert_int_equal(INCL(i, n, leaf[i], c, root[n]), 0);
			assert_int_not_equal(
			    INCL(i, n, leaf[(i + 1) % N], c, root[n]), 0);
			assert_int_not_equal(
			    INCL(i, n, leaf[i], c, root[n - 1]), 0);
			if (c > 0)
				assert_int_not_equal(
				    INCL(i, n, leaf[i], c - 1, root[n]), 0);
			assert_int_not_equal(
			    INCL(i, n, leaf[i], c + 1, root[n]), 0);
			for (k = 0; k < c; k++) {
				p[k][5] ^= 1;
				assert_int_not_equal(
				    INCL(i, n, leaf[i], c, root[n]), 0);
				p[k][5] ^= 1;
			}
		}
	assert_int_equal(merkle_prove_inclusion(LEAVES, 5, 5, p), -EINVAL);
	assert_int_equal(INCL(0, 1, leaf[0], 65, root[1]), -EBADMSG);
	assert_int_equal(INCL(0, 0, leaf[0], 0, root[0]), -EBADMSG);
}

#define CONS(m, rm, n, rn, c)                                                  \
	merkle_verify_consistency((m), (rm), (n), (rn),                        \
	    (const merkle_hash *)p, (size_t)(c))

static void
test_consistency(void **state)
{
	merkle_hash p[MERKLE_PROOF_MAX], q[MERKLE_PROOF_MAX];
	struct merkle old;
	uint64_t m, n;
	int c, k;

	(void)state;
	merkle_init(&old);
	for (m = 0; m <= N; m++) {
		for (n = m; n <= N; n++) {
			c = merkle_prove_consistency(LEAVES, m, n, p);
			assert_true(c >= 0);
			assert_int_equal(CONS(m, root[m], n, root[n], c), 0);
			/* The same from the frontier alone. */
			assert_int_equal(merkle_prove_consistency_from(&old,
					     LEAVES + m, n - m, q),
			    c);
			assert_memory_equal(p, q, (size_t)c * 32);
			if (m == n || m == 0)
				continue;
			assert_int_not_equal(CONS(m, root[n], n, root[n], c),
			    0);
			assert_int_not_equal(CONS(m, root[m], n, root[m], c),
			    0);
			assert_int_not_equal(
			    CONS(m, root[m], n, root[n], c - 1), 0);
			assert_int_not_equal(
			    CONS(m, root[m], n, root[n], c + 1), 0);
			for (k = 0; k < c; k++) {
				p[k][31] ^= 0x80;
				assert_int_not_equal(
				    CONS(m, root[m], n, root[n], c), 0);
				p[k][31] ^= 0x80;
			}
		}
		if (m < N)
			merkle_append(&old, leaf[m]);
	}
	assert_int_equal(CONS(5, root[5], 4, root[4], 0), -EBADMSG);
	assert_int_equal(CONS(5, root[5], 6, root[6], 65), -EBADMSG);
	assert_int_equal(CONS(0, root[1], 6, root[6], 0), -EBADMSG);
	assert_int_equal(merkle_prove_consistency(LEAVES, 5, 4, p), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_roots),
		cmocka_unit_test(test_inclusion),
		cmocka_unit_test(test_consistency),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
