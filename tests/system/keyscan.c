/* SPDX-License-Identifier: ISC */
/*
 * keyscan.c - looks for a node's private keys where they must not be.
 *
 *	keyscan DATA PID|FILE...
 *		the memory of these processes, the contents of these files
 *	keyscan -x CODE TICKET DATA PID|FILE...
 *		the same, and also for the recovery code, the next identity
 *		key that it opens, the ticket's secret and the key made of it
 *	keyscan -i DATA UID COMMAND...
 *		runs COMMAND (clawd --init) as UID and looks at it and its
 *		child after every system call once the keys have been made
 *	keyscan -r WAY DATA UID CLAWD
 *		as UID, tries to get into the keyd that CLAWD is about to
 *		start, from its first moment on. WAY is mem, vm, ptrace, fds
 *
 * DATA is the node's data_dir. Its keys are read, and unsealed, here anew: it
 * would prove little to ask keystore.c. Each key is looked for in all forms
 * below, by halves, so that a part of one is found too:
 *
 *	seed, the same with its words turned (as SHA-512 loads it), expanded,
 *	clamped scalar in both orders, PKCS#8, base64, hex
 *
 * A hit is "found PID NAME KEY FORM FLAGS MAPPING". FLAGS are those of smaps.
 * The last line says how much was read. For tests; started by root.
 */
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/recovery.h"
#include "common/ticket.h"

#define SEED 32
#define NODE_KEY_LEN 136 /* magic, identity, sealing, wrapping, SHA-256 */
#define SEALED_LEN 61	 /* version, nonce, seed, tag */
#define NEXT_LEN 149	 /* magic, hash, salt, sealed, SHA-256 */
#define HALF 16
#define NEEDLES_MAX 2048
#define BLOCK (1 << 20)
#define NR_PIDFD_OPEN 434
#define NR_PIDFD_GETFD 438
#define RACE_MS 400

static struct needle {
	char key[24];
	const char *form;
	uint8_t bytes[HALF];
} needles[NEEDLES_MAX];
static size_t needle_count;
static uint8_t first[1 << 16]; /* which two bytes a needle begins with */
static unsigned long long bytes_read;
static unsigned int hits;

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(64);
}

/* What to look for. */

static void
add_half(const char *key, const char *form, const uint8_t *p)
{
	struct needle *n = &needles[needle_count];

	if (needle_count == NEEDLES_MAX)
		die("too many keys");
	snprintf(n->key, sizeof(n->key), "%s", key);
	n->form = form;
	memcpy(n->bytes, p, HALF);
	first[p[0] << 8 | p[1]] = 1;
	needle_count++;
}

static void
add(const char *key, const char *form, const uint8_t *p, size_t len)
{
	size_t at;

	for (at = 0; at + HALF <= len; at += HALF)
		add_half(key, form, p + at);
}

/* The characters that depend on these bytes alone, whatever is before. */
static void
add_base64(const char *key, const uint8_t *p)
{
	uint8_t shifted[SEED + 2] = { 0 }, text[64];
	size_t shift, i, skip;
	int n;

	for (shift = 0; shift < 3; shift++) {
		memcpy(shifted + shift, p, SEED);
		n = EVP_EncodeBlock(text, shifted, (int)(SEED + shift));
		skip = shift == 0 ? 0 : 4;
		add(key, "base64", text + skip, (size_t)n - skip - 4);
		for (i = 0; i < (size_t)n; i++)
			text[i] = text[i] == '+' ? '-' :
			    text[i] == '/'	 ? '_' :
						   text[i];
		add(key, "base64url", text + skip, (size_t)n - skip - 4);
	}
}

