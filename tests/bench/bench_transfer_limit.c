/* SPDX-License-Identifier: ISC */
/*
 * bench_transfer_limit.c - what a verified, encrypted file transfer costs at
 * least: the limit that file:send is measured against.
 *
 * Two processes, a sender and a receiver, over loopback: a file is read in
 * pieces, hashed with BLAKE3, sent by TLS 1.3 with AES-128-GCM, received,
 * hashed again, compared chunk by chunk and written to a file. N streams are N
 * connections with a thread at each end, and each takes the next chunk that
 * nobody has. Both ends fold their values to the file's root; the two must be
 * equal. There is no identity, policy, journal, sandbox or receipt, and nothing
 * is synced unless asked for.
 *
 * usage: bench_transfer_limit [-f] [-k] [-c chunk-MiB] [-m file-MiB]
 *            [-n streams] [-p piece-KiB] [-r rounds] [source destination]
 *
 *   -c  chunk size, 1 to 32, a power of two (8)
 *   -f  fsync the destination before a round ends
 *   -k  keep the last destination
 *   -m  size of the source that is made where none is named (1024)
 *   -n  streams, 1 to 8 (2)
 *   -p  bytes read, hashed and sent at a time (128 KiB)
 *   -r  rounds (5)
 *
 * Without names it works in a folder of its own in $CLAW_BENCH_DIR (/var/tmp);
 * the source it makes is incompressible. The destination is overwritten.
 *
 * One line a round, then one of medians, as key=value: wall_s from before the
 * processes start until both have ended, rate_mb_s (10^6 bytes), cpu_s_per_gib
 * (user and system time of both processes), the four parts of it, and
 * busy_s_per_gib, the whole machine's in the same time, whoever used it: only
 * on an idle machine is that the transfer's.
 *
 * A virtual machine gives free memory back to its host, and the first touch of
 * new memory costs more than the whole transfer. So each round begins, before
 * its clock does, by writing and removing a file of the same size in the
 * destination's folder, and the source is read once. Compare with a peer in
 * rounds that take turns, never with figures of another day.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/b3tree.h"
#include "common/log.h"

#define STREAMS_MOST 8
#define ROUNDS_MOST 99
#define READ_AHEAD (32 * 1024)
#define MIB ((uint64_t)1 << 20)
#define GIB ((double)(1 << 30))

static struct {
	const char *source, *destination;
	uint64_t size;
	size_t piece;
	unsigned int log, streams, rounds;
	bool sync, keep;
} opt = { .piece = 128 * 1024, .log = 23, .streams = 2, .rounds = 5 };

/* What both processes tell the one that measures. */
static struct shared {
	b3tree_value sent, received;
} * shared;

/* Of the process, whichever it is. */
static SSL_CTX *ctx;
static struct sockaddr_in address;
static int listener, file;
static b3tree_value *values;
static _Atomic uint64_t next_chunk;

static void
must(bool good, const char *what)
{
	unsigned long e;

	if (good)
		return;
	if ((e = ERR_get_error()) != 0)
		fatalx("%s: %s", what, ERR_reason_error_string(e));
	fatal("%s", what);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor time of the whole machine since it started, in seconds. */
static double
machine_busy(void)
{
	unsigned long long user, nice, sys, idle, wait, irq, soft;
	FILE *f = fopen("/proc/stat", "re");
	int n;

	must(f != NULL, "/proc/stat");
	n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
	    &sys, &idle, &wait, &irq, &soft);
	fclose(f);
	must(n == 7, "/proc/stat");
	return (double)(user + nice + sys + irq + soft) /
	    (double)sysconf(_SC_CLK_TCK);
}

/* TLS. */

static SSL_CTX *
tls(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);

	must(c != NULL &&
		SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
		SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") == 1 &&
		SSL_CTX_set_num_tickets(c, 0) == 1,
	    "TLS");
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	/* A record in one read, not its header first. */
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_default_read_buffer_len(c, READ_AHEAD);
	return c;
}

static void
be_somebody(SSL_CTX *c)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *x = X509_new();

	must(key != NULL && x != NULL && X509_set_version(x, 2) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(x), 86400) != NULL &&
		X509_set_pubkey(x, key) == 1 && X509_sign(x, key, NULL) > 0 &&
		SSL_CTX_use_certificate(c, x) == 1 &&
		SSL_CTX_use_PrivateKey(c, key) == 1,
	    "certificate");
	X509_free(x);
	EVP_PKEY_free(key);
}

