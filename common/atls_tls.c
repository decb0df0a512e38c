/* SPDX-License-Identifier: ISC */
/*
 * atls_tls.c - what OpenSSL is told, and what it asks during a handshake.
 *
 * Nothing here calls the owner: OpenSSL's callbacks run on the small stack of
 * a fiber (ASYNC_JOB), so they note what is to be asked and suspend, and the
 * event loop asks. A certificate is asked for by the certificate callback,
 * which may suspend. The verdict is asked for where the private extension of
 * the peer's Certificate message is read, and not in the verify callback: an
 * extension's callback names the alert to be sent, while the verify callback
 * can only choose among X509_V_ERR_*, none of which is sent as
 * access_denied(49). The verify callback then insists that this happened. It
 * asks no store of trusted certificates.
 */
#include <sys/socket.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "common/atls_int.h"
#include "common/evidence.h"

#define READ_BUFFER 65536
/* Eight whole records and a bit. */
#define BATCH (160 * 1024)
#define EXT_ALPN 16
#define EXT_PSK 41
#define EXT_EARLY_DATA 42
#define EXT_VERSIONS 43
#define CONTEXTS                                                               \
	(SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE_REQUEST |           \
	    SSL_EXT_TLS1_3_CERTIFICATE)

/* --- the socket --------------------------------------------------------- */

/*
 * A BIO of our own: no SIGPIPE, what came is counted, and the first bytes are
 * kept to say who called.
 */
static int
bio_read(BIO *b, char *out, int size)
{
	struct atls *a = BIO_get_data(b);
	ssize_t n;

	BIO_clear_retry_flags(b);
	if (size <= 0 || a->fd == -1 || a->why[0] != '\0')
		return -1;
	do
		n = recv(a->fd, out, (size_t)size,
		    a->detached ? 0 : MSG_DONTWAIT);
	while (n == -1 && errno == EINTR && a->detached);
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		a->blocked = true;
		BIO_set_retry_read(b);
		return -1;
	}
	if (n == -1)
		a->sock_errno = errno;
	if (n <= 0) {
		a->eof = n == 0;
		return (int)n;
	}
	while (a->first_len < sizeof(a->first) &&
	    a->first_len < a->handshake_bytes + (size_t)n) {
		a->first[a->first_len] =
		    (uint8_t)out[a->first_len - a->handshake_bytes];
		a->first_len++;
	}
	if (a->state == ATLS_HANDSHAKING) {
		a->handshake_bytes += (size_t)n;
		if (a->handshake_bytes > ATLS_HANDSHAKE_MAX) {
			atls_why_set(a,
			    "peer said more than %d bytes before the "
			    "handshake ended",
			    ATLS_HANDSHAKE_MAX);
			return -1;
		}
	}
	return (int)n;
}

/*
 * OpenSSL writes record by record, and a system call for each costs a tenth of
 * what a transfer does.
 */
int
atls_tls_flush(struct atls *a)
{
	size_t at = 0;
	ssize_t n;

	while (at < a->batch_len) {
		n = send(a->fd, a->batch + at, a->batch_len - at, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			a->sock_errno = errno;
			return -1;
		}
		at += (size_t)n;
	}
	a->batch_len = 0;
	return 0;
}

static int
bio_write(BIO *b, const char *data, int len)
{
	struct atls *a = BIO_get_data(b);
	ssize_t n;

	BIO_clear_retry_flags(b);
	if (len <= 0 || a->fd == -1)
		return -1;
	if (a->batching) {
		if ((size_t)len > BATCH - a->batch_len &&
		    atls_tls_flush(a) == -1)
			return -1;
		if ((size_t)len <= BATCH) {
			memcpy(a->batch + a->batch_len, data, (size_t)len);
			a->batch_len += (size_t)len;
			return len;
		}
	}
	do
		n = send(a->fd, data, (size_t)len,
		    MSG_NOSIGNAL | (a->detached ? 0 : MSG_DONTWAIT));
	while (n == -1 && errno == EINTR && a->detached);
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		a->blocked = true;
		BIO_set_retry_write(b);
	} else if (n == -1)
		a->sock_errno = errno;
	return (int)n;
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

