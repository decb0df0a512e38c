/* SPDX-License-Identifier: ISC */
/*
 * api.h - claw's side of the control socket (claw-api(7)), and the node's
 * configuration as a client needs it.
 */
#ifndef CLAW_CLAW_API_H
#define CLAW_CLAW_API_H

#include <stdbool.h>

#include <jansson.h>

#include "claw/cmd.h"
#include "common/conf.h"

struct api {
	int fd;
	unsigned int next_id;
	char *buf; /* what came in and is no whole line yet */
	size_t len;
};

struct api_error {
	int status; /* exit status that fits */
	char name[32];
	bool retryable;
	char text[768];
};

/*
 * Reads the configuration that -f or the default names. 0, or the exit status
 * after saying on stderr what is wrong.
 */
int api_conf(const struct cmd *c, struct conf *conf);

/* Connects, and shows the cookie where there is one. False with *e filled. */
bool api_open(struct api *api, const struct conf *conf, struct api_error *e);
void api_close(struct api *api);

/*
 * One request and its answer; takes params over (NULL: none). The result,
 * which is the caller's, or NULL with *e filled. Waits timeout_ms at most.
 */
json_t *api_call(struct api *api, const char *method, json_t *params,
    int timeout_ms, struct api_error *e);

/*
 * The next line of a connection that tells how something goes; NULL with *e
 * filled when none comes within timeout_ms or the connection has ended.
 */
json_t *api_next(struct api *api, int timeout_ms, struct api_error *e);

/* Connects, asks once, closes. */
json_t *api_ask(const struct conf *conf, const char *method, json_t *params,
    int timeout_ms, struct api_error *e);

/* Says the error on stderr; its exit status. */
int api_report(const struct cmd *c, const struct api_error *e);

#endif
