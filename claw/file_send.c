/* SPDX-License-Identifier: ISC */
/*
 * file_send.c - file:send.
 *
 * The source is opened here, by who typed the command and with his rights; its
 * descriptor goes through the control socket to sftd and to the one worker
 * that reads it. No daemon opens a user's file by its name.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "claw/api.h"
#include "claw/file.h"
#include "claw/mesh.h"
#include "claw/out.h"

#define MIB (UINT64_C(1) << 20)
#define CHUNK_MIN MIB
#define CHUNK_MAX (32 * MIB)
#define STREAMS_MAX 8
#define RATE_MIN 1024
#define NAME_MAX_BYTES 1024

/* What the flags say. */
struct wanted {
	const char *peer;
	const char *source; /* the first, of perhaps several */
	const char *sources[CMD_GIVEN_MAX];
	size_t n_sources;
	bool tree;
	char name[NAME_MAX_BYTES + 1];
	uint64_t chunk, rate;
	uint64_t streams;   /* 0: auto */
	bool as_configured; /* and not these */
};

static uint64_t
nearest_chunk(uint64_t size)
{
	uint64_t n = CHUNK_MIN;

	while (n < CHUNK_MAX && n < size && size - n > n / 2)
		n *= 2;
	return n;
}

static int
take_chunk(const struct cmd *c, struct wanted *w)
{
	const char *text = cmd_value(c, FLAG_SEND_CHUNK_SIZE);
	uint64_t size;

	if (text == NULL)
		return EX_OK;
	if (!file_size(text, &size))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--chunk-size %s: that is no size; 8M, for example", text);
	if (size < CHUNK_MIN || size > CHUNK_MAX || (size & (size - 1)) != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--chunk-size %s: chunks are 1M, 2M, 4M, 8M, 16M or 32M; "
		    "the nearest is %uM",
		    text, (unsigned int)(nearest_chunk(size) / MIB));
	w->chunk = size;
	return EX_OK;
}

static int
take_ways(const struct cmd *c, struct wanted *w)
{
	const char *streams = cmd_value(c, FLAG_SEND_STREAMS);
	const char *limit = cmd_value(c, FLAG_SEND_LIMIT);
	const char *compress = cmd_value(c, FLAG_SEND_COMPRESS);
	char *end;

	w->as_configured = streams == NULL;
	if (streams != NULL && strcmp(streams, "auto") != 0) {
		w->streams = strtoul(streams, &end, 10);
		if (*end != '\0' || end == streams || w->streams < 1 ||
		    w->streams > STREAMS_MAX)
			return out_error(c, stderr, EX_USAGE, "UsageError",
			    "--streams %s: auto, or a number from 1 to %d",
			    streams, STREAMS_MAX);
	}
	if (compress != NULL && strcmp(compress, "auto") != 0 &&
	    strcmp(compress, "never") != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--compress %s: auto, where it is faster, or never",
		    compress);
	if (limit != NULL && (!file_size(limit, &w->rate) || w->rate == 0))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--limit %s: that is no rate; 20MB/s, for example", limit);
	/* Slower than this, and the receiver takes it for silence. */
	if (limit != NULL && w->rate < RATE_MIN)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--limit %s: at least 1K, a kibibyte a second", limit);
	return EX_OK;
}

/* What has one value only says so; it is there to be written down. */
static int
take_promises(const struct cmd *c)
{
	const char *enc = cmd_value(c, FLAG_SEND_ENC);
	const char *attest = cmd_value(c, FLAG_SEND_ATTEST);

	if (enc != NULL && strcmp(enc, "tls13") != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--enc %s: files go by tls13 and by nothing else", enc);
	if (attest != NULL && strcmp(attest, "strict") != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--attest %s: both ends are always attested; strict is "
		    "what there is",
		    attest);
	return EX_OK;
}

static int
take_name(const struct cmd *c, struct wanted *w)
{
	const char *name = cmd_value(c, FLAG_SEND_NAME);
	enum sftname_verdict verdict;
	char *copy, shown[FILE_SHOWN_SIZE];
	size_t n;

	if (name == NULL && w->n_sources > 1)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "several sources become one folder: --name says what it "
		    "is called");
	if (name == NULL && strcmp(w->source, "-") == 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "what comes from standard input needs a --name");
	copy = strdup(name != NULL ? name : w->source);
	if (copy == NULL)
		return out_error(c, stderr, EX_OSERR, "FailedError",
		    "out of memory");
	n = (size_t)snprintf(w->name, sizeof(w->name), "%s",
	    name != NULL ? copy : basename(copy));
	free(copy);
	if (n == 0 || n >= sizeof(w->name))
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "a name has 1 to %d bytes", NAME_MAX_BYTES);
	if (strcmp(w->name, ".") == 0 || strcmp(w->name, "..") == 0 ||
	    strcmp(w->name, "/") == 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "%s has no name of its own: --name says what it is called",
		    w->source);
	verdict = sftname_check((const uint8_t *)w->name, n);
	if (verdict != SFTNAME_OK)
		return out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "%s: %s; --name gives it another one",
		    file_shown(w->name, shown), sftname_why(verdict));
	return EX_OK;
}

static int
take_flags(const struct cmd *c, struct wanted *w)
{
	int status;

	w->peer = cmd_value(c, FLAG_SEND_TARGET);
	w->n_sources =
	    cmd_values(c, FLAG_SEND_SOURCE, w->sources, CMD_GIVEN_MAX);
	w->source = w->n_sources > 0 ? w->sources[0] : NULL;
	if (w->peer == NULL || w->source == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "file:send wants --target-node NAME and --source FILE");
	status = take_chunk(c, w);
	if (status == EX_OK)
		status = take_ways(c, w);
	if (status == EX_OK)
		status = take_promises(c);
	return status == EX_OK ? take_name(c, w) : status;
}

