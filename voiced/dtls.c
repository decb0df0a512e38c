/* SPDX-License-Identifier: ISC */
/*
 * dtls.c - DTLS 1.3 (RFC 9147) that keys SRTP, by NSS.
 *
 * Owns one NSS socket per association. Beneath it lies a layer of our own
 * (dtls_layer.c), within it an extension of our own (dtls_srtp.c): all else of
 * a peer's bytes is parsed by NSS.
 *
 * NSS is told to do one thing only (limit()), and what came of it is looked at
 * again when it says that it is done (finished()): the second look does not
 * depend on the first, nor on our callbacks having been called.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <nspr.h>
#include <nss.h>
#include <cert.h>
#include <keyhi.h>
#include <pk11pub.h>
#include <secerr.h>
#include <ssl.h>
#include <sslerr.h>
#include <sslexp.h>
#include <sslproto.h>

#include "common/evidence.h"
#include "voiced/dtls_int.h"

#define LEAST_NSS "3.96" /* older ones speak a draft, and say DTLS 1.3 too */
#define POINT_LEN 65
#define EXPORTER "EXTRACTOR-dtls_srtp"

struct dtls_ctx {
	uint8_t spki[EVIDENCE_SPKI_LEN];
	SECKEYPrivateKey *key;
	CERTCertificate *leaf; /* NULL: not yet */
};

/* --- the library -------------------------------------------------------- */

static const char *
error_name(void)
{
	const char *s = PR_ErrorToName(PR_GetError());

	return s == NULL ? "no reason given" : s;
}

int
dtls_init(char *why, size_t size)
{
	SSLExtensionSupport srtp;

	if (!NSS_VersionCheck(LEAST_NSS)) {
		(void)snprintf(why, size,
		    "NSS %s speaks a draft of DTLS 1.3, and RFC 9147 from " LEAST_NSS
		    " on",
		    NSS_GetVersion());
		return -ENOSYS;
	}
	if (NSS_NoDB_Init(NULL) != SECSuccess ||
	    NSS_SetDomesticPolicy() != SECSuccess || dtls_layer_init() != 0) {
		(void)snprintf(why, size, "NSS %s does not start: %s",
		    NSS_GetVersion(), error_name());
		return -EIO;
	}
	/* Only with these are both profiles of SRTP to be had. */
	if (SSL_GetExtensionSupport(ssl_use_srtp_xtn, &srtp) != SECSuccess ||
	    srtp == ssl_ext_native_only) {
		(void)snprintf(why, size, "NSS %s has no extension hooks",
		    NSS_GetVersion());
		return -ENOSYS;
	}
	return 0;
}

int
dtls_fini(void)
{
	return NSS_Shutdown() == SECSuccess ? 0 : -EBUSY;
}

const char *
dtls_library(void)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "NSS %s", NSS_GetVersion());
	return text;
}

/* --- who we are --------------------------------------------------------- */

static SECItem
item(uint8_t *data, size_t len)
{
	return (SECItem){ siBuffer, data, (unsigned int)len };
}

static int
import_key(struct dtls_ctx *ctx, const EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = NULL;
	PK11SlotInfo *slot = PK11_GetInternalSlot();
	uint8_t *der = NULL, point[POINT_LEN];
	SECItem p8, public = item(point, sizeof(point));
	int len = 0, r = -ENOMEM;

	/* The point is the end of the SubjectPublicKeyInfo. */
	memcpy(point, ctx->spki + sizeof(ctx->spki) - POINT_LEN, POINT_LEN);
	info = EVP_PKEY2PKCS8(key);
	if (slot == NULL || info == NULL ||
	    (len = i2d_PKCS8_PRIV_KEY_INFO(info, &der)) <= 0)
		goto out;
	p8 = item(der, (size_t)len);
	if (PK11_ImportDERPrivateKeyInfoAndReturnKey(slot, &p8, NULL, &public,
		PR_FALSE, PR_FALSE, KU_DIGITAL_SIGNATURE, &ctx->key,
		NULL) == SECSuccess)
		r = 0;
out:
	if (len > 0)
		OPENSSL_clear_free(der, (size_t)len);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (slot != NULL)
		PK11_FreeSlot(slot);
	return r;
}

