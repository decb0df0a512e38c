/* SPDX-License-Identifier: ISC */
/*
 * mesh_clock.c - the verb about time: clock:reset.
 */
#include <stdio.h>
#include <sysexits.h>

#include "claw/mesh.h"
#include "claw/out.h"

int
clock_reset_run(const struct cmd *c)
{
	char now[MESH_TIME_SIZE], before[MESH_TIME_SIZE];
	json_t *r;
	int status;

	r = mesh_ask(c, "clock.reset", NULL, MESH_ORDER_MS, &status);
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	printf("the node goes by this machine's clock: %s, and not %s as "
	       "before\n",
	    mesh_time((uint64_t)mesh_number(r, "now"), now),
	    mesh_time((uint64_t)mesh_number(r, "before"), before));
	json_decref(r);
	return out_finish(EX_OK);
}