static void
add_texts(const char *key, const uint8_t *p)
{
	char hex[2 * SEED + 1];
	size_t i;

	for (i = 0; i < SEED; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	add(key, "hex", (const uint8_t *)hex, 2 * SEED);
	for (i = 0; i < 2 * SEED; i++)
		hex[i] = (char)toupper((unsigned char)hex[i]);
	add(key, "HEX", (const uint8_t *)hex, 2 * SEED);
	add_base64(key, p);
}

/* RFC 8410: what is before the seed, and the seed's beginning. */
static void
add_der(const char *key, uint8_t algorithm, const uint8_t *seed)
{
	uint8_t der[HALF] = { 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b,
		0x65, algorithm, 0x04, 0x22, 0x04, 0x20, seed[0], seed[1] };

	add_half(key, "DER", der);
}

static void
add_turned(const char *key, const char *form, const uint8_t *p, size_t word)
{
	uint8_t turned[SEED];
	size_t i, j;

	for (i = 0; i < SEED; i += word)
		for (j = 0; j < word; j++)
			turned[i + j] = p[i + word - 1 - j];
	add(key, form, turned, SEED);
}

static void
add_scalar(const char *key, const uint8_t *p)
{
	uint8_t s[SEED];

	memcpy(s, p, SEED);
	s[0] &= 248;
	s[31] &= 127;
	s[31] |= 64;
	add(key, "scalar", s, SEED);
	add_turned(key, "scalar-be", s, SEED);
}

static void
add_secret(const char *key, const uint8_t *p)
{
	add(key, "seed", p, SEED);
	add_turned(key, "seed-turned", p, 8);
	add_texts(key, p);
}

static void
add_ed25519(const char *key, const uint8_t *seed)
{
	uint8_t expanded[64];

	add_secret(key, seed);
	add_der(key, 0x70, seed);
	if (EVP_Digest(seed, SEED, expanded, NULL, EVP_sha512(), NULL) != 1)
		die("SHA-512");
	add(key, "expanded", expanded, sizeof(expanded));
	add_scalar(key, expanded);
}

static void
add_x25519(const char *key, const uint8_t *seed)
{
	add_secret(key, seed);
	add_der(key, 0x6e, seed);
	add_scalar(key, seed);
}

/* Where keys are. */

static bool
read_file(const char *path, uint8_t *out, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = fd != -1 && read(fd, out, len) == (ssize_t)len;

	if (fd != -1)
		close(fd);
	return ok;
}

static void
derive_from(const uint8_t *secret, size_t len, const uint8_t *salt,
    size_t salt_len, const char *label, uint8_t out[SEED])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char sha[] = "SHA256", info[64];
	uint8_t key[SEED], with[SEED] = { 0 };
	OSSL_PARAM p[5];

	snprintf(info, sizeof(info), "%s", label);
	memcpy(key, secret, len);
	memcpy(with, salt, salt_len);
	p[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha, 0);
	p[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, len);
	p[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info,
	    strlen(info));
	p[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, with,
	    salt_len);
	p[4] = OSSL_PARAM_construct_end();
	if (salt_len == 0)
		p[3] = OSSL_PARAM_construct_end();
	if (ctx == NULL || EVP_KDF_derive(ctx, out, SEED, p) != 1)
		die("HKDF");
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void
derive(const uint8_t wrap[SEED], const char *label, uint8_t out[SEED])
{
	derive_from(wrap, SEED, wrap, 0, label, out);
}

/* A sealed seed: version, nonce, seed, tag; the name goes with it. */
static void
add_unsealed(const char *key, const uint8_t k[SEED], const char *name,
    const uint8_t *sealed)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t seed[SEED], tag[16];
	int n;

	memcpy(tag, sealed + 13 + SEED, sizeof(tag));
	if (ctx == NULL ||
	    EVP_DecryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, k,
		sealed + 1) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)name,
		(int)strlen(name)) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) != 1 ||
	    EVP_DecryptUpdate(ctx, seed, &n, sealed + 13, SEED) != 1 ||
	    EVP_DecryptFinal_ex(ctx, seed + n, &n) != 1)
		die("%s cannot be unsealed", key);
	EVP_CIPHER_CTX_free(ctx);
	add_ed25519(key, seed);
	add(key, "sealing-key", k, SEED);
}

static void
add_sealed(const char *key, const uint8_t *wrap, const char *label,
    const char *name, const uint8_t *sealed)
{
	uint8_t k[SEED];

	derive(wrap, label, k);
	add_unsealed(key, k, name, sealed);
}