struct dtls_ctx *
dtls_ctx_new(const EVP_PKEY *key)
{
	struct dtls_ctx *ctx = calloc(1, sizeof(*ctx));
	int r;

	if (ctx == NULL)
		return NULL;
	r = evidence_spki(key, ctx->spki);
	if (r == 0)
		r = import_key(ctx, key);
	if (r != 0) {
		dtls_ctx_free(ctx);
		errno = -r;
		return NULL;
	}
	return ctx;
}

int
dtls_ctx_leaf(struct dtls_ctx *ctx, const uint8_t *der, size_t len)
{
	uint8_t copy[DTLS_LEAF_MAX];
	CERTCertificate *leaf;
	SECItem in;

	if (ctx->leaf != NULL)
		return -EALREADY;
	if (len > sizeof(copy))
		return -EINVAL;
	memcpy(copy, der, len);
	in = item(copy, len);
	leaf = CERT_NewTempCertificate(CERT_GetDefaultCertDB(), &in, NULL,
	    PR_FALSE, PR_TRUE);
	if (leaf == NULL)
		return -EINVAL;
	if (leaf->derCert.len != len ||
	    leaf->derPublicKey.len != sizeof(ctx->spki) ||
	    memcmp(leaf->derPublicKey.data, ctx->spki, sizeof(ctx->spki)) !=
		0) {
		CERT_DestroyCertificate(leaf);
		return -EINVAL;
	}
	ctx->leaf = leaf;
	return 0;
}

void
dtls_ctx_free(struct dtls_ctx *ctx)
{
	if (ctx == NULL)
		return;
	if (ctx->key != NULL)
		SECKEY_DestroyPrivateKey(ctx->key);
	if (ctx->leaf != NULL)
		CERT_DestroyCertificate(ctx->leaf);
	free(ctx);
}

/* --- certificates ------------------------------------------------------- */

/* In place of all that NSS checks of a certificate itself. */
static SECStatus
judge(void *arg, PRFileDesc *fd, PRBool check_sig, PRBool is_server)
{
	struct dtls *a = arg;
	CERTCertificate *leaf = SSL_PeerCertificate(fd);
	int r = -EPROTO;

	(void)check_sig;
	(void)is_server;
	if (leaf == NULL || leaf->derCert.len > DTLS_LEAF_MAX)
		a->refused = "the peer's leaf is missing or too long";
	else if (a->profile == 0)
		a->refused = "the peer speaks no SRTP";
	else if ((r = a->ops->leaf(leaf->derCert.data, leaf->derCert.len,
		      a->arg)) != 0)
		a->refused = "the peer's leaf was refused";
	if (leaf != NULL)
		CERT_DestroyCertificate(leaf);
	a->accepted = r == 0;
	if (r == 0)
		return SECSuccess;
	a->failed = r;
	PORT_SetError(SSL_ERROR_BAD_CERTIFICATE);
	return SECFailure;
}

static SECStatus
show(void *arg, PRFileDesc *fd, CERTDistNames *names, CERTCertificate **leaf,
    SECKEYPrivateKey **key)
{
	struct dtls *a = arg;

	(void)fd;
	(void)names;
	if (a->ctx->leaf == NULL) {
		a->refused = "we have no leaf yet";
		PORT_SetError(SSL_ERROR_NO_CERTIFICATE);
		return SECFailure;
	}
	*leaf = CERT_DupCertificate(a->ctx->leaf);
	*key = SECKEY_CopyPrivateKey(a->ctx->key);
	a->shown = *leaf != NULL && *key != NULL;
	return a->shown ? SECSuccess : SECFailure;
}

/* --- an association ----------------------------------------------------- */

