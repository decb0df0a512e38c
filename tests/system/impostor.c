/* SPDX-License-Identifier: ISC */
/*
 * impostor.c - the other end of a link, with one thing wrong.
 *
 *	impostor connect ADDR:PORT [KEY=VALUE...]
 *	impostor listen ADDR:PORT [KEY=VALUE...]
 *	impostor key HEX
 *
 * Speaks the protocol with OpenSSL alone, and none of the house's TLS, so that
 * it can break each rule of it. lie=NAME says which; without one it is as
 * good a node as its key is. key prints the identity of a seed. listen first
 * prints its port as JSON, and takes one connection. The last line is what it
 * saw, as JSON, too: the alert that came, how many bytes of data and which
 * frames, and how it ended.
 *
 *	seed=HEX	its Ed25519 identity
 *	name= peer=	in the evidence; peer=- is nobody, or who it is
 *	purpose= role=	in the evidence, as numbers
 *	seq= head= caps=	its registry: number, hex, mask
 *	alpn=		instead of claw-mesh/1
 *	nonce=HEX	its challenge, else random
 *	lie=		see the table of lies
 *	welcome=	field of WELCOME that differs; "none": it sends none
 *	early=		frame that it sends before any WELCOME
 *	then=		frame that it sends when both have said WELCOME
 *	again=		what is wrong when it is challenged again: nonce,
 *prover, key, name, purpose, peer, replay; "silent" keep=FILE	keeps the leaf
 *that it shows, with its key show=FILE	shows the leaf that was kept
 *	via=ADDR:PORT	for mirror: whose leaf it shows as its own
 *	from=ADDR	where it dials from
 *	wait=MS		for the end; 3000
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/capability.h"
#include "common/evidence.h"
#include "common/identity.h"
#include "common/welcome.h"

#define EXTENSION 0xff41
#define EXTENSION_VERSION 1
#define EXPORTER "EXPORTER-claw-session"
#define FRAMES_MAX 64
#define PING 2
#define PONG 3
#define CHALLENGE 7
#define EVIDENCE 8

enum lie {
	HONEST,
	/* evidence */
	NONCE,	     /* for another challenge */
	PROVER,	     /* another session's challenge of its own */
	MIRROR,	     /* the leaf that via= makes for the node's challenge */
	REFLECT,     /* as a client: the server's own leaf */
	KEYMISMATCH, /* the key that signs is not the one certified */
	NOTLEAF,     /* a certificate like any other */
	TWOCERTS,
	NOCERT,
	/* TLS */
	NOASK,	/* asks for no certificate */
	NOEXT,	/* does not challenge */
	BADEXT, /* a challenge of another version */
	NOALPN,
	TLS12,
	PSK,	 /* would resume */
	EARLY,	 /* and says something at once */
	TICKETS, /* a server that would resume later */
	/* no TLS */
	HTTP,
	GARBAGE,
	RECORD,	  /* a head of TLS, then garbage */
	HELLO12,  /* a ServerHello of TLS 1.2 */
	SILENT,	  /* says nothing at all */
	MIDCLOSE, /* goes in mid-handshake */
	LIES
};

static const char *const lies[LIES] = { [HONEST] = "none",
	[NONCE] = "nonce",
	[PROVER] = "prover",
	[MIRROR] = "mirror",
	[REFLECT] = "reflect",
	[KEYMISMATCH] = "keymismatch",
	[NOTLEAF] = "notleaf",
	[TWOCERTS] = "twocerts",
	[NOCERT] = "nocert",
	[NOASK] = "noask",
	[NOEXT] = "noext",
	[BADEXT] = "badext",
	[NOALPN] = "noalpn",
	[TLS12] = "tls12",
	[PSK] = "psk",
	[EARLY] = "early",
	[TICKETS] = "tickets",
	[HTTP] = "http",
	[GARBAGE] = "garbage",
	[RECORD] = "record",
	[HELLO12] = "hello12",
	[SILENT] = "silent",
	[MIDCLOSE] = "midclose" };