/* --- our extension ------------------------------------------------------ */

static int
ext_add(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char **out, size_t *len, X509 *x, size_t index, int *alert,
    void *arg)
{
	static const uint8_t mark[] = { ATLS_VERSION };
	struct atls *a = SSL_get_app_data(ssl);
	uint8_t *p;

	(void)type;
	(void)x;
	(void)arg;
	*alert = SSL_AD_INTERNAL_ERROR;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0) {
		*out = mark;
		*len = sizeof(mark);
		return index == 0;
	}
	p = OPENSSL_malloc(1 + ATLS_NONCE_LEN);
	if (p == NULL)
		return -1;
	p[0] = ATLS_VERSION;
	memcpy(p + 1, a->nonce, ATLS_NONCE_LEN);
	*out = p;
	*len = 1 + ATLS_NONCE_LEN;
	return 1;
}

static void
ext_free(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char *out, void *arg)
{
	(void)ssl;
	(void)type;
	(void)arg;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) == 0)
		OPENSSL_free((void *)(uintptr_t)out);
}

/* The challenge. It comes twice if the server asked for another key share. */
static int
take_nonce(struct atls *a, const uint8_t *in, size_t len, int *alert)
{
	if (len < 1 || in[0] != ATLS_VERSION) {
		*alert = SSL_AD_ILLEGAL_PARAMETER;
		atls_why_set(a, "peer speaks another version of our extension");
		return 0;
	}
	if (len != 1 + ATLS_NONCE_LEN) {
		*alert = SSL_AD_DECODE_ERROR;
		atls_why_set(a, "peer's challenge is malformed");
		return 0;
	}
	if (a->have_nonce &&
	    memcmp(a->peer_nonce, in + 1, ATLS_NONCE_LEN) != 0) {
		*alert = SSL_AD_ILLEGAL_PARAMETER;
		atls_why_set(a, "peer changed its challenge");
		return 0;
	}
	memcpy(a->peer_nonce, in + 1, ATLS_NONCE_LEN);
	a->have_nonce = true;
	return 1;
}

/* Keep the peer's leaf for the question, and its hash for good. */
static int
keep_leaf(struct atls *a, X509 *x)
{
	uint8_t *p = NULL;
	int len = i2d_X509(x, &p);

	if (len <= 0)
		return 0;
	if ((size_t)len > ATLS_LEAF_MAX ||
	    evidence_hash(p, (size_t)len, a->hash[ATLS_PEER]) != 0) {
		OPENSSL_free(p);
		return 0;
	}
	a->peer_leaf = p;
	a->peer_leaf_len = (size_t)len;
	a->have_hash[ATLS_PEER] = true;
	return 1;
}

/* What a client demands of a server before it lets it be judged. */
static bool
server_ok(struct atls *a)
{
	const unsigned char *p;
	unsigned int n;

	if (a->role == ATLS_SERVER)
		return true;
	SSL_get0_alpn_selected(a->ssl, &p, &n);
	if (n != a->alpns[0] || memcmp(p, a->alpns + 1, n) != 0)
		atls_why_set(a, "peer did not agree to speak %.*s",
		    (int)a->alpns[0], (const char *)a->alpns + 1);
	else if (!a->asked_for_us)
		atls_why_set(a, "peer asked for no certificate");
	else if (!a->have_nonce)
		atls_why_set(a, "peer does not challenge us: no claw node");
	return a->why[0] == '\0';
}

static int
take_leaf(struct atls *a, const uint8_t *in, size_t len, X509 *x, size_t index,
    int *alert)
{
	*alert = SSL_AD_BAD_CERTIFICATE;
	if (len != 1 || in[0] != ATLS_VERSION || x == NULL || index != 0 ||
	    a->verdict != ATLS_NOT_ASKED) {
		atls_why_set(a, "peer's certificate is none of ours");
		return 0;
	}
	if (!server_ok(a)) {
		*alert = SSL_AD_HANDSHAKE_FAILURE;
		return 0;
	}
	if (!keep_leaf(a, x) || ASYNC_get_current_job() == NULL) {
		*alert = SSL_AD_INTERNAL_ERROR;
		atls_why_set(a, "no memory to judge the peer");
		return 0;
	}
	a->verdict = ATLS_TO_ASK;
	while (a->verdict != ATLS_ANSWERED)
		(void)ASYNC_pause_job();
	if (a->alert == ATLS_ACCEPT)
		return 1;
	*alert = a->alert;
	atls_why_set(a, "we refused the peer: %s (alert %d)",
	    SSL_alert_desc_string_long(a->alert), a->alert);
	return 0;
}