int
file_spool(const struct cmd *c, const char *what)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	fd = open(dir != NULL && dir[0] != '\0' ? dir : "/var/tmp",
	    O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1)
		return -out_error(c, stderr, EX_CANTCREAT, "FailedError",
		    "no room for %s: %s; TMPDIR says where", what,
		    strerror(errno));
	return fd;
}

/* Standard input is kept in a file without a name first: what is sent must be
 * there to be read again. */
static int
spool(const struct cmd *c)
{
	static char buf[1 << 18];
	ssize_t n, done, m = 0;
	int fd;

	fd = file_spool(c, "what comes from standard input");
	if (fd < 0)
		return fd;
	while (m != -1 && (n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		for (done = 0; done < n && m != -1; done += m)
			m = write(fd, buf + done, (size_t)(n - done));
	if (n == -1 || m == -1) {
		n = errno;
		close(fd);
		return -out_error(c, stderr, EX_IOERR, "FailedError",
		    "standard input could not be kept: %s", strerror((int)n));
	}
	return fd;
}

/* A folder, or several sources, as one file. */
static int
open_tree(const struct cmd *c, struct wanted *w)
{
	bool links = cmd_value(c, FLAG_SEND_SYMLINKS) != NULL;
	struct file_tree t = { .links = links };
	int fd;

	if (cmd_value(c, FLAG_SEND_REPLACE) != NULL)
		return -out_error(c, stderr, EX_USAGE, "UsageError",
		    "--replace: a folder replaces nothing");
	w->tree = true;
	fd = file_tree(c, w->sources, w->n_sources, &t);
	if (fd >= 0 && !c->json && t.links_left > 0)
		fprintf(stderr, "claw: left out: %zu symbolic link%s%s\n",
		    t.links_left, t.links_left == 1 ? "" : "s",
		    links ? ", which would lead out of the folder" :
			    "; --symlinks sends them");
	return fd;
}

/* A descriptor, or minus the exit status. */
static int
open_source(const struct cmd *c, struct wanted *w)
{
	const char *path = w->source;
	struct stat st;
	int fd, r;

	if (w->n_sources > 1)
		return open_tree(c, w);
	if (strcmp(path, "-") == 0)
		return spool(c);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &st) == -1) {
		r = out_error(c, stderr, EX_NOINPUT, "FailedError", "%s: %s",
		    path, strerror(errno));
		if (fd != -1)
			close(fd);
		return -r;
	}
	if (S_ISREG(st.st_mode))
		return fd;
	close(fd);
	if (S_ISDIR(st.st_mode))
		return open_tree(c, w);
	return -out_error(c, stderr, EX_NOINPUT, "FailedError",
	    "%s is no regular file: only files and folders are sent", path);
}

bool
file_bring(int socket, int source)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char what = 'S';
	struct iovec iov = { &what, 1 };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &source, sizeof(int));
	return sendmsg(socket, &mh, MSG_NOSIGNAL) == 1;
}

static json_t *
params(const struct cmd *c, const struct wanted *w)
{
	const char *compress = cmd_value(c, FLAG_SEND_COMPRESS);
	json_t *p = json_pack("{s:s, s:s}", "peer", w->peer, "name", w->name);

	if (p == NULL)
		return NULL;
	if (w->chunk > 0)
		(void)json_object_set_new(p, "chunk_size",
		    json_integer((json_int_t)w->chunk));
	if (!w->as_configured)
		(void)json_object_set_new(p, "streams",
		    json_integer((json_int_t)w->streams));
	if (w->rate > 0)
		(void)json_object_set_new(p, "rate",
		    json_integer((json_int_t)w->rate));
	if (compress != NULL)
		(void)json_object_set_new(p, "compress", json_string(compress));
	if (w->tree)
		(void)json_object_set_new(p, "tree", json_true());
	if (cmd_value(c, FLAG_SEND_REPLACE) != NULL)
		(void)json_object_set_new(p, "replace", json_true());
	if (cmd_value(c, FLAG_SEND_DETACH) != NULL)
		(void)json_object_set_new(p, "detach", json_true());
	if (cmd_value(c, FLAG_SEND_DRY_RUN) != NULL)
		(void)json_object_set_new(p, "dry_run", json_true());
	return p;
}

static int
send_one(const struct cmd *c, const struct wanted *w, int source)
{
	struct api_error e;
	struct conf conf;
	struct api api;
	json_t *r;
	int status;

	status = api_conf(c, &conf);
	if (status != EX_OK)
		return status;
	if (!api_open(&api, &conf, &e))
		return api_report(c, &e);
	r = api_call(&api, "file.send", params(c, w), MESH_ASK_MS, &e);
	if (r == NULL)
		status = api_report(c, &e);
	else if (!file_bring(api.fd, source))
		status =
		    out_error(c, stderr, EX_UNAVAILABLE, "UnavailableError",
			"the node has let go of the connection: %s",
			strerror(errno));
	else
		status = file_follow(c, &api);
	json_decref(r);
	api_close(&api);
	return status;
}

int
file_send_run(const struct cmd *c)
{
	struct wanted w = { .peer = NULL };
	int status, source;

	status = take_flags(c, &w);
	if (status != EX_OK)
		return status;
	source = open_source(c, &w);
	if (source < 0)
		return -source;
	status = send_one(c, &w, source);
	close(source);
	return status;
}