static SSL *
session(int fd)
{
	SSL *s = SSL_new(ctx);
	int one = 1;

	must(s != NULL && SSL_set_fd(s, fd) == 1 &&
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ==
		    0,
	    "connection");
	return s;
}

static void
put(SSL *s, const void *data, size_t len)
{
	size_t n;

	must(SSL_write_ex(s, data, len, &n) == 1 && n == len, "sending");
}

/* False at the stream's end, before the first byte. */
static bool
get(SSL *s, uint8_t *data, size_t len)
{
	size_t done = 0, n;

	while (done < len) {
		if (SSL_read_ex(s, data + done, len - done, &n) == 1) {
			done += n;
			continue;
		}
		must(done == 0 && SSL_get_error(s, 0) == SSL_ERROR_ZERO_RETURN,
		    "receiving");
		return false;
	}
	return true;
}

/* One stream, at each end. */

static uint8_t *
piece_buffer(void)
{
	uint8_t *p = aligned_alloc(4096, opt.piece);

	must(p != NULL, "memory");
	return p;
}

static size_t
chunk_len(uint64_t index)
{
	uint64_t at = index << opt.log, left = opt.size - at;

	return (size_t)(left < (UINT64_C(1) << opt.log) ?
		left :
		UINT64_C(1) << opt.log);
}

/* A file of one chunk has no chaining value; its root stands for it. */
static void
finish(const struct b3tree *t, b3tree_value out)
{
	must((b3tree_chunks(opt.size, opt.log) == 1 ? b3tree_end_file(t, out) :
						      b3tree_end(t, out)) == 0,
	    "hash");
}

static void
send_chunk(SSL *s, uint64_t index, uint8_t *buf)
{
	size_t left = chunk_len(index), n;
	uint64_t at = index << opt.log, be = htobe64(index);
	struct b3tree t;

	put(s, &be, sizeof(be));
	must(b3tree_begin(&t, opt.log, index) == 0, "hash");
	for (; left > 0; left -= n, at += n) {
		n = left < opt.piece ? left : opt.piece;
		must(pread(file, buf, n, (off_t)at) == (ssize_t)n, opt.source);
		must(b3tree_update(&t, buf, n) == 0, "hash");
		put(s, buf, n);
	}
	finish(&t, values[index]);
	put(s, values[index], B3TREE_LEN);
}

static void *
send_stream(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t index, n = b3tree_chunks(opt.size, opt.log);
	uint8_t *buf = piece_buffer();
	SSL *s;

	(void)arg;
	must(fd != -1 &&
		connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
	    "connect");
	s = session(fd);
	must(SSL_connect(s) == 1, "handshake");
	while ((index = atomic_fetch_add(&next_chunk, 1)) < n)
		send_chunk(s, index, buf);
	must(SSL_shutdown(s) >= 0, "end of stream");
	/* Until the receiver has closed, or a reset may overtake the end. */
	(void)SSL_read(s, buf, 1);
	SSL_free(s);
	close(fd);
	free(buf);
	return NULL;
}

static void
receive_chunk(SSL *s, uint64_t index, uint8_t *buf)
{
	size_t left = chunk_len(index), n;
	uint64_t at = index << opt.log;
	b3tree_value theirs;
	struct b3tree t;

	must(b3tree_begin(&t, opt.log, index) == 0, "hash");
	for (; left > 0; left -= n, at += n) {
		n = left < opt.piece ? left : opt.piece;
		must(get(s, buf, n), "stream ends early");
		must(b3tree_update(&t, buf, n) == 0, "hash");
		must(pwrite(file, buf, n, (off_t)at) == (ssize_t)n,
		    opt.destination);
	}
	finish(&t, values[index]);
	if (!get(s, theirs, sizeof(theirs)) ||
	    memcmp(theirs, values[index], sizeof(theirs)) != 0)
		fatalx("chunk %llu arrived damaged", (unsigned long long)index);
}

static void *
receive_stream(void *arg)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	uint8_t *buf = piece_buffer();
	uint64_t be;
	SSL *s;

	(void)arg;
	must(fd != -1, "accept");
	s = session(fd);
	must(SSL_accept(s) == 1, "handshake");
	while (get(s, (uint8_t *)&be, sizeof(be))) {
		if (be64toh(be) >= b3tree_chunks(opt.size, opt.log))
			fatalx("no such chunk");
		receive_chunk(s, be64toh(be), buf);
	}
	must(SSL_shutdown(s) >= 0, "end of stream");
	SSL_free(s);
	close(fd);
	free(buf);
	return NULL;
}

/* The two processes. */