static int
ext_parse(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char *in, size_t len, X509 *x, size_t index, int *alert,
    void *arg)
{
	struct atls *a = SSL_get_app_data(ssl);

	(void)type;
	(void)arg;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0)
		return take_leaf(a, in, len, x, index, alert);
	return take_nonce(a, in, len, alert);
}

/* --- what OpenSSL asks -------------------------------------------------- */

static bool
offers_tls13(SSL *ssl)
{
	const unsigned char *p;
	size_t n, i;

	if (SSL_client_hello_get0_ext(ssl, EXT_VERSIONS, &p, &n) != 1)
		return false;
	for (i = 1; i + 1 < n; i += 2)
		if (p[i] == 0x03 && p[i + 1] == 0x04)
			return true;
	return false;
}

static int
hello(SSL *ssl, int *alert, void *arg)
{
	struct atls *a = SSL_get_app_data(ssl);
	const unsigned char *p;
	size_t n;

	(void)arg;
	if (!offers_tls13(ssl)) {
		*alert = SSL_AD_PROTOCOL_VERSION;
		atls_why_set(a, "peer speaks TLS 1.2 only, or less");
	} else if (SSL_client_hello_get0_ext(ssl, EXT_PSK, &p, &n) == 1 ||
	    SSL_client_hello_get0_ext(ssl, EXT_EARLY_DATA, &p, &n) == 1) {
		*alert = SSL_AD_HANDSHAKE_FAILURE;
		atls_why_set(a, "peer tries to resume a session");
	} else if (SSL_client_hello_get0_ext(ssl, ATLS_EXTENSION, &p, &n) !=
	    1) {
		*alert = SSL_AD_HANDSHAKE_FAILURE;
		atls_why_set(a, "peer does not challenge us: no claw node");
	} else if (SSL_client_hello_get0_ext(ssl, EXT_ALPN, &p, &n) != 1) {
		*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
		atls_why_set(a, "peer does not say what it wants to speak");
	} else
		return SSL_CLIENT_HELLO_SUCCESS;
	return SSL_CLIENT_HELLO_ERROR;
}

/* What it wants in the first place, as far as that is a protocol of ours. */
static void
why_not_spoken(struct atls *a, const unsigned char *in, unsigned int inlen)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz-/0123456789";
	char name[ATLS_ALPN_SIZE] = "";

	if (inlen > 0 && in[0] < sizeof(name) && in[0] < inlen) {
		memcpy(name, in + 1, in[0]);
		name[in[0]] = '\0';
	}
	if (name[0] != '\0' && strlen(name) == in[0] &&
	    strspn(name, allowed) == in[0])
		atls_why_set(a,
		    "peer wants to speak %s, which we do not speak now "
		    "(alert %d)",
		    name, SSL_AD_NO_APPLICATION_PROTOCOL);
	else
		atls_why_set(a,
		    "peer wants to speak nothing that we speak (alert %d)",
		    SSL_AD_NO_APPLICATION_PROTOCOL);
}