static struct {
	bool client;
	enum lie lie;
	EVP_PKEY *identity;
	struct evidence ev;
	uint64_t caps;
	bool peer_given;
	const char *alpn, *welcome, *early, *then, *again, *keep, *show, *via,
	    *from;
	int wait_ms;
} opt = { .alpn = "claw-mesh/1",
	.welcome = "",
	.early = "",
	.then = "",
	.again = "",
	.wait_ms = 3000 };

/* One connection; a mirror has two. */
struct conn {
	bool client;
	bool plain; /* no lies: the second one of a mirror */
	SSL *ssl;
	EVP_PKEY *key;
	X509 *leaf;
	uint8_t nonce[32], peer_nonce[32];
	bool challenged;
};

static struct {
	bool handshake;
	int alert; /* that came, or -1 */
	unsigned long bytes;
	int frames[FRAMES_MAX];
	int frames_n;
	const char *end;
	char peer[EVIDENCE_NAME_SIZE];
} saw = { .alert = -1, .end = "open" };

__attribute__((noreturn)) static void
die(const char *what)
{
	fprintf(stderr, "impostor: %s: %s\n", what,
	    errno != 0 ? strerror(errno) : "");
	ERR_print_errors_fp(stderr);
	exit(2);
}

__attribute__((noreturn)) static void
report(void)
{
	int i;

	printf("{\"handshake\":%s,\"alert\":%d,\"bytes\":%lu,\"frames\":[",
	    saw.handshake ? "true" : "false", saw.alert, saw.bytes);
	for (i = 0; i < saw.frames_n; i++)
		printf("%s%d", i == 0 ? "" : ",", saw.frames[i]);
	printf("],\"end\":\"%s\",\"peer\":\"%s\"}\n", saw.end, saw.peer);
	exit(0);
}

/* Evidence. */

static void
get_name(const char *value, char out[EVIDENCE_NAME_SIZE])
{
	snprintf(out, EVIDENCE_NAME_SIZE, "%s",
	    strcmp(value, "-") == 0 ? "" : value);
}

static void
fresh_key(struct conn *c)
{
	uint8_t *p = opt.ev.spki;

	c->key = EVP_EC_gen("P-256");
	if (c->key == NULL || i2d_PUBKEY(c->key, &p) != EVIDENCE_SPKI_LEN)
		die("key");
}

/* A key pair whose halves do not belong together. */
static EVP_PKEY *
mismatched(const EVP_PKEY *public)
{
	EVP_PKEY *other = EVP_EC_gen("P-256"), *out = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params;
	BIGNUM *secret = NULL;
	uint8_t point[65];
	size_t n;

	if (EVP_PKEY_get_octet_string_param(public, OSSL_PKEY_PARAM_PUB_KEY,
		point, sizeof(point), &n) != 1 ||
	    EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_PRIV_KEY, &secret) !=
		1 ||
	    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME,
		"prime256v1", 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point,
		n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, secret) != 1)
		die("mismatched key");
	params = OSSL_PARAM_BLD_to_param(b);
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &out, EVP_PKEY_KEYPAIR, params) != 1)
		die("mismatched key");
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(other);
	BN_free(secret);
	return out;
}

static X509 *
leaf_of(const uint8_t *der, size_t len)
{
	const uint8_t *p = der;
	X509 *x = d2i_X509(NULL, &p, (long)len);

	if (x == NULL)
		die("leaf");
	return x;
}

static X509 *
issue(const struct evidence *ev)
{
	uint8_t tbs[EVIDENCE_TBS_MAX], cert[EVIDENCE_CERT_MAX];
	uint8_t sig[EVIDENCE_SIG_LEN];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t siglen = sizeof(sig);
	ssize_t n;

	n = evidence_tbs(ev, tbs, sizeof(tbs));
	if (n < 0)
		die("no such evidence can be made");
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, opt.identity) != 1 ||
	    EVP_DigestSign(ctx, sig, &siglen, tbs, (size_t)n) != 1)
		die("signature");
	EVP_MD_CTX_free(ctx);
	n = evidence_cert(tbs, (size_t)n, sig, cert, sizeof(cert));
	if (n < 0)
		die("certificate");
	return leaf_of(cert, (size_t)n);
}

