#!/bin/sh
# SPDX-License-Identifier: ISC
#
# debian13.sh - a new user's first minutes, on a Debian that is not this one.
#
# Makes a Debian root with debootstrap that holds the distribution's base and
# nothing else, enters it in namespaces of its own by pivot_root (in a chroot
# the kernel refuses user namespaces, and half of the sandbox with them),
# copies a clean clone of this repository's last commit in and runs
# ./quickstart --yes and ./quickstart --check there.
#
# usage: tests/debian13.sh [--suite NAME] [--keep] [FOLDER]
#
# Needs root, debootstrap, git, unshare. The mirror is the one that this
# machine's own apt uses. The root is made below FOLDER (a new folder below
# TMPDIR if none is given); with --keep it stays, and an earlier one in FOLDER
# is used again. Exit status: that of the last quickstart.
set -eu

suite=trixie
keep=no
folder=
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suite=$2 && shift ;;
	--keep) keep=yes ;;
	-*) sed -n 's/^# usage: /usage: /p' "$0" >&2 && exit 64 ;;
	*) folder=$1 ;;
	esac
	shift
done

die()
{
	echo "debian13.sh: $*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || die "needs root"
for tool in debootstrap git unshare pivot_root apt-get; do
	command -v "$tool" >/dev/null || die "needs $tool"
done
top=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
[ -n "$folder" ] || folder=$(mktemp -d)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/$suite
# mktemp's 0700 would keep the processes' accounts out.
chmod 755 "$folder"

# shellcheck disable=SC2016 # apt's fields, not the shell's
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
	awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
[ -n "$mirror" ] || die "apt knows no Debian mirror: run apt-get update"
proxy=$(apt-config dump Acquire::http::Proxy | sed 's/.* "\(.*\)";/\1/')
[ -z "$proxy" ] || export http_proxy="$proxy"

if [ ! -e "$root/debootstrapped" ]; then
	debootstrap --variant=minbase "$suite" "$root" "$mirror"
	touch "$root/debootstrapped"
fi
# How to fetch packages is the machine's business; the root has the same.
mkdir -p "$root/etc/apt/apt.conf.d"
apt-config dump Acquire | grep -E '^Acquire::(Check-|https?::|Retries)' \
	>"$root/etc/apt/apt.conf.d/00host" || :
cp /etc/resolv.conf /etc/hosts "$root/etc/"
rm -rf "$root/src"
git clone -q "$top" "$root/src"

cat >"$root/inside" <<'END'
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mkdir -p old
pivot_root . old
cd /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /dev
for d in null zero full random urandom tty; do
	touch /dev/$d
	mount --bind /old/dev/$d /dev/$d
done
ln -s /proc/self/fd /dev/fd
mkdir /dev/shm /dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
umount -l /old
rmdir /old
exec env -i HOME=/root LANG=C.UTF-8 TERM=dumb \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	/bin/sh -c '
	cd /src
	./quickstart --yes || exit
	./quickstart --yes --check'
END

rc=0
unshare --mount --pid --fork --uts --ipc --cgroup --kill-child \
	/bin/sh "$root/inside" "$root" </dev/null || rc=$?
[ "$keep" = yes ] || rm -rf --one-file-system "$root"
exit $rc
