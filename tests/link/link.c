/* SPDX-License-Identifier: ISC */
/*
 * link.c - a link between two network namespaces, as bad as a test wants it.
 *
 *	link [-n DEVICE] [-m MTU] [-s SEED] [-a NETNS -b NETNS]
 *
 * Says "ready PID A B SEED" when the link stands: /proc/PID/fd/A and B are the
 * two namespaces, ours unless named. Then a command a line on standard input
 * and an answer a line (README.md); at the end of input the statistics are the
 * last line, and with the process goes everything that it has made.
 */
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "packet.h"
#include "wire.h"

#define KERNEL_QUEUE 20000 /* packets; the queue that counts is the wire's */

enum { AB, BA, WIRES };

static struct wire *wires[WIRES];
static const char *const wire_names[WIRES] = { "ab", "ba" };

static void
write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		err(1, "%s", name);
	close(fd);
}

/* Whoever may not make namespaces is root of a user namespace of its own. */
static void
become_able(void)
{
	char text[64];
	unsigned int uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWNET) == 0)
		return;
	if (unshare(CLONE_NEWUSER) == -1)
		err(77, "no user namespace");
	write_file("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "0 %u 1", uid);
	write_file("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "0 %u 1", gid);
	write_file("/proc/self/gid_map", text);
}

static void
up(int s, const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(s, SIOCGIFFLAGS, &r) == -1)
		err(1, "%s", name);
	r.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r) == -1)
		err(1, "%s up", name);
}

/* 10.77.0.host/24 and fd77::host/64. */
static void
address(const char *name, int mtu, unsigned char host)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct in6_ifreq six = { .ifr6_prefixlen = 64 };
	struct ifreq r = { 0 };

	if (s == -1)
		err(1, "socket");
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	r.ifr_mtu = mtu;
	if (ioctl(s, SIOCSIFMTU, &r) == -1)
		err(1, "MTU %d", mtu);
	/* Not for a user: bursts of more than 500 packets may suffer. */
	r.ifr_qlen = KERNEL_QUEUE;
	(void)ioctl(s, SIOCSIFTXQLEN, &r);
	in.sin_addr.s_addr = htonl(0x0a4d0000U | host);
	memcpy(&r.ifr_addr, &in, sizeof(in));
	if (ioctl(s, SIOCSIFADDR, &r) == -1)
		err(1, "address of %s", name);
	in.sin_addr.s_addr = htonl(0xffffff00U);
	memcpy(&r.ifr_netmask, &in, sizeof(in));
	if (ioctl(s, SIOCSIFNETMASK, &r) == -1)
		err(1, "netmask of %s", name);
	up(s, "lo");
	up(s, name);
	six.ifr6_ifindex = (int)if_nametoindex(name);
	inet_pton(AF_INET6, "fd77::", &six.ifr6_addr);
	six.ifr6_addr.s6_addr[15] = host;
	if (s6 == -1 || ioctl(s6, SIOCSIFADDR, &six) == -1)
		warn("no IPv6 on %s", name);
	close(s6);
	close(s);
}

static int
device(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int size = sizeof(struct virtio_net_hdr);

	if (fd == -1)
		err(77, "/dev/net/tun");
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r) == -1)
		err(77, "TUN device %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) == -1 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) ==
		-1)
		err(1, "trains on %s", name);
	return fd;
}

/* One end of the link: its device, and its namespace in *ns. */
static int
end(const char *netns, const char *name, int mtu, unsigned char host, int *ns)
{
	int fd;

	if (netns != NULL) {
		*ns = open(netns, O_RDONLY | O_CLOEXEC);
		if (*ns == -1 || setns(*ns, CLONE_NEWNET) == -1)
			err(77, "%s", netns);
	} else {
		if (unshare(CLONE_NEWNET) == -1)
			err(77, "no network namespace");
		*ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (*ns == -1)
			err(1, "/proc/self/ns/net");
	}
	fd = device(name);
	address(name, mtu, host);
	return fd;
}

/* Numbers with units. */

enum unit { RATE, SIZE, TIME, CHANCE, NUMBER };

static const struct {
	enum unit unit;
	const char *name;
	double factor;
} units[] = {
	{ RATE, "bit", 1 },
	{ RATE, "kbit", 1e3 },
	{ RATE, "mbit", 1e6 },
	{ RATE, "gbit", 1e9 },
	{ SIZE, "", 1 },
	{ SIZE, "k", 1024 },
	{ SIZE, "m", 1024 * 1024 },
	{ SIZE, "g", 1024 * 1024 * 1024 },
	{ TIME, "us", 1e3 },
	{ TIME, "ms", 1e6 },
	{ TIME, "s", 1e9 },
	{ CHANCE, "%", 0.01 },
	{ CHANCE, "", 1 },
	{ NUMBER, "", 1 },
};