static const struct {
	PRInt32 option;
	PRIntn value;
} options[] = {
	{ SSL_SECURITY, PR_TRUE },
	{ SSL_NO_LOCKS, PR_TRUE }, /* one thread */
	{ SSL_NO_CACHE, PR_TRUE },
	{ SSL_ENABLE_SESSION_TICKETS, PR_FALSE },
	{ SSL_ENABLE_0RTT_DATA, PR_FALSE },
	{ SSL_ENABLE_RENEGOTIATION, SSL_RENEGOTIATE_NEVER },
	{ SSL_ENABLE_POST_HANDSHAKE_AUTH, PR_FALSE },
	{ SSL_ENABLE_ALPN, PR_FALSE },
	{ SSL_REUSE_SERVER_ECDHE_KEY, PR_FALSE },
};

static SECStatus
limit(PRFileDesc *fd)
{
	static const SSLVersionRange versions = { SSL_LIBRARY_VERSION_TLS_1_3,
		SSL_LIBRARY_VERSION_TLS_1_3 };
	static const SSLNamedGroup groups[] = { ssl_grp_ec_curve25519 };
	static const SSLSignatureScheme schemes[] = {
		ssl_sig_ecdsa_secp256r1_sha256
	};
	PRUint16 i, suite;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (SSL_OptionSet(fd, options[i].option, options[i].value) !=
		    SECSuccess)
			return SECFailure;
	}
	for (i = 0; i < SSL_NumImplementedCiphers; i++) {
		suite = SSL_ImplementedCiphers[i];
		if (SSL_CipherPrefSet(fd, suite,
			suite == TLS_AES_128_GCM_SHA256) != SECSuccess)
			return SECFailure;
	}
	if (SSL_VersionRangeSet(fd, &versions) != SECSuccess ||
	    SSL_NamedGroupConfig(fd, groups, 1) != SECSuccess)
		return SECFailure;
	return SSL_SignatureSchemePrefSet(fd, schemes, 1);
}

static SECStatus
configure(struct dtls *a)
{
	PRFileDesc *fd = a->fd;
	PRBool server = a->role == DTLS_SERVER;

	if (limit(fd) != SECSuccess ||
	    SSL_OptionSet(fd, SSL_HANDSHAKE_AS_SERVER, server) != SECSuccess ||
	    SSL_OptionSet(fd, SSL_HANDSHAKE_AS_CLIENT, !server) != SECSuccess ||
	    SSL_AuthCertificateHook(fd, judge, a) != SECSuccess ||
	    dtls_srtp_install(a) != SECSuccess)
		return SECFailure;
	if (!server) {
		if (SSL_GetClientAuthDataHook(fd, show, a) != SECSuccess)
			return SECFailure;
	} else if (SSL_ConfigServerCert(fd, a->ctx->leaf, a->ctx->key, NULL,
		       0) != SECSuccess ||
	    SSL_OptionSet(fd, SSL_REQUEST_CERTIFICATE, PR_TRUE) != SECSuccess ||
	    SSL_OptionSet(fd, SSL_REQUIRE_CERTIFICATE, SSL_REQUIRE_ALWAYS) !=
		SECSuccess) {
		return SECFailure;
	}
	return SSL_ResetHandshake(fd, server);
}

struct dtls *
dtls_new(struct dtls_ctx *ctx, enum dtls_role role, const struct dtls_ops *ops,
    void *arg)
{
	struct dtls *a;
	PRFileDesc *layer;

	if (role == DTLS_SERVER && ctx->leaf == NULL) {
		errno = EINVAL;
		return NULL;
	}
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->ctx = ctx;
	a->role = role;
	a->ops = ops;
	a->arg = arg;
	layer = dtls_layer_new(a);
	if (layer != NULL) {
		a->fd = DTLS_ImportFD(NULL, layer);
		if (a->fd == NULL)
			(void)PR_Close(layer);
	}
	if (a->fd == NULL || configure(a) != SECSuccess) {
		dtls_close(a);
		errno = EIO;
		return NULL;
	}
	return a;
}