/* As bytes, digits and words. */
static void
add_code(const char *words, const char *next)
{
	uint8_t code[RECOVERY_LEN], file[NEXT_LEN], k[SEED];
	char hex[2 * RECOVERY_LEN + 1];
	unsigned int i;

	if (recovery_parse(words, code, &i) != 0)
		die("that is no recovery code");
	add("code", "bytes", code, sizeof(code));
	for (i = 0; i < sizeof(code); i++)
		snprintf(hex + 2 * i, 3, "%02x", code[i]);
	add("code", "hex", (const uint8_t *)hex, sizeof(hex) - 1);
	add("code", "words", (const uint8_t *)words, strlen(words));
	if (!read_file(next, file, sizeof(file)) ||
	    memcmp(file, "clawnxt1", 8) != 0)
		die("%s is no next key", next);
	derive_from(code, sizeof(code), file + 40, 16, "claw/next-key/v1", k);
	add_unsealed("next", k, "claw/next-key/v1", file + 56);
}

static void
add_ticket(const char *text)
{
	uint8_t key[SEED];
	struct ticket t;
	const char *why;
	size_t len = strlen(text), i;
	char hex[2 * TICKET_SEED_LEN + 1];

	if (ticket_parse(text, len, &t, &why) != 0)
		die("%s", why);
	add("ticket", "seed", t.seed, sizeof(t.seed));
	for (i = 0; i < sizeof(t.seed); i++)
		snprintf(hex + 2 * i, 3, "%02x", t.seed[i]);
	add("ticket", "hex", (const uint8_t *)hex, sizeof(hex) - 1);
	/* Of its last 20 bytes, the seed and the checksum. */
	add("ticket", "text", (const uint8_t *)text + len - 24, HALF);
	derive_from(t.seed, sizeof(t.seed), t.genesis, sizeof(t.genesis),
	    "claw/ticket/v1", key);
	add_ed25519("ticket-key", key);
}

static void
add_log_keys(const char *data, const uint8_t *wrap)
{
	uint8_t file[64 + SEALED_LEN];
	char dir[PATH_MAX], path[PATH_MAX + 300];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/audit", data);
	if ((d = opendir(dir)) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "logkey-", 7) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (!read_file(path, file, sizeof(file)))
			die("%s is short", path);
		add_sealed("log", wrap, "claw/log-key-seal/v1", e->d_name + 7,
		    file + 64);
	}
	closedir(d);
}

static bool
add_node_keys(const char *path, const uint8_t **wrap)
{
	static uint8_t file[NODE_KEY_LEN];
	uint8_t fresh[SEED];

	if (!read_file(path, file, sizeof(file)) ||
	    memcmp(file, "clawkey1", 8) != 0)
		return false;
	add_ed25519("identity", file + 8);
	add_x25519("sealing", file + 8 + SEED);
	add_secret("wrapping", file + 8 + 2 * SEED);
	*wrap = file + 8 + 2 * SEED;
	derive(*wrap, "claw/fresh-key/v1", fresh);
	add_ed25519("fresh", fresh);
	return true;
}

static void
add_authority(const char *path, const uint8_t *wrap)
{
	uint8_t file[8 + SEALED_LEN];

	if (read_file(path, file, sizeof(file)) &&
	    memcmp(file, "clawaut1", 8) == 0)
		add_sealed("authority", wrap, "claw/authority-key/v1",
		    "authority", file + 8);
}

static void
load_keys(const char *data)
{
	const uint8_t *wrap = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/keys/node.key", data);
	if (!add_node_keys(path, &wrap)) {
		/* Of a node that joins. */
		snprintf(path, sizeof(path), "%s/keys/node.key.joining", data);
		if (!add_node_keys(path, &wrap))
			die("%s is no key file", path);
	}
	snprintf(path, sizeof(path), "%s/keys/authority.key", data);
	add_authority(path, wrap);
	add_log_keys(data, wrap);
}

/* Looking. */

