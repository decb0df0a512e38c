/* SPDX-License-Identifier: ISC */
/*
 * mesh_keys.c - the verbs node:attest, node:recover, registry:anchor: a node's
 * own keys are replaced, and what nodes have replaced is taken into the chain.
 *
 * The recovery code is read from the terminal or standard input, never from
 * the command line, and leaves over the control socket alone.
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "claw/mesh.h"
#include "claw/out.h"
#include "claw/path.h"
#include "common/identity.h"
#include "common/recovery.h"

#define ALGO "ed25519+x25519"

/* One line, read byte by byte so that no buffer keeps it. False: there is
 * none. */
static bool
read_line(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t r;

	while (n < size - 1) {
		r = read(fd, out + n, 1);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0 || out[n] == '\n')
			break;
		n++;
	}
	out[n] = '\0';
	return n > 0;
}

static bool
ask_terminal(int tty, char *out, size_t size)
{
	static const char ask[] = "Recovery code (twelve words): ";
	struct termios before, quiet;
	bool ok;

	if (tcgetattr(tty, &before) == -1)
		return false;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(tty, TCSAFLUSH, &quiet) == -1 ||
	    write(tty, ask, sizeof(ask) - 1) < 0)
		return false;
	ok = read_line(tty, out, size);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	return write(tty, "\n", 1) == 1 && ok;
}

static int
read_code(const struct cmd *c, char *text, size_t size)
{
	uint8_t code[RECOVERY_LEN];
	unsigned int word = 0;
	bool there;
	int bad;

	there = isatty(STDIN_FILENO) ? ask_terminal(STDIN_FILENO, text, size) :
				       read_line(STDIN_FILENO, text, size);
	if (!there)
		return out_error(c, stderr, EX_NOINPUT, "InvalidError",
		    "no recovery code was given; it is read from the terminal "
		    "or standard input");
	bad = recovery_parse(text, code, &word);
	explicit_bzero(code, sizeof(code));
	if (bad == 0)
		return EX_OK;
	explicit_bzero(text, size);
	if (word == 0)
		return out_error(c, stderr, EX_DATAERR, "InvalidError",
		    "a recovery code has %d words", RECOVERY_WORDS);
	return out_error(c, stderr, EX_DATAERR, "InvalidError",
	    "word %u of the recovery code is none that there is", word);
}

int
node_attest_run(const struct cmd *c)
{
	const char *algo = cmd_value(c, FLAG_ATTEST_ALGO);
	char text[256];
	json_t *r;
	int status;

	if (cmd_value(c, FLAG_ATTEST_ROTATE) == NULL)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "node:attest does one thing: claw node:attest "
		    "--rotate-keys; whether a peer is attested says claw "
		    "node:ping");
	if (algo != NULL && strcmp(algo, ALGO) != 0)
		return out_error(c, stderr, EX_USAGE, "UsageError",
		    "--algo is " ALGO ", and there is no other");
	/* The code goes through JSON here: no core shall have it. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	status = read_code(c, text, sizeof(text));
	if (status != EX_OK)
		return status;
	r = mesh_ask(c, "node.rotate", json_pack("{s:s}", "code", text),
	    MESH_ORDER_MS, &status);
	explicit_bzero(text, sizeof(text));
	if (r == NULL)
		return status;
	if (c->json)
		return out_json(c, r);
	printf("this node's keys are replaced: rotation %lld\n"
	       "  key    %s\n"
	       "The same recovery code is for the next time.\n",
	    mesh_number(r, "ksn"), mesh_text(r, "identity"));
	json_decref(r);
	return out_finish(EX_OK);
}

/* node:recover */

/* What works on the files of keys is clawd, and keyd below it. */
int
node_recover_run(const struct cmd *c)
{
	char text[256], clawd[PATH_MAX];
	const char *argv[] = { clawd, "--recover", "-f", c->file,
#ifdef CLAW_SANITIZERS
		"--insecure-no-sandbox",
#endif
		NULL };
	int fd, status;
	bool ok;

	(void)prctl(PR_SET_DUMPABLE, 0);
	status = read_code(c, text, sizeof(text));
	if (status != EX_OK)
		return status;
	fd = memfd_create("code", MFD_CLOEXEC);
	ok = fd != -1 && dprintf(fd, "%s\n", text) > 0 &&
	    lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) != -1;
	explicit_bzero(text, sizeof(text));
	if (ok) {
		path_clawd(clawd);
		path_exec(argv, c->envp);
	}
	return out_error(c, stderr, EX_UNAVAILABLE, "UnavailableError",
	    "clawd: %s; is claw installed as a whole?", strerror(errno));
}

/* registry:anchor */

static json_t *
hash_text(const uint8_t hash[32])
{
	char text[72] = "sha256:";
	size_t i;

	for (i = 0; i < 32; i++)
		snprintf(text + 7 + 2 * i, 3, "%02x", hash[i]);
	return json_string(text);
}

/* An X25519 key is written as an Ed25519 one, under its own name. */
static json_t *
sealing_text(const uint8_t key[32])
{
	char text[IDENTITY_TEXT_SIZE], out[IDENTITY_TEXT_SIZE];

	identity_text(key, text);
	snprintf(out, sizeof(out), "x25519:%s", strchr(text, ':') + 1);
	return json_string(out);
}

static json_t *
anchor_of(const struct registry_node *n)
{
	char identity[IDENTITY_TEXT_SIZE];
	json_t *o;

	identity_text(n->identity, identity);
	o = json_pack("{s:s, s:s, s:o, s:I, s:o}", "name", n->name, "identity",
	    identity, "sealing", sealing_text(n->sealing), "ksn",
	    (json_int_t)n->ksn, "event", hash_text(n->rotation));
	if (n->has_next)
		(void)json_object_set_new(o, "next", hash_text(n->next));
	return o;
}

int
registry_anchor_run(const struct cmd *c)
{
	const struct registry_node *n;
	struct registry *r = NULL;
	json_t *operands = NULL;
	struct api_error e;
	struct conf conf;
	struct api api;
	int status;

	status = api_conf(c, &conf);
	if (status != EX_OK)
		return status;
	if (!api_open(&api, &conf, &e))
		return api_report(c, &e);
	r = mesh_registry(c, &api, &conf, &status);
	api_close(&api);
	if (r == NULL)
		return status;
	n = registry_node(r, c->operands[0]);
	if (n == NULL || n->revoked)
		status = out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s: no node of that name is in force", c->operands[0]);
	else if (n->suspended)
		status = out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s has made two rotations with one number: it is "
		    "suspended; revoke it and add it with new keys, or propose "
		    "a node-anchor of the one that is its own",
		    n->name);
	else if (n->ksn == n->anchored_ksn)
		status = out_error(c, stderr, EX_DATAERR, "RegistryError",
		    "%s has made no rotation that is not in the chain",
		    n->name);
	else
		operands = anchor_of(n);
	registry_free(r);
	return operands != NULL ? mesh_order(c, "node-anchor", operands) :
				  status;
}
