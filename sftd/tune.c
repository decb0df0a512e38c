/* SPDX-License-Identifier: ISC */
/*
 * tune.c - what a transfer makes of its link: how many streams, and by which
 * congestion control.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>

#include "sftd/tune.h"

/* Nearer than this the processors are what limits, and one stream fills the
 * link at once. */
#define NEAR_US 5000
/* From here on each stream begins slowly and fills its window late. */
#define FAR_US 40000
#define NEAR_MIN 2
#define NEAR_MAX 4
#define MIDDLE 4
#define FAR 8

static unsigned int processors = NEAR_MIN;

void
tune_prepare(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		processors = (unsigned int)CPU_COUNT(&set);
}

uint8_t
tune_streams(uint32_t round_trip_us)
{
	if (round_trip_us >= FAR_US)
		return FAR;
	if (round_trip_us >= NEAR_US)
		return MIDDLE;
	return (uint8_t)(processors < NEAR_MIN ? NEAR_MIN :
		processors > NEAR_MAX	       ? NEAR_MAX :
						 processors);
}

/*
 * BBR keeps a long link full when now and then a segment is lost; on a short
 * one it may cost half of the rate, so there the system's choice is left. Where
 * the kernel does not let us have it, CUBIC is.
 */
void
tune_socket(int fd, uint32_t round_trip_us, char name[TUNE_NAME_SIZE])
{
	static const char *const wanted[] = { "bbr", "cubic" };
	socklen_t len = TUNE_NAME_SIZE - 1;
	size_t i;

	for (i = 0; round_trip_us >= NEAR_US && i < 2; i++)
		if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, wanted[i],
			(socklen_t)strlen(wanted[i])) == 0)
			break;
	memset(name, 0, TUNE_NAME_SIZE);
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == -1)
		name[0] = '\0';
}