static bool
number(const char *text, enum unit unit, double *value)
{
	char *rest;
	double v = strtod(text, &rest);
	size_t i;

	if (rest == text || !(v >= 0 && v < 1e18))
		return false;
	*value = 0;
	if (v == 0 && *rest == '\0')
		return true;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == unit && strcmp(rest, units[i].name) == 0) {
			*value = v * units[i].factor;
			return unit != CHANCE || *value <= 1;
		}
	return false;
}

/* Commands. */

static bool
setting(struct wire *w, const char *name, const char *text)
{
	struct wire_settings set;

	wire_get(w, &set);
#define FIELD(field, unit, unused)                                             \
	if (strcmp(name, #field) == 0) {                                       \
		if (!number(text, unit, &set.field))                           \
			return false;                                          \
		wire_set(w, &set);                                             \
		return true;                                                   \
	}
	WIRE_SETTINGS(FIELD)
#undef FIELD
	return false;
}

static bool
cut(struct wire *w, const char *bytes, const char *how)
{
	static const char *const names[] = { "", "silence", "reset", "half" };
	double n;
	unsigned int i;

	if (bytes == NULL || !number(bytes, SIZE, &n))
		return false;
	for (i = WIRE_SILENCE; i <= WIRE_HALF; i++)
		if (strcmp(how == NULL ? "silence" : how, names[i]) == 0) {
			wire_cut(w, (enum wire_cut)i, (uint64_t)n);
			return true;
		}
	return false;
}

static void
statistics(void)
{
	struct wire_counts c;
	struct rusage use;
	int i;

	putchar('{');
	for (i = 0; i < WIRES; i++) {
		const char *comma = "";

		c = wire_counted(wires[i]);
		printf("\"%s\": {", wire_names[i]);
#define FIELD(name)                                                            \
	printf("%s\"" #name "\": %" PRIu64, comma, c.name);                    \
	comma = ", ";
		WIRE_COUNTS(FIELD)
#undef FIELD
		printf("}, ");
	}
	getrusage(RUSAGE_SELF, &use);
	printf("\"cpu_us\": %lld}\n",
	    (long long)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
		use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* The command for one direction. */
static bool
obey(struct wire *w, char *word, char *value, char *how)
{
	if (strcmp(word, "cut-after") == 0)
		return cut(w, value, how);
	if (value == NULL && strcmp(word, "pause") == 0)
		wire_pause(w, true);
	else if (value == NULL && strcmp(word, "resume") == 0)
		wire_pause(w, false);
	else if (value == NULL && strcmp(word, "down") == 0)
		wire_down(w, true);
	else if (value == NULL && strcmp(word, "up") == 0)
		wire_down(w, false);
	else
		return value != NULL && how == NULL && setting(w, word, value);
	return true;
}

static void
command(char *line)
{
	char *words[5], *save = NULL, *w = strtok_r(line, " \t\n", &save);
	int n = 0, first = AB, last = BA, at = 0, i;

	for (; w != NULL && n < 4; w = strtok_r(NULL, " \t\n", &save))
		words[n++] = w;
	words[n] = NULL;
	for (i = 0; n > 0 && i < WIRES; i++)
		if (strcmp(words[0], wire_names[i]) == 0) {
			first = last = i;
			at = 1;
		}
	if (n == 1 && at == 0 && strcmp(words[0], "stats") == 0) {
		statistics();
		return;
	}
	for (i = first; i <= last; i++)
		if (n <= at ||
		    !obey(wires[i], words[at], words[at + 1],
			words[at + 1] == NULL ? NULL : words[at + 2])) {
			puts("error: not understood");
			return;
		}
	puts("ok");
}

int
main(int argc, char **argv)
{
	const char *netns[2] = { NULL, NULL }, *name = "link0";
	char line[256];
	uint64_t seed = 1;
	int mtu = 1500, c, fd[2], ns[2], home;

	while ((c = getopt(argc, argv, "a:b:m:n:s:")) != -1)
		if (c == 'a' || c == 'b')
			netns[c - 'a'] = optarg;
		else if (c == 'm')
			mtu = atoi(optarg);
		else if (c == 'n')
			name = optarg;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			errx(64, "see the comment in link.c");
	/* Trains come and go: what they need is kept. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_ARENA_MAX, 2);
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	become_able();
	fd[0] = end(netns[0], name, mtu, 1, &ns[0]);
	fd[1] = end(netns[1], name, mtu, 2, &ns[1]);
	/* Not everybody finds the way back, and nobody needs it. */
	(void)setns(home, CLONE_NEWNET);
	wires[AB] = wire_new(fd[0], fd[1], seed * 2);
	wires[BA] = wire_new(fd[1], fd[0], seed * 2 + 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %d %d %d %" PRIu64 "\n", (int)getpid(), ns[0], ns[1],
	    seed);
	while (fgets(line, sizeof(line), stdin) != NULL)
		command(line);
	wire_stop(wires[AB]);
	wire_stop(wires[BA]);
	statistics();
	return 0;
}