static void
run_streams(void *(*stream)(void *), b3tree_value root)
{
	uint64_t n = b3tree_chunks(opt.size, opt.log);
	pthread_t thread[STREAMS_MOST];
	unsigned int i;

	values = calloc((size_t)n + 1, sizeof(*values));
	must(values != NULL, "memory");
	for (i = 0; i < opt.streams; i++)
		must(pthread_create(&thread[i], NULL, stream, NULL) == 0,
		    "thread");
	for (i = 0; i < opt.streams; i++)
		pthread_join(thread[i], NULL);
	if (n == 1)
		memcpy(root, values[0], B3TREE_LEN);
	else
		must(b3tree_root(values, n, root) == 0, "root");
	free(values);
}

static void
sender(void)
{
	ctx = tls(TLS_client_method());
	file = open(opt.source, O_RDONLY | O_CLOEXEC);
	must(file != -1, opt.source);
	run_streams(send_stream, shared->sent);
	close(file);
}

static void
receiver(void)
{
	ctx = tls(TLS_server_method());
	be_somebody(ctx);
	file = open(opt.destination, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);
	must(file != -1, opt.destination);
	run_streams(receive_stream, shared->received);
	must(!opt.sync || fsync(file) == 0, opt.destination);
	must(close(file) == 0, opt.destination);
}

static pid_t
start(void (*run)(void))
{
	pid_t pid = fork();

	must(pid != -1, "fork");
	if (pid != 0)
		return pid;
	run();
	_exit(0);
}

/* Measuring. */

enum figure { WALL, RATE, CPU, SEND_USER, SEND_SYS, RECV_USER, RECV_SYS, BUSY };
#define FIGURES (BUSY + 1)
static const char *const figure_name[FIGURES] = { "wall_s", "rate_mb_s",
	"cpu_s_per_gib", "sender_user", "sender_sys", "receiver_user",
	"receiver_sys", "busy_s_per_gib" };
static double figures[FIGURES][ROUNDS_MOST];

static double
seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Memory that the destination will take, so that it has been touched. */
static void
recycle_memory(void)
{
	static char zeros[MIB];
	uint64_t left;
	size_t n;
	int fd;

	(void)unlink(opt.destination);
	fd = open(opt.destination, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	must(fd != -1, opt.destination);
	for (left = opt.size; left > 0; left -= n) {
		n = left < MIB ? (size_t)left : MIB;
		must(write(fd, zeros, n) == (ssize_t)n, opt.destination);
	}
	close(fd);
	must(unlink(opt.destination) == 0, opt.destination);
}

static void
listen_anew(void)
{
	socklen_t len = sizeof(address);

	address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(listener != -1 &&
		bind(listener, (struct sockaddr *)&address, len) == 0 &&
		getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
		listen(listener, STREAMS_MOST) == 0,
	    "listen");
}

/* Waits for both; one that fails takes the other with it. */
static void
join_both(pid_t send, pid_t receive, struct rusage *s, struct rusage *r)
{
	struct rusage use;
	int status, i;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		pid = wait4(-1, &status, 0, &use);
		must(pid == send || pid == receive, "wait");
		*(pid == send ? s : r) = use;
		if (status == 0)
			continue;
		if (i == 0)
			kill(pid == send ? receive : send, SIGKILL);
		fatalx("the %s failed", pid == send ? "sender" : "receiver");
	}
}