/* What NSS's last error is for who called us. */
static int
meaning(const struct dtls *a, PRErrorCode code)
{
	switch (code) {
	case PR_OUT_OF_MEMORY_ERROR:
	case SEC_ERROR_NO_MEMORY:
		return -ENOMEM;
	case PR_END_OF_FILE_ERROR:
		return -ESHUTDOWN;
	case SSL_ERROR_UNSUPPORTED_VERSION:
	case SSL_ERROR_PROTOCOL_VERSION_ALERT:
		return -EPROTONOSUPPORT;
	case SSL_ERROR_ACCESS_DENIED_ALERT:
	case SSL_ERROR_BAD_CERT_ALERT:
	case SSL_ERROR_CERTIFICATE_UNKNOWN_ALERT:
	case SSL_ERROR_EXPIRED_CERT_ALERT:
	case SSL_ERROR_REVOKED_CERT_ALERT:
	case SSL_ERROR_UNKNOWN_CA_ALERT:
	case SSL_ERROR_UNSUPPORTED_CERT_ALERT:
	case SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT:
	case SSL_ERROR_HANDSHAKE_FAILURE_ALERT:
		return -ECONNREFUSED;
	case SSL_ERROR_NO_CYPHER_OVERLAP: /* a client heard it, a server found
					   */
		return a->role == DTLS_CLIENT ? -ECONNREFUSED : -EPROTO;
	default:
		return -EPROTO;
	}
}

static void
fail(struct dtls *a, int r, const char *reason)
{
	if (a->failed == 0)
		a->failed = r;
	if (a->refused != NULL)
		reason = a->refused;
	(void)snprintf(a->error, sizeof(a->error), "DTLS as %s: %s",
	    a->role == DTLS_CLIENT ? "client" : "server", reason);
}

/* NSS says that the handshake is complete. */
static void
finished(struct dtls *a)
{
	SSLChannelInfo info = { 0 };
	SSLCipherSuiteInfo suite = { 0 };

	if (SSL_GetChannelInfo(a->fd, &info, sizeof(info)) != SECSuccess ||
	    SSL_GetCipherSuiteInfo(info.cipherSuite, &suite, sizeof(suite)) !=
		SECSuccess)
		fail(a, -EPROTO, error_name());
	else if (info.protocolVersion != SSL_LIBRARY_VERSION_TLS_1_3)
		fail(a, -EPROTONOSUPPORT, "not DTLS 1.3");
	else if (info.cipherSuite != TLS_AES_128_GCM_SHA256 ||
	    info.keaGroup != ssl_grp_ec_curve25519 || info.resumed)
		fail(a, -EPROTO, "complete without what we asked for");
	else if (!a->accepted || a->profile == 0)
		fail(a, -EPROTO, "complete without the peer's leaf or SRTP");
	else if (a->role == DTLS_CLIENT && !a->shown)
		fail(a, -EPROTO, "the peer did not ask for our leaf");
	else
		a->done = true;
	if (a->done)
		(void)snprintf(a->suite, sizeof(a->suite), "DTLS 1.3 %s X25519",
		    suite.cipherSuiteName);
}

/*
 * Two of NSS's errors are datagrams that anybody may send: with a record of no
 * type, or with a sealed one that is shorter than any can be. NSS forgets both
 * and could go on; taken for the end, they would let anybody end a call.
 */
static bool
passed_over(PRErrorCode code)
{
	return code == PR_WOULD_BLOCK_ERROR ||
	    code == SSL_ERROR_RX_UNKNOWN_RECORD_TYPE ||
	    code == SSL_ERROR_BAD_MAC_READ;
}

/*
 * Let NSS go on as far as what was fed takes it. Application data is not what
 * this association is for: it is read, for the records behind it, and dropped.
 */