static void
search(const uint8_t *p, size_t len, pid_t pid, const char *name,
    const char *flags, const char *mapping)
{
	size_t i, n;

	for (i = 0; i + HALF <= len; i++) {
		if (!first[p[i] << 8 | p[i + 1]])
			continue;
		for (n = 0; n < needle_count; n++)
			if (memcmp(p + i, needles[n].bytes, HALF) == 0) {
				hits++;
				printf("found %d %s %s %s %s %s\n", (int)pid,
				    name, needles[n].key, needles[n].form,
				    flags, mapping);
			}
	}
}

/* Blocks overlap, so that nothing is cut in two. */
static void
search_fd(int fd, uint64_t from, uint64_t to, pid_t pid, const char *name,
    const char *flags, const char *mapping)
{
	static uint8_t block[BLOCK];
	uint64_t at = from;
	ssize_t n;
	size_t want;

	while (at < to) {
		want = to - at < BLOCK ? (size_t)(to - at) : BLOCK;
		n = pread(fd, block, want, (off_t)at);
		if (n <= 0)
			return;
		bytes_read += (uint64_t)n;
		search(block, (size_t)n, pid, name, flags, mapping);
		if ((uint64_t)n <= HALF)
			return;
		at += at + (uint64_t)n < to ? (uint64_t)n - HALF : (uint64_t)n;
	}
}

static void
name_of(pid_t pid, char *out, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	snprintf(out, size, "?");
	if ((f = fopen(path, "re")) == NULL)
		return;
	if (fgets(out, (int)size, f) != NULL)
		out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

/* "lo" and "dd" joined by a plus; "-" where neither holds. */
static const char *
flags_of(const char *line)
{
	bool locked = strstr(line, " lo") != NULL;
	bool dontdump = strstr(line, " dd") != NULL;

	return locked && dontdump ? "lo+dd" :
	    locked		  ? "lo" :
	    dontdump		  ? "dd" :
				    "-";
}

static bool
search_process(pid_t pid)
{
	char path[64], name[32], line[PATH_MAX + 128], mapping[PATH_MAX] = "";
	uint64_t a, b, from = 0, to = 0;
	char m[8], mode[8] = "";
	FILE *smaps;
	int mem;

	name_of(pid, name, sizeof(name));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	smaps = fopen(path, "re");
	if (mem == -1 || smaps == NULL) {
		if (mem != -1)
			close(mem);
		return false;
	}
	while (fgets(line, sizeof(line), smaps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %4095s", &a, &b, m,
			mapping) >= 3) {
			from = a;
			to = b;
			memcpy(mode, m, sizeof(mode));
			if (strchr(line, '/') == NULL &&
			    strchr(line, '[') == NULL)
				snprintf(mapping, sizeof(mapping), "anonymous");
		} else if (strncmp(line, "VmFlags:", 8) == 0 && mode[0] == 'r')
			search_fd(mem, from, to, pid, name, flags_of(line),
			    mapping);
	}
	fclose(smaps);
	close(mem);
	return true;
}

static void
search_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		die("%s: %s", path, strerror(errno));
	search_fd(fd, 0, UINT64_MAX / 4, 0, "file", "-", path);
	close(fd);
}

static int
look(int argc, char **argv)
{
	int i;

	load_keys(argv[0]);
	for (i = 1; i < argc; i++)
		if (argv[i][strspn(argv[i], "0123456789")] != '\0')
			search_file(argv[i]);
		else if (!search_process((pid_t)atoi(argv[i])))
			die("process %s cannot be read", argv[i]);
	return 0;
}

static int
look_for_more(int argc, char **argv)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/keys/next.key", argv[2]);
	if (access(path, F_OK) != 0)
		snprintf(path, sizeof(path), "%s/keys/next.key.joining",
		    argv[2]);
	if (strcmp(argv[0], "-") != 0)
		add_code(argv[0], path);
	if (strcmp(argv[1], "-") != 0)
		add_ticket(argv[1]);
	return look(argc - 2, argv + 2);
}

/* While keys are made. */

static void
become(const char *uid)
{
	uid_t u = (uid_t)atoi(uid);

	if (u != 0 &&
	    (setgroups(0, NULL) == -1 || setresgid(u, u, u) == -1 ||
		setresuid(u, u, u) == -1))
		die("cannot be uid %s", uid);
}

