/* SPDX-License-Identifier: ISC */
/*
 * policy.c - whether a peer's file is taken.
 *
 * What the peer reads is why, and what would help; nothing about other peers
 * or about what lies in folders that are not its own.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/capability.h"
#include "common/sftname.h"
#include "sftd/policy.h"

/* Of one transfer: its own small files, and the folders of its name. What is
 * in a folder nobody knows before it is unpacked. */
#define INODES 64

__attribute__((format(printf, 3, 4))) static void
no(struct policy_verdict *out, enum sft_code code, const char *fmt, ...)
{
	va_list ap;

	out->code = (uint8_t)code;
	va_start(ap, fmt);
	vsnprintf(out->text, sizeof(out->text), fmt, ap);
	va_end(ap);
	snprintf(out->whole, sizeof(out->whole), "%s", out->text);
}

/* It was this rule's no. */
static void
by_rule(struct policy_verdict *out, const struct sftrule *rule)
{
	if (rule == NULL)
		snprintf(out->whole, sizeof(out->whole),
		    "%s (no rule of sft.accept fits it)", out->text);
	else
		snprintf(out->whole, sizeof(out->whole),
		    "%s (sft.accept, rule %u: %.*s)", out->text, rule->number,
		    rule->len > 80 ? 80 : (int)rule->len, rule->text);
}

static bool
rights(const struct policy_case *c, struct policy_verdict *out)
{
	if ((c->ours & CAPABILITY_MASK(SFT_RECEIVE)) == 0)
		no(out, SFT_DENIED,
		    "the registry does not give this node sft.receive");
	else if ((c->theirs & CAPABILITY_MASK(SFT_SEND)) == 0)
		no(out, SFT_DENIED,
		    "the registry does not give %s the capability sft.send",
		    c->peer);
	else
		return true;
	return false;
}

static bool
name(const struct policy_case *c, struct policy_verdict *out)
{
	const struct sft_offer *o = c->offer;
	enum sftname_verdict v = sftname_check(o->name, o->name_len);

	if (v != SFTNAME_OK)
		no(out, SFT_BAD_NAME, "%s", sftname_why(v));
	return v == SFTNAME_OK;
}

static bool
rule(const struct policy_case *c, struct policy_verdict *out)
{
	if (c->rule != NULL && c->rule->allow)
		return true;
	no(out, SFT_DENIED,
	    "this node takes no file of that name from %s; its operator says "
	    "what it takes",
	    c->peer);
	by_rule(out, c->rule);
	return false;
}

static bool
place(const struct policy_case *c, struct policy_verdict *out)
{
	const struct sft_offer *o = c->offer;

	if (c->there == -ELOOP || c->there == -ENOTDIR || c->there == -EXDEV)
		no(out, SFT_BAD_NAME,
		    "the name leads through something that is no folder");
	else if (c->there < 0)
		no(out, SFT_IO, "%s", strerror(-c->there));
	else if (c->there == S_IFDIR && o->tree)
		no(out, SFT_EXISTS,
		    "there is a folder of that name, and a folder replaces "
		    "none: give it another name");
	else if (c->there != 0 && c->there != S_IFREG)
		no(out, SFT_EXISTS, "there is something else of that name");
	else if (c->there != 0 && o->tree)
		no(out, SFT_EXISTS,
		    "there is a file of that name, and a folder replaces none");
	else if (c->there == S_IFREG && !o->replace && c->changed)
		no(out, SFT_EXISTS,
		    "the file of that name was changed here after it had been "
		    "delivered, and it was not said to replace it");
	else if (c->there == S_IFREG && !o->replace)
		no(out, SFT_EXISTS,
		    "there is a file of that name, and it was not said to "
		    "replace it");
	else if (c->there == S_IFREG && !c->rule->replace) {
		no(out, SFT_EXISTS,
		    "there is a file of that name, and this node lets nobody "
		    "replace it");
		by_rule(out, c->rule);
	} else
		return true;
	return false;
}

/* A folder is there twice for a while: as it comes, and unpacked. */
uint64_t
policy_need(const struct sft_offer *o)
{
	return o->tree && o->size <= INT64_MAX ? 2 * o->size : o->size;
}

static bool
size(const struct policy *policy, const struct policy_case *c,
    struct policy_verdict *out)
{
	const struct sft_offer *o = c->offer;
	uint64_t need = policy_need(o);

	if (o->size > policy->max_bytes)
		no(out, SFT_TOO_LARGE, "at most %llu bytes are taken here",
		    (unsigned long long)policy->max_bytes);
	else if (o->size > c->rule->max_size) {
		no(out, SFT_TOO_LARGE,
		    "at most %llu bytes are taken here from %s under that name",
		    (unsigned long long)c->rule->max_size, c->peer);
		by_rule(out, c->rule);
	} else if (!sft_size_ok(o->size, o->chunk_log2))
		no(out, SFT_TOO_LARGE,
		    "too many chunks: choose a larger chunk size");
	else if (!c->resumes && need > c->room)
		no(out, SFT_NO_SPACE, "there is no room for %llu bytes",
		    (unsigned long long)need);
	else if (!c->resumes && c->inodes < INODES)
		no(out, SFT_NO_SPACE,
		    "there is no room for more files: the file system has "
		    "few inodes left");
	else
		return true;
	return false;
}

void
policy_judge(const struct policy *policy, const struct policy_case *c,
    struct policy_verdict *out)
{
	memset(out, 0, sizeof(*out));
	if (!rights(c, out) || !name(c, out) || !rule(c, out) ||
	    !place(c, out) || !size(policy, c, out))
		return;
	if (c->under_way >= policy->max_transfers)
		no(out, SFT_BUSY,
		    "%u transfers are under way, which is as many as may be",
		    c->under_way);
}

void
policy_error(int error, struct policy_verdict *out)
{
	switch (error) {
	case -EEXIST:
	case -EISDIR:
		no(out, SFT_EXISTS, "something has that name by now");
		break;
	case -ENOSPC:
	case -EDQUOT:
		no(out, SFT_NO_SPACE, "the disk is full");
		break;
	case -ELOOP:
	case -ENOTDIR:
	case -EXDEV:
	case -EINVAL:
		no(out, SFT_BAD_NAME,
		    "the name leads through something that is no folder");
		break;
	case -EFBIG:
		no(out, SFT_HASH_MISMATCH, "the file has another size");
		break;
	case -ESTALE:
		no(out, SFT_EPOCH, "a later attempt is known");
		break;
	default:
		no(out, SFT_IO, "%s", strerror(-error));
		break;
	}
}
