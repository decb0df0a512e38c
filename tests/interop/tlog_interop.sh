#!/bin/sh
# SPDX-License-Identifier: ISC
#
# tlog_interop.sh - golang.org/x/mod/sumdb (Debian: golang-golang-x-mod-dev)
# accepts our checkpoints, proofs and tiles and refuses changed ones. TAP.
#
# Usage: tlog_interop.sh PATH-TO-tlog_make [LINES]
set -u

make=${1:?usage: tlog_interop.sh PATH-TO-tlog_make [LINES]}
# One bit per tile level: tileHashReader of x/mod 0.7 counts subtrees where it
# means tiles, and where two subtrees share a tile it skips the authentication
# of as many others.
lines=${2:-65793}
here=$(cd "$(dirname "$0")" && pwd)
gopath=${CLAW_GOPATH:-/usr/share/gocode}

if ! command -v go >/dev/null 2>&1; then
	echo "1..0 # SKIP go is not installed (apt install golang-go)"
	exit 0
fi
if [ ! -d "$gopath/src/golang.org/x/mod/sumdb/tlog" ]; then
	echo "1..0 # SKIP no x/mod under $gopath" \
	    "(apt install golang-golang-x-mod-dev)"
	exit 0
fi

tmp=$(mktemp -d) || exit 1
log=
trap 'rm -rf "$tmp" ${log:+"$log"}' EXIT INT TERM

# Packages from the distribution only: no module, no network.
GO111MODULE=off GOFLAGS= GOPROXY=off GOPATH=$gopath GOCACHE=$tmp/cache \
    go build -o "$tmp/tlog_check" "$here/tlog_check.go" || {
	echo "Bail out! tlog_check does not build"
	exit 1
}
"$make" "$lines" >"$tmp/facts" || {
	echo "Bail out! $make failed"
	exit 1
}
log=$(sed -n 's,^dir \(.*\)/2026-11$,\1,p' "$tmp/facts")
"$tmp/tlog_check" <"$tmp/facts"
