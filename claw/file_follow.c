/* SPDX-License-Identifier: ISC */
/*
 * file_follow.c - how a transfer goes, as sftd tells it line by line.
 *
 * With --json the lines are passed on as they are (claw-file(1) has their
 * schema). On a terminal one line is drawn over and over; elsewhere only what
 * happens is said, not how far it is.
 *
 * The lines come from sftd itself, past controld and its gate: no text of them
 * reaches a terminal but as file_shown() leaves it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/file.h"
#include "claw/mesh.h"
#include "claw/out.h"
#include "common/sftframe.h"
#include "common/sftname.h"

/* sftd says something at least every second. */
#define SILENCE_MS 60000
#define BAR 10

struct view {
	const struct cmd *c;
	bool terminal;
	bool drawn; /* a line stands there and is drawn over */
};

/* Exit statuses of claw-file(1), by the code of an error. */
static int
status_of(long long code)
{
	static const int statuses[] = {
		[SFT_DENIED] = EX_NOPERM,
		[SFT_TOO_LARGE] = EX_NOPERM,
		[SFT_NO_SPACE] = EX_CANTCREAT,
		[SFT_BAD_NAME] = EX_DATAERR,
		[SFT_EXISTS] = EX_CANTCREAT,
		[SFT_SOURCE_CHANGED] = EX_DATAERR,
		[SFT_HASH_MISMATCH] = EX_DATAERR,
		[SFT_PROTOCOL] = EX_PROTOCOL,
		[SFT_IO] = EX_IOERR,
		[SFT_CANCELLED] = EXIT_NEGATIVE,
		[SFT_PAUSED] = EX_TEMPFAIL,
		[SFT_STOPPING] = EX_TEMPFAIL,
		[SFT_BUSY] = EX_TEMPFAIL,
		[SFT_ATTESTATION] = EX_NOPERM,
		[SFT_TIMEOUT] = EX_TEMPFAIL,
		[SFT_EPOCH] = EX_TEMPFAIL,
	};

	if (code <= 0 ||
	    code >= (long long)(sizeof(statuses) / sizeof(statuses[0])))
		return EX_UNAVAILABLE;
	return statuses[code];
}

