#!/bin/sh
# SPDX-License-Identifier: ISC
#
# build.sh - an NSS that speaks DTLS 1.3, where the system's is too old.
#
# RFC 9147 is in NSS from 3.96 on; Debian 12 has an older one. This builds the
# libraries of a newer Debian's source package, with Debian's patches, into a
# folder of their own, and changes nothing of the system's:
#
#	contrib/nss/build.sh PREFIX WORK [SUITE | FILE.dsc]
#	./configure --with-nss-prefix=PREFIX
#
# PREFIX gets lib/ and include/nss/; the libraries find each other wherever it
# is moved. WORK is for sources and objects and may be removed afterwards. SUITE
# is trixie unless told, fetched from the archive that the machine's apt has
# Debian from; its index must be signed by Debian's archive key, and the files
# must be those of the index. A FILE.dsc of one's own must be signed by a Debian
# developer (package debian-keyring), and the files must be those that it names.
#
# Needs dpkg-dev, libnspr4-dev, libsqlite3-dev, zlib1g-dev, pkg-config, a C
# compiler, make, perl. Takes two minutes of one processor; NSS's makefiles
# break when several run.
set -eu

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
least=3.96
libraries="freebl3 freeblpriv3 nss3 nssutil3 softokn3 ssl3"

die()
{
	printf 'nss/build.sh: %s\n' "$*" >&2
	exit 1
}

# absolute DIR: its whole name; it is made if it is not there.
absolute()
{
	mkdir -p "$1"
	(cd "$1" && pwd)
}

need()
{
	for tool in dpkg-source pkg-config cc make perl; do
		command -v "$tool" >/dev/null || die "$tool not found: install" \
			"dpkg-dev, pkg-config, a C compiler, make and perl"
	done
	for module in nspr sqlite3 zlib; do
		pkg-config --exists "$module" ||
			die "pkg-config knows no $module: install" \
				"libnspr4-dev, libsqlite3-dev and zlib1g-dev"
	done
}

# apt with sources, lists and cache of its own, which takes nothing unsigned
# whatever the machine's configuration allows.
private_apt()
{
	apt-get -q -o Dir::Etc::SourceList="$work/sources.list" \
		-o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o Acquire::AllowInsecureRepositories=false \
		-o Acquire::AllowDowngradeToInsecureRepositories=false \
		-o APT::Get::AllowUnauthenticated=false "$@"
}

# deb_src SUITE LABEL: a line for the archive that the machine has LABEL from.
deb_src()
{
	# shellcheck disable=SC2016 # apt's $, not ours
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' \
		'Origin: Debian' "Label: $2" | sort -u | head -n 1 |
		sed "s|.*|deb-src [signed-by=$keyring] & $1 main|"
}

# fetch SUITE: the newest source package of the suite or of its security
# updates, unpacked into WORK/src. A mirror may know an update and not have it.
fetch()
{
	command -v apt-get >/dev/null || die "no apt-get here: give a FILE.dsc"
	[ -r "$keyring" ] || die "no $keyring: install debian-archive-keyring"
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	{
		deb_src "$1" Debian
		deb_src "$1-security" Debian-Security
	} >"$work/sources.list"
	[ -s "$work/sources.list" ] || die "apt has no Debian archive, or has" \
		"never been updated: run apt-get update, or give a FILE.dsc"
	private_apt update
	cd "$work/src"
	private_apt source nss || {
		echo "nss/build.sh: the newest of the above cannot be had here;" \
			"taking $1's own, WITHOUT that update" >&2
		private_apt source "nss/$1"
	}
}

# compile: only the libraries, without the tools and tests that come with them.
compile()
{
	BUILD_OPT=1 NSS_ENABLE_WERROR=0 NSS_DISABLE_GTESTS=1
	NSS_USE_SYSTEM_SQLITE=1 USE_SYSTEM_ZLIB=1 ZLIB_LIBS=-lz
	NSPR_INCLUDE_DIR=$(pkg-config --variable=includedir nspr)
	NSPR_LIB_DIR=$(pkg-config --variable=libdir nspr)
	export BUILD_OPT NSS_ENABLE_WERROR NSS_DISABLE_GTESTS \
		NSS_USE_SYSTEM_SQLITE USE_SYSTEM_ZLIB ZLIB_LIBS \
		NSPR_INCLUDE_DIR NSPR_LIB_DIR
	case $(getconf LONG_BIT) in
	64) USE_64=1 && export USE_64 ;;
	esac
	unset MAKEFLAGS # a -j of who calls us
	make prepare_build
	make -C coreconf libs
	# Each library looks for the others where it lies itself. (make expands
	# this once, the shell that links takes the quotes.)
	make -C lib libs RPATH="-Wl,-rpath,'\$\$ORIGIN'"
}

# deliver VERSION: nss.pc last, so that what was interrupted is not taken for
# an installation.
deliver()
{
	rm -rf "$prefix/lib/pkgconfig" "$prefix/include/nss"
	mkdir -p "$prefix/lib/pkgconfig" "$prefix/include/nss"
	for l in $libraries; do
		install -m 644 ../dist/*.OBJ/lib/lib"$l".so "$prefix/lib/"
	done
	install -m 644 ../dist/public/nss/*.h "$prefix/include/nss/"
	cat >"$work/nss.pc" <<END
prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include/nss

Name: NSS
Description: Network Security Services, a private build
Version: $1
Requires: nspr
Libs: -L\${libdir} -lssl3 -lnss3 -lnssutil3
Cflags: -I\${includedir}
END
	install -m 644 "$work/nss.pc" "$prefix/lib/pkgconfig/"
}

case $# in
2 | 3) ;;
*)
	sed -n 's/^#\t\(contrib.*\)/usage: \1/p' "$0" >&2
	exit 64
	;;
esac
prefix=$(absolute "$1")
work=$(absolute "$2")
source=${3:-trixie}
need
rm -rf "$work/src"
mkdir "$work/src"
case $source in
*.dsc)
	dpkg-source --require-valid-signature -x "$source" "$work/src/nss-dsc" ||
		die "$source is not signed as it must be (or there is no" \
			"package debian-keyring here), or a file is not its own"
	;;
*) fetch "$source" ;;
esac
cd "$work"/src/nss-*/nss
version=$(sed -n 's/^#define NSS_VERSION "\([0-9.]*\)".*/\1/p' lib/nss/nss.h)
printf '%s\n' "$least" "$version" | sort -V -C ||
	die "$source has NSS $version, and DTLS 1.3 takes $least"
compile
deliver "$version"
echo "NSS $version is in $prefix: ./configure --with-nss-prefix=$prefix"
