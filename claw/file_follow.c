/* SPDX-License-Identifier: ISC */
/*
 * file_follow.c - how a transfer goes, as sftd tells it line by line.
 *
 * With --json the lines are passed on as they are (claw-file(1) has their
 * schema). On a terminal one line is drawn over and over; elsewhere only what
 * happens is said, not how far it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/file.h"
#include "claw/mesh.h"
#include "claw/out.h"
#include "common/utf8.h"

/* sftd says something at least every second. */
#define SILENCE_MS 60000
#define BAR 10

struct view {
	const struct cmd *c;
	bool terminal;
	bool drawn; /* a line stands there and is drawn over */
};

/* Exit statuses of claw-file(1), by the name of an error. */
static const struct {
	const char *name;
	int status;
} statuses[] = {
	{ "denied", EX_NOPERM },
	{ "too-large", EX_NOPERM },
	{ "no-space", EX_CANTCREAT },
	{ "bad-name", EX_DATAERR },
	{ "exists", EX_CANTCREAT },
	{ "source-changed", EX_DATAERR },
	{ "hash-mismatch", EX_DATAERR },
	{ "protocol", EX_PROTOCOL },
	{ "io", EX_IOERR },
	{ "cancelled", EXIT_NEGATIVE },
	{ "paused", EX_TEMPFAIL },
	{ "stopping", EX_TEMPFAIL },
	{ "busy", EX_TEMPFAIL },
	{ "attestation", EX_NOPERM },
	{ "timeout", EX_TEMPFAIL },
	{ "epoch", EX_TEMPFAIL },
	{ "unreachable", EX_UNAVAILABLE },
};

static int
status_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strcmp(statuses[i].name, name) == 0)
			return statuses[i].status;
	return EXIT_NEGATIVE;
}

/* Controls, and what turns the direction of writing around. */
static bool
is_plain(uint32_t cp)
{
	return cp >= 0x20 && cp != '\\' && (cp < 0x7f || cp > 0x9f) &&
	    (cp < 0x202a || cp > 0x202e) && (cp < 0x2066 || cp > 0x2069);
}

const char *
file_shown(const char *text, char *out, size_t size)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text), n = 0, take;
	uint32_t cp;

	out[0] = '\0';
	for (; left > 0 && n + 5 < size; p += take, left -= take) {
		take = utf8_next(p, left, &cp);
		if (take > 0 && is_plain(cp)) {
			memcpy(out + n, p, take);
			n += take;
			out[n] = '\0';
		} else {
			take = 1;
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", *p);
		}
	}
	return out;
}

const char *
file_size_text(uint64_t bytes, char out[FILE_SIZE_TEXT])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB",
		"PB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 999.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1000;
		u++;
	}
	snprintf(out, FILE_SIZE_TEXT,
	    u == 0 || v >= 99.95 ? "%.0f %s" :
		v >= 9.995	 ? "%.1f %s" :
				   "%.2f %s",
	    v, units[u]);
	return out;
}

static void
clear(struct view *v)
{
	if (v->drawn)
		fputs("\r\033[K", stdout);
	v->drawn = false;
}

static void
draw(struct view *v, const json_t *e)
{
	char durable[FILE_SIZE_TEXT], size[FILE_SIZE_TEXT],
	    rate[FILE_SIZE_TEXT];
	uint64_t d = (uint64_t)mesh_number(e, "durable");
	uint64_t s = (uint64_t)mesh_number(e, "size");
	uint64_t r = (uint64_t)mesh_number(e, "rate"), eta;
	const char *limit = mesh_text(e, "limit");
	unsigned int i, full = s == 0 ? BAR : (unsigned int)(d * BAR / s);

	if (!v->terminal)
		return;
	clear(v);
	for (i = 0; i < BAR; i++)
		fputs(i < full ? "#" : ".", stdout);
	printf(" %3u%%  %s of %s durable  %s/s",
	    s == 0 ? 100 : (unsigned int)(d * 100 / s),
	    file_size_text(d, durable), file_size_text(s, size),
	    file_size_text(r, rate));
	if (r > 0 && d < s) {
		eta = (s - d) / r;
		printf("  %llu:%02llu left", (unsigned long long)eta / 60,
		    (unsigned long long)eta % 60);
	}
	if (limit[0] != '\0' && limit[0] != '?')
		printf("  limited by the %s", limit);
	fflush(stdout);
	v->drawn = true;
}

/* What happened, for people. */
static void
say(struct view *v, const char *what, const json_t *e)
{
	char a[FILE_SIZE_TEXT], shown[4096];

	clear(v);
	if (strcmp(what, "attested") == 0)
		printf("%s at %s is attested, registry at update %lld\n",
		    mesh_text(e, "peer"), mesh_text(e, "address"),
		    mesh_number(e, "seq"));
	else if (strcmp(what, "accepted") == 0 && mesh_true(e, "resumed"))
		printf("resumes transfer %s: %s are there already\n",
		    mesh_text(e, "id"),
		    file_size_text((uint64_t)mesh_number(e, "have"), a));
	else if (strcmp(what, "accepted") == 0)
		printf("transfer %s\n", mesh_text(e, "id"));
	else if (strcmp(what, "dry-run") == 0)
		printf("it would be taken\n");
	else if (strcmp(what, "again") == 0)
		printf("chunk %lld is sent again: %s\n",
		    mesh_number(e, "chunk"),
		    file_shown(mesh_text(e, "text"), shown, sizeof(shown)));
	else if (strcmp(what, "receipt") == 0)
		printf("done in %.1f s  blake3:%s  receipt %s, signed by %s\n",
		    (double)mesh_number(e, "ms") / 1000, mesh_text(e, "blake3"),
		    mesh_text(e, "id"), mesh_text(e, "peer"));
}

/* One line: whether it was the last, with the exit status. */
static bool
take(struct view *v, const json_t *e, int *status)
{
	const char *what = mesh_text(e, "event");
	bool error = strcmp(what, "error") == 0;
	char shown[4096];

	if (v->c->json) {
		(void)json_dumpf(e, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
	} else if (strcmp(what, "progress") == 0)
		draw(v, e);
	else if (!error)
		say(v, what, e);
	if (error) {
		*status = status_of(mesh_text(e, "name"));
		clear(v);
		if (!v->c->json)
			(void)out_error(v->c, stderr, *status, "TransferError",
			    "%s",
			    file_shown(mesh_text(e, "text"), shown,
				sizeof(shown)));
		return true;
	}
	if (strcmp(what, "receipt") != 0 && strcmp(what, "detached") != 0 &&
	    strcmp(what, "dry-run") != 0)
		return false;
	*status = EX_OK;
	return true;
}

int
file_follow(const struct cmd *c, struct api *api)
{
	struct view v = { .c = c,
		.terminal = !c->json && isatty(STDOUT_FILENO) == 1 };
	struct api_error e;
	int status = EX_OK;
	json_t *event;
	bool over = false;

	while (!over) {
		event = api_next(api, SILENCE_MS, &e);
		if (event == NULL) {
			clear(&v);
			snprintf(e.text, sizeof(e.text), "%s",
			    "sftd says no more: the transfer has stopped and "
			    "goes on when the same command is given again");
			e.status = EX_TEMPFAIL;
			return api_report(c, &e);
		}
		over = take(&v, event, &status);
		json_decref(event);
	}
	return out_finish(status);
}
