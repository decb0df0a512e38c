/* SPDX-License-Identifier: ISC */
/*
 * dtls_srtp.c - use_srtp (RFC 5764, 4.1), in place of NSS's own.
 *
 * NSS has a list of profiles without AEAD_AES_128_GCM (RFC 7714), which is the
 * cheaper and the better one. The extension's bytes come from a peer.
 */
#include <errno.h>
#include <string.h>

#include <sslerr.h>
#include <sslexp.h>

#include "voiced/dtls_int.h"

static const uint8_t profiles[] = { 0, DTLS_AEAD_AES_128_GCM, 0,
	DTLS_AES_CM_128_HMAC_SHA1_80 }; /* in the order of our liking */

/*
 * The profile of ours that comes first; 0: none, or it is malformed. Of a
 * server's answer there is one, and without a master key identifier, since we
 * offer none.
 */
static enum dtls_profile
choose(const uint8_t *d, size_t len, bool answer)
{
	size_t i, k, n = len < 3 ? 0 : (size_t)(d[0] << 8 | d[1]);

	if (n == 0 || n % 2 != 0 || n > len - 3 || d[2 + n] != len - 3 - n)
		return 0;
	if (answer && (n != 2 || d[2 + n] != 0))
		return 0;
	for (i = 0; i < sizeof(profiles); i += 2) {
		for (k = 2; k < 2 + n; k += 2) {
			if (memcmp(d + k, profiles + i, 2) == 0)
				return (enum dtls_profile)profiles[i + 1];
		}
	}
	return 0;
}

static PRBool
srtp_write(PRFileDesc *fd, SSLHandshakeType message, PRUint8 *data,
    unsigned int *len, unsigned int max, void *arg)
{
	const struct dtls *a = arg;
	uint8_t answer[] = { 0, (uint8_t)a->profile };
	const uint8_t *list;
	uint8_t n;

	(void)fd;
	if (a->role == DTLS_CLIENT && message == ssl_hs_client_hello) {
		list = profiles;
		n = sizeof(profiles);
	} else if (a->role == DTLS_SERVER && a->profile != 0 &&
	    message == ssl_hs_encrypted_extensions) {
		list = answer;
		n = sizeof(answer);
	} else {
		return PR_FALSE;
	}
	*len = n + 3U;
	if (*len > max)
		return PR_FALSE;
	data[0] = 0;
	data[1] = n;
	memcpy(data + 2, list, n);
	data[2 + n] = 0; /* no master key identifier */
	return PR_TRUE;
}

static SECStatus
srtp_read(PRFileDesc *fd, SSLHandshakeType message, const PRUint8 *data,
    unsigned int len, SSLAlertDescription *alert, void *arg)
{
	struct dtls *a = arg;
	bool offer = a->role == DTLS_SERVER && message == ssl_hs_client_hello;
	bool answer =
	    a->role == DTLS_CLIENT && message == ssl_hs_encrypted_extensions;

	(void)fd;
	(void)alert; /* handshake_failure unless we say otherwise */
	if (offer || answer)
		a->profile = choose(data, len, answer);
	else
		a->profile = 0;
	if (a->profile != 0)
		return SECSuccess;
	a->failed = -EPROTO;
	a->refused = "the peer offers no SRTP profile of ours";
	PORT_SetError(SSL_ERROR_RX_MALFORMED_HANDSHAKE);
	return SECFailure;
}

SECStatus
dtls_srtp_install(struct dtls *a)
{
	return SSL_InstallExtensionHooks(a->fd, ssl_use_srtp_xtn, srtp_write, a,
	    srtp_read, a);
}