/* A certificate like any other: of its own key, by its own key. */
static X509 *
ordinary(EVP_PKEY *key)
{
	X509 *x = X509_new();

	if (x == NULL || X509_set_version(x, 2) != 1 ||
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), 600) == NULL ||
	    X509_set_pubkey(x, key) != 1 ||
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
		MBSTRING_ASC, (const uint8_t *)"localhost", -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 ||
	    X509_sign(x, key, EVP_sha256()) == 0)
		die("certificate");
	return x;
}

/* The name in the leaf that the other end showed, if it showed one. */
static bool
peer_evidence(SSL *ssl, struct evidence *ev)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	uint8_t der[EVIDENCE_CERT_MAX * 2], sig[EVIDENCE_SIG_LEN], *p = der;
	int len = x == NULL ? 0 : i2d_X509(x, NULL);

	if (len <= 0 || (size_t)len > sizeof(der) || i2d_X509(x, &p) != len)
		return false;
	return evidence_parse(der, (size_t)len, ev, sig) == 0;
}

static void
fill(struct conn *c)
{
	struct evidence theirs, *ev = &opt.ev;

	if (!opt.peer_given && c->client && peer_evidence(c->ssl, &theirs))
		memcpy(ev->peer, theirs.name, sizeof(ev->peer));
	if (ev->role == 0)
		ev->role = c->client ? EVIDENCE_CLIENT : EVIDENCE_SERVER;
	ev->not_before = time(NULL) - 300;
	ev->not_after = ev->not_before + 600;
	memcpy(ev->verifier_nonce, c->peer_nonce, 32);
	memcpy(ev->prover_nonce, c->nonce, 32);
	if (capability_digest(opt.caps, ev->caps) != 0)
		die("capabilities");
	if (opt.lie == NONCE)
		ev->verifier_nonce[0] ^= 1;
	if (opt.lie == PROVER)
		ev->prover_nonce[0] ^= 1;
}

static void
keep(const struct conn *c)
{
	FILE *f = fopen(opt.keep, "w");

	if (f == NULL || PEM_write_X509(f, c->leaf) != 1 ||
	    PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(f) != 0)
		die(opt.keep);
}

static void
take_kept(struct conn *c)
{
	FILE *f = fopen(opt.show, "r");

	if (f == NULL || (c->leaf = PEM_read_X509(f, NULL, NULL, NULL)) == NULL)
		die(opt.show);
	EVP_PKEY_free(c->key);
	c->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	if (c->key == NULL)
		die(opt.show);
	fclose(f);
}

/* A leaf whose key it does not have. */
static void
take_foreign(struct conn *c, X509 *x)
{
	if (x == NULL)
		die("there is no leaf to show");
	c->leaf = X509_dup(x);
	EVP_PKEY_free(c->key);
	c->key = mismatched(X509_get0_pubkey(x));
}

static void mirror(struct conn *c);

static void
make_leaf(struct conn *c)
{
	EVP_PKEY *other;

	if (opt.show != NULL)
		take_kept(c);
	else if (opt.lie == REFLECT)
		take_foreign(c, SSL_get0_peer_certificate(c->ssl));
	else if (opt.lie == MIRROR)
		mirror(c);
	else if (opt.lie == NOTLEAF)
		c->leaf = ordinary(c->key);
	else {
		fill(c);
		c->leaf = issue(&opt.ev);
	}
	if (opt.lie == KEYMISMATCH) {
		other = mismatched(c->key);
		EVP_PKEY_free(c->key);
		c->key = other;
	}
	if (opt.keep != NULL)
		keep(c);
}

/* TLS. */

static int
give_cert(SSL *ssl, void *arg)
{
	struct conn *c = SSL_get_app_data(ssl);

	(void)arg;
	if (c->plain || (opt.lie == NOCERT && c->client))
		return 1;
	if (c->leaf == NULL)
		make_leaf(c);
	if (SSL_use_certificate(ssl, c->leaf) != 1 ||
	    SSL_use_PrivateKey(ssl, c->key) != 1)
		die("certificate and key");
	if (opt.lie == TWOCERTS && SSL_add1_chain_cert(ssl, c->leaf) != 1)
		die("two certificates");
	return 1;
}

