/* SPDX-License-Identifier: ISC */
/*
 * atls_leaf.c - our own leaf, as OpenSSL wants to have it.
 *
 * d2i_X509() decodes the certificate's public key, which takes longer than
 * all the rest of an X509 and more than signing it. Here the key is known
 * long before the leaf: a blank with that key is made when the key is, and
 * what keyd has filled in is put there. If what comes out is not to the byte
 * what keyd signed, the leaf is read as any other.
 */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/x509.h>

#include "common/atls_int.h"
#include "common/evidence.h"

static int blank_index = -1; /* of what a key has with it */

static void
blank_free(void *key, void *blank, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	(void)key;
	(void)ad;
	(void)index;
	(void)argl;
	(void)argp;
	X509_free(blank);
}

ssize_t
atls_unsigned(struct evidence *ev, uint8_t *out, size_t size)
{
	uint8_t tbs[EVIDENCE_TBS_MAX], sig[EVIDENCE_SIG_LEN] = { 0 };
	ssize_t n;

	memcpy(ev->name, "nobody", sizeof("nobody"));
	ev->purpose = EVIDENCE_MESH;
	ev->not_after = EVIDENCE_VALID_MAX;
	n = evidence_tbs(ev, tbs, sizeof(tbs));
	return n < 0 ? n : evidence_cert(tbs, (size_t)n, sig, out, size);
}

/* Without one it only takes longer. */
void
atls_blank_for(EVP_PKEY *key)
{
	struct evidence ev = { .role = EVIDENCE_CLIENT };
	uint8_t der[EVIDENCE_CERT_MAX];
	const uint8_t *p = der;
	X509 *x = NULL;
	ssize_t n;

	if (blank_index == -1)
		blank_index =
		    EVP_PKEY_get_ex_new_index(0, NULL, NULL, NULL, blank_free);
	if (blank_index == -1 || evidence_spki(key, ev.spki) != 0)
		return;
	n = atls_unsigned(&ev, der, sizeof(der));
	if (n > 0)
		x = d2i_X509(NULL, &p, (long)n);
	if (x != NULL && EVP_PKEY_set_ex_data(key, blank_index, x) != 1)
		X509_free(x);
}

/* The key's blank, once. */
static X509 *
take_blank(EVP_PKEY *key)
{
	X509 *x =
	    blank_index == -1 ? NULL : EVP_PKEY_get_ex_data(key, blank_index);

	if (x != NULL)
		(void)EVP_PKEY_set_ex_data(key, blank_index, NULL);
	return x;
}

/* DER, as far as it is not read by OpenSSL. */
struct der {
	const uint8_t *p, *end;
};

static bool
enter(struct der *d, long *len)
{
	int tag, class;

	return (ASN1_get_object(&d->p, len, &tag, &class, d->end - d->p) &
		   0x80) == 0;
}

static bool
into(struct der *d)
{
	long len;

	return enter(d, &len);
}

static bool
past(struct der *d)
{
	long len;

	if (!enter(d, &len))
		return false;
	d->p += len;
	return true;
}

static bool
put_serial(X509 *x, struct der *d)
{
	ASN1_INTEGER *v = d2i_ASN1_INTEGER(NULL, &d->p, d->end - d->p);
	bool ok = v != NULL && X509_set_serialNumber(x, v) == 1;

	ASN1_INTEGER_free(v);
	return ok;
}

/* Issuer and subject are one. */
static bool
put_names(X509 *x, struct der *d)
{
	X509_NAME *v = d2i_X509_NAME(NULL, &d->p, d->end - d->p);
	bool ok = v != NULL && X509_set_issuer_name(x, v) == 1 &&
	    X509_set_subject_name(x, v) == 1;

	X509_NAME_free(v);
	return ok;
}

static bool
put_time(X509 *x, struct der *d, int (*set)(X509 *, const ASN1_TIME *))
{
	ASN1_TIME *v = d2i_ASN1_TIME(NULL, &d->p, d->end - d->p);
	bool ok = v != NULL && set(x, v) == 1;

	ASN1_TIME_free(v);
	return ok;
}

static bool
put_extension(X509 *x, struct der *d)
{
	X509_EXTENSION *v = d2i_X509_EXTENSION(NULL, &d->p, d->end - d->p);
	bool ok = v != NULL &&
	    X509_EXTENSION_set_data(X509_get_ext(x, 0),
		X509_EXTENSION_get_data(v)) == 1;

	X509_EXTENSION_free(v);
	return ok;
}

static bool
put_signature(X509 *x, struct der *d)
{
	ASN1_BIT_STRING *v = d2i_ASN1_BIT_STRING(NULL, &d->p, d->end - d->p);
	const ASN1_BIT_STRING *own;
	bool ok;

	/* There is no setter; it is x's own, and x is ours. */
	X509_get0_signature(&own, NULL, x);
	ok = v != NULL &&
	    ASN1_STRING_copy((ASN1_STRING *)(uintptr_t)own, v) == 1;
	ASN1_BIT_STRING_free(v);
	return ok;
}

/* Version, algorithms and key are there: it is the blank of this key. */
static bool
fill(X509 *x, const uint8_t *der, size_t len)
{
	struct der d = { der, der + len };

	return into(&d) && into(&d) && past(&d) && put_serial(x, &d) &&
	    past(&d) && put_names(x, &d) && into(&d) &&
	    put_time(x, &d, X509_set1_notBefore) &&
	    put_time(x, &d, X509_set1_notAfter) && past(&d) && past(&d) &&
	    into(&d) && into(&d) && put_extension(x, &d) && past(&d) &&
	    put_signature(x, &d) && i2d_re_X509_tbs(x, NULL) > 0;
}

/* What is sent must be what was signed, to the byte. */
static bool
is(X509 *x, const uint8_t *der, size_t len)
{
	uint8_t again[ATLS_LEAF_MAX], *p = again;

	return len <= sizeof(again) && i2d_X509(x, NULL) == (int)len &&
	    i2d_X509(x, &p) == (int)len && memcmp(again, der, len) == 0;
}

X509 *
atls_x509_blank(EVP_PKEY *key, const uint8_t *der, size_t len)
{
	X509 *x = take_blank(key);

	if (x != NULL && fill(x, der, len) && is(x, der, len))
		return x;
	X509_free(x);
	return NULL;
}

X509 *
atls_x509(EVP_PKEY *key, const uint8_t *der, size_t len)
{
	X509 *x = atls_x509_blank(key, der, len);
	const uint8_t *p = der;

	if (x != NULL)
		return x;
	if (len <= ATLS_LEAF_MAX)
		x = d2i_X509(NULL, &p, (long)len);
	if (x != NULL && is(x, der, len))
		return x;
	X509_free(x);
	return NULL;
}
