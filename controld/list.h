/* SPDX-License-Identifier: ISC */
/*
 * list.h - what a sibling has several of, asked for one by one.
 */
#ifndef CLAW_CONTROLD_LIST_H
#define CLAW_CONTROLD_LIST_H

#include "common/msg.h"
#include "controld/pass.h"

struct list_of {
	enum proc who;
	uint16_t type;	    /* of the request */
	const char *member; /* of the answer */
	uint32_t most;
	/* Asks for the one of that index. */
	void (*ask)(struct chan *c, uint32_t id, uint32_t index);
	/* What came: how many there are by now; the one, while index < that. */
	uint32_t (*read)(struct msg *m, json_t **one);
};

/* Answers with all there are. They come and go meanwhile. */
void list_answer(struct request *r, const struct list_of *of);

#endif