static int
ext_add(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char **out, size_t *len, X509 *x, size_t index, int *alert,
    void *arg)
{
	static uint8_t challenge[33], mark = EXTENSION_VERSION;
	struct conn *c = SSL_get_app_data(ssl);

	(void)type;
	(void)x;
	(void)alert;
	(void)arg;
	if (opt.lie == NOEXT && !c->plain)
		return 0;
	*out = &mark;
	*len = 1;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0)
		return index == 0;
	challenge[0] = EXTENSION_VERSION;
	if (opt.lie == BADEXT && !c->plain)
		challenge[0]++;
	memcpy(challenge + 1, c->nonce, 32);
	*out = challenge;
	*len = sizeof(challenge);
	return 1;
}

static int
ext_parse(SSL *ssl, unsigned int type, unsigned int context,
    const unsigned char *in, size_t len, X509 *x, size_t index, int *alert,
    void *arg)
{
	struct conn *c = SSL_get_app_data(ssl);

	(void)type;
	(void)x;
	(void)index;
	(void)alert;
	(void)arg;
	if ((context & SSL_EXT_TLS1_3_CERTIFICATE) != 0 || len != 33)
		return 1;
	memcpy(c->peer_nonce, in + 1, 32);
	c->challenged = true;
	return 1;
}

static int
anybody(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static void
on_info(const SSL *ssl, int where, int ret)
{
	const struct conn *c = SSL_get_app_data(ssl);

	if (!c->plain && saw.alert == -1 &&
	    (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
	    (ret & 0xff) != SSL_AD_CLOSE_NOTIFY)
		saw.alert = ret & 0xff;
}

static int
choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	(void)ssl;
	(void)arg;
	if (opt.lie == NOALPN || inlen < 1)
		return SSL_TLSEXT_ERR_NOACK;
	*out = in + 1;
	*outlen = in[0];
	return SSL_TLSEXT_ERR_OK;
}

/* A session that there never was. */
static int
old_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *idlen,
    SSL_SESSION **sess)
{
	static const uint8_t cipher[] = { 0x13, 0x01 }, secret[32] = { 7 };
	static const uint8_t name[] = "ticket";
	SSL_SESSION *s = SSL_SESSION_new();

	(void)md;
	if (s == NULL ||
	    SSL_SESSION_set1_master_key(s, secret, sizeof(secret)) != 1 ||
	    SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, cipher)) != 1 ||
	    SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) != 1 ||
	    SSL_SESSION_set_max_early_data(s, opt.lie == EARLY ? 1024 : 0) != 1)
		die("session");
	*id = name;
	*idlen = sizeof(name);
	*sess = s;
	return 1;
}

static SSL_CTX *
context(const struct conn *c)
{
	SSL_CTX *ctx =
	    SSL_CTX_new(c->client ? TLS_client_method() : TLS_server_method());
	enum lie lie = c->plain ? HONEST : opt.lie;
	int version = lie == TLS12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, lie == TICKETS ? 2 : 0) != 1 ||
	    SSL_CTX_add_custom_ext(ctx, EXTENSION,
		SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_CERTIFICATE_REQUEST |
		    SSL_EXT_TLS1_3_CERTIFICATE,
		ext_add, NULL, NULL, ext_parse, NULL) != 1)
		die("TLS");
	SSL_CTX_set_verify(ctx,
	    lie == NOASK ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, anybody, NULL);
	SSL_CTX_set_cert_cb(ctx, give_cert, NULL);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	if (c->client && (lie == PSK || lie == EARLY))
		SSL_CTX_set_psk_use_session_callback(ctx, old_session);
	return ctx;
}

static void
make_ssl(struct conn *c, int fd)
{
	uint8_t alpn[64];
	size_t n = strlen(opt.alpn);

	if (n >= sizeof(alpn))
		die("alpn");
	alpn[0] = (uint8_t)n;
	memcpy(alpn + 1, opt.alpn, n);
	c->ssl = SSL_new(context(c));
	if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
		die("TLS");
	SSL_set_app_data(c->ssl, c);
	if (c->client && (opt.lie != NOALPN || c->plain) &&
	    SSL_set_alpn_protos(c->ssl, alpn, (unsigned int)n + 1) != 0)
		die("alpn");
}

/* Sockets. */