const char *
file_shown(const char *text, char out[FILE_SHOWN_SIZE])
{
	(void)sftname_show((const uint8_t *)text, strlen(text), out,
	    FILE_SHOWN_SIZE);
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

static const char *
shown(const json_t *e, const char *name, char out[FILE_SHOWN_SIZE])
{
	return file_shown(mesh_text(e, name), out);
}

static void
clear(struct view *v)
{
	if (v->drawn)
		fputs("\r\033[K", stdout);
	v->drawn = false;
}

static uint64_t
amount(const json_t *e, const char *name)
{
	long long n = mesh_number(e, name);

	return n < 0 ? 0 : (uint64_t)n;
}

static void
draw(struct view *v, const json_t *e)
{
	char durable[FILE_SIZE_TEXT], size[FILE_SIZE_TEXT],
	    rate[FILE_SIZE_TEXT], limit[FILE_SHOWN_SIZE];
	uint64_t s = amount(e, "size"), r = amount(e, "rate"), eta;
	uint64_t d = amount(e, "durable") < s ? amount(e, "durable") : s;
	double part = s == 0 ? 1 : (double)d / (double)s;
	unsigned int i, full = (unsigned int)(part * BAR);

	if (!v->terminal)
		return;
	clear(v);
	for (i = 0; i < BAR; i++)
		fputs(i < full ? "#" : ".", stdout);
	printf(" %3u%%  %s of %s durable  %s/s", (unsigned int)(part * 100),
	    file_size_text(d, durable), file_size_text(s, size),
	    file_size_text(r, rate));
	if (r > 0 && d < s) {
		eta = (s - d) / r;
		printf("  %llu:%02llu left", (unsigned long long)eta / 60,
		    (unsigned long long)eta % 60);
	}
	if (shown(e, "limit", limit)[0] != '\0' && limit[0] != '?')
		printf("  limited by the %s", limit);
	fflush(stdout);
	v->drawn = true;
}

/* What of it did not go over the network, or went as less. */
static void
say_saved(const json_t *e)
{
	char wire[FILE_SIZE_TEXT], size[FILE_SIZE_TEXT], same[FILE_SIZE_TEXT];
	uint64_t all = amount(e, "size"), sent = amount(e, "wire_bytes");

	if (sent < all / 10 * 9)
		printf("%s of %s went over the network",
		    file_size_text(sent, wire), file_size_text(all, size));
	else if (amount(e, "same_bytes") == 0)
		return;
	if (amount(e, "same_bytes") > 0)
		printf("%s%s were there of an earlier file",
		    sent < all / 10 * 9 ? "; " : "",
		    file_size_text(amount(e, "same_bytes"), same));
	putchar('\n');
}

/* What happened, for people. */
static void
say(struct view *v, const char *what, const json_t *e)
{
	char size[FILE_SIZE_TEXT], a[FILE_SHOWN_SIZE], b[FILE_SHOWN_SIZE],
	    c[FILE_SHOWN_SIZE], d[FILE_SHOWN_SIZE];

	clear(v);
	if (strcmp(what, "attested") == 0)
		printf("%s at %s is attested, registry at update %lld\n",
		    shown(e, "peer", a), shown(e, "address", b),
		    mesh_number(e, "registry"));
	else if (strcmp(what, "dry-run") == 0)
		printf("it would be taken\n");
	else if (strcmp(what, "detached") == 0)
		printf("it goes on without you: claw file:show %s\n",
		    mesh_text(e, "id"));
	else if (strcmp(what, "accepted") == 0 && mesh_true(e, "resumed"))
		printf("resumes transfer %s: %s are there already\n",
		    shown(e, "id", a), file_size_text(amount(e, "have"), size));
	else if (strcmp(what, "accepted") == 0)
		printf("transfer %s\n", shown(e, "id", a));
	else if (strcmp(what, "again") == 0)
		printf("a hash was wrong or a stream was lost: %lld chunks are "
		       "sent again\n",
		    mesh_number(e, "chunks"));
	else if (strcmp(what, "retry") == 0)
		printf("interrupted, tried again in %.1f s: %s\n",
		    (double)mesh_number(e, "in_ms") / 1000,
		    shown(e, "text", a));
	else if (strcmp(what, "receipt") == 0) {
		say_saved(e);
		printf("done in %.1f s by %lld stream%s (%s)  blake3:%s  "
		       "receipt %s, signed by %s\n",
		    (double)mesh_number(e, "ms") / 1000,
		    mesh_number(e, "streams"),
		    mesh_number(e, "streams") == 1 ? "" : "s",
		    shown(e, "congestion", d), shown(e, "blake3", a),
		    shown(e, "id", b), shown(e, "peer", c));
	}
}

/* One line: whether it was the last, with the exit status. */
static bool
take(struct view *v, const json_t *e, int *status)
{
	const char *what = mesh_text(e, "event");
	bool error = strcmp(what, "error") == 0;
	char text[FILE_SHOWN_SIZE], hint[FILE_SHOWN_SIZE];

	if (v->c->json) {
		(void)json_dumpf(e, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
	} else if (strcmp(what, "progress") == 0)
		draw(v, e);
	else if (!error)
		say(v, what, e);
	if (error) {
		*status = status_of(mesh_number(e, "code"));
		if (*status == EX_IOERR && !mesh_true(e, "reached"))
			*status = EX_UNAVAILABLE;
		clear(v);
		if (!v->c->json)
			(void)out_error(v->c, stderr, *status, "TransferError",
			    "%s%s%s", shown(e, "text", text),
			    mesh_text(e, "hint")[0] != '\0' ? "; " : "",
			    shown(e, "hint", hint));
		return true;
	}
	*status = EX_OK;
	return strcmp(what, "receipt") == 0 || strcmp(what, "detached") == 0 ||
	    strcmp(what, "dry-run") == 0;
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