static int
choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	struct atls *a = SSL_get_app_data(ssl);
	unsigned char *p;

	(void)arg;
	if (SSL_select_next_proto(&p, outlen, a->alpns,
		(unsigned int)a->alpns_len, in,
		inlen) == OPENSSL_NPN_NEGOTIATED &&
	    *outlen < sizeof(a->alpn)) {
		/* A server's leaf is for what was agreed on. */
		memcpy(a->alpn, p, *outlen);
		a->alpn[*outlen] = '\0';
		*out = p;
		return SSL_TLSEXT_ERR_OK;
	}
	why_not_spoken(a, in, inlen);
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int
give_cert(SSL *ssl, void *arg)
{
	struct atls *a = SSL_get_app_data(ssl);

	(void)arg;
	if (!a->have_nonce) {
		atls_why_set(a, "peer does not challenge us: no claw node");
		return 0;
	}
	if (a->leaf == ATLS_NOT_ASKED)
		a->leaf = ATLS_TO_ASK;
	if (a->leaf != ATLS_ANSWERED)
		return -1;
	if (a->x509 == NULL)
		return 0;
	if (SSL_use_certificate(ssl, a->x509) != 1 ||
	    SSL_use_PrivateKey(ssl, a->key) != 1) {
		atls_why_set(a, "our certificate is not for our key");
		return 0;
	}
	return 1;
}