static void
parse_address(const char *text, struct sockaddr_in *out)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];
	size_t n = colon == NULL ? strlen(text) : (size_t)(colon - text);

	memset(out, 0, sizeof(*out));
	out->sin_family = AF_INET;
	if (n >= sizeof(host))
		die(text);
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
		die(text);
	if (colon != NULL)
		out->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
}

static void
set_timeout(int fd)
{
	struct timeval tv = { opt.wait_ms / 1000, (opt.wait_ms % 1000) * 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) != 0)
		die("setsockopt");
}

static int
dial(const char *where)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sin;

	if (fd == -1)
		die("socket");
	set_timeout(fd);
	if (opt.from != NULL) {
		parse_address(opt.from, &sin);
		if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
			die(opt.from);
	}
	parse_address(where, &sin);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		die(where);
	return fd;
}

static int
wait_for_caller(const char *where)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), in, on = 1;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	parse_address(where, &sin);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    listen(fd, 4) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		die(where);
	printf("{\"port\":%u}\n", ntohs(sin.sin_port));
	fflush(stdout);
	if (poll(&pfd, 1, 30000) != 1) {
		saw.end = "nobody";
		report();
	}
	in = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (in == -1)
		die("accept");
	close(fd);
	set_timeout(in);
	return in;
}

/*
 * What via= answers to the challenge that we got is shown as ours: its leaf
 * is for this challenge, so ours is made the one that it names.
 */
static void
mirror(struct conn *c)
{
	struct conn second = { .client = true, .plain = true };

	if (c->client)
		die("only a server can mirror");
	memcpy(second.nonce, c->peer_nonce, 32);
	make_ssl(&second, dial(opt.via));
	(void)SSL_connect(second.ssl);
	ERR_clear_error();
	memcpy(c->nonce, second.peer_nonce, 32);
	take_foreign(c, SSL_get0_peer_certificate(second.ssl));
	(void)close(SSL_get_fd(second.ssl));
}

/* Frames. */

static void
ended(const struct conn *c, int r)
{
	int e = SSL_get_error(c->ssl, r);

	if (saw.alert != -1)
		saw.end = "alert";
	else if (e == SSL_ERROR_ZERO_RETURN)
		saw.end = "closed";
	else if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ||
	    (e == SSL_ERROR_SYSCALL && errno == EAGAIN))
		saw.end = "open";
	else if (e == SSL_ERROR_SYSCALL ||
	    ERR_GET_REASON(ERR_peek_error()) ==
		SSL_R_UNEXPECTED_EOF_WHILE_READING)
		saw.end = "reset";
	else
		saw.end = "failed";
}

/* All n bytes, or false with the end noted. */
static bool
get(struct conn *c, uint8_t *p, size_t n)
{
	int r;

	while (n > 0) {
		ERR_clear_error();
		r = SSL_read(c->ssl, p, (int)n);
		if (r <= 0) {
			ended(c, r);
			return false;
		}
		saw.bytes += (unsigned long)r;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

static bool
put(struct conn *c, const uint8_t *p, size_t n)
{
	int r;

	ERR_clear_error();
	r = SSL_write(c->ssl, p, (int)n);
	if (r <= 0)
		ended(c, r);
	return r > 0;
}

/* Reads a frame; 0: no more. */
static uint8_t
next_frame(struct conn *c, uint8_t *frame, size_t size, size_t *len)
{
	uint32_t body;
	uint8_t type;

	if (!get(c, frame, FRAME_HEAD_LEN))
		return 0;
	frame_head_get(frame, &type, &body);
	if (FRAME_HEAD_LEN + body > size)
		die("a frame that is too long");
	if (saw.frames_n < FRAMES_MAX)
		saw.frames[saw.frames_n++] = type;
	*len = FRAME_HEAD_LEN + body;
	return get(c, frame + FRAME_HEAD_LEN, body) ? type : 0;
}

/* PING, PULL, HAVE or JOIN, as the house knows them. */
static void
say(struct conn *c, const char *what)
{
	static const struct {
		const char *name;
		uint8_t type;
		uint32_t len;
	} table[] = { { "ping", 2, 8 }, { "have", 4, 40 }, { "pull", 5, 9 },
		{ "evidence", 8, 600 }, { "join", 9, 300 }, { "bye", 11, 1 },
		{ "unknown", 77, 5 }, { "huge", 6, 0xffffff } };
	uint8_t out[FRAME_HEAD_LEN + 1024] = { 0 };
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].name, what) == 0)
			break;
	if (i == sizeof(table) / sizeof(table[0]))
		die(what);
	frame_head_put(out, table[i].type, table[i].len);
	(void)put(c, out,
	    FRAME_HEAD_LEN + (table[i].len > 1024 ? 1024 : table[i].len));
}

