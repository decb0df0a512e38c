#!/bin/sh
# SPDX-License-Identifier: ISC
#
# No fuzz target falls over its seeds: each is given its corpus once.
# Runs in the build's top folder; FUZZ_TARGETS names the programs.
set -u
: "${FUZZ_TARGETS=}" "${srcdir=.}"

n=0
for target in $FUZZ_TARGETS; do
	n=$((n + 1))
	name=${target##*/fuzz_}
	corpus=$srcdir/tests/fuzz/corpus/$name
	if [ ! -d "$corpus" ]; then
		echo "not ok $n - $name"
		echo "# no seeds in tests/fuzz/corpus/$name"
	elif "$target" "$corpus"/* >replay-$$.out 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' replay-$$.out
	fi
done
rm -f replay-$$.out
echo "1..$n"
