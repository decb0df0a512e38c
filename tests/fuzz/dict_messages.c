/* SPDX-License-Identifier: ISC */
/*
 * dict_messages.c - fuzzers' dictionary and first inputs, from the schema.
 *
 *	dict_messages                 a libFuzzer dictionary
 *	dict_messages seed PROCESS    steps of ipc.h: each message that a
 *	                              sibling may say to it, well formed
 */
#include <stdio.h>
#include <string.h>

#include "common/auditrec.h"
#include "common/msg.h"

static void
dictionary(void)
{
	const struct msg_rule *r;
	unsigned int a;
	size_t i, n;

	r = msg_rules(&n);
	for (i = 0; i < n; i++)
		printf("%s=\"\\x%02x\\x%02x\"\n", r[i].name, r[i].type >> 8,
		    r[i].type & 0xff);
	for (a = 0; a < 256; a++)
		if (audit_attr_def(a) != NULL)
			printf("attr_%s=\"\\x%02x\"\n", audit_attr_def(a)->name,
			    a);
	printf("shard=\"\\x00\\x072026-11\"\n");
	printf("part=\"\\x00\\x092026-11.1\"\n");
}

/* The shortest body that is one; all of it zeros. */
static size_t
body_len(const struct msg_rule *r)
{
	static const uint8_t zero[MSG_MAX_LEN];
	size_t len;

	for (len = 0; len < sizeof(zero); len++)
		if (msg_body_valid(r, zero, len))
			break;
	return len;
}

static void
seed(enum proc p)
{
	const struct msg_rule *r;
	size_t i, n, k, len;
	int step, last = p == PROC_CLAWD ? PROC_MAX : 3;

	r = msg_rules(&n);
	if (p == PROC_CLAWD)
		putchar(5);
	for (i = 0; i < n; i++)
		for (step = 0;
		     step < last && (r[i].receivers & PROC_BIT(p)) != 0 &&
		     (r[i].senders & ~PROC_BIT(PROC_CLAWD)) != 0;
		     step++) {
			len = body_len(&r[i]);
			putchar(step << 3);
			putchar(r[i].type >> 8);
			putchar(r[i].type & 0xff);
			putchar(r[i].reply != MSG_NONE	  ? 0 :
				r[i].limit == LIMIT_REPLY ? 5 :
							    3);
			putchar(255);
			putchar((int)(len >> 8));
			putchar((int)(len & 0xff));
			for (k = 0; k < len; k++)
				putchar(0);
			putchar(step << 3 | 6);
			putchar(step << 3 | 7);
		}
}

int
main(int argc, char *argv[])
{
	if (argc == 1)
		dictionary();
	else if (argc == 3 && strcmp(argv[1], "seed") == 0 &&
	    proc_by_name(argv[2]) != PROC_MAX)
		seed(proc_by_name(argv[2]));
	else {
		fprintf(stderr, "usage: dict_messages [seed PROCESS]\n");
		return 64;
	}
	return 0;
}