static bool
hash_of(const X509 *x, uint8_t out[32])
{
	uint8_t der[EVIDENCE_CERT_MAX * 2], *p = der;
	int len = x == NULL ? 0 : i2d_X509(x, NULL);

	return len > 0 && (size_t)len <= sizeof(der) &&
	    i2d_X509(x, &p) == len && evidence_hash(der, (size_t)len, out) == 0;
}

static void
say_welcome(struct conn *c)
{
	static uint8_t out[WELCOME_FRAME_MAX];
	static struct welcome w;
	const char *lie = opt.welcome;
	uint8_t context[64];
	ssize_t n;

	if (!hash_of(c->leaf, w.own_leaf) ||
	    !hash_of(SSL_get0_peer_certificate(c->ssl), w.peer_leaf))
		return;
	memcpy(context, c->client ? w.own_leaf : w.peer_leaf, 32);
	memcpy(context + 32, c->client ? w.peer_leaf : w.own_leaf, 32);
	if (SSL_export_keying_material(c->ssl, w.exporter, 32, EXPORTER,
		sizeof(EXPORTER) - 1, context, sizeof(context), 1) != 1)
		die("exporter");
	w.role = c->client ? EVIDENCE_CLIENT : EVIDENCE_SERVER;
	w.seq = opt.ev.seq;
	memcpy(w.head, opt.ev.head, 32);
	if (strcmp(lie, "role") == 0)
		w.role = c->client ? EVIDENCE_SERVER : EVIDENCE_CLIENT;
	w.head[5] ^= strcmp(lie, "head") == 0;
	w.own_leaf[0] ^= strcmp(lie, "own") == 0;
	w.peer_leaf[31] ^= strcmp(lie, "peer") == 0;
	w.exporter[17] ^= strcmp(lie, "exporter") == 0;
	n = welcome_format(&w, out, sizeof(out));
	if (n < 0)
		die("WELCOME");
	if (strcmp(lie, "type") == 0)
		out[0] = 2;
	if (strcmp(lie, "short") == 0)
		out[3]--;
	if (strcmp(lie, "checkpoint") == 0)
		out[n - 1] = 1; /* more of it than there is */
	if (strcmp(lie, "none") != 0)
		(void)put(c, out, (size_t)n);
}

/* The leaf that answers a challenge within a session, or would. */
static void
prove_again(struct conn *c, const uint8_t challenge[32])
{
	uint8_t out[FRAME_HEAD_LEN + EVIDENCE_CERT_MAX], *p;
	struct evidence theirs, ev = opt.ev;
	EVP_PKEY *other = EVP_EC_gen("P-256");
	X509 *x;
	int len;

	memcpy(ev.verifier_nonce, challenge, 32);
	if (peer_evidence(c->ssl, &theirs))
		memcpy(ev.peer, theirs.name, sizeof(ev.peer));
	ev.verifier_nonce[0] ^= strcmp(opt.again, "nonce") == 0;
	ev.prover_nonce[0] ^= strcmp(opt.again, "prover") == 0;
	p = ev.spki;
	if (strcmp(opt.again, "key") == 0 &&
	    i2d_PUBKEY(other, &p) != EVIDENCE_SPKI_LEN)
		die("key");
	if (strcmp(opt.again, "name") == 0)
		get_name("late", ev.name);
	if (strcmp(opt.again, "peer") == 0)
		get_name("late", ev.peer);
	if (strcmp(opt.again, "purpose") == 0)
		ev.purpose = EVIDENCE_REGISTRY;
	x = strcmp(opt.again, "replay") == 0 ? X509_dup(c->leaf) : issue(&ev);
	len = i2d_X509(x, NULL);
	p = out + FRAME_HEAD_LEN;
	if (len <= 0 || len > EVIDENCE_CERT_MAX || i2d_X509(x, &p) != len)
		die("leaf");
	frame_head_put(out, EVIDENCE, (uint32_t)len);
	if (strcmp(opt.again, "silent") != 0)
		(void)put(c, out, FRAME_HEAD_LEN + (size_t)len);
	X509_free(x);
	EVP_PKEY_free(other);
}

