/* SPDX-License-Identifier: ISC */
/*
 * fuzz_evidence.c - certificates of peers: any bytes.
 *
 * What is read must be written again as the same bytes. The input is taken as
 * fields, too: what can be written must be read as the same fields.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static size_t
write_it(const struct evidence *ev, const uint8_t sig[EVIDENCE_SIG_LEN],
    uint8_t cert[EVIDENCE_CERT_MAX])
{
	uint8_t tbs[EVIDENCE_TBS_MAX];
	ssize_t n = evidence_tbs(ev, tbs, sizeof(tbs));

	if (n < 0)
		return 0;
	n = evidence_cert(tbs, (size_t)n, sig, cert, EVIDENCE_CERT_MAX);
	if (n < 0)
		abort(); /* there is always room */
	return (size_t)n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t cert[EVIDENCE_CERT_MAX], sig[EVIDENCE_SIG_LEN] = { 0 };
	struct evidence ev, again;
	size_t n;

	if (evidence_parse(data, len, &ev, sig) == 0) {
		n = write_it(&ev, sig, cert);
		if (n != len || memcmp(cert, data, n) != 0)
			abort();
		if (evidence_verify_sig(&ev, sig, ev.head) == 0)
			abort();
	}
	memset(&ev, 0, sizeof(ev));
	memcpy(&ev, data, len < sizeof(ev) ? len : sizeof(ev));
	n = write_it(&ev, sig, cert);
	if (n == 0)
		return 0;
	if (evidence_parse(cert, n, &again, sig) != 0 ||
	    again.role != ev.role || again.purpose != ev.purpose ||
	    strcmp(again.name, ev.name) != 0 ||
	    strcmp(again.peer, ev.peer) != 0 || again.seq != ev.seq ||
	    again.not_before != ev.not_before ||
	    again.not_after != ev.not_after ||
	    memcmp(again.spki, ev.spki, sizeof(ev.spki)) != 0)
		abort();
	return 0;
}
