/* SPDX-License-Identifier: ISC */
/*
 * atls_why.c - why a connection failed, as a sentence.
 *
 * Both ends log one, so it says whose doing it was. What we found out comes
 * first, then what the peer said, then what happened to the socket, then what
 * OpenSSL makes of it. Nothing of a peer's bytes gets into the text.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "common/atls_int.h"

void
atls_why_set(struct atls *a, const char *fmt, ...)
{
	va_list ap;

	if (a->why[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
}

/* NULL where its first bytes are those of a TLS record. */
static const char *
not_tls(const struct atls *a)
{
	static const char *const http[] = { "GET ", "HEAD ", "POST ", "PUT ",
		"OPTIONS ", "CONNECT ", "HTTP/" };
	size_t i, n;

	if (a->first_len == 0 || (a->first[0] >= 0x14 && a->first[0] <= 0x17))
		return NULL;
	for (i = 0; i < sizeof(http) / sizeof(http[0]); i++) {
		n = strlen(http[i]);
		if (n <= a->first_len && memcmp(a->first, http[i], n) == 0)
			return "peer speaks plain HTTP, not TLS";
	}
	if (a->first_len >= 4 && memcmp(a->first, "SSH-", 4) == 0)
		return "peer speaks SSH, not TLS";
	return "peer speaks no TLS";
}

/*
 * A client is secured before the server has judged it, so a word about its
 * certificate may come at any time and is a refusal all the same.
 */
static bool
is_refusal(const struct atls *a)
{
	return a->state == ATLS_HANDSHAKING ||
	    (a->alert_in >= SSL_AD_BAD_CERTIFICATE &&
		a->alert_in <= SSL_AD_ACCESS_DENIED) ||
	    a->alert_in == SSL_AD_CERTIFICATE_REQUIRED;
}

/* What an alert means where a peer's leaf was judged; else TLS's own words. */
static const char *
refusal_text(int alert)
{
	switch (alert) {
	case ATLS_BAD:
		return "it does not take what we showed as proof";
	case ATLS_REVOKED:
		return "its registry has revoked us";
	case ATLS_EXPIRED:
		return "our entry in its registry has expired";
	case ATLS_UNKNOWN:
		return "its registry has no node of our name";
	case ATLS_POLICY:
		return "it does not allow us now; its log says why";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

static void
why_alert(const struct atls *a, char *out, size_t size)
{
	const char *s;

	if (a->alert_in == SSL_AD_PROTOCOL_VERSION)
		(void)snprintf(out, size,
		    "peer refused us: it speaks no TLS 1.3 (alert %d)",
		    a->alert_in);
	else if (a->alert_in == SSL_AD_NO_APPLICATION_PROTOCOL &&
	    a->role == ATLS_CLIENT)
		(void)snprintf(out, size,
		    "peer refused us: it does not speak %.*s (alert %d)",
		    (int)a->alpns[0], (const char *)a->alpns + 1, a->alert_in);
	else {
		s = refusal_text(a->alert_in);
		(void)snprintf(out, size, "peer %s: %s (alert %d)",
		    is_refusal(a) ? "refused us" : "ended the session",
		    strcmp(s, "unknown") == 0 ? "for a reason of its own" : s,
		    a->alert_in);
	}
}

static const char *
why_reason(int reason)
{
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_VERSION_TOO_LOW:
		return "peer speaks no TLS 1.3";
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		return "peer speaks plain HTTP, not TLS";
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return "we refused the peer: it has no certificate (alert 116)";
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
		return "peer has no group of ours";
	case SSL_R_NO_SHARED_CIPHER:
		return "peer has no cipher of ours";
	case SSL_R_EXCESSIVE_MESSAGE_SIZE:
		return "peer's message is larger than any of ours";
	case SSL_R_LENGTH_MISMATCH:
	case SSL_R_LENGTH_TOO_SHORT:
	case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
		return "peer's bytes are damaged";
	default:
		return NULL;
	}
}

static void
why_openssl(char *out, size_t size)
{
	unsigned long e;
	const char *s = NULL;

	e = ERR_peek_error();
	if (ERR_GET_LIB(e) == ERR_LIB_SSL)
		s = why_reason(ERR_GET_REASON(e));
	if (s != NULL) {
		(void)snprintf(out, size, "%s", s);
		return;
	}
	s = e == 0 ? NULL : ERR_reason_error_string(e);
	(void)snprintf(out, size, "TLS failed: %s",
	    s == NULL ? "no reason given" : s);
}

void
atls_why_text(const struct atls *a, char *out, size_t size)
{
	const char *s = not_tls(a);

	if (a->why[0] != '\0')
		(void)snprintf(out, size, "%s", a->why);
	else if (s != NULL)
		(void)snprintf(out, size, "%s", s);
	else if (a->alert_in > 0)
		why_alert(a, out, size);
	else if (a->eof || a->alert_in == 0)
		(void)snprintf(out, size, "%s",
		    a->state != ATLS_HANDSHAKING ?
			"peer closed without saying so" :
			a->handshake_bytes == 0 ?
			"peer closed in mid-handshake, and said nothing" :
			"peer closed in mid-handshake");
	else if (a->sock_errno != 0)
		(void)snprintf(out, size, "connection lost%s: %s",
		    a->state == ATLS_HANDSHAKING ? " in mid-handshake" : "",
		    strerror(a->sock_errno));
	else
		why_openssl(out, size);
}
