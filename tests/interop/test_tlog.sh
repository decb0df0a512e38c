#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Go's tlog and note packages judge a log of ours (tlog_interop.sh).
# Runs in the build's top folder.
exec sh "${srcdir:-.}/tests/interop/tlog_interop.sh" tests/interop/tlog_make
