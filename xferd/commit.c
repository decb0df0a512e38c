/* SPDX-License-Identifier: ISC */
/*
 * commit.c - the receiving end's thread that makes durable.
 *
 * A sync costs the disk the same for one chunk and for eight, so a few are
 * waited for, but not for long. When the transfer stops, what was received by
 * then is still made durable: it need not be sent again.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "xferd/commit.h"
#include "xferd/receive.h"
#include "xferd/xfer.h"

#define GROUP 8
#define GROUP_NS 100000000
#define ROOM SFTJOURNAL_BATCH_MAX

/* Under the lock, but for the journal. */
static struct {
	struct sftjournal *journal;
	struct sftjournal_claim claim[ROOM];
	size_t n;
	uint64_t first_ns; /* when the first of them came */
	bool last;	   /* none is to come */
	bool busy;
	bool broken;
} cm;

bool
commit_is_idle(void)
{
	return cm.broken || (cm.n == 0 && !cm.busy);
}

bool
commit_add(const struct sftjournal_claim *claim, uint32_t left)
{
	while (cm.n == ROOM && !xf.stop)
		xfer_wait();
	if (cm.n == ROOM)
		return false;
	if (cm.n == 0)
		cm.first_ns = xfer_now_ns();
	cm.claim[cm.n++] = *claim;
	cm.last = left == 0;
	pthread_cond_broadcast(&xf.changed);
	return true;
}

/* With the lock: until a group is there. False: it is over. */
static bool
wait_for_group(void)
{
	uint64_t until;

	for (;;) {
		if (xf.stop)
			return cm.n > 0;
		until = cm.first_ns + GROUP_NS;
		if (cm.n > 0 &&
		    (cm.n >= GROUP || cm.last || xfer_now_ns() >= until) &&
		    receive_has_room(cm.n))
			return true;
		if (cm.n > 0 && receive_has_room(cm.n))
			xfer_wait_until(until);
		else
			xfer_wait();
	}
}

static const char *
make_durable(const struct sftjournal_claim *claim, size_t n, int *error)
{
	*error = fdatasync(xf.file) == 0 ? 0 : errno;
	if (*error != 0)
		return "syncing the file";
	*error = -sftjournal_append(cm.journal, claim, n);
	if (*error == 0)
		*error = -sftjournal_sync(cm.journal);
	return *error != 0 ? "writing the journal" : NULL;
}

static void *
run(void *arg)
{
	static struct sftjournal_claim claim[ROOM];
	const char *failed = NULL;
	int error = 0;
	size_t n;

	(void)arg;
	pthread_mutex_lock(&xf.lock);
	while (failed == NULL && wait_for_group()) {
		n = cm.n;
		memcpy(claim, cm.claim, n * sizeof(claim[0]));
		cm.n = 0;
		cm.busy = true;
		pthread_cond_broadcast(&xf.changed);
		pthread_mutex_unlock(&xf.lock);
		failed = make_durable(claim, n, &error);
		pthread_mutex_lock(&xf.lock);
		cm.busy = false;
		if (failed == NULL)
			receive_durable(claim, n);
		xfer_wake();
	}
	/* An error is final for what it covered: nothing of it is claimed. */
	cm.broken = true;
	pthread_mutex_unlock(&xf.lock);
	if (failed != NULL)
		xfer_fault(error == ENOSPC || error == EDQUOT ? SFT_NO_SPACE :
								SFT_IO,
		    false, "%s: %s", failed, strerror(error));
	xfer_wake();
	return NULL;
}

bool
commit_begin(struct sftjournal *journal)
{
	cm.journal = journal;
	return xfer_thread(run, NULL);
}