/* After the handshake: until the other end is done with us. */
static void
talk(struct conn *c)
{
	static uint8_t frame[1 << 16];
	size_t len;
	uint8_t type;

	if (opt.early[0] != '\0')
		say(c, opt.early);
	if (!c->client)
		say_welcome(c);
	do
		type = next_frame(c, frame, sizeof(frame), &len);
	while (type != 0 && type != FRAME_WELCOME);
	if (type == FRAME_WELCOME && c->client)
		say_welcome(c);
	if (type == FRAME_WELCOME && opt.then[0] != '\0')
		say(c, opt.then);
	while (type != 0) {
		type = next_frame(c, frame, sizeof(frame), &len);
		if (type == PING) {
			frame[0] = PONG;
			(void)put(c, frame, len);
		} else if (type == CHALLENGE)
			prove_again(c, frame + FRAME_HEAD_LEN);
	}
}

/* What is no TLS at all. */

static void
say_raw(int fd, const void *p, size_t n)
{
	(void)send(fd, p, n, MSG_NOSIGNAL);
}

static void
raw(int fd)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: node\r\n\r\n";
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	/* Version 1.2, nothing of an extension, a cipher of it. */
	static const uint8_t hello12[] = { 22, 3, 3, 0, 42, 2, 0, 0, 38, 3,
		3, [43] = 0, 0xc0, 0x2b, 0 };
	uint8_t bytes[512];
	ssize_t n = 1;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		die("random");
	bytes[0] = 0xc3;
	if (opt.lie == HELLO12 || (opt.lie == MIDCLOSE && !opt.client))
		n = recv(fd, bytes, sizeof(bytes), 0);
	if (opt.lie == RECORD)
		memcpy(bytes, "\x16\x03\x01\x01\xf0", 5);
	if (opt.lie == HTTP)
		say_raw(fd, opt.client ? http : answer,
		    opt.client ? sizeof(http) - 1 : sizeof(answer) - 1);
	else if (opt.lie == HELLO12)
		say_raw(fd, hello12, sizeof(hello12));
	else if (opt.lie == GARBAGE || opt.lie == RECORD)
		say_raw(fd, bytes, sizeof(bytes));
	saw.end = "open";
	while (opt.lie != MIDCLOSE && n > 0) {
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n == 0)
			saw.end = "closed";
		else if (n < 0)
			saw.end = errno == EAGAIN ? "open" : "reset";
		else if (n == 7 && bytes[0] == 21)
			saw.alert = bytes[6];
	}
	close(fd);
	report();
}

static void
go_in_the_middle(struct conn *c, int fd)
{
	/* It speaks, and hears nothing. */
	SSL_set0_rbio(c->ssl, BIO_new(BIO_s_mem()));
	(void)SSL_connect(c->ssl);
	close(fd);
	report();
}

static void
handshake(struct conn *c)
{
	size_t n;
	int r;

	if (opt.lie == EARLY &&
	    SSL_write_early_data(c->ssl, "\x02\x00\x00\x08", 4, &n) != 1)
		die("early data");
	ERR_clear_error();
	errno = 0;
	r = c->client ? SSL_connect(c->ssl) : SSL_accept(c->ssl);
	if (r == 1)
		saw.handshake = true;
	else
		ended(c, r);
}

/* Arguments. */

static void
get_hex(const char *text, uint8_t out[32])
{
	unsigned int byte;
	size_t i;

	if (strlen(text) != 64)
		die(text);
	for (i = 0; i < 32; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			die(text);
		out[i] = (uint8_t)byte;
	}
}