static int
step(struct dtls *a)
{
	uint8_t data[DTLS_DATAGRAM_MAX];
	PRErrorCode code;
	size_t left;
	PRInt32 n;

	do {
		left = a->in_len;
		if (!a->done) {
			n = SSL_ForceHandshake(a->fd) == SECSuccess ? 1 : -1;
			if (n == 1)
				finished(a);
		} else {
			n = PR_Recv(a->fd, data, sizeof(data), 0,
			    PR_INTERVAL_NO_WAIT);
		}
		code = n < 0 ? PR_GetError() : 0;
		if (n == 0)
			fail(a, -ESHUTDOWN, "the peer has ended it");
		else if (n < 0 && !passed_over(code))
			fail(a, meaning(a, code), error_name());
		if (code == PR_WOULD_BLOCK_ERROR && a->in_len == left)
			break;
	} while (a->failed == 0 && (a->in_len != 0 || n > 0));
	a->in = NULL;
	a->in_len = 0;
	dtls_flush(a);
	return a->failed;
}

int
dtls_start(struct dtls *a)
{
	return a->failed != 0 ? a->failed : step(a);
}

int
dtls_feed_flight(struct dtls *a, const uint8_t *flight, size_t len)
{
	if (a->failed != 0)
		return a->failed;
	if (len > DTLS_FLIGHT_MAX || !dtls_is_flight(flight, len))
		return -EMSGSIZE;
	a->in = flight;
	a->in_len = len;
	return step(a);
}

int
dtls_feed(struct dtls *a, const uint8_t *datagram, size_t len)
{
	uint8_t flight[2 + DTLS_DATAGRAM_MAX];

	if (len == 0 || len > DTLS_DATAGRAM_MAX)
		return a->failed;
	flight[0] = (uint8_t)(len >> 8);
	flight[1] = (uint8_t)len;
	memcpy(flight + 2, datagram, len);
	return dtls_feed_flight(a, flight, len + 2);
}

int
dtls_on_deadline(struct dtls *a)
{
	return dtls_start(a);
}

int
dtls_deadline(const struct dtls *a)
{
	PRIntervalTime t;

	if (a->failed != 0 || DTLS_GetHandshakeTimeout(a->fd, &t) != SECSuccess)
		return -1;
	return (int)PR_IntervalToMilliseconds(t);
}

bool
dtls_done(const struct dtls *a)
{
	return a->done && a->failed == 0;
}

int
dtls_keys(struct dtls *a, struct dtls_keys *out)
{
	const size_t salt = a->profile == DTLS_AEAD_AES_128_GCM ? 12 : 14;
	uint8_t raw[2 * DTLS_KEY_MAX], *client, *server;

	if (!dtls_done(a))
		return -ENOTCONN;
	if (SSL_ExportKeyingMaterial(a->fd, EXPORTER, sizeof(EXPORTER) - 1,
		PR_FALSE, NULL, 0, raw,
		(unsigned int)(2 * (16 + salt))) != SECSuccess)
		return -EIO;
	/* client key | server key | client salt | server salt */
	memset(out, 0, sizeof(*out));
	out->profile = a->profile;
	out->len = 16 + salt;
	client = a->role == DTLS_CLIENT ? out->send : out->receive;
	server = a->role == DTLS_CLIENT ? out->receive : out->send;
	memcpy(client, raw, 16);
	memcpy(server, raw + 16, 16);
	memcpy(client + 16, raw + 32, salt);
	memcpy(server + 16, raw + 32 + salt, salt);
	OPENSSL_cleanse(raw, sizeof(raw));
	return 0;
}

const char *
dtls_suite(const struct dtls *a)
{
	return a->suite;
}

const char *
dtls_error(const struct dtls *a)
{
	return a->error;
}

void
dtls_close(struct dtls *a)
{
	if (a == NULL)
		return;
	if (a->fd != NULL) {
		(void)PR_Close(a->fd); /* close_notify, if it was done */
		dtls_flush(a);
	}
	free(a);
}