/* The unnamed key files that a process holds: their keys, if they are whole. */
static bool
keys_being_made(pid_t pid)
{
	const uint8_t *wrap = NULL;
	char dir[64], path[400], to[PATH_MAX];
	struct dirent *e;
	bool node = false, authority = false;
	int pass;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
	for (pass = 0; pass < 2; pass++) {
		if ((d = opendir(dir)) == NULL)
			return false;
		while ((e = readdir(d)) != NULL) {
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			memset(to, 0, sizeof(to));
			if (readlink(path, to, sizeof(to) - 1) <= 0 ||
			    strstr(to, "/keys/") == NULL)
				continue;
			if (pass == 0 && !node)
				node = add_node_keys(path, &wrap);
			else if (pass == 1 && node) {
				add_authority(path, wrap);
				authority = true;
			}
		}
		closedir(d);
	}
	return node && authority;
}

static pid_t
child_of(pid_t pid)
{
	char path[64];
	int child = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
	    (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return -1;
	if (fscanf(f, "%d", &child) != 1)
		child = -1;
	fclose(f);
	return (pid_t)child;
}

static int
watch(pid_t pid)
{
	unsigned int looks = 0;
	int status;
	pid_t child;
	long sig;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		sig = WSTOPSIG(status);
		if (status >> 16 != 0 || sig == (SIGTRAP | 0x80) ||
		    sig == SIGTRAP)
			sig = 0;
		needle_count = 0;
		memset(first, 0, sizeof(first));
		if (keys_being_made(pid)) {
			looks++;
			(void)search_process(pid);
			if ((child = child_of(pid)) != -1)
				(void)search_process(child);
		}
		if (ptrace(PTRACE_SYSCALL, pid, NULL, sig) == -1)
			die("PTRACE_SYSCALL: %s", strerror(errno));
	}
	printf("looked %u\n", looks);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 64;
}