static void
get_lie(const char *name)
{
	for (opt.lie = 0; opt.lie < LIES; opt.lie++)
		if (strcmp(lies[opt.lie], name) == 0)
			return;
	die(name);
}

static void
get_option(const char *key, const char *value, uint8_t nonce[32])
{
	const struct {
		const char *key;
		const char **out;
	} texts[] = { { "alpn", &opt.alpn }, { "welcome", &opt.welcome },
		{ "early", &opt.early }, { "then", &opt.then },
		{ "again", &opt.again }, { "keep", &opt.keep },
		{ "show", &opt.show }, { "via", &opt.via },
		{ "from", &opt.from } };
	uint8_t seed[32];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(key, texts[i].key) == 0) {
			*texts[i].out = value;
			return;
		}
	if (strcmp(key, "seed") == 0) {
		get_hex(value, seed);
		opt.identity = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519,
		    NULL, seed, sizeof(seed));
	} else if (strcmp(key, "name") == 0)
		get_name(value, opt.ev.name);
	else if (strcmp(key, "peer") == 0) {
		opt.peer_given = true;
		get_name(value, opt.ev.peer);
	} else if (strcmp(key, "purpose") == 0)
		opt.ev.purpose = (uint8_t)strtoul(value, NULL, 10);
	else if (strcmp(key, "role") == 0)
		opt.ev.role = (uint8_t)strtoul(value, NULL, 10);
	else if (strcmp(key, "seq") == 0)
		opt.ev.seq = strtoull(value, NULL, 10);
	else if (strcmp(key, "head") == 0)
		get_hex(value, opt.ev.head);
	else if (strcmp(key, "caps") == 0)
		opt.caps = strtoull(value, NULL, 0);
	else if (strcmp(key, "nonce") == 0)
		get_hex(value, nonce);
	else if (strcmp(key, "lie") == 0)
		get_lie(value);
	else if (strcmp(key, "wait") == 0)
		opt.wait_ms = atoi(value);
	else
		die(key);
}

static void
get_options(int argc, char **argv, struct conn *c)
{
	char *value;
	int i;

	if (argc < 3 ||
	    (strcmp(argv[1], "connect") != 0 && strcmp(argv[1], "listen") != 0))
		die("usage: impostor connect|listen ADDR:PORT [KEY=VALUE...]");
	opt.client = c->client = strcmp(argv[1], "connect") == 0;
	opt.ev.purpose = EVIDENCE_MESH;
	get_name("impostor", opt.ev.name);
	if (RAND_bytes(c->nonce, sizeof(c->nonce)) != 1)
		die("random");
	for (i = 3; i < argc; i++) {
		value = strchr(argv[i], '=');
		if (value == NULL)
			die(argv[i]);
		*value++ = '\0';
		get_option(argv[i], value, c->nonce);
	}
	if (opt.identity == NULL)
		opt.identity = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static int
print_key(const char *seed)
{
	uint8_t bytes[32], pub[IDENTITY_LEN];
	char text[IDENTITY_TEXT_SIZE];
	size_t n = sizeof(pub);
	EVP_PKEY *key;

	get_hex(seed, bytes);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes,
	    sizeof(bytes));
	if (key == NULL || EVP_PKEY_get_raw_public_key(key, pub, &n) != 1)
		die("key");
	EVP_PKEY_free(key);
	identity_text(pub, text);
	puts(text);
	return 0;
}

int
main(int argc, char **argv)
{
	struct conn c = { 0 };
	struct evidence theirs;
	int fd;

	if (argc == 3 && strcmp(argv[1], "key") == 0)
		return print_key(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	get_options(argc, argv, &c);
	fd = opt.client ? dial(argv[2]) : wait_for_caller(argv[2]);
	if ((opt.lie >= HTTP && opt.lie < MIDCLOSE) ||
	    (opt.lie == MIDCLOSE && !opt.client))
		raw(fd);
	fresh_key(&c);
	make_ssl(&c, fd);
	if (opt.lie == MIDCLOSE)
		go_in_the_middle(&c, fd);
	handshake(&c);
	if (saw.handshake)
		talk(&c);
	if (peer_evidence(c.ssl, &theirs))
		memcpy(saw.peer, theirs.name, sizeof(saw.peer));
	report();
}