static void
measure(unsigned int round)
{
	struct rusage s, r;
	double start_s, start_busy, gib = (double)opt.size / GIB;
	double f[FIGURES];
	pid_t send, receive;
	unsigned int i;

	recycle_memory();
	listen_anew();
	memset(shared, 0, sizeof(*shared));
	start_busy = machine_busy();
	start_s = now();
	receive = start(receiver);
	send = start(sender);
	join_both(send, receive, &s, &r);
	f[WALL] = now() - start_s;
	f[BUSY] = (machine_busy() - start_busy) / gib;
	close(listener);
	if (memcmp(shared->sent, shared->received, B3TREE_LEN) != 0)
		fatalx("the file arrived damaged");
	f[RATE] = (double)opt.size / f[WALL] / 1e6;
	f[SEND_USER] = seconds(s.ru_utime) / gib;
	f[SEND_SYS] = seconds(s.ru_stime) / gib;
	f[RECV_USER] = seconds(r.ru_utime) / gib;
	f[RECV_SYS] = seconds(r.ru_stime) / gib;
	f[CPU] = f[SEND_USER] + f[SEND_SYS] + f[RECV_USER] + f[RECV_SYS];
	for (i = 0; i < FIGURES; i++)
		figures[i][round] = f[i];
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_round(const char *what, unsigned int round)
{
	unsigned int i;

	printf("%s", what);
	for (i = 0; i < FIGURES; i++)
		printf(" %s=%.*f", figure_name[i], i == RATE ? 0 : 3,
		    figures[i][round]);
	printf("\n");
	fflush(stdout);
}

static void
run(void)
{
	unsigned int i;

	for (i = 0; i < opt.rounds; i++) {
		measure(i);
		print_round("round", i);
	}
	for (i = 0; i < FIGURES; i++)
		qsort(figures[i], opt.rounds, sizeof(double), by_value);
	print_round("median", opt.rounds / 2);
	if (!opt.keep)
		(void)unlink(opt.destination);
}

/* The source is in the page cache: a disk that is read is another measure. */
static void
look_at_source(void)
{
	static char buf[MIB];
	struct stat st;
	ssize_t n;
	int fd = open(opt.source, O_RDONLY | O_CLOEXEC);

	must(fd != -1 && fstat(fd, &st) == 0, opt.source);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		fatalx("%s: not a file with something in it", opt.source);
	opt.size = (uint64_t)st.st_size;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	must(n == 0, opt.source);
	close(fd);
}

static void
make_source(const char *path, uint64_t mib)
{
	static uint64_t block[MIB / sizeof(uint64_t)];
	uint64_t x = 0x9e3779b97f4a7c15;
	size_t i;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	must(fd != -1, path);
	for (; mib > 0; mib--) {
		for (i = 0; i < MIB / sizeof(uint64_t); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			block[i] = x;
		}
		must(write(fd, block, MIB) == (ssize_t)MIB, path);
	}
	close(fd);
}

/* A folder of our own, removed whatever comes of it. */
static int
run_in_own_folder(uint64_t mib)
{
	static char dir[PATH_MAX - 16], source[PATH_MAX], destination[PATH_MAX];
	const char *work = getenv("CLAW_BENCH_DIR");
	int status = 0;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/claw-bench-XXXXXX",
	    work != NULL ? work : "/var/tmp");
	must(mkdtemp(dir) != NULL, dir);
	snprintf(source, sizeof(source), "%s/source", dir);
	snprintf(destination, sizeof(destination), "%s/destination", dir);
	opt.source = source;
	opt.destination = destination;
	pid = fork();
	if (pid == 0) {
		make_source(source, mib);
		look_at_source();
		run();
		exit(0);
	}
	must(pid != -1 && waitpid(pid, &status, 0) == pid, "fork");
	(void)unlink(source);
	(void)unlink(destination);
	must(rmdir(dir) == 0, dir);
	return status == 0 ? 0 : 1;
}

static unsigned int
number(const char *text, unsigned int least, unsigned int most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < least || n > most)
		fatalx("%s: from %u to %u", text, least, most);
	return (unsigned int)n;
}

static unsigned int
chunk_log(unsigned int mib)
{
	if ((mib & (mib - 1)) != 0)
		fatalx("%u MiB: chunks are 1, 2, 4, 8, 16 or 32 MiB", mib);
	return 20 + (unsigned int)__builtin_ctz(mib);
}

int
main(int argc, char **argv)
{
	uint64_t mib = 1024;
	const char *why;
	int c;

	log_init("bench_transfer_limit", false);
	while ((c = getopt(argc, argv, "c:fkm:n:p:r:")) != -1)
		switch (c) {
		case 'c':
			opt.log = chunk_log(number(optarg, 1, 32));
			break;
		case 'f':
			opt.sync = true;
			break;
		case 'k':
			opt.keep = true;
			break;
		case 'm':
			mib = number(optarg, 1, 1 << 20);
			break;
		case 'n':
			opt.streams = number(optarg, 1, STREAMS_MOST);
			break;
		case 'p':
			opt.piece = (size_t)1024 * number(optarg, 4, 32768);
			break;
		case 'r':
			opt.rounds = number(optarg, 1, ROUNDS_MOST);
			break;
		default:
			return 64;
		}
	if (argc != optind && argc != optind + 2)
		fatalx("name a source and a destination, or neither");
	if (b3tree_selftest(&why) != 0)
		fatalx("BLAKE3: %s", why);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared != MAP_FAILED, "memory");
	if (argc == optind)
		return run_in_own_folder(mib);
	opt.source = argv[optind];
	opt.destination = argv[optind + 1];
	look_at_source();
	run();
	return 0;
}