static int
judged(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct atls *a = SSL_get_app_data(ssl);

	(void)arg;
	if (!server_ok(a)) {
		X509_STORE_CTX_set_error(store,
		    X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) != 1)
		atls_why_set(a, "peer sent more than one certificate");
	else if (a->verdict != ATLS_ANSWERED || a->alert != ATLS_ACCEPT)
		atls_why_set(a, "peer's certificate is none of ours");
	else {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

/*
 * After the handshake a peer may say KeyUpdate, within reason, and nothing
 * else but data: tickets and requests for certificates are not agreed on.
 * This cannot refuse; it leaves a reason, and the BIO reads no further.
 */
static void
heard(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
    void *arg)
{
	struct atls *a = SSL_get_app_data(ssl);
	const uint8_t *p = data;

	(void)version;
	(void)arg;
	if (sent || type != SSL3_RT_HANDSHAKE || len == 0)
		return;
	if (p[0] == SSL3_MT_CERTIFICATE_REQUEST)
		a->asked_for_us = true;
	if (a->state != ATLS_SECURED)
		return;
	if (p[0] != SSL3_MT_KEY_UPDATE)
		atls_why_set(a, "peer goes on with a handshake that is over");
	else if (++a->rekeys > ATLS_REKEYS + a->app_bytes / ATLS_REKEY_BYTES)
		atls_why_set(a, "peer changes its key again and again");
}

static void
alerted(const SSL *ssl, int where, int ret)
{
	struct atls *a = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
	    a->alert_in == -1)
		a->alert_in = ret & 0xff;
}

/* --- making it ---------------------------------------------------------- */

/*
 * Where OpenSSL is new enough, the hybrid group first, and a key share for
 * either, so that an older server need not ask again.
 */
static int
set_groups(SSL_CTX *c)
{
	if (SSL_CTX_set1_groups_list(c, "*X25519MLKEM768:*X25519") == 1)
		return 1;
	if (SSL_CTX_set1_groups_list(c, "X25519MLKEM768:X25519") == 1)
		return 1;
	ERR_clear_error();
	return SSL_CTX_set1_groups_list(c, "X25519") == 1;
}

static SSL_CTX *
make(void)
{
	SSL_CTX *c = SSL_CTX_new(TLS_method());

	if (c == NULL)
		return NULL;
	SSL_CTX_set_security_level(c, 2);
	SSL_CTX_clear_options(c, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	SSL_CTX_set_options(c,
	    SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
		SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_mode(c,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_max_cert_list(c, 2 * ATLS_LEAF_MAX);
	/* Several records at once: a flight is four. */
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
	    NULL);
	SSL_CTX_set_cert_verify_callback(c, judged, NULL);
	SSL_CTX_set_cert_cb(c, give_cert, NULL);
	SSL_CTX_set_info_callback(c, alerted);
	SSL_CTX_set_msg_callback(c, heard);
	if (SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(c, 0) != 1 ||
	    SSL_CTX_set_max_early_data(c, 0) != 1 ||
	    SSL_CTX_set_recv_max_early_data(c, 0) != 1 ||
	    SSL_CTX_set_ciphersuites(c,
		"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
		"TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_sigalgs_list(c, "ECDSA+SHA256") != 1 ||
	    SSL_CTX_set1_client_sigalgs_list(c, "ECDSA+SHA256") != 1 ||
	    set_groups(c) != 1 ||
	    SSL_CTX_add_custom_ext(c, ATLS_EXTENSION, CONTEXTS, ext_add,
		ext_free, NULL, ext_parse, NULL) != 1) {
		SSL_CTX_free(c);
		return NULL;
	}
	return c;
}

int
atls_tls_prefer_fast(struct atls_ctx *ctx)
{
	return SSL_CTX_set_ciphersuites(ctx->tls,
		   "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
		   "TLS_CHACHA20_POLY1305_SHA256") == 1 ?
	    0 :
	    -EIO;
}

int
atls_tls_detach(struct atls *a)
{
	a->batch = malloc(BATCH);
	if (a->batch == NULL)
		return -ENOMEM;
	SSL_clear_mode(a->ssl,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_set_mode(a->ssl, SSL_MODE_AUTO_RETRY);
	return 0;
}

int
atls_tls_init(struct atls_ctx *ctx)
{
	uint8_t byte;

	/* Nobody's openssl.cnf decides here. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG |
		    OPENSSL_INIT_LOAD_SSL_STRINGS |
		    OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
		NULL) != 1)
		return -EIO;
	ctx->bio =
	    BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "atls");
	if (ctx->bio == NULL || BIO_meth_set_read(ctx->bio, bio_read) != 1 ||
	    BIO_meth_set_write(ctx->bio, bio_write) != 1 ||
	    BIO_meth_set_ctrl(ctx->bio, bio_ctrl) != 1)
		return -ENOMEM;
	/* Of either role: making one costs as much as a handshake. */
	ctx->tls = make();
	if (ctx->tls == NULL)
		return -EIO;
	SSL_CTX_set_client_hello_cb(ctx->tls, hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx->tls, choose_alpn, NULL);
	if (RAND_bytes(&byte, 1) != 1 || RAND_priv_bytes(&byte, 1) != 1 ||
	    ASYNC_init_thread(0, 0) != 1)
		return -EIO;
	return 0;
}

void
atls_tls_fini(struct atls_ctx *ctx)
{
	SSL_CTX_free(ctx->tls);
	BIO_meth_free(ctx->bio);
	ASYNC_cleanup_thread();
}

int
atls_tls_new(struct atls *a)
{
	bool client = a->role == ATLS_CLIENT;
	BIO *b;

	a->ssl = SSL_new(a->ctx->tls);
	if (a->ssl == NULL)
		return -ENOMEM;
	SSL_set_app_data(a->ssl, a);
	b = BIO_new(a->ctx->bio);
	if (b == NULL)
		return -ENOMEM;
	BIO_set_data(b, a);
	BIO_set_init(b, 1);
	SSL_set_bio(a->ssl, b, b);
	SSL_set_mode(a->ssl, SSL_MODE_ASYNC);
	if (!client) {
		SSL_set_accept_state(a->ssl);
		return 0;
	}
	SSL_set_connect_state(a->ssl);
	/* 0 means that it worked. */
	return SSL_set_alpn_protos(a->ssl, a->alpns,
		   (unsigned int)a->alpns_len) == 0 ?
	    0 :
	    -ENOMEM;
}

bool
atls_tls_complete(struct atls *a)
{
	const unsigned char *p;
	unsigned int n;

	if (!server_ok(a))
		return false;
	SSL_get0_alpn_selected(a->ssl, &p, &n);
	if (n == 0 || n >= sizeof(a->alpn) || a->x509 == NULL ||
	    a->verdict != ATLS_ANSWERED || a->alert != ATLS_ACCEPT ||
	    SSL_version(a->ssl) != TLS1_3_VERSION ||
	    SSL_session_reused(a->ssl)) {
		atls_why_set(a, "the handshake left something out");
		return false;
	}
	memcpy(a->alpn, p, n);
	a->alpn[n] = '\0';
	SSL_clear_mode(a->ssl, SSL_MODE_ASYNC);
	/*
	 * From now on many records at once, and no buffer while there are none.
	 * In a handshake that would be most of what malloc(3) has to do.
	 */
	SSL_set_mode(a->ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_set_default_read_buffer_len(a->ssl, READ_BUFFER);
	return true;
}