static int
watch_init(int argc, char **argv)
{
	int hold[2];
	char go;
	pid_t pid;

	if (argc < 3 || pipe2(hold, O_CLOEXEC) == -1)
		die("usage: keyscan -i DATA UID COMMAND...");
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		if (read(hold[0], &go, 1) != 1)
			_exit(64);
		/* What it prints is not our answer. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		become(argv[1]);
		execv(argv[2], argv + 2);
		_exit(64);
	}
	close(hold[0]);
	if (pid == -1 ||
	    ptrace(PTRACE_SEIZE, pid, NULL,
		PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == -1 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == -1)
		die("cannot trace: %s", strerror(errno));
	if (write(hold[1], "x", 1) != 1)
		die("pipe");
	return watch(pid);
}

/* A race with keyd's start. */

static struct {
	int mem, maps; /* opened while it could be */
	unsigned int opened, refused;
	unsigned int attached, fds;
} won = { -1, -1, 0, 0, 0, 0 };

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Every mapping of an open maps file, by mem or by process_vm_readv(2). */
static void
read_all(pid_t pid, int maps, int mem)
{
	static uint8_t block[BLOCK];
	char path[64], line[PATH_MAX + 128], mode[8];
	struct iovec here = { block, sizeof(block) }, there;
	uint64_t from, to;
	ssize_t n;
	FILE *f;
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", maps);
	again = dup(maps);
	if (again == -1 || lseek(again, 0, SEEK_SET) == -1 ||
	    (f = fdopen(again, "r")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 ||
		    mode[1] != 'w')
			continue;
		if (mem != -1) {
			search_fd(mem, from, to, pid, "keyd", "-", "race");
			continue;
		}
		there.iov_base = (void *)(uintptr_t)from;
		there.iov_len = to - from < BLOCK ? (size_t)(to - from) : BLOCK;
		n = process_vm_readv(pid, &here, 1, &there, 1, 0);
		if (n > 0) {
			bytes_read += (uint64_t)n;
			search(block, (size_t)n, pid, "keyd", "-", "race");
		}
	}
	fclose(f);
}

static int
open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void
try_mem(pid_t pid)
{
	char comm[32];
	int mem, maps;

	name_of(pid, comm, sizeof(comm));
	mem = open_proc(pid, "mem");
	maps = open_proc(pid, "maps");
	if (mem == -1 || maps == -1) {
		won.refused++;
		if (mem != -1)
			close(mem);
		if (maps != -1)
			close(maps);
		return;
	}
	/* The newest wins: before exec this is still clawd's memory. */
	if (won.mem != -1) {
		close(won.mem);
		close(won.maps);
	}
	won.mem = mem;
	won.maps = maps;
	won.opened++;
}

static void
try_vm(pid_t pid)
{
	int maps = open_proc(pid, "maps");

	if (maps == -1) {
		won.refused++;
		return;
	}
	won.opened++;
	read_all(pid, maps, -1);
	close(maps);
}

/* Attached, it goes on, so that it may read its keys under our eyes. */
static void
try_ptrace(pid_t pid)
{
	uint64_t end = now_ms() + RACE_MS / 2;
	int status, sig;

	if (won.attached != 0)
		return;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == -1) {
		won.refused++;
		return;
	}
	won.attached++;
	while (now_ms() < end) {
		if (waitpid(pid, &status, WNOHANG) != pid) {
			usleep(1000);
			continue;
		}
		if (!WIFSTOPPED(status))
			return; /* it has noticed, and gone */
		sig = status >> 16 != 0 ? 0 : WSTOPSIG(status);
		(void)ptrace(PTRACE_CONT, pid, NULL, sig);
	}
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == -1 ||
	    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return;
	try_mem(pid);
	if (won.mem != -1)
		read_all(pid, won.maps, won.mem);
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void
try_fds(pid_t pid)
{
	uint8_t file[NODE_KEY_LEN];
	struct stat st;
	int pidfd = (int)syscall(NR_PIDFD_OPEN, pid, 0), fd, i;

	for (i = 0; i < 12; i++) {
		fd = (int)syscall(NR_PIDFD_GETFD, pidfd, i, 0);
		if (fd == -1) {
			won.refused += errno == EPERM;
			continue;
		}
		won.fds++;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    pread(fd, file, sizeof(file), 0) == sizeof(file))
			search(file, sizeof(file), pid, "keyd", "-", "fd");
		close(fd);
	}
	if (pidfd != -1)
		close(pidfd);
}

static int
race(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*try)(pid_t);
	} ways[] = { { "mem", try_mem }, { "vm", try_vm },
		{ "ptrace", try_ptrace }, { "fds", try_fds } };
	uint64_t end;
	size_t i;
	pid_t pid;

	if (argc != 4)
		die("usage: keyscan -r WAY DATA UID CLAWD");
	load_keys(argv[1]);
	become(argv[2]);
	for (i = 0; i < 4 && strcmp(argv[0], ways[i].name) != 0; i++)
		;
	if (i == 4)
		die("no such way");
	printf("waiting\n");
	fflush(stdout);
	end = now_ms() + 5000;
	while ((pid = child_of((pid_t)atoi(argv[3]))) == -1)
		if (now_ms() > end)
			die("no keyd in time");
	for (end = now_ms() + RACE_MS; now_ms() < end;)
		ways[i].try(pid);
	if (won.mem != -1)
		read_all(pid, won.maps, won.mem);
	printf("race %s opened %u attached %u fds %u refused %u\n", argv[0],
	    won.opened, won.attached, won.fds, won.refused);
	return 0;
}

int
main(int argc, char **argv)
{
	int r;

	if (argc > 3 && strcmp(argv[1], "-i") == 0)
		r = watch_init(argc - 2, argv + 2);
	else if (argc > 5 && strcmp(argv[1], "-x") == 0)
		r = look_for_more(argc - 2, argv + 2);
	else if (argc > 3 && strcmp(argv[1], "-r") == 0)
		r = race(argc - 2, argv + 2);
	else if (argc > 2)
		r = look(argc - 1, argv + 1);
	else
		die("usage: keyscan DATA PID|FILE...");
	printf("read %llu bytes, %u hits\n", bytes_read, hits);
	return r;
}
